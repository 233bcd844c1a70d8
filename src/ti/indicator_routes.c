/* SPDX-License-Identifier: Apache-2.0
 * Indicators over HTTP: list, one with its context, add, change, review, export. TI-002, TI-004, TI-015, TI-019, TI-020. */
#include <stdio.h>
#include <stdlib.h>

#include "api/list.h"
#include "app/app.h"
#include "base/jstr.h"
#include "ti/ti_int.h"
#include "workflow/reply.h"

#define SEVERITY_SQL "CASE i.severity WHEN 0 THEN 'informational' WHEN 1 THEN 'low' WHEN 2 THEN 'medium' WHEN 3 THEN 'high' ELSE 'critical' END"
#define TLP_SQL "CASE i.tlp WHEN 0 THEN 'clear' WHEN 1 THEN 'green' WHEN 2 THEN 'amber' WHEN 3 THEN 'amber+strict' ELSE 'red' END"

static const struct cf_lcol cols[] = {
    {"id", "i.id", CF_LC_TEXT, CF_LC_FILTER},
    {"type", "i.type", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"value", "i.value", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"threat_type", "i.threat_type", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT},
    {"family", "i.family", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_SEARCH},
    {"group", "i.grp", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_SEARCH},
    {"confidence", "i.confidence", CF_LC_I64, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"severity", SEVERITY_SQL, CF_LC_TEXT, CF_LC_FILTER},
    {"severity", "i.severity", CF_LC_I64, CF_LC_SORT | CF_LC_HIDDEN | CF_LC_NOTNULL},
    {"tlp", TLP_SQL, CF_LC_TEXT, CF_LC_FILTER},
    {"sharing", "i.sharing", CF_LC_TEXT, CF_LC_FILTER},
    {"status", "i.status", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"source.id", "i.source_id", CF_LC_TEXT, CF_LC_FILTER},
    {"source.name", "s.name", CF_LC_TEXT, CF_LC_FILTER},
    {"org", "(SELECT g.org_id FROM ti_sighting g WHERE g.indicator_id = i.id ORDER BY g.last_us DESC LIMIT 1)", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"conflict", "i.conflict", CF_LC_TEXT, CF_LC_FILTER},
    {"valid_from", "i.valid_from_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT},
    {"valid_until", "i.valid_until_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT},
    {"first_seen", "i.first_seen_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT},
    {"last_seen", "i.last_seen_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT},
    {"added_at", "i.added_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"updated_at", "i.updated_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
    {"description", "i.description", CF_LC_TEXT, CF_LC_SEARCH},
    {"tags", "i.tags", CF_LC_JSON, 0},
    {"tag", "i.tags", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"techniques", "i.techniques", CF_LC_JSON, 0},
    {"conditions", "i.cond", CF_LC_TEXT, 0},
    {"ext_id", "i.ext_id", CF_LC_TEXT, CF_LC_FILTER},
    {"incident_id", "i.incident_id", CF_LC_TEXT, CF_LC_FILTER},
    {"hits", "i.hits", CF_LC_I64, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"last_hit", "i.last_hit_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT},
    {"false_hits", "i.false_hits", CF_LC_I64, CF_LC_FILTER | CF_LC_SORT},
    {"reviewed_by", "u.display_name", CF_LC_TEXT, 0},
    {"reviewed_at", "i.reviewed_us", CF_LC_TIME, 0},
    {"note", "i.note", CF_LC_TEXT, 0},
};

static int finish(struct cf_req *req, struct cf_tx *tx, json_t *item, struct cf_error *reterr)
{
    static const char *const zero[] = {"valid_from", "valid_until"};

    (void)req;
    (void)tx;
    (void)reterr;
    for (size_t i = 0; i < 2; i++) { /* 0 means open */
        const char *s = json_string_value(json_object_get(item, zero[i]));

        if (s && strncmp(s, "1970-01-01T00:00:00", 19) == 0)
            (void)json_object_set_new(item, zero[i], json_null());
    }
    return 0;
}

static struct cf_list list_for(const struct cf_req *req)
{
    struct cf_list l = {.from = "ti_indicator i LEFT JOIN ti_source s ON s.id = i.source_id LEFT JOIN app_user u ON u.id = i.reviewed_by", .id_sql = "i.id",
                        .default_sort = "-added_at", .cols = cols, .n_cols = sizeof cols / sizeof *cols, .finish = finish};

    if (req->who->scope != CF_SCOPE_ALL) /* outside the city's own people: what may be shared, while it is valid */
        l.where = "i.tlp <= 1 AND i.status = 'active'";
    return l;
}

static struct cf_app *app_of(struct cf_req *req) { return req->app; }

static int get_list(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_list l = list_for(req);

    return cf_list_reply(req, app_of(req)->db, &l, reterr);
}

/* ---- one ----------------------------------------------------------------------------------------------------------------- */

static json_t *jtext(const struct cf_stmt *st, int col) { return cf_stmt_null(st, col) ? json_null() : json_stringn(cf_stmt_str(st, col).p, cf_stmt_str(st, col).n); }

static int sightings(struct cf_tx *tx, const char *id, json_t *item, struct cf_error *reterr)
{
    json_t *a = json_array();
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx,
                         /* of those that came with an import the field is the source's own id */
                        "SELECT g.kind, CASE WHEN g.kind IN ('told', 'denied') THEN NULL ELSE g.field END, g.first_us, g.last_us, g.count, g.org_id, o.name, g.note FROM ti_sighting g LEFT JOIN organisation o ON o.id = g.org_id"
                        " WHERE g.indicator_id = ? ORDER BY g.last_us DESC LIMIT 100",
                        &st, reterr, CF_Z(id));

    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)json_array_append_new(a, json_pack("{s:o,s:o,s:o,s:o,s:I,s:{s:o,s:o},s:o}", "kind", jtext(st, 0), "field", jtext(st, 1), "first_seen", ti_time(cf_stmt_i64(st, 2)),
                                                 "last_seen", ti_time(cf_stmt_i64(st, 3)), "count", (json_int_t)cf_stmt_i64(st, 4), "org", "id", jtext(st, 5), "name", jtext(st, 6),
                                                 "note", jtext(st, 7)));
        r = 0;
    }
    cf_stmt_free(st);
    (void)json_object_set_new(item, "sightings", a);
    return r;
}

/* What else is said about the value, and the objects its STIX indicator stands in relation to. */
static int relations(struct cf_tx *tx, const json_t *item, json_t *out, struct cf_error *reterr)
{
    const char *id = json_string_value(json_object_get(item, "id")), *value = json_string_value(json_object_get(item, "value")),
               *ext = json_string_value(json_object_get(item, "ext_id"));
    json_t *others = json_array(), *rel = json_array();
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx,
                        "SELECT i.id, s.name, i.confidence, i.status, i.family FROM ti_indicator i LEFT JOIN ti_source s ON s.id = i.source_id WHERE i.value = ? AND i.id <> ?"
                        " ORDER BY i.confidence DESC LIMIT 50",
                        &st, reterr, CF_Z(value), CF_Z(id));

    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)json_array_append_new(others, json_pack("{s:o,s:o,s:I,s:o,s:o}", "id", jtext(st, 0), "source", jtext(st, 1), "confidence", (json_int_t)cf_stmt_i64(st, 2), "status",
                                                      jtext(st, 3), "family", jtext(st, 4)));
        r = 0;
    }
    cf_stmt_free(st);
    st = NULL;
    if (r == 0 && ext && ext[0])
        r = cf_tx_query(tx,
                        "SELECT r.kind, o.id, o.type, o.name, CASE WHEN r.src = ? THEN 'out' ELSE 'in' END FROM ti_relation r JOIN ti_object o"
                        " ON o.id = CASE WHEN r.src = ? THEN r.dst ELSE r.src END WHERE r.src = ? OR r.dst = ? LIMIT 200",
                        &st, reterr, CF_Z(ext), CF_Z(ext), CF_Z(ext), CF_Z(ext));
    while (r == 0 && st && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)json_array_append_new(rel, json_pack("{s:o,s:o,s:o,s:o,s:o}", "kind", jtext(st, 0), "id", jtext(st, 1), "type", jtext(st, 2), "name", jtext(st, 3), "direction", jtext(st, 4)));
        r = 0;
    }
    cf_stmt_free(st);
    (void)json_object_set_new(out, "same_value", others);
    (void)json_object_set_new(out, "relations", rel);
    return r;
}

/* Alerts whose reasons name the value, and assets with it (TI-012). */
static int related(struct cf_tx *tx, const struct cf_req *req, const json_t *item, json_t *out, struct cf_error *reterr)
{
    const char *value = json_string_value(json_object_get(item, "value"));
    json_t *alerts = json_array(), *assets = json_array();
    struct cf_stmt *st = NULL;
    cf_str in_reasons = cf_arena_printf(req->arena, "%%\"%s\"%%", value);
    int r = cf_tx_query(tx,
                        "SELECT id, CASE WHEN ? = 1 THEN COALESCE(title_en, title) ELSE title END, level, status, last_seen, entity_value FROM alert WHERE (source_ip = ? OR destination_ip = ? OR (rule_id LIKE 'ti-%' AND matched LIKE ?))"
                        " AND last_seen > ? ORDER BY last_seen DESC LIMIT 50",
                        &st, reterr, CF_I(cf_req_english(req)), CF_Z(value), CF_Z(value), CF_S(in_reasons), CF_I(cf_now_us() - 90 * CF_US_PER_DAY));

    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)json_array_append_new(alerts, json_pack("{s:o,s:o,s:s,s:o,s:o,s:o}", "id", jtext(st, 0), "title", jtext(st, 1), "level", ti_severity_name(cf_stmt_i64(st, 2)), "status",
                                                      jtext(st, 3), "last_seen", ti_time(cf_stmt_i64(st, 4)), "entity", jtext(st, 5)));
        r = 0;
    }
    cf_stmt_free(st);
    st = NULL;
    if (r == 0)
        r = cf_tx_query(tx, "SELECT id, name, ip FROM asset WHERE deleted_us IS NULL AND (ip = ? OR domain = ?) LIMIT 20", &st, reterr, CF_Z(value), CF_Z(value));
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)json_array_append_new(assets, json_pack("{s:o,s:o,s:o}", "id", jtext(st, 0), "name", jtext(st, 1), "ip", jtext(st, 2)));
        r = 0;
    }
    cf_stmt_free(st);
    (void)json_object_set_new(out, "alerts", alerts);
    (void)json_object_set_new(out, "assets", assets);
    return r;
}

static int reply_one(struct cf_req *req, int status, cf_str id, struct cf_error *reterr)
{
    struct cf_list l = list_for(req);
    json_t *item = cf_list_one(req, app_of(req)->db, &l, id, reterr);
    struct cf_tx *tx = NULL;
    int r;

    if (!item)
        return reterr->code;
    r = cf_tx_begin(app_of(req)->db, CF_TX_READ, &tx, reterr);
    if (r == 0)
        r = sightings(tx, json_string_value(json_object_get(item, "id")), item, reterr);
    if (r == 0)
        r = relations(tx, item, item, reterr);
    if (r == 0)
        r = related(tx, req, item, item, reterr);
    cf_tx_rollback(&tx);
    if (r < 0)
        json_decref(item);
    else
        cf_reply_json(req, status, item);
    return r;
}

static int get_one(struct cf_req *req, struct cf_error *reterr) { return reply_one(req, 200, cf_req_path(req, "id"), reterr); }

/* ---- add and change ---------------------------------------------------------------------------------------------------------- */

static int post_one(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = app_of(req);
    struct cf_shared_box *box = app->ti ? cf_shared_get(&app->ti->excluded) : NULL;
    enum cf_ti_type type = CF_TI_ANY;
    struct ti_source src;
    struct cf_ti_value v;
    struct ti_item it = {.value = &v, .confidence = -1, .severity = ti_severity_parse(cf_json_text(req->json, "severity")), .tlp = ti_tlp_parse(cf_json_text(req->json, "tlp")),
                         .threat_type = cf_json_text(req->json, "threat_type"), .family = cf_json_text(req->json, "family"), .group = cf_json_text(req->json, "group"), .description = cf_json_text(req->json, "description"),
                         .tags = json_object_get(req->json, "tags"), .techniques = json_object_get(req->json, "techniques")};
    struct ti_writer w = {.db = app->db, .source = &src, .excluded = box ? box->p : NULL, .active = cf_principal_may(req->who, CF_STR("ti.review"))};
    const char *why;
    char *id = NULL;
    int r = 0;

    w.user = cf_arena_strdup(req->arena, req->who->user_id);
    if (cf_json_text(req->json, "type").n && !cf_ti_type_parse(cf_json_text(req->json, "type"), &type))
        r = cf_req_field_error(req, "type", "there is no such type");
    if (r == 0 && !cf_ti_value_read(cf_json_text(req->json, "value"), type, &v, &why))
        r = cf_req_field_error(req, "value", "%s", why);
    if (r == 0 && cf_json_text(req->json, "valid_until").n && !cf_time_parse(cf_json_text(req->json, "valid_until"), &it.until_us))
        r = cf_req_field_error(req, "valid_until", "not a time");
    if (json_object_get(req->json, "confidence"))
        it.confidence = (int)json_integer_value(json_object_get(req->json, "confidence"));
    if (r == 0)
        r = ti_source_read(app->db, cf_json_text(req->json, "source").n ? cf_json_text(req->json, "source") : CF_STR("upload"), &src, reterr);
    if (r == 0)
        r = ti_writer_begin(&w, reterr);
    if (r == 0) {
        r = ti_writer_add(&w, &it, reterr);
        if (r == 0)
            r = ti_writer_end(&w, reterr);
        ti_writer_release(&w);
    }
    if (app->ti)
        cf_shared_put(&app->ti->excluded, box);
    if (r == 0) { /* the row, new or there before */
        struct cf_tx *tx = NULL;
        struct cf_stmt *st = NULL;

        r = cf_tx_begin(app->db, CF_TX_READ, &tx, reterr);
        if (r == 0)
            r = cf_tx_query(tx, "SELECT id FROM ti_indicator WHERE value = ? AND type = ? AND source_id = ? AND cond = ''", &st, reterr, CF_Z(v.p), CF_Z(cf_ti_type_name(v.type)),
                            CF_Z(src.id));
        if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1)
            id = cf_arena_strdup(req->arena, cf_stmt_str(st, 0));
        r = r < 0 ? r : id ? 0 : cf_error_set(reterr, CF_EDB, "the indicator was not stored");
        cf_stmt_free(st);
        cf_tx_rollback(&tx);
    }
    if (r < 0)
        return r;
    cf_ti_changed(app->ti);
    cf_req_audit(req, id, NULL, req->json);
    return reply_one(req, 201, cf_str_c(id), reterr);
}

/* Whoever is given the indicator is told of its change; ended: that it is over. */
static int tell(struct cf_tx *tx, cf_str id, bool ended, struct cf_error *reterr)
{
    int64_t ver;
    int r = ti_clock_next(tx, &ver, reterr);

    if (r == 0)
        r = ended ? ti_gone(tx, id, NULL, &ver, reterr) : ti_given(tx, id, &ver, reterr);
    return r < 0 ? r : ti_clock_set(tx, ver - 1, reterr);
}

static int patch_one(struct cf_req *req, struct cf_error *reterr)
{
    static const struct {
        const char *key, *col;
    } texts[] = {{"threat_type", "threat_type"}, {"family", "family"}, {"group", "grp"}, {"description", "description"}, {"note", "note"}, {"sharing", "sharing"}};
    struct cf_list l = list_for(req);
    cf_str id = cf_req_path(req, "id");
    json_t *before = cf_list_one(req, app_of(req)->db, &l, id, reterr);
    const json_t *conf = json_object_get(req->json, "confidence");
    struct cf_tx *tx = NULL;
    int64_t until = 0;
    char sql[120];
    int r = before ? 0 : reterr->code;

    if (r == 0 && cf_json_text(req->json, "valid_until").n && !cf_time_parse(cf_json_text(req->json, "valid_until"), &until))
        r = cf_req_field_error(req, "valid_until", "not a time");
    if (r == 0)
        r = cf_tx_begin(app_of(req)->db, CF_TX_WRITE, &tx, reterr);
    for (size_t i = 0; i < sizeof texts / sizeof *texts && r == 0; i++) {
        (void)snprintf(sql, sizeof sql, "UPDATE ti_indicator SET %s = ? WHERE id = ?", texts[i].col);
        if (json_object_get(req->json, texts[i].key))
            r = cf_tx_exec(tx, sql, reterr, CF_S(cf_json_text(req->json, texts[i].key)), CF_S(id));
    }
    if (r == 0 && conf)
        r = cf_tx_exec(tx, "UPDATE ti_indicator SET confidence = ? WHERE id = ?", reterr, CF_I(json_integer_value(conf)), CF_S(id));
    if (r == 0 && cf_json_text(req->json, "severity").n)
        r = cf_tx_exec(tx, "UPDATE ti_indicator SET severity = ? WHERE id = ?", reterr, CF_I(ti_severity_parse(cf_json_text(req->json, "severity"))), CF_S(id));
    if (r == 0 && cf_json_text(req->json, "tlp").n)
        r = cf_tx_exec(tx, "UPDATE ti_indicator SET tlp = ? WHERE id = ?", reterr, CF_I(ti_tlp_parse(cf_json_text(req->json, "tlp"))), CF_S(id));
    if (r == 0 && until)
        r = cf_tx_exec(tx, "UPDATE ti_indicator SET valid_until_us = ? WHERE id = ?", reterr, CF_I(until), CF_S(id));
    if (r == 0) /* STIX tells versions apart by the millisecond */
        r = cf_tx_exec(tx, "UPDATE ti_indicator SET updated_us = GREATEST(?, updated_us + 1000) WHERE id = ?", reterr, CF_I(cf_now_us()), CF_S(id));
    if (r == 0)
        r = tell(tx, id, until && until <= cf_now_us(), reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        cf_ti_changed(app_of(req)->ti);
        cf_req_audit(req, cf_arena_strdup(req->arena, id), before, req->json);
        r = reply_one(req, 200, id, reterr);
    }
    json_decref(before);
    return r;
}

/* ---- review -------------------------------------------------------------------------------------------------------------------- */

static const struct action {
    const char *name, *from; /* states it may start from, with spaces around */
    const char *sql;
} actions[] = {
    /* an analyst who activates a value in conflict has seen the conflict: it is cleared; a validity that is over is opened again */
    {"activate", " draft expired withdrawn false_positive ",
     "status = 'active', conflict = NULL, revoked_us = NULL, valid_until_us = CASE WHEN status = 'expired' THEN 0 ELSE valid_until_us END"},
    {"withdraw", " draft active expired ", "status = 'withdrawn', revoked_us = NULL"},
    {"reject", " draft ", "status = 'withdrawn', revoked_us = NULL"},
    /* a false hit lowers the confidence for good */
    {"false_positive", " draft active expired ", "status = 'false_positive', false_hits = false_hits + 1, confidence = confidence / 2"},
};

static int act_one(struct cf_req *req, struct cf_tx *tx, const struct action *a, const char *id, json_t *errors, int64_t *changed, struct cf_error *reterr)
{
    int64_t now = cf_now_us(), n = 0;
    struct cf_stmt *st = NULL;
    char sql[500], word[40];
    int r = cf_tx_query(tx, "SELECT status FROM ti_indicator WHERE id = ?", &st, reterr, CF_Z(id));
    const char *why = "there is no such indicator";

    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)snprintf(word, sizeof word, " %.*s ", CF_ARG(cf_str_sub(cf_stmt_str(st, 0), 0, 30)));
        why = strstr(a->from, word) ? NULL : "not possible in its state";
        r = 0;
    }
    cf_stmt_free(st);
    if (r < 0)
        return r;
    if (why) {
        (void)json_array_append_new(errors, json_pack("{s:s,s:s}", "id", id, "message", why));
        return 0;
    }
    (void)snprintf(sql, sizeof sql, "UPDATE ti_indicator SET %s, updated_us = GREATEST(?, updated_us + 1000), reviewed_by = ?, reviewed_us = ?, note = COALESCE(?, note) WHERE id = ?", a->sql);
    const struct cf_dbval with[] = {CF_I(now), CF_S(req->who->user_id), CF_I(now), CF_S(cf_json_text(req->json, "note").n ? cf_json_text(req->json, "note") : CF_STR_NONE), CF_Z(id)};

    r = cf_tx_execv(tx, sql, with, 5, &n, reterr);
    *changed += n;
    return r < 0 ? r : tell(tx, cf_str_c(id), strcmp(a->name, "activate") != 0, reterr);
}

static int review(struct cf_req *req, struct cf_error *reterr)
{
    const json_t *ids = json_object_get(req->json, "ids"), *j;
    const struct action *a = NULL;
    json_t *errors = json_array();
    struct cf_tx *tx = NULL;
    int64_t changed = 0;
    size_t i;
    int r = 0;

    for (i = 0; i < sizeof actions / sizeof *actions; i++)
        if (cf_str_eqz(cf_json_text(req->json, "action"), actions[i].name))
            a = &actions[i];
    if (!a)
        r = cf_req_field_error(req, "action", "activate, reject, withdraw or false_positive");
    if (r == 0)
        r = cf_tx_begin(app_of(req)->db, CF_TX_WRITE, &tx, reterr);
    json_array_foreach(ids, i, j)
    {
        if (r == 0)
            r = act_one(req, tx, a, json_string_value(j), errors, &changed, reterr);
    }
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r < 0) {
        json_decref(errors);
        return r;
    }
    cf_ti_changed(app_of(req)->ti);
    cf_req_audit(req, a->name, NULL, req->json);
    cf_reply_json(req, 200, cf_req_tell(req, json_pack("{s:I,s:o}", "changed", (json_int_t)changed, "errors", errors)));
    return 0;
}

/* ---- what is a value, would it match ------------------------------------------------------------------------------------------- */

static int lookup(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = app_of(req);
    struct cf_shared_box *set = app->ti ? cf_shared_get(&app->ti->set) : NULL, *ex = app->ti ? cf_shared_get(&app->ti->excluded) : NULL;
    const struct cf_ti_entry *e = NULL;
    struct cf_ti_value v;
    const char *why = "";
    json_t *out = json_object();
    char id[37], buf[80];

    (void)reterr;
    if (cf_ti_value_read(cf_json_text(req->json, "value"), CF_TI_ANY, &v, &why)) {
        (void)json_object_set_new(out, "type", json_string(cf_ti_type_name(v.type)));
        (void)json_object_set_new(out, "value", json_string(v.p));
        if (set)
            e = cf_ti_find(set->p, v.type == CF_TI_DOMAIN ? CF_TI_ANY : v.type, cf_ti_value_str(&v), (uint32_t)(cf_now_us() / CF_US_PER_S), NULL);
        if (ex && ti_excluded_by(ex->p, &v).p)
            (void)json_object_set_new(out, "excluded_by", json_stringn(ti_excluded_by(ex->p, &v).p, ti_excluded_by(ex->p, &v).n));
    } else {
        (void)json_object_set_new(out, "reason", json_string(why));
    }
    if (e) {
        cf_str t = cf_ti_entry_text(set->p, e, buf);

        ti_uuid_text(e->id, id);
        (void)json_object_set_new(out, "match", json_pack("{s:s,s:s,s:s%,s:i,s:s%}", "id", id, "type", cf_ti_type_name((enum cf_ti_type)e->type), "value", t.p, t.n, "confidence",
                                                          e->confidence, "source", cf_ti_entry_info(set->p, e)->feed.p, cf_ti_entry_info(set->p, e)->feed.n));
    }
    if (app->ti) {
        cf_shared_put(&app->ti->set, set);
        cf_shared_put(&app->ti->excluded, ex);
    }
    cf_reply_json(req, 200, cf_req_tell(req, out));
    return 0;
}

static int export(struct cf_req *req, struct cf_error *reterr)
{
    cf_str format = cf_req_query(req, "format");
    struct ti_select s = {.types = cf_req_query(req, "types"), .source = cf_req_query(req, "source"), .status = cf_req_query(req, "status"), .tlp_max = 4};
    struct cf_buf out;
    int64_t n, limit;
    int r = cf_req_query_i64(req, "min_confidence", 0, 0, 100, &s.min_confidence, reterr);

    if (r == 0)
        r = cf_req_query_i64(req, "limit", 100000, 1, 1000000, &limit, reterr);
    if (r == 0 && !ti_format_type(format))
        r = cf_req_field_error(req, "format", "txt, csv, stix or gbt");
    if (r != 0)
        return r;
    if (req->who->scope != CF_SCOPE_ALL)
        s.tlp_max = 1;
    cf_buf_init(&out, 512u << 20);
    r = ti_write(app_of(req)->db, &s, format, limit, &out, &n, reterr);
    if (r == 0)
        cf_reply_bytes(req, 200, ti_format_type(format), &out);
    cf_buf_release(&out);
    return r;
}

/* ---- drafts from an incident (TI-004) ---------------------------------------------------------------------------------------------- */

static int from_incident(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = app_of(req);
    cf_str incident = cf_req_path(req, "id");
    const json_t *values = json_object_get(req->json, "values"), *j;
    struct cf_shared_box *box = NULL;
    struct ti_source src;
    struct cf_ti_value v;
    struct ti_writer w = {.db = app->db, .source = &src};
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    cf_str org = CF_STR_NONE, number = CF_STR_NONE;
    json_t *report;
    const char *why;
    size_t i;
    int r = cf_tx_begin(app->db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT org_id, number FROM incident WHERE id = ?", &st, reterr, CF_S(incident));
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        org = cf_arena_copy(req->arena, cf_stmt_str(st, 0));
        number = cf_arena_copy(req->arena, cf_stmt_str(st, 1));
        r = 0;
    }
    cf_stmt_free(st);
    if (r == 0 && (!org.p || !cf_scope_has_org(tx, req->who, org)))
        r = cf_error_set(reterr, CF_ENOENT, "there is no such incident");
    cf_tx_rollback(&tx);
    if (r == 0)
        r = ti_source_read(app->db, CF_STR("incident"), &src, reterr);
    if (r < 0)
        return r;
    box = app->ti ? cf_shared_get(&app->ti->excluded) : NULL;
    w.excluded = box ? box->p : NULL;
    w.user = cf_arena_strdup(req->arena, req->who->user_id);
    w.incident = cf_arena_strdup(req->arena, incident);
    r = ti_writer_begin(&w, reterr);
    json_array_foreach(values, i, j)
    {
        struct ti_item it = {.value = &v, .confidence = -1, .severity = -1, .tlp = -1, .threat_type = cf_json_text(req->json, "threat_type"), .family = cf_json_text(req->json, "family"),
                             .description = cf_json_text(req->json, "description").n ? cf_json_text(req->json, "description") : number};

        w.line = (int64_t)i + 1;
        if (r == 0 && json_is_string(j) && cf_ti_value_read(cf_str_c(json_string_value(j)), CF_TI_ANY, &v, &why))
            r = ti_writer_add(&w, &it, reterr);
        else if (r == 0)
            ti_writer_bad(&w, json_is_string(j) ? cf_str_c(json_string_value(j)) : CF_STR(""), json_is_string(j) ? why : "not a text");
    }
    if (r == 0)
        r = ti_writer_end(&w, reterr);
    report = r == 0 ? ti_writer_report(&w) : NULL;
    ti_writer_release(&w);
    if (app->ti)
        cf_shared_put(&app->ti->excluded, box);
    if (r == 0) {
        cf_req_audit(req, w.incident, NULL, req->json);
        cf_reply_json(req, 201, cf_req_tell(req, report));
    }
    return r;
}

/* A sighting told by a person or a unit (TI-013, TI-017). */
static int add_sighting(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    int64_t at = cf_now_us(), n = json_object_get(req->json, "count") ? json_integer_value(json_object_get(req->json, "count")) : 1;
    struct cf_list l = list_for(req);
    json_t *item = cf_list_one(req, app_of(req)->db, &l, id, reterr);
    struct cf_tx *tx = NULL;
    char row[37];
    int r = item ? 0 : reterr->code;

    json_decref(item);
    cf_uuid7(row);
    if (r == 0)
        r = cf_tx_begin(app_of(req)->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx,
                       "INSERT INTO ti_sighting (id, indicator_id, org_id, kind, field, day, first_us, last_us, count, note) VALUES (?,?,?,'report','',?,?,?,?,?)"
                       " ON CONFLICT (indicator_id, org_id, kind, field, day) DO UPDATE SET count = ti_sighting.count + excluded.count, last_us = excluded.last_us, note = excluded.note",
                       reterr, CF_Z(row), CF_S(id), CF_S(req->who->org_id), CF_I(at / CF_US_PER_DAY), CF_I(at), CF_I(at), CF_I(n), CF_S(cf_json_text(req->json, "note")));
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE ti_indicator SET last_seen_us = ? WHERE id = ?", reterr, CF_I(at), CF_S(id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r < 0 ? r : reply_one(req, 201, id, reterr);
}

#define S(max) "{\"type\":\"string\",\"maxLength\":" #max "}"
#define LEVELS "{\"type\":\"string\",\"enum\":[\"informational\",\"low\",\"medium\",\"high\",\"critical\"]}"
#define TLPS "{\"type\":\"string\",\"enum\":[\"clear\",\"green\",\"amber\",\"amber+strict\",\"red\"]}"
#define FIELDS "\"threat_type\":" S(80) ",\"family\":" S(200) ",\"group\":" S(200) ",\"description\":" S(4000) ",\"valid_until\":" S(40) ",\"severity\":" LEVELS ",\"tlp\":" TLPS \
    ",\"confidence\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":100}"
#define LIST "{\"type\":\"array\",\"maxItems\":50,\"items\":" S(100) "}"

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/indicators", .permission = "ti.read", .handler = get_list, .flags = CF_RF_LIST, .scope = "all", .doc = "Indicators of the intelligence library"},
    {.method = CF_GET, .path = "/api/v1/indicators/{id}", .permission = "ti.read", .handler = get_one, .scope = "all",
     .doc = "One indicator with sightings, relations, alerts, assets and what other sources say"},
    {.method = CF_POST, .path = "/api/v1/indicators", .permission = "ti.write", .handler = post_one, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"value\"],\"additionalProperties\":false,\"properties\":{\"value\":" S(2048) ",\"type\":" S(40) ",\"source\":" S(200) "," FIELDS
                ",\"tags\":" LIST ",\"techniques\":" LIST "}}",
     .doc = "Adds an indicator; it waits for review unless the caller may review"},
    {.method = CF_PATCH, .path = "/api/v1/indicators/{id}", .permission = "ti.write", .handler = patch_one, .scope = "all",
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" FIELDS ",\"note\":" S(2000) ",\"sharing\":" S(20) "}}", .doc = "Changes an indicator"},
    {.method = CF_POST, .path = "/api/v1/indicators:review", .permission = "ti.review", .handler = review, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"ids\",\"action\"],\"properties\":{\"ids\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":1000,\"items\":{\"type\":\"string\"}},\"action\":" S(20)
                ",\"note\":" S(2000) "}}",
     .doc = "activate, reject, withdraw or false_positive"},
    {.method = CF_POST, .path = "/api/v1/indicators:lookup", .permission = "ti.read", .handler = lookup, .flags = CF_RF_NO_AUDIT, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"value\"],\"properties\":{\"value\":" S(2048) "}}", .doc = "Normal form of a value, whether it matches now, and which exclusion knows it"},
    {.method = CF_GET, .path = "/api/v1/indicators:export", .permission = "ti.read", .handler = export, .flags = CF_RF_SENSITIVE, .scope = "all",
     .doc = "Indicators as txt, csv, stix or gbt (query: format, types, source, status, min_confidence, limit)"},
    {.method = CF_POST, .path = "/api/v1/indicators/{id}/sightings", .permission = "ti.write", .handler = add_sighting, .scope = "all",
     .request = "{\"type\":\"object\",\"properties\":{\"note\":" S(1000) ",\"count\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000}}}", .doc = "Reports that an indicator was seen"},
    {.method = CF_POST, .path = "/api/v1/incidents/{id}/indicators", .permission = "ti.write", .handler = from_incident,
     .request = "{\"type\":\"object\",\"required\":[\"values\"],\"properties\":{\"values\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":500,\"items\":" S(2048) "},\"threat_type\":" S(80)
                ",\"family\":" S(200) ",\"description\":" S(4000) "}}",
     .doc = "Values of an incident become drafts of the intelligence library, for review"},
};

void ti_indicator_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
