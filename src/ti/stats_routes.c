/* SPDX-License-Identifier: Apache-2.0
 * Figures of the library (TI-016, TI-017) and the STIX objects around the indicators: actors, malware, campaigns (TI-018). */
#include <stdlib.h>

#include "api/list.h"
#include "app/app.h"
#include "ti/ti_int.h"

#define KEEP_US (30 * CF_US_PER_S) /* counting a million rows takes a second: not for every look at the page */

static struct cf_app *app_of(struct cf_req *req) { return req->app; }
static json_t *jtext(const struct cf_stmt *st, int col) { return cf_stmt_null(st, col) ? json_null() : json_stringn(cf_stmt_str(st, col).p, cf_stmt_str(st, col).n); }

/* Rows of "key, name, n1, n2 ..." under these keys. */
static int rows(struct cf_tx *tx, json_t *out, const char *key, const char *sql, const char *const *names, int texts, int n, struct cf_error *reterr)
{
    json_t *a = json_array();
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, sql, &st, reterr);

    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        json_t *o = json_object();

        for (int i = 0; i < n; i++)
            (void)json_object_set_new(o, names[i], i < texts ? jtext(st, i) : json_integer(cf_stmt_i64(st, i)));
        (void)json_array_append_new(a, o);
        r = 0;
    }
    cf_stmt_free(st);
    (void)json_object_set_new(out, key, a);
    return r;
}

static int count(struct cf_tx *tx, json_t *out, struct cf_error *reterr)
{
    static const char *const by_type[] = {"type", "total", "active", "hit", "hits"}, *const by_status[] = {"status", "count"},
                      *const by_source[] = {"id", "name", "total", "active", "hit", "hits", "false_hits", "expired", "withdrawn"},
                      *const by_org[] = {"id", "name", "hits", "reports", "indicators"}, *const by_day[] = {"day", "matches", "reports", "retro"},
                      *const top[] = {"id", "value", "type", "family", "hits"}, *const use[] = {"id", "name", "requests", "items"};
    int r = rows(tx, out, "by_type",
                 "SELECT type, COUNT(*), SUM(CASE WHEN status = 'active' THEN 1 ELSE 0 END), SUM(CASE WHEN hits > 0 THEN 1 ELSE 0 END), CAST(SUM(hits) AS BIGINT) FROM ti_indicator GROUP BY type"
                 " ORDER BY 2 DESC",
                 by_type, 1, 5, reterr);

    if (r == 0)
        r = rows(tx, out, "by_status", "SELECT status, COUNT(*) FROM ti_indicator GROUP BY status ORDER BY 2 DESC", by_status, 1, 2, reterr);
    if (r == 0)
        r = rows(tx, out, "by_source",
                 "SELECT s.id, s.name, COUNT(i.id), SUM(CASE WHEN i.status = 'active' THEN 1 ELSE 0 END), SUM(CASE WHEN i.hits > 0 THEN 1 ELSE 0 END), CAST(COALESCE(SUM(i.hits), 0) AS BIGINT),"
                 " CAST(COALESCE(SUM(i.false_hits), 0) AS BIGINT), SUM(CASE WHEN i.status = 'expired' THEN 1 ELSE 0 END), SUM(CASE WHEN i.status IN ('withdrawn', 'false_positive') THEN 1 ELSE 0 END)"
                 " FROM ti_source s LEFT JOIN ti_indicator i ON i.source_id = s.id GROUP BY s.id, s.name ORDER BY 3 DESC, s.name LIMIT 100",
                 by_source, 2, 9, reterr);
    if (r == 0)
        r = rows(tx, out, "by_org",
                 "SELECT g.org_id, o.name, CAST(SUM(CASE WHEN g.kind IN ('match', 'retro') THEN g.count ELSE 0 END) AS BIGINT), CAST(SUM(CASE WHEN g.kind = 'report' THEN g.count ELSE 0 END) AS BIGINT),"
                 " COUNT(DISTINCT g.indicator_id) FROM ti_sighting g LEFT JOIN organisation o ON o.id = g.org_id GROUP BY g.org_id, o.name ORDER BY 3 DESC LIMIT 50",
                 by_org, 2, 5, reterr);
    if (r == 0)
        r = rows(tx, out, "by_day",
                 "SELECT day, CAST(SUM(CASE WHEN kind = 'match' THEN count ELSE 0 END) AS BIGINT), CAST(SUM(CASE WHEN kind = 'report' THEN count ELSE 0 END) AS BIGINT),"
                 " CAST(SUM(CASE WHEN kind = 'retro' THEN count ELSE 0 END) AS BIGINT) FROM ti_sighting GROUP BY day ORDER BY day DESC LIMIT 30",
                 by_day, 0, 4, reterr);
    if (r == 0)
        r = rows(tx, out, "top", "SELECT id, value, type, family, hits FROM ti_indicator WHERE hits > 0 ORDER BY hits DESC LIMIT 20", top, 4, 5, reterr);
    if (r == 0)
        r = rows(tx, out, "by_feed",
                 "SELECT f.id, f.name, CAST(COALESCE(SUM(u.requests), 0) AS BIGINT), CAST(COALESCE(SUM(u.items), 0) AS BIGINT) FROM ti_feed f LEFT JOIN ti_feed_use u ON u.feed_id = f.id"
                 " GROUP BY f.id, f.name ORDER BY 4 DESC LIMIT 100",
                 use, 2, 4, reterr);
    return r;
}

static int statistics(struct cf_req *req, struct cf_error *reterr)
{
    static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
    static json_t *kept;
    static struct cf_db *kept_of;
    static int64_t kept_us;
    struct cf_app *app = app_of(req);
    json_t *out = NULL;
    struct cf_tx *tx = NULL;
    int r = 0;

    (void)pthread_mutex_lock(&mu);
    if (kept && kept_of == app->db && cf_mono_us() - kept_us < KEEP_US && !cf_str_eqz(cf_req_query(req, "fresh"), "true"))
        out = json_deep_copy(kept);
    (void)pthread_mutex_unlock(&mu);
    if (!out) {
        out = json_object();
        r = cf_tx_begin(app->db, CF_TX_READ, &tx, reterr);
        if (r == 0)
            r = count(tx, out, reterr);
        cf_tx_rollback(&tx);
        if (r == 0) {
            (void)pthread_mutex_lock(&mu);
            json_decref(kept);
            kept = json_deep_copy(out);
            kept_of = app->db;
            kept_us = cf_mono_us();
            (void)pthread_mutex_unlock(&mu);
        }
    }
    if (r < 0) {
        json_decref(out);
        return r;
    }
    if (app->ti) {
        struct cf_ti_stats s;

        cf_ti_get_stats(app->ti, &s);
        (void)json_object_set_new(out, "matcher", json_pack("{s:I,s:I,s:I,s:f,s:o,s:I}", "indicators", (json_int_t)s.indicators, "bytes", (json_int_t)s.bytes, "generation",
                                                            (json_int_t)s.generation, "load_seconds", s.load_seconds, "loaded_at", ti_time(s.loaded_us), "hits", (json_int_t)s.lookups_hit));
    }
    cf_reply_json(req, 200, out);
    return 0;
}

/* ---- objects --------------------------------------------------------------------------------------------------------------------- */

static const struct cf_lcol cols[] = {
    {"id", "x.id", CF_LC_TEXT, CF_LC_FILTER},
    {"type", "x.type", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"name", "x.name", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_SEARCH},
    {"source", "s.name", CF_LC_TEXT, CF_LC_FILTER},
    {"modified", "x.modified", CF_LC_TEXT, CF_LC_SORT},
    {"added_at", "x.added_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
};
static const struct cf_list list = {.from = "ti_object x LEFT JOIN ti_source s ON s.id = x.source_id", .id_sql = "x.id", .default_sort = "name", .cols = cols,
                                    .n_cols = sizeof cols / sizeof *cols};
static int get_list(struct cf_req *req, struct cf_error *reterr) { return cf_list_reply(req, app_of(req)->db, &list, reterr); }

static int get_one(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *item = cf_list_one(req, app_of(req)->db, &list, id, reterr), *rel = json_array();
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int r = item ? cf_tx_begin(app_of(req)->db, CF_TX_READ, &tx, reterr) : reterr->code;

    if (r == 0)
        r = cf_tx_query(tx, "SELECT json FROM ti_object WHERE id = ?", &st, reterr, CF_S(id));
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)json_object_set_new(item, "object", json_loadb(cf_stmt_str(st, 0).p, cf_stmt_str(st, 0).n, 0, NULL));
        r = 0;
    }
    cf_stmt_free(st);
    st = NULL;
    if (r == 0)
        r = cf_tx_query(tx,
                        "SELECT r.kind, o.id, o.type, o.name, CASE WHEN r.src = ? THEN 'out' ELSE 'in' END FROM ti_relation r JOIN ti_object o ON o.id = CASE WHEN r.src = ? THEN r.dst ELSE r.src END"
                        " WHERE r.src = ? OR r.dst = ? ORDER BY o.type, o.name LIMIT 500",
                        &st, reterr, CF_S(id), CF_S(id), CF_S(id), CF_S(id));
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)json_array_append_new(rel, json_pack("{s:o,s:o,s:o,s:o,s:o}", "kind", jtext(st, 0), "id", jtext(st, 1), "type", jtext(st, 2), "name", jtext(st, 3), "direction", jtext(st, 4)));
        r = 0;
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r < 0) {
        json_decref(item);
        json_decref(rel);
        return r;
    }
    (void)json_object_set_new(item, "relations", rel);
    cf_reply_json(req, 200, item);
    return 0;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/intel/statistics", .permission = "ti.read", .handler = statistics, .scope = "all",
     .doc = "Indicators by type, state and source, hits by organisation and day, use of feeds (counted at most every 30 s; fresh=true: now)"},
    {.method = CF_GET, .path = "/api/v1/intel-objects", .permission = "ti.read", .handler = get_list, .flags = CF_RF_LIST, .scope = "all", .doc = "STIX objects kept: actors, malware, campaigns"},
    {.method = CF_GET, .path = "/api/v1/intel-objects/{id}", .permission = "ti.read", .handler = get_one, .scope = "all", .doc = "One STIX object with its relations"},
};

void ti_stats_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
