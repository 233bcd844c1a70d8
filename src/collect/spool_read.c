/* SPDX-License-Identifier: Apache-2.0
 * The spool's reading side: batches in order, what is done, the checkpoint, deletion of segments. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collect/spool_int.h"

#define READ_STEP (1u << 20)
#define BATCH_HARD_MAX (96u << 20) /* a batch ends here even without a seal (damaged segment) */

int spool_pread(int fd, uint8_t *p, size_t n, size_t off, size_t *ret_n)
{
    size_t got = 0;

    while (got < n) {
        ssize_t r = pread(fd, p + got, n - got, (off_t)(off + got));

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        got += (size_t)r;
    }
    *ret_n = got;
    return 0;
}

static int seg_open_old(struct cf_spool *s, struct spool_seg *g, struct cf_error *reterr)
{
    char path[4200];

    if (g->fd >= 0)
        return 0;
    spool_segment_path(s, g->number, path);
    g->fd = open(path, O_RDWR | O_CLOEXEC);
    return g->fd < 0 ? cf_error_errno(reterr, "spool segment \"%s\"", path) : 0;
}

/* At start: what the newest segment of the earlier run ends with. A torn tail is reported, not cut: the batch border
 * found there stays the same for every later start. */
int spool_scan_tail(struct cf_spool *s, struct spool_seg *g, struct cf_error *reterr)
{
    struct cf_frame_head h;
    uint8_t *p = NULL;
    size_t n = 0, at = CF_SEG_HEAD, size;
    int r = seg_open_old(s, g, reterr);

    if (r < 0)
        return r;
    if (g->assigned > (size_t)2 << 30)
        return cf_error_set(reterr, CF_ECORRUPT, "spool segment %llu is larger than any segment", (unsigned long long)g->number);
    if (ftruncate(g->fd, (off_t)g->assigned) < 0) /* gives back what was reserved beyond the end */
        cf_log_debug("spool", "reserved space stays until the segment is deleted", "segment=%llu", (unsigned long long)g->number);
    p = malloc(g->assigned + 1);
    if (!p)
        return cf_error_set(reterr, CF_ENOMEM, "spool segment");
    if (spool_pread(g->fd, p, g->assigned, 0, &n) < 0)
        r = cf_error_errno(reterr, "spool segment %llu", (unsigned long long)g->number);
    while (r == 0 && at < n) {
        struct cf_spool_frame f;

        if (cf_frame_peek(p + at, n - at, s->id, g->number, &h, &size) != CF_FRAME_OK) {
            size_t next = cf_frame_resync(p, n, at + 8, s->id, g->number);

            if (next >= n)
                break;
            at = next;
        } else if (size > n - at || (size == n - at && !cf_frame_open(&h, p + at + CF_FRAME_HEAD, g->number, &f))) {
            break;
        } else {
            at += size;
        }
    }
    if (r == 0 && at < n) {
        s->st.torn_bytes += n - at;
        cf_log_warn("spool", "torn tail of the last run, records before it are kept", "segment=%llu at=%zu bytes=%zu",
                    (unsigned long long)g->number, at, n - at);
    }
    free(p);
    return r;
}

/* Marks of one segment. Payloads are read whole: the last one of each earlier run may end with frames that never got to the disk as
 * a whole, and the mark of such a frame says that its records are here when they are not. */
static int seg_marks(struct cf_spool *s, struct spool_seg *g, void (*fn)(void *, cf_str), void *ctx, struct cf_error *reterr)
{
    uint8_t head[CF_FRAME_HEAD + CF_FRAME_TEXTS * CF_SPOOL_TEXT_MAX], *body = NULL;
    size_t at = CF_SEG_HEAD;
    int r = seg_open_old(s, g, reterr);

    while (r == 0 && at + CF_FRAME_HEAD <= g->assigned) {
        struct cf_frame_head h;
        struct cf_spool_frame f;
        size_t n = 0, size, skip = CF_FRAME_HEAD;
        uint8_t *grown;

        if (spool_pread(g->fd, head, sizeof head, at, &n) < 0)
            return cf_error_errno(reterr, "reading spool segment %llu", (unsigned long long)g->number);
        if (cf_frame_peek(head, n, s->id, g->number, &h, &size) != CF_FRAME_OK || size > g->assigned - at) {
            at += 8; /* damage: on to the next head */
            continue;
        }
        at += size;
        if (h.kind != CF_FRAME_DATA || h.text[5] == 0)
            continue;
        for (size_t i = 0; i + 1 < CF_FRAME_TEXTS; i++)
            skip += h.text[i];
        if (!(grown = realloc(body, size))) {
            r = cf_error_set(reterr, CF_ENOMEM, "spool segment");
            break;
        }
        body = grown;
        if (spool_pread(g->fd, body, size, at - size, &n) < 0 || n < size || !cf_frame_open(&h, body + CF_FRAME_HEAD, g->number, &f))
            continue;
        if (skip + h.text[5] <= sizeof head)
            fn(ctx, cf_str_n((const char *)head + skip, h.text[5]));
    }
    free(body);
    return r;
}

int cf_spool_marks(struct cf_spool *s, void (*fn)(void *ctx, cf_str mark), void *ctx, struct cf_error *reterr)
{
    size_t n_old = 0;
    int r = 0;

    while (n_old < s->n_seg && s->seg[n_old]->old)
        n_old++;
    for (size_t i = 0; i < n_old && r == 0; i++)
        r = seg_marks(s, s->seg[i], fn, ctx, reterr);
    return r;
}

static bool batch_fill(struct cf_spool_batch *b, int fd, size_t want, size_t left)
{
    size_t n = want > b->n ? want - b->n : 0, got = 0;

    n = n < READ_STEP ? READ_STEP : n;
    n = n < left - b->n ? n : left - b->n;
    if (b->cap < b->n + n) {
        size_t cap = b->cap ? b->cap : (size_t)READ_STEP * 2;
        uint8_t *p;

        while (cap < b->n + n)
            cap *= 2;
        p = realloc(b->buf, cap);
        if (!p)
            return false;
        b->buf = p;
        b->cap = cap;
    }
    if (spool_pread(fd, b->buf + b->n, n, (size_t)b->start.off + b->n, &got) < 0 || got < n)
        return false;
    b->n += n;
    return true;
}

/* Reads from b->start to the next seal, at most `left` bytes. b->n becomes the batch's exact size. */
static int batch_read(struct cf_spool *s, struct cf_spool_batch *b, int fd, size_t left, int64_t *ret_received, struct cf_error *reterr)
{
    size_t at = 0;

    b->n = b->at = 0;
    b->rows = 0;
    *ret_received = 0;
    while (at < left && at < BATCH_HARD_MAX) {
        struct cf_frame_head h;
        enum cf_frame_state st;
        size_t size;

        if (b->n < at + CF_FRAME_HEAD && b->n < left && !batch_fill(b, fd, at + CF_FRAME_HEAD, left))
            return cf_error_errno(reterr, "reading spool segment %llu", (unsigned long long)b->start.seg);
        st = cf_frame_peek(b->buf + at, b->n - at, s->id, b->start.seg, &h, &size);
        if (st == CF_FRAME_OK && size <= left - at) {
            at += size;
            if (h.kind == CF_FRAME_SEAL)
                break;
            b->rows += h.n;
            if (!*ret_received)
                *ret_received = h.received_us;
        } else if (st == CF_FRAME_BAD) {
            if (b->n < left && b->n < BATCH_HARD_MAX && !batch_fill(b, fd, left < BATCH_HARD_MAX ? left : BATCH_HARD_MAX, left))
                return cf_error_errno(reterr, "reading spool segment %llu", (unsigned long long)b->start.seg);
            at = cf_frame_resync(b->buf, b->n, at + 8, s->id, b->start.seg);
        } else {
            at = left; /* torn: the frame or its head goes beyond the end */
        }
    }
    if (at > left)
        at = left;
    if (b->n < at && !batch_fill(b, fd, at, left))
        return cf_error_errno(reterr, "reading spool segment %llu", (unsigned long long)b->start.seg);
    b->n = at;
    return 0;
}

/* The segment the cursor is in, with something to read: moves the cursor on over finished ones. NULL: nothing now. mu held. */
static struct spool_seg *readable_seg(struct cf_spool *s)
{
    for (size_t i = 0; i < s->n_seg; i++) {
        struct spool_seg *g = s->seg[i];

        if (g->number < s->cursor.seg)
            continue;
        if (g->number > s->cursor.seg)
            s->cursor = (struct cf_spool_pos){g->number, CF_SEG_HEAD};
        if (s->cursor.off < g->sealed)
            return g;
        if (!g->final || g->sealed < g->assigned)
            return NULL;
    }
    return NULL;
}

static bool inflight_add(struct cf_spool *s, const struct cf_spool_batch *b, int64_t received_us)
{
    if (s->n_fly == s->cap_fly) {
        size_t cap = s->cap_fly ? s->cap_fly * 2 : 16;
        struct spool_inflight *p = realloc(s->fly, cap * sizeof *p);

        if (!p)
            return false;
        s->fly = p;
        s->cap_fly = cap;
    }
    s->fly[s->n_fly++] = (struct spool_inflight){b->start, b->end, received_us, false};
    return true;
}

static struct spool_seg *wait_readable(struct cf_spool *s, int timeout_ms)
{
    struct timespec end = spool_deadline((int64_t)timeout_ms * 1000);
    struct spool_seg *g;

    while (!(g = readable_seg(s)) && !s->woken) {
        int r;

        if (s->idle_workers++ == 0 && s->open_rows)
            (void)pthread_cond_signal(&s->work);
        r = pthread_cond_timedwait(&s->readable, &s->mu, &end);
        s->idle_workers--;
        if (r == ETIMEDOUT)
            return readable_seg(s);
    }
    return g;
}

int cf_spool_next(struct cf_spool *s, struct cf_spool_batch *b, int timeout_ms, struct cf_error *reterr)
{
    struct spool_seg *g;
    int64_t received;
    size_t left = 0;
    int r = 0;

    (void)pthread_mutex_lock(&s->rd);
    (void)pthread_mutex_lock(&s->mu);
    g = wait_readable(s, timeout_ms);
    if (g) {
        b->spool = s;
        b->start = s->cursor;
        b->replay = g->number < s->first_new;
        b->counted = false;
        left = g->sealed - (size_t)s->cursor.off;
    }
    (void)pthread_mutex_unlock(&s->mu);
    if (!g)
        goto out;
    if (g->old && (r = seg_open_old(s, g, reterr)) < 0)
        goto out;
    r = batch_read(s, b, g->fd, left, &received, reterr);
    if (r < 0)
        goto out;
    /* Nobody reads it again but a replay: its pages serve the next writes at once, instead of ever new ones. */
    (void)posix_fadvise(g->fd, (off_t)b->start.off, (off_t)b->n, POSIX_FADV_DONTNEED);
    b->end = (struct cf_spool_pos){b->start.seg, b->start.off + b->n};
    (void)snprintf(b->token, sizeof b->token, "%016llx-%llx-%llx", (unsigned long long)s->id, (unsigned long long)b->start.seg,
                   (unsigned long long)b->start.off);
    (void)pthread_mutex_lock(&s->mu);
    if (inflight_add(s, b, received)) {
        s->cursor = b->end;
        r = 1;
    } else {
        r = cf_error_set(reterr, CF_ENOMEM, "spool batches");
    }
    (void)pthread_mutex_unlock(&s->mu);
out:
    (void)pthread_mutex_unlock(&s->rd);
    return r;
}

static void count_damage(struct cf_spool *s, const struct cf_spool_batch *b, size_t at, size_t bytes)
{
    if (b->counted)
        return;
    (void)pthread_mutex_lock(&s->mu);
    s->st.corrupt_frames++;
    s->st.corrupt_bytes += bytes;
    (void)pthread_mutex_unlock(&s->mu);
    cf_log_error("spool", "damaged records skipped", "segment=%llu at=%llu bytes=%zu", (unsigned long long)b->start.seg,
                 (unsigned long long)(b->start.off + at), bytes);
}

bool cf_spool_batch_frame(struct cf_spool_batch *b, struct cf_spool_frame *ret)
{
    while (b->at < b->n) {
        struct cf_frame_head h;
        size_t size, at = b->at;
        enum cf_frame_state st = cf_frame_peek(b->buf + at, b->n - at, b->spool->id, b->start.seg, &h, &size);

        if (st == CF_FRAME_OK && size <= b->n - at) {
            b->at += size;
            if (h.kind == CF_FRAME_SEAL)
                continue;
            if (cf_frame_open(&h, b->buf + at + CF_FRAME_HEAD, b->start.seg, ret))
                return true;
            count_damage(b->spool, b, at, size);
        } else {
            b->at = st == CF_FRAME_BAD ? cf_frame_resync(b->buf, b->n, at + 8, b->spool->id, b->start.seg) : b->n;
            if (b->at + CF_FRAME_HEAD > b->n)
                b->at = b->n;
            if (b->at < b->n || !b->replay) /* the torn tail was reported at the start */
                count_damage(b->spool, b, at, b->at - at);
        }
    }
    b->counted = true;
    return false;
}

void cf_spool_done(struct cf_spool *s, const struct cf_spool_batch *b)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&s->mu);
    for (size_t i = 0; i < s->n_fly; i++)
        if (s->fly[i].start.seg == b->start.seg && s->fly[i].start.off == b->start.off)
            s->fly[i].done = true;
    while (n < s->n_fly && s->fly[n].done)
        s->done = s->fly[n++].end;
    if (n) {
        s->n_fly -= n;
        memmove(s->fly, s->fly + n, s->n_fly * sizeof *s->fly);
    }
    (void)pthread_mutex_unlock(&s->mu);
}

void cf_spool_batch_release(struct cf_spool_batch *b)
{
    free(b->buf);
    memset(b, 0, sizeof *b);
}

struct cf_spool_pos cf_spool_done_pos(struct cf_spool *s)
{
    struct cf_spool_pos p;

    (void)pthread_mutex_lock(&s->mu);
    p = s->done;
    /* at the end of a finished segment: the next one, so that this one can go */
    for (size_t i = 0; i + 1 < s->n_seg; i++)
        if (s->seg[i]->number == p.seg && s->seg[i]->final && p.off >= s->seg[i]->assigned && s->seg[i]->sealed == s->seg[i]->assigned)
            p = (struct cf_spool_pos){s->seg[i + 1]->number, CF_SEG_HEAD};
    if (s->n_seg && s->seg[0]->number > p.seg) /* it has gone since: the position does not go back to it */
        p = (struct cf_spool_pos){s->seg[0]->number, CF_SEG_HEAD};
    (void)pthread_mutex_unlock(&s->mu);
    return p;
}

static void delete_before(struct cf_spool *s, uint64_t number)
{
    for (;;) {
        struct spool_seg *g = NULL;
        char path[4200];

        (void)pthread_mutex_lock(&s->mu);
        if (s->n_seg && s->seg[0]->number < number) {
            g = s->seg[0];
            memmove(s->seg, s->seg + 1, --s->n_seg * sizeof *s->seg);
            s->disk_bytes -= g->assigned < s->disk_bytes ? g->assigned : s->disk_bytes;
            (void)pthread_cond_broadcast(&s->space);
        }
        (void)pthread_mutex_unlock(&s->mu);
        if (!g)
            return;
        spool_segment_path(s, g->number, path);
        (void)unlink(path);
        cf_crash_point("spool.segment_deleted");
        spool_segment_free(g);
    }
}

int cf_spool_commit(struct cf_spool *s, struct cf_spool_pos pos, struct cf_error *reterr)
{
    uint8_t slot[CF_CKPT_SLOT] = {0};
    struct cf_ckpt c;
    int r = 0;

    (void)pthread_mutex_lock(&s->ck);
    cf_ckpt_make(&c, s->generation + 1, s->id, pos);
    memcpy(slot, &c, sizeof c);
    cf_crash_point("spool.before_checkpoint");
    if (cf_crash_armed && cf_crash_is("spool.half_checkpoint")) {
        memset(slot + sizeof c / 2, 0xee, sizeof c);
        if (pwrite(s->ckpt_fd, slot, sizeof slot, (off_t)(c.generation % 2 * CF_CKPT_SLOT)) < 0)
            r = cf_error_errno(reterr, "spool checkpoint");
    }
    cf_crash_point("spool.half_checkpoint");
    if (pwrite(s->ckpt_fd, slot, sizeof slot, (off_t)(c.generation % 2 * CF_CKPT_SLOT)) != (ssize_t)sizeof slot || spool_sync_fd(s, s->ckpt_fd) < 0)
        r = cf_error_errno(reterr, "spool checkpoint");
    else
        s->generation++;
    cf_crash_point("spool.checkpointed");
    (void)pthread_mutex_unlock(&s->ck);
    if (r == 0)
        delete_before(s, pos.seg);
    return r;
}
