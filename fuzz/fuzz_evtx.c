/* SPDX-License-Identifier: Apache-2.0
 * EVTX: the input is the record area of a chunk. Records are read to the end; damage is an error, never more. */
#include "normalise/evtx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char chunk[CF_EVTX_CHUNK_SIZE];
    struct cf_evtx_chunk c;
    struct cf_error err;
    struct cf_buf out;
    uint64_t id;
    int n = 0;

    if (size > sizeof chunk - 512)
        size = sizeof chunk - 512;
    memset(chunk, 0, sizeof chunk);
    memcpy(chunk, "ElfChnk", 8);
    memcpy(chunk + 512, data, size);
    if (cf_evtx_chunk_init(&c, cf_str_n(chunk, sizeof chunk), &err) < 0)
        return 0;
    cf_buf_init(&out, 8 << 20);
    while (cf_evtx_chunk_next(&c, &out, &id, &err) != 0 && ++n < 1000)
        cf_buf_clear(&out);
    cf_evtx_chunk_release(&c);
    cf_buf_release(&out);
    return 0;
}
