/* SPDX-License-Identifier: Apache-2.0
 * One value as JSON text. Inline, because an event's JSON is little else; what is rare is in json_text.c. Writers go behind o, which
 * has room: six times the text's length and 16 bytes. */
#ifndef CF_EVENT_JSON_TEXT_H
#define CF_EVENT_JSON_TEXT_H

#include <emmintrin.h>

#include "event/event.h"

bool cf_json_number(cf_str s); /* as JSON spells numbers */
/* Escapes are copied here; other text than ASCII goes through the checked writer. */
char *cf_json_special(char *o, const char *p, const char *end, struct cf_buf *slow);

static inline bool special8(uint64_t x)
{
    static const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t q = x ^ ones * '"', b = x ^ ones * '\\';

    return ((x | ((x - ones * 0x20) & ~x) | ((q - ones) & ~q) | ((b - ones) & ~b)) & high) != 0;
}

/* Copies text of a JSON string; o has room for six times its length. Sixteen bytes at a time while nothing is special. */
static inline char *put_text(char *o, const char *p, size_t n, struct cf_buf *slow)
{
    const char *end = p + n;

    while (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i bad = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'))),
                                   _mm_cmplt_epi8(x, _mm_set1_epi8(0x20))); /* signed: bytes from 0x80 are below too */
        if (_mm_movemask_epi8(bad))
            goto special;
        _mm_storeu_si128((__m128i *)(void *)o, x);
        p += 16;
        o += 16;
    }
    if (end - p >= 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        if (special8(x))
            goto special;
        memcpy(o, &x, 8);
        p += 8;
        o += 8;
    }
    if (end - p >= 4) {
        uint32_t x;
        memcpy(&x, p, 4);
        if (special8(x | UINT64_C(0x2020202000000000)))
            goto special;
        memcpy(o, &x, 4);
        p += 4;
        o += 4;
    }
    for (; p < end; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == '"' || c == '\\' || c >= 0x80)
            goto special;
        *o++ = (char)c;
    }
    return o;
special:
    return cf_json_special(o, p, end, slow);
}

static inline bool is_number(const struct cf_value *v)
{
    enum cf_ftype type = v->id < CF_F__COUNT ? cf_fields[v->id].type : CF_T_KEYWORD;

    return type == CF_T_LONG || type == CF_T_FLOAT || (v->id == CF_F_EXTRA && (v->kind == CF_V_INT || v->kind == CF_V_FLOAT));
}

static inline char *put_string(char *o, cf_str s, struct cf_buf *slow)
{
    *o++ = '"';
    o = put_text(o, s.p, s.n, slow);
    *o++ = '"';
    return o;
}

static inline char *put_number(char *o, cf_str s, struct cf_buf *slow)
{
    size_t i = 0;

    if (s.n && s.n < 20 && s.p[0] > '0' && s.p[0] <= '9') { /* the usual case: digits */
        for (; i < s.n && (unsigned char)(s.p[i] - '0') < 10; i++)
            o[i] = s.p[i];
        if (i == s.n)
            return o + i;
    }
    if (!cf_json_number(s))
        return put_string(o, s, slow);
    memcpy(o, s.p, s.n);
    return o + s.n;
}

static inline char *put_value(char *o, const struct cf_value *v, struct cf_buf *slow)
{
    cf_str s = {v->p, v->n};

    if (v->kind == CF_V_NULL) {
        memcpy(o, "null", 4);
        return o + 4;
    }
    if (is_number(v))
        return put_number(o, s, slow);
    if (v->kind == CF_V_BOOL && v->id == CF_F_EXTRA && (cf_str_eqz(s, "true") || cf_str_eqz(s, "false"))) {
        memcpy(o, s.p, s.n);
        return o + s.n;
    }
    return put_string(o, s, slow);
}

#endif
