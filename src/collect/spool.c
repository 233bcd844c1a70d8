/* SPDX-License-Identifier: Apache-2.0
 * Spool: opening what an earlier run left, appending, waiting, statistics, closing. Files are written by spool_flush.c and
 * read by spool_read.c. */
#include "collect/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/spool_int.h"

#define PEND_DEFAULT (16u << 20)

struct timespec spool_deadline(int64_t us)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    us += t.tv_nsec / 1000;
    t.tv_sec += us / CF_US_PER_S;
    t.tv_nsec = (us % CF_US_PER_S) * 1000;
    return t;
}

void spool_segment_path(const struct cf_spool *s, uint64_t number, char path[4200])
{
    (void)snprintf(path, 4200, "%s/%016llx.seg", s->dir, (unsigned long long)number);
}

void spool_segment_free(struct spool_seg *g)
{
    if (!g)
        return;
    if (g->fd >= 0)
        (void)close(g->fd);
    free(g);
}

bool spool_segment_add(struct cf_spool *s, struct spool_seg *g)
{
    if (s->n_seg == s->cap_seg) {
        size_t cap = s->cap_seg ? s->cap_seg * 2 : 16;
        struct spool_seg **p = realloc(s->seg, cap * sizeof *p);

        if (!p)
            return false;
        s->seg = p;
        s->cap_seg = cap;
    }
    s->seg[s->n_seg++] = g;
    return true;
}

static int seg_cmp(const void *a, const void *b)
{
    const struct spool_seg *const *x = a, *const *y = b;

    return ((*x)->number > (*y)->number) - ((*x)->number < (*y)->number);
}

static bool seg_name(const char *name, uint64_t *ret)
{
    cf_str s = cf_str_c(name);

    return s.n == 20 && cf_str_ends(s, CF_STR(".seg")) && cf_str_hex64(cf_str_sub(s, 0, 16), ret);
}

/* Lists segments in order. Those before the checkpoint, and those without a record, are deleted. *ret_max: highest number seen. */
static int find_segments(struct cf_spool *s, const struct cf_ckpt *ck, uint64_t *ret_max, struct cf_error *reterr)
{
    int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;

    if (!d)
        return cf_error_errno(reterr, "spool folder \"%s\"", s->dir);
    *ret_max = ck->seg;
    while ((e = readdir(d))) {
        struct spool_seg *g;
        struct stat st;
        uint64_t number;

        if (!seg_name(e->d_name, &number) || fstatat(s->dir_fd, e->d_name, &st, 0) < 0)
            continue;
        if (number > *ret_max)
            *ret_max = number;
        if (number < ck->seg || st.st_size <= (off_t)CF_SEG_HEAD) {
            (void)unlinkat(s->dir_fd, e->d_name, 0);
            continue;
        }
        g = calloc(1, sizeof *g);
        if (!g || !spool_segment_add(s, g)) {
            free(g);
            (void)closedir(d);
            return cf_error_set(reterr, CF_ENOMEM, "spool segments");
        }
        *g = (struct spool_seg){.number = number, .fd = -1, .old = true, .final = true, .assigned = (size_t)st.st_size, .sealed = (size_t)st.st_size};
        s->disk_bytes += g->assigned;
    }
    (void)closedir(d);
    if (s->n_seg)
        qsort(s->seg, s->n_seg, sizeof *s->seg, seg_cmp);
    return 0;
}

static int open_checkpoint(struct cf_spool *s, struct cf_ckpt *ck, struct cf_error *reterr)
{
    uint8_t buf[2 * CF_CKPT_SLOT] = {0};
    bool both_bad;
    size_t n = 0;

    s->ckpt_fd = openat(s->dir_fd, "checkpoint", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->ckpt_fd < 0 || spool_pread(s->ckpt_fd, buf, sizeof buf, 0, &n) < 0)
        return cf_error_errno(reterr, "spool checkpoint in \"%s\"", s->dir);
    memset(ck, 0, sizeof *ck);
    if (!cf_ckpt_pick(buf, n, ck, &both_bad) && both_bad)
        cf_log_error("spool", "checkpoint damaged, reading every segment again", "dir=%s", s->dir);
    s->generation = ck->generation;
    s->id = ck->spool_id;
    return 0;
}

/* Without a checkpoint the id comes from a segment; a new spool draws one. */
static int find_id(struct cf_spool *s, struct cf_error *reterr)
{
    for (size_t i = 0; i < s->n_seg && s->id == 0; i++) {
        struct cf_seg_head h;
        char path[4200];
        int fd;
        size_t n = 0;

        spool_segment_path(s, s->seg[i]->number, path);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (spool_pread(fd, (uint8_t *)&h, sizeof h, 0, &n) == 0 && n == sizeof h && cf_seg_head_ok(&h))
            s->id = h.spool_id;
        (void)close(fd);
    }
    while (s->id == 0)
        if (!cf_random(&s->id, sizeof s->id))
            return cf_error_set(reterr, CF_EIO, "random numbers for the spool id");
    return 0;
}

static int64_t or_default(int64_t v, int64_t def) { return v > 0 ? v : def; }

static int set_options(struct cf_spool *s, const struct cf_spool_options *o, struct cf_error *reterr)
{
    int64_t size = or_default(o->segment_size, 64 << 20);

    if (size < 65536 || size > 1 << 30)
        return cf_error_set(reterr, CF_EINVAL, "spool segment size %lld: must be 64 KiB to 1 GiB", (long long)size);
    s->segment_size = (size_t)size;
    s->cap = (size_t)or_default(o->cap, INT64_C(8) << 30);
    s->min_free = o->min_free < 0 ? 0 : (size_t)or_default(o->min_free, 256 << 20);
    s->batch_bytes = (size_t)or_default(o->batch_bytes, 8 << 20);
    s->batch_rows = or_default(o->batch_rows, 65536);
    s->goes_on = o->goes_on;
    s->hold_us = or_default(o->hold_us, 150000);
    s->batch_age_us = or_default(o->batch_age_us, 200000);
    s->batch_busy_us = or_default(o->batch_busy_us, 600000);
    s->no_sync = o->no_sync;
    s->frame_max = s->segment_size / 2 < CF_FRAME_MAX ? s->segment_size / 2 : CF_FRAME_MAX;
    s->frame_max -= 8192;
    s->pend_max = PEND_DEFAULT > s->frame_max + 65536 ? PEND_DEFAULT : s->frame_max + 65536;
    return 0;
}

static int open_files(struct cf_spool *s, const char *dir, struct cf_error *reterr)
{
    int r = cf_mkdir_p(dir, 0700, reterr);

    if (r < 0)
        return r;
    s->dir = strdup(dir);
    s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!s->dir || s->dir_fd < 0)
        return cf_error_errno(reterr, "spool folder \"%s\"", dir);
    s->lock_fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return cf_error_errno(reterr, "spool folder \"%s\"", dir);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return cf_error_set(reterr, CF_EBUSY, "spool folder \"%s\" is in use by another process", dir);
    return 0;
}

static int open_state(struct cf_spool *s, struct cf_error *reterr)
{
    struct cf_ckpt ck;
    uint64_t max = 0;
    int r = open_checkpoint(s, &ck, reterr);

    if (r == 0)
        r = find_segments(s, &ck, &max, reterr);
    if (r == 0)
        r = find_id(s, reterr);
    if (r < 0)
        return r;
    s->first_new = max + 1;
    s->cursor = (struct cf_spool_pos){s->first_new, CF_SEG_HEAD};
    if (s->n_seg) {
        struct spool_seg *g = s->seg[0];

        s->cursor = (struct cf_spool_pos){g->number, CF_SEG_HEAD};
        if (g->number == ck.seg && ck.off > CF_SEG_HEAD)
            s->cursor.off = ck.off < g->assigned ? ck.off : g->assigned;
        r = spool_scan_tail(s, s->seg[s->n_seg - 1], reterr);
    }
    s->done = s->cursor;
    return r;
}

static void init_locks(struct cf_spool *s)
{
    pthread_cond_t *c[] = {&s->work, &s->durable, &s->space, &s->readable};
    pthread_mutex_t *m[] = {&s->ck, &s->rd, &s->mu};
    pthread_condattr_t a;

    (void)pthread_condattr_init(&a);
    (void)pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    for (size_t i = 0; i < sizeof c / sizeof *c; i++)
        (void)pthread_cond_init(c[i], &a);
    for (size_t i = 0; i < sizeof m / sizeof *m; i++)
        (void)pthread_mutex_init(m[i], NULL);
    (void)pthread_condattr_destroy(&a);
}

int cf_spool_open(const struct cf_spool_options *o, struct cf_spool **ret, struct cf_error *reterr)
{
    struct cf_spool *s = calloc(1, sizeof *s);
    struct cf_error err = {0};
    int r;

    if (!s)
        return cf_error_set(reterr, CF_ENOMEM, "spool");
    s->dir_fd = s->lock_fd = s->ckpt_fd = -1;
    init_locks(s);
    r = set_options(s, o, reterr);
    if (r == 0)
        r = open_files(s, o->dir, reterr);
    if (r == 0)
        r = open_state(s, reterr);
    if (r < 0)
        goto fail;
    s->pend.p = malloc(s->pend_max);
    s->spare = malloc(s->pend_max);
    if (!s->pend.p || !s->spare) {
        r = cf_error_set(reterr, CF_ENOMEM, "spool buffers");
        goto fail;
    }
    if (spool_segment_create(s, s->first_new, &s->cur, &err) < 0 || !spool_segment_add(s, s->cur)) {
        s->no_segment = true; /* a full disk does not keep the server from starting: the flusher tries again */
        (void)snprintf(s->reason, sizeof s->reason, "%.190s", err.msg);
    } else {
        s->disk_bytes += CF_SEG_HEAD;
    }
    if (pthread_create(&s->thread, NULL, spool_flush_main, s) != 0) {
        r = cf_error_set(reterr, CF_ENOMEM, "spool thread");
        goto fail;
    }
    s->thread_on = true;
    *ret = s;
    return 0;
fail:
    cf_spool_close(s);
    return r;
}

void cf_spool_close(struct cf_spool *s)
{
    if (!s)
        return;
    if (s->thread_on) {
        (void)pthread_mutex_lock(&s->mu);
        s->stop = true;
        (void)pthread_cond_broadcast(&s->work);
        (void)pthread_mutex_unlock(&s->mu);
        (void)pthread_join(s->thread, NULL);
    }
    for (size_t i = 0; i < s->n_seg; i++)
        spool_segment_free(s->seg[i]);
    if (s->next) {
        char path[4200];

        spool_segment_path(s, s->next->number, path);
        (void)unlink(path);
        spool_segment_free(s->next);
    }
    if (s->ckpt_fd >= 0)
        (void)close(s->ckpt_fd);
    if (s->lock_fd >= 0)
        (void)close(s->lock_fd);
    if (s->dir_fd >= 0)
        (void)close(s->dir_fd);
    free(s->seg);
    free(s->fly);
    free(s->pend.p);
    free(s->spare);
    free(s->dir);
    free(s);
}

uint64_t cf_spool_id(const struct cf_spool *s) { return s->id; }
size_t cf_spool_frame_max(const struct cf_spool *s) { return s->frame_max - 4096; }

/* ---- append -------------------------------------------------------------------------------------------------------- */

/* Reserves n bytes of the current segment in the pending buffer. NULL: no room there now. mu held. */
static uint8_t *pend_reserve(struct cf_spool *s, size_t n)
{
    struct spool_pending *p = &s->pend;
    struct spool_span *sp = p->n_spans ? &p->span[p->n_spans - 1] : NULL;
    uint8_t *at = p->p + p->n;

    if (!sp || sp->seg != s->cur) {
        if (p->n_spans == SPOOL_SPANS)
            return NULL;
        sp = &p->span[p->n_spans++];
        *sp = (struct spool_span){.seg = s->cur, .off = s->cur->assigned, .at = p->n, .sealed = s->cur->pend_sealed};
    }
    sp->n += n;
    p->n += n;
    s->cur->assigned += n;
    s->disk_bytes += n;
    s->appended += n;
    return at;
}

void spool_seal_locked(struct cf_spool *s)
{
    struct cf_frame_head h = {.kind = CF_FRAME_SEAL, .first = s->cur->records};
    uint8_t *at;

    if (s->open_rows == 0)
        return;
    if (s->pend_max - s->pend.n < sizeof h || !(at = pend_reserve(s, sizeof h)))
        return; /* the flusher comes by again */
    cf_frame_seal_head(&h, s->id, s->cur->number);
    memcpy(at, &h, sizeof h);
    s->cur->pend_sealed = s->cur->assigned;
    s->pend.span[s->pend.n_spans - 1].sealed = s->cur->assigned;
    s->open_rows = s->open_bytes = 0;
    s->open_received_us = 0;
    s->n_hold = 0;
}

bool spool_roll_locked(struct cf_spool *s)
{
    if (!s->next)
        return false;
    if (s->cur) {
        spool_seal_locked(s);
        if (s->open_rows > 0)
            return false;
        s->cur->final = true;
    }
    if (!spool_segment_add(s, s->next))
        return false;
    s->cur = s->next;
    s->next = NULL;
    s->disk_bytes += CF_SEG_HEAD;
    (void)pthread_cond_signal(&s->work); /* prepare the one after */
    return true;
}

static int refuse(struct cf_spool *s, int code, struct cf_error *reterr)
{
    s->st.accepting = false;
    return cf_error_set(reterr, code, "%s", s->reason);
}

/* Is there room on the disk and in memory for `size` more bytes? mu held. */
static int check_room(struct cf_spool *s, size_t size, struct cf_error *reterr)
{
    size_t need = size + CF_FRAME_HEAD;
    uint64_t limit = s->full ? s->cap - s->cap / 32 : s->cap; /* once full, wait for a little room, not for one byte */

    if (s->disk_bytes + need > limit) {
        s->full = true;
        (void)snprintf(s->reason, sizeof s->reason, "spool is full: %llu of %zu bytes used, the event store does not keep up or is not reachable",
                       (unsigned long long)s->disk_bytes, s->cap);
        return refuse(s, CF_EFULL, reterr);
    }
    s->full = false;
    if (s->write_failed || s->disk_low)
        return refuse(s, CF_EFULL, reterr);
    if (s->pend_max - s->pend.n < need + CF_FRAME_HEAD)
        return cf_error_set(reterr, CF_EBUSY, "spool buffers are full, waiting for the disk");
    if (s->cur && s->cur->assigned + need + CF_FRAME_HEAD <= s->segment_size)
        return 0;
    if (spool_roll_locked(s))
        return 0;
    (void)pthread_cond_signal(&s->work);
    if (s->no_segment)
        return refuse(s, CF_EFULL, reterr);
    return cf_error_set(reterr, CF_EBUSY, "spool prepares its next segment");
}

static cf_str cut_text(cf_str t) { return cf_str_n(t.p, t.n > CF_SPOOL_TEXT_MAX ? CF_SPOOL_TEXT_MAX : t.n); }

/* Fills all of the head but place and head_crc. Walks the records once for the checksum. */
static int frame_measure(const struct cf_spool *s, const cf_str text[CF_FRAME_TEXTS], const cf_str *rec, size_t n, struct cf_frame_head *h, struct cf_error *reterr)
{
    static const uint8_t zero[8];
    size_t texts = 0, bytes = 0;
    uint32_t crc = 0;

    for (int i = 0; i < CF_FRAME_TEXTS; i++) {
        h->text[i] = (uint16_t)text[i].n;
        texts += text[i].n;
        crc = cf_crc32c(crc, text[i].p, text[i].n);
    }
    crc = cf_crc32c(crc, zero, cf_pad4(texts) - texts);
    for (size_t i = 0; i < n; i++) {
        uint32_t len = (uint32_t)rec[i].n;

        bytes += rec[i].n;
        if (rec[i].n > s->frame_max || bytes > s->frame_max)
            break;
        crc = cf_crc32c(crc, &len, 4);
    }
    bytes += cf_pad4(texts) + n * 4;
    if (n == 0 || n > UINT32_MAX / 8 || bytes > s->frame_max)
        return cf_error_set(reterr, CF_ELIMIT, "%zu records of %zu bytes do not fit one spool frame (%zu)", n, bytes, s->frame_max);
    for (size_t i = 0; i < n; i++)
        crc = cf_crc32c(crc, rec[i].p, rec[i].n);
    h->size = (uint32_t)bytes;
    h->n = (uint32_t)n;
    h->crc = crc;
    h->kind = CF_FRAME_DATA;
    return 0;
}

static void frame_write(uint8_t *at, const struct cf_frame_head *h, const cf_str text[CF_FRAME_TEXTS], const cf_str *rec, size_t n)
{
    uint8_t *end = at + CF_FRAME_HEAD + cf_pad8(h->size);
    size_t texts = 0;

    memcpy(at, h, sizeof *h);
    at += sizeof *h;
    for (int i = 0; i < CF_FRAME_TEXTS; i++) {
        if (text[i].n)
            memcpy(at + texts, text[i].p, text[i].n);
        texts += text[i].n;
    }
    memset(at + texts, 0, cf_pad4(texts) - texts);
    at += cf_pad4(texts);
    for (size_t i = 0; i < n; i++, at += 4) {
        uint32_t len = (uint32_t)rec[i].n;

        memcpy(at, &len, 4);
    }
    for (size_t i = 0; i < n; i++) {
        if (rec[i].n)
            memcpy(at, rec[i].p, rec[i].n);
        at += rec[i].n;
    }
    memset(at, 0, (size_t)(end - at));
}

int cf_spool_append(struct cf_spool *s, const struct cf_spool_origin *o, const cf_str *rec, size_t n, uint64_t *ret_ticket,
                    struct cf_error *reterr)
{
    const cf_str text[CF_FRAME_TEXTS] = {cut_text(o->source), cut_text(o->format), cut_text(o->peer), cut_text(o->org), cut_text(o->key),
                                         cut_text(o->mark)};
    struct cf_frame_head h = {.received_us = o->received_us};
    int r = frame_measure(s, text, rec, n, &h, reterr);
    bool goes_on = r == 0 && n && s->goes_on && s->goes_on(o, rec[n - 1]);
    size_t size;
    uint8_t *at;

    if (r < 0)
        return r;
    size = CF_FRAME_HEAD + cf_pad8(h.size);
    (void)pthread_mutex_lock(&s->mu);
    r = check_room(s, size, reterr);
    if (r == 0 && !(at = pend_reserve(s, size)))
        r = cf_error_set(reterr, CF_EBUSY, "spool buffers are full, waiting for the disk");
    if (r == 0) {
        s->st.accepting = true;
        h.first = s->cur->records;
        s->cur->records += h.n;
        cf_frame_seal_head(&h, s->id, s->cur->number);
        frame_write(at, &h, text, rec, n);
        if (s->open_rows == 0) {
            s->open_since_us = cf_mono_us();
            s->open_received_us = o->received_us;
        }
        s->open_rows += h.n;
        s->open_bytes += (int64_t)size;
        s->st.appended_records += h.n;
        s->st.appended_bytes += h.size;
        if (s->goes_on)
            spool_hold_note(s, o, goes_on);
        if (spool_batch_full(s))
            spool_seal_locked(s);
        if (ret_ticket)
            *ret_ticket = s->appended;
        (void)pthread_cond_signal(&s->work);
    }
    (void)pthread_mutex_unlock(&s->mu);
    return r;
}

int cf_spool_wait(struct cf_spool *s, uint64_t ticket, int timeout_ms, struct cf_error *reterr)
{
    struct timespec end = spool_deadline((int64_t)timeout_ms * 1000);
    int r = 0;

    (void)pthread_mutex_lock(&s->mu);
    s->waiters++;
    (void)pthread_cond_signal(&s->work);
    while (s->synced < ticket && r == 0) {
        if (s->write_failed)
            r = cf_error_set(reterr, CF_EFULL, "%s", s->reason);
        else if (pthread_cond_timedwait(&s->durable, &s->mu, &end) == ETIMEDOUT && s->synced < ticket)
            r = cf_error_set(reterr, CF_ETIMEOUT, "the disk did not confirm the records within %d ms", timeout_ms);
    }
    s->waiters--;
    (void)pthread_mutex_unlock(&s->mu);
    return r;
}

bool cf_spool_wait_space(struct cf_spool *s, int timeout_ms)
{
    struct timespec end = spool_deadline((int64_t)timeout_ms * 1000);
    bool ok = false;
    int r = 0;

    (void)pthread_mutex_lock(&s->mu);
    while (!ok && r != ETIMEDOUT && !s->woken) {
        bool room = s->pend_max - s->pend.n > s->pend_max / 4 && s->cur && !s->write_failed && !s->disk_low;
        uint64_t limit = s->full ? s->cap - s->cap / 32 : s->cap;

        ok = room && s->disk_bytes + s->frame_max <= limit && (s->next || s->cur->assigned + s->frame_max <= s->segment_size);
        if (!ok)
            r = pthread_cond_timedwait(&s->space, &s->mu, &end);
    }
    (void)pthread_mutex_unlock(&s->mu);
    return ok;
}

void cf_spool_wake(struct cf_spool *s)
{
    (void)pthread_mutex_lock(&s->mu);
    s->woken = true;
    (void)pthread_cond_broadcast(&s->readable);
    (void)pthread_cond_broadcast(&s->space);
    (void)pthread_mutex_unlock(&s->mu);
}

void cf_spool_get_stats(struct cf_spool *s, struct cf_spool_stats *ret)
{
    (void)pthread_mutex_lock(&s->mu);
    *ret = s->st;
    ret->disk_bytes = s->disk_bytes;
    ret->segments = s->n_seg;
    for (size_t i = 0; i < s->n_seg; i++) {
        const struct spool_seg *g = s->seg[i];

        if (g->number == s->done.seg)
            ret->backlog_bytes += g->assigned - (s->done.off < g->assigned ? s->done.off : g->assigned);
        else if (g->number > s->done.seg)
            ret->backlog_bytes += g->assigned - CF_SEG_HEAD;
    }
    ret->oldest_us = s->n_fly ? s->fly[0].received_us : s->open_rows ? s->open_received_us : 0;
    ret->accepting = !(s->write_failed || s->disk_low || s->full || s->no_segment);
    if (!ret->accepting)
        memcpy(ret->reason, s->reason, sizeof ret->reason);
    (void)pthread_mutex_unlock(&s->mu);
}
