/* SPDX-License-Identifier: Apache-2.0
 * What systemd-journal-upload sends: POST .../upload with the journal export format, chunked, of any size. Entries go to the
 * spool as they come; the answer is 200 only when all of them are on disk, and the peer moves its own mark then. An upload
 * that breaks off is sent again from that mark: entries of it that were taken come twice, none is lost.
 *
 *   piece -> entries (normalise/journal_cut.h) -> gathered -> spool        end: wait for the disk, answer */
#include <stdlib.h>

#include "pipeline/bulk.h"

#define TYPE "application/vnd.fdo.journal"

static int journal_begin(struct cf_req *req, struct bulk **ret, struct cf_error *reterr)
{
    cf_str name = cf_req_path(req, "source"), type = cf_req_header(req, "Content-Type");
    struct bulk *b;
    int r;

    if (!cf_str_istarts(type, CF_STR(TYPE)))
        return cf_error_set(reterr, CF_EINVAL, "Content-Type must be " TYPE " (the journal export format)");
    r = bulk_begin(req, name.n ? name : CF_STR("journald"), ret, reterr);
    if (r < 0)
        return r;
    b = *ret;
    b->format[0] = '\0'; /* entries are known by their first field */
    if (!cf_pipeline_source(b->p, cf_str_c(b->info.name), &b->info))
        b->info.source[0] = '\0'; /* nobody said what these are: each entry by its content */
    b->cut = malloc(sizeof *b->cut);
    if (!b->cut)
        return cf_error_set(reterr, CF_ENOMEM, "journal upload");
    cf_journal_cut_init(b->cut);
    return 0;
}

static int journal_piece(struct cf_req *req, cf_str piece, struct cf_error *reterr)
{
    struct bulk *b = req->state;
    cf_str entry;
    int r = 0;

    if (!b && (r = journal_begin(req, &b, reterr)) < 0)
        return r;
    while ((r = cf_journal_cut_next(b->cut, &piece, &entry, reterr)) == 1) {
        b->line++;
        r = bulk_record(b, entry, reterr);
        if (r < 0)
            return r;
    }
    if (r == CF_ESYNTAX)
        cf_error_context(reterr, "entry %llu", (unsigned long long)b->line + 1);
    return r;
}

static int post_journal(struct cf_req *req, struct cf_error *reterr)
{
    struct bulk *b = req->state;
    int r = b ? 0 : journal_begin(req, &b, reterr);

    if (r == 0)
        r = bulk_last(b, reterr); /* what was whole is kept, whatever comes of the rest */
    if (r < 0)
        return r;
    if (cf_journal_cut_open(b->cut))
        return cf_error_set(reterr, CF_ESYNTAX, "the last entry is not complete: an empty line is missing behind it; the %llu entries before it are kept",
                            (unsigned long long)b->accepted);
    cf_reply_json(req, 200, json_pack("{s:I,s:I}", "accepted", (json_int_t)b->accepted, "fields_left_out", (json_int_t)b->cut->left_out));
    return 0;
}

#define REPLY "{\"type\":\"object\",\"required\":[\"accepted\",\"fields_left_out\"],\"properties\":{\"accepted\":{\"type\":\"integer\"},\"fields_left_out\":{\"type\":\"integer\"}}}"
static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/upload", .permission = "event.ingest", .handler = post_journal, .on_body = journal_piece,
     .flags = CF_RF_STREAM_BODY | CF_RF_RAW_BODY | CF_RF_NO_AUDIT | CF_RF_BASIC, .reply = REPLY,
     .doc = "Entries of systemd-journal-upload (" TYPE "; data source journald); the token may be the password in the address; answered once they are durable"},
    {.method = CF_POST, .path = "/api/v1/journal/{source}/upload", .permission = "event.ingest", .handler = post_journal, .on_body = journal_piece,
     .flags = CF_RF_STREAM_BODY | CF_RF_RAW_BODY | CF_RF_NO_AUDIT | CF_RF_BASIC, .reply = REPLY,
     .doc = "As /upload, for a data source: systemd-journal-upload --url=https://NAME:TOKEN@HOST:PORT/api/v1/journal/SOURCE"},
};

void pipeline_journal_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
