/* SPDX-License-Identifier: Apache-2.0
 * Numbers as decimal text, two digits at a time. */
#ifndef CF_BASE_DIGITS_H
#define CF_BASE_DIGITS_H

#include <stdint.h>
#include <string.h>

extern const char cf_digits2[201]; /* "000102...99"; clock.c */

/* v modulo 100 as two digits at p; where they end. */
static inline char *cf_digits_two(char *p, unsigned v)
{
    memcpy(p, cf_digits2 + v % 100 * 2, 2);
    return p + 2;
}

/* The digits of u in front of end; where they begin. At most 20. */
static inline char *cf_digits_before(char *end, uint64_t u)
{
    for (; u >= 100; u /= 100) {
        end -= 2;
        memcpy(end, cf_digits2 + u % 100 * 2, 2);
    }
    if (u >= 10) {
        end -= 2;
        memcpy(end, cf_digits2 + u * 2, 2);
        return end;
    }
    *--end = (char)('0' + u);
    return end;
}

#endif
