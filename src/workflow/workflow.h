/* SPDX-License-Identifier: Apache-2.0
 * workflow: state machines are data (content/workflows). A definition says the states, the transitions, who may make them
 * (permission or role, issuing or receiving side), which form each wants, what must hold, the clocks of waiting states and
 * who is told what. A work item is one running instance and keeps the version it began with.
 *
 *   definition (YAML) --checked at load--> cf_workflow
 *   item: state --transition: who? guard? form?--> new state + history + messages + children, in one transaction
 *   SLA thread: clock of the state --75 %, 100 %--> reminder, overdue mark, escalation (the state stays)
 *
 * The engine knows no business: notices, tasks, orders are content plus a thin module with their list and statistics. */
#ifndef CF_WORKFLOW_WORKFLOW_H
#define CF_WORKFLOW_WORKFLOW_H

#include <jansson.h>

#include "directory/directory.h"
#include "form/form.h"
#include "store/record_store.h"

struct cf_hub;
struct cf_messenger;
struct cf_workflow; /* one definition, immutable */

/* ---- definitions ---- */
struct cf_workflow_refs { /* what a definition may name; NULL members are not checked */
    const struct cf_form_set *forms;              /* forms, and the dictionaries "roles" and "permissions" */
    bool (*template_known)(void *ctx, cf_str id); /* message templates */
    void *ctx;
};
/* Parses and checks one file's text: unknown keys, unknown forms, roles, permissions and templates, states that cannot be reached,
 * dead ends and a missing final state are refused with their line. Free with cf_workflow_free. */
int cf_workflow_parse(cf_str yaml, const struct cf_workflow_refs *refs, struct cf_workflow **ret, struct cf_error *reterr);
void cf_workflow_free(struct cf_workflow *w);
json_t *cf_workflow_json(const struct cf_workflow *w, bool full); /* new reference */

/* ---- engine ---- */
struct cf_workflow_engine;
struct cf_workflow_options {
    struct cf_db *db;
    const struct cf_form_set *forms;
    struct cf_messenger *messenger; /* may be NULL */
    struct cf_hub *hub;             /* may be NULL */
    const char *content_dir;        /* <content_dir>/workflows is loaded */
    const char *data_dir;           /* <data_dir>/attachments */
    int64_t check_us;               /* how often clocks are looked at; 0: no thread (tests call cf_workflow_tick) */
    int64_t attachment_max;         /* bytes; 0: 50 MiB */
    bool four_eyes;                 /* who.not_creator holds: nobody approves his own draft */
};
/* Loads and checks all definitions, stores new versions, and reads the versions that running items still need. A changed file
 * that kept its version number is refused while items of that version are running. */
int cf_workflow_engine_new(const struct cf_workflow_options *o, struct cf_workflow_engine **ret, struct cf_error *reterr);
void cf_workflow_engine_free(struct cf_workflow_engine *e);
/* Definition by kind; version 0: the newest. NULL: none. Borrowed. */
const struct cf_workflow *cf_workflow_find(const struct cf_workflow_engine *e, cf_str kind, int64_t version);
/* Borrowed; .p NULL when the workflow has no such state. */
cf_str cf_workflow_state_title(const struct cf_workflow *w, cf_str state, bool english);
json_t *cf_workflows_json(const struct cf_workflow_engine *e);

/* What a transaction did and what must be told after its commit. Zero-initialise; cf_work_publish frees it. */
struct cf_work_effects {
    size_t n, cap;
    char (*ids)[37];
};
/* After commit: live entries and message delivery. After a roll-back: cf_work_forget. */
void cf_work_publish(struct cf_workflow_engine *e, struct cf_work_effects *fx);
void cf_work_forget(struct cf_work_effects *fx);

struct cf_work_new {
    cf_str kind;
    const json_t *data;           /* the item's form, checked as a draft */
    cf_str source_type, source_id; /* "alert" or "incident" it came from; may be absent */
    cf_str dedup_key;             /* same key among open items of the kind with a receiver in common: CF_EEXIST and its id in ret_id, unless allow_duplicate; may be absent */
    bool allow_duplicate, english;
};
/* *ret_errors (new reference) on CF_EINVAL from the form. */
int cf_work_create(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, const struct cf_work_new *n,
                   char ret_id[37], struct cf_work_effects *fx, json_t **ret_errors, struct cf_error *reterr);
struct cf_work_act {
    cf_str id, transition, note;
    cf_str expect_state;     /* absent: not compared */
    int64_t expect_revision; /* 0: not compared */
    const json_t *form;      /* may be NULL */
    bool english;
};
/* Makes one transition. CF_ENOENT: outside the scope or no such item; CF_ECONFLICT: not possible in the present state or
 * changed by someone else; CF_EPERM: not this caller; CF_EINVAL with *ret_errors: the form. who NULL: the system itself. */
int cf_work_transition(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, const struct cf_work_act *a,
                       struct cf_work_effects *fx, json_t **ret_errors, struct cf_error *reterr);
/* Changes the item's own form while its state allows editing. */
int cf_work_edit(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, cf_str id, const json_t *data,
                 bool english, struct cf_work_effects *fx, json_t **ret_errors, struct cf_error *reterr);
/* Transitions this caller may make now: [{"transition","label":{zh,en},"style","form","note_required"}]. New reference. */
json_t *cf_work_actions(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, cf_str id, struct cf_error *reterr);
/* Everything about one item for one reader (contract: GET /work-items/{id}). New reference or NULL with CF_ENOENT. */
json_t *cf_work_detail(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, cf_str id, struct cf_error *reterr);
/* State name, clock and actions for list items. */
void cf_work_decorate(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, json_t *item, struct cf_error *reterr);
/* One look at all clocks as of now_us; *ret_acted (may be NULL): items reminded, marked or escalated. */
int cf_workflow_tick(struct cf_workflow_engine *e, int64_t now_us, size_t *ret_acted, struct cf_error *reterr);

/* ---- attachments: DATA/attachments/aa/SHA256, one row each ---- */
struct cf_attachment_new {
    cf_str item_id, name, type, content;
    bool internal; /* not for the receiving side */
};
int cf_attachment_add(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, const struct cf_attachment_new *n,
                      char ret_id[37], struct cf_error *reterr);
struct cf_attachment {
    cf_str id, item_id, name, type, sha256;
    int64_t size;
    char path[1024];
};
/* Only for callers who may see it; CF_ENOENT otherwise. Texts live in arena. */
int cf_attachment_get(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, cf_str id, struct cf_arena *arena,
                      struct cf_attachment *ret, struct cf_error *reterr);
/* Base name without control characters, path separators and leading dots, at most 180 bytes of valid UTF-8; "file" when nothing is left. */
cf_str cf_attachment_name(struct cf_arena *a, cf_str name);

void cf_workflow_routes(void);
extern const struct cf_migration cf_workflow_migrations[];
extern const size_t cf_workflow_n_migrations;

/* SQL over alias w: items waiting for this caller. Appends to sql, values to v (room for 16). */
void cf_work_todo_sql(struct cf_workflow_engine *e, const struct cf_principal *who, struct cf_buf *sql, struct cf_dbval *v, size_t *n_v, size_t max_v);

#endif
