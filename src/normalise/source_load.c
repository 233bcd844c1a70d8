/* SPDX-License-Identifier: Apache-2.0
 * YAML -> struct cf_source. Every key is checked: an unknown one is refused with its line. */
#include <stdlib.h>

#include "normalise/source_load.h"

static int one_char(struct cf_load *l, const struct cf_ynode *map, const char *key, char def, char *ret)
{
    const struct cf_ynode *c = cf_ymap_get(map, key);

    *ret = def;
    if (!c)
        return 0;
    if (cf_str_eqz(c->text, "tab"))
        *ret = '\t';
    else if (c->kind == CF_Y_SCALAR && c->text.n == 1)
        *ret = c->text.p[0];
    else
        return cf_load_fail(l, c, "%s must be one character or tab", key);
    return 0;
}

static int cf_load_payload(struct cf_load *l, const struct cf_ynode *y)
{
    static const struct {
        const char *name;
        enum cf_payload p;
    } names[] = {{"text", CF_P_TEXT}, {"kv", CF_P_KV}, {"csv", CF_P_CSV}, {"json", CF_P_JSON}, {"cef", CF_P_CEF}, {"leef", CF_P_LEEF}};
    struct cf_source *s = l->s;
    const struct cf_ynode *c;
    cf_str type = CF_STR_NONE;
    bool known = false;
    int r;

    s->kv = (struct cf_kv_style){.assign = '=', .sep = " "};
    s->csv_sep = ',';
    if (!y)
        return 0;
    if (y->kind == CF_Y_SCALAR) {
        type = y->text;
    } else {
        if ((r = cf_load_keys(l, y, "payload", "type assign separators separator spaced columns after")) < 0)
            return r;
        type = cf_ymap_str(y, "type");
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (cf_str_eqz(type, names[i].name)) {
            s->payload = names[i].p;
            known = true;
        }
    if (!known)
        return cf_load_fail(l, y, "payload must be text, kv, csv, json, cef or leef");
    if (y->kind == CF_Y_SCALAR)
        return 0;
    if ((r = one_char(l, y, "assign", '=', &s->kv.assign)) < 0 || (r = one_char(l, y, "separator", ',', &s->csv_sep)) < 0)
        return r;
    s->payload_after = cf_ymap_str(y, "after");
    c = cf_ymap_get(y, "separators");
    if (c) {
        if (c->kind != CF_Y_SCALAR || !c->text.n || c->text.n > 3)
            return cf_load_fail(l, c, "separators must be 1 to 3 characters");
        memset(s->kv.sep, 0, sizeof s->kv.sep);
        memcpy(s->kv.sep, c->text.p, c->text.n);
    }
    c = cf_ymap_get(y, "spaced");
    if (c && !cf_ynode_bool(c, &s->kv.spaced))
        return cf_load_fail(l, c, "spaced must be true or false");
    if ((r = cf_load_strings(l, cf_ymap_get(y, "columns"), "columns", &s->col, &s->n_col)) < 0)
        return r;
    if (s->payload == CF_P_CSV && !s->n_col)
        return cf_load_fail(l, y, "payload csv needs columns");
    return 0;
}

static int case_cmp(const void *a, const void *b)
{
    const struct cf_case *const *x = a, *const *y = b;

    return cf_str_cmp((*x)->val, (*y)->val);
}

static int parse_switch(struct cf_load *l, const struct cf_ynode *y, struct cf_switch *sw)
{
    const struct cf_ynode *on, *cases;
    size_t n = 0;
    int r;

    if ((r = cf_load_keys(l, y, "switch", "on cases")) < 0)
        return r;
    on = cf_ymap_get(y, "on");
    cases = cf_ymap_get(y, "cases");
    if (!on || !cases || cases->kind != CF_Y_MAP)
        return cf_load_fail(l, y, "switch needs on: and cases:");
    if ((r = cf_load_ref(l, on, on->text, false, &sw->on)) < 0)
        return r;
    for (const struct cf_ynode *c = cases->child; c; c = c->next) /* "4624, 4625" names several */
        for (size_t i = 0; i <= c->key.n; i++)
            n += i == c->key.n || c->key.p[i] == ',';
    sw->v = CF_NEW_N(l->a, struct cf_case *, n + 1);
    if (!sw->v)
        return cf_load_nomem(l);
    for (const struct cf_ynode *c = cases->child; c; c = c->next) {
        struct cf_case tmp = {0}, *k;
        cf_str rest = c->key, one;
        if ((r = cf_load_keys(l, c, "a case", "set map")) < 0 || (r = cf_load_sets(l, cf_ymap_get(c, "set"), &tmp.set)) < 0 ||
            (r = cf_load_map(l, cf_ymap_get(c, "map"), &tmp.map)) < 0)
            return r;
        while (cf_str_cut(&rest, ',', &one)) {
            k = CF_NEW(l->a, struct cf_case);
            if (!k)
                return cf_load_nomem(l);
            *k = tmp;
            k->val = cf_str_trim(one);
            if (cf_str_eqz(k->val, "default"))
                sw->def = k;
            else
                sw->v[sw->n++] = k;
        }
    }
    qsort(sw->v, sw->n, sizeof *sw->v, case_cmp);
    for (size_t i = 1; i < sw->n; i++)
        if (cf_str_eq(sw->v[i]->val, sw->v[i - 1]->val))
            return cf_load_fail(l, y, "case \"%.*s\" stands twice", CF_ARG(sw->v[i]->val));
    for (size_t i = 0; i < sw->n; i++) {
        struct cf_case **at = &sw->first[cf_text_sign(sw->v[i]->val)];
        sw->v[i]->next = *at;
        *at = sw->v[i];
    }
    return 0;
}

static int parse_switches(struct cf_load *l, const struct cf_ynode *y)
{
    int r;

    if (!y)
        return 0;
    l->s->sw = CF_NEW_N(l->a, struct cf_switch, y->kind == CF_Y_SEQ ? y->n + 1 : 1);
    if (!l->s->sw)
        return cf_load_nomem(l);
    if (y->kind != CF_Y_SEQ)
        return parse_switch(l, y, &l->s->sw[l->s->n_switch++]);
    for (const struct cf_ynode *c = y->child; c; c = c->next)
        if ((r = parse_switch(l, c, &l->s->sw[l->s->n_switch++])) < 0)
            return r;
    return 0;
}

/* "%url.scheme%://%url.domain%" */
static int parse_made(struct cf_load *l, const struct cf_ynode *at, cf_str text, struct cf_made *m)
{
    size_t signs = 0;
    cf_str name;
    int r = 0;

    for (size_t i = 0; i < text.n; i++)
        signs += text.p[i] == '%';
    if (signs % 2)
        return cf_load_fail(l, at, "a hole of the text \"%.*s\" is not closed by %%", CF_ARG(text));
    m->lit = CF_NEW_N(l->a, cf_str, signs / 2 + 1);
    m->ref = CF_NEW_N(l->a, struct cf_ref, signs / 2 + 1);
    if (!m->lit || !m->ref)
        return cf_load_nomem(l);
    while (m->n < signs / 2 && r == 0) {
        size_t from = (size_t)cf_str_find(text, CF_STR("%"));
        m->lit[m->n] = cf_str_sub(text, 0, from);
        text = cf_str_sub(text, from + 1, text.n);
        from = (size_t)cf_str_find(text, CF_STR("%"));
        name = cf_str_sub(text, 0, from);
        text = cf_str_sub(text, from + 1, text.n);
        if (!name.n)
            return cf_load_fail(l, at, "a hole of a text names nothing");
        r = cf_load_ref(l, at, name, false, &m->ref[m->n++]);
    }
    m->lit[m->n] = text;
    return r;
}

static int parse_when(struct cf_load *l, const struct cf_ynode *y, struct cf_when *w)
{
    const struct cf_ynode *c;
    int r;

    if ((r = cf_load_keys(l, y, "when", "if set copy")) < 0)
        return r;
    if ((r = cf_load_conds(l, cf_ymap_get(y, "if"), &w->cond, &w->n)) < 0 || (r = cf_load_sets(l, cf_ymap_get(y, "set"), &w->set)) < 0)
        return r;
    c = cf_ymap_get(y, "copy");
    if (!c)
        return 0;
    if (c->kind != CF_Y_MAP)
        return cf_load_fail(l, c, "copy must be a map of from: to");
    w->copy = CF_NEW_N(l->a, struct cf_target, c->n + 1);
    w->copy_from = CF_NEW_N(l->a, struct cf_ref, c->n + 1);
    w->copy_made = CF_NEW_N(l->a, struct cf_made, c->n + 1);
    if (!w->copy || !w->copy_from || !w->copy_made)
        return cf_load_nomem(l);
    for (const struct cf_ynode *e = c->child; e; e = e->next) {
        if (e->key.n && memchr(e->key.p, '%', e->key.n))
            r = parse_made(l, e, e->key, &w->copy_made[w->n_copy]);
        else
            r = cf_load_ref(l, e, e->key, false, &w->copy_from[w->n_copy]);
        if (r < 0 || (r = cf_load_target(l, e, &w->copy[w->n_copy])) < 0)
            return r;
        w->n_copy++;
    }
    return 0;
}

static int parse_time(struct cf_load *l, const struct cf_ynode *y, struct cf_time *t)
{
    cf_str *names = NULL;
    const struct cf_ynode *f = cf_ymap_get(y, "format");
    int r;

    if ((r = cf_load_keys(l, y, "time", "from format zone")) < 0)
        return r;
    if ((r = cf_load_strings(l, cf_ymap_get(y, "from"), "from", &names, &t->n_from)) < 0 || (r = cf_load_strings(l, f, "format", &t->fmt, &t->n_fmt)) < 0)
        return r;
    if (cf_ymap_get(y, "zone")) {
        struct cf_error e = {0};
        if (cf_zone_load(l->a, cf_ymap_str(y, "zone"), &l->s->zone, &e) < 0)
            return cf_load_fail(l, cf_ymap_get(y, "zone"), "%s", e.msg);
        l->s->has_zone = true;
    }
    t->from = CF_NEW_N(l->a, struct cf_ref, t->n_from + 1);
    if (!t->from)
        return cf_load_nomem(l);
    t->parts = CF_NEW_N(l->a, struct cf_timeparts, t->n_from + 1);
    if (!t->parts)
        return cf_load_nomem(l);
    for (size_t i = 0; i < t->n_from; i++) {
        struct cf_timeparts *p = &t->parts[i];
        cf_str rest = names[i], one;
        if ((r = cf_load_ref(l, y, names[i], false, &t->from[i])) < 0)
            return r;
        if (!memchr(names[i].p, '+', names[i].n))
            continue;
        p->part = CF_NEW_N(l->a, struct cf_ref, 4);
        if (!p->part)
            return cf_load_nomem(l);
        while (cf_str_cut(&rest, '+', &one)) {
            if (p->n == 4 || !one.n)
                return cf_load_fail(l, y, "from: \"%.*s\" must join two to four keys with +", CF_ARG(names[i]));
            p->part[p->n++] = (struct cf_ref){.field = CF_F_EXTRA, .text = one};
        }
    }
    for (size_t i = 0; i < t->n_fmt; i++)
        if (!cf_stamp_format_ok(t->fmt[i]))
            return cf_load_fail(l, f, "time format \"%.*s\" is not known (iso8601 syslog unix unix_ms unix_us unix_ns auto, or a pattern with %%d)",
                        CF_ARG(t->fmt[i]));
    return 0;
}

#define LIST_OF(field, count, type, parse)                                                       \
    static int parse_##field##_list(struct cf_load *l, const struct cf_ynode *y)                    \
    {                                                                                            \
        int r;                                                                                   \
        if (!y)                                                                                  \
            return 0;                                                                            \
        l->s->field = CF_NEW_N(l->a, type, y->kind == CF_Y_SEQ ? y->n + 1 : 1);                  \
        if (!l->s->field)                                                                        \
            return cf_load_nomem(l);                                                                     \
        if (y->kind != CF_Y_SEQ)                                                                 \
            return parse(l, y, &l->s->field[l->s->count++]);                                     \
        for (const struct cf_ynode *c = y->child; c; c = c->next)                                \
            if ((r = parse(l, c, &l->s->field[l->s->count++])) < 0)                              \
                return r;                                                                        \
        return 0;                                                                                \
    }
LIST_OF(when, n_when, struct cf_when, parse_when)
LIST_OF(time, n_time, struct cf_time, parse_time)

static int parse_part(struct cf_load *l, const struct cf_ynode *y, struct cf_part *p)
{
    const struct cf_ynode *from = cf_ymap_get(y, "from");
    struct cf_load sub = *l;
    int r;

    if ((r = cf_load_keys(l, y, "a part", "from payload extract")) < 0)
        return r;
    if (!from || from->kind != CF_Y_SCALAR)
        return cf_load_fail(l, y, "a part needs from: key or field");
    if (!(p->how = CF_NEW(l->a, struct cf_source)))
        return cf_load_nomem(l);
    p->how->name = l->s->name;
    p->how->file = l->s->file;
    sub.s = p->how;
    if ((r = cf_load_ref(l, from, from->text, false, &p->from)) < 0 || (r = cf_load_payload(&sub, cf_ymap_get(y, "payload"))) < 0)
        return r;
    p->stamp = cf_str_eqz(from->text, "syslog.stamp");
    p->how->extract_y = cf_ymap_get(y, "extract");
    if (p->how->extract_y && p->how->extract_y->kind != CF_Y_SEQ)
        return cf_load_fail(l, p->how->extract_y, "extract must be a list");
    if (!p->how->extract_y && p->how->payload == CF_P_TEXT)
        return cf_load_fail(l, y, "a part needs extract: or payload:");
    return 0;
}
LIST_OF(part, n_part, struct cf_part, parse_part)

static int parse_head(struct cf_load *l, const struct cf_ynode *root)
{
    struct cf_source *s = l->s;
    const struct cf_ynode *c = cf_ymap_get(root, "name");
    cf_str base = cf_str_c(strrchr(s->file, '/') ? strrchr(s->file, '/') + 1 : s->file);
    int64_t order = 50;

    if (!c || c->kind != CF_Y_SCALAR || !c->text.n)
        return cf_load_fail(l, root, "name: is missing");
    if (cf_str_ends(base, CF_STR(".yaml")) && !cf_str_eq(c->text, cf_str_sub(base, 0, base.n - 5)))
        return cf_load_fail(l, c, "name \"%.*s\" must be the file's name", CF_ARG(c->text));
    s->name = c->text.p;
    s->name_s = c->text;
    c = cf_ymap_get(root, "prefix");
    s->prefix = c && c->text.n ? cf_arena_printf(l->a, "%.*s.", CF_ARG(c->text)) : CF_STR("");
    c = cf_ymap_get(root, "order");
    if (c && (!cf_ynode_i64(c, &order) || order < 0 || order > 1000))
        return cf_load_fail(l, c, "order must be a number from 0 to 1000");
    s->order = (int)order;
    c = cf_ymap_get(root, "ecs");
    if (c && !cf_ynode_bool(c, &s->ecs))
        return cf_load_fail(l, c, "ecs must be true or false");
    s->base_name = cf_ymap_str(root, "base");
    s->doc = cf_ymap_str(root, "doc");
    s->refuse_multiline = true;
    c = cf_ymap_get(root, "multiline");
    if (c && cf_str_eqz(c->text, "accept"))
        s->refuse_multiline = false;
    else if (c && !cf_str_eqz(c->text, "refuse"))
        return cf_load_fail(l, c, "multiline must be refuse or accept");
    c = cf_ymap_get(root, "services");
    if (c && !cf_ynode_bool(c, &s->services))
        return cf_load_fail(l, c, "services must be true or false");
    return 0;
}

int cf_source_parse(struct cf_arena *a, const char *file, cf_str yaml, struct cf_source *s, struct cf_error *reterr)
{
    struct cf_load l = {.a = a, .s = s, .err = reterr};
    struct cf_ydoc *doc = NULL;
    struct cf_ynode *root;
    int r;

    memset(s, 0, sizeof *s);
    s->file = cf_arena_strdup(a, cf_str_c(file));
    if (!s->file)
        return cf_error_set(reterr, CF_ENOMEM, "%s: no memory", file);
    r = cf_yaml_parse(a, yaml, &doc, reterr);
    if (r < 0) {
        cf_error_context(reterr, "%s", file);
        return r;
    }
    if (!doc || !doc->root || doc->next || doc->root->kind != CF_Y_MAP)
        return cf_error_set(reterr, CF_ESYNTAX, "%s:1: a source file holds one map", file);
    root = doc->root;
    if ((r = cf_load_keys(&l, root, "a source", "name doc base prefix order ecs multiline services match payload null include extract map parts lookups switch when set time")) < 0 ||
        (r = parse_head(&l, root)) < 0 || (r = cf_load_lookups(&l, cf_ymap_get(root, "lookups"))) < 0 ||
        (r = cf_load_matches(&l, cf_ymap_get(root, "match"))) < 0 || (r = cf_load_payload(&l, cf_ymap_get(root, "payload"))) < 0 ||
        (r = cf_load_strings(&l, cf_ymap_get(root, "null"), "null", &s->null, &s->n_null)) < 0 ||
        (r = cf_load_strings(&l, cf_ymap_get(root, "include"), "include", &s->include, &s->n_include)) < 0 ||
        (r = cf_load_sets(&l, cf_ymap_get(root, "set"), &s->set)) < 0 || (r = cf_load_map(&l, cf_ymap_get(root, "map"), &s->map)) < 0 ||
        (r = parse_part_list(&l, cf_ymap_get(root, "parts"))) < 0 || (r = parse_switches(&l, cf_ymap_get(root, "switch"))) < 0 || (r = parse_when_list(&l, cf_ymap_get(root, "when"))) < 0 ||
        (r = parse_time_list(&l, cf_ymap_get(root, "time"))) < 0)
        return r;
    for (size_t i = 0; i < s->n_null; i++)
        s->null_first[s->null[i].n ? (unsigned char)s->null[i].p[0] : 0] = true;
    s->null_first['-'] = true;
    s->extract_y = cf_ymap_get(root, "extract");
    if (s->extract_y && s->extract_y->kind != CF_Y_SEQ)
        return cf_load_fail(&l, s->extract_y, "extract must be a list");
    return 0;
}
