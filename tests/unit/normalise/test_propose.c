/* SPDX-License-Identifier: Apache-2.0
 * The source wizard. tests/data/propose/NN-name.log -> NN-name.txt beside it: what was found, the source file, and how many
 * lines that file reads (CF_TEST_UPDATE=1 rewrites them for review). */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "normalise/propose.h"
#include "normalise/source.h"

#define DATA CF_TEST_ROOT "/tests/data/propose"
static struct cf_normaliser *norm;
static struct cf_keynames *names;
static struct cf_arena keep;

static int setup(void **state)
{
    struct cf_norm_options o = {.sources_dir = CF_TEST_ROOT "/content/sources", .zone = CF_STR("+08:00"), .now_us = INT64_C(1795212000) * CF_US_PER_S};
    struct cf_error e = {0};

    (void)state;
    cf_arena_init(&keep, 0, 0);
    if (cf_normaliser_load(&o, &norm, &e) < 0 || cf_keynames_load(&keep, CF_TEST_ROOT "/content/taxonomy/keys.yaml", &names, &e) < 0) {
        print_error("%s\n", e.msg);
        return -1;
    }
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    cf_normaliser_free(norm);
    cf_arena_release(&keep);
    return 0;
}

static struct cf_normaliser *with(cf_str yaml, struct cf_error *e)
{
    struct cf_norm_options o = {.sources_dir = CF_TEST_ROOT "/content/sources", .zone = CF_STR("+08:00"), .now_us = INT64_C(1795212000) * CF_US_PER_S,
                                .extra_file = CF_STR("new-source.yaml"), .extra_yaml = yaml};
    struct cf_normaliser *n = NULL;

    return cf_normaliser_load(&o, &n, e) < 0 ? NULL : n;
}

static size_t split_lines(struct cf_arena *a, cf_str text, cf_str **ret)
{
    cf_str one, *v = CF_NEW_N(a, cf_str, 1100);
    size_t n = 0;

    while (n < 1100 && cf_str_cut(&text, '\n', &one))
        v[n++] = one;
    *ret = v;
    return n;
}

static void dump_rows(struct cf_buf *b, const struct cf_row *row, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char t[32] = "-";
        if (row[i].time_us != CF_TIME_NONE)
            t[cf_time_format(row[i].time_us, t)] = '\0';
        cf_buf_printf(b, "line %zu: %s%.*s%s%.*s %s\n", i + 1, row[i].header ? "header " : "", CF_ARG(row[i].source), row[i].error.p ? " ERROR " : "",
                      CF_ARG(row[i].error.p ? row[i].error : CF_STR("")), t);
        for (size_t k = 0; k < row[i].n; k++) {
            const struct cf_row_value *v = &row[i].v[k];
            if (v->start < 0)
                continue;
            assert_true(v->end <= (int64_t)row[i].text.n);
            assert_memory_equal(row[i].text.p + v->start, v->value.p, v->value.n);
            if (!cf_str_starts(v->field, CF_STR("log.syslog")))
                cf_buf_printf(b, "  %lld-%lld %.*s = %.*s\n", (long long)v->start, (long long)v->end, CF_ARG(v->field), CF_ARG(v->value));
        }
    }
}

static cf_str run(struct cf_arena *a, cf_str text, struct cf_buf *b)
{
    struct cf_error e = {0};
    struct cf_proposal p;
    cf_str *line;
    struct cf_propose_in in = {.id = "new-source", .n = split_lines(a, text, &line), .norm = norm, .names = names};
    struct cf_norm_thread *t;
    struct cf_normaliser *n;
    struct cf_row *row = CF_NEW_N(a, struct cf_row, in.n);
    size_t hinted = 0, found = 0, headers = 0;

    in.line = line;
    if (cf_propose(a, &in, &p, &e) < 0)
        fail_msg("%s", e.msg);
    n = with(p.yaml, &e);
    if (!n)
        fail_msg("the proposal does not load: %s\n%.*s", e.msg, CF_ARG(p.yaml));
    t = cf_norm_thread_new(n);
    assert_int_equal(cf_rows(a, t, CF_STR(""), line, in.n, row, &e), 0);
    for (size_t i = 0; i < in.n; i++)
        found += cf_str_eqz(row[i].source, "new-source") && !row[i].header;
    assert_int_equal(cf_rows(a, t, CF_STR("new-source"), line, in.n, row, &e), 0);
    for (size_t i = 0; i < in.n; i++) {
        hinted += !row[i].error.p && !row[i].header;
        headers += row[i].header;
    }
    cf_buf_printf(b, "format: %s%s, lines %zu, headers %zu, read %zu, recognised by content %zu\n", p.format, p.syslog ? " in syslog" : "", in.n, headers, hinted, found);
    for (size_t i = 0; i < p.n; i++) { /* reasons count sources, and new sources would change every golden file: looked at, not compared */
        assert_true(p.field[i].confidence > 0 && p.field[i].confidence <= 1 && p.field[i].reason.n > 0);
        cf_buf_printf(b, "%.*s -> %s%.*s%s%.*s\n", CF_ARG(p.field[i].key), p.field[i].time ? "@timestamp" : "", CF_ARG(p.field[i].field),
                      p.field[i].convert.n ? " by " : "", CF_ARG(p.field[i].convert));
    }
    cf_buf_printf(b, "----\n%.*s----\n", CF_ARG(p.yaml));
    dump_rows(b, row, in.n < 3 ? in.n : 3);
    cf_norm_thread_free(t);
    cf_normaliser_free(n);
    return p.yaml;
}

static void golden(void **state)
{
    struct dirent **ent;
    int n = scandir(DATA, &ent, NULL, alphasort);
    size_t files = 0;

    (void)state;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char in[600], want[600];
        size_t len = strlen(ent[i]->d_name);
        struct cf_arena a;
        struct cf_buf b, text, old;
        struct cf_error e = {0};
        if (len > 4 && strcmp(ent[i]->d_name + len - 4, ".log") == 0) {
            files++;
            (void)snprintf(in, sizeof in, "%s/%s", DATA, ent[i]->d_name);
            (void)snprintf(want, sizeof want, "%s/%.*s.txt", DATA, (int)len - 4, ent[i]->d_name);
            cf_arena_init(&a, 0, 0);
            cf_buf_init(&b, 0);
            cf_buf_init(&text, 0);
            cf_buf_init(&old, 0);
            assert_int_equal(cf_file_read(in, &text, &e), 0);
            (void)run(&a, cf_buf_view(&text), &b);
            if (getenv("CF_TEST_UPDATE"))
                assert_int_equal(cf_file_write_durable(want, cf_buf_view(&b), 0644, &e), 0);
            else if (cf_file_read(want, &old, &e) < 0 || !cf_str_eq(cf_buf_view(&b), cf_buf_view(&old)))
                fail_msg("%s differs; now:\n%.*s", want, (int)b.n, b.p);
            cf_buf_release(&b);
            cf_buf_release(&text);
            cf_buf_release(&old);
            cf_arena_release(&a);
        }
        free(ent[i]);
    }
    free(ent);
    assert_true(files >= 12);
}

/* What must hold for the goldens whatever their wording. */
static void every_line_is_read(void **state)
{
    static const struct {
        const char *file, *format, *must[6];
    } t[] = {
        {"01-json", "json", {"source.ip", "user.name", "http.request.method", "http.response.status_code", "source.port"}},
        {"02-kv", "kv", {"source.ip", "destination.ip", "network.transport", "user.name", "event.outcome"}},
        {"03-csv", "csv", {"source.ip", "destination.port", "rule.name", "file.hash.md5", "event.action"}},
        {"04-cef", "cef", {"source.ip", "destination.port", "http.request.method", "url.original"}},
        {"05-syslog-text", "text", {"source.ip", "user.name", "source.port"}},
        {"06-access", "access", {"source.ip", "http.request.method", "http.response.status_code", "user_agent.original", "url.original"}},
        {"07-zeek", "zeek", {"source.ip", "destination.port"}},
        {"08-leef", "leef", {"user.name", "source.ip", "file.name", "file.size"}},
        {"09-eve", "eve", {"source.ip", "destination.port"}},
        {"10-text", "text", {"user.name", "source.ip"}},
        {"11-w3c", "w3c", {"http.request.method", "source.address"}},
        {"12-pipe", "csv", {"source.ip", "destination.ip", "network.transport"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char path[600], say[200];
        struct cf_arena a;
        struct cf_buf text, b;
        struct cf_error e = {0};
        cf_str s;
        cf_arena_init(&a, 0, 0);
        cf_buf_init(&text, 0);
        cf_buf_init(&b, 0);
        (void)snprintf(path, sizeof path, "%s/%s.log", DATA, t[i].file);
        assert_int_equal(cf_file_read(path, &text, &e), 0);
        (void)run(&a, cf_buf_view(&text), &b);
        s = cf_buf_view(&b);
        (void)snprintf(say, sizeof say, "format: %s", t[i].format);
        if (!cf_str_starts(s, cf_str_c(say)))
            fail_msg("%s: not %s: %.60s", t[i].file, t[i].format, s.p);
        if (cf_str_find(s, CF_STR(" ERROR ")) >= 0)
            fail_msg("%s: a line is not read:\n%.*s", t[i].file, CF_ARG(s));
        for (size_t k = 0; k < 6 && t[i].must[k]; k++) {
            (void)snprintf(say, sizeof say, "-> %s", t[i].must[k]);
            if (cf_str_find(s, cf_str_c(say)) < 0)
                fail_msg("%s: nothing maps to %s:\n%.*s", t[i].file, t[i].must[k], CF_ARG(s));
        }
        cf_buf_release(&text);
        cf_buf_release(&b);
        cf_arena_release(&a);
    }
}

static void refuses_nothing_and_too_much(void **state)
{
    struct cf_arena a;
    struct cf_error e = {0};
    struct cf_proposal p;
    cf_str blank[2] = {CF_STR("  "), CF_STR("")}, *many;
    struct cf_propose_in in = {.id = "x", .line = blank, .n = 2, .norm = norm, .names = names};

    (void)state;
    cf_arena_init(&a, 0, 0);
    assert_int_equal(cf_propose(&a, &in, &p, &e), CF_EINVAL);
    many = CF_NEW_N(&a, cf_str, CF_PROPOSE_LINES_MAX + 1);
    for (size_t i = 0; i <= CF_PROPOSE_LINES_MAX; i++)
        many[i] = CF_STR("a b c");
    in.line = many;
    in.n = CF_PROPOSE_LINES_MAX + 1;
    assert_int_equal(cf_propose(&a, &in, &p, &e), CF_EINVAL);
    in.n--;
    e = (struct cf_error){0};
    assert_int_equal(cf_propose(&a, &in, &p, &e), 0);
    cf_arena_release(&a);
}

/* Any text, cut and turned: there is a proposal and it loads. */
static void odd_lines(void **state)
{
    static const char *const odd[] = {"%", "%% %a:word% 100%", "\"", "'", "a=\"", "{\"a\":", "{\"a\":1}", "CEF:0|a|b", "LEEF:2.0|", "#fields\t", "<13>", "- - - -", ",,,,", "||||",
                                      "a: b: c: d:", "key=val", "\xe4\xb8\xad\xe6\x96\x87 \xe6\x97\xa5\xe5\xbf\x97", "[21/Nov/2026:06:00:00 +0800] x", "1,2,3,4", "x\ty\tz\tw", "=", "a==b==c==d", "yes: no",
                                      "#<131.1|foGrce|3.", ":1%a34>Go|134>Nov 21 06:00:v 00)wa\"f:fa{:\"\xc2\x99", "a\xe2\x80\xa8: b\xef\xbb\xbf c\xc2\x85 = 1"};

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
            cf_str line[3] = {cf_str_c(odd[i]), cf_str_c(odd[k]), cf_str_c(odd[i])};
            struct cf_propose_in in = {.id = "new-source", .line = line, .n = 3, .norm = norm, .names = names};
            struct cf_proposal p;
            struct cf_error e = {0};
            struct cf_source s = {0};
            struct cf_arena a;
            cf_arena_init(&a, 0, 0);
            if (cf_propose(&a, &in, &p, &e) < 0)
                fail_msg("\"%s\" \"%s\": %s", odd[i], odd[k], e.msg);
            if (cf_source_parse(&a, "new-source.yaml", p.yaml, &s, &e) < 0 || (!s.base_name.p && cf_source_patterns(&a, &s, &s, 1, &e) < 0))
                fail_msg("\"%s\" \"%s\": %s\n%.*s", odd[i], odd[k], e.msg, CF_ARG(p.yaml));
            cf_source_release(&s);
            cf_arena_release(&a);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(every_line_is_read), cmocka_unit_test(refuses_nothing_and_too_much), cmocka_unit_test(odd_lines)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
