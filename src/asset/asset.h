/* SPDX-License-Identifier: Apache-2.0
 * asset: what an organisation owns and where its logs come from: the tables asset and data_source, their list pages, and
 * the look-up table that enrichment uses. */
#ifndef CF_ASSET_ASSET_H
#define CF_ASSET_ASSET_H

#include "base/base.h"
#include "enrich/enrich.h"
#include "store/record_store.h"

extern const struct cf_migration cf_asset_migrations[];
extern const size_t cf_asset_n_migrations;
void cf_asset_routes(void); /* /api/v1/assets */

/* Called after a committed change of assets or data sources; the pipeline sets it. */
extern void (*cf_asset_changed)(void *app);

/* Address -> asset -> organisation from asset and organisation. */
int cf_asset_load_enricher(struct cf_db *db, const char *geo_path, struct cf_enricher **ret, struct cf_error *reterr);
/* Each address or network of a list separated by commas, semicolons or spaces. */
bool cf_asset_next_address(cf_str *list, cf_str *ret);
/* For the routes of assets and data sources: 0, or a field error is set. */
struct cf_req;
int cf_asset_check_addresses(struct cf_req *req, const char *field);
int cf_asset_check_org(struct cf_req *req, struct cf_tx *tx, cf_str org);

#endif
