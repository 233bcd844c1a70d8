/* SPDX-License-Identifier: Apache-2.0
 * XLSX by libxlsxwriter in constant memory mode: one row in memory, the rest in files without a name. CSV is made in memory. */
#include "api/sheet.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xlsxwriter.h>

#include "api/route.h"
#include "app/app.h"

#define CELL_MAX 32767 /* characters of one cell */
#define WIDTH_MAX 60.0

struct cf_sheet {
    lxw_workbook *book;
    lxw_worksheet *sheet;
    size_t rows, columns;
    int fd;
    char path[64], *text; /* text: a cell that is cut */
};

static int failed(lxw_error e, struct cf_error *reterr)
{
    return cf_error_set(reterr, e == LXW_ERROR_MEMORY_MALLOC_FAILED ? CF_ENOMEM : CF_EIO, "writing the sheet: %s", lxw_strerror(e));
}

int cf_sheet_new(const char *dir, const char *name, const cf_str *columns, size_t n, struct cf_sheet **ret, struct cf_error *reterr)
{
    struct cf_sheet *s;
    lxw_workbook_options o = {.constant_memory = LXW_TRUE, .tmpdir = (char *)(uintptr_t)dir};
    lxw_format *bold;
    lxw_error e = LXW_NO_ERROR;
    char *title;

    if (n > CF_SHEET_COLUMNS_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "a sheet takes %d columns", CF_SHEET_COLUMNS_MAX);
    s = calloc(1, sizeof *s);
    if (!s)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the sheet");
    s->columns = n;
    s->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd < 0) {
        free(s);
        return cf_error_errno(reterr, "temporary file for the sheet");
    }
    (void)snprintf(s->path, sizeof s->path, "/proc/self/fd/%d", s->fd); /* the library wants a name */
    s->book = workbook_new_opt(s->path, &o);
    s->sheet = s->book ? workbook_add_worksheet(s->book, NULL) : NULL;
    bold = s->book ? workbook_add_format(s->book) : NULL;
    if (!s->sheet || !bold) {
        cf_sheet_free(s);
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the sheet");
    }
    (void)workbook_set_properties(s->book, &(lxw_doc_properties){.title = (char *)(uintptr_t)name});
    format_set_bold(bold);
    for (size_t i = 0; i < n && e == LXW_NO_ERROR; i++) {
        double width = (double)columns[i].n + 4;

        (void)worksheet_set_column(s->sheet, (lxw_col_t)i, (lxw_col_t)i, width < 12 ? 18 : width > WIDTH_MAX ? WIDTH_MAX : width, NULL);
        title = strndup(columns[i].p ? columns[i].p : "", columns[i].n > 1000 ? 1000 : columns[i].n);
        e = title ? worksheet_write_string(s->sheet, 0, (lxw_col_t)i, title, bold) : LXW_ERROR_MEMORY_MALLOC_FAILED;
        free(title);
    }
    worksheet_freeze_panes(s->sheet, 1, 0);
    s->rows = 1;
    if (e != LXW_NO_ERROR) {
        cf_sheet_free(s);
        return failed(e, reterr);
    }
    *ret = s;
    return 0;
}

/* At most CELL_MAX characters, cut between two, and said. */
static const char *fitting(struct cf_sheet *s, const char *text)
{
    static const char mark[] = " [cut: a cell holds 32,767 characters]";
    size_t n = strlen(text), keep = 0, chars = 0;

    if (n < CELL_MAX)
        return text;
    while (keep < n && chars < CELL_MAX - sizeof mark - 1) {
        unsigned char c = (unsigned char)text[keep];

        chars += c >= 0xf0 ? 2 : 1; /* counted as UTF-16 */
        keep += c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    }
    if (keep >= n)
        return text;
    free(s->text);
    s->text = malloc(keep + sizeof mark);
    if (!s->text)
        return "";
    memcpy(s->text, text, keep);
    memcpy(s->text + keep, mark, sizeof mark);
    return s->text;
}

static lxw_error write_cell(struct cf_sheet *s, lxw_col_t col, const json_t *v)
{
    lxw_row_t row = (lxw_row_t)s->rows;
    lxw_error e;
    char *text;

    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_NULL: return LXW_NO_ERROR;
    case JSON_TRUE:
    case JSON_FALSE: return worksheet_write_boolean(s->sheet, row, col, json_is_true(v), NULL);
    case JSON_REAL: return worksheet_write_number(s->sheet, row, col, json_real_value(v), NULL);
    case JSON_INTEGER:
        if (json_integer_value(v) > -(INT64_C(1) << 53) && json_integer_value(v) < (INT64_C(1) << 53))
            return worksheet_write_number(s->sheet, row, col, (double)json_integer_value(v), NULL);
        break; /* a spreadsheet would round it */
    case JSON_STRING:
        return json_string_length(v) ? worksheet_write_string(s->sheet, row, col, fitting(s, json_string_value(v)), NULL) : LXW_NO_ERROR;
    default: break;
    }
    text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    e = text ? worksheet_write_string(s->sheet, row, col, fitting(s, text), NULL) : LXW_ERROR_MEMORY_MALLOC_FAILED;
    free(text);
    return e;
}

int cf_sheet_row(struct cf_sheet *s, const json_t *const *cell, size_t n, struct cf_error *reterr)
{
    lxw_error e = LXW_NO_ERROR;

    if (s->rows > CF_SHEET_ROWS_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "an XLSX sheet holds %d rows below its header: choose CSV, or fewer rows", CF_SHEET_ROWS_MAX);
    for (size_t i = 0; i < n && i < s->columns && e == LXW_NO_ERROR; i++)
        e = write_cell(s, (lxw_col_t)i, cell[i]);
    if (e != LXW_NO_ERROR)
        return failed(e, reterr);
    s->rows++;
    return 0;
}

int cf_sheet_note(struct cf_sheet *s, const char *text, struct cf_error *reterr)
{
    lxw_error e = s->rows > CF_SHEET_ROWS_MAX ? LXW_NO_ERROR : worksheet_write_string(s->sheet, (lxw_row_t)s->rows, 0, text, NULL);

    return e == LXW_NO_ERROR ? 0 : failed(e, reterr);
}

int cf_sheet_finish(struct cf_sheet *s, int *ret_fd, uint64_t *ret_size, struct cf_error *reterr)
{
    struct stat st;
    lxw_error e = workbook_close(s->book); /* frees it too, also when it fails */

    s->book = NULL;
    if (e != LXW_NO_ERROR)
        return failed(e, reterr);
    if (fstat(s->fd, &st) < 0)
        return cf_error_errno(reterr, "the sheet's file");
    *ret_fd = s->fd;
    *ret_size = (uint64_t)st.st_size;
    s->fd = -1;
    return 0;
}

void cf_sheet_free(struct cf_sheet *s)
{
    if (!s)
        return;
    if (s->book)
        lxw_workbook_free(s->book);
    if (s->fd >= 0)
        (void)close(s->fd);
    free(s->text);
    free(s);
}

/* ---- POST /api/v1/sheets: a table that the caller has, as XLSX or CSV ----------------------------------------------- */

void cf_csv_value(struct cf_buf *b, const json_t *v)
{
    char *text;

    if (!v || json_is_null(v))
        return;
    if (json_is_string(v)) {
        cf_buf_csv(b, cf_str_n(json_string_value(v), json_string_length(v)));
        return;
    }
    text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text)
        cf_buf_csv(b, cf_str_c(text));
    free(text);
}

static int fill(struct cf_sheet *s, const json_t *rows, size_t columns, struct cf_error *reterr)
{
    const json_t *cell[CF_SHEET_COLUMNS_MAX], *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        for (size_t k = 0; k < columns; k++)
            cell[k] = json_array_get(row, k);
        if (cf_sheet_row(s, cell, columns, reterr) < 0)
            return reterr->code;
    }
    return 0;
}

static int reply_xlsx(struct cf_req *req, const char *name, const json_t *columns, const json_t *rows, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    size_t n = json_array_size(columns);
    cf_str *title = CF_NEW_N(req->arena, cf_str, n + 1);
    struct cf_sheet *s = NULL;
    uint64_t size = 0;
    int fd = -1, r;

    if (!title)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the sheet");
    for (size_t i = 0; i < n; i++)
        title[i] = cf_str_c(json_string_value(json_array_get(columns, i)));
    r = cf_sheet_new(app->data_dir, name, title, n, &s, reterr);
    if (r == 0)
        r = fill(s, rows, n, reterr);
    if (r == 0)
        r = cf_sheet_finish(s, &fd, &size, reterr);
    cf_sheet_free(s);
    if (r == 0)
        cf_reply_fd(req, fd, size, CF_SHEET_TYPE, "table.xlsx");
    return r;
}

void cf_csv_row(struct cf_buf *b, const json_t *row, size_t columns)
{
    for (size_t k = 0; k < columns; k++) {
        cf_buf_z(b, k ? "," : "");
        cf_csv_value(b, json_array_get(row, k));
    }
    cf_buf_z(b, "\r\n");
}

static int reply_csv(struct cf_req *req, const json_t *columns, const json_t *rows, struct cf_error *reterr)
{
    size_t n = json_array_size(columns), i;
    const json_t *row;
    struct cf_buf b;

    cf_buf_init(&b, 512 << 20);
    cf_buf_z(&b, "\xef\xbb\xbf"); /* so that spreadsheets read UTF-8 */
    cf_csv_row(&b, columns, n);
    json_array_foreach(rows, i, row) cf_csv_row(&b, row, n);
    if (b.failed) {
        cf_buf_release(&b);
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the table");
    }
    cf_reply_bytes(req, 200, CF_CSV_TYPE, &b);
    cf_reply_header(req, "Content-Disposition", "attachment; filename=\"table.csv\"");
    return 0;
}

static int make_sheet(struct cf_req *req, struct cf_error *reterr)
{
    const json_t *columns = json_object_get(req->json, "columns"), *rows = json_object_get(req->json, "rows");
    const char *name = json_string_value(json_object_get(req->json, "name")), *format = json_string_value(json_object_get(req->json, "format"));
    bool csv = format && strcmp(format, "csv") == 0;
    json_t *what;
    int r = csv ? reply_csv(req, columns, rows, reterr) : reply_xlsx(req, name ? name : "", columns, rows, reterr);

    if (r < 0)
        return r;
    what = json_pack("{s:s,s:I}", "format", csv ? "csv" : "xlsx", "rows", (json_int_t)json_array_size(rows));
    cf_req_audit(req, name, NULL, what);
    json_decref(what);
    return 0;
}

static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/api/v1/sheets", .permission = "export.list", .handler = make_sheet, .flags = CF_RF_UPLOAD, .scope = "self",
     .request = "{\"type\":\"object\",\"required\":[\"columns\",\"rows\"],\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":200},\"format\":{\"enum\":[\"xlsx\",\"csv\"]},"
                "\"columns\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":400,\"items\":{\"type\":\"string\",\"maxLength\":200}},"
                "\"rows\":{\"type\":\"array\",\"maxItems\":1048575,\"items\":{\"type\":\"array\",\"maxItems\":400}}}}",
     .doc = "The rows sent (of a list that the caller has read, within his scope), as an XLSX or CSV file (format); text is never a formula"},
};

void cf_sheet_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
