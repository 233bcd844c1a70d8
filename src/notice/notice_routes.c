/* SPDX-License-Identifier: Apache-2.0
 * HTTP: the city's sent notices and the units' received ones. */
#include "api/list.h"
#include "form/content.h"
#include "notice/notice.h"
#include "workflow/reply.h"

static const struct cf_app *app_of(const struct cf_req *req) { return req->app; }

static json_t *time_json(int64_t us)
{
    char buf[32];

    return us ? json_stringn(buf, cf_time_format(us, buf)) : json_null();
}

static const char *state_zh(struct cf_req *req, cf_str kind, int64_t version, cf_str state)
{
    const struct cf_workflow *w = cf_workflow_find(app_of(req)->workflows, kind, version);

    return w ? cf_arena_strdup(req->arena, cf_workflow_state_title(w, state, cf_req_english(req))) : NULL;
}

/* Receivers with their state, and how many have come how far. */
static int add_receivers(struct cf_req *req, struct cf_tx *tx, json_t *item, cf_str parent, struct cf_error *reterr)
{
    json_t *list = json_array();
    struct cf_stmt *st = NULL;
    int64_t n = 0, n_signed = 0, fed = 0, closed = 0;
    int r = cf_tx_query(tx, "SELECT w.id, w.org_id, o.name, w.state, w.signed_us, w.due_us, w.overdue, w.fed_back_us, w.version, w.done, w.urged FROM work_item w "
                            "LEFT JOIN organisation o ON o.id = w.org_id WHERE w.parent_id = ? ORDER BY w.id LIMIT 500",
                        &st, reterr, CF_S(parent));

    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        json_array_append_new(list, json_pack("{s:o, s:o, s:{s:o, s:o}, s:o, s:s?, s:o, s:o, s:b, s:I}", "id", cf_str_json(cf_stmt_str(st, 0)), "work_item_id",
                                              cf_str_json(cf_stmt_str(st, 0)), "org", "id", cf_str_json(cf_stmt_str(st, 1)), "name", cf_str_json(cf_stmt_str(st, 2)), "state",
                                              cf_str_json(cf_stmt_str(st, 3)), "state_name", state_zh(req, CF_STR("notice-receipt"), cf_stmt_i64(st, 8), cf_stmt_str(st, 3)),
                                              "signed_at", time_json(cf_stmt_i64(st, 4)), "due_at", time_json(cf_stmt_i64(st, 5)), "overdue", cf_stmt_i64(st, 6) != 0, "urged",
                                              (json_int_t)cf_stmt_i64(st, 10)));
        n++;
        n_signed += !cf_stmt_null(st, 4);
        fed += !cf_stmt_null(st, 7);
        closed += cf_stmt_i64(st, 9) != 0;
        r = 0;
    }
    cf_stmt_free(st);
    json_object_set_new(item, "receivers", list);
    json_object_set_new(item, "progress", json_pack("{s:I, s:I, s:I, s:I}", "total", (json_int_t)n, "signed", (json_int_t)n_signed, "fed_back", (json_int_t)fed, "closed",
                                                    (json_int_t)closed));
    return r;
}

static int finish(struct cf_req *req, struct cf_tx *tx, json_t *item, struct cf_error *reterr)
{
    cf_str id = cf_arena_copy(req->arena, cf_str_c(json_string_value(json_object_get(item, "id")))); /* decorating replaces the member */
    bool receipt = strcmp(json_string_value(json_object_get(item, "workflow")), "notice-receipt") == 0;
    json_t *root = json_object_get(item, "root_data");
    const char *kind = json_string_value(json_object_get(root, "kind"));
    char *k = kind ? cf_arena_strdup(req->arena, cf_str_c(kind)) : NULL;

    json_object_del(item, "root_data");
    cf_work_decorate(app_of(req)->workflows, tx, req->who, item, reterr);
    json_object_set_new(item, "kind", k ? json_string(k) : json_null());
    if (!receipt) {
        json_object_set(item, "org", json_object_get(item, "issuer"));
        return add_receivers(req, tx, item, id, reterr);
    }
    json_object_set_new(item, "receivers", json_pack("[{s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O}]", "id", json_object_get(item, "id"), "work_item_id", json_object_get(item, "id"),
                                                     "org", json_object_get(item, "org"), "state", json_object_get(item, "state"), "state_name", json_object_get(item, "state_name"),
                                                     "signed_at", json_object_get(item, "signed_at"), "due_at", json_object_get(item, "due_at"), "overdue",
                                                     json_object_get(item, "overdue")));
    json_object_set(item, "org", json_object_get(item, "issuer"));
    return 0;
}

static const struct cf_lcol cols[] = {
    {"id", "w.id", CF_LC_TEXT, CF_LC_FILTER},
    {"workflow", "w.kind", CF_LC_TEXT, 0},
    {"number", "w.number", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH | CF_LC_SORT},
    {"title", "w.title", CF_LC_TEXT, CF_LC_SEARCH},
    {"level", "w.level", CF_LC_TEXT, CF_LC_FILTER},
    {"state", "w.state", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT},
    {"done", "w.done", CF_LC_BOOL, CF_LC_FILTER},
    {"overdue", "w.overdue", CF_LC_BOOL, CF_LC_FILTER},
    {"created_at", "w.created_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"updated_at", "w.updated_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"issued_at", "w.issued_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT},
    {"signed_at", "w.signed_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT},
    {"due_at", "w.due_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT},
    {"org", "w.issuer_org_id", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"receiver", "CASE WHEN w.kind = 'notice-receipt' THEN w.org_id END", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"root_data", "r.data", CF_LC_JSON, 0},
};

static int notices_list(struct cf_req *req, struct cf_error *reterr)
{
    cf_str view = cf_req_query(req, "view");
    struct cf_list l = {.from = "work_item w JOIN work_item r ON r.id = w.root_id", .id_sql = "w.id", .scope_col = "w.org_id", .default_sort = "-created_at", .cols = cols,
                        .n_cols = sizeof(cols) / sizeof(cols[0]), .finish = finish};

    if (cf_str_eqz(view, "sent") || (!view.n && req->who->scope == CF_SCOPE_ALL))
        l.where = "w.kind = 'notice'";
    else if (cf_str_eqz(view, "received"))
        l.where = "w.kind = 'notice-receipt'";
    else if (!view.n)
        l.where = "w.kind IN ('notice', 'notice-receipt')";
    else
        return cf_req_field_error(req, "view", "view is sent or received"), cf_error_set(reterr, CF_EINVAL, "view is sent or received");
    return cf_list_reply(req, app_of(req)->db, &l, reterr);
}

struct made {
    char id[37];
    json_t *errors;
};

static int do_create(struct cf_req *req, struct cf_tx *tx, struct cf_work_effects *fx, void *ctx, struct cf_error *reterr)
{
    const json_t *form = json_object_get(req->json, "form");
    struct made *m = ctx;
    const char *problem, *title;
    struct cf_work_new n = {.kind = CF_STR("notice"), .english = cf_req_english(req), .allow_duplicate = json_is_true(json_object_get(req->json, "allow_duplicate")),
                            .source_type = cf_str_c(json_string_value(json_object_get(req->json, "source_type"))),
                            .source_id = cf_str_c(json_string_value(json_object_get(req->json, "source_id")))};

    n.data = form;
    problem = json_string_value(json_object_get(form, "problem"));
    title = json_string_value(json_object_get(form, "title"));
    n.dedup_key = cf_str_trim(cf_str_c(problem && problem[0] ? problem : title ? title : ""));
    return cf_work_create(app_of(req)->workflows, tx, req->who, &n, m->id, fx, &m->errors, reterr);
}

static json_t *notice_json(struct cf_req *req, cf_str id, struct cf_error *reterr)
{
    json_t *j = cf_work_read(req, id, reterr), *data;
    struct cf_tx *tx = NULL;
    const char *wf;

    if (!j)
        return NULL;
    wf = json_string_value(json_object_get(j, "kind"));
    if (!wf || strncmp(wf, "notice", 6) != 0) {
        json_decref(j);
        (void)cf_error_set(reterr, CF_ENOENT, "there is no such notice");
        return NULL;
    }
    data = json_object_get(json_object_get(strcmp(wf, "notice") == 0 ? j : json_object_get(j, "parent"), "form"), "data");
    json_object_set_new(j, "workflow_id", json_string(wf));
    json_object_set(j, "content", data);
    if (json_object_get(data, "kind"))
        json_object_set(j, "kind", json_object_get(data, "kind"));
    if (cf_tx_begin(app_of(req)->db, CF_TX_READ, &tx, reterr) == 0 && !json_object_get(j, "parent"))
        (void)add_receivers(req, tx, j, id, reterr);
    cf_tx_rollback(&tx);
    return j;
}

static int notices_create(struct cf_req *req, struct cf_error *reterr)
{
    struct made m = {.id = "", .errors = NULL};
    json_t *j;
    int r = cf_work_write(req, do_create, &m, reterr);

    if (r == CF_EEXIST && m.id[0])
        cf_req_problem(req, "duplicate_of", json_string(m.id));
    if (r < 0)
        return cf_work_fail(req, r, m.errors, reterr);
    cf_req_audit(req, m.id, NULL, req->json);
    j = notice_json(req, cf_str_c(m.id), reterr);
    if (!j)
        return reterr->code < 0 ? reterr->code : CF_ENOENT;
    cf_reply_json(req, 201, j);
    return 0;
}

static int notices_get(struct cf_req *req, struct cf_error *reterr)
{
    json_t *j = notice_json(req, cf_req_path(req, "id"), reterr);

    if (!j)
        return reterr->code < 0 ? reterr->code : CF_ENOENT;
    cf_reply_json(req, 200, j);
    return 0;
}

static int notices_statistics(struct cf_req *req, struct cf_error *reterr)
{
    cf_str from = cf_req_query(req, "from"), to = cf_req_query(req, "to");
    int64_t now = cf_now_us(), a = now - 365 * CF_US_PER_DAY, b = now + CF_US_PER_S;
    struct cf_tx *tx = NULL;
    json_t *j = NULL;

    if (from.n && !cf_time_parse_rel(from, now, &a))
        return cf_req_field_error(req, "from", "a time such as 2026-01-01T00:00:00+08:00 or now-30d"), cf_error_set(reterr, CF_EINVAL, "from is not a time");
    if (to.n && !cf_time_parse_rel(to, now, &b))
        return cf_req_field_error(req, "to", "a time such as 2026-01-01T00:00:00+08:00 or now-30d"), cf_error_set(reterr, CF_EINVAL, "to is not a time");
    if (cf_tx_begin(app_of(req)->db, CF_TX_READ, &tx, reterr) == 0)
        j = cf_notice_statistics(tx, req->who, a, b, req->arena, reterr);
    cf_tx_rollback(&tx);
    if (!j)
        return reterr->code < 0 ? reterr->code : CF_EDB;
    cf_reply_json(req, 200, j);
    return 0;
}

/* ---- the same problem found again: joined to the open notice ---- */

struct join {
    json_t *errors, *left; /* left: units the open notice does not go to */
    bool drafted;
};

/* The draft takes the new content below its own and the further receivers. */
static json_t *joined_form(const json_t *old, const json_t *new)
{
    const char *a = json_string_value(json_object_get(old, "content")), *b = json_string_value(json_object_get(new, "content"));
    json_t *f = json_deep_copy(old), *to = json_object_get(f, "receivers"), *v;
    size_t i, k;

    if (b && (!a || !strstr(a, b)))
        json_object_set_new(f, "content", a && a[0] ? json_sprintf("%s\n%s", a, b) : json_string(b));
    if (!json_is_array(to)) {
        to = json_array();
        json_object_set_new(f, "receivers", to);
    }
    json_array_foreach(json_object_get(new, "receivers"), i, v)
    {
        bool have = false;

        for (k = 0; k < json_array_size(to); k++)
            have |= json_equal(json_array_get(to, k), v);
        if (!have)
            json_array_append(to, v);
    }
    return f;
}

static int do_join(struct cf_req *req, struct cf_tx *tx, struct cf_work_effects *fx, void *ctx, struct cf_error *reterr)
{
    struct cf_workflow_engine *w = app_of(req)->workflows;
    const json_t *form = json_object_get(req->json, "form"), *v;
    cf_str id = cf_req_path(req, "id"), text = cf_str_c(json_string_value(json_object_get(form, "content")));
    json_t *now = cf_work_detail(w, tx, req->who, id, reterr), *mine, *f;
    struct join *j = ctx;
    size_t i;
    int r;

    if (!now)
        return reterr->code < 0 ? reterr->code : CF_ENOENT;
    mine = json_object_get(json_object_get(now, "form"), "data");
    j->drafted = json_is_true(json_object_get(now, "editable"));
    j->left = json_array();
    if (strcmp(json_string_value(json_object_get(now, "kind")), "notice") != 0) {
        r = cf_error_set(reterr, CF_ENOENT, "there is no such notice");
    } else if (j->drafted) {
        f = joined_form(mine, form);
        r = cf_work_edit(w, tx, req->who, id, f, cf_req_english(req), fx, &j->errors, reterr);
        json_decref(f);
    } else {
        const struct cf_work_act a = {.id = id, .transition = CF_STR("supplement"), .note = text, .english = cf_req_english(req)};

        r = cf_work_transition(w, tx, req->who, &a, fx, &j->errors, reterr);
        json_array_foreach(json_object_get(form, "receivers"), i, v)
        {
            bool have = false;

            for (size_t k = 0; k < json_array_size(json_object_get(mine, "receivers")); k++)
                have |= json_equal(json_array_get(json_object_get(mine, "receivers"), k), v);
            if (!have)
                json_array_append(j->left, (json_t *)(uintptr_t)v);
        }
    }
    json_decref(now);
    return r;
}

static int notices_join(struct cf_req *req, struct cf_error *reterr)
{
    struct join jn = {.errors = NULL};
    cf_str id = cf_req_path(req, "id");
    json_t *j;
    int r = cf_work_write(req, do_join, &jn, reterr);

    if (r < 0) {
        json_decref(jn.left);
        return cf_work_fail(req, r, jn.errors, reterr);
    }
    cf_req_audit(req, cf_arena_strdup(req->arena, id), NULL, req->json);
    j = notice_json(req, id, reterr);
    if (!j) {
        json_decref(jn.left);
        return reterr->code < 0 ? reterr->code : CF_ENOENT;
    }
    json_object_set_new(j, "joined", json_string(jn.drafted ? "draft" : "supplement"));
    json_object_set_new(j, "not_covered", jn.left);
    cf_reply_json(req, 200, j);
    return 0;
}

#define JOIN_SCHEMA "{\"type\":\"object\",\"required\":[\"form\"],\"properties\":{\"form\":{\"type\":\"object\",\"required\":[\"content\"],\"properties\":{\"content\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":8000},\"receivers\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}}}"
#define CREATE_SCHEMA "{\"type\":\"object\",\"required\":[\"form\"],\"properties\":{\"form\":{\"type\":\"object\"},\"allow_duplicate\":{\"type\":\"boolean\"},\"source_type\":{\"type\":\"string\",\"maxLength\":40},\"source_id\":{\"type\":\"string\",\"maxLength\":64}}}"

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/notices", .permission = "notice.read", .handler = notices_list, .flags = CF_RF_LIST, .doc = "Notices sent (city) or received (units); view=sent or received"},
    {.method = CF_POST, .path = "/api/v1/notices", .permission = "notice.create", .handler = notices_create, .request = CREATE_SCHEMA, .doc = "Draft a notice; 409 when the same problem of the same unit is open"},
    {.method = CF_GET, .path = "/api/v1/notices/statistics", .permission = "notice.read", .handler = notices_statistics, .doc = "Ledger: sent, signed, handled, overdue, closed, rectification rate, mean closing time, ranking of units"},
    {.method = CF_GET, .path = "/api/v1/notices/{id}", .permission = "notice.read", .handler = notices_get, .doc = "One notice"},
    {.method = CF_POST, .path = "/api/v1/notices/{id}/join", .permission = "notice.create", .handler = notices_join, .request = JOIN_SCHEMA,
     .doc = "Add a finding of the same problem to an open notice: into the draft, or as a supplement that every receiver is told"},
};
void cf_notice_routes(void)
{
    cf_routes_add(routes, sizeof(routes) / sizeof(routes[0]));
    cf_notice_document_routes();
}
