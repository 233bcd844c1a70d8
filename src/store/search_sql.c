/* SPDX-License-Identifier: Apache-2.0
 * The tree of a search as a condition on the event table. Values travel as parameters, never as SQL text; names of columns come
 * from the field table, names of extras are parameters too. Letter case does not matter in text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "store/event_private.h"
#include "store/search_sql_int.h"

/* What a name in a query stands for. */
struct target {
    enum { T_TIME, T_ID, T_SOURCE, T_COLUMN, T_EXTRA } what;
    enum cf_coltype type;
    enum cf_ftype field_type; /* of an extra that is a known field */
    bool text;         /* long text: values are looked for inside it */
    char col[320];     /* SQL expression */
};

int cf_search_param(struct cf_search_sql *s, cf_str value)
{
    if (s->n_param == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        struct cf_query_param *more = cf_arena_alloc(s->arena, cap * sizeof *more);

        if (!more)
            return -1;
        if (s->n_param)
            memcpy(more, s->param, s->n_param * sizeof *more);
        s->param = more;
        s->cap = cap;
    }
    cf_str name = cf_arena_printf(s->arena, "p%zu", s->n_param);

    if (!name.p)
        return -1;
    s->param[s->n_param] = (struct cf_query_param){cf_arena_strdup(s->arena, name), value};
    return s->param[s->n_param].name ? (int)s->n_param++ : -1;
}

int search_wrong(size_t pos, struct cf_error *reterr, cf_str field, const char *what)
{
    (void)cf_error_set(reterr, CF_ESYNTAX, "query, position %zu: %.*s %s", pos + 1, CF_ARG(field), what);
    if (reterr)
        reterr->pos = pos;
    return CF_ESYNTAX;
}

static int no_memory(struct cf_error *reterr)
{
    return cf_error_set(reterr, CF_ENOMEM, "query: out of memory");
}

cf_str search_lower(struct cf_arena *a, cf_str v)
{
    char *o = cf_arena_bytes(a, v.n + 1);

    if (!o)
        return CF_STR_NONE;
    for (size_t i = 0; i < v.n; i++)
        o[i] = (char)(v.p[i] >= 'A' && v.p[i] <= 'Z' ? v.p[i] + 32 : v.p[i]);
    return (cf_str){o, v.n};
}

/* {pN:type} of a new parameter, appended to the condition. */
int search_bind(struct cf_search_sql *s, cf_str v, const char *type, struct cf_error *reterr)
{
    int n = v.p ? cf_search_param(s, v) : -1;

    if (n < 0)
        return no_memory(reterr);
    cf_buf_printf(&s->cond, "{p%d:%s}", n, type);
    return 0;
}

static int resolve(struct cf_search_sql *s, cf_str name, struct target *t, struct cf_error *reterr)
{
    enum cf_field f = cf_field_find(name);

    memset(t, 0, sizeof *t);
    if (cf_str_eqz(name, "@timestamp") || cf_str_eqz(name, "time")) {
        t->what = T_TIME;
        (void)snprintf(t->col, sizeof t->col, "time");
    } else if (cf_str_eqz(name, "_id")) {
        t->what = T_ID;
        (void)snprintf(t->col, sizeof t->col, "id");
    } else if (cf_str_eqz(name, "_source")) {
        t->what = T_SOURCE;
        t->type = CF_COL_LC;
        (void)snprintf(t->col, sizeof t->col, "source");
    } else if (f != CF_F_EXTRA && cf_columns()[f].type != CF_COL_COLD) {
        t->what = T_COLUMN;
        t->type = cf_columns()[f].type;
        t->text = cf_fields[f].type == CF_T_TEXT;
        (void)snprintf(t->col, sizeof t->col, "%s", cf_columns()[f].name);
    } else {
        int n = cf_search_param(s, name);

        if (n < 0)
            return no_memory(reterr);
        t->what = T_EXTRA;
        t->type = CF_COL_STR;
        if (f != CF_F_EXTRA)
            t->field_type = cf_fields[f].type;
        t->text = t->field_type == CF_T_TEXT;
        (void)snprintf(t->col, sizeof t->col, "extras[{p%d:String}]", n);
    }
    return 0;
}

/* ---- free words ---- */

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* ASCII of which something is a token. Other text may stand inside a longer token. */
static bool has_tokens(cf_str w)
{
    bool any = false;

    for (size_t i = 0; i < w.n; i++) {
        if (w.p[i] & 0x80)
            return false;
        any = any || word_char(w.p[i]);
    }
    return any;
}

/* One ASCII word: the token index alone decides. */
static bool single_token(cf_str w)
{
    for (size_t i = 0; i < w.n; i++) {
        if (!word_char(w.p[i]))
            return false;
    }
    return w.n > 0;
}

/* %w% with what LIKE treats specially escaped. */
static cf_str contains(struct cf_arena *a, cf_str w)
{
    char *o = cf_arena_bytes(a, w.n * 2 + 2);
    size_t n = 0;

    if (!o)
        return CF_STR_NONE;
    o[n++] = '%';
    for (size_t i = 0; i < w.n; i++) {
        if (w.p[i] == '%' || w.p[i] == '_' || w.p[i] == '\\')
            o[n++] = '\\';
        o[n++] = w.p[i];
    }
    o[n++] = '%';
    return (cf_str){o, n};
}

static int tokens(struct cf_search_sql *s, cf_str w, struct cf_error *reterr)
{
    int r;

    cf_buf_z(&s->cond, "hasAllTokens(" CF_EVENT_WORDS_SQL ", tokens(");
    r = search_bind(s, w, "String", reterr);
    cf_buf_z(&s->cond, ", '" CF_EVENT_TOKENIZER "'))");
    return r;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Length of the address that begins at p: four numbers of at most three digits, and no digit or ".digit" after them. 0: none. */
static size_t address_at(const char *p, const char *e)
{
    const char *q = p;

    for (int part = 0; part < 4; part++) {
        size_t n = 0;

        if (part && (q == e || *q++ != '.'))
            return 0;
        for (; q < e && digit(*q); q++)
            n++;
        if (n < 1 || n > 3)
            return 0;
    }
    return q + 1 < e && *q == '.' && digit(q[1]) ? 0 : (size_t)(q - p);
}

/* The record must hold each IPv4 address of the word as a whole: a condition with an index of its own. */
static int addresses(struct cf_search_sql *s, cf_str w, struct cf_error *reterr)
{
    const char *p = w.p, *e = w.p + w.n;
    int r = 0;

    while (p < e && r == 0) {
        const char *run = p;
        size_t n;

        while (p < e && (digit(*p) || *p == '.'))
            p++;
        n = p > run ? address_at(run, e) : 0;
        if (n) {
            cf_buf_z(&s->cond, " AND has(" CF_EVENT_ADDRESSES_SQL ", ");
            r = search_bind(s, (cf_str){run, n}, "String", reterr);
            cf_buf_byte(&s->cond, ')');
        }
        p += p == run;
    }
    return r;
}

static int word(struct cf_search_sql *s, const struct cf_search_value *v, struct cf_error *reterr)
{
    struct cf_buf *c = &s->cond;
    cf_str w = search_lower(s->arena, v->text);
    int r = 0;

    if (!v->text.n) {
        cf_buf_z(c, "1");
        return 0;
    }
    if (v->wild) {
        cf_str like = search_lower(s->arena, v->like);
        cf_str p = cf_arena_printf(s->arena, "%%%.*s%%", CF_ARG(like));

        cf_buf_z(c, CF_EVENT_WORDS_SQL " LIKE ");
        return search_bind(s, p, "String", reterr);
    }
    cf_buf_byte(c, '(');
    if (has_tokens(w))
        r = tokens(s, w, reterr);
    if (r == 0 && !single_token(w)) {
        cf_buf_z(c, has_tokens(w) ? " AND " CF_EVENT_WORDS_SQL " LIKE " : CF_EVENT_WORDS_SQL " LIKE ");
        r = search_bind(s, contains(s->arena, w), "String", reterr);
        if (r == 0 && has_tokens(w))
            r = addresses(s, w, reterr);
    }
    cf_buf_byte(c, ')');
    return r;
}

/* ---- fields ---- */

const char *const search_ops[] = {"=", "<", "<=", ">", ">=", ""};

/* An extra may hold several values, joined; the plain comparison is tried first because it nearly always decides. */
static int extra_eq(struct cf_search_sql *s, const char *expr, bool wild, cf_str w, struct cf_error *reterr)
{
    const char *op = wild ? "LIKE" : "=";
    int n = w.p ? cf_search_param(s, w) : -1;

    if (n < 0)
        return no_memory(reterr);
    cf_buf_printf(&s->cond, "lower(%s) %s {p%d:String} OR (position(%s, '\\x1f') > 0 AND arrayExists(y -> y %s {p%d:String}, splitByChar('\\x1f', lower(%s))))",
                  expr, op, n, expr, op, n, expr);
    return 0;
}

static int text_eq(struct cf_search_sql *s, const struct target *t, const char *expr, const struct cf_search_value *v, struct cf_error *reterr)
{
    cf_str w = search_lower(s->arena, v->wild ? v->like : v->text);
    int r;

    if (t->what == T_EXTRA && !t->text)
        return extra_eq(s, expr, v->wild, w, reterr);
    if (v->wild) {
        cf_buf_printf(&s->cond, "lower(%s) LIKE ", expr);
        return search_bind(s, w, "String", reterr);
    }
    if (t->text) {
        cf_buf_printf(&s->cond, "position(lower(%s), ", expr);
        r = search_bind(s, w, "String", reterr);
        cf_buf_z(&s->cond, ") > 0");
        return r;
    }
    cf_buf_printf(&s->cond, "lower(%s) = ", expr);
    return search_bind(s, w, "String", reterr);
}

static int text_cmp(struct cf_search_sql *s, const struct target *t, const char *expr, enum cf_search_op op, const struct cf_search_value *v,
                    struct cf_error *reterr)
{
    double d;
    int r;

    if (op == CF_OP_EQ)
        return text_eq(s, t, expr, v, reterr);
    if (t->what == T_EXTRA && !v->quoted && cf_str_f64(v->text, &d)) { /* a number without a column of its own */
        cf_buf_printf(&s->cond, "toFloat64OrNull(%s) %s ", expr, search_ops[op]);
        return search_bind(s, v->text, "Float64", reterr);
    }
    cf_buf_printf(&s->cond, "(%s != '' AND %s %s ", expr, expr, search_ops[op]);
    r = search_bind(s, v->text, "String", reterr);
    cf_buf_byte(&s->cond, ')');
    return r;
}

static int number_cmp(struct cf_search_sql *s, const struct target *t, const char *expr, enum cf_search_op op, const struct cf_search_value *v,
                      cf_str field, struct cf_error *reterr)
{
    int64_t i;
    double d;
    bool whole = t->type == CF_COL_I64 && cf_str_i64(v->text, &i);

    if (v->wild) {
        cf_buf_printf(&s->cond, "ifNull(toString(%s) LIKE ", expr);
        int r = search_bind(s, v->like, "String", reterr);

        cf_buf_z(&s->cond, ", 0)");
        return r;
    }
    if (!whole && !cf_str_f64(v->text, &d))
        return search_wrong(v->pos, reterr, field, "is a number");
    cf_buf_printf(&s->cond, "%s %s ", expr, search_ops[op]);
    return search_bind(s, v->text, whole ? "Int64" : "Float64", reterr);
}

static int time_cmp(struct cf_search_sql *s, const char *expr, enum cf_search_op op, const struct cf_search_value *v, cf_str field,
                    struct cf_error *reterr)
{
    int64_t us;
    bool day = v->text.n == 10 && v->text.p[4] == '-';
    int r = 0;

    if (!cf_time_parse_rel(v->text, s->now_us, &us) && !(day && cf_time_parse(cf_arena_printf(s->arena, "%.*sT00:00:00Z", CF_ARG(v->text)), &us)))
        return search_wrong(v->pos, reterr, field, "is a time: write 2026-11-21T06:00:00Z or now-1h");
    us = cf_event_clamp_time(us);
    cf_str text = cf_arena_printf(s->arena, "%" PRId64, us);

    if (op == CF_OP_EQ && day) {
        cf_buf_printf(&s->cond, "(%s >= fromUnixTimestamp64Micro(", expr);
        r = search_bind(s, text, "Int64", reterr);
        cf_buf_printf(&s->cond, ") AND %s < fromUnixTimestamp64Micro(", expr);
        if (r == 0)
            r = search_bind(s, cf_arena_printf(s->arena, "%" PRId64, us + CF_US_PER_DAY), "Int64", reterr);
        cf_buf_z(&s->cond, "))");
        return r;
    }
    cf_buf_printf(&s->cond, "%s %s fromUnixTimestamp64Micro(", expr, search_ops[op]);
    r = search_bind(s, text, "Int64", reterr);
    cf_buf_byte(&s->cond, ')');
    return r;
}

static int id_eq(struct cf_search_sql *s, const struct cf_search_value *v, enum cf_search_op op, cf_str field, struct cf_error *reterr)
{
    for (size_t i = 0; i < v->text.n; i++) {
        char c = (char)(v->text.p[i] | 0x20);

        if (!(i == 8 || i == 13 || i == 18 || i == 23 ? v->text.p[i] == '-' : (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return search_wrong(v->pos, reterr, field, "is an event id");
    }
    if (v->text.n != 36 || op != CF_OP_EQ)
        return search_wrong(v->pos, reterr, field, "is an event id");
    cf_buf_z(&s->cond, "id = ");
    return search_bind(s, v->text, "UUID", reterr);
}

/* One comparison of expr (a column, or x in an array). */
static int compare(struct cf_search_sql *s, const struct target *t, const char *expr, enum cf_search_op op, const struct cf_search_value *v,
                   cf_str field, struct cf_error *reterr)
{
    if (t->what == T_TIME)
        return time_cmp(s, expr, op, v, field, reterr);
    if (t->what == T_ID)
        return id_eq(s, v, op, field, reterr);
    if (t->what == T_EXTRA) {
        char typed[400];

        switch (t->field_type) {
        case CF_T_LONG:
        case CF_T_FLOAT:
            (void)snprintf(typed, sizeof typed, "toFloat64OrNull(%s)", expr);
            return number_cmp(s, t, typed, op, v, field, reterr);
        case CF_T_IP:
            (void)snprintf(typed, sizeof typed, "x");
            cf_buf_z(&s->cond, "arrayExists(x -> ");
            int r = search_ip_cmp(s, typed, false, op, v, field, reterr);

            cf_buf_printf(&s->cond, ", arrayMap(y -> toIPv6OrNull(y), splitByChar('\\x1f', %s)))", expr);
            return r;
        case CF_T_DATE:
            (void)snprintf(typed, sizeof typed, "parseDateTime64BestEffortOrNull(%s, 6, 'UTC')", expr);
            return time_cmp(s, typed, op, v, field, reterr);
        default: return text_cmp(s, t, expr, op, v, reterr);
        }
    }
    switch (t->type) {
    case CF_COL_I64:
    case CF_COL_F64: return number_cmp(s, t, expr, op, v, field, reterr);
    case CF_COL_TIME: return time_cmp(s, expr, op, v, field, reterr);
    case CF_COL_IP:
    case CF_COL_AIP: return search_ip_cmp(s, expr, t->type == CF_COL_IP, op, v, field, reterr);
    case CF_COL_BOOL:
        if (!cf_str_eqz(v->text, "true") && !cf_str_eqz(v->text, "false"))
            return search_wrong(v->pos, reterr, field, "is true or false");
        cf_buf_printf(&s->cond, "%s = %.*s", expr, CF_ARG(v->text));
        return 0;
    default: return text_cmp(s, t, expr, op, v, reterr);
    }
}

static int field(struct cf_search_sql *s, const struct cf_search_node *n, struct cf_error *reterr)
{
    struct target t;
    const char *expr;
    bool array;
    int r = resolve(s, n->field, &t, reterr);

    if (r < 0)
        return r;
    array = t.what == T_COLUMN && cf_coltype_array(t.type);
    expr = array ? "x" : t.col;
    if (t.what == T_COLUMN && n->op == CF_OP_EQ && strcmp(t.col, "event_original") == 0 && !n->a.wild)
        return word(s, &n->a, reterr);
    cf_buf_z(&s->cond, array ? "arrayExists(x -> (" : "(");
    if (n->op != CF_OP_RANGE) {
        r = compare(s, &t, expr, n->op, &n->a, n->field, reterr);
    } else {
        if (n->a.open)
            cf_buf_z(&s->cond, "1");
        else
            r = compare(s, &t, expr, n->a_open ? CF_OP_GT : CF_OP_GE, &n->a, n->field, reterr);
        cf_buf_z(&s->cond, " AND ");
        if (n->b.open)
            cf_buf_z(&s->cond, "1");
        else if (r == 0)
            r = compare(s, &t, expr, n->b_open ? CF_OP_LT : CF_OP_LE, &n->b, n->field, reterr);
    }
    cf_buf_z(&s->cond, ")");
    if (array)
        cf_buf_printf(&s->cond, ", %s)", t.col);
    return r;
}

static int exists(struct cf_search_sql *s, cf_str name, struct cf_error *reterr)
{
    struct target t;
    int r = resolve(s, name, &t, reterr);

    if (r < 0)
        return r;
    if (t.what == T_TIME || t.what == T_ID)
        cf_buf_z(&s->cond, "1");
    else if (t.what == T_COLUMN && cf_coltype_array(t.type))
        cf_buf_printf(&s->cond, "notEmpty(%s)", t.col);
    else if (t.type == CF_COL_LC || t.type == CF_COL_STR)
        cf_buf_printf(&s->cond, "%s != ''", t.col);
    else
        cf_buf_printf(&s->cond, "%s IS NOT NULL", t.col);
    return 0;
}

/* A word that the token index decides alone. */
static bool plain_word(const struct cf_search_node *n)
{
    return n->kind == CF_S_WORD && !n->a.wild && single_token(n->a.text);
}

/* All parts must hold. The plain words among them are one question to the index instead of one each. */
static int all_of(struct cf_search_sql *s, const struct cf_search_node *n, struct cf_error *reterr)
{
    struct cf_buf *c = &s->cond, words;
    bool any = false;
    int r = 0;

    cf_buf_init(&words, CF_SEARCH_QUERY_MAX * 2);
    for (const struct cf_search_node *k = n->child; k; k = k->next) {
        if (!plain_word(k))
            continue;
        if (words.n)
            cf_buf_byte(&words, ' ');
        cf_buf_str(&words, k->a.text);
    }
    if (words.n) {
        r = words.failed ? no_memory(reterr) : tokens(s, search_lower(s->arena, cf_buf_view(&words)), reterr);
        any = true;
    }
    for (const struct cf_search_node *k = n->child; r == 0 && k; k = k->next) {
        if (plain_word(k))
            continue;
        cf_buf_z(c, any ? " AND " : "");
        r = cf_search_to_sql(k, s, reterr);
        any = true;
    }
    cf_buf_release(&words);
    return r;
}

int cf_search_to_sql(const struct cf_search_node *n, struct cf_search_sql *s, struct cf_error *reterr)
{
    int r = 0;

    switch (n->kind) {
    case CF_S_ALL: cf_buf_z(&s->cond, "1"); return 0;
    case CF_S_WORD: return word(s, &n->a, reterr);
    case CF_S_FIELD: return field(s, n, reterr);
    case CF_S_EXISTS: return exists(s, n->field, reterr);
    case CF_S_NOT:
        cf_buf_z(&s->cond, "NOT ifNull(");
        r = cf_search_to_sql(n->child, s, reterr);
        cf_buf_z(&s->cond, ", 0)");
        return r;
    case CF_S_AND:
    case CF_S_OR:
        cf_buf_byte(&s->cond, '(');
        if (n->kind == CF_S_AND)
            r = all_of(s, n, reterr);
        for (const struct cf_search_node *c = n->child; n->kind == CF_S_OR && r == 0 && c; c = c->next) {
            r = cf_search_to_sql(c, s, reterr);
            if (c->next)
                cf_buf_z(&s->cond, " OR ");
        }
        cf_buf_byte(&s->cond, ')');
        return r;
    }
    return 0;
}
