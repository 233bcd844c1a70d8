/* SPDX-License-Identifier: Apache-2.0
 * SQL of users: one SELECT over events, checked by the engine's own parser, run where nothing can be changed and with the
 * caller's rows only. */
#include "store/event_private.h"

#define FORBIDDEN_TEXT "only SELECT over events is possible here"

/* Functions that reach outside the events. */
static const char *const forbidden[] = {
    "file", "joinget", "joingetornull", "catboostevaluate", "getserversetting", "getsetting", "getsettingordefault", "hascolumnintable", "showcertificate",
    "filesystemavailable", "filesystemcapacity", "filesystemunreserved", "sleep", "sleepeachrow", "generateserialid", "transactionid",
    "getmacro", "hostname", "fqdn", "displayname", "currentprofiles", "currentroles", "enabledroles", "defaultroles", "enabledprofiles", "defaultprofiles",
    "addresstoline", "addresstolinewithinlines", "addresstosymbol", "demangle", "getoskernelversion", "zookeepersessionuptime", "throwif",
    "naturallanguagequery", "aigenerate",
};

static bool bad_function(cf_str name)
{
    if (cf_str_istarts(name, CF_STR("dict")) || cf_str_istarts(name, CF_STR("ai")))
        return true;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        if (cf_str_ieq(name, cf_str_c(forbidden[i])))
            return true;
    }
    return false;
}

static cf_str trim_left(cf_str s)
{
    while (s.n && s.p[0] == ' ')
        s = cf_str_sub(s, 1, s.n);
    return s;
}

/* The syntax tree, one node a line. A table function stands directly below its TableExpression. */
static int check_ast(cf_str ast, struct cf_error *reterr)
{
    cf_str line, prev = CF_STR("");
    bool first = true;

    while (cf_str_cut(&ast, '\n', &line)) {
        cf_str t = trim_left(line), word = t, rest = t;

        if (first && !cf_str_starts(t, CF_STR("SelectWithUnionQuery")))
            return cf_error_set(reterr, CF_EPERM, "sql: " FORBIDDEN_TEXT);
        first = false;
        (void)cf_str_cut(&rest, ' ', &word);
        if (cf_str_eqz(word, "Function")) {
            cf_str name = CF_STR("");

            (void)cf_str_cut(&rest, ' ', &name);
            if (cf_str_starts(prev, CF_STR("TableExpression")))
                return cf_error_set(reterr, CF_EPERM, "sql: table functions such as %.*s() are not available; " FORBIDDEN_TEXT, CF_ARG(name));
            if (bad_function(name))
                return cf_error_set(reterr, CF_EPERM, "sql: the function %.*s() is not available here", CF_ARG(name));
        } else if (cf_str_eqz(word, "Set") || cf_str_eqz(word, "Explain")) {
            return cf_error_set(reterr, CF_EPERM, "sql: settings cannot be changed here");
        }
        prev = t;
    }
    return first ? cf_error_set(reterr, CF_ESYNTAX, "sql: no statement") : 0;
}

static bool allowed_table(const struct cf_event_store *s, cf_str name)
{
    cf_str db;

    if (cf_str_eqz(name, "system.one"))
        return true;
    return cf_str_cut(&name, '.', &db) && cf_str_eqz(db, s->database) && cf_str_eqz(name, "events");
}

/* The resolved tree: every table it reads, names and aliases already looked up by the engine. */
static int check_tables(const struct cf_event_store *s, cf_str tree, struct cf_error *reterr)
{
    cf_str line;

    while (cf_str_cut(&tree, '\n', &line)) {
        cf_str t = trim_left(line);
        ptrdiff_t at;

        if (cf_str_starts(t, CF_STR("TABLE_FUNCTION id:")))
            return cf_error_set(reterr, CF_EPERM, "sql: table functions are not available; " FORBIDDEN_TEXT);
        if (cf_str_eqz(t, "PREWHERE")) /* runs before the row filter: its errors would tell of other rows */
            return cf_error_set(reterr, CF_EPERM, "sql: write WHERE instead of PREWHERE");
        if (!cf_str_starts(t, CF_STR("TABLE id:")))
            continue;
        at = cf_str_find(t, CF_STR("table_name: "));
        t = at < 0 ? CF_STR("") : cf_str_sub(t, (size_t)at + 12, t.n);
        (void)cf_str_cut(&t, ',', &line);
        if (!allowed_table(s, line))
            return cf_error_set(reterr, CF_EPERM, "sql: the table %.*s is not available; " FORBIDDEN_TEXT, CF_ARG(line));
    }
    return 0;
}

static int explain(struct cf_event_store *s, const char *how, cf_str sql, struct cf_equery *q, struct cf_buf *out, struct cf_error *reterr)
{
    struct cf_buf text;
    int r;

    cf_buf_init(&text, 1u << 20);
    /* inside parentheses: a second statement, FORMAT or INTO OUTFILE is a syntax error there */
    cf_buf_printf(&text, "EXPLAIN %s SELECT * FROM (\n", how);
    cf_buf_str(&text, sql);
    cf_buf_z(&text, "\n)");
    q->sql = cf_buf_view(&text);
    q->format = "TSVRaw";
    cf_buf_clear(out);
    r = text.failed ? cf_error_set(reterr, CF_ELIMIT, "sql: longer than 1 MiB") : s->backend->query(s, q, out, reterr);
    cf_buf_release(&text);
    return r;
}

int cf_event_sql(struct cf_event_store *s, cf_str sql, const struct cf_event_scope *scope, const struct cf_query_limits *lim, struct cf_buf *out,
                 struct cf_error *reterr)
{
    struct cf_equery q = {.lim = cf_event_limits(lim), .locked = true};
    struct cf_buf filter, tree;
    size_t before = out->n;
    int r;

    sql = cf_str_trim(sql);
    while (sql.n && sql.p[sql.n - 1] == ';') /* one statement may end with a semicolon */
        sql = cf_str_trim(cf_str_sub(sql, 0, sql.n - 1));
    cf_buf_init(&filter, 8u << 20);
    cf_buf_init(&tree, 32u << 20);
    r = scope->all ? 0 : cf_event_scope_sql(scope, &filter, reterr);
    q.row_filter = cf_buf_view(&filter);
    if (r == 0)
        r = explain(s, "AST", sql, &q, &tree, reterr);
    if (r == 0)
        r = check_ast(cf_buf_view(&tree), reterr);
    if (r == 0)
        r = explain(s, "QUERY TREE", sql, &q, &tree, reterr);
    if (r == 0)
        r = check_tables(s, cf_buf_view(&tree), reterr);
    if (r == 0) {
        q.sql = sql;
        q.format = "JSONCompact";
        r = s->backend->query(s, &q, out, reterr);
    }
    if (r == 0 && out->failed)
        r = cf_error_set(reterr, CF_ELIMIT, "sql: the result is larger than %zu bytes", out->max);
    if (r < 0)
        out->n = before;
    cf_buf_release(&filter);
    cf_buf_release(&tree);
    return r;
}
