/* SPDX-License-Identifier: Apache-2.0
 * content/taxonomy: which event belongs to which log source, and where a field that a rule names is found in an event.
 * Without a folder everything still works by the names the events carry; then no rule is routed. */
#include <stdlib.h>
#include <unistd.h>

#include "detect/encode.h"

static int load_one(struct cf_ruleset *rs, const char *dir, const char *file, const char *key, struct cf_ynode **ret,
                    struct cf_ynode **ret_root, struct cf_error *reterr)
{
    struct cf_ydoc *doc = NULL;
    char *path = cf_path_join(&rs->arena, dir, file);
    int r;

    *ret = NULL;
    if (!path)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    if (access(path, R_OK) != 0)
        return 0;
    r = cf_yaml_load(&rs->arena, path, &doc, reterr);
    if (r < 0)
        return r;
    *ret = doc && doc->root ? cf_ymap_get(doc->root, key) : NULL;
    if (ret_root)
        *ret_root = doc ? doc->root : NULL;
    if (!*ret)
        return cf_error_set(reterr, CF_ESYNTAX, "%s: the key \"%s\" is missing", path, key);
    return 0;
}

struct cf_ynode *cf_placeholder(const struct cf_ruleset *rs, cf_str name)
{
    for (struct cf_ynode *n = rs->tax.placeholders_own && rs->tax.placeholders_own->kind == CF_Y_MAP ? rs->tax.placeholders_own->child : NULL; n; n = n->next)
        if (cf_str_ieq(n->key, name))
            return n;
    for (struct cf_ynode *n = rs->tax.placeholders ? rs->tax.placeholders->child : NULL; n; n = n->next)
        if (cf_str_ieq(n->key, name))
            return n;
    return NULL;
}

/* ---- fields ---- */

static bool part_fits(cf_str want, cf_str have) { return !want.p || cf_str_eq(want, have); }

static struct cf_ynode *find_key(const struct cf_ynode *map, cf_str key)
{
    for (struct cf_ynode *n = map && map->kind == CF_Y_MAP ? map->child : NULL; n; n = n->next)
        if (cf_str_eq(n->key, key))
            return n;
    return NULL;
}

/* The names list of a field for this log source, and which scope said so (0: general). */
static struct cf_ynode *names_of(const struct cf_compile *c, cf_str name, size_t *ret_scope)
{
    const struct cf_taxonomy *t = &c->rs->tax;

    for (size_t i = 0; i < t->n_scope; i++) {
        const struct cf_scope *s = &t->scope[i];
        struct cf_ynode *n;

        if (!part_fits(s->product, c->product) || !part_fits(s->category, c->category) || !part_fits(s->service, c->service))
            continue;
        n = find_key(s->fields, name);
        if (n) {
            *ret_scope = i + 1;
            return n;
        }
    }
    *ret_scope = 0;
    return find_key(t->fields, name);
}

static void set_alt(struct cf_alt *a, cf_str name)
{
    a->name = name;
    a->ecs = (uint16_t)cf_field_find(name);
    a->dotted = memchr(name.p, '.', name.n) != NULL;
}

static int add_field(struct cf_compile *c, cf_str name, cf_str key, const struct cf_ynode *names, uint16_t *ret)
{
    struct cf_ruleset *rs = c->rs;
    struct cf_rfield f = {.name = cf_arena_copy(&rs->arena, name)};
    size_t n = 1;

    if (rs->n_fields >= 20000)
        return cf_error_set(c->err, CF_ELIMIT, "more than 20,000 field names in one rule set");
    if (names)
        n += names->kind == CF_Y_SEQ ? names->n : 1;
    f.alt = CF_NEW_N(&rs->arena, struct cf_alt, n);
    if (rs->n_fields == rs->cap_fields) {
        size_t cap = rs->cap_fields ? rs->cap_fields * 2 : 256;
        struct cf_rfield *p = realloc(rs->fields, cap * sizeof *p);

        if (!p)
            return cf_error_set(c->err, CF_ENOMEM, "out of memory");
        rs->fields = p;
        rs->cap_fields = cap;
    }
    key = cf_arena_copy(&rs->arena, key);
    if (!f.alt || !f.name.p || !key.p || !cf_map_put(rs->field_map, key, (uint32_t)rs->n_fields))
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    set_alt(&f.alt[f.n_alt++], f.name);
    if (names && names->kind == CF_Y_SCALAR)
        set_alt(&f.alt[f.n_alt++], names->text);
    for (const struct cf_ynode *e = names && names->kind == CF_Y_SEQ ? names->child : NULL; e; e = e->next)
        if (e->kind == CF_Y_SCALAR)
            set_alt(&f.alt[f.n_alt++], e->text);
    for (uint16_t i = 0; i < f.n_alt; i++)
        f.time = f.time || cf_str_eqz(f.alt[i].name, "@timestamp");
    if (f.time && !rs->asks_time) {
        rs->asks_time = true;
        rs->time_name = cf_name_intern(CF_STR("@timestamp"));
    }
    *ret = (uint16_t)rs->n_fields;
    rs->fields[rs->n_fields++] = f;
    return 0;
}

int cf_rfield_get(struct cf_compile *c, cf_str name, uint16_t *ret)
{
    size_t scope;
    const struct cf_ynode *names;
    char key[300];
    uint32_t *have;

    if (name.n == 0 || name.n > 256)
        return cf_error_set(c->err, CF_ELIMIT, "a field name must have 1 to 256 bytes");
    names = names_of(c, name, &scope);
    key[0] = (char)('0' + scope / 64);
    key[1] = (char)('0' + scope % 64);
    memcpy(key + 2, name.p, name.n);
    have = cf_map_get(c->rs->field_map, (cf_str){key, name.n + 2});
    if (have) {
        *ret = (uint16_t)*have;
        return 0;
    }
    return add_field(c, name, (cf_str){key, name.n + 2}, names, ret);
}

/* ---- log sources ---- */

static int route_field(struct cf_ruleset *rs, uint16_t f, bool value)
{
    struct cf_taxonomy *t = &rs->tax;

    for (size_t i = 0; i < t->n_route_field; i++)
        if (t->route_field[i] == f) {
            t->route_value[i] |= value;
            return 0;
        }
    t->route_field[t->n_route_field] = f;
    t->route_value[t->n_route_field++] = value;
    return 0;
}

static int load_cond(struct cf_compile *c, const struct cf_ynode *n, struct cf_lcond *ret)
{
    const struct cf_ynode *v = n->kind == CF_Y_SEQ ? n->child : n;
    int r = cf_rfield_get(c, n->key, &ret->field);

    if (r < 0)
        return r;
    ret->pat = CF_NEW_N(&c->rs->arena, struct cf_pat, n->kind == CF_Y_SEQ ? n->n : 1);
    if (!ret->pat)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    for (; v; v = n->kind == CF_Y_SEQ ? v->next : NULL) {
        struct cf_pat *p = &ret->pat[ret->n++];
        char *o;
        bool front, back;
        cf_str s = v->text;

        if (v->kind != CF_Y_SCALAR || s.n == 0)
            return cf_error_set(c->err, CF_ESYNTAX, "line %u: a text or a list of texts is needed", v->line);
        if (cf_str_eqz(s, "*")) {
            ret->exists = true;
            continue;
        }
        front = s.n > 1 && s.p[0] == '*';
        back = s.n > 1 && s.p[s.n - 1] == '*';
        s = cf_str_sub(s, front, s.n - front - back);
        p->kind = front && back ? CF_PAT_CONTAINS : front ? CF_PAT_SUFFIX : back ? CF_PAT_PREFIX : CF_PAT_EXACT;
        o = cf_arena_bytes(&c->rs->arena, cf_fold_max(s.n));
        if (!o)
            return cf_error_set(c->err, CF_ENOMEM, "out of memory");
        p->n = (uint32_t)cf_fold(s.p, s.n, o);
        p->p = o;
    }
    return route_field(c->rs, ret->field, !ret->exists);
}

static int load_clause(struct cf_compile *c, const struct cf_ynode *map, struct cf_lclause *ret)
{
    int r = 0;

    if (map->kind != CF_Y_MAP || map->n == 0)
        return cf_error_set(c->err, CF_ESYNTAX, "line %u: each entry of \"any\" is a map of field: value", map->line);
    ret->cond = CF_NEW_N(&c->rs->arena, struct cf_lcond, map->n);
    if (!ret->cond)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    for (const struct cf_ynode *n = map->child; n && r == 0; n = n->next)
        r = load_cond(c, n, &ret->cond[ret->n++]);
    return r;
}

static int load_source(struct cf_ruleset *rs, const struct cf_ynode *map, struct cf_error *reterr)
{
    struct cf_lsource *s = &rs->tax.source[rs->tax.n_source];
    const struct cf_ynode *any = cf_ymap_get(map, "any");
    struct cf_compile c = {.rs = rs, .a = &rs->arena, .err = reterr};
    int r = 0;

    s->product = c.product = cf_ymap_str(map, "product");
    s->category = c.category = cf_ymap_str(map, "category");
    s->service = c.service = cf_ymap_str(map, "service");
    if (!any || any->kind != CF_Y_SEQ || any->n == 0)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: a log source needs \"any\", a list of conditions", map->line);
    s->any = CF_NEW_N(&rs->arena, struct cf_lclause, any->n);
    if (!s->any)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    for (const struct cf_ynode *n = any->child; n && r == 0; n = n->next)
        r = load_clause(&c, n, &s->any[s->n++]);
    rs->tax.n_source++;
    return r;
}

static int load_scopes(struct cf_ruleset *rs, const struct cf_ynode *list, struct cf_error *reterr)
{
    if (!list)
        return 0;
    rs->tax.scope = CF_NEW_N(&rs->arena, struct cf_scope, list->n + 1);
    if (!rs->tax.scope)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    for (const struct cf_ynode *n = list->child; n && rs->tax.n_scope < 4000; n = n->next) {
        struct cf_scope *s = &rs->tax.scope[rs->tax.n_scope++];

        s->product = cf_ymap_str(n, "product");
        s->category = cf_ymap_str(n, "category");
        s->service = cf_ymap_str(n, "service");
        s->fields = cf_ymap_get(n, "fields");
    }
    return 0;
}

int cf_taxonomy_load(struct cf_ruleset *rs, const char *dir, struct cf_error *reterr)
{
    struct cf_ynode *list = NULL, *root = NULL;
    struct cf_compile c = {.rs = rs, .a = &rs->arena, .err = reterr};
    uint16_t kw;
    int r = add_field(&c, CF_STR("keywords"), CF_STR("\n"), NULL, &kw); /* rule field 0 */

    if (r < 0 || !dir)
        return r;
    r = load_one(rs, dir, "fields.yaml", "fields", &rs->tax.fields, &root, reterr);
    if (r == 0)
        r = load_scopes(rs, cf_ymap_get(root, "scopes"), reterr);
    if (r == 0)
        r = load_one(rs, dir, "placeholders.yaml", "placeholders", &rs->tax.placeholders, NULL, reterr);
    if (r == 0)
        r = load_one(rs, dir, "logsources.yaml", "logsources", &list, NULL, reterr);
    if (r < 0 || !list)
        return r;
    if (list->kind != CF_Y_SEQ || list->n > CF_LSOURCE_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "logsources.yaml: a list of at most %d log sources is needed", CF_LSOURCE_MAX);
    rs->tax.source = CF_NEW_N(&rs->arena, struct cf_lsource, list->n + 1);
    rs->tax.route_field = CF_NEW_N(&rs->arena, uint16_t, 4096);
    rs->tax.route_value = CF_NEW_N(&rs->arena, bool, 4096);
    if (!rs->tax.source || !rs->tax.route_field || !rs->tax.route_value)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    for (const struct cf_ynode *n = list->child; n && r == 0; n = n->next)
        r = rs->tax.n_route_field > 4000 ? CF_ELIMIT : load_source(rs, n, reterr);
    if (r < 0)
        cf_error_context(reterr, "logsources.yaml");
    return r;
}

static bool fill_routes(struct cf_ruleset *rs, cf_str p, cf_str cat, cf_str s, uint64_t *bits)
{
    bool any = false;

    for (size_t i = 0; i < rs->tax.n_source; i++) {
        const struct cf_lsource *l = &rs->tax.source[i];

        if ((p.n && !cf_str_eq(p, l->product)) || (cat.n && !cf_str_eq(cat, l->category)) || (s.n && !cf_str_eq(s, l->service)))
            continue;
        bits[i / 64] |= UINT64_C(1) << (i % 64);
        any = true;
    }
    return any;
}

uint64_t *cf_rule_routes(struct cf_ruleset *rs, cf_str product, cf_str category, cf_str service)
{
    uint64_t *bits;

    if (!product.n && !category.n && !service.n)
        return NULL;
    bits = CF_NEW_N(&rs->arena, uint64_t, CF_LS_WORDS);
    if (!bits)
        return NULL;
    if (fill_routes(rs, product, category, service, bits))
        return bits;
    if (category.n && service.n && fill_routes(rs, product, category, CF_STR_NONE, bits))
        return bits;
    return NULL;
}
