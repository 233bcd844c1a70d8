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
    (void)cf_leef_parse(s, &a, &ps, &err);
    for (size_t i = 0; i < ps.n; i++) /* every view must be readable */
        if (cf_hash64(ps.v[i].key) + cf_hash64(ps.v[i].val) == 1)
            abort();
    cf_arena_release(&a);
    return 0;
}
