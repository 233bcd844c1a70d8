/* SPDX-License-Identifier: Apache-2.0
 * Conditions: a recursive descent over
 *   or   := and ("or" and)*          and := not ("and" not)*          not := "not" not | prim
 *   prim := "(" or ")" | (number | "any" | "all") "of" ("them" | name with *) | name */
#include "detect/detect_int.h"

#define DEPTH_MAX 64
#define NODES_MAX 20000

struct parser {
    struct cf_compile *c;
    cf_str text;
    size_t pos;
    cf_str tok;
    const struct cf_sel *sel;
    size_t n_sel;
    int depth;
    size_t nodes;
};

static int parse_or(struct parser *p, struct cf_node **ret);

static int fail(struct parser *p, const char *why, cf_str what)
{
    return cf_error_set(p->c->err, CF_ESYNTAX, "condition \"%.*s%s\": %s%s%.*s%s", (int)(p->text.n < 200 ? p->text.n : 200), p->text.p, p->text.n < 200 ? "" : "...", why, what.n ? " \"" : "",
                        CF_ARG(what), what.n ? "\"" : "");
}

static void next(struct parser *p)
{
    const char *s = p->text.p;
    size_t n = p->text.n, i = p->pos, from;

    while (i < n && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r'))
        i++;
    from = i;
    if (i < n && (s[i] == '(' || s[i] == ')' || s[i] == '|')) {
        i++;
    } else {
        while (i < n && !strchr(" \t\r\n()|", s[i]))
            i++;
    }
    p->tok = (cf_str){s + from, i - from};
    p->pos = i;
}

static bool is_word(const struct parser *p, const char *w) { return cf_str_ieq(p->tok, cf_str_c(w)); }

static struct cf_node *node(struct parser *p, enum cf_node_kind k, size_t n)
{
    p->nodes += 1 + n;
    if (p->nodes > NODES_MAX) {
        (void)fail(p, "is too large", CF_STR(""));
        return NULL;
    }
    return cf_node_new(p->c, k, n);
}

#define OF_ALL SIZE_MAX
/* want of the searches whose name fits; "them" leaves out names that begin with an underscore. */
static int parse_of(struct parser *p, size_t want, struct cf_node **ret)
{
    char pat[256];
    size_t n = 0, hits = 0;
    bool them;
    struct cf_node *nd;

    next(p);
    them = is_word(p, "them");
    if (p->tok.n == 0 || p->tok.n >= sizeof pat || p->tok.p[0] == '(' || p->tok.p[0] == ')')
        return fail(p, "a name, a name with * or \"them\" must follow \"of\"", CF_STR(""));
    for (size_t i = 0; i < p->tok.n; i++)
        pat[n++] = p->tok.p[i] == '*' ? CF_WILD_MANY : p->tok.p[i];
    for (int round = 0; round < 2; round++) {
        size_t k = 0;

        nd = round ? node(p, want == OF_ALL || want == hits ? CF_ND_AND : want == 1 ? CF_ND_OR : CF_ND_SOME, hits) : NULL;
        if (round && !nd)
            return CF_ENOMEM;
        for (size_t i = 0; i < p->n_sel; i++) {
            cf_str name = p->sel[i].name;

            if (them ? name.n && name.p[0] == '_' : !cf_glob_match(pat, n, name.p, name.n))
                continue;
            if (round)
                nd->child[k] = p->sel[i].node;
            k++;
        }
        hits = k;
        if (hits == 0)
            return fail(p, "no search is named", p->tok);
        if (want != OF_ALL && want > hits)
            return fail(p, "asks for more searches than there are named", p->tok);
    }
    next(p);
    nd->pred = nd->kind == CF_ND_SOME ? (uint32_t)want : 0;
    *ret = nd;
    return 0;
}

/* "all", "any" or a number from 1; false: something else. */
static bool how_many(const struct parser *p, size_t *ret)
{
    int64_t n;

    *ret = is_word(p, "all") ? OF_ALL : 1;
    if (*ret == OF_ALL || is_word(p, "any"))
        return true;
    if (!cf_str_i64(p->tok, &n) || n < 1 || n > NODES_MAX)
        return false;
    *ret = (size_t)n;
    return true;
}

static int parse_prim(struct parser *p, struct cf_node **ret)
{
    struct parser save = *p;
    size_t want;
    int r;

    if (p->tok.n == 0)
        return fail(p, "ends where a search is expected", CF_STR(""));
    if (p->tok.p[0] == '(') {
        if (++p->depth > DEPTH_MAX)
            return fail(p, "is nested too deeply", CF_STR(""));
        next(p);
        r = parse_or(p, ret);
        if (r < 0)
            return r;
        if (p->tok.n != 1 || p->tok.p[0] != ')')
            return fail(p, "a closing parenthesis is missing", CF_STR(""));
        p->depth--;
        next(p);
        return 0;
    }
    if (how_many(p, &want)) {
        next(p);
        if (is_word(p, "of"))
            return parse_of(p, want, ret);
        *p = save; /* a search may be named "all" */
    }
    for (size_t i = 0; i < p->n_sel; i++)
        if (cf_str_eq(p->sel[i].name, p->tok)) {
            *ret = p->sel[i].node;
            next(p);
            return 0;
        }
    return fail(p, "there is no search named", p->tok);
}

static int parse_not(struct parser *p, struct cf_node **ret)
{
    struct cf_node *nd;
    int r;

    if (!is_word(p, "not"))
        return parse_prim(p, ret);
    if (++p->depth > DEPTH_MAX)
        return fail(p, "is nested too deeply", CF_STR(""));
    nd = node(p, CF_ND_NOT, 1);
    if (!nd)
        return CF_ENOMEM;
    next(p);
    r = parse_not(p, &nd->child[0]);
    p->depth--;
    *ret = nd;
    return r;
}

static int parse_list(struct parser *p, const char *word, enum cf_node_kind kind,
                      int (*sub)(struct parser *, struct cf_node **), struct cf_node **ret)
{
    struct cf_node *item[256];
    size_t n = 0;
    int r;

    item[0] = NULL;
    r = sub(p, &item[n++]);

    while (r == 0 && is_word(p, word)) {
        if (n == 256)
            return fail(p, "has more than 256 parts in one row", CF_STR(""));
        next(p);
        r = sub(p, &item[n++]);
    }
    if (r < 0)
        return r;
    if (n == 1) {
        *ret = item[0];
        return 0;
    }
    *ret = node(p, kind, n);
    if (!*ret)
        return CF_ENOMEM;
    memcpy((*ret)->child, item, n * sizeof item[0]);
    return 0;
}

static int parse_and(struct parser *p, struct cf_node **ret) { return parse_list(p, "and", CF_ND_AND, parse_not, ret); }
static int parse_or(struct parser *p, struct cf_node **ret) { return parse_list(p, "or", CF_ND_OR, parse_and, ret); }

int cf_condition_parse(struct cf_compile *c, cf_str text, const struct cf_sel *sel, size_t n_sel, struct cf_node **ret)
{
    struct parser p = {.c = c, .text = text, .sel = sel, .n_sel = n_sel};
    int r;

    next(&p);
    r = parse_or(&p, ret);
    if (r == 0 && p.tok.n)
        return fail(&p, "has something left over:", p.tok);
    return r;
}
