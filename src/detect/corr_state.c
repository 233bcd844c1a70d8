/* SPDX-License-Identifier: Apache-2.0
 * Keys of a correlation shard: a table of states, their entries, and what happens when memory or time runs out. */
#include <stdlib.h>

#include "detect/corr_int.h"

static size_t head_bytes(size_t text_n) { return (offsetof(struct cf_state, text) + text_n + 7) / 8 * 8; }
static struct cf_entry *own_entry(struct cf_state *s) { return (struct cf_entry *)(void *)((char *)s + head_bytes(s->text_n)); }

/* With what the allocator puts around. */
size_t cf_state_bytes(const struct cf_state *s)
{
    size_t n = head_bytes(s->text_n) + sizeof *s->e + 12;

    if (s->cap_log)
        n += cf_state_cap(s) * sizeof *s->e + 12;
    if (s->x)
        n += sizeof *s->x + s->x->cap_dist * sizeof *s->x->dist + s->x->cap_sorted * sizeof *s->x->sorted + 36;
    return n;
}

struct cf_extra *cf_state_extra(struct cf_state *s)
{
    if (!s->x && (s->x = calloc(1, sizeof *s->x)))
        s->x->fired_us = CF_TIME_NONE;
    return s->x;
}

void cf_state_free(struct cf_state *s)
{
    if (!s)
        return;
    if (s->cap_log)
        free(s->e);
    cf_agg_reset(s);
    free(s->x);
    free(s);
}

static size_t place(const struct cf_shard *sh, uint64_t key)
{
    size_t i = (size_t)(key >> 8) & (sh->cap - 1);

    while (sh->slot[i] && sh->slot[i]->key != key)
        i = (i + 1) & (sh->cap - 1);
    return i;
}

struct cf_state *cf_state_find(struct cf_shard *sh, uint64_t key) { return sh->cap ? sh->slot[place(sh, key)] : NULL; }

static bool grow(struct cf_shard *sh)
{
    struct cf_shard big = {.cap = sh->cap ? sh->cap * 2 : 64};

    big.slot = calloc(big.cap, sizeof *big.slot);
    if (!big.slot)
        return false;
    for (size_t i = 0; i < sh->cap; i++)
        if (sh->slot[i])
            big.slot[place(&big, sh->slot[i]->key)] = sh->slot[i];
    free(sh->slot);
    sh->slot = big.slot;
    sh->cap = big.cap;
    return true;
}

struct cf_state *cf_state_make(struct cf_correlator *c, struct cf_shard *sh, uint64_t key, uint32_t corr, cf_str text)
{
    struct cf_state *s;

    for (int tries = 0; sh->bytes > c->max_bytes && sh->n && tries < 64; tries++) { /* over the limit: the clock hand takes keys */
        sh->hand = (sh->hand + 1) & (sh->cap - 1);
        if (!sh->slot[sh->hand])
            continue;
        cf_state_drop(sh, sh->slot[sh->hand]);
        (void)atomic_fetch_add_explicit(&c->evicted, 1, memory_order_relaxed);
        break;
    }
    if (sh->n * 4 >= sh->cap * 3 && !grow(sh))
        return NULL;
    s = malloc(head_bytes(text.n) + sizeof *s->e);
    if (!s)
        return NULL;
    memset(s, 0, offsetof(struct cf_state, text));
    s->key = key;
    s->corr = corr;
    s->text_n = (uint16_t)text.n;
    memcpy(s->text, text.p, text.n);
    s->e = own_entry(s);
    sh->slot[place(sh, key)] = s;
    sh->n++;
    sh->bytes += cf_state_bytes(s);
    return s;
}

/* Takes the key out and closes the gap in its row. */
void cf_state_drop(struct cf_shard *sh, struct cf_state *s)
{
    size_t i = place(sh, s->key), mask = sh->cap - 1;

    sh->bytes -= cf_state_bytes(s) < sh->bytes ? cf_state_bytes(s) : sh->bytes;
    sh->slot[i] = NULL;
    sh->n--;
    for (size_t j = (i + 1) & mask; sh->slot[j]; j = (j + 1) & mask) {
        struct cf_state *m = sh->slot[j];

        sh->slot[j] = NULL;
        sh->slot[place(sh, m->key)] = m;
    }
    cf_state_free(s);
}

uint32_t cf_entries_before(const struct cf_entry *e, uint32_t n, int64_t t)
{
    uint32_t lo = 0;

    while (n) {
        uint32_t half = n / 2;

        if (e[lo + half].t < t) {
            lo += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return lo;
}

ptrdiff_t cf_state_insert(struct cf_state *s, const struct cf_entry *e)
{
    uint32_t at = s->n;

    if (s->n == cf_state_cap(s)) {
        struct cf_entry *p = malloc(2 * (size_t)cf_state_cap(s) * sizeof *p);

        if (!p)
            return -1;
        memcpy(p, s->e, s->n * sizeof *p);
        if (s->cap_log)
            free(s->e);
        s->e = p;
        s->cap_log++;
    }
    if (at && s->e[at - 1].t > e->t)
        at = cf_entries_before(s->e, at, e->t + 1);
    memmove(s->e + at + 1, s->e + at, (s->n - at) * sizeof *s->e);
    s->e[at] = *e;
    s->n++;
    return at;
}

void cf_state_cut(const struct cf_corr *k, struct cf_state *s, uint32_t n)
{
    for (; s->win < n; s->win++)
        cf_agg_leave(k, s, &s->e[s->win]);
    memmove(s->e, s->e + n, (s->n - n) * sizeof *s->e);
    s->n -= n;
    s->win -= n;
}

/* Besides being over in event time a key must have been left alone for a while by the clock: when logs of long ago come in beside
 * those of now, the newest event says nothing about theirs. The while is short when memory is. */
#define GRACE_S 60u
#define GRACE_SHORT_S 2u

void cf_shard_sweep(struct cf_correlator *c, struct cf_shard *sh, size_t steps, int64_t mark, uint32_t now_s)
{
    int64_t newest = sh->newest_us < mark ? sh->newest_us : mark;
    uint32_t grace = sh->bytes < c->max_bytes / 4 ? GRACE_S : GRACE_SHORT_S;

    for (size_t i = 0; sh->n && i < steps; i++) {
        struct cf_state *s;
        const struct cf_corr *k;

        sh->hand = (sh->hand + 1) & (sh->cap - 1);
        s = sh->slot[sh->hand];
        if (!s)
            continue;
        k = c->rs->rules[s->corr].corr;
        if (s->n && (k->at_close || now_s - s->touched_s < grace))
            continue;
        if (s->n == 0 || newest - s->e[s->n - 1].t > k->span_us + c->lateness_us)
            cf_state_drop(sh, s);
    }
}

/* ---- heap of windows that end ---- */

bool cf_close_push(struct cf_correlator *c, struct cf_shard *sh, int64_t at, uint64_t key)
{
    size_t i = sh->n_heap;
    int64_t seen;

    if (sh->n_heap == sh->cap_heap) {
        size_t cap = sh->cap_heap ? sh->cap_heap * 2 : 64;
        struct cf_close *p = realloc(sh->heap, cap * sizeof *p);

        if (!p)
            return false;
        sh->heap = p;
        sh->cap_heap = cap;
    }
    sh->n_heap++;
    for (; i && sh->heap[(i - 1) / 2].at > at; i = (i - 1) / 2)
        sh->heap[i] = sh->heap[(i - 1) / 2];
    sh->heap[i] = (struct cf_close){at, key};
    seen = atomic_load(&c->next_close_us);
    while (at < seen && !atomic_compare_exchange_weak(&c->next_close_us, &seen, at))
        ;
    return true;
}

bool cf_close_pop(struct cf_shard *sh, int64_t now, struct cf_close *ret)
{
    struct cf_close last;
    size_t i = 0;

    if (!sh->n_heap || sh->heap[0].at >= now)
        return false;
    *ret = sh->heap[0];
    last = sh->heap[--sh->n_heap];
    for (;;) {
        size_t k = i * 2 + 1;

        if (k >= sh->n_heap)
            break;
        if (k + 1 < sh->n_heap && sh->heap[k + 1].at < sh->heap[k].at)
            k++;
        if (sh->heap[k].at >= last.at)
            break;
        sh->heap[i] = sh->heap[k];
        i = k;
    }
    if (sh->n_heap)
        sh->heap[i] = last;
    return true;
}
