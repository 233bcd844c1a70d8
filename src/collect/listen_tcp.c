/* SPDX-License-Identifier: Apache-2.0
 * Syslog over TCP: one thread, epoll. A connection owns memory only for an unfinished record; an idle one owns none. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collect/framing.h"
#include "collect/listen_int.h"

#define READ_SIZE ((size_t)256 * 1024)
#define RECS 4096
#define SWEEP_US (5 * CF_US_PER_S)

struct conn {
    int fd;
    struct conn *prev, *next;
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
    struct cf_listener *l;
    int ep;
    struct conn *all;
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
    (void)close(c->fd);
    free(c->rest);
    free(c);
    atomic_fetch_sub(&t->l->tcp_connections, 1);
}

static void look_up(struct tcp *t, struct conn *c, int64_t now)
{
    if (c->counter && now - c->looked_us < CF_US_PER_S)
        return;
    c->looked_us = now;
    cf_source_find(t->l->o.sources, &c->ip, &c->info);
    c->counter = cf_counters_get(t->l->o.counters, cf_str_c(c->info.name), cf_str_c(c->info.org));
}

static void accept_one(struct tcp *t, int fd, const struct sockaddr_storage *sa)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP};
    struct conn *c;

    if (atomic_load(&t->l->tcp_connections) >= t->l->o.connections_max || !(c = calloc(1, sizeof *c))) {
        atomic_fetch_add(&t->l->tcp_refused, 1);
        (void)close(fd);
        return;
    }
    c->fd = fd;
    c->framing.max = t->l->o.line_max;
    c->last_us = cf_mono_us();
    listen_peer_ip(sa, &c->ip);
    c->peer_n = cf_ip_format(&c->ip, c->peer);
    c->next = t->all;
    if (t->all)
        t->all->prev = c;
    t->all = c;
    atomic_fetch_add(&t->l->tcp_connections, 1);
    atomic_fetch_add(&t->l->tcp_accepted, 1);
    ev.data.ptr = c;
    if (epoll_ctl(t->ep, EPOLL_CTL_ADD, fd, &ev) < 0)
        conn_close(t, c);
}

static void accept_all(struct tcp *t)
{
    for (int i = 0; i < 256; i++) {
        struct sockaddr_storage sa;
        socklen_t n = sizeof sa;
        int fd = accept4(t->l->tcp_fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

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
        atomic_fetch_add(&t->l->tcp_bad_framing, 1);
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

static void on_readable(struct tcp *t, struct conn *c)
{
    int64_t now = cf_mono_us();
    ssize_t n;

    if (c->rest_n)
        memcpy(t->scratch, c->rest, c->rest_n);
    n = recv(c->fd, t->scratch + c->rest_n, t->scratch_size - c->rest_n, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        finish(t, c);
        return;
    }
    c->last_us = now;
    look_up(t, c, now);
    if (!take(t, c, t->scratch, c->rest_n + (size_t)n))
        conn_close(t, c);
}

static void sweep(struct tcp *t, int64_t now)
{
    struct conn *next;

    if (t->l->o.idle_us <= 0 || now - t->swept_us < (t->l->o.idle_us < SWEEP_US ? t->l->o.idle_us / 2 : SWEEP_US))
        return;
    t->swept_us = now;
    for (struct conn *c = t->all; c; c = next) {
        next = c->next;
        if (now - c->last_us < t->l->o.idle_us)
            continue;
        atomic_fetch_add(&t->l->tcp_closed_idle, 1);
        finish(t, c);
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
    ev.data.ptr = &t->l->tcp_fd;
    if (epoll_ctl(t->ep, EPOLL_CTL_ADD, t->l->tcp_fd, &ev) < 0)
        return false;
    ev.data.ptr = &t->l->stop_fd;
    return epoll_ctl(t->ep, EPOLL_CTL_ADD, t->l->stop_fd, &ev) == 0;
}

void *listen_tcp_main(void *arg)
{
    struct tcp *t = calloc(1, sizeof *t);
    struct cf_listener *l = arg;

    if (!t)
        return NULL;
    t->l = l;
    t->ep = -1;
    if (!tcp_init(t))
        cf_log_error("collect", "TCP listener could not start", "errno=%d", errno);
    else
        while (!atomic_load(&l->stop)) {
            struct epoll_event ev[128];
            int64_t ms = l->o.idle_us > 0 && l->o.idle_us < 2 * CF_US_PER_S ? l->o.idle_us / 2000 : 1000;
            int n = epoll_wait(t->ep, ev, 128, (int)ms);

            for (int i = 0; i < n && !atomic_load(&l->stop); i++) {
                if (ev[i].data.ptr == &l->tcp_fd)
                    accept_all(t);
                else if (ev[i].data.ptr != &l->stop_fd)
                    on_readable(t, ev[i].data.ptr);
            }
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
