/* SPDX-License-Identifier: Apache-2.0
 * Event store: append-only events in columns. One interface, two back ends that pass one test suite: embedded chDB
 * (libchdb, loaded when opened) and a ClickHouse cluster over HTTP. Same DDL generator, same queries.
 *
 * Table `chengfang.events`: day, time (= @timestamp), id, source, flags, one column a hot field (event_schema.c) with dots as
 * underscores (source.ip is source_ip), extras Map(String, String) with everything else under its dotted name. Absent text is '', absent numbers,
 * times and addresses are NULL; IPv4 addresses are mapped IPv6. `extras['winlog.event_data.Image']` reads an extra.
 *
 * Writing: each worker owns a cf_event_block, fills it with events and hands it to cf_event_store_insert, which sends one
 * Native block with a deduplication token and returns when the engine has it durably; sent again, it inserts what is missing. */
#ifndef CF_STORE_EVENT_STORE_H
#define CF_STORE_EVENT_STORE_H

#include "base/base.h"
#include "event/event.h"

struct cf_event_store;
struct cf_event_store_options {
    cf_str kind;             /* "chdb" or "clickhouse" */
    cf_str path;             /* chdb: folder */
    cf_str urls;             /* clickhouse: "http://h1:8123,http://h2:8123" tried in turn */
    cf_str cluster;          /* clickhouse: name in remote_servers; empty: single node */
    cf_str database;         /* default "chengfang" */
    cf_str user, password_file;
    int64_t retention_days;  /* default 400; under 365 only with retention_override */
    bool retention_override;
    int64_t memory_max;      /* bytes the engine may use; 0: 900 MiB */
    int64_t threads;         /* query threads; 0: cores */
    size_t insert_rows_max;  /* larger blocks are answered with CF_ELIMIT, as by an engine that has not the memory; 0: none */
};
int cf_event_store_open(const struct cf_event_store_options *o, struct cf_event_store **ret, struct cf_error *reterr); /* creates and migrates the schema */
void cf_event_store_close(struct cf_event_store *s);

struct cf_event_block;
struct cf_event_block *cf_event_block_new(void);
void cf_event_block_free(struct cf_event_block *b);
void cf_event_block_clear(struct cf_event_block *b);
/* Copies what the store keeps of ev into the columns (the batch arena may go afterwards). */
int cf_event_block_add(struct cf_event_block *b, const struct cf_event *ev);
/* The id the store gives an event: a UUIDv7 made from receiving time, place in the input and raw text, so the same record has
 * the same id after a replay. out gets 36 characters and a NUL. */
void cf_event_id(const struct cf_event *ev, char out[37]);
size_t cf_event_block_rows(const struct cf_event_block *b);
bool cf_event_block_one_day(const struct cf_event_block *b); /* then an insert happens as a whole or not at all */
size_t cf_event_block_bytes(const struct cf_event_block *b);
/* token: unique for this content, same after a replay (spool segment and offset). again: this block may have been sent before, and
 * nobody knows how that ended (a replay after a crash, an attempt that failed): only rows whose id is not there are inserted. The
 * engine's own memory of tokens is not enough for that, see event_again.c. CF_EBUSY/CF_EFULL/CF_EIO: try again later, with `again`. */
int cf_event_store_insert(struct cf_event_store *s, struct cf_event_block *b, cf_str token, bool again, struct cf_error *reterr);
/* Makes everything inserted so far survive power loss (parts synced). After this spool segments may be deleted. */
int cf_event_store_sync(struct cf_event_store *s, struct cf_error *reterr);

/* Holds the merging of parts back, or lets it go on; *ret_parts (may be NULL): parts there are now. Only the embedded engine, which
 * shares the processor with the pipeline; on a cluster nothing happens. */
int cf_event_store_merges(struct cf_event_store *s, bool on, int64_t *ret_parts, struct cf_error *reterr);

/* Deletes the events whose organization.id begins with the prefix (at least four characters), for good. *ret_rows: how many there were. */
int cf_event_store_forget(struct cf_event_store *s, cf_str org_prefix, int64_t *ret_rows, struct cf_error *reterr);

/* Deletes events by id, for good. At most a few thousand a call. */
int cf_event_store_delete(struct cf_event_store *s, const cf_str *ids, size_t n, struct cf_error *reterr);
const char *cf_event_store_database(const struct cf_event_store *s); /* name of the database, for queries */

/* A read query; the result in ClickHouse's JSONCompact shape is parsed for the caller. Read-only settings, limits. */
struct cf_query_limits {
    int64_t max_ms, max_memory, max_rows; /* 0: defaults (10 s, 400 MiB, 100,000 rows) */
    const char *tag;                      /* cf_event_run_tag: the query can be stopped. NULL: it cannot */
};
/* Named parameters {name:Type} of ClickHouse; values are text. */
struct cf_query_param {
    const char *name;
    cf_str value;
};
/* Appends the result in the given ClickHouse output format (e.g. "JSON", "JSONCompact", "CSVWithNames") to *out. */
int cf_event_store_query(struct cf_event_store *s, cf_str sql, const struct cf_query_param *p, size_t n_p,
                         const char *format, const struct cf_query_limits *lim, struct cf_buf *out, struct cf_error *reterr);

/* Whose events a caller may see. Every search passes one. */
struct cf_event_scope {
    bool all;
    size_t n_orgs;
    const cf_str *orgs; /* organization.id values allowed */
};
/* Searches that can be stopped: begin before, hand the run to the search, end after. Other threads cancel it by the name its owner
 * gave it (several runs may share one), or it cancels itself when `gone` says that nobody waits any more (asked by the store's own
 * thread ten times a second until the run ends). A stopped search fails with CF_ECANCELLED, within a fraction of a second. */
#define CF_EVENT_RUN_ID_MAX 64
struct cf_event_run;
struct cf_event_run_options {
    cf_str owner, id;         /* copied */
    bool (*gone)(void *arg);  /* may be NULL */
    void *arg;
};
int cf_event_run_begin(struct cf_event_store *s, const struct cf_event_run_options *o, struct cf_event_run **ret, struct cf_error *reterr);
void cf_event_run_end(struct cf_event_run *r); /* NULL is fine */
bool cf_event_run_cancelled(const struct cf_event_run *r);      /* NULL: false */
const char *cf_event_run_tag(const struct cf_event_run *r);     /* NULL: NULL */
size_t cf_event_run_cancel(struct cf_event_store *s, cf_str owner, cf_str id); /* how many were running */
struct cf_event_progress {
    int64_t elapsed_ms, rows_read, rows_total; /* rows of the statement that runs now; total is the engine's estimate */
};
bool cf_event_run_progress(struct cf_event_store *s, cf_str owner, cf_str id, struct cf_event_progress *ret); /* false: none runs */

/* The search language (interfaces.md) as a request; times in us. */
struct cf_search {
    cf_str query;
    int64_t from_us, to_us;
    cf_str cursor;
    bool oldest_first;
    size_t limit;            /* 0: 50; max 1000 */
    size_t n_fields;
    const cf_str *fields;    /* "" / 0: all */
    struct cf_event_scope scope;
    int64_t max_ms;          /* for the search as a whole; 0: 10 s. Then CF_ETIMEOUT */
    const struct cf_event_run *run; /* NULL: cannot be stopped */
};
/* Appends {"items":[{...nested ECS, "_id":...}],"total":N,"next":"..."|null} to *out. CF_ESYNTAX: reterr->pos is the byte in query. */
int cf_event_search(struct cf_event_store *s, const struct cf_search *q, struct cf_buf *out, struct cf_error *reterr);
/* ---- going through stored events (event_scan.c) ---- */
struct cf_stored {
    int64_t time_us, received_us; /* received_us: event.ingested; 0: unknown */
    char id[37];
    cf_str source, org, original; /* views, valid in the callback */
};
/* rows: a few thousand at most, oldest first over all calls. Non-zero ends the scan and is returned. done: rows given so far, these included. */
typedef int (*cf_event_scan_fn)(void *ctx, const struct cf_stored *rows, size_t n, uint64_t done, struct cf_error *reterr);
/* Every event that q finds (query, times, scope), by time; at most max. Memory is bounded by one slice of time (a second at least). */
int cf_event_scan(struct cf_event_store *s, const struct cf_search *q, uint64_t max, cf_event_scan_fn fn, void *ctx, struct cf_error *reterr);
int cf_event_count(struct cf_event_store *s, const struct cf_search *q, uint64_t *ret, struct cf_error *reterr);
/* Stored events by id as events: ret[i] is NULL where there is none (or it is outside scope). Everything lives in a. */
int cf_event_fetch(struct cf_event_store *s, const struct cf_event_scope *scope, const cf_str *ids, size_t n, struct cf_arena *a, struct cf_event **ret,
                   struct cf_error *reterr);
/* Appends {"interval_ms":..,"buckets":[{"time":"..","count":N}]}: about n_buckets over the range. */
int cf_event_histogram(struct cf_event_store *s, const struct cf_search *q, size_t n_buckets, struct cf_buf *out, struct cf_error *reterr);
/* Appends {"field":"..","values":[{"value":..,"count":N}],"other":N}: the most frequent values of one field. */
int cf_event_facet(struct cf_event_store *s, const struct cf_search *q, cf_str field, size_t n, struct cf_buf *out, struct cf_error *reterr);
/* One read-only SELECT over the event tables with the scope applied by the engine (row filter), not by text. */
int cf_event_sql(struct cf_event_store *s, cf_str sql, const struct cf_event_scope *scope, const struct cf_query_limits *lim, struct cf_buf *out, struct cf_error *reterr);
/* Appends {"rows":..,"bytes_on_disk":..,"bytes_raw":..,"partitions":[..],"parts":..,"oldest":..,"newest":..,"engine_memory":..}. */
int cf_event_store_stats(struct cf_event_store *s, struct cf_buf *out, struct cf_error *reterr);

#endif
