/* SPDX-License-Identifier: Apache-2.0
 * GET /api/v1/overview: the first page in one answer. Every figure is counted inside the caller's scope, over the same tables and with
 * the same conditions as the lists behind it, so that a figure and its list never disagree. Parts the caller may not read are zero. */
#include <pthread.h>

#include <stdio.h>
#include <stdlib.h>

#include "api/rules.h"
#include "collect/counters.h"
#include "notice/notice.h"
#include "pipeline/pipeline.h"
#include "workflow/reply.h"
#include "workflow/workflow.h"

#define OPEN_ALERTS "a.status IN ('new', 'handling', 'confirmed')"
#define OPEN_INCIDENTS "i.status IN ('open', 'investigating', 'contained')"

struct build {
    struct cf_req *req;
    struct cf_app *app;
    struct cf_tx *tx;
    struct cf_error *err;
    int64_t from_us, now_us;
    json_t *o;
};
typedef void (*row_fn)(struct build *b, struct cf_stmt *st, json_t *into);

static const char *const level_names[] = {"informational", "low", "medium", "high", "critical"};

static bool may(const struct build *b, const char *perm) { return cf_principal_may(b->req->who, cf_str_c(perm)); }

static json_t *jstr(cf_str s)
{
    json_t *v = s.p ? json_stringn(s.p, s.n) : json_null();

    return v ? v : json_null();
}

/* head ... AND scope tail; at most 2 values in front of the scope's. */
static int each_row(struct build *b, const char *head, const struct cf_dbval *v0, size_t n0, const char *scope_col, const char *tail, row_fn fn, json_t *into)
{
    struct cf_dbval v[6];
    struct cf_buf sql;
    struct cf_stmt *st = NULL;
    size_t n = 0;
    int r;

    for (size_t i = 0; i < n0; i++)
        v[i] = v0[i];
    cf_buf_init(&sql, 16384);
    cf_buf_printf(&sql, "%s AND ", head);
    cf_scope_sql(b->req->who, scope_col, &sql, v + n0, &n, b->req->arena);
    cf_buf_z(&sql, tail);
    r = cf_tx_queryv(b->tx, cf_buf_cstr(&sql), v, n0 + n, &st, b->err);
    while (r == 0 && (r = cf_stmt_next(st, b->err)) == 1) {
        fn(b, st, into);
        r = 0;
    }
    cf_stmt_free(st);
    cf_buf_release(&sql);
    return r;
}

static void take_level(struct build *b, struct cf_stmt *st, json_t *into)
{
    int64_t l = cf_stmt_i64(st, 0);

    (void)b;
    (void)json_object_set_new(into, level_names[l < 0 || l > 4 ? 0 : l], json_integer(cf_stmt_i64(st, 1)));
}

static void take_name(struct build *b, struct cf_stmt *st, json_t *into)
{
    (void)json_object_set_new(into, cf_arena_strdup(b->req->arena, cf_stmt_str(st, 0)), json_integer(cf_stmt_i64(st, 1)));
}

static void take_numbers(struct build *b, struct cf_stmt *st, json_t *into)
{
    (void)b;
    for (int i = 0; i < cf_stmt_cols(st); i++)
        (void)json_array_append_new(into, json_integer(cf_stmt_i64(st, i)));
}

static void take_rule(struct build *b, struct cf_stmt *st, json_t *into)
{
    (void)b;
    (void)json_array_append_new(into, json_pack("{s:o,s:o,s:I}", "id", jstr(cf_stmt_str(st, 0)), "title", jstr(cf_stmt_str(st, 1)), "count", (json_int_t)cf_stmt_i64(st, 2)));
}

static void take_source(struct build *b, struct cf_stmt *st, json_t *into)
{
    (void)b;
    (void)json_array_append_new(into, json_pack("{s:o,s:I}", "ip", jstr(cf_stmt_str(st, 0)), "count", (json_int_t)cf_stmt_i64(st, 1)));
}

static void take_org(struct build *b, struct cf_stmt *st, json_t *into)
{
    (void)b;
    (void)json_array_append_new(into, json_pack("{s:o,s:o,s:I,s:I}", "id", jstr(cf_stmt_str(st, 0)), "name", jstr(cf_stmt_str(st, 1)), "alerts",
                                                (json_int_t)cf_stmt_i64(st, 2), "open_notices", (json_int_t)cf_stmt_i64(st, 3)));
}

/* tactics is a JSON list in the row: counted by list value, split here. */
static void take_tactics(struct build *b, struct cf_stmt *st, json_t *into)
{
    cf_str text = cf_stmt_str(st, 0);
    json_t *list = text.n ? json_loadb(text.p, text.n, 0, NULL) : NULL, *one;
    size_t i;

    (void)b;
    json_array_foreach(list, i, one)
    {
        const char *name = json_string_value(one);

        if (name)
            (void)json_object_set_new(into, name, json_integer(json_integer_value(json_object_get(into, name)) + cf_stmt_i64(st, 1)));
    }
    json_decref(list);
}

static json_int_t at(const json_t *list, size_t i) { return json_integer_value(json_array_get(list, i)); }

static int add_alerts(struct build *b, json_t *funnel)
{
    json_t *levels = json_pack("{s:i,s:i,s:i,s:i,s:i}", "critical", 0, "high", 0, "medium", 0, "low", 0, "informational", 0), *status = json_object(),
           *sums = json_array(), *open = json_array(), *rules = json_array(), *sources = json_array(), *orgs = json_array(), *tactics = json_object(), *list = json_array(), *v;
    struct cf_dbval from = CF_I(b->from_us);
    const char *key;
    int r = 0;

    if (may(b, "alert.read")) {
        r = each_row(b, "SELECT a.level, COUNT(*) FROM alert a WHERE " OPEN_ALERTS, NULL, 0, "a.org_id", " GROUP BY a.level", take_level, levels);
        if (r == 0)
            r = each_row(b, "SELECT COUNT(*) FROM alert a WHERE " OPEN_ALERTS, NULL, 0, "a.org_id", "", take_numbers, open);
        if (r == 0)
            r = each_row(b, "SELECT a.status, COUNT(*) FROM alert a WHERE a.last_seen >= ?", &from, 1, "a.org_id", " GROUP BY a.status", take_name, status);
        if (r == 0)
            r = each_row(b, "SELECT COUNT(*), COALESCE(SUM(a.count), 0) FROM alert a WHERE a.last_seen >= ?", &from, 1, "a.org_id", "", take_numbers, sums);
        if (r == 0)
            r = each_row(b, cf_req_english(b->req) ? "SELECT a.rule_id, MIN(COALESCE(a.title_en, a.title)), SUM(a.count) FROM alert a WHERE a.last_seen >= ?"
                                                : "SELECT a.rule_id, MIN(a.title), SUM(a.count) FROM alert a WHERE a.last_seen >= ?", &from, 1, "a.org_id",
                         " GROUP BY a.rule_id ORDER BY 3 DESC, 1 LIMIT 10", take_rule, rules);
        if (r == 0)
            r = each_row(b, "SELECT a.source_ip, SUM(a.count) FROM alert a WHERE a.source_ip IS NOT NULL AND a.source_ip <> '' AND a.last_seen >= ?", &from, 1, "a.org_id",
                         " GROUP BY a.source_ip ORDER BY 2 DESC, 1 LIMIT 10", take_source, sources);
        if (r == 0)
            r = each_row(b,
                         "SELECT a.org_id, MIN(o.name), COUNT(*), (SELECT COUNT(*) FROM work_item w WHERE w.kind = 'notice-receipt' AND w.done = 0 AND w.org_id = a.org_id)"
                         " FROM alert a JOIN organisation o ON o.id = a.org_id WHERE a.last_seen >= ?",
                         &from, 1, "a.org_id", " GROUP BY a.org_id ORDER BY 3 DESC, 1 LIMIT 10", take_org, orgs);
        if (r == 0)
            r = each_row(b, "SELECT a.tactics, COUNT(*) FROM alert a WHERE a.tactics <> '[]' AND a.last_seen >= ?", &from, 1, "a.org_id", " GROUP BY a.tactics",
                         take_tactics, tactics);
    }
    json_object_foreach(tactics, key, v) (void)json_array_append_new(list, json_pack("{s:s,s:O}", "tactic", key, "count", v));
    (void)json_object_set_new(funnel, "alerts", json_integer(at(sums, 0)));
    (void)json_object_set_new(funnel, "hits", json_integer(at(sums, 1)));
    (void)json_object_set_new(b->o, "alerts", json_pack("{s:o,s:o,s:I}", "by_level", levels, "by_status", status, "open", at(open, 0)));
    (void)json_object_set_new(b->o, "top_rules", rules);
    (void)json_object_set_new(b->o, "top_sources", sources);
    (void)json_object_set_new(b->o, "top_orgs", orgs);
    (void)json_object_set_new(b->o, "attack_tactics", list);
    json_decref(tactics);
    json_decref(sums);
    json_decref(open);
    return r;
}

static int add_incidents(struct build *b, json_t *funnel)
{
    json_t *levels = json_object(), *open = json_array(), *all = json_array();
    struct cf_dbval from = CF_I(b->from_us);
    int r = 0;

    if (may(b, "incident.read")) {
        r = each_row(b, "SELECT i.level, COUNT(*) FROM incident i WHERE " OPEN_INCIDENTS, NULL, 0, "i.org_id", " GROUP BY i.level", take_level, levels);
        if (r == 0)
            r = each_row(b, "SELECT COUNT(*) FROM incident i WHERE " OPEN_INCIDENTS, NULL, 0, "i.org_id", "", take_numbers, open);
        if (r == 0)
            r = each_row(b, "SELECT COUNT(*) FROM incident i WHERE i.last_seen >= ?", &from, 1, "i.org_id", "", take_numbers, all);
    }
    (void)json_object_set_new(funnel, "incidents", json_integer(at(all, 0)));
    (void)json_object_set_new(b->o, "incidents", json_pack("{s:I,s:o}", "open", at(open, 0), "by_level", levels));
    json_decref(open);
    json_decref(all);
    return r;
}

static json_t *keep(const json_t *o, const char *key, json_t *otherwise)
{
    json_t *v = json_object_get(o, key);

    if (!v)
        return otherwise;
    json_decref(otherwise);
    return json_incref(v);
}

static int add_notices(struct build *b, json_t *funnel)
{
    json_t *s = NULL;

    if (may(b, "notice.read")) {
        s = cf_notice_statistics(b->tx, b->req->who, b->from_us, b->now_us + 1, b->req->arena, b->err);
        if (!s)
            return b->err->code ? b->err->code : CF_EDB;
    }
    (void)json_object_set_new(funnel, "notices", keep(s, "sent", json_integer(0)));
    (void)json_object_set_new(b->o, "notices", json_pack("{s:o,s:o,s:o,s:o,s:o}", "open", keep(s, "open", json_integer(0)), "overdue", keep(s, "overdue", json_integer(0)),
                                                         "closed", keep(s, "closed", json_integer(0)), "rectification_rate", keep(s, "rectification_rate", json_null()),
                                                         "mean_close_hours", keep(s, "mean_close_hours", json_null())));
    json_decref(s);
    return 0;
}

static int add_todo(struct build *b)
{
    struct cf_dbval v[48];
    struct cf_buf sql;
    struct cf_stmt *st = NULL;
    size_t n = 0;
    json_int_t count = 0, overdue = 0;
    int r = 0;

    if (may(b, "workitem.read") && b->app->workflows) {
        cf_buf_init(&sql, 65536);
        cf_buf_z(&sql, "SELECT COUNT(*), COALESCE(SUM(w.overdue), 0) FROM work_item w WHERE ");
        cf_work_todo_sql(b->app->workflows, b->req->who, &sql, v, &n, sizeof v / sizeof *v);
        r = cf_tx_queryv(b->tx, cf_buf_cstr(&sql), v, n, &st, b->err);
        if (r == 0 && (r = cf_stmt_next(st, b->err)) == 1) {
            count = cf_stmt_i64(st, 0);
            overdue = cf_stmt_i64(st, 1);
            r = 0;
        }
        cf_stmt_free(st);
        cf_buf_release(&sql);
    }
    (void)json_object_set_new(b->o, "todo", json_pack("{s:I,s:I}", "count", count, "overdue", overdue));
    return r;
}

static void take_data_source(struct build *b, struct cf_stmt *st, json_t *into)
{
    const struct cf_counter *c = b->app->pipeline ? cf_counters_find(cf_pipeline_counters(b->app->pipeline), cf_stmt_str(st, 0)) : NULL;
    const char *key = cf_source_state(c, cf_stmt_i64(st, 2), cf_stmt_i64(st, 3), cf_stmt_i64(st, 1) / CF_US_PER_S * CF_US_PER_S, b->now_us);

    (void)json_object_set_new(into, key, json_integer(json_integer_value(json_object_get(into, key)) + 1));
}

static int add_sources(struct build *b)
{
    json_t *s = json_pack("{s:i,s:i,s:i,s:i}", "online", 0, "silent", 0, "error", 0, "waiting", 0);
    int r = 0;

    if (may(b, "source.read"))
        r = each_row(b, "SELECT s.name, s.silent_after_us, s.last_us, s.created_us FROM data_source s WHERE s.enabled = 1", NULL, 0, "s.org_id", "", take_data_source, s);
    (void)json_object_set_new(b->o, "sources", s);
    return r;
}

/* The histogram of the event store, shared for a few seconds by all who may see the same: a room full of open overviews asks once.
 * A slot's lock is held while its answer is made, so that the others wait for it instead of asking too. */
#define SHARED_SLOTS 16
#define SHARED_US (3 * CF_US_PER_S)
static struct shared {
    pthread_mutex_t lock;
    uint64_t key;
    int64_t made_us;
    json_t *answer;
} shared[SHARED_SLOTS];
static pthread_once_t shared_once = PTHREAD_ONCE_INIT;
static void shared_init(void)
{
    for (size_t i = 0; i < SHARED_SLOTS; i++)
        (void)pthread_mutex_init(&shared[i].lock, NULL);
}

static int histogram(struct build *b, struct cf_search *q, json_t **ret)
{
    uint64_t key = cf_hash64_seed(CF_STR("overview"), (uint64_t)((b->now_us - b->from_us) / CF_US_PER_DAY) + (q->scope.all ? 1000 : 0));
    struct shared *s;
    struct cf_buf out;
    int64_t now = cf_mono_us();
    int r = 0;

    for (size_t i = 0; !q->scope.all && i < q->scope.n_orgs; i++)
        key = cf_hash64_seed(q->scope.orgs[i], key);
    (void)pthread_once(&shared_once, shared_init);
    s = &shared[key % SHARED_SLOTS];
    (void)pthread_mutex_lock(&s->lock);
    if (!s->answer || s->key != key || now - s->made_us > SHARED_US) {
        json_t *fresh = NULL;

        cf_buf_init(&out, 16 << 20);
        r = cf_event_histogram(b->app->events, q, 48, &out, b->err);
        if (r == 0)
            fresh = json_loadb(out.p, out.n, 0, NULL);
        cf_buf_release(&out);
        json_decref(s->answer);
        s->answer = fresh;
        s->key = key;
        s->made_us = now;
    }
    *ret = r == 0 && s->answer ? json_deep_copy(s->answer) : NULL; /* reference counts of jansson are not shared between threads */
    (void)pthread_mutex_unlock(&s->lock);
    return r;
}

static int add_events(struct build *b, json_t *funnel)
{
    struct cf_search q = {.query = CF_STR(""), .from_us = b->from_us, .to_us = b->now_us, .cursor = CF_STR("")};
    struct cf_pipeline_stats ps = {0};
    cf_str *orgs;
    json_t *h = NULL, *buckets, *one;
    json_int_t total = 0;
    double eps;
    size_t i;
    int r = 0;

    if (b->app->events && (may(b, "event.search") || may(b, "alert.read"))) {
        r = cf_scope_orgs(b->app->db, b->req->who, b->req->arena, &q.scope.all, &orgs, &q.scope.n_orgs, b->err);
        q.scope.orgs = orgs;
        if (r == 0)
            r = histogram(b, &q, &h);
    }
    buckets = json_object_get(h, "buckets");
    json_array_foreach(buckets, i, one) total += json_integer_value(json_object_get(one, "count"));
    eps = (double)total / ((double)(b->now_us - b->from_us) / 1e6);
    if (b->app->pipeline && b->req->who->scope == CF_SCOPE_ALL) {
        cf_pipeline_get_stats(b->app->pipeline, &ps);
        eps = ps.eps; /* now, not the mean of the range */
    }
    (void)json_object_set_new(funnel, "events", json_integer(total));
    (void)json_object_set_new(b->o, "events", json_pack("{s:I,s:f,s:o}", "total", total, "per_second", eps, "series", buckets ? json_incref(buckets) : json_array()));
    json_decref(h);
    return r;
}

static int overview(struct cf_req *req, struct cf_error *reterr)
{
    struct build b = {.req = req, .app = req->app, .err = reterr, .now_us = cf_now_us()};
    const char *range = json_string_value(json_object_get(req->json, "range"));
    json_t *funnel = json_object();
    char t[32];
    int r;

    b.from_us = b.now_us - (range && strcmp(range, "7d") == 0 ? 7 : range && strcmp(range, "30d") == 0 ? 30 : 1) * CF_US_PER_DAY;
    b.o = json_pack("{s:o,s:s}", "generated_at", json_stringn(t, cf_time_format(b.now_us, t)), "range", range ? range : "24h");
    r = add_events(&b, funnel);
    if (r == 0)
        r = cf_tx_begin(b.app->db, CF_TX_READ, &b.tx, reterr);
    if (r == 0)
        r = add_alerts(&b, funnel);
    if (r == 0)
        r = add_incidents(&b, funnel);
    if (r == 0)
        r = add_notices(&b, funnel);
    if (r == 0)
        r = add_todo(&b);
    if (r == 0)
        r = add_sources(&b);
    cf_tx_rollback(&b.tx);
    (void)json_object_set_new(b.o, "funnel", funnel);
    if (r < 0) {
        json_decref(b.o);
        return r;
    }
    cf_reply_json(req, 200, b.o);
    return 0;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/overview", .permission = "overview.read", .handler = overview,
     .request = "{\"type\":\"object\",\"properties\":{\"range\":{\"type\":\"string\",\"enum\":[\"24h\",\"7d\",\"30d\"]}}}",
     .doc = "The situation in one answer: events, alerts, incidents, notices, sources, to-dos"},
};

void cf_overview_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
