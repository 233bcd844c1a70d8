/* SPDX-License-Identifier: Apache-2.0
 * NetFlow v5, v9, IPFIX (RFC 3954, RFC 7011) and sFlow v5 in two steps, so that what is kept needs no memory of other packets:
 *
 *   datagram ──split (template cache)──► messages of one flow record each, with their template: valid packets themselves
 *   message  ──pairs──► names and values by the names of the IANA registry
 *
 * Split runs in the collector, in order of arrival; pairs runs in any worker. */
#ifndef CF_NORMALISE_NETFLOW_H
#define CF_NORMALISE_NETFLOW_H

#include "normalise/formats.h"

struct cf_netflow;
struct cf_netflow_stats {
    uint64_t packets, flows, templates;   /* templates: in the cache now */
    uint64_t options;                     /* records of options templates, sFlow counters and samples of nothing known: skipped */
    uint64_t no_template;                 /* data sets whose template has not come (or was forgotten) */
    uint64_t malformed;                   /* packets with something that does not fit, the part before it is taken */
    uint64_t evicted;                     /* templates forgotten to make room */
};
/* max_templates 0: 16384; of one exporter at most a quarter of them. Templates not seen for timeout_us are forgotten (0: 30 min). */
struct cf_netflow *cf_netflow_new(size_t max_templates, int64_t timeout_us);
void cf_netflow_free(struct cf_netflow *n);
/* Takes a packet apart. emit gets each flow record as a message of its own (borrowed; false: stop). Returns the number of
 * records emitted. One thread. */
typedef bool (*cf_netflow_emit)(void *ctx, cf_str message);
size_t cf_netflow_split(struct cf_netflow *n, const struct cf_ip *exporter, cf_str packet, int64_t now_us, cf_netflow_emit emit, void *ctx);
void cf_netflow_get_stats(const struct cf_netflow *n, struct cf_netflow_stats *ret); /* same thread */

/* The first flow record of a message as pairs; text in arena. Flow times become RFC 3339 in flow.start and flow.end, their
 * distance flow.duration_ns. CF_ESYNTAX: no flow message, or no data in it. */
int cf_netflow_pairs(cf_str message, struct cf_arena *a, struct cf_pairs *ret, struct cf_error *reterr);

#endif
