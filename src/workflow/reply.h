/* SPDX-License-Identifier: Apache-2.0
 * Shared by the HTTP files of work items and notices. */
#ifndef CF_WORKFLOW_REPLY_H
#define CF_WORKFLOW_REPLY_H

#include "api/route.h"
#include "app/app.h"
#include "workflow/workflow.h"

bool cf_req_english(const struct cf_req *req); /* Accept-Language: en, as the console sends it in English */
/* Puts form errors into the problem document and passes r on; takes errors (may be NULL). */
int cf_work_fail(struct cf_req *req, int r, json_t *errors, struct cf_error *reterr);
/* One transaction around fn: commit and tell, or roll back. */
typedef int (*cf_work_fn)(struct cf_req *req, struct cf_tx *tx, struct cf_work_effects *fx, void *ctx, struct cf_error *reterr);
int cf_work_write(struct cf_req *req, cf_work_fn fn, void *ctx, struct cf_error *reterr);
/* Reads one item for the reply: new reference, or NULL with *reterr. */
json_t *cf_work_read(struct cf_req *req, cf_str id, struct cf_error *reterr);
/* A file in a request body: raw bytes with ?name=, or the first file of multipart/form-data. */
int cf_upload_read(cf_str content_type, cf_str query_name, cf_str body, cf_str *ret_name, cf_str *ret_content, struct cf_error *reterr);

#endif
