/* SPDX-License-Identifier: Apache-2.0
 * Bytes of the spool (private to src/collect, its tests and fuzz target). Little-endian, frames start at multiples of 8.
 *
 *   segment  = head(64) frame*                    name: 0000000000000001.seg
 *   frame    = head(48) payload pad8              head_crc is seeded with spool id and segment number: bytes a sender
 *   payload  = texts(6) pad4 len[n] record*       chose, or of another file, never pass for a frame
 *   seal     = frame of kind SEAL without payload: a batch ends here
 *   checkpoint file = slot(4096) slot(4096)       written in turn; the valid slot with the higher generation counts */
#ifndef CF_COLLECT_SPOOL_FORMAT_H
#define CF_COLLECT_SPOOL_FORMAT_H

#include "collect/spool.h"

#define CF_SEG_HEAD 64u
#define CF_FRAME_HEAD 48u
#define CF_CKPT_SLOT 4096u
#define CF_FRAME_DATA 1
#define CF_FRAME_SEAL 2
#define CF_FRAME_MAX (32u << 20)
#define CF_FRAME_TEXTS 6

struct cf_seg_head {
    char magic[8];
    uint32_t version, crc; /* crc over the struct with crc 0 */
    uint64_t spool_id, number;
    int64_t created_us;
    uint8_t zero[24];
};
struct cf_frame_head {
    uint32_t magic, head_crc; /* head_crc over what follows it */
    uint32_t size, crc;       /* payload */
    int64_t received_us;
    uint32_t first, n;        /* index of the first record in the segment; records */
    uint16_t kind, text[6];   /* lengths: source format peer org key mark */
    uint16_t zero;
};
struct cf_ckpt {
    char magic[8];
    uint32_t version, crc;
    uint64_t generation, spool_id, seg, off;
};

void cf_seg_head_make(struct cf_seg_head *h, uint64_t spool_id, uint64_t number, int64_t created_us);
bool cf_seg_head_ok(const struct cf_seg_head *h);
void cf_ckpt_make(struct cf_ckpt *c, uint64_t generation, uint64_t spool_id, struct cf_spool_pos pos);
/* Picks the newer valid slot of a checkpoint file's bytes. */
bool cf_ckpt_pick(const uint8_t *p, size_t n, struct cf_ckpt *ret, bool *ret_both_bad);

void cf_frame_seal_head(struct cf_frame_head *h, uint64_t spool_id, uint64_t number); /* fills magic and head_crc */
enum cf_frame_state { CF_FRAME_OK, CF_FRAME_SHORT /* needs more bytes than n */, CF_FRAME_BAD /* no head here */ };
/* Looks at the frame at p. OK: *ret is its head, *ret_size its whole length with padding (may exceed n). */
enum cf_frame_state cf_frame_peek(const uint8_t *p, size_t n, uint64_t spool_id, uint64_t number, struct cf_frame_head *ret, size_t *ret_size);
/* Checks the payload and opens it. False: damaged. */
bool cf_frame_open(const struct cf_frame_head *h, const uint8_t *payload, uint64_t number, struct cf_spool_frame *ret);
/* Offset of the next head at or after `from`, or n. */
size_t cf_frame_resync(const uint8_t *p, size_t n, size_t from, uint64_t spool_id, uint64_t number);
static inline size_t cf_pad8(size_t n) { return (n + 7u) & ~(size_t)7u; }
static inline size_t cf_pad4(size_t n) { return (n + 3u) & ~(size_t)3u; }

#endif
