/* SPDX-License-Identifier: Apache-2.0
 * Free text -> templates. Lines are cut into tokens; lines with the same sequence of token kinds form a group; in a group a
 * word that is the same everywhere is text and one that varies is a hole, named by the word in front of it.
 *
 *   login of bob from 192.0.2.7 port 4022 failed
 *   W     W  W   W    IP        W    INT  W        ->  login of %of:word% from %from:ip% port %port:int% failed */
#include <stdio.h>
#include <stdlib.h>

#include "normalise/propose_int.h"

enum tok_kind { TK_WS = 1, TK_IP, TK_INT, TK_NUM, TK_HEX, TK_MAC, TK_QUOTED, TK_WORD, TK_PUNCT, TK_TIME, TK_LEVEL };
struct tok {
    uint8_t kind;
    cf_str text;
};
#define TOK_MAX 120
#define TEXT_PATTERNS_MAX 60
struct line {
    size_t n;
    struct tok *t;
    uint64_t sig;  /* kinds and signs */
    bool done;
};

static bool digit(char c) { return (unsigned char)(c - '0') < 10; }
static bool letter(char c) { return (unsigned char)((c | 32) - 'a') < 26 || (unsigned char)c >= 0x80; }
static bool word_char(char c) { return digit(c) || letter(c) || c == '_' || c == '-' || c == '.' || c == '/' || c == '@' || c == '\\'; }

static size_t stamp_at(cf_str s)
{
    struct cf_stamp st;
    size_t n;

    if (s.n < 14)
        return 0;
    if (digit(s.p[0])) {
        n = cf_stamp_iso(s, &st);
        return n >= 16 ? n : 0;
    }
    n = letter(s.p[0]) ? cf_stamp_bsd(s, &st) : 0;
    if (n)
        return n;
    {
        const char *e = memchr(s.p, ']', s.n < 40 ? s.n : 40);
        return e && cf_stamp_parse(CF_STR("%d/%b/%Y:%H:%M:%S %z"), cf_str_n(s.p, (size_t)(e - s.p)), &st) ? (size_t)(e - s.p) : 0;
    }
}

static size_t mac_at(cf_str s)
{
    if (s.n < 17 || (s.p[2] != ':' && s.p[2] != '-'))
        return 0;
    for (size_t i = 0; i < 17; i++)
        if (i % 3 == 2 ? s.p[i] != s.p[2] : !(digit(s.p[i]) || (unsigned char)((s.p[i] | 32) - 'a') < 6))
            return 0;
    return s.n == 17 || !word_char(s.p[17]) ? 17 : 0;
}

static size_t ip_at(cf_str s)
{
    struct cf_ip ip;
    size_t n = 0;

    while (n < s.n && n < 45 && (digit(s.p[n]) || s.p[n] == '.' || s.p[n] == ':' || (unsigned char)((s.p[n] | 32) - 'a') < 6))
        n++;
    if (n < s.n && (letter(s.p[n]) || s.p[n] == '_'))
        return 0;
    while (n >= 3) { /* "1.2.3.4:80" and "fe80::1:" */
        if (cf_ip_parse(cf_str_n(s.p, n), &ip))
            return n;
        while (n && s.p[n - 1] != ':' && s.p[n - 1] != '.')
            n--;
        n = n ? n - 1 : 0;
    }
    return 0;
}

static bool is_level(cf_str w)
{
    static const char *const words[] = {"TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "ERR", "CRITICAL", "FATAL", "ALERT", "EMERG"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (cf_str_eqz(w, words[i]))
            return true;
    return false;
}

/* First token of s. */
static struct tok token(cf_str s)
{
    struct tok t = {.kind = TK_PUNCT};
    size_t n = 0, digits = 0, dots = 0;

    if (s.p[0] == ' ' || s.p[0] == '\t') {
        while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t'))
            n++;
        t.kind = TK_WS;
    } else if ((n = stamp_at(s))) {
        t.kind = TK_TIME;
    } else if ((n = mac_at(s))) {
        t.kind = TK_MAC;
    } else if ((n = ip_at(s))) {
        t.kind = TK_IP;
    } else if (s.p[0] == '"') {
        for (n = 1; n < s.n && s.p[n] != '"'; n++)
            n += s.p[n] == '\\' && n + 1 < s.n;
        t.kind = n < s.n ? TK_QUOTED : TK_PUNCT;
        n = n < s.n ? n + 1 : 1;
    } else if (word_char(s.p[0])) {
        for (; n < s.n && word_char(s.p[n]); n++) {
            digits += digit(s.p[n]);
            dots += s.p[n] == '.';
        }
        while (n > 1 && (s.p[n - 1] == '.' || s.p[n - 1] == '-')) { /* end of a sentence */
            dots -= s.p[n - 1] == '.';
            n--;
        }
        t.kind = is_level(cf_str_n(s.p, n)) ? TK_LEVEL : TK_WORD;
        if (digits == n || (digits == n - 1 && s.p[0] == '-'))
            t.kind = TK_INT;
        else if (dots == 1 && digits == n - 1 && digit(s.p[0]) && digit(s.p[n - 1]))
            t.kind = TK_NUM;
        else if (n > 2 && s.p[0] == '0' && (s.p[1] | 32) == 'x')
            t.kind = TK_HEX;
    } else {
        n = 1;
    }
    t.text = cf_str_n(s.p, n);
    return t;
}

static int tokens(struct prop *p, cf_str s, struct line *l)
{
    struct tok t[TOK_MAX];
    uint64_t h = 1469598103934665603u;

    l->n = 0;
    while (s.n && l->n < TOK_MAX) {
        struct tok one = token(s);
        uint64_t k = one.kind == TK_PUNCT ? 256u + (unsigned char)one.text.p[0] : one.kind;
        t[l->n++] = one;
        s = cf_str_sub(s, one.text.n, s.n);
        h = (h ^ k) * 1099511628211u;
    }
    if (s.n) /* very long: the rest is one hole */
        t[l->n - 1] = (struct tok){TK_WORD, cf_str_n(t[l->n - 1].text.p, (size_t)(s.p + s.n - t[l->n - 1].text.p))};
    l->sig = h ^ l->n;
    l->t = CF_NEW_N(p->a, struct tok, l->n + 1);
    if (!l->t)
        return CF_ENOMEM;
    memcpy(l->t, t, l->n * sizeof *t);
    return 0;
}

/* --- one group -> one template --- */

struct group {
    size_t *line, n;
};

static bool plain_word(cf_str w)
{
    for (size_t i = 0; i < w.n; i++)
        if (!letter(w.p[i]) && w.p[i] != '_' && w.p[i] != '-')
            return false;
    return w.n > 0;
}

static size_t distinct(const struct line *l, const struct group *g, size_t at, cf_str *v, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < g->n; i++) {
        cf_str w = l[g->line[i]].t[at].text;
        size_t k = 0;
        while (k < n && !cf_str_eq(v[k], w))
            k++;
        if (k == n) {
            if (n == max)
                return max + 1;
            v[n++] = w;
        }
    }
    return n;
}

static const char *hole_type(const struct line *l, size_t at, uint8_t kind, char stop[16])
{
    bool blank_behind = at + 1 == l->n || l->t[at + 1].kind == TK_WS;

    switch (kind) {
    case TK_IP: return "ip";
    case TK_INT: return "int";
    case TK_NUM: return "num";
    case TK_HEX: return "hex";
    case TK_MAC: return "mac";
    case TK_QUOTED: return "quoted";
    case TK_TIME: return at + 1 == l->n ? "rest" : "until";
    default: break;
    }
    if (blank_behind && kind != TK_LEVEL)
        return at + 1 == l->n ? "rest" : "word";
    if (kind != TK_LEVEL && l->t[at + 1].kind == TK_PUNCT && l->t[at + 1].text.p[0] != '%' && (unsigned char)l->t[at + 1].text.p[0] < 0x80) {
        (void)snprintf(stop, 16, "upto:%c", l->t[at + 1].text.p[0]);
        return stop;
    }
    return "token";
}

static void name_hole(const struct line *l, const bool *hole, size_t at, uint8_t kind, const struct cf_buf *so_far, char name[40])
{
    static const char *const usual[] = {[TK_IP] = "ip", [TK_INT] = "number", [TK_NUM] = "number", [TK_HEX] = "hex", [TK_MAC] = "mac", [TK_QUOTED] = "text",
                                        [TK_WORD] = "value", [TK_TIME] = "time", [TK_LEVEL] = "level"};
    char base[32], probe[48];
    size_t n = 0;

    (void)snprintf(base, sizeof base, "%s", usual[kind]);
    for (size_t i = at; kind != TK_TIME && kind != TK_LEVEL && i-- > 0 && at - i <= 4;) {
        cf_str w = l->t[i].text;
        if (hole[i])
            break;
        if (l->t[i].kind != TK_WORD || !plain_word(w) || w.n >= sizeof base)
            continue;
        if (cf_str_ieq(w, CF_STR("of")) && i > 1 && l->t[i - 1].kind == TK_WS && l->t[i - 2].kind == TK_WORD && !hole[i - 2] && plain_word(l->t[i - 2].text) &&
            l->t[i - 2].text.n < sizeof base) /* "login of NAME" */
            w = l->t[i - 2].text;
        for (size_t c = 0; c < w.n; c++)
            base[n++] = (char)(w.p[c] >= 'A' && w.p[c] <= 'Z' ? w.p[c] | 32 : w.p[c] == '-' ? '_' : w.p[c]);
        base[n] = '\0';
        break;
    }
    (void)snprintf(name, 40, "%s", base);
    for (unsigned k = 2; k < 40; k++) { /* each name once in a template */
        (void)snprintf(probe, sizeof probe, "%%%s:", name);
        if (cf_str_find(cf_buf_view(so_far), cf_str_c(probe)) < 0)
            return;
        (void)snprintf(name, 40, "%.31s%u", base, k);
    }
}

/* "%%" for percent signs of the text */
static size_t put_text(struct cf_buf *b, cf_str s)
{
    size_t letters = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%')
            cf_buf_byte(b, '%');
        cf_buf_byte(b, s.p[i]);
        letters += letter(s.p[i]);
    }
    return letters;
}

static int write_template(struct prop *p, const struct line *l, const struct group *g)
{
    const struct line *first = &l[g->line[0]];
    bool hole[TOK_MAX + 1] = {0};
    size_t holes = 0, letters = 0;
    struct cf_buf b;
    cf_str v[2], t;

    if (p->n_pattern == TEXT_PATTERNS_MAX)
        return 0;
    cf_buf_init(&b, 64u << 10);
    for (size_t i = 0; i < first->n; i++) {
        uint8_t k = first->t[i].kind;
        bool varies = distinct(l, g, i, v, 1) > 1;
        hole[i] = k == TK_IP || k == TK_MAC || k == TK_TIME || k == TK_LEVEL || k == TK_QUOTED || ((k == TK_INT || k == TK_NUM || k == TK_HEX) && (varies || g->n == 1)) ||
                  (k == TK_WORD && (varies || (g->n == 1 && !plain_word(first->t[i].text))));
        if (k == TK_QUOTED && (first->t[i].text.n <= 2 || holes > 30))
            hole[i] = false;
    }
    for (size_t i = 0; i < first->n; i++) {
        char name[40], stop[16];
        const char *type;
        if (!hole[i] || holes >= CF_TPL_HOLES_MAX - 4) {
            if (first->t[i].kind == TK_WS && distinct(l, g, i, v, 1) > 1)
                cf_buf_z(&b, "%-:ws%");
            else
                letters += put_text(&b, first->t[i].text);
            continue;
        }
        type = hole_type(first, i, first->t[i].kind, stop);
        name_hole(first, hole, i, first->t[i].kind, &b, name);
        cf_buf_printf(&b, "%%%s:%s%%", name, type);
        holes++;
    }
    if (letters < 6)
        p->strict = false;
    t = cf_arena_copy(p->a, cf_buf_view(&b));
    cf_buf_release(&b);
    if (!t.p)
        return CF_ENOMEM;
    for (size_t i = 0; i < p->n_pattern; i++)
        if (cf_str_eq(p->pattern[i], t))
            return 0;
    p->pattern[p->n_pattern++] = t;
    return 0;
}

/* Splits a group at the first early word that takes few values: different messages of one shape. */
static int split(struct prop *p, const struct line *l, struct group *g, unsigned depth)
{
    const struct line *first = &l[g->line[0]];
    cf_str v[9];
    size_t words = 0;

    for (size_t i = 0; i < first->n && depth < 6; i++) {
        size_t n, same = 0;
        bool plain = true;
        if (first->t[i].kind != TK_WORD)
            continue;
        words++;
        n = distinct(l, g, i, v, 8);
        for (size_t k = 0; k < n && k < 8; k++)
            plain = plain && plain_word(v[k]);
        if (n < 2 || n > 8 || !plain || (n * 3 > g->n && words > 1) || (words > 3 && n > 3))
            continue;
        for (size_t k = 0; k < n; k++) {
            struct group part = {CF_NEW_N(p->a, size_t, g->n), 0};
            int r;
            if (!part.line)
                return CF_ENOMEM;
            for (size_t q = 0; q < g->n; q++)
                if (cf_str_eq(l[g->line[q]].t[i].text, v[k]))
                    part.line[part.n++] = g->line[q];
            same += part.n;
            if ((r = split(p, l, &part, depth + 1)) < 0)
                return r;
        }
        return same == g->n ? 0 : CF_ECORRUPT;
    }
    return write_template(p, l, g);
}

int prop_templates(struct prop *p, struct cf_error *reterr)
{
    struct line *l = CF_NEW_N(p->a, struct line, p->in->n + 1);
    struct group g = {CF_NEW_N(p->a, size_t, p->in->n + 1), 0};
    int r = 0;

    p->pattern = CF_NEW_N(p->a, cf_str, TEXT_PATTERNS_MAX);
    if (!l || !g.line || !p->pattern)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    p->strict = true;
    for (size_t i = 0; i < p->in->n && r == 0; i++) {
        r = tokens(p, p->msg[i], &l[i]);
        l[i].done = l[i].n == 0;
    }
    for (;;) { /* largest groups first */
        size_t best = 0, best_n = 0;
        for (size_t i = 0; i < p->in->n; i++) {
            size_t n = 0;
            if (l[i].done)
                continue;
            for (size_t k = i; k < p->in->n; k++)
                n += !l[k].done && l[k].sig == l[i].sig && l[k].n == l[i].n;
            if (n > best_n) {
                best = i;
                best_n = n;
            }
        }
        if (!best_n || r < 0 || p->n_pattern == TEXT_PATTERNS_MAX)
            break;
        g.n = 0;
        for (size_t k = best; k < p->in->n; k++)
            if (!l[k].done && l[k].sig == l[best].sig && l[k].n == l[best].n) {
                g.line[g.n++] = k;
                l[k].done = true;
            }
        r = split(p, l, &g, 0);
    }
    return r < 0 ? cf_error_set(reterr, r, "no templates: %s", cf_err_text(r)) : 0;
}
