/* SPDX-License-Identifier: Apache-2.0
 * Private to src/api: one request on its way through the server. */
#ifndef CF_API_HTTP_INT_H
#define CF_API_HTTP_INT_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "api/http.h"
#include "api/router.h"

struct cf_decoder;
struct cf_static;

struct cf_http {
    struct cf_http_options o;
    struct cf_app *app;
    struct MHD_Daemon *net, *local;
    struct cf_pool *pool;
    struct cf_static *files;
    int local_fd;
    atomic_bool stopping;
    atomic_uint running;            /* jobs queued or running */
    atomic_ulong requests[6];       /* by status class 1xx..5xx, [0] aborted */
    atomic_ulong bytes_in, errors_5xx, denied;
    atomic_ulong duration_us, bucket[10]; /* latency histogram */
    char cert_fingerprint[65];
};

/* The decision on the request's head, before the body is read. */
struct cf_verdict {
    int status;          /* 0: go on */
    int code;            /* CF_E... */
    char detail[240];
    const char *type;    /* tail of the problem's type URI, NULL: about:blank */
    bool audit;          /* a refused change is worth an entry */
};

struct cf_req_priv {
    struct cf_http *http;
    struct MHD_Connection *conn;
    struct cf_arena arena;
    struct cf_req req;
    char id[37];
    enum cf_method method;
    bool head, local, static_file;
    const char *method_text, *path; /* path: decoded, NUL-terminated, in arena */
    size_t route_index;
    unsigned allowed;               /* methods bits for 405 */
    struct cf_path_params params;
    const struct cf_principal *who; /* a reference */
    bool by_cookie;
    cf_str cookie;
    struct cf_verdict verdict;

    struct cf_buf body;             /* collected, or the piece being filled */
    size_t body_max;
    uint64_t received, discarded;
    struct cf_decoder *decoder;
    struct cf_error body_err;       /* of on_body or the decoder */
    bool body_failed;

    atomic_bool running;            /* a job has it; the connection is suspended */
    bool done, have_body;
    json_t *json;                   /* owns req.json */
    json_t *field_errors, *extra;   /* of a problem document */
    char audit_object[128];
    json_t *audit_before, *audit_after;
    bool audit_off;
    int status;
    struct MHD_Response *response;
    struct { char name[64], value[512]; } header[8];
    size_t n_headers;
};

/* http_auth.c */
void cf_http_judge(struct cf_req_priv *c); /* fills verdict, who */
/* http_reply.c */
/* Texts for people in a reply (members detail, title, message, reason, error, at any depth) in the language of the request: Chinese
 * when it asks for it, else as they are. */
void cf_http_tell(struct cf_req_priv *c, json_t *o);
void cf_http_problem(struct cf_req_priv *c, int status, const char *type, const char *detail);
int cf_http_status_of(int code);
const char *cf_http_status_text(int status);
void cf_http_finish_headers(struct cf_req_priv *c);
void cf_http_reply_memory(struct cf_req_priv *c, int status, const char *type, char *malloced, size_t n);
void cf_http_reply_static(struct cf_req_priv *c, int status, const char *type, const void *lives, size_t n);
/* static.c */
struct cf_static *cf_static_open(const char *dir);
void cf_static_free(struct cf_static *s);
void cf_static_reply(struct cf_static *s, struct cf_req_priv *c);
/* decode.c: Content-Encoding of request bodies */
int cf_decoder_new(cf_str encoding, struct cf_decoder **ret, struct cf_error *reterr); /* identity: *ret NULL and 0 */
void cf_decoder_free(struct cf_decoder *d);
/* Calls out with decoded pieces (256 KiB or less). CF_ESYNTAX on damaged input. */
int cf_decoder_feed(struct cf_decoder *d, cf_str in, int (*out)(void *ctx, cf_str piece, struct cf_error *reterr), void *ctx, struct cf_error *reterr);
int cf_decoder_end(struct cf_decoder *d, struct cf_error *reterr); /* CF_ESYNTAX when the input was cut off */
/* openapi.c, system_routes.c */
int cf_openapi_handler(struct cf_req *req, struct cf_error *reterr);
/* sse.c */
void cf_sse_reply(struct cf_req_priv *c);

#endif
