/* SPDX-License-Identifier: Apache-2.0
 * Parser of the search language: one pass, recursive descent with a depth limit. */
#include "store/search_lang.h"

struct ps {
    cf_str q;
    size_t i;
    struct cf_arena *a;
    size_t nodes;
    unsigned depth;
    struct cf_error *err;
};

static int fail(struct ps *p, size_t pos, const char *what)
{
    (void)cf_error_set(p->err, CF_ESYNTAX, "query, position %zu: %s", pos + 1, what);
    if (p->err)
        p->err->pos = pos;
    return CF_ESYNTAX;
}

static char at(const struct ps *p, size_t k)
{
    return p->i + k < p->q.n ? p->q.p[p->i + k] : 0;
}

static bool space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The ideographic space, which Chinese keyboards type. */
static bool wide_space(const struct ps *p)
{
    return p->q.n - p->i >= 3 && memcmp(p->q.p + p->i, "\xe3\x80\x80", 3) == 0;
}

static void skip(struct ps *p)
{
    for (;;) {
        if (p->i < p->q.n && (space(p->q.p[p->i]) || p->q.p[p->i] == '\0'))
            p->i++;
        else if (wide_space(p))
            p->i += 3;
        else
            return;
    }
}

static bool word_end(char c)
{
    return c == 0 || space(c) || c == '(' || c == ')' || c == '"' || c == ']' || c == '}';
}

static bool keyword(const struct ps *p, const char *w)
{
    size_t n = strlen(w);

    return p->q.n - p->i >= n && memcmp(p->q.p + p->i, w, n) == 0 && word_end(at(p, n));
}

static struct cf_search_node *node(struct ps *p, enum cf_search_kind kind)
{
    struct cf_search_node *n;

    if (++p->nodes > CF_SEARCH_NODES_MAX) {
        (void)cf_error_set(p->err, CF_ELIMIT, "query: more than %d terms", CF_SEARCH_NODES_MAX);
        return NULL;
    }
    n = CF_NEW(p->a, struct cf_search_node);
    if (!n) {
        (void)cf_error_set(p->err, CF_ENOMEM, "query: out of memory");
        return NULL;
    }
    n->kind = kind;
    n->pos = p->i;
    return n;
}

/* Code after node() returned NULL. */
static int no_node(const struct ps *p)
{
    return p->err && p->err->code ? p->err->code : CF_ELIMIT;
}

/* Bytes the value that starts here can have. */
static size_t value_bound(const struct ps *p)
{
    bool quoted = at(p, 0) == '"';
    size_t k = quoted;

    while (p->i + k < p->q.n && (quoted ? at(p, k) != '"' : !word_end(at(p, k))))
        k += at(p, k) == '\\' ? 2 : 1;
    return k + 1;
}

/* A word or a quoted phrase. */
static int value(struct ps *p, struct cf_search_value *v)
{
    size_t max = value_bound(p), n = 0, ln = 0;
    char *text = cf_arena_bytes(p->a, max), *like = cf_arena_bytes(p->a, 2 * max);
    bool quoted = at(p, 0) == '"', closed = false;

    if (!text || !like)
        return cf_error_set(p->err, CF_ENOMEM, "query: out of memory");
    v->pos = p->i;
    v->quoted = quoted;
    p->i += quoted;
    while (p->i < p->q.n) {
        char c = p->q.p[p->i];

        if (quoted ? c == '"' : word_end(c) || wide_space(p))
            break;
        p->i++;
        if (c == '\\' && p->i < p->q.n && (!quoted || p->q.p[p->i] == '"' || p->q.p[p->i] == '\\')) {
            c = p->q.p[p->i++];
        } else if (!quoted && (c == '*' || c == '?')) {
            v->wild = true;
            like[ln++] = c == '*' ? '%' : '_';
            text[n++] = c;
            continue;
        }
        if (c == '%' || c == '_' || c == '\\')
            like[ln++] = '\\';
        like[ln++] = c;
        text[n++] = c;
    }
    if (quoted) {
        closed = at(p, 0) == '"';
        if (!closed)
            return fail(p, v->pos, "the quotation mark is not closed");
        p->i++;
    } else if (n == 0) {
        return fail(p, p->i, "a value is expected here");
    }
    v->text = (cf_str){text, n};
    v->like = (cf_str){like, ln};
    v->open = !quoted && n == 1 && text[0] == '*' && v->wild;
    return 0;
}

static bool name_char(char c)
{
    return ((unsigned char)c >= 0x80) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '@' || c == '-';
}

/* Length of a field name that is followed by an operator; 0: this is a free word. */
static size_t field_name(const struct ps *p)
{
    size_t n = 0;
    char c = at(p, 0), op, after;

    if (!((unsigned char)c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '@' || c == '_'))
        return 0;
    while (name_char(at(p, n)))
        n++;
    op = at(p, n);
    after = at(p, n + 1);
    if (op == ':') /* not "http://" and not "fe80::1" */
        return after == '/' && at(p, n + 2) == '/' ? 0 : after == ':' ? 0 : n;
    return op == '<' || op == '>' || op == '=' || (op == '!' && after == '=') ? n : 0;
}

static int parse_or(struct ps *p, struct cf_search_node **ret);

/* "low TO high" after its bracket. */
static int range(struct ps *p, struct cf_search_node *n)
{
    size_t from = p->i;
    int r;

    n->op = CF_OP_RANGE;
    n->a_open = at(p, 0) == '{';
    p->i++;
    skip(p);
    r = value(p, &n->a);
    if (r < 0)
        return r;
    skip(p);
    if (!keyword(p, "TO"))
        return fail(p, p->i, "TO is expected in a range: [low TO high]");
    p->i += 2;
    skip(p);
    r = value(p, &n->b);
    if (r < 0)
        return r;
    skip(p);
    if (at(p, 0) != ']' && at(p, 0) != '}')
        return fail(p, from, "the range is not closed");
    n->b_open = at(p, 0) == '}';
    p->i++;
    return 0;
}

static bool comparison(struct ps *p, enum cf_search_op *op)
{
    bool eq = at(p, 1) == '=';

    if (at(p, 0) == '>')
        *op = eq ? CF_OP_GE : CF_OP_GT;
    else if (at(p, 0) == '<')
        *op = eq ? CF_OP_LE : CF_OP_LT;
    else
        return false;
    p->i += 1 + eq;
    return true;
}

/* One value of field: word, phrase, range or comparison. */
static int field_value(struct ps *p, cf_str field, struct cf_search_node **ret)
{
    struct cf_search_node *n = node(p, CF_S_FIELD);
    int r;

    if (!n)
        return no_node(p);
    n->field = field;
    skip(p);
    if (at(p, 0) == '[' || at(p, 0) == '{') {
        r = range(p, n);
    } else {
        if (comparison(p, &n->op))
            skip(p);
        r = value(p, &n->a);
        if (r == 0 && n->op == CF_OP_EQ && n->a.open)
            n->kind = CF_S_EXISTS;
        else if (r == 0 && n->op != CF_OP_EQ && n->a.wild)
            r = fail(p, n->a.pos, "a comparison takes no wildcard");
    }
    if (r == 0)
        *ret = n;
    return r;
}

static void join(struct cf_search_node *group, struct cf_search_node *child)
{
    struct cf_search_node **end = &group->child;

    while (*end)
        end = &(*end)->next;
    *end = child;
}

/* field:(a OR b): the values between one kind of operator, OR when none is written. */
static int field_group(struct ps *p, cf_str field, struct cf_search_node **ret)
{
    size_t from = p->i;
    struct cf_search_node *g = node(p, CF_S_OR), *one = NULL;
    struct cf_search_node **end;
    bool any = false;

    if (!g)
        return no_node(p);
    end = &g->child;
    p->i++;
    for (;;) {
        int r;

        skip(p);
        if (at(p, 0) == ')')
            break;
        if (p->i >= p->q.n)
            return fail(p, from, "the parenthesis is not closed");
        if (any && (keyword(p, "OR") || keyword(p, "AND"))) {
            g->kind = keyword(p, "OR") ? CF_S_OR : CF_S_AND;
            p->i += g->kind == CF_S_OR ? 2 : 3;
            skip(p);
        }
        r = field_value(p, field, &one);
        if (r != 0)
            return r;
        *end = one;
        end = &one->next;
        any = true;
    }
    if (!any)
        return fail(p, from, "the parenthesis is empty");
    p->i++;
    *ret = g->child->next ? g : g->child;
    return 0;
}

static int field_term(struct ps *p, size_t name_n, struct cf_search_node **ret)
{
    cf_str field = {p->q.p + p->i, name_n};
    struct cf_search_node *n = NULL, *negated;
    char op;
    bool negate = false;
    int r;

    p->i += name_n;
    op = at(p, 0);
    if (op == '!') {
        negate = true;
        p->i += 2;
    } else if (op == ':' || op == '=') {
        p->i++;
    }
    skip(p);
    if (op == ':' && cf_str_eqz(field, "exists")) {
        struct cf_search_value v = {0};

        n = node(p, CF_S_EXISTS);
        if (!n)
            return no_node(p);
        r = value(p, &v);
        n->field = v.text;
        *ret = n;
        return r;
    }
    r = at(p, 0) == '(' && (op == ':' || op == '=' || op == '!') ? field_group(p, field, &n) : field_value(p, field, &n);
    if (r < 0 || !negate) {
        *ret = n;
        return r;
    }
    negated = node(p, CF_S_NOT);
    if (!negated)
        return no_node(p);
    negated->child = n;
    *ret = negated;
    return 0;
}

static int primary(struct ps *p, struct cf_search_node **ret)
{
    size_t from = p->i, name_n;
    int r;

    if (at(p, 0) == '(') {
        p->i++;
        r = parse_or(p, ret);
        if (r < 0)
            return r;
        skip(p);
        if (at(p, 0) != ')')
            return fail(p, from, "the parenthesis is not closed");
        p->i++;
        return 0;
    }
    if (at(p, 0) == ')' || at(p, 0) == ']' || at(p, 0) == '}')
        return fail(p, p->i, "this bracket was not opened");
    if (keyword(p, "AND") || keyword(p, "OR"))
        return fail(p, p->i, "a term is expected before this operator (put the word in quotation marks to search for it)");
    name_n = field_name(p);
    if (name_n)
        return field_term(p, name_n, ret);
    *ret = node(p, CF_S_WORD);
    if (!*ret)
        return no_node(p);
    r = value(p, &(*ret)->a);
    if (r == 0 && (*ret)->a.open)
        (*ret)->kind = CF_S_ALL;
    return r;
}

static int parse_not(struct ps *p, struct cf_search_node **ret)
{
    struct cf_search_node *n = NULL, *inner = NULL;
    int r;

    skip(p);
    if (p->i >= p->q.n)
        return fail(p, p->i, "a term is expected here");
    if (!keyword(p, "NOT") && !((at(p, 0) == '!' || at(p, 0) == '-') && !word_end(at(p, 1))) && !(at(p, 0) == '-' && at(p, 1) == '('))
        return primary(p, ret);
    if (++p->depth > CF_SEARCH_DEPTH_MAX)
        return fail(p, p->i, "nested too deeply");
    n = node(p, CF_S_NOT);
    if (!n)
        return no_node(p);
    p->i += at(p, 0) == 'N' ? 3 : 1;
    r = parse_not(p, &inner);
    p->depth--;
    n->child = inner;
    *ret = n;
    return r;
}

static int parse_and(struct ps *p, struct cf_search_node **ret)
{
    struct cf_search_node *first = NULL, *group = NULL, **end = NULL;
    int r = parse_not(p, &first);

    while (r == 0) {
        struct cf_search_node *more = NULL;

        skip(p);
        if (p->i >= p->q.n || at(p, 0) == ')' || keyword(p, "OR"))
            break;
        if (keyword(p, "AND"))
            p->i += 3;
        r = parse_not(p, &more);
        if (r != 0)
            return r;
        if (!group) {
            group = node(p, CF_S_AND);
            if (!group)
                return no_node(p);
            group->child = first;
            end = &first->next;
        }
        *end = more; /* NOLINT(clang-analyzer-core.NullDereference): set with the group */
        end = &more->next;
    }
    *ret = group ? group : first;
    return r;
}

static int parse_or(struct ps *p, struct cf_search_node **ret)
{
    struct cf_search_node *first = NULL, *group = NULL;
    int r;

    if (++p->depth > CF_SEARCH_DEPTH_MAX)
        return fail(p, p->i, "nested too deeply");
    r = parse_and(p, &first);
    while (r == 0) {
        struct cf_search_node *more = NULL;

        skip(p);
        if (!keyword(p, "OR"))
            break;
        p->i += 2;
        r = parse_and(p, &more);
        if (r < 0)
            return r;
        if (!group) {
            group = node(p, CF_S_OR);
            if (!group)
                return no_node(p);
            group->child = first;
        }
        join(group, more);
    }
    p->depth--;
    *ret = group ? group : first;
    return r;
}

int cf_search_parse(struct cf_arena *a, cf_str query, struct cf_search_node **ret, struct cf_error *reterr)
{
    struct cf_error own = {0};
    struct ps p = {.q = query, .a = a, .err = reterr ? reterr : &own};
    int r;

    p.err->code = 0;
    if (query.n > CF_SEARCH_QUERY_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "query: longer than %d bytes", CF_SEARCH_QUERY_MAX);
    skip(&p);
    if (p.i >= p.q.n) {
        *ret = node(&p, CF_S_ALL);
        return *ret ? 0 : no_node(&p);
    }
    r = parse_or(&p, ret);
    if (r < 0)
        return r;
    skip(&p);
    return p.i < p.q.n ? fail(&p, p.i, "this does not belong here") : 0;
}

static void print_value(const struct cf_search_value *v, struct cf_buf *out)
{
    if (v->wild)
        cf_buf_printf(out, "<%.*s>", CF_ARG(v->text));
    else
        cf_buf_json(out, v->text);
}

void cf_search_print(const struct cf_search_node *n, struct cf_buf *out)
{
    static const char *const op[] = {":", "<", "<=", ">", ">=", ":"};
    const struct cf_search_node *c;

    switch (n->kind) {
    case CF_S_ALL: cf_buf_z(out, "*"); return;
    case CF_S_WORD: print_value(&n->a, out); return;
    case CF_S_EXISTS: cf_buf_printf(out, "exists:%.*s", CF_ARG(n->field)); return;
    case CF_S_FIELD:
        cf_buf_printf(out, "%.*s%s", CF_ARG(n->field), op[n->op]);
        if (n->op == CF_OP_RANGE)
            cf_buf_byte(out, n->a_open ? '{' : '[');
        print_value(&n->a, out);
        if (n->op == CF_OP_RANGE) {
            cf_buf_z(out, " TO ");
            print_value(&n->b, out);
            cf_buf_byte(out, n->b_open ? '}' : ']');
        }
        return;
    case CF_S_NOT:
        cf_buf_z(out, "NOT ");
        cf_search_print(n->child, out);
        return;
    case CF_S_AND:
    case CF_S_OR:
        cf_buf_byte(out, '(');
        for (c = n->child; c; c = c->next) {
            cf_search_print(c, out);
            if (c->next)
                cf_buf_z(out, n->kind == CF_S_AND ? " AND " : " OR ");
        }
        cf_buf_byte(out, ')');
    }
}
