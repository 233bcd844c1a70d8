/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "store/search_lang.h"

static const struct {
    const char *query, *tree;
} good[] = {
    {"", "*"},
    {"  *  ", "*"},
    {"failed", "\"failed\""},
    {"failed password", "(\"failed\" AND \"password\")"},
    {"\"failed password\"", "\"failed password\""},
    {"a OR b c", "(\"a\" OR (\"b\" AND \"c\"))"},
    {"a AND b OR c AND d", "((\"a\" AND \"b\") OR (\"c\" AND \"d\"))"},
    {"a AND (b OR c)", "(\"a\" AND (\"b\" OR \"c\"))"},
    {"NOT a b", "(NOT \"a\" AND \"b\")"},
    {"NOT (a b)", "NOT (\"a\" AND \"b\")"},
    {"-a !b", "(NOT \"a\" AND NOT \"b\")"},
    {"-(a b)", "NOT (\"a\" AND \"b\")"},
    {"a-b", "\"a-b\""},
    {"ANDROID ORANGE", "(\"ANDROID\" AND \"ORANGE\")"},
    {"user.name:root", "user.name:\"root\""},
    {"user.name : root", "(\"user.name\" AND \":\" AND \"root\")"},
    {"user.name: root", "user.name:\"root\""},
    {"user.name:\"a b\"", "user.name:\"a b\""},
    {"user.name:(a OR b)", "(user.name:\"a\" OR user.name:\"b\")"},
    {"user.name:(a b \"c d\")", "(user.name:\"a\" OR user.name:\"b\" OR user.name:\"c d\")"},
    {"user.name:(a AND b)", "(user.name:\"a\" AND user.name:\"b\")"},
    {"user.name:ro*t?", "user.name:<ro*t?>"},
    {"user.name:ro\\*t", "user.name:\"ro*t\""},
    {"user.name:*", "exists:user.name"},
    {"exists:user.name", "exists:user.name"},
    {"NOT exists:user.name", "NOT exists:user.name"},
    {"source.port>=1024", "source.port>=\"1024\""},
    {"source.port:>=1024", "source.port>=\"1024\""},
    {"source.port<10 source.port>5", "(source.port<\"10\" AND source.port>\"5\")"},
    {"source.port!=22", "NOT source.port:\"22\""},
    {"source.port=22", "source.port:\"22\""},
    {"source.port:[1 TO 1024]", "source.port:[\"1\" TO \"1024\"]"},
    {"source.port:{1 TO 1024}", "source.port:{\"1\" TO \"1024\"}"},
    {"source.port:[1 TO *]", "source.port:[\"1\" TO <*>]"},
    {"@timestamp:[now-1h TO now]", "@timestamp:[\"now-1h\" TO \"now\"]"},
    {"@timestamp>2026-11-21T06:00:00Z", "@timestamp>\"2026-11-21T06:00:00Z\""},
    {"source.ip:10.0.0.0/8", "source.ip:\"10.0.0.0/8\""},
    {"source.ip:2001:db8::1", "source.ip:\"2001:db8::1\""},
    {"fe80::1", "\"fe80::1\""},
    {"http://example.com/a", "\"http://example.com/a\""},
    {"\xe5\xa4\xb1\xe8\xb4\xa5\xe3\x80\x80\xe7\x99\xbb\xe5\xbd\x95", "(\"\xe5\xa4\xb1\xe8\xb4\xa5\" AND \"\xe7\x99\xbb\xe5\xbd\x95\")"},
    {"process.command_line:\"C:\\\\Windows\\\\x \\\"y\\\"\"", "process.command_line:\"C:\\\\Windows\\\\x \\\"y\\\"\""},
};

static void trees(void **st)
{
    struct cf_arena a;
    struct cf_buf out;

    (void)st;
    cf_arena_init(&a, 0, 0);
    cf_buf_init(&out, 0);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct cf_search_node *n = NULL;
        struct cf_error err = {0};

        if (cf_search_parse(&a, cf_str_c(good[i].query), &n, &err) < 0)
            fail_msg("%s: %s", good[i].query, err.msg);
        cf_buf_clear(&out);
        cf_search_print(n, &out);
        if (strcmp(cf_buf_cstr(&out), good[i].tree) != 0)
            fail_msg("%s: %s, expected %s", good[i].query, cf_buf_cstr(&out), good[i].tree);
    }
    cf_buf_release(&out);
    cf_arena_release(&a);
}

static const struct {
    const char *query;
    size_t pos;
} bad[] = {
    {"(a", 0},          {"a)", 1},        {"a AND", 5},          {"AND a", 0},           {"a OR", 4},          {"\"open", 0},     {"user.name:", 10},
    {"user.name:\"x", 10}, {"a:[1 2]", 5}, {"a:[1 TO 2", 2},      {"a:()", 2},            {"a:(b", 2},          {"NOT", 3},        {"a b:[", 5},
    {"source.port>*", 12}, {"()", 1},      {"a ] b", 2},          {"exists:", 7},
};

static void errors_name_their_place(void **st)
{
    struct cf_arena a;

    (void)st;
    cf_arena_init(&a, 0, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cf_search_node *n = NULL;
        struct cf_error err = {0};
        int r = cf_search_parse(&a, cf_str_c(bad[i].query), &n, &err);

        if (r != CF_ESYNTAX || err.pos != bad[i].pos || !err.msg[0])
            fail_msg("%s: code %d, position %zu (%s), expected position %zu", bad[i].query, r, err.pos, err.msg, bad[i].pos);
    }
    cf_arena_release(&a);
}

static void limits(void **st)
{
    struct cf_arena a;
    struct cf_search_node *n = NULL;
    struct cf_error err = {0};
    static char big[CF_SEARCH_QUERY_MAX + 2];

    (void)st;
    cf_arena_init(&a, 0, 0);
    memset(big, 'a', sizeof big);
    assert_int_equal(cf_search_parse(&a, (cf_str){big, sizeof big}, &n, &err), CF_ELIMIT);
    memset(big, '(', sizeof big);
    assert_int_equal(cf_search_parse(&a, (cf_str){big, 10000}, &n, &err), CF_ESYNTAX);
    for (size_t i = 0; i + 1 < sizeof big; i += 2)
        memcpy(big + i, "a ", 2);
    assert_int_equal(cf_search_parse(&a, (cf_str){big, 10000}, &n, &err), CF_ELIMIT);
    for (size_t i = 0; i + 4 < sizeof big; i += 4)
        memcpy(big + i, "NOT ", 4);
    assert_int_equal(cf_search_parse(&a, (cf_str){big, 10000}, &n, &err), CF_ESYNTAX);
    cf_arena_release(&a);
}

static struct cf_search_sql sql_of(struct cf_arena *a, const char *q, int *r, struct cf_error *err)
{
    struct cf_search_sql s = {.arena = a, .now_us = INT64_C(1000000000000)};
    struct cf_search_node *n = NULL;

    cf_buf_init(&s.cond, 0);
    *r = cf_search_parse(a, cf_str_c(q), &n, err);
    if (*r == 0)
        *r = cf_search_to_sql(n, &s, err);
    return s;
}

/* Nothing a person types becomes SQL text. */
static void values_are_parameters(void **st)
{
    static const char *const q[] = {"user.name:\"x' OR 1=1 --\"", "zz.evil:\"'); DROP TABLE events\"", "\"'; SELECT\"", "source.ip:1.2.3.4",
                                    "url.path:'*", "zz:['a TO 'b]", "exists:zz'"};
    struct cf_arena a;

    (void)st;
    cf_arena_init(&a, 0, 0);
    for (size_t i = 0; i < sizeof q / sizeof *q; i++) {
        struct cf_error err = {0};
        int r;
        struct cf_search_sql s = sql_of(&a, q[i], &r, &err);

        assert_int_equal(r, 0);
        assert_true(s.n_param > 0);
        assert_null(strstr(cf_buf_cstr(&s.cond), "DROP"));
        assert_null(strstr(cf_buf_cstr(&s.cond), "evil"));
        assert_null(strstr(cf_buf_cstr(&s.cond), "OR 1"));
        cf_buf_release(&s.cond);
    }
    cf_arena_release(&a);
}

static void values_must_fit_their_field(void **st)
{
    static const struct {
        const char *q;
        size_t pos;
    } wrong[] = {{"source.port:http", 12}, {"a source.ip:banana", 12}, {"@timestamp>yesterday", 11}, {"_id:1", 4}, {"source.port:[a TO 3]", 13}};
    struct cf_arena a;

    (void)st;
    cf_arena_init(&a, 0, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct cf_error err = {0};
        int r;
        struct cf_search_sql s = sql_of(&a, wrong[i].q, &r, &err);

        if (r != CF_ESYNTAX || err.pos != wrong[i].pos)
            fail_msg("%s: %d at %zu: %s", wrong[i].q, r, err.pos, err.msg);
        cf_buf_release(&s.cond);
    }
    cf_arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees), cmocka_unit_test(errors_name_their_place), cmocka_unit_test(limits),
        cmocka_unit_test(values_are_parameters), cmocka_unit_test(values_must_fit_their_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
