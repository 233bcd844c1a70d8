/* SPDX-License-Identifier: Apache-2.0
 * Syslog listeners: UDP (one thread, recvmmsg) and TCP (one thread, epoll). Records go straight into the spool; when it does
 * not take any more, nothing is read: TCP senders are slowed by their full windows, UDP loss is counted by the kernel and
 * shown. */
#ifndef CF_COLLECT_LISTEN_H
#define CF_COLLECT_LISTEN_H

#include "collect/counters.h"
#include "collect/source.h"
#include "collect/spool.h"

struct cf_listen_options {
    struct cf_spool *spool;
    struct cf_counters *counters;
    struct cf_shared *sources;    /* struct cf_source_table */
    const char *udp, *tcp;        /* "0.0.0.0:514", "[::]:514"; NULL or "": off; port 0: any */
    size_t line_max;              /* longest record; 0: 1 MiB */
    unsigned connections_max;     /* TCP; 0: 4096 */
    int64_t idle_us;              /* TCP connections that say nothing this long are closed; 0: never */
    bool refuse_unknown;          /* peers without a data source: count and drop instead of taking */
};
struct cf_listener;
int cf_listener_start(const struct cf_listen_options *o, struct cf_listener **ret, struct cf_error *reterr);
void cf_listener_stop(struct cf_listener *l); /* closes the connections; what was read whole is in the spool. NULL is fine */
unsigned cf_listener_udp_port(const struct cf_listener *l); /* really bound; 0: off */
unsigned cf_listener_tcp_port(const struct cf_listener *l);

struct cf_listener_stats {
    uint64_t udp_received, udp_dropped;          /* datagrams; dropped by the kernel while we did not read */
    uint64_t tcp_connections, tcp_accepted, tcp_refused, tcp_closed_idle, tcp_bad_framing;
    uint64_t cut;                                /* records longer than line_max */
    uint64_t unknown_refused;                    /* records of unknown or disabled peers, when those are refused */
    bool paused;                                 /* waiting for the spool right now */
};
void cf_listener_get_stats(const struct cf_listener *l, struct cf_listener_stats *ret);

#endif
