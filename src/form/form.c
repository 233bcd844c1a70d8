/* SPDX-License-Identifier: Apache-2.0
 * Loading form templates and dictionaries. Checking data is in validate.c. */
#include "form/form_int.h"

#include <stdlib.h>

#define FIELDS_MAX 400u

const char *const form_levels[4] = {"critical", "high", "medium", "low"};
static const struct {
    const char *name;
    bool list;
} types[] = {
#define X(sym, name, list) {name, list},
    CF_FORM_TYPES(X)
#undef X
};
const char *form_type_name(enum form_type t) { return types[t].name; }
bool form_type_is_list(enum form_type t) { return types[t].list; }

struct cf_form_set *cf_form_set_new(void)
{
    struct cf_form_set *s = calloc(1, sizeof(*s));

    if (s)
        cf_arena_init(&s->arena, 0, (size_t)64 << 20);
    return s;
}

void cf_form_set_free(struct cf_form_set *s)
{
    if (!s)
        return;
    for (struct cf_form *f = s->forms; f; f = f->next)
        for (size_t i = 0; i < f->n; i++)
            for (size_t k = 0; k < f->v[i].n; k++)
                if (f->v[i].v[k].has_pattern)
                    regfree(&f->v[i].v[k].pattern);
    cf_arena_release(&s->arena);
    free(s);
}

const struct form_dict *form_dict_find(const struct cf_form_set *s, cf_str id)
{
    for (const struct form_dict *d = s->dicts; d; d = d->next)
        if (cf_str_eq(d->id, id))
            return d;
    return NULL;
}

const struct cf_form *cf_form_find(const struct cf_form_set *s, cf_str id)
{
    for (const struct cf_form *f = s->forms; f; f = f->next)
        if (cf_str_eq(f->id, id))
            return f;
    return NULL;
}

size_t cf_form_count(const struct cf_form_set *s) { return s->n_forms; }
cf_str cf_form_id(const struct cf_form *f) { return f->id; }
const struct cf_form *cf_form_at(const struct cf_form_set *s, size_t i)
{
    const struct cf_form *f = s->forms;

    while (f && i--)
        f = f->next;
    return f;
}

const struct form_field *form_field_find(const struct cf_form *f, cf_str name)
{
    for (size_t i = 0; i < f->n; i++)
        for (size_t k = 0; k < f->v[i].n; k++)
            if (cf_str_eq(f->v[i].v[k].name, name))
                return &f->v[i].v[k];
    return NULL;
}
bool cf_form_has_field(const struct cf_form *f, cf_str name) { return form_field_find(f, name) != NULL; }

static int load_options(struct cf_arena *a, const struct cf_ynode *list, struct form_options *ret, struct cf_error *err)
{
    static const char *const keys[] = {"value", "label", NULL};
    size_t n = 0;
    int r;

    if (!list || list->kind != CF_Y_SEQ || list->n == 0)
        return cf_content_fail(err, list, "a list with at least one entry is needed");
    ret->v = CF_NEW_N(a, struct form_option, list->n);
    if (!ret->v)
        return cf_error_set(err, CF_ENOMEM, "out of memory");
    for (const struct cf_ynode *c = list->child; c; c = c->next, n++) {
        r = cf_content_keys(c, keys, err);
        if (r < 0)
            return r;
        ret->v[n].value = cf_ymap_str(c, "value");
        if (!ret->v[n].value.p || ret->v[n].value.n == 0)
            return cf_content_fail(err, c, "\"value\" is missing");
        r = cf_content_text(c, "label", true, &ret->v[n].label, err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < n; i++)
            if (cf_str_eq(ret->v[i].value, ret->v[n].value))
                return cf_content_fail(err, c, "value \"%.*s\" stands here twice", CF_ARG(ret->v[n].value));
    }
    ret->n = n;
    return 0;
}

int cf_form_set_add_dictionary(struct cf_form_set *s, cf_str yaml, struct cf_error *reterr)
{
    static const char *const keys[] = {"id", "version", "title", "items", NULL};
    struct form_dict *d = CF_NEW(&s->arena, struct form_dict);
    struct cf_ydoc *doc;
    int r;

    if (!d)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    r = cf_yaml_parse(&s->arena, cf_arena_copy(&s->arena, yaml), &doc, reterr);
    if (r < 0)
        return r;
    if (!doc || !doc->root)
        return cf_content_fail(reterr, NULL, "the file is empty");
    r = cf_content_keys(doc->root, keys, reterr);
    if (r == 0)
        r = cf_content_id(doc->root, "id", &d->id, reterr);
    if (r == 0)
        r = cf_content_text(doc->root, "title", true, &d->title, reterr);
    if (r == 0)
        r = load_options(&s->arena, cf_ymap_get(doc->root, "items"), &d->options, reterr);
    if (r < 0)
        return r;
    if (form_dict_find(s, d->id))
        return cf_content_fail(reterr, doc->root, "dictionary \"%.*s\" exists already", CF_ARG(d->id));
    d->next = s->dicts;
    s->dicts = d;
    return 0;
}

static int load_show(struct cf_arena *a, const struct cf_ynode *n, struct form_field *f, struct cf_error *err)
{
    static const char *const keys[] = {"field", "equals", "in", NULL};
    const struct cf_ynode *eq, *in;
    int r = cf_content_keys(n, keys, err);

    if (r < 0)
        return r;
    f->show_field = cf_ymap_str(n, "field");
    eq = cf_ymap_get(n, "equals");
    in = cf_ymap_get(n, "in");
    if (!f->show_field.p || !eq == !in)
        return cf_content_fail(err, n, "visible_if needs \"field\" and one of \"equals\", \"in\"");
    if (eq && eq->kind != CF_Y_SCALAR)
        return cf_content_fail(err, eq, "\"equals\" must be one value");
    if (in && (in->kind != CF_Y_SEQ || in->n == 0))
        return cf_content_fail(err, in, "\"in\" must be a list");
    f->show = CF_NEW_N(a, cf_str, eq ? 1 : in->n);
    if (!f->show)
        return cf_error_set(err, CF_ENOMEM, "out of memory");
    if (eq) {
        f->show[f->n_show++] = eq->text;
        return 0;
    }
    for (const struct cf_ynode *c = in->child; c; c = c->next) {
        if (c->kind != CF_Y_SCALAR)
            return cf_content_fail(err, c, "\"in\" holds plain values");
        f->show[f->n_show++] = c->text;
    }
    return 0;
}

static int load_number(const struct cf_ynode *map, const char *key, bool *has, double *ret, struct cf_error *err)
{
    const struct cf_ynode *n = cf_ymap_get(map, key);

    if (!n)
        return 0;
    if (n->kind != CF_Y_SCALAR || !cf_str_f64(n->text, ret))
        return cf_content_fail(err, n, "\"%s\" must be a number", key);
    *has = true;
    return 0;
}

static int load_pattern(const struct cf_ynode *n, struct form_field *f, struct cf_error *err)
{
    cf_str fmt = cf_ymap_str(n, "format"), pat = cf_ymap_str(n, "pattern");
    static const char *const formats[] = {"email", "phone", "url", "cidr", NULL};

    if (fmt.p) {
        size_t i = 0;

        while (formats[i] && !cf_str_eqz(fmt, formats[i]))
            i++;
        if (!formats[i])
            return cf_content_fail(err, n, "format \"%.*s\" is not known (email, phone, url, cidr)", CF_ARG(cf_str_sub(fmt, 0, 40)));
        f->format = fmt;
    }
    if (!pat.p)
        return 0;
    if (pat.n > 200 || memchr(pat.p, '\\', pat.n)) /* back references make matching slow; classes say the rest */
        return cf_content_fail(err, n, "a pattern has at most 200 bytes and no backslash (use [.] and [[:digit:]])");
    if (regcomp(&f->pattern, pat.p, REG_EXTENDED | REG_NOSUB) != 0)
        return cf_content_fail(err, n, "pattern \"%.*s\" is not a regular expression", CF_ARG(cf_str_sub(pat, 0, 60)));
    f->has_pattern = true;
    f->pattern_text = pat;
    return 0;
}

static int load_field(struct cf_form_set *s, const struct cf_ynode *n, struct form_field *f, struct cf_error *err)
{
    static const char *const keys[] = {"name", "label", "type", "required", "options", "dictionary", "min", "max", "pattern",
                                       "format", "help", "visible_if", "internal", NULL};
    cf_str type;
    size_t t = 0;
    int r = cf_content_keys(n, keys, err);

    if (r < 0)
        return r;
    f->line = n->line;
    if ((r = cf_content_id(n, "name", &f->name, err)) < 0 || (r = cf_content_text(n, "label", true, &f->label, err)) < 0 ||
        (r = cf_content_text(n, "help", false, &f->help, err)) < 0)
        return r;
    type = cf_ymap_str(n, "type");
    while (t < sizeof(types) / sizeof(types[0]) && !cf_str_eqz(type, types[t].name))
        t++;
    if (!type.p || t == sizeof(types) / sizeof(types[0]))
        return cf_content_fail(err, n, "type \"%.*s\" of field %.*s is not known", CF_ARG(cf_str_sub(type.p ? type : CF_STR(""), 0, 40)), CF_ARG(f->name));
    f->type = (enum form_type)t;
    f->required = cf_content_flag(n, "required", false, err, &r);
    f->internal = cf_content_flag(n, "internal", false, err, &r);
    if (r < 0 || (r = load_number(n, "min", &f->has_min, &f->min, err)) < 0 || (r = load_number(n, "max", &f->has_max, &f->max, err)) < 0 ||
        (r = load_pattern(n, f, err)) < 0)
        return r;
    f->dictionary = cf_ymap_str(n, "dictionary");
    if (cf_ymap_get(n, "options")) {
        r = load_options(&s->arena, cf_ymap_get(n, "options"), &f->options, err);
        if (r < 0)
            return r;
    }
    if ((f->type == FORM_SELECT || f->type == FORM_MULTISELECT) && !f->dictionary.p == (f->options.n == 0))
        return cf_content_fail(err, n, "field %.*s needs either \"options\" or \"dictionary\"", CF_ARG(f->name));
    if (cf_ymap_get(n, "visible_if"))
        return load_show(&s->arena, cf_ymap_get(n, "visible_if"), f, err);
    return 0;
}

static int load_section(struct cf_form_set *s, const struct cf_ynode *n, struct form_section *sec, struct cf_error *err)
{
    static const char *const keys[] = {"title", "fields", NULL};
    const struct cf_ynode *fields;
    int r = cf_content_keys(n, keys, err);

    if (r < 0 || (r = cf_content_text(n, "title", true, &sec->title, err)) < 0)
        return r;
    fields = cf_ymap_get(n, "fields");
    if (!fields || fields->kind != CF_Y_SEQ || fields->n == 0 || fields->n > FIELDS_MAX)
        return cf_content_fail(err, fields ? fields : n, "a section has a list of 1 to %u fields", FIELDS_MAX);
    sec->v = CF_NEW_N(&s->arena, struct form_field, fields->n);
    if (!sec->v)
        return cf_error_set(err, CF_ENOMEM, "out of memory");
    for (const struct cf_ynode *c = fields->child; c; c = c->next) {
        sec->n++; /* first: a half loaded field is freed with the rest */
        r = load_field(s, c, &sec->v[sec->n - 1], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_names(const struct cf_form *f, const struct cf_ynode *root, struct cf_error *err)
{
    for (size_t i = 0; i < f->n; i++)
        for (size_t k = 0; k < f->v[i].n; k++) {
            const struct form_field *x = &f->v[i].v[k];
            const struct cf_ynode at = {.line = x->line};

            if (form_field_find(f, x->name) != x)
                return cf_content_fail(err, &at, "field %.*s stands here twice", CF_ARG(x->name));
            if (!x->show_field.p)
                continue;
            if (!form_field_find(f, x->show_field) || cf_str_eq(x->show_field, x->name))
                return cf_content_fail(err, &at, "visible_if of %.*s names no other field of this form", CF_ARG(x->name));
            if (form_field_find(f, x->show_field)->show_field.p)
                return cf_content_fail(err, &at, "visible_if of %.*s depends on a field that is itself conditional", CF_ARG(x->name));
        }
    (void)root;
    return 0;
}

int cf_form_set_add_form(struct cf_form_set *s, cf_str yaml, struct cf_error *reterr)
{
    static const char *const keys[] = {"id", "version", "title", "sections", NULL};
    struct cf_form *f = CF_NEW(&s->arena, struct cf_form);
    const struct cf_ynode *secs, *root;
    struct cf_ydoc *doc;
    int r;

    if (!f)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    r = cf_yaml_parse(&s->arena, cf_arena_copy(&s->arena, yaml), &doc, reterr);
    if (r < 0)
        return r;
    root = doc ? doc->root : NULL;
    if (!root)
        return cf_content_fail(reterr, NULL, "the file is empty");
    if ((r = cf_content_keys(root, keys, reterr)) < 0 || (r = cf_content_id(root, "id", &f->id, reterr)) < 0 ||
        (r = cf_content_version(root, &f->version, reterr)) < 0 || (r = cf_content_text(root, "title", true, &f->title, reterr)) < 0)
        return r;
    if (cf_form_find(s, f->id))
        return cf_content_fail(reterr, root, "form \"%.*s\" exists already", CF_ARG(f->id));
    secs = cf_ymap_get(root, "sections");
    if (!secs || secs->kind != CF_Y_SEQ || secs->n == 0)
        return cf_content_fail(reterr, secs ? secs : root, "a form has a list of sections");
    f->v = CF_NEW_N(&s->arena, struct form_section, secs->n);
    if (!f->v)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    f->next = s->forms; /* linked first, so that a failure frees its patterns too */
    s->forms = f;
    s->n_forms++;
    for (const struct cf_ynode *c = secs->child; c; c = c->next) {
        f->n++;
        r = load_section(s, c, &f->v[f->n - 1], reterr);
        if (r < 0)
            return r;
    }
    return check_names(f, root, reterr);
}

int cf_form_set_check(const struct cf_form_set *s, struct cf_error *reterr)
{
    for (const struct cf_form *f = s->forms; f; f = f->next)
        for (size_t i = 0; i < f->n; i++)
            for (size_t k = 0; k < f->v[i].n; k++) {
                const struct form_field *x = &f->v[i].v[k];

                if (x->dictionary.p && !form_dict_find(s, x->dictionary)) {
                    const struct cf_ynode at = {.line = x->line};
                    int r = cf_content_fail(reterr, &at, "dictionary \"%.*s\" does not exist", CF_ARG(cf_str_sub(x->dictionary, 0, 60)));

                    cf_error_context(reterr, "form %.*s", CF_ARG(f->id));
                    return r;
                }
            }
    return 0;
}

struct load_ctx {
    struct cf_form_set *s;
    int (*add)(struct cf_form_set *s, cf_str yaml, struct cf_error *reterr);
    struct cf_error *err;
};
static int load_file(void *vctx, const char *path)
{
    struct load_ctx *c = vctx;
    struct cf_buf b;
    int r;

    cf_buf_init(&b, (size_t)1 << 20);
    r = cf_file_read(path, &b, c->err);
    if (r == 0)
        r = c->add(c->s, cf_buf_view(&b), c->err);
    if (r < 0)
        cf_error_context(c->err, "%s", path);
    cf_buf_release(&b);
    return r;
}

int cf_form_set_load(const char *content_dir, struct cf_form_set **ret, struct cf_error *reterr)
{
    struct cf_form_set *s = cf_form_set_new();
    struct load_ctx c = {s, cf_form_set_add_dictionary, reterr};
    int r;

    if (!s)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    r = cf_walk(cf_path_join(&s->arena, content_dir, "dictionaries"), ".yaml", load_file, &c, reterr);
    if (r == 0) {
        c.add = cf_form_set_add_form;
        r = cf_walk(cf_path_join(&s->arena, content_dir, "forms"), ".yaml", load_file, &c, reterr);
    }
    if (r == 0)
        r = cf_form_set_check(s, reterr);
    if (r < 0) {
        cf_form_set_free(s);
        return r;
    }
    *ret = s;
    return 0;
}
