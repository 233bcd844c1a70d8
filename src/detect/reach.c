/* SPDX-License-Identifier: Apache-2.0
 * Which rules can never fire: the source files of a rule's log source produce none of the fields its condition needs. Said only
 * where it is certain: a source that keeps unknown keys (JSON, key=value) may bring any field. */
#include <stdlib.h>

#include "detect/detect_int.h"
#include "normalise/normalise.h"

struct source {
    const struct cf_source_fields *f;
    uint8_t *fed;                  /* [n_fields]: this source is known to produce the field */
    uint64_t routes[CF_LS_WORDS];  /* log sources its events can belong to */
};
struct reach {
    const struct cf_ruleset *rs;
    struct source *src;
    size_t n_src;
    struct cf_arena *a;
    uint8_t *mark;                 /* [n_fields]: 1: the rule in hand needs it and no source was found yet */
    uint16_t *list;                /* fields of the rule in hand */
    size_t n_list;
};
enum { POSSIBLE_TRUE = 1, POSSIBLE_FALSE = 2 };

static bool value_fits(const struct cf_source_field *f, const struct cf_lcond *c)
{
    char low[300];

    if (c->exists || f->any)
        return true;
    for (size_t i = 0; i < f->n_value; i++) {
        size_t n = f->value[i].n <= 150 ? cf_fold(f->value[i].p, f->value[i].n, low) : 0;

        for (uint32_t k = 0; k < c->n; k++)
            if (cf_pat_match(&c->pat[k], low, n))
                return true;
    }
    return false;
}

static bool cond_possible(const struct cf_ruleset *rs, const struct cf_source_fields *s, const struct cf_lcond *c)
{
    for (size_t i = 0; i < s->n; i++)
        if (cf_rfield_fed(&rs->fields[c->field], s->field[i].name, s->field[i].raw) && value_fits(&s->field[i], c))
            return true;
    return false;
}

static void log_sources(const struct cf_ruleset *rs, struct source *s)
{
    for (size_t i = 0; i < rs->tax.n_source; i++)
        for (uint32_t k = 0; k < rs->tax.source[i].n; k++) {
            const struct cf_lclause *cl = &rs->tax.source[i].any[k];
            uint32_t j = 0;

            while (j < cl->n && cond_possible(rs, s->f, &cl->cond[j]))
                j++;
            if (j == cl->n) {
                s->routes[i / 64] |= UINT64_C(1) << (i % 64);
                break;
            }
        }
}

static bool prepare(struct reach *r, const struct cf_source_fields *src)
{
    for (size_t i = 0; i < r->n_src; i++) {
        struct source *s = &r->src[i];

        s->f = &src[i];
        s->fed = calloc(r->rs->n_fields + 1, 1);
        if (!s->fed)
            return false;
        for (size_t f = 1; f < r->rs->n_fields; f++)
            s->fed[f] = r->rs->fields[f].time; /* every event has a time */
        for (size_t k = 0; k < src[i].n; k++)
            for (size_t f = 1; f < r->rs->n_fields; f++)
                if (!s->fed[f] && cf_rfield_fed(&r->rs->fields[f], src[i].field[k].name, src[i].field[k].raw))
                    s->fed[f] = 1;
        log_sources(r->rs, s);
    }
    return true;
}

/* What a test can come out as when the fields marked 1 are absent from every event. */
static unsigned outcomes(const struct reach *r, const struct cf_node *n)
{
    unsigned all = POSSIBLE_TRUE | POSSIBLE_FALSE, o, have = n->kind == CF_ND_AND ? POSSIBLE_TRUE : POSSIBLE_FALSE;

    switch ((enum cf_node_kind)n->kind) {
    case CF_ND_TRUE:
        return POSSIBLE_TRUE;
    case CF_ND_FALSE:
        return POSSIBLE_FALSE;
    case CF_ND_NOT:
        o = outcomes(r, n->child[0]);
        return (o & POSSIBLE_TRUE ? POSSIBLE_FALSE : 0u) | (o & POSSIBLE_FALSE ? POSSIBLE_TRUE : 0u);
    case CF_ND_PRED: {
        const struct cf_pred *p = &r->rs->preds[n->pred];

        if (p->field == CF_RF_KEYWORD || r->mark[p->field] != 1)
            return p->kind == CF_P_REF && r->mark[p->ref] == 1 ? POSSIBLE_FALSE : all;
        return p->kind == CF_P_NULL || (p->kind == CF_P_EXISTS && !p->flag) ? POSSIBLE_TRUE : POSSIBLE_FALSE;
    }
    case CF_ND_SOME: {
        uint32_t can = 0, must = 0;

        for (uint32_t i = 0; i < n->n; i++) {
            o = outcomes(r, n->child[i]);
            can += (o & POSSIBLE_TRUE) != 0;
            must += o == POSSIBLE_TRUE;
        }
        return (can >= n->pred ? POSSIBLE_TRUE : 0u) | (must < n->pred ? POSSIBLE_FALSE : 0u);
    }
    case CF_ND_AND:
    case CF_ND_OR:
        break;
    }
    for (uint32_t i = 0; i < n->n; i++) {
        o = outcomes(r, n->child[i]);
        if (n->kind == CF_ND_AND)
            have = (have & o & POSSIBLE_TRUE) | ((have | o) & POSSIBLE_FALSE);
        else
            have = ((have | o) & POSSIBLE_TRUE) | (have & o & POSSIBLE_FALSE);
    }
    return have;
}

static void add_rule_field(struct reach *r, uint16_t f)
{
    if (f != CF_RF_KEYWORD && !r->mark[f]) {
        r->mark[f] = 1;
        r->list[r->n_list++] = f;
    }
}

/* Marks and lists the fields of a condition. */
static void rule_fields(struct reach *r, const struct cf_node *n)
{
    for (uint32_t i = 0; i < n->n; i++)
        rule_fields(r, n->child[i]);
    if (n->kind == CF_ND_PRED) {
        add_rule_field(r, r->rs->preds[n->pred].field);
        if (r->rs->preds[n->pred].kind == CF_P_REF)
            add_rule_field(r, r->rs->preds[n->pred].ref);
    }
}

static bool serves(const struct source *s, const struct cf_rule *rule)
{
    if (!rule->routes)
        return true;
    for (size_t i = 0; i < CF_LS_WORDS; i++)
        if (s->routes[i] & rule->routes[i])
            return true;
    return false;
}

/* Sources of the rule's log source, and its fields that none of them makes. False: no memory. */
static bool find_missing(struct reach *r, const struct cf_rule *rule, struct cf_reach *ret)
{
    cf_str *missing, *source = CF_NEW_N(r->a, cf_str, r->n_src + 1);

    rule_fields(r, rule->root);
    missing = CF_NEW_N(r->a, cf_str, r->n_list + 1);
    if (!source || !missing)
        return false;
    for (size_t i = 0; i < r->n_src; i++) {
        if (!serves(&r->src[i], rule))
            continue;
        source[ret->n_source++] = r->src[i].f->source;
        ret->open = ret->open || r->src[i].f->open;
        for (size_t k = 0; k < r->n_list; k++)
            if (r->src[i].fed[r->list[k]])
                r->mark[r->list[k]] = 0;
    }
    for (size_t k = 0; k < r->n_list && ret->n_source; k++)
        if (r->mark[r->list[k]])
            missing[ret->n_missing++] = r->rs->fields[r->list[k]].name;
    ret->source = source;
    ret->missing = missing;
    return true;
}

static bool base_rule(struct reach *r, const struct cf_rule *rule, struct cf_reach *ret)
{
    struct cf_buf b;
    bool ok = find_missing(r, rule, ret), never;

    for (size_t k = 0; k < r->n_list; k++) /* whatever the events bring */
        r->mark[r->list[k]] += 2;
    never = !(outcomes(r, rule->root) & POSSIBLE_TRUE);
    for (size_t k = 0; k < r->n_list; k++)
        r->mark[r->list[k]] = (uint8_t)(r->mark[r->list[k]] - 2);
    ret->reachable = ok && !never && (ret->open || ret->n_source == 0 || outcomes(r, rule->root) & POSSIBLE_TRUE);
    for (size_t k = 0; k < r->n_list; k++)
        r->mark[r->list[k]] = 0;
    r->n_list = 0;
    if (!ok)
        return false;
    if (never) {
        ret->reason = rule->info.warning.p ? rule->info.warning : CF_STR("the condition contradicts itself");
        return true;
    }
    if (ret->n_source == 0) {
        ret->open = true;
        ret->reason = CF_STR("no source file is of this log source: only events sent as JSON with the vendor's own names, or already in ECS, can match");
        return true;
    }
    if (ret->reachable)
        return true;
    cf_buf_init(&b, 4096);
    cf_buf_z(&b, "the condition needs ");
    for (size_t i = 0; i < ret->n_missing && i < 8; i++)
        cf_buf_printf(&b, "%s%.*s", i ? ", " : "", CF_ARG(ret->missing[i]));
    cf_buf_z(&b, ", which no source file of this log source produces (");
    for (size_t i = 0; i < ret->n_source && i < 8; i++)
        cf_buf_printf(&b, "%s%.*s", i ? ", " : "", CF_ARG(ret->source[i]));
    cf_buf_z(&b, ")");
    ret->reason = cf_arena_copy(r->a, cf_buf_view(&b));
    cf_buf_release(&b);
    return ret->reason.p != NULL;
}

/* A correlation can fire when enough of the rules it counts can. */
static bool corr_rule(const struct cf_rule *rule, struct cf_reach *all)
{
    struct cf_reach *ret = &all[rule->info.index];
    bool every = rule->corr->type == CF_C_TEMPORAL || rule->corr->type == CF_C_ORDERED, was = ret->reachable;
    uint32_t n = 0;

    for (uint32_t i = 0; i < rule->corr->n_rules; i++)
        n += all[rule->corr->rules[i]].reachable;
    ret->reachable = every ? n == rule->corr->n_rules : n > 0;
    ret->reason = ret->reachable ? CF_STR("") : CF_STR("the rules it counts can never fire");
    return was != ret->reachable;
}

int cf_ruleset_reach(const struct cf_ruleset *rs, const struct cf_source_fields *src, size_t n_src, struct cf_arena *arena, struct cf_reach *ret)
{
    struct reach r = {.rs = rs, .n_src = n_src, .a = arena};
    bool ok, changed = true;

    r.src = calloc(n_src + 1, sizeof *r.src);
    r.mark = calloc(rs->n_fields + 1, 1);
    r.list = calloc(rs->n_fields + 1, sizeof *r.list);
    ok = r.src && r.mark && r.list && prepare(&r, src);
    for (size_t i = 0; ok && i < rs->n_rules; i++) {
        ret[i] = (struct cf_reach){.reachable = true, .reason = CF_STR("")};
        if (rs->rules[i].root)
            ok = base_rule(&r, &rs->rules[i], &ret[i]);
    }
    for (int round = 0; ok && changed && round < 10; round++) { /* chains are at most 8 deep */
        changed = false;
        for (size_t i = 0; i < rs->n_rules; i++)
            if (rs->rules[i].corr)
                changed = corr_rule(&rs->rules[i], ret) || changed;
    }
    for (size_t i = 0; r.src && i < n_src; i++)
        free(r.src[i].fed);
    free(r.src);
    free(r.mark);
    free(r.list);
    return ok ? 0 : CF_ENOMEM;
}
