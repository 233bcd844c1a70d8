/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/encode.h"

#include <ctype.h>

int cf_svals_add(struct cf_compile *c, struct cf_svals *l, struct cf_sval v)
{
    if (l->n >= CF_SVALS_MAX)
        return cf_error_set(c->err, CF_ELIMIT, "modifiers make more than %d values", CF_SVALS_MAX);
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct cf_sval *p = CF_NEW_N(c->a, struct cf_sval, cap);

        if (!p)
            return cf_error_set(c->err, CF_ENOMEM, "out of memory");
        if (l->n)
            memcpy(p, l->v, l->n * sizeof *p);
        l->v = p;
        l->cap = cap;
    }
    l->v[l->n++] = v;
    return 0;
}

int cf_sval_parse(struct cf_compile *c, cf_str t, struct cf_sval *ret)
{
    char *o = cf_arena_bytes(c->a, t.n + 1);
    size_t n = 0;

    if (!o)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    *ret = (struct cf_sval){0};
    for (size_t i = 0; i < t.n; i++) {
        char ch = t.p[i];

        if (ch == '\\' && i + 1 < t.n && (t.p[i + 1] == '\\' || t.p[i + 1] == '*' || t.p[i + 1] == '?')) {
            o[n++] = t.p[++i];
            continue;
        }
        if (ch == '*' || ch == '?') {
            ret->wild = true;
            ch = ch == '*' ? CF_WILD_MANY : CF_WILD_ONE;
        } else if (ch == CF_WILD_MANY || ch == CF_WILD_ONE) {
            return cf_error_set(c->err, CF_ESYNTAX, "value is not UTF-8");
        }
        o[n++] = ch;
    }
    ret->s = (cf_str){o, n};
    return 0;
}

static int need_plain(struct cf_compile *c, const struct cf_svals *l, const char *what)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].wild)
            return cf_error_set(c->err, CF_EUNSUPPORTED, "modifier \"%s\" cannot encode a value with wildcards", what);
    return 0;
}

static size_t b64(const unsigned char *p, size_t n, char *out)
{
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t o = 0;

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0u);
        out[o++] = abc[v >> 18];
        out[o++] = abc[(v >> 12) & 63];
        out[o++] = i + 1 < n ? abc[(v >> 6) & 63] : '=';
        out[o++] = i + 2 < n ? abc[v & 63] : '=';
    }
    return o;
}

int cf_mod_base64(struct cf_compile *c, struct cf_svals *l)
{
    int r = need_plain(c, l, "base64");

    for (size_t i = 0; r == 0 && i < l->n; i++) {
        char *o = cf_arena_bytes(c->a, l->v[i].s.n / 3 * 4 + 8);

        if (!o)
            return cf_error_set(c->err, CF_ENOMEM, "out of memory");
        l->v[i].s = (cf_str){o, b64((const unsigned char *)l->v[i].s.p, l->v[i].s.n, o)};
    }
    return r;
}

int cf_mod_base64offset(struct cf_compile *c, struct cf_svals *l)
{
    static const size_t start[3] = {0, 2, 3}, cut[3] = {0, 3, 2};
    struct cf_svals out = {0};
    int r = need_plain(c, l, "base64offset");

    for (size_t i = 0; r == 0 && i < l->n; i++) {
        cf_str s = l->v[i].s;

        for (size_t off = 0; r == 0 && off < 3; off++) {
            char *in = cf_arena_bytes(c->a, s.n + 3), *o = cf_arena_bytes(c->a, s.n / 3 * 4 + 12);
            size_t n;

            if (!in || !o)
                return cf_error_set(c->err, CF_ENOMEM, "out of memory");
            memset(in, ' ', off);
            memcpy(in + off, s.p, s.n);
            n = b64((const unsigned char *)in, s.n + off, o);
            n -= cut[(s.n + off) % 3];
            if (n <= start[off])
                return cf_error_set(c->err, CF_EINVAL, "value is too short for base64offset");
            r = cf_svals_add(c, &out, (struct cf_sval){{o + start[off], n - start[off]}, false});
        }
    }
    if (r == 0)
        *l = out;
    return r;
}

/* Code points of UTF-8 text; broken bytes count as themselves. */
static uint32_t next_char(cf_str s, size_t *i)
{
    unsigned char b = (unsigned char)s.p[*i];
    size_t w = b < 0x80 ? 1 : b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : b >= 0xc0 ? 2 : 1;
    uint32_t v = w == 1 ? b : b & (0xffu >> (w + 1));

    if (*i + w > s.n)
        w = 1;
    for (size_t k = 1; k < w; k++)
        v = v << 6 | ((unsigned char)s.p[*i + k] & 0x3f);
    *i += w;
    return v;
}

int cf_mod_utf16(struct cf_compile *c, struct cf_svals *l, enum cf_utf16 how)
{
    int r = how == CF_UTF16_BOM ? need_plain(c, l, "utf16") : 0;

    for (size_t k = 0; r == 0 && k < l->n; k++) {
        cf_str s = l->v[k].s;
        char *o = cf_arena_bytes(c->a, s.n * 2 + 4);
        size_t n = 0, wilds = 0;

        if (!o)
            return cf_error_set(c->err, CF_ENOMEM, "out of memory");
        if (how == CF_UTF16_BOM) {
            o[n++] = '\xff';
            o[n++] = '\xfe';
        }
        for (size_t i = 0; i < s.n;) {
            uint32_t v, u[2] = {0};
            size_t nu = 1;

            if (l->v[k].wild && (s.p[i] == CF_WILD_MANY || s.p[i] == CF_WILD_ONE)) {
                o[n++] = s.p[i++];
                wilds++;
                continue;
            }
            u[0] = v = next_char(s, &i);

            if (v > 0xffff) {
                u[0] = 0xd800 + ((v - 0x10000) >> 10);
                u[1] = 0xdc00 + ((v - 0x10000) & 0x3ff);
                nu = 2;
            }
            for (size_t j = 0; j < nu; j++) {
                o[n++] = (char)(how == CF_UTF16_BE ? u[j] >> 8 : u[j] & 0xff);
                o[n++] = (char)(how == CF_UTF16_BE ? u[j] & 0xff : u[j] >> 8);
            }
        }
        for (size_t i = 0; i < n; i++)
            wilds -= l->v[k].wild && (o[i] == CF_WILD_MANY || o[i] == CF_WILD_ONE);
        if (l->v[k].wild && wilds)
            return cf_error_set(c->err, CF_EUNSUPPORTED, "a character of this value looks like a wildcard when it is encoded");
        l->v[k].s = (cf_str){o, n};
    }
    return r;
}

static bool word(char ch) { return isalnum((unsigned char)ch) || ch == '_'; }

/* A dash or slash that begins an option: no word character before it, one after it. */
static bool option_dash(cf_str s, size_t i)
{
    return (s.p[i] == '-' || s.p[i] == '/') && !(i && word(s.p[i - 1])) && i + 1 < s.n && word(s.p[i + 1]);
}

#define DASHES_MAX 5 /* 3,125 forms */
int cf_mod_windash(struct cf_compile *c, struct cf_svals *l)
{
    static const char *const dash[] = {"-", "/", "\xe2\x80\x93", "\xe2\x80\x94", "\xe2\x80\x95"};
    struct cf_svals out = {0};
    int r = 0;

    for (size_t k = 0; r == 0 && k < l->n; k++) {
        cf_str s = l->v[k].s;
        size_t at[DASHES_MAX], n = 0, total = 1;

        for (size_t i = 0; i < s.n; i++)
            if (option_dash(s, i)) {
                if (n == DASHES_MAX)
                    return cf_error_set(c->err, CF_ELIMIT, "windash: more than %d dashes in one value", DASHES_MAX);
                at[n++] = i;
                total *= 5;
            }
        for (size_t v = 0; r == 0 && v < total; v++) {
            char *o = cf_arena_bytes(c->a, s.n + n * 2 + 1);
            size_t on = 0, d = 0, pick = v;

            if (!o)
                return cf_error_set(c->err, CF_ENOMEM, "out of memory");
            for (size_t i = 0; i < s.n; i++) {
                if (d < n && at[d] == i) {
                    const char *x = dash[pick % 5];
                    memcpy(o + on, x, strlen(x));
                    on += strlen(x);
                    pick /= 5;
                    d++;
                    continue;
                }
                o[on++] = s.p[i];
            }
            r = cf_svals_add(c, &out, (struct cf_sval){{o, on}, l->v[k].wild});
        }
    }
    if (r == 0)
        *l = out;
    return r;
}

/* Replaces the first %name% of v; false when there is none. */
static bool find_placeholder(cf_str s, size_t *from, size_t *to)
{
    for (size_t i = 0; i < s.n; i++) {
        size_t j = i + 1;

        if (s.p[i] != '%')
            continue;
        while (j < s.n && (word(s.p[j]) || s.p[j] == '-' || s.p[j] == '.'))
            j++;
        if (j < s.n && j > i + 1 && s.p[j] == '%') {
            *from = i;
            *to = j + 1;
            return true;
        }
    }
    return false;
}

int cf_expand_hide(struct cf_compile *c, cf_str *s)
{
    char *o = cf_arena_bytes(c->a, s->n + 1);
    size_t n = 0;

    if (!o)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    for (size_t i = 0; i < s->n; i++) {
        bool esc = s->p[i] == '\\' && i + 1 < s->n;

        if (s->p[i] == CF_PERCENT)
            return cf_error_set(c->err, CF_ESYNTAX, "value is not UTF-8");
        if (esc && s->p[i + 1] != '%')
            o[n++] = s->p[i];
        i += esc;
        o[n++] = esc && s->p[i] == '%' ? CF_PERCENT : s->p[i];
    }
    *s = (cf_str){o, n};
    return 0;
}

static int unhide(struct cf_compile *c, struct cf_svals *l)
{
    for (size_t k = 0; k < l->n; k++) {
        cf_str s = l->v[k].s;
        char *o;

        if (!s.n || !memchr(s.p, (unsigned char)CF_PERCENT, s.n))
            continue;
        o = cf_arena_bytes(c->a, s.n);
        if (!o)
            return cf_error_set(c->err, CF_ENOMEM, "out of memory");
        for (size_t i = 0; i < s.n; i++)
            o[i] = s.p[i] == CF_PERCENT ? '%' : s.p[i];
        l->v[k].s.p = o;
    }
    return 0;
}

/* A list's entry inside an expression: what it means as a Sigma text. */
static int rex_text(struct cf_compile *c, struct cf_sval *v)
{
    char *o = cf_arena_bytes(c->a, v->s.n * 2 + 1);
    size_t n = 0;

    if (!o)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    for (size_t i = 0; i < v->s.n; i++) {
        char ch = v->s.p[i];

        if (v->wild && (ch == CF_WILD_MANY || ch == CF_WILD_ONE)) {
            o[n++] = '.';
            if (ch == CF_WILD_MANY)
                o[n++] = '*';
            continue;
        }
        if (ch > 0 && !word(ch))
            o[n++] = '\\';
        o[n++] = ch;
    }
    *v = (struct cf_sval){{o, n}, false};
    return 0;
}

static int expand_one(struct cf_compile *c, struct cf_sval v, size_t from, size_t to, cf_str with, enum cf_expand how, struct cf_svals *out)
{
    struct cf_sval w = {with, false};
    char *o;
    int r = how == CF_EXPAND_RAW ? 0 : cf_sval_parse(c, with, &w);

    if (r == 0 && how == CF_EXPAND_REX)
        r = rex_text(c, &w);
    if (r < 0)
        return r;
    o = cf_arena_bytes(c->a, v.s.n + w.s.n + 1);
    if (!o)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    memcpy(o, v.s.p, from);
    memcpy(o + from, w.s.p, w.s.n);
    memcpy(o + from + w.s.n, v.s.p + to, v.s.n - to);
    return cf_svals_add(c, out, (struct cf_sval){{o, from + w.s.n + v.s.n - to}, v.wild || w.wild});
}

int cf_mod_expand(struct cf_compile *c, struct cf_svals *l, enum cf_expand how)
{
    bool again = true;
    int r = 0;

    for (int round = 0; again && round < 8; round++) {
        struct cf_svals out = {0};

        again = false;
        for (size_t k = 0; r == 0 && k < l->n; k++) {
            size_t from, to;
            struct cf_ynode *list, *e;

            if (!find_placeholder(l->v[k].s, &from, &to)) {
                r = cf_svals_add(c, &out, l->v[k]);
                continue;
            }
            again = true;
            list = cf_placeholder(c->rs, cf_str_sub(l->v[k].s, from + 1, to - from - 2));
            if (!c->warning.p && (!list || (list->kind == CF_Y_SEQ && !list->n)))
                c->warning = cf_arena_printf(&c->rs->arena, CF_SAID("the list %.*s is %s: what is compared with it is never true"), (int)(to - from), l->v[k].s.p + from,
                                             list ? "empty" : "unknown");
            if (list && list->kind == CF_Y_SCALAR && !cf_ynode_is_null(list))
                r = expand_one(c, l->v[k], from, to, list->text, how, &out);
            for (e = list && list->kind == CF_Y_SEQ ? list->child : NULL; e && r == 0; e = e->next)
                if (e->kind == CF_Y_SCALAR)
                    r = expand_one(c, l->v[k], from, to, e->text, how, &out);
        }
        if (r < 0)
            return r;
        *l = out;
    }
    return again ? cf_error_set(c->err, CF_ELIMIT, "placeholders refer to each other without end") : unhide(c, l);
}

int cf_mod_anchor(struct cf_compile *c, struct cf_svals *l, int how)
{
    for (size_t k = 0; k < l->n; k++) {
        struct cf_sval *v = &l->v[k];
        bool front = how != CF_ANCHOR_STARTS, back = how != CF_ANCHOR_ENDS;
        char *o = cf_arena_bytes(c->a, v->s.n + 2);
        size_t n = 0;

        if (!o)
            return cf_error_set(c->err, CF_ENOMEM, "out of memory");
        for (size_t i = 0; !v->wild && i < v->s.n; i++)
            if (v->s.p[i] == CF_WILD_MANY || v->s.p[i] == CF_WILD_ONE)
                return cf_error_set(c->err, CF_EUNSUPPORTED, "raw UTF-16 with a byte order mark can only be compared whole");
        if (front)
            o[n++] = CF_WILD_MANY;
        memcpy(o + n, v->s.p, v->s.n);
        n += v->s.n;
        if (back)
            o[n++] = CF_WILD_MANY;
        v->s = (cf_str){o, n};
        v->wild = true;
    }
    return 0;
}
