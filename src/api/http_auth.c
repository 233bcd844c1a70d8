/* SPDX-License-Identifier: Apache-2.0
 * The decision on a request's head: route, who, permission, CSRF, size. Order matters: nobody learns anything about an
 * operation before sign-in. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/http_int.h"
#include "directory/service.h"

__attribute__((format(printf, 4, 5))) static void refuse(struct cf_req_priv *c, int status, const char *type, const char *fmt, ...)
{
    va_list ap;

    c->verdict.status = status;
    c->verdict.type = type;
    va_start(ap, fmt);
    (void)vsnprintf(c->verdict.detail, sizeof c->verdict.detail, fmt, ap);
    va_end(ap);
}

/* The value of one cookie of the Cookie header, .p NULL when absent. */
static cf_str cookie_value(cf_str header, const char *name)
{
    cf_str part;

    while (cf_str_cut(&header, ';', &part)) {
        cf_str key;

        part = cf_str_trim(part);
        if (!memchr(part.p, '=', part.n))
            continue;
        (void)cf_str_cut(&part, '=', &key);
        if (cf_str_eqz(key, name))
            return part;
    }
    return CF_STR_NONE;
}

static bool local_peer_trusted(struct cf_req_priv *c)
{
    const union MHD_ConnectionInfo *ci = MHD_get_connection_info(c->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred cred;
    socklen_t n = sizeof cred;

    if (!ci || getsockopt(ci->connect_fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
        return false;
    return cred.uid == 0 || cred.uid == geteuid();
}

/* A program that can say no more than a name and a password, in its address for instance: the password is the token. */
static int by_basic(struct cf_req_priv *c, struct cf_error *reterr)
{
    char *password = NULL, *name = MHD_basic_auth_get_username_password(c->conn, &password);
    int r = CF_EAUTH;

    if (password)
        r = cf_directory_by_token(c->http->app->directory, cf_str_c(password), c->req.peer, &c->who, reterr);
    else
        (void)cf_error_set(reterr, r, "basic authentication: an API token is expected as the password");
    if (password)
        explicit_bzero(password, strlen(password));
    MHD_free(password);
    MHD_free(name);
    return r;
}

static void sign_in(struct cf_req_priv *c)
{
    struct cf_directory *d = c->http->app->directory;
    cf_str auth = cf_req_header(&c->req, "Authorization");
    struct cf_error err = {0};
    int r = CF_EAUTH;

    if (auth.p && cf_str_istarts(auth, CF_STR("Bearer ")))
        r = cf_directory_by_token(d, cf_str_trim(cf_str_sub(auth, 7, auth.n)), c->req.peer, &c->who, &err);
    else if (auth.p && (c->req.route->flags & CF_RF_BASIC) && cf_str_istarts(auth, CF_STR("Basic ")))
        r = by_basic(c, &err);
    else if (c->local && local_peer_trusted(c)) {
        c->who = cf_principal_ref(cf_directory_system(d));
        return;
    } else {
        c->cookie = cookie_value(cf_req_header(&c->req, "Cookie"), "cf_session");
        if (!c->cookie.p) {
            err.msg[0] = 0;
        } else {
            c->by_cookie = true;
            r = cf_directory_by_session(d, c->cookie, c->req.peer, &c->who, &err);
        }
    }
    if (r < 0 && strcmp(c->req.route->permission, CF_PERM_PUBLIC) != 0)
        refuse(c, r == CF_EPERM ? 403 : r == CF_EAUTH ? 401 : 503, NULL, "%s", err.msg[0] ? err.msg : "sign-in required");
}

static bool origin_matches(struct cf_req_priv *c)
{
    cf_str origin = cf_req_header(&c->req, "Origin"), host = cf_req_header(&c->req, "Host");
    ptrdiff_t at;

    if (!origin.p)
        return true;
    at = cf_str_find(origin, CF_STR("://"));
    return at > 0 && host.p && cf_str_ieq(cf_str_sub(origin, (size_t)at + 3, origin.n), host);
}

static void check_csrf(struct cf_req_priv *c)
{
    cf_str given = cf_req_header(&c->req, "X-CSRF-Token");
    char want[65];

    if (c->req.route->method == CF_GET)
        return;
    if (!origin_matches(c)) {
        refuse(c, 403, "csrf", "the request comes from another site (Origin does not match Host)");
        c->verdict.audit = c->who != NULL;
        return;
    }
    if (!c->by_cookie || !c->who || strcmp(c->req.route->permission, CF_PERM_PUBLIC) == 0)
        return;
    cf_session_csrf(c->cookie, want);
    if (given.n != 64 || !cf_mem_eq_ct(given.p, want, 64)) {
        refuse(c, 403, "csrf", "the X-CSRF-Token header is missing or wrong; take the value from GET /api/v1/session");
        c->verdict.audit = true;
    }
}

static void check_permission(struct cf_req_priv *c)
{
    const struct cf_route *rt = c->req.route;

    if (strcmp(rt->permission, CF_PERM_PUBLIC) == 0)
        return;
    if (c->who->must_change_password && !(rt->flags & CF_RF_NO_PASSWORD_CHANGE)) {
        refuse(c, 403, "password-change-required", "the password must be changed first: POST /api/v1/session/password");
        return;
    }
    if (c->who->must_set_up_totp && !(rt->flags & CF_RF_NO_TOTP_SETUP)) {
        refuse(c, 403, "totp-setup-required", "a role of this account wants a second factor: set it up first (POST /api/v1/me/totp)");
        return;
    }
    if (strcmp(rt->permission, CF_PERM_SELF) != 0 && !cf_principal_may(c->who, cf_str_c(rt->permission))) {
        refuse(c, 403, NULL, "permission %s is needed", rt->permission);
        c->verdict.audit = true;
    }
}

static void check_body_head(struct cf_req_priv *c)
{
    const struct cf_route *rt = c->req.route;
    cf_str len = cf_req_header(&c->req, "Content-Length"), type = cf_req_header(&c->req, "Content-Type");
    bool has_body = (len.p && !cf_str_eqz(len, "0")) || cf_req_header(&c->req, "Transfer-Encoding").p;
    struct cf_error err = {0};
    uint64_t n;
    int r;

    c->body_max = rt->method == CF_GET ? 0 : (rt->flags & CF_RF_UPLOAD) ? c->http->o.upload_max : c->http->o.body_max;
    if (!has_body)
        return;
    if (rt->flags & CF_RF_STREAM_BODY) {
        r = cf_decoder_new(cf_req_header(&c->req, "Content-Encoding"), &c->decoder, &err);
        if (r < 0)
            refuse(c, r == CF_EUNSUPPORTED ? 415 : 500, NULL, "%s", err.msg);
        return;
    }
    if (cf_req_header(&c->req, "Content-Encoding").p)
        refuse(c, 415, NULL, "Content-Encoding is not supported for this operation");
    else if (len.p && cf_str_u64(len, &n) && n > c->body_max)
        refuse(c, 413, NULL, "the body is larger than %zu bytes", c->body_max);
    else if (rt->method != CF_GET && !(rt->flags & CF_RF_RAW_BODY) && !(type.p && cf_str_istarts(type, CF_STR("application/json"))))
        refuse(c, 415, NULL, "the body must be application/json");
}

static void find_route(struct cf_req_priv *c)
{
    cf_str path = cf_str_c(c->path);

    if (!cf_method_parse(cf_str_c(c->method_text), &c->method)) {
        refuse(c, 405, NULL, "method not known");
        return;
    }
    c->head = cf_str_eqz(cf_str_c(c->method_text), "HEAD");
    c->req.route = cf_route_find(c->method, path, &c->params, &c->route_index, &c->allowed);
    if (c->req.route)
        return;
    if (c->allowed)
        refuse(c, 405, NULL, "this path does not know method %.20s", c->method_text);
    else if (cf_str_starts(path, CF_STR("/api/")) || c->method != CF_GET)
        refuse(c, 404, NULL, "no such operation");
    else
        c->static_file = true;
}

void cf_http_judge(struct cf_req_priv *c)
{
    if (atomic_load(&c->http->stopping)) {
        refuse(c, 503, NULL, "the server is stopping");
        return;
    }
    if (!c->local && !cf_directory_address_allowed(c->http->app->directory, c->req.peer)) {
        refuse(c, 403, NULL, "this address is not allowed to use the platform");
        return;
    }
    find_route(c);
    if (c->verdict.status || c->static_file)
        return;
    sign_in(c);
    if (!c->verdict.status)
        check_permission(c);
    if (!c->verdict.status)
        check_csrf(c);
    if (!c->verdict.status)
        check_body_head(c);
    if (c->verdict.status)
        (void)atomic_fetch_add(&c->http->denied, 1);
}
