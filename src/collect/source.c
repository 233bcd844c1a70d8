/* SPDX-License-Identifier: Apache-2.0
 * Peer -> data source; see source.h. */
#include "collect/source.h"

#include <stdio.h>
#include <stdlib.h>

void cf_source_table_free(void *p)
{
    struct cf_source_table *t = p;

    if (!t)
        return;
    cf_prefix_table_free(t->prefix);
    free(t->row);
    free(t);
}

void cf_source_find(struct cf_shared *live, const struct cf_ip *ip, struct cf_source_info *ret)
{
    struct cf_shared_box *b = cf_shared_get(live);
    const struct cf_source_table *t = b ? b->p : NULL;
    uint32_t i;

    if (t && t->prefix && cf_prefix_find(t->prefix, ip, &i) && i < t->n) {
        *ret = t->row[i];
        ret->known = true;
    } else {
        *ret = (struct cf_source_info){.name = "unknown", .enabled = true};
    }
    cf_shared_put(live, b);
}

void cf_source_by_name(struct cf_shared *live, cf_str name, struct cf_source_info *ret)
{
    struct cf_shared_box *b = cf_shared_get(live);
    const struct cf_source_table *t = b ? b->p : NULL;

    *ret = (struct cf_source_info){.enabled = true};
    (void)snprintf(ret->name, sizeof ret->name, "%.*s", (int)(name.n < sizeof ret->name ? name.n : sizeof ret->name - 1), name.p ? name.p : "");
    for (size_t i = 0; name.n && t && i < t->n; i++)
        if (cf_str_eqz(name, t->row[i].name)) {
            *ret = t->row[i];
            ret->known = true;
            break;
        }
    cf_shared_put(live, b);
}
