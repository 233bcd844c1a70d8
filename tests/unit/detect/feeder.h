/* SPDX-License-Identifier: Apache-2.0
 * Rules a, b and c with correlations over them, and events fed one by one. */
#ifndef CF_TESTS_DETECT_FEEDER_H
#define CF_TESTS_DETECT_FEEDER_H

#include "detect/helper.h"

#define BASE                                                                          \
    "title: a\nname: a\ndetection:\n  s: {k: a}\n  condition: s\n---\n"                \
    "title: b\nname: b\ndetection:\n  s: {k: b}\n  condition: s\n---\n"                \
    "title: c\nname: c\ndetection:\n  s: {k: c}\n  condition: s\n---\n"

struct feeder {
    struct cf_ruleset *rs;
    struct cf_detector *d;
    struct cf_arena a;
    size_t hits;
    struct cf_hit last;
    uint64_t seq;
};

static inline void start(struct feeder *f, const char *corr)
{
    char yaml[8192];
    const struct cf_rule_refused *refused;

    memset(f, 0, sizeof *f);
    (void)snprintf(yaml, sizeof yaml, BASE "%s", corr);
    f->rs = rules_text(yaml, true);
    if (cf_ruleset_refused(f->rs, &refused))
        fail_msg("%.*s", CF_ARG(refused->reason));
    f->d = cf_detector_new(f->rs);
    cf_arena_init(&f->a, 0, 0);
}

static inline void stop(struct feeder *f)
{
    cf_detector_free(f->d);
    cf_ruleset_free(f->rs);
    cf_arena_release(&f->a);
}

static inline size_t take(struct feeder *f, const struct cf_hit *h, size_t n)
{
    f->hits += n;
    if (n)
        f->last = h[n - 1];
    return n;
}

/* An event at second t; returns the hits it made. */
static inline size_t at(struct feeder *f, int64_t t_ms, const char *k, const char *user, const char *v)
{
    char json[256];
    struct cf_event *ev;
    const struct cf_hit *h = NULL;
    size_t n = 0;

    (void)snprintf(json, sizeof json, "{\"k\":\"%s\",\"user\":\"%s\",\"v\":\"%s\"}", k, user, v);
    ev = event_json(&f->a, json, f->seq++);
    ev->time_us = INT64_C(1790000000000000) + t_ms * 1000;
    assert_int_equal(cf_detect(f->d, ev, &h, &n), 0);
    return take(f, h, n);
}

static inline size_t flush(struct feeder *f)
{
    const struct cf_hit *h = NULL;
    size_t n = 0;

    assert_int_equal(cf_detect_flush(f->d, &f->a, &h, &n), 0);
    return take(f, h, n);
}

#define CORR(type, rules, rest) "title: corr\nid: corr-1\ncorrelation:\n  type: " type "\n  rules: [" rules "]\n  group-by: [user]\n  timespan: 10s\n" rest

#endif
