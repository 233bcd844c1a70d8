/* SPDX-License-Identifier: Apache-2.0
 * The input as an import (dry run) in pieces of a size that its first byte gives. */
#ifndef CF_FUZZ_TI_IMPORT_H
#define CF_FUZZ_TI_IMPORT_H

#include "ti/ti_int.h"

static inline void import_all(const char *format, const uint8_t *data, size_t size)
{
    const struct ti_source src = {.id = "x", .confidence = 50};
    struct ti_writer w = {.source = &src, .dry = true, .now_us = 1};
    const struct ti_import_options o = {.format = cf_str_c(format), .type = CF_TI_ANY};
    struct ti_import *im = NULL;
    struct cf_error err = {0};
    size_t step = size ? 1 + data[0] : 1;
    int r;

    if (ti_writer_begin(&w, &err) == 0 && ti_import_new(&w, &o, &im, &err) == 0) {
        r = 0;
        for (size_t at = 0; r == 0 && at < size; at += step)
            r = ti_import_feed(im, cf_str_n((const char *)data + at, size - at < step ? size - at : step), &err);
        if (r == 0)
            r = ti_import_end(im, &err);
        if (r < 0 && !err.msg[0])
            __builtin_trap(); /* refused without saying why */
    }
    ti_import_free(im);
    ti_writer_release(&w);
}

#endif
