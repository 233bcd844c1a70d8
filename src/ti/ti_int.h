/* SPDX-License-Identifier: Apache-2.0
 * Private to src/ti.
 *
 *   text --formats (list.c, stix.c, misp.c, gbt.c)--> ti_item --writer.c--> rows (exclusions checked, bad rows reported) */
#ifndef CF_TI_TI_INT_H
#define CF_TI_TI_INT_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/shared.h"
#include "ti/ti.h"

#define TI_REPORT_MAX 200u                    /* bad rows, conflicts ... listed by name; the rest is counted */
#define TI_PREVIEW_MAX 100u
#define TI_IMPORT_ROWS_MAX INT64_C(5000000)   /* of one import */
#define TI_IMPORT_BYTES_MAX (INT64_C(2) << 30)
#define TI_OBJECT_BYTES_MAX ((size_t)8 << 20) /* one STIX object, one element of a list */
#define TI_DOC_BYTES_MAX ((size_t)96 << 20)   /* MISP events and GB/T documents are read as a whole */
#define TI_COLUMNS_MAX ((size_t)511)          /* bytes of the names of a CSV's columns */
#define TI_THREAT_MAX ((size_t)80)
#define TI_FAMILY_MAX ((size_t)200)
#define TI_LINE_MAX ((size_t)64 << 10)

/* One statement about one value, on its way into the library. Texts are borrowed for the call. */
struct ti_item {
    const struct cf_ti_value *value;
    cf_str threat_type, family, group, description, ext_id, cond, note;
    json_t *tags, *techniques;              /* borrowed arrays or NULL */
    int confidence, severity, tlp;          /* -1: as the source says */
    int64_t from_us, until_us, first_us, last_us; /* 0: unknown */
    bool revoked;
};
struct ti_source {
    char id[40], org[40], name[200], kind[24], threat_type[80];
    int64_t weight, confidence, severity, tlp, valid_days;
    bool trusted;
};

/* ---- writer.c ---- */
struct ti_writer {
    struct cf_db *db;
    const struct ti_source *source;
    const struct ti_excluded *excluded;     /* may be NULL */
    const char *user;                       /* id, "" none */
    const char *incident;                   /* id, NULL none */
    bool dry, active;                       /* active: rows start to match at once (unless in conflict) */
    int64_t now_us, line;                   /* line: of the item being read */
    const char *import_id;                  /* what changes is put aside under it, see undo.c; NULL: not */
    int (*tick)(void *ctx, const struct ti_writer *w, struct cf_error *reterr); /* after each transaction, may be NULL; its error ends the import */
    void *tick_ctx;
    /* results */
    int64_t sightings, read, new_rows, updated, repeated, bad, conflicts, unmatchable, objects, relations;
    json_t *bad_list, *conflict_list, *unmatchable_list, *preview; /* owned */
    /* private */
    struct cf_tx *tx;
    struct cf_arena arena;
    struct ti_row *row;                     /* the run: read, not yet written */
    struct ti_kept *kept;                   /* the run's objects */
    struct cf_arena seen_arena;
    struct ti_seen *seen;
    size_t n_seen, cap_seen;
    size_t n, cap_row, n_kept, cap_kept, in_tx;
    int64_t written, objects_written;
    struct cf_dbval *v;
    char *sql_block, *sql_one, *sql_gone, *note_block, *note_one;
    int64_t ver_us; /* next date, while tx is open */
};
int ti_writer_begin(struct ti_writer *w, struct cf_error *reterr); /* after the first fields are set */
int ti_writer_add(struct ti_writer *w, const struct ti_item *it, struct cf_error *reterr);
void ti_writer_bad(struct ti_writer *w, cf_str text, const char *why);
void ti_writer_unmatchable(struct ti_writer *w, cf_str id, cf_str what, const char *why);
/* A STIX object kept as it is. */
int ti_writer_object(struct ti_writer *w, const json_t *obj, cf_str type, cf_str id, int tlp, bool matchable, struct cf_error *reterr); /* tlp -1: as the source says */
/* Others met the indicator that its source knows as `of`; denied: they say that it is harmless. Written at the end. */
struct ti_seen {
    cf_str id, of, note;   /* id: the source's own of this sighting; one comes in once */
    int64_t first_us, last_us, count;
    bool denied;
};
int ti_writer_seen(struct ti_writer *w, const struct ti_seen *seen, struct cf_error *reterr);
int ti_writer_end(struct ti_writer *w, struct cf_error *reterr); /* writes the rest */
void ti_writer_release(struct ti_writer *w);
json_t *ti_writer_report(const struct ti_writer *w); /* new reference */

/* ---- between writer.c and writer_object.c ---- */
#define TI_RUN_ROWS ((size_t)131072)
#define TI_RUN_BYTES ((size_t)32 << 20) /* of texts */
struct ti_kept { /* a STIX object to be written */
    cf_str id, type, name, modified, json, src, kind, dst;
    int64_t tlp;
    bool matchable;
};
int ti_writer_flush(struct ti_writer *w, struct cf_error *reterr);
int ti_writer_open(struct ti_writer *w, struct cf_error *reterr); /* a transaction is there afterwards */
int ti_writer_wrote(struct ti_writer *w, size_t rows, struct cf_error *reterr); /* it ends when there are enough */
int ti_write_object(struct ti_writer *w, const struct ti_kept *o, struct cf_error *reterr);
int ti_write_seen(struct ti_writer *w, const struct ti_seen *s, struct cf_error *reterr);
/* Withdraws, as their source, the indicators that the query (of ids) names. */
int ti_writer_withdraw(struct ti_writer *w, const char *query, const struct cf_dbval *v, size_t n, struct cf_error *reterr);
cf_str ti_cut(cf_str s, size_t max); /* not inside a character */

/* ---- version.c: the dates by which others ask what is new ---- */
/* First date that is free; the writer who took some sets the last one before it commits. Write transactions only. */
int ti_clock_next(struct cf_tx *tx, int64_t *ret, struct cf_error *reterr);
int ti_clock_set(struct cf_tx *tx, int64_t last_us, struct cf_error *reterr);
int ti_horizon(struct cf_tx *tx, int64_t *ret, struct cf_error *reterr); /* last date that may be given now */
/* The indicator is given as it is from now on. Takes the dates it needs from *ver_us. */
int ti_given(struct cf_tx *tx, cf_str id, int64_t *ver_us, struct cf_error *reterr);
/* It is not given any more, its state says so already: whoever got it is told. import_id may be NULL. */
int ti_gone(struct cf_tx *tx, cf_str id, const char *import_id, int64_t *ver_us, struct cf_error *reterr);

/* ---- undo.c: taking an import back, all of it or (after a crash) the rest of it ---- */
char *ti_undo_sql(size_t rows); /* statement that puts aside what rows of so many values say; free() */
int ti_undo_object(struct cf_tx *tx, const char *import_id, int64_t stamp_us, cf_str id, cf_str modified, struct cf_error *reterr);
int ti_undo_row(struct cf_tx *tx, const char *import_id, int64_t stamp_us, cf_str id, struct cf_error *reterr); /* one row by its id */
/* stamp_us: now_us of the writer. Rows that somebody changed since the import stay. */
int ti_undo_run(struct cf_db *db, const char *import_id, const char *source, int64_t stamp_us, struct cf_error *reterr);
int ti_undo_forget(struct cf_db *db, const char *import_id, struct cf_error *reterr); /* the import stays */

/* ---- store.c ---- */
int ti_source_read(struct cf_db *db, cf_str id_or_name, struct ti_source *ret, struct cf_error *reterr); /* CF_ENOENT */
/* *ret_next_us: when the next indicator becomes valid that is not in the set yet; INT64_MAX: none. */
/* Of imports that are not complete the set holds nothing: their new rows are left out, the ones they changed are as before. */
int ti_load_set(struct cf_db *db, struct cf_ti_set **ret, int64_t *ret_next_us, struct cf_error *reterr);
bool ti_uuid_bytes(cf_str id, uint8_t out[16]);
void ti_uuid_text(const uint8_t id[16], char out[37]);
int ti_expire(struct cf_db *db, int64_t now_us, int64_t *ret_n, struct cf_error *reterr);
const char *ti_tlp_name(int64_t tlp); /* clear green amber amber+strict red */
int ti_tlp_parse(cf_str s);           /* -1: none of them */
const char *ti_severity_name(int64_t s);
int ti_severity_parse(cf_str s);

/* ---- exclude.c ---- */
struct ti_excluded;
int ti_excluded_load(struct cf_db *db, const char *content_dir, struct ti_excluded **ret, struct cf_error *reterr);
void ti_excluded_free(void *x);
size_t ti_excluded_count(const struct ti_excluded *x);
/* Name of the list that knows this value as harmless; .p NULL: none. */
cf_str ti_excluded_by(const struct ti_excluded *x, const struct cf_ti_value *v);
json_t *ti_excluded_lists(const struct ti_excluded *x); /* [{id,name,origin,values}], new reference */
/* A MISP warning list or {"name","list":[...]}; *ret_report: {added, bad...}. */
int ti_exclusion_import(struct cf_db *db, const json_t *doc, json_t **ret_report, struct cf_error *reterr);

/* ---- import.c: recognises the format, streams what can be streamed ---- */
struct ti_import;
struct ti_import_options {
    cf_str format;          /* "" by content: stix misp gbt csv list hosts warninglist */
    enum cf_ti_type type;   /* of lists; CF_TI_ANY */
    cf_str columns;         /* CSV: "value,type,-,confidence": names by position; "" the header line */
    cf_str threat_type, family;
};
int ti_import_new(struct ti_writer *w, const struct ti_import_options *o, struct ti_import **ret, struct cf_error *reterr);
int ti_import_feed(struct ti_import *im, cf_str piece, struct cf_error *reterr);
int ti_import_end(struct ti_import *im, struct cf_error *reterr);
const char *ti_import_format(const struct ti_import *im);
bool ti_import_whole(const struct ti_import *im); /* the format is read as a whole */
void ti_import_free(struct ti_import *im); /* NULL is fine */

/* ---- import_job.c, import_back.c: imports in the background, one at a time, all or nothing ---- */
struct ti_job;
struct ti_progress {
    char id[40], name[200], state[16]; /* uploading running undoing; id "": no import is there */
    int64_t bytes, uploaded, read_bytes, read, written, repeated, bad, conflicts, unmatchable, objects;
    bool whole; /* the format is read as a whole: bytes say nothing about what is left */
    bool cancel;
};
struct ti_job_new {
    cf_str name, source, user_id, user_name, org;
    struct ti_import_options o;
    bool active;
    int64_t bytes; /* announced, 0: unknown */
    bool fetched, docs; /* fetched: from fd, by a source on schedule; docs: MISP documents, one a line */
    int fd;        /* stays the caller's */
};
int ti_job_begin(struct cf_ti *ti, const char *dir, const struct ti_job_new *n, struct ti_job **ret, struct cf_error *reterr); /* CF_ECONFLICT: another one is there */
/* An open file of the folder that ends with its descriptor; nameless false: as where files without a name do not exist. */
int ti_temp_file(const char *dir, bool nameless, int *ret, struct cf_error *reterr);
const char *ti_job_id(const struct ti_job *j);
int ti_job_piece(struct ti_job *j, cf_str piece, struct cf_error *reterr);
int ti_job_start(struct ti_job *takes, struct cf_error *reterr);                  /* the upload is whole: goes on in the background */
int ti_job_run(struct ti_job *takes, json_t **ret_report, struct cf_error *reterr); /* the same, and waits */
void ti_job_abandon(struct ti_job *takes);                                        /* the upload broke off; NULL is fine */
bool ti_job_progress(struct cf_ti *ti, cf_str id, struct ti_progress *ret);       /* false: it is over, or never was */
int ti_job_wait_place(struct cf_ti *ti, struct cf_error *reterr);                 /* until no import is there; CF_ECANCELLED: the server ends */
bool ti_job_cancel(struct cf_ti *ti, cf_str id);                                  /* false: it is over */
int ti_job_recover(struct cf_ti *ti, struct cf_error *reterr);                    /* at the start: what a crash left is taken back, in the background */
void ti_job_stop(struct cf_ti *ti);                                               /* ends the running one as a crash would */

/* ---- formats ---- */
struct ti_csv {
    int col[16];           /* index into ti_csv_cols, -1 unused */
    size_t n_cols;
    char sep;
    bool ready;
};
int ti_list_line(struct ti_writer *w, cf_str line, enum cf_ti_type type, bool hosts, const struct ti_import_options *o, struct cf_error *reterr);
bool ti_csv_header(struct ti_csv *c, cf_str line);
bool ti_csv_columns(struct ti_csv *c, cf_str names);
int ti_csv_line(struct ti_writer *w, struct ti_csv *c, cf_str line, const struct ti_import_options *o, struct cf_error *reterr);
int ti_stix_object(struct ti_writer *w, const json_t *obj, struct cf_error *reterr);
int ti_misp_doc(struct ti_writer *w, const json_t *doc, struct cf_error *reterr);
/* XML -> the JSON form; *ret is a new reference. CF_ESYNTAX says where. */
int ti_gbt_xml(cf_str text, json_t **ret, struct cf_error *reterr);
/* Key of the list that `name` means: its own name in either language (*ret_whole), or one component of it. NULL: none. */
const char *ti_gbt_component(cf_str name, bool *ret_whole);
int ti_gbt_doc(struct ti_writer *w, const json_t *doc, struct cf_error *reterr);
json_t *ti_gbt_export(struct cf_db *db, const char *where, const struct cf_dbval *v, size_t n_v, int64_t limit, struct cf_error *reterr);

/* STIX patterns (pattern.c): what of them can be matched one value at a time. */
struct ti_atom {
    struct cf_ti_value value;
    char cond[600];        /* other comparisons of the same AND, as conditions on event fields */
};
typedef int (*ti_atom_fn)(void *ctx, const struct ti_atom *atom, struct cf_error *reterr);
/* Calls fn for each alternative. 0, or CF_EUNSUPPORTED with the reason (nothing was called), CF_ESYNTAX, or fn's error. */
int ti_pattern_atoms(cf_str pattern, ti_atom_fn fn, void *ctx, struct cf_error *reterr);

/* STIX out */
json_t *ti_stix_of_row(const struct cf_stmt *st); /* columns of TI_STIX_COLS */
struct ti_stix_gone {
    cf_str id, type, value; /* id without "indicator--" */
    int64_t tlp, created_us, modified_us;
};
json_t *ti_stix_gone(const struct ti_stix_gone *g); /* a revoked indicator: what names it, nothing more */
#define TI_STIX_COLS \
    "i.id, i.type, i.value, i.threat_type, i.family, i.grp, i.confidence, i.severity, i.tlp, i.valid_from_us, i.valid_until_us, i.first_seen_us, " \
    "i.description, i.tags, i.techniques, i.status, i.added_us, i.updated_us, s.name, i.cond, COALESCE(i.out_id, i.id)"
json_t *ti_time(int64_t us); /* RFC 3339 or null */
void ti_pattern_text(enum cf_ti_type t, cf_str value, struct cf_buf *out);
const char *ti_tlp_marking(int64_t tlp); /* STIX 2.1 id of the TLP marking definition */

/* ---- out.c: what leaves, by feed, export and TAXII ---- */
struct ti_select {
    cf_str types;            /* "ipv4,domain"; "" all */
    int64_t min_confidence, tlp_max;
    cf_str source, status;   /* "" any source; "" active and still valid */
};
/* Appends the condition over i (ti_indicator) and its values (at most 24). CF_EINVAL: unknown type. */
int ti_select_sql(const struct ti_select *s, struct cf_buf *sql, struct cf_dbval *v, size_t *n_v, struct cf_error *reterr);
int ti_types_sql(cf_str types, struct cf_buf *sql, struct cf_dbval *v, size_t *n_v, struct cf_error *reterr); /* the part about types */
/* format: txt, csv, stix, gbt. *ret_n: items written. */
int ti_write(struct cf_db *db, const struct ti_select *s, cf_str format, int64_t limit, struct cf_buf *out, int64_t *ret_n, struct cf_error *reterr);
const char *ti_format_type(cf_str format); /* media type, NULL: no such format */

/* ---- engine ---- */
/* A thread for one kind of work that may take minutes; a fetch that waits for an import does not hold up the hunts. */
struct ti_worker {
    struct cf_ti *ti;
    int (*step)(struct cf_ti *ti);
    pthread_t thread;
    bool on, run;
};
enum { TI_FETCHES, TI_HUNTS, TI_WORKERS };

struct cf_ti {
    struct cf_ti_options o;
    char *content_dir, *key_file, *data_dir;
    struct cf_shared set, excluded;
    pthread_mutex_t mu;             /* what follows */
    pthread_cond_t wake, wake_jobs, wake_place; /* wake_place: the import that was there is over, or the server ends */
    bool stop, dirty;
    char cancel_hunt[40], running_hunt[40];
    struct ti_progress import;      /* the import that is there */
    struct ti_count *counts;        /* hits not yet written */
    size_t n_counts, cap_counts;
    int64_t loaded_us, next_from_us; /* next_from_us: the set misses an indicator from then on */
    double load_seconds;
    _Atomic uint64_t hits;
    uint64_t builds;
    _Atomic bool ending;            /* what runs long gives up */
    pthread_t thread;
    bool thread_on;
    struct ti_worker worker[TI_WORKERS]; /* run: under mu */
    pthread_mutex_t importer_mu;    /* what follows */
    pthread_t importer;
    bool importer_on;
    struct cf_rule_info *rule;      /* TI_RULES * 5 levels */
    struct cf_arena rules_arena;
};
struct ti_count {
    uint8_t id[16];
    char org[40];
    uint16_t field;
    uint32_t n;
    int64_t first_us, last_us;
};
enum ti_rule { TI_RULE_IP, TI_RULE_DOMAIN, TI_RULE_URL, TI_RULE_FILE, TI_RULE_EMAIL, TI_RULE_TLS, TI_RULE_OTHER, TI_RULES };
int ti_rules_load(struct cf_ti *ti, struct cf_error *reterr);
const struct cf_rule_info *ti_rule_for(const struct cf_ti *ti, const struct cf_ti_entry *e, const struct cf_ti_info *info);
/* Sets threat.* on the event from the strongest finding. */
int ti_tag_event(struct cf_event *ev, const struct cf_ti_set *set, const struct cf_ti_found *found, size_t n);
void ti_counts_add(struct cf_ti *ti, const struct ti_count *c, size_t n);
int ti_counts_write(struct cf_ti *ti, const char *kind, struct cf_error *reterr);

/* ---- fetch.c, hunt.c: each in a thread of its own ---- */
void ti_jobs_wake(struct cf_ti *ti);                       /* NULL is fine */
int ti_fetch_due(struct cf_ti *ti);                        /* sources whose time has come */
int ti_fetch_one(struct cf_ti *ti, cf_str source_id, json_t **ret_report, struct cf_error *reterr);
int ti_hunt_next(struct cf_ti *ti);                        /* oldest queued hunt; 1: one was run */

void ti_indicator_routes(void);
void ti_import_routes(void);
void ti_source_routes(void);
void ti_hunt_routes(void);
void ti_feed_routes(void);
void ti_taxii_routes(void);
void ti_collection_routes(void);
void ti_stats_routes(void);

#endif
