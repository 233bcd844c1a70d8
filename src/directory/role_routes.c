/* SPDX-License-Identifier: Apache-2.0
 * Roles: built-in ones are content and read-only, further ones belong to the installation. */
#include <stdio.h>

#include "api/list.h"
#include "app/app.h"
#include "directory/directory_int.h"

static struct cf_db *db_of(const struct cf_req *req) { return ((struct cf_app *)req->app)->db; }
static struct cf_directory *dir_of(const struct cf_req *req) { return ((struct cf_app *)req->app)->directory; }

static const struct cf_lcol columns[] = {
    {"id", "r.id", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"name_zh", "r.name_zh", CF_LC_TEXT, CF_LC_SORT | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"name_en", "r.name_en", CF_LC_TEXT, CF_LC_SORT | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"doc", "r.doc", CF_LC_TEXT, 0},
    {"scope", "r.scope", CF_LC_TEXT, CF_LC_FILTER},
    {"permissions", "r.permissions", CF_LC_JSON, 0},
    {"builtin", "r.builtin", CF_LC_BOOL, CF_LC_FILTER},
    {"totp_required", "r.totp_required", CF_LC_BOOL, CF_LC_FILTER},
    {"users_without_totp", "(SELECT COUNT(*) FROM user_role ur JOIN app_user u ON u.id = ur.user_id WHERE ur.role_id = r.id AND u.active = 1 AND u.totp_secret IS NULL)", CF_LC_I64, 0},
    {"users", "(SELECT COUNT(*) FROM user_role ur WHERE ur.role_id = r.id)", CF_LC_I64, 0},
};
static const struct cf_list roles = {.from = "role r", .id_sql = "r.id", .default_sort = "id", .cols = columns, .n_cols = sizeof columns / sizeof *columns};

static int list_roles(struct cf_req *req, struct cf_error *reterr) { return cf_list_reply(req, db_of(req), &roles, reterr); }

/* What operations ask for, and what the built-in roles hold beside that: workflows ask for some of it. {id: operations}, new reference. */
static int known_permissions(struct cf_req *req, json_t **ret, struct cf_error *reterr)
{
    json_t *known = json_object(), *list, *one;
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    size_t k;
    int r = cf_tx_begin(db_of(req), CF_TX_READ, &tx, reterr);

    for (size_t i = 0; i < cf_routes_count(); i++) {
        const char *p = cf_routes_get(i)->permission;

        if (strchr(p, '.'))
            (void)json_object_set_new(known, p, json_integer(json_integer_value(json_object_get(known, p)) + 1));
    }
    if (r == 0)
        r = cf_tx_query(tx, "SELECT permissions FROM role WHERE builtin = 1", &st, reterr);
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        list = json_loadb(cf_stmt_str(st, 0).p, cf_stmt_str(st, 0).n, 0, NULL);
        json_array_foreach(list, k, one)
        {
            const char *p = json_string_value(one);

            if (p && strchr(p, '.') && !json_object_get(known, p))
                (void)json_object_set_new(known, p, json_integer(0));
        }
        json_decref(list);
        r = 0;
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r < 0)
        json_decref(known);
    else
        *ret = known;
    return r;
}

static int list_permissions(struct cf_req *req, struct cf_error *reterr)
{
    json_t *known = NULL, *items, *v;
    const char *key;
    int r = known_permissions(req, &known, reterr);

    if (r < 0)
        return r;
    items = json_array();
    json_object_foreach(known, key, v) (void)json_array_append_new(items, json_pack("{s:s,s:O}", "id", key, "operations", v));
    json_decref(known);
    cf_reply_list(req, items, NULL, (int64_t)json_array_size(items));
    return 0;
}

static int check_permissions(struct cf_req *req, struct cf_error *reterr)
{
    json_t *list = json_object_get(req->json, "permissions"), *known = NULL, *one;
    size_t i;
    int r = known_permissions(req, &known, reterr);

    json_array_foreach(list, i, one)
    {
        const char *p = json_string_value(one);

        if (r < 0 || json_object_get(known, p))
            continue;
        (void)cf_req_field_error(req, "permissions", "\"%s\" is not a permission of any operation", p);
        r = cf_error_set(reterr, CF_EINVAL, "\"%s\" is not a permission of any operation", p);
    }
    json_decref(known);
    return r;
}

static int put_role(struct cf_req *req, cf_str id, bool create, struct cf_error *reterr)
{
    char *perms = json_dumps(json_object_get(req->json, "permissions"), JSON_COMPACT);
    const char *zh = json_string_value(json_object_get(req->json, "name_zh")), *en = json_string_value(json_object_get(req->json, "name_en"));
    struct cf_dbval v[] = {CF_Z(zh), CF_Z(en ? en : zh), CF_Z(json_string_value(json_object_get(req->json, "doc"))),
                           CF_Z(json_string_value(json_object_get(req->json, "scope"))), CF_Z(perms), CF_S(id)};
    struct cf_tx *tx = NULL;
    int64_t changed = 0;
    int r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_execv(tx,
                        create ? "INSERT INTO role (name_zh, name_en, doc, scope, permissions, id, builtin) VALUES (?,?,?,?,?,?,0)"
                               : "UPDATE role SET name_zh = ?, name_en = ?, doc = ?, scope = ?, permissions = ? WHERE id = ? AND builtin = 0",
                        v, 6, &changed, reterr);
    if (r == 0 && !create && changed == 0)
        r = cf_error_set(reterr, CF_ECONFLICT, "there is no such role, or it is built in and cannot be changed: make a copy");
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    free(perms);
    cf_directory_changed(dir_of(req));
    return r;
}

static int reply_role(struct cf_req *req, int status, cf_str id, struct cf_error *reterr)
{
    json_t *o = cf_list_one(req, db_of(req), &roles, id, reterr);

    if (!o)
        return reterr->code;
    cf_reply_json(req, status, o);
    return 0;
}

static int create_role(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_str_c(json_string_value(json_object_get(req->json, "id")));
    int r = check_permissions(req, reterr);

    if (r == 0)
        r = put_role(req, id, true, reterr);
    if (r < 0)
        return r;
    cf_req_audit(req, id.p, NULL, req->json);
    return reply_role(req, 201, id, reterr);
}

static int change_role(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *before = cf_list_one(req, db_of(req), &roles, id, reterr);
    int r;

    if (!before)
        return reterr->code;
    r = check_permissions(req, reterr);
    if (r == 0)
        r = put_role(req, id, false, reterr);
    if (r == 0) {
        cf_req_audit(req, NULL, before, req->json);
        r = reply_role(req, 200, id, reterr);
    }
    json_decref(before);
    return r;
}

static int change_second_factor(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *before = cf_list_one(req, db_of(req), &roles, id, reterr);
    bool on = json_is_true(json_object_get(req->json, "required"));
    struct cf_tx *tx = NULL;
    int r;

    if (!before)
        return reterr->code;
    r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE role SET totp_required = ? WHERE id = ?", reterr, CF_I(on), CF_S(id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    cf_directory_changed(dir_of(req));
    if (r == 0) {
        cf_req_audit(req, NULL, before, req->json);
        r = reply_role(req, 200, id, reterr);
    }
    json_decref(before);
    return r;
}

static int delete_role(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_dbval id = CF_S(cf_req_path(req, "id"));
    struct cf_tx *tx = NULL;
    int64_t changed = 0;
    int r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_execv(tx, "DELETE FROM role WHERE id = ? AND builtin = 0", &id, 1, &changed, reterr);
    if (r == 0 && changed == 0)
        r = cf_error_set(reterr, CF_ECONFLICT, "there is no such role, or it is built in");
    if (r == 0)
        r = cf_tx_execv(tx, "DELETE FROM user_role WHERE role_id = ?", &id, 1, NULL, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    cf_directory_changed(dir_of(req));
    return r;
}

#define ROLE_PROPERTIES                                                                                                                        \
    "\"name_zh\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":100},\"name_en\":{\"type\":\"string\",\"maxLength\":100},"                      \
    "\"doc\":{\"type\":[\"string\",\"null\"],\"maxLength\":500},\"scope\":{\"type\":\"string\",\"enum\":[\"self\",\"org\",\"subtree\",\"region\",\"all\"]}," \
    "\"permissions\":{\"type\":\"array\",\"maxItems\":200,\"items\":{\"type\":\"string\",\"maxLength\":60}}"

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/roles", .permission = "directory.read", .handler = list_roles, .flags = CF_RF_LIST, .scope = "all",
     .doc = "Roles with permissions and data scope"},
    {.method = CF_GET, .path = "/api/v1/permissions", .permission = "directory.read", .handler = list_permissions, .scope = "all",
     .doc = "Every permission and how many operations ask for it"},
    {.method = CF_POST, .path = "/api/v1/roles", .permission = "role.write", .handler = create_role, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"id\",\"name_zh\",\"scope\",\"permissions\"],\"additionalProperties\":false,\"properties\":{\"id\":{\"type\":\"string\","
                "\"minLength\":2,\"maxLength\":60}," ROLE_PROPERTIES "}}",
     .doc = "Add a role"},
    {.method = CF_PUT, .path = "/api/v1/roles/{id}", .permission = "role.write", .handler = change_role, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"name_zh\",\"scope\",\"permissions\"],\"additionalProperties\":false,\"properties\":{" ROLE_PROPERTIES "}}",
     .doc = "Replace a role that is not built in"},
    {.method = CF_PUT, .path = "/api/v1/roles/{id}/second-factor", .permission = "role.write", .handler = change_second_factor, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"required\"],\"additionalProperties\":false,\"properties\":{\"required\":{\"type\":\"boolean\"}}}",
     .doc = "Whether people of this role (built-in ones too) must use a one-time code; they set it up at their next request"},
    {.method = CF_DELETE, .path = "/api/v1/roles/{id}", .permission = "role.write", .handler = delete_role, .scope = "all",
     .doc = "Remove a role that is not built in; people lose it"},
};

void cf_role_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
