/* SPDX-License-Identifier: Apache-2.0 */
#include "pairs.h"

static void parse(cf_str s, struct cf_arena *a, struct cf_pairs *ps)
{
    struct cf_syslog sl;
    struct cf_stamp st;

    if (cf_syslog_parse(s, &sl)) {
        if (sl.sd.n)
            (void)cf_syslog_sd(sl.sd, a, ps);
        readable(sl.msg);
        readable(sl.host);
        readable(sl.app);
    }
    (void)cf_stamp_auto(s, &st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_pairs(data, size, parse); }
