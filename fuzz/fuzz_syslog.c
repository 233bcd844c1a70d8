/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "normalise/formats.h"
#include "normalise/timefmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cf_pair pair[CF_PAIRS_MAX];
    struct cf_pairs ps = {.v = pair};
    struct cf_arena a;
    struct cf_error err = {0};
    cf_str s = {(const char *)data, size};

    cf_arena_init(&a, 0, 64u << 20);
    struct cf_syslog sl;
    struct cf_stamp st;

    if (cf_syslog_parse(s, &sl)) {
        if (sl.sd.n)
            (void)cf_syslog_sd(sl.sd, &a, &ps);
        if (cf_hash64(sl.msg) + cf_hash64(sl.host) + cf_hash64(sl.app) == 1)
            abort();
    }
    (void)cf_stamp_auto(s, &st);
    (void)err;
    for (size_t i = 0; i < ps.n; i++) /* every view must be readable */
        if (cf_hash64(ps.v[i].key) + cf_hash64(ps.v[i].val) == 1)
            abort();
    cf_arena_release(&a);
    return 0;
}
