/* SPDX-License-Identifier: Apache-2.0
 * demo: the demo city of content/demo in a running server: loads organisations, people, assets and data sources (all ids begin
 * with "demo-", so that they can be told apart and removed), then a thread writes log lines in the formats of the real devices
 * into the pipeline, by the same way as syslog: one day of past on the first start, then live, with attack chains in both.
 *
 *   content/demo --load--> records (demo-...)          thread --lines--> cf_pipeline_append --> spool --> ... --> incidents
 */
#ifndef CF_DEMO_DEMO_H
#define CF_DEMO_DEMO_H

#include "app/app.h"

struct cf_demo;
struct cf_demo_options {
    struct cf_app *app;       /* borrowed: db, pipeline, directory, workflows (may be NULL), content_dir, data_dir */
    double rate;              /* background lines a second, averaged over a day */
    int64_t backfill_us;      /* past to make on the first start; 0: none */
    int64_t backfill_lines;   /* background lines in it */
    int64_t chain_every_us;   /* a new attack chain begins about this often */
    int64_t first_chain_us;   /* the first one after the start */
    uint32_t hash_memory_kib, hash_passes; /* of the demo accounts' password */
};
/* Loads what is missing and starts the thread. */
int cf_demo_start(const struct cf_demo_options *o, struct cf_demo **ret, struct cf_error *reterr);
void cf_demo_stop(struct cf_demo *d); /* NULL is fine */

struct cf_demo_stats {
    uint64_t lines, chains, failed;
    bool backfilled;
};
void cf_demo_get_stats(struct cf_demo *d, struct cf_demo_stats *ret);

/* Removes everything demo from the records and the events, and the accounts file (SYS-017). The server must not run the demo meanwhile. */
struct cf_demo_removed {
    int64_t records, events;
};
int cf_demo_remove(struct cf_db *db, struct cf_event_store *events, const char *data_dir, struct cf_demo_removed *ret, struct cf_error *reterr);

/* The demo that the routes speak of. cf_demo_end stops it and forgets it. */
void cf_demo_set_running(struct cf_demo *d);
void cf_demo_end(void);
void cf_demo_routes(void);
extern const struct cf_migration cf_demo_migrations[];
extern const size_t cf_demo_n_migrations;

#endif
