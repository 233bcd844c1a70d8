/* SPDX-License-Identifier: Apache-2.0
 * Longest-prefix look-up of addresses, immutable once built: who is this peer, which asset is this address. One probe per
 * prefix length in use. */
#ifndef CF_BASE_PREFIX_H
#define CF_BASE_PREFIX_H

#include "base/str.h"

struct cf_prefix_table;
struct cf_prefix {
    struct cf_cidr net;
    uint32_t value; /* the caller's index */
};
/* Copies the entries. Of equal networks the first one counts. NULL: no memory. */
struct cf_prefix_table *cf_prefix_table_new(const struct cf_prefix *p, size_t n);
void cf_prefix_table_free(struct cf_prefix_table *t);
/* Most specific entry that holds ip. False: none. */
bool cf_prefix_find(const struct cf_prefix_table *t, const struct cf_ip *ip, uint32_t *ret);

#endif
