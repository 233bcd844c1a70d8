/* SPDX-License-Identifier: Apache-2.0
 * Record store, the part both engines share: the connection pool, transactions, migrations. */
#include "store/record_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/record_private.h"

static void cond_init(pthread_cond_t *c)
{
    pthread_condattr_t a;

    (void)pthread_condattr_init(&a);
    (void)pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    (void)pthread_cond_init(c, &a);
    (void)pthread_condattr_destroy(&a);
}

int cf_db_open(const char *url, struct cf_db **ret, struct cf_error *reterr)
{
    struct cf_db *db = calloc(1, sizeof *db);
    struct cf_tx *tx = NULL;
    int r;

    if (!db)
        return cf_error_set(reterr, CF_ENOMEM, "record store: out of memory");
    if (strncmp(url, "sqlite:", 7) == 0) {
        db->engine = &cf_db_sqlite;
        db->target = strdup(url + 7);
    } else if (strncmp(url, "postgresql://", 13) == 0 || strncmp(url, "postgres://", 11) == 0) {
        db->engine = &cf_db_postgres;
        db->target = strdup(url);
    } else {
        free(db);
        return cf_error_set(reterr, CF_EINVAL, "record store: the address must begin with \"sqlite:\" or \"postgresql://\"");
    }
    (void)pthread_mutex_init(&db->lock, NULL);
    cond_init(&db->freed[0]);
    cond_init(&db->freed[1]);
    if (!db->target) {
        cf_db_close(db);
        return cf_error_set(reterr, CF_ENOMEM, "record store: out of memory");
    }
    /* the writer goes first: it creates the file */
    r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);
    if (r < 0) {
        cf_db_close(db);
        return r;
    }
    cf_tx_rollback(&tx);
    *ret = db;
    return 0;
}

void cf_db_close(struct cf_db *db)
{
    if (!db)
        return;
    for (int mode = 0; mode < 2; mode++) { /* readers first, so that the writer can fold the WAL back */
        while (db->idle[mode]) {
            struct cf_dbconn *c = db->idle[mode];

            db->idle[mode] = c->next;
            db->engine->disconnect(c);
        }
        (void)pthread_cond_destroy(&db->freed[mode]);
    }
    (void)pthread_mutex_destroy(&db->lock);
    free(db->target);
    free(db);
}

bool cf_db_is_postgres(const struct cf_db *db)
{
    return db->engine == &cf_db_postgres;
}

/* ---- pool ---- */

static bool none_free(const struct cf_db *db, enum cf_tx_mode mode)
{
    return db->n_idle[mode] + db->engine->pool[mode] - db->n_open[mode] <= db->granted[mode];
}

/* The one that has waited longest may go on. A caller that ends one transaction and begins the next at once stands behind it. */
static void grant(struct cf_db *db, enum cf_tx_mode mode)
{
    struct cf_db_waiter *w = db->first[mode];

    if (!w)
        return;
    db->first[mode] = w->next;
    w->granted = true;
    db->granted[mode]++;
    (void)pthread_cond_broadcast(&db->freed[mode]);
}

static bool wait_turn(struct cf_db *db, enum cf_tx_mode mode)
{
    struct cf_db_waiter me = {.next = NULL}, **at = &db->first[mode];
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CF_DB_WAIT_MS / 1000;
    while (*at)
        at = &(*at)->next;
    *at = &me;
    while (!me.granted && pthread_cond_timedwait(&db->freed[mode], &db->lock, &until) != ETIMEDOUT) {
    }
    if (me.granted) {
        db->granted[mode]--;
        return true;
    }
    for (at = &db->first[mode]; *at != &me; at = &(*at)->next) {
    }
    *at = me.next;
    return false;
}

/* A connection from the pool or a new one; waits while all are in use. */
static int conn_get(struct cf_db *db, enum cf_tx_mode mode, struct cf_dbconn **ret, struct cf_error *reterr)
{
    int r = 0;

    (void)pthread_mutex_lock(&db->lock);
    if (none_free(db, mode) && !wait_turn(db, mode)) {
        (void)pthread_mutex_unlock(&db->lock);
        return cf_error_set(reterr, CF_EBUSY, "record store: all %zu %s connections have been in use for %d s", db->engine->pool[mode],
                            mode == CF_TX_WRITE ? "write" : "read", CF_DB_WAIT_MS / 1000);
    }
    if (db->idle[mode]) {
        *ret = db->idle[mode];
        db->idle[mode] = (*ret)->next;
        db->n_idle[mode]--;
        (void)pthread_mutex_unlock(&db->lock);
        return 0;
    }
    db->n_open[mode]++;
    (void)pthread_mutex_unlock(&db->lock);
    r = db->engine->connect(db, mode, ret, reterr);
    if (r < 0) {
        (void)pthread_mutex_lock(&db->lock);
        db->n_open[mode]--;
        grant(db, mode);
        (void)pthread_mutex_unlock(&db->lock);
        return r;
    }
    (*ret)->mode = mode;
    return 0;
}

static void conn_put(struct cf_db *db, struct cf_dbconn *c)
{
    enum cf_tx_mode mode = c->mode;
    bool broken = c->broken;

    if (broken)
        db->engine->disconnect(c);
    (void)pthread_mutex_lock(&db->lock);
    if (broken) {
        db->n_open[mode]--;
    } else {
        c->next = db->idle[mode];
        db->idle[mode] = c;
        db->n_idle[mode]++;
    }
    grant(db, mode);
    (void)pthread_mutex_unlock(&db->lock);
}

/* ---- transactions ---- */

int cf_tx_begin(struct cf_db *db, enum cf_tx_mode mode, struct cf_tx **ret, struct cf_error *reterr)
{
    struct cf_tx *tx;
    struct cf_dbconn *c = NULL;
    int r;

    for (int attempt = 0;; attempt++) {
        r = conn_get(db, mode, &c, reterr);
        if (r < 0)
            return r;
        r = db->engine->begin(c, reterr);
        if (r == 0)
            break;
        bool again = c->broken && attempt < (int)db->engine->pool[mode]; /* the server was restarted: each idle one is dead */

        conn_put(db, c);
        if (!again)
            return r;
    }
    tx = calloc(1, sizeof *tx);
    if (!tx) {
        db->engine->rollback(c);
        conn_put(db, c);
        return cf_error_set(reterr, CF_ENOMEM, "record store: out of memory");
    }
    tx->db = db;
    tx->conn = c;
    cf_arena_init(&tx->clean, 4096, 256u << 20);
    *ret = tx;
    return 0;
}

static void tx_end(struct cf_tx **tx)
{
    conn_put((*tx)->db, (*tx)->conn);
    cf_arena_release(&(*tx)->clean);
    free(*tx);
    *tx = NULL;
}

int cf_tx_commit(struct cf_tx **tx, struct cf_error *reterr)
{
    struct cf_tx *t = *tx;
    int r;

    if (t->failed) {
        cf_tx_rollback(tx);
        return cf_error_set(reterr, CF_EDB, "record store: the transaction had failed and was rolled back");
    }
    r = t->db->engine->commit(t->conn, reterr);
    if (r < 0)
        t->db->engine->rollback(t->conn);
    tx_end(tx);
    return r;
}

void cf_tx_rollback(struct cf_tx **tx)
{
    if (!tx || !*tx)
        return;
    (*tx)->db->engine->rollback((*tx)->conn);
    tx_end(tx);
}

/* Text for the engines: valid UTF-8 without NUL. What is not becomes U+FFFD, the same in both. */
static int clean_text(struct cf_tx *tx, cf_str in, cf_str *ret)
{
    char *o;
    size_t n = 0;

    if (in.n == 0 || (cf_utf8_valid(in) && !memchr(in.p, 0, in.n))) {
        *ret = in;
        return 0;
    }
    o = cf_arena_bytes(&tx->clean, in.n * 3);
    if (!o)
        return CF_ENOMEM;
    for (size_t i = 0; i < in.n;) {
        unsigned char c = (unsigned char)in.p[i];
        size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

        if (c != 0 && i + len <= in.n && cf_utf8_valid((cf_str){in.p + i, len})) {
            memcpy(o + n, in.p + i, len);
            n += len;
            i += len;
        } else {
            memcpy(o + n, "\xef\xbf\xbd", 3);
            n += 3;
            i++;
        }
    }
    *ret = (cf_str){o, n};
    return 0;
}

static int prepare_values(struct cf_tx *tx, const struct cf_dbval *v, size_t n, struct cf_dbval *out, struct cf_error *reterr)
{
    if (tx->failed) // NOLINT(clang-analyzer-core.NullDereference): set where cf_tx_begin answers 0
        return cf_error_set(reterr, CF_EDB, "record store: an earlier statement of this transaction failed; only rollback is possible");
    if (n > CF_DB_PARAMS_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "record store: %zu values for one statement, at most %d are possible", n, CF_DB_PARAMS_MAX);
    for (size_t i = 0; i < n; i++) {
        out[i] = v[i];
        if (v[i].type == CF_DB_TEXT && v[i].s.p && clean_text(tx, v[i].s, &out[i].s) < 0)
            return cf_error_set(reterr, CF_ENOMEM, "record store: out of memory");
    }
    return 0;
}

int cf_tx_execv(struct cf_tx *tx, const char *sql, const struct cf_dbval *v, size_t n, int64_t *ret_changed, struct cf_error *reterr)
{
    struct cf_dbval own[CF_DB_PARAMS_MAX];
    int64_t changed = 0;
    int r = prepare_values(tx, v, n, own, reterr);

    if (r < 0)
        return r;
    r = tx->db->engine->exec(tx->conn, sql, own, n, &changed, reterr);
    if (r < 0)
        tx->failed = true;
    else if (ret_changed)
        *ret_changed = changed;
    return r;
}

int cf_tx_queryv(struct cf_tx *tx, const char *sql, const struct cf_dbval *v, size_t n, struct cf_stmt **ret, struct cf_error *reterr)
{
    struct cf_dbval own[CF_DB_PARAMS_MAX];
    struct cf_stmt *st = NULL;
    int r = prepare_values(tx, v, n, own, reterr);

    if (r < 0)
        return r;
    r = tx->db->engine->query(tx->conn, sql, own, n, &st, reterr);
    if (r < 0) {
        tx->failed = true;
        return r;
    }
    st->tx = tx;
    st->engine = tx->db->engine;
    *ret = st;
    return 0;
}

int cf_stmt_next(struct cf_stmt *st, struct cf_error *reterr)
{
    int r = st->engine->next(st, reterr);

    if (r < 0)
        st->tx->failed = true;
    return r;
}

void cf_stmt_free(struct cf_stmt *st)
{
    if (st)
        st->engine->free_stmt(st);
}

bool cf_stmt_null(const struct cf_stmt *st, int col)
{
    return st->engine->is_null(st, col);
}

int64_t cf_stmt_i64(const struct cf_stmt *st, int col)
{
    return st->engine->i64(st, col);
}

double cf_stmt_f64(const struct cf_stmt *st, int col)
{
    return st->engine->f64(st, col);
}

cf_str cf_stmt_str(const struct cf_stmt *st, int col)
{
    return st->engine->str(st, col);
}

int cf_stmt_cols(const struct cf_stmt *st)
{
    return st->engine->cols(st);
}

const char *cf_stmt_name(const struct cf_stmt *st, int col)
{
    return st->engine->col_name(st, col);
}

/* ---- migrations ---- */

static int by_number(const void *a, const void *b)
{
    const struct cf_migration *const *x = a, *const *y = b;

    return (*x)->number < (*y)->number ? -1 : (*x)->number > (*y)->number;
}

static int one_step(struct cf_db *db, const char *sql, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);

    if (r != 0)
        return r;
    r = db->engine->script(tx->conn, sql, reterr);
    if (r < 0) {
        cf_tx_rollback(&tx);
        return r;
    }
    return cf_tx_commit(&tx, reterr);
}

/* 1: there already, 0: to be run. */
static int applied(struct cf_tx *tx, const struct cf_migration *m, int64_t sum, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT sum FROM schema_migrations WHERE number = ?", &st, reterr, CF_I(m->number));

    if (r < 0)
        return r;
    r = cf_stmt_next(st, reterr);
    if (r == 1 && cf_stmt_i64(st, 0) != sum)
        r = cf_error_set(reterr, CF_ECONFLICT, "migration %d (%s) was changed after it ran on this database; add a new migration instead",
                         m->number, m->name);
    cf_stmt_free(st);
    return r;
}

static int migrate_one(struct cf_db *db, const struct cf_migration *m, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int64_t sum = (int64_t)(cf_hash64(cf_str_c(m->sql)) >> 1);
    int r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);

    if (r < 0)
        return r;
    r = applied(tx, m, sum, reterr);
    if (r != 0)
        goto out;
    r = db->engine->script(tx->conn, m->sql, reterr);
    if (r < 0)
        goto out;
    r = cf_tx_exec(tx, "INSERT INTO schema_migrations (number, name, sum, applied_us) VALUES (?, ?, ?, ?)", reterr,
                   CF_I(m->number), CF_Z(m->name), CF_I(sum), CF_I(cf_now_us()));
    if (r < 0)
        goto out;
    r = cf_tx_commit(&tx, reterr);
out:
    cf_tx_rollback(&tx);
    if (r < 0)
        cf_error_context(reterr, "migration %d (%s)", m->number, m->name);
    return r < 0 ? r : 0;
}

int cf_db_migrate(struct cf_db *db, const struct cf_migration *m, size_t n, struct cf_error *reterr)
{
    const struct cf_migration **order = calloc(n ? n : 1, sizeof *order);
    int r;

    if (!order)
        return cf_error_set(reterr, CF_ENOMEM, "record store: out of memory");
    for (size_t i = 0; i < n; i++)
        order[i] = &m[i];
    qsort(order, n, sizeof *order, by_number);
    for (size_t i = 1; i < n; i++) {
        if (order[i]->number == order[i - 1]->number) {
            r = cf_error_set(reterr, CF_EINVAL, "migration %d appears twice (%s, %s)", order[i]->number, order[i - 1]->name, order[i]->name);
            goto out;
        }
    }
    r = one_step(db,
                 "CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, sum BIGINT NOT NULL, "
                 "applied_us BIGINT NOT NULL)",
                 reterr);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = migrate_one(db, order[i], reterr);
out:
    free(order);
    return r;
}
