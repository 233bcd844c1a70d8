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
#define CF_RF_STREAM_BODY 32u /* body of any size, handed to on_body piece by piece, never whole in memory */
#define CF_RF_LIST 64u       /* documents limit, cursor, sort, filter in OpenAPI */
#define CF_RF_BASIC 512u              /* an API token may also come as the password of HTTP basic authentication (any name) */
#define CF_RF_NO_TOTP_SETUP 256u      /* allowed while the second factor that a role wants must still be set up */
#define CF_RF_NO_PASSWORD_CHANGE 128u /* allowed while the first password must still be changed */

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
    const char *scope;       /* "org", "region", "all", "self" for x-scope; NULL: "org" (rows inside the caller's scope) */
    /* CF_RF_STREAM_BODY: called in order on a worker thread with the next bytes, Content-Encoding gzip|zstd already undone,
     * 256 KiB or less at a time; sign-in, permission and CSRF were checked before. The handler runs after the last piece.
     * An error ends the upload and becomes the reply. Keep what you need in req->state. */
    int (*on_body)(struct cf_req *req, cf_str piece, struct cf_error *reterr);
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
    void *state;                         /* the handler's own (on_body); freed by state_free when the request ends in any way */
    void (*state_free)(void *state);
    struct cf_req_priv *priv;            /* the server's own */
};
cf_str cf_req_path(const struct cf_req *req, const char *name);   /* {id} */
cf_str cf_req_query(const struct cf_req *req, const char *name);  /* ?limit=; .p NULL when absent */
cf_str cf_req_header(const struct cf_req *req, const char *name);
/* Query parameter as number within bounds; absent: def. CF_EINVAL with a field error otherwise. */
int cf_req_query_i64(const struct cf_req *req, const char *name, int64_t def, int64_t min, int64_t max, int64_t *ret, struct cf_error *reterr);

/* True once the caller has closed the connection: nobody waits for the answer. Any thread may ask while the handler runs. */
bool cf_req_gone(const struct cf_req *req);

void cf_reply_json(struct cf_req *req, int status, json_t *takes);
void cf_reply_bytes(struct cf_req *req, int status, const char *content_type, struct cf_buf *takes);
void cf_reply_file(struct cf_req *req, const char *path, const char *content_type, const char *download_name); /* NULL name: inline */
void cf_reply_fd(struct cf_req *req, int takes_fd, uint64_t size, const char *content_type, const char *download_name); /* e.g. an unlinked temporary file */
void cf_reply_empty(struct cf_req *req, int status);              /* 204 */
void cf_reply_header(struct cf_req *req, const char *name, const char *value);
/* Adds one entry to errors[] of the problem document and returns CF_EINVAL. */
int cf_req_field_error(struct cf_req *req, const char *field, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* What the audit entry says beside method, path, who: object id and before/after (borrowed, copied). */
void cf_req_audit(struct cf_req *req, const char *object, json_t *before, json_t *after);

/* Extra member of the problem document when the handler fails ({"otp_required":true}). Takes value. */
void cf_req_problem(struct cf_req *req, const char *key, json_t *takes);

/* Messages in a reply that is no problem document (members message, reason, error and result, at any depth), told in the language of the
 * request, for cf_reply_json. Takes and returns j. */
json_t *cf_req_tell(struct cf_req *req, json_t *takes);

/* Standard list reply: {"items":[...],"next":cursor|null,"total":N}. Takes items. */
void cf_reply_list(struct cf_req *req, json_t *items, const char *next, int64_t total);

#ifdef __clang_analyzer__
#define cf_req_field_error(req, field, ...) ((void)(cf_req_field_error)((req), (field), __VA_ARGS__), CF_EINVAL) /* see base/error.h */
#endif
#endif
