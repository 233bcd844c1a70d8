/* SPDX-License-Identifier: Apache-2.0
 * From YAML maps to structs, with the line of every mistake. */
#include "demo/city_int.h"

bool demo_duration(cf_str s, int64_t *ret_us)
{
    static const struct {
        char unit;
        int64_t us;
    } units[] = {{'s', CF_US_PER_S}, {'m', 60 * CF_US_PER_S}, {'h', 3600 * CF_US_PER_S}};
    int64_t v;

    if (s.n > 2 && s.p[s.n - 1] == 's' && s.p[s.n - 2] == 'm') {
        if (!cf_str_i64(cf_str_sub(s, 0, s.n - 2), &v) || v < 0 || v > 86400000)
            return false;
        *ret_us = v * 1000;
        return true;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (s.n < 2 || s.p[s.n - 1] != units[i].unit)
            continue;
        if (!cf_str_i64(cf_str_sub(s, 0, s.n - 1), &v) || v < 0 || v > 86400)
            return false;
        *ret_us = v * units[i].us;
        return true;
    }
    return false;
}

static bool known_key(const struct demo_field *f, size_t n, const char *const *other, cf_str key)
{
    for (size_t i = 0; i < n; i++)
        if (cf_str_eqz(key, f[i].name))
            return true;
    for (; other && *other; other++)
        if (cf_str_eqz(key, *other))
            return true;
    return false;
}

static int read_one(const struct demo_field *f, const struct cf_ynode *v, void *target, struct cf_error *reterr)
{
    char *at = (char *)target + f->offset;

    if (v->kind != CF_Y_SCALAR)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: %s must be one value", v->line, f->name);
    if (f->type == DEMO_F_STR) {
        *(cf_str *)(void *)at = v->text;
        return 0;
    }
    if (f->type == DEMO_F_INT ? !cf_ynode_i64(v, (int64_t *)(void *)at) : !demo_duration(v->text, (int64_t *)(void *)at))
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: %s must be %s, not \"%.*s\"", v->line, f->name,
                            f->type == DEMO_F_INT ? "a number" : "a time such as 90s, 10m or 2h", CF_ARG(v->text));
    return 0;
}

int demo_read_fields(const struct cf_ynode *map, const struct demo_field *f, size_t n, const char *const *other, void *target, struct cf_error *reterr)
{
    if (map->kind != CF_Y_MAP)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: a map is wanted here", map->line);
    for (const struct cf_ynode *k = map->child; k; k = k->next)
        if (!known_key(f, n, other, k->key))
            return cf_error_set(reterr, CF_ESYNTAX, "line %u: \"%.*s\" is no key of this map", k->line, CF_ARG(k->key));
    for (size_t i = 0; i < n; i++) {
        const struct cf_ynode *v = cf_ymap_get(map, f[i].name);
        int r;

        if (!v && f[i].required)
            return cf_error_set(reterr, CF_ESYNTAX, "line %u: \"%s\" is missing", map->line, f[i].name);
        r = v ? read_one(&f[i], v, target, reterr) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

int demo_seq(const struct cf_ynode *map, const char *key, bool required, const struct cf_ynode **ret, struct cf_error *reterr)
{
    const struct cf_ynode *v = cf_ymap_get(map, key);

    if (!v && required)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: the list \"%s\" is missing", map->line, key);
    if (v && v->kind != CF_Y_SEQ)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: \"%s\" must be a list", v->line, key);
    *ret = v;
    return 0;
}

int demo_strings(struct cf_arena *a, const struct cf_ynode *seq, cf_str **ret, size_t *ret_n, struct cf_error *reterr)
{
    size_t i = 0;

    if (seq->kind != CF_Y_SEQ || seq->n == 0)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: a list of texts is wanted here", seq->line);
    *ret = CF_NEW_N(a, cf_str, seq->n);
    if (!*ret)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    for (const struct cf_ynode *k = seq->child; k; k = k->next) {
        if (k->kind != CF_Y_SCALAR)
            return cf_error_set(reterr, CF_ESYNTAX, "line %u: a text is wanted here", k->line);
        (*ret)[i++] = k->text;
    }
    *ret_n = i;
    return 0;
}
