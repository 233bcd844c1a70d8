/* SPDX-License-Identifier: Apache-2.0
 * Small questions about texts, answered in the caller's code. wide.h has those that read 16 bytes at once. */
#ifndef CF_NORMALISE_TEXTS_H
#define CF_NORMALISE_TEXTS_H

#include "base/str.h"

/* A number below 64 that texts share which are equal but for the case of letters. */
static inline unsigned cf_text_sign(cf_str s)
{
    if (!s.n)
        return 0;
    return (unsigned)(s.n * 5 + (unsigned char)(s.p[0] | 0x20) * 3u + (unsigned char)(s.p[s.n - 1] | 0x20)) & 63;
}
static inline cf_str cf_skip_blanks(cf_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == '\r' || s.p[0] == '\n'))
        s = cf_str_sub(s, 1, s.n);
    return s;
}
/* Up to 18 digits, nothing else. */
static inline bool cf_plain_number(cf_str s)
{
    if (s.n - 1 >= 18)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned)(s.p[i] - '0') > 9)
            return false;
    return true;
}
/* cf_str_i64 for the usual case, without a call. */
static inline bool cf_number(cf_str s, int64_t *ret)
{
    int64_t v = 0;

    if (s.n - 1 >= 18)
        return cf_str_i64(s, ret);
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)(s.p[i] - '0');
        if (d > 9)
            return cf_str_i64(s, ret);
        v = v * 10 + (int64_t)d;
    }
    *ret = v;
    return true;
}
/* "192.0.2.1", in the way of cf_ip_parse. */
static inline bool cf_plain_ip4(cf_str s, uint8_t ret[4])
{
    const char *p = s.p, *end = s.p + s.n;

    for (unsigned k = 0;; k++) {
        unsigned v = p < end ? (unsigned)(*p++ - '0') : 10, d;
        if (v > 9)
            return false;
        if (p < end && (d = (unsigned)(*p - '0')) <= 9) {
            v = v * 10 + d;
            p++;
            if (p < end && (d = (unsigned)(*p - '0')) <= 9) {
                v = v * 10 + d;
                p++;
            }
        }
        if (v > 255)
            return false;
        ret[k] = (uint8_t)v;
        if (k == 3)
            return p == end;
        if (p == end || *p++ != '.')
            return false;
    }
}

#endif
