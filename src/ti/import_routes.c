/* SPDX-License-Identifier: Apache-2.0
 * Imports over HTTP: any size, piece by piece; a dry run shows what would happen. Exclusion lists. TI-005, TI-007, TI-008, TI-019. */
#include <stdio.h>
#include <stdlib.h>

#include "api/list.h"
#include "app/app.h"
#include "ti/ti_int.h"

/* An upload is either tried (dry run: read at once, nothing written) or a job. */
struct upload {
    struct cf_app *app;
    struct cf_shared_box *box;
    struct ti_source source;
    struct ti_writer w;
    struct ti_import *im;
    struct ti_job *job;
    int64_t t0;
};

static void upload_free(void *p)
{
    struct upload *u = p;

    if (!u)
        return;
    ti_job_abandon(u->job); /* not started: the upload broke off */
    ti_import_free(u->im);
    ti_writer_release(&u->w);
    if (u->app->ti)
        cf_shared_put(&u->app->ti->excluded, u->box);
    free(u);
}

static int begin_dry(struct upload *u, cf_str source, const struct ti_import_options *o, struct cf_error *reterr)
{
    int r = ti_source_read(u->app->db, source, &u->source, reterr);

    if (r < 0)
        return r;
    u->box = u->app->ti ? cf_shared_get(&u->app->ti->excluded) : NULL;
    u->w = (struct ti_writer){.db = u->app->db, .source = &u->source, .excluded = u->box ? u->box->p : NULL, .dry = true};
    r = ti_writer_begin(&u->w, reterr);
    return r < 0 ? r : ti_import_new(&u->w, o, &u->im, reterr);
}

static int begin_job(struct cf_req *req, struct upload *u, cf_str source, const struct ti_import_options *o, struct cf_error *reterr)
{
    struct ti_job_new n = {.name = cf_req_query(req, "name"), .source = source, .user_id = req->who->user_id, .user_name = req->who->user_name, .org = req->who->org_id, .o = *o,
                           .active = cf_principal_may(req->who, CF_STR("ti.review")) && !cf_str_eqz(cf_req_query(req, "draft"), "true")};

    if (!u->app->ti)
        return cf_error_set(reterr, CF_EUNSUPPORTED, "intelligence is not running");
    (void)cf_str_i64(cf_req_header(req, "Content-Length"), &n.bytes);
    return ti_job_begin(u->app->ti, u->app->data_dir, &n, &u->job, reterr);
}

static int upload_begin(struct cf_req *req, struct upload **ret, struct cf_error *reterr)
{
    cf_str source = cf_req_query(req, "source"), type = cf_req_query(req, "type");
    struct ti_import_options o = {.format = cf_req_query(req, "format"), .type = CF_TI_ANY, .columns = cf_req_query(req, "columns"), .threat_type = cf_req_query(req, "threat_type"),
                                  .family = cf_req_query(req, "family")};
    struct upload *u;
    int r;

    if (type.n && !cf_ti_type_parse(type, &o.type))
        return cf_req_field_error(req, "type", "there is no such type");
    u = calloc(1, sizeof *u);
    if (!u)
        return cf_error_set(reterr, CF_ENOMEM, "import");
    u->app = req->app;
    u->t0 = cf_mono_us();
    req->state = u;
    req->state_free = upload_free;
    source = source.n ? source : CF_STR("upload");
    r = cf_str_eqz(cf_req_query(req, "dry_run"), "true") ? begin_dry(u, source, &o, reterr) : begin_job(req, u, source, &o, reterr);
    if (r == CF_ENOENT)
        return cf_req_field_error(req, "source", "there is no such intelligence source");
    if (r == 0)
        *ret = u;
    return r;
}

static int upload_piece(struct cf_req *req, cf_str piece, struct cf_error *reterr)
{
    struct upload *u = req->state;
    int r = u ? 0 : upload_begin(req, &u, reterr);

    if (r < 0 || !u)
        return r;
    return u->job ? ti_job_piece(u->job, piece, reterr) : ti_import_feed(u->im, piece, reterr);
}

static int dry_report(struct upload *u, json_t **ret, struct cf_error *reterr)
{
    int r = ti_import_end(u->im, reterr);

    if (r < 0)
        return r;
    *ret = ti_writer_report(&u->w);
    (void)json_object_set_new(*ret, "format", json_string(ti_import_format(u->im)));
    (void)json_object_set_new(*ret, "seconds", json_real((double)(cf_mono_us() - u->t0) / 1e6));
    return 0;
}

/* The report when it is done; for long files see post_import. */
static int import(struct cf_req *req, struct cf_error *reterr)
{
    struct upload *u = req->state;
    int r = u ? 0 : upload_begin(req, &u, reterr);
    json_t *report = NULL;

    if (r == 0 && u->job) {
        struct ti_job *job = u->job;

        u->job = NULL;
        r = ti_job_run(job, &report, reterr);
    } else if (r == 0) {
        r = dry_report(u, &report, reterr);
    }
    if (r < 0)
        return r;
    cf_req_audit(req, json_string_value(json_object_get(report, "import")), NULL, json_object_get(report, "read"));
    cf_reply_json(req, 200, cf_req_tell(req, report));
    return 0;
}

/* ---- imports in the background --------------------------------------------------------------------------------------------------- */

static const struct cf_lcol cols[] = {
    {"id", "m.id", CF_LC_TEXT, CF_LC_FILTER},
    {"name", "m.name", CF_LC_TEXT, CF_LC_SEARCH | CF_LC_FILTER},
    {"kind", "m.kind", CF_LC_TEXT, CF_LC_FILTER},
    {"state", "m.state", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"format", "m.format", CF_LC_TEXT, CF_LC_FILTER},
    {"source.id", "m.source_id", CF_LC_TEXT, CF_LC_FILTER},
    {"source.name", "s.name", CF_LC_TEXT, 0},
    {"report", "m.report", CF_LC_JSON, 0},
    {"error", "m.error", CF_LC_TEXT, 0},
    {"created_by", "COALESCE(u.display_name, m.created_by)", CF_LC_TEXT, 0},
    {"created_at", "m.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
    {"started_at", "m.started_us", CF_LC_TIME, 0},
    {"finished_at", "m.finished_us", CF_LC_TIME, 0},
};

/* Of its way: the share of the file that is read, less what is read and not yet written. Unknown for formats that are read as a whole. */
static json_t *share(const struct ti_progress *p)
{
    int64_t taken = p->read - p->bad > 0 ? p->read : 0, ready = p->written + p->repeated;
    double x = p->bytes > 0 ? (double)p->read_bytes / (double)p->bytes : 0;

    if (p->bytes <= 0 || p->whole)
        return json_null();
    if (strcmp(p->state, "uploading") == 0)
        return json_real((double)p->uploaded / (double)p->bytes);
    if (taken + p->objects > 0)
        x *= (double)ready / (double)(taken + p->objects);
    return json_real(x > 1 ? 1 : x);
}

/* While it is there, the figures of the moment. */
static int with_progress(struct cf_req *req, struct cf_tx *tx, json_t *item, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    const char *id = json_string_value(json_object_get(item, "id"));
    struct ti_progress p;

    (void)tx;
    (void)reterr;
    if (!app->ti || !ti_job_progress(app->ti, cf_str_c(id), &p))
        return 0;
    (void)json_object_set_new(item, "state", json_string(p.state));
    (void)json_object_set_new(item, "progress",
                              json_pack("{s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b}", "share", share(&p), "bytes", (json_int_t)p.bytes, "uploaded", (json_int_t)p.uploaded, "read_bytes",
                                        (json_int_t)p.read_bytes, "read", (json_int_t)p.read, "written", (json_int_t)p.written + (json_int_t)p.repeated, "bad", (json_int_t)p.bad, "conflicts",
                                        (json_int_t)p.conflicts, "unmatchable", (json_int_t)p.unmatchable, "objects", (json_int_t)p.objects, "cancelling", p.cancel));
    return 0;
}
static const struct cf_list list = {.from = "ti_import m LEFT JOIN ti_source s ON s.id = m.source_id LEFT JOIN app_user u ON u.id = m.created_by", .id_sql = "m.id", .scope_col = "m.org_id",
                                    .default_sort = "-created_at", .cols = cols, .n_cols = sizeof cols / sizeof *cols, .finish = with_progress};

static struct cf_app *app_of(struct cf_req *req) { return req->app; }
static int get_imports(struct cf_req *req, struct cf_error *reterr) { return cf_list_reply(req, app_of(req)->db, &list, reterr); }
static int get_import(struct cf_req *req, struct cf_error *reterr) { return cf_list_reply_one(req, app_of(req)->db, &list, 200, cf_req_path(req, "id"), reterr); }

static int post_import(struct cf_req *req, struct cf_error *reterr)
{
    struct upload *u = req->state;
    struct ti_job *job;
    char id[40];
    int r = 0;

    if (cf_str_eqz(cf_req_query(req, "dry_run"), "true"))
        return cf_error_set(reterr, CF_EINVAL, "a dry run is not an import: POST /api/v1/indicators:import");
    if (!u)
        r = upload_begin(req, &u, reterr);
    if (r < 0 || !u)
        return r;
    job = u->job;
    u->job = NULL;
    (void)snprintf(id, sizeof id, "%s", ti_job_id(job));
    r = ti_job_start(job, reterr);
    if (r < 0)
        return r;
    cf_req_audit(req, id, NULL, NULL);
    return cf_list_reply_one(req, app_of(req)->db, &list, 202, cf_str_c(id), reterr);
}

static int cancel_import(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = app_of(req);
    cf_str id = cf_req_path(req, "id");
    json_t *item = cf_list_one(req, app->db, &list, id, reterr);

    if (!item)
        return reterr->code;
    json_decref(item);
    if (!app->ti || !ti_job_cancel(app->ti, id))
        return cf_error_set(reterr, CF_ECONFLICT, "the import is over already");
    cf_req_audit(req, cf_arena_strdup(req->arena, id), NULL, NULL);
    return cf_list_reply_one(req, app->db, &list, 202, id, reterr);
}

/* ---- exclusions ------------------------------------------------------------------------------------------------------------------ */

static int get_exclusions(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    struct cf_shared_box *box;
    json_t *items;

    if (!app->ti)
        return cf_error_set(reterr, CF_EUNSUPPORTED, "intelligence is not running");
    box = cf_shared_get(&app->ti->excluded);
    items = box ? ti_excluded_lists(box->p) : json_array();
    cf_shared_put(&app->ti->excluded, box);
    cf_reply_list(req, items, NULL, (int64_t)json_array_size(items));
    return 0;
}

static int post_exclusion(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    json_t *report = NULL;
    int r = ti_exclusion_import(app->db, req->json, &report, reterr);

    if (r < 0)
        return r;
    cf_ti_changed(app->ti);
    cf_req_audit(req, json_string_value(json_object_get(req->json, "name")), NULL, NULL);
    cf_reply_json(req, 201, cf_req_tell(req, report));
    return 0;
}

static int delete_exclusion(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    cf_str id = cf_req_path(req, "id");
    const struct cf_dbval v[] = {CF_S(id)};
    struct cf_tx *tx = NULL;
    int64_t n = 0;
    int r = cf_tx_begin(app->db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM ti_exclusion_value WHERE list_id = ?", reterr, CF_S(id));
    if (r == 0)
        r = cf_tx_execv(tx, "DELETE FROM ti_exclusion WHERE id = ?", v, 1, &n, reterr);
    if (r == 0 && n == 0)
        r = cf_error_set(reterr, CF_ENOENT, "there is no such imported list");
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r < 0)
        return r;
    cf_ti_changed(app->ti);
    cf_req_audit(req, cf_arena_strdup(req->arena, id), NULL, NULL);
    cf_reply_empty(req, 204);
    return 0;
}

static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/api/v1/indicators:import", .permission = "ti.write", .handler = import, .on_body = upload_piece, .flags = CF_RF_STREAM_BODY | CF_RF_RAW_BODY,
     .scope = "all", .doc = "STIX 2.x bundle, MISP events, GB/T 36643 document, warning list, CSV or plain list (query: source, format, type, columns, threat_type, family, dry_run, draft)"},
    {.method = CF_GET, .path = "/api/v1/intel-imports", .permission = "ti.read", .handler = get_imports, .flags = CF_RF_LIST, .doc = "Imports, newest first, with the progress of the one that is there"},
    {.method = CF_GET, .path = "/api/v1/intel-imports/{id}", .permission = "ti.read", .handler = get_import, .doc = "One import: its progress, or its report"},
    {.method = CF_POST, .path = "/api/v1/intel-imports", .permission = "ti.write", .handler = post_import, .on_body = upload_piece, .flags = CF_RF_STREAM_BODY | CF_RF_RAW_BODY, .scope = "all",
     .doc = "As indicators:import with a name, in the background: one at a time (409), all or nothing (query: name, source, format, type, columns, threat_type, family, draft)"},
    {.method = CF_POST, .path = "/api/v1/intel-imports/{id}/cancel", .permission = "ti.write", .handler = cancel_import, .doc = "Ends an import; what it wrote is taken back"},
    {.method = CF_GET, .path = "/api/v1/exclusions", .permission = "ti.read", .handler = get_exclusions, .scope = "all", .doc = "Lists of harmless values"},
    {.method = CF_POST, .path = "/api/v1/exclusions", .permission = "ti.review", .handler = post_exclusion, .flags = CF_RF_UPLOAD, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"name\",\"list\"],\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200},\"list\":{\"type\":\"array\"}}}",
     .doc = "Imports a list of harmless values (MISP warning list); one of the same name is replaced"},
    {.method = CF_DELETE, .path = "/api/v1/exclusions/{id}", .permission = "ti.review", .handler = delete_exclusion, .scope = "all", .doc = "Removes an imported list"},
};

void ti_import_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
