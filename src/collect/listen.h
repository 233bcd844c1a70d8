/* SPDX-License-Identifier: Apache-2.0
 * Syslog listeners: UDP (one thread, recvmmsg), TCP and TLS (one thread each, epoll); flow packets over UDP (one thread). Records go straight into the spool; when it does
 * not take any more, nothing is read: TCP senders are slowed by their full windows, UDP loss is counted by the kernel and
 * shown. */
#ifndef CF_COLLECT_LISTEN_H
#define CF_COLLECT_LISTEN_H

#include "collect/counters.h"
#include "collect/intake.h"
#include "collect/source.h"
#include "collect/spool.h"
#include "normalise/netflow.h"

enum cf_tls_client { CF_TLS_CLIENT_NONE, CF_TLS_CLIENT_OPTIONAL, CF_TLS_CLIENT_REQUIRED };
struct cf_listen_tls_options {
    const char *cert, *key;       /* PEM files; looked at again every 5 s, changed ones hold for new connections */
    enum cf_tls_client client;    /* does the peer have to show a certificate? One that is shown is checked in any case */
    const char *ca;               /* PEM file of their authorities */
    const char *const *allowed;   /* names (CN, DNS name, *.below.this) or SHA-256 fingerprints; none: all of the authority */
    size_t n_allowed;
    int64_t handshake_us;         /* a handshake that takes longer is given up; 0: 10 s */
};
struct cf_listen_options {
    struct cf_spool *spool;
    struct cf_counters *counters;
    struct cf_shared *sources;    /* struct cf_source_table */
    const char *udp, *tcp;        /* "0.0.0.0:514", "[::]:514"; NULL or "": off; port 0: any */
    const char *netflow;          /* as udp: NetFlow v5, v9, IPFIX, sFlow v5 */
    const char *sflow;            /* the same on a second port */
    size_t netflow_templates;     /* templates remembered; 0: 16384 */
    int64_t netflow_timeout_us;   /* a template not seen this long is forgotten; 0: 30 min */
    const char *tls;              /* as tcp, RFC 5425 */
    const struct cf_intake *more; /* further listeners for what the engineer knows: "udp:ADDRESS:PORT", "tcp:...", "tls:...", "flow:..."; copied */
    size_t n_more;
    struct cf_listen_tls_options tls_options;
    size_t line_max;              /* longest record; 0: 1 MiB */
    unsigned connections_max;     /* TCP, and as many TLS; 0: 4096 */
    int64_t idle_us;              /* TCP connections that say nothing this long are closed; 0: never */
    bool refuse_unknown;          /* peers without a data source: count and drop instead of taking */
};
struct cf_listener;
int cf_listener_start(const struct cf_listen_options *o, struct cf_listener **ret, struct cf_error *reterr);
void cf_listener_stop(struct cf_listener *l); /* closes the connections; what was read whole is in the spool. NULL is fine */
unsigned cf_listener_udp_port(const struct cf_listener *l); /* really bound; 0: off */
unsigned cf_listener_tcp_port(const struct cf_listener *l);
unsigned cf_listener_netflow_port(const struct cf_listener *l);
unsigned cf_listener_sflow_port(const struct cf_listener *l);
unsigned cf_listener_tls_port(const struct cf_listener *l);

struct cf_stream_stats {
    uint64_t connections, accepted, refused, closed_idle, bad_framing; /* open now; taken; too many; ... */
    uint64_t handshakes, handshake_failed, handshake_timeout;          /* TLS: done; given up by either side; too slow */
};
struct cf_listener_stats {
    uint64_t udp_received, udp_dropped;          /* datagrams; dropped by the kernel while we did not read */
    uint64_t flow_received, flow_dropped;        /* flow packets */
    uint64_t sflow_received, sflow_dropped;
    struct cf_netflow_stats flow, sflow;         /* of the first and of the second port */
    struct cf_stream_stats tcp, tls;
    uint64_t cut;                                /* records longer than line_max */
    uint64_t unknown_refused;                    /* records of unknown or disabled peers, when those are refused */
    bool paused;                                 /* waiting for the spool right now */
};
/* One of the further listeners. */
struct cf_listener_more {
    const struct cf_intake *in; /* valid until cf_listener_stop */
    unsigned port;
    bool datagrams, flow;
    uint64_t received, dropped; /* datagrams */
    struct cf_netflow_stats flows;
    struct cf_stream_stats stream;
};
bool cf_listener_get_more(const struct cf_listener *l, size_t i, struct cf_listener_more *ret); /* false: no more */
void cf_listener_get_stats(const struct cf_listener *l, struct cf_listener_stats *ret);

#endif
