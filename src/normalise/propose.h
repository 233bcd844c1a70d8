/* SPDX-License-Identifier: Apache-2.0
 * The source wizard: some lines of a log nobody described -> a source file that reads them, with a reason for each choice.
 *
 *   lines ─► recognised? ─► format ─► keys and samples ─► time ─► fields ─► YAML text ─► compiled ─► rows
 *                           (votes)   (or text mining)            (names, shapes)
 *
 * Everything lives in the caller's arena. Nothing is kept between calls; any thread may call. */
#ifndef CF_NORMALISE_PROPOSE_H
#define CF_NORMALISE_PROPOSE_H

#include "normalise/normalise.h"

#define CF_PROPOSE_LINES_MAX 1000
#define CF_PROPOSE_BYTES_MAX (1u << 20)
#define CF_PROPOSE_SAMPLES 3

struct cf_keynames; /* content/taxonomy/keys.yaml, compiled */
int cf_keynames_load(struct cf_arena *a, const char *path, struct cf_keynames **ret, struct cf_error *reterr);

struct cf_prop_field {
    cf_str key;       /* as the log writes it */
    cf_str field;     /* ECS field, or the source's own dotted name; empty: time, or not kept */
    cf_str convert;   /* conversion of content/sources, empty: none */
    cf_str reason;    /* one sentence */
    double confidence; /* 0 .. 1 */
    cf_str sample[CF_PROPOSE_SAMPLES];
    size_t n_samples;
    size_t count;     /* lines that have it */
    bool time;        /* read as the event's time */
};
struct cf_proposal {
    const char *format; /* json eve evtx-json cef leef kv csv zeek w3c access text */
    bool syslog;        /* lines stand behind a syslog header */
    cf_str yaml;
    size_t n;
    struct cf_prop_field *field;
    size_t n_pattern;
    cf_str *pattern;    /* text and access: the templates found */
    cf_str header;      /* zeek, w3c: header lines the rows need in front */
};
struct cf_propose_in {
    const char *id;                  /* name of the new source */
    const cf_str *line;              /* UTF-8, no line ends */
    size_t n;
    const struct cf_normaliser *norm; /* sources in use: their maps are experience */
    const struct cf_keynames *names;
};
/* CF_EINVAL when there is nothing to look at. */
int cf_propose(struct cf_arena *a, const struct cf_propose_in *in, struct cf_proposal *ret, struct cf_error *reterr);

struct cf_row_value {
    cf_str field, value;
    int64_t start, end; /* bytes of the line the value was taken from; -1: it does not stand there as it is */
};
struct cf_row {
    cf_str text;
    size_t n;
    struct cf_row_value *v;
    cf_str source;      /* who understood it, empty: nobody */
    cf_str error;       /* .p NULL: none */
    int64_t time_us;    /* CF_TIME_NONE: the line said none */
    bool header;        /* column names, not an event */
};
/* Runs lines through t's normaliser. source empty: recognition by content. */
int cf_rows(struct cf_arena *a, struct cf_norm_thread *t, cf_str source, const cf_str *line, size_t n, struct cf_row *ret, struct cf_error *reterr);

#endif
