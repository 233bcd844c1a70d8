/* SPDX-License-Identifier: Apache-2.0
 * Pages of a search. At most three statements, of which only one reads the whole range:
 *
 *   from |---------------- counted by time ----------------|- slice -| to        (newest first)
 *                      page: | only these bars |
 *
 * The slice, 1/256 of the range, is where most searches find their page; then the rest is only counted. When it does not fill the
 * page the rest is counted in 1,024 bars of time: that is the total, and it tells between which times the rest of the page lies. */
#include <inttypes.h>
#include <stdio.h>

#include "store/event_request.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 1000
#define FIRST_SLICE 256 /* part of the range */
#define SLICE_MIN (1 * CF_US_PER_S)
#define BARS 1024

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
static int read_cursor(struct cf_event_request *rq, struct page *pg, int64_t *ret_us, struct cf_error *reterr)
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
    r = cf_event_request_param(rq, id, "UUID", w);
    cf_buf_byte(w, ')');
    return r;
}

/* Writes rows until the page is full. */
static int emit(struct cf_event_request *rq, struct page *pg, cf_str rows, struct cf_error *reterr)
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
static int one_slice(struct cf_event_request *rq, struct page *pg, const char *between, struct cf_error *reterr)
{
    const char *dir = rq->q->oldest_first ? "ASC" : "DESC";
    struct cf_buf rows;
    char tail[96];
    int r;

    cf_buf_init(&rows, 512u << 20);
    (void)snprintf(tail, sizeof tail, " ORDER BY time %s, id %s LIMIT %zu", dir, dir, pg->limit - pg->n + 1);
    r = cf_event_request_run(rq, rq->s->select_list, between, tail, "RowBinary", &rows, reterr);
    if (r == 0)
        r = emit(rq, pg, cf_buf_view(&rows), reterr);
    cf_buf_release(&rows);
    return r;
}

static void between_sql(char out[160], int64_t lo, int64_t hi)
{
    (void)snprintf(out, 160, " AND time >= fromUnixTimestamp64Micro(%" PRId64 ") AND time <= fromUnixTimestamp64Micro(%" PRId64 ")", lo, hi);
}

/* What lies between two times, counted by bars. */
struct bars {
    int64_t lo, hi;    /* where they cover */
    int64_t total;
    int64_t near, far; /* times between which the rows lie that the page still wants and one more */
    bool beyond;       /* there are more than that */
};

static int count_bars(struct cf_event_request *rq, const struct page *pg, struct bars *b, struct cf_error *reterr)
{
    bool up = rq->q->oldest_first;
    int64_t step = (b->hi - b->lo) / BARS + 1, want = (int64_t)(pg->limit - pg->n) + 1, k, n;
    char select[128], between[160];
    struct cf_buf rows;
    cf_str t, line, at;
    int r;

    cf_buf_init(&rows, 1u << 20);
    (void)snprintf(select, sizeof select, "intDiv(toUnixTimestamp64Micro(time) - (%" PRId64 "), %" PRId64 ") AS b, count()", b->lo, step);
    between_sql(between, b->lo, b->hi);
    r = cf_event_request_run(rq, select, between, up ? " GROUP BY b ORDER BY b" : " GROUP BY b ORDER BY b DESC", "TSV", &rows, reterr);
    b->total = 0;
    b->beyond = false;
    t = cf_buf_view(&rows);
    while (r == 0 && cf_str_cut(&t, '\n', &line)) {
        if (!cf_str_cut(&line, '\t', &at) || !cf_str_i64(at, &k) || !cf_str_i64(line, &n)) {
            r = cf_error_set(reterr, CF_ECORRUPT, "event store: unexpected answer");
        } else if (b->total < want) {
            int64_t first = b->lo + k * step, last = first + step - 1 < b->hi ? first + step - 1 : b->hi;

            b->near = b->total ? b->near : up ? first : last;
            b->far = up ? last : first;
        } else {
            b->beyond = true;
        }
        b->total += r == 0 ? n : 0;
    }
    cf_buf_release(&rows);
    return r;
}

/* The newest (oldest) slice of the range, then the bars of the rest. */
static int from_range(struct cf_event_request *rq, struct page *pg, int64_t lo, int64_t hi, struct cf_error *reterr)
{
    int64_t width = (hi - lo) / FIRST_SLICE < SLICE_MIN ? SLICE_MIN : (hi - lo) / FIRST_SLICE, rest = 0;
    bool up = rq->q->oldest_first, whole = hi - lo <= width;
    int64_t cut = whole ? (up ? hi : lo) : up ? lo + width : hi - width;
    char between[160];
    int r;

    if (lo > hi)
        return 0;
    pg->beyond = up ? lo : hi;
    between_sql(between, up ? lo : cut, up ? cut : hi);
    r = one_slice(rq, pg, between, reterr);
    if (r < 0 || pg->more || whole)
        return r;
    struct bars b = {.lo = up ? cut + 1 : lo, .hi = up ? hi : cut - 1, .beyond = true};

    pg->before = pg->n;
    for (bool first = true; r == 0 && !pg->more && b.beyond && b.lo <= b.hi; first = false) {
        r = count_bars(rq, pg, &b, reterr);
        rest = first ? b.total : rest;
        if (r < 0 || !b.total)
            break;
        between_sql(between, up ? b.near : b.far, up ? b.far : b.near);
        r = one_slice(rq, pg, between, reterr);
        /* rows may have been deleted since they were counted: then the page is filled from the bars after these */
        b.lo = up ? b.far + 1 : b.lo;
        b.hi = up ? b.hi : b.far - 1;
    }
    if (r == 0 && pg->total < 0 && !rq->q->cursor.n)
        pg->total = (int64_t)pg->before + rest;
    return r;
}

/* Rows of the page, and of the pages before, are known; the others are counted. */
static int count_total(struct cf_event_request *rq, struct page *pg, size_t cond_n, int64_t from, int64_t to, struct cf_error *reterr)
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
    r = cf_event_request_run(rq, "count()", between, "", "TSV", &b, reterr);
    if (r == 0 && !cf_str_i64(cf_str_trim(cf_buf_view(&b)), &n))
        r = cf_error_set(reterr, CF_ECORRUPT, "event store: unexpected answer");
    cf_buf_release(&b);
    pg->total = (int64_t)pg->before + n;
    return r;
}

int cf_event_search(struct cf_event_store *s, const struct cf_search *q, struct cf_buf *out, struct cf_error *reterr)
{
    struct cf_event_request rq;
    struct page pg = {.out = out, .limit = q->limit == 0 ? LIMIT_DEFAULT : q->limit > LIMIT_MAX ? LIMIT_MAX : q->limit, .total = -1};
    size_t before = out->n, cond_n;
    int64_t from = q->from_us ? cf_event_clamp_time(q->from_us) : 0, to = q->to_us ? cf_event_clamp_time(q->to_us) : 0, at = 0, lo = from, hi = to;
    int r = cf_event_request_open(&rq, s, q, reterr);

    cond_n = rq.w.cond.n;
    if (r == 0 && q->cursor.n) {
        r = read_cursor(&rq, &pg, &at, reterr);
        lo = q->oldest_first && at > lo ? at : lo;
        hi = !q->oldest_first && at < hi ? at : hi;
    }
    cf_buf_z(out, "{\"items\":[");
    if (r == 0)
        r = from && to ? from_range(&rq, &pg, lo, hi, reterr) : one_slice(&rq, &pg, "", reterr);
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
    cf_event_request_close(&rq);
    return r;
}
