/* SPDX-License-Identifier: Apache-2.0
 * What spool.c (open, append, close), spool_flush.c (the writing thread), spool_read.c (batches, commit) share.
 *
 * Locks: `rd` orders the readers (held while a batch is read), `mu` guards everything else and is never held over file
 * input/output. rd is taken before mu. The checkpoint has `ck`, taken first. */
#ifndef CF_COLLECT_SPOOL_INT_H
#define CF_COLLECT_SPOOL_INT_H

#include <pthread.h>

#include "collect/crash.h"
#include "collect/spool_format.h"

struct spool_seg {
    uint64_t number;
    int fd;            /* -1: not open (older ones are opened when read) */
    bool old;          /* written by an earlier run: immutable */
    bool final;        /* nothing more will be assigned */
    uint32_t records;  /* index of the next record */
    size_t assigned;   /* bytes given out to frames; old: file size */
    size_t sealed;     /* durable bytes up to and with the last seal: what readers may see; old: file size */
    size_t pend_sealed; /* `sealed` once everything assigned is durable */
};

/* A piece of the pending buffer and where it belongs. */
struct spool_span {
    struct spool_seg *seg;
    size_t off, at, n;
    size_t sealed; /* seg->sealed after this span is durable */
};
#define SPOOL_SPANS 16
struct spool_pending {
    uint8_t *p;
    size_t n, n_spans;
    struct spool_span span[SPOOL_SPANS];
};
struct spool_inflight {
    struct cf_spool_pos start, end;
    int64_t received_us;
    bool done;
};

/* A sender in the midst of something that lies in several records. */
struct spool_hold {
    uint64_t peer; /* hash */
    int64_t until_us;
};
#define SPOOL_HOLDS 32

struct cf_spool {
    char *dir;
    int dir_fd, lock_fd, ckpt_fd;
    uint64_t id, generation;
    size_t segment_size, cap, min_free, batch_bytes, frame_max, pend_max;
    bool (*goes_on)(const struct cf_spool_origin *o, cf_str last);
    int64_t hold_us;
    int64_t batch_rows, batch_age_us, batch_busy_us;
    bool no_sync;

    pthread_mutex_t ck, rd, mu;
    pthread_cond_t work;     /* flusher: something to do */
    pthread_cond_t durable;  /* waiters of cf_spool_wait */
    pthread_cond_t space;    /* waiters of cf_spool_wait_space */
    pthread_cond_t readable; /* workers */

    /* under mu */
    struct spool_seg **seg;
    size_t n_seg, cap_seg;
    struct spool_seg *cur, *next; /* being appended to; prepared. Also in seg[] (cur) */
    struct spool_pending pend;    /* being filled */
    uint8_t *spare;               /* the other buffer, when the flusher does not hold it */
    uint64_t appended, synced;    /* tickets: bytes appended, bytes durable */
    int64_t open_rows, open_bytes, open_since_us, open_received_us;
    struct spool_hold hold[SPOOL_HOLDS];
    unsigned n_hold;
    unsigned waiters, idle_workers;
    bool stop, woken, full, write_failed, no_segment, disk_low;
    char reason[200];
    uint64_t disk_bytes;          /* of all segments */
    struct cf_spool_pos cursor, done;
    struct spool_inflight *fly;   /* in order */
    size_t n_fly, cap_fly;
    uint64_t first_new;           /* segments below are from an earlier run */
    struct cf_spool_stats st;     /* counters */

    /* flusher */
    pthread_t thread;
    bool thread_on;
    struct spool_pending out;
    int64_t checked_us, flushed_us;
};

void *spool_flush_main(void *arg);
int spool_segment_create(struct cf_spool *s, uint64_t number, struct spool_seg **ret, struct cf_error *reterr);
void spool_segment_free(struct spool_seg *g);
void spool_segment_path(const struct cf_spool *s, uint64_t number, char path[4200]);
bool spool_segment_add(struct cf_spool *s, struct spool_seg *g); /* mu held */
void spool_seal_locked(struct cf_spool *s);                      /* ends the open batch; mu held */
void spool_hold_note(struct cf_spool *s, const struct cf_spool_origin *o, bool goes_on); /* spool_hold.c; mu held, these three */
int64_t spool_held_until(const struct cf_spool *s);
bool spool_batch_full(const struct cf_spool *s);
bool spool_roll_locked(struct cf_spool *s);                      /* cur <- next; false: none prepared */
int spool_scan_tail(struct cf_spool *s, struct spool_seg *g, struct cf_error *reterr);
int spool_sync_fd(const struct cf_spool *s, int fd);
struct timespec spool_deadline(int64_t us);
int spool_pread(int fd, uint8_t *p, size_t n, size_t off, size_t *ret_n);

#endif
