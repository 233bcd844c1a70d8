/* SPDX-License-Identifier: Apache-2.0
 * One item of a search, "Field|modifier|modifier: value(s)", into predicates. */
#include <stdlib.h>

#include "detect/encode.h"

enum mod {
    M_CONTAINS, M_STARTSWITH, M_ENDSWITH, M_ALL, M_CASED, M_EXISTS, M_NEQ, M_RE, M_I, M_M, M_S, M_BASE64, M_BASE64OFFSET,
    M_UTF16LE, M_UTF16BE, M_UTF16, M_WIDE, M_WINDASH, M_CIDR, M_LT, M_LTE, M_GT, M_GTE, M_MINUTE, M_HOUR, M_DAY, M_WEEK,
    M_MONTH, M_YEAR, M_EXPAND, M_FIELDREF, M__COUNT
};
static const char *const mod_name[M__COUNT] = {
    "contains", "startswith", "endswith", "all", "cased", "exists", "neq", "re", "i", "m", "s", "base64", "base64offset",
    "utf16le", "utf16be", "utf16", "wide", "windash", "cidr", "lt", "lte", "gt", "gte", "minute", "hour", "day", "week",
    "month", "year", "expand", "fieldref"};
#define MODS_MAX 12

struct item {
    struct cf_compile *c;
    cf_str key, field;
    uint8_t mod[MODS_MAX];
    size_t n_mod;
    uint32_t has; /* bit per enum mod */
    const struct cf_ynode *val;
    uint16_t rf;
};
#define HAS(it, m) (((it)->has >> (m)) & 1u)
#define NUM_MODS ((1u << M_LT) | (1u << M_LTE) | (1u << M_GT) | (1u << M_GTE))
#define TIME_MODS (0x3fu << M_MINUTE)
#define RAW_MODS (NUM_MODS | TIME_MODS | (1u << M_CIDR)) /* values that are no texts with wildcards */

static int fail(struct item *it, const char *why)
{
    return cf_error_set(it->c->err, CF_ESYNTAX, "line %u: \"%.*s\": %s", it->val->line, CF_ARG(it->key), why);
}

static int split_key(struct item *it, cf_str key)
{
    cf_str rest = key, part;

    if (!cf_str_cut(&rest, '|', &it->field))
        it->field = CF_STR("");
    while (cf_str_cut(&rest, '|', &part)) {
        size_t m = 0;

        while (m < M__COUNT && !cf_str_eqz(part, mod_name[m]))
            m++;
        if (m == M__COUNT) /* pySigma's long names */
            m = cf_str_eqz(part, "ignorecase") ? M_I : cf_str_eqz(part, "multiline") ? M_M : cf_str_eqz(part, "dotall") ? M_S : m;
        if (m == M__COUNT)
            return cf_error_set(it->c->err, CF_EUNSUPPORTED, "line %u: \"%.*s\": unknown modifier \"%.*s\"", it->val->line,
                                CF_ARG(key), CF_ARG(part));
        if (it->n_mod == MODS_MAX)
            return fail(it, "too many modifiers");
        it->mod[it->n_mod++] = (uint8_t)m;
        it->has |= 1u << m;
    }
    return 0;
}

struct cf_node *cf_node_new(struct cf_compile *c, enum cf_node_kind kind, size_t n)
{
    struct cf_node *nd = CF_NEW(&c->rs->arena, struct cf_node);

    if (nd && n)
        nd->child = CF_NEW_N(&c->rs->arena, struct cf_node *, n);
    if (!nd || (n && !nd->child)) {
        (void)cf_error_set(c->err, CF_ENOMEM, "out of memory");
        return NULL;
    }
    nd->kind = (uint8_t)kind;
    nd->n = (uint32_t)n;
    return nd;
}

static size_t pred_bytes(const struct cf_pred *p, struct cf_buf *b)
{
    cf_buf_printf(b, "%u.%d.%d.%u.%u.%u.%u:", p->kind, p->all, p->flag, p->op, p->field, p->ref, p->n);
    for (uint32_t i = 0; i < p->n; i++)
        switch ((enum cf_pred_kind)p->kind) {
        case CF_P_STR:
            cf_buf_printf(b, "%u%d%u:", p->u.pat[i].kind, p->u.pat[i].cased, p->u.pat[i].n);
            cf_buf_add(b, p->u.pat[i].p, p->u.pat[i].n);
            break;
        case CF_P_RE:
            cf_buf_add(b, &p->u.rex[i], sizeof p->u.rex[i]);
            break;
        case CF_P_CIDR:
            cf_buf_add(b, &p->u.cidr[i], sizeof p->u.cidr[i]);
            break;
        case CF_P_NUM:
        case CF_P_TIME:
            cf_buf_add(b, &p->u.num[i], sizeof p->u.num[i]);
            break;
        default:
            break;
        }
    return b->n;
}

/* Equal predicates of different rules are one. */
int cf_pred_add(struct cf_compile *c, struct cf_pred *p, cf_str src, struct cf_node **ret)
{
    struct cf_ruleset *rs = c->rs;
    struct cf_buf b;
    uint64_t h[2];
    uint32_t *have, index;
    struct cf_node *nd = cf_node_new(c, CF_ND_PRED, 0);
    cf_str key;

    if (!nd)
        return CF_ENOMEM;
    cf_buf_init(&b, 0);
    (void)pred_bytes(p, &b);
    cf_buf_str(&b, src);
    h[0] = cf_hash64(cf_buf_view(&b));
    h[1] = cf_hash64_seed(cf_buf_view(&b), 0x9e3779b97f4a7c15u);
    cf_buf_release(&b);
    key = (cf_str){(const char *)h, sizeof h};
    have = cf_map_get(rs->pred_map, key);
    if (have) {
        nd->pred = *have;
        *ret = nd;
        return 0;
    }
    if (rs->n_preds == rs->cap_preds) {
        size_t cap = rs->cap_preds ? rs->cap_preds * 2 : 1024;
        struct cf_pred *q = realloc(rs->preds, cap * sizeof *q);
        cf_str *s = q ? realloc(rs->src, cap * sizeof *s) : NULL;

        if (q)
            rs->preds = q;
        if (!s)
            return cf_error_set(c->err, CF_ENOMEM, "out of memory");
        rs->src = s;
        rs->cap_preds = cap;
    }
    index = (uint32_t)rs->n_preds;
    key = cf_arena_copy(&rs->arena, key);
    rs->src[index] = cf_arena_copy(&rs->arena, src);
    if (!key.p || !cf_map_put(rs->pred_map, key, index))
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    p->src = index;
    rs->preds[rs->n_preds++] = *p;
    nd->pred = index;
    *ret = nd;
    return 0;
}

#define PIECE_MAX 256
/* The longest part between two '*' that holds a '?': looked for place by place. */
static size_t longest_piece(cf_str s)
{
    size_t from = 0, most = 0;
    bool one = false;

    for (size_t i = 0; i <= s.n; i++) {
        if (i < s.n && s.p[i] != CF_WILD_MANY) {
            one = one || s.p[i] == CF_WILD_ONE;
            continue;
        }
        most = one && i - from > most ? i - from : most;
        from = i + 1;
        one = false;
    }
    return most;
}

/* Text with wildcard bytes into the cheapest pattern. */
static int make_pat(struct cf_compile *c, struct cf_sval v, bool cased, struct cf_pat *ret)
{
    cf_str s = v.s;
    bool front = false, back = false;
    char *o;

    if (v.wild) {
        while (s.n && s.p[0] == CF_WILD_MANY) {
            front = true;
            s.p++;
            s.n--;
        }
        while (s.n && s.p[s.n - 1] == CF_WILD_MANY) {
            back = true;
            s.n--;
        }
    }
    ret->cased = cased;
    ret->kind = front && back ? CF_PAT_CONTAINS : front ? CF_PAT_SUFFIX : back ? CF_PAT_PREFIX : CF_PAT_EXACT;
    if (s.n == 0 && (front || back))
        ret->kind = CF_PAT_ANY;
    if (v.wild && (memchr(s.p, (unsigned char)CF_WILD_MANY, s.n) || memchr(s.p, (unsigned char)CF_WILD_ONE, s.n))) {
        ret->kind = CF_PAT_GLOB;
        s = v.s;
        if (longest_piece(s) > PIECE_MAX)
            return cf_error_set(c->err, CF_ELIMIT, "more than %d bytes with a \"?\" among them between two \"*\": too dear to look for", PIECE_MAX);
    }
    o = cf_arena_bytes(&c->rs->arena, cf_fold_max(s.n));
    if (!o)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    if (cased) {
        memcpy(o, s.p, s.n);
        ret->n = (uint32_t)s.n;
    } else {
        ret->n = (uint32_t)cf_fold(s.p, s.n, o);
    }
    ret->p = o;
    return 0;
}

static int string_pred(struct item *it, struct cf_svals *l, struct cf_node **ret)
{
    struct cf_pat *pat;
    struct cf_pred p = {.kind = CF_P_STR, .field = it->rf, .all = HAS(it, M_ALL), .n = (uint32_t)l->n};

    if (l->n == 0) { /* an empty placeholder list: nothing can be equal to it */
        *ret = cf_node_new(it->c, CF_ND_FALSE, 0);
        return *ret ? 0 : CF_ENOMEM;
    }
    pat = CF_NEW_N(&it->c->rs->arena, struct cf_pat, l->n);
    if (!pat)
        return cf_error_set(it->c->err, CF_ENOMEM, "out of memory");
    for (size_t i = 0; i < l->n; i++) {
        int r = make_pat(it->c, l->v[i], HAS(it, M_CASED), &pat[i]);

        if (r < 0)
            return r;
        if (it->rf == CF_RF_KEYWORD && pat[i].kind != CF_PAT_GLOB && pat[i].kind != CF_PAT_ANY)
            pat[i].kind = CF_PAT_CONTAINS; /* words of the whole record */
    }
    p.u.pat = pat;
    return cf_pred_add(it->c, &p, it->key, ret);
}

/* YAML integers in hexadecimal are looked for as written and as decimal number. */
static int add_scalar(struct item *it, const struct cf_ynode *v, cf_str text, struct cf_svals *l)
{
    struct cf_sval s;
    int r = cf_sval_parse(it->c, text, &s);
    uint64_t hex;

    if (r == 0)
        r = cf_svals_add(it->c, l, s);
    if (r == 0 && v->plain && v->text.n > 2 && v->text.p[0] == '0' && (v->text.p[1] | 32) == 'x' && (it->has & ~(1u << M_NEQ)) == 0 &&
        cf_str_hex64(v->text, &hex)) {
        cf_str d = cf_arena_printf(it->c->a, "%llu", (unsigned long long)hex);
        r = d.p ? cf_svals_add(it->c, l, (struct cf_sval){d, false}) : cf_error_set(it->c->err, CF_ENOMEM, "out of memory");
    }
    return r;
}

static int wrap_rex(struct item *it, struct cf_svals *l, const char *before, const char *after)
{
    for (size_t i = 0; i < l->n; i++) {
        l->v[i].s = cf_arena_printf(it->c->a, "%s%.*s%s", before, CF_ARG(l->v[i].s), after);
        if (!l->v[i].s.p)
            return cf_error_set(it->c->err, CF_ENOMEM, "out of memory");
    }
    return 0;
}

static int apply_mods(struct item *it, struct cf_svals *l)
{
    int r = 0;

    for (size_t k = 0; r == 0 && k < it->n_mod; k++)
        switch (it->mod[k]) {
        case M_CONTAINS:
            r = HAS(it, M_RE) ? 0 : cf_mod_anchor(it->c, l, CF_ANCHOR_CONTAINS); /* expressions are looked for anywhere */
            break;
        case M_STARTSWITH:
            r = HAS(it, M_RE) ? wrap_rex(it, l, "\\A(?:", ")") : cf_mod_anchor(it->c, l, CF_ANCHOR_STARTS);
            break;
        case M_ENDSWITH:
            r = HAS(it, M_RE) ? wrap_rex(it, l, "(?:", ")\\z") : cf_mod_anchor(it->c, l, CF_ANCHOR_ENDS);
            break;
        case M_BASE64:
            r = cf_mod_base64(it->c, l);
            break;
        case M_BASE64OFFSET:
            r = cf_mod_base64offset(it->c, l);
            break;
        case M_UTF16LE:
        case M_WIDE:
            r = cf_mod_utf16(it->c, l, CF_UTF16_LE);
            break;
        case M_UTF16BE:
            r = cf_mod_utf16(it->c, l, CF_UTF16_BE);
            break;
        case M_UTF16:
            r = cf_mod_utf16(it->c, l, CF_UTF16_BOM);
            break;
        case M_WINDASH:
            r = cf_mod_windash(it->c, l);
            break;
        case M_EXPAND:
            r = cf_mod_expand(it->c, l, HAS(it, M_RE) ? CF_EXPAND_REX : it->has & RAW_MODS ? CF_EXPAND_RAW : CF_EXPAND_TEXT);
            break;
        default:
            break;
        }
    if (r == 0 && it->rf == CF_RF_KEYWORD && !HAS(it, M_RE)) /* globs among keywords float in the record */
        for (size_t i = 0; i < l->n; i++)
            if (l->v[i].wild && !HAS(it, M_CONTAINS)) {
                struct cf_svals one = {&l->v[i], 1, 1};
                r = cf_mod_anchor(it->c, &one, CF_ANCHOR_CONTAINS);
                if (r < 0)
                    break;
            }
    return r;
}

static int regex_pred(struct item *it, struct cf_svals *l, struct cf_node **ret)
{
    struct cf_pred p = {.kind = CF_P_RE, .field = it->rf, .all = HAS(it, M_ALL), .n = (uint32_t)l->n};
    uint8_t flags = (uint8_t)((HAS(it, M_I) ? CF_RE_I : 0) | (HAS(it, M_M) ? CF_RE_M : 0) | (HAS(it, M_S) ? CF_RE_S : 0));
    uint32_t *rex = CF_NEW_N(&it->c->rs->arena, uint32_t, l->n);

    if (!rex)
        return cf_error_set(it->c->err, CF_ENOMEM, "out of memory");
    for (size_t i = 0; i < l->n; i++) {
        int r = cf_rex_add(it->c->rs, l->v[i].s, flags, &rex[i], it->c->err);

        if (r < 0) {
            cf_error_context(it->c->err, "line %u: \"%.*s\"", it->val->line, CF_ARG(it->key));
            return r;
        }
    }
    p.u.rex = rex;
    return cf_pred_add(it->c, &p, it->key, ret);
}

static int number_pred(struct item *it, struct cf_svals *l, struct cf_node **ret)
{
    struct cf_pred p = {.field = it->rf, .all = HAS(it, M_ALL), .n = (uint32_t)l->n};
    double *num = CF_NEW_N(&it->c->rs->arena, double, l->n);
    uint8_t op = HAS(it, M_LT) ? CF_N_LT : HAS(it, M_LTE) ? CF_N_LTE : HAS(it, M_GT) ? CF_N_GT : HAS(it, M_GTE) ? CF_N_GTE : CF_N_EQ;

    if (!num)
        return cf_error_set(it->c->err, CF_ENOMEM, "out of memory");
    for (size_t i = 0; i < l->n; i++)
        if (!cf_str_f64(l->v[i].s, &num[i]))
            return fail(it, "a comparison needs a number");
    p.u.num = num;
    if (it->has & TIME_MODS) {
        p.kind = CF_P_TIME;
        p.ref = op;
        for (uint8_t m = 0; m < 6; m++)
            if (HAS(it, M_MINUTE + m))
                p.op = m;
    } else {
        p.kind = CF_P_NUM;
        p.op = op;
    }
    return cf_pred_add(it->c, &p, it->key, ret);
}

static int cidr_pred(struct item *it, struct cf_svals *l, struct cf_node **ret)
{
    struct cf_pred p = {.kind = CF_P_CIDR, .field = it->rf, .all = HAS(it, M_ALL), .n = (uint32_t)l->n};
    struct cf_cidr *cidr;

    if (l->n == 0)
        return string_pred(it, l, ret);
    cidr = CF_NEW_N(&it->c->rs->arena, struct cf_cidr, l->n);
    if (!cidr)
        return cf_error_set(it->c->err, CF_ENOMEM, "out of memory");
    for (size_t i = 0; i < l->n; i++)
        if (!cf_cidr_parse(l->v[i].s, &cidr[i]))
            return fail(it, "not a network in CIDR notation");
    p.u.cidr = cidr;
    return cf_pred_add(it->c, &p, it->key, ret);
}

static int simple_pred(struct item *it, const struct cf_ynode *v, struct cf_node **ret)
{
    struct cf_pred p = {.field = it->rf};

    if (HAS(it, M_EXISTS)) {
        bool want;

        if (!cf_ynode_bool(v, &want))
            return fail(it, "\"exists\" needs true or false");
        p.kind = CF_P_EXISTS;
        p.flag = want;
    } else if (HAS(it, M_FIELDREF)) {
        int r = cf_rfield_get(it->c, v->text, &p.ref);

        if (r < 0)
            return r;
        p.kind = CF_P_REF;
        p.op = HAS(it, M_CONTAINS) ? CF_PAT_CONTAINS : HAS(it, M_STARTSWITH) ? CF_PAT_PREFIX : HAS(it, M_ENDSWITH) ? CF_PAT_SUFFIX : CF_PAT_EXACT;
        p.flag = HAS(it, M_CASED);
    } else {
        p.kind = CF_P_NULL;
    }
    return cf_pred_add(it->c, &p, it->key, ret);
}

static int check_mods(struct item *it)
{
    if ((it->has & ((1u << M_I) | (1u << M_M) | (1u << M_S))) && !HAS(it, M_RE))
        return fail(it, "\"i\", \"m\" and \"s\" only go with \"re\"");
    if (__builtin_popcount(it->has & NUM_MODS) > 1 || __builtin_popcount(it->has & TIME_MODS) > 1)
        return fail(it, "two comparisons or two parts of a time in one test; write two tests");
    if (HAS(it, M_RE) && (it->has & (TIME_MODS | (1u << M_WINDASH) | (1u << M_FIELDREF) | (1u << M_EXISTS) | (1u << M_BASE64) | (1u << M_BASE64OFFSET) | (1u << M_WIDE) | (1u << M_UTF16) | (1u << M_UTF16LE) | (1u << M_UTF16BE) | (1u << M_CIDR) | NUM_MODS)))
        return fail(it, "\"re\" cannot be combined with these modifiers");
    if (it->rf == CF_RF_KEYWORD && ((it->has & RAW_MODS) || HAS(it, M_EXISTS) || HAS(it, M_FIELDREF)))
        return fail(it, "this modifier needs a field");
    return 0;
}

/* Values of the item as text; nulls are counted, they have no text. */
static int collect(struct item *it, struct cf_svals *l, size_t *nulls)
{
    const struct cf_ynode *v = it->val->kind == CF_Y_SEQ ? it->val->child : it->val;
    int r = 0;

    if (it->val->kind == CF_Y_MAP)
        return fail(it, "the value is a map; a text, a number or a list is needed");
    if (!v)
        return fail(it, "the list of values is empty");
    for (; v && r == 0; v = it->val->kind == CF_Y_SEQ ? v->next : NULL) {
        if (v->kind != CF_Y_SCALAR)
            return fail(it, "values must be texts or numbers");
        if (cf_ynode_is_null(v) && !HAS(it, M_CONTAINS) && !HAS(it, M_STARTSWITH) && !HAS(it, M_ENDSWITH)) {
            ++*nulls;
            continue;
        }
        cf_str text = v->text;

        if (HAS(it, M_EXPAND) && (r = cf_expand_hide(it->c, &text)) < 0)
            return r;
        if (HAS(it, M_RE) || (it->has & RAW_MODS))
            r = cf_svals_add(it->c, l, (struct cf_sval){text, false});
        else
            r = add_scalar(it, v, text, l);
    }
    return r;
}

static int wrap(struct item *it, struct cf_node *a, struct cf_node *b, struct cf_node **ret)
{
    struct cf_node *nd = a ? a : b;

    if (a && b) {
        nd = cf_node_new(it->c, HAS(it, M_ALL) ? CF_ND_AND : CF_ND_OR, 2);
        if (!nd)
            return CF_ENOMEM;
        nd->child[0] = a;
        nd->child[1] = b;
    }
    if (HAS(it, M_NEQ)) {
        struct cf_node *neg = cf_node_new(it->c, CF_ND_NOT, 1);

        if (!neg)
            return CF_ENOMEM;
        neg->child[0] = nd;
        nd = neg;
    }
    *ret = nd;
    return 0;
}

static int values_pred(struct item *it, struct cf_svals *l, struct cf_node **ret)
{
    int r = apply_mods(it, l);

    if (r < 0)
        return r;
    if (HAS(it, M_RE))
        return regex_pred(it, l, ret);
    if (it->has & (NUM_MODS | TIME_MODS))
        return number_pred(it, l, ret);
    return HAS(it, M_CIDR) ? cidr_pred(it, l, ret) : string_pred(it, l, ret);
}

/* "all" of values of which modifiers make several forms each: one form of every value. */
static int forms_pred(struct item *it, const struct cf_svals *l, struct cf_node **ret)
{
    struct item one = *it;
    int r = 0;

    one.has &= ~(1u << M_ALL);
    *ret = cf_node_new(it->c, CF_ND_AND, l->n);
    for (size_t i = 0; *ret && r == 0 && i < l->n; i++) {
        struct cf_svals v = {0};

        r = cf_svals_add(it->c, &v, l->v[i]);
        if (r == 0)
            r = values_pred(&one, &v, &(*ret)->child[i]);
    }
    return *ret ? r : CF_ENOMEM;
}

/* exists, fieldref: a test for each value. */
static int each_pred(struct item *it, struct cf_node **ret)
{
    const struct cf_ynode *v = it->val;
    size_t k = 0;
    int r = 0;

    if (v->kind != CF_Y_SEQ)
        return simple_pred(it, v, ret);
    *ret = cf_node_new(it->c, HAS(it, M_ALL) ? CF_ND_AND : CF_ND_OR, v->n);
    for (v = v->child; *ret && r == 0 && v; v = v->next)
        r = simple_pred(it, v, &(*ret)->child[k++]);
    return *ret ? r : CF_ENOMEM;
}

/* A list of addresses may hold networks ("10.0.0.0/8"): where it is compared as it is, an address in one of them fits too. */
static int networks_pred(struct item *it, const struct cf_svals *l, struct cf_node **inout)
{
    struct cf_svals nets = {0};
    struct cf_node *both, *net = NULL;
    struct cf_cidr c;
    int r = 0;

    for (size_t i = 0; r == 0 && i < l->n; i++)
        if (!l->v[i].wild && memchr(l->v[i].s.p, '/', l->v[i].s.n) && cf_cidr_parse(l->v[i].s, &c))
            r = cf_svals_add(it->c, &nets, l->v[i]);
    if (r < 0 || nets.n == 0)
        return r;
    r = cidr_pred(it, &nets, &net);
    both = r == 0 ? cf_node_new(it->c, CF_ND_OR, 2) : NULL;
    if (!both)
        return r < 0 ? r : CF_ENOMEM;
    both->child[0] = *inout;
    both->child[1] = net;
    *inout = both;
    return 0;
}

static int compile_values(struct item *it, struct cf_node **ret)
{
    struct cf_svals l = {0};
    struct cf_node *a = NULL, *b = NULL;
    size_t nulls = 0;
    int r = check_mods(it);

    if (r == 0)
        r = collect(it, &l, &nulls);
    if (r < 0)
        return r;
    if (nulls && (HAS(it, M_EXISTS) || HAS(it, M_FIELDREF)))
        return fail(it, "null is no value for this modifier");
    if (nulls && (r = simple_pred(it, it->val, &b)) < 0)
        return r;
    if (l.n && HAS(it, M_EXISTS) && it->val->kind != CF_Y_SCALAR)
        return fail(it, "one value is needed, not a list");
    if (l.n && (HAS(it, M_EXISTS) || HAS(it, M_FIELDREF)))
        r = each_pred(it, &a);
    else if (l.n > 1 && HAS(it, M_ALL) && (HAS(it, M_WINDASH) || HAS(it, M_BASE64OFFSET)))
        r = forms_pred(it, &l, &a);
    else if (l.n && (HAS(it, M_WINDASH) || HAS(it, M_BASE64OFFSET))) { /* one value: its forms are alternatives */
        it->has &= ~(1u << M_ALL);
        r = values_pred(it, &l, &a);
    } else if (l.n) {
        r = values_pred(it, &l, &a);
        if (r == 0 && HAS(it, M_EXPAND) && it->rf != CF_RF_KEYWORD && !(it->has & ~((1u << M_EXPAND) | (1u << M_NEQ) | (1u << M_CASED))))
            r = networks_pred(it, &l, &a);
    }
    return r < 0 ? r : wrap(it, a, b, ret);
}

int cf_compile_item(struct cf_compile *c, const struct cf_ynode *node, struct cf_node **ret)
{
    struct item it = {.c = c, .key = node->key, .val = node};
    int r = split_key(&it, node->key);

    if (r == 0 && it.field.n)
        r = cf_rfield_get(c, it.field, &it.rf);
    return r < 0 ? r : compile_values(&it, ret);
}

int cf_compile_keywords(struct cf_compile *c, const struct cf_ynode *list, struct cf_node **ret)
{
    struct item it = {.c = c, .key = CF_STR("keywords"), .val = list, .rf = CF_RF_KEYWORD};
    return compile_values(&it, ret);
}
