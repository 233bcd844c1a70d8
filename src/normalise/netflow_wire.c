/* SPDX-License-Identifier: Apache-2.0 */
#include "normalise/netflow_wire.h"

bool nf_head(const uint8_t *p, size_t n, struct nf_head *ret)
{
    memset(ret, 0, sizeof *ret);
    if (n >= 20 && nf_u16(p) == 9) {
        *ret = (struct nf_head){.version = 9, .size = 20, .total = n, .uptime_ms = nf_u32(p + 4), .export_s = nf_u32(p + 8), .sequence = nf_u32(p + 12), .domain = nf_u32(p + 16)};
        return true;
    }
    if (n >= 16 && nf_u16(p) == 10) {
        *ret = (struct nf_head){.version = 10, .size = 16, .total = nf_u16(p + 2), .export_s = nf_u32(p + 4), .sequence = nf_u32(p + 8), .domain = nf_u32(p + 12)};
        return ret->total >= 16 && ret->total <= n;
    }
    return false;
}

/* Field definitions; returns bytes used, 0 when they do not fit. */
static size_t fields(const uint8_t *p, size_t n, unsigned count, bool ipfix, struct nf_template *t)
{
    size_t at = 0;

    t->min = 0;
    t->n = 0;
    if (count > NF_FIELDS_MAX)
        return 0;
    for (unsigned i = 0; i < count; i++) {
        struct nf_field *f = &t->field[i];

        if (n - at < 4)
            return 0;
        *f = (struct nf_field){.id = nf_u16(p + at), .n = nf_u16(p + at + 2)};
        at += 4;
        if (ipfix && (f->id & 0x8000u)) {
            if (n - at < 4)
                return 0;
            f->id &= 0x7fffu;
            f->pen = nf_u32(p + at);
            at += 4;
        }
        if (!ipfix && f->n == NF_VARIABLE)
            return 0;
        t->min += f->n == NF_VARIABLE ? 1u : f->n;
    }
    t->n = (uint16_t)count;
    return at;
}

/* Template definitions of one set. */
static bool templates(const uint8_t *p, size_t n, bool ipfix, void (*on_template)(void *, const struct nf_template *), void *ctx, struct nf_template *t)
{
    size_t at = 0, used;

    while (n - at >= 4) {
        unsigned id = nf_u16(p + at), count = nf_u16(p + at + 2);

        if (id < 256)
            return at > 0; /* padding */
        used = fields(p + at + 4, n - at - 4, count, ipfix, t);
        if (count && (!used || t->min == 0))
            return false;
        t->id = (uint16_t)id;
        t->options = false;
        t->p = p + at;
        t->size = 4 + used;
        on_template(ctx, t);
        at += 4 + used;
    }
    return true;
}

/* Only their number and length matter: their records are skipped. */
static bool options(const uint8_t *p, size_t n, bool ipfix, void (*on_template)(void *, const struct nf_template *), void *ctx, struct nf_template *t)
{
    size_t at = 0, used;

    while (n - at >= 6) {
        unsigned id = nf_u16(p + at), a = nf_u16(p + at + 2), b = nf_u16(p + at + 4);
        unsigned count = ipfix ? a : (a + b) / 4; /* v9 counts bytes of scope and options, IPFIX fields and scope fields */

        if (id < 256)
            return at > 0;
        if (ipfix && a == 0)
            used = 0;
        else if (!(used = fields(p + at + 6, n - at - 6, count, ipfix, t)))
            return false;
        t->id = (uint16_t)id;
        t->n = ipfix && a == 0 ? 0 : t->n;
        t->options = true;
        t->p = NULL;
        t->size = 0;
        on_template(ctx, t);
        at += (ipfix && a == 0 ? 4 : 6) + used;
    }
    return true;
}

bool nf_sets(const uint8_t *p, size_t n, const struct nf_head *h, void (*on_template)(void *, const struct nf_template *),
             bool (*on_data)(void *, uint16_t id, const uint8_t *p, size_t n), void *ctx)
{
    bool ipfix = h->version == 10, ok = true;
    size_t at = h->size, end = h->total < n ? h->total : n;
    struct nf_template t;

    t.n = 0;
    while (end - at >= 4) {
        unsigned id = nf_u16(p + at), size = nf_u16(p + at + 2);

        if (size < 4 || size > end - at)
            return false;
        if (id == (ipfix ? 2u : 0u))
            ok = templates(p + at + 4, size - 4, ipfix, on_template, ctx, &t) && ok;
        else if (id == (ipfix ? 3u : 1u))
            ok = options(p + at + 4, size - 4, ipfix, on_template, ctx, &t) && ok;
        else if (id >= 256 && !on_data(ctx, (uint16_t)id, p + at + 4, size - 4))
            return ok;
        at += size;
    }
    return ok;
}

size_t nf_record(const struct nf_template *t, const uint8_t *p, size_t n, struct nf_value *v)
{
    size_t at = 0;

    if (t->min == 0 || n < t->min)
        return 0;
    for (unsigned i = 0; i < t->n; i++) {
        size_t len = t->field[i].n;

        if (len == NF_VARIABLE) { /* one byte, or 255 and two more */
            if (n - at < 1)
                return 0;
            len = p[at++];
            if (len == 255) {
                if (n - at < 2)
                    return 0;
                len = nf_u16(p + at);
                at += 2;
            }
        }
        if (len > n - at)
            return 0;
        if (v)
            v[i] = (struct nf_value){p + at, len};
        at += len;
    }
    return at;
}
