/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/yaml.h"

static const struct cf_opt *find(const struct cf_opt *opts, size_t n, cf_str name)
{
    for (size_t i = 0; i < n; i++)
        if (cf_str_eqz(name, opts[i].name))
            return &opts[i];
    return NULL;
}

static bool scaled(cf_str s, const char *units, const int64_t *factor, int64_t *ret)
{
    int64_t v, f = 1;

    if (s.n && (s.p[s.n - 1] < '0' || s.p[s.n - 1] > '9')) {
        const char *u = strchr(units, s.p[s.n - 1]);
        if (!u || !*u)
            return false;
        f = factor[u - units];
        s.n--;
    }
    if (!cf_str_i64(s, &v) || __builtin_mul_overflow(v, f, ret))
        return false;
    return true;
}

static bool parse_size(cf_str s, int64_t *ret)
{
    static const int64_t f[] = {INT64_C(1) << 10, INT64_C(1) << 10, INT64_C(1) << 20, INT64_C(1) << 20, INT64_C(1) << 30, INT64_C(1) << 30};
    return scaled(s, "kKmMgG", f, ret);
}

static bool parse_duration(cf_str s, int64_t *ret)
{
    static const int64_t f[] = {CF_US_PER_S, 60 * CF_US_PER_S, 3600 * CF_US_PER_S, CF_US_PER_DAY};

    if (cf_str_ends(s, CF_STR("ms"))) {
        int64_t v;
        if (!cf_str_i64(cf_str_n(s.p, s.n - 2), &v))
            return false;
        return !__builtin_mul_overflow(v, 1000, ret);
    }
    if (cf_str_eqz(s, "0")) {
        *ret = 0;
        return true;
    }
    if (s.n == 0 || (s.p[s.n - 1] >= '0' && s.p[s.n - 1] <= '9'))
        return false; /* a unit is required: "30" of what? */
    return scaled(s, "smhd", f, ret);
}

static int64_t *i64_of(void *t, const struct cf_opt *o) { return (int64_t *)(void *)((char *)t + o->offset); }

static int in_range(const struct cf_opt *o, int64_t v, size_t line, struct cf_error *reterr)
{
    if ((o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max))
        return 0;
    return cf_error_set(reterr, CF_EINVAL, "line %zu: %s must be %lld to %lld%s", line, o->name, (long long)o->min, (long long)o->max,
                        o->type == CF_OPT_DURATION ? " microseconds" : o->type == CF_OPT_SIZE ? " bytes" : "");
}

static int set_scalar(const struct cf_opt *o, void *target, struct cf_arena *a, cf_str v, size_t line, struct cf_error *reterr)
{
    static const char *const wants[] = {"text", "a whole number", "true or false", "a size such as 64k, 8M, 2G", "a duration such as 200ms, 30s, 10m, 1h, 7d", "a list"};
    bool ok = true;

    switch (o->type) {
    case CF_OPT_STR: {
        cf_str c = cf_arena_copy(a, v);
        memcpy((char *)target + o->offset, &c, sizeof c);
        return c.p ? 0 : cf_error_set(reterr, CF_ENOMEM, "out of memory");
    }
    case CF_OPT_INT:
        ok = cf_str_i64(v, i64_of(target, o));
        break;
    case CF_OPT_SIZE:
        ok = parse_size(v, i64_of(target, o));
        break;
    case CF_OPT_DURATION:
        ok = parse_duration(v, i64_of(target, o));
        break;
    case CF_OPT_BOOL: {
        bool t = cf_str_eqz(v, "true") || cf_str_eqz(v, "yes"), f = cf_str_eqz(v, "false") || cf_str_eqz(v, "no");
        memcpy((char *)target + o->offset, &t, sizeof t);
        ok = t || f;
        break;
    }
    case CF_OPT_LIST: {
        struct cf_opt_list l = {.n = v.n ? 1 : 0, .v = CF_NEW(a, cf_str)};
        if (!l.v)
            return cf_error_set(reterr, CF_ENOMEM, "out of memory");
        l.v[0] = cf_arena_copy(a, v);
        memcpy((char *)target + o->offset, &l, sizeof l);
        return 0;
    }
    }
    if (!ok)
        return cf_error_set(reterr, CF_EINVAL, "line %zu: %s must be %s, not \"%.*s\"", line, o->name, wants[o->type], CF_ARG(v));
    return o->type == CF_OPT_BOOL ? 0 : in_range(o, *i64_of(target, o), line, reterr);
}

static int set_list(const struct cf_opt *o, void *target, struct cf_arena *a, const struct cf_ynode *seq, struct cf_error *reterr)
{
    struct cf_opt_list l = {.v = CF_NEW_N(a, cf_str, seq->n + 1)};

    if (!l.v)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    for (const struct cf_ynode *c = seq->child; c; c = c->next) {
        if (c->kind != CF_Y_SCALAR)
            return cf_error_set(reterr, CF_EINVAL, "line %u: %s must be a list of texts", c->line, o->name);
        l.v[l.n++] = cf_arena_copy(a, c->text);
    }
    memcpy((char *)target + o->offset, &l, sizeof l);
    return 0;
}

static int apply(const struct cf_opt *opts, size_t n_opts, void *target, struct cf_arena *a, const struct cf_ynode *node,
                 const char *prefix, struct cf_error *reterr)
{
    for (const struct cf_ynode *c = node->child; c; c = c->next) {
        char name[160];
        const struct cf_opt *o;
        int r = 0;

        if (snprintf(name, sizeof name, "%s%s%.*s", prefix, prefix[0] ? "." : "", CF_ARG(c->key)) >= (int)sizeof name)
            return cf_error_set(reterr, CF_EINVAL, "line %u: key too long", c->line);
        o = find(opts, n_opts, cf_str_c(name));
        if (!o && c->kind == CF_Y_MAP)
            r = apply(opts, n_opts, target, a, c, name, reterr);
        else if (!o && cf_ynode_is_null(c))
            continue; /* an empty section */
        else if (!o)
            r = cf_error_set(reterr, CF_EINVAL, "line %u: unknown key \"%s\" (serve --print-config lists all)", c->line, name);
        else if (c->kind == CF_Y_SEQ && o->type == CF_OPT_LIST)
            r = set_list(o, target, a, c, reterr);
        else if (c->kind == CF_Y_SCALAR)
            r = set_scalar(o, target, a, cf_ynode_is_null(c) ? CF_STR("") : c->text, c->line, reterr);
        else
            r = cf_error_set(reterr, CF_EINVAL, "line %u: %s takes one value", c->line, name);
        if (r < 0) {
            if (reterr)
                reterr->pos = c->line;
            return r;
        }
    }
    return 0;
}

int cf_config_parse(const struct cf_opt *opts, size_t n_opts, void *target, struct cf_arena *a, cf_str yaml, struct cf_error *reterr)
{
    struct cf_ydoc *doc = NULL;
    int r;

    for (size_t i = 0; i < n_opts; i++) {
        r = set_scalar(&opts[i], target, a, cf_str_c(opts[i].def), 0, reterr);
        if (r < 0) {
            cf_error_context(reterr, "default of %s", opts[i].name);
            return r;
        }
    }
    r = cf_yaml_parse(a, yaml, &doc, reterr);
    if (r < 0 || !doc || !doc->root || cf_ynode_is_null(doc->root))
        return r;
    if (doc->root->kind != CF_Y_MAP)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: expected key: value", doc->root->line);
    return apply(opts, n_opts, target, a, doc->root, "", reterr);
}

int cf_config_set(const struct cf_opt *opts, size_t n_opts, void *target, struct cf_arena *a, cf_str name, cf_str value, struct cf_error *reterr)
{
    const struct cf_opt *o = find(opts, n_opts, name);

    if (!o)
        return cf_error_set(reterr, CF_EINVAL, "unknown option \"%.*s\"", CF_ARG(name));
    return set_scalar(o, target, a, value, 0, reterr);
}

static void print_value(const struct cf_opt *o, const void *target, struct cf_buf *out)
{
    const char *at = (const char *)target + o->offset;
    int64_t v = 0;
    cf_str s;

    switch (o->type) {
    case CF_OPT_STR:
        memcpy(&s, at, sizeof s);
        cf_buf_json(out, s);
        break;
    case CF_OPT_BOOL: {
        bool b;
        memcpy(&b, at, sizeof b);
        cf_buf_z(out, b ? "true" : "false");
        break;
    }
    case CF_OPT_LIST: {
        struct cf_opt_list l;
        memcpy(&l, at, sizeof l);
        cf_buf_byte(out, '[');
        for (size_t i = 0; i < l.n; i++) {
            if (i)
                cf_buf_z(out, ", ");
            cf_buf_json(out, l.v[i]);
        }
        cf_buf_byte(out, ']');
        break;
    }
    case CF_OPT_DURATION:
        memcpy(&v, at, sizeof v);
        if (v && v % CF_US_PER_DAY == 0)
            cf_buf_printf(out, "%lldd", (long long)(v / CF_US_PER_DAY));
        else if (v % CF_US_PER_S == 0)
            cf_buf_printf(out, "%llds", (long long)(v / CF_US_PER_S));
        else
            cf_buf_printf(out, "%lldms", (long long)(v / 1000));
        break;
    case CF_OPT_INT:
    case CF_OPT_SIZE:
        memcpy(&v, at, sizeof v);
        cf_buf_i64(out, v);
        break;
    }
}

void cf_config_print(const struct cf_opt *opts, size_t n_opts, const void *target, struct cf_buf *out)
{
    char open[8][64]; /* sections printed so far */
    size_t depth = 0;

    for (size_t i = 0; i < n_opts; i++) {
        cf_str rest = cf_str_c(opts[i].name), part;
        size_t level = 0;

        while (cf_str_find(rest, CF_STR(".")) >= 0) {
            (void)cf_str_cut(&rest, '.', &part);
            if (level >= depth || !cf_str_eqz(part, open[level])) {
                depth = level < 8 ? level + 1 : 8;
                (void)snprintf(open[depth - 1], sizeof open[0], "%.*s", CF_ARG(part));
                cf_buf_printf(out, "%*s%.*s:\n", (int)level * 2, "", CF_ARG(part));
            }
            level++;
        }
        depth = level;
        cf_buf_printf(out, "%*s# %s Default: %s\n%*s%.*s: ", (int)level * 2, "", opts[i].doc, opts[i].def[0] ? opts[i].def : "(empty)",
                      (int)level * 2, "", CF_ARG(rest));
        print_value(&opts[i], target, out);
        cf_buf_byte(out, '\n');
    }
}
