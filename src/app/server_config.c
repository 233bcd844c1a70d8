/* SPDX-License-Identifier: Apache-2.0 */
#include "app/server_config.h"

const struct cf_opt cf_server_options[] = {
#define OPT(member, name, type, def, min, max, doc) {name, CF_OPT_##type, offsetof(struct cf_server_config, member), def, min, max, doc},
#include "app/server_config.def"
#undef OPT
};
const size_t cf_server_n_options = sizeof cf_server_options / sizeof *cf_server_options;
