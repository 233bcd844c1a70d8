/* SPDX-License-Identifier: Apache-2.0
 * The scanners of CEF and LEEF, and pairs whose values hold blanks. */
#include "normalise/pairs_int.h"

/* Splits a header of n parts at unescaped '|'. Parts are unescaped (\| \\) in arena only when needed. */
static int header(cf_str *s, cf_str *part, size_t n, struct cf_arena *a)
{
    for (size_t k = 0; k < n; k++) {
        const char *end = s->p + s->n, *p = find2(s->p, end, '|', '\\');
        bool esc = false;
        size_t i;
        if (p < end && *p == '|') { /* the usual part */
            part[k] = cf_str_n(s->p, (size_t)(p - s->p));
            *s = cf_str_n(p + 1, (size_t)(end - p - 1));
            continue;
        }
        while (p < end && *p == '\\') {
            esc = esc || p + 1 < end;
            p = p + 1 < end ? find2(p + 2, end, '|', '\\') : end;
        }
        i = (size_t)(p - s->p);
        if (i >= s->n && k + 1 < n)
            return CF_ESYNTAX;
        part[k] = cf_str_n(s->p, i > s->n ? s->n : i);
        *s = cf_str_sub(*s, i + 1, s->n);
        if (esc) {
            char *o = cf_arena_bytes(a, part[k].n);
            size_t w = 0;
            if (!o)
                return CF_ENOMEM;
            for (size_t c = 0; c < part[k].n; c++) {
                if (part[k].p[c] == '\\' && c + 1 < part[k].n && (part[k].p[c + 1] == '|' || part[k].p[c + 1] == '\\'))
                    c++;
                o[w++] = part[k].p[c];
            }
            part[k] = cf_str_n(o, w);
        }
    }
    return 0;
}

static const bool key_chars[256] = {['0' ... '9'] = true, ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['_'] = true, ['-'] = true, ['.'] = true,
                                    ['['] = true, [']'] = true, [0x80 ... 0xff] = true};
static inline bool key_char(char c) { return key_chars[(unsigned char)c]; }

cf_str cf_unescape(cf_str v, const char *which, struct cf_arena *a)
{
    char *o;
    size_t w = 0;

    if (!memchr(v.p, '\\', v.n))
        return v;
    o = cf_arena_bytes(a, v.n);
    if (!o)
        return v;
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (c == '\\' && i + 1 < v.n && (strchr(which, v.p[i + 1]) || v.p[i + 1] == '\\')) {
            c = v.p[++i];
            if (c == 'n' || c == 'r')
                c = c == 'n' ? '\n' : '\r';
        }
        o[w++] = c;
    }
    return cf_str_n(o, w);
}

static inline bool is_gap(char c) { return c == ' ' || c == '\t'; }
/* cf_str_trim, without a call for what has nothing to take off. */
static inline cf_str trimmed(cf_str s) { return s.n && s.p[0] > ' ' && s.p[s.n - 1] > ' ' ? s : cf_str_trim(s); }

/* The text in [v, eq) ends with a blank and the expected key, or the one behind it: its entry, and *len; otherwise 0. Such keys
 * hold nothing that ends a key. */
static inline uint16_t expected_before(struct cf_key_guide *g, const char *v, const char *eq, size_t *len)
{
    uint16_t at = g->at;

    for (unsigned i = 0; at && i < 2; i++) {
        const struct cf_known_key *k = cf_known_at(g, at);
        size_t n = k->plain;
        if (n && (size_t)(eq - v) > n && is_gap(eq[-(ptrdiff_t)n - 1]) && cf_same_text(eq - n, k->text.p, n)) {
            g->strayed = g->strayed || i;
            g->at = k->next;
            *len = n;
            return at;
        }
        at = k->next;
    }
    return 0;
}

/* The entry of the expected key when it is this one; 0: it is another. */
static inline uint16_t expected_name(struct cf_key_guide *g, cf_str name)
{
    uint16_t at = g->at;
    const struct cf_known_key *k = at ? cf_known_at(g, at) : NULL;

    if (!k || k->text.n != name.n || !cf_same_text(k->text.p, name.p, name.n)) {
        g->strayed = true;
        return 0;
    }
    g->at = k->next;
    return at;
}

/* The same for keys of the text, which may be those of other groups of pairs unless they are plain. */
static inline uint16_t expected_key(struct cf_key_guide *g, cf_str name)
{
    if (!g->at || !cf_known_at(g, g->at)->plain) {
        g->strayed = true;
        return 0;
    }
    return expected_name(g, name);
}

struct next_key { /* of spaced pairs; text.p NULL: none */
    cf_str text;
    uint16_t ent;
};

/* Where the value that starts at v ends: at the blank in front of the next "key=", which goes to *next. *esc: it holds a
 * backslash. A sign behind a backslash assigns nothing, and "a=b=c" is all value. */
static inline const char *value_end(const char *v, const char *end, char assign, struct cf_key_guide *g, struct next_key *next, bool *esc)
{
    const char *p = find2(v, end, assign, '\\');

    *esc = false;
    next->text.p = NULL;
    while (p < end) {
        const char *b = p;
        size_t n;
        if (*p == '\\') {
            *esc = true;
            p = p + 2 < end ? find2(p + 2, end, assign, '\\') : end;
            continue;
        }
        next->ent = expected_before(g, v, p, &n);
        if (next->ent) {
            next->text = cf_str_n(p - n, n);
            return p - n - 1;
        }
        while (b > v && key_char(b[-1]))
            b--;
        if (b < p && b > v && is_gap(b[-1])) {
            next->text = cf_str_n(b, (size_t)(p - b));
            return b - 1;
        }
        p = find2(p + 1, end, assign, '\\');
    }
    return end;
}

/* The first key at or behind p. False: there is none. */
static bool first_key(const char *p, const char *end, char assign, cf_str *key)
{
    while (p < end) {
        const char *from;
        while (p < end && is_gap(*p))
            p++;
        from = p;
        while (p < end && key_char(*p))
            p++;
        if (p > from && p < end && *p == assign) {
            *key = cf_str_n(from, (size_t)(p - from));
            return true;
        }
        while (p < end && *p != ' ') /* not a key: skip the word */
            p++;
    }
    return false;
}

int cf_spaced_pairs(cf_str s, char assign, struct cf_arena *a, const char *escapes, struct cf_pairs *ret)
{
    const char *end = s.p + s.n;
    struct next_key next = {0};

    if (!first_key(s.p, end, assign, &next.text))
        return 0;
    next.ent = expected_key(&ret->guide, next.text);
    while (next.text.p) {
        cf_str key = next.text;
        const char *p = key.p + key.n + 1, *stop;
        uint16_t ent = next.ent;
        struct cf_pair *pair;
        bool esc;
        cf_str val;
        stop = value_end(p, end, assign, &ret->guide, &next, &esc);
        while (stop > p && is_gap(stop[-1]))
            stop--;
        val = cf_str_n(p, (size_t)(stop - p));
        pair = cf_pair_add(ret, key, esc ? cf_unescape(val, escapes, a) : val, CF_V_STR);
        if (!pair)
            return CF_ELIMIT;
        pair->ent = ent;
        ret->guide.strayed = ret->guide.strayed || !ent;
    }
    return 0;
}

/* cs1Label=Policy cs1=Block -> also a pair "Policy" */
static void labels(struct cf_pairs *ps, size_t from, struct cf_arena *a)
{
    size_t n = ps->n;

    for (size_t i = from; i < n; i++) {
        cf_str k = ps->v[i].key;
        if (k.n < 6 || k.p[k.n - 1] != 'l' || !cf_str_ends(k, CF_STR("Label")) || !ps->v[i].val.n || ps->v[i].val.n > 64)
            continue;
        k.n -= 5;
        for (size_t j = from; j < n; j++)
            if (cf_str_eq(ps->v[j].key, k)) {
                cf_str name = cf_arena_copy(a, ps->v[i].val);
                if (!name.p)
                    return;
                for (size_t c = 0; c < name.n; c++)
                    if (name.p[c] == ' ' || name.p[c] == '.')
                        ((char *)(uintptr_t)name.p)[c] = '_';
                struct cf_pair *made = cf_pair_add(ps, name, ps->v[j].val, CF_V_STR);
                if (made)
                    made->ent = expected_key(&ps->guide, name);
                break;
            }
    }
}

int cf_cef_parse(cf_str s, struct cf_arena *a, struct cf_pairs *ret, struct cf_error *reterr)
{
    static const struct {
        cf_str name;
        uint32_t leaf;
    } names[] = {{{"cef.version", 11}, 4}, {{"cef.device.vendor", 17}, 11}, {{"cef.device.product", 18}, 11}, {{"cef.device.version", 18}, 11},
                 {{"cef.device.event_class_id", 25}, 11}, {{"cef.name", 8}, 4}, {{"cef.severity", 12}, 4}};
    cf_str part[7];
    size_t from;
    int r;

    if (!cf_str_starts(s, CF_STR("CEF:")))
        return cf_error_set(reterr, CF_ESYNTAX, "not CEF: it does not start with CEF:");
    s = cf_str_sub(s, 4, s.n);
    r = header(&s, part, 7, a);
    if (r < 0)
        return cf_error_set(reterr, r, "CEF header has fewer than 7 parts");
    for (size_t i = 0; i < 7; i++) {
        struct cf_pair *p = cf_pair_add(ret, names[i].name, trimmed(part[i]), CF_V_STR);
        if (!p)
            continue;
        p->leaf = names[i].leaf;
        p->ent = expected_name(&ret->guide, names[i].name);
    }
    from = ret->n;
    r = cf_spaced_pairs(s, '=', a, "=nr|", ret);
    labels(ret, from, a);
    cf_guide_done(ret);
    return r;
}

static char leef_delimiter(cf_str d)
{
    uint64_t v;

    if (d.n == 1)
        return d.p[0];
    if (d.n >= 2 && (d.p[0] == 'x' || d.p[0] == 'X') && cf_str_hex64(cf_str_sub(d, 1, d.n), &v) && v && v < 128)
        return (char)v;
    if (d.n >= 3 && d.p[0] == '0' && (d.p[1] | 32) == 'x' && cf_str_hex64(d, &v) && v && v < 128)
        return (char)v;
    return '\t';
}

int cf_leef_parse(cf_str s, struct cf_arena *a, struct cf_pairs *ret, struct cf_error *reterr)
{
    static const char *const names[] = {"leef.version", "leef.vendor", "leef.product", "leef.product_version", "leef.event_id"};
    cf_str part[5], d, field;
    char sep = '\t';
    int r;

    if (!cf_str_starts(s, CF_STR("LEEF:")))
        return cf_error_set(reterr, CF_ESYNTAX, "not LEEF: it does not start with LEEF:");
    s = cf_str_sub(s, 5, s.n);
    r = header(&s, part, 5, a);
    if (r < 0)
        return cf_error_set(reterr, r, "LEEF header has fewer than 5 parts");
    for (size_t i = 0; i < 5; i++) {
        struct cf_pair *p = cf_pair_add(ret, cf_str_c(names[i]), cf_str_trim(part[i]), CF_V_STR);
        if (p)
            p->leaf = 5;
    }
    if (part[0].n && part[0].p[0] == '2') { /* 2.0 names its delimiter, or leaves it out */
        const char *bar = memchr(s.p, '|', s.n), *eq = memchr(s.p, '=', s.n);
        if (bar && (!eq || bar < eq) && bar - s.p <= 4 && cf_str_cut(&s, '|', &d))
            sep = leef_delimiter(d);
    }
    if (sep == '\t' && !memchr(s.p ? s.p : "", '\t', s.n)) /* senders that write blanks instead */
        return cf_spaced_pairs(s, '=', a, "=", ret);
    while (cf_str_cut(&s, sep, &field)) {
        const char *eq = memchr(field.p, '=', field.n);
        if (!eq || eq == field.p)
            continue;
        if (!cf_pair_add(ret, cf_str_trim(cf_str_n(field.p, (size_t)(eq - field.p))), cf_str_n(eq + 1, (size_t)(field.p + field.n - eq - 1)),
                         CF_V_STR))
            return CF_ELIMIT;
    }
    return 0;
}
