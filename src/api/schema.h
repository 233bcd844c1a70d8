/* SPDX-License-Identifier: Apache-2.0
 * Checks JSON against the part of JSON Schema our route table uses: type (also a list of types), required, properties,
 * additionalProperties:false, enum, minLength, maxLength, minimum, maximum, items, minItems, maxItems. Other keywords
 * (description, format, ...) are documentation. Depth of the input is limited by the JSON parser. */
#ifndef CF_API_SCHEMA_H
#define CF_API_SCHEMA_H

#include <jansson.h>

#include "base/base.h"

typedef void (*cf_schema_fail)(void *ctx, const char *field, const char *message);
/* Calls fail for each fault (at most 20), field as "a.b[2].c". True when there was none. */
bool cf_schema_check(const json_t *schema, json_t *value, cf_schema_fail fail, void *ctx);
/* Builds an object from query parameters: values of properties typed integer, number or boolean are converted when they can be
 * (otherwise they stay text and the check names them). One call a parameter. */
void cf_schema_query_add(const json_t *schema, json_t *object, const char *name, cf_str value);

#endif
