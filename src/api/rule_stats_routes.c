/* SPDX-License-Identifier: Apache-2.0
 * Figures per rule for the coverage page: how often and how dear it was evaluated, when it last fired, and whether it can fire at
 * all with the source files there are. */
#include <stdio.h>
#include <stdlib.h>

#include "api/list.h"
#include "api/rules.h"
#include "normalise/normalise.h"
#include "pipeline/pipeline.h"

static struct cf_app *app_of(const struct cf_req *req) { return req->app; }
static json_t *text(cf_str s) { return s.n ? json_stringn(s.p, s.n) : json_string(""); }

static json_t *texts(const cf_str *v, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(list, text(v[i]));
    return list;
}

struct page {
    const struct cf_ruleset *rs;
    struct cf_shared_box *box;
    int64_t from, limit;
    size_t n;
};

static int page_open(struct cf_req *req, struct page *pg, struct cf_error *reterr)
{
    int r = cf_req_query_i64(req, "limit", 20000, 1, 200000, &pg->limit, reterr);

    if (r == 0)
        r = cf_req_query_i64(req, "cursor", 0, 0, 1000000, &pg->from, reterr);
    if (r < 0)
        return r;
    if (!app_of(req)->pipeline || !(pg->rs = cf_pipeline_rules(app_of(req)->pipeline, &pg->box)))
        return cf_error_set(reterr, CF_EUNSUPPORTED, "detection is switched off");
    pg->n = cf_ruleset_count(pg->rs);
    return 0;
}

static void page_reply(struct cf_req *req, struct page *pg, json_t *items)
{
    char next[32];
    bool more = (size_t)(pg->from + pg->limit) < pg->n;

    (void)snprintf(next, sizeof next, "%lld", (long long)(pg->from + pg->limit));
    cf_reply_list(req, items, more ? next : NULL, (int64_t)pg->n);
    cf_pipeline_rules_put(app_of(req)->pipeline, pg->box);
}

static int statistics(struct cf_req *req, struct cf_error *reterr)
{
    struct page pg = {0};
    struct cf_rule_counters *c;
    json_t *items;
    int r = page_open(req, &pg, reterr);

    if (r < 0)
        return r;
    c = cf_pipeline_rule_counters(app_of(req)->pipeline, pg.box);
    if (!c) {
        cf_pipeline_rules_put(app_of(req)->pipeline, pg.box);
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the figures");
    }
    items = json_array();
    for (size_t i = (size_t)pg.from; i < pg.n && i < (size_t)(pg.from + pg.limit); i++) {
        const struct cf_rule_info *ri = cf_ruleset_rule(pg.rs, i);
        char t[32];
        json_t *last = c[i].last_hit_us ? json_stringn(t, cf_time_format(c[i].last_hit_us, t)) : json_null();

        (void)json_array_append_new(items, json_pack("{s:o,s:I,s:o,s:f,s:I,s:I}", "id", text(ri->id), "hits", (json_int_t)c[i].hits, "last_hit", last,
                                                     "cost_ns_per_event", c[i].candidates ? (double)c[i].ns / (double)c[i].candidates : 0.0, "evaluated",
                                                     (json_int_t)c[i].candidates, "total_ns", (json_int_t)c[i].ns));
    }
    free(c);
    page_reply(req, &pg, items);
    return 0;
}

static int analyse(struct cf_req *req, const struct page *pg, struct cf_reach *reach)
{
    struct cf_shared_box *box;
    const struct cf_normaliser *n = cf_pipeline_normaliser(app_of(req)->pipeline, &box);
    size_t n_src = n ? cf_normaliser_sources(n) : 0;
    struct cf_source_fields *src = CF_NEW_N(req->arena, struct cf_source_fields, n_src + 1);
    int r = src ? 0 : CF_ENOMEM;

    for (size_t i = 0; r == 0 && i < n_src; i++)
        r = cf_normaliser_fields(n, i, req->arena, &src[i]);
    if (r == 0)
        r = cf_ruleset_reach(pg->rs, src, n_src, req->arena, reach);
    for (size_t i = 0; r == 0 && i < pg->n; i++) { /* source names belong to the source files, which are given back */
        cf_str *copy = CF_NEW_N(req->arena, cf_str, reach[i].n_source + 1);

        for (size_t k = 0; copy && k < reach[i].n_source; k++)
            copy[k] = cf_arena_copy(req->arena, reach[i].source[k]);
        reach[i].source = copy;
        r = copy ? 0 : CF_ENOMEM;
    }
    cf_pipeline_normaliser_put(app_of(req)->pipeline, box);
    return r;
}

static int reachability(struct cf_req *req, struct cf_error *reterr)
{
    struct page pg = {0};
    struct cf_reach *reach;
    json_t *items;
    int r = page_open(req, &pg, reterr);

    if (r < 0)
        return r;
    reach = CF_NEW_N(req->arena, struct cf_reach, pg.n + 1);
    if (!reach || analyse(req, &pg, reach) < 0) {
        cf_pipeline_rules_put(app_of(req)->pipeline, pg.box);
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the analysis");
    }
    items = json_array();
    for (size_t i = (size_t)pg.from; i < pg.n && i < (size_t)(pg.from + pg.limit); i++) {
        const struct cf_rule_info *ri = cf_ruleset_rule(pg.rs, i);

        (void)json_array_append_new(
            items, json_pack("{s:o,s:b,s:o,s:{s:o,s:o,s:o},s:o,s:b,s:o}", "id", text(ri->id), "reachable", reach[i].reachable, "missing",
                             texts(reach[i].missing, reach[i].n_missing), "logsource", "product", text(ri->product), "category", text(ri->category), "service",
                             text(ri->service), "sources", texts(reach[i].source, reach[i].n_source), "open", reach[i].open, "reason", text(reach[i].reason)));
    }
    page_reply(req, &pg, items);
    return 0;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/rules/statistics", .permission = "rule.read", .handler = statistics, .flags = CF_RF_LIST, .scope = "all",
     .doc = "Evaluations, cost, hits and last hit of each rule since the start of the server"},
    {.method = CF_GET, .path = "/api/v1/rules/reachability", .permission = "rule.read", .handler = reachability, .flags = CF_RF_LIST, .scope = "all",
     .doc = "Rules that can never fire with the source files in use, with the fields that are missing"},
};

void cf_rule_stats_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
