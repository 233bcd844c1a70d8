/* SPDX-License-Identifier: Apache-2.0
 * Numbers and addresses inside a longer text, 16 bytes at once and without loops: their lengths change from record to record,
 * so that each turn of a loop over digits is a branch that is often guessed wrong. The 16 bytes end where the value ends; what
 * stands in front of it is masked. */
#ifndef CF_NORMALISE_WIDE_H
#define CF_NORMALISE_WIDE_H

#include "base/str.h"

#ifdef __SSSE3__
#include <tmmintrin.h>
#endif

struct cf_wide {      /* values that end in [from, from + room] have 16 bytes of the text up to their end. Init with {0}: none have */
    const char *from;
    size_t room;
};
static inline struct cf_wide cf_wide_of(cf_str text)
{
    return text.n >= 16 ? (struct cf_wide){text.p + 16, text.n - 16} : (struct cf_wide){NULL, 0};
}

#ifdef __SSSE3__
static inline bool cf_wide_has(const struct cf_wide *w, cf_str v) { return v.n - 1 < 16 && (uintptr_t)(v.p + v.n) - (uintptr_t)w->from <= w->room; }

extern const uint8_t cf_wide_last[32];    /* from 16 - n on: 16 bytes of which the last n are 0xff */
extern const uint8_t cf_wide_octets[81][16];

/* The last n of the 16 bytes in front of `end`, less '0'; zeros before them. */
static inline __m128i cf_wide_digits(const char *end, size_t n)
{
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(end - 16)), mine = _mm_loadu_si128((const __m128i *)(const void *)(cf_wide_last + n));

    return _mm_and_si128(_mm_xor_si128(x, _mm_set1_epi8('0')), mine);
}

static inline bool cf_wide_below10(__m128i x) { return _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(9)), x)) == 0xffff; }

/* v has 1 to 16 characters and is wide. False: not only digits. */
static inline bool cf_wide_number(cf_str v, int64_t *ret)
{
    __m128i x = cf_wide_digits(v.p + v.n, v.n);
    uint64_t two;

    if (!cf_wide_below10(x))
        return false;
    x = _mm_maddubs_epi16(x, _mm_setr_epi8(10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1));
    x = _mm_madd_epi16(x, _mm_setr_epi16(100, 1, 100, 1, 100, 1, 100, 1));
    x = _mm_packs_epi32(x, x);
    x = _mm_madd_epi16(x, _mm_setr_epi16(10000, 1, 10000, 1, 10000, 1, 10000, 1));
    two = (uint64_t)_mm_cvtsi128_si64(x); /* eight digits each */
    *ret = (int64_t)((two & 0xffffffff) * 100000000 + (two >> 32));
    return true;
}

/* v has 1 to 16 characters and is wide. False: not four numbers up to 255 of up to three digits with dots between. */
static inline bool cf_wide_ip4(cf_str v, uint8_t ret[4])
{
    const __m128i x = cf_wide_digits(v.p + v.n, v.n), dot = _mm_set1_epi8('.' ^ '0');
    unsigned dots = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, dot)), first, second, third, a, b, c, d;
    __m128i octet;
    uint32_t four;

    if (!dots)
        return false;
    first = (unsigned)__builtin_ctz(dots);
    dots &= dots - 1;
    if (!dots)
        return false;
    second = (unsigned)__builtin_ctz(dots);
    dots &= dots - 1;
    if (!dots || (dots & (dots - 1)))
        return false;
    third = (unsigned)__builtin_ctz(dots);
    a = first - (16 - (unsigned)v.n) - 1; /* lengths less one */
    b = second - first - 2;
    c = third - second - 2;
    d = 14 - third;
    if (a > 2 || b > 2 || c > 2 || d > 2)
        return false;
    octet = _mm_shuffle_epi8(x, _mm_loadu_si128((const __m128i *)(const void *)cf_wide_octets[((d * 3 + c) * 3 + b) * 3 + a]));
    if (!cf_wide_below10(octet))
        return false;
    octet = _mm_maddubs_epi16(octet, _mm_setr_epi8(0, 100, 10, 1, 0, 100, 10, 1, 0, 100, 10, 1, 0, 100, 10, 1));
    octet = _mm_madd_epi16(octet, _mm_set1_epi16(1));
    if (_mm_movemask_epi8(_mm_cmpgt_epi32(octet, _mm_set1_epi32(255))))
        return false;
    octet = _mm_packs_epi32(octet, octet);
    four = (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(octet, octet));
    memcpy(ret, &four, 4);
    return true;
}
#else
static inline bool cf_wide_has(const struct cf_wide *w, cf_str v)
{
    (void)w, (void)v;
    return false;
}
static inline bool cf_wide_number(cf_str v, int64_t *ret)
{
    (void)v, (void)ret;
    return false;
}
static inline bool cf_wide_ip4(cf_str v, uint8_t ret[4])
{
    (void)v, (void)ret;
    return false;
}
#endif

#endif
