/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include <unistd.h>

#include "store/pg_server.h"

static struct pg_server pg;
static bool on_pg;

void ok(int r, const struct cf_error *err)
{
    if (r < 0)
        fail_msg("%d: %s", r, err->msg);
}

void records_open(struct records *r)
{
    struct cf_error err = {0};
    char url[300];

    (void)snprintf(r->dir, sizeof r->dir, "/tmp/cf-records-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    (void)snprintf(url, sizeof url, "sqlite:%s/r.db", r->dir);
    ok(cf_db_open(on_pg ? pg.url : url, &r->db, &err), &err);
    if (on_pg) {
        run_sql(r->db, "DROP SCHEMA public CASCADE");
        run_sql(r->db, "CREATE SCHEMA public");
    }
}

void records_close(struct records *r)
{
    char cmd[96];

    cf_db_close(r->db);
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", r->dir);
    assert_int_equal(system(cmd), 0);
}

void records_migrate_(struct cf_db *db, const struct cf_migration *m, size_t n)
{
    struct cf_error err = {0};

    ok(cf_db_migrate(db, m, n, &err), &err);
}

int records_both_(const char *name, const struct CMUnitTest *tests, size_t n)
{
    char title[96];
    int failed;

    (void)snprintf(title, sizeof title, "%s (SQLite)", name);
    failed = _cmocka_run_group_tests(title, tests, n, NULL, NULL);
    if (pg_server_start(&pg)) {
        on_pg = true;
        (void)snprintf(title, sizeof title, "%s (PostgreSQL)", name);
        failed += _cmocka_run_group_tests(title, tests, n, NULL, NULL);
        on_pg = false;
    }
    pg_server_stop(&pg);
    return failed;
}

void run_sql(struct cf_db *db, const char *sql)
{
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;

    ok(cf_tx_begin(db, CF_TX_WRITE, &tx, &err), &err);
    ok(cf_tx_exec(tx, sql, &err), &err);
    ok(cf_tx_commit(&tx, &err), &err);
}

/* The statement stands on its row; end with one_end. */
static struct cf_stmt *one_row(struct cf_db *db, struct cf_tx **tx, const char *sql)
{
    struct cf_error err = {0};
    struct cf_stmt *st = NULL;

    ok(cf_tx_begin(db, CF_TX_READ, tx, &err), &err);
    ok(cf_tx_query(*tx, sql, &st, &err), &err);
    assert_int_equal(cf_stmt_next(st, &err), 1);
    return st;
}

static void one_end(struct cf_stmt *st, struct cf_tx **tx)
{
    cf_stmt_free(st);
    cf_tx_rollback(tx);
}

int64_t sql_number(struct cf_db *db, const char *sql)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = one_row(db, &tx, sql);
    int64_t v = cf_stmt_i64(st, 0);

    one_end(st, &tx);
    return v;
}

void sql_text(struct cf_db *db, const char *sql, char *out, size_t n)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = one_row(db, &tx, sql);

    (void)snprintf(out, n, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
    one_end(st, &tx);
}
