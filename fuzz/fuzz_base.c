/* SPDX-License-Identifier: Apache-2.0
 * Small parsers of base: times, addresses, numbers, UTF-8, JSON strings. What parses must print and parse back the same. */
#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cf_str s = {(const char *)data, size};
    struct cf_ip ip, ip2;
    struct cf_cidr cidr;
    struct cf_buf b;
    int64_t t, t2;
    double d;
    uint64_t u;
    char text[64];

    if (cf_ip_parse(s, &ip)) {
        size_t n = cf_ip_format(&ip, text);
        if (!cf_ip_parse(cf_str_n(text, n), &ip2) || memcmp(&ip, &ip2, sizeof ip) != 0)
            __builtin_trap();
    }
    if (cf_cidr_parse(s, &cidr) && !cf_cidr_has(&cidr, &cidr.ip))
        __builtin_trap();
    if (cf_time_parse(s, &t)) {
        size_t n = cf_time_format(t, text);
        if (!cf_time_parse(cf_str_n(text, n), &t2) || (t2 != t && t > INT64_C(-62135596800000000) && t < INT64_C(253402300799000000)))
            __builtin_trap();
    }
    (void)cf_time_parse_rel(s, 0, &t);
    (void)cf_str_i64(s, &t);
    (void)cf_str_hex64(s, &u);
    (void)cf_str_f64(s, &d);
    cf_buf_init(&b, 1 << 20);
    cf_buf_json(&b, s);
    if (!b.failed && !cf_utf8_valid(cf_buf_view(&b)))
        __builtin_trap();
    cf_buf_release(&b);
    return 0;
}
