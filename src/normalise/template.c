/* SPDX-License-Identifier: Apache-2.0 */
#include "normalise/template.h"

#include "normalise/formats.h"

enum hole_type { H_WORD, H_INT, H_NUM, H_IP, H_HOST, H_REST, H_UNTIL, H_QUOTED, H_HEX, H_MAC, H_WS, H_TOKEN, H_UPTO };
static const struct {
    const char *name;
    enum hole_type type;
} types[] = {{"word", H_WORD}, {"int", H_INT}, {"num", H_NUM}, {"ip", H_IP}, {"host", H_HOST}, {"rest", H_REST},
             {"until", H_UNTIL}, {"quoted", H_QUOTED}, {"hex", H_HEX}, {"mac", H_MAC}, {"ws", H_WS}, {"token", H_TOKEN}, {"upto", H_UPTO}};

const char *cf_tpl_types(void)
{
    return "word (no blank), token (letters, digits, _ . -), int, num, hex, ip, mac, host, quoted (\"...\"), until (up to the text that "
           "follows), upto:C (up to character C), ws (blanks), rest";
}

#define STEPS_MAX 4000
#define NAME_NONE UINT32_MAX

struct node;
struct lit {
    cf_str text;
    struct node *to;
    struct lit *next;
};
struct hole {
    enum hole_type type;
    char stop; /* H_UPTO */
    uint32_t name;
    struct node *to;
    struct hole *next;
};
struct node {
    struct lit *lit;
    struct hole *hole, **hole_end;
    struct lit **first; /* NULL: list; otherwise 256 entries by first byte */
    size_t n_lit;
    int64_t id; /* -1: no template ends here */
};
struct cf_tpl {
    struct cf_arena *a;
    struct node *root;
    size_t n;
};

static struct node *node_new(struct cf_arena *a)
{
    struct node *n = CF_NEW(a, struct node);

    if (n) {
        n->id = -1;
        n->hole_end = &n->hole;
    }
    return n;
}

struct cf_tpl *cf_tpl_new(struct cf_arena *a)
{
    struct cf_tpl *t = CF_NEW(a, struct cf_tpl);

    if (!t || !(t->root = node_new(a)))
        return NULL;
    t->a = a;
    return t;
}

size_t cf_tpl_count(const struct cf_tpl *t) { return t->n; }

static struct lit *find_lit(const struct node *n, char c)
{
    if (n->first)
        return n->first[(unsigned char)c];
    for (struct lit *l = n->lit; l; l = l->next)
        if (l->text.p[0] == c)
            return l;
    return NULL;
}

static struct node *add_lit(struct cf_tpl *t, struct node *n, cf_str text)
{
    while (text.n) {
        struct lit *l = find_lit(n, text.p[0]);
        size_t same = 0;
        if (!l) {
            l = CF_NEW(t->a, struct lit);
            if (!l || !(l->to = node_new(t->a)))
                return NULL;
            l->text = text;
            l->next = n->lit;
            n->lit = l;
            if (++n->n_lit == 5 && !n->first) {
                n->first = CF_NEW_N(t->a, struct lit *, 256);
                if (!n->first)
                    return NULL;
                for (struct lit *k = n->lit; k; k = k->next)
                    n->first[(unsigned char)k->text.p[0]] = k;
            } else if (n->first) {
                n->first[(unsigned char)text.p[0]] = l;
            }
            return l->to;
        }
        while (same < text.n && same < l->text.n && text.p[same] == l->text.p[same])
            same++;
        if (same < l->text.n) { /* split the edge */
            struct node *mid = node_new(t->a);
            struct lit *tail = CF_NEW(t->a, struct lit);
            if (!mid || !tail)
                return NULL;
            tail->text = cf_str_sub(l->text, same, l->text.n);
            tail->to = l->to;
            mid->lit = tail;
            mid->n_lit = 1;
            l->text.n = same;
            l->to = mid;
        }
        n = l->to;
        text = cf_str_sub(text, same, text.n);
    }
    return n;
}

static int parse_hole(cf_str spec, cf_str *name, struct hole *h, struct cf_error *reterr)
{
    cf_str type, rest = spec;

    if (!cf_str_cut(&rest, ':', name) || !name->n || !cf_str_cut(&rest, ':', &type))
        return cf_error_set(reterr, CF_ESYNTAX, "hole %%%.*s%% must be %%name:type%% (types: %s)", CF_ARG(spec), cf_tpl_types());
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!cf_str_eqz(type, types[i].name))
            continue;
        h->type = types[i].type;
        if (h->type == H_UPTO) {
            if (rest.n != 1)
                return cf_error_set(reterr, CF_ESYNTAX, "hole %%%.*s%%: upto needs one character, as in %%x:upto:,%%", CF_ARG(spec));
            h->stop = rest.p[0];
        }
        return 0;
    }
    return cf_error_set(reterr, CF_ESYNTAX, "hole %%%.*s%%: type \"%.*s\" is not known (types: %s)", CF_ARG(spec), CF_ARG(type), cf_tpl_types());
}

static struct node *add_hole(struct cf_tpl *t, struct node *n, const struct hole *want)
{
    struct hole *h;

    for (h = n->hole; h; h = h->next)
        if (h->type == want->type && h->name == want->name && h->stop == want->stop)
            return h->to;
    h = CF_NEW(t->a, struct hole);
    if (!h || !(h->to = node_new(t->a)))
        return NULL;
    h->type = want->type;
    h->name = want->name;
    h->stop = want->stop;
    *n->hole_end = h;
    n->hole_end = &h->next;
    return h->to;
}

/* "%%" is a percent sign; everything else between two of them is a hole. */
int cf_tpl_add(struct cf_tpl *t, cf_str pat, uint32_t id, cf_tpl_name_fn name_of, void *ctx, struct cf_error *reterr)
{
    struct node *n = t->root;
    size_t i = 0, holes = 0;
    bool open_until = false;
    int r;

    if (!pat.n)
        return cf_error_set(reterr, CF_ESYNTAX, "an empty pattern");
    while (i < pat.n) {
        if (pat.p[i] == '%' && i + 1 < pat.n && pat.p[i + 1] != '%') {
            struct hole h = {0};
            cf_str name;
            const char *end = memchr(pat.p + i + 1, '%', pat.n - i - 1);
            if (!end)
                return cf_error_set(reterr, CF_ESYNTAX, "the hole that starts at byte %zu is not closed with %%", i + 1);
            if (open_until)
                return cf_error_set(reterr, CF_ESYNTAX, "text must follow a hole of type until");
            if (++holes > CF_TPL_HOLES_MAX)
                return cf_error_set(reterr, CF_ELIMIT, "more than %d holes", CF_TPL_HOLES_MAX);
            r = parse_hole(cf_str_n(pat.p + i + 1, (size_t)(end - pat.p) - i - 1), &name, &h, reterr);
            if (r < 0)
                return r;
            h.name = NAME_NONE;
            if (!cf_str_eqz(name, "-") && (r = name_of(ctx, name, &h.name, reterr)) < 0)
                return r;
            open_until = h.type == H_UNTIL;
            n = add_hole(t, n, &h);
            i = (size_t)(end - pat.p) + 1;
        } else if (pat.p[i] == '%') {
            if (i + 1 == pat.n)
                return cf_error_set(reterr, CF_ESYNTAX, "a single %% at the end (write %%%% for a percent sign)");
            n = add_lit(t, n, CF_STR("%"));
            i += 2;
            open_until = false;
        } else {
            size_t from = i;
            while (i < pat.n && pat.p[i] != '%')
                i++;
            n = add_lit(t, n, cf_arena_copy(t->a, cf_str_n(pat.p + from, i - from)));
            open_until = false;
        }
        if (!n)
            return cf_error_set(reterr, CF_ENOMEM, "no memory");
    }
    if (open_until)
        return cf_error_set(reterr, CF_ESYNTAX, "a hole of type until at the end: use rest");
    if (n->id >= 0)
        return cf_error_set(reterr, CF_EEXIST, "the same pattern stands twice in this source");
    n->id = id;
    t->n++;
    return 0;
}

/* --- matching --- */

static inline bool digit(char c) { return (unsigned char)(c - '0') < 10; }
static inline bool hexdigit(char c) { return digit(c) || (unsigned char)((c | 32) - 'a') < 6; }
static inline bool alnum(char c) { return digit(c) || (unsigned char)((c | 32) - 'a') < 26; }

/* Four decimal parts at p, or 0. */
static inline size_t take_ip4(const char *p, const char *end)
{
    const char *q = p;

    for (unsigned k = 0;; k++) {
        unsigned v = q < end ? (unsigned)(*q - '0') : 10, d;
        if (v > 9)
            return 0;
        if (++q < end && (d = (unsigned)(*q - '0')) <= 9) {
            v = v * 10 + d;
            if (++q < end && (d = (unsigned)(*q - '0')) <= 9) {
                v = v * 10 + d;
                q++;
            }
        }
        if (v > 255)
            return 0;
        if (k == 3)
            return q == end || (!alnum(*q) && *q != ':') ? (size_t)(q - p) : 0;
        if (q == end || *q++ != '.')
            return 0;
    }
}

static __attribute__((noinline)) size_t take_ip(const char *p, const char *end)
{
    const char *q = p;
    struct cf_ip ip;

    for (q = p; q < end && (hexdigit(*q) || *q == ':' || *q == '.') && q - p < 45; q++)
        ;
    if (q - p < 2 || !memchr(p, ':', (size_t)(q - p)))
        return 0;
    if (cf_ip_parse(cf_str_n(p, (size_t)(q - p)), &ip)) {
        if (q < end && *q == '%') /* zone of a link-local address stays outside the hole's value but is eaten by text */
            return (size_t)(q - p);
        return (size_t)(q - p);
    }
    while (q > p && (q[-1] == ':' || q[-1] == '.')) { /* "fe80::1: text" */
        q--;
        if (cf_ip_parse(cf_str_n(p, (size_t)(q - p)), &ip))
            return (size_t)(q - p);
    }
    return 0;
}

/* Bytes the hole takes at p, or SIZE_MAX. *val is its value, *is what is certain about it: an IPv4 address in plain form or
 * digits need no second check. Values that hold ':' are IPv6 and may be shortened later. */
static inline size_t take(const struct hole *h, const char *p, const char *end, cf_str *val, uint32_t *is)
{
    const char *q = p;

    *is = h->type == H_INT ? CF_HOLE_INT : CF_HOLE_ANY;
    switch (h->type) {
    case H_WORD:
        q = memchr(p, ' ', (size_t)(end - p));
        q = q ? q : end;
        break;
    case H_TOKEN:
        while (q < end && (alnum(*q) || *q == '_' || *q == '.' || *q == '-'))
            q++;
        break;
    case H_INT:
        if (q < end && *q == '-')
            q++;
        while (q < end && digit(*q))
            q++;
        if (q == p + 1 && *p == '-')
            return SIZE_MAX;
        break;
    case H_NUM:
        while (q < end && (digit(*q) || *q == '.' || *q == '-'))
            q++;
        break;
    case H_HEX:
        if (end - q > 2 && q[0] == '0' && (q[1] | 32) == 'x')
            q += 2;
        while (q < end && hexdigit(*q))
            q++;
        break;
    case H_MAC:
        while (q < end && (hexdigit(*q) || *q == ':' || *q == '-' || *q == '.') && q - p < 23)
            q++;
        if (q - p < 12)
            return SIZE_MAX;
        break;
    case H_IP:
        q += take_ip4(p, end);
        *is = CF_HOLE_IP4;
        if (q == p) {
            q += take_ip(p, end);
            if (q - p > 15 || memchr(p, ':', (size_t)(q - p)))
                *is = CF_HOLE_ANY;
        }
        break;
    case H_HOST:
        while (q < end && *q != ' ' && *q != ',' && *q != ';' && *q != ')' && *q != ']' && *q != '\'' && *q != '"')
            q++;
        while (q > p && (q[-1] == ':' || q[-1] == '.'))
            q--;
        break;
    case H_WS:
        while (q < end && (*q == ' ' || *q == '\t'))
            q++;
        break;
    case H_UPTO:
        q = memchr(p, h->stop, (size_t)(end - p));
        if (!q)
            return SIZE_MAX;
        *val = cf_str_n(p, (size_t)(q - p));
        return val->n;
    case H_REST:
        *val = cf_str_n(p, (size_t)(end - p));
        return val->n;
    case H_QUOTED:
        if (p == end || *p != '"')
            return SIZE_MAX;
        for (q = p + 1; q < end && *q != '"'; q++)
            if (*q == '\\' && q + 1 < end)
                q++;
        if (q >= end)
            return SIZE_MAX;
        *val = cf_str_n(p + 1, (size_t)(q - p) - 1);
        return val->n + 2;
    case H_UNTIL: return SIZE_MAX;
    }
    if (q == p)
        return SIZE_MAX;
    *val = cf_str_n(p, (size_t)(q - p));
    return val->n;
}

struct walk {
    struct cf_tpl_hole *holes;
    size_t n;
    unsigned steps;
    const char *end;
};

static int64_t match(const struct node *n, const char *p, struct walk *w);

static int64_t match_until(const struct hole *h, const char *p, struct walk *w)
{
    const struct node *to = h->to;
    size_t depth = w->n;

    for (const char *q = p; q < w->end; q++) {
        if (to->n_lit == 1) {
            q = memchr(q, to->lit->text.p[0], (size_t)(w->end - q));
            if (!q)
                return -1;
        } else if (!find_lit(to, *q)) {
            continue;
        }
        if (w->steps >= STEPS_MAX)
            return -1;
        if (h->name != NAME_NONE)
            w->holes[w->n++] = (struct cf_tpl_hole){h->name, CF_HOLE_ANY, cf_str_n(p, (size_t)(q - p))};
        int64_t id = match(to, q, w);
        if (id >= 0)
            return id;
        w->n = depth;
    }
    return -1;
}

static int64_t match(const struct node *n, const char *p, struct walk *w)
{
    for (;;) { /* literal text without a choice needs no recursion */
        struct lit *l;
        int64_t id;
        size_t depth = w->n;

        if (++w->steps > STEPS_MAX)
            return -1;
        if (p == w->end && n->id >= 0)
            return n->id;
        l = p < w->end ? find_lit(n, *p) : NULL; /* its first byte is equal */
        if (l && ((size_t)(w->end - p) < l->text.n || (l->text.n > 1 && !cf_same_text(p, l->text.p, l->text.n))))
            l = NULL;
        if (!n->hole) {
            if (!l)
                return -1;
            p += l->text.n;
            n = l->to;
            continue;
        }
        if (l) {
            id = match(l->to, p + l->text.n, w);
            if (id >= 0)
                return id;
            w->n = depth;
        }
        for (const struct hole *h = n->hole; h; h = h->next) {
            cf_str val;
            size_t took;
            uint32_t is;
            if (h->type == H_UNTIL) {
                id = match_until(h, p, w);
            } else {
                took = take(h, p, w->end, &val, &is);
                if (took == SIZE_MAX)
                    continue;
                if (h->name != NAME_NONE)
                    w->holes[w->n++] = (struct cf_tpl_hole){h->name, is, val};
                if (!h->next) { /* the last choice: go on in this frame */
                    n = h->to;
                    p += took;
                    goto next;
                }
                id = match(h->to, p + took, w);
            }
            if (id >= 0)
                return id;
            w->n = depth;
        }
        return -1;
    next:;
    }
}

int64_t cf_tpl_match(const struct cf_tpl *t, cf_str text, struct cf_tpl_hole holes[CF_TPL_HOLES_MAX], size_t *ret_n)
{
    struct walk w = {.holes = holes, .end = text.p + text.n};
    int64_t id = t->n && text.p ? match(t->root, text.p, &w) : -1;

    *ret_n = w.n;
    return id;
}
