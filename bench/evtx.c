/* SPDX-License-Identifier: Apache-2.0
 * EVTX files decoded to JSON records, files in memory, one thread; CPU seconds. usage: bench_evtx SECONDS FILE... */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "normalise/evtx.h"

static double cpu_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Records of one file; what is damaged is passed over. */
static size_t decode(cf_str file, struct cf_buf *out, size_t *ret_bytes)
{
    struct cf_error err = {0};
    size_t n = 0;

    for (size_t at = CF_EVTX_HEADER_SIZE; at + CF_EVTX_CHUNK_SIZE <= file.n; at += CF_EVTX_CHUNK_SIZE) {
        struct cf_evtx_chunk c;
        uint64_t id;
        int r;

        if (cf_evtx_chunk_init(&c, cf_str_n(file.p + at, CF_EVTX_CHUNK_SIZE), &err) < 0)
            continue;
        cf_buf_clear(out);
        while ((r = cf_evtx_chunk_next(&c, out, &id, &err)) != 0)
            n += r > 0;
        *ret_bytes += out->n;
        cf_evtx_chunk_release(&c);
    }
    return n;
}

int main(int argc, char **argv)
{
    double seconds = argc > 2 ? strtod(argv[1], NULL) : 0, took;
    struct cf_buf *file = calloc((size_t)argc, sizeof *file), out;
    struct cf_error err = {0};
    size_t n = 0, json = 0, bytes = 0;

    if (argc < 3 || !file)
        return 2;
    cf_buf_init(&out, (size_t)64 << 20);
    for (int i = 2; i < argc; i++) {
        cf_buf_init(&file[i], (size_t)1 << 30);
        if (cf_file_read(argv[i], &file[i], &err) < 0) {
            (void)fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
    }
    took = cpu_s();
    do {
        for (int i = 2; i < argc; i++) {
            n += decode(cf_buf_view(&file[i]), &out, &json);
            bytes += file[i].n;
        }
    } while (cpu_s() - took < seconds);
    took = cpu_s() - took;
    (void)printf("{\"name\":\"evtx, binary to JSON records\",\"value\":%.0f,\"unit\":\"records/s\",\"goal\":250000}\n", (double)n / took);
    (void)printf("{\"name\":\"evtx, bytes of files\",\"value\":%.1f,\"unit\":\"MB/s\"}\n", (double)bytes / took / 1e6);
    (void)printf("{\"name\":\"evtx, bytes of JSON a record\",\"value\":%.0f,\"unit\":\"bytes\"}\n", n ? (double)json / (double)n : 0);
    for (int i = 2; i < argc; i++)
        cf_buf_release(&file[i]);
    cf_buf_release(&out);
    free(file);
    return 0;
}
