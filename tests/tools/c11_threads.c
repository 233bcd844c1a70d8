/* SPDX-License-Identifier: Apache-2.0
 * C11 threads by POSIX threads, linked in where ThreadSanitizer looks on: it knows pthread_create and
 * pthread_mutex_lock, not thrd_create and mtx_lock, by which librdkafka works; without this a thread of that library
 * ends the process at its first malloc. glibc's types of both kinds have one layout (its own C11 functions rely on
 * that). */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

struct start {
    thrd_start_t f;
    void *ctx;
};

static void *run(void *p)
{
    struct start s = *(struct start *)p;

    free(p);
    return (void *)(intptr_t)s.f(s.ctx);
}

static int answer(int e)
{
    switch (e) {
    case 0:
        return thrd_success;
    case EBUSY:
        return thrd_busy;
    case ENOMEM:
        return thrd_nomem;
    case ETIMEDOUT:
        return thrd_timedout;
    default:
        return thrd_error;
    }
}

static pthread_mutex_t *mutex(mtx_t *m) { return (pthread_mutex_t *)(void *)m; }
static pthread_cond_t *cond(cnd_t *c) { return (pthread_cond_t *)(void *)c; }

int thrd_create(thrd_t *t, thrd_start_t f, void *ctx)
{
    struct start *s = malloc(sizeof *s);
    int e;

    if (!s)
        return thrd_nomem;
    *s = (struct start){f, ctx};
    e = pthread_create(t, NULL, run, s);
    if (e)
        free(s);
    return answer(e);
}

int thrd_join(thrd_t t, int *result)
{
    void *r = NULL;
    int e = pthread_join(t, &r);

    if (result)
        *result = (int)(intptr_t)r;
    return answer(e);
}

int thrd_detach(thrd_t t) { return answer(pthread_detach(t)); }

int mtx_init(mtx_t *m, int type)
{
    pthread_mutexattr_t a;
    int e;

    (void)pthread_mutexattr_init(&a);
    (void)pthread_mutexattr_settype(&a, type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
    e = pthread_mutex_init(mutex(m), &a);
    (void)pthread_mutexattr_destroy(&a);
    return answer(e);
}

void mtx_destroy(mtx_t *m) { (void)pthread_mutex_destroy(mutex(m)); }
int mtx_lock(mtx_t *m) { return answer(pthread_mutex_lock(mutex(m))); }
int mtx_trylock(mtx_t *m) { return answer(pthread_mutex_trylock(mutex(m))); }
int mtx_timedlock(mtx_t *restrict m, const struct timespec *restrict t)
{
    return answer(pthread_mutex_timedlock(mutex(m), t));
}
int mtx_unlock(mtx_t *m) { return answer(pthread_mutex_unlock(mutex(m))); }

int cnd_init(cnd_t *c) { return answer(pthread_cond_init(cond(c), NULL)); }
void cnd_destroy(cnd_t *c) { (void)pthread_cond_destroy(cond(c)); }
int cnd_signal(cnd_t *c) { return answer(pthread_cond_signal(cond(c))); }
int cnd_broadcast(cnd_t *c) { return answer(pthread_cond_broadcast(cond(c))); }
int cnd_wait(cnd_t *c, mtx_t *m) { return answer(pthread_cond_wait(cond(c), mutex(m))); }
int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m, const struct timespec *restrict t)
{
    return answer(pthread_cond_timedwait(cond(c), mutex(m), t));
}
