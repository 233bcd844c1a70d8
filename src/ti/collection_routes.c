/* SPDX-License-Identifier: Apache-2.0
 * TAXII collections as the console manages them: what each gives, to whom, and the tokens units come with. A token made here opens
 * this one collection and nothing else of the product. TI-009, TI-010. */
#include <stdio.h>
#include <stdlib.h>

#include "api/list.h"
#include "app/app.h"
#include "base/jstr.h"
#include "directory/service.h"
#include "ti/ti_int.h"

static const struct cf_lcol cols[] = {
    {"id", "c.id", CF_LC_TEXT, CF_LC_FILTER},
    {"title", "c.title", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"description", "c.description", CF_LC_TEXT, CF_LC_SEARCH},
    {"types", "c.types", CF_LC_TEXT, 0},
    {"min_confidence", "c.min_confidence", CF_LC_I64, CF_LC_SORT | CF_LC_NOTNULL},
    {"tlp_max", "CASE c.tlp_max WHEN 0 THEN 'clear' WHEN 1 THEN 'green' WHEN 2 THEN 'amber' WHEN 3 THEN 'amber+strict' ELSE 'red' END", CF_LC_TEXT, 0},
    {"orgs", "c.orgs", CF_LC_JSON, 0},
    {"can_write", "c.can_write", CF_LC_BOOL, CF_LC_FILTER},
    {"created_at", "c.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
    {"tokens", "(SELECT COUNT(*) FROM ti_collection_token k JOIN api_token t ON t.id = k.token_id WHERE k.collection_id = c.id)", CF_LC_I64, 0},
    {"last_used", "(SELECT MAX(t.last_used_us) FROM ti_collection_token k JOIN api_token t ON t.id = k.token_id WHERE k.collection_id = c.id)", CF_LC_TIME, CF_LC_SORT},
};

static struct cf_app *app_of(struct cf_req *req) { return req->app; }

static int finish(struct cf_req *req, struct cf_tx *tx, json_t *item, struct cf_error *reterr)
{
    (void)req, (void)tx, (void)reterr;
    if (!json_object_get(item, "orgs") || json_is_null(json_object_get(item, "orgs")))
        (void)json_object_set_new(item, "orgs", json_array());
    (void)json_object_set_new(item, "path", json_sprintf("/taxii2/api/collections/%s/", json_string_value(json_object_get(item, "id"))));
    return 0;
}
static const struct cf_list list = {.from = "ti_collection c", .id_sql = "c.id", .default_sort = "title", .cols = cols, .n_cols = sizeof cols / sizeof *cols, .finish = finish};

static cf_str body(const struct cf_req *req, const char *key) { return cf_json_text(req->json, key); }

/* Collections are the city's: who sees one district or one unit does not say what the city gives out. */
static int city_only(struct cf_req *req, struct cf_error *reterr)
{
    return req->who->scope == CF_SCOPE_ALL ? 0 : cf_error_set(reterr, CF_EPERM, "collections are managed by the city's own people");
}

static int get_list(struct cf_req *req, struct cf_error *reterr)
{
    int r = city_only(req, reterr);

    return r < 0 ? r : cf_list_reply(req, app_of(req)->db, &list, reterr);
}

/* ---- one, with what it holds now ------------------------------------------------------------------------------------------------ */

static int64_t number_of(struct cf_tx *tx, const char *sql, const struct cf_dbval *v, size_t n, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int64_t ret = -1;

    if (cf_tx_queryv(tx, sql, v, n, &st, reterr) == 0 && cf_stmt_next(st, reterr) == 1)
        ret = cf_stmt_i64(st, 0);
    cf_stmt_free(st);
    return ret;
}

static int add_holdings(struct cf_tx *tx, json_t *item, struct cf_error *reterr)
{
    cf_str types = cf_str_c(json_string_value(json_object_get(item, "types")));
    struct ti_select s = {.types = types.p ? types : CF_STR(""), .min_confidence = json_integer_value(json_object_get(item, "min_confidence")),
                          .tlp_max = ti_tlp_parse(cf_str_c(json_string_value(json_object_get(item, "tlp_max"))))};
    struct cf_dbval v[24];
    const struct cf_dbval tlp = CF_I(s.tlp_max);
    struct cf_buf sql;
    size_t n = 0;
    int64_t rows, objects;
    int r;

    cf_buf_init(&sql, 1 << 16);
    cf_buf_z(&sql, "SELECT COUNT(*) FROM ti_indicator i WHERE ");
    r = ti_select_sql(&s, &sql, v, &n, reterr);
    rows = r == 0 ? number_of(tx, cf_buf_cstr(&sql), v, n, reterr) : -1;
    objects = rows < 0 ? -1 : number_of(tx, "SELECT COUNT(*) FROM ti_object WHERE tlp <= ? AND type <> 'indicator'", &tlp, 1, reterr);
    cf_buf_release(&sql);
    (void)json_object_set_new(item, "indicators", json_integer(rows));
    (void)json_object_set_new(item, "objects", json_integer(objects));
    return objects < 0 ? reterr->code : 0;
}

static int add_tokens(struct cf_tx *tx, json_t *item, struct cf_error *reterr)
{
    json_t *l = json_array();
    struct cf_stmt *st = NULL;
    int more = 0, r = cf_tx_query(tx,
                        "SELECT t.id, t.name, u.name, u.display_name, o.id, o.name, t.created_us, t.expires_us, t.last_used_us FROM ti_collection_token k JOIN api_token t ON t.id = "
                        "k.token_id LEFT JOIN app_user u ON u.id = t.user_id LEFT JOIN organisation o ON o.id = u.org_id WHERE k.collection_id = ? ORDER BY t.created_us DESC LIMIT 500",
                        &st, reterr, CF_Z(json_string_value(json_object_get(item, "id"))));

    while (r == 0 && (more = cf_stmt_next(st, reterr)) == 1) {
        json_t *t = json_object();
        static const char *const keys[] = {"id", "name", "user", "display_name"};

        for (int i = 0; i < 4; i++)
            (void)json_object_set_new(t, keys[i], json_stringn(cf_stmt_str(st, i).p ? cf_stmt_str(st, i).p : "", cf_stmt_str(st, i).n));
        (void)json_object_set_new(t, "org", json_pack("{s:s%,s:s%}", "id", cf_stmt_str(st, 4).p ? cf_stmt_str(st, 4).p : "", cf_stmt_str(st, 4).n, "name",
                                                      cf_stmt_str(st, 5).p ? cf_stmt_str(st, 5).p : "", cf_stmt_str(st, 5).n));
        (void)json_object_set_new(t, "created_at", ti_time(cf_stmt_i64(st, 6)));
        (void)json_object_set_new(t, "expires_at", ti_time(cf_stmt_i64(st, 7)));
        (void)json_object_set_new(t, "last_used", ti_time(cf_stmt_i64(st, 8)));
        (void)json_array_append_new(l, t);
    }
    cf_stmt_free(st);
    (void)json_object_set_new(item, "token_list", l);
    return more < 0 ? more : r;
}

static int reply_one(struct cf_req *req, int status, cf_str id, struct cf_error *reterr)
{
    json_t *item = cf_list_one(req, app_of(req)->db, &list, id, reterr);
    struct cf_tx *tx = NULL;
    int r = item ? cf_tx_begin(app_of(req)->db, CF_TX_READ, &tx, reterr) : reterr->code;

    if (r == 0)
        r = add_holdings(tx, item, reterr);
    if (r == 0)
        r = add_tokens(tx, item, reterr);
    cf_tx_rollback(&tx);
    if (r < 0)
        json_decref(item);
    else
        cf_reply_json(req, status, item);
    return r;
}

static int get_one(struct cf_req *req, struct cf_error *reterr)
{
    int r = city_only(req, reterr);

    return r < 0 ? r : reply_one(req, 200, cf_req_path(req, "id"), reterr);
}

/* ---- writing ---------------------------------------------------------------------------------------------------------------------- */

/* Organisations that exist; as the text of a JSON list. */
static int check_orgs(struct cf_req *req, struct cf_tx *tx, char **ret, struct cf_error *reterr)
{
    const json_t *a = json_object_get(req->json, "orgs"), *j;
    size_t i;

    json_array_foreach(a, i, j)
    {
        const struct cf_dbval id = CF_Z(json_string_value(j));
        int64_t n = number_of(tx, "SELECT COUNT(*) FROM organisation WHERE id = ?", &id, 1, reterr);

        if (n < 0)
            return reterr->code;
        if (n == 0)
            return cf_req_field_error(req, "orgs", "there is no organisation %.60s", json_string_value(j));
    }
    *ret = json_array_size(a) ? json_dumps(a, JSON_COMPACT) : NULL;
    return 0;
}

static int check_types(struct cf_req *req, struct cf_error *reterr)
{
    struct ti_select s = {.types = body(req, "types")};
    struct cf_dbval unused[24];
    struct cf_buf sql;
    size_t n = 0;
    int r;

    cf_buf_init(&sql, 1 << 16);
    r = ti_select_sql(&s, &sql, unused, &n, reterr) < 0 ? cf_req_field_error(req, "types", "%s", reterr->msg) : 0;
    cf_buf_release(&sql);
    return r;
}

static int put(struct cf_req *req, struct cf_tx *tx, cf_str id, bool fresh, struct cf_error *reterr)
{
    const json_t *conf = json_object_get(req->json, "min_confidence"), *write = json_object_get(req->json, "can_write");
    cf_str tlp = body(req, "tlp_max"), title = cf_str_trim(body(req, "title"));
    char *orgs = NULL;
    int r = check_orgs(req, tx, &orgs, reterr);

    if (r == 0 && (fresh || json_object_get(req->json, "title")) && title.n == 0)
        r = cf_req_field_error(req, "title", "a collection needs a title");
    if (r == 0 && fresh)
        r = cf_tx_exec(tx, "INSERT INTO ti_collection (id, title, created_us) VALUES (?,?,?)", reterr, CF_S(id), CF_S(title), CF_I(cf_now_us()));
    if (r == 0 && title.n)
        r = cf_tx_exec(tx, "UPDATE ti_collection SET title = ? WHERE id = ?", reterr, CF_S(title), CF_S(id));
    if (r == 0 && json_object_get(req->json, "description"))
        r = cf_tx_exec(tx, "UPDATE ti_collection SET description = ? WHERE id = ?", reterr, CF_S(body(req, "description")), CF_S(id));
    if (r == 0 && json_object_get(req->json, "types"))
        r = cf_tx_exec(tx, "UPDATE ti_collection SET types = ? WHERE id = ?", reterr, CF_S(body(req, "types")), CF_S(id));
    if (r == 0 && conf)
        r = cf_tx_exec(tx, "UPDATE ti_collection SET min_confidence = ? WHERE id = ?", reterr, CF_I(json_integer_value(conf)), CF_S(id));
    if (r == 0 && tlp.n)
        r = cf_tx_exec(tx, "UPDATE ti_collection SET tlp_max = ? WHERE id = ?", reterr, CF_I(ti_tlp_parse(tlp)), CF_S(id));
    if (r == 0 && write)
        r = cf_tx_exec(tx, "UPDATE ti_collection SET can_write = ? WHERE id = ?", reterr, CF_I(json_is_true(write)), CF_S(id));
    if (r == 0 && json_object_get(req->json, "orgs"))
        r = cf_tx_exec(tx, "UPDATE ti_collection SET orgs = ? WHERE id = ?", reterr, orgs ? CF_Z(orgs) : CF_NUL, CF_S(id));
    free(orgs);
    return r;
}

static int save(struct cf_req *req, cf_str id, bool fresh, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    json_t *before = fresh ? NULL : cf_list_one(req, app_of(req)->db, &list, id, reterr);
    int r = fresh || before ? check_types(req, reterr) : reterr->code;

    if (r == 0)
        r = cf_tx_begin(app_of(req)->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = put(req, tx, id, fresh, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        cf_req_audit(req, cf_arena_strdup(req->arena, id), before, req->json);
        r = reply_one(req, fresh ? 201 : 200, id, reterr);
    }
    json_decref(before);
    return r;
}

static int post_one(struct cf_req *req, struct cf_error *reterr)
{
    char id[37];
    int r = city_only(req, reterr);

    cf_uuid7(id);
    return r < 0 ? r : save(req, cf_str_c(id), true, reterr);
}

static int patch_one(struct cf_req *req, struct cf_error *reterr)
{
    int r = city_only(req, reterr);

    return r < 0 ? r : save(req, cf_req_path(req, "id"), false, reterr);
}

/* Its tokens end with it. */
static int delete_one(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *before = city_only(req, reterr) < 0 ? NULL : cf_list_one(req, app_of(req)->db, &list, id, reterr);
    struct cf_tx *tx = NULL;
    int r = before ? cf_tx_begin(app_of(req)->db, CF_TX_WRITE, &tx, reterr) : reterr->code;

    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM api_token WHERE id IN (SELECT token_id FROM ti_collection_token WHERE collection_id = ?)", reterr, CF_S(id));
    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM ti_collection_token WHERE collection_id = ?", reterr, CF_S(id));
    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM ti_collection WHERE id = ?", reterr, CF_S(id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        cf_directory_changed(app_of(req)->directory);
        cf_req_audit(req, NULL, before, NULL);
        cf_reply_empty(req, 204);
    }
    json_decref(before);
    return r;
}

/* ---- tokens ----------------------------------------------------------------------------------------------------------------------- */

/* The person a token is for: active, in the caller's scope, of an organisation the collection names. */
static int token_holder(struct cf_req *req, struct cf_tx *tx, const json_t *orgs, cf_str *ret, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    cf_str org = CF_STR_NONE;
    bool named = json_array_size(orgs) == 0;
    const json_t *j;
    size_t i;
    int r = cf_tx_query(tx, "SELECT id, org_id FROM app_user WHERE (id = ? OR name = ?) AND active = 1", &st, reterr, CF_S(body(req, "user")), CF_S(body(req, "user")));

    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        *ret = cf_arena_copy(req->arena, cf_stmt_str(st, 0));
        org = cf_arena_copy(req->arena, cf_stmt_str(st, 1));
        r = 0;
    }
    cf_stmt_free(st);
    if (r < 0)
        return r;
    if (!org.p || !cf_scope_has_org(tx, req->who, org))
        return cf_req_field_error(req, "user", "there is no such active person");
    json_array_foreach(orgs, i, j) named = named || cf_str_eqz(org, json_string_value(j));
    return named ? 0 : cf_req_field_error(req, "user", "this person's organisation is not among those the collection is for");
}

static int post_token(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id"), user = CF_STR_NONE;
    json_t *item = city_only(req, reterr) < 0 ? NULL : cf_list_one(req, app_of(req)->db, &list, id, reterr);
    int64_t days = json_integer_value(json_object_get(req->json, "days"));
    const struct cf_principal *holder = NULL;
    struct cf_token_made made = {0};
    struct cf_tx *tx = NULL;
    int r = item ? cf_tx_begin(app_of(req)->db, CF_TX_WRITE, &tx, reterr) : reterr->code;

    if (r == 0)
        r = token_holder(req, tx, json_object_get(item, "orgs"), &user, reterr);
    if (r == 0 && (r = cf_directory_person(app_of(req)->directory, user, &holder, reterr)) == 0 && !cf_principal_may(holder, CF_STR("ti.read")))
        r = cf_req_field_error(req, "user", "this person has no right to read intelligence (ti.read)");
    if (r == 0) {
        const char *scopes = json_is_true(json_object_get(item, "can_write")) && cf_principal_may(holder, CF_STR("ti.write")) ? "[\"ti.read\",\"ti.write\"]" : "[\"ti.read\"]";
        const struct cf_token_new t = {.user_id = user, .name = body(req, "name"), .scopes = scopes, .expires_us = days ? cf_now_us() + days * CF_US_PER_DAY : 0,
                                       .created_by = req->who->user_id};

        r = cf_token_make(tx, &t, &made, reterr);
    }
    cf_principal_unref(holder);
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO ti_collection_token (token_id, collection_id) VALUES (?,?)", reterr, CF_Z(made.id), CF_S(id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    json_decref(item);
    if (r == 0) {
        cf_req_audit(req, cf_arena_strdup(req->arena, id), NULL, req->json);
        cf_reply_json(req, 201, json_pack("{s:s,s:s}", "id", made.id, "token", made.token)); /* once */
    }
    explicit_bzero(&made, sizeof made);
    return r;
}

static int delete_token(struct cf_req *req, struct cf_error *reterr)
{
    const struct cf_dbval v[] = {CF_S(cf_req_path(req, "token")), CF_S(cf_req_path(req, "id"))};
    struct cf_tx *tx = NULL;
    int64_t n = 0;
    int r = city_only(req, reterr);

    if (r == 0)
        r = cf_tx_begin(app_of(req)->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_execv(tx, "DELETE FROM ti_collection_token WHERE token_id = ? AND collection_id = ?", v, 2, &n, reterr);
    if (r == 0 && n == 0)
        r = cf_error_set(reterr, CF_ENOENT, "the collection has no such token");
    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM api_token WHERE id = ?", reterr, CF_S(cf_req_path(req, "token")));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        cf_directory_changed(app_of(req)->directory);
        cf_req_audit(req, cf_arena_strdup(req->arena, cf_req_path(req, "id")), NULL, NULL);
        cf_reply_empty(req, 204);
    }
    return r;
}

#define BODY(required) \
    "{\"type\":\"object\"," required "\"additionalProperties\":false,\"properties\":{\"title\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":190},\"description\":" \
    "{\"type\":\"string\",\"maxLength\":590},\"types\":{\"type\":\"string\",\"maxLength\":200},\"min_confidence\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":100},\"tlp_max\":" \
    "{\"type\":\"string\",\"enum\":[\"clear\",\"green\",\"amber\",\"amber+strict\"]},\"orgs\":{\"type\":\"array\",\"maxItems\":500,\"items\":{\"type\":\"string\"}},\"can_write\":" \
    "{\"type\":\"boolean\"}}}"
#define PATH "/api/v1/intel-collections"

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = PATH, .permission = "ti.share", .handler = get_list, .flags = CF_RF_LIST, .scope = "all", .doc = "TAXII collections"},
    {.method = CF_POST, .path = PATH, .permission = "ti.share", .handler = post_one, .scope = "all", .request = BODY("\"required\":[\"title\"],"), .doc = "Makes a TAXII collection"},
    {.method = CF_GET, .path = PATH "/{id}", .permission = "ti.share", .handler = get_one, .scope = "all", .doc = "One TAXII collection with what it holds now and its tokens"},
    {.method = CF_PATCH, .path = PATH "/{id}", .permission = "ti.share", .handler = patch_one, .scope = "all", .request = BODY(""), .doc = "Changes a TAXII collection"},
    {.method = CF_DELETE, .path = PATH "/{id}", .permission = "ti.share", .handler = delete_one, .scope = "all", .doc = "Deletes a TAXII collection; its tokens end"},
    {.method = CF_POST, .path = PATH "/{id}/tokens", .permission = "ti.share", .handler = post_token, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"user\",\"name\"],\"additionalProperties\":false,\"properties\":{\"user\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200},\"name\":"
                "{\"type\":\"string\",\"minLength\":1,\"maxLength\":200},\"days\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":3650}}}",
     .doc = "Makes a token for this collection alone; it is shown once"},
    {.method = CF_DELETE, .path = PATH "/{id}/tokens/{token}", .permission = "ti.share", .handler = delete_token, .scope = "all", .doc = "Ends a token of a collection"},
};

void ti_collection_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
