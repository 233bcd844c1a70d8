/* SPDX-License-Identifier: Apache-2.0
 * One suite for both engines: every test runs on SQLite, then on a real PostgreSQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "pg_server.h"
#include "store/record_private.h"
#include "store/record_store.h"

static struct pg_server pg;
static char dir[64], url[256];
static bool on_pg;

static const struct cf_migration schema[] = {
    {101, "thing", "CREATE TABLE thing (id TEXT PRIMARY KEY, n BIGINT, f DOUBLE, b BLOB, note TEXT UNIQUE);\n"
                   "CREATE TABLE part (id TEXT PRIMARY KEY, thing_id TEXT NOT NULL REFERENCES thing(id), n BIGINT NOT NULL CHECK (n >= 0))"},
    {102, "thing index", "CREATE INDEX thing_n ON thing (n)"},
};

static struct cf_db *open_db(void)
{
    struct cf_error err = {0};
    struct cf_db *db = NULL;

    if (cf_db_open(url, &db, &err) < 0)
        fail_msg("%s", err.msg);
    if (cf_db_migrate(db, schema, 2, &err) < 0)
        fail_msg("%s", err.msg);
    return db;
}

static int fresh(void **state)
{
    if (on_pg) {
        struct cf_error err = {0};
        struct cf_db *db = NULL;
        struct cf_tx *tx = NULL;

        assert_int_equal(cf_db_open(url, &db, &err), 0);
        assert_int_equal(cf_tx_begin(db, CF_TX_WRITE, &tx, &err), 0);
        assert_int_equal(cf_tx_exec(tx, "DROP SCHEMA public CASCADE", &err), 0);
        assert_int_equal(cf_tx_exec(tx, "CREATE SCHEMA public", &err), 0);
        assert_int_equal(cf_tx_commit(&tx, &err), 0);
        cf_db_close(db);
    } else {
        char path[96];

        (void)snprintf(path, sizeof path, "%s/t.db", dir);
        (void)unlink(path);
        (void)snprintf(path, sizeof path, "%s/t.db-wal", dir);
        (void)unlink(path);
        (void)snprintf(path, sizeof path, "%s/t.db-shm", dir);
        (void)unlink(path);
    }
    *state = open_db();
    return 0;
}

static int end(void **state)
{
    cf_db_close(*state);
    return 0;
}

static struct cf_tx *begin(struct cf_db *db, enum cf_tx_mode mode)
{
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;

    if (cf_tx_begin(db, mode, &tx, &err) < 0)
        fail_msg("%s", err.msg);
    return tx;
}

static void commit(struct cf_tx *tx)
{
    struct cf_error err = {0};

    if (cf_tx_commit(&tx, &err) < 0)
        fail_msg("%s", err.msg);
    assert_null(tx);
}

static int64_t one_i64(struct cf_db *db, const char *sql)
{
    struct cf_error err = {0};
    struct cf_tx *tx = begin(db, CF_TX_READ);
    struct cf_stmt *st = NULL;
    int64_t v;

    if (cf_tx_query(tx, sql, &st, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(cf_stmt_next(st, &err), 1);
    v = cf_stmt_i64(st, 0);
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return v;
}

static void every_type_comes_back(void **state)
{
    struct cf_db *db = *state;
    struct cf_error err = {0};
    struct cf_tx *tx = begin(db, CF_TX_WRITE);
    struct cf_stmt *st = NULL;
    cf_str blob = CF_STR("\0\1\377 raw"), text = CF_STR("城防 ? 'quoted' \"x\"");

    assert_int_equal(cf_tx_exec(tx, "INSERT INTO thing (id, n, f, b, note) VALUES (?, ?, ?, ?, ?)", &err, CF_Z("a"),
                                CF_I(INT64_MIN), CF_D(0.1), CF_B(blob), CF_S(text)), 0);
    assert_int_equal(cf_tx_exec(tx, "INSERT INTO thing (id, n, f, b, note) VALUES (?, ?, ?, ?, ?)", &err, CF_Z("b"),
                                CF_NUL, CF_NUL, CF_B(CF_STR_NONE), CF_Z(NULL)), 0);
    assert_int_equal(cf_tx_exec(tx, "INSERT INTO thing (id, note) VALUES (?, ?)", &err, CF_Z("c"), CF_S(CF_STR(""))), 0);
    commit(tx);
    tx = begin(db, CF_TX_READ);
    assert_int_equal(cf_tx_query(tx, "SELECT id, n, f, b, note, '?' AS q FROM thing ORDER BY id -- why?", &st, &err), 0);
    assert_int_equal(cf_stmt_next(st, &err), 1);
    assert_int_equal(cf_stmt_cols(st), 6);
    assert_string_equal(cf_stmt_name(st, 5), "q");
    assert_true(cf_str_eqz(cf_stmt_str(st, 0), "a"));
    assert_true(cf_stmt_i64(st, 1) == INT64_MIN);
    assert_true(cf_stmt_f64(st, 2) == 0.1);
    assert_true(cf_str_eq(cf_stmt_str(st, 3), blob));
    assert_true(cf_str_eq(cf_stmt_str(st, 4), text));
    assert_true(cf_str_eqz(cf_stmt_str(st, 5), "?"));
    assert_int_equal(cf_stmt_next(st, &err), 1);
    for (int i = 1; i < 5; i++) {
        assert_true(cf_stmt_null(st, i));
        assert_null(cf_stmt_str(st, i).p);
        assert_int_equal(cf_stmt_i64(st, i), 0);
    }
    assert_int_equal(cf_stmt_next(st, &err), 1);
    assert_non_null(cf_stmt_str(st, 4).p);
    assert_int_equal(cf_stmt_str(st, 4).n, 0);
    assert_int_equal(cf_stmt_next(st, &err), 0);
    assert_int_equal(cf_stmt_next(st, &err), 0);
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
}

static void text_is_made_valid(void **state)
{
    struct cf_db *db = *state;
    struct cf_error err = {0};
    struct cf_tx *tx = begin(db, CF_TX_WRITE);
    struct cf_stmt *st = NULL;

    assert_int_equal(cf_tx_exec(tx, "INSERT INTO thing (id, note) VALUES (?, ?)", &err, CF_Z("a"), CF_S(CF_STR("x\0y\xff\xe5\x9f\x8ez"))), 0);
    assert_int_equal(cf_tx_query(tx, "SELECT note FROM thing", &st, &err), 0);
    assert_int_equal(cf_stmt_next(st, &err), 1);
    assert_true(cf_str_eqz(cf_stmt_str(st, 0), "x\xef\xbf\xbdy\xef\xbf\xbd\xe5\x9f\x8ez"));
    cf_stmt_free(st);
    commit(tx);
}

static void sql_in_values_stays_text(void **state)
{
    struct cf_db *db = *state;
    struct cf_error err = {0};
    struct cf_tx *tx = begin(db, CF_TX_WRITE);
    const char *evil = "x'); DROP TABLE thing; --";

    assert_int_equal(cf_tx_exec(tx, "INSERT INTO thing (id, note) VALUES (?, ?)", &err, CF_Z("a"), CF_Z(evil)), 0);
    commit(tx);
    assert_int_equal(one_i64(db, "SELECT COUNT(*) FROM thing"), 1);
    /* two statements in one call are refused */
    tx = begin(db, CF_TX_WRITE);
    assert_true(cf_tx_exec(tx, "DELETE FROM part; DELETE FROM thing", &err) < 0);
    cf_tx_rollback(&tx);
    assert_int_equal(one_i64(db, "SELECT COUNT(*) FROM thing"), 1);
}

static void errors_have_their_codes(void **state)
{
    struct cf_db *db = *state;
    struct cf_error err = {0};
    struct cf_tx *tx = begin(db, CF_TX_WRITE);
    struct cf_stmt *st = NULL;

    assert_int_equal(cf_tx_exec(tx, "INSERT INTO thing (id, note) VALUES (?, ?)", &err, CF_Z("a"), CF_Z("n")), 0);
    commit(tx);
    static const struct {
        const char *sql;
        int code;
    } wrong[] = {
        {"INSERT INTO thing (id) VALUES ('a')", CF_EEXIST},
        {"INSERT INTO thing (id, note) VALUES ('b', 'n')", CF_EEXIST},
        {"INSERT INTO part (id, thing_id, n) VALUES ('p', 'none', 1)", CF_EINVAL},
        {"INSERT INTO part (id, thing_id, n) VALUES ('p', 'a', -1)", CF_EINVAL},
        {"INSERT INTO part (id, thing_id, n) VALUES ('p', NULL, 1)", CF_EINVAL},
        {"SELEC nonsense", CF_EDB},
        {"INSERT INTO nowhere (id) VALUES ('a')", CF_EDB},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tx = begin(db, CF_TX_WRITE);
        assert_int_equal(cf_tx_exec(tx, wrong[i].sql, &err), wrong[i].code);
        assert_true(err.msg[0] != 0);
        /* nothing more is possible, commit says so */
        assert_int_equal(cf_tx_exec(tx, "INSERT INTO thing (id) VALUES ('z')", &err), CF_EDB);
        assert_true(cf_tx_commit(&tx, &err) < 0);
        assert_null(tx);
    }
    tx = begin(db, CF_TX_WRITE); /* a query reports it when it starts */
    assert_int_equal(cf_tx_query(tx, "INSERT INTO thing (id) VALUES (?) RETURNING id", &st, &err, CF_Z("a")), CF_EEXIST);
    cf_tx_rollback(&tx);
    tx = begin(db, CF_TX_READ);
    assert_int_equal(cf_tx_exec(tx, "INSERT INTO thing (id) VALUES ('z')", &err), CF_EPERM);
    cf_tx_rollback(&tx);
    assert_int_equal(one_i64(db, "SELECT COUNT(*) FROM thing"), 1);
}

static void common_subset(void **state)
{
    struct cf_db *db = *state;
    struct cf_error err = {0};
    struct cf_tx *tx = begin(db, CF_TX_WRITE);
    struct cf_stmt *st = NULL, *st2 = NULL;
    int64_t changed = -1;
    static const char upsert[] = "INSERT INTO thing (id, n) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET n = thing.n + excluded.n RETURNING n";

    for (int i = 1; i <= 3; i++) {
        assert_int_equal(cf_tx_query(tx, upsert, &st, &err, CF_Z("a"), CF_I(i)), 0);
        assert_int_equal(cf_stmt_next(st, &err), 1);
        assert_int_equal(cf_stmt_i64(st, 0), i * (i + 1) / 2);
        cf_stmt_free(st);
    }
    assert_int_equal(cf_tx_exec(tx, "INSERT INTO thing (id, n, note) VALUES (?, ?, ?)", &err, CF_Z("b"), CF_I(9), CF_Z("Upper")), 0);
    const struct cf_dbval v[] = {CF_I(0)};
    assert_int_equal(cf_tx_execv(tx, "UPDATE thing SET n = n + 1 WHERE n > ?", v, 1, &changed, &err), 0);
    assert_int_equal(changed, 2);
    assert_int_equal(cf_tx_execv(tx, "DELETE FROM thing WHERE n > ?", (const struct cf_dbval[]){CF_I(1000)}, 1, &changed, &err), 0);
    assert_int_equal(changed, 0);
    assert_int_equal(cf_tx_execv(tx, "INSERT INTO thing (id) VALUES ('a') ON CONFLICT DO NOTHING", NULL, 0, &changed, &err), 0);
    assert_int_equal(changed, 0);
    assert_int_equal(cf_tx_query(tx, "SELECT id FROM thing ORDER BY id LIMIT ? OFFSET ?", &st, &err, CF_I(1), CF_I(1)), 0);
    assert_int_equal(cf_stmt_next(st, &err), 1);
    assert_true(cf_str_eqz(cf_stmt_str(st, 0), "b"));
    /* a second query while the first is open, the same text twice */
    assert_int_equal(cf_tx_query(tx, "SELECT id FROM thing ORDER BY id LIMIT ? OFFSET ?", &st2, &err, CF_I(1), CF_I(0)), 0);
    assert_int_equal(cf_stmt_next(st2, &err), 1);
    assert_true(cf_str_eqz(cf_stmt_str(st2, 0), "a"));
    assert_true(cf_str_eqz(cf_stmt_str(st, 0), "b"));
    cf_stmt_free(st2);
    cf_stmt_free(st);
    commit(tx);
    assert_int_equal(one_i64(db, "SELECT COUNT(*) FROM thing WHERE note LIKE 'up%'"), 0);
    assert_int_equal(one_i64(db, "SELECT COUNT(*) FROM thing WHERE LOWER(note) LIKE LOWER('UP%')"), 1);
    assert_int_equal(one_i64(db, "SELECT GREATEST(n, 100) FROM thing WHERE id = 'a'"), 100);
    assert_int_equal(one_i64(db, "SELECT LEAST(n, 100) FROM thing WHERE id = 'a'"), 7);
    assert_int_equal(one_i64(db, "SELECT SUM(n) FROM thing"), 17);
    assert_int_equal(one_i64(db, "SELECT n > 5 FROM thing WHERE id = 'a'"), 1);
}

static void many_statements_share_the_cache(void **state)
{
    struct cf_db *db = *state;
    struct cf_error err = {0};
    struct cf_tx *tx = begin(db, CF_TX_WRITE);
    char sql[96];

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CF_DB_STMT_CACHE + 50; i++) {
            struct cf_stmt *st = NULL;

            (void)snprintf(sql, sizeof sql, "SELECT ? + %d", i);
            assert_int_equal(cf_tx_query(tx, sql, &st, &err, CF_I(1000)), 0);
            assert_int_equal(cf_stmt_next(st, &err), 1);
            assert_int_equal(cf_stmt_i64(st, 0), 1000 + i);
            cf_stmt_free(st);
        }
    }
    cf_tx_rollback(&tx);
}

static void rollback_leaves_nothing(void **state)
{
    struct cf_db *db = *state;
    struct cf_error err = {0};
    struct cf_tx *tx = begin(db, CF_TX_WRITE);

    assert_int_equal(cf_tx_exec(tx, "INSERT INTO thing (id) VALUES ('a')", &err), 0);
    cf_tx_rollback(&tx);
    assert_null(tx);
    cf_tx_rollback(&tx);
    assert_int_equal(one_i64(db, "SELECT COUNT(*) FROM thing"), 0);
}

static void readers_see_one_snapshot(void **state)
{
    struct cf_db *db = *state;
    struct cf_error err = {0};
    struct cf_tx *r = begin(db, CF_TX_READ), *w;

    for (int i = 0; i < 2; i++) {
        struct cf_stmt *st = NULL;

        assert_int_equal(cf_tx_query(r, "SELECT COUNT(*) FROM thing", &st, &err), 0);
        assert_int_equal(cf_stmt_next(st, &err), 1);
        assert_int_equal(cf_stmt_i64(st, 0), 0);
        cf_stmt_free(st);
        if (i == 0) {
            w = begin(db, CF_TX_WRITE);
            assert_int_equal(cf_tx_exec(w, "INSERT INTO thing (id) VALUES ('a')", &err), 0);
            commit(w);
        }
    }
    cf_tx_rollback(&r);
    assert_int_equal(one_i64(db, "SELECT COUNT(*) FROM thing"), 1);
}

struct adder {
    pthread_t t;
    struct cf_db *db;
    int done;
};
#define ADDS 40
/* Read, then write what was read plus one: a lost update shows in the total. */
static void *add_ones(void *arg)
{
    struct adder *a = arg;
    struct cf_error err;

    for (int i = 0; i < ADDS; i++) {
        struct cf_tx *tx = NULL;
        struct cf_stmt *st = NULL;
        int64_t n;

        if (cf_tx_begin(a->db, CF_TX_WRITE, &tx, &err) < 0)
            return NULL;
        if (cf_tx_query(tx, "SELECT n FROM thing WHERE id = ?", &st, &err, CF_Z("a")) < 0 || cf_stmt_next(st, &err) != 1) {
            cf_stmt_free(st);
            cf_tx_rollback(&tx);
            return NULL;
        }
        n = cf_stmt_i64(st, 0);
        cf_stmt_free(st);
        if (cf_tx_exec(tx, "UPDATE thing SET n = ? WHERE id = ?", &err, CF_I(n + 1), CF_Z("a")) < 0 || cf_tx_commit(&tx, &err) < 0) {
            cf_tx_rollback(&tx);
            return NULL;
        }
        a->done++;
    }
    return NULL;
}

static void writers_lose_no_update(void **state)
{
    struct cf_db *db = *state;
    struct cf_error err = {0};
    struct cf_tx *tx = begin(db, CF_TX_WRITE);
    struct adder a[6];

    assert_int_equal(cf_tx_exec(tx, "INSERT INTO thing (id, n) VALUES ('a', 0)", &err), 0);
    commit(tx);
    for (int i = 0; i < 6; i++) {
        a[i] = (struct adder){.db = db};
        assert_int_equal(pthread_create(&a[i].t, NULL, add_ones, &a[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        (void)pthread_join(a[i].t, NULL);
        assert_int_equal(a[i].done, ADDS);
    }
    assert_int_equal(one_i64(db, "SELECT n FROM thing"), 6 * ADDS);
}

static void *add_ten(void *arg)
{
    struct adder *a = arg;
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;

    if (cf_tx_begin(a->db, CF_TX_WRITE, &tx, &err) == 0 && cf_tx_exec(tx, "UPDATE thing SET n = n * 10", &err) == 0 && cf_tx_commit(&tx, &err) == 0)
        a->done = 1;
    cf_tx_rollback(&tx);
    return NULL;
}

/* Who writes transaction after transaction lets the one through that waits. */
static void a_waiting_writer_is_next(void **state)
{
    struct cf_db *db = *state;
    struct cf_error err = {0};
    struct adder a = {.db = db};
    struct cf_tx *tx = begin(db, CF_TX_WRITE);
    bool waits = false;

    assert_int_equal(cf_tx_exec(tx, "INSERT INTO thing (id, n) VALUES ('a', 1)", &err), 0);
    assert_int_equal(pthread_create(&a.t, NULL, add_ten, &a), 0);
    while (!waits) { /* until it stands in the queue */
        (void)pthread_mutex_lock(&db->lock);
        waits = db->first[CF_TX_WRITE] != NULL;
        (void)pthread_mutex_unlock(&db->lock);
        (void)usleep(1000);
    }
    commit(tx);
    tx = begin(db, CF_TX_WRITE); /* at once: behind the other */
    assert_int_equal(cf_tx_exec(tx, "UPDATE thing SET n = n + 1", &err), 0);
    commit(tx);
    (void)pthread_join(a.t, NULL);
    assert_int_equal(a.done, 1);
    assert_int_equal(one_i64(db, "SELECT n FROM thing"), 11); /* 1 * 10 + 1 */
}

static void migrations_are_careful(void **state)
{
    struct cf_db *db = *state;
    struct cf_error err = {0};
    static const struct cf_migration changed[] = {{101, "thing", "CREATE TABLE thing (id TEXT)"}};
    static const struct cf_migration twice[] = {{301, "x", "CREATE TABLE x (id TEXT)"}, {301, "y", "CREATE TABLE y (id TEXT)"}};
    static const struct cf_migration broken[] = {
        {104, "third", "CREATE TABLE third (id TEXT);\nINSERT INTO third VALUES ('?;'); INSERT INTO missing VALUES (1)"},
        {103, "second", "CREATE TABLE second (id TEXT)"},
    };

    assert_int_equal(cf_db_migrate(db, schema, 2, &err), 0); /* again: nothing to do */
    assert_int_equal(one_i64(db, "SELECT COUNT(*) FROM schema_migrations"), 2);
    assert_int_equal(cf_db_migrate(db, changed, 1, &err), CF_ECONFLICT);
    assert_non_null(strstr(err.msg, "101"));
    assert_int_equal(cf_db_migrate(db, twice, 2, &err), CF_EINVAL);
    /* in number order; what fails leaves no trace of itself */
    assert_true(cf_db_migrate(db, broken, 2, &err) < 0);
    assert_non_null(strstr(err.msg, "migration 104"));
    assert_int_equal(one_i64(db, "SELECT COUNT(*) FROM schema_migrations"), 3);
    assert_int_equal(one_i64(db, "SELECT COUNT(*) FROM second"), 0);
    struct cf_tx *tx = begin(db, CF_TX_READ);
    assert_int_equal(cf_tx_exec(tx, "SELECT COUNT(*) FROM third", &err), CF_EDB);
    cf_tx_rollback(&tx);
}

/* A child commits rows and says so through a pipe until it is killed; every row it spoke of must be there. */
static void committed_survives_kill(void **state)
{
    struct cf_db *db = *state;
    int p[2];
    int64_t said = 0, n;
    pid_t pid;

    cf_db_close(db); /* no connection crosses the fork */
    assert_int_equal(pipe(p), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct cf_error err;

        if (cf_db_open(url, &db, &err) < 0)
            _exit(1);
        for (int64_t i = 1;; i++) {
            struct cf_tx *tx = NULL;
            char id[24];

            (void)snprintf(id, sizeof id, "k%lld", (long long)i);
            if (cf_tx_begin(db, CF_TX_WRITE, &tx, &err) < 0 || cf_tx_exec(tx, "INSERT INTO thing (id, n) VALUES (?, ?)", &err, CF_Z(id), CF_I(i)) < 0 ||
                cf_tx_commit(&tx, &err) < 0 || write(p[1], &i, sizeof i) != sizeof i)
                _exit(1);
        }
    }
    (void)close(p[1]);
    while (said < 25)
        assert_int_equal(read(p[0], &said, sizeof said), sizeof said);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    while (read(p[0], &n, sizeof n) == sizeof n)
        said = n;
    (void)close(p[0]);
    *state = open_db();
    n = one_i64(*state, "SELECT COUNT(*) FROM thing");
    assert_true(n == said || n == said + 1);
}

static void bad_addresses_are_refused(void **state)
{
    struct cf_db *db = NULL;
    struct cf_error err = {0};

    (void)state;
    assert_int_equal(cf_db_open("mysql://x", &db, &err), CF_EINVAL);
    assert_int_equal(cf_db_open("sqlite:/nonexistent/folder/x.db", &db, &err), CF_ENOENT);
    assert_int_equal(cf_db_open("postgresql:///x?host=/nonexistent", &db, &err), CF_EIO);
}

static void dialect(void **state)
{
    static const char *const c[][2] = {
        {"SELECT '?', \"a?\", ? -- ?\n, ? /* ? */", "SELECT '?', \"a?\", $1 -- ?\n, $2 /* ? */"},
        {"SELECT 'it''s ?', ?", "SELECT 'it''s ?', $1"},
        {"SELECT 'open ?", "SELECT 'open ?"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        char *t = cf_pg_translate(c[i][0], false);

        assert_string_equal(t, c[i][1]);
        free(t);
    }
    char *t = cf_pg_translate("CREATE TABLE blobs (b BLOB, d double, e DOUBLE  PRECISION, t TEXT DEFAULT 'BLOB')", true);

    assert_string_equal(t, "CREATE TABLE blobs (b BYTEA, d DOUBLE PRECISION, e DOUBLE  PRECISION, t TEXT DEFAULT 'BLOB')");
    free(t);
}

/* Only SQLite: the file holds password hashes. */
static void file_mode_is_private(void **state)
{
    char cmd[128];

    (void)state;
    (void)snprintf(cmd, sizeof cmd, "test \"$(stat -c %%a '%s/t.db')\" = 600", dir);
    assert_int_equal(system(cmd), 0);
}

#define COMMON                                                                                              \
    cmocka_unit_test_setup_teardown(every_type_comes_back, fresh, end),                                     \
        cmocka_unit_test_setup_teardown(text_is_made_valid, fresh, end),                                    \
        cmocka_unit_test_setup_teardown(sql_in_values_stays_text, fresh, end),                              \
        cmocka_unit_test_setup_teardown(errors_have_their_codes, fresh, end),                               \
        cmocka_unit_test_setup_teardown(common_subset, fresh, end),                                         \
        cmocka_unit_test_setup_teardown(many_statements_share_the_cache, fresh, end),                       \
        cmocka_unit_test_setup_teardown(rollback_leaves_nothing, fresh, end),                               \
        cmocka_unit_test_setup_teardown(readers_see_one_snapshot, fresh, end),                              \
        cmocka_unit_test_setup_teardown(writers_lose_no_update, fresh, end),                                \
        cmocka_unit_test_setup_teardown(migrations_are_careful, fresh, end),                                \
        cmocka_unit_test_setup_teardown(committed_survives_kill, fresh, end)

int main(void)
{
    const struct CMUnitTest sqlite[] = {COMMON, cmocka_unit_test(dialect), cmocka_unit_test_setup_teardown(a_waiting_writer_is_next, fresh, end), cmocka_unit_test_setup_teardown(file_mode_is_private, fresh, end),
                                        cmocka_unit_test(bad_addresses_are_refused)};
    const struct CMUnitTest postgres[] = {COMMON};
    char cmd[96];
    int failed;

    (void)snprintf(dir, sizeof dir, "/tmp/cf-store-XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    (void)snprintf(url, sizeof url, "sqlite:%s/t.db", dir);
    failed = cmocka_run_group_tests_name("record store on SQLite", sqlite, NULL, NULL);
    if (pg_server_start(&pg)) {
        on_pg = true;
        (void)snprintf(url, sizeof url, "%s", pg.url);
        failed += cmocka_run_group_tests_name("record store on PostgreSQL", postgres, NULL, NULL);
    }
    pg_server_stop(&pg);
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    (void)!system(cmd);
    return failed;
}
