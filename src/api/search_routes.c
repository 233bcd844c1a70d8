/* SPDX-License-Identifier: Apache-2.0
 * Global search (the console's command palette), saved searches. */
#include <stdio.h>
#include <stdlib.h>

#include "api/list.h"
#include "api/rules.h"
#include "workflow/reply.h"

static struct cf_db *db_of(const struct cf_req *req) { return ((struct cf_app *)req->app)->db; }

/* What can be found: one row a type. It selects id, title (in English title_en, where there is one) and what `rest` begins with;
 * the condition takes the same pattern as often as `patterns` says. */
static const struct {
    const char *type, *permission, *scope_col, *href, *id, *title, *title_en, *rest;
    int patterns;
} kinds[] = {
    {"alert", "alert.read", "a.org_id", "/alerts/", "a.id", "a.title", "COALESCE(a.title_en, a.title)",
     "a.entity_value FROM alert a WHERE (LOWER(COALESCE(a.title_en, '')) LIKE ? ESCAPE '\\' OR LOWER(a.title) LIKE ? ESCAPE '\\' OR LOWER(a.entity_value) LIKE ? ESCAPE '\\' OR a.source_ip LIKE ? ESCAPE '\\')", 4},
    {"incident", "incident.read", "i.org_id", "/incidents/", "i.id", "i.title", "COALESCE(i.title_en, i.title)",
     "i.number FROM incident i WHERE (LOWER(COALESCE(i.title_en, '')) LIKE ? ESCAPE '\\' OR LOWER(i.title) LIKE ? ESCAPE '\\' OR LOWER(i.number) LIKE ? ESCAPE '\\')", 3},
    {"work-item", "workitem.read", "w.org_id", "/work-items/", "w.id", "w.title", NULL,
     "w.number FROM work_item w WHERE (LOWER(w.title) LIKE ? ESCAPE '\\' OR LOWER(COALESCE(w.number, '')) LIKE ? ESCAPE '\\')", 2},
    {"asset", "asset.read", "s.org_id", "/assets?open=", "s.id", "s.name", NULL,
     "s.ip FROM asset s WHERE s.deleted_us IS NULL AND (LOWER(s.name) LIKE ? ESCAPE '\\' OR LOWER(COALESCE(s.ip, '')) LIKE ? ESCAPE '\\' OR"
     " LOWER(COALESCE(s.domain, '')) LIKE ? ESCAPE '\\')", 3},
    {"organisation", "directory.read", "o.id", "/directory?org=", "o.id", "o.name", NULL,
     "o.short_name FROM organisation o WHERE (LOWER(o.name) LIKE ? ESCAPE '\\' OR LOWER(COALESCE(o.short_name, '')) LIKE ? ESCAPE '\\')", 2},
    {"user", "directory.read", "u.org_id", "/directory?open=", "u.id", "u.display_name", NULL,
     "u.name FROM app_user u WHERE (LOWER(u.name) LIKE ? ESCAPE '\\' OR LOWER(u.display_name) LIKE ? ESCAPE '\\')", 2},
};

static cf_str pattern_of(struct cf_arena *a, cf_str q)
{
    char *out = cf_arena_bytes(a, 2 * q.n + 3);
    size_t n = 0;

    if (!out)
        return CF_STR("");
    out[n++] = '%';
    for (size_t i = 0; i < q.n; i++) {
        char c = q.p[i];

        if (c == '%' || c == '_' || c == '\\')
            out[n++] = '\\';
        out[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    out[n++] = '%';
    return cf_str_n(out, n);
}

static json_t *jstr(cf_str s)
{
    json_t *v = s.p ? json_stringn(s.p, s.n) : json_null();

    return v ? v : json_null();
}

static int find_kind(struct cf_req *req, struct cf_tx *tx, size_t k, cf_str pattern, json_t *groups, struct cf_error *reterr)
{
    struct cf_dbval v[8];
    size_t n = 0, n_scope = 0;
    struct cf_buf sql;
    struct cf_stmt *st = NULL;
    json_t *items = json_array();
    int r;

    for (; n < (size_t)kinds[k].patterns; n++)
        v[n] = CF_S(pattern);
    cf_buf_init(&sql, 16384);
    cf_buf_printf(&sql, "SELECT %s, %s, %s AND ", kinds[k].id, kinds[k].title_en && cf_req_english(req) ? kinds[k].title_en : kinds[k].title, kinds[k].rest);
    cf_scope_sql(req->who, kinds[k].scope_col, &sql, v + n, &n_scope, req->arena);
    cf_buf_z(&sql, " ORDER BY 1 DESC LIMIT 6");
    r = cf_tx_queryv(tx, cf_buf_cstr(&sql), v, n + n_scope, &st, reterr);
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        char href[200], id[80];

        (void)snprintf(id, sizeof id, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
        (void)snprintf(href, sizeof href, "%s%s", kinds[k].href, id);
        (void)json_array_append_new(items, json_pack("{s:s,s:o,s:o,s:s}", "id", id, "title", jstr(cf_stmt_str(st, 1)), "sub", jstr(cf_stmt_str(st, 2)), "href", href));
        r = 0;
    }
    cf_stmt_free(st);
    cf_buf_release(&sql);
    if (json_array_size(items))
        (void)json_array_append_new(groups, json_pack("{s:s,s:o}", "type", kinds[k].type, "items", items));
    else
        json_decref(items);
    return r;
}

static int global_search(struct cf_req *req, struct cf_error *reterr)
{
    cf_str q = cf_str_trim(cf_req_query(req, "q"));
    json_t *groups = json_array();
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db_of(req), CF_TX_READ, &tx, reterr);

    for (size_t k = 0; r == 0 && q.n && k < sizeof kinds / sizeof *kinds; k++) {
        if (cf_principal_may(req->who, cf_str_c(kinds[k].permission)))
            r = find_kind(req, tx, k, pattern_of(req->arena, q), groups, reterr);
    }
    cf_tx_rollback(&tx);
    if (r < 0) {
        json_decref(groups);
        return r;
    }
    cf_reply_json(req, 200, json_pack("{s:o}", "groups", groups));
    return 0;
}

/* ---- saved searches ---- */

static const struct cf_lcol saved_columns[] = {
    {"id", "s.id", CF_LC_TEXT, CF_LC_FILTER},
    {"name", "s.name", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"kind", "s.kind", CF_LC_TEXT, CF_LC_FILTER},
    {"definition", "s.definition", CF_LC_JSON, 0},
    {"shared", "s.shared", CF_LC_BOOL, CF_LC_FILTER},
    {"user.id", "s.user_id", CF_LC_TEXT, CF_LC_FILTER},
    {"user.name", "u.display_name", CF_LC_TEXT, 0},
    {"created_at", "s.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
};

static int list_saved(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_dbval me = CF_S(req->who->user_id);
    struct cf_list l = {.from = "saved_search s LEFT JOIN app_user u ON u.id = s.user_id", .id_sql = "s.id", .default_sort = "name",
                        .where = "s.user_id = ? OR s.shared = 1", .where_v = &me, .n_where_v = 1, .cols = saved_columns,
                        .n_cols = sizeof saved_columns / sizeof *saved_columns};

    return cf_list_reply(req, db_of(req), &l, reterr);
}

static int create_saved(struct cf_req *req, struct cf_error *reterr)
{
    const char *kind = json_string_value(json_object_get(req->json, "kind"));
    char *text = json_dumps(json_object_get(req->json, "definition"), JSON_COMPACT);
    struct cf_tx *tx = NULL;
    char id[37];
    json_t *o;
    int r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);

    cf_uuid7(id);
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO saved_search (id, user_id, name, kind, definition, shared, created_us) VALUES (?,?,?,?,?,?,?)", reterr, CF_Z(id),
                       CF_S(req->who->user_id), CF_Z(json_string_value(json_object_get(req->json, "name"))), CF_Z(kind ? kind : "events"), CF_Z(text),
                       CF_I(json_is_true(json_object_get(req->json, "shared"))), CF_I(cf_now_us()));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    free(text);
    if (r < 0)
        return r;
    o = json_copy(req->json);
    (void)json_object_set_new(o, "id", json_string(id));
    cf_req_audit(req, id, NULL, req->json);
    cf_reply_json(req, 201, o);
    return 0;
}

static int delete_saved(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_dbval v[] = {CF_S(cf_req_path(req, "id")), CF_S(req->who->user_id)};
    struct cf_tx *tx = NULL;
    int64_t changed = 0;
    int r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_execv(tx, "DELETE FROM saved_search WHERE id = ? AND user_id = ?", v, 2, &changed, reterr);
    if (r == 0 && changed == 0)
        r = cf_error_set(reterr, CF_ENOENT, "there is no such saved search of yours");
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/search", .permission = CF_PERM_SELF, .handler = global_search, .scope = "org",
     .request = "{\"type\":\"object\",\"required\":[\"q\"],\"properties\":{\"q\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200}}}",
     .doc = "Find alerts, incidents, work items, assets, organisations, people by a word; only what the caller may read"},
    {.method = CF_GET, .path = "/api/v1/saved-searches", .permission = CF_PERM_SELF, .handler = list_saved, .flags = CF_RF_LIST, .scope = "self",
     .doc = "The own saved searches and shared ones"},
    {.method = CF_POST, .path = "/api/v1/saved-searches", .permission = CF_PERM_SELF, .handler = create_saved, .scope = "self",
     .request = "{\"type\":\"object\",\"required\":[\"name\",\"definition\"],\"additionalProperties\":false,\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1,"
                "\"maxLength\":100},\"kind\":{\"type\":\"string\",\"maxLength\":40},\"definition\":{\"type\":\"object\"},\"shared\":{\"type\":\"boolean\"}}}",
     .doc = "Keep a search or a list's filter under a name"},
    {.method = CF_DELETE, .path = "/api/v1/saved-searches/{id}", .permission = CF_PERM_SELF, .handler = delete_saved, .scope = "self", .doc = "Forget a saved search"},
};

void cf_search_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
