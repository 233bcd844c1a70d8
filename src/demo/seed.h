/* SPDX-License-Identifier: Apache-2.0
 * seed: a few notices made from incidents that the demo really caused, through the workflow engine, in the name of demo people. */
#ifndef CF_DEMO_SEED_H
#define CF_DEMO_SEED_H

#include "app/app.h"

/* CF_EBUSY: there are not yet enough incidents of demo units; try again later. */
int demo_seed_notices(struct cf_app *app, struct cf_error *reterr);

#endif
