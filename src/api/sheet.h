/* SPDX-License-Identifier: Apache-2.0
 * Tables as XLSX or CSV, row by row with little memory however long they are. Text is always text: what begins with = + - @ is never a
 * formula. One sheet holds 1,048,576 rows, its header included. */
#ifndef CF_API_SHEET_H
#define CF_API_SHEET_H

#include <jansson.h>

#include "base/base.h"

#define CF_SHEET_ROWS_MAX 1048575 /* below the header */
#define CF_SHEET_COLUMNS_MAX 400

struct cf_sheet;
/* dir: where the file is made, without a name, so that nothing is left behind. Free with cf_sheet_free. */
int cf_sheet_new(const char *dir, const char *name, const cf_str *columns, size_t n, struct cf_sheet **ret, struct cf_error *reterr);
/* The next row: numbers and booleans keep their kind, everything else becomes text. NULL cells are empty. CF_ELIMIT: the sheet is full. */
int cf_sheet_row(struct cf_sheet *s, const json_t *const *cell, size_t n, struct cf_error *reterr);
/* Below the rows, a line of text over all columns. */
int cf_sheet_note(struct cf_sheet *s, const char *text, struct cf_error *reterr);
/* Writes the file; *ret_fd is the caller's. */
int cf_sheet_finish(struct cf_sheet *s, int *ret_fd, uint64_t *ret_size, struct cf_error *reterr);
void cf_sheet_free(struct cf_sheet *s);
/* One value as a cell of CSV, as XLSX shows it; NULL and null are empty. */
void cf_csv_value(struct cf_buf *b, const json_t *v);
#define CF_CSV_TYPE "text/csv; charset=utf-8"
#define CF_SHEET_TYPE "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

#define CF_TABLE_ROWS_MAX 1000000 /* of a CSV made piece by piece */

void cf_sheet_routes(void); /* POST /api/v1/sheets */
void cf_table_routes(void); /* /api/v1/tables: the same in pieces (table.c) */

/* Appends a JSON array of cells as one CSV line with its end; missing cells are empty. */
void cf_csv_row(struct cf_buf *b, const json_t *row, size_t columns);

#endif
