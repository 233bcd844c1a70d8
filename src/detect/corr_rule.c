/* SPDX-License-Identifier: Apache-2.0
 * Correlation rules: reading the document, and linking references once all rules are known. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "detect/corr_int.h"

#define CHAIN_MAX 8
#define REFS_MAX 64
#define GROUP_MAX 16

static const struct {
    const char *name;
    enum cf_corr_type type;
} types[] = {{"event_count", CF_C_EVENT_COUNT}, {"value_count", CF_C_VALUE_COUNT}, {"temporal", CF_C_TEMPORAL},
             {"temporal_ordered", CF_C_ORDERED}, {"ordered_temporal", CF_C_ORDERED}, {"value_sum", CF_C_SUM},
             {"value_avg", CF_C_AVG}, {"value_percentile", CF_C_PERCENTILE}, {"value_median", CF_C_PERCENTILE}};

bool cf_timespan(cf_str s, int64_t *ret_us)
{
    static const struct {
        char unit;
        int64_t sec;
    } u[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}, {'M', 2592000}, {'y', 31536000}};
    int64_t v;

    s = cf_str_trim(s);
    if (s.n < 2 || !cf_str_i64(cf_str_sub(s, 0, s.n - 1), &v) || v <= 0)
        return false;
    for (size_t i = 0; i < sizeof u / sizeof *u; i++)
        if (u[i].unit == s.p[s.n - 1]) {
            if (v > INT64_C(3153600000) / u[i].sec) /* 100 years */
                return false;
            *ret_us = v * u[i].sec * CF_US_PER_S;
            return true;
        }
    return false;
}

static int bad(struct cf_compile *c, const struct cf_ynode *n, const char *why)
{
    return cf_error_set(c->err, CF_ESYNTAX, "line %u: correlation: %s", n->line, why);
}

/* A scalar or a list of scalars as texts in the rule set's arena. */
static int texts(struct cf_compile *c, const struct cf_ynode *n, size_t max, cf_str **ret, uint32_t *ret_n)
{
    const struct cf_ynode *e = n->kind == CF_Y_SEQ ? n->child : n;
    size_t total = n->kind == CF_Y_SEQ ? n->n : 1;

    if (n->kind == CF_Y_MAP || total > max)
        return bad(c, n, "a list of names is needed (with a bounded number of entries)");
    *ret = CF_NEW_N(&c->rs->arena, cf_str, total + 1);
    if (!*ret)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    *ret_n = 0;
    for (; e; e = n->kind == CF_Y_SEQ ? e->next : NULL) {
        if (e->kind != CF_Y_SCALAR || e->text.n == 0)
            return bad(c, n, "each entry of the list must be a name");
        (*ret)[(*ret_n)++] = cf_arena_copy(&c->rs->arena, e->text);
    }
    return 0;
}

static int load_condition(struct cf_compile *c, const struct cf_ynode *cond, struct cf_corr *k)
{
    static const char *const ops[] = {"eq", "lt", "lte", "gt", "gte", "neq"};
    int r = 0;

    if (cond->kind != CF_Y_MAP)
        return bad(c, cond, "the condition must be a map such as {gte: 10}");
    for (const struct cf_ynode *n = cond->child; n && r == 0; n = n->next) {
        size_t op = 0;
        double v;

        if (cf_str_eqz(n->key, "field")) {
            r = texts(c, n, GROUP_MAX, &k->value_name, &k->n_value);
            continue;
        }
        if (cf_str_eqz(n->key, "percentile")) {
            if (n->kind != CF_Y_SCALAR || !cf_str_f64(n->text, &k->percentile) || !(k->percentile >= 0 && k->percentile <= 100))
                return bad(c, n, "\"percentile\" must be 0 to 100");
            continue;
        }
        while (op < 6 && !cf_str_eqz(n->key, ops[op]))
            op++;
        if (op == 6)
            return bad(c, n, "the condition knows gt, gte, lt, lte, eq, neq, field and percentile");
        if (n->kind != CF_Y_SCALAR || !cf_str_f64(n->text, &v) || !isfinite(v))
            return bad(c, n, "the condition compares with a number");
        if (k->n_bound == 4)
            return bad(c, n, "the condition has too many comparisons");
        k->bound[k->n_bound++] = (struct cf_bound){(uint8_t)op, v};
        k->at_close |= op == CF_N_LT || op == CF_N_LTE || op == CF_N_EQ || op == CF_N_NEQ;
    }
    return r;
}

/* Whether any value a window can have makes the condition true: those at the bounds and beside them tell. Counts are whole numbers from 1
 * (a window begins with an event) to what there is to count. */
static bool can_be_true(const struct cf_corr *k)
{
    bool temporal = k->type == CF_C_TEMPORAL || k->type == CF_C_ORDERED, counts = temporal || k->type == CF_C_EVENT_COUNT || k->type == CF_C_VALUE_COUNT;
    double most = temporal ? (double)k->n_rules : INFINITY;

    if (counts && cf_agg_true(k, 1))
        return true;
    for (uint32_t i = 0; i < k->n_bound; i++)
        for (int d = -1; d <= 1; d++) {
            double v = k->bound[i].v, x = counts ? floor(v) + d : d ? nextafter(v, d * (double)INFINITY) : v;

            if (!(counts && (x < 1 || x > most)) && cf_agg_true(k, x))
                return true;
        }
    return false;
}

/* Names of the correlation's own keys: a slip such as "group_by" would change what is counted without a word. */
static int check_keys(struct cf_compile *c, const struct cf_ynode *map)
{
    static const char *const known[] = {"type", "rules", "group-by", "timespan", "timeframe", "condition", "generate", "aliases"};

    for (const struct cf_ynode *n = map->child; n; n = n->next) {
        size_t i = 0;

        while (i < sizeof known / sizeof *known && !cf_str_eqz(n->key, known[i]))
            i++;
        if (i == sizeof known / sizeof *known)
            return cf_error_set(c->err, CF_ESYNTAX, "line %u: correlation: \"%.*s\" is unknown; there are type, rules, group-by, timespan, condition, aliases and generate",
                                n->line, CF_ARG(n->key));
    }
    return 0;
}

static int check(struct cf_compile *c, const struct cf_ynode *map, struct cf_corr *k)
{
    bool temporal = k->type == CF_C_TEMPORAL || k->type == CF_C_ORDERED;

    if (k->type == CF_C_EVENT_COUNT && k->n_value)
        return bad(c, map, "event_count counts events and takes no \"field\"; value_count counts the values of a field");

    if (!k->n_bound && !temporal)
        return bad(c, map, "the condition is missing");
    k->all_rules = !k->n_bound;
    if (!k->n_bound)
        k->bound[k->n_bound++] = (struct cf_bound){CF_N_GTE, (double)k->n_rules};
    if (!can_be_true(k))
        return bad(c, map, "the condition can never be true: a window begins with an event, so that it holds at least one, and temporal ones at most all rules");
    if (k->type != CF_C_EVENT_COUNT && !temporal && !k->n_value)
        return bad(c, map, "the condition needs \"field\", the field whose values count");
    if (k->n_value > 1 && k->type != CF_C_VALUE_COUNT)
        return bad(c, map, "only value_count takes several fields");
    if (temporal && k->n_rules > 32)
        return bad(c, map, "temporal correlations take at most 32 rules");
    if (k->type == CF_C_PERCENTILE && k->percentile < 0)
        k->percentile = 50;
    return 0;
}

int cf_corr_compile(struct cf_compile *c, const struct cf_ynode *map, struct cf_corr **ret)
{
    struct cf_corr *k = CF_NEW(&c->rs->arena, struct cf_corr);
    const struct cf_ynode *n;
    cf_str type = cf_ymap_str(map, "type"), span = cf_ymap_str(map, "timespan");
    size_t t = 0;
    int r = 0;

    if (!k)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    if (!map || map->kind != CF_Y_MAP)
        return cf_error_set(c->err, CF_ESYNTAX, "\"correlation\" must be a map");
    r = check_keys(c, map);
    if (r < 0)
        return r;
    while (t < sizeof types / sizeof *types && !cf_str_eqz(type, types[t].name))
        t++;
    if (t == sizeof types / sizeof *types)
        return bad(c, map, "\"type\" must be event_count, value_count, temporal, temporal_ordered, value_sum, value_avg, value_percentile or value_median");
    k->type = (uint8_t)types[t].type;
    k->percentile = cf_str_eqz(type, "value_median") ? 50 : -1;
    if (!span.p)
        span = cf_ymap_str(map, "timeframe");
    if (!cf_timespan(span, &k->span_us))
        return bad(c, map, "\"timespan\" must be a number and s, m, h or d, such as 5m");
    n = cf_ymap_get(map, "rules");
    if (!n || (n->kind == CF_Y_SEQ && n->n == 0))
        return bad(c, map, "\"rules\" is missing");
    r = texts(c, n, REFS_MAX, &k->rule_refs, &k->n_rules);
    if (r == 0 && (n = cf_ymap_get(map, "group-by")) && !cf_ynode_is_null(n))
        r = texts(c, n, GROUP_MAX, &k->group, &k->n_group);
    if (r == 0 && (n = cf_ymap_get(map, "condition")))
        r = load_condition(c, n, k);
    if (r == 0)
        r = check(c, map, k);
    if (r < 0)
        return r;
    if ((n = cf_ymap_get(map, "generate")) && !cf_ynode_bool(n, &k->generate))
        return bad(c, n, "\"generate\" must be true or false");
    n = cf_ymap_get(map, "aliases");
    if (n && n->kind != CF_Y_MAP && !cf_ynode_is_null(n))
        return bad(c, n, "\"aliases\" must be a map: alias, below it rule: field");
    if (n && n->kind == CF_Y_MAP) { /* needed until linking: a copy that outlives the file */
        struct cf_ynode *copy = CF_NEW(&c->rs->arena, struct cf_ynode), **tail = copy ? &copy->child : NULL;

        for (const struct cf_ynode *a = n->child; a && tail; a = a->next)
            for (const struct cf_ynode *e = a->kind == CF_Y_MAP ? a->child : NULL; e; e = e->next) {
                struct cf_ynode *x = CF_NEW(&c->rs->arena, struct cf_ynode);

                if (!x)
                    return cf_error_set(c->err, CF_ENOMEM, "out of memory");
                x->key = cf_arena_printf(&c->rs->arena, "%.*s|%.*s", CF_ARG(a->key), CF_ARG(e->key));
                x->text = cf_arena_copy(&c->rs->arena, e->text);
                *tail = x;
                tail = &x->next;
            }
        k->aliases = copy;
    }
    *ret = k;
    return 0;
}

/* ---- linking ---- */

/* The field an alias stands for in the events of a rule; the name itself when there is no alias. */
static cf_str alias(const struct cf_corr *k, cf_str name, const struct cf_rule *rule)
{
    char key[600];

    for (const struct cf_ynode *n = k->aliases ? k->aliases->child : NULL; n; n = n->next) {
        const cf_str who[2] = {rule->name, rule->info.id};

        for (int i = 0; i < 2; i++) {
            int len = who[i].n ? snprintf(key, sizeof key, "%.*s|%.*s", CF_ARG(name), CF_ARG(who[i])) : 0;

            if (len > 0 && cf_str_eq(n->key, (cf_str){key, (size_t)len}))
                return n->text;
        }
    }
    return name;
}

static int link_fields(struct cf_ruleset *rs, struct cf_corr *k, struct cf_error *err)
{
    int r = 0;

    k->group_field = CF_NEW_N(&rs->arena, uint16_t, k->n_rules * k->n_group + 1u);
    k->value_field = CF_NEW_N(&rs->arena, uint16_t, k->n_rules * k->n_value + 1u);
    if (!k->group_field || !k->value_field)
        return cf_error_set(err, CF_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < k->n_rules && r == 0; i++) {
        const struct cf_rule *base = &rs->rules[k->rules[i]];
        struct cf_compile c = {.rs = rs, .a = &rs->arena, .err = err};

        for (int hop = 0; base->corr && base->corr->rules && hop < CHAIN_MAX; hop++) /* names follow the events at the bottom */
            base = &rs->rules[base->corr->rules[0]];
        c.product = base->info.product;
        c.category = base->info.category;
        c.service = base->info.service;
        for (uint32_t g = 0; g < k->n_group && r == 0; g++)
            r = cf_rfield_get(&c, alias(k, k->group[g], &rs->rules[k->rules[i]]), &k->group_field[i * k->n_group + g]);
        for (uint32_t v = 0; v < k->n_value && r == 0; v++)
            r = cf_rfield_get(&c, alias(k, k->value_name[v], &rs->rules[k->rules[i]]), &k->value_field[i * k->n_value + v]);
    }
    return r;
}

/* A rule named twice counts once. */
static void drop_twins(struct cf_corr *k)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < k->n_rules; i++) {
        uint32_t j = 0;

        while (j < n && k->rules[j] != k->rules[i])
            j++;
        if (j < n)
            continue;
        k->rule_refs[n] = k->rule_refs[i];
        k->rules[n++] = k->rules[i];
    }
    k->n_rules = n;
    if (k->all_rules)
        k->bound[0].v = (double)n;
}

/* An alias for a rule that is not counted is a slip of the pen: it would part the groups without a word. */
static int check_aliases(struct cf_ruleset *rs, struct cf_corr *k, struct cf_error *err)
{
    for (const struct cf_ynode *n = k->aliases ? k->aliases->child : NULL; n; n = n->next) {
        cf_str rule = n->key, name;
        uint32_t i = 0;

        (void)cf_str_cut(&rule, '|', &name);
        while (i < k->n_rules && !cf_str_eq(rule, rs->rules[k->rules[i]].name) && !cf_str_eq(rule, rs->rules[k->rules[i]].info.id))
            i++;
        if (i == k->n_rules) {
            k->rules = NULL;
            return cf_error_set(err, CF_ENOENT, "correlation: the alias \"%.*s\" names \"%.*s\", which is none of its rules", CF_ARG(name), CF_ARG(rule));
        }
    }
    return 0;
}

static int resolve(struct cf_ruleset *rs, struct cf_rule *rule, struct cf_error *err)
{
    struct cf_corr *k = rule->corr;

    if (k->rules)
        return 0; /* legacy aggregation: linked when it was made */
    k->rules = CF_NEW_N(&rs->arena, uint32_t, k->n_rules);
    if (!k->rules)
        return cf_error_set(err, CF_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < k->n_rules; i++) {
        uint32_t *at = cf_map_get(rs->rule_map, k->rule_refs[i]);

        if (!at) {
            k->rules = NULL;
            return cf_error_set(err, CF_ENOENT, "correlation: the rule \"%.*s\" it refers to is not loaded", CF_ARG(k->rule_refs[i]));
        }
        k->rules[i] = *at;
    }
    if (k->type != CF_C_ORDERED)
        drop_twins(k);
    return check_aliases(rs, k, err);
}

/* Depth of a chain: 0 is a cycle or too deep. */
static uint32_t depth_of(struct cf_ruleset *rs, uint32_t at, uint32_t level)
{
    const struct cf_corr *k = rs->rules[at].corr;
    uint32_t deepest = 0;

    if (!k || !k->rules)
        return 1;
    if (level > CHAIN_MAX)
        return 0;
    for (uint32_t i = 0; i < k->n_rules; i++) {
        uint32_t d = depth_of(rs, k->rules[i], level + 1);

        if (!d)
            return 0;
        deepest = d > deepest ? d : deepest;
    }
    return deepest + 1;
}

static void refuse_rule(struct cf_ruleset *rs, size_t i, const char *why)
{
    (void)cf_rule_refuse(rs, rs->rules[i].info.file, rs->rules[i].info.title, why);
    rs->rules[i].corr->rules = NULL; /* dead: compacted below */
}

/* Takes dead correlations out and renumbers; references only go to rules that stay. */
static int compact(struct cf_ruleset *rs)
{
    uint32_t *to = calloc(rs->n_rules + 1, sizeof *to);
    size_t n = 0;

    if (!to)
        return CF_ENOMEM;
    for (size_t i = 0; i < rs->n_rules; i++) {
        bool dead = rs->rules[i].corr && !rs->rules[i].corr->rules;

        to[i] = dead ? UINT32_MAX : (uint32_t)n;
        if (dead)
            continue;
        if (n != i)
            rs->rules[n] = rs->rules[i];
        rs->rules[n].info.index = n;
        n++;
    }
    rs->n_rules = n;
    for (size_t i = 0; i < n; i++) {
        struct cf_corr *k = rs->rules[i].corr;

        for (uint32_t j = 0; k && k->rules && j < k->n_rules; j++)
            k->rules[j] = to[k->rules[j]];
        if (k)
            k->index = (uint32_t)i;
    }
    free(to);
    return 0;
}

static int add_use(struct cf_ruleset *rs, uint32_t of, uint32_t by)
{
    struct cf_rule *r = &rs->rules[of];
    uint32_t *p;

    if (r->n_used_by && r->used_by[r->n_used_by - 1] == by)
        return 0; /* several steps of one correlation */
    p = CF_NEW_N(&rs->arena, uint32_t, r->n_used_by + 1);
    if (!p)
        return CF_ENOMEM;
    if (r->n_used_by)
        memcpy(p, r->used_by, r->n_used_by * sizeof *p);
    p[r->n_used_by++] = by;
    r->used_by = p;
    return 0;
}

/* Rules that correlations refer to are silent unless the correlation says "generate: true". */
static int mark_uses(struct cf_ruleset *rs)
{
    int r = 0;

    for (size_t i = 0; i < rs->n_rules && r == 0; i++) {
        const struct cf_corr *k = rs->rules[i].corr;

        for (uint32_t j = 0; k && j < k->n_rules && r == 0; j++) {
            if (!k->generate)
                rs->rules[k->rules[j]].silent = true;
            r = add_use(rs, k->rules[j], (uint32_t)i);
        }
    }
    return r;
}

static void refuse_broken(struct cf_ruleset *rs)
{
    bool again = true;

    while (again) { /* a refused correlation breaks those that refer to it */
        again = false;
        for (size_t i = 0; i < rs->n_rules; i++) {
            struct cf_corr *k = rs->rules[i].corr;

            for (uint32_t j = 0; k && k->rules && j < k->n_rules; j++) {
                const struct cf_rule *of = &rs->rules[k->rules[j]];

                if (of->info.correlation && !of->corr->rules) {
                    refuse_rule(rs, i, "correlation: a correlation it refers to was refused");
                    again = true;
                    break;
                }
            }
        }
    }
}

int cf_corr_link(struct cf_ruleset *rs)
{
    bool any = false;

    for (size_t i = 0; i < rs->n_rules; i++) {
        struct cf_error err = {0};

        if (!rs->rules[i].corr)
            continue;
        any = true;
        if (resolve(rs, &rs->rules[i], &err) < 0)
            refuse_rule(rs, i, err.msg);
    }
    if (!any)
        return 0;
    for (size_t i = 0; i < rs->n_rules; i++) {
        struct cf_corr *k = rs->rules[i].corr;
        uint32_t d;

        if (!k || !k->rules)
            continue;
        d = depth_of(rs, (uint32_t)i, 0);
        if (!d)
            refuse_rule(rs, i, "correlation: it refers to itself through others, or the chain is longer than 8");
        else
            k->depth = d - 1;
    }
    refuse_broken(rs);
    if (compact(rs) < 0)
        return CF_ENOMEM;
    for (size_t i = 0; i < rs->n_rules; i++) {
        struct cf_error err = {0};

        if (rs->rules[i].corr && link_fields(rs, rs->rules[i].corr, &err) < 0)
            return CF_ENOMEM;
    }
    return mark_uses(rs);
}
