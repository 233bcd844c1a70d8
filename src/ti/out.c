/* SPDX-License-Identifier: Apache-2.0
 * Indicators on their way out: plain text (one value a line, for devices), CSV, STIX 2.1 bundle, GB/T 36643 document. */
#include "ti/ti_int.h"

#include <stdlib.h>

const char *ti_format_type(cf_str f)
{
    if (cf_str_eqz(f, "txt"))
        return "text/plain; charset=utf-8";
    if (cf_str_eqz(f, "csv"))
        return "text/csv; charset=utf-8";
    if (cf_str_eqz(f, "stix"))
        return "application/stix+json;version=2.1";
    return cf_str_eqz(f, "gbt") ? "application/json; charset=utf-8" : NULL;
}

int ti_types_sql(cf_str types, struct cf_buf *sql, struct cf_dbval *v, size_t *n_v, struct cf_error *reterr)
{
    size_t k = 0;
    cf_str one;

    while (cf_str_cut(&types, ',', &one)) {
        enum cf_ti_type t;

        one = cf_str_trim(one);
        if (one.n == 0)
            continue;
        if (!cf_ti_type_parse(one, &t) || k == CF_TI_TYPES)
            return cf_error_set(reterr, CF_EINVAL, "types: there is no type \"%.*s\"", CF_ARG(cf_str_sub(one, 0, 40)));
        cf_buf_z(sql, k++ ? ", ?" : " AND i.type IN (?");
        v[(*n_v)++] = CF_Z(cf_ti_type_name(t));
    }
    if (k)
        cf_buf_byte(sql, ')');
    return 0;
}

int ti_select_sql(const struct ti_select *s, struct cf_buf *sql, struct cf_dbval *v, size_t *n_v, struct cf_error *reterr)
{
    /* what an import is adding leaves when the import is complete */
    cf_buf_z(sql, "i.conflict IS NULL AND i.added_us NOT IN (SELECT h.stamp_us FROM ti_import h WHERE h.state IN ('running', 'undoing')) AND i.tlp <= ? AND i.confidence >= ?");
    v[(*n_v)++] = CF_I(s->tlp_max);
    v[(*n_v)++] = CF_I(s->min_confidence);
    if (s->status.n) {
        cf_buf_z(sql, " AND i.status = ?");
        v[(*n_v)++] = CF_S(s->status);
    } else {
        cf_buf_z(sql, " AND i.status = 'active' AND (i.valid_until_us = 0 OR i.valid_until_us > ?)");
        v[(*n_v)++] = CF_I(cf_now_us());
    }
    if (s->source.n) {
        cf_buf_z(sql, " AND i.source_id = ?");
        v[(*n_v)++] = CF_S(s->source);
    }
    return ti_types_sql(s->types, sql, v, n_v, reterr);
}

static void csv_cell(struct cf_buf *out, cf_str s, bool last)
{
    /* a cell that a spreadsheet would run as a formula gets an apostrophe */
    bool risky = s.n && (s.p[0] == '=' || s.p[0] == '+' || s.p[0] == '-' || s.p[0] == '@'), quote = risky;

    for (size_t i = 0; i < s.n && !quote; i++)
        quote = s.p[i] == ',' || s.p[i] == '"' || s.p[i] == '\n' || s.p[i] == '\r';
    if (quote)
        cf_buf_byte(out, '"');
    if (risky)
        cf_buf_byte(out, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            cf_buf_byte(out, '"');
        cf_buf_byte(out, s.p[i] == '\n' || s.p[i] == '\r' ? ' ' : s.p[i]);
    }
    if (quote)
        cf_buf_byte(out, '"');
    cf_buf_byte(out, last ? '\n' : ',');
}

static void csv_time(struct cf_buf *out, int64_t us, bool last)
{
    char b[32];

    csv_cell(out, us > 0 ? cf_str_n(b, cf_time_format(us, b)) : CF_STR(""), last);
}

static void csv_row(struct cf_buf *out, const struct cf_stmt *st)
{
    csv_cell(out, cf_stmt_str(st, 2), false);
    csv_cell(out, cf_stmt_str(st, 1), false);
    csv_cell(out, cf_stmt_str(st, 3), false);
    csv_cell(out, cf_stmt_str(st, 4), false);
    csv_cell(out, cf_stmt_str(st, 5), false);
    cf_buf_i64(out, cf_stmt_i64(st, 6));
    cf_buf_byte(out, ',');
    csv_cell(out, cf_str_c(ti_severity_name(cf_stmt_i64(st, 7))), false);
    csv_cell(out, cf_str_c(ti_tlp_name(cf_stmt_i64(st, 8))), false);
    csv_time(out, cf_stmt_i64(st, 11), false);
    csv_time(out, cf_stmt_i64(st, 10), false);
    csv_cell(out, cf_stmt_str(st, 12), true);
}

static int rows(struct cf_tx *tx, const char *sql, const struct cf_dbval *v, size_t n_v, cf_str format, struct cf_buf *out, int64_t *n, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_queryv(tx, sql, v, n_v, &st, reterr);

    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        r = 0;
        if (cf_str_eqz(format, "stix")) {
            json_t *o = ti_stix_of_row(st);
            char *text = json_dumps(o, JSON_COMPACT);

            if (*n)
                cf_buf_z(out, ",\n");
            cf_buf_z(out, text ? text : "{}");
            free(text);
            json_decref(o);
        } else if (cf_str_eqz(format, "csv")) {
            csv_row(out, st);
        } else if (cf_stmt_str(st, 19).n == 0) { /* a bare value would drop the condition */
            cf_buf_str(out, cf_stmt_str(st, 2));
            cf_buf_byte(out, '\n');
        }
        ++*n;
    }
    cf_stmt_free(st);
    return r;
}

int ti_write(struct cf_db *db, const struct ti_select *s, cf_str format, int64_t limit, struct cf_buf *out, int64_t *ret_n, struct cf_error *reterr)
{
    struct cf_dbval v[24];
    struct cf_tx *tx = NULL;
    struct cf_buf where, sql;
    size_t n_v = 0;
    char id[37];
    int r;

    *ret_n = 0;
    cf_buf_init(&where, 1 << 16);
    cf_buf_init(&sql, 1 << 16);
    r = ti_select_sql(s, &where, v, &n_v, reterr);
    if (r == 0 && cf_str_eqz(format, "gbt")) {
        json_t *doc = ti_gbt_export(db, cf_buf_cstr(&where), v, n_v, limit, reterr);
        char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

        *ret_n = (int64_t)json_array_size(json_object_get(doc, "indicators"));
        if (text)
            cf_buf_z(out, text);
        r = doc ? 0 : reterr->code;
        free(text);
        json_decref(doc);
    } else if (r == 0) {
        cf_uuid7(id);
        cf_buf_printf(&sql, "SELECT " TI_STIX_COLS " FROM ti_indicator i JOIN ti_source s ON s.id = i.source_id WHERE %s ORDER BY i.added_us DESC, i.id DESC LIMIT %lld",
                      cf_buf_cstr(&where), (long long)limit);
        if (cf_str_eqz(format, "stix"))
            cf_buf_printf(out, "{\"type\":\"bundle\",\"id\":\"bundle--%s\",\"objects\":[\n", id);
        else if (cf_str_eqz(format, "csv"))
            cf_buf_z(out, "value,type,threat_type,family,group,confidence,severity,tlp,first_seen,valid_until,description\n");
        r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);
        if (r == 0)
            r = rows(tx, cf_buf_cstr(&sql), v, n_v, format, out, ret_n, reterr);
        cf_tx_rollback(&tx);
        if (cf_str_eqz(format, "stix"))
            cf_buf_z(out, "\n]}\n");
    }
    if (r == 0 && out->failed)
        r = cf_error_set(reterr, CF_ELIMIT, "the result is too large: lower the limit");
    cf_buf_release(&where);
    cf_buf_release(&sql);
    return r;
}
