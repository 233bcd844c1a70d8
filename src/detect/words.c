/* SPDX-License-Identifier: Apache-2.0
 * Literals of m bytes and more: of the first m - 3 groups of four bytes of a literal one stands at a place that m - 3 divides,
 * wherever the literal begins. So only these places are looked at: one load, one mark; the few that are marked are looked up.
 *
 *   text   . . . . . . p r i v | i l e g e : : d | e b u g        step = m - 3
 *                      ^ step k        ^ step k + 1                each: mark[hash] -> slots of the four bytes -> compare
 *
 * Bytes are compared with bit 5 set for the first look (that is no folding: '@' and '`' fall together), folded for the last.
 * Folding never turns ASCII into something else nor back, so that unfolded text holds the same ASCII literals as folded text. */
#include <stdlib.h>

#include "detect/words.h"

#define MIN_LEN 7u /* shorter literals make the steps too short to gain anything */
#define MAX_LIT 4096u

bool cf_words_fit(const char *const *lit, const size_t *len, uint32_t n)
{
    if (n == 0 || n > MAX_LIT)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (len[i] < MIN_LEN)
            return false;
        for (size_t k = 0; k < len[i]; k++)
            if (lit[i][k] & 0x80)
                return false;
    }
    return true;
}

static void put(struct cf_words *w, uint32_t lit, uint32_t off)
{
    uint32_t g = cf_words_gram(w->lit[lit].p + off), h = cf_words_mix(g), at = h >> 12 & w->mask;

    w->mark[h >> w->shift] = 1;
    while (w->slot[at].lit)
        at = (at + 1) & w->mask;
    w->slot[at] = (struct cf_words_slot){g, lit + 1, off};
}

struct cf_words *cf_words_make(const char *const *lit, const size_t *len, uint32_t n)
{
    struct cf_words *w = calloc(1, sizeof *w);
    size_t min = SIZE_MAX, slots = 64, bits = 12; /* 4,096 marks and more: 32 for each that is set */

    for (uint32_t i = 0; i < n; i++)
        min = len[i] < min ? len[i] : min;
    if (!w)
        return NULL;
    w->step = (uint32_t)(min - CF_WORDS_GRAM + 1);
    while (slots < (size_t)n * w->step * 2)
        slots *= 2;
    while (bits < 16 && ((size_t)1 << bits) < (size_t)n * w->step * 32)
        bits++;
    w->mask = (uint32_t)slots - 1;
    w->shift = 32 - (uint32_t)bits;
    w->mark = calloc((size_t)1 << bits, 1);
    w->slot = calloc(slots, sizeof *w->slot);
    w->lit = calloc((size_t)n + 1, sizeof *w->lit);
    if (!w->mark || !w->slot || !w->lit) {
        cf_words_free(w);
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        w->lit[i] = (cf_str){lit[i], len[i]};
        for (uint32_t k = 0; k < w->step; k++)
            put(w, i, k);
    }
    return w;
}

void cf_words_free(struct cf_words *w)
{
    if (!w)
        return;
    free(w->mark);
    free(w->slot);
    free(w->lit);
    free(w);
}

static bool same_folded(const char *s, cf_str low)
{
    for (size_t i = 0; i < low.n; i++) {
        unsigned char c = (unsigned char)s[i];

        if ((c | (unsigned char)((unsigned char)(c - 'A') < 26) << 5) != (unsigned char)low.p[i])
            return false;
    }
    return true;
}

static void look_up(const struct cf_words *w, cf_str s, size_t at, uint32_t gram, cf_words_fn fn, void *ctx)
{
    for (uint32_t i = cf_words_mix(gram) >> 12 & w->mask; w->slot[i].lit; i = (i + 1) & w->mask) {
        const struct cf_words_slot *e = &w->slot[i];
        cf_str lit = w->lit[e->lit - 1];

        if (e->gram == gram && at >= e->off && s.n - (at - e->off) >= lit.n && same_folded(s.p + (at - e->off), lit))
            fn(ctx, e->lit - 1, at - e->off, at - e->off + lit.n);
    }
}

void cf_words_scan(const struct cf_words *w, cf_str s, size_t next, cf_words_fn fn, void *ctx)
{
    for (; next != SIZE_MAX; next = cf_words_next(w, s, next + w->step))
        look_up(w, s, next, cf_words_gram(s.p + next), fn, ctx);
}
