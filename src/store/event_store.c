/* SPDX-License-Identifier: Apache-2.0
 * Event store, the part both back ends share: options, schema migrations, insert, queries with limits, statistics. */
#include "store/event_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/event_private.h"

#define RETENTION_DEFAULT 400
#define RETENTION_MIN 365
#define SCOPE_MAX 20000
#define MEMORY_DEFAULT (INT64_C(900) << 20)

static const struct cf_query_limits limits_default = {.max_ms = 10000, .max_memory = INT64_C(400) << 20, .max_rows = 100000};

static bool plain_name(cf_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9' && i) || c == '_'))
            return false;
    }
    return s.n > 0 && s.n < 64;
}

static int check_options(struct cf_event_store *s, const struct cf_event_store_options *o, struct cf_error *reterr)
{
    cf_str db = o->database.n ? o->database : CF_STR("chengfang");

    if (cf_str_eqz(o->kind, "clickhouse"))
        s->backend = &cf_event_clickhouse;
    else if (!o->kind.n || cf_str_eqz(o->kind, "chdb"))
        s->backend = &cf_event_chdb;
    else
        return cf_error_set(reterr, CF_EINVAL, "event store: kind must be \"chdb\" or \"clickhouse\", not \"%.*s\"", CF_ARG(o->kind));
    if (!plain_name(db) || (o->cluster.n && !plain_name(o->cluster)))
        return cf_error_set(reterr, CF_EINVAL, "event store: database and cluster names are letters, digits and _");
    (void)snprintf(s->database, sizeof s->database, "%.*s", CF_ARG(db));
    (void)snprintf(s->cluster, sizeof s->cluster, "%.*s", CF_ARG(o->cluster));
    s->retention_days = o->retention_days ? o->retention_days : RETENTION_DEFAULT;
    if (s->retention_days < 1 || s->retention_days > 36500)
        return cf_error_set(reterr, CF_EINVAL, "event store: retention must be 1 to 36500 days, not %" PRId64, s->retention_days);
    if (s->retention_days < RETENTION_MIN && !o->retention_override)
        return cf_error_set(reterr, CF_EINVAL,
                            "event store: retention of %" PRId64 " days is under the year the regulations ask for; set retention_override if that is meant",
                            s->retention_days);
    s->memory_max = o->memory_max ? o->memory_max : MEMORY_DEFAULT;
    s->insert_rows_max = o->insert_rows_max;
    s->threads = o->threads ? o->threads : sysconf(_SC_NPROCESSORS_ONLN);
    return 0;
}

/* ---- schema ---- */

static int run_all(struct cf_event_store *s, cf_str statements, struct cf_error *reterr)
{
    while (statements.n) {
        ptrdiff_t end = cf_str_find(statements, CF_STR(";\n"));
        cf_str one = end < 0 ? statements : cf_str_sub(statements, 0, (size_t)end);
        int r = s->backend->exec(s, one, reterr);

        if (r < 0)
            return r;
        statements = end < 0 ? CF_STR("") : cf_str_sub(statements, (size_t)end + 2, statements.n);
    }
    return 0;
}

static int one_number(struct cf_event_store *s, const char *sql, int64_t *ret, struct cf_error *reterr)
{
    struct cf_buf out;
    int r;

    cf_buf_init(&out, 4096);
    r = cf_event_store_query(s, cf_str_c(sql), NULL, 0, "TSV", NULL, &out, reterr);
    if (r == 0 && !cf_str_i64(cf_str_trim(cf_buf_view(&out)), ret))
        r = cf_error_set(reterr, CF_ECORRUPT, "event store: a number was expected from: %s", sql);
    cf_buf_release(&out);
    return r;
}

/* Each version in turn; its statements may be repeated, its number is stored last. */
static int migrate(struct cf_event_store *s, struct cf_error *reterr)
{
    struct cf_event_ddl ddl = {.database = cf_str_c(s->database), .cluster = cf_str_c(s->cluster), .replicated = s->replicated,
                               .retention_days = s->retention_days};
    struct cf_buf sql;
    char text[512];
    int64_t have = 0;
    int r;

    (void)snprintf(text, sizeof text, "CREATE DATABASE IF NOT EXISTS %s", s->database);
    r = s->backend->exec(s, cf_str_c(text), reterr);
    (void)snprintf(text, sizeof text,
                   "CREATE TABLE IF NOT EXISTS %s.schema_migrations (number UInt32, applied DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY number",
                   s->database);
    if (r == 0)
        r = s->backend->exec(s, cf_str_c(text), reterr);
    (void)snprintf(text, sizeof text, "SELECT toInt64(max(number)) FROM %s.schema_migrations", s->database);
    if (r == 0)
        r = one_number(s, text, &have, reterr);
    if (r == 0 && have > CF_EVENT_SCHEMA_VERSION)
        r = cf_error_set(reterr, CF_EUNSUPPORTED, "event store: the data has schema %" PRId64 ", this program knows %d: use the newer program", have,
                         CF_EVENT_SCHEMA_VERSION);
    cf_buf_init(&sql, 0);
    for (int v = (int)have + 1; r == 0 && v <= CF_EVENT_SCHEMA_VERSION; v++) {
        cf_buf_clear(&sql);
        (void)cf_event_ddl(&ddl, v, &sql);
        r = sql.failed ? cf_error_set(reterr, CF_ENOMEM, "event store: out of memory") : run_all(s, cf_buf_view(&sql), reterr);
        (void)snprintf(text, sizeof text, "INSERT INTO %s.schema_migrations (number) VALUES (%d)", s->database, v);
        if (r == 0)
            r = s->backend->exec(s, cf_str_c(text), reterr);
        if (r < 0)
            cf_error_context(reterr, "event schema %d", v);
    }
    cf_buf_clear(&sql);
    cf_event_ddl_retention(&ddl, &sql);
    if (r == 0)
        r = s->backend->exec(s, cf_buf_view(&sql), reterr);
    cf_buf_release(&sql);
    return r;
}

int cf_event_store_open(const struct cf_event_store_options *o, struct cf_event_store **ret, struct cf_error *reterr)
{
    struct cf_event_store *s = calloc(1, sizeof *s);
    struct cf_buf list;
    int r;

    if (!s)
        return cf_error_set(reterr, CF_ENOMEM, "event store: out of memory");
    cf_event_runs_init(s);
    r = check_options(s, o, reterr);
    if (r == 0) {
        cf_buf_init(&list, 0);
        cf_event_select_list(&list);
        cf_buf_byte(&list, 0);
        s->select_list = list.p; /* moves to s */
        r = list.failed ? cf_error_set(reterr, CF_ENOMEM, "event store: out of memory") : s->backend->open(s, o, reterr);
    }
    if (r == 0)
        r = migrate(s, reterr);
    if (r < 0) {
        cf_event_store_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

void cf_event_store_close(struct cf_event_store *s)
{
    if (!s)
        return;
    cf_event_runs_release(s);
    if (s->backend)
        s->backend->close(s);
    free(s->select_list);
    free(s);
}

/* ---- data ---- */

int cf_event_store_insert(struct cf_event_store *s, struct cf_event_block *b, cf_str token, bool again, struct cf_error *reterr)
{
    if (!cf_event_block_rows(b))
        return 0;
    if (s->insert_rows_max && cf_event_block_rows(b) > s->insert_rows_max)
        return cf_error_set(reterr, CF_ELIMIT, "event store: a block of %zu rows is larger than the %zu it takes", cf_event_block_rows(b), s->insert_rows_max);
    /* A cluster is not asked which rows it has: a replica may lag, and it must take rows while a node is away. It has the token. */
    return s->backend->insert(s, b, token, again && !s->cluster[0], reterr);
}

/* Parts are synced when the insert returns (fsync_after_insert) and after merges; a cluster sends on what nodes hold. */
int cf_event_store_sync(struct cf_event_store *s, struct cf_error *reterr)
{
    return s->backend->sync ? s->backend->sync(s, reterr) : 0;
}

int cf_event_store_merges(struct cf_event_store *s, bool on, int64_t *ret_parts, struct cf_error *reterr)
{
    char sql[256];
    int r;

    if (ret_parts)
        *ret_parts = 0;
    if (s->backend != &cf_event_chdb)
        return 0;
    atomic_store(&s->merges_held, !on);
    (void)snprintf(sql, sizeof sql, "SYSTEM %s MERGES %s.events", on ? "START" : "STOP", s->database);
    r = s->backend->exec(s, cf_str_c(sql), reterr);
    (void)snprintf(sql, sizeof sql, "SELECT toInt64(count()) FROM system.parts WHERE active AND database = '%s' AND table = 'events'", s->database);
    return r == 0 && ret_parts ? one_number(s, sql, ret_parts, reterr) : r;
}

void cf_event_escape_param(struct cf_buf *out, cf_str v)
{
    for (size_t i = 0; i < v.n; i++) {
        switch (v.p[i]) {
        case '\\': cf_buf_z(out, "\\\\"); break;
        case '\t': cf_buf_z(out, "\\t"); break;
        case '\n': cf_buf_z(out, "\\n"); break;
        case '\r': cf_buf_z(out, "\\r"); break;
        case '\0': cf_buf_z(out, "\\0"); break;
        default: cf_buf_byte(out, v.p[i]);
        }
    }
}

void cf_event_sql_quote(struct cf_buf *out, cf_str v)
{
    cf_buf_byte(out, '\'');
    for (size_t i = 0; i < v.n; i++) {
        switch (v.p[i]) {
        case '\\': cf_buf_z(out, "\\\\"); break;
        case '\'': cf_buf_z(out, "\\'"); break;
        case '\n': cf_buf_z(out, "\\n"); break;
        case '\0': cf_buf_z(out, "\\0"); break;
        default: cf_buf_byte(out, v.p[i]);
        }
    }
    cf_buf_byte(out, '\'');
}

int cf_event_scope_sql(const struct cf_event_scope *scope, struct cf_buf *out, struct cf_error *reterr)
{
    if (scope->n_orgs > SCOPE_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "event store: scope of more than %d organisations", SCOPE_MAX);
    if (!scope->n_orgs) {
        cf_buf_byte(out, '0');
        return 0;
    }
    cf_buf_z(out, "organization_id IN (");
    for (size_t i = 0; i < scope->n_orgs; i++) {
        cf_buf_z(out, i ? "," : "");
        cf_event_sql_quote(out, scope->orgs[i]);
    }
    cf_buf_byte(out, ')');
    return out->failed ? cf_error_set(reterr, CF_ENOMEM, "event store: out of memory") : 0;
}

struct cf_query_limits cf_event_limits(const struct cf_query_limits *l)
{
    struct cf_query_limits x = limits_default;

    if (l && l->max_ms)
        x.max_ms = l->max_ms;
    if (l && l->max_memory)
        x.max_memory = l->max_memory;
    if (l && l->max_rows)
        x.max_rows = l->max_rows;
    x.tag = l ? l->tag : NULL;
    return x;
}

int cf_event_store_query(struct cf_event_store *s, cf_str sql, const struct cf_query_param *p, size_t n_p, const char *format,
                         const struct cf_query_limits *lim, struct cf_buf *out, struct cf_error *reterr)
{
    struct cf_equery q = {.sql = sql, .n_param = n_p, .format = format, .lim = cf_event_limits(lim)};
    struct cf_query_param *own = NULL;
    struct cf_arena a;
    size_t before = out->n;
    int r = 0;

    cf_arena_init(&a, 0, 64u << 20);
    if (n_p && !(own = CF_NEW_N(&a, struct cf_query_param, n_p)))
        r = CF_ENOMEM;
    for (size_t i = 0; r == 0 && i < n_p; i++) {
        struct cf_buf esc;

        cf_buf_init(&esc, 16u << 20);
        cf_event_escape_param(&esc, p[i].value);
        own[i] = (struct cf_query_param){p[i].name, cf_arena_copy(&a, (cf_str){esc.n ? esc.p : "", esc.n})};
        r = esc.failed || !own[i].value.p ? CF_ENOMEM : 0;
        cf_buf_release(&esc);
    }
    q.param = own;
    if (r == 0)
        r = s->backend->query(s, &q, out, reterr);
    else
        (void)cf_error_set(reterr, r, "event store: out of memory");
    if (r == 0 && out->failed)
        r = cf_error_set(reterr, CF_ELIMIT, "event store: the result is larger than %zu bytes", out->max);
    if (r < 0 && !out->failed)
        out->n = before;
    cf_arena_release(&a);
    return r;
}

/* ---- errors ---- */

static int engine_code(int64_t n, const char *text)
{
    static const struct {
        int16_t engine;
        int16_t code;
    } map[] = {
        {159, CF_ETIMEOUT}, {160, CF_ETIMEOUT}, {241, CF_ELIMIT}, {158, CF_ELIMIT}, {396, CF_ELIMIT}, {307, CF_ELIMIT}, {62, CF_ESYNTAX},
        {46, CF_EINVAL}, {47, CF_EINVAL}, {60, CF_EINVAL}, {81, CF_EINVAL}, {42, CF_EINVAL}, {43, CF_EINVAL}, {53, CF_EINVAL}, {6, CF_EINVAL},
        {27, CF_EINVAL}, {38, CF_EINVAL}, {41, CF_EINVAL}, {36, CF_EINVAL}, {70, CF_EINVAL}, {115, CF_EINVAL}, {179, CF_EINVAL}, {184, CF_EINVAL},
        {215, CF_EINVAL}, {386, CF_EINVAL}, {427, CF_EINVAL}, {456, CF_EINVAL}, {457, CF_EINVAL}, {153, CF_EINVAL}, {44, CF_EINVAL}, {69, CF_EINVAL},
        {164, CF_EPERM}, {497, CF_EPERM}, {452, CF_EPERM}, {516, CF_EAUTH}, {252, CF_EBUSY}, {202, CF_EBUSY}, {203, CF_EBUSY}, {209, CF_EIO},
        {210, CF_EIO}, {279, CF_EIO}, {243, CF_EFULL}, {394, CF_ECANCELLED}, {40, CF_ECORRUPT}, {76, CF_EIO}, {74, CF_EIO}, {75, CF_EIO},
    };

    if (strstr(text, "No space left on device"))
        return CF_EFULL;
    for (size_t i = 0; i < sizeof map / sizeof *map; i++) {
        if (map[i].engine == n)
            return map[i].code;
    }
    return CF_EDB;
}

int cf_event_engine_error(const char *text, const char *what, struct cf_error *reterr)
{
    cf_str t = cf_str_c(text);
    int64_t n = 0;
    ptrdiff_t at;

    for (;;) { /* messages nest: "Code: 62. DB::Exception: Code: 62. DB::Exception: ..." */
        size_t k = 6;

        if (!cf_str_starts(t, CF_STR("Code: ")))
            break;
        for (n = 0; k < t.n && t.p[k] >= '0' && t.p[k] <= '9' && n < 100000; k++)
            n = n * 10 + (t.p[k] - '0');
        at = cf_str_find(t, CF_STR("DB::Exception: "));
        t = cf_str_sub(t, at < 0 ? k : (size_t)at + 15, t.n);
    }
    at = cf_str_find(t, CF_STR(" (version "));
    if (at > 0)
        t = cf_str_sub(t, 0, (size_t)at);
    at = cf_str_find(t, CF_STR("Stack trace:"));
    if (at > 0)
        t = cf_str_sub(t, 0, (size_t)at);
    t = cf_str_trim(t);
    return cf_error_set(reterr, engine_code(n, text), "event store: %s: %.*s", what, (int)(t.n > 360 ? 360 : t.n), t.p);
}

/* ---- statistics ---- */

int cf_event_store_stats(struct cf_event_store *s, struct cf_buf *out, struct cf_error *reterr)
{
    char sql[2048];
    const char *table = s->cluster[0] ? "events_local" : "events";
    char from[256];

    if (s->cluster[0])
        (void)snprintf(from, sizeof from, "cluster('%s', system.parts)", s->cluster); /* one replica of each shard */
    else
        (void)snprintf(from, sizeof from, "system.parts");
    (void)snprintf(sql, sizeof sql,
                   "SELECT '{\"rows\":' || toString(sum(r)) || ',\"bytes_on_disk\":' || toString(sum(b)) || ',\"bytes_raw\":' || toString(sum(u)) || "
                   "',\"parts\":' || toString(sum(n)) || ',\"partitions\":[' || "
                   "arrayStringConcat(arrayMap(x -> '{\"day\":\"' || x.1 || '\",\"rows\":' || toString(x.2) || ',\"bytes_on_disk\":' || toString(x.3) || '}', "
                   "arraySort(groupArray((partition, r, b)))), ',') || '],\"oldest\":' || "
                   "if(sum(r) = 0, 'null', '\"' || min(partition) || '\"') || ',\"newest\":' || if(sum(r) = 0, 'null', '\"' || max(partition) || '\"') || "
                   "',\"engine_memory\":' || toString((SELECT max(value) FROM system.metrics WHERE metric = 'MemoryTracking')) || '}' "
                   "FROM (SELECT partition, sum(rows) AS r, sum(bytes_on_disk) AS b, sum(data_uncompressed_bytes) AS u, count() AS n "
                   "FROM %s WHERE active AND database = '%s' AND table = '%s' GROUP BY partition)",
                   from, s->database, table);
    size_t before = out->n;
    int r = cf_event_store_query(s, cf_str_c(sql), NULL, 0, "TSVRaw", NULL, out, reterr);

    while (r == 0 && out->n > before && out->p[out->n - 1] == '\n')
        out->n--;
    return r;
}
