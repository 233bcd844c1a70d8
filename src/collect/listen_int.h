/* SPDX-License-Identifier: Apache-2.0
 * Shared by listen.c (start, stop, handing records to the spool), listen_udp.c, listen_tcp.c. */
#ifndef CF_COLLECT_LISTEN_INT_H
#define CF_COLLECT_LISTEN_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "collect/listen.h"

struct cf_listener {
    struct cf_listen_options o;
    int udp_fd, tcp_fd, stop_fd; /* stop_fd: eventfd, readable when stopping */
    unsigned udp_port, tcp_port;
    pthread_t udp_thread, tcp_thread;
    bool udp_on, tcp_on;
    _Atomic bool stop;
    _Atomic uint64_t udp_received, udp_dropped, tcp_connections, tcp_accepted, tcp_refused, tcp_closed_idle, tcp_bad_framing, cut, unknown_refused;
    _Atomic unsigned paused;
};
void *listen_udp_main(void *arg);
void *listen_tcp_main(void *arg);
void listen_peer_ip(const void *sockaddr, struct cf_ip *ret);
/* Hands records of one peer over, waiting as long as the spool needs. False: stopping (the records are not taken). */
bool listen_put(struct cf_listener *l, const struct cf_source_info *src, struct cf_counter *counter, cf_str peer, const cf_str *recs, size_t n);

#endif
