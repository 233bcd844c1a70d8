/* SPDX-License-Identifier: Apache-2.0
 * GB/T 36643 documents as XML (dry run): parser of the document and what is made of it. */
#include "ti/ti_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ti_source src = {.id = "x", .confidence = 50};
    struct ti_writer w = {.source = &src, .dry = true, .now_us = 1};
    json_t *doc = NULL;
    struct cf_error err = {0};
    int r = ti_writer_begin(&w, &err);

    if (r == 0)
        r = ti_gbt_xml(cf_str_n((const char *)data, size), &doc, &err);
    if (r == 0)
        r = ti_gbt_doc(&w, doc, &err);
    if (r < 0 && !err.msg[0])
        __builtin_trap(); /* refused without saying why */
    json_decref(doc);
    ti_writer_release(&w);
    return 0;
}
