/* SPDX-License-Identifier: Apache-2.0
 * The event store on a real engine. The same suite runs on embedded chDB here and on the cluster in store_cluster. */
#include "test.h"

#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "events_fixture.h"
#include "store/chdb_api.h"
#include "store/event_schema.h"
#include "store/event_store.h"

static char dir[64];
static struct cf_event_store *store;

static struct cf_event_store *open_store(const char *path)
{
    struct cf_error err = {0};
    struct cf_event_store *s = NULL;

    assert_ok(cf_event_store_open(&(struct cf_event_store_options){.kind = CF_STR("chdb"), .path = cf_str_c(path)}, &s, &err), err);
    return s;
}

static void insert_range(struct cf_event_store *s, uint64_t from, uint64_t to, const char *token)
{
    struct cf_error err = {0};
    struct cf_event_block *b = cf_event_block_new();
    struct cf_arena a;

    cf_arena_init(&a, 0, 0);
    for (uint64_t i = from; i < to; i++) {
        assert_int_equal(cf_event_block_add(b, fix_event(&a, i)), 0);
        cf_arena_reset(&a);
    }
    assert_int_equal(cf_event_block_rows(b), to - from);
    assert_ok(cf_event_store_insert(s, b, cf_str_c(token), &err), err);
    cf_event_block_free(b);
    cf_arena_release(&a);
}

static char *query(struct cf_event_store *s, const char *sql)
{
    struct cf_error err = {0};
    struct cf_buf out;
    char *text;

    cf_buf_init(&out, 0);
    assert_ok(cf_event_store_query(s, cf_str_c(sql), NULL, 0, "TSV", NULL, &out, &err), err);
    text = strdup(cf_buf_cstr(&out));
    text[strcspn(text, "\n")] = 0;
    cf_buf_release(&out);
    return text;
}

#define assert_query(sql, want)                 \
    do {                                        \
        char *cf_q_ = query(store, (sql));      \
        assert_string_equal(cf_q_, (want));     \
        free(cf_q_);                            \
    } while (0)

static void insert_and_count(void **st)
{
    (void)st;
    insert_range(store, 0, 10000, "a");
    insert_range(store, 10000, 10001, "b");
    assert_query("SELECT count() FROM chengfang.events", "10001");
    assert_query("SELECT countIf(source = 'sshd'), countIf(has(event_category, 'session')), countIf(http_response_status_code = 404), "
                 "countIf(http_response_status_code IS NULL), countIf(extras['nginx.upstream'] = 'up1'), uniqExact(id), "
                 "countIf(source_ip = toIPv6('::ffff:10.0.0.7')) FROM chengfang.events",
                 "5001\t5001\t1000\t5001\t1667\t10001\t1");
    assert_query("SELECT toString(min(time)), user_name FROM chengfang.events GROUP BY user_name ORDER BY user_name LIMIT 1",
                 "2026-09-21 14:13:20.000000\tu0");
}

static void same_token_inserts_once(void **st)
{
    (void)st;
    insert_range(store, 0, 10000, "a");
    insert_range(store, 0, 10000, "a");
    assert_query("SELECT count() FROM chengfang.events", "10001");
}

/* ---- search ---- */

static char *search(const struct cf_search *q, int want)
{
    struct cf_error err = {0};
    struct cf_buf out;
    char *text;
    int r;

    cf_buf_init(&out, 0);
    r = cf_event_search(store, q, &out, &err);
    if (r != want)
        fail_msg("%.*s: %d %s", CF_ARG(q->query), r, err.msg);
    text = strdup(cf_buf_cstr(&out));
    cf_buf_release(&out);
    return text;
}

static int64_t total_of(const char *q)
{
    struct cf_search s = {.query = cf_str_c(q), .limit = 1, .scope = {.all = true}};
    char *t = search(&s, 0), *at = strstr(t, "\"total\":");
    int64_t n = at ? strtoll(at + 8, NULL, 10) : -1;

    free(t);
    return n;
}

/* What each query finds, counted from the fixture's own rules. */
static void queries_find_what_they_say(void **st)
{
    static const struct {
        const char *q;
        int64_t n;
    } c[] = {
        {"*", 10001},
        {"user.name:u1", 1000},
        {"user.name:U1", 1000},
        {"user.name:u?", 10001},
        {"user.name:(u1 OR u2)", 2000},
        {"NOT user.name:u1", 9001},
        {"user.name!=u1", 9001},
        {"event.category:web", 5000},
        {"event.category:s*", 5001},
        {"http.response.status_code:404", 1000},
        {"http.response.status_code>=300", 1000},
        {"http.response.status_code:[200 TO 299]", 4000},
        {"http.response.status_code:{200 TO 404}", 0},
        {"NOT http.response.status_code:404", 9001},
        {"exists:http.response.status_code", 5000},
        {"http.response.status_code:*", 5000},
        {"NOT exists:http.response.status_code", 5001},
        {"source.ip:10.0.0.7", 1},
        {"source.ip:10.0.0.0/24", 256},
        {"source.ip:10.0.1.*", 256},
        {"source.ip:10.0.0.0/8", 10001},
        {"source.ip:10.0.0.[1 TO 2]", -1},
        {"source.ip:[10.0.0.1 TO 10.0.0.10]", 10},
        {"related.ip:10.0.0.0/24", 256},
        {"related.ip:10.0.0.7", 1},
        {"nginx.upstream:up1", 1667},
        {"nginx.upstream:UP*", 5000},
        {"exists:nginx.upstream", 5000},
        {"exists:no.such.field", 0},
        {"failed", 2500},
        {"FAILED password", 2500},
        {"\"failed password\"", 2500},
        {"\"password failed\"", 0},
        {"accepted OR 404", 2501 + 1000},
        {"fail*", 2500},
        {"assword", 0},
        {"*assword*", 5001},
        {"10.0.0.7", 1},
        {"\xe5\x9f\x8e\xe9\x98\xb2", 5000},
        {"\xe9\x98\xb2\xe5\x9f\x8e", 0},
        {"\xe5\x9f\x8e", 5000},
        {"_source:sshd user.name:u2", 1000},
        {"@timestamp:[2026-09-21T14:13:20Z TO 2026-09-21T14:13:20.999Z]", 1000},
        {"@timestamp>2026-09-21T14:13:29.999Z", 1},
        {"@timestamp:2026-09-21", 10001},
        {"source.port:[1024 TO 1033]", 10},
        {"process.args:sshd", 5001},
        {"process.args:-d", 5001},
        {"process.args:ssh", 0},
        {"process.args:s*d", 5001},
        {"network.packets>=5", 1428},
        {"network.packets:3", 714},
        {"network.packets:[1 TO 2]", 1429},
        {"dns.resolved_ip:10.0.0.0/24", 128},
        {"dns.resolved_ip:10.0.0.8", 1},
        {"dns.resolved_ip:192.0.2.1", 5001},
        {"exists:dns.resolved_ip", 5001},
        {"NOT exists:process.args", 5000},
        {"url.path:/page/7", 10},
        {"url.path:\"/page/7\"", 10},
        {"url.path:/page/77", 10},
        {"url.path:/page/7?", 50},
        {"event.original:\"HTTP/1.1\" user.name:u3", 1000},
    };

    (void)st;
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        int64_t n;

        if (c[i].n < 0)
            continue;
        n = total_of(c[i].q);
        if (n != c[i].n)
            fail_msg("%s finds %lld, expected %lld", c[i].q, (long long)n, (long long)c[i].n);
    }
}

/* Every page in turn gives every row once, in order. */
static void pages(void **st)
{
    struct cf_search q = {.query = CF_STR("user.name:u1"), .limit = 300, .scope = {.all = true}};
    char cursor[96] = "";
    size_t rows = 0, turns = 0;

    (void)st;
    for (;; turns++) {
        char *t, *next;

        assert_true(turns < 10);
        q.cursor = cf_str_c(cursor);
        t = search(&q, 0);
        for (char *p = t; (p = strstr(p, "\"_id\":\"")); p++)
            rows++;
        next = strstr(t, "\"next\":\"");
        if (!next) {
            assert_non_null(strstr(t, "\"next\":null"));
            free(t);
            break;
        }
        (void)snprintf(cursor, sizeof cursor, "%.*s", (int)strcspn(next + 8, "\""), next + 8);
        free(t);
    }
    assert_int_equal(rows, 1000);
    assert_int_equal(turns, 3);
    q.cursor = CF_STR("nonsense");
    free(search(&q, CF_EINVAL));
}

/* An event comes back as it went in, with what the store adds. */
static void events_come_back_whole(void **st)
{
    struct cf_search q = {.query = CF_STR("source.port:1031"), .scope = {.all = true}};
    struct cf_arena a;
    struct cf_buf want, all;
    struct cf_event *ev;
    char id[37], *got = search(&q, 0);

    (void)st;
    cf_arena_init(&a, 0, 0);
    cf_buf_init(&want, 0);
    ev = fix_event(&a, 7);
    cf_event_id(ev, id);
    (void)cf_event_set(ev, CF_F_EVENT_ORIGINAL, ev->original);
    (void)cf_event_set(ev, CF_F_EVENT_INGESTED, CF_STR("2026-09-21T14:13:20.507000Z"));
    cf_buf_printf(&want, "{\"items\":[{\"_id\":\"%s\",\"_source\":\"nginx\",", id);
    cf_event_json(ev, &want);
    char *hole = strstr(cf_buf_cstr(&want), ",{\"@timestamp\"");
    assert_non_null(hole);
    memmove(hole + 1, hole + 2, strlen(hole + 2) + 1);
    cf_buf_init(&all, 0);
    cf_buf_printf(&all, "%s],\"next\":null,\"total\":1}", cf_buf_cstr(&want));
    assert_string_equal(got, cf_buf_cstr(&all));
    cf_buf_release(&all);
    free(got);
    q.fields = (const cf_str[]){CF_STR("source"), CF_STR("nginx.upstream")};
    q.n_fields = 2;
    got = search(&q, 0);
    assert_non_null(strstr(got, "\"source\":{\"ip\":\"10.0.0.7\",\"port\":1031}"));
    assert_non_null(strstr(got, "\"upstream\":\"up1\""));
    assert_null(strstr(got, "user"));
    free(got);
    cf_buf_release(&want);
    cf_arena_release(&a);
}

static void scope_limits_every_answer(void **st)
{
    const cf_str orgs[] = {CF_STR("org1"), CF_STR("o'rg\\")};
    struct cf_search q = {.query = CF_STR("*"), .limit = 1, .scope = {.n_orgs = 2, .orgs = orgs}};
    struct cf_error err = {0};
    struct cf_buf out;
    char *t = search(&q, 0);

    (void)st;
    assert_non_null(strstr(t, "\"total\":2500}"));
    free(t);
    cf_buf_init(&out, 0);
    assert_ok(cf_event_facet(store, &q, CF_STR("organization.id"), 10, &out, &err), err);
    assert_string_equal(cf_buf_cstr(&out), "{\"field\":\"organization.id\",\"values\":[{\"value\":\"org1\",\"count\":2500}],\"other\":0}");
    cf_buf_release(&out);
    q.scope.n_orgs = 0;
    t = search(&q, 0);
    assert_string_equal(t, "{\"items\":[],\"next\":null,\"total\":0}");
    free(t);
}

static void histogram(void **st)
{
    struct cf_search q = {.query = CF_STR("user.name:u1"), .scope = {.all = true}, .from_us = FIX_T0, .to_us = FIX_T0 + 10 * CF_US_PER_S};
    struct cf_error err = {0};
    struct cf_buf out;

    (void)st;
    cf_buf_init(&out, 0);
    assert_ok(cf_event_histogram(store, &q, 5, &out, &err), err);
    assert_string_equal(cf_buf_cstr(&out), "{\"interval_ms\":2000,\"buckets\":[{\"time\":\"2026-09-21T14:13:20Z\",\"count\":200},"
                                           "{\"time\":\"2026-09-21T14:13:22Z\",\"count\":200},{\"time\":\"2026-09-21T14:13:24Z\",\"count\":200},"
                                           "{\"time\":\"2026-09-21T14:13:26Z\",\"count\":200},{\"time\":\"2026-09-21T14:13:28Z\",\"count\":200}]}");
    cf_buf_clear(&out);
    q.from_us = q.to_us = 0; /* the range of what is found */
    assert_ok(cf_event_histogram(store, &q, 2, &out, &err), err);
    assert_non_null(strstr(cf_buf_cstr(&out), "\"interval_ms\":5000"));
    cf_buf_release(&out);
}

static void facets(void **st)
{
    static const struct {
        const char *field, *want;
    } c[] = {
        {"user.name", "{\"field\":\"user.name\",\"values\":[{\"value\":\"u0\",\"count\":1001},{\"value\":\"u1\",\"count\":1000}],\"other\":8000}"},
        {"event.category", "{\"field\":\"event.category\",\"values\":[{\"value\":\"authentication\",\"count\":5001},{\"value\":\"session\",\"count\":5001}],\"other\":5000}"},
        {"http.response.status_code", "{\"field\":\"http.response.status_code\",\"values\":[{\"value\":\"200\",\"count\":4000},{\"value\":\"404\",\"count\":1000}],\"other\":0}"},
        {"nginx.upstream", "{\"field\":\"nginx.upstream\",\"values\":[{\"value\":\"up0\",\"count\":1667},{\"value\":\"up1\",\"count\":1667}],\"other\":1666}"},
        {"process.args", "{\"field\":\"process.args\",\"values\":[{\"value\":\"-D\",\"count\":5001},{\"value\":\"sshd\",\"count\":5001}],\"other\":0}"},
        {"source.ip", "{\"field\":\"source.ip\",\"values\":[{\"value\":\"10.0.0.0\",\"count\":1},{\"value\":\"10.0.0.1\",\"count\":1}],\"other\":9999}"},
        {"no.such", "{\"field\":\"no.such\",\"values\":[],\"other\":0}"},
    };
    struct cf_search q = {.query = CF_STR("*"), .scope = {.all = true}};
    struct cf_error err = {0};
    struct cf_buf out;

    (void)st;
    cf_buf_init(&out, 0);
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        cf_buf_clear(&out);
        assert_ok(cf_event_facet(store, &q, cf_str_c(c[i].field), 2, &out, &err), err);
        assert_string_equal(cf_buf_cstr(&out), c[i].want);
    }
    cf_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(insert_and_count), cmocka_unit_test(same_token_inserts_once), cmocka_unit_test(queries_find_what_they_say),
        cmocka_unit_test(pages), cmocka_unit_test(events_come_back_whole), cmocka_unit_test(scope_limits_every_answer),
        cmocka_unit_test(histogram), cmocka_unit_test(facets),
    };
    const struct chdb_api *api;
    struct cf_error err = {0};
    char cmd[96];
    int failed;

    if (cf_chdb_load(&api, &err) < 0) {
        (void)printf("skipped: %s\n", err.msg);
        return 77;
    }
    (void)snprintf(dir, sizeof dir, "/tmp/cf-events-XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    store = open_store(dir);
    failed = cmocka_run_group_tests_name("event store on chDB", tests, NULL, NULL);
    cf_event_store_close(store);
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    (void)!system(cmd);
    return failed;
}
