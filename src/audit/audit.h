/* SPDX-License-Identifier: Apache-2.0
 * audit: who did what, when, from where, with which result. Append only; every entry's SM3 hash covers the entry before it,
 * so a change, a removal or an insertion in the middle shows at the next verification. The newest entry is anchored in a
 * file outside the database (DATA/log/audit.anchor) so that cutting off the tail shows as well.
 *
 *   hash(n) = SM3( hash(n-1) "\n" canonical JSON array of the fields of n )
 *
 * Written strictly after each change by the HTTP server (one entry per non-GET request), and by sign-in. */
#ifndef CF_AUDIT_AUDIT_H
#define CF_AUDIT_AUDIT_H

#include <jansson.h>

#include "base/base.h"
#include "store/record_store.h"

struct cf_audit;
struct cf_audit_entry {
    cf_str user_id, user_name, org_id, peer, request_id;
    cf_str action;        /* "POST /api/v1/users", "session.sign_in" */
    cf_str object;        /* id of what was acted on */
    cf_str result;        /* "ok", "denied", "failed: ..." */
    const json_t *before, *after; /* borrowed; NULL: nothing */
};
struct cf_audit_check {
    bool ok;
    int64_t checked, first_bad; /* first_bad: seq, 0 when ok */
    char why[200];
};

/* anchor_path: NULL for none. */
int cf_audit_open(struct cf_db *db, const char *anchor_path, struct cf_audit **ret, struct cf_error *reterr);
void cf_audit_close(struct cf_audit *a); /* writes the anchor; NULL is fine */
/* Durable on return. Thread-safe. */
int cf_audit_write(struct cf_audit *a, const struct cf_audit_entry *e, struct cf_error *reterr);
/* Inside a transaction of the caller's: all or nothing with the change. */
int cf_audit_write_tx(struct cf_audit *a, struct cf_tx *tx, const struct cf_audit_entry *e, struct cf_error *reterr);
/* Reads the whole chain. 0 also when the chain is broken: see ret. */
int cf_audit_verify(struct cf_db *db, const char *anchor_path, struct cf_audit_check *ret, struct cf_error *reterr);

extern const struct cf_migration cf_audit_migrations[];
extern const size_t cf_audit_n_migrations;
void cf_audit_routes(void);

#endif
