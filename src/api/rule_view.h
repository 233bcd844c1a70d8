/* SPDX-License-Identifier: Apache-2.0
 * api, private to the rule_*.c files: the rules in use joined with what the records know of them. */
#ifndef CF_API_RULE_VIEW_H
#define CF_API_RULE_VIEW_H

#include "api/list.h"
#include "api/rules.h"
#include "pipeline/pipeline.h"
#include "rulebook/rulebook.h"

struct rule_row {
    const struct cf_rule_info *info;
    enum cf_rule_state state;
    int64_t hits, last_us;   /* alerts' events of the last day */
    int64_t hits_30d, false_30d, alerts_30d; /* with rule_view_month */
    int64_t staged_hits;
    bool stored, edited;     /* the text stands in the records; in the place of a shipped one */
};
struct rule_view {
    struct cf_req *req;
    const struct cf_ruleset *rs;
    struct cf_shared_box *box;
    struct rule_row *rows;
    size_t n;
};
static inline struct cf_app *rule_app(const struct cf_req *req) { return req->app; }
/* The rules are held until close. CF_EUNSUPPORTED: detection is switched off. */
int rule_view_open(struct cf_req *req, struct rule_view *v, struct cf_error *reterr);
void rule_view_close(struct rule_view *v);
int rule_view_month(struct rule_view *v, struct cf_error *reterr); /* fills the *_30d figures */
/* The words of api/list.h over id title level status enabled state origin product category service tags tactic technique file. */
int rule_view_filter(struct rule_view *v, cf_str text, struct cf_error *reterr);
int rule_view_sort(struct rule_view *v, struct cf_error *reterr);
struct rule_row *rule_view_find(struct rule_view *v, cf_str id, struct cf_error *reterr);
json_t *rule_row_json(const struct rule_view *v, const struct rule_row *row);
json_t *rule_str(cf_str s);
json_t *rule_time(int64_t us);
json_t *rule_file_text(const char *path); /* or JSON null */
json_t *rule_text(struct cf_req *req, const struct rule_row *row, json_t **ret_stored);
bool rule_is_tactic(cf_str tag, cf_str *ret_name); /* "attack.execution" */
bool rule_is_technique(cf_str tag, cf_str *ret_id); /* "attack.t1059.001" */
/* Where the rules come from, with the stored texts. */
int rule_library(struct cf_req *req, struct cf_rules_options *ret, struct cf_error *reterr);
/* Rules and switches as the records have them now, in the running pipeline. */
int rule_apply(struct cf_req *req, bool texts, struct cf_error *reterr);
struct cf_rule_who rule_who(const struct cf_req *req);
/* Ends the transaction (r < 0: undone) and gives the running detector the new set. */
int rule_commit(struct cf_req *req, struct cf_tx **tx, int r, struct cf_error *reterr);
const struct rule_row *rule_view_row(const struct rule_view *v, cf_str id); /* NULL: none has it */

/* ---- two people (rule_proposals.c) ---- */
bool rule_approval_on(const struct cf_req *req);
int rule_direct(struct cf_req *req, struct cf_error *reterr); /* CF_ECONFLICT: texts change by proposals only */
/* May the caller set this state? CF_EPERM: approval is on and he has not rule.approve, or wrote the text he would take live. */
int rule_second_person(struct cf_req *req, struct cf_tx *tx, cf_str id, enum cf_rule_state to, struct cf_error *reterr);
/* A text that could be saved as rule_id (empty: a new rule), the new text of a proposal (empty: a new one): with its id and title, in the
 * request's arena. */
int rule_text_check(struct cf_req *req, cf_str rule_id, cf_str proposal, cf_str yaml, cf_str *ret_yaml, cf_str *ret_title, struct cf_error *reterr);
/* Proposed texts checked against the rules in use, which are looked at once for all of them. */
struct rule_text {
    const struct cf_rule_proposal *from;
    cf_str yaml;
    int r; /* < 0: err says why it cannot be used */
    struct cf_error err;
    struct cf_rule_save save; /* in the request's arena */
};
int rule_texts_ready(struct cf_req *req, struct rule_text *t, size_t n, struct cf_error *reterr);

/* ---- texts beside each other (rule_batch.c) ---- */
bool rule_text_counts(cf_str yaml); /* it may hold a correlation, which refers to other rules */
/* lib and n texts more; *ret may be *lib. In the request's arena, the texts are views. */
int rule_library_with(struct cf_req *req, const struct cf_rules_options *lib, const cf_str *texts, size_t n, struct cf_rules_options *ret, struct cf_error *reterr);
/* The library; with rules.approval a text that counts finds the proposals that wait too (submitted ones, and the caller's own), but `except`. */
int rule_library_for(struct cf_req *req, cf_str yaml, cf_str except, struct cf_rules_options *ret, struct cf_error *reterr);
/* Looks at each text beside all the others, and again at those that count when some were refused, until it stays. t[i].r, .err: the verdict.
 * < 0: a failure. */
/* What tx has written takes no rule out of use that is in use now. CF_ECONFLICT: it names the rule and why. */
int rule_none_lost(struct cf_req *req, struct cf_tx *tx, struct cf_error *reterr);
/* Waiting texts (proposals) whose rules a correlation refers to, directly or through others of them; in the request's arena. None where proposals are off. */
int rule_waiting_for(struct cf_req *req, cf_str yaml, const cf_str **ret, size_t *ret_n, struct cf_error *reterr);
typedef int (*rule_text_look)(void *ctx, const struct cf_rules_options *lib, struct rule_text *t, struct cf_error *reterr);
int rule_texts_settle(struct cf_req *req, const struct cf_rules_options *lib, struct rule_text *t, size_t n, rule_text_look look, void *ctx, struct cf_error *reterr);
/* The text becomes its author's new version, its rules staged or enabled; the detector gets it with rule_commit. */
int rule_text_put(struct cf_req *req, struct cf_tx *tx, const struct cf_rule_save *s, cf_str state, struct cf_error *reterr);

/* ---- decisions about proposals, one or many (rule_decide.c) ---- */
struct rule_verdict {
    cf_str id;
    const char *why; /* NULL: done; own, state, stale, exists, text, gone */
    int r;
    struct cf_error err;
};
/* Approves (into the state d->went) or returns n proposals in one transaction with one reload of the rules; what is refused changes
 * nothing. Audited: an entry for each that was decided, beside the request's own. */
int rule_decide(struct cf_req *req, struct rule_verdict *v, size_t n, bool approve, const struct cf_rule_decision *d, bool audited, struct cf_error *reterr);
void cf_rule_proposal_routes(void);

void cf_rule_edit_routes(void);
void cf_rule_transfer_routes(void);
void cf_rule_list_routes(void);
void cf_rule_test_routes(void);
void cf_rule_backtest_routes(void);
void cf_rule_coverage_routes(void);

#endif
