/* SPDX-License-Identifier: Apache-2.0
 * False-positive exceptions: filters over event fields that hide hits of a rule, with an end date and a counter. */
#include "incident/incident_int.h"

#include <stdlib.h>

#include "form/content.h"

static const char *const op_names[] = {"equals", "contains", "cidr"};

static int parse_one(const char *field, const json_t *v, struct cf_arena *a, struct inc_condition *c, struct cf_error *err)
{
    const json_t *val = v;
    const char *op = "equals";

    if (json_is_object(v)) {
        if (json_object_get(v, "op"))
            op = json_string_value(json_object_get(v, "op"));
        val = json_object_get(v, "value");
    }
    c->field = cf_arena_copy(a, cf_str_c(field));
    if (json_is_string(val))
        c->value = cf_arena_copy(a, cf_str_n(json_string_value(val), json_string_length(val)));
    else if (json_is_integer(val))
        c->value = cf_arena_printf(a, "%lld", (long long)json_integer_value(val));
    else
        return cf_error_set(err, CF_EINVAL, "fields.%.60s: a text value is needed", field);
    c->op = (enum inc_op)3;
    for (int i = 0; i < 3; i++)
        if (op && strcmp(op, op_names[i]) == 0)
            c->op = (enum inc_op)i;
    if (c->op > INC_CIDR)
        return cf_error_set(err, CF_EINVAL, "fields.%.60s: op must be equals, contains or cidr", field);
    if (c->value.n == 0 || c->value.n > 1000 || (c->op == INC_CONTAINS && c->value.n < 3))
        return cf_error_set(err, CF_EINVAL, "fields.%.60s: the value must have 1 to 1000 bytes (contains: at least 3)", field);
    if (c->op == INC_CIDR && !cf_cidr_parse(c->value, &c->cidr))
        return cf_error_set(err, CF_EINVAL, "fields.%.60s: \"%.60s\" is not an address range", field, json_string_value(val) ? json_string_value(val) : "");
    return 0;
}

int inc_conditions_parse(const json_t *fields, struct cf_arena *a, struct inc_condition **ret, size_t *ret_n, struct cf_error *reterr)
{
    size_t n = json_object_size(fields), i = 0;
    struct inc_condition *v;
    const char *key;
    json_t *val;
    int r;

    if (!json_is_object(fields) || n == 0 || n > 16)
        return cf_error_set(reterr, CF_EINVAL, "fields: 1 to 16 field conditions are needed; an exception without any would hide everything");
    v = CF_NEW_N(a, struct inc_condition, n);
    if (!v)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    json_object_foreach((json_t *)(uintptr_t)fields, key, val)
    {
        if (strlen(key) > 100 || key[0] == 0)
            return cf_error_set(reterr, CF_EINVAL, "fields: a field name has 1 to 100 bytes");
        r = parse_one(key, val, a, &v[i++], reterr);
        if (r < 0)
            return r;
    }
    *ret = v;
    *ret_n = n;
    return 0;
}

json_t *inc_conditions_json(const struct inc_condition *v, size_t n)
{
    json_t *o = json_object();

    for (size_t i = 0; i < n; i++) {
        char name[101];

        (void)snprintf(name, sizeof(name), "%.*s", CF_ARG(v[i].field));
        json_object_set_new(o, name, json_pack("{s:s, s:o}", "op", op_names[v[i].op], "value", cf_str_json(v[i].value)));
    }
    return o;
}

static bool value_holds(const struct inc_condition *c, cf_str v)
{
    struct cf_ip ip;

    switch (c->op) {
    case INC_EQUALS: return cf_str_ieq(v, c->value);
    case INC_CONTAINS: return cf_str_ifind(v, c->value) >= 0;
    case INC_CIDR: return cf_ip_parse(v, &ip) && cf_cidr_has(&c->cidr, &ip);
    }
    return false;
}

static bool condition_holds(const struct inc_condition *c, const struct cf_event *ev)
{
    for (const struct cf_value *v = cf_event_find(ev, c->field); v; v = cf_event_next(ev, v))
        if (value_holds(c, (cf_str){v->p, v->n}))
            return true;
    return false;
}

static bool json_holds(const struct inc_condition *c, const json_t *v)
{
    char num[32];
    size_t i;
    json_t *x;

    if (json_is_array(v)) {
        json_array_foreach(v, i, x) if (json_holds(c, x)) return true;
        return false;
    }
    if (json_is_string(v))
        return value_holds(c, cf_str_n(json_string_value(v), json_string_length(v)));
    if (json_is_integer(v)) {
        (void)snprintf(num, sizeof(num), "%lld", (long long)json_integer_value(v));
        return value_holds(c, cf_str_c(num));
    }
    if (json_is_boolean(v))
        return value_holds(c, json_is_true(v) ? CF_STR("true") : CF_STR("false"));
    return false;
}

bool inc_condition_json_holds(const struct inc_condition *c, const json_t *ecs)
{
    cf_str rest = c->field, part;
    const json_t *at = ecs;
    char name[101];

    while (at && cf_str_cut(&rest, '.', &part)) {
        if (part.n >= sizeof(name))
            return false;
        memcpy(name, part.p, part.n);
        name[part.n] = 0;
        at = json_object_get(at, name);
    }
    return at && json_holds(c, at);
}

int inc_exceptions_match(const struct inc_exceptions *x, const struct cf_rule_info *rule, const struct cf_event *ev, cf_str org, int64_t now_us)
{
    for (size_t i = 0; x && i < x->n; i++) {
        const struct inc_exception *e = &x->v[i];
        size_t k = 0;

        if ((e->rule_id.n && !cf_str_eq(e->rule_id, rule->id)) || (e->org_id.n && !cf_str_eq(e->org_id, org)) ||
            (e->expires_us && e->expires_us <= now_us))
            continue;
        while (k < e->n && condition_holds(&e->v[k], ev))
            k++;
        if (k == e->n)
            return (int)i;
    }
    return -1;
}

static int load_row(struct inc_exceptions *x, struct cf_stmt *st, struct inc_exception *e)
{
    json_t *cond = json_loadb(cf_stmt_str(st, 4).p, cf_stmt_str(st, 4).n, 0, NULL);
    int r;

    e->id = cf_arena_copy(&x->arena, cf_stmt_str(st, 0));
    e->rule_id = cf_arena_copy(&x->arena, cf_stmt_null(st, 1) ? CF_STR("") : cf_stmt_str(st, 1));
    e->org_id = cf_arena_copy(&x->arena, cf_stmt_null(st, 2) ? CF_STR("") : cf_stmt_str(st, 2));
    e->expires_us = cf_stmt_i64(st, 3);
    r = cond ? inc_conditions_parse(cond, &x->arena, &e->v, &e->n, NULL) : CF_ECORRUPT;
    json_decref(cond);
    return r;
}

struct inc_exceptions *inc_exceptions_load(struct cf_db *db, struct cf_error *reterr)
{
    struct inc_exceptions *x = calloc(1, sizeof(*x));
    struct cf_stmt *st = NULL;
    struct cf_tx *tx = NULL;
    size_t cap = 0;
    int r;

    if (!x) {
        (void)cf_error_set(reterr, CF_ENOMEM, "out of memory");
        return NULL;
    }
    cf_arena_init(&x->arena, 0, 0);
    r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);
    if (r == 0)
        r = cf_tx_query(tx, "SELECT id, rule_id, match_org, COALESCE(expires_us, 0), conditions FROM alert_exception WHERE active = 1 AND enabled = 1", &st, reterr);
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        if (x->n == cap) {
            struct inc_exception *v = CF_NEW_N(&x->arena, struct inc_exception, cap ? cap * 2 : 16);

            if (!v) {
                r = CF_ENOMEM;
                break;
            }
            if (x->n)
                memcpy(v, x->v, x->n * sizeof(*v));
            x->v = v;
            cap = cap ? cap * 2 : 16;
        }
        if (load_row(x, st, &x->v[x->n]) == 0)
            x->n++;
        r = 0;
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r < 0) {
        inc_exceptions_free(x);
        return NULL;
    }
    return x;
}

void inc_exceptions_free(struct inc_exceptions *x)
{
    if (!x)
        return;
    cf_arena_release(&x->arena);
    free(x);
}

int cf_incident_hidden_by(struct cf_db *db, const struct cf_rule_info *rule, const struct cf_event *ev, cf_str org, char ret_id[37], struct cf_error *reterr)
{
    struct inc_exceptions *x = inc_exceptions_load(db, reterr);
    int i;

    if (!x)
        return reterr ? reterr->code : CF_ENOMEM;
    i = inc_exceptions_match(x, rule, ev, org, cf_now_us());
    if (i >= 0)
        (void)snprintf(ret_id, 37, "%.*s", (int)(x->v[i].id.n < 36 ? x->v[i].id.n : 36), x->v[i].id.p);
    inc_exceptions_free(x);
    return i >= 0;
}
