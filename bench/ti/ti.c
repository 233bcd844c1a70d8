/* SPDX-License-Identifier: Apache-2.0
 * Matching of indicators: building a set of N (default 1,000,000), its memory, look-ups, and what a worker spends on it per event beside
 * normalising and detecting. Times are CPU time of this thread, so a busy machine changes them little. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "detect/detect.h"
#include "normalise/normalise.h"
#include "ti/matcher.h"

#define EVENTS 200000
#define ASKS 2000000

static uint64_t seed = 88172645463325252u;
static unsigned rnd(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 11) % n;
}
static double cpu(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
/* Ticks of the core's counter: one event is far too short for a system call around it. */
static uint64_t ticks_now(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}
static long rss(void)
{
    long kb = 0, n = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f && fscanf(f, "%ld %ld", &n, &kb) != 2)
        kb = 0;
    if (f)
        (void)fclose(f);
    return kb * 4096;
}
static void row(const char *name, double v, const char *unit, const char *more) { (void)printf("{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\"%s}\n", name, v, unit, more); }

/* 40% addresses, 30% names, 10% URLs, 20% SHA-256, as large feeds are mixed; k makes the same value again. */
static enum cf_ti_type value(unsigned long k, char out[120])
{
    seed = 0x9e3779b97f4a7c15u * (k + 1);
    (void)rnd(2);
    switch (k % 10) {
    case 0: case 1: case 2: case 3:
        (void)snprintf(out, 120, "%u.%u.%u.%u", 1 + rnd(222), rnd(256), rnd(256), 1 + rnd(254));
        return CF_TI_IPV4;
    case 4: case 5: case 6:
        (void)snprintf(out, 120, "%c%c%u.zone%u.example", 'a' + (char)rnd(26), 'a' + (char)rnd(26), rnd(10000000), rnd(5000));
        return CF_TI_DOMAIN;
    case 7:
        (void)snprintf(out, 120, "http://host%u.example/%x/%x", rnd(1000000), rnd(1u << 30), rnd(65536));
        return CF_TI_URL;
    default:
        (void)snprintf(out, 120, "%08x%08x%08x%08x%08x%08x%08x%08x", rnd(1u << 31), rnd(1u << 31), rnd(1u << 31), rnd(1u << 31), rnd(1u << 31), rnd(1u << 31), rnd(1u << 31), rnd(1u << 31));
        return CF_TI_SHA256;
    }
}

static struct cf_ti_set *build(unsigned long n)
{
    struct cf_ti_builder *b = cf_ti_builder_new(n);
    char v[120], families[50][16];
    struct cf_ti_set *s;
    long before = rss();
    double t = cpu();

    for (int i = 0; i < 50; i++)
        (void)snprintf(families[i], 16, "family-%d", i);
    for (unsigned long k = 0; b && k < n; k++) {
        struct cf_ti_entry_in in = {.confidence = (uint8_t)(k % 101), .info = {.threat_type = CF_STR("c2"), .family = cf_str_c(families[k % 50]), .group = CF_STR(""), .feed = CF_STR("feed"), .severity = 3}};

        in.type = value(k, v);
        in.value = cf_str_c(v);
        memcpy(in.id, &k, sizeof k);
        if (cf_ti_builder_add(b, &in) < 0)
            exit(1);
    }
    s = cf_ti_builder_finish(b);
    if (!s)
        exit(1);
    row("ti: build, indicators", (double)n / (cpu() - t), "1/s", "");
    row("ti: memory of the set", (double)cf_ti_set_bytes(s) / 1e6, "MB", ",\"goal\":150");
    row("ti: growth of the process", (double)(rss() - before) / 1e6, "MB", "");
    return s;
}

static void ask(const struct cf_ti_set *s, const char *name, unsigned long n, int which, bool hit)
{
    enum { KEEP = 4096 };
    static char text[KEEP][120];
    static enum cf_ti_type type[KEEP];
    size_t found = 0, kept = 0;
    double t;

    for (unsigned long k = hit ? 0 : n; kept < KEEP; k++) /* keys from n on are not in the set */
        if ((int)(k % 10) == which)
            type[kept] = value(hit ? (k * 241) % (n / 10) * 10 + (unsigned)which : k, text[kept]), kept++;
    t = cpu();
    for (int i = 0; i < ASKS; i++)
        found += cf_ti_find(s, type[i % KEEP], cf_str_c(text[i % KEEP]), 1, NULL) != NULL;
    row(name, ASKS / (cpu() - t), "1/s", hit ? "" : "");
    if (hit ? found != ASKS : found > ASKS / 20)
        (void)fprintf(stderr, "%s: %zu of %d found\n", name, found, ASKS);
}

/* sshd, nginx and a firewall, with addresses that are not in the set */
static size_t line(int i, char *out)
{
    switch (i % 3) {
    case 0: return (size_t)sprintf(out, "<38>Nov 21 06:00:%02d host-%d sshd[%d]: Failed password for root from 10.%d.%d.%d port %d ssh2", i % 60, i % 50, 100 + i % 900, i % 256, i / 256 % 256, i % 250, 1024 + i % 60000);
    case 1: return (size_t)sprintf(out, "10.%d.%d.%d - - [21/Nov/2026:06:00:%02d +0800] \"GET /page/%d?q=%d HTTP/1.1\" 200 %d \"https://portal.example.cn/a/%d\" \"Mozilla/5.0 (X11; Linux x86_64)\"", i % 256, i / 256 % 256, i % 250, i % 60, i % 1000, i, 100 + i % 9000, i % 77);
    default: return (size_t)sprintf(out, "{\"@timestamp\":\"2026-11-21T06:00:%02dZ\",\"event.category\":\"network\",\"source.ip\":\"10.%d.%d.%d\",\"destination.ip\":\"10.9.%d.%d\",\"destination.port\":443,\"dns.question.name\":\"cdn%d.static.portal.example.cn\",\"network.transport\":\"tcp\"}", i % 60, i % 256, i / 256 % 256, i % 250, i % 256, i % 199, i % 5000);
    }
}

static int share(const struct cf_ti_set *s)
{
    struct cf_error err = {0};
    struct cf_norm_options no = {.sources_dir = "content/sources"};
    const char *rules = "content/rules";
    struct cf_rules_options ro = {.taxonomy_dir = "content/taxonomy", .paths = &rules, .n_paths = 1};
    struct cf_normaliser *norm = NULL;
    struct cf_ruleset *rs = NULL;
    struct cf_norm_thread *nt;
    struct cf_detector *d;
    struct cf_arena a;
    struct cf_ti_found f[CF_TI_FOUND_MAX];
    double work = 0;
    uint64_t ticks = 0, t0, w0 = 0;
    struct timespec a0, a1;
    size_t hits = 0;

    if (cf_normaliser_load(&no, &norm, &err) < 0 || cf_ruleset_load(&ro, &rs, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    nt = cf_norm_thread_new(norm);
    d = cf_detector_new(rs);
    cf_arena_init(&a, 0, 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &a0);
    w0 = ticks_now();
    for (int i = 0; i < EVENTS; i++) {
        char text[400];
        struct cf_record rec = {.received_us = 1795000000000000 + i, .seq = (uint64_t)i};
        const struct cf_hit *h;
        struct cf_event *ev;
        size_t n;
        uint64_t t1, t2, t3;

        rec.raw = cf_str_n(text, line(i, text));
        t0 = ticks_now();
        if (cf_normalise(nt, &a, &rec, &ev) < 0)
            return 1;
        t1 = ticks_now();
        hits += cf_ti_match_event(s, ev, 1, f);
        t2 = ticks_now();
        if (cf_detect(d, ev, &h, &n) < 0)
            return 1;
        t3 = ticks_now();
        if (t3 - t0 < 400000) { /* not while another program had the core */
            ticks += t2 - t1;
            work += (double)(t3 - t2 + t1 - t0);
        }
        if (i % 2048 == 2047)
            cf_arena_reset(&a);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &a1);
    double ns = ((double)(a1.tv_sec - a0.tv_sec) * 1e9 + (double)(a1.tv_nsec - a0.tv_nsec)) / (double)(ticks_now() - w0);
    row("ti: match an event, 1 M indicators", (double)ticks * ns / EVENTS, "ns", "");
    row("ti: normalise and detect an event (all rules)", work * ns / EVENTS, "ns", "");
    row("ti: match beside normalise and detect", 100 * (double)ticks / work, "%", ",\"goal\":10");
    (void)fprintf(stderr, "%zu hits\n", hits);
    cf_detector_free(d);
    cf_norm_thread_free(nt);
    cf_ruleset_free(rs);
    cf_normaliser_free(norm);
    cf_arena_release(&a);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    struct cf_ti_set *s = build(n < 100 ? 100 : n);
    int r;

    ask(s, "ti: address, not there", n, 0, false);
    ask(s, "ti: address, there", n, 0, true);
    ask(s, "ti: name of 3 labels, not there", n, 4, false);
    ask(s, "ti: name, there", n, 4, true);
    ask(s, "ti: URL, not there", n, 7, false);
    ask(s, "ti: SHA-256, not there", n, 8, false);
    r = share(s);
    cf_ti_set_free(s);
    return r;
}
