/* SPDX-License-Identifier: Apache-2.0
 * What record_store.c (pool, transactions, migrations) and the two engines (sqlite.c, postgres.c) share. */
#ifndef CF_STORE_RECORD_PRIVATE_H
#define CF_STORE_RECORD_PRIVATE_H

#include <pthread.h>

#include "store/record_store.h"

#define CF_DB_WAIT_MS 10000      /* for a free connection, the write turn or a lock of the engine; then CF_EBUSY */
#define CF_DB_STMT_CACHE 128     /* prepared statements kept per connection */
#define CF_DB_PARAMS_MAX 512

struct cf_dbconn { /* first member of an engine's connection */
    struct cf_dbconn *next;
    enum cf_tx_mode mode;
    bool broken; /* not to be reused */
};

struct cf_stmt { /* first member of an engine's statement */
    struct cf_tx *tx;
    const struct cf_db_engine *engine;
};

/* One engine. A connection and its statements belong to one thread at a time. */
struct cf_db_engine {
    const char *name;
    size_t pool[2]; /* most connections for CF_TX_READ, CF_TX_WRITE */
    int (*connect)(struct cf_db *db, enum cf_tx_mode mode, struct cf_dbconn **ret, struct cf_error *reterr);
    void (*disconnect)(struct cf_dbconn *c);
    int (*begin)(struct cf_dbconn *c, struct cf_error *reterr); /* in the connection's mode */
    int (*commit)(struct cf_dbconn *c, struct cf_error *reterr);
    void (*rollback)(struct cf_dbconn *c);
    int (*script)(struct cf_dbconn *c, const char *sql, struct cf_error *reterr);
    int (*query)(struct cf_dbconn *c, const char *sql, const struct cf_dbval *v, size_t n, struct cf_stmt **ret, struct cf_error *reterr);
    int (*exec)(struct cf_dbconn *c, const char *sql, const struct cf_dbval *v, size_t n, int64_t *ret_changed, struct cf_error *reterr);
    int (*next)(struct cf_stmt *st, struct cf_error *reterr);
    void (*free_stmt)(struct cf_stmt *st);
    bool (*is_null)(const struct cf_stmt *st, int col);
    int64_t (*i64)(const struct cf_stmt *st, int col);
    double (*f64)(const struct cf_stmt *st, int col);
    cf_str (*str)(const struct cf_stmt *st, int col);
    int (*cols)(const struct cf_stmt *st);
    const char *(*col_name)(const struct cf_stmt *st, int col);
};
extern const struct cf_db_engine cf_db_sqlite, cf_db_postgres;

struct cf_db_waiter {
    bool granted;
    struct cf_db_waiter *next;
};
struct cf_db {
    const struct cf_db_engine *engine;
    char *target; /* path or libpq URL */
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t freed[2];
    struct cf_dbconn *idle[2];
    size_t n_open[2], n_idle[2];
    struct cf_db_waiter *first[2]; /* who waits, in the order they came: a transaction that ends is followed by the one that waited longest */
    size_t granted[2];             /* connections given to waiters that have not woken yet */
};
struct cf_tx {
    struct cf_db *db;
    struct cf_dbconn *conn;
    bool failed;           /* a statement failed: only rollback is left, as PostgreSQL has it */
    struct cf_arena clean; /* text made valid for the engines */
};

/* SQL in the engine's dialect, malloc'd: `?` outside quotes and comments becomes $1, $2 ...; in scripts the types BLOB and
 * DOUBLE become BYTEA and DOUBLE PRECISION. NULL: no memory. */
char *cf_pg_translate(const char *sql, bool script);

#endif
