/* SPDX-License-Identifier: Apache-2.0
 * What people do with alerts and incidents, and the ledger's sums, on SQLite and PostgreSQL. */
#include "records.h"

#include "asset/asset.h"
#include "directory/service.h"
#include "incident/triage.h"
#include "message/message.h"
#include "notice/notice.h"
struct world {
    struct records r;
    struct cf_incident_engine *e;
    struct cf_form_set *forms;
    struct cf_messenger *m;
    struct cf_workflow_engine *w;
    struct cf_arena a;
    char made[37], msg[480];
};

#define P(x) {x, sizeof(x) - 1}
static const cf_str perms[] = {P("alert.write"), P("incident.write"), P("notice.create"), P("notice.read")}, unit_perms[] = {P("alert.write"), P("notice.read")};
static const struct cf_principal city = {.user_id = P("u1"), .user_name = P("an"), .org_id = P("root"), .org_path = P("/root/"), .scope = CF_SCOPE_ALL, .n_perms = 4, .perms = perms};
static const struct cf_principal unit = {.user_id = P("u2"), .user_name = P("of"), .org_id = P("oa"), .org_path = P("/root/oa/"), .scope = CF_SCOPE_SUBTREE, .n_perms = 2, .perms = unit_perms};
static const struct cf_rule_info rule_a = {.id = P("ra"), .title = P("A"), .title_zh = P("甲"), .status = P("stable"), .level = CF_LEVEL_HIGH};
static const struct cf_rule_info rule_b = {.id = P("rb"), .title = P("B"), .status = P("stable"), .level = CF_LEVEL_HIGH};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct cf_error err = {0};
    struct cf_messenger_options mo = {.content_dir = CF_TEST_ROOT "/content"};
    struct cf_workflow_options wo = {.content_dir = CF_TEST_ROOT "/content"};

    records_open(&w->r);
    records_migrate(w->r.db, directory);
    records_migrate(w->r.db, incident);
    records_migrate(w->r.db, workflow);
    records_migrate(w->r.db, message);
    records_migrate(w->r.db, asset);
    run_sql(w->r.db, "INSERT INTO organisation (id, name, parent_id, path, created_us, updated_us) VALUES ('root', 'R', NULL, '/root/', 1, 1), ('oa', 'A', 'root', '/root/oa/', 1, 1), "
               "('ob', 'B', 'root', '/root/ob/', 1, 1)");
    run_sql(w->r.db, "INSERT INTO app_user (id, name, display_name, org_id, created_us, updated_us) VALUES ('u1', 'an', 'An', 'root', 1, 1), ('u2', 'of', 'Of', 'oa', 1, 1)");
    ok(cf_form_set_load(CF_TEST_ROOT "/content", &w->forms, &err), &err);
    mo.db = wo.db = w->r.db;
    ok(cf_messenger_new(&mo, &w->m, &err), &err);
    wo.forms = w->forms;
    wo.messenger = w->m;
    wo.data_dir = w->r.dir;
    ok(cf_workflow_engine_new(&wo, &w->w, &err), &err);
    ok(cf_incident_engine_new(w->r.db, NULL, &w->e, &err), &err);
    cf_arena_init(&w->a, 0, 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    cf_incident_engine_free(w->e);
    cf_workflow_engine_free(w->w);
    cf_messenger_free(w->m);
    cf_form_set_free(w->forms);
    cf_arena_release(&w->a);
    records_close(&w->r);
    free(w);
    return 0;
}

static void fold(struct world *w, const struct cf_rule_info *rule, const char *src, const char *host, const char *org, const char *token)
{
    struct cf_event *ev = cf_event_new(&w->a);
    struct cf_hit h = {.rule = rule, .ev = ev};
    struct cf_error err = {0};
    cf_str id = cf_str_c(token);

    ev->time_us = cf_now_us();
    cf_event_set(ev, CF_F_SOURCE_IP, cf_str_c(src));
    cf_event_set(ev, CF_F_HOST_NAME, cf_str_c(host));
    cf_event_set(ev, CF_F_ORGANIZATION_ID, cf_str_c(org));
    ok(cf_incident_fold(w->e, &h, &id, 1, id, &err), &err);
}

static int act(struct world *w, const struct cf_principal *who, bool incident, const char *id, const char *body)
{
    json_t *j = json_loads(body, 0, NULL);
    struct cf_work_effects fx = {0};
    struct cf_error err = {0};
    struct inc_ctx c = {.e = w->e, .w = w->w, .m = w->m, .a = &w->a, .who = who, .fx = &fx, .err = &err};
    int r;

    assert_non_null(j);
    ok(cf_tx_begin(w->r.db, CF_TX_WRITE, &c.tx, &err), &err);
    r = incident ? inc_incident_act(&c, cf_str_c(id), j) : inc_alert_act(&c, cf_str_c(id), j);
    if (r == 0)
        ok(cf_tx_commit(&c.tx, &err), &err);
    cf_tx_rollback(&c.tx);
    cf_work_forget(&fx);
    if (r == CF_EDB)
        fail_msg("%s: %s", body, err.msg);
    if (r == 0 && c.exceptions_changed)
        cf_incident_exceptions_changed(w->e);
    memcpy(w->made, c.made_id, 37);
    (void)snprintf(w->msg, sizeof(w->msg), "%s", err.msg);
    json_decref(j);
    return r;
}

/* requirements 2.1: what is possible in which state, and nothing else */
static void every_state_and_action(void **state)
{
    static const char *const states[] = {"new", "handling", "confirmed", "false_positive", "ignored", "converted", "closed"};
    static const struct {
        const char *action, *to[7]; /* NULL: refused */
    } t[] = {
        {"take", {"handling"}},
        {"confirm", {"confirmed", "confirmed"}},
        {"false_positive", {"false_positive", "false_positive"}},
        {"ignore", {"ignored", "ignored"}},
        {"convert_incident", {NULL, NULL, "converted"}},
        {"close", {NULL, NULL, "closed", NULL, NULL, "closed"}},
        {"reopen", {NULL, NULL, NULL, "handling", "handling", NULL, "handling"}},
        {"comment", {"new", "handling", "confirmed", "false_positive", "ignored", "converted", "closed"}},
    };
    struct world *w = *state;
    char id[64], sql[200], body[100], got[40];

    fold(w, &rule_a, "192.0.2.1", "h", "oa", "t");
    sql_text(w->r.db, "SELECT id FROM alert", id, sizeof(id));
    for (size_t k = 0; k < sizeof(t) / sizeof(t[0]); k++)
        for (int i = 0; i < 7; i++) {
            int r;

            (void)snprintf(sql, sizeof(sql), "UPDATE alert SET status = '%s'", states[i]);
            run_sql(w->r.db, sql);
            (void)snprintf(body, sizeof(body), "{\"action\":\"%s\",\"note\":\"because\"}", t[k].action);
            r = act(w, &city, false, id, body);
            sql_text(w->r.db, "SELECT status FROM alert", got, sizeof(got));
            if (r != (t[k].to[i] ? 0 : CF_ECONFLICT) || strcmp(got, t[k].to[i] ? t[k].to[i] : states[i]) != 0)
                fail_msg("%s in %s: %d, then %s (%s)", t[k].action, states[i], r, got, w->msg);
        }
    assert_int_equal(act(w, &city, false, id, "{\"action\":\"comment\"}"), CF_EINVAL);
    assert_int_equal(act(w, &city, false, id, "{}"), CF_EINVAL);
    sql_text(w->r.db, "SELECT title || '/' || title_en FROM alert", got, sizeof(got));
    assert_string_equal(got, "甲/A");
}

static void units_act_on_their_own(void **state)
{
    struct world *w = *state;
    char id[64];

    fold(w, &rule_a, "192.0.2.1", "h", "ob", "t");
    sql_text(w->r.db, "SELECT id FROM alert", id, sizeof(id));
    assert_int_equal(act(w, &unit, false, id, "{\"action\":\"take\"}"), CF_ENOENT);
    assert_int_equal(act(w, &city, false, id, "{\"action\":\"assign\",\"owner\":\"nobody\"}"), CF_EINVAL);
    assert_int_equal(act(w, &city, false, id, "{\"action\":\"assign\",\"owner\":\"u2\"}"), 0);
    sql_text(w->r.db, "SELECT status || owner_id FROM alert", id, sizeof(id));
    assert_string_equal(id, "handlingu2");
    sql_text(w->r.db, "SELECT COUNT(*) || '' FROM message WHERE user_id = 'u2' AND kind = 'alert-assigned'", id, sizeof(id));
    assert_string_equal(id, "1");
}

static void a_units_exception_is_for_itself(void **state)
{
    struct world *w = *state;
    char id[64], n[40];

    fold(w, &rule_a, "192.0.2.1", "h", "oa", "1");
    sql_text(w->r.db, "SELECT id FROM alert", id, sizeof(id));
    assert_int_equal(act(w, &unit, false, id, "{\"action\":\"false_positive\",\"note\":\"x\",\"exception\":{\"fields\":{\"source.ip\":\"192.0.2.1\"},\"expires_at\":\"2001-01-01T00:00:00Z\"}}"),
                     CF_EINVAL);
    assert_int_equal(act(w, &unit, false, id, "{\"action\":\"false_positive\",\"note\":\"x\",\"exception\":{\"fields\":{\"source.ip\":\"192.0.2.1\"}}}"), 0);
    fold(w, &rule_a, "192.0.2.1", "h", "oa", "2"); /* hidden */
    fold(w, &rule_a, "192.0.2.1", "h", "ob", "3"); /* another unit's: not hidden */
    sql_text(w->r.db, "SELECT SUM(count) || '' FROM alert", n, sizeof(n));
    assert_string_equal(n, "2");
    sql_text(w->r.db, "SELECT hits || '' FROM alert_exception", n, sizeof(n));
    assert_string_equal(n, "1");
}

static void preview_counts_what_would_be_hidden(void **state)
{
    struct world *w = *state;
    struct cf_error err = {0};
    struct inc_ctx c = {.a = &w->a, .who = &city, .err = &err};
    char id[40];
    json_t *fields = json_loads("{\"source.ip\":{\"op\":\"cidr\",\"value\":\"192.0.2.0/24\"},\"host.name\":{\"op\":\"contains\",\"value\":\"WEB\"}}", 0, NULL), *j;

    fold(w, &rule_a, "192.0.2.1", "web1", "oa", "1");
    fold(w, &rule_a, "192.0.2.2", "db1", "oa", "2");
    fold(w, &rule_b, "192.0.2.3", "web1", "oa", "3");
    ok(cf_tx_begin(w->r.db, CF_TX_READ, &c.tx, &err), &err);
    j = inc_exception_preview(&c, CF_STR("ra"), CF_STR_NONE, fields, 7);
    assert_int_equal(json_integer_value(json_object_get(j, "checked")), 2);
    assert_int_equal(json_integer_value(json_object_get(j, "hidden")), 1);
    assert_int_equal(json_integer_value(json_object_get(j, "confirmed")), 0);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(j, "examples"), 0), "status")), "new");
    json_decref(j);
    cf_tx_rollback(&c.tx);
    sql_text(w->r.db, "SELECT id FROM alert WHERE host = 'web1' AND rule_id = 'ra'", id, sizeof(id));
    assert_int_equal(act(w, &city, false, id, "{\"action\":\"confirm\",\"note\":\"real\"}"), 0);
    ok(cf_tx_begin(w->r.db, CF_TX_READ, &c.tx, &err), &err);
    j = inc_exception_preview(&c, CF_STR("ra"), CF_STR_NONE, fields, 7); /* what people found to be real is said */
    assert_int_equal(json_integer_value(json_object_get(j, "confirmed")), 1);
    json_decref(j);
    j = inc_exception_preview(&c, CF_STR_NONE, CF_STR("ob"), fields, 7);
    assert_int_equal(json_integer_value(json_object_get(j, "checked")), 0);
    json_decref(j);
    cf_tx_rollback(&c.tx);
    json_decref(fields);
}

static void merge_and_split(void **state)
{
    struct world *w = *state;
    char one[40], two[40], other[40], alert[40], body[200], n[40];

    fold(w, &rule_a, "192.0.2.1", "h1", "oa", "1");
    fold(w, &rule_b, "192.0.2.2", "h2", "oa", "2");
    fold(w, &rule_b, "192.0.2.3", "h3", "ob", "3");
    sql_text(w->r.db, "SELECT incident_id FROM alert WHERE host = 'h1'", one, sizeof(one));
    sql_text(w->r.db, "SELECT incident_id FROM alert WHERE host = 'h2'", two, sizeof(two));
    sql_text(w->r.db, "SELECT incident_id FROM alert WHERE host = 'h3'", other, sizeof(other));
    sql_text(w->r.db, "SELECT id FROM alert WHERE host = 'h2'", alert, sizeof(alert));
    (void)snprintf(body, sizeof(body), "{\"action\":\"merge\",\"incident_ids\":[\"%s\"]}", other);
    assert_int_equal(act(w, &city, true, one, body), CF_EINVAL);
    (void)snprintf(body, sizeof(body), "{\"action\":\"merge\",\"incident_ids\":[\"%s\"]}", one);
    assert_int_equal(act(w, &city, true, one, body), CF_EINVAL);
    (void)snprintf(body, sizeof(body), "{\"action\":\"merge\",\"incident_ids\":[\"%s\"],\"note\":\"same\"}", two);
    assert_int_equal(act(w, &city, true, one, body), 0);
    assert_int_equal(act(w, &city, true, one, body), CF_ECONFLICT);
    sql_text(w->r.db, "SELECT MAX(alert_count) || '/' || COUNT(*) FROM incident WHERE status <> 'merged'", n, sizeof(n));
    assert_string_equal(n, "2/2");
    (void)snprintf(body, sizeof(body), "{\"action\":\"split\",\"alert_ids\":[\"%s\"]}", alert);
    assert_int_equal(act(w, &city, true, one, body), 0);
    sql_text(w->r.db, "SELECT MAX(alert_count) || '/' || COUNT(*) FROM incident WHERE status <> 'merged'", n, sizeof(n));
    assert_string_equal(n, "1/3");
    (void)snprintf(body, sizeof(body), "SELECT COUNT(*) || '' FROM incident_entity WHERE incident_id = '%s' AND value = 'h2'", one);
    sql_text(w->r.db, body, n, sizeof(n));
    assert_string_equal(n, "0"); /* its entities went with it */
    assert_int_equal(act(w, &city, true, one, "{\"action\":\"close\"}"), CF_EINVAL);
    assert_int_equal(act(w, &city, true, one, "{\"action\":\"close\",\"note\":\"done\"}"), 0);
    assert_int_equal(act(w, &city, true, one, "{\"action\":\"take\"}"), CF_ECONFLICT);
}

static void conversion_joins_an_open_notice_and_is_counted(void **state)
{
    struct world *w = *state;
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    char id[40], n[60];
    json_t *j;

    fold(w, &rule_a, "192.0.2.1", "h1", "oa", "1");
    sql_text(w->r.db, "SELECT id FROM alert", id, sizeof(id));
    assert_int_equal(act(w, &city, false, id, "{\"action\":\"confirm\",\"note\":\"yes\"}"), 0);
    assert_int_equal(act(w, &city, false, id, "{\"action\":\"convert_notice\"}"), 0);
    sql_text(w->r.db, "SELECT title || '|' || level || '|' || source_type FROM work_item", n, sizeof(n));
    assert_string_equal(n, "关于甲的通报|high|alert");
    sql_text(w->r.db, "SELECT incident_id FROM alert", id, sizeof(id));
    assert_int_equal(act(w, &city, true, id, "{\"action\":\"convert_notice\"}"), 0);
    sql_text(w->r.db, "SELECT COUNT(*) || '' FROM work_item", n, sizeof(n));
    assert_string_equal(n, "1"); /* the same problem of the same unit */
    run_sql(w->r.db, "INSERT INTO work_item (id, kind, version, title, state, done, level, org_id, issuer_org_id, root_id, created_us, updated_us, entered_us, issued_us, signed_us, "
               "fed_back_us, finished_us, overdue_count, data) VALUES "
               "('r1', 'notice-receipt', 1, 't', 'closed', 1, 'high', 'oa', 'root', 'r1', 1, 1, 1, 1000, 3600001000, 7200001000, 36000001000, 1, '{}'), "
               "('r2', 'notice-receipt', 1, 't', 'issued', 0, 'low', 'oa', 'root', 'r2', 1, 1, 1, 2000, NULL, NULL, NULL, 0, '{}'), "
               "('r3', 'notice-receipt', 1, 't', 'ended', 1, 'low', 'ob', 'root', 'r3', 1, 1, 1, 3000, NULL, NULL, 5000, 0, '{}')");
    ok(cf_tx_begin(w->r.db, CF_TX_READ, &tx, &err), &err);
    j = cf_notice_statistics(tx, &city, 0, 1000000, &w->a, &err);
    if (!j)
        fail_msg("%s", err.msg);
    assert_int_equal(json_integer_value(json_object_get(j, "sent")), 3);
    assert_int_equal(json_integer_value(json_object_get(j, "closed")), 1);
    assert_int_equal(json_integer_value(json_object_get(j, "ever_overdue")), 1);
    assert_true(json_real_value(json_object_get(j, "rectification_rate")) == 0.5);
    assert_true(json_real_value(json_object_get(j, "mean_close_hours")) == 10.0);
    assert_true(json_real_value(json_object_get(j, "mean_sign_hours")) == 1.0);
    assert_string_equal(json_string_value(json_object_get(json_object_get(json_array_get(json_object_get(j, "units"), 0), "org"), "id")), "oa");
    json_decref(j);
    j = cf_notice_statistics(tx, &unit, 0, 1000000, &w->a, &err);
    assert_int_equal(json_integer_value(json_object_get(j, "sent")), 2); /* not the other unit's */
    assert_int_equal(json_array_size(json_object_get(j, "units")), 1);
    json_decref(j);
    cf_tx_rollback(&tx);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(every_state_and_action), T(units_act_on_their_own), T(a_units_exception_is_for_itself), T(preview_counts_what_would_be_hidden), T(merge_and_split),
        T(conversion_joins_an_open_notice_and_is_counted),
    };

    return records_both("triage", tests);
}
