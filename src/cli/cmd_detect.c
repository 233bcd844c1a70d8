/* SPDX-License-Identifier: Apache-2.0
 * chengfang detect: files -> events -> rules -> one JSON object a match, without server or store. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/rules_common.h"
#include "normalise/input.h"

#define OUT_FLUSH (1u << 20)

struct job {
    const char *rule_path[CF_CLI_PATHS_MAX];
    size_t n_rule_path;
    const char *format, *source, *summary, *profile, *zone;
    bool no_output;
    struct cf_ruleset *rs;
    struct cf_normaliser *norm;
    struct cf_norm_thread *thread;
    struct cf_detector *det;
    struct cf_arena batch;
    struct cf_record *recs;
    struct cf_buf out;
    uint64_t events, matches, bytes, unparsed, base; /* base: events of earlier files, so that seq numbers are unique */
    const char *file;
};

static int flush(struct job *j)
{
    size_t at = 0;

    while (at < j->out.n) {
        ssize_t w = write(1, j->out.p + at, j->out.n - at);

        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return CF_EIO;
        at += (size_t)w;
    }
    cf_buf_clear(&j->out);
    return 0;
}

static void put_hit(struct job *j, const struct cf_hit *h, cf_str file)
{
    struct cf_buf *b = &j->out;
    char t[32];

    cf_buf_z(b, "{\"rule\":{\"id\":");
    cf_buf_json(b, h->rule->id);
    cf_buf_z(b, ",\"title\":");
    cf_buf_json(b, h->rule->title);
    cf_buf_printf(b, ",\"level\":\"%s\",\"tags\":[", cf_level_name(h->rule->level));
    for (size_t i = 0; i < h->rule->n_tags; i++) {
        cf_buf_z(b, i ? "," : "");
        cf_buf_json(b, h->rule->tags[i]);
    }
    cf_buf_z(b, "]},\"event\":{\"file\":");
    cf_buf_json(b, file);
    cf_buf_printf(b, ",\"record\":%llu}", (unsigned long long)(h->ev->seq >= j->base ? h->ev->seq - j->base : h->ev->seq));
    if (h->ev->time_us != CF_TIME_NONE)
        cf_buf_printf(b, ",\"@timestamp\":\"%.*s\"", (int)cf_time_format(h->ev->time_us, t), t);
    cf_buf_z(b, ",\"matched\":{");
    for (size_t i = 0; i < h->n_matched; i++) {
        cf_buf_z(b, i ? "," : "");
        cf_buf_json(b, h->matched[i].field);
        cf_buf_byte(b, ':');
        cf_buf_json(b, h->matched[i].value);
    }
    cf_buf_byte(b, '}');
    if (h->rule->correlation) {
        cf_buf_z(b, ",\"group\":");
        cf_buf_json(b, h->group);
        cf_buf_printf(b, ",\"count\":%llu,\"events\":[", (unsigned long long)h->count);
        for (size_t i = 0; i < h->n_events; i++)
            cf_buf_printf(b, "%s%llu", i ? "," : "", (unsigned long long)(h->events[i] >= j->base ? h->events[i] - j->base : h->events[i]));
        cf_buf_byte(b, ']');
    }
    cf_buf_z(b, "}\n");
}

static int put_hits(struct job *j, const struct cf_hit *h, size_t n, cf_str file)
{
    j->matches += n;
    for (size_t i = 0; i < n && !j->no_output; i++)
        put_hit(j, &h[i], file);
    if (j->out.failed)
        return CF_ENOMEM;
    return j->out.n >= OUT_FLUSH ? flush(j) : 0;
}

static int one_batch(struct job *j, size_t n, struct cf_error *err)
{
    for (size_t i = 0; i < n; i++) {
        struct cf_event *ev;
        const struct cf_hit *h = NULL;
        size_t n_hit = 0;
        int r;

        j->recs[i].source = cf_str_c(j->source);
        r = cf_normalise(j->thread, &j->batch, &j->recs[i], &ev);
        if (r < 0)
            return cf_error_set(err, r, "record %llu: %s", (unsigned long long)j->recs[i].seq, cf_err_text(r));
        if (ev->flags & CF_EV_HEADER)
            continue;
        ev->seq = j->base + j->recs[i].seq;
        j->events++;
        j->unparsed += (ev->flags & CF_EV_UNPARSED) != 0;
        r = cf_detect(j->det, ev, &h, &n_hit);
        if (r == 0 && n_hit)
            r = put_hits(j, h, n_hit, cf_str_c(j->file));
        if (r < 0)
            return cf_error_set(err, r, "record %llu: %s", (unsigned long long)j->recs[i].seq, cf_err_text(r));
    }
    return 0;
}

static int one_file(struct job *j, const char *path, struct cf_error *err)
{
    struct cf_input *in = NULL;
    uint64_t last = 0;
    size_t n;
    int r = cf_input_open(path, j->format, &in, err);

    j->file = path;
    while (r == 0) {
        r = cf_input_next_batch(in, &j->batch, j->recs, CF_BATCH_MAX, &n, err);
        if (r < 0 || n == 0)
            break;
        if (strcmp(j->file, cf_input_path(in)) != 0) { /* the next member of an archive */
            j->file = cf_input_path(in);
            j->base += last;
        }
        last = j->recs[n - 1].seq + 1;
        r = one_batch(j, n, err);
        if (r == 0 && flush(j) < 0)
            r = cf_error_errno(err, "standard output");
        cf_arena_reset(&j->batch);
    }
    if (in) {
        j->bytes += cf_input_bytes(in);
        (void)cf_cli_damaged("detect", path, in);
    }
    cf_input_close(in);
    j->file = path;
    j->base += last;
    return r;
}

/* Windows still open at the end of all input are decided now. */
static int finish(struct job *j)
{
    const struct cf_hit *h = NULL;
    size_t n = 0;
    int r = cf_detect_flush(j->det, &j->batch, &h, &n);

    j->base = 0;
    if (r == 0)
        r = put_hits(j, h, n, cf_str_c(j->file ? j->file : "-"));
    return r < 0 ? r : flush(j);
}

static uint64_t peak_rss(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (uint64_t)u.ru_maxrss * 1024 : 0;
}

/* CPU time of this process: what "one core" means on a machine that others use too. */
static double cpu_seconds(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void report(const struct job *j, double load_s, double s, double cpu_s, struct cf_buf *b)
{
    const struct cf_rule_refused *refused;
    size_t n_refused = cf_ruleset_refused(j->rs, &refused);
    struct cf_corr_counters cc;

    cf_ruleset_corr_counters(j->rs, &cc);
    cf_buf_printf(b, "{\"rules_loaded\":%zu,\"rules_refused\":%zu,\"events\":%llu,\"matches\":%llu,\"seconds\":%.6f,",
                  cf_ruleset_count(j->rs), n_refused, (unsigned long long)j->events, (unsigned long long)j->matches, s);
    cf_buf_printf(b, "\"events_per_second\":%.1f,\"bytes_per_second\":%.1f,\"bytes\":%llu,\"peak_rss_bytes\":%llu,", s > 0 ? (double)j->events / s : 0,
                  s > 0 ? (double)j->bytes / s : 0, (unsigned long long)j->bytes, (unsigned long long)peak_rss());
    cf_buf_printf(b, "\"load_seconds\":%.6f,\"cpu_seconds\":%.6f,\"unparsed\":%llu,", load_s, cpu_s, (unsigned long long)j->unparsed);
    cf_buf_printf(b, "\"correlation\":{\"keys\":%llu,\"bytes\":%llu,\"evicted\":%llu,\"late\":%llu,\"ungrouped\":%llu}}\n", (unsigned long long)cc.keys,
                  (unsigned long long)cc.bytes, (unsigned long long)cc.evicted, (unsigned long long)cc.late, (unsigned long long)cc.ungrouped);
}

static void summary(const struct job *j, double load_s, double s)
{
    const struct cf_rule_refused *refused;

    (void)fprintf(stderr, "rules: %zu loaded, %zu refused in %.3f s\n", cf_ruleset_count(j->rs), cf_ruleset_refused(j->rs, &refused), load_s);
    cf_cli_refused(j->rs, stderr, false, true);
    (void)fprintf(stderr, "events: %llu (%llu unparsed), matches: %llu, %.3f s, %.0f events/s, %.1f MB/s, peak %.0f MB\n",
                  (unsigned long long)j->events, (unsigned long long)j->unparsed, (unsigned long long)j->matches, s, s > 0 ? (double)j->events / s : 0,
                  s > 0 ? (double)j->bytes / s / 1e6 : 0, (double)peak_rss() / 1e6);
}

struct cost {
    size_t rule;
    struct cf_rule_counters c;
};
static int by_ns(const void *a, const void *b)
{
    const struct cost *x = a, *y = b;
    return x->c.ns < y->c.ns ? 1 : x->c.ns > y->c.ns ? -1 : x->c.candidates < y->c.candidates ? 1 : -1;
}

/* Cost of each rule that was tried, dearest first. */
static int write_profile(struct job *j, struct cf_error *err)
{
    size_t n = cf_ruleset_count(j->rs);
    struct cf_rule_counters *c = calloc(n + 1, sizeof *c);
    struct cost *k = calloc(n + 1, sizeof *k);
    FILE *f = c && k ? fopen(j->profile, "w") : NULL;

    if (!f) {
        free(c);
        free(k);
        return cf_error_errno(err, "%s", j->profile);
    }
    cf_detector_counters(j->det, c);
    for (size_t i = 0; i < n; i++)
        k[i] = (struct cost){i, c[i]};
    qsort(k, n, sizeof *k, by_ns);
    (void)fprintf(f, "ns\tcandidates\thits\trule\n");
    for (size_t i = 0; i < n && k[i].c.candidates; i++)
        (void)fprintf(f, "%llu\t%llu\t%llu\t%.*s\n", (unsigned long long)k[i].c.ns, (unsigned long long)k[i].c.candidates, (unsigned long long)k[i].c.hits,
                      CF_ARG(cf_ruleset_rule(j->rs, k[i].rule)->title));
    (void)fclose(f);
    free(c);
    free(k);
    return 0;
}

static int parse_args(struct job *j, int argc, char **argv, int *first)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        const char *a = argv[i];
        const char **to = strcmp(a, "--format") == 0         ? &j->format
                          : strcmp(a, "--source") == 0       ? &j->source
                          : strcmp(a, "--json-summary") == 0 ? &j->summary
                          : strcmp(a, "--timezone") == 0     ? &j->zone
                          : strcmp(a, "--profile") == 0      ? &j->profile
                          : strcmp(a, "--rules") == 0 && j->n_rule_path < CF_CLI_PATHS_MAX ? &j->rule_path[j->n_rule_path++] : NULL;

        if (strcmp(a, "--") == 0) {
            i++;
            break;
        }
        if (strcmp(a, "--no-output") == 0) {
            j->no_output = true;
            continue;
        }
        if (!to)
            return cf_cli_usage("detect", "unknown option; see chengfang detect --help");
        if (i + 1 >= argc)
            return cf_cli_usage("detect", "an option lacks its value; see chengfang detect --help");
        *to = argv[++i];
    }
    *first = i;
    return j->n_rule_path ? 0 : cf_cli_usage("detect", "--rules PATH is needed");
}

static int run(struct job *j, int argc, char **argv, int first, struct cf_error *err)
{
    int r = 0;

    for (int i = first; i < argc && r == 0; i++)
        r = one_file(j, argv[i], err);
    if (r == 0 && first == argc)
        r = one_file(j, "-", err);
    if (r == 0 && (r = finish(j)) < 0)
        (void)cf_error_set(err, r, "%s", cf_err_text(r));
    return r;
}

static void release(struct job *j)
{
    cf_detector_free(j->det);
    cf_norm_thread_free(j->thread);
    cf_normaliser_free(j->norm);
    cf_ruleset_free(j->rs);
    cf_arena_release(&j->batch);
    cf_buf_release(&j->out);
    free(j->recs);
}

int cf_cmd_detect(int argc, char **argv)
{
    struct job j = {.format = "", .source = ""};
    struct cf_error err = {0};
    int64_t t0 = cf_mono_us(), t1, t2;
    double cpu;
    int first = argc, r = parse_args(&j, argc, argv, &first);

    if (r)
        return r;
    r = cf_cli_rules("detect", j.rule_path, j.n_rule_path, j.zone, &j.rs);
    t1 = cf_mono_us();
    if (r == 0)
        r = cf_cli_normaliser("detect", &j.norm);
    if (r) {
        release(&j);
        return r;
    }
    cf_ruleset_corr_options(j.rs, INT64_MAX / 8, 0); /* files come in any order: no entry is too late */
    cf_arena_init(&j.batch, 4u << 20, 0);
    cf_buf_init(&j.out, 0);
    j.recs = calloc(CF_BATCH_MAX, sizeof *j.recs);
    j.thread = cf_norm_thread_new(j.norm);
    j.det = cf_detector_new(j.rs);
    t2 = cf_mono_us();
    cpu = cpu_seconds();
    r = j.recs && j.thread && j.det ? run(&j, argc, argv, first, &err) : cf_error_set(&err, CF_ENOMEM, "out of memory");
    if (r == 0 && j.profile)
        r = write_profile(&j, &err);
    if (r == 0) {
        double load_s = (double)(t1 - t0) / 1e6, s = (double)(cf_mono_us() - t2) / 1e6;

        summary(&j, load_s, s);
        if (j.summary) {
            cf_buf_clear(&j.out);
            report(&j, load_s, s, cpu_seconds() - cpu, &j.out);
            r = cf_file_write_durable(j.summary, cf_buf_view(&j.out), 0644, &err);
        }
    }
    release(&j);
    return r < 0 ? cf_cli_fail("detect", &err) : 0;
}
