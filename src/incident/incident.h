/* SPDX-License-Identifier: Apache-2.0
 * incident: detection hits -> folded alerts -> scored incidents. */
#ifndef CF_INCIDENT_INCIDENT_H
#define CF_INCIDENT_INCIDENT_H

#include "detect/detect.h"
#include "store/record_store.h"

struct cf_hub;
struct cf_incident_engine;
int cf_incident_engine_new(struct cf_db *db, struct cf_hub *hub /* may be NULL */, struct cf_incident_engine **ret, struct cf_error *reterr);
void cf_incident_engine_free(struct cf_incident_engine *e); /* flushes */

/* Folds one batch of hits. Thread-safe. Everything needed is copied. token: the batch's name (spool segment and offset);
 * a token seen before changes nothing (replay after a crash). Alerts of the batch are durable when this returns 0, which is
 * what lets the pipeline commit its spool offset. event_ids[i] is the store id of hits[i].ev. Exceptions (false-positive filters)
 * are applied here; suppressed hits are counted per exception. */
int cf_incident_fold(struct cf_incident_engine *e, const struct cf_hit *hits, const cf_str *event_ids, size_t n, cf_str token, struct cf_error *reterr);

/* Exceptions were added or ended: the next fold reads them again. */
void cf_incident_exceptions_changed(struct cf_incident_engine *e);

/* 1 and the id when an exception hides this rule's hit on ev today, 0 when none does. For explanations: nothing is counted. */
int cf_incident_hidden_by(struct cf_db *db, const struct cf_rule_info *rule, const struct cf_event *ev, cf_str org, char ret_id[37], struct cf_error *reterr);

void cf_incident_routes(void); /* alerts, incidents, exceptions */
extern const struct cf_migration cf_incident_migrations[];
extern const size_t cf_incident_n_migrations;

#endif
