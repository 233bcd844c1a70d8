/* SPDX-License-Identifier: Apache-2.0
 * cmocka with the includes it wants, and a few words of our own. */
#ifndef CF_TESTS_UNIT_TEST_H
#define CF_TESTS_UNIT_TEST_H
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */
#include "base/base.h"

#define assert_str(s, lit)                                                                              \
    do {                                                                                                \
        cf_str cf_s_ = (s);                                                                             \
        char *cf_z_ = malloc(cf_s_.n + 1);                                                              \
        if (cf_s_.n)                                                                                    \
            memcpy(cf_z_, cf_s_.p, cf_s_.n);                                                            \
        cf_z_[cf_s_.n] = '\0';                                                                          \
        assert_string_equal(cf_z_, (lit));                                                              \
        free(cf_z_);                                                                                    \
    } while (0)
/* 0 or the message of err is shown. */
#define assert_ok(expr, err)                                             \
    do {                                                                 \
        int cf_r_ = (expr);                                              \
        if (cf_r_ < 0)                                                   \
            fail_msg("%s: %d %s", #expr, cf_r_, (err).msg);              \
    } while (0)
#endif
