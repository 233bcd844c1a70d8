/* SPDX-License-Identifier: Apache-2.0
 * Packets -> messages of one record each, and the memory of templates this takes: a hash table with a list in order of use. */
#include <stdlib.h>

#include "normalise/netflow.h"
#include "normalise/netflow_wire.h"
#include "normalise/sflow.h"

#define MESSAGE_MAX 65535u

struct entry {
    uint64_t hash;
    struct cf_ip exporter;
    uint32_t domain;
    uint16_t id, version;
    bool options;
    struct entry *chain, *newer, *older;
    int64_t used_us;
    struct nf_template t; /* t.p: own copy behind */
    uint8_t bytes[];
};
struct cf_netflow {
    size_t max, n, n_buckets;
    int64_t timeout_us;
    struct entry **bucket, *newest, *oldest;
    struct cf_netflow_stats st;
    uint8_t out[MESSAGE_MAX + 64];
    /* of the packet being split */
    const struct cf_ip *exporter;
    const uint8_t *packet;
    struct nf_head head;
    int64_t now_us;
    cf_netflow_emit emit;
    void *ctx;
    size_t emitted;
    bool bad, stopped;
};

struct cf_netflow *cf_netflow_new(size_t max, int64_t timeout_us)
{
    struct cf_netflow *n = calloc(1, sizeof *n);

    if (!n)
        return NULL;
    n->max = max ? max : 16384;
    n->timeout_us = timeout_us > 0 ? timeout_us : 1800 * CF_US_PER_S;
    n->n_buckets = 64;
    while (n->n_buckets < n->max)
        n->n_buckets *= 2;
    n->bucket = calloc(n->n_buckets, sizeof(struct entry *));
    if (!n->bucket) {
        free(n);
        return NULL;
    }
    return n;
}

static void unlink_entry(struct cf_netflow *n, struct entry *e)
{
    struct entry **b = &n->bucket[e->hash & (n->n_buckets - 1)];

    while (*b != e)
        b = &(*b)->chain;
    *b = e->chain;
    *(e->newer ? &e->newer->older : &n->newest) = e->older;
    *(e->older ? &e->older->newer : &n->oldest) = e->newer;
    n->n--;
}

static void put_newest(struct cf_netflow *n, struct entry *e)
{
    e->newer = NULL;
    e->older = n->newest;
    *(n->newest ? &n->newest->newer : &n->oldest) = e;
    n->newest = e;
}

void cf_netflow_free(struct cf_netflow *n)
{
    if (!n)
        return;
    while (n->oldest) {
        struct entry *e = n->oldest;

        unlink_entry(n, e);
        free(e);
    }
    free(n->bucket);
    free(n);
}

static uint64_t key_hash(const struct cf_netflow *n, uint16_t id)
{
    uint8_t k[24];

    memcpy(k, n->exporter->b, 16);
    memcpy(k + 16, &n->head.domain, 4);
    memcpy(k + 20, &id, 2);
    k[22] = (uint8_t)n->head.version;
    k[23] = 0;
    return cf_hash64(cf_str_n((const char *)k, sizeof k));
}

static struct entry *find(struct cf_netflow *n, uint16_t id, uint64_t hash)
{
    for (struct entry *e = n->bucket[hash & (n->n_buckets - 1)]; e; e = e->chain)
        if (e->hash == hash && e->id == id && e->version == n->head.version && e->domain == n->head.domain &&
            memcmp(&e->exporter, n->exporter, sizeof e->exporter) == 0)
            return e;
    return NULL;
}

/* The exporter's own oldest when it has a quarter of everything, so that a liar cannot make the others be forgotten. */
static struct entry *victim(struct cf_netflow *n)
{
    size_t own = 0;
    struct entry *oldest_own = NULL;

    for (struct entry *e = n->oldest; e; e = e->newer)
        if (memcmp(&e->exporter, n->exporter, sizeof e->exporter) == 0) {
            oldest_own = oldest_own ? oldest_own : e;
            own++;
        }
    return own >= n->max / 4 && oldest_own ? oldest_own : n->oldest;
}

static void forget(struct cf_netflow *n, struct entry *e)
{
    unlink_entry(n, e);
    free(e);
    n->st.evicted++;
}

static void on_template(void *ctx, const struct nf_template *t)
{
    struct cf_netflow *n = ctx;
    uint64_t h = key_hash(n, t->id);
    struct entry *e = find(n, t->id, h);
    size_t own = 0;

    if (e && t->n && e->options == t->options && e->t.size == t->size && (t->size == 0 ? e->t.min == t->min : memcmp(e->bytes, t->p, t->size) == 0)) {
        e->used_us = n->now_us; /* the same again, as exporters do every few minutes */
        *(e->newer ? &e->newer->older : &n->newest) = e->older;
        *(e->older ? &e->older->newer : &n->oldest) = e->newer;
        put_newest(n, e);
        return;
    }
    if (e) {
        unlink_entry(n, e);
        free(e);
    }
    if (t->n == 0)
        return; /* withdrawn */
    while (n->oldest && n->now_us - n->oldest->used_us > n->timeout_us)
        forget(n, n->oldest);
    if (n->n >= n->max / 4) { /* only then one exporter can have too many */
        for (struct entry *x = n->oldest; x; x = x->newer)
            own += memcmp(&x->exporter, n->exporter, sizeof x->exporter) == 0;
        if (n->n >= n->max || own >= n->max / 4)
            forget(n, victim(n));
    }
    e = malloc(sizeof *e + t->size);
    if (!e)
        return;
    *e = (struct entry){.hash = h, .exporter = *n->exporter, .domain = n->head.domain, .id = t->id, .version = (uint16_t)n->head.version,
                        .options = t->options, .used_us = n->now_us, .t = *t};
    if (t->size)
        memcpy(e->bytes, t->p, t->size);
    e->t.p = e->bytes;
    e->chain = n->bucket[h & (n->n_buckets - 1)];
    n->bucket[h & (n->n_buckets - 1)] = e;
    put_newest(n, e);
    n->n++;
}

static void put16(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* head, template set, data set with one record, padded to 4 */
static bool emit_record(struct cf_netflow *n, const struct entry *e, const uint8_t *p, size_t size)
{
    bool ipfix = n->head.version == 10;
    size_t head = n->head.size, tset = 4 + e->t.size, pad = (4 - size % 4) % 4, total = head + tset + 4 + size + pad;
    uint8_t *o = n->out;

    if (total > MESSAGE_MAX) {
        n->bad = true;
        return true;
    }
    memcpy(o, n->packet, head);
    put16(o + 2, ipfix ? total : 2);
    o += head;
    put16(o, ipfix ? 2 : 0);
    put16(o + 2, tset);
    memcpy(o + 4, e->bytes, e->t.size);
    o += tset;
    put16(o, e->id);
    put16(o + 2, 4 + size + pad);
    memcpy(o + 4, p, size);
    memset(o + 4 + size, 0, pad);
    n->emitted++;
    return n->emit(n->ctx, cf_str_n((const char *)n->out, total));
}

static bool on_data(void *ctx, uint16_t id, const uint8_t *p, size_t size)
{
    struct cf_netflow *n = ctx;
    struct entry *e = find(n, id, key_hash(n, id));
    size_t at = 0, len;

    if (e && n->now_us - e->used_us > n->timeout_us) {
        forget(n, e);
        e = NULL;
    }
    if (!e) {
        n->st.no_template++;
        return true;
    }
    while (size - at >= e->t.min) {
        bool padding = size - at < 4;

        for (size_t i = at; padding && i < size; i++)
            padding = p[i] == 0;
        if (padding && at)
            break;
        len = nf_record(&e->t, p + at, size - at, NULL);
        if (len == 0) {
            n->bad = true;
            break;
        }
        if (e->options)
            n->st.options++;
        else if (!emit_record(n, e, p + at, len)) {
            n->stopped = true;
            return false;
        }
        at += len;
    }
    return true;
}

static void split_v5(struct cf_netflow *n, const uint8_t *p, size_t size)
{
    size_t count = nf_u16(p + 2), have = (size - 24) / 48;

    if (count > have)
        n->bad = true;
    for (size_t i = 0; i < count && i < have && !n->stopped; i++) {
        memcpy(n->out, p, 24);
        put16(n->out + 2, 1);
        memcpy(n->out + 24, p + 24 + i * 48, 48);
        n->emitted++;
        n->stopped = !n->emit(n->ctx, cf_str_n((const char *)n->out, 72));
    }
}

/* A flow sample of an sFlow datagram. */
static bool on_sample(void *ctx, const uint8_t *p, size_t size)
{
    struct cf_netflow *n = ctx;
    struct sf_flow f;

    if (!sf_read(p, size, &f)) {
        n->st.options++; /* nothing in it that we know */
        return true;
    }
    n->emitted++;
    n->stopped = !n->emit(n->ctx, cf_str_n((const char *)p, size));
    return !n->stopped;
}

size_t cf_netflow_split(struct cf_netflow *n, const struct cf_ip *exporter, cf_str packet, int64_t now_us, cf_netflow_emit emit, void *ctx)
{
    const uint8_t *p = (const uint8_t *)packet.p;

    n->exporter = exporter;
    n->packet = p;
    n->now_us = now_us;
    n->emit = emit;
    n->ctx = ctx;
    n->emitted = 0;
    n->bad = n->stopped = false;
    n->st.packets++;
    if (packet.n >= 24 && nf_u16(p) == 5)
        split_v5(n, p, packet.n);
    else if (packet.n <= MESSAGE_MAX && sf_is(p, packet.n))
        n->bad = !sf_split(p, packet.n, n->out, on_sample, n, &n->st.options);
    else if (nf_head(p, packet.n, &n->head))
        n->bad = !nf_sets(p, packet.n, &n->head, on_template, on_data, n) || n->bad;
    else
        n->bad = true;
    n->st.malformed += n->bad;
    n->st.flows += n->emitted;
    n->st.templates = n->n;
    return n->emitted;
}

void cf_netflow_get_stats(const struct cf_netflow *n, struct cf_netflow_stats *ret)
{
    *ret = n->st;
    ret->templates = n->n;
}
