/* SPDX-License-Identifier: Apache-2.0
 * Reading background lines and scenarios. Every text is expanded once with hosts of the city, so that a wrong name is an
 * error of the file and not a strange line at night. */
#include "demo/city_int.h"

#define STEPS_MAX 2000
#define LINES_MAX 100000 /* of one run */
#define N(x) (sizeof(x) / sizeof *(x))

static int check_text(const struct demo_city *c, struct demo_var *vars, size_t n_vars, cf_str text, uint32_t line, struct cf_error *reterr)
{
    struct demo_env env = {.time_us = INT64_C(1763579647123456), .zone_us = 8 * 3600 * CF_US_PER_S, .rng = 7, .lists = c->lists, .n_lists = c->n_lists,
                           .vars = vars, .n_vars = n_vars};
    struct cf_buf b;
    int r;

    cf_buf_init(&b, 1 << 16);
    r = demo_expand(&env, text, &b, reterr);
    if (r == 0 && (b.n == 0 || memchr(b.p, '\n', b.n)))
        r = cf_error_set(reterr, CF_ESYNTAX, "must be one line that is not empty");
    if (r < 0)
        cf_error_context(reterr, "line %u", line);
    cf_buf_release(&b);
    return r;
}

/* ---- background ------------------------------------------------------------------------------------------------------- */

static int read_line(struct demo_city *c, const struct cf_ynode *k, struct demo_line *ret, struct cf_error *reterr)
{
    static const struct demo_field fields[] = {{"from", DEMO_F_STR, offsetof(struct demo_line, role), true}, {"line", DEMO_F_STR, offsetof(struct demo_line, text), true},
                                               {"weight", DEMO_F_INT, offsetof(struct demo_line, weight), true}};
    static const char *const other[] = {"rhythm", NULL};
    cf_str rhythm = cf_ymap_str(k, "rhythm");
    struct demo_var vars[DEMO_HOST_VARS];
    const struct demo_asset *h;
    uint64_t rng = 3;
    int r = demo_read_fields(k, fields, N(fields), other, ret, reterr);

    if (r < 0)
        return r;
    ret->at = k->line;
    if (ret->weight < 1 || ret->weight > 10000)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: weight is 1 to 10000", k->line);
    if (rhythm.n && !cf_str_eqz(rhythm, "flat") && !cf_str_eqz(rhythm, "office") && !cf_str_eqz(rhythm, "night"))
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: rhythm is flat, office or night", k->line);
    ret->rhythm = cf_str_eqz(rhythm, "office") ? DEMO_OFFICE : cf_str_eqz(rhythm, "night") ? DEMO_NIGHT : DEMO_FLAT;
    h = demo_city_host(c, ret->role, CF_STR_NONE, NULL, &rng);
    if (!h)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: no asset has the role \"%.*s\"", k->line, CF_ARG(ret->role));
    r = demo_host_vars(h, CF_STR_NONE, &c->arena, vars);
    return r < 0 ? r : check_text(c, vars, DEMO_HOST_VARS, ret->text, k->line, reterr);
}

int demo_read_background(struct demo_city *c, const struct cf_ynode *root, struct cf_error *reterr)
{
    static const char *const keys[] = {"lines", NULL};
    const struct cf_ynode *seq;
    int r = demo_read_fields(root, NULL, 0, keys, NULL, reterr);

    r = r < 0 ? r : demo_seq(root, "lines", true, &seq, reterr);
    if (r < 0)
        return r;
    c->lines = CF_NEW_N(&c->arena, struct demo_line, seq->n + 1);
    if (!c->lines)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    for (const struct cf_ynode *k = seq->child; r == 0 && k; k = k->next)
        r = read_line(c, k, &c->lines[c->n_lines++], reterr);
    return r;
}

/* ---- scenarios ---------------------------------------------------------------------------------------------------------- */

static int read_var(struct demo_city *c, const struct cf_ynode *k, struct demo_var_def *ret, struct cf_error *reterr)
{
    static const struct demo_field fields[] = {{"text", DEMO_F_STR, offsetof(struct demo_var_def, text), false}, {"host", DEMO_F_STR, offsetof(struct demo_var_def, text), false},
                                               {"unit_kind", DEMO_F_STR, offsetof(struct demo_var_def, unit_kind), false},
                                               {"same_unit", DEMO_F_STR, offsetof(struct demo_var_def, same_unit), false}};
    static const char *const other[] = {"pick", NULL};
    const struct cf_ynode *pick;
    int r = demo_read_fields(k, fields, N(fields), other, ret, reterr);

    if (r < 0)
        return r;
    ret->name = k->key;
    ret->at = k->line;
    pick = cf_ymap_get(k, "pick");
    if ((pick != NULL) + (cf_ymap_get(k, "text") != NULL) + (cf_ymap_get(k, "host") != NULL) != 1)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: a variable is one of pick, text, host", k->line);
    ret->kind = pick ? DEMO_VAR_PICK : cf_ymap_get(k, "host") ? DEMO_VAR_HOST : DEMO_VAR_TEXT;
    return pick ? demo_strings(&c->arena, pick, &ret->pick, &ret->n, reterr) : 0;
}

static const struct demo_var_def *host_var(const struct demo_scenario *s, cf_str name)
{
    for (size_t i = 0; i < s->n_vars; i++)
        if (s->vars[i].kind == DEMO_VAR_HOST && cf_str_eq(s->vars[i].name, name))
            return &s->vars[i];
    return NULL;
}

/* Sample values of all variables, in order, for the checks. */
static int sample_vars(struct demo_city *c, struct demo_scenario *s, struct demo_var *out, size_t *n, struct cf_error *reterr)
{
    uint64_t rng = 5;

    for (size_t i = 0; i < s->n_vars; i++) {
        const struct demo_var_def *d = &s->vars[i];
        const struct demo_asset *h;
        int r = 0;

        if (d->kind != DEMO_VAR_HOST) {
            r = check_text(c, out, *n, d->kind == DEMO_VAR_PICK ? d->pick[0] : d->text, d->at, reterr);
            out[(*n)++] = (struct demo_var){d->name, CF_STR("x")};
        } else {
            if (d->same_unit.n && !host_var(s, d->same_unit))
                return cf_error_set(reterr, CF_ESYNTAX, "line %u: same_unit names no host variable", d->at);
            h = demo_city_host(c, d->text, d->unit_kind, NULL, &rng);
            if (!h)
                return cf_error_set(reterr, CF_ESYNTAX, "line %u: no asset has the role \"%.*s\"", d->at, CF_ARG(d->text));
            r = demo_host_vars(h, d->name, &c->arena, out + *n);
            *n += DEMO_HOST_VARS;
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_step(const struct cf_ynode *k, struct demo_scenario *s, struct demo_step *ret, struct cf_error *reterr)
{
    static const struct demo_field fields[] = {{"at", DEMO_F_TIME, offsetof(struct demo_step, at_us), true}, {"every", DEMO_F_TIME, offsetof(struct demo_step, every_us), false},
                                               {"jitter", DEMO_F_TIME, offsetof(struct demo_step, jitter_us), false},
                                               {"from", DEMO_F_STR, offsetof(struct demo_step, from), true}, {"line", DEMO_F_STR, offsetof(struct demo_step, text), true}};
    static const char *const other[] = {"repeat", NULL};
    const struct cf_ynode *rep = cf_ymap_get(k, "repeat");
    int64_t n = 1, end;
    int r = demo_read_fields(k, fields, N(fields), other, ret, reterr);

    if (r < 0)
        return r;
    ret->line = k->line;
    if (rep && (!cf_ynode_i64(rep, &n) || n < 1 || n > 10000))
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: repeat is 1 to 10000", k->line);
    ret->repeat = (uint64_t)n;
    if (!host_var(s, ret->from))
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: from names no host variable (\"%.*s\")", k->line, CF_ARG(ret->from));
    end = ret->at_us + n * ret->every_us + ret->jitter_us;
    if (end > s->length_us)
        s->length_us = end;
    return 0;
}

static int read_steps(struct demo_city *c, const struct cf_ynode *root, struct demo_scenario *s, struct demo_var *vars, size_t n_vars, struct cf_error *reterr)
{
    const struct cf_ynode *seq;
    uint64_t lines = 0;
    int r = demo_seq(root, "steps", true, &seq, reterr);

    if (r < 0)
        return r;
    if (seq->n == 0 || seq->n > STEPS_MAX)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: 1 to %d steps", seq->line, STEPS_MAX);
    s->steps = CF_NEW_N(&c->arena, struct demo_step, seq->n);
    if (!s->steps)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    for (const struct cf_ynode *k = seq->child; r == 0 && k; k = k->next) {
        struct demo_step *st = &s->steps[s->n_steps++];

        r = read_step(k, s, st, reterr);
        r = r < 0 ? r : check_text(c, vars, n_vars, st->text, k->line, reterr);
        lines += st->repeat;
        if (r == 0 && lines > LINES_MAX)
            r = cf_error_set(reterr, CF_ELIMIT, "line %u: more than %d lines in one run", k->line, LINES_MAX);
    }
    return r;
}

static int read_vars(struct demo_city *c, const struct cf_ynode *root, struct demo_scenario *s, struct cf_error *reterr)
{
    const struct cf_ynode *map = cf_ymap_get(root, "vars");
    int r = 0;

    if (!map || map->kind != CF_Y_MAP)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: \"vars\" is missing", root->line);
    s->vars = CF_NEW_N(&c->arena, struct demo_var_def, map->n + 1);
    if (!s->vars)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    for (const struct cf_ynode *k = map->child; r == 0 && k; k = k->next)
        r = read_var(c, k, &s->vars[s->n_vars++], reterr);
    return r;
}

int demo_scenario_parse(struct demo_city *c, cf_str yaml, struct demo_scenario *ret, struct cf_error *reterr)
{
    static const struct demo_field fields[] = {{"id", DEMO_F_STR, offsetof(struct demo_scenario, id), true}, {"title_zh", DEMO_F_STR, offsetof(struct demo_scenario, title_zh), true},
                                               {"title_en", DEMO_F_STR, offsetof(struct demo_scenario, title_en), true}};
    static const char *const other[] = {"vars", "steps", "expect", NULL};
    const struct cf_ynode *expect;
    struct demo_var *vars;
    struct cf_ydoc *doc;
    size_t n_vars = 0;
    int r;

    *ret = (struct demo_scenario){0};
    r = cf_yaml_parse(&c->arena, yaml, &doc, reterr);
    if (r == 0 && (!doc || !doc->root))
        r = cf_error_set(reterr, CF_ESYNTAX, "the file is empty");
    r = r < 0 ? r : demo_read_fields(doc->root, fields, N(fields), other, ret, reterr);
    r = r < 0 ? r : read_vars(c, doc->root, ret, reterr);
    if (r < 0)
        return r;
    vars = CF_NEW_N(&c->arena, struct demo_var, ret->n_vars * DEMO_HOST_VARS + 1);
    if (!vars)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    r = sample_vars(c, ret, vars, &n_vars, reterr);
    r = r < 0 ? r : read_steps(c, doc->root, ret, vars, n_vars, reterr);
    r = r < 0 ? r : demo_seq(doc->root, "expect", true, &expect, reterr);
    return r < 0 ? r : demo_strings(&c->arena, expect, &ret->expect, &ret->n_expect, reterr);
}
