/* SPDX-License-Identifier: Apache-2.0
 * Private to src/api: what event_routes.c and event_export.c share. */
#ifndef CF_API_EVENT_EXPORT_H
#define CF_API_EVENT_EXPORT_H

#include "api/route.h"
#include "app/app.h"

/* CF_EUNSUPPORTED when there is no event store. */
int cf_events_scope(struct cf_req *req, struct cf_event_scope *ret, struct cf_error *reterr);
/* query, from, to, limit, cursor, sort, fields and the scope of the caller. */
int cf_events_request(struct cf_req *req, struct cf_search *q, struct cf_error *reterr);
/* The request can be stopped from here on: by its query_id, or because the caller went away. End with cf_event_run_end. */
int cf_events_run(struct cf_req *req, struct cf_event_run **ret, struct cf_error *reterr);
int cf_events_explain(struct cf_req *req, int r, struct cf_error *reterr); /* a syntax error names the field query */
int cf_events_export(struct cf_req *req, struct cf_error *reterr);
void cf_event_routes(void);

#endif
