/* SPDX-License-Identifier: Apache-2.0
 * oracle_run SECONDS STEP RULES-FOLDER FILE...: every rule of a folder against every STEP-th event of the files, through
 * the real normaliser and taxonomy, detector against the slow evaluator. Prints pairs, hits and each difference.
 * CF_ORACLE_PAIRS=N stops after N pairs; the files are gone through again, by other events, until then or the time is over. */
#include <stdio.h>
#include <stdlib.h>

#include "detect/detect.h"
#include "detect/oracle.h"
#include "normalise/input.h"
#include "normalise/normalise.h"

struct rules {
    struct cf_arena a;
    struct cf_ynode *doc[20000];
    uint32_t index[20000]; /* in the rule set */
    size_t n;
    struct cf_ruleset *rs;
};
struct run {
    struct rules r;
    struct oracle *o;
    struct cf_detector *d;
    uint64_t pairs, looked_at, hits, differences, events, next, max_pairs;
    int64_t end;
    uint64_t step;
};

static int on_file(void *ctx, const char *path)
{
    struct rules *r = ctx;
    struct cf_ydoc *d = NULL;
    struct cf_error err = {0};

    if (!cf_str_ends(cf_str_c(path), CF_STR(".yml")) || cf_yaml_load(&r->a, path, &d, &err) < 0 || !d || d->next || !d->root)
        return 0; /* files of several documents are left to the unit tests */
    for (size_t i = 0; i < cf_ruleset_count(r->rs) && r->n < 20000; i++) {
        const struct cf_rule_info *in = cf_ruleset_rule(r->rs, i);

        if (!in->correlation && cf_str_eqz(in->file, path)) {
            r->doc[r->n] = d->root;
            r->index[r->n++] = (uint32_t)i;
        }
    }
    return 0;
}

static void one_event(struct run *t, const struct cf_event *ev)
{
    const struct cf_hit *h = NULL;
    size_t n = 0;
    static bool hit[200000];

    if (cf_detect(t->d, ev, &h, &n) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        hit[h[i].rule->index] = true;
    for (size_t k = 0; k < t->r.n; k++) {
        bool routed = false;
        int want = oracle_match_routed(t->o, t->r.doc[k], ev, &routed);

        if (want < 0)
            continue;
        t->pairs++;
        t->looked_at += routed;
        t->hits += (uint64_t)want;
        if ((want == 1) != hit[t->r.index[k]]) {
            const struct cf_rule_info *in = cf_ruleset_rule(t->r.rs, t->r.index[k]);
            t->differences++;
            if (t->differences < 50)
                (void)printf("DIFFERENCE detector %d oracle %d: %.*s\n  %.*s\n", hit[t->r.index[k]], want, CF_ARG(in->file), (int)(ev->original.n < 600 ? ev->original.n : 600), ev->original.p);
        }
    }
    for (size_t i = 0; i < n; i++)
        hit[h[i].rule->index] = false;
    t->events++;
}

static void file(struct run *t, struct cf_norm_thread *nt, const char *path)
{
    struct cf_input *in = NULL;
    struct cf_error err = {0};
    struct cf_arena a;
    struct cf_record rec;
    size_t n = 0;

    cf_arena_init(&a, 1 << 20, 0);
    if (cf_input_open(path, "", &in, &err) < 0)
        (void)printf("%s: %s\n", path, err.msg);
    while (in && cf_mono_us() < t->end && t->pairs < t->max_pairs && cf_input_next_batch(in, &a, &rec, 1, &n, &err) == 0 && n) {
        struct cf_event *ev;

        if (t->next++ % t->step == 0 && cf_normalise(nt, &a, &rec, &ev) == 0)
            one_event(t, ev);
        cf_arena_reset(&a);
    }
    cf_input_close(in);
    cf_arena_release(&a);
}

int main(int argc, char **argv)
{
    static struct run t;
    struct cf_error err = {0};
    struct cf_norm_options no = {.sources_dir = CF_TEST_ROOT "/content/sources"};
    struct cf_rules_options ro = {.taxonomy_dir = CF_TEST_ROOT "/content/taxonomy", .n_paths = 1};
    struct cf_normaliser *norm = NULL;
    struct cf_norm_thread *nt;

    if (argc < 5) {
        (void)fprintf(stderr, "usage: oracle_run SECONDS STEP RULES-FOLDER FILE...\n");
        return 2;
    }
    ro.paths = (const char *const *)&argv[3];
    cf_arena_init(&t.r.a, 1 << 20, 4u << 30);
    if (cf_ruleset_load(&ro, &t.r.rs, &err) < 0 || cf_walk(argv[3], "", on_file, &t.r, &err) < 0 || cf_normaliser_load(&no, &norm, &err) < 0) {
        (void)fprintf(stderr, "oracle_run: %s\n", err.msg);
        return 1;
    }
    nt = cf_norm_thread_new(norm);
    t.d = cf_detector_new(t.r.rs);
    oracle_zone(ORACLE_ZONE); /* after the normaliser, whose zone is the machine's */
    t.o = oracle_new(ro.taxonomy_dir);
    t.step = strtoull(argv[2], NULL, 10);
    t.step = t.step ? t.step : 1;
    t.end = cf_mono_us() + strtol(argv[1], NULL, 10) * CF_US_PER_S;
    t.max_pairs = getenv("CF_ORACLE_PAIRS") ? strtoull(getenv("CF_ORACLE_PAIRS"), NULL, 10) : UINT64_MAX;
    for (uint64_t round = 0; round < (getenv("CF_ORACLE_PAIRS") ? t.step : 1); round++) {
        t.next = t.step - round; /* each round takes other events */
        for (int i = 4; i < argc; i++)
            file(&t, nt, argv[i]);
        (void)printf("round %llu: events %llu, pairs %llu, differences %llu\n", (unsigned long long)round + 1, (unsigned long long)t.events,
                     (unsigned long long)t.pairs, (unsigned long long)t.differences);
        (void)fflush(stdout);
        if (cf_mono_us() >= t.end || t.pairs >= t.max_pairs)
            break;
    }
    (void)printf("rules %zu, events %llu, pairs %llu (conditions looked at %llu), hits %llu, differences %llu\n", t.r.n, (unsigned long long)t.events,
                 (unsigned long long)t.pairs, (unsigned long long)t.looked_at, (unsigned long long)t.hits, (unsigned long long)t.differences);
    oracle_free(t.o);
    cf_detector_free(t.d);
    cf_norm_thread_free(nt);
    cf_normaliser_free(norm);
    cf_ruleset_free(t.r.rs);
    cf_arena_release(&t.r.a);
    return t.differences ? 1 : 0;
}
