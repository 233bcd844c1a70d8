/* SPDX-License-Identifier: Apache-2.0
 * Why a rule fired or did not: pasted records, pasted events and stored events through the normaliser and the detector in use,
 * told step by step. Nothing here changes windows or alerts. */
#include <stdio.h>
#include <stdlib.h>

#include "api/event_export.h"
#include "api/rule_view.h"
#include "base/jstr.h"
#include "event/event.h"
#include "incident/incident.h"
#include "normalise/normalise.h"

#define EVENTS_MAX 500
#define EXPLAIN_MAX 20 /* rules of a text explained per event */

struct trial {
    struct cf_req *req;
    struct cf_shared_box *norm_box, *rules_box;
    const struct cf_normaliser *norm;
    struct cf_norm_thread *thread;
    const struct cf_ruleset *rs;
    struct cf_ruleset *own; /* compiled from a text */
    struct cf_detector *det;
};

static void trial_close(struct trial *t)
{
    struct cf_pipeline *p = rule_app(t->req)->pipeline;

    cf_detector_free(t->det);
    cf_norm_thread_free(t->thread);
    cf_ruleset_free(t->own);
    if (t->norm_box)
        cf_pipeline_normaliser_put(p, t->norm_box);
    if (t->rules_box)
        cf_pipeline_rules_put(p, t->rules_box);
}

/* yaml .p NULL: the rules in use. */
static int trial_open(struct cf_req *req, cf_str yaml, struct trial *t, struct cf_error *reterr)
{
    struct cf_pipeline *p = rule_app(req)->pipeline;
    struct cf_rules_options lib;
    int r = 0;

    *t = (struct trial){.req = req};
    if (!p || !(t->norm = cf_pipeline_normaliser(p, &t->norm_box)))
        return cf_error_set(reterr, CF_EUNSUPPORTED, "detection is switched off");
    if (yaml.p) {
        r = rule_library_for(req, yaml, CF_STR(""), &lib, reterr);
        if (r == 0)
            r = cf_rulebook_compile(&lib, yaml, &t->own, reterr);
        if (r == CF_ESYNTAX)
            (void)cf_req_field_error(req, "yaml", "%s", reterr->msg);
        t->rs = t->own;
    } else if (!(t->rs = cf_pipeline_rules(p, &t->rules_box))) {
        r = cf_error_set(reterr, CF_EUNSUPPORTED, "detection is switched off");
    }
    if (r == 0 && (!(t->thread = cf_norm_thread_new(t->norm)) || !(t->det = cf_detector_new(t->rs))))
        r = cf_error_set(reterr, CF_ENOMEM, "no memory");
    if (r < 0)
        trial_close(t);
    return r;
}

/* ---- events ---- */

struct item {
    struct cf_event *ev;
    cf_str event_id;  /* stored events */
    bool as_stored;   /* could not be read again from its original */
};

static int from_text(struct trial *t, cf_str raw, cf_str source, int64_t received_us, struct cf_event **ret, struct cf_error *reterr)
{
    struct cf_record rec = {.raw = cf_arena_copy(t->req->arena, raw), .source = source, .format = CF_STR(""), .peer = CF_STR(""), .org = CF_STR(""), .received_us = received_us};
    int r = rec.raw.p ? cf_normalise(t->thread, t->req->arena, &rec, ret) : CF_ENOMEM;

    if (r < 0)
        return cf_error_set(reterr, r, "the record could not be read: %s", cf_err_text(r));
    (*ret)->received_us = received_us;
    return 0;
}

static bool id_ok(cf_str id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!strchr("0123456789abcdefABCDEF-", id.p[i]))
            return false;
    return id.n == 36;
}

/* A stored event, read again from its original where that gives the same source. */
static int from_store(struct trial *t, cf_str id, struct item *ret, struct cf_error *reterr)
{
    struct cf_event_scope scope;
    struct cf_event *stored = NULL, *again = NULL;
    int64_t received = 0;
    int r = cf_events_scope(t->req, &scope, reterr);

    if (r == 0 && !id_ok(id))
        r = cf_error_set(reterr, CF_ENOENT, "there is no such event");
    if (r == 0)
        r = cf_event_fetch(rule_app(t->req)->events, &scope, &id, 1, t->req->arena, &stored, reterr);
    if (r == 0 && !stored)
        r = cf_error_set(reterr, CF_ENOENT, "there is no such event, or it is not yours to see");
    if (r != 0)
        return r;
    if (!cf_time_parse(cf_event_get(stored, CF_F_EVENT_INGESTED), &received))
        received = stored->time_us;
    stored->received_us = received;
    r = from_text(t, stored->original, stored->source, received, &again, reterr);
    ret->event_id = id;
    ret->as_stored = r < 0 || !cf_str_eq(again->source, stored->source) || (again->flags & CF_EV_HEADER);
    ret->ev = ret->as_stored ? stored : again;
    if (!ret->as_stored) {
        cf_str org = cf_event_get(stored, CF_F_ORGANIZATION_ID);

        again->time_us = stored->time_us;
        if (org.n)
            (void)cf_event_set(again, CF_F_ORGANIZATION_ID, org);
    }
    return 0;
}

static int from_json(struct trial *t, const json_t *event, struct cf_event **ret, struct cf_error *reterr)
{
    char *text = json_dumps(event, JSON_COMPACT);
    int r = text ? from_text(t, cf_str_c(text), CF_STR(""), cf_now_us(), ret, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory");

    free(text);
    return r;
}

/* ---- telling ---- */

/* Field, value and the name the source used, in the order they were set. */
static json_t *fields_json(const struct cf_event *ev)
{
    json_t *list = json_array();

    for (uint16_t i = 0; i < ev->n && i < 400; i++) {
        const struct cf_value *v = &ev->val[i];
        cf_str name = v->id < CF_F__COUNT ? cf_str_n(cf_fields[v->id].name, cf_fields[v->id].name_n) : cf_name_text(v->name);
        cf_str val = cf_str_n(v->p, v->n < 2000 ? v->n : 2000);
        json_t *text;

        if (v->id == CF_F_EVENT_ORIGINAL)
            continue; /* told as a whole beside the fields */
        while (val.n && val.n < v->n && ((unsigned char)v->p[val.n] & 0xc0) == 0x80)
            val.n--;
        text = json_stringn(val.p ? val.p : "", val.n);
        if (!text)
            continue;
        (void)json_array_append_new(list, json_pack("{s:o,s:o,s:o}", "field", rule_str(name), "value", text, "raw", v->raw ? rule_str(cf_name_text(v->raw)) : json_null()));
    }
    return list;
}

static json_t *reading_json(const struct item *it)
{
    const struct cf_event *ev = it->ev;
    bool parsed = !(ev->flags & CF_EV_UNPARSED);
    cf_str error = cf_event_get(ev, CF_F_ERROR_MESSAGE), org = cf_event_get(ev, CF_F_ORGANIZATION_ID);
    json_t *original = json_stringn(ev->original.p ? ev->original.p : "", ev->original.n < 8000 ? ev->original.n : 8000);

    return json_pack("{s:o,s:o,s:o,s:o,s:b,s:o,s:o,s:b,s:o,s:o}", "event_id", it->event_id.p ? rule_str(it->event_id) : json_null(), "received_at", rule_time(ev->received_us),
                     "time", ev->time_us == CF_TIME_NONE ? json_null() : rule_time(ev->time_us), "source", ev->source.n ? rule_str(ev->source) : json_null(), "parsed", parsed,
                     "error", parsed || !error.p ? json_null() : rule_str(error), "organization", org.n ? rule_str(org) : json_null(), "as_stored", it->as_stored, "original",
                     original ? original : json_string(""), "fields", fields_json(ev));
}

static json_t *explain_json(struct trial *t, const struct cf_event *ev, size_t index)
{
    struct cf_buf b;
    json_t *o = NULL;

    cf_buf_init(&b, 16 << 20);
    if (cf_explain(t->det, ev, index, &b) == 0)
        o = json_loadb(b.p, b.n, 0, NULL);
    cf_buf_release(&b);
    if (o && json_object_get(o, "rule"))
        (void)json_object_del(json_object_get(o, "rule"), "file"); /* no path of the machine shows */
    return o ? o : json_null();
}

/* The alert that holds this event, in the caller's scope. */
static json_t *alert_of(struct cf_req *req, cf_str rule_id, cf_str event_id)
{
    struct cf_dbval v[8] = {CF_S(rule_id)};
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    struct cf_error err;
    struct cf_buf sql;
    json_t *o = NULL;
    size_t n = 0;

    if (!event_id.n || cf_tx_begin(rule_app(req)->db, CF_TX_READ, &tx, &err) < 0)
        return json_null();
    cf_buf_init(&sql, 65536);
    cf_buf_z(&sql, "SELECT id, status FROM alert WHERE rule_id = ? AND (events_first LIKE ? OR events_last LIKE ?) AND ");
    v[1] = v[2] = CF_S(cf_arena_printf(req->arena, "%%%.*s%%", CF_ARG(event_id)));
    cf_scope_sql(req->who, "org_id", &sql, v + 3, &n, req->arena);
    cf_buf_z(&sql, " LIMIT 1");
    if (cf_tx_queryv(tx, cf_buf_cstr(&sql), v, 3 + n, &st, &err) == 0 && cf_stmt_next(st, &err) == 1)
        o = json_pack("{s:o,s:o}", "id", rule_str(cf_stmt_str(st, 0)), "status", rule_str(cf_stmt_str(st, 1)));
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    cf_buf_release(&sql);
    return o ? o : json_null();
}

/* State, exceptions, alert: what comes after the detector. outcome says where the way ended. */
static json_t *after_json(struct cf_req *req, const struct rule_row *row, const struct item *it, const json_t *ex)
{
    bool tried = json_is_true(json_object_get(json_object_get(ex, "log_source"), "tried")), yes = json_is_true(json_object_get(ex, "condition_result")),
         fired = json_is_true(json_object_get(ex, "fired")), corr = json_object_get(ex, "correlation") != NULL;
    json_t *alert = alert_of(req, row->info->id, it->event_id);
    struct cf_error err = {0};
    char exception[37] = "";
    const char *outcome;

    if (cf_incident_hidden_by(rule_app(req)->db, row->info, it->ev, cf_event_get(it->ev, CF_F_ORGANIZATION_ID), exception, &err) < 0)
        exception[0] = '\0';
    outcome = corr                                ? json_is_object(alert) ? "alert" : "correlation"
              : !tried                            ? "other_log_source"
              : !yes                              ? "condition_false"
              : !fired                            ? "counted_by_correlation"
              : row->state == CF_RULE_DISABLED    ? "disabled"
              : row->state == CF_RULE_STAGED      ? "staged"
              : exception[0]                      ? "exception"
              : json_is_object(alert)             ? "alert"
              : it->event_id.n                    ? "no_alert_now" /* it would alert today; then the rule was other, off, or later */
                                                  : "would_alert";
    return json_pack("{s:s,s:s,s:o,s:o}", "outcome", outcome, "state", cf_rule_state_name(row->state), "exception", exception[0] ? json_string(exception) : json_null(), "alert",
                     alert);
}

/* ---- POST /rules:test ---- */

static int collect(struct trial *t, struct item *items, size_t *n, struct cf_error *reterr)
{
    json_t *one, *body = t->req->json;
    size_t i;
    int r = 0;

    json_array_foreach(json_object_get(body, "lines"), i, one)
    {
        if (r == 0 && *n < EVENTS_MAX && json_string_length(one))
            r = from_text(t, cf_str_n(json_string_value(one), json_string_length(one)), CF_STR(""), cf_now_us(), &items[(*n)++].ev, reterr);
    }
    json_array_foreach(json_object_get(body, "events"), i, one)
    {
        if (r == 0 && *n < EVENTS_MAX)
            r = from_json(t, one, &items[(*n)++].ev, reterr);
    }
    json_array_foreach(json_object_get(body, "event_ids"), i, one)
    {
        if (r == 0 && *n < EVENTS_MAX)
            r = from_store(t, cf_arena_copy(t->req->arena, cf_str_n(json_string_value(one), json_string_length(one))), &items[(*n)++], reterr);
    }
    return r;
}

static json_t *hit_json(const struct cf_hit *h)
{
    json_t *m = json_array();

    for (size_t i = 0; i < h->n_matched && i < 20; i++)
        (void)json_array_append_new(m, json_pack("{s:o,s:o}", "field", rule_str(h->matched[i].field), "value", rule_str(cf_str_sub(h->matched[i].value, 0, 500))));
    return json_pack("{s:o,s:o,s:s,s:o,s:I,s:o}", "id", rule_str(h->rule->id), "title", rule_str(h->rule->title), "level", cf_level_name(h->rule->level), "group",
                     h->group.n ? rule_str(h->group) : json_null(), "count", (json_int_t)h->count, "matched", m);
}

static int try_one(struct trial *t, struct item *it, bool explain, json_t *out, struct cf_error *reterr)
{
    const struct cf_hit *hit = NULL;
    size_t n_hit = 0, told = 0;
    json_t *o = reading_json(it), *hits = json_array(), *ex = json_array();
    int r;

    r = cf_detect(t->det, it->ev, &hit, &n_hit);
    if (r < 0)
        r = cf_error_set(reterr, r, "%s", cf_err_text(r));
    for (size_t i = 0; r == 0 && i < n_hit; i++)
        if (cf_str_eqz(hit[i].rule->file, CF_RULE_TEXT_FILE))
            (void)json_array_append_new(hits, hit_json(&hit[i]));
    for (size_t i = 0; r == 0 && explain && told < EXPLAIN_MAX && i < cf_ruleset_count(t->rs); i++)
        if (cf_str_eqz(cf_ruleset_rule(t->rs, i)->file, CF_RULE_TEXT_FILE)) {
            (void)json_array_append_new(ex, explain_json(t, it->ev, i));
            told++;
        }
    (void)json_object_set_new(o, "hits", hits);
    (void)json_object_set_new(o, "explain", ex);
    (void)json_array_append_new(out, o);
    return r;
}

/* Correlations with an upper bound are decided when their window closes: here at the end of the input. */
static int at_end(struct trial *t, json_t *out, struct cf_error *reterr)
{
    const struct cf_hit *hit = NULL;
    size_t n = 0;
    int r = cf_detect_flush(t->det, t->req->arena, &hit, &n);

    for (size_t i = 0; r == 0 && i < n; i++)
        if (cf_str_eqz(hit[i].rule->file, CF_RULE_TEXT_FILE))
            (void)json_array_append_new(out, hit_json(&hit[i]));
    return r < 0 ? cf_error_set(reterr, r, "%s", cf_err_text(r)) : 0;
}

static int test_rule(struct cf_req *req, struct cf_error *reterr)
{
    struct item *items = CF_NEW_N(req->arena, struct item, EVENTS_MAX + 1);
    json_t *out = json_array(), *end = json_array();
    struct trial t;
    int64_t t0 = cf_mono_us();
    size_t n = 0, matches = 0;
    int r = items ? trial_open(req, cf_json_text(req->json, "yaml"), &t, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory");

    if (r < 0) {
        json_decref(out);
        json_decref(end);
        return r;
    }
    r = collect(&t, items, &n, reterr);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (items[i].ev->flags & CF_EV_HEADER)
            continue;
        items[i].ev->seq = i;
        r = try_one(&t, &items[i], i < 100, out, reterr);
        matches += json_array_size(json_object_get(json_array_get(out, json_array_size(out) - 1), "hits")) > 0;
    }
    if (r == 0)
        r = at_end(&t, end, reterr);
    trial_close(&t);
    if (r < 0) {
        json_decref(out);
        json_decref(end);
        return r;
    }
    cf_reply_json(req, 200, json_pack("{s:o,s:I,s:I,s:o,s:I}", "items", out, "events", (json_int_t)n, "matches", (json_int_t)matches, "at_end", end, "took_ms",
                                      (json_int_t)((cf_mono_us() - t0) / 1000)));
    return 0;
}

/* ---- POST /rules/{id}:explain, POST /events/{id}:explain ---- */

static int one_event(struct trial *t, struct item *it, struct cf_error *reterr)
{
    const json_t *body = t->req->json, *event = json_object_get(body, "event");
    cf_str id = cf_json_text(body, "event_id"), raw = cf_json_text(body, "raw");

    if (id.n)
        return from_store(t, cf_arena_copy(t->req->arena, id), it, reterr);
    if (json_is_object(event))
        return from_json(t, event, &it->ev, reterr);
    if (raw.n)
        return from_text(t, raw, cf_json_text(body, "source").p ? cf_json_text(body, "source") : CF_STR(""), cf_now_us(), &it->ev, reterr);
    return cf_error_set(reterr, CF_EINVAL, "event_id, event or raw says what is to be explained");
}

static int explain_reply(struct trial *t, const struct item *it, cf_str rule_id, struct cf_error *reterr)
{
    struct rule_view v;
    struct rule_row *row;
    json_t *ex, *o;
    int r = rule_view_open(t->req, &v, reterr);

    if (r < 0)
        return r;
    row = rule_view_find(&v, rule_id, reterr);
    if (row && row->info->index < cf_ruleset_count(t->rs) && cf_str_eq(cf_ruleset_rule(t->rs, row->info->index)->id, rule_id)) {
        ex = explain_json(t, it->ev, row->info->index);
        o = json_pack("{s:o,s:o,s:o}", "reading", reading_json(it), "rule", rule_row_json(&v, row), "after", after_json(t->req, row, it, ex));
        (void)json_object_set_new(o, "explain", ex);
        cf_reply_json(t->req, 200, o);
    } else if (row) {
        r = cf_error_set(reterr, CF_ECONFLICT, "the rules are being loaded; try again");
    } else {
        r = CF_ENOENT;
    }
    rule_view_close(&v);
    return r;
}

static int explain_rule(struct cf_req *req, struct cf_error *reterr)
{
    struct item it = {0};
    struct trial t;
    int r = trial_open(req, CF_STR_NONE, &t, reterr);

    if (r < 0)
        return r;
    r = one_event(&t, &it, reterr);
    if (r == 0)
        r = explain_reply(&t, &it, cf_req_path(req, "id"), reterr);
    trial_close(&t);
    return r;
}

/* All rules over one event: which fired, which were tried, which belong elsewhere. */
static int overview_reply(struct trial *t, const struct item *it, struct cf_error *reterr)
{
    struct cf_verdict *verdict = CF_NEW_N(t->req->arena, struct cf_verdict, cf_ruleset_count(t->rs) + 1);
    json_t *fired = json_array(), *tried = json_array(), *o;
    struct rule_view v;
    int64_t n_tried = 0, n_other = 0;
    int r = verdict ? rule_view_open(t->req, &v, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory");

    if (r == 0) {
        r = cf_verdicts(t->det, it->ev, verdict);
        if (r < 0)
            (void)cf_error_set(reterr, r, "%s", cf_err_text(r));
        for (size_t i = 0; r == 0 && i < v.n && v.n == cf_ruleset_count(t->rs); i++) {
            const struct rule_row *row = &v.rows[i];

            n_tried += verdict[i].tried;
            n_other += !verdict[i].tried;
            if (verdict[i].tried && (verdict[i].yes || json_array_size(tried) < 500)) {
                o = json_pack("{s:o,s:o,s:o,s:s,s:s,s:b,s:b,s:o}", "id", rule_str(row->info->id), "title", rule_str(row->info->title), "title_zh", rule_str(row->info->title_zh),
                              "level", cf_level_name(row->info->level), "state", cf_rule_state_name(row->state), "yes", verdict[i].yes, "silent", verdict[i].silent, "alert",
                              verdict[i].yes ? alert_of(t->req, row->info->id, it->event_id) : json_null());
                (void)json_array_append_new(verdict[i].yes ? fired : tried, o);
            }
        }
        rule_view_close(&v);
    }
    if (r < 0) {
        json_decref(fired);
        json_decref(tried);
        return r;
    }
    cf_reply_json(t->req, 200, json_pack("{s:o,s:o,s:o,s:I,s:I}", "reading", reading_json(it), "fired", fired, "not_fired", tried, "tried", (json_int_t)n_tried,
                                         "other_log_source", (json_int_t)n_other));
    return 0;
}

static int explain_event(struct cf_req *req, struct cf_error *reterr)
{
    cf_str rule_id = cf_json_text(req->json, "rule_id");
    struct item it = {0};
    struct trial t;
    int r = trial_open(req, CF_STR_NONE, &t, reterr);

    if (r < 0)
        return r;
    r = from_store(&t, cf_arena_copy(req->arena, cf_req_path(req, "id")), &it, reterr);
    if (r == 0)
        r = rule_id.n ? explain_reply(&t, &it, rule_id, reterr) : overview_reply(&t, &it, reterr);
    trial_close(&t);
    return r;
}

#define ONE "\"event_id\":{\"type\":\"string\",\"maxLength\":40},\"event\":{\"type\":\"object\"},\"raw\":{\"type\":\"string\",\"maxLength\":65536},\"source\":{\"type\":\"string\",\"maxLength\":100}"
static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/api/v1/rules:test", .permission = "rule.read", .handler = test_rule, .flags = CF_RF_NO_AUDIT,
     .request = "{\"type\":\"object\",\"required\":[\"yaml\"],\"additionalProperties\":false,\"properties\":{\"yaml\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":262144},"
                "\"lines\":{\"type\":\"array\",\"maxItems\":500,\"items\":{\"type\":\"string\",\"maxLength\":65536}},\"events\":{\"type\":\"array\",\"maxItems\":500,\"items\":{\"type\":"
                "\"object\"}},\"event_ids\":{\"type\":\"array\",\"maxItems\":100,\"items\":{\"type\":\"string\",\"maxLength\":40}}}}",
     .doc = "A rule text against pasted records, events and stored events: matches and why"},
    {.method = CF_POST, .path = "/api/v1/rules/{id}:explain", .permission = "rule.read", .handler = explain_rule, .flags = CF_RF_NO_AUDIT,
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" ONE "}}", .doc = "Why this rule fires on an event, or why not, step by step"},
    {.method = CF_POST, .path = "/api/v1/events/{id}:explain", .permission = "rule.read", .handler = explain_event, .flags = CF_RF_NO_AUDIT,
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"rule_id\":{\"type\":\"string\",\"maxLength\":200}}}",
     .doc = "Which rules were tried on a stored event and fired; with rule_id: why that one did or did not"},
};

void cf_rule_test_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
