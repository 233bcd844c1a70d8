/* SPDX-License-Identifier: Apache-2.0
 * Whole station with the product's sources: every record becomes one event whose JSON is valid UTF-8. Lines of one input
 * share a stream, so headers of Zeek TSV, W3C and CSV are reached. First byte: the format hint. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "normalise/normalise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cf_normaliser *n;
    static struct cf_norm_thread *t;
    static const char *const formats[] = {"", "", "", "csv", "nginx", "apache", "suricata", "zeek", "json"};
    struct cf_arena a;
    struct cf_buf out;
    cf_str in = {(const char *)data, size}, line;
    const char *format;

    if (!t) {
        struct cf_error err = {0};
        struct cf_norm_options opt = {.sources_dir = getenv("CF_SOURCES") ? getenv("CF_SOURCES") : "content/sources",
                                      .now_us = INT64_C(1795248000000000), .zone = CF_STR("+08:00")};
        if (cf_normaliser_load(&opt, &n, &err) < 0) {
            (void)fprintf(stderr, "%s (run from the repository root or set CF_SOURCES)\n", err.msg);
            abort();
        }
        t = cf_norm_thread_new(n);
    }
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
