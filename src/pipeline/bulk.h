/* SPDX-License-Identifier: Apache-2.0
 * Bodies of any size that are records: events and raw records (bulk.c), journals (journal_upload.c). */
#ifndef CF_PIPELINE_BULK_H
#define CF_PIPELINE_BULK_H

#include "api/route.h"
#include "normalise/journal_cut.h"
#include "normalise/json_node.h"
#include "pipeline/bulk_keys.h"
#include "pipeline/pipeline_int.h"

#define BULK_GATHER 2048

/* One request; lives in req->state. */
struct bulk {
    struct cf_pipeline *p;
    char format[32];        /* "json"; raw records: hint, "" by content */
    struct cf_source_info info;
    char peer[256];
    struct cf_json *json;
    struct cf_buf part;     /* line that is not complete yet */
    struct cf_buf text;     /* lines gathered */
    size_t end[BULK_GATHER];     /* ends of the gathered lines in text */
    size_t n;
    bool skip;              /* rest of a line that is too long */
    uint64_t line, accepted, rejected;
    json_t *errors;
    struct cf_db *db;
    struct bulk_key key;    /* id "": none */
    struct cf_journal_cut *cut; /* of an uploaded journal */
};

/* Begins a request whose records belong to that data source when the caller may see it, else to the caller's organisation. */
int bulk_begin(struct cf_req *req, cf_str source, struct bulk **ret, struct cf_error *reterr);
int bulk_record(struct bulk *b, cf_str rec, struct cf_error *reterr);      /* copied */
int bulk_flush(struct bulk *b, bool durable, struct cf_error *reterr); /* what is gathered goes to the spool */
int bulk_last(struct bulk *b, struct cf_error *reterr);                 /* all of it is on disk, or an error (507) */

#endif
