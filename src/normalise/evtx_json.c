/* SPDX-License-Identifier: Apache-2.0
 * Values and elements of binary XML as JSON. */
#include <emmintrin.h>
#include <math.h>
#include <stdio.h>

#include "normalise/evtx_int.h"

static uint64_t le(const char *p, size_t n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | (unsigned char)p[n];
    return v;
}

/* Eight units at a time while they are ASCII and none is NUL. Units passed; o has room for as many bytes and seven more. */
static size_t ascii_run(cf_str u, char *o)
{
    const __m128i high = _mm_set1_epi16((short)0xff80), zero = _mm_setzero_si128();
    size_t i = 0;

    for (; i + 16 <= u.n; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(u.p + i));
        __m128i other = _mm_or_si128(_mm_xor_si128(_mm_cmpeq_epi16(_mm_and_si128(v, high), zero), _mm_set1_epi8(-1)), _mm_cmpeq_epi16(v, zero));

        if (_mm_movemask_epi8(other))
            break;
        _mm_storel_epi64((__m128i *)(void *)(o + i / 2), _mm_packus_epi16(v, v));
    }
    return i / 2;
}

cf_str evtx_utf8(struct cf_arena *a, cf_str u)
{
    char *out = cf_arena_bytes(a, u.n / 2 * 3 + 8), *o = out;

    if (!out)
        return CF_STR_NONE;
    o += ascii_run(u, out);
    for (size_t i = (size_t)(o - out) * 2; i + 1 < u.n; i += 2) {
        uint32_t c = (uint32_t)le(u.p + i, 2);
        if (c == 0)
            break;
        if (c < 0x80) {
            *o++ = (char)c;
            continue;
        }
        if (c >= 0xd800 && c <= 0xdfff) {
            uint32_t d = i + 3 < u.n ? (uint32_t)le(u.p + i + 2, 2) : 0;
            if (c <= 0xdbff && d >= 0xdc00 && d <= 0xdfff) {
                c = 0x10000 + ((c - 0xd800) << 10) + (d - 0xdc00);
                i += 2;
            } else {
                c = 0xfffd;
            }
        }
        if (c < 0x800) {
            *o++ = (char)(0xc0 | c >> 6);
        } else if (c < 0x10000) {
            *o++ = (char)(0xe0 | c >> 12);
            *o++ = (char)(0x80 | (c >> 6 & 0x3f));
        } else {
            *o++ = (char)(0xf0 | c >> 18);
            *o++ = (char)(0x80 | (c >> 12 & 0x3f));
            *o++ = (char)(0x80 | (c >> 6 & 0x3f));
        }
        *o++ = (char)(0x80 | (c & 0x3f));
    }
    return cf_str_n(out, (size_t)(o - out));
}

/* The lowest n digits of v in upper case. */
static void put_hex(struct cf_buf *out, uint64_t v, unsigned n)
{
    char text[16];

    for (unsigned i = n; i--; v >>= 4)
        text[i] = "0123456789ABCDEF"[v & 15];
    cf_buf_add(out, text, n);
}

static void put_0x(struct cf_buf *out, uint64_t v)
{
    char text[18];
    size_t at = sizeof text;

    do
        text[--at] = "0123456789abcdef"[v & 15];
    while (v >>= 4);
    text[--at] = 'x';
    text[--at] = '0';
    cf_buf_add(out, text + at, sizeof text - at);
}

static void put_guid(struct cf_buf *out, const char *p)
{
    put_hex(out, le(p, 4), 8);
    cf_buf_byte(out, '-');
    put_hex(out, le(p + 4, 2), 4);
    cf_buf_byte(out, '-');
    put_hex(out, le(p + 6, 2), 4);
    for (int i = 8; i < 16; i++) {
        if (i == 8 || i == 10)
            cf_buf_byte(out, '-');
        put_hex(out, (unsigned char)p[i], 2);
    }
}

static void put_sid(struct cf_buf *out, cf_str raw)
{
    uint64_t authority = 0;

    for (int i = 2; i < 8; i++)
        authority = authority << 8 | (unsigned char)raw.p[i];
    cf_buf_z(out, "S-");
    cf_buf_u64(out, (unsigned char)raw.p[0]);
    cf_buf_byte(out, '-');
    cf_buf_u64(out, authority);
    for (size_t i = 8; i + 4 <= raw.n && i < 8 + 4u * (unsigned char)raw.p[1]; i += 4) {
        cf_buf_byte(out, '-');
        cf_buf_u64(out, le(raw.p + i, 4));
    }
}

static void put_time(struct cf_buf *out, int64_t us)
{
    char t[32];
    size_t n = cf_time_format(us, t);

    if (n == 20) { /* keep six digits, as the other readers of this format do */
        cf_buf_add(out, t, 19);
        cf_buf_z(out, ".000000Z");
    } else {
        cf_buf_add(out, t, n);
    }
}

/* Seconds between 1601 and 1970, FILETIME counts 100 ns. */
static void put_filetime(struct cf_buf *out, uint64_t ft)
{
    put_time(out, (int64_t)(ft / 10) - INT64_C(11644473600) * CF_US_PER_S);
}

static void put_systemtime(struct cf_buf *out, const char *p)
{
    unsigned f[8];

    for (int i = 0; i < 8; i++)
        f[i] = (unsigned)le(p + 2 * i, 2);
    cf_buf_printf(out, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", f[0], f[1], f[3], f[4], f[5], f[6], f[7] * 1000);
}

static void put_double(struct cf_buf *out, double d)
{
    if (isfinite(d))
        cf_buf_printf(out, "%.17g", d);
    else
        cf_buf_z(out, "0");
}

static size_t width(unsigned type)
{
    static const unsigned char w[] = {[EVTX_I8] = 1, [EVTX_U8] = 1, [EVTX_I16] = 2, [EVTX_U16] = 2, [EVTX_I32] = 4, [EVTX_U32] = 4, [EVTX_I64] = 8,
                                      [EVTX_U64] = 8, [EVTX_F32] = 4, [EVTX_F64] = 8, [EVTX_BOOL] = 4, [EVTX_GUID] = 16, [EVTX_FILETIME] = 8,
                                      [EVTX_SYSTEMTIME] = 16, [EVTX_SID] = 8, [EVTX_HEX32] = 4, [EVTX_HEX64] = 8};
    return type < sizeof w ? w[type] : 0;
}

static bool is_number(unsigned type) { return (type >= EVTX_I8 && type <= EVTX_BOOL) || type == EVTX_SIZE; }

void evtx_value_text(struct cf_buf *out, struct cf_arena *a, unsigned type, cf_str raw)
{
    float f;
    double d;

    if (raw.n < width(type)) /* shorter than its type: nothing readable */
        return;
    switch (type) {
    case EVTX_WSTRING: cf_buf_str(out, evtx_utf8(a, raw)); break;
    case EVTX_STRING:
    case EVTX_UTF8: cf_buf_add(out, raw.p, strnlen(raw.p, raw.n)); break;
    case EVTX_I8: cf_buf_i64(out, (signed char)raw.p[0]); break;
    case EVTX_I16: cf_buf_i64(out, (int16_t)le(raw.p, 2)); break;
    case EVTX_I32: cf_buf_i64(out, (int32_t)le(raw.p, 4)); break;
    case EVTX_I64: cf_buf_i64(out, (int64_t)le(raw.p, 8)); break;
    case EVTX_U8:
    case EVTX_U16:
    case EVTX_U32:
    case EVTX_U64: cf_buf_u64(out, le(raw.p, width(type))); break;
    case EVTX_SIZE: cf_buf_u64(out, le(raw.p, raw.n < 8 ? raw.n : 8)); break;
    case EVTX_F32:
        memcpy(&f, raw.p, 4);
        put_double(out, (double)f);
        break;
    case EVTX_F64:
        memcpy(&d, raw.p, 8);
        put_double(out, d);
        break;
    case EVTX_BOOL: cf_buf_z(out, le(raw.p, 4) ? "true" : "false"); break;
    case EVTX_GUID: put_guid(out, raw.p); break;
    case EVTX_FILETIME: put_filetime(out, le(raw.p, 8)); break;
    case EVTX_SYSTEMTIME: put_systemtime(out, raw.p); break;
    case EVTX_SID: put_sid(out, raw); break;
    case EVTX_HEX32:
    case EVTX_HEX64: put_0x(out, le(raw.p, width(type))); break;
    default: /* binary and what is unknown: hexadecimal */
        for (size_t i = 0; i < raw.n; i++)
            put_hex(out, (unsigned char)raw.p[i], 2);
    }
}

/* Text goes through a scratch buffer so that it is escaped once. */
static void quoted(struct cf_buf *out, struct cf_arena *a, unsigned type, cf_str raw)
{
    struct cf_buf tmp;

    if (type == EVTX_WSTRING) {
        cf_buf_json(out, evtx_utf8(a, raw));
        return;
    }
    if (type != EVTX_STRING && type != EVTX_UTF8) { /* digits and letters only */
        cf_buf_byte(out, '"');
        evtx_value_text(out, a, type, raw);
        cf_buf_byte(out, '"');
        return;
    }
    cf_buf_init(&tmp, 1 << 20);
    evtx_value_text(&tmp, a, type, raw);
    cf_buf_json(out, cf_buf_view(&tmp));
    cf_buf_release(&tmp);
}

static void array(struct cf_buf *out, struct cf_arena *a, unsigned type, cf_str raw)
{
    size_t w = width(type), n = 0;

    cf_buf_byte(out, '[');
    while (raw.n) {
        cf_str one = cf_str_sub(raw, 0, w);
        if (type == EVTX_WSTRING) { /* NUL-terminated strings after one another */
            size_t end = 0;
            while (end + 1 < raw.n && (raw.p[end] || raw.p[end + 1]))
                end += 2;
            one = cf_str_sub(raw, 0, end);
            raw = cf_str_sub(raw, end + 2, raw.n);
        } else if (w == 0 || raw.n < w) {
            one = raw;
            raw.n = 0;
        } else {
            raw = cf_str_sub(raw, w, raw.n);
        }
        if (n++)
            cf_buf_byte(out, ',');
        evtx_value_json(out, a, type, one);
    }
    cf_buf_byte(out, ']');
}

void evtx_value_json(struct cf_buf *out, struct cf_arena *a, unsigned type, cf_str raw)
{
    if (type == EVTX_UTF8)
        quoted(out, a, type, raw);
    else if (type & EVTX_ARRAY)
        array(out, a, type & 0x7fu, raw);
    else if (is_number(type) && raw.n >= width(type) && raw.n)
        evtx_value_text(out, a, type, raw);
    else
        quoted(out, a, type, raw);
}

static size_t element_count(const struct evtx_element *e)
{
    size_t n = 0;

    for (const struct evtx_part *p = e->parts; p; p = p->next)
        n += p->element != NULL;
    return n;
}

/* Content without elements: one value keeps its type, several are one text. */
static void put_parts(struct cf_buf *out, struct cf_arena *a, const struct evtx_part *parts)
{
    struct cf_buf tmp;

    if (!parts) {
        cf_buf_z(out, "null");
        return;
    }
    if (!parts->next) {
        evtx_value_json(out, a, parts->type, parts->raw);
        return;
    }
    cf_buf_init(&tmp, 1 << 20);
    for (const struct evtx_part *p = parts; p; p = p->next)
        if (!p->element)
            evtx_value_text(&tmp, a, p->type, p->raw);
    cf_buf_json(out, cf_buf_view(&tmp));
    cf_buf_release(&tmp);
}

static void put_attrs(struct cf_buf *out, struct cf_arena *a, const struct evtx_element *e)
{
    cf_buf_z(out, "\"#attributes\":{");
    for (const struct evtx_attr *at = e->attrs; at; at = at->next) {
        if (at != e->attrs)
            cf_buf_byte(out, ',');
        cf_buf_json(out, at->name);
        cf_buf_byte(out, ':');
        put_parts(out, a, at->value);
    }
    cf_buf_byte(out, '}');
}

static cf_str data_name(struct cf_arena *a, const struct evtx_element *e)
{
    struct cf_buf b;
    cf_str s = CF_STR_NONE;

    if (!cf_str_eqz(e->name, "Data") || !e->attrs || !cf_str_eqz(e->attrs->name, "Name"))
        return s;
    if (e->attrs->value && !e->attrs->value->next && e->attrs->value->type == EVTX_WSTRING)
        return evtx_utf8(a, e->attrs->value->raw);
    cf_buf_init(&b, 65536);
    for (const struct evtx_part *p = e->attrs->value; p; p = p->next)
        evtx_value_text(&b, a, p->type, p->raw);
    s = cf_arena_copy(a, cf_buf_view(&b));
    cf_buf_release(&b);
    return s;
}

static void put_element(struct cf_buf *out, struct cf_arena *a, const struct evtx_element *e, bool drop_attrs);

struct member {
    cf_str key;
    const struct evtx_element *e;
    bool named; /* <Data Name="key"> */
    bool done;
};

/* <Data>a</Data><Data>b</Data> without names: {"Data":{"#text":["a","b"]}} */
static void put_unnamed(struct cf_buf *out, struct cf_arena *a, struct member *m, size_t n, size_t i)
{
    size_t same = 0, first = i;

    for (size_t k = i; k < n; k++)
        same += !m[k].done && !m[k].named && cf_str_eq(m[k].key, m[i].key);
    if (same == 1 && !cf_str_eqz(m[i].key, "Data")) {
        put_element(out, a, m[i].e, false);
        m[i].done = true;
        return;
    }
    bool wrap = cf_str_eqz(m[i].key, "Data");
    cf_buf_z(out, wrap ? "{\"#text\":" : "");
    if (same > 1)
        cf_buf_byte(out, '[');
    for (size_t k = i; k < n; k++) {
        if (m[k].done || m[k].named || !cf_str_eq(m[k].key, m[i].key))
            continue;
        if (k != first)
            cf_buf_byte(out, ',');
        put_element(out, a, m[k].e, wrap);
        m[k].done = true;
    }
    if (same > 1)
        cf_buf_byte(out, ']');
    cf_buf_z(out, wrap ? "}" : "");
}

static void put_children(struct cf_buf *out, struct cf_arena *a, const struct evtx_element *e, bool comma)
{
    size_t n = 0, cap = element_count(e);
    struct member *m = CF_NEW_N(a, struct member, cap + 1);

    if (!m) {
        out->failed = true;
        return;
    }
    for (const struct evtx_part *p = e->parts; p; p = p->next) {
        if (!p->element)
            continue;
        cf_str name = data_name(a, p->element);
        m[n++] = (struct member){.key = name.p ? name : p->element->name, .e = p->element, .named = name.p != NULL};
    }
    for (size_t i = 0; i < n; i++) {
        if (m[i].done)
            continue;
        if (comma)
            cf_buf_byte(out, ',');
        comma = true;
        cf_buf_json(out, m[i].key);
        cf_buf_byte(out, ':');
        if (m[i].named)
            put_element(out, a, m[i].e, true);
        else
            put_unnamed(out, a, m, n, i);
    }
}

static void put_element(struct cf_buf *out, struct cf_arena *a, const struct evtx_element *e, bool drop_attrs)
{
    bool attrs = e->attrs && !drop_attrs, children = element_count(e) > 0;

    if (!attrs && !children) {
        put_parts(out, a, e->parts);
        return;
    }
    cf_buf_byte(out, '{');
    if (attrs)
        put_attrs(out, a, e);
    if (children) {
        put_children(out, a, e, attrs);
    } else if (e->parts) {
        cf_buf_z(out, ",\"#text\":");
        put_parts(out, a, e->parts);
    }
    cf_buf_byte(out, '}');
}

void evtx_element_json(struct cf_buf *out, struct cf_arena *a, const struct evtx_element *root)
{
    cf_buf_byte(out, '{');
    cf_buf_json(out, root->name);
    cf_buf_byte(out, ':');
    put_element(out, a, root, false);
    cf_buf_byte(out, '}');
}
