/* SPDX-License-Identifier: Apache-2.0
 * Why a rule fired on an event, or why not: the same predicates and trees the detector runs, told in JSON. */
#include "detect/explain.h"

#define VALUE_MAX 300 /* bytes of a value shown */

static const char *const kind_name[] = {"value", "regular expression", "network", "comparison", "null", "exists", "field reference", "time"};

void cf_xp_key(struct cf_buf *b, const char *k, bool first)
{
    cf_buf_printf(b, "%s\"%s\":", first ? "" : ",", k);
}

void cf_xp_shown(struct cf_buf *b, cf_str v)
{
    size_t n = v.n > VALUE_MAX ? VALUE_MAX : v.n;

    while (n && n < v.n && ((unsigned char)v.p[n] & 0xc0) == 0x80)
        n--;
    cf_buf_json(b, (cf_str){v.p ? v.p : "", n});
}

void cf_xp_bool(struct cf_buf *b, const char *k, bool v, bool first)
{
    cf_xp_key(b, k, first);
    cf_buf_z(b, v ? "true" : "false");
}

/* Name of the place in the event where a value was found. */
static cf_str place(const struct cf_value *v)
{
    if (v->id < CF_F__COUNT)
        return cf_str_c(cf_fields[v->id].name);
    return v->name ? cf_name_text(v->name) : cf_name_text(v->raw);
}

static void found(struct cf_detector *d, struct cf_buf *b, const struct cf_pred *p)
{
    double part;
    size_t n = 0;

    cf_xp_key(b, "found", false);
    cf_buf_byte(b, '[');
    for (const struct cf_link *l = cf_field_first(d, p->field); l && n < 8; l = cf_link_next(d, l), n++) {
        const struct cf_value *v = cf_link_val(d, l);

        cf_buf_z(b, n ? ",{" : "{");
        cf_xp_key(b, "in", true);
        cf_buf_json(b, place(v));
        if (v->raw) {
            cf_xp_key(b, "source_name", false);
            cf_buf_json(b, cf_name_text(v->raw));
        }
        cf_xp_key(b, "value", false);
        if (v->kind == CF_V_NULL)
            cf_buf_z(b, "null");
        else
            cf_xp_shown(b, (cf_str){v->p, v->n});
        if (p->kind == CF_P_TIME && v->kind != CF_V_NULL && cf_time_part(d->rs, (cf_str){v->p, v->n}, p->op, &part))
            cf_buf_printf(b, ",\"counted\":%.17g", part); /* the hour, day ... of the value in the rules' zone */
        cf_buf_byte(b, '}');
    }
    cf_buf_byte(b, ']');
}

static void wanted(struct cf_detector *d, struct cf_buf *b, const struct cf_pred *p)
{
    uint32_t n = p->n < 5 ? p->n : 5;

    cf_xp_key(b, "wanted", false);
    cf_buf_byte(b, '[');
    for (uint32_t i = 0; i < n; i++) {
        cf_buf_z(b, i ? "," : "");
        switch ((enum cf_pred_kind)p->kind) {
        case CF_P_STR: {
            const struct cf_pat *pat = &p->u.pat[i];
            char t[256];
            size_t k = 0, len = pat->n < 200 ? pat->n : 200;

            if (pat->kind == CF_PAT_SUFFIX || pat->kind == CF_PAT_CONTAINS || pat->kind == CF_PAT_ANY)
                t[k++] = '*';
            for (size_t j = 0; j < len; j++)
                t[k++] = pat->kind == CF_PAT_GLOB && pat->p[j] == CF_WILD_MANY ? '*' : pat->kind == CF_PAT_GLOB && pat->p[j] == CF_WILD_ONE ? '?' : pat->p[j];
            if (pat->kind == CF_PAT_PREFIX || pat->kind == CF_PAT_CONTAINS)
                t[k++] = '*';
            cf_xp_shown(b, (cf_str){t, k});
            break;
        }
        case CF_P_RE:
            cf_xp_shown(b, d->rs->rex[p->u.rex[i]].text);
            break;
        case CF_P_NUM:
        case CF_P_TIME:
            cf_buf_printf(b, "%.17g", p->u.num[i]);
            break;
        case CF_P_CIDR: {
            char t[46];
            size_t k = cf_ip_format(&p->u.cidr[i].ip, t);
            bool v4 = cf_ip_is4(&p->u.cidr[i].ip);
            cf_buf_printf(b, "\"%.*s/%d\"", (int)k, t, v4 ? p->u.cidr[i].bits - 96 : p->u.cidr[i].bits);
            break;
        }
        default:
            cf_buf_z(b, "null");
        }
    }
    if (p->n > n)
        cf_buf_printf(b, ",\"... %u more\"", p->n - n);
    cf_buf_byte(b, ']');
}

static void test(struct cf_detector *d, struct cf_buf *b, uint32_t pred, bool first)
{
    const struct cf_pred *p = &d->rs->preds[pred];
    cf_str v = CF_STR_NONE;
    bool yes = cf_pred_eval(d, pred, &v);

    cf_buf_z(b, first ? "{" : ",{");
    cf_xp_key(b, "test", true);
    cf_buf_json(b, d->rs->src[p->src]);
    cf_xp_bool(b, "result", yes, false);
    cf_xp_key(b, "kind", false);
    cf_buf_printf(b, "\"%s\"", kind_name[p->kind]);
    if (p->kind == CF_P_TIME) {
        cf_xp_key(b, "zone", false);
        cf_buf_json(b, d->rs->zone_name);
    }
    wanted(d, b, p);
    if (yes && v.p) {
        cf_xp_key(b, "matching_value", false);
        cf_xp_shown(b, v);
    }
    if (p->field != CF_RF_KEYWORD)
        found(d, b, p);
    cf_buf_byte(b, '}');
}

static void tests(struct cf_detector *d, struct cf_buf *b, const struct cf_node *n, size_t *count)
{
    if (n->kind == CF_ND_PRED) {
        if (*count < 200)
            test(d, b, n->pred, *count == 0);
        ++*count;
        return;
    }
    for (uint32_t i = 0; i < n->n; i++)
        tests(d, b, n->child[i], count);
}

static void source_name(struct cf_buf *b, cf_str p, cf_str c, cf_str s)
{
    cf_buf_printf(b, "%.*s/%.*s/%.*s", CF_ARG(p), CF_ARG(c), CF_ARG(s));
}

/* Log sources of rule and event; true: the rule is tried on this event. */
static bool route(struct cf_detector *d, struct cf_buf *b, const struct cf_rule *r)
{
    uint64_t bits[CF_LS_WORDS];
    bool routed = cf_route_bits(d, bits), fits = !routed || !r->routes, first = true;
    struct cf_buf t;

    for (size_t i = 0; r->routes && i < CF_LS_WORDS; i++)
        fits = fits || (r->routes[i] & bits[i]);
    fits = fits && (routed || !r->routes || !r->on_nothing);
    cf_buf_init(&t, 1 << 16);
    cf_xp_key(b, "log_source", false);
    cf_buf_z(b, "{");
    cf_xp_key(b, "rule", true);
    source_name(&t, r->info.product, r->info.category, r->info.service);
    cf_buf_json(b, t.n ? cf_buf_view(&t) : CF_STR(""));
    cf_xp_key(b, "event", false);
    cf_buf_byte(b, '[');
    for (size_t i = 0; i < d->rs->tax.n_source; i++) {
        const struct cf_lsource *s = &d->rs->tax.source[i];

        if (!(bits[i / 64] >> (i % 64) & 1))
            continue;
        cf_buf_clear(&t);
        source_name(&t, s->product, s->category, s->service);
        cf_buf_z(b, first ? "" : ",");
        cf_buf_json(b, cf_buf_view(&t));
        first = false;
    }
    cf_buf_byte(b, ']');
    cf_xp_bool(b, "tried", fits, false);
    cf_buf_byte(b, '}');
    cf_buf_release(&t);
    return fits;
}

/* The first test that stands in the way, in words. */
static bool blame(struct cf_detector *d, struct cf_buf *b, const struct cf_node *n, bool want)
{
    if (cf_node_eval(d, n) == want)
        return false;
    switch ((enum cf_node_kind)n->kind) {
    case CF_ND_PRED: {
        const struct cf_pred *p = &d->rs->preds[n->pred];
        cf_str name = d->rs->fields[p->field].name;

        if (!want)
            cf_buf_printf(b, "\"%.*s\" is true, which the condition excludes", CF_ARG(d->rs->src[p->src]));
        else if (p->field != CF_RF_KEYWORD && !cf_field_first(d, p->field))
            cf_buf_printf(b, "the event has no field %.*s (test \"%.*s\")", CF_ARG(name), CF_ARG(d->rs->src[p->src]));
        else
            cf_buf_printf(b, "no value fits the test \"%.*s\"", CF_ARG(d->rs->src[p->src]));
        if (!want || p->kind != CF_P_TIME || !cf_field_first(d, p->field))
            return true;
        cf_buf_printf(b, " (counted in the zone %.*s)", CF_ARG(d->rs->zone_name));
        return true;
    }
    case CF_ND_NOT:
        return blame(d, b, n->child[0], !want);
    case CF_ND_AND:
    case CF_ND_OR:
    case CF_ND_SOME:
        for (uint32_t i = 0; i < n->n; i++)
            if (blame(d, b, n->child[i], want))
                return true;
        return false;
    case CF_ND_TRUE:
    case CF_ND_FALSE:
        cf_buf_z(b, "a list of the rule is empty (placeholder without values)");
        return true;
    }
    return false;
}

static void explain_base(struct cf_detector *d, struct cf_buf *b, const struct cf_rule *r)
{
    bool tried = route(d, b, r), yes = cf_node_eval(d, r->root);
    struct cf_buf why;

    cf_xp_key(b, "searches", false);
    cf_buf_byte(b, '[');
    for (uint32_t i = 0; i < r->n_sel; i++) {
        size_t n = 0;

        cf_buf_z(b, i ? ",{" : "{");
        cf_xp_key(b, "name", true);
        cf_buf_json(b, r->sel[i].name);
        cf_xp_bool(b, "result", cf_node_eval(d, r->sel[i].node), false);
        cf_xp_key(b, "tests", false);
        cf_buf_byte(b, '[');
        tests(d, b, r->sel[i].node, &n);
        cf_buf_z(b, "]}");
    }
    cf_buf_byte(b, ']');
    cf_xp_key(b, "condition", false);
    cf_buf_json(b, r->condition);
    cf_xp_bool(b, "condition_result", yes, false);
    cf_xp_bool(b, "fired", tried && yes && !r->silent, false);
    cf_buf_init(&why, 1 << 16);
    if (!tried)
        cf_buf_z(&why, "the event belongs to other log sources than the rule");
    else if (yes && r->silent)
        cf_buf_z(&why, "the condition is true; the hit is counted by a correlation and not reported alone");
    else if (yes)
        cf_buf_z(&why, "the condition is true");
    else if (!blame(d, &why, r->root, true))
        cf_buf_z(&why, "the condition is false");
    cf_xp_key(b, "reason", false);
    cf_buf_json(b, cf_buf_view(&why));
    cf_buf_release(&why);
}

int cf_explain(struct cf_detector *d, const struct cf_event *ev, size_t index, struct cf_buf *b)
{
    const struct cf_rule *r;
    int rc = 0;

    if (index >= d->rs->n_rules)
        return CF_ENOENT;
    r = &d->rs->rules[index];
    cf_detector_begin(d, ev);
    if (d->oom)
        return CF_ENOMEM;
    cf_buf_z(b, "{\"rule\":{");
    cf_xp_key(b, "id", true);
    cf_buf_json(b, r->info.id);
    cf_xp_key(b, "title", false);
    cf_buf_json(b, r->info.title);
    cf_xp_key(b, "file", false);
    cf_buf_json(b, r->info.file);
    cf_buf_byte(b, '}');
    if (r->corr)
        rc = cf_explain_corr(d, b, r);
    else
        explain_base(d, b, r);
    cf_buf_byte(b, '}');
    return b->failed ? CF_ENOMEM : rc;
}
