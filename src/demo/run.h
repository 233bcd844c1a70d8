/* SPDX-License-Identifier: Apache-2.0
 * run: lines of the demo city in time order. One run of a scenario is made whole when it begins (its lines with their
 * moments); background lines are made window by window at the asked rate and the rhythm of the hour; both are merged.
 *
 *   demo_run_scenario --lines--> pending (sorted) --+
 *                                                   +--> demo_run_window(from, to) --> sink, in time order
 *   background at `rate` x rhythm(hour) ------------+
 */
#ifndef CF_DEMO_RUN_H
#define CF_DEMO_RUN_H

#include "demo/city.h"

/* Gets each line: borrowed for the call. 0 to go on; anything else ends the window with that value. */
typedef int (*demo_sink)(void *ctx, const struct demo_asset *from, int64_t time_us, cf_str line);

struct demo_run;
struct demo_run *demo_run_new(const struct demo_city *c, uint64_t seed); /* NULL: no memory */
void demo_run_free(struct demo_run *r);
/* Adds one run of the scenario beginning at start_us. CF_ELIMIT: too many lines are waiting. */
int demo_run_scenario(struct demo_run *r, const struct demo_scenario *s, int64_t start_us, struct cf_error *reterr);
/* Gives the sink everything of from_us <= time < to_us. rate: background lines a second on an average workday. */
int demo_run_window(struct demo_run *r, int64_t from_us, int64_t to_us, double rate, demo_sink sink, void *ctx, struct cf_error *reterr);
/* Moment of the first line that waits; INT64_MAX: none. */
int64_t demo_run_next(const struct demo_run *r);
size_t demo_run_pending(const struct demo_run *r);
/* Share of the average at that hour of local time: mean over a day is about 1. */
double demo_rhythm(enum demo_rhythm k, int64_t time_us, int64_t zone_us);

#endif
