/* SPDX-License-Identifier: Apache-2.0
 * What the parts of a source file share: errors with their line, lists of texts, references to fields, constants. */
#include <stdio.h>

#include "normalise/source_load.h"

int cf_load_fail(struct cf_load *l, const struct cf_ynode *n, const char *fmt, ...)
{
    char why[300];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    (void)cf_error_set(l->err, CF_ESYNTAX, "%s:%u: %s", l->s->file, n ? n->line : 1, why);
    if (l->err && n)
        l->err->pos = n->line;
    return CF_ESYNTAX;
}

int cf_load_nomem(struct cf_load *l) { return cf_error_set(l->err, CF_ENOMEM, "%s: no memory", l->s->file); }

/* Every child key must be in the list of words (separated by blanks). */
int cf_load_keys(struct cf_load *l, const struct cf_ynode *map, const char *what, const char *words)
{
    if (map->kind != CF_Y_MAP)
        return cf_load_fail(l, map, "%s must be a map", what);
    for (const struct cf_ynode *c = map->child; c; c = c->next) {
        const char *p = words;
        bool ok = false;
        while (*p && !ok) {
            size_t n = strcspn(p, " ");
            ok = n == c->key.n && memcmp(p, c->key.p, n) == 0;
            p += n + (p[n] == ' ');
        }
        if (!ok)
            return cf_load_fail(l, c, "unknown key \"%.*s\" in %s (known: %s)", CF_ARG(c->key), what, words);
    }
    return 0;
}

/* A scalar or a list of scalars. */
int cf_load_strings(struct cf_load *l, const struct cf_ynode *y, const char *what, cf_str **ret, size_t *ret_n)
{
    size_t n = 0;

    *ret_n = 0;
    if (!y)
        return 0;
    if (y->kind == CF_Y_SCALAR) {
        *ret = CF_NEW_N(l->a, cf_str, 1);
        if (!*ret)
            return cf_load_nomem(l);
        (*ret)[0] = y->text;
        *ret_n = 1;
        return 0;
    }
    if (y->kind != CF_Y_SEQ)
        return cf_load_fail(l, y, "%s must be a text or a list of texts", what);
    *ret = CF_NEW_N(l->a, cf_str, y->n + 1);
    if (!*ret)
        return cf_load_nomem(l);
    for (const struct cf_ynode *c = y->child; c; c = c->next) {
        if (c->kind != CF_Y_SCALAR)
            return cf_load_fail(l, c, "%s must hold texts only", what);
        (*ret)[n++] = c->text;
    }
    *ret_n = n;
    return 0;
}

cf_str cf_load_leaf(cf_str name)
{
    const char *dot = memrchr(name.p, '.', name.n);

    return dot ? cf_str_n(dot + 1, (size_t)(name.p + name.n - dot - 1)) : name;
}

int cf_load_ref(struct cf_load *l, const struct cf_ynode *at, cf_str name, bool target, struct cf_ref *ret)
{
    if (!name.n || name.n > 200)
        return cf_load_fail(l, at, "a field name is missing or longer than 200 bytes");
    *ret = (struct cf_ref){.field = (uint16_t)cf_field_find(name), .text = name};
    if (cf_str_eqz(name, "@timestamp") && target)
        return cf_load_fail(l, at, "@timestamp is set by time:, not by a mapping");
    if (target && ret->field == CF_F_EXTRA) {
        if (!memchr(name.p, '.', name.n))
            return cf_load_fail(l, at, "\"%.*s\" is not a field of the table; a field of the source's own needs a dotted name (vendor.%.*s)",
                        CF_ARG(name), CF_ARG(name));
        ret->name = cf_name_intern(name);
    }
    if (ret->field == CF_F_EXTRA && memchr(name.p, '.', name.n))
        ret->name = cf_name_intern(name);
    ret->raw = cf_name_intern(cf_load_leaf(name));
    return 0;
}

int cf_load_sets(struct cf_load *l, const struct cf_ynode *y, struct cf_sets *ret)
{
    size_t n = 0;
    int r;

    ret->n = 0;
    if (!y)
        return 0;
    if (y->kind != CF_Y_MAP)
        return cf_load_fail(l, y, "set must be a map of field: value");
    for (const struct cf_ynode *c = y->child; c; c = c->next)
        n += c->kind == CF_Y_SEQ ? c->n : 1;
    ret->v = CF_NEW_N(l->a, struct cf_setv, n + 1);
    if (!ret->v)
        return cf_load_nomem(l);
    for (const struct cf_ynode *c = y->child; c; c = c->next) {
        struct cf_ref ref;
        cf_str *v = NULL;
        size_t k;
        if ((r = cf_load_ref(l, c, c->key, true, &ref)) < 0 || (r = cf_load_strings(l, c, "a value of set", &v, &k)) < 0)
            return r;
        for (size_t i = 0; i < k; i++)
            ret->v[ret->n++] = (struct cf_setv){.to = ref, .val = v[i], .add = i > 0, .text = v[i].n < 128 ? cf_name_intern(v[i]) : 0};
    }
    return cf_sets_block(l->a, ret) < 0 ? cf_load_nomem(l) : 0;
}

pcre2_code *cf_load_regex(struct cf_load *l, const struct cf_ynode *y, int *ret)
{
    int code;
    PCRE2_SIZE at;
    unsigned char why[160];
    pcre2_code *re;

    *ret = 0;
    if (y->kind != CF_Y_SCALAR || y->text.n > 4000) {
        *ret = cf_load_fail(l, y, "regex must be a text of at most 4,000 bytes");
        return NULL;
    }
    re = pcre2_compile((const unsigned char *)y->text.p, y->text.n, PCRE2_NO_UTF_CHECK, &code, &at, NULL);
    if (!re) {
        (void)pcre2_get_error_message(code, why, sizeof why);
        *ret = cf_load_fail(l, y, "regex: %s at byte %zu", (char *)why, (size_t)at);
        return NULL;
    }
    (void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE);
    return re;
}
