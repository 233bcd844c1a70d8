/* SPDX-License-Identifier: Apache-2.0
 * Private to src/ti: one page of what a TAXII collection gives. */
#ifndef CF_TI_TAXII_H
#define CF_TI_TAXII_H

#include "ti/ti_int.h"

#define TI_TAXII_MATCHES 10u  /* values of one match[...] */
#define TI_TAXII_SPELLINGS 3u /* of one version: as asked for, with milliseconds, without a fraction */

enum ti_taxii_what { TI_TAXII_OBJECTS, TI_TAXII_MANIFEST, TI_TAXII_VERSIONS };
struct ti_taxii_query {
    const struct ti_select *select; /* of the collection */
    enum ti_taxii_what what;
    int64_t after_us, limit; /* after_us: dates later than this */
    cf_str id[TI_TAXII_MATCHES], type[TI_TAXII_MATCHES], version[TI_TAXII_MATCHES * TI_TAXII_SPELLINGS];
    int64_t version_us[TI_TAXII_MATCHES];
    size_t n_ids, n_types, n_versions; /* 0: any */
    int spec;                          /* 20, 21; 0: any */
};
struct ti_taxii_page {
    json_t *out; /* owned by the caller; of manifests the entries, of versions the texts */
    int64_t n, first_us, last_us;
    bool more;
};
int ti_taxii_page(struct cf_db *db, const struct ti_taxii_query *q, struct ti_taxii_page *ret, struct cf_error *reterr);
json_t *ti_taxii_date(int64_t us); /* with microseconds */

#endif
