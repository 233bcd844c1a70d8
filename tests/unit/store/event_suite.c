/* SPDX-License-Identifier: Apache-2.0 */
#include "event_suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "events_fixture.h"
#include "store/event_schema.h"

struct cf_event_store *store;

void insert_range(struct cf_event_store *s, uint64_t from, uint64_t to, const char *token, bool again)
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
    assert_ok(cf_event_store_insert(s, b, cf_str_c(token), again, &err), err);
    assert_ok(cf_event_store_sync(s, &err), err);
    cf_event_block_free(b);
    cf_arena_release(&a);
}

char *query_text(struct cf_event_store *s, const char *sql)
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

static void insert_and_count(void **st)
{
    (void)st;
    insert_range(store, 0, 10000, "a", false);
    insert_range(store, 10000, 10001, "b", false);
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
    insert_range(store, 0, 10000, "a", false);
    insert_range(store, 0, 10000, "a", true);
    insert_range(store, 0, 10000, "a", true);
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
        {"10.0.0.70", 1},
        {"10.0.0.300", 0},
        {"\"from 10.0.0.6 port\"", 1},
        {"10.0.0.6 NOT failed", 0},
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
/* All ids of a search, page by page; the total must be the same on each. */
static size_t all_pages(struct cf_search *q, const char *total, char *ids, size_t size)
{
    char cursor[96] = "", want[48];
    size_t n = 0, rows = 0;

    (void)snprintf(want, sizeof want, "\"total\":%s}", total);
    for (;;) {
        char *t, *next, *p;

        q->cursor = cf_str_c(cursor);
        t = search(q, 0);
        if (!strstr(t, want))
            fail_msg("no %s in %.200s", want, t + (strlen(t) > 200 ? strlen(t) - 200 : 0));
        for (p = t; (p = strstr(p, "\"_id\":\"")); p += 44, rows++) {
            assert_true(n + 37 < size);
            memcpy(ids + n, p + 7, 36);
            n += 36;
        }
        next = strstr(t, "\"next\":\"");
        if (next)
            (void)snprintf(cursor, sizeof cursor, "%.*s", (int)strcspn(next + 8, "\""), next + 8);
        free(t);
        if (!next)
            break;
    }
    ids[n] = 0;
    return rows;
}

/* A page is put together from slices of the time range: the result is that of one query, in both directions, whatever the limit. */
static void pages_from_slices(void **st)
{
    static const size_t limit[] = {1000, 333, 91};
    static char whole[1000 * 36 + 40], part[sizeof whole];
    const int64_t t0 = FIX_T0 - 60 * CF_US_PER_S;

    (void)st;
    for (int up = 0; up < 2; up++) {
        struct cf_search q = {.query = CF_STR("http.response.status_code:404"), .limit = 1000, .scope = {.all = true}, .oldest_first = up};
        char total[24];
        size_t n;

        n = all_pages(&q, "1000", whole, sizeof whole);
        assert_int_equal(n, 1000);
        (void)snprintf(total, sizeof total, "%zu", n);
        for (size_t i = 0; i < sizeof limit / sizeof *limit; i++) {
            q.limit = limit[i];
            q.from_us = t0;
            for (int64_t days = 1; days <= 4096; days *= 16) {
                q.to_us = t0 + days * CF_US_PER_DAY;
                assert_int_equal(all_pages(&q, total, part, sizeof part), n);
                assert_string_equal(part, whole);
            }
        }
    }
}

/* ---- stopping ---- */

struct slow {
    struct cf_event_run *run;
    int r;
    _Atomic bool done;
};
static void *slow_query(void *arg)
{
    struct slow *w = arg;
    struct cf_query_limits lim = {.max_ms = 120000, .tag = cf_event_run_tag(w->run)};
    struct cf_error err = {0};
    struct cf_buf out;

    cf_buf_init(&out, 0);
    w->r = cf_event_store_query(store, CF_STR("SELECT max(cityHash64(number, toString(number))) FROM numbers(1000000000000)"), NULL, 0, "TSV", &lim, &out, &err);
    cf_buf_release(&out);
    atomic_store(&w->done, true);
    return NULL;
}

static bool is_set(void *arg) { return atomic_load((_Atomic bool *)arg); }

/* how: by its name, or because nobody waits any more. */
static void stop_one(bool by_name)
{
    static _Atomic bool gone;
    const struct cf_event_run_options o = {.owner = CF_STR("me"), .id = CF_STR("q1"), .gone = is_set, .arg = &gone};
    struct cf_event_progress p = {0};
    struct cf_error err = {0};
    struct slow w = {0};
    pthread_t t;

    atomic_store(&gone, false);
    assert_ok(cf_event_run_begin(store, &o, &w.run, &err), err);
    assert_int_equal(pthread_create(&t, NULL, slow_query, &w), 0);
    while (!atomic_load(&w.done) && cf_event_run_progress(store, CF_STR("me"), CF_STR("q1"), &p) && p.rows_read == 0)
        (void)usleep(10000);
    assert_true(p.rows_read > 0);
    assert_int_equal(cf_event_run_cancel(store, CF_STR("you"), CF_STR("q1")), 0); /* not his */
    if (by_name)
        assert_int_equal(cf_event_run_cancel(store, CF_STR("me"), CF_STR("q1")), 1);
    else
        atomic_store(&gone, true);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_int_equal(w.r, CF_ECANCELLED);
    assert_true(cf_event_run_cancelled(w.run));
    cf_event_run_end(w.run);
    assert_false(cf_event_run_progress(store, CF_STR("me"), CF_STR("q1"), &p));
}

static void queries_can_be_stopped(void **st)
{
    const struct cf_event_run_options o = {.owner = CF_STR("me"), .id = CF_STR("q2")};
    struct cf_search q = {.query = CF_STR("*"), .scope = {.all = true}};
    struct cf_event_run *run = NULL;
    struct cf_error err = {0};

    (void)st;
    stop_one(true);
    stop_one(false);
    assert_ok(cf_event_run_begin(store, &o, &run, &err), err);
    q.run = run;
    free(search(&q, 0));
    (void)cf_event_run_cancel(store, CF_STR("me"), CF_STR("q2"));
    free(search(&q, CF_ECANCELLED));
    cf_event_run_end(run);
}

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


/* ---- SQL of users ---- */

static const cf_str one_org[] = {CF_STR("org1")};
static const struct cf_event_scope org1 = {.n_orgs = 1, .orgs = one_org};

static int sql(const char *text, const struct cf_event_scope *scope, struct cf_buf *out)
{
    struct cf_error err = {0};

    cf_buf_clear(out);
    int r = cf_event_sql(store, cf_str_c(text), scope, NULL, out, &err);

    if (r < 0)
        cf_buf_z(out, err.msg);
    return r;
}

/* Whatever shape the query has, rows of other organisations do not come in. Each returns counts by the scope's own rule. */
static void sql_shows_the_scope_only(void **st)
{
    static const char *const q[] = {
        "SELECT count() FROM events",
        "SELECT count() FROM chengfang.events",
        "select count() from `chengfang`.`events` as e",
        "SELECT count() FROM (SELECT * FROM events) AS x",
        "WITH e AS (SELECT id FROM events) SELECT count() FROM e",
        "SELECT sum(c) FROM (SELECT organization_id, count() AS c FROM events GROUP BY organization_id)",
        "SELECT count() FROM events WHERE organization_id = 'org2' OR 1",
        "SELECT countIf(id IN (SELECT id FROM events)) FROM events",
        "SELECT count() FROM events a INNER JOIN (SELECT id FROM events) b ON a.id = b.id",
        "SELECT count() FROM (SELECT id FROM events UNION ALL SELECT id FROM events WHERE 0)",
        "SELECT count() FROM events;",
        "SELECT count() -- comment )\nFROM events",
        "SELECT uniqExact(id) FROM events",
        "SELECT (SELECT count() FROM events)",
    };
    struct cf_event_scope all = {.all = true}, none = {0};
    struct cf_buf out;

    (void)st;
    cf_buf_init(&out, 0);
    for (size_t i = 0; i < sizeof q / sizeof *q; i++) {
        if (sql(q[i], &org1, &out) < 0) /* a shape the engine refuses shows nothing either */
            fail_msg("%s: %s", q[i], cf_buf_cstr(&out));
        if (!strstr(cf_buf_cstr(&out), "2500") || strstr(cf_buf_cstr(&out), "10001"))
            fail_msg("%s: %s", q[i], cf_buf_cstr(&out));
        assert_int_equal(sql(q[i], &all, &out), 0);
        if (!strstr(cf_buf_cstr(&out), "10001"))
            fail_msg("%s: %s", q[i], cf_buf_cstr(&out));
        assert_int_equal(sql(q[i], &none, &out), 0);
        if (strstr(cf_buf_cstr(&out), "10001") || strstr(cf_buf_cstr(&out), "2500"))
            fail_msg("%s: %s", q[i], cf_buf_cstr(&out));
    }
    /* an expression that fails on rows outside the scope must not fail: that would tell what they hold */
    static const char *const oracle[] = {
        "SELECT count() FROM events WHERE 0 = intDiv(0, toInt8(organization_id != 'org0'))",
        "SELECT count() FROM (SELECT intDiv(0, toInt8(organization_id != 'org0')) AS x FROM events) WHERE x = 0",
        "SELECT countIf(intDiv(0, toInt8(organization_id != 'org0')) = 0) FROM events",
    };
    for (size_t i = 0; i < sizeof oracle / sizeof *oracle; i++) {
        int r = sql(oracle[i], &org1, &out);

        if (r < 0 || !strstr(cf_buf_cstr(&out), "2500"))
            fail_msg("%s: %s", oracle[i], cf_buf_cstr(&out));
    }
    assert_int_equal(sql("SELECT min(time), max(time), any(organization_id) FROM events", &org1, &out), 0);
    assert_non_null(strstr(cf_buf_cstr(&out), "2026-09-21 14:13:20.001000"));
    assert_non_null(strstr(cf_buf_cstr(&out), "2026-09-21 14:13:29.997000"));
    assert_non_null(strstr(cf_buf_cstr(&out), "org1"));
    assert_int_equal(sql("SELECT DISTINCT organization_id FROM events", &org1, &out), 0);
    assert_null(strstr(cf_buf_cstr(&out), "org2"));
    cf_buf_release(&out);
}

/* Everything that is not one SELECT over events is refused, with a reason. */
static void sql_stays_inside(void **st)
{
    static const char *const q[] = {
        "", ";", "DROP TABLE events", "INSERT INTO events (source) VALUES ('x')", "ALTER TABLE events DELETE WHERE 1", "TRUNCATE TABLE events",
        "CREATE TABLE x (a Int8) ENGINE = Memory", "SET readonly = 0", "SYSTEM SHUTDOWN", "KILL QUERY WHERE 1", "SHOW TABLES", "EXPLAIN SELECT 1",
        "SELECT 1; DROP TABLE events", "SELECT 1; SELECT 2", "SELECT 1) UNION ALL (SELECT 2", "SELECT * FROM events FORMAT JSON",
        "SELECT * FROM events INTO OUTFILE '/tmp/cf-out'", "SELECT count() FROM events SETTINGS readonly = 0",
        "SELECT count() FROM events SETTINGS additional_table_filters = {}", "SELECT count() FROM events SETTINGS max_execution_time = 0",
        "SELECT * FROM (SELECT 1 SETTINGS additional_table_filters = {})", "SELECT * FROM system.tables", "SELECT * FROM system.processes",
        "SELECT name FROM system.columns", "SELECT * FROM information_schema.tables", "SELECT count() FROM chengfang.schema_migrations",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')", "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', 'chengfang', 'events')", "SELECT * FROM cluster('cf', 'chengfang', 'events')",
        "SELECT * FROM s3('http://127.0.0.1:1/x', 'LineAsString')", "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
        "SELECT * FROM executable('x', 'TSV', 'a String')", "SELECT * FROM merge('chengfang', 'events')", "SELECT * FROM merge('events')",
        "SELECT * FROM mergeTreeIndex('chengfang', 'events')", "SELECT * FROM numbers(10)", "SELECT * FROM view(SELECT * FROM events)",
        "SELECT * FROM (EXPLAIN SELECT 1)", "SELECT file('/etc/passwd')", "SELECT getSetting('additional_table_filters')", "SELECT getServerSetting('path')",
        "SELECT hostName()", "SELECT dictGet('a', 'b', 1)", "SELECT joinGet('a', 'b', 1)", "SELECT sleep(3)", "SELECT sleepEachRow(1) FROM events",
        "SELECT 1 IN system.numbers", "SELECT id IN chengfang.schema_migrations FROM events", "SELECT * FROM events, system.one AS o, system.tables AS t",
        "SELECT hasColumnInTable('system', 'tables', 'name')", "WITH x AS (SELECT * FROM system.users) SELECT * FROM x",
        "SELECT * FROM events WHERE id IN (SELECT name FROM system.tables)", "SELECT /* */ * FROM/**/merge/**/('chengfang', '.*')",
        "SELECT count() FROM events PREWHERE 0 = intDiv(0, toInt8(organization_id != 'org0'))", "SELECT count() FROM events PREWHERE 1",
        "SELECT throwIf(organization_id = 'org2') FROM events",
    };
    struct cf_buf out;

    (void)st;
    cf_buf_init(&out, 0);
    for (size_t i = 0; i < sizeof q / sizeof *q; i++) {
        if (sql(q[i], &org1, &out) == 0)
            fail_msg("%s: %s", q[i], cf_buf_cstr(&out));
        assert_true(out.n > 0);
    }
    assert_query("SELECT count() FROM chengfang.events", "10001");
    cf_buf_release(&out);
}

static void limits_hold(void **st)
{
    struct cf_event_scope all = {.all = true};
    struct cf_error err = {0};
    struct cf_buf out, small;

    (void)st;
    cf_buf_init(&out, 0);
    /* Sorted first: on a cluster every node has given its rows before the query is ended. The library that stands for a server there
     * can abort when a peer resets a connection in the midst of them. */
    if (cf_event_sql(store, CF_STR("SELECT count() FROM (SELECT id FROM events ORDER BY id LIMIT 20000) a, events b, events c"), &all, &(struct cf_query_limits){.max_ms = 300}, &out, &err) != CF_ETIMEOUT)
        fail_msg("%s", err.msg);
    assert_int_equal(out.n, 0);
    assert_int_equal(cf_event_sql(store, CF_STR("SELECT groupArray(a.event_original) FROM (SELECT event_original FROM events ORDER BY id LIMIT 20000) a, (SELECT id FROM events ORDER BY id LIMIT 300) b"), &all,
                                  &(struct cf_query_limits){.max_memory = 20 << 20}, &out, &err), CF_ELIMIT);
    cf_buf_init(&small, 1000);
    assert_int_equal(cf_event_sql(store, CF_STR("SELECT event_original FROM events ORDER BY id"), &all, NULL, &small, &err), CF_ELIMIT);
    cf_buf_release(&small);
    /* afterwards everything works as before */
    assert_int_equal(sql("SELECT count() FROM events", &all, &out), 0);
    cf_buf_release(&out);
}

static void statistics(void **st)
{
    struct cf_error err = {0};
    struct cf_buf out;

    (void)st;
    cf_buf_init(&out, 0);
    assert_ok(cf_event_store_stats(store, &out, &err), err);
    assert_non_null(strstr(cf_buf_cstr(&out), "{\"rows\":10001,"));
    assert_non_null(strstr(cf_buf_cstr(&out), "\"oldest\":\"2026-09-21\""));
    assert_non_null(strstr(cf_buf_cstr(&out), "\"engine_memory\":"));
    cf_buf_release(&out);
}

static void expect(const char *database, const char *sql, const char *want)
{
    static const char name[] = "%s";
    const char *at = strstr(sql, name);
    char whole[256], *got;

    (void)snprintf(whole, sizeof whole, "%.*s%s%s", (int)(at - sql), sql, database, at + 2);
    got = query_text(store, whole);
    assert_string_equal(got, want);
    free(got);
}

/* Rows that are not there although the engine has heard of their block, some of them with a clock of their own, are inserted; those
 * that are there are not. */
void event_suite_again(const char *database)
{
    static const char *const gone[] = {"source_port < 2000", "day > '2026-09-21'", "1"};
    struct cf_error err = {0};
    struct cf_event_block *b = cf_event_block_new();
    struct cf_arena a;

    cf_arena_init(&a, 0, 0);
    for (uint64_t i = 0; i < 5000; i++) {
        struct cf_event *ev = fix_event(&a, i);

        if (i % 100 == 7) /* hours, days, years away: more odd times than are looked for one by one */
            ev->time_us += ((int64_t)i - 2500) * 7 * CF_US_PER_S * (i % 300 == 7 ? 100000 : 100);
        assert_int_equal(cf_event_block_add(b, ev), 0);
        cf_arena_reset(&a);
    }
    assert_ok(cf_event_store_insert(store, b, CF_STR("m"), false, &err), err);
    expect(database, "SELECT count(), uniqExact(id), uniqExact(day) > 2, dateDiff('year', min(time), max(time)) > 10 FROM %s.events", "5000\t5000\t1\t1");
    assert_ok(cf_event_store_insert(store, b, CF_STR("m"), true, &err), err);
    expect(database, "SELECT count() FROM %s.events", "5000");
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
        char sql[160];

        (void)snprintf(sql, sizeof sql, "ALTER TABLE %%s.events DELETE WHERE %s SETTINGS mutations_sync = 1", gone[i]);
        expect(database, sql, "");
        expect(database, "SELECT count() < 5000 FROM %s.events", "1");
        assert_ok(cf_event_store_insert(store, b, CF_STR("m"), true, &err), err);
        expect(database, "SELECT count(), uniqExact(id) FROM %s.events", "5000\t5000");
    }
    expect(database, "TRUNCATE TABLE %s.events", "");
    cf_event_block_free(b);
    cf_arena_release(&a);
}

int event_suite_run(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(insert_and_count), cmocka_unit_test(same_token_inserts_once), cmocka_unit_test(queries_find_what_they_say),
        cmocka_unit_test(pages), cmocka_unit_test(pages_from_slices), cmocka_unit_test(queries_can_be_stopped), cmocka_unit_test(events_come_back_whole), cmocka_unit_test(scope_limits_every_answer),
        cmocka_unit_test(histogram), cmocka_unit_test(facets), cmocka_unit_test(sql_shows_the_scope_only), cmocka_unit_test(sql_stays_inside),
        cmocka_unit_test(limits_hold), cmocka_unit_test(statistics),
    };

    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
