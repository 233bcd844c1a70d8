/* SPDX-License-Identifier: Apache-2.0
 * Data quality, private to src/pipeline: what is remembered of each data source beside its counters, who is silent, and doing
 * unparsed records again. */
#ifndef CF_PIPELINE_QUALITY_H
#define CF_PIPELINE_QUALITY_H

#include "api/route.h"
#include "pipeline/pipeline_int.h"

#define QUALITY_MINUTES 60u
#define QUALITY_SKEWS 256u
#define QUALITY_FIELDS 24u
/* Stored events that were not understood, or whose source, named by the sender, did not know the text. */
#define QUALITY_FAILED "(event_kind = 'pipeline_error' OR bitAnd(flags, 16) != 0)"
_Static_assert(CF_EV_UNRECOGNISED == 16u, "QUALITY_FAILED names it");

/* Of one data source, since the start of this process. Workers add samples, the keeper the minutes. */
struct quality {
    _Atomic uint32_t minute[QUALITY_MINUTES]; /* records a minute; place = minute % 60 */
    _Atomic int64_t at;                       /* minute of the newest place; the keeper writes it */
    uint64_t received;                        /* counter at its begin; keeper only */
    _Atomic int32_t skew_ms[QUALITY_SKEWS];   /* receiving time minus event time of the newest samples */
    _Atomic uint32_t n_skew;
    _Atomic uint32_t sampled, field[QUALITY_FIELDS];
};
struct quality *quality_of(struct cf_counter *k); /* made when missing; NULL: no memory */
void quality_sample(struct cf_counter *k, const struct cf_event *ev);
void quality_tick(struct cf_pipeline *p, int64_t now_us);
/* Registered sources that have been silent longer than they may, and those that came back: message, health. */
void quality_check_silent(struct cf_pipeline *p);
json_t *quality_silent_component(struct cf_pipeline *p); /* for health */
void quality_routes(void);
/* What an event that was not understood or not recognised keeps for doing it again: data source, sender, hints. */
void quality_mark_unparsed(struct cf_event *ev, const struct cf_spool_origin *o);

struct reprocess;
void reprocess_stop(struct cf_pipeline *p);
int reprocess_post(struct cf_req *req, struct cf_error *reterr);
int reprocess_get(struct cf_req *req, struct cf_error *reterr);
int reprocess_delete(struct cf_req *req, struct cf_error *reterr);

#endif
