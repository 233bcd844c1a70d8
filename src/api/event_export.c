/* SPDX-License-Identifier: Apache-2.0
 * POST /api/v1/events:export: pages of the search go to an unlinked temporary file, so memory stays bounded whatever the size. */
#include "api/event_export.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/sheet.h"

#define EXPORT_MAX 1000000 /* below what one sheet holds */
#define EXPORT_DEFAULT 200000
#define PAGE 1000u

struct export {
    struct cf_req *req;
    struct cf_search q;
    struct cf_buf line;
    enum { CSV, JSON, XLSX } format;
    struct cf_sheet *sheet; /* XLSX */
    int fd;
    uint64_t bytes;
    int64_t total;          /* rows found */
};
static const struct {
    const char *name, *type, *file;
} formats[] = {
    [CSV] = {"csv", CF_CSV_TYPE, "events.csv"},
    [JSON] = {"json", "application/x-ndjson", "events.ndjson"},
    [XLSX] = {"xlsx", CF_SHEET_TYPE, "events.xlsx"},
};

static const char *const default_columns[] = {"@timestamp", "host.name", "source.ip", "source.port", "destination.ip", "destination.port", "user.name",
                                              "event.dataset", "event.action", "event.outcome", "message", "event.original"};

static const json_t *dig(const json_t *o, const char *path)
{
    const json_t *direct = json_object_get(o, path);
    const char *dot = strchr(path, '.');
    char part[128];

    if (direct || !dot)
        return direct;
    (void)snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
    o = json_object_get(o, part);
    return o ? dig(o, dot + 1) : NULL;
}

static int flush(struct export *x, struct cf_error *reterr)
{
    size_t done = 0;

    if (x->line.failed)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the export");
    while (done < x->line.n) {
        ssize_t k = write(x->fd, x->line.p + done, x->line.n - done);

        if (k < 0)
            return cf_error_errno(reterr, "writing the export");
        done += (size_t)k;
    }
    x->bytes += x->line.n;
    cf_buf_clear(&x->line);
    return 0;
}

static void csv_header(struct export *x)
{
    cf_buf_z(&x->line, "\xef\xbb\xbf"); /* so that spreadsheets read UTF-8 */
    for (size_t i = 0; i < x->q.n_fields; i++) {
        cf_buf_z(&x->line, i ? "," : "");
        cf_buf_str(&x->line, x->q.fields[i]);
    }
    cf_buf_z(&x->line, "\r\n");
}

static int add_item(struct export *x, const json_t *item, struct cf_error *reterr)
{
    const json_t *cell[CF_SHEET_COLUMNS_MAX];
    char *text;

    if (x->format == JSON) {
        text = json_dumps(item, JSON_COMPACT);
        cf_buf_z(&x->line, text ? text : "{}");
        cf_buf_byte(&x->line, '\n');
        free(text);
        return 0;
    }
    for (size_t i = 0; i < x->q.n_fields && i < CF_SHEET_COLUMNS_MAX; i++) {
        cell[i] = dig(item, cf_arena_strdup(x->req->arena, x->q.fields[i]));
        if (x->format == XLSX)
            continue;
        cf_buf_z(&x->line, i ? "," : "");
        cf_csv_value(&x->line, cell[i]);
    }
    if (x->format == XLSX)
        return cf_sheet_row(x->sheet, cell, x->q.n_fields, reterr);
    cf_buf_z(&x->line, "\r\n");
    return 0;
}

static int one_page(struct export *x, size_t *ret_n, struct cf_error *reterr)
{
    struct cf_app *app = x->req->app;
    struct cf_arena_mark mark = cf_arena_save(x->req->arena);
    struct cf_buf out;
    json_t *page, *item;
    const char *next;
    size_t i;
    int r;

    cf_buf_init(&out, 512 << 20);
    r = cf_event_search(app->events, &x->q, &out, reterr);
    page = r == 0 ? json_loadb(out.p, out.n, 0, NULL) : NULL;
    cf_buf_release(&out);
    if (!page)
        return r < 0 ? cf_events_explain(x->req, r, reterr) : cf_error_set(reterr, CF_EDB, "the event store's reply is not JSON");
    *ret_n = json_array_size(json_object_get(page, "items"));
    x->total = json_integer_value(json_object_get(page, "total"));
    json_array_foreach(json_object_get(page, "items"), i, item)
    {
        if (r == 0)
            r = add_item(x, item, reterr);
    }
    cf_arena_rewind(x->req->arena, mark); /* column names of add_item */
    next = json_string_value(json_object_get(page, "next"));
    x->q.cursor = next ? cf_arena_copy(x->req->arena, cf_str_c(next)) : CF_STR("");
    json_decref(page);
    return r < 0 ? r : flush(x, reterr);
}

static int choose_columns(struct export *x, struct cf_error *reterr)
{
    cf_str *v;

    if (x->format == JSON || x->q.n_fields)
        return 0;
    x->q.n_fields = sizeof default_columns / sizeof *default_columns;
    v = CF_NEW_N(x->req->arena, cf_str, x->q.n_fields);
    if (!v)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the export");
    for (size_t i = 0; i < x->q.n_fields; i++)
        v[i] = cf_str_c(default_columns[i]);
    x->q.fields = v;
    return 0;
}

static int begin(struct export *x, struct cf_error *reterr)
{
    const struct cf_app *app = x->req->app;
    const char *format = json_string_value(json_object_get(x->req->json, "format"));
    int r;

    for (size_t i = 0; format && i < sizeof formats / sizeof *formats; i++)
        x->format = strcmp(format, formats[i].name) == 0 ? (unsigned)i : x->format;
    r = choose_columns(x, reterr);
    if (r == 0 && x->format == XLSX)
        return cf_sheet_new(app->data_dir, "events", x->q.fields, x->q.n_fields, &x->sheet, reterr);
    if (r == 0 && (x->fd = open(app->data_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) < 0)
        r = cf_error_errno(reterr, "temporary file for the export");
    if (r == 0 && x->format == CSV)
        csv_header(x);
    return r;
}

/* Who gets a part is told so. */
static int end(struct export *x, int64_t written, struct cf_error *reterr)
{
    char text[160];

    if (x->total > written) {
        (void)snprintf(text, sizeof text, "%lld of %lld", (long long)written, (long long)x->total);
        cf_reply_header(x->req, "X-Export-Rows", text);
        (void)snprintf(text, sizeof text, "%lld rows of %lld: the export ends at its limit; choose a shorter time range for the others", (long long)written,
                       (long long)x->total);
        if (x->sheet && cf_sheet_note(x->sheet, text, reterr) < 0)
            return reterr->code;
    }
    return x->sheet ? cf_sheet_finish(x->sheet, &x->fd, &x->bytes, reterr) : flush(x, reterr);
}

int cf_events_export(struct cf_req *req, struct cf_error *reterr)
{
    struct export x = {.req = req, .fd = -1};
    int64_t want = json_integer_value(json_object_get(req->json, "limit")), left = want <= 0 ? EXPORT_DEFAULT : want < EXPORT_MAX ? want : EXPORT_MAX, all = left;
    struct cf_event_run *run = NULL;
    size_t n = 0;
    int r = cf_events_request(req, &x.q, reterr);

    cf_buf_init(&x.line, 512 << 20);
    if (r == 0)
        r = begin(&x, reterr);
    if (r == 0)
        r = cf_events_run(req, &run, reterr);
    x.q.run = run;
    do {
        x.q.limit = left < PAGE ? (size_t)left : PAGE;
        if (r == 0)
            r = one_page(&x, &n, reterr);
        left -= (int64_t)n;
    } while (r == 0 && x.q.cursor.n && left > 0 && n);
    if (r == 0)
        r = end(&x, all - left, reterr);
    cf_event_run_end(run);
    cf_sheet_free(x.sheet);
    cf_buf_release(&x.line);
    if (r < 0) {
        if (x.fd >= 0)
            (void)close(x.fd);
        return r;
    }
    cf_req_audit(req, NULL, NULL, req->json);
    cf_reply_fd(req, x.fd, x.bytes, formats[x.format].type, formats[x.format].file);
    return 0;
}
