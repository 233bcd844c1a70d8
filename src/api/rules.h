/* SPDX-License-Identifier: Apache-2.0
 * Rules over HTTP, and the switches kept in the records. */
#ifndef CF_API_RULES_H
#define CF_API_RULES_H

#include "api/route.h"
#include "app/app.h"

/* Tells the pipeline which rules are off. At start and after each change. */
int cf_rules_apply_switches(struct cf_app *app, struct cf_error *reterr);
void cf_rules_routes(void);
void cf_rule_stats_routes(void); /* cost, hits and reachability per rule */
void cf_search_routes(void);   /* global search, saved searches, settings */
void cf_overview_routes(void); /* the first page */

#endif
