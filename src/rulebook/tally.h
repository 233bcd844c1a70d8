/* SPDX-License-Identifier: Apache-2.0
 * rulebook, private: what a back-test counts. Memory is bounded: 20,000 values a field, 50 samples, 20,000 alerts. */
#ifndef CF_RULEBOOK_TALLY_H
#define CF_RULEBOOK_TALLY_H

#include "rulebook/rulebook.h"

struct cf_tally;
struct cf_tally *cf_tally_new(void);
void cf_tally_free(struct cf_tally *t);
/* Judged alerts of the time range, to say how many of the matches people have confirmed or called false. */
int cf_tally_alerts(struct cf_tally *t, struct cf_db *db, const struct cf_event_scope *scope, cf_str rule_id, int64_t from_us, int64_t to_us, struct cf_error *reterr);
void cf_tally_hit(struct cf_tally *t, const struct cf_hit *h, const char *event_id); /* event_id NULL: decided at the end of a window */
void cf_tally_covered(struct cf_tally *t, int64_t time_us);
json_t *cf_tally_json(const struct cf_tally *t);

#endif
