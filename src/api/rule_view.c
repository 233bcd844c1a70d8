/* SPDX-License-Identifier: Apache-2.0
 * The rules in use: the pipeline's ruleset in memory, joined with alerts, states and stored texts; filtered and sorted in memory
 * with the words of api/list.h. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/rule_view.h"

/* Rows by rule id; a small open hash so that joining stays linear. */
struct index {
    struct rule_row **slot;
    size_t mask;
};

static bool index_build(struct rule_view *v, struct index *ix)
{
    size_t cap = 16;

    while (cap < 2 * v->n)
        cap *= 2;
    ix->mask = cap - 1;
    ix->slot = CF_NEW_N(v->req->arena, struct rule_row *, cap);
    for (size_t i = 0; ix->slot && i < v->n; i++) {
        size_t k = cf_hash64(v->rows[i].info->id) & ix->mask;

        while (ix->slot[k])
            k = (k + 1) & ix->mask;
        ix->slot[k] = &v->rows[i];
    }
    return ix->slot != NULL;
}

static struct rule_row *index_find(const struct index *ix, cf_str id)
{
    for (size_t k = cf_hash64(id) & ix->mask; ix->slot[k]; k = (k + 1) & ix->mask) {
        if (cf_str_eq(ix->slot[k]->info->id, id))
            return ix->slot[k];
    }
    return NULL;
}

static int join_records(struct rule_view *v, struct cf_error *reterr)
{
    struct index ix;
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    struct rule_row *row;
    int r = index_build(v, &ix) ? cf_tx_begin(rule_app(v->req)->db, CF_TX_READ, &tx, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory for the rules");

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
        r = cf_tx_query(tx, "SELECT rule_id, state FROM rule_state WHERE state <> 'enabled'", &st, reterr);
    while (r == 0 && cf_stmt_next(st, reterr) == 1) {
        if ((row = index_find(&ix, cf_stmt_str(st, 0))))
            (void)cf_rule_state_parse(cf_stmt_str(st, 1), &row->state);
    }
    cf_stmt_free(st);
    st = NULL;
    if (r == 0)
        r = cf_tx_query(tx, "SELECT i.rule_id, t.edited FROM rule_text_id i JOIN rule_text t ON t.id = i.text_id WHERE i.own = 1 AND t.active = 1", &st, reterr);
    while (r == 0 && cf_stmt_next(st, reterr) == 1) {
        if ((row = index_find(&ix, cf_stmt_str(st, 0)))) {
            row->stored = true;
            row->edited = cf_stmt_i64(st, 1) != 0;
        }
    }
    cf_stmt_free(st);
    st = NULL;
    if (r == 0)
        r = cf_tx_query(tx, "SELECT rule_id, SUM(hits) FROM rule_staged_day WHERE day >= ? GROUP BY rule_id", &st, reterr, CF_I(cf_now_us() / CF_US_PER_DAY - 30));
    while (r == 0 && cf_stmt_next(st, reterr) == 1) {
        if ((row = index_find(&ix, cf_stmt_str(st, 0))))
            row->staged_hits = cf_stmt_i64(st, 1);
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return r;
}

int rule_view_month(struct rule_view *v, struct cf_error *reterr)
{
    struct index ix;
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    struct rule_row *row;
    int r = index_build(v, &ix) ? cf_tx_begin(rule_app(v->req)->db, CF_TX_READ, &tx, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory for the rules");

    if (r == 0)
        r = cf_tx_query(tx,
                        "SELECT rule_id, SUM(count), COUNT(*), SUM(CASE WHEN status = 'false_positive' THEN 1 ELSE 0 END), MAX(last_seen) FROM alert WHERE last_seen >= ? "
                        "GROUP BY rule_id",
                        &st, reterr, CF_I(cf_now_us() - 30 * CF_US_PER_DAY));
    while (r == 0 && cf_stmt_next(st, reterr) == 1) {
        if ((row = index_find(&ix, cf_stmt_str(st, 0)))) {
            row->hits_30d = cf_stmt_i64(st, 1);
            row->alerts_30d = cf_stmt_i64(st, 2);
            row->false_30d = cf_stmt_i64(st, 3);
            row->last_us = cf_stmt_i64(st, 4);
        }
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return r;
}

void rule_view_close(struct rule_view *v)
{
    if (v->rs)
        cf_pipeline_rules_put(rule_app(v->req)->pipeline, v->box);
    v->rs = NULL;
}

int rule_view_open(struct cf_req *req, struct rule_view *v, struct cf_error *reterr)
{
    int r;

    *v = (struct rule_view){.req = req};
    if (!rule_app(req)->pipeline || !(v->rs = cf_pipeline_rules(rule_app(req)->pipeline, &v->box)))
        return cf_error_set(reterr, CF_EUNSUPPORTED, "detection is switched off");
    v->n = cf_ruleset_count(v->rs);
    v->rows = CF_NEW_N(req->arena, struct rule_row, v->n + 1);
    if (!v->rows) {
        rule_view_close(v);
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the rules");
    }
    for (size_t i = 0; i < v->n; i++)
        v->rows[i] = (struct rule_row){.info = cf_ruleset_rule(v->rs, i), .state = CF_RULE_ENABLED};
    r = join_records(v, reterr);
    if (r < 0)
        rule_view_close(v);
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

bool rule_is_technique(cf_str tag, cf_str *ret)
{
    if (!cf_str_istarts(tag, CF_STR("attack.")) || tag.n < 9 || (tag.p[7] != 't' && tag.p[7] != 'T') || tag.p[8] < '0' || tag.p[8] > '9')
        return false;
    *ret = cf_str_sub(tag, 7, tag.n);
    return true;
}

bool rule_is_tactic(cf_str tag, cf_str *ret)
{
    cf_str t;

    if (!cf_str_istarts(tag, CF_STR("attack.")) || rule_is_technique(tag, &t) || tag.n < 12)
        return false;
    t = cf_str_sub(tag, 7, tag.n);
    if (t.p && (t.p[0] == 'g' || t.p[0] == 's') && t.p[1] >= '0' && t.p[1] <= '9') /* groups and software */
        return false;
    /* newer names for the two halves of one column */
    *ret = cf_str_ieq(t, CF_STR("stealth")) || cf_str_ieq(t, CF_STR("defense-impairment")) ? CF_STR("defense-evasion") : t;
    return true;
}

/* "privilege-escalation" and "privilege_escalation" are one tactic. */
static bool same_tactic(cf_str a, cf_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        char x = a.p[i] == '_' ? '-' : a.p[i] >= 'A' && a.p[i] <= 'Z' ? (char)(a.p[i] + 32) : a.p[i];
        char y = b.p[i] == '_' ? '-' : b.p[i] >= 'A' && b.p[i] <= 'Z' ? (char)(b.p[i] + 32) : b.p[i];

        if (x != y)
            return false;
    }
    return true;
}

static bool any_attack(const struct cf_rule_info *ri, const struct cf_filter_term *t, size_t i, bool tactic)
{
    cf_str name;

    for (size_t k = 0; k < ri->n_tags; k++) {
        if (tactic ? rule_is_tactic(ri->tags[k], &name) && same_tactic(name, t->v[i]) : rule_is_technique(ri->tags[k], &name) && (text_is(name, t, i) || (cf_str_istarts(name, t->v[i]) && name.n > t->v[i].n && name.p[t->v[i].n] == '.')))
            return true;
    }
    return false;
}

static bool any_tag(const struct cf_rule_info *ri, const struct cf_filter_term *t, size_t i)
{
    for (size_t k = 0; k < ri->n_tags; k++) {
        if (text_is(ri->tags[k], t, i))
            return true;
    }
    return false;
}

static const char *const filter_keys[] = {"id", "title", "level", "status", "enabled", "state", "origin", "tactic", "technique", "product", "category", "service", "tags", "file"};

static const char *origin(const struct rule_row *row) { return row->edited ? "edited" : row->stored ? "custom" : "builtin"; }

static bool term_holds(const struct rule_row *row, const struct cf_filter_term *t)
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
        else if (cf_str_eqz(t->key, "tactic") || cf_str_eqz(t->key, "technique"))
            ok = any_attack(ri, t, i, cf_str_eqz(t->key, "tactic"));
        else {
            cf_str have = cf_str_eqz(t->key, "id") ? ri->id : cf_str_eqz(t->key, "title") ? ri->title : cf_str_eqz(t->key, "level") ? cf_str_c(cf_level_name(ri->level))
                        : cf_str_eqz(t->key, "status") ? ri->status : cf_str_eqz(t->key, "enabled") ? (row->state == CF_RULE_ENABLED ? CF_STR("true") : CF_STR("false"))
                        : cf_str_eqz(t->key, "state") ? cf_str_c(cf_rule_state_name(row->state)) : cf_str_eqz(t->key, "origin") ? cf_str_c(origin(row))
                        : cf_str_eqz(t->key, "product") ? ri->product : cf_str_eqz(t->key, "category") ? ri->category
                        : cf_str_eqz(t->key, "service") ? ri->service : ri->file;
            ok = text_is(have, t, i);
        }
        if (ok)
            return !t->negated;
    }
    return t->negated;
}

int rule_view_filter(struct rule_view *v, cf_str text, struct cf_error *reterr)
{
    struct cf_filter_term *t;
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
    const struct rule_row *x = a, *y = b;
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

int rule_view_sort(struct rule_view *v, struct cf_error *reterr)
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

json_t *rule_str(cf_str s)
{
    json_t *v = s.p ? json_stringn(s.p, s.n) : json_null();

    return v ? v : json_null();
}

json_t *rule_time(int64_t us)
{
    char t[32];

    return us ? json_stringn(t, cf_time_format(us, t)) : json_null();
}

/* File names relative to content or data, so that no path of the machine shows. */
static cf_str public_file(const struct cf_req *req, cf_str file)
{
    const char *const roots[] = {rule_app(req)->content_dir, rule_app(req)->data_dir};

    for (int i = 0; i < 2; i++) {
        cf_str root = cf_str_c(roots[i]);

        if (cf_str_starts(file, root) && file.n > root.n)
            return cf_str_sub(file, root.n + 1, file.n);
    }
    return file;
}

json_t *rule_row_json(const struct rule_view *v, const struct rule_row *row)
{
    const struct cf_rule_info *ri = row->info;
    json_t *tags = json_array();

    for (size_t i = 0; i < ri->n_tags; i++)
        (void)json_array_append_new(tags, rule_str(ri->tags[i]));
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:s,s:o,s:b,s:s,s:s,s:{s:o,s:o,s:o},s:o,s:I,s:I,s:o,s:o,s:b,s:o}", "id", rule_str(ri->id), "title", rule_str(ri->title),
                     "title_zh", rule_str(ri->title_zh), "description_zh", rule_str(ri->description_zh), "advice", rule_str(ri->advice), "advice_zh", rule_str(ri->advice_zh), "level",
                     cf_level_name(ri->level), "status", rule_str(ri->status), "enabled", row->state == CF_RULE_ENABLED, "state", cf_rule_state_name(row->state), "origin", origin(row), "logsource", "product", rule_str(ri->product), "category",
                     rule_str(ri->category), "service", rule_str(ri->service), "tags", tags, "hits_24h", (json_int_t)row->hits, "staged_hits", (json_int_t)row->staged_hits, "last_hit", rule_time(row->last_us), "file",
                     rule_str(public_file(v->req, ri->file)), "correlation", ri->correlation, "author", rule_str(ri->author));
}

const struct rule_row *rule_view_row(const struct rule_view *v, cf_str id)
{
    for (size_t i = 0; i < v->n; i++)
        if (id.n && cf_str_eq(v->rows[i].info->id, id))
            return &v->rows[i];
    return NULL;
}

struct rule_row *rule_view_find(struct rule_view *v, cf_str id, struct cf_error *reterr)
{
    const struct rule_row *row = rule_view_row(v, id);

    if (!row)
        (void)cf_error_set(reterr, CF_ENOENT, "there is no such rule");
    return row ? &v->rows[row - v->rows] : NULL;
}

int rule_commit(struct cf_req *req, struct cf_tx **tx, int r, struct cf_error *reterr)
{
    if (r == 0)
        r = cf_tx_commit(tx, reterr);
    cf_tx_rollback(tx);
    return r == 0 ? rule_apply(req, true, reterr) : r;
}

/* Text of a file, or JSON null (an archive's member, a file that is gone). */
json_t *rule_file_text(const char *path)
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


int rule_library(struct cf_req *req, struct cf_rules_options *ret, struct cf_error *reterr)
{
    if (!rule_app(req)->pipeline)
        return cf_error_set(reterr, CF_EUNSUPPORTED, "detection is switched off");
    return cf_pipeline_library(rule_app(req)->pipeline, req->arena, ret, reterr);
}

int cf_rules_apply_switches(struct cf_app *app, struct cf_error *reterr)
{
    cf_str *off, *staged;
    size_t n_off, n_staged;
    struct cf_arena a;
    int r;

    if (!app->pipeline)
        return 0;
    cf_arena_init(&a, 0, 0);
    r = cf_rulebook_states(app->db, &a, &staged, &n_staged, &off, &n_off, reterr);
    if (r == 0 && cf_pipeline_switch_rules(app->pipeline, off, n_off, staged, n_staged) < 0)
        r = cf_error_set(reterr, CF_ENOMEM, "no memory for the rule switches");
    cf_arena_release(&a);
    return r;
}

int rule_apply(struct cf_req *req, bool texts, struct cf_error *reterr)
{
    struct cf_app *app = rule_app(req);
    int r = cf_rules_apply_switches(app, reterr); /* first: a new rule must not alert before its state is known */

    return r == 0 && texts && app->pipeline ? cf_pipeline_reload_rules(app->pipeline, reterr) : r;
}

struct cf_rule_who rule_who(const struct cf_req *req)
{
    return (struct cf_rule_who){req->who->user_id, req->who->display_name.n ? req->who->display_name : req->who->user_name};
}
