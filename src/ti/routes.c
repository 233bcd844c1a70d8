/* SPDX-License-Identifier: Apache-2.0
 * The routes of this folder. */
#include "ti/ti_int.h"

void cf_ti_routes(void)
{
    ti_indicator_routes();
    ti_import_routes();
    ti_hunt_routes();
    ti_source_routes();
    ti_feed_routes();
    ti_taxii_routes();
    ti_collection_routes();
    ti_stats_routes();
}
