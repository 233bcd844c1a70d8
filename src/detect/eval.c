/* SPDX-License-Identifier: Apache-2.0
 * The truth of one predicate, of a tree (for explanations) and of a program (for detection). */
#include "detect/match.h"

/* ---- pairs of bytes ---- */

#define PAIRS_AFTER 24u /* patterns looked for in a text before its pairs are noted: what noting costs */

static inline uint32_t pair_at(const char *p) { return ((uint32_t)(unsigned char)p[0] << 5 ^ (unsigned char)p[1]) % CF_PAIR_MARKS; }

static void pairs_note(struct cf_pairs *ps, cf_str low, uint32_t val)
{
    if (++ps->epoch == 0) {
        memset(ps->mark, 0, sizeof ps->mark);
        ps->epoch = 1;
    }
    for (size_t i = 0; i + 1 < low.n; i++)
        ps->mark[pair_at(low.p + i)] = ps->epoch;
    ps->val = val;
}

/* Pairs of the folded text of a value when many patterns are looked for in it; NULL: not worth it. */
static const struct cf_pairs *pairs_of(struct cf_detector *d, uint16_t val, cf_str low, uint32_t patterns)
{
    struct cf_folded *f = val == CF_VAL_RECORD ? &d->record : val == CF_VAL_TIME ? &d->time_fold : &d->fold[val];

    if (d->pairs.val == val + 1u)
        return &d->pairs;
    f->tried += patterns;
    if (f->tried + 1 < PAIRS_AFTER || low.n < 16)
        return NULL;
    pairs_note(&d->pairs, low, val + 1u);
    return &d->pairs;
}

static inline bool pairs_lack(const struct cf_pairs *ps, const struct cf_pat *pat)
{
    for (uint32_t i = 0; i + 1 < pat->n; i++)
        if (ps->mark[pair_at(pat->p + i)] != ps->epoch)
            return true;
    return false;
}

static bool pats_match(struct cf_detector *d, const struct cf_pred *p, uint16_t val, uint32_t from, uint32_t to)
{
    cf_str raw = {cf_val_at(d, val)->p, cf_val_at(d, val)->n}, low = CF_STR_NONE;
    const struct cf_pairs *ps = NULL;

    for (uint32_t i = from; i < to; i++) {
        const struct cf_pat *pat = &p->u.pat[i];

        if (!pat->cased && !low.p) {
            low = cf_folded(d, val);
            ps = pat->kind == CF_PAT_CONTAINS ? pairs_of(d, val, low, to - i) : NULL;
        }
        if (ps && pat->kind == CF_PAT_CONTAINS && !pat->cased && pairs_lack(ps, pat))
            continue;
        if (cf_pat_match(pat, pat->cased ? (raw.p ? raw.p : "") : low.p, pat->cased ? raw.n : low.n))
            return true;
    }
    return false;
}

static bool nums_match(uint8_t op, double v, double limit)
{
    switch ((enum cf_num_op)op) {
    case CF_N_EQ:
        return v == limit;
    case CF_N_LT:
        return v < limit;
    case CF_N_LTE:
        return v <= limit;
    case CF_N_GT:
        return v > limit;
    case CF_N_GTE:
        return v >= limit;
    case CF_N_NEQ:
        return v != limit;
    }
    return false;
}

static unsigned iso_week(int64_t days)
{
    int year;
    unsigned month, day;
    int64_t thursday = days - (((days + 3) % 7 + 7) % 7) + 3; /* Monday is 0: 1970-01-01 was a Thursday */

    cf_civil_from_days(thursday, &year, &month, &day);
    return (unsigned)((thursday - cf_days_from_civil(year, 1, 1)) / 7 + 1);
}

/* Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by how many digits there are. */
static bool epoch_parse(cf_str s, int64_t *ret_us)
{
    const char *dot = s.n ? memchr(s.p, '.', s.n) : NULL;
    cf_str whole = cf_str_sub(s, 0, dot ? (size_t)(dot - s.p) : s.n);
    int64_t v;

    if (whole.n < 9 || whole.n > 19 || !cf_str_i64(whole, &v) || v < 0)
        return false;
    *ret_us = whole.n < 12 ? v * CF_US_PER_S : whole.n < 15 ? v * 1000 : whole.n < 18 ? v : v / 1000;
    return true;
}

static bool two_digits(cf_str s, size_t at, unsigned *ret)
{
    unsigned a, b;

    if (at + 2 > s.n)
        return false;
    a = (unsigned)(unsigned char)s.p[at] - '0';
    b = (unsigned)(unsigned char)s.p[at + 1] - '0';
    *ret = a * 10 + b;
    return a < 10 && b < 10;
}

/* The zone a text ends with: false when it states none, or one that is not known by a number. */
static bool stated_offset(cf_str s, int64_t *ret_s)
{
    unsigned h, m = 0;
    cf_str d = cf_str_sub(s, 1, s.n);

    if (s.n == 0)
        return false;
    *ret_s = 0;
    if (cf_str_eqz(s, "Z") || cf_str_eqz(s, "z") || cf_str_eqz(s, "UTC") || cf_str_eqz(s, "GMT"))
        return true;
    if ((s.p[0] != '+' && s.p[0] != '-') || !two_digits(d, 0, &h))
        return false;
    if (d.n != 2 && !(d.n == 4 && two_digits(d, 2, &m)) && !(d.n == 5 && d.p[2] == ':' && two_digits(d, 3, &m)))
        return false;
    *ret_s = (int64_t)(h * 3600 + m * 60) * (s.p[0] == '-' ? -1 : 1);
    return h < 24 && m < 60;
}

/* A time as the clocks of the rules' zone show it: a moment (a number, or a text that states its zone) is moved there, a text
 * without zone stays as it is. */
static bool local_time(const struct cf_zone *z, cf_str s, int64_t *ret_us)
{
    int64_t off_s, us;
    size_t n = s.n < 10 ? s.n : 10;

    while (n < s.n && ((s.p[n] >= '0' && s.p[n] <= '9') || strchr("Tt :.,", s.p[n])))
        n++;
    if (cf_time_parse(cf_str_trim(cf_str_sub(s, 0, n)), &us)) {
        if (n < 16 || !stated_offset(cf_str_trim(cf_str_sub(s, n, s.n)), &off_s)) {
            *ret_us = us;
            return true;
        }
        us -= off_s * CF_US_PER_S;
    } else if (!epoch_parse(s, &us)) {
        return false;
    }
    *ret_us = us + (int64_t)cf_zone_offset(z, us >= 0 ? us / CF_US_PER_S : -((CF_US_PER_S - 1 - us) / CF_US_PER_S)) * CF_US_PER_S;
    return true;
}

bool cf_time_part(const struct cf_ruleset *rs, cf_str s, uint8_t part, double *ret)
{
    int64_t us, days, sec;
    int year;
    unsigned month, day;

    if (!local_time(&rs->zone, s, &us))
        return false;
    days = us >= 0 ? us / CF_US_PER_DAY : -((CF_US_PER_DAY - 1 - us) / CF_US_PER_DAY);
    sec = (us - days * CF_US_PER_DAY) / CF_US_PER_S;
    cf_civil_from_days(days, &year, &month, &day);
    switch ((enum cf_time_part)part) {
    case CF_TP_MINUTE:
        *ret = (double)(sec / 60 % 60);
        break;
    case CF_TP_HOUR:
        sec /= 3600; /* whole hours */
        *ret = (double)sec;
        break;
    case CF_TP_DAY:
        *ret = day;
        break;
    case CF_TP_WEEK:
        *ret = iso_week(days);
        break;
    case CF_TP_MONTH:
        *ret = month;
        break;
    case CF_TP_YEAR:
        *ret = year;
        break;
    }
    return true;
}

static bool value_match(struct cf_detector *d, const struct cf_pred *p, uint16_t val, uint32_t from, uint32_t to)
{
    cf_str s = {cf_val_at(d, val)->p, cf_val_at(d, val)->n};
    struct cf_ip ip;
    double v;

    switch ((enum cf_pred_kind)p->kind) {
    case CF_P_STR:
        return pats_match(d, p, val, from, to);
    case CF_P_RE:
        for (uint32_t i = from; i < to; i++)
            if (cf_rex_match(d->rs, &d->rex, p->u.rex[i], s))
                return true;
        return false;
    case CF_P_CIDR:
        if (!cf_ip_parse(s, &ip))
            return false;
        for (uint32_t i = from; i < to; i++)
            if (cf_cidr_has(&p->u.cidr[i], &ip))
                return true;
        return false;
    case CF_P_NUM:
        if (!cf_str_f64(s, &v))
            return false;
        for (uint32_t i = from; i < to; i++)
            if (nums_match(p->op, v, p->u.num[i]))
                return true;
        return false;
    case CF_P_TIME:
        if (!cf_time_part(d->rs, s, p->op, &v))
            return false;
        for (uint32_t i = from; i < to; i++)
            if (nums_match((uint8_t)p->ref, v, p->u.num[i]))
                return true;
        return false;
    default:
        return false;
    }
}

/* Any value of the field (or of the whole record) that one of the patterns [from, to) fits. */
static bool any_value(struct cf_detector *d, const struct cf_pred *p, uint32_t from, uint32_t to, cf_str *ret)
{
    if (p->field == CF_RF_KEYWORD) {
        bool text = cf_record_is_text(d);
        uint16_t n = text ? 1 : d->ev->n;

        for (uint16_t i = 0; i < n; i++) {
            uint16_t val = text ? (uint16_t)CF_VAL_RECORD : i;

            if (!text && (d->ev->val[i].id == CF_F_EVENT_ORIGINAL || d->ev->val[i].kind == CF_V_NULL))
                continue;
            if (value_match(d, p, val, from, to)) {
                if (ret)
                    *ret = text ? d->ev->original : (cf_str){d->ev->val[i].p, d->ev->val[i].n};
                return true;
            }
        }
        return false;
    }
    for (const struct cf_link *l = cf_field_first(d, p->field); l; l = cf_link_next(d, l)) {
        const struct cf_value *v = cf_link_val(d, l);

        if (v->kind == CF_V_NULL || !value_match(d, p, l->val, from, to))
            continue;
        if (ret)
            *ret = (cf_str){v->p, v->n};
        return true;
    }
    return false;
}

static bool null_eval(struct cf_detector *d, const struct cf_pred *p)
{
    for (const struct cf_link *l = cf_field_first(d, p->field); l; l = cf_link_next(d, l))
        if (cf_link_val(d, l)->kind != CF_V_NULL)
            return false;
    return true;
}

/* Does a value of the field stand in the asked relation to a value of the other field? */
static bool ref_eval(struct cf_detector *d, const struct cf_pred *p, cf_str *ret)
{
    for (const struct cf_link *a = cf_field_first(d, p->field); a; a = cf_link_next(d, a))
        for (const struct cf_link *b = cf_field_first(d, p->ref); b; b = cf_link_next(d, b)) {
            const struct cf_value *x = cf_link_val(d, a), *y = cf_link_val(d, b);
            struct cf_pat pat = {.kind = p->op, .cased = p->flag};
            cf_str s = {x->p, x->n}, t = {y->p, y->n};

            if (x->kind == CF_V_NULL || y->kind == CF_V_NULL)
                continue;
            if (!p->flag) {
                (void)cf_folded(d, a->val); /* both first: the buffer may move */
                t = cf_folded(d, b->val);
                s = cf_folded(d, a->val);
            }
            pat.p = t.p ? t.p : "";
            pat.n = (uint32_t)t.n;
            if (cf_pat_match(&pat, s.p ? s.p : "", s.n)) {
                if (ret)
                    *ret = (cf_str){x->p, x->n};
                return true;
            }
        }
    return false;
}

bool cf_pred_eval(struct cf_detector *d, uint32_t pred, cf_str *ret)
{
    const struct cf_pred *p = &d->rs->preds[pred];

    switch ((enum cf_pred_kind)p->kind) {
    case CF_P_NULL:
        return null_eval(d, p);
    case CF_P_EXISTS:
        return (cf_field_first(d, p->field) != NULL) == p->flag;
    case CF_P_REF:
        return ref_eval(d, p, ret);
    default:
        break;
    }
    if (p->field != CF_RF_KEYWORD && !cf_field_first(d, p->field))
        return false;
    if (!p->all)
        return any_value(d, p, 0, p->n, ret);
    for (uint32_t i = 0; i < p->n; i++)
        if (!any_value(d, p, i, i + 1, ret))
            return false;
    return true;
}

bool cf_node_eval(struct cf_detector *d, const struct cf_node *n)
{
    switch ((enum cf_node_kind)n->kind) {
    case CF_ND_PRED:
        return cf_pred_eval(d, n->pred, NULL);
    case CF_ND_NOT:
        return !cf_node_eval(d, n->child[0]);
    case CF_ND_AND:
        for (uint32_t i = 0; i < n->n; i++)
            if (!cf_node_eval(d, n->child[i]))
                return false;
        return true;
    case CF_ND_OR:
        for (uint32_t i = 0; i < n->n; i++)
            if (cf_node_eval(d, n->child[i]))
                return true;
        return false;
    case CF_ND_SOME: {
        uint32_t yes = 0;

        for (uint32_t i = 0; i < n->n && yes < n->pred && yes + (n->n - i) >= n->pred; i++)
            yes += cf_node_eval(d, n->child[i]);
        return yes >= n->pred;
    }
    case CF_ND_TRUE:
        return true;
    case CF_ND_FALSE:
        return false;
    }
    return false;
}

/* ---- what one value alone says ---- */

enum tri { NO, YES, OPEN };

static enum tri tri_pred(struct cf_detector *d, uint32_t pred, uint16_t val)
{
    const struct cf_pred *p = &d->rs->preds[pred];
    const struct cf_link *l = p->field == CF_RF_KEYWORD || p->kind == CF_P_REF ? NULL : cf_field_first(d, p->field);

    if (!l || l->val != val || l->next) /* the value is not all that the field has */
        return OPEN;
    return cf_pred_eval(d, pred, NULL) ? YES : NO;
}

static enum tri tri_node(struct cf_detector *d, const struct cf_node *n, uint16_t val)
{
    uint32_t yes = 0, open = 0, want = n->kind == CF_ND_AND ? n->n : n->kind == CF_ND_OR ? 1 : n->pred;

    switch ((enum cf_node_kind)n->kind) {
    case CF_ND_PRED:
        return tri_pred(d, n->pred, val);
    case CF_ND_NOT: {
        enum tri t = tri_node(d, n->child[0], val);
        return t == OPEN ? OPEN : t == YES ? NO : YES;
    }
    case CF_ND_TRUE:
        return YES;
    case CF_ND_FALSE:
        return NO;
    case CF_ND_AND:
    case CF_ND_OR:
    case CF_ND_SOME:
        break;
    }
    for (uint32_t i = 0; i < n->n && yes < want && yes + open + (n->n - i) >= want; i++) {
        enum tri t = tri_node(d, n->child[i], val);

        yes += t == YES;
        open += t == OPEN;
    }
    return yes >= want ? YES : yes + open >= want ? OPEN : NO;
}

bool cf_refuted(struct cf_detector *d, const struct cf_rule *r, uint16_t val) { return tri_node(d, r->root, val) == NO; }

bool cf_program_run(struct cf_detector *d, const struct cf_rule *r)
{
    int32_t at = r->entry;

    while (at >= 0)
        at = cf_pred_eval(d, r->prog[at].pred, NULL) ? r->prog[at].t : r->prog[at].f;
    return at == CF_ACCEPT;
}
