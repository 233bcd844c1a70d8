/* SPDX-License-Identifier: Apache-2.0
 * A workflow definition in memory. Private to src/workflow. */
#ifndef CF_WORKFLOW_DEF_H
#define CF_WORKFLOW_DEF_H

#include "form/content.h"
#include "workflow/workflow.h"

#define WF_LEVELS 4
#define WF_STATES_MAX 64
#define WF_REMIND_MAX 6
extern const char *const wf_levels[WF_LEVELS]; /* critical high medium low */
int wf_level_index(cf_str level);              /* -1: none of them */

enum wf_side { WF_ANY, WF_ISSUER, WF_RECEIVER };
struct wf_list {
    size_t n;
    cf_str *v;
};
struct wf_who {
    struct wf_list permissions, roles; /* any one of them */
    enum wf_side side;
    bool creator, not_creator;
};
enum wf_to { WF_TO_RECEIVER, WF_TO_ISSUER, WF_TO_CREATOR };
struct wf_notify {
    enum wf_to to;
    cf_str permission; /* people of that side who hold it; absent: everyone of that side */
    cf_str template;
    int state; /* only when the item is then in this state; -1: always */
};
struct wf_notifies {
    size_t n;
    struct wf_notify *v;
};
struct wf_transition {
    cf_str id, style, form;
    struct cf_text title;
    size_t n_from;
    uint8_t *from;
    int to; /* -1: the state stays */
    int to_if_nobody; /* where it goes when nobody else could move it on from "to"; -1: there is no such way */
    struct wf_who who;
    bool note, attachment, receivers, children_final; /* what must hold */
    bool system;    /* only the engine makes it */
    bool automatic; /* made as soon as all children are final */
    bool todo;      /* counts as work for those who may make it */
    bool spawn;     /* makes a child for each receiver */
    bool number;    /* gives the item its number */
    bool urge;      /* counted, clock untouched */
    cf_str spawn_field; /* form field with the receivers of a hand-down; absent: the definition's receivers field */
    cf_str cascade; /* system transition made on all open children */
    struct wf_notifies notify;
    uint32_t line;
};
struct wf_clock {
    cf_str name;            /* states with the same clock share the deadline */
    int64_t us[WF_LEVELS];  /* 0: no limit */
    cf_str due_field;       /* a date field of the item's or the parent's form that goes before */
    size_t n_remind;
    int64_t remind[WF_REMIND_MAX]; /* percent, ascending */
    int64_t repeat_us;      /* after the last one; 0: never */
    int64_t escalate;       /* percent; 0: never */
    struct wf_notifies notify, escalate_to;
};
struct wf_state {
    cf_str id;
    struct cf_text title;
    bool final, edit;
    bool has_clock;
    struct wf_clock clock;
    uint32_t line;
};
struct cf_workflow {
    struct cf_arena arena;
    cf_str id, text, sha; /* text: the file as it was */
    int64_t version;
    struct cf_text title;
    cf_str form, number, child, receivers_field, title_field, level_field;
    cf_str create_permission, read_permission;
    size_t n_states, n_transitions;
    struct wf_state *states;
    struct wf_transition *transitions;
    uint8_t initial;
    struct cf_workflow *next;
};
int wf_state_index(const struct cf_workflow *w, cf_str id); /* -1 */
const struct wf_transition *wf_transition_find(const struct cf_workflow *w, cf_str id);
bool wf_from_has(const struct wf_transition *t, int state);

#endif
