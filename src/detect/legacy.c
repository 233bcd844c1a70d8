/* SPDX-License-Identifier: Apache-2.0
 * Aggregations of Sigma 1 ("... | count(field) by group > 5" with "timeframe") as the correlations that replaced them.
 * "near" had no agreed meaning and is refused. */
#include "detect/detect_int.h"

static bool word(cf_str *s, cf_str *ret)
{
    size_t n = 0;

    *s = cf_str_trim(*s);
    if (!s->n)
        return false;
    if (strchr("()<>=", s->p[0])) {
        n = 1;
        if (s->n > 1 && (s->p[0] == '<' || s->p[0] == '>') && s->p[1] == '=')
            n = 2;
        if (s->n > 1 && s->p[0] == '=' && s->p[1] == '=')
            n = 2;
    } else {
        while (n < s->n && !strchr(" \t\r\n()<>=", s->p[n]))
            n++;
    }
    *ret = (cf_str){s->p, n};
    *s = cf_str_sub(*s, n, s->n);
    return true;
}

static int one_name(struct cf_compile *c, cf_str name, cf_str **ret, uint32_t *ret_n)
{
    *ret = CF_NEW_N(&c->rs->arena, cf_str, 1);
    if (!*ret || !((*ret)[0] = cf_arena_copy(&c->rs->arena, name)).p)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    *ret_n = 1;
    return 0;
}

static int bad(struct cf_compile *c, cf_str tail, const char *why)
{
    return cf_error_set(c->err, CF_EUNSUPPORTED, "aggregation \"| %.*s\": %s", CF_ARG(tail), why);
}

int cf_legacy_aggregation(struct cf_compile *c, cf_str tail, const struct cf_ynode *det, struct cf_corr **ret)
{
    static const struct {
        const char *text;
        enum cf_num_op op;
    } ops[] = {{"<", CF_N_LT}, {"<=", CF_N_LTE}, {">", CF_N_GT}, {">=", CF_N_GTE}, {"=", CF_N_EQ}, {"==", CF_N_EQ}};
    struct cf_corr *k = CF_NEW(&c->rs->arena, struct cf_corr);
    cf_str s = tail, fn, w, span = cf_ymap_str(det, "timeframe");
    size_t op = 0;
    double v;
    int r = 0;

    if (!k)
        return cf_error_set(c->err, CF_ENOMEM, "out of memory");
    if (!word(&s, &fn))
        return bad(c, tail, "is empty");
    if (cf_str_eqz(fn, "near"))
        return bad(c, tail, "\"near\" is not part of Sigma any more; write a temporal correlation");
    k->type = cf_str_eqz(fn, "count") ? CF_C_EVENT_COUNT : cf_str_eqz(fn, "sum") ? CF_C_SUM : cf_str_eqz(fn, "avg") ? CF_C_AVG : 255;
    if (k->type == 255)
        return bad(c, tail, "only count, sum and avg are known");
    if (!word(&s, &w) || !cf_str_eqz(w, "(") || !word(&s, &w))
        return bad(c, tail, "\"(\" is expected");
    if (!cf_str_eqz(w, ")")) {
        r = one_name(c, w, &k->value_name, &k->n_value);
        if (k->type == CF_C_EVENT_COUNT)
            k->type = CF_C_VALUE_COUNT;
        if (!word(&s, &w) || !cf_str_eqz(w, ")"))
            return bad(c, tail, "\")\" is expected");
    }
    if (k->type != CF_C_EVENT_COUNT && !k->n_value)
        return bad(c, tail, "a field is needed between the parentheses");
    if (!word(&s, &w))
        return bad(c, tail, "a comparison is needed");
    if (r == 0 && cf_str_eqz(w, "by")) {
        if (!word(&s, &w))
            return bad(c, tail, "a field is needed after \"by\"");
        r = one_name(c, w, &k->group, &k->n_group);
        if (!word(&s, &w))
            return bad(c, tail, "a comparison is needed");
    }
    while (op < 6 && !cf_str_eqz(w, ops[op].text))
        op++;
    if (op == 6 || !word(&s, &w) || !cf_str_f64(w, &v) || cf_str_trim(s).n)
        return bad(c, tail, "a comparison with a number is needed at the end");
    if (!span.p)
        return bad(c, tail, "there is no \"timeframe\"");
    if (!cf_timespan(span, &k->span_us))
        return bad(c, tail, "\"timeframe\" must be a number and s, m, h or d");
    k->bound[0] = (struct cf_bound){(uint8_t)ops[op].op, v};
    k->n_bound = 1;
    k->n_rules = 1;
    k->at_close = ops[op].op != CF_N_GT && ops[op].op != CF_N_GTE;
    *ret = k;
    return r;
}
