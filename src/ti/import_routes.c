/* SPDX-License-Identifier: Apache-2.0
 * Imports over HTTP: any size, piece by piece; a dry run shows what would happen. Exclusion lists. TI-005, TI-007, TI-008, TI-019. */
#include <stdio.h>
#include <stdlib.h>

#include "api/list.h"
#include "app/app.h"
#include "ti/ti_int.h"

struct upload {
    struct cf_app *app;
    struct cf_shared_box *box;
    struct ti_source source;
    struct ti_writer w;
    struct ti_import *im;
    char user[40];
    int64_t t0;
};

static void upload_free(void *p)
{
    struct upload *u = p;

    if (!u)
        return;
    ti_import_free(u->im);
    ti_writer_release(&u->w);
    if (u->app->ti)
        cf_shared_put(&u->app->ti->excluded, u->box);
    free(u);
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
    r = ti_source_read(u->app->db, source.n ? source : CF_STR("upload"), &u->source, reterr);
    if (r < 0) {
        free(u);
        return r == CF_ENOENT ? cf_req_field_error(req, "source", "there is no such intelligence source") : r;
    }
    (void)snprintf(u->user, sizeof u->user, "%.*s", CF_ARG(req->who->user_id));
    u->box = u->app->ti ? cf_shared_get(&u->app->ti->excluded) : NULL;
    u->w = (struct ti_writer){.db = u->app->db, .source = &u->source, .excluded = u->box ? u->box->p : NULL, .user = u->user, .dry = cf_str_eqz(cf_req_query(req, "dry_run"), "true"),
                              .active = cf_principal_may(req->who, CF_STR("ti.review")) && !cf_str_eqz(cf_req_query(req, "draft"), "true")};
    req->state = u;
    req->state_free = upload_free;
    r = ti_writer_begin(&u->w, reterr);
    if (r == 0)
        r = ti_import_new(&u->w, &o, &u->im, reterr);
    if (r == 0)
        *ret = u;
    return r;
}

static int upload_piece(struct cf_req *req, cf_str piece, struct cf_error *reterr)
{
    struct upload *u = req->state;
    int r = u ? 0 : upload_begin(req, &u, reterr);

    if (r == 0)
        r = ti_import_feed(u->im, piece, reterr);
    if (r < 0 && u)
        cf_tx_rollback(&u->w.tx); /* the audit entry needs the writer's place */
    return r;
}

static int import(struct cf_req *req, struct cf_error *reterr)
{
    struct upload *u = req->state;
    int r = u ? 0 : upload_begin(req, &u, reterr);
    json_t *report;
    double s;

    if (r == 0)
        r = ti_import_end(u->im, reterr);
    if (r != 0) {
        if (u)
            cf_tx_rollback(&u->w.tx);
        return r;
    }
    if (!u->w.dry)
        cf_ti_changed(u->app->ti);
    s = (double)(cf_mono_us() - u->t0) / 1e6;
    report = ti_writer_report(&u->w);
    (void)json_object_set_new(report, "format", json_string(ti_import_format(u->im)));
    (void)json_object_set_new(report, "seconds", json_real(s));
    cf_req_audit(req, u->source.id, NULL, json_object_get(report, "read"));
    cf_reply_json(req, 200, report);
    return 0;
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
    cf_reply_json(req, 201, report);
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
    {.method = CF_GET, .path = "/api/v1/exclusions", .permission = "ti.read", .handler = get_exclusions, .scope = "all", .doc = "Lists of harmless values"},
    {.method = CF_POST, .path = "/api/v1/exclusions", .permission = "ti.review", .handler = post_exclusion, .flags = CF_RF_UPLOAD, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"name\",\"list\"],\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200},\"list\":{\"type\":\"array\"}}}",
     .doc = "Imports a list of harmless values (MISP warning list); one of the same name is replaced"},
    {.method = CF_DELETE, .path = "/api/v1/exclusions/{id}", .permission = "ti.review", .handler = delete_exclusion, .scope = "all", .doc = "Removes an imported list"},
};

void ti_import_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
