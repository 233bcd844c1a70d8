/* SPDX-License-Identifier: Apache-2.0
 * Audit records: any bytes as one line, and all lines of the input as one record of several lines; the event's JSON is valid UTF-8 and
 * the original is kept whole. */
#include <stdint.h>
#include <stdlib.h>

#include "normalise/audit.h"
#include "norm_thread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cf_norm_thread *t;
    cf_str in = {(const char *)data, size}, rest = in, line;
    struct cf_event *ev = NULL;
    struct cf_audit_id id;
    struct cf_arena a;
    struct cf_buf out;

    if (!t)
        t = norm_thread();
    while (cf_str_cut(&rest, '\n', &line))
        if (cf_audit_part(line, &id) && (id.stamp.p < line.p || id.stamp.p + id.stamp.n > line.p + line.n))
            abort();
    cf_arena_init(&a, 0, 256u << 20);
    cf_buf_init(&out, 0);
    struct cf_record rec = {.raw = in, .source = CF_STR(""), .format = CF_STR(""), .peer = CF_STR("p"), .received_us = INT64_C(1795248000000000)};
    if (cf_normalise(t, &a, &rec, &ev) < 0 || !ev)
        abort();
    cf_event_json(ev, &out);
    if (out.failed || !cf_utf8_valid(cf_buf_view(&out)) || ev->original.n != in.n)
        abort();
    cf_buf_release(&out);
    cf_arena_release(&a);
    return 0;
}
