/* SPDX-License-Identifier: Apache-2.0
 * The search language: parser, printer and SQL generator. Whatever is typed, no byte of a quoted value becomes SQL: the condition
 * holds only the characters that the generator itself writes. */
#include <stdlib.h>

#include "store/search_lang.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cf_arena a;
    struct cf_error err = {0};
    struct cf_search_node *n = NULL;
    struct cf_buf printed;

    cf_arena_init(&a, 0, 64u << 20);
    cf_buf_init(&printed, 1u << 20);
    if (cf_search_parse(&a, (cf_str){(const char *)data, size}, &n, &err) == 0) {
        struct cf_search_sql s = {.arena = &a, .now_us = 1000000};

        cf_search_print(n, &printed);
        cf_buf_init(&s.cond, 4u << 20);
        (void)cf_search_to_sql(n, &s, &err);
        for (size_t i = 0; i < s.cond.n; i++) {
            if ((unsigned char)s.cond.p[i] >= 0x80 || s.cond.p[i] == ';' || s.cond.p[i] == '"')
                abort();
        }
        cf_buf_release(&s.cond);
    } else if (err.code == CF_ESYNTAX && err.pos > size) {
        abort();
    }
    cf_buf_release(&printed);
    cf_arena_release(&a);
    return 0;
}
