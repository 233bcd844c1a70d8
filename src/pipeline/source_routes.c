/* SPDX-License-Identifier: Apache-2.0
 * Data sources (COL-005, COL-006): the rows of data_source with the live figures of their counters. */
#include <stdio.h>

#include "api/list.h"
#include "app/app.h"
#include "asset/asset.h"
#include "pipeline/pipeline_int.h"

static const struct cf_lcol cols[] = {
    {"id", "s.id", CF_LC_TEXT, CF_LC_FILTER},
    {"name", "s.name", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH},
    {"type", "COALESCE(s.device_type, s.protocol)", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER},
    {"protocol", "s.protocol", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER},
    {"provider", "s.provider", CF_LC_TEXT, CF_LC_FILTER},
    {"domain", "s.domain", CF_LC_TEXT, CF_LC_FILTER},
    {"device_type", "s.device_type", CF_LC_TEXT, CF_LC_FILTER},
    {"vendor", "s.vendor", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"model", "s.model", CF_LC_TEXT, CF_LC_SEARCH},
    {"address", "s.address", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"parser", "s.source", CF_LC_TEXT, CF_LC_FILTER},
    {"format", "s.format", CF_LC_TEXT, 0},
    {"zone", "s.zone", CF_LC_TEXT, 0},
    {"mode", "s.mode", CF_LC_TEXT, CF_LC_FILTER},
    {"owner", "s.owner_name", CF_LC_TEXT, CF_LC_SEARCH},
    {"org.id", "s.org_id", CF_LC_TEXT, CF_LC_FILTER},
    {"org.name", "o.name", CF_LC_TEXT, CF_LC_SORT | CF_LC_SEARCH},
    {"enabled", "s.enabled", CF_LC_BOOL, CF_LC_FILTER},
    {"registered", "s.registered", CF_LC_BOOL, CF_LC_FILTER},
    {"silent_after_seconds", "s.silent_after_us / 1000000", CF_LC_I64, 0},
    {"first_seen", "s.first_us", CF_LC_TIME, CF_LC_SORT},
    {"last_seen", "s.last_us", CF_LC_TIME, CF_LC_SORT},
    {"created_at", "s.created_us", CF_LC_TIME, CF_LC_SORT},
};

static void set_time(json_t *item, const char *key, int64_t us)
{
    char text[32];

    if (us > 0)
        (void)json_object_set_new(item, key, json_stringn(text, cf_time_format(us, text)));
}

const char *source_status(json_t *item, const struct cf_counter *c)
{
    int64_t silent = json_integer_value(json_object_get(item, "silent_after_seconds")) * CF_US_PER_S, last = 0, made = 0;
    const char *seen = json_string_value(json_object_get(item, "last_seen")), *since = json_string_value(json_object_get(item, "created_at"));

    if (!json_is_true(json_object_get(item, "enabled")))
        return "disabled";
    if (seen && !cf_time_parse(cf_str_c(seen), &last))
        last = 0;
    if (since && !cf_time_parse(cf_str_c(since), &made))
        made = 0;
    return cf_source_state(c, last, made, silent, cf_now_us());
}

static int finish(struct cf_req *req, struct cf_tx *tx, json_t *item, struct cf_error *reterr)
{
    struct cf_pipeline *p = ((struct cf_app *)req->app)->pipeline;
    const char *name = json_string_value(json_object_get(item, "name"));
    const struct cf_counter *c = p && name ? cf_counters_find(p->counters, cf_str_c(name)) : NULL;
    uint64_t today = c ? atomic_load(&c->today) : 0, received = c ? atomic_load(&c->received) : 0;

    (void)tx;
    (void)reterr;
    if (c)
        set_time(item, "last_seen", atomic_load(&c->last_us));
    (void)json_object_set_new(item, "status", json_string(source_status(item, c)));
    (void)json_object_set_new(item, "records_today", json_integer((json_int_t)today));
    (void)json_object_set_new(item, "eps", json_real(c ? (double)atomic_load(&c->eps_milli) / 1000.0 : 0));
    (void)json_object_set_new(item, "peak_eps", json_real(c ? (double)atomic_load(&c->peak_milli) / 1000.0 : 0));
    (void)json_object_set_new(item, "parse_failure_rate", json_real(c ? cf_percent(atomic_load(&c->unparsed), atomic_load(&c->stored)) : 0));
    (void)json_object_set_new(item, "counters",
                              json_pack("{s:I,s:I,s:I,s:I,s:I}", "received", (json_int_t)received, "accepted", (json_int_t)(c ? atomic_load(&c->accepted) : 0),
                                        "rejected", (json_int_t)(c ? atomic_load(&c->rejected) : 0), "stored", (json_int_t)(c ? atomic_load(&c->stored) : 0),
                                        "failed", (json_int_t)(c ? atomic_load(&c->failed) : 0)));
    return 0;
}

static const struct cf_list list = {
    .from = "data_source s LEFT JOIN organisation o ON o.id = s.org_id", .id_sql = "s.id", .scope_col = "s.org_id", .default_sort = "name",
    .cols = cols, .n_cols = sizeof cols / sizeof *cols, .finish = finish,
};

static struct cf_db *db_of(struct cf_req *req) { return ((struct cf_app *)req->app)->db; }
static int get_list(struct cf_req *req, struct cf_error *reterr) { return cf_list_reply(req, db_of(req), &list, reterr); }

static int reply_one(struct cf_req *req, int status, cf_str id, struct cf_error *reterr)
{
    return cf_list_reply_one(req, db_of(req), &list, status, id, reterr);
}
static int get_one(struct cf_req *req, struct cf_error *reterr) { return reply_one(req, 200, cf_req_path(req, "id"), reterr); }

/* JSON key -> column of what a person may set. */
static const struct {
    const char *key, *col;
} text_cols[] = {{"provider", "provider"}, {"domain", "domain"}, {"device_type", "device_type"}, {"vendor", "vendor"}, {"model", "model"},
                 {"protocol", "protocol"}, {"address", "address"}, {"parser", "source"}, {"format", "format"}, {"zone", "zone"},
                 {"mode", "mode"}, {"owner", "owner_name"}};
#define N_TEXT (sizeof text_cols / sizeof *text_cols)

static int check_values(struct cf_req *req)
{
    const char *format = json_string_value(json_object_get(req->json, "format"));
    int r = cf_asset_check_addresses(req, "address");

    if (r == 0 && format && format[0] && !cf_normaliser_has_format(cf_str_c(format)))
        r = cf_req_field_error(req, "format", "there is no format \"%s\"", format);
    return r;
}

static int set_values(struct cf_tx *tx, cf_str id, const json_t *j, struct cf_error *reterr)
{
    const json_t *v = json_object_get(j, "enabled");
    int r = 0;

    for (size_t i = 0; i < N_TEXT && r == 0; i++) {
        const json_t *t = json_object_get(j, text_cols[i].key);
        char sql[160];

        if (!t)
            continue;
        (void)snprintf(sql, sizeof sql, "UPDATE data_source SET %s = ? WHERE id = ?", text_cols[i].col);
        r = cf_tx_exec(tx, sql, reterr, CF_Z(json_string_value(t)), CF_S(id));
    }
    if (r == 0 && v)
        r = cf_tx_exec(tx, "UPDATE data_source SET enabled = ? WHERE id = ?", reterr, CF_I(json_is_true(v)), CF_S(id));
    v = json_object_get(j, "silent_after_seconds");
    if (r == 0 && v)
        r = cf_tx_exec(tx, "UPDATE data_source SET silent_after_us = ? WHERE id = ?", reterr, CF_I(json_integer_value(v) * CF_US_PER_S), CF_S(id));
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE data_source SET updated_us = ?, registered = 1 WHERE id = ?", reterr, CF_I(cf_now_us()), CF_S(id));
    return r;
}

static void changed(struct cf_req *req)
{
    struct cf_pipeline *p = ((struct cf_app *)req->app)->pipeline;

    if (p)
        cf_pipeline_assets_changed(p);
}

static int post_source(struct cf_req *req, struct cf_error *reterr)
{
    const char *name = json_string_value(json_object_get(req->json, "name")), *org = json_string_value(json_object_get(req->json, "org_id"));
    cf_str org_id = org ? cf_str_c(org) : req->who->org_id;
    int64_t now = cf_now_us();
    struct cf_tx *tx = NULL;
    char id[37];
    int r = check_values(req);

    cf_uuid7(id);
    if (r == 0)
        r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_asset_check_org(req, tx, org_id);
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO data_source (id, org_id, name, created_us, updated_us) VALUES (?, ?, ?, ?, ?)", reterr, CF_Z(id), CF_S(org_id), CF_Z(name),
                       CF_I(now), CF_I(now));
    if (r == CF_EEXIST)
        r = cf_error_set(reterr, CF_EEXIST, "there is a data source \"%s\" already", name);
    if (r == 0)
        r = set_values(tx, cf_str_c(id), req->json, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r < 0)
        return r;
    changed(req);
    cf_req_audit(req, id, NULL, req->json);
    return reply_one(req, 201, cf_str_c(id), reterr);
}

static int patch_source(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    const char *org = json_string_value(json_object_get(req->json, "org_id")), *name = json_string_value(json_object_get(req->json, "name"));
    json_t *before = cf_list_one(req, db_of(req), &list, id, reterr);
    struct cf_tx *tx = NULL;
    int r = before ? check_values(req) : reterr->code;

    if (r == 0)
        r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0 && org && (r = cf_asset_check_org(req, tx, cf_str_c(org))) == 0)
        r = cf_tx_exec(tx, "UPDATE data_source SET org_id = ? WHERE id = ?", reterr, CF_Z(org), CF_S(id));
    if (r == 0 && name)
        r = cf_tx_exec(tx, "UPDATE data_source SET name = ? WHERE id = ?", reterr, CF_Z(name), CF_S(id));
    if (r == CF_EEXIST)
        r = cf_error_set(reterr, CF_EEXIST, "there is a data source \"%s\" already", name);
    if (r == 0)
        r = set_values(tx, id, req->json, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        changed(req);
        cf_req_audit(req, json_string_value(json_object_get(before, "id")), before, req->json);
        r = reply_one(req, 200, id, reterr);
    }
    json_decref(before);
    return r;
}

static int delete_source(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *before = cf_list_one(req, db_of(req), &list, id, reterr);
    struct cf_tx *tx = NULL;
    int r = before ? cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr) : reterr->code;

    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM data_source WHERE id = ?", reterr, CF_S(id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        changed(req);
        cf_req_audit(req, json_string_value(json_object_get(before, "id")), before, NULL);
        cf_reply_empty(req, 204);
    }
    json_decref(before);
    return r;
}

#define T "{\"type\":\"string\",\"maxLength\":400}"
#define BODY(required)                                                                                                                          \
    "{\"type\":\"object\"," required "\"additionalProperties\":false,\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1,"            \
    "\"maxLength\":90},\"org_id\":" T ",\"provider\":" T ",\"domain\":" T ",\"device_type\":" T ",\"vendor\":" T ",\"model\":" T                 \
    ",\"protocol\":" T ",\"address\":{\"type\":\"string\",\"maxLength\":4000},\"parser\":" T ",\"format\":" T ",\"zone\":" T ",\"mode\":" T      \
    ",\"owner\":" T ",\"enabled\":{\"type\":\"boolean\"},\"silent_after_seconds\":{\"type\":\"integer\",\"minimum\":5,\"maximum\":31536000}}}"

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/sources", .permission = "source.read", .handler = get_list, .flags = CF_RF_LIST, .doc = "Data sources with status and rates"},
    {.method = CF_GET, .path = "/api/v1/sources/{id}", .permission = "source.read", .handler = get_one, .doc = "One data source"},
    {.method = CF_POST, .path = "/api/v1/sources", .permission = "source.write", .handler = post_source, .request = BODY("\"required\":[\"name\"],"),
     .doc = "Registers a data source; its addresses form the allow list of the listeners"},
    {.method = CF_PATCH, .path = "/api/v1/sources/{id}", .permission = "source.write", .handler = patch_source, .request = BODY(""), .doc = "Changes a data source"},
    {.method = CF_DELETE, .path = "/api/v1/sources/{id}", .permission = "source.write", .handler = delete_source, .doc = "Removes a data source; its events stay"},
};

void pipeline_source_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
