/* SPDX-License-Identifier: Apache-2.0
 * Configuration -> what the collectors are told. */
#ifndef CF_APP_INTAKES_H
#define CF_APP_INTAKES_H

#include "app/server_config.h"
#include "pipeline/pipeline.h"

/* Fills o->listen, tail and kafka; texts live in a, intakes until app_intakes_release (also after an error). */
int app_intakes(const struct cf_server_config *c, const char *data_dir, struct cf_arena *a, struct cf_pipeline_options *o, struct cf_error *reterr);
void app_intakes_release(struct cf_pipeline_options *o);

#endif
