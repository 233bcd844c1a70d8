/* SPDX-License-Identifier: Apache-2.0
 * Any lines through the source wizard: a proposal or a message, and a proposal without a base always loads. */
#include <stdint.h>
#include <stdlib.h>

#include "normalise/propose.h"
#include "normalise/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cf_str text = {(const char *)data, size}, line[64];
    struct cf_propose_in in = {.id = "fuzz", .line = line};
    struct cf_proposal p;
    struct cf_error err = {0};
    struct cf_source s = {0};
    struct cf_arena a;

    if (!cf_utf8_valid(text) || memchr(data, 0, size)) /* JSON strings hold neither */
        return 0;
    while (in.n < 64 && cf_str_cut(&text, '\n', &line[in.n]))
        in.n++;
    cf_arena_init(&a, 0, 256u << 20);
    if (cf_propose(&a, &in, &p, &err) < 0) {
        if (!err.msg[0])
            abort();
    } else {
        int r = cf_source_parse(&a, "fuzz.yaml", p.yaml, &s, &err);
        if (r == 0 && !s.base_name.p)
            r = cf_source_patterns(&a, &s, &s, 1, &err);
        if (r < 0 && r != CF_ENOMEM)
            abort();
        cf_source_release(&s);
    }
    cf_arena_release(&a);
    return 0;
}
