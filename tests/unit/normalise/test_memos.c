/* SPDX-License-Identifier: Apache-2.0
 * What a thread remembers of earlier records changes nothing: any line gives the event that a thread without a past gives. And
 * numbers and addresses read in one go are those read digit by digit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "norm_help.h"
#include "normalise/source.h"

#define FG "<188>date=2026-11-21 time=06:00:0%u devname=\"fw1\" devid=\"FGT1\" logid=\"0000000013\" type=\"%s\" subtype=\"%s\" level=\"notice\" vd=\"root\" srcip=192.0.2.%u srcport=31468 %s"

static const char *const types[] = {"traffic", "utm", "event", "TRAFFIC", "", "anything that is much longer than the texts that rules ask for"},
                  *const subtypes[] = {"forward", "virus", "dns", "vpn"},
                  *const ends[] = {"action=\"accept\"", "action=\"deny\"", "action=\"start\" type=\"utm\"", "eventtype=\"signature\" action=\"dropped\"", "", "action=\"passthrough\" dir=inbound",
                                   "status=failed action=login", "action=", "dir=outbound remip=192.0.2.7 locip=192.0.2.9 action=close", "msg=\"%ASA-6-1 _x, |y [z\" action=accept"};
static const char *const others[] = {
    "CEF:0|Acme|Gate|1.0|8|Web request|3|src=192.0.2.1 act=blocked deviceDirection=0", "CEF:0|Acme|Gate|1.0|8|Web request|3|src=192.0.2.1 act=allowed deviceDirection=1",
    "CEF:0|Acme|Gate|1.0|8|Web request|3|act=other event.type=denied", "date=2026-11-21 colour=red shape=round size=3", "date=2026-11-21 time=06:00:00 id=7 pri=3 msg=\"x\"",
    "<30>Nov 21 06:00:00 h sshd[3]: Failed password for bob from 192.0.2.1 port 22 ssh2", "devname=a logid=1 type=traffic", "{\"a\":\"devname= logid= type=\"}"};
#define N_FG (sizeof types / sizeof *types * (sizeof subtypes / sizeof *subtypes) * (sizeof ends / sizeof *ends))
#define N_LINES (N_FG + sizeof others / sizeof *others)

static void line_of(size_t i, char *text, size_t room)
{
    if (i >= N_FG) {
        (void)snprintf(text, room, "%s", others[i - N_FG]);
        return;
    }
    (void)snprintf(text, room, FG, (unsigned)(i % 3), types[i % 6], subtypes[i / 6 % 4], (unsigned)(i % 200), ends[i / 24]);
}

static cf_str json_of(struct cf_norm_thread *t, struct cf_arena *a, const char *line, struct cf_buf *out)
{
    struct cf_record rec = {.raw = cf_arena_copy(a, cf_str_c(line)), .received_us = NOW};
    struct cf_event *ev = NULL;

    assert_int_equal(cf_normalise(t, a, &rec, &ev), 0);
    cf_buf_clear(out);
    cf_event_json(ev, out);
    return cf_str_n(out->p, out->n);
}

static void no_line_sees_another(void **state)
{
    static char *want[N_LINES];
    struct cf_buf out;
    struct cf_arena a;
    char text[600];
    uint32_t at = 7;

    (void)state;
    cf_arena_init(&a, 0, 0);
    cf_buf_init(&out, 0);
    for (size_t i = 0; i < N_LINES; i++) {
        struct cf_norm_thread *fresh = cf_norm_thread_new(norm);
        assert_non_null(fresh);
        line_of(i, text, sizeof text);
        want[i] = cf_arena_strdup(&a, json_of(fresh, &a, text, &out));
        cf_norm_thread_free(fresh);
    }
    for (size_t i = 0; i < 20 * N_LINES; i++) {
        size_t k;
        at = at * 1664525u + 1013904223u;
        k = (at >> 8) % 4 ? (at >> 12) % N_LINES : i % N_LINES; /* now and then in order */
        for (int twice = 0; twice < 2; twice++) {
            cf_str got;
            line_of(k, text, sizeof text);
            got = json_of(thread, &a, text, &out);
            if (!cf_str_eqz(got, want[k]))
                fail_msg("%s\n%.*s\nis not\n%s", text, CF_ARG(got), want[k]);
        }
    }
    cf_buf_release(&out);
    cf_arena_release(&a);
}

static void one_address(const char *text, size_t n)
{
    char room[64] = "################";
    cf_str v = cf_str_n(room + 16, n);
    struct cf_wide w = cf_wide_of(cf_str_n(room, 16 + n));
    uint8_t a[4] = {0}, b[4] = {0};
    int64_t x = 0, y = 0;
    bool is_ip, is_number;

    assert_true(n <= 32);
    memcpy(room + 16, text, n < 32 ? n : 32);
    if (n == 0 || n > 16) {
        assert_false(cf_wide_has(&w, v));
        return;
    }
    if (!cf_wide_has(&w, v)) /* a processor without it */
        return;
    is_ip = cf_plain_ip4(v, a);
    is_number = cf_plain_number(v) && cf_number(v, &x);
    if (cf_wide_ip4(v, b) != is_ip || (is_ip && memcmp(a, b, 4) != 0) || cf_wide_number(v, &y) != is_number || (is_number && x != y))
        fail_msg("\"%.*s\": %d %d", (int)n, text, is_ip, is_number);
}

static void wide_is_plain(void **state)
{
    static const char signs[] = "0123456789.....:/ x\xff";
    static const char *const octet[] = {"0", "7", "00", "10", "99", "100", "255", "256", "007", "300", "", "1000", "1a"};
    char text[64];
    uint32_t s = 1;

    (void)state;
    for (size_t i = 0; i < 13 * 13 * 13 * 13; i++) {
        int n = snprintf(text, sizeof text, "%s.%s.%s.%s", octet[i % 13], octet[i / 13 % 13], octet[i / 169 % 13], octet[i / 2197]);
        one_address(text, (size_t)n);
    }
    for (size_t i = 0; i < 300000; i++) {
        size_t n;
        s = s * 1664525u + 1013904223u;
        n = (s >> 10) % 19;
        for (size_t k = 0; k < n; k++) {
            s = s * 1664525u + 1013904223u;
            text[k] = signs[(s >> 10) % (i % 2 ? sizeof signs - 1 : 10)];
        }
        one_address(text, n);
    }
}

/* A value at the very start of a record, or outside of it, is not read in one go: there may be nothing in front of it. */
static void wide_stays_inside(void **state)
{
    static const char text[] = "192.0.2.1 port 22 and more";
    struct cf_wide w = cf_wide_of(cf_str_n(text, sizeof text - 1)), none = cf_wide_of(CF_STR("192.0.2.1"));
    char other[] = "a text of its own that lies elsewhere";

    (void)state;
    assert_false(cf_wide_has(&w, cf_str_n(text, 9)));
    assert_false(cf_wide_has(&w, cf_str_n(text + 15, 0)));
    assert_false(cf_wide_has(&w, cf_str_n(other + 20, 4)));
    assert_false(cf_wide_has(&none, cf_str_n(text, 9)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_line_sees_another), cmocka_unit_test(wide_is_plain), cmocka_unit_test(wide_stays_inside)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
