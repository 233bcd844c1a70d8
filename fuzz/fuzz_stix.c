/* SPDX-License-Identifier: Apache-2.0
 * STIX bundles in pieces of any size (dry run), and the input as a pattern. */
#include "ti_import.h"

static int on_atom(void *ctx, const struct ti_atom *a, struct cf_error *e)
{
    (void)ctx;
    (void)e;
    if (a->value.n == 0 || strlen(a->value.p) != a->value.n)
        __builtin_trap();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cf_error err = {0};

    (void)ti_pattern_atoms(cf_str_n((const char *)data, size), on_atom, NULL, &err);
    import_all(size & 1 ? "stix" : "", data, size);
    return 0;
}
