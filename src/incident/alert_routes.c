/* SPDX-License-Identifier: Apache-2.0
 * HTTP: alerts. */
#include "api/list.h"
#include "api/sse.h"
#include "app/app.h"
#include "form/content.h"
#include "incident/routes.h"
#include "store/event_store.h"
#include "workflow/reply.h"

static const struct cf_lcol alert_cols[] = {
    {"id", "a.id", CF_LC_TEXT, CF_LC_FILTER},
    {"rule_id", "a.rule_id", CF_LC_TEXT, CF_LC_FILTER},
    {"title", "a.title", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"title_en", "a.title_en", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"level", INC_LEVEL_SQL("a.level"), CF_LC_TEXT, CF_LC_FILTER},
    {"level", "a.level", CF_LC_I64, CF_LC_SORT | CF_LC_HIDDEN | CF_LC_NOTNULL},
    {"status", "a.status", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"score", "a.score", CF_LC_I64, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"count", "a.count", CF_LC_I64, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"first_seen", "a.first_seen", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"last_seen", "a.last_seen", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"entity.type", "a.entity_type", CF_LC_TEXT, CF_LC_FILTER},
    {"entity.value", "a.entity_value", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"entity", "a.entity_value", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"source_ip", "a.source_ip", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"destination_ip", "a.destination_ip", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"host", "a.host", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"user", "a.user_name", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"org.id", "a.org_id", CF_LC_TEXT, 0},
    {"org.name", "o.name", CF_LC_TEXT, CF_LC_SEARCH},
    {"org", "a.org_id", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"asset.id", "a.asset_id", CF_LC_TEXT, 0},
    {"asset.name", "a.asset_name", CF_LC_TEXT, CF_LC_SEARCH},
    {"asset", "a.asset_id", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"owner.id", "a.owner_id", CF_LC_TEXT, 0},
    {"owner.name", "u.display_name", CF_LC_TEXT, 0},
    {"owner", "a.owner_id", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"incident_id", "a.incident_id", CF_LC_TEXT, CF_LC_FILTER},
    {"tactics", "a.tactics", CF_LC_JSON, 0},
    {"tactic", "a.tactics", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"techniques", "a.techniques", CF_LC_JSON, 0},
    {"technique", "a.techniques", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"source_name", "a.source_name", CF_LC_TEXT, CF_LC_FILTER},
};

int inc_null_refs(struct cf_req *req, struct cf_tx *tx, json_t *item, struct cf_error *reterr)
{
    static const char *const refs[] = {"asset", "owner", "org"};

    (void)req, (void)tx, (void)reterr;
    for (size_t i = 0; i < 3; i++)
        if (json_is_null(json_object_get(json_object_get(item, refs[i]), "id")))
            json_object_set_new(item, refs[i], json_null());
    return 0;
}

static const struct cf_list alert_list_def = {
    .from = "alert a LEFT JOIN organisation o ON o.id = a.org_id LEFT JOIN app_user u ON u.id = a.owner_id",
    .id_sql = "a.id", .scope_col = "a.org_id", .default_sort = "-last_seen", .cols = alert_cols, .n_cols = sizeof(alert_cols) / sizeof(alert_cols[0]),
    .finish = inc_null_refs,
};

struct cf_list inc_list_in(const struct cf_req *req, const struct cf_list *list, struct cf_lcol *cols, const char *title_en_sql)
{
    struct cf_list l = *list;

    if (!cf_req_english(req))
        return l;
    memcpy(cols, list->cols, list->n_cols * sizeof(*cols));
    for (size_t i = 0; i < l.n_cols; i++)
        if (strcmp(cols[i].name, "title") == 0)
            cols[i].sql = title_en_sql;
    l.cols = cols;
    return l;
}

#define ALERT_TITLE_EN "COALESCE(a.title_en, a.title)"
static int alerts_list(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_lcol cols[sizeof(alert_cols) / sizeof(alert_cols[0])];
    const struct cf_list l = inc_list_in(req, &alert_list_def, cols, ALERT_TITLE_EN);

    return cf_list_reply(req, inc_app(req)->db, &l, reterr);
}

/* ---- one alert ---- */

static json_t *history_json(struct cf_tx *tx, cf_str id)
{
    json_t *a = json_array();
    struct cf_stmt *st = NULL;

    if (cf_tx_query(tx, "SELECT time_us, user_id, user_name, action, from_state, to_state, note FROM alert_history WHERE alert_id = ? ORDER BY id LIMIT 500", &st, NULL,
                    CF_S(id)) == 0)
        while (cf_stmt_next(st, NULL) == 1)
            json_array_append_new(a, json_pack("{s:o, s:{s:o, s:o}, s:o, s:o, s:o, s:o}", "time", inc_time(cf_stmt_i64(st, 0)), "user", "id",
                                               cf_str_json(cf_stmt_str(st, 1)), "name", cf_str_json(cf_stmt_str(st, 2)), "action", cf_str_json(cf_stmt_str(st, 3)), "from",
                                               cf_str_json(cf_stmt_str(st, 4)), "to", cf_str_json(cf_stmt_str(st, 5)), "note", cf_str_json(cf_stmt_str(st, 6))));
    cf_stmt_free(st);
    return a;
}

/* The kept events from the event store; what it no longer has is left out. The sample is always there. */
static json_t *events_json(struct cf_req *req, const json_t *first, const json_t *last, int64_t from_us, int64_t to_us)
{
    const json_t *lists[] = {first, last};
    json_t *out = json_array(), *reply, *items, *v;
    struct cf_error err = {0};
    struct cf_search q = {.from_us = from_us - CF_US_PER_S, .to_us = to_us + CF_US_PER_S, .limit = 2 * INC_REFS, .oldest_first = true};
    struct cf_buf query, answer;
    cf_str *orgs = NULL;
    size_t n_orgs = 0, i;

    if (!inc_app(req)->events)
        return out;
    cf_buf_init(&query, (size_t)16 << 10);
    cf_buf_init(&answer, (size_t)16 << 20);
    for (size_t k = 0; k < 2; k++)
        json_array_foreach(lists[k], i, v)
        {
            if (query.n)
                cf_buf_z(&query, " OR ");
            cf_buf_z(&query, "_id:\"");
            for (const char *p = json_string_value(v); p && *p; p++) /* ids are UUIDs: nothing else gets into the query */
                if ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f') || *p == '-')
                    cf_buf_byte(&query, *p);
            cf_buf_byte(&query, '"');
        }
    q.query = cf_buf_view(&query);
    if (query.n && cf_scope_orgs(inc_app(req)->db, req->who, req->arena, &q.scope.all, &orgs, &n_orgs, &err) == 0) {
        q.scope.orgs = orgs;
        q.scope.n_orgs = n_orgs;
        if (cf_event_search(inc_app(req)->events, &q, &answer, &err) == 0) {
            reply = json_loadb(answer.p, answer.n, 0, NULL);
            items = json_object_get(reply, "items");
            json_array_foreach(items, i, v)
            {
                if (json_object_get(v, "_id"))
                    json_object_set(v, "id", json_object_get(v, "_id"));
                if (json_object_get(v, "@timestamp"))
                    json_object_set(v, "time", json_object_get(v, "@timestamp"));
                json_array_append(out, v);
            }
            json_decref(reply);
        }
    }
    cf_buf_release(&query);
    cf_buf_release(&answer);
    return out;
}

static json_t *related_json(struct cf_tx *tx, const struct cf_req *req, cf_str id, cf_str entity, cf_str source_ip)
{
    json_t *out = json_array();
    struct cf_stmt *st = NULL;
    struct cf_dbval v[8];
    struct cf_buf sql;
    size_t n = 0, n_scope = 0;

    cf_buf_init(&sql, 0);
    cf_buf_printf(&sql, "SELECT a.id, %s, a.level, a.status, a.last_seen, a.count, a.rule_id FROM alert a WHERE a.id <> ? AND (a.entity_value = ? OR a.source_ip = ?) AND ",
                  cf_req_english(req) ? ALERT_TITLE_EN : "a.title");
    v[n++] = CF_S(id);
    v[n++] = CF_S(entity);
    v[n++] = CF_S(source_ip.n ? source_ip : CF_STR("-"));
    cf_scope_sql(req->who, "a.org_id", &sql, v + n, &n_scope, req->arena);
    n += n_scope;
    cf_buf_z(&sql, " ORDER BY a.last_seen DESC LIMIT 20");
    if (cf_tx_queryv(tx, cf_buf_cstr(&sql), v, n, &st, NULL) == 0)
        while (cf_stmt_next(st, NULL) == 1)
            json_array_append_new(out, json_pack("{s:o, s:o, s:s, s:o, s:o, s:I, s:o}", "id", cf_str_json(cf_stmt_str(st, 0)), "title", cf_str_json(cf_stmt_str(st, 1)),
                                                 "level", inc_level_name(cf_stmt_i64(st, 2)), "status", cf_str_json(cf_stmt_str(st, 3)), "last_seen",
                                                 inc_time(cf_stmt_i64(st, 4)), "count", (json_int_t)cf_stmt_i64(st, 5), "rule_id", cf_str_json(cf_stmt_str(st, 6))));
    cf_stmt_free(st);
    cf_buf_release(&sql);
    return out;
}

static const char *advice_of(const json_t *tactics, bool english)
{
    static const struct {
        const char *tactic, *zh, *en;
    } advice[] = {
        {"impact", "立即隔离受影响主机，核查备份可用性，启动应急预案。",
         "Isolate affected hosts at once, check that backups work, and start the emergency plan."},
        {"exfiltration", "阻断外联目标，核查外传数据范围，保全流量与主机证据。",
         "Block the destination, find what data left, and keep traffic and host evidence."},
        {"command-and-control", "阻断外联地址，隔离主机并排查驻留程序。",
         "Block the outbound address, isolate the host, and look for what stayed behind."},
        {"lateral-movement", "核查同网段主机登录记录，收敛账号权限，修改相关口令。",
         "Check sign-ins on hosts of the same segment, narrow rights, and change the passwords concerned."},
        {"credential-access", "封禁来源地址，修改受影响账号口令，启用多因素认证。",
         "Block the source, change the passwords of affected accounts, and use multi-factor authentication."},
        {"persistence", "排查并清除后门、计划任务与新增账号，修复入口漏洞。",
         "Find and remove back doors, scheduled tasks and new accounts, and fix the way in."},
        {"execution", "核查进程与命令行，确认是否授权操作，必要时隔离主机。",
         "Check the process and its command line, confirm whether it was authorised, and isolate the host if needed."},
        {"initial-access", "封禁来源地址，修复被利用的漏洞，核查是否已成功入侵。",
         "Block the source, fix the vulnerability used, and check whether the intrusion succeeded."},
    };
    size_t i;
    json_t *v;

    for (size_t k = 0; k < sizeof(advice) / sizeof(advice[0]); k++)
        json_array_foreach(tactics, i, v) if (json_is_string(v) && strcmp(json_string_value(v), advice[k].tactic) == 0) return english ? advice[k].en : advice[k].zh;
    return english ? "Verify that the alert is true and how far it reaches, then act." : "核实告警是否属实，确认影响范围后处置。";
}

static int add_detail(struct cf_req *req, struct cf_tx *tx, cf_str id, json_t *j, struct cf_error *err)
{
    struct cf_stmt *st = NULL;
    bool english = cf_req_english(req);
    int r = cf_tx_query(tx, "SELECT description, matched, events_first, events_last, sample, converted, result, entity_value, source_ip, first_seen, last_seen, rule_id, confidence, "
                            "importance, description_en, CASE WHEN ? = 1 THEN advice_en ELSE advice END FROM alert WHERE id = ?",
                        &st, err, CF_I(english), CF_S(id));

    if (r == 0 && (r = cf_stmt_next(st, err)) == 1) {
        json_t *first = inc_json_text(cf_stmt_str(st, 2), true), *last = inc_json_text(cf_stmt_str(st, 3), true);
        cf_str sample = cf_stmt_str(st, 4), entity = cf_arena_copy(req->arena, cf_stmt_str(st, 7)), source = cf_arena_copy(req->arena, cf_stmt_str(st, 8));
        int64_t from = cf_stmt_i64(st, 9), to = cf_stmt_i64(st, 10);
        json_t *sj = sample.n ? json_loadb(sample.p, sample.n, 0, NULL) : NULL;

        json_object_set_new(j, "description", cf_str_json(english && !cf_stmt_null(st, 14) ? cf_stmt_str(st, 14) : cf_stmt_str(st, 0)));
        json_object_set_new(j, "advice", !cf_stmt_null(st, 15) ? cf_str_json(cf_stmt_str(st, 15)) : json_string(advice_of(json_object_get(j, "tactics"), english)));
        json_object_set_new(j, "matched", inc_json_text(cf_stmt_str(st, 1), true));
        json_object_set_new(j, "converted", inc_json_text(cf_stmt_str(st, 5), true));
        json_object_set_new(j, "result", cf_str_json(cf_stmt_str(st, 6)));
        json_object_set_new(j, "confidence", json_real(cf_stmt_f64(st, 12)));
        json_object_set_new(j, "importance", json_integer((json_int_t)cf_stmt_i64(st, 13)));
        json_object_set_new(j, "rule", json_pack("{s:o, s:O, s:O}", "id", cf_str_json(cf_stmt_str(st, 11)), "title", json_object_get(j, "title_en"), "level", json_object_get(j, "level")));
        json_object_set_new(j, "event_ids", json_pack("{s:O, s:O}", "first", first, "last", last));
        json_object_set_new(j, "sample", sj ? sj : json_null());
        cf_stmt_free(st);
        st = NULL;
        json_object_set_new(j, "events", events_json(req, first, last, from, to));
        if (json_array_size(json_object_get(j, "events")) == 0 && sj) {
            json_t *one = json_deep_copy(sj);

            json_object_set(one, "time", json_object_get(sj, "@timestamp"));
            json_array_append_new(json_object_get(j, "events"), one);
        }
        json_object_set_new(j, "related", related_json(tx, req, id, entity, source));
        json_decref(first);
        json_decref(last);
        r = 0;
    }
    cf_stmt_free(st);
    json_object_set_new(j, "history", history_json(tx, id));
    return r;
}

static json_t *alert_detail(struct cf_req *req, cf_str id, struct cf_error *reterr)
{
    struct cf_lcol cols[sizeof(alert_cols) / sizeof(alert_cols[0])];
    const struct cf_list l = inc_list_in(req, &alert_list_def, cols, ALERT_TITLE_EN);
    json_t *j = cf_list_one(req, inc_app(req)->db, &l, id, reterr);
    struct cf_tx *tx = NULL;

    if (j && cf_tx_begin(inc_app(req)->db, CF_TX_READ, &tx, reterr) == 0 && add_detail(req, tx, id, j, reterr) == 0) {
        cf_tx_rollback(&tx);
        return j;
    }
    cf_tx_rollback(&tx);
    json_decref(j);
    return NULL;
}

static int alerts_get(struct cf_req *req, struct cf_error *reterr)
{
    json_t *j = alert_detail(req, cf_req_path(req, "id"), reterr);

    if (!j)
        return reterr->code < 0 ? reterr->code : CF_ENOENT;
    cf_reply_json(req, 200, j);
    return 0;
}

/* ---- actions ---- */

int inc_begin(struct cf_req *req, struct inc_ctx *c, struct cf_work_effects *fx, struct cf_error *reterr)
{
    const struct cf_app *app = inc_app(req);

    *c = (struct inc_ctx){.e = app->incidents, .w = app->workflows, .m = app->messenger, .forms = app->forms, .english = cf_req_english(req), .a = req->arena, .who = req->who, .fx = fx, .err = reterr};
    return cf_tx_begin(app->db, CF_TX_WRITE, &c->tx, reterr);
}

int inc_end(struct cf_req *req, struct inc_ctx *c, int r)
{
    const struct cf_app *app = inc_app(req);

    if (r == 0)
        r = cf_tx_commit(&c->tx, c->err);
    cf_tx_rollback(&c->tx);
    if (r == 0 && c->exceptions_changed && c->e)
        cf_incident_exceptions_changed(c->e);
    if (r == 0 && app->workflows)
        cf_work_publish(app->workflows, c->fx);
    else
        cf_work_forget(c->fx);
    if (r == 0)
        cf_messenger_kick(app->messenger);
    return r;
}

static void publish_alert(struct cf_req *req, const json_t *j)
{
    cf_str org = cf_str_c(json_string_value(json_object_get(json_object_get(j, "org"), "id")));

    if (inc_app(req)->hub && j)
        cf_hub_publish(inc_app(req)->hub, "alert", org.n ? org : CF_STR(INC_ROOT_ORG), CF_STR(""), j);
}

static int alerts_act(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id"), act = cf_json_text(req->json, "action");
    struct cf_work_effects fx = {0};
    struct inc_ctx c;
    json_t *j, *brief;
    int r = inc_begin(req, &c, &fx, reterr);

    if (r < 0)
        return r;
    r = inc_end(req, &c, inc_alert_act(&c, id, req->json));
    if (r < 0)
        return r;
    brief = cf_list_one(req, inc_app(req)->db, &alert_list_def, id, reterr);
    publish_alert(req, brief);
    json_decref(brief);
    j = alert_detail(req, id, reterr);
    if (!j)
        return reterr->code < 0 ? reterr->code : CF_ENOENT;
    if (cf_str_eqz(act, "convert_notice"))
        json_object_set_new(j, "notice_id", json_string(c.made_id));
    cf_req_audit(req, cf_arena_strdup(req->arena, id), NULL, req->json);
    cf_reply_json(req, 200, j);
    return 0;
}

static int alerts_batch(struct cf_req *req, struct cf_error *reterr)
{
    const json_t *ids = json_object_get(req->json, "ids");
    struct cf_work_effects fx = {0};
    json_t *errors = json_array(), *v;
    struct inc_ctx c;
    int64_t changed = 0;
    size_t i;
    int r = inc_begin(req, &c, &fx, reterr);

    json_array_foreach(ids, i, v)
    {
        struct cf_error err = {0};
        cf_str id = cf_str_c(json_string_value(v) ? json_string_value(v) : "");

        if (r < 0)
            break;
        c.err = &err;
        r = inc_alert_act(&c, id, req->json);
        if (r == 0) {
            changed++;
        } else if (r == CF_EINVAL || r == CF_ECONFLICT || r == CF_ENOENT || r == CF_EPERM || r == CF_EEXIST) { /* found before anything was written */
            json_array_append_new(errors, json_pack("{s:o, s:s}", "id", cf_str_json(id), "message", err.msg));
            r = 0;
        } else {
            *reterr = err;
        }
    }
    c.err = reterr;
    r = inc_end(req, &c, r);
    if (r < 0) {
        json_decref(errors);
        return r;
    }
    json_array_foreach(ids, i, v)
    {
        struct cf_error err = {0};
        json_t *brief = i < 100 && inc_app(req)->hub ? cf_list_one(req, inc_app(req)->db, &alert_list_def, cf_str_c(json_string_value(v)), &err) : NULL;

        publish_alert(req, brief);
        json_decref(brief);
    }
    cf_req_audit(req, "alerts", NULL, req->json);
    cf_reply_json(req, 200, cf_req_tell(req, json_pack("{s:I, s:o}", "changed", (json_int_t)changed, "errors", errors)));
    return 0;
}

#define ACTION_SCHEMA "{\"type\":\"object\",\"required\":[\"action\"],\"properties\":{\"action\":{\"type\":\"string\",\"maxLength\":40},\"note\":{\"type\":\"string\",\"maxLength\":8000}}}"
#define BATCH_SCHEMA "{\"type\":\"object\",\"required\":[\"ids\",\"action\"],\"properties\":{\"ids\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":1000,\"items\":{\"type\":\"string\"}},\"action\":{\"type\":\"string\",\"maxLength\":40},\"note\":{\"type\":\"string\",\"maxLength\":8000}}}"

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/alerts", .permission = "alert.read", .handler = alerts_list, .flags = CF_RF_LIST, .doc = "Alerts, newest first"},
    {.method = CF_GET, .path = "/api/v1/alerts/{id}", .permission = "alert.read", .handler = alerts_get, .doc = "One alert with its reasons, events, history and advice"},
    {.method = CF_POST, .path = "/api/v1/alerts/{id}/actions", .permission = "alert.write", .handler = alerts_act, .request = ACTION_SCHEMA,
     .doc = "take, confirm, false_positive, ignore, close, reopen, assign, comment, convert_incident, convert_notice"},
    {.method = CF_POST, .path = "/api/v1/alerts:batch", .permission = "alert.write", .handler = alerts_batch, .request = BATCH_SCHEMA, .doc = "One action on many alerts"},
};

void cf_incident_routes(void)
{
    cf_routes_add(routes, sizeof(routes) / sizeof(routes[0]));
    inc_incident_routes();
    inc_exception_routes();
}
