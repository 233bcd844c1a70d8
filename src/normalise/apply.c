/* SPDX-License-Identifier: Apache-2.0
 * Runs a compiled source over one record:
 *   set -> extract (patterns) -> map (pairs) -> switch -> when -> time -> derive */
#include "normalise/source.h"

/* The source's constants, its base's first. */
void cf_run_constants(struct cf_run *r, const struct cf_source *s)
{
    if (s->base)
        cf_run_sets(r, &s->base->set);
    cf_run_sets(r, &s->set);
}

/* Constants of a block of which some fields have values already: those go in the place of the first one, the rest behind. */
static __attribute__((noinline)) void set_over(struct cf_event *ev, const struct cf_sets *s)
{
    const struct cf_sethead *h = s->head, *end = h + s->n_head;
    uint8_t place[CF_SETS_BLOCK_MAX];
    size_t n = ev->n;

    for (size_t i = 0; i < s->n_block; i++) {
        bool first = h < end && h->at == i;
        uint8_t had = first ? ev->slot[h->field] : 0;
        place[i] = (uint8_t)(had ? had - 1u : n++);
        ev->val[place[i]] = s->block[i];
        if (had)
            ev->val[place[i]].text = 0;
        if (first)
            ev->slot[h++->field] = (uint8_t)(place[i] + 1u);
    }
    for (size_t i = 0; i < s->n_chain; i++)
        // cppcheck-suppress uninitvar ; a chain joins values of the block
        ev->val[place[s->chain[i]]].next = (uint16_t)(place[s->block[s->chain[i]].next - 1] + 1u);
    ev->n = (uint16_t)n;
}

/* Constants in one go. False: there may be no room for them. */
static bool set_block(struct cf_event *ev, const struct cf_sets *s)
{
    size_t at = ev->n;
    struct cf_value *val = ev->val + at;
    unsigned had = 0;

    if (at + s->n_block > 254 || at + s->n_block > ev->cap)
        return false;
    for (const struct cf_sethead *h = s->head, *end = h + s->n_head; h < end; h++)
        had |= ev->slot[h->field];
    if (had) {
        set_over(ev, s);
        return true;
    }
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

const struct cf_case *cf_find_case(const struct cf_switch *sw, cf_str v)
{
    if (!v.p)
        return NULL;
    for (const struct cf_case *c = sw->first[cf_text_sign(v)]; c; c = c->next)
        if (c->val.n == v.n && cf_same_text(c->val.p, v.p, v.n))
            return c;
    return sw->def;
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

/* The parts with blanks between them are this text, which is as long as they are. */
static bool same_parts(const char *text, const cf_str *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!cf_same_text(text, v[i].p, v[i].n) || (i + 1 < n && text[v[i].n] != ' '))
            return false;
        text += v[i].n + 1;
    }
    return true;
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
    for (size_t i = p->n; i-- > 0;) { /* the zone, which comes last, is missing most often */
        v[i] = cf_run_ref(r, &p->part[i]);
        if (!v[i].n)
            return CF_STR_NONE;
        room += v[i].n + 1;
    }
    if (room == r->t->time.n + 1 && r->t->time.from == &t->from[k] && same_parts(r->t->time.text, v, p->n))
        return cf_str_n(r->t->time.text, room - 1);
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
                (v.p == r->t->time.text || memcmp(v.p, r->t->time.text, v.n) == 0)) { /* the same second as the record before */
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
    cf_run_whens(r, device);
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
        c[i] = cf_find_case(&s->sw[i], cf_run_ref(r, &s->sw[i].on));
    if (r->pairs.n || s->n_part || (s->base && s->base->n_part)) {
        const struct cf_map *special = NULL;
        for (size_t i = 0; i < n && !special; i++)
            special = c[i] && c[i]->map.mask ? &c[i]->map : NULL;
        cf_run_map(r, special, 0);
        run_parts(r, s, special);
    }
    cf_run_decide(r, c, n);
    set_time(r);
}
