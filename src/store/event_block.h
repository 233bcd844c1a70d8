/* SPDX-License-Identifier: Apache-2.0
 * The inside of cf_event_block for the back ends. */
#ifndef CF_STORE_EVENT_BLOCK_H
#define CF_STORE_EVENT_BLOCK_H

#include "store/event_schema.h"
#include "store/event_store.h"

struct cf_chunk {
    const void *p;
    size_t n;
    size_t own; /* private */
};
/* The block in Native format as pieces, valid until the block changes. CF_ENOMEM when building it had failed. */
int cf_event_block_chunks(struct cf_event_block *b, const struct cf_chunk **ret, size_t *ret_n);
/* Appends the names of the columns in the block, with their types when asked for: "day Date, time DateTime64(6, 'UTC'), ...". */
void cf_event_block_columns(const struct cf_event_block *b, bool types, struct cf_buf *out);
/* Appends the condition that every row has which the store may hold of this block already: its days, and its times in a few
 * stretches. CF_ENOMEM. The block has rows. */
int cf_event_block_where(const struct cf_event_block *b, struct cf_buf *out);

#endif
