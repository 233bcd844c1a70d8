/* SPDX-License-Identifier: Apache-2.0
 * The filter language of lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/list.h"

static struct cf_arena arena;

/* "key op v|v" terms joined by ';', or "! message". */
static const char *parsed(const char *text)
{
    static const char *const ops[] = {":", ">=", "<=", ">", "<", "~"};
    static char out[1000];
    struct cf_filter_term *t;
    struct cf_error err = {0};
    size_t n, k = 0;

    if (cf_filter_parse(&arena, cf_str_c(text), &t, &n, &err) < 0) {
        (void)snprintf(out, sizeof out, "! %s", err.msg);
        return out;
    }
    out[0] = 0;
    for (size_t i = 0; i < n; i++) {
        k += (size_t)snprintf(out + k, sizeof out - k, "%s%s%.*s%s", i ? ";" : "", t[i].negated ? "-" : "", CF_ARG(t[i].key), ops[t[i].op]);
        for (size_t j = 0; j < t[i].n; j++)
            k += (size_t)snprintf(out + k, sizeof out - k, "%s%.*s", j ? "|" : "", CF_ARG(t[i].v[j]));
    }
    return out;
}

static void terms(void **state)
{
    (void)state;
    assert_string_equal(parsed(""), "");
    assert_string_equal(parsed("   "), "");
    assert_string_equal(parsed("level:high|critical status:new"), "level:high|critical;status:new");
    assert_string_equal(parsed("score>=50 score<90 a.b>1 c<=2"), "score>=50;score<90;a.b>1;c<=2");
    assert_string_equal(parsed("-status:closed"), "-status:closed");
    assert_string_equal(parsed("title:\"two words\"|x"), "title:two words|x");
    assert_string_equal(parsed("\"free words\" brute"), "~free words;~brute");
    assert_string_equal(parsed("t:\"a \\\" b\""), "t:a \" b");
    assert_string_equal(parsed("time>=now-1h"), "time>=now-1h");
    assert_string_equal(parsed("ip:fe80::1"), "ip:fe80::1");
    assert_string_equal(parsed("\xe5\x91\x8a\xe8\xad\xa6"), "~\xe5\x91\x8a\xe8\xad\xa6");
    assert_string_equal(parsed("- x"), "~-;~x");
}

static void refused(void **state)
{
    char many[400] = "";

    (void)state;
    assert_string_equal(parsed("a:"), "! filter, position 3: a value is missing");
    assert_string_equal(parsed("a:\"x"), "! filter, position 5: the quote is not closed");
    assert_string_equal(parsed("a:x|"), "! filter, position 5: a value is missing");
    assert_string_equal(parsed("a>=1|2"), "! filter, position 7: several values are only possible with \":\"");
    assert_string_equal(parsed("a:\"x\"y"), "! filter, position 6: a space is missing");
    assert_string_equal(parsed("x|y"), "! filter, position 2: \"|\" needs a key in front: key:a|b");
    assert_string_equal(parsed("a:\xff"), "! the filter is not UTF-8");
    for (int i = 0; i < 33; i++)
        memcpy(many + 2 * i, "a ", 3);
    assert_string_equal(parsed(many), "! filter, position 65: more than 32 conditions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(terms), cmocka_unit_test(refused)};
    int r;

    cf_arena_init(&arena, 0, 0);
    r = cmocka_run_group_tests(tests, NULL, NULL);
    cf_arena_release(&arena);
    return r;
}
