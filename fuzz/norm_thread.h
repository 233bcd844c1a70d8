/* SPDX-License-Identifier: Apache-2.0
 * A normaliser of the shipped sources for targets that need one; made once, kept to the end. */
#ifndef CF_FUZZ_NORM_THREAD_H
#define CF_FUZZ_NORM_THREAD_H

#include <stdio.h>
#include <stdlib.h>

#include "normalise/normalise.h"

static struct cf_norm_thread *norm_thread(void)
{
    const char *dir = getenv("CF_SOURCES");
    struct cf_norm_options opt = {.sources_dir = dir ? dir : "content/sources", .now_us = INT64_C(1795248000000000), .zone = CF_STR("+08:00")};
    struct cf_error err = {0};
    struct cf_normaliser *n;

    if (cf_normaliser_load(&opt, &n, &err) < 0) {
        (void)fprintf(stderr, "%s (run from the repository root or set CF_SOURCES)\n", err.msg);
        abort();
    }
    return cf_norm_thread_new(n);
}

#endif
