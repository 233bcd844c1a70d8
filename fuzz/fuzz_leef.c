/* SPDX-License-Identifier: Apache-2.0 */
#include "pairs.h"

static void parse(cf_str s, struct cf_arena *a, struct cf_pairs *ps)
{
    struct cf_error err = {0};

    (void)cf_leef_parse(s, a, ps, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_pairs(data, size, parse); }
