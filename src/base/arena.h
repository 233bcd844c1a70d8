/* SPDX-License-Identifier: Apache-2.0
 * Arenas: memory that lives and dies together. Name the lifetime (batch, request, configuration) and allocate in the
 * shortest that works; nothing inside is freed alone. Not for sharing between threads. */
#ifndef CF_BASE_ARENA_H
#define CF_BASE_ARENA_H

#include "base/str.h"

struct cf_arena_block;
struct cf_arena {
    char *cur, *end;             /* free part of the current block */
    struct cf_arena_block *head; /* current block; the chain ends with the first one */
    size_t block_size;           /* size of ordinary blocks */
    size_t used, max;            /* bytes held in blocks; no block is added beyond max */
};
struct cf_arena_mark {
    struct cf_arena_block *block;
    char *cur;
};

/* block_size 0: 64 KiB. max 0: 1 GiB. Allocates nothing yet. */
void cf_arena_init(struct cf_arena *a, size_t block_size, size_t max);
void cf_arena_release(struct cf_arena *a); /* frees all blocks */
void cf_arena_reset(struct cf_arena *a);   /* keeps the newest ordinary block for reuse, frees the others */

void *cf_arena_alloc_slow(struct cf_arena *a, size_t size, size_t align);
/* NULL: no memory or limit reached. Not zeroed. */
static inline void *cf_arena_alloc(struct cf_arena *a, size_t size)
{
    char *p = (char *)(((uintptr_t)a->cur + 7u) & ~(uintptr_t)7u);

    if (p && size <= (size_t)(a->end - p) && p <= a->end) {
        a->cur = p + size;
        return p;
    }
    return cf_arena_alloc_slow(a, size, 8);
}
/* Unaligned bytes, for text. */
static inline char *cf_arena_bytes(struct cf_arena *a, size_t size)
{
    if (a->cur && size <= (size_t)(a->end - a->cur)) {
        char *p = a->cur;
        a->cur += size;
        return p;
    }
    return cf_arena_alloc_slow(a, size, 1);
}
void *cf_arena_zalloc(struct cf_arena *a, size_t size);
char *cf_arena_strdup(struct cf_arena *a, cf_str s);    /* NUL-terminated copy */
cf_str cf_arena_copy(struct cf_arena *a, cf_str s);     /* copy; .p NULL on no memory */
cf_str cf_arena_printf(struct cf_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

struct cf_arena_mark cf_arena_save(const struct cf_arena *a);
void cf_arena_rewind(struct cf_arena *a, struct cf_arena_mark m);

#define CF_NEW(arena, type) ((type *)cf_arena_zalloc((arena), sizeof(type)))
#define CF_NEW_N(arena, type, count) ((type *)cf_arena_zalloc((arena), sizeof(type) * (count)))

#endif
