/* SPDX-License-Identifier: Apache-2.0
 * Lists, hosts files and CSV (dry run); every value read has a normal form that reads as itself, and the matcher finds it. */
#include "ti/ti_int.h"

static void one_value(cf_str text, enum cf_ti_type want)
{
    static struct cf_ti_value v, again;
    struct cf_ti_builder *b;
    struct cf_ti_set *s;
    const char *why = NULL;

    if (!cf_ti_value_read(text, want, &v, &why)) {
        if (!why || !why[0])
            __builtin_trap();
        return;
    }
    if (strlen(v.p) != v.n || !cf_ti_value_read(cf_ti_value_str(&v), v.type, &again, &why) || strcmp(v.p, again.p) != 0)
        __builtin_trap();
    b = cf_ti_builder_new(1);
    if (b && cf_ti_builder_add(b, &(struct cf_ti_entry_in){.type = v.type, .value = cf_ti_value_str(&v), .confidence = 1}) != 0)
        __builtin_trap();
    s = b ? cf_ti_builder_finish(b) : NULL;
    if (s && !cf_ti_find(s, v.type, cf_ti_value_str(&v), 1, NULL))
        __builtin_trap();
    cf_ti_set_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ti_source src = {.id = "x", .confidence = 50};
    struct ti_writer w = {.source = &src, .dry = true, .now_us = 1};
    const struct ti_import_options o = {.format = size % 3 == 0 ? CF_STR("hosts") : size % 3 == 1 ? CF_STR("") : CF_STR("csv"), .type = CF_TI_ANY};
    struct ti_import *im = NULL;
    struct cf_error err = {0};
    size_t step = size ? 1 + data[0] : 1;
    int r = 0;

    if (size > 1)
        one_value(cf_str_n((const char *)data + 1, size - 1), (enum cf_ti_type)(data[0] % (CF_TI_TYPES + 1)));
    if (ti_writer_begin(&w, &err) == 0 && ti_import_new(&w, &o, &im, &err) == 0) {
        for (size_t at = 0; r == 0 && at < size; at += step)
            r = ti_import_feed(im, cf_str_n((const char *)data + at, size - at < step ? size - at : step), &err);
        if (r == 0)
            r = ti_import_end(im, &err);
        if (r < 0 && !err.msg[0])
            __builtin_trap();
    }
    ti_import_free(im);
    ti_writer_release(&w);
    return 0;
}
