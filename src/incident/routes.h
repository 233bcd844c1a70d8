/* SPDX-License-Identifier: Apache-2.0
 * Shared by the HTTP files of this module. */
#ifndef CF_INCIDENT_ROUTES_H
#define CF_INCIDENT_ROUTES_H

#include "api/list.h"
#include "app/app.h"
#include "incident/triage.h"
#include "message/message.h"

#define INC_LEVEL_SQL(col) \
    "CASE " col " WHEN 4 THEN 'critical' WHEN 3 THEN 'high' WHEN 2 THEN 'medium' WHEN 1 THEN 'low' ELSE 'informational' END"

static inline const struct cf_app *inc_app(const struct cf_req *req) { return req->app; }
int inc_begin(struct cf_req *req, struct inc_ctx *c, struct cf_work_effects *fx, struct cf_error *reterr);
int inc_end(struct cf_req *req, struct inc_ctx *c, int r); /* commit and tell, or roll back */
int inc_null_refs(struct cf_req *req, struct cf_tx *tx, json_t *item, struct cf_error *reterr);
json_t *inc_time(int64_t us);
/* The list with its title in the caller's language; cols: room for list->n_cols. */
struct cf_list inc_list_in(const struct cf_req *req, const struct cf_list *list, struct cf_lcol *cols, const char *title_en_sql);
void inc_incident_routes(void);
void inc_exception_routes(void);

#endif
