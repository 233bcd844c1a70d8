/* SPDX-License-Identifier: Apache-2.0
 * Assets: list, one, add, change, delete (logical), inside the caller's scope. AST-001, AST-009, AST-015, AST-020. */
#include <stdio.h>

#include "api/list.h"
#include "app/app.h"
#include "asset/asset.h"
#include "base/jstr.h"

static const struct cf_lcol cols[] = {
    {"id", "a.id", CF_LC_TEXT, CF_LC_FILTER},
    {"name", "a.name", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH},
    {"kind", "a.kind", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER},
    {"type", "a.type", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER},
    {"ip", "a.ip", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH},
    {"domain", "a.domain", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"mac", "a.mac", CF_LC_TEXT, CF_LC_FILTER},
    {"org.id", "a.org_id", CF_LC_TEXT, CF_LC_FILTER},
    {"org.name", "o.name", CF_LC_TEXT, CF_LC_SORT | CF_LC_SEARCH},
    {"importance", "a.importance", CF_LC_I64, CF_LC_SORT | CF_LC_FILTER},
    {"is_key", "a.is_key", CF_LC_BOOL, CF_LC_FILTER},
    {"system", "a.system_name", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH},
    {"owner", "a.owner_name", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH},
    {"owner_phone", "a.owner_phone", CF_LC_TEXT, 0},
    {"mlps_level", "a.mlps_level", CF_LC_I64, CF_LC_SORT | CF_LC_FILTER},
    {"os", "a.os", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"vendor", "a.vendor", CF_LC_TEXT, CF_LC_FILTER},
    {"model", "a.model", CF_LC_TEXT, CF_LC_FILTER},
    {"location", "a.location", CF_LC_TEXT, CF_LC_FILTER},
    {"status", "a.status", CF_LC_TEXT, CF_LC_FILTER},
    {"origin", "a.origin", CF_LC_TEXT, CF_LC_FILTER},
    {"note", "a.note", CF_LC_TEXT, 0},
    {"last_seen", "a.last_seen_us", CF_LC_TIME, CF_LC_SORT},
    {"created_at", "a.created_us", CF_LC_TIME, CF_LC_SORT},
    {"updated_at", "a.updated_us", CF_LC_TIME, CF_LC_SORT},
};

/* Open alerts of the asset: one look-up an item; a page has at most a few hundred. */
static int finish(struct cf_req *req, struct cf_tx *tx, json_t *item, struct cf_error *reterr)
{
    const char *id = json_string_value(json_object_get(item, "id"));
    struct cf_stmt *st = NULL;
    int64_t n = 0;
    int r;

    (void)req;
    r = cf_tx_query(tx, "SELECT COUNT(*) FROM alert WHERE asset_id = ? AND status IN ('new', 'handling', 'confirmed')", &st, reterr, CF_Z(id));
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        n = cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    (void)json_object_set_new(item, "alerts_open", json_integer(n));
    return r;
}

static const struct cf_list list = {
    .from = "asset a LEFT JOIN organisation o ON o.id = a.org_id", .id_sql = "a.id", .scope_col = "a.org_id", .where = "a.deleted_us IS NULL",
    .default_sort = "name", .cols = cols, .n_cols = sizeof cols / sizeof *cols, .finish = finish,
};

static struct cf_db *db_of(struct cf_req *req) { return ((struct cf_app *)req->app)->db; }
static int get_list(struct cf_req *req, struct cf_error *reterr) { return cf_list_reply(req, db_of(req), &list, reterr); }

static int reply_one(struct cf_req *req, int status, cf_str id, struct cf_error *reterr)
{
    return cf_list_reply_one(req, db_of(req), &list, status, id, reterr);
}
static int get_one(struct cf_req *req, struct cf_error *reterr) { return reply_one(req, 200, cf_req_path(req, "id"), reterr); }

static const struct {
    const char *key, *col;
} text_cols[] = {{"name", "name"}, {"kind", "kind"}, {"type", "type"}, {"ip", "ip"}, {"domain", "domain"}, {"mac", "mac"}, {"system", "system_name"},
                 {"owner", "owner_name"}, {"owner_phone", "owner_phone"}, {"os", "os"}, {"vendor", "vendor"}, {"model", "model"},
                 {"location", "location"}, {"status", "status"}, {"note", "note"}, {"org_id", "org_id"}},
  int_cols[] = {{"importance", "importance"}, {"mlps_level", "mlps_level"}, {"is_key", "is_key"}};

int cf_asset_check_addresses(struct cf_req *req, const char *field)
{
    cf_str list_text = cf_json_text(req->json, field), one;

    while (list_text.n && cf_asset_next_address(&list_text, &one)) {
        struct cf_cidr c;
        struct cf_ip ip;

        if (!cf_cidr_parse(one, &c) && !cf_ip_parse(one, &ip))
            return cf_req_field_error(req, field, "\"%.*s\" is not an address or network", CF_ARG(one));
    }
    return 0;
}

static int set_values(struct cf_tx *tx, cf_str id, const json_t *j, struct cf_error *reterr)
{
    char sql[160];
    int r = 0;

    for (size_t i = 0; i < sizeof text_cols / sizeof *text_cols && r == 0; i++) {
        const json_t *v = json_object_get(j, text_cols[i].key);

        (void)snprintf(sql, sizeof sql, "UPDATE asset SET %s = ? WHERE id = ?", text_cols[i].col);
        if (v)
            r = cf_tx_exec(tx, sql, reterr, CF_Z(json_string_value(v)), CF_S(id));
    }
    for (size_t i = 0; i < sizeof int_cols / sizeof *int_cols && r == 0; i++) {
        const json_t *v = json_object_get(j, int_cols[i].key);

        (void)snprintf(sql, sizeof sql, "UPDATE asset SET %s = ? WHERE id = ?", int_cols[i].col);
        if (v)
            r = cf_tx_exec(tx, sql, reterr, CF_I(json_is_boolean(v) ? json_is_true(v) : json_integer_value(v)), CF_S(id));
    }
    return r ? r : cf_tx_exec(tx, "UPDATE asset SET updated_us = ? WHERE id = ?", reterr, CF_I(cf_now_us()), CF_S(id));
}

int cf_asset_check_org(struct cf_req *req, struct cf_tx *tx, cf_str org)
{
    return cf_scope_has_org(tx, req->who, org) ? 0 : cf_req_field_error(req, "org_id", "no such organisation in your scope");
}

static void changed(struct cf_req *req)
{
    if (cf_asset_changed)
        cf_asset_changed(req->app);
}

static int post_asset(struct cf_req *req, struct cf_error *reterr)
{
    const char *org = json_string_value(json_object_get(req->json, "org_id"));
    cf_str org_id = org ? cf_str_c(org) : req->who->org_id;
    struct cf_tx *tx = NULL;
    char id[37];
    int r = cf_asset_check_addresses(req, "ip");

    cf_uuid7(id);
    if (r == 0)
        r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_asset_check_org(req, tx, org_id);
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO asset (id, org_id, name, created_us) VALUES (?, ?, '', ?)", reterr, CF_Z(id), CF_S(org_id), CF_I(cf_now_us()));
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

/* PATCH with a body, DELETE without. */
static int change_asset(struct cf_req *req, bool delete, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *before = cf_list_one(req, db_of(req), &list, id, reterr);
    const char *org = delete ? NULL : json_string_value(json_object_get(req->json, "org_id"));
    struct cf_tx *tx = NULL;
    int r = !before ? reterr->code : delete ? 0 : cf_asset_check_addresses(req, "ip");

    if (r == 0)
        r = cf_tx_begin(db_of(req), CF_TX_WRITE, &tx, reterr);
    if (r == 0 && org)
        r = cf_asset_check_org(req, tx, cf_str_c(org));
    if (r == 0 && delete)
        r = cf_tx_exec(tx, "UPDATE asset SET deleted_us = ? WHERE id = ?", reterr, CF_I(cf_now_us()), CF_S(id));
    else if (r == 0)
        r = set_values(tx, id, req->json, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        changed(req);
        cf_req_audit(req, json_string_value(json_object_get(before, "id")), before, delete ? NULL : req->json);
        if (delete)
            cf_reply_empty(req, 204);
        else
            r = reply_one(req, 200, id, reterr);
    }
    json_decref(before);
    return r;
}
static int patch_asset(struct cf_req *req, struct cf_error *reterr) { return change_asset(req, false, reterr); }
static int delete_asset(struct cf_req *req, struct cf_error *reterr) { return change_asset(req, true, reterr); }

#define T "{\"type\":\"string\",\"maxLength\":400}"
/* the eight classes of the asset library */
#define KINDS "{\"type\":\"string\",\"enum\":[\"organisation\",\"system\",\"hardware\",\"software\",\"network\",\"room\",\"resource\",\"data\"]}"
#define BODY(required)                                                                                                                           \
    "{\"type\":\"object\"," required "\"additionalProperties\":false,\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1,"             \
    "\"maxLength\":200},\"kind\":" KINDS ",\"org_id\":" T ",\"type\":" T ",\"ip\":" T ",\"domain\":" T ",\"mac\":" T ",\"system\":" T              \
    ",\"owner\":" T ",\"owner_phone\":" T ",\"os\":" T ",\"vendor\":" T ",\"model\":" T ",\"location\":" T ",\"status\":" T ",\"note\":"           \
    "{\"type\":\"string\",\"maxLength\":4000},\"importance\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":5},\"mlps_level\":"                  \
    "{\"type\":\"integer\",\"minimum\":0,\"maximum\":5},\"is_key\":{\"type\":\"boolean\"}}}"

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/assets", .permission = "asset.read", .handler = get_list, .flags = CF_RF_LIST, .doc = "Assets of the organisations in scope"},
    {.method = CF_GET, .path = "/api/v1/assets/{id}", .permission = "asset.read", .handler = get_one, .doc = "One asset"},
    {.method = CF_POST, .path = "/api/v1/assets", .permission = "asset.write", .handler = post_asset, .request = BODY("\"required\":[\"name\",\"kind\"],"),
     .doc = "Adds an asset; events of its addresses get its organisation"},
    {.method = CF_PATCH, .path = "/api/v1/assets/{id}", .permission = "asset.write", .handler = patch_asset, .request = BODY(""), .doc = "Changes an asset"},
    {.method = CF_DELETE, .path = "/api/v1/assets/{id}", .permission = "asset.write", .handler = delete_asset, .doc = "Retires an asset; the row is kept"},
};

void cf_asset_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
