/* SPDX-License-Identifier: Apache-2.0
 * Private to src/pipeline: Idempotency-Key of bulk requests, kept in the record store so that a repetition after a restart, or to
 * another server on the same store, gets the first answer and inserts nothing.
 *
 *   begin: no row -> row "running"      end: row holds the answer        24 h later: forgotten
 *          row with an answer -> that answer, the body is not taken
 *          row "running" of this run -> CF_ECONFLICT, of another run that ended without an answer -> taken over
 *
 * What was made durable by a run that crashed before its answer is written again: as without a key, at least once. */
#ifndef CF_PIPELINE_BULK_KEYS_H
#define CF_PIPELINE_BULK_KEYS_H

#include <jansson.h>

#include "base/base.h"
#include "store/record_store.h"

#define CF_BULK_KEY_MAX 200
#define CF_BULK_KEY_KEEP_US (24 * 3600 * CF_US_PER_S)

struct bulk_key {
    char id[65];      /* SM3 of user and key, in hex; "" none */
    bool repeated;    /* answered before: the answer follows */
    uint64_t accepted, rejected;
    json_t *errors;   /* of the first answer, owned */
};
/* CF_ECONFLICT: the same request is being answered now. CF_EINVAL: the key is too long. now_us: the clock. */
int bulk_key_begin(struct cf_db *db, cf_str user, cf_str key, int64_t now_us, struct bulk_key *ret, struct cf_error *reterr);
/* The answer is known. */
int bulk_key_answer(struct cf_db *db, const struct bulk_key *k, uint64_t accepted, uint64_t rejected, const json_t *errors, struct cf_error *reterr);
/* No answer came: the key may be used again. */
void bulk_key_drop(struct cf_db *db, const struct bulk_key *k);
int bulk_keys_forget(struct cf_db *db, int64_t now_us, struct cf_error *reterr);

#endif
