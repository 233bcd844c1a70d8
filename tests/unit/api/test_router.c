/* SPDX-License-Identifier: Apache-2.0
 * Path patterns, and that more literal routes win. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/router.h"

static bool match(const char *pattern, const char *path, struct cf_path_params *p)
{
    unsigned literals;

    return cf_path_match(pattern, cf_str_c(path), p, &literals);
}

static void patterns(void **state)
{
    struct cf_path_params p;

    (void)state;
    assert_true(match("/api/v1/alerts", "/api/v1/alerts", &p));
    assert_int_equal(p.n, 0);
    assert_false(match("/api/v1/alerts", "/api/v1/alerts/", &p));
    assert_false(match("/api/v1/alerts", "/api/v1/alert", &p));
    assert_true(match("/a/{id}/b/{other}", "/a/1/b/x%y", &p));
    assert_int_equal(p.n, 2);
    assert_true(cf_str_eqz(p.value[0], "1") && cf_str_eqz(p.value[1], "x%y") && cf_str_eqz(p.name[1], "other"));
    assert_false(match("/a/{id}", "/a/", &p)); /* an empty parameter is no parameter */
    assert_false(match("/a/{id}", "/a/1/2", &p));
    assert_true(match("/a/{id}:verify", "/a/77:verify", &p));
    assert_true(cf_str_eqz(p.value[0], "77"));
    assert_false(match("/a/{id}:verify", "/a/:verify", &p));
    assert_false(match("/a/{id}:verify", "/a/77:other", &p));
    assert_false(match("/a", "", &p));
    assert_false(match("/a", "a", &p));
}

static int nothing(struct cf_req *req, struct cf_error *reterr)
{
    (void)req;
    (void)reterr;
    return 0;
}

static const struct cf_route rows[] = {
    {.method = CF_GET, .path = "/t/{id}", .permission = "a.read", .handler = nothing},
    {.method = CF_GET, .path = "/t/special", .permission = "b.read", .handler = nothing},
    {.method = CF_POST, .path = "/t:batch", .permission = "a.write", .handler = nothing, .request = "{\"type\":\"object\"}"},
};

static void finding(void **state)
{
    struct cf_path_params p;
    size_t i;
    unsigned methods;
    const struct cf_route *r;

    (void)state;
    cf_routes_add(rows, 3);
    r = cf_route_find(CF_GET, CF_STR("/t/special"), &p, &i, &methods);
    assert_ptr_equal(r, &rows[1]); /* although /t/{id} stands first */
    r = cf_route_find(CF_GET, CF_STR("/t/9"), &p, &i, &methods);
    assert_ptr_equal(r, &rows[0]);
    r = cf_route_find(CF_DELETE, CF_STR("/t/9"), &p, &i, &methods);
    assert_null(r);
    assert_int_equal(methods, 1u << CF_GET);
    r = cf_route_find(CF_POST, CF_STR("/t:batch"), &p, &i, &methods);
    assert_ptr_equal(r, &rows[2]);
    assert_non_null(cf_routes_schema(i));
    assert_null(cf_route_find(CF_GET, CF_STR("/nothing"), &p, &i, &methods));
    assert_int_equal(methods, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(patterns), cmocka_unit_test(finding)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
