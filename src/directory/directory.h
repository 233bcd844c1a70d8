/* SPDX-License-Identifier: Apache-2.0
 * directory: regions, organisations, people, roles, permissions, scopes. The engines and business stations use it; it
 * knows none of them. */
#ifndef CF_DIRECTORY_DIRECTORY_H
#define CF_DIRECTORY_DIRECTORY_H

#include <jansson.h>

#include "base/base.h"
#include "store/record_store.h"

enum cf_scope { CF_SCOPE_SELF, CF_SCOPE_ORG, CF_SCOPE_SUBTREE, CF_SCOPE_REGION, CF_SCOPE_ALL };

/* Who calls. Built at sign-in or token check, immutable, reference counted by the session cache. */
struct cf_principal {
    cf_str user_id, user_name, display_name;
    cf_str org_id, org_path;     /* org_path "/1/12/": materialised, ends with '/' */
    cf_str region_code;          /* GB/T 2260 */
    cf_str session_id, token_id; /* one of them */
    enum cf_scope scope;         /* widest of the roles */
    size_t n_perms;
    const cf_str *perms;         /* sorted; "alert.read" or "alert.*" or "*" */
    size_t n_roles;
    const cf_str *roles;
    bool must_change_password;
    bool totp_required, must_set_up_totp; /* one of the roles wants a second factor; and there is none yet */
};
bool cf_principal_may(const struct cf_principal *p, cf_str permission);
/* Appends a predicate over org id column `col` (e.g. "a.org_id") to sql and its values to v (at most 2): "1=1", "a.org_id = ?",
 * or "a.org_id IN (SELECT id FROM organisation WHERE path LIKE ? )" etc. Every list and statistic uses it. */
void cf_scope_sql(const struct cf_principal *p, const char *col, struct cf_buf *sql, struct cf_dbval *v, size_t *n_v, struct cf_arena *a);
bool cf_scope_has_org(struct cf_tx *tx, const struct cf_principal *p, cf_str org_id);
/* All organisation ids in scope, for the event store; *ret_all true when there is no limit. */
int cf_scope_orgs(struct cf_db *db, const struct cf_principal *p, struct cf_arena *a, bool *ret_all, cf_str **ret, size_t *ret_n, struct cf_error *reterr);

#endif
