/* SPDX-License-Identifier: Apache-2.0
 * Windows event log files (EVTX): 64 KiB chunks of binary XML records, read natively and given out as one JSON object a
 * record in the widely used shape {"Event":{"#attributes":{..},"System":{..},"EventData":{..}}}: named Data elements become
 * members, numbers and booleans keep their type. Layout after Microsoft [MS-EVEN6] 2.2.12-2.2.17 and the format notes of
 * libevtx (J. Metz).
 *
 *   file header (4 KiB) | chunk (64 KiB) | chunk ...
 *   chunk: header, string table, template table (512 bytes) | record | record ...
 *   record: magic, size, id, time | fragment: template instance -> template + values | size
 *
 * Everything a record refers to lies in its chunk, so a damaged chunk costs only itself and a damaged record only itself. */
#ifndef CF_NORMALISE_EVTX_H
#define CF_NORMALISE_EVTX_H

#include "base/base.h"

#define CF_EVTX_HEADER_SIZE 4096u
#define CF_EVTX_CHUNK_SIZE 65536u

bool cf_evtx_is_file(cf_str head);  /* begins with the file magic */
bool cf_evtx_is_chunk(cf_str head); /* begins with the chunk magic */

struct cf_evtx_chunk {
    cf_str bytes;           /* borrowed: the whole chunk */
    size_t pos, end;        /* next record; end of record data */
    struct cf_arena arena;  /* trees of one record */
    struct cf_arena names;  /* of elements and attributes, read once a chunk; by place in the chunk */
    struct {
        uint32_t offset; /* 0: free */
        cf_str text;
    } name[256];
    uint64_t skipped_bytes; /* jumped over to find the next record */
};
/* bytes must be CF_EVTX_CHUNK_SIZE long and outlive c. CF_ECORRUPT when this is no chunk. */
int cf_evtx_chunk_init(struct cf_evtx_chunk *c, cf_str bytes, struct cf_error *reterr);
void cf_evtx_chunk_release(struct cf_evtx_chunk *c);
/* Appends the next record as JSON (no newline). 1: a record, 0: no more, CF_ECORRUPT: this record is damaged (reterr says
 * where; out is as before), call again for the next one. CF_ENOMEM. */
int cf_evtx_chunk_next(struct cf_evtx_chunk *c, struct cf_buf *out, uint64_t *ret_id, struct cf_error *reterr);

#endif
