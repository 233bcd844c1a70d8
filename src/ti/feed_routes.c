/* SPDX-License-Identifier: Apache-2.0
 * Feeds: intelligence for units' own devices, by a secret address each unit has for itself. GET /feeds/{token}/{format} needs no
 * sign-in; the token decides what is seen, how often it may be asked for, and whose use is counted. TI-009, TI-010, TI-017. */
#include <stdio.h>
#include <stdlib.h>

#include "api/list.h"
#include "app/app.h"
#include "base/jstr.h"
#include "ti/ti_int.h"

#define TOKEN_BYTES 24

static const struct cf_lcol cols[] = {
    {"id", "f.id", CF_LC_TEXT, CF_LC_FILTER},
    {"name", "f.name", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"org.id", "f.org_id", CF_LC_TEXT, CF_LC_FILTER},
    {"org.name", "o.name", CF_LC_TEXT, CF_LC_SEARCH},
    {"types", "f.types", CF_LC_TEXT, 0},
    {"min_confidence", "f.min_confidence", CF_LC_I64, 0},
    {"tlp_max", "CASE f.tlp_max WHEN 0 THEN 'clear' WHEN 1 THEN 'green' WHEN 2 THEN 'amber' WHEN 3 THEN 'amber+strict' ELSE 'red' END", CF_LC_TEXT, 0},
    {"per_hour", "f.per_hour", CF_LC_I64, 0},
    {"max_items", "f.max_items", CF_LC_I64, 0},
    {"active", "f.active", CF_LC_BOOL, CF_LC_FILTER},
    {"expires_at", "f.expires_us", CF_LC_TIME, 0},
    {"created_at", "f.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
    {"last_used", "f.last_us", CF_LC_TIME, CF_LC_SORT},
    {"requests", "f.requests", CF_LC_I64, CF_LC_SORT},
    {"items", "f.items", CF_LC_I64, CF_LC_SORT},
};
static const struct cf_list list = {.from = "ti_feed f LEFT JOIN organisation o ON o.id = f.org_id", .id_sql = "f.id", .scope_col = "f.org_id", .default_sort = "name", .cols = cols,
                                    .n_cols = sizeof cols / sizeof *cols};

static struct cf_app *app_of(struct cf_req *req) { return req->app; }
static int get_list(struct cf_req *req, struct cf_error *reterr) { return cf_list_reply(req, app_of(req)->db, &list, reterr); }

static void hash_token(cf_str token, char out[65])
{
    struct cf_digest d = {{0}};

    (void)cf_sha256(&d, &token, 1);
    cf_hex(d.b, sizeof d.b, out);
}

static int post_one(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = app_of(req);
    cf_str org = cf_json_text(req->json, "org_id").n ? cf_json_text(req->json, "org_id") : req->who->org_id;
    struct ti_select s = {.types = cf_json_text(req->json, "types"), .tlp_max = ti_tlp_parse(cf_json_text(req->json, "tlp_max"))};
    uint8_t secret[TOKEN_BYTES];
    char id[37], token[2 * TOKEN_BYTES + 1], hash[65];
    struct cf_dbval unused[24];
    struct cf_buf sql;
    struct cf_tx *tx = NULL;
    int64_t expires = 0;
    size_t n = 0;
    json_t *item;
    int r;

    cf_buf_init(&sql, 1 << 16);
    r = ti_select_sql(&s, &sql, unused, &n, reterr) < 0 ? cf_req_field_error(req, "types", "%s", reterr->msg) : 0;
    cf_buf_release(&sql);
    if (r == 0 && cf_json_text(req->json, "expires_at").n && !cf_time_parse(cf_json_text(req->json, "expires_at"), &expires))
        r = cf_req_field_error(req, "expires_at", "not a time");
    if (r == 0 && !cf_random(secret, sizeof secret))
        r = cf_error_set(reterr, CF_EIO, "no random numbers");
    cf_hex(secret, sizeof secret, token);
    hash_token(cf_str_c(token), hash);
    cf_uuid7(id);
    if (r == 0)
        r = cf_tx_begin(app->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0 && !cf_scope_has_org(tx, req->who, org))
        r = cf_req_field_error(req, "org_id", "no such organisation in your scope");
#define NUM(key, def) CF_I(json_object_get(req->json, key) ? json_integer_value(json_object_get(req->json, key)) : (def))
    if (r == 0)
        r = cf_tx_exec(tx,
                       "INSERT INTO ti_feed (id, org_id, name, token_hash, types, min_confidence, tlp_max, per_hour, max_items, expires_us, created_by, created_us)"
                       " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                       reterr, CF_Z(id), CF_S(org), CF_S(cf_json_text(req->json, "name")), CF_Z(hash), CF_S(s.types), NUM("min_confidence", 0), CF_I(s.tlp_max < 0 ? 1 : s.tlp_max), NUM("per_hour", 60),
                       NUM("max_items", 100000), expires ? CF_I(expires) : CF_NUL, CF_S(req->who->user_id), CF_I(cf_now_us()));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    item = r == 0 ? cf_list_one(req, app->db, &list, cf_str_c(id), reterr) : NULL;
    if (r == 0 && !item)
        r = reterr->code;
    if (r == 0) {
        cf_req_audit(req, id, NULL, req->json);
        (void)json_object_set_new(item, "token", json_string(token)); /* once */
        cf_reply_json(req, 201, item);
    }
    explicit_bzero(token, sizeof token);
    explicit_bzero(secret, sizeof secret);
    return r;
}

static int patch_one(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *before = cf_list_one(req, app_of(req)->db, &list, id, reterr), *item = NULL;
    struct cf_tx *tx = NULL;
    int r = before ? cf_tx_begin(app_of(req)->db, CF_TX_WRITE, &tx, reterr) : reterr->code;

    if (r == 0 && json_object_get(req->json, "active"))
        r = cf_tx_exec(tx, "UPDATE ti_feed SET active = ? WHERE id = ?", reterr, CF_I(json_is_true(json_object_get(req->json, "active"))), CF_S(id));
    if (r == 0 && json_object_get(req->json, "per_hour"))
        r = cf_tx_exec(tx, "UPDATE ti_feed SET per_hour = ? WHERE id = ?", reterr, CF_I(json_integer_value(json_object_get(req->json, "per_hour"))), CF_S(id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        cf_req_audit(req, cf_arena_strdup(req->arena, id), before, req->json);
        item = cf_list_one(req, app_of(req)->db, &list, id, reterr);
        r = item ? 0 : reterr->code;
    }
    json_decref(before);
    if (r == 0)
        cf_reply_json(req, 200, item);
    return r;
}

static int get_use(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *item = cf_list_one(req, app_of(req)->db, &list, id, reterr), *days;
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int r = item ? cf_tx_begin(app_of(req)->db, CF_TX_READ, &tx, reterr) : reterr->code;

    json_decref(item);
    days = json_array();
    if (r == 0)
        r = cf_tx_query(tx, "SELECT day, requests, refused, items, bytes, last_peer FROM ti_feed_use WHERE feed_id = ? ORDER BY day DESC LIMIT 90", &st, reterr, CF_S(id));
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)json_array_append_new(days, json_pack("{s:o,s:I,s:I,s:I,s:I,s:s%}", "day", ti_time(cf_stmt_i64(st, 0) * CF_US_PER_DAY), "requests", (json_int_t)cf_stmt_i64(st, 1), "refused",
                                                    (json_int_t)cf_stmt_i64(st, 2), "items", (json_int_t)cf_stmt_i64(st, 3), "bytes", (json_int_t)cf_stmt_i64(st, 4), "peer",
                                                    cf_stmt_str(st, 5).p ? cf_stmt_str(st, 5).p : "", cf_stmt_str(st, 5).n));
        r = 0;
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r < 0)
        json_decref(days);
    else
        cf_reply_list(req, days, NULL, (int64_t)json_array_size(days));
    return r;
}

/* ---- the feed itself ---------------------------------------------------------------------------------------------------------- */

#define SLOTS 1024u
static struct {
    uint64_t key;
    int64_t hour, n;
} quota[SLOTS];
static pthread_mutex_t quota_mu = PTHREAD_MUTEX_INITIALIZER;

/* Counts one request of this hour; false when there were per_hour already. */
static bool take_quota(const char *id, int64_t per_hour)
{
    uint64_t key = cf_hash64(cf_str_c(id)) | 1;
    int64_t hour = cf_now_us() / (3600 * CF_US_PER_S);
    bool ok = true;

    (void)pthread_mutex_lock(&quota_mu);
    for (size_t i = 0; i < SLOTS; i++) {
        size_t at = (size_t)(key + i) % SLOTS;

        if (quota[at].key != key && quota[at].key && quota[at].hour == hour && i + 1 < SLOTS)
            continue;
        if (quota[at].key != key || quota[at].hour != hour) {
            quota[at].key = key;
            quota[at].hour = hour;
            quota[at].n = 0;
        }
        ok = quota[at].n++ < per_hour;
        break;
    }
    (void)pthread_mutex_unlock(&quota_mu);
    return ok;
}

static int count_use(struct cf_db *db, const char *id, bool refused, int64_t items, size_t bytes, cf_str peer, struct cf_error *reterr)
{
    int64_t now = cf_now_us();
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_exec(tx,
                       "INSERT INTO ti_feed_use (feed_id, day, requests, refused, items, bytes, last_us, last_peer) VALUES (?,?,1,?,?,?,?,?) ON CONFLICT (feed_id, day) DO UPDATE SET"
                       " requests = ti_feed_use.requests + 1, refused = ti_feed_use.refused + excluded.refused, items = ti_feed_use.items + excluded.items,"
                       " bytes = ti_feed_use.bytes + excluded.bytes, last_us = excluded.last_us, last_peer = excluded.last_peer",
                       reterr, CF_Z(id), CF_I(now / CF_US_PER_DAY), CF_I(refused), CF_I(items), CF_I(bytes), CF_I(now), CF_S(peer));
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE ti_feed SET last_us = ?, requests = requests + 1, items = items + ? WHERE id = ?", reterr, CF_I(now), CF_I(items), CF_Z(id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

static int get_feed(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = app_of(req);
    cf_str token = cf_req_path(req, "token"), format = cf_req_path(req, "format");
    struct ti_select s = {0};
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    struct cf_buf out;
    char hash[65], id[40] = "";
    int64_t per_hour = 0, limit = 0, n = 0;
    int r;

    hash_token(token, hash);
    r = cf_tx_begin(app->db, CF_TX_READ, &tx, reterr);
    if (r == 0)
        r = cf_tx_query(tx, "SELECT id, types, min_confidence, tlp_max, per_hour, max_items FROM ti_feed WHERE token_hash = ? AND active = 1 AND (expires_us IS NULL OR expires_us > ?)", &st,
                        reterr, CF_Z(hash), CF_I(cf_now_us()));
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)snprintf(id, sizeof id, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
        s.types = cf_stmt_str(st, 1).n ? cf_arena_copy(req->arena, cf_stmt_str(st, 1)) : CF_STR_NONE;
        s.min_confidence = cf_stmt_i64(st, 2);
        s.tlp_max = cf_stmt_i64(st, 3);
        per_hour = cf_stmt_i64(st, 4);
        limit = cf_stmt_i64(st, 5);
        r = 0;
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r < 0)
        return r;
    if (!id[0] || !ti_format_type(format)) /* an unknown token and an unknown format look the same */
        return cf_error_set(reterr, CF_EAUTH, "this address is not that of a feed in use");
    if (!take_quota(id, per_hour)) {
        (void)count_use(app->db, id, true, 0, 0, req->peer, reterr);
        return cf_error_set(reterr, CF_EBUSY, "this feed may be fetched %lld times an hour", (long long)per_hour);
    }
    cf_buf_init(&out, 512u << 20);
    r = ti_write(app->db, &s, format, limit, &out, &n, reterr);
    if (r == 0)
        r = count_use(app->db, id, false, n, out.n, req->peer, reterr);
    if (r == 0) {
        cf_reply_header(req, "Cache-Control", "private, no-store");
        cf_reply_bytes(req, 200, ti_format_type(format), &out);
    }
    cf_buf_release(&out);
    return r;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/intel-feeds", .permission = "ti.share", .handler = get_list, .flags = CF_RF_LIST, .doc = "Feeds for units' devices"},
    {.method = CF_POST, .path = "/api/v1/intel-feeds", .permission = "ti.share", .handler = post_one,
     .request = "{\"type\":\"object\",\"required\":[\"name\"],\"additionalProperties\":false,\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200},\"org_id\":{\"type\":\"string\"},"
                "\"types\":{\"type\":\"string\",\"maxLength\":200},\"min_confidence\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":100},\"tlp_max\":{\"type\":\"string\",\"enum\":[\"clear\",\"green\","
                "\"amber\",\"amber+strict\"]},\"per_hour\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":3600},\"max_items\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000},"
                "\"expires_at\":{\"type\":\"string\",\"maxLength\":40}}}",
     .doc = "Makes a feed; the token is shown once"},
    {.method = CF_PATCH, .path = "/api/v1/intel-feeds/{id}", .permission = "ti.share", .handler = patch_one,
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"active\":{\"type\":\"boolean\"},\"per_hour\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":3600}}}",
     .doc = "Stops, starts or limits a feed"},
    {.method = CF_GET, .path = "/api/v1/intel-feeds/{id}/use", .permission = "ti.share", .handler = get_use, .flags = CF_RF_LIST, .doc = "Requests, items and bytes of a feed by day"},
    {.method = CF_GET, .path = "/feeds/{token}/{format}", .permission = CF_PERM_PUBLIC, .handler = get_feed, .scope = "self",
     .doc = "Indicators for the holder of the token as txt, csv, stix or gbt; no sign-in, limited by the hour, counted"},
};

void ti_feed_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
