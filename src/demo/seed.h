/* SPDX-License-Identifier: Apache-2.0
 * seed: a few notices made from incidents that the demo really caused, through the workflow engine, in the name of demo people. */
#ifndef CF_DEMO_SEED_H
#define CF_DEMO_SEED_H

#include "app/app.h"

int demo_seed_notices(struct cf_app *app, size_t least, struct cf_error *reterr); /* CF_EBUSY: fewer cases than least yet */

#endif
