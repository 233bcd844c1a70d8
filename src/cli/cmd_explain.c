/* SPDX-License-Identifier: Apache-2.0
 * chengfang explain: for each event one JSON object that says how it was read and why each rule fired or did not. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/rules_common.h"
#include "normalise/input.h"

struct job {
    const char *rule_path[CF_CLI_PATHS_MAX], *rule, *format, *source, *file, *zone;
    size_t n_rule_path;
    struct cf_ruleset *rs;
    struct cf_normaliser *norm;
    struct cf_norm_thread *thread;
    struct cf_detector *det;
    struct cf_arena batch;
    struct cf_buf out;
};

static bool chosen(const struct job *j, const struct cf_rule_info *r)
{
    cf_str want = cf_str_c(j->rule);
    return !j->rule || cf_str_eq(r->id, want) || cf_str_ieq(r->title, want);
}

static int explain_event(struct job *j, const struct cf_event *ev, bool *any)
{
    struct cf_buf *b = &j->out;
    bool first = true;
    int r = 0;

    cf_buf_clear(b);
    cf_buf_printf(b, "{\"event\":{\"record\":%llu,\"source\":", (unsigned long long)ev->seq);
    cf_buf_json(b, ev->source);
    cf_buf_printf(b, ",\"parsed\":%s,\"fields\":", ev->flags & CF_EV_UNPARSED ? "false" : "true");
    cf_event_json(ev, b);
    cf_buf_z(b, "},\"rules\":[");
    for (size_t i = 0; i < cf_ruleset_count(j->rs) && r == 0; i++) {
        if (!chosen(j, cf_ruleset_rule(j->rs, i)))
            continue;
        cf_buf_z(b, first ? "" : ",");
        r = cf_explain(j->det, ev, i, b);
        first = false;
        *any = true;
    }
    cf_buf_z(b, "]}\n");
    if (r == 0 && !b->failed)
        (void)fwrite(b->p, 1, b->n, stdout);
    return b->failed ? CF_ENOMEM : r;
}

static int run(struct job *j, struct cf_error *err)
{
    struct cf_input *in = NULL;
    struct cf_record rec;
    struct cf_event *ev;
    const struct cf_hit *hits;
    size_t n, n_hits;
    bool any = false, events = false;
    int r = cf_input_open(j->file, j->format, &in, err);

    while (r == 0 && (r = cf_input_next_batch(in, &j->batch, &rec, 1, &n, err)) == 0 && n) {
        rec.source = cf_str_c(j->source);
        r = cf_normalise(j->thread, &j->batch, &rec, &ev);
        if (r == 0 && !(ev->flags & CF_EV_HEADER)) {
            ev->seq = rec.seq;
            events = true;
            r = cf_detect(j->det, ev, &hits, &n_hits); /* the windows of correlations go along with the file */
            if (r == 0)
                r = explain_event(j, ev, &any);
        }
        if (r < 0)
            (void)cf_error_set(err, r, "record %llu: %s", (unsigned long long)rec.seq, cf_err_text(r));
        cf_arena_reset(&j->batch);
    }
    if (in)
        (void)cf_cli_damaged("explain", j->file, in);
    cf_input_close(in);
    if (r == 0 && events && !any)
        r = cf_error_set(err, CF_ENOENT, "no loaded rule has the id or title \"%s\"", j->rule ? j->rule : "");
    return r;
}

static int parse_args(struct job *j, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        const char **to = strcmp(a, "--format") == 0   ? &j->format
                          : strcmp(a, "--source") == 0 ? &j->source
                          : strcmp(a, "--rule") == 0   ? &j->rule
                          : strcmp(a, "--timezone") == 0 ? &j->zone
                          : strcmp(a, "--rules") == 0 && j->n_rule_path < CF_CLI_PATHS_MAX ? &j->rule_path[j->n_rule_path++] : NULL;

        if (!to && a[0] == '-' && a[1])
            return cf_cli_usage("explain", "unknown option; see chengfang explain --help");
        if (!to) {
            if (j->file)
                return cf_cli_usage("explain", "only one file can be explained");
            j->file = a;
            continue;
        }
        if (i + 1 >= argc)
            return cf_cli_usage("explain", "an option lacks its value; see chengfang explain --help");
        *to = argv[++i];
    }
    return j->n_rule_path ? 0 : cf_cli_usage("explain", "--rules PATH is needed");
}

int cf_cmd_explain(int argc, char **argv)
{
    struct job j = {.format = "", .source = ""};
    struct cf_error err = {0};
    int r = parse_args(&j, argc, argv);

    if (r)
        return r;
    if (!j.file)
        j.file = "-";
    r = cf_cli_rules("explain", j.rule_path, j.n_rule_path, j.zone, &j.rs);
    if (r == 0)
        r = cf_cli_normaliser("explain", &j.norm);
    if (r == 0) {
        cf_arena_init(&j.batch, 1u << 20, 0);
        cf_buf_init(&j.out, 0);
        j.thread = cf_norm_thread_new(j.norm);
        j.det = cf_detector_new(j.rs);
        if (!j.thread || !j.det)
            r = cf_error_set(&err, CF_ENOMEM, "out of memory");
        else
            r = run(&j, &err);
        if (r < 0)
            r = cf_cli_fail("explain", &err);
        cf_arena_release(&j.batch);
        cf_buf_release(&j.out);
    }
    cf_detector_free(j.det);
    cf_norm_thread_free(j.thread);
    cf_normaliser_free(j.norm);
    cf_ruleset_free(j.rs);
    return r;
}
