/* SPDX-License-Identifier: Apache-2.0
 * Replaceable shared pointers; see shared.h. */
#include "base/shared.h"

#include <stdlib.h>

void cf_shared_init(struct cf_shared *s)
{
    memset(s, 0, sizeof *s);
    (void)pthread_mutex_init(&s->mu, NULL);
}

static void box_free(struct cf_shared_box *b)
{
    if (b->free_fn)
        b->free_fn(b->p);
    free(b);
}

void cf_shared_put(struct cf_shared *s, struct cf_shared_box *b)
{
    bool last;

    if (!b)
        return;
    (void)pthread_mutex_lock(&s->mu);
    last = --b->refs == 0;
    (void)pthread_mutex_unlock(&s->mu);
    if (last)
        box_free(b);
}

void cf_shared_release(struct cf_shared *s)
{
    cf_shared_put(s, s->cur);
    s->cur = NULL;
    (void)pthread_mutex_destroy(&s->mu);
}

int cf_shared_set(struct cf_shared *s, void *p, void (*free_fn)(void *))
{
    struct cf_shared_box *b = malloc(sizeof *b), *old;

    if (!b) {
        free_fn(p);
        return CF_ENOMEM;
    }
    (void)pthread_mutex_lock(&s->mu);
    *b = (struct cf_shared_box){p, free_fn, 1, ++s->generation};
    old = s->cur;
    s->cur = b;
    (void)pthread_mutex_unlock(&s->mu);
    cf_shared_put(s, old);
    return 0;
}

struct cf_shared_box *cf_shared_get(struct cf_shared *s)
{
    struct cf_shared_box *b;

    (void)pthread_mutex_lock(&s->mu);
    b = s->cur;
    if (b)
        b->refs++;
    (void)pthread_mutex_unlock(&s->mu);
    return b;
}
