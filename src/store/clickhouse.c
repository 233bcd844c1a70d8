/* SPDX-License-Identifier: Apache-2.0 */
#include "store/event_private.h"

static int none(struct cf_event_store *s, const struct cf_event_store_options *o, struct cf_error *reterr)
{
    (void)s;
    (void)o;
    return cf_error_set(reterr, CF_EUNSUPPORTED, "event store: the ClickHouse back end is being written");
}
static void nothing(struct cf_event_store *s)
{
    (void)s;
}
const struct cf_event_backend cf_event_clickhouse = {.name = "clickhouse", .open = none, .close = nothing};
