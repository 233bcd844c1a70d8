/* SPDX-License-Identifier: Apache-2.0
 * One indicator value: which kind it is and its normal form. Everything that compares values (import, exclusions, matcher, feeds)
 * goes through here, so that 'hxxp://EVIL[.]example/' of a report and 'http://evil.example/' of a log are the same thing. */
#ifndef CF_TI_VALUE_H
#define CF_TI_VALUE_H

#include "base/base.h"

enum cf_ti_type {
    CF_TI_IPV4, CF_TI_IPV6, CF_TI_CIDR, CF_TI_DOMAIN, CF_TI_URL, CF_TI_MD5, CF_TI_SHA1, CF_TI_SHA256, CF_TI_EMAIL, CF_TI_JA3, CF_TI_JA4,
    CF_TI_CERT, CF_TI_ACCOUNT, CF_TI_WALLET, CF_TI_TYPES,
    CF_TI_ANY = CF_TI_TYPES /* told from the text */
};
#define CF_TI_VALUE_MAX 2048

const char *cf_ti_type_name(enum cf_ti_type t); /* ipv4 ipv6 cidr domain url md5 ... */
bool cf_ti_type_parse(cf_str s, enum cf_ti_type *ret); /* those names and the usual others: ip, hostname, sha-256, ip-dst ... */

struct cf_ti_value {
    enum cf_ti_type type;
    uint16_t n;
    char p[CF_TI_VALUE_MAX + 1]; /* normal form, NUL-terminated */
};
static inline cf_str cf_ti_value_str(const struct cf_ti_value *v) { return (cf_str){v->p, v->n}; }

/* Refangs, checks and normalises. want: the kind the source names, CF_TI_ANY to tell from the text; ipv4, ipv6 and cidr are
 * chosen by the text whatever of the three is asked for. False: *ret_why says why not. */
bool cf_ti_value_read(cf_str text, enum cf_ti_type want, struct cf_ti_value *ret, const char **ret_why);

/* Normal form of a host name (lower case, no final dot, UTF-8 labels as punycode); 0: not a name. out has 256 bytes. */
size_t cf_ti_host(cf_str text, char out[256]);
/* What URLs are compared by: host[:port]/path[?query], host in lower case, default ports and the fragment left out. 0: not a
 * URL. *ret_path: where the path begins, *ret_query: where '?' stands or the length. out has CF_TI_VALUE_MAX + 1 bytes. */
size_t cf_ti_url_key(cf_str url, char *out, size_t *ret_path, size_t *ret_query);

#endif
