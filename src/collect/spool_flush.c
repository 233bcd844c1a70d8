/* SPDX-License-Identifier: Apache-2.0
 * The spool's writing thread: takes what all producers appended, writes it, syncs once, tells the waiters (group commit);
 * prepares the next segment ahead so that a full disk is noticed before records are accepted; closes batches by age. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "collect/spool_int.h"

#define IDLE_FLUSH_US 20000   /* without waiters, writes are gathered this long ... */
#define IDLE_FLUSH_BYTES (4u << 20) /* ... or up to this size */
#define CHECK_US 200000       /* disk space is looked at this often */

int spool_sync_fd(const struct cf_spool *s, int fd) { return s->no_sync ? 0 : fdatasync(fd); }

static int pwrite_all(int fd, const uint8_t *p, size_t n, size_t off)
{
    while (n > 0) {
        ssize_t w = pwrite(fd, p, n, (off_t)off);

        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return -1;
        p += w;
        n -= (size_t)w;
        off += (size_t)w;
    }
    return 0;
}

static uint64_t disk_avail(const struct cf_spool *s)
{
    struct statvfs v;

    return fstatvfs(s->dir_fd, &v) < 0 ? UINT64_MAX : (uint64_t)v.f_bavail * v.f_frsize;
}

int spool_segment_create(struct cf_spool *s, uint64_t number, struct spool_seg **ret, struct cf_error *reterr)
{
    struct spool_seg *g = calloc(1, sizeof *g);
    struct cf_seg_head h;
    char path[4200];
    int r = 0;

    if (!g)
        return cf_error_set(reterr, CF_ENOMEM, "spool segment");
    if (disk_avail(s) < s->min_free + s->segment_size) {
        free(g);
        return cf_error_set(reterr, CF_EFULL, "disk of the spool is full: less than %zu MiB left", (s->min_free + s->segment_size) >> 20);
    }
    spool_segment_path(s, number, path);
    *g = (struct spool_seg){.number = number, .assigned = CF_SEG_HEAD, .sealed = CF_SEG_HEAD, .pend_sealed = CF_SEG_HEAD};
    g->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cf_seg_head_make(&h, s->id, number, cf_now_us());
    if (g->fd < 0)
        r = cf_error_errno(reterr, "spool segment \"%s\"", path);
    else if (fallocate(g->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)s->segment_size) < 0 && errno == ENOSPC)
        r = cf_error_errno(reterr, "spool segment \"%s\"", path);
    else if (pwrite_all(g->fd, (const uint8_t *)&h, sizeof h, 0) < 0 || spool_sync_fd(s, g->fd) < 0 || fsync(s->dir_fd) < 0)
        r = cf_error_errno(reterr, "spool segment \"%s\"", path);
    if (r < 0) {
        if (g->fd >= 0)
            (void)unlink(path);
        spool_segment_free(g);
        return r;
    }
    cf_crash_point("spool.segment_created");
    *ret = g;
    return 0;
}

/* Writes and syncs everything in s->out. On failure nothing is forgotten: the same bytes are written again to the same
 * places later (also the ones a failed sync may have dropped). */
static int write_out(struct cf_spool *s, struct cf_error *reterr)
{
    cf_crash_point("spool.before_write");
    for (size_t i = 0; i < s->out.n_spans; i++) {
        const struct spool_span *sp = &s->out.span[i];
        const uint8_t *p = s->out.p + sp->at;

        if (cf_crash_armed && cf_crash_is("spool.half_write"))
            (void)pwrite_all(sp->seg->fd, p, sp->n / 2, sp->off);
        cf_crash_point("spool.half_write");
        if (pwrite_all(sp->seg->fd, p, sp->n, sp->off) < 0)
            return cf_error_errno(reterr, "writing spool segment %llu", (unsigned long long)sp->seg->number);
    }
    cf_crash_point("spool.written");
    for (size_t i = 0; i < s->out.n_spans; i++) {
        if (i + 1 < s->out.n_spans && s->out.span[i + 1].seg == s->out.span[i].seg)
            continue;
        if (spool_sync_fd(s, s->out.span[i].seg->fd) < 0)
            return cf_error_errno(reterr, "syncing spool segment %llu", (unsigned long long)s->out.span[i].seg->number);
    }
    cf_crash_point("spool.synced");
    return 0;
}

/* The buffers of s->out are durable now. mu held. */
static void publish_out(struct cf_spool *s, int64_t took_us)
{
    for (size_t i = 0; i < s->out.n_spans; i++) {
        struct spool_seg *g = s->out.span[i].seg;

        g->sealed = s->out.span[i].sealed;
        if (g->final && g->sealed == g->assigned && ftruncate(g->fd, (off_t)g->assigned) < 0)
            cf_log_debug("spool", "reserved space stays until the segment is deleted", "segment=%llu", (unsigned long long)g->number);
    }
    s->synced += s->out.n;
    s->st.syncs++;
    s->st.sync_us += (uint64_t)took_us;
    if ((uint64_t)took_us > s->st.sync_max_us)
        s->st.sync_max_us = (uint64_t)took_us;
    s->spare = s->out.p;
    s->out = (struct spool_pending){0};
    (void)pthread_cond_broadcast(&s->durable);
    (void)pthread_cond_broadcast(&s->readable);
    (void)pthread_cond_broadcast(&s->space);
}

/* When the open batch must be closed; INT64_MAX: there is none. mu held. */
static int64_t seal_due(const struct cf_spool *s)
{
    int64_t due = s->open_since_us + (s->idle_workers ? s->batch_age_us : s->batch_busy_us), held = spool_held_until(s);

    if (s->open_rows == 0)
        return INT64_MAX;
    return held <= due ? due : held < due + 2 * s->hold_us ? held : due + 2 * s->hold_us;
}

/* Takes the pending buffer when it is time to write. mu held. */
static bool take_pending(struct cf_spool *s, int64_t now, int64_t *ret_wake)
{
    bool due;

    if (seal_due(s) <= now)
        spool_seal_locked(s);
    else if (seal_due(s) < *ret_wake)
        *ret_wake = seal_due(s);
    if (s->pend.n == 0)
        return false;
    due = s->waiters > 0 || s->pend.n >= IDLE_FLUSH_BYTES || s->stop || now - s->flushed_us >= IDLE_FLUSH_US || s->pend.n_spans > 1;
    if (!due) {
        if (s->flushed_us + IDLE_FLUSH_US < *ret_wake)
            *ret_wake = s->flushed_us + IDLE_FLUSH_US;
        return false;
    }
    s->out = s->pend;
    s->pend = (struct spool_pending){.p = s->spare};
    s->spare = NULL;
    (void)pthread_cond_broadcast(&s->space);
    return true;
}

static void note_failure(struct cf_spool *s, const struct cf_error *err)
{
    (void)pthread_mutex_lock(&s->mu);
    if (!s->write_failed)
        cf_log_error("spool", "writing failed, not accepting until it works again", "reason=\"%s\"", err->msg);
    s->write_failed = true;
    (void)snprintf(s->reason, sizeof s->reason, "%.190s", err->msg);
    (void)pthread_cond_broadcast(&s->durable);
    (void)pthread_mutex_unlock(&s->mu);
}

/* Writes s->out, again and again until it works or the spool closes. */
static bool flush_out(struct cf_spool *s)
{
    for (;;) {
        struct cf_error err = {0};
        int64_t t0 = cf_mono_us();
        int r = write_out(s, &err);
        bool stop;

        s->flushed_us = cf_mono_us();
        if (r == 0) {
            (void)pthread_mutex_lock(&s->mu);
            if (s->write_failed)
                cf_log_info("spool", "writing works again", "dir=%s", s->dir);
            s->write_failed = false;
            publish_out(s, s->flushed_us - t0);
            (void)pthread_mutex_unlock(&s->mu);
            return true;
        }
        note_failure(s, &err);
        (void)usleep(200000);
        (void)pthread_mutex_lock(&s->mu);
        stop = s->stop;
        (void)pthread_mutex_unlock(&s->mu);
        if (stop) {
            cf_log_error("spool", "closed with records that could not be written", "bytes=%zu", s->out.n);
            free(s->out.p);
            s->out = (struct spool_pending){0};
            return false;
        }
    }
}

/* Keeps one prepared segment in hand. Called without mu. */
static void prepare_next(struct cf_spool *s, uint64_t number)
{
    struct spool_seg *g = NULL;
    struct cf_error err = {0};
    int r = spool_segment_create(s, number, &g, &err);

    (void)pthread_mutex_lock(&s->mu);
    if (r == 0) {
        if (s->no_segment)
            cf_log_info("spool", "space for a new segment again", "dir=%s", s->dir);
        s->no_segment = false;
        s->next = g;
        if (!s->cur)
            (void)spool_roll_locked(s);
        (void)pthread_cond_broadcast(&s->space);
    } else {
        if (!s->no_segment)
            cf_log_warn("spool", "no new segment", "reason=\"%s\"", err.msg);
        s->no_segment = true;
        (void)snprintf(s->reason, sizeof s->reason, "%.190s", err.msg);
    }
    (void)pthread_mutex_unlock(&s->mu);
}

static void check_disk(struct cf_spool *s, int64_t now)
{
    bool low;

    if (now - s->checked_us < CHECK_US)
        return;
    s->checked_us = now;
    low = disk_avail(s) < s->min_free;
    (void)pthread_mutex_lock(&s->mu);
    if (low != s->disk_low)
        cf_log_warn("spool", low ? "disk nearly full, not accepting" : "disk has space again", "min_free=%zu", s->min_free);
    s->disk_low = low;
    if (low)
        (void)snprintf(s->reason, sizeof s->reason, "disk of the spool is full: less than %zu MiB left", s->min_free >> 20);
    else
        (void)pthread_cond_broadcast(&s->space);
    (void)pthread_mutex_unlock(&s->mu);
}

void *spool_flush_main(void *arg)
{
    struct cf_spool *s = arg;
    int64_t tried_us = 0;
    bool more = true;

    (void)pthread_setname_np(pthread_self(), "cf-spool");
    while (more) {
        int64_t now = cf_mono_us(), wake = now + CHECK_US;
        uint64_t number = 0;
        bool have;

        check_disk(s, now);
        (void)pthread_mutex_lock(&s->mu);
        if (s->stop && s->cur) {
            spool_seal_locked(s);
            if (s->pend.n == 0 && s->open_rows == 0)
                more = false;
        } else if (s->stop) {
            more = false;
        }
        have = take_pending(s, now, &wake);
        if (!s->next && !s->stop && (!s->no_segment || now - tried_us >= CHECK_US))
            number = s->cur ? s->cur->number + 1 : s->first_new;
        if (!have && !number && more) {
            struct timespec end = spool_deadline(wake - now > 0 ? wake - now : 0);

            (void)pthread_cond_timedwait(&s->work, &s->mu, &end);
        }
        (void)pthread_mutex_unlock(&s->mu);
        if (have && !flush_out(s))
            break;
        if (number) {
            tried_us = now;
            prepare_next(s, number);
        }
    }
    return NULL;
}
