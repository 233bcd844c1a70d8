/* SPDX-License-Identifier: Apache-2.0
 * Rules over HTTP: list, one with its text and tests, states one by one and many at once, reload. */
#include <stdio.h>
#include <stdlib.h>

#include "api/rule_view.h"

static int list_rules(struct cf_req *req, struct cf_error *reterr)
{
    struct rule_view v;
    int64_t limit, from;
    char next[32];
    json_t *items;
    int r = cf_req_query_i64(req, "limit", 50, 1, 1000, &limit, reterr);

    if (r == 0)
        r = cf_req_query_i64(req, "cursor", 0, 0, 1000000, &from, reterr);
    if (r == 0)
        r = rule_view_open(req, &v, reterr);
    if (r != 0)
        return r;
    r = rule_view_filter(&v, cf_req_query(req, "filter"), reterr);
    if (r == 0)
        r = rule_view_sort(&v, reterr);
    if (r == 0) {
        items = json_array();
        for (size_t i = (size_t)from; i < v.n && i < (size_t)(from + limit); i++)
            (void)json_array_append_new(items, rule_row_json(&v, &v.rows[i]));
        (void)snprintf(next, sizeof next, "%lld", (long long)(from + limit));
        cf_reply_list(req, items, (size_t)(from + limit) < v.n ? next : NULL, (int64_t)v.n);
    }
    rule_view_close(&v);
    return r;
}

static json_t *rule_tests(struct cf_req *req, cf_str file)
{
    size_t ext = cf_str_ends(file, CF_STR(".yaml")) ? 5 : cf_str_ends(file, CF_STR(".yml")) ? 4 : 0;
    json_t *text, *tests;

    if (!ext)
        return json_null();
    text = rule_file_text(cf_arena_strdup(req->arena, cf_arena_printf(req->arena, "%.*s.test.json", (int)(file.n - ext), file.p)));
    tests = json_is_string(text) ? json_loads(json_string_value(text), 0, NULL) : NULL;
    json_decref(text);
    return tests ? tests : json_null();
}

/* The text of a rule: stored, or its file. JSON string or null; *ret_stored (may be NULL) gets the stored text's object. */
json_t *rule_text(struct cf_req *req, const struct rule_row *row, json_t **ret_stored)
{
    json_t *stored = NULL, *text;
    struct cf_error err;

    if (row->stored && cf_rulebook_get(rule_app(req)->db, row->info->id, &stored, &err) == 0) {
        text = json_incref(json_object_get(stored, "yaml"));
        if (ret_stored)
            *ret_stored = stored;
        else
            json_decref(stored);
        return text;
    }
    return rule_file_text(cf_arena_strdup(req->arena, row->info->file));
}

static int get_rule(struct cf_req *req, struct cf_error *reterr)
{
    struct rule_view v;
    struct rule_row *row;
    json_t *o, *stored = NULL;
    int r = rule_view_open(req, &v, reterr);

    if (r < 0)
        return r;
    row = rule_view_find(&v, cf_req_path(req, "id"), reterr);
    if (row) {
        o = rule_row_json(&v, row);
        (void)json_object_set_new(o, "description", rule_str(row->info->description));
        (void)json_object_set_new(o, "yaml", rule_text(req, row, &stored));
        (void)json_object_set(o, "version", stored ? json_object_get(stored, "version") : json_null());
        (void)json_object_set(o, "updated_at", stored ? json_object_get(stored, "updated_at") : json_null());
        (void)json_object_set(o, "updated_by", stored ? json_object_get(stored, "updated_by") : json_null());
        json_decref(stored);
        (void)json_object_set_new(o, "tests", rule_tests(req, row->info->file));
        cf_reply_json(req, 200, o);
    }
    rule_view_close(&v);
    return row ? 0 : CF_ENOENT;
}

/* State from {"enabled":bool} or {"state":"..."}. */
static int wanted_state(struct cf_req *req, enum cf_rule_state *ret, struct cf_error *reterr)
{
    const char *state = json_string_value(json_object_get(req->json, "state"));
    json_t *enabled = json_object_get(req->json, "enabled");

    if (state && cf_rule_state_parse(cf_str_c(state), ret))
        return 0;
    if (!state && json_is_boolean(enabled)) {
        *ret = json_is_true(enabled) ? CF_RULE_ENABLED : CF_RULE_DISABLED;
        return 0;
    }
    (void)cf_req_field_error(req, "state", "must be enabled, staged or disabled");
    return cf_error_set(reterr, CF_EINVAL, "state must be enabled, staged or disabled");
}

static cf_str note_of(struct cf_req *req) { return cf_str_c(json_string_value(json_object_get(req->json, "note"))); }

static int patch_rule(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    enum cf_rule_state state;
    struct rule_view v;
    struct rule_row *row;
    struct cf_tx *tx = NULL;
    json_t *before;
    int r = wanted_state(req, &state, reterr);

    if (r == 0)
        r = rule_view_open(req, &v, reterr);
    if (r < 0)
        return r;
    row = rule_view_find(&v, id, reterr);
    if (!row) {
        rule_view_close(&v);
        return CF_ENOENT;
    }
    before = json_pack("{s:s}", "state", cf_rule_state_name(row->state));
    r = cf_tx_begin(rule_app(req)->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = rule_second_person(req, tx, id, state, reterr);
    if (r == 0)
        r = cf_rulebook_set_state(tx, id, state, note_of(req), req->who->user_name, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0)
        r = rule_apply(req, false, reterr);
    if (r == 0) {
        row->state = state;
        cf_req_audit(req, NULL, before, req->json);
        cf_reply_json(req, 200, rule_row_json(&v, row));
    }
    json_decref(before);
    rule_view_close(&v);
    return r;
}

/* ---- many at once ---- */

/* Keeps the rows whose id is in the list. */
static void keep_ids(struct rule_view *v, const json_t *ids)
{
    size_t kept = 0, k;
    json_t *one;

    for (size_t i = 0; i < v->n; i++) {
        json_array_foreach(ids, k, one)
        {
            if (cf_str_eq(v->rows[i].info->id, cf_str_n(json_string_value(one), json_string_length(one)))) {
                v->rows[kept++] = v->rows[i];
                break;
            }
        }
    }
    v->n = kept;
}

static int batch(struct cf_req *req, struct cf_error *reterr)
{
    const char *filter = json_string_value(json_object_get(req->json, "filter"));
    json_t *ids = json_object_get(req->json, "ids");
    bool dry = json_is_true(json_object_get(req->json, "dry_run"));
    enum cf_rule_state state;
    struct rule_view v;
    struct cf_tx *tx = NULL;
    int64_t changed = 0;
    int r = wanted_state(req, &state, reterr);

    if (r == 0 && !filter == !ids)
        r = cf_error_set(reterr, CF_EINVAL, "either ids or filter says which rules");
    if (r == 0)
        r = rule_view_open(req, &v, reterr);
    if (r < 0)
        return r;
    if (ids)
        keep_ids(&v, ids);
    else
        r = rule_view_filter(&v, cf_str_c(filter), reterr);
    if (r == 0 && !dry)
        r = cf_tx_begin(rule_app(req)->db, CF_TX_WRITE, &tx, reterr);
    for (size_t i = 0; r == 0 && i < v.n; i++) {
        if (v.rows[i].state == state || v.rows[i].info->id.n == 0)
            continue;
        changed++;
        if (!dry)
            r = rule_second_person(req, tx, v.rows[i].info->id, state, reterr);
        if (r == 0 && !dry)
            r = cf_rulebook_set_state(tx, v.rows[i].info->id, state, note_of(req), req->who->user_name, reterr);
    }
    if (r == 0 && !dry)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0 && !dry)
        r = rule_apply(req, false, reterr);
    if (r == 0) {
        if (!dry)
            cf_req_audit(req, NULL, NULL, req->json);
        cf_reply_json(req, 200, json_pack("{s:I,s:I}", "rules", (json_int_t)v.n, "changed", (json_int_t)changed));
    }
    rule_view_close(&v);
    return r;
}

static int reload(struct cf_req *req, struct cf_error *reterr)
{
    int r;

    if (!rule_app(req)->pipeline)
        return cf_error_set(reterr, CF_EUNSUPPORTED, "detection is switched off");
    r = cf_rules_apply_switches(rule_app(req), reterr);
    if (r == 0)
        r = cf_pipeline_reload(rule_app(req)->pipeline, reterr);
    return r;
}

#define STATE "\"state\":{\"type\":\"string\",\"enum\":[\"enabled\",\"staged\",\"disabled\"]},\"enabled\":{\"type\":\"boolean\"},\"note\":{\"type\":\"string\",\"maxLength\":500}"
static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/rules", .permission = "rule.read", .handler = list_rules, .flags = CF_RF_LIST, .scope = "all",
     .doc = "Rules in use; filter by id title level status state origin product category service tags tactic technique file"},
    {.method = CF_GET, .path = "/api/v1/rules/{id}", .permission = "rule.read", .handler = get_rule, .scope = "all", .doc = "One rule with its text and tests"},
    {.method = CF_PATCH, .path = "/api/v1/rules/{id}", .permission = "rule.read", .handler = patch_rule, .scope = "all",
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" STATE "}}",
     .doc = "Enable, stage (hits are listed, no alerts) or disable a rule; needs rule.write, with rules.approval rule.approve"},
    {.method = CF_POST, .path = "/api/v1/rules:batch", .permission = "rule.write", .handler = batch, .scope = "all",
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" STATE ",\"filter\":{\"type\":\"string\",\"maxLength\":2000},\"dry_run\":{\"type\":\"boolean\"},"
                "\"ids\":{\"type\":\"array\",\"maxItems\":10000,\"items\":{\"type\":\"string\",\"maxLength\":200}}}}",
     .doc = "Set the state of many rules, by ids or by a filter of the list"},
    {.method = CF_POST, .path = "/api/v1/rules:reload", .permission = "rule.write", .handler = reload, .scope = "all", .doc = "Load rules and source files again"},
};

void cf_rules_routes(void)
{
    cf_routes_add(routes, sizeof routes / sizeof *routes);
    cf_rule_edit_routes();
    cf_rule_proposal_routes();
    cf_rule_test_routes();
    cf_rule_backtest_routes();
    cf_rule_coverage_routes();
}
