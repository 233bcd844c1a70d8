/* SPDX-License-Identifier: Apache-2.0
 * Lists over the record store: scope, filter, sort, paging by key. Column descriptions are ours, values are bound:
 * nothing a caller writes becomes SQL text. */
#include "api/list.h"

#include <stdio.h>
#include <stdlib.h>

#define VALUES_MAX 400

struct build {
    struct cf_req *req;
    const struct cf_list *l;
    struct cf_arena *a;
    struct cf_error *err;
    struct cf_buf where;
    struct cf_dbval v[VALUES_MAX];
    size_t n_v;
    const struct cf_lcol *sort; /* NULL: by id */
    bool desc;
    cf_str filter;
    int64_t total; /* -1: not counted yet */
    char sort_name[80];
};

static int field_error(struct build *b, const char *field, const char *msg)
{
    (void)cf_req_field_error(b->req, field, "%s", msg);
    return cf_error_set(b->err, CF_EINVAL, "%s: %s", field, msg);
}

static bool bind(struct build *b, struct cf_dbval v)
{
    if (b->n_v == VALUES_MAX)
        return false;
    b->v[b->n_v++] = v;
    return true;
}

static const struct cf_lcol *column(const struct cf_list *l, cf_str name, unsigned flag)
{
    for (size_t i = 0; i < l->n_cols; i++) {
        if ((l->cols[i].flags & flag) && cf_str_eqz(name, l->cols[i].name))
            return &l->cols[i];
    }
    return NULL;
}

/* Lower case (ASCII) with LIKE's own signs escaped; '*' becomes '%' when wild; % around when whole is false. */
static cf_str like_pattern(struct cf_arena *a, cf_str s, bool wild, bool whole)
{
    char *out = cf_arena_bytes(a, 2 * s.n + 3);
    size_t n = 0;

    if (!out)
        return CF_STR_NONE;
    if (!whole)
        out[n++] = '%';
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '*' && wild) {
            out[n++] = '%';
            continue;
        }
        if (c == '%' || c == '_' || c == '\\')
            out[n++] = '\\';
        out[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    if (!whole)
        out[n++] = '%';
    return cf_str_n(out, n);
}

/* The bound value of a comparison with a typed column. False: not a value of that type. */
static bool typed_value(const struct cf_lcol *c, cf_str s, struct cf_dbval *ret)
{
    int64_t i;
    double d;

    switch (c->type) {
    case CF_LC_TEXT:
    case CF_LC_JSON:
        *ret = CF_S(s);
        return true;
    case CF_LC_I64:
        if (!cf_str_i64(s, &i))
            return false;
        *ret = CF_I(i);
        return true;
    case CF_LC_F64:
        if (!cf_str_f64(s, &d))
            return false;
        *ret = CF_D(d);
        return true;
    case CF_LC_BOOL:
        if (!cf_str_eqz(s, "true") && !cf_str_eqz(s, "false"))
            return false;
        *ret = CF_I(cf_str_eqz(s, "true"));
        return true;
    case CF_LC_TIME: {
        char day[24];

        if (s.n == 10) { /* a date means its first moment */
            (void)snprintf(day, sizeof day, "%.10sT00:00:00Z", s.p);
            s = cf_str_c(day);
        }
        if (!cf_time_parse_rel(s, cf_now_us(), &i))
            return false;
        *ret = CF_I(i);
        return true;
    }
    }
    return false;
}

static int one_value(struct build *b, const struct cf_lcol *c, const struct cf_filter_term *t, size_t i)
{
    static const char *const ops[] = {"=", ">=", "<=", ">", "<"};
    static const char *const kinds[] = {"a text", "a number", "a time (RFC 3339 or now-1h)", "true or false", "a text", "a number"};
    bool text = c->type == CF_LC_TEXT || c->type == CF_LC_JSON;
    struct cf_dbval v;
    char msg[160];

    if (t->op == CF_FO_EQ && !t->quoted[i] && cf_str_eqz(t->v[i], "*")) {
        cf_buf_printf(&b->where, text ? "(%s IS NOT NULL AND %s <> '')" : "%s IS NOT NULL", c->sql, c->sql);
        return 0;
    }
    if (text && t->op == CF_FO_EQ && !t->quoted[i] && memchr(t->v[i].p, '*', t->v[i].n)) {
        cf_buf_printf(&b->where, "LOWER(%s) LIKE ? ESCAPE '\\'", c->sql);
        return bind(b, CF_S(like_pattern(b->a, t->v[i], true, true))) ? 0 : field_error(b, "filter", "too many values");
    }
    if (!typed_value(c, t->v[i], &v)) {
        (void)snprintf(msg, sizeof msg, CF_SAID("%s needs %s, not \"%.60s\""), c->name, kinds[c->type], cf_arena_strdup(b->a, t->v[i]));
        return field_error(b, "filter", msg);
    }
    cf_buf_printf(&b->where, "%s %s ?", c->sql, ops[t->op]);
    return bind(b, v) ? 0 : field_error(b, "filter", "too many values");
}

static int word_term(struct build *b, const struct cf_filter_term *t)
{
    bool any = false;

    for (size_t i = 0; i < b->l->n_cols; i++) {
        if (!(b->l->cols[i].flags & CF_LC_SEARCH))
            continue;
        cf_buf_printf(&b->where, "%sLOWER(COALESCE(%s, '')) LIKE ? ESCAPE '\\'", any ? " OR " : "", b->l->cols[i].sql);
        if (!bind(b, CF_S(like_pattern(b->a, t->v[0], false, false))))
            return field_error(b, "filter", "too many words");
        any = true;
    }
    if (!any)
        cf_buf_z(&b->where, "1=0");
    return 0;
}

static int add_filter(struct build *b, cf_str text)
{
    struct cf_filter_term *t;
    size_t n;
    int r = cf_filter_parse(b->a, text, &t, &n, b->err);

    if (r < 0) {
        (void)cf_req_field_error(b->req, "filter", "%s", b->err->msg);
        return r;
    }
    for (size_t i = 0; i < n && r == 0; i++) {
        const struct cf_lcol *c = NULL;

        if (t[i].op != CF_FO_WORD && !(c = column(b->l, t[i].key, CF_LC_FILTER))) {
            char msg[120];

            (void)snprintf(msg, sizeof msg, CF_SAID("\"%.60s\" cannot be filtered here"), cf_arena_strdup(b->a, t[i].key));
            return field_error(b, "filter", msg);
        }
        cf_buf_z(&b->where, t[i].negated ? " AND NOT COALESCE((" : " AND (");
        for (size_t k = 0; k < t[i].n && r == 0; k++) {
            cf_buf_z(&b->where, k ? " OR " : "");
            r = c ? one_value(b, c, &t[i], k) : word_term(b, &t[i]);
        }
        /* a row without the value is "not that value" */
        cf_buf_z(&b->where, t[i].negated ? "), 1=0)" : ")");
    }
    return r;
}

static int choose_sort(struct build *b, cf_str sort)
{
    char msg[120];
    cf_str name = sort;

    if (!sort.n)
        name = sort = cf_str_c(b->l->default_sort ? b->l->default_sort : "");
    if (!name.n)
        return 0;
    b->desc = name.p[0] == '-';
    if (b->desc)
        name = cf_str_sub(name, 1, name.n);
    b->sort = column(b->l, name, CF_LC_SORT);
    if (!b->sort) {
        (void)snprintf(msg, sizeof msg, "\"%.60s\" cannot be sorted by", cf_arena_strdup(b->a, name));
        return field_error(b, "sort", msg);
    }
    (void)snprintf(b->sort_name, sizeof b->sort_name, "%s%s", b->desc ? "-" : "", b->sort->name);
    return 0;
}

static bool sort_is_text(const struct cf_lcol *c) { return c->type == CF_LC_TEXT || c->type == CF_LC_JSON; }

static void sort_expr(const struct build *b, struct cf_buf *out)
{
    if (!b->sort)
        return;
    if (b->sort->flags & CF_LC_NOTNULL)
        cf_buf_z(out, b->sort->sql);
    else
        cf_buf_printf(out, sort_is_text(b->sort) ? "COALESCE(%s, '')" : "COALESCE(%s, 0)", b->sort->sql);
}

/* cursor = hex of {"s":sort,"v":value,"i":id,"n":total,"f":hash of the filter}. The first page counts: of a million rows that takes
 * longer than the page. */
static cf_str make_cursor(struct build *b, struct cf_stmt *st, int id_col, int sort_col)
{
    json_t *o = json_pack("{s:s,s:s%,s:I,s:I}", "s", b->sort_name, "i", cf_stmt_str(st, id_col).p ? cf_stmt_str(st, id_col).p : "", cf_stmt_str(st, id_col).n, "n", (json_int_t)b->total, "f",
                          (json_int_t)(cf_hash64(b->filter) >> 1));
    char *text, *hex;
    size_t n;
    cf_str s;

    if (o && b->sort) {
        if (sort_is_text(b->sort)) {
            s = cf_stmt_str(st, sort_col);
            (void)json_object_set_new(o, "v", json_stringn(s.p ? s.p : "", s.p ? s.n : 0));
        } else if (b->sort->type == CF_LC_F64)
            (void)json_object_set_new(o, "v", json_real(cf_stmt_f64(st, sort_col)));
        else
            (void)json_object_set_new(o, "v", json_integer(cf_stmt_i64(st, sort_col)));
    }
    text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    n = text ? strlen(text) : 0;
    hex = cf_arena_bytes(b->a, 2 * n + 1);
    if (hex && text)
        cf_hex((const uint8_t *)text, n, hex);
    free(text);
    return hex ? cf_str_n(hex, 2 * n) : CF_STR_NONE;
}

/* The row's key as its column has it: PostgreSQL compares no number with a text. */
static struct cf_dbval id_value(const struct build *b, const char *id)
{
    for (size_t i = 0; i < b->l->n_cols; i++)
        if (b->l->cols[i].type == CF_LC_I64 && strcmp(b->l->cols[i].sql, b->l->id_sql) == 0)
            return CF_I(strtoll(id, NULL, 10));
    return CF_S(cf_arena_copy(b->a, cf_str_c(id)));
}

static int add_cursor(struct build *b, cf_str cursor)
{
    char *text = cf_arena_bytes(b->a, cursor.n / 2 + 1);
    json_t *o = NULL, *v, *i;
    struct cf_dbval key = CF_NUL;
    bool ok = text && cursor.n % 2 == 0 && cursor.n < 8000 && cf_unhex(cursor, (uint8_t *)text, cursor.n / 2) && (o = json_loadb(text, cursor.n / 2, 0, NULL));

    v = json_object_get(o, "v");
    i = json_object_get(o, "i");
    ok = ok && json_is_string(i) && json_is_string(json_object_get(o, "s")) && strcmp(json_string_value(json_object_get(o, "s")), b->sort_name) == 0;
    if (ok && b->sort) {
        if (sort_is_text(b->sort) && json_is_string(v))
            key = CF_S(cf_arena_copy(b->a, cf_str_c(json_string_value(v))));
        else if (b->sort->type == CF_LC_F64 && json_is_number(v))
            key = CF_D(json_number_value(v));
        else if (!sort_is_text(b->sort) && json_is_integer(v))
            key = CF_I(json_integer_value(v));
        else
            ok = false;
    }
    if (ok) {
        struct cf_dbval id = id_value(b, json_string_value(i));
        json_t *n = json_object_get(o, "n"), *f = json_object_get(o, "f");
        const char *cmp = b->desc ? "<" : ">";

        if (b->sort) { /* a row value: an index over both finds the place */
            cf_buf_z(&b->where, " AND (");
            sort_expr(b, &b->where);
            cf_buf_printf(&b->where, ", %s) %s (?, ?)", b->l->id_sql, cmp);
            ok = bind(b, key);
        } else
            cf_buf_printf(&b->where, " AND %s %s ?", b->l->id_sql, cmp);
        ok = ok && bind(b, id);
        if (json_is_integer(n) && json_is_integer(f) && json_integer_value(f) == (json_int_t)(cf_hash64(b->filter) >> 1))
            b->total = json_integer_value(n);
    }
    json_decref(o);
    return ok ? 0 : field_error(b, "cursor", "is not a value of next of this list and sort");
}

static void put_nested(json_t *item, const char *name, json_t *v)
{
    const char *dot;
    char part[64];

    while ((dot = strchr(name, '.'))) {
        json_t *sub;

        (void)snprintf(part, sizeof part, "%.*s", (int)(dot - name), name);
        sub = json_object_get(item, part);
        if (!json_is_object(sub)) {
            sub = json_object();
            (void)json_object_set_new(item, part, sub);
        }
        item = sub;
        name = dot + 1;
    }
    (void)json_object_set_new(item, name, v);
}

static json_t *column_json(const struct cf_stmt *st, int i, enum cf_lcol_type type)
{
    char t[32];
    json_t *v;
    cf_str s;

    if (cf_stmt_null(st, i))
        return json_null();
    switch (type) {
    case CF_LC_I64: return json_integer(cf_stmt_i64(st, i));
    case CF_LC_F64: return json_real(cf_stmt_f64(st, i));
    case CF_LC_BOOL: return json_boolean(cf_stmt_i64(st, i) != 0);
    case CF_LC_TIME: return json_stringn(t, cf_time_format(cf_stmt_i64(st, i), t));
    case CF_LC_JSON:
        s = cf_stmt_str(st, i);
        v = json_loadb(s.p, s.n, JSON_DECODE_ANY, NULL);
        return v ? v : json_null();
    case CF_LC_TEXT: break;
    }
    s = cf_stmt_str(st, i);
    v = json_stringn(s.p, s.n);
    return v ? v : json_string("\xef\xbf\xbd");
}

static json_t *row_json(const struct cf_list *l, const struct cf_stmt *st)
{
    json_t *item = json_object(), *v;
    const char *key;
    void *next;
    int col = 1;

    if (!item)
        return NULL;
    for (size_t i = 0; i < l->n_cols; i++) {
        if (!(l->cols[i].flags & CF_LC_HIDDEN))
            put_nested(item, l->cols[i].name, column_json(st, col++, l->cols[i].type));
    }
    if (!json_object_get(item, "id"))
        (void)json_object_set_new(item, "id", column_json(st, 0, CF_LC_TEXT));
    /* a reference to nothing is null */
    json_object_foreach_safe(item, next, key, v)
    {
        if (json_is_object(v) && json_is_null(json_object_get(v, "id")))
            (void)json_object_set_new(item, key, json_null());
    }
    return item;
}

static void select_columns(const struct build *b, struct cf_buf *sql)
{
    cf_buf_printf(sql, "SELECT %s", b->l->id_sql);
    for (size_t i = 0; i < b->l->n_cols; i++) {
        if (!(b->l->cols[i].flags & CF_LC_HIDDEN))
            cf_buf_printf(sql, ", %s", b->l->cols[i].sql);
    }
}

static int add_scope(struct build *b)
{
    struct cf_dbval v[2];
    size_t n = 0;

    cf_buf_z(&b->where, " WHERE ");
    if (b->l->scope_col && !b->req->who)
        cf_buf_z(&b->where, "1=0");
    else if (b->l->scope_col)
        cf_scope_sql(b->req->who, b->l->scope_col, &b->where, v, &n, b->a);
    else
        cf_buf_z(&b->where, "1=1");
    for (size_t i = 0; i < n; i++)
        (void)bind(b, v[i]);
    if (b->l->where) {
        cf_buf_printf(&b->where, " AND (%s)", b->l->where);
        for (size_t i = 0; i < b->l->n_where_v; i++) {
            if (!bind(b, b->l->where_v[i]))
                return cf_error_set(b->err, CF_ELIMIT, "too many values in the list's own condition");
        }
    }
    return 0;
}

/* Of the condition's first n_where bytes and n_v values. Inside and with a limit (that cuts nothing), SQLite leaves out the joins that
 * the condition does not ask for. */
static int count_rows(struct build *b, struct cf_tx *tx, size_t n_where, size_t n_v)
{
    struct cf_buf sql;
    struct cf_stmt *st = NULL;
    int r;

    cf_buf_init(&sql, 1 << 20);
    cf_buf_printf(&sql, "SELECT COUNT(*) FROM (SELECT %s FROM %s", b->l->id_sql, b->l->from);
    cf_buf_str(&sql, cf_str_sub(cf_buf_view(&b->where), 0, n_where));
    cf_buf_printf(&sql, " LIMIT %lld) counted", (long long)INT64_MAX);
    r = cf_tx_queryv(tx, cf_buf_cstr(&sql), b->v, n_v, &st, b->err);
    if (r == 0 && (r = cf_stmt_next(st, b->err)) == 1) {
        b->total = cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    cf_buf_release(&sql);
    return r;
}

static void order_by(const struct build *b, struct cf_buf *sql)
{
    cf_buf_z(sql, " ORDER BY ");
    if (b->sort) {
        sort_expr(b, sql);
        cf_buf_printf(sql, "%s, ", b->desc ? " DESC" : "");
    }
    cf_buf_printf(sql, "%s%s", b->l->id_sql, b->desc ? " DESC" : "");
}

/* The page's ids first: what is sorted and thrown away again is short, the columns are read of the page's rows alone. */
static int fetch(struct build *b, struct cf_tx *tx, int64_t limit, json_t *items, cf_str *ret_next)
{
    struct cf_buf sql;
    struct cf_stmt *st = NULL;
    int64_t n = 0;
    int r, sort_col;

    cf_buf_init(&sql, 1 << 20);
    select_columns(b, &sql);
    if (b->sort) {
        cf_buf_z(&sql, ", ");
        sort_expr(b, &sql);
    }
    cf_buf_printf(&sql, " FROM %s WHERE %s IN (SELECT %s FROM %s", b->l->from, b->l->id_sql, b->l->id_sql, b->l->from);
    cf_buf_str(&sql, cf_buf_view(&b->where));
    order_by(b, &sql);
    cf_buf_printf(&sql, " LIMIT %lld)", (long long)limit + 1);
    order_by(b, &sql);
    r = sql.failed ? cf_error_set(b->err, CF_ENOMEM, "no memory for the list") : cf_tx_queryv(tx, cf_buf_cstr(&sql), b->v, b->n_v, &st, b->err);
    while (r == 0 && (r = cf_stmt_next(st, b->err)) == 1) {
        r = 0;
        if (n == limit) {
            ret_next->n = 1; /* there is more: the cursor of the last row was kept */
            break;
        }
        n++;
        (void)json_array_append_new(items, row_json(b->l, st));
        sort_col = cf_stmt_cols(st) - 1;
        if (n == limit)
            *ret_next = (cf_str){make_cursor(b, st, 0, sort_col).p, 0};
    }
    cf_stmt_free(st);
    cf_buf_release(&sql);
    return r;
}

static int finish_items(struct build *b, struct cf_tx *tx, json_t *items)
{
    json_t *item;
    size_t i;
    int r = 0;

    if (!b->l->finish)
        return 0;
    json_array_foreach(items, i, item)
    {
        r = b->l->finish(b->req, tx, item, b->err);
        if (r < 0)
            return r;
    }
    return 0;
}

int cf_list_reply(struct cf_req *req, struct cf_db *db, const struct cf_list *l, struct cf_error *reterr)
{
    struct build *b = CF_NEW(req->arena, struct build);
    cf_str sort = cf_req_query(req, "sort"), filter = cf_req_query(req, "filter"), cursor = cf_req_query(req, "cursor"), next = CF_STR_NONE;
    size_t n_where, n_v;
    int64_t limit;
    struct cf_tx *tx = NULL;
    json_t *items = NULL;
    int r;

    if (!b)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the list");
    *b = (struct build){.req = req, .l = l, .a = req->arena, .err = reterr, .filter = filter, .total = -1};
    cf_buf_init(&b->where, 1 << 20);
    r = cf_req_query_i64(req, "limit", 50, 1, 1000, &limit, reterr);
    if (r == 0)
        r = choose_sort(b, sort);
    if (r == 0)
        r = add_scope(b);
    if (r == 0 && filter.n)
        r = add_filter(b, filter);
    if (r == 0)
        r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);
    n_where = b->where.n;
    n_v = b->n_v;
    if (r == 0 && cursor.n)
        r = add_cursor(b, cursor);
    if (r == 0 && b->total < 0)
        r = count_rows(b, tx, n_where, n_v);
    if (r == 0) {
        items = json_array();
        r = fetch(b, tx, limit, items, &next);
    }
    if (r == 0)
        r = finish_items(b, tx, items);
    cf_tx_rollback(&tx);
    cf_buf_release(&b->where);
    if (r < 0) {
        json_decref(items);
        return r;
    }
    cf_reply_list(req, items, next.n && next.p ? next.p : NULL, b->total);
    return 0;
}

json_t *cf_list_one(struct cf_req *req, struct cf_db *db, const struct cf_list *l, cf_str id, struct cf_error *reterr)
{
    struct build *b = CF_NEW(req->arena, struct build);
    struct cf_buf sql;
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    json_t *item = NULL;
    int r;

    if (!b) {
        (void)cf_error_set(reterr, CF_ENOMEM, "no memory for the list");
        return NULL;
    }
    *b = (struct build){.req = req, .l = l, .a = req->arena, .err = reterr};
    cf_buf_init(&b->where, 1 << 20);
    cf_buf_init(&sql, 1 << 20);
    r = add_scope(b);
    cf_buf_printf(&b->where, " AND %s = ?", l->id_sql);
    if (r == 0 && !bind(b, CF_S(id)))
        r = CF_ELIMIT;
    select_columns(b, &sql);
    cf_buf_printf(&sql, " FROM %s", l->from);
    cf_buf_str(&sql, cf_buf_view(&b->where));
    if (r == 0)
        r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);
    if (r == 0)
        r = cf_tx_queryv(tx, cf_buf_cstr(&sql), b->v, b->n_v, &st, reterr);
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1)
        item = row_json(l, st);
    else if (r == 0)
        (void)cf_error_set(reterr, CF_ENOENT, "there is no such entry, or it is not yours to see");
    cf_stmt_free(st);
    if (item && l->finish && l->finish(req, tx, item, reterr) < 0) {
        json_decref(item);
        item = NULL;
    }
    cf_tx_rollback(&tx);
    cf_buf_release(&b->where);
    cf_buf_release(&sql);
    return item;
}

int cf_list_reply_one(struct cf_req *req, struct cf_db *db, const struct cf_list *l, int status, cf_str id, struct cf_error *reterr)
{
    json_t *item = cf_list_one(req, db, l, id, reterr);

    if (!item)
        return reterr->code;
    cf_reply_json(req, status, cf_req_tell(req, item));
    return 0;
}
