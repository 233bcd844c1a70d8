/* SPDX-License-Identifier: Apache-2.0
 * What event_store.c and the two back ends (chdb.c, clickhouse.c) share. */
#ifndef CF_STORE_EVENT_PRIVATE_H
#define CF_STORE_EVENT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/event_block.h"
#include "store/event_store.h"

/* Blocks up to this size always get their indexes on insert: what comes in slowly is searched fast at once, and costs little because
 * it is little. Larger ones get them unless merges are held back, which means that there is a backlog. */
#define CF_EVENT_INDEX_ROWS 32768u

/* One read query as the back end runs it. */
struct cf_equery {
    cf_str sql;
    const struct cf_query_param *param; /* values already in the engine's escaped form */
    size_t n_param;
    const char *format;
    struct cf_query_limits lim;         /* no zeros */
    cf_str row_filter;                  /* condition the engine adds to every read of events; "" none */
    bool locked;                        /* SQL of a user: settings cannot be changed by it */
};
struct cf_event_backend {
    const char *name;
    int (*open)(struct cf_event_store *s, const struct cf_event_store_options *o, struct cf_error *reterr);
    void (*close)(struct cf_event_store *s);
    int (*exec)(struct cf_event_store *s, cf_str sql, struct cf_error *reterr); /* one statement, on every node */
    int (*query)(struct cf_event_store *s, const struct cf_equery *q, struct cf_buf *out, struct cf_error *reterr);
    int (*insert)(struct cf_event_store *s, struct cf_event_block *b, cf_str token, bool again, struct cf_error *reterr);
    int (*sync)(struct cf_event_store *s, struct cf_error *reterr); /* NULL: nothing to do */
};
extern const struct cf_event_backend cf_event_chdb, cf_event_clickhouse;

/* event_run.c */
struct cf_event_runs {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed, tick;
    struct cf_event_run *first;
    pthread_t thread;
    bool on, stop;
};
void cf_event_runs_init(struct cf_event_store *s);
void cf_event_runs_release(struct cf_event_store *s);

struct cf_event_store {
    const struct cf_event_backend *backend;
    void *priv;
    char database[64];
    char cluster[64];
    bool replicated;
    int64_t retention_days;
    int64_t memory_max, threads;
    size_t insert_rows_max;
    _Atomic bool merges_held;
    char *select_list;
    struct cf_event_runs runs;
};

/* Maps the text of a ClickHouse exception ("Code: 60. DB::Exception: ...") to CF_E... and a readable message. */
int cf_event_engine_error(const char *text, const char *what, struct cf_error *reterr);
/* Appends "organization_id IN ('a', 'b')" for a scope that is not all; without organisations "0". */
int cf_event_scope_sql(const struct cf_event_scope *scope, struct cf_buf *out, struct cf_error *reterr);
/* Limits with the defaults filled in. */
struct cf_query_limits cf_event_limits(const struct cf_query_limits *l);
/* event_again.c: appends the beginning of an insert's statement, "INSERT INTO ... (columns)", where settings or rows may follow; and,
 * for an insert that may have happened, " SELECT ... FROM from WHERE ..." of the rows that are not there. CF_ENOMEM. */
void cf_event_insert_head(const struct cf_event_store *s, const struct cf_event_block *b, struct cf_buf *out);
int cf_event_insert_missing(const struct cf_event_store *s, const struct cf_event_block *b, const char *from, struct cf_buf *out);
/* Appends v with the escapes query parameters need. */
void cf_event_escape_param(struct cf_buf *out, cf_str v);
/* Appends 'v' as an SQL string literal. */
void cf_event_sql_quote(struct cf_buf *out, cf_str v);

#endif
