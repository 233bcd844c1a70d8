/* SPDX-License-Identifier: Apache-2.0
 * Folding, exactly-once, scores, exceptions and grouping on a real SQLite file. */
#include "records.h"

#include "asset/asset.h"
#include "incident/incident_int.h"

struct world {
    struct records r;
    struct cf_incident_engine *e;
    struct cf_arena a;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct cf_error err = {0};

    records_open(&w->r);
    records_migrate(w->r.db, incident);
    records_migrate(w->r.db, asset);
    ok(cf_incident_engine_new(w->r.db, NULL, &w->e, &err), &err);
    cf_arena_init(&w->a, 0, 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    cf_incident_engine_free(w->e);
    cf_arena_release(&w->a);
    records_close(&w->r);
    free(w);
    return 0;
}

static cf_str tags_brute[] = {{"attack.credential-access", 24}, {"attack.t1110", 12}};
static cf_str tags_shell[] = {{"attack.persistence", 18}, {"attack.t1505.003", 16}};
static const struct cf_rule_info brute = {.id = {"r-brute", 7}, .title = {"SSH brute force", 15}, .status = {"stable", 6}, .service = {"sshd", 4}, .level = CF_LEVEL_MEDIUM, .n_tags = 2, .tags = tags_brute};
static const struct cf_rule_info shell = {.id = {"r-shell", 7}, .title = {"Webshell", 8}, .status = {"stable", 6}, .category = {"webserver", 9}, .level = CF_LEVEL_HIGH, .n_tags = 2, .tags = tags_shell};
static const struct cf_rule_info proc = {.id = {"r-proc", 6}, .title = {"Process", 7}, .status = {"experimental", 12}, .category = {"process_creation", 16}, .level = CF_LEVEL_LOW};

#define T0 (INT64_C(1763715600) * CF_US_PER_S)

static struct cf_hit hit(struct world *w, const struct cf_rule_info *rule, int64_t t, const char *src, const char *host, const char *user, const char *org)
{
    struct cf_event *ev = cf_event_new(&w->a);

    ev->time_us = t;
    if (src)
        cf_event_set(ev, CF_F_SOURCE_IP, cf_str_c(src));
    if (host)
        cf_event_set(ev, CF_F_HOST_NAME, cf_str_c(host));
    if (user)
        cf_event_set(ev, CF_F_USER_NAME, cf_str_c(user));
    if (org)
        cf_event_set(ev, CF_F_ORGANIZATION_ID, cf_str_c(org));
    return (struct cf_hit){.rule = rule, .ev = ev};
}

static void fold(struct world *w, const struct cf_hit *h, size_t n, const char *token)
{
    struct cf_error err = {0};
    cf_str ids[64];

    for (size_t i = 0; i < n && i < 64; i++)
        ids[i] = cf_arena_printf(&w->a, "%s-%zu", token, i);
    ok(cf_incident_fold(w->e, h, n <= 64 ? ids : NULL, n, cf_str_c(token), &err), &err);
}

static void folds_by_rule_entity_and_time(void **state)
{
    struct world *w = *state;
    struct cf_hit h[4] = {hit(w, &brute, T0, "203.0.113.9", "web1", "root", "o1"), hit(w, &brute, T0 + CF_US_PER_S, "203.0.113.9", "web2", "bob", "o1"),
                          hit(w, &brute, T0, "203.0.113.10", "web1", "root", "o1"), hit(w, &brute, T0, "203.0.113.9", "web1", "root", "o2")};
    char buf[256];

    fold(w, h, 4, "b1");
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM alert"), 3); /* two addresses, two organisations */
    assert_int_equal(sql_number(w->r.db, "SELECT count FROM alert WHERE entity_value = '203.0.113.9' AND org_id = 'o1'"), 2);
    h[0] = hit(w, &brute, T0 + INC_FOLD_WINDOW_US, "203.0.113.9", "web1", "root", "o1"); /* window slides with the last hit */
    fold(w, h, 1, "b2");
    assert_int_equal(sql_number(w->r.db, "SELECT count FROM alert WHERE entity_value = '203.0.113.9' AND org_id = 'o1'"), 3);
    h[0] = hit(w, &brute, T0 + 3 * INC_FOLD_WINDOW_US, "203.0.113.9", "web1", "root", "o1");
    fold(w, h, 1, "b3");
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM alert WHERE entity_value = '203.0.113.9' AND org_id = 'o1'"), 2);
    sql_text(w->r.db, "SELECT events_first FROM alert WHERE count = 3", buf, sizeof(buf));
    assert_string_equal(buf, "[\"b1-0\",\"b1-1\",\"b2-0\"]");
    sql_text(w->r.db, "SELECT tactics || techniques FROM alert WHERE count = 3", buf, sizeof(buf));
    assert_string_equal(buf, "[\"credential-access\"][\"T1110\"]");
}

static void one_batch_may_span_days(void **state)
{
    struct world *w = *state;
    struct cf_hit h[3] = {hit(w, &proc, T0, NULL, "pc7", NULL, "o1"), hit(w, &proc, T0 + CF_US_PER_DAY, NULL, "pc7", NULL, "o1"),
                          hit(w, &proc, T0 + 60 * CF_US_PER_S, NULL, "pc7", NULL, "o1")};

    fold(w, h, 3, "hist");
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM alert"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT MAX(count) FROM alert"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM alert WHERE entity_type = 'host'"), 2);
}

static void token_seen_before_changes_nothing(void **state)
{
    struct world *w = *state;
    struct cf_hit h = hit(w, &shell, T0, "198.51.100.1", "web1", NULL, "o1");

    fold(w, &h, 1, "seg1:4096");
    fold(w, &h, 1, "seg1:4096");
    assert_int_equal(sql_number(w->r.db, "SELECT count FROM alert"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM incident_event WHERE kind = 'alert'"), 1);
    fold(w, &h, 1, "seg1:8192");
    assert_int_equal(sql_number(w->r.db, "SELECT count FROM alert"), 2);
}

static void keeps_first_and_last_ids(void **state)
{
    struct world *w = *state;
    struct cf_hit h[64];
    char buf[2048];

    for (int i = 0; i < 64; i++)
        h[i] = hit(w, &brute, T0 + i * CF_US_PER_S, "203.0.113.9", NULL, NULL, NULL);
    fold(w, h, 64, "x");
    fold(w, h, 3, "y");
    assert_int_equal(sql_number(w->r.db, "SELECT count FROM alert"), 67);
    sql_text(w->r.db, "SELECT events_first FROM alert", buf, sizeof(buf));
    assert_non_null(strstr(buf, "\"x-0\""));
    assert_non_null(strstr(buf, "\"x-19\"]"));
    sql_text(w->r.db, "SELECT events_last FROM alert", buf, sizeof(buf));
    assert_null(strstr(buf, "\"x-46\""));
    assert_non_null(strstr(buf, "[\"x-47\""));
    assert_non_null(strstr(buf, "\"x-63\",\"y-0\",\"y-1\",\"y-2\"]"));
    sql_text(w->r.db, "SELECT org_id FROM alert", buf, sizeof(buf)); /* unknown organisation: the city's, not everybody's */
    assert_string_equal(buf, "root");
}

static void score_is_severity_times_worth_times_confidence(void **state)
{
    struct world *w = *state;
    struct cf_hit h = hit(w, &shell, T0, "198.51.100.1", NULL, NULL, NULL);

    run_sql(w->r.db, "INSERT INTO asset (id, org_id, name, ip, importance) VALUES ('as1', 'o9', 'portal', '10.1.1.1', 5)");
    cf_event_set((struct cf_event *)(uintptr_t)h.ev, CF_F_DESTINATION_IP, CF_STR("10.1.1.1"));
    fold(w, &h, 1, "s");
    assert_int_equal(sql_number(w->r.db, "SELECT score FROM alert"), 71); /* 75 x 1.0 x 0.95 */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM alert WHERE asset_id = 'as1' AND org_id = 'o9'"), 1);
    assert_int_equal(inc_score(CF_LEVEL_CRITICAL, 5, 1), 100);
    assert_int_equal(inc_score(CF_LEVEL_INFO, 0, 0), 0);
    assert_int_equal(inc_score(CF_LEVEL_HIGH, 99, 2), 53);
    assert_true(inc_confidence(&shell, 1000000) <= 1.0);
    assert_true(inc_confidence(&proc, 1) < inc_confidence(&proc, 8));
}

static void exceptions_hide_count_and_expire(void **state)
{
    struct world *w = *state;
    struct cf_hit h[3] = {hit(w, &brute, T0, "10.9.1.2", "scanner", NULL, "o1"), hit(w, &brute, T0, "10.9.1.2", "scanner", NULL, "o2"),
                          hit(w, &shell, T0, "10.9.1.2", "scanner", NULL, "o1")};

    run_sql(w->r.db, "INSERT INTO alert_exception (id, org_id, match_org, rule_id, conditions, note, created_name, created_us, expires_us) VALUES "
               "('x1', 'o1', 'o1', 'r-brute', '{\"source.ip\":{\"op\":\"cidr\",\"value\":\"10.9.0.0/16\"},\"host.name\":{\"op\":\"contains\",\"value\":\"SCAN\"}}', 'n', 'u', 1, NULL),"
               "('x2', 'o1', NULL, NULL, '{\"host.name\":\"scanner\"}', 'n', 'u', 1, 5),"
               "('x3', 'o1', NULL, NULL, '{\"host.name\":\"other\"}', 'n', 'u', 1, NULL),"
               "('x4', 'o1', NULL, NULL, 'not json', 'n', 'u', 1, NULL)");
    cf_incident_exceptions_changed(w->e);
    fold(w, h, 3, "e");
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM alert"), 2); /* o2's and the other rule's; x2 is over, x4 is broken and hides nothing */
    assert_int_equal(sql_number(w->r.db, "SELECT hits FROM alert_exception WHERE id = 'x1'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT SUM(hits) FROM alert_exception"), 1);
}

static void groups_by_shared_entities_and_progress(void **state)
{
    struct world *w = *state;
    struct cf_hit b = hit(w, &brute, T0, "198.51.100.7", "web1", "alice", "o1"), s = hit(w, &shell, T0 + 600 * CF_US_PER_S, "198.51.100.7", "web1", NULL, "o1"),
                  other = hit(w, &shell, T0, "192.0.2.77", "db9", NULL, "o1"), foreign = hit(w, &shell, T0, "198.51.100.7", "web1", NULL, "o2"),
                  late = hit(w, &shell, T0 + 40 * 3600 * CF_US_PER_S, "198.51.100.7", "web1", NULL, "o1");
    char buf[256];

    fold(w, &b, 1, "1"); /* a medium alert alone opens nothing */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM incident"), 0);
    fold(w, &s, 1, "2");
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM incident"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT alert_count FROM incident"), 2);
    sql_text(w->r.db, "SELECT tactics FROM incident", buf, sizeof(buf));
    assert_string_equal(buf, "[\"persistence\",\"credential-access\"]");
    /* the strongest alert 75 x 0.7 x 0.95 = 50, a second tactic 6, a second rule 2 */
    assert_int_equal(sql_number(w->r.db, "SELECT score FROM incident"), 58);
    sql_text(w->r.db, "SELECT number FROM incident", buf, sizeof(buf));
    assert_true(strncmp(buf, "SJ-", 3) == 0 && strlen(buf) == 13);
    fold(w, &other, 1, "3");
    fold(w, &foreign, 1, "4"); /* another organisation's: never mixed */
    fold(w, &late, 1, "5");    /* outside the window */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM incident"), 4);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(DISTINCT number) FROM incident"), 4);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM alert WHERE incident_id IS NULL"), 0);
}

static void shared_account_alone_joins_only_with_progress(void **state)
{
    struct world *w = *state;
    struct cf_hit a = hit(w, &shell, T0, "198.51.100.1", "h1", "alice", "o1"), same = hit(w, &shell, T0 + 1, "198.51.100.2", "h2", "alice", "o1"),
                  root1 = hit(w, &shell, T0, "198.51.100.3", "h3", "root", "o1"), next = hit(w, &brute, T0 + 2, "198.51.100.4", "h4", "alice", "o1");

    fold(w, &a, 1, "1");
    fold(w, &same, 1, "2"); /* same tactic, only the account in common: weight 2 */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM incident"), 2);
    fold(w, &root1, 1, "3");
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM incident"), 3);
    fold(w, &next, 1, "4"); /* the account plus a new tactic */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM incident"), 3);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM alert WHERE rule_id = 'r-brute' AND incident_id IS NOT NULL"), 1);
}

static void closed_alert_reopens_ignored_stays_quiet(void **state)
{
    struct world *w = *state;
    struct cf_hit h = hit(w, &brute, T0, "203.0.113.1", NULL, NULL, NULL), i = hit(w, &brute, T0, "203.0.113.2", NULL, NULL, NULL);
    char buf[64];

    fold(w, &h, 1, "1");
    fold(w, &i, 1, "2");
    run_sql(w->r.db, "UPDATE alert SET status = 'closed' WHERE entity_value = '203.0.113.1'");
    run_sql(w->r.db, "UPDATE alert SET status = 'ignored' WHERE entity_value = '203.0.113.2'");
    fold(w, &h, 1, "3");
    fold(w, &i, 1, "4");
    sql_text(w->r.db, "SELECT status FROM alert WHERE entity_value = '203.0.113.1'", buf, sizeof(buf));
    assert_string_equal(buf, "handling");
    sql_text(w->r.db, "SELECT status FROM alert WHERE entity_value = '203.0.113.2'", buf, sizeof(buf));
    assert_string_equal(buf, "ignored");
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM alert_history WHERE action = 'reopen' AND user_name = 'system'"), 1);
}

static void entity_follows_the_rule(void **state)
{
    struct world *w = *state;
    static cf_str tag_user[] = {{"entity.user", 11}};
    const struct cf_rule_info by_user = {.id = {"u", 1}, .n_tags = 1, .tags = tag_user};
    struct cf_hit h = hit(w, &brute, T0, "203.0.113.1", "h", "eve", NULL), none = hit(w, &brute, T0, NULL, NULL, NULL, NULL);

    assert_string_equal(inc_entity_of(&h).type, "ip");
    h.rule = &proc;
    assert_string_equal(inc_entity_of(&h).type, "host");
    h.rule = &by_user;
    assert_true(cf_str_eqz(inc_entity_of(&h).value, "eve"));
    assert_string_equal(inc_entity_of(&none).type, "none");
    none.group = CF_STR("user=x");
    assert_string_equal(inc_entity_of(&none).type, "group");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(folds_by_rule_entity_and_time), T(one_batch_may_span_days), T(token_seen_before_changes_nothing), T(keeps_first_and_last_ids),
        T(score_is_severity_times_worth_times_confidence), T(exceptions_hide_count_and_expire), T(groups_by_shared_entities_and_progress),
        T(shared_account_alone_joins_only_with_progress), T(closed_alert_reopens_ignored_stays_quiet), T(entity_follows_the_rule),
    };

    return records_both("incident fold", tests);
}
