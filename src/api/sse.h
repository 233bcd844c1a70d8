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

/* stats and health: the newest payload within 250 ms wins, so publishers may call at any rate. Others go out at once. */

struct cf_req;
int cf_sse_handler(struct cf_req *req, struct cf_error *reterr); /* GET /api/v1/stream */
void cf_hub_close(struct cf_hub *h); /* ends all streams; further subscriptions are refused */
size_t cf_hub_readers(struct cf_hub *h);

#endif
