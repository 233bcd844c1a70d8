/* SPDX-License-Identifier: Apache-2.0
 * The pipeline without stores: records go through normalise and detect, counters add up, tables and rules are replaced while it
 * runs, a second start finds nothing to do. The stores are in tests/e2e. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "asset/asset.h"
#include "pipeline/pipeline.h"
#include "pipeline/pipeline_int.h"

static char dir[200];

static int rm(void *ctx, const char *path)
{
    (void)ctx;
    return unlink(path);
}
static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/cf-pipeline-XXXXXX");
    cf_log_set_level(CF_LOG_OFF);
    return mkdtemp(dir) ? 0 : -1;
}
static int teardown(void **state)
{
    char spool[220];

    (void)state;
    (void)cf_walk(dir, "", rm, NULL, NULL);
    (void)snprintf(spool, sizeof spool, "%s/spool", dir);
    (void)rmdir(spool);
    (void)rmdir(dir);
    return 0;
}
static struct cf_pipeline *start(struct cf_db *db, bool rules)
{
    struct cf_pipeline_options o = {.data_dir = dir, .content_dir = CF_TEST_ROOT "/content", .db = db, .workers = 2, .zone = CF_STR("+08:00"), .no_rules = !rules,
                                    .spool = {.min_free = -1, .segment_size = 1 << 20, .batch_rows = 500, .batch_age_us = 20000}};
    struct cf_pipeline *p = NULL;
    struct cf_error err = {0};

    if (cf_pipeline_start(&o, &p, &err) != 0)
        fail_msg("start: %s", err.msg);
    return p;
}
static void feed(struct cf_pipeline *p, const char *key, const char *line, unsigned n)
{
    struct cf_spool_origin o = {.key = cf_str_c(key), .received_us = cf_now_us()};
    struct cf_error err = {0};
    cf_str rec[100];

    assert_true(n <= 100);
    for (unsigned i = 0; i < n; i++)
        rec[i] = cf_str_c(line);
    if (cf_pipeline_append(p, &o, rec, n, true, 10000, &err) != 0)
        fail_msg("append: %s", err.msg);
}

static const char good[] = "<38>Nov 21 06:00:00 host-1 sshd[77]: Failed password for invalid user bob from 203.0.113.9 port 4022 ssh2";

static void numbers_add_up(void **state)
{
    struct cf_pipeline *p = start(NULL, false);
    struct cf_pipeline_stats s;
    struct cf_counter *c;
    json_t *u;

    (void)state;
    for (int i = 0; i < 50; i++) {
        feed(p, "a", good, 100);
        feed(p, i % 2 ? "b" : "c", "\x02 nothing knows this", 3);
    }
    assert_true(cf_pipeline_drain(p, 20000));
    cf_pipeline_get_stats(p, &s);
    assert_int_equal(s.received, 5150);
    assert_int_equal(s.accepted, s.received - s.rejected);
    assert_int_equal(s.stored + s.failed, s.accepted);
    assert_int_equal(s.unparsed, 150);
    c = cf_counters_find(cf_pipeline_counters(p), CF_STR("b"));
    assert_int_equal(c->stored, 75);
    assert_int_equal(c->unparsed, 75);
    u = cf_pipeline_unparsed(p, 10);
    assert_true(json_array_size(u) > 0);
    assert_non_null(json_string_value(json_object_get(json_array_get(u, 0), "reason")));
    json_decref(u);
    cf_pipeline_stop(p);
    p = start(NULL, false); /* everything was committed */
    assert_true(cf_pipeline_drain(p, 5000));
    cf_pipeline_get_stats(p, &s);
    assert_int_equal(s.received, 0);
    cf_pipeline_stop(p);
}

static void rules_fire_and_reload(void **state)
{
    struct cf_shared_box *box;
    struct cf_pipeline *p = start(NULL, true);
    struct cf_pipeline_stats before, after;
    struct cf_error err = {0};
    const struct cf_ruleset *rs = cf_pipeline_rules(p, &box);
    struct cf_rule_counters *c;
    uint64_t hits = 0, still = 0;
    size_t n;

    (void)state;
    assert_non_null(rs);
    assert_true(cf_ruleset_count(rs) > 100);
    feed(p, "web", "{\"@timestamp\":\"2026-11-21T06:00:00Z\",\"event\":{\"kind\":\"event\"},\"message\":\"x\"}", 1);
    for (int i = 0; i < 30; i++)
        feed(p, "ssh", good, 10);
    assert_true(cf_pipeline_drain(p, 20000));
    cf_pipeline_get_stats(p, &before);
    assert_true(before.hits > 0); /* brute force */
    n = cf_ruleset_count(rs);
    c = cf_pipeline_rule_counters(p, box);
    for (size_t i = 0; i < n; i++) {
        hits += c[i].hits;
        assert_true(c[i].candidates >= (cf_ruleset_rule(rs, i)->correlation ? 0 : c[i].hits));
        assert_int_equal(c[i].hits > 0, c[i].last_hit_us > 0);
    }
    free(c);
    cf_pipeline_rules_put(p, box);
    assert_true(hits >= before.hits);
    for (int i = 0; i < 3; i++) { /* reload beside running workers */
        feed(p, "ssh", good, 100);
        assert_int_equal(cf_pipeline_reload(p, &err), 0);
    }
    assert_true(cf_pipeline_drain(p, 20000));
    cf_pipeline_get_stats(p, &after);
    assert_int_equal(after.stored, before.stored + 300);
    rs = cf_pipeline_rules(p, &box);
    c = cf_pipeline_rule_counters(p, box); /* the figures outlive the rule sets that made them */
    for (size_t i = 0; i < cf_ruleset_count(rs); i++)
        still += c[i].hits;
    free(c);
    cf_pipeline_rules_put(p, box);
    assert_true(still >= hits);
    cf_pipeline_stop(p);
}

static void sources_and_assets_come_from_the_tables(void **state)
{
    struct cf_source_info i;
    struct cf_error err = {0};
    struct cf_db *db = NULL;
    struct cf_tx *tx = NULL;
    struct cf_pipeline *p;
    char url[300];

    (void)state;
    (void)snprintf(url, sizeof url, "sqlite:%s/r.db", dir);
    assert_int_equal(cf_db_open(url, &db, &err), 0);
    assert_int_equal(cf_db_migrate(db, cf_asset_migrations, cf_asset_n_migrations, &err), 0);
    assert_int_equal(cf_tx_begin(db, CF_TX_WRITE, &tx, &err), 0);
    assert_int_equal(cf_tx_exec(tx, "CREATE TABLE organisation (id TEXT PRIMARY KEY, name TEXT)", &err), 0);
    assert_int_equal(cf_tx_exec(tx, "INSERT INTO data_source (id, org_id, name, address, source) VALUES ('1', 'o1', 'fw', '192.0.2.0/24; 198.51.100.1', 'iptables')", &err), 0);
    assert_int_equal(cf_tx_commit(&tx, &err), 0);
    p = start(db, false);
    assert_true(cf_pipeline_source(p, CF_STR("fw"), &i));
    assert_string_equal(i.source, "iptables");
    assert_false(cf_pipeline_source(p, CF_STR("gone"), &i));
    feed(p, "new-sender", good, 5);
    assert_true(cf_pipeline_drain(p, 20000));
    cf_pipeline_stop(p); /* writes the times down */
    {
        struct cf_stmt *st = NULL;

        assert_int_equal(cf_tx_begin(db, CF_TX_READ, &tx, &err), 0);
        assert_int_equal(cf_tx_query(tx, "SELECT registered, last_us FROM data_source WHERE name = 'new-sender'", &st, &err), 0);
        assert_int_equal(cf_stmt_next(st, &err), 1);
        assert_int_equal(cf_stmt_i64(st, 0), 0);
        assert_true(cf_stmt_i64(st, 1) > 0);
        cf_stmt_free(st);
        cf_tx_rollback(&tx);
    }
    cf_db_close(db);
}

static void addresses(void **state)
{
    cf_str list = CF_STR(" 10.0.0.1,10.0.0.0/8;\n ::1  "), one;

    (void)state;
    assert_true(cf_asset_next_address(&list, &one) && cf_str_eqz(one, "10.0.0.1"));
    assert_true(cf_asset_next_address(&list, &one) && cf_str_eqz(one, "10.0.0.0/8"));
    assert_true(cf_asset_next_address(&list, &one) && cf_str_eqz(one, "::1"));
    assert_false(cf_asset_next_address(&list, &one));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {T(numbers_add_up), T(rules_fire_and_reload), T(sources_and_assets_come_from_the_tables), cmocka_unit_test(addresses)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
