/* SPDX-License-Identifier: Apache-2.0
 * Between the files that compile a source file. All return 0 or an error that names file and line. */
#ifndef CF_NORMALISE_SOURCE_LOAD_H
#define CF_NORMALISE_SOURCE_LOAD_H

#include "normalise/source.h"

struct cf_load {
    struct cf_arena *a;
    struct cf_source *s;
    struct cf_lookup *lookup;
    size_t n_lookup;
    struct cf_error *err;
};

/* source_shape.c */
int cf_load_fail(struct cf_load *l, const struct cf_ynode *n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int cf_load_nomem(struct cf_load *l);
/* Every child key must be in the list of words (separated by blanks). */
int cf_load_keys(struct cf_load *l, const struct cf_ynode *map, const char *what, const char *words);
/* A scalar or a list of scalars. */
int cf_load_strings(struct cf_load *l, const struct cf_ynode *y, const char *what, cf_str **ret, size_t *ret_n);
int cf_load_ref(struct cf_load *l, const struct cf_ynode *at, cf_str name, bool target, struct cf_ref *ret);
cf_str cf_load_leaf(cf_str name); /* behind the last dot */
int cf_load_sets(struct cf_load *l, const struct cf_ynode *y, struct cf_sets *ret);
pcre2_code *cf_load_regex(struct cf_load *l, const struct cf_ynode *y, int *ret); /* NULL: *ret says why */
/* source_map.c */
int cf_load_lookups(struct cf_load *l, const struct cf_ynode *y);
int cf_load_target(struct cf_load *l, const struct cf_ynode *y, struct cf_target *ret);
int cf_load_map(struct cf_load *l, const struct cf_ynode *y, struct cf_map *ret);
int cf_load_conds(struct cf_load *l, const struct cf_ynode *y, struct cf_cond **ret, size_t *ret_n);
/* source_match.c */
int cf_load_matches(struct cf_load *l, const struct cf_ynode *y);

#endif
