/* SPDX-License-Identifier: Apache-2.0
 * Witnesses: for each rule a small set of literals of which at least one must be in the event for the rule to match.
 * AND offers a choice between its parts, OR needs those of all its parts, NOT and numbers offer nothing. */
#include <math.h>
#include <stdlib.h>

#include "detect/detect_int.h"

#define LIT_PRICE 0.002 /* what a literal costs besides its share: memory and time to compile */
#define WIT_MAX 8000 /* literals of one rule; more than that is no prefilter */
#define WIT_EXACT_MAX 20000 /* whole values are looked up in a table */

struct wset {
    struct cf_wit *w;
    size_t n;
    double cost; /* estimated share of events that hold one of them; INFINITY: no witness */
};

/* Words found in many events of the field's kind, that alone say little. */
static const char *const common[] = {"c:\\windows\\", "\\system32\\", "system32", "\\appdata\\", ".exe", ".dll", "powershell",
                                     "cmd.exe", "svchost.exe", "microsoft", "windows", "http", "\\users\\", "program files",
                                     "\\microsoft\\", "c:\\", "true", "false", "/bin/", "/usr/", "\\software\\", "explorer.exe",
                                     "currentversion", "security", "success", "services",
                                     /* nearly every call stack */
                                     "|c:\\windows\\system32\\ntdll.dll+", "|c:\\windows\\system32\\kernelbase.dll+",
                                     "|c:\\windows\\system32\\kernel32.dll+", "|unknown("};

/* A number of an event, a right, a type: there are few, and each is in many events. */
static bool is_code(cf_str s)
{
    bool hex = cf_str_starts(s, CF_STR("0x"));

    for (size_t i = hex ? 2 : 0; i < s.n; i++)
        if ((s.p[i] < '0' || s.p[i] > '9') && (!hex || s.p[i] < 'a' || s.p[i] > 'f'))
            return false;
    return hex ? s.n < 12 : s.n < 6;
}

static double lit_cost(const struct cf_wit *w)
{
    size_t n = w->lit.n;
    double share = pow(0.5, (double)(n < 24 ? n : 24)) * 2;

    if (w->kind == CF_PAT_EXACT)
        share = n < 3 ? 0.02 : is_code(w->lit) ? 0.03 : 0.01 / (double)n;
    else if (w->kind != CF_PAT_CONTAINS)
        share *= 0.7;
    for (size_t i = 0; i < sizeof common / sizeof *common; i++) {
        cf_str c = cf_str_c(common[i]);

        if (w->lit.n <= c.n && cf_str_find(c, w->lit) >= 0)
            share += 0.2;
        else if (w->lit.n >= c.n && w->lit.n < c.n + 3 && cf_str_find(w->lit, c) >= 0)
            share += 0.05;
    }
    return share;
}

double cf_lit_cost(cf_str lit) { return lit_cost(&(struct cf_wit){.kind = CF_PAT_CONTAINS, .lit = lit}) + LIT_PRICE; }

static const struct wset none = {.cost = INFINITY};

/* Longest literal between wildcards. */
static cf_str glob_lit(const struct cf_pat *p, uint8_t *kind)
{
    cf_str best = {p->p, 0};
    size_t from = 0;

    for (size_t i = 0; i <= p->n; i++)
        if (i == p->n || p->p[i] == CF_WILD_MANY || p->p[i] == CF_WILD_ONE) {
            if (i - from > best.n)
                best = (cf_str){p->p + from, i - from};
            from = i + 1;
        }
    *kind = CF_PAT_CONTAINS;
    if (best.n && best.p == p->p)
        *kind = CF_PAT_PREFIX;
    else if (best.n && best.p + best.n == p->p + p->n)
        *kind = CF_PAT_SUFFIX;
    return best;
}

static bool pat_wit(struct cf_compile *c, const struct cf_pred *p, const struct cf_pat *pat, struct cf_wit *ret)
{
    char *o;

    *ret = (struct cf_wit){.field = p->field, .kind = pat->kind, .lit = {pat->p, pat->n}};
    if (pat->kind == CF_PAT_ANY)
        return false;
    if (pat->kind == CF_PAT_GLOB)
        ret->lit = glob_lit(pat, &ret->kind);
    if (ret->kind != CF_PAT_EXACT && ret->lit.n < 2)
        return false;
    if (ret->lit.n == 0)
        return false; /* an empty value: nothing to look for */
    if (pat->cased) {
        o = cf_arena_bytes(c->a, cf_fold_max(ret->lit.n));
        if (!o)
            return false;
        ret->lit = (cf_str){o, cf_fold(ret->lit.p, ret->lit.n, o)};
    }
    return true;
}

static bool all_exact(const struct cf_pred *p)
{
    for (uint32_t i = 0; p->kind == CF_P_STR && i < p->n; i++)
        if (p->u.pat[i].kind != CF_PAT_EXACT)
            return false;
    return p->kind == CF_P_STR;
}

/* Expressions: the literals of each, of all of them those of the rarest one. */
static struct wset rex_wit(struct cf_compile *c, const struct cf_pred *p)
{
    struct wset all = {0}, best = none;

    for (uint32_t i = 0; i < p->n; i++) {
        cf_str lit[CF_REX_LITERALS];
        size_t n = cf_rex_literals(c->a, c->rs->rex[p->u.rex[i]].text, lit);
        struct wset s = {.w = CF_NEW_N(c->a, struct cf_wit, all.n + n + 1)};

        if ((!n && !p->all) || !s.w || all.n + n > WIT_MAX)
            return none;
        if (!p->all && all.n)
            memcpy(s.w, all.w, all.n * sizeof *s.w);
        s.n = p->all ? 0 : all.n;
        s.cost = p->all ? 0 : all.cost;
        for (size_t k = 0; k < n; k++) {
            s.w[s.n] = (struct cf_wit){.field = p->field, .kind = CF_PAT_CONTAINS, .lit = lit[k]};
            s.cost += lit_cost(&s.w[s.n++]);
        }
        if (!p->all)
            all = s;
        else if (n && s.cost < best.cost)
            best = s;
    }
    return p->all ? best : all;
}

static struct wset pred_wit(struct cf_compile *c, const struct cf_pred *p)
{
    struct wset s = {0};
    struct wset best = none;

    if ((p->kind != CF_P_STR && p->kind != CF_P_RE) || p->n == 0 || c->rs->fields[p->field].time || p->n > (all_exact(p) ? WIT_EXACT_MAX : WIT_MAX))
        return none;
    if (p->kind == CF_P_RE)
        return rex_wit(c, p);
    s.w = CF_NEW_N(c->a, struct cf_wit, p->n);
    if (!s.w)
        return none;
    for (uint32_t i = 0; i < p->n; i++) {
        struct cf_wit w = {0};
        bool ok = pat_wit(c, p, &p->u.pat[i], &w);

        if (p->all) {
            double cost = ok ? lit_cost(&w) : INFINITY;

            if (cost < best.cost) {
                best.w = &s.w[i];
                best.n = 1;
                best.cost = cost;
            }
            s.w[i] = w;
            continue;
        }
        if (!ok)
            return none;
        s.w[s.n++] = w;
        s.cost += lit_cost(&w);
    }
    return p->all ? best : s;
}

static struct wset node_wit(struct cf_compile *c, const struct cf_node *nd, int depth);

static int by_cost(const void *a, const void *b)
{
    const struct wset *x = a, *y = b;
    return x->cost < y->cost ? -1 : x->cost > y->cost;
}

/* When at least need of the parts are true, then at least one of any n - need + 1 of them is: the cheapest ones. OR: need is 1. */
static struct wset or_wit(struct cf_compile *c, const struct cf_node *nd, int depth)
{
    struct wset out = {0}, *part = CF_NEW_N(c->a, struct wset, nd->n);
    uint32_t n = nd->n;

    if (!part)
        return none;
    for (uint32_t i = 0; i < nd->n; i++) {
        part[i] = node_wit(c, nd->child[i], depth + 1);
        if (part[i].cost == (double)INFINITY && nd->kind == CF_ND_OR)
            return none;
    }
    if (nd->kind == CF_ND_SOME) {
        qsort(part, nd->n, sizeof *part, by_cost);
        n = nd->n - nd->pred + 1;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (part[i].cost == (double)INFINITY)
            return none;
        out.n += part[i].n;
        out.cost += part[i].cost;
    }
    if (out.n > WIT_EXACT_MAX)
        return none;
    out.w = CF_NEW_N(c->a, struct cf_wit, out.n ? out.n : 1);
    if (!out.w)
        return none;
    out.n = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (part[i].n)
            memcpy(out.w + out.n, part[i].w, part[i].n * sizeof *out.w);
        out.n += part[i].n;
    }
    return out;
}

static struct wset node_wit(struct cf_compile *c, const struct cf_node *nd, int depth)
{
    struct wset best = none;

    if (depth > 200)
        return none;
    switch ((enum cf_node_kind)nd->kind) {
    case CF_ND_PRED:
        return pred_wit(c, &c->rs->preds[nd->pred]);
    case CF_ND_FALSE:
        return (struct wset){.cost = 0}; /* never true: the empty set is right */
    case CF_ND_AND:
        for (uint32_t i = 0; i < nd->n; i++) {
            struct wset s = node_wit(c, nd->child[i], depth + 1);
            /* few literals beat many of the same share: each costs a confirmation */
            if (s.cost + (double)s.n * LIT_PRICE < best.cost + (double)best.n * LIT_PRICE)
                best = s;
        }
        return best;
    case CF_ND_OR:
    case CF_ND_SOME:
        return or_wit(c, nd, depth);
    case CF_ND_NOT:
    case CF_ND_TRUE:
        return none;
    }
    return none;
}

int cf_witness_make(struct cf_compile *c, struct cf_rule *rule)
{
    struct wset s = node_wit(c, rule->root, 0);

    rule->n_wit = 0;
    if (s.cost == (double)INFINITY || s.n == 0)
        return 0;
    rule->wit = CF_NEW_N(&c->rs->arena, struct cf_wit, s.n);
    if (!rule->wit)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    memcpy(rule->wit, s.w, s.n * sizeof *s.w);
    rule->n_wit = (uint32_t)s.n;
    for (size_t i = 0; i < s.n; i++) { /* patterns live in the rule set's arena already, folded copies do not */
        rule->wit[i].lit = cf_arena_copy(&c->rs->arena, s.w[i].lit);
        if (!rule->wit[i].lit.p)
            return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    }
    return 0;
}
