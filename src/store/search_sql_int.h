/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files that write conditions of a search (search_sql.c, search_ip.c). */
#ifndef CF_STORE_SEARCH_SQL_INT_H
#define CF_STORE_SEARCH_SQL_INT_H

#include "store/search_lang.h"

extern const char *const search_ops[]; /* by enum cf_search_op */
/* CF_ESYNTAX with place and reason. */
int search_wrong(size_t pos, struct cf_error *reterr, cf_str field, const char *what);
/* Appends a parameter of the store's type with this value. */
int search_bind(struct cf_search_sql *s, cf_str v, const char *type, struct cf_error *reterr);
cf_str search_lower(struct cf_arena *a, cf_str v);

/* expr compared with an address; column: expr is an address column, not the text of an extra. */
int search_ip_cmp(struct cf_search_sql *s, const char *expr, bool column, enum cf_search_op op, const struct cf_search_value *v, cf_str field,
                  struct cf_error *reterr);

#endif
