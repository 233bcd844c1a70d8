/* SPDX-License-Identifier: Apache-2.0
 * pipeline: spool -> normalise -> enrich -> detect -> event store -> incidents -> commit. Worker threads take batches from the
 * spool in order; a batch is stored under a token that names it, so a replay after a crash changes nothing; the spool is
 * committed after the event store has synced. Rules, source files, assets and data sources are replaced while it runs. */
#ifndef CF_PIPELINE_PIPELINE_H
#define CF_PIPELINE_PIPELINE_H

#include <jansson.h>

#include "collect/counters.h"
#include "collect/kafka.h"
#include "collect/listen.h"
#include "collect/spool.h"
#include "collect/tail.h"
#include "detect/detect.h"
#include "incident/incident.h"
#include "store/event_store.h"
#include "store/record_store.h"
#include "ti/ti.h"

struct cf_hub;
struct cf_messenger;
struct cf_normaliser;
struct cf_pipeline_options {
    void *app;                           /* given to cf_asset_changed */
    struct cf_db *db;
    struct cf_event_store *events;       /* NULL: nothing is stored (tests of speed) */
    struct cf_incident_engine *incidents; /* NULL: hits are counted only */
    struct cf_ti *ti;                    /* NULL: no intelligence */
    struct cf_hub *hub;                  /* NULL: no live figures */
    struct cf_messenger *messenger;      /* NULL: nobody is told of silent data sources */
    const char *data_dir, *content_dir;
    size_t n_rules;                      /* rule paths beside content/rules and DATA/rules */
    const char *const *rules;
    bool no_rules;
    cf_str zone;                         /* of sources that state none */
    cf_str rule_zone;                    /* in which rules count hours and days; empty: CF_RULES_ZONE */
    const char *geo;                     /* MaxMind database, "" none */
    int64_t workers;                     /* 0: one per core */
    struct cf_spool_options spool;       /* dir is set to DATA/spool */
    struct cf_tail_options tail;         /* spool, counters, sources, state_path are set; n_paths 0: off */
    struct cf_kafka_options kafka;       /* spool, counters, sources, state_path are set; brokers "" or NULL: off */
    struct cf_listen_options listen;     /* spool, counters, sources are set; udp and tcp NULL: no listeners */
};
struct cf_pipeline;
int cf_pipeline_start(const struct cf_pipeline_options *o, struct cf_pipeline **ret, struct cf_error *reterr);
/* Stops listeners and workers; what is in the spool stays there for the next start. NULL is fine. */
void cf_pipeline_stop(struct cf_pipeline *p);

/* Records of one origin into the spool, counted for origin.key. durable: returns when they are on disk. Waits at most
 * timeout_ms for room. CF_EFULL (reason), CF_ETIMEOUT, CF_ELIMIT, CF_EIO. Thread-safe. */
int cf_pipeline_append(struct cf_pipeline *p, const struct cf_spool_origin *o, const cf_str *recs, size_t n, bool durable, int timeout_ms,
                       struct cf_error *reterr);
/* Data source by name: false when there is none. */
bool cf_pipeline_source(struct cf_pipeline *p, cf_str name, struct cf_source_info *ret);
/* Waits until everything appended so far is stored and committed. False: not within timeout_ms. */
bool cf_pipeline_drain(struct cf_pipeline *p, int timeout_ms);
/* What was measured of senders' clocks so far is dropped: after records of the past were appended on purpose. */
void cf_pipeline_forget_skew(struct cf_pipeline *p);

/* Loads rules and source files again and swaps them in; on an error the old ones stay. */
int cf_pipeline_reload(struct cf_pipeline *p, struct cf_error *reterr);
/* Only the rules: files and stored texts. What is detected with the old set stays so; there is no moment without rules. */
int cf_pipeline_reload_rules(struct cf_pipeline *p, struct cf_error *reterr);
/* Where the rules in use come from, stored texts included; lives in a. */
int cf_pipeline_library(struct cf_pipeline *p, struct cf_arena *a, struct cf_rules_options *ret, struct cf_error *reterr);
/* Rules that are off (hits are dropped) and staged (hits are counted and listed, and make no alerts); copied. */
int cf_pipeline_switch_rules(struct cf_pipeline *p, const cf_str *off, size_t n_off, const cf_str *staged, size_t n_staged);
/* The source files in use, held until cf_pipeline_normaliser_put. */
const struct cf_normaliser *cf_pipeline_normaliser(struct cf_pipeline *p, struct cf_shared_box **ret_box);
void cf_pipeline_normaliser_put(struct cf_pipeline *p, struct cf_shared_box *box);
/* The rules in use, held until cf_pipeline_rules_put. */
const struct cf_ruleset *cf_pipeline_rules(struct cf_pipeline *p, struct cf_shared_box **ret_box);
void cf_pipeline_rules_put(struct cf_pipeline *p, struct cf_shared_box *box);
/* Counters since the start of the server, of the rules in box (from cf_pipeline_rules): malloc, owned by caller, one entry a
 * rule. NULL: no memory. */
struct cf_rule_counters *cf_pipeline_rule_counters(struct cf_pipeline *p, const struct cf_shared_box *box);
void cf_pipeline_assets_changed(struct cf_pipeline *p); /* assets or data sources: loaded again within a second */

struct cf_pipeline_stats {
    uint64_t received, accepted, rejected, stored, failed, unparsed, hits, batches;
    uint64_t queue_bytes;
    double eps, lag_seconds;
    bool store_failing;
    char store_reason[240];
};
void cf_pipeline_get_stats(struct cf_pipeline *p, struct cf_pipeline_stats *ret);
struct cf_spool *cf_pipeline_spool(struct cf_pipeline *p);
struct cf_counters *cf_pipeline_counters(struct cf_pipeline *p);
/* How an enabled data source stands, the same wherever it is shown: "online", "silent" (longer than silent_us), "waiting" (registered,
 * still within that time for its first record), "error" (more than half of today's records, and 20 at least, were not understood).
 * c may be NULL; last_us: newest record the table knows of, 0 none. */
const char *cf_source_state(const struct cf_counter *c, int64_t last_us, int64_t made_us, int64_t silent_us, int64_t now_us);
struct cf_listener *cf_pipeline_listener(struct cf_pipeline *p); /* NULL: none */
json_t *cf_pipeline_health(struct cf_pipeline *p);               /* body of GET /api/v1/health; new reference */
json_t *cf_pipeline_unparsed(struct cf_pipeline *p, size_t max); /* newest samples; new reference */

struct cf_app;
void cf_pipeline_metrics(struct cf_app *app, struct cf_buf *out); /* Prometheus lines; the app registers it */
extern const struct cf_migration cf_pipeline_migrations[];
extern const size_t cf_pipeline_n_migrations;
void cf_pipeline_routes(void); /* health, sources, unparsed, bulk */

#endif
