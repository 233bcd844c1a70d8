/* SPDX-License-Identifier: Apache-2.0
 * Rules changed by two people: with rules.approval every change of a text is a proposal that somebody else with rule.approve brings
 * into use, staged or live. The person who wrote a version never approves it, nor takes it live. */
#include <stdio.h>

#include "api/rule_view.h"
#include "base/jstr.h"

static const struct cf_lcol cols[] = {
    {"id", "p.id", CF_LC_TEXT, CF_LC_FILTER},
    {"rule_id", "p.rule_id", CF_LC_TEXT, CF_LC_FILTER},
    {"title", "p.title", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_SEARCH | CF_LC_NOTNULL},
    {"base_version", "p.base_version", CF_LC_I64, 0},
    {"state", "p.state", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SORT | CF_LC_NOTNULL},
    {"note", "p.note", CF_LC_TEXT, CF_LC_SEARCH},
    {"author.id", "p.author_id", CF_LC_TEXT, CF_LC_FILTER},
    {"author.name", "p.author_name", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"created_at", "p.created_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
    {"updated_at", "p.updated_us", CF_LC_TIME, CF_LC_SORT | CF_LC_NOTNULL},
    {"submitted_at", "p.submitted_us", CF_LC_TIME, CF_LC_SORT},
    {"decided_at", "p.decided_us", CF_LC_TIME, CF_LC_SORT},
    {"decided_by", "p.decided_name", CF_LC_TEXT, CF_LC_FILTER | CF_LC_SEARCH},
    {"decision_note", "p.decision_note", CF_LC_TEXT, 0},
    {"went", "p.went", CF_LC_TEXT, CF_LC_FILTER},
};

static bool mine(const struct cf_req *req, cf_str author) { return cf_str_eq(req->who->user_id, author); }

/* What the caller may do with it, as the console's buttons. */
static int finish(struct cf_req *req, struct cf_tx *tx, json_t *item, struct cf_error *reterr)
{
    const char *state = json_string_value(json_object_get(item, "state"));
    bool own = mine(req, cf_json_text(json_object_get(item, "author"), "id")), open = strcmp(state, "draft") == 0 || strcmp(state, "returned") == 0;
    json_t *a = json_array();

    (void)tx, (void)reterr;
    if (own && open && cf_principal_may(req->who, CF_STR("rule.write")))
        (void)json_array_append_new(a, json_string("submit"));
    if (own && (open || strcmp(state, "submitted") == 0))
        (void)json_array_append_new(a, json_string("withdraw"));
    if (!own && strcmp(state, "submitted") == 0 && cf_principal_may(req->who, CF_STR("rule.approve"))) {
        (void)json_array_append_new(a, json_string("approve"));
        (void)json_array_append_new(a, json_string("return"));
    }
    (void)json_object_set_new(item, "actions", a);
    return 0;
}
static const struct cf_list list = {.from = "rule_proposal p", .id_sql = "p.id", .default_sort = "-updated_at", .cols = cols, .n_cols = sizeof cols / sizeof *cols, .finish = finish};

/* ---- what the other rule routes ask ---------------------------------------------------------------------------------------------- */

bool rule_approval_on(const struct cf_req *req) { return rule_app(req)->rules_approval; }

int rule_direct(struct cf_req *req, struct cf_error *reterr)
{
    return rule_approval_on(req) ? cf_error_set(reterr, CF_ECONFLICT, "rules.approval is on: propose the change, another person approves it") : 0;
}

int rule_second_person(struct cf_req *req, struct cf_tx *tx, cf_str id, enum cf_rule_state to, struct cf_error *reterr)
{
    bool own = false;
    int r;

    if (!rule_approval_on(req))
        return cf_principal_may(req->who, CF_STR("rule.write")) ? 0 : cf_error_set(reterr, CF_EPERM, "permission rule.write is needed");
    if (!cf_principal_may(req->who, CF_STR("rule.approve")))
        return cf_error_set(reterr, CF_EPERM, "rules.approval is on: permission rule.approve is needed");
    if (to != CF_RULE_ENABLED)
        return 0;
    r = cf_rulebook_written_by(tx, id, req->who->user_id, &own, reterr);
    return r == 0 && own ? cf_error_set(reterr, CF_EPERM, "who wrote a rule's text does not take it live; another person does") : r;
}

/* ---- proposals --------------------------------------------------------------------------------------------------------------------- */

static int get_setting(struct cf_req *req, struct cf_error *reterr)
{
    (void)reterr;
    cf_reply_json(req, 200, json_pack("{s:b,s:b}", "required", rule_approval_on(req), "may_approve", cf_principal_may(req->who, CF_STR("rule.approve"))));
    return 0;
}

static int get_list(struct cf_req *req, struct cf_error *reterr) { return cf_list_reply(req, rule_app(req)->db, &list, reterr); }

static int read_one(struct cf_req *req, cf_str id, struct cf_rule_proposal *p, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(rule_app(req)->db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_rule_proposal_get(tx, id, req->arena, p, reterr);
    cf_tx_rollback(&tx);
    return r;
}

static int reply_one(struct cf_req *req, int status, cf_str id, struct cf_error *reterr)
{
    struct cf_rule_proposal p = {0};
    json_t *item = cf_list_one(req, rule_app(req)->db, &list, id, reterr);
    int r = item ? read_one(req, id, &p, reterr) : reterr->code;

    if (r < 0) {
        json_decref(item);
        return r;
    }
    (void)json_object_set_new(item, "yaml", rule_str(p.yaml));
    cf_reply_json(req, status, item);
    return 0;
}

static int get_one(struct cf_req *req, struct cf_error *reterr) { return reply_one(req, 200, cf_req_path(req, "id"), reterr); }

static int write_row(struct cf_req *req, const struct cf_rule_proposal *p, bool fresh, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(rule_app(req)->db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = fresh ? cf_rule_proposal_add(tx, p, reterr) : cf_rule_proposal_change(tx, p, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

static int post_one(struct cf_req *req, struct cf_error *reterr)
{
    char id[37];
    struct cf_rule_proposal p = {.rule_id = cf_json_text(req->json, "rule_id"), .note = cf_json_text(req->json, "note"), .author = rule_who(req),
                            .base_version = json_integer_value(json_object_get(req->json, "version")),
                            .state = json_is_true(json_object_get(req->json, "submit")) ? CF_RULE_PROPOSAL_SUBMITTED : CF_RULE_PROPOSAL_DRAFT};
    int r = rule_approval_on(req) ? rule_text_check(req, p.rule_id, CF_STR(""), cf_json_text(req->json, "yaml"), &p.yaml, &p.title, reterr)
                                  : cf_error_set(reterr, CF_ECONFLICT, "rules.approval is off: change the rule itself");

    cf_uuid7(id);
    p.id = cf_str_c(id);
    if (r == 0)
        r = write_row(req, &p, true, reterr);
    if (r < 0)
        return r;
    cf_req_audit(req, cf_arena_strdup(req->arena, p.id), NULL, req->json);
    return reply_one(req, 201, p.id, reterr);
}

static int put_one(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_rule_proposal p = {0};
    int r = read_one(req, cf_req_path(req, "id"), &p, reterr);

    if (r == 0 && !mine(req, p.author.id))
        r = cf_error_set(reterr, CF_EPERM, "this is another person's draft");
    if (r == 0 && p.state != CF_RULE_PROPOSAL_DRAFT && p.state != CF_RULE_PROPOSAL_RETURNED)
        r = cf_error_set(reterr, CF_ECONFLICT, "the proposal is %s; it changes no more", cf_rule_proposal_state_name(p.state));
    if (r == 0)
        r = rule_text_check(req, p.rule_id, p.id, cf_json_text(req->json, "yaml"), &p.yaml, &p.title, reterr);
    if (r == 0 && json_object_get(req->json, "note"))
        p.note = cf_json_text(req->json, "note");
    if (r == 0 && json_is_integer(json_object_get(req->json, "version")))
        p.base_version = json_integer_value(json_object_get(req->json, "version"));
    if (r == 0)
        r = write_row(req, &p, false, reterr);
    if (r < 0)
        return r;
    cf_req_audit(req, NULL, NULL, req->json);
    return reply_one(req, 200, p.id, reterr);
}

static int move(struct cf_req *req, const struct cf_rule_proposal *p, enum cf_rule_proposal_state from, enum cf_rule_proposal_state to, const struct cf_rule_decision *d, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(rule_app(req)->db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_rule_proposal_move(tx, p->id, from, to, d, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

/* approve or return, as the body says. */
static int decide(struct cf_req *req, struct rule_verdict *v, size_t n, bool audited, struct cf_error *reterr)
{
    const char *state = json_string_value(json_object_get(req->json, "state"));
    bool approve = strcmp(json_string_value(json_object_get(req->json, "action")), "approve") == 0;
    const struct cf_rule_decision d = {.who = rule_who(req), .note = cf_json_text(req->json, "note"), .went = approve ? cf_str_c(state ? state : "staged") : CF_STR_NONE};

    if (!cf_principal_may(req->who, CF_STR("rule.approve")))
        return cf_error_set(reterr, CF_EPERM, "permission rule.approve is needed");
    if (!approve && d.note.n == 0)
        return cf_req_field_error(req, "note", "say what has to change");
    return rule_decide(req, v, n, approve, &d, audited, reterr);
}

static int decide_one(struct cf_req *req, const struct cf_rule_proposal *p, struct cf_error *reterr)
{
    struct rule_verdict v = {.id = p->id};
    int r = decide(req, &v, 1, false, reterr);

    if (r == 0 && v.r < 0) {
        *reterr = v.err;
        r = v.r;
    }
    return r;
}

/* submit and withdraw: its author's. */
static int author_moves(struct cf_req *req, const struct cf_rule_proposal *p, bool submit, struct cf_error *reterr)
{
    if (!mine(req, p->author.id))
        return cf_error_set(reterr, CF_EPERM, "only the person who wrote it does this");
    if (p->state == CF_RULE_PROPOSAL_APPROVED || p->state == CF_RULE_PROPOSAL_WITHDRAWN || (p->state == CF_RULE_PROPOSAL_SUBMITTED && submit))
        return cf_error_set(reterr, CF_ECONFLICT, "the proposal is %s already", cf_rule_proposal_state_name(p->state));
    return move(req, p, p->state, submit ? CF_RULE_PROPOSAL_SUBMITTED : CF_RULE_PROPOSAL_WITHDRAWN, NULL, reterr);
}

static int act(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_rule_proposal p = {0};
    const char *before, *action = json_string_value(json_object_get(req->json, "action"));
    json_t *b;
    int r = read_one(req, cf_req_path(req, "id"), &p, reterr);

    if (r < 0)
        return r;
    before = cf_rule_proposal_state_name(p.state);
    r = action[0] == 's' || action[0] == 'w' ? author_moves(req, &p, action[0] == 's', reterr) : decide_one(req, &p, reterr);
    if (r < 0)
        return r;
    b = json_pack("{s:s}", "state", before);
    cf_req_audit(req, NULL, b, req->json);
    json_decref(b);
    return reply_one(req, 200, p.id, reterr);
}

static int batch(struct cf_req *req, struct cf_error *reterr)
{
    const json_t *ids = json_object_get(req->json, "ids"), *id;
    struct rule_verdict *v = CF_NEW_N(req->arena, struct rule_verdict, json_array_size(ids));
    json_t *errors, *after;
    json_int_t changed = 0;
    size_t i;
    int r;

    if (!v)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    json_array_foreach(ids, i, id) v[i] = (struct rule_verdict){.id = cf_str_n(json_string_value(id), json_string_length(id))};
    r = decide(req, v, json_array_size(ids), true, reterr);
    if (r < 0)
        return r;
    errors = json_array();
    for (i = 0; i < json_array_size(ids); i++) {
        changed += !v[i].why;
        if (v[i].why)
            (void)json_array_append_new(errors, json_pack("{s:o,s:s,s:s}", "id", rule_str(v[i].id), "why", v[i].why, "message", v[i].err.msg));
    }
    after = json_pack("{s:O,s:O*,s:O*,s:I,s:O}", "action", json_object_get(req->json, "action"), "state", json_object_get(req->json, "state"), "note",
                      json_object_get(req->json, "note"), "changed", changed, "errors", errors);
    cf_req_audit(req, "rule-proposals", NULL, after);
    json_decref(after);
    cf_reply_json(req, 200, cf_req_tell(req, json_pack("{s:I,s:o}", "changed", changed, "errors", errors)));
    return 0;
}

#define YAML "\"yaml\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":262144},\"note\":{\"type\":\"string\",\"maxLength\":500},\"version\":{\"type\":[\"integer\",\"null\"]}"
#define NOTE_STATE "\"note\":{\"type\":\"string\",\"maxLength\":500},\"state\":{\"type\":\"string\",\"enum\":[\"staged\",\"enabled\"]}"
#define PATH "/api/v1/rule-proposals"
static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/rule-approval", .permission = "rule.read", .handler = get_setting, .scope = "all", .doc = "Whether changes of rules need a second person (rules.approval)"},
    {.method = CF_GET, .path = PATH, .permission = "rule.read", .handler = get_list, .flags = CF_RF_LIST, .scope = "all", .doc = "Proposed changes of rules"},
    {.method = CF_GET, .path = PATH "/{id}", .permission = "rule.read", .handler = get_one, .scope = "all", .doc = "One proposal with its text"},
    {.method = CF_POST, .path = PATH, .permission = "rule.write", .handler = post_one, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"yaml\"],\"additionalProperties\":false,\"properties\":{\"rule_id\":{\"type\":\"string\",\"maxLength\":200},\"submit\":{\"type\":\"boolean\"}," YAML "}}",
     .doc = "Proposes a new rule, or a change of rule_id; submit: it goes to approval at once"},
    {.method = CF_PUT, .path = PATH "/{id}", .permission = "rule.write", .handler = put_one, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"yaml\"],\"additionalProperties\":false,\"properties\":{" YAML "}}", .doc = "Changes a draft or a returned proposal (its author)"},
    {.method = CF_POST, .path = PATH "/{id}/actions", .permission = "rule.read", .handler = act, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"action\"],\"additionalProperties\":false,\"properties\":{\"action\":{\"type\":\"string\",\"enum\":[\"submit\",\"withdraw\",\"approve\",\"return\"]},"
                NOTE_STATE "}}",
     .doc = "submit and withdraw (author); approve (rule.approve, not the author; state staged or enabled) and return with a note"},
    {.method = CF_POST, .path = PATH ":batch", .permission = "rule.approve", .handler = batch, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"ids\",\"action\"],\"additionalProperties\":false,\"properties\":{\"ids\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":1000,"
                "\"items\":{\"type\":\"string\",\"maxLength\":64}},\"action\":{\"type\":\"string\",\"enum\":[\"approve\",\"return\"]}," NOTE_STATE "}}",
     .doc = "Approve or return many proposals with one note and one reload of the rules; {changed, errors:[{id, why, message}]}, why: own state stale exists text gone"},
};

void cf_rule_proposal_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
