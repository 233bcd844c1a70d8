/* SPDX-License-Identifier: Apache-2.0
 * Syslog over TCP and TLS: one thread a port, epoll. A connection owns memory only for an unfinished record (and what OpenSSL
 * needs for a session); an idle one owns none. TLS handshakes are steps of the same loop: a slow peer holds nobody up.
 *
 *   accept -> [handshaking -> READ/WRITE steps, given up after handshake_us] -> readable: read, cut, hand over -> end */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collect/framing.h"
#include "collect/listen_int.h"
#include "collect/listen_tls.h"

#define READ_SIZE ((size_t)256 * 1024)
#define RECS 4096
#define SWEEP_US (5 * CF_US_PER_S)

struct conn {
    int fd;
    struct conn *prev, *next;
    SSL *ssl;             /* TLS only */
    bool shaking;         /* the handshake is not over */
    bool ready;           /* is in the ready list: there is more to read in OpenSSL's buffer */
    struct conn *next_ready;
    uint32_t events;      /* what epoll waits for */
    int64_t since_us;
    struct cf_framing framing;
    char *rest; /* unfinished record */
    size_t rest_n, rest_cap;
    int64_t last_us, looked_us;
    struct cf_ip ip;
    char peer[46];
    size_t peer_n;
    struct cf_source_info info;
    struct cf_counter *counter;
};
struct tcp {
    struct listen_stream *s;
    struct cf_listener *l;
    int ep;
    struct conn *all, *ready;
    char *scratch; /* READ_SIZE + line_max + 64 */
    size_t scratch_size;
    cf_str rec[RECS];
    int64_t swept_us, accept_again_us;
};

static void conn_close(struct tcp *t, struct conn *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        t->all = c->next;
    if (c->next)
        c->next->prev = c->prev;
    for (struct conn **p = &t->ready; c->ready && *p; p = &(*p)->next_ready)
        if (*p == c) {
            *p = c->next_ready;
            break;
        }
    listen_tls_close(c->ssl);
    (void)close(c->fd);
    free(c->rest);
    free(c);
    atomic_fetch_sub(&t->s->connections, 1);
}

static void look_up(struct tcp *t, struct conn *c, int64_t now)
{
    if (c->counter && now - c->looked_us < CF_US_PER_S)
        return;
    c->looked_us = now;
    listen_source(t->l, t->s->in, &c->ip, &c->info);
    c->counter = cf_counters_get(t->l->o.counters, cf_str_c(c->info.name), cf_str_c(c->info.org));
}

static void accept_one(struct tcp *t, int fd, const struct sockaddr_storage *sa)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP};
    struct conn *c;

    if (atomic_load(&t->s->connections) >= t->l->o.connections_max || !(c = calloc(1, sizeof *c))) {
        atomic_fetch_add(&t->s->refused, 1);
        (void)close(fd);
        return;
    }
    if (t->s->tls) {
        c->shaking = true;
        c->ssl = listen_tls_accept(t->s->tls, fd);
        if (!c->ssl) {
            atomic_fetch_add(&t->s->refused, 1);
            (void)close(fd);
            free(c);
            return;
        }
    }
    c->events = ev.events;
    c->fd = fd;
    c->framing.max = t->l->o.line_max;
    c->last_us = c->since_us = cf_mono_us();
    listen_peer_ip(sa, &c->ip);
    c->peer_n = cf_ip_format(&c->ip, c->peer);
    c->next = t->all;
    if (t->all)
        t->all->prev = c; /* NOLINT(clang-analyzer-unix.Malloc): a freed connection has left the list (conn_close); the analyser takes prev and all apart */
    t->all = c;
    atomic_fetch_add(&t->s->connections, 1);
    atomic_fetch_add(&t->s->accepted, 1);
    ev.data.ptr = c;
    if (epoll_ctl(t->ep, EPOLL_CTL_ADD, fd, &ev) < 0)
        conn_close(t, c);
}

static void accept_all(struct tcp *t)
{
    for (int i = 0; i < 256; i++) {
        struct sockaddr_storage sa;
        socklen_t n = sizeof sa;
        int fd = accept4(t->s->fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                cf_log_warn("collect", "no more connections can be opened", "errno=%d", errno);
                (void)usleep(10000);
            }
            return;
        }
        accept_one(t, fd, &sa);
    }
}

static bool keep_rest(struct conn *c, const char *p, size_t n)
{
    if (n == 0) {
        free(c->rest);
        c->rest = NULL;
        c->rest_n = c->rest_cap = 0;
        return true;
    }
    if (n > c->rest_cap) {
        size_t cap = n < 4096 ? 4096 : n + n / 2;
        char *q = malloc(cap);

        if (!q)
            return false;
        memcpy(q, p, n);
        free(c->rest);
        c->rest = q;
        c->rest_cap = cap;
    } else if (p != c->rest) {
        memmove(c->rest, p, n);
    }
    c->rest_n = n;
    return true;
}

/* Cuts and hands over. False: the connection ends. */
static bool take(struct tcp *t, struct conn *c, const char *p, size_t n)
{
    size_t k, used, at = 0;
    uint64_t cut = c->framing.cut;
    int r;

    do {
        r = cf_framing_next(&c->framing, p + at, n - at, t->rec, RECS, &k, &used);
        if (k && !listen_put(t->l, &c->info, c->counter, cf_str_n(c->peer, c->peer_n), t->rec, k))
            return false;
        at += used;
    } while (r == 0 && used > 0 && at < n);
    atomic_fetch_add(&t->l->cut, c->framing.cut - cut);
    if (r < 0) {
        atomic_fetch_add(&t->s->bad_framing, 1);
        cf_counter_reject(c->counter, 1);
        cf_log_warn("collect", "octet count expected, closing the connection", "peer=%.*s", (int)c->peer_n, c->peer);
        return false;
    }
    return keep_rest(c, p + at, n - at);
}

static void finish(struct tcp *t, struct conn *c)
{
    cf_str last;

    if (cf_framing_end(&c->framing, c->rest, c->rest_n, &last)) {
        look_up(t, c, cf_mono_us());
        (void)listen_put(t->l, &c->info, c->counter, cf_str_n(c->peer, c->peer_n), &last, 1);
    }
    conn_close(t, c);
}

static void wait_for(struct tcp *t, struct conn *c, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};

    if (c->events != events && epoll_ctl(t->ep, EPOLL_CTL_MOD, c->fd, &ev) == 0)
        c->events = events;
}

/* One step of the handshake. True: it is over and the connection is there to be read. */
static bool shake(struct tcp *t, struct conn *c)
{
    char reason[200] = "";

    switch (listen_tls_handshake(c->ssl, reason)) {
    case LISTEN_TLS_READ: wait_for(t, c, EPOLLIN | EPOLLRDHUP); return false;
    case LISTEN_TLS_WRITE: wait_for(t, c, EPOLLOUT | EPOLLRDHUP); return false;
    case LISTEN_TLS_DONE:
        c->shaking = false;
        atomic_fetch_add(&t->s->handshakes, 1);
        wait_for(t, c, EPOLLIN | EPOLLRDHUP);
        return true;
    case LISTEN_TLS_FAILED: break;
    }
    atomic_fetch_add(&t->s->handshake_failed, 1);
    look_up(t, c, cf_mono_us());
    cf_counter_reject(c->counter, 1); /* whatever it wanted to send */
    cf_log_warn("collect", "TLS handshake failed", "peer=%.*s reason=\"%s\"", (int)c->peer_n, c->peer, reason);
    conn_close(t, c);
    return false;
}

static ssize_t read_some(struct tcp *t, struct conn *c, char *p, size_t n)
{
    bool more = false;
    ssize_t got;

    if (!c->ssl) {
        got = recv(c->fd, p, n, 0);
        return got < 0 && (errno == EAGAIN || errno == EINTR) ? -1 : got < 0 ? 0 : got;
    }
    got = listen_tls_read(c->ssl, p, n, &more);
    if (got > 0 && more && !c->ready) {
        c->ready = true;
        c->next_ready = t->ready;
        t->ready = c;
    }
    return got;
}

static void on_readable(struct tcp *t, struct conn *c)
{
    int64_t now = cf_mono_us();
    ssize_t n;

    if (c->shaking && !shake(t, c))
        return;
    if (c->rest_n)
        memcpy(t->scratch, c->rest, c->rest_n);
    n = read_some(t, c, t->scratch + c->rest_n, t->scratch_size - c->rest_n);
    if (n < 0)
        return;
    if (n == 0) {
        finish(t, c);
        return;
    }
    c->last_us = now;
    look_up(t, c, now);
    if (!take(t, c, t->scratch, c->rest_n + (size_t)n))
        conn_close(t, c);
}

/* Each connection of the list once; those that still have more put themselves into the next list. */
static void run_ready(struct tcp *t)
{
    struct conn *list = t->ready, *next;

    t->ready = NULL;
    for (struct conn *c = list; c; c = next) {
        next = c->next_ready;
        c->ready = false;
        c->next_ready = NULL;
        on_readable(t, c);
    }
}

static void sweep(struct tcp *t, int64_t now)
{
    int64_t idle = t->l->o.idle_us, shake_us = t->s->tls ? t->l->o.tls_options.handshake_us : 0;
    int64_t least = idle <= 0 ? shake_us : shake_us <= 0 || idle < shake_us ? idle : shake_us;
    struct conn *next;

    if (least <= 0 || now - t->swept_us < (least < SWEEP_US ? least / 2 : SWEEP_US))
        return;
    t->swept_us = now;
    if (t->s->tls)
        listen_tls_refresh(t->s->tls);
    for (struct conn *c = t->all; c; c = next) {
        next = c->next;
        if (c->shaking && now - c->since_us >= shake_us) {
            atomic_fetch_add(&t->s->handshake_timeout, 1);
            cf_log_warn("collect", "TLS handshake took too long, closing", "peer=%.*s", (int)c->peer_n, c->peer);
            conn_close(t, c);
        } else if (!c->shaking && idle > 0 && now - c->last_us >= idle) {
            atomic_fetch_add(&t->s->closed_idle, 1);
            finish(t, c);
        }
    }
}

static bool tcp_init(struct tcp *t)
{
    struct epoll_event ev = {.events = EPOLLIN};

    t->scratch_size = READ_SIZE + t->l->o.line_max + 64;
    t->scratch = malloc(t->scratch_size);
    t->ep = epoll_create1(EPOLL_CLOEXEC);
    if (!t->scratch || t->ep < 0)
        return false;
    ev.data.ptr = t->s;
    if (epoll_ctl(t->ep, EPOLL_CTL_ADD, t->s->fd, &ev) < 0)
        return false;
    ev.data.ptr = &t->l->stop_fd;
    return epoll_ctl(t->ep, EPOLL_CTL_ADD, t->l->stop_fd, &ev) == 0;
}

static int wait_ms(const struct tcp *t)
{
    int64_t least = t->l->o.idle_us > 0 && t->l->o.idle_us < 2 * CF_US_PER_S ? t->l->o.idle_us : 2 * CF_US_PER_S;

    if (t->ready)
        return 0;
    if (t->s->tls && t->l->o.tls_options.handshake_us < least)
        least = t->l->o.tls_options.handshake_us;
    return (int)(least / 2000);
}

void *listen_stream_main(void *arg)
{
    struct tcp *t = calloc(1, sizeof *t);
    struct listen_stream *s = arg;

    (void)pthread_setname_np(pthread_self(), "cf-tcp");
    if (!t)
        return NULL;
    t->s = s;
    t->l = s->l;
    t->ep = -1;
    if (!tcp_init(t))
        cf_log_error("collect", "TCP listener could not start", "errno=%d", errno);
    else
        while (!atomic_load(&s->l->stop)) {
            struct epoll_event ev[128];
            int n = epoll_wait(t->ep, ev, 128, wait_ms(t));

            for (int i = 0; i < n && !atomic_load(&s->l->stop); i++) {
                if (ev[i].data.ptr == s)
                    accept_all(t);
                else if (ev[i].data.ptr != &s->l->stop_fd)
                    on_readable(t, ev[i].data.ptr);
            }
            run_ready(t);
            sweep(t, cf_mono_us());
        }
    while (t->all)
        conn_close(t, t->all);
    if (t->ep >= 0)
        (void)close(t->ep);
    free(t->scratch);
    free(t);
    return NULL;
}
