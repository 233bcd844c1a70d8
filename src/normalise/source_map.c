/* SPDX-License-Identifier: Apache-2.0
 * map: rows, targets, conversions, look-up tables; and the conditions of when and match. */
#include "normalise/source_load.h"

static const struct {
    const char *name;
    enum cf_conv conv;
} convs[] = {{"lower", CF_C_LOWER}, {"upper", CF_C_UPPER}, {"int", CF_C_INT}, {"hex", CF_C_HEX}, {"ip", CF_C_IP}, {"mac", CF_C_MAC},
             {"basename", CF_C_BASENAME}, {"hashes", CF_C_HASHES}, {"user", CF_C_USER}, {"s_to_ns", CF_C_S_TO_NS}, {"ms_to_ns", CF_C_MS_TO_NS},
             {"us_to_ns", CF_C_US_TO_NS}, {"time", CF_C_TIME}, {"trim", CF_C_TRIM}, {"split_comma", CF_C_SPLIT_COMMA},
             {"split_space", CF_C_SPLIT_SPACE}, {"host_port", CF_C_HOSTPORT}, {"protocol", CF_C_PROTO}, {"no_braces", CF_C_NOBRACES},
             {"url", CF_C_URL}, {"address", CF_C_ADDRESS}, {"sid", CF_C_SID},
             {"mac_pair", CF_C_MACPAIR}, {"hms_to_ns", CF_C_HMS}, {"unhex", CF_C_UNHEX}, {"dns_results", CF_C_DNSRESULTS}, {"args", CF_C_ARGS}, {"append", CF_C_APPEND},
             {"fingerprint", CF_C_FINGERPRINT}, {"dashes", CF_C_DASHES}};

static const struct cf_lookup *find_lookup(const struct cf_load *l, cf_str name)
{
    for (size_t i = 0; i < l->n_lookup; i++)
        if (cf_str_eq(l->lookup[i].name, name))
            return &l->lookup[i];
    return NULL;
}

static enum cf_fast fast_way(const struct cf_ref *to)
{
    if (to->field == CF_F_EXTRA)
        return CF_FAST_EXTRA;
    switch (cf_fields[to->field].type) {
    case CF_T_KEYWORD: case CF_T_TEXT: case CF_T_DATE: case CF_T_BOOL: return CF_FAST_TEXT;
    case CF_T_LONG: return CF_FAST_NUMBER;
    case CF_T_IP: return CF_FAST_IP;
    case CF_T_FLOAT: break;
    }
    return CF_FAST_NONE;
}

/* "field", {to: field, convert: name, lookup: name} */
int cf_load_target(struct cf_load *l, const struct cf_ynode *y, struct cf_target *ret)
{
    const struct cf_ynode *to = y, *c;
    int r;

    *ret = (struct cf_target){0};
    if (y->kind == CF_Y_MAP) {
        if ((r = cf_load_keys(l, y, "a mapping", "to convert lookup")) < 0)
            return r;
        to = cf_ymap_get(y, "to");
        if (!to || to->kind != CF_Y_SCALAR)
            return cf_load_fail(l, y, "a mapping needs to: field");
        c = cf_ymap_get(y, "convert");
        if (c) {
            for (size_t i = 0; i < sizeof convs / sizeof *convs; i++)
                if (cf_str_eqz(c->text, convs[i].name))
                    ret->conv = convs[i].conv;
            if (!ret->conv)
                return cf_load_fail(l, c, "convert \"%.*s\" is not known (lower upper int hex ip mac basename hashes user s_to_ns ms_to_ns us_to_ns time trim "
                            "split_comma split_space host_port protocol no_braces url address sid mac_pair hms_to_ns unhex dns_results args append fingerprint dashes)", CF_ARG(c->text));
        }
        c = cf_ymap_get(y, "lookup");
        if (c && !(ret->lookup = find_lookup(l, c->text)))
            return cf_load_fail(l, c, "lookup \"%.*s\" is not in lookups:", CF_ARG(c->text));
    } else if (y->kind != CF_Y_SCALAR) {
        return cf_load_fail(l, y, "a mapping must be a field name, a map with to:, or a list of these");
    }
    if ((r = cf_load_ref(l, to, to->text, ret->conv != CF_C_HASHES, &ret->to)) == 0 && ret->conv == CF_C_NONE && !ret->lookup)
        ret->fast = fast_way(&ret->to);
    if (r == 0 && ret->conv == CF_C_ADDRESS && !ret->lookup && ret->to.field != CF_F_EXTRA && cf_fields[ret->to.field].type == CF_T_IP)
        ret->fast = CF_FAST_ADDRESS;
    return r;
}

int cf_load_map(struct cf_load *l, const struct cf_ynode *y, struct cf_map *ret)
{
    size_t cap = 8;
    int r;

    memset(ret, 0, sizeof *ret);
    if (!y)
        return 0;
    if (y->kind != CF_Y_MAP)
        return cf_load_fail(l, y, "map must be a map of key: field");
    while (cap < y->n * 2)
        cap *= 2;
    ret->mask = cap - 1;
    ret->slot = CF_NEW_N(l->a, struct cf_maprow *, cap);
    if (!ret->slot)
        return cf_load_nomem(l);
    for (const struct cf_ynode *c = y->child; c; c = c->next) {
        struct cf_maprow *row = CF_NEW(l->a, struct cf_maprow);
        cf_str full;
        uint64_t i;
        if (!row || !(row->t = CF_NEW_N(l->a, struct cf_target, c->kind == CF_Y_SEQ ? c->n + 1 : 1)))
            return cf_load_nomem(l);
        row->key = c->key;
        row->hash = cf_hash64(c->key);
        full = cf_arena_printf(l->a, "%.*s%.*s", CF_ARG(l->s->prefix), CF_ARG(c->key));
        if (!full.p)
            return cf_load_nomem(l);
        row->extra = cf_name_intern(full);
        /* names with dots that are one key at the source ("id.orig_h") are searched for by all of it */
        row->raw = cf_name_intern(l->s->ecs ? cf_load_leaf(c->key) : c->key);
        if (c->kind == CF_Y_SEQ) {
            for (const struct cf_ynode *e = c->child; e; e = e->next)
                if ((r = cf_load_target(l, e, &row->t[row->n++])) < 0)
                    return r;
        } else if (!cf_ynode_is_null(c)) {
            if ((r = cf_load_target(l, c, &row->t[row->n++])) < 0)
                return r;
        }
        for (i = row->hash & ret->mask; ret->slot[i]; i = (i + 1) & ret->mask)
            ;
        ret->slot[i] = row;
    }
    return 0;
}

int cf_load_conds(struct cf_load *l, const struct cf_ynode *y, struct cf_cond **ret, size_t *ret_n)
{
    int r;

    *ret_n = 0;
    if (!y)
        return 0;
    if (y->kind != CF_Y_MAP || !y->n)
        return cf_load_fail(l, y, "conditions must be a map of field: value");
    *ret = CF_NEW_N(l->a, struct cf_cond, y->n);
    if (!*ret)
        return cf_load_nomem(l);
    for (const struct cf_ynode *c = y->child; c; c = c->next) {
        struct cf_cond *d = &(*ret)[(*ret_n)++];
        cf_str name = c->key;
        if (name.n && name.p[0] == '!') {
            d->negate = true;
            name = cf_str_sub(name, 1, name.n);
        }
        if ((r = cf_load_ref(l, c, name, false, &d->ref)) < 0 || (r = cf_load_strings(l, c, "a condition", &d->val, &d->n)) < 0)
            return r;
        if (d->n == 1 && cf_str_eqz(d->val[0], "*"))
            d->n = 0; /* present */
        for (size_t i = 0; i < d->n; i++) {
            cf_str v = d->val[i];
            d->may |= v.n && (v.p[0] == '*' || v.p[v.n - 1] == '*') ? UINT64_MAX : UINT64_C(1) << cf_text_sign(v);
        }
    }
    return 0;
}

int cf_load_lookups(struct cf_load *l, const struct cf_ynode *y)
{
    if (!y)
        return 0;
    if (y->kind != CF_Y_MAP)
        return cf_load_fail(l, y, "lookups must be a map of name: table");
    l->lookup = CF_NEW_N(l->a, struct cf_lookup, y->n + 1);
    if (!l->lookup)
        return cf_load_nomem(l);
    for (const struct cf_ynode *c = y->child; c; c = c->next) {
        struct cf_lookup *k = &l->lookup[l->n_lookup++];
        if (c->kind != CF_Y_MAP)
            return cf_load_fail(l, c, "lookup \"%.*s\" must be a map of value: value", CF_ARG(c->key));
        k->name = c->key;
        k->key = CF_NEW_N(l->a, cf_str, c->n + 1);
        k->val = CF_NEW_N(l->a, cf_str, c->n + 1);
        if (!k->key || !k->val)
            return cf_load_nomem(l);
        for (const struct cf_ynode *e = c->child; e; e = e->next) {
            char *low;
            if (e->kind != CF_Y_SCALAR)
                return cf_load_fail(l, e, "a lookup holds texts only");
            if (cf_str_eqz(e->key, "default") && e->key_plain) {
                k->def = e->text;
                continue;
            }
            low = cf_arena_strdup(l->a, e->key);
            if (!low)
                return cf_load_nomem(l);
            for (char *p = low; *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                    *p = (char)(*p | 32);
            k->key[k->n] = cf_str_n(low, e->key.n);
            k->val[k->n++] = e->text;
        }
    }
    return 0;
}
