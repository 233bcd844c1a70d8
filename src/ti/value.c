/* SPDX-License-Identifier: Apache-2.0
 * Normal forms of indicator values; see value.h. */
#include "ti/value.h"

#include <stdio.h>

static const char *const names[CF_TI_TYPES] = {"ipv4", "ipv6", "cidr", "domain", "url", "md5", "sha1", "sha256", "email", "ja3", "ja4", "cert", "account", "wallet"};

const char *cf_ti_type_name(enum cf_ti_type t) { return (unsigned)t < CF_TI_TYPES ? names[t] : "any"; }

bool cf_ti_type_parse(cf_str s, enum cf_ti_type *ret)
{
    static const struct {
        const char *name;
        enum cf_ti_type t;
    } other[] = {
        {"ip", CF_TI_IPV4}, {"ipv4-addr", CF_TI_IPV4}, {"ip-src", CF_TI_IPV4}, {"ip-dst", CF_TI_IPV4}, {"ipaddress", CF_TI_IPV4}, {"ipv6-addr", CF_TI_IPV6},
        {"network", CF_TI_CIDR}, {"hostname", CF_TI_DOMAIN}, {"host", CF_TI_DOMAIN}, {"domain-name", CF_TI_DOMAIN}, {"fqdn", CF_TI_DOMAIN}, {"uri", CF_TI_URL},
        {"link", CF_TI_URL}, {"sha-1", CF_TI_SHA1}, {"sha-256", CF_TI_SHA256}, {"md5-hash", CF_TI_MD5}, {"email-addr", CF_TI_EMAIL}, {"email-src", CF_TI_EMAIL},
        {"email-dst", CF_TI_EMAIL}, {"e-mail", CF_TI_EMAIL}, {"mail", CF_TI_EMAIL}, {"ja3-fingerprint-md5", CF_TI_JA3}, {"ja3s", CF_TI_JA3},
        {"x509-fingerprint-sha1", CF_TI_CERT}, {"x509-fingerprint-sha256", CF_TI_CERT}, {"certificate", CF_TI_CERT}, {"user-account", CF_TI_ACCOUNT},
        {"btc", CF_TI_WALLET}, {"xmr", CF_TI_WALLET}, {"cryptocurrency-wallet", CF_TI_WALLET},
    };

    for (int i = 0; i < CF_TI_TYPES; i++)
        if (cf_str_ieq(s, cf_str_c(names[i]))) {
            *ret = (enum cf_ti_type)i;
            return true;
        }
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (cf_str_ieq(s, cf_str_c(other[i].name))) {
            *ret = other[i].t;
            return true;
        }
    return false;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }
static bool digit(char c) { return c >= '0' && c <= '9'; }
static bool hexdigit(char c) { return digit(c) || (lower(c) >= 'a' && lower(c) <= 'f'); }

/* ---- refanging ----------------------------------------------------------------------------------------------------- */

/* Undoes what reports do to links: hxxp, [.], (dot), [:], [at], brackets and quotes around. Length written, or 0 when too long. */
static size_t refang(cf_str in, char *out, size_t cap)
{
    static const struct {
        cf_str from;
        const char *to;
    } map[] = {{{"[.]", 3}, "."}, {{"(.)", 3}, "."}, {{"{.}", 3}, "."}, {{"[dot]", 5}, "."}, {{"(dot)", 5}, "."}, {{"{dot}", 5}, "."}, {{"[:]", 3}, ":"},
               {{"[://]", 5}, "://"}, {{"[@]", 3}, "@"}, {{"[at]", 4}, "@"}, {{"(at)", 4}, "@"}, {{"\\.", 2}, "."}, {{"[/]", 3}, "/"}};
    size_t n = 0;

    in = cf_str_trim(in);
    while (in.n >= 2 && ((in.p[0] == '"' && in.p[in.n - 1] == '"') || (in.p[0] == '\'' && in.p[in.n - 1] == '\'') || (in.p[0] == '<' && in.p[in.n - 1] == '>')))
        in = cf_str_trim(cf_str_sub(in, 1, in.n - 2));
    if (cf_str_istarts(in, CF_STR("hxxp")) || cf_str_istarts(in, CF_STR("h**p")) || cf_str_istarts(in, CF_STR("meow"))) {
        if (cap < 5)
            return 0;
        memcpy(out, "http", 4);
        n = 4;
        in = cf_str_sub(in, 4, in.n);
    }
    while (in.n) {
        size_t k = sizeof map / sizeof *map;

        if (in.p[0] == '[' || in.p[0] == '(' || in.p[0] == '{' || in.p[0] == '\\')
            for (k = 0; k < sizeof map / sizeof *map && !cf_str_istarts(in, map[k].from); k++)
                ;
        if (k < sizeof map / sizeof *map) {
            size_t m = strlen(map[k].to);

            if (n + m >= cap)
                return 0;
            memcpy(out + n, map[k].to, m);
            n += m;
            in = cf_str_sub(in, map[k].from.n, in.n);
            continue;
        }
        if (n + 1 >= cap)
            return 0;
        out[n++] = in.p[0];
        in = cf_str_sub(in, 1, in.n);
    }
    out[n] = '\0';
    return n;
}

/* ---- host names ------------------------------------------------------------------------------------------------------ */

static bool read_domain(cf_str s, struct cf_ti_value *ret, const char **why)
{
    const char *last;
    size_t n;

    if (cf_str_starts(s, CF_STR("*.")))
        s = cf_str_sub(s, 2, s.n);
    else if (cf_str_starts(s, CF_STR(".")))
        s = cf_str_sub(s, 1, s.n);
    *why = "not a domain name";
    n = cf_ti_host(s, ret->p);
    if (n == 0)
        return false;
    last = strrchr(ret->p, '.');
    if (!last) {
        *why = "a name without a dot would match whole top-level domains";
        return false;
    }
    if (digit(last[1]) && strspn(last + 1, "0123456789") == strlen(last + 1))
        return false; /* a broken address */
    ret->type = CF_TI_DOMAIN;
    ret->n = (uint16_t)n;
    return true;
}

/* ---- addresses ------------------------------------------------------------------------------------------------------- */

static bool set_text(struct cf_ti_value *ret, enum cf_ti_type t, const char *p, size_t n)
{
    if (n == 0 || n > CF_TI_VALUE_MAX)
        return false;
    memmove(ret->p, p, n);
    ret->p[n] = '\0';
    ret->n = (uint16_t)n;
    ret->type = t;
    return true;
}

static bool set_ip(struct cf_ti_value *ret, const struct cf_ip *ip)
{
    char buf[46];
    size_t n = cf_ip_format(ip, buf);

    return set_text(ret, cf_ip_is4(ip) ? CF_TI_IPV4 : CF_TI_IPV6, buf, n);
}

static bool read_cidr(cf_str s, struct cf_ti_value *ret, const char **why)
{
    struct cf_cidr c;
    char buf[64];
    unsigned bits;
    size_t n;
    bool v4;

    *why = "not an address range";
    if (!memchr(s.p, '/', s.n) || !cf_cidr_parse(s, &c))
        return false;
    for (unsigned i = c.bits; i < 128; i++)
        c.ip.b[i / 8] = (uint8_t)(c.ip.b[i / 8] & ~(0x80u >> (i % 8)));
    if (c.bits == 128)
        return set_ip(ret, &c.ip);
    v4 = cf_ip_is4(&c.ip) && c.bits >= 96;
    bits = v4 ? c.bits - 96u : c.bits;
    if (bits < (v4 ? 8u : 16u)) {
        *why = v4 ? "a range wider than /8 would match everything" : "a range wider than /16 would match everything";
        return false;
    }
    n = cf_ip_format(&c.ip, buf);
    n += (size_t)snprintf(buf + n, sizeof buf - n, "/%u", bits);
    return set_text(ret, CF_TI_CIDR, buf, n);
}

/* An address alone, in brackets, with a port, or a range. */
static bool read_ip(cf_str s, struct cf_ti_value *ret, const char **why)
{
    struct cf_ip ip;
    const char *colon;

    *why = "not an address";
    if (s.n == 0)
        return false;
    if (memchr(s.p, '/', s.n))
        return read_cidr(s, ret, why);
    if (s.p[0] == '[') {
        const char *end = memchr(s.p, ']', s.n);

        if (!end)
            return false;
        s = cf_str_n(s.p + 1, (size_t)(end - s.p) - 1);
    }
    if (cf_ip_parse(s, &ip))
        return set_ip(ret, &ip);
    colon = memchr(s.p, ':', s.n);
    if (!colon)
        colon = memchr(s.p, '|', s.n);
    return colon && cf_ip_parse(cf_str_n(s.p, (size_t)(colon - s.p)), &ip) && cf_ip_is4(&ip) && set_ip(ret, &ip);
}

/* ---- URLs -------------------------------------------------------------------------------------------------------------- */

size_t cf_ti_url_key(cf_str url, char *out, size_t *ret_path, size_t *ret_query)
{
    ptrdiff_t at = cf_str_find(cf_str_sub(url, 0, 16), CF_STR("://"));
    cf_str host, port = CF_STR_NONE, rest;
    bool https = at == 5;
    size_t n, end = 0;
    const char *p;
    struct cf_ip ip;

    if (at > 0)
        url = cf_str_sub(url, (size_t)at + 3, url.n);
    while (end < url.n && url.p[end] != '/' && url.p[end] != '?' && url.p[end] != '#')
        end++;
    host = cf_str_sub(url, 0, end);
    rest = cf_str_sub(url, end, url.n);
    p = host.n ? memrchr(host.p, '@', host.n) : NULL;
    if (p)
        host = cf_str_n(p + 1, host.n - (size_t)(p - host.p) - 1);
    if (host.n && host.p[0] == '[') {
        p = memchr(host.p, ']', host.n);
        if (!p)
            return 0;
        if (p + 1 < host.p + host.n && p[1] == ':')
            port = cf_str_n(p + 2, host.n - (size_t)(p - host.p) - 2);
        host = cf_str_n(host.p + 1, (size_t)(p - host.p) - 1);
    } else if (host.n && (p = memchr(host.p, ':', host.n)) != NULL) {
        port = cf_str_n(p + 1, host.n - (size_t)(p - host.p) - 1);
        host = cf_str_n(host.p, (size_t)(p - host.p));
    }
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    if (host.n && host.p[host.n - 1] == '.')
        return 0;
    if (cf_ip_parse(host, &ip))
        n = cf_ip_format(&ip, out);
    else
        n = cf_ti_host(host, out);
    if (n == 0 || port.n > 5)
        return 0;
    if (port.n && !(cf_str_eqz(port, "80") && !https) && !cf_str_eqz(port, "443")) {
        out[n++] = ':';
        for (size_t i = 0; i < port.n; i++) {
            if (!digit(port.p[i]))
                return 0;
            out[n++] = port.p[i];
        }
    }
    *ret_path = n;
    if (rest.n == 0 || rest.p[0] != '/')
        out[n++] = '/';
    p = rest.n ? memchr(rest.p, '#', rest.n) : NULL;
    if (p)
        rest.n = (size_t)(p - rest.p);
    if (n + rest.n > CF_TI_VALUE_MAX)
        return 0;
    if (rest.n)
        memcpy(out + n, rest.p, rest.n);
    p = rest.n ? memchr(rest.p, '?', rest.n) : NULL;
    *ret_query = n + (p ? (size_t)(p - rest.p) : rest.n);
    n += rest.n;
    out[n] = '\0';
    return n;
}

/* RFC 3986: a letter, then letters, digits, "+", "-", ".". */
static bool is_scheme(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = lower(p[i]);

        if (!((c >= 'a' && c <= 'z') || (i && (digit(c) || c == '+' || c == '-' || c == '.'))))
            return false;
    }
    return true;
}

static bool read_url(cf_str s, struct cf_ti_value *ret, const char **why)
{
    char key[CF_TI_VALUE_MAX + 1];
    ptrdiff_t at = cf_str_find(cf_str_sub(s, 0, 16), CF_STR("://"));
    size_t path, query, n, k = 0;

    *why = "not a URL";
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
            return false;
    n = cf_ti_url_key(s, key, &path, &query);
    if (n == 0 || (at > 0 && !is_scheme(s.p, (size_t)at)) || (at <= 0 && !memchr(key, '.', path) && !memchr(key, ':', path))) /* "word/": as likely a path as a host */
        return false;
    if (at > 0) {
        for (; k < (size_t)at; k++)
            ret->p[k] = lower(s.p[k]);
        memcpy(ret->p + k, "://", 3);
        k += 3;
    }
    if (n + k > CF_TI_VALUE_MAX) {
        *why = "longer than 2,048 characters";
        return false;
    }
    memcpy(ret->p + k, key, n + 1);
    ret->n = (uint16_t)(n + k);
    ret->type = CF_TI_URL;
    return true;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------------- */

static bool read_hex(cf_str s, size_t n, enum cf_ti_type t, struct cf_ti_value *ret)
{
    if (s.n != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!hexdigit(s.p[i]))
            return false;
        ret->p[i] = lower(s.p[i]);
    }
    ret->p[n] = '\0';
    ret->n = (uint16_t)n;
    ret->type = t;
    return true;
}

static bool read_cert(cf_str s, struct cf_ti_value *ret)
{
    char hex[80];
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ':') {
            if (n == sizeof hex)
                return false;
            hex[n++] = s.p[i];
        }
    return read_hex(cf_str_n(hex, n), n == 64 ? 64 : 40, CF_TI_CERT, ret);
}

static bool read_email(cf_str s, struct cf_ti_value *ret)
{
    const char *at = memchr(s.p, '@', s.n);
    char host[256];
    size_t k, n;

    if (cf_str_istarts(s, CF_STR("mailto:")))
        return read_email(cf_str_sub(s, 7, s.n), ret);
    if (!at || at == s.p || s.n > 320)
        return false;
    k = (size_t)(at - s.p);
    for (size_t i = 0; i < k; i++) {
        if ((unsigned char)s.p[i] <= ' ' || strchr("<>(),;:\"", s.p[i]))
            return false;
        ret->p[i] = lower(s.p[i]);
    }
    n = cf_ti_host(cf_str_sub(s, k + 1, s.n), host);
    if (n == 0 || !memchr(host, '.', n) || k + 1 + n > 320) /* RFC 5321's 64 + 1 + 255; a host grows by its "xn--" form */
        return false;
    ret->p[k] = '@';
    memcpy(ret->p + k + 1, host, n + 1);
    ret->n = (uint16_t)(k + 1 + n);
    ret->type = CF_TI_EMAIL;
    return true;
}

/* t13d1516h2_8daaf6152771_b186095e22b6 */
static bool read_ja4(cf_str s, struct cf_ti_value *ret)
{
    if (s.n != 36 || s.p[10] != '_' || s.p[23] != '_' || !strchr("tqdTQD", s.p[0]) || !strchr("diDI", s.p[3]))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (i > 10 && i != 23 && !hexdigit(s.p[i]))
            return false;
        ret->p[i] = lower(s.p[i]);
    }
    return set_text(ret, CF_TI_JA4, ret->p, 36);
}

static bool read_word(cf_str s, enum cf_ti_type t, size_t min, struct cf_ti_value *ret)
{
    if (s.n < min || s.n > 256)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
        ret->p[i] = t == CF_TI_ACCOUNT ? lower(s.p[i]) : s.p[i];
    }
    return set_text(ret, t, ret->p, s.n);
}

static bool read_any(cf_str s, struct cf_ti_value *ret, const char **why)
{
    const char *ignored;

    if (cf_str_find(cf_str_sub(s, 0, 16), CF_STR("://")) > 0)
        return read_url(s, ret, why);
    if (read_hex(s, 32, CF_TI_MD5, ret) || read_hex(s, 40, CF_TI_SHA1, ret) || read_hex(s, 64, CF_TI_SHA256, ret) || read_ja4(s, ret))
        return true;
    if (read_ip(s, ret, &ignored))
        return true;
    if (ignored[0] == 'a') { /* a range that is too wide */
        *why = ignored;
        return false;
    }
    if (memchr(s.p, '@', s.n) && read_email(s, ret))
        return true;
    if (memchr(s.p, '/', s.n))
        return read_url(s, ret, why);
    return read_domain(s, ret, why);
}

bool cf_ti_value_read(cf_str text, enum cf_ti_type want, struct cf_ti_value *ret, const char **ret_why)
{
    char buf[CF_TI_VALUE_MAX + 64];
    const char *why = "not understood";
    bool ok = false;
    cf_str s;

    if (!ret_why)
        ret_why = &why;
    text = cf_str_trim(text);
    if (text.n == 0 || text.n > CF_TI_VALUE_MAX || memchr(text.p, '\0', text.n)) {
        *ret_why = text.n == 0 ? "empty" : text.n > CF_TI_VALUE_MAX ? "longer than 2,048 characters" : "holds a NUL byte";
        return false;
    }
    if (want == CF_TI_ACCOUNT || want == CF_TI_WALLET) {
        s = text; /* "CITY\j.smith" is not defanged */
    } else {
        size_t before = 0;

        s = cf_str_n(buf, refang(text, buf, sizeof buf));
        for (int i = 0; s.n && i < 4 && s.n != before; i++) { /* "[(.)]": taken off layer by layer */
            before = s.n;
            s.n = refang(s, buf, sizeof buf);
        }
        if (s.n && s.n != before) {
            *ret_why = "brackets in brackets";
            return false;
        }
    }
    if (s.n == 0) {
        *ret_why = "empty";
        return false;
    }
    *ret_why = why;
    switch (want) {
    case CF_TI_IPV4:
    case CF_TI_IPV6:
    case CF_TI_CIDR: return read_ip(s, ret, ret_why);
    case CF_TI_DOMAIN: return read_domain(s, ret, ret_why);
    case CF_TI_URL: return read_url(s, ret, ret_why);
    case CF_TI_MD5: ok = read_hex(s, 32, want, ret); break;
    case CF_TI_SHA1: ok = read_hex(s, 40, want, ret); break;
    case CF_TI_SHA256: ok = read_hex(s, 64, want, ret); break;
    case CF_TI_JA3: ok = read_hex(s, 32, want, ret); break;
    case CF_TI_JA4: ok = read_ja4(s, ret); break;
    case CF_TI_CERT: ok = read_cert(s, ret); break;
    case CF_TI_EMAIL: ok = read_email(s, ret); break;
    case CF_TI_ACCOUNT: ok = read_word(s, want, 3, ret); break;
    case CF_TI_WALLET: ok = read_word(s, want, 20, ret); break;
    case CF_TI_ANY: return read_any(s, ret, ret_why);
    }
    if (!ok) {
        static const char *const whys[CF_TI_TYPES] = {[CF_TI_MD5] = "an MD5 has 32 hexadecimal digits", [CF_TI_SHA1] = "a SHA-1 has 40 hexadecimal digits",
                                                      [CF_TI_SHA256] = "a SHA-256 has 64 hexadecimal digits", [CF_TI_JA3] = "a JA3 has 32 hexadecimal digits",
                                                      [CF_TI_JA4] = "not a JA4 fingerprint", [CF_TI_CERT] = "a certificate is given by its SHA-1 or SHA-256",
                                                      [CF_TI_EMAIL] = "not an e-mail address", [CF_TI_ACCOUNT] = "an account has 3 to 256 characters",
                                                      [CF_TI_WALLET] = "a wallet address has 20 to 256 characters"};
        *ret_why = whys[want] ? whys[want] : why;
    }
    return ok;
}
