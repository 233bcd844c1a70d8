/* SPDX-License-Identifier: Apache-2.0
 * String views. Two words, passed by value; the bytes belong to someone else and are never NUL-terminated. */
#ifndef CF_BASE_STR_H
#define CF_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const char *p; /* NULL means "absent", which differs from empty */
    size_t n;
} cf_str;

#define CF_STR(lit) ((cf_str){(lit), sizeof(lit) - 1})
#define CF_STR_NONE ((cf_str){NULL, 0})
#define CF_ARG(s) (int)(s).n, (s).p /* printf("%.*s", CF_ARG(name)) */

static inline cf_str cf_str_c(const char *z) { return z ? (cf_str){z, strlen(z)} : CF_STR_NONE; }
static inline cf_str cf_str_n(const char *p, size_t n) { return (cf_str){p, n}; }
// NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): an absent text has no length
static inline bool cf_str_eq(cf_str a, cf_str b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }
/* The first character decides most comparisons: strlen is only run when it could be equal. */
static inline bool cf_str_eqz(cf_str a, const char *z)
{
    if (a.n == 0 || !z)
        return z ? *z == '\0' : a.n == 0;
    return a.p[0] == *z && cf_str_eq(a, cf_str_c(z));
}

bool cf_str_ieq(cf_str a, cf_str b); /* ASCII case folded */
int cf_str_cmp(cf_str a, cf_str b);
static inline bool cf_str_starts(cf_str s, cf_str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}
bool cf_str_ends(cf_str s, cf_str suffix);
bool cf_str_istarts(cf_str s, cf_str prefix);
bool cf_str_iends(cf_str s, cf_str suffix);
/* Position of needle in s, or -1. */
ptrdiff_t cf_str_find(cf_str s, cf_str needle);
ptrdiff_t cf_str_ifind(cf_str s, cf_str needle);
cf_str cf_str_trim(cf_str s); /* ASCII space, tab, CR, LF off both ends */
static inline cf_str cf_str_sub(cf_str s, size_t from, size_t n) /* clipped to s */
{
    if (from > s.n)
        from = s.n;
    if (n > s.n - from)
        n = s.n - from;
#ifdef __clang_analyzer__ /* from the test for NULL it would conclude that every part may be NULL, with any length */
    return (cf_str){s.p + from, n};
#else
    return (cf_str){s.p ? s.p + from : NULL, n};
#endif
}

/* Cuts the bytes up to `sep` off the front of *in (the separator goes too) and returns them as a view of the
 * same memory. Without a separator the whole rest is returned and *in becomes empty. False when *in was empty. */
bool cf_str_cut(cf_str *in, char sep, cf_str *ret_head);

/* Whole string must be the number. False leaves *ret untouched. */
bool cf_str_i64(cf_str s, int64_t *ret);
bool cf_str_u64(cf_str s, uint64_t *ret);
bool cf_str_hex64(cf_str s, uint64_t *ret); /* with or without 0x */
bool cf_str_f64(cf_str s, double *ret);

/* True when the bytes are well-formed UTF-8 (no surrogates, no overlong forms). */
bool cf_utf8_valid(cf_str s);

/* An IP address as 16 bytes, IPv4 mapped (::ffff:a.b.c.d). */
struct cf_ip {
    uint8_t b[16];
};
bool cf_ip_parse(cf_str s, struct cf_ip *ret);
bool cf_ip_is4(const struct cf_ip *ip);
/* Writes text form (no NUL) to buf[46], returns its length. */
size_t cf_ip_format(const struct cf_ip *ip, char buf[46]);
struct cf_cidr {
    struct cf_ip ip;
    uint8_t bits; /* 0..128 over the mapped form: 10.0.0.0/8 has 104 */
};
bool cf_cidr_parse(cf_str s, struct cf_cidr *ret);
bool cf_cidr_has(const struct cf_cidr *c, const struct cf_ip *ip);

#endif
