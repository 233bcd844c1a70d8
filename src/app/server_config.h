/* SPDX-License-Identifier: Apache-2.0
 * Every option of the server: one row each in server_config.def (`chengfang serve --print-config` prints it). */
#ifndef CF_APP_SERVER_CONFIG_H
#define CF_APP_SERVER_CONFIG_H

#include "base/base.h"

struct cf_server_config {
#define CF_OPT_STR_T cf_str
#define CF_OPT_INT_T int64_t
#define CF_OPT_BOOL_T bool
#define CF_OPT_SIZE_T int64_t
#define CF_OPT_DURATION_T int64_t
#define CF_OPT_LIST_T struct cf_opt_list
#define OPT(member, name, type, def, min, max, doc) CF_OPT_##type##_T member;
#include "app/server_config.def"
#undef OPT
};
extern const struct cf_opt cf_server_options[];
extern const size_t cf_server_n_options;

#endif
