/* SPDX-License-Identifier: Apache-2.0
 * Record store: organisations, people, alerts, incidents, workflows. One interface over SQLite (default) and PostgreSQL.
 * SQL is the common subset of both: `?` placeholders, TEXT/BIGINT/DOUBLE/BLOB values, no implicit casts, LIMIT/OFFSET,
 * ON CONFLICT ... DO UPDATE, RETURNING. Prepared statements only: text never becomes SQL. Times are BIGINT microseconds,
 * ids are TEXT (UUIDv7), booleans are BIGINT 0/1, documents are JSON in TEXT.
 *
 * A cf_db is a pool that is safe to share; a transaction or a running statement belongs to one thread. SQLite: one writer
 * at a time (BEGIN IMMEDIATE, busy time-out inside), readers in parallel (WAL, synchronous=FULL). PostgreSQL means the same:
 * writers take turns by an advisory lock, so read-then-write code needs no retries. A reader sees one snapshot.
 *
 * Both engines agree on what follows:
 * - after a statement failed (CF_EEXIST too) the transaction can only be rolled back; use ON CONFLICT where that may happen
 * - LIKE tells upper from lower case (use LOWER(a) LIKE LOWER(?)); GREATEST/LEAST exist in both, MAX(a,b) does not
 * - TEXT is stored as valid UTF-8 without NUL: bytes that are not become U+FFFD
 * - types match: CF_I for BIGINT, CF_D for DOUBLE, CF_S/CF_Z for TEXT, CF_NUL for a NULL of any type
 * - in migrations write BLOB and DOUBLE; PostgreSQL gets BYTEA and DOUBLE PRECISION
 * - CF_EEXIST unique violation, CF_EINVAL other constraints, CF_EBUSY locked for 10 s, CF_EPERM write in a CF_TX_READ */
#ifndef CF_STORE_RECORD_STORE_H
#define CF_STORE_RECORD_STORE_H

#include "base/base.h"

struct cf_db;
struct cf_tx;   /* a transaction, or a read connection borrowed from the pool */
struct cf_stmt; /* a running statement */

/* url: "sqlite:/path/records.db" or "postgresql://..." (libpq). Runs no migration. */
int cf_db_open(const char *url, struct cf_db **ret, struct cf_error *reterr);
void cf_db_close(struct cf_db *db);
bool cf_db_is_postgres(const struct cf_db *db);

/* Migrations are numbered, forward only, each in one transaction together with its entry in schema_migrations.
 * Modules list theirs in one table (src/store/migrations.def order); sql may hold several statements separated by ";\n". */
struct cf_migration {
    int number;       /* unique over the product; 1xx store, 2xx directory, 3xx audit/api, 4xx incident, 5xx workflow, 6xx asset, 7xx detect content */
    const char *name;
    const char *sql;
};
int cf_db_migrate(struct cf_db *db, const struct cf_migration *m, size_t n, struct cf_error *reterr);

enum cf_tx_mode { CF_TX_READ, CF_TX_WRITE };
int cf_tx_begin(struct cf_db *db, enum cf_tx_mode mode, struct cf_tx **ret, struct cf_error *reterr);
int cf_tx_commit(struct cf_tx **tx, struct cf_error *reterr); /* durable on return; frees *tx and sets NULL either way */
void cf_tx_rollback(struct cf_tx **tx);                      /* NULL is fine */

enum cf_dbtype { CF_DB_NULL, CF_DB_I64, CF_DB_F64, CF_DB_TEXT, CF_DB_BLOB };
struct cf_dbval {
    enum cf_dbtype type;
    union {
        int64_t i;
        double f;
        cf_str s; /* TEXT and BLOB; borrowed */
    };
};
#define CF_I(v) ((struct cf_dbval){.type = CF_DB_I64, .i = (int64_t)(v)})
#define CF_D(v) ((struct cf_dbval){.type = CF_DB_F64, .f = (v)})
#define CF_S(v) ((struct cf_dbval){.type = CF_DB_TEXT, .s = (v)})            /* cf_str; .p NULL binds NULL */
#define CF_Z(v) ((struct cf_dbval){.type = CF_DB_TEXT, .s = cf_str_c(v)})    /* char *; NULL binds NULL */
#define CF_B(v) ((struct cf_dbval){.type = CF_DB_BLOB, .s = (v)})
#define CF_NUL ((struct cf_dbval){.type = CF_DB_NULL})

/* Runs a statement that returns no rows; *ret_changed (may be NULL) = rows changed. CF_EEXIST on a unique violation. */
int cf_tx_execv(struct cf_tx *tx, const char *sql, const struct cf_dbval *v, size_t n, int64_t *ret_changed, struct cf_error *reterr);
#define cf_tx_exec(tx, sql, reterr, ...) \
    cf_tx_execv((tx), (sql), &((const struct cf_dbval[]){{0}, ##__VA_ARGS__})[1], \
                sizeof((const struct cf_dbval[]){{0}, ##__VA_ARGS__}) / sizeof(struct cf_dbval) - 1, NULL, (reterr))
/* Runs a query (INSERT ... RETURNING too); rows by cf_stmt_next. Several may be open at once. */
int cf_tx_queryv(struct cf_tx *tx, const char *sql, const struct cf_dbval *v, size_t n, struct cf_stmt **ret, struct cf_error *reterr);
#define cf_tx_query(tx, sql, ret, reterr, ...) \
    cf_tx_queryv((tx), (sql), &((const struct cf_dbval[]){{0}, ##__VA_ARGS__})[1], \
                 sizeof((const struct cf_dbval[]){{0}, ##__VA_ARGS__}) / sizeof(struct cf_dbval) - 1, (ret), (reterr))
/* 1: a row, 0: no more, <0: error. Column texts are valid until the next call. */
int cf_stmt_next(struct cf_stmt *st, struct cf_error *reterr);
void cf_stmt_free(struct cf_stmt *st); /* NULL is fine; before commit */
bool cf_stmt_null(const struct cf_stmt *st, int col);
int64_t cf_stmt_i64(const struct cf_stmt *st, int col); /* 0 when NULL */
double cf_stmt_f64(const struct cf_stmt *st, int col);
cf_str cf_stmt_str(const struct cf_stmt *st, int col);  /* .p NULL when NULL */
int cf_stmt_cols(const struct cf_stmt *st);
const char *cf_stmt_name(const struct cf_stmt *st, int col);

#endif
