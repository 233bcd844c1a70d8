/* SPDX-License-Identifier: Apache-2.0
 * Live topics. Each reader has a bounded ring of references to ready-made frames; a frame is built once per publication.
 *
 *   publish -> frame (refcount) -> ring of each reader that may see it -> resume its connection
 *   stats/health: kept aside, a timer thread sends the newest one every 250 ms; every 15 s a comment keeps lines open;
 *   every 5 s streams of ended sessions are closed */
#include "api/sse.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/http_int.h"
#include "directory/service.h"

#define RING 256u
#define READERS_MAX 2000u
#define HEARTBEAT_TICKS 60 /* of 250 ms */
#define CHECK_TICKS 20

struct frame {
    atomic_int refs;
    size_t n;
    char b[];
};
struct reader {
    struct cf_hub *hub;
    struct reader *next, **prev;
    struct MHD_Connection *conn;
    const struct cf_principal *who;
    struct cf_arena arena; /* of orgs */
    uint64_t serial;
    bool all, suspended, lagged, closing;
    cf_str *orgs;
    size_t n_orgs;
    struct frame *ring[RING];
    size_t head, n, offset; /* offset into ring[head] */
};
struct cf_hub {
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t wake;
    pthread_t timer;
    struct reader *readers;
    size_t n_readers;
    bool closed;
    struct frame *stats, *health; /* waiting for the next tick */
    uint64_t id, serial;
    struct cf_directory *directory; /* set by the first reader */
};

static void frame_unref(struct frame *f)
{
    if (f && atomic_fetch_sub(&f->refs, 1) == 1)
        free(f);
}

static struct frame *frame_text(const char *s, size_t n)
{
    struct frame *f = malloc(sizeof *f + n);

    if (f) {
        atomic_init(&f->refs, 1);
        f->n = n;
        memcpy(f->b, s, n);
    }
    return f;
}

/* Under lock. */
static void wake(struct reader *r)
{
    if (r->suspended) {
        r->suspended = false;
        MHD_resume_connection(r->conn);
    }
}

/* Under lock. */
static void push(struct reader *r, struct frame *f)
{
    if (r->n == RING) {
        /* the oldest whole frame goes; the one being sent stays */
        size_t i = r->offset ? (r->head + 1) % RING : r->head;

        frame_unref(r->ring[i]);
        for (; i != (r->head + r->n - 1) % RING; i = (i + 1) % RING)
            r->ring[i] = r->ring[(i + 1) % RING];
        r->n--;
        r->lagged = true;
    }
    (void)atomic_fetch_add(&f->refs, 1);
    r->ring[(r->head + r->n++) % RING] = f;
    wake(r);
}

static void push_all(struct cf_hub *h, struct frame *f)
{
    for (struct reader *r = h->readers; r; r = r->next)
        push(r, f);
}

struct watched {
    uint64_t serial;
    const struct cf_principal *who;
};

/* Ends the streams of sessions that are over. Called and left under lock; the questions to the directory are asked without it. */
static void end_dead(struct cf_hub *h)
{
    struct watched *w = calloc(h->n_readers + 1, sizeof *w);
    size_t n = 0, k;

    if (!w)
        return;
    for (struct reader *r = h->readers; r; r = r->next)
        w[n++] = (struct watched){.serial = r->serial, .who = cf_principal_ref(r->who)};
    (void)pthread_mutex_unlock(&h->lock);
    for (k = 0; k < n; k++) {
        bool alive = cf_directory_alive(h->directory, w[k].who);

        cf_principal_unref(w[k].who);
        w[k].who = NULL;
        if (alive)
            w[k].serial = 0;
    }
    (void)pthread_mutex_lock(&h->lock);
    for (struct reader *r = h->readers; r; r = r->next) {
        for (k = 0; k < n; k++) {
            if (w[k].serial == r->serial) {
                r->closing = true;
                wake(r);
            }
        }
    }
    free(w);
}

static void *timer_main(void *arg)
{
    struct cf_hub *h = arg;
    static const char beat[] = ":\n\n";
    unsigned tick = 0;

    (void)pthread_mutex_lock(&h->lock);
    while (!h->closed) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        ts.tv_nsec += 250000000;
        if (ts.tv_nsec >= 1000000000) {
            ts.tv_nsec -= 1000000000;
            ts.tv_sec++;
        }
        (void)pthread_cond_timedwait(&h->wake, &h->lock, &ts);
        if (h->stats)
            push_all(h, h->stats);
        if (h->health)
            push_all(h, h->health);
        frame_unref(h->stats);
        frame_unref(h->health);
        h->stats = h->health = NULL;
        if (++tick % HEARTBEAT_TICKS == 0) {
            struct frame *f = frame_text(beat, sizeof beat - 1);

            if (f) {
                push_all(h, f);
                frame_unref(f);
            }
        }
        if (tick % CHECK_TICKS == 0 && h->n_readers)
            end_dead(h);
    }
    (void)pthread_mutex_unlock(&h->lock);
    return NULL;
}

struct cf_hub *cf_hub_new(void)
{
    struct cf_hub *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_cond_init(&h->wake, NULL);
    if (pthread_create(&h->timer, NULL, timer_main, h) != 0) {
        free(h);
        return NULL;
    }
    return h;
}

void cf_hub_close(struct cf_hub *h)
{
    (void)pthread_mutex_lock(&h->lock);
    h->closed = true;
    (void)pthread_cond_broadcast(&h->wake);
    for (struct reader *r = h->readers; r; r = r->next) {
        r->closing = true;
        wake(r);
    }
    (void)pthread_mutex_unlock(&h->lock);
}

void cf_hub_free(struct cf_hub *h)
{
    if (!h)
        return;
    cf_hub_close(h);
    (void)pthread_join(h->timer, NULL);
    frame_unref(h->stats);
    frame_unref(h->health);
    (void)pthread_cond_destroy(&h->wake);
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
}

size_t cf_hub_readers(struct cf_hub *h)
{
    size_t n;

    (void)pthread_mutex_lock(&h->lock);
    n = h->n_readers;
    (void)pthread_mutex_unlock(&h->lock);
    return n;
}

static bool may_see(const struct reader *r, cf_str org, cf_str user)
{
    if (user.n && !cf_str_eq(user, r->who->user_id))
        return false;
    if (org.n == 0 || r->all)
        return true;
    for (size_t i = 0; i < r->n_orgs; i++) {
        if (cf_str_eq(r->orgs[i], org))
            return true;
    }
    return false;
}

/* What a topic needs beside the scope. */
static bool may_topic(const struct reader *r, const char *topic)
{
    if (strcmp(topic, "alert") == 0)
        return cf_principal_may(r->who, CF_STR("alert.read"));
    if (strcmp(topic, "incident") == 0)
        return cf_principal_may(r->who, CF_STR("incident.read"));
    if (strcmp(topic, "work-item") == 0)
        return cf_principal_may(r->who, CF_STR("workitem.read"));
    return true;
}

static struct frame *build(struct cf_hub *h, const char *topic, const json_t *payload)
{
    char *text = json_dumps(payload, JSON_COMPACT | JSON_ENCODE_ANY);
    struct cf_buf b;
    struct frame *f = NULL;

    cf_buf_init(&b, 1 << 20);
    if (text)
        cf_buf_printf(&b, "id: %llu\nevent: %s\ndata: %s\n\n", (unsigned long long)++h->id, topic, text);
    if (text && !b.failed)
        f = frame_text(b.p, b.n);
    cf_buf_release(&b);
    free(text);
    return f;
}

void cf_hub_publish(struct cf_hub *h, const char *topic, cf_str org_id, cf_str user_id, const json_t *payload)
{
    struct frame *f;

    if (!h)
        return;
    (void)pthread_mutex_lock(&h->lock);
    if (!h->readers || h->closed) {
        (void)pthread_mutex_unlock(&h->lock);
        return;
    }
    f = build(h, topic, payload);
    if (f && strcmp(topic, "stats") == 0) {
        frame_unref(h->stats);
        h->stats = f;
    } else if (f && strcmp(topic, "health") == 0) {
        frame_unref(h->health);
        h->health = f;
    } else if (f) {
        for (struct reader *r = h->readers; r; r = r->next) {
            if (may_topic(r, topic) && may_see(r, org_id, user_id))
                push(r, f);
        }
        frame_unref(f);
    }
    (void)pthread_mutex_unlock(&h->lock);
}

static ssize_t read_stream(void *cls, uint64_t pos, char *buf, size_t max)
{
    static const char lagged[] = "event: lagged\ndata: {}\n\n";
    struct reader *r = cls;
    size_t out = 0;
    bool ended;

    (void)pos;
    (void)pthread_mutex_lock(&r->hub->lock);
    while (r->n && out < max) {
        struct frame *f = r->ring[r->head];
        size_t left = f->n - r->offset, take = left < max - out ? left : max - out;

        memcpy(buf + out, f->b + r->offset, take);
        out += take;
        r->offset += take;
        if (r->offset == f->n) {
            frame_unref(f);
            r->offset = 0;
            r->head = (r->head + 1) % RING;
            r->n--;
        }
    }
    if (r->lagged && r->offset == 0 && max - out >= sizeof lagged - 1) {
        memcpy(buf + out, lagged, sizeof lagged - 1);
        out += sizeof lagged - 1;
        r->lagged = false;
    }
    ended = out == 0 && r->closing;
    if (out == 0 && !ended) {
        r->suspended = true;
        MHD_suspend_connection(r->conn);
    }
    (void)pthread_mutex_unlock(&r->hub->lock);
    return ended ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)out;
}

static void free_stream(void *cls)
{
    struct reader *r = cls;

    (void)pthread_mutex_lock(&r->hub->lock);
    if (r->prev) {
        *r->prev = r->next;
        if (r->next)
            r->next->prev = r->prev;
        r->hub->n_readers--;
    }
    (void)pthread_mutex_unlock(&r->hub->lock);
    for (size_t i = 0; i < r->n; i++)
        frame_unref(r->ring[(r->head + i) % RING]);
    cf_principal_unref(r->who);
    cf_arena_release(&r->arena);
    free(r);
}

int cf_sse_handler(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_req_priv *c = req->priv;
    struct cf_app *app = req->app;
    struct cf_hub *h = app->hub;
    struct reader *r = calloc(1, sizeof *r);
    static const char hello[] = "retry: 3000\nevent: hello\ndata: {}\n\n";
    int e;

    if (!r)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the stream");
    r->hub = h;
    r->conn = c->conn;
    r->who = cf_principal_ref(c->who);
    cf_arena_init(&r->arena, 4096, 16 << 20);
    e = cf_scope_orgs(app->db, r->who, &r->arena, &r->all, &r->orgs, &r->n_orgs, reterr);
    if (e < 0) {
        free_stream(r);
        return e;
    }
    (void)pthread_mutex_lock(&h->lock);
    if (h->closed || h->n_readers >= READERS_MAX) {
        (void)pthread_mutex_unlock(&h->lock);
        free_stream(r);
        return cf_error_set(reterr, CF_EBUSY, "too many open streams");
    }
    r->next = h->readers;
    r->prev = &h->readers;
    if (r->next)
        r->next->prev = &r->next;
    r->serial = ++h->serial;
    h->directory = app->directory;
    h->readers = r;
    h->n_readers++;
    (void)pthread_mutex_unlock(&h->lock);

    struct frame *f = frame_text(hello, sizeof hello - 1);
    if (f) {
        (void)pthread_mutex_lock(&h->lock);
        push(r, f);
        (void)pthread_mutex_unlock(&h->lock);
        frame_unref(f);
    }
    c->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_stream, r, free_stream);
    if (!c->response) {
        free_stream(r);
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the stream");
    }
    c->status = 200;
    (void)MHD_add_response_header(c->response, "Content-Type", "text/event-stream; charset=utf-8");
    cf_reply_header(req, "X-Accel-Buffering", "no");
    return 0;
}
