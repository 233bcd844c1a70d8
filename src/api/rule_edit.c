/* SPDX-License-Identifier: Apache-2.0
 * Rules as edited content over HTTP: validate, create, change, delete, versions, restore, import, export, lists, hits of staged
 * rules. After each change the running detector has the new set before the reply goes out. */
#include <stdio.h>
#include <stdlib.h>

#include "api/rule_view.h"

static cf_str jtext(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    return json_is_string(v) ? cf_str_n(json_string_value(v), json_string_length(v)) : CF_STR_NONE;
}

static int validate(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_rules_options lib;
    json_t *o = NULL;
    int r = rule_library(req, &lib, reterr);

    if (r == 0)
        r = cf_rulebook_check(&lib, jtext(req->json, "yaml"), &o, reterr);
    if (r == 0)
        cf_reply_json(req, 200, o);
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
};

static void edit_close(struct edit *e)
{
    json_decref(e->check);
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

/* Text checked, ids known; a text with mistakes is refused with their places. */
static int edit_open(struct cf_req *req, struct edit *e, cf_str yaml, struct cf_error *reterr)
{
    json_t *rules, *one, *errors;
    size_t i;
    int r;

    memset(e, 0, sizeof *e);
    e->req = req;
    e->yaml = yaml;
    r = rule_view_open(req, &e->v, reterr);
    if (r < 0)
        return r;
    r = rule_library(req, &e->lib, reterr);
    if (r == 0)
        r = cf_rulebook_check(&e->lib, yaml, &e->check, reterr);
    if (r == 0)
        r = give_id(e, reterr);
    errors = json_object_get(e->check, "errors");
    if (r == 0 && json_array_size(errors)) {
        one = json_array_get(errors, 0);
        (void)cf_req_field_error(req, "yaml", "%s", json_string_value(json_object_get(one, "message")));
        cf_req_problem(req, "rule_errors", json_incref(errors));
        r = cf_error_set(reterr, CF_EINVAL, "%s", json_string_value(json_object_get(one, "message")));
    }
    rules = json_object_get(e->check, "rules");
    e->ids = CF_NEW_N(req->arena, cf_str, json_array_size(rules) + 1);
    if (r == 0 && !e->ids)
        r = cf_error_set(reterr, CF_ENOMEM, "no memory");
    json_array_foreach(rules, i, one)
    {
        cf_str id = jtext(one, "id");

        if (r == 0 && id.n)
            e->ids[e->n_ids++] = cf_arena_copy(req->arena, id);
    }
    if (r < 0)
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

static int commit(struct cf_req *req, struct cf_tx **tx, int r, struct cf_error *reterr)
{
    if (r == 0)
        r = cf_tx_commit(tx, reterr);
    cf_tx_rollback(tx);
    return r == 0 ? rule_apply(req, true, reterr) : r;
}

static int put_text(struct edit *e, struct cf_rule_save *s, struct cf_error *reterr)
{
    const char *state = json_string_value(json_object_get(e->req->json, "state"));
    enum cf_rule_state st;
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(rule_app(e->req)->db, CF_TX_WRITE, &tx, reterr);

    s->yaml = e->yaml;
    s->title = jtext(json_array_get(json_object_get(e->check, "rules"), 0), "title");
    s->ids = e->ids;
    s->n_ids = e->n_ids;
    s->who = rule_who(e->req);
    if (r == 0)
        r = cf_rulebook_put(tx, s, NULL, reterr);
    for (size_t i = 0; r == 0 && state && cf_rule_state_parse(cf_str_c(state), &st) && i < e->n_ids; i++)
        r = cf_rulebook_set_state(tx, e->ids[i], st, s->note, e->req->who->user_name, reterr);
    return commit(e->req, &tx, r, reterr);
}

static const struct rule_row *find(const struct rule_view *v, cf_str id)
{
    for (size_t i = 0; i < v->n; i++)
        if (id.n && cf_str_eq(v->rows[i].info->id, id))
            return &v->rows[i];
    return NULL;
}

static int create(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_rule_save s = {.action = "create", .expect_version = -1, .note = jtext(req->json, "note")};
    struct edit e;
    int r = edit_open(req, &e, jtext(req->json, "yaml"), reterr);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < e.n_ids; i++)
        if (find(&e.v, e.ids[i]))
            r = cf_error_set(reterr, CF_EEXIST, "there is a rule with the id %.*s already; edit that one, or give this one another id", CF_ARG(e.ids[i]));
    if (r == 0) {
        s.text_id = e.ids[0];
        r = put_text(&e, &s, reterr);
    }
    edit_close(&e);
    if (r == 0) {
        cf_req_audit(req, cf_arena_strdup(req->arena, s.text_id), NULL, req->json);
        r = reply_rule(req, 201, s.text_id, reterr);
    }
    return r;
}

/* Ids of the shipped file that holds `row`. */
static int shipped_ids(struct edit *e, const struct rule_row *row, struct cf_rule_save *s, struct cf_error *reterr)
{
    cf_str *ids = CF_NEW_N(e->req->arena, cf_str, e->v.n + 1);

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
    const struct rule_row *row = find(&e->v, id);
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
        s->text_id = cf_arena_copy(e->req->arena, jtext(stored, "id"));
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
        const struct rule_row *other = find(&e->v, e->ids[i]);

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

static int change(struct cf_req *req, cf_str id, cf_str yaml, const char *action, cf_str note, int64_t expect, struct cf_error *reterr)
{
    struct cf_rule_save s = {.action = action, .expect_version = expect, .note = note};
    struct edit e;
    int r = edit_open(req, &e, yaml, reterr);

    if (r < 0)
        return r;
    r = base_of(&e, id, &s, reterr);
    if (r == 0)
        r = put_text(&e, &s, reterr);
    edit_close(&e);
    return r;
}

static int put_rule(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    json_t *version = json_object_get(req->json, "version");
    int r = change(req, id, jtext(req->json, "yaml"), "edit", jtext(req->json, "note"), json_is_integer(version) ? json_integer_value(version) : -1, reterr);

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
        r = find(&v, id) ? cf_error_set(reterr, CF_ECONFLICT, "a shipped rule cannot be deleted; disable it") : cf_error_set(reterr, CF_ENOENT, "there is no such rule");
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
        r = cf_rulebook_remove(tx, jtext(stored, "id"), "delete", CF_STR_NONE, rule_who(req), reterr);
    r = commit(req, &tx, r, reterr);
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
    row = find(&v, id);
    if (!row) {
        rule_view_close(&v);
        return cf_error_set(reterr, CF_ENOENT, "there is no such rule");
    }
    r = cf_rulebook_get(rule_app(req)->db, id, &stored, reterr);
    if (r == 0)
        r = cf_rulebook_versions(rule_app(req)->db, jtext(stored, "id"), &list, reterr);
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
        text_id = jtext(stored, "id");
    if (want == 0 && r == 0) {
        if (!json_is_true(json_object_get(stored, "edited")))
            r = cf_error_set(reterr, CF_EINVAL, "a custom rule has no shipped version");
        if (r == 0)
            r = cf_tx_begin(rule_app(req)->db, CF_TX_WRITE, &tx, reterr);
        if (r == 0)
            r = cf_rulebook_remove(tx, text_id, "shipped", jtext(req->json, "note"), rule_who(req), reterr);
        r = commit(req, &tx, r, reterr);
    } else if (want > 0 && (r == 0 || r == CF_ENOENT)) {
        r = cf_rulebook_versions(rule_app(req)->db, text_id, &list, reterr);
        json_array_foreach(list, i, one) if (json_integer_value(json_object_get(one, "version")) == want) yaml = jtext(one, "yaml");
        if (r == 0 && yaml.n == 0)
            r = cf_error_set(reterr, CF_ENOENT, "the rule has no version %lld with a text", (long long)want);
        if (r == 0)
            r = change(req, id, yaml, "restore", cf_arena_printf(req->arena, "%lld", (long long)want), -1, reterr);
    }
    if (r == 0) {
        cf_req_audit(req, NULL, NULL, req->json);
        r = reply_rule(req, 200, id, reterr);
    }
    json_decref(stored);
    json_decref(list);
    return r;
}

/* ---- import ---- */

static int refuse(json_t *report, cf_str file, json_t *errors)
{
    return json_array_append_new(report, json_pack("{s:s%,s:s,s:o}", "file", file.p, file.n, "result", "refused", "errors", errors));
}

static int import_file(struct cf_req *req, struct cf_tx *tx, const struct rule_view *v, const struct cf_rules_options *lib, const struct cf_rule_file *f, json_t *report,
                       struct cf_error *reterr)
{
    enum cf_rule_state state = CF_RULE_ENABLED;
    cf_str want = cf_req_query(req, "state"), first;
    struct cf_rule_save s = {.action = "import", .yaml = f->text, .note = f->name, .expect_version = -1, .who = rule_who(req)};
    const struct rule_row *row;
    json_t *check = NULL, *rules, *one, *stored = NULL, *old;
    cf_str *ids;
    size_t i;
    int r;
    bool same;

    if (f->text.n > CF_RULE_TEXT_MAX)
        return refuse(report, f->name, json_pack("[{s:i,s:i,s:s}]", "line", 1, "column", 1, "message", "the file is larger than 256 KiB"));
    r = cf_rulebook_check(lib, f->text, &check, reterr);
    if (r < 0)
        return r;
    rules = json_object_get(check, "rules");
    first = jtext(json_array_get(rules, 0), "id");
    if (!json_is_true(json_object_get(check, "valid")) || first.n == 0) {
        r = refuse(report, f->name, first.n || !json_is_true(json_object_get(check, "valid"))
                                        ? json_incref(json_object_get(check, "errors"))
                                        : json_pack("[{s:i,s:i,s:s}]", "line", 1, "column", 1, "message", "the rule has no id"));
        json_decref(check);
        return r;
    }
    ids = CF_NEW_N(req->arena, cf_str, json_array_size(rules) + 1);
    json_array_foreach(rules, i, one) if (jtext(one, "id").n) ids[s.n_ids++] = cf_arena_copy(req->arena, jtext(one, "id"));
    s.ids = ids;
    row = find(v, first);
    s.text_id = ids[0];
    s.title = jtext(json_array_get(rules, 0), "title");
    if (row && row->stored && cf_rulebook_get(rule_app(req)->db, first, &stored, reterr) == 0) {
        s.text_id = cf_arena_copy(req->arena, jtext(stored, "id"));
        s.edited = json_is_true(json_object_get(stored, "edited"));
    } else if (row) {
        s.edited = true;
    }
    if (s.edited) { /* every id the shipped file or the old text held */
        cf_str *rep = CF_NEW_N(req->arena, cf_str, v->n + 1);

        for (i = 0; rep && i < v->n; i++)
            if (cf_str_eq(v->rows[i].info->file, row->info->file) && v->rows[i].info->id.n)
                rep[s.n_replaces++] = v->rows[i].info->id;
        s.replaces = rep;
    }
    old = row ? rule_text(req, row, NULL) : NULL;
    same = json_is_string(old) && cf_str_eq(cf_str_n(json_string_value(old), json_string_length(old)), f->text);
    if (!same && tx)
        r = cf_rulebook_put(tx, &s, NULL, reterr);
    for (i = 0; r == 0 && tx && !same && want.n && cf_rule_state_parse(want, &state) && i < s.n_ids; i++)
        r = cf_rulebook_set_state(tx, s.ids[i], state, f->name, req->who->user_name, reterr);
    if (r == 0)
        (void)json_array_append_new(report, json_pack("{s:s%,s:s,s:s%,s:s%,s:i}", "file", f->name.p, f->name.n, "result", same ? "unchanged" : row ? "updated" : "added", "id",
                                                      ids[0].p, ids[0].n, "title", s.title.p, s.title.n, "rules", (int)s.n_ids));
    json_decref(old);
    json_decref(stored);
    json_decref(check);
    return r;
}

/* {"files":[{"name","text"}]}, a YAML text, or an archive. */
static int take_files(struct cf_req *req, struct cf_rule_file **ret, size_t *ret_n, struct cf_error *reterr)
{
    json_t *j = req->body.n && req->body.p[0] == '{' ? json_loadb(req->body.p, req->body.n, 0, NULL) : NULL, *list = json_object_get(j, "files"), *one;
    struct cf_rule_file *part;
    size_t i, n;
    int r = 0;

    if (!json_is_array(list)) {
        json_decref(j);
        return cf_rulebook_unpack(req->arena, cf_req_query(req, "name"), req->body, ret, ret_n, reterr);
    }
    *ret = CF_NEW_N(req->arena, struct cf_rule_file, json_array_size(list) + 1);
    *ret_n = 0;
    json_array_foreach(list, i, one)
    {
        r = cf_rulebook_unpack(req->arena, CF_STR("x.yml"), jtext(one, "text"), &part, &n, reterr);
        if (r < 0)
            break;
        part[0].name = cf_arena_copy(req->arena, jtext(one, "name").p ? jtext(one, "name") : CF_STR("rule.yml"));
        (*ret)[(*ret_n)++] = part[0];
    }
    json_decref(j);
    return r;
}

static int import_rules(struct cf_req *req, struct cf_error *reterr)
{
    bool dry = cf_str_eqz(cf_req_query(req, "dry_run"), "true");
    struct cf_rules_options lib;
    struct cf_rule_file *f = NULL;
    struct rule_view v;
    struct cf_tx *tx = NULL;
    json_t *report = json_array(), *one;
    int64_t counts[4] = {0};
    static const char *const results[] = {"added", "updated", "unchanged", "refused"};
    size_t n = 0, i;
    int r = take_files(req, &f, &n, reterr);

    if (r == 0 && n == 0)
        r = cf_error_set(reterr, CF_EINVAL, "there is no .yml or .yaml file in it");
    if (r == 0)
        r = rule_library(req, &lib, reterr);
    if (r == 0)
        r = rule_view_open(req, &v, reterr);
    if (r < 0) {
        json_decref(report);
        return r;
    }
    if (!dry)
        r = cf_tx_begin(rule_app(req)->db, CF_TX_WRITE, &tx, reterr);
    for (i = 0; r == 0 && i < n; i++) {
        r = import_file(req, tx, &v, &lib, &f[i], report, reterr);
        if (r < 0)
            cf_error_context(reterr, "%.*s", (int)(f[i].name.n < 200 ? f[i].name.n : 200), f[i].name.p);
    }
    rule_view_close(&v);
    if (!dry)
        r = commit(req, &tx, r, reterr);
    if (r < 0) {
        json_decref(report);
        return r;
    }
    json_array_foreach(report, i, one) for (int k = 0; k < 4; k++) counts[k] += strcmp(json_string_value(json_object_get(one, "result")), results[k]) == 0;
    one = json_pack("{s:I,s:I,s:I,s:I}", "added", (json_int_t)counts[0], "updated", (json_int_t)counts[1], "unchanged", (json_int_t)counts[2], "refused", (json_int_t)counts[3]);
    cf_req_audit(req, NULL, NULL, one);
    (void)json_object_set_new(one, "files", report);
    cf_reply_json(req, 200, one);
    return 0;
}

/* ---- export ---- */

static cf_str file_name(struct cf_req *req, const struct cf_rule_info *ri)
{
    char slug[81];
    size_t n = 0;

    for (size_t i = 0; i < ri->title.n && n < 80; i++) {
        char c = ri->title.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');

        if (ok)
            slug[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        else if (n && slug[n - 1] != '_')
            slug[n++] = '_';
    }
    while (n && slug[n - 1] == '_')
        n--;
    return cf_arena_printf(req->arena, "%.*s/%.*s%s%.*s.yml", (int)(ri->product.n ? ri->product.n : 3), ri->product.n ? ri->product.p : "any", (int)n, slug, n ? "_" : "",
                           (int)(ri->id.n < 8 ? ri->id.n : 8), ri->id.n ? ri->id.p : "");
}

static int gather(struct cf_req *req, struct rule_view *v, struct cf_rule_file *f, size_t *n, struct cf_error *reterr)
{
    for (size_t i = 0; i < v->n; i++) {
        bool seen = false;
        json_t *t;

        for (size_t k = 0; k < i && !seen; k++) /* several rules of one file go out once */
            seen = cf_str_eq(v->rows[k].info->file, v->rows[i].info->file) && !cf_str_eq(v->rows[k].info->file, CF_STR(""));
        if (seen)
            continue;
        t = rule_text(req, &v->rows[i], NULL);
        if (json_is_string(t)) {
            f[*n].name = file_name(req, v->rows[i].info);
            f[*n].text = cf_arena_copy(req->arena, cf_str_n(json_string_value(t), json_string_length(t)));
            if (!f[*n].text.p) {
                json_decref(t);
                return cf_error_set(reterr, CF_ENOMEM, "no memory");
            }
            ++*n;
        }
        json_decref(t);
    }
    return 0;
}

static int export_rules(struct cf_req *req, struct cf_error *reterr)
{
    cf_str ids = cf_req_query(req, "ids"), format = cf_req_query(req, "format"), id;
    const char *kind = cf_str_eqz(format, "tar.gz") ? "tar.gz" : "zip";
    struct cf_rule_file *f;
    struct rule_view v;
    struct cf_buf out;
    size_t n = 0, kept = 0;
    int r = rule_view_open(req, &v, reterr);

    if (r < 0)
        return r;
    if (ids.n) {
        for (size_t i = 0; i < v.n; i++) {
            cf_str rest = ids;

            while (cf_str_cut(&rest, ',', &id))
                if (cf_str_eq(id, v.rows[i].info->id)) {
                    v.rows[kept++] = v.rows[i];
                    break;
                }
        }
        v.n = kept;
    } else {
        r = rule_view_filter(&v, cf_req_query(req, "filter"), reterr);
    }
    f = CF_NEW_N(req->arena, struct cf_rule_file, v.n + 1);
    if (r == 0)
        r = f ? gather(req, &v, f, &n, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory");
    rule_view_close(&v);
    if (r == 0 && n == 0)
        r = cf_error_set(reterr, CF_ENOENT, "no rule fits");
    if (r < 0)
        return r;
    cf_buf_init(&out, (size_t)256 << 20);
    r = cf_rulebook_pack(f, n, kind, &out, reterr);
    if (r < 0) {
        cf_buf_release(&out);
        return r;
    }
    cf_reply_header(req, "Content-Disposition", strcmp(kind, "zip") == 0 ? "attachment; filename=\"rules.zip\"" : "attachment; filename=\"rules.tar.gz\"");
    cf_reply_bytes(req, 200, strcmp(kind, "zip") == 0 ? "application/zip" : "application/gzip", &out);
    return 0;
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
    {.method = CF_POST, .path = "/api/v1/rules:import", .permission = "rule.write", .handler = import_rules, .flags = CF_RF_RAW_BODY | CF_RF_UPLOAD, .scope = "all",
     .doc = "Import a YAML file, an archive of them, or {files:[{name,text}]}; ?name= ?state= ?dry_run=true; the reply reports per file"},
    {.method = CF_GET, .path = "/api/v1/rules:export", .permission = "rule.read", .handler = export_rules, .flags = CF_RF_SENSITIVE, .scope = "all",
     .doc = "Rules as an archive: ?ids=a,b or ?filter=, ?format=zip|tar.gz"},
};

void cf_rule_edit_routes(void)
{
    cf_routes_add(routes, sizeof routes / sizeof *routes);
    cf_rule_list_routes();
}
