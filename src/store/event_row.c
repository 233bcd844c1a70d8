/* SPDX-License-Identifier: Apache-2.0
 * A row of the event table (RowBinary) back to an event and its nested ECS JSON. */
#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "store/event_schema.h"

struct rd {
    const char *p, *e;
    bool bad;
};

static bool take(struct rd *r, void *to, size_t n)
{
    if ((size_t)(r->e - r->p) < n) {
        r->bad = true;
        memset(to, 0, n);
        return false;
    }
    memcpy(to, r->p, n);
    r->p += n;
    return true;
}

static uint64_t varint(struct rd *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 63; shift += 7) {
        uint8_t b = 0;

        if (!take(r, &b, 1))
            return 0;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    r->bad = true;
    return 0;
}

static cf_str string(struct rd *r)
{
    uint64_t n = varint(r);
    cf_str s;

    if (n > (size_t)(r->e - r->p)) {
        r->bad = true;
        return CF_STR_NONE;
    }
    s = (cf_str){r->p, (size_t)n};
    r->p += n;
    return s;
}

static bool wanted(const cf_str *fields, size_t n, cf_str name)
{
    if (!n)
        return true;
    for (size_t i = 0; i < n; i++) {
        if (cf_str_eq(fields[i], name) || (cf_str_starts(name, fields[i]) && name.n > fields[i].n && name.p[fields[i].n] == '.'))
            return true;
    }
    return false;
}

static cf_str ip_text(struct cf_arena *a, struct rd *r)
{
    struct cf_ip ip = {0};
    char tmp[46];

    if (!take(r, ip.b, 16))
        return CF_STR_NONE;
    return cf_arena_copy(a, (cf_str){tmp, cf_ip_format(&ip, tmp)});
}

/* One value that is there. */
static cf_str scalar(struct cf_arena *a, struct rd *r, enum cf_coltype type)
{
    int64_t i = 0;
    double d = 0;
    uint8_t b = 0;
    char tmp[32];

    switch (type) {
    case CF_COL_I64: (void)take(r, &i, 8); return cf_arena_printf(a, "%" PRId64, i);
    case CF_COL_F64: (void)take(r, &d, 8); return cf_arena_printf(a, "%.15g", d);
    case CF_COL_TIME: (void)take(r, &i, 8); return cf_arena_copy(a, (cf_str){tmp, cf_time_format(i, tmp)});
    case CF_COL_BOOL: (void)take(r, &b, 1); return b ? CF_STR("true") : CF_STR("false");
    case CF_COL_IP:
    case CF_COL_AIP: return ip_text(a, r);
    default: return string(r);
    }
}

static void field(struct cf_event *ev, struct rd *r, size_t f, enum cf_coltype type, bool keep)
{
    uint8_t null = 0;
    cf_str s;

    if (cf_coltype_array(type)) {
        uint64_t n = varint(r);

        for (uint64_t i = 0; i < n && !r->bad; i++) {
            s = scalar(ev->arena, r, type);
            if (keep && s.p)
                (void)cf_event_add(ev, (enum cf_field)f, s);
        }
        return;
    }
    if (type != CF_COL_LC && type != CF_COL_STR && (!take(r, &null, 1) || null))
        return;
    s = scalar(ev->arena, r, type);
    if (keep && s.n)
        (void)cf_event_set(ev, (enum cf_field)f, s);
}

static enum cf_vkind kind_at(cf_str kinds)
{
    char c = kinds.n ? kinds.p[0] : 's';

    return c == 'n' ? CF_V_INT : c == 'f' ? CF_V_FLOAT : c == 'b' ? CF_V_BOOL : CF_V_STR;
}

/* Over the kinds of a value that is not wanted. */
static void next_kinds(cf_str *kinds, cf_str v)
{
    size_t n = 1;

    for (size_t i = 0; i < v.n; i++)
        n += v.p[i] == CF_EXTRA_SEP;
    *kinds = cf_str_sub(*kinds, n, kinds->n);
}

static void extras(struct cf_event *ev, struct rd *r, const cf_str *fields, size_t n_fields)
{
    uint64_t n = varint(r);
    struct rd again = *r;
    cf_str kinds = CF_STR_NONE;

    for (uint64_t i = 0; i < n && !again.bad; i++) { /* they stand at the end */
        cf_str k = string(&again), v = string(&again);

        if (cf_str_eqz(k, CF_EXTRA_KINDS))
            kinds = v;
    }
    for (uint64_t i = 0; i < n && !r->bad; i++) {
        cf_str k = string(r), v = string(r);
        enum cf_field f = cf_field_find(k);

        if (cf_str_eqz(k, CF_EXTRA_KINDS))
            continue;
        if (!wanted(fields, n_fields, k)) {
            next_kinds(&kinds, v);
            continue;
        }
        do {
            const char *end = v.n ? memchr(v.p, CF_EXTRA_SEP, v.n) : NULL;
            cf_str one = end ? (cf_str){v.p, (size_t)(end - v.p)} : v;

            if (f != CF_F_EXTRA)
                (void)cf_event_add(ev, f, one); /* a field without a column, or a further value of one that has it */
            else
                (void)cf_event_extra(ev, cf_name_intern(k), one, 0, kind_at(kinds));
            kinds = cf_str_sub(kinds, 1, kinds.n);
            v = end ? (cf_str){end + 1, v.n - one.n - 1} : CF_STR_NONE;
        } while (v.p);
    }
}

static void id_text(struct rd *r, char out[37])
{
    uint64_t hi = 0, lo = 0;

    (void)take(r, &hi, 8);
    (void)take(r, &lo, 8);
    (void)snprintf(out, 37, "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64, hi >> 32, (hi >> 16) & 0xffff, hi & 0xffff,
                   lo >> 48, lo & UINT64_C(0xffffffffffff));
}

int cf_event_row_read(struct cf_arena *a, const char **p, const char *e, const cf_str *fields, size_t n_fields, struct cf_event **ret, char ret_id[37])
{
    const struct cf_column *c = cf_columns();
    struct rd r = {.p = *p, .e = e};
    struct cf_event *ev = cf_event_new(a);

    if (!ev)
        return CF_ENOMEM;
    (void)take(&r, &ev->time_us, 8);
    id_text(&r, ret_id);
    ev->source = string(&r);
    (void)take(&r, &ev->flags, 4);
    for (size_t i = 0; i < CF_F__COUNT && !r.bad; i++) {
        if (c[i].type != CF_COL_COLD)
            field(ev, &r, i, c[i].type, wanted(fields, n_fields, (cf_str){cf_fields[i].name, cf_fields[i].name_n}));
    }
    extras(ev, &r, fields, n_fields);
    if (r.bad)
        return CF_ECORRUPT;
    ev->original = cf_event_get(ev, CF_F_EVENT_ORIGINAL);
    *p = r.p;
    *ret = ev;
    return 0;
}

int cf_event_row_json(struct cf_arena *a, const char **p, const char *e, const cf_str *fields, size_t n_fields, struct cf_buf *out,
                      int64_t *ret_time_us, char ret_id[37])
{
    struct cf_event *ev = NULL;
    cf_str source;
    size_t at;
    int r = cf_event_row_read(a, p, e, fields, n_fields, &ev, ret_id);

    if (r < 0)
        return r;
    source = ev->source;
    *ret_time_us = ev->time_us;
    at = out->n;
    cf_event_json(ev, out);
    if (out->failed)
        return CF_ENOMEM;
    /* "{" of the event is followed by what only the store knows */
    char extra[160];
    int n = snprintf(extra, sizeof extra, "\"_id\":\"%s\",\"_source\":", ret_id);
    struct cf_buf src;

    cf_buf_init(&src, 0);
    cf_buf_json(&src, source);
    cf_buf_byte(&src, ',');
    size_t ins = (size_t)n + src.n, tail = out->n - at - 1;

    if (!src.failed && cf_buf_reserve(out, ins)) {
        memmove(out->p + at + 1 + ins, out->p + at + 1, tail);
        memcpy(out->p + at + 1, extra, (size_t)n);
        memcpy(out->p + at + 1 + n, src.p, src.n);
        out->n += ins;
    } else {
        out->failed = true;
    }
    cf_buf_release(&src);
    return out->failed ? CF_ENOMEM : 0;
}
