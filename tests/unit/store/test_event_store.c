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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(insert_and_count), cmocka_unit_test(same_token_inserts_once)};
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
