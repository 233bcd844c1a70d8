/* SPDX-License-Identifier: Apache-2.0
 * Whatever arrives becomes UTF-8 for the fields; the original stays as it came. */
#include <smmintrin.h>
#include <iconv.h>
#include <stdlib.h>

#include "normalise/formats.h"

struct cf_encoding {
    iconv_t gb;
};

struct cf_encoding *cf_encoding_new(void)
{
    struct cf_encoding *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->gb = iconv_open("UTF-8", "GB18030");
    return e;
}

void cf_encoding_free(struct cf_encoding *e)
{
    if (!e)
        return;
    if (e->gb != (iconv_t)-1)
        (void)iconv_close(e->gb);
    free(e);
}

/* Chinese text in GB18030: at least one pair of the two-byte plane, and the result holds common ideographs. Random bytes
 * also decode at times; they do not give mostly ideographs of the basic block. */
static bool looks_chinese(cf_str utf8)
{
    size_t han = 0, odd = 0;

    for (size_t i = 0; i + 2 < utf8.n; i++) {
        unsigned char c = (unsigned char)utf8.p[i];
        if (c < 0xc0)
            continue;
        if ((c >= 0xe4 && c <= 0xe9) || c == 0xef || (c == 0xe3 && (unsigned char)utf8.p[i + 1] <= 0x80) || (c == 0xe2 && (unsigned char)utf8.p[i + 1] == 0x80))
            han++;
        else
            odd++;
    }
    return han > odd * 2;
}

static cf_str try_gb(struct cf_encoding *e, cf_str raw, struct cf_arena *a)
{
    struct cf_arena_mark m = cf_arena_save(a);
    size_t room = raw.n * 2 + 16, left = room, in = raw.n;
    char *out = cf_arena_bytes(a, room), *o = out, *p = (char *)(uintptr_t)raw.p;
    cf_str r;

    if (e->gb == (iconv_t)-1 || !out)
        return CF_STR_NONE;
    (void)iconv(e->gb, NULL, NULL, NULL, NULL);
    if (iconv(e->gb, &p, &in, &o, &left) != (size_t)-1 && in == 0) {
        r = cf_str_n(out, room - left);
        if (looks_chinese(r) && !memchr(r.p, 0, r.n))
            return r;
    }
    cf_arena_rewind(a, m);
    return CF_STR_NONE;
}

/* Length of the valid UTF-8 sequence at p, 0 when there is none. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    size_t len = p[0] < 0x80 ? 1 : (p[0] & 0xe0) == 0xc0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : (p[0] & 0xf8) == 0xf0 ? 4 : 0;

    if (len == 0 || len > n || p[0] == 0)
        return 0;
    return cf_utf8_valid(cf_str_n((const char *)p, len)) ? len : 0;
}

#define AT_LEAST(v, low) (_mm_movemask_epi8(_mm_cmplt_epi8((v), _mm_set1_epi8(low))) == 0)

/* ASCII without NUL, which most records are: one pass. Bytes from 0x80 are below zero. */
static bool plain(cf_str s, bool *printable)
{
    const char *p = s.p, *end = s.p + s.n;
    signed char low = 127;

    if (s.n >= 16) {
        __m128i min = _mm_loadu_si128((const __m128i *)(const void *)(end - 16)); /* overlaps the block before it */
        for (; end - p > 64; p += 64) {
            const __m128i *b = (const __m128i *)(const void *)p;
            min = _mm_min_epi8(min, _mm_min_epi8(_mm_min_epi8(_mm_loadu_si128(b), _mm_loadu_si128(b + 1)), _mm_min_epi8(_mm_loadu_si128(b + 2), _mm_loadu_si128(b + 3))));
        }
        for (; end - p > 16; p += 16)
            min = _mm_min_epi8(min, _mm_loadu_si128((const __m128i *)(const void *)p));
        *printable = AT_LEAST(min, ' ');
        return *printable || AT_LEAST(min, 1);
    }
    for (; p < end; p++)
        low = (signed char)*p < low ? (signed char)*p : low;
    *printable = low >= ' ';
    return low >= 1;
}

cf_str cf_encoding_text(struct cf_encoding *e, cf_str raw, struct cf_arena *a, bool *ret_printable)
{
    cf_str r;
    size_t bad = 0, o = 0;
    char *out;

    *ret_printable = false;
    if (raw.n == 0)
        return CF_STR("");
    if (plain(raw, ret_printable))
        return raw;
    if (cf_utf8_valid_fast(raw) && !memchr(raw.p, 0, raw.n))
        return raw;
    r = try_gb(e, raw, a);
    if (r.p)
        return r;
    for (size_t i = 0; i < raw.n;) {
        size_t n = utf8_len((const unsigned char *)raw.p + i, raw.n - i);
        bad += n == 0;
        i += n ? n : 1;
    }
    out = cf_arena_bytes(a, raw.n + bad * 2);
    if (!out)
        return CF_STR_NONE;
    for (size_t i = 0; i < raw.n;) {
        size_t n = utf8_len((const unsigned char *)raw.p + i, raw.n - i);
        if (n) {
            memcpy(out + o, raw.p + i, n);
            o += n;
            i += n;
        } else {
            memcpy(out + o, "\xef\xbf\xbd", 3);
            o += 3;
            i++;
        }
    }
    return cf_str_n(out, o);
}
