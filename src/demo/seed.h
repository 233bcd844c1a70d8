/* SPDX-License-Identifier: Apache-2.0
 * seed: a few notices made from incidents that the demo really caused, through the workflow engine, in the name of demo people. */
#ifndef CF_DEMO_SEED_H
#define CF_DEMO_SEED_H

#include "app/app.h"

/* CF_EBUSY: not enough cases yet. patient: five of different units are waited for; else chance gave fewer, and what there is will do. */
int demo_seed_notices(struct cf_app *app, bool patient, struct cf_error *reterr);

#endif
