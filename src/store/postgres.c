/* SPDX-License-Identifier: Apache-2.0
 * Record store on PostgreSQL (libpq). Same meaning as the SQLite engine: writers take turns by an advisory lock held until the
 * end of the transaction, so that read-then-write code is right without retries; readers see one snapshot. */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/record_private.h"

#define WRITER_LOCK "4857348623071" /* any constant: the key of the product's write turn */
enum { OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_TEXT = 25, OID_FLOAT8 = 701 };

struct cached {
    uint64_t hash, used;
    char *key; /* SQL and the types of its values */
    char name[24];
};
struct pg_conn {
    struct cf_dbconn head;
    PGconn *pg;
    uint64_t tick, serial;
    struct cached cache[CF_DB_STMT_CACHE];
};
struct pg_stmt {
    struct cf_stmt head;
    PGresult *res;
    int row;
    struct cf_arena decoded; /* bytea values of the current row */
};

/* ---- dialect ---- */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Length of the quoted text or comment that starts here, 0 when none does. */
static size_t opaque(const char *p)
{
    const char *e;

    if (*p == '\'' || *p == '"') {
        for (e = p + 1; *e; e++) {
            if (*e != *p)
                continue;
            if (e[1] != *p)
                return (size_t)(e - p) + 1;
            e++;
        }
        return strlen(p);
    }
    if (p[0] == '-' && p[1] == '-')
        return strcspn(p, "\n");
    if (p[0] == '/' && p[1] == '*') {
        e = strstr(p + 2, "*/");
        return e ? (size_t)(e - p) + 2 : strlen(p);
    }
    return 0;
}

static size_t type_word(const char *p, size_t n, const char *rest, struct cf_buf *out)
{
    cf_str w = {p, n};

    if (cf_str_ieq(w, CF_STR("BLOB")))
        cf_buf_z(out, "BYTEA");
    else if (cf_str_ieq(w, CF_STR("DOUBLE")) && !cf_str_istarts(cf_str_trim(cf_str_c(rest)), CF_STR("PRECISION")))
        cf_buf_z(out, "DOUBLE PRECISION");
    else
        cf_buf_add(out, p, n);
    return n;
}

char *cf_pg_translate(const char *sql, bool script)
{
    struct cf_buf out;
    unsigned n = 0;

    cf_buf_init(&out, 0);
    for (const char *p = sql; *p;) {
        size_t k = opaque(p);

        if (k) {
            cf_buf_add(&out, p, k);
            p += k;
        } else if (*p == '?' && !script) {
            cf_buf_printf(&out, "$%u", ++n);
            p++;
        } else if (is_word(*p)) {
            for (k = 1; is_word(p[k]); k++)
                ;
            p += script ? type_word(p, k, p + k, &out) : (cf_buf_add(&out, p, k), k);
        } else {
            cf_buf_byte(&out, *p++);
        }
    }
    cf_buf_byte(&out, 0);
    if (out.failed) {
        cf_buf_release(&out);
        return NULL;
    }
    return out.p; /* ownership moves to the caller */
}

/* ---- connection ---- */

static int code_of(const char *state)
{
    static const struct {
        const char *prefix;
        int code;
    } map[] = {
        {"23505", CF_EEXIST}, {"23", CF_EINVAL}, {"22", CF_EINVAL}, {"40001", CF_EBUSY}, {"40P01", CF_EBUSY}, {"55P03", CF_EBUSY},
        {"53100", CF_EFULL}, {"53200", CF_ENOMEM}, {"53", CF_EBUSY}, {"57014", CF_ECANCELLED}, {"57P", CF_EIO}, {"08", CF_EIO},
        {"25006", CF_EPERM}, {"28", CF_EAUTH}, {"54", CF_ELIMIT}, {"XX001", CF_ECORRUPT}, {"XX002", CF_ECORRUPT},
    };

    for (size_t i = 0; i < sizeof map / sizeof *map; i++) {
        if (strncmp(state, map[i].prefix, strlen(map[i].prefix)) == 0)
            return map[i].code;
    }
    return CF_EDB;
}

static int pg_error(struct pg_conn *c, const PGresult *res, const char *what, struct cf_error *reterr)
{
    const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    const char *msg = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    int code = state ? code_of(state) : CF_EIO;
    cf_str text = cf_str_trim(cf_str_c(msg ? msg : PQerrorMessage(c->pg)));

    if (PQstatus(c->pg) != CONNECTION_OK) {
        c->head.broken = true;
        code = CF_EIO;
    }
    return cf_error_set(reterr, code, "record store: %.200s: %.*s", what, CF_ARG(text));
}

static void pg_disconnect(struct cf_dbconn *head)
{
    struct pg_conn *c = (struct pg_conn *)head;

    for (size_t i = 0; i < CF_DB_STMT_CACHE; i++)
        free(c->cache[i].key);
    PQfinish(c->pg);
    free(c);
}

static int plain(struct pg_conn *c, const char *sql, struct cf_error *reterr)
{
    PGresult *res = PQexec(c->pg, sql);
    ExecStatusType st = PQresultStatus(res);
    int r = st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK ? 0 : pg_error(c, res, sql, reterr);

    PQclear(res);
    return r;
}

static void quiet(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

static int pg_connect(struct cf_db *db, enum cf_tx_mode mode, struct cf_dbconn **ret, struct cf_error *reterr)
{
    static const char setup[] = "SET client_encoding = 'UTF8'; SET TIME ZONE 'UTC'; SET lock_timeout = '10s'; SET statement_timeout = '120s';"
                                "SET synchronous_commit = on; SET standard_conforming_strings = on; SET extra_float_digits = 1";
    struct pg_conn *c = calloc(1, sizeof *c);
    int r;

    (void)mode;
    if (!c)
        return cf_error_set(reterr, CF_ENOMEM, "record store: out of memory");
    c->pg = PQconnectdb(db->target);
    if (PQstatus(c->pg) != CONNECTION_OK) {
        r = cf_error_set(reterr, CF_EIO, "record store: connecting to PostgreSQL: %.*s", CF_ARG(cf_str_trim(cf_str_c(PQerrorMessage(c->pg)))));
    } else {
        (void)PQsetNoticeProcessor(c->pg, quiet, NULL);
        r = plain(c, setup, reterr);
    }
    if (r < 0) {
        pg_disconnect(&c->head);
        return r;
    }
    *ret = &c->head;
    return 0;
}

static int pg_begin(struct cf_dbconn *head, struct cf_error *reterr)
{
    struct pg_conn *c = (struct pg_conn *)head;
    int r;

    if (head->mode == CF_TX_READ)
        return plain(c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", reterr);
    r = plain(c, "BEGIN ISOLATION LEVEL READ COMMITTED", reterr);
    if (r == 0)
        r = plain(c, "SELECT pg_advisory_xact_lock(" WRITER_LOCK ")", reterr);
    if (r < 0 && !head->broken)
        (void)plain(c, "ROLLBACK", NULL);
    return r;
}

static int pg_commit(struct cf_dbconn *head, struct cf_error *reterr)
{
    struct pg_conn *c = (struct pg_conn *)head;
    PGresult *res = PQexec(c->pg, "COMMIT");
    int r = 0;

    if (PQresultStatus(res) != PGRES_COMMAND_OK)
        r = pg_error(c, res, "COMMIT", reterr);
    else if (strcmp(PQcmdStatus(res), "COMMIT") != 0) /* an aborted transaction answers ROLLBACK */
        r = cf_error_set(reterr, CF_EDB, "record store: the transaction had failed and was rolled back");
    PQclear(res);
    return r;
}

static void pg_rollback(struct cf_dbconn *head)
{
    struct pg_conn *c = (struct pg_conn *)head;

    if (head->broken)
        return;
    if (PQtransactionStatus(c->pg) != PQTRANS_IDLE && plain(c, "ROLLBACK", NULL) < 0)
        head->broken = true;
}

static int pg_script(struct cf_dbconn *head, const char *sql, struct cf_error *reterr)
{
    char *own = cf_pg_translate(sql, true);
    int r = own ? plain((struct pg_conn *)head, own, reterr) : cf_error_set(reterr, CF_ENOMEM, "record store: out of memory");

    free(own);
    return r;
}

/* ---- statements ---- */

static Oid oid_of(const struct cf_dbval *v)
{
    switch (v->type) {
    case CF_DB_I64: return OID_INT8;
    case CF_DB_F64: return OID_FLOAT8;
    case CF_DB_TEXT: return OID_TEXT;
    case CF_DB_BLOB: return OID_BYTEA;
    case CF_DB_NULL: break;
    }
    return 0; /* from the context */
}

/* The prepared statement for this text and these types, prepared when new. */
static int prepared(struct pg_conn *c, const char *sql, const struct cf_dbval *v, size_t n, const char **ret, struct cf_error *reterr)
{
    Oid types[CF_DB_PARAMS_MAX];
    char sig[CF_DB_PARAMS_MAX + 1];
    struct cached *slot = &c->cache[0];
    struct cf_buf key;
    uint64_t h;
    int r = 0;

    for (size_t i = 0; i < n; i++) {
        types[i] = oid_of(&v[i]);
        sig[i] = (char)('0' + (int)v[i].type);
    }
    sig[n] = 0;
    cf_buf_init(&key, 0);
    cf_buf_printf(&key, "%s|%s", sig, sql);
    h = cf_hash64(cf_buf_view(&key));
    for (size_t i = 0; i < CF_DB_STMT_CACHE; i++) {
        struct cached *s = &c->cache[i];

        if (s->key && s->hash == h && strcmp(s->key, cf_buf_cstr(&key)) == 0) {
            s->used = ++c->tick;
            *ret = s->name;
            goto out;
        }
        if (s->used < slot->used)
            slot = s;
    }
    if (slot->key) {
        char drop[48];

        (void)snprintf(drop, sizeof drop, "DEALLOCATE %s", slot->name);
        r = plain(c, drop, reterr);
        if (r < 0)
            goto out;
        free(slot->key);
        slot->key = NULL;
        slot->used = 0;
    }
    (void)snprintf(slot->name, sizeof slot->name, "cf%" PRIu64, ++c->serial);
    char *own = cf_pg_translate(sql, false);
    PGresult *res = own ? PQprepare(c->pg, slot->name, own, (int)n, types) : NULL;

    if (!own)
        r = cf_error_set(reterr, CF_ENOMEM, "record store: out of memory");
    else if (PQresultStatus(res) != PGRES_COMMAND_OK)
        r = pg_error(c, res, sql, reterr);
    if (r == 0) {
        slot->key = strdup(cf_buf_cstr(&key));
        slot->hash = h;
        slot->used = ++c->tick;
        *ret = slot->name;
    }
    PQclear(res);
    free(own);
out:
    cf_buf_release(&key);
    return r;
}

/* Values in libpq's form: text, numbers printed, bytea binary. */
static int run(struct pg_conn *c, const char *sql, const struct cf_dbval *v, size_t n, PGresult **ret, struct cf_error *reterr)
{
    const char *values[CF_DB_PARAMS_MAX], *name = NULL;
    int lengths[CF_DB_PARAMS_MAX], formats[CF_DB_PARAMS_MAX];
    struct cf_arena tmp;
    ExecStatusType st;
    int r = prepared(c, sql, v, n, &name, reterr);

    if (r < 0)
        return r;
    cf_arena_init(&tmp, 0, 0);
    for (size_t i = 0; i < n; i++) {
        lengths[i] = formats[i] = 0;
        values[i] = NULL;
        if (v[i].type == CF_DB_I64)
            values[i] = cf_arena_printf(&tmp, "%" PRId64, v[i].i).p;
        else if (v[i].type == CF_DB_F64)
            values[i] = cf_arena_printf(&tmp, "%.17g", v[i].f).p;
        else if (v[i].type != CF_DB_NULL && v[i].s.p) {
            values[i] = v[i].type == CF_DB_BLOB ? v[i].s.p : cf_arena_strdup(&tmp, v[i].s);
            lengths[i] = (int)v[i].s.n;
            formats[i] = v[i].type == CF_DB_BLOB;
        } else {
            continue;
        }
        if (!values[i]) {
            r = cf_error_set(reterr, CF_ENOMEM, "record store: out of memory");
            goto out;
        }
    }
    PGresult *res = PQexecPrepared(c->pg, name, (int)n, values, lengths, formats, 0);

    st = PQresultStatus(res);
    if (st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK) {
        *ret = res;
    } else {
        r = pg_error(c, res, sql, reterr);
        PQclear(res);
    }
out:
    cf_arena_release(&tmp);
    return r;
}

static int pg_exec(struct cf_dbconn *head, const char *sql, const struct cf_dbval *v, size_t n, int64_t *ret_changed, struct cf_error *reterr)
{
    PGresult *res = NULL;
    int r = run((struct pg_conn *)head, sql, v, n, &res, reterr);

    if (r < 0)
        return r;
    *ret_changed = 0;
    if (strncmp(PQcmdStatus(res), "SELECT", 6) != 0)
        (void)cf_str_i64(cf_str_c(PQcmdTuples(res)), ret_changed);
    PQclear(res);
    return 0;
}

static int pg_query(struct cf_dbconn *head, const char *sql, const struct cf_dbval *v, size_t n, struct cf_stmt **ret, struct cf_error *reterr)
{
    struct pg_stmt *s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return cf_error_set(reterr, CF_ENOMEM, "record store: out of memory");
    r = run((struct pg_conn *)head, sql, v, n, &s->res, reterr);
    if (r < 0) {
        free(s);
        return r;
    }
    s->row = -1;
    cf_arena_init(&s->decoded, 0, 0);
    *ret = &s->head;
    return 0;
}

static int pg_next(struct cf_stmt *head, struct cf_error *reterr)
{
    struct pg_stmt *s = (struct pg_stmt *)head;

    (void)reterr;
    if (s->row + 1 >= PQntuples(s->res))
        return 0;
    s->row++;
    cf_arena_reset(&s->decoded);
    return 1;
}

static void pg_free_stmt(struct cf_stmt *head)
{
    struct pg_stmt *s = (struct pg_stmt *)head;

    PQclear(s->res);
    cf_arena_release(&s->decoded);
    free(s);
}

static const struct pg_stmt *of(const struct cf_stmt *st)
{
    return (const struct pg_stmt *)st;
}

static bool pg_is_null(const struct cf_stmt *st, int col)
{
    return PQgetisnull(of(st)->res, of(st)->row, col) == 1;
}

static cf_str raw(const struct cf_stmt *st, int col)
{
    const struct pg_stmt *s = of(st);

    return (cf_str){PQgetvalue(s->res, s->row, col), (size_t)PQgetlength(s->res, s->row, col)};
}

static cf_str pg_str(const struct cf_stmt *st, int col)
{
    cf_str v = raw(st, col);
    Oid type = PQftype(of(st)->res, col);

    if (pg_is_null(st, col))
        return CF_STR_NONE;
    if (type == OID_BOOL)
        return v.p[0] == 't' ? CF_STR("1") : CF_STR("0");
    if (type == OID_BYTEA && v.n >= 2 && v.p[0] == '\\' && v.p[1] == 'x') {
        struct cf_arena *a = &((struct pg_stmt *)(uintptr_t)st)->decoded;
        size_t n = (v.n - 2) / 2;
        char *o = cf_arena_bytes(a, n ? n : 1);

        if (!o || !cf_unhex((cf_str){v.p + 2, v.n - 2}, (uint8_t *)o, n))
            return CF_STR_NONE;
        return (cf_str){o, n};
    }
    return v;
}

static int64_t pg_i64(const struct cf_stmt *st, int col)
{
    cf_str v = pg_is_null(st, col) ? CF_STR_NONE : pg_str(st, col);
    int64_t n = 0;
    double d;

    if (!v.n || cf_str_i64(v, &n))
        return n;
    return cf_str_f64(v, &d) && d > -9.2e18 && d < 9.2e18 ? (int64_t)d : 0;
}

static double pg_f64(const struct cf_stmt *st, int col)
{
    cf_str v = pg_is_null(st, col) ? CF_STR_NONE : pg_str(st, col);
    double d = 0;

    (void)(v.n && cf_str_f64(v, &d));
    return d;
}

static int pg_cols(const struct cf_stmt *st)
{
    return PQnfields(of(st)->res);
}

static const char *pg_col_name(const struct cf_stmt *st, int col)
{
    return PQfname(of(st)->res, col);
}

const struct cf_db_engine cf_db_postgres = {
    .name = "PostgreSQL",
    .pool = {8, 2},
    .connect = pg_connect,
    .disconnect = pg_disconnect,
    .begin = pg_begin,
    .commit = pg_commit,
    .rollback = pg_rollback,
    .script = pg_script,
    .query = pg_query,
    .exec = pg_exec,
    .next = pg_next,
    .free_stmt = pg_free_stmt,
    .is_null = pg_is_null,
    .i64 = pg_i64,
    .f64 = pg_f64,
    .str = pg_str,
    .cols = pg_cols,
    .col_name = pg_col_name,
};
