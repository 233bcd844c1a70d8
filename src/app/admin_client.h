/* SPDX-License-Identifier: Apache-2.0
 * How subcommands reach the stores of a data directory: through the running server's administration socket, or, when none
 * runs, through the same API started in this process without network. Either way the caller is the principal "system". */
#ifndef CF_APP_ADMIN_CLIENT_H
#define CF_APP_ADMIN_CLIENT_H

#include <jansson.h>

#include "base/base.h"

struct cf_admin;
int cf_admin_open(const char *data_dir, struct cf_admin **ret, struct cf_error *reterr);
void cf_admin_close(struct cf_admin *a); /* NULL is fine */
bool cf_admin_beside_server(const struct cf_admin *a);
/* body: sent as application/json, or as content_type when that is not NULL. The reply's bytes are appended to *out. A status of 400
 * or more is an error with the problem's detail and its first field error as message. */
int cf_admin_request(struct cf_admin *a, const char *method, const char *path, cf_str body, const char *content_type, struct cf_buf *out, struct cf_error *reterr);
/* The same with JSON both ways. ret may be NULL; *ret is a new reference (null for an empty reply). */
int cf_admin_json(struct cf_admin *a, const char *method, const char *path, const json_t *body, json_t **ret, struct cf_error *reterr);
/* One call: open, request, close. */
int cf_admin_call(const char *data_dir, const char *method, const char *path, cf_str body, struct cf_buf *out, struct cf_error *reterr);

#endif
