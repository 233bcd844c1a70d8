/* SPDX-License-Identifier: Apache-2.0
 * Back-tests over HTTP. A job runs with the scope of who started it, and only the same person or one with every scope sees it. */
#include <stdio.h>
#include <stdlib.h>

#include "api/event_export.h"
#include "api/rule_view.h"
#include "base/jstr.h"

#define EVENTS_MAX INT64_C(20000000)
#define EVENTS_DEFAULT INT64_C(5000000)

static int times(struct cf_req *req, struct cf_backtest_request *q, struct cf_error *reterr)
{
    cf_str from = cf_json_text(req->json, "from"), to = cf_json_text(req->json, "to");
    int64_t now = cf_now_us();

    if (!cf_time_parse_rel(from.n ? from : CF_STR("now-7d"), now, &q->from_us) || !cf_time_parse_rel(to.n ? to : CF_STR("now"), now, &q->to_us) || q->from_us >= q->to_us) {
        (void)cf_req_field_error(req, "from", "from and to must be RFC 3339 or now-7d style, from before to");
        return cf_error_set(reterr, CF_EINVAL, "from and to must be RFC 3339 or now-7d style, from before to");
    }
    return 0;
}

/* A text that does not do with the library alone: perhaps the rules it counts wait as proposals. *check becomes that of both. */
static int with_waiting(struct cf_req *req, const struct cf_rules_options *lib, struct cf_backtest_request *q, json_t **check, struct cf_error *reterr)
{
    struct cf_rules_options both;
    const cf_str *texts;
    json_t *again = NULL;
    size_t n;
    int r = rule_waiting_for(req, q->yaml, &texts, &n, reterr);

    if (r < 0 || !n)
        return r;
    r = rule_library_with(req, lib, texts, n, &both, reterr);
    if (r == 0)
        r = cf_rulebook_check(&both, q->yaml, &again, reterr);
    if (r == 0 && json_is_true(json_object_get(again, "valid"))) {
        json_t *t = *check;

        *check = again;
        again = t;
        q->beside = texts;
        q->n_beside = n;
    }
    json_decref(again);
    return r;
}

/* The text under test: given, or that of a rule in use. */
static int text_of(struct cf_req *req, struct cf_backtest_request *q, struct cf_error *reterr)
{
    struct cf_rules_options lib;
    json_t *check = NULL, *first, *t;
    struct rule_view v;
    struct rule_row *row;
    int r = rule_library(req, &lib, reterr);

    q->yaml = cf_json_text(req->json, "yaml");
    if (r == 0 && !q->yaml.n) {
        r = rule_view_open(req, &v, reterr);
        if (r < 0)
            return r;
        row = rule_view_find(&v, cf_json_text(req->json, "id"), reterr);
        t = row ? rule_text(req, row, NULL) : NULL;
        q->yaml = json_is_string(t) ? cf_arena_copy(req->arena, cf_str_n(json_string_value(t), json_string_length(t))) : CF_STR_NONE;
        json_decref(t);
        rule_view_close(&v);
        if (!q->yaml.n)
            return row ? cf_error_set(reterr, CF_EUNSUPPORTED, "the rule's text stands in an archive; copy it into a custom rule first") : CF_ENOENT;
    }
    if (r == 0)
        r = cf_rulebook_check(&lib, q->yaml, &check, reterr);
    if (r == 0 && !json_is_true(json_object_get(check, "valid")))
        r = with_waiting(req, &lib, q, &check, reterr);
    if (r < 0) {
        json_decref(check);
        return r;
    }
    first = json_array_get(json_object_get(check, "rules"), 0);
    if (!json_is_true(json_object_get(check, "valid"))) {
        (void)cf_req_field_error(req, "yaml", "%s", json_string_value(json_object_get(json_array_get(json_object_get(check, "errors"), 0), "message")));
        r = cf_error_set(reterr, CF_EINVAL, "the rule text has mistakes");
    } else {
        q->rule_id = cf_arena_copy(req->arena, cf_json_text(first, "id"));
        q->title = cf_arena_copy(req->arena, cf_json_text(first, "title"));
    }
    json_decref(check);
    return r;
}

static const struct cf_lcol cols[] = {
    {"id", "b.id", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_NOTNULL},
    {"rule_id", "b.rule_id", CF_LC_TEXT, CF_LC_FILTER},
    {"title", "b.title", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH},
    {"query", "b.query", CF_LC_TEXT, 0},
    {"from", "b.from_us", CF_LC_TIME, 0},
    {"to", "b.to_us", CF_LC_TIME, 0},
    {"max_events", "b.max_events", CF_LC_I64, 0},
    {"state", "b.state", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER},
    {"done", "b.done", CF_LC_I64, 0},
    {"total", "b.total", CF_LC_I64, 0},
    {"error", "b.error", CF_LC_TEXT, 0},
    {"user", "b.user_name", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER},
    {"created_at", "b.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_FILTER | CF_LC_NOTNULL},
    {"started_at", "b.started_us", CF_LC_TIME, 0},
    {"ended_at", "b.ended_us", CF_LC_TIME, 0},
    {"result", "b.result", CF_LC_JSON, 0},
};

/* Whose jobs: one's own, and everybody's for who may see everything. */
static struct cf_list jobs(struct cf_req *req, struct cf_dbval *v)
{
    *v = CF_S(req->who->user_id);
    return (struct cf_list){.from = "rule_backtest b", .id_sql = "b.id", .where = req->who->scope == CF_SCOPE_ALL ? NULL : "b.user_id = ?", .where_v = v,
                            .n_where_v = req->who->scope == CF_SCOPE_ALL ? 0 : 1, .default_sort = "-created_at", .cols = cols, .n_cols = sizeof cols / sizeof *cols};
}

static int list_jobs(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_dbval v;
    struct cf_list l = jobs(req, &v);

    return cf_list_reply(req, rule_app(req)->db, &l, reterr);
}

static int reply_job(struct cf_req *req, int status, cf_str id, bool whole, struct cf_error *reterr)
{
    struct cf_dbval v[2];
    struct cf_list l = jobs(req, &v[0]);
    json_t *o = cf_list_one(req, rule_app(req)->db, &l, id, reterr);

    if (!o)
        return reterr->code;
    if (!whole)
        (void)json_object_del(o, "result");
    cf_reply_json(req, status, cf_req_tell(req, o));
    return 0;
}

static int get_job(struct cf_req *req, struct cf_error *reterr) { return reply_job(req, 200, cf_req_path(req, "id"), true, reterr); }

static int start(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_backtest_request q = {.who = rule_who(req), .query = cf_json_text(req->json, "query"), .max_events = json_integer_value(json_object_get(req->json, "max_events"))};
    char id[37];
    int r = times(req, &q, reterr);

    q.who.id = req->who->user_id;
    if (!q.query.p)
        q.query = CF_STR("");
    if (q.max_events == 0)
        q.max_events = EVENTS_DEFAULT;
    if (r == 0 && !rule_app(req)->backtests)
        r = cf_error_set(reterr, CF_EUNSUPPORTED, "the event store is switched off");
    if (r == 0)
        r = cf_events_scope(req, &q.scope, reterr);
    if (r == 0)
        r = text_of(req, &q, reterr);
    if (r == 0 && q.query.n) { /* a mistake in the query is told now, not by the job */
        struct cf_search s = {.query = q.query, .from_us = q.to_us, .to_us = q.to_us, .scope = q.scope};
        uint64_t n;

        r = cf_events_explain(req, cf_event_count(rule_app(req)->events, &s, &n, reterr), reterr);
    }
    if (r == 0)
        r = cf_backtest_add(rule_app(req)->backtests, &q, id, reterr);
    if (r < 0)
        return r;
    cf_req_audit(req, cf_arena_strdup(req->arena, cf_str_c(id)), NULL, req->json);
    return reply_job(req, 202, cf_str_c(id), false, reterr);
}

static int cancel(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    struct cf_dbval v;
    struct cf_list l = jobs(req, &v);
    json_t *o = cf_list_one(req, rule_app(req)->db, &l, id, reterr);
    int r;

    if (!o)
        return reterr->code;
    json_decref(o);
    if (!rule_app(req)->backtests)
        return cf_error_set(reterr, CF_EUNSUPPORTED, "the event store is switched off");
    r = cf_backtest_cancel(rule_app(req)->backtests, id, reterr);
    return r < 0 ? r : reply_job(req, 200, id, false, reterr);
}

static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/api/v1/rules:backtest", .permission = "rule.read", .handler = start,
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"yaml\":{\"type\":\"string\",\"maxLength\":262144},\"id\":{\"type\":\"string\",\"maxLength\":200},"
                "\"from\":{\"type\":\"string\",\"maxLength\":60},\"to\":{\"type\":\"string\",\"maxLength\":60},\"query\":{\"type\":\"string\",\"maxLength\":10000},"
                "\"max_events\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":20000000}}}",
     .doc = "Run a rule over stored events in the background, within the caller's scope"},
    {.method = CF_GET, .path = "/api/v1/backtests", .permission = "rule.read", .handler = list_jobs, .flags = CF_RF_LIST, .doc = "Back-tests, newest first"},
    {.method = CF_GET, .path = "/api/v1/backtests/{id}", .permission = "rule.read", .handler = get_job, .doc = "One back-test with its result"},
    {.method = CF_POST, .path = "/api/v1/backtests/{id}/cancel", .permission = "rule.read", .handler = cancel, .doc = "End a waiting or running back-test"},
};

void cf_rule_backtest_routes(void)
{
    _Static_assert(EVENTS_DEFAULT <= EVENTS_MAX, "default within bounds");
    cf_routes_add(routes, sizeof routes / sizeof *routes);
}
