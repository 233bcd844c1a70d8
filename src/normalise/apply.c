/* SPDX-License-Identifier: Apache-2.0
 * Runs a compiled source over one record:
 *   set -> extract (patterns) -> map (pairs) -> switch -> when -> time -> derive */
#include "normalise/source.h"

void cf_run_set(struct cf_run *r, const struct cf_ref *to, cf_str v, uint16_t raw, enum cf_vkind kind)
{
    if (to->field != CF_F_EXTRA)
        (void)cf_run_add(r, cf_event_put(r->ev, (enum cf_field)to->field, v, raw, kind));
    else
        (void)cf_run_add(r, cf_event_put_extra(r->ev, to->name, v, raw, kind));
}

/* The source's constants, its base's first. */
void cf_run_constants(struct cf_run *r, const struct cf_source *s)
{
    if (s->base)
        cf_run_sets(r, &s->base->set);
    cf_run_sets(r, &s->set);
}

/* Constants that meet none of their fields in the event yet: one copy. */
static bool set_block(struct cf_event *ev, const struct cf_sets *s)
{
    size_t at = ev->n;
    struct cf_value *val = ev->val + at;

    if (at + s->n_block > 254 || at + s->n_block > ev->cap)
        return false;
    for (const struct cf_sethead *h = s->head, *end = h + s->n_head; h < end; h++)
        if (ev->slot[h->field])
            return false;
    for (size_t i = 0; i < s->n_block; i++)
        val[i] = s->block[i];
    for (const struct cf_sethead *h = s->head, *end = h + s->n_head; h < end; h++)
        ev->slot[h->field] = (uint8_t)(at + h->at + 1);
    for (size_t i = 0; i < s->n_chain; i++)
        val[s->chain[i]].next = (uint16_t)(val[s->chain[i]].next + at);
    ev->n = (uint16_t)(at + s->n_block);
    return true;
}

void cf_run_sets(struct cf_run *r, const struct cf_sets *s)
{
    if (s->n_block && set_block(r->ev, s))
        return;
    for (size_t i = 0; i < s->n; i++) {
        const struct cf_setv *v = &s->v[i];
        uint16_t had = r->ev->n;
        if (v->to.field != CF_F_EXTRA && v->val.n && !r->ev->slot[v->to.field]) /* the usual case, for add too */
            (void)cf_run_add(r, cf_event_put(r->ev, (enum cf_field)v->to.field, v->val, 0, CF_V_STR));
        else if (v->add && v->to.field != CF_F_EXTRA)
            (void)cf_run_add(r, cf_event_add(r->ev, (enum cf_field)v->to.field, v->val));
        else if (v->val.n == 0 && v->to.field != CF_F_EXTRA)
            cf_event_unset(r->ev, (enum cf_field)v->to.field);
        else
            cf_run_set(r, &v->to, v->val, 0, CF_V_STR);
        if (r->ev->n > had)
            r->ev->val[had].text = v->text;
    }
}

static __attribute__((noinline)) cf_str search_ref(struct cf_run *r, const struct cf_ref *ref)
{
    for (size_t i = 0; i < r->pairs.n && !(r->keyed && ref->kid); i++) {
        cf_str k = r->pairs.v[i].key;
        if (r->pairs.v[i].group == CF_G_SD)
            k = cf_str_sub(k, r->pairs.v[i].leaf, k.n);
        if (!k.n)
            continue;
        if (k.n == ref->text.n && k.p[0] == ref->text.p[0] && memcmp(k.p, ref->text.p, k.n) == 0)
            return r->pairs.v[i].val;
    }
    for (size_t i = 0; ref->name && i < r->ev->n; i++)
        if (r->ev->val[i].name == ref->name)
            return cf_str_n(r->ev->val[i].p, r->ev->val[i].n);
    return CF_STR_NONE;
}

/* A field, a key of the record, an extra: the first that there is. */
static inline cf_str ref_value(struct cf_run *r, const struct cf_ref *ref)
{
    if (ref->field != CF_F_EXTRA && r->ev->slot[ref->field])
        return cf_event_get(r->ev, (enum cf_field)ref->field);
    if (r->keyed && ref->kid) {
        const struct cf_kidpos *k = &r->t->kid[ref->kid];
        if (k->generation == r->t->generation)
            return r->pairs.v[k->pos].val;
        if (!ref->name || !cf_run_named(r, ref->name))
            return CF_STR_NONE;
    }
    return search_ref(r, ref);
}

cf_str cf_run_ref(struct cf_run *r, const struct cf_ref *ref) { return ref_value(r, ref); }

static inline bool value_eq(cf_str v, cf_str want)
{
    if (want.n && want.p[want.n - 1] == '*')
        return cf_str_istarts(v, cf_str_n(want.p, want.n - 1));
    return v.n == want.n && (cf_same_text(v.p, want.p, v.n) || (((v.p[0] ^ want.p[0]) & 0x5f) == 0 && cf_str_ieq(v, want)));
}

/* The second and later values of a field or of a key that comes several times. */
static __attribute__((noinline)) bool any_other(struct cf_run *r, const struct cf_cond *c)
{
    if (c->ref.field != CF_F_EXTRA && r->ev->slot[c->ref.field]) {
        for (const struct cf_value *v = cf_event_next(r->ev, cf_event_val(r->ev, (enum cf_field)c->ref.field)); v; v = cf_event_next(r->ev, v))
            for (size_t k = 0; k < c->n; k++)
                if (value_eq(cf_str_n(v->p, v->n), c->val[k]))
                    return true;
        return false;
    }
    for (size_t i = 0; i < r->pairs.n; i++) {
        const struct cf_pair *p = &r->pairs.v[i];
        if (p->key.n != c->ref.text.n || !cf_same_text(p->key.p, c->ref.text.p, p->key.n))
            continue;
        for (size_t k = 0; k < c->n; k++)
            if (value_eq(p->val, c->val[k]))
                return true;
    }
    return false;
}

static inline bool may_have_others(const struct cf_run *r, const struct cf_cond *c)
{
    if (c->ref.field != CF_F_EXTRA && r->ev->slot[c->ref.field])
        return cf_event_val(r->ev, (enum cf_field)c->ref.field)->next != 0;
    if (r->keyed && c->ref.kid)
        return r->t->kid[c->ref.kid].multi && r->t->kid[c->ref.kid].generation == r->t->generation;
    return true;
}

static inline __attribute__((always_inline)) bool cond_holds(struct cf_run *r, const struct cf_cond *c)
{
    cf_str v;
    bool hit = c->n == 0;

    if (c->ref.field == CF_F_EXTRA && c->ref.kid && c->n && r->keyed) { /* a key: most are told by their sign */
        const struct cf_kidpos *k = &r->t->kid[c->ref.kid];
        if (k->generation == r->t->generation && !k->multi && !(c->may >> k->sign & 1))
            return hit != c->negate;
        if (k->generation != r->t->generation && !c->ref.name)
            return c->negate;
    }
    v = ref_value(r, &c->ref);
    if (!v.p)
        return c->negate;
    if (c->may >> cf_text_sign(v) & 1)
        for (size_t i = 0; i < c->n && !hit; i++)
            hit = value_eq(v, c->val[i]);
    return (hit || (c->n && may_have_others(r, c) && any_other(r, c))) != c->negate;
}

bool cf_run_cond(struct cf_run *r, const struct cf_cond *c) { return cond_holds(r, c); }

bool cf_regex_test(struct cf_run *r, const pcre2_code *code, cf_str text)
{
    return pcre2_match(code, (const unsigned char *)text.p, text.n, 0, PCRE2_NO_UTF_CHECK, r->t->md, r->t->mctx) >= 0;
}

/* The pattern has checked what the field wants. */
static inline bool checked(enum cf_ftype type, unsigned is, size_t n)
{
    return is == CF_HOLE_IP4 ? type != CF_T_LONG && type != CF_T_FLOAT : type != CF_T_IP && n <= 20;
}

static inline void capture(struct cf_run *r, const struct cf_source *s, uint32_t name, cf_str v, unsigned is)
{
    const struct cf_ref *ref = &s->hole[name];

    if (s->hole_key[name]) {
        (void)cf_pair_add(&r->pairs, ref->text, v, CF_V_STR);
        return;
    }
    if (v.n == 0)
        return;
    if (ref->field != CF_F_EXTRA && is != CF_HOLE_ANY && checked(cf_fields[ref->field].type, is, v.n)) {
        (void)cf_run_add(r, cf_event_put(r->ev, (enum cf_field)ref->field, v, 0, CF_V_STR));
        return;
    }
    if (!cf_run_fit(r, ref, v)) { /* does not fit: the text stays findable */
        struct cf_pair *p = cf_pair_add(&r->pairs, ref->text, v, CF_V_STR);
        if (p)
            p->group = CF_G_DONE;
    }
}

bool cf_run_extract(struct cf_run *r, const struct cf_source *s)
{
    struct cf_tpl_hole holes[CF_TPL_HOLES_MAX];
    size_t n;
    int64_t id = cf_tpl_match(s->tpl, r->msg, holes, &n);

    if (id >= 0) {
        cf_run_constants(r, s);
        cf_run_sets(r, &s->action[id]);
        for (size_t i = 0; i < n; i++)
            capture(r, s, holes[i].name, holes[i].val, holes[i].is);
        return true;
    }
    for (size_t i = 0; i < s->n_regex; i++) {
        const struct cf_regex *re = &s->regex[i];
        const PCRE2_SIZE *ov;
        if (!cf_regex_test(r, re->code, r->msg))
            continue;
        cf_run_constants(r, s);
        cf_run_sets(r, &s->action[re->action]);
        ov = pcre2_get_ovector_pointer(r->t->md);
        for (size_t g = 0; g < re->n; g++) {
            size_t from = ov[2 * re->group[g]], to = ov[2 * re->group[g] + 1];
            if (from != PCRE2_UNSET && to >= from && to <= r->msg.n)
                capture(r, s, re->name[g], cf_str_n(r->msg.p + from, to - from), CF_HOLE_ANY);
        }
        return true;
    }
    return false;
}

static const struct cf_case *find_case(const struct cf_switch *sw, cf_str v)
{
    if (!v.p)
        return NULL;
    for (const struct cf_case *c = sw->first[cf_text_sign(v)]; c; c = c->next)
        if (c->val.n == v.n && cf_same_text(c->val.p, v.p, v.n))
            return c;
    return sw->def;
}

/* Most do not hold: a key is missing, or the first one's value has another sign. */
static inline bool when_may_hold(const struct cf_run *r, const struct cf_when *w)
{
    const struct cf_kidpos *k = &r->t->kid[w->first_kid];

    if (w->need & ~r->looked_at)
        return false;
    return !w->first_kid || (k->generation == r->t->generation && (k->multi || (w->first_may >> k->sign & 1)));
}

static void run_when(struct cf_run *r, const struct cf_source *s, const struct cf_when *w)
{
    for (size_t k = 0; k < w->n; k++)
        if (!cond_holds(r, &w->cond[k]))
            return;
    cf_run_sets(r, &w->set);
    for (size_t k = 0; k < w->n_copy; k++) {
        cf_str v = ref_value(r, &w->copy_from[k]);
        bool same;
        if (v.p && !cf_is_null(s, v))
            (void)cf_run_convert(r, &w->copy[k], v, 0, CF_V_STR, &same);
    }
}

static void run_whens(struct cf_run *r, const struct cf_source *s)
{
    for (size_t i = 0; i < s->n_when; i++)
        if (!r->keyed || when_may_hold(r, &s->when[i]))
            run_when(r, s, &s->when[i]);
}

static bool stamp_from(struct cf_run *r, cf_str v, const struct cf_time *t, struct cf_stamp *st)
{
    if (!t->n_fmt)
        return cf_stamp_auto(v, st);
    for (size_t i = 0; i < t->n_fmt; i++)
        if (cf_stamp_parse(t->fmt[i], v, st))
            return true;
    (void)r;
    return false;
}

/* "date+time" names two values that are read as one text with a blank between; "date+time+tz" three. */
static cf_str time_value(struct cf_run *r, const struct cf_time *t, size_t k)
{
    const struct cf_timeparts *p = &t->parts[k];
    cf_str v[4];
    size_t room = 0, n = 0;
    char *o;

    if (!p->n)
        return cf_run_ref(r, &t->from[k]);
    for (size_t i = 0; i < p->n; i++) {
        v[i] = cf_run_ref(r, &p->part[i]);
        if (!v[i].n)
            return CF_STR_NONE;
        room += v[i].n + 1;
    }
    o = cf_arena_bytes(r->a, room);
    if (!o)
        return CF_STR_NONE;
    for (size_t i = 0; i < p->n; i++) {
        if (n)
            o[n++] = ' ';
        memcpy(o + n, v[i].p, v[i].n);
        n += v[i].n;
    }
    return cf_str_n(o, n);
}

/* The zone that was assumed. */
static void zone_note(struct cf_run *r, const struct cf_source *s)
{
    if (!s->has_zone && r->n->zone_text.n && !r->ev->slot[CF_F_EVENT_TIMEZONE])
        (void)cf_run_add(r, cf_event_set(r->ev, CF_F_EVENT_TIMEZONE, r->n->zone_text));
}

static void set_time(struct cf_run *r)
{
    const struct cf_source *s = r->src;
    const struct cf_zone *z;
    struct cf_stamp st;
    int64_t us;

    if (!s->n_time && s->base && s->base->n_time)
        s = s->base;
    z = s->has_zone ? &s->zone : &r->n->zone;
    for (size_t i = 0; i < s->n_time; i++)
        for (size_t k = 0; k < s->time[i].n_from; k++) {
            cf_str v = time_value(r, &s->time[i], k);
            if (v.n && v.n == r->t->time.n && r->t->time.from == &s->time[i].from[k] && r->t->time.day == r->now_us / CF_US_PER_DAY &&
                memcmp(v.p, r->t->time.text, v.n) == 0) { /* the same second as the record before */
                r->ev->time_us = r->t->time.us;
                if (!r->t->time.zoned)
                    zone_note(r, s);
                return;
            }
            if (v.n && stamp_from(r, v, &s->time[i], &st) && cf_stamp_us(&st, z, r->now_us, &us)) {
                r->ev->time_us = us;
                if (!st.has_offset && !st.epoch)
                    zone_note(r, s);
                if (v.n <= sizeof r->t->time.text) {
                    memcpy(r->t->time.text, v.p, v.n);
                    r->t->time.n = v.n;
                    r->t->time.from = &s->time[i].from[k];
                    r->t->time.us = us;
                    r->t->time.day = r->now_us / CF_US_PER_DAY;
                    r->t->time.zoned = st.has_offset || st.epoch;
                }
                return;
            }
        }
    if (r->ev->time_us != CF_TIME_NONE || !r->has_sl || !r->sl.stamp.n)
        return;
    if (r->sl.stamp.n < sizeof r->t->stamp_text && r->t->stamp_n == r->sl.stamp.n && r->t->stamp_now == r->now_us / CF_US_PER_DAY && !s->has_zone &&
        memcmp(r->t->stamp_text, r->sl.stamp.p, r->sl.stamp.n) == 0) {
        r->ev->time_us = r->t->stamp_us;
        if (!r->t->stamp_zoned)
            zone_note(r, s);
        return;
    }
    if (!cf_stamp_bsd(r->sl.stamp, &st) && !cf_stamp_iso(r->sl.stamp, &st))
        return;
    if (!cf_stamp_us(&st, z, r->now_us, &us))
        return;
    r->ev->time_us = us;
    r->t->stamp_zoned = st.has_offset;
    if (!st.has_offset)
        zone_note(r, s);
    if (r->sl.stamp.n < sizeof r->t->stamp_text && !s->has_zone) {
        memcpy(r->t->stamp_text, r->sl.stamp.p, r->sl.stamp.n);
        r->t->stamp_n = r->sl.stamp.n;
        r->t->stamp_us = us;
        r->t->stamp_now = r->now_us / CF_US_PER_DAY;
    }
}

static void take_apart(struct cf_run *r, const struct cf_part *p, cf_str v)
{
    r->msg = v;
    if (p->how->payload != CF_P_TEXT)
        (void)cf_run_payload(r, p->how);
    if (p->how->extract_y)
        (void)cf_run_extract(r, p->how);
}

/* Values that hold more: their patterns and pairs, mapped as the record's own are. */
static void run_parts(struct cf_run *r, const struct cf_source *s, const struct cf_map *special)
{
    if (s->base)
        run_parts(r, s->base, special);
    for (size_t i = 0; i < s->n_part; i++) {
        const struct cf_part *p = &s->part[i];
        cf_str v = p->stamp ? r->sl.stamp : cf_run_ref(r, &p->from), msg = r->msg;
        size_t from = r->pairs.n;
        if (!v.n)
            continue;
        take_apart(r, p, v);
        if (p->from.field == CF_F_EXTRA)
            for (size_t k = 0; k < from; k++) /* the key's other values */
                if (r->pairs.v[k].val.n && r->pairs.v[k].val.p != v.p && cf_str_eq(r->pairs.v[k].key, p->from.text))
                    take_apart(r, p, r->pairs.v[k].val);
        r->msg = msg;
        if (r->pairs.n > from) {
            cf_run_keys(r, from);
            cf_run_map(r, special, from);
        }
    }
}

void cf_run_device(struct cf_run *r, const struct cf_source *device)
{
    const struct cf_source *s = r->src;

    r->src = device;
    run_parts(r, device, NULL);
    run_whens(r, device);
    r->src = s;
}

void cf_run_apply(struct cf_run *r)
{
    const struct cf_source *s = r->src;
    const struct cf_case *c[8];
    size_t n = s->n_switch < 8 ? s->n_switch : 8;

    if (r->pairs.n)
        cf_run_keys(r, 0);
    for (size_t i = 0; i < n; i++)
        c[i] = find_case(&s->sw[i], cf_run_ref(r, &s->sw[i].on));
    if (r->pairs.n || s->n_part || (s->base && s->base->n_part)) {
        const struct cf_map *special = NULL;
        for (size_t i = 0; i < n && !special; i++)
            special = c[i] && c[i]->map.mask ? &c[i]->map : NULL;
        cf_run_map(r, special, 0);
        run_parts(r, s, special);
    }
    for (size_t i = 0; i < n; i++) {
        if (!c[i]) /* the value may have come from map */
            c[i] = find_case(&s->sw[i], cf_run_ref(r, &s->sw[i].on));
        if (c[i])
            cf_run_sets(r, &c[i]->set);
    }
    if (s->base)
        run_whens(r, s->base);
    run_whens(r, s);
    set_time(r);
}
