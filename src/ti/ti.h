/* SPDX-License-Identifier: Apache-2.0
 * ti: threat intelligence. Indicators come in (files, feeds, TAXII, incidents), are reviewed, matched against every event and
 * against stored ones, and go out again to units and their devices.
 *
 *   files, feeds, TAXII, incidents --import--> library (record store) --reload--> matcher set --> workers (events, alerts)
 *                                                 |  ^ hits, sightings                |
 *                                                 |  '--------------------------------'
 *                                                 +--> feeds (txt, csv, stix), TAXII server, exports;  retro-hunts over stored events */
#ifndef CF_TI_TI_H
#define CF_TI_TI_H

#include "detect/detect.h"
#include "store/event_store.h"
#include "store/record_store.h"
#include "ti/matcher.h"

struct cf_audit;
struct cf_hub;
struct cf_incident_engine;
struct cf_ti;
struct cf_ti_options {
    struct cf_db *db;
    struct cf_event_store *events;        /* NULL: no retro-hunts */
    struct cf_incident_engine *incidents; /* NULL: retro-hunts raise no alerts */
    struct cf_audit *audit;               /* how imports end; NULL: nowhere */
    const char *content_dir, *key_file;   /* key_file: seals credentials of sources */
    const char *data_dir;                 /* what is being fetched lies here; NULL: /tmp */
    bool thread;                          /* fetch sources, run hunts, expire and reload by itself */
};
/* Loads exclusions and the active indicators; returns when the first set is in place. */
int cf_ti_start(const struct cf_ti_options *o, struct cf_ti **ret, struct cf_error *reterr);
/* The server is about to end: imports and fetches give up at their next step, so that requests with them return. NULL is fine. */
void cf_ti_ending(struct cf_ti *ti);
void cf_ti_stop(struct cf_ti *ti); /* NULL is fine */
/* Indicators, sources or exclusions changed: the set is built again soon. NULL is fine. */
void cf_ti_changed(struct cf_ti *ti);
/* Builds the set now. */
int cf_ti_reload(struct cf_ti *ti, struct cf_error *reterr);

/* ---- one worker of the pipeline ---- */
struct cf_ti_thread;
struct cf_ti_thread *cf_ti_thread_new(struct cf_ti *ti); /* NULL: no memory */
void cf_ti_thread_free(struct cf_ti_thread *t);
/* Between two batches: takes the newest set. */
void cf_ti_thread_take(struct cf_ti_thread *t);
/* After a batch: hands the counted hits over. */
void cf_ti_thread_done(struct cf_ti_thread *t);
/* Tags the event with threat.* fields; hits live in ev->arena and until the next cf_ti_thread_take. count false: a second pass over the same
 * event (tags only). 0 or CF_ENOMEM. */
int cf_ti_inspect(struct cf_ti_thread *t, struct cf_event *ev, int64_t now_us, bool count, const struct cf_hit **ret_hits, size_t *ret_n);

struct cf_ti_stats {
    uint64_t indicators, bytes, generation, lookups_hit;
    double load_seconds;
    int64_t loaded_us;
};
void cf_ti_get_stats(struct cf_ti *ti, struct cf_ti_stats *ret);

void cf_ti_routes(void);
extern const struct cf_migration cf_ti_migrations[];
extern const size_t cf_ti_n_migrations;

#endif
