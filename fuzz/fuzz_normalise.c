/* SPDX-License-Identifier: Apache-2.0
 * Whole station with the product's sources: every record becomes one event whose JSON is valid UTF-8. Lines of one input
 * share a stream, so headers of Zeek TSV, W3C and CSV are reached. First byte: the format hint. */
#include <stdint.h>
#include <stdlib.h>

#include "norm_thread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cf_norm_thread *t;
    static const char *const formats[] = {"", "", "", "csv", "nginx", "apache", "suricata", "zeek", "json"};
    struct cf_arena a;
    struct cf_buf out;
    cf_str in = {(const char *)data, size}, line;
    const char *format;

    if (!t)
        t = norm_thread();
    if (size < 1)
        return 0;
    format = formats[data[0] % 9];
    in = cf_str_sub(in, 1, in.n);
    cf_arena_init(&a, 0, 256u << 20);
    cf_buf_init(&out, 0);
    while (cf_str_cut(&in, '\n', &line)) {
        struct cf_record rec = {.raw = line, .source = CF_STR(""), .format = cf_str_c(format), .peer = CF_STR("p"), .received_us = INT64_C(1795248000000000)};
        struct cf_event *ev = NULL;
        if (cf_normalise(t, &a, &rec, &ev) < 0 || !ev)
            abort();
        cf_buf_clear(&out);
        cf_event_json(ev, &out);
        if (out.failed || !cf_utf8_valid(cf_buf_view(&out)))
            abort();
    }
    cf_buf_release(&out);
    cf_arena_release(&a);
    return 0;
}
