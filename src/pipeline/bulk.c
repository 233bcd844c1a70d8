/* SPDX-License-Identifier: Apache-2.0
 * POST /api/v1/events:bulk?source=NAME: newline-delimited JSON of any size, piece by piece. Good lines go to the spool,
 * bad ones are named with their line number; the answer is given when the good ones are on disk.
 *
 *   piece -> lines -> JSON object? -> gathered -> spool        end: wait for the disk, answer
 *
 * Idempotency-Key: see bulk_keys.h. */
#include <stdio.h>
#include <stdlib.h>

#include "api/route.h"
#include "app/app.h"
#include "collect/framing.h"
#include "normalise/input.h"
#include "normalise/json_node.h"
#include "pipeline/bulk.h"

#define LINE_MAX_BYTES ((size_t)4 << 20)
#define GATHER_BYTES ((size_t)1 << 20)
#define ERRORS_MAX 100
#define WAIT_MS 30000

static void bulk_free(void *v)
{
    struct bulk *b = v;

    if (b->cut)
        cf_journal_cut_release(b->cut);
    free(b->cut);
    cf_json_free(b->json);
    cf_buf_release(&b->part);
    cf_buf_release(&b->text);
    json_decref(b->errors);
    json_decref(b->key.errors);
    if (b->key.id[0] && !b->key.repeated) /* no answer came */
        bulk_key_drop(b->db, &b->key);
    free(b);
}

/* Whose records: the data source of that name when the caller may see it, else the caller's organisation. */
static int bulk_origin(struct cf_req *req, cf_str name, struct bulk *b, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    struct cf_tx *tx = NULL;
    bool may;
    int r;

    if (name.n >= sizeof b->info.name || !cf_utf8_valid(name))
        return cf_req_field_error(req, "source", "a name of 1 to %zu bytes is expected", sizeof b->info.name - 1);
    if (!cf_pipeline_source(b->p, name, &b->info)) {
        (void)snprintf(b->info.name, sizeof b->info.name, "%.*s", CF_ARG(name));
        (void)snprintf(b->info.source, sizeof b->info.source, "%.*s", (int)(name.n < 63 ? name.n : 63), name.p);
        (void)snprintf(b->info.org, sizeof b->info.org, "%.*s", CF_ARG(req->who->org_id));
        return 0;
    }
    if (!b->info.enabled)
        return cf_error_set(reterr, CF_EPERM, "data source \"%s\" is disabled", b->info.name);
    r = cf_tx_begin(app->db, CF_TX_READ, &tx, reterr);
    if (r < 0)
        return r;
    may = cf_scope_has_org(tx, req->who, cf_str_c(b->info.org));
    cf_tx_rollback(&tx);
    return may ? 0 : cf_error_set(reterr, CF_EPERM, "data source \"%s\" belongs to an organisation outside your scope", b->info.name);
}

int bulk_begin(struct cf_req *req, cf_str name, struct bulk **ret, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    cf_str key = cf_req_header(req, "Idempotency-Key");
    struct bulk *b = calloc(1, sizeof *b);
    int r;

    if (!app->pipeline) {
        free(b);
        return cf_error_set(reterr, CF_EBUSY, "the pipeline is not running");
    }
    if (!b)
        return cf_error_set(reterr, CF_ENOMEM, "bulk request");
    req->state = b;
    req->state_free = bulk_free;
    b->p = app->pipeline;
    (void)snprintf(b->format, sizeof b->format, "json");
    cf_buf_init(&b->part, (size_t)CF_INPUT_RECORD_MAX + (1u << 20));
    cf_buf_init(&b->text, (size_t)CF_INPUT_RECORD_MAX * 2);
    b->json = cf_json_new();
    b->errors = json_array();
    if (!b->json || !b->errors)
        return cf_error_set(reterr, CF_ENOMEM, "bulk request");
    (void)snprintf(b->peer, sizeof b->peer, "%.*s", (int)(req->peer.n < 255 ? req->peer.n : 255), req->peer.p ? req->peer.p : "");
    r = bulk_origin(req, name, b, reterr);
    if (r < 0)
        return r;
    b->db = app->db;
    *ret = b;
    return key.n ? bulk_key_begin(app->db, req->who->user_id, key, cf_now_us(), &b->key, reterr) : 0;
}

int bulk_flush(struct bulk *b, bool durable, struct cf_error *reterr)
{
    struct cf_spool_origin o = {.source = cf_str_c(b->info.source), .format = cf_str_c(b->format), .peer = cf_str_c(b->peer),
                                .org = cf_str_c(b->info.org), .key = cf_str_c(b->info.name), .received_us = cf_now_us()};
    cf_str rec[BULK_GATHER];
    size_t at = 0;
    int r;

    if (b->n == 0)
        return 0;
    for (size_t i = 0; i < b->n; i++) {
        rec[i] = cf_str_n(b->text.p + at, b->end[i] - at);
        at = b->end[i];
    }
    r = cf_pipeline_append(b->p, &o, rec, b->n, durable, WAIT_MS, reterr);
    if (r < 0)
        return r;
    b->accepted += b->n;
    b->n = 0;
    cf_buf_clear(&b->text);
    return 0;
}

int bulk_last(struct bulk *b, struct cf_error *reterr)
{
    int r = bulk_flush(b, true, reterr);

    if (r == CF_ETIMEOUT || r == CF_EIO)
        reterr->code = r = CF_EFULL; /* 507: not on disk for certain */
    return r;
}

static void bulk_reject(struct bulk *b, const char *why)
{
    b->rejected++;
    cf_counter_reject(cf_counters_get(b->p->counters, cf_str_c(b->info.name), cf_str_c(b->info.org)), 1);
    if (json_array_size(b->errors) < ERRORS_MAX)
        (void)json_array_append_new(b->errors, json_pack("{s:I,s:s}", "line", (json_int_t)b->line, "message", why));
}

static int bulk_line(struct bulk *b, cf_str line, struct cf_error *reterr)
{
    const char *why;
    size_t n = 0;

    b->line++;
    line = cf_str_trim(line);
    if (line.n == 0)
        return 0;
    if (line.n > LINE_MAX_BYTES) {
        bulk_reject(b, "the line is longer than 4 MiB");
        return 0;
    }
    why = cf_json_stage(b->json, line.p, line.n);
    if (!why && (cf_json_nodes(b->json, &n)->kind != CF_J_OBJ || n == 0))
        why = "a JSON object is expected on each line";
    if (why) {
        bulk_reject(b, why);
        return 0;
    }
    if (b->n == BULK_GATHER || b->text.n + line.n > GATHER_BYTES) {
        int r = bulk_flush(b, false, reterr);

        if (r < 0)
            return r;
    }
    cf_buf_str(&b->text, line);
    if (b->text.failed)
        return cf_error_set(reterr, CF_ENOMEM, "bulk request");
    b->end[b->n++] = b->text.n;
    return 0;
}

static int json_begin(struct cf_req *req, struct bulk **ret, struct cf_error *reterr)
{
    cf_str name = cf_req_query(req, "source");

    return bulk_begin(req, name.n ? name : CF_STR("http"), ret, reterr);
}

static int bulk_piece(struct cf_req *req, cf_str piece, struct cf_error *reterr)
{
    struct bulk *b = req->state;
    int r = 0;

    if (!b && (r = json_begin(req, &b, reterr)) < 0)
        return r;
    while (piece.n && !b->key.repeated) {
        const char *lf = memchr(piece.p, '\n', piece.n);
        size_t n = lf ? (size_t)(lf - piece.p) : piece.n;
        cf_str line = cf_str_n(piece.p, n);

        piece = cf_str_sub(piece, n + (lf ? 1 : 0), piece.n);
        if (b->skip) {
            b->skip = !lf;
            continue;
        }
        if (b->part.n || !lf) {
            if (b->part.n + n > LINE_MAX_BYTES) {
                b->line++;
                bulk_reject(b, "the line is longer than 4 MiB");
                cf_buf_clear(&b->part);
                b->skip = !lf;
                continue;
            }
            cf_buf_str(&b->part, line);
            if (b->part.failed)
                return cf_error_set(reterr, CF_ENOMEM, "bulk request");
            if (!lf)
                break;
            line = cf_buf_view(&b->part);
        }
        r = bulk_line(b, line, reterr);
        cf_buf_clear(&b->part);
        if (r < 0)
            return r;
    }
    return 0;
}

static int post_bulk(struct cf_req *req, struct cf_error *reterr)
{
    struct bulk *b = req->state;
    int r = b ? 0 : json_begin(req, &b, reterr);

    if (r == 0 && !b->key.repeated && b->part.n)
        r = bulk_line(b, cf_buf_view(&b->part), reterr);
    if (r == 0 && !b->key.repeated)
        r = bulk_last(b, reterr);
    if (r < 0)
        return r;
    if (b->key.repeated) {
        cf_reply_json(req, 200, json_pack("{s:I,s:I,s:O?}", "accepted", (json_int_t)b->key.accepted, "rejected", (json_int_t)b->key.rejected, "errors", b->key.errors));
        return 0;
    }
    if (b->key.id[0]) {
        r = bulk_key_answer(b->db, &b->key, b->accepted, b->rejected, b->errors, reterr);
        if (r < 0)
            return r;
        b->key.id[0] = '\0'; /* kept */
    }
    cf_reply_json(req, 200, json_pack("{s:I,s:I,s:O}", "accepted", (json_int_t)b->accepted, "rejected", (json_int_t)b->rejected, "errors", b->errors));
    return 0;
}

/* ---- raw records: what `chengfang ingest` sends beside a running server ------------------------------------------------ */

int bulk_record(struct bulk *b, cf_str rec, struct cf_error *reterr)
{
    int r = 0;

    if (b->n == BULK_GATHER || (b->n && b->text.n + rec.n > GATHER_BYTES))
        r = bulk_flush(b, false, reterr);
    if (r < 0)
        return r;
    cf_buf_str(&b->text, rec);
    if (b->text.failed)
        return cf_error_set(reterr, CF_ENOMEM, "records");
    b->end[b->n++] = b->text.n;
    return 0;
}

static int raw_begin(struct cf_req *req, struct bulk **ret, struct cf_error *reterr)
{
    cf_str format = cf_req_query(req, "format"), peer = cf_req_query(req, "peer"), source = cf_req_query(req, "source");
    int r = bulk_begin(req, source.n ? source : CF_STR("http"), ret, reterr);

    if (r < 0)
        return r;
    if (format.n && !cf_normaliser_has_format(format) && !cf_str_eqz(format, CF_INPUT_OVERSIZE))
        return cf_req_field_error(req, "format", "there is no such format");
    (void)snprintf((*ret)->format, sizeof (*ret)->format, "%.*s", CF_ARG(format));
    if (peer.n)
        (void)snprintf((*ret)->peer, sizeof (*ret)->peer, "%.*s", CF_ARG(peer));
    if (source.n == 0)
        (*ret)->info.source[0] = '\0';
    return 0;
}

/* Each record is its length in decimal, one space, its bytes. */
static int raw_piece(struct cf_req *req, cf_str piece, struct cf_error *reterr)
{
    struct cf_framing f = {.max = CF_INPUT_RECORD_MAX, .mode = CF_FRAMING_OCTET};
    struct bulk *b = req->state;
    size_t at = 0, k = 1, used = 1;
    cf_str rec[256];
    int r = 0;

    if (!b && (r = raw_begin(req, &b, reterr)) < 0)
        return r;
    cf_buf_str(&b->part, piece);
    if (b->part.failed)
        return cf_error_set(reterr, CF_ELIMIT, "a record is larger than %u bytes", CF_INPUT_RECORD_MAX);
    while (at < b->part.n && used > 0) {
        if (cf_framing_next(&f, b->part.p + at, b->part.n - at, rec, 256, &k, &used) < 0)
            return cf_error_set(reterr, CF_ESYNTAX, "a record must begin with its length and a space");
        for (size_t i = 0; i < k && r == 0; i++)
            r = bulk_record(b, rec[i], reterr);
        if (r < 0)
            return r;
        at += used;
    }
    memmove(b->part.p, b->part.p + at, b->part.n - at);
    b->part.n -= at;
    return 0;
}

static int post_raw(struct cf_req *req, struct cf_error *reterr)
{
    struct bulk *b = req->state;
    int r = b ? 0 : raw_begin(req, &b, reterr);

    if (r == 0 && b->part.n)
        r = cf_error_set(reterr, CF_ESYNTAX, "the last record is not complete");
    if (r == 0)
        r = bulk_last(b, reterr);
    if (r < 0)
        return r;
    cf_reply_json(req, 200, json_pack("{s:I}", "accepted", (json_int_t)b->accepted));
    return 0;
}

static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/api/v1/events:bulk", .permission = "event.ingest", .handler = post_bulk, .on_body = bulk_piece,
     .flags = CF_RF_STREAM_BODY | CF_RF_RAW_BODY | CF_RF_NO_AUDIT,
     .reply = "{\"type\":\"object\",\"required\":[\"accepted\",\"rejected\",\"errors\"],\"properties\":{\"accepted\":{\"type\":\"integer\"},"
              "\"rejected\":{\"type\":\"integer\"},\"errors\":{\"type\":\"array\"}}}",
     .doc = "Newline-delimited JSON events (query: source=NAME; gzip or zstd allowed); answered once they are durable"},
    {.method = CF_POST, .path = "/api/v1/records:bulk", .permission = "event.ingest", .handler = post_raw, .on_body = raw_piece,
     .flags = CF_RF_STREAM_BODY | CF_RF_RAW_BODY | CF_RF_NO_AUDIT,
     .doc = "Raw records of any format, each with its length before it (query: source, format, peer); answered once they are durable"},
};

void pipeline_bulk_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
