/* SPDX-License-Identifier: Apache-2.0
 * A parser of keys and values on the input: every view it gives must be readable. */
#ifndef CF_FUZZ_PAIRS_H
#define CF_FUZZ_PAIRS_H

#include <stdint.h>
#include <stdlib.h>

#include "normalise/formats.h"
#include "normalise/timefmt.h"

static inline void readable(cf_str s)
{
    if (cf_hash64(s) == 1)
        abort();
}

static inline int fuzz_pairs(const uint8_t *data, size_t size, void (*parse)(cf_str s, struct cf_arena *a, struct cf_pairs *ps))
{
    static struct cf_pair pair[CF_PAIRS_MAX];
    struct cf_pairs ps = {.v = pair};
    struct cf_arena a;

    cf_arena_init(&a, 0, 64u << 20);
    parse((cf_str){(const char *)data, size}, &a, &ps);
    for (size_t i = 0; i < ps.n; i++) {
        readable(ps.v[i].key);
        readable(ps.v[i].val);
    }
    cf_arena_release(&a);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
