/* SPDX-License-Identifier: Apache-2.0
 * Asking the set of active indicators; see matcher.h. */
#include <stdio.h>

#include "ti/matcher_int.h"

size_t cf_ti_set_count(const struct cf_ti_set *s) { return s->n; }
const struct cf_ti_entry *cf_ti_set_entry(const struct cf_ti_set *s, size_t i) { return &s->entry[i]; }
const struct cf_ti_info *cf_ti_entry_info(const struct cf_ti_set *s, const struct cf_ti_entry *e) { return &s->info[e->info]; }

size_t cf_ti_set_bytes(const struct cf_ti_set *s)
{
    return sizeof *s + s->n_blocks * BLOCK * 4 + (size_t)(s->mask + 1) * sizeof *s->slot + 8192 + s->cap * sizeof *s->entry + s->text_cap +
           s->cap_info * sizeof *s->info + s->arena.used;
}

cf_str cf_ti_entry_text(const struct cf_ti_set *s, const struct cf_ti_entry *e, char buf[80])
{
    const uint8_t *p = (const uint8_t *)s->text + e->value_off;
    struct cf_ip ip = {{0}};
    size_t n, k = e->value_n;

    switch ((enum cf_ti_type)e->type) {
    case CF_TI_IPV4:
    case CF_TI_IPV6:
    case CF_TI_CIDR:
        if (e->type == CF_TI_CIDR)
            k--;
        if (k == 4)
            ip.b[10] = ip.b[11] = 0xff;
        memcpy(ip.b + (k == 4 ? 12 : 0), p, k);
        n = cf_ip_format(&ip, buf);
        if (e->type == CF_TI_CIDR)
            n += (size_t)snprintf(buf + n, 80 - n, "/%u", p[k]);
        return cf_str_n(buf, n);
    case CF_TI_MD5:
    case CF_TI_SHA1:
    case CF_TI_SHA256:
    case CF_TI_JA3:
    case CF_TI_CERT:
        cf_hex(p, k, buf);
        return cf_str_n(buf, 2 * k);
    default: return cf_str_n((const char *)p, k);
    }
}

/* ---- look-ups ---- */

static inline bool bloom_has(const struct cf_ti_set *s, uint64_t h)
{
    const uint32_t *b = block_of(s, h);
    uint32_t miss = 0;

    for (int i = 0; i < BLOCK; i++)
        miss |= ~b[i] & (1u << (((uint32_t)h * ti_salt[i]) >> 27));
    return miss == 0;
}

/* "field=value" lines, all of which must hold. */
static bool cond_holds(const char *cond, const struct cf_event *ev)
{
    cf_str rest = cf_str_c(cond), line, name;

    while (cf_str_cut(&rest, '\n', &line)) {
        const struct cf_value *v;
        bool any = false;

        (void)cf_str_cut(&line, '=', &name);
        for (v = cf_event_find(ev, name); v && !any; v = cf_event_next(ev, v))
            any = cf_str_ieq((cf_str){v->p, v->n}, line);
        if (!any)
            return false;
    }
    return true;
}

struct ask {
    const struct cf_ti_set *s;
    const struct cf_event *ev;
    uint32_t now_s;
    bool whole; /* the key is the whole name, not a suffix of it */
    const struct cf_ti_entry *best;
};

static __attribute__((noinline)) void probe(struct ask *a, const struct key *k, uint64_t h)
{
    const struct cf_ti_set *s = a->s;

    for (size_t at = (size_t)(h & s->mask); s->slot[at].entry; at = (at + 1) & (size_t)s->mask) {
        const struct cf_ti_entry *e = &s->entry[s->slot[at].entry - 1];
        struct key x;

        if (s->slot[at].fp != (uint32_t)(h >> 24))
            continue;
        ti_stored_key(s, e, &x);
        if (x.kind != k->kind || x.bits != k->bits || x.n != k->n || memcmp(x.p, k->p, k->n) != 0)
            continue;
        if (e->until_s <= a->now_s || (a->best && a->best->confidence >= e->confidence) || ((e->flags & FLAG_EXACT) && !a->whole))
            continue;
        if ((e->flags & FLAG_COND) && (!a->ev || !cond_holds(s->text + e->cond_off, a->ev)))
            continue;
        a->best = e;
    }
}

static inline void look(struct ask *a, enum kind kind, unsigned bits, const void *p, size_t n)
{
    uint64_t h = hash_of(kind, bits, p, n);

    if (bloom_has(a->s, h))
        probe(a, &(struct key){kind, bits, n, p}, h);
}

static inline bool has_kind(const struct cf_ti_set *s, enum kind k) { return (s->kinds >> k & 1) != 0; }

/* False: the text begins like an IPv4 address, and no address or range of the set begins with these 16 bits. */
static inline bool top16_may(const struct cf_ti_set *s, cf_str t)
{
    unsigned v[2] = {0, 0};
    size_t i = 0;

    for (int k = 0; k < 2; k++) {
        size_t from = i;

        for (unsigned c; i < t.n && i - from < 3 && (c = (unsigned)(t.p[i] - '0')) < 10; i++)
            v[k] = v[k] * 10 + c;
        if (i == from || i >= t.n || t.p[i++] != '.')
            return true; /* something else: read as a whole */
    }
    return v[0] < 256 && v[1] < 256 && (s->top16[v[0] * 32 + v[1] / 8] >> (v[1] % 8) & 1) != 0;
}

static void look_ip(struct ask *a, const struct cf_ip *ip)
{
    const struct cf_ti_set *s = a->s;
    uint8_t net[16];

    a->whole = true;
    if (cf_ip_is4(ip)) {
        size_t top = (size_t)ip->b[12] << 8 | ip->b[13];

        if (!(s->top16[top / 8] >> (top % 8) & 1))
            return;
        if (has_kind(s, K_IP4))
            look(a, K_IP4, 0, ip->b + 12, 4);
        for (size_t i = 0; i < s->n_len4; i++) {
            memcpy(net, ip->b + 12, 4);
            ti_mask_bits(net, 4, s->len4[i]);
            look(a, K_NET4, s->len4[i], net, 4);
        }
        return;
    }
    if (has_kind(s, K_IP6))
        look(a, K_IP6, 0, ip->b, 16);
    for (size_t i = 0; i < s->n_len6; i++) {
        memcpy(net, ip->b, 16);
        ti_mask_bits(net, 16, s->len6[i]);
        look(a, K_NET6, s->len6[i], net, 16);
    }
}

/* name: normal form. Longest suffix first; one with two labels at least. */
static void look_name(struct ask *a, const char *name, size_t n)
{
    const char *p = name, *end = name + n, *last = memrchr(name, '.', n);

    a->whole = true;
    for (int labels = 0; last && p <= last && labels < 12; labels++) {
        const char *dot;

        look(a, K_DOMAIN, 0, p, (size_t)(end - p));
        a->whole = false;
        if (a->best)
            return;
        dot = memchr(p, '.', (size_t)(end - p));
        if (!dot)
            return;
        p = dot + 1;
    }
    a->whole = true;
}

static void look_host(struct ask *a, cf_str s)
{
    char name[256];
    struct cf_ip ip;
    size_t n;

    if (s.n == 0)
        return;
    if ((s.p[s.n - 1] >= '0' && s.p[s.n - 1] <= '9') || memchr(s.p, ':', s.n)) {
        if (cf_ip_parse(s, &ip)) {
            look_ip(a, &ip);
            return;
        }
    }
    if (!has_kind(a->s, K_DOMAIN))
        return;
    n = cf_ti_host(s, name);
    if (n)
        look_name(a, name, n);
}

static void look_url(struct ask *a, cf_str url)
{
    char key[CF_TI_VALUE_MAX + 1];
    size_t n, path, query;

    if (!has_kind(a->s, K_URL) || url.n < 4 || url.p[0] == '/')
        return;
    n = cf_ti_url_key(url, key, &path, &query);
    if (n == 0)
        return;
    a->whole = true;
    look(a, K_URL, 0, key, n);
    if (!a->best && query < n)
        look(a, K_URL, 0, key, query);
}

static void look_hex(struct ask *a, enum kind k, cf_str s)
{
    uint8_t b[32];

    if (has_kind(a->s, k) && ti_hex_bytes(s, b))
        look(a, k, 0, b, s.n / 2);
}

static void look_lower(struct ask *a, enum kind k, cf_str s)
{
    char b[321];

    if (!has_kind(a->s, k) || s.n >= sizeof b)
        return;
    for (size_t i = 0; i < s.n; i++)
        b[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 32) : s.p[i];
    look(a, k, 0, b, s.n);
}

static void look_email(struct ask *a, cf_str s)
{
    const char *at;

    s = cf_str_trim(s);
    at = s.n ? memrchr(s.p, '<', s.n) : NULL; /* "Name <address>" */
    if (at && s.p[s.n - 1] == '>')
        s = cf_str_n(at + 1, s.n - (size_t)(at - s.p) - 2);
    look_lower(a, K_EMAIL, s);
    at = s.n ? memchr(s.p, '@', s.n) : NULL;
    if (!a->best && at)
        look_host(a, cf_str_sub(s, (size_t)(at - s.p) + 1, s.n));
}

static void look_text(struct ask *a, enum cf_ti_type type, cf_str s)
{
    struct cf_ip ip;
    struct cf_cidr c;

    a->whole = true;
    switch (type) {
    case CF_TI_IPV4:
    case CF_TI_IPV6:
        if (top16_may(a->s, s) && cf_ip_parse(s, &ip))
            look_ip(a, &ip);
        return;
    case CF_TI_CIDR:
        if (cf_cidr_parse(s, &c))
            look_ip(a, &c.ip);
        return;
    case CF_TI_DOMAIN:
    case CF_TI_ANY: look_host(a, s); return;
    case CF_TI_URL: look_url(a, s); return;
    case CF_TI_MD5: /* by length: sources put any of them anywhere */
    case CF_TI_SHA1:
    case CF_TI_SHA256: look_hex(a, s.n == 32 ? K_MD5 : s.n == 40 ? K_SHA1 : K_SHA256, s); return;
    case CF_TI_JA3: look_hex(a, K_JA3, s); return;
    case CF_TI_CERT: look_hex(a, K_CERT, s); return;
    case CF_TI_EMAIL: look_email(a, s); return;
    case CF_TI_JA4: look_lower(a, K_JA4, s); return;
    case CF_TI_ACCOUNT: look_lower(a, K_ACCOUNT, s); return;
    case CF_TI_WALLET:
        if (has_kind(a->s, K_WALLET))
            look(a, K_WALLET, 0, s.p, s.n);
        return;
    }
}

const struct cf_ti_entry *cf_ti_find(const struct cf_ti_set *s, enum cf_ti_type type, cf_str text, uint32_t now_s, const struct cf_event *ev)
{
    struct ask a = {.s = s, .ev = ev, .now_s = now_s};

    if (s && s->n && text.n)
        look_text(&a, type, text);
    return a.best;
}

const struct cf_ti_field cf_ti_fields[] = {
    {CF_F_SOURCE_IP, CF_TI_IPV4}, {CF_F_DESTINATION_IP, CF_TI_IPV4}, {CF_F_CLIENT_IP, CF_TI_IPV4}, {CF_F_SERVER_IP, CF_TI_IPV4},
    {CF_F_SOURCE_NAT_IP, CF_TI_IPV4}, {CF_F_DESTINATION_NAT_IP, CF_TI_IPV4}, {CF_F_DNS_RESOLVED_IP, CF_TI_IPV4}, {CF_F_DNS_ANSWERS_DATA, CF_TI_ANY},
    {CF_F_DNS_QUESTION_NAME, CF_TI_DOMAIN}, {CF_F_DESTINATION_DOMAIN, CF_TI_ANY}, {CF_F_URL_DOMAIN, CF_TI_ANY}, {CF_F_TLS_CLIENT_SERVER_NAME, CF_TI_ANY},
    {CF_F_SERVER_DOMAIN, CF_TI_ANY}, {CF_F_SOURCE_DOMAIN, CF_TI_ANY}, {CF_F_URL_FULL, CF_TI_URL}, {CF_F_URL_ORIGINAL, CF_TI_URL},
    {CF_F_HTTP_REQUEST_REFERRER, CF_TI_URL}, {CF_F_FILE_HASH_MD5, CF_TI_MD5}, {CF_F_FILE_HASH_SHA1, CF_TI_SHA1}, {CF_F_FILE_HASH_SHA256, CF_TI_SHA256},
    {CF_F_PROCESS_HASH_MD5, CF_TI_MD5}, {CF_F_PROCESS_HASH_SHA1, CF_TI_SHA1}, {CF_F_PROCESS_HASH_SHA256, CF_TI_SHA256},
    {CF_F_EMAIL_FROM_ADDRESS, CF_TI_EMAIL}, {CF_F_EMAIL_TO_ADDRESS, CF_TI_EMAIL}, {CF_F_USER_EMAIL, CF_TI_EMAIL}, {CF_F_TLS_CLIENT_JA3, CF_TI_JA3},
    {CF_F_TLS_SERVER_JA3S, CF_TI_JA3}, {CF_F_TLS_CLIENT_JA4, CF_TI_JA4},
    {CF_F_USER_NAME, CF_TI_ACCOUNT}, {CF_F_SOURCE_USER_NAME, CF_TI_ACCOUNT},
};
const size_t cf_ti_n_fields = sizeof cf_ti_fields / sizeof *cf_ti_fields;

void ti_fields_in_use(struct cf_ti_set *s)
{
    const uint32_t ip = 1u << K_IP4 | 1u << K_IP6 | 1u << K_NET4 | 1u << K_NET6, host = ip | 1u << K_DOMAIN;
    const uint32_t hash = 1u << K_MD5 | 1u << K_SHA1 | 1u << K_SHA256;
    const uint32_t kinds[CF_TI_TYPES + 1] = {[CF_TI_IPV4] = ip, [CF_TI_IPV6] = ip, [CF_TI_CIDR] = ip, [CF_TI_DOMAIN] = host, [CF_TI_ANY] = host, [CF_TI_URL] = 1u << K_URL,
                                             [CF_TI_MD5] = hash, [CF_TI_SHA1] = hash, [CF_TI_SHA256] = hash, [CF_TI_EMAIL] = host | 1u << K_EMAIL, [CF_TI_JA3] = 1u << K_JA3,
                                             [CF_TI_JA4] = 1u << K_JA4, [CF_TI_CERT] = 1u << K_CERT, [CF_TI_ACCOUNT] = 1u << K_ACCOUNT, [CF_TI_WALLET] = 1u << K_WALLET};

    _Static_assert(sizeof cf_ti_fields / sizeof *cf_ti_fields <= FIELDS_MAX, "room for every field");
    for (size_t i = 0; i < cf_ti_n_fields; i++)
        if (kinds[cf_ti_fields[i].as] & s->kinds)
            s->use[s->n_use++] = cf_ti_fields[i];
}

/* A proxy or web server that writes host and path apart. */
static void look_parts(struct ask *a, const struct cf_event *ev)
{
    cf_str host = cf_event_get(ev, CF_F_URL_DOMAIN), path = cf_event_get(ev, CF_F_URL_ORIGINAL), query = CF_STR_NONE;
    char b[CF_TI_VALUE_MAX + 1];

    if (!path.n || path.p[0] != '/') {
        path = cf_event_get(ev, CF_F_URL_PATH);
        query = cf_event_get(ev, CF_F_URL_QUERY);
    }
    if (!host.n || host.n > 253 || !path.n || path.p[0] != '/' || host.n + path.n + query.n + 1 > CF_TI_VALUE_MAX)
        return;
    memcpy(b, host.p, host.n);
    memcpy(b + host.n, path.p, path.n);
    if (query.n) {
        b[host.n + path.n] = '?';
        memcpy(b + host.n + path.n + 1, query.p, query.n);
        query.n++;
    }
    look_url(a, cf_str_n(b, host.n + path.n + query.n));
}

/* Certificates have no field of their own; looked for only when there are fingerprints to match. */
static cf_str cert_of(const struct cf_event *ev)
{
    const struct cf_value *v = cf_event_find(ev, CF_STR("tls.server.hash.sha256"));

    if (!v)
        v = cf_event_find(ev, CF_STR("tls.server.hash.sha1"));
    return v ? (cf_str){v->p, v->n} : CF_STR_NONE;
}

static size_t keep(struct cf_ti_found *ret, size_t n, const struct cf_ti_entry *e, enum cf_field f, cf_str v)
{
    for (size_t i = 0; i < n; i++)
        if (ret[i].entry == e)
            return n;
    if (n < CF_TI_FOUND_MAX)
        ret[n++] = (struct cf_ti_found){e, f, v};
    return n;
}

/* Texts of one event that were looked up already: source, client and referrer often say the same. */
struct seen {
    struct {
        const char *p;
        uint32_t n;
        uint8_t as;
    } v[8];
    size_t n;
};

static bool seen_before(struct seen *s, const struct cf_value *v, uint8_t as)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].n == v->n && s->v[i].as == as && (s->v[i].p == v->p || memcmp(s->v[i].p, v->p, v->n) == 0))
            return true;
    if (s->n < sizeof s->v / sizeof *s->v) {
        s->v[s->n].p = v->p;
        s->v[s->n].n = v->n;
        s->v[s->n++].as = as;
    }
    return false;
}

size_t cf_ti_match_event(const struct cf_ti_set *s, const struct cf_event *ev, uint32_t now_s, struct cf_ti_found ret[CF_TI_FOUND_MAX])
{
    struct ask a = {.s = s, .ev = ev, .now_s = now_s};
    struct seen seen;
    size_t n = 0;

    seen.n = 0; /* the rest is written before it is read */
    for (const struct cf_ti_field *u = s->use, *end = u + s->n_use; u < end; u++) {
        if (__builtin_expect(ev->slot[u->field] == 0, 1))
            continue;
        for (const struct cf_value *v = cf_event_val(ev, (enum cf_field)u->field); v; v = cf_event_next(ev, v)) {
            if (v->n == 0 || v->n > CF_TI_VALUE_MAX || seen_before(&seen, v, u->as))
                continue;
            look_text(&a, (enum cf_ti_type)u->as, (cf_str){v->p, v->n});
            if (__builtin_expect(a.best != NULL, 0)) {
                n = keep(ret, n, a.best, (enum cf_field)u->field, (cf_str){v->p, v->n});
                a.best = NULL;
            }
        }
    }
    if (has_kind(s, K_URL) && ev->slot[CF_F_URL_DOMAIN] && !ev->slot[CF_F_URL_FULL]) {
        look_parts(&a, ev);
        if (a.best)
            n = keep(ret, n, a.best, CF_F_URL_DOMAIN, cf_event_get(ev, CF_F_URL_DOMAIN));
        a.best = NULL;
    }
    if (has_kind(s, K_CERT)) {
        cf_str cert = cert_of(ev);

        if (cert.n)
            look_text(&a, CF_TI_CERT, cert);
        if (a.best)
            n = keep(ret, n, a.best, CF_F_EXTRA, cert);
    }
    return n;
}
