/* SPDX-License-Identifier: Apache-2.0
 * Figures per rule that outlive their detectors, and which rules can never fire. */
#include "helper.h"
#include "normalise/normalise.h"

static void run(struct cf_detector *d, const char *event, size_t want)
{
    struct cf_arena a;
    const struct cf_hit *h;
    size_t n;

    cf_arena_init(&a, 0, 0);
    assert_int_equal(cf_detect(d, event_json(&a, event, 1), &h, &n), 0);
    assert_int_equal(n, want);
    cf_arena_release(&a);
}

static void ledger_keeps_the_sums(void **state)
{
    static const char *const text = "title: one\nid: r1\ndetection:\n  s: {A: x}\n  condition: s\n---\ntitle: two\nid: r2\ndetection:\n  s: {A: y}\n  condition: s\n";
    struct cf_rule_ledger *l = cf_rule_ledger_new();
    struct cf_rule_counters c[2];
    int64_t before = cf_now_us();

    (void)state;
    for (int round = 1; round <= 2; round++) { /* a new rule set each time, as after a reload */
        struct cf_ruleset *rs = rules_text(text, true);
        struct cf_detector *d = cf_detector_new(rs);

        run(d, "{\"A\":\"x\"}", 1);
        run(d, "{\"A\":\"x\"}", 1);
        run(d, "{\"A\":\"z\"}", 0);
        assert_int_equal(cf_rule_ledger_add(l, d), 0);
        memset(c, 0, sizeof c);
        cf_rule_ledger_get(l, rs, c);
        assert_int_equal(c[0].hits, 2 * round);
        assert_int_equal(c[0].candidates, 2 * round);
        assert_true(c[0].last_hit_us >= before && c[0].last_hit_us <= cf_now_us());
        assert_int_equal(c[1].hits, 0);
        assert_int_equal(c[1].last_hit_us, 0);
        cf_detector_free(d);
        cf_ruleset_free(rs);
    }
    cf_rule_ledger_free(l);
}

static const char *const rules =
    "title: can\nid: can\nlogsource: {product: linux, service: sshd}\ndetection:\n  s: {user.name: root}\n  condition: s\n---\n"
    "title: cannot\nid: cannot\nlogsource: {product: linux, service: sshd}\ndetection:\n  s: {Shoe: 9}\n  condition: s\n---\n"
    "title: either\nid: either\nlogsource: {product: linux, service: sshd}\ndetection:\n  a: {Shoe: 9}\n  b: {user.name: root}\n  condition: a or b\n---\n"
    "title: not\nid: not\nlogsource: {product: linux, service: sshd}\ndetection:\n  a: {Shoe: 9}\n  b: {user.name: root}\n  condition: b and not a\n---\n"
    "title: absent\nid: absent\nlogsource: {product: linux, service: sshd}\ndetection:\n  a: {Shoe: null}\n  condition: a\n---\n"
    "title: words\nid: words\nlogsource: {product: linux, service: sshd}\ndetection:\n  a: [secret]\n  condition: a\n---\n"
    "title: other\nid: other\nlogsource: {product: zeek, service: dns}\ndetection:\n  a: {query: x}\n  condition: a\n---\n"
    "title: open\nid: open\nlogsource: {product: okta, service: okta}\ndetection:\n  a: {Shoe: 9}\n  condition: a\n---\n"
    "title: c\nid: corr\ncorrelation: {type: event_count, rules: [cannot], group-by: [user.name], timespan: 1m, condition: {gte: 3}}\n";

static void reach(void **state)
{
    const cf_str sshd = CF_STR("sshd"), okta = CF_STR("okta");
    const struct cf_source_field closed_f[] = {{.name = CF_STR("event.module"), .n_value = 1, .value = &sshd}, {.name = CF_STR("user.name"), .any = true}};
    const struct cf_source_field open_f[] = {{.name = CF_STR("event.module"), .n_value = 1, .value = &okta}};
    const struct cf_source_fields src[] = {{.source = CF_STR("sshd"), .n = 2, .field = closed_f}, {.source = CF_STR("okta"), .open = true, .n = 1, .field = open_f}};
    struct cf_ruleset *rs = rules_text(rules, false);
    struct cf_arena a;
    struct cf_reach r[9];

    (void)state;
    cf_arena_init(&a, 0, 0);
    assert_int_equal(cf_ruleset_count(rs), 9);
    assert_int_equal(cf_ruleset_reach(rs, src, 2, &a, r), 0);
    assert_true(r[0].reachable);
    assert_int_equal(r[0].n_missing, 0);
    assert_int_equal(r[0].n_source, 1);
    assert_false(r[1].reachable);
    assert_int_equal(r[1].n_missing, 1);
    assert_str(r[1].missing[0], "Shoe");
    assert_true(cf_str_find(r[1].reason, CF_STR("needs Shoe")) >= 0);
    assert_true(r[2].reachable); /* the other half can match */
    assert_int_equal(r[2].n_missing, 1);
    assert_true(r[3].reachable); /* the field is only excluded */
    assert_true(r[4].reachable); /* its absence is what is asked */
    assert_true(r[5].reachable); /* words are looked for everywhere */
    assert_true(r[6].reachable); /* no source file, but ECS may come */
    assert_int_equal(r[6].n_source, 0);
    assert_true(r[6].reason.n > 0);
    assert_true(r[7].reachable); /* a JSON source keeps what it does not know */
    assert_true(r[7].open);
    assert_int_equal(r[7].n_missing, 1);
    assert_false(r[8].reachable); /* counts only the rule that cannot */
    cf_arena_release(&a);
    cf_ruleset_free(rs);
}

/* The real source files: every one says what it makes, and what it makes includes what it is known for. */
static void real_sources(void **state)
{
    struct cf_norm_options o = {.sources_dir = CF_TEST_ROOT "/content/sources"};
    struct cf_normaliser *n = NULL;
    struct cf_error err = {0};
    struct cf_arena a;
    bool seen = false;

    (void)state;
    cf_arena_init(&a, 0, 0);
    assert_ok(cf_normaliser_load(&o, &n, &err), err);
    for (size_t i = 0; i < cf_normaliser_sources(n); i++) {
        struct cf_source_fields f;
        bool module = false, user = false;

        assert_int_equal(cf_normaliser_fields(n, i, &a, &f), 0);
        assert_true(f.n > 20);
        if (!cf_str_eqz(f.source, "sshd"))
            continue;
        assert_false(f.open);
        for (size_t k = 0; k < f.n; k++) {
            module = module || (cf_str_eqz(f.field[k].name, "event.module") && !f.field[k].any && f.field[k].n_value == 1 && cf_str_eqz(f.field[k].value[0], "sshd"));
            user = user || (cf_str_eqz(f.field[k].name, "user.name") && f.field[k].any);
        }
        seen = module && user;
    }
    assert_true(seen);
    cf_normaliser_free(n);
    cf_arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ledger_keeps_the_sums), cmocka_unit_test(reach), cmocka_unit_test(real_sources)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
