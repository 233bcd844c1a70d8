/* SPDX-License-Identifier: Apache-2.0
 * The tests every event store passes: run on embedded chDB and on a cluster. The store starts empty. */
#ifndef CF_TEST_EVENT_SUITE_H
#define CF_TEST_EVENT_SUITE_H

#include "test.h"

#include "store/event_store.h"

extern struct cf_event_store *store; /* the one under test */
/* Events from..to-1 of the fixture as one block, synced. */
void insert_range(struct cf_event_store *s, uint64_t from, uint64_t to, const char *token, bool again);
/* First line of the answer; to be freed. */
char *query_text(struct cf_event_store *s, const char *sql);
int event_suite_run(const char *name);
/* What an insert made again does on a single engine. `store`, whose tables are in this database, is empty before and after. */
void event_suite_again(const char *database);

#define assert_query(sql, want)                 \
    do {                                        \
        char *cf_q_ = query_text(store, (sql));      \
        assert_string_equal(cf_q_, (want));     \
        free(cf_q_);                            \
    } while (0)

#endif
