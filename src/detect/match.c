/* SPDX-License-Identifier: Apache-2.0
 * One event against the rule set: route, prefilter, programs, hits, correlation. */
#include "detect/match.h"

#include <stdlib.h>

#include "detect/correlate.h"

#define MATCHED_MAX 24
#define COST_SAMPLE 64u /* every 64th event is timed, per rule */

struct cf_detector *cf_detector_new(const struct cf_ruleset *crs)
{
    struct cf_detector *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->rs = (struct cf_ruleset *)(uintptr_t)crs; /* only its locked, lazily made parts are written */
    d->head = calloc(crs->n_fields + 1, sizeof *d->head);
    d->cand_epoch = calloc(crs->n_rules + 1, sizeof *d->cand_epoch);
    d->cand = calloc(crs->n_rules + 1, sizeof *d->cand);
    d->count = calloc(crs->n_rules + 1, sizeof *d->count);
    if (!d->head || !d->cand_epoch || !d->cand || !d->count) {
        cf_detector_free(d);
        return NULL;
    }
    return d;
}

void cf_detector_free(struct cf_detector *d)
{
    if (!d)
        return;
    free(d->head);
    free(d->link);
    free(d->fold);
    free(d->buf);
    free(d->by_raw);
    free(d->by_name);
    free(d->pool);
    free(d->seg);
    free(d->cand_epoch);
    free(d->cand);
    free(d->count);
    free(d->hit);
    hs_free_scratch(d->hs);
    cf_rex_scratch_release(&d->rex);
    free(d);
}

/* ---- route ---- */

static bool cond_true(struct cf_detector *d, const struct cf_lcond *c)
{
    const struct cf_link *l = cf_field_first(d, c->field);

    if (c->exists)
        return l != NULL;
    for (; l; l = cf_link_next(d, l)) {
        cf_str s;

        if (cf_link_val(d, l)->kind == CF_V_NULL)
            continue;
        s = cf_folded(d, l->val);
        for (uint32_t i = 0; i < c->n; i++)
            if (cf_pat_match(&c->pat[i], s.p, s.n))
                return true;
    }
    return false;
}

bool cf_route_bits(struct cf_detector *d, uint64_t *bits)
{
    const struct cf_taxonomy *t = &d->rs->tax;
    bool any = false;

    memset(bits, 0, sizeof(uint64_t) * CF_LS_WORDS);
    for (size_t i = 0; i < t->n_source; i++)
        for (uint32_t k = 0; k < t->source[i].n; k++) {
            const struct cf_lclause *cl = &t->source[i].any[k];
            uint32_t j = 0;

            while (j < cl->n && cond_true(d, &cl->cond[j]))
                j++;
            if (j == cl->n) {
                bits[i / 64] |= UINT64_C(1) << (i % 64);
                any = true;
                break;
            }
        }
    return any;
}

/* Everything the route depends on, as one number. */
static uint64_t route_sig(const struct cf_detector *d)
{
    const struct cf_taxonomy *t = &d->rs->tax;
    uint64_t h = 0x243f6a8885a308d3u;

    for (size_t i = 0; i < t->n_route_field; i++) {
        const struct cf_link *l = cf_field_first(d, t->route_field[i]);

        if (!l)
            continue;
        h = (h ^ (i + 1)) * 0x9e3779b97f4a7c15u;
        for (; l && t->route_value[i]; l = cf_link_next(d, l)) {
            const struct cf_value *v = cf_link_val(d, l);
            h = cf_hash64_seed((cf_str){v->p, v->n}, h);
        }
    }
    return h ? h : 1;
}

static struct cf_group *route(struct cf_detector *d)
{
    uint64_t sig = route_sig(d), bits[CF_LS_WORDS];
    struct cf_route_slot *s = &d->route[sig % CF_ROUTE_SLOTS];
    bool routed;

    if (s->sig == sig)
        return s->group;
    routed = cf_route_bits(d, bits);
    s->group = cf_group_get(d->rs, bits, !routed);
    s->sig = s->group ? sig : 0;
    return s->group;
}

/* ---- prefilter ---- */

static inline void candidate(struct cf_detector *d, uint32_t rule)
{
    if (d->cand_epoch[rule] == d->epoch)
        return;
    d->cand_epoch[rule] = d->epoch;
    d->cand[d->n_cand++] = rule;
}

static bool field_has(const struct cf_detector *d, uint16_t field, uint16_t val)
{
    for (const struct cf_link *l = cf_field_first(d, field); l; l = cf_link_next(d, l))
        if (l->val == val)
            return true;
    return false;
}

static int on_literal(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
    struct cf_detector *d = ctx;
    const struct cf_lit *lit = &d->part->lit[d->first_lit + id];
    const struct cf_lit_use *u = &d->part->use[lit->first];
    const struct cf_seg *s = &d->seg[d->cur_seg];
    uint64_t start = to - lit->len;
    uint16_t last_field = CF_RF_KEYWORD;
    bool last_has = true;

    (void)from;
    (void)flags;
    while (to > s->to && d->cur_seg + 1 < d->n_seg) /* matches come in order of their end */
        s = &d->seg[++d->cur_seg];
    for (uint32_t i = 0; i < lit->n; i++) {
        if (d->cand_epoch[u[i].rule] == d->epoch)
            continue;
        if (u[i].kind == CF_PAT_PREFIX ? start != s->from : u[i].kind == CF_PAT_SUFFIX && to != s->to)
            continue;
        if (u[i].field != last_field) {
            last_field = u[i].field;
            last_has = last_field == CF_RF_KEYWORD || field_has(d, last_field, s->val);
        }
        if (last_has)
            candidate(d, u[i].rule);
    }
    return 0;
}

static bool add_seg(struct cf_detector *d, uint16_t val)
{
    struct cf_folded *f = val == CF_VAL_RECORD ? &d->record : &d->fold[val];
    cf_str s;

    if (f->off != UINT32_MAX) { /* folded for the route: once more, so that scanned texts stand together */
        for (uint32_t i = 0; i < d->n_seg; i++)
            if (d->seg[i].val == val)
                return true;
        f->off = UINT32_MAX;
    }
    if (d->n_seg == d->cap_seg) {
        uint32_t cap = d->cap_seg ? d->cap_seg * 2 : 128;
        struct cf_seg *p = realloc(d->seg, cap * sizeof *p);

        if (!p)
            return false;
        d->seg = p;
        d->cap_seg = cap;
    }
    s = cf_folded(d, val);
    d->seg[d->n_seg++] = (struct cf_seg){f->off, f->off + (uint32_t)s.n, val};
    return true;
}

/* Values of the scanned fields; they stand first in the buffer. */
static bool gather_fields(struct cf_detector *d, const struct cf_group *g)
{
    bool ok = true;

    d->n_seg = 0;
    for (uint32_t f = 0; ok && f < g->n_scan; f++)
        for (const struct cf_link *l = cf_field_first(d, g->scan_field[f]); ok && l; l = cf_link_next(d, l))
            if (cf_link_val(d, l)->n)
                ok = add_seg(d, l->val);
    return ok;
}

/* The rest of the record, behind them. */
static bool gather_rest(struct cf_detector *d)
{
    bool ok = true;

    if (cf_record_is_text(d))
        return add_seg(d, CF_VAL_RECORD);
    for (uint16_t i = 0; ok && i < d->ev->n; i++)
        if (d->ev->val[i].id != CF_F_EVENT_ORIGINAL && d->ev->val[i].kind != CF_V_NULL && d->ev->val[i].n)
            ok = add_seg(d, i);
    return ok;
}

static bool scratch_for(struct cf_detector *d, const struct cf_group *g)
{
    if (d->scratch_for[g->id / 64] >> (g->id % 64) & 1)
        return true;
    for (uint32_t i = 0; i < g->n_part; i++) {
        const struct cf_part *p = g->part[i];

        if ((p->db && hs_alloc_scratch(p->db, &d->hs) != HS_SUCCESS) || (p->db_all && hs_alloc_scratch(p->db_all, &d->hs) != HS_SUCCESS))
            return false;
    }
    d->scratch_for[g->id / 64] |= UINT64_C(1) << (g->id % 64); /* the call costs as much as a scan: once a group */
    return true;
}

static bool scan_db(struct cf_detector *d, const struct cf_part *p, const hs_database_t *db, uint32_t first, size_t from, size_t to)
{
    if (!db || to == from)
        return true;
    d->part = p;
    d->first_lit = first;
    d->cur_seg = 0;
    return hs_scan(db, d->buf + from, (unsigned)(to - from), 0, d->hs, on_literal, d) == HS_SUCCESS;
}

static bool scan(struct cf_detector *d, const struct cf_group *g)
{
    uint32_t base = (uint32_t)d->n_buf;
    size_t fields_end;
    bool ok = true;

    if (!g->n_scan && !g->keywords)
        return true;
    if (!scratch_for(d, g) || !gather_fields(d, g))
        return false;
    fields_end = d->n_buf;
    if (g->keywords && !gather_rest(d))
        return false;
    if (d->oom)
        return false;
    for (uint32_t i = 0; i < d->n_seg; i++) { /* offsets as the scanner sees them */
        d->seg[i].from -= base;
        d->seg[i].to -= base;
    }
    for (uint32_t i = 0; ok && i < g->n_part; i++) {
        ok = scan_db(d, g->part[i], g->part[i]->db, 0, base, fields_end);
        ok = ok && scan_db(d, g->part[i], g->part[i]->db_all, g->part[i]->n_lit_field, base, d->n_buf);
    }
    return ok;
}

static void look_up_part(struct cf_detector *d, const struct cf_part *p, uint64_t h)
{
    for (size_t at = h & p->exact_mask; p->exact[at].n; at = (at + 1) & p->exact_mask) {
        if (p->exact[at].hash != h)
            continue;
        for (uint32_t i = 0; i < p->exact[at].n; i++)
            candidate(d, p->use[p->exact[at].first + i].rule);
        return;
    }
}

static void look_up(struct cf_detector *d, const struct cf_group *g)
{
    for (uint32_t f = 0; f < g->n_exact_field; f++)
        for (const struct cf_link *l = cf_field_first(d, g->exact_field[f]); l; l = cf_link_next(d, l)) {
            uint64_t h;

            if (cf_link_val(d, l)->kind == CF_V_NULL)
                continue;
            h = cf_exact_hash(g->exact_field[f], cf_folded(d, l->val));
            for (uint32_t i = 0; i < g->n_part; i++)
                look_up_part(d, g->part[i], h);
        }
}

static int by_index(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void sort_candidates(struct cf_detector *d)
{
    if (d->n_cand > 24) {
        qsort(d->cand, d->n_cand, sizeof *d->cand, by_index);
        return;
    }
    for (uint32_t i = 1; i < d->n_cand; i++) {
        uint32_t v = d->cand[i], k = i;

        for (; k && d->cand[k - 1] > v; k--)
            d->cand[k] = d->cand[k - 1];
        d->cand[k] = v;
    }
}

/* ---- hits ---- */

/* Predicates that are true where truth helped the rule. */
static void collect_true(struct cf_detector *d, const struct cf_node *n, struct cf_match_field *m, size_t *n_m)
{
    cf_str v = CF_STR_NONE;

    if (*n_m >= MATCHED_MAX || n->kind == CF_ND_NOT)
        return;
    if (n->kind == CF_ND_PRED) {
        const struct cf_pred *p = &d->rs->preds[n->pred];

        if (!cf_pred_eval(d, n->pred, &v) || !v.p)
            return;
        for (size_t i = 0; i < *n_m; i++)
            if (cf_str_eq(m[i].field, d->rs->fields[p->field].name))
                return;
        m[*n_m] = (struct cf_match_field){d->rs->fields[p->field].name, v};
        ++*n_m;
        return;
    }
    for (uint32_t i = 0; i < n->n; i++)
        if (n->kind == CF_ND_AND || cf_node_eval(d, n->child[i]))
            collect_true(d, n->child[i], m, n_m);
}

int cf_add_hit(struct cf_detector *d, const struct cf_hit *h)
{
    if (d->n_hit == d->cap_hit) {
        size_t cap = d->cap_hit ? d->cap_hit * 2 : 16;
        struct cf_hit *p = realloc(d->hit, cap * sizeof *p);

        if (!p)
            return CF_ENOMEM;
        d->hit = p;
        d->cap_hit = cap;
    }
    d->hit[d->n_hit++] = *h;
    return 0;
}

static int hit(struct cf_detector *d, const struct cf_rule *r)
{
    struct cf_match_field m[MATCHED_MAX], *copy;
    size_t n = 0;
    struct cf_hit h = {.rule = &r->info, .ev = d->ev};

    cf_count_hit(d, r->info.index);
    if (r->silent)
        return 0;
    collect_true(d, r->root, m, &n);
    copy = CF_NEW_N(d->ev->arena, struct cf_match_field, n ? n : 1);
    if (!copy)
        return CF_ENOMEM;
    memcpy(copy, m, n * sizeof *m);
    h.matched = copy;
    h.n_matched = n;
    return cf_add_hit(d, &h);
}

static int run_rule(struct cf_detector *d, uint32_t index, bool timed)
{
    const struct cf_rule *r = &d->rs->rules[index];
    struct timespec a, b;
    bool yes;
    int rc = 0;

    cf_count_up(&d->count[index].candidates, 1);
    if (timed)
        (void)clock_gettime(CLOCK_MONOTONIC, &a);
    yes = cf_program_run(d, r);
    if (timed) {
        (void)clock_gettime(CLOCK_MONOTONIC, &b);
        cf_count_up(&d->count[index].ns, (uint64_t)((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec) * COST_SAMPLE);
    }
    if (yes)
        rc = hit(d, r);
    if (yes && rc == 0 && r->n_used_by)
        rc = cf_correlate(d->rs->correlator, d, index);
    return rc;
}

int cf_detect(struct cf_detector *d, const struct cf_event *ev, const struct cf_hit **ret_hits, size_t *ret_n)
{
    struct cf_group *g;
    struct cf_hit *out;
    bool timed;
    int r = 0;

    *ret_n = 0;
    cf_detector_begin(d, ev);
    g = route(d);
    if (!g || d->oom)
        return CF_ENOMEM;
    timed = d->epoch % COST_SAMPLE == 0;
    if (!scan(d, g))
        return CF_ENOMEM;
    look_up(d, g);
    for (uint32_t i = 0; i < g->n_always; i++)
        candidate(d, g->always[i]);
    sort_candidates(d);
    for (uint32_t i = 0; i < d->n_cand && r == 0; i++)
        r = run_rule(d, d->cand[i], timed);
    if (r == 0 && d->rs->correlator)
        r = cf_correlate_closed(d->rs->correlator, d);
    if (r < 0 || d->n_hit == 0)
        return r;
    out = CF_NEW_N(ev->arena, struct cf_hit, d->n_hit);
    if (!out)
        return CF_ENOMEM;
    memcpy(out, d->hit, d->n_hit * sizeof *out);
    *ret_hits = out;
    *ret_n = d->n_hit;
    return 0;
}
