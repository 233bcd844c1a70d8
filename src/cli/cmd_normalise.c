/* SPDX-License-Identifier: Apache-2.0
 * chengfang normalise: raw input -> one ECS JSON object a line, in input order; a summary on stderr. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/server.h"
#include "cli/cli.h"
#include "normalise/input.h"
#include "normalise/normalise.h"

#define OUT_FLUSH (1u << 20)
#define BATCH 64u /* events of a batch stay in the processor's cache */

struct job {
    const char *source, *format, *zone, *sources_dir;
    bool quiet;
    struct cf_normaliser *norm;
    struct cf_norm_thread *thread;
    struct cf_arena batch;
    struct cf_buf out;
    struct cf_record *recs;
    uint64_t records, bytes, errors, unrecognised, headers;
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

static int one_batch(struct job *j, size_t n, struct cf_error *err)
{
    cf_str source = cf_str_c(j->source);

    for (size_t i = 0; i < n; i++) {
        struct cf_event *ev;
        int r;
        j->recs[i].source = source;
        r = cf_normalise(j->thread, &j->batch, &j->recs[i], &ev);
        if (r < 0)
            return cf_error_set(err, r, "record %llu: %s", (unsigned long long)j->recs[i].seq, cf_err_text(r));
        if (ev->flags & CF_EV_HEADER) {
            j->headers++;
            continue;
        }
        j->records++;
        j->errors += (ev->flags & CF_EV_UNPARSED) != 0;
        j->unrecognised += (ev->flags & CF_EV_UNRECOGNISED) != 0;
        if (j->quiet)
            continue;
        cf_event_json(ev, &j->out);
        cf_buf_byte(&j->out, '\n');
        if (j->out.failed)
            return cf_error_set(err, CF_ENOMEM, "no memory for the output");
        if (j->out.n >= OUT_FLUSH && flush(j) < 0)
            return cf_error_errno(err, "standard output");
    }
    return 0;
}

static int one_file(struct job *j, const char *path, struct cf_error *err)
{
    struct cf_input *in = NULL;
    size_t n;
    int r = cf_input_open(path, j->format, &in, err);

    while (r == 0) {
        r = cf_input_next_batch(in, &j->batch, j->recs, BATCH, &n, err);
        if (r < 0 || n == 0)
            break;
        r = one_batch(j, n, err);
        if (r == 0 && flush(j) < 0)
            r = cf_error_errno(err, "standard output");
        cf_arena_reset(&j->batch);
    }
    if (in) {
        j->bytes += cf_input_bytes(in);
        (void)cf_cli_damaged("normalise", path, in);
    }
    cf_input_close(in);
    return r;
}

static int parse_args(struct job *j, int argc, char **argv, int *first)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        const char *a = argv[i];
        const char **to = strcmp(a, "--source") == 0 ? &j->source : strcmp(a, "--format") == 0 ? &j->format : strcmp(a, "--zone") == 0 ? &j->zone
                        : strcmp(a, "--sources") == 0 ? &j->sources_dir : NULL;
        if (strcmp(a, "--") == 0) {
            i++;
            break;
        }
        if (strcmp(a, "--no-output") == 0) {
            j->quiet = true;
            continue;
        }
        if (!to)
            return cf_cli_usage("normalise", "unknown option; see chengfang normalise --help");
        if (i + 1 >= argc)
            return cf_cli_usage("normalise", "an option lacks its value; see chengfang normalise --help");
        *to = argv[++i];
    }
    *first = i;
    return 0;
}

/* Sources, the wanted one among them, and a thread's state; an exit status. */
static int prepare(struct job *j, struct cf_arena *a)
{
    struct cf_norm_options opt = {.zone = cf_str_c(j->zone)};
    struct cf_error err = {0};
    size_t i = 0;

    if (!j->sources_dir) {
        const char *content = cf_find_dir(a, "CF_CONTENT", "content");

        j->sources_dir = content ? cf_path_join(a, content, "sources") : NULL;
    }
    if (!j->sources_dir)
        return cf_cli_usage("normalise", "the content folder was not found beside the program; set CF_CONTENT");
    opt.sources_dir = j->sources_dir;
    if (cf_normaliser_load(&opt, &j->norm, &err) < 0)
        return cf_cli_fail("normalise", &err);
    while (i < cf_normaliser_sources(j->norm) && strcmp(cf_normaliser_source_name(j->norm, i), j->source) != 0)
        i++;
    if (j->source[0] && i == cf_normaliser_sources(j->norm))
        return cf_cli_usage("normalise", "--source: there is no such file in content/sources");
    j->recs = malloc(sizeof *j->recs * BATCH);
    j->thread = cf_norm_thread_new(j->norm);
    if (!j->thread || !j->recs) {
        (void)cf_error_set(&err, CF_ENOMEM, "no memory");
        return cf_cli_fail("normalise", &err);
    }
    return 0;
}

static int all_files(struct job *j, int argc, char **argv, int first)
{
    int64_t start = cf_mono_us();
    struct cf_error err = {0};
    int status = 0;
    double s;

    for (int i = first; i < argc || i == first; i++) {
        if (one_file(j, i < argc ? argv[i] : "-", &err) < 0) { /* the other files are still read */
            status = cf_cli_fail("normalise", &err);
            cf_buf_clear(&j->out);
            cf_arena_reset(&j->batch);
        }
    }
    s = (double)(cf_mono_us() - start) / 1e6;
    s = s > 0 ? s : 1e-6;
    (void)fprintf(stderr, "normalise: records=%llu bytes=%llu seconds=%.3f records_per_second=%.0f MB_per_second=%.1f errors=%llu unrecognised=%llu\n",
                  (unsigned long long)j->records, (unsigned long long)j->bytes, s, (double)j->records / s, (double)j->bytes / s / 1e6,
                  (unsigned long long)j->errors, (unsigned long long)j->unrecognised);
    return status;
}

int cf_cmd_normalise(int argc, char **argv)
{
    struct job j = {.source = "", .format = "", .zone = ""};
    struct cf_arena a;
    int first = argc, status = parse_args(&j, argc, argv, &first);

    if (status)
        return status;
    if (j.format[0] && !cf_normaliser_has_format(cf_str_c(j.format)) && strcmp(j.format, "evtx") != 0)
        return cf_cli_usage("normalise", "--format must be json, evtx, evtx-json, cef, leef, kv, csv, syslog, suricata, zeek, nginx, apache or text");
    cf_arena_init(&a, 0, 0);
    cf_arena_init(&j.batch, 8u << 20, 0);
    cf_buf_init(&j.out, 0);
    status = prepare(&j, &a);
    if (status == 0)
        status = all_files(&j, argc, argv, first);
    cf_norm_thread_free(j.thread);
    cf_normaliser_free(j.norm);
    free(j.recs);
    cf_buf_release(&j.out);
    cf_arena_release(&j.batch);
    cf_arena_release(&a);
    return status;
}
