/* SPDX-License-Identifier: Apache-2.0
 * Flow messages -> pairs; reading of packets, templates and records that splitting shares is in netflow_wire.h. */
#include "normalise/netflow.h"

#include <stdio.h>
#include <stdlib.h>

#include "normalise/netflow_wire.h"
#include "normalise/sflow.h"

enum ie_kind { UINT, IP4, IP6, MAC, TEXT, BYTES, TIME, NONE };
static const struct ie {
    uint16_t id;
    const char *name;
    uint8_t n;
    uint8_t kind;
} elements[] = {
#define IE(id, name, kind) {id, name, sizeof(name) - 1, kind},
#include "normalise/netflow_elements.def"
#undef IE
};

static const struct ie *find_ie(uint16_t id)
{
    size_t lo = 0, hi = sizeof elements / sizeof *elements;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (elements[mid].id == id)
            return &elements[mid];
        if (elements[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

struct flow {
    struct cf_arena *a;
    struct cf_pairs *ps;
    int64_t start_us, end_us, start_ns, end_ns; /* ns: rest below a microsecond */
    int64_t export_us;                          /* of the packet's header */
    uint32_t uptime_ms, up_start, up_end;       /* the exporter's clock since its start: header; flow */
    bool has_start, has_end, has_uptime, has_up_start, has_up_end, oom;
};

static char *room(struct flow *f, size_t n)
{
    char *p = cf_arena_bytes(f->a, n);

    f->oom = f->oom || !p;
    return p;
}

static void pair(struct flow *f, cf_str key, cf_str val, enum cf_vkind kind)
{
    if (key.p && val.p && !cf_pair_add(f->ps, key, val, kind))
        f->ps->full = true;
}

static cf_str number_text(struct flow *f, uint64_t v)
{
    char tmp[24], *p;
    size_t n = sizeof tmp;

    do {
        tmp[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    p = room(f, sizeof tmp - n);
    if (!p)
        return CF_STR_NONE;
    memcpy(p, tmp + n, sizeof tmp - n);
    return cf_str_n(p, sizeof tmp - n);
}

static cf_str hex_text(struct flow *f, const uint8_t *v, size_t n, char sep)
{
    static const char digit[] = "0123456789abcdef";
    char *p;
    size_t k = 0;

    n = n < 4096 ? n : 4096;
    p = room(f, n * 3 + 1);
    if (!p)
        return CF_STR_NONE;
    for (size_t i = 0; i < n; i++) {
        if (sep && i)
            p[k++] = sep;
        p[k++] = digit[v[i] >> 4];
        p[k++] = digit[v[i] & 15];
    }
    return cf_str_n(p, k);
}

static cf_str ip_text(struct flow *f, const uint8_t *v, size_t n)
{
    struct cf_ip ip = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
    char *p = room(f, 46);

    memcpy(ip.b + 16 - n, v, n);
    return p ? cf_str_n(p, cf_ip_format(&ip, p)) : CF_STR_NONE;
}

static cf_str text_text(struct flow *f, const uint8_t *v, size_t n)
{
    char *p;

    while (n && v[n - 1] == 0)
        n--;
    p = room(f, n + 1);
    if (!p)
        return CF_STR_NONE;
    for (size_t i = 0; i < n; i++)
        p[i] = v[i] < 0x20 || v[i] == 0x7f ? ' ' : (char)v[i];
    if (!cf_utf8_valid(cf_str_n(p, n)))
        for (size_t i = 0; i < n; i++)
            p[i] = (p[i] & 0x80) ? '?' : p[i];
    return cf_str_n(p, n);
}

/* ---- times ----------------------------------------------------------------------------------------------------------------- */

static void set_time(struct flow *f, bool start, int64_t us, int64_t ns)
{
    if (us <= 0 || us > INT64_C(253402300799) * CF_US_PER_S)
        return;
    if (start) {
        f->start_us = us;
        f->start_ns = ns;
        f->has_start = true;
    } else {
        f->end_us = us;
        f->end_ns = ns;
        f->has_end = true;
    }
}

/* NTP: seconds since 1900 and a 32-bit fraction. */
static void set_ntp(struct flow *f, bool start, uint64_t v)
{
    int64_t s = (int64_t)(v >> 32) - INT64_C(2208988800);
    uint64_t ns = ((v & 0xffffffffu) * UINT64_C(1000000000)) >> 32;

    if (s < 0)
        s += INT64_C(1) << 32; /* after 2036 */
    set_time(f, start, s * CF_US_PER_S + (int64_t)(ns / 1000), (int64_t)(ns % 1000));
}

static bool note_time(struct flow *f, uint16_t id, uint64_t v, size_t n)
{
    bool start = !(id & 1);

    if (n == 0 || n > 8)
        return false;
    switch (id) {
    case 21: case 22: /* 32 bits of milliseconds that start again every 49.7 days: only differences mean something */
        *(start ? &f->up_start : &f->up_end) = (uint32_t)v;
        *(start ? &f->has_up_start : &f->has_up_end) = true;
        if (f->has_uptime)
            set_time(f, start, f->export_us + (int64_t)(int32_t)((uint32_t)v - f->uptime_ms) * 1000, 0);
        return f->has_uptime; /* IPFIX says its start in an options record only: kept as numbers */
    case 150: case 151: set_time(f, start, v < (UINT64_C(1) << 40) ? (int64_t)v * CF_US_PER_S : 0, 0); return true;
    case 152: case 153: set_time(f, start, v < (UINT64_C(1) << 52) ? (int64_t)v * 1000 : 0, 0); return true;
    case 154: case 155: case 156: case 157: set_ntp(f, start, v); return true;
    case 158: case 159: set_time(f, start, v < (UINT64_C(1) << 50) ? f->export_us - (int64_t)v : 0, 0); return true;
    default: return false;
    }
}

static void time_pair(struct flow *f, cf_str key, int64_t us)
{
    char *p = room(f, 32);

    if (p)
        pair(f, key, cf_str_n(p, cf_time_format(us, p)), CF_V_STR);
}

static void times(struct flow *f)
{
    if (f->has_start)
        time_pair(f, CF_STR("flow.start"), f->start_us);
    if (f->has_end)
        time_pair(f, CF_STR("flow.end"), f->end_us);
    if (f->has_start && f->has_end && f->end_us >= f->start_us && f->end_us - f->start_us < INT64_MAX / 1000 - 1) {
        int64_t ns = (f->end_us - f->start_us) * 1000 + f->end_ns - f->start_ns;

        if (ns >= 0)
            pair(f, CF_STR("flow.duration_ns"), number_text(f, (uint64_t)ns), CF_V_INT);
    } else if (f->has_up_start && f->has_up_end) {
        pair(f, CF_STR("flow.duration_ns"), number_text(f, (uint64_t)(uint32_t)(f->up_end - f->up_start) * 1000000u), CF_V_INT);
    }
}

/* ---- fields ------------------------------------------------------------------------------------------------------------------ */

static cf_str strange_name(struct flow *f, const struct nf_field *d)
{
    char *p = room(f, 40);
    int n;

    if (!p)
        return CF_STR_NONE;
    n = d->pen ? snprintf(p, 40, "enterprise_%u_%u", (unsigned)d->pen, (unsigned)d->id) : snprintf(p, 40, "field_%u", (unsigned)d->id);
    return cf_str_n(p, (size_t)n);
}

static void one_field(struct flow *f, const struct nf_field *d, const uint8_t *v, size_t n)
{
    const struct ie *e = d->pen == 0 || d->pen == NF_REVERSE_PEN ? find_ie(d->id) : NULL;
    uint64_t num = nf_uint(v, n);
    cf_str key;

    if (d->pen == 0 && note_time(f, d->id, num, n))
        return;
    if (n == 0 || (e && e->kind == NONE))
        return;
    if (!e) {
        key = strange_name(f, d);
    } else if (d->pen == NF_REVERSE_PEN) { /* RFC 5103 */
        char *p = room(f, (size_t)e->n + 8);

        key = CF_STR_NONE;
        if (p)
            key = cf_str_n(p, (size_t)snprintf(p, (size_t)e->n + 8, "reverse%c%s", e->name[0] & ~0x20, e->name + 1));
    } else {
        key = cf_str_n(e->name, e->n);
    }
    if (e && e->kind == IP4 && n == 4)
        pair(f, key, ip_text(f, v, 4), CF_V_STR);
    else if (e && e->kind == IP6 && n == 16)
        pair(f, key, ip_text(f, v, 16), CF_V_STR);
    else if (e && e->kind == MAC && n == 6)
        pair(f, key, hex_text(f, v, 6, '-'), CF_V_STR);
    else if (e && e->kind == TEXT)
        pair(f, key, text_text(f, v, n), CF_V_STR);
    else if ((!e || e->kind == UINT || e->kind == TIME) && n <= 8)
        pair(f, key, number_text(f, num), CF_V_INT);
    else
        pair(f, key, hex_text(f, v, n, 0), CF_V_STR);
}

static void head_number(struct flow *f, cf_str key, uint64_t v) { pair(f, key, number_text(f, v), CF_V_INT); }

static void v5_record(struct flow *f, const uint8_t *h, const uint8_t *p)
{
    static const struct {
        uint16_t id;
        uint8_t off, n;
    } v5[] = {{8, 0, 4}, {12, 4, 4}, {15, 8, 4}, {10, 12, 2}, {14, 14, 2}, {2, 16, 4}, {1, 20, 4}, {22, 24, 4}, {21, 28, 4}, {7, 32, 2}, {11, 34, 2},
              {6, 37, 1}, {4, 38, 1}, {5, 39, 1}, {16, 40, 2}, {17, 42, 2}, {9, 44, 1}, {13, 45, 1}};
    int64_t now_us = (int64_t)nf_u32(h + 8) * CF_US_PER_S + (int64_t)nf_u32(h + 12) / 1000;

    f->export_us = now_us;
    f->uptime_ms = nf_u32(h + 4);
    f->has_uptime = true;
    head_number(f, CF_STR("version"), 5);
    head_number(f, CF_STR("sequence"), nf_u32(h + 16));
    head_number(f, CF_STR("engineType"), h[20]);
    head_number(f, CF_STR("engineId"), h[21]);
    head_number(f, CF_STR("samplingInterval"), nf_u16(h + 22) & 0x3fffu);
    for (size_t i = 0; i < sizeof v5 / sizeof *v5; i++) {
        const struct nf_field d = {.id = v5[i].id};

        one_field(f, &d, p + v5[i].off, v5[i].n);
    }
}

/* Everything of one template that this message itself defines. */
struct message {
    struct flow *f;
    struct nf_template t;
    bool found;
};

static void on_template(void *ctx, const struct nf_template *t)
{
    struct message *m = ctx;

    if (!t->options && m->t.n == 0 && t->n)
        m->t = *t;
}

static bool on_data(void *ctx, uint16_t id, const uint8_t *p, size_t n)
{
    struct message *m = ctx;
    struct nf_value v[NF_FIELDS_MAX];

    if (m->found || m->t.n == 0 || m->t.id != id || nf_record(&m->t, p, n, v) == 0)
        return true;
    m->found = true;
    for (size_t i = 0; i < m->t.n; i++)
        one_field(m->f, &m->t.field[i], v[i].p, v[i].n);
    return false;
}

static void sflow_sample(struct flow *f, const struct sf_flow *s)
{
    pair(f, CF_STR("exportProtocol"), CF_STR("sflow"), CF_V_STR);
    head_number(f, CF_STR("sflowVersion"), 5);
    head_number(f, CF_STR("sequence"), s->sequence);
    head_number(f, CF_STR("subAgent"), s->sub_agent);
    head_number(f, CF_STR("samplePool"), s->pool);
    head_number(f, CF_STR("sampleDrops"), s->drops);
    for (size_t i = 0; i < s->n; i++) {
        const struct nf_field d = {.id = s->field[i].id};

        one_field(f, &d, s->field[i].p, s->field[i].n);
    }
}

int cf_netflow_pairs(cf_str s, struct cf_arena *a, struct cf_pairs *ret, struct cf_error *reterr)
{
    const uint8_t *p = (const uint8_t *)s.p;
    struct flow f = {.a = a, .ps = ret};
    unsigned version = s.n >= 2 ? nf_u16(p) : 0;
    struct message *m;
    struct nf_head h;
    bool found = false;

    if (sf_is(p, s.n)) { /* has no clock: the event has the time it came */
        struct sf_flow sample;

        if (!sf_read(p, s.n, &sample))
            return cf_error_set(reterr, CF_ESYNTAX, "sFlow datagram without a flow sample that says anything");
        sflow_sample(&f, &sample);
        return f.oom ? cf_error_set(reterr, CF_ENOMEM, "flow record") : 0;
    }
    if (version == 5) {
        if (s.n < 24 + 48)
            return cf_error_set(reterr, CF_ESYNTAX, "NetFlow v5 of %zu bytes: a record needs 72", s.n);
        v5_record(&f, p, p + 24);
    } else if (nf_head(p, s.n, &h)) {
        m = cf_arena_alloc(a, sizeof *m);
        if (!m)
            return cf_error_set(reterr, CF_ENOMEM, "flow record");
        memset(m, 0, sizeof *m);
        m->f = &f;
        f.export_us = (int64_t)h.export_s * CF_US_PER_S;
        f.uptime_ms = h.uptime_ms;
        f.has_uptime = h.version == 9;
        head_number(&f, CF_STR("version"), h.version);
        head_number(&f, CF_STR("sequence"), h.sequence);
        head_number(&f, CF_STR("domain"), h.domain);
        (void)nf_sets(p, s.n, &h, on_template, on_data, m);
        found = m->found;
        if (!found)
            return cf_error_set(reterr, CF_ESYNTAX, "flow message without a data record of its template");
    } else {
        return cf_error_set(reterr, CF_ESYNTAX, "no NetFlow v5, v9, IPFIX or sFlow v5 message");
    }
    time_pair(&f, CF_STR("exported"), f.export_us);
    times(&f);
    return f.oom ? cf_error_set(reterr, CF_ENOMEM, "flow record") : 0;
}
