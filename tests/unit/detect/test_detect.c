/* SPDX-License-Identifier: Apache-2.0
 * Sigma rules against events: one row a case. */
#include "detect/detect_int.h"
#include "base/phrases.h"
#include "detect/helper.h"

static size_t hits_of(struct cf_ruleset *rs, const char *json)
{
    struct cf_detector *d = cf_detector_new(rs);
    struct cf_arena a;
    const struct cf_hit *h;
    size_t n = 0;

    cf_arena_init(&a, 0, 0);
    assert_non_null(d);
    assert_int_equal(cf_detect(d, event_json(&a, json, 1), &h, &n), 0);
    cf_detector_free(d);
    cf_arena_release(&a);
    return n;
}

struct row {
    const char *det;  /* indented body of "detection" */
    const char *yes[4], *no[4];
};
#define SEL(x) "  s:\n" x "  condition: s\n"
static const struct row rows[] = {
    /* plain values, wildcards, escapes */
    {SEL("    A: foo\n"), {"{\"A\":\"FOO\"}", "{\"A\":[\"x\",\"Foo\"]}"}, {"{\"A\":\"foo \"}", "{\"B\":\"foo\"}", "{\"A\":null}"}},
    {SEL("    A: 'f*o'\n"), {"{\"A\":\"fo\"}", "{\"A\":\"fXXo\"}"}, {"{\"A\":\"foX\"}"}},
    {SEL("    A: 'f?o'\n"), {"{\"A\":\"f中o\"}"}, {"{\"A\":\"fo\"}", "{\"A\":\"fXXo\"}"}},
    {SEL("    A: 'f\\*o'\n"), {"{\"A\":\"f*o\"}"}, {"{\"A\":\"fXo\"}"}},
    {SEL("    A: 'f\\\\*'\n"), {"{\"A\":\"f\\\\x\"}", "{\"A\":\"f\\\\\"}"}, {"{\"A\":\"f*\"}", "{\"A\":\"fx\"}"}},
    {SEL("    A: 'c:\\x'\n"), {"{\"A\":\"C:\\\\X\"}"}, {"{\"A\":\"c:x\"}"}},
    {SEL("    A: '\\\\\\\\srv'\n"), {"{\"A\":\"\\\\\\\\srv\"}"}, {"{\"A\":\"\\\\srv\"}"}},
    {SEL("    A: ''\n"), {"{\"A\":\"\"}"}, {"{\"A\":\"x\"}", "{}", "{\"A\":null}"}},
    {SEL("    A: '*'\n"), {"{\"A\":\"\"}", "{\"A\":\"x\"}"}, {"{}", "{\"A\":null}"}},
    {SEL("    A: null\n"), {"{}", "{\"A\":null}"}, {"{\"A\":\"\"}"}},
    {SEL("    A: 4688\n"), {"{\"A\":4688}", "{\"A\":\"4688\"}"}, {"{\"A\":46880}"}},
    {SEL("    A: 0x10\n"), {"{\"A\":\"0x10\"}", "{\"A\":16}"}, {"{\"A\":10}"}},
    {SEL("    A: true\n"), {"{\"A\":true}", "{\"A\":\"True\"}"}, {"{\"A\":false}"}},
    {SEL("    A: ÄRGER\n"), {"{\"A\":\"ärger\"}"}, {"{\"A\":\"arger\"}"}},
    {SEL("    A: [a, b]\n    B: c\n"), {"{\"A\":\"b\",\"B\":\"C\"}"}, {"{\"A\":\"b\"}", "{\"A\":\"c\",\"B\":\"c\"}"}},
    {SEL("    - A: a\n    - B: b\n      C: c\n"), {"{\"A\":\"a\"}", "{\"B\":\"b\",\"C\":\"c\"}"}, {"{\"B\":\"b\"}"}},
    /* modifiers */
    {SEL("    A|contains: oo\n"), {"{\"A\":\"xFOOx\"}", "{\"A\":\"oo\"}"}, {"{\"A\":\"o o\"}"}},
    {SEL("    A|startswith: ab\n"), {"{\"A\":\"ABc\"}"}, {"{\"A\":\"cab\"}"}},
    {SEL("    A|endswith: ab\n"), {"{\"A\":\"cAb\"}"}, {"{\"A\":\"abc\"}"}},
    {SEL("    A|contains|all: [a1, b2]\n"), {"{\"A\":\"b2 a1\"}"}, {"{\"A\":\"a1\"}"}},
    {SEL("    A|cased: Foo\n"), {"{\"A\":\"Foo\"}"}, {"{\"A\":\"foo\"}"}},
    {SEL("    A|contains|cased: Foo\n"), {"{\"A\":\"xFoox\"}"}, {"{\"A\":\"xfoox\"}"}},
    {SEL("    A|exists: true\n"), {"{\"A\":\"\"}", "{\"A\":null}"}, {"{\"B\":1}"}},
    {SEL("    A|exists: false\n"), {"{\"B\":1}"}, {"{\"A\":1}"}},
    {SEL("    A|neq: x\n"), {"{\"A\":\"y\"}", "{}"}, {"{\"A\":\"X\"}"}},
    {SEL("    A|re: 'f[0-9]+o'\n"), {"{\"A\":\"xxf12oxx\"}"}, {"{\"A\":\"F12o\"}", "{\"A\":\"fo\"}"}},
    {SEL("    A|re|i: '^F[0-9]+O$'\n"), {"{\"A\":\"f12o\"}"}, {"{\"A\":\"xf12o\"}"}},
    {SEL("    A|re|m: '^b$'\n"), {"{\"A\":\"a\\nb\\nc\"}"}, {"{\"A\":\"ab\"}"}},
    {SEL("    A|re|s: 'a.b'\n"), {"{\"A\":\"a\\nb\"}"}, {"{\"A\":\"ab\"}"}},
    {SEL("    A|re: 'a.b'\n"), {"{\"A\":\"a-b\"}"}, {"{\"A\":\"a\\nb\"}"}},
    {SEL("    A|re: 'foo(?!bar)'\n"), {"{\"A\":\"foobaz\"}"}, {"{\"A\":\"foobar\"}"}},
    {SEL("    A|base64: foobar\n"), {"{\"A\":\"Zm9vYmFy\"}"}, {"{\"A\":\"foobar\"}"}},
    {SEL("    A|base64offset|contains: http://\n"), {"{\"A\":\"xaHR0cDovL\"}", "{\"A\":\"xh0dHA6Ly\"}", "{\"A\":\"odHRwOi8v\"}"}, {"{\"A\":\"http://\"}"}},
    {SEL("    A|wide|base64offset|contains: ping\n"), {"{\"A\":\"cABpAG4AZw\"}"}, {"{\"A\":\"cGluZw\"}"}},
    {SEL("    A|utf16be|base64: a\n"), {"{\"A\":\"AGE=\"}"}, {"{\"A\":\"YQA=\"}"}},
    {SEL("    A|utf16|base64: a\n"), {"{\"A\":\"//5hAA==\"}"}, {"{\"A\":\"YQA=\"}"}},
    {SEL("    A|contains|windash: ' -f '\n"), {"{\"A\":\"x -f y\"}", "{\"A\":\"x /f y\"}", "{\"A\":\"x –f y\"}", "{\"A\":\"x ―f y\"}"}, {"{\"A\":\"x +f y\"}"}},
    {SEL("    A|cidr: [10.0.0.0/8, '2001:db8::/32']\n"), {"{\"A\":\"10.2.3.4\"}", "{\"A\":\"2001:db8::1\"}"}, {"{\"A\":\"11.0.0.1\"}", "{\"A\":\"10.2.3\"}"}},
    {SEL("    A|lt: 5\n"), {"{\"A\":4.5}", "{\"A\":\"4\"}"}, {"{\"A\":5}", "{\"A\":\"x\"}"}},
    {SEL("    A|gte: 5\n"), {"{\"A\":5}"}, {"{\"A\":4}", "{}"}},
    {SEL("    T|hour: 6\n"), {"{\"T\":\"2026-11-21T06:59:59+08:00\"}"}, {"{\"T\":\"2026-11-21T07:00:00Z\"}"}},
    {SEL("    T|hour|gte: 22\n"), {"{\"T\":\"2026-11-21 23:00:00\"}"}, {"{\"T\":\"2026-11-21 21:00:00\"}"}},
    {SEL("    T|month: 11\n    T|day: 21\n    T|year: 2026\n    T|minute: 30\n    T|week: 47\n"), {"{\"T\":\"2026-11-21T01:30:00Z\"}"}, {"{\"T\":\"2026-11-22T01:31:00Z\"}"}},
    {SEL("    A|fieldref: B\n"), {"{\"A\":\"x\",\"B\":\"X\"}"}, {"{\"A\":\"x\",\"B\":\"y\"}", "{\"A\":\"x\"}"}},
    {SEL("    A|fieldref|neq: B\n"), {"{\"A\":\"x\",\"B\":\"y\"}"}, {"{\"A\":\"x\",\"B\":\"x\"}"}},
    {SEL("    A|fieldref|endswith: B\n"), {"{\"A\":\"c:/x\",\"B\":\"/x\"}"}, {"{\"A\":\"/x\",\"B\":\"c:/x\"}"}},
    {SEL("    A|cidr|expand: '%Legitimate_IP_Ranges%'\n"), {"{\"A\":\"192.168.1.1\"}"}, {"{\"A\":\"8.8.8.8\"}"}},
    {SEL("    A|expand: '%Legitimate_IP_Ranges%'\n"), {"{\"A\":\"192.168.1.1\"}", "{\"A\":\"10.0.0.0/8\"}"}, {"{\"A\":\"8.8.8.8\"}", "{\"A\":\"x\"}", "{}"}},
    {SEL("    A|expand|neq: '%Legitimate_IP_Ranges%'\n"), {"{\"A\":\"8.8.8.8\"}", "{}"}, {"{\"A\":\"192.168.1.1\"}"}},
    {SEL("    A|expand: '\\%x%LegitCountries%'\n"), {"{\"A\":\"%xCN\"}"}, {"{\"A\":\"xCN\"}", "{\"A\":\"\\\\%xCN\"}"}},
    {SEL("    A|re|expand: '^%LegitCountries%$'\n"), {"{\"A\":\"CN\"}"}, {"{\"A\":\"US\"}"}},
    {SEL("    A|contains|windash|all: ['-a', '/b']\n"), {"{\"A\":\"/a –b\"}", "{\"A\":\"x —b ―a\"}"}, {"{\"A\":\"-a b\"}", "{\"A\":\"-a\"}"}},
    {SEL("    A|base64offset|contains|all: [foobar, 'http://']\n"), {"{\"A\":\"Zm9vYmFy aHR0cDovL\"}"}, {"{\"A\":\"Zm9vYmFy\"}"}},
    {SEL("    A|wide: 'a*b'\n"), {"{\"A\":\"a\\u0000xxb\\u0000\"}"}, {"{\"A\":\"ab\"}"}},
    {SEL("    A|re|contains: 'f.o'\n"), {"{\"A\":\"xfoox\"}"}, {"{\"A\":\"fo\"}"}},
    {SEL("    A|re|startswith: 'f.o|b'\n"), {"{\"A\":\"foox\"}", "{\"A\":\"bx\"}"}, {"{\"A\":\"xfoo\"}", "{\"A\":\"ab\"}"}},
    {SEL("    A|re|endswith: 'f.o'\n"), {"{\"A\":\"xfoo\"}"}, {"{\"A\":\"foox\"}"}},
    {SEL("    A|re: '^.{2}$'\n"), {"{\"A\":\"中国\"}", "{\"A\":\"ab\"}"}, {"{\"A\":\"中\"}", "{\"A\":\"é\"}"}},
    {SEL("    A|re: '^[中国]x(?!y)'\n"), {"{\"A\":\"国x\"}"}, {"{\"A\":\"国xy\"}", "{\"A\":\"人x\"}"}},
    {SEL("    A|re|ignorecase: 'ÄRGER[0-9]'\n"), {"{\"A\":\"ärger1\"}"}, {"{\"A\":\"arger1\"}"}},
    {SEL("    A|fieldref: [B, C]\n"), {"{\"A\":\"x\",\"C\":\"X\"}", "{\"A\":\"x\",\"B\":\"x\"}"}, {"{\"A\":\"x\",\"C\":\"y\"}"}},
    {SEL("    A|fieldref|all: [B, C]\n"), {"{\"A\":\"x\",\"C\":\"X\",\"B\":\"x\"}"}, {"{\"A\":\"x\",\"C\":\"x\"}"}},
    /* moments count in China's zone, texts without zone by their digits */
    {SEL("    '@timestamp|hour|gte': 22\n"), {"{\"@timestamp\":\"2026-11-21T14:00:00Z\"}", "{\"@timestamp\":\"2026-11-21T15:59:59Z\"}"}, {"{\"@timestamp\":\"2026-11-21T13:59:59Z\"}", "{\"@timestamp\":\"2026-11-21T23:00:00Z\"}", "{\"A\":1}"}},
    {SEL("    '@timestamp|day': 1\n    '@timestamp|month': 1\n    '@timestamp|year': 2027\n    '@timestamp|hour': 0\n    '@timestamp|week': 53\n"), {"{\"@timestamp\":\"2026-12-31T16:00:00Z\"}"}, {"{\"@timestamp\":\"2026-12-31T15:59:59Z\"}", "{\"@timestamp\":\"2027-01-01T00:00:00Z\"}"}},
    {SEL("    T|hour: 9\n"), {"{\"T\":\"2026-11-21 09:00:00\"}", "{\"T\":\"2026-11-21T01:00:00Z\"}", "{\"T\":\"2026-11-21 06:30:00,5 +05:30\"}", "{\"T\":\"2026-11-21 09:00:00 CST\"}"}, {"{\"T\":\"2026-11-21T09:00:00Z\"}", "{\"T\":\"2026-11-21\"}"}},
    {SEL("    '@timestamp|startswith': '2026-11-21t'\n"), {"{\"@timestamp\":\"2026-11-21T23:00:00Z\"}"}, {"{\"@timestamp\":\"2026-11-22T21:59:59Z\"}", "{\"A\":1}"}},
    {SEL("    '@timestamp|exists': false\n"), {"{\"A\":1}"}, {"{\"@timestamp\":\"2026-11-21T23:00:00Z\"}"}},
    {SEL("    TimeCreated|year: 2026\n"), {"{\"@timestamp\":\"2026-11-21T23:00:00Z\"}", "{\"TimeCreated\":\"2026-01-01 00:00:00\"}"}, {"{\"TimeCreated\":\"2025-01-01 00:00:00\",\"@timestamp\":\"2026-11-21T23:00:00Z\"}"}},
    {SEL("    T|year: 2026\n    T|hour: 14\n"), {"{\"T\":1795242600}", "{\"T\":\"1795242600123\"}"}, {"{\"T\":2026}", "{\"T\":\"1795282600\"}"}},
    {SEL("    A|expand: '%no_such_list%'\n"), {NULL}, {"{\"A\":\"%no_such_list%\"}", "{}"}},
    {SEL("    a.b: x\n"), {"{\"a\":{\"b\":\"x\"}}", "{\"top\":{\"a\":{\"b\":\"x\"}}}"}, {"{\"b\":\"x\"}"}},
    {SEL("    obj|contains: x1\n"), {"{\"obj\":{\"k\":\"ax1b\"}}"}, {"{\"k\":\"x1\"}"}},
    /* keywords */
    {SEL("    - evil\n    - wor*se\n"), {"{\"Q\":\"so EVIL it is\"}", "{\"Q\":\"worXXse\"}"}, {"{\"Q\":\"good\"}"}},
    {"  s:\n    '|all': [one, two]\n  condition: s\n", {"{\"P\":\"xONEx\",\"Q\":\"two\"}"}, {"{\"P\":\"one\"}"}},
    /* conditions */
    {"  a: {A: x}\n  b: {B: y}\n  condition: a and not b\n", {"{\"A\":\"x\"}"}, {"{\"A\":\"x\",\"B\":\"y\"}", "{}"}},
    {"  a: {A: x}\n  b: {B: y}\n  c: {C: z}\n  condition: a or b and c\n", {"{\"A\":\"x\"}", "{\"B\":\"y\",\"C\":\"z\"}"}, {"{\"B\":\"y\"}", "{\"C\":\"z\"}"}},
    {"  a: {A: x}\n  b: {B: y}\n  c: {C: z}\n  condition: (a or b) AND c\n", {"{\"A\":\"x\",\"C\":\"z\"}"}, {"{\"A\":\"x\"}"}},
    {"  sa: {A: x}\n  sb: {B: y}\n  f: {C: z}\n  condition: 1 of s* and not f\n", {"{\"B\":\"y\"}"}, {"{\"C\":\"z\"}", "{\"A\":\"x\",\"C\":\"z\"}"}},
    {"  sa: {A: x}\n  sb: {B: y}\n  condition: all of them\n", {"{\"A\":\"x\",\"B\":\"y\"}"}, {"{\"B\":\"y\"}"}},
    {"  sa: {A: x}\n  _sb: {B: y}\n  condition: 1 of them\n", {"{\"A\":\"x\"}"}, {"{\"B\":\"y\"}"}},
    {"  sa: {A: x}\n  sb: {B: y}\n  sc: {C: z}\n  f: {D: w}\n  condition: 2 of s* and not f\n",
     {"{\"A\":\"x\",\"B\":\"y\"}", "{\"A\":\"x\",\"C\":\"z\"}", "{\"A\":\"x\",\"B\":\"y\",\"C\":\"z\"}"},
     {"{\"A\":\"x\"}", "{\"C\":\"z\"}", "{\"A\":\"x\",\"D\":\"w\"}", "{\"A\":\"x\",\"C\":\"z\",\"D\":\"w\"}"}},
    {"  sa: {A: x}\n  sb: {B: y}\n  sc: {C: z}\n  condition: not 3 of them\n", {"{\"A\":\"x\",\"B\":\"y\"}"}, {"{\"A\":\"x\",\"B\":\"y\",\"C\":\"z\"}"}},
    {"  2: {A: x}\n  condition: 2\n", {"{\"A\":\"x\"}"}, {"{}"}},
    {"  a: {A: x}\n  b: {B: y}\n  condition: [a, b]\n", {"{\"A\":\"x\"}", "{\"B\":\"y\"}"}, {"{}"}},
    {"  a: {A: x}\n  condition: not not a\n", {"{\"A\":\"x\"}"}, {"{}"}},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char yaml[2048];
        struct cf_ruleset *rs;
        const struct cf_rule_refused *refused;

        (void)snprintf(yaml, sizeof yaml, "title: t%zu\ndetection:\n%s", i, rows[i].det);
        rs = rules_text(yaml, false);
        if (cf_ruleset_refused(rs, &refused))
            fail_msg("row %zu refused: %.*s\n%s", i, CF_ARG(refused->reason), rows[i].det);
        for (size_t k = 0; k < 4 && rows[i].yes[k]; k++)
            if (hits_of(rs, rows[i].yes[k]) != 1)
                fail_msg("no hit\n%s%s", rows[i].det, rows[i].yes[k]);
        for (size_t k = 0; k < 4 && rows[i].no[k]; k++)
            if (hits_of(rs, rows[i].no[k]) != 0)
                fail_msg("false hit\n%s%s", rows[i].det, rows[i].no[k]);
        cf_ruleset_free(rs);
    }
}

/* The same moment in rule sets of several zones, and what explain says it counted in. */
static void test_zones(void **state)
{
    static const struct {
        const char *zone;
        int hour;
    } z[] = {{"", 1}, {"+08:00", 1}, {"UTC", 17}, {"Z", 17}, {"-03:30", 13}, {"+05:45", 23}};
    static const char event[] = "{\"@timestamp\":\"2026-11-21T17:20:00Z\"}";
    struct cf_rules_options wrong = {.zone = CF_STR("Asia/Chang'an")};
    struct cf_ruleset *none = NULL;
    struct cf_error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof z / sizeof *z; i++) {
        char yaml[256], want[128];
        struct cf_ruleset *rs;
        struct cf_detector *d;
        struct cf_arena a;
        struct cf_buf b;

        (void)snprintf(yaml, sizeof yaml, "title: t\ndetection:\n  s:\n    '@timestamp|hour': %d\n  condition: s\n", z[i].hour);
        rs = rules_zone(yaml, false, z[i].zone);
        assert_int_equal(hits_of(rs, event), 1);
        cf_arena_init(&a, 0, 0);
        cf_buf_init(&b, 0);
        d = cf_detector_new(rs);
        assert_int_equal(cf_explain(d, event_json(&a, event, 1), 0, &b), 0);
        (void)snprintf(want, sizeof want, "\"zone\":\"%s\"", z[i].zone[0] ? z[i].zone : CF_RULES_ZONE);
        assert_true(cf_str_find(cf_buf_view(&b), cf_str_c(want)) >= 0);
        (void)snprintf(want, sizeof want, "\"counted\":%d", z[i].hour);
        assert_true(cf_str_find(cf_buf_view(&b), cf_str_c(want)) >= 0);
        cf_buf_clear(&b);
        assert_int_equal(cf_explain(d, event_json(&a, "{\"@timestamp\":\"2026-11-21T05:00:00Z\"}", 2), 0, &b), 0);
        (void)snprintf(want, sizeof want, "(counted in the zone %s)", z[i].zone[0] ? z[i].zone : CF_RULES_ZONE);
        assert_true(cf_str_find(cf_buf_view(&b), cf_str_c(want)) >= 0);
        cf_detector_free(d);
        cf_ruleset_free(rs);
        cf_buf_release(&b);
        cf_arena_release(&a);
    }
    assert_int_equal(cf_ruleset_load(&wrong, &none, &err), CF_EINVAL);
    assert_non_null(strstr(err.msg, "Asia/Chang'an"));
}

static const struct {
    const char *yaml, *why;
} bad[] = {
    {"title: x\ndetection:\n  a: [\n", ""},
    {"title: x\n", "not a Sigma rule"},
    {"title: x\ndetection:\n  a: {A: x}\n", "no condition"},
    {"title: x\ndetection:\n  a: {A: x}\n  condition: a and b\n", "no search named \"b\""},
    {"title: x\ndetection:\n  a: {A: x}\n  condition: 1 of b*\n", "no search is named"},
    {"title: x\ndetection:\n  a: {A: x}\n  condition: 2 of a*\n", "more searches than there are"},
    {"title: x\ndetection:\n  a: {A: x}\n  condition: 0 of a*\n", "no search named \"0\""},
    {"title: x\ndetection:\n  a: {A: x}\n  condition: (a\n", "parenthesis"},
    {"title: x\ndetection:\n  a: {A: x}\n  condition: a a\n", "left over"},
    {"title: x\ndetection:\n  a: {A|wrong: x}\n  condition: a\n", "unknown modifier \"wrong\""},
    {"title: x\ndetection:\n  a: {A|re: '('}\n  condition: a\n", "regular expression"},
    {"title: x\ndetection:\n  a: {A|cidr: 10}\n  condition: a\n", "CIDR"},
    {"title: x\ndetection:\n  a: {A|gt: ten}\n  condition: a\n", "number"},
    {"title: x\ndetection:\n  a: {A|i: x}\n  condition: a\n", "only go with"},
    {"title: x\ndetection:\n  a: {A: {b: c}}\n  condition: a\n", "map"},
    {"title: x\ndetection:\n  a: {}\n  condition: a\n", "empty"},
    {"title: x\ndetection:\n  a: {A: x}\n  condition: a | near b\n", "near"},
    {"title: x\ndetection:\n  a: {A: x}\n  condition: a | count() > 5\n", "timeframe"},
    {"title: x\ncorrelation: {type: event_count, rules: [nope], timespan: 5m, condition: {gte: 2}}\n", "not loaded"},
    {"title: x\nname: a\ncorrelation: {type: event_count, rules: [b], timespan: 5m, condition: {gte: 2}}\n---\n"
     "title: y\nname: b\ncorrelation: {type: event_count, rules: [a], timespan: 5m, condition: {gte: 2}}\n", "itself"},
    {"title: x\ncorrelation: {type: odd, rules: [a], timespan: 5m, condition: {gte: 2}}\n", "\"type\""},
    {"title: x\ncorrelation: {type: event_count, rules: [a], timespan: 5x, condition: {gte: 2}}\n", "timespan"},
    {"title: x\ncorrelation: {type: value_count, rules: [a], timespan: 5m, condition: {gte: 2}}\n", "field"},
    {"title: x\ncorrelation: {type: event_count, rules: [a], timespan: 5m, group_by: [u], condition: {gte: 2}}\n", "\"group_by\" is unknown"},
    {"title: x\ncorrelation: {type: event_count, rules: [a], timespan: 5m, condition: {eq: 0}}\n", "never be true"},
    {"title: x\ncorrelation: {type: event_count, rules: [a], timespan: 5m, condition: {lt: 1}}\n", "never be true"},
    {"title: x\ncorrelation: {type: value_count, rules: [a], timespan: 5m, condition: {field: f, gte: 9, lt: 3}}\n", "never be true"},
    {"title: x\ncorrelation: {type: value_sum, rules: [a], timespan: 5m, condition: {field: f, gt: 5, lt: 5}}\n", "never be true"},
    {"title: x\ncorrelation: {type: temporal, rules: [a, b], timespan: 5m, condition: {gte: 3}}\n", "never be true"},
    {"title: x\ncorrelation: {type: event_count, rules: [a], timespan: 5m, condition: {gte: nan}}\n", "a number"},
    {"title: x\ncorrelation: {type: event_count, rules: [a], timespan: 5m, condition: {gte: 2, field: f}}\n", "value_count counts"},
    {"title: x\ncorrelation: {type: event_count, rules: [a], timespan: 5m, generate: maybe, condition: {gte: 2}}\n", "\"generate\""},
    {"title: x\ncorrelation: {type: event_count, rules: [a], timespan: 5m, aliases: [who], condition: {gte: 2}}\n", "\"aliases\" must"},
    {"title: b\nname: b\ndetection: {s: {A: x}, condition: s}\n---\n"
     "title: x\ncorrelation: {type: event_count, rules: [b], timespan: 5m, group-by: [who], aliases: {who: {typo: u}}, condition: {gte: 2}}\n", "none of its rules"},
    {"title: x\ndetection:\n  a: {A|lt|gt: 5}\n  condition: a\n", "two comparisons"},
    {"title: x\ndetection:\n  a: {A|re|windash: x}\n  condition: a\n", "cannot be combined"},
    {"title: x\nfilter: {sel: {A: x}, condition: sel}\n", "take events from every rule"},
};

/* A text in Chinese: no three English words stand side by side outside of quotes. */
static bool in_chinese(cf_str s)
{
    size_t words = 0, letters = 0;
    bool quoted = false, han = false;

    for (size_t i = 0; i <= s.n; i++) {
        unsigned char c = i < s.n ? (unsigned char)s.p[i] : ',';

        han = han || c >= 0xe4;
        if (i + 2 < s.n && memcmp(s.p + i, "\xe2\x80\x9c", 3) == 0)
            quoted = true;
        if (i + 2 < s.n && memcmp(s.p + i, "\xe2\x80\x9d", 3) == 0)
            quoted = false;
        if ((c | 32) >= 'a' && (c | 32) <= 'z') {
            letters++;
            continue;
        }
        words = letters >= 2 && c == ' ' ? words + 1 : letters >= 2 && words >= 2 && !quoted ? 3 : c == ' ' ? words : 0;
        if (words >= 3 && !quoted)
            return false;
        letters = 0;
    }
    return han;
}

static void test_refused(void **state)
{
    struct cf_phrases *zh = NULL;
    struct cf_error err = {0};
    struct cf_buf told;

    (void)state;
    cf_buf_init(&told, 0);
    assert_ok(cf_phrases_load(CF_TEST_ROOT "/content/phrases/zh-CN", &zh, &err), err);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cf_ruleset *rs = rules_text(bad[i].yaml, true);
        const struct cf_rule_refused *refused;

        if (cf_ruleset_refused(rs, &refused) == 0)
            fail_msg("not refused:\n%s", bad[i].yaml);
        if (cf_str_find(refused->reason, cf_str_c(bad[i].why)) < 0)
            fail_msg("reason \"%.*s\" does not say \"%s\"", CF_ARG(refused->reason), bad[i].why);
        cf_buf_clear(&told);
        if (!cf_phrases_say(zh, refused->reason, &told) || !in_chinese(cf_buf_view(&told)))
            fail_msg("reason \"%.*s\" in Chinese: %s", CF_ARG(refused->reason), cf_buf_cstr(&told));
        if (getenv("CF_SHOW"))
            (void)printf("%s\n", cf_buf_cstr(&told));
        cf_ruleset_free(rs);
    }
    cf_buf_release(&told);
    cf_phrases_free(zh);
}

/* Catastrophic for backtracking engines: linear in Vectorscan, limited in PCRE2; YAML bombs end at the node limit. */
static void test_bombs(void **state)
{
    char *text = malloc(200001);
    char json[70000];
    struct cf_ruleset *rs;
    int64_t t;

    (void)state;
    assert_non_null(text);
    rs = rules_text("title: x\ndetection:\n  a: {A|re: '(a+)+$'}\n  b: {A|re: '(?=x)(a|aa)+$'}\n  c: {A|re: '(?!b)(a+)+c'}\n  condition: 1 of them\n", true);
    (void)snprintf(json, sizeof json, "{\"A\":\"");
    memset(json + 6, 'a', 60000);
    memcpy(json + 60006, "!\"}", 4);
    t = cf_mono_us();
    assert_int_equal(hits_of(rs, json), 0);
    assert_true(cf_mono_us() - t < 5 * CF_US_PER_S);
    cf_ruleset_free(rs);
    strcpy(text, "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
                 "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n");
    rs = rules_text(text, true);
    assert_int_equal(cf_ruleset_count(rs), 0);
    cf_ruleset_free(rs);
    free(text);
}

static const char routed[] =
    "title: proc\nlogsource: {category: process_creation, product: windows}\ndetection:\n  s: {Image|endswith: '\\whoami.exe'}\n  condition: s\n---\n"
    "title: web\nlogsource: {category: webserver}\ndetection:\n  s: {cs-uri-query|contains: whoami}\n  condition: s\n---\n"
    "title: own\nlogsource: {product: our-own-thing}\ndetection:\n  s: {Image|contains: whoami}\n  condition: s\n";

static void test_routes(void **state)
{
    struct cf_ruleset *rs = rules_text(routed, false);

    (void)state;
    /* Sysmon 1 and Security 4688 with its own field names; an unknown log source is tried on everything */
    assert_int_equal(hits_of(rs, "{\"EventID\":1,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Image\":\"C:\\\\whoami.exe\"}"), 2);
    assert_int_equal(hits_of(rs, "{\"EventID\":4688,\"Channel\":\"Security\",\"NewProcessName\":\"C:\\\\whoami.exe\"}"), 2);
    assert_int_equal(hits_of(rs, "{\"EventID\":7,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Image\":\"C:\\\\whoami.exe\"}"), 1);
    assert_int_equal(hits_of(rs, "{\"event\":{\"module\":\"nginx\"},\"url\":{\"original\":\"/?c=whoami\"}}"), 1);
    assert_int_equal(hits_of(rs, "{\"event\":{\"module\":\"sshd\"},\"Image\":\"x\\\\whoami.exe\"}"), 1);
    assert_int_equal(hits_of(rs, "{\"Image\":\"x\\\\whoami.exe\"}"), 2); /* nobody knows this event: all rules */
    cf_ruleset_free(rs);
}

/* Rules that only say what is absent: true of events of their log source, but an unknown event proves nothing. */
static void test_absent(void **state)
{
    struct cf_ruleset *rs = rules_text("title: n\nlogsource: {product: zeek, service: rdp}\ndetection:\n  s: {src: '10.*'}\n  condition: not s\n---\n"
                                       "title: s\nlogsource: {product: zeek, service: rdp}\ndetection:\n  a: {src: null}\n  b: {x: y}\n  condition: 1 of them\n---\n"
                                       "title: u\nlogsource: {product: nobody-knows}\ndetection:\n  s: {src: '10.*'}\n  condition: not s\n", false);

    (void)state;
    assert_int_equal(hits_of(rs, "{\"event\":{\"module\":\"zeek\",\"dataset\":\"zeek.rdp\"},\"src\":\"9.9.9.9\"}"), 2);
    assert_int_equal(hits_of(rs, "{\"event\":{\"module\":\"zeek\",\"dataset\":\"zeek.rdp\"},\"a\":\"b\"}"), 3);
    assert_int_equal(hits_of(rs, "{\"something\":\"else\"}"), 1);
    cf_ruleset_free(rs);
}

/* Enough rules of one log source that routes share their tables: each is found on its own, and only in its routes. */
static void test_shared_part(void **state)
{
    struct cf_buf b;
    struct cf_ruleset *rs;
    char ev[200];

    (void)state;
    cf_buf_init(&b, 0);
    for (int i = 0; i < 150; i++)
        cf_buf_printf(&b, "title: p%d\nlogsource: {product: windows, category: process_creation}\ndetection:\n  s: {%s: needle%03dx}\n  condition: s\n---\n", i,
                      i % 2 ? "Image|contains" : "CommandLine", i);
    cf_buf_printf(&b, "title: image\nlogsource: {product: windows, category: image_load}\ndetection:\n  s: {Image|contains: needle}\n  condition: s\n---\n"
                      "title: word\nlogsource: {product: windows}\ndetection:\n  k: [needle149x]\n  condition: k\n");
    cf_buf_byte(&b, 0);
    rs = rules_text(b.p, false);
    for (int i = 0; i < 150; i++) {
        (void)snprintf(ev, sizeof ev, "{\"EventID\":1,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"%s\":\"Needle%03dX\"}",
                       i % 2 ? "Image" : "CommandLine", i);
        assert_int_equal(hits_of(rs, ev), i == 149 ? 2 : 1);
    }
    assert_int_equal(hits_of(rs, "{\"EventID\":4688,\"Channel\":\"Security\",\"NewProcessName\":\"a needle003x needle005x\"}"), 2);
    assert_int_equal(hits_of(rs, "{\"EventID\":7,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Image\":\"needle003x\"}"), 1);
    cf_ruleset_free(rs);
    cf_buf_release(&b);
}

/* Folding and searching work in blocks: every length and place around them. */
static void test_blocks(void **state)
{
    static const char pat[] = "abczabcdefghijklmnopqrstuvw";
    char in[64], out[128];

    (void)state;
    for (size_t n = 0; n < sizeof in; n++)
        for (size_t at = 0; at < n; at++) {
            memset(in, '@', sizeof in);
            in[at] = 'Z';
            assert_int_equal(cf_fold(in, n, out), n);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(out[i], i == at ? 'z' : '@');
            for (uint32_t w = 1; at + w <= n && w < sizeof pat; w++) {
                struct cf_pat p = {.p = pat, .n = w, .kind = CF_PAT_CONTAINS};

                memset(in, 'a', sizeof in);
                memcpy(in + at, pat, w);
                assert_true(cf_pat_match(&p, in, n));
                assert_int_equal(cf_pat_match(&p, in, at + w - 1), memmem(in, at + w - 1, pat, w) != NULL);
            }
        }
}

static void test_global_and_filters(void **state)
{
    struct cf_ruleset *rs;

    (void)state;
    rs = rules_text("action: global\ntitle: g\ndetection:\n  condition: s\n---\ndetection: {s: {A: x}}\n---\ndetection: {s: {B: y}}\n", true);
    assert_int_equal(cf_ruleset_count(rs), 2);
    assert_int_equal(hits_of(rs, "{\"A\":\"x\",\"B\":\"y\"}"), 2);
    cf_ruleset_free(rs);
    rs = rules_text("title: f\nfilter:\n  rules: [r1]\n  sel: {User|startswith: adm_}\n  condition: not sel\n---\n"
                    "title: r\nid: r1\ndetection:\n  s: {A: x}\n  condition: s\n---\ntitle: q\nid: r2\ndetection:\n  s: {A: x}\n  condition: s\n", true);
    assert_int_equal(hits_of(rs, "{\"A\":\"x\",\"User\":\"bob\"}"), 2);
    assert_int_equal(hits_of(rs, "{\"A\":\"x\",\"User\":\"adm_bob\"}"), 1);
    cf_ruleset_free(rs);
    rs = rules_text("title: f\nfilter:\n  rules: any\n  sel: {User|startswith: adm_}\n  condition: sel\n---\n"
                    "title: r\nid: r1\ndetection:\n  s: {A: x}\n  condition: s\n", true);
    assert_int_equal(hits_of(rs, "{\"A\":\"x\",\"User\":\"bob\"}"), 1);
    assert_int_equal(hits_of(rs, "{\"A\":\"x\",\"User\":\"adm_bob\"}"), 0);
    cf_ruleset_free(rs);
}

/* A filter's condition with "not" in each of its parts says what stays, as one with "not" before it all. */
static void test_filter_sense(void **state)
{
    static const struct {
        const char *cond;
        size_t plain, a, ab; /* hits of an event that is in neither, in a, in both */
    } rows_[] = {{"fa", 1, 0, 0}, {"not fa", 1, 0, 0}, {"fa or fb", 1, 0, 0}, {"not fa and not fb", 1, 0, 0}, {"not (fa or fb)", 1, 0, 0},
                 {"not 1 of f*", 1, 0, 0}, {"1 of f*", 1, 0, 0}, {"all of f*", 1, 1, 0}, {"not fa or not fb", 1, 1, 0}, {"fa and not fb", 1, 0, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof rows_ / sizeof *rows_; i++) {
        char yaml[500];
        struct cf_ruleset *rs;

        (void)snprintf(yaml, sizeof yaml, "title: f\nlogsource: {product: acme}\n\"filter\":\n  rules: any\n  fa: {A: 1}\n  fb: {B: 1}\n  condition: %s\n---\n"
                                          "title: r\nid: r1\nlogsource: {product: acme}\ndetection:\n  s: {X: 1}\n  condition: s\n", rows_[i].cond);
        rs = rules_text(yaml, true);
        assert_int_equal(hits_of(rs, "{\"X\":1}"), rows_[i].plain);
        assert_int_equal(hits_of(rs, "{\"X\":1,\"A\":1}"), rows_[i].a);
        assert_int_equal(hits_of(rs, "{\"X\":1,\"A\":1,\"B\":1}"), rows_[i].ab);
        cf_ruleset_free(rs);
    }
}

/* A list that is not there or holds nothing is told with the rule. */
static void test_list_warning(void **state)
{
    static const char *const rows_[][2] = {{"'%nobody%'", "the list %nobody% is unknown"}, {"'%Workstations%'", "the list %Workstations% is empty"}, {"'%LegitCountries%'", ""}, {"'\\%x%'", ""}};

    (void)state;
    for (size_t i = 0; i < sizeof rows_ / sizeof *rows_; i++) {
        char yaml[200];
        struct cf_ruleset *rs;

        (void)snprintf(yaml, sizeof yaml, "title: t\ndetection:\n  s: {A|expand: %s}\n  condition: s\n", rows_[i][0]);
        rs = rules_text(yaml, false);
        assert_int_equal(cf_ruleset_count(rs), 1);
        assert_int_equal(cf_ruleset_rule(rs, 0)->warning.n > 0, rows_[i][1][0] != 0);
        assert_true(cf_str_starts(cf_ruleset_rule(rs, 0)->warning, cf_str_c(rows_[i][1])));
        cf_ruleset_free(rs);
    }
}

static void test_matched_fields(void **state)
{
    struct cf_ruleset *rs = rules_text("title: t\ndetection:\n  s: {A|contains: foo}\n  f: {B: y}\n  condition: s and not f\n", true);
    struct cf_detector *d = cf_detector_new(rs);
    struct cf_arena a;
    const struct cf_hit *h;
    struct cf_rule_counters c = {0};
    size_t n;

    (void)state;
    cf_arena_init(&a, 0, 0);
    assert_int_equal(cf_detect(d, event_json(&a, "{\"A\":\"a Foo\",\"B\":\"z\"}", 7), &h, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(h->n_matched, 1);
    assert_str(h->matched[0].field, "A");
    assert_str(h->matched[0].value, "a Foo");
    cf_detector_counters(d, &c);
    assert_int_equal(c.hits, 1);
    assert_int_equal(c.candidates, 1);
    assert_int_equal(cf_detect(d, event_json(&a, "{\"A\":\"nothing\"}", 8), &h, &n), 0);
    cf_detector_counters(d, memset(&c, 0, sizeof c));
    assert_int_equal(c.candidates, 1); /* the prefilter kept the rule from being tried */
    cf_detector_free(d);
    cf_arena_release(&a);
    cf_ruleset_free(rs);
}

/* Literals of which every match holds one; "" when none are known. */
static void literals(const char *re, const char *want)
{
    struct cf_arena a;
    cf_str lit[CF_REX_LITERALS];
    struct cf_buf b;
    size_t n;

    cf_arena_init(&a, 0, 0);
    cf_buf_init(&b, 0);
    n = cf_rex_literals(&a, cf_str_c(re), lit);
    for (size_t i = 0; i < n; i++) {
        cf_buf_z(&b, i ? "\t" : "");
        cf_buf_str(&b, lit[i]);
    }
    if (!cf_str_eqz(b.n ? cf_buf_view(&b) : CF_STR(""), want))
        fail_msg("%s: \"%.*s\", expected \"%s\"", re, CF_ARG(cf_buf_view(&b)), want);
    cf_buf_release(&b);
    cf_arena_release(&a);
}

static void test_rex_literals(void **state)
{
    (void)state;
    literals("Failed password", "failed password");
    literals("su(?:\\[\\d+\\])?: (?:\\(to root\\) |Successful su for root by )(?:www-data|apache)\\b", "(to root) \tsuccessful su for root by ");
    literals("(?:FAILED SU|abc\\[\\d+\\]: FAILED su)", "failed su\t]: failed su");
    literals("foo|barbar", "foo\tbarbar");
    literals("foo|", "");
    literals("(?:foo|)bar1", "bar1");
    literals("(?:wrong)?", "");
    literals("(?:wrong)*yes1", "yes1");
    literals("(?:wrong){0,2}yes1", "yes1");
    literals("ab?cdef", "cdef");
    literals("abc+def", "abc");
    literals("abcx*def", "abc");
    literals("abc{0}def", "def");
    literals("no{such|other", "such\tother"); /* no count: each alternative for itself */
    literals("foobar\\x41|other", "");
    literals("foobar\\x41more", "foobar");
    literals("(foobar\\x41|other)tail", "tail");
    literals("(?!wrong)right", "right");
    literals("(?<name>wrong)right", "right");
    literals("(?=wrong|other)right", "right");
    literals("(?x) a b c d e", "");
    literals("(?ix) a b c d e", "");
    literals("(?i)ABC[xyz|]def", "abc");
    literals("[[:alpha:]]{3}word", "word");
    literals("\\Qa|b\\E", "");
    literals("((((((((((((((((((((deep))))))))))))))))))))", "");
    literals("a)bcdef|x", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rex_literals),
        cmocka_unit_test(test_rows),   cmocka_unit_test(test_zones), cmocka_unit_test(test_refused),            cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_routes), cmocka_unit_test(test_global_and_filters), cmocka_unit_test(test_matched_fields),
        cmocka_unit_test(test_absent), cmocka_unit_test(test_filter_sense), cmocka_unit_test(test_list_warning), cmocka_unit_test(test_shared_part), cmocka_unit_test(test_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
