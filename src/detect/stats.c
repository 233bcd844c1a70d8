/* SPDX-License-Identifier: Apache-2.0
 * Cost and hits per rule. A detector counts for itself; the ledger keeps the sums of detectors that are gone, by rule id, so that
 * a change of rules does not set the figures back. */
#include <stdlib.h>

#include "detect/match.h"

/* Another thread may read while the owner counts: single words, no order between them is needed. */
static uint64_t peek(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }

static void add(struct cf_rule_counters *to, const struct cf_rule_counters *c)
{
    int64_t last = __atomic_load_n(&c->last_hit_us, __ATOMIC_RELAXED);

    to->candidates += peek(&c->candidates);
    to->hits += peek(&c->hits);
    to->ns += peek(&c->ns);
    if (last > to->last_hit_us)
        to->last_hit_us = last;
}

void cf_detector_counters(const struct cf_detector *d, struct cf_rule_counters *ret)
{
    for (size_t i = 0; i < d->rs->n_rules; i++)
        add(&ret[i], &d->count[i]);
}

struct cf_rule_ledger {
    pthread_mutex_t mu;
    struct cf_map *map;     /* rule id -> entry */
    struct cf_arena keys;
    struct cf_rule_counters *entry;
    size_t n, cap;
};

struct cf_rule_ledger *cf_rule_ledger_new(void)
{
    struct cf_rule_ledger *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->map = cf_map_new();
    if (!l->map) {
        free(l);
        return NULL;
    }
    cf_arena_init(&l->keys, 0, 64u << 20);
    (void)pthread_mutex_init(&l->mu, NULL);
    return l;
}

void cf_rule_ledger_free(struct cf_rule_ledger *l)
{
    if (!l)
        return;
    (void)pthread_mutex_destroy(&l->mu);
    cf_map_free(l->map);
    cf_arena_release(&l->keys);
    free(l->entry);
    free(l);
}

/* Entry of a rule id, made when it is new; NULL: no memory. */
static struct cf_rule_counters *entry(struct cf_rule_ledger *l, cf_str id)
{
    uint32_t *at = cf_map_get(l->map, id);
    cf_str key;

    if (at)
        return &l->entry[*at];
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        struct cf_rule_counters *p = realloc(l->entry, cap * sizeof *p);

        if (!p)
            return NULL;
        l->entry = p;
        l->cap = cap;
    }
    key = cf_arena_copy(&l->keys, id);
    if (!key.p || !cf_map_put(l->map, key, (uint32_t)l->n))
        return NULL;
    l->entry[l->n] = (struct cf_rule_counters){0};
    return &l->entry[l->n++];
}

int cf_rule_ledger_add(struct cf_rule_ledger *l, const struct cf_detector *d)
{
    int r = 0;

    (void)pthread_mutex_lock(&l->mu);
    for (size_t i = 0; i < d->rs->n_rules && r == 0; i++) {
        struct cf_rule_counters *e;

        if (!d->count[i].candidates && !d->count[i].hits)
            continue;
        e = entry(l, d->rs->rules[i].info.id);
        if (e)
            add(e, &d->count[i]);
        else
            r = CF_ENOMEM;
    }
    (void)pthread_mutex_unlock(&l->mu);
    return r;
}

void cf_rule_ledger_get(struct cf_rule_ledger *l, const struct cf_ruleset *rs, struct cf_rule_counters *ret)
{
    (void)pthread_mutex_lock(&l->mu);
    for (size_t i = 0; i < rs->n_rules; i++) {
        uint32_t *at = cf_map_get(l->map, rs->rules[i].info.id);

        if (at)
            add(&ret[i], &l->entry[*at]);
    }
    (void)pthread_mutex_unlock(&l->mu);
}
