/* SPDX-License-Identifier: Apache-2.0
 * Aggregates over a window: kept running as entries join and leave, or computed anew for late entries and closed windows. */
#include <math.h>
#include <stdlib.h>

#include "detect/corr_int.h"

#define SMALL 12u /* up to here distinct values are counted by looking at the entries */

bool cf_agg_true(const struct cf_corr *k, double v)
{
    for (uint32_t i = 0; i < k->n_bound; i++) {
        double b = k->bound[i].v;
        bool ok = false;

        switch ((enum cf_num_op)k->bound[i].op) {
        case CF_N_EQ:
            ok = v == b;
            break;
        case CF_N_LT:
            ok = v < b;
            break;
        case CF_N_LTE:
            ok = v <= b;
            break;
        case CF_N_GT:
            ok = v > b;
            break;
        case CF_N_GTE:
            ok = v >= b;
            break;
        case CF_N_NEQ:
            ok = v != b;
            break;
        }
        if (!ok)
            return false;
    }
    return true;
}

static int by_num(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Linear interpolation between the two nearest ranks. */
static double percentile(const double *v, size_t n, double p)
{
    double at = p / 100 * (double)(n - 1), lo = floor(at);
    size_t i = (size_t)lo;

    return i + 1 < n ? v[i] + (v[i + 1] - v[i]) * (at - lo) : v[n - 1];
}

/* Longest row of rules in ascending order, each step a later event. */
static double ordered(const struct cf_entry *e, size_t from, size_t to)
{
    uint32_t len[32] = {0}, next[32], best = 0;

    for (size_t i = from; i < to;) {
        size_t j = i;

        memcpy(next, len, sizeof next);
        for (; j < to && e[j].t == e[i].t && e[j].seq == e[i].seq; j++) { /* one event may have hit several rules */
            uint32_t r = (uint32_t)e[j].u.val & 31, before = 0;

            for (uint32_t q = 0; q < r; q++)
                before = len[q] > before ? len[q] : before;
            next[r] = before + 1 > next[r] ? before + 1 : next[r];
        }
        memcpy(len, next, sizeof len);
        i = j;
    }
    for (uint32_t r = 0; r < 32; r++)
        best = len[r] > best ? len[r] : best;
    return best;
}

/* Neumaier's sum: what one number far larger than the rest rounds off comes back when it leaves. */
static void sum_add(double *sum, double *rest, double v)
{
    double t = *sum + v;

    *rest += fabs(*sum) >= fabs(v) ? (*sum - t) + v : (v - t) + *sum;
    *sum = t;
}

static double distinct(const struct cf_entry *e, size_t from, size_t to)
{
    size_t n = to - from, cap = 16, d = 0;
    uint64_t *v;

    while (cap < n * 2)
        cap *= 2;
    v = calloc(cap, sizeof *v);
    if (!v)
        return 0;
    for (size_t i = from; i < to; i++) {
        uint64_t x = e[i].u.val | 1; /* 0 is a free place, as in the running set */
        size_t at = (size_t)(x * 0x9e3779b97f4a7c15u >> 32) & (cap - 1);

        while (v[at] && v[at] != x)
            at = (at + 1) & (cap - 1);
        d += v[at] == 0;
        v[at] = x;
    }
    free(v);
    return (double)d;
}

double cf_agg_fresh(const struct cf_corr *k, const struct cf_entry *e, size_t from, size_t to)
{
    double sum = 0, rest = 0, *v;

    switch ((enum cf_corr_type)k->type) {
    case CF_C_EVENT_COUNT:
        return (double)(to - from);
    case CF_C_VALUE_COUNT:
    case CF_C_TEMPORAL:
        return distinct(e, from, to);
    case CF_C_ORDERED:
        return ordered(e, from, to);
    case CF_C_SUM:
    case CF_C_AVG:
        for (size_t i = from; i < to; i++)
            sum_add(&sum, &rest, e[i].u.num);
        sum += rest;
        return k->type == CF_C_SUM ? sum : to > from ? sum / (double)(to - from) : 0;
    case CF_C_PERCENTILE:
        if (to == from || !(v = malloc((to - from) * sizeof *v)))
            return 0;
        for (size_t i = from; i < to; i++)
            v[i - from] = e[i].u.num;
        qsort(v, to - from, sizeof *v, by_num);
        sum = percentile(v, to - from, k->percentile);
        free(v);
        return sum;
    }
    return 0;
}

/* ---- running ---- */

static struct cf_dslot *dslot(struct cf_dslot *t, uint32_t cap, uint64_t val)
{
    uint32_t i = (uint32_t)(val * 0x9e3779b97f4a7c15u >> 33) & (cap - 1);

    while (t[i].val != val && (t[i].val || t[i].n)) /* a slot once used keeps its value, so that rows stay whole */
        i = (i + 1) & (cap - 1);
    return &t[i];
}

static bool dist_rebuild(struct cf_state *s, uint32_t cap, uint32_t from)
{
    struct cf_extra *x = cf_state_extra(s);
    struct cf_dslot *t = x ? calloc(cap, sizeof *t) : NULL;

    if (!t)
        return false;
    free(x->dist);
    x->dist = t;
    x->cap_dist = cap;
    x->n_dist = x->used_dist = 0;
    for (uint32_t i = from; i < s->n; i++) {
        struct cf_dslot *d = dslot(t, cap, s->e[i].u.val | 1);

        if (!d->val)
            x->used_dist++;
        d->val = s->e[i].u.val | 1;
        if (d->n++ == 0)
            x->n_dist++;
    }
    return true;
}

static bool dist_join(struct cf_state *s, const struct cf_entry *e)
{
    struct cf_extra *x = s->x;
    struct cf_dslot *d;

    if (!x || !x->dist)
        return s->n - s->win <= SMALL || dist_rebuild(s, 64, s->win);
    if ((x->used_dist + 1) * 4 > x->cap_dist * 3) /* the entry is in s->e already: counted by the rebuild */
        return dist_rebuild(s, x->n_dist * 2 >= x->cap_dist ? x->cap_dist * 2 : x->cap_dist, s->win);
    d = dslot(x->dist, x->cap_dist, e->u.val | 1);
    if (!d->val)
        x->used_dist++;
    d->val = e->u.val | 1;
    if (d->n++ == 0)
        x->n_dist++;
    return true;
}

static void dist_leave(struct cf_state *s, const struct cf_entry *e)
{
    struct cf_dslot *d;

    if (!s->x || !s->x->dist)
        return;
    d = dslot(s->x->dist, s->x->cap_dist, e->u.val | 1);
    if (d->n && --d->n == 0)
        s->x->n_dist--;
}

static uint32_t sorted_at(const double *v, uint32_t n, double x)
{
    uint32_t lo = 0, hi = n;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (v[mid] < x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool sorted_join(struct cf_state *s, double v)
{
    struct cf_extra *x = cf_state_extra(s);
    uint32_t n = s->n - s->win - 1, at;

    if (!x)
        return false;
    if (n == x->cap_sorted) {
        uint32_t cap = x->cap_sorted ? x->cap_sorted * 2 : 8;
        double *p = realloc(x->sorted, cap * sizeof *p);

        if (!p)
            return false;
        x->sorted = p;
        x->cap_sorted = cap;
    }
    at = sorted_at(x->sorted, n, v);
    memmove(x->sorted + at + 1, x->sorted + at, (n - at) * sizeof *x->sorted);
    x->sorted[at] = v;
    return true;
}

static void sorted_leave(struct cf_state *s, double v)
{
    double *sorted = s->x ? s->x->sorted : NULL;
    uint32_t n = s->n - s->win, at = sorted ? sorted_at(sorted, n, v) : n;

    if (at < n)
        memmove(sorted + at, sorted + at + 1, (n - at - 1) * sizeof *sorted);
}

bool cf_agg_join(const struct cf_corr *k, struct cf_state *s, const struct cf_entry *e)
{
    switch ((enum cf_corr_type)k->type) {
    case CF_C_VALUE_COUNT:
    case CF_C_TEMPORAL:
        return dist_join(s, e);
    case CF_C_SUM:
    case CF_C_AVG:
        if (!cf_state_extra(s))
            return false;
        sum_add(&s->x->sum, &s->x->sum_rest, e->u.num);
        return true;
    case CF_C_PERCENTILE:
        return sorted_join(s, e->u.num);
    case CF_C_EVENT_COUNT:
    case CF_C_ORDERED:
        return true;
    }
    return true;
}

/* e is s->e[s->win]; win is moved by the caller afterwards. */
void cf_agg_leave(const struct cf_corr *k, struct cf_state *s, const struct cf_entry *e)
{
    switch ((enum cf_corr_type)k->type) {
    case CF_C_VALUE_COUNT:
    case CF_C_TEMPORAL:
        dist_leave(s, e);
        return;
    case CF_C_SUM:
    case CF_C_AVG:
        if (s->x)
            sum_add(&s->x->sum, &s->x->sum_rest, -e->u.num);
        return;
    case CF_C_PERCENTILE:
        sorted_leave(s, e->u.num);
        return;
    case CF_C_EVENT_COUNT:
    case CF_C_ORDERED:
        return;
    }
}

double cf_agg_now(const struct cf_corr *k, const struct cf_state *s)
{
    uint32_t n = s->n - s->win, d = 0;

    switch ((enum cf_corr_type)k->type) {
    case CF_C_EVENT_COUNT:
        return n;
    case CF_C_VALUE_COUNT:
    case CF_C_TEMPORAL:
        if (s->x && s->x->dist)
            return s->x->n_dist;
        for (uint32_t i = s->win; i < s->n; i++) {
            uint32_t j = s->win;

            while (j < i && (s->e[j].u.val | 1) != (s->e[i].u.val | 1))
                j++;
            d += j == i;
        }
        return d;
    case CF_C_ORDERED:
        return ordered(s->e, s->win, s->n);
    case CF_C_SUM:
        return s->x ? s->x->sum + s->x->sum_rest : 0;
    case CF_C_AVG:
        return n && s->x ? (s->x->sum + s->x->sum_rest) / n : 0;
    case CF_C_PERCENTILE:
        return n && s->x && s->x->sorted ? percentile(s->x->sorted, n, k->percentile) : 0;
    }
    return 0;
}

void cf_agg_reset(struct cf_state *s)
{
    struct cf_extra *x = s->x;

    if (!x)
        return;
    free(x->dist);
    free(x->sorted);
    x->dist = NULL;
    x->sorted = NULL;
    x->sum = x->sum_rest = 0;
    x->n_dist = x->used_dist = x->cap_dist = x->cap_sorted = 0;
}
