/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CF_DETECT_CORR_INT_H
#define CF_DETECT_CORR_INT_H

#include "detect/correlate.h"

#define CF_SHARDS 64u
struct cf_entry { /* one counted hit */
    int64_t t;
    uint64_t seq;
    union {
        uint64_t val; /* hash of the value, or number of the rule */
        double num;
    } u;
};
struct cf_dslot {
    uint64_t val;
    uint32_t n;
};
struct cf_extra { /* what most keys never need */
    int64_t fired_us;   /* end of the window that fired last, CF_TIME_NONE */
    uint64_t fired_seq; /* the event that made it fire */
    double sum, sum_rest; /* Neumaier's pair */
    struct cf_dslot *dist; /* counts per distinct value of the window, when it is large */
    double *sorted;        /* percentile: the window's numbers in order */
    uint32_t n_dist, used_dist, cap_dist;
    uint32_t cap_sorted;
    struct { /* no window that ends in [from, to + span] can become true by fewer than n + 1 more entries (corr_window.c) */
        bool known;
        uint32_t n;
        int64_t from, to, fired_us; /* fired_us as it was then */
    } room;
};
struct cf_state { /* one correlation and group; small, there may be a million */
    uint64_t key;
    struct cf_entry *e;   /* sorted by time, then arrival; the first one's room is behind text */
    struct cf_extra *x;   /* NULL until needed */
    uint32_t n;
    uint32_t win;         /* first entry of the window that ends at the newest entry */
    uint32_t corr;        /* rule index */
    uint32_t touched_s;   /* clock time of the newest arrival */
    uint16_t text_n;      /* group values, each ended by a NUL */
    uint8_t cap_log;      /* room for 1 << cap_log entries */
    bool active;          /* the condition was true at the newest entry */
    char text[];
};
static inline uint32_t cf_state_cap(const struct cf_state *s) { return UINT32_C(1) << s->cap_log; }
static inline int64_t cf_state_fired(const struct cf_state *s) { return s->x ? s->x->fired_us : CF_TIME_NONE; }
struct cf_extra *cf_state_extra(struct cf_state *s); /* NULL: no memory */
size_t cf_state_bytes(const struct cf_state *s);
struct cf_close { /* heap of windows to decide */
    int64_t at;
    uint64_t key;
};
struct cf_shard {
    pthread_mutex_t lock; /* guards all below */
    struct cf_state **slot;
    size_t cap, n, hand;
    size_t bytes;
    int64_t newest_us;
    struct cf_close *heap;
    size_t n_heap, cap_heap;
};
#define CF_CLOCKS 64u
/* How far each detector is in event time: newest event of the batch it has in hand. Batches of old logs run side by side and lie
 * far apart in event time; what the slowest one may still bring is not over. */
struct cf_clock {
    _Atomic bool used;
    _Atomic int64_t at; /* INT64_MAX: no batch in hand */
} __attribute__((aligned(64)));
struct cf_correlator {
    const struct cf_ruleset *rs;
    struct cf_clock clock[CF_CLOCKS];
    _Atomic uint32_t n_clocks; /* the highest ever used + 1 */
    struct cf_shard shard[CF_SHARDS];
    int64_t lateness_us;
    size_t max_bytes; /* per shard */
    _Atomic int64_t next_close_us; /* no window needs a decision before */
    _Atomic uint64_t evicted, late, ungrouped;
};

/* ---- aggregates (corr_agg.c) ---- */
/* Aggregate of e[from, to) computed anew. */
double cf_agg_fresh(const struct cf_corr *k, const struct cf_entry *e, size_t from, size_t to);
/* Running aggregate of e[win, n): an entry joins or leaves. */
bool cf_agg_join(const struct cf_corr *k, struct cf_state *s, const struct cf_entry *e);
void cf_agg_leave(const struct cf_corr *k, struct cf_state *s, const struct cf_entry *e);
double cf_agg_now(const struct cf_corr *k, const struct cf_state *s);
void cf_agg_reset(struct cf_state *s);
bool cf_agg_true(const struct cf_corr *k, double v);

/* ---- windows (corr_window.c) ---- */
struct cf_fire { /* a condition that became true; filled under the shard's lock, acted on after it */
    bool yes;
    double value;
    int64_t t;
    cf_str text;       /* group values */
    uint64_t *events;
    size_t n_events;
};
/* The newest entry of s, or one that came late and stands at `at`, moves the windows it lies in. 0 or CF_ENOMEM. */
int cf_window_newest(struct cf_arena *a, const struct cf_corr *k, struct cf_state *s, struct cf_fire *f);
int cf_window_late(struct cf_arena *a, const struct cf_corr *k, struct cf_state *s, uint32_t at, struct cf_fire *f);
/* The window with the highest aggregate of those that hold t: [*ret_from, *ret_to) of the entries, empty when there is none. */
int cf_window_fullest(const struct cf_corr *k, const struct cf_state *s, int64_t t, uint32_t *ret_from, uint32_t *ret_to);
int cf_note_fire(struct cf_arena *a, struct cf_state *s, uint32_t from, uint32_t to, double value, struct cf_fire *f);

/* ---- keys (corr_state.c) ---- */
/* How many of the n entries are older than t. */
uint32_t cf_entries_before(const struct cf_entry *e, uint32_t n, int64_t t);
struct cf_state *cf_state_find(struct cf_shard *sh, uint64_t key);
struct cf_state *cf_state_make(struct cf_correlator *c, struct cf_shard *sh, uint64_t key, uint32_t corr, cf_str text);
void cf_state_drop(struct cf_shard *sh, struct cf_state *s);
void cf_state_free(struct cf_state *s);
/* Puts an entry in at its place; returns its index, or -1 (no memory). */
ptrdiff_t cf_state_insert(struct cf_state *s, const struct cf_entry *e);
void cf_state_cut(const struct cf_corr *k, struct cf_state *s, uint32_t n); /* drops the n oldest */
/* A few keys per call: those whose windows are over go. */
void cf_shard_sweep(struct cf_correlator *c, struct cf_shard *sh, size_t steps, int64_t mark, uint32_t now_s);
bool cf_close_push(struct cf_correlator *c, struct cf_shard *sh, int64_t at, uint64_t key);
bool cf_close_pop(struct cf_shard *sh, int64_t now, struct cf_close *ret);

#endif
