/* SPDX-License-Identifier: Apache-2.0
 * YAML reader: any bytes give a tree or an error, within the limits. */
#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count(const struct cf_ynode *n)
{
    size_t c = 1;

    for (const struct cf_ynode *k = n ? n->child : NULL; k; k = k->next)
        c += count(k);
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cf_arena a;
    struct cf_ydoc *doc = NULL;
    struct cf_error err;

    cf_arena_init(&a, 4096, 64 << 20);
    if (cf_yaml_parse(&a, (cf_str){(const char *)data, size}, &doc, &err) == 0)
        for (; doc; doc = doc->next)
            if (doc->root && count(doc->root) > 200001)
                __builtin_trap();
    cf_arena_release(&a);
    return 0;
}
