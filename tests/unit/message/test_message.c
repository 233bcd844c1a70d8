/* SPDX-License-Identifier: Apache-2.0
 * Messages: what is written with the caller's transaction, how mails look, how calls are signed, retries. */
#include "records.h"

#include "directory/service.h"
#include "message/message_int.h"

struct world {
    struct records r;
    struct cf_messenger *m;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct cf_error err = {0};
    /* nothing listens on port 1: every delivery fails */
    struct cf_messenger_options o = {.content_dir = CF_TEST_ROOT "/content", .smtp_url = CF_STR("smtp://127.0.0.1:1"), .smtp_from = CF_STR("cf@example.org"),
                                     .webhook_url = CF_STR("http://127.0.0.1:1/robot"), .max_attempts = 3};

    records_open(&w->r);
    records_migrate(w->r.db, directory);
    records_migrate(w->r.db, message);
    run_sql(w->r.db, "INSERT INTO app_user (id, name, display_name, org_id, email, phone, locale, active, created_us, updated_us) VALUES "
               "('u1', 'a', 'A', 'o', 'a@example.org', '13900000001', NULL, 1, 1, 1), ('u2', 'b', 'B', 'o', NULL, NULL, 'en-GB', 1, 1, 1), "
               "('u3', 'c', 'C', 'o', 'c@example.org', NULL, NULL, 0, 1, 1)");
    o.db = w->r.db;
    ok(cf_messenger_new(&o, &w->m, &err), &err);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    cf_messenger_free(w->m);
    records_close(&w->r);
    free(w);
    return 0;
}

static void send(struct world *w, bool commit)
{
    const cf_str users[] = {CF_STR("u1"), CF_STR("u2"), CF_STR("u3"), CF_STR("u1"), CF_STR("nobody")};
    const struct cf_msg_var vars[] = {{"title", CF_STR("标题 {number}")}, {"number", CF_STR("7")}, {"level", CF_STR("高危")}, {"issuer", CF_STR("X")}, {"org", CF_STR("Y")}, {"due", CF_STR("-")}};
    const struct cf_msg msg = {.template = CF_STR("notice-issued"), .users = users, .n_users = 5, .vars = vars, .n_vars = 6, .href = CF_STR("/x")};
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;

    ok(cf_tx_begin(w->r.db, CF_TX_WRITE, &tx, &err), &err);
    ok(cf_messenger_send(w->m, tx, &msg, &err), &err);
    if (commit)
        ok(cf_tx_commit(&tx, &err), &err);
    cf_tx_rollback(&tx);
}

static void each_person_once_in_his_language(void **state)
{
    struct world *w = *state;

    send(w, true);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message"), 2); /* u1 once, u2; the suspended and the unknown get nothing */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE user_id = 'u2' AND title LIKE 'New notice%'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE user_id = 'u1' AND title = '新通报待签收：标题 {number}'"), 1); /* values are not filled again */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM outbox WHERE channel = 'email' AND target = 'a@example.org'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM outbox WHERE channel = 'webhook' AND target = '13900000001'"), 1);
}

static void nothing_without_commit(void **state)
{
    struct world *w = *state;

    send(w, false);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message"), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM outbox"), 0);
}

static void failed_deliveries_wait_longer_and_end(void **state)
{
    struct world *w = *state;
    struct cf_error err = {0};
    size_t sent, failed;
    int64_t now, first, second;

    send(w, true);
    now = cf_now_us() + CF_US_PER_S;
    ok(cf_messenger_deliver(w->m, now, &sent, &failed, &err), &err);
    assert_int_equal(sent, 0);
    assert_int_equal(failed, 2);
    first = sql_number(w->r.db, "SELECT MIN(next_us) FROM outbox") - now;
    assert_int_equal(first, 10 * CF_US_PER_S);
    ok(cf_messenger_deliver(w->m, now + CF_US_PER_S, &sent, &failed, &err), &err);
    assert_int_equal(failed, 0); /* not due yet */
    now += 11 * CF_US_PER_S;
    ok(cf_messenger_deliver(w->m, now, &sent, &failed, &err), &err);
    second = sql_number(w->r.db, "SELECT MIN(next_us) FROM outbox") - now;
    assert_int_equal(second, 20 * CF_US_PER_S);
    ok(cf_messenger_deliver(w->m, now + 60 * CF_US_PER_S, &sent, &failed, &err), &err);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM outbox WHERE state = 'failed' AND attempts = 3 AND last_error <> ''"), 2);
    ok(cf_messenger_deliver(w->m, now + 9999 * CF_US_PER_S, &sent, &failed, &err), &err);
    assert_int_equal(failed, 0);
}

static void mails_are_well_formed_and_cannot_be_bent(void **state)
{
    struct cf_buf b;
    const char *text, *p;

    (void)state;
    cf_buf_init(&b, 0);
    cf_mail_compose(CF_STR("a@b.c"), CF_STR("x@y.z\r\nBcc: evil@e.e"), CF_STR("关于官网漏洞的通报，请贵单位于三日内完成整改并反馈处置结果\r\nX-Evil: 1"), CF_STR("正文"), INT64_C(1763715600000000),
                    CF_STR("id"), &b);
    text = cf_buf_cstr(&b);
    assert_null(strstr(text, "\nBcc:"));
    assert_null(strstr(text, "\nX-Evil"));
    assert_non_null(strstr(text, "Date: Fri, 21 Nov 2025 09:00:00 +0000\r\n"));
    assert_non_null(strstr(text, "\r\n\r\n5q2j5paH\r\n")); /* base64 of the body */
    for (p = text; *p; p++) { /* every line ends in CRLF and is short enough */
        const char *nl = strchr(p, '\n');

        assert_non_null(nl);
        assert_true(nl > p && nl[-1] == '\r' && nl - p < 200);
        p = nl;
    }
    cf_buf_release(&b);
}

static void calls_are_signed_like_the_robots_want(void **state)
{
    char sign[64];

    (void)state;
    /* printf "1577262236757\nthis is secret" piped to openssl dgst -sha256 -hmac "this is secret" -binary, base64 */
    assert_true(cf_webhook_sign(CF_STR("this is secret"), INT64_C(1577262236757), sign)); 
    assert_string_equal(sign, "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM=");
}

static void unknown_templates_are_refused(void **state)
{
    struct world *w = *state;
    const struct cf_msg msg = {.template = CF_STR("nothing")};
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;

    ok(cf_tx_begin(w->r.db, CF_TX_WRITE, &tx, &err), &err);
    assert_int_equal(cf_messenger_send(w->m, tx, &msg, &err), CF_ENOENT);
    cf_tx_rollback(&tx);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(each_person_once_in_his_language), T(nothing_without_commit), T(failed_deliveries_wait_longer_and_end),
        cmocka_unit_test(mails_are_well_formed_and_cannot_be_bent), cmocka_unit_test(calls_are_signed_like_the_robots_want), T(unknown_templates_are_refused),
    };

    return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
