/* SPDX-License-Identifier: Apache-2.0
 * HTTP: incidents with alerts, time line, entity graph. */
#include "api/list.h"
#include "api/sse.h"
#include "form/content.h"
#include "incident/routes.h"
#include "workflow/reply.h"

json_t *inc_time(int64_t us)
{
    char buf[32];

    return us ? json_stringn(buf, cf_time_format(us, buf)) : json_null();
}

static const struct cf_lcol cols[] = {
    {"id", "i.id", CF_LC_TEXT, CF_LC_FILTER},
    {"number", "i.number", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH | CF_LC_SORT | CF_LC_NOTNULL},
    {"title", "i.title", CF_LC_TEXT, CF_LC_SEARCH},
    {"level", INC_LEVEL_SQL("i.level"), CF_LC_TEXT, CF_LC_FILTER},
    {"level", "i.level", CF_LC_I64, CF_LC_SORT | CF_LC_HIDDEN | CF_LC_NOTNULL},
    {"status", "i.status", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"score", "i.score", CF_LC_I64, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"alert_count", "i.alert_count", CF_LC_I64, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"assets_count", "i.assets_count", CF_LC_I64, CF_LC_SORT | CF_LC_NOTNULL},
    {"first_seen", "i.first_seen", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"last_seen", "i.last_seen", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"org.id", "i.org_id", CF_LC_TEXT, 0},
    {"org.name", "o.name", CF_LC_TEXT, CF_LC_SEARCH},
    {"org", "i.org_id", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"owner.id", "i.owner_id", CF_LC_TEXT, 0},
    {"owner.name", "u.display_name", CF_LC_TEXT, 0},
    {"owner", "i.owner_id", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"tactics", "i.tactics", CF_LC_JSON, 0},
    {"tactic", "i.tactics", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"techniques", "i.techniques", CF_LC_JSON, 0},
    {"category", "i.category", CF_LC_TEXT, CF_LC_FILTER},
    {"event_level", "i.event_level", CF_LC_I64, CF_LC_FILTER | CF_LC_SORT},
    {"merged_into", "i.merged_into", CF_LC_TEXT, CF_LC_FILTER},
    {"conclusion", "i.conclusion", CF_LC_TEXT, 0},
    {"created_at", "i.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
    {"closed_at", "i.closed_us", CF_LC_TIME, CF_LC_SORT},
};
static const struct cf_list list_def = {
    .from = "incident i LEFT JOIN organisation o ON o.id = i.org_id LEFT JOIN app_user u ON u.id = i.owner_id", .id_sql = "i.id", .scope_col = "i.org_id",
    .default_sort = "-last_seen", .cols = cols, .n_cols = sizeof(cols) / sizeof(cols[0]), .finish = inc_null_refs,
};

#define TITLE_EN "COALESCE(i.title_en, i.title)"
static int incidents_list(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_lcol in_cols[sizeof(cols) / sizeof(cols[0])];
    const struct cf_list l = inc_list_in(req, &list_def, in_cols, TITLE_EN);

    return cf_list_reply(req, inc_app(req)->db, &l, reterr);
}

static json_t *alerts_json(struct cf_tx *tx, cf_str id, bool english)
{
    json_t *a = json_array();
    struct cf_stmt *st = NULL;

    if (cf_tx_query(tx, "SELECT id, CASE WHEN ? = 1 THEN COALESCE(title_en, title) ELSE title END, level, status, score, count, first_seen, last_seen, entity_type, entity_value, source_ip, destination_ip, host, user_name, tactics, "
                        "techniques, rule_id FROM alert WHERE incident_id = ? ORDER BY first_seen, id LIMIT 500",
                    &st, NULL, CF_I(english), CF_S(id)) == 0)
        while (cf_stmt_next(st, NULL) == 1)
            json_array_append_new(a, json_pack("{s:o, s:o, s:s, s:o, s:I, s:I, s:o, s:o, s:{s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", cf_str_json(cf_stmt_str(st, 0)),
                                               "title", cf_str_json(cf_stmt_str(st, 1)), "level", inc_level_name(cf_stmt_i64(st, 2)), "status", cf_str_json(cf_stmt_str(st, 3)),
                                               "score", (json_int_t)cf_stmt_i64(st, 4), "count", (json_int_t)cf_stmt_i64(st, 5), "first_seen", inc_time(cf_stmt_i64(st, 6)),
                                               "last_seen", inc_time(cf_stmt_i64(st, 7)), "entity", "type", cf_str_json(cf_stmt_str(st, 8)), "value",
                                               cf_str_json(cf_stmt_str(st, 9)), "source_ip", cf_str_json(cf_stmt_str(st, 10)), "destination_ip", cf_str_json(cf_stmt_str(st, 11)),
                                               "host", cf_str_json(cf_stmt_str(st, 12)), "user", cf_str_json(cf_stmt_str(st, 13)), "tactics",
                                               inc_json_text(cf_stmt_str(st, 14), true), "techniques", inc_json_text(cf_stmt_str(st, 15), true), "rule_id",
                                               cf_str_json(cf_stmt_str(st, 16))));
    cf_stmt_free(st);
    return a;
}

static void timeline_json(struct cf_tx *tx, cf_str id, bool english, json_t *timeline, json_t *comments)
{
    struct cf_stmt *st = NULL;

    if (cf_tx_query(tx, "SELECT e.time_us, e.kind, CASE WHEN ? = 1 THEN COALESCE(a.title_en, e.title) ELSE e.title END, e.detail, e.ref, e.user_id, e.user_name, e.id "
                        "FROM incident_event e LEFT JOIN alert a ON e.kind = 'alert' AND a.id = e.ref WHERE e.incident_id = ? ORDER BY e.time_us, e.id LIMIT 2000",
                    &st, NULL, CF_I(english), CF_S(id)) == 0)
        while (cf_stmt_next(st, NULL) == 1) {
            bool comment = cf_str_eqz(cf_stmt_str(st, 1), "comment");

            json_array_append_new(timeline, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "time", inc_time(cf_stmt_i64(st, 0)), "kind", cf_str_json(cf_stmt_str(st, 1)), "title",
                                                      cf_str_json(cf_stmt_str(st, 2)), "detail", cf_str_json(cf_stmt_str(st, 3)), "ref", cf_str_json(cf_stmt_str(st, 4)), "user",
                                                      cf_str_json(cf_stmt_str(st, 6))));
            if (comment)
                json_array_append_new(comments, json_pack("{s:o, s:o, s:{s:o, s:o}, s:o}", "id", cf_str_json(cf_stmt_str(st, 7)), "time", inc_time(cf_stmt_i64(st, 0)), "user",
                                                          "id", cf_str_json(cf_stmt_str(st, 5)), "name", cf_str_json(cf_stmt_str(st, 6)), "text",
                                                          cf_str_json(cf_stmt_str(st, 2))));
        }
    cf_stmt_free(st);
}

static json_t *entities_json(struct cf_tx *tx, cf_str id)
{
    json_t *a = json_array();
    struct cf_stmt *st = NULL;

    if (cf_tx_query(tx, "SELECT type, value, count FROM incident_entity WHERE incident_id = ? ORDER BY count DESC, type, value LIMIT 200", &st, NULL, CF_S(id)) == 0)
        while (cf_stmt_next(st, NULL) == 1)
            json_array_append_new(a, json_pack("{s:o, s:o, s:I}", "type", cf_str_json(cf_stmt_str(st, 0)), "value", cf_str_json(cf_stmt_str(st, 1)), "count",
                                               (json_int_t)cf_stmt_i64(st, 2)));
    cf_stmt_free(st);
    return a;
}

/* ---- the entity graph: who acted on what, from the alerts ---- */

static const char *text_of(const json_t *alert, const char *key)
{
    const char *s = json_string_value(json_object_get(alert, key));

    return s && s[0] ? s : NULL;
}

static void add_node(json_t *nodes, const char *type, const char *value, const char *level)
{
    size_t i;
    json_t *n;

    json_array_foreach(nodes, i, n) if (strcmp(text_of(n, "type"), type) == 0 && strcmp(text_of(n, "value"), value) == 0)
    {
        json_object_set_new(n, "count", json_integer(json_integer_value(json_object_get(n, "count")) + 1));
        return;
    }
    if (json_array_size(nodes) < 200) {
        char id[700];

        (void)snprintf(id, sizeof(id), "%s:%.600s", type, value);
        json_array_append_new(nodes, json_pack("{s:s, s:s, s:s, s:s, s:i, s:s}", "id", id, "type", type, "value", value, "label", value, "count", 1, "level", level));
    }
}

static void add_edge(json_t *edges, const char *ft, const char *fv, const char *tt, const char *tv, const char *label)
{
    char from[700], to[700];
    size_t i;
    json_t *e;

    (void)snprintf(from, sizeof(from), "%s:%.600s", ft, fv);
    (void)snprintf(to, sizeof(to), "%s:%.600s", tt, tv);
    if (strcmp(from, to) == 0)
        return;
    json_array_foreach(edges, i, e) if (strcmp(text_of(e, "from"), from) == 0 && strcmp(text_of(e, "to"), to) == 0)
    {
        json_object_set_new(e, "count", json_integer(json_integer_value(json_object_get(e, "count")) + 1));
        return;
    }
    if (json_array_size(edges) < 500)
        json_array_append_new(edges, json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "from", from, "to", to, "source", from, "target", to, "label", label ? label : "", "count", 1));
}

static json_t *graph_json(const json_t *alerts)
{
    json_t *nodes = json_array(), *edges = json_array(), *a;
    size_t i;

    json_array_foreach(alerts, i, a)
    {
        const char *src = text_of(a, "source_ip"), *dst = text_of(a, "destination_ip"), *host = text_of(a, "host"), *user = text_of(a, "user"), *title = text_of(a, "title"),
                   *level = text_of(a, "level");

        if (src)
            add_node(nodes, "ip", src, level);
        if (dst)
            add_node(nodes, "ip", dst, level);
        if (host)
            add_node(nodes, "host", host, level);
        if (user)
            add_node(nodes, "user", user, level);
        if (src && host)
            add_edge(edges, "ip", src, "host", host, title);
        else if (src && dst)
            add_edge(edges, "ip", src, "ip", dst, title);
        if (host && dst)
            add_edge(edges, "host", host, "ip", dst, title);
        if (user && host)
            add_edge(edges, "user", user, "host", host, title);
        else if (user && src)
            add_edge(edges, "ip", src, "user", user, title);
    }
    return json_pack("{s:o, s:o}", "nodes", nodes, "edges", edges);
}

static json_t *notices_json(struct cf_tx *tx, cf_str id)
{
    json_t *a = json_array();
    struct cf_stmt *st = NULL;

    if (cf_tx_query(tx, "SELECT w.id, w.number, w.title, w.state, w.level, w.created_us, w.due_us, w.overdue FROM work_item w WHERE w.source_type = 'incident' AND w.source_id = ? AND w.kind = 'notice' "
                        "UNION SELECT w.id, w.number, w.title, w.state, w.level, w.created_us, w.due_us, w.overdue FROM work_item w JOIN alert a ON w.source_type = 'alert' "
                        "AND w.source_id = a.id WHERE a.incident_id = ?",
                    &st, NULL, CF_S(id), CF_S(id)) == 0)
        while (cf_stmt_next(st, NULL) == 1)
            json_array_append_new(a, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "id", cf_str_json(cf_stmt_str(st, 0)), "number", cf_str_json(cf_stmt_str(st, 1)), "title",
                                               cf_str_json(cf_stmt_str(st, 2)), "state", cf_str_json(cf_stmt_str(st, 3)), "level", cf_str_json(cf_stmt_str(st, 4)), "created_at",
                                               inc_time(cf_stmt_i64(st, 5)), "due_at", inc_time(cf_stmt_i64(st, 6)), "overdue", cf_stmt_i64(st, 7) != 0));
    cf_stmt_free(st);
    return a;
}

static json_t *incident_detail(struct cf_req *req, cf_str id, struct cf_error *reterr)
{
    struct cf_lcol in_cols[sizeof(cols) / sizeof(cols[0])];
    const struct cf_list l = inc_list_in(req, &list_def, in_cols, TITLE_EN);
    json_t *j = cf_list_one(req, inc_app(req)->db, &l, id, reterr), *alerts, *timeline, *comments;
    struct cf_tx *tx = NULL;
    bool english = cf_req_english(req);

    if (!j)
        return NULL;
    if (cf_tx_begin(inc_app(req)->db, CF_TX_READ, &tx, reterr) < 0) {
        json_decref(j);
        return NULL;
    }
    alerts = alerts_json(tx, id, english);
    timeline = json_array();
    comments = json_array();
    timeline_json(tx, id, english, timeline, comments);
    json_object_set_new(j, "alerts", alerts);
    json_object_set_new(j, "timeline", timeline);
    json_object_set_new(j, "comments", comments);
    json_object_set_new(j, "entities", entities_json(tx, id));
    json_object_set_new(j, "graph", graph_json(alerts));
    json_object_set_new(j, "notices", cf_principal_may(req->who, CF_STR("notice.read")) ? notices_json(tx, id) : json_array());
    json_object_set_new(j, "summary", json_sprintf(english ? "Alerts %lld, assets %lld, attack stages %zu" : "%lld 条告警，%lld 个资产，%zu 个攻击阶段", (long long)json_integer_value(json_object_get(j, "alert_count")),
                                                   (long long)json_integer_value(json_object_get(j, "assets_count")), json_array_size(json_object_get(j, "tactics"))));
    json_object_set_new(j, "process", inc_process_json(tx, id, english, inc_app(req)->forms));
    cf_tx_rollback(&tx);
    return j;
}

static int incidents_get(struct cf_req *req, struct cf_error *reterr)
{
    json_t *j = incident_detail(req, cf_req_path(req, "id"), reterr);

    if (!j)
        return reterr->code < 0 ? reterr->code : CF_ENOENT;
    cf_reply_json(req, 200, j);
    return 0;
}

static void publish(struct cf_req *req, cf_str id)
{
    struct cf_error err = {0};
    json_t *j = inc_app(req)->hub ? cf_list_one(req, inc_app(req)->db, &list_def, id, &err) : NULL;
    cf_str org = cf_str_c(json_string_value(json_object_get(json_object_get(j, "org"), "id")));

    if (j)
        cf_hub_publish(inc_app(req)->hub, "incident", org.n ? org : CF_STR(INC_ROOT_ORG), CF_STR(""), j);
    json_decref(j);
}

static int incidents_act(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id"), act = cf_json_text(req->json, "action");
    struct cf_work_effects fx = {0};
    struct inc_ctx c;
    json_t *j;
    int r = inc_begin(req, &c, &fx, reterr);

    if (r < 0)
        return r;
    r = inc_end(req, &c, inc_incident_act(&c, id, req->json));
    if (r < 0)
        return cf_work_fail(req, r, c.form_errors, reterr);
    publish(req, id);
    if (c.touched[0])
        publish(req, cf_str_c(c.touched));
    j = incident_detail(req, id, reterr);
    if (!j)
        return reterr->code < 0 ? reterr->code : CF_ENOENT;
    if (cf_str_eqz(act, "convert_notice"))
        json_object_set_new(j, "notice_id", json_string(c.made_id));
    if (cf_str_eqz(act, "order"))
        json_object_set_new(j, "order_id", json_string(c.made_id));
    if (cf_str_eqz(act, "split"))
        json_object_set_new(j, "new_incident_id", json_string(c.made_id));
    cf_req_audit(req, cf_arena_strdup(req->arena, id), NULL, req->json);
    cf_reply_json(req, 200, j);
    return 0;
}

#define ACTION_SCHEMA "{\"type\":\"object\",\"required\":[\"action\"],\"properties\":{\"action\":{\"type\":\"string\",\"maxLength\":40},\"note\":{\"type\":\"string\",\"maxLength\":8000}}}"

static int level_of(struct cf_req *req, struct cf_error *reterr)
{
    static const char *const names[] = {"importance", "loss", "harm"};
    int64_t v[3] = {0};

    for (size_t i = 0; i < 3; i++)
        if (cf_req_query_i64(req, names[i], 0, 1, i == 0 ? 3 : 4, &v[i], reterr) < 0)
            return reterr->code;
    for (size_t i = 0; i < 3; i++)
        if (v[i] == 0)
            return cf_req_field_error(req, names[i], "is needed"), cf_error_set(reterr, CF_EINVAL, "%s is needed", names[i]);
    cf_reply_json(req, 200, json_pack("{s:i}", "level", inc_event_level((int)v[0], (int)v[1], (int)v[2])));
    return 0;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/incidents", .permission = "incident.read", .handler = incidents_list, .flags = CF_RF_LIST, .doc = "Incidents, newest first"},
    {.method = CF_GET, .path = "/api/v1/incidents/{id}", .permission = "incident.read", .handler = incidents_get, .doc = "One incident with alerts, time line, entities and graph"},
    {.method = CF_POST, .path = "/api/v1/incidents/{id}/actions", .permission = "incident.write", .handler = incidents_act, .request = ACTION_SCHEMA,
     .doc = "take, assign, comment, status, close, reopen, merge, split, convert_notice, classify, opinion, order"},
    {.method = CF_GET, .path = "/api/v1/incidents:level", .permission = "incident.read", .handler = level_of,
     .doc = "The level that the three elements propose: importance 1-3, loss 1-4, harm 1-4, 1 being the gravest"},
};
void inc_incident_routes(void) { cf_routes_add(routes, sizeof(routes) / sizeof(routes[0])); }
