/* SPDX-License-Identifier: Apache-2.0
 * HTTP: my messages, and the delivery log for administrators. */
#include "api/list.h"
#include "app/app.h"
#include "message/message.h"

static const struct cf_app *app_of(const struct cf_req *req) { return req->app; }

static const struct cf_lcol cols[] = {
    {"id", "m.id", CF_LC_TEXT, CF_LC_FILTER},
    {"time", "m.created_us", CF_LC_TIME, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"kind", "m.kind", CF_LC_TEXT, CF_LC_FILTER},
    {"title", "m.title", CF_LC_TEXT, CF_LC_SEARCH},
    {"body", "m.body", CF_LC_TEXT, CF_LC_SEARCH},
    {"href", "m.href", CF_LC_TEXT, 0},
    {"level", "m.level", CF_LC_TEXT, CF_LC_FILTER},
    {"read", "CASE WHEN m.read_us IS NULL THEN 0 ELSE 1 END", CF_LC_BOOL, CF_LC_FILTER},
    {"read_at", "m.read_us", CF_LC_TIME, 0},
};

static int messages_list(struct cf_req *req, struct cf_error *reterr)
{
    const struct cf_dbval v[] = {CF_S(req->who->user_id)};
    const struct cf_list l = {.from = "message m", .id_sql = "m.id", .where = "m.user_id = ?", .where_v = v, .n_where_v = 1, .default_sort = "-time", .cols = cols,
                              .n_cols = sizeof(cols) / sizeof(cols[0])};

    return cf_list_reply(req, app_of(req)->db, &l, reterr);
}

static int messages_unread(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    struct cf_tx *tx = NULL;
    json_int_t n = 0;
    int r = cf_tx_begin(app_of(req)->db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT COUNT(*) FROM message WHERE user_id = ? AND read_us IS NULL", &st, reterr, CF_S(req->who->user_id));
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        n = (json_int_t)cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r == 0)
        cf_reply_json(req, 200, json_pack("{s:I}", "count", n));
    return r;
}

static int mark(struct cf_req *req, cf_str id, int64_t *changed, struct cf_error *reterr)
{
    const struct cf_dbval v[] = {CF_I(cf_now_us()), CF_S(req->who->user_id), CF_S(id.p ? id : CF_STR("")), CF_S(id.p ? id : CF_STR(""))};
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(app_of(req)->db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_execv(tx, "UPDATE message SET read_us = COALESCE(read_us, ?) WHERE user_id = ? AND (? = '' OR id = ?)", v, 4, changed, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

static int messages_read(struct cf_req *req, struct cf_error *reterr)
{
    int64_t changed = 0;
    int r = mark(req, cf_req_path(req, "id"), &changed, reterr);

    if (r == 0 && changed == 0) /* somebody else's looks the same as none */
        return cf_error_set(reterr, CF_ENOENT, "there is no such message");
    if (r == 0)
        cf_reply_empty(req, 204);
    return r;
}

static int messages_read_all(struct cf_req *req, struct cf_error *reterr)
{
    int64_t changed = 0;
    int r = mark(req, CF_STR_NONE, &changed, reterr);

    if (r == 0)
        cf_reply_empty(req, 204);
    return r;
}

static const struct cf_lcol out_cols[] = {
    {"id", "x.id", CF_LC_TEXT, CF_LC_FILTER},
    {"channel", "x.channel", CF_LC_TEXT, CF_LC_FILTER},
    {"state", "x.state", CF_LC_TEXT, CF_LC_FILTER},
    {"subject", "x.subject", CF_LC_TEXT, CF_LC_SEARCH},
    {"target", "x.target", CF_LC_TEXT, CF_LC_SEARCH},
    {"attempts", "x.attempts", CF_LC_I64, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"error", "x.last_error", CF_LC_TEXT, 0},
    {"created_at", "x.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_FILTER | CF_LC_NOTNULL},
    {"next_at", "x.next_us", CF_LC_TIME, 0},
    {"sent_at", "x.sent_us", CF_LC_TIME, CF_LC_SORT},
};
static int outbox_list(struct cf_req *req, struct cf_error *reterr)
{
    static const struct cf_list l = {.from = "outbox x", .id_sql = "x.id", .default_sort = "-created_at", .cols = out_cols, .n_cols = sizeof(out_cols) / sizeof(out_cols[0])};

    return cf_list_reply(req, app_of(req)->db, &l, reterr);
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/messages", .permission = CF_PERM_SELF, .handler = messages_list, .flags = CF_RF_LIST, .scope = "self", .doc = "My messages, newest first"},
    {.method = CF_GET, .path = "/api/v1/messages/unread", .permission = CF_PERM_SELF, .handler = messages_unread, .scope = "self", .doc = "How many of my messages are unread"},
    {.method = CF_POST, .path = "/api/v1/messages/{id}/read", .permission = CF_PERM_SELF, .handler = messages_read, .flags = CF_RF_NO_AUDIT, .scope = "self", .doc = "Mark one of my messages as read"},
    {.method = CF_POST, .path = "/api/v1/messages:read-all", .permission = CF_PERM_SELF, .handler = messages_read_all, .flags = CF_RF_NO_AUDIT, .scope = "self", .doc = "Mark all my messages as read"},
    {.method = CF_GET, .path = "/api/v1/outbox", .permission = "system.read", .handler = outbox_list, .flags = CF_RF_LIST, .scope = "all", .doc = "Delivery log of e-mail and webhook"},
};
void cf_message_routes(void) { cf_routes_add(routes, sizeof(routes) / sizeof(routes[0])); }
