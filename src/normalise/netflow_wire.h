/* SPDX-License-Identifier: Apache-2.0
 * Bytes of NetFlow v9 and IPFIX packets, private to netflow.c and netflow_split.c. Nothing here allocates; every length is
 * checked against what is there.
 *
 *   v9     head(20) flowset*      flowset = id(2) length(2) ...     id 0 templates, 1 options templates, >= 256 data
 *   IPFIX  head(16) set*          set     = id(2) length(2) ...     id 2 templates, 3 options templates, >= 256 data */
#ifndef CF_NORMALISE_NETFLOW_WIRE_H
#define CF_NORMALISE_NETFLOW_WIRE_H

#include "base/base.h"

#define NF_FIELDS_MAX 256u   /* fields of one template */
#define NF_VARIABLE 65535u
#define NF_REVERSE_PEN 29305u

static inline uint16_t nf_u16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t nf_u32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }
static inline uint64_t nf_uint(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n && i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

struct nf_head {
    unsigned version; /* 9, 10 */
    size_t size, total; /* of the head; of the message */
    uint32_t export_s, uptime_ms, sequence, domain;
};
struct nf_field {
    uint16_t id, n; /* n NF_VARIABLE: the record says */
    uint32_t pen;   /* 0: registry */
};
struct nf_template {
    uint16_t id, n;
    bool options;
    const uint8_t *p; /* definition as received, with its 4-byte head (templates), to be put into messages */
    size_t size;
    uint32_t min;     /* least bytes of a record */
    struct nf_field field[NF_FIELDS_MAX];
};
struct nf_value {
    const uint8_t *p;
    size_t n;
};

bool nf_head(const uint8_t *p, size_t n, struct nf_head *ret);
/* Calls back for each template (n 0: withdrawn) and each data set. False: something does not fit; what came before was told. */
bool nf_sets(const uint8_t *p, size_t n, const struct nf_head *h, void (*on_template)(void *, const struct nf_template *),
             bool (*on_data)(void *, uint16_t id, const uint8_t *p, size_t n), void *ctx);
/* One record of t at p: its length and values (v may be NULL), 0 when it does not fit. */
size_t nf_record(const struct nf_template *t, const uint8_t *p, size_t n, struct nf_value *v);

#endif
