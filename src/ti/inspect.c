/* SPDX-License-Identifier: Apache-2.0
 * A worker's side: match an event, tag it, make hits. The rules that name the hits are content (content/ti/rules.yaml). */
#include "ti/ti_int.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT_SLOTS 512u

struct cf_ti_thread {
    struct cf_ti *ti;
    struct cf_shared_box *box;
    struct ti_count count[COUNT_SLOTS]; /* open addressing by indicator, organisation, field; handed over when half full */
    size_t n;
    uint64_t hits;
};

static const char *const rule_keys[TI_RULES] = {"ip", "domain", "url", "file", "email", "tls", "other"};

int ti_rules_load(struct cf_ti *ti, struct cf_error *reterr)
{
    struct cf_ydoc *doc = NULL;
    struct cf_arena *a = &ti->rules_arena;
    char path[4200];
    const struct cf_ynode *rules;
    int r;

    (void)snprintf(path, sizeof path, "%s/ti/rules.yaml", ti->content_dir);
    r = cf_yaml_load(a, path, &doc, reterr);
    rules = r == 0 && doc ? cf_ymap_get(doc->root, "rules") : NULL;
    ti->rule = CF_NEW_N(a, struct cf_rule_info, (size_t)TI_RULES * 5);
    if (r == 0 && (!rules || !ti->rule))
        return cf_error_set(reterr, CF_EINVAL, "%s: rules is missing", path);
    for (int k = 0; r == 0 && k < TI_RULES; k++) {
        const struct cf_ynode *n = cf_ymap_get(rules, rule_keys[k]), *tags = cf_ymap_get(n, "tags");
        struct cf_rule_info in = {.id = cf_ymap_str(n, "id"), .title = cf_ymap_str(n, "title"), .title_zh = cf_ymap_str(n, "title_zh"), .description = cf_ymap_str(n, "description"),
                                  .description_zh = cf_ymap_str(n, "description_zh"), .advice = cf_ymap_str(n, "advice"), .advice_zh = cf_ymap_str(n, "advice_zh"), .status = CF_STR("stable"),
                                  .file = CF_STR("ti/rules.yaml"), .author = CF_STR("Chengfang"), .product = CF_STR(""), .category = CF_STR("threat_intelligence"),
                                  .service = CF_STR(""), .index = SIZE_MAX};
        cf_str *t;

        if (!in.id.n || !in.title.n)
            return cf_error_set(reterr, CF_EINVAL, "%s: rule %s needs id and title", path, rule_keys[k]);
        t = CF_NEW_N(a, cf_str, (tags ? tags->n : 0) + 1);
        for (const struct cf_ynode *x = tags && t ? tags->child : NULL; x; x = x->next)
            t[in.n_tags++] = x->text;
        in.tags = t;
        for (int lv = 0; lv < 5; lv++) {
            in.level = (enum cf_level)lv;
            ti->rule[k * 5 + lv] = in;
        }
    }
    return r;
}

/* Severity as the source says, one step lower under 60, two under 30 of confidence. */
static int level_of(const struct cf_ti_entry *e, const struct cf_ti_info *info)
{
    int lv = info->severity - (e->confidence < 30 ? 2 : e->confidence < 60 ? 1 : 0);

    return lv < 0 ? 0 : lv > 4 ? 4 : lv;
}

const struct cf_rule_info *ti_rule_for(const struct cf_ti *ti, const struct cf_ti_entry *e, const struct cf_ti_info *info)
{
    static const uint8_t kind[CF_TI_TYPES] = {TI_RULE_IP, TI_RULE_IP, TI_RULE_IP, TI_RULE_DOMAIN, TI_RULE_URL, TI_RULE_FILE, TI_RULE_FILE, TI_RULE_FILE, TI_RULE_EMAIL,
                                              TI_RULE_TLS, TI_RULE_TLS, TI_RULE_TLS, TI_RULE_OTHER, TI_RULE_OTHER};

    return &ti->rule[kind[e->type] * 5 + level_of(e, info)];
}

/* ---- tags -------------------------------------------------------------------------------------------------------------------- */

static const char *ecs_type(const struct cf_ti_entry *e)
{
    static const char *const names[CF_TI_TYPES] = {"ipv4-addr", "ipv6-addr", "ipv4-addr", "domain-name", "url", "file", "file", "file", "email-addr", "tls", "tls",
                                                   "x509-certificate", "user-account", "user-account"};

    return names[e->type];
}

static int set_text(struct cf_event *ev, enum cf_field f, cf_str v) { return v.n ? cf_event_set(ev, f, v) : 0; }

int ti_tag_event(struct cf_event *ev, const struct cf_ti_set *set, const struct cf_ti_found *found, size_t n)
{
    static uint16_t severity_name, group_name, tlp_name; /* interned once; the same for everybody */
    const struct cf_ti_entry *e = found[0].entry;
    const struct cf_ti_info *in;
    char buf[80], id[37];
    cf_str name;
    int r;

    for (size_t i = 1; i < n; i++)
        if (found[i].entry->confidence > e->confidence)
            e = found[i].entry;
    if (!severity_name) {
        group_name = cf_name_intern(CF_STR("threat.group.name"));
        tlp_name = cf_name_intern(CF_STR("threat.indicator.marking.tlp"));
        severity_name = cf_name_intern(CF_STR("threat.indicator.severity"));
    }
    in = cf_ti_entry_info(set, e);
    ti_uuid_text(e->id, id);
    name = cf_arena_copy(ev->arena, cf_ti_entry_text(set, e, buf));
    r = name.p ? cf_event_set(ev, CF_F_THREAT_INDICATOR_NAME, name) : CF_ENOMEM;
    for (size_t i = 0; i < n && r == 0; i++)
        if (found[i].entry != e) {
            cf_str more = cf_arena_copy(ev->arena, cf_ti_entry_text(set, found[i].entry, buf));

            r = more.p ? cf_event_add(ev, CF_F_THREAT_INDICATOR_NAME, more) : CF_ENOMEM;
        }
    if (r == 0)
        r = cf_event_set(ev, CF_F_THREAT_INDICATOR_TYPE, cf_str_c(ecs_type(e)));
    if (r == 0 && e->type <= CF_TI_IPV6)
        r = cf_event_set(ev, CF_F_THREAT_INDICATOR_IP, name);
    if (r == 0)
        r = cf_event_set(ev, CF_F_THREAT_INDICATOR_CONFIDENCE, cf_str_c(e->confidence >= 70 ? "High" : e->confidence >= 30 ? "Medium" : e->confidence > 0 ? "Low" : "None"));
    if (r == 0)
        r = set_text(ev, CF_F_THREAT_INDICATOR_ID, cf_arena_copy(ev->arena, cf_str_n(id, 36)));
    /* texts of the set live until the worker takes the next one, after the batch is stored */
    if (r == 0)
        r = set_text(ev, CF_F_THREAT_FEED_NAME, in->feed);
    if (r == 0)
        r = set_text(ev, CF_F_THREAT_SOFTWARE_NAME, in->family);
    if (r == 0 && in->group.n)
        r = cf_event_extra(ev, group_name, in->group, 0, CF_V_STR);
    if (r == 0)
        r = cf_event_extra(ev, tlp_name, cf_str_c(ti_tlp_name(in->tlp)), 0, CF_V_STR);
    if (r == 0)
        r = cf_event_extra(ev, severity_name, cf_str_c(ti_severity_name(in->severity)), 0, CF_V_STR);
    return r;
}

/* ---- counting ------------------------------------------------------------------------------------------------------------------ */

static void hand_over(struct cf_ti_thread *t)
{
    struct ti_count out[COUNT_SLOTS];
    size_t n = 0;

    if (t->n == 0)
        return;
    for (size_t i = 0; i < COUNT_SLOTS; i++)
        if (t->count[i].n)
            out[n++] = t->count[i];
    ti_counts_add(t->ti, out, n);
    memset(t->count, 0, sizeof t->count);
    t->n = 0;
}

static void count(struct cf_ti_thread *t, const struct cf_ti_found *f, cf_str org, int64_t at_us)
{
    uint64_t h = 0;
    struct ti_count *c;

    if (t->n * 2 >= COUNT_SLOTS)
        hand_over(t);
    memcpy(&h, f->entry->id + 8, 8);
    h = (h ^ cf_hash64(org) ^ (uint64_t)f->field * 0x9e3779b97f4a7c15u);
    for (size_t at = (size_t)(h % COUNT_SLOTS);; at = (at + 1) % COUNT_SLOTS) {
        c = &t->count[at];
        if (c->n == 0)
            break;
        if (memcmp(c->id, f->entry->id, 16) == 0 && c->field == (uint16_t)f->field && cf_str_eqz(cf_str_sub(org, 0, sizeof c->org - 1), c->org))
            break;
    }
    if (c->n++ == 0) {
        memcpy(c->id, f->entry->id, 16);
        (void)snprintf(c->org, sizeof c->org, "%.*s", CF_ARG(org));
        c->field = (uint16_t)f->field;
        c->first_us = c->last_us = at_us;
        t->n++;
    }
    if (at_us < c->first_us)
        c->first_us = at_us;
    if (at_us > c->last_us)
        c->last_us = at_us;
}

/* ---- the worker ---------------------------------------------------------------------------------------------------------------- */

struct cf_ti_thread *cf_ti_thread_new(struct cf_ti *ti)
{
    struct cf_ti_thread *t = calloc(1, sizeof *t);

    if (t) {
        t->ti = ti;
        t->box = cf_shared_get(&ti->set);
    }
    return t;
}

void cf_ti_thread_free(struct cf_ti_thread *t)
{
    if (!t)
        return;
    hand_over(t);
    cf_shared_put(&t->ti->set, t->box);
    free(t);
}

void cf_ti_thread_take(struct cf_ti_thread *t)
{
    struct cf_shared_box *old = t->box;

    t->box = cf_shared_get(&t->ti->set);
    cf_shared_put(&t->ti->set, old);
}

void cf_ti_thread_done(struct cf_ti_thread *t) { hand_over(t); }

static const char *field_name(const struct cf_ti_found *f) { return f->field < CF_F__COUNT ? cf_fields[f->field].name : "tls.server.hash"; }

/* What people see of a hit: the field of the event, the indicator, who says so. */
static bool fill(struct cf_event *ev, const struct cf_ti_set *set, const struct cf_ti_found *f, struct cf_hit *hit)
{
    const struct cf_ti_info *in = cf_ti_entry_info(set, f->entry);
    struct cf_match_field *m = CF_NEW_N(ev->arena, struct cf_match_field, 6);
    char buf[80];
    size_t n = 0;

    if (!m)
        return false;
    m[n++] = (struct cf_match_field){cf_str_c(field_name(f)), f->value};
    m[n++] = (struct cf_match_field){CF_STR("threat.indicator.name"), cf_arena_copy(ev->arena, cf_ti_entry_text(set, f->entry, buf))};
    m[n++] = (struct cf_match_field){CF_STR("threat.feed.name"), in->feed};
    m[n++] = (struct cf_match_field){CF_STR("threat.indicator.confidence"), cf_arena_printf(ev->arena, "%u", f->entry->confidence)};
    if (in->family.n)
        m[n++] = (struct cf_match_field){CF_STR("threat.software.name"), in->family};
    if (in->threat_type.n)
        m[n++] = (struct cf_match_field){CF_STR("threat.indicator.description"), in->threat_type};
    hit->matched = m;
    hit->n_matched = n;
    return true;
}

int cf_ti_inspect(struct cf_ti_thread *t, struct cf_event *ev, int64_t now_us, bool do_count, const struct cf_hit **ret_hits, size_t *ret_n)
{
    const struct cf_ti_set *set = t->box ? t->box->p : NULL;
    struct cf_ti_found found[CF_TI_FOUND_MAX];
    struct cf_hit *hits;
    size_t n, k = 0;
    int r;

    *ret_n = 0;
    if (!set)
        return 0;
    n = cf_ti_match_event(set, ev, (uint32_t)(now_us / CF_US_PER_S), found);
    if (__builtin_expect(n == 0, 1))
        return 0;
    r = ti_tag_event(ev, set, found, n);
    if (r == CF_ELIMIT) /* an event too full for one more field is stored without it */
        r = 0;
    if (r < 0 || !do_count)
        return r;
    hits = CF_NEW_N(ev->arena, struct cf_hit, n);
    if (!hits)
        return CF_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct cf_rule_info *rule = ti_rule_for(t->ti, found[i].entry, cf_ti_entry_info(set, found[i].entry));
        bool known = false;

        count(t, &found[i], cf_event_get(ev, CF_F_ORGANIZATION_ID), ev->time_us != CF_TIME_NONE ? ev->time_us : now_us);
        for (size_t j = 0; j < k; j++)
            known = known || hits[j].rule->id.p == rule->id.p; /* one hit a rule and event */
        if (known || rule->level == CF_LEVEL_INFO)
            continue;
        hits[k] = (struct cf_hit){.rule = rule, .ev = ev};
        if (!fill(ev, set, &found[i], &hits[k]))
            return CF_ENOMEM;
        k++;
    }
    (void)atomic_fetch_add_explicit(&t->ti->hits, n, memory_order_relaxed);
    *ret_hits = hits;
    *ret_n = k;
    return 0;
}
