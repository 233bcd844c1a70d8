/* SPDX-License-Identifier: Apache-2.0
 * Rules in and out: files or archives imported with a report a file, rules exported as an archive. */
#include <stdio.h>
#include <stdlib.h>

#include "api/rule_view.h"
#include "base/jstr.h"

#define PROPOSALS_MAX 500u /* of one import */

/* ---- import ---- */

/* What the text stands in the place of: the stored text that holds the rule, or the shipped file; *version: of the stored text. */
static void import_base(struct cf_req *req, const struct rule_view *v, const struct rule_row *row, struct cf_rule_save *s, int64_t *version)
{
    struct cf_error ignored;
    json_t *stored = NULL;
    cf_str *rep;

    *version = 0;
    if (row && row->stored && cf_rulebook_get(rule_app(req)->db, s->text_id, &stored, &ignored) == 0) {
        s->text_id = cf_arena_copy(req->arena, cf_json_text(stored, "id"));
        s->edited = json_is_true(json_object_get(stored, "edited"));
        *version = json_integer_value(json_object_get(stored, "version"));
    } else if (row) {
        s->edited = true;
    }
    json_decref(stored);
    if (!s->edited)
        return;
    rep = CF_NEW_N(req->arena, cf_str, v->n + 1); /* every id the shipped file or the old text held */
    for (size_t i = 0; rep && i < v->n; i++)
        if (cf_str_eq(v->rows[i].info->file, row->info->file) && v->rows[i].info->id.n)
            rep[s->n_replaces++] = v->rows[i].info->id;
    s->replaces = rep;
}

/* Into use; with rules.approval a proposal that another person decides, *ret_proposal its id. */
static int import_keep(struct cf_req *req, struct cf_tx *tx, const struct cf_rule_save *s, cf_str rule_id, int64_t version, cf_str *ret_proposal, struct cf_error *reterr)
{
    enum cf_rule_state state = CF_RULE_ENABLED;
    cf_str want = cf_req_query(req, "state");
    struct cf_rule_proposal p = {.rule_id = rule_id, .title = s->title, .yaml = s->yaml, .note = s->note, .base_version = version, .state = CF_RULE_PROPOSAL_SUBMITTED, .author = s->who};
    char id[37];
    int r;

    if (rule_approval_on(req)) {
        cf_uuid7(id);
        p.id = *ret_proposal = cf_arena_copy(req->arena, cf_str_c(id));
        return p.id.p ? cf_rule_proposal_add(tx, &p, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory");
    }
    r = cf_rulebook_put(tx, s, NULL, reterr);
    for (size_t i = 0; r == 0 && want.n && cf_rule_state_parse(want, &state) && i < s->n_ids; i++)
        r = cf_rulebook_set_state(tx, s->ids[i], state, s->note, req->who->user_name, reterr);
    return r;
}

struct import {
    struct cf_req *req;
    const struct rule_view *v;
    const struct cf_rule_file *f;
    struct rule_text *texts; /* as many as files */
    struct import_one {
        struct cf_rule_save s;
        cf_str rule_id; /* what it stands in the place of; none: a new rule */
        int64_t version;
        bool same;
        json_t *report; /* owned */
    } *one;
};

static int refuse(struct import_one *o, cf_str file, json_t *errors, struct cf_error *reterr)
{
    json_decref(o->report);
    o->report = json_pack("{s:s%,s:s,s:o}", "file", file.p, file.n, "result", "refused", "errors", errors);
    return cf_error_set(reterr, CF_ESYNTAX, "refused");
}

/* What a file would do. CF_ESYNTAX: it is refused, the report says why. */
static int look(struct import *im, size_t at, const struct cf_rules_options *lib, struct cf_error *reterr)
{
    struct import_one *o = &im->one[at];
    const struct cf_rule_file *f = &im->f[at];
    struct cf_rule_save *s = &o->s;
    json_t *check = NULL, *rules, *one, *old;
    const struct rule_row *row;
    cf_str *ids;
    size_t i;
    int r;

    *s = (struct cf_rule_save){.action = "import", .yaml = f->text, .note = f->name, .expect_version = -1, .who = rule_who(im->req)};
    if (f->text.n > CF_RULE_TEXT_MAX)
        return refuse(o, f->name, json_pack("[{s:i,s:i,s:s}]", "line", 1, "column", 1, "message", "the file is larger than 256 KiB"), reterr);
    r = cf_rulebook_check(lib, f->text, &check, reterr);
    if (r < 0)
        return r;
    rules = json_object_get(check, "rules");
    if (!json_is_true(json_object_get(check, "valid")))
        r = refuse(o, f->name, json_incref(json_object_get(check, "errors")), reterr);
    else if (cf_json_text(json_array_get(rules, 0), "id").n == 0)
        r = refuse(o, f->name, json_pack("[{s:i,s:i,s:s}]", "line", 1, "column", 1, "message", CF_SAID("the rule has no id")), reterr);
    ids = CF_NEW_N(im->req->arena, cf_str, json_array_size(rules) + 1);
    if (r == 0 && !ids)
        r = cf_error_set(reterr, CF_ENOMEM, "no memory");
    if (r < 0) {
        json_decref(check);
        return r;
    }
    json_array_foreach(rules, i, one) if (cf_json_text(one, "id").n) ids[s->n_ids++] = cf_arena_copy(im->req->arena, cf_json_text(one, "id"));
    s->ids = ids;
    s->text_id = ids[0];
    s->title = cf_arena_copy(im->req->arena, cf_json_text(json_array_get(rules, 0), "title"));
    json_decref(check);
    row = rule_view_row(im->v, ids[0]);
    import_base(im->req, im->v, row, s, &o->version);
    o->rule_id = row ? ids[0] : CF_STR_NONE;
    old = row ? rule_text(im->req, row, NULL) : NULL;
    o->same = json_is_string(old) && cf_str_eq(cf_str_n(json_string_value(old), json_string_length(old)), f->text);
    json_decref(old);
    json_decref(o->report);
    o->report = json_pack("{s:s%,s:s,s:s%,s:s%,s:i}", "file", f->name.p, f->name.n, "result", o->same ? "unchanged" : row ? "updated" : "added", "id", ids[0].p, ids[0].n, "title",
                          s->title.p ? s->title.p : "", s->title.n, "rules", (int)s->n_ids);
    return o->report ? 0 : cf_error_set(reterr, CF_ENOMEM, "no memory for the report");
}

static int look_text(void *ctx, const struct cf_rules_options *lib, struct rule_text *t, struct cf_error *reterr)
{
    struct import *im = ctx;
    return look(im, (size_t)(t - im->texts), lib, reterr);
}

/* All files beside each other, before anything is written. */
static int look_all(struct import *im, size_t n, struct cf_error *reterr)
{
    struct cf_rules_options lib;
    int r = rule_library(im->req, &lib, reterr);

    im->one = CF_NEW_N(im->req->arena, struct import_one, n + 1);
    im->texts = CF_NEW_N(im->req->arena, struct rule_text, n + 1);
    if (r == 0 && (!im->one || !im->texts))
        r = cf_error_set(reterr, CF_ENOMEM, "no memory for the files");
    for (size_t i = 0; r == 0 && i < n; i++)
        im->texts[i].yaml = im->f[i].text;
    if (r == 0)
        r = rule_texts_settle(im->req, &lib, im->texts, n, look_text, im, reterr);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (im->texts[i].r < 0 && im->texts[i].r != CF_ESYNTAX) {
            *reterr = im->texts[i].err;
            r = im->texts[i].r;
            cf_error_context(reterr, "%.*s", (int)(im->f[i].name.n < 200 ? im->f[i].name.n : 200), im->f[i].name.p);
        }
    return r;
}

static int write_all(struct import *im, size_t n, struct cf_error *reterr)
{
    bool approval = rule_approval_on(im->req), replaced = false;
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(rule_app(im->req)->db, CF_TX_WRITE, &tx, reterr);

    for (size_t i = 0; r == 0 && i < n; i++) {
        struct import_one *o = &im->one[i];
        cf_str proposal = CF_STR_NONE;

        if (im->texts[i].r < 0 || o->same)
            continue;
        replaced = replaced || o->rule_id.n;
        r = import_keep(im->req, tx, &o->s, o->rule_id, o->version, &proposal, reterr);
        if (r < 0)
            cf_error_context(reterr, "%.*s", (int)(im->f[i].name.n < 200 ? im->f[i].name.n : 200), im->f[i].name.p);
        if (r == 0 && proposal.n) {
            (void)json_object_set_new(o->report, "result", json_string("proposed"));
            (void)json_object_set_new(o->report, "proposal", rule_str(proposal));
        }
    }
    if (r == 0 && replaced && !approval)
        r = rule_none_lost(im->req, tx, reterr);
    if (!approval)
        return rule_commit(im->req, &tx, r, reterr);
    r = r == 0 ? cf_tx_commit(&tx, reterr) : r; /* nothing that is in use changes */
    cf_tx_rollback(&tx);
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
        r = cf_rulebook_unpack(req->arena, CF_STR("x.yml"), cf_json_text(one, "text"), &part, &n, reterr);
        if (r < 0)
            break;
        part[0].name = cf_arena_copy(req->arena, cf_json_text(one, "name").p ? cf_json_text(one, "name") : CF_STR("rule.yml"));
        (*ret)[(*ret_n)++] = part[0];
    }
    json_decref(j);
    return r;
}

static void reply_import(struct cf_req *req, const struct import *im, size_t n)
{
    static const char *const results[] = {"added", "updated", "unchanged", "refused", "proposed"};
    json_t *files = json_array(), *all = json_object();

    for (size_t k = 0; k < sizeof results / sizeof *results; k++) {
        json_int_t count = 0;

        for (size_t i = 0; i < n; i++)
            count += strcmp(json_string_value(json_object_get(im->one[i].report, "result")), results[k]) == 0;
        (void)json_object_set_new(all, results[k], json_integer(count));
    }
    cf_req_audit(req, NULL, NULL, all);
    for (size_t i = 0; i < n; i++)
        (void)json_array_append(files, im->one[i].report);
    (void)json_object_set_new(all, "files", files);
    cf_reply_json(req, 200, cf_req_tell(req, all));
}

static int import_rules(struct cf_req *req, struct cf_error *reterr)
{
    bool dry = cf_str_eqz(cf_req_query(req, "dry_run"), "true");
    struct cf_rule_file *f = NULL;
    struct rule_view v;
    struct import im = {.req = req, .v = &v};
    size_t n = 0;
    int r = take_files(req, &f, &n, reterr);

    if (r == 0 && n == 0)
        r = cf_error_set(reterr, CF_EINVAL, "there is no .yml or .yaml file in it");
    if (r == 0 && rule_approval_on(req) && n > PROPOSALS_MAX)
        r = cf_error_set(reterr, CF_ELIMIT, "rules.approval is on, each file is a proposal that a person reads: at most %u at a time", PROPOSALS_MAX);
    if (r == 0)
        r = rule_view_open(req, &v, reterr);
    if (r < 0)
        return r;
    im.f = f;
    r = look_all(&im, n, reterr);
    if (r == 0 && !dry)
        r = write_all(&im, n, reterr);
    if (r == 0)
        reply_import(req, &im, n);
    for (size_t i = 0; im.one && i < n; i++)
        json_decref(im.one[i].report);
    rule_view_close(&v);
    return r;
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

static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/api/v1/rules:import", .permission = "rule.write", .handler = import_rules, .flags = CF_RF_RAW_BODY | CF_RF_UPLOAD, .scope = "all",
     .doc = "Import a YAML file, an archive of them, or {files:[{name,text}]}; ?name= ?state= ?dry_run=true; the reply reports per file; with rules.approval each file becomes a proposal that another person approves"},
    {.method = CF_GET, .path = "/api/v1/rules:export", .permission = "rule.read", .handler = export_rules, .flags = CF_RF_SENSITIVE, .scope = "all",
     .doc = "Rules as an archive: ?ids=a,b or ?filter=, ?format=zip|tar.gz"},
};

void cf_rule_transfer_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
