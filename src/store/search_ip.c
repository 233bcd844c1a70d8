/* SPDX-License-Identifier: Apache-2.0
 * Conditions on addresses: one, a net (CIDR, or 10.1.*), a pattern of the text. */
#include <stdio.h>

#include "store/search_sql_int.h"

static cf_str ip_text(struct cf_arena *a, const struct cf_ip *ip)
{
    char out[64] = "", tmp[46];
    size_t n = cf_ip_format(ip, tmp);
    int k = snprintf(out, sizeof out, "%s%.*s", cf_ip_is4(ip) ? "::ffff:" : "", (int)n, tmp);

    return cf_arena_copy(a, (cf_str){out, (size_t)k});
}

/* 10.1.*: the wildcard at the end of whole octets is a prefix. */
static bool octets(cf_str v, struct cf_cidr *ret)
{
    char text[40];
    size_t dots = 0, n = 0;
    int k;

    if (v.n < 3 || v.n > 14 || v.p[v.n - 1] != '*' || v.p[v.n - 2] != '.')
        return false;
    for (size_t i = 0; i + 1 < v.n; i++) {
        dots += v.p[i] == '.';
        if (v.p[i] != '.' && (v.p[i] < '0' || v.p[i] > '9'))
            return false;
        text[n++] = v.p[i];
    }
    if (dots > 3)
        return false;
    k = snprintf(text + n, sizeof text - n, "%s/%zu", dots == 1 ? "0.0.0" : dots == 2 ? "0.0" : "0", dots * 8);
    return cf_cidr_parse((cf_str){text, n + (size_t)k}, ret);
}

/* column: expr is an address column. Its bytes are compared with the whole octets of the prefix first, which takes half the time
 * of comparing addresses; an absent address reads as zeros there. */
static int ip_range(struct cf_search_sql *s, const char *expr, bool column, const struct cf_cidr *c, struct cf_error *reterr)
{
    struct cf_ip lo = c->ip, hi = c->ip;
    unsigned whole = c->bits / 8;
    char hex[33];
    int r = 0;

    for (unsigned bit = c->bits; bit < 128; bit++) {
        lo.b[bit / 8] = (uint8_t)(lo.b[bit / 8] & ~(0x80u >> (bit % 8)));
        hi.b[bit / 8] = (uint8_t)(hi.b[bit / 8] | (0x80u >> (bit % 8)));
    }
    column = column && (whole > 12 || (whole && lo.b[0]));
    cf_buf_byte(&s->cond, '(');
    if (column) {
        cf_hex(lo.b, whole, hex);
        cf_buf_printf(&s->cond, "startsWith(reinterpretAsFixedString(assumeNotNull(%s)), unhex('%s'))", expr, hex);
    }
    if (!column || c->bits % 8) {
        cf_buf_printf(&s->cond, "%s%s >= ", column ? " AND " : "", expr);
        r = search_bind(s, ip_text(s->arena, &lo), "IPv6", reterr);
        cf_buf_printf(&s->cond, " AND %s <= ", expr);
        if (r == 0)
            r = search_bind(s, ip_text(s->arena, &hi), "IPv6", reterr);
    }
    cf_buf_byte(&s->cond, ')');
    return r;
}

int search_ip_cmp(struct cf_search_sql *s, const char *expr, bool column, enum cf_search_op op, const struct cf_search_value *v, cf_str field,
                  struct cf_error *reterr)
{
    struct cf_ip ip;
    struct cf_cidr cidr;
    int r;

    if (op == CF_OP_EQ && v->wild) {
        if (octets(v->text, &cidr))
            return ip_range(s, expr, column, &cidr, reterr);
        cf_buf_printf(&s->cond, "ifNull(replaceOne(toString(%s), '::ffff:', '') LIKE ", expr);
        r = search_bind(s, search_lower(s->arena, v->like), "String", reterr);
        cf_buf_z(&s->cond, ", 0)");
        return r;
    }
    if (op == CF_OP_EQ && memchr(v->text.p, '/', v->text.n) && cf_cidr_parse(v->text, &cidr))
        return ip_range(s, expr, column, &cidr, reterr);
    if (!cf_ip_parse(v->text, &ip))
        return search_wrong(v->pos, reterr, field, "is an address: write 10.0.0.1, 10.0.0.0/8, 10.0.* or an IPv6 address");
    cf_buf_printf(&s->cond, "%s %s ", expr, search_ops[op]);
    return search_bind(s, ip_text(s->arena, &ip), "IPv6", reterr);
}
