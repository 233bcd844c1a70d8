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
    cf_str cols[300];
    size_t n;
    static const char seps[] = ",\t ;|";
    for (size_t k = 0; k < 5; k++)
        if (cf_csv_parse(s, seps[k], &a, cols, 300, &n, &err) == 0)
            for (size_t i = 0; i < n; i++)
                if (cf_hash64(cols[i]) == 1)
                    abort();
    for (size_t i = 0; i < ps.n; i++) /* every view must be readable */
        if (cf_hash64(ps.v[i].key) + cf_hash64(ps.v[i].val) == 1)
            abort();
    cf_arena_release(&a);
    return 0;
}
