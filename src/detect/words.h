/* SPDX-License-Identifier: Apache-2.0
 * words: looks for a list of long literals in text as it came, upper or lower case, without reading every byte of it. */
#ifndef CF_DETECT_WORDS_H
#define CF_DETECT_WORDS_H

#include "base/str.h"

struct cf_words_slot {
    uint32_t gram, lit; /* lit + 1; 0: empty */
    uint32_t off;
};
struct cf_words { /* immutable */
    uint32_t step, shift, mask; /* shift: hash to mark; mask: of slots */
    uint8_t *mark;
    struct cf_words_slot *slot;
    cf_str *lit;
};
/* Is the list one for cf_words_make? Every literal ASCII and long. */
bool cf_words_fit(const char *const *lit, const size_t *len, uint32_t n);
/* Literals are folded and stay the caller's. NULL: no memory. */
struct cf_words *cf_words_make(const char *const *lit, const size_t *len, uint32_t n);
void cf_words_free(struct cf_words *w);
#define CF_WORDS_GRAM 4u
static inline uint32_t cf_words_gram(const char *p)
{
    uint32_t g;

    memcpy(&g, p, sizeof g);
    return g | 0x20202020u;
}
static inline uint32_t cf_words_mix(uint32_t gram) { return gram * 0x9e3779b1u; }
/* The next place at which something may be, from a place that was one on; SIZE_MAX: none. Most texts have none. */
static inline size_t cf_words_next(const struct cf_words *w, cf_str s, size_t from)
{
    const uint8_t *mark = w->mark;
    uint32_t shift = w->shift;
    size_t step = w->step;

    if (s.n < CF_WORDS_GRAM)
        return SIZE_MAX;
    for (size_t at = from, last = s.n - CF_WORDS_GRAM; at <= last; at += step)
        if (mark[cf_words_mix(cf_words_gram(s.p + at)) >> shift])
            return at;
    return SIZE_MAX;
}
/* Called for each place a literal (by its number in the list) stands at; from and to in s. */
typedef void (*cf_words_fn)(void *ctx, uint32_t lit, size_t from, size_t to);
/* next: what cf_words_next said of 0. */
void cf_words_scan(const struct cf_words *w, cf_str s, size_t next, cf_words_fn fn, void *ctx);

#endif
