/* SPDX-License-Identifier: Apache-2.0
 * Normal forms of values, STIX patterns, and the matcher against a slow search over the same indicators. */
#include "test.h"

#include "ti/ti_int.h"

static void values(void **st)
{
    static const struct {
        const char *in;
        enum cf_ti_type want, type;
        const char *out; /* NULL: refused */
    } t[] = {
        {"1.2.3.4", CF_TI_ANY, CF_TI_IPV4, "1.2.3.4"}, {" 1[.]2[.]3[.]4 ", CF_TI_ANY, CF_TI_IPV4, "1.2.3.4"}, {"1.2.3.4:8080", CF_TI_ANY, CF_TI_IPV4, "1.2.3.4"},
        {"2001:DB8::0001", CF_TI_ANY, CF_TI_IPV6, "2001:db8::1"}, {"10.1.2.3/24", CF_TI_ANY, CF_TI_CIDR, "10.1.2.0/24"}, {"10.1.2.3/32", CF_TI_ANY, CF_TI_IPV4, "10.1.2.3"},
        {"0.0.0.0/0", CF_TI_ANY, CF_TI_CIDR, NULL}, {"2001:db8::/32", CF_TI_ANY, CF_TI_CIDR, "2001:db8::/32"}, {"EVIL[.]Example[.]COM.", CF_TI_ANY, CF_TI_DOMAIN, "evil.example.com"},
        {"*.evil.example", CF_TI_DOMAIN, CF_TI_DOMAIN, "evil.example"}, {"com", CF_TI_ANY, CF_TI_DOMAIN, NULL}, {"例子.测试", CF_TI_ANY, CF_TI_DOMAIN, "xn--fsqu00a.xn--0zwm56d"},
        {"bücher.example", CF_TI_DOMAIN, CF_TI_DOMAIN, "xn--bcher-kva.example"}, {"hxxp://EVIL[.]example:80/A/b?c=D#frag", CF_TI_ANY, CF_TI_URL, "http://evil.example/A/b?c=D"},
        {"hxxps[:]//evil.example", CF_TI_ANY, CF_TI_URL, "https://evil.example/"}, {"evil.example/path", CF_TI_ANY, CF_TI_URL, "evil.example/path"},
        {"D41D8CD98F00B204E9800998ECF8427E", CF_TI_ANY, CF_TI_MD5, "d41d8cd98f00b204e9800998ecf8427e"}, {"d41d8cd9", CF_TI_MD5, CF_TI_MD5, NULL},
        {"a@b", CF_TI_EMAIL, CF_TI_EMAIL, NULL}, {"Bad[at]Evil[.]example", CF_TI_ANY, CF_TI_EMAIL, "bad@evil.example"},
        {"t13d1516h2_8daaf6152771_b186095e22b6", CF_TI_ANY, CF_TI_JA4, "t13d1516h2_8daaf6152771_b186095e22b6"}, {"AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD", CF_TI_CERT, CF_TI_CERT, "aabbccddeeff00112233445566778899aabbccdd"},
        {"", CF_TI_ANY, CF_TI_DOMAIN, NULL}, {"not a value", CF_TI_ANY, CF_TI_DOMAIN, NULL}, {"1.2.3.999", CF_TI_ANY, CF_TI_IPV4, NULL}, {"<script>", CF_TI_ANY, CF_TI_DOMAIN, NULL},
        {"http://", CF_TI_ANY, CF_TI_URL, NULL}, {"http://exa mple.com/", CF_TI_ANY, CF_TI_URL, NULL}, {"a..b.example", CF_TI_DOMAIN, CF_TI_DOMAIN, NULL},
    };
    struct cf_ti_value v;
    const char *why;

    (void)st;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        bool ok = cf_ti_value_read(cf_str_c(t[i].in), t[i].want, &v, &why);

        if (ok != (t[i].out != NULL) || (ok && (strcmp(v.p, t[i].out) != 0 || v.type != t[i].type || v.n != strlen(v.p))))
            fail_msg("\"%s\": %s %s %s", t[i].in, ok ? "read as" : "refused:", ok ? cf_ti_type_name(v.type) : why, ok ? v.p : "");
        if (ok) { /* the normal form is its own normal form */
            char first[CF_TI_VALUE_MAX + 1];

            memcpy(first, v.p, v.n + 1u);
            assert_true(cf_ti_value_read(cf_str_c(first), v.type, &v, &why));
            assert_string_equal(v.p, first);
        }
    }
}

static char atoms[4000];
static int on_atom(void *ctx, const struct ti_atom *a, struct cf_error *e)
{
    size_t n = strlen(atoms);

    (void)ctx;
    (void)e;
    (void)snprintf(atoms + n, sizeof atoms - n, "%s:%s%s%s;", cf_ti_type_name(a->value.type), a->value.p, a->cond[0] ? "&" : "", a->cond);
    return 0;
}

static void patterns(void **st)
{
    static const struct {
        const char *in;
        int r;
        const char *out;
    } t[] = {
        {"[ipv4-addr:value = '198.51.100.1']", 0, "ipv4:198.51.100.1;"},
        {"[ipv4-addr:value = '198.51.100.1/32' OR ipv4-addr:value = '203.0.113.33' OR ipv6-addr:value ISSUBSET '2001:0db8:dead:beef::/64']", 0,
         "ipv4:198.51.100.1;ipv4:203.0.113.33;cidr:2001:db8:dead:beef::/64;"},
        {"[file:hashes.'SHA-256' = 'aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f']", 0, "sha256:aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f;"},
        {"[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e' AND file:name = 'x.exe']", 0, "md5:d41d8cd98f00b204e9800998ecf8427e&file.name=x.exe;"},
        {"[domain-name:value IN ('a.example', 'b.example')] OR [url:value = 'http://c.example/\\'q\\'']", 0, "domain:a.example;domain:b.example;url:http://c.example/'q';"},
        {"[(domain-name:value = 'a.example' OR domain-name:value = 'b.example') AND network-traffic:dst_port = 443]", 0,
         "domain:a.example&destination.port=443;domain:b.example&destination.port=443;"},
        {"[a:b = 'x' OR domain-name:value = 'b.example' AND file:name = 'y']", CF_EUNSUPPORTED, ""},
        {"[ipv4-addr:value = '1.2.3.4'] FOLLOWEDBY [ipv4-addr:value = '1.2.3.5']", CF_EUNSUPPORTED, ""},
        {"[ipv4-addr:value = '1.2.3.4'] REPEATS 5 TIMES WITHIN 60 SECONDS", CF_EUNSUPPORTED, ""},
        {"[file:name LIKE '%.exe']", CF_EUNSUPPORTED, ""}, {"[ipv4-addr:value != '1.2.3.4']", CF_EUNSUPPORTED, ""}, {"[ipv4-addr:value = '1.2.3.4'", CF_ESYNTAX, ""},
        {"ipv4-addr:value = '1.2.3.4'", CF_ESYNTAX, ""}, {"[ipv4-addr:value = 'nonsense']", CF_EINVAL, ""}, {"[network-traffic:dst_ref.value = '9.9.9.1' AND network-traffic:src_ref.value = '9.9.9.2']", 0,
         "ipv4:9.9.9.1&source.ip=9.9.9.2;"}, {"", CF_ESYNTAX, ""}, {"[", CF_ESYNTAX, ""},
        {"[((((((((((((((((((ipv4-addr:value = '1.2.3.4'))))))))))))))))))]", CF_ELIMIT, ""},
    };

    (void)st;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct cf_error err = {0};
        int r;

        atoms[0] = 0;
        r = ti_pattern_atoms(cf_str_c(t[i].in), on_atom, NULL, &err);
        if (r != t[i].r || strcmp(atoms, t[i].out) != 0)
            fail_msg("%s: %d %s, \"%s\"", t[i].in, r, err.msg, atoms);
    }
}

/* ---- the matcher ------------------------------------------------------------------------------------------------------------ */

static void put(struct cf_ti_builder *b, enum cf_ti_type t, const char *v, int conf, int64_t until_s, const char *cond, bool exact)
{
    struct cf_ti_entry_in in = {.type = t, .value = cf_str_c(v), .confidence = (uint8_t)conf, .until_us = until_s * CF_US_PER_S, .cond = cf_str_c(cond), .exact = exact,
                                .info = {.feed = CF_STR("f"), .family = CF_STR(""), .threat_type = CF_STR(""), .group = CF_STR(""), .severity = 3}};

    in.id[15] = (uint8_t)conf;
    assert_int_equal(cf_ti_builder_add(b, &in), 0);
}

static int found(const struct cf_ti_set *s, enum cf_ti_type t, const char *text, uint32_t now)
{
    const struct cf_ti_entry *e = cf_ti_find(s, t, cf_str_c(text), now, NULL);

    return e ? e->confidence : -1;
}

static void look_ups(void **st)
{
    struct cf_ti_builder *b = cf_ti_builder_new(0);
    struct cf_ti_set *s;

    (void)st;
    put(b, CF_TI_IPV4, "198.51.100.7", 10, 0, "", false);
    put(b, CF_TI_CIDR, "203.0.113.0/24", 11, 0, "", false);
    put(b, CF_TI_CIDR, "203.0.0.0/12", 12, 0, "", false);
    put(b, CF_TI_IPV6, "2001:db8::1", 13, 0, "", false);
    put(b, CF_TI_CIDR, "2001:db8:1::/48", 14, 0, "", false);
    put(b, CF_TI_DOMAIN, "evil.example", 15, 0, "", false);
    put(b, CF_TI_DOMAIN, "exact.example", 16, 0, "", true);
    put(b, CF_TI_URL, "http://evil.test/a/b", 17, 0, "", false);
    put(b, CF_TI_URL, "https://q.test/a?x=1", 18, 0, "", false);
    put(b, CF_TI_MD5, "d41d8cd98f00b204e9800998ecf8427e", 19, 0, "", false);
    put(b, CF_TI_JA3, "d41d8cd98f00b204e9800998ecf8427e", 20, 0, "", false);
    put(b, CF_TI_SHA256, "aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f", 21, 0, "", false);
    put(b, CF_TI_EMAIL, "bad@ok.example", 22, 0, "", false);
    put(b, CF_TI_IPV4, "198.51.100.8", 23, 1000, "", false); /* ends at second 1000 */
    put(b, CF_TI_IPV4, "198.51.100.8", 5, 0, "", false);
    put(b, CF_TI_IPV4, "198.51.100.9", 24, 0, "destination.port=443", false);
    s = cf_ti_builder_finish(b);
    assert_non_null(s);
    assert_int_equal(found(s, CF_TI_IPV4, "198.51.100.7", 5), 10);
    assert_int_equal(found(s, CF_TI_IPV4, "198.51.100.6", 5), -1);
    assert_int_equal(found(s, CF_TI_IPV4, "::ffff:198.51.100.7", 5), 10);
    assert_int_equal(found(s, CF_TI_IPV4, "203.0.113.255", 5), 12); /* the more confident of the two ranges */
    assert_int_equal(found(s, CF_TI_IPV4, "203.15.255.255", 5), 12);
    assert_int_equal(found(s, CF_TI_IPV4, "203.16.0.0", 5), -1);
    assert_int_equal(found(s, CF_TI_IPV6, "2001:DB8:0:0::1", 5), 13);
    assert_int_equal(found(s, CF_TI_IPV6, "2001:db8:1:ffff::1", 5), 14);
    assert_int_equal(found(s, CF_TI_IPV6, "2001:db8:2::1", 5), -1);
    assert_int_equal(found(s, CF_TI_DOMAIN, "evil.example", 5), 15);
    assert_int_equal(found(s, CF_TI_DOMAIN, "WWW.a.b.Evil.Example.", 5), 15);
    assert_int_equal(found(s, CF_TI_DOMAIN, "notevil.example", 5), -1);
    assert_int_equal(found(s, CF_TI_DOMAIN, "example", 5), -1);
    assert_int_equal(found(s, CF_TI_DOMAIN, "exact.example", 5), 16);
    assert_int_equal(found(s, CF_TI_DOMAIN, "www.exact.example", 5), -1);
    assert_int_equal(found(s, CF_TI_ANY, "198.51.100.7", 5), 10); /* a host field may hold an address */
    assert_int_equal(found(s, CF_TI_URL, "https://EVIL.test:443/a/b?tracking=1", 5), 17);
    assert_int_equal(found(s, CF_TI_URL, "http://evil.test/a", 5), -1);
    assert_int_equal(found(s, CF_TI_URL, "https://q.test/a?x=1", 5), 18);
    assert_int_equal(found(s, CF_TI_URL, "https://q.test/a?x=2", 5), -1);
    assert_int_equal(found(s, CF_TI_MD5, "D41D8CD98F00B204E9800998ECF8427E", 5), 19);
    assert_int_equal(found(s, CF_TI_JA3, "d41d8cd98f00b204e9800998ecf8427e", 5), 20);
    assert_int_equal(found(s, CF_TI_SHA256, "aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f", 5), 21);
    assert_int_equal(found(s, CF_TI_EMAIL, "Bad Guy <BAD@ok.example>", 5), 22);
    assert_int_equal(found(s, CF_TI_EMAIL, "x@mail.evil.example", 5), 15);
    assert_int_equal(found(s, CF_TI_IPV4, "198.51.100.8", 999), 23);
    assert_int_equal(found(s, CF_TI_IPV4, "198.51.100.8", 1000), 5); /* the other source's still holds */
    assert_int_equal(found(s, CF_TI_IPV4, "198.51.100.9", 5), -1);   /* condition, no event */
    assert_int_equal(found(s, CF_TI_IPV4, "", 5), -1);
    cf_ti_set_free(s);
}

static struct cf_event *event(struct cf_arena *a)
{
    struct cf_event *ev = cf_event_new(a);

    assert_non_null(ev);
    return ev;
}

static void events(void **st)
{
    struct cf_ti_builder *b = cf_ti_builder_new(0);
    struct cf_ti_found f[CF_TI_FOUND_MAX];
    struct cf_ti_set *s;
    struct cf_arena a;
    struct cf_event *ev;

    (void)st;
    put(b, CF_TI_IPV4, "198.51.100.9", 24, 0, "destination.port=443\nnetwork.transport=tcp", false);
    put(b, CF_TI_URL, "evil.test/a/b", 17, 0, "", false);
    put(b, CF_TI_DOMAIN, "evil.example", 90, 0, "", false);
    s = cf_ti_builder_finish(b);
    cf_arena_init(&a, 0, 0);
    ev = event(&a);
    (void)cf_event_set(ev, CF_F_DESTINATION_IP, CF_STR("198.51.100.9"));
    (void)cf_event_set(ev, CF_F_DESTINATION_PORT, CF_STR("443"));
    assert_int_equal(cf_ti_match_event(s, ev, 5, f), 0);
    (void)cf_event_set(ev, CF_F_NETWORK_TRANSPORT, CF_STR("TCP"));
    assert_int_equal(cf_ti_match_event(s, ev, 5, f), 1);
    assert_int_equal(f[0].field, CF_F_DESTINATION_IP);
    (void)cf_event_set(ev, CF_F_URL_DOMAIN, CF_STR("evil.test")); /* host and path apart, as web servers log */
    (void)cf_event_set(ev, CF_F_URL_ORIGINAL, CF_STR("/a/b?c=1"));
    (void)cf_event_add(ev, CF_F_DNS_RESOLVED_IP, CF_STR("9.9.9.9"));
    (void)cf_event_set(ev, CF_F_DNS_QUESTION_NAME, CF_STR("deep.www.evil.example"));
    assert_int_equal(cf_ti_match_event(s, ev, 5, f), 3);
    assert_int_equal(ti_tag_event(ev, s, f, 3), 0);
    assert_str(cf_event_get(ev, CF_F_THREAT_INDICATOR_NAME), "evil.example"); /* the most confident first */
    assert_str(cf_event_get(ev, CF_F_THREAT_INDICATOR_CONFIDENCE), "High");
    assert_str(cf_event_get(ev, CF_F_THREAT_FEED_NAME), "f");
    cf_arena_release(&a);
    cf_ti_set_free(s);
}

/* Each kind of indicator alone in a set, each field alone in an event: the event matches where a look-up of the value does, and a second field
 * with the same text changes nothing. */
static void each_field(void **st)
{
    static const struct {
        enum cf_ti_type t;
        const char *value, *text;
    } kinds[] = {{CF_TI_IPV4, "198.51.100.7", "198.51.100.7"}, {CF_TI_CIDR, "198.51.100.0/24", "198.51.100.7"}, {CF_TI_IPV6, "2001:db8::1", "2001:DB8::1"},
                 {CF_TI_CIDR, "2001:db8::/32", "2001:db8::1"}, {CF_TI_IPV4, "198.51.100.7", "::ffff:198.51.100.7"}, {CF_TI_DOMAIN, "evil.example", "WWW.evil.example."},
                 {CF_TI_DOMAIN, "evil.example", "a@mail.evil.example"}, {CF_TI_IPV4, "198.51.100.7", "a@198.51.100.7"}, {CF_TI_DOMAIN, "1.2.evil.c1", "1.2.evil.c1"},
                 {CF_TI_URL, "http://evil.test/a", "https://EVIL.test/a?b#c"}, {CF_TI_MD5, "d41d8cd98f00b204e9800998ecf8427e", "D41D8CD98F00B204E9800998ECF8427E"},
                 {CF_TI_SHA1, "da39a3ee5e6b4b0d3255bfef95601890afd80709", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
                 {CF_TI_SHA256, "aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f", "aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f"},
                 {CF_TI_JA3, "d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e"}, {CF_TI_EMAIL, "bad@ok.example", "B <Bad@ok.example>"},
                 {CF_TI_JA4, "t13d1516h2_8daaf6152771_b186095e22b6", "t13d1516h2_8daaf6152771_b186095e22b6"}, {CF_TI_ACCOUNT, "city\\j.smith", "CITY\\j.smith"}};
    size_t matches = 0;

    (void)st;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct cf_ti_builder *b = cf_ti_builder_new(0);
        cf_str text = cf_str_c(kinds[k].text);
        struct cf_ti_set *s;

        put(b, kinds[k].t, kinds[k].value, 50, 0, "", false);
        s = cf_ti_builder_finish(b);
        for (size_t i = 0; i < cf_ti_n_fields; i++) {
            enum cf_field f = (enum cf_field)cf_ti_fields[i].field;
            bool want = cf_ti_find(s, (enum cf_ti_type)cf_ti_fields[i].as, text, 1, NULL) != NULL;
            struct cf_ti_found found[CF_TI_FOUND_MAX];
            struct cf_arena a;
            struct cf_event *ev;

            cf_arena_init(&a, 0, 0);
            ev = event(&a);
            (void)cf_event_set(ev, f, CF_STR("other"));
            (void)cf_event_add(ev, f, text);
            if (cf_ti_match_event(s, ev, 1, found) != want || (want && found[0].field != f))
                fail_msg("%s as %s in %s", kinds[k].value, kinds[k].text, cf_fields[f].name);
            (void)cf_event_set(ev, i ? CF_F_SOURCE_IP : CF_F_CLIENT_IP, text);
            if (want && cf_ti_match_event(s, ev, 1, found) != 1)
                fail_msg("%s twice", kinds[k].value);
            matches += want;
            cf_arena_release(&a);
        }
        cf_ti_set_free(s);
    }
    assert_true(matches > 60); /* the test found what it looks for */
}

/* 20,000 random addresses, ranges and names: the set agrees with a search through all of them. */
static uint64_t seed = 88172645463325252u;
static unsigned rnd(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 11) % n;
}

static void against_a_slow_search(void **st)
{
    enum { N = 3000, ASK = 20000 };
    static struct {
        struct cf_cidr net;
        char name[40];
        int conf;
    } e[N];
    struct cf_ti_builder *b = cf_ti_builder_new(N);
    struct cf_ti_set *s;
    char buf[64];
    int hits = 0;

    (void)st;
    for (int i = 0; i < N; i++) {
        e[i].conf = (int)rnd(100) + 1;
        if (i % 3 == 0) {
            (void)snprintf(e[i].name, sizeof e[i].name, "%c%c.%c.test", 'a' + (char)rnd(4), 'a' + (char)rnd(26), 'a' + (char)rnd(26));
            put(b, CF_TI_DOMAIN, e[i].name, e[i].conf, 0, "", false);
        } else if (i % 3 == 1) {
            (void)snprintf(buf, sizeof buf, "10.%u.%u.%u", rnd(4), rnd(32), rnd(256));
            assert_true(cf_ip_parse(cf_str_c(buf), &e[i].net.ip));
            e[i].net.bits = 128;
            put(b, CF_TI_IPV4, buf, e[i].conf, 0, "", false);
        } else {
            struct cf_ti_value v;

            (void)snprintf(buf, sizeof buf, "10.%u.%u.%u/%u", rnd(4), rnd(256), rnd(256), 18 + rnd(14));
            assert_true(cf_ti_value_read(cf_str_c(buf), CF_TI_CIDR, &v, NULL));
            assert_true(cf_cidr_parse(cf_ti_value_str(&v), &e[i].net));
            put(b, CF_TI_CIDR, v.p, e[i].conf, 0, "", false);
        }
    }
    s = cf_ti_builder_finish(b);
    for (int k = 0; k < ASK; k++) {
        int want = -1, got;

        if (k % 2) {
            struct cf_ip ip;

            (void)snprintf(buf, sizeof buf, "10.%u.%u.%u", rnd(5), rnd(256), rnd(256));
            assert_true(cf_ip_parse(cf_str_c(buf), &ip));
            for (int i = 0; i < N; i++)
                if (!e[i].name[0] && e[i].conf > want && cf_cidr_has(&e[i].net, &ip))
                    want = e[i].conf;
            got = found(s, CF_TI_IPV4, buf, 5);
        } else {
            (void)snprintf(buf, sizeof buf, "w%u.%c%c.%c.test", rnd(9), 'a' + (char)rnd(4), 'a' + (char)rnd(26), 'a' + (char)rnd(26));
            for (int i = 0; i < N; i++)
                if (e[i].name[0] && e[i].conf > want && cf_str_ends(cf_str_c(buf), cf_str_c(e[i].name)) && buf[strlen(buf) - strlen(e[i].name) - 1] == '.')
                    want = e[i].conf;
            got = found(s, CF_TI_DOMAIN, buf, 5);
        }
        if (got != want)
            fail_msg("%s: %d, expected %d", buf, got, want);
        hits += want >= 0;
    }
    assert_true(hits > ASK / 20 && hits < ASK * 19 / 20); /* both answers are tried */
    cf_ti_set_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(patterns), cmocka_unit_test(look_ups), cmocka_unit_test(events), cmocka_unit_test(each_field),
                                       cmocka_unit_test(against_a_slow_search)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
