/* SPDX-License-Identifier: Apache-2.0
 * YAML -> struct cf_source. Every key is checked: an unknown one is refused with its line. */
#include <stdio.h>
#include <stdlib.h>

#include "normalise/source.h"

struct load {
    struct cf_arena *a;
    struct cf_source *s;
    struct cf_lookup *lookup;
    size_t n_lookup;
    struct cf_error *err;
};

#define FAIL(l, node, ...) fail((l), (node), __VA_ARGS__)
static int fail(struct load *l, const struct cf_ynode *n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int fail(struct load *l, const struct cf_ynode *n, const char *fmt, ...)
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

static int nomem(struct load *l) { return cf_error_set(l->err, CF_ENOMEM, "%s: no memory", l->s->file); }

/* Every child key must be in the list of words (separated by blanks). */
static int only_keys(struct load *l, const struct cf_ynode *map, const char *what, const char *words)
{
    if (map->kind != CF_Y_MAP)
        return FAIL(l, map, "%s must be a map", what);
    for (const struct cf_ynode *c = map->child; c; c = c->next) {
        const char *p = words;
        bool ok = false;
        while (*p && !ok) {
            size_t n = strcspn(p, " ");
            ok = n == c->key.n && memcmp(p, c->key.p, n) == 0;
            p += n + (p[n] == ' ');
        }
        if (!ok)
            return FAIL(l, c, "unknown key \"%.*s\" in %s (known: %s)", CF_ARG(c->key), what, words);
    }
    return 0;
}

/* A scalar or a list of scalars. */
static int strings(struct load *l, const struct cf_ynode *y, const char *what, cf_str **ret, size_t *ret_n)
{
    size_t n = 0;

    *ret_n = 0;
    if (!y)
        return 0;
    if (y->kind == CF_Y_SCALAR) {
        *ret = CF_NEW_N(l->a, cf_str, 1);
        if (!*ret)
            return nomem(l);
        (*ret)[0] = y->text;
        *ret_n = 1;
        return 0;
    }
    if (y->kind != CF_Y_SEQ)
        return FAIL(l, y, "%s must be a text or a list of texts", what);
    *ret = CF_NEW_N(l->a, cf_str, y->n + 1);
    if (!*ret)
        return nomem(l);
    for (const struct cf_ynode *c = y->child; c; c = c->next) {
        if (c->kind != CF_Y_SCALAR)
            return FAIL(l, c, "%s must hold texts only", what);
        (*ret)[n++] = c->text;
    }
    *ret_n = n;
    return 0;
}

static cf_str leaf(cf_str name)
{
    const char *dot = memrchr(name.p, '.', name.n);

    return dot ? cf_str_n(dot + 1, (size_t)(name.p + name.n - dot - 1)) : name;
}

static int make_ref(struct load *l, const struct cf_ynode *at, cf_str name, bool target, struct cf_ref *ret)
{
    if (!name.n || name.n > 200)
        return FAIL(l, at, "a field name is missing or longer than 200 bytes");
    *ret = (struct cf_ref){.field = (uint16_t)cf_field_find(name), .text = name};
    if (cf_str_eqz(name, "@timestamp") && target)
        return FAIL(l, at, "@timestamp is set by time:, not by a mapping");
    if (target && ret->field == CF_F_EXTRA) {
        if (!memchr(name.p, '.', name.n))
            return FAIL(l, at, "\"%.*s\" is not a field of the table; a field of the source's own needs a dotted name (vendor.%.*s)",
                        CF_ARG(name), CF_ARG(name));
        ret->name = cf_name_intern(name);
    }
    if (ret->field == CF_F_EXTRA && memchr(name.p, '.', name.n))
        ret->name = cf_name_intern(name);
    ret->raw = cf_name_intern(leaf(name));
    return 0;
}

static int parse_sets(struct load *l, const struct cf_ynode *y, struct cf_sets *ret)
{
    size_t n = 0;
    int r;

    ret->n = 0;
    if (!y)
        return 0;
    if (y->kind != CF_Y_MAP)
        return FAIL(l, y, "set must be a map of field: value");
    for (const struct cf_ynode *c = y->child; c; c = c->next)
        n += c->kind == CF_Y_SEQ ? c->n : 1;
    ret->v = CF_NEW_N(l->a, struct cf_setv, n + 1);
    if (!ret->v)
        return nomem(l);
    for (const struct cf_ynode *c = y->child; c; c = c->next) {
        struct cf_ref ref;
        cf_str *v = NULL;
        size_t k;
        if ((r = make_ref(l, c, c->key, true, &ref)) < 0 || (r = strings(l, c, "a value of set", &v, &k)) < 0)
            return r;
        for (size_t i = 0; i < k; i++)
            ret->v[ret->n++] = (struct cf_setv){.to = ref, .val = v[i], .add = i > 0, .text = v[i].n < 128 ? cf_name_intern(v[i]) : 0};
    }
    return cf_sets_block(l->a, ret) < 0 ? nomem(l) : 0;
}

static const struct {
    const char *name;
    enum cf_conv conv;
} convs[] = {{"lower", CF_C_LOWER}, {"upper", CF_C_UPPER}, {"int", CF_C_INT}, {"hex", CF_C_HEX}, {"ip", CF_C_IP}, {"mac", CF_C_MAC},
             {"basename", CF_C_BASENAME}, {"hashes", CF_C_HASHES}, {"user", CF_C_USER}, {"s_to_ns", CF_C_S_TO_NS}, {"ms_to_ns", CF_C_MS_TO_NS},
             {"us_to_ns", CF_C_US_TO_NS}, {"time", CF_C_TIME}, {"trim", CF_C_TRIM}, {"split_comma", CF_C_SPLIT_COMMA},
             {"split_space", CF_C_SPLIT_SPACE}, {"host_port", CF_C_HOSTPORT}, {"protocol", CF_C_PROTO}, {"no_braces", CF_C_NOBRACES},
             {"url", CF_C_URL}, {"address", CF_C_ADDRESS}, {"sid", CF_C_SID},
             {"mac_pair", CF_C_MACPAIR}, {"hms_to_ns", CF_C_HMS}, {"unhex", CF_C_UNHEX}, {"dns_results", CF_C_DNSRESULTS}, {"args", CF_C_ARGS}, {"append", CF_C_APPEND}};

static const struct cf_lookup *find_lookup(const struct load *l, cf_str name)
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
static int parse_target(struct load *l, const struct cf_ynode *y, struct cf_target *ret)
{
    const struct cf_ynode *to = y, *c;
    int r;

    *ret = (struct cf_target){0};
    if (y->kind == CF_Y_MAP) {
        if ((r = only_keys(l, y, "a mapping", "to convert lookup")) < 0)
            return r;
        to = cf_ymap_get(y, "to");
        if (!to || to->kind != CF_Y_SCALAR)
            return FAIL(l, y, "a mapping needs to: field");
        c = cf_ymap_get(y, "convert");
        if (c) {
            for (size_t i = 0; i < sizeof convs / sizeof *convs; i++)
                if (cf_str_eqz(c->text, convs[i].name))
                    ret->conv = convs[i].conv;
            if (!ret->conv)
                return FAIL(l, c, "convert \"%.*s\" is not known (lower upper int hex ip mac basename hashes user s_to_ns ms_to_ns us_to_ns time trim "
                            "split_comma split_space host_port protocol no_braces url address sid mac_pair hms_to_ns unhex dns_results args append)", CF_ARG(c->text));
        }
        c = cf_ymap_get(y, "lookup");
        if (c && !(ret->lookup = find_lookup(l, c->text)))
            return FAIL(l, c, "lookup \"%.*s\" is not in lookups:", CF_ARG(c->text));
    } else if (y->kind != CF_Y_SCALAR) {
        return FAIL(l, y, "a mapping must be a field name, a map with to:, or a list of these");
    }
    if ((r = make_ref(l, to, to->text, ret->conv != CF_C_HASHES, &ret->to)) == 0 && ret->conv == CF_C_NONE && !ret->lookup)
        ret->fast = fast_way(&ret->to);
    return r;
}

static int parse_map(struct load *l, const struct cf_ynode *y, struct cf_map *ret)
{
    size_t cap = 8;
    int r;

    memset(ret, 0, sizeof *ret);
    if (!y)
        return 0;
    if (y->kind != CF_Y_MAP)
        return FAIL(l, y, "map must be a map of key: field");
    while (cap < y->n * 2)
        cap *= 2;
    ret->mask = cap - 1;
    ret->slot = CF_NEW_N(l->a, struct cf_maprow *, cap);
    if (!ret->slot)
        return nomem(l);
    for (const struct cf_ynode *c = y->child; c; c = c->next) {
        struct cf_maprow *row = CF_NEW(l->a, struct cf_maprow);
        cf_str full;
        uint64_t i;
        if (!row || !(row->t = CF_NEW_N(l->a, struct cf_target, c->kind == CF_Y_SEQ ? c->n + 1 : 1)))
            return nomem(l);
        row->key = c->key;
        row->hash = cf_hash64(c->key);
        full = cf_arena_printf(l->a, "%.*s%.*s", CF_ARG(l->s->prefix), CF_ARG(c->key));
        if (!full.p)
            return nomem(l);
        row->extra = cf_name_intern(full);
        /* names with dots that are one key at the source ("id.orig_h") are searched for by all of it */
        row->raw = cf_name_intern(l->s->ecs ? leaf(c->key) : c->key);
        if (c->kind == CF_Y_SEQ) {
            for (const struct cf_ynode *e = c->child; e; e = e->next)
                if ((r = parse_target(l, e, &row->t[row->n++])) < 0)
                    return r;
        } else if (!cf_ynode_is_null(c)) {
            if ((r = parse_target(l, c, &row->t[row->n++])) < 0)
                return r;
        }
        for (i = row->hash & ret->mask; ret->slot[i]; i = (i + 1) & ret->mask)
            ;
        ret->slot[i] = row;
    }
    return 0;
}

static int parse_conds(struct load *l, const struct cf_ynode *y, struct cf_cond **ret, size_t *ret_n)
{
    int r;

    *ret_n = 0;
    if (!y)
        return 0;
    if (y->kind != CF_Y_MAP || !y->n)
        return FAIL(l, y, "conditions must be a map of field: value");
    *ret = CF_NEW_N(l->a, struct cf_cond, y->n);
    if (!*ret)
        return nomem(l);
    for (const struct cf_ynode *c = y->child; c; c = c->next) {
        struct cf_cond *d = &(*ret)[(*ret_n)++];
        cf_str name = c->key;
        if (name.n && name.p[0] == '!') {
            d->negate = true;
            name = cf_str_sub(name, 1, name.n);
        }
        if ((r = make_ref(l, c, name, false, &d->ref)) < 0 || (r = strings(l, c, "a condition", &d->val, &d->n)) < 0)
            return r;
        if (d->n == 1 && cf_str_eqz(d->val[0], "*"))
            d->n = 0; /* present */
        for (size_t i = 0; i < d->n; i++) {
            cf_str v = d->val[i];
            d->may |= v.n && v.p[v.n - 1] == '*' ? UINT64_MAX : UINT64_C(1) << cf_text_sign(v);
        }
    }
    return 0;
}

static pcre2_code *compile_regex(struct load *l, const struct cf_ynode *y, int *ret)
{
    int code;
    PCRE2_SIZE at;
    unsigned char why[160];
    pcre2_code *re;

    *ret = 0;
    if (y->kind != CF_Y_SCALAR || y->text.n > 4000) {
        *ret = FAIL(l, y, "regex must be a text of at most 4,000 bytes");
        return NULL;
    }
    re = pcre2_compile((const unsigned char *)y->text.p, y->text.n, PCRE2_NO_UTF_CHECK, &code, &at, NULL);
    if (!re) {
        (void)pcre2_get_error_message(code, why, sizeof why);
        *ret = FAIL(l, y, "regex: %s at byte %zu", (char *)why, (size_t)at);
        return NULL;
    }
    (void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE);
    return re;
}

static const struct {
    const char *name;
    unsigned bit;
} formats[] = {{"syslog", CF_NF_TEXT}, {"text", CF_NF_TEXT}, {"json", CF_NF_JSON}, {"evtx-json", CF_NF_WIN}, {"ecs", CF_NF_ECS}, {"cef", CF_NF_CEF},
               {"leef", CF_NF_LEEF}, {"zeek", CF_NF_ZEEK}, {"iis", CF_NF_IIS}, {"csv", CF_NF_CSV}, {"kv", CF_NF_KV}, {"netflow", CF_NF_NETFLOW}};

/* The two bytes of s that log lines hold least, roughly; the same one twice when there is one only. */
static void rare_bytes(cf_str s, unsigned char ret[2])
{
    static const char often[] = "eatrinosdlcp 0123.=-:hmgufybwv_4657898/,\"ABCDEFGHIJKLMNOPRSTUVWxkjzqQXYZ()[];<>"; /* most frequent first */
    size_t rank[2] = {0, 0};

    ret[0] = ret[1] = s.n ? (unsigned char)s.p[0] : 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *at = s.p[i] ? strchr(often, s.p[i]) : NULL;
        size_t k = at ? (size_t)(at - often) + 1 : sizeof often;
        if (k > rank[0]) {
            rank[1] = rank[0];
            ret[1] = rank[0] ? ret[0] : (unsigned char)s.p[i];
            rank[0] = k;
            ret[0] = (unsigned char)s.p[i];
        } else if (k > rank[1] && (unsigned char)s.p[i] != ret[0]) {
            rank[1] = k;
            ret[1] = (unsigned char)s.p[i];
        }
    }
}

static int parse_match(struct load *l, const struct cf_ynode *y, struct cf_match *m)
{
    cf_str *names = NULL;
    size_t n;
    const struct cf_ynode *c;
    int r;

    if ((r = only_keys(l, y, "match", "program format starts contains has fields regex extract whole add")) < 0)
        return r;
    if ((r = strings(l, cf_ymap_get(y, "program"), "program", &m->program, &m->n_program)) < 0 ||
        (r = strings(l, cf_ymap_get(y, "starts"), "starts", &m->starts, &m->n_starts)) < 0 ||
        (r = strings(l, cf_ymap_get(y, "contains"), "contains", &m->contains, &m->n_contains)) < 0 ||
        (r = strings(l, cf_ymap_get(y, "has"), "has", &m->has, &m->n_has)) < 0 ||
        (r = parse_conds(l, cf_ymap_get(y, "fields"), &m->cond, &m->n_cond)) < 0 ||
        (r = strings(l, cf_ymap_get(y, "format"), "format", &names, &n)) < 0)
        return r;
    if (!(m->rare = (unsigned char(*)[2])(void *)cf_arena_bytes(l->a, sizeof *m->rare * (m->n_contains + 1))))
        return nomem(l);
    for (size_t i = 0; i < m->n_contains; i++)
        rare_bytes(m->contains[i], m->rare[i]);
    for (size_t i = 0; i < m->n_contains; i++)
        m->signs |= cf_text_signs(m->contains[i]);
    for (size_t i = 0; i < n; i++) {
        unsigned bit = 0;
        for (size_t k = 0; k < sizeof formats / sizeof *formats; k++)
            if (cf_str_eqz(names[i], formats[k].name))
                bit = formats[k].bit;
        if (!bit)
            return FAIL(l, cf_ymap_get(y, "format"), "format \"%.*s\" is not known (syslog text json evtx-json ecs cef leef zeek iis csv kv)",
                        CF_ARG(names[i]));
        m->formats |= bit;
    }
    if (!m->formats)
        m->formats = CF_NF_TEXT;
    if ((m->n_has || m->n_cond) && (m->formats & CF_NF_TEXT))
        return FAIL(l, y, "has and fields look at parsed pairs: name the format (json, evtx-json, cef, leef ...)");
    c = cf_ymap_get(y, "regex");
    if (c && !(m->regex = compile_regex(l, c, &r)))
        return r;
    c = cf_ymap_get(y, "extract");
    if (c && !cf_ynode_bool(c, &m->extract))
        return FAIL(l, c, "extract must be true or false");
    c = cf_ymap_get(y, "add");
    if (c && (c->kind != CF_Y_MAP || (m->formats & CF_NF_TEXT)))
        return FAIL(l, c, "add must be a map of key: value, for parsed formats");
    if (c && (!(m->add_key = CF_NEW_N(l->a, cf_str, c->n + 1)) || !(m->add_val = CF_NEW_N(l->a, cf_str, c->n + 1))))
        return nomem(l);
    for (const struct cf_ynode *e = c ? c->child : NULL; e; e = e->next) {
        m->add_key[m->n_add] = e->key;
        m->add_val[m->n_add++] = e->text;
    }
    c = cf_ymap_get(y, "whole");
    if (c && !cf_ynode_bool(c, &m->whole))
        return FAIL(l, c, "whole must be true or false");
    if (m->whole && !m->n_starts)
        return FAIL(l, c, "a row with whole: true needs starts:");
    if ((m->formats & CF_NF_TEXT) && !m->n_program && !m->n_starts && !m->n_contains && !m->regex && !m->extract)
        return FAIL(l, y, "this row would match every text: name program, starts, contains, regex or extract: true");
    return 0;
}

static int parse_matches(struct load *l, const struct cf_ynode *y)
{
    int r;

    if (!y)
        return 0;
    if (y->kind != CF_Y_SEQ)
        return FAIL(l, y, "match must be a list");
    l->s->match = CF_NEW_N(l->a, struct cf_match, y->n + 1);
    if (!l->s->match)
        return nomem(l);
    for (const struct cf_ynode *c = y->child; c; c = c->next)
        if ((r = parse_match(l, c, &l->s->match[l->s->n_match++])) < 0)
            return r;
        else
            l->s->formats |= l->s->match[l->s->n_match - 1].formats;
    return 0;
}

static int one_char(struct load *l, const struct cf_ynode *map, const char *key, char def, char *ret)
{
    const struct cf_ynode *c = cf_ymap_get(map, key);

    *ret = def;
    if (!c)
        return 0;
    if (cf_str_eqz(c->text, "tab"))
        *ret = '\t';
    else if (c->kind == CF_Y_SCALAR && c->text.n == 1)
        *ret = c->text.p[0];
    else
        return FAIL(l, c, "%s must be one character or tab", key);
    return 0;
}

static int parse_payload(struct load *l, const struct cf_ynode *y)
{
    static const struct {
        const char *name;
        enum cf_payload p;
    } names[] = {{"text", CF_P_TEXT}, {"kv", CF_P_KV}, {"csv", CF_P_CSV}, {"json", CF_P_JSON}, {"cef", CF_P_CEF}, {"leef", CF_P_LEEF}};
    struct cf_source *s = l->s;
    const struct cf_ynode *c;
    cf_str type = CF_STR_NONE;
    bool known = false;
    int r;

    s->kv = (struct cf_kv_style){.assign = '=', .sep = " "};
    s->csv_sep = ',';
    if (!y)
        return 0;
    if (y->kind == CF_Y_SCALAR) {
        type = y->text;
    } else {
        if ((r = only_keys(l, y, "payload", "type assign separators separator spaced columns after")) < 0)
            return r;
        type = cf_ymap_str(y, "type");
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (cf_str_eqz(type, names[i].name)) {
            s->payload = names[i].p;
            known = true;
        }
    if (!known)
        return FAIL(l, y, "payload must be text, kv, csv, json, cef or leef");
    if (y->kind == CF_Y_SCALAR)
        return 0;
    if ((r = one_char(l, y, "assign", '=', &s->kv.assign)) < 0 || (r = one_char(l, y, "separator", ',', &s->csv_sep)) < 0)
        return r;
    s->payload_after = cf_ymap_str(y, "after");
    c = cf_ymap_get(y, "separators");
    if (c) {
        if (c->kind != CF_Y_SCALAR || !c->text.n || c->text.n > 3)
            return FAIL(l, c, "separators must be 1 to 3 characters");
        memset(s->kv.sep, 0, sizeof s->kv.sep);
        memcpy(s->kv.sep, c->text.p, c->text.n);
    }
    c = cf_ymap_get(y, "spaced");
    if (c && !cf_ynode_bool(c, &s->kv.spaced))
        return FAIL(l, c, "spaced must be true or false");
    if ((r = strings(l, cf_ymap_get(y, "columns"), "columns", &s->col, &s->n_col)) < 0)
        return r;
    if (s->payload == CF_P_CSV && !s->n_col)
        return FAIL(l, y, "payload csv needs columns");
    return 0;
}

static int parse_lookups(struct load *l, const struct cf_ynode *y)
{
    if (!y)
        return 0;
    if (y->kind != CF_Y_MAP)
        return FAIL(l, y, "lookups must be a map of name: table");
    l->lookup = CF_NEW_N(l->a, struct cf_lookup, y->n + 1);
    if (!l->lookup)
        return nomem(l);
    for (const struct cf_ynode *c = y->child; c; c = c->next) {
        struct cf_lookup *k = &l->lookup[l->n_lookup++];
        if (c->kind != CF_Y_MAP)
            return FAIL(l, c, "lookup \"%.*s\" must be a map of value: value", CF_ARG(c->key));
        k->name = c->key;
        k->key = CF_NEW_N(l->a, cf_str, c->n + 1);
        k->val = CF_NEW_N(l->a, cf_str, c->n + 1);
        if (!k->key || !k->val)
            return nomem(l);
        for (const struct cf_ynode *e = c->child; e; e = e->next) {
            char *low;
            if (e->kind != CF_Y_SCALAR)
                return FAIL(l, e, "a lookup holds texts only");
            if (cf_str_eqz(e->key, "default") && e->key_plain) {
                k->def = e->text;
                continue;
            }
            low = cf_arena_strdup(l->a, e->key);
            if (!low)
                return nomem(l);
            for (char *p = low; *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                    *p = (char)(*p | 32);
            k->key[k->n] = cf_str_n(low, e->key.n);
            k->val[k->n++] = e->text;
        }
    }
    return 0;
}

static int case_cmp(const void *a, const void *b)
{
    const struct cf_case *const *x = a, *const *y = b;

    return cf_str_cmp((*x)->val, (*y)->val);
}

static int parse_switch(struct load *l, const struct cf_ynode *y, struct cf_switch *sw)
{
    const struct cf_ynode *on, *cases;
    size_t n = 0;
    int r;

    if ((r = only_keys(l, y, "switch", "on cases")) < 0)
        return r;
    on = cf_ymap_get(y, "on");
    cases = cf_ymap_get(y, "cases");
    if (!on || !cases || cases->kind != CF_Y_MAP)
        return FAIL(l, y, "switch needs on: and cases:");
    if ((r = make_ref(l, on, on->text, false, &sw->on)) < 0)
        return r;
    for (const struct cf_ynode *c = cases->child; c; c = c->next) /* "4624, 4625" names several */
        for (size_t i = 0; i <= c->key.n; i++)
            n += i == c->key.n || c->key.p[i] == ',';
    sw->v = CF_NEW_N(l->a, struct cf_case *, n + 1);
    if (!sw->v)
        return nomem(l);
    for (const struct cf_ynode *c = cases->child; c; c = c->next) {
        struct cf_case tmp = {0}, *k;
        cf_str rest = c->key, one;
        if ((r = only_keys(l, c, "a case", "set map")) < 0 || (r = parse_sets(l, cf_ymap_get(c, "set"), &tmp.set)) < 0 ||
            (r = parse_map(l, cf_ymap_get(c, "map"), &tmp.map)) < 0)
            return r;
        while (cf_str_cut(&rest, ',', &one)) {
            k = CF_NEW(l->a, struct cf_case);
            if (!k)
                return nomem(l);
            *k = tmp;
            k->val = cf_str_trim(one);
            if (cf_str_eqz(k->val, "default"))
                sw->def = k;
            else
                sw->v[sw->n++] = k;
        }
    }
    qsort(sw->v, sw->n, sizeof *sw->v, case_cmp);
    for (size_t i = 1; i < sw->n; i++)
        if (cf_str_eq(sw->v[i]->val, sw->v[i - 1]->val))
            return FAIL(l, y, "case \"%.*s\" stands twice", CF_ARG(sw->v[i]->val));
    return 0;
}

static int parse_switches(struct load *l, const struct cf_ynode *y)
{
    int r;

    if (!y)
        return 0;
    l->s->sw = CF_NEW_N(l->a, struct cf_switch, y->kind == CF_Y_SEQ ? y->n + 1 : 1);
    if (!l->s->sw)
        return nomem(l);
    if (y->kind != CF_Y_SEQ)
        return parse_switch(l, y, &l->s->sw[l->s->n_switch++]);
    for (const struct cf_ynode *c = y->child; c; c = c->next)
        if ((r = parse_switch(l, c, &l->s->sw[l->s->n_switch++])) < 0)
            return r;
    return 0;
}

static int parse_when(struct load *l, const struct cf_ynode *y, struct cf_when *w)
{
    const struct cf_ynode *c;
    int r;

    if ((r = only_keys(l, y, "when", "if set copy")) < 0)
        return r;
    if ((r = parse_conds(l, cf_ymap_get(y, "if"), &w->cond, &w->n)) < 0 || (r = parse_sets(l, cf_ymap_get(y, "set"), &w->set)) < 0)
        return r;
    c = cf_ymap_get(y, "copy");
    if (!c)
        return 0;
    if (c->kind != CF_Y_MAP)
        return FAIL(l, c, "copy must be a map of from: to");
    w->copy = CF_NEW_N(l->a, struct cf_target, c->n + 1);
    w->copy_from = CF_NEW_N(l->a, struct cf_ref, c->n + 1);
    if (!w->copy || !w->copy_from)
        return nomem(l);
    for (const struct cf_ynode *e = c->child; e; e = e->next) {
        if ((r = make_ref(l, e, e->key, false, &w->copy_from[w->n_copy])) < 0 || (r = parse_target(l, e, &w->copy[w->n_copy])) < 0)
            return r;
        w->n_copy++;
    }
    return 0;
}

static int parse_time(struct load *l, const struct cf_ynode *y, struct cf_time *t)
{
    cf_str *names = NULL;
    const struct cf_ynode *f = cf_ymap_get(y, "format");
    int r;

    if ((r = only_keys(l, y, "time", "from format zone")) < 0)
        return r;
    if ((r = strings(l, cf_ymap_get(y, "from"), "from", &names, &t->n_from)) < 0 || (r = strings(l, f, "format", &t->fmt, &t->n_fmt)) < 0)
        return r;
    if (cf_ymap_get(y, "zone")) {
        struct cf_error e = {0};
        if (cf_zone_load(l->a, cf_ymap_str(y, "zone"), &l->s->zone, &e) < 0)
            return FAIL(l, cf_ymap_get(y, "zone"), "%s", e.msg);
        l->s->has_zone = true;
    }
    t->from = CF_NEW_N(l->a, struct cf_ref, t->n_from + 1);
    if (!t->from)
        return nomem(l);
    t->parts = CF_NEW_N(l->a, struct cf_timeparts, t->n_from + 1);
    if (!t->parts)
        return nomem(l);
    for (size_t i = 0; i < t->n_from; i++) {
        struct cf_timeparts *p = &t->parts[i];
        cf_str rest = names[i], one;
        if ((r = make_ref(l, y, names[i], false, &t->from[i])) < 0)
            return r;
        if (!memchr(names[i].p, '+', names[i].n))
            continue;
        p->part = CF_NEW_N(l->a, struct cf_ref, 4);
        if (!p->part)
            return nomem(l);
        while (cf_str_cut(&rest, '+', &one)) {
            if (p->n == 4 || !one.n)
                return FAIL(l, y, "from: \"%.*s\" must join two to four keys with +", CF_ARG(names[i]));
            p->part[p->n++] = (struct cf_ref){.field = CF_F_EXTRA, .text = one};
        }
    }
    for (size_t i = 0; i < t->n_fmt; i++)
        if (!cf_stamp_format_ok(t->fmt[i]))
            return FAIL(l, f, "time format \"%.*s\" is not known (iso8601 syslog unix unix_ms unix_us unix_ns auto, or a pattern with %%d)",
                        CF_ARG(t->fmt[i]));
    return 0;
}

#define LIST_OF(field, count, type, parse)                                                       \
    static int parse_##field##_list(struct load *l, const struct cf_ynode *y)                    \
    {                                                                                            \
        int r;                                                                                   \
        if (!y)                                                                                  \
            return 0;                                                                            \
        l->s->field = CF_NEW_N(l->a, type, y->kind == CF_Y_SEQ ? y->n + 1 : 1);                  \
        if (!l->s->field)                                                                        \
            return nomem(l);                                                                     \
        if (y->kind != CF_Y_SEQ)                                                                 \
            return parse(l, y, &l->s->field[l->s->count++]);                                     \
        for (const struct cf_ynode *c = y->child; c; c = c->next)                                \
            if ((r = parse(l, c, &l->s->field[l->s->count++])) < 0)                              \
                return r;                                                                        \
        return 0;                                                                                \
    }
LIST_OF(when, n_when, struct cf_when, parse_when)
LIST_OF(time, n_time, struct cf_time, parse_time)

static int parse_part(struct load *l, const struct cf_ynode *y, struct cf_part *p)
{
    const struct cf_ynode *from = cf_ymap_get(y, "from");
    struct load sub = *l;
    int r;

    if ((r = only_keys(l, y, "a part", "from payload extract")) < 0)
        return r;
    if (!from || from->kind != CF_Y_SCALAR)
        return FAIL(l, y, "a part needs from: key or field");
    if (!(p->how = CF_NEW(l->a, struct cf_source)))
        return nomem(l);
    p->how->name = l->s->name;
    p->how->file = l->s->file;
    sub.s = p->how;
    if ((r = make_ref(l, from, from->text, false, &p->from)) < 0 || (r = parse_payload(&sub, cf_ymap_get(y, "payload"))) < 0)
        return r;
    p->how->extract_y = cf_ymap_get(y, "extract");
    if (p->how->extract_y && p->how->extract_y->kind != CF_Y_SEQ)
        return FAIL(l, p->how->extract_y, "extract must be a list");
    if (!p->how->extract_y && p->how->payload == CF_P_TEXT)
        return FAIL(l, y, "a part needs extract: or payload:");
    return 0;
}
LIST_OF(part, n_part, struct cf_part, parse_part)

static int parse_head(struct load *l, const struct cf_ynode *root)
{
    struct cf_source *s = l->s;
    const struct cf_ynode *c = cf_ymap_get(root, "name");
    cf_str base = cf_str_c(strrchr(s->file, '/') ? strrchr(s->file, '/') + 1 : s->file);
    int64_t order = 50;

    if (!c || c->kind != CF_Y_SCALAR || !c->text.n)
        return FAIL(l, root, "name: is missing");
    if (cf_str_ends(base, CF_STR(".yaml")) && !cf_str_eq(c->text, cf_str_sub(base, 0, base.n - 5)))
        return FAIL(l, c, "name \"%.*s\" must be the file's name", CF_ARG(c->text));
    s->name = c->text.p;
    s->name_s = c->text;
    c = cf_ymap_get(root, "prefix");
    s->prefix = c && c->text.n ? cf_arena_printf(l->a, "%.*s.", CF_ARG(c->text)) : CF_STR("");
    c = cf_ymap_get(root, "order");
    if (c && (!cf_ynode_i64(c, &order) || order < 0 || order > 1000))
        return FAIL(l, c, "order must be a number from 0 to 1000");
    s->order = (int)order;
    c = cf_ymap_get(root, "ecs");
    if (c && !cf_ynode_bool(c, &s->ecs))
        return FAIL(l, c, "ecs must be true or false");
    s->base_name = cf_ymap_str(root, "base");
    s->doc = cf_ymap_str(root, "doc");
    s->refuse_multiline = true;
    c = cf_ymap_get(root, "multiline");
    if (c && cf_str_eqz(c->text, "accept"))
        s->refuse_multiline = false;
    else if (c && !cf_str_eqz(c->text, "refuse"))
        return FAIL(l, c, "multiline must be refuse or accept");
    return 0;
}

int cf_source_parse(struct cf_arena *a, const char *file, cf_str yaml, struct cf_source *s, struct cf_error *reterr)
{
    struct load l = {.a = a, .s = s, .err = reterr};
    struct cf_ydoc *doc = NULL;
    struct cf_ynode *root;
    int r;

    memset(s, 0, sizeof *s);
    s->file = cf_arena_strdup(a, cf_str_c(file));
    if (!s->file)
        return cf_error_set(reterr, CF_ENOMEM, "%s: no memory", file);
    r = cf_yaml_parse(a, yaml, &doc, reterr);
    if (r < 0) {
        cf_error_context(reterr, "%s", file);
        return r;
    }
    if (!doc || !doc->root || doc->next || doc->root->kind != CF_Y_MAP)
        return cf_error_set(reterr, CF_ESYNTAX, "%s:1: a source file holds one map", file);
    root = doc->root;
    if ((r = only_keys(&l, root, "a source", "name doc base prefix order ecs multiline match payload null include extract map parts lookups switch when set time")) < 0 ||
        (r = parse_head(&l, root)) < 0 || (r = parse_lookups(&l, cf_ymap_get(root, "lookups"))) < 0 ||
        (r = parse_matches(&l, cf_ymap_get(root, "match"))) < 0 || (r = parse_payload(&l, cf_ymap_get(root, "payload"))) < 0 ||
        (r = strings(&l, cf_ymap_get(root, "null"), "null", &s->null, &s->n_null)) < 0 ||
        (r = strings(&l, cf_ymap_get(root, "include"), "include", &s->include, &s->n_include)) < 0 ||
        (r = parse_sets(&l, cf_ymap_get(root, "set"), &s->set)) < 0 || (r = parse_map(&l, cf_ymap_get(root, "map"), &s->map)) < 0 ||
        (r = parse_part_list(&l, cf_ymap_get(root, "parts"))) < 0 || (r = parse_switches(&l, cf_ymap_get(root, "switch"))) < 0 || (r = parse_when_list(&l, cf_ymap_get(root, "when"))) < 0 ||
        (r = parse_time_list(&l, cf_ymap_get(root, "time"))) < 0)
        return r;
    for (size_t i = 0; i < s->n_null; i++)
        s->null_first[s->null[i].n ? (unsigned char)s->null[i].p[0] : 0] = true;
    s->extract_y = cf_ymap_get(root, "extract");
    if (s->extract_y && s->extract_y->kind != CF_Y_SEQ)
        return FAIL(&l, s->extract_y, "extract must be a list");
    return 0;
}


/* --- patterns --- */

struct names {
    struct load *l;
    const struct cf_ynode *at;
};

static int hole_name(void *ctx, cf_str name, uint32_t *ret, struct cf_error *reterr)
{
    struct names *nm = ctx;
    struct cf_source *s = nm->l->s;
    struct cf_ref ref;

    (void)reterr;
    for (size_t i = 0; i < s->n_hole; i++)
        if (cf_str_eq(s->hole[i].text, name)) {
            *ret = (uint32_t)i;
            return 0;
        }
    if (s->n_hole >= 512)
        return FAIL(nm->l, nm->at, "more than 512 different names in the patterns");
    name = cf_arena_copy(nm->l->a, name);
    ref = (struct cf_ref){.field = (uint16_t)cf_field_find(name), .text = name};
    s->hole_key[s->n_hole] = ref.field == CF_F_EXTRA && !memchr(name.p, '.', name.n);
    if (ref.field == CF_F_EXTRA && !s->hole_key[s->n_hole])
        ref.name = cf_name_intern(name);
    ref.raw = s->hole_key[s->n_hole] ? cf_name_intern(name) : 0;
    s->hole[s->n_hole] = ref;
    *ret = (uint32_t)s->n_hole++;
    return 0;
}

static int add_regex(struct load *l, const struct cf_ynode *y, uint32_t action)
{
    struct cf_regex *re = &l->s->regex[l->s->n_regex];
    uint32_t count = 0, size = 0;
    unsigned char *table = NULL;
    struct names nm = {l, y};
    int r;

    re->code = compile_regex(l, y, &r);
    if (!re->code)
        return r;
    l->s->n_regex++;
    re->action = action;
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &count);
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
    re->group = CF_NEW_N(l->a, uint32_t, count + 1);
    re->name = CF_NEW_N(l->a, uint32_t, count + 1);
    if (!re->group || !re->name)
        return nomem(l);
    for (uint32_t i = 0; i < count; i++, table += size) { /* a__b in a group's name stands for a.b */
        char name[128];
        size_t n = 0;
        for (const char *p = (const char *)table + 2; *p && n < sizeof name - 1; p++) {
            if (p[0] == '_' && p[1] == '_') {
                name[n++] = '.';
                p++;
            } else {
                name[n++] = *p;
            }
        }
        re->group[re->n] = (uint32_t)(table[0] << 8 | table[1]);
        if ((r = hole_name(&nm, cf_str_n(name, n), &re->name[re->n], l->err)) < 0)
            return r;
        re->n++;
    }
    return 0;
}

static int add_rule(struct load *l, const struct cf_ynode *y)
{
    const struct cf_ynode *p, *c;
    struct names nm = {l, y};
    uint32_t action = (uint32_t)l->s->n_action;
    cf_str *pat = NULL;
    size_t n;
    int r;

    if ((r = only_keys(l, y, "extract", "pattern regex set")) < 0)
        return r;
    if ((r = parse_sets(l, cf_ymap_get(y, "set"), &l->s->action[l->s->n_action++])) < 0)
        return r;
    c = cf_ymap_get(y, "regex");
    p = cf_ymap_get(y, "pattern");
    if (!c == !p)
        return FAIL(l, y, "an entry of extract needs pattern: or regex: (one of them)");
    if (c)
        return add_regex(l, c, action);
    if ((r = strings(l, p, "pattern", &pat, &n)) < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        struct cf_error e = {0};
        nm.at = p;
        r = cf_tpl_add(l->s->tpl, pat[i], action, hole_name, &nm, &e);
        if (r < 0)
            return e.msg[0] ? FAIL(l, p, "pattern \"%.*s\": %s", CF_ARG(pat[i]), e.msg) : r;
    }
    return 0;
}

int cf_source_patterns(struct cf_arena *a, struct cf_source *s, struct cf_source *all, size_t n, struct cf_error *reterr)
{
    struct load l = {.a = a, .s = s, .err = reterr};
    size_t rules = s->extract_y ? s->extract_y->n : 0;
    int r;

    for (size_t k = 0; s->base_name.p && k < n; k++)
        if (cf_str_eq(all[k].name_s, s->base_name) && &all[k] != s)
            s->base = &all[k];
    if (s->base_name.p && (!s->base || s->base->base_name.p))
        return FAIL(&l, NULL, "base: there is no source \"%.*s\" without a base of its own", CF_ARG(s->base_name));
    for (size_t i = 0; i < s->n_include; i++) {
        struct cf_source *other = NULL;
        for (size_t k = 0; k < n; k++)
            if (cf_str_eq(all[k].name_s, s->include[i]))
                other = &all[k];
        if (!other || other == s)
            return FAIL(&l, NULL, "include: there is no source \"%.*s\"", CF_ARG(s->include[i]));
        rules += other->extract_y ? other->extract_y->n : 0;
    }
    s->action = CF_NEW_N(a, struct cf_sets, rules + 1);
    s->regex = CF_NEW_N(a, struct cf_regex, rules + 1);
    s->hole = CF_NEW_N(a, struct cf_ref, 512);
    s->hole_key = CF_NEW_N(a, bool, 512);
    s->tpl = cf_tpl_new(a);
    if (!s->action || !s->regex || !s->hole || !s->hole_key || !s->tpl)
        return nomem(&l);
    for (size_t i = 0; i <= s->n_include; i++) {
        const struct cf_ynode *y = s->extract_y;
        for (size_t k = 0; i && k < n; k++)
            if (cf_str_eq(all[k].name_s, s->include[i - 1]))
                y = all[k].extract_y;
        for (const struct cf_ynode *c = y && (i || s->extract_y) ? y->child : NULL; c; c = c->next)
            if ((r = add_rule(&l, c)) < 0)
                return r;
    }
    for (size_t i = 0; i < s->n_part; i++)
        if ((r = cf_source_patterns(a, s->part[i].how, NULL, 0, reterr)) < 0)
            return r;
    return 0;
}

void cf_source_release(struct cf_source *s)
{
    for (size_t i = 0; i < s->n_part; i++)
        if (s->part[i].how)
            cf_source_release(s->part[i].how);
    for (size_t i = 0; i < s->n_regex; i++)
        pcre2_code_free(s->regex[i].code);
    for (size_t i = 0; i < s->n_match; i++)
        pcre2_code_free(s->match[i].regex);
}
