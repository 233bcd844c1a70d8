/* SPDX-License-Identifier: Apache-2.0 */
#include "pairs.h"

static void parse(cf_str s, struct cf_arena *a, struct cf_pairs *ps)
{
    static const struct cf_kv_style styles[] = {{.assign = '=', .sep = " "}, {.assign = '=', .sep = ",;"}, {.assign = ':', .sep = ","}, {.assign = '=', .sep = " ", .spaced = true}};
    struct cf_error err = {0};

    for (size_t k = 0; k < 4; k++) {
        ps->n = 0;
        (void)cf_kv_parse(s, &styles[k], a, ps, &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_pairs(data, size, parse); }
