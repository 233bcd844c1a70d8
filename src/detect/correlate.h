/* SPDX-License-Identifier: Apache-2.0
 * correlate: windows over the hits of other rules, by event time. State is shared by all workers: 64 shards with a lock
 * each, chosen by rule and group, touched only when a rule that a correlation refers to has hit.
 *
 *   hit of rule r ─► for each correlation over r: group-by values ─► shard ─► key ─► sorted entries, running aggregate
 *                                                                              ─► condition true? ─► hit (and chains)
 *
 * Window: entries with end - timespan <= time <= end. A condition with lower bounds only fires when it becomes true,
 * and again each timespan while it stays true. A condition with an upper bound is decided when its window, opened by
 * the first entry, is over. */
#ifndef CF_DETECT_CORRELATE_H
#define CF_DETECT_CORRELATE_H

#include "detect/match.h"

struct cf_correlator *cf_correlator_new(const struct cf_ruleset *rs);
void cf_correlator_free(struct cf_correlator *c);
/* The event in d has hit rule `index`; hits of correlations are added to d. 0 or CF_ENOMEM. */
int cf_correlate(struct cf_correlator *c, struct cf_detector *d, uint32_t index);
/* Decides windows that are over at the time of the event in d. */
int cf_correlate_closed(struct cf_correlator *c, struct cf_detector *d);

#define CF_CORR_SEEN 32u /* rules of a temporal correlation */
/* How many groups have a window open. */
size_t cf_correlate_open(struct cf_correlator *c, const struct cf_corr *k);
/* What is in the open windows of the group that the event in d belongs to as a hit of rule k->rules[which]. */
struct cf_corr_view {
    cf_str missing;   /* .p set: the event has no value for this, so it is not counted; nothing below is set */
    cf_str group;     /* "field=value,field=value", in the event's arena; "" without group-by */
    uint32_t n;       /* entries of the window, 0: none is open */
    double value;     /* its aggregate */
    int64_t from, to; /* first and last entry */
    bool yes;         /* the condition holds for it */
    uint32_t seen[CF_CORR_SEEN]; /* temporal: entries of each rule */
};
/* Lower bounds: the fullest window that holds the event's time; others: the one that its group opened. 0 or CF_ENOMEM. */
int cf_correlate_view(struct cf_correlator *c, struct cf_detector *d, const struct cf_corr *k, uint32_t which, struct cf_corr_view *ret);

/* A detector's place among the clocks; NULL: all are taken, its events then count by their own time only. */
struct cf_clock;
struct cf_clock *cf_clock_take(struct cf_correlator *c);
void cf_clock_give(struct cf_clock *k); /* NULL is fine */
void cf_clock_set(struct cf_clock *k, int64_t at);
void cf_clock_tick(struct cf_clock *k, const struct cf_event *ev);

#endif
