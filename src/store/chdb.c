/* SPDX-License-Identifier: Apache-2.0
 * Event store inside the process: libchdb. One data path a process; a connection runs one statement at a time, so there is a
 * small pool. The first connection stays open until the store closes: the engine lives as long as one does. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/chdb_api.h"
#include "store/event_private.h"

#define POOL_MAX 12

struct conn {
    struct conn *next;
    struct chdb_conn **c;
    struct cf_query_limits lim; /* set on it now */
};
struct chdb {
    const struct chdb_api *api;
    char *path;
    struct chdb_conn **anchor;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t freed;
    struct conn *idle;
    size_t n_open;
};

/* ---- connections ---- */

#define ARGS_MAX 24
struct args {
    char text[ARGS_MAX][512];
    char *v[ARGS_MAX];
    int n;
};
static void arg(struct args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void arg(struct args *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(a->text[a->n], sizeof a->text[0], fmt, ap);
    va_end(ap);
    a->v[a->n] = a->text[a->n];
    a->n++;
}

/* The connection that boots the engine sets what counts for the whole process. */
static int boot(struct cf_event_store *s, struct chdb *d, struct cf_error *reterr)
{
    struct args a = {.n = 0};
    long long mem = (long long)s->memory_max;

    arg(&a, "chengfang");
    arg(&a, "--path=%s", d->path);
    arg(&a, "--max_server_memory_usage=%lld", mem);
    arg(&a, "--mark_cache_size=%lld", mem / 10);
    arg(&a, "--index_mark_cache_size=%lld", mem / 20);
    arg(&a, "--primary_index_cache_size=%lld", mem / 20);
    arg(&a, "--text_index_dictionary_block_cache_size=%lld", mem / 20);
    arg(&a, "--text_index_header_cache_size=%lld", mem / 40);
    arg(&a, "--text_index_postings_cache_size=%lld", mem / 20);
    arg(&a, "--background_pool_size=%d", s->threads >= 8 ? (int)(s->threads / 4) : 1);
    /* merges take what the pipeline leaves; when they fall far behind, inserts are slowed (parts_to_delay_insert) and they catch up */
    arg(&a, "--os_threads_nice_value_merge_mutate=15");
    arg(&a, "--background_schedule_pool_size=2");
    arg(&a, "--background_common_pool_size=1");
    arg(&a, "--background_fetches_pool_size=1");
    arg(&a, "--background_move_pool_size=1");
    arg(&a, "--merges_mutations_memory_usage_soft_limit=%lld", mem / 3);
    d->anchor = d->api->connect(a.n, a.v);
    if (!d->anchor || !*d->anchor)
        return cf_error_set(reterr, CF_EBUSY, "event store: the engine does not open \"%s\" (is another process using it?)", d->path);
    return 0;
}

/* Without the second the engine gives a statement one thread for each whole GiB of memory that is free, and its memory is bounded
 * at less than one: every search ran on a single core. What a search may take is bounded by max_memory_usage. */
static void arg_threads(struct args *a, const struct cf_event_store *s)
{
    arg(a, "--max_threads=%lld", (long long)s->threads);
    arg(a, "--max_threads_min_free_memory_per_thread=0");
}

static struct chdb_conn **connect_plain(struct cf_event_store *s, struct chdb *d)
{
    struct args a = {.n = 0};

    arg(&a, "chengfang");
    arg(&a, "--path=%s", d->path);
    arg_threads(&a, s);
    return d->api->connect(a.n, a.v);
}

static int conn_get(struct cf_event_store *s, struct conn **ret, struct cf_error *reterr)
{
    struct chdb *d = s->priv;
    struct conn *c;
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    (void)pthread_mutex_lock(&d->lock);
    while (!d->idle && d->n_open >= POOL_MAX) {
        if (pthread_cond_timedwait(&d->freed, &d->lock, &until) == ETIMEDOUT) {
            (void)pthread_mutex_unlock(&d->lock);
            return cf_error_set(reterr, CF_EBUSY, "event store: all %d connections have been in use for 30 s", POOL_MAX);
        }
    }
    c = d->idle;
    if (c) {
        d->idle = c->next;
        (void)pthread_mutex_unlock(&d->lock);
        *ret = c;
        return 0;
    }
    d->n_open++;
    (void)pthread_mutex_unlock(&d->lock);
    c = calloc(1, sizeof *c);
    if (c && (c->c = connect_plain(s, d)) && *c->c) {
        *ret = c;
        return 0;
    }
    free(c);
    (void)pthread_mutex_lock(&d->lock);
    d->n_open--;
    (void)pthread_cond_signal(&d->freed);
    (void)pthread_mutex_unlock(&d->lock);
    return cf_error_set(reterr, CF_EIO, "event store: the engine gave no connection");
}

static void conn_put(struct cf_event_store *s, struct conn *c)
{
    struct chdb *d = s->priv;

    (void)pthread_mutex_lock(&d->lock);
    c->next = d->idle;
    d->idle = c;
    (void)pthread_cond_signal(&d->freed);
    (void)pthread_mutex_unlock(&d->lock);
}

static void chdb_close(struct cf_event_store *s)
{
    struct chdb *d = s->priv;

    if (!d)
        return;
    while (d->idle) {
        struct conn *c = d->idle;

        d->idle = c->next;
        d->api->close_conn(c->c);
        free(c);
    }
    if (d->anchor)
        d->api->close_conn(d->anchor); /* the last one: the engine stops its merges and closes its tables */
    (void)pthread_mutex_destroy(&d->lock);
    (void)pthread_cond_destroy(&d->freed);
    free(d->path);
    free(d);
    s->priv = NULL;
}

static int chdb_open(struct cf_event_store *s, const struct cf_event_store_options *o, struct cf_error *reterr)
{
    struct chdb *d;
    struct cf_arena a;
    int r;

    if (!o->path.n)
        return cf_error_set(reterr, CF_EINVAL, "event store: the embedded store needs a folder");
    d = calloc(1, sizeof *d);
    if (!d)
        return cf_error_set(reterr, CF_ENOMEM, "event store: out of memory");
    s->priv = d;
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_cond_init(&d->freed, NULL);
    d->path = strndup(o->path.p, o->path.n);
    cf_arena_init(&a, 0, 0);
    r = d->path ? cf_chdb_load(&d->api, reterr) : CF_ENOMEM;
    if (r == 0)
        r = cf_mkdir_p(d->path, 0700, reterr);
    if (r == 0)
        r = boot(s, d, reterr);
    cf_arena_release(&a);
    return r;
}

/* ---- statements ---- */

static int run(struct chdb *d, struct chdb_conn **c, cf_str sql, const char *format, struct cf_buf *out, struct cf_error *reterr)
{
    struct chdb_res *res = d->api->query_n(*c, sql.p, sql.n, format, strlen(format));
    const char *e = d->api->result_error(res);
    int r = 0;

    if (e)
        r = cf_event_engine_error(e, "statement", reterr);
    else if (out)
        cf_buf_add(out, d->api->result_buffer(res), d->api->result_length(res));
    d->api->destroy_query_result(res);
    return r;
}

static int chdb_exec(struct cf_event_store *s, cf_str sql, struct cf_error *reterr)
{
    struct conn *c = NULL;
    int r = conn_get(s, &c, reterr);

    if (r < 0)
        return r;
    r = run(s->priv, c->c, sql, "TSV", NULL, reterr);
    conn_put(s, c);
    return r;
}

static int set_limits(struct chdb *d, struct conn *c, const struct cf_query_limits *l, struct cf_error *reterr)
{
    char sql[320];
    int n;

    if (c->lim.max_ms == l->max_ms && c->lim.max_memory == l->max_memory && c->lim.max_rows == l->max_rows)
        return 0;
    n = snprintf(sql, sizeof sql,
                 "SET max_execution_time = %.3f, timeout_overflow_mode = 'throw', max_memory_usage = %lld, max_result_rows = %lld, "
                 "result_overflow_mode = 'break'",
                 (double)l->max_ms / 1000.0, (long long)l->max_memory, (long long)l->max_rows);
    n = run(d, c->c, (cf_str){sql, (size_t)n}, "TSV", NULL, reterr);
    if (n == 0)
        c->lim = *l;
    return n;
}

static int with_params(struct chdb *d, struct chdb_conn **c, const struct cf_equery *q, struct cf_buf *out, struct cf_error *reterr)
{
    const char **names, **values;
    size_t *lens, *vlens;
    struct chdb_res *res;
    const char *e;
    int r = 0;

    if (!q->n_param)
        return run(d, c, q->sql, q->format, out, reterr);
    names = calloc(q->n_param * 2, sizeof *names);
    lens = calloc(q->n_param * 2, sizeof *lens);
    if (!names || !lens) {
        free(names);
        free(lens);
        return cf_error_set(reterr, CF_ENOMEM, "event store: out of memory");
    }
    values = names + q->n_param;
    vlens = lens + q->n_param;
    for (size_t i = 0; i < q->n_param; i++) {
        names[i] = q->param[i].name;
        lens[i] = strlen(q->param[i].name);
        values[i] = q->param[i].value.p ? q->param[i].value.p : "";
        vlens[i] = q->param[i].value.n;
    }
    res = d->api->query_with_params_n(*c, q->sql.p, q->sql.n, q->format, strlen(q->format), names, lens, values, vlens, q->n_param);
    e = d->api->result_error(res);
    if (e)
        r = cf_event_engine_error(e, "query", reterr);
    else
        cf_buf_add(out, d->api->result_buffer(res), d->api->result_length(res));
    d->api->destroy_query_result(res);
    free(names);
    free(lens);
    return r;
}

/* A connection for one query of a user: read-only, its row filter and limits fixed, nothing changeable by the query. */
static struct chdb_conn **connect_locked(struct cf_event_store *s, const struct cf_equery *q)
{
    struct chdb *d = s->priv;
    struct args *a = calloc(1, sizeof *a);
    struct cf_buf filter;
    struct chdb_conn **c = NULL;

    if (!a)
        return NULL;
    cf_buf_init(&filter, 16u << 20);
    arg(a, "chengfang");
    arg(a, "--path=%s", d->path);
    arg_threads(a, s);
    arg(a, "--max_execution_time=%.3f", (double)q->lim.max_ms / 1000.0);
    arg(a, "--max_memory_usage=%lld", (long long)q->lim.max_memory);
    arg(a, "--max_result_rows=%lld", (long long)q->lim.max_rows);
    arg(a, "--result_overflow_mode=break");
    arg(a, "--optimize_use_implicit_projections=0");
    arg(a, "--output_format_write_statistics=0"); /* rows read would count the rows outside the scope */
    if (q->lim.tag)
        arg(a, "--log_comment=%s", q->lim.tag);
    if (q->row_filter.n) {
        arg(a, "--optimize_move_to_prewhere=0"); /* nothing of the query runs before the row filter */
        cf_buf_printf(&filter, "--additional_table_filters={'%s.events':", s->database);
        cf_event_sql_quote(&filter, q->row_filter);
        cf_buf_z(&filter, "}");
        a->v[a->n++] = (char *)(uintptr_t)cf_buf_cstr(&filter);
    }
    if (!filter.failed)
        c = d->api->connect(a->n, a->v);
    cf_buf_release(&filter);
    free(a);
    return c;
}

/* The database first, then read-only: after that nothing can be set any more. */
static int lock_down(struct cf_event_store *s, struct chdb_conn **c, const struct cf_equery *q, struct cf_error *reterr)
{
    char use[96];
    int n = snprintf(use, sizeof use, "USE %s", s->database), r;

    r = run(s->priv, c, (cf_str){use, (size_t)n}, "TSV", NULL, reterr);
    return r == 0 && q->locked ? run(s->priv, c, CF_STR("SET readonly = 1"), "TSV", NULL, reterr) : r;
}

static int chdb_query(struct cf_event_store *s, const struct cf_equery *q, struct cf_buf *out, struct cf_error *reterr)
{
    struct chdb *d = s->priv;
    struct conn *c = NULL;
    struct cf_equery tagged = *q;
    struct cf_buf sql;
    int r;

    if (q->locked || q->row_filter.n) {
        struct chdb_conn **own = connect_locked(s, q);

        if (!own || !*own)
            return cf_error_set(reterr, CF_EIO, "event store: the engine gave no connection");
        r = lock_down(s, own, q, reterr);
        if (r == 0)
            r = with_params(d, own, q, out, reterr);
        d->api->close_conn(own);
        return r;
    }
    r = conn_get(s, &c, reterr);
    if (r < 0)
        return r;
    cf_buf_init(&sql, 0);
    if (q->lim.tag) {
        cf_buf_str(&sql, q->sql);
        cf_buf_printf(&sql, " SETTINGS log_comment = '%s'", q->lim.tag);
        tagged.sql = cf_buf_view(&sql);
    }
    r = sql.failed ? cf_error_set(reterr, CF_ENOMEM, "event store: out of memory") : set_limits(d, c, &q->lim, reterr);
    if (r == 0)
        r = with_params(d, c->c, &tagged, out, reterr);
    cf_buf_release(&sql);
    conn_put(s, c);
    return r;
}

/* ---- insert ---- */

static int send(struct chdb *d, struct chdb_conn **c, cf_str sql, const struct cf_chunk *part, size_t n, struct cf_error *reterr)
{
    struct chdb_ins *in = d->api->stream_insert_n(*c, sql.p, sql.n, "Native", 6);
    const char *e = d->api->stream_insert_error(in);
    struct chdb_res *res;
    int r = 0;

    if (e) {
        r = cf_event_engine_error(e, "insert", reterr);
        d->api->destroy_insert_stream(in);
        return r;
    }
    for (size_t i = 0; i < n; i++) {
        if (part[i].n && d->api->stream_append(in, part[i].p, part[i].n) != 0)
            break; /* the reason comes with done */
    }
    res = d->api->stream_done(in);
    e = d->api->result_error(res);
    if (e)
        r = cf_event_engine_error(e, "insert", reterr);
    d->api->destroy_query_result(res);
    d->api->destroy_insert_stream(in);
    return r;
}

static void settings(struct cf_event_store *s, const struct cf_event_block *b, struct cf_buf *sql)
{
    cf_event_insert_head(s, b, sql);
    cf_buf_printf(sql, " SETTINGS max_partitions_per_insert_block = 0, max_memory_usage = 0, materialize_skip_indexes_on_insert = %d, ",
                  cf_event_block_rows(b) <= CF_EVENT_INDEX_ROWS || !atomic_load(&s->merges_held));
}

static int insert_new(struct cf_event_store *s, struct conn *c, const struct cf_event_block *b, cf_str token, const struct cf_chunk *part, size_t n,
                      struct cf_error *reterr)
{
    struct cf_buf sql;
    int r;

    cf_buf_init(&sql, 0);
    settings(s, b, &sql);
    cf_buf_z(&sql, "insert_deduplication_token = ");
    cf_event_sql_quote(&sql, token);
    r = sql.failed ? cf_error_set(reterr, CF_ENOMEM, "event store: out of memory") : send(s->priv, c->c, cf_buf_view(&sql), part, n, reterr);
    cf_buf_release(&sql);
    return r;
}

/* Rows can be streamed into a table only, so they go into one of this connection first, and from there those that are missing. */
static int insert_again(struct cf_event_store *s, struct conn *c, const struct cf_event_block *b, const struct cf_chunk *part, size_t n, struct cf_error *reterr)
{
    struct cf_buf sql;
    int r;

    cf_buf_init(&sql, 0);
    cf_buf_z(&sql, "CREATE OR REPLACE TEMPORARY TABLE again (");
    cf_event_block_columns(b, true, &sql);
    cf_buf_z(&sql, ") ENGINE = Memory");
    r = sql.failed ? cf_error_set(reterr, CF_ENOMEM, "event store: out of memory") : run(s->priv, c->c, cf_buf_view(&sql), "TSV", NULL, reterr);
    if (r == 0)
        r = send(s->priv, c->c, CF_STR("INSERT INTO again SETTINGS max_memory_usage = 0"), part, n, reterr);
    cf_buf_clear(&sql);
    settings(s, b, &sql);
    cf_buf_z(&sql, "max_execution_time = 0, max_result_rows = 0, max_query_size = 16777216, insert_deduplicate = 0"); /* not a reader's limits */
    if (r == 0 && cf_event_insert_missing(s, b, "again", &sql) < 0)
        r = cf_error_set(reterr, CF_ENOMEM, "event store: out of memory");
    if (r == 0)
        r = run(s->priv, c->c, cf_buf_view(&sql), "TSV", NULL, reterr);
    (void)run(s->priv, c->c, CF_STR("DROP TABLE IF EXISTS again"), "TSV", NULL, NULL);
    cf_buf_release(&sql);
    return r;
}

static int chdb_insert(struct cf_event_store *s, struct cf_event_block *b, cf_str token, bool again, struct cf_error *reterr)
{
    const struct cf_chunk *part = NULL;
    struct conn *c = NULL;
    size_t n = 0;
    int r = cf_event_block_chunks(b, &part, &n);

    if (r < 0)
        return cf_error_set(reterr, r, "event store: out of memory for a block of %zu rows", cf_event_block_rows(b));
    r = conn_get(s, &c, reterr);
    if (r < 0)
        return r;
    r = again ? insert_again(s, c, b, part, n, reterr) : insert_new(s, c, b, token, part, n, reterr);
    conn_put(s, c);
    return r;
}

const struct cf_event_backend cf_event_chdb = {
    .name = "chdb", .open = chdb_open, .close = chdb_close, .exec = chdb_exec, .query = chdb_query, .insert = chdb_insert,
};
