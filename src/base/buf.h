/* SPDX-License-Identifier: Apache-2.0
 * A growing byte buffer with a maximum. After the first failure (no memory, maximum) it stays failed and ignores
 * writes, so that a writer checks once at its end. */
#ifndef CF_BASE_BUF_H
#define CF_BASE_BUF_H

#include <stdarg.h>

#include "base/str.h"

struct cf_buf {
    char *p;
    size_t n, cap, max;
    bool failed;
};

void cf_buf_init(struct cf_buf *b, size_t max); /* max 0: 1 GiB */
void cf_buf_release(struct cf_buf *b);
static inline void cf_buf_clear(struct cf_buf *b)
{
    b->n = 0;
    b->failed = false;
}
bool cf_buf_reserve(struct cf_buf *b, size_t more); /* room for `more` bytes, or false and failed */
static inline void cf_buf_add(struct cf_buf *b, const void *p, size_t n)
{
    if (b->cap - b->n < n && !cf_buf_reserve(b, n))
        return;
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}
static inline void cf_buf_byte(struct cf_buf *b, char c)
{
    if (b->n == b->cap && !cf_buf_reserve(b, 1))
        return;
    b->p[b->n++] = c;
}
static inline void cf_buf_str(struct cf_buf *b, cf_str s) { cf_buf_add(b, s.p, s.n); }
static inline void cf_buf_z(struct cf_buf *b, const char *z) { cf_buf_add(b, z, strlen(z)); }
void cf_buf_i64(struct cf_buf *b, int64_t v);
void cf_buf_u64(struct cf_buf *b, uint64_t v);
void cf_buf_printf(struct cf_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes; control characters and invalid UTF-8 are escaped (U+FFFD). */
void cf_buf_json(struct cf_buf *b, cf_str s);
/* A cell of RFC 4180. Text that a spreadsheet would run (it begins with = + - @, tab or line end) gets an apostrophe in front,
 * unless it is just a negative number. */
void cf_buf_csv(struct cf_buf *b, cf_str s);
static inline cf_str cf_buf_view(const struct cf_buf *b) { return (cf_str){b->p, b->n}; }
const char *cf_buf_cstr(struct cf_buf *b); /* NUL-terminated; "" when empty or failed */

/* Room for `want` elements of `size` in the allocated array *p of *cap; false: no memory, all stays. */
bool cf_grow(void **p, size_t *cap, size_t want, size_t size);

#endif
