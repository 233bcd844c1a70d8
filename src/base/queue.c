/* SPDX-License-Identifier: Apache-2.0 */
#include "base/queue.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct cf_queue {
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t not_empty, not_full;
    size_t cap, head, n;
    bool closed;
    void *item[];
};

struct cf_queue *cf_queue_new(size_t capacity)
{
    struct cf_queue *q = calloc(1, sizeof *q + capacity * sizeof q->item[0]);
    pthread_condattr_t mono;

    if (!q)
        return NULL;
    q->cap = capacity;
    (void)pthread_mutex_init(&q->lock, NULL);
    (void)pthread_condattr_init(&mono);
    (void)pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&q->not_empty, &mono);
    (void)pthread_cond_init(&q->not_full, &mono);
    (void)pthread_condattr_destroy(&mono);
    return q;
}

void cf_queue_free(struct cf_queue *q)
{
    if (!q)
        return;
    (void)pthread_cond_destroy(&q->not_empty);
    (void)pthread_cond_destroy(&q->not_full);
    (void)pthread_mutex_destroy(&q->lock);
    free(q);
}

static bool push(struct cf_queue *q, void *item, bool wait)
{
    bool ok;

    (void)pthread_mutex_lock(&q->lock);
    while (wait && !q->closed && q->n == q->cap)
        (void)pthread_cond_wait(&q->not_full, &q->lock);
    ok = !q->closed && q->n < q->cap;
    if (ok) {
        q->item[(q->head + q->n++) % q->cap] = item;
        (void)pthread_cond_signal(&q->not_empty);
    }
    (void)pthread_mutex_unlock(&q->lock);
    return ok;
}

bool cf_queue_push(struct cf_queue *q, void *item) { return push(q, item, true); }
bool cf_queue_try_push(struct cf_queue *q, void *item) { return push(q, item, false); }

void *cf_queue_pop(struct cf_queue *q, int timeout_ms, bool *ret_closed)
{
    struct timespec until;
    void *item = NULL;
    int r = 0;

    if (timeout_ms >= 0) {
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += timeout_ms / 1000;
        until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
    }
    (void)pthread_mutex_lock(&q->lock);
    while (q->n == 0 && !q->closed && r == 0)
        r = timeout_ms < 0 ? pthread_cond_wait(&q->not_empty, &q->lock)
                           : pthread_cond_timedwait(&q->not_empty, &q->lock, &until);
    if (q->n) {
        item = q->item[q->head];
        q->head = (q->head + 1) % q->cap;
        q->n--;
        (void)pthread_cond_signal(&q->not_full);
    }
    if (ret_closed)
        *ret_closed = q->closed && !item;
    (void)pthread_mutex_unlock(&q->lock);
    return item;
}

void cf_queue_close(struct cf_queue *q)
{
    (void)pthread_mutex_lock(&q->lock);
    q->closed = true;
    (void)pthread_cond_broadcast(&q->not_empty);
    (void)pthread_cond_broadcast(&q->not_full);
    (void)pthread_mutex_unlock(&q->lock);
}

size_t cf_queue_len(struct cf_queue *q)
{
    size_t n;

    (void)pthread_mutex_lock(&q->lock);
    n = q->n;
    (void)pthread_mutex_unlock(&q->lock);
    return n;
}

struct job {
    cf_job_fn fn;
    void *arg;
};
struct cf_pool {
    struct cf_queue *jobs;
    size_t n;
    pthread_t thread[];
};

static void *pool_main(void *arg)
{
    struct cf_pool *p = arg;
    struct job *j;

    while ((j = cf_queue_pop(p->jobs, -1, NULL))) {
        j->fn(j->arg);
        free(j);
    }
    return NULL;
}

struct cf_pool *cf_pool_new(size_t threads, size_t queue_max, const char *name)
{
    struct cf_pool *p = calloc(1, sizeof *p + threads * sizeof p->thread[0]);

    if (!p || !(p->jobs = cf_queue_new(queue_max))) {
        free(p);
        return NULL;
    }
    for (; p->n < threads; p->n++) {
        char label[16];
        if (pthread_create(&p->thread[p->n], NULL, pool_main, p) != 0)
            break;
        (void)snprintf(label, sizeof label, "%.10s/%zu", name, p->n);
        (void)pthread_setname_np(p->thread[p->n], label);
    }
    if (p->n == 0) {
        cf_pool_free(p);
        return NULL;
    }
    return p;
}

bool cf_pool_run(struct cf_pool *p, cf_job_fn fn, void *arg)
{
    struct job *j = malloc(sizeof *j);

    if (!j)
        return false;
    *j = (struct job){fn, arg};
    if (cf_queue_push(p->jobs, j))
        return true;
    free(j);
    return false;
}

void cf_pool_free(struct cf_pool *p)
{
    if (!p)
        return;
    cf_queue_close(p->jobs);
    for (size_t i = 0; i < p->n; i++)
        (void)pthread_join(p->thread[i], NULL);
    cf_queue_free(p->jobs);
    free(p);
}
