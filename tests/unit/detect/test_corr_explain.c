/* SPDX-License-Identifier: Apache-2.0
 * What explain says of correlations: how far the group of an event is, also where correlations count correlations. */
#include "detect/feeder.h"

/* The text of the last explanation of the correlation for an event that is not counted. */
static const char *told(struct feeder *f, int64_t t_ms, const char *json)
{
    static char text[16384];
    struct cf_event *ev = event_json(&f->a, json, 1u << 20);
    struct cf_buf b;
    size_t i = 0;

    ev->time_us = INT64_C(1790000000000000) + t_ms * 1000;
    while (!cf_str_eqz(cf_ruleset_rule(f->rs, i)->id, "corr-1"))
        i++;
    cf_buf_init(&b, 1 << 20);
    assert_int_equal(cf_explain(f->d, ev, i, &b), 0);
    (void)snprintf(text, sizeof text, "%.*s", CF_ARG(cf_buf_view(&b)));
    cf_buf_release(&b);
    return text;
}

static void has(const char *text, const char *want)
{
    if (!strstr(text, want))
        fail_msg("\"%s\" is not in %s", want, text);
}

static void test_explained(void **state)
{
    struct feeder f;

    (void)state;
    start(&f, CORR("event_count", "a", "  condition: {gte: 5}\n"));
    for (int i = 0; i < 3; i++)
        (void)at(&f, i * 1000, "a", "u", "");
    (void)at(&f, 2000, "a", "w", "");
    has(told(&f, 3000, "{\"k\":\"a\",\"user\":\"u\"}"), "\"reason\":\"3 of 5 within 10 seconds, group user=u\"");
    has(told(&f, 3000, "{\"k\":\"a\",\"user\":\"u\"}"), "\"window\":{\"value\":3,\"needed\":5,\"entries\":3,\"holds\":false,");
    has(told(&f, 11500, "{\"k\":\"a\",\"user\":\"u\"}"), "\"reason\":\"1 of 5 within"); /* two of them are over by then */
    has(told(&f, -9000, "{\"k\":\"a\",\"user\":\"u\"}"), "\"reason\":\"2 of 5 within"); /* the window up to 1 s holds it too */
    has(told(&f, 3000, "{\"k\":\"a\",\"user\":\"nobody\"}"), "\"reason\":\"0 of 5 within 10 seconds, group user=nobody (no window is open for it)\"");
    has(told(&f, 3000, "{\"k\":\"a\"}"), "the event is not counted: it has no user");
    has(told(&f, 3000, "{\"k\":\"b\",\"user\":\"u\"}"), "none of the rules it refers to is true");
    (void)at(&f, 3000, "a", "u", "");
    (void)at(&f, 3000, "a", "u", "");
    assert_int_equal(f.hits, 1);
    has(told(&f, 3000, "{\"k\":\"a\",\"user\":\"u\"}"), "\"value\":5,\"needed\":5,\"entries\":5,\"holds\":true,");
    stop(&f);
    start(&f, CORR("value_count", "a", "  condition: {field: v, gt: 2}\n"));
    for (int i = 0; i < 6; i++)
        (void)at(&f, i * 1000, "a", "u", i % 2 ? "x" : "y");
    has(told(&f, 3000, "{\"k\":\"a\",\"user\":\"u\",\"v\":\"z\"}"), "\"reason\":\"2 of more than 2 within 10 seconds, group user=u\"");
    has(told(&f, 3000, "{\"k\":\"a\",\"user\":\"u\"}"), "the event is not counted: it has no v");
    stop(&f);
    start(&f, CORR("event_count", "a", "  condition: {lt: 3}\n"));
    (void)at(&f, 1000, "a", "u", "");
    has(told(&f, 2000, "{\"k\":\"a\",\"user\":\"u\"}"), "1 of fewer than 3 within 10 seconds, group user=u (decided when the window is over)");
    stop(&f);
}

/* A correlation that counts correlations: each with its own window, and what stands in the way. */
static void test_explained_chain(void **state)
{
    struct feeder f;
    const char *text;

    (void)state;
    start(&f, "title: many\nname: many\ncorrelation: {type: event_count, rules: [a], group-by: [user], timespan: 10s, condition: {gte: 3}}\n---\n"
              "title: kinds\nname: kinds\ncorrelation: {type: value_count, rules: [b], group-by: [user], timespan: 20s, condition: {field: v, gte: 2}}\n---\n"
              "title: both\nid: corr-1\ncorrelation: {type: temporal, rules: [many, kinds], group-by: [user], timespan: 60s}\n");
    (void)at(&f, 0, "a", "u", "");
    (void)at(&f, 1000, "a", "u", "");
    (void)at(&f, 1000, "a", "other", "");
    text = told(&f, 1500, "{\"k\":\"a\",\"user\":\"u\"}");
    has(text, "\"reason\":\"0 of 2 within 1 minute, group user=u (no window is open for it); many has not fired in it: 2 of 3 within 10 seconds, group user=u; "
              "kinds has not fired in it: none of the rules it refers to is true for this event\"");
    has(text, "{\"title\":\"many\",\"group\":{\"user\":\"u\"},\"seen\":0,\"correlation\":{\"type\":\"event_count\",\"timespan_seconds\":10,\"condition\":\">= 3\",\"open_windows\":2,"
              "\"window\":{\"value\":2,\"needed\":3,\"entries\":2,\"holds\":false,");
    (void)at(&f, 2000, "a", "u", "");
    (void)at(&f, 3000, "b", "u", "x");
    assert_int_equal(f.hits, 0);
    text = told(&f, 3000, "{\"k\":\"b\",\"user\":\"u\",\"v\":\"x\"}"); /* many has fired, kinds has one value of two */
    has(text, "\"reason\":\"1 of 2 within 1 minute, group user=u; many: none of the rules it refers to is true for this event; "
              "kinds has not fired in it: 1 of 2 within 20 seconds, group user=u\"");
    has(text, "\"title\":\"many\",\"group\":{\"user\":\"u\"},\"seen\":1,");
    has(text, "\"open_windows\":1,\"window\":{\"value\":1,\"needed\":2,\"entries\":1,\"holds\":false,\"decided_at_end\":false,\"group\":\"user=u\"");
    assert_int_equal(at(&f, 4000, "b", "u", "y"), 1);
    text = told(&f, 4000, "{\"k\":\"b\",\"user\":\"u\",\"v\":\"y\"}");
    has(text, "\"reason\":\"2 of 2 within 1 minute, group user=u; many: none of the rules it refers to is true for this event; kinds: 2 of 2 within 20 seconds, group user=u\"");
    has(text, "\"window\":{\"value\":2,\"needed\":2,\"entries\":2,\"holds\":true,");
    has(told(&f, 4000, "{\"k\":\"c\",\"user\":\"u\"}"), "\"reason\":\"none of the rules it refers to is true for this event\"");
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_explained), cmocka_unit_test(test_explained_chain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
