/* SPDX-License-Identifier: Apache-2.0
 * How far a correlation is with the group of an event, from the open windows, and how far each correlation is that it counts:
 *
 *   chain: "1 of 2 within 1 hour, group user=u; brute force: 3 of 5 within 5 minutes, group user=u"
 *     └ brute force: its own window, its rules ...
 */
#include "detect/explain.h"

#define DEPTH_MAX 8 /* as deep as chains go */

static const char *const corr_name[] = {"event_count", "value_count", "temporal", "temporal_ordered", "value_sum", "value_avg", "value_percentile"};
static const char *const op_name[] = {"=", "<", "<=", ">", ">=", "!="};

/* "5 minutes" */
static void span_text(struct cf_buf *b, int64_t s)
{
    static const struct {
        int64_t s;
        const char *name;
    } unit[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    size_t i = 0;

    while (s % unit[i].s)
        i++;
    cf_buf_printf(b, "%lld %s%s", (long long)(s / unit[i].s), unit[i].name, s == unit[i].s ? "" : "s");
}

/* The window as JSON, and in words: "3 of 5 within 5 minutes, group user=x". */
static void window_tell(struct cf_buf *b, struct cf_buf *why, const struct cf_corr *k, const struct cf_corr_view *v)
{
    char from[32], to[32];

    if (v->missing.p) {
        cf_buf_printf(why, "the event is not counted: it has no %.*s", CF_ARG(v->missing));
        return;
    }
    cf_xp_key(b, "window", false);
    cf_buf_printf(b, "{\"value\":%.17g,\"needed\":%.17g,\"entries\":%u,\"holds\":%s,\"decided_at_end\":%s,\"group\":", v->value, k->bound[0].v, v->n, v->yes ? "true" : "false",
                  k->at_close ? "true" : "false");
    cf_buf_json(b, v->group);
    if (v->n)
        cf_buf_printf(b, ",\"from\":\"%.*s\",\"to\":\"%.*s\"", (int)cf_time_format(v->from, from), from, (int)cf_time_format(v->to, to), to);
    cf_buf_byte(b, '}');
    cf_buf_printf(why, "%.10g of %s%.10g within ", v->value, k->bound[0].op == CF_N_GTE ? "" : k->bound[0].op == CF_N_GT ? "more than " : k->bound[0].op == CF_N_EQ ? "exactly " :
                  k->bound[0].op == CF_N_NEQ ? "not " : k->bound[0].op == CF_N_LT ? "fewer than " : "at most ", k->bound[0].v);
    span_text(why, k->span_us / CF_US_PER_S);
    if (v->group.n)
        cf_buf_printf(why, ", group %.*s", CF_ARG(v->group));
    if (!v->n)
        cf_buf_z(why, " (no window is open for it)");
    else if (k->at_close)
        cf_buf_z(why, " (decided when the window is over)");
}

/* Does the event count towards the rule: its condition is true, or it counts towards a correlation below it? */
static bool bears(struct cf_detector *d, const struct cf_rule *r, int depth)
{
    if (!r->corr)
        return r->root && cf_node_eval(d, r->root);
    for (uint32_t i = 0; depth < DEPTH_MAX && i < r->corr->n_rules; i++)
        if (bears(d, &d->rs->rules[r->corr->rules[i]], depth + 1))
            return true;
    return false;
}

static void group_tell(struct cf_detector *d, struct cf_buf *b, const struct cf_corr *k, uint32_t which)
{
    cf_xp_key(b, "group", false);
    cf_buf_byte(b, '{');
    for (uint32_t g = 0; g < k->n_group; g++) {
        const struct cf_link *l = cf_field_first(d, k->group_field[which * k->n_group + g]);

        cf_buf_z(b, g ? "," : "");
        cf_buf_json(b, k->group[g]);
        cf_buf_byte(b, ':');
        if (l)
            cf_xp_shown(b, (cf_str){cf_link_val(d, l)->p, cf_link_val(d, l)->n});
        else
            cf_buf_z(b, "null");
    }
    cf_buf_byte(b, '}');
}

static int corr_tell(struct cf_detector *d, struct cf_buf *b, struct cf_buf *why, const struct cf_rule *r, int depth, bool *ret_holds);

/* One of the rules that a correlation counts. below: how it stands in words, when it is a correlation; v: the window above, NULL: none. */
static int member_tell(struct cf_detector *d, struct cf_buf *b, struct cf_buf *below, const struct cf_corr *k, uint32_t which, const struct cf_corr_view *v, int depth)
{
    const struct cf_rule *m = &d->rs->rules[k->rules[which]];
    bool yes = !m->corr && bears(d, m, depth);
    int r = 0;

    cf_buf_z(b, which ? ",{" : "{");
    cf_xp_key(b, "title", true);
    cf_buf_json(b, m->info.title);
    group_tell(d, b, k, which);
    if (v && which < CF_CORR_SEEN && (k->type == CF_C_TEMPORAL || k->type == CF_C_ORDERED))
        cf_buf_printf(b, ",\"seen\":%u", v->seen[which]);
    if (m->corr && depth < DEPTH_MAX) {
        r = corr_tell(d, b, below, m, depth + 1, &yes);
        cf_xp_key(b, "reason", false);
        cf_buf_json(b, cf_buf_view(below));
    }
    cf_xp_bool(b, "true_for_event", yes, false);
    cf_buf_byte(b, '}');
    return r;
}

/* Its rules, each correlation among them with its own windows; what stands in the way is added to why. */
static int members_tell(struct cf_detector *d, struct cf_buf *b, struct cf_buf *why, const struct cf_corr *k, const struct cf_corr_view *v, int depth)
{
    int r = 0;

    cf_xp_key(b, "rules", false);
    cf_buf_byte(b, '[');
    for (uint32_t i = 0; i < k->n_rules && r == 0; i++) {
        const struct cf_rule *m = &d->rs->rules[k->rules[i]];
        bool steps = v && !v->missing.p && (k->type == CF_C_TEMPORAL || k->type == CF_C_ORDERED), unseen = steps && i < CF_CORR_SEEN && v->seen[i] == 0;
        struct cf_buf below;

        cf_buf_init(&below, 1 << 16);
        r = member_tell(d, b, &below, k, i, v, depth);
        if (v && (unseen || m->corr))
            cf_buf_printf(why, "; %.*s%s", CF_ARG(m->info.title), unseen ? " has not fired in it" : "");
        if (v && below.n) {
            cf_buf_z(why, ": ");
            cf_buf_str(why, cf_buf_view(&below));
        }
        if (below.failed)
            b->failed = true;
        cf_buf_release(&below);
    }
    cf_buf_byte(b, ']');
    return r;
}

static int corr_tell(struct cf_detector *d, struct cf_buf *b, struct cf_buf *why, const struct cf_rule *r, int depth, bool *ret_holds)
{
    const struct cf_corr *k = r->corr;
    struct cf_corr_view v = {0};
    uint32_t which = 0;
    int rc = 0;

    while (which < k->n_rules && !bears(d, &d->rs->rules[k->rules[which]], depth))
        which++;
    if (which < k->n_rules)
        rc = cf_correlate_view(d->rs->correlator, d, k, which, &v);
    if (rc < 0)
        return rc;
    cf_xp_key(b, "correlation", false);
    cf_buf_printf(b, "{\"type\":\"%s\",\"timespan_seconds\":%lld,\"condition\":\"", corr_name[k->type], (long long)(k->span_us / CF_US_PER_S));
    for (uint32_t i = 0; i < k->n_bound; i++)
        cf_buf_printf(b, "%s%s %g", i ? " and " : "", op_name[k->bound[i].op], k->bound[i].v);
    cf_buf_printf(b, "\",\"open_windows\":%zu", cf_correlate_open(d->rs->correlator, k));
    if (which < k->n_rules)
        window_tell(b, why, k, &v);
    else
        cf_buf_z(why, "none of the rules it refers to is true for this event");
    rc = members_tell(d, b, why, k, which < k->n_rules ? &v : NULL, depth);
    cf_buf_byte(b, '}');
    *ret_holds = v.yes;
    return rc;
}

int cf_explain_corr(struct cf_detector *d, struct cf_buf *b, const struct cf_rule *r)
{
    struct cf_buf why;
    bool holds = false;
    int rc;

    cf_buf_init(&why, 1 << 18);
    rc = corr_tell(d, b, &why, r, 0, &holds);
    cf_xp_key(b, "reason", false);
    cf_buf_json(b, cf_buf_view(&why));
    cf_buf_release(&why);
    return rc;
}
