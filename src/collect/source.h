/* SPDX-License-Identifier: Apache-2.0
 * Whose records are these: the allow list of the listeners (COL-037). A table is immutable; a change of the data sources
 * builds a new one. */
#ifndef CF_COLLECT_SOURCE_H
#define CF_COLLECT_SOURCE_H

#include "base/prefix.h"
#include "base/shared.h"

struct cf_source_info {
    char name[96];   /* counter key; "" in a row: refused */
    char source[64]; /* hint for normalise */
    char format[32];
    char org[64];
    bool known;      /* has a row */
    bool enabled;
};
struct cf_source_table {
    struct cf_prefix_table *prefix;
    size_t n;
    struct cf_source_info *row; /* index = prefix value */
};
void cf_source_table_free(void *t);
/* Looks a peer up in the table of `live` (a struct cf_source_table). Unknown peers: .known false, name "unknown". */
void cf_source_find(struct cf_shared *live, const struct cf_ip *ip, struct cf_source_info *ret);
/* By name, for collectors that are told whose records they bring. Unknown names: .known false, enabled, the name given. */
void cf_source_by_name(struct cf_shared *live, cf_str name, struct cf_source_info *ret);

#endif
