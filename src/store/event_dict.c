/* SPDX-License-Identifier: Apache-2.0
 * Dictionaries of LowCardinality columns: each different value of a block once, in the order of appearance. */
#include <stdlib.h>

#include "base/hash.h"
#include "store/event_block_private.h"

#define BLOCK_MAX (1u << 30)
#define DICT_MIN 64u

#define SHORT 16u

static inline uint64_t load(const char *p, size_t n)
{
    uint64_t v = 0;

    memcpy(&v, p, n);
    return v;
}

/* Short text is its own key: two words that overlap when there are fewer than 16 bytes. */
static inline void key_of(cf_str s, uint64_t *a, uint64_t *b)
{
    if (s.n > SHORT) {
        *a = cf_hash64(s);
        *b = 0;
    } else if (s.n >= 8) {
        *a = load(s.p, 8);
        *b = load(s.p + s.n - 8, 8);
    } else if (s.n >= 4) {
        *a = load(s.p, 4);
        *b = load(s.p + s.n - 4, 4);
    } else {
        *a = s.n ? (uint8_t)s.p[0] : 0;
        *b = s.n ? (uint64_t)(uint8_t)s.p[s.n / 2] << 8 | (uint8_t)s.p[s.n - 1] : 0;
    }
}

static inline uint32_t spread(uint64_t a, uint64_t b, size_t n)
{
    uint64_t h = (a ^ UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xff51afd7ed558ccd) ^ (b + n) * UINT64_C(0xc4ceb9fe1a85ec53);

    return (uint32_t)((h ^ h >> 29) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static bool dict_grow(struct cf_dict *d)
{
    uint32_t cap = d->slot ? (d->mask + 1) * 2 : DICT_MIN;
    struct entry *bigger = calloc(cap, sizeof *bigger);

    if (!bigger)
        return false;
    for (uint32_t i = 0; d->slot && i <= d->mask; i++) {
        if (!d->slot[i].id)
            continue;
        uint32_t k = spread(d->slot[i].a, d->slot[i].b, d->slot[i].len) & (cap - 1);

        while (bigger[k].id)
            k = (k + 1) & (cap - 1);
        bigger[k] = d->slot[i];
    }
    free(d->slot);
    d->slot = bigger;
    d->mask = cap - 1;
    return true;
}

/* The index of s, which becomes a key when it is not one yet. */
uint32_t cf_dict_key(struct cf_dict *d, cf_str s)
{
    uint64_t a, b;
    uint32_t k;

    if (d->n * 2 >= d->mask && !dict_grow(d)) {
        d->keys.failed = true;
        return 0;
    }
    key_of(s, &a, &b);
    for (k = spread(a, b, s.n) & d->mask; d->slot[k].id; k = (k + 1) & d->mask) {
        const struct entry *e = &d->slot[k];

        if (e->a == a && e->b == b && e->len == s.n && (s.n <= SHORT || memcmp(d->keys.p + e->pos, s.p, s.n) == 0))
            return e->id - 1;
    }
    cf_put_varint(&d->keys, s.n);
    d->slot[k] = (struct entry){.a = a, .b = b, .pos = (uint32_t)d->keys.n, .len = (uint32_t)s.n, .id = ++d->n};
    cf_buf_str(&d->keys, s);
    return d->n - 1;
}

void cf_dict_add(struct cf_dict *d, cf_str s)
{
    cf_dict_put(d, cf_dict_key(d, s));
}

/* text: the interned id of s, 0 when it has none. */
void cf_dict_add_text(struct cf_dict *d, cf_str s, uint16_t text)
{
    struct cf_dict_seen *seen = &d->seen[text % SEEN];

    if (!text) {
        cf_dict_add(d, s);
        return;
    }
    if (seen->text != text)
        *seen = (struct cf_dict_seen){text, cf_dict_key(d, s)};
    cf_dict_put(d, seen->id);
}

/* The value added last, n more times. */
void cf_dict_repeat(struct cf_dict *d, size_t n)
{
    uint32_t id;

    if (!n || d->index.n < 4 || !cf_buf_reserve(&d->index, n * 4))
        return;
    memcpy(&id, d->index.p + d->index.n - 4, 4);
    for (size_t i = 0; i < n; i++)
        memcpy(d->index.p + d->index.n + 4 * i, &id, 4);
    d->index.n += 4 * n;
}

struct cf_dict *cf_dict_new(void)
{
    struct cf_dict *d = calloc(1, sizeof *d);

    if (d) {
        cf_buf_init(&d->keys, BLOCK_MAX);
        cf_buf_init(&d->index, BLOCK_MAX);
        d->mask = 0;
    }
    return d;
}

void cf_dict_clear(struct cf_dict *d)
{
    if (d->n)
        memset(d->slot, 0, sizeof *d->slot * (d->mask + 1));
    memset(d->seen, 0, sizeof d->seen);
    d->n = 0;
    cf_buf_clear(&d->keys);
    cf_buf_clear(&d->index);
}

void cf_dict_free(struct cf_dict *d)
{
    if (!d)
        return;
    cf_buf_release(&d->keys);
    cf_buf_release(&d->index);
    free(d->slot);
    free(d);
}
