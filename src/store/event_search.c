/* SPDX-License-Identifier: Apache-2.0
 * Questions about events: query language, time range and scope become one condition that all statements of a question share.
 * Histogram and facet are here, pages in event_page.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/event_request.h"

#define MAX_MS 10000

int cf_event_request_param(struct cf_event_request *rq, cf_str v, const char *type, struct cf_buf *sql)
{
    int n = v.p ? cf_search_param(&rq->w, v) : -1;

    if (n < 0)
        return CF_ENOMEM;
    cf_buf_printf(sql, "{p%d:%s}", n, type);
    return 0;
}

static int scope(struct cf_event_request *rq, struct cf_error *reterr)
{
    struct cf_buf *c = &rq->w.cond;

    if (rq->q->scope.all)
        return 0;
    cf_buf_z(c, " AND ");
    return cf_event_scope_sql(&rq->q->scope, c, reterr);
}

int cf_event_request_open(struct cf_event_request *rq, struct cf_event_store *s, const struct cf_search *q, struct cf_error *reterr)
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
        r = cf_event_request_param(rq, cf_arena_printf(&rq->a, "%" PRId64, cf_event_clamp_time(q->from_us)), "Int64", c);
        cf_buf_byte(c, ')');
    }
    if (r == 0 && q->to_us) {
        cf_buf_z(c, " AND time <= fromUnixTimestamp64Micro(");
        r = cf_event_request_param(rq, cf_arena_printf(&rq->a, "%" PRId64, cf_event_clamp_time(q->to_us)), "Int64", c);
        cf_buf_byte(c, ')');
    }
    return r == 0 ? scope(rq, reterr) : r;
}

void cf_event_request_close(struct cf_event_request *rq)
{
    cf_buf_release(&rq->w.cond);
    cf_arena_release(&rq->a);
}

/* What those who searched are told instead of the engine's words. */
static int stopped(const struct cf_event_request *rq, int r, struct cf_error *reterr)
{
    int64_t s = (rq->q->max_ms ? rq->q->max_ms : MAX_MS) / 1000;

    if (cf_event_run_cancelled(rq->q->run))
        return cf_error_set(reterr, CF_ECANCELLED, "the search was stopped");
    if (r == CF_ETIMEOUT)
        return cf_error_set(reterr, CF_ETIMEOUT,
                            "the search took longer than %" PRId64 " s and was stopped: choose a shorter time range, or more words or fields", s);
    return r;
}

int cf_event_request_run(struct cf_event_request *rq, const char *select, const char *more, const char *tail, const char *format, struct cf_buf *out,
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
static int span(struct cf_event_request *rq, int64_t *from, int64_t *to, struct cf_error *reterr)
{
    struct cf_buf b;
    cf_str t, head;
    int r;

    *from = rq->q->from_us;
    *to = rq->q->to_us;
    if (*from && *to)
        return 0;
    cf_buf_init(&b, 4096);
    r = cf_event_request_run(rq, "count(), toUnixTimestamp64Micro(min(time)), toUnixTimestamp64Micro(max(time))", "", "", "TSV", &b, reterr);
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
    struct cf_event_request rq;
    struct cf_buf rows;
    int64_t from = 0, to = 0, step_ms = 1;
    size_t before = out->n;
    char select[160];
    int r;

    n_buckets = n_buckets == 0 ? 60 : n_buckets > 2000 ? 2000 : n_buckets;
    cf_buf_init(&rows, 16u << 20);
    r = cf_event_request_open(&rq, s, q, reterr);
    if (r == 0)
        r = span(&rq, &from, &to, reterr);
    if (r == 0 && to < from)
        to = from;
    if (r == 0) {
        step_ms = nice_interval(to - from, n_buckets);
        (void)snprintf(select, sizeof select, "toInt64(floor(toUnixTimestamp64Micro(time) / %" PRId64 ")) AS b, count()", step_ms * 1000);
        r = cf_event_request_run(&rq, select, "", " GROUP BY b ORDER BY b", "TSV", &rows, reterr);
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
    cf_event_request_close(&rq);
    return r;
}

/* ---- facet ---- */

/* SQL of a field's value (grouped as it is stored: text is made of each different value once), and of "has one". */
static int facet_expr(struct cf_event_request *rq, cf_str name, struct cf_buf *expr, struct cf_buf *have)
{
    enum cf_field f = cf_field_find(name);
    const struct cf_column *c;

    if (cf_str_eqz(name, "_source")) {
        cf_buf_z(expr, "source");
        cf_buf_z(have, "source != ''");
        return 0;
    }
    if (f == CF_F_EXTRA || cf_columns()[f].type == CF_COL_COLD) {
        cf_buf_z(have, "extras[");
        int r = cf_event_request_param(rq, name, "String", have);

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
        cf_buf_printf(expr, "assumeNotNull(%s)", c->name);
        cf_buf_printf(have, "%s IS NOT NULL", c->name);
        break;
    case CF_COL_AIP:
    case CF_COL_ASTR:
        cf_buf_printf(expr, "arrayJoin(%s)", c->name);
        cf_buf_printf(have, "notEmpty(%s)", c->name);
        break;
    default:
        cf_buf_printf(expr, "assumeNotNull(%s)", c->name);
        cf_buf_printf(have, "%s IS NOT NULL", c->name);
    }
    return 0;
}

static bool facet_address(cf_str name)
{
    enum cf_field f = cf_field_find(name);

    return f != CF_F_EXTRA && (cf_columns()[f].type == CF_COL_IP || cf_columns()[f].type == CF_COL_AIP);
}

/* Lines of "count, sum of all counts, json value". */
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
    struct cf_event_request rq;
    struct cf_buf rows, expr, have;
    size_t before = out->n;
    char tail[96];
    int r;

    n = n == 0 ? 10 : n > 1000 ? 1000 : n;
    cf_buf_init(&rows, 16u << 20);
    cf_buf_init(&expr, 0);
    cf_buf_init(&have, 0);
    r = cf_event_request_open(&rq, s, q, reterr);
    if (r == 0)
        r = facet_expr(&rq, field, &expr, &have);
    if (r == 0) {
        struct cf_buf select;

        cf_buf_init(&select, 0);
        cf_buf_printf(&select, "n, everything, toJSONString(%s) FROM (SELECT count() AS n, sum(n) OVER () AS everything, ",
                      facet_address(field) ? "replaceOne(toString(v), '::ffff:', '')" : "toString(v)");
        cf_buf_str(&select, cf_buf_view(&expr));
        cf_buf_z(&select, " AS v");
        cf_buf_z(&rq.w.cond, " AND ");
        cf_buf_str(&rq.w.cond, cf_buf_view(&have));
        (void)snprintf(tail, sizeof tail, " GROUP BY v ORDER BY n DESC, v LIMIT %zu) ORDER BY n DESC, v", n);
        r = cf_event_request_run(&rq, cf_buf_cstr(&select), "", tail, "TSVRaw", &rows, reterr);
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
    cf_event_request_close(&rq);
    return r;
}
