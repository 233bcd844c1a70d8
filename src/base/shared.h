/* SPDX-License-Identifier: Apache-2.0
 * A pointer that is replaced while others use it: rules, source files, address tables. Readers hold a reference for one
 * batch (one short lock each); the old object goes when its last reader is done. */
#ifndef CF_BASE_SHARED_H
#define CF_BASE_SHARED_H

#include <pthread.h>

#include "base/error.h"

struct cf_shared_box {
    void *p;
    void (*free_fn)(void *);
    unsigned refs;
    uint64_t generation; /* 1, 2, ...: tells a reader that its own derived state is old */
};
struct cf_shared {
    pthread_mutex_t mu;
    struct cf_shared_box *cur;
    uint64_t generation;
};
void cf_shared_init(struct cf_shared *s);
void cf_shared_release(struct cf_shared *s); /* no reader may be left */
/* Takes p (freed with free_fn). CF_ENOMEM frees it at once. */
int cf_shared_set(struct cf_shared *s, void *p, void (*free_fn)(void *));
struct cf_shared_box *cf_shared_get(struct cf_shared *s); /* NULL: nothing set. Give back with cf_shared_put. */
void cf_shared_put(struct cf_shared *s, struct cf_shared_box *b);

#endif
