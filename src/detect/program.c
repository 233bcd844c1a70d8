/* SPDX-License-Identifier: Apache-2.0
 * Trees into jump programs: each instruction tests one predicate and says where to go on true and on false, so that
 * "not" costs nothing and evaluation stops as soon as the answer is known. Cheap tests come first. */
#include <stdlib.h>

#include "detect/detect_int.h"

#define PROGRAM_MAX 200000

struct gen {
    struct cf_compile *c;
    struct cf_ins *ins;
    size_t n, cap;
    int depth;
};

static uint32_t pred_cost(const struct cf_pred *p)
{
    uint32_t cost = 0;

    if (p->field == CF_RF_KEYWORD)
        return 100000 + p->n * 1000;
    switch ((enum cf_pred_kind)p->kind) {
    case CF_P_STR:
        for (uint32_t i = 0; i < p->n && i < 1000; i++)
            cost += p->u.pat[i].kind == CF_PAT_CONTAINS ? 8 : p->u.pat[i].kind == CF_PAT_GLOB ? 20 : 2;
        return cost;
    case CF_P_RE:
        return 2000 * p->n;
    case CF_P_TIME:
        return 50;
    case CF_P_CIDR:
        return 20 + p->n;
    default:
        return 3;
    }
}

static uint64_t node_cost(const struct gen *g, const struct cf_node *nd, int depth)
{
    uint64_t sum = 0;

    if (nd->kind == CF_ND_PRED)
        return pred_cost(&g->c->rs->preds[nd->pred]);
    for (uint32_t i = 0; depth < 100 && i < nd->n; i++)
        sum += node_cost(g, nd->child[i], depth + 1);
    return sum;
}

struct costed {
    uint64_t cost;
    uint32_t at;
    struct cf_node *nd;
};

static int by_cost(const void *a, const void *b)
{
    const struct costed *x = a, *y = b;

    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

static int emit(struct gen *g, uint32_t pred, int32_t t, int32_t f, int32_t *ret)
{
    if (g->n >= PROGRAM_MAX)
        return cf_error_set(g->c->err, CF_ELIMIT, "condition is too large when its parts are written out");
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 32;
        struct cf_ins *p = realloc(g->ins, cap * sizeof *p);

        if (!p)
            return cf_error_set(g->c->err, CF_ENOMEM, "out of memory");
        g->ins = p;
        g->cap = cap;
    }
    g->ins[g->n] = (struct cf_ins){pred, t, f};
    *ret = (int32_t)g->n++;
    return 0;
}

static int gen_node(struct gen *g, const struct cf_node *nd, int32_t t, int32_t f, int32_t *ret);

/* At least k of the children: one copy of a child for each number that may still be needed when it is reached. */
static int gen_some(struct gen *g, const struct cf_node *nd, int32_t t, int32_t f, int32_t *ret)
{
    uint32_t k = nd->pred;
    int32_t *at = calloc(k + 1, sizeof *at); /* entry of child i and the rest when j are still needed */
    int r = 0;

    if (!at)
        return cf_error_set(g->c->err, CF_ENOMEM, "out of memory");
    if (++g->depth > 200)
        r = cf_error_set(g->c->err, CF_ELIMIT, "condition is nested too deeply");
    at[0] = t;
    for (uint32_t j = 1; j <= k; j++)
        at[j] = f; /* none left */
    for (uint32_t i = nd->n; i-- > 0 && r == 0;)
        for (uint32_t j = k; j >= 1 && r == 0; j--) /* downwards: at[j - 1] is still that of the next child */
            r = gen_node(g, nd->child[i], at[j - 1], at[j], &at[j]);
    *ret = at[k];
    free(at);
    g->depth--;
    return r;
}

/* The same for every event (an empty placeholder list among the parts of an "and"): 1 true, 0 false, -1 it depends. */
static int constant(const struct cf_node *nd, int depth)
{
    uint32_t yes = 0, no = 0, want = nd->kind == CF_ND_AND ? nd->n : nd->kind == CF_ND_OR ? 1 : nd->pred;
    int c;

    if (nd->kind == CF_ND_PRED || depth > 200)
        return -1;
    if (nd->kind == CF_ND_TRUE || nd->kind == CF_ND_FALSE)
        return nd->kind == CF_ND_TRUE;
    if (nd->kind == CF_ND_NOT)
        return (c = constant(nd->child[0], depth + 1)) < 0 ? c : !c;
    for (uint32_t i = 0; i < nd->n; i++) {
        c = constant(nd->child[i], depth + 1);
        yes += c == 1;
        no += c == 0;
    }
    return yes >= want ? 1 : nd->n - no < want ? 0 : -1;
}

/* Writes the code of nd backwards; *ret is where to enter it. */
static int gen_node(struct gen *g, const struct cf_node *nd, int32_t t, int32_t f, int32_t *ret)
{
    struct costed *order;
    int r = 0, c = constant(nd, g->depth);

    if (c >= 0) {
        *ret = c ? t : f;
        return 0;
    }
    switch ((enum cf_node_kind)nd->kind) {
    case CF_ND_PRED:
        return emit(g, nd->pred, t, f, ret);
    case CF_ND_TRUE:
        *ret = t;
        return 0;
    case CF_ND_FALSE:
        *ret = f;
        return 0;
    case CF_ND_NOT:
        return gen_node(g, nd->child[0], f, t, ret);
    case CF_ND_SOME:
        return gen_some(g, nd, t, f, ret);
    case CF_ND_AND:
    case CF_ND_OR:
        break;
    }
    if (++g->depth > 200)
        return cf_error_set(g->c->err, CF_ELIMIT, "condition is nested too deeply");
    order = calloc(nd->n ? nd->n : 1, sizeof *order);
    if (!order)
        return cf_error_set(g->c->err, CF_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < nd->n; i++)
        order[i] = (struct costed){node_cost(g, nd->child[i], 0), i, nd->child[i]};
    qsort(order, nd->n, sizeof *order, by_cost);
    *ret = nd->kind == CF_ND_AND ? t : f;
    for (uint32_t i = nd->n; i-- > 0 && r == 0;)
        r = nd->kind == CF_ND_AND ? gen_node(g, order[i].nd, *ret, f, ret) : gen_node(g, order[i].nd, t, *ret, ret);
    free(order);
    g->depth--;
    return r;
}

/* Work of one evaluation where no early answer is found, in rough tens of nanoseconds; a text of a record counts as one of its values. */
uint64_t cf_rule_cost(const struct cf_ruleset *rs, const struct cf_node *nd)
{
    uint64_t sum = 0;

    if (nd->kind == CF_ND_PRED) {
        const struct cf_pred *p = &rs->preds[nd->pred];

        sum = p->kind == CF_P_RE ? 2000 * (uint64_t)p->n : p->kind == CF_P_STR ? 20 * (uint64_t)p->n : 3;
        return p->field == CF_RF_KEYWORD ? sum * 10 : sum;
    }
    for (uint32_t i = 0; i < nd->n; i++)
        sum += cf_rule_cost(rs, nd->child[i]);
    return sum;
}

int cf_program_make(struct cf_compile *c, struct cf_rule *rule)
{
    struct gen g = {.c = c};
    struct cf_ins *ins;
    int r = gen_node(&g, rule->root, CF_ACCEPT, CF_REJECT, &rule->entry);

    if (r == 0 && g.n) {
        ins = CF_NEW_N(&c->rs->arena, struct cf_ins, g.n);
        if (ins) {
            memcpy(ins, g.ins, g.n * sizeof *ins);
            rule->prog = ins;
            rule->n_prog = (uint32_t)g.n;
        } else {
            r = cf_error_set(c->err, CF_ENOMEM, "out of memory");
        }
    }
    free(g.ins);
    return r;
}
