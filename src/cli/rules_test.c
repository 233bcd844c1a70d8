/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/rules_test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/rules_common.h"

/* A case tries the rules of its own file only; "all" rules are loaded once, to report what else fires would be noise. */
struct run {
    const struct cf_normaliser *norm;
    struct cf_norm_thread *thread;
    struct cf_ruleset *rs; /* rules of the file in hand */
    const char *file;
    const char *zone; /* NULL: the rules' usual one */
    size_t rules, untested, passed, failed, candidates, events;
    bool verbose;
};

/* One test value as a record: a raw line, {"source","raw"}, or a JSON event. */
static bool record_of(struct cf_arena *a, json_t *e, struct cf_record *rec, uint64_t seq)
{
    const char *raw = json_string_value(e);
    json_t *jraw = json_object_get(e, "raw");

    *rec = (struct cf_record){.source = CF_STR(""), .format = CF_STR(""), .peer = CF_STR(""), .org = CF_STR(""), .seq = seq, .received_us = cf_now_us()};
    if (raw) {
        rec->raw = cf_arena_copy(a, (cf_str){raw, json_string_length(e)});
        return true;
    }
    if (json_is_string(jraw) && json_object_size(e) <= 3) {
        rec->raw = cf_arena_copy(a, (cf_str){json_string_value(jraw), json_string_length(jraw)});
        if (json_is_string(json_object_get(e, "source")))
            rec->source = cf_arena_copy(a, cf_str_c(json_string_value(json_object_get(e, "source"))));
        if (json_is_string(json_object_get(e, "format")))
            rec->format = cf_arena_copy(a, cf_str_c(json_string_value(json_object_get(e, "format"))));
        return true;
    }
    if (json_is_object(e)) {
        char *text = json_dumps(e, JSON_COMPACT | JSON_ENSURE_ASCII);

        if (!text)
            return false;
        rec->raw = cf_arena_copy(a, cf_str_c(text));
        free(text);
        return true;
    }
    return false;
}

/* Feeds one event; adds its hits. */
static bool feed(struct run *t, struct cf_detector *d, struct cf_arena *a, json_t *e, uint64_t seq, size_t *hits)
{
    struct cf_record rec;
    struct cf_event *ev = NULL;
    const struct cf_hit *h;
    size_t n = 0;

    if (!record_of(a, e, &rec, seq) || cf_normalise(t->thread, a, &rec, &ev) < 0)
        return false;
    ev->seq = seq;
    t->events++;
    if (cf_detect(d, ev, &h, &n) < 0)
        return false;
    *hits += n;
    return true;
}

static void one_case(struct run *t, json_t *e, bool want, size_t index)
{
    struct cf_detector *d = cf_detector_new(t->rs);
    struct cf_rule_counters *c = calloc(cf_ruleset_count(t->rs) + 1, sizeof *c);
    struct cf_arena a;
    const struct cf_hit *h;
    size_t hits = 0, n = 0, i;
    json_t *v;
    bool ok = d && c;

    cf_arena_init(&a, 0, 0);
    if (json_is_array(e)) {
        json_array_foreach(e, i, v) ok = ok && feed(t, d, &a, v, i, &hits);
    } else {
        ok = ok && feed(t, d, &a, e, 0, &hits);
    }
    if (ok && cf_detect_flush(d, &a, &h, &n) == 0)
        hits += n;
    if (ok)
        cf_detector_counters(d, c);
    for (i = 0; ok && i < cf_ruleset_count(t->rs); i++)
        t->candidates += c[i].candidates;
    if (ok && (hits > 0) == want) {
        t->passed++;
    } else {
        t->failed++;
        (void)printf("FAIL %s: %s case %zu %s\n", t->file, want ? "match" : "no_match", index, !ok ? "could not be read" : want ? "did not fire" : "fired");
    }
    free(c);
    cf_detector_free(d);
    cf_arena_release(&a);
}

/* Correlation windows must not leak from one case into the next: the rules are loaded afresh for each. */
static int cases(struct run *t, const char *path, json_t *list, bool want)
{
    size_t i;
    json_t *e;

    json_array_foreach(list, i, e)
    {
        int r = cf_cli_rules("rules test", &path, 1, t->zone, &t->rs);

        if (r)
            return r;
        cf_ruleset_corr_options(t->rs, INT64_MAX / 8, 0);
        one_case(t, e, want, i);
        cf_ruleset_free(t->rs);
        t->rs = NULL;
    }
    return 0;
}

static int test_file(struct run *t, const char *path, cf_str stem)
{
    char json_path[4096];
    json_error_t jerr;
    json_t *j;
    int r;

    (void)snprintf(json_path, sizeof json_path, "%.*s.test.json", CF_ARG(stem));
    t->rules++;
    t->file = path;
    if (access(json_path, R_OK) != 0) {
        t->untested++;
        if (t->verbose)
            (void)printf("no test: %s\n", path);
        return 0;
    }
    j = json_load_file(json_path, 0, &jerr);
    if (!j || !json_is_object(j)) {
        (void)printf("FAIL %s: line %d: %s\n", json_path, jerr.line, j ? "an object is needed" : jerr.text);
        t->failed++;
        json_decref(j);
        return 0;
    }
    if (json_array_size(json_object_get(j, "match")) == 0 || json_array_size(json_object_get(j, "no_match")) == 0) {
        (void)printf("FAIL %s: at least one case in \"match\" and one in \"no_match\" are needed\n", json_path);
        t->failed++;
    }
    r = cases(t, path, json_object_get(j, "match"), true);
    if (r == 0)
        r = cases(t, path, json_object_get(j, "no_match"), false);
    json_decref(j);
    return r;
}

static int on_file(void *ctx, const char *path)
{
    cf_str s = cf_str_c(path);

    if (cf_str_ends(s, CF_STR(".yml")))
        return test_file(ctx, path, cf_str_sub(s, 0, s.n - 4));
    if (cf_str_ends(s, CF_STR(".yaml")))
        return test_file(ctx, path, cf_str_sub(s, 0, s.n - 5));
    return 0;
}

int cf_rules_test(int argc, char **argv)
{
    struct run t = {.verbose = false};
    struct cf_normaliser *norm = NULL;
    struct cf_error err = {0};
    int r;

    if (argc < 1)
        return cf_cli_usage("rules test", "at least one path is needed");
    r = cf_cli_normaliser("rules test", &norm);
    if (r)
        return r;
    t.norm = norm;
    t.thread = cf_norm_thread_new(norm);
    if (!t.thread)
        r = cf_error_set(&err, CF_ENOMEM, "out of memory");
    for (int i = 0; i < argc && r == 0; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            t.verbose = true;
            continue;
        }
        if (strcmp(argv[i], "--timezone") == 0 && i + 1 < argc) {
            t.zone = argv[++i];
            continue;
        }
        r = cf_walk(argv[i], "", on_file, &t, &err);
    }
    cf_norm_thread_free(t.thread);
    cf_normaliser_free(norm);
    if (r < 0)
        return cf_cli_fail("rules test", &err);
    if (r > 0)
        return r;
    (void)printf("%zu rule files, %zu without test, %zu cases passed, %zu failed, %.2f rules tried per event\n", t.rules, t.untested, t.passed, t.failed,
                 t.events ? (double)t.candidates / (double)t.events : 0);
    return t.failed ? CF_EXIT_FAILED : 0;
}
