/* SPDX-License-Identifier: Apache-2.0
 * What a worker does with a request: body, checks, handler, audit. */
#include "api/http_run.h"

#include <stdio.h>

#include "api/schema.h"
#include "audit/audit.h"

static int piece_out(void *ctx, cf_str piece, struct cf_error *reterr)
{
    struct cf_req_priv *c = ctx;

    return c->req.route->on_body(&c->req, piece, reterr);
}

void cf_http_run_piece(struct cf_req_priv *c)
{
    cf_str in = cf_buf_view(&c->body);
    int r;

    if (c->body_failed || c->verdict.status || in.n == 0)
        return;
    c->req.who = c->who;
    r = c->decoder ? cf_decoder_feed(c->decoder, in, piece_out, c, &c->body_err) : piece_out(c, in, &c->body_err);
    if (r < 0) {
        c->body_failed = true;
        c->body_err.code = r;
    }
    cf_buf_clear(&c->body);
}

static void field_fault(void *ctx, const char *field, const char *message)
{
    (void)cf_req_field_error(ctx, field, "%s", message);
}

static enum MHD_Result query_param(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct cf_req_priv *c = cls;

    (void)kind;
    cf_schema_query_add(cf_routes_schema(c->route_index), c->json, key, cf_str_c(value ? value : ""));
    return MHD_YES;
}

/* Parses body or query and checks it. 0 or CF_E... with field errors or *reterr. */
static int check_input(struct cf_req_priv *c, struct cf_error *reterr)
{
    const struct cf_route *rt = c->req.route;
    json_t *schema = cf_routes_schema(c->route_index);
    json_error_t je = {0};

    c->req.body = cf_buf_view(&c->body);
    if (rt->method == CF_GET) {
        if (!schema)
            return 0;
        c->json = json_object();
        (void)MHD_get_connection_values(c->conn, MHD_GET_ARGUMENT_KIND, query_param, c);
    } else {
        if (rt->flags & (CF_RF_RAW_BODY | CF_RF_STREAM_BODY))
            return 0;
        if (c->body.n == 0)
            c->json = json_object();
        else
            c->json = json_loadb(c->body.p, c->body.n, JSON_REJECT_DUPLICATES, &je);
        if (!c->json)
            return cf_error_set(reterr, CF_ESYNTAX, "the body is not JSON: line %d, column %d: %s", je.line, je.column, je.text);
        if (!json_is_object(c->json))
            return cf_error_set(reterr, CF_ESYNTAX, "the body must be a JSON object");
    }
    c->req.json = c->json;
    if (schema && !cf_schema_check(schema, c->json, field_fault, &c->req))
        return cf_error_set(reterr, CF_EINVAL, json_array_size(c->field_errors) == 1 ? "%zu field is not as expected" : "%zu fields are not as expected", json_array_size(c->field_errors));
    return 0;
}

static int run_handler(struct cf_req_priv *c, struct cf_error *reterr)
{
    const struct cf_route *rt = c->req.route;
    int r;

    if (rt->flags & CF_RF_STREAM_BODY) {
        cf_http_run_piece(c);
        if (!c->body_failed && c->decoder && (r = cf_decoder_end(c->decoder, &c->body_err)) < 0) {
            c->body_failed = true;
            c->body_err.code = r;
        }
        if (c->body_failed) {
            *reterr = c->body_err;
            return c->body_err.code;
        }
    }
    r = check_input(c, reterr);
    return r < 0 ? r : rt->handler(&c->req, reterr);
}

static void drop_response(struct cf_req_priv *c)
{
    if (c->response)
        MHD_destroy_response(c->response);
    c->response = NULL;
}

static bool is_change(const struct cf_req_priv *c)
{
    const struct cf_route *rt = c->req.route;

    if (!rt || c->audit_off)
        return false;
    if (rt->method == CF_GET)
        return (rt->flags & CF_RF_SENSITIVE) != 0;
    return !(rt->flags & CF_RF_NO_AUDIT);
}

static int audit(struct cf_req_priv *c, const char *result, struct cf_error *reterr)
{
    char action[160];
    struct cf_audit_entry e = {
        .peer = c->req.peer, .request_id = cf_str_c(c->id), .result = cf_str_c(result), .object = cf_str_c(c->audit_object),
        .before = c->audit_before, .after = c->audit_after,
    };

    (void)snprintf(action, sizeof action, "%s %s", cf_method_name(c->req.route->method), c->req.route->path);
    e.action = cf_str_c(action);
    if (!c->audit_object[0] && c->params.n)
        e.object = c->params.value[0];
    if (c->who) {
        e.user_id = c->who->user_id;
        e.user_name = c->who->user_name;
        e.org_id = c->who->org_id;
    }
    return cf_audit_write(c->http->app->audit, &e, reterr);
}

static void count(struct cf_req_priv *c)
{
    static const int64_t bound_us[] = {1000, 5000, 10000, 25000, 50000, 100000, 200000, 500000, 2000000};
    struct cf_http *h = c->http;
    int64_t us = cf_now_us() - c->req.started_us;
    int class = c->status / 100;

    if (class >= 1 && class <= 5)
        (void)atomic_fetch_add(&h->requests[class], 1);
    if (c->status >= 500)
        cf_log_error("http", "request failed", "id=%s method=%s path=\"%.200s\" status=%d", c->id, c->method_text, c->path, c->status);
    if (us < 0)
        us = 0;
    (void)atomic_fetch_add(&h->duration_us, (unsigned long)us);
    for (size_t i = 0; i < sizeof bound_us / sizeof *bound_us; i++) {
        if (us <= bound_us[i]) {
            (void)atomic_fetch_add(&h->bucket[i], 1);
            return;
        }
    }
    (void)atomic_fetch_add(&h->bucket[9], 1);
}

void cf_http_run(struct cf_req_priv *c)
{
    struct cf_error err = {0}, aerr = {0};
    char result[300] = "ok";
    int r = 0;

    c->req.who = c->who;
    if (c->verdict.status) {
        cf_http_problem(c, c->verdict.status, c->verdict.type, c->verdict.detail);
        (void)snprintf(result, sizeof result, "denied: %s", c->verdict.detail);
        if (c->verdict.audit && c->req.route && is_change(c) && (r = audit(c, result, &aerr)) < 0)
            cf_log_error("audit", "an entry was not written", "id=%s why=\"%s\"", c->id, aerr.msg);
    } else if (c->static_file)
        cf_static_reply(c->http->files, c);
    else {
        r = run_handler(c, &err);
        if (r < 0) {
            int status = cf_http_status_of(r);

            drop_response(c);
            /* what went wrong inside goes to the log, not to the network */
            cf_http_problem(c, status, NULL, status == 500 && !c->local ? "something went wrong inside; the log has it under this request's id"
                                            : err.msg[0] && err.code    ? err.msg
                                                                        : cf_err_text(r));
            (void)snprintf(result, sizeof result, "failed: %.260s", err.msg[0] ? err.msg : cf_err_text(r));
            if (status >= 500)
                cf_log_error("http", "handler failed", "id=%s path=\"%.200s\" why=\"%s\"", c->id, c->path, err.msg);
        } else if (!c->response)
            cf_reply_empty(&c->req, 204);
        if (is_change(c) && audit(c, result, &aerr) < 0) {
            cf_log_error("audit", "an entry was not written", "id=%s why=\"%s\"", c->id, aerr.msg);
            drop_response(c);
            cf_http_problem(c, 500, NULL, "the change was made, but the audit entry could not be written; tell the administrator");
        }
    }
    if (c->response)
        cf_http_finish_headers(c);
    count(c);
}
