/* SPDX-License-Identifier: Apache-2.0
 * The HTTP(S) server over the route table (libmicrohttpd, epoll). Connections are served by a few I/O threads; handlers run
 * in a pool of workers while their connection is suspended, so a slow query never holds up another connection.
 *
 *   I/O thread: head -> route, sign-in, permission, CSRF, limits -> body -> suspend
 *   worker:     parse, schema, handler, audit, reply                     -> resume -> I/O thread sends
 */
#ifndef CF_API_HTTP_H
#define CF_API_HTTP_H

#include "app/app.h"
#include "api/route.h"

struct cf_http;
struct cf_http_options {
    struct cf_app *app;
    const char *listen;       /* "127.0.0.1:8443", "[::]:8443" */
    const char *socket_path;  /* unix socket for administration, NULL: none */
    const char *cert_file, *key_file; /* PEM; NULL: plain HTTP */
    const char *web_dir;      /* built console, NULL: none */
    size_t workers;           /* handler threads */
    size_t body_max, upload_max;
    unsigned connections_max, connections_per_address;
    unsigned idle_timeout_s;
};
int cf_http_start(const struct cf_http_options *o, struct cf_http **ret, struct cf_error *reterr);
unsigned cf_http_port(const struct cf_http *h); /* the port really bound (listen may say 0) */
/* Ends streams, lets running requests finish, closes. NULL is fine. */
void cf_http_stop(struct cf_http *h);

/* Extra lines for GET /metrics (Prometheus text). Called at scrape; register at start. */
typedef void (*cf_metrics_fn)(struct cf_app *app, struct cf_buf *out);
void cf_metrics_add(cf_metrics_fn fn);
/* GET /readyz says 503 with the text while a check returns one; NULL: ready. */
typedef const char *(*cf_ready_fn)(struct cf_app *app);
void cf_ready_add(cf_ready_fn fn);

void cf_api_routes(void);      /* health, metrics, OpenAPI, settings, stream */

#endif
