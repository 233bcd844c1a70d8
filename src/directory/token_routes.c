/* SPDX-License-Identifier: Apache-2.0
 * API tokens and running sessions. A token is shown once; only its digest is kept. */
#include <stdio.h>

#include "api/list.h"
#include "app/app.h"
#include "directory/directory_int.h"

static struct cf_db *db_of(const struct cf_req *req) { return ((struct cf_app *)req->app)->db; }
static struct cf_directory *dir_of(const struct cf_req *req) { return ((struct cf_app *)req->app)->directory; }

static const struct cf_lcol token_columns[] = {
    {"id", "t.id", CF_LC_TEXT, CF_LC_FILTER},
    {"name", "t.name", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"user.id", "t.user_id", CF_LC_TEXT, CF_LC_FILTER},
    {"user.name", "u.name", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"scopes", "t.scopes", CF_LC_JSON, 0},
    {"created_at", "t.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
    {"expires_at", "t.expires_us", CF_LC_TIME, CF_LC_SORT},
    {"last_used", "t.last_used_us", CF_LC_TIME, CF_LC_SORT},
};

static int list_tokens(struct cf_req *req, struct cf_error *reterr)
{
    bool all = cf_principal_may(req->who, CF_STR("user.write"));
    struct cf_dbval me = CF_S(req->who->user_id);
    struct cf_list l = {.from = "api_token t LEFT JOIN app_user u ON u.id = t.user_id", .id_sql = "t.id", .default_sort = "-created_at",
                        .cols = token_columns, .n_cols = sizeof token_columns / sizeof *token_columns, .scope_col = "u.org_id"};

    if (!all) {
        l.scope_col = NULL;
        l.where = "t.user_id = ?";
        l.where_v = &me;
        l.n_where_v = 1;
    }
    return cf_list_reply(req, db_of(req), &l, reterr);
}

/* The user a token is for: the caller, or somebody in the caller's scope when he may manage users. */
static int token_user(struct cf_req *req, struct cf_tx *tx, cf_str *ret, struct cf_error *reterr)
{
    const char *name = json_string_value(json_object_get(req->json, "user"));
    struct cf_stmt *st = NULL;
    int r;

    *ret = req->who->user_id;
    if (!name || cf_str_eqz(req->who->user_name, name))
        return 0;
    if (!cf_principal_may(req->who, CF_STR("user.write")))
        return cf_error_set(reterr, CF_EPERM, "a token for somebody else needs permission user.write");
    r = cf_tx_query(tx, "SELECT id, org_id FROM app_user WHERE name = ? AND active = 1", &st, reterr, CF_Z(name));
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        cf_str org = cf_arena_copy(req->arena, cf_stmt_str(st, 1));

        *ret = cf_arena_copy(req->arena, cf_stmt_str(st, 0));
        cf_stmt_free(st);
        st = NULL;
        r = cf_scope_has_org(tx, req->who, org) ? 1 : 0;
    }
    cf_stmt_free(st);
    if (r == 0) {
        (void)cf_req_field_error(req, "user", "there is no active user \"%s\"", name);
        return cf_error_set(reterr, CF_EINVAL, "there is no active user \"%s\"", name);
    }
    return r < 0 ? r : 0;
}

int cf_token_make(struct cf_tx *tx, const struct cf_token_new *t, struct cf_token_made *ret, struct cf_error *reterr)
{
    uint8_t secret[32];
    char digest[65];
    struct cf_digest dg;

    if (!cf_random(secret, sizeof secret))
        return cf_error_set(reterr, CF_EIO, "the kernel gave no random bytes");
    memcpy(ret->token, "cft_", 4);
    cf_hex(secret, 32, ret->token + 4);
    explicit_bzero(secret, sizeof secret);
    (void)cf_sha256(&dg, &(cf_str){ret->token, 68}, 1);
    cf_hex(dg.b, 32, digest);
    cf_uuid7(ret->id);
    return cf_tx_exec(tx, "INSERT INTO api_token (id, digest, user_id, name, scopes, created_us, expires_us, created_by) VALUES (?,?,?,?,?,?,?,?)", reterr, CF_Z(ret->id),
                      CF_Z(digest), CF_S(t->user_id), CF_S(t->name), CF_Z(t->scopes), CF_I(cf_now_us()), t->expires_us ? CF_I(t->expires_us) : CF_NUL, CF_S(t->created_by));
}

static int create_token(struct cf_req *req, struct cf_error *reterr)
{
    const char *name = json_string_value(json_object_get(req->json, "name")), *until = json_string_value(json_object_get(req->json, "expires_at"));
    json_t *scopes = json_object_get(req->json, "scopes");
    char *scopes_text = scopes ? json_dumps(scopes, JSON_COMPACT) : NULL;
    struct cf_token_new t = {.name = cf_str_c(name ? name : "token"), .scopes = scopes_text ? scopes_text : "[]", .created_by = req->who->user_id};
    struct cf_token_made made = {0};
    int64_t now = cf_now_us();
    struct cf_tx *tx = NULL;
    int r = 0;

    if (until && (!cf_time_parse_rel(cf_str_c(until), now, &t.expires_us) || t.expires_us <= now)) {
        (void)cf_req_field_error(req, "expires_at", "must be a time in the future (RFC 3339 or now+90d)");
        r = cf_error_set(reterr, CF_EINVAL, "expires_at must be a time in the future");
    }
    if (r == 0)
        r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = token_user(req, tx, &t.user_id, reterr);
    if (r == 0)
        r = cf_token_make(tx, &t, &made, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    free(scopes_text);
    if (r == 0) {
        cf_req_audit(req, cf_arena_strdup(req->arena, cf_str_c(made.id)), NULL, req->json);
        cf_reply_json(req, 201, json_pack("{s:s,s:s,s:s}", "id", made.id, "token", made.token, "name", name ? name : "token"));
    }
    explicit_bzero(&made, sizeof made);
    return r;
}

static int delete_token(struct cf_req *req, struct cf_error *reterr)
{
    bool all = cf_principal_may(req->who, CF_STR("user.write"));
    struct cf_tx *tx = NULL;
    int64_t changed = 0;
    struct cf_dbval v[] = {CF_S(cf_req_path(req, "id")), CF_S(req->who->user_id)};
    int r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_execv(tx, all ? "DELETE FROM api_token WHERE id = ?" : "DELETE FROM api_token WHERE id = ? AND user_id = ?", v, all ? 1 : 2, &changed, reterr);
    if (r == 0 && changed == 0)
        r = cf_error_set(reterr, CF_ENOENT, "there is no such token");
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    cf_directory_changed(dir_of(req));
    return r;
}

static const struct cf_lcol session_columns[] = {
    {"id", "s.id", CF_LC_TEXT, CF_LC_FILTER},
    {"user.id", "s.user_id", CF_LC_TEXT, CF_LC_FILTER},
    {"user.name", "u.name", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH | CF_LC_SORT},
    {"user.display_name", "u.display_name", CF_LC_TEXT, CF_LC_SEARCH},
    {"peer", "s.peer", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"agent", "s.agent", CF_LC_TEXT, CF_LC_SEARCH},
    {"created_at", "s.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
    {"last_seen", "s.last_seen_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
};

static int list_sessions(struct cf_req *req, struct cf_error *reterr)
{
    bool all = cf_principal_may(req->who, CF_STR("user.write"));
    struct cf_dbval me = CF_S(req->who->user_id);
    struct cf_list l = {.from = "user_session s LEFT JOIN app_user u ON u.id = s.user_id", .id_sql = "s.id", .default_sort = "-last_seen",
                        .cols = session_columns, .n_cols = sizeof session_columns / sizeof *session_columns, .scope_col = all ? "u.org_id" : NULL,
                        .where = all ? NULL : "s.user_id = ?", .where_v = &me, .n_where_v = all ? 0 : 1};

    return cf_list_reply(req, db_of(req), &l, reterr);
}

static int delete_session(struct cf_req *req, struct cf_error *reterr)
{
    bool all = cf_principal_may(req->who, CF_STR("user.write"));
    struct cf_dbval v[] = {CF_S(cf_req_path(req, "id")), CF_S(req->who->user_id)};
    struct cf_tx *tx = NULL;
    int64_t changed = 0;
    int r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_execv(tx, all ? "DELETE FROM user_session WHERE id = ?" : "DELETE FROM user_session WHERE id = ? AND user_id = ?", v, all ? 1 : 2, &changed,
                        reterr);
    if (r == 0 && changed == 0)
        r = cf_error_set(reterr, CF_ENOENT, "there is no such session");
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    cf_directory_changed(dir_of(req));
    return r;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/tokens", .permission = "token.self", .handler = list_tokens, .flags = CF_RF_LIST, .scope = "self",
     .doc = "API tokens: the own ones, with user.write those of the scope"},
    {.method = CF_POST, .path = "/api/v1/tokens", .permission = "token.self", .handler = create_token, .scope = "self",
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":100},"
                "\"scopes\":{\"type\":\"array\",\"maxItems\":100,\"items\":{\"type\":\"string\",\"maxLength\":60}},\"expires_at\":{\"type\":[\"string\",\"null\"]},"
                "\"user\":{\"type\":\"string\",\"maxLength\":100}}}",
     .doc = "Make a token; the reply is the only time it is shown"},
    {.method = CF_DELETE, .path = "/api/v1/tokens/{id}", .permission = "token.self", .handler = delete_token, .scope = "self", .doc = "Withdraw a token"},
    {.method = CF_GET, .path = "/api/v1/sessions", .permission = CF_PERM_SELF, .handler = list_sessions, .flags = CF_RF_LIST, .scope = "self",
     .doc = "Running sessions: the own ones, with user.write those of the scope"},
    {.method = CF_DELETE, .path = "/api/v1/sessions/{id}", .permission = CF_PERM_SELF, .handler = delete_session, .scope = "self", .doc = "End a session"},
};

void cf_token_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
