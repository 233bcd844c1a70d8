/* SPDX-License-Identifier: Apache-2.0
 * Events over HTTP: search, histogram, facets, export, one event, SQL, the field list. Thin over store/event_store.h; what is
 * added here is the caller's scope and the words of errors. */
#include <stdio.h>
#include <stdlib.h>

#include "api/event_export.h"
#include "api/http.h"
#include "event/event.h"

int cf_events_scope(struct cf_req *req, struct cf_event_scope *ret, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    cf_str *orgs;

    if (!app->events)
        return cf_error_set(reterr, CF_EUNSUPPORTED, "the event store is switched off (store.events: none)");
    if (cf_scope_orgs(app->db, req->who, req->arena, &ret->all, &orgs, &ret->n_orgs, reterr) < 0)
        return reterr->code;
    ret->orgs = orgs;
    return 0;
}

static int time_field(struct cf_req *req, const char *name, const char *def, int64_t now, int64_t *ret, struct cf_error *reterr)
{
    const char *s = json_string_value(json_object_get(req->json, name));

    if (cf_time_parse_rel(cf_str_c(s ? s : def), now, ret))
        return 0;
    (void)cf_req_field_error(req, name, "must be RFC 3339 or now-1h style");
    return cf_error_set(reterr, CF_EINVAL, "%s must be RFC 3339 or now-1h style", name);
}

static int list_fields(struct cf_req *req, struct cf_search *q, struct cf_error *reterr)
{
    const json_t *list = json_object_get(req->json, "fields");
    size_t n = json_array_size(list), i;
    cf_str *v = n ? CF_NEW_N(req->arena, cf_str, n) : NULL;

    if (n && !v)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    for (i = 0; i < n; i++)
        v[i] = cf_str_c(json_string_value(json_array_get(list, i)));
    q->fields = v;
    q->n_fields = n;
    return 0;
}

int cf_events_request(struct cf_req *req, struct cf_search *q, struct cf_error *reterr)
{
    const char *query = json_string_value(json_object_get(req->json, "query")), *sort = json_string_value(json_object_get(req->json, "sort")),
               *cursor = json_string_value(json_object_get(req->json, "cursor"));
    int64_t now = cf_now_us(), limit = json_integer_value(json_object_get(req->json, "limit"));
    int r;

    *q = (struct cf_search){.query = cf_str_c(query ? query : ""), .cursor = cf_str_c(cursor ? cursor : ""), .limit = (size_t)limit};
    r = time_field(req, "from", "now-24h", now, &q->from_us, reterr);
    if (r == 0)
        r = time_field(req, "to", "now+1h", now, &q->to_us, reterr);
    if (r == 0 && q->from_us > q->to_us) {
        (void)cf_req_field_error(req, "from", "must be before to");
        r = cf_error_set(reterr, CF_EINVAL, "from must be before to");
    }
    if (r == 0 && sort) {
        cf_str s = cf_str_c(sort);
        bool desc = s.n && s.p[0] == '-';

        s = desc ? cf_str_sub(s, 1, s.n) : s;
        if (!cf_str_eqz(s, "@timestamp") && !cf_str_eqz(s, "time")) {
            (void)cf_req_field_error(req, "sort", "must be @timestamp or -@timestamp");
            r = cf_error_set(reterr, CF_EINVAL, "sort must be @timestamp or -@timestamp");
        }
        q->oldest_first = !desc;
    }
    if (r == 0)
        r = list_fields(req, q, reterr);
    return r < 0 ? r : cf_events_scope(req, &q->scope, reterr);
}

static bool caller_gone(void *arg) { return cf_req_gone(arg); }

int cf_events_run(struct cf_req *req, struct cf_event_run **ret, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    const char *id = json_string_value(json_object_get(req->json, "query_id"));
    const struct cf_event_run_options o = {.owner = req->who->user_id, .id = cf_str_c(id ? id : ""), .gone = caller_gone, .arg = req};

    return cf_event_run_begin(app->events, &o, ret, reterr);
}

int cf_events_explain(struct cf_req *req, int r, struct cf_error *reterr)
{
    if (r == CF_ESYNTAX) {
        (void)cf_req_field_error(req, "query", "%s", reterr->msg);
        cf_req_problem(req, "position", json_integer((json_int_t)reterr->pos));
    }
    return r;
}

/* {"a":1} -> {"a":1,"took_ms":N} */
static void add_took(struct cf_buf *b, int64_t started_us)
{
    if (b->n && b->p[b->n - 1] == '}') {
        b->n--;
        cf_buf_printf(b, ",\"took_ms\":%lld}", (long long)((cf_mono_us() - started_us) / 1000));
    }
}

typedef int (*search_fn)(struct cf_event_store *s, const struct cf_search *q, struct cf_req *req, struct cf_buf *out, struct cf_error *reterr);

static int run_search(struct cf_req *req, search_fn fn, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    struct cf_event_run *run = NULL;
    struct cf_search q;
    struct cf_buf out;
    int64_t t0 = cf_mono_us();
    int r = cf_events_request(req, &q, reterr);

    if (r == 0)
        r = cf_events_run(req, &run, reterr);
    if (r < 0)
        return r;
    q.run = run;
    cf_buf_init(&out, 512 << 20);
    r = fn(app->events, &q, req, &out, reterr);
    cf_event_run_end(run);
    if (r < 0) {
        cf_buf_release(&out);
        return cf_events_explain(req, r, reterr);
    }
    add_took(&out, t0);
    cf_reply_bytes(req, 200, "application/json; charset=utf-8", &out);
    return 0;
}

static int do_search(struct cf_event_store *s, const struct cf_search *q, struct cf_req *req, struct cf_buf *out, struct cf_error *reterr)
{
    (void)req;
    return cf_event_search(s, q, out, reterr);
}

static int do_histogram(struct cf_event_store *s, const struct cf_search *q, struct cf_req *req, struct cf_buf *out, struct cf_error *reterr)
{
    int64_t n = json_integer_value(json_object_get(req->json, "buckets"));

    return cf_event_histogram(s, q, (size_t)(n ? n : 60), out, reterr);
}

static int do_facet(struct cf_event_store *s, const struct cf_search *q, struct cf_req *req, struct cf_buf *out, struct cf_error *reterr)
{
    int64_t n = json_integer_value(json_object_get(req->json, "n"));

    return cf_event_facet(s, q, cf_str_c(json_string_value(json_object_get(req->json, "field"))), (size_t)(n ? n : 10), out, reterr);
}

static int search(struct cf_req *req, struct cf_error *reterr) { return run_search(req, do_search, reterr); }
static int histogram(struct cf_req *req, struct cf_error *reterr) { return run_search(req, do_histogram, reterr); }
static int facet(struct cf_req *req, struct cf_error *reterr) { return run_search(req, do_facet, reterr); }

static int cancel(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    const char *id = json_string_value(json_object_get(req->json, "query_id"));

    if (!app->events)
        return cf_error_set(reterr, CF_EUNSUPPORTED, "the event store is switched off (store.events: none)");
    cf_reply_json(req, 200, json_pack("{s:I}", "cancelled", (json_int_t)cf_event_run_cancel(app->events, req->who->user_id, cf_str_c(id))));
    return 0;
}

static int progress(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    struct cf_event_progress p = {0};
    bool running;

    if (!app->events)
        return cf_error_set(reterr, CF_EUNSUPPORTED, "the event store is switched off (store.events: none)");
    running = cf_event_run_progress(app->events, req->who->user_id, cf_req_query(req, "query_id"), &p);
    cf_reply_json(req, 200, json_pack("{s:b,s:I,s:I,s:I}", "running", running, "elapsed_ms", (json_int_t)p.elapsed_ms, "rows_read", (json_int_t)p.rows_read,
                                      "rows_total", (json_int_t)p.rows_total));
    return 0;
}

static int get_event(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    cf_str id = cf_req_path(req, "id");
    struct cf_search q = {.limit = 1, .from_us = 0, .to_us = cf_now_us() + 20 * 366 * CF_US_PER_DAY};
    struct cf_buf out;
    json_t *page, *item;
    int r;

    for (size_t i = 0; i < id.n; i++) {
        if (!strchr("0123456789abcdefABCDEF-", id.p[i]))
            return cf_error_set(reterr, CF_ENOENT, "there is no such event");
    }
    q.query = cf_arena_printf(req->arena, "_id:\"%.*s\"", CF_ARG(id));
    r = cf_events_scope(req, &q.scope, reterr);
    if (r < 0)
        return r;
    cf_buf_init(&out, 64 << 20);
    r = cf_event_search(app->events, &q, &out, reterr);
    page = r == 0 ? json_loadb(out.p, out.n, 0, NULL) : NULL;
    cf_buf_release(&out);
    item = json_array_get(json_object_get(page, "items"), 0);
    if (item)
        cf_reply_json(req, 200, json_incref(item));
    else if (r == 0 || r == CF_ESYNTAX)
        r = cf_error_set(reterr, CF_ENOENT, "there is no such event, or it is not yours to see");
    json_decref(page);
    return r;
}

static int sql(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    struct cf_event_scope scope = {0};
    struct cf_query_limits lim = {0};
    struct cf_event_run *run = NULL;
    struct cf_buf out;
    int64_t t0 = cf_mono_us();
    int r = cf_events_scope(req, &scope, reterr);

    if (r == 0)
        r = cf_events_run(req, &run, reterr);
    if (r < 0)
        return r;
    lim.tag = cf_event_run_tag(run);
    cf_req_audit(req, NULL, NULL, req->json);
    cf_buf_init(&out, 256 << 20);
    r = cf_event_sql(app->events, cf_str_c(json_string_value(json_object_get(req->json, "sql"))), &scope, &lim, &out, reterr);
    if (cf_event_run_cancelled(run))
        r = cf_error_set(reterr, CF_ECANCELLED, "the query was stopped");
    cf_event_run_end(run);
    if (r < 0) {
        cf_buf_release(&out);
        if (r == CF_ESYNTAX || r == CF_EINVAL)
            (void)cf_req_field_error(req, "sql", "%s", reterr->msg);
        return r;
    }
    add_took(&out, t0);
    cf_reply_bytes(req, 200, "application/json; charset=utf-8", &out);
    return 0;
}

static int fields(struct cf_req *req, struct cf_error *reterr)
{
    static const char *const types[] = {"keyword", "text", "long", "float", "ip", "date", "boolean"};
    json_t *items = json_array();

    (void)reterr;
    (void)json_array_append_new(items, json_pack("{s:s,s:s,s:s}", "name", "@timestamp", "type", "date", "doc", "when it happened"));
    for (size_t i = 0; i < CF_F__COUNT; i++)
        (void)json_array_append_new(items, json_pack("{s:s,s:s,s:s}", "name", cf_fields[i].name, "type", types[cf_fields[i].type], "doc", cf_fields[i].doc));
    cf_reply_list(req, items, NULL, (int64_t)json_array_size(items));
    return 0;
}

#define RANGE "\"query\":{\"type\":\"string\",\"maxLength\":10000},\"from\":{\"type\":\"string\",\"maxLength\":60},\"to\":{\"type\":\"string\",\"maxLength\":60},\"query_id\":{\"type\":\"string\",\"maxLength\":64}"
static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/api/v1/events:search", .permission = "event.search", .handler = search, .flags = CF_RF_NO_AUDIT,
     .request = "{\"type\":\"object\",\"properties\":{" RANGE ",\"limit\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000},\"cursor\":{\"type\":[\"string\",\"null\"]},"
                "\"sort\":{\"type\":\"string\"},\"fields\":{\"type\":\"array\",\"maxItems\":200,\"items\":{\"type\":\"string\",\"maxLength\":200}}}}",
     .reply = "{\"type\":\"object\",\"properties\":{\"items\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},\"total\":{\"type\":\"integer\"},"
              "\"next\":{\"type\":[\"string\",\"null\"]},\"took_ms\":{\"type\":\"integer\"}}}",
     .doc = "Search events in the caller's scope"},
    {.method = CF_POST, .path = "/api/v1/events:histogram", .permission = "event.search", .handler = histogram, .flags = CF_RF_NO_AUDIT,
     .request = "{\"type\":\"object\",\"properties\":{" RANGE ",\"buckets\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}}}", .doc = "Events over time"},
    {.method = CF_POST, .path = "/api/v1/events:facet", .permission = "event.search", .handler = facet, .flags = CF_RF_NO_AUDIT,
     .request = "{\"type\":\"object\",\"required\":[\"field\"],\"properties\":{" RANGE ",\"field\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200},"
                "\"n\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}}}",
     .doc = "Most frequent values of a field"},
    {.method = CF_POST, .path = "/api/v1/events:export", .permission = "export.data", .handler = cf_events_export,
     .request = "{\"type\":\"object\",\"properties\":{" RANGE ",\"format\":{\"type\":\"string\",\"enum\":[\"csv\",\"json\",\"xlsx\"]},\"sort\":{\"type\":\"string\"},"
                "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000},\"fields\":{\"type\":\"array\",\"maxItems\":200,\"items\":{\"type\":\"string\"}}}}",
     .doc = "Download search results as CSV, NDJSON or XLSX"},
    {.method = CF_POST, .path = "/api/v1/events:cancel", .permission = "event.search", .handler = cancel, .flags = CF_RF_NO_AUDIT, .scope = "self",
     .request = "{\"type\":\"object\",\"required\":[\"query_id\"],\"properties\":{\"query_id\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64}}}",
     .doc = "Stops the caller's searches, histograms, facets and exports of that query_id"},
    {.method = CF_GET, .path = "/api/v1/events:progress", .permission = "event.search", .handler = progress, .scope = "self",
     .request = "{\"type\":\"object\",\"required\":[\"query_id\"],\"properties\":{\"query_id\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64}}}",
     .doc = "How far the caller's search of that query_id is: time, rows read, rows the engine expects to read"},
    {.method = CF_GET, .path = "/api/v1/events/{id}", .permission = "event.search", .handler = get_event, .doc = "One event"},
    {.method = CF_POST, .path = "/api/v1/sql", .permission = "event.sql", .handler = sql,
     .request = "{\"type\":\"object\",\"required\":[\"sql\"],\"properties\":{\"sql\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":100000},\"query_id\":{\"type\":\"string\",\"maxLength\":64}}}",
     .doc = "One read-only SELECT over the event tables, in the caller's scope"},
    {.method = CF_GET, .path = "/api/v1/fields", .permission = "event.search", .handler = fields, .scope = "all", .doc = "Fields with a column of their own"},
};

void cf_event_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
