/* SPDX-License-Identifier: Apache-2.0
 * Packets one after the other ("length(2) bytes") through one small template cache; every message that comes out is read. */
#include <stdint.h>
#include <stdlib.h>

#include "normalise/netflow.h"

static bool on_flow(void *ctx, cf_str m)
{
    static struct cf_pair pair[CF_PAIRS_MAX];
    struct cf_pairs ps = {.v = pair};
    struct cf_error err = {0};
    struct cf_arena a;

    (void)ctx;
    cf_arena_init(&a, 0, 64u << 20);
    if (cf_netflow_pairs(m, &a, &ps, &err) == CF_ESYNTAX)
        abort(); /* what split gives out must be readable on its own */
    for (size_t i = 0; i < ps.n; i++)
        if (cf_hash64(ps.v[i].key) + cf_hash64(ps.v[i].val) == 1)
            abort();
    cf_arena_release(&a);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cf_netflow *n = cf_netflow_new(16, 0);
    static struct cf_pair pair[CF_PAIRS_MAX];
    struct cf_pairs ps = {.v = pair};
    struct cf_error err = {0};
    struct cf_ip ip = {{1}};
    struct cf_arena a;

    for (size_t at = 0; at + 2 <= size;) {
        size_t len = (size_t)data[at] << 8 | data[at + 1];

        at += 2;
        len = len < size - at ? len : size - at;
        (void)cf_netflow_split(n, &ip, cf_str_n((const char *)data + at, len), (int64_t)at, on_flow, NULL);
        at += len;
    }
    cf_netflow_free(n);
    cf_arena_init(&a, 0, 64u << 20);
    (void)cf_netflow_pairs(cf_str_n((const char *)data, size), &a, &ps, &err);
    cf_arena_release(&a);
    return 0;
}
