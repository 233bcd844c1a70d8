/* SPDX-License-Identifier: Apache-2.0
 * Spool readers over arbitrary bytes: checkpoint file, segment head, frames. Byte 0 chooses. Checksums would stop the fuzzer
 * at the door, so frames are also opened with their checksum made right. */
#include <stdlib.h>

#include "collect/spool_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void frames(const uint8_t *p, size_t n, bool repair)
{
    size_t at = 0, whole;

    while (at < n) {
        struct cf_frame_head h;
        struct cf_spool_frame f;

        if (n - at < sizeof h)
            break;
        memcpy(&h, p + at, sizeof h);
        if (repair) {
            uint8_t *copy = malloc(n - at);

            if (!copy)
                return;
            memcpy(copy, p + at, n - at);
            h.size = h.size % 4096;
            if (sizeof h + h.size <= n - at) {
                h.crc = cf_crc32c(0, copy + sizeof h, h.size);
                if (cf_frame_open(&h, copy + sizeof h, 1, &f))
                    for (uint32_t i = 0, off = 0; i < f.n; i++) {
                        uint32_t len;
                        volatile uint8_t sink;

                        memcpy(&len, f.lens + 4 * i, 4);
                        if (len) {
                            sink = f.bytes[off + len - 1];
                            (void)sink;
                        }
                        off += len;
                    }
            }
            free(copy);
            return;
        }
        if (cf_frame_peek(p + at, n - at, 7, 1, &h, &whole) != CF_FRAME_OK) {
            at = cf_frame_resync(p, n, at + 8, 7, 1);
            continue;
        }
        if (whole <= n - at)
            (void)cf_frame_open(&h, p + at + sizeof h, 1, &f);
        at += whole;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cf_ckpt c;
    bool bad;

    if (size == 0)
        return 0;
    if (data[0] % 3 == 0)
        (void)cf_ckpt_pick(data + 1, size - 1, &c, &bad);
    else
        frames(data + 1, size - 1, data[0] % 3 == 1);
    return 0;
}
