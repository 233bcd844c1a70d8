/* SPDX-License-Identifier: Apache-2.0
 * Shared by the readers of content/demo. */
#ifndef CF_DEMO_CITY_INT_H
#define CF_DEMO_CITY_INT_H

#include "demo/city.h"

enum demo_ftype { DEMO_F_STR, DEMO_F_INT, DEMO_F_TIME /* 90s 10m 2h: microseconds */ };
struct demo_field {
    const char *name;
    enum demo_ftype type;
    size_t offset;
    bool required;
};
/* Fills the struct from a YAML map; keys that are neither fields nor in `other` (NULL-terminated, may be NULL) are refused. */
int demo_read_fields(const struct cf_ynode *map, const struct demo_field *f, size_t n, const char *const *other, void *target, struct cf_error *reterr);
bool demo_duration(cf_str s, int64_t *ret_us);
/* "map key" as a sequence; CF_ESYNTAX when it is missing (and required) or no sequence. *ret may be NULL. */
int demo_seq(const struct cf_ynode *map, const char *key, bool required, const struct cf_ynode **ret, struct cf_error *reterr);
int demo_strings(struct cf_arena *a, const struct cf_ynode *seq, cf_str **ret, size_t *ret_n, struct cf_error *reterr);
int demo_read_background(struct demo_city *c, const struct cf_ynode *root, struct cf_error *reterr);
int demo_expand_assets(struct demo_city *c, const struct cf_ynode *root, struct cf_error *reterr);

#endif
