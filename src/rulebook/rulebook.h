/* SPDX-License-Identifier: Apache-2.0
 * rulebook: rules as content that people edit. Shipped rules stay files in content/rules; a custom rule, or the edited text of a
 * shipped one, is a text in the record store with all its versions. The detector is loaded from both: a stored text takes the
 * place of the shipped rules with its ids. Also here: the state of each rule (enabled, staged, disabled), what staged rules
 * would have reported, the lists behind %name%, and back-tests over stored events.
 *
 * All functions are thread-safe; JSON results are new references. */
#ifndef CF_RULEBOOK_RULEBOOK_H
#define CF_RULEBOOK_RULEBOOK_H

#include <jansson.h>

#include "detect/detect.h"
#include "store/event_store.h"
#include "store/record_store.h"

#define CF_RULE_TEXT_MAX (256u << 10) /* one stored text */

/* ---- loading ---- */
/* Adds the stored texts, the ids they replace and the lists to o; everything lives in a. */
int cf_rulebook_fill(struct cf_db *db, struct cf_arena *a, struct cf_rules_options *o, struct cf_error *reterr);
int cf_rulebook_fill_tx(struct cf_tx *tx, struct cf_arena *a, struct cf_rules_options *o, struct cf_error *reterr); /* as the transaction sees them */

/* ---- checking (check.c) ---- */
#define CF_RULE_BESIDE_FILE "waiting" /* of texts that wait as proposals, beside the one under test */
#define CF_RULE_TEXT_FILE "edited" /* info.file of rules compiled from a text under test */
/* The text alone; when that is refused and library is given, again together with the library (correlations over its rules).
 * Rules of the text have the file CF_RULE_TEXT_FILE. Free with cf_ruleset_free. CF_ESYNTAX: nothing of the text can be used;
 * *ret is set all the same, to ask why. */
int cf_rulebook_compile(const struct cf_rules_options *library, cf_str yaml, struct cf_ruleset **ret, struct cf_error *reterr);
/* {"valid":bool,"errors":[{"line","column","message","title"}],"warnings":[same],"rules":[{"id","title","level","correlation"}],"fields":[{"sigma","ecs":[]}]} */
int cf_rulebook_check(const struct cf_rules_options *library, cf_str yaml, json_t **ret, struct cf_error *reterr);
/* Line and column (1-based) a compiler message speaks of. */
void cf_rulebook_position(cf_str yaml, cf_str message, int *ret_line, int *ret_column);

/* ---- stored texts (store.c) ---- */
struct cf_rule_who {
    cf_str id, name;
};
struct cf_rule_save {
    cf_str text_id;         /* key: id of the text's first rule */
    cf_str title, yaml, note;
    const char *action;     /* create edit restore import */
    bool edited;            /* stands in the place of a shipped rule */
    bool fresh;             /* a new text: CF_EEXIST when one of its name is in use */
    size_t n_ids;
    const cf_str *ids;      /* rules of the text */
    size_t n_replaces;
    const cf_str *replaces; /* shipped ids that must not load beside it */
    int64_t expect_version; /* < 0: any; else CF_ECONFLICT when the newest is another */
    struct cf_rule_who who;
};
/* CF_EEXIST: another text holds one of the ids. This and CF_ECONFLICT are found before anything is written. */
int cf_rulebook_put(struct cf_tx *tx, const struct cf_rule_save *s, int64_t *ret_version, struct cf_error *reterr);
/* Takes the text out of use; its versions stay. */
int cf_rulebook_remove(struct cf_tx *tx, cf_str text_id, const char *action, cf_str note, struct cf_rule_who who, struct cf_error *reterr);
/* Text that holds a rule id: {"id","title","yaml","version","edited","ids":[],"replaces":[],"updated_at","updated_by"}; CF_ENOENT. */
int cf_rulebook_get(struct cf_db *db, cf_str rule_id, json_t **ret, struct cf_error *reterr);
/* [{"version","time","user","action","note","yaml"}], newest first. */
int cf_rulebook_versions(struct cf_db *db, cf_str text_id, json_t **ret, struct cf_error *reterr);

/* ---- states ---- */
enum cf_rule_state { CF_RULE_ENABLED, CF_RULE_STAGED, CF_RULE_DISABLED };
const char *cf_rule_state_name(enum cf_rule_state s);
bool cf_rule_state_parse(cf_str s, enum cf_rule_state *ret);
int cf_rulebook_set_state(struct cf_tx *tx, cf_str rule_id, enum cf_rule_state s, cf_str note, cf_str user_name, struct cf_error *reterr);
/* Ids that are staged and disabled; live in a. */
int cf_rulebook_states(struct cf_db *db, struct cf_arena *a, cf_str **ret_staged, size_t *ret_n_staged, cf_str **ret_off, size_t *ret_n_off, struct cf_error *reterr);

/* Did this person write the text in use that holds the rule? Shipped rules: nobody. */
int cf_rulebook_written_by(struct cf_tx *tx, cf_str rule_id, cf_str user_id, bool *ret, struct cf_error *reterr);

/* ---- proposals: changes that wait for a second person (proposal.c) ---- */
enum cf_rule_proposal_state { CF_RULE_PROPOSAL_DRAFT, CF_RULE_PROPOSAL_SUBMITTED, CF_RULE_PROPOSAL_APPROVED, CF_RULE_PROPOSAL_RETURNED, CF_RULE_PROPOSAL_WITHDRAWN };
#define CF_RULE_PROPOSAL_STATES 5
const char *cf_rule_proposal_state_name(enum cf_rule_proposal_state s);
struct cf_rule_proposal {
    cf_str id, rule_id, title, yaml, note; /* rule_id empty: a new rule */
    int64_t base_version;                  /* of the rule's text it was made from */
    enum cf_rule_proposal_state state;
    struct cf_rule_who author;
};
struct cf_rule_decision {
    struct cf_rule_who who;
    cf_str note, went; /* went: "staged" or "enabled" of an approval */
};
int cf_rule_proposal_get(struct cf_tx *tx, cf_str id, struct cf_arena *a, struct cf_rule_proposal *ret, struct cf_error *reterr); /* CF_ENOENT; texts in a */
int cf_rule_proposal_add(struct cf_tx *tx, const struct cf_rule_proposal *p, struct cf_error *reterr);
int cf_rule_proposal_change(struct cf_tx *tx, const struct cf_rule_proposal *p, struct cf_error *reterr); /* its text and note */
/* d NULL: by the author. CF_ECONFLICT: it is not in state `from` any more. */
int cf_rule_proposal_move(struct cf_tx *tx, cf_str id, enum cf_rule_proposal_state from, enum cf_rule_proposal_state to, const struct cf_rule_decision *d, struct cf_error *reterr);
/* Texts that wait: submitted ones, and drafts and returned ones of the author, but the proposal `except`; the newest 500, in a. */
int cf_rule_proposal_waiting(struct cf_tx *tx, cf_str author_id, cf_str except, struct cf_arena *a, cf_str **ret, size_t *ret_n, struct cf_error *reterr);
int cf_rule_proposal_done(struct cf_tx *tx, cf_str id, cf_str rule_id, struct cf_error *reterr); /* the rule it became */

/* ---- import and export (archive.c) ---- */
struct cf_rule_file {
    cf_str name, text;
};
/* A YAML text, or an archive (zip, tar, gzip, zstd, xz) of .yml/.yaml files. At most 20,000 files and 64 MiB unpacked. */
int cf_rulebook_unpack(struct cf_arena *a, cf_str name, cf_str bytes, struct cf_rule_file **ret, size_t *ret_n, struct cf_error *reterr);
/* kind "zip" or "tar.gz". */
int cf_rulebook_pack(const struct cf_rule_file *f, size_t n, const char *kind, struct cf_buf *out, struct cf_error *reterr);

/* ---- hits of staged rules (staged.c) ---- */
struct cf_staged;
struct cf_staged *cf_staged_new(void);
void cf_staged_free(struct cf_staged *s);
void cf_staged_note(struct cf_staged *s, const struct cf_hit *h, const char *event_id); /* counted in memory, bounded */
int cf_staged_flush(struct cf_staged *s, struct cf_db *db, struct cf_error *reterr);    /* what was counted, into the records */

/* ---- back-tests (backtest.c) ---- */
struct cf_backtests;
struct cf_normaliser;
struct cf_backtest_env {
    struct cf_db *db;
    struct cf_event_store *events;
    void *ctx;
    /* The normaliser and the library in use, held until put. */
    const struct cf_normaliser *(*normaliser)(void *ctx, void **ret_box);
    void (*normaliser_put)(void *ctx, void *box);
    int (*library)(void *ctx, struct cf_arena *a, struct cf_rules_options *o, struct cf_error *reterr);
};
/* One thread; jobs that were running when the process ended start again from their beginning. */
int cf_backtests_start(const struct cf_backtest_env *env, struct cf_backtests **ret, struct cf_error *reterr);
void cf_backtests_stop(struct cf_backtests *b);
struct cf_backtest_request {
    cf_str rule_id, title, yaml, query;
    int64_t from_us, to_us, max_events;
    struct cf_event_scope scope;
    struct cf_rule_who who;
    size_t n_beside;       /* texts that wait as proposals and whose rules this one refers to */
    const cf_str *beside;
};
int cf_backtest_add(struct cf_backtests *b, const struct cf_backtest_request *q, char ret_id[37], struct cf_error *reterr);
/* Queued or running: ends it. CF_ECONFLICT when it has ended already. */
int cf_backtest_cancel(struct cf_backtests *b, cf_str id, struct cf_error *reterr);

extern const struct cf_migration cf_rulebook_migrations[];
extern const size_t cf_rulebook_n_migrations;

#endif
