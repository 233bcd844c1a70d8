/* SPDX-License-Identifier: Apache-2.0
 * What people do with alerts and incidents. Each call is one step inside the caller's transaction. */
#ifndef CF_INCIDENT_TRIAGE_H
#define CF_INCIDENT_TRIAGE_H

#include "base/jstr.h"
#include "directory/directory.h"
#include "incident/incident_int.h"
#include "form/form.h"
#include "workflow/workflow.h"

struct inc_ctx {
    struct cf_incident_engine *e;
    struct cf_workflow_engine *w; /* may be NULL: no notices */
    struct cf_messenger *m;       /* may be NULL */
    struct cf_tx *tx;
    struct cf_arena *a;
    const struct cf_principal *who;
    struct cf_work_effects *fx;
    struct cf_error *err;
    bool english;            /* titles in English where there are any */
    const struct cf_form_set *forms; /* may be NULL: classification, opinions and orders are refused then */
    json_t *form_errors;             /* out: [{"field","message"}] of a refused form; the caller's */
    bool exceptions_changed; /* out: tell the engine after the commit */
    char made_id[37];        /* out: the notice or incident that was made */
    char touched[37];        /* out: the other incident that changed */
};
/* body: {"action", "note"?, "owner"?, "exception"?}. CF_EINVAL, CF_ECONFLICT (not in this state), CF_EPERM, CF_ENOENT. */
int inc_alert_act(struct inc_ctx *c, cf_str alert_id, const json_t *body);
int inc_incident_act(struct inc_ctx *c, cf_str incident_id, const json_t *body);
/* Stores an exception; match_org: only events of this organisation (absent: all). */
int inc_exception_add(struct inc_ctx *c, cf_str rule_id, cf_str match_org, cf_str alert_id, const json_t *spec, cf_str note, char ret_id[37]);
/* What a filter would have hidden of the alerts of the last days (1 to 30), judged by each alert's kept sample event:
 * {"days","checked","hidden","undecided","confirmed","examples":[...]}; confirmed: hidden ones that people found to be real, first in examples. */
json_t *inc_exception_preview(struct inc_ctx *c, cf_str rule_id, cf_str match_org, const json_t *fields, int days);
/* process.c: what people decide about an incident beside its state. */
int inc_classify(struct inc_ctx *c, cf_str incident, const json_t *form);
int inc_opinion(struct inc_ctx *c, cf_str incident, const json_t *form);
int inc_order(struct inc_ctx *c, cf_str incident, const json_t *form); /* a draft of workflow incident-order: made_id */
int inc_event_level(int importance, int loss, int harm);               /* 1 especially major ... 4 general */
json_t *inc_process_json(struct cf_tx *tx, cf_str incident, bool english, const struct cf_form_set *forms); /* classification, opinions, orders, early times */
int inc_notice_from(struct inc_ctx *c, const struct inc_alert *al, const char *source_type, cf_str source_id, cf_str title, cf_str content);

#endif
