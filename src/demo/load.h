/* SPDX-License-Identifier: Apache-2.0
 * load: the city into the record store, and out again. */
#ifndef CF_DEMO_LOAD_H
#define CF_DEMO_LOAD_H

#include "demo/city.h"
#include "store/record_store.h"

/* One transaction; rows that are there stay as they are. password_hash: of all demo accounts. */
int demo_load(struct cf_db *db, const struct demo_city *c, const char *password_hash, struct cf_error *reterr);
bool demo_loaded(struct cf_db *db, struct cf_error *reterr);
/* Small notes: "backfilled", "seeded". */
int64_t demo_state_get(struct cf_db *db, const char *key);
int demo_state_set(struct cf_db *db, const char *key, int64_t value, struct cf_error *reterr);
/* Name of the data source an asset's lines come through. */
cf_str demo_source_name(const struct demo_city *c, const struct demo_asset *s, const struct demo_asset **ret_sender);
/* DATA/demo-accounts.txt (0600). password: one for all. */
int demo_write_accounts(const char *data_dir, const struct demo_city *c, cf_str password, struct cf_error *reterr);
int demo_unload(struct cf_db *db, int64_t *ret_rows, struct cf_error *reterr);

#endif
