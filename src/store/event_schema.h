/* SPDX-License-Identifier: Apache-2.0
 * The columns of the event table, made from the field table. One place decides types; the DDL, the insert block, the reader
 * of rows and the search language all read this.
 *
 *   events   day, time, id, source, flags, <one column a hot field: dots become underscores>, extras
 *
 * Hot are the fields that people search and correlate by. A column costs on every insert and every merge whether it is used or
 * not: with all 220 fields as columns an insert took 9.8 us of CPU a row and a merge 11.7, with the hot ones 6.6 and 4.7
 * (2026-11, text index on). The others live in extras, where search and facets find them by the same names. Several values of
 * one extra are joined by the unit separator 0x1f.
 *
 * day is the storage day: the day of the event, or the day of receipt when the event's clock is more than two days off. So the
 * number of partitions follows the calendar, not the clocks of the sources, and retention counts from receipt for imports. */
#ifndef CF_STORE_EVENT_SCHEMA_H
#define CF_STORE_EVENT_SCHEMA_H

#include "base/base.h"
#include "event/event.h"

/* The text that free words are looked up in: lower case; the tokens of the index are its runs of letters, digits and bytes beyond
 * ASCII, so powershell finds powershell.exe, and Chinese text is found by comparing the text. The index on the table is on exactly
 * this expression. (Schema 1 had the tokenizer asciiCJK on a text with . _ : cut: its merges took 7.3 us of CPU a row, these 4.9.) */
#define CF_EVENT_WORDS_SQL "lower(event_original)"
#define CF_EVENT_TOKENIZER "splitByNonAlpha"
/* The IPv4 addresses in the raw record. Their numbers are frequent tokens that say little; the index by_address is on exactly this. */
#define CF_EVENT_ADDRESSES_SQL "extractAll(event_original, '[0-9]{1,3}(?:[.][0-9]{1,3}){3}')"

enum cf_coltype {
    CF_COL_LC,     /* LowCardinality(String); '' absent */
    CF_COL_STR,    /* String; '' absent */
    CF_COL_I64,    /* Nullable(Int64) */
    CF_COL_F64,    /* Nullable(Float64) */
    CF_COL_TIME,   /* Nullable(DateTime64(6, 'UTC')) */
    CF_COL_BOOL,   /* Nullable(Bool) */
    CF_COL_IP,     /* Nullable(IPv6), IPv4 mapped */
    CF_COL_ASTR,   /* Array(String); a dictionary inside an array made inserts three times slower (2026-11) */
    CF_COL_AIP,    /* Array(IPv6) */
    CF_COL_COLD,   /* no column: kept in extras under the field's name */
};
/* Columns before the fields, in this order. */
enum { CF_COL_DAY, CF_COL_AT, CF_COL_ID, CF_COL_SOURCE, CF_COL_FLAGS, CF_COL__FIXED };

struct cf_column {
    char name[48];
    uint8_t name_n;
    enum cf_coltype type;
};
/* One for each enum cf_field. Made on first use, never changes. */
const struct cf_column *cf_columns(void);
const char *cf_coltype_sql(enum cf_coltype t);
bool cf_coltype_array(enum cf_coltype t);
#define CF_EXTRA_SEP '\x1f'
/* Key of one more entry of a row's extras: the kinds of the values of the others in their order, one letter a value (joined
 * ones each): n number, f number with a fraction, b true or false, s text. Left out when all are text. */
#define CF_EXTRA_KINDS "\x1f"

struct cf_event_ddl {
    cf_str database;
    cf_str cluster;      /* "": single node, table "events"; else events_local on every node and events over them */
    bool replicated;     /* ReplicatedMergeTree in the cluster */
    int64_t retention_days;
};
#define CF_EVENT_SCHEMA_VERSION 5
/* Appends the statements of one version, separated by ";\n". False: no such version. */
bool cf_event_ddl(const struct cf_event_ddl *d, int version, struct cf_buf *out);
/* Appends the statement that sets the retention of an existing table. */
void cf_event_ddl_retention(const struct cf_event_ddl *d, struct cf_buf *out);
/* "time, id, source, flags, agent_name, ..., extras": the column list that cf_event_row reads, in its order. */
void cf_event_select_list(struct cf_buf *out);

/* One row of that list in RowBinary at *p (end e) as an event with views of the row's bytes; names that sources used are not in
 * the table and so not in the event. 0, or CF_ECORRUPT when the bytes do not hold a row. */
int cf_event_row_read(struct cf_arena *a, const char **p, const char *e, const cf_str *fields, size_t n_fields, struct cf_event **ret, char ret_id[37]);
/* One row of that list in RowBinary at *p (end e) as a JSON object with "_id" first. fields: only these names (NULL: all).
 * 0, or CF_ECORRUPT when the bytes do not hold a row. a: scratch, for this row. */
int cf_event_row_json(struct cf_arena *a, const char **p, const char *e, const cf_str *fields, size_t n_fields, struct cf_buf *out,
                      int64_t *ret_time_us, char ret_id[37]);

/* The stored form of a time outside DateTime64's years. */
int64_t cf_event_clamp_time(int64_t us);
/* Storage day (days since 1970) of an event. */
uint16_t cf_event_day(int64_t time_us, int64_t received_us);

#endif
