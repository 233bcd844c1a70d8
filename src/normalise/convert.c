/* SPDX-License-Identifier: Apache-2.0
 * Values on their way into fields: conversions a mapping asks for, and the check that text fits the field's type. */
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/digits.h"
#include "normalise/source.h"

static bool all_digits(cf_str s)
{
    size_t i = s.n && s.p[0] == '-' ? 1 : 0;

    if (i == s.n || s.n > 20)
        return false;
    for (; i < s.n; i++)
        if ((unsigned)(s.p[i] - '0') > 9)
            return false;
    return true;
}

static bool fits_ip(cf_str *v)
{
    struct cf_ip ip;
    const char *pct;
    uint8_t b[4];

    if (cf_plain_ip4(*v, b))
        return true;
    pct = memchr(v->p, '%', v->n);
    if (pct)
        v->n = (size_t)(pct - v->p);
    if (v->n > 7 && cf_str_istarts(*v, CF_STR("::ffff:")) && memchr(v->p, '.', v->n))
        *v = cf_str_sub(*v, 7, v->n);
    if (v->n > 2 && v->p[0] == '[' && v->p[v->n - 1] == ']')
        *v = cf_str_n(v->p + 1, v->n - 2);
    return cf_ip_parse(*v, &ip);
}

static __attribute__((noinline)) bool fits_type(enum cf_ftype type, cf_str *v)
{
    double d;

    return type == CF_T_IP ? fits_ip(v) : type == CF_T_LONG ? all_digits(*v) : cf_str_f64(*v, &d);
}

static inline bool fits(enum cf_field f, cf_str *v)
{
    enum cf_ftype type = cf_fields[f].type;

    return (type != CF_T_IP && type != CF_T_LONG && type != CF_T_FLOAT) || fits_type(type, v);
}

bool cf_run_fit(struct cf_run *r, const struct cf_ref *to, cf_str v)
{
    if (to->field != CF_F_EXTRA && !fits((enum cf_field)to->field, &v))
        return false;
    cf_run_set(r, to, v, 0, CF_V_STR);
    return true;
}

static inline bool put(struct cf_run *r, const struct cf_ref *to, cf_str v, uint16_t raw, enum cf_vkind kind)
{
    if (to->field != CF_F_EXTRA && !fits((enum cf_field)to->field, &v))
        return false;
    cf_run_set(r, to, v, raw, kind);
    return true;
}

#ifdef __SSE2__
/* Letters of the 16 bytes from `first` on in their other case. */
static inline void fold16(char *to, const char *from, char first)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)from), from_first = _mm_sub_epi8(x, _mm_set1_epi8(first));
    __m128i letter = _mm_cmpeq_epi8(_mm_min_epu8(from_first, _mm_set1_epi8(25)), from_first);

    _mm_storeu_si128((__m128i *)(void *)to, _mm_xor_si128(x, _mm_and_si128(letter, _mm_set1_epi8(0x20))));
}
#endif

/* In lower case, or upper case: letters from `first` on change theirs. */
static cf_str fold(struct cf_run *r, cf_str v, bool upper)
{
    const char first = upper ? 'a' : 'A';
    bool wide = cf_wide_has(&r->wide, v);
    char *p = cf_arena_bytes(r->a, wide ? 16 : v.n);
    size_t i = 0;

    if (!p)
        return v;
#ifdef __SSE2__
    if (wide) { /* with what stands in front of it */
        fold16(p, v.p + v.n - 16, first);
        return cf_str_n(p + 16 - v.n, v.n);
    }
    for (; i + 16 <= v.n; i += 16)
        fold16(p + i, v.p + i, first);
#endif
    for (; i < v.n; i++)
        p[i] = (char)(v.p[i] ^ ((unsigned char)(v.p[i] - first) < 26 ? 0x20 : 0));
    return cf_str_n(p, v.n);
}

/* "LDAP query" -> "ldap-query", as actions are written */
static cf_str dashes(struct cf_run *r, cf_str v)
{
    char *p = cf_arena_bytes(r->a, v.n);

    if (!p)
        return v;
    for (size_t i = 0; i < v.n; i++)
        p[i] = v.p[i] == ' ' ? '-' : v.p[i] >= 'A' && v.p[i] <= 'Z' ? (char)(v.p[i] + 32) : v.p[i];
    return cf_str_n(p, v.n);
}

/* "ab:cd:ef", as certificates are printed -> "ABCDEF" */
static cf_str fingerprint(struct cf_run *r, cf_str v)
{
    cf_str o = fold(r, v, true);
    char *p = cf_arena_bytes(r->a, v.n);
    size_t n = 0;

    if (!p)
        return v;
    for (size_t i = 0; i < o.n; i++)
        if (o.p[i] != ':')
            p[n++] = o.p[i];
    return cf_str_n(p, n);
}

static cf_str number(struct cf_run *r, int64_t v)
{
    char *end = cf_arena_bytes(r->a, 20), *p;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    if (!end)
        return CF_STR_NONE;
    end += 20;
    p = cf_digits_before(end, u);
    if (v < 0)
        *--p = '-';
    return cf_str_n(p, (size_t)(end - p));
}

/* A whole number below 100 million with `zeros` zeros behind it. */
static cf_str with_zeros(struct cf_run *r, cf_str v, size_t zeros)
{
    char *p = cf_arena_bytes(r->a, 24);

    if (!p)
        return CF_STR_NONE;
    memcpy(p, v.p, v.n);
    memcpy(p + v.n, "000000000", 9);
    return cf_str_n(p, v.n + zeros);
}

static cf_str scaled(struct cf_run *r, cf_str v, double unit)
{
    int64_t i;
    double d;

    if (v.n - 1 < 8 && v.p[0] > '0' && cf_run_plain_number(r, v, &i)) {
        v = with_zeros(r, v, unit > 1e8 ? 9 : unit > 1e5 ? 6 : 3);
        r->num[cf_num_place(CF_F_EVENT_DURATION)] = (struct cf_num_memo){v.p, v.n, i * (int64_t)unit};
        return v;
    }

    if (v.n < 9 && v.p[0] != '-' && cf_number(v, &i)) /* whole numbers below 100 million */
        return number(r, i * (int64_t)unit);
    if (!cf_str_f64(v, &d) || d < -9e6 || d * unit > 9e18)
        return CF_STR_NONE;
    return number(r, (int64_t)(d * unit + 0.5));
}

static cf_str mac(struct cf_run *r, cf_str v)
{
    char *p = cf_arena_bytes(r->a, 17);
    size_t n = 0;

    if (!p)
        return CF_STR_NONE;
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (c == ':' || c == '-' || c == '.')
            continue;
        if (c >= 'a' && c <= 'f')
            c = (char)(c - 32);
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F')) || n >= 17)
            return CF_STR_NONE;
        if (n % 3 == 2)
            p[n++] = '-';
        p[n++] = c;
    }
    return n == 17 ? cf_str_n(p, 17) : CF_STR_NONE;
}

/* "MD5=..,SHA256=..,IMPHASH=.." below process. or file. (the target's text names which) */
static void hashes(struct cf_run *r, const struct cf_ref *to, cf_str v)
{
    bool file = cf_str_starts(to->text, CF_STR("file"));
    cf_str one, name;

    while (cf_str_cut(&v, ',', &one)) {
        enum cf_field f;
        if (!cf_str_cut(&one, '=', &name) || !one.n)
            continue;
        name = cf_str_trim(name);
        if (cf_str_ieq(name, CF_STR("MD5")))
            f = file ? CF_F_FILE_HASH_MD5 : CF_F_PROCESS_HASH_MD5;
        else if (cf_str_ieq(name, CF_STR("SHA1")))
            f = file ? CF_F_FILE_HASH_SHA1 : CF_F_PROCESS_HASH_SHA1;
        else if (cf_str_ieq(name, CF_STR("SHA256")))
            f = file ? CF_F_FILE_HASH_SHA256 : CF_F_PROCESS_HASH_SHA256;
        else if (cf_str_ieq(name, CF_STR("IMPHASH")) && !file)
            f = CF_F_PROCESS_PE_IMPHASH;
        else
            continue;
        one = fold(r, one, false);
        (void)cf_event_set(r->ev, f, one);
        (void)cf_event_add(r->ev, CF_F_RELATED_HASH, one);
    }
}

/* DOMAIN\user, user@domain */
static bool user(struct cf_run *r, const struct cf_target *t, cf_str v, uint16_t raw, enum cf_vkind kind, bool *same)
{
    const char *cut = memchr(v.p, '\\', v.n);
    bool target = t->to.field == CF_F_USER_TARGET_NAME;
    enum cf_field dom = target ? CF_F_USER_TARGET_DOMAIN : CF_F_USER_DOMAIN;

    if (!cut || t->to.field == CF_F_EXTRA) {
        *same = true;
        return put(r, &t->to, v, raw, kind);
    }
    if (cut > v.p && (target || t->to.field == CF_F_USER_NAME)) {
        (void)cf_event_set(r->ev, dom, cf_str_n(v.p, (size_t)(cut - v.p)));
    } else if (cut > v.p && (t->to.field == CF_F_SOURCE_USER_NAME || t->to.field == CF_F_DESTINATION_USER_NAME)) {
        static _Atomic uint16_t names[2]; /* fields without a place in the table */
        unsigned which = t->to.field == CF_F_DESTINATION_USER_NAME;
        if (!names[which])
            names[which] = cf_name_intern(which ? CF_STR("destination.user.domain") : CF_STR("source.user.domain"));
        (void)cf_event_extra(r->ev, names[which], cf_str_n(v.p, (size_t)(cut - v.p)), 0, CF_V_STR);
        if (!which && !r->ev->slot[dom])
            (void)cf_event_set(r->ev, dom, cf_str_n(v.p, (size_t)(cut - v.p)));
    }
    return put(r, &t->to, cf_str_n(cut + 1, (size_t)(v.p + v.n - cut - 1)), 0, kind);
}

static void split(struct cf_run *r, const struct cf_ref *to, cf_str v, char sep)
{
    cf_str one;
    bool first = true;

    while (cf_str_cut(&v, sep, &one)) {
        one = cf_str_trim(one);
        if (!one.n)
            continue;
        if (to->field != CF_F_EXTRA) {
            if (!fits((enum cf_field)to->field, &one))
                continue;
            (void)(first && !r->ev->slot[to->field] ? cf_event_set(r->ev, (enum cf_field)to->field, one) : cf_event_add(r->ev, (enum cf_field)to->field, one));
        } else {
            cf_run_set(r, to, one, 0, CF_V_STR);
        }
        first = false;
    }
}

/* "10.0.0.1:80" "[::1]:80": the port goes to the .port beside an .ip/.address/.domain */
static bool host_port(struct cf_run *r, const struct cf_ref *to, cf_str v)
{
    static const struct {
        uint16_t ip, port;
    } ports[] = {{CF_F_SOURCE_IP, CF_F_SOURCE_PORT}, {CF_F_DESTINATION_IP, CF_F_DESTINATION_PORT}, {CF_F_CLIENT_IP, CF_F_CLIENT_PORT},
                 {CF_F_SERVER_IP, CF_F_SERVER_PORT}, {CF_F_SOURCE_NAT_IP, CF_F_SOURCE_NAT_PORT},
                 {CF_F_DESTINATION_NAT_IP, CF_F_DESTINATION_NAT_PORT}, {CF_F_URL_DOMAIN, CF_F_URL_PORT}, {CF_F_SOURCE_ADDRESS, CF_F_SOURCE_PORT},
                 {CF_F_DESTINATION_ADDRESS, CF_F_DESTINATION_PORT}};
    const char *colon = memrchr(v.p, ':', v.n);
    cf_str port = CF_STR_NONE;

    if (colon && v.p[0] != '[') { /* SonicWall: 192.0.2.1:4022:X0 */
        const char *first = memchr(v.p, ':', v.n), *second = first ? memchr(first + 1, ':', (size_t)(v.p + v.n - first - 1)) : NULL;
        if (second && second == colon && memchr(v.p, '.', (size_t)(first - v.p))) {
            cf_str name = cf_str_n(colon + 1, (size_t)(v.p + v.n - colon - 1));
            if (name.n && to->field == CF_F_SOURCE_IP)
                (void)cf_event_set(r->ev, CF_F_OBSERVER_INGRESS_INTERFACE_NAME, name);
            else if (name.n && to->field == CF_F_DESTINATION_IP)
                (void)cf_event_set(r->ev, CF_F_OBSERVER_EGRESS_INTERFACE_NAME, name);
            v.n = (size_t)(colon - v.p);
            colon = first;
            if (first + 1 == v.p + v.n) { /* no port: 192.0.2.1::X0 */
                v.n--;
                colon = NULL;
            }
        }
    }
    if (colon && all_digits(cf_str_n(colon + 1, (size_t)(v.p + v.n - colon - 1))) &&
        (v.p[0] == '[' || memchr(v.p, ':', v.n) == colon)) {
        port = cf_str_n(colon + 1, (size_t)(v.p + v.n - colon - 1));
        v.n = (size_t)(colon - v.p);
    }
    if (!v.n || !put(r, to, v, 0, CF_V_STR))
        return false;
    for (size_t i = 0; port.p && i < sizeof ports / sizeof *ports; i++)
        if (ports[i].ip == to->field)
            (void)cf_event_set_raw(r->ev, (enum cf_field)ports[i].port, port, 0, CF_V_INT);
    return true;
}

static cf_str protocol(struct cf_run *r, cf_str v)
{
    static const struct {
        uint8_t num;
        cf_str name;
    } p[] = {{6, {"tcp", 3}}, {17, {"udp", 3}}, {1, {"icmp", 4}}, {2, {"igmp", 4}}, {41, {"ipv6", 4}}, {47, {"gre", 3}}, {50, {"esp", 3}}, {51, {"ah", 2}},
             {58, {"ipv6-icmp", 9}}, {88, {"eigrp", 5}}, {89, {"ospf", 4}}, {103, {"pim", 3}}, {112, {"vrrp", 4}}, {132, {"sctp", 4}}};
    int64_t number;

    if (v.n > 3 || v.p[0] < '1' || v.p[0] > '9' || !cf_number(v, &number))
        return fold(r, v, false);
    for (size_t i = 0; i < sizeof p / sizeof *p; i++)
        if (p[i].num == number) {
            (void)cf_event_put(r->ev, CF_F_NETWORK_IANA_NUMBER, v, 0, CF_V_STR);
            return p[i].name;
        }
    return fold(r, v, false);
}

static cf_str look_up(struct cf_run *r, const struct cf_lookup *k, cf_str v)
{
    cf_str low = fold(r, v, false);

    for (size_t i = 0; i < k->n; i++)
        if (cf_str_eq(k->key[i], low))
            return k->val[i];
    return k->def;
}

static bool address(struct cf_run *r, const struct cf_ref *to, cf_str v)
{
    static const struct {
        uint16_t ip, domain;
    } d[] = {{CF_F_SOURCE_IP, CF_F_SOURCE_DOMAIN}, {CF_F_DESTINATION_IP, CF_F_DESTINATION_DOMAIN}, {CF_F_SERVER_IP, CF_F_SERVER_DOMAIN}};

    if (put(r, to, v, 0, CF_V_STR))
        return true;
    for (size_t i = 0; i < sizeof d / sizeof *d; i++)
        if (d[i].ip == to->field && v.n && v.n < 256 && !memchr(v.p, ' ', v.n)) {
            (void)cf_event_set(r->ev, (enum cf_field)d[i].domain, v);
            if (to->field == CF_F_SOURCE_IP)
                (void)cf_event_set(r->ev, CF_F_SOURCE_ADDRESS, v);
            else if (to->field == CF_F_DESTINATION_IP)
                (void)cf_event_set(r->ev, CF_F_DESTINATION_ADDRESS, v);
            return true;
        }
    return false;
}

static cf_str base_name(cf_str v)
{
    for (size_t i = v.n; i > 0; i--)
        if (v.p[i - 1] == '/' || v.p[i - 1] == '\\')
            return cf_str_sub(v, i, v.n);
    return v;
}

static cf_str time_text(struct cf_run *r, cf_str v)
{
    struct cf_stamp st;
    int64_t us;
    char t[32];

    if (!cf_stamp_auto(v, &st) || !cf_stamp_us(&st, r->src->has_zone ? &r->src->zone : &r->n->zone, r->now_us, &us))
        return CF_STR_NONE;
    return cf_arena_copy(r->a, cf_str_n(t, cf_time_format(us, t)));
}

/* netfilter's MAC=: destination, source, type */
static bool mac_pair(struct cf_run *r, cf_str v)
{
    cf_str dst, src;

    if (v.n < 35)
        return false;
    dst = mac(r, cf_str_n(v.p, 17));
    src = mac(r, cf_str_n(v.p + 18, 17));
    if (!dst.p || !src.p)
        return false;
    (void)cf_event_set(r->ev, CF_F_DESTINATION_MAC, dst);
    (void)cf_event_set(r->ev, CF_F_SOURCE_MAC, src);
    return true;
}

/* "1:02:03" or "0h:01m:52s" */
static cf_str hms(struct cf_run *r, cf_str v)
{
    int64_t part = 0, sum = 0;
    unsigned parts = 0;

    for (size_t i = 0; i < v.n; i++) {
        unsigned d = (unsigned)(v.p[i] - '0');
        if (d <= 9 && part < 100000000) {
            part = part * 10 + d;
        } else if (v.p[i] == ':' && parts++ < 3) {
            sum = sum * 60 + part * 60;
            part = 0;
        } else if (v.p[i] != 'h' && v.p[i] != 'm' && v.p[i] != 's') {
            return CF_STR_NONE;
        }
    }
    return parts == 2 && sum < 1000000000 ? number(r, (sum + part) * 1000000000) : CF_STR_NONE;
}

/* auditd writes text with odd bytes as hex digits, arguments divided by NUL */
static cf_str unhex(struct cf_run *r, cf_str v)
{
    char *p;

    if (v.n < 2 || v.n % 2 || v.n > 65536)
        return v;
    p = cf_arena_bytes(r->a, v.n / 2);
    if (!p || !cf_unhex(v, (uint8_t *)p, v.n / 2))
        return v;
    for (size_t i = 0; i < v.n / 2; i++)
        if ((unsigned char)p[i] < 0x20)
            p[i] = ' ';
    return cf_utf8_valid(cf_str_n(p, v.n / 2)) ? cf_str_n(p, v.n / 2) : v;
}

static cf_str record_type(cf_str number)
{
    static const struct {
        const char *number, *name;
    } t[] = {{"1", "A"}, {"2", "NS"}, {"5", "CNAME"}, {"6", "SOA"}, {"12", "PTR"}, {"15", "MX"}, {"16", "TXT"}, {"28", "AAAA"}, {"33", "SRV"}, {"65", "HTTPS"}};

    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        if (cf_str_eqz(number, t[i].number))
            return cf_str_c(t[i].name);
    return number;
}

/* Sysmon's QueryResults: "type:  5 name;::ffff:192.0.2.1;" */
static void dns_results(struct cf_run *r, cf_str v)
{
    cf_str one;

    while (cf_str_cut(&v, ';', &one)) {
        cf_str type = CF_STR_NONE;
        one = cf_str_trim(one);
        if (cf_str_starts(one, CF_STR("type:"))) {
            const char *blank = memrchr(one.p, ' ', one.n);
            if (!blank)
                continue;
            type = record_type(cf_str_trim(cf_str_n(one.p + 5, (size_t)(blank - one.p - 5))));
            one = cf_str_n(blank + 1, (size_t)(one.p + one.n - blank - 1));
        }
        if (!one.n || one.p[0] == '-')
            continue;
        if (fits_ip(&one)) {
            (void)cf_event_add(r->ev, CF_F_DNS_RESOLVED_IP, one);
            type = type.n ? type : memchr(one.p, ':', one.n) ? CF_STR("AAAA") : CF_STR("A");
        }
        (void)cf_event_add(r->ev, CF_F_DNS_ANSWERS_DATA, one);
        if (type.n)
            (void)cf_event_extra(r->ev, cf_name_intern(CF_STR("dns.answers.type")), type, 0, CF_V_STR);
    }
}

/* o, made of v, into its field. number: it is known to be one. */
static inline __attribute__((always_inline)) bool put_made(struct cf_run *r, const struct cf_target *t, cf_str o, cf_str v, uint16_t raw, enum cf_vkind kind, bool number, bool *same)
{
    if (!o.p || !o.n)
        return false;
    *same = o.n == v.n && (o.p == v.p || cf_same_text(o.p, v.p, o.n));
    if (number && t->to.field != CF_F_EXTRA && cf_fields[t->to.field].type == CF_T_LONG) { /* no need to look at its digits */
        cf_run_set(r, &t->to, o, *same ? raw : 0, *same ? kind : CF_V_STR);
        return true;
    }
    return put(r, &t->to, o, *same ? raw : 0, *same ? kind : CF_V_STR);
}

/* A list's text for v. */
static __attribute__((noinline)) bool put_looked_up(struct cf_run *r, const struct cf_target *t, cf_str v, uint16_t raw, bool *same)
{
    cf_str o = look_up(r, t->lookup, v);
    bool equal = o.p && cf_str_eq(o, v);

    if (!o.p || !put(r, &t->to, o, equal ? raw : 0, CF_V_STR))
        return false;
    *same = equal;
    return true;
}

/* No conversion: only addresses may lose something. */
static __attribute__((noinline)) bool put_as_it_is(struct cf_run *r, const struct cf_target *t, cf_str v, uint16_t raw, enum cf_vkind kind, bool *same)
{
    size_t before = v.n;

    if (t->to.field == CF_F_EXTRA || cf_fields[t->to.field].type != CF_T_IP) {
        *same = put(r, &t->to, v, raw, kind);
        return *same;
    }
    if (!fits_ip(&v))
        return false;
    *same = v.n == before;
    cf_run_set(r, &t->to, v, *same ? raw : 0, kind);
    return true;
}

static cf_str whole_number(struct cf_run *r, cf_str v)
{
    cf_str o = cf_str_trim(v);
    uint64_t h;

    if (!all_digits(o))
        o = cf_str_starts(v, CF_STR("0x")) && cf_str_hex64(v, &h) ? number(r, (int64_t)h) : CF_STR_NONE;
    while (o.n > 1 && o.p[0] == '0')
        o = cf_str_sub(o, 1, o.n);
    return o;
}

/* The conversions that are seldom asked for; their room on the stack is not taken for the others. */
static __attribute__((noinline)) bool convert_other(struct cf_run *r, const struct cf_target *t, cf_str v, uint16_t raw, enum cf_vkind kind, bool *same)
{
    cf_str o = v;
    uint64_t h;

    switch (t->conv) {
    case CF_C_DASHES: o = dashes(r, v); break;
    case CF_C_FINGERPRINT: o = fingerprint(r, v); break;
    case CF_C_TRIM: o = cf_str_trim(v); break;
    case CF_C_IP: if (!fits_ip(&o)) return false; break;
    case CF_C_MAC: o = mac(r, v); break;
    case CF_C_BASENAME: o = base_name(v); break;
    case CF_C_INT: o = whole_number(r, v); break;
    case CF_C_HEX: o = cf_str_hex64(v, &h) ? number(r, (int64_t)h) : CF_STR_NONE; break;
    case CF_C_TIME: o = time_text(r, v); break;
    case CF_C_NOBRACES:
        if (v.n > 2 && v.p[0] == '{' && v.p[v.n - 1] == '}')
            o = cf_str_n(v.p + 1, v.n - 2);
        break;
    case CF_C_DNSRESULTS: dns_results(r, v); return true;
    case CF_C_APPEND: /* one more value, whatever the field holds; map_pair() asks it before others */
        o = v.n >= 4 ? unhex(r, v) : v;
        (void)cf_event_add(r->ev, (enum cf_field)t->to.field, o);
        return true;
    case CF_C_ARGS: cf_run_args(r, &t->to, v); return true;
    case CF_C_MACPAIR: return mac_pair(r, v);
    case CF_C_HMS: o = hms(r, v); break;
    case CF_C_UNHEX: o = unhex(r, v); break;
    case CF_C_HASHES: hashes(r, &t->to, v); return true;
    case CF_C_USER: return user(r, t, v, raw, kind, same);
    case CF_C_SPLIT_COMMA: split(r, &t->to, v, ','); return true;
    case CF_C_SPLIT_SPACE: split(r, &t->to, v, ' '); return true;
    case CF_C_HOSTPORT: return host_port(r, &t->to, v);
    case CF_C_ADDRESS: return address(r, &t->to, v);
    case CF_C_URL: *same = true; return put(r, &t->to, v, raw, kind);
    case CF_C_SID: *same = true; return v.n > 2 && put(r, &t->to, v, raw, kind);
    case CF_C_NONE: case CF_C_LOWER: case CF_C_UPPER: case CF_C_PROTO: case CF_C_S_TO_NS: case CF_C_MS_TO_NS: case CF_C_US_TO_NS: break; /* not here */
    }
    return put_made(r, t, o, v, raw, kind, false, same);
}

bool cf_run_convert(struct cf_run *r, const struct cf_target *t, cf_str v, uint16_t raw, enum cf_vkind kind, bool *same)
{
    cf_str o;
    bool number = false;

    *same = false;
    if (t->lookup)
        return put_looked_up(r, t, v, raw, same);
    switch (t->conv) {
    case CF_C_NONE: return put_as_it_is(r, t, v, raw, kind, same);
    case CF_C_LOWER: case CF_C_UPPER: o = fold(r, v, t->conv == CF_C_UPPER); break;
    case CF_C_PROTO: o = protocol(r, v); break;
    case CF_C_S_TO_NS: case CF_C_MS_TO_NS: case CF_C_US_TO_NS:
        o = scaled(r, v, t->conv == CF_C_S_TO_NS ? 1e9 : t->conv == CF_C_MS_TO_NS ? 1e6 : 1e3);
        number = true;
        break;
    default: return convert_other(r, t, v, raw, kind, same);
    }
    return put_made(r, t, o, v, raw, kind, number, same);
}
