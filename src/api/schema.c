/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema.h"

#include <stdio.h>

#define FAULTS_MAX 20
#define FIELD_MAX 256

struct check {
    cf_schema_fail fail;
    void *ctx;
    unsigned faults;
    char field[FIELD_MAX];
};

__attribute__((format(printf, 2, 3))) static void fault(struct check *c, const char *fmt, ...)
{
    char msg[300];
    va_list ap;

    if (c->faults++ >= FAULTS_MAX)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    c->fail(c->ctx, c->field, msg);
}

static size_t utf8_length(const char *s, size_t n)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++)
        k += ((unsigned char)s[i] & 0xc0u) != 0x80u;
    return k;
}

static bool type_is(const char *t, const json_t *v)
{
    if (strcmp(t, "object") == 0)
        return json_is_object(v);
    if (strcmp(t, "array") == 0)
        return json_is_array(v);
    if (strcmp(t, "string") == 0)
        return json_is_string(v);
    if (strcmp(t, "integer") == 0)
        return json_is_integer(v);
    if (strcmp(t, "number") == 0)
        return json_is_number(v);
    if (strcmp(t, "boolean") == 0)
        return json_is_boolean(v);
    return strcmp(t, "null") == 0 && json_is_null(v);
}

static bool check_type(struct check *c, const json_t *schema, const json_t *v)
{
    const json_t *t = json_object_get(schema, "type"), *one;
    char list[120] = "";
    size_t i, n = 0;

    if (!t)
        return true;
    if (json_is_string(t)) {
        if (type_is(json_string_value(t), v))
            return true;
        fault(c, "must be of type %s", json_string_value(t));
        return false;
    }
    json_array_foreach(t, i, one)
    {
        if (type_is(json_string_value(one), v))
            return true;
        int k = snprintf(list + n, sizeof list - n, "%s%s", i ? " or " : "", json_string_value(one));
        n += k > 0 && (size_t)k < sizeof list - n ? (size_t)k : 0;
    }
    fault(c, "must be of type %s", list);
    return false;
}

static void check_enum(struct check *c, const json_t *schema, const json_t *v)
{
    const json_t *e = json_object_get(schema, "enum"), *one;
    char list[200] = "";
    size_t i, n = 0;

    if (!e)
        return;
    json_array_foreach(e, i, one)
    {
        if (json_equal(one, v))
            return;
        if (json_is_string(one)) {
            int k = snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", json_string_value(one));
            n += k > 0 && (size_t)k < sizeof list - n ? (size_t)k : 0;
        }
    }
    fault(c, "must be one of: %s", list);
}

static void check_bounds(struct check *c, const json_t *schema, const json_t *v)
{
    const json_t *lo, *hi;

    if (json_is_string(v)) {
        size_t n = utf8_length(json_string_value(v), json_string_length(v));

        if ((lo = json_object_get(schema, "minLength")) && n < (size_t)json_integer_value(lo))
            fault(c, json_integer_value(lo) == 1 ? "must not be empty" : "must have at least %lld characters", (long long)json_integer_value(lo));
        if ((hi = json_object_get(schema, "maxLength")) && n > (size_t)json_integer_value(hi))
            fault(c, "must have at most %lld characters", (long long)json_integer_value(hi));
        if (memchr(json_string_value(v), 0, json_string_length(v)))
            fault(c, "must not contain a NUL character");
    } else if (json_is_number(v)) {
        if ((lo = json_object_get(schema, "minimum")) && json_number_value(v) < json_number_value(lo))
            fault(c, "must be at least %.15g", json_number_value(lo));
        if ((hi = json_object_get(schema, "maximum")) && json_number_value(v) > json_number_value(hi))
            fault(c, "must be at most %.15g", json_number_value(hi));
    } else if (json_is_array(v)) {
        if ((lo = json_object_get(schema, "minItems")) && json_array_size(v) < (size_t)json_integer_value(lo))
            fault(c, "must have at least %lld entries", (long long)json_integer_value(lo));
        if ((hi = json_object_get(schema, "maxItems")) && json_array_size(v) > (size_t)json_integer_value(hi))
            fault(c, "must have at most %lld entries", (long long)json_integer_value(hi));
    }
}

static void check_value(struct check *c, const json_t *schema, json_t *v);

/* Appends ".name" or "[i]" to the path while fn's value is checked. */
static void check_child(struct check *c, const json_t *schema, json_t *v, const char *name, size_t index)
{
    size_t n = strlen(c->field);

    if (name)
        (void)snprintf(c->field + n, sizeof c->field - n, "%s%s", n ? "." : "", name);
    else
        (void)snprintf(c->field + n, sizeof c->field - n, "[%zu]", index);
    if (v)
        check_value(c, schema, v);
    else
        fault(c, "is required");
    c->field[n] = 0;
}

static void check_object(struct check *c, const json_t *schema, json_t *v)
{
    const json_t *props = json_object_get(schema, "properties"), *req = json_object_get(schema, "required"), *name, *sub;
    const json_t *more = json_object_get(schema, "additionalProperties");
    const char *key;
    json_t *child;
    size_t i;

    json_array_foreach(req, i, name)
    {
        if (!json_object_get(v, json_string_value(name)))
            check_child(c, NULL, NULL, json_string_value(name), 0);
    }
    json_object_foreach(v, key, child)
    {
        sub = json_object_get(props, key);
        if (sub)
            check_child(c, sub, child, key, 0);
        else if (json_is_false(more)) {
            size_t n = strlen(c->field);

            (void)snprintf(c->field + n, sizeof c->field - n, "%s%s", n ? "." : "", key);
            fault(c, "is not known here");
            c->field[n] = 0;
        } else if (json_is_object(more))
            check_child(c, more, child, key, 0);
    }
}

static void check_value(struct check *c, const json_t *schema, json_t *v)
{
    if (c->faults >= FAULTS_MAX || !check_type(c, schema, v))
        return;
    check_enum(c, schema, v);
    check_bounds(c, schema, v);
    if (json_is_object(v))
        check_object(c, schema, v);
    else if (json_is_array(v)) {
        const json_t *items = json_object_get(schema, "items");
        size_t i;
        json_t *child;

        if (items) {
            json_array_foreach(v, i, child) check_child(c, items, child, NULL, i);
        }
    }
}

bool cf_schema_check(const json_t *schema, json_t *value, cf_schema_fail fail, void *ctx)
{
    struct check c = {.fail = fail, .ctx = ctx};

    check_value(&c, schema, value);
    return c.faults == 0;
}

void cf_schema_query_add(const json_t *schema, json_t *object, const char *name, cf_str value)
{
    const json_t *prop = json_object_get(json_object_get(schema, "properties"), name);
    const char *type = json_string_value(json_object_get(prop, "type"));
    int64_t i;
    double d;
    json_t *v = NULL;

    if (type && strcmp(type, "integer") == 0 && cf_str_i64(value, &i))
        v = json_integer(i);
    else if (type && strcmp(type, "number") == 0 && cf_str_f64(value, &d))
        v = json_real(d);
    else if (type && strcmp(type, "boolean") == 0 && (cf_str_eqz(value, "true") || cf_str_eqz(value, "false")))
        v = json_boolean(cf_str_eqz(value, "true"));
    else
        v = json_stringn(value.p, value.n); /* NULL for invalid UTF-8 */
    (void)json_object_set_new(object, name, v ? v : json_null());
}
