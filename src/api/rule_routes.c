/* SPDX-License-Identifier: Apache-2.0
 * The rules in use: list, one with its text and tests, coverage, switching off and on. The list is the pipeline's ruleset in
 * memory, joined with the alerts of the last day and the switches in the records. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/list.h"
#include "api/rules.h"
#include "pipeline/pipeline.h"

struct row {
    const struct cf_rule_info *info;
    bool enabled;
    int64_t hits, last_us;
};
struct view {
    struct cf_req *req;
    const struct cf_ruleset *rs;
    struct cf_shared_box *box;
    struct row *rows;
    size_t n;
};

static struct cf_app *app_of(const struct cf_req *req) { return req->app; }

/* Rows by rule id; a small open hash so that joining stays linear. */
struct index {
    struct row **slot;
    size_t mask;
};

static bool index_build(struct view *v, struct index *ix)
{
    size_t cap = 16;

    while (cap < 2 * v->n)
        cap *= 2;
    ix->mask = cap - 1;
    ix->slot = CF_NEW_N(v->req->arena, struct row *, cap);
    for (size_t i = 0; ix->slot && i < v->n; i++) {
        size_t k = cf_hash64(v->rows[i].info->id) & ix->mask;

        while (ix->slot[k])
            k = (k + 1) & ix->mask;
        ix->slot[k] = &v->rows[i];
    }
    return ix->slot != NULL;
}

static struct row *index_find(const struct index *ix, cf_str id)
{
    for (size_t k = cf_hash64(id) & ix->mask; ix->slot[k]; k = (k + 1) & ix->mask) {
        if (cf_str_eq(ix->slot[k]->info->id, id))
            return ix->slot[k];
    }
    return NULL;
}

static int join_records(struct view *v, struct cf_error *reterr)
{
    struct index ix;
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    struct row *row;
    int r = index_build(v, &ix) ? cf_tx_begin(app_of(v->req)->db, CF_TX_READ, &tx, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory for the rules");

    if (r == 0)
        r = cf_tx_query(tx, "SELECT rule_id, SUM(count), MAX(last_seen) FROM alert WHERE last_seen >= ? GROUP BY rule_id", &st, reterr,
                        CF_I(cf_now_us() - CF_US_PER_DAY));
    while (r == 0 && cf_stmt_next(st, reterr) == 1) {
        if ((row = index_find(&ix, cf_stmt_str(st, 0)))) {
            row->hits = cf_stmt_i64(st, 1);
            row->last_us = cf_stmt_i64(st, 2);
        }
    }
    cf_stmt_free(st);
    st = NULL;
    if (r == 0)
        r = cf_tx_query(tx, "SELECT rule_id FROM rule_switch WHERE enabled = 0", &st, reterr);
    while (r == 0 && cf_stmt_next(st, reterr) == 1) {
        if ((row = index_find(&ix, cf_stmt_str(st, 0))))
            row->enabled = false;
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return r;
}

static void view_close(struct view *v)
{
    if (v->rs)
        cf_pipeline_rules_put(app_of(v->req)->pipeline, v->box);
    v->rs = NULL;
}

static int view_open(struct cf_req *req, struct view *v, struct cf_error *reterr)
{
    int r;

    *v = (struct view){.req = req};
    if (!app_of(req)->pipeline || !(v->rs = cf_pipeline_rules(app_of(req)->pipeline, &v->box)))
        return cf_error_set(reterr, CF_EUNSUPPORTED, "detection is switched off");
    v->n = cf_ruleset_count(v->rs);
    v->rows = CF_NEW_N(req->arena, struct row, v->n + 1);
    if (!v->rows) {
        view_close(v);
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the rules");
    }
    for (size_t i = 0; i < v->n; i++)
        v->rows[i] = (struct row){.info = cf_ruleset_rule(v->rs, i), .enabled = true};
    r = join_records(v, reterr);
    if (r < 0)
        view_close(v);
    return r;
}

/* ---- filter and sort in memory, with the words of api/list.h ---- */

static bool text_is(cf_str have, const struct cf_filter_term *t, size_t i)
{
    cf_str want = t->v[i];

    if (!t->quoted[i] && want.n > 1 && want.p[want.n - 1] == '*')
        return cf_str_istarts(have, cf_str_sub(want, 0, want.n - 1));
    return cf_str_ieq(have, want);
}

static bool any_tag(const struct cf_rule_info *ri, const struct cf_filter_term *t, size_t i)
{
    for (size_t k = 0; k < ri->n_tags; k++) {
        if (text_is(ri->tags[k], t, i))
            return true;
    }
    return false;
}

static const char *const filter_keys[] = {"id", "title", "level", "status", "enabled", "product", "category", "service", "tags", "file"};

static bool term_holds(const struct row *row, const struct cf_filter_term *t)
{
    const struct cf_rule_info *ri = row->info;

    for (size_t i = 0; i < t->n; i++) {
        bool ok;

        if (t->op == CF_FO_WORD) {
            ok = cf_str_ifind(ri->title, t->v[i]) >= 0 || cf_str_ifind(ri->title_zh, t->v[i]) >= 0 || cf_str_ifind(ri->id, t->v[i]) >= 0 || cf_str_ifind(ri->description, t->v[i]) >= 0;
            for (size_t k = 0; k < ri->n_tags && !ok; k++)
                ok = cf_str_ifind(ri->tags[k], t->v[i]) >= 0;
        } else if (cf_str_eqz(t->key, "tags"))
            ok = any_tag(ri, t, i);
        else {
            cf_str have = cf_str_eqz(t->key, "id") ? ri->id : cf_str_eqz(t->key, "title") ? ri->title : cf_str_eqz(t->key, "level") ? cf_str_c(cf_level_name(ri->level))
                        : cf_str_eqz(t->key, "status") ? ri->status : cf_str_eqz(t->key, "enabled") ? (row->enabled ? CF_STR("true") : CF_STR("false"))
                        : cf_str_eqz(t->key, "product") ? ri->product : cf_str_eqz(t->key, "category") ? ri->category
                        : cf_str_eqz(t->key, "service") ? ri->service : ri->file;
            ok = text_is(have, t, i);
        }
        if (ok)
            return !t->negated;
    }
    return t->negated;
}

static int apply_filter(struct view *v, struct cf_error *reterr)
{
    struct cf_filter_term *t;
    cf_str text = cf_req_query(v->req, "filter");
    size_t n, kept = 0;
    int r = text.n ? cf_filter_parse(v->req->arena, text, &t, &n, reterr) : 0;

    if (!text.n)
        return 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        bool known = t[i].op == CF_FO_WORD;

        for (size_t k = 0; k < sizeof filter_keys / sizeof *filter_keys; k++)
            known = known || cf_str_eqz(t[i].key, filter_keys[k]);
        if (!known || (t[i].op != CF_FO_WORD && t[i].op != CF_FO_EQ))
            r = cf_error_set(reterr, CF_EINVAL, "\"%.*s\" cannot be filtered like this", (int)(t[i].key.n < 60 ? t[i].key.n : 60), t[i].key.p);
    }
    if (r < 0) {
        (void)cf_req_field_error(v->req, "filter", "%s", reterr->msg);
        return r;
    }
    for (size_t i = 0; i < v->n; i++) {
        bool keep = true;

        for (size_t k = 0; k < n && keep; k++)
            keep = term_holds(&v->rows[i], &t[k]);
        if (keep)
            v->rows[kept++] = v->rows[i];
    }
    v->n = kept;
    return 0;
}

enum sort_key { BY_TITLE, BY_LEVEL, BY_HITS, BY_LAST, BY_ID };
struct order {
    enum sort_key key;
    bool desc;
};

static int compare(const void *a, const void *b, void *ctx)
{
    const struct row *x = a, *y = b;
    const struct order *o = ctx;
    int64_t d = 0;

    switch (o->key) {
    case BY_TITLE: d = cf_str_cmp(x->info->title, y->info->title); break;
    case BY_LEVEL: d = (int64_t)x->info->level - (int64_t)y->info->level; break;
    case BY_HITS: d = x->hits - y->hits; break;
    case BY_LAST: d = x->last_us - y->last_us; break;
    case BY_ID: break;
    }
    if (d == 0)
        d = cf_str_cmp(x->info->id, y->info->id);
    else if (o->desc)
        d = -d;
    return d < 0 ? -1 : d > 0;
}

static int apply_sort(struct view *v, struct cf_error *reterr)
{
    static const char *const names[] = {"title", "level", "hits_24h", "last_hit", "id"};
    cf_str s = cf_req_query(v->req, "sort");
    struct order o = {.key = BY_TITLE, .desc = s.n && s.p[0] == '-'};
    bool known = s.n == 0;

    if (o.desc)
        s = cf_str_sub(s, 1, s.n);
    for (enum sort_key k = BY_TITLE; k <= BY_ID && s.n; k++) {
        if (cf_str_eqz(s, names[k])) {
            o.key = k;
            known = true;
        }
    }
    if (!known) {
        (void)cf_req_field_error(v->req, "sort", "must be title, level, hits_24h, last_hit or id");
        return cf_error_set(reterr, CF_EINVAL, "sort must be title, level, hits_24h, last_hit or id");
    }
    qsort_r(v->rows, v->n, sizeof *v->rows, compare, &o);
    return 0;
}

/* ---- JSON ---- */

static json_t *jstr(cf_str s)
{
    json_t *v = s.p ? json_stringn(s.p, s.n) : json_null();

    return v ? v : json_null();
}

static json_t *jtime(int64_t us)
{
    char t[32];

    return us ? json_stringn(t, cf_time_format(us, t)) : json_null();
}

/* File names relative to content or data, so that no path of the machine shows. */
static cf_str public_file(const struct cf_req *req, cf_str file)
{
    const char *const roots[] = {app_of(req)->content_dir, app_of(req)->data_dir};

    for (int i = 0; i < 2; i++) {
        cf_str root = cf_str_c(roots[i]);

        if (cf_str_starts(file, root) && file.n > root.n)
            return cf_str_sub(file, root.n + 1, file.n);
    }
    return file;
}

static json_t *rule_json(const struct view *v, const struct row *row)
{
    const struct cf_rule_info *ri = row->info;
    json_t *tags = json_array();

    for (size_t i = 0; i < ri->n_tags; i++)
        (void)json_array_append_new(tags, jstr(ri->tags[i]));
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:s,s:o,s:b,s:{s:o,s:o,s:o},s:o,s:I,s:o,s:o,s:b,s:o}", "id", jstr(ri->id), "title", jstr(ri->title),
                     "title_zh", jstr(ri->title_zh), "description_zh", jstr(ri->description_zh), "advice_zh", jstr(ri->advice_zh), "level",
                     cf_level_name(ri->level), "status", jstr(ri->status), "enabled", row->enabled, "logsource", "product", jstr(ri->product), "category",
                     jstr(ri->category), "service", jstr(ri->service), "tags", tags, "hits_24h", (json_int_t)row->hits, "last_hit", jtime(row->last_us), "file",
                     jstr(public_file(v->req, ri->file)), "correlation", ri->correlation, "author", jstr(ri->author));
}

static int list_rules(struct cf_req *req, struct cf_error *reterr)
{
    struct view v;
    int64_t limit, from;
    char next[32];
    json_t *items;
    int r = cf_req_query_i64(req, "limit", 50, 1, 1000, &limit, reterr);

    if (r == 0)
        r = cf_req_query_i64(req, "cursor", 0, 0, 1000000, &from, reterr);
    if (r == 0)
        r = view_open(req, &v, reterr);
    if (r < 0)
        return r;
    r = apply_filter(&v, reterr);
    if (r == 0)
        r = apply_sort(&v, reterr);
    if (r == 0) {
        items = json_array();
        for (size_t i = (size_t)from; i < v.n && i < (size_t)(from + limit); i++)
            (void)json_array_append_new(items, rule_json(&v, &v.rows[i]));
        (void)snprintf(next, sizeof next, "%lld", (long long)(from + limit));
        cf_reply_list(req, items, (size_t)(from + limit) < v.n ? next : NULL, (int64_t)v.n);
    }
    view_close(&v);
    return r;
}

static struct row *row_of(struct view *v, cf_str id, struct cf_error *reterr)
{
    for (size_t i = 0; i < v->n; i++) {
        if (cf_str_eq(v->rows[i].info->id, id))
            return &v->rows[i];
    }
    (void)cf_error_set(reterr, CF_ENOENT, "there is no such rule");
    return NULL;
}

/* Text of a file, or JSON null (an archive's member, a file that is gone). */
static json_t *file_text(const char *path)
{
    struct cf_buf b;
    struct cf_error err;
    json_t *v = NULL;

    cf_buf_init(&b, 1 << 20);
    if (access(path, R_OK) == 0 && cf_file_read(path, &b, &err) == 0)
        v = json_stringn(b.p ? b.p : "", b.n);
    cf_buf_release(&b);
    return v ? v : json_null();
}

static json_t *rule_tests(struct cf_req *req, cf_str file)
{
    size_t ext = cf_str_ends(file, CF_STR(".yaml")) ? 5 : cf_str_ends(file, CF_STR(".yml")) ? 4 : 0;
    json_t *text, *tests;

    if (!ext)
        return json_null();
    text = file_text(cf_arena_strdup(req->arena, cf_arena_printf(req->arena, "%.*s.test.json", (int)(file.n - ext), file.p)));
    tests = json_is_string(text) ? json_loads(json_string_value(text), 0, NULL) : NULL;
    json_decref(text);
    return tests ? tests : json_null();
}

static int get_rule(struct cf_req *req, struct cf_error *reterr)
{
    struct view v;
    struct row *row;
    json_t *o;
    int r = view_open(req, &v, reterr);

    if (r < 0)
        return r;
    row = row_of(&v, cf_req_path(req, "id"), reterr);
    if (row) {
        o = rule_json(&v, row);
        (void)json_object_set_new(o, "description", jstr(row->info->description));
        (void)json_object_set_new(o, "yaml", file_text(cf_arena_strdup(req->arena, row->info->file)));
        (void)json_object_set_new(o, "tests", rule_tests(req, row->info->file));
        cf_reply_json(req, 200, o);
    }
    view_close(&v);
    return row ? 0 : CF_ENOENT;
}

int cf_rules_apply_switches(struct cf_app *app, struct cf_error *reterr)
{
    struct cf_arena a;
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    cf_str *ids;
    size_t n = 0, cap = 10000;
    int r;

    if (!app->pipeline)
        return 0;
    cf_arena_init(&a, 0, 0);
    ids = CF_NEW_N(&a, cf_str, cap);
    r = ids ? cf_tx_begin(app->db, CF_TX_READ, &tx, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory for the rule switches");
    if (r == 0)
        r = cf_tx_query(tx, "SELECT rule_id FROM rule_switch WHERE enabled = 0", &st, reterr);
    while (r == 0 && n < cap && cf_stmt_next(st, reterr) == 1)
        ids[n++] = cf_arena_copy(&a, cf_stmt_str(st, 0));
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r == 0 && cf_pipeline_disable_rules(app->pipeline, ids, n) < 0)
        r = cf_error_set(reterr, CF_ENOMEM, "no memory for the rule switches");
    cf_arena_release(&a);
    return r;
}

static int patch_rule(struct cf_req *req, struct cf_error *reterr)
{
    cf_str id = cf_req_path(req, "id");
    bool enabled = json_is_true(json_object_get(req->json, "enabled"));
    struct view v;
    struct row *row;
    struct cf_tx *tx = NULL;
    json_t *before;
    int r = view_open(req, &v, reterr);

    if (r < 0)
        return r;
    row = row_of(&v, id, reterr);
    if (!row) {
        view_close(&v);
        return CF_ENOENT;
    }
    before = json_pack("{s:b}", "enabled", row->enabled);
    r = cf_tx_begin(app_of(req)->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx,
                       "INSERT INTO rule_switch (rule_id, enabled, note, user_name, time_us) VALUES (?,?,?,?,?) ON CONFLICT (rule_id) DO UPDATE SET"
                       " enabled = excluded.enabled, note = excluded.note, user_name = excluded.user_name, time_us = excluded.time_us",
                       reterr, CF_S(id), CF_I(enabled), CF_Z(json_string_value(json_object_get(req->json, "note"))), CF_S(req->who->user_name), CF_I(cf_now_us()));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0)
        r = cf_rules_apply_switches(app_of(req), reterr);
    if (r == 0) {
        row->enabled = enabled;
        cf_req_audit(req, NULL, before, req->json);
        cf_reply_json(req, 200, rule_json(&v, row));
    }
    json_decref(before);
    view_close(&v);
    return r;
}

static void count_into(json_t *o, cf_str key, bool enabled)
{
    char name[80];
    json_t *c;

    (void)snprintf(name, sizeof name, "%.*s", (int)(key.n < 79 ? key.n : 79), key.p);
    c = json_object_get(o, name);
    if (!c) {
        c = json_pack("{s:i,s:i}", "rules", 0, "enabled", 0);
        (void)json_object_set_new(o, name, c);
    }
    (void)json_object_set_new(c, "rules", json_integer(json_integer_value(json_object_get(c, "rules")) + 1));
    if (enabled)
        (void)json_object_set_new(c, "enabled", json_integer(json_integer_value(json_object_get(c, "enabled")) + 1));
}

static json_t *as_list(json_t *counts, const char *key)
{
    json_t *list = json_array(), *c;
    const char *name;

    json_object_foreach(counts, name, c)
        (void)json_array_append_new(list, json_pack("{s:s,s:O,s:O}", key, name, "rules", json_object_get(c, "rules"), "enabled", json_object_get(c, "enabled")));
    json_decref(counts);
    return list;
}

static int coverage(struct cf_req *req, struct cf_error *reterr)
{
    json_t *tactics = json_object(), *techniques = json_object(), *levels = json_object();
    const struct cf_rule_refused *refused;
    size_t n_refused = 0, n_on = 0;
    struct view v;
    int r = view_open(req, &v, reterr);

    for (size_t i = 0; r == 0 && i < v.n; i++) {
        const struct cf_rule_info *ri = v.rows[i].info;

        n_on += v.rows[i].enabled;
        count_into(levels, cf_str_c(cf_level_name(ri->level)), v.rows[i].enabled);
        for (size_t k = 0; k < ri->n_tags; k++) {
            cf_str t = ri->tags[k];

            if (!cf_str_istarts(t, CF_STR("attack.")))
                continue;
            t = cf_str_sub(t, 7, t.n);
            if (t.n > 1 && (t.p[0] == 't' || t.p[0] == 'T') && t.p[1] >= '0' && t.p[1] <= '9')
                count_into(techniques, t, v.rows[i].enabled);
            else
                count_into(tactics, t, v.rows[i].enabled);
        }
    }
    if (r < 0) {
        json_decref(tactics);
        json_decref(techniques);
        json_decref(levels);
        return r;
    }
    n_refused = cf_ruleset_refused(v.rs, &refused);
    cf_reply_json(req, 200, json_pack("{s:I,s:I,s:I,s:o,s:o,s:o}", "rules", (json_int_t)v.n, "enabled", (json_int_t)n_on, "refused", (json_int_t)n_refused,
                                      "tactics", as_list(tactics, "tactic"), "techniques", as_list(techniques, "technique"), "levels", as_list(levels, "level")));
    view_close(&v);
    return 0;
}

static int reload(struct cf_req *req, struct cf_error *reterr)
{
    int r;

    if (!app_of(req)->pipeline)
        return cf_error_set(reterr, CF_EUNSUPPORTED, "detection is switched off");
    r = cf_pipeline_reload(app_of(req)->pipeline, reterr);
    if (r == 0)
        r = cf_rules_apply_switches(app_of(req), reterr);
    return r;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/rules", .permission = "rule.read", .handler = list_rules, .flags = CF_RF_LIST, .scope = "all", .doc = "Rules in use"},
    {.method = CF_GET, .path = "/api/v1/rules/coverage", .permission = "rule.read", .handler = coverage, .scope = "all", .doc = "Rules by ATT&CK tactic, technique and level"},
    {.method = CF_GET, .path = "/api/v1/rules/{id}", .permission = "rule.read", .handler = get_rule, .scope = "all", .doc = "One rule with its text and tests"},
    {.method = CF_PATCH, .path = "/api/v1/rules/{id}", .permission = "rule.write", .handler = patch_rule, .scope = "all",
     .request = "{\"type\":\"object\",\"required\":[\"enabled\"],\"additionalProperties\":false,\"properties\":{\"enabled\":{\"type\":\"boolean\"},"
                "\"note\":{\"type\":\"string\",\"maxLength\":500}}}",
     .doc = "Switch a rule off or on"},
    {.method = CF_POST, .path = "/api/v1/rules:reload", .permission = "rule.write", .handler = reload, .scope = "all", .doc = "Load rules and source files again"},
};

void cf_rules_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
