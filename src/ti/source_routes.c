/* SPDX-License-Identifier: Apache-2.0
 * Intelligence sources over HTTP. Secrets go in and never come out. TI-005. */
#include <stdio.h>
#include <stdlib.h>

#include "api/list.h"
#include "app/app.h"
#include "base/jstr.h"
#include "directory/password.h"
#include "ti/ti_int.h"

static const struct cf_lcol cols[] = {
    {"id", "s.id", CF_LC_TEXT, CF_LC_FILTER},
    {"name", "s.name", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"kind", "s.kind", CF_LC_TEXT, CF_LC_FILTER},
    {"url", "s.url", CF_LC_TEXT, CF_LC_SEARCH},
    {"user", "s.user_name", CF_LC_TEXT, 0},
    {"has_secret", "CASE WHEN s.secret IS NULL THEN 0 ELSE 1 END", CF_LC_BOOL, 0},
    {"schedule_s", "s.schedule_s", CF_LC_I64, CF_LC_SORT},
    {"weight", "s.weight", CF_LC_I64, CF_LC_SORT},
    {"confidence", "s.confidence", CF_LC_I64, CF_LC_SORT},
    {"severity", "CASE s.severity WHEN 0 THEN 'informational' WHEN 1 THEN 'low' WHEN 2 THEN 'medium' WHEN 3 THEN 'high' ELSE 'critical' END", CF_LC_TEXT, 0},
    {"tlp", "CASE s.tlp WHEN 0 THEN 'clear' WHEN 1 THEN 'green' WHEN 2 THEN 'amber' WHEN 3 THEN 'amber+strict' ELSE 'red' END", CF_LC_TEXT, 0},
    {"threat_type", "s.threat_type", CF_LC_TEXT, 0},
    {"valid_days", "s.valid_days", CF_LC_I64, 0},
    {"trusted", "s.trusted", CF_LC_BOOL, CF_LC_FILTER},
    {"paused", "s.paused", CF_LC_BOOL, CF_LC_FILTER},
    {"licence", "s.licence", CF_LC_TEXT, 0},
    {"note", "s.note", CF_LC_TEXT, 0},
    {"options", "s.options", CF_LC_JSON, 0},
    {"last_run", "s.last_run_us", CF_LC_TIME, CF_LC_SORT},
    {"last_ok", "s.last_ok_us", CF_LC_TIME, 0},
    {"next_run", "s.next_run_us", CF_LC_TIME, 0},
    {"last_error", "s.last_error", CF_LC_TEXT, 0},
    {"last_result", "s.last_result", CF_LC_JSON, 0},
};
static const struct cf_list list = {.from = "ti_source s", .id_sql = "s.id", .default_sort = "name", .cols = cols, .n_cols = sizeof cols / sizeof *cols};

static struct cf_app *app_of(struct cf_req *req) { return req->app; }
static int get_list(struct cf_req *req, struct cf_error *reterr) { return cf_list_reply(req, app_of(req)->db, &list, reterr); }

static int reply_one(struct cf_req *req, int status, cf_str id, struct cf_error *reterr)
{
    return cf_list_reply_one(req, app_of(req)->db, &list, status, id, reterr);
}
static int get_one(struct cf_req *req, struct cf_error *reterr) { return reply_one(req, 200, cf_req_path(req, "id"), reterr); }

static int set_secret(struct cf_req *req, struct cf_tx *tx, cf_str id, struct cf_error *reterr)
{
    cf_str s = cf_json_text(req->json, "secret");
    struct cf_secret_key key;
    char sealed[1400];
    int r;

    if (!s.p)
        return 0;
    if (s.n == 0)
        return cf_tx_exec(tx, "UPDATE ti_source SET secret = NULL WHERE id = ?", reterr, CF_S(id));
    if (!app_of(req)->ti || s.n > 500)
        return cf_req_field_error(req, "secret", "at most 500 characters");
    r = cf_secret_key_load(app_of(req)->ti->key_file, &key, reterr);
    if (r == 0 && !cf_secret_seal(&key, (const uint8_t *)s.p, s.n, sealed))
        r = cf_error_set(reterr, CF_EIO, "the secret cannot be sealed");
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE ti_source SET secret = ? WHERE id = ?", reterr, CF_Z(sealed), CF_S(id));
    explicit_bzero(&key, sizeof key);
    return r;
}

static int set_values(struct cf_req *req, struct cf_tx *tx, cf_str id, struct cf_error *reterr)
{
    static const struct {
        const char *key, *col;
        char kind; /* t text, i number, b bool, s severity, l tlp, j json */
    } fields[] = {{"name", "name", 't'}, {"url", "url", 't'}, {"user", "user_name", 't'}, {"schedule_s", "schedule_s", 'i'}, {"weight", "weight", 'i'}, {"confidence", "confidence", 'i'},
                  {"severity", "severity", 's'}, {"tlp", "tlp", 'l'}, {"threat_type", "threat_type", 't'}, {"valid_days", "valid_days", 'i'}, {"trusted", "trusted", 'b'},
                  {"paused", "paused", 'b'}, {"licence", "licence", 't'}, {"note", "note", 't'}, {"options", "options", 'j'}};
    char sql[120];
    int r = 0;

    for (size_t i = 0; i < sizeof fields / sizeof *fields && r == 0; i++) {
        const json_t *j = json_object_get(req->json, fields[i].key);
        cf_str s = cf_json_text(req->json, fields[i].key);
        struct cf_dbval v = CF_NUL;
        char *text = NULL;

        if (!j)
            continue;
        switch (fields[i].kind) {
        case 't': v = s.n ? CF_S(s) : CF_S(CF_STR_NONE); break;
        case 'i': v = CF_I(json_integer_value(j)); break;
        case 'b': v = CF_I(json_is_true(j)); break;
        case 's': v = CF_I(ti_severity_parse(s)); break;
        case 'l': v = CF_I(ti_tlp_parse(s)); break;
        default: text = json_dumps(j, JSON_COMPACT); v = CF_Z(text); break;
        }
        (void)snprintf(sql, sizeof sql, "UPDATE ti_source SET %s = ? WHERE id = ?", fields[i].col);
        r = cf_tx_exec(tx, sql, reterr, v, CF_S(id));
        free(text);
    }
    if (r == 0)
        r = set_secret(req, tx, id, reterr);
    if (r == 0) /* the first run comes at once */
        r = cf_tx_exec(tx, "UPDATE ti_source SET updated_us = ?, next_run_us = CASE WHEN schedule_s > 0 AND url IS NOT NULL AND paused = 0 THEN COALESCE(next_run_us, ?) ELSE NULL END WHERE id = ?",
                       reterr, CF_I(cf_now_us()), CF_I(cf_now_us()), CF_S(id));
    return r;
}

static int check(struct cf_req *req)
{
    cf_str url = cf_json_text(req->json, "url"), kind = cf_json_text(req->json, "kind");

    if (url.n && !cf_str_istarts(url, CF_STR("http://")) && !cf_str_istarts(url, CF_STR("https://")))
        return cf_req_field_error(req, "url", "http:// or https://");
    if (kind.n && !cf_str_eqz(kind, "upload") && !url.n)
        return cf_req_field_error(req, "url", "a source of this kind needs an address");
    return 0;
}

/* What the audit keeps: everything but the secret. */
static json_t *without_secret(const json_t *j)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)j);

    if (json_object_get(copy, "secret"))
        (void)json_object_set_new(copy, "secret", json_string("(set)"));
    return copy;
}

static int post_one(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int64_t now = cf_now_us();
    json_t *seen;
    char id[37];
    int r = check(req);

    cf_uuid7(id);
    if (r == 0)
        r = cf_tx_begin(app_of(req)->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO ti_source (id, org_id, name, kind, created_us, updated_us) VALUES (?,?,?,?,?,?)", reterr, CF_Z(id),
                       CF_S(req->who->org_id.n ? req->who->org_id : CF_STR("root")), CF_S(cf_json_text(req->json, "name")), CF_S(cf_json_text(req->json, "kind")), CF_I(now), CF_I(now));
    if (r == CF_EEXIST)
        r = cf_req_field_error(req, "name", "there is a source of this name");
    if (r == 0)
        r = set_values(req, tx, cf_str_c(id), reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r < 0)
        return r;
    ti_jobs_wake(app_of(req)->ti);
    seen = without_secret(req->json);
    cf_req_audit(req, id, NULL, seen);
    json_decref(seen);
    return reply_one(req, 201, cf_str_c(id), reterr);
}

static int patch_one(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *before = cf_list_one(req, app_of(req)->db, &list, id, reterr), *seen;
    struct cf_tx *tx = NULL;
    int r = before ? check(req) : reterr->code;

    if (r == 0)
        r = cf_tx_begin(app_of(req)->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = set_values(req, tx, id, reterr);
    if (r == CF_EEXIST)
        r = cf_req_field_error(req, "name", "there is a source of this name");
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        cf_ti_changed(app_of(req)->ti); /* the weight */
        ti_jobs_wake(app_of(req)->ti);
        seen = without_secret(req->json);
        cf_req_audit(req, cf_arena_strdup(req->arena, id), before, seen);
        json_decref(seen);
        r = reply_one(req, 200, id, reterr);
    }
    json_decref(before);
    return r;
}

static int run_one(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    const struct cf_dbval v[] = {CF_I(cf_now_us()), CF_S(id)};
    struct cf_tx *tx = NULL;
    int64_t n = 0;
    int r = app_of(req)->ti ? cf_tx_begin(app_of(req)->db, CF_TX_WRITE, &tx, reterr) : cf_error_set(reterr, CF_EUNSUPPORTED, "intelligence is not running");

    if (r == 0)
        r = cf_tx_execv(tx, "UPDATE ti_source SET next_run_us = ? WHERE id = ? AND url IS NOT NULL AND paused = 0", v, 2, &n, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0 && n == 0)
        r = cf_error_set(reterr, CF_ENOENT, "there is no such source, it is paused, or it has no address");
    if (r < 0)
        return r;
    ti_jobs_wake(app_of(req)->ti);
    cf_req_audit(req, cf_arena_strdup(req->arena, id), NULL, NULL);
    return reply_one(req, 202, id, reterr);
}

#define S(max) "{\"type\":\"string\",\"maxLength\":" #max "}"
#define N(lo, hi) "{\"type\":\"integer\",\"minimum\":" #lo ",\"maximum\":" #hi "}"
#define FIELDS                                                                                                                                                                        \
    "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":180},\"url\":" S(2000) ",\"user\":" S(180) ",\"secret\":" S(500) ",\"schedule_s\":" N(0, 2592000) ",\"weight\":" N(1, 100)  \
    ",\"confidence\":" N(0, 100) ",\"severity\":{\"type\":\"string\",\"enum\":[\"informational\",\"low\",\"medium\",\"high\",\"critical\"]},\"tlp\":{\"type\":\"string\",\"enum\":"             \
    "[\"clear\",\"green\",\"amber\",\"amber+strict\",\"red\"]},\"threat_type\":" S(80) ",\"valid_days\":" N(0, 3650) ",\"trusted\":{\"type\":\"boolean\"},\"paused\":{\"type\":\"boolean\"},"  \
    "\"licence\":" S(1000) ",\"note\":" S(2000) ",\"options\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"format\":" S(20) ",\"columns\":" S(500) ",\"type\":" S(20) \
    ",\"ca_pem\":" S(20000) "}}"

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/intel-sources", .permission = "ti.read", .handler = get_list, .flags = CF_RF_LIST, .scope = "all", .doc = "Sources of intelligence and their last result"},
    {.method = CF_GET, .path = "/api/v1/intel-sources/{id}", .permission = "ti.read", .handler = get_one, .scope = "all", .doc = "One source"},
    {.method = CF_POST, .path = "/api/v1/intel-sources", .permission = "ti.review", .handler = post_one, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"name\",\"kind\"],\"additionalProperties\":false,\"properties\":{\"kind\":{\"type\":\"string\",\"enum\":[\"upload\",\"file\",\"taxii\",\"misp_feed\"]}," FIELDS "}}",
     .doc = "Adds a source: file (any format over HTTP), taxii (URL of a collection), misp_feed, upload"},
    {.method = CF_PATCH, .path = "/api/v1/intel-sources/{id}", .permission = "ti.review", .handler = patch_one, .scope = "all",
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" FIELDS "}}", .doc = "Changes or pauses a source"},
    {.method = CF_POST, .path = "/api/v1/intel-sources/{id}/run", .permission = "ti.write", .handler = run_one, .scope = "all", .doc = "Fetches a source now"},
};

void ti_source_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
