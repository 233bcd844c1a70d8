/* SPDX-License-Identifier: Apache-2.0
 * Fields that follow from others, for every source alike. Each step looks at a slot first, so an event without the field
 * costs one comparison. */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA1() of OpenSSL 3 looks the algorithm up by name at each call: five times the hash itself */
#include <endian.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#ifdef __SSSE3__
#include <tmmintrin.h>
#endif

#include "normalise/source.h"

static inline bool has(const struct cf_run *r, enum cf_field f) { return r->ev->slot[f] != 0; }
static inline cf_str get(const struct cf_run *r, enum cf_field f) { return cf_event_get(r->ev, f); }
static inline void put(struct cf_run *r, enum cf_field f, cf_str v)
{
    if (!r->ev->slot[f] && v.n)
        (void)cf_event_put(r->ev, f, v, 0, CF_V_STR);
}

/* One more value of `to`, when the event has `from`. */
static inline void gather(struct cf_run *r, enum cf_field to, enum cf_field from)
{
    if (!r->ev->slot[from])
        return;
    if (!r->ev->slot[to])
        (void)cf_event_put(r->ev, to, get(r, from), 0, CF_V_STR);
    else
        (void)cf_event_add(r->ev, to, get(r, from));
}

static void related(struct cf_run *r)
{
    gather(r, CF_F_RELATED_IP, CF_F_SOURCE_IP);
    gather(r, CF_F_RELATED_IP, CF_F_DESTINATION_IP);
    gather(r, CF_F_RELATED_IP, CF_F_SOURCE_NAT_IP);
    gather(r, CF_F_RELATED_IP, CF_F_DESTINATION_NAT_IP);
    gather(r, CF_F_RELATED_IP, CF_F_DNS_RESOLVED_IP);
    gather(r, CF_F_RELATED_USER, CF_F_USER_NAME);
    gather(r, CF_F_RELATED_USER, CF_F_USER_TARGET_NAME);
    gather(r, CF_F_RELATED_USER, CF_F_USER_EFFECTIVE_NAME);
    gather(r, CF_F_RELATED_USER, CF_F_SOURCE_USER_NAME);
    gather(r, CF_F_RELATED_USER, CF_F_DESTINATION_USER_NAME);
    gather(r, CF_F_RELATED_HOSTS, CF_F_HOST_NAME);
    gather(r, CF_F_RELATED_HOSTS, CF_F_DESTINATION_DOMAIN);
    gather(r, CF_F_RELATED_HOSTS, CF_F_SOURCE_DOMAIN);
    gather(r, CF_F_RELATED_HOSTS, CF_F_URL_DOMAIN);
    gather(r, CF_F_RELATED_HOSTS, CF_F_OBSERVER_HOSTNAME);
    gather(r, CF_F_RELATED_HOSTS, CF_F_DNS_QUESTION_NAME);
    gather(r, CF_F_RELATED_HASH, CF_F_FILE_HASH_MD5);
    gather(r, CF_F_RELATED_HASH, CF_F_FILE_HASH_SHA1);
    gather(r, CF_F_RELATED_HASH, CF_F_FILE_HASH_SHA256);
    gather(r, CF_F_RELATED_HASH, CF_F_PROCESS_HASH_SHA256);
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
        c = auth.n ? memrchr(auth.p, '@', auth.n) : NULL;
        if (c) { /* name:password@ */
            cf_str user = cf_str_n(auth.p, (size_t)(c - auth.p)), name;
            if (cf_str_cut(&user, ':', &name))
                put(r, CF_F_URL_USERNAME, name);
            if (user.n) /* seldom: no place of its own */
                (void)cf_event_extra(r->ev, cf_name_intern(CF_STR("url.password")), user, 0, CF_V_STR);
            auth = cf_str_n(c + 1, (size_t)(auth.p + auth.n - c - 1));
        }
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

    if (has(r, to) || !has(r, a) || !has(r, b) || !cf_run_number(r, a, &x) || !cf_run_number(r, b, &y))
        return;
    if (x >= 0 && y >= 0 && x < (INT64_C(1) << 61) && y < (INT64_C(1) << 61))
        (void)cf_event_set_i64(r->ev, to, x + y);
}

/* A time as text. */
static cf_str time_text(struct cf_run *r, int64_t us)
{
    char *p = cf_arena_bytes(r->a, 32);

    return p ? cf_str_n(p, cf_time_format(us, p)) : CF_STR_NONE;
}

/* Start and end of an event that says how long it took: from the one that is there, from the time of the record when it ends
 * something or took no time at all. */
static void span(struct cf_run *r)
{
    int64_t ns;
    bool ends = false, starts = false;

    for (const struct cf_value *v = cf_event_val(r->ev, CF_F_EVENT_TYPE); v; v = cf_event_next(r->ev, v)) {
        ends = ends || cf_str_eqz(cf_str_n(v->p, v->n), "end");
        starts = starts || cf_str_eqz(cf_str_n(v->p, v->n), "start");
    }
    if (has(r, CF_F_EVENT_START) && !has(r, CF_F_EVENT_END) && cf_number(get(r, CF_F_EVENT_DURATION), &ns) && ns >= 0) {
        int64_t from;
        if (cf_time_parse(get(r, CF_F_EVENT_START), &from) && from < INT64_MAX - ns / 1000)
            put(r, CF_F_EVENT_END, time_text(r, from + ns / 1000));
        return;
    }
    if (r->ev->time_us == CF_TIME_NONE || !cf_run_number(r, CF_F_EVENT_DURATION, &ns) || ns < 0 || (ns && (!ends || starts)))
        return;
    put(r, CF_F_EVENT_END, time_text(r, r->ev->time_us));
    put(r, CF_F_EVENT_START, time_text(r, r->ev->time_us - ns / 1000));
}

/* Nanoseconds behind the microseconds of a time text. */
static int64_t below_us(cf_str v)
{
    const char *dot = v.n ? memchr(v.p, '.', v.n) : NULL;
    int64_t ns = 0, unit = 100;

    for (const char *p = dot ? dot + 1 : NULL, *end = v.p + v.n; p && p < end && *p >= '0' && *p <= '9' && unit; p++)
        if (p - dot > 6) {
            ns += (*p - '0') * unit;
            unit /= 10;
        }
    return ns;
}

/* How long an event took that says when it began and ended. */
static void duration(struct cf_run *r)
{
    cf_str start = get(r, CF_F_EVENT_START), end = get(r, CF_F_EVENT_END);
    int64_t from, to, ns;

    if (!cf_time_parse(start, &from) || !cf_time_parse(end, &to) || to < from || to - from > INT64_MAX / 2000)
        return;
    ns = (to - from) * 1000 + below_us(end) - below_us(start);
    if (ns >= 0)
        (void)cf_event_set_i64(r->ev, CF_F_EVENT_DURATION, ns);
}

static int protocol_number(cf_str t)
{
    static const struct {
        cf_str name;
        int n;
    } p[] = {{{"tcp", 3}, 6}, {{"udp", 3}, 17}, {{"icmp", 4}, 1}, {{"ipv6-icmp", 9}, 58}, {{"icmpv6", 6}, 58}, {{"sctp", 4}, 132}, {{"igmp", 4}, 2}, {{"gre", 3}, 47},
             {{"esp", 3}, 50}, {{"eigrp", 5}, 88}, {{"ospf", 4}, 89}, {{"pim", 3}, 103}};

    for (size_t i = 0; i < sizeof p / sizeof *p; i++)
        if (t.n == p[i].name.n && cf_same_text(t.p, p[i].name.p, t.n))
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

/* 4 or 16 bytes of an address; 0: it is none. */
static size_t address_bytes(const struct cf_run *r, enum cf_field f, uint8_t ret[16])
{
    cf_str text = get(r, f);
    const struct cf_ip4_memo *m = &r->ip4[f == CF_F_DESTINATION_IP];
    struct cf_ip ip;

    if (!text.p)
        return 0;
    if (m->p == text.p && m->n == text.n) { /* read when it was put there */
        memcpy(ret, m->b, 4);
        return 4;
    }
    if (cf_run_plain_ip4(r, text, ret))
        return 4;
    if (!cf_ip_parse(text, &ip))
        return 0;
    memcpy(ret, ip.b + (cf_ip_is4(&ip) ? 12 : 0), cf_ip_is4(&ip) ? 4 : 16);
    return cf_ip_is4(&ip) ? 4 : 16;
}

#define HASH_ROOM 28u /* 20 bytes and zeros */

/* SHA-1 of the n <= 55 bytes at the start of block, the rest of which is 0. */
static bool sha1_block(unsigned char block[SHA_CBLOCK], size_t n, unsigned char ret[HASH_ROOM])
{
    SHA_CTX sha;

    block[n] = 0x80;
    block[SHA_CBLOCK - 2] = (unsigned char)(n >> 5);
    block[SHA_CBLOCK - 1] = (unsigned char)(n << 3);
    if (!SHA1_Init(&sha))
        return false;
    SHA1_Transform(&sha, block);
    const uint32_t h[5] = {htobe32(sha.h0), htobe32(sha.h1), htobe32(sha.h2), htobe32(sha.h3), htobe32(sha.h4)};
    memcpy(ret, h, 20);
    memset(ret + 20, 0, HASH_ROOM - 20);
    return true;
}

#ifdef __SSSE3__
/* 12 bytes of the 16 at `in` as 16 characters: bytes are spread to groups of 6 bits, a shuffle tells what to add to each. */
static inline __m128i base64_of_12(__m128i in)
{
    const __m128i spread = _mm_shuffle_epi8(in, _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
    const __m128i ac = _mm_mulhi_epu16(_mm_and_si128(spread, _mm_set1_epi32(0x0fc0fc00)), _mm_set1_epi32(0x04000040));
    const __m128i bd = _mm_mullo_epi16(_mm_and_si128(spread, _mm_set1_epi32(0x003f03f0)), _mm_set1_epi32(0x01000010));
    const __m128i six = _mm_or_si128(ac, bd);
    /* 13: A-Z, 0: a-z, 1 to 10: digits, 11: +, 12: / */
    const __m128i kind = _mm_or_si128(_mm_subs_epu8(six, _mm_set1_epi8(51)), _mm_and_si128(_mm_cmpgt_epi8(_mm_set1_epi8(26), six), _mm_set1_epi8(13)));
    const __m128i add = _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);

    return _mm_add_epi8(six, _mm_shuffle_epi8(add, kind));
}

/* 20 bytes (and zeros behind them) as base64, 28 characters. EVP_EncodeBlock takes eight times as long: it hides its look-ups. */
static void base64_of_20(const unsigned char in[HASH_ROOM], char out[28])
{
    char end[16];

    _mm_storeu_si128((__m128i *)(void *)end, base64_of_12(_mm_loadu_si128((const __m128i *)(const void *)(in + 12))));
    _mm_storeu_si128((__m128i *)(void *)out, base64_of_12(_mm_loadu_si128((const __m128i *)(const void *)in)));
    memcpy(out + 16, end, 12);
    out[27] = '=';
}
#else
static void base64_of_20(const unsigned char in[HASH_ROOM], char out[28])
{
    char text[33];

    (void)EVP_EncodeBlock((unsigned char *)text, in, 20);
    memcpy(out, text, 28);
}
#endif

/* The ports of a flow, or what stands in their place. False: they are not known. */
static bool flow_ports(struct cf_run *r, int proto, int64_t *a, int64_t *b, bool *one_way)
{
    if (proto == 1 || proto == 58)
        return icmp_ports(r, proto, a, b, one_way);
    if (proto == 6 || proto == 17 || proto == 132)
        return cf_run_number(r, CF_F_SOURCE_PORT, a) && cf_run_number(r, CF_F_DESTINATION_PORT, b) && *a >= 0 && *b >= 0 && *a <= 65535 && *b <= 65535;
    return true;
}

/* Community ID v1 of the flow: SHA-1 over the seed and the ordered 5-tuple. */
static void community_id(struct cf_run *r)
{
    int proto = protocol_number(get(r, CF_F_NETWORK_TRANSPORT)), c;
    bool ports = proto == 6 || proto == 17 || proto == 132 || proto == 1 || proto == 58, one_way = false, turn;
    uint8_t a[16], b[16];
    int64_t pa = 0, pb = 0;
    unsigned char block[SHA_CBLOCK] = {0}, hash[HASH_ROOM], *o = block + 2;
    char *text;
    size_t n;

    if (proto < 0 || !(n = address_bytes(r, CF_F_SOURCE_IP, a)) || address_bytes(r, CF_F_DESTINATION_IP, b) != n || !flow_ports(r, proto, &pa, &pb, &one_way))
        return;
    c = memcmp(a, b, n);
    turn = !one_way && (c > 0 || (c == 0 && pa > pb));
    memcpy(o, turn ? b : a, n);
    memcpy(o + n, turn ? a : b, n);
    o += 2 * n;
    *o++ = (unsigned char)proto;
    *o++ = 0;
    if (ports) {
        int64_t first = turn ? pb : pa, second = turn ? pa : pb;
        *o++ = (unsigned char)(first >> 8);
        *o++ = (unsigned char)first;
        *o++ = (unsigned char)(second >> 8);
        *o++ = (unsigned char)second;
    }
    text = cf_arena_bytes(r->a, 32);
    if (!text || !sha1_block(block, (size_t)(o - block), hash))
        return;
    memcpy(text, "1:", 2);
    base64_of_20(hash, text + 2);
    put(r, CF_F_NETWORK_COMMUNITY_ID, cf_str_n(text, 30));
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
            bool four = ip.p == r->ip4[0].p && ip.n == r->ip4[0].n; /* read when it was put there */
            put(r, CF_F_NETWORK_TYPE, !four && ip.p && memchr(ip.p, ':', ip.n) ? CF_STR("ipv6") : CF_STR("ipv4"));
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
    else if (has(r, CF_F_EVENT_START) && has(r, CF_F_EVENT_END))
        duration(r);
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
