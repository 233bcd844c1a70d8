/* SPDX-License-Identifier: Apache-2.0 */
#include "normalise/sflow.h"

#include "normalise/netflow_wire.h"

#define SAMPLES_MAX 1024u
#define RECORDS_MAX 64u

struct reader {
    const uint8_t *p;
    size_t n, at;
    bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
    const uint8_t *p = r->p + r->at;

    if (r->bad || n > r->n - r->at) {
        r->bad = true;
        return NULL;
    }
    r->at += n;
    return p;
}

static uint32_t take32(struct reader *r)
{
    const uint8_t *p = take(r, 4);

    return p ? nf_u32(p) : 0;
}

/* A counted piece, padded to four bytes (the padding may be missing at the very end). */
static struct reader take_piece(struct reader *r)
{
    size_t n = take32(r), pad = (4 - n % 4) % 4;
    const uint8_t *p = take(r, n);

    if (p)
        r->at += pad < r->n - r->at ? pad : r->n - r->at;
    return (struct reader){.p = p, .n = p ? n : 0, .bad = !p};
}

bool sf_is(const uint8_t *p, size_t n) { return n >= 28 && nf_u32(p) == 5 && (nf_u32(p + 4) == 1 || nf_u32(p + 4) == 2); }

/* Bytes of the head up to the number of samples; 0: too short. */
static size_t head_size(const uint8_t *p, size_t n)
{
    size_t size = nf_u32(p + 4) == 1 ? 24 : 36;

    return n >= size + 4 ? size : 0;
}

bool sf_split(const uint8_t *p, size_t n, uint8_t *out, bool (*fn)(void *, const uint8_t *, size_t), void *ctx, uint64_t *ret_other)
{
    size_t head = sf_is(p, n) ? head_size(p, n) : 0;
    struct reader r = {.p = p, .n = n, .at = head};
    uint32_t count;

    if (!head)
        return false;
    count = take32(&r);
    memcpy(out, p, head);
    memcpy(out + head, "\0\0\0\1", 4);
    for (uint32_t i = 0; i < count && i < SAMPLES_MAX; i++) {
        size_t from = r.at;
        uint32_t type = take32(&r);
        struct reader body = take_piece(&r);

        if (r.bad || body.bad)
            return false;
        if (type != 1 && type != 3) {
            ++*ret_other;
            continue;
        }
        memcpy(out + head + 4, p + from, r.at - from);
        if (!fn(ctx, out, head + 4 + r.at - from))
            return true;
    }
    return count <= SAMPLES_MAX;
}

/* ---- one flow sample ------------------------------------------------------------------------------------------------------------ */

static void add(struct sf_flow *f, uint16_t id, const uint8_t *p, size_t n)
{
    if (!p || f->n == SF_FIELDS_MAX)
        return;
    for (size_t i = 0; i < f->n; i++)
        if (f->field[i].id == id)
            return; /* the first record that knows it */
    f->field[f->n++] = (struct sf_field){id, (uint16_t)n, p};
}

static void add_number(struct sf_flow *f, uint16_t id, uint32_t v)
{
    uint8_t *p = f->scratch + f->n_scratch;

    if (f->n_scratch + 4 > sizeof f->scratch)
        return;
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
    f->n_scratch += 4;
    add(f, id, p, 4);
}

static void transport(struct sf_flow *f, unsigned protocol, const uint8_t *p, size_t n)
{
    bool ports = protocol == 6 || protocol == 17 || protocol == 132 || protocol == 33;

    if (ports && n >= 4) {
        add(f, 7, p, 2);
        add(f, 11, p + 2, 2);
    }
    if (protocol == 6 && n >= 14)
        add(f, 6, p + 13, 1);
    if (protocol == 1 && n >= 2)
        add(f, 32, p, 2);
    if (protocol == 58 && n >= 2)
        add(f, 139, p, 2);
}

static void ipv4(struct sf_flow *f, const uint8_t *p, size_t n)
{
    size_t head = (size_t)(p[0] & 15) * 4;

    if (n < 20 || head < 20)
        return;
    add_number(f, 60, 4);
    add(f, 5, p + 1, 1);
    add(f, 192, p + 8, 1);
    add(f, 4, p + 9, 1);
    add(f, 8, p + 12, 4);
    add(f, 12, p + 16, 4);
    if ((nf_u16(p + 6) & 0x1fff) == 0 && n > head) /* only the first fragment has ports */
        transport(f, p[9], p + head, n - head);
}

static void ipv6(struct sf_flow *f, const uint8_t *p, size_t n)
{
    const uint8_t *next = p + 6;
    size_t at = 40;

    if (n < 40)
        return;
    add_number(f, 60, 6);
    add(f, 192, p + 7, 1);
    add(f, 27, p + 8, 16);
    add(f, 28, p + 24, 16);
    for (int i = 0; i < 8 && n - at >= 8 && (*next == 0 || *next == 43 || *next == 44 || *next == 60); i++) {
        bool fragment = *next == 44;
        size_t size = fragment ? 8 : ((size_t)p[at + 1] + 1) * 8;

        if (fragment && (nf_u16(p + at + 2) & 0xfff8)) {
            add(f, 4, p + at, 1);
            return;
        }
        next = p + at;
        if (size > n - at)
            break;
        at += size;
    }
    add(f, 4, next, 1);
    transport(f, *next, p + at, n - at);
}

static void network(struct sf_flow *f, unsigned type, const uint8_t *p, size_t n)
{
    if (type == 0x0800 && n >= 1 && p[0] >> 4 == 4)
        ipv4(f, p, n);
    else if (type == 0x86dd && n >= 1 && p[0] >> 4 == 6)
        ipv6(f, p, n);
}

static void ethernet(struct sf_flow *f, const uint8_t *p, size_t n)
{
    size_t at = 12;

    if (n < 14)
        return;
    add(f, 80, p, 6);
    add(f, 56, p + 6, 6);
    while (n - at >= 6 && (nf_u16(p + at) == 0x8100 || nf_u16(p + at) == 0x88a8 || nf_u16(p + at) == 0x9100)) {
        add_number(f, 58, nf_u16(p + at + 2) & 0xfffu);
        at += 4;
    }
    if (n - at < 2)
        return;
    add(f, 256, p + at, 2);
    if (nf_u16(p + at) == 0x8847 || nf_u16(p + at) == 0x8848) { /* labels up to the last one */
        for (at += 2; n - at >= 4 && !(p[at + 2] & 1); at += 4)
            ;
        at += n - at >= 4 ? 4 : n - at;
        if (n > at)
            network(f, p[at] >> 4 == 4 ? 0x0800 : 0x86dd, p + at, n - at);
        return;
    }
    network(f, nf_u16(p + at), p + at + 2, n - at - 2);
}

static void sampled_header(struct sf_flow *f, struct reader *r)
{
    uint32_t protocol = take32(r);
    const uint8_t *length = take(r, 4);
    struct reader h;

    (void)take32(r); /* bytes stripped */
    h = take_piece(r);
    if (h.bad)
        return;
    add(f, 1, length, 4);
    if (protocol == 1)
        ethernet(f, h.p, h.n);
    else if (protocol == 11 || protocol == 12)
        network(f, protocol == 11 ? 0x0800 : 0x86dd, h.p, h.n);
}

/* Records in which the agent has read the packet itself. */
static void sampled_ip(struct sf_flow *f, struct reader *r, bool six)
{
    size_t size = six ? 16 : 4;
    const uint8_t *p = take(r, 8 + 2 * size + 16);

    if (!p)
        return;
    add(f, 1, p, 4);
    add(f, 4, p + 7, 1);
    add_number(f, 60, six ? 6 : 4);
    add(f, six ? 27 : 8, p + 8, size);
    add(f, six ? 28 : 12, p + 8 + size, size);
    p += 8 + 2 * size;
    add(f, 7, p + 2, 2);
    add(f, 11, p + 6, 2);
    add(f, 6, p + 11, 1);
    add(f, 5, p + 15, 1);
}

static void extended_router(struct sf_flow *f, struct reader *r)
{
    uint32_t type = take32(r);
    const uint8_t *hop = type == 1 ? take(r, 4) : type == 2 ? take(r, 16) : NULL;
    const uint8_t *masks = hop ? take(r, 8) : NULL;

    if (!masks)
        return;
    add(f, type == 1 ? 15 : 62, hop, type == 1 ? 4 : 16);
    add(f, type == 1 ? 9 : 29, masks + 3, 1);
    add(f, type == 1 ? 13 : 30, masks + 7, 1);
}

static void flow_record(struct sf_flow *f, uint32_t type, struct reader *r)
{
    const uint8_t *p;

    if (type == 1)
        sampled_header(f, r);
    else if (type == 2 && (p = take(r, 24))) { /* Ethernet frame: length, two addresses padded to 8, type */
        add(f, 1, p, 4);
        add(f, 56, p + 4, 6);
        add(f, 80, p + 12, 6);
        add(f, 256, p + 22, 2);
    } else if (type == 3 || type == 4)
        sampled_ip(f, r, type == 4);
    else if (type == 1001 && (p = take(r, 16)))
        add(f, 58, p + 2, 2);
    else if (type == 1002)
        extended_router(f, r);
}

/* Interface: format in the two highest bits (compact) or in a word of its own; only "this interface" has a number. */
static void interface(struct sf_flow *f, uint16_t id, struct reader *r, bool expanded)
{
    uint32_t format = expanded ? take32(r) : 0;
    const uint8_t *p = take(r, 4);

    if (p && (expanded ? format == 0 : nf_u32(p) >> 30 == 0))
        add(f, id, p, 4);
}

bool sf_read(const uint8_t *p, size_t n, struct sf_flow *f)
{
    size_t head = sf_is(p, n) ? head_size(p, n) : 0;
    struct reader r = {.p = p, .n = n, .at = head}, s;
    bool expanded;
    uint32_t type, count;
    size_t known;

    if (!head)
        return false;
    memset(f, 0, sizeof *f);
    f->sub_agent = nf_u32(p + head - 12);
    f->sequence = nf_u32(p + head - 8);
    f->uptime_ms = nf_u32(p + head - 4);
    (void)take32(&r);
    type = take32(&r);
    s = take_piece(&r);
    expanded = type == 3;
    if (s.bad || (type != 1 && type != 3))
        return false;
    add(f, head == 24 ? 130 : 131, p + 8, head == 24 ? 4 : 16);
    (void)take(&s, expanded ? 12 : 8); /* number, source */
    add(f, 34, take(&s, 4), 4);
    f->pool = take32(&s);
    f->drops = take32(&s);
    interface(f, 10, &s, expanded);
    interface(f, 14, &s, expanded);
    add_number(f, 2, 1);
    count = take32(&s);
    known = f->n;
    for (uint32_t i = 0; i < count && i < RECORDS_MAX && !s.bad; i++) {
        uint32_t kind = take32(&s);
        struct reader body = take_piece(&s);

        if (!body.bad)
            flow_record(f, kind, &body);
    }
    return f->n > known;
}
