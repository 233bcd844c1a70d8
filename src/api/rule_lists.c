/* SPDX-License-Identifier: Apache-2.0
 * The lists behind %name% in rules (modifier expand), and what staged rules would have reported. */
#include <stdio.h>
#include <stdlib.h>

#include "api/rule_view.h"

/* name -> shipped values, from content/taxonomy/placeholders.yaml */
static json_t *shipped_lists(struct cf_req *req)
{
    struct cf_ydoc *d = NULL;
    struct cf_error err;
    char *path = cf_path_join(req->arena, rule_app(req)->content_dir, "taxonomy/placeholders.yaml");
    json_t *o = json_object(), *list;
    char name[128];

    if (!path || cf_yaml_load(req->arena, path, &d, &err) < 0 || !d)
        return o;
    for (const struct cf_ynode *n = cf_ymap_get(d->root, "placeholders") ? cf_ymap_get(d->root, "placeholders")->child : NULL; n; n = n->next) {
        list = json_array();
        for (const struct cf_ynode *v = n->child; v; v = v->next)
            (void)json_array_append_new(list, rule_str(v->text));
        (void)snprintf(name, sizeof name, "%.*s", (int)(n->key.n < 127 ? n->key.n : 127), n->key.p);
        (void)json_object_set_new(o, name, list);
    }
    return o;
}

static int list_lists(struct cf_req *req, struct cf_error *reterr)
{
    json_t *shipped = shipped_lists(req), *items = json_array(), *mine = json_object(), *v;
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    const char *name;
    int r = cf_tx_begin(rule_app(req)->db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT name, items, user_name, time_us FROM rule_list ORDER BY name", &st, reterr);
    while (r == 0 && cf_stmt_next(st, reterr) == 1) {
        json_t *values = json_loadb(cf_stmt_str(st, 1).p, cf_stmt_str(st, 1).n, 0, NULL);
        char key[128];

        (void)snprintf(key, sizeof key, "%.*s", (int)(cf_stmt_str(st, 0).n < 127 ? cf_stmt_str(st, 0).n : 127), cf_stmt_str(st, 0).p);
        v = json_object_get(shipped, key);
        (void)json_array_append_new(items, json_pack("{s:s,s:o,s:O?,s:b,s:o,s:o}", "name", key, "items", values ? values : json_array(), "shipped", v, "edited", 1, "user",
                                                     rule_str(cf_stmt_str(st, 2)), "time", rule_time(cf_stmt_i64(st, 3))));
        (void)json_object_set_new(mine, key, json_true());
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    json_object_foreach(shipped, name, v)
        if (!json_object_get(mine, name))
            (void)json_array_append_new(items, json_pack("{s:s,s:O,s:O,s:b,s:n,s:n}", "name", name, "items", v, "shipped", v, "edited", 0, "user", "time"));
    json_decref(shipped);
    json_decref(mine);
    if (r < 0)
        json_decref(items);
    else
        cf_reply_list(req, items, NULL, (int64_t)json_array_size(items));
    return r;
}

static bool name_ok(cf_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'))
            return false;
    }
    return s.n > 0 && s.n <= 100;
}

static int put_list(struct cf_req *req, struct cf_error *reterr)
{
    cf_str name = cf_req_path(req, "name");
    char *text = json_dumps(json_object_get(req->json, "items"), JSON_COMPACT);
    struct cf_rule_who who = rule_who(req);
    struct cf_tx *tx = NULL;
    int r = text ? 0 : cf_error_set(reterr, CF_ENOMEM, "no memory");

    if (r == 0 && !name_ok(name))
        r = cf_error_set(reterr, CF_EINVAL, "a list's name has 1 to 100 letters, digits, '_', '-' or '.'");
    if (r == 0)
        r = cf_tx_begin(rule_app(req)->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx,
                       "INSERT INTO rule_list (name, items, user_name, time_us) VALUES (?,?,?,?) ON CONFLICT (name) DO UPDATE SET items = excluded.items, user_name = "
                       "excluded.user_name, time_us = excluded.time_us",
                       reterr, CF_S(name), CF_Z(text), CF_S(who.name), CF_I(cf_now_us()));
    if (r == 0)
        r = rule_none_lost(req, tx, reterr);
    r = rule_commit(req, &tx, r, reterr);
    if (r == 0) {
        cf_req_audit(req, NULL, NULL, req->json);
        cf_reply_json(req, 200, json_pack("{s:s%,s:O}", "name", name.p, name.n, "items", json_object_get(req->json, "items")));
    }
    free(text);
    return r;
}

static int delete_list(struct cf_req *req, struct cf_error *reterr)
{
    const struct cf_dbval v[] = {CF_S(cf_req_path(req, "name"))};
    struct cf_tx *tx = NULL;
    int64_t changed = 0;
    int r = cf_tx_begin(rule_app(req)->db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_execv(tx, "DELETE FROM rule_list WHERE name = ?", v, 1, &changed, reterr);
    if (r == 0 && !changed)
        r = cf_error_set(reterr, CF_ENOENT, "there is no such edited list");
    if (r == 0)
        r = rule_none_lost(req, tx, reterr);
    r = rule_commit(req, &tx, r, reterr);
    if (r == 0)
        cf_reply_empty(req, 204);
    return r;
}

/* ---- staged rules ---- */

static int staged_samples(struct cf_req *req, struct cf_tx *tx, cf_str id, json_t *samples, struct cf_error *reterr)
{
    struct cf_dbval v[8] = {CF_S(id)};
    size_t n = 0;
    struct cf_stmt *st = NULL;
    struct cf_buf sql;
    int r, more = 0;

    cf_buf_init(&sql, 65536);
    cf_buf_z(&sql, "SELECT time_us, event_id, entity FROM rule_staged_hit WHERE rule_id = ? AND ");
    cf_scope_sql(req->who, "org_id", &sql, v + 1, &n, req->arena);
    cf_buf_z(&sql, " ORDER BY time_us DESC LIMIT 50");
    r = cf_tx_queryv(tx, cf_buf_cstr(&sql), v, n + 1, &st, reterr);
    while (r == 0 && (more = cf_stmt_next(st, reterr)) == 1)
        (void)json_array_append_new(samples, json_pack("{s:o,s:o,s:o}", "time", rule_time(cf_stmt_i64(st, 0)), "event_id", rule_str(cf_stmt_str(st, 1)), "entity",
                                                       rule_str(cf_stmt_str(st, 2))));
    cf_stmt_free(st);
    cf_buf_release(&sql);
    return more < 0 ? more : r;
}

static int staged(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *days = json_array(), *samples = json_array();
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int64_t total = 0;
    int r = cf_tx_begin(rule_app(req)->db, CF_TX_READ, &tx, reterr), more = 0;

    if (r == 0)
        r = cf_tx_query(tx, "SELECT day, hits FROM rule_staged_day WHERE rule_id = ? AND day >= ? ORDER BY day", &st, reterr, CF_S(id), CF_I(cf_now_us() / CF_US_PER_DAY - 30));
    while (r == 0 && (more = cf_stmt_next(st, reterr)) == 1) {
        json_t *t = rule_time(cf_stmt_i64(st, 0) * CF_US_PER_DAY);

        total += cf_stmt_i64(st, 1);
        (void)json_array_append_new(days, json_pack("{s:s%,s:I}", "day", json_string_value(t), (size_t)10, "count", (json_int_t)cf_stmt_i64(st, 1)));
        json_decref(t);
    }
    r = more < 0 ? more : r;
    cf_stmt_free(st);
    if (r == 0)
        r = staged_samples(req, tx, id, samples, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        cf_reply_json(req, 200, json_pack("{s:I,s:o,s:o}", "hits_30d", (json_int_t)total, "days", days, "samples", samples));
        return 0;
    }
    json_decref(days);
    json_decref(samples);
    return r;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/rule-lists", .permission = "rule.read", .handler = list_lists, .scope = "all", .doc = "Lists behind %name% in rules"},
    {.method = CF_PUT, .path = "/api/v1/rule-lists/{name}", .permission = "rule.write", .handler = put_list, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"items\"],\"additionalProperties\":false,\"properties\":{\"items\":{\"type\":\"array\",\"maxItems\":20000,\"items\":{\"type\":\"string\","
                "\"minLength\":1,\"maxLength\":1000}}}}",
     .doc = "Set a list"},
    {.method = CF_DELETE, .path = "/api/v1/rule-lists/{name}", .permission = "rule.write", .handler = delete_list, .scope = "all", .doc = "Back to the shipped list, or remove an own one"},
    {.method = CF_GET, .path = "/api/v1/rules/{id}/staged", .permission = "rule.read", .handler = staged, .doc = "What a staged rule would have reported: hits a day, newest events"},
};

void cf_rule_list_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
