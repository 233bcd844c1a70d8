/* SPDX-License-Identifier: Apache-2.0
 * The JSON Schema subset: each keyword accepts and refuses, and faults name their field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/schema.h"

static char faults[2000];
static int n_faults;

static void on_fault(void *ctx, const char *field, const char *message)
{
    size_t n = strlen(faults);

    (void)ctx;
    (void)snprintf(faults + n, sizeof faults - n, "[%s %s]", field, message);
    n_faults++;
}

static bool check(const char *schema, const char *value)
{
    json_t *s = json_loads(schema, 0, NULL), *v = json_loads(value, JSON_DECODE_ANY, NULL);
    bool ok;

    assert_non_null(s);
    assert_non_null(v);
    faults[0] = 0;
    n_faults = 0;
    ok = cf_schema_check(s, v, on_fault, NULL);
    assert_true(ok == (n_faults == 0));
    json_decref(s);
    json_decref(v);
    return ok;
}

static void keywords(void **state)
{
    static const struct {
        const char *schema, *good, *bad, *said;
    } t[] = {
        {"{\"type\":\"string\"}", "\"a\"", "1", "[ must be of type string]"},
        {"{\"type\":\"integer\"}", "3", "3.5", "[ must be of type integer]"},
        {"{\"type\":\"number\"}", "3.5", "true", "[ must be of type number]"},
        {"{\"type\":[\"string\",\"null\"]}", "null", "[]", "[ must be of type string or null]"},
        {"{\"minLength\":1}", "\"\xe5\x9f\x8e\"", "\"\"", "[ must not be empty]"},
        {"{\"maxLength\":2}", "\"\xe5\x9f\x8e\xe9\x98\xb2\"", "\"abc\"", "[ must have at most 2 characters]"}, /* characters, not bytes */
        {"{\"minimum\":1}", "1", "0", "[ must be at least 1]"},
        {"{\"maximum\":9}", "9", "10", "[ must be at most 9]"},
        {"{\"enum\":[\"a\",\"b\"]}", "\"b\"", "\"c\"", "[ must be one of: a, b]"},
        {"{\"minItems\":1}", "[1]", "[]", "[ must have at least 1 entries]"},
        {"{\"maxItems\":1}", "[1]", "[1,2]", "[ must have at most 1 entries]"},
        {"{\"items\":{\"type\":\"string\"}}", "[\"a\"]", "[\"a\",2]", "[[1] must be of type string]"},
        {"{\"required\":[\"x\"]}", "{\"x\":1}", "{}", "[x is required]"},
        {"{\"properties\":{\"x\":{\"type\":\"string\"}},\"additionalProperties\":false}", "{\"x\":\"1\"}", "{\"y\":1}", "[y is not known here]"},
        {"{\"additionalProperties\":{\"type\":\"integer\"}}", "{\"y\":1}", "{\"y\":\"1\"}", "[y must be of type integer]"},
        {"{\"properties\":{\"a\":{\"items\":{\"properties\":{\"b\":{\"type\":\"string\"}}}}}}", "{\"a\":[{\"b\":\"1\"}]}", "{\"a\":[{},{\"b\":2}]}",
         "[a[1].b must be of type string]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        if (!check(t[i].schema, t[i].good))
            fail_msg("%s should accept %s: %s", t[i].schema, t[i].good, faults);
        if (check(t[i].schema, t[i].bad))
            fail_msg("%s should refuse %s", t[i].schema, t[i].bad);
        assert_string_equal(faults, t[i].said);
    }
}

static void limits(void **state)
{
    char many[4000] = "[1";
    size_t n = 2;

    (void)state;
    for (int i = 0; i < 300; i++)
        n += (size_t)snprintf(many + n, sizeof many - n, ",1");
    (void)snprintf(many + n, sizeof many - n, "]");
    assert_false(check("{\"items\":{\"type\":\"string\"}}", many));
    assert_int_equal(n_faults, 20); /* not 301 */
}

static void query(void **state)
{
    json_t *s = json_loads("{\"properties\":{\"n\":{\"type\":\"integer\"},\"b\":{\"type\":\"boolean\"},\"s\":{\"type\":\"string\"}}}", 0, NULL), *o = json_object();

    (void)state;
    cf_schema_query_add(s, o, "n", CF_STR("12"));
    cf_schema_query_add(s, o, "b", CF_STR("true"));
    cf_schema_query_add(s, o, "s", CF_STR("12"));
    assert_true(cf_schema_check(s, o, on_fault, NULL));
    assert_int_equal(json_integer_value(json_object_get(o, "n")), 12);
    cf_schema_query_add(s, o, "n", CF_STR("twelve"));
    assert_false(cf_schema_check(s, o, on_fault, NULL));
    cf_schema_query_add(s, o, "s", CF_STR("\xff"));
    assert_false(cf_schema_check(s, o, on_fault, NULL)); /* not UTF-8 */
    json_decref(s);
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keywords), cmocka_unit_test(limits), cmocka_unit_test(query)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
