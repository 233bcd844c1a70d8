/* SPDX-License-Identifier: Apache-2.0
 * Searches: the query language, time range and scope become one condition; results come back as nested ECS. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/event_private.h"
#include "store/search_lang.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 1000
#define MAX_MS 10000

struct request {
    struct cf_event_store *s;
    const struct cf_search *q;
    struct cf_arena a;
    struct cf_search_sql w; /* condition without the cursor */
    int64_t deadline_us;    /* cf_mono_us: of all statements together */
};

static int param(struct request *rq, cf_str v, const char *type, struct cf_buf *sql)
{
    int n = v.p ? cf_search_param(&rq->w, v) : -1;

    if (n < 0)
        return CF_ENOMEM;
    cf_buf_printf(sql, "{p%d:%s}", n, type);
    return 0;
}

static int scope(struct request *rq, struct cf_error *reterr)
{
    struct cf_buf *c = &rq->w.cond;

    if (rq->q->scope.all)
        return 0;
    cf_buf_z(c, " AND ");
    return cf_event_scope_sql(&rq->q->scope, c, reterr);
}

static int request_open(struct request *rq, struct cf_event_store *s, const struct cf_search *q, struct cf_error *reterr)
{
    struct cf_search_node *tree = NULL;
    struct cf_buf *c = &rq->w.cond;
    int r;

    memset(rq, 0, sizeof *rq);
    rq->s = s;
    rq->q = q;
    cf_arena_init(&rq->a, 0, 64u << 20);
    cf_buf_init(c, 4u << 20);
    rq->w.arena = &rq->a;
    rq->deadline_us = cf_mono_us() + (q->max_ms ? q->max_ms : MAX_MS) * 1000;
    rq->w.now_us = cf_now_us();
    cf_buf_byte(c, '(');
    r = cf_search_parse(&rq->a, q->query.p ? q->query : CF_STR(""), &tree, reterr);
    if (r == 0)
        r = cf_search_to_sql(tree, &rq->w, reterr);
    cf_buf_byte(c, ')');
    if (r == 0 && q->from_us) {
        cf_buf_z(c, " AND time >= fromUnixTimestamp64Micro(");
        r = param(rq, cf_arena_printf(&rq->a, "%" PRId64, cf_event_clamp_time(q->from_us)), "Int64", c);
        cf_buf_byte(c, ')');
    }
    if (r == 0 && q->to_us) {
        cf_buf_z(c, " AND time <= fromUnixTimestamp64Micro(");
        r = param(rq, cf_arena_printf(&rq->a, "%" PRId64, cf_event_clamp_time(q->to_us)), "Int64", c);
        cf_buf_byte(c, ')');
    }
    return r == 0 ? scope(rq, reterr) : r;
}

static void request_close(struct request *rq)
{
    cf_buf_release(&rq->w.cond);
    cf_arena_release(&rq->a);
}

/* What those who searched are told instead of the engine's words. */
static int stopped(const struct request *rq, int r, struct cf_error *reterr)
{
    int64_t s = (rq->q->max_ms ? rq->q->max_ms : MAX_MS) / 1000;

    if (cf_event_run_cancelled(rq->q->run))
        return cf_error_set(reterr, CF_ECANCELLED, "the search was stopped");
    if (r == CF_ETIMEOUT)
        return cf_error_set(reterr, CF_ETIMEOUT,
                            "the search took longer than %" PRId64 " s and was stopped: choose a shorter time range, or more words or fields", s);
    return r;
}

/* Runs "SELECT ... FROM events WHERE <condition><more> <tail>". */
static int run_where(struct request *rq, const char *select, const char *more, const char *tail, const char *format, struct cf_buf *out,
                     struct cf_error *reterr)
{
    struct cf_query_limits lim = {.max_ms = (rq->deadline_us - cf_mono_us()) / 1000, .tag = cf_event_run_tag(rq->q->run)};
    struct cf_buf sql;
    int r = 0;

    if (lim.max_ms <= 0 || cf_event_run_cancelled(rq->q->run))
        return stopped(rq, CF_ETIMEOUT, reterr);
    lim.max_ms = (lim.max_ms + 249) / 250 * 250; /* so that a connection's limits need not be set for each statement */
    cf_buf_init(&sql, 16u << 20);
    cf_buf_printf(&sql, "SELECT %s FROM %s.events WHERE ", select, rq->s->database);
    cf_buf_str(&sql, cf_buf_view(&rq->w.cond));
    cf_buf_z(&sql, more);
    cf_buf_z(&sql, tail);
    r = sql.failed || rq->w.cond.failed ? cf_error_set(reterr, CF_ELIMIT, "query: too long")
                                        : cf_event_store_query(rq->s, cf_buf_view(&sql), rq->w.param, rq->w.n_param, format, &lim, out, reterr);
    cf_buf_release(&sql);
    return r < 0 ? stopped(rq, r, reterr) : 0;
}

static int run(struct request *rq, const char *select, const char *tail, const char *format, struct cf_buf *out, struct cf_error *reterr)
{
    return run_where(rq, select, "", tail, format, out, reterr);
}

/* ---- search ----
 *
 * The page is looked for in slices of the time range, the newest (or oldest) first, each 32 times as long as the one before:
 * most searches find their page in the first. Each slice is looked through once, and the total is the rows of the slices that were
 * too few for a page plus the count of what lies beyond:
 *
 *   from |---------- counted ----------|- slice 2: page full -|- slice 1 -| to        (newest first)
 */
#define FIRST_SLICE 256 /* part of the range */
#define SLICE_GROWTH 32
#define SLICE_MIN (1 * CF_US_PER_S)

struct page {
    struct cf_buf *out;
    size_t limit, n;    /* wanted, written */
    bool more;          /* rows follow the page */
    int64_t at;         /* of the last row written */
    char id[37];
    int64_t total;      /* from the cursor; -1: to be counted */
    int64_t beyond;     /* where the slice begins that filled the page: the count starts there */
    size_t before;      /* rows written before that slice */
};

/* Cursor: "microseconds_id_total", of the last row of the page before. */
static int read_cursor(struct request *rq, struct page *pg, int64_t *ret_us, struct cf_error *reterr)
{
    cf_str c = rq->q->cursor, at, id, total;
    const char *op = rq->q->oldest_first ? ">" : "<";
    struct cf_buf *w = &rq->w.cond;
    int r;

    if (!cf_str_cut(&c, '_', &at) || !cf_str_i64(at, ret_us))
        return cf_error_set(reterr, CF_EINVAL, "event store: the cursor is not one of ours");
    id = cf_str_sub(c, 0, 36);
    total = cf_str_sub(c, 37, c.n);
    if (c.n < 36 || (c.n > 36 && (c.p[36] != '_' || !cf_str_i64(total, &pg->total) || pg->total < 0)))
        return cf_error_set(reterr, CF_EINVAL, "event store: the cursor is not one of ours");
    cf_buf_printf(w, " AND (time, id) %s (fromUnixTimestamp64Micro(%" PRId64 "), ", op, *ret_us);
    r = param(rq, id, "UUID", w);
    cf_buf_byte(w, ')');
    return r;
}

/* Writes rows until the page is full. */
static int emit(struct request *rq, struct page *pg, cf_str rows, struct cf_error *reterr)
{
    const char *p = rows.p, *e = rows.p + rows.n;
    struct cf_arena a;
    int r = 0;

    cf_arena_init(&a, 0, 0);
    for (; p < e && pg->n < pg->limit && r == 0; pg->n++) {
        if (pg->n)
            cf_buf_byte(pg->out, ',');
        r = cf_event_row_json(&a, &p, e, rq->q->fields, rq->q->n_fields, pg->out, &pg->at, pg->id);
        cf_arena_reset(&a);
    }
    cf_arena_release(&a);
    if (r < 0)
        return cf_error_set(reterr, r, "event store: the engine's rows do not have the expected form");
    pg->more = p < e;
    return 0;
}

/* The rows between two times, both inclusive, as far as the page wants them and one more. */
static int one_slice(struct request *rq, struct page *pg, const char *between, struct cf_error *reterr)
{
    const char *dir = rq->q->oldest_first ? "ASC" : "DESC";
    struct cf_buf rows;
    char tail[96];
    int r;

    cf_buf_init(&rows, 512u << 20);
    (void)snprintf(tail, sizeof tail, " ORDER BY time %s, id %s LIMIT %zu", dir, dir, pg->limit - pg->n + 1);
    r = run_where(rq, rq->s->select_list, between, tail, "RowBinary", &rows, reterr);
    if (r == 0)
        r = emit(rq, pg, cf_buf_view(&rows), reterr);
    cf_buf_release(&rows);
    return r;
}

static void between_sql(char out[160], int64_t lo, int64_t hi)
{
    (void)snprintf(out, 160, " AND time >= fromUnixTimestamp64Micro(%" PRId64 ") AND time <= fromUnixTimestamp64Micro(%" PRId64 ")", lo, hi);
}

static int slices(struct request *rq, struct page *pg, int64_t from, int64_t to, struct cf_error *reterr)
{
    int64_t width = (to - from) / FIRST_SLICE < SLICE_MIN ? SLICE_MIN : (to - from) / FIRST_SLICE;
    bool up = rq->q->oldest_first;
    char between[160];
    int r = 0;

    for (int64_t lo = from, hi = to; r == 0 && lo <= hi && !pg->more; width = width > (to - from) / SLICE_GROWTH ? to - from + 1 : width * SLICE_GROWTH) {
        int64_t cut = hi - lo <= width ? (up ? hi : lo) : up ? lo + width : hi - width;

        pg->before = pg->n;
        pg->beyond = up ? lo : hi;
        between_sql(between, up ? lo : cut, up ? cut : hi);
        r = one_slice(rq, pg, between, reterr);
        if (up)
            lo = cut + 1;
        else
            hi = cut - 1;
    }
    return r;
}

/* Rows of the page, and of the pages before, are known; the others are counted. */
static int count_total(struct request *rq, struct page *pg, size_t cond_n, int64_t from, int64_t to, struct cf_error *reterr)
{
    struct cf_buf b;
    char between[160] = "";
    int64_t n = 0;
    int r;

    if (pg->total >= 0)
        return 0;
    if (!pg->more && !rq->q->cursor.n) {
        pg->total = (int64_t)pg->n;
        return 0;
    }
    rq->w.cond.n = cond_n; /* without the cursor */
    if (rq->q->cursor.n)
        pg->before = 0;
    else if (from && to)
        between_sql(between, rq->q->oldest_first ? pg->beyond : from, rq->q->oldest_first ? to : pg->beyond);
    cf_buf_init(&b, 4096);
    r = run_where(rq, "count()", between, "", "TSV", &b, reterr);
    if (r == 0 && !cf_str_i64(cf_str_trim(cf_buf_view(&b)), &n))
        r = cf_error_set(reterr, CF_ECORRUPT, "event store: unexpected answer");
    cf_buf_release(&b);
    pg->total = (int64_t)pg->before + n;
    return r;
}

int cf_event_search(struct cf_event_store *s, const struct cf_search *q, struct cf_buf *out, struct cf_error *reterr)
{
    struct request rq;
    struct page pg = {.out = out, .limit = q->limit == 0 ? LIMIT_DEFAULT : q->limit > LIMIT_MAX ? LIMIT_MAX : q->limit, .total = -1};
    size_t before = out->n, cond_n;
    int64_t from = q->from_us ? cf_event_clamp_time(q->from_us) : 0, to = q->to_us ? cf_event_clamp_time(q->to_us) : 0, at = 0, lo = from, hi = to;
    int r = request_open(&rq, s, q, reterr);

    cond_n = rq.w.cond.n;
    if (r == 0 && q->cursor.n) {
        r = read_cursor(&rq, &pg, &at, reterr);
        lo = q->oldest_first && at > lo ? at : lo;
        hi = !q->oldest_first && at < hi ? at : hi;
    }
    cf_buf_z(out, "{\"items\":[");
    if (r == 0)
        r = from && to ? slices(&rq, &pg, lo, hi, reterr) : one_slice(&rq, &pg, "", reterr);
    if (r == 0)
        r = count_total(&rq, &pg, cond_n, from, to, reterr);
    if (r == 0 && pg.more)
        cf_buf_printf(out, "],\"next\":\"%" PRId64 "_%s_%" PRId64 "\",\"total\":%" PRId64 "}", pg.at, pg.id, pg.total, pg.total);
    else
        cf_buf_printf(out, "],\"next\":null,\"total\":%" PRId64 "}", pg.total);
    if (r == 0 && out->failed)
        r = cf_error_set(reterr, CF_ELIMIT, "event store: the page is larger than %zu bytes; ask for fewer rows or fields", out->max);
    if (r < 0)
        out->n = before;
    request_close(&rq);
    return r;
}

/* ---- histogram ---- */

/* The round interval that cuts span into at most n buckets. */
static int64_t nice_interval(int64_t span_us, size_t n)
{
    static const int64_t ms[] = {1,      2,       5,       10,      20,       50,       100,      200,      500,       1000,      2000,      5000,       10000,
                                 15000,  30000,   60000,   120000,  300000,   600000,   900000,   1800000,  3600000,   7200000,   10800000,  21600000,
                                 43200000, 86400000, 172800000, 604800000, 1209600000, 2592000000, 7776000000, 31536000000};
    int64_t want = span_us / 1000 / (int64_t)(n ? n : 1);

    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        if (ms[i] >= want)
            return ms[i];
    }
    return INT64_C(315360000000);
}

static int64_t floor_to(int64_t us, int64_t step)
{
    int64_t k = us / step;

    return (us % step < 0 ? k - 1 : k) * step;
}

/* The range to draw: what was asked for, or that of the events found. */
static int span(struct request *rq, int64_t *from, int64_t *to, struct cf_error *reterr)
{
    struct cf_buf b;
    cf_str t, head;
    int r;

    *from = rq->q->from_us;
    *to = rq->q->to_us;
    if (*from && *to)
        return 0;
    cf_buf_init(&b, 4096);
    r = run(rq, "count(), toUnixTimestamp64Micro(min(time)), toUnixTimestamp64Micro(max(time))", "", "TSV", &b, reterr);
    t = cf_str_trim(cf_buf_view(&b));
    if (r == 0) {
        int64_t n = 0, lo = 0, hi = 0;

        if (!cf_str_cut(&t, '\t', &head) || !cf_str_i64(head, &n) || !cf_str_cut(&t, '\t', &head) || !cf_str_i64(head, &lo) || !cf_str_i64(t, &hi))
            r = cf_error_set(reterr, CF_ECORRUPT, "event store: unexpected answer");
        if (!*from)
            *from = n ? lo : *to ? *to : rq->w.now_us;
        if (!*to)
            *to = n ? hi + 1 : *from;
    }
    cf_buf_release(&b);
    return r;
}

static void bucket(struct cf_buf *out, bool first, int64_t at, cf_str count)
{
    char t[32];
    size_t n = cf_time_format(at, t);

    cf_buf_printf(out, "%s{\"time\":\"%.*s\",\"count\":%.*s}", first ? "" : ",", (int)n, t, CF_ARG(count));
}

int cf_event_histogram(struct cf_event_store *s, const struct cf_search *q, size_t n_buckets, struct cf_buf *out, struct cf_error *reterr)
{
    struct request rq;
    struct cf_buf rows;
    int64_t from = 0, to = 0, step_ms = 1;
    size_t before = out->n;
    char select[160];
    int r;

    n_buckets = n_buckets == 0 ? 60 : n_buckets > 2000 ? 2000 : n_buckets;
    cf_buf_init(&rows, 16u << 20);
    r = request_open(&rq, s, q, reterr);
    if (r == 0)
        r = span(&rq, &from, &to, reterr);
    if (r == 0 && to < from)
        to = from;
    if (r == 0) {
        step_ms = nice_interval(to - from, n_buckets);
        (void)snprintf(select, sizeof select, "toInt64(floor(toUnixTimestamp64Micro(time) / %" PRId64 ")) AS b, count()", step_ms * 1000);
        r = run(&rq, select, " GROUP BY b ORDER BY b", "TSV", &rows, reterr);
    }
    if (r == 0) {
        int64_t step = step_ms * 1000, at = floor_to(from, step);
        cf_str t = cf_buf_view(&rows), line, b = CF_STR_NONE;
        int64_t next = 0;
        bool have = false, first = true;

        cf_buf_printf(out, "{\"interval_ms\":%" PRId64 ",\"buckets\":[", step_ms);
        for (size_t guard = 0; at <= to && guard < 4100; at += step, guard++) {
            while (!have && cf_str_cut(&t, '\n', &line)) {
                have = cf_str_cut(&line, '\t', &b) && cf_str_i64(b, &next);
                b = line;
            }
            bool hit = have && next * step == at;

            if (at == to && !hit && !first) /* an empty bucket that begins where the range ends */
                break;
            bucket(out, first, at, hit ? b : CF_STR("0"));
            have = have && !hit;
            first = false;
        }
        cf_buf_z(out, "]}");
        if (out->failed)
            r = cf_error_set(reterr, CF_ENOMEM, "event store: out of memory");
    }
    if (r < 0)
        out->n = before;
    cf_buf_release(&rows);
    request_close(&rq);
    return r;
}

/* ---- facet ---- */

/* SQL of a field's value as text, and of "has one". */
static int facet_expr(struct request *rq, cf_str name, struct cf_buf *expr, struct cf_buf *have)
{
    enum cf_field f = cf_field_find(name);
    const struct cf_column *c;

    if (cf_str_eqz(name, "_source")) {
        cf_buf_z(expr, "toString(source)");
        cf_buf_z(have, "source != ''");
        return 0;
    }
    if (f == CF_F_EXTRA || cf_columns()[f].type == CF_COL_COLD) {
        cf_buf_z(have, "extras[");
        int r = param(rq, name, "String", have);

        cf_buf_byte(have, ']');
        cf_buf_z(expr, "arrayJoin(splitByChar('\\x1f', ");
        cf_buf_str(expr, cf_buf_view(have));
        cf_buf_z(expr, "))");
        cf_buf_z(have, " != ''");
        return r;
    }
    c = &cf_columns()[f];
    switch (c->type) {
    case CF_COL_LC:
    case CF_COL_STR:
        cf_buf_printf(expr, "%s", c->name);
        cf_buf_printf(have, "%s != ''", c->name);
        break;
    case CF_COL_IP:
        cf_buf_printf(expr, "replaceOne(toString(assumeNotNull(%s)), '::ffff:', '')", c->name);
        cf_buf_printf(have, "%s IS NOT NULL", c->name);
        break;
    case CF_COL_AIP:
        cf_buf_printf(expr, "arrayJoin(arrayMap(x -> replaceOne(toString(x), '::ffff:', ''), %s))", c->name);
        cf_buf_printf(have, "notEmpty(%s)", c->name);
        break;
    case CF_COL_ASTR:
        cf_buf_printf(expr, "arrayJoin(%s)", c->name);
        cf_buf_printf(have, "notEmpty(%s)", c->name);
        break;
    default:
        cf_buf_printf(expr, "toString(assumeNotNull(%s))", c->name);
        cf_buf_printf(have, "%s IS NOT NULL", c->name);
    }
    return 0;
}

/* Lines of "json value, count, sum of all counts". */
static int facet_rows(cf_str t, cf_str field, struct cf_buf *out, struct cf_error *reterr)
{
    cf_str line, v, count;
    int64_t n = 0, all = 0, seen = 0;
    bool first = true;

    cf_buf_z(out, "{\"field\":");
    cf_buf_json(out, field);
    cf_buf_z(out, ",\"values\":[");
    while (cf_str_cut(&t, '\n', &line)) {
        if (!cf_str_cut(&line, '\t', &count) || !cf_str_i64(count, &n) || !cf_str_cut(&line, '\t', &v) || !cf_str_i64(v, &all))
            return cf_error_set(reterr, CF_ECORRUPT, "event store: unexpected answer");
        cf_buf_printf(out, "%s{\"value\":%.*s,\"count\":%" PRId64 "}", first ? "" : ",", CF_ARG(line), n);
        seen += n;
        first = false;
    }
    cf_buf_printf(out, "],\"other\":%" PRId64 "}", all - seen);
    return 0;
}

int cf_event_facet(struct cf_event_store *s, const struct cf_search *q, cf_str field, size_t n, struct cf_buf *out, struct cf_error *reterr)
{
    struct request rq;
    struct cf_buf rows, expr, have;
    size_t before = out->n;
    char tail[96];
    int r;

    n = n == 0 ? 10 : n > 1000 ? 1000 : n;
    cf_buf_init(&rows, 16u << 20);
    cf_buf_init(&expr, 0);
    cf_buf_init(&have, 0);
    r = request_open(&rq, s, q, reterr);
    if (r == 0)
        r = facet_expr(&rq, field, &expr, &have);
    if (r == 0) {
        struct cf_buf select;

        cf_buf_init(&select, 0);
        cf_buf_z(&select, "count() AS n, sum(n) OVER () AS everything, toJSONString(toString(");
        cf_buf_str(&select, cf_buf_view(&expr));
        cf_buf_z(&select, ")) AS v");
        cf_buf_z(&rq.w.cond, " AND ");
        cf_buf_str(&rq.w.cond, cf_buf_view(&have));
        (void)snprintf(tail, sizeof tail, " GROUP BY v ORDER BY n DESC, v LIMIT %zu", n);
        r = run(&rq, cf_buf_cstr(&select), tail, "TSVRaw", &rows, reterr);
        cf_buf_release(&select);
    }
    if (r == 0)
        r = facet_rows(cf_buf_view(&rows), field, out, reterr);
    if (r == 0 && out->failed)
        r = cf_error_set(reterr, CF_ENOMEM, "event store: out of memory");
    if (r < 0)
        out->n = before;
    cf_buf_release(&rows);
    cf_buf_release(&expr);
    cf_buf_release(&have);
    request_close(&rq);
    return r;
}
