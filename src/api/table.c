/* SPDX-License-Identifier: Apache-2.0
 * Long tables, piece by piece: opened, rows appended as often as needed, finished (audited), fetched once. Nothing but one piece is in
 * memory: the rows go to a file without a name. Who opened a table is the only one who may go on with it. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/route.h"
#include "api/sheet.h"
#include "app/app.h"

#define TABLES_MAX 32u
#define TABLES_OF_ONE 4u
#define IDLE_US (10 * 60 * CF_US_PER_S)   /* a table nobody goes on with is dropped when the next one is opened */
#define BYTES_MAX (INT64_C(2) << 30)      /* of one CSV */

struct table {
    char id[37], user[64], name[700];
    bool taken, busy, csv, finished; /* busy: a request works on it, without the lock */
    struct cf_sheet *sheet;
    int fd;
    size_t columns, rows;
    int64_t bytes, touched_us;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the slots; a busy one belongs to its request */
static struct table tables[TABLES_MAX];

static void drop(struct table *t)
{
    cf_sheet_free(t->sheet);
    if (t->taken && t->fd >= 0)
        (void)close(t->fd);
    *t = (struct table){.fd = -1};
}

/* A free slot, taken; with the lock held. */
static struct table *take(const struct cf_req *req, struct cf_error *reterr)
{
    struct table *found = NULL;
    size_t own = 0;
    int64_t now = cf_mono_us();

    for (size_t i = 0; i < TABLES_MAX; i++) {
        struct table *t = &tables[i];

        if (t->taken && !t->busy && now - t->touched_us > IDLE_US)
            drop(t);
        own += t->taken && cf_str_eqz(req->who->user_id, t->user);
        if (!t->taken && !found)
            found = t;
    }
    if (own >= TABLES_OF_ONE || !found) {
        (void)cf_error_set(reterr, CF_EBUSY, "too many exports are being made; try again when one is done");
        return NULL;
    }
    *found = (struct table){.taken = true, .busy = true, .fd = -1, .touched_us = now};
    (void)snprintf(found->user, sizeof found->user, "%.*s", CF_ARG(req->who->user_id));
    cf_uuid7(found->id);
    return found;
}

static struct table *hold(const struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    struct table *found = NULL;
    bool busy = false;

    (void)pthread_mutex_lock(&lock);
    for (size_t i = 0; i < TABLES_MAX && !found && !busy; i++)
        if (tables[i].taken && cf_str_eqz(id, tables[i].id) && cf_str_eqz(req->who->user_id, tables[i].user)) {
            busy = tables[i].busy;
            if (!busy)
                found = &tables[i];
        }
    if (found)
        found->busy = true;
    (void)pthread_mutex_unlock(&lock);
    if (!found)
        (void)(busy ? cf_error_set(reterr, CF_EBUSY, "a request works on this table already") : cf_error_set(reterr, CF_ENOENT, "there is no such table, or it was left alone too long"));
    return found;
}

static void let_go(struct table *t, bool keep)
{
    (void)pthread_mutex_lock(&lock);
    t->busy = false;
    t->touched_us = cf_mono_us();
    if (!keep)
        drop(t);
    (void)pthread_mutex_unlock(&lock);
}

static int put(struct table *t, struct cf_buf *b, struct cf_error *reterr)
{
    size_t done = 0;

    if (b->failed)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the table");
    if ((t->bytes += (int64_t)b->n) > BYTES_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "the table is larger than %d GiB", (int)(BYTES_MAX >> 30));
    while (done < b->n) {
        ssize_t w = write(t->fd, b->p + done, b->n - done);

        if (w <= 0)
            return cf_error_errno(reterr, "writing the table");
        done += (size_t)w;
    }
    return 0;
}

static int start(struct cf_req *req, struct table *t, const json_t *columns, struct cf_error *reterr)
{
    const char *dir = ((struct cf_app *)req->app)->data_dir;
    cf_str *title = CF_NEW_N(req->arena, cf_str, t->columns + 1);
    struct cf_buf b;
    int r;

    if (!title)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the table");
    if (!t->csv) {
        for (size_t i = 0; i < t->columns; i++)
            title[i] = cf_str_c(json_string_value(json_array_get(columns, i)));
        return cf_sheet_new(dir, t->name, title, t->columns, &t->sheet, reterr);
    }
    t->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (t->fd < 0)
        return cf_error_errno(reterr, "temporary file for the table");
    cf_buf_init(&b, 0);
    cf_buf_z(&b, "\xef\xbb\xbf"); /* so that spreadsheets read UTF-8 */
    cf_csv_row(&b, columns, t->columns);
    r = put(t, &b, reterr);
    cf_buf_release(&b);
    return r;
}

static int open_table(struct cf_req *req, struct cf_error *reterr)
{
    const json_t *columns = json_object_get(req->json, "columns");
    const char *name = json_string_value(json_object_get(req->json, "name")), *format = json_string_value(json_object_get(req->json, "format"));
    struct table *t;
    int r;

    (void)pthread_mutex_lock(&lock);
    t = take(req, reterr);
    (void)pthread_mutex_unlock(&lock);
    if (!t)
        return reterr->code;
    t->csv = !format || strcmp(format, "csv") == 0;
    t->columns = json_array_size(columns);
    (void)snprintf(t->name, sizeof t->name, "%s", name ? name : "");
    r = start(req, t, columns, reterr);
    if (r == 0)
        cf_reply_json(req, 201, json_pack("{s:s,s:i}", "id", t->id, "max_rows", t->csv ? CF_TABLE_ROWS_MAX : CF_SHEET_ROWS_MAX));
    let_go(t, r == 0);
    return r;
}

static int append(struct table *t, const json_t *rows, struct cf_error *reterr)
{
    const json_t *cell[CF_SHEET_COLUMNS_MAX], *row;
    struct cf_buf b;
    size_t i;
    int r = 0;

    if (t->finished)
        return cf_error_set(reterr, CF_ECONFLICT, "the table is finished already");
    if (t->csv && t->rows + json_array_size(rows) > CF_TABLE_ROWS_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "a table holds %d rows", CF_TABLE_ROWS_MAX);
    cf_buf_init(&b, 256 << 20);
    json_array_foreach(rows, i, row)
    {
        if (t->csv) {
            cf_csv_row(&b, row, t->columns);
            continue;
        }
        for (size_t k = 0; k < t->columns; k++)
            cell[k] = json_array_get(row, k);
        if ((r = cf_sheet_row(t->sheet, cell, t->columns, reterr)) < 0)
            break;
    }
    if (r == 0 && t->csv)
        r = put(t, &b, reterr);
    cf_buf_release(&b);
    t->rows += r == 0 ? json_array_size(rows) : 0;
    return r;
}

static int append_rows(struct cf_req *req, struct cf_error *reterr)
{
    struct table *t = hold(req, reterr);
    int r;

    if (!t)
        return reterr->code;
    r = append(t, json_object_get(req->json, "rows"), reterr);
    if (r == 0)
        cf_reply_json(req, 200, json_pack("{s:I}", "rows", (json_int_t)t->rows));
    let_go(t, r == 0); /* after a failure some rows may be in it and others not */
    return r;
}

/* A list with more rows than the table takes: its last line says so. */
static int say_cut(struct table *t, json_int_t total, struct cf_error *reterr)
{
    char text[160];
    struct cf_buf b;
    int r;

    if (total <= (json_int_t)t->rows)
        return 0;
    (void)snprintf(text, sizeof text, "%zu rows of %lld: the export ends at its limit; filter for fewer", t->rows, (long long)total);
    if (!t->csv)
        return cf_sheet_note(t->sheet, text, reterr);
    cf_buf_init(&b, 0);
    cf_buf_csv(&b, cf_str_c(text));
    cf_buf_z(&b, "\r\n");
    r = put(t, &b, reterr);
    cf_buf_release(&b);
    return r;
}

static int finish_table(struct cf_req *req, struct cf_error *reterr)
{
    json_int_t total = json_integer_value(json_object_get(req->json, "total"));
    struct table *t = hold(req, reterr);
    uint64_t size = 0;
    json_t *what;
    int r;

    if (!t)
        return reterr->code;
    r = t->finished ? cf_error_set(reterr, CF_ECONFLICT, "the table is finished already") : say_cut(t, total, reterr);
    if (r == 0 && !t->csv)
        r = cf_sheet_finish(t->sheet, &t->fd, &size, reterr);
    if (r == 0) {
        t->finished = true;
        what = json_pack("{s:s,s:I}", "format", t->csv ? "csv" : "xlsx", "rows", (json_int_t)t->rows);
        if (what && total > (json_int_t)t->rows)
            (void)json_object_set_new(what, "of", json_integer(total));
        cf_req_audit(req, t->name, NULL, what);
        cf_reply_json(req, 200, what);
    }
    let_go(t, r == 0);
    return r;
}

static int fetch_table(struct cf_req *req, struct cf_error *reterr)
{
    struct table *t = hold(req, reterr);
    cf_str as = cf_req_query(req, "file");
    char name[800];
    off_t size;
    bool csv;
    int fd;

    if (!t)
        return reterr->code;
    if (!t->finished) {
        let_go(t, true);
        return cf_error_set(reterr, CF_ECONFLICT, "the table is not finished");
    }
    fd = t->fd;
    csv = t->csv;
    t->fd = -1;
    if (as.n)
        (void)snprintf(name, sizeof name, "%.*s", (int)(as.n < 300 ? as.n : 300), as.p);
    else
        (void)snprintf(name, sizeof name, "%s.%s", t->name[0] ? t->name : "table", csv ? "csv" : "xlsx");
    let_go(t, false);
    size = lseek(fd, 0, SEEK_END);
    if (size < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        (void)close(fd);
        return cf_error_errno(reterr, "reading the table");
    }
    cf_reply_fd(req, fd, (uint64_t)size, csv ? CF_CSV_TYPE : CF_SHEET_TYPE, name);
    return 0;
}

static int drop_table(struct cf_req *req, struct cf_error *reterr)
{
    struct table *t = hold(req, reterr);

    if (!t)
        return reterr->code;
    let_go(t, false);
    cf_reply_empty(req, 204);
    return 0;
}

#define PATH "/api/v1/tables"
static const struct cf_route routes[] = {
    {.method = CF_POST, .path = PATH, .permission = "export.list", .handler = open_table, .flags = CF_RF_NO_AUDIT, .scope = "self",
     .request = "{\"type\":\"object\",\"required\":[\"columns\"],\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":200},\"format\":{\"enum\":[\"xlsx\",\"csv\"]},"
                "\"columns\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":400,\"items\":{\"type\":\"string\",\"maxLength\":200}}}}",
     .doc = "Begin a long table (XLSX or CSV) of a list that the caller reads; {id, max_rows}"},
    {.method = CF_POST, .path = PATH "/{id}/rows", .permission = "export.list", .handler = append_rows, .flags = CF_RF_UPLOAD | CF_RF_NO_AUDIT, .scope = "self",
     .request = "{\"type\":\"object\",\"required\":[\"rows\"],\"properties\":{\"rows\":{\"type\":\"array\",\"maxItems\":100000,\"items\":{\"type\":\"array\",\"maxItems\":400}}}}",
     .doc = "Append rows to it"},
    {.method = CF_POST, .path = PATH "/{id}/finish", .permission = "export.list", .handler = finish_table, .scope = "self",
     .request = "{\"type\":\"object\",\"properties\":{\"total\":{\"type\":\"integer\",\"minimum\":0}}}",
     .doc = "Finish it; total: rows of the list, and when they are more than the table holds its last line says so; audited with its name and rows"},
    {.method = CF_GET, .path = PATH "/{id}", .permission = "export.list", .handler = fetch_table, .scope = "self", .doc = "The finished table as a file, once; ?file= its name"},
    {.method = CF_DELETE, .path = PATH "/{id}", .permission = "export.list", .handler = drop_table, .flags = CF_RF_NO_AUDIT, .scope = "self", .doc = "Give it up"},
};

void cf_table_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
