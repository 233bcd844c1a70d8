/* SPDX-License-Identifier: Apache-2.0
 * UDP: up to 64 datagrams a system call; consecutive ones of the same peer become one frame. Syslog is a record a datagram;
 * flow packets are taken apart (normalise/netflow.h), a record is one flow with its template. */
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collect/listen_int.h"
#include "normalise/netflow.h"

#define MSGS 64
#define MSG_SIZE 65536

#define FLOWS 1024u

struct udp {
    struct listen_udp *port;
    struct cf_buf flows; /* messages of the flows at hand, one after the other */
    size_t flow_off[FLOWS + 1], n_flows;
    struct mmsghdr hdr[MSGS];
    struct iovec iov[MSGS];
    struct sockaddr_storage from[MSGS];
    char control[MSGS][64];
    char (*data)[MSG_SIZE];
    cf_str rec[MSGS];
    struct cf_ip peer_ip; /* of the last look-up */
    struct cf_source_info info;
    struct cf_counter *counter;
    char peer[46];
    size_t peer_n;
    int64_t looked_us;
};

static void note_drops(struct listen_udp *l, struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            uint32_t v;

            memcpy(&v, CMSG_DATA(c), sizeof v);
            atomic_store(&l->dropped, v); /* the kernel's total of this socket */
        }
}

/* Looks the peer up again when it changed, or after a second (the table may have). */
static void look_up(struct cf_listener *l, struct udp *u, const struct cf_ip *ip)
{
    int64_t now = cf_mono_us();

    if (u->counter && memcmp(ip, &u->peer_ip, sizeof *ip) == 0 && now - u->looked_us < CF_US_PER_S)
        return;
    u->peer_ip = *ip;
    u->looked_us = now;
    u->peer_n = cf_ip_format(ip, u->peer);
    listen_source(l, u->port->in, ip, &u->info);
    u->counter = cf_counters_get(l->o.counters, cf_str_c(u->info.name), cf_str_c(u->info.org));
}

/* ---- flows ---------------------------------------------------------------------------------------------------------------- */

static bool put_flows(struct cf_listener *l, struct udp *u)
{
    static const char kind[] = "netflow";
    struct cf_source_info info = u->info;
    cf_str rec[FLOWS];
    bool ok = true;

    memcpy(info.format, kind, sizeof kind);
    if (!info.source[0])
        memcpy(info.source, kind, sizeof kind);
    for (size_t i = 0; i < u->n_flows; i++)
        rec[i] = cf_str_n(u->flows.p + u->flow_off[i], u->flow_off[i + 1] - u->flow_off[i]);
    if (u->n_flows && !u->flows.failed)
        ok = listen_put(l, &info, u->counter, cf_str_n(u->peer, u->peer_n), rec, u->n_flows);
    cf_buf_clear(&u->flows);
    u->n_flows = 0;
    return ok;
}

static bool on_flow(void *ctx, cf_str message)
{
    struct udp *u = ctx;

    u->flow_off[u->n_flows++] = u->flows.n;
    cf_buf_str(&u->flows, message);
    u->flow_off[u->n_flows] = u->flows.n;
    return u->n_flows < FLOWS || put_flows(u->port->l, u);
}

/* Packets of one peer, next to each other. */
static bool take_flows(struct cf_listener *l, struct udp *u, const struct cf_ip *ip, size_t from, size_t to)
{
    int64_t now = cf_mono_us();

    for (size_t i = from; i < to; i++) {
        uint64_t bad, was;
        struct cf_netflow_stats st;

        cf_netflow_get_stats(u->port->flow, &st);
        was = st.malformed + st.no_template;
        (void)cf_netflow_split(u->port->flow, ip, cf_str_n(u->data[i], u->hdr[i].msg_len), now, on_flow, u);
        cf_netflow_get_stats(u->port->flow, &st);
        bad = st.malformed + st.no_template - was;
        if (bad)
            cf_counter_reject(u->counter, bad);
        (void)pthread_mutex_lock(&l->flow_mu);
        u->port->flow_stats = st;
        (void)pthread_mutex_unlock(&l->flow_mu);
    }
    return put_flows(l, u);
}

static void take(struct cf_listener *l, struct udp *u, size_t n)
{
    size_t i = 0;

    while (i < n) {
        struct cf_ip ip, other;
        size_t k = 0, j = i;

        listen_peer_ip(&u->from[i], &ip);
        for (; j < n; j++) {
            cf_str r = cf_str_n(u->data[j], u->hdr[j].msg_len);

            listen_peer_ip(&u->from[j], &other);
            if (memcmp(&ip, &other, sizeof ip) != 0)
                break;
            while (r.n && (r.p[r.n - 1] == '\n' || r.p[r.n - 1] == '\r' || r.p[r.n - 1] == '\0'))
                r.n--;
            if (r.n > l->o.line_max) {
                r.n = l->o.line_max;
                atomic_fetch_add(&l->cut, 1);
            }
            if (r.n)
                u->rec[k++] = r;
        }
        look_up(l, u, &ip);
        if (u->port->flow ? !take_flows(l, u, &ip, i, j) : k && !listen_put(l, &u->info, u->counter, cf_str_n(u->peer, u->peer_n), u->rec, k))
            return;
        i = j;
    }
}

void *listen_udp_main(void *arg)
{
    struct listen_udp *port = arg;
    struct cf_listener *l = port->l;
    struct udp *u = calloc(1, sizeof *u);
    struct pollfd pfd[2] = {{.fd = port->fd, .events = POLLIN}, {.fd = l->stop_fd, .events = POLLIN}};

    if (u) {
        u->port = port;
        u->data = malloc((size_t)MSGS * MSG_SIZE);
        cf_buf_init(&u->flows, (size_t)FLOWS << 17);
    }
    while (u && u->data && !atomic_load(&l->stop)) {
        int n;

        for (size_t i = 0; i < MSGS; i++) {
            u->iov[i] = (struct iovec){u->data[i], MSG_SIZE};
            u->hdr[i].msg_hdr = (struct msghdr){.msg_name = &u->from[i], .msg_namelen = sizeof u->from[i], .msg_iov = &u->iov[i], .msg_iovlen = 1,
                                                .msg_control = u->control[i], .msg_controllen = sizeof u->control[i]};
        }
        n = recvmmsg(port->fd, u->hdr, MSGS, MSG_DONTWAIT, NULL);
        if (n <= 0) {
            (void)poll(pfd, 2, 1000);
            continue;
        }
        note_drops(port, &u->hdr[n - 1].msg_hdr);
        atomic_fetch_add(&port->received, (uint64_t)n);
        take(l, u, (size_t)n);
    }
    if (u) {
        cf_buf_release(&u->flows);
        free(u->data);
    }
    free(u);
    return NULL;
}
