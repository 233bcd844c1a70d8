/* SPDX-License-Identifier: Apache-2.0
 * People: list, add, change, reset, suspend. An account is never removed, so that history keeps its names. */
#include <stdio.h>

#include "api/list.h"
#include "app/app.h"
#include "directory/directory_int.h"
#include "directory/patch.h"

static struct cf_db *db_of(const struct cf_req *req) { return ((struct cf_app *)req->app)->db; }
static struct cf_directory *dir_of(const struct cf_req *req) { return ((struct cf_app *)req->app)->directory; }

static const struct cf_lcol columns[] = {
    {"id", "u.id", CF_LC_TEXT, CF_LC_FILTER},
    {"name", "u.name", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"display_name", "u.display_name", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"org.id", "u.org_id", CF_LC_TEXT, CF_LC_FILTER},
    {"org.name", "o.name", CF_LC_TEXT, CF_LC_SORT | CF_LC_SEARCH},
    {"phone", "u.phone", CF_LC_TEXT, CF_LC_SEARCH},
    {"email", "u.email", CF_LC_TEXT, CF_LC_SEARCH},
    {"dingtalk", "u.dingtalk", CF_LC_TEXT, 0},
    {"position", "u.position", CF_LC_TEXT, CF_LC_SEARCH},
    {"active", "u.active", CF_LC_BOOL, CF_LC_FILTER},
    {"must_change_password", "u.must_change_password", CF_LC_BOOL, CF_LC_FILTER},
    {"locked_until", "CASE WHEN u.locked_until_us > 0 THEN u.locked_until_us ELSE NULL END", CF_LC_TIME, CF_LC_FILTER},
    {"totp_enabled", "CASE WHEN u.totp_secret IS NULL THEN 0 ELSE 1 END", CF_LC_BOOL, CF_LC_FILTER},
    {"allow_ips", "u.allow_ips", CF_LC_JSON, 0},
    {"last_seen", "u.last_seen_us", CF_LC_TIME, CF_LC_SORT | CF_LC_FILTER},
    {"created_at", "u.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
    {"role", "(SELECT MIN(ur.role_id) FROM user_role ur WHERE ur.user_id = u.id)", CF_LC_TEXT, CF_LC_SORT | CF_LC_HIDDEN},
};

static int add_roles(struct cf_req *req, struct cf_tx *tx, json_t *item, struct cf_error *reterr)
{
    json_t *roles = json_array();
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT role_id FROM user_role WHERE user_id = ? ORDER BY role_id", &st, reterr, CF_Z(json_string_value(json_object_get(item, "id"))));

    (void)req;
    while (r == 0 && cf_stmt_next(st, reterr) == 1)
        (void)json_array_append_new(roles, json_stringn(cf_stmt_str(st, 0).p, cf_stmt_str(st, 0).n));
    cf_stmt_free(st);
    (void)json_object_set_new(item, "roles", roles);
    return r;
}

static const struct cf_list users = {.from = "app_user u LEFT JOIN organisation o ON o.id = u.org_id", .id_sql = "u.id", .scope_col = "u.org_id",
                                     .default_sort = "name", .cols = columns, .n_cols = sizeof columns / sizeof *columns, .finish = add_roles};

static const struct cf_patch_col writable[] = {{"display_name", 't'}, {"org_id", 't'}, {"phone", 't'}, {"email", 't'}, {"dingtalk", 't'},
                                               {"position", 't'}, {"allow_ips", 'j'}, {"active", 'b'}};

static int list_users(struct cf_req *req, struct cf_error *reterr) { return cf_list_reply(req, db_of(req), &users, reterr); }

static int reply_user(struct cf_req *req, int status, cf_str id, const char *password, struct cf_error *reterr)
{
    json_t *o = cf_list_one(req, db_of(req), &users, id, reterr);

    if (!o)
        return reterr->code;
    if (password)
        (void)json_object_set_new(o, "password", json_string(password));
    cf_reply_json(req, status, o);
    return 0;
}

static int get_user(struct cf_req *req, struct cf_error *reterr) { return reply_user(req, 200, cf_req_path(req, "id"), NULL, reterr); }

static int invalid(struct cf_req *req, const char *field, const char *msg, struct cf_error *reterr)
{
    (void)cf_req_field_error(req, field, "%s", msg);
    return cf_error_set(reterr, CF_EINVAL, "%s: %s", field, msg);
}

/* What POST and PATCH have in common. */
static int check_input(struct cf_req *req, struct cf_tx *tx, struct cf_error *reterr)
{
    const char *org = json_string_value(json_object_get(req->json, "org_id"));
    json_t *roles = json_object_get(req->json, "roles"), *ips = json_object_get(req->json, "allow_ips"), *one;
    struct cf_cidr cidr;
    size_t i;
    int r = 0;

    if (org && !cf_scope_has_org(tx, req->who, cf_str_c(org)))
        return invalid(req, "org_id", "there is no such organisation in your scope", reterr);
    if (org && req->who->scope == CF_SCOPE_ALL) { /* scope all says yes to every id */
        struct cf_stmt *st = NULL;

        r = cf_tx_query(tx, "SELECT 1 FROM organisation WHERE id = ?", &st, reterr, CF_Z(org));
        if (r == 0 && cf_stmt_next(st, reterr) != 1)
            r = invalid(req, "org_id", "there is no such organisation", reterr);
        cf_stmt_free(st);
    }
    if (r == 0 && roles && (r = cf_roles_separate(dir_of(req), roles, reterr)) == CF_EINVAL)
        (void)cf_req_field_error(req, "roles", "%s", reterr->msg);
    json_array_foreach(ips, i, one)
    {
        if (r == 0 && !cf_cidr_parse(cf_str_c(json_string_value(one)), &cidr))
            r = invalid(req, "allow_ips", "must be addresses or ranges such as 10.1.0.0/16", reterr);
    }
    return r;
}

static bool name_ok(const char *s)
{
    size_t n = strlen(s);

    return n >= 2 && n <= 64 && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-") == n;
}

static int create_user(struct cf_req *req, struct cf_error *reterr)
{
    const char *name = json_string_value(json_object_get(req->json, "name")), *display = json_string_value(json_object_get(req->json, "display_name")),
               *given = json_string_value(json_object_get(req->json, "password"));
    json_t *keep = json_object_get(req->json, "must_change_password"), *after;
    struct cf_tx *tx = NULL;
    int64_t now = cf_now_us();
    char id[37], password[40];
    bool any;
    int r;

    if (!name_ok(name))
        return invalid(req, "name", "2 to 64 letters, digits or . _ @ -", reterr);
    cf_uuid7(id);
    cf_password_random(password);
    r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = check_input(req, tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO app_user (id, name, display_name, org_id, created_us, updated_us) VALUES (?,?,?,?,?,?)", reterr, CF_Z(id), CF_Z(name),
                       CF_Z(display ? display : name), CF_Z(json_string_value(json_object_get(req->json, "org_id"))), CF_I(now), CF_I(now));
    if (r == CF_EEXIST) {
        (void)cf_req_field_error(req, "name", "this name is taken");
        (void)cf_error_set(reterr, CF_EEXIST, "user name \"%s\" is taken", name);
    }
    if (r == 0)
        r = cf_patch(tx, "app_user", cf_str_c(id), writable, sizeof writable / sizeof *writable, req->json, &any, reterr);
    if (r == 0)
        r = cf_user_set_password(dir_of(req), tx, cf_str_c(id), cf_str_c(name), cf_str_c(given ? given : password), !json_is_false(keep), given != NULL, reterr);
    if (r == 0 && (r = cf_roles_give(tx, cf_str_c(id), json_object_get(req->json, "roles"), reterr)) == CF_EINVAL)
        (void)cf_req_field_error(req, "roles", "%s", reterr->msg);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        after = json_copy(req->json);
        (void)json_object_del(after, "password");
        cf_req_audit(req, id, NULL, after);
        json_decref(after);
        r = reply_user(req, 201, cf_arena_copy(req->arena, cf_str_c(id)), given ? NULL : password, reterr);
    }
    explicit_bzero(password, sizeof password);
    return r;
}

static int patch_user(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *roles = json_object_get(req->json, "roles"), *before = cf_list_one(req, db_of(req), &users, id, reterr);
    struct cf_tx *tx = NULL;
    bool any;
    int r;

    if (!before)
        return reterr->code;
    if (cf_str_eq(id, req->who->user_id) && (roles || json_is_false(json_object_get(req->json, "active")))) {
        json_decref(before);
        return cf_error_set(reterr, CF_ECONFLICT, "nobody changes his own roles or suspends himself: ask another administrator");
    }
    r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = check_input(req, tx, reterr);
    if (r == 0)
        r = cf_patch(tx, "app_user", id, writable, sizeof writable / sizeof *writable, req->json, &any, reterr);
    if (r == 0 && roles && (r = cf_roles_give(tx, id, roles, reterr)) == CF_EINVAL)
        (void)cf_req_field_error(req, "roles", "%s", reterr->msg);
    if (r == 0 && json_is_false(json_object_get(req->json, "active")))
        r = cf_directory_end_sessions(dir_of(req), tx, id, CF_STR(""), reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        cf_directory_changed(dir_of(req));
        cf_req_audit(req, NULL, before, req->json);
        r = reply_user(req, 200, id, NULL, reterr);
    }
    json_decref(before);
    return r;
}

/* A new one-time password; unlocks; ends sessions; with totp:true also turns one-time codes off (lost telephone). */
static int reset_user(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *before = cf_list_one(req, db_of(req), &users, id, reterr);
    struct cf_tx *tx = NULL;
    char password[40];
    int r;

    if (!before)
        return reterr->code;
    cf_password_random(password);
    r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_user_set_password(dir_of(req), tx, id, CF_STR(""), cf_str_c(password), true, false, reterr);
    if (r == 0 && json_is_true(json_object_get(req->json, "totp")))
        r = cf_tx_exec(tx, "UPDATE app_user SET totp_secret = NULL, totp_pending = NULL WHERE id = ?", reterr, CF_S(id));
    if (r == 0 && json_is_true(json_object_get(req->json, "totp")))
        r = cf_tx_exec(tx, "DELETE FROM recovery_code WHERE user_id = ?", reterr, CF_S(id));
    if (r == 0)
        r = cf_directory_end_sessions(dir_of(req), tx, id, CF_STR(""), reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    cf_directory_changed(dir_of(req));
    if (r == 0)
        cf_reply_json(req, 200, json_pack("{s:s,s:s}", "name", json_string_value(json_object_get(before, "name")), "password", password));
    json_decref(before);
    explicit_bzero(password, sizeof password);
    return r;
}

static int suspend_user(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *before = cf_list_one(req, db_of(req), &users, id, reterr);
    struct cf_tx *tx = NULL;
    int r;

    if (!before)
        return reterr->code;
    if (cf_str_eq(id, req->who->user_id)) {
        json_decref(before);
        return cf_error_set(reterr, CF_ECONFLICT, "nobody suspends himself: ask another administrator");
    }
    r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE app_user SET active = 0, updated_us = ? WHERE id = ?", reterr, CF_I(cf_now_us()), CF_S(id));
    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM api_token WHERE user_id = ?", reterr, CF_S(id));
    if (r == 0)
        r = cf_directory_end_sessions(dir_of(req), tx, id, CF_STR(""), reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    cf_directory_changed(dir_of(req));
    if (r == 0)
        cf_req_audit(req, NULL, before, NULL);
    json_decref(before);
    return r;
}

#define TEXT(max) "{\"type\":[\"string\",\"null\"],\"maxLength\":" #max "}"
#define USER_PROPERTIES                                                                                                                       \
    "\"display_name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":100},\"org_id\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64}," \
    "\"roles\":{\"type\":\"array\",\"maxItems\":20,\"items\":{\"type\":\"string\",\"maxLength\":60}},\"phone\":" TEXT(40) ",\"email\":" TEXT(200)   \
    ",\"dingtalk\":" TEXT(100) ",\"position\":" TEXT(100) ",\"active\":{\"type\":\"boolean\"},"                                                 \
    "\"allow_ips\":{\"type\":[\"array\",\"null\"],\"maxItems\":100,\"items\":{\"type\":\"string\",\"maxLength\":60}}"

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/users", .permission = "directory.read", .handler = list_users, .flags = CF_RF_LIST, .doc = "People in the caller's scope"},
    {.method = CF_POST, .path = "/api/v1/users", .permission = "user.write", .handler = create_user,
     .request = "{\"type\":\"object\",\"required\":[\"name\",\"org_id\",\"roles\"],\"additionalProperties\":false,\"properties\":{\"name\":{\"type\":\"string\"},"
                "\"password\":{\"type\":\"string\",\"maxLength\":256},\"must_change_password\":{\"type\":\"boolean\"}," USER_PROPERTIES "}}",
     .doc = "Add a person; without password the reply holds a one-time password, shown only here"},
    {.method = CF_GET, .path = "/api/v1/users/{id}", .permission = "directory.read", .handler = get_user, .doc = "One person"},
    {.method = CF_PATCH, .path = "/api/v1/users/{id}", .permission = "user.write", .handler = patch_user,
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" USER_PROPERTIES "}}", .doc = "Change a person, roles, organisation"},
    {.method = CF_POST, .path = "/api/v1/users/{id}/reset", .permission = "user.write", .handler = reset_user,
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"totp\":{\"type\":\"boolean\"}}}",
     .doc = "New one-time password, unlock, end sessions"},
    {.method = CF_DELETE, .path = "/api/v1/users/{id}", .permission = "user.write", .handler = suspend_user,
     .doc = "Suspend a person: no sign-in, no sessions, no tokens; the entry stays for history"},
};

void cf_user_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
