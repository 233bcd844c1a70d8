/* SPDX-License-Identifier: Apache-2.0
 * What handlers ask of a request. */
#include <stdio.h>

#include "api/http_int.h"

cf_str cf_req_path(const struct cf_req *req, const char *name)
{
    const struct cf_path_params *p = &req->priv->params;

    for (size_t i = 0; i < p->n; i++) {
        if (cf_str_eqz(p->name[i], name))
            return p->value[i];
    }
    return CF_STR_NONE;
}

cf_str cf_req_query(const struct cf_req *req, const char *name)
{
    const char *v = NULL;
    size_t n = 0;

    if (MHD_lookup_connection_value_n(req->priv->conn, MHD_GET_ARGUMENT_KIND, name, strlen(name), &v, &n) != MHD_YES || !v)
        return CF_STR_NONE;
    return cf_str_n(v, n);
}

cf_str cf_req_header(const struct cf_req *req, const char *name)
{
    return cf_str_c(MHD_lookup_connection_value(req->priv->conn, MHD_HEADER_KIND, name));
}

int cf_req_query_i64(const struct cf_req *req, const char *name, int64_t def, int64_t min, int64_t max, int64_t *ret, struct cf_error *reterr)
{
    cf_str s = cf_req_query(req, name);
    int64_t v = def;

    if (s.p && (!cf_str_i64(s, &v) || v < min || v > max)) {
        (void)cf_req_field_error(req->priv ? &req->priv->req : NULL, name, "must be a number from %lld to %lld", (long long)min, (long long)max);
        return cf_error_set(reterr, CF_EINVAL, "%s must be a number from %lld to %lld", name, (long long)min, (long long)max);
    }
    *ret = v;
    return 0;
}

int(cf_req_field_error)(struct cf_req *req, const char *field, const char *fmt, ...)
{
    struct cf_req_priv *c = req->priv;
    char msg[300];
    va_list ap;
    json_t *e;

    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    if (!c->field_errors)
        c->field_errors = json_array();
    e = json_pack("{s:s,s:s}", "field", field, "message", msg);
    if (e && json_array_size(c->field_errors) < 50)
        (void)json_array_append_new(c->field_errors, e);
    else
        json_decref(e);
    return CF_EINVAL;
}

void cf_req_problem(struct cf_req *req, const char *key, json_t *takes)
{
    struct cf_req_priv *c = req->priv;

    if (!c->extra)
        c->extra = json_object();
    (void)json_object_set_new(c->extra, key, takes);
}

void cf_req_audit(struct cf_req *req, const char *object, json_t *before, json_t *after)
{
    struct cf_req_priv *c = req->priv;

    if (object)
        (void)snprintf(c->audit_object, sizeof c->audit_object, "%s", object);
    json_decref(c->audit_before);
    json_decref(c->audit_after);
    c->audit_before = before ? json_deep_copy(before) : NULL;
    c->audit_after = after ? json_deep_copy(after) : NULL;
}
