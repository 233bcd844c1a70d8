/* SPDX-License-Identifier: Apache-2.0
 * STIX 2.x patterns: the part that can be decided by one value of one event.
 *
 *   [a = 'x' OR b = 'y' AND c = 'z'] OR [d = 'w']   -> alternatives {a=x} {b=y, c=z} {d=w}
 *
 * Of each alternative the most telling comparison becomes the value to look up; the others become conditions on fields of
 * the same event. Patterns over several observations (AND, FOLLOWEDBY, qualifiers), NOT, LIKE, MATCHES and numbers alone
 * cannot be matched that way: the reason is given and the pattern is kept as text. */
#include "ti/ti_int.h"

#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX 16
#define ATOMS_MAX 2000  /* comparisons of one pattern */
#define ALTS_MAX 2000
#define AND_MAX 8

struct cmp {
    cf_str path;
    enum { OP_EQ, OP_SUBSET } op;
    char *value; /* in the arena, NUL-terminated */
    size_t n;
};
struct alt {
    uint16_t n, c[AND_MAX];
};
struct alts {
    size_t n;
    struct alt *v; /* in the arena */
};
struct parser {
    cf_str in, rest;
    struct cf_arena *a;
    struct cmp *cmp;
    size_t n_cmp;
    int depth;
    struct cf_error *err;
};

static int fail(struct parser *p, int code, const char *why)
{
    int r = cf_error_set(p->err, code, "%s at character %zu", why, p->in.n - p->rest.n + 1);

    if (p->err)
        p->err->pos = p->in.n - p->rest.n;
    return r;
}

static void space(struct parser *p)
{
    while (p->rest.n && (p->rest.p[0] == ' ' || p->rest.p[0] == '\t' || p->rest.p[0] == '\n' || p->rest.p[0] == '\r'))
        p->rest = cf_str_sub(p->rest, 1, p->rest.n);
}

static bool word_char(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

static bool take(struct parser *p, const char *token)
{
    size_t n = strlen(token);

    space(p);
    if (!cf_str_istarts(p->rest, cf_str_n(token, n)))
        return false;
    if (word_char(token[0]) && p->rest.n > n && word_char(p->rest.p[n]))
        return false;
    p->rest = cf_str_sub(p->rest, n, p->rest.n);
    return true;
}

/* object path: letters, digits, - _ . : [*] and quoted parts */
static cf_str path(struct parser *p)
{
    size_t i = 0;

    space(p);
    while (i < p->rest.n) {
        char c = p->rest.p[i];

        if (c == '\'' || c == '"') {
            size_t k = i + 1;

            while (k < p->rest.n && p->rest.p[k] != c)
                k++;
            if (k == p->rest.n)
                return CF_STR_NONE;
            i = k + 1;
        } else if (word_char(c) || c == '-' || c == '.' || c == ':' || c == '*') {
            i++;
        } else if (c == '[' || (c == ']' && i && (p->rest.p[i - 1] == '*' || (p->rest.p[i - 1] >= '0' && p->rest.p[i - 1] <= '9')))) {
            i++;
        } else {
            break;
        }
    }
    cf_str out = cf_str_sub(p->rest, 0, i);
    p->rest = cf_str_sub(p->rest, i, p->rest.n);
    return memchr(out.p, ':', out.n) ? out : CF_STR_NONE;
}

static int literal(struct parser *p, struct cmp *c)
{
    size_t i = 1, n = 0;

    space(p);
    if (p->rest.n == 0)
        return fail(p, CF_ESYNTAX, "a value is missing");
    if (p->rest.p[0] != '\'') { /* number, boolean, t'..', h'..', b'..' */
        size_t k = 0;

        while (k < p->rest.n && (word_char(p->rest.p[k]) || p->rest.p[k] == '.' || p->rest.p[k] == '-' || p->rest.p[k] == '+'))
            k++;
        if (k == 0 || (k < p->rest.n && p->rest.p[k] == '\''))
            return fail(p, k ? CF_EUNSUPPORTED : CF_ESYNTAX, k ? "time and binary values cannot be matched" : "a value is missing");
        c->value = cf_arena_strdup(p->a, cf_str_sub(p->rest, 0, k));
        c->n = k;
        p->rest = cf_str_sub(p->rest, k, p->rest.n);
        return c->value ? 0 : fail(p, CF_ENOMEM, "no memory");
    }
    c->value = cf_arena_alloc(p->a, p->rest.n + 1);
    if (!c->value)
        return fail(p, CF_ENOMEM, "no memory");
    for (; i < p->rest.n && p->rest.p[i] != '\''; i++) {
        if (p->rest.p[i] == '\\' && i + 1 < p->rest.n)
            i++;
        c->value[n++] = p->rest.p[i];
    }
    if (i >= p->rest.n)
        return fail(p, CF_ESYNTAX, "a text does not end");
    c->value[n] = '\0';
    c->n = n;
    p->rest = cf_str_sub(p->rest, i + 1, p->rest.n);
    return 0;
}

static int alts_add(struct parser *p, struct alts *to, const struct alt *one)
{
    if (to->n == ALTS_MAX)
        return fail(p, CF_EUNSUPPORTED, "more than 2,000 alternatives");
    if ((to->n & (to->n + 1)) == 0 || to->n == 0) { /* grows at 0, 1, 3, 7 ... */
        struct alt *v = CF_NEW_N(p->a, struct alt, to->n * 2 + 2);

        if (!v)
            return fail(p, CF_ENOMEM, "no memory");
        if (to->n)
            memcpy(v, to->v, to->n * sizeof *v);
        to->v = v;
    }
    to->v[to->n++] = *one;
    return 0;
}

static int or_expr(struct parser *p, struct alts *ret);

static int comparison(struct parser *p, struct alts *ret)
{
    cf_str name = path(p);
    struct cmp c = {.path = name};
    bool list;
    int r;

    if (!name.p)
        return fail(p, CF_ESYNTAX, "an object path such as domain-name:value is expected");
    if (take(p, "NOT"))
        return fail(p, CF_EUNSUPPORTED, "NOT cannot be matched by a value");
    if (take(p, "LIKE") || take(p, "MATCHES"))
        return fail(p, CF_EUNSUPPORTED, "LIKE and MATCHES are no exact values");
    if (take(p, "ISSUPERSET") || take(p, "!=") || take(p, "<>") || take(p, "<=") || take(p, ">=") || take(p, "<") || take(p, ">"))
        return fail(p, CF_EUNSUPPORTED, "only = IN and ISSUBSET name values");
    list = take(p, "IN");
    if (!list && take(p, "ISSUBSET"))
        c.op = OP_SUBSET;
    else if (!list && !take(p, "==") && !take(p, "="))
        return fail(p, CF_ESYNTAX, "an operator is expected");
    if (list && !take(p, "("))
        return fail(p, CF_ESYNTAX, "IN needs a list in parentheses");
    do {
        struct alt one = {.n = 1};

        if (p->n_cmp == ATOMS_MAX)
            return fail(p, CF_EUNSUPPORTED, "more than 2,000 comparisons");
        r = literal(p, &c);
        if (r < 0)
            return r;
        one.c[0] = (uint16_t)p->n_cmp;
        p->cmp[p->n_cmp++] = c;
        r = alts_add(p, ret, &one);
    } while (r == 0 && list && take(p, ","));
    if (r == 0 && list && !take(p, ")"))
        return fail(p, CF_ESYNTAX, "the list does not end");
    return r;
}

static int term(struct parser *p, struct alts *ret)
{
    int r;

    if (take(p, "EXISTS") || take(p, "NOT"))
        return fail(p, CF_EUNSUPPORTED, "NOT and EXISTS cannot be matched by a value");
    if (!take(p, "("))
        return comparison(p, ret);
    if (++p->depth > DEPTH_MAX)
        return fail(p, CF_ELIMIT, "too many parentheses");
    r = or_expr(p, ret);
    p->depth--;
    return r < 0 ? r : take(p, ")") ? 0 : fail(p, CF_ESYNTAX, "a parenthesis is open");
}

static int both(struct parser *p, const struct alts *x, const struct alts *y, struct alts *ret)
{
    for (size_t i = 0; i < x->n; i++)
        for (size_t k = 0; k < y->n; k++) {
            struct alt one = x->v[i];
            int r;

            if (one.n + y->v[k].n > AND_MAX)
                return fail(p, CF_EUNSUPPORTED, "more than 8 comparisons joined by AND");
            memcpy(one.c + one.n, y->v[k].c, y->v[k].n * sizeof *one.c);
            one.n = (uint16_t)(one.n + y->v[k].n);
            r = alts_add(p, ret, &one);
            if (r < 0)
                return r;
        }
    return 0;
}

static int and_expr(struct parser *p, struct alts *ret)
{
    struct alts left = {0};
    int r = term(p, &left);

    while (r == 0 && take(p, "AND")) {
        struct alts right = {0}, out = {0};

        r = term(p, &right);
        if (r == 0)
            r = both(p, &left, &right, &out);
        left = out;
    }
    for (size_t i = 0; r == 0 && i < left.n; i++)
        r = alts_add(p, ret, &left.v[i]);
    return r;
}

static int or_expr(struct parser *p, struct alts *ret)
{
    int r;

    do
        r = and_expr(p, ret);
    while (r == 0 && take(p, "OR"));
    return r;
}

static int pattern(struct parser *p, struct alts *ret)
{
    int open = 0, r;

    do {
        while (take(p, "("))
            open++;
        if (!take(p, "["))
            return fail(p, CF_ESYNTAX, "a pattern begins with [");
        r = or_expr(p, ret);
        if (r < 0)
            return r;
        if (!take(p, "]"))
            return fail(p, CF_ESYNTAX, "] is missing");
        while (open && take(p, ")"))
            open--;
    } while (take(p, "OR"));
    space(p);
    if (p->rest.n == 0 && open == 0)
        return 0;
    if (take(p, "AND") || take(p, "FOLLOWEDBY"))
        return fail(p, CF_EUNSUPPORTED, "a pattern over several observations is not matched");
    if (take(p, "WITHIN") || take(p, "REPEATS") || take(p, "START"))
        return fail(p, CF_EUNSUPPORTED, "qualifiers (WITHIN, REPEATS, START) are not matched");
    return fail(p, CF_ESYNTAX, "the pattern does not end here");
}

/* ---- from comparisons to values ---------------------------------------------------------------------------------------- */

static bool path_is(cf_str p, const char *want) { return cf_str_ieq(p, cf_str_c(want)); }

/* hashes.'SHA-256' of file, process image, artifact; the algorithm without quotes and dashes */
static bool hash_path(cf_str p, enum cf_ti_type *ret, bool *cert)
{
    ptrdiff_t at = cf_str_ifind(p, CF_STR("hashes."));
    char alg[16];
    size_t n = 0;

    if (at < 0)
        return false;
    *cert = cf_str_istarts(p, CF_STR("x509-certificate:"));
    for (size_t i = (size_t)at + 7; i < p.n && n < sizeof alg; i++)
        if (p.p[i] != '\'' && p.p[i] != '"' && p.p[i] != '-' && p.p[i] != '_')
            alg[n++] = p.p[i];
    if (cf_str_ieq(cf_str_n(alg, n), CF_STR("md5")))
        *ret = CF_TI_MD5;
    else if (cf_str_ieq(cf_str_n(alg, n), CF_STR("sha1")))
        *ret = CF_TI_SHA1;
    else if (cf_str_ieq(cf_str_n(alg, n), CF_STR("sha256")))
        *ret = CF_TI_SHA256;
    else
        return false;
    if (*cert)
        *ret = CF_TI_CERT;
    return true;
}

/* The kind of value the path names, or false. */
static bool key_type(const struct cmp *c, enum cf_ti_type *ret)
{
    static const struct {
        const char *path;
        enum cf_ti_type t;
    } map[] = {{"ipv4-addr:value", CF_TI_IPV4}, {"ipv6-addr:value", CF_TI_IPV6}, {"domain-name:value", CF_TI_DOMAIN}, {"url:value", CF_TI_URL},
               {"email-addr:value", CF_TI_EMAIL}, {"email-message:from_ref.value", CF_TI_EMAIL}, {"email-message:sender_ref.value", CF_TI_EMAIL},
               {"email-message:to_refs[*].value", CF_TI_EMAIL}, {"network-traffic:dst_ref.value", CF_TI_ANY}, {"network-traffic:src_ref.value", CF_TI_ANY},
               {"user-account:account_login", CF_TI_ACCOUNT}, {"user-account:user_id", CF_TI_ACCOUNT}, {"domain-name:resolves_to_refs[*].value", CF_TI_ANY},
               {"ja3-fingerprint:value", CF_TI_JA3}, {"x-ja3:value", CF_TI_JA3}, {"x-ja4:value", CF_TI_JA4}, {"x-cryptocurrency-wallet:value", CF_TI_WALLET}};
    bool cert;

    if (hash_path(c->path, ret, &cert))
        return c->op == OP_EQ;
    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        if (path_is(c->path, map[i].path)) {
            *ret = map[i].t;
            return c->op == OP_EQ || *ret == CF_TI_IPV4 || *ret == CF_TI_IPV6 || *ret == CF_TI_ANY;
        }
    return false;
}

static int rank(enum cf_ti_type t)
{
    static const int r[CF_TI_TYPES] = {[CF_TI_SHA256] = 9, [CF_TI_SHA1] = 8, [CF_TI_MD5] = 7, [CF_TI_CERT] = 7, [CF_TI_URL] = 6, [CF_TI_JA4] = 5, [CF_TI_JA3] = 5,
                                       [CF_TI_EMAIL] = 5, [CF_TI_DOMAIN] = 4, [CF_TI_IPV4] = 3, [CF_TI_IPV6] = 3, [CF_TI_CIDR] = 2, [CF_TI_ACCOUNT] = 1, [CF_TI_WALLET] = 1};

    return t < CF_TI_TYPES ? r[t] : 3;
}

static const char *cond_field(const struct cmp *c)
{
    static const struct {
        const char *path, *field;
    } map[] = {{"network-traffic:dst_port", "destination.port"}, {"network-traffic:src_port", "source.port"}, {"network-traffic:dst_ref.value", "destination.ip"},
               {"network-traffic:src_ref.value", "source.ip"}, {"file:name", "file.name"}, {"file:size", "file.size"}, {"process:name", "process.name"},
               {"process:command_line", "process.command_line"}, {"user-account:user_id", "user.name"}, {"user-account:account_login", "user.name"},
               {"windows-registry-key:key", "registry.key"}, {"email-message:subject", "email.subject"}};

    if (c->op != OP_EQ)
        return NULL;
    if (path_is(c->path, "network-traffic:protocols[*]"))
        return strcasecmp(c->value, "tcp") == 0 || strcasecmp(c->value, "udp") == 0 || strcasecmp(c->value, "icmp") == 0 ? "network.transport" : "network.protocol";
    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        if (path_is(c->path, map[i].path))
            return map[i].field;
    return NULL;
}

static bool implied(cf_str path_of_protocol, const char *value)
{
    /* says nothing beside an address */
    return path_is(path_of_protocol, "network-traffic:protocols[*]") && (strcasecmp(value, "ipv4") == 0 || strcasecmp(value, "ipv6") == 0);
}

static int make_atom(struct parser *p, const struct alt *al, struct ti_atom *ret)
{
    enum cf_ti_type t, best_t = CF_TI_ANY;
    int best = -1;
    size_t n = 0;
    const char *why;

    for (int i = 0; i < al->n; i++)
        if (key_type(&p->cmp[al->c[i]], &t) && (best < 0 || rank(t) > rank(best_t))) {
            best = i;
            best_t = t;
        }
    if (best < 0)
        return cf_error_set(p->err, CF_EUNSUPPORTED, "no address, name, URL, hash, mail address or account in \"%.*s\"", CF_ARG(cf_str_sub(p->cmp[al->c[0]].path, 0, 60)));
    if (!cf_ti_value_read(cf_str_n(p->cmp[al->c[best]].value, p->cmp[al->c[best]].n), best_t, &ret->value, &why))
        return cf_error_set(p->err, CF_EINVAL, "\"%.60s\": %s", p->cmp[al->c[best]].value, why);
    ret->cond[0] = '\0';
    for (int i = 0; i < al->n; i++) {
        const struct cmp *c = &p->cmp[al->c[i]];
        const char *field = cond_field(c);

        if (i == best || implied(c->path, c->value) || (rank(best_t) >= 7 && key_type(c, &t) && rank(t) >= 7))
            continue; /* further hashes of the same file say nothing new */
        if (!field || c->n > 200 || strchr(c->value, '\n'))
            return cf_error_set(p->err, CF_EUNSUPPORTED, "the condition on %.*s cannot be checked on an event", CF_ARG(cf_str_sub(c->path, 0, 60)));
        n += (size_t)snprintf(ret->cond + n, sizeof ret->cond - n, "%s%s=%s", n ? "\n" : "", field, c->value);
        if (n >= sizeof ret->cond)
            return cf_error_set(p->err, CF_EUNSUPPORTED, "the conditions are too long");
    }
    return 0;
}

int ti_pattern_atoms(cf_str text, ti_atom_fn fn, void *ctx, struct cf_error *reterr)
{
    struct cf_arena a;
    struct parser p = {.in = text, .rest = text, .a = &a, .err = reterr};
    struct ti_atom *atom = calloc(1, sizeof *atom);
    struct alts alts = {0};
    int r;

    cf_arena_init(&a, 0, 64 << 20);
    p.cmp = CF_NEW_N(&a, struct cmp, ATOMS_MAX);
    r = atom && p.cmp ? pattern(&p, &alts) : cf_error_set(reterr, CF_ENOMEM, "pattern");
    for (size_t i = 0; r == 0 && i < alts.n; i++) /* all or none */
        r = make_atom(&p, &alts.v[i], atom);
    for (size_t i = 0; r == 0 && i < alts.n; i++) {
        r = make_atom(&p, &alts.v[i], atom);
        if (r == 0)
            r = fn(ctx, atom, reterr);
    }
    cf_arena_release(&a);
    free(atom);
    return r;
}
