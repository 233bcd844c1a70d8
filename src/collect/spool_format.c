/* SPDX-License-Identifier: Apache-2.0
 * Encoding and checking of segments, frames and checkpoints: pure functions over bytes, the part that is fuzzed. */
#include "collect/spool_format.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the spool is little-endian");
_Static_assert(sizeof(struct cf_seg_head) == CF_SEG_HEAD, "segment head");
_Static_assert(sizeof(struct cf_frame_head) == CF_FRAME_HEAD, "frame head");

#define FRAME_MAGIC 0x31664643u /* "CFf1" */
static const char seg_magic[8] = {'C', 'F', 'S', 'P', 'O', 'O', 'L', '1'};
static const char ckpt_magic[8] = {'C', 'F', 'C', 'H', 'E', 'C', 'K', '1'};

void cf_seg_head_make(struct cf_seg_head *h, uint64_t spool_id, uint64_t number, int64_t created_us)
{
    memset(h, 0, sizeof *h);
    memcpy(h->magic, seg_magic, sizeof seg_magic);
    h->version = 1;
    h->spool_id = spool_id;
    h->number = number;
    h->created_us = created_us;
    h->crc = cf_crc32c(0, h, sizeof *h);
}

bool cf_seg_head_ok(const struct cf_seg_head *h)
{
    struct cf_seg_head c = *h;

    c.crc = 0;
    return memcmp(h->magic, seg_magic, sizeof seg_magic) == 0 && h->version == 1 && h->crc == cf_crc32c(0, &c, sizeof c);
}

void cf_ckpt_make(struct cf_ckpt *c, uint64_t generation, uint64_t spool_id, struct cf_spool_pos pos)
{
    memset(c, 0, sizeof *c);
    memcpy(c->magic, ckpt_magic, sizeof ckpt_magic);
    c->version = 1;
    c->generation = generation;
    c->spool_id = spool_id;
    c->seg = pos.seg;
    c->off = pos.off;
    c->crc = cf_crc32c(0, c, sizeof *c);
}

static bool ckpt_ok(const struct cf_ckpt *c)
{
    struct cf_ckpt z = *c;

    z.crc = 0;
    return memcmp(c->magic, ckpt_magic, sizeof ckpt_magic) == 0 && c->version == 1 && c->crc == cf_crc32c(0, &z, sizeof z);
}

bool cf_ckpt_pick(const uint8_t *p, size_t n, struct cf_ckpt *ret, bool *ret_both_bad)
{
    bool found = false;

    for (size_t i = 0; i < 2; i++) {
        struct cf_ckpt c;

        if (n < i * CF_CKPT_SLOT + sizeof c)
            break;
        memcpy(&c, p + i * CF_CKPT_SLOT, sizeof c);
        if (ckpt_ok(&c) && (!found || c.generation > ret->generation)) {
            *ret = c;
            found = true;
        }
    }
    *ret_both_bad = n > 0 && !found;
    return found;
}

static uint32_t head_crc(const struct cf_frame_head *h, uint64_t spool_id, uint64_t number)
{
    uint64_t seed[2] = {spool_id, number};
    uint32_t crc = cf_crc32c(0, seed, sizeof seed);

    return cf_crc32c(crc, (const uint8_t *)h + 8, sizeof *h - 8);
}

void cf_frame_seal_head(struct cf_frame_head *h, uint64_t spool_id, uint64_t number)
{
    h->magic = FRAME_MAGIC;
    h->head_crc = head_crc(h, spool_id, number);
}

enum cf_frame_state cf_frame_peek(const uint8_t *p, size_t n, uint64_t spool_id, uint64_t number, struct cf_frame_head *ret, size_t *ret_size)
{
    if (n < CF_FRAME_HEAD)
        return CF_FRAME_SHORT;
    memcpy(ret, p, sizeof *ret);
    if (ret->magic != FRAME_MAGIC || ret->head_crc != head_crc(ret, spool_id, number))
        return CF_FRAME_BAD;
    if (ret->size > CF_FRAME_MAX || (ret->kind != CF_FRAME_DATA && ret->kind != CF_FRAME_SEAL))
        return CF_FRAME_BAD;
    *ret_size = CF_FRAME_HEAD + cf_pad8(ret->size);
    return CF_FRAME_OK;
}

bool cf_frame_open(const struct cf_frame_head *h, const uint8_t *payload, uint64_t number, struct cf_spool_frame *ret)
{
    cf_str *text[CF_FRAME_TEXTS] = {&ret->origin.source, &ret->origin.format, &ret->origin.peer, &ret->origin.org, &ret->origin.key, &ret->origin.mark};
    size_t at = 0, lens, sum = 0;

    if (cf_crc32c(0, payload, h->size) != h->crc)
        return false;
    for (int i = 0; i < CF_FRAME_TEXTS; i++) {
        if (h->text[i] > h->size - at)
            return false;
        *text[i] = (cf_str){(const char *)payload + at, h->text[i]};
        at += h->text[i];
    }
    lens = cf_pad4(at);
    if (lens > h->size || (h->size - lens) / 4 < h->n)
        return false;
    at = lens + (size_t)h->n * 4;
    for (uint32_t i = 0; i < h->n; i++) {
        uint32_t v;

        memcpy(&v, payload + lens + (size_t)i * 4, 4);
        sum += v;
        if (sum > h->size - at)
            return false;
    }
    ret->origin.received_us = h->received_us;
    ret->n = h->n;
    ret->seq = number << 32 | h->first;
    ret->lens = payload + lens;
    ret->bytes = payload + at;
    return true;
}

size_t cf_frame_resync(const uint8_t *p, size_t n, size_t from, uint64_t spool_id, uint64_t number)
{
    struct cf_frame_head h;
    size_t size;

    for (size_t at = cf_pad8(from); at + CF_FRAME_HEAD <= n; at += 8) {
        uint32_t magic;

        memcpy(&magic, p + at, 4);
        if (magic == FRAME_MAGIC && cf_frame_peek(p + at, n - at, spool_id, number, &h, &size) == CF_FRAME_OK)
            return at;
    }
    return n;
}
