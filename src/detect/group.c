/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/match.h"

#include <stdlib.h>

#define SHARED_MIN 128u  /* rules with the same log sources that make a shared part: compiled once, not once a route */
#define LIT_LEN 12u      /* longer literals are cut to their most telling end: the rest is checked by the rule itself */

struct pending { /* one witness on its way into the tables */
    cf_str lit;
    uint64_t hash;
    struct cf_lit_use use;
    bool exact;
};

static int by_lit(const void *a, const void *b)
{
    const struct pending *x = a, *y = b;
    int c;

    if (x->exact != y->exact)
        return x->exact ? 1 : -1;
    if (x->exact)
        return x->hash < y->hash ? -1 : x->hash > y->hash ? 1 : 0;
    if ((x->use.field == CF_RF_KEYWORD) != (y->use.field == CF_RF_KEYWORD))
        return x->use.field == CF_RF_KEYWORD ? 1 : -1;
    c = cf_str_cmp(x->lit, y->lit);
    return c ? c : x->use.rule < y->use.rule ? -1 : x->use.rule > y->use.rule;
}

static bool in_route(const struct cf_rule *r, const uint64_t *route, bool unrouted)
{
    if (!r->root || r->entry == CF_REJECT)
        return false;
    if (unrouted) /* an unknown event is no proof of what it lacks */
        return !r->routes || !r->on_nothing;
    if (!r->routes)
        return true;
    for (size_t i = 0; i < CF_LS_WORDS; i++)
        if (r->routes[i] & route[i])
            return true;
    return false;
}

static void cut(struct pending *p)
{
    if (p->lit.n <= LIT_LEN)
        return;
    if (p->use.kind != CF_PAT_PREFIX)
        p->lit.p += p->lit.n - LIT_LEN;
    p->lit.n = LIT_LEN;
}

static bool add_field(uint16_t *list, uint32_t *n, uint16_t f)
{
    for (uint32_t i = 0; i < *n; i++)
        if (list[i] == f)
            return false;
    list[(*n)++] = f;
    return true;
}

static bool same_routes(const struct cf_rule *r, const uint64_t *routes)
{
    return r->routes && memcmp(r->routes, routes, CF_LS_WORDS * sizeof *routes) == 0;
}

static bool is_shared(const struct cf_group *g, const struct cf_rule *r)
{
    for (uint32_t i = 1; r->routes && i < g->n_part; i++)
        if (same_routes(r, g->part[i]->routes))
            return true;
    return false;
}

/* Witnesses of the rules of a part; g: the group whose own part it is, NULL for a shared one. */
static size_t collect(struct cf_ruleset *rs, const struct cf_group *g, struct cf_part *part, struct pending *out)
{
    size_t n = 0;

    for (size_t i = 0; i < rs->n_rules; i++) {
        const struct cf_rule *r = &rs->rules[i];

        if (g ? !in_route(r, g->route, g->unrouted) || is_shared(g, r) : !in_route(r, part->routes, false) || !same_routes(r, part->routes))
            continue;
        if (!out)
            n += r->n_wit;
        for (uint32_t w = 0; out && w < r->n_wit; w++) {
            struct pending *p = &out[n++];

            *p = (struct pending){.lit = r->wit[w].lit, .use = {(uint32_t)i, r->wit[w].field, r->wit[w].kind}};
            p->exact = r->wit[w].kind == CF_PAT_EXACT;
            if (p->exact) {
                p->hash = cf_exact_hash(p->use.field, p->lit);
                (void)add_field(part->exact_field, &part->n_exact_field, p->use.field);
            } else {
                cut(p);
                if (p->use.field != CF_RF_KEYWORD)
                    (void)add_field(part->scan_field, &part->n_scan, p->use.field);
            }
        }
    }
    return n;
}

/* The scanner of a list of literals; their ids are their places in it. False: no memory. */
static bool scanner(struct cf_ruleset *rs, const char *const *exp, const size_t *len, uint32_t n, const hs_database_t **ret)
{
    hs_compile_error_t *err = NULL;
    struct cf_scanner *sc = NULL;
    unsigned *id = calloc(n + 1, sizeof *id), *flags = calloc(n + 1, sizeof *flags);
    size_t room = 0, at = 0;
    char *key = NULL;
    uint64_t hash;
    bool ok = false;

    for (uint32_t i = 0; i < n; i++)
        room += len[i] + sizeof *len;
    key = malloc(room + 1);
    if (!id || !flags || !key)
        goto out;
    for (uint32_t i = 0; i < n; i++) {
        id[i] = i;
        memcpy(key + at, &len[i], sizeof *len);
        memcpy(key + at + sizeof *len, exp[i], len[i]);
        at += sizeof *len + len[i];
    }
    hash = cf_hash64((cf_str){key, room});
    for (sc = rs->scanners; sc; sc = sc->next)
        if (sc->hash == hash && cf_str_eq(sc->key, (cf_str){key, room}))
            break;
    if (sc || !(sc = calloc(1, sizeof *sc))) {
        ok = sc != NULL;
        goto out;
    }
    sc->db = cf_cache_load(rs->cache_dir, (cf_str){key, room});
    if (!sc->db && hs_compile_lit_multi(exp, flags, id, len, n, HS_MODE_BLOCK, NULL, &sc->db, &err) == HS_SUCCESS)
        cf_cache_save(rs->cache_dir, (cf_str){key, room}, sc->db);
    if (!sc->db) {
        hs_free_compile_error(err);
        free(sc);
        goto out;
    }
    sc->hash = hash;
    sc->key = (cf_str){key, room};
    key = NULL;
    sc->next = rs->scanners;
    rs->scanners = sc;
    ok = true;
out:
    if (ok)
        *ret = sc->db;
    free(id);
    free(flags);
    free(key);
    return ok;
}

static bool fill_literals(struct cf_ruleset *rs, struct cf_part *g, const struct pending *p, size_t n)
{
    const char **exp = calloc(n + 1, sizeof *exp);
    size_t *len = calloc(n + 1, sizeof *len);
    bool ok = exp && len;
    uint32_t f;

    g->lit = calloc(n + 1, sizeof *g->lit);
    for (size_t i = 0; ok && g->lit && i < n; i++) {
        bool kw = p[i].use.field == CF_RF_KEYWORD;

        if (i == 0 || !cf_str_eq(p[i].lit, p[i - 1].lit) || kw != (p[i - 1].use.field == CF_RF_KEYWORD)) {
            g->lit[g->n_lit] = (struct cf_lit){(uint32_t)i, 0, (uint32_t)p[i].lit.n};
            exp[g->n_lit] = p[i].lit.p;
            len[g->n_lit] = p[i].lit.n;
            g->n_lit++;
            g->n_lit_field += !kw;
        }
        g->lit[g->n_lit - 1].n++;
    }
    f = g->n_lit_field;
    ok = ok && g->lit && (f == 0 || scanner(rs, exp, len, f, &g->db));
    if (ok && cf_words_fit(exp + f, len + f, g->n_lit - f))
        ok = (g->words = cf_words_make(exp + f, len + f, g->n_lit - f)) != NULL;
    else if (ok && g->n_lit > f)
        ok = scanner(rs, exp + f, len + f, g->n_lit - f, &g->db_all);
    free(exp);
    free(len);
    return ok;
}

static bool fill_exact(struct cf_part *g, const struct pending *p, size_t first, size_t n)
{
    size_t cap = 16;

    while (cap < n * 2 + 1)
        cap *= 2;
    g->exact = calloc(cap, sizeof *g->exact);
    if (!g->exact)
        return false;
    g->exact_mask = cap - 1;
    for (size_t i = 0; i < n;) {
        size_t k = i, at = p[first + i].hash & g->exact_mask;

        while (k < n && p[first + k].hash == p[first + i].hash)
            k++;
        while (g->exact[at].n)
            at = (at + 1) & g->exact_mask;
        g->exact[at] = (struct cf_exact){p[first + i].hash, (uint32_t)(first + i), (uint32_t)(k - i)};
        i = k;
    }
    return true;
}

static void part_release(struct cf_part *p)
{
    free(p->scan_field);
    free(p->exact_field);
    free(p->lit);
    free(p->use);
    free(p->exact);
    cf_words_free(p->words);
}

static void group_free(struct cf_group *g)
{
    part_release(&g->own);
    free(g->always);
    free(g->field_need);
    free(g);
}

static bool part_fill(struct cf_ruleset *rs, const struct cf_group *g, struct cf_part *part)
{
    size_t n = collect(rs, g, part, NULL), n_lit = 0;
    struct pending *p = calloc(n + 1, sizeof *p);
    bool ok;

    part->scan_field = calloc(rs->n_fields + 1, sizeof *part->scan_field);
    part->exact_field = calloc(rs->n_fields + 1, sizeof *part->exact_field);
    part->use = calloc(n + 1, sizeof *part->use);
    ok = p && part->scan_field && part->exact_field && part->use;
    if (ok) {
        (void)collect(rs, g, part, p);
        qsort(p, n, sizeof *p, by_lit);
        while (n_lit < n && !p[n_lit].exact)
            n_lit++;
        for (size_t i = 0; i < n; i++)
            part->use[i] = p[i].use;
        ok = fill_literals(rs, part, p, n_lit) && fill_exact(part, p, n_lit, n - n_lit);
    }
    free(p);
    return ok;
}

/* The shared part of rules with these log sources, made when there are enough of them; NULL: too few, or *ok false. */
static struct cf_part *shared_part(struct cf_ruleset *rs, const uint64_t *routes, bool *ok)
{
    struct cf_part *p;
    uint32_t n = 0;

    for (p = rs->parts; p; p = p->next)
        if (memcmp(p->routes, routes, CF_LS_WORDS * sizeof *routes) == 0)
            return p;
    for (size_t i = 0; i < rs->n_rules && n < SHARED_MIN; i++)
        n += same_routes(&rs->rules[i], routes);
    if (n < SHARED_MIN)
        return NULL;
    p = calloc(1, sizeof *p);
    if (p)
        p->routes = routes;
    if (!p || !part_fill(rs, NULL, p)) {
        if (p)
            part_release(p);
        free(p);
        *ok = false;
        return NULL;
    }
    p->next = rs->parts;
    rs->parts = p;
    return p;
}

static bool choose_parts(struct cf_ruleset *rs, struct cf_group *g)
{
    const uint64_t *small = NULL; /* routes last found to have few rules: files of a log source stand together */
    bool ok = true;

    g->part[g->n_part++] = &g->own;
    for (size_t i = 0; ok && !g->unrouted && i < rs->n_rules && g->n_part < CF_PARTS_MAX; i++) {
        const struct cf_rule *r = &rs->rules[i];
        struct cf_part *p;

        if (!r->routes || !in_route(r, g->route, false) || is_shared(g, r) || (small && same_routes(r, small)))
            continue;
        p = shared_part(rs, r->routes, &ok);
        if (p)
            g->part[g->n_part++] = p;
        else
            small = r->routes;
    }
    return ok;
}

static bool group_fill(struct cf_ruleset *rs, struct cf_group *g)
{
    bool slow = false; /* keywords that need a scanner */

    g->always = calloc(rs->n_rules + 1, sizeof *g->always);
    g->field_need = calloc(rs->n_fields + 1, 1);
    g->min_word = UINT32_MAX;
    if (!g->always || !g->field_need || !choose_parts(rs, g) || !part_fill(rs, g, &g->own))
        return false;
    for (size_t i = 0; i < rs->n_rules; i++)
        if (in_route(&rs->rules[i], g->route, g->unrouted)) {
            g->n_rules++;
            if (!rs->rules[i].n_wit)
                g->always[g->n_always++] = (uint32_t)i;
        }
    for (uint32_t k = 0; k < g->n_part; k++) {
        const struct cf_part *p = g->part[k];

        g->keywords = g->keywords || p->db_all || p->words;
        slow = slow || p->db_all;
        if (p->words)
            g->word_part[g->n_word_part++] = p;
        for (uint32_t i = 0; i < p->n_scan; i++)
            g->field_need[p->scan_field[i]] |= CF_NEED_SCAN;
        for (uint32_t i = 0; i < p->n_exact_field; i++)
            g->field_need[p->exact_field[i]] |= CF_NEED_EXACT;
        for (uint32_t i = p->n_lit_field; i < p->n_lit; i++)
            g->min_word = p->lit[i].len < g->min_word ? p->lit[i].len : g->min_word;
    }
    g->quick = g->keywords && !slow;
    return true;
}

static struct cf_group *find(struct cf_ruleset *rs, const uint64_t *route, bool unrouted)
{
    for (struct cf_group *g = atomic_load_explicit(&rs->groups, memory_order_acquire); g; g = g->next)
        if (g->unrouted == unrouted && (unrouted || memcmp(g->route, route, sizeof g->route) == 0))
            return g;
    return NULL;
}

struct cf_group *cf_group_get(struct cf_ruleset *rs, const uint64_t *route, bool unrouted)
{
    uint64_t every[CF_LS_WORDS];
    struct cf_group *g;

    if (!unrouted && atomic_load_explicit(&rs->n_groups, memory_order_relaxed) >= CF_GROUPS_MAX - 2 && !find(rs, route, false)) {
        memset(every, 0xff, sizeof every);
        route = every;
    }
    g = find(rs, route, unrouted);
    if (g)
        return g;
    (void)pthread_mutex_lock(&rs->group_lock);
    g = find(rs, route, unrouted);
    if (!g) {
        g = calloc(1, sizeof *g);
        if (g) {
            if (!unrouted)
                memcpy(g->route, route, sizeof g->route);
            g->unrouted = unrouted;
            if (group_fill(rs, g)) {
                g->id = (uint32_t)atomic_fetch_add(&rs->n_groups, 1);
                g->next = atomic_load(&rs->groups);
                atomic_store_explicit(&rs->groups, g, memory_order_release);
            } else {
                group_free(g);
                g = NULL;
            }
        }
    }
    (void)pthread_mutex_unlock(&rs->group_lock);
    return g;
}

void cf_groups_free(struct cf_ruleset *rs)
{
    struct cf_group *g = atomic_load(&rs->groups), *next;

    for (; g; g = next) {
        next = g->next;
        group_free(g);
    }
    atomic_store(&rs->groups, NULL);
    while (rs->parts) {
        struct cf_part *p = rs->parts;

        rs->parts = p->next;
        part_release(p);
        free(p);
    }
    while (rs->scanners) {
        struct cf_scanner *sc = rs->scanners;

        rs->scanners = sc->next;
        hs_free_database(sc->db);
        free((char *)(uintptr_t)sc->key.p);
        free(sc);
    }
}
