/* SPDX-License-Identifier: Apache-2.0
 * Sockets, connections and the hand-over between I/O threads and workers. See http.h for the drawing. */
#include "api/http.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/http_int.h"
#include "api/http_run.h"
#include "api/sse.h"
#include "base/socket.h"
#include "directory/service.h"

#define PIECE ((size_t)256 * 1024)
#define DISCARD_MAX (UINT64_C(64) << 20) /* bytes read and thrown away so that a refused client still gets its answer */
#define BODY_SECONDS 120                 /* a whole ordinary body must arrive within this */

static void call_free(struct cf_req_priv *c)
{
    if (c->req.state && c->req.state_free)
        c->req.state_free(c->req.state);
    cf_decoder_free(c->decoder);
    cf_principal_unref(c->who);
    json_decref(c->json);
    json_decref(c->field_errors);
    json_decref(c->extra);
    json_decref(c->audit_before);
    json_decref(c->audit_after);
    cf_buf_release(&c->body);
    if (c->response)
        MHD_destroy_response(c->response);
    cf_arena_release(&c->arena);
    free(c);
}

bool cf_req_gone(const struct cf_req *req)
{
    const union MHD_ConnectionInfo *i = req->priv && req->priv->conn ? MHD_get_connection_info(req->priv->conn, MHD_CONNECTION_INFO_CONNECTION_FD) : NULL;
    struct pollfd p = {.fd = i ? i->connect_fd : -1, .events = POLLRDHUP};

    return i && poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void peer_text(struct MHD_Connection *conn, struct cf_req_priv *c)
{
    const union MHD_ConnectionInfo *ci = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct cf_ip ip = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
    char text[46];

    if (c->local || !ci || !ci->client_addr) {
        c->req.peer = CF_STR("local");
        return;
    }
    if (ci->client_addr->sa_family == AF_INET)
        memcpy(ip.b + 12, &((const struct sockaddr_in *)(const void *)ci->client_addr)->sin_addr, 4);
    else if (ci->client_addr->sa_family == AF_INET6)
        memcpy(ip.b, &((const struct sockaddr_in6 *)(const void *)ci->client_addr)->sin6_addr, 16);
    c->req.peer = cf_arena_copy(&c->arena, cf_str_n(text, cf_ip_format(&ip, text)));
}

static struct cf_req_priv *call_new(struct cf_http *h, struct MHD_Connection *conn, const char *url, const char *method, bool local)
{
    struct cf_req_priv *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->http = h;
    c->conn = conn;
    c->local = local;
    cf_arena_init(&c->arena, 16384, (size_t)256 << 20);
    cf_uuid7(c->id);
    c->path = cf_arena_strdup(&c->arena, cf_str_c(url));
    c->method_text = cf_arena_strdup(&c->arena, cf_str_c(method));
    c->req.arena = &c->arena;
    c->req.app = h->app;
    c->req.request_id = c->id;
    c->req.started_us = cf_now_us();
    c->req.priv = c;
    peer_text(conn, c);
    cf_buf_init(&c->body, 0);
    if (!c->path || !c->method_text || !c->req.peer.p) {
        call_free(c);
        return NULL;
    }
    return c;
}

static void job(void *arg)
{
    struct cf_req_priv *c = arg;
    struct cf_http *h = c->http;

    if (c->done)
        cf_http_run(c);
    else
        cf_http_run_piece(c);
    atomic_store(&c->running, false);
    MHD_resume_connection(c->conn); /* the request may be gone after this */
    (void)atomic_fetch_sub(&h->running, 1);
}

/* False while the server stops: the pool may be gone. `running` is raised before `stopping` is looked at, and cf_http_stop
 * sets `stopping` before it waits for `running` to become 0. */
static bool hand_over(struct cf_req_priv *c)
{
    (void)atomic_fetch_add(&c->http->running, 1);
    if (atomic_load(&c->http->stopping)) {
        (void)atomic_fetch_sub(&c->http->running, 1);
        return false;
    }
    atomic_store(&c->running, true);
    MHD_suspend_connection(c->conn);
    (void)cf_pool_run(c->http->pool, job, c);
    return true;
}

static enum MHD_Result on_body_bytes(struct cf_req_priv *c, const char *p, size_t *n)
{
    size_t room, take;

    c->have_body = true;
    c->received += *n;
    if (c->verdict.status || c->body_failed) {
        c->discarded += *n;
        *n = 0;
        return c->discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
    }
    if (c->req.route && (c->req.route->flags & CF_RF_STREAM_BODY)) {
        room = PIECE - c->body.n;
        if (room == 0) { /* nothing is taken, so the server calls again after the worker is done */
            c->received -= *n;
            return hand_over(c) ? MHD_YES : MHD_NO;
        }
        take = *n < room ? *n : room;
        cf_buf_add(&c->body, p, take);
        c->received -= *n - take;
        *n -= take;
        return c->body.failed ? MHD_NO : MHD_YES;
    }
    if (c->body.n + *n > c->body_max) {
        c->verdict.status = 413;
        (void)snprintf(c->verdict.detail, sizeof c->verdict.detail, CF_SAID("the body is larger than %zu bytes"), c->body_max);
        *n = 0;
        return MHD_YES;
    }
    if (cf_now_us() - c->req.started_us > BODY_SECONDS * CF_US_PER_S && !(c->req.route && (c->req.route->flags & CF_RF_UPLOAD)))
        return MHD_NO; /* dripping client */
    cf_buf_add(&c->body, p, *n);
    *n = 0;
    return c->body.failed ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_call(struct cf_http *h, bool local, struct MHD_Connection *conn, const char *url, const char *method,
                               const char *data, size_t *n, void **con)
{
    struct cf_req_priv *c = *con;
    enum MHD_Result ok;

    if (!c) {
        c = call_new(h, conn, url, method, local);
        if (!c)
            return MHD_NO;
        *con = c;
        cf_http_judge(c);
        return MHD_YES;
    }
    if (atomic_load(&c->running))
        return MHD_YES;
    if (*n)
        return on_body_bytes(c, data, n);
    if (!c->response) {
        if (c->done)
            return MHD_NO; /* the worker could not make a reply: no memory */
        c->done = true;
        return hand_over(c) ? MHD_YES : MHD_NO;
    }
    ok = MHD_queue_response(conn, (unsigned)c->status, c->response);
    MHD_destroy_response(c->response);
    c->response = NULL;
    return ok;
}

static enum MHD_Result on_net(void *cls, struct MHD_Connection *conn, const char *url, const char *method, const char *version,
                              const char *data, size_t *n, void **con)
{
    (void)version;
    return on_call(cls, false, conn, url, method, data, n, con);
}

static enum MHD_Result on_local(void *cls, struct MHD_Connection *conn, const char *url, const char *method, const char *version,
                                const char *data, size_t *n, void **con)
{
    (void)version;
    return on_call(cls, true, conn, url, method, data, n, con);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con, enum MHD_RequestTerminationCode why)
{
    struct cf_http *h = cls;
    struct cf_req_priv *c = *con;

    (void)conn;
    if (!c)
        return;
    if (why != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        (void)atomic_fetch_add(&h->requests[0], 1);
    (void)atomic_fetch_add(&h->bytes_in, (unsigned long)c->received);
    *con = NULL;
    call_free(c);
}

__attribute__((format(printf, 2, 0))) static void on_log(void *cls, const char *fmt, va_list ap)
{
    char line[256];

    (void)cls;
    (void)vsnprintf(line, sizeof line, fmt, ap);
    line[strcspn(line, "\n")] = 0;
    cf_log_debug("http", "connection", "why=\"%s\"", line);
}

static int listen_net(const char *where, int *ret_fd, struct cf_error *reterr)
{
    const char *colon = strrchr(where, ':');
    char host[256];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *ai = NULL;
    size_t n = colon ? (size_t)(colon - where) : 0;
    int one = 1, fd, r;

    if (!colon || n >= sizeof host)
        return cf_error_set(reterr, CF_EINVAL, "listen address \"%s\": write ADDRESS:PORT, for instance 127.0.0.1:8443", where);
    memcpy(host, where, n);
    host[n] = 0;
    if (host[0] == '[' && n > 1 && host[n - 1] == ']') {
        memmove(host, host + 1, n - 2);
        host[n - 2] = 0;
    }
    r = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &ai);
    if (r != 0)
        return cf_error_set(reterr, CF_EINVAL, "listen address \"%s\": %s", where, gai_strerror(r));
    fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 1024) < 0) {
        r = cf_error_errno(reterr, "listening on %s", where);
        if (fd >= 0)
            (void)close(fd);
        freeaddrinfo(ai);
        return r;
    }
    freeaddrinfo(ai);
    *ret_fd = fd;
    return 0;
}

static int listen_local(const char *path, int *ret_fd, struct cf_error *reterr)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof sa.sun_path)
        return cf_error_set(reterr, CF_EINVAL, "socket path \"%s\" is longer than %zu bytes: choose a shorter data directory", path, sizeof sa.sun_path - 1);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    (void)unlink(path); /* of a server that was killed; the data directory is locked by us */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || chmod(path, 0600) < 0 || listen(fd, 64) < 0) {
        int r = cf_error_errno(reterr, "administration socket %s", path);
        if (fd >= 0)
            (void)close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int start_net(struct cf_http *h, struct cf_error *reterr)
{
    const struct cf_http_options *o = &h->o;
    struct MHD_OptionItem tls[4] = {{MHD_OPTION_END, 0, NULL}};
    struct cf_buf cert, key;
    int fd = -1, r;

    cf_buf_init(&cert, 1 << 20);
    cf_buf_init(&key, 1 << 20);
    r = listen_net(o->listen, &fd, reterr);
    if (r < 0)
        return r;
    if (o->cert_file) {
        r = cf_file_read(o->cert_file, &cert, reterr);
        if (r == 0)
            r = cf_file_read(o->key_file, &key, reterr);
        if (r < 0)
            goto out;
        static char priorities[] = "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE";
        (void)cf_buf_cstr(&cert);
        (void)cf_buf_cstr(&key);
        tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, cert.p};
        tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, key.p};
        tls[2] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, priorities};
        tls[3] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    }
    h->net = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (o->cert_file ? MHD_USE_TLS : 0), 0,
                              NULL, NULL, on_net, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                              MHD_OPTION_THREAD_POOL_SIZE, 2u, MHD_OPTION_CONNECTION_LIMIT, o->connections_max,
                              MHD_OPTION_PER_IP_CONNECTION_LIMIT, o->connections_per_address, MHD_OPTION_CONNECTION_TIMEOUT, o->idle_timeout_s,
                              MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)65536, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED,
                              on_completed, h, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (!h->net) {
        (void)close(fd);
        r = cf_error_set(reterr, CF_EIO, "the HTTP server did not start on %s%s", o->listen, o->cert_file ? ": check the certificate and key files" : "");
    }
out:
    if (key.p)
        explicit_bzero(key.p, key.n);
    cf_buf_release(&cert);
    cf_buf_release(&key);
    return r;
}

static int start_local(struct cf_http *h, struct cf_error *reterr)
{
    int fd = -1, r = listen_local(h->o.socket_path, &fd, reterr);

    if (r < 0)
        return r;
    h->local = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_local, h,
                                MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, 64u,
                                MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)65536, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_END);
    if (!h->local) {
        (void)close(fd);
        return cf_error_set(reterr, CF_EIO, "the administration socket did not start");
    }
    return 0;
}

int cf_http_start(const struct cf_http_options *o, struct cf_http **ret, struct cf_error *reterr)
{
    struct cf_http *h = calloc(1, sizeof *h);
    int r = 0;

    if (!h)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the HTTP server");
    h->o = *o;
    h->app = o->app;
    h->pool = cf_pool_new(o->workers, o->connections_max + 256u, "http");
    h->files = cf_static_open(o->web_dir);
    if (!h->pool || !h->files) {
        cf_http_stop(h);
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the HTTP server");
    }
    *ret = h; /* before the first request can come: handlers read it */
    if (o->listen)
        r = start_net(h, reterr);
    if (r == 0 && o->socket_path)
        r = start_local(h, reterr);
    if (r < 0) {
        *ret = NULL;
        cf_http_stop(h);
    }
    return r;
}

unsigned cf_http_port(const struct cf_http *h)
{
    const union MHD_DaemonInfo *di = h->net ? MHD_get_daemon_info(h->net, MHD_DAEMON_INFO_LISTEN_FD) : NULL;

    return di ? cf_socket_port(di->listen_fd) : 0;
}

void cf_http_stop(struct cf_http *h)
{
    if (!h)
        return;
    atomic_store(&h->stopping, true);
    if (h->app && h->app->hub)
        cf_hub_close(h->app->hub);
    while (atomic_load(&h->running)) /* every suspended connection is resumed by its worker */
        (void)usleep(1000);
    if (h->pool)
        cf_pool_free(h->pool);
    if (h->net)
        MHD_stop_daemon(h->net);
    if (h->local) {
        MHD_stop_daemon(h->local);
        (void)unlink(h->o.socket_path);
    }
    cf_static_free(h->files);
    free(h);
}
