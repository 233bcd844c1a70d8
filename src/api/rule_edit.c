/* SPDX-License-Identifier: Apache-2.0
 * Rules as edited content over HTTP: validate, create, change, delete, versions, restore. After each
 * change the running detector has the new set before the reply goes out. */
#include <stdio.h>
#include <stdlib.h>

#include "api/rule_view.h"
#include "base/jstr.h"

static int validate(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_rules_options lib;
    json_t *o = NULL;
    int r = rule_library_for(req, cf_json_text(req->json, "yaml"), CF_STR(""), &lib, reterr);

    if (r == 0)
        r = cf_rulebook_check(&lib, cf_json_text(req->json, "yaml"), &o, reterr);
    if (r == 0)
        cf_reply_json(req, 200, cf_req_tell(req, o));
    return r;
}

/* ---- saving ---- */

struct edit {
    struct cf_req *req;
    struct cf_rules_options lib;
    struct rule_view v;
    cf_str yaml;
    json_t *check;
    cf_str *ids;
    size_t n_ids;
    bool lent; /* the view belongs to another edit */
};

static void edit_close(struct edit *e)
{
    json_decref(e->check);
    e->check = NULL;
    if (!e->lent)
        rule_view_close(&e->v);
}

/* A first rule without id gets one, after its title. */
static int give_id(struct edit *e, struct cf_error *reterr)
{
    const json_t *first = json_array_get(json_object_get(e->check, "rules"), 0);
    struct cf_buf b;
    ptrdiff_t at;
    char id[37];

    if (!first || json_string_length(json_object_get(first, "id")))
        return 0;
    cf_uuid7(id);
    at = cf_str_starts(e->yaml, CF_STR("title:")) ? 0 : cf_str_find(e->yaml, CF_STR("\ntitle:")) + 1;
    cf_buf_init(&b, CF_RULE_TEXT_MAX * 2);
    if (at == 0 && !cf_str_starts(e->yaml, CF_STR("title:"))) {
        cf_buf_printf(&b, "id: %s\n", id);
        cf_buf_str(&b, e->yaml);
    } else {
        ptrdiff_t nl = cf_str_find(cf_str_sub(e->yaml, (size_t)at, e->yaml.n), CF_STR("\n"));
        size_t cut = nl < 0 ? e->yaml.n : (size_t)(at + nl) + 1;

        cf_buf_str(&b, cf_str_sub(e->yaml, 0, cut));
        cf_buf_printf(&b, "%sid: %s\n", nl < 0 ? "\n" : "", id);
        cf_buf_str(&b, cf_str_sub(e->yaml, cut, e->yaml.n));
    }
    e->yaml = cf_arena_copy(e->req->arena, cf_buf_view(&b));
    cf_buf_release(&b);
    json_decref(e->check);
    e->check = NULL;
    return e->yaml.p ? cf_rulebook_check(&e->lib, e->yaml, &e->check, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory");
}

static int edit_start(struct cf_req *req, struct edit *e, struct cf_error *reterr)
{
    int r;

    memset(e, 0, sizeof *e);
    e->req = req;
    r = rule_view_open(req, &e->v, reterr);
    if (r == 0 && (r = rule_library(req, &e->lib, reterr)) < 0)
        rule_view_close(&e->v);
    return r;
}

/* Text checked, ids known; a text with mistakes is refused with their places. */
static int edit_text(struct edit *e, cf_str yaml, struct cf_error *reterr)
{
    json_t *rules, *one, *errors;
    size_t i;
    int r = cf_rulebook_check(&e->lib, e->yaml = yaml, &e->check, reterr);

    if (r == 0)
        r = give_id(e, reterr);
    errors = json_object_get(e->check, "errors");
    if (r == 0 && json_array_size(errors)) {
        one = json_array_get(errors, 0);
        (void)cf_req_field_error(e->req, "yaml", "%s", json_string_value(json_object_get(one, "message")));
        cf_req_problem(e->req, "rule_errors", json_incref(errors));
        r = cf_error_set(reterr, CF_EINVAL, "%s", json_string_value(json_object_get(one, "message")));
    }
    rules = json_object_get(e->check, "rules");
    e->ids = CF_NEW_N(e->req->arena, cf_str, json_array_size(rules) + 1);
    if (r == 0 && !e->ids)
        r = cf_error_set(reterr, CF_ENOMEM, "no memory");
    json_array_foreach(rules, i, one)
    {
        cf_str id = cf_json_text(one, "id");

        if (r == 0 && id.n)
            e->ids[e->n_ids++] = cf_arena_copy(e->req->arena, id);
    }
    return r;
}

static int edit_open(struct cf_req *req, struct edit *e, cf_str yaml, struct cf_error *reterr)
{
    int r = edit_start(req, e, reterr);

    if (r == 0 && (r = edit_text(e, yaml, reterr)) < 0)
        edit_close(e);
    return r;
}

static int reply_rule(struct cf_req *req, int status, cf_str id, struct cf_error *reterr)
{
    struct rule_view v;
    struct rule_row *row;
    int r = rule_view_open(req, &v, reterr);
    json_t *stored = NULL, *o;

    if (r < 0)
        return r;
    row = rule_view_find(&v, id, reterr);
    if (row) {
        o = rule_row_json(&v, row);
        (void)json_object_set_new(o, "yaml", rule_text(req, row, &stored));
        (void)json_object_set(o, "version", stored ? json_object_get(stored, "version") : json_null());
        json_decref(stored);
        cf_reply_json(req, status, o);
    }
    rule_view_close(&v);
    return row ? 0 : reterr->code;
}

int rule_text_put(struct cf_req *req, struct cf_tx *tx, const struct cf_rule_save *s, cf_str state, struct cf_error *reterr)
{
    enum cf_rule_state st;
    int r = cf_rulebook_put(tx, s, NULL, reterr);

    for (size_t i = 0; r == 0 && cf_rule_state_parse(state, &st) && i < s->n_ids; i++)
        r = cf_rulebook_set_state(tx, s->ids[i], st, s->note, req->who->user_name, reterr);
    return r;
}

/* What was checked, into s. */
static void fill_save(const struct edit *e, struct cf_rule_save *s)
{
    s->yaml = e->yaml;
    s->title = cf_arena_copy(e->req->arena, cf_json_text(json_array_get(json_object_get(e->check, "rules"), 0), "title"));
    s->ids = e->ids;
    s->n_ids = e->n_ids;
    if (!s->who.id.p)
        s->who = rule_who(e->req);
}

static int put_text(struct edit *e, struct cf_rule_save *s, cf_str state, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(rule_app(e->req)->db, CF_TX_WRITE, &tx, reterr);

    fill_save(e, s);
    if (r == 0)
        r = rule_text_put(e->req, tx, s, state, reterr);
    if (r == 0 && !s->fresh)
        r = rule_none_lost(e->req, tx, reterr);
    return rule_commit(e->req, &tx, r, reterr);
}

static int all_new(const struct edit *e, struct cf_error *reterr)
{
    for (size_t i = 0; i < e->n_ids; i++)
        if (rule_view_row(&e->v, e->ids[i]))
            return cf_error_set(reterr, CF_EEXIST, "there is a rule with the id %.*s already; edit that one, or give this one another id", CF_ARG(e->ids[i]));
    return 0;
}

static int add(struct cf_req *req, cf_str yaml, cf_str state, struct cf_rule_save *s, struct cf_error *reterr)
{
    struct edit e;
    int r = edit_open(req, &e, yaml, reterr);

    if (r < 0)
        return r;
    r = all_new(&e, reterr);
    if (r == 0) {
        s->text_id = e.ids[0];
        r = put_text(&e, s, state, reterr);
    }
    edit_close(&e);
    return r;
}

static int create(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_rule_save s = {.action = "create", .fresh = true, .expect_version = -1, .note = cf_json_text(req->json, "note")};
    int r = rule_direct(req, reterr);

    if (r == 0)
        r = add(req, cf_json_text(req->json, "yaml"), cf_json_text(req->json, "state"), &s, reterr);
    if (r == 0) {
        cf_req_audit(req, cf_arena_strdup(req->arena, s.text_id), NULL, req->json);
        r = reply_rule(req, 201, s.text_id, reterr);
    }
    return r;
}

/* Ids of the shipped file that holds `row`. */
static int shipped_ids(struct edit *e, const struct rule_row *row, struct cf_rule_save *s, struct cf_error *reterr)
{
    size_t n = 0;
    cf_str *ids;

    for (size_t i = 0; i < e->v.n; i++)
        n += cf_str_eq(e->v.rows[i].info->file, row->info->file);
    ids = CF_NEW_N(e->req->arena, cf_str, n + 1);
    if (!ids)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    for (size_t i = 0; i < e->v.n; i++)
        if (cf_str_eq(e->v.rows[i].info->file, row->info->file) && e->v.rows[i].info->id.n)
            ids[s->n_replaces++] = cf_arena_copy(e->req->arena, e->v.rows[i].info->id);
    s->replaces = ids;
    return 0;
}

/* Fills s for a change of the rule `id`: its stored text, or the shipped file it stands in. */
static int base_of(struct edit *e, cf_str id, struct cf_rule_save *s, struct cf_error *reterr)
{
    const struct rule_row *row = rule_view_row(&e->v, id);
    json_t *stored = NULL, *one, *list;
    cf_str *ids;
    size_t i;
    int r = cf_rulebook_get(rule_app(e->req)->db, id, &stored, reterr);
    bool holds = false;

    if (r == CF_ENOENT && row) {
        s->text_id = id;
        s->edited = true;
        r = shipped_ids(e, row, s, reterr);
    } else if (r == 0) {
        list = json_object_get(stored, "replaces");
        ids = CF_NEW_N(e->req->arena, cf_str, json_array_size(list) + json_array_size(json_object_get(stored, "ids")) + 1);
        s->text_id = cf_arena_copy(e->req->arena, cf_json_text(stored, "id"));
        s->edited = json_is_true(json_object_get(stored, "edited"));
        json_array_foreach(list, i, one) ids[s->n_replaces++] = cf_arena_copy(e->req->arena, cf_str_c(json_string_value(one)));
        if (s->edited) /* an id that the new text leaves out must not come back from the shipped file */
            json_array_foreach(json_object_get(stored, "ids"), i, one) ids[s->n_replaces++] = cf_arena_copy(e->req->arena, cf_str_c(json_string_value(one)));
        s->replaces = ids;
    } else if (r == CF_ENOENT) {
        r = cf_error_set(reterr, CF_ENOENT, "there is no such rule");
    }
    json_decref(stored);
    for (i = 0; i < e->n_ids; i++) {
        const struct rule_row *other = rule_view_row(&e->v, e->ids[i]);

        holds = holds || cf_str_eq(e->ids[i], id);
        if (r == 0 && other && !cf_str_eq(e->ids[i], id) && !(row && cf_str_eq(other->info->file, row->info->file)))
            r = cf_error_set(reterr, CF_EEXIST, "another rule has the id %.*s", CF_ARG(e->ids[i]));
    }
    if (r == 0 && !holds) {
        (void)cf_req_field_error(e->req, "yaml", "the text must still hold the rule with the id %.*s", CF_ARG(id));
        r = cf_error_set(reterr, CF_EINVAL, "the text must still hold the rule with the id %.*s", CF_ARG(id));
    }
    return r;
}

static int change(struct cf_req *req, cf_str id, cf_str yaml, cf_str state, struct cf_rule_save *s, struct cf_error *reterr)
{
    struct edit e;
    int r = edit_open(req, &e, yaml, reterr);

    if (r < 0)
        return r;
    r = base_of(&e, id, s, reterr);
    if (r == 0)
        r = put_text(&e, s, state, reterr);
    edit_close(&e);
    return r;
}

int rule_text_check(struct cf_req *req, cf_str rule_id, cf_str proposal, cf_str yaml, cf_str *ret_yaml, cf_str *ret_title, struct cf_error *reterr)
{
    struct cf_rule_save s = {0};
    struct edit e;
    int r = edit_start(req, &e, reterr);

    if (r < 0)
        return r;
    r = rule_library_for(req, yaml, proposal, &e.lib, reterr);
    if (r == 0)
        r = edit_text(&e, yaml, reterr);
    if (r < 0) {
        edit_close(&e);
        return r;
    }
    r = rule_id.n ? base_of(&e, rule_id, &s, reterr) : all_new(&e, reterr);
    *ret_yaml = e.yaml;
    *ret_title = cf_arena_copy(req->arena, cf_json_text(json_array_get(json_object_get(e.check, "rules"), 0), "title"));
    edit_close(&e);
    return r;
}

static int ready(void *ctx, const struct cf_rules_options *lib, struct rule_text *t, struct cf_error *reterr)
{
    const struct cf_rule_proposal *p = t->from;
    struct edit e = *(const struct edit *)ctx;
    int r;

    t->save = (struct cf_rule_save){.action = p->rule_id.n ? "edit" : "create", .fresh = p->rule_id.n == 0, .expect_version = p->rule_id.n ? p->base_version : -1, .note = p->note, .who = p->author};
    e.lent = true;
    e.lib = *lib;
    r = edit_text(&e, p->yaml, reterr);
    if (r == 0)
        r = p->rule_id.n ? base_of(&e, p->rule_id, &t->save, reterr) : all_new(&e, reterr);
    if (r == 0) {
        fill_save(&e, &t->save);
        if (p->rule_id.n == 0)
            t->save.text_id = e.ids[0];
    }
    edit_close(&e);
    return r;
}

int rule_texts_ready(struct cf_req *req, struct rule_text *t, size_t n, struct cf_error *reterr)
{
    struct edit all;
    int r = n ? edit_start(req, &all, reterr) : 0;

    if (r < 0 || n == 0)
        return r;
    for (size_t i = 0; i < n; i++)
        t[i].yaml = t[i].from->yaml;
    r = rule_texts_settle(req, &all.lib, t, n, ready, &all, reterr);
    edit_close(&all);
    return r;
}

static int put_rule(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *version = json_object_get(req->json, "version");
    struct cf_rule_save s = {.action = "edit", .note = cf_json_text(req->json, "note"), .expect_version = json_is_integer(version) ? json_integer_value(version) : -1};
    int r = rule_direct(req, reterr);

    if (r == 0)
        r = change(req, id, cf_json_text(req->json, "yaml"), cf_json_text(req->json, "state"), &s, reterr);

    if (r == 0) {
        cf_req_audit(req, NULL, NULL, req->json);
        r = reply_rule(req, 200, id, reterr);
    }
    return r;
}

static int delete_rule(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    struct cf_tx *tx = NULL;
    json_t *stored = NULL;
    int r = cf_rulebook_get(rule_app(req)->db, id, &stored, reterr);

    if (r == CF_ENOENT) {
        struct rule_view v;

        r = rule_view_open(req, &v, reterr);
        if (r < 0)
            return r;
        r = rule_view_row(&v, id) ? cf_error_set(reterr, CF_ECONFLICT, "a shipped rule cannot be deleted; disable it") : cf_error_set(reterr, CF_ENOENT, "there is no such rule");
        rule_view_close(&v);
        return r;
    }
    if (r < 0)
        return r;
    if (json_is_true(json_object_get(stored, "edited")))
        r = cf_error_set(reterr, CF_ECONFLICT, "this is the edited text of a shipped rule; restore version 0 to go back to the shipped one");
    if (r == 0)
        r = cf_tx_begin(rule_app(req)->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = rule_second_person(req, tx, id, CF_RULE_DISABLED, reterr);
    if (r == 0)
        r = cf_rulebook_remove(tx, cf_json_text(stored, "id"), "delete", CF_STR_NONE, rule_who(req), reterr);
    if (r == 0)
        r = rule_none_lost(req, tx, reterr);
    r = rule_commit(req, &tx, r, reterr);
    if (r == 0) {
        cf_req_audit(req, NULL, stored, NULL);
        cf_reply_empty(req, 204);
    }
    json_decref(stored);
    return r;
}

/* ---- versions ---- */

/* The shipped text of a rule that is edited: the file in content/rules that holds the id. Linear over the files, only here. */
struct hunt {
    cf_str id;
    json_t *text;
};

static int hunt_file(void *ctx, const char *path)
{
    struct hunt *h = ctx;
    json_t *t;
    char want[100];

    if (!cf_str_ends(cf_str_c(path), CF_STR(".yml")) && !cf_str_ends(cf_str_c(path), CF_STR(".yaml")))
        return 0;
    (void)snprintf(want, sizeof want, "id: %.*s", (int)(h->id.n < 90 ? h->id.n : 90), h->id.p);
    t = rule_file_text(path);
    if (json_is_string(t) && strstr(json_string_value(t), want)) {
        h->text = t;
        return 1;
    }
    json_decref(t);
    return 0;
}

static json_t *shipped_text(struct cf_req *req, cf_str id)
{
    struct hunt h = {.id = id};
    struct cf_rules_options lib;
    struct cf_error err;

    if (rule_library(req, &lib, &err) < 0)
        return NULL;
    for (size_t i = 0; i < lib.n_paths && !h.text; i++)
        (void)cf_walk(lib.paths[i], "", hunt_file, &h, &err);
    return h.text;
}

static int versions(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *stored = NULL, *list = NULL, *shipped;
    struct rule_view v;
    const struct rule_row *row;
    int r = rule_view_open(req, &v, reterr);

    if (r < 0)
        return r;
    row = rule_view_row(&v, id);
    if (!row) {
        rule_view_close(&v);
        return cf_error_set(reterr, CF_ENOENT, "there is no such rule");
    }
    r = cf_rulebook_get(rule_app(req)->db, id, &stored, reterr);
    if (r == 0)
        r = cf_rulebook_versions(rule_app(req)->db, cf_json_text(stored, "id"), &list, reterr);
    else if (r == CF_ENOENT) { /* a shipped rule that was edited once and restored keeps its history */
        r = cf_rulebook_versions(rule_app(req)->db, id, &list, reterr);
    }
    if (r == 0 && (!stored || json_is_true(json_object_get(stored, "edited")))) {
        shipped = stored ? shipped_text(req, id) : rule_text(req, row, NULL);
        if (shipped)
            (void)json_array_append_new(list, json_pack("{s:i,s:n,s:n,s:s,s:n,s:o}", "version", 0, "time", "user", "action", "shipped", "note", "yaml", shipped));
    }
    if (r == 0)
        cf_reply_list(req, list, NULL, (int64_t)json_array_size(list));
    json_decref(stored);
    rule_view_close(&v);
    return r;
}

static int restore(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    int64_t want = json_integer_value(json_object_get(req->json, "version"));
    json_t *stored = NULL, *list = NULL, *one;
    struct cf_tx *tx = NULL;
    cf_str yaml = CF_STR_NONE, text_id = id;
    size_t i;
    int r = cf_rulebook_get(rule_app(req)->db, id, &stored, reterr);

    if (r == 0)
        text_id = cf_json_text(stored, "id");
    if (want == 0 && r == 0) {
        if (!json_is_true(json_object_get(stored, "edited")))
            r = cf_error_set(reterr, CF_EINVAL, "a custom rule has no shipped version");
        if (r == 0)
            r = cf_tx_begin(rule_app(req)->db, CF_TX_WRITE, &tx, reterr);
        if (r == 0)
            r = rule_second_person(req, tx, id, CF_RULE_DISABLED, reterr);
        if (r == 0)
            r = cf_rulebook_remove(tx, text_id, "shipped", cf_json_text(req->json, "note"), rule_who(req), reterr);
        if (r == 0)
            r = rule_none_lost(req, tx, reterr);
        r = rule_commit(req, &tx, r, reterr);
    } else if (want > 0 && (r == 0 || r == CF_ENOENT)) {
        struct cf_rule_save s = {.action = "restore", .note = cf_arena_printf(req->arena, "%lld", (long long)want), .expect_version = -1};

        r = cf_rulebook_versions(rule_app(req)->db, text_id, &list, reterr);
        json_array_foreach(list, i, one) if (json_integer_value(json_object_get(one, "version")) == want) yaml = cf_json_text(one, "yaml");
        if (r == 0 && yaml.n == 0)
            r = cf_error_set(reterr, CF_ENOENT, "the rule has no version %lld with a text", (long long)want);
        if (r == 0)
            r = rule_direct(req, reterr);
        if (r == 0)
            r = change(req, id, yaml, CF_STR_NONE, &s, reterr);
    }
    if (r == 0) {
        cf_req_audit(req, NULL, NULL, req->json);
        r = reply_rule(req, 200, id, reterr);
    }
    json_decref(stored);
    json_decref(list);
    return r;
}

#define YAML "\"yaml\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":262144}"
#define STATE "\"state\":{\"type\":\"string\",\"enum\":[\"enabled\",\"staged\",\"disabled\"]}"
#define NOTE "\"note\":{\"type\":\"string\",\"maxLength\":500}"
static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/api/v1/rules:validate", .permission = "rule.read", .handler = validate, .flags = CF_RF_NO_AUDIT, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"yaml\"],\"additionalProperties\":false,\"properties\":{" YAML "}}",
     .doc = "Compile a rule text: errors with line and column, the fields it asks about"},
    {.method = CF_POST, .path = "/api/v1/rules", .permission = "rule.write", .handler = create, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"yaml\"],\"additionalProperties\":false,\"properties\":{" YAML "," STATE "," NOTE "}}", .doc = "Add a custom rule"},
    {.method = CF_PUT, .path = "/api/v1/rules/{id}", .permission = "rule.write", .handler = put_rule, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"yaml\"],\"additionalProperties\":false,\"properties\":{" YAML "," STATE "," NOTE ",\"version\":{\"type\":[\"integer\",\"null\"]}}}",
     .doc = "Change a rule's text; version is the one it was made from (409 when there is a newer one)"},
    {.method = CF_DELETE, .path = "/api/v1/rules/{id}", .permission = "rule.write", .handler = delete_rule, .scope = "all", .doc = "Delete a custom rule; its versions are kept"},
    {.method = CF_GET, .path = "/api/v1/rules/{id}/versions", .permission = "rule.read", .handler = versions, .scope = "all", .doc = "Texts of a rule, newest first; version 0 is the shipped one"},
    {.method = CF_POST, .path = "/api/v1/rules/{id}/restore", .permission = "rule.write", .handler = restore, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"version\"],\"additionalProperties\":false,\"properties\":{\"version\":{\"type\":\"integer\",\"minimum\":0}," NOTE "}}",
     .doc = "Go back to an older text (0: the shipped one); this makes a new version"},
};

void cf_rule_edit_routes(void)
{
    cf_routes_add(routes, sizeof routes / sizeof *routes);
    cf_rule_transfer_routes();
    cf_rule_list_routes();
}
