/* SPDX-License-Identifier: Apache-2.0
 * The spool: what was received, on disk, until the event store has it. Producers append frames (records of one sender),
 * one thread writes and syncs for all of them (group commit); workers take batches in order and report them done; the
 * pipeline commits what the store holds durably, and whole segments go.
 *
 *   append --> pending buffer --write+fdatasync--> segments --batches--> workers --done--> commit --> checkpoint, delete
 *
 * Batch borders are written into the segments (seal frames), so a replay after a crash gives the same batches and thereby
 * the same tokens. Every start begins a new segment: a position is never used twice. Records are read only after they
 * are durable. Thread-safe unless said otherwise. */
#ifndef CF_COLLECT_SPOOL_H
#define CF_COLLECT_SPOOL_H

#include "base/base.h"

struct cf_spool;
struct cf_spool_origin;
struct cf_spool_options {
    const char *dir;
    int64_t segment_size;  /* 0: 64 MiB; at least 64 KiB */
    int64_t cap;           /* bytes of all segments; 0: 8 GiB */
    int64_t min_free;      /* stop accepting when the file system has less left; <0: 0, 0: 256 MiB */
    int64_t batch_bytes;   /* seal a batch at this size; 0: 8 MiB */
    int64_t batch_rows;    /* ... or at this many records; 0: 65,536 */
    int64_t batch_age_us;  /* ... or at this age of its first record when a worker is idle; 0: 200 ms */
    int64_t batch_busy_us; /* ... or at this age in any case; 0: 600 ms */
    /* Does what the last record of a frame belongs to go on in the sender's next frame? A batch is then not closed before that frame,
     * or until hold_us later (0: 150 ms), or a quarter over its size. NULL: never asked. Called by appending threads. */
    bool (*goes_on)(const struct cf_spool_origin *o, cf_str last);
    int64_t hold_us;
    bool no_sync;          /* tests of speed only: skip fdatasync */
};

/* Where records come from. Borrowed; each text at most CF_SPOOL_TEXT_MAX bytes (longer ones are cut). */
#define CF_SPOOL_TEXT_MAX 512
struct cf_spool_origin {
    cf_str source; /* hint for normalise, "" when unknown */
    cf_str format; /* hint for normalise, "" when unknown */
    cf_str peer;   /* sender */
    cf_str org;    /* owner organisation, "" when unknown */
    cf_str key;    /* counter this belongs to: data source name */
    cf_str mark;   /* reading position of its collector, "" when it has none: durable exactly when the records are */
    int64_t received_us;
};

/* Creates the folder when missing; finds what an earlier run left (no segment is read but the newest). */
int cf_spool_open(const struct cf_spool_options *o, struct cf_spool **ret, struct cf_error *reterr);
void cf_spool_close(struct cf_spool *s); /* makes what was appended durable; no producer or worker may be left. NULL is fine */
uint64_t cf_spool_id(const struct cf_spool *s); /* random, made with the spool; part of every token */

/* Appends n records as one frame. Never waits. CF_EBUSY: buffers are full, see cf_spool_wait_space. CF_EFULL: cap or disk,
 * *reterr says which. CF_ELIMIT: larger than cf_spool_frame_max. *ret_ticket (may be NULL) is for cf_spool_wait. */
int cf_spool_append(struct cf_spool *s, const struct cf_spool_origin *o, const cf_str *rec, size_t n, uint64_t *ret_ticket,
                    struct cf_error *reterr);
size_t cf_spool_frame_max(const struct cf_spool *s); /* bytes of records plus 4 each */
/* 0 once everything up to ticket is on disk; CF_ETIMEOUT, CF_EIO otherwise: the records may or may not survive. */
int cf_spool_wait(struct cf_spool *s, uint64_t ticket, int timeout_ms, struct cf_error *reterr);
/* Waits until an append may succeed again, at most timeout_ms. */
bool cf_spool_wait_space(struct cf_spool *s, int timeout_ms);

struct cf_spool_pos {
    uint64_t seg, off;
};
/* One batch, handed to one worker. Memory is reused from call to call: init with {0}, end with cf_spool_batch_release. */
struct cf_spool_batch {
    struct cf_spool_pos start, end;
    uint32_t rows;      /* of frames that are intact */
    bool replay;        /* from before this start */
    bool counted;       /* gone through once: damaged frames are counted */
    char token[64];     /* name for idempotent inserts */
    uint8_t *buf;       /* owned */
    size_t n, cap, at;  /* bytes held; position of cf_spool_batch_frame */
    struct cf_spool *spool;
};
struct cf_spool_frame {
    struct cf_spool_origin origin; /* views into the batch */
    uint32_t n;
    uint64_t seq;                  /* of the first record; the next ones count up: segment << 32 | index in it */
    const uint8_t *lens, *bytes;   /* n little-endian u32; the records one after the other */
};
/* Takes the next batch. 1: got it, 0: none within timeout_ms, <0: error (the spool goes on at the next call). */
int cf_spool_next(struct cf_spool *s, struct cf_spool_batch *b, int timeout_ms, struct cf_error *reterr);
bool cf_spool_batch_frame(struct cf_spool_batch *b, struct cf_spool_frame *ret); /* next intact frame; damaged ones are counted */
void cf_spool_done(struct cf_spool *s, const struct cf_spool_batch *b);       /* in any order */
void cf_spool_batch_release(struct cf_spool_batch *b);
/* End of the longest prefix of done batches. */
struct cf_spool_pos cf_spool_done_pos(struct cf_spool *s);
/* Checkpoints pos (durable on return) and deletes segments before it. Call after the store has synced. */
int cf_spool_commit(struct cf_spool *s, struct cf_spool_pos pos, struct cf_error *reterr);
void cf_spool_wake(struct cf_spool *s);  /* ends all waits of workers and producers early (shutdown) */

struct cf_spool_stats {
    uint64_t appended_records, appended_bytes, syncs, sync_us, sync_max_us;
    uint64_t backlog_bytes, disk_bytes, segments;
    uint64_t corrupt_frames, corrupt_bytes, torn_bytes;
    int64_t oldest_us;  /* received time of the oldest record not done, 0: none in hand */
    bool accepting;
    char reason[200];   /* why not */
};
void cf_spool_get_stats(struct cf_spool *s, struct cf_spool_stats *ret);

/* Calls fn with the mark of every intact frame that has one, in order: what collectors find out at the start about what an
 * earlier run took. After open, before anything is appended or committed. */
int cf_spool_marks(struct cf_spool *s, void (*fn)(void *ctx, cf_str mark), void *ctx, struct cf_error *reterr);

/* Reads everything in a spool folder that no server uses. Appends one line of text per finding to *out (may be NULL).
 * 0: intact, CF_ECORRUPT: something is damaged; other errors: not readable. */
struct cf_spool_verify_result {
    uint64_t segments, frames, records, bytes, bad_frames, bad_bytes, torn_bytes;
    bool checkpoint_ok;
};
int cf_spool_verify(const char *dir, struct cf_spool_verify_result *ret, struct cf_buf *out, struct cf_error *reterr);

#endif
