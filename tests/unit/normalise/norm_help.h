/* SPDX-License-Identifier: Apache-2.0
 * A normaliser with the product's own source files, for one group of tests. */
#ifndef CF_TEST_NORM_HELP_H
#define CF_TEST_NORM_HELP_H

#include "normalise/normalise.h"

#define NOW INT64_C(1795248000000000) /* 2026-11-21T08:00:00Z */

static struct cf_normaliser *norm;
static struct cf_norm_thread *thread;

static inline int setup(void **state)
{
    struct cf_norm_options opt = {.sources_dir = CF_TEST_ROOT "/content/sources", .now_us = NOW, .zone = CF_STR("+08:00")};
    struct cf_error err = {0};

    (void)state;
    if (cf_normaliser_load(&opt, &norm, &err) < 0) {
        print_error("%s\n", err.msg);
        return -1;
    }
    thread = cf_norm_thread_new(norm);
    return thread ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    cf_norm_thread_free(thread);
    cf_normaliser_free(norm);
    return 0;
}

#endif
