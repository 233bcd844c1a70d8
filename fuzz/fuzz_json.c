/* SPDX-License-Identifier: Apache-2.0 */
#include "pairs.h"

static void parse(cf_str s, struct cf_arena *a, struct cf_pairs *ps)
{
    static struct cf_json *j;
    const struct cf_jnode *nodes;
    struct cf_error err = {0};
    size_t n;

    j = j ? j : cf_json_new();
    if (cf_json_parse(j, s, a, &nodes, &n, &err) == 0)
        (void)cf_json_pairs(nodes, 0, CF_STR(""), a, ps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_pairs(data, size, parse); }
