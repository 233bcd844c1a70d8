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
    d->cand_epoch = calloc(crs->n_rules + 1, sizeof *d->cand_epoch);
    d->cand = calloc(crs->n_rules + 1, sizeof *d->cand);
    d->count = calloc(crs->n_rules + 1, sizeof *d->count);
    if (!d->cand_epoch || !d->cand || !d->count) {
        cf_detector_free(d);
        return NULL;
    }
    d->clock = crs->n_rules > crs->n_base ? cf_clock_take(crs->correlator) : NULL;
    return d;
}

void cf_detector_part_begin(struct cf_detector *d) { cf_clock_set(d->clock, INT64_MIN); }
void cf_detector_part_end(struct cf_detector *d) { cf_clock_set(d->clock, INT64_MAX); }

void cf_detector_free(struct cf_detector *d)
{
    if (!d)
        return;
    cf_clock_give(d->clock);
    cf_shapes_free(d);
    cf_prefilter_free(d);
    free(d->fold);
    free(d->buf);
    free(d->by_raw);
    free(d->by_name);
    free(d->pool);
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

static inline const struct cf_value *route_val(const struct cf_detector *d, uint32_t i)
{
    return cf_val_at(d, d->shape->route[i]);
}

/* Everything the route depends on, as one number. */
static uint64_t route_sig(const struct cf_detector *d)
{
    uint64_t h = d->shape->route_hash;

    for (uint32_t i = 0; i < d->shape->n_route; i++) {
        const struct cf_value *v = route_val(d, i);
        h = cf_hash64_seed((cf_str){v->p, v->n}, h + (v->kind == CF_V_NULL));
    }
    return h ? h : 1;
}

/* All that decides the route is as in the newest event of this shape. */
static bool same_route(const struct cf_detector *d)
{
    const struct cf_shape *s = d->shape;
    const char *last = s->last_text;

    if (!s->last_group)
        return false;
    for (uint32_t i = 0; i < s->n_route; i++) {
        const struct cf_value *v = route_val(d, i);

        if (v->kind == CF_V_NULL || v->n != s->last_len[i] || !cf_same_bytes(last, v->p, v->n))
            return false;
        last += v->n;
    }
    return true;
}

static void note_route(struct cf_detector *d, struct cf_group *g)
{
    struct cf_shape *s = d->shape;
    size_t n = 0;

    s->last_group = NULL;
    for (uint32_t i = 0; i < s->n_route; i++) {
        const struct cf_value *v = route_val(d, i);

        if (v->kind == CF_V_NULL || v->n > CF_ROUTE_TEXT - n)
            return;
        if (v->n)
            memcpy(s->last_text + n, v->p, v->n);
        s->last_len[i] = (uint16_t)v->n;
        n += v->n;
    }
    s->last_group = g;
}

static struct cf_group *route(struct cf_detector *d)
{
    uint64_t sig, bits[CF_LS_WORDS];
    struct cf_route_slot *s;
    bool routed;

    if (same_route(d))
        return d->shape->last_group;
    sig = route_sig(d);
    s = &d->route[sig % CF_ROUTE_SLOTS];
    if (s->sig != sig) {
        routed = cf_route_bits(d, bits);
        s->group = cf_group_get(d->rs, bits, !routed);
        s->sig = s->group ? sig : 0;
    }
    note_route(d, s->group);
    return s->group;
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
    if (yes && rc == 0 && r->n_used_by && d->ev->seq >= d->rs->skip_below)
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
    g = d->oom ? NULL : route(d);
    if (!g || d->oom)
        return CF_ENOMEM;
    timed = d->epoch % COST_SAMPLE == 0;
    if (d->clock)
        cf_clock_tick(d->clock, ev);
    if (!cf_prefilter(d, g))
        return CF_ENOMEM;
    for (uint32_t i = 0; i < g->n_always; i++)
        cf_candidate(d, g->always[i]);
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
