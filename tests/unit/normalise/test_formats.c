/* SPDX-License-Identifier: Apache-2.0
 * Scanners, templates and time stamps by themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "normalise/formats.h"
#include "normalise/source.h"
#include "normalise/template.h"
#include "normalise/timefmt.h"

static struct cf_arena a;
static struct cf_pair pair[CF_PAIRS_MAX];
static struct cf_pairs ps;
static struct cf_error err;

static int setup(void **state)
{
    (void)state;
    cf_arena_init(&a, 0, 0);
    ps = (struct cf_pairs){.v = pair};
    err = (struct cf_error){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cf_arena_release(&a);
    return 0;
}

static void is(cf_str got, const char *want)
{
    if (!cf_str_eqz(got, want))
        fail_msg("\"%.*s\" is not \"%s\"", CF_ARG(got), want);
}

static void pair_is(const char *key, const char *want)
{
    for (size_t i = 0; i < ps.n; i++)
        if (cf_str_eqz(ps.v[i].key, key)) {
            is(ps.v[i].val, want);
            return;
        }
    fail_msg("there is no pair %s", key);
}

static void syslog(void **state)
{
    struct cf_syslog s;

    (void)state;
    assert_true(cf_syslog_parse(CF_STR("<38>Nov 21 06:00:00 host-1 sshd[77]: text: here"), &s));
    assert_int_equal(s.pri, 38);
    is(s.stamp, "Nov 21 06:00:00");
    is(s.host, "host-1");
    is(s.app, "sshd");
    is(s.pid, "77");
    is(s.msg, "text: here");
    assert_true(cf_syslog_parse(CF_STR("<34>1 2026-11-21T06:00:00.5Z h app 12 ID1 [x@1 a=\"b\\\"]c\"][y z=\"\"] \xef\xbb\xbfmsg"), &s));
    assert_int_equal(s.version, 1);
    is(s.msgid, "ID1");
    is(s.msg, "msg");
    assert_int_equal(cf_syslog_sd(s.sd, &a, &ps), 0);
    pair_is("x@1.a", "b\"]c");
    pair_is("y.z", "");
    assert_true(cf_syslog_parse(CF_STR("Nov  1 06:00:00 su: no host"), &s)); /* missing host */
    assert_null(s.host.p);
    is(s.app, "su");
    assert_true(cf_syslog_parse(CF_STR("<189>Feb 24 12:53:40 2021 fw %%10SYSLOG/5/X: y"), &s)); /* year behind the time */
    is(s.stamp, "Feb 24 12:53:40 2021");
    is(s.host, "fw");
    is(s.msg, "%%10SYSLOG/5/X: y");
    assert_true(cf_syslog_parse(CF_STR("Sep 9 11:56:41 192.0.2.1 2026-09-09 10:05:11 FW-OUT %%01SECLOG: z"), &s)); /* relay and device */
    is(s.stamp, "2026-09-09 10:05:11");
    is(s.host, "FW-OUT");
    assert_true(cf_syslog_parse(CF_STR("<14>waf: tag:x"), &s)); /* neither time nor host */
    is(s.app, "waf");
    assert_false(cf_syslog_parse(CF_STR("plain text"), &s));
    assert_false(cf_syslog_parse(CF_STR("<192>x"), &s));
    assert_false(cf_syslog_parse(CF_STR("<>x"), &s));
}

static void cef_and_leef(void **state)
{
    (void)state;
    assert_int_equal(cf_cef_parse(CF_STR("CEF:0|Ac\\|me|P|1|7|na\\\\me|5|src=192.0.2.1 msg=two words a\\=b cs1=Block it cs1Label=My Policy end="), &a, &ps, &err), 0);
    pair_is("cef.device.vendor", "Ac|me");
    pair_is("cef.name", "na\\me");
    pair_is("msg", "two words a=b");
    pair_is("cs1", "Block it");
    pair_is("My_Policy", "Block it");
    pair_is("end", "");
    ps.n = 0;
    assert_int_equal(cf_leef_parse(CF_STR("LEEF:1.0|V|P|1|id|src=1\tdst=2"), &a, &ps, &err), 0);
    pair_is("dst", "2");
    ps.n = 0;
    assert_int_equal(cf_leef_parse(CF_STR("LEEF:2.0|V|P|1|id|x5e|src=1^usrName=a b"), &a, &ps, &err), 0);
    pair_is("usrName", "a b");
    assert_int_equal(cf_cef_parse(CF_STR("CEF:0|a|b|c"), &a, &ps, &err), CF_ESYNTAX);
    assert_non_null(strstr(err.msg, "7 parts"));
}

static void kv_and_csv(void **state)
{
    static const struct cf_kv_style blank = {.assign = '=', .sep = " "}, colon = {.assign = ':', .sep = ","};
    cf_str c[4];
    size_t n;

    (void)state;
    assert_int_equal(cf_kv_parse(CF_STR("a=1 b=\"x \\\" y\" noise c='d e' empty= msg='op=x acct=\"y\" res=ok'"), &blank, &a, &ps, &err), 0);
    pair_is("a", "1");
    pair_is("b", "x \" y");
    pair_is("c", "d e");
    pair_is("empty", "");
    pair_is("op", "x"); /* auditd's inner pairs */
    pair_is("res", "ok");
    ps.n = 0;
    assert_int_equal(cf_kv_parse(CF_STR("源IP:192.0.2.1, URL:http://x/y"), &colon, &a, &ps, &err), 0);
    pair_is("源IP", "192.0.2.1");
    pair_is("URL", "http://x/y");
    ps.n = 0;
    assert_true(cf_kv_parse(CF_STR("nothing here"), &blank, &a, &ps, &err) < 0);
    assert_int_equal(cf_csv_parse(CF_STR("a,\"b \"\"c\"\", d\",,"), ',', &a, c, 4, &n, &err), 0);
    assert_int_equal(n, 4);
    is(c[3], "");
    is(c[1], "b \"c\", d");
    assert_int_equal(cf_csv_parse(CF_STR("a,\"open"), ',', &a, c, 4, &n, &err), CF_ESYNTAX);
    assert_int_equal(cf_csv_parse(CF_STR("1,2,3,4,5"), ',', &a, c, 4, &n, &err), CF_ELIMIT);
}

static void json(void **state)
{
    struct cf_json *j = cf_json_new();
    const struct cf_jnode *nodes;
    size_t n;
    static const char *const bad[] = {"", "1", "\"x\"", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "[1,]", "{\"a\":tru}", "{\"a\":1}{", "{a:1}", "{\"a\":01x}",
                                      "{\"a\":\"\\u12\"}", "{\"a\":\"\n\"}"};

    (void)state;
    assert_non_null(j);
    assert_int_equal(cf_json_parse(j, CF_STR("{\"a\":{\"b\":[1,2.50,{\"c\":\"x\\u00e9\\n\"}]},\"d.e\":123456789012345678901234567890,\"f\":null,\"\\t\":true}"), &a, &nodes, &n, &err), 0);
    assert_int_equal(cf_json_pairs(nodes, 0, CF_STR(""), &a, &ps), 0);
    pair_is("a.b", "1");
    is(ps.v[1].val, "2.50");
    pair_is("a.b.c", "x\xc3\xa9\n");
    pair_is("d.e", "123456789012345678901234567890"); /* as written */
    pair_is("\t", "true");
    is(cf_str_sub(ps.v[2].key, ps.v[2].leaf, 9), "c");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err.msg[0] = '\0';
        if (cf_json_parse(j, cf_str_c(bad[i]), &a, &nodes, &n, &err) == 0)
            fail_msg("%s was accepted", bad[i]);
        assert_true(err.msg[0] != '\0');
    }
    cf_json_free(j);
}

static int name_of(void *ctx, cf_str name, uint32_t *ret, struct cf_error *e)
{
    (void)ctx;
    (void)e;
    *ret = (uint32_t)(name.p[0] - 'a');
    return 0;
}

static void templates(void **state)
{
    struct cf_tpl *t = cf_tpl_new(&a);
    struct cf_tpl_hole h[CF_TPL_HOLES_MAX];
    size_t n;

    (void)state;
    assert_int_equal(cf_tpl_add(t, CF_STR("user %a:until% from %b:ip% port %c:int%"), 0, name_of, NULL, &err), 0);
    assert_int_equal(cf_tpl_add(t, CF_STR("user %a:word% left"), 1, name_of, NULL, &err), 0);
    assert_int_equal(cf_tpl_add(t, CF_STR("100%% %a:quoted%%b:rest%"), 2, name_of, NULL, &err), 0);
    assert_int_equal(cf_tpl_add(t, CF_STR("used"), 3, name_of, NULL, &err), 0);
    assert_int_equal(cf_tpl_match(t, CF_STR("user x from y from 192.0.2.1 port 22"), h, &n), 0); /* the text may stand in a name */
    assert_int_equal(n, 3);
    is(h[0].val, "x from y");
    is(h[1].val, "192.0.2.1");
    assert_int_equal(cf_tpl_match(t, CF_STR("user z from 2001:db8::1 port 1"), h, &n), 0);
    assert_int_equal(cf_tpl_match(t, CF_STR("user z left"), h, &n), 1);
    assert_int_equal(cf_tpl_match(t, CF_STR("100% \"a \\\" b\" tail"), h, &n), 2);
    is(h[0].val, "a \\\" b");
    is(h[1].val, " tail");
    assert_int_equal(cf_tpl_match(t, CF_STR("used"), h, &n), 3);
    assert_int_equal(cf_tpl_match(t, CF_STR("user z from 300.0.2.1 port 1"), h, &n), -1);
    assert_int_equal(cf_tpl_match(t, CF_STR("user z left "), h, &n), -1);
    assert_int_equal(cf_tpl_match(t, CF_STR(""), h, &n), -1);
    assert_true(cf_tpl_add(t, CF_STR("%a:until%"), 9, name_of, NULL, &err) < 0);
    assert_true(cf_tpl_add(t, CF_STR("%a:until%%b:word%"), 9, name_of, NULL, &err) < 0);
    assert_true(cf_tpl_add(t, CF_STR("x%"), 9, name_of, NULL, &err) < 0);
}

static void time_is(cf_str fmt, const char *text, const char *zone, const char *want)
{
    struct cf_zone z;
    struct cf_stamp st;
    int64_t us;
    char t[32];

    assert_int_equal(cf_zone_load(&a, cf_str_c(zone), &z, &err), 0);
    if (!cf_stamp_parse(fmt, cf_str_c(text), &st) || !cf_stamp_us(&st, &z, INT64_C(1795248000000000), &us)) /* 2026-11-21T08:00:00Z */
        fail_msg("\"%s\" is not read", text);
    is(cf_str_n(t, cf_time_format(us, t)), want);
}

static void times(void **state)
{
    struct cf_stamp st;

    (void)state;
    time_is(CF_STR("iso8601"), "2026-11-21T06:00:00.123456789+08:00", "UTC", "2026-11-20T22:00:00.123456Z");
    time_is(CF_STR("syslog"), "Nov 21 06:00:00", "+08:00", "2026-11-20T22:00:00Z");
    time_is(CF_STR("syslog"), "Dec 31 23:59:59", "UTC", "2025-12-31T23:59:59Z"); /* no year: the past */
    time_is(CF_STR("%d/%b/%Y:%H:%M:%S %z"), "21/Nov/2026:06:00:00 -0130", "UTC", "2026-11-21T07:30:00Z");
    time_is(CF_STR("%m/%d/%Y %I:%M:%S %p"), "11/21/2026 12:05:00 AM", "UTC", "2026-11-21T00:05:00Z");
    time_is(CF_STR("unix_ms"), "1795248000123", "UTC", "2026-11-21T08:00:00.123000Z");
    time_is(CF_STR("unix"), "1795248000.5", "UTC", "2026-11-21T08:00:00.500000Z");
    time_is(CF_STR("auto"), "2026/11/21 16:00:00", "Asia/Shanghai", "2026-11-21T08:00:00Z");
    time_is(CF_STR("auto"), "1795248000", "UTC", "2026-11-21T08:00:00Z");
    time_is(CF_STR("auto"), "2026-07-01 12:00:00", "Europe/Berlin", "2026-07-01T10:00:00Z");
    assert_false(cf_stamp_parse(CF_STR("iso8601"), CF_STR("2026-13-21T06:00:00Z"), &st));
    assert_false(cf_stamp_parse(CF_STR("unix"), CF_STR("99999999999999999999"), &st));
    assert_false(cf_stamp_auto(CF_STR("yesterday"), &st));
}

/* A sign is found at every place of a text, also behind the last block of sixteen, and no other byte is taken for one. */
static void text_signs(void **state)
{
    static const char signs[] = "%,|@_[(";
    char text[41];

    (void)state;
    for (unsigned c = 1; c < 256; c++) {
        const char *at = strchr(signs, (int)c);
        unsigned want = c >= 0x80 ? 0x80u : at ? 1u << (at - signs) : 0;
        for (size_t i = 0; i < 40; i++) {
            memset(text, 'a', 40);
            text[i] = (char)c;
            assert_int_equal(cf_text_signs(cf_str_n(text, 40)), want);
            assert_int_equal(cf_text_signs(cf_str_n(text + i, 1)), want);
        }
    }
    assert_int_equal(cf_text_signs(CF_STR("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(syslog, setup, teardown), cmocka_unit_test_setup_teardown(cef_and_leef, setup, teardown),
        cmocka_unit_test_setup_teardown(kv_and_csv, setup, teardown), cmocka_unit_test_setup_teardown(json, setup, teardown),
        cmocka_unit_test_setup_teardown(templates, setup, teardown), cmocka_unit_test_setup_teardown(times, setup, teardown),
        cmocka_unit_test(text_signs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
