/* SPDX-License-Identifier: Apache-2.0
 * TAXII 2.1 server. One API root, /taxii2/api/. Collections are selections of the library; whoever holds ti.read and is named by a
 * collection (or nobody is) reads it. Tokens are the product's API tokens (Authorization: Bearer, or as the password of
 * Basic). */
#include <stdio.h>
#include <stdlib.h>

#include "app/app.h"
#include "api/route.h"
#include "ti/taxii.h"

#define MEDIA "application/taxii+json;version=2.1"
#define PAGE_DEFAULT 500
#define PAGE_MAX 5000
#define POST_MAX 2000u

struct collection {
    char id[40], title[200], description[600];
    struct ti_select select;
    bool can_write;
};

static struct cf_app *app_of(struct cf_req *req) { return req->app; }

static int reply(struct cf_req *req, int status, json_t *takes)
{
    char *text = json_dumps(takes, JSON_COMPACT);
    struct cf_buf b;

    cf_buf_init(&b, 0);
    cf_buf_z(&b, text ? text : "{}");
    free(text);
    json_decref(takes);
    cf_reply_bytes(req, status, MEDIA, &b);
    cf_buf_release(&b);
    return 0;
}

/* 1: the reply is set. */
static int refuse(struct cf_req *req, int status, const char *title, const char *detail)
{
    (void)reply(req, status, json_pack("{s:s,s:s,s:s}", "title", title, "description", detail, "http_status", status == 406 ? "406" : "415"));
    return 1;
}

/* Among the media types is TAXII's, without a version or with ours. */
static bool is_media(cf_str h)
{
    cf_str one;

    while (cf_str_cut(&h, ',', &one)) {
        ptrdiff_t v = cf_str_ifind(one, CF_STR("version="));

        if (cf_str_ifind(one, CF_STR("application/taxii+json")) >= 0 && (v < 0 || cf_str_starts(cf_str_sub(one, (size_t)v + 8, one.n), CF_STR("2.1"))))
            return true;
    }
    return false;
}

static int accept_ok(struct cf_req *req)
{
    cf_str a = cf_req_header(req, "Accept");

    if (!a.n || is_media(a) || cf_str_find(a, CF_STR("*/*")) >= 0 || cf_str_find(a, CF_STR("application/json")) >= 0)
        return 0;
    return refuse(req, 406, "Not acceptable", "Accept must allow " MEDIA);
}

/* What a handler returns: a refusal has its reply. */
static int over(int r) { return r < 0 ? r : 0; }

static int discovery(struct cf_req *req, struct cf_error *reterr)
{
    int r = accept_ok(req);

    (void)reterr;
    return r != 0 ? over(r) : reply(req, 200, json_pack("{s:s,s:s,s:s,s:[s]}", "title", "Chengfang", "description", "Threat intelligence of the city", "default", "/taxii2/api/", "api_roots", "/taxii2/api/"));
}

static int api_root(struct cf_req *req, struct cf_error *reterr)
{
    int r = accept_ok(req);

    (void)reterr;
    return r != 0 ? over(r) : reply(req, 200, json_pack("{s:s,s:[s],s:i}", "title", "Chengfang", "versions", MEDIA, "max_content_length", 50 << 20));
}

/* ---- collections ----------------------------------------------------------------------------------------------------------------- */

static bool named(cf_str orgs, cf_str org)
{
    json_t *a = orgs.n ? json_loadb(orgs.p, orgs.n, 0, NULL) : NULL;
    bool ok = json_array_size(a) == 0;
    const json_t *j;
    size_t i;

    json_array_foreach(a, i, j) ok = ok || (json_is_string(j) && cf_str_eqz(org, json_string_value(j)));
    json_decref(a);
    return ok;
}

/* A token made for one collection sees that one; *ret empty: any. */
static int token_collection(struct cf_req *req, struct cf_tx *tx, char ret[40], struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = 0;

    ret[0] = 0;
    if (req->who->token_id.n == 0)
        return 0;
    r = cf_tx_query(tx, "SELECT collection_id FROM ti_collection_token WHERE token_id = ?", &st, reterr, CF_S(req->who->token_id));
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)snprintf(ret, 40, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}

/* Visits the collections this caller may see. */
static int each(struct cf_req *req, cf_str id, int (*fn)(void *, const struct collection *), void *ctx, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    char only[40] = "";
    int found = 0, r = cf_tx_begin(app_of(req)->db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = token_collection(req, tx, only, reterr);
    if (r == 0)
        r = cf_tx_query(tx, "SELECT id, title, description, types, min_confidence, tlp_max, can_write, orgs FROM ti_collection ORDER BY created_us, id", &st, reterr);
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        struct collection c = {.can_write = cf_stmt_i64(st, 6) != 0 && cf_principal_may(req->who, CF_STR("ti.write")),
                               .select = {.types = cf_arena_copy(req->arena, cf_stmt_str(st, 3).p ? cf_stmt_str(st, 3) : CF_STR("")), .min_confidence = cf_stmt_i64(st, 4),
                                          .tlp_max = cf_stmt_i64(st, 5)}};

        r = 0;
        (void)snprintf(c.id, sizeof c.id, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
        (void)snprintf(c.title, sizeof c.title, "%.*s", CF_ARG(cf_stmt_str(st, 1)));
        (void)snprintf(c.description, sizeof c.description, "%.*s", CF_ARG(cf_stmt_str(st, 2)));
        if (only[0] && strcmp(only, c.id) != 0)
            continue;
        if (req->who->scope == CF_SCOPE_ALL && !only[0]) /* the city's own people see up to TLP:AMBER */
            c.select.tlp_max = c.select.tlp_max < 2 ? 2 : c.select.tlp_max;
        else if (!named(cf_stmt_str(st, 7), req->who->org_id))
            continue;
        if (id.n && !cf_str_eqz(id, c.id))
            continue;
        found++;
        r = fn(ctx, &c);
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r == 0 && id.n && !found)
        r = cf_error_set(reterr, CF_ENOENT, "there is no such collection");
    return r;
}

static json_t *collection_json(const struct collection *c)
{
    return json_pack("{s:s,s:s,s:s,s:b,s:b,s:[s]}", "id", c->id, "title", c->title, "description", c->description, "can_read", 1, "can_write", c->can_write, "media_types",
                     "application/stix+json;version=2.1");
}

static int add_collection(void *ctx, const struct collection *c) { return json_array_append_new(ctx, collection_json(c)) < 0 ? CF_ENOMEM : 0; }
static int copy_collection(void *ctx, const struct collection *c)
{
    *(struct collection *)ctx = *c;
    return 0;
}

static int collections(struct cf_req *req, struct cf_error *reterr)
{
    json_t *a = json_array();
    int r = accept_ok(req);

    if (r == 0)
        r = each(req, CF_STR_NONE, add_collection, a, reterr);
    if (r != 0) {
        json_decref(a);
        return over(r);
    }
    return reply(req, 200, json_pack("{s:o}", "collections", a));
}

static int the_collection(struct cf_req *req, struct collection *c, struct cf_error *reterr)
{
    int r = accept_ok(req);

    return r != 0 ? r : each(req, cf_req_path(req, "id"), copy_collection, c, reterr);
}

static int one_collection(struct cf_req *req, struct cf_error *reterr)
{
    struct collection c = {0};
    int r = the_collection(req, &c, reterr);

    return r != 0 ? over(r) : reply(req, 200, collection_json(&c));
}

/* ---- objects ------------------------------------------------------------------------------------------------------------------------ */

/* "a,b" of match[...]; an error when there are too many. */
static int matches(struct cf_req *req, const char *key, cf_str *out, size_t *n, struct cf_error *reterr)
{
    cf_str list = cf_req_query(req, key), one;

    while (cf_str_cut(&list, ',', &one)) {
        one = cf_str_trim(one);
        if (!one.n)
            continue;
        if (*n == TI_TAXII_MATCHES)
            return cf_req_field_error(req, key, "at most %u values", TI_TAXII_MATCHES);
        out[(*n)++] = one;
    }
    (void)reterr;
    return 0;
}

/* One version of an object is kept, the newest: it is the first, the last and all of them. */
static int match_version(struct cf_req *req, struct ti_taxii_query *q, struct cf_error *reterr)
{
    cf_str asked[TI_TAXII_MATCHES];
    size_t n = 0;
    bool any = false;
    int r = matches(req, "match[version]", asked, &n, reterr);

    for (size_t i = 0; i < n && r == 0; i++) {
        cf_str *s = q->version + i * TI_TAXII_SPELLINGS;
        char b[32];

        if (cf_str_eqz(asked[i], "last") || cf_str_eqz(asked[i], "first") || cf_str_eqz(asked[i], "all")) {
            any = true;
            continue;
        }
        if (!cf_time_parse(asked[i], &q->version_us[i]))
            return cf_req_field_error(req, "match[version]", "last, first, all or the time of a version");
        (void)cf_time_format(q->version_us[i] / CF_US_PER_S * CF_US_PER_S, b);
        s[0] = asked[i];
        s[1] = cf_arena_printf(req->arena, "%.19s.%03dZ", b, (int)(q->version_us[i] % CF_US_PER_S / 1000));
        s[2] = cf_arena_printf(req->arena, "%.19sZ", b);
        if (q->version_us[i] % CF_US_PER_S)
            s[2] = s[1];
    }
    q->n_versions = any ? 0 : n;
    return r;
}

static int match_spec(struct cf_req *req, struct ti_taxii_query *q, struct cf_error *reterr)
{
    cf_str asked[TI_TAXII_MATCHES];
    size_t n = 0;
    int r = matches(req, "match[spec_version]", asked, &n, reterr);

    for (size_t i = 0; i < n && r == 0; i++) {
        int spec = cf_str_eqz(asked[i], "2.0") ? 20 : cf_str_eqz(asked[i], "2.1") ? 21 : 0;

        if (!spec)
            return cf_req_field_error(req, "match[spec_version]", "2.0 or 2.1");
        q->spec = i && q->spec != spec ? 0 : spec;
        if (i && !q->spec)
            break;
    }
    return r;
}

static int page_of(struct cf_req *req, enum ti_taxii_what what, cf_str id, struct ti_taxii_page *ret, struct cf_error *reterr)
{
    cf_str after = cf_req_query(req, "added_after"), next = cf_req_query(req, "next");
    struct collection c = {0};
    struct ti_taxii_query q = {.select = &c.select, .what = what};
    int64_t from = 0;
    int r = the_collection(req, &c, reterr);

    if (r == 0)
        r = cf_req_query_i64(req, "limit", PAGE_DEFAULT, 1, 1000000, &q.limit, reterr);
    if (q.limit > PAGE_MAX)
        q.limit = PAGE_MAX;
    if (r == 0 && after.n && !cf_time_parse(after, &q.after_us))
        r = cf_req_field_error(req, "added_after", "not a time");
    if (r == 0 && next.n && !cf_str_i64(next, &from))
        r = cf_req_field_error(req, "next", "not given by this server");
    if (from > q.after_us)
        q.after_us = from;
    if (id.n)
        q.id[q.n_ids++] = id;
    else if (r == 0)
        r = matches(req, "match[id]", q.id, &q.n_ids, reterr);
    if (r == 0)
        r = matches(req, "match[type]", q.type, &q.n_types, reterr);
    if (r == 0)
        r = match_version(req, &q, reterr);
    if (r == 0)
        r = match_spec(req, &q, reterr);
    return r == 0 ? ti_taxii_page(app_of(req)->db, &q, ret, reterr) : r;
}

static void date_header(struct cf_req *req, const char *name, int64_t us)
{
    json_t *date = ti_taxii_date(us);

    cf_reply_header(req, name, cf_arena_strdup(req->arena, cf_str_c(json_string_value(date))));
    json_decref(date);
}

static int answer_page(struct cf_req *req, struct ti_taxii_page *p, const char *key)
{
    json_t *doc = json_object();

    if (p->n) {
        date_header(req, "X-TAXII-Date-Added-First", p->first_us);
        date_header(req, "X-TAXII-Date-Added-Last", p->last_us);
        (void)json_object_set(doc, key, p->out);
    }
    json_decref(p->out);
    if (p->more) {
        (void)json_object_set_new(doc, "more", json_true());
        (void)json_object_set_new(doc, "next", json_sprintf("%lld", (long long)p->last_us));
    }
    return reply(req, 200, doc);
}

static int objects(struct cf_req *req, struct cf_error *reterr)
{
    struct ti_taxii_page p = {0};
    int r = page_of(req, TI_TAXII_OBJECTS, CF_STR_NONE, &p, reterr);

    return r != 0 ? over(r) : answer_page(req, &p, "objects");
}

static int manifest(struct cf_req *req, struct cf_error *reterr)
{
    struct ti_taxii_page p = {0};
    int r = page_of(req, TI_TAXII_MANIFEST, CF_STR_NONE, &p, reterr);

    return r != 0 ? over(r) : answer_page(req, &p, "objects");
}

static int of_one(struct cf_req *req, enum ti_taxii_what what, const char *key, struct cf_error *reterr)
{
    struct ti_taxii_page p = {0};
    int r = page_of(req, what, cf_req_path(req, "object"), &p, reterr);

    if (r == 0 && p.n == 0) {
        json_decref(p.out);
        r = cf_error_set(reterr, CF_ENOENT, "there is no such object in the collection");
    }
    return r != 0 ? over(r) : answer_page(req, &p, key);
}

static int one_object(struct cf_req *req, struct cf_error *reterr) { return of_one(req, TI_TAXII_OBJECTS, "objects", reterr); }
static int versions(struct cf_req *req, struct cf_error *reterr) { return of_one(req, TI_TAXII_VERSIONS, "versions", reterr); }

/* ---- submissions ------------------------------------------------------------------------------------------------------------------------- */

static int store_status(struct cf_db *db, const char *id, const char *text, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO ti_status (id, time_us, json) VALUES (?,?,?)", reterr, CF_Z(id), CF_I(cf_now_us()), CF_Z(text));
    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM ti_status WHERE time_us < ?", reterr, CF_I(cf_now_us() - CF_US_PER_DAY));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

static int write_objects(struct cf_req *req, const json_t *list, json_t *ok, json_t *bad, struct cf_error *reterr)
{
    struct cf_app *app = app_of(req);
    struct cf_shared_box *box = app->ti ? cf_shared_get(&app->ti->excluded) : NULL;
    struct ti_source src;
    struct ti_writer w = {.db = app->db, .source = &src, .excluded = box ? box->p : NULL};
    const json_t *o;
    size_t i;
    int r = ti_source_read(app->db, CF_STR("taxii"), &src, reterr);

    w.user = cf_arena_strdup(req->arena, req->who->user_id);
    if (r == 0)
        r = ti_writer_begin(&w, reterr);
    json_array_foreach(list, i, o)
    {
        const char *id = json_string_value(json_object_get(o, "id")), *version = json_string_value(json_object_get(o, "modified"));
        int64_t before = w.bad;
        json_t *entry;

        if (r < 0)
            break;
        r = ti_stix_object(&w, o, reterr);
        entry = json_pack("{s:s,s:s}", "id", id ? id : "?", "version", version ? version : "1970-01-01T00:00:00.000Z");
        if (w.bad > before)
            (void)json_object_set(entry, "message", json_object_get(json_array_get(w.bad_list, json_array_size(w.bad_list) - 1), "reason"));
        (void)json_array_append_new(w.bad > before ? bad : ok, entry);
    }
    if (r == 0)
        r = ti_writer_end(&w, reterr);
    ti_writer_release(&w);
    if (app->ti)
        cf_shared_put(&app->ti->excluded, box);
    cf_ti_changed(app->ti);
    return r;
}

static int post_objects(struct cf_req *req, struct cf_error *reterr)
{
    struct collection c = {0};
    json_error_t je;
    json_t *doc = NULL, *list, *ok, *bad, *status;
    char id[37], *text;
    int r = the_collection(req, &c, reterr);

    if (r == 0 && !c.can_write)
        r = cf_error_set(reterr, CF_EPERM, "the collection takes no objects");
    if (r == 0 && !is_media(cf_req_header(req, "Content-Type")))
        r = refuse(req, 415, "Unsupported media type", "Content-Type must be " MEDIA);
    if (r != 0)
        return over(r);
    doc = json_loadb(req->body.p ? req->body.p : "", req->body.n, 0, &je);
    list = json_object_get(doc, "objects");
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > POST_MAX) {
        bool doc_ok = doc != NULL;

        json_decref(doc);
        return cf_error_set(reterr, CF_EINVAL, "an envelope {\"objects\":[...]} with 1 to %u STIX objects is expected%s%s", POST_MAX, doc_ok ? "" : ": ", doc_ok ? "" : je.text);
    }
    ok = json_array();
    bad = json_array();
    cf_uuid7(id);
    r = write_objects(req, list, ok, bad, reterr);
    status = json_pack("{s:s,s:s,s:o,s:I,s:I,s:I,s:i,s:o,s:o,s:[]}", "id", id, "status", "complete", "request_timestamp", ti_taxii_date(cf_now_us()), "total_count",
                       (json_int_t)json_array_size(list), "success_count", (json_int_t)json_array_size(ok), "failure_count", (json_int_t)json_array_size(bad), "pending_count", 0,
                       "successes", ok, "failures", bad, "pendings");
    text = json_dumps(status, JSON_COMPACT);
    if (r == 0)
        r = store_status(app_of(req)->db, id, text, reterr);
    free(text);
    json_decref(doc);
    if (r < 0) {
        json_decref(status);
        return r;
    }
    cf_req_audit(req, c.id, NULL, NULL);
    return reply(req, 202, status);
}

static int get_status(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    json_t *j = NULL;
    int r = cf_tx_begin(app_of(req)->db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT json FROM ti_status WHERE id = ?", &st, reterr, CF_S(cf_req_path(req, "id")));
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        j = json_loadb(cf_stmt_str(st, 0).p, cf_stmt_str(st, 0).n, 0, NULL);
        r = 0;
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r == 0 && !j)
        r = cf_error_set(reterr, CF_ENOENT, "there is no such status");
    return r < 0 ? r : reply(req, 200, j);
}

#define COLLECTION "/taxii2/api/collections/{id}/"
static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/taxii2/", .permission = "ti.read", .handler = discovery, .flags = CF_RF_BASIC, .scope = "all", .doc = "TAXII 2.1 discovery"},
    {.method = CF_GET, .path = "/taxii2/api/", .permission = "ti.read", .handler = api_root, .flags = CF_RF_BASIC, .scope = "all", .doc = "TAXII 2.1 API root"},
    {.method = CF_GET, .path = "/taxii2/api/status/{id}/", .permission = "ti.read", .handler = get_status, .flags = CF_RF_BASIC, .scope = "all", .doc = "What became of submitted objects"},
    {.method = CF_GET, .path = "/taxii2/api/collections/", .permission = "ti.read", .handler = collections, .flags = CF_RF_BASIC, .scope = "all", .doc = "TAXII collections the caller may read"},
    {.method = CF_GET, .path = COLLECTION, .permission = "ti.read", .handler = one_collection, .flags = CF_RF_BASIC, .scope = "all", .doc = "One TAXII collection"},
    {.method = CF_GET, .path = COLLECTION "manifest/", .permission = "ti.read", .handler = manifest, .flags = CF_RF_BASIC, .scope = "all", .doc = "Manifest (query: added_after, limit, next, match[type], match[id], match[version], match[spec_version])"},
    {.method = CF_GET, .path = COLLECTION "objects/", .permission = "ti.read", .handler = objects, .flags = CF_RF_BASIC, .scope = "all", .doc = "STIX objects, oldest first (query: added_after, limit, next, match[type], match[id], match[version], match[spec_version])"},
    {.method = CF_POST, .path = COLLECTION "objects/", .permission = "ti.write", .handler = post_objects, .flags = CF_RF_BASIC | CF_RF_RAW_BODY | CF_RF_UPLOAD, .scope = "all",
     .doc = "Submits STIX objects; indicators wait for review"},
    {.method = CF_GET, .path = COLLECTION "objects/{object}/", .permission = "ti.read", .handler = one_object, .flags = CF_RF_BASIC, .scope = "all", .doc = "One STIX object"},
    {.method = CF_GET, .path = COLLECTION "objects/{object}/versions/", .permission = "ti.read", .handler = versions, .flags = CF_RF_BASIC, .scope = "all", .doc = "Versions of a STIX object"},
};

void ti_taxii_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
