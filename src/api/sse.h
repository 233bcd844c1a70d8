/* SPDX-License-Identifier: Apache-2.0
 * Live topics for GET /api/v1/stream: alert, incident, work-item, health, stats, message. A publisher never waits: a slow
 * reader loses its oldest entries and is told so ("lagged"). */
#ifndef CF_API_SSE_H
#define CF_API_SSE_H

#include <jansson.h>

#include "base/base.h"

struct cf_hub;
struct cf_hub *cf_hub_new(void);
void cf_hub_free(struct cf_hub *h);
/* org_id: only callers whose scope holds it get it; empty: everyone signed in. user_id: only that person (may be empty). */
void cf_hub_publish(struct cf_hub *h, const char *topic, cf_str org_id, cf_str user_id, const json_t *payload);

#endif
