/* SPDX-License-Identifier: Apache-2.0 */
#include "form/content.h"
#include "notice/notice.h"

#define SUMS \
    "COUNT(*), COUNT(w.signed_us), COUNT(w.fed_back_us), COALESCE(SUM(CASE WHEN w.overdue = 1 THEN 1 ELSE 0 END), 0), " \
    "COALESCE(SUM(CASE WHEN w.overdue_count > 0 THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN w.state = 'closed' THEN 1 ELSE 0 END), 0), " \
    "COALESCE(SUM(CASE WHEN w.state = 'ended' THEN 1 ELSE 0 END), 0), AVG(CASE WHEN w.state = 'closed' THEN (w.finished_us - w.issued_us) / 3600000000.0 END), " \
    "AVG(CASE WHEN w.signed_us IS NOT NULL THEN (w.signed_us - w.issued_us) / 3600000000.0 END)"

static json_t *num(struct cf_stmt *st, int col) { return cf_stmt_null(st, col) ? json_null() : json_real(cf_stmt_f64(st, col)); }

static json_t *sums_json(struct cf_stmt *st, int c)
{
    int64_t sent = cf_stmt_i64(st, c), closed = cf_stmt_i64(st, c + 5), ended = cf_stmt_i64(st, c + 6), due = sent - ended;

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "sent", (json_int_t)sent, "signed", (json_int_t)cf_stmt_i64(st, c + 1), "handled",
                     (json_int_t)cf_stmt_i64(st, c + 2), "overdue", (json_int_t)cf_stmt_i64(st, c + 3), "ever_overdue", (json_int_t)cf_stmt_i64(st, c + 4), "closed",
                     (json_int_t)closed, "ended", (json_int_t)ended, "open", (json_int_t)(sent - closed - ended), "rectification_rate",
                     due > 0 ? json_real((double)closed / (double)due) : json_null(), "mean_close_hours", num(st, c + 7), "mean_sign_hours", num(st, c + 8));
}

static int run(struct cf_tx *tx, const struct cf_principal *who, int64_t from_us, int64_t to_us, const char *select, const char *tail, struct cf_arena *a,
               struct cf_stmt **ret, struct cf_error *err)
{
    struct cf_dbval v[8];
    struct cf_buf sql;
    size_t n = 0, n_scope = 0;
    int r;

    cf_buf_init(&sql, 0);
    cf_buf_printf(&sql, "SELECT %s FROM work_item w LEFT JOIN organisation o ON o.id = w.org_id WHERE w.kind = 'notice-receipt' AND w.issued_us >= ? AND w.issued_us < ? AND ",
                  select);
    v[n++] = CF_I(from_us);
    v[n++] = CF_I(to_us);
    cf_scope_sql(who, "w.org_id", &sql, v + n, &n_scope, a);
    n += n_scope;
    cf_buf_z(&sql, tail);
    r = cf_tx_queryv(tx, cf_buf_cstr(&sql), v, n, ret, err);
    cf_buf_release(&sql);
    return r;
}

json_t *cf_notice_statistics(struct cf_tx *tx, const struct cf_principal *who, int64_t from_us, int64_t to_us, struct cf_arena *a, struct cf_error *reterr)
{
    json_t *j = NULL, *units = json_array(), *levels = json_object();
    struct cf_stmt *st = NULL;
    int r = run(tx, who, from_us, to_us, SUMS, "", a, &st, reterr);

    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        j = sums_json(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    st = NULL;
    if (r == 0)
        r = run(tx, who, from_us, to_us, "w.org_id, o.name, " SUMS,
                " GROUP BY w.org_id, o.name ORDER BY CAST(SUM(CASE WHEN w.state = 'closed' THEN 1 ELSE 0 END) AS DOUBLE PRECISION) / COUNT(*) DESC, 10, COUNT(*) DESC, w.org_id LIMIT 200", a,
                &st, reterr);
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        json_t *u = sums_json(st, 2);

        json_object_set_new(u, "org", json_pack("{s:o, s:o}", "id", cf_str_json(cf_stmt_str(st, 0)), "name", cf_str_json(cf_stmt_str(st, 1))));
        json_object_set_new(u, "rank", json_integer((json_int_t)json_array_size(units) + 1));
        json_array_append_new(units, u);
        r = 0;
    }
    cf_stmt_free(st);
    st = NULL;
    if (r == 0)
        r = run(tx, who, from_us, to_us, "COALESCE(w.level, '-'), COUNT(*)", " GROUP BY COALESCE(w.level, '-')", a, &st, reterr);
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        json_object_set_new(levels, cf_arena_strdup(a, cf_stmt_str(st, 0)), json_integer((json_int_t)cf_stmt_i64(st, 1)));
        r = 0;
    }
    cf_stmt_free(st);
    if (r < 0 || !j) {
        json_decref(j);
        json_decref(units);
        json_decref(levels);
        return NULL;
    }
    json_object_set_new(j, "targets", json_pack("{s:f, s:i}", "rectification_rate", 0.95, "mean_close_hours", 72));
    json_object_set_new(j, "by_level", levels);
    json_object_set_new(j, "units", units);
    return j;
}
