/* SPDX-License-Identifier: Apache-2.0
 * The public rule archive and its regression pairs, when the shared corpora are there (CF_SHARED or ../shared): at
 * least 99% of the rules load, each refused one has a reason, every pair fires its rule through the real normaliser. */
#include <archive.h>
#include <archive_entry.h>

#include "detect/helper.h"
#include "normalise/normalise.h"

static const char *shared(const char *file)
{
    static char path[1024];
    const char *root = getenv("CF_SHARED");

    (void)snprintf(path, sizeof path, "%s/%s", root ? root : CF_TEST_ROOT "/../shared", file);
    return access(path, R_OK) == 0 ? path : NULL;
}

static struct cf_ruleset *load(const char *path)
{
    struct cf_rules_options opt = {.taxonomy_dir = CF_TEST_ROOT "/content/taxonomy", .paths = &path, .n_paths = 1};
    struct cf_ruleset *rs = NULL;
    struct cf_error err = {0};

    assert_ok(cf_ruleset_load(&opt, &rs, &err), err);
    return rs;
}

static void test_archive(void **state)
{
    const char *path = shared("data/sigma/sigma-rules.tar.zst");
    const struct cf_rule_refused *refused;
    struct cf_ruleset *rs;
    size_t n, in_use = 0;

    (void)state;
    if (!path) {
        (void)printf("skipped: sigma-rules.tar.zst is not there\n");
        skip();
    }
    rs = load(path);
    n = cf_ruleset_refused(rs, &refused);
    for (size_t i = 0; i < n; i++) {
        assert_true(refused[i].reason.n > 10);
        in_use += cf_str_find(refused[i].file, CF_STR("/unsupported/")) < 0;
        (void)printf("refused %.*s: %.*s\n", CF_ARG(refused[i].file), CF_ARG(refused[i].reason));
    }
    (void)printf("%zu rules loaded, %zu refused, %zu of them outside the folder of unsupported rules\n", cf_ruleset_count(rs), n, in_use);
    assert_true(cf_ruleset_count(rs) > 4000);
    assert_true(n * 100 <= cf_ruleset_count(rs));
    assert_int_equal(in_use, 0);
    cf_ruleset_free(rs);
}

/* The name of a regression file is the id of the rule it must fire. */
static bool fires(struct cf_detector *d, struct cf_norm_thread *t, const char *json, size_t n, const char *id)
{
    struct cf_arena a;
    struct cf_record rec = {.raw = {json, n}, .source = CF_STR(""), .format = CF_STR(""), .peer = CF_STR(""), .org = CF_STR("")};
    struct cf_event *ev;
    const struct cf_hit *h = NULL;
    size_t hits = 0;
    bool yes = false;

    cf_arena_init(&a, 0, 0);
    assert_int_equal(cf_normalise(t, &a, &rec, &ev), 0);
    assert_int_equal(cf_detect(d, ev, &h, &hits), 0);
    for (size_t i = 0; i < hits; i++)
        yes |= cf_str_eqz(h[i].rule->id, id);
    cf_arena_release(&a);
    return yes;
}

/* A file may hold several pretty-printed objects one after another. */
static bool any_fires(struct cf_detector *d, struct cf_norm_thread *t, const char *p, size_t n, const char *id)
{
    size_t from = 0;
    int depth = 0;
    bool in_string = false, yes = false;

    for (size_t i = 0; i < n; i++) {
        if (in_string) {
            i += p[i] == '\\';
            in_string = i >= n || p[i] != '"';
            continue;
        }
        if (p[i] == '"')
            in_string = true;
        else if (p[i] == '{' && depth++ == 0)
            from = i;
        else if (p[i] == '}' && --depth == 0)
            yes |= fires(d, t, p + from, i + 1 - from, id);
    }
    return yes;
}

static void test_regression(void **state)
{
    const char *path = shared("data/sigma/sigma-rules.tar.zst");
    struct cf_ruleset *rs;
    struct cf_detector *d;
    struct cf_normaliser *norm = NULL;
    struct cf_norm_thread *t;
    struct cf_norm_options no = {.sources_dir = CF_TEST_ROOT "/content/sources"};
    struct cf_error err = {0};
    struct archive *ar;
    struct archive_entry *e;
    size_t files = 0, failed = 0;

    (void)state;
    if (!path || !shared("data/sigma/sigma-regression.tar.zst")) {
        (void)printf("skipped: the regression pairs are not there\n");
        skip();
    }
    rs = load(shared("data/sigma/sigma-rules.tar.zst"));
    d = cf_detector_new(rs);
    assert_ok(cf_normaliser_load(&no, &norm, &err), err);
    t = cf_norm_thread_new(norm);
    ar = archive_read_new();
    (void)archive_read_support_format_tar(ar);
    (void)archive_read_support_filter_zstd(ar);
    assert_int_equal(archive_read_open_filename(ar, shared("data/sigma/sigma-regression.tar.zst"), 1 << 16), ARCHIVE_OK);
    while (archive_read_next_header(ar, &e) == ARCHIVE_OK) {
        cf_str name = cf_str_c(archive_entry_pathname(e));
        char id[64];
        char *text;
        la_int64_t n = archive_entry_size(e);

        if (!cf_str_ends(name, CF_STR(".json")) || name.n < 41)
            continue;
        (void)snprintf(id, sizeof id, "%.36s", name.p + name.n - 41);
        text = malloc((size_t)n + 1);
        assert_int_equal(archive_read_data(ar, text, (size_t)n), n);
        files++;
        if (!any_fires(d, t, text, (size_t)n, id)) {
            failed++;
            (void)printf("did not fire: %.*s\n", CF_ARG(name));
        }
        free(text);
    }
    (void)archive_read_free(ar);
    (void)printf("%zu regression files, %zu did not fire their rule\n", files, failed);
    cf_norm_thread_free(t);
    cf_normaliser_free(norm);
    cf_detector_free(d);
    cf_ruleset_free(rs);
    assert_true(files > 100);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_archive), cmocka_unit_test(test_regression)};

    (void)setvbuf(stdout, NULL, _IONBF, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
