/* SPDX-License-Identifier: Apache-2.0
 * HTTP: exceptions (rule filters of false positives): list, preview, create, pause, change, end. */
#include "form/content.h"
#include "incident/routes.h"
#include "workflow/reply.h"

#define N_COLS 18
#define AT(field) "(SELECT r." field " FROM alert r WHERE r.rule_id = x.rule_id ORDER BY r.last_seen DESC LIMIT 1)"

/* The state depends on the moment: the column's SQL is made for each request. */
static struct cf_list list_for(struct cf_req *req, struct cf_lcol cols[N_COLS])
{
    const char *state = cf_arena_strdup(req->arena, cf_arena_printf(req->arena, "CASE WHEN x.enabled = 0 THEN 'paused' WHEN x.expires_us <= %lld THEN 'expired' ELSE 'active' END", (long long)cf_now_us()));
    const struct cf_lcol all[N_COLS] = {
        {"id", "x.id", CF_LC_TEXT, CF_LC_FILTER},
        {"rule_id", "x.rule_id", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
        {"rule_title", cf_req_english(req) ? "COALESCE(" AT("title_en") ", " AT("title") ")" : AT("title"), CF_LC_TEXT, CF_LC_SEARCH},
        {"fields", "x.conditions", CF_LC_JSON, 0},
        {"conditions", "x.conditions", CF_LC_TEXT, CF_LC_SEARCH | CF_LC_HIDDEN},
        {"note", "x.note", CF_LC_TEXT, CF_LC_SEARCH},
        {"match_org", "x.match_org", CF_LC_TEXT, CF_LC_FILTER},
        {"org.id", "x.match_org", CF_LC_TEXT, CF_LC_FILTER},
        {"org.name", "o.name", CF_LC_TEXT, 0},
        {"alert_id", "x.alert_id", CF_LC_TEXT, CF_LC_FILTER},
        {"created_by", "x.created_name", CF_LC_TEXT, CF_LC_SEARCH | CF_LC_FILTER},
        {"created_at", "x.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
        {"expires_at", "x.expires_us", CF_LC_TIME, CF_LC_SORT},
        {"hits", "x.hits", CF_LC_I64, CF_LC_SORT | CF_LC_FILTER | CF_LC_NOTNULL},
        {"last_hit_at", "x.last_hit_us", CF_LC_TIME, CF_LC_SORT},
        {"active", "x.active", CF_LC_BOOL, CF_LC_FILTER},
        {"enabled", "x.enabled", CF_LC_BOOL, CF_LC_FILTER},
        {"state", state, CF_LC_TEXT, CF_LC_FILTER},
    };

    memcpy(cols, all, sizeof(all));
    return (struct cf_list){.from = "alert_exception x LEFT JOIN organisation o ON o.id = x.match_org", .id_sql = "x.id", .scope_col = "x.org_id", .where = "x.active = 1",
                            .default_sort = "-created_at", .cols = cols, .n_cols = N_COLS, .finish = inc_null_refs};
}

static json_t *one(struct cf_req *req, cf_str id, struct cf_error *reterr)
{
    struct cf_lcol cols[N_COLS];
    const struct cf_list l = list_for(req, cols);

    return cf_list_one(req, inc_app(req)->db, &l, id, reterr);
}

static int exceptions_list(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_lcol cols[N_COLS];
    const struct cf_list l = list_for(req, cols);

    return cf_list_reply(req, inc_app(req)->db, &l, reterr);
}

/* People without scope over all units hide only what is their unit's. */
static cf_str reach(const struct cf_req *req) { return req->who->scope == CF_SCOPE_ALL ? CF_STR_NONE : req->who->org_id; }

static int exceptions_create(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_work_effects fx = {0};
    struct inc_ctx c;
    char id[37] = "";
    json_t *j;
    int r = inc_begin(req, &c, &fx, reterr);

    if (r < 0)
        return r;
    r = inc_end(req, &c, inc_exception_add(&c, cf_json_text(req->json, "rule_id"), reach(req), cf_json_text(req->json, "alert_id"), req->json, cf_json_text(req->json, "note"), id));
    if (r < 0)
        return r;
    j = one(req, cf_str_c(id), reterr);
    cf_req_audit(req, id, NULL, req->json);
    if (j)
        cf_reply_json(req, 201, j);
    return j ? 0 : reterr->code;
}

static int exceptions_preview(struct cf_req *req, struct cf_error *reterr)
{
    const json_t *days = json_object_get(req->json, "days");
    struct inc_ctx c = {.a = req->arena, .who = req->who, .english = cf_req_english(req), .err = reterr};
    json_t *j = NULL;
    int r = cf_tx_begin(inc_app(req)->db, CF_TX_READ, &c.tx, reterr);

    if (r == 0)
        j = inc_exception_preview(&c, cf_json_text(req->json, "rule_id"), reach(req), json_object_get(req->json, "fields"), days ? (int)json_integer_value(days) : 7);
    cf_tx_rollback(&c.tx);
    if (!j)
        return reterr->code < 0 ? reterr->code : CF_EDB;
    cf_reply_json(req, 200, j);
    return 0;
}

static int change(struct inc_ctx *c, cf_str id, const json_t *body)
{
    const json_t *on = json_object_get(body, "enabled"), *until = json_object_get(body, "expires_at");
    cf_str note = cf_json_text(body, "note");
    int64_t us = 0;
    int r = 0;

    if (json_is_string(until) && (!cf_time_parse(cf_json_text(body, "expires_at"), &us) || us <= cf_now_us()))
        return cf_error_set(c->err, CF_EINVAL, "expires_at: a time in the future is needed");
    if (on)
        r = cf_tx_exec(c->tx, "UPDATE alert_exception SET enabled = ? WHERE id = ?", c->err, CF_I(json_is_true(on)), CF_S(id));
    if (r == 0 && until)
        r = cf_tx_exec(c->tx, "UPDATE alert_exception SET expires_us = ? WHERE id = ?", c->err, us ? CF_I(us) : CF_NUL, CF_S(id));
    if (r == 0 && note.p)
        r = cf_tx_exec(c->tx, "UPDATE alert_exception SET note = ? WHERE id = ?", c->err, CF_S(note), CF_S(id));
    c->exceptions_changed = true;
    return r;
}

static int end_it(struct inc_ctx *c, cf_str id, const json_t *body)
{
    (void)body;
    c->exceptions_changed = true;
    return cf_tx_exec(c->tx, "UPDATE alert_exception SET active = 0 WHERE id = ?", c->err, CF_S(id));
}

/* Looks the exception up in the caller's scope, does one step and writes both states into the audit trail. */
static int with_one(struct cf_req *req, int (*step)(struct inc_ctx *, cf_str, const json_t *), bool gone, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *before = one(req, id, reterr), *after = NULL;
    struct cf_work_effects fx = {0};
    struct inc_ctx c;
    int r;

    if (!before)
        return reterr->code < 0 ? reterr->code : CF_ENOENT;
    r = inc_begin(req, &c, &fx, reterr);
    if (r == 0)
        r = inc_end(req, &c, step(&c, id, req->json));
    if (r == 0 && !gone && !(after = one(req, id, reterr)))
        r = reterr->code < 0 ? reterr->code : CF_ENOENT;
    cf_req_audit(req, cf_arena_strdup(req->arena, id), before, after);
    json_decref(before);
    if (r == 0 && gone)
        cf_reply_empty(req, 204);
    else if (r == 0)
        cf_reply_json(req, 200, after);
    return r;
}

static int exceptions_get(struct cf_req *req, struct cf_error *reterr)
{
    json_t *j = one(req, cf_req_path(req, "id"), reterr);

    if (!j)
        return reterr->code < 0 ? reterr->code : CF_ENOENT;
    cf_reply_json(req, 200, j);
    return 0;
}
static int exceptions_patch(struct cf_req *req, struct cf_error *reterr) { return with_one(req, change, false, reterr); }
static int exceptions_delete(struct cf_req *req, struct cf_error *reterr) { return with_one(req, end_it, true, reterr); }

#define NEW_SCHEMA "{\"type\":\"object\",\"required\":[\"fields\"],\"properties\":{\"rule_id\":{\"type\":\"string\",\"maxLength\":200},\"fields\":{\"type\":\"object\"},\"note\":{\"type\":\"string\",\"maxLength\":2000},\"expires_at\":{\"type\":\"string\"},\"alert_id\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":30}}}"
#define PATCH_SCHEMA "{\"type\":\"object\",\"properties\":{\"enabled\":{\"type\":\"boolean\"},\"expires_at\":{\"type\":[\"string\",\"null\"]},\"note\":{\"type\":\"string\",\"maxLength\":2000}}}"

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/exceptions", .permission = "alert.read", .handler = exceptions_list, .flags = CF_RF_LIST, .doc = "False-positive exceptions: filters that hide hits of a rule"},
    {.method = CF_POST, .path = "/api/v1/exceptions", .permission = "alert.write", .handler = exceptions_create, .request = NEW_SCHEMA, .doc = "Hide future hits that match fields"},
    {.method = CF_POST, .path = "/api/v1/exceptions:preview", .permission = "alert.read", .handler = exceptions_preview, .flags = CF_RF_NO_AUDIT, .request = NEW_SCHEMA,
     .doc = "Which alerts of the last days (7, at most 30) such an exception would have hidden, and how many of them people had confirmed"},
    {.method = CF_GET, .path = "/api/v1/exceptions/{id}", .permission = "alert.read", .handler = exceptions_get, .doc = "One exception"},
    {.method = CF_PATCH, .path = "/api/v1/exceptions/{id}", .permission = "alert.write", .handler = exceptions_patch, .request = PATCH_SCHEMA, .doc = "Pause or resume an exception, change its end or reason"},
    {.method = CF_DELETE, .path = "/api/v1/exceptions/{id}", .permission = "alert.write", .handler = exceptions_delete, .doc = "End an exception"},
};
void inc_exception_routes(void) { cf_routes_add(routes, sizeof(routes) / sizeof(routes[0])); }
