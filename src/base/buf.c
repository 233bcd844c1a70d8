/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

void cf_buf_init(struct cf_buf *b, size_t max) { *b = (struct cf_buf){.max = max ? max : (size_t)1 << 30}; }

void cf_buf_release(struct cf_buf *b)
{
    free(b->p);
    *b = (struct cf_buf){.max = b->max};
}

bool cf_buf_reserve(struct cf_buf *b, size_t more)
{
    size_t cap;
    char *p;

    if (b->failed || more > b->max || b->n > b->max - more) {
        b->failed = true;

        return false;
    }
    if (b->cap - b->n >= more)
        return true;
    cap = b->cap ? b->cap : 256;
    while (cap < b->n + more)
        cap = cap < ((size_t)1 << 26) ? cap * 2 : cap + cap / 2;
    if (cap > b->max)
        cap = b->max;
    p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void cf_buf_u64(struct cf_buf *b, uint64_t v)
{
    char tmp[20];
    size_t i = sizeof tmp;

    do
        tmp[--i] = (char)('0' + v % 10);
    while (v /= 10);
    cf_buf_add(b, tmp + i, sizeof tmp - i);
}

void cf_buf_i64(struct cf_buf *b, int64_t v)
{
    if (v < 0) {
        cf_buf_byte(b, '-');
        cf_buf_u64(b, 0 - (uint64_t)v);
    } else {
        cf_buf_u64(b, (uint64_t)v);
    }
}

void cf_buf_printf(struct cf_buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !cf_buf_reserve(b, (size_t)n + 1))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

/* 0: copied as it is; 'u': \u00XX; other: backslash and this letter; 1: start of a multi-byte character */
static const unsigned char json_class[256] = {
    ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\',
    [0 ... 7] = 'u', [11] = 'u', [14 ... 31] = 'u', [127] = 'u', [128 ... 255] = 1,
};

/* Length of the well-formed UTF-8 character at p, or 0. */
static size_t utf8_char(const unsigned char *p, const unsigned char *end)
{
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

    if ((size_t)(end - p) < n || !cf_utf8_valid((cf_str){(const char *)p, n}))
        return 0;
    return n;
}

void cf_buf_json(struct cf_buf *b, cf_str s)
{
    const unsigned char *p = (const unsigned char *)(s.p ? s.p : ""), *end = p + s.n, *from = p;

    cf_buf_byte(b, '"');
    while (p < end) {
        unsigned char c = json_class[*p];
        if (c == 0) {
            p++;
            continue;
        }
        if (c == 1) {
            size_t n = utf8_char(p, end);
            if (n) {
                p += n;
                continue;
            }
        }
        cf_buf_add(b, from, (size_t)(p - from));
        if (c == 1) {
            cf_buf_add(b, "\xef\xbf\xbd", 3);
        } else if (c == 'u') {
            static const char hex[] = "0123456789abcdef";
            char u[6] = {'\\', 'u', '0', '0', hex[*p >> 4], hex[*p & 15]};
            cf_buf_add(b, u, 6);
        } else {
            cf_buf_byte(b, '\\');
            cf_buf_byte(b, (char)c);
        }
        from = ++p;
    }
    cf_buf_add(b, from, (size_t)(p - from));
    cf_buf_byte(b, '"');
}

const char *cf_buf_cstr(struct cf_buf *b)
{
    if (!cf_buf_reserve(b, 1))
        return "";
    b->p[b->n] = '\0';
    return b->p;
}

bool cf_grow(void **p, size_t *cap, size_t want, size_t size)
{
    size_t c = *cap ? *cap : 64;
    void *q;

    if (want <= *cap)
        return true;
    while (c < want)
        c += c / 2 + 1;
    q = realloc(*p, c * size);
    if (!q)
        return false;
    *p = q;
    *cap = c;
    return true;
}

static bool has_any(cf_str s, const char *set)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] && strchr(set, s.p[i]))
            return true;
    return false;
}

static bool runs_as_formula(cf_str s)
{
    if (!s.n || !s.p[0] || !strchr("=+-@\t\r\n", s.p[0]))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if ((s.p[i] < '0' || s.p[i] > '9') && s.p[i] != '.')
            return true;
    return s.p[0] != '-' || s.n == 1;
}

void cf_buf_csv(struct cf_buf *b, cf_str s)
{
    bool quote = has_any(s, ",\"\r\n");

    if (quote)
        cf_buf_byte(b, '"');
    if (runs_as_formula(s))
        cf_buf_byte(b, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            cf_buf_byte(b, '"');
        cf_buf_byte(b, s.p[i]);
    }
    if (quote)
        cf_buf_byte(b, '"');
}
