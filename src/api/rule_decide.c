/* SPDX-License-Identifier: Apache-2.0
 * Proposals approved or returned, one or a thousand: read and checked first (the rules in use are looked at once), then written in one
 * transaction in which each is looked at again, then one reload. A refused one changes nothing and hinders no other. */
#include "api/rule_view.h"
#include "audit/audit.h"

static void refuse(struct rule_verdict *v, const char *why, int r, const struct cf_error *err)
{
    v->why = why;
    v->r = r;
    if (err)
        v->err = *err;
}

/* Why a text cannot be brought into use, in one word. NULL: no refusal but a failure. */
static const char *why_of(int r)
{
    switch (r) {
    case CF_ECONFLICT: return "stale";
    case CF_EEXIST: return "exists";
    case CF_ENOENT: return "gone";
    case CF_EINVAL:
    case CF_ESYNTAX:
    case CF_ELIMIT: return "text";
    default: return NULL;
    }
}

/* Reads a proposal and says whether the caller may decide it now. < 0: a failure, not a refusal. */
static int look(struct cf_req *req, struct cf_tx *tx, struct rule_verdict *v, struct cf_rule_proposal *p, struct cf_error *reterr)
{
    int r = cf_rule_proposal_get(tx, v->id, req->arena, p, reterr);

    if (r == CF_ENOENT)
        refuse(v, "gone", r, reterr);
    else if (r < 0)
        return r;
    else if (cf_str_eq(req->who->user_id, p->author.id))
        refuse(v, "own", cf_error_set(&v->err, CF_EPERM, "nobody approves what he wrote himself"), NULL);
    else if (p->state != CF_RULE_PROPOSAL_SUBMITTED)
        refuse(v, "state", cf_error_set(&v->err, CF_ECONFLICT, "the proposal is %s, not submitted", cf_rule_proposal_state_name(p->state)), NULL);
    return 0;
}

static int look_all(struct cf_req *req, struct rule_verdict *v, struct cf_rule_proposal *p, size_t n, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(rule_app(req)->db, CF_TX_READ, &tx, reterr);

    for (size_t i = 0; r == 0 && i < n; i++)
        r = look(req, tx, &v[i], &p[i], reterr);
    cf_tx_rollback(&tx);
    return r;
}

/* Compiles what may be approved; t[k] belongs to v[of[k]]. */
static int check_texts(struct cf_req *req, struct rule_verdict *v, const struct cf_rule_proposal *p, size_t n, struct rule_text *t, size_t *of, size_t *ret_n, struct cf_error *reterr)
{
    int r;

    *ret_n = 0;
    for (size_t i = 0; i < n; i++)
        if (!v[i].why) {
            of[*ret_n] = i;
            t[(*ret_n)++] = (struct rule_text){.from = &p[i]};
        }
    r = rule_texts_ready(req, t, *ret_n, reterr);
    for (size_t k = 0; r == 0 && k < *ret_n; k++) {
        const char *why = t[k].r < 0 ? why_of(t[k].r) : NULL;

        if (why)
            refuse(&v[of[k]], why, t[k].r, &t[k].err);
        else if (t[k].r < 0) {
            r = t[k].r;
            *reterr = t[k].err;
        }
    }
    return r;
}

static int audit_one(struct cf_req *req, struct cf_tx *tx, const struct rule_verdict *v, const struct cf_rule_proposal *p, bool approve, const struct cf_rule_decision *d, struct cf_error *reterr)
{
    json_t *after = json_pack("{s:o,s:o,s:o}", "title", rule_str(p->title), "state", rule_str(d->went), "note", rule_str(d->note));
    const struct cf_audit_entry e = {.user_id = req->who->user_id, .user_name = req->who->user_name, .org_id = req->who->org_id, .peer = req->peer, .request_id = cf_str_c(req->request_id),
                                     .action = approve ? CF_STR("rule_proposal.approve") : CF_STR("rule_proposal.return"), .object = v->id, .result = CF_STR("ok"), .after = after};
    int r = cf_audit_write_tx(rule_app(req)->audit, tx, &e, reterr);

    json_decref(after);
    return r;
}

/* In the transaction, where nobody else writes: the proposal is still what was checked. */
static int write_one(struct cf_req *req, struct cf_tx *tx, struct rule_verdict *v, const struct cf_rule_proposal *checked, const struct cf_rule_save *save, const struct cf_rule_decision *d,
                     struct cf_error *reterr)
{
    enum cf_rule_proposal_state to = save ? CF_RULE_PROPOSAL_APPROVED : CF_RULE_PROPOSAL_RETURNED;
    struct cf_rule_proposal now;
    int r = look(req, tx, v, &now, reterr);

    if (r < 0 || v->why)
        return r;
    if (!cf_str_eq(now.yaml, checked->yaml)) {
        refuse(v, "stale", cf_error_set(&v->err, CF_ECONFLICT, "the proposal was changed in the meantime; load it again"), NULL);
        return 0;
    }
    if (save) {
        r = rule_text_put(req, tx, save, d->went, reterr);
        if (r < 0 && why_of(r)) {
            refuse(v, why_of(r), r, reterr);
            return 0;
        }
    }
    if (r == 0)
        r = cf_rule_proposal_move(tx, v->id, CF_RULE_PROPOSAL_SUBMITTED, to, d, reterr);
    return r == 0 && save ? cf_rule_proposal_done(tx, v->id, now.rule_id.n ? now.rule_id : save->text_id, reterr) : r;
}

int rule_decide(struct cf_req *req, struct rule_verdict *v, size_t n, bool approve, const struct cf_rule_decision *d, bool audited, struct cf_error *reterr)
{
    struct cf_rule_proposal *p = CF_NEW_N(req->arena, struct cf_rule_proposal, n + 1);
    struct rule_text *t = CF_NEW_N(req->arena, struct rule_text, n + 1);
    size_t *of = CF_NEW_N(req->arena, size_t, n + 1), n_texts = 0, done = 0, k = 0;
    struct cf_tx *tx = NULL;
    bool replaced = false;
    int r = p && t && of ? look_all(req, v, p, n, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory for the proposals");

    if (r == 0 && approve)
        r = check_texts(req, v, p, n, t, of, &n_texts, reterr);
    if (r == 0)
        r = cf_tx_begin(rule_app(req)->db, CF_TX_WRITE, &tx, reterr);
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct cf_rule_save *save = NULL;

        while (approve && k < n_texts && of[k] < i)
            k++;
        if (v[i].why)
            continue;
        if (approve)
            save = &t[k].save;
        r = write_one(req, tx, &v[i], &p[i], save, d, reterr);
        if (r == 0 && !v[i].why) {
            done++;
            replaced = replaced || (save && !save->fresh);
            if (audited)
                r = audit_one(req, tx, &v[i], &p[i], approve, d, reterr);
        }
    }
    if (r == 0 && replaced)
        r = rule_none_lost(req, tx, reterr);
    if (approve && done)
        return rule_commit(req, &tx, r, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}
