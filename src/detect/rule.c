/* SPDX-License-Identifier: Apache-2.0
 * One YAML document of a rule file into a compiled rule. */
#include "detect/detect_int.h"

static const struct {
    const char *name;
    enum cf_level level;
} levels[] = {{"informational", CF_LEVEL_INFO}, {"low", CF_LEVEL_LOW}, {"medium", CF_LEVEL_MEDIUM}, {"high", CF_LEVEL_HIGH},
              {"critical", CF_LEVEL_CRITICAL}};

const char *cf_level_name(enum cf_level l) { return (size_t)l < 5 ? levels[l].name : "medium"; }

static cf_str keep(struct cf_ruleset *rs, cf_str s) { return s.p ? cf_arena_copy(&rs->arena, s) : CF_STR(""); }
static cf_str keep_key(struct cf_ruleset *rs, const struct cf_ynode *map, const char *key)
{
    return keep(rs, cf_ymap_str(map, key));
}

static int load_info(struct cf_ruleset *rs, const struct cf_ynode *doc, cf_str file, struct cf_rule *r, struct cf_error *reterr)
{
    const struct cf_ynode *ls = cf_ymap_get(doc, "logsource"), *tags = cf_ymap_get(doc, "tags");
    cf_str level = cf_ymap_str(doc, "level");

    r->info.id = keep_key(rs, doc, "id");
    r->info.title = keep_key(rs, doc, "title");
    r->info.description = keep_key(rs, doc, "description");
    r->info.title_zh = keep_key(rs, doc, "x_title_zh");
    r->info.description_zh = keep_key(rs, doc, "x_description_zh");
    r->info.advice = keep_key(rs, doc, "x_advice");
    r->info.advice_zh = keep_key(rs, doc, "x_advice_zh");
    r->info.author = keep_key(rs, doc, "author");
    r->info.status = keep_key(rs, doc, "status");
    r->info.file = file;
    r->name = keep_key(rs, doc, "name");
    r->info.product = keep_key(rs, ls, "product");
    r->info.category = keep_key(rs, ls, "category");
    r->info.service = keep_key(rs, ls, "service");
    r->info.level = CF_LEVEL_MEDIUM;
    for (size_t i = 0; i < 5; i++)
        if (cf_str_ieq(level, cf_str_c(levels[i].name)))
            r->info.level = levels[i].level;
    if (tags && tags->kind == CF_Y_SEQ) {
        cf_str *t = CF_NEW_N(&rs->arena, cf_str, tags->n + 1);

        if (!t)
            return cf_error_set(reterr, CF_ENOMEM, "out of memory");
        r->info.tags = t;
        for (const struct cf_ynode *n = tags->child; n; n = n->next)
            if (n->kind == CF_Y_SCALAR)
                t[r->info.n_tags++] = keep(rs, n->text);
    }
    return 0;
}

static bool only_scalars(const struct cf_ynode *seq)
{
    for (const struct cf_ynode *n = seq->child; n; n = n->next)
        if (n->kind != CF_Y_SCALAR)
            return false;
    return true;
}

static int compile_map(struct cf_compile *c, const struct cf_ynode *map, struct cf_node **ret)
{
    size_t k = 0;
    int r = 0;

    if (map->n == 0)
        return cf_error_set(c->err, CF_ESYNTAX, "line %u: the search is empty", map->line);
    *ret = cf_node_new(c, CF_ND_AND, map->n);
    if (!*ret)
        return CF_ENOMEM;
    for (const struct cf_ynode *n = map->child; n && r == 0; n = n->next)
        r = cf_compile_item(c, n, &(*ret)->child[k++]);
    if (r == 0 && map->n == 1)
        *ret = (*ret)->child[0];
    return r;
}

static int compile_search(struct cf_compile *c, const struct cf_ynode *s, struct cf_node **ret)
{
    size_t k = 0;
    int r = 0;

    if (s->kind == CF_Y_MAP)
        return compile_map(c, s, ret);
    if (s->kind == CF_Y_SCALAR ? cf_ynode_is_null(s) : s->n == 0)
        return cf_error_set(c->err, CF_ESYNTAX, "line %u: the search \"%.*s\" is empty", s->line, CF_ARG(s->key));
    if (s->kind == CF_Y_SCALAR || only_scalars(s))
        return cf_compile_keywords(c, s, ret);
    *ret = cf_node_new(c, CF_ND_OR, s->n);
    if (!*ret)
        return CF_ENOMEM;
    for (const struct cf_ynode *n = s->child; n && r == 0; n = n->next) {
        if (n->kind == CF_Y_SEQ)
            return cf_error_set(c->err, CF_ESYNTAX, "line %u: a list inside a list of searches", n->line);
        r = n->kind == CF_Y_MAP ? compile_map(c, n, &(*ret)->child[k++]) : cf_compile_keywords(c, n, &(*ret)->child[k++]);
    }
    if (r == 0 && s->n == 1)
        *ret = (*ret)->child[0];
    return r;
}

static bool reserved(cf_str key) { return cf_str_eqz(key, "condition") || cf_str_eqz(key, "timeframe") || cf_str_eqz(key, "rules"); }

static int compile_condition(struct cf_compile *c, const struct cf_ynode *cond, struct cf_rule *rule, cf_str *ret_tail)
{
    const struct cf_ynode *n = cond->kind == CF_Y_SEQ ? cond->child : cond;
    size_t k = 0, total = cond->kind == CF_Y_SEQ ? cond->n : 1;
    int r = 0;

    if (cond->kind == CF_Y_MAP || total == 0)
        return cf_error_set(c->err, CF_ESYNTAX, "line %u: the condition must be a text or a list of texts", cond->line);
    rule->root = cf_node_new(c, CF_ND_OR, total);
    if (!rule->root)
        return CF_ENOMEM;
    for (; n && r == 0; n = cond->kind == CF_Y_SEQ ? n->next : NULL) {
        cf_str text = n->text, head = text;
        const char *bar = n->kind == CF_Y_SCALAR ? memchr(text.p, '|', text.n) : NULL;

        if (n->kind != CF_Y_SCALAR || cf_str_trim(text).n == 0)
            return cf_error_set(c->err, CF_ESYNTAX, "line %u: the condition is empty", n->line);
        if (bar) {
            head.n = (size_t)(bar - text.p);
            if (ret_tail->p || total > 1)
                return cf_error_set(c->err, CF_EUNSUPPORTED, "line %u: only one condition may have an aggregation", n->line);
            *ret_tail = cf_str_trim(cf_str_sub(text, head.n + 1, text.n));
        }
        r = cf_condition_parse(c, head, rule->sel, rule->n_sel, &rule->root->child[k++]);
        rule->condition = keep(c->rs, text);
    }
    if (r == 0 && total == 1)
        rule->root = rule->root->child[0];
    return r;
}

int cf_compile_detection(struct cf_compile *c, const struct cf_ynode *det, struct cf_rule *rule, cf_str *ret_tail)
{
    const struct cf_ynode *cond = cf_ymap_get(det, "condition");
    int r = 0;

    if (det->kind != CF_Y_MAP)
        return cf_error_set(c->err, CF_ESYNTAX, "line %u: \"detection\" must be a map", det->line);
    if (!cond)
        return cf_error_set(c->err, CF_ESYNTAX, "line %u: the detection has no condition", det->line);
    rule->sel = CF_NEW_N(&c->rs->arena, struct cf_sel, det->n);
    if (!rule->sel)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    for (const struct cf_ynode *n = det->child; n && r == 0; n = n->next) {
        if (reserved(n->key))
            continue;
        rule->sel[rule->n_sel].name = keep(c->rs, n->key);
        r = compile_search(c, n, &rule->sel[rule->n_sel].node);
        rule->n_sel++;
    }
    if (r == 0 && rule->n_sel == 0)
        return cf_error_set(c->err, CF_ESYNTAX, "line %u: the detection has no search", det->line);
    return r < 0 ? r : compile_condition(c, cond, rule, ret_tail);
}

/* ---- global filters ---- */

static bool filter_applies(const struct cf_ynode *doc, const struct cf_rule *rule)
{
    const struct cf_ynode *f = cf_ymap_get(doc, "filter"), *rules = cf_ymap_get(f, "rules"), *ls = cf_ymap_get(doc, "logsource");
    cf_str p = cf_ymap_str(ls, "product"), cat = cf_ymap_str(ls, "category"), s = cf_ymap_str(ls, "service");

    if (!rules || (rules->kind == CF_Y_SCALAR && cf_str_ieq(rules->text, CF_STR("any"))))
        return (!p.p || cf_str_eq(p, rule->info.product)) && (!cat.p || cf_str_eq(cat, rule->info.category)) &&
               (!s.p || cf_str_eq(s, rule->info.service));
    for (const struct cf_ynode *n = rules->kind == CF_Y_SEQ ? rules->child : rules; n; n = rules->kind == CF_Y_SEQ ? n->next : NULL)
        if (n->kind == CF_Y_SCALAR && n->text.n &&
            (cf_str_eq(n->text, rule->info.id) || cf_str_eq(n->text, rule->name) || cf_str_eqz(n->text, "any")))
            return true;
    return false;
}

/* What a node is when so many of its children are true. */
static bool true_by(const struct cf_node *n, uint32_t yes)
{
    switch ((enum cf_node_kind)n->kind) {
    case CF_ND_NOT:
        return yes == 0;
    case CF_ND_AND:
        return yes == n->n;
    case CF_ND_OR:
        return yes > 0;
    case CF_ND_SOME:
        return yes >= n->pred;
    default:
        return n->kind == CF_ND_TRUE;
    }
}

/* What the condition says of an event of which no search is true. */
static bool true_of_none(const struct cf_rule *r, const struct cf_node *n)
{
    uint32_t yes = 0;

    for (uint32_t i = 0; i < r->n_sel; i++)
        if (r->sel[i].node == n)
            return false;
    for (uint32_t i = 0; i < n->n; i++)
        yes += true_of_none(r, n->child[i]);
    return true_by(n, yes);
}

/* A filter's condition says which events stay ("not a and not b") or which are taken away ("a or b"): it stays what the filter
 * knows nothing of. */
static int add_filter(struct cf_compile *c, const struct cf_ynode *doc, struct cf_rule *rule)
{
    struct cf_rule tmp = {0};
    cf_str tail = CF_STR_NONE;
    struct cf_node *both, *keepn;
    struct cf_sel *sel;
    int r = cf_compile_detection(c, cf_ymap_get(doc, "filter"), &tmp, &tail);

    if (r == 0 && tail.p)
        r = cf_error_set(c->err, CF_EUNSUPPORTED, "a filter cannot aggregate");
    if (r < 0) {
        cf_error_context(c->err, "filter \"%.*s\"", CF_ARG(cf_ymap_str(doc, "title")));
        return r;
    }
    both = cf_node_new(c, CF_ND_AND, 2);
    keepn = tmp.root;
    sel = CF_NEW_N(&c->rs->arena, struct cf_sel, rule->n_sel + tmp.n_sel);
    if (!both || !sel)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    if (!true_of_none(&tmp, tmp.root)) {
        keepn = cf_node_new(c, CF_ND_NOT, 1);
        if (!keepn)
            return CF_ENOMEM;
        keepn->child[0] = tmp.root;
    }
    both->child[0] = rule->root;
    both->child[1] = keepn;
    rule->root = both;
    memcpy(sel, rule->sel, rule->n_sel * sizeof *sel);
    for (uint32_t i = 0; i < tmp.n_sel; i++) {
        tmp.sel[i].name = cf_arena_printf(&c->rs->arena, "filter \"%.*s\": %.*s", CF_ARG(cf_ymap_str(doc, "title")), CF_ARG(tmp.sel[i].name));
        sel[rule->n_sel + i] = tmp.sel[i];
    }
    rule->sel = sel;
    rule->n_sel += tmp.n_sel;
    return 0;
}

static int compile_correlation(struct cf_compile *c, const struct cf_ynode *doc, struct cf_rule *rule)
{
    int r = cf_corr_compile(c, cf_ymap_get(doc, "correlation"), &rule->corr);

    rule->info.correlation = true;
    return r < 0 ? r : cf_rule_push(c->rs, rule, NULL);
}

#define COST_MAX 50000u
static int finish_base(struct cf_compile *c, const struct cf_ynode *det, cf_str tail, struct cf_rule *rule)
{
    struct cf_rule corr = *rule, *stored;
    int r = cf_program_make(c, rule);

    if (r == 0)
        r = cf_witness_make(c, rule);
    if (r == 0 && !rule->n_wit && cf_rule_cost(c->rs, rule->root) > COST_MAX)
        r = cf_error_set(c->err, CF_ELIMIT, "too dear: its values or expressions (more than 2,500 values, 250 keywords or 25 expressions) would be tried on every "
                                            "event, because nothing in them tells beforehand which events to look at");
    if (r == 0 && tail.p)
        r = cf_legacy_aggregation(c, tail, det, &corr.corr);
    if (r < 0)
        return r;
    rule->silent = tail.p != NULL;
    r = cf_rule_push(c->rs, rule, &stored);
    if (r < 0 || !tail.p)
        return r;
    corr.info.correlation = true;
    corr.root = NULL;
    corr.name = CF_STR("");
    corr.corr->rules = CF_NEW_N(&c->rs->arena, uint32_t, 1);
    if (!corr.corr->rules)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    corr.corr->rules[0] = (uint32_t)stored->info.index;
    return cf_rule_push(c->rs, &corr, NULL);
}

/* What the condition says of an event without any field. */
static bool true_of_nothing(const struct cf_ruleset *rs, const struct cf_node *n)
{
    uint32_t yes = 0;

    if (n->kind == CF_ND_PRED) {
        const struct cf_pred *p = &rs->preds[n->pred];
        return p->kind == CF_P_NULL || (p->kind == CF_P_EXISTS && !p->flag);
    }
    for (uint32_t i = 0; i < n->n; i++)
        yes += true_of_nothing(rs, n->child[i]);
    return true_by(n, yes);
}

int cf_rule_compile(struct cf_ruleset *rs, const struct cf_ynode *doc, cf_str file, const struct cf_ynode *const *filters,
                    size_t n_filters, struct cf_arena *scratch, struct cf_error *reterr)
{
    struct cf_compile c = {.rs = rs, .a = scratch, .err = reterr};
    struct cf_rule rule = {0};
    const struct cf_ynode *det = cf_ymap_get(doc, "detection");
    cf_str tail = CF_STR_NONE;
    int r;

    if (!doc || doc->kind != CF_Y_MAP)
        return cf_error_set(reterr, CF_ESYNTAX, "the document is not a map");
    r = load_info(rs, doc, file, &rule, reterr);
    if (r < 0)
        return r;
    if (cf_ymap_get(doc, "correlation"))
        return compile_correlation(&c, doc, &rule);
    if (!det)
        return cf_error_set(reterr, CF_ESYNTAX, "neither \"detection\" nor \"correlation\" is there: not a Sigma rule");
    c.product = rule.info.product;
    c.category = rule.info.category;
    c.service = rule.info.service;
    rule.routes = cf_rule_routes(rs, rule.info.product, rule.info.category, rule.info.service);
    r = cf_compile_detection(&c, det, &rule, &tail);
    for (size_t i = 0; r == 0 && i < n_filters; i++)
        if (filter_applies(filters[i], &rule))
            r = add_filter(&c, filters[i], &rule);
    if (r < 0)
        return r;
    rule.on_nothing = true_of_nothing(rs, rule.root);
    rule.info.warning = c.warning;
    return finish_base(&c, det, tail, &rule);
}
