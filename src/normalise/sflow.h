/* SPDX-License-Identifier: Apache-2.0
 * sFlow version 5 (sflow.org), private to netflow*.c: a datagram is split into datagrams of one flow sample each; a flow sample is
 * read as information elements of the IANA registry. Counter samples are left out and counted. Nothing allocates; every length is
 * checked against what is there.
 *
 *   head(agent, sequence, uptime) sample*     sample = type length (flow: rate, ports, record*)     record = sampled header, IPv4, ... */
#ifndef CF_NORMALISE_SFLOW_H
#define CF_NORMALISE_SFLOW_H

#include "base/base.h"

#define SF_FIELDS_MAX 40u
struct sf_field {
    uint16_t id, n;
    const uint8_t *p; /* big-endian, in the datagram or in scratch */
};
struct sf_flow {
    uint32_t sequence, sub_agent, uptime_ms, pool, drops;
    size_t n;
    struct sf_field field[SF_FIELDS_MAX];
    uint8_t scratch[64];
    size_t n_scratch;
};
bool sf_is(const uint8_t *p, size_t n);
/* Calls back with each flow sample as a datagram of its own, made in out (room for n bytes). Counts of other samples in *ret_other.
 * False: something does not fit; what came before was told. */
bool sf_split(const uint8_t *p, size_t n, uint8_t *out, bool (*fn)(void *ctx, const uint8_t *p, size_t n), void *ctx, uint64_t *ret_other);
/* The first flow sample of a datagram. False: there is none, or nothing known in it. */
bool sf_read(const uint8_t *p, size_t n, struct sf_flow *ret);

#endif
