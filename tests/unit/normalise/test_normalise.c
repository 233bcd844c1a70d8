/* SPDX-License-Identifier: Apache-2.0
 * Golden files: tests/data/normalise/NAME.log (raw input, read like the command reads it) and NAME.json (one event a line).
 * CF_TEST_UPDATE=1 rewrites the expected files for review. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "normalise/input.h"
#include "norm_help.h"

static unsigned cases;
static void run_file(const char *path, struct cf_buf *out)
{
    struct cf_input *in = NULL;
    struct cf_error err = {0};
    struct cf_arena a;
    struct cf_record recs[16];
    size_t n;

    cf_arena_init(&a, 0, 0);
    assert_int_equal(cf_input_open(path, "", &in, &err), 0);
    while (cf_input_next_batch(in, &a, recs, 16, &n, &err) == 0 && n) {
        for (size_t i = 0; i < n; i++) {
            struct cf_event *ev = NULL;
            recs[i].received_us = NOW;
            assert_int_equal(cf_normalise(thread, &a, &recs[i], &ev), 0);
            if (ev->flags & CF_EV_HEADER)
                continue;
            cf_event_json(ev, out);
            cf_buf_byte(out, '\n');
        }
        cf_arena_reset(&a);
    }
    cf_input_close(in);
    cf_arena_release(&a);
}

static int golden_one(void *ctx, const char *path)
{
    char want_path[400];
    struct cf_buf got, want;
    struct cf_error err = {0};
    int *failed = ctx;

    cf_buf_init(&got, 0);
    cf_buf_init(&want, 0);
    run_file(path, &got);
    (void)snprintf(want_path, sizeof want_path, "%.*s.json", (int)(strlen(path) - 4), path);
    if (getenv("CF_TEST_UPDATE")) {
        assert_int_equal(cf_file_write_durable(want_path, cf_buf_view(&got), 0644, &err), 0);
    } else if (cf_file_read(want_path, &want, &err) < 0) {
        print_error("%s\n", err.msg);
        ++*failed;
    } else if (!cf_str_eq(cf_buf_view(&got), cf_buf_view(&want))) {
        cf_str g = cf_buf_view(&got), w = cf_buf_view(&want), gl, wl;
        for (unsigned line = 1;; line++) {
            bool a = cf_str_cut(&g, '\n', &gl), b = cf_str_cut(&w, '\n', &wl);
            if (!a && !b)
                break;
            if (a && b && cf_str_eq(gl, wl))
                continue;
            print_error("%s event %u:\n  got  %.*s\n  want %.*s\n", path, line, a ? (int)gl.n : 0, a ? gl.p : "", b ? (int)wl.n : 0, b ? wl.p : "");
        }
        ++*failed;
    }
    cf_buf_release(&got);
    cf_buf_release(&want);
    cases++;
    return 0;
}

static void golden(void **state)
{
    struct cf_error err = {0};
    int failed = 0;

    (void)state;
    assert_int_equal(cf_walk(CF_TEST_ROOT "/tests/data/normalise", ".log", golden_one, &failed, &err), 0);
    assert_true(cases >= 3);
    assert_int_equal(failed, 0);
}

static struct cf_event *one(struct cf_arena *a, cf_str raw, const char *source, const char *format)
{
    struct cf_record rec = {.raw = raw, .source = cf_str_c(source), .format = cf_str_c(format), .peer = CF_STR(""), .received_us = NOW};
    struct cf_event *ev = NULL;

    assert_int_equal(cf_normalise(thread, a, &rec, &ev), 0);
    assert_non_null(ev);
    assert_true(cf_str_eq(ev->original, raw));
    assert_true(ev->time_us != CF_TIME_NONE);
    return ev;
}

static void field_is(const struct cf_event *ev, const char *name, const char *want)
{
    const struct cf_value *v = cf_event_find(ev, cf_str_c(name));

    if (!v || !cf_str_eqz(cf_str_n(v->p, v->n), want))
        fail_msg("%s is \"%.*s\", not \"%s\"", name, v ? (int)v->n : 0, v ? v->p : "", want);
}

/* Windows events of every shape end with the same fields and the names of the event's XML as raw names. */
static void windows_shapes(void **state)
{
    static const char *const shapes[] = {
        "{\"EventID\":1,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Image\":\"C:\\\\W\\\\whoami.exe\",\"CommandLine\":\"whoami /all\",\"User\":\"LAB\\\\bob\",\"Computer\":\"pc1\"}",
        "{\"Event\":{\"#attributes\":{\"xmlns\":\"x\"},\"System\":{\"Provider\":{\"#attributes\":{\"Name\":\"Microsoft-Windows-Sysmon\"}},\"EventID\":1,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Computer\":\"pc1\"},\"EventData\":{\"Image\":\"C:\\\\W\\\\whoami.exe\",\"CommandLine\":\"whoami /all\",\"User\":\"LAB\\\\bob\"}}}",
        "{\"@timestamp\":\"2026-11-21T01:02:03Z\",\"winlog\":{\"channel\":\"Microsoft-Windows-Sysmon/Operational\",\"event_id\":\"1\",\"computer_name\":\"pc1\",\"event_data\":{\"Image\":\"C:\\\\W\\\\whoami.exe\",\"CommandLine\":\"whoami /all\",\"User\":\"LAB\\\\bob\"}},\"event\":{\"code\":\"1\"}}",
        "{\"EventTime\":\"2026-11-21 01:02:03\",\"Hostname\":\"pc1\",\"EventID\":1,\"SourceName\":\"Microsoft-Windows-Sysmon\",\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Image\":\"C:\\\\W\\\\whoami.exe\",\"CommandLine\":\"whoami /all\",\"User\":\"LAB\\\\bob\",\"SourceModuleType\":\"im_msvistalog\"}",
        "{\"System\":{\"EventID\":{\"#text\":1,\"#attributes\":{\"Qualifiers\":0}},\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Computer\":\"pc1\"},\"EventData\":[[\"Image\",\"C:\\\\W\\\\whoami.exe\"],[\"CommandLine\",\"whoami /all\"],[\"User\",\"LAB\\\\bob\"]]}",
    };
    struct cf_arena a;

    (void)state;
    cf_arena_init(&a, 0, 0);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct cf_event *ev = one(&a, cf_str_c(shapes[i]), "", "");
        uint16_t image = cf_name_find(CF_STR("Image")), user = cf_name_find(CF_STR("User"));
        bool has_image = false, has_user = false;
        print_message("shape %zu\n", i);
        assert_false(ev->flags & CF_EV_UNPARSED);
        field_is(ev, "process.executable", "C:\\W\\whoami.exe");
        field_is(ev, "process.name", "whoami.exe");
        field_is(ev, "process.command_line", "whoami /all");
        field_is(ev, "user.name", "bob");
        field_is(ev, "user.domain", "LAB");
        field_is(ev, "host.name", "pc1");
        field_is(ev, "event.code", "1");
        field_is(ev, "winlog.channel", "Microsoft-Windows-Sysmon/Operational");
        for (size_t k = 0; k < ev->n; k++) { /* Sigma sees the vendor's names with the vendor's text */
            has_image = has_image || (ev->val[k].raw == image && cf_str_eqz(cf_str_n(ev->val[k].p, ev->val[k].n), "C:\\W\\whoami.exe"));
            has_user = has_user || (ev->val[k].raw == user && cf_str_eqz(cf_str_n(ev->val[k].p, ev->val[k].n), "LAB\\bob"));
        }
        assert_true(has_image);
        assert_true(has_user);
    }
    cf_arena_release(&a);
}

static void ecs_is_taken_as_it_is(void **state)
{
    struct cf_arena a;
    struct cf_event *ev;

    (void)state;
    cf_arena_init(&a, 0, 0);
    ev = one(&a, CF_STR("{\"@timestamp\":\"2026-11-20T01:02:03.5Z\",\"host\":{\"name\":\"h\"},\"event\":{\"action\":\"ssh_login\",\"category\":[\"a\",\"b\"]},\"source.ip\":\"192.0.2.1\",\"my\":{\"own\":{\"x\":12}}}"), "", "");
    field_is(ev, "host.name", "h");
    field_is(ev, "source.ip", "192.0.2.1");
    field_is(ev, "my.own.x", "12");
    assert_int_equal(ev->time_us, INT64_C(1795136523500000));
    assert_non_null(cf_event_next(ev, cf_event_val(ev, CF_F_EVENT_CATEGORY)));
    assert_false(ev->flags & CF_EV_UNPARSED);
    cf_arena_release(&a);
}

/* Nothing is lost and nothing crashes: each becomes one event, and says so when it was not understood. */
static void broken_input(void **state)
{
    static const struct {
        cf_str raw;
        bool unparsed;
    } t[] = {
        {{"\xff\xfe\x00 broken {]", 13}, true}, {{"{\"a\":", 5}, true}, {{"{\"a\":1}x", 8}, true}, {{"{\"a\":1e999999,\"b\":123456789012345678901234567890}", 49}, false},
        {{"<999>x", 6}, true}, {{"<34>", 4}, false}, {{"<34>1 - - - - - -", 17}, false}, {{"CEF:0|a|b", 9}, true}, {{"LEEF:1.0|x", 10}, true},
        {{"{\"a\":\"\\ud800\"}", 14}, false}, {{"{\"a\":\"\\x\"}", 10}, true}, {{"\0\0\0\0", 4}, true}, {{"%", 1}, true}, {{"[", 1}, true}, {{"{}", 2}, false},
    };
    struct cf_arena a;
    static char deep[400000];

    (void)state;
    cf_arena_init(&a, 0, 0);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct cf_event *ev = one(&a, t[i].raw, "", "");
        if (((ev->flags & CF_EV_UNPARSED) != 0) != t[i].unparsed)
            fail_msg("case %zu: unparsed is %d", i, (ev->flags & CF_EV_UNPARSED) != 0);
        if (t[i].unparsed) {
            field_is(ev, "event.kind", "pipeline_error");
            assert_non_null(cf_event_find(ev, CF_STR("error.message")));
        }
        assert_true(cf_utf8_valid(cf_event_get(ev, CF_F_EVENT_ORIGINAL)));
    }
    memset(deep, '[', sizeof deep);
    deep[0] = '{';
    assert_true(one(&a, cf_str_n(deep, sizeof deep), "", "")->flags & CF_EV_UNPARSED);
    for (size_t i = 0; i + 5 < sizeof deep; i += 5)
        memcpy(deep + i, "{\"a\":", 5);
    assert_true(one(&a, cf_str_n(deep, sizeof deep), "", "")->flags & CF_EV_UNPARSED);
    memset(deep, 'x', sizeof deep);
    (void)one(&a, cf_str_n(deep, sizeof deep), "", "");
    cf_arena_release(&a);
}

static void wrong_clock(void **state)
{
    struct cf_arena a;
    struct cf_event *ev;

    (void)state;
    cf_arena_init(&a, 0, 0);
    ev = one(&a, CF_STR("<38>1 2036-11-21T06:00:00Z h sshd 1 - - Accepted password for a from 192.0.2.1 port 1 ssh2"), "", "");
    assert_true(ev->flags & CF_EV_CLOCK_OFF);
    assert_int_equal(ev->received_us, NOW);
    assert_true(ev->time_us > NOW);
    ev = one(&a, CF_STR("<38>1 2016-11-21T06:00:00Z h sshd 1 - - x"), "", "");
    assert_true(ev->flags & CF_EV_CLOCK_OFF);
    ev = one(&a, CF_STR("<38>Nov 21 15:59:59 h sshd[1]: x"), "", ""); /* no zone: +08:00 of the options */
    assert_false(ev->flags & CF_EV_CLOCK_OFF);
    assert_int_equal(ev->time_us, INT64_C(1795247999000000));
    ev = one(&a, CF_STR("<38>Dec 31 23:59:59 h sshd[1]: x"), "", ""); /* no year: last year's December */
    assert_int_equal(ev->time_us / CF_US_PER_DAY, cf_days_from_civil(2025, 12, 31));
    cf_arena_release(&a);
}

static void encodings(void **state)
{
    struct cf_arena a;
    struct cf_event *ev;

    (void)state;
    cf_arena_init(&a, 0, 0); /* "日志类型:WAF" in GB18030 */
    ev = one(&a, CF_STR("<23>May 25 11:11:56 localhost fwlog: \xc8\xd5\xd6\xbe\xc0\xe0\xd0\xcd:WAF"), "", "");
    assert_true(cf_str_find(cf_event_get(ev, CF_F_MESSAGE), CF_STR("日志类型:WAF")) >= 0);
    ev = one(&a, CF_STR("<38>Nov 21 06:00:00 h sshd[1]: bad \xff byte"), "", "");
    field_is(ev, "message", "bad \xef\xbf\xbd byte");
    cf_arena_release(&a);
}

static void bad_source_files(void **state)
{
    static const struct {
        const char *yaml, *why;
    } t[] = {
        {"name: x\nmatch:\n  - program: [a]\nmapp: {}\n", ":4: unknown key \"mapp\""},
        {"name: x\nmap:\n  a: nofield\n", ":3: \"nofield\" is not a field"},
        {"name: x\nextract:\n  - pattern: 'a %b:wrong%'\n", ":3: pattern"},
        {"name: x\nextract:\n  - pattern: 'a %b:word'\n", "not closed"},
        {"name: x\nextract:\n  - regex: '(a'\n", ":3: regex"},
        {"name: x\nextract:\n  - pattern: [a, a]\n", "twice"},
        {"name: x\nmatch:\n  - {}\n", "would match every text"},
        {"name: x\ntime:\n  from: a\n  format: '%Q'\n", "time format"},
        {"name: x\ntime:\n  from: a\n  zone: Mars/Base\n", "time zone"},
        {"name: x\nset: {a: [b, {c: d}]}\n", ":2:"},
        {"name: x\ninclude: [y]\n", "no source"},
        {"name: x\nmap:\n  a: {to: user.name, convert: nope}\n", "convert \"nope\""},
        {"name: x\nmap: [1\n", "x.yaml"},
        {"name: x\nwhen:\n  - {if: {a: b}, copy: {'%url.scheme': url.full}}\n", "not closed"},
        {"name: x\nwhen:\n  - {if: {a: b}, copy: {'a%%b': url.full}}\n", "names nothing"},
        {"name: y\n", "must be the file's name"},
        {"", "one map"},
        {"a: &a [*a, *a]\nname: x\n", "x.yaml"},
    };
    char dir[] = "/tmp/cf-test-src-XXXXXX", path[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/x.yaml", dir);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct cf_norm_options opt = {.sources_dir = dir};
        struct cf_normaliser *n = NULL;
        struct cf_error err = {0};
        assert_int_equal(cf_file_write_durable(path, cf_str_c(t[i].yaml), 0600, &err), 0);
        assert_true(cf_normaliser_load(&opt, &n, &err) < 0);
        assert_null(n);
        if (!strstr(err.msg, t[i].why))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.msg, t[i].why);
        assert_non_null(strstr(err.msg, path));
    }
    (void)unlink(path);
    (void)rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(windows_shapes), cmocka_unit_test(ecs_is_taken_as_it_is),
                                       cmocka_unit_test(broken_input), cmocka_unit_test(wrong_clock), cmocka_unit_test(encodings),
                                       cmocka_unit_test(bad_source_files)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
