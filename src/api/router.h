/* SPDX-License-Identifier: Apache-2.0
 * Finding the route of a request. Private to src/api and its tests. */
#ifndef CF_API_ROUTER_H
#define CF_API_ROUTER_H

#include "api/route.h"

#define CF_PATH_PARAMS 4
struct cf_path_params {
    size_t n;
    cf_str name[CF_PATH_PARAMS], value[CF_PATH_PARAMS]; /* views of the pattern and of the path */
};
/* pattern: literal segments, "{name}" or "{name}:verb". *ret_literals ranks matches: more literal segments win. */
bool cf_path_match(const char *pattern, cf_str path, struct cf_path_params *ret, unsigned *ret_literals);
/* NULL: no such route; *ret_methods then has a bit per method the path does know (405 instead of 404). */
const struct cf_route *cf_route_find(enum cf_method m, cf_str path, struct cf_path_params *ret, size_t *ret_index, unsigned *ret_methods);
json_t *cf_routes_schema(size_t i); /* borrowed */
const char *cf_method_name(enum cf_method m);
bool cf_method_parse(cf_str s, enum cf_method *ret); /* HEAD counts as GET */

#endif
