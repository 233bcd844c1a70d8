/* SPDX-License-Identifier: Apache-2.0
 * The worker's part of a request. */
#ifndef CF_API_HTTP_RUN_H
#define CF_API_HTTP_RUN_H

#include "api/http_int.h"

void cf_http_run_piece(struct cf_req_priv *c); /* hands the collected bytes to on_body */
void cf_http_run(struct cf_req_priv *c);       /* the whole rest; leaves c->response */

#endif
