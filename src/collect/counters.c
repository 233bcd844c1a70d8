/* SPDX-License-Identifier: Apache-2.0
 * Counters per data source; see counters.h. Look-up walks a hash chain of atomics, creation takes the lock. */
#include "collect/counters.h"

#include <pthread.h>
#include <stdlib.h>

#define BUCKETS 8192u

struct cf_counters {
    pthread_mutex_t mu;
    struct cf_counter *_Atomic bucket[BUCKETS]; /* open addressing */
    struct cf_counter *_Atomic first;
    struct cf_counter *other;
    size_t n;
    int64_t day, tick_us;
};

struct cf_counters *cf_counters_new(void)
{
    struct cf_counters *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    (void)pthread_mutex_init(&c->mu, NULL);
    c->other = cf_counters_get(c, CF_STR("other"), CF_STR_NONE);
    if (!c->other) {
        cf_counters_free(c);
        return NULL;
    }
    return c;
}

void cf_counters_free(struct cf_counters *c)
{
    struct cf_counter *k, *next;

    if (!c)
        return;
    for (k = atomic_load(&c->first); k; k = next) {
        next = k->next;
        free(atomic_load(&k->quality));
        free(k);
    }
    (void)pthread_mutex_destroy(&c->mu);
    free(c);
}

static cf_str clipped(cf_str key)
{
    if (key.n == 0)
        return CF_STR("unknown");
    return key.n < CF_COUNTER_KEY ? key : cf_str_n(key.p, CF_COUNTER_KEY - 1);
}

/* Index of the key's place: its counter, or the free place where it belongs. */
static size_t place(const struct cf_counters *c, cf_str key)
{
    size_t i = (size_t)cf_hash64(key) % BUCKETS;
    const struct cf_counter *k;

    while ((k = atomic_load_explicit(&c->bucket[i], memory_order_acquire)) && !cf_str_eqz(key, k->key))
        i = (i + 1) % BUCKETS;
    return i;
}

struct cf_counter *cf_counters_find(const struct cf_counters *c, cf_str key)
{
    key = clipped(key);
    return atomic_load_explicit(&c->bucket[place(c, key)], memory_order_acquire);
}

struct cf_counter *cf_counters_get(struct cf_counters *c, cf_str key, cf_str org)
{
    struct cf_counter *k = cf_counters_find(c, key);
    size_t i;

    if (k)
        return k;
    key = clipped(key);
    (void)pthread_mutex_lock(&c->mu);
    i = place(c, key);
    k = atomic_load(&c->bucket[i]);
    if (!k && c->n >= CF_COUNTERS_MAX)
        k = c->other;
    if (!k && (k = calloc(1, sizeof *k))) {
        memcpy(k->key, key.p, key.n);
        if (org.n && org.n < sizeof k->org)
            memcpy(k->org, org.p, org.n);
        k->next = atomic_load(&c->first);
        c->n++;
        atomic_store_explicit(&c->bucket[i], k, memory_order_release);
        atomic_store_explicit(&c->first, k, memory_order_release);
    }
    (void)pthread_mutex_unlock(&c->mu);
    return k ? k : c->other;
}

struct cf_counter *cf_counters_first(const struct cf_counters *c) { return atomic_load_explicit(&c->first, memory_order_acquire); }

void cf_counter_accept(struct cf_counter *k, uint64_t n, uint64_t bytes, int64_t now_us)
{
    int64_t none = 0;

    atomic_fetch_add_explicit(&k->received, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&k->accepted, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&k->today, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&k->bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&k->last_us, now_us, memory_order_relaxed);
    (void)atomic_compare_exchange_strong(&k->first_us, &none, now_us);
}

void cf_counter_reject(struct cf_counter *k, uint64_t n)
{
    atomic_fetch_add_explicit(&k->received, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&k->rejected, n, memory_order_relaxed);
}

void cf_counters_tick(struct cf_counters *c, int64_t now_us)
{
    int64_t day = (now_us + 8 * 3600 * CF_US_PER_S) / CF_US_PER_DAY, took = now_us - c->tick_us; /* days of the city: UTC+8 */
    bool new_day = c->tick_us != 0 && day != c->day;

    for (struct cf_counter *k = cf_counters_first(c); k; k = k->next) {
        uint64_t received = atomic_load(&k->received), now_milli, was = atomic_load(&k->eps_milli);

        if (c->tick_us && took > 0) {
            now_milli = (received - k->tick_received) * 1000u * 1000000u / (uint64_t)took;
            atomic_store(&k->eps_milli, now_milli > was ? was + (now_milli - was) / 4 + 1 : was - (was - now_milli) / 4);
            if (now_milli == 0 && was < 20)
                atomic_store(&k->eps_milli, 0);
            if (now_milli > atomic_load(&k->peak_milli))
                atomic_store(&k->peak_milli, now_milli);
        }
        k->tick_received = received;
        if (new_day) {
            atomic_store(&k->today, 0);
            atomic_store(&k->today_unparsed, 0);
        }
    }
    c->day = day;
    c->tick_us = now_us;
}
