/* SPDX-License-Identifier: Apache-2.0 */
#include "event/event.h"

#include "base/digits.h"
#include "base/zero.h"
#include "base/error.h"

#define CF_EVENT_CAP_FIRST 64u

struct cf_event *cf_event_new(struct cf_arena *batch)
{
    struct cf_event *ev = cf_arena_alloc(batch, sizeof *ev);

    if (!ev)
        return NULL;
    cf_zero(ev, sizeof *ev);
    ev->arena = batch;
    ev->time_us = CF_TIME_NONE;
    ev->val = cf_arena_alloc(batch, sizeof *ev->val * CF_EVENT_CAP_FIRST);
    if (!ev->val)
        return NULL;
    ev->cap = CF_EVENT_CAP_FIRST;
    return ev;
}

static int grow(struct cf_event *ev)
{
    size_t cap = (size_t)ev->cap * 2;
    struct cf_value *v;

    if (ev->n >= CF_EVENT_VALUES_MAX) {
        ev->flags |= CF_EV_TRUNCATED;
        return CF_ELIMIT;
    }
    if (cap > CF_EVENT_VALUES_MAX)
        cap = CF_EVENT_VALUES_MAX;
    v = cf_arena_alloc(ev->arena, sizeof *v * cap);
    if (!v)
        return CF_ENOMEM;
    memcpy(v, ev->val, sizeof *v * ev->n);
    ev->val = v;
    ev->cap = (uint16_t)cap;
    return 0;
}

static inline struct cf_value *append(struct cf_event *ev, int *ret)
{
    if (ev->n == ev->cap && (*ret = grow(ev)) < 0)
        return NULL;
    return &ev->val[ev->n++];
}

/* Values whose index does not fit a slot byte (over 254 values came first) cannot become typed fields. */
static int slot_full(struct cf_event *ev)
{
    ev->flags |= CF_EV_TRUNCATED;
    return CF_ELIMIT;
}

int cf_event_set_raw(struct cf_event *ev, enum cf_field f, cf_str v, uint16_t raw, enum cf_vkind kind)
{
    struct cf_value *val;
    int r = 0;

    if (ev->slot[f]) {
        val = &ev->val[ev->slot[f] - 1];
    } else {
        if (ev->n >= 255)
            return slot_full(ev);
        val = append(ev, &r);
        if (!val)
            return r;
        ev->slot[f] = (uint8_t)ev->n;
    }
    cf_value_fill(val, v, (uint16_t)f, raw, 0, kind);
    return 0;
}

int cf_event_set(struct cf_event *ev, enum cf_field f, cf_str v) { return cf_event_set_raw(ev, f, v, 0, CF_V_STR); }

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
/* The digits of v < 10^8 at ret, which has room for eight; how many. All eight are made at once and zeros in front dropped. */
static unsigned digits8(uint32_t v, char ret[8])
{
    uint64_t four = v / 10000 | (uint64_t)(v % 10000) << 32, two, one, text;
    unsigned zeros;

    two = (four * 10486 >> 20) & 0x7f0000007f; /* hundreds */
    two |= (four - two * 100) << 16;
    one = (two * 103 >> 10) & 0xf000f000f000f; /* tens */
    one |= (two - one * 10) << 8;
    zeros = one ? (unsigned)__builtin_ctzll(one) / 8 : 7;
    text = (one | UINT64_C(0x3030303030303030)) >> zeros * 8;
    memcpy(ret, &text, 8);
    return 8 - zeros;
}
#else
static unsigned digits8(uint32_t v, char ret[8])
{
    char room[20], *from = cf_digits_before(room + 20, v);
    unsigned n = (unsigned)(room + 20 - from);

    memcpy(ret, from, n);
    return n;
}
#endif

int cf_event_set_i64(struct cf_event *ev, enum cf_field f, int64_t v)
{
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char *end = cf_arena_bytes(ev->arena, 20), *p;

    if (!end)
        return CF_ENOMEM;
    if (v >= 0 && v < 100000000)
        return cf_event_put(ev, f, cf_str_n(end, digits8((uint32_t)v, end)), 0, CF_V_INT);
    end += 20;
    p = cf_digits_before(end, u);
    if (v < 0)
        *--p = '-';
    return cf_event_put(ev, f, cf_str_n(p, (size_t)(end - p)), 0, CF_V_INT);
}

int cf_event_add(struct cf_event *ev, enum cf_field f, cf_str v)
{
    struct cf_value *val;
    uint16_t at;
    int r = 0;

    if (!ev->slot[f])
        return cf_event_set(ev, f, v);
    at = (uint16_t)(ev->slot[f] - 1);
    for (;;) {
        val = &ev->val[at];
        if (val->n == v.n && memcmp(val->p, v.p, v.n) == 0)
            return 0;
        if (!val->next)
            break;
        at = (uint16_t)(val->next - 1);
    }
    val = append(ev, &r);
    if (!val)
        return r;
    cf_value_fill(val, v, (uint16_t)f, 0, 0, CF_V_STR);
    ev->val[at].next = ev->n;
    return 0;
}

int cf_event_extra(struct cf_event *ev, uint16_t name, cf_str v, uint16_t raw, enum cf_vkind kind)
{
    struct cf_value *val;
    int r = 0;

    val = append(ev, &r);
    if (!val)
        return r;
    cf_value_fill(val, v, CF_F_EXTRA, raw, name, kind);
    return 0;
}

void cf_event_unset(struct cf_event *ev, enum cf_field f)
{
    if (!ev->slot[f])
        return;
    for (size_t i = ev->slot[f]; i;) { /* dead values stay in val as unnamed extras */
        struct cf_value *v = &ev->val[i - 1];
        i = v->next;
        *v = (struct cf_value){.p = "", .id = CF_F_EXTRA, .kind = CF_V_NULL};
    }
    ev->slot[f] = 0;
}

const struct cf_value *cf_event_find(const struct cf_event *ev, cf_str name)
{
    enum cf_field f = cf_field_find(name);
    uint16_t id;

    if (f != CF_F_EXTRA)
        return cf_event_val(ev, f);
    id = cf_name_find(name);
    if (!id)
        return NULL;
    for (size_t i = 0; i < ev->n; i++)
        if (ev->val[i].id == CF_F_EXTRA && ev->val[i].name == id)
            return &ev->val[i];
    return NULL;
}
