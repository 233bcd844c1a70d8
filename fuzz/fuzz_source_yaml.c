/* SPDX-License-Identifier: Apache-2.0
 * Any text as a source file: loads or is refused with a message, and then meets a line. */
#include <stdint.h>
#include <stdlib.h>

#include "normalise/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cf_arena a;
    struct cf_error err = {0};
    struct cf_source s = {0};
    int r;

    cf_arena_init(&a, 0, 256u << 20);
    r = cf_source_parse(&a, "fuzz", cf_str_n((const char *)data, size), &s, &err);
    if (r == 0)
        r = cf_source_patterns(&a, &s, &s, 1, &err);
    if (r < 0 && !err.msg[0])
        abort();
    if (r == 0) {
        struct cf_tpl_hole holes[CF_TPL_HOLES_MAX];
        size_t n;
        (void)cf_tpl_match(s.tpl, CF_STR("Failed password for invalid user a from 192.0.2.1 port 22 ssh2"), holes, &n);
    }
    cf_source_release(&s);
    cf_arena_release(&a);
    return 0;
}
