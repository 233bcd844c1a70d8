/* SPDX-License-Identifier: Apache-2.0
 * A unit's assets: each unit has a profile, each row of the profile stands for `count` assets whose texts are templates. */
#include "demo/city_int.h"

#include <stdio.h>

#define ASSETS_MAX 20000

struct row { /* templates */
    cf_str kind, type, name, host, ip, domain, system, os, vendor, model, location, role, log, unit;
    int64_t importance, mlps, count, first;
};
#define F(member, typ, req) {#member, typ, offsetof(struct row, member), req}
static const struct demo_field row_fields[] = {
    F(kind, DEMO_F_STR, true),    F(type, DEMO_F_STR, false),     F(name, DEMO_F_STR, true),    F(host, DEMO_F_STR, false),
    F(ip, DEMO_F_STR, false),     F(domain, DEMO_F_STR, false),   F(system, DEMO_F_STR, false), F(os, DEMO_F_STR, false),
    F(vendor, DEMO_F_STR, false), F(model, DEMO_F_STR, false),    F(location, DEMO_F_STR, false), F(role, DEMO_F_STR, false),
    F(log, DEMO_F_STR, false),    F(unit, DEMO_F_STR, false),     F(importance, DEMO_F_INT, true), F(mlps, DEMO_F_INT, false),
    F(count, DEMO_F_INT, false),  F(first, DEMO_F_INT, false),
};
#undef F

static bool kind_known(cf_str k)
{
    static const char *const kinds[] = {"organisation", "system", "hardware", "software", "network", "room", "resource", "data"};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (cf_str_eqz(k, kinds[i]))
            return true;
    return false;
}

static int read_row(const struct cf_ynode *n, struct row *ret, struct cf_error *reterr)
{
    int r;

    *ret = (struct row){.count = 1, .first = 1};
    r = demo_read_fields(n, row_fields, sizeof row_fields / sizeof *row_fields, NULL, ret, reterr);
    if (r == 0 && !kind_known(ret->kind))
        r = cf_error_set(reterr, CF_ESYNTAX, "line %u: \"%.*s\" is none of the eight asset classes", n->line, CF_ARG(ret->kind));
    if (r == 0 && (ret->importance < 1 || ret->importance > 5 || ret->count < 1 || ret->count > 250 || ret->first < 0 || ret->first > 250 || ret->mlps < 0 ||
                   ret->mlps > 5))
        r = cf_error_set(reterr, CF_ESYNTAX, "line %u: importance is 1 to 5, mlps 0 to 5, count 1 to 250, first 0 to 250", n->line);
    if (r == 0 && ret->role.n && (!ret->host.n || !ret->ip.n))
        r = cf_error_set(reterr, CF_ESYNTAX, "line %u: an asset with a role needs host and ip", n->line);
    return r;
}

static int text(struct demo_city *c, struct demo_env *env, cf_str tpl, uint32_t line, cf_str *ret, struct cf_error *reterr)
{
    struct cf_buf b;
    int r;

    if (!tpl.n)
        return 0;
    cf_buf_init(&b, 4096);
    r = demo_expand(env, tpl, &b, reterr);
    if (r < 0)
        cf_error_context(reterr, "line %u", line);
    else {
        *ret = cf_arena_copy(&c->arena, cf_buf_view(&b));
        if (b.n && !ret->p)
            r = cf_error_set(reterr, CF_ENOMEM, "no memory");
    }
    cf_buf_release(&b);
    return r;
}

static int add_asset(struct demo_city *c, const struct row *w, const struct demo_unit *u, int64_t n, uint32_t line, struct cf_error *reterr)
{
    struct demo_asset *s = &c->assets[c->n_assets];
    char net[8], num[8];
    struct demo_var vars[] = {{CF_STR("code"), u->code}, {CF_STR("short"), u->short_name}, {CF_STR("unit"), u->name}, {CF_STR("officer"), u->officer},
                              {CF_STR("net"), {net, 0}},  {CF_STR("n"), {num, 0}}};
    struct demo_env env = {.rng = (uint64_t)c->n_assets * 977 + 11, .lists = c->lists, .n_lists = c->n_lists, .vars = vars, .n_vars = 6};
    const struct {
        cf_str tpl, *to;
    } texts[] = {{w->name, &s->name}, {w->host, &s->host}, {w->ip, &s->ip}, {w->domain, &s->domain}, {w->system, &s->system}, {w->os, &s->os},
                 {w->vendor, &s->vendor}, {w->model, &s->model}, {w->location, &s->location}};
    int r = 0;

    if (c->n_assets == ASSETS_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "line %u: more than %d assets", line, ASSETS_MAX);
    (void)snprintf(net, sizeof net, "%d", (int)u->number);
    (void)snprintf(num, sizeof num, "%d", (int)n);
    vars[4].value.n = strlen(net);
    vars[5].value.n = strlen(num);
    *s = (struct demo_asset){.kind = w->kind, .type = w->type, .role = w->role, .log = w->log, .importance = w->importance, .mlps = w->mlps, .unit = u, .owner = u->officer};
    s->id = cf_arena_printf(&c->arena, "demo-asset-%05zu", c->n_assets + 1);
    for (size_t i = 0; r == 0 && i < sizeof texts / sizeof *texts; i++)
        r = text(c, &env, texts[i].tpl, line, texts[i].to, reterr);
    if (r == 0)
        c->n_assets++;
    return r;
}

static int add_rows(struct demo_city *c, const struct cf_ynode *seq, const struct demo_unit *unit, struct cf_error *reterr)
{
    for (const struct cf_ynode *k = seq->child; k; k = k->next) {
        const struct demo_unit *u = unit;
        struct row w;
        int r = read_row(k, &w, reterr);

        for (size_t i = 0; !unit && i < c->n_units; i++)
            if (cf_str_eq(c->units[i].code, w.unit))
                u = &c->units[i];
        if (r == 0 && !u)
            r = cf_error_set(reterr, CF_ESYNTAX, "line %u: no unit \"%.*s\"", k->line, CF_ARG(w.unit));
        for (int64_t n = 0; r == 0 && n < w.count; n++)
            r = add_asset(c, &w, u, w.first + n, k->line, reterr);
        if (r < 0)
            return r;
    }
    return 0;
}

int demo_expand_assets(struct demo_city *c, const struct cf_ynode *root, struct cf_error *reterr)
{
    const struct cf_ynode *profiles = cf_ymap_get(root, "profiles"), *seq;
    int r = 0;

    c->assets = CF_NEW_N(&c->arena, struct demo_asset, ASSETS_MAX);
    if (!c->assets)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    for (size_t i = 0; r == 0 && i < c->n_units; i++) {
        const struct demo_unit *u = &c->units[i];

        seq = profiles ? cf_ymap_get(profiles, cf_arena_strdup(&c->arena, u->profile)) : NULL;
        if (!seq || seq->kind != CF_Y_SEQ)
            return cf_error_set(reterr, CF_ESYNTAX, "unit \"%.*s\": no profile \"%.*s\"", CF_ARG(u->code), CF_ARG(u->profile));
        r = add_rows(c, seq, u, reterr);
    }
    if (r == 0)
        r = demo_seq(root, "shared", false, &seq, reterr);
    return r < 0 || !seq ? r : add_rows(c, seq, NULL, reterr);
}
