/* SPDX-License-Identifier: Apache-2.0
 * Changes of rules that wait for a second person (rules.approval): draft -> submitted -> approved | returned | withdrawn. Here only
 * the rows; what an approval does to the detector is src/api/rule_proposals.c. */
#include "rulebook/rulebook.h"

static const char *const states[] = {"draft", "submitted", "approved", "returned", "withdrawn"};
const char *cf_rule_proposal_state_name(enum cf_rule_proposal_state s) { return states[s]; }

static cf_str text_of(const struct cf_stmt *st, int i, struct cf_arena *a) { return cf_stmt_str(st, i).n ? cf_arena_copy(a, cf_stmt_str(st, i)) : CF_STR_NONE; }

int cf_rule_proposal_get(struct cf_tx *tx, cf_str id, struct cf_arena *a, struct cf_rule_proposal *ret, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT rule_id, title, yaml, base_version, state, note, author_id, author_name FROM rule_proposal WHERE id = ?", &st, reterr, CF_S(id));

    memset(ret, 0, sizeof *ret);
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        *ret = (struct cf_rule_proposal){.id = cf_arena_copy(a, id), .rule_id = text_of(st, 0, a), .title = text_of(st, 1, a), .yaml = text_of(st, 2, a), .base_version = cf_stmt_i64(st, 3),
                                    .note = text_of(st, 5, a), .author = {text_of(st, 6, a), text_of(st, 7, a)}};
        for (int i = 0; i < CF_RULE_PROPOSAL_STATES; i++)
            if (cf_str_eqz(cf_stmt_str(st, 4), states[i]))
                ret->state = (enum cf_rule_proposal_state)i;
        r = 0;
    } else if (r == 0) {
        r = cf_error_set(reterr, CF_ENOENT, "there is no such proposal");
    }
    cf_stmt_free(st);
    return r;
}

int cf_rule_proposal_add(struct cf_tx *tx, const struct cf_rule_proposal *p, struct cf_error *reterr)
{
    int64_t now = cf_now_us();

    return cf_tx_exec(tx,
                      "INSERT INTO rule_proposal (id, rule_id, title, yaml, base_version, state, note, author_id, author_name, created_us, updated_us, submitted_us) VALUES "
                      "(?,?,?,?,?,?,?,?,?,?,?,?)",
                      reterr, CF_S(p->id), p->rule_id.n ? CF_S(p->rule_id) : CF_NUL, CF_S(p->title), CF_S(p->yaml), CF_I(p->base_version), CF_Z(states[p->state]), CF_S(p->note),
                      CF_S(p->author.id), CF_S(p->author.name), CF_I(now), CF_I(now), p->state == CF_RULE_PROPOSAL_SUBMITTED ? CF_I(now) : CF_NUL);
}

int cf_rule_proposal_change(struct cf_tx *tx, const struct cf_rule_proposal *p, struct cf_error *reterr)
{
    return cf_tx_exec(tx, "UPDATE rule_proposal SET title = ?, yaml = ?, base_version = ?, note = ?, updated_us = ? WHERE id = ?", reterr, CF_S(p->title), CF_S(p->yaml),
                      CF_I(p->base_version), CF_S(p->note), CF_I(cf_now_us()), CF_S(p->id));
}

int cf_rule_proposal_move(struct cf_tx *tx, cf_str id, enum cf_rule_proposal_state from, enum cf_rule_proposal_state to, const struct cf_rule_decision *d, struct cf_error *reterr)
{
    int64_t now = cf_now_us(), changed = 0;
    const struct cf_dbval submit[] = {CF_Z(states[to]), CF_I(now), CF_I(now), CF_S(id), CF_Z(states[from])};
    const struct cf_dbval decide[] = {CF_Z(states[to]), CF_I(now), CF_I(now), CF_S(d ? d->who.id : CF_STR_NONE), CF_S(d ? d->who.name : CF_STR_NONE), CF_S(d ? d->note : CF_STR_NONE),
                                      CF_S(d ? d->went : CF_STR_NONE), CF_S(id), CF_Z(states[from])};
    int r = d ? cf_tx_execv(tx, "UPDATE rule_proposal SET state = ?, updated_us = ?, decided_us = ?, decided_by = ?, decided_name = ?, decision_note = ?, went = ? WHERE id = ? AND state = ?",
                            decide, 9, &changed, reterr)
              : cf_tx_execv(tx, "UPDATE rule_proposal SET state = ?, updated_us = ?, submitted_us = ? WHERE id = ? AND state = ?", submit, 5, &changed, reterr);

    if (r == 0 && changed == 0)
        r = cf_error_set(reterr, CF_ECONFLICT, "the proposal is not %s any more; load it again", states[from]);
    return r;
}

#define WAITING_MAX 500
int cf_rule_proposal_waiting(struct cf_tx *tx, cf_str author_id, cf_str except, struct cf_arena *a, cf_str **ret, size_t *ret_n, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    cf_str *t = CF_NEW_N(a, cf_str, WAITING_MAX);
    size_t n = 0;
    int r = t ? cf_tx_query(tx,
                            "SELECT yaml FROM rule_proposal WHERE (state = 'submitted' OR (author_id = ? AND state IN ('draft', 'returned'))) AND id <> ? ORDER BY created_us DESC LIMIT ?",
                            &st, reterr, CF_S(author_id), CF_S(except.n ? except : CF_STR("-")), CF_I(WAITING_MAX))
              : cf_error_set(reterr, CF_ENOMEM, "no memory for the proposals");

    while (r == 0 && n < WAITING_MAX && (r = cf_stmt_next(st, reterr)) == 1) {
        t[n++] = text_of(st, 0, a);
        r = 0;
    }
    cf_stmt_free(st);
    *ret = t;
    *ret_n = n;
    return r;
}

int cf_rule_proposal_done(struct cf_tx *tx, cf_str id, cf_str rule_id, struct cf_error *reterr)
{
    return cf_tx_exec(tx, "UPDATE rule_proposal SET rule_id = ? WHERE id = ?", reterr, CF_S(rule_id), CF_S(id));
}

int cf_rulebook_written_by(struct cf_tx *tx, cf_str rule_id, cf_str user_id, bool *ret, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx,
                        "SELECT v.user_id FROM rule_text_id i JOIN rule_text t ON t.id = i.text_id AND t.active = 1 JOIN rule_version v ON v.text_id = t.id AND v.version = t.version "
                        "WHERE i.rule_id = ?",
                        &st, reterr, CF_S(rule_id));

    *ret = false;
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        *ret = cf_str_eq(cf_stmt_str(st, 0), user_id);
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}
