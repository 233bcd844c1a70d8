/* SPDX-License-Identifier: Apache-2.0
 * UPDATE of the columns a JSON object names. Column names come from our table, values are bound. */
#ifndef CF_DIRECTORY_PATCH_H
#define CF_DIRECTORY_PATCH_H

#include <jansson.h>

#include "store/record_store.h"

struct cf_patch_col {
    const char *key; /* in the JSON object and the column's name */
    char kind;       /* 't' text, 'i' integer, 'b' boolean, 'j' any JSON kept as text */
};
/* Also sets updated_us. Returns 0; *ret_any false when the object named none of the columns (nothing was done). */
int cf_patch(struct cf_tx *tx, const char *table, cf_str id, const struct cf_patch_col *cols, size_t n, const json_t *object, bool *ret_any, struct cf_error *reterr);

#endif
