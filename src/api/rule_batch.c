/* SPDX-License-Identifier: Apache-2.0
 * Texts that come into use together, or that wait for it: a correlation finds the rules it counts among them, not only in the library. */
#include "api/rule_view.h"

#include "base/yaml.h"

#define REFS_MAX 1000u
struct names { /* that correlations refer to */
    size_t n;
    cf_str v[REFS_MAX];
};

int rule_library_with(struct cf_req *req, const struct cf_rules_options *lib, const cf_str *texts, size_t n, struct cf_rules_options *ret, struct cf_error *reterr)
{
    cf_str *t = CF_NEW_N(req->arena, cf_str, lib->n_texts + n + 1), *f = CF_NEW_N(req->arena, cf_str, lib->n_texts + n + 1);

    if (!t || !f)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the texts");
    *ret = *lib;
    for (size_t i = 0; i < lib->n_texts + n; i++) {
        t[i] = i < lib->n_texts ? lib->texts[i] : texts[i - lib->n_texts];
        f[i] = i < lib->n_texts && lib->text_files ? lib->text_files[i] : CF_STR("beside it");
    }
    ret->texts = t;
    ret->text_files = f;
    ret->n_texts = lib->n_texts + n;
    return 0;
}

bool rule_text_counts(cf_str yaml) { return cf_str_find(yaml, CF_STR("correlation:")) >= 0; }

int rule_library_for(struct cf_req *req, cf_str yaml, cf_str except, struct cf_rules_options *ret, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    cf_str *texts = NULL;
    size_t n = 0;
    int r = rule_library(req, ret, reterr);

    if (r < 0 || !rule_approval_on(req) || !rule_text_counts(yaml))
        return r;
    r = cf_tx_begin(rule_app(req)->db, CF_TX_READ, &tx, reterr);
    if (r == 0)
        r = cf_rule_proposal_waiting(tx, req->who->user_id, except, req->arena, &texts, &n, reterr);
    cf_tx_rollback(&tx);
    return r == 0 && n ? rule_library_with(req, ret, texts, n, ret, reterr) : r;
}

/* Is one of the names in refs (of the correlation under test, or of one it needs) a rule of this text? Then what the text refers to joins refs. */
static bool text_is_meant(cf_str yaml, struct cf_arena *a, struct names *refs)
{
    struct cf_ydoc *docs = NULL;
    struct cf_error err = {0};
    bool meant = refs->n == 0;

    if (cf_yaml_parse(a, yaml, &docs, &err) < 0)
        return false;
    for (const struct cf_ydoc *d = docs; d; d = d->next)
        for (size_t i = 0; i < refs->n; i++)
            meant = meant || cf_str_eq(cf_ymap_str(d->root, "id"), refs->v[i]) || cf_str_eq(cf_ymap_str(d->root, "name"), refs->v[i]) || cf_str_eq(cf_ymap_str(d->root, "title"), refs->v[i]);
    for (const struct cf_ydoc *d = meant ? docs : NULL; d; d = d->next) {
        const struct cf_ynode *list = cf_ymap_get(cf_ymap_get(d->root, "correlation"), "rules");

        for (const struct cf_ynode *e = list && list->kind == CF_Y_SEQ ? list->child : list; e && refs->n < REFS_MAX; e = e->next)
            if (e->kind == CF_Y_SCALAR)
                refs->v[refs->n++] = e->text;
    }
    return meant;
}

int rule_waiting_for(struct cf_req *req, cf_str yaml, const cf_str **ret, size_t *ret_n, struct cf_error *reterr)
{
    struct names *refs = CF_NEW(req->arena, struct names);
    cf_str *texts = NULL;
    struct cf_tx *tx = NULL;
    size_t n = 0, used = 0, before;
    int r;

    *ret_n = 0;
    if (!rule_approval_on(req) || !rule_text_counts(yaml))
        return 0;
    r = refs ? cf_tx_begin(rule_app(req)->db, CF_TX_READ, &tx, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory for the texts");
    if (r == 0)
        r = cf_rule_proposal_waiting(tx, req->who->user_id, CF_STR(""), req->arena, &texts, &n, reterr);
    cf_tx_rollback(&tx);
    if (r < 0 || !text_is_meant(yaml, req->arena, refs) || !refs->n)
        return r;
    do { /* the texts that are needed come to the front; one that is a correlation may need others */
        before = used;
        for (size_t i = used; i < n; i++)
            if (!cf_str_eq(texts[i], yaml) && text_is_meant(texts[i], req->arena, refs)) {
                cf_str t = texts[used];

                texts[used++] = texts[i];
                texts[i] = t;
            }
    } while (used > before);
    *ret = texts;
    *ret_n = used;
    return 0;
}

/* Texts that are not refused, for those that count what others find. */
static int library_of(struct cf_req *req, const struct rule_text *t, size_t n, const struct cf_rules_options *lib, struct cf_rules_options *ret, struct cf_error *reterr)
{
    cf_str *texts = CF_NEW_N(req->arena, cf_str, n + 1);
    size_t k = 0;

    if (!texts)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the texts");
    for (size_t i = 0; i < n; i++)
        if (t[i].r == 0)
            texts[k++] = t[i].yaml;
    return rule_library_with(req, lib, texts, k, ret, reterr);
}

int rule_texts_settle(struct cf_req *req, const struct cf_rules_options *lib, struct rule_text *t, size_t n, rule_text_look look, void *ctx, struct cf_error *reterr)
{
    bool first = true, again = n > 0;
    int r = 0;

    for (size_t i = 0; i < n; i++)
        t[i].r = 0;
    while (again && r == 0) {
        struct cf_rules_options all;
        size_t refused = 0;

        r = library_of(req, t, n, lib, &all, reterr);
        for (size_t i = 0; r == 0 && i < n; i++) {
            if (t[i].r < 0 || !(first || rule_text_counts(t[i].yaml)))
                continue;
            t[i].r = look(ctx, &all, &t[i], &t[i].err);
            refused += t[i].r < 0;
        }
        again = refused > 0; /* what counted those has lost them */
        first = false;
    }
    return r;
}

static bool refused_already(const struct cf_ruleset *rs, const struct cf_rule_refused *x)
{
    const struct cf_rule_refused *now;
    size_t n = cf_ruleset_refused(rs, &now);

    for (size_t i = 0; i < n; i++)
        if (cf_str_eq(now[i].title, x->title) && cf_str_eq(now[i].file, x->file))
            return true;
    return false;
}

int rule_none_lost(struct cf_req *req, struct cf_tx *tx, struct cf_error *reterr)
{
    const struct cf_rule_refused *x;
    struct cf_rules_options lib;
    struct cf_ruleset *then = NULL;
    struct rule_view v;
    int r = rule_library(req, &lib, reterr);

    if (r == CF_EUNSUPPORTED)
        return 0; /* nothing detects */
    if (r == 0)
        r = cf_rulebook_fill_tx(tx, req->arena, &lib, reterr);
    if (r == 0)
        r = cf_ruleset_load(&lib, &then, reterr);
    if (r < 0)
        return r;
    r = rule_view_open(req, &v, reterr);
    for (size_t i = 0, n = r == 0 ? cf_ruleset_refused(then, &x) : 0; i < n && r == 0; i++)
        if (!refused_already(v.rs, &x[i]))
            r = cf_error_set(reterr, CF_ECONFLICT, "the rule \"%.*s\" could not be used any more: %.*s", CF_ARG(x[i].title), CF_ARG(x[i].reason));
    if (v.rs)
        rule_view_close(&v);
    cf_ruleset_free(then);
    return r;
}
