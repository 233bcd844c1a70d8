/* SPDX-License-Identifier: Apache-2.0
 * Record store on SQLite: WAL, synchronous=FULL, one writing connection, readers in parallel. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/record_private.h"

struct cached {
    uint64_t hash, used;
    char *sql;
    sqlite3_stmt *st;
    bool busy;
};
struct lite_conn {
    struct cf_dbconn head;
    sqlite3 *db;
    uint64_t tick;
    struct cached cache[CF_DB_STMT_CACHE];
};
struct lite_stmt {
    struct cf_stmt head;
    struct lite_conn *conn;
    sqlite3_stmt *st;
    struct cached *slot; /* NULL: not from the cache */
    int first;           /* result of the first step, taken when the query started, as PostgreSQL does; -1 once used */
};

static int lite_error(struct lite_conn *c, int rc, const char *what, struct cf_error *reterr)
{
    int code = CF_EDB;

    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
        code = rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_ROWID ? CF_EEXIST : CF_EINVAL;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: code = CF_EBUSY; break;
    case SQLITE_FULL: code = CF_EFULL; break;
    case SQLITE_NOMEM: code = CF_ENOMEM; break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN: code = CF_EIO; break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: code = CF_ECORRUPT; break;
    case SQLITE_READONLY: code = CF_EPERM; break;
    case SQLITE_TOOBIG: code = CF_ELIMIT; break;
    default: break;
    }
    return cf_error_set(reterr, code, "record store: %s: %s", what, c && c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc));
}

/* GREATEST and LEAST as PostgreSQL has them, so that the common subset holds them. */
static void greatest(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    int least = sqlite3_user_data(ctx) != NULL, best = -1;

    for (int i = 0; i < n; i++) {
        if (sqlite3_value_type(v[i]) == SQLITE_NULL)
            continue;
        double a = sqlite3_value_double(v[i]);

        if (best < 0 || (least ? a < sqlite3_value_double(v[best]) : a > sqlite3_value_double(v[best])))
            best = i;
    }
    if (best < 0)
        sqlite3_result_null(ctx);
    else
        sqlite3_result_value(ctx, v[best]);
}

static void lite_disconnect(struct cf_dbconn *head)
{
    struct lite_conn *c = (struct lite_conn *)head;

    for (size_t i = 0; i < CF_DB_STMT_CACHE; i++) {
        (void)sqlite3_finalize(c->cache[i].st);
        free(c->cache[i].sql);
    }
    (void)sqlite3_close_v2(c->db);
    free(c);
}

/* The file is made with mode 0600: it holds password hashes. */
static int make_private(const char *path, struct cf_error *reterr)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return cf_error_errno(reterr, "record store \"%s\"", path);
    (void)close(fd);
    return 0;
}

static int lite_connect(struct cf_db *db, enum cf_tx_mode mode, struct cf_dbconn **ret, struct cf_error *reterr)
{
    static const char setup[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA case_sensitive_like=ON;"
                                "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-8000; PRAGMA journal_size_limit=67108864; PRAGMA trusted_schema=OFF;";
    struct lite_conn *c;
    int rc = make_private(db->target, reterr);

    if (rc < 0)
        return rc;
    c = calloc(1, sizeof *c);
    if (!c)
        return cf_error_set(reterr, CF_ENOMEM, "record store: out of memory");
    rc = sqlite3_open_v2(db->target, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(c->db, CF_DB_WAIT_MS);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(c->db, setup, NULL, NULL, NULL);
    if (rc == SQLITE_OK && mode == CF_TX_READ)
        rc = sqlite3_exec(c->db, "PRAGMA query_only=ON", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_function(c->db, "greatest", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, greatest, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_function(c->db, "least", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, c->db, greatest, NULL, NULL);
    if (rc != SQLITE_OK) {
        rc = lite_error(c, rc, "opening", reterr);
        cf_error_context(reterr, "%s", db->target);
        lite_disconnect(&c->head);
        return rc;
    }
    *ret = &c->head;
    return 0;
}

static int plain(struct lite_conn *c, const char *sql, struct cf_error *reterr)
{
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : lite_error(c, rc, sql, reterr);
}

static int lite_begin(struct cf_dbconn *head, struct cf_error *reterr)
{
    return plain((struct lite_conn *)head, head->mode == CF_TX_WRITE ? "BEGIN IMMEDIATE" : "BEGIN", reterr);
}

static int lite_commit(struct cf_dbconn *head, struct cf_error *reterr)
{
    return plain((struct lite_conn *)head, "COMMIT", reterr);
}

static void lite_rollback(struct cf_dbconn *head)
{
    struct lite_conn *c = (struct lite_conn *)head;

    if (!sqlite3_get_autocommit(c->db))
        (void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
}

static int lite_script(struct cf_dbconn *head, const char *sql, struct cf_error *reterr)
{
    struct lite_conn *c = (struct lite_conn *)head;
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : lite_error(c, rc, "script", reterr);
}

/* The slot with this text, or the one to replace (free or longest unused); NULL when all are running. */
static struct cached *cache_slot(struct lite_conn *c, const char *sql, uint64_t h, bool *ret_hit)
{
    struct cached *worst = NULL;

    *ret_hit = false;
    for (size_t i = 0; i < CF_DB_STMT_CACHE; i++) {
        struct cached *s = &c->cache[i];

        if (s->busy)
            continue;
        if (s->st && s->hash == h && strcmp(s->sql, sql) == 0) {
            *ret_hit = true;
            return s;
        }
        if (!worst || s->used < worst->used)
            worst = s;
    }
    return worst;
}

static int prepare(struct lite_conn *c, const char *sql, struct lite_stmt *s, struct cf_error *reterr)
{
    uint64_t h = cf_hash64(cf_str_c(sql));
    bool hit;
    const char *tail = NULL;
    struct cached *slot = cache_slot(c, sql, h, &hit);
    int rc;

    if (hit) {
        s->st = slot->st;
    } else {
        rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->st, &tail);
        if (rc != SQLITE_OK)
            return lite_error(c, rc, sql, reterr);
        if (!s->st || (tail && cf_str_trim(cf_str_c(tail)).n)) {
            (void)sqlite3_finalize(s->st);
            return cf_error_set(reterr, CF_EINVAL, "record store: exactly one statement expected: %s", sql);
        }
        if (slot) {
            char *copy = strdup(sql);

            if (copy) {
                (void)sqlite3_finalize(slot->st);
                free(slot->sql);
                *slot = (struct cached){.hash = h, .sql = copy, .st = s->st};
            } else {
                slot = NULL;
            }
        }
    }
    s->conn = c;
    s->slot = slot;
    if (slot) {
        slot->busy = true;
        slot->used = ++c->tick;
    }
    return 0;
}

static void finish(struct lite_stmt *s)
{
    if (s->slot) {
        (void)sqlite3_reset(s->st);
        (void)sqlite3_clear_bindings(s->st);
        s->slot->busy = false;
    } else {
        (void)sqlite3_finalize(s->st);
    }
}

/* transient: texts are copied because the statement outlives the caller's values. */
static int bind(struct lite_stmt *s, const struct cf_dbval *v, size_t n, bool transient, struct cf_error *reterr)
{
    int want = sqlite3_bind_parameter_count(s->st), rc = SQLITE_OK;
    sqlite3_destructor_type how = transient ? SQLITE_TRANSIENT : SQLITE_STATIC;

    if (want != (int)n)
        return cf_error_set(reterr, CF_EINVAL, "record store: the statement takes %d values, %zu given: %s", want, n, sqlite3_sql(s->st));
    for (int i = 0; i < want && rc == SQLITE_OK; i++) {
        const struct cf_dbval *x = &v[i];

        switch (x->type) {
        case CF_DB_I64: rc = sqlite3_bind_int64(s->st, i + 1, x->i); break;
        case CF_DB_F64: rc = sqlite3_bind_double(s->st, i + 1, x->f); break;
        case CF_DB_TEXT: rc = x->s.p ? sqlite3_bind_text64(s->st, i + 1, x->s.p, x->s.n, how, SQLITE_UTF8) : sqlite3_bind_null(s->st, i + 1); break;
        case CF_DB_BLOB: rc = x->s.p ? sqlite3_bind_blob64(s->st, i + 1, x->s.p, x->s.n, how) : sqlite3_bind_null(s->st, i + 1); break;
        case CF_DB_NULL: rc = sqlite3_bind_null(s->st, i + 1); break;
        }
    }
    return rc == SQLITE_OK ? 0 : lite_error(s->conn, rc, "value", reterr);
}

static int lite_exec(struct cf_dbconn *head, const char *sql, const struct cf_dbval *v, size_t n, int64_t *ret_changed, struct cf_error *reterr)
{
    struct lite_conn *c = (struct lite_conn *)head;
    struct lite_stmt s = {0};
    int rc, r = prepare(c, sql, &s, reterr);

    if (r < 0)
        return r;
    r = bind(&s, v, n, false, reterr);
    if (r == 0) {
        int64_t before = sqlite3_total_changes64(c->db);

        do
            rc = sqlite3_step(s.st);
        while (rc == SQLITE_ROW);
        if (rc != SQLITE_DONE)
            r = lite_error(c, rc, sql, reterr);
        else
            *ret_changed = sqlite3_stmt_readonly(s.st) || sqlite3_total_changes64(c->db) == before ? 0 : sqlite3_changes64(c->db);
    }
    finish(&s);
    return r;
}

static int lite_query(struct cf_dbconn *head, const char *sql, const struct cf_dbval *v, size_t n, struct cf_stmt **ret, struct cf_error *reterr)
{
    struct lite_stmt *s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return cf_error_set(reterr, CF_ENOMEM, "record store: out of memory");
    r = prepare((struct lite_conn *)head, sql, s, reterr);
    if (r < 0) {
        free(s);
        return r;
    }
    r = bind(s, v, n, true, reterr);
    if (r == 0) {
        s->first = sqlite3_step(s->st);
        if (s->first != SQLITE_ROW && s->first != SQLITE_DONE)
            r = lite_error(s->conn, s->first, sql, reterr);
    }
    if (r < 0) {
        finish(s);
        free(s);
        return r;
    }
    *ret = &s->head;
    return 0;
}

static int lite_next(struct cf_stmt *head, struct cf_error *reterr)
{
    struct lite_stmt *s = (struct lite_stmt *)head;
    int rc = s->first;

    if (rc < 0)
        rc = sqlite3_step(s->st);
    else
        s->first = rc == SQLITE_DONE ? SQLITE_DONE : -1;
    if (rc == SQLITE_DONE)
        s->first = SQLITE_DONE; /* a further step would start again */
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : lite_error(s->conn, rc, sqlite3_sql(s->st), reterr);
}

static void lite_free_stmt(struct cf_stmt *head)
{
    struct lite_stmt *s = (struct lite_stmt *)head;

    finish(s);
    free(s);
}

static sqlite3_stmt *of(const struct cf_stmt *st)
{
    return ((const struct lite_stmt *)st)->st;
}

static bool lite_is_null(const struct cf_stmt *st, int col)
{
    return sqlite3_column_type(of(st), col) == SQLITE_NULL;
}

static int64_t lite_i64(const struct cf_stmt *st, int col)
{
    return sqlite3_column_int64(of(st), col);
}

static double lite_f64(const struct cf_stmt *st, int col)
{
    return sqlite3_column_double(of(st), col);
}

static cf_str lite_str(const struct cf_stmt *st, int col)
{
    sqlite3_stmt *s = of(st);
    int type = sqlite3_column_type(s, col);
    const void *p;

    if (type == SQLITE_NULL)
        return CF_STR_NONE;
    p = type == SQLITE_BLOB ? sqlite3_column_blob(s, col) : (const void *)sqlite3_column_text(s, col);
    return (cf_str){p ? p : "", (size_t)sqlite3_column_bytes(s, col)};
}

static int lite_cols(const struct cf_stmt *st)
{
    return sqlite3_column_count(of(st));
}

static const char *lite_col_name(const struct cf_stmt *st, int col)
{
    return sqlite3_column_name(of(st), col);
}

const struct cf_db_engine cf_db_sqlite = {
    .name = "SQLite",
    .pool = {8, 1},
    .connect = lite_connect,
    .disconnect = lite_disconnect,
    .begin = lite_begin,
    .commit = lite_commit,
    .rollback = lite_rollback,
    .script = lite_script,
    .query = lite_query,
    .exec = lite_exec,
    .next = lite_next,
    .free_stmt = lite_free_stmt,
    .is_null = lite_is_null,
    .i64 = lite_i64,
    .f64 = lite_f64,
    .str = lite_str,
    .cols = lite_cols,
    .col_name = lite_col_name,
};
