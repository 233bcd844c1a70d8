/* SPDX-License-Identifier: Apache-2.0
 * extract: templates and regexes, after all files are read, because of include. */
#include "normalise/source_load.h"

struct names {
    struct cf_load *l;
    const struct cf_ynode *at;
};

static int hole_name(void *ctx, cf_str name, uint32_t *ret, struct cf_error *reterr)
{
    struct names *nm = ctx;
    struct cf_source *s = nm->l->s;
    struct cf_ref ref;

    (void)reterr;
    for (size_t i = 0; i < s->n_hole; i++)
        if (cf_str_eq(s->hole[i].text, name)) {
            *ret = (uint32_t)i;
            return 0;
        }
    if (s->n_hole >= 512)
        return cf_load_fail(nm->l, nm->at, "more than 512 different names in the patterns");
    name = cf_arena_copy(nm->l->a, name);
    ref = (struct cf_ref){.field = (uint16_t)cf_field_find(name), .text = name};
    s->hole_key[s->n_hole] = ref.field == CF_F_EXTRA && !memchr(name.p, '.', name.n);
    if (ref.field == CF_F_EXTRA && !s->hole_key[s->n_hole])
        ref.name = cf_name_intern(name);
    ref.raw = s->hole_key[s->n_hole] ? cf_name_intern(name) : 0;
    s->hole[s->n_hole] = ref;
    *ret = (uint32_t)s->n_hole++;
    return 0;
}

static int add_regex(struct cf_load *l, const struct cf_ynode *y, uint32_t action)
{
    struct cf_regex *re = &l->s->regex[l->s->n_regex];
    uint32_t count = 0, size = 0;
    unsigned char *table = NULL;
    struct names nm = {l, y};
    int r;

    re->code = cf_load_regex(l, y, &r);
    if (!re->code)
        return r;
    l->s->n_regex++;
    re->action = action;
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &count);
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
    re->group = CF_NEW_N(l->a, uint32_t, count + 1);
    re->name = CF_NEW_N(l->a, uint32_t, count + 1);
    if (!re->group || !re->name)
        return cf_load_nomem(l);
    for (uint32_t i = 0; i < count; i++, table += size) { /* a__b in a group's name stands for a.b */
        char name[128];
        size_t n = 0;
        for (const char *p = (const char *)table + 2; *p && n < sizeof name - 1; p++) {
            if (p[0] == '_' && p[1] == '_') {
                name[n++] = '.';
                p++;
            } else {
                name[n++] = *p;
            }
        }
        re->group[re->n] = (uint32_t)(table[0] << 8 | table[1]);
        if ((r = hole_name(&nm, cf_str_n(name, n), &re->name[re->n], l->err)) < 0)
            return r;
        re->n++;
    }
    return 0;
}

static int add_rule(struct cf_load *l, const struct cf_ynode *y)
{
    const struct cf_ynode *p, *c;
    struct names nm = {l, y};
    uint32_t action = (uint32_t)l->s->n_action;
    cf_str *pat = NULL;
    size_t n;
    int r;

    if ((r = cf_load_keys(l, y, "extract", "pattern regex set")) < 0)
        return r;
    if ((r = cf_load_sets(l, cf_ymap_get(y, "set"), &l->s->action[l->s->n_action++])) < 0)
        return r;
    c = cf_ymap_get(y, "regex");
    p = cf_ymap_get(y, "pattern");
    if (!c == !p)
        return cf_load_fail(l, y, "an entry of extract needs pattern: or regex: (one of them)");
    if (c)
        return add_regex(l, c, action);
    if ((r = cf_load_strings(l, p, "pattern", &pat, &n)) < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        struct cf_error e = {0};
        nm.at = p;
        r = cf_tpl_add(l->s->tpl, pat[i], action, hole_name, &nm, &e);
        if (r < 0)
            return e.msg[0] ? cf_load_fail(l, p, "pattern \"%.*s\": %s", CF_ARG(pat[i]), e.msg) : r;
    }
    return 0;
}

int cf_source_patterns(struct cf_arena *a, struct cf_source *s, struct cf_source *all, size_t n, struct cf_error *reterr)
{
    struct cf_load l = {.a = a, .s = s, .err = reterr};
    size_t rules = s->extract_y ? s->extract_y->n : 0;
    int r;

    for (size_t k = 0; s->base_name.p && k < n; k++)
        if (cf_str_eq(all[k].name_s, s->base_name) && &all[k] != s)
            s->base = &all[k];
    if (s->base_name.p && (!s->base || s->base->base_name.p))
        return cf_load_fail(&l, NULL, "base: there is no source \"%.*s\" without a base of its own", CF_ARG(s->base_name));
    for (size_t i = 0; i < s->n_include; i++) {
        struct cf_source *other = NULL;
        for (size_t k = 0; k < n; k++)
            if (cf_str_eq(all[k].name_s, s->include[i]))
                other = &all[k];
        if (!other || other == s)
            return cf_load_fail(&l, NULL, "include: there is no source \"%.*s\"", CF_ARG(s->include[i]));
        rules += other->extract_y ? other->extract_y->n : 0;
    }
    s->action = CF_NEW_N(a, struct cf_sets, rules + 1);
    s->regex = CF_NEW_N(a, struct cf_regex, rules + 1);
    s->hole = CF_NEW_N(a, struct cf_ref, 512);
    s->hole_key = CF_NEW_N(a, bool, 512);
    s->tpl = cf_tpl_new(a);
    if (!s->action || !s->regex || !s->hole || !s->hole_key || !s->tpl)
        return cf_load_nomem(&l);
    for (size_t i = 0; i <= s->n_include; i++) {
        const struct cf_ynode *y = s->extract_y;
        for (size_t k = 0; i && k < n; k++)
            if (cf_str_eq(all[k].name_s, s->include[i - 1]))
                y = all[k].extract_y;
        for (const struct cf_ynode *c = y && (i || s->extract_y) ? y->child : NULL; c; c = c->next)
            if ((r = add_rule(&l, c)) < 0)
                return r;
    }
    for (size_t i = 0; i < s->n_part; i++)
        if ((r = cf_source_patterns(a, s->part[i].how, NULL, 0, reterr)) < 0)
            return r;
    return 0;
}

void cf_source_release(struct cf_source *s)
{
    for (size_t i = 0; i < s->n_part; i++)
        if (s->part[i].how)
            cf_source_release(s->part[i].how);
    for (size_t i = 0; i < s->n_regex; i++)
        pcre2_code_free(s->regex[i].code);
    for (size_t i = 0; i < s->n_match; i++)
        pcre2_code_free(s->match[i].regex);
}
