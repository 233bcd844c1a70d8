/* SPDX-License-Identifier: Apache-2.0
 * The hash chain: what is written verifies, and every kind of tampering shows. On SQLite and PostgreSQL. */
#include "records.h"

#include <pthread.h>

#include "audit/audit.h"

static struct records rec;
static char anchor[96];

static int fresh(void **state)
{
    (void)state;
    records_open(&rec);
    records_migrate(rec.db, audit);
    (void)snprintf(anchor, sizeof anchor, "%s/anchor", rec.dir);
    return 0;
}

static int end(void **state)
{
    (void)state;
    records_close(&rec);
    return 0;
}

static void write_entries(int n)
{
    struct cf_error err = {0};
    struct cf_audit *a = NULL;
    json_t *after = json_pack("{s:s,s:i}", "name", "\xe5\x9f\x8e\xe9\x98\xb2 \"x\"\n", "level", 3);

    ok(cf_audit_open(rec.db, anchor, &a, &err), &err);
    for (int i = 0; i < n; i++) {
        struct cf_audit_entry e = {.user_id = CF_STR("u1"), .user_name = CF_STR("admin"), .peer = CF_STR("203.0.113.9"), .action = CF_STR("POST /api/v1/users"),
                                   .object = i % 2 ? CF_STR("id") : CF_STR_NONE, .result = CF_STR("ok"), .after = i % 3 ? after : NULL};

        ok(cf_audit_write(a, &e, &err), &err);
    }
    json_decref(after);
    cf_audit_close(a); /* writes the anchor */
}

static struct cf_audit_check verify(void)
{
    struct cf_error err = {0};
    struct cf_audit_check c;

    ok(cf_audit_verify(rec.db, anchor, &c, &err), &err);
    return c;
}

static void intact(void **state)
{
    struct cf_audit_check c;

    (void)state;
    c = verify();
    assert_true(c.ok && c.checked == 0);
    write_entries(20);
    write_entries(5); /* goes on over a restart */
    c = verify();
    assert_true(c.ok);
    assert_int_equal(c.checked, 25);
}

static void changed_field(void **state)
{
    static const char *const tampering[] = {
        "UPDATE audit_log SET result = 'failed' WHERE seq = 7",      "UPDATE audit_log SET user_name = 'eve' WHERE seq = 7",
        "UPDATE audit_log SET time_us = time_us + 1 WHERE seq = 7",  "UPDATE audit_log SET object = '' WHERE seq = 7 AND object IS NULL",
        "UPDATE audit_log SET after_json = NULL WHERE seq = 8",      "UPDATE audit_log SET peer = NULL WHERE seq = 7",
        "UPDATE audit_log SET hash = '0000000000000000000000000000000000000000000000000000000000000000' WHERE seq = 7",
    };

    (void)state;
    for (size_t i = 0; i < sizeof tampering / sizeof *tampering; i++) {
        struct cf_audit_check c;

        if (i) {
            (void)end(NULL);
            (void)fresh(NULL);
        }
        write_entries(12);
        run_sql(rec.db, tampering[i]);
        c = verify();
        if (c.ok || c.first_bad != (i == 4 ? 8 : 7))
            fail_msg("%s: ok %d, first bad %lld", tampering[i], c.ok, (long long)c.first_bad);
    }
}

static void removed(void **state)
{
    struct cf_audit_check c;

    (void)state;
    write_entries(12);
    run_sql(rec.db, "DELETE FROM audit_log WHERE seq = 5");
    c = verify();
    assert_false(c.ok);
    assert_int_equal(c.first_bad, 5);
}

static void tail_cut(void **state)
{
    struct cf_audit_check c;

    (void)state;
    write_entries(12);
    run_sql(rec.db, "DELETE FROM audit_log WHERE seq > 9");
    c = verify();
    assert_false(c.ok); /* the head knows */
    assert_int_equal(c.first_bad, 10);
    run_sql(rec.db, "UPDATE audit_head SET seq = 9, hash = (SELECT hash FROM audit_log WHERE seq = 9) WHERE id = 1");
    c = verify();
    assert_false(c.ok); /* the anchor outside the database knows */
    assert_int_equal(c.first_bad, 10);
}

static void written_anew(void **state)
{
    struct cf_audit_check c;

    (void)state;
    write_entries(12);
    run_sql(rec.db, "DELETE FROM audit_log");
    run_sql(rec.db, "UPDATE audit_head SET seq = 0, hash = '0000000000000000000000000000000000000000000000000000000000000000' WHERE id = 1");
    write_entries(12); /* a complete chain of valid hashes, but not the one that was anchored */
    c = verify();
    assert_false(c.ok);
    assert_int_equal(c.first_bad, 12);
}

static struct cf_audit *shared;

static void *writer(void *arg)
{
    struct cf_error err = {0};
    struct cf_audit_entry e = {.action = CF_STR("t"), .result = CF_STR("ok")};

    (void)arg;
    for (int i = 0; i < 25; i++) {
        if (cf_audit_write(shared, &e, &err) < 0)
            return (void *)1;
    }
    return NULL;
}

static void threads(void **state)
{
    struct cf_error err = {0};
    pthread_t t[4];
    void *bad;

    (void)state;
    ok(cf_audit_open(rec.db, anchor, &shared, &err), &err);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, writer, NULL), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(t[i], &bad), 0);
        assert_null(bad);
    }
    cf_audit_close(shared);
    assert_true(verify().ok);
    assert_int_equal(verify().checked, 100);
}

/* An entry written in the caller's transaction goes with it. */
static void with_change(void **state)
{
    struct cf_error err = {0};
    struct cf_audit *a = NULL;
    struct cf_tx *tx = NULL;
    struct cf_audit_entry e = {.action = CF_STR("t"), .result = CF_STR("ok")};

    (void)state;
    ok(cf_audit_open(rec.db, NULL, &a, &err), &err);
    ok(cf_tx_begin(rec.db, CF_TX_WRITE, &tx, &err), &err);
    ok(cf_audit_write_tx(a, tx, &e, &err), &err);
    cf_tx_rollback(&tx);
    assert_int_equal(verify().checked, 0);
    ok(cf_tx_begin(rec.db, CF_TX_WRITE, &tx, &err), &err);
    ok(cf_audit_write_tx(a, tx, &e, &err), &err);
    ok(cf_audit_write_tx(a, tx, &e, &err), &err);
    ok(cf_tx_commit(&tx, &err), &err);
    assert_true(verify().ok);
    assert_int_equal(verify().checked, 2);
    cf_audit_close(a);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, end)
    const struct CMUnitTest tests[] = {T(intact), T(changed_field), T(removed), T(tail_cut), T(written_anew), T(threads), T(with_change)};

    return records_both("audit", tests);
}
