/* SPDX-License-Identifier: Apache-2.0
 * Files that may be archives, packed files or anything: reading ends, with records of bounded size or an error that has
 * words. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "normalise/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cf_record rec[64];
    struct cf_input *in = NULL;
    struct cf_error err = {0};
    struct cf_arena a;
    char path[64];
    size_t n = 0, all = 0;
    int fd = memfd_create("fuzz", 0), r;

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    cf_arena_init(&a, 0, 0);
    r = cf_input_open(path, "", &in, &err);
    while (r == 0 && (r = cf_input_next_batch(in, &a, rec, 64, &n, &err)) == 0 && n > 0) {
        for (size_t i = 0; i < n; i++)
            if (rec[i].raw.n == 0 || rec[i].raw.n > CF_INPUT_RECORD_MAX || !rec[i].peer.p)
                abort();
        if (!cf_input_path(in) || (all += n) > 100000000)
            abort();
        cf_arena_reset(&a);
    }
    if (r < 0 && !err.msg[0])
        abort();
    cf_input_close(in);
    cf_arena_release(&a);
    (void)close(fd);
    return 0;
}
