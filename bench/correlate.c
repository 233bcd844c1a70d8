/* SPDX-License-Identifier: Apache-2.0
 * Correlation by itself: events are made in memory (three fields each), matched by one rule and counted. No normalising, no store.
 * usage: bench_correlate keys N | distinct N EVENTS | brute EVENTS | late EVENTS. Prints one JSON line per figure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "detect/detect.h"

#define T0 (INT64_C(1790000000) * CF_US_PER_S)

static double cpu(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double rss(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long all = 0, res = 0;

    if (f) {
        if (fscanf(f, "%lu %lu", &all, &res) != 2)
            res = 0;
        (void)fclose(f);
    }
    return (double)res * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static struct cf_ruleset *rules(const char *corr)
{
    char yaml[1000];
    cf_str text;
    struct cf_rules_options o = {.n_texts = 1, .texts = &text};
    struct cf_ruleset *rs = NULL;
    struct cf_error err = {0};

    (void)snprintf(yaml, sizeof yaml, "title: failed\nname: failed\nid: f\ndetection:\n  s: {event.outcome: failure}\n  condition: s\n---\ntitle: c\nid: c\ncorrelation: {%s}\n", corr);
    text = cf_str_c(yaml);
    if (cf_ruleset_load(&o, &rs, &err) < 0 || cf_ruleset_count(rs) != 2) {
        (void)fprintf(stderr, "bench_correlate: %s\n", err.msg);
        exit(1);
    }
    return rs;
}

/* One event: group and value as numbers, written as an address and a name. */
static struct cf_event *event(struct cf_arena *a, uint64_t i, uint32_t group, uint32_t value, int64_t t)
{
    struct cf_event *ev = cf_event_new(a);
    char *p = cf_arena_bytes(a, 48);

    (void)cf_event_set(ev, CF_F_EVENT_OUTCOME, CF_STR("failure"));
    (void)cf_event_set(ev, CF_F_SOURCE_IP, cf_str_n(p, (size_t)sprintf(p, "%u.%u.%u.%u", 10 + (group >> 24), group >> 16 & 255, group >> 8 & 255, group & 255)));
    p += 20;
    (void)cf_event_set(ev, CF_F_USER_NAME, cf_str_n(p, (size_t)sprintf(p, "u%u", value)));
    ev->time_us = ev->received_us = t;
    ev->seq = i;
    return ev;
}

struct result {
    double seconds;
    uint64_t hits;
    struct cf_corr_counters c;
};

static struct result run(struct cf_ruleset *rs, uint64_t n, uint32_t groups, uint32_t values, int64_t step_us, int64_t late_us)
{
    struct cf_detector *d = cf_detector_new(rs);
    struct cf_arena a;
    struct result r = {0};
    double made = cpu(), from;

    cf_arena_init(&a, 1 << 20, 0);
    for (uint64_t i = 0; i < n; i++) { /* making the events alone */
        (void)event(&a, i, (uint32_t)(i % groups), (uint32_t)(i % values), T0 + (int64_t)i * step_us);
        if (i % 1024 == 1023)
            cf_arena_reset(&a);
    }
    made = cpu() - made;
    from = cpu();
    for (uint64_t i = 0; i < n; i++) {
        const struct cf_hit *h;
        size_t hits;

        int64_t t = T0 + (int64_t)i * step_us - (i / 4000 % 2 ? late_us : 0); /* every other 4,000 events come late */

        if (cf_detect(d, event(&a, i, (uint32_t)(i % groups), (uint32_t)(i % values), t), &h, &hits) < 0)
            exit(1);
        r.hits += hits;
        if (i % 1024 == 1023)
            cf_arena_reset(&a);
    }
    r.seconds = cpu() - from - made;
    cf_ruleset_corr_counters(rs, &r.c);
    cf_arena_release(&a);
    cf_detector_free(d);
    return r;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 0, events = argc > 3 ? strtoull(argv[3], NULL, 10) : 2000000;
    double before = rss();
    struct cf_ruleset *rs;
    struct result r;

    if (strcmp(what, "keys") == 0) {
        rs = rules("type: event_count, rules: [failed], group-by: [source.ip], timespan: 24h, condition: {gte: 10}");
        r = run(rs, n, (uint32_t)n, 1, 10, 0);
        (void)printf("{\"name\":\"correlation, memory of %llu live keys\",\"value\":%.1f,\"unit\":\"MB\",\"goal\":120,\"note\":\"growth of RSS, %llu keys, %llu evicted\"}\n",
                     (unsigned long long)n, rss() - before, (unsigned long long)r.c.keys, (unsigned long long)r.c.evicted);
        (void)printf("{\"name\":\"correlation, new keys\",\"value\":%.0f,\"unit\":\"events/s\"}\n", (double)n / r.seconds);
    } else if (strcmp(what, "distinct") == 0) {
        rs = rules("type: value_count, rules: [failed], group-by: [source.ip], timespan: 1h, condition: {field: user.name, gte: 100000}");
        r = run(rs, events, 1, (uint32_t)n, 1000, 0);
        (void)printf("{\"name\":\"correlation, value_count, %llu distinct values\",\"value\":%.0f,\"unit\":\"events/s\",\"goal\":500000,\"note\":\"%llu events, one group, one core\"}\n",
                     (unsigned long long)n, (double)events / r.seconds, (unsigned long long)events);
    } else if (strcmp(what, "brute") == 0) {
        rs = rules("type: event_count, rules: [failed], group-by: [source.ip], timespan: 5m, condition: {gte: 5}");
        r = run(rs, n, 1800, 7, 1000, 0);
        (void)printf("{\"name\":\"correlation, event_count, 1,800 groups\",\"value\":%.0f,\"unit\":\"events/s\",\"note\":\"%llu hits\"}\n", (double)n / r.seconds, (unsigned long long)r.hits);
    } else if (strcmp(what, "late") == 0) {
        static const struct {
            const char *name, *corr;
            uint32_t values;
        } of[] = {{"event_count, 80,000 in a window", "type: event_count, rules: [failed], group-by: [source.ip], timespan: 1h, condition: {gte: 100000}", 7},
                  {"value_count, 1,800 distinct", "type: value_count, rules: [failed], group-by: [source.ip], timespan: 1h, condition: {field: user.name, gte: 100000}", 1800},
                  {"value_count, one short of true", "type: value_count, rules: [failed], group-by: [source.ip], timespan: 1h, condition: {field: user.name, gte: 8}", 7},
                  {"event_count, always true", "type: event_count, rules: [failed], group-by: [source.ip], timespan: 1h, condition: {gte: 5}", 7}};

        for (size_t i = 0; i < sizeof of / sizeof *of; i++)
            for (int late = 0; late < 2; late++) {
                rs = rules(of[i].corr);
                r = run(rs, n, 1, of[i].values, 45000, late ? INT64_C(200) * CF_US_PER_S : 0);
                (void)printf("{\"name\":\"correlation, %s: %s\",\"value\":%.0f,\"unit\":\"events/s\",\"note\":\"%llu hits, %llu too late\"}\n", of[i].name,
                             late ? "half of them 200 s late" : "in order", (double)n / r.seconds, (unsigned long long)r.hits, (unsigned long long)r.c.late);
                cf_ruleset_free(rs);
            }
        return 0;
    } else {
        (void)fprintf(stderr, "usage: bench_correlate keys N | distinct N EVENTS | brute EVENTS | late EVENTS\n");
        return 2;
    }
    cf_ruleset_free(rs);
    return 0;
}
