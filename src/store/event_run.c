/* SPDX-License-Identifier: Apache-2.0
 * Searches that can be stopped. A run is entered in a list while its search works; every statement of the search carries the run's
 * tag (the engine's log_comment), so that another connection finds and kills it. One thread looks after the list: it asks whether
 * those who wait for an answer are still there, and repeats the kill until the run has ended, because a kill between two statements
 * finds nothing. */
#include "store/event_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

#define WATCH_US 100000
#define KILL_MAX 16 /* of one round */

struct cf_event_run {
    struct cf_event_run *next;
    struct cf_event_store *s;
    char owner[64], id[CF_EVENT_RUN_ID_MAX + 1], tag[64];
    bool (*gone)(void *arg);
    void *arg;
    int64_t started_us;
    _Atomic bool cancelled;
};

static bool mine(const struct cf_event_run *r, cf_str owner, cf_str id)
{
    return cf_str_eqz(owner, r->owner) && cf_str_eqz(id, r->id);
}

static void kill_tag(struct cf_event_store *s, const char *tag)
{
    struct cf_error err = {0};
    char sql[160];

    (void)snprintf(sql, sizeof sql, "KILL QUERY WHERE Settings['log_comment'] = '%s' ASYNC FORMAT Null", tag);
    (void)s->backend->exec(s, cf_str_c(sql), &err); /* tried again in the next round */
}

/* Who is gone is cancelled; returns the tags of cancelled runs. */
static size_t look(struct cf_event_runs *rs, char tag[KILL_MAX][64])
{
    size_t n = 0;

    for (struct cf_event_run *r = rs->first; r; r = r->next) {
        if (!atomic_load(&r->cancelled) && r->gone && r->gone(r->arg))
            atomic_store(&r->cancelled, true);
        if (atomic_load(&r->cancelled) && n < KILL_MAX)
            memcpy(tag[n++], r->tag, sizeof r->tag);
    }
    return n;
}

static void *watch(void *arg)
{
    struct cf_event_store *s = arg;
    struct cf_event_runs *rs = &s->runs;
    char tag[KILL_MAX][64];

    (void)pthread_mutex_lock(&rs->lock);
    while (!rs->stop) {
        struct timespec until;
        size_t n;

        if (!rs->first) {
            (void)pthread_cond_wait(&rs->changed, &rs->lock);
            continue;
        }
        n = look(rs, tag);
        if (n) {
            (void)pthread_mutex_unlock(&rs->lock);
            for (size_t i = 0; i < n; i++)
                kill_tag(s, tag[i]);
            (void)pthread_mutex_lock(&rs->lock);
        }
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += WATCH_US * 1000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (!rs->stop)
            (void)pthread_cond_timedwait(&rs->tick, &rs->lock, &until);
    }
    (void)pthread_mutex_unlock(&rs->lock);
    return NULL;
}

void cf_event_runs_init(struct cf_event_store *s)
{
    (void)pthread_mutex_init(&s->runs.lock, NULL);
    (void)pthread_cond_init(&s->runs.changed, NULL);
    (void)pthread_cond_init(&s->runs.tick, NULL);
}

void cf_event_runs_release(struct cf_event_store *s)
{
    (void)pthread_mutex_lock(&s->runs.lock);
    s->runs.stop = true;
    (void)pthread_cond_signal(&s->runs.changed);
    (void)pthread_cond_signal(&s->runs.tick);
    (void)pthread_mutex_unlock(&s->runs.lock);
    if (s->runs.on)
        (void)pthread_join(s->runs.thread, NULL);
    (void)pthread_mutex_destroy(&s->runs.lock);
    (void)pthread_cond_destroy(&s->runs.changed);
    (void)pthread_cond_destroy(&s->runs.tick);
}

int cf_event_run_begin(struct cf_event_store *s, const struct cf_event_run_options *o, struct cf_event_run **ret, struct cf_error *reterr)
{
    struct cf_event_runs *rs = &s->runs;
    struct cf_event_run *r;

    if (o->id.n > CF_EVENT_RUN_ID_MAX || o->owner.n >= sizeof r->owner)
        return cf_error_set(reterr, CF_EINVAL, "query_id is longer than %d characters", CF_EVENT_RUN_ID_MAX);
    r = calloc(1, sizeof *r);
    if (!r)
        return cf_error_set(reterr, CF_ENOMEM, "event store: out of memory");
    r->s = s;
    r->gone = o->gone;
    r->arg = o->arg;
    r->started_us = cf_mono_us();
    (void)snprintf(r->owner, sizeof r->owner, "%.*s", CF_ARG(o->owner));
    (void)snprintf(r->id, sizeof r->id, "%.*s", CF_ARG(o->id));
    memcpy(r->tag, "cf-run-", 7);
    cf_uuid7(r->tag + 7); /* nodes of a cluster serve several programs */
    (void)pthread_mutex_lock(&rs->lock);
    if (!rs->on)
        rs->on = pthread_create(&rs->thread, NULL, watch, s) == 0; /* without it a search works, but cannot be stopped inside a statement */
    r->next = rs->first;
    rs->first = r;
    (void)pthread_cond_signal(&rs->changed);
    (void)pthread_mutex_unlock(&rs->lock);
    *ret = r;
    return 0;
}

void cf_event_run_end(struct cf_event_run *r)
{
    struct cf_event_run **p;

    if (!r)
        return;
    (void)pthread_mutex_lock(&r->s->runs.lock);
    for (p = &r->s->runs.first; *p != r; p = &(*p)->next)
        ;
    *p = r->next;
    (void)pthread_mutex_unlock(&r->s->runs.lock);
    free(r);
}

bool cf_event_run_cancelled(const struct cf_event_run *r)
{
    return r && atomic_load(&r->cancelled);
}

const char *cf_event_run_tag(const struct cf_event_run *r)
{
    return r ? r->tag : NULL;
}

size_t cf_event_run_cancel(struct cf_event_store *s, cf_str owner, cf_str id)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&s->runs.lock);
    for (struct cf_event_run *r = s->runs.first; r; r = r->next) {
        if (mine(r, owner, id)) {
            atomic_store(&r->cancelled, true);
            n++;
        }
    }
    (void)pthread_cond_signal(&s->runs.tick);
    (void)pthread_mutex_unlock(&s->runs.lock);
    return n;
}

bool cf_event_run_progress(struct cf_event_store *s, cf_str owner, cf_str id, struct cf_event_progress *ret)
{
    struct cf_event_progress p = {0};
    struct cf_buf sql, out;
    struct cf_error err = {0};
    cf_str t, head;
    bool any = false;

    cf_buf_init(&sql, 1u << 16);
    cf_buf_init(&out, 4096);
    cf_buf_z(&sql, "SELECT sum(read_rows), sum(total_rows_approx) FROM system.processes WHERE Settings['log_comment'] IN (''");
    (void)pthread_mutex_lock(&s->runs.lock);
    for (const struct cf_event_run *r = s->runs.first; r; r = r->next) {
        int64_t ms = (cf_mono_us() - r->started_us) / 1000;

        if (!mine(r, owner, id))
            continue;
        any = true;
        p.elapsed_ms = ms > p.elapsed_ms ? ms : p.elapsed_ms;
        cf_buf_printf(&sql, ", '%s'", r->tag);
    }
    (void)pthread_mutex_unlock(&s->runs.lock);
    cf_buf_z(&sql, ") AND Settings['log_comment'] != ''");
    if (any && !sql.failed && cf_event_store_query(s, cf_buf_view(&sql), NULL, 0, "TSV", NULL, &out, &err) == 0) {
        t = cf_str_trim(cf_buf_view(&out));
        if (cf_str_cut(&t, '\t', &head) && cf_str_i64(head, &p.rows_read))
            (void)cf_str_i64(t, &p.rows_total);
    }
    cf_buf_release(&sql);
    cf_buf_release(&out);
    *ret = p;
    return any;
}
