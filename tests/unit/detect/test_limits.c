/* SPDX-License-Identifier: Apache-2.0
 * Rules that would take too much time or memory are refused with a reason, quickly; what is just allowed stays quick. */
#include <stdlib.h>
#include <sys/resource.h>

#include "detect/detect_int.h"
#include "helper.h"

static struct cf_buf text;

static void begin(const char *head)
{
    cf_buf_init(&text, 256u << 20);
    cf_buf_z(&text, head);
}

static double seconds(void)
{
    struct rusage u;
    assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Loads text as one rule; why NULL: it is taken. Returns the set. */
static struct cf_ruleset *load(const char *why)
{
    cf_str t = cf_buf_view(&text);
    struct cf_rules_options opt = {.texts = &t, .n_texts = 1};
    const struct cf_rule_refused *refused;
    struct cf_ruleset *rs = NULL;
    struct cf_error err = {0};
    double from = seconds();

    assert_ok(cf_ruleset_load(&opt, &rs, &err), err);
    assert_true(seconds() - from < 20);
    if (why) {
        assert_int_equal(cf_ruleset_count(rs), 0);
        assert_int_equal(cf_ruleset_refused(rs, &refused), 1);
        if (cf_str_find(refused->reason, cf_str_c(why)) < 0)
            fail_msg("refused for another reason: %.*s", (int)(refused->reason.n < 300 ? refused->reason.n : 300), refused->reason.p);
    } else if (cf_ruleset_refused(rs, &refused)) {
        fail_msg("%.*s", CF_ARG(refused->reason));
    }
    cf_buf_release(&text);
    return rs;
}

static void refused(const char *why) { cf_ruleset_free(load(why)); }

/* CPU time of an event, after the automata are made. */
static double event_cost(struct cf_ruleset *rs, const char *event, size_t want)
{
    struct cf_detector *d = cf_detector_new(rs);
    struct cf_arena a;
    const struct cf_hit *h;
    size_t n;
    double from = 0;

    cf_arena_init(&a, 0, 0);
    for (int i = 0; i < 11; i++) {
        if (i == 1)
            from = seconds();
        assert_int_equal(cf_detect(d, event_json(&a, event, 1), &h, &n), 0);
        assert_int_equal(n, want);
    }
    from = (seconds() - from) / 10;
    cf_arena_release(&a);
    cf_detector_free(d);
    return from;
}

static void lists(void **state)
{
    struct cf_ruleset *rs;

    (void)state;
    begin("title: million words\ndetection:\n  k:\n");
    for (int i = 0; i < 1000000; i++)
        cf_buf_printf(&text, "    - w%d\n", i);
    cf_buf_z(&text, "  condition: k\n");
    refused("");
    begin("title: million values\ndetection:\n  k:\n    A:\n");
    for (int i = 0; i < 300000; i++) /* 4 MB of text */
        cf_buf_printf(&text, "    - w%d\n", i);
    cf_buf_z(&text, "  condition: k\n");
    refused("");
    begin("title: whole values\ndetection:\n  k:\n    A:\n");
    for (int i = 0; i < 19000; i++)
        cf_buf_printf(&text, "    - value-%d\n", i);
    cf_buf_z(&text, "  condition: k\n");
    rs = load(NULL);
    assert_true(event_cost(rs, "{\"A\":\"something else\"}", 0) < 0.001); /* looked up, not gone through */
    assert_true(event_cost(rs, "{\"A\":\"VALUE-18999\"}", 1) < 0.01);
    cf_ruleset_free(rs);
}

/* Seconds of an event of 60,000 times "a" with the rule written in text; nothing matches. */
static double cost_of_many_a(void)
{
    struct cf_ruleset *rs = load(NULL);
    double s;

    cf_buf_init(&text, 1 << 20);
    cf_buf_z(&text, "{\"A\":\"");
    for (int i = 0; i < 60000; i++)
        cf_buf_byte(&text, 'a');
    cf_buf_z(&text, "\"}");
    cf_buf_byte(&text, 0);
    s = event_cost(rs, text.p, 0);
    cf_buf_release(&text);
    cf_ruleset_free(rs);
    return s;
}

static void wildcards(void **state)
{
    (void)state;
    begin("title: stars\ndetection:\n  k:\n    A:\n");
    for (int i = 0; i < 5000; i++)
        cf_buf_printf(&text, "    - '*%c*%c*%c*%c*%c*'\n", 'a' + i % 7, 'b' + i % 11, 'c' + i % 13, 'd' + i % 17, 'e' + i % 5);
    cf_buf_z(&text, "  condition: k\n");
    refused("too dear");
    begin("title: many parts\ndetection:\n  k:\n    A|contains:\n");
    for (int i = 0; i < 9000; i++)
        cf_buf_printf(&text, "    - part%d\n", i);
    cf_buf_z(&text, "  condition: k\n");
    refused("too dear");
    begin("title: one long star\ndetection:\n  k:\n    A: '");
    for (int i = 0; i < 20000; i++)
        cf_buf_z(&text, "*a");
    cf_buf_z(&text, "*b'\n  condition: k\n");
    assert_true(cost_of_many_a() < 0.5);
}

/* A long text between two stars, in a value that begins it at every place. */
static void long_piece(void **state)
{
    (void)state;
    begin("title: long text\ndetection:\n  k:\n    A: '*");
    for (int i = 0; i < 3000; i++)
        cf_buf_byte(&text, 'a');
    cf_buf_z(&text, "z*y?'\n  condition: k\n");
    assert_true(cost_of_many_a() < 0.2); /* 0.3 s when every place is tried */
    begin("title: question marks\ndetection:\n  k:\n    A: '*");
    for (int i = 0; i < 300; i++)
        cf_buf_byte(&text, '?');
    cf_buf_z(&text, "z*y'\n  condition: k\n");
    refused("too dear to look for");
}

static void expressions(void **state)
{
    struct cf_ruleset *rs;

    (void)state;
    begin("title: long\ndetection:\n  k:\n    A|re: '");
    for (int i = 0; i < 3000; i++)
        cf_buf_z(&text, "(a|b)");
    cf_buf_z(&text, "'\n  condition: k\n");
    refused("longer than");
    begin("title: many\ndetection:\n  k:\n    A|re:\n");
    for (int i = 0; i < 26; i++)
        cf_buf_printf(&text, "    - '[a-%c]+$'\n", 'a' + i);
    cf_buf_z(&text, "  condition: k\n");
    refused("too dear");
    begin("title: optional\ndetection:\n  k:\n    A|re: '");
    for (int i = 0; i < 200; i++)
        cf_buf_z(&text, "(.?)");
    for (int i = 0; i < 200; i++)
        cf_buf_byte(&text, '.');
    cf_buf_z(&text, "z'\n  condition: k\n");
    rs = load(NULL);
    assert_true(rs->rex[0].code[0].use_pcre && rs->rex[0].code[1].use_pcre); /* Vectorscan would take seconds over it */
    assert_true(event_cost(rs, "{\"A\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", 0) < 0.5);
    cf_ruleset_free(rs);
    begin("title: repeats\ndetection:\n  k:\n    A|re: '((a{1,900}){1,900}){1,900}b'\n  condition: k\n");
    rs = load(""); /* refused, or taken and bounded when it runs */
    cf_ruleset_free(rs);
}

static void conditions(void **state)
{
    (void)state;
    begin("title: choose\ndetection:\n");
    for (int i = 0; i < 1000; i++)
        cf_buf_printf(&text, "  s%d: {A: x%d}\n", i, i);
    cf_buf_z(&text, "  condition: 500 of s*\n");
    refused("too large");
    begin("title: deep\ndetection:\n  s: {A: x}\n  condition: ");
    for (int i = 0; i < 500; i++)
        cf_buf_byte(&text, '(');
    cf_buf_z(&text, "s\n");
    refused("too deeply");
    begin("title: dashes\ndetection:\n  s:\n    A|windash: '-a -b -c -d -e -f -g'\n  condition: s\n");
    refused("more than 5 dashes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists), cmocka_unit_test(wildcards), cmocka_unit_test(long_piece), cmocka_unit_test(expressions), cmocka_unit_test(conditions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
