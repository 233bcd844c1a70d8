/* SPDX-License-Identifier: Apache-2.0
 * A map from bytes to a number for load time: open addressing, keys are views that the caller keeps alive. */
#include <stdlib.h>

#include "detect/detect_int.h"

struct slot {
    cf_str key;
    uint32_t v;
};
struct cf_map {
    struct slot *slot;
    size_t cap, n;
};

struct cf_map *cf_map_new(void)
{
    struct cf_map *m = calloc(1, sizeof *m);

    if (m) {
        m->cap = 256;
        m->slot = calloc(m->cap, sizeof *m->slot);
        if (!m->slot) {
            free(m);
            return NULL;
        }
    }
    return m;
}

void cf_map_free(struct cf_map *m)
{
    if (m) {
        free(m->slot);
        free(m);
    }
}

static struct slot *find(const struct cf_map *m, cf_str key)
{
    size_t i = cf_hash64(key) & (m->cap - 1);

    while (m->slot[i].key.p && !cf_str_eq(m->slot[i].key, key))
        i = (i + 1) & (m->cap - 1);
    return &m->slot[i];
}

uint32_t *cf_map_get(const struct cf_map *m, cf_str key)
{
    struct slot *s = find(m, key);
    return s->key.p ? &s->v : NULL;
}

static bool grow(struct cf_map *m)
{
    struct cf_map big = {calloc(m->cap * 2, sizeof *m->slot), m->cap * 2, m->n};

    if (!big.slot)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slot[i].key.p)
            *find(&big, m->slot[i].key) = m->slot[i];
    free(m->slot);
    *m = big;
    return true;
}

bool cf_map_put(struct cf_map *m, cf_str key, uint32_t v)
{
    struct slot *s;

    if (m->n * 2 >= m->cap && !grow(m))
        return false;
    if (!key.p)
        key.p = "";
    s = find(m, key);
    if (!s->key.p)
        m->n++;
    s->key = key;
    s->v = v;
    return true;
}
