/* SPDX-License-Identifier: Apache-2.0
 * Prefix table: open addressing over (masked address, length). */
#include "base/prefix.h"

#include <stdlib.h>

#include "base/hash.h"

struct slot {
    struct cf_ip ip;
    uint32_t value;
    uint8_t bits;
    bool used;
};
struct cf_prefix_table {
    size_t mask;
    size_t n_bits;
    uint8_t bits[129]; /* lengths in use, longest first */
    struct slot slot[];
};

static struct cf_ip masked(const struct cf_ip *ip, uint8_t bits)
{
    struct cf_ip m = {{0}};
    size_t whole = bits / 8;

    memcpy(m.b, ip->b, whole);
    if (bits % 8)
        m.b[whole] = (uint8_t)(ip->b[whole] & (0xff00u >> (bits % 8)));
    return m;
}

static struct slot *find(const struct cf_prefix_table *t, const struct cf_ip *ip, uint8_t bits)
{
    uint64_t h = cf_hash64_seed(cf_str_n((const char *)ip->b, sizeof ip->b), bits);

    for (size_t i = (size_t)h & t->mask;; i = (i + 1) & t->mask) {
        const struct slot *s = &t->slot[i];

        if (!s->used || (s->bits == bits && memcmp(s->ip.b, ip->b, sizeof ip->b) == 0))
            return (struct slot *)(uintptr_t)s;
    }
}

struct cf_prefix_table *cf_prefix_table_new(const struct cf_prefix *p, size_t n)
{
    struct cf_prefix_table *t;
    bool seen[129] = {false};
    size_t cap = 8;

    while (cap < n * 2)
        cap *= 2;
    t = calloc(1, sizeof *t + cap * sizeof t->slot[0]);
    if (!t)
        return NULL;
    t->mask = cap - 1;
    for (size_t i = 0; i < n; i++) {
        uint8_t bits = p[i].net.bits > 128 ? 128 : p[i].net.bits;
        struct cf_ip m = masked(&p[i].net.ip, bits);
        struct slot *s = find(t, &m, bits);

        if (s->used)
            continue;
        *s = (struct slot){m, p[i].value, bits, true};
        seen[bits] = true;
    }
    for (int b = 128; b >= 0; b--)
        if (seen[b])
            t->bits[t->n_bits++] = (uint8_t)b;
    return t;
}

void cf_prefix_table_free(struct cf_prefix_table *t) { free(t); }

bool cf_prefix_find(const struct cf_prefix_table *t, const struct cf_ip *ip, uint32_t *ret)
{
    for (size_t i = 0; i < t->n_bits; i++) {
        struct cf_ip m = masked(ip, t->bits[i]);
        const struct slot *s = find(t, &m, t->bits[i]);

        if (s->used) {
            *ret = s->value;
            return true;
        }
    }
    return false;
}
