/* SPDX-License-Identifier: Apache-2.0
 * Bounded queue of pointers between threads (many producers, many consumers), and a fixed pool of threads on it. */
#ifndef CF_BASE_QUEUE_H
#define CF_BASE_QUEUE_H

#include "base/str.h"

struct cf_queue;
struct cf_queue *cf_queue_new(size_t capacity); /* NULL: no memory */
void cf_queue_free(struct cf_queue *q);         /* must be empty and unused */
/* Blocks while full. False when the queue is closed; then the item stays the caller's. */
bool cf_queue_push(struct cf_queue *q, void *item);
bool cf_queue_try_push(struct cf_queue *q, void *item);
/* Blocks while empty; NULL when closed and drained. timeout_ms < 0: for ever; on time-out returns NULL, *ret_closed false. */
void *cf_queue_pop(struct cf_queue *q, int timeout_ms, bool *ret_closed);
void cf_queue_close(struct cf_queue *q); /* no more pushes; poppers drain what is left */
size_t cf_queue_len(struct cf_queue *q);

struct cf_pool;
typedef void (*cf_job_fn)(void *arg);
struct cf_pool *cf_pool_new(size_t threads, size_t queue_max, const char *name);
bool cf_pool_run(struct cf_pool *p, cf_job_fn fn, void *arg); /* blocks while the queue is full; false when closing */
void cf_pool_free(struct cf_pool *p);                         /* finishes what is queued, joins */

#endif
