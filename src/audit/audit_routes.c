/* SPDX-License-Identifier: Apache-2.0
 * Reading and verifying the chain; saved searches live beside it because they share the migration. */
#include "api/list.h"
#include "app/app.h"
#include "audit/audit.h"

static const struct cf_lcol columns[] = {
    {"seq", "a.seq", CF_LC_I64, CF_LC_SORT | CF_LC_FILTER | CF_LC_NOTNULL},
    {"time", "a.time_us", CF_LC_TIME, CF_LC_SORT | CF_LC_FILTER | CF_LC_NOTNULL},
    {"user.id", "a.user_id", CF_LC_TEXT, CF_LC_FILTER},
    {"user.name", "a.user_name", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"user", "a.user_name", CF_LC_TEXT, CF_LC_FILTER | CF_LC_HIDDEN},
    {"org.id", "a.org_id", CF_LC_TEXT, CF_LC_FILTER},
    {"org.name", "o.name", CF_LC_TEXT, 0},
    {"peer", "a.peer", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"request_id", "a.request_id", CF_LC_TEXT, CF_LC_FILTER},
    {"action", "a.action", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"object", "a.object", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"result", "a.result", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"before", "a.before_json", CF_LC_JSON, 0},
    {"after", "a.after_json", CF_LC_JSON, 0},
    {"hash", "a.hash", CF_LC_TEXT, 0},
    {"id", "CAST(a.seq AS TEXT)", CF_LC_TEXT, 0},
};

static int list_audit(struct cf_req *req, struct cf_error *reterr)
{
    static const struct cf_list l = {.from = "audit_log a LEFT JOIN organisation o ON o.id = a.org_id", .id_sql = "a.seq", .default_sort = "-seq",
                                     .cols = columns, .n_cols = sizeof columns / sizeof *columns};

    return cf_list_reply(req, ((struct cf_app *)req->app)->db, &l, reterr);
}

static int verify(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    struct cf_audit_check c;
    cf_str anchor = cf_arena_printf(req->arena, "%s/log/audit.anchor", app->data_dir);
    int r = cf_audit_verify(app->db, cf_arena_strdup(req->arena, anchor), &c, reterr);

    if (r == 0)
        cf_reply_json(req, 200, json_pack("{s:b,s:I,s:o,s:o}", "ok", c.ok, "checked", (json_int_t)c.checked, "first_bad",
                                          c.ok ? json_null() : json_integer(c.first_bad), "why", c.ok ? json_null() : json_string(c.why)));
    return r;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/audit", .permission = "audit.read", .handler = list_audit, .flags = CF_RF_LIST, .scope = "all",
     .doc = "The audit log, newest first"},
    {.method = CF_POST, .path = "/api/v1/audit:verify", .permission = "audit.read", .handler = verify, .scope = "all", .doc = "Recomputes the hash chain"},
};

void cf_audit_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
