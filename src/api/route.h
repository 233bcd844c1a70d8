/* SPDX-License-Identifier: Apache-2.0
 * The route table. Each module registers its rows; OpenAPI, authorisation, the audit trail, the request checks and the
 * permission-matrix test all read them. A route without permission does not exist: public ones say CF_PERM_PUBLIC. */
#ifndef CF_API_ROUTE_H
#define CF_API_ROUTE_H

#include <jansson.h>

#include "base/base.h"
#include "directory/directory.h"

enum cf_method { CF_GET, CF_POST, CF_PUT, CF_PATCH, CF_DELETE };
#define CF_PERM_PUBLIC "public"       /* no sign-in: session, health, OpenAPI, static files */
#define CF_PERM_SELF "self"           /* any signed-in person, about himself */

#define CF_RF_RAW_BODY 1u    /* handler reads req->body itself (any type); otherwise the body must be JSON */
#define CF_RF_STREAM 2u      /* server-sent events: see cf_sse.h */
#define CF_RF_UPLOAD 4u      /* body up to the upload limit (default 50 MiB) instead of 1 MiB */
#define CF_RF_NO_AUDIT 8u    /* a POST that changes nothing (searches) */
#define CF_RF_SENSITIVE 16u  /* a GET that is audited (exports, raw data) */

struct cf_req;
/* Returns 0 when the reply was set by cf_reply_*, or a CF_E... with *reterr filled: the server turns it into a problem
 * document (SYNTAX/INVAL/LIMIT 400, AUTH 401, PERM 403, NOENT 404, CONFLICT/EXIST 409, BUSY 429, FULL 507, DB/IO/.. 500). */
typedef int (*cf_handler)(struct cf_req *req, struct cf_error *reterr);

struct cf_route {
    enum cf_method method;
    const char *path;        /* "/api/v1/alerts/{id}" */
    const char *permission;  /* "alert.read" */
    cf_handler handler;
    unsigned flags;
    const char *request;     /* JSON Schema of the body or, for GET, of the query parameters (one line of JSON); NULL: none */
    const char *reply;       /* JSON Schema of the reply; NULL: undocumented object */
    const char *doc;         /* one sentence */
};
void cf_routes_add(const struct cf_route *rows, size_t n); /* at start, before the server runs; rows live for ever */
size_t cf_routes_count(void);
const struct cf_route *cf_routes_get(size_t i);

struct cf_req {
    struct cf_arena *arena;              /* request lifetime */
    const struct cf_route *route;
    const struct cf_principal *who;      /* NULL on public routes without session */
    void *app;                           /* struct cf_app of the server: stores and engines */
    cf_str peer;                         /* address of the caller */
    cf_str body;                         /* raw bytes (RAW_BODY, UPLOAD) */
    json_t *json;                        /* parsed body, borrowed; checked against route->request */
    const char *request_id;
    int64_t started_us;
    struct cf_req_priv *priv;            /* the server's own */
};
cf_str cf_req_path(const struct cf_req *req, const char *name);   /* {id} */
cf_str cf_req_query(const struct cf_req *req, const char *name);  /* ?limit=; .p NULL when absent */
cf_str cf_req_header(const struct cf_req *req, const char *name);
/* Query parameter as number within bounds; absent: def. CF_EINVAL with a field error otherwise. */
int cf_req_query_i64(const struct cf_req *req, const char *name, int64_t def, int64_t min, int64_t max, int64_t *ret, struct cf_error *reterr);

void cf_reply_json(struct cf_req *req, int status, json_t *takes);
void cf_reply_bytes(struct cf_req *req, int status, const char *content_type, struct cf_buf *takes);
void cf_reply_file(struct cf_req *req, const char *path, const char *content_type, const char *download_name); /* NULL name: inline */
void cf_reply_header(struct cf_req *req, const char *name, const char *value);
/* Adds one entry to errors[] of the problem document and returns CF_EINVAL. */
int cf_req_field_error(struct cf_req *req, const char *field, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* What the audit entry says beside method, path, who: object id and before/after (borrowed, copied). */
void cf_req_audit(struct cf_req *req, const char *object, json_t *before, json_t *after);

/* Standard list reply: {"items":[...],"next":cursor|null,"total":N}. Takes items. */
void cf_reply_list(struct cf_req *req, json_t *items, const char *next, int64_t total);

#endif
