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
    static const struct cf_kv_style styles[] = {{.assign = 61, .sep = " "}, {.assign = 61, .sep = ",;"}, {.assign = 58, .sep = ","}, {.assign = 61, .sep = " ", .spaced = true}};
    for (size_t k = 0; k < 4; k++) {
        ps.n = 0;
        (void)cf_kv_parse(s, &styles[k], &a, &ps, &err);
    }
    for (size_t i = 0; i < ps.n; i++) /* every view must be readable */
        if (cf_hash64(ps.v[i].key) + cf_hash64(ps.v[i].val) == 1)
            abort();
    cf_arena_release(&a);
    return 0;
}
