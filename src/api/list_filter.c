/* SPDX-License-Identifier: Apache-2.0
 * The filter language of lists: text to terms. Knows no columns.
 *
 *   filter = *( [ "-" ] ( key op value *( "|" value ) / word ) )      op = ":" ">=" "<=" ">" "<"
 *   value  = quoted / 1*(any but space, "|", quote)                     quoted = DQUOTE *(any / "\" any) DQUOTE */
#include "api/list.h"

struct scan {
    struct cf_arena *a;
    const char *start, *p, *end;
    struct cf_error *err;
};

static int fail(struct scan *s, const char *what)
{
    int r = cf_error_set(s->err, CF_ESYNTAX, "filter, position %zu: %s", (size_t)(s->p - s->start) + 1, what);

    if (s->err)
        s->err->pos = (size_t)(s->p - s->start);
    return r;
}

static bool key_char(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.'; }

static int quoted(struct scan *s, cf_str *ret)
{
    char *out = cf_arena_bytes(s->a, (size_t)(s->end - s->p) + 1);
    size_t n = 0;

    if (!out)
        return cf_error_set(s->err, CF_ENOMEM, "no memory for the filter");
    for (s->p++; s->p < s->end && *s->p != '"'; s->p++) {
        if (*s->p == '\\' && s->p + 1 < s->end)
            s->p++;
        out[n++] = *s->p;
    }
    if (s->p == s->end)
        return fail(s, "the quote is not closed");
    s->p++;
    *ret = cf_str_n(out, n);
    return 0;
}

static int value(struct scan *s, struct cf_filter_term *t)
{
    cf_str v;
    int r;

    if (t->n == CF_FILTER_VALUES)
        return fail(s, "too many values");
    if (s->p < s->end && *s->p == '"') {
        r = quoted(s, &v);
        if (r < 0)
            return r;
        t->quoted[t->n] = true;
    } else {
        const char *b = s->p;

        while (s->p < s->end && *s->p != ' ' && *s->p != '|' && *s->p != '"')
            s->p++;
        v = cf_str_n(b, (size_t)(s->p - b));
        if (v.n == 0)
            return fail(s, "a value is missing");
    }
    t->v[t->n++] = v;
    return 0;
}

/* The operator behind a key, or CF_FO_WORD when the text is a plain word. */
static enum cf_fop operator_at(const char *p, const char *end, size_t *ret_n)
{
    *ret_n = 1;
    if (p == end)
        return CF_FO_WORD;
    if (*p == ':')
        return CF_FO_EQ;
    if (*p != '>' && *p != '<')
        return CF_FO_WORD;
    if (p + 1 < end && p[1] == '=') {
        *ret_n = 2;
        return *p == '>' ? CF_FO_GE : CF_FO_LE;
    }
    return *p == '>' ? CF_FO_GT : CF_FO_LT;
}

static int term(struct scan *s, struct cf_filter_term *t)
{
    const char *b;
    size_t op_n = 0;
    int r;

    memset(t, 0, sizeof *t);
    if (*s->p == '-' && s->p + 1 < s->end && s->p[1] != ' ') {
        t->negated = true;
        s->p++;
    }
    b = s->p;
    while (s->p < s->end && key_char(*s->p))
        s->p++;
    t->op = s->p > b ? operator_at(s->p, s->end, &op_n) : CF_FO_WORD;
    if (t->op == CF_FO_WORD) {
        s->p = b;
        return value(s, t);
    }
    t->key = cf_str_n(b, (size_t)(s->p - b));
    s->p += op_n;
    r = value(s, t);
    while (r == 0 && s->p < s->end && *s->p == '|') {
        s->p++;
        r = value(s, t);
    }
    if (r == 0 && t->n > 1 && t->op != CF_FO_EQ)
        return fail(s, "several values are only possible with \":\"");
    return r;
}

int cf_filter_parse(struct cf_arena *a, cf_str text, struct cf_filter_term **ret, size_t *ret_n, struct cf_error *reterr)
{
    struct scan s = {.a = a, .start = text.p, .p = text.p, .end = text.p + text.n, .err = reterr};
    struct cf_filter_term *terms = CF_NEW_N(a, struct cf_filter_term, CF_FILTER_TERMS);
    size_t n = 0;
    int r;

    if (!terms)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the filter");
    if (!cf_utf8_valid(text))
        return cf_error_set(reterr, CF_ESYNTAX, "the filter is not UTF-8");
    for (;;) {
        while (s.p < s.end && *s.p == ' ')
            s.p++;
        if (s.p == s.end)
            break;
        if (n == CF_FILTER_TERMS)
            return fail(&s, "more than 32 conditions");
        r = term(&s, &terms[n++]);
        if (r < 0)
            return r;
        if (s.p < s.end && *s.p != ' ')
            return fail(&s, *s.p == '|' ? "\"|\" needs a key in front: key:a|b" : "a space is missing");
    }
    *ret = terms;
    *ret_n = n;
    return 0;
}
