/* SPDX-License-Identifier: Apache-2.0 */
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include "base/str.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static inline unsigned char low(char c)
{
    unsigned char u = (unsigned char)c;
    return (u >= 'A' && u <= 'Z') ? (unsigned char)(u | 0x20) : u;
}

bool cf_str_ieq(cf_str a, cf_str b) { return a.n == b.n && cf_str_istarts(a, b); }

int cf_str_cmp(cf_str a, cf_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int r = n ? memcmp(a.p, b.p, n) : 0;

    return r ? r : (a.n > b.n) - (a.n < b.n);
}

bool cf_str_ends(cf_str s, cf_str suffix)
{
    return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

bool cf_str_istarts(cf_str s, cf_str prefix)
{
    if (s.n < prefix.n)
        return false;
    for (size_t i = 0; i < prefix.n; i++)
        if (low(s.p[i]) != low(prefix.p[i]))
            return false;
    return true;
}

bool cf_str_iends(cf_str s, cf_str suffix)
{
    return s.n >= suffix.n && cf_str_istarts(cf_str_n(s.p + s.n - suffix.n, suffix.n), suffix);
}

#ifdef __SSE2__
/* 16 places at a time: where the first and the last byte of the needle fit, the rest is compared. The last block overlaps the
 * one before it. memmem of glibc is four times slower on texts of the length of log lines. */
static ptrdiff_t find_blocks(cf_str s, cf_str needle)
{
    const __m128i first = _mm_set1_epi8(needle.p[0]), last = _mm_set1_epi8(needle.p[needle.n - 1]);
    const char *end = s.p + s.n - needle.n - 15; /* last place a block may start at */

    for (const char *p = s.p;;) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)p), b = _mm_loadu_si128((const __m128i *)(const void *)(p + needle.n - 1));
        unsigned m = (unsigned)_mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(a, first), _mm_cmpeq_epi8(b, last)));
        for (; m; m &= m - 1) {
            const char *at = p + __builtin_ctz(m);
            if (memcmp(at + 1, needle.p + 1, needle.n - 1) == 0)
                return at - s.p;
        }
        if (p == end)
            return -1;
        p = end - p > 16 ? p + 16 : end;
    }
}
#endif

ptrdiff_t cf_str_find(cf_str s, cf_str needle)
{
    const char *p;

    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return -1;
    if (needle.n == 1) {
        p = memchr(s.p, needle.p[0], s.n);
        return p ? p - s.p : -1;
    }
#ifdef __SSE2__
    if (needle.n <= 64 && s.n >= needle.n + 15)
        return find_blocks(s, needle);
#endif
    p = memmem(s.p, s.n, needle.p, needle.n);
    return p ? p - s.p : -1;
}

ptrdiff_t cf_str_ifind(cf_str s, cf_str needle)
{
    if (needle.n == 0)
        return 0;
    for (size_t i = 0; i + needle.n <= s.n; i++)
        if (low(s.p[i]) == low(needle.p[0]) && cf_str_istarts(cf_str_n(s.p + i, s.n - i), needle))
            return (ptrdiff_t)i;
    return -1;
}

cf_str cf_str_trim(cf_str s)
{
    while (s.n && (*s.p == ' ' || *s.p == '\t' || *s.p == '\r' || *s.p == '\n')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\r' || s.p[s.n - 1] == '\n'))
        s.n--;
    return s;
}

bool cf_str_cut(cf_str *in, char sep, cf_str *ret_head)
{
    const char *p;

    if (in->n == 0)
        return false;
    p = memchr(in->p, sep, in->n);
    if (!p) {
        *ret_head = *in;
        in->p += in->n;
        in->n = 0;
        return true;
    }
    *ret_head = cf_str_n(in->p, (size_t)(p - in->p));
    in->n -= ret_head->n + 1;
    in->p = p + 1;
    return true;
}

bool cf_str_u64(cf_str s, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0 || s.n > 20)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)(unsigned char)s.p[i] - '0';
        if (d > 9 || v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    *ret = v;
    return true;
}

bool cf_str_i64(cf_str s, int64_t *ret)
{
    bool neg = s.n && *s.p == '-';
    uint64_t v;

    if (s.n && (*s.p == '-' || *s.p == '+')) {
        s.p++;
        s.n--;
    }
    if (!cf_str_u64(s, &v) || v > (uint64_t)INT64_MAX + (neg ? 1u : 0u))
        return false;
    *ret = neg ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool cf_str_hex64(cf_str s, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n > 2 && s.p[0] == '0' && (s.p[1] | 0x20) == 'x')
        s = cf_str_sub(s, 2, s.n);
    if (s.n == 0 || s.n > 16)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = low(s.p[i]);
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret = v;
    return true;
}

bool cf_str_f64(cf_str s, double *ret)
{
    char tmp[64], *end;
    double v;

    if (s.n == 0 || s.n >= sizeof tmp || isspace((unsigned char)s.p[0]))
        return false;
    memcpy(tmp, s.p, s.n);
    tmp[s.n] = '\0';
    v = strtod(tmp, &end);
    if (end != tmp + s.n)
        return false;
    *ret = v;
    return true;
}

bool cf_utf8_valid(cf_str s)
{
    const unsigned char *p = (const unsigned char *)s.p, *end = s.n ? p + s.n : p; /* nothing may be NULL */

    while (p < end) {
        uint64_t w;
        if ((size_t)(end - p) >= 8 && (memcpy(&w, p, 8), (w & 0x8080808080808080u) == 0)) {
            p += 8;
            continue;
        }
        unsigned char c = *p;
        if (c < 0x80) {
            p++;
        } else if (c >= 0xc2 && c <= 0xdf) {
            if (end - p < 2 || (p[1] & 0xc0) != 0x80)
                return false;
            p += 2;
        } else if ((c & 0xf0) == 0xe0) {
            if (end - p < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (c == 0xe0 && p[1] < 0xa0) ||
                (c == 0xed && p[1] > 0x9f))
                return false;
            p += 3;
        } else if (c >= 0xf0 && c <= 0xf4) {
            if (end - p < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80 ||
                (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
                return false;
            p += 4;
        } else {
            return false;
        }
    }
    return true;
}

static bool ip4_parse(cf_str s, uint8_t out[4])
{
    size_t i = 0;

    for (int k = 0; k < 4; k++) {
        unsigned v = 0, digits = 0;
        while (i < s.n && (unsigned char)(s.p[i] - '0') < 10 && digits < 3) {
            v = v * 10 + (unsigned)(s.p[i] - '0');
            i++;
            digits++;
        }
        if (digits == 0 || v > 255)
            return false;
        out[k] = (uint8_t)v;
        if (k < 3) {
            if (i >= s.n || s.p[i] != '.')
                return false;
            i++;
        }
    }
    return i == s.n;
}

bool cf_ip_parse(cf_str s, struct cf_ip *ret)
{
    char tmp[64];
    struct in6_addr a6;
    uint8_t v4[4];

    if (s.n < 2 || s.n > 45)
        return false;
    if (ip4_parse(s, v4)) {
        memset(ret->b, 0, 10);
        ret->b[10] = ret->b[11] = 0xff;
        memcpy(ret->b + 12, v4, 4);
        return true;
    }
    if (!memchr(s.p, ':', s.n))
        return false;
    memcpy(tmp, s.p, s.n);
    tmp[s.n] = '\0';
    if (inet_pton(AF_INET6, tmp, &a6) != 1)
        return false;
    memcpy(ret->b, &a6, 16);
    return true;
}

bool cf_ip_is4(const struct cf_ip *ip)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(ip->b, mapped, 12) == 0;
}

size_t cf_ip_format(const struct cf_ip *ip, char buf[46])
{
    if (cf_ip_is4(ip))
        return (size_t)snprintf(buf, 46, "%u.%u.%u.%u", ip->b[12], ip->b[13], ip->b[14], ip->b[15]);
    if (!inet_ntop(AF_INET6, ip->b, buf, 46))
        return 0;
    return strlen(buf);
}

bool cf_cidr_parse(cf_str s, struct cf_cidr *ret)
{
    cf_str head;
    uint64_t bits;
    struct cf_cidr c;

    if (!cf_str_cut(&s, '/', &head) || !cf_ip_parse(head, &c.ip))
        return false;
    unsigned max = cf_ip_is4(&c.ip) ? 32 : 128;
    if (s.n == 0) {
        if (s.p > head.p + head.n) /* "10.0.0.0/" */
            return false;
        bits = max;
    } else if (!cf_str_u64(s, &bits) || bits > max) {
        return false;
    }
    c.bits = (uint8_t)(bits + (128 - max));
    *ret = c;
    return true;
}

bool cf_cidr_has(const struct cf_cidr *c, const struct cf_ip *ip)
{
    unsigned whole = c->bits / 8, rest = c->bits % 8;

    if (memcmp(c->ip.b, ip->b, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    return ((c->ip.b[whole] ^ ip->b[whole]) >> (8 - rest)) == 0;
}
