/* SPDX-License-Identifier: Apache-2.0
 * Checking what people filled in against a form. Every fault is named with its field; nothing is guessed or cut. */
#include <stdio.h>
#include <stdlib.h>

#include "form/form_int.h"

#define TEXT_MAX 500.0
#define TEXTAREA_MAX 20000.0
#define LIST_MAX 500.0
#define ERRORS_MAX 50u

struct vctx {
    const struct cf_form_set *s;
    const struct cf_form_check *chk;
    json_t *errors;
};

static void fault(struct vctx *c, cf_str field, const char *zh, const char *en, ...) __attribute__((format(printf, 3, 5), format(printf, 4, 5)));
static void fault(struct vctx *c, cf_str field, const char *zh, const char *en, ...)
{
    char msg[300];
    va_list ap;

    if (json_array_size(c->errors) >= ERRORS_MAX)
        return;
    va_start(ap, en);
    (void)vsnprintf(msg, sizeof(msg), c->chk->english ? en : zh, ap);
    va_end(ap);
    json_array_append_new(c->errors, json_pack("{s:o, s:o}", "field", cf_str_json(field), "message", cf_str_json(cf_str_c(msg))));
}

static cf_str jstr(const json_t *j) { return (cf_str){json_string_value(j), json_string_length(j)}; }

static double chars(cf_str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0u) != 0x80u;
    return (double)n;
}

static bool format_ok(cf_str fmt, cf_str s)
{
    struct cf_cidr cidr;
    ptrdiff_t at;

    if (!fmt.p)
        return true;
    if (cf_str_eqz(fmt, "cidr"))
        return cf_cidr_parse(s, &cidr);
    if (cf_str_eqz(fmt, "url"))
        return (cf_str_istarts(s, CF_STR("http://")) || cf_str_istarts(s, CF_STR("https://"))) && s.n > 10 && !memchr(s.p, ' ', s.n);
    if (cf_str_eqz(fmt, "email")) {
        at = cf_str_find(s, CF_STR("@"));
        return at > 0 && cf_str_find(cf_str_sub(s, (size_t)at + 1, s.n), CF_STR(".")) > 0 && !memchr(s.p, ' ', s.n) && s.p[s.n - 1] != '.';
    }
    if (s.n < 5 || s.n > 20) /* phone */
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-' || s.p[i] == ' ' || (s.p[i] == '+' && i == 0)))
            return false;
    return true;
}

static bool option_ok(const struct cf_form_set *s, const struct form_field *f, cf_str v)
{
    const struct form_options *o = &f->options;

    if (f->dictionary.p) {
        const struct form_dict *d = form_dict_find(s, f->dictionary);

        if (!d)
            return false;
        o = &d->options;
    }
    for (size_t i = 0; i < o->n; i++)
        if (cf_str_eq(o->v[i].value, v))
            return true;
    return false;
}

static json_t *check_text(struct vctx *c, const struct form_field *f, cf_str s)
{
    double max = f->has_max ? f->max : f->type == FORM_TEXT ? TEXT_MAX : TEXTAREA_MAX, n;
    char z[801];

    if (memchr(s.p, 0, s.n)) {
        fault(c, f->name, "含有不允许的控制字符", "holds a NUL character");
        return NULL;
    }
    s = cf_str_trim(s);
    n = chars(s);
    if (s.n == 0)
        return json_null();
    if (n > max) {
        fault(c, f->name, "最多 %.0f 个字，现有 %.0f 个", "at most %.0f characters, has %.0f", max, n);
        return NULL;
    }
    if (f->has_min && n < f->min) {
        fault(c, f->name, "至少 %.0f 个字，现有 %.0f 个", "at least %.0f characters, has %.0f", f->min, n);
        return NULL;
    }
    if (!format_ok(f->format, s)) {
        fault(c, f->name, "格式不正确（%.*s）", "does not have the form of %.*s", CF_ARG(f->format));
        return NULL;
    }
    if (f->has_pattern) {
        if (s.n >= sizeof(z)) {
            fault(c, f->name, "内容过长", "is too long");
            return NULL;
        }
        memcpy(z, s.p, s.n);
        z[s.n] = 0;
        if (regexec(&f->pattern, z, 0, NULL, 0) != 0) {
            fault(c, f->name, "格式不正确，应符合 %.*s", "does not match %.*s", CF_ARG(f->pattern_text));
            return NULL;
        }
    }
    return json_stringn(s.p, s.n);
}

static bool date_ok(cf_str s, bool with_time)
{
    int64_t us;

    if (!cf_time_parse(s, &us))
        return false;
    return with_time ? s.n > 10 : s.n == 10;
}

/* One value of a field or of a list's item, as text. NULL: a fault was noted. json null: empty. */
static json_t *check_string(struct vctx *c, const struct form_field *f, cf_str s)
{
    struct cf_ip ip;
    enum cf_form_ref ref = CF_REF_FILE;

    if (f->type == FORM_TEXT || f->type == FORM_TEXTAREA)
        return check_text(c, f, s);
    s = cf_str_trim(s);
    if (s.n == 0)
        return json_null();
    switch (f->type) {
    case FORM_DATE:
    case FORM_DATETIME:
        if (date_ok(s, f->type == FORM_DATETIME))
            return json_stringn(s.p, s.n);
        fault(c, f->name, "应为%s", "must be %s", f->type == FORM_DATE ? "YYYY-MM-DD" : "YYYY-MM-DDThh:mm:ss+08:00");
        return NULL;
    case FORM_IP:
        if (cf_ip_parse(s, &ip))
            return json_stringn(s.p, s.n);
        fault(c, f->name, "不是 IP 地址", "is not an IP address");
        return NULL;
    case FORM_LEVEL:
        for (size_t i = 0; i < 4; i++)
            if (cf_str_eqz(s, form_levels[i]))
                return json_stringn(s.p, s.n);
        fault(c, f->name, "级别应为 critical、high、medium、low 之一", "must be critical, high, medium or low");
        return NULL;
    case FORM_SELECT:
    case FORM_MULTISELECT:
        if (option_ok(c->s, f, s))
            return json_stringn(s.p, s.n);
        fault(c, f->name, "“%.*s”不在可选值中", "\"%.*s\" is not one of the choices", CF_ARG(cf_text_cut(s, 60)));
        return NULL;
    case FORM_ORG:
    case FORM_ORGS: ref = CF_REF_ORG; break;
    case FORM_USER: ref = CF_REF_USER; break;
    default: break;
    }
    if (s.n > 64 || (c->chk->ref && !c->chk->ref(c->chk->ctx, ref, s))) {
        fault(c, f->name, "“%.*s”不存在或不在权限范围内", "\"%.*s\" does not exist or is outside your scope", CF_ARG(cf_text_cut(s, 60)));
        return NULL;
    }
    return json_stringn(s.p, s.n);
}

static json_t *check_number(struct vctx *c, const struct form_field *f, const json_t *v)
{
    double d = 0;

    if (json_is_number(v)) {
        d = json_number_value(v);
    } else if (!json_is_string(v) || (json_string_length(v) && !cf_str_f64(cf_str_trim(jstr(v)), &d)) || d != d) {
        fault(c, f->name, "应为数字", "must be a number");
        return NULL;
    } else if (json_string_length(v) == 0) {
        return json_null();
    }
    if ((f->has_min && d < f->min) || (f->has_max && d > f->max)) {
        fault(c, f->name, "超出允许范围", "is outside the allowed range");
        return NULL;
    }
    if (d >= -9e15 && d <= 9e15 && d == (double)(int64_t)d)
        return json_integer((json_int_t)d);
    return json_real(d);
}

static json_t *check_list(struct vctx *c, const struct form_field *f, const json_t *v)
{
    json_t *out, *item;
    size_t i;

    if (!json_is_array(v)) {
        fault(c, f->name, "应为列表", "must be a list");
        return NULL;
    }
    if ((double)json_array_size(v) > (f->has_max ? f->max : LIST_MAX)) {
        fault(c, f->name, "最多 %.0f 项", "at most %.0f entries", f->has_max ? f->max : LIST_MAX);
        return NULL;
    }
    out = json_array();
    json_array_foreach(v, i, item)
    {
        json_t *one;
        bool twice = false;
        size_t k;
        json_t *have;

        if (!json_is_string(item)) {
            fault(c, f->name, "每一项应为文本", "entries must be text");
            json_decref(out);
            return NULL;
        }
        one = check_string(c, f, jstr(item));
        if (!one) {
            json_decref(out);
            return NULL;
        }
        json_array_foreach(out, k, have) twice |= json_equal(have, one) == 1;
        if (json_is_null(one) || twice)
            json_decref(one);
        else
            json_array_append_new(out, one);
    }
    if (json_array_size(out) == 0) {
        json_decref(out);
        return json_null();
    }
    return out;
}

static json_t *check_value(struct vctx *c, const struct form_field *f, const json_t *v)
{
    if (!v || json_is_null(v))
        return json_null();
    if (form_type_is_list(f->type))
        return check_list(c, f, v);
    if (f->type == FORM_NUMBER)
        return check_number(c, f, v);
    if (f->type == FORM_BOOL) {
        if (json_is_boolean(v))
            return json_boolean(json_is_true(v));
        fault(c, f->name, "应为 true 或 false", "must be true or false");
        return NULL;
    }
    if (!json_is_string(v)) {
        fault(c, f->name, "应为文本", "must be text");
        return NULL;
    }
    return check_string(c, f, jstr(v));
}

static bool shown(const struct form_field *f, const json_t *data)
{
    char name[65];
    const json_t *v;
    cf_str s;

    if (!f->show_field.p)
        return true;
    (void)snprintf(name, sizeof(name), "%.*s", CF_ARG(f->show_field));
    v = json_object_get(data, name);
    s = json_is_boolean(v) ? (json_is_true(v) ? CF_STR("true") : CF_STR("false")) : json_is_string(v) ? jstr(v) : CF_STR_NONE;
    for (size_t i = 0; s.p && i < f->n_show; i++)
        if (cf_str_eq(f->show[i], s))
            return true;
    return false;
}

static void check_field(struct vctx *c, const struct form_field *f, const json_t *data, json_t *clean)
{
    char name[65];
    json_t *v;

    (void)snprintf(name, sizeof(name), "%.*s", CF_ARG(f->name));
    if (!shown(f, data))
        return;
    v = check_value(c, f, json_object_get(data, name));
    if (!v)
        return;
    if (!json_is_null(v)) {
        json_object_set_new(clean, name, v);
        return;
    }
    json_decref(v);
    if (f->required && !c->chk->draft)
        fault(c, f->name, "%.*s为必填项", "%.*s is required", CF_ARG(c->chk->english ? f->label.en : f->label.zh));
}

int cf_form_validate(const struct cf_form_set *s, const struct cf_form *f, const json_t *data, const struct cf_form_check *chk,
                     json_t **ret_clean, json_t **ret_errors)
{
    struct vctx c = {s, chk, json_array()};
    json_t *clean = json_object(), *empty = json_object(), *v;
    const char *key;

    if (data && !json_is_object(data) && !json_is_null(data))
        fault(&c, CF_STR("form"), "应为对象", "must be an object");
    if (!json_is_object(data))
        data = empty;
    json_object_foreach((json_t *)(uintptr_t)data, key, v)
    {
        (void)v;
        if (!form_field_find(f, cf_str_c(key)))
            fault(&c, cf_str_sub(cf_str_c(key), 0, 64), "表单中没有这一项", "is not a field of this form");
    }
    for (size_t i = 0; i < f->n; i++)
        for (size_t k = 0; k < f->v[i].n; k++)
            check_field(&c, &f->v[i].v[k], data, clean);
    json_decref(empty);
    if (json_array_size(c.errors) == 0) {
        json_decref(c.errors);
        *ret_clean = clean;
        return 0;
    }
    json_decref(clean);
    *ret_errors = c.errors;
    return CF_EINVAL;
}
