/* SPDX-License-Identifier: Apache-2.0
 * Event store on ClickHouse servers over HTTP(S). Any node of the cluster takes any request: requests go to the node that
 * answered last, and on to the next one when it does not answer.
 *
 * Without replicated tables (no Keeper) an insert goes to the Distributed table in the background mode: the node has it on disk,
 * synced, when it answers, and sends it to the replicas itself, also to one that is down now once it is back. With replicated
 * tables it goes through to a replica of each shard before the answer. */
#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/event_private.h"

#define NODES_MAX 64
#define IDLE_MAX 16
#define CONNECT_MS 3000L
#define EXEC_MS 120000L
#define INSERT_MS 60000L

struct ch {
    char *url[NODES_MAX];
    size_t n;
    char user[128], key[512]; /* header lines */
    _Atomic size_t last;      /* the node that answered last */
    pthread_mutex_t lock;     /* guards what follows */
    CURL *idle[IDLE_MAX];
    size_t n_idle;
};

/* One request: the address after the node, a body in pieces. */
struct request {
    cf_str args; /* "?a=b&c=d" */
    const struct cf_chunk *part;
    size_t n_part;
    long timeout_ms;
    /* reading position, answer */
    size_t at, offset;
    struct cf_buf *out;
    bool too_large;
};

static size_t give(char *to, size_t size, size_t n, void *arg)
{
    struct request *rq = arg;
    size_t room = size * n, done = 0;

    while (room && rq->at < rq->n_part) {
        const struct cf_chunk *c = &rq->part[rq->at];
        size_t k = c->n - rq->offset < room ? c->n - rq->offset : room;

        if (k)
            memcpy(to + done, (const char *)c->p + rq->offset, k);
        done += k;
        room -= k;
        rq->offset += k;
        if (rq->offset == c->n) {
            rq->at++;
            rq->offset = 0;
        }
    }
    return done;
}

static int rewind_body(void *arg, curl_off_t offset, int origin)
{
    struct request *rq = arg;

    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    rq->at = rq->offset = 0;
    return CURL_SEEKFUNC_OK;
}

static size_t take(char *p, size_t size, size_t n, void *arg)
{
    struct request *rq = arg;

    cf_buf_add(rq->out, p, size * n);
    rq->too_large = rq->out->failed;
    return rq->out->failed ? 0 : size * n;
}

static CURL *handle_get(struct ch *d)
{
    CURL *h = NULL;

    (void)pthread_mutex_lock(&d->lock);
    if (d->n_idle)
        h = d->idle[--d->n_idle];
    (void)pthread_mutex_unlock(&d->lock);
    return h ? h : curl_easy_init();
}

static void handle_put(struct ch *d, CURL *h)
{
    (void)pthread_mutex_lock(&d->lock);
    if (d->n_idle < IDLE_MAX) {
        d->idle[d->n_idle++] = h;
        h = NULL;
    }
    (void)pthread_mutex_unlock(&d->lock);
    if (h)
        curl_easy_cleanup(h);
}

static void prepare(const struct ch *d, CURL *h, struct request *rq, const char *url, struct curl_slist *headers)
{
    curl_off_t size = 0;

    for (size_t i = 0; i < rq->n_part; i++)
        size += (curl_off_t)rq->part[i].n;
    curl_easy_reset(h);
    (void)curl_easy_setopt(h, CURLOPT_URL, url);
    (void)curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(h, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(h, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, size);
    (void)curl_easy_setopt(h, CURLOPT_READFUNCTION, give);
    (void)curl_easy_setopt(h, CURLOPT_READDATA, rq);
    (void)curl_easy_setopt(h, CURLOPT_SEEKFUNCTION, rewind_body);
    (void)curl_easy_setopt(h, CURLOPT_SEEKDATA, rq);
    (void)curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(h, CURLOPT_WRITEDATA, rq);
    (void)curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    (void)curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, rq->timeout_ms);
    (void)d;
}

/* One node, one try. *ret_gone: it did not answer, or in a way that another node may do better. */
static int ask(struct ch *d, size_t node, struct request *rq, bool *ret_gone, struct cf_error *reterr)
{
    CURL *h = handle_get(d);
    struct curl_slist *headers = NULL, *more;
    struct cf_buf url;
    size_t before = rq->out->n;
    long status = 0;
    CURLcode rc;
    int r = 0;

    *ret_gone = false;
    cf_buf_init(&url, 16u << 20);
    cf_buf_z(&url, d->url[node]);
    cf_buf_str(&url, rq->args);
    if (d->user[0] && (more = curl_slist_append(headers, d->user)))
        headers = more;
    if (d->key[0] && (more = curl_slist_append(headers, d->key)))
        headers = more;
    if ((more = curl_slist_append(headers, "Expect:")))
        headers = more;
    if (!h || !headers || url.failed) {
        r = cf_error_set(reterr, CF_ENOMEM, "event store: out of memory");
        goto out;
    }
    rq->at = rq->offset = 0;
    prepare(d, h, rq, cf_buf_cstr(&url), headers);
    rc = curl_easy_perform(h);
    (void)curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    if (rq->too_large) {
        r = cf_error_set(reterr, CF_ELIMIT, "event store: the result is larger than %zu bytes", rq->out->max);
    } else if (rc != CURLE_OK) {
        *ret_gone = true;
        r = cf_error_set(reterr, rc == CURLE_OPERATION_TIMEDOUT ? CF_ETIMEOUT : CF_EIO, "event store: %s: %s", d->url[node], curl_easy_strerror(rc));
    } else if (status != 200) {
        cf_buf_byte(rq->out, 0);
        r = cf_event_engine_error(rq->out->failed ? "" : rq->out->p + before, d->url[node], reterr);
        *ret_gone = r == CF_EIO || r == CF_EBUSY || r == CF_EFULL;
        rq->out->n = before;
    }
    if (*ret_gone)
        rq->out->n = before;
out:
    curl_slist_free_all(headers);
    if (h)
        handle_put(d, h);
    cf_buf_release(&url);
    return r;
}

/* The nodes in turn, from the one that answered last. */
static int any_node(struct ch *d, struct request *rq, struct cf_error *reterr)
{
    size_t first = atomic_load(&d->last);
    int r = CF_EIO;

    for (size_t i = 0; i < d->n; i++) {
        size_t node = (first + i) % d->n;
        bool gone = false;

        r = ask(d, node, rq, &gone, reterr);
        if (!gone) {
            atomic_store(&d->last, node);
            return r;
        }
    }
    return r;
}

/* ---- open ---- */

static int add_urls(struct ch *d, cf_str urls, struct cf_error *reterr)
{
    cf_str one;

    while (cf_str_cut(&urls, ',', &one)) {
        one = cf_str_trim(one);
        while (one.n && one.p[one.n - 1] == '/')
            one.n--;
        if (!one.n)
            continue;
        if (!cf_str_starts(one, CF_STR("http://")) && !cf_str_starts(one, CF_STR("https://")))
            return cf_error_set(reterr, CF_EINVAL, "event store: the address \"%.*s\" must begin with http:// or https://", CF_ARG(one));
        if (d->n == NODES_MAX)
            return cf_error_set(reterr, CF_ELIMIT, "event store: more than %d addresses", NODES_MAX);
        if (!(d->url[d->n] = malloc(one.n + 2)))
            return cf_error_set(reterr, CF_ENOMEM, "event store: out of memory");
        (void)snprintf(d->url[d->n++], one.n + 2, "%.*s/", CF_ARG(one));
    }
    return d->n ? 0 : cf_error_set(reterr, CF_EINVAL, "event store: no address of a ClickHouse server is configured");
}

static int credentials(struct ch *d, const struct cf_event_store_options *o, struct cf_error *reterr)
{
    struct cf_buf b;
    char path[1024];
    int r = 0;

    if (o->user.n)
        (void)snprintf(d->user, sizeof d->user, "X-ClickHouse-User: %.*s", CF_ARG(o->user));
    if (!o->password_file.n)
        return 0;
    (void)snprintf(path, sizeof path, "%.*s", CF_ARG(o->password_file));
    cf_buf_init(&b, 400);
    r = cf_file_read(path, &b, reterr);
    if (r == 0) {
        cf_str pw = cf_str_trim(cf_buf_view(&b));

        (void)snprintf(d->key, sizeof d->key, "X-ClickHouse-Key: %.*s", CF_ARG(pw));
    }
    cf_buf_release(&b);
    return r;
}

static void ch_close(struct cf_event_store *s)
{
    struct ch *d = s->priv;

    if (!d)
        return;
    for (size_t i = 0; i < d->n_idle; i++)
        curl_easy_cleanup(d->idle[i]);
    for (size_t i = 0; i < d->n; i++)
        free(d->url[i]);
    (void)pthread_mutex_destroy(&d->lock);
    explicit_bzero(d->key, sizeof d->key);
    free(d);
    s->priv = NULL;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void curl_start(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int ch_open(struct cf_event_store *s, const struct cf_event_store_options *o, struct cf_error *reterr)
{
    struct ch *d = calloc(1, sizeof *d);
    struct cf_buf b;
    struct request rq;
    static const char probe[] = "SELECT countIf(macro = 'shard') * countIf(macro = 'replica') FROM system.macros";
    struct cf_chunk body = {.p = probe, .n = sizeof probe - 1};
    int r;

    if (!d)
        return cf_error_set(reterr, CF_ENOMEM, "event store: out of memory");
    s->priv = d;
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_once(&curl_once, curl_start);
    r = add_urls(d, o->urls, reterr);
    if (r == 0)
        r = credentials(d, o, reterr);
    if (r < 0)
        return r;
    cf_buf_init(&b, 4096);
    rq = (struct request){.args = CF_STR("?default_format=TSV"), .part = &body, .n_part = 1, .timeout_ms = EXEC_MS, .out = &b};
    r = any_node(d, &rq, reterr);
    /* nodes that know their shard and replica belong to a cluster with Keeper */
    s->replicated = r == 0 && s->cluster[0] && b.n && b.p[0] != '0';
    cf_buf_release(&b);
    return r;
}

/* ---- statements ---- */

/* On every node; one that cannot be reached is left out as long as another one is there. */
static int ch_exec(struct cf_event_store *s, cf_str sql, struct cf_error *reterr)
{
    struct ch *d = s->priv;
    struct cf_chunk body = {.p = sql.p, .n = sql.n};
    struct cf_buf b;
    size_t done = 0;
    int r = 0;

    cf_buf_init(&b, 1u << 20);
    for (size_t i = 0; i < d->n; i++) {
        struct request rq = {.args = CF_STR("?alter_sync=1"), .part = &body, .n_part = 1, .timeout_ms = EXEC_MS, .out = &b};
        bool gone = false;
        int one = ask(d, i, &rq, &gone, reterr);

        if (one < 0 && !gone) {
            cf_buf_release(&b);
            return one;
        }
        done += one == 0;
        r = one < 0 ? one : r;
    }
    cf_buf_release(&b);
    return done ? 0 : r;
}

static void arg(struct cf_buf *b, const char *name, cf_str value)
{
    static const char hex[] = "0123456789ABCDEF";

    cf_buf_byte(b, b->n ? '&' : '?');
    cf_buf_z(b, name);
    cf_buf_byte(b, '=');
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.') {
            cf_buf_byte(b, (char)c);
        } else {
            cf_buf_byte(b, '%');
            cf_buf_byte(b, hex[c >> 4]);
            cf_buf_byte(b, hex[c & 15]);
        }
    }
}

static void arg_i64(struct cf_buf *b, const char *name, int64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRId64, v);

    arg(b, name, (cf_str){text, (size_t)n});
}

static void query_args(const struct cf_event_store *s, const struct cf_equery *q, struct cf_buf *a)
{
    char seconds[32];
    int n = snprintf(seconds, sizeof seconds, "%.3f", (double)q->lim.max_ms / 1000.0);

    arg(a, "default_format", cf_str_c(q->format));
    arg(a, "max_execution_time", (cf_str){seconds, (size_t)n});
    arg_i64(a, "max_memory_usage", q->lim.max_memory);
    arg_i64(a, "max_result_rows", q->lim.max_rows);
    arg(a, "result_overflow_mode", CF_STR("break"));
    arg_i64(a, "max_threads", s->threads);
    arg_i64(a, "wait_end_of_query", 1); /* an error in the middle becomes a status */
    arg_i64(a, "skip_unavailable_shards", 0);
    arg(a, "distributed_product_mode", CF_STR("global"));
    arg_i64(a, "cancel_http_readonly_queries_on_client_close", 1);
    if (q->locked || q->row_filter.n) {
        arg(a, "database", cf_str_c(s->database));
        arg_i64(a, "optimize_use_implicit_projections", 0);
        arg_i64(a, "output_format_write_statistics", 0); /* rows read would count the rows outside the scope */
    }
    if (q->row_filter.n) {
        struct cf_buf f;

        arg_i64(a, "optimize_move_to_prewhere", 0); /* nothing of the query runs before the row filter */
        cf_buf_init(&f, 32u << 20);
        cf_buf_printf(&f, "{'%s.events%s':", s->database, s->cluster[0] ? "_local" : "");
        cf_event_sql_quote(&f, q->row_filter);
        cf_buf_byte(&f, '}');
        arg(a, "additional_table_filters", cf_buf_view(&f));
        a->failed = a->failed || f.failed;
        cf_buf_release(&f);
    }
    for (size_t i = 0; i < q->n_param; i++) {
        char name[80];

        (void)snprintf(name, sizeof name, "param_%s", q->param[i].name);
        arg(a, name, q->param[i].value);
    }
    if (q->lim.tag)
        arg(a, "log_comment", cf_str_c(q->lim.tag));
    if (q->locked)
        arg_i64(a, "readonly", 1);
}

static int ch_query(struct cf_event_store *s, const struct cf_equery *q, struct cf_buf *out, struct cf_error *reterr)
{
    struct cf_buf a;
    struct cf_chunk body = {.p = q->sql.p, .n = q->sql.n};
    int r;

    cf_buf_init(&a, 8u << 20);
    query_args(s, q, &a);
    struct request rq = {.args = cf_buf_view(&a), .part = &body, .n_part = 1, .timeout_ms = (long)q->lim.max_ms + 5000, .out = out};

    r = a.failed ? cf_error_set(reterr, CF_ELIMIT, "event store: the query is too long") : any_node(s->priv, &rq, reterr);
    cf_buf_release(&a);
    return r;
}

static int insert_missing(struct cf_event_store *s, const struct cf_event_block *b, struct cf_buf *sql)
{
    struct cf_buf types, from;
    int r;

    cf_buf_init(&types, 0);
    cf_buf_init(&from, 0);
    cf_event_block_columns(b, true, &types);
    cf_buf_z(&from, "input(");
    cf_event_sql_quote(&from, cf_buf_view(&types));
    cf_buf_byte(&from, ')');
    r = types.failed || from.failed ? CF_ENOMEM : cf_event_insert_missing(s, b, cf_buf_cstr(&from), sql);
    cf_buf_release(&types);
    cf_buf_release(&from);
    return r;
}

/* An attempt given up here, or by the process before this one, may still be at work over there: its rows would come after the look at
 * what is missing, and be there twice. */
static int end_earlier(struct cf_event_store *s, cf_str token, struct cf_error *reterr)
{
    struct cf_buf sql;
    int r;

    cf_buf_init(&sql, 0);
    cf_buf_z(&sql, "KILL QUERY WHERE Settings['log_comment'] = ");
    cf_event_sql_quote(&sql, token);
    cf_buf_z(&sql, " SYNC FORMAT Null");
    r = sql.failed ? cf_error_set(reterr, CF_ENOMEM, "event store: out of memory") : ch_exec(s, cf_buf_view(&sql), reterr);
    cf_buf_release(&sql);
    return r;
}

static int ch_insert(struct cf_event_store *s, struct cf_event_block *b, cf_str token, bool again, struct cf_error *reterr)
{
    struct cf_buf sql, a, answer;
    const struct cf_chunk *part = NULL;
    size_t n = 0;
    int r = cf_event_block_chunks(b, &part, &n);

    if (r < 0)
        return cf_error_set(reterr, r, "event store: out of memory for a block of %zu rows", cf_event_block_rows(b));
    if (again && (r = end_earlier(s, token, reterr)) < 0)
        return r;
    cf_buf_init(&sql, 0);
    cf_buf_init(&a, 0);
    cf_buf_init(&answer, 1u << 20);
    cf_event_insert_head(s, b, &sql);
    if (again) {
        r = insert_missing(s, b, &sql);
        arg_i64(&a, "insert_deduplicate", 0);
        arg_i64(&a, "max_query_size", 16777216);
    } else {
        arg(&a, "insert_deduplication_token", token);
    }
    cf_buf_z(&sql, " FORMAT Native");
    arg(&a, "log_comment", token);
    arg(&a, "query", cf_buf_view(&sql));
    arg_i64(&a, "max_partitions_per_insert_block", 0);
    arg_i64(&a, "materialize_skip_indexes_on_insert", cf_event_block_rows(b) <= CF_EVENT_INDEX_ROWS);
    arg_i64(&a, "async_insert", 0);
    arg_i64(&a, "distributed_foreground_insert", s->replicated);
    arg_i64(&a, "wait_end_of_query", 1);
    struct request rq = {.args = cf_buf_view(&a), .part = part, .n_part = n, .timeout_ms = INSERT_MS, .out = &answer};

    r = r < 0 || a.failed || sql.failed ? cf_error_set(reterr, CF_ENOMEM, "event store: out of memory") : any_node(s->priv, &rq, reterr);
    cf_buf_release(&sql);
    cf_buf_release(&a);
    cf_buf_release(&answer);
    return r;
}

/* What nodes still hold for each other is sent now. */
static int ch_sync(struct cf_event_store *s, struct cf_error *reterr)
{
    char sql[160];

    if (!s->cluster[0] || s->replicated)
        return 0;
    (void)snprintf(sql, sizeof sql, "SYSTEM FLUSH DISTRIBUTED %s.events", s->database);
    return ch_exec(s, cf_str_c(sql), reterr);
}

const struct cf_event_backend cf_event_clickhouse = {
    .name = "clickhouse", .open = ch_open, .close = ch_close, .exec = ch_exec, .query = ch_query, .insert = ch_insert, .sync = ch_sync,
};
