/* SPDX-License-Identifier: Apache-2.0
 * The routes of this folder. */
#include "ti/ti_int.h"

void cf_ti_routes(void)
{
    ti_indicator_routes();
    ti_import_routes();
}
