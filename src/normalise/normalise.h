/* SPDX-License-Identifier: Apache-2.0
 * normalise: raw record -> ECS event. Formats split text into pairs; source files (content/sources/NAME.yaml) recognise
 * whose text it is and map the pairs to fields. A normaliser is immutable after load and shared by all threads; each
 * thread has its own scratch. Reload = load a new one and swap the pointer. */
#ifndef CF_NORMALISE_NORMALISE_H
#define CF_NORMALISE_NORMALISE_H

#include "base/base.h"
#include "event/event.h"

struct cf_normaliser;
struct cf_stream;
struct cf_norm_thread;

struct cf_norm_options {
    const char *sources_dir;   /* content/sources */
    const char *custom_dir;    /* source files people made (DATA/content/sources), NULL or absent: none. A broken one is left out with
                                * a line in the log; it never keeps the others from loading. */
    struct cf_stream *streams; /* column headers kept over reloads (cf_streams_new); NULL: the normaliser's own */
    cf_str extra_file, extra_yaml; /* one more source that is in no folder yet (tests of the wizard); errors of it are errors */
    int64_t now_us;            /* for timestamps without a year; 0: the clock */
    cf_str zone;               /* default zone of sources that state none: "+08:00", "Asia/Shanghai" or "local" */
    int64_t clock_limit_us;    /* flag events whose time is further from receiving time than this; 0: 24 h */
};
/* Every source file is checked; on a broken one: *reterr says file, line and reason and nothing is loaded. */
int cf_normaliser_load(const struct cf_norm_options *opt, struct cf_normaliser **ret, struct cf_error *reterr);
void cf_normaliser_free(struct cf_normaliser *n);
size_t cf_normaliser_sources(const struct cf_normaliser *n); /* number of source files */
const char *cf_normaliser_source_name(const struct cf_normaliser *n, size_t i);
struct cf_source_type {
    cf_str name, doc, file;    /* file: its path */
    cf_str format;             /* names of the formats it accepts, separated by blanks */
    bool custom;
};
bool cf_normaliser_source_type(const struct cf_normaliser *n, size_t i, struct cf_arena *a, struct cf_source_type *ret);
bool cf_normaliser_has_format(cf_str name);

/* What events of a source file may hold, as far as its text says (for "can this rule ever fire"). */
struct cf_source_field {
    cf_str name;         /* ECS name or full name of an extra */
    cf_str raw;          /* name in the source's own records; empty: the file makes the value */
    bool any;            /* values are not known beforehand */
    size_t n_value;      /* any false: only these */
    const cf_str *value;
};
struct cf_source_fields {
    cf_str source;
    bool open;           /* keys the file does not name are kept under their own names */
    size_t n;
    const struct cf_source_field *field;
};
/* i < cf_normaliser_sources. Lists live in a, texts in n. 0 or CF_ENOMEM. */
int cf_normaliser_fields(const struct cf_normaliser *n, size_t i, struct cf_arena *a, struct cf_source_fields *ret);

struct cf_norm_thread *cf_norm_thread_new(const struct cf_normaliser *n); /* one per worker */
void cf_norm_thread_free(struct cf_norm_thread *t);
/* Always makes one event (never loses a record): what no source understands becomes event.kind pipeline_error with
 * error.message, and event.original as always. The record's bytes must live as long as the arena. Records whose text is
 * not UTF-8 are read as GB18030 when that fits, otherwise invalid bytes become U+FFFD in fields (the original is kept).
 * 0 or CF_ENOMEM. */
/* Column headers of Zeek, W3C and CSV, for as long as their senders use them. Successive normalisers share one through
 * cf_norm_options; it outlives them. Thread-safe. */
struct cf_stream *cf_streams_new(void);
void cf_streams_free(struct cf_stream *s);
/* Durable on return when a header changed since the last save. Positions are those of the spool with this id. */
int cf_streams_save(struct cf_stream *s, const char *path, uint64_t spool_id, struct cf_error *reterr);
int cf_streams_load(struct cf_stream *s, const char *path, uint64_t spool_id, struct cf_error *reterr);
/* Tells about a record before any thread normalises one that comes behind it: header lines take effect. Records in order of
 * their seq. Cheap for all other records; not needed where one thread normalises in order. */
void cf_norm_announce(struct cf_norm_thread *t, struct cf_arena *arena, const struct cf_record *rec);
int cf_normalise(struct cf_norm_thread *t, struct cf_arena *arena, const struct cf_record *rec, struct cf_event **ret);

#endif
