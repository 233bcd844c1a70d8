/* SPDX-License-Identifier: Apache-2.0
 * What a compiled rule asks about, and what all rules say about one event: for validation and for "why did nothing fire". */
#include <stdlib.h>

#include "detect/correlate.h"

struct seen {
    uint16_t field[512];
    size_t n;
};

static void add(struct seen *s, uint16_t field)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->field[i] == field)
            return;
    if (field != CF_RF_KEYWORD && s->n < sizeof s->field / sizeof *s->field)
        s->field[s->n++] = field;
}

static void collect(const struct cf_ruleset *rs, const struct cf_node *n, struct seen *s)
{
    if (n->kind == CF_ND_PRED) {
        const struct cf_pred *p = &rs->preds[n->pred];

        add(s, p->field);
        if (p->kind == CF_P_REF)
            add(s, p->ref);
        return;
    }
    for (uint32_t i = 0; i < n->n; i++)
        collect(rs, n->child[i], s);
}

int cf_ruleset_fields_json(const struct cf_ruleset *rs, size_t index, struct cf_buf *b)
{
    struct seen s = {.n = 0};
    const struct cf_rule *r;

    if (index >= rs->n_rules)
        return CF_ENOENT;
    r = &rs->rules[index];
    for (uint32_t i = 0; i < r->n_sel; i++)
        collect(rs, r->sel[i].node, &s);
    if (r->corr) {
        for (uint32_t i = 0; i < r->corr->n_rules * r->corr->n_group; i++)
            add(&s, r->corr->group_field[i]);
        for (uint32_t i = 0; i < r->corr->n_rules * r->corr->n_value; i++)
            add(&s, r->corr->value_field[i]);
    }
    cf_buf_byte(b, '[');
    for (size_t i = 0; i < s.n; i++) {
        const struct cf_rfield *f = &rs->fields[s.field[i]];

        cf_buf_z(b, i ? ",{\"sigma\":" : "{\"sigma\":");
        cf_buf_json(b, f->name);
        cf_buf_z(b, ",\"ecs\":[");
        for (uint16_t k = 0; k < f->n_alt; k++) {
            cf_buf_z(b, k ? "," : "");
            cf_buf_json(b, f->alt[k].name);
        }
        cf_buf_z(b, "]}");
    }
    cf_buf_byte(b, ']');
    return b->failed ? CF_ENOMEM : 0;
}

int cf_verdicts(struct cf_detector *d, const struct cf_event *ev, struct cf_verdict *ret)
{
    uint64_t bits[CF_LS_WORDS];
    bool routed;

    cf_detector_begin(d, ev);
    if (d->oom)
        return CF_ENOMEM;
    routed = cf_route_bits(d, bits);
    for (size_t i = 0; i < d->rs->n_rules; i++) {
        const struct cf_rule *r = &d->rs->rules[i];
        struct cf_verdict v = {.tried = r->root && (!routed || !r->routes), .silent = r->silent};

        for (size_t k = 0; r->root && r->routes && k < CF_LS_WORDS; k++)
            v.tried = v.tried || (r->routes[k] & bits[k]);
        v.yes = v.tried && cf_node_eval(d, r->root);
        ret[i] = v;
    }
    return d->oom ? CF_ENOMEM : 0;
}
