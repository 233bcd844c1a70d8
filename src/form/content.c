/* SPDX-License-Identifier: Apache-2.0 */
#include "form/content.h"

#include <stdio.h>

int cf_content_fail(struct cf_error *err, const struct cf_ynode *at, const char *fmt, ...)
{
    char msg[400];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    (void)cf_error_set(err, CF_ESYNTAX, "line %u: %s", at ? at->line : 1u, msg);
    if (err)
        err->pos = at ? at->line : 1u;
    return CF_ESYNTAX;
}

int cf_content_keys(const struct cf_ynode *map, const char *const *allowed, struct cf_error *err)
{
    if (!map || map->kind != CF_Y_MAP)
        return cf_content_fail(err, map, "a map of keys is needed here");
    for (const struct cf_ynode *c = map->child; c; c = c->next) {
        size_t i = 0;

        while (allowed[i] && !cf_str_eqz(c->key, allowed[i]))
            i++;
        if (!allowed[i])
            return cf_content_fail(err, c, "key \"%.*s\" is not known here", CF_ARG(cf_str_sub(c->key, 0, 60)));
    }
    return 0;
}

int cf_content_text(const struct cf_ynode *map, const char *key, bool required, struct cf_text *ret, struct cf_error *err)
{
    static const char *const langs[] = {"zh", "en", NULL};
    const struct cf_ynode *n = cf_ymap_get(map, key);
    int r;

    *ret = (struct cf_text){CF_STR_NONE, CF_STR_NONE};
    if (!n)
        return required ? cf_content_fail(err, map, "\"%s\" is missing", key) : 0;
    if (n->kind == CF_Y_SCALAR) {
        ret->zh = ret->en = n->text;
    } else {
        r = cf_content_keys(n, langs, err);
        if (r < 0)
            return r;
        ret->zh = cf_ymap_str(n, "zh");
        ret->en = cf_ymap_str(n, "en");
        if (!ret->en.p)
            ret->en = ret->zh;
        if (!ret->zh.p)
            ret->zh = ret->en;
    }
    if (!ret->zh.p || ret->zh.n == 0)
        return cf_content_fail(err, n, "\"%s\" has no text", key);
    return 0;
}

bool cf_content_id_ok(cf_str id)
{
    if (id.n == 0 || id.n > 64 || id.p[0] < 'a' || id.p[0] > 'z')
        return false;
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
    }
    return true;
}

int cf_content_id(const struct cf_ynode *map, const char *key, cf_str *ret, struct cf_error *err)
{
    const struct cf_ynode *n = cf_ymap_get(map, key);

    if (!n || n->kind != CF_Y_SCALAR || !cf_content_id_ok(n->text))
        return cf_content_fail(err, n ? n : map, "\"%s\" must be a name of lower-case letters, digits, '-', '_'", key);
    *ret = n->text;
    return 0;
}

int cf_content_version(const struct cf_ynode *map, int64_t *ret, struct cf_error *err)
{
    const struct cf_ynode *n = cf_ymap_get(map, "version");

    if (!n || !cf_ynode_i64(n, ret) || *ret < 1 || *ret > 1000000)
        return cf_content_fail(err, n ? n : map, "\"version\" must be a number from 1");
    return 0;
}

bool cf_content_flag(const struct cf_ynode *map, const char *key, bool def, struct cf_error *err, int *r)
{
    const struct cf_ynode *n = cf_ymap_get(map, key);
    bool v = def;

    if (n && !cf_ynode_bool(n, &v))
        *r = cf_content_fail(err, n, "\"%s\" must be true or false", key);
    return v;
}

json_t *cf_str_json(cf_str s)
{
    struct cf_buf b;
    json_t *j;

    if (!s.p)
        return json_null();
    j = json_stringn(s.p, s.n);
    if (j)
        return j;
    cf_buf_init(&b, 0); /* invalid UTF-8: escape it, and read the result back */
    cf_buf_json(&b, s);
    j = b.failed ? NULL : json_loadb(b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    cf_buf_release(&b);
    return j ? j : json_string("");
}

json_t *cf_text_json(struct cf_text t)
{
    return json_pack("{s:o, s:o}", "zh", cf_str_json(t.zh), "en", cf_str_json(t.en));
}

bool cf_duration_parse(cf_str s, int64_t *ret_us)
{
    int64_t n, unit;

    if (s.n < 2 || !cf_str_i64(cf_str_sub(s, 0, s.n - 1), &n) || n <= 0 || n > 100000)
        return false;
    switch (s.p[s.n - 1]) {
    case 's': unit = 1; break;
    case 'm': unit = 60; break;
    case 'h': unit = 3600; break;
    case 'd': unit = 86400; break;
    case 'w': unit = 7 * 86400; break;
    default: return false;
    }
    *ret_us = n * unit * CF_US_PER_S;
    return true;
}

cf_str cf_text_cut(cf_str s, size_t n)
{
    if (s.n <= n)
        return s;
    while (n > 0 && ((unsigned char)s.p[n] & 0xc0u) == 0x80u)
        n--;
    return cf_str_sub(s, 0, n);
}
