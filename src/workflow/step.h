/* SPDX-License-Identifier: Apache-2.0
 * Private to src/workflow: one step of an item, between work.c (may it be?) and step.c (do it). */
#ifndef CF_WORKFLOW_STEP_H
#define CF_WORKFLOW_STEP_H

#include "workflow/engine_int.h"

struct wf_step {
    struct cf_workflow_engine *e;
    struct cf_tx *tx;
    struct cf_arena *a;
    const struct cf_principal *who; /* NULL: the system */
    struct cf_work_effects *fx;
    struct cf_error *err;
    int64_t now_us;
    bool english;
    int depth; /* parent <-> child chains */
};
/* Where the transition leads; a state in which nobody but the actor could go on is passed over when the definition says so. */
int wf_step_target(struct wf_step *s, const struct wf_item *it, const struct wf_transition *t);
/* Makes the step; everything was checked. form: what goes into history; spawn_data: where hand-down receivers stand, or NULL. */
int wf_step_run(struct wf_step *s, struct wf_item *it, const struct wf_transition *t, cf_str note, const json_t *form, const json_t *spawn_data);
int wf_step_insert(struct wf_step *s, const struct wf_item *it, const struct cf_work_new *n); /* n may be NULL */
/* CF_ECONFLICT when the item is no longer at that revision. */
int wf_step_save(struct wf_step *s, const struct wf_item *it, int64_t was_revision);
int wf_step_log(struct wf_step *s, const struct wf_item *it, const char *action, cf_str from, cf_str note, const json_t *form);
/* Whether the query, which takes the id, has a row. */
bool wf_row_exists(struct cf_tx *tx, const char *sql, cf_str id);
const json_t *wf_data_list(const json_t *data, cf_str field); /* an array, or NULL */

#endif
