/* SPDX-License-Identifier: Apache-2.0
 * Signing in and out, and what a person may change about himself. */
#include <stdio.h>

#include "api/route.h"
#include "app/app.h"
#include "audit/audit.h"
#include "directory/directory_int.h"

static struct cf_app *app_of(const struct cf_req *req) { return req->app; }

static json_t *str_list(const cf_str *v, size_t n)
{
    json_t *l = json_array();

    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(l, json_stringn(v[i].p, v[i].n));
    return l;
}

static json_t *jstr(cf_str s) { return s.p ? json_stringn(s.p, s.n) : json_null(); }

json_t *cf_session_body(struct cf_directory *d, const struct cf_principal *who, cf_str cookie, struct cf_error *reterr)
{
    char csrf[65] = "";
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    json_t *body = NULL;
    int r = cf_tx_begin(d->db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx,
                        "SELECT u.phone, u.email, u.locale, u.theme, CASE WHEN u.totp_secret IS NULL THEN 0 ELSE 1 END, o.name,"
                        " (SELECT COUNT(*) FROM recovery_code c WHERE c.user_id = u.id AND c.used_us IS NULL) FROM app_user u"
                        " LEFT JOIN organisation o ON o.id = u.org_id WHERE u.id = ?",
                        &st, reterr, CF_S(who->user_id));
    if (r == 0 && (r = cf_stmt_next(st, reterr)) >= 0) {
        bool row = r == 1;

        if (cookie.p)
            cf_session_csrf(cookie, csrf);
        body = json_pack("{s:s,s:{s:o,s:o,s:o,s:{s:o,s:o},s:o,s:o,s:s,s:b,s:b,s:b,s:b,s:I,s:o,s:o,s:o,s:o}}", "csrf", csrf, "user", "id", jstr(who->user_id), "name",
                         jstr(who->user_name), "display_name", jstr(who->display_name), "org", "id", jstr(who->org_id), "name",
                         row ? jstr(cf_stmt_str(st, 5)) : json_null(), "roles", str_list(who->roles, who->n_roles), "permissions",
                         str_list(who->perms, who->n_perms), "scope", cf_scope_name(who->scope), "must_change_password", who->must_change_password,
                         "totp_enabled", row && cf_stmt_i64(st, 4) != 0, "totp_required", who->totp_required, "must_set_up_totp", who->must_set_up_totp, "recovery_codes_left",
                         row ? (json_int_t)cf_stmt_i64(st, 6) : 0, "locale", row ? jstr(cf_stmt_str(st, 2)) : json_null(), "theme",
                         row ? jstr(cf_stmt_str(st, 3)) : json_null(), "phone", row ? jstr(cf_stmt_str(st, 0)) : json_null(), "email",
                         row ? jstr(cf_stmt_str(st, 1)) : json_null());
        r = body ? 0 : cf_error_set(reterr, CF_ENOMEM, "no memory for the reply");
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return body;
}

static cf_str cookie_of(const struct cf_req *req)
{
    cf_str h = cf_req_header(req, "Cookie"), part, key;

    while (cf_str_cut(&h, ';', &part)) {
        part = cf_str_trim(part);
        if (cf_str_cut(&part, '=', &key) && cf_str_eqz(key, "cf_session"))
            return part;
    }
    return CF_STR_NONE;
}

static int get_session(struct cf_req *req, struct cf_error *reterr)
{
    json_t *body;

    if (!req->who)
        return cf_error_set(reterr, CF_EAUTH, "sign-in required");
    body = cf_session_body(app_of(req)->directory, req->who, req->who->session_id.n ? cookie_of(req) : CF_STR_NONE, reterr);
    if (!body)
        return reterr->code ? reterr->code : CF_EDB;
    cf_reply_json(req, 200, body);
    return 0;
}

static int audit_sign_in(struct cf_req *req, const char *result, cf_str user_id, cf_str name, struct cf_error *reterr)
{
    struct cf_audit_entry e = {.user_id = user_id, .user_name = name, .peer = req->peer, .request_id = cf_str_c(req->request_id),
                               .action = CF_STR("session.sign_in"), .object = name, .result = cf_str_c(result)};

    return cf_audit_write(app_of(req)->audit, &e, reterr);
}

static int refused(struct cf_req *req, const struct cf_signed_in *s, struct cf_error *reterr)
{
    char after[24];

    switch (s->result) {
    case CF_SIGN_IN_OTP:
        cf_req_problem(req, "otp_required", json_true());
        return cf_error_set(reterr, CF_EAUTH, "a one-time code is needed");
    case CF_SIGN_IN_LOCKED:
    case CF_SIGN_IN_ADDRESS:
        (void)snprintf(after, sizeof after, "%lld", (long long)(s->retry_after_us / CF_US_PER_S + 1));
        cf_reply_header(req, "Retry-After", after);
        return cf_error_set(reterr, CF_EBUSY, s->result == CF_SIGN_IN_LOCKED ? "the account is locked after too many failures; try again later or ask an administrator"
                                                                            : "too many failures from this address; try again later");
    case CF_SIGN_IN_OK:
    case CF_SIGN_IN_WRONG:
        break;
    }
    return cf_error_set(reterr, CF_EAUTH, "user name or password is wrong");
}

static int sign_in(struct cf_req *req, struct cf_error *reterr)
{
    static const char *const words[] = {"ok", "failed: wrong", "failed: one-time code", "denied: locked", "denied: address"};
    struct cf_directory *d = app_of(req)->directory;
    struct cf_sign_in in = {.user = cf_str_c(json_string_value(json_object_get(req->json, "user"))),
                            .password = cf_str_c(json_string_value(json_object_get(req->json, "password"))),
                            .otp = cf_str_c(json_string_value(json_object_get(req->json, "otp"))),
                            .peer = req->peer, .agent = cf_req_header(req, "User-Agent")};
    struct cf_signed_in s;
    const struct cf_principal *who = NULL;
    char line[256];
    json_t *body;
    int r = cf_directory_sign_in(d, &in, &s, reterr);

    if (r == 0)
        r = audit_sign_in(req, s.recovery ? "ok: recovery code" : words[s.result], cf_str_c(s.user_id), in.user, reterr);
    if (r < 0)
        return r;
    if (s.result != CF_SIGN_IN_OK)
        return refused(req, &s, reterr);
    r = cf_directory_by_session(d, cf_str_c(s.cookie), req->peer, &who, reterr);
    if (r < 0)
        return r;
    body = cf_session_body(d, who, cf_str_c(s.cookie), reterr);
    cf_principal_unref(who);
    if (!body)
        return reterr->code;
    (void)snprintf(line, sizeof line, "cf_session=%s; Path=/; HttpOnly; SameSite=Strict%s", s.cookie, app_of(req)->tls ? "; Secure" : "");
    cf_reply_header(req, "Set-Cookie", line);
    cf_reply_json(req, 200, body);
    return 0;
}

static int sign_out(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_audit_entry e = {.peer = req->peer, .request_id = cf_str_c(req->request_id), .action = CF_STR("session.sign_out"), .result = CF_STR("ok")};
    int r = 0;

    if (req->who && req->who->session_id.n) {
        e.user_id = req->who->user_id;
        e.user_name = e.object = req->who->user_name;
        r = cf_directory_sign_out(app_of(req)->directory, req->who->session_id, reterr);
        if (r == 0)
            r = cf_audit_write(app_of(req)->audit, &e, reterr);
    }
    if (r < 0)
        return r;
    cf_reply_header(req, "Set-Cookie", app_of(req)->tls ? "cf_session=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0" : "cf_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    cf_reply_empty(req, 204);
    return 0;
}

static int change_password(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_directory *d = app_of(req)->directory;
    cf_str old = cf_str_c(json_string_value(json_object_get(req->json, "old"))), new = cf_str_c(json_string_value(json_object_get(req->json, "new")));
    struct cf_sign_in in = {.user = req->who->user_name, .password = old, .peer = req->peer};
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    char hash[CF_PASSWORD_HASH_MAX] = "";
    int r = cf_tx_begin(d->db, CF_TX_READ, &tx, reterr);

    (void)in;
    if (r == 0)
        r = cf_tx_query(tx, "SELECT password_hash FROM app_user WHERE id = ?", &st, reterr, CF_S(req->who->user_id));
    if (r == 0 && cf_stmt_next(st, reterr) == 1)
        (void)snprintf(hash, sizeof hash, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r < 0)
        return r;
    if (!hash[0] || !cf_password_verify(old, hash)) {
        (void)cf_req_field_error(req, "old", "the current password is wrong");
        return cf_error_set(reterr, CF_EINVAL, "the current password is wrong");
    }
    r = cf_tx_begin(d->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_user_set_password(d, tx, req->who->user_id, req->who->user_name, new, false, true, reterr);
    if (r == 0)
        r = cf_directory_end_sessions(d, tx, req->who->user_id, req->who->session_id, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == CF_EINVAL)
        (void)cf_req_field_error(req, "new", "%s", reterr->msg);
    cf_directory_changed(d);
    return r;
}

static const char *const me_columns[] = {"display_name", "locale", "theme", "phone", "email"};

static int patch_me(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_directory *d = app_of(req)->directory;
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(d->db, CF_TX_WRITE, &tx, reterr);

    for (size_t i = 0; i < sizeof me_columns / sizeof *me_columns && r == 0; i++) {
        const json_t *v = json_object_get(req->json, me_columns[i]);
        char sql[100];

        if (!v)
            continue;
        (void)snprintf(sql, sizeof sql, "UPDATE app_user SET %s = ?, updated_us = ? WHERE id = ?", me_columns[i]);
        r = cf_tx_exec(tx, sql, reterr, CF_Z(json_string_value(v)), CF_I(cf_now_us()), CF_S(req->who->user_id));
    }
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    cf_directory_changed(d);
    if (r == 0)
        cf_req_audit(req, NULL, NULL, req->json);
    return r;
}

#define OPEN (CF_RF_NO_PASSWORD_CHANGE | CF_RF_NO_TOTP_SETUP)
static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/api/v1/session", .permission = CF_PERM_PUBLIC, .handler = sign_in, .flags = CF_RF_NO_AUDIT, .scope = "self",
     .request = "{\"type\":\"object\",\"required\":[\"user\",\"password\"],\"properties\":{\"user\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":100},"
                "\"password\":{\"type\":\"string\",\"maxLength\":256},\"otp\":{\"type\":\"string\",\"maxLength\":40}}}",
     .doc = "Sign in: sets the cookie cf_session and returns the CSRF token"},
    {.method = CF_GET, .path = "/api/v1/session", .permission = CF_PERM_PUBLIC, .handler = get_session, .flags = OPEN, .scope = "self", .doc = "Who is signed in"},
    {.method = CF_DELETE, .path = "/api/v1/session", .permission = CF_PERM_PUBLIC, .handler = sign_out, .flags = CF_RF_NO_AUDIT, .scope = "self", .doc = "Sign out"},
    {.method = CF_POST, .path = "/api/v1/session/password", .permission = CF_PERM_SELF, .handler = change_password, .flags = OPEN, .scope = "self",
     .request = "{\"type\":\"object\",\"required\":[\"old\",\"new\"],\"properties\":{\"old\":{\"type\":\"string\",\"maxLength\":256},\"new\":{\"type\":\"string\",\"maxLength\":256}}}",
     .doc = "Change the own password; ends the other sessions"},
    {.method = CF_PATCH, .path = "/api/v1/me", .permission = CF_PERM_SELF, .handler = patch_me, .flags = OPEN, .scope = "self",
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"display_name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":100},"
                "\"locale\":{\"type\":\"string\",\"enum\":[\"zh-CN\",\"en\"]},\"theme\":{\"type\":\"string\",\"enum\":[\"light\",\"dark\",\"auto\"]},"
                "\"phone\":{\"type\":\"string\",\"maxLength\":40},\"email\":{\"type\":\"string\",\"maxLength\":200}}}",
     .doc = "Change the own name, contact, language, theme"},
};

void cf_session_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }

