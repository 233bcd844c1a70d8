/* SPDX-License-Identifier: Apache-2.0
 * Listeners: sockets, start and stop, and the hand-over to the spool. */
#include "collect/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/socket.h"
#include "collect/listen_int.h"
#include "collect/listen_tls.h"

void listen_peer_ip(const void *sockaddr, struct cf_ip *ret)
{
    const struct sockaddr *sa = sockaddr;

    *ret = (struct cf_ip){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
    if (sa->sa_family == AF_INET)
        memcpy(ret->b + 12, &((const struct sockaddr_in *)sockaddr)->sin_addr, 4);
    else if (sa->sa_family == AF_INET6)
        memcpy(ret->b, &((const struct sockaddr_in6 *)sockaddr)->sin6_addr, 16);
}

void listen_source(struct cf_listener *l, const struct cf_intake *in, const struct cf_ip *ip, struct cf_source_info *ret)
{
    cf_source_find(l->o.sources, ip, ret);
    if (in && !ret->known && in->source[0])
        cf_intake_look(in, l->o.sources, "unknown", ret);
    else if (in)
        cf_intake_fill(in, ret);
}

/* One append of records that fit a frame; waits for room. */
static bool put_frame(struct cf_listener *l, const struct cf_spool_origin *o, const cf_str *recs, size_t n)
{
    struct cf_error err = {0};
    bool waiting = false;
    int r;

    while ((r = cf_spool_append(l->o.spool, o, recs, n, NULL, &err)) == CF_EBUSY || r == CF_EFULL) {
        if (!waiting) {
            waiting = true;
            atomic_fetch_add(&l->paused, 1);
        }
        if (atomic_load(&l->stop))
            break;
        if (!cf_spool_wait_space(l->o.spool, 100) && r == CF_EFULL)
            (void)usleep(20000);
    }
    if (waiting)
        atomic_fetch_sub(&l->paused, 1);
    if (r != 0 && r != CF_EBUSY && r != CF_EFULL)
        cf_log_error("collect", "records not taken", "peer=%.*s reason=\"%s\"", CF_ARG(o->peer), err.msg);
    return r == 0;
}

bool listen_put(struct cf_listener *l, const struct cf_source_info *src, struct cf_counter *counter, cf_str peer, const cf_str *recs, size_t n)
{
    const size_t max = cf_spool_frame_max(l->o.spool);
    struct cf_spool_origin o = {
        .source = cf_str_c(src->source), .format = cf_str_c(src->format[0] ? src->format : "syslog"), .peer = peer,
        .org = cf_str_c(src->org), .key = cf_str_c(src->name), .received_us = cf_now_us(),
    };

    if (!src->enabled || (!src->known && l->o.refuse_unknown)) {
        cf_counter_reject(counter, n);
        atomic_fetch_add(&l->unknown_refused, n);
        return true;
    }
    for (size_t i = 0; i < n;) {
        size_t k = 0, bytes = 0;
        cf_str one;

        while (i + k < n && bytes + recs[i + k].n + 4 <= max)
            bytes += recs[i + k++].n + 4;
        one = cf_str_n(recs[i].p, max - 4);
        if (k == 0 ? !put_frame(l, &o, &one, 1) : !put_frame(l, &o, recs + i, k))
            return false;
        cf_counter_accept(counter, k ? k : 1, k ? bytes - 4 * k : one.n, o.received_us);
        atomic_fetch_add(&l->cut, k == 0);
        i += k ? k : 1;
    }
    return true;
}

/* "host:port" or "[v6]:port" -> bound socket. */
static int bind_socket(const char *listen_on, int type, int *ret_fd, unsigned *ret_port, struct cf_error *reterr)
{
    struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *ai = NULL;
    const char *colon = strrchr(listen_on, ':');
    char host[256] = "";
    size_t len;
    int fd = -1, r = 0, one = 1, gai;

    if (!colon || (size_t)(colon - listen_on) >= sizeof host)
        return cf_error_set(reterr, CF_EINVAL, "listen address \"%s\": write ADDRESS:PORT", listen_on);
    len = (size_t)(colon - listen_on);
    if (len >= 2 && listen_on[0] == '[' && listen_on[len - 1] == ']')
        memcpy(host, listen_on + 1, len - 2);
    else
        memcpy(host, listen_on, len);
    gai = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &ai);
    if (gai != 0)
        return cf_error_set(reterr, CF_EINVAL, "listen address \"%s\": %s", listen_on, gai_strerror(gai));
    fd = socket(ai->ai_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 ||
        (type == SOCK_STREAM && listen(fd, 1024) < 0))
        r = cf_error_errno(reterr, "listening on \"%s\"", listen_on);
    freeaddrinfo(ai);
    if (r < 0) {
        if (fd >= 0)
            (void)close(fd);
        return r;
    }
    *ret_port = cf_socket_port(fd);
    *ret_fd = fd;
    return 0;
}

static void prepare_udp(int fd)
{
    int size = 16 << 20, one = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    (void)setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof one);
}

static int start_udp(struct listen_udp *u, const char *on, struct cf_error *reterr)
{
    int r = bind_socket(on, SOCK_DGRAM, &u->fd, &u->port, reterr);

    if (r < 0)
        return r;
    prepare_udp(u->fd);
    u->on = pthread_create(&u->thread, NULL, listen_udp_main, u) == 0;
    return u->on ? 0 : cf_error_set(reterr, CF_ENOMEM, "listener thread");
}

static int start_flow(struct listen_udp *u, const char *on, struct cf_error *reterr)
{
    u->flow = cf_netflow_new(u->l->o.netflow_templates, u->l->o.netflow_timeout_us);
    return u->flow ? start_udp(u, on, reterr) : cf_error_set(reterr, CF_ENOMEM, "flow listener");
}

static int start_stream(struct listen_stream *s, const char *on, struct cf_error *reterr)
{
    int r = bind_socket(on, SOCK_STREAM, &s->fd, &s->port, reterr);

    if (r < 0)
        return r;
    s->on = pthread_create(&s->thread, NULL, listen_stream_main, s) == 0;
    return s->on ? 0 : cf_error_set(reterr, CF_ENOMEM, "listener thread");
}

/* "udp:0.0.0.0:5514": protocol, then where. */
static int start_more(struct cf_listener *l, struct listen_more *m, struct cf_error *reterr)
{
    static const char *const kinds[] = {"udp:", "flow:", "tcp:", "tls:"};
    const char *on = strchr(m->in.what, ':');
    size_t k = 0;
    int r = 0;

    while (k < 4 && strncmp(m->in.what, kinds[k], strlen(kinds[k])) != 0)
        k++;
    if (k == 4 || !on || m->in.encoding[0])
        return cf_error_set(reterr, CF_EINVAL, "syslog.listeners: \"%s\": write udp:ADDRESS:PORT, tcp:, tls: or flow:, without an encoding", m->in.what);
    m->udp.l = m->stream.l = l;
    m->udp.in = m->stream.in = &m->in;
    if (k < 2)
        return k == 1 ? start_flow(&m->udp, on + 1, reterr) : start_udp(&m->udp, on + 1, reterr);
    if (k == 3)
        r = listen_tls_new(&l->o.tls_options, &m->stream.tls, reterr);
    return r == 0 ? start_stream(&m->stream, on + 1, reterr) : r;
}

static int start_all_more(struct cf_listener *l, const struct cf_listen_options *o, struct cf_error *reterr)
{
    int r = 0;

    l->more = calloc(o->n_more + 1, sizeof *l->more);
    if (!l->more)
        return cf_error_set(reterr, CF_ENOMEM, "listeners");
    for (size_t i = 0; i < o->n_more && r == 0; i++) {
        struct listen_more *m = &l->more[i];

        m->udp.fd = m->stream.fd = -1;
        if (!cf_intake_copy(&m->in, &o->more[i]))
            return cf_error_set(reterr, CF_ENOMEM, "listeners");
        l->n_more++;
        r = start_more(l, m, reterr);
    }
    return r;
}

int cf_listener_start(const struct cf_listen_options *o, struct cf_listener **ret, struct cf_error *reterr)
{
    struct cf_listener *l = calloc(1, sizeof *l);
    int r = 0;

    if (!l)
        return cf_error_set(reterr, CF_ENOMEM, "listeners");
    l->o = *o;
    l->o.line_max = o->line_max ? o->line_max : 1u << 20;
    l->o.connections_max = o->connections_max ? o->connections_max : 4096;
    l->o.tls_options.handshake_us = o->tls_options.handshake_us > 0 ? o->tls_options.handshake_us : 10 * CF_US_PER_S;
    l->udp.fd = l->netflow.fd = l->sflow.fd = l->tcp.fd = l->tls.fd = -1;
    l->udp.l = l->netflow.l = l->sflow.l = l->tcp.l = l->tls.l = l;
    (void)pthread_mutex_init(&l->flow_mu, NULL);
    l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->stop_fd < 0)
        r = cf_error_errno(reterr, "listeners");
    if (r == 0 && o->udp && o->udp[0])
        r = start_udp(&l->udp, o->udp, reterr);
    if (r == 0 && o->netflow && o->netflow[0])
        r = start_flow(&l->netflow, o->netflow, reterr);
    if (r == 0 && o->sflow && o->sflow[0])
        r = start_flow(&l->sflow, o->sflow, reterr);
    if (r == 0 && o->tcp && o->tcp[0])
        r = start_stream(&l->tcp, o->tcp, reterr);
    if (r == 0 && o->tls && o->tls[0]) {
        r = listen_tls_new(&l->o.tls_options, &l->tls.tls, reterr);
        if (r == 0)
            r = start_stream(&l->tls, o->tls, reterr);
    }
    if (r == 0)
        r = start_all_more(l, o, reterr);
    if (r < 0) {
        cf_listener_stop(l);
        return r;
    }
    *ret = l;
    return 0;
}

static void stop_udp(struct listen_udp *u)
{
    if (u->on)
        (void)pthread_join(u->thread, NULL);
    if (u->fd >= 0)
        (void)close(u->fd);
    cf_netflow_free(u->flow);
}

static void stop_stream(struct listen_stream *s)
{
    if (s->on)
        (void)pthread_join(s->thread, NULL);
    if (s->fd >= 0)
        (void)close(s->fd);
    listen_tls_free(s->tls);
}

void cf_listener_stop(struct cf_listener *l)
{
    uint64_t one = 1;

    if (!l)
        return;
    atomic_store(&l->stop, true);
    if (l->stop_fd >= 0 && write(l->stop_fd, &one, sizeof one) < 0)
        cf_log_warn("collect", "stop signal not sent", "errno=%d", errno);
    stop_udp(&l->udp);
    stop_udp(&l->netflow);
    stop_udp(&l->sflow);
    stop_stream(&l->tcp);
    stop_stream(&l->tls);
    for (size_t i = 0; i < l->n_more; i++) {
        stop_udp(&l->more[i].udp);
        stop_stream(&l->more[i].stream);
        cf_intake_release(&l->more[i].in);
    }
    free(l->more);
    (void)pthread_mutex_destroy(&l->flow_mu);
    if (l->stop_fd >= 0)
        (void)close(l->stop_fd);
    free(l);
}

unsigned cf_listener_udp_port(const struct cf_listener *l) { return l->udp.port; }
unsigned cf_listener_tcp_port(const struct cf_listener *l) { return l->tcp.port; }
unsigned cf_listener_netflow_port(const struct cf_listener *l) { return l->netflow.port; }
unsigned cf_listener_sflow_port(const struct cf_listener *l) { return l->sflow.port; }
unsigned cf_listener_tls_port(const struct cf_listener *l) { return l->tls.port; }

static struct cf_stream_stats stream_stats(const struct listen_stream *s)
{
    return (struct cf_stream_stats){
        .connections = atomic_load(&s->connections), .accepted = atomic_load(&s->accepted), .refused = atomic_load(&s->refused),
        .closed_idle = atomic_load(&s->closed_idle), .bad_framing = atomic_load(&s->bad_framing), .handshakes = atomic_load(&s->handshakes),
        .handshake_failed = atomic_load(&s->handshake_failed), .handshake_timeout = atomic_load(&s->handshake_timeout),
    };
}

bool cf_listener_get_more(const struct cf_listener *l, size_t i, struct cf_listener_more *ret)
{
    const struct listen_more *m = &l->more[i < l->n_more ? i : 0];

    if (i >= l->n_more)
        return false;
    *ret = (struct cf_listener_more){
        .in = &m->in, .port = m->udp.port ? m->udp.port : m->stream.port, .datagrams = m->udp.port > 0, .flow = m->udp.flow != NULL,
        .received = atomic_load(&m->udp.received), .dropped = atomic_load(&m->udp.dropped), .stream = stream_stats(&m->stream),
    };
    (void)pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&l->flow_mu);
    ret->flows = m->udp.flow_stats;
    (void)pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&l->flow_mu);
    return true;
}

void cf_listener_get_stats(const struct cf_listener *l, struct cf_listener_stats *ret)
{
    *ret = (struct cf_listener_stats){
        .udp_received = atomic_load(&l->udp.received), .udp_dropped = atomic_load(&l->udp.dropped),
        .flow_received = atomic_load(&l->netflow.received), .flow_dropped = atomic_load(&l->netflow.dropped), .sflow_received = atomic_load(&l->sflow.received), .sflow_dropped = atomic_load(&l->sflow.dropped), .tcp = stream_stats(&l->tcp),
        .tls = stream_stats(&l->tls), .cut = atomic_load(&l->cut), .unknown_refused = atomic_load(&l->unknown_refused),
        .paused = atomic_load(&l->paused) > 0,
    };
    (void)pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&l->flow_mu);
    ret->flow = l->netflow.flow_stats;
    ret->sflow = l->sflow.flow_stats;
    (void)pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&l->flow_mu);
}
