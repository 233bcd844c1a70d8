/* SPDX-License-Identifier: Apache-2.0
 * Retro-hunts over HTTP: start, progress, results, cancel. */
#include <stdio.h>
#include <stdlib.h>

#include "api/list.h"
#include "app/app.h"
#include "ti/ti_int.h"

static const struct cf_lcol cols[] = {
    {"id", "h.id", CF_LC_TEXT, CF_LC_FILTER},
    {"name", "h.name", CF_LC_TEXT, CF_LC_SEARCH | CF_LC_FILTER},
    {"status", "h.status", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"filter", "h.filter", CF_LC_JSON, 0},
    {"from", "h.from_us", CF_LC_TIME, CF_LC_SORT},
    {"to", "h.to_us", CF_LC_TIME, CF_LC_SORT},
    {"indicators", "h.indicators", CF_LC_I64, CF_LC_SORT},
    {"steps", "h.steps", CF_LC_I64, 0},
    {"done", "h.done", CF_LC_I64, 0},
    {"hits", "h.hits", CF_LC_I64, CF_LC_SORT},
    {"values_seen", "h.values_seen", CF_LC_I64, 0},
    {"error", "h.error", CF_LC_TEXT, 0},
    {"created_by", "u.display_name", CF_LC_TEXT, 0},
    {"created_at", "h.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
    {"started_at", "h.started_us", CF_LC_TIME, 0},
    {"finished_at", "h.finished_us", CF_LC_TIME, 0},
};
static const struct cf_list list = {.from = "ti_hunt h LEFT JOIN app_user u ON u.id = h.created_by", .id_sql = "h.id", .scope_col = "h.org_id", .default_sort = "-created_at", .cols = cols,
                                    .n_cols = sizeof cols / sizeof *cols};
static const struct cf_lcol hit_cols[] = {
    {"id", "x.id", CF_LC_TEXT, CF_LC_FILTER},
    {"indicator.id", "x.indicator_id", CF_LC_TEXT, CF_LC_FILTER},
    {"indicator.value", "i.value", CF_LC_TEXT, CF_LC_SEARCH},
    {"indicator.type", "i.type", CF_LC_TEXT, CF_LC_FILTER},
    {"indicator.family", "i.family", CF_LC_TEXT, 0},
    {"field", "x.field", CF_LC_TEXT, CF_LC_FILTER},
    {"value", "x.value", CF_LC_TEXT, CF_LC_SEARCH},
    {"org.id", "x.org_id", CF_LC_TEXT, CF_LC_FILTER},
    {"org.name", "o.name", CF_LC_TEXT, 0},
    {"first_seen", "x.first_us", CF_LC_TIME, CF_LC_SORT},
    {"last_seen", "x.last_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
    {"count", "x.count", CF_LC_I64, CF_LC_SORT},
    {"events", "x.events", CF_LC_JSON, 0},
};

static struct cf_app *app_of(struct cf_req *req) { return req->app; }
static int get_list(struct cf_req *req, struct cf_error *reterr) { return cf_list_reply(req, app_of(req)->db, &list, reterr); }

static int get_one(struct cf_req *req, struct cf_error *reterr)
{
    json_t *item = cf_list_one(req, app_of(req)->db, &list, cf_req_path(req, "id"), reterr);

    if (!item)
        return reterr->code;
    cf_reply_json(req, 200, cf_req_tell(req, item));
    return 0;
}

static int get_hits(struct cf_req *req, struct cf_error *reterr)
{
    const struct cf_dbval v[] = {CF_S(cf_req_path(req, "id"))};
    json_t *item = cf_list_one(req, app_of(req)->db, &list, cf_req_path(req, "id"), reterr);
    struct cf_list l = {.from = "ti_hunt_hit x LEFT JOIN ti_indicator i ON i.id = x.indicator_id LEFT JOIN organisation o ON o.id = x.org_id", .id_sql = "x.id", .where = "x.hunt_id = ?",
                        .where_v = v, .n_where_v = 1, .default_sort = "-last_seen", .cols = hit_cols, .n_cols = sizeof hit_cols / sizeof *hit_cols};

    if (!item)
        return reterr->code;
    json_decref(item);
    return cf_list_reply(req, app_of(req)->db, &l, reterr);
}

static int post_one(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = app_of(req);
    const char *name = json_string_value(json_object_get(req->json, "name")), *from = json_string_value(json_object_get(req->json, "from")),
               *to = json_string_value(json_object_get(req->json, "to"));
    int64_t now = cf_now_us(), from_us = now - 30 * CF_US_PER_DAY, to_us = now;
    char *filter = json_object_get(req->json, "filter") ? json_dumps(json_object_get(req->json, "filter"), JSON_COMPACT) : strdup("{}"), *scope = NULL;
    struct cf_tx *tx = NULL;
    cf_str *orgs = NULL;
    size_t n_orgs = 0;
    bool all = true;
    char id[37];
    int r = 0;

    if (!app->ti || !app->events)
        r = cf_error_set(reterr, CF_EUNSUPPORTED, "there is no event store to hunt in");
    if (r == 0 && from && !cf_time_parse_rel(cf_str_c(from), now, &from_us))
        r = cf_req_field_error(req, "from", "not a time");
    if (r == 0 && to && !cf_time_parse_rel(cf_str_c(to), now, &to_us))
        r = cf_req_field_error(req, "to", "not a time");
    if (r == 0 && (from_us >= to_us || to_us - from_us > 800 * CF_US_PER_DAY))
        r = cf_req_field_error(req, "from", "from must lie before to, at most 800 days");
    if (r == 0)
        r = cf_scope_orgs(app->db, req->who, req->arena, &all, &orgs, &n_orgs, reterr);
    if (r == 0 && !all) {
        json_t *a = json_array();

        for (size_t i = 0; i < n_orgs; i++)
            (void)json_array_append_new(a, json_stringn(orgs[i].p, orgs[i].n));
        scope = json_dumps(a, JSON_COMPACT);
        json_decref(a);
    }
    cf_uuid7(id);
    if (r == 0)
        r = cf_tx_begin(app->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO ti_hunt (id, org_id, name, status, filter, scope, from_us, to_us, alerts, created_by, created_us) VALUES (?,?,?,'queued',?,?,?,?,?,?,?)", reterr,
                       CF_Z(id), CF_S(req->who->org_id.n ? req->who->org_id : CF_STR("root")), CF_Z(name && name[0] ? name : "retro-hunt"), CF_Z(filter), CF_Z(scope), CF_I(from_us), CF_I(to_us),
                       CF_I(!json_is_false(json_object_get(req->json, "alerts"))), CF_S(req->who->user_id), CF_I(now));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    free(filter);
    free(scope);
    if (r < 0)
        return r;
    ti_jobs_wake(app->ti);
    cf_req_audit(req, id, NULL, req->json);
    json_t *item = cf_list_one(req, app->db, &list, cf_str_c(id), reterr);
    if (!item)
        return reterr->code;
    cf_reply_json(req, 201, item);
    return 0;
}

static int cancel(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = app_of(req);
    cf_str id = cf_req_path(req, "id");
    json_t *item = cf_list_one(req, app->db, &list, id, reterr);
    const struct cf_dbval v[] = {CF_I(cf_now_us()), CF_S(id)};
    struct cf_tx *tx = NULL;
    int64_t n = 0;
    int r = item ? 0 : reterr->code;

    json_decref(item);
    if (r == 0)
        r = cf_tx_begin(app->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_execv(tx, "UPDATE ti_hunt SET status = 'cancelled', finished_us = ? WHERE id = ? AND status IN ('queued', 'running')", v, 2, &n, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0 && n == 0)
        r = cf_error_set(reterr, CF_ECONFLICT, "the hunt is over already");
    if (r == 0 && app->ti) {
        (void)pthread_mutex_lock(&app->ti->mu);
        if (cf_str_eqz(id, app->ti->running_hunt))
            (void)snprintf(app->ti->cancel_hunt, sizeof app->ti->cancel_hunt, "%.*s", CF_ARG(id));
        (void)pthread_mutex_unlock(&app->ti->mu);
    }
    if (r < 0)
        return r;
    cf_req_audit(req, cf_arena_strdup(req->arena, id), NULL, NULL);
    return get_one(req, reterr);
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/retro-hunts", .permission = "ti.read", .handler = get_list, .flags = CF_RF_LIST, .doc = "Retro-hunts, newest first"},
    {.method = CF_GET, .path = "/api/v1/retro-hunts/{id}", .permission = "ti.read", .handler = get_one, .doc = "One retro-hunt with its progress"},
    {.method = CF_GET, .path = "/api/v1/retro-hunts/{id}/hits", .permission = "ti.read", .handler = get_hits, .flags = CF_RF_LIST, .doc = "What a retro-hunt found"},
    {.method = CF_POST, .path = "/api/v1/retro-hunts", .permission = "ti.write", .handler = post_one,
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":200},\"from\":{\"type\":\"string\",\"maxLength\":40},"
                "\"to\":{\"type\":\"string\",\"maxLength\":40},\"alerts\":{\"type\":\"boolean\"},\"filter\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"ids\":{\"type\":\"array\","
                "\"maxItems\":400,\"items\":{\"type\":\"string\"}},\"source\":{\"type\":\"string\"},\"type\":{\"type\":\"string\"},\"added_since\":{\"type\":\"string\"}}}}}",
     .doc = "Looks for indicators (filter: ids, source, type, added_since) in stored events of a time, in the background"},
    {.method = CF_POST, .path = "/api/v1/retro-hunts/{id}/cancel", .permission = "ti.write", .handler = cancel, .doc = "Ends a retro-hunt; what it found stays"},
};

void ti_hunt_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
