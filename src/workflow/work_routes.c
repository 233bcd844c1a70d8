/* SPDX-License-Identifier: Apache-2.0
 * HTTP: work items of every kind, attachments, workflow definitions. */
#include "api/list.h"
#include "base/jstr.h"
#include "form/content.h"
#include "workflow/engine_int.h"
#include "workflow/reply.h"

static const struct cf_app *app_of(const struct cf_req *req) { return req->app; }

bool cf_req_english(const struct cf_req *req)
{
    cf_str l = cf_req_header(req, "Accept-Language");

    return cf_str_eqz(l, "en"); /* browsers add their own list ("en-US,en;q=0.9"); the console says "en" when it is in English */
}

int cf_work_fail(struct cf_req *req, int r, json_t *errors, struct cf_error *reterr)
{
    cf_str msg = cf_str_c(reterr->msg);
    size_t i, n = 0;
    json_t *e;

    json_array_foreach(errors, i, e)
    {
        const char *f = json_string_value(json_object_get(e, "field")), *m = json_string_value(json_object_get(e, "message"));

        (void)cf_req_field_error(req, f ? f : "form", "%s", m ? m : "");
    }
    if (r == CF_EINVAL && json_array_size(errors) == 0) { /* "note: ..." names its field */
        char field[40];

        while (n < msg.n && n < 39 && ((msg.p[n] >= 'a' && msg.p[n] <= 'z') || msg.p[n] == '_'))
            n++;
        if (n && n < msg.n && (msg.p[n] == ':' || cf_str_starts(cf_str_sub(msg, n, msg.n), CF_STR("：")))) {
            (void)snprintf(field, sizeof(field), "%.*s", (int)n, msg.p);
            (void)cf_req_field_error(req, field, "%s", reterr->msg);
        }
    }
    json_decref(errors);
    return r;
}

int cf_work_write(struct cf_req *req, cf_work_fn fn, void *ctx, struct cf_error *reterr)
{
    const struct cf_app *app = app_of(req);
    struct cf_work_effects fx = {0};
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(app->db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = fn(req, tx, &fx, ctx, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0)
        cf_work_publish(app->workflows, &fx);
    else
        cf_work_forget(&fx);
    return r;
}

json_t *cf_work_read(struct cf_req *req, cf_str id, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    json_t *j = NULL;

    if (cf_tx_begin(app_of(req)->db, CF_TX_READ, &tx, reterr) == 0)
        j = cf_work_detail(app_of(req)->workflows, tx, req->who, id, reterr);
    cf_tx_rollback(&tx);
    return j;
}

/* ---- lists ---- */

static int decorate(struct cf_req *req, struct cf_tx *tx, json_t *item, struct cf_error *reterr)
{
    cf_work_decorate(app_of(req)->workflows, tx, req->who, item, reterr);
    return 0;
}

#define MINE_VALUES 48
static const char *const mine_names[] = {"todo", "done", "started"};

/* SQL of "mine:..." : 0 todo, 1 done, 2 started. */
static void mine_sql(struct cf_req *req, int which, struct cf_buf *sql, struct cf_dbval *v, size_t *n)
{
    if (which == 0) {
        cf_work_todo_sql(app_of(req)->workflows, req->who, sql, v, n, MINE_VALUES);
    } else if (which == 1) {
        cf_buf_z(sql, "EXISTS (SELECT 1 FROM work_item_history h WHERE h.item_id = w.id AND h.user_id = ? AND h.action <> 'create') AND NOT (");
        v[(*n)++] = CF_S(req->who->user_id);
        cf_work_todo_sql(app_of(req)->workflows, req->who, sql, v, n, MINE_VALUES);
        cf_buf_z(sql, ")");
    } else {
        cf_buf_z(sql, "w.created_by = ? AND w.parent_id IS NULL");
        v[(*n)++] = CF_S(req->who->user_id);
    }
}

static int mine_of(struct cf_req *req)
{
    struct cf_filter_term *t = NULL;
    cf_str f = cf_req_query(req, "filter");
    struct cf_error err = {0};
    size_t n = 0;

    if (!f.n || cf_filter_parse(req->arena, f, &t, &n, &err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 3; k++)
            if (cf_str_eqz(t[i].key, "mine") && t[i].n == 1 && cf_str_eqz(t[i].v[0], mine_names[k]))
                return k;
    return -1;
}

static int items_list(struct cf_req *req, struct cf_error *reterr)
{
    int mine = mine_of(req);
    const struct cf_lcol cols[] = {
        {"id", "w.id", CF_LC_TEXT, CF_LC_FILTER},
        {"kind", "w.kind", CF_LC_TEXT, CF_LC_FILTER},
        {"number", "w.number", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
        {"title", "w.title", CF_LC_TEXT, CF_LC_SEARCH},
        {"state", "w.state", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT},
        {"level", "w.level", CF_LC_TEXT, CF_LC_FILTER},
        {"overdue", "w.overdue", CF_LC_BOOL, CF_LC_FILTER},
        {"done", "w.done", CF_LC_BOOL, CF_LC_FILTER},
        {"due_at", "w.due_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT},
        {"created_at", "w.created_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
        {"updated_at", "w.updated_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
        {"org", "w.org_id", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
        {"parent_id", "w.parent_id", CF_LC_TEXT, CF_LC_FILTER},
        {"org_name", "o.name", CF_LC_TEXT, CF_LC_SEARCH | CF_LC_HIDDEN},
        {"mine", mine == 0 ? "'todo'" : mine == 1 ? "'done'" : "'started'", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    };
    struct cf_dbval v[MINE_VALUES + 8];
    struct cf_list l = {.from = "work_item w LEFT JOIN organisation o ON o.id = w.org_id", .id_sql = "w.id", .scope_col = "w.org_id", .default_sort = "-updated_at",
                        .cols = cols, .n_cols = sizeof(cols) / sizeof(cols[0]), .finish = decorate};
    struct cf_buf sql;
    size_t n = 0;
    int r;

    cf_buf_init(&sql, 0);
    if (mine >= 0) {
        mine_sql(req, mine, &sql, v, &n);
        l.where = cf_buf_cstr(&sql);
        l.where_v = v;
        l.n_where_v = n;
    }
    r = cf_list_reply(req, app_of(req)->db, &l, reterr);
    cf_buf_release(&sql);
    return r;
}

static int count_one(struct cf_req *req, struct cf_tx *tx, int which, bool overdue, json_int_t *ret, struct cf_error *err)
{
    struct cf_dbval v[MINE_VALUES + 8];
    struct cf_stmt *st = NULL;
    struct cf_buf sql;
    size_t n = 0, n_scope = 0;
    int r;

    cf_buf_init(&sql, 0);
    cf_buf_z(&sql, overdue ? "SELECT COUNT(*) FROM work_item w WHERE w.overdue = 1 AND " : "SELECT COUNT(*) FROM work_item w WHERE ");
    mine_sql(req, which, &sql, v, &n);
    cf_buf_z(&sql, " AND ");
    cf_scope_sql(req->who, "w.org_id", &sql, v + n, &n_scope, req->arena);
    n += n_scope;
    r = cf_tx_queryv(tx, cf_buf_cstr(&sql), v, n, &st, err);
    if (r == 0 && (r = cf_stmt_next(st, err)) == 1) {
        *ret = (json_int_t)cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    cf_buf_release(&sql);
    return r;
}

static int items_counters(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    json_int_t n[4] = {0};
    int r = cf_tx_begin(app_of(req)->db, CF_TX_READ, &tx, reterr);

    for (int i = 0; r == 0 && i < 3; i++)
        r = count_one(req, tx, i, false, &n[i], reterr);
    if (r == 0)
        r = count_one(req, tx, 0, true, &n[3], reterr);
    cf_tx_rollback(&tx);
    if (r == 0)
        cf_reply_json(req, 200, json_pack("{s:I, s:I, s:I, s:I}", "todo", n[0], "done", n[1], "started", n[2], "overdue", n[3]));
    return r;
}

static int items_get(struct cf_req *req, struct cf_error *reterr)
{
    json_t *j = cf_work_read(req, cf_req_path(req, "id"), reterr);

    if (!j)
        return reterr->code < 0 ? reterr->code : CF_ENOENT;
    cf_reply_json(req, 200, j);
    return 0;
}

/* ---- steps ---- */

static int do_transition(struct cf_req *req, struct cf_tx *tx, struct cf_work_effects *fx, void *ctx, struct cf_error *reterr)
{
    const struct cf_work_act a = {.id = cf_req_path(req, "id"), .transition = cf_json_text(req->json, "transition"), .note = cf_json_text(req->json, "note"),
                                  .expect_state = cf_json_text(req->json, "state"), .expect_revision = json_integer_value(json_object_get(req->json, "revision")),
                                  .form = json_object_get(req->json, "form"), .english = cf_req_english(req)};

    return cf_work_transition(app_of(req)->workflows, tx, req->who, &a, fx, ctx, reterr);
}

static int reply_item(struct cf_req *req, int status, cf_str id, struct cf_error *reterr)
{
    json_t *j = cf_work_read(req, id, reterr);

    cf_req_audit(req, cf_arena_strdup(req->arena, id), NULL, req->json);
    if (!j)
        return reterr->code < 0 ? reterr->code : CF_ENOENT;
    cf_reply_json(req, status, j);
    return 0;
}

static int items_transition(struct cf_req *req, struct cf_error *reterr)
{
    json_t *errors = NULL;
    int r = cf_work_write(req, do_transition, &errors, reterr);

    return r < 0 ? cf_work_fail(req, r, errors, reterr) : reply_item(req, 200, cf_req_path(req, "id"), reterr);
}

static int do_edit(struct cf_req *req, struct cf_tx *tx, struct cf_work_effects *fx, void *ctx, struct cf_error *reterr)
{
    return cf_work_edit(app_of(req)->workflows, tx, req->who, cf_req_path(req, "id"), json_object_get(req->json, "form"), cf_req_english(req), fx, ctx, reterr);
}

static int items_edit(struct cf_req *req, struct cf_error *reterr)
{
    json_t *errors = NULL;
    int r = cf_work_write(req, do_edit, &errors, reterr);

    return r < 0 ? cf_work_fail(req, r, errors, reterr) : reply_item(req, 200, cf_req_path(req, "id"), reterr);
}

/* ---- attachments ---- */

static int do_attach(struct cf_req *req, struct cf_tx *tx, struct cf_work_effects *fx, void *ctx, struct cf_error *reterr)
{
    struct cf_attachment_new n = {.item_id = cf_req_path(req, "id"), .internal = cf_str_eqz(cf_req_query(req, "internal"), "1")};
    int r = cf_upload_read(cf_req_header(req, "Content-Type"), cf_req_query(req, "name"), req->body, &n.name, &n.content, reterr);

    (void)fx;
    return r < 0 ? r : cf_attachment_add(app_of(req)->workflows, tx, req->who, &n, ctx, reterr);
}

static int items_attach(struct cf_req *req, struct cf_error *reterr)
{
    char id[37];
    int r = cf_work_write(req, do_attach, id, reterr);

    if (r < 0)
        return r;
    cf_req_audit(req, id, NULL, NULL);
    cf_reply_json(req, 201, json_pack("{s:s}", "id", id));
    return 0;
}

static int attachments_get(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_attachment at = {0};
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(app_of(req)->db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_attachment_get(app_of(req)->workflows, tx, req->who, cf_req_path(req, "id"), req->arena, &at, reterr);
    cf_tx_rollback(&tx);
    if (r < 0)
        return r;
    cf_req_audit(req, cf_arena_strdup(req->arena, at.id), NULL, NULL);
    cf_reply_header(req, "X-Content-Type-Options", "nosniff");
    cf_reply_file(req, cf_arena_strdup(req->arena, cf_str_c(at.path)), cf_arena_strdup(req->arena, at.type), cf_arena_strdup(req->arena, at.name));
    return 0;
}

/* ---- definitions ---- */

static int workflows_list(struct cf_req *req, struct cf_error *reterr)
{
    json_t *items = cf_workflows_json(app_of(req)->workflows);

    (void)reterr;
    cf_reply_list(req, items, NULL, (int64_t)json_array_size(items));
    return 0;
}

static int workflows_get(struct cf_req *req, struct cf_error *reterr)
{
    const struct cf_workflow *w;
    int64_t version;
    int r = cf_req_query_i64(req, "version", 0, 0, 1000000, &version, reterr);

    if (r < 0)
        return r;
    w = cf_workflow_find(app_of(req)->workflows, cf_req_path(req, "id"), version);
    if (!w)
        return cf_error_set(reterr, CF_ENOENT, "there is no such workflow");
    cf_reply_json(req, 200, cf_workflow_json(w, true));
    return 0;
}

#define TRANSITION_SCHEMA "{\"type\":\"object\",\"required\":[\"transition\"],\"properties\":{\"transition\":{\"type\":\"string\",\"maxLength\":64},\"form\":{\"type\":[\"object\",\"null\"]},\"note\":{\"type\":[\"string\",\"null\"],\"maxLength\":8000},\"state\":{\"type\":\"string\"},\"revision\":{\"type\":\"integer\"}}}"
#define EDIT_SCHEMA "{\"type\":\"object\",\"required\":[\"form\"],\"properties\":{\"form\":{\"type\":\"object\"}}}"

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/work-items", .permission = "workitem.read", .handler = items_list, .flags = CF_RF_LIST, .doc = "Work items; filter=mine:todo, mine:done or mine:started"},
    {.method = CF_GET, .path = "/api/v1/work-items/counters", .permission = "workitem.read", .handler = items_counters, .doc = "How many items wait for me, were handled or started by me"},
    {.method = CF_GET, .path = "/api/v1/work-items/{id}", .permission = "workitem.read", .handler = items_get, .doc = "One item with form, history, children, attachments and possible steps"},
    {.method = CF_PATCH, .path = "/api/v1/work-items/{id}", .permission = "workitem.act", .handler = items_edit, .request = EDIT_SCHEMA, .doc = "Change the form of an item that is still a draft"},
    {.method = CF_POST, .path = "/api/v1/work-items/{id}/transitions", .permission = "workitem.act", .handler = items_transition, .request = TRANSITION_SCHEMA,
     .doc = "Make a step; 409 when the item has moved on meanwhile (send state or revision to be sure)"},
    {.method = CF_POST, .path = "/api/v1/work-items/{id}/attachments", .permission = "workitem.act", .handler = items_attach, .flags = CF_RF_RAW_BODY | CF_RF_UPLOAD,
     .doc = "Attach a file: raw body with ?name=, or multipart/form-data"},
    {.method = CF_GET, .path = "/api/v1/attachments/{id}", .permission = "workitem.read", .handler = attachments_get, .flags = CF_RF_SENSITIVE, .doc = "Download an attachment"},
    {.method = CF_GET, .path = "/api/v1/workflows", .permission = CF_PERM_SELF, .handler = workflows_list, .doc = "Workflow definitions"},
    {.method = CF_GET, .path = "/api/v1/workflows/{id}", .permission = CF_PERM_SELF, .handler = workflows_get, .doc = "States and transitions of one workflow"},
};
void cf_workflow_routes(void) { cf_routes_add(routes, sizeof(routes) / sizeof(routes[0])); }
