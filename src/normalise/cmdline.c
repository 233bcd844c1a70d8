/* SPDX-License-Identifier: Apache-2.0
 * A command line as its arguments: cut at blanks, quotes hold words together and are dropped. */
#include <pthread.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "normalise/source.h"

static uint16_t counts[2];
static pthread_once_t counts_once = PTHREAD_ONCE_INIT;

static void counts_fill(void)
{
    counts[0] = cf_name_intern(CF_STR("process.args_count"));
    counts[1] = cf_name_intern(CF_STR("process.parent.args_count"));
}

static const bool blanks[256] = {[' '] = true, ['\t'] = true, ['\n'] = true}, ends[256] = {[' '] = true, ['\t'] = true, ['\n'] = true, ['"'] = true};

/* Padding of hundreds of blanks hides the end of a command line from who reads it: sixteen at a time. */
static const char *skip_blanks(const char *p, const char *end)
{
#ifdef __SSE2__
    for (const __m128i blank = _mm_set1_epi8(' '); end - p >= 16; p += 16) {
        unsigned m = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), blank));
        if (m != 0xffff) {
            p += __builtin_ctz(~m);
            break;
        }
    }
#endif
    while (p < end && blanks[(unsigned char)*p])
        p++;
    return p;
}

/* Up to the next blank or quote. */
static const char *skip_word(const char *p, const char *end)
{
#ifdef __SSE2__
    for (const __m128i blank = _mm_set1_epi8(' '), quote = _mm_set1_epi8('"'), control = _mm_set1_epi8('\n'); end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, control), v); /* tab, new line and what stands seldom */
        unsigned m = (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(_mm_cmpeq_epi8(v, blank), _mm_cmpeq_epi8(v, quote))));
        if (m) {
            p += __builtin_ctz(m);
            break;
        }
    }
#endif
    while (p < end && !ends[(unsigned char)*p])
        p++;
    return p;
}

/* An argument with quotes in it: a copy without them. *p is set behind it. */
static cf_str unquoted(struct cf_run *r, const char **p, const char *end)
{
    char *out = cf_arena_bytes(r->a, (size_t)(end - *p) + 1);
    bool quote = false;
    size_t n = 0;

    if (!out)
        return CF_STR_NONE;
    while (*p < end) {
        const char *from = *p, *stop = quote ? memchr(from, '"', (size_t)(end - from)) : skip_word(from, end);
        stop = stop ? stop : end;
        memcpy(out + n, from, (size_t)(stop - from));
        n += (size_t)(stop - from);
        *p = stop;
        if (stop == end || *stop != '"')
            break;
        quote = !quote;
        (*p)++;
    }
    return cf_str_n(out, n);
}

static cf_str count_text(struct cf_run *r, size_t n)
{
    char *p = cf_arena_bytes(r->a, 3);

    if (!p)
        return CF_STR_NONE;
    p[0] = (char)('0' + n / 100);
    p[1] = (char)('0' + n / 10 % 10);
    p[2] = (char)('0' + n % 10);
    return n < 10 ? cf_str_n(p + 2, 1) : n < 100 ? cf_str_n(p + 1, 2) : cf_str_n(p, 3);
}

void cf_run_args(struct cf_run *r, const struct cf_ref *to, cf_str v)
{
    bool parent = cf_str_starts(to->text, CF_STR("process.parent"));
    const char *p = v.p, *end = v.p + v.n;
    size_t n = 0;

    (void)pthread_once(&counts_once, counts_fill);
    for (; n < 200 && (p = skip_blanks(p, end)) < end; n++) {
        const char *from = p;
        cf_str one;
        p = skip_word(p, end);
        one = cf_str_n(from, (size_t)(p - from));
        if (p < end && *p == '"') {
            p = from;
            one = unquoted(r, &p, end);
            if (!one.p)
                return;
        }
        if (to->field == CF_F_EXTRA)
            (void)cf_event_extra(r->ev, to->name, one, 0, CF_V_STR);
        else if (n)
            (void)cf_event_add(r->ev, (enum cf_field)to->field, one);
        else
            (void)cf_event_set(r->ev, (enum cf_field)to->field, one);
    }
    if (n)
        (void)cf_event_extra(r->ev, counts[parent], count_text(r, n), 0, CF_V_INT);
}
