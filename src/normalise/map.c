/* SPDX-License-Identifier: Apache-2.0
 * Pairs of a record into fields, by what keys.c knows about their keys. Most keys have a usual way that takes a few
 * instructions; the other ways are asked when it does not fit. */
#include "normalise/source.h"

static void keep_extra(struct cf_run *r, const struct cf_pair *p, struct cf_key *k)
{
    if (r->src->ecs && p->group == CF_G_FREE) { /* already a field's name? */
        enum cf_field f = p->ent ? (enum cf_field)k->field : cf_field_find(p->key);
        struct cf_target t = {.to = {.field = (uint16_t)f}};
        bool same;
        if (p->key.n == 10 && memcmp(p->key.p, "@timestamp", 10) == 0) /* read by time:; the text stays in event.original */
            return;
        if (f != CF_F_EXTRA && p->kind != CF_V_NULL) {
            if (r->ev->slot[f] && p > r->pairs.v && cf_str_eq(p[-1].key, p->key))
                (void)cf_run_add(r, cf_event_add(r->ev, f, p->val)); /* next element of an array */
            else if (p->val.n)
                (void)cf_run_convert(r, &t, p->val, 0, (enum cf_vkind)p->kind, &same);
            if (r->ev->slot[f] || !p->val.n)
                return;
        }
    }
    if (p->ent && (k->named || cf_key_names(r, k, p)) && k->extra)
        (void)cf_run_add(r, cf_event_put_extra(r->ev, k->extra, p->val, k->raw, (enum cf_vkind)p->kind));
    else
        r->ev->flags |= CF_EV_TRUNCATED;
}

/* True when v is an IPv4 address in plain form. Its bytes are wanted again by what follows from the flow. */
static inline bool plain_address(struct cf_run *r, uint16_t field, cf_str v)
{
    uint8_t b[4];

    if (!cf_run_plain_ip4(r, v, b))
        return false;
    if (field == CF_F_SOURCE_IP || field == CF_F_DESTINATION_IP) {
        struct cf_ip4_memo *m = &r->ip4[field == CF_F_DESTINATION_IP];
        m->p = v.p;
        m->n = v.n;
        memcpy(m->b, b, 4);
    }
    return true;
}

/* True when v is up to 18 digits. */
static inline bool plain_number(struct cf_run *r, unsigned place, cf_str v)
{
    int64_t sum;

    if (!cf_run_plain_number(r, v, &sum))
        return false;
    r->num[place] = (struct cf_num_memo){v.p, v.n, sum}; /* the first one is for all others */
    return true;
}

/* Text that goes into a free place as it is. False: not this way. The vendor's name goes along, except for addresses of
 * CF_FAST_ADDRESS, which are kept under it as well. */
static inline bool map_plain(struct cf_run *r, const struct cf_target *t, const struct cf_pair *p, uint16_t raw)
{
    switch (t->fast) {
    case CF_FAST_NONE: return false;
    case CF_FAST_EXTRA: (void)cf_run_add(r, cf_event_put_extra(r->ev, t->to.name, p->val, raw, (enum cf_vkind)p->kind)); return true;
    case CF_FAST_TEXT: break;
    case CF_FAST_NUMBER:
        if (!cf_plain_number(p->val))
            return false;
        break;
    case CF_FAST_IP: case CF_FAST_ADDRESS:
        if (!plain_address(r, t->to.field, p->val))
            return false;
        break;
    }
    if (r->ev->slot[t->to.field])
        return false;
    (void)cf_run_add(r, cf_event_put(r->ev, (enum cf_field)t->to.field, p->val, raw, (enum cf_vkind)p->kind));
    return true;
}

/* The same for a target with a conversion or whose place is taken. Returns kept, true when the text went in unchanged. */
static bool map_target(struct cf_run *r, const struct cf_pair *p, const struct cf_maprow *row, const struct cf_target *t, bool kept)
{
    const struct cf_value *old = t->to.field != CF_F_EXTRA ? cf_event_val(r->ev, (enum cf_field)t->to.field) : NULL;
    bool same = false;

    if (t->conv == CF_C_APPEND && t->to.field != CF_F_EXTRA) {
        (void)cf_run_convert(r, t, p->val, 0, (enum cf_vkind)p->kind, &same);
        return kept;
    }
    if (old && old->raw == row->raw && old->raw) { /* the same key again: JSON arrays */
        if (t->conv != CF_C_NONE || t->lookup)
            return kept;
        (void)cf_run_add(r, cf_event_add(r->ev, (enum cf_field)t->to.field, p->val));
        return true;
    }
    if (old && old->raw) /* another key was first */
        return kept;
    return (cf_run_convert(r, t, p->val, kept ? 0 : row->raw, (enum cf_vkind)p->kind, &same) && same) || kept;
}

/* True when a field took the text unchanged with its raw name, so that no extra is needed. */
static inline bool map_pair(struct cf_run *r, const struct cf_pair *p, const struct cf_maprow *row)
{
    bool kept = false;

    if (cf_is_null(r->src, p->val) || p->kind == CF_V_NULL)
        return false;
    for (const struct cf_target *t = row->t, *end = t + row->n; t < end; t++) {
        bool address = t->fast == CF_FAST_ADDRESS;
        if (map_plain(r, t, p, kept || address ? 0 : row->raw))
            kept = kept || !address;
        else
            kept = map_target(r, p, row, t, kept);
    }
    return kept;
}

/* The row for a pair: the one of its key, unless the case of a switch has its own. */
static const struct cf_maprow *row_of(const struct cf_run *r, const struct cf_pair *p, const struct cf_key *k, const struct cf_map *special)
{
    const struct cf_source *s = r->src;
    const struct cf_maprow *row;
    cf_str key = p->group == CF_G_SD ? cf_str_sub(p->key, p->leaf, p->key.n) : p->key;
    uint64_t hash;

    if (!special && p->ent)
        return k->row;
    hash = p->ent ? k->hash : cf_hash64(key);
    row = special ? cf_map_find(special, key, hash) : NULL;
    if (row || p->ent)
        return row ? row : k->row;
    row = cf_map_find(&s->map, key, hash);
    return row || !s->base ? row : cf_map_find(&s->base->map, key, hash);
}

static __attribute__((noinline)) void map_any(struct cf_run *r, const struct cf_pair *p, struct cf_key *k, const struct cf_map *special)
{
    const struct cf_maprow *row = row_of(r, p, k, special);

    if (!row || (row->n && !map_pair(r, p, row))) /* no target: a helper that is not kept */
        keep_extra(r, p, k);
}

/* What the usual ways write, apart from the run while pairs go them: the end of the event's values and its slots. */
struct tail {
    struct cf_value *v;    /* the next one */
    const struct cf_value *limit; /* v up to limit: there is room for two more that slots can name */
    uint8_t *slot;
    unsigned n;
};

static inline struct tail tail_of(struct cf_event *ev)
{
    unsigned room = ev->cap < 254u ? ev->cap : 254u;

    return (struct tail){ev->val + ev->n, ev->val + room - 2, ev->slot, ev->n};
}

/* One more value as the key says, with the pair's text. */
static inline void append(struct tail *t, const struct cf_value *as, const struct cf_pair *p)
{
    struct cf_value *v = t->v++;

    t->n++;
    *v = *as;
    v->p = p->val.p;
    v->n = (uint32_t)p->val.n;
    v->kind = p->kind;
}

/* The value is one, and of the type of the key's field. null_first: of the source. */
static inline bool may_place(struct cf_run *r, const bool *null_first, const struct cf_pair *p, const struct cf_key *k, enum cf_way way)
{
    if (!p->val.n || p->kind == CF_V_NULL || (null_first[(unsigned char)p->val.p[0]] && cf_is_null(r->src, p->val)))
        return false;
    if (way == CF_WAY_NUMBER)
        return plain_number(r, k->num, p->val);
    if (way == CF_WAY_IP)
        return plain_address(r, k->to, p->val);
    return way != CF_WAY_ADDRESS || (k->as_extra.name && plain_address(r, k->to, p->val));
}

/* The key's usual way. False: it does not fit this value, nothing was done. */
static inline __attribute__((always_inline)) bool map_usual(struct cf_run *r, struct tail *t, const bool *null_first, const struct cf_pair *p, const struct cf_key *k)
{
    enum cf_way way = (enum cf_way)k->way;

    if (t->v > t->limit)
        return false;
    if (way == CF_WAY_KEEP) {
        append(t, &k->as_extra, p);
        return true;
    }
    if (way < CF_WAY_TEXT)
        return way == CF_WAY_SKIP;
    if (t->slot[k->to] || !may_place(r, null_first, p, k, way))
        return false;
    append(t, &k->as_field, p);
    t->slot[k->to] = (uint8_t)t->n;
    if (way >= CF_WAY_ADDRESS)
        append(t, &k->as_extra, p);
    return true;
}

/* Through its conversion into the key's field, which has no value yet; its own text stays as an extra unless nothing changed. */
static bool map_converted(struct cf_run *r, const struct cf_pair *p, const struct cf_key *k)
{
    bool same = false;

    if (r->ev->slot[k->to] || !k->as_extra.name || p->kind == CF_V_NULL || cf_is_null(r->src, p->val))
        return false;
    if (!cf_run_convert(r, &k->row->t[0], p->val, k->row->raw, (enum cf_vkind)p->kind, &same) || !same)
        (void)cf_run_add(r, cf_event_put_extra(r->ev, k->extra, p->val, k->raw, (enum cf_vkind)p->kind));
    return true;
}

void cf_run_map(struct cf_run *r, const struct cf_map *special, size_t from)
{
    struct cf_key *keys = r->t->key;
    const bool *null_first = r->src->null_first;
    const struct cf_pair *p = r->pairs.v + from, *end = r->pairs.v + r->pairs.n;
    struct tail t = tail_of(r->ev);

    for (; special && p < end; p++)
        if (p->group != CF_G_DONE)
            map_any(r, p, &keys[p->ent], special);
    if (special)
        return;
    for (; p < end; p++) {
        struct cf_key *k = &keys[p->ent]; /* CF_WAY_ANY: of entry 0, for keys that are not kept, and of CF_G_DONE */
        if (map_usual(r, &t, null_first, p, k))
            continue;
        r->ev->n = (uint16_t)t.n;
        if (p->group != CF_G_DONE && (k->way != CF_WAY_CONVERT || !map_converted(r, p, k)))
            map_any(r, p, k, NULL);
        t = tail_of(r->ev);
    }
    r->ev->n = (uint16_t)t.n;
}
