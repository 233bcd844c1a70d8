/* SPDX-License-Identifier: Apache-2.0
 * enrich: who owns this event. Addresses -> asset and organisation, else the organisation of the data source; time of
 * ingestion; optionally country and city. An enricher is immutable: a change of the assets builds a new one, workers take
 * it between two batches. */
#ifndef CF_ENRICH_ENRICH_H
#define CF_ENRICH_ENRICH_H

#include "base/base.h"
#include "event/event.h"

struct cf_enrich_asset {
    cf_str net;                    /* address or CIDR; ones that are none are left out */
    cf_str id, name, org, org_name;
    int64_t importance;            /* 1..5 */
};
struct cf_enrich_org {
    cf_str id, name;
};
struct cf_enricher;
/* Copies everything. geo_path: MaxMind database of cities or countries, "" none. */
int cf_enricher_new(const struct cf_enrich_asset *assets, size_t n_assets, const struct cf_enrich_org *orgs, size_t n_orgs, const char *geo_path,
                    struct cf_enricher **ret, struct cf_error *reterr);
void cf_enricher_free(void *e);
size_t cf_enricher_assets(const struct cf_enricher *e);
/* ingested: text of the time, must live as long as the event (one per batch). 0 or CF_ENOMEM/CF_ELIMIT. */
int cf_enrich(const struct cf_enricher *e, struct cf_event *ev, const struct cf_record *rec, cf_str ingested);

#endif
