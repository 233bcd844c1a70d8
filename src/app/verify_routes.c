/* SPDX-License-Identifier: Apache-2.0
 * POST /api/v1/system:verify: what can be checked while the server runs. */
#include <stdio.h>

#include "api/route.h"
#include "app/server.h"
#include "audit/audit.h"

/* SQLite's own check of every page and index; PostgreSQL checks with its own tools. */
static json_t *records_check(struct cf_app *app, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    json_t *o = NULL;
    int r;

    if (cf_db_is_postgres(app->db))
        return json_pack("{s:b,s:s}", "ok", 1, "detail", "PostgreSQL: reachable; use pg_amcheck for its pages");
    r = cf_tx_begin(app->db, CF_TX_READ, &tx, reterr);
    if (r == 0)
        r = cf_tx_query(tx, "PRAGMA integrity_check(1)", &st, reterr);
    if (r == 0 && cf_stmt_next(st, reterr) == 1) {
        cf_str s = cf_stmt_str(st, 0);

        o = json_pack("{s:b,s:s%}", "ok", cf_str_eqz(s, "ok"), "detail", s.p, s.n);
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return o;
}

static int verify(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    struct cf_audit_check c;
    cf_str anchor = cf_arena_printf(req->arena, "%s/log/audit.anchor", app->data_dir);
    int r = cf_audit_verify(app->db, cf_arena_strdup(req->arena, anchor), &c, reterr);
    json_t *records, *events = json_null();
    struct cf_buf b;

    if (r < 0)
        return r;
    records = records_check(app, reterr);
    if (!records)
        return reterr->code ? reterr->code : CF_EDB;
    cf_buf_init(&b, 1 << 20);
    if (app->events && cf_event_store_stats(app->events, &b, reterr) == 0)
        events = json_loadb(b.p, b.n, 0, NULL);
    cf_buf_release(&b);
    cf_reply_json(req, 200, json_pack("{s:{s:b,s:I,s:I,s:s},s:o,s:o}", "audit", "ok", c.ok, "checked", (json_int_t)c.checked, "first_bad", (json_int_t)c.first_bad,
                                      "detail", c.why, "records", records, "events", events ? events : json_null()));
    return 0;
}

static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/api/v1/system:verify", .permission = "system.write", .handler = verify, .scope = "all",
     .doc = "Audit chain, record store, event store: checked while running"},
};

void cf_verify_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
