/* SPDX-License-Identifier: Apache-2.0
 * Organisations and regions. path holds the ids from the root: "/root/a/b/"; moving a unit rewrites the paths below it. */
#include <stdio.h>

#include "api/list.h"
#include "app/app.h"
#include "directory/directory_int.h"
#include "directory/patch.h"

static struct cf_db *db_of(const struct cf_req *req) { return ((struct cf_app *)req->app)->db; }
static struct cf_directory *dir_of(const struct cf_req *req) { return ((struct cf_app *)req->app)->directory; }

static const struct cf_lcol columns[] = {
    {"id", "o.id", CF_LC_TEXT, CF_LC_FILTER},
    {"name", "o.name", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"short_name", "o.short_name", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"kind", "o.kind", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_NOTNULL},
    {"region_code", "o.region_code", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER},
    {"region_name", "r.name", CF_LC_TEXT, CF_LC_SEARCH},
    {"parent_id", "o.parent_id", CF_LC_TEXT, CF_LC_FILTER},
    {"path", "o.path", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_NOTNULL},
    {"industry", "o.industry", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH},
    {"level", "o.level", CF_LC_I64, CF_LC_SORT | CF_LC_FILTER | CF_LC_NOTNULL},
    {"credit_code", "o.credit_code", CF_LC_TEXT, CF_LC_FILTER},
    {"address", "o.address", CF_LC_TEXT, 0},
    {"contact_name", "o.contact_name", CF_LC_TEXT, CF_LC_SEARCH},
    {"contact_phone", "o.contact_phone", CF_LC_TEXT, 0},
    {"contact_email", "o.contact_email", CF_LC_TEXT, 0},
    {"security_lead", "o.security_lead", CF_LC_TEXT, CF_LC_SEARCH},
    {"active", "o.active", CF_LC_BOOL, CF_LC_FILTER},
    {"users", "(SELECT COUNT(*) FROM app_user u WHERE u.org_id = o.id AND u.active = 1)", CF_LC_I64, 0},
    {"created_at", "o.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
    {"updated_at", "o.updated_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
};
static const struct cf_list organisations = {.from = "organisation o LEFT JOIN region r ON r.code = o.region_code", .id_sql = "o.id", .scope_col = "o.id",
                                             .default_sort = "path", .cols = columns, .n_cols = sizeof columns / sizeof *columns};

static const struct cf_patch_col writable[] = {
    {"name", 't'}, {"short_name", 't'}, {"kind", 't'}, {"region_code", 't'}, {"industry", 't'}, {"level", 'i'}, {"credit_code", 't'}, {"address", 't'},
    {"contact_name", 't'}, {"contact_phone", 't'}, {"contact_email", 't'}, {"security_lead", 't'}, {"active", 'b'},
};

static int list_orgs(struct cf_req *req, struct cf_error *reterr) { return cf_list_reply(req, db_of(req), &organisations, reterr); }

static int reply_org(struct cf_req *req, int status, cf_str id, struct cf_error *reterr)
{
    json_t *o = cf_list_one(req, db_of(req), &organisations, id, reterr);

    if (!o)
        return reterr->code;
    cf_reply_json(req, status, o);
    return 0;
}

static int get_org(struct cf_req *req, struct cf_error *reterr) { return reply_org(req, 200, cf_req_path(req, "id"), reterr); }

/* path of an organisation in the caller's scope, in the request arena. */
static int org_path(struct cf_req *req, struct cf_tx *tx, cf_str id, const char *field, cf_str *ret, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_scope_has_org(tx, req->who, id) ? cf_tx_query(tx, "SELECT path FROM organisation WHERE id = ?", &st, reterr, CF_S(id)) : 0;

    *ret = CF_STR_NONE;
    if (r == 0 && st && cf_stmt_next(st, reterr) == 1)
        *ret = cf_arena_copy(req->arena, cf_stmt_str(st, 0));
    cf_stmt_free(st);
    if (r == 0 && !ret->p) {
        if (field)
            (void)cf_req_field_error(req, field, "there is no such organisation in your scope");
        r = cf_error_set(reterr, field ? CF_EINVAL : CF_ENOENT, "there is no such organisation in your scope");
    }
    return r;
}

static int check_region(struct cf_req *req, struct cf_tx *tx, struct cf_error *reterr)
{
    const char *code = json_string_value(json_object_get(req->json, "region_code"));
    struct cf_stmt *st = NULL;
    int r;

    if (!code || !code[0])
        return 0;
    r = cf_tx_query(tx, "SELECT 1 FROM region WHERE code = ?", &st, reterr, CF_Z(code));
    if (r == 0 && cf_stmt_next(st, reterr) != 1) {
        (void)cf_req_field_error(req, "region_code", "region %s is not in the list of regions", code);
        r = cf_error_set(reterr, CF_EINVAL, "region %s is not in the list of regions", code);
    }
    cf_stmt_free(st);
    return r;
}

static int create_org(struct cf_req *req, struct cf_error *reterr)
{
    const char *parent = json_string_value(json_object_get(req->json, "parent_id")), *given = json_string_value(json_object_get(req->json, "id"));
    struct cf_tx *tx = NULL;
    char id[65];
    cf_str up;
    int64_t now = cf_now_us();
    bool any;
    int r;

    if (given)
        (void)snprintf(id, sizeof id, "%s", given);
    else
        cf_uuid7(id);
    if (strpbrk(id, "/%_\\")) {
        (void)cf_req_field_error(req, "id", "must not contain / %% _ or \\");
        return cf_error_set(reterr, CF_EINVAL, "the id has a character that is not allowed");
    }
    r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = org_path(req, tx, cf_str_c(parent ? parent : "root"), "parent_id", &up, reterr);
    if (r == 0)
        r = check_region(req, tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO organisation (id, name, parent_id, path, created_us, updated_us) VALUES (?,?,?,?,?,?)", reterr, CF_Z(id),
                       CF_Z(json_string_value(json_object_get(req->json, "name"))), CF_Z(parent ? parent : "root"),
                       CF_S(cf_arena_printf(req->arena, "%.*s%s/", CF_ARG(up), id)), CF_I(now), CF_I(now));
    if (r == 0)
        r = cf_patch(tx, "organisation", cf_str_c(id), writable, sizeof writable / sizeof *writable, req->json, &any, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r < 0)
        return r;
    cf_directory_changed(dir_of(req));
    cf_req_audit(req, id, NULL, req->json);
    return reply_org(req, 201, cf_arena_copy(req->arena, cf_str_c(id)), reterr);
}

static int move_org(struct cf_req *req, struct cf_tx *tx, cf_str id, cf_str old_path, const char *parent, struct cf_error *reterr)
{
    cf_str up, new_path, like;
    int r = org_path(req, tx, cf_str_c(parent), "parent_id", &up, reterr);

    if (r < 0)
        return r;
    if (cf_str_eqz(id, "root") || cf_str_starts(up, old_path)) {
        (void)cf_req_field_error(req, "parent_id", "an organisation cannot be moved below itself");
        return cf_error_set(reterr, CF_EINVAL, "an organisation cannot be moved below itself");
    }
    new_path = cf_arena_printf(req->arena, "%.*s%.*s/", CF_ARG(up), CF_ARG(id));
    like = cf_arena_printf(req->arena, "%.*s%%", CF_ARG(old_path));
    r = cf_tx_exec(tx, "UPDATE organisation SET path = ? || SUBSTR(path, CAST(? AS INTEGER)) WHERE path LIKE ?", reterr, CF_S(new_path), CF_I((int64_t)old_path.n + 1), CF_S(like));
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE organisation SET parent_id = ?, updated_us = ? WHERE id = ?", reterr, CF_Z(parent), CF_I(cf_now_us()), CF_S(id));
    return r;
}

static int patch_org(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id"), path;
    const char *parent = json_string_value(json_object_get(req->json, "parent_id"));
    json_t *before = cf_list_one(req, db_of(req), &organisations, id, reterr);
    struct cf_tx *tx = NULL;
    bool any;
    int r;

    if (!before)
        return reterr->code;
    r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = org_path(req, tx, id, NULL, &path, reterr);
    if (r == 0)
        r = check_region(req, tx, reterr);
    if (r == 0)
        r = cf_patch(tx, "organisation", id, writable, sizeof writable / sizeof *writable, req->json, &any, reterr);
    if (r == 0 && parent && strcmp(parent, json_string_value(json_object_get(before, "parent_id")) ? json_string_value(json_object_get(before, "parent_id")) : "") != 0)
        r = move_org(req, tx, id, path, parent, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        cf_directory_changed(dir_of(req));
        cf_req_audit(req, NULL, before, req->json);
        r = reply_org(req, 200, id, reterr);
    }
    json_decref(before);
    return r;
}

static int count(struct cf_tx *tx, const char *sql, cf_str id, int64_t *ret, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, sql, &st, reterr, CF_S(id));

    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        *ret = cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}

static int delete_org(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id"), path;
    json_t *before = cf_list_one(req, db_of(req), &organisations, id, reterr);
    struct cf_tx *tx = NULL;
    int64_t children = 0, people = 0;
    int r;

    if (!before)
        return reterr->code;
    r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = org_path(req, tx, id, NULL, &path, reterr);
    if (r == 0)
        r = count(tx, "SELECT COUNT(*) FROM organisation WHERE parent_id = ?", id, &children, reterr);
    if (r == 0)
        r = count(tx, "SELECT COUNT(*) FROM app_user WHERE org_id = ?", id, &people, reterr);
    if (r == 0 && (children || people || cf_str_eqz(id, "root")))
        r = cf_error_set(reterr, CF_ECONFLICT, "the organisation still has %lld units below it and %lld people: move them first, or set it inactive",
                         (long long)children, (long long)people);
    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM organisation WHERE id = ?", reterr, CF_S(id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        cf_directory_changed(dir_of(req));
        cf_req_audit(req, NULL, before, NULL);
    }
    json_decref(before);
    return r;
}

/* ---- regions ---- */

static const struct cf_lcol region_columns[] = {
    {"code", "r.code", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"name", "r.name", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"parent", "r.parent", CF_LC_TEXT, CF_LC_FILTER},
    {"level", "r.level", CF_LC_I64, CF_LC_SORT | CF_LC_FILTER | CF_LC_NOTNULL},
};

static int list_regions(struct cf_req *req, struct cf_error *reterr)
{
    static const struct cf_list l = {.from = "region r", .id_sql = "r.code", .default_sort = "code", .cols = region_columns,
                                     .n_cols = sizeof region_columns / sizeof *region_columns};

    return cf_list_reply(req, db_of(req), &l, reterr);
}

static int put_region(struct cf_req *req, struct cf_error *reterr)
{
    const char *code = json_string_value(json_object_get(req->json, "code"));
    struct cf_tx *tx = NULL;
    int r;

    if (strspn(code, "0123456789") != strlen(code)) {
        (void)cf_req_field_error(req, "code", "must be digits (GB/T 2260)");
        return cf_error_set(reterr, CF_EINVAL, "code must be digits (GB/T 2260)");
    }
    r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx,
                       "INSERT INTO region (code, name, parent, level) VALUES (?,?,?,?) ON CONFLICT (code) DO UPDATE SET name = excluded.name,"
                       " parent = excluded.parent, level = excluded.level",
                       reterr, CF_Z(code), CF_Z(json_string_value(json_object_get(req->json, "name"))),
                       CF_Z(json_string_value(json_object_get(req->json, "parent"))), CF_I(json_integer_value(json_object_get(req->json, "level"))));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r < 0)
        return r;
    cf_req_audit(req, code, NULL, req->json);
    cf_reply_json(req, 201, json_incref(req->json));
    return 0;
}

static int delete_region(struct cf_req *req, struct cf_error *reterr)
{
    cf_str code = cf_req_path(req, "code");
    struct cf_tx *tx = NULL;
    int64_t used = 0, changed = 0;
    struct cf_dbval v = CF_S(code);
    int r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = count(tx, "SELECT COUNT(*) FROM organisation WHERE region_code = ?", code, &used, reterr);
    if (r == 0 && used)
        r = cf_error_set(reterr, CF_ECONFLICT, "%lld organisations are in this region", (long long)used);
    if (r == 0)
        r = cf_tx_execv(tx, "DELETE FROM region WHERE code = ?", &v, 1, &changed, reterr);
    if (r == 0 && changed == 0)
        r = cf_error_set(reterr, CF_ENOENT, "there is no such region");
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

#define TEXT(max) "{\"type\":[\"string\",\"null\"],\"maxLength\":" #max "}"
#define ORG_PROPERTIES                                                                                                                              \
    "\"id\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64},\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200},"                   \
    "\"short_name\":" TEXT(100) ",\"kind\":{\"type\":\"string\",\"enum\":[\"center\",\"district\",\"department\",\"unit\",\"enterprise\",\"group\"]}," \
    "\"region_code\":" TEXT(12) ",\"parent_id\":{\"type\":\"string\",\"maxLength\":64},\"industry\":" TEXT(100)                                       \
    ",\"level\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":9},\"credit_code\":" TEXT(40) ",\"address\":" TEXT(300) ",\"contact_name\":" TEXT(100)    \
    ",\"contact_phone\":" TEXT(40) ",\"contact_email\":" TEXT(200) ",\"security_lead\":" TEXT(100) ",\"active\":{\"type\":\"boolean\"}"

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/organisations", .permission = "directory.read", .handler = list_orgs, .flags = CF_RF_LIST,
     .doc = "Organisations in the caller's scope; parent_id makes the tree"},
    {.method = CF_POST, .path = "/api/v1/organisations", .permission = "directory.write", .handler = create_org,
     .request = "{\"type\":\"object\",\"required\":[\"name\"],\"additionalProperties\":false,\"properties\":{" ORG_PROPERTIES "}}",
     .doc = "Add an organisation below parent_id (default root)"},
    {.method = CF_GET, .path = "/api/v1/organisations/{id}", .permission = "directory.read", .handler = get_org, .doc = "One organisation"},
    {.method = CF_PATCH, .path = "/api/v1/organisations/{id}", .permission = "directory.write", .handler = patch_org,
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" ORG_PROPERTIES "}}", .doc = "Change or move an organisation"},
    {.method = CF_DELETE, .path = "/api/v1/organisations/{id}", .permission = "directory.write", .handler = delete_org,
     .doc = "Remove an organisation that has no units and no people"},
    {.method = CF_GET, .path = "/api/v1/regions", .permission = "directory.read", .handler = list_regions, .flags = CF_RF_LIST, .scope = "all",
     .doc = "Administrative regions (GB/T 2260)"},
    {.method = CF_POST, .path = "/api/v1/regions", .permission = "directory.write", .handler = put_region, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"code\",\"name\",\"level\"],\"additionalProperties\":false,\"properties\":{\"code\":{\"type\":\"string\","
                "\"minLength\":2,\"maxLength\":12},\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":100},\"parent\":{\"type\":[\"string\",\"null\"],"
                "\"maxLength\":12},\"level\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":5}}}",
     .doc = "Add or rename a region"},
    {.method = CF_DELETE, .path = "/api/v1/regions/{code}", .permission = "directory.write", .handler = delete_region, .scope = "all",
     .doc = "Remove a region no organisation is in"},
};

void cf_org_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
