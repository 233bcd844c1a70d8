/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include <unistd.h>

#include "asset/asset.h"
#include "demo/demo.h"
#include "demo/load.h"
#include "demo/run.h"
#include "directory/service.h"

#define AT INT64_C(1795115647123456) /* 2026-11-19T19:14:07.123456Z */

static void expect(const char *tpl, const char *want)
{
    cf_str items[] = {CF_STR("x${n}y")};
    struct demo_list lists[] = {{CF_STR("one"), 1, items}};
    struct demo_var vars[] = {{CF_STR("n"), CF_STR("7")}, {CF_STR("cmd"), CF_STR("a b")}};
    struct demo_env env = {.time_us = AT, .zone_us = 8 * 3600 * CF_US_PER_S, .rng = 1, .index = 3, .lists = lists, .n_lists = 1, .vars = vars, .n_vars = 2};
    struct cf_error err = {0};
    struct cf_buf b;

    cf_buf_init(&b, 1 << 16);
    if (demo_expand(&env, cf_str_c(tpl), &b, &err) < 0)
        fail_msg("%s: %s", tpl, err.msg);
    assert_string_equal(cf_buf_cstr(&b), want);
    cf_buf_release(&b);
}

static void refuse(const char *tpl, const char *why)
{
    cf_str items[] = {CF_STR("${pick:loop}")};
    struct demo_list lists[] = {{CF_STR("loop"), 1, items}};
    struct demo_env env = {.time_us = AT, .rng = 1, .lists = lists, .n_lists = 1};
    struct cf_error err = {0};
    struct cf_buf b;

    cf_buf_init(&b, 1 << 16);
    assert_true(demo_expand(&env, cf_str_c(tpl), &b, &err) < 0);
    if (!strstr(err.msg, why))
        fail_msg("%s: \"%s\" does not say \"%s\"", tpl, err.msg, why);
    cf_buf_release(&b);
}

static void template_texts(void **state)
{
    (void)state;
    expect("plain $ } text", "plain $ } text");
    expect("${t:%b %e %H:%M:%S} ${u:%Y-%m-%dT%H:%M:%S.%L}Z", "Nov 20 03:14:07 2026-11-19T19:14:07.123Z");
    expect("${t:%d/%m/%y %f %a %%}", "20/11/26 123456 Fri %");
    expect("${epoch} ${i} ${i:100} ${n} ${pick:one}", "1795115647.123456 3 103 7 x7y");
    expect("${audit:ls} ${audit:a ${n}} ${audit:${cmd}}", "\"ls\" 612037 612062");
    expect("${int:5-5}${digits:0}", "5");
}

static void template_errors(void **state)
{
    (void)state;
    refuse("${nothing}", "no variable \"nothing\"");
    refuse("${what:1}", "no function \"what\"");
    refuse("${int:9-3}", "range");
    refuse("${hex:99999}", "length");
    refuse("${pick:none}", "no list \"none\"");
    refuse("${pick:loop}", "picks itself");
    refuse("text ${int:1-2", "without its");
}

static void random_is_repeatable(void **state)
{
    uint64_t a = 5, b = 5;
    int seen[10] = {0};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = demo_random_below(&a, 10);

        assert_int_equal(x, demo_random_below(&b, 10));
        seen[x]++;
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(seen[i], 60, 140);
    assert_int_equal(demo_random_below(&a, 0), 0);
}

static struct demo_city *city(void)
{
    struct cf_error err = {0};
    struct demo_city *c = NULL;

    if (demo_city_load(CF_TEST_ROOT "/content/demo", &c, &err) < 0)
        fail_msg("%s", err.msg);
    return c;
}

static void the_city(void **state)
{
    struct demo_city *c = city();
    size_t kinds[8] = {0};
    static const char *const names[8] = {"organisation", "system", "hardware", "software", "network", "room", "resource", "data"};

    (void)state;
    assert_int_equal(c->n_units, 40);
    assert_int_equal(c->n_assets, 1200);
    assert_int_equal(c->n_scenarios, 6);
    assert_int_equal(c->n_people, 40 + 15);
    for (size_t i = 0; i < c->n_assets; i++) {
        struct cf_ip ip;

        for (int k = 0; k < 8; k++)
            kinds[k] += cf_str_eqz(c->assets[i].kind, names[k]);
        if (c->assets[i].ip.n) { /* only private addresses */
            struct cf_cidr net;

            assert_true(cf_ip_parse(c->assets[i].ip, &ip));
            assert_true(cf_cidr_parse(CF_STR("10.0.0.0/8"), &net) && cf_cidr_has(&net, &ip));
        }
    }
    for (int k = 0; k < 8; k++)
        assert_true(kinds[k] >= 40);
    demo_city_free(c);
}

static void expected_rules_exist(void **state)
{
    struct demo_city *c = city();

    (void)state;
    for (size_t i = 0; i < c->n_scenarios; i++) {
        assert_true(c->scenarios[i].n_expect >= 5);
        for (size_t k = 0; k < c->scenarios[i].n_expect; k++) {
            char cmd[300];

            (void)snprintf(cmd, sizeof cmd, "grep -rqs 'id: %.*s' " CF_TEST_ROOT "/content/rules", CF_ARG(c->scenarios[i].expect[k]));
            if (system(cmd) != 0)
                fail_msg("%.*s expects rule %.*s which is not in content/rules", CF_ARG(c->scenarios[i].id), CF_ARG(c->scenarios[i].expect[k]));
        }
    }
    demo_city_free(c);
}

static void bad_scenario(struct demo_city *c, const char *yaml, const char *why)
{
    struct demo_scenario s;
    struct cf_error err = {0};

    assert_true(demo_scenario_parse(c, cf_str_c(yaml), &s, &err) < 0);
    if (!strstr(err.msg, why))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
}

static void scenario_errors(void **state)
{
    struct demo_city *c = city();

    (void)state;
#define HEAD "id: a\ntitle_zh: a\ntitle_en: a\n"
    bad_scenario(c, "", "empty");
    bad_scenario(c, "- a\n", "map");
    bad_scenario(c, HEAD, "\"vars\" is missing");
    bad_scenario(c, HEAD "bogus: 1\nvars: {w: {host: web}}\n", "line 4: \"bogus\"");
    bad_scenario(c, HEAD "vars: {w: {host: nowhere}}\nsteps: []\nexpect: [x]\n", "line 4: no asset has the role \"nowhere\"");
    bad_scenario(c, HEAD "vars: {w: {host: web, pick: [a]}}\n", "one of pick, text, host");
    bad_scenario(c, HEAD "vars: {w: {host: web}}\nsteps: []\nexpect: [x]\n", "steps");
    bad_scenario(c, HEAD "vars: {w: {host: web}}\nsteps:\n  - {at: soon, from: w, line: x}\nexpect: [x]\n", "line 6: at must be a time");
    bad_scenario(c, HEAD "vars: {w: {host: web}}\nsteps:\n  - {at: 1s, from: v, line: x}\nexpect: [x]\n", "line 6: from names no host");
    bad_scenario(c, HEAD "vars: {w: {host: web}}\nsteps:\n  - {at: 1s, from: w, line: '${w.ipp}'}\nexpect: [x]\n", "line 6: no variable \"w.ipp\"");
    bad_scenario(c, HEAD "vars: {w: {host: web}}\nsteps:\n  - {at: 1s, from: w, line: x, repeat: 99999}\nexpect: [x]\n", "repeat is 1 to 10000");
    bad_scenario(c, HEAD "vars: {w: {host: web}}\nsteps:\n  - {at: 1s, from: w, line: x}\n", "\"expect\" is missing");
    demo_city_free(c);
}

struct got {
    size_t n;
    int64_t last;
    bool ordered;
    struct cf_buf text;
};

static int keep(void *ctx, const struct demo_asset *from, int64_t time_us, cf_str line)
{
    struct got *g = ctx;

    assert_true(from->log.n > 0);
    g->ordered = g->ordered && time_us >= g->last;
    g->last = time_us;
    g->n++;
    cf_buf_str(&g->text, line);
    cf_buf_byte(&g->text, '\n');
    return 0;
}

static void one_run(struct demo_city *c, uint64_t seed, double rate, struct got *g)
{
    struct demo_run *r = demo_run_new(c, seed);
    struct cf_error err = {0};

    *g = (struct got){.ordered = true, .last = INT64_MIN};
    cf_buf_init(&g->text, 0);
    assert_non_null(r);
    assert_int_equal(demo_run_scenario(r, &c->scenarios[0], AT, &err), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(demo_run_window(r, AT + i * 60 * CF_US_PER_S, AT + (i + 1) * 60 * CF_US_PER_S, rate, keep, g, &err), 0);
    assert_int_equal(demo_run_pending(r), 0);
    demo_run_free(r);
}

static void runs(void **state)
{
    struct demo_city *c = city();
    struct got a, b, d;
    uint64_t lines = 0;

    (void)state;
    for (size_t i = 0; i < c->scenarios[0].n_steps; i++)
        lines += c->scenarios[0].steps[i].repeat;
    one_run(c, 7, 0, &a); /* the chain alone: every line once, in time order */
    assert_int_equal(a.n, lines);
    assert_true(a.ordered);
    one_run(c, 7, 0, &b); /* same seed, same text */
    assert_true(cf_str_eq(cf_buf_view(&a.text), cf_buf_view(&b.text)));
    one_run(c, 7, 20, &d); /* with background: 3 o'clock at night, less than the average rate */
    assert_true(d.ordered);
    assert_in_range(d.n - lines, 600, 12000);
    cf_buf_release(&a.text);
    cf_buf_release(&b.text);
    cf_buf_release(&d.text);
    demo_city_free(c);
}

static void rhythm(void **state)
{
    (void)state;
    for (enum demo_rhythm k = DEMO_FLAT; k <= DEMO_NIGHT; k++) {
        double sum = 0;

        for (int64_t h = 0; h < 24; h++)
            sum += demo_rhythm(k, h * 3600 * CF_US_PER_S, 8 * 3600 * CF_US_PER_S);
        assert_true(sum > 23 && sum < 27);
    }
    assert_true(demo_rhythm(DEMO_OFFICE, 2 * 3600 * CF_US_PER_S, 8 * 3600 * CF_US_PER_S) > 2); /* 10 in the morning */
    assert_true(demo_rhythm(DEMO_OFFICE, 19 * 3600 * CF_US_PER_S, 8 * 3600 * CF_US_PER_S) < 0.2);
}

static void loads_once(void **state)
{
    struct demo_city *c = city();
    struct records rec;
    struct cf_error err = {0};

    (void)state;
    records_open(&rec);
    records_migrate(rec.db, directory);
    records_migrate(rec.db, asset);
    records_migrate(rec.db, demo);
    run_sql(rec.db, "INSERT INTO organisation (id, name, path, created_us, updated_us) VALUES ('root', 'root', '/root/', 1, 1)");
    assert_false(demo_loaded(rec.db, &err));
    for (int i = 0; i < 2; i++) /* the second time changes nothing */
        if (demo_load(rec.db, c, "hash", &err) < 0)
            fail_msg("%s", err.msg);
    assert_true(demo_loaded(rec.db, &err));
    assert_int_equal(sql_number(rec.db, "SELECT count(*) FROM asset"), 1200);
    assert_int_equal(sql_number(rec.db, "SELECT count(*) FROM organisation"), 41);
    assert_int_equal(sql_number(rec.db, "SELECT count(*) FROM app_user"), 55);
    assert_int_equal(sql_number(rec.db, "SELECT count(*) FROM organisation WHERE path LIKE '/root/demo-org-wjw/demo-org-%'"), 5);
    assert_true(sql_number(rec.db, "SELECT count(*) FROM data_source") >= 128);
    records_close(&rec);
    demo_city_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(template_texts), cmocka_unit_test(template_errors), cmocka_unit_test(random_is_repeatable), cmocka_unit_test(the_city),
        cmocka_unit_test(expected_rules_exist), cmocka_unit_test(scenario_errors), cmocka_unit_test(runs), cmocka_unit_test(rhythm), cmocka_unit_test(loads_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
