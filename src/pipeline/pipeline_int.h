/* SPDX-License-Identifier: Apache-2.0
 * What the files of this folder share: pipeline.c (life), worker.c (batches), keeper.c (commit, figures), *_routes.c. */
#ifndef CF_PIPELINE_PIPELINE_INT_H
#define CF_PIPELINE_PIPELINE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "collect/crash.h"
#include "base/shared.h"
#include "enrich/enrich.h"
#include "normalise/normalise.h"
#include "pipeline/pipeline.h"
#include "rulebook/rulebook.h"

#define UNPARSED_MAX 256
struct unparsed {
    char *key, *peer, *raw, *reason;
    int64_t received_us;
};
#define WORKER_KEYS 64
struct worker_key {
    struct cf_counter *counter;
    char key[CF_COUNTER_KEY];
    size_t key_n;
    uint64_t stored, failed, unparsed;
};
struct flight { /* a batch that was handed out and is not before the committed position */
    struct cf_spool_pos start;
    uint64_t first; /* number of its first event */
};
/* Lines of a batch that are parts of events (assemble.c). */
struct assembly_line {
    uint64_t seq;
    cf_str text;    /* view into the batch */
    uint32_t group, next;
};
struct assembly_group {
    uint64_t key;
    size_t bytes;
    uint32_t n, first, last;
    bool ended, failed;
};
struct assembly {
    struct assembly_line *line; /* in the order of the batch */
    struct assembly_group *group;
    uint32_t *slot;             /* hash table: group + 1 */
    size_t n_lines, cap_lines, n_groups, cap_groups, n_slots;
    size_t at;                  /* next line to be met */
};
enum assembled { ASSEMBLED_SINGLE, ASSEMBLED_WHOLE, ASSEMBLED_PART };
struct worker {
    struct cf_pipeline *p;
    uint64_t last_seq; /* number of the newest event of the batch */
    pthread_t thread;
    bool on;
    struct cf_shared_box *norm_box, *rules_box, *enrich_box; /* held while a batch runs */
    uint64_t norm_gen, rules_gen;                           /* of norm and detector */
    struct cf_norm_thread *norm;
    struct cf_detector *detector;
    struct cf_ti_thread *ti;     /* NULL: no intelligence */
    pthread_mutex_t detector_mu; /* detector is replaced or read from outside under it */
    struct cf_arena arena;
    struct cf_event_block *block;
    struct cf_spool_batch batch;
    /* reading position in the batch */
    struct cf_spool_frame frame;
    uint32_t frame_at;
    struct assembly assembly;
    const uint8_t *frame_bytes;
    struct worker_key key[WORKER_KEYS];
    size_t n_keys, cur_key;
    int64_t now_us; /* when the chunk began */
    bool again; /* the batch is gone through a second time, for its columns only */
    struct cf_hit *hit;
    struct hit_id {
        char text[40];
    } *hit_id;
    cf_str *hit_id_str;
    size_t n_hits, cap_hits;
};

struct cf_pipeline {
    struct cf_pipeline_options o;
    char *data_dir, *content_dir, *geo;
    char **rule_path;
    size_t n_rule_paths;
    struct cf_spool *spool;
    struct cf_counters *counters;
    struct cf_listener *listener;
    struct cf_tail *tail;
    struct cf_kafka *kafka;
    struct reprocess *reprocess; /* the newest, under reprocess_mu */
    pthread_mutex_t reprocess_mu;
    size_t n_silent, n_watched; /* registered data sources; under mu */
    char silent_names[160];
    struct cf_shared norm, rules, enrich, sources, switches;
    pthread_rwlock_t batches_lock; /* workers read-lock it for a batch; who changes rules waits for all of them */
    pthread_mutex_t flight_mu;     /* the next four */
    struct flight *flight;
    size_t n_flights, cap_flights;
    uint64_t next_seq;             /* no event of a done batch has this number or a higher one */
    int64_t windows_after_us;      /* keeper only, with the next two */
    unsigned windows_tries;
    bool windows_written;
    struct cf_rule_ledger *ledger; /* figures per rule of detectors that are gone */
    struct worker *worker;
    size_t n_workers;
    struct cf_staged *staged;    /* what staged rules would have reported */
    pthread_mutex_t reload_mu;   /* one load of rules at a time */
    pthread_t keeper;
    bool keeper_on;
    _Atomic bool stop, assets_dirty;
    _Atomic uint64_t assembled, assembled_open; /* events made of several records; those whose end was not in the batch */
    _Atomic uint64_t hits, batches, store_retries, fold_retries, rule_loads;
    struct cf_stream *streams;   /* column headers, over reloads and restarts */
    pthread_mutex_t order_mu;    /* taking a batch and announcing its header lines; guards the three below */
    struct cf_norm_thread *announcer;
    struct cf_shared_box *announcer_box;
    struct cf_arena announcer_arena;
    pthread_mutex_t types_mu;    /* one change of source types at a time */
    pthread_mutex_t mu;          /* below */
    pthread_cond_t drained;
    char store_reason[240], sync_reason[240];
    _Atomic int64_t store_failing_since; /* 0: works */
    struct unparsed unparsed[UNPARSED_MAX];
    size_t n_unparsed;           /* ever; the ring holds the newest */
    int64_t unparsed_window_us;
    unsigned unparsed_in_window;
    json_t *store_stats;         /* newest, refreshed by the keeper */
    struct cf_spool_pos committed;
    /* keeper only */
    uint64_t tick_received;
    bool merges_held;
    int64_t merges_free_us; /* not held back before this */
    _Atomic uint64_t eps_milli;
    int64_t tick_us;
};

/* Rules that are off or staged, sorted by id. */
struct rule_switch {
    cf_str id;
    bool staged; /* hits are counted and listed, and make no alerts */
};
struct rule_switches {
    size_t n;
    struct rule_switch *v;
};

void *pipeline_worker_main(void *arg);
void *pipeline_keeper_main(void *arg);
void pipeline_load_tables(struct cf_pipeline *p); /* assets and data sources; errors are logged, the old tables stay */
int pipeline_load_sources(struct cf_db *db, struct cf_source_table **ret, struct cf_error *reterr); /* free with cf_source_table_free */
void pipeline_note_unparsed(struct cf_pipeline *p, const struct cf_spool_origin *o, cf_str raw, cf_str reason);
void pipeline_commit(struct cf_pipeline *p, bool last);    /* store sync, then checkpoint; failures are noted and tried again */
/* source_routes.c: cf_source_state of a row with enabled, last_seen, created_at, silent_after_seconds; "disabled". */
const char *source_status(json_t *item, const struct cf_counter *c);
/* assemble.c */
void assembly_begin(struct worker *w);   /* looks through the batch in hand */
/* rec is the next record of the batch: as it is; now with all lines of its event (in the arena); or part of one that was given already. */
bool assembly_goes_on(const struct cf_spool_origin *o, cf_str last); /* for cf_spool_options */
enum assembled assembly_take(struct worker *w, struct cf_record *rec);
void assembly_release(struct assembly *a);
/* windows.c */
int pipeline_flight_begin(struct worker *w); /* the batch in hand is known from here on; CF_ENOMEM */
void pipeline_flight_end(struct worker *w);  /* before it is reported done */
bool pipeline_windows_at(struct cf_pipeline *p, struct cf_spool_pos pos, bool last);
void pipeline_windows_load(struct cf_pipeline *p);
int pipeline_swap_rules(struct cf_pipeline *p, struct cf_ruleset *rs, void (*free_fn)(void *), struct cf_error *reterr);
void pipeline_flush_staged(struct cf_pipeline *p);
void worker_release(struct worker *w);
/* Which batches are inserted in parts: one empty file DATA/split/TOKEN each, synced before it counts. */
bool worker_split_mark(const struct worker *w);
bool worker_split_marked(const struct worker *w);
void pipeline_split_forget(struct cf_pipeline *p); /* at the start: marks too old to be of a batch in the spool */
void pipeline_bulk_routes(void);
void pipeline_journal_routes(void);
void pipeline_source_routes(void);
void pipeline_type_routes(void);
int pipeline_load_normaliser(struct cf_pipeline *p, struct cf_error *reterr); /* source files again, swapped in; on an error the old stay */

/* Cut to hundredths, so that what is not whole never reads as 100. */
static inline double cf_percent(uint64_t part, uint64_t whole)
{
    uint64_t hundredths = whole ? part * 10000 / whole : 0;

    return (double)hundredths / 100.0;
}

#endif
