/* SPDX-License-Identifier: Apache-2.0
 * match: which records are a source's own. */
#include "normalise/source_load.h"

static const struct {
    const char *name;
    unsigned bit;
} formats[] = {{"syslog", CF_NF_TEXT}, {"text", CF_NF_TEXT}, {"json", CF_NF_JSON}, {"evtx-json", CF_NF_WIN}, {"ecs", CF_NF_ECS}, {"cef", CF_NF_CEF},
               {"leef", CF_NF_LEEF}, {"zeek", CF_NF_ZEEK}, {"iis", CF_NF_IIS}, {"csv", CF_NF_CSV}, {"kv", CF_NF_KV}, {"netflow", CF_NF_NETFLOW}};

/* The two bytes of s that log lines hold least, roughly; the same one twice when there is one only. */
static struct cf_rare rare_bytes(cf_str s)
{
    static const char often[] = "eatrinosdlcp 0123.=-:hmgufybwv_4657898/,\"ABCDEFGHIJKLMNOPRSTUVWxkjzqQXYZ()[];<>"; /* most frequent first */
    size_t rank[2] = {0, 0};
    uint16_t at[2] = {0, 0};

    for (size_t i = 0; i < s.n && i < UINT16_MAX; i++) {
        const char *found = s.p[i] ? strchr(often, s.p[i]) : NULL;
        size_t k = found ? (size_t)(found - often) + 1 : sizeof often;
        if (k > rank[0]) {
            rank[1] = rank[0];
            at[1] = rank[0] ? at[0] : (uint16_t)i;
            rank[0] = k;
            at[0] = (uint16_t)i;
        } else if (k > rank[1] && s.p[i] != s.p[at[0]]) {
            rank[1] = k;
            at[1] = (uint16_t)i;
        }
    }
    if (!s.n)
        return (struct cf_rare){0};
    return (struct cf_rare){.byte = {(unsigned char)s.p[at[0]], (unsigned char)s.p[at[1]]}, .at = {at[0], at[1]}};
}

static int parse_match(struct cf_load *l, const struct cf_ynode *y, struct cf_match *m)
{
    cf_str *names = NULL;
    size_t n;
    const struct cf_ynode *c;
    int r;

    if ((r = cf_load_keys(l, y, "match", "program format starts contains has fields regex extract whole add")) < 0)
        return r;
    if ((r = cf_load_strings(l, cf_ymap_get(y, "program"), "program", &m->program, &m->n_program)) < 0 ||
        (r = cf_load_strings(l, cf_ymap_get(y, "starts"), "starts", &m->starts, &m->n_starts)) < 0 ||
        (r = cf_load_strings(l, cf_ymap_get(y, "contains"), "contains", &m->contains, &m->n_contains)) < 0 ||
        (r = cf_load_strings(l, cf_ymap_get(y, "has"), "has", &m->has, &m->n_has)) < 0 ||
        (r = cf_load_conds(l, cf_ymap_get(y, "fields"), &m->cond, &m->n_cond)) < 0 ||
        (r = cf_load_strings(l, cf_ymap_get(y, "format"), "format", &names, &n)) < 0)
        return r;
    if (!(m->rare = CF_NEW_N(l->a, struct cf_rare, m->n_contains + 1)))
        return cf_load_nomem(l);
    for (size_t i = 0; i < m->n_contains; i++)
        m->rare[i] = rare_bytes(m->contains[i]);
    for (size_t i = 0; i < m->n_contains; i++)
        m->signs |= cf_text_signs(m->contains[i]);
    for (size_t i = 0; i < n; i++) {
        unsigned bit = 0;
        for (size_t k = 0; k < sizeof formats / sizeof *formats; k++)
            if (cf_str_eqz(names[i], formats[k].name))
                bit = formats[k].bit;
        if (!bit)
            return cf_load_fail(l, cf_ymap_get(y, "format"), "format \"%.*s\" is not known (syslog text json evtx-json ecs cef leef zeek iis csv kv)",
                        CF_ARG(names[i]));
        m->formats |= bit;
    }
    if (!m->formats)
        m->formats = CF_NF_TEXT;
    if ((m->n_has || m->n_cond) && (m->formats & CF_NF_TEXT))
        return cf_load_fail(l, y, "has and fields look at parsed pairs: name the format (json, evtx-json, cef, leef ...)");
    c = cf_ymap_get(y, "regex");
    if (c && !(m->regex = cf_load_regex(l, c, &r)))
        return r;
    c = cf_ymap_get(y, "extract");
    if (c && !cf_ynode_bool(c, &m->extract))
        return cf_load_fail(l, c, "extract must be true or false");
    c = cf_ymap_get(y, "add");
    if (c && (c->kind != CF_Y_MAP || (m->formats & CF_NF_TEXT)))
        return cf_load_fail(l, c, "add must be a map of key: value, for parsed formats");
    if (c && (!(m->add_key = CF_NEW_N(l->a, cf_str, c->n + 1)) || !(m->add_val = CF_NEW_N(l->a, cf_str, c->n + 1))))
        return cf_load_nomem(l);
    for (const struct cf_ynode *e = c ? c->child : NULL; e; e = e->next) {
        m->add_key[m->n_add] = e->key;
        m->add_val[m->n_add++] = e->text;
    }
    c = cf_ymap_get(y, "whole");
    if (c && !cf_ynode_bool(c, &m->whole))
        return cf_load_fail(l, c, "whole must be true or false");
    if (m->whole && !m->n_starts)
        return cf_load_fail(l, c, "a row with whole: true needs starts:");
    if ((m->formats & CF_NF_TEXT) && !m->n_program && !m->n_starts && !m->n_contains && !m->regex && !m->extract)
        return cf_load_fail(l, y, "this row would match every text: name program, starts, contains, regex or extract: true");
    return 0;
}

int cf_load_matches(struct cf_load *l, const struct cf_ynode *y)
{
    int r;

    if (!y)
        return 0;
    if (y->kind != CF_Y_SEQ)
        return cf_load_fail(l, y, "match must be a list");
    l->s->match = CF_NEW_N(l->a, struct cf_match, y->n + 1);
    if (!l->s->match)
        return cf_load_nomem(l);
    for (const struct cf_ynode *c = y->child; c; c = c->next)
        if ((r = parse_match(l, c, &l->s->match[l->s->n_match++])) < 0)
            return r;
        else
            l->s->formats |= l->s->match[l->s->n_match - 1].formats;
    return 0;
}
