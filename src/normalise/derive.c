/* SPDX-License-Identifier: Apache-2.0
 * Fields that follow from others, for every source alike. Each step looks at a slot first, so an event without the field
 * costs one comparison. */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA1() of OpenSSL 3 looks the algorithm up by name at each call: five times the hash itself */
#include <endian.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "normalise/source.h"

static inline bool has(const struct cf_run *r, enum cf_field f) { return r->ev->slot[f] != 0; }
static inline cf_str get(const struct cf_run *r, enum cf_field f) { return cf_event_get(r->ev, f); }
static inline void put(struct cf_run *r, enum cf_field f, cf_str v)
{
    if (!r->ev->slot[f] && v.n)
        (void)cf_event_put(r->ev, f, v, 0, CF_V_STR);
}

static inline void gather(struct cf_run *r, enum cf_field to, const uint16_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!r->ev->slot[from[i]])
            continue;
        if (!r->ev->slot[to])
            (void)cf_event_put(r->ev, to, get(r, (enum cf_field)from[i]), 0, CF_V_STR);
        else
            (void)cf_event_add(r->ev, to, get(r, (enum cf_field)from[i]));
    }
}

static void related(struct cf_run *r)
{
    static const uint16_t ips[] = {CF_F_SOURCE_IP, CF_F_DESTINATION_IP, CF_F_SOURCE_NAT_IP, CF_F_DESTINATION_NAT_IP, CF_F_DNS_RESOLVED_IP},
                          users[] = {CF_F_USER_NAME, CF_F_USER_TARGET_NAME, CF_F_USER_EFFECTIVE_NAME, CF_F_SOURCE_USER_NAME, CF_F_DESTINATION_USER_NAME},
                          hosts[] = {CF_F_HOST_NAME, CF_F_DESTINATION_DOMAIN, CF_F_SOURCE_DOMAIN, CF_F_URL_DOMAIN, CF_F_OBSERVER_HOSTNAME, CF_F_DNS_QUESTION_NAME},
                          hash[] = {CF_F_FILE_HASH_MD5, CF_F_FILE_HASH_SHA1, CF_F_FILE_HASH_SHA256, CF_F_PROCESS_HASH_SHA256};

    gather(r, CF_F_RELATED_IP, ips, sizeof ips / sizeof *ips);
    gather(r, CF_F_RELATED_USER, users, sizeof users / sizeof *users);
    gather(r, CF_F_RELATED_HOSTS, hosts, sizeof hosts / sizeof *hosts);
    gather(r, CF_F_RELATED_HASH, hash, sizeof hash / sizeof *hash);
}

static cf_str base_name(cf_str v)
{
    for (size_t i = v.n; i > 0; i--)
        if (v.p[i - 1] == '/' || v.p[i - 1] == '\\')
            return cf_str_sub(v, i, v.n);
    return v;
}

static cf_str folder(cf_str v)
{
    cf_str b = base_name(v);

    if (b.n == v.n)
        return CF_STR_NONE;
    return cf_str_n(v.p, v.n - b.n > 1 ? v.n - b.n - 1 : 1);
}

static cf_str extension(cf_str v)
{
    cf_str b = base_name(v);
    const char *dot = b.n ? memrchr(b.p, '.', b.n) : NULL;

    if (!dot || dot == b.p || dot + 1 == b.p + b.n || b.p + b.n - dot > 12)
        return CF_STR_NONE;
    for (const char *p = dot + 1; p < b.p + b.n; p++)
        if (!((*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z')))
            return CF_STR_NONE;
    return cf_str_n(dot + 1, (size_t)(b.p + b.n - dot - 1));
}

static void url(struct cf_run *r)
{
    cf_str u = get(r, has(r, CF_F_URL_ORIGINAL) ? CF_F_URL_ORIGINAL : CF_F_URL_FULL), rest = u, auth;
    const char *c = u.n ? memchr(u.p, ':', u.n < 14 ? u.n : 14) : NULL;
    ptrdiff_t at = !c ? -1 : u.p + u.n - c > 2 && c[1] == '/' && c[2] == '/' ? c - u.p : cf_str_find(cf_str_sub(u, 0, 16), CF_STR("://"));
    bool full = false;

    if (!u.n)
        return;
    if (at > 0) {
        put(r, CF_F_URL_SCHEME, cf_str_n(u.p, (size_t)at));
        rest = cf_str_sub(u, (size_t)at + 3, u.n);
        auth = rest;
        for (size_t i = 0; i < rest.n; i++)
            if (rest.p[i] == '/' || rest.p[i] == '?' || rest.p[i] == '#') {
                auth.n = i;
                break;
            }
        rest = cf_str_sub(rest, auth.n, rest.n);
        c = memrchr(auth.p, '@', auth.n);
        if (c)
            auth = cf_str_n(c + 1, (size_t)(auth.p + auth.n - c - 1));
        c = auth.n ? memrchr(auth.p, ':', auth.n) : NULL;
        if (c && auth.p[0] != '[') {
            int64_t port;
            cf_str p = cf_str_n(c + 1, (size_t)(auth.p + auth.n - c - 1));
            if (cf_number(p, &port) && port >= 0 && port < 65536)
                put(r, CF_F_URL_PORT, p);
            auth.n = (size_t)(c - auth.p);
        }
        put(r, CF_F_URL_DOMAIN, auth);
        full = true;
    } else if (u.p[0] != '/') {
        return;
    }
    if (full)
        put(r, CF_F_URL_FULL, u);
    c = rest.n ? memchr(rest.p, '#', rest.n) : NULL;
    if (c) {
        put(r, CF_F_URL_FRAGMENT, cf_str_n(c + 1, (size_t)(rest.p + rest.n - c - 1)));
        rest.n = (size_t)(c - rest.p);
    }
    c = rest.n ? memchr(rest.p, '?', rest.n) : NULL;
    if (c) {
        put(r, CF_F_URL_QUERY, cf_str_n(c + 1, (size_t)(rest.p + rest.n - c - 1)));
        rest.n = (size_t)(c - rest.p);
    }
    put(r, CF_F_URL_PATH, rest);
    put(r, CF_F_URL_EXTENSION, extension(rest));
}

static void addresses(struct cf_run *r)
{
    static const struct {
        uint16_t ip, address, domain;
    } t[] = {{CF_F_SOURCE_IP, CF_F_SOURCE_ADDRESS, CF_F_SOURCE_DOMAIN}, {CF_F_DESTINATION_IP, CF_F_DESTINATION_ADDRESS, CF_F_DESTINATION_DOMAIN}};

    for (size_t i = 0; i < 2; i++) {
        enum cf_field ip = (enum cf_field)t[i].ip, a = (enum cf_field)t[i].address, d = (enum cf_field)t[i].domain;
        struct cf_ip parsed;
        if (has(r, ip)) {
            put(r, a, get(r, ip));
        } else if (has(r, a)) {
            cf_str v = get(r, a);
            if (cf_ip_parse(v, &parsed))
                put(r, ip, v);
            else
                put(r, d, v);
        } else if (has(r, d)) {
            put(r, a, get(r, d));
        }
    }
}

static void sum(struct cf_run *r, enum cf_field a, enum cf_field b, enum cf_field to)
{
    int64_t x, y;

    if (has(r, to) || !has(r, a) || !has(r, b) || !cf_number(get(r, a), &x) || !cf_number(get(r, b), &y))
        return;
    if (x >= 0 && y >= 0 && x < (INT64_C(1) << 61) && y < (INT64_C(1) << 61))
        (void)cf_event_set_i64(r->ev, to, x + y);
}

/* An event that says how long it took and that it ends something: its start and end. */
static void span(struct cf_run *r)
{
    int64_t ns;
    bool ends = false, starts = false;
    char t[32];

    for (const struct cf_value *v = cf_event_val(r->ev, CF_F_EVENT_TYPE); v; v = cf_event_next(r->ev, v)) {
        ends = ends || cf_str_eqz(cf_str_n(v->p, v->n), "end");
        starts = starts || cf_str_eqz(cf_str_n(v->p, v->n), "start");
    }
    if (has(r, CF_F_EVENT_START) && !has(r, CF_F_EVENT_END) && cf_number(get(r, CF_F_EVENT_DURATION), &ns) && ns >= 0) {
        int64_t from;
        if (cf_time_parse(get(r, CF_F_EVENT_START), &from) && from < INT64_MAX - ns / 1000)
            put(r, CF_F_EVENT_END, cf_arena_copy(r->a, cf_str_n(t, cf_time_format(from + ns / 1000, t))));
        return;
    }
    if (!ends || starts || r->ev->time_us == CF_TIME_NONE || !cf_number(get(r, CF_F_EVENT_DURATION), &ns) || ns < 0)
        return;
    put(r, CF_F_EVENT_END, cf_arena_copy(r->a, cf_str_n(t, cf_time_format(r->ev->time_us, t))));
    put(r, CF_F_EVENT_START, cf_arena_copy(r->a, cf_str_n(t, cf_time_format(r->ev->time_us - ns / 1000, t))));
}

static int protocol_number(cf_str t)
{
    static const struct {
        const char *name;
        int n;
    } p[] = {{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"ipv6-icmp", 58}, {"icmpv6", 58}, {"sctp", 132}, {"igmp", 2}, {"gre", 47}, {"esp", 50},
             {"eigrp", 88}, {"ospf", 89}, {"pim", 103}};

    for (size_t i = 0; i < sizeof p / sizeof *p; i++)
        if (cf_str_eqz(t, p[i].name))
            return p[i].n;
    return -1;
}

/* ICMP's type and code in the place of ports; requests and their answers make one flow. False: not known. */
static bool icmp_ports(struct cf_run *r, int proto, int64_t *a, int64_t *b, bool *one_way)
{
    static const uint8_t pair4[][2] = {{8, 0}, {0, 8}, {13, 14}, {14, 13}, {15, 16}, {16, 15}, {17, 18}, {18, 17}, {10, 9}, {9, 10}},
                         pair6[][2] = {{128, 129}, {129, 128}, {133, 134}, {134, 133}, {135, 136}, {136, 135}, {130, 131}, {131, 130}, {144, 145}, {145, 144}};
    static _Atomic uint16_t names[2];
    int64_t type = -1, code = 0;

    if (!names[0]) {
        names[1] = cf_name_intern(CF_STR("icmp.code"));
        names[0] = cf_name_intern(CF_STR("icmp.type"));
    }
    for (size_t i = 0; i < r->ev->n; i++) {
        const struct cf_value *v = &r->ev->val[i];
        if (v->name == names[0])
            (void)cf_number(cf_str_n(v->p, v->n), &type);
        else if (v->name == names[1])
            (void)cf_number(cf_str_n(v->p, v->n), &code);
    }
    if (type < 0 || type > 255 || code < 0 || code > 255)
        return false;
    *a = type;
    *b = code;
    *one_way = true;
    for (size_t i = 0; i < 10; i++)
        if ((proto == 1 ? pair4 : pair6)[i][0] == type) {
            *b = (proto == 1 ? pair4 : pair6)[i][1];
            *one_way = false;
        }
    return true;
}

static bool address_bytes(cf_str text, struct cf_ip *ret)
{
    uint8_t b[4];

    if (!cf_plain_ip4(text, b))
        return cf_ip_parse(text, ret);
    memset(ret->b, 0, 10);
    ret->b[10] = ret->b[11] = 0xff;
    memcpy(ret->b + 12, b, 4);
    return true;
}

/* SHA-1 of at most 55 bytes: one block, filled here. */
static bool sha1_block(const unsigned char *in, size_t n, unsigned char ret[20])
{
    unsigned char block[SHA_CBLOCK] = {0};
    SHA_CTX sha;

    memcpy(block, in, n);
    block[n] = 0x80;
    block[SHA_CBLOCK - 2] = (unsigned char)(n >> 5);
    block[SHA_CBLOCK - 1] = (unsigned char)(n << 3);
    if (!SHA1_Init(&sha))
        return false;
    SHA1_Transform(&sha, block);
    const uint32_t h[5] = {htobe32(sha.h0), htobe32(sha.h1), htobe32(sha.h2), htobe32(sha.h3), htobe32(sha.h4)};
    memcpy(ret, h, 20);
    return true;
}

/* Community ID v1 of the flow: SHA-1 over the seed and the ordered 5-tuple. */
static void community_id(struct cf_run *r)
{
    int proto = protocol_number(get(r, CF_F_NETWORK_TRANSPORT)), c;
    bool ports = proto == 6 || proto == 17 || proto == 132 || proto == 1 || proto == 58, one_way = false;
    struct cf_ip a, b;
    int64_t pa = 0, pb = 0;
    unsigned char in[40], hash[20], *o = in, *text;
    size_t n;

    if (proto < 0 || !address_bytes(get(r, CF_F_SOURCE_IP), &a) || !address_bytes(get(r, CF_F_DESTINATION_IP), &b) || cf_ip_is4(&a) != cf_ip_is4(&b))
        return;
    if (proto == 1 || proto == 58) {
        if (!icmp_ports(r, proto, &pa, &pb, &one_way))
            return;
    } else if (ports && (!cf_number(get(r, CF_F_SOURCE_PORT), &pa) || !cf_number(get(r, CF_F_DESTINATION_PORT), &pb))) {
        return;
    }
    if (pa < 0 || pb < 0 || pa > 65535 || pb > 65535)
        return;
    c = memcmp(a.b, b.b, 16);
    if (!one_way && (c > 0 || (c == 0 && pa > pb))) {
        struct cf_ip ti = a;
        int64_t tp = pa;
        a = b;
        b = ti;
        pa = pb;
        pb = tp;
    }
    n = cf_ip_is4(&a) ? 4 : 16;
    *o++ = 0;
    *o++ = 0;
    memcpy(o, a.b + 16 - n, n);
    memcpy(o + n, b.b + 16 - n, n);
    o += 2 * n;
    *o++ = (unsigned char)proto;
    *o++ = 0;
    if (ports) {
        *o++ = (unsigned char)(pa >> 8);
        *o++ = (unsigned char)pa;
        *o++ = (unsigned char)(pb >> 8);
        *o++ = (unsigned char)pb;
    }
    text = (unsigned char *)cf_arena_bytes(r->a, 32);
    if (!text || !sha1_block(in, (size_t)(o - in), hash))
        return;
    memcpy(text, "1:", 2);
    (void)EVP_EncodeBlock(text + 2, hash, 20);
    put(r, CF_F_NETWORK_COMMUNITY_ID, cf_str_n((const char *)text, 30));
}

static bool private_ip(cf_str text)
{
    static const struct {
        const char *starts;
    } nets[] = {{"10."}, {"192.168."}, {"127."}, {"169.254."}, {"fe80:"}, {"fc"}, {"fd"}, {"::1"}};
    int64_t second;

    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        if (cf_str_istarts(text, cf_str_c(nets[i].starts)))
            return true;
    if (!cf_str_starts(text, CF_STR("172.")) || text.n < 7)
        return false;
    text = cf_str_sub(text, 4, text.n);
    if (text.p[1] == '.' || text.p[2] != '.')
        return false;
    return cf_number(cf_str_n(text.p, 2), &second) && second >= 16 && second <= 31;
}

/* Sources that see traffic from beside it write network.direction: auto; private addresses are the inside. */
static void direction(struct cf_run *r)
{
    bool from, to;

    if (!cf_str_eqz(get(r, CF_F_NETWORK_DIRECTION), "auto"))
        return;
    cf_event_unset(r->ev, CF_F_NETWORK_DIRECTION);
    if (!has(r, CF_F_SOURCE_IP) || !has(r, CF_F_DESTINATION_IP))
        return;
    from = private_ip(get(r, CF_F_SOURCE_IP));
    to = private_ip(get(r, CF_F_DESTINATION_IP));
    put(r, CF_F_NETWORK_DIRECTION, from && to ? CF_STR("internal") : from ? CF_STR("outbound") : to ? CF_STR("inbound") : CF_STR("external"));
}

void cf_run_derive(struct cf_run *r)
{
    if (has(r, CF_F_SOURCE_IP) || has(r, CF_F_DESTINATION_IP) || has(r, CF_F_SOURCE_ADDRESS) || has(r, CF_F_DESTINATION_ADDRESS) ||
        has(r, CF_F_SOURCE_DOMAIN) || has(r, CF_F_DESTINATION_DOMAIN)) {
        addresses(r);
        if (has(r, CF_F_SOURCE_IP) && !has(r, CF_F_NETWORK_TYPE) && (has(r, CF_F_NETWORK_TRANSPORT) || has(r, CF_F_DESTINATION_IP))) {
            cf_str ip = get(r, CF_F_SOURCE_IP);
            put(r, CF_F_NETWORK_TYPE, ip.p && memchr(ip.p, ':', ip.n) ? CF_STR("ipv6") : CF_STR("ipv4"));
        }
        if (has(r, CF_F_NETWORK_TRANSPORT) && has(r, CF_F_DESTINATION_IP) && !has(r, CF_F_NETWORK_COMMUNITY_ID))
            community_id(r);
        if (has(r, CF_F_NETWORK_DIRECTION))
            direction(r);
        sum(r, CF_F_SOURCE_BYTES, CF_F_DESTINATION_BYTES, CF_F_NETWORK_BYTES);
        sum(r, CF_F_SOURCE_PACKETS, CF_F_DESTINATION_PACKETS, CF_F_NETWORK_PACKETS);
    }
    if (has(r, CF_F_EVENT_DURATION))
        span(r);
    if (has(r, CF_F_PROCESS_EXECUTABLE))
        put(r, CF_F_PROCESS_NAME, base_name(get(r, CF_F_PROCESS_EXECUTABLE)));
    if (has(r, CF_F_PROCESS_PARENT_EXECUTABLE))
        put(r, CF_F_PROCESS_PARENT_NAME, base_name(get(r, CF_F_PROCESS_PARENT_EXECUTABLE)));
    if (has(r, CF_F_FILE_PATH)) {
        cf_str p = get(r, CF_F_FILE_PATH);
        put(r, CF_F_FILE_NAME, base_name(p));
        put(r, CF_F_FILE_DIRECTORY, folder(p));
        put(r, CF_F_FILE_EXTENSION, extension(p));
    }
    if (has(r, CF_F_URL_ORIGINAL) || has(r, CF_F_URL_FULL))
        url(r);
    cf_run_domains(r);
    related(r);
}
