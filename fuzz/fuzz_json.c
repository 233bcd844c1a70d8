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
    static struct cf_json *j;
    const struct cf_jnode *nodes;
    size_t n;
    j = j ? j : cf_json_new();
    if (cf_json_parse(j, s, &a, &nodes, &n, &err) == 0)
        (void)cf_json_pairs(nodes, 0, CF_STR(""), &a, &ps);
    for (size_t i = 0; i < ps.n; i++) /* every view must be readable */
        if (cf_hash64(ps.v[i].key) + cf_hash64(ps.v[i].val) == 1)
            abort();
    cf_arena_release(&a);
    return 0;
}
