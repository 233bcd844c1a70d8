/* SPDX-License-Identifier: Apache-2.0
 * Private to src/workflow: the running side. */
#ifndef CF_WORKFLOW_ENGINE_INT_H
#define CF_WORKFLOW_ENGINE_INT_H

#include <pthread.h>

#include "message/message.h"
#include "workflow/def.h"

struct cf_workflow_engine {
    struct cf_workflow_options o;
    struct cf_arena arena;
    struct cf_workflow *defs; /* every version ever loaded; newest of a kind first */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop, running; /* stop: under lock */
};

struct wf_item {
    const struct cf_workflow *def;
    int state;
    char id[37];
    cf_str kind, number, title, level, org, issuer_org, parent_id, root_id, created_by, clock_name, source_type, source_id;
    json_t *data; /* owned */
    int64_t version, revision, due_us, clock_start_us, entered_us, reminded, created_us, updated_us, issued_us, finished_us, urged;
    bool overdue, done;
};
/* CF_ENOENT when there is none. Texts live in a; wf_item_release frees the rest. */
int wf_item_read(struct cf_workflow_engine *e, struct cf_tx *tx, struct cf_arena *a, cf_str id, struct wf_item *ret, struct cf_error *reterr);
void wf_item_release(struct wf_item *it);
bool wf_item_visible(struct cf_tx *tx, const struct cf_principal *who, const struct wf_item *it);
bool wf_may(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, const struct wf_item *it, const struct wf_transition *t);
int wf_effect(struct cf_work_effects *fx, const char *id, struct cf_error *err);

struct wf_log { /* one history entry */
    const struct cf_principal *who; /* NULL: the system */
    cf_str item_id, action, from, to, note;
    const json_t *form; /* may be NULL */
};
int wf_history(struct cf_tx *tx, struct cf_arena *a, const struct wf_log *l, struct cf_error *err);
/* Sets the clock of the state just entered (item fields only). */
void wf_clock_enter(struct cf_tx *tx, struct wf_item *it, int new_state, int64_t now_us);
int wf_todo_write(struct cf_workflow_engine *e, struct cf_tx *tx, const struct wf_item *it, struct cf_error *err);
int wf_notify_all(struct cf_workflow_engine *e, struct cf_tx *tx, struct cf_arena *a, const struct wf_item *it, const struct wf_notifies *n,
                  const struct cf_principal *actor, cf_str note, struct cf_error *err);
/* Whether an active person other than who could move the item on from this state. */
bool wf_somebody_else(struct cf_tx *tx, struct cf_arena *a, const struct cf_principal *who, const struct wf_item *it, int state);
int wf_children_open(struct cf_tx *tx, const char *id, int64_t *ret, struct cf_error *err);
json_t *wf_time_json(int64_t us); /* null when 0 */
char *wf_dump(struct cf_arena *a, const json_t *j);
cf_str wf_org_name(struct cf_tx *tx, struct cf_arena *a, cf_str id);


#endif
