/* SPDX-License-Identifier: Apache-2.0
 * Going through stored events in order of time, for back-tests: a day is counted by seconds, seconds are joined to slices of a
 * few thousand rows, and each slice is read once. The table is sorted by (source, time), so a page by page reading with a cursor
 * would read the rest of the range again for each page. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/event_private.h"
#include "store/event_schema.h"
#include "store/search_lang.h"

#define SLICE_ROWS 8192u
#define SLICE_BYTES ((size_t)256 << 20)
#define US "fromUnixTimestamp64Micro("

struct scan {
    struct cf_event_store *s;
    const struct cf_search *q;
    struct cf_arena a; /* query */
    struct cf_search_sql w;
    uint64_t max, done;
    cf_event_scan_fn fn;
    void *ctx;
    struct cf_error *err;
};

static int scan_open(struct scan *sc)
{
    struct cf_search_node *tree = NULL;
    struct cf_buf *c = &sc->w.cond;
    int r;

    cf_arena_init(&sc->a, 0, 64u << 20);
    cf_buf_init(c, 4u << 20);
    sc->w.arena = &sc->a;
    sc->w.now_us = cf_now_us();
    cf_buf_byte(c, '(');
    r = cf_search_parse(&sc->a, sc->q->query.p ? sc->q->query : CF_STR(""), &tree, sc->err);
    if (r == 0)
        r = cf_search_to_sql(tree, &sc->w, sc->err);
    cf_buf_byte(c, ')');
    if (r == 0 && !sc->q->scope.all) {
        cf_buf_z(c, " AND ");
        r = cf_event_scope_sql(&sc->q->scope, c, sc->err);
    }
    return r == 0 && c->failed ? cf_error_set(sc->err, CF_ELIMIT, "query: too long") : r;
}

static void scan_close(struct scan *sc)
{
    cf_buf_release(&sc->w.cond);
    cf_arena_release(&sc->a);
}

/* "SELECT select FROM events WHERE cond AND from <= time < to tail" */
static int run(struct scan *sc, const char *select, int64_t from, int64_t to, const char *tail, const char *format, struct cf_buf *out)
{
    const struct cf_query_limits lim = {.max_ms = 120000, .max_rows = INT64_C(4000000)};
    struct cf_buf sql;
    int r;

    cf_buf_init(&sql, 16u << 20);
    cf_buf_printf(&sql, "SELECT %s FROM %s.events WHERE time >= " US "%" PRId64 ") AND time < " US "%" PRId64 ") AND ", select, sc->s->database, from, to);
    cf_buf_str(&sql, cf_buf_view(&sc->w.cond));
    cf_buf_z(&sql, tail);
    r = sql.failed ? cf_error_set(sc->err, CF_ELIMIT, "query: too long")
                   : cf_event_store_query(sc->s, cf_buf_view(&sql), sc->w.param, sc->w.n_param, format, &lim, out, sc->err);
    cf_buf_release(&sql);
    return r;
}

/* ---- rows: time, ingested, id, source, org, original in RowBinary ---- */

static bool num(const char **p, const char *e, int64_t *ret)
{
    if (e - *p < 8)
        return false;
    memcpy(ret, *p, 8);
    *p += 8;
    return true;
}

static bool str(const char **p, const char *e, cf_str *ret)
{
    uint64_t n = 0;

    for (unsigned shift = 0; shift < 63 && *p < e; shift += 7) {
        uint8_t b = (uint8_t) * (*p)++;

        n |= (uint64_t)(b & 0x7f) << shift;
        if (b & 0x80)
            continue;
        if (n > (uint64_t)(e - *p))
            return false;
        *ret = (cf_str){*p, (size_t)n};
        *p += n;
        return true;
    }
    return false;
}

static bool row(const char **p, const char *e, struct cf_stored *x)
{
    cf_str id;

    if (!num(p, e, &x->time_us) || !num(p, e, &x->received_us) || !str(p, e, &id) || id.n != 36)
        return false;
    memcpy(x->id, id.p, 36);
    x->id[36] = '\0';
    return str(p, e, &x->source) && str(p, e, &x->org) && str(p, e, &x->original);
}

static int slice(struct scan *sc, int64_t from, int64_t to)
{
    struct cf_stored *rows = malloc(SLICE_ROWS * sizeof *rows);
    struct cf_buf b;
    const char *p, *e;
    char tail[80];
    size_t n = 0;
    int r;

    if (!rows)
        return cf_error_set(sc->err, CF_ENOMEM, "no memory");
    cf_buf_init(&b, SLICE_BYTES * 4);
    (void)snprintf(tail, sizeof tail, " ORDER BY time, id LIMIT %" PRIu64, sc->max - sc->done);
    r = run(sc, "toUnixTimestamp64Micro(time), ifNull(toUnixTimestamp64Micro(event_ingested), 0), toString(id), toString(source), toString(organization_id), event_original",
            from, to, tail, "RowBinary", &b);
    p = b.p;
    e = b.p + b.n;
    while (r == 0 && p < e) {
        if (!row(&p, e, &rows[n])) {
            r = cf_error_set(sc->err, CF_ECORRUPT, "event store: the engine's rows do not have the expected form");
            break;
        }
        n++;
        if (n == SLICE_ROWS || p == e) {
            sc->done += n;
            r = sc->fn(sc->ctx, rows, n, sc->done, sc->err);
            n = 0;
        }
    }
    cf_buf_release(&b);
    free(rows);
    return r;
}

/* One day: seconds with events, joined to slices. */
static int day(struct scan *sc, int64_t from, int64_t to)
{
    struct cf_buf b;
    cf_str t, line, at;
    int64_t start = from, sec, n, rows = 0;
    int r;

    cf_buf_init(&b, 16u << 20);
    r = run(sc, "toInt64(toUnixTimestamp(time)) AS s, count()", from, to, " GROUP BY s ORDER BY s", "TSV", &b);
    t = cf_buf_view(&b);
    while (r == 0 && sc->done < sc->max && cf_str_cut(&t, '\n', &line)) {
        if (!cf_str_cut(&line, '\t', &at) || !cf_str_i64(at, &sec) || !cf_str_i64(line, &n)) {
            r = cf_error_set(sc->err, CF_ECORRUPT, "event store: unexpected answer");
            break;
        }
        if (rows && rows + n > SLICE_ROWS) {
            r = slice(sc, start, sec * CF_US_PER_S);
            start = sec * CF_US_PER_S;
            rows = 0;
        }
        rows += n;
    }
    if (r == 0 && rows && sc->done < sc->max)
        r = slice(sc, start, to);
    cf_buf_release(&b);
    return r;
}

int cf_event_scan(struct cf_event_store *s, const struct cf_search *q, uint64_t max, cf_event_scan_fn fn, void *ctx, struct cf_error *reterr)
{
    struct scan sc = {.s = s, .q = q, .max = max, .fn = fn, .ctx = ctx, .err = reterr};
    int64_t from = cf_event_clamp_time(q->from_us), end = cf_event_clamp_time(q->to_us) + 1;
    int r = scan_open(&sc);

    while (r == 0 && from < end && sc.done < max) {
        int64_t next = (from / CF_US_PER_DAY + (from < 0 ? 0 : 1)) * CF_US_PER_DAY;

        if (next <= from)
            next = from + CF_US_PER_DAY;
        r = day(&sc, from, next < end ? next : end);
        from = next;
    }
    scan_close(&sc);
    return r;
}

int cf_event_count(struct cf_event_store *s, const struct cf_search *q, uint64_t *ret, struct cf_error *reterr)
{
    struct scan sc = {.s = s, .q = q, .err = reterr};
    struct cf_buf b;
    int r = scan_open(&sc);

    cf_buf_init(&b, 4096);
    if (r == 0)
        r = run(&sc, "count()", cf_event_clamp_time(q->from_us), cf_event_clamp_time(q->to_us) + 1, "", "TSV", &b);
    if (r == 0 && !cf_str_u64(cf_str_trim(cf_buf_view(&b)), ret))
        r = cf_error_set(reterr, CF_ECORRUPT, "event store: unexpected answer");
    cf_buf_release(&b);
    scan_close(&sc);
    return r;
}

int cf_event_fetch(struct cf_event_store *s, const struct cf_event_scope *scope, const cf_str *ids, size_t n, struct cf_arena *a, struct cf_event **ret,
                   struct cf_error *reterr)
{
    const struct cf_query_limits lim = {.max_ms = 60000};
    struct cf_buf sql, out;
    const char *p, *e;
    char id[37], *bytes = NULL;
    int r = 0;

    memset(ret, 0, n * sizeof *ret);
    if (n == 0)
        return 0;
    cf_buf_init(&sql, 16u << 20);
    cf_buf_init(&out, SLICE_BYTES);
    cf_buf_printf(&sql, "SELECT %s FROM %s.events WHERE id IN (", s->select_list, s->database);
    for (size_t i = 0; i < n; i++) {
        cf_buf_z(&sql, i ? ",toUUIDOrZero(" : "toUUIDOrZero(");
        cf_event_sql_quote(&sql, ids[i]);
        cf_buf_byte(&sql, ')');
    }
    cf_buf_byte(&sql, ')');
    if (!scope->all) {
        cf_buf_z(&sql, " AND ");
        r = cf_event_scope_sql(scope, &sql, reterr);
    }
    if (r == 0)
        r = cf_event_store_query(s, cf_buf_view(&sql), NULL, 0, "RowBinary", &lim, &out, reterr);
    if (r == 0 && out.n && !(bytes = cf_arena_bytes(a, out.n)))
        r = cf_error_set(reterr, CF_ENOMEM, "no memory");
    if (bytes)
        memcpy(bytes, out.p, out.n);
    for (p = bytes, e = bytes + (bytes ? out.n : 0); r == 0 && p < e;) {
        struct cf_event *ev = NULL;

        r = cf_event_row_read(a, &p, e, NULL, 0, &ev, id);
        if (r < 0)
            r = cf_error_set(reterr, r, "event store: the engine's rows do not have the expected form");
        for (size_t i = 0; r == 0 && i < n; i++)
            if (cf_str_ieq(ids[i], cf_str_c(id)))
                ret[i] = ev;
    }
    cf_buf_release(&sql);
    cf_buf_release(&out);
    return r;
}
