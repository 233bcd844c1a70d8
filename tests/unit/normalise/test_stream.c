/* SPDX-License-Identifier: Apache-2.0
 * Column headers over batches, threads, reloads and restarts: a row has the header that stood before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "normalise/normalise.h"

static struct cf_normaliser *load(struct cf_stream *s)
{
    struct cf_norm_options o = {.sources_dir = CF_TEST_ROOT "/content/sources", .zone = CF_STR("UTC"), .now_us = INT64_C(1795248000000000), .streams = s};
    struct cf_normaliser *n = NULL;
    struct cf_error e = {0};

    if (cf_normaliser_load(&o, &n, &e) < 0)
        fail_msg("%s", e.msg);
    return n;
}

static struct cf_record rec(const char *peer, const char *format, uint64_t seq, const char *text)
{
    return (struct cf_record){.raw = cf_str_c(text), .peer = cf_str_c(peer), .format = cf_str_c(format), .source = CF_STR(""), .org = CF_STR(""), .seq = seq, .received_us = 1};
}

static struct cf_event *norm(struct cf_norm_thread *t, struct cf_arena *a, struct cf_record r)
{
    struct cf_event *ev = NULL;

    assert_int_equal(cf_normalise(t, a, &r, &ev), 0);
    return ev;
}

static void value(const struct cf_event *ev, const char *field, const char *want)
{
    const struct cf_value *v = cf_event_find(ev, cf_str_c(field));

    if (!v || !cf_str_eqz(cf_str_n(v->p, v->n), want))
        fail_msg("%s is \"%.*s\", not \"%s\"", field, v ? (int)v->n : 4, v ? v->p : "none", want);
}

static void announce(struct cf_norm_thread *t, struct cf_arena *a, struct cf_record r) { cf_norm_announce(t, a, &r); }

static void header_of_an_earlier_batch(void **state)
{
    struct cf_stream *s = cf_streams_new();
    struct cf_normaliser *n = load(s), *n2;
    struct cf_norm_thread *one = cf_norm_thread_new(n), *two = cf_norm_thread_new(n), *three;
    struct cf_arena a;
    struct cf_event *ev;

    (void)state;
    cf_arena_init(&a, 0, 0);
    announce(one, &a, rec("192.0.2.1", "", 10, "#Fields: date time c-ip cs-method sc-status"));
    /* another thread, a later batch; the header's own batch was not normalised yet */
    ev = norm(two, &a, rec("192.0.2.1", "", 20, "2026-11-21 06:00:00 198.51.100.7 GET 404"));
    value(ev, "http.response.status_code", "404");
    value(ev, "http.request.method", "GET");
    /* the header line itself is no event, again and again (replay) */
    assert_true(norm(one, &a, rec("192.0.2.1", "", 10, "#Fields: date time c-ip cs-method sc-status"))->flags & CF_EV_HEADER);
    /* a new header counts from where it stands: rows before it, normalised later, keep theirs */
    announce(one, &a, rec("192.0.2.1", "", 100, "#Fields: date time sc-status c-ip cs-method"));
    value(norm(two, &a, rec("192.0.2.1", "", 101, "2026-11-21 06:00:01 200 198.51.100.8 POST")), "http.response.status_code", "200");
    value(norm(two, &a, rec("192.0.2.1", "", 99, "2026-11-21 06:00:00 198.51.100.7 PUT 403")), "http.response.status_code", "403");
    /* another sender has none */
    ev = norm(two, &a, rec("192.0.2.2", "", 102, "2026-11-21 06:00:01 200 198.51.100.8 POST"));
    assert_null(cf_event_find(ev, CF_STR("http.response.status_code")));
    /* a reload keeps them */
    n2 = load(s);
    three = cf_norm_thread_new(n2);
    cf_norm_thread_free(one);
    cf_norm_thread_free(two);
    cf_normaliser_free(n);
    value(norm(three, &a, rec("192.0.2.1", "", 103, "2026-11-21 06:00:02 500 198.51.100.8 GET")), "http.response.status_code", "500");
    cf_norm_thread_free(three);
    cf_normaliser_free(n2);
    cf_streams_free(s);
    cf_arena_release(&a);
}

static void zeek_block_and_csv(void **state)
{
    struct cf_normaliser *n = load(NULL);
    struct cf_norm_thread *t = cf_norm_thread_new(n);
    struct cf_arena a;
    static const char *const head[] = {"#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", "#path\tconn",
                                       "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto", "#types\ttime\tstring\taddr\tport\taddr\tport\tenum"};

    (void)state;
    cf_arena_init(&a, 0, 0);
    for (unsigned turn = 0; turn < 2; turn++) /* seen again: nothing changes */
        for (unsigned i = 0; i < 7; i++)
            announce(t, &a, rec("z", "", 5 + i, head[i]));
    for (unsigned i = 0; i < 7; i++)
        assert_true(norm(t, &a, rec("z", "", 5 + i, head[i]))->flags & CF_EV_HEADER);
    value(norm(t, &a, rec("z", "", 500, "1795125600.5\tC1\t192.0.2.10\t50123\t10.9.0.4\t502\ttcp")), "source.ip", "192.0.2.10");
    value(norm(t, &a, rec("z", "", 501, "1795125600.5\tC1\t192.0.2.10\t50123\t10.9.0.4\t502\ttcp")), "destination.port", "502");
    announce(t, &a, rec("c", "csv", 700, "src_ip,dst_ip,note"));
    announce(t, &a, rec("c", "csv", 701, "192.0.2.1,192.0.2.2,first"));
    value(norm(t, &a, rec("c", "csv", 701, "192.0.2.1,192.0.2.2,first")), "note", "first");
    assert_true(norm(t, &a, rec("c", "csv", 700, "src_ip,dst_ip,note"))->flags & CF_EV_HEADER);
    value(norm(t, &a, rec("c", "csv", 702, "192.0.2.1,192.0.2.2,second")), "note", "second");
    cf_norm_thread_free(t);
    cf_normaliser_free(n);
    cf_arena_release(&a);
}

static void over_a_restart(void **state)
{
    char path[] = "/tmp/cf-streams-XXXXXX";
    int fd = mkstemp(path);
    struct cf_error e = {0};

    (void)state;
    assert_true(fd >= 0);
    (void)close(fd);
    (void)unlink(path);
    for (unsigned run = 0; run < 3; run++) { /* 0: says it, 1: same spool, 2: a new spool that counts anew */
        struct cf_stream *s = cf_streams_new();
        struct cf_normaliser *n = load(s);
        struct cf_norm_thread *t = cf_norm_thread_new(n);
        struct cf_arena a;
        struct cf_event *ev;
        cf_arena_init(&a, 0, 0);
        assert_int_equal(cf_streams_load(s, path, run < 2 ? 7 : 8, &e), 0);
        if (run == 0) {
            announce(t, &a, rec("192.0.2.1", "", 10, "#Fields: date time c-ip cs-method sc-status"));
            announce(t, &a, rec("192.0.2.1", "", 50, "#Fields: date time sc-status c-ip cs-method"));
            assert_int_equal(cf_streams_save(s, path, 7, &e), 0);
        }
        if (run < 2) {
            value(norm(t, &a, rec("192.0.2.1", "", 20, "2026-11-21 06:00:00 198.51.100.7 GET 404")), "http.response.status_code", "404");
            value(norm(t, &a, rec("192.0.2.1", "", 60, "2026-11-21 06:00:00 405 198.51.100.7 GET")), "http.response.status_code", "405");
        } else {
            ev = norm(t, &a, rec("192.0.2.1", "", 1, "2026-11-21 06:00:00 406 198.51.100.7 GET"));
            value(ev, "http.response.status_code", "406");
        }
        cf_norm_thread_free(t);
        cf_normaliser_free(n);
        cf_streams_free(s);
        cf_arena_release(&a);
    }
    { /* damaged: said, and nothing is loaded */
        struct cf_stream *s = cf_streams_new();
        assert_int_equal(cf_file_write_durable(path, CF_STR("{\"spool\":"), 0600, &e), 0);
        assert_int_equal(cf_streams_load(s, path, 7, &e), CF_ECORRUPT);
        cf_streams_free(s);
    }
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(header_of_an_earlier_batch), cmocka_unit_test(zeek_block_and_csv), cmocka_unit_test(over_a_restart)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
