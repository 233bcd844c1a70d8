/* SPDX-License-Identifier: Apache-2.0
 * Texts of JSON values as views; what is no string is CF_STR_NONE. The value owns the bytes. */
#ifndef CF_BASE_JSTR_H
#define CF_BASE_JSTR_H

#include <jansson.h>

#include "base/str.h"

static inline cf_str cf_json_view(const json_t *v)
{
    return json_is_string(v) ? cf_str_n(json_string_value(v), json_string_length(v)) : CF_STR_NONE;
}
static inline cf_str cf_json_text(const json_t *o, const char *key) { return cf_json_view(json_object_get(o, key)); }

#endif
