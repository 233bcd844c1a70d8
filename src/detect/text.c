/* SPDX-License-Identifier: Apache-2.0
 * Text of rules and events: lower-casing and the five ways a value can be looked for. Both sides of a comparison are
 * folded by cf_fold, so that matching itself is plain byte work. */
#include <locale.h>
#include <stdlib.h>
#include <wctype.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "detect/detect_int.h"

static uint16_t fold_bmp[65536];
static pthread_once_t fold_once = PTHREAD_ONCE_INIT;

static void fold_init(void)
{
    locale_t loc = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

    for (uint32_t c = 0; c < 65536; c++) {
        uint32_t l = c;

        if (c >= 0x80 && !(c >= 0xd800 && c <= 0xdfff) && loc)
            l = (uint32_t)towlower_l((wint_t)c, loc);
        /* ASCII stays ASCII and the rest stays outside (the Kelvin sign is no k) */
        fold_bmp[c] = (c >= 0x80 && (l < 0x80 || l > 0xffff)) ? (uint16_t)c : (uint16_t)l;
    }
    if (loc)
        freelocale(loc);
}

static size_t put_utf8(uint32_t c, char *out)
{
    if (c < 0x800) {
        out[0] = (char)(0xc0 | (c >> 6));
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    out[0] = (char)(0xe0 | (c >> 12));
    out[1] = (char)(0x80 | ((c >> 6) & 0x3f));
    out[2] = (char)(0x80 | (c & 0x3f));
    return 3;
}

/* Two- and three-byte characters of well-formed UTF-8; anything else is copied as it is. */
static size_t fold_char(const unsigned char *p, size_t left, char *out, size_t *ret_out)
{
    uint32_t c;

    if (p[0] >= 0xc2 && p[0] < 0xe0 && left >= 2 && (p[1] & 0xc0) == 0x80) {
        c = ((uint32_t)(p[0] & 0x1f) << 6) | (p[1] & 0x3fu);
        *ret_out = put_utf8(fold_bmp[c], out);
        return 2;
    }
    if (p[0] >= 0xe0 && p[0] < 0xf0 && left >= 3 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80) {
        c = ((uint32_t)(p[0] & 0x0f) << 12) | ((uint32_t)(p[1] & 0x3f) << 6) | (p[2] & 0x3fu);
        if (c >= 0x800 && !(c >= 0xd800 && c <= 0xdfff)) {
            *ret_out = put_utf8(fold_bmp[c], out);
            return 3;
        }
    }
    out[0] = (char)p[0];
    *ret_out = 1;
    return 1;
}

/* Whole blocks; *ret_done is how far it came. The result has bit 7 when a byte of them is not ASCII. */
static inline unsigned char fold_ascii(const unsigned char *p, size_t n, size_t *ret_done, char *out)
{
    unsigned char any = 0;
    size_t i = 0;

#ifdef __SSE2__
    const __m128i below = _mm_set1_epi8('A' - 1), above = _mm_set1_epi8('Z' + 1), bit = _mm_set1_epi8(0x20);
    __m128i seen = _mm_setzero_si128();

    for (; i + 16 <= n; i += 16) { /* bytes above 127 are negative: no letters */
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i upper = _mm_and_si128(_mm_cmpgt_epi8(v, below), _mm_cmplt_epi8(v, above));

        seen = _mm_or_si128(seen, v);
        _mm_storeu_si128((__m128i *)(void *)(out + i), _mm_or_si128(v, _mm_and_si128(upper, bit)));
    }
    any = _mm_movemask_epi8(seen) ? 0x80 : 0;
#else
    (void)p;
    (void)n;
    (void)out;
#endif
    *ret_done = i;
    return any;
}

/* memmem for the short texts here: candidates by first and last byte, sixteen places at a time. */
static bool find_text(const char *s, size_t n, const char *pat, size_t pn)
{
    size_t i = 0;

    if (pn == 0)
        return true;
    if (n < pn)
        return false;
#ifdef __SSE2__
    const __m128i first = _mm_set1_epi8(pat[0]), last = _mm_set1_epi8(pat[pn - 1]);

    for (; i + pn - 1 + 16 <= n; i += 16) {
        __m128i a = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)(s + i)), first);
        __m128i b = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)(s + i + pn - 1)), last);
        unsigned m = (unsigned)_mm_movemask_epi8(_mm_and_si128(a, b));

        for (; m; m &= m - 1)
            if (memcmp(s + i + __builtin_ctz(m), pat, pn) == 0)
                return true;
    }
#endif
    for (; i + pn <= n; i++)
        if (s[i] == pat[0] && s[i + pn - 1] == pat[pn - 1] && memcmp(s + i, pat, pn) == 0)
            return true;
    return false;
}

size_t cf_fold(const char *in, size_t n, char *out)
{
    const unsigned char *p = (const unsigned char *)in;
    unsigned char any;
    size_t i, o = 0;

    any = fold_ascii(p, n, &i, out);
    for (; i < n; i++) {
        unsigned char c = p[i];
        any |= c;
        out[i] = (char)(c | (unsigned char)(((unsigned char)(c - 'A') < 26) << 5));
    }
    if (!(any & 0x80))
        return n;
    (void)pthread_once(&fold_once, fold_init);
    for (i = 0; i < n;) {
        size_t w;

        if (p[i] < 0x80) {
            out[o++] = (char)(p[i] | (unsigned char)(((unsigned char)(p[i] - 'A') < 26) << 5));
            i++;
            continue;
        }
        i += fold_char(p + i, n - i, out + o, &w);
        o += w;
    }
    return o;
}

static size_t char_len(const char *s, size_t n)
{
    unsigned char c = (unsigned char)s[0];
    size_t w = c < 0x80 ? 1 : c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    if (w > n)
        return 1;
    for (size_t i = 1; i < w; i++)
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 1;
    return w;
}

static size_t run_of(const char *pat, size_t n)
{
    size_t i = 0;

    while (i < n && pat[i] != CF_WILD_MANY && pat[i] != CF_WILD_ONE)
        i++;
    return i;
}

/* Greedy matching with one point of return. What stands between two '*' is looked for as a whole, in linear time; with a '?' in it the
 * worst is its length (which value.c bounds) times n. */
bool cf_glob_match(const char *pat, size_t pn, const char *s, size_t n)
{
    size_t pi = 0, si = 0, star = SIZE_MAX, mark = 0;

    while (si < n) {
        if (pi < pn && pat[pi] == CF_WILD_MANY) {
            size_t run = run_of(pat + pi + 1, pn - pi - 1);
            const char *hit;

            star = pi++;
            if (run && pi + run == pn)
                return n - si >= run && memcmp(s + n - run, pat + pi, run) == 0;
            hit = run ? memmem(s + si, n - si, pat + pi, run) : s + si;
            if (!hit)
                return false;
            mark = (size_t)(hit - s);
            si = mark + run;
            pi += run;
            continue;
        }
        if (pi < pn && pat[pi] == CF_WILD_ONE) {
            si += char_len(s + si, n - si);
            pi++;
            continue;
        }
        if (pi < pn && pat[pi] == s[si]) {
            pi++;
            si++;
            continue;
        }
        if (star == SIZE_MAX)
            return false;
        pi = star;
        si = mark + char_len(s + mark, n - mark);
    }
    while (pi < pn && pat[pi] == CF_WILD_MANY)
        pi++;
    return pi == pn;
}

bool cf_pat_match(const struct cf_pat *pat, const char *p, size_t n)
{
    switch ((enum cf_pat_kind)pat->kind) {
    case CF_PAT_EXACT:
        return n == pat->n && memcmp(p, pat->p, n) == 0;
    case CF_PAT_PREFIX:
        return n >= pat->n && memcmp(p, pat->p, pat->n) == 0;
    case CF_PAT_SUFFIX:
        return n >= pat->n && memcmp(p + (n - pat->n), pat->p, pat->n) == 0;
    case CF_PAT_CONTAINS:
        return find_text(p, n, pat->p, pat->n);
    case CF_PAT_GLOB:
        return cf_glob_match(pat->p, pat->n, p, n);
    case CF_PAT_ANY:
        return true;
    }
    return false;
}
