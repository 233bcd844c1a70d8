/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct cf_arena_block {
    struct cf_arena_block *prev;
    size_t size; /* of the whole block */
    char data[] __attribute__((aligned(16)));
};

void cf_arena_init(struct cf_arena *a, size_t block_size, size_t max)
{
    *a = (struct cf_arena){.block_size = block_size ? block_size : 65536, .max = max ? max : (size_t)1 << 30};
}

static void free_chain(struct cf_arena_block *b)
{
    while (b) {
        struct cf_arena_block *prev = b->prev;
        free(b);
        b = prev;
    }
}

void cf_arena_release(struct cf_arena *a)
{
    free_chain(a->head);
    a->head = NULL;
    a->cur = a->end = NULL;
    a->used = 0;
}

void cf_arena_reset(struct cf_arena *a)
{
    struct cf_arena_block *keep = NULL, *b = a->head;

    while (b) {
        struct cf_arena_block *prev = b->prev;
        if (!keep && b->size <= a->block_size + sizeof *b)
            keep = b;
        else
            free(b);
        b = prev;
    }
    a->head = keep;
    if (!keep) {
        a->cur = a->end = NULL;
        a->used = 0;
        return;
    }
    keep->prev = NULL;
    a->cur = keep->data;
    a->end = (char *)keep + keep->size;
    a->used = keep->size;
}

void *cf_arena_alloc_slow(struct cf_arena *a, size_t size, size_t align)
{
    size_t need = size + sizeof(struct cf_arena_block);
    size_t block = size > a->block_size / 2 ? need : a->block_size + sizeof(struct cf_arena_block);
    struct cf_arena_block *b;

    (void)align; /* data of a new block is aligned for everything */
    if (need < size || a->used + block > a->max)
        return NULL;
    b = malloc(block);
    if (!b)
        return NULL;
    b->size = block;
    a->used += block;
    b->prev = a->head;
    a->head = b; /* a large block ends the current one: rewinding stays a simple chain */
    a->cur = b->data + size;
    a->end = (char *)b + block;
    return b->data;
}

void *cf_arena_zalloc(struct cf_arena *a, size_t size)
{
    void *p = cf_arena_alloc(a, size);

    if (p)
        memset(p, 0, size);
    return p;
}

char *cf_arena_strdup(struct cf_arena *a, cf_str s)
{
    char *p = cf_arena_bytes(a, s.n + 1);

    if (!p)
        return NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

cf_str cf_arena_copy(struct cf_arena *a, cf_str s)
{
    char *p = cf_arena_strdup(a, s);

    return p ? cf_str_n(p, s.n) : CF_STR_NONE;
}

cf_str cf_arena_printf(struct cf_arena *a, const char *fmt, ...)
{
    va_list ap;
    int n;
    char *p;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !(p = cf_arena_bytes(a, (size_t)n + 1)))
        return CF_STR_NONE;
    va_start(ap, fmt);
    (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return cf_str_n(p, (size_t)n);
}

struct cf_arena_mark cf_arena_save(const struct cf_arena *a) { return (struct cf_arena_mark){a->head, a->cur}; }

void cf_arena_rewind(struct cf_arena *a, struct cf_arena_mark m)
{
    while (a->head && a->head != m.block) {
        struct cf_arena_block *prev = a->head->prev;
        a->used -= a->head->size;
        free(a->head);
        a->head = prev;
    }
    a->cur = m.cur;
    a->end = a->head ? (char *)a->head + a->head->size : NULL;
}
