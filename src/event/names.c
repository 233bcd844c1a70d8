/* SPDX-License-Identifier: Apache-2.0
 * The field table as data, and the interned names. Interning: one append-only array of names and one open-addressed table
 * of ids. Writers hold a lock; readers probe with acquire loads and never wait. The table is sized for the maximum, so it
 * never moves. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "event/event.h"

const struct cf_field_info cf_fields[CF_F__COUNT] = {
#define X(sym, fname, ftype, fdoc) [CF_F_##sym] = {.name = fname, .doc = fdoc, .name_n = sizeof(fname) - 1, .type = CF_T_##ftype},
#include "event/fields.def"
#undef X
};

enum cf_field cf_field_find(cf_str name)
{
    size_t lo = 0, hi = CF_F__COUNT;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = cf_str_cmp(name, cf_str_n(cf_fields[mid].name, cf_fields[mid].name_n));
        if (c == 0)
            return (enum cf_field)mid;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return CF_F_EXTRA;
}

#define NAMES_MAX 65000u
#define SLOTS 131072u /* power of two, at most half full */
#define NAME_BYTES_MAX 512u

static struct {
    pthread_mutex_t lock; /* n, and writing to the arrays */
    uint32_t n;
    cf_str text[NAMES_MAX + 1];
    uint64_t hash[NAMES_MAX + 1];
    _Atomic uint16_t slot[SLOTS];
} names = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint16_t probe(cf_str name, uint64_t h, size_t *ret_free)
{
    size_t i = h & (SLOTS - 1);

    for (;; i = (i + 1) & (SLOTS - 1)) {
        uint16_t id = atomic_load_explicit(&names.slot[i], memory_order_acquire);
        if (id == 0) {
            if (ret_free)
                *ret_free = i;
            return 0;
        }
        if (names.hash[id] == h && cf_str_eq(names.text[id], name))
            return id;
    }
}

uint16_t cf_name_find(cf_str name) { return probe(name, cf_hash64(name), NULL); }

uint16_t cf_name_intern(cf_str name)
{
    uint64_t h = cf_hash64(name);
    uint16_t id = probe(name, h, NULL);
    size_t at;

    if (id || name.n == 0 || name.n > NAME_BYTES_MAX)
        return id;
    (void)pthread_mutex_lock(&names.lock);
    id = probe(name, h, &at);
    if (!id && names.n < NAMES_MAX) {
        char *copy = malloc(name.n + 1);
        if (copy) {
            memcpy(copy, name.p, name.n);
            copy[name.n] = '\0';
            id = (uint16_t)++names.n;
            names.text[id] = cf_str_n(copy, name.n);
            names.hash[id] = h;
            atomic_store_explicit(&names.slot[at], id, memory_order_release);
        }
    }
    (void)pthread_mutex_unlock(&names.lock);
    return id;
}

cf_str cf_name_text(uint16_t id) { return names.text[id]; }
