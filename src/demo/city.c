/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/city_int.h"

#include <stdio.h>
#include <stdlib.h>

#define F(type_, member, typ, req) {#member, typ, offsetof(type_, member), req}
static const struct demo_field region_fields[] = {
    F(struct demo_region, code, DEMO_F_STR, true), F(struct demo_region, name, DEMO_F_STR, true), F(struct demo_region, parent, DEMO_F_STR, false),
    F(struct demo_region, level, DEMO_F_INT, true),
};
static const struct demo_field unit_fields[] = {
    F(struct demo_unit, code, DEMO_F_STR, true),   F(struct demo_unit, name, DEMO_F_STR, true),     {"short", DEMO_F_STR, offsetof(struct demo_unit, short_name), true},
    F(struct demo_unit, kind, DEMO_F_STR, true),   F(struct demo_unit, region, DEMO_F_STR, true),   F(struct demo_unit, industry, DEMO_F_STR, true),
    F(struct demo_unit, parent, DEMO_F_STR, false), F(struct demo_unit, profile, DEMO_F_STR, true), F(struct demo_unit, officer, DEMO_F_STR, true),
    F(struct demo_unit, phone, DEMO_F_STR, false), F(struct demo_unit, level, DEMO_F_INT, false),   {"net", DEMO_F_INT, offsetof(struct demo_unit, number), true},
};
struct person_row {
    cf_str login, name, role, position, unit;
};
static const struct demo_field person_fields[] = {
    F(struct person_row, login, DEMO_F_STR, true), F(struct person_row, name, DEMO_F_STR, true), F(struct person_row, role, DEMO_F_STR, true),
    F(struct person_row, position, DEMO_F_STR, false), F(struct person_row, unit, DEMO_F_STR, true),
};
#undef F
#define N(x) (sizeof(x) / sizeof *(x))

static const struct demo_unit *find_unit(const struct demo_city *c, cf_str code)
{
    for (size_t i = 0; i < c->n_units; i++)
        if (cf_str_eq(c->units[i].code, code))
            return &c->units[i];
    return NULL;
}

static int read_regions(struct demo_city *c, const struct cf_ynode *root, struct cf_error *reterr)
{
    const struct cf_ynode *seq;
    int r = demo_seq(root, "regions", true, &seq, reterr);

    if (r < 0)
        return r;
    c->regions = CF_NEW_N(&c->arena, struct demo_region, seq->n + 1);
    for (const struct cf_ynode *k = seq->child; c->regions && k; k = k->next) {
        r = demo_read_fields(k, region_fields, N(region_fields), NULL, &c->regions[c->n_regions++], reterr);
        if (r < 0)
            return r;
    }
    return c->regions ? 0 : cf_error_set(reterr, CF_ENOMEM, "no memory");
}

static int read_units(struct demo_city *c, const struct cf_ynode *root, struct cf_error *reterr)
{
    const struct cf_ynode *seq;
    int r = demo_seq(root, "units", true, &seq, reterr);

    if (r < 0)
        return r;
    c->units = CF_NEW_N(&c->arena, struct demo_unit, seq->n + 1);
    if (!c->units)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    for (const struct cf_ynode *k = seq->child; k; k = k->next) {
        struct demo_unit *u = &c->units[c->n_units];

        r = demo_read_fields(k, unit_fields, N(unit_fields), NULL, u, reterr);
        if (r < 0)
            return r;
        if (find_unit(c, u->code))
            return cf_error_set(reterr, CF_ESYNTAX, "line %u: unit \"%.*s\" is there twice", k->line, CF_ARG(u->code));
        if (u->parent.n && !find_unit(c, u->parent))
            return cf_error_set(reterr, CF_ESYNTAX, "line %u: the parent \"%.*s\" must stand before its units", k->line, CF_ARG(u->parent));
        if (u->number < 1 || u->number > 254)
            return cf_error_set(reterr, CF_ESYNTAX, "line %u: net is 1 to 254", k->line);
        u->id = cf_arena_printf(&c->arena, "demo-org-%.*s", CF_ARG(u->code));
        c->n_units++;
    }
    return 0;
}

/* The people of the list, and one security officer for each unit. */
static int read_people(struct demo_city *c, const struct cf_ynode *root, struct cf_error *reterr)
{
    const struct cf_ynode *seq;
    int r = demo_seq(root, "people", true, &seq, reterr);

    if (r < 0)
        return r;
    c->people = CF_NEW_N(&c->arena, struct demo_person, seq->n + c->n_units);
    if (!c->people)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    for (const struct cf_ynode *k = seq->child; k; k = k->next) {
        struct demo_person *p = &c->people[c->n_people];
        struct person_row w = {0};

        r = demo_read_fields(k, person_fields, N(person_fields), NULL, &w, reterr);
        if (r < 0)
            return r;
        *p = (struct demo_person){.login = w.login, .name = w.name, .role = w.role, .position = w.position, .unit = find_unit(c, w.unit)};
        if (!p->unit)
            return cf_error_set(reterr, CF_ESYNTAX, "line %u: no unit \"%.*s\"", k->line, CF_ARG(w.unit));
        c->n_people++;
    }
    for (size_t i = 0; i < c->n_units; i++)
        c->people[c->n_people++] = (struct demo_person){.login = cf_arena_printf(&c->arena, "u.%.*s", CF_ARG(c->units[i].code)), .name = c->units[i].officer,
                                                        .role = CF_STR("unit_officer"), .position = CF_STR("网络安全员"), .unit = &c->units[i]};
    for (size_t i = 0; i < c->n_people; i++)
        c->people[i].id = cf_arena_printf(&c->arena, "demo-user-%.*s", CF_ARG(c->people[i].login));
    return 0;
}

static int read_lists(struct demo_city *c, const struct cf_ynode *root, struct cf_error *reterr)
{
    const struct cf_ynode *map = cf_ymap_get(root, "lists");
    int r = 0;

    if (!map)
        return 0;
    if (map->kind != CF_Y_MAP)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: lists is a map of lists", map->line);
    c->lists = CF_NEW_N(&c->arena, struct demo_list, map->n + 1);
    for (const struct cf_ynode *k = map->child; c->lists && r == 0 && k; k = k->next) {
        struct demo_list *l = &c->lists[c->n_lists++];

        l->name = k->key;
        r = demo_strings(&c->arena, k, &l->v, &l->n, reterr);
    }
    return r < 0 || c->lists ? r : cf_error_set(reterr, CF_ENOMEM, "no memory");
}

static int read_city(struct demo_city *c, const struct cf_ynode *root, struct cf_error *reterr)
{
    static const char *const keys[] = {"name", "regions", "units", "people", "profiles", "shared", "lists", NULL};
    int r = demo_read_fields(root, NULL, 0, keys, NULL, reterr);

    c->name = cf_ymap_str(root, "name");
    r = r < 0 ? r : read_lists(c, root, reterr);
    r = r < 0 ? r : read_regions(c, root, reterr);
    r = r < 0 ? r : read_units(c, root, reterr);
    r = r < 0 ? r : read_people(c, root, reterr);
    return r < 0 ? r : demo_expand_assets(c, root, reterr);
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

static int load_file(struct demo_city *c, const char *dir, const char *name, int (*fn)(struct demo_city *, const struct cf_ynode *, struct cf_error *),
                     struct cf_error *reterr)
{
    const char *path = cf_path_join(&c->arena, dir, name);
    struct cf_ydoc *doc;
    int r = cf_yaml_load(&c->arena, path, &doc, reterr);

    if (r < 0)
        return r;
    if (!doc || !doc->root)
        return cf_error_set(reterr, CF_ESYNTAX, "%s is empty", path);
    r = fn(c, doc->root, reterr);
    if (r < 0)
        cf_error_context(reterr, "%s", path);
    return r;
}

#define SCENARIOS_MAX 64
struct walk {
    struct demo_city *c;
    struct cf_error *err;
};

static int load_scenario(void *ctx, const char *path)
{
    struct walk *w = ctx;
    struct demo_city *c = w->c;
    struct cf_buf b;
    cf_str text;
    int r;

    if (c->n_scenarios == SCENARIOS_MAX)
        return cf_error_set(w->err, CF_ELIMIT, "more than %d scenarios", SCENARIOS_MAX);
    cf_buf_init(&b, 1 << 20);
    r = cf_file_read(path, &b, w->err);
    if (r == 0) {
        text = cf_arena_copy(&c->arena, cf_buf_view(&b));
        r = demo_scenario_parse(c, text, &c->scenarios[c->n_scenarios], w->err);
        if (r < 0)
            cf_error_context(w->err, "%s", path);
        else
            c->scenarios[c->n_scenarios++].file = cf_str_c(cf_arena_strdup(&c->arena, cf_str_c(path)));
    }
    cf_buf_release(&b);
    return r;
}

int demo_city_load(const char *dir, struct demo_city **ret, struct cf_error *reterr)
{
    struct demo_city *c = calloc(1, sizeof *c);
    struct walk w = {c, reterr};
    int r;

    if (!c)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    cf_arena_init(&c->arena, 0, 256u << 20);
    c->scenarios = CF_NEW_N(&c->arena, struct demo_scenario, SCENARIOS_MAX);
    r = c->scenarios ? load_file(c, dir, "city.yaml", read_city, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory");
    r = r < 0 ? r : load_file(c, dir, "background.yaml", demo_read_background, reterr);
    r = r < 0 ? r : cf_walk(cf_path_join(&c->arena, dir, "scenarios"), ".yaml", load_scenario, &w, reterr);
    if (r < 0) {
        demo_city_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void demo_city_free(struct demo_city *c)
{
    if (!c)
        return;
    cf_arena_release(&c->arena);
    free(c);
}

/* ---- hosts ------------------------------------------------------------------------------------------------------------ */

const struct demo_asset *demo_city_host(const struct demo_city *c, cf_str role, cf_str unit_kind, const struct demo_unit *unit, uint64_t *rng)
{
    size_t n = 0, k;

    for (int pass = 0; pass < 2; pass++) {
        k = n ? demo_random_below(rng, n) : 0;
        if (pass == 1 && n == 0)
            return NULL;
        for (size_t i = 0; i < c->n_assets; i++) {
            const struct demo_asset *s = &c->assets[i];

            if (!cf_str_eq(s->role, role) || (unit && s->unit != unit) || (unit_kind.n && !cf_str_eq(s->unit->kind, unit_kind)))
                continue;
            if (pass == 0)
                n++;
            else if (k-- == 0)
                return s;
        }
    }
    return NULL;
}

int demo_host_vars(const struct demo_asset *h, cf_str prefix, struct cf_arena *a, struct demo_var out[DEMO_HOST_VARS])
{
    const struct {
        const char *name;
        cf_str value;
    } v[DEMO_HOST_VARS] = {{"host", h->host}, {"ip", h->ip}, {"unit", h->unit->name}, {"code", h->unit->code},
                           {"net", cf_arena_printf(a, "%d", (int)h->unit->number)}, {"domain", h->domain.n ? h->domain : CF_STR("www.linjiang.gov.example")}};

    for (size_t i = 0; i < DEMO_HOST_VARS; i++) {
        out[i].name = prefix.n ? cf_arena_printf(a, "%.*s.%s", CF_ARG(prefix), v[i].name) : cf_str_c(v[i].name);
        out[i].value = v[i].value;
        if (!out[i].name.p)
            return CF_ENOMEM;
    }
    return 0;
}
