/* SPDX-License-Identifier: Apache-2.0 */
#include "pairs.h"

static void parse(cf_str s, struct cf_arena *a, struct cf_pairs *ps)
{
    static const char seps[] = ",\t ;|";
    struct cf_error err = {0};
    cf_str cols[300];
    size_t n;

    (void)ps; /* columns only */
    for (size_t k = 0; k < 5; k++)
        if (cf_csv_parse(s, seps[k], a, cols, 300, &n, &err) == 0)
            for (size_t i = 0; i < n; i++)
                readable(cols[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_pairs(data, size, parse); }
