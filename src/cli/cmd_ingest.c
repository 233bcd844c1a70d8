/* SPDX-License-Identifier: Apache-2.0
 * chengfang ingest: files -> spool -> whole pipeline -> store. Beside a running server the records go through its
 * administration socket; otherwise the pipeline runs in this process until everything is stored. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/admin_client.h"
#include "app/server.h"
#include "cli/cli.h"
#include "normalise/input.h"
#include "normalise/normalise.h"
#include "pipeline/pipeline.h"

#define BATCH 2048
#define SEND_BYTES ((size_t)8 << 20)
#define DRAIN_MS (24 * 3600 * 1000)

struct ingest {
    const char *data, *source, *format;
    struct cf_admin *admin;      /* beside a server */
    struct cf_app_run *run;      /* on our own */
    struct cf_buf body;
    char body_format[32];
    const char *file;
    bool tty;
    int64_t start_us, shown_us;
    uint64_t records, bytes, damaged, file_records;
};

static void progress(struct ingest *g, const struct cf_input *in, bool last)
{
    int64_t now = cf_mono_us();
    double seconds = (double)(now - g->start_us) / 1e6, rate = seconds > 0 ? (double)g->records / seconds : 0;
    uint64_t size = cf_input_file_size(in), pos = cf_input_file_pos(in);
    int percent = last ? 100 : size ? (int)(pos * 100 / size) : 0;

    if (!last && now - g->shown_us < (g->tty ? 100000 : 5000000))
        return;
    g->shown_us = now;
    if (g->tty) {
        char bar[31] = "..............................";

        memset(bar, '#', (size_t)(percent * 30 / 100));
        (void)fprintf(stderr, "\r[%s] %3d%%  %llu records  %.0f/s  %.40s\033[K%s", bar, percent, (unsigned long long)g->records, rate, g->file, last ? "\n" : "");
    } else {
        (void)fprintf(stderr, "%s: %d%%, %llu records, %.0f records/s\n", g->file, percent, (unsigned long long)g->file_records, rate);
    }
}

/* ---- beside a server --------------------------------------------------------------------------------------------------- */

static void url_value(struct cf_buf *b, const char *key, const char *value)
{
    cf_buf_printf(b, "%c%s=", memchr(b->p, '?', b->n) ? '&' : '?', key);
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-_.~/", *p))
            cf_buf_byte(b, (char)*p);
        else
            cf_buf_printf(b, "%%%02X", *p);
    }
}

static int send_body(struct ingest *g, struct cf_error *reterr)
{
    struct cf_buf url, out;
    int r;

    if (g->body.n == 0)
        return 0;
    cf_buf_init(&url, 8192);
    cf_buf_init(&out, 1 << 20);
    cf_buf_z(&url, "/api/v1/records:bulk");
    if (g->source)
        url_value(&url, "source", g->source);
    if (g->body_format[0])
        url_value(&url, "format", g->body_format);
    url_value(&url, "peer", g->file);
    r = cf_admin_request(g->admin, "POST", cf_buf_cstr(&url), cf_buf_view(&g->body), "application/octet-stream", &out, reterr);
    cf_buf_release(&url);
    cf_buf_release(&out);
    cf_buf_clear(&g->body);
    return r;
}

static int put_remote(struct ingest *g, const struct cf_record *rec, size_t n, struct cf_error *reterr)
{
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        if (g->body.n && (g->body.n + rec[i].raw.n > SEND_BYTES || !cf_str_eqz(rec[i].format, g->body_format)))
            r = send_body(g, reterr);
        (void)snprintf(g->body_format, sizeof g->body_format, "%.*s", CF_ARG(rec[i].format));
        cf_buf_printf(&g->body, "%zu ", rec[i].raw.n);
        cf_buf_str(&g->body, rec[i].raw);
        if (g->body.failed)
            return cf_error_set(reterr, CF_ENOMEM, "records");
    }
    return r;
}

/* ---- in this process --------------------------------------------------------------------------------------------------- */

static int put_local(struct ingest *g, const struct cf_record *rec, size_t n, struct cf_error *reterr)
{
    struct cf_pipeline *p = cf_app_of(g->run)->pipeline;
    struct cf_spool_origin o = {.peer = cf_str_c(g->file), .source = cf_str_c(g->source), .received_us = cf_now_us()};
    struct cf_source_info info;
    cf_str raw[BATCH];
    int r = 0;

    o.key = g->source ? cf_str_c(g->source) : CF_STR("file");
    o.org = CF_STR("root");
    if (g->source && cf_pipeline_source(p, o.key, &info)) {
        o.org = cf_str_c(info.org);
        if (info.source[0])
            o.source = cf_str_c(info.source);
    }
    for (size_t i = 0; i < n && r == 0;) {
        size_t k = 0;

        o.format = rec[i].format;
        while (i + k < n && cf_str_eq(rec[i + k].format, o.format)) {
            raw[k] = rec[i + k].raw;
            k++;
        }
        do { /* a full spool empties itself: the workers run beside us */
            r = cf_pipeline_append(p, &o, raw, k, false, 5000, reterr);
        } while (r == CF_EBUSY || r == CF_EFULL);
        i += k;
    }
    return r;
}

/* ---- files --------------------------------------------------------------------------------------------------------------- */

static int one_file(struct ingest *g, const char *path, struct cf_error *reterr)
{
    static struct cf_record rec[BATCH];
    struct cf_input *in = NULL;
    struct cf_arena a;
    size_t n = 0;
    int r = cf_input_open(path, g->format, &in, reterr);

    if (r < 0)
        return r;
    cf_arena_init(&a, (size_t)1 << 20, 0);
    g->file = path;
    g->file_records = 0;
    while (r == 0 && (r = cf_input_next_batch(in, &a, rec, BATCH, &n, reterr)) == 0 && n > 0) {
        if (strcmp(g->file, cf_input_path(in)) != 0) { /* the next member of an archive */
            if (g->admin && (r = send_body(g, reterr)) < 0)
                break;
            g->file = cf_input_path(in);
        }
        r = g->admin ? put_remote(g, rec, n, reterr) : put_local(g, rec, n, reterr);
        g->records += n;
        g->file_records += n;
        cf_arena_reset(&a);
        progress(g, in, false);
    }
    if (g->admin) { /* what was read before an error too */
        struct cf_error sent = {0};

        if (send_body(g, &sent) < 0 && r == 0) {
            *reterr = sent;
            r = sent.code;
        }
    }
    if (r == 0)
        progress(g, in, true);
    g->file = path;
    g->bytes += cf_input_bytes(in);
    g->damaged += cf_cli_damaged("ingest", path, in);
    cf_input_close(in);
    cf_arena_release(&a);
    return r;
}

static int finish(struct ingest *g)
{
    struct cf_pipeline_stats s = {0};
    double seconds;
    bool stored = true;

    if (g->run) {
        struct cf_pipeline *p = cf_app_of(g->run)->pipeline;

        stored = cf_pipeline_drain(p, DRAIN_MS);
        cf_pipeline_get_stats(p, &s);
    }
    seconds = (double)(cf_mono_us() - g->start_us) / 1e6;
    (void)fprintf(stderr, "%llu records, %.1f MB in %.2f s: %.0f records/s", (unsigned long long)g->records, (double)g->bytes / 1e6, seconds,
                  seconds > 0 ? (double)g->records / seconds : 0);
    if (g->run)
        (void)fprintf(stderr, "; %llu stored, %llu not understood, %llu rule hits\n", (unsigned long long)s.stored, (unsigned long long)s.unparsed,
                      (unsigned long long)s.hits);
    else
        (void)fprintf(stderr, "; durable in the server's spool\n");
    return stored ? 0 : CF_EXIT_FAILED;
}

static int open_way(struct ingest *g, struct cf_error *reterr)
{
    int r = cf_admin_open(g->data, &g->admin, reterr);

    if (r < 0 || cf_admin_beside_server(g->admin))
        return r;
    cf_admin_close(g->admin);
    g->admin = NULL;
    cf_log_set_level(CF_LOG_WARN);
    return cf_app_start(g->data, NULL, NULL, CF_APP_INGEST, &g->run, reterr);
}

int cf_cmd_ingest(int argc, char **argv)
{
    static const struct option opts[] = {
        {"data", required_argument, NULL, 'd'}, {"source", required_argument, NULL, 's'}, {"format", required_argument, NULL, 'f'}, {NULL, 0, NULL, 0}};
    struct ingest g = {.tty = isatty(2)};
    struct cf_error err = {0};
    int o, status = 0;

    while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
        switch (o) {
        case 'd': g.data = optarg; break;
        case 's': g.source = optarg; break;
        case 'f': g.format = optarg; break;
        default: return CF_EXIT_USAGE;
        }
    }
    if (!g.data)
        return cf_cli_usage("ingest", "--data DIR is needed");
    if (optind == argc)
        return cf_cli_usage("ingest", "at least one file is needed (- for standard input)");
    if (g.format && !cf_normaliser_has_format(cf_str_c(g.format)))
        return cf_cli_usage("ingest", "--format: no such format");
    cf_buf_init(&g.body, SEND_BYTES * 2 + CF_INPUT_RECORD_MAX);
    if (open_way(&g, &err) < 0)
        return cf_cli_fail("ingest", &err);
    g.start_us = g.shown_us = cf_mono_us();
    for (int i = optind; i < argc; i++) {
        memset(&err, 0, sizeof err);
        if (one_file(&g, argv[i], &err) < 0) {
            cf_error_context(&err, "%s", argv[i]);
            status = cf_cli_fail("ingest", &err); /* the other files are loaded all the same */
        }
    }
    status |= finish(&g);
    cf_admin_close(g.admin);
    cf_app_stop(g.run);
    cf_buf_release(&g.body);
    return status;
}
