/* SPDX-License-Identifier: Apache-2.0
 * What the scanners of delimited text share (cef.c, pairs.c). */
#ifndef CF_NORMALISE_PAIRS_INT_H
#define CF_NORMALISE_PAIRS_INT_H

#include "normalise/formats.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* First place of a or b in [p, end), or end. */
static inline const char *find2(const char *p, const char *end, char a, char b)
{
#ifdef __SSE2__
    const __m128i va = _mm_set1_epi8(a), vb = _mm_set1_epi8(b);

    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        unsigned m = (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, va), _mm_cmpeq_epi8(v, vb)));
        if (m)
            return p + __builtin_ctz(m);
    }
#endif
    while (p < end && *p != a && *p != b)
        p++;
    return p;
}

/* Takes the backslash off the characters of `which` and off itself; an n or r behind one becomes a line end. A copy in a, when there is one. */
cf_str cf_unescape(cf_str v, const char *which, struct cf_arena *a);
/* key=value with blanks in values: a value ends before the blank in front of the next "key=". 0 or CF_ELIMIT. */
int cf_spaced_pairs(cf_str s, char assign, struct cf_arena *a, const char *escapes, struct cf_pairs *ret);

#endif
