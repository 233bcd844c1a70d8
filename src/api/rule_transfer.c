/* SPDX-License-Identifier: Apache-2.0
 * Rules in and out: files or archives imported with a report a file, rules exported as an archive. */
#include <stdio.h>
#include <stdlib.h>

#include "api/rule_view.h"
#include "base/jstr.h"

#define PROPOSALS_MAX 500u /* of one import */

/* ---- import ---- */

static int refuse(json_t *report, cf_str file, json_t *errors)
{
    return json_array_append_new(report, json_pack("{s:s%,s:s,s:o}", "file", file.p, file.n, "result", "refused", "errors", errors));
}

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

static int import_file(struct cf_req *req, struct cf_tx *tx, const struct rule_view *v, const struct cf_rules_options *lib, const struct cf_rule_file *f, json_t *report,
                       struct cf_error *reterr)
{
    cf_str first, proposal = CF_STR_NONE;
    struct cf_rule_save s = {.action = "import", .yaml = f->text, .note = f->name, .expect_version = -1, .who = rule_who(req)};
    const struct rule_row *row;
    json_t *check = NULL, *rules, *one, *old;
    int64_t version;
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
    first = cf_json_text(json_array_get(rules, 0), "id");
    if (!json_is_true(json_object_get(check, "valid")) || first.n == 0) {
        r = refuse(report, f->name, first.n || !json_is_true(json_object_get(check, "valid"))
                                        ? json_incref(json_object_get(check, "errors"))
                                        : json_pack("[{s:i,s:i,s:s}]", "line", 1, "column", 1, "message", "the rule has no id"));
        json_decref(check);
        return r;
    }
    ids = CF_NEW_N(req->arena, cf_str, json_array_size(rules) + 1);
    json_array_foreach(rules, i, one) if (cf_json_text(one, "id").n) ids[s.n_ids++] = cf_arena_copy(req->arena, cf_json_text(one, "id"));
    s.ids = ids;
    row = rule_view_row(v, first);
    s.text_id = ids[0];
    s.title = cf_json_text(json_array_get(rules, 0), "title");
    import_base(req, v, row, &s, &version);
    old = row ? rule_text(req, row, NULL) : NULL;
    same = json_is_string(old) && cf_str_eq(cf_str_n(json_string_value(old), json_string_length(old)), f->text);
    if (!same && tx)
        r = import_keep(req, tx, &s, row ? ids[0] : CF_STR_NONE, version, &proposal, reterr);
    if (r == 0) {
        one = json_pack("{s:s%,s:s,s:s%,s:s%,s:i}", "file", f->name.p, f->name.n, "result", same ? "unchanged" : proposal.n ? "proposed" : row ? "updated" : "added", "id", ids[0].p,
                        ids[0].n, "title", s.title.p, s.title.n, "rules", (int)s.n_ids);
        if (proposal.n)
            (void)json_object_set_new(one, "proposal", rule_str(proposal));
        (void)json_array_append_new(report, one);
    }
    json_decref(old);
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
        r = cf_rulebook_unpack(req->arena, CF_STR("x.yml"), cf_json_text(one, "text"), &part, &n, reterr);
        if (r < 0)
            break;
        part[0].name = cf_arena_copy(req->arena, cf_json_text(one, "name").p ? cf_json_text(one, "name") : CF_STR("rule.yml"));
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
    int64_t counts[5] = {0};
    static const char *const results[] = {"added", "updated", "unchanged", "refused", "proposed"};
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
    if (rule_approval_on(req) && n > PROPOSALS_MAX)
        r = cf_error_set(reterr, CF_ELIMIT, "rules.approval is on, each file is a proposal that a person reads: at most %u at a time", PROPOSALS_MAX);
    if (r == 0 && !dry)
        r = cf_tx_begin(rule_app(req)->db, CF_TX_WRITE, &tx, reterr);
    for (i = 0; r == 0 && i < n; i++) {
        r = import_file(req, tx, &v, &lib, &f[i], report, reterr);
        if (r < 0)
            cf_error_context(reterr, "%.*s", (int)(f[i].name.n < 200 ? f[i].name.n : 200), f[i].name.p);
    }
    rule_view_close(&v);
    if (!dry && rule_approval_on(req)) { /* nothing that is in use changes */
        r = r == 0 ? cf_tx_commit(&tx, reterr) : r;
        cf_tx_rollback(&tx);
    } else if (!dry) {
        r = rule_commit(req, &tx, r, reterr);
    }
    if (r < 0) {
        json_decref(report);
        return r;
    }
    json_array_foreach(report, i, one) for (int k = 0; k < 5; k++) counts[k] += strcmp(json_string_value(json_object_get(one, "result")), results[k]) == 0;
    one = json_pack("{s:I,s:I,s:I,s:I,s:I}", "proposed", (json_int_t)counts[4], "added", (json_int_t)counts[0], "updated", (json_int_t)counts[1], "unchanged", (json_int_t)counts[2], "refused", (json_int_t)counts[3]);
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

static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/api/v1/rules:import", .permission = "rule.write", .handler = import_rules, .flags = CF_RF_RAW_BODY | CF_RF_UPLOAD, .scope = "all",
     .doc = "Import a YAML file, an archive of them, or {files:[{name,text}]}; ?name= ?state= ?dry_run=true; the reply reports per file; with rules.approval each file becomes a proposal that another person approves"},
    {.method = CF_GET, .path = "/api/v1/rules:export", .permission = "rule.read", .handler = export_rules, .flags = CF_RF_SENSITIVE, .scope = "all",
     .doc = "Rules as an archive: ?ids=a,b or ?filter=, ?format=zip|tar.gz"},
};

void cf_rule_transfer_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
