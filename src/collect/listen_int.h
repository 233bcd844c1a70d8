/* SPDX-License-Identifier: Apache-2.0
 * Shared by listen.c (start, stop, handing records to the spool), listen_udp.c, listen_stream.c. */
#ifndef CF_COLLECT_LISTEN_INT_H
#define CF_COLLECT_LISTEN_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "collect/listen.h"
#include "normalise/netflow.h"

struct listen_tls;
/* One port of records over a stream, plain or TLS, with its thread. */
struct listen_stream {
    struct cf_listener *l;
    const struct cf_intake *in; /* NULL: one of the main ports */
    struct listen_tls *tls; /* NULL: plain TCP */
    int fd;
    unsigned port;
    pthread_t thread;
    bool on;
    _Atomic uint64_t connections, accepted, refused, closed_idle, bad_framing, handshakes, handshake_failed, handshake_timeout;
};
struct cf_netflow;
/* One UDP port with its thread: syslog, or flow packets where flow is set. */
struct listen_udp {
    struct cf_listener *l;
    const struct cf_intake *in;
    struct cf_netflow *flow;
    struct cf_netflow_stats flow_stats; /* copy, under the listener's flow_mu */
    int fd;
    unsigned port;
    pthread_t thread;
    bool on;
    _Atomic uint64_t received, dropped;
};
struct listen_more { /* one of the two is used */
    struct cf_intake in;
    struct listen_udp udp;
    struct listen_stream stream;
};
struct cf_listener {
    struct cf_listen_options o;
    int stop_fd; /* eventfd, readable when stopping */
    struct listen_udp udp, netflow, sflow;
    struct listen_stream tcp, tls;
    struct listen_more *more;
    size_t n_more;
    _Atomic bool stop;
    _Atomic uint64_t cut, unknown_refused;
    pthread_mutex_t flow_mu; /* flow_stats of the ports */
    _Atomic unsigned paused;
};
void *listen_udp_main(void *arg); /* of a struct listen_udp */
void *listen_stream_main(void *arg); /* of a struct listen_stream */
/* Whose records these are: the data source of the peer; else the one of the listener. */
void listen_source(struct cf_listener *l, const struct cf_intake *in, const struct cf_ip *ip, struct cf_source_info *ret);
void listen_peer_ip(const void *sockaddr, struct cf_ip *ret);
/* Hands records of one peer over, waiting as long as the spool needs. False: stopping (the records are not taken). */
bool listen_put(struct cf_listener *l, const struct cf_source_info *src, struct cf_counter *counter, cf_str peer, const cf_str *recs, size_t n);

#endif
