/* SPDX-License-Identifier: Apache-2.0
 * Conditions, and the rules "when" of a source. Most rules ask keys of the record for certain texts, and what a key's value begins
 * and ends with tells which rules cannot hold: a mask of rules for each key and sign, ANDed.
 *
 *   key ─► absent, or cf_text_sign of its value ─► mask ─► AND over keys ─► the rules that are looked at more closely */
#include "normalise/source.h"

static inline bool same_ref(const struct cf_ref *a, const struct cf_ref *b)
{
    return a == b || (a->text.n == b->text.n && cf_same_text(a->text.p, b->text.p, a->text.n));
}

/* The first pair from `at` on with the key; pairs.n: there is none. */
static size_t pair_named(const struct cf_run *r, const struct cf_ref *ref, size_t at)
{
    for (; at < r->pairs.n; at++) {
        const struct cf_pair *p = &r->pairs.v[at];
        cf_str k = p->group == CF_G_SD ? cf_str_sub(p->key, p->leaf, p->key.n) : p->key;
        if (k.n == ref->text.n && k.n && k.p[0] == ref->text.p[0] && cf_same_text(k.p, ref->text.p, k.n))
            break;
    }
    return at;
}

/* The rows of match ask for the same key one after the other, before keys are looked up: what was found last. */
static inline bool asked_before(const struct cf_run *r, const struct cf_ref *ref)
{
    return !r->keyed && r->asked.ref && r->asked.n_pairs == r->pairs.n && same_ref(r->asked.ref, ref);
}

static size_t first_pair(struct cf_run *r, const struct cf_ref *ref)
{
    if (!asked_before(r, ref)) {
        r->asked.ref = ref;
        r->asked.n_pairs = r->pairs.n;
        r->asked.first = pair_named(r, ref, 0);
        r->asked.others = CF_OTHERS_UNKNOWN;
    }
    return r->asked.first;
}

/* There may be a second pair with the key that was asked for last. With structured data, whose keys have two names: look closely. */
static bool asked_others(struct cf_run *r, const struct cf_ref *ref)
{
    size_t first = r->asked.first, n = r->pairs.n;

    if (!asked_before(r, ref) || first == n || r->pairs.v[first].group == CF_G_SD)
        return true;
    if (r->asked.others == CF_OTHERS_UNKNOWN)
        r->asked.others = pair_named(r, ref, first + 1) < n || r->pairs.v[n - 1].group == CF_G_SD || r->pairs.v[0].group == CF_G_SD ? CF_OTHERS : CF_OTHERS_NONE;
    return r->asked.others == CF_OTHERS;
}

static __attribute__((noinline)) cf_str search_ref(struct cf_run *r, const struct cf_ref *ref)
{
    if (!(r->keyed && ref->kid)) {
        size_t at = first_pair(r, ref);
        if (at < r->pairs.n)
            return r->pairs.v[at].val;
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

/* "*text" and "*text*": rare, kept out of the way of the others. */
static __attribute__((noinline)) bool ends_or_holds(cf_str v, cf_str want)
{
    bool holds = want.n > 1 && want.p[want.n - 1] == '*';

    want = cf_str_sub(want, 1, want.n - 1 - holds);
    return holds ? cf_str_ifind(v, want) >= 0 : cf_str_iends(v, want);
}

static inline bool value_eq(cf_str v, cf_str want)
{
    if (want.n && want.p[0] == '*')
        return ends_or_holds(v, want);
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

static inline bool may_have_others(struct cf_run *r, const struct cf_cond *c)
{
    if (c->ref.field != CF_F_EXTRA && r->ev->slot[c->ref.field])
        return cf_event_val(r->ev, (enum cf_field)c->ref.field)->next != 0;
    if (r->keyed && c->ref.kid)
        return r->t->kid[c->ref.kid].multi && r->t->kid[c->ref.kid].generation == r->t->generation;
    return asked_others(r, &c->ref);
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

/* ---- the index ---------------------------------------------------------------------------------------------------------- */

/* A condition that only the record's own pairs decide. */
static bool of_key(const struct cf_cond *c) { return c->ref.field == CF_F_EXTRA && c->ref.kid && !c->ref.name; }

/* The rule cannot hold when its key is absent (sign 64) or has a value with this sign. */
static bool refuses(const struct cf_when *w, uint16_t kid, unsigned sign)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct cf_cond *c = &w->cond[i];
        if (of_key(c) && c->ref.kid == kid && !c->negate && (sign == 64 || (c->n && !(c->may >> sign & 1))))
            return true;
    }
    return false;
}

static int index_key(struct cf_arena *a, const struct cf_source *s, uint16_t kid, struct cf_whenkey *k)
{
    uint64_t mask[65] = {0};
    size_t n = 0;

    *k = (struct cf_whenkey){.kid = kid};
    for (unsigned sign = 0; sign <= 64; sign++) {
        uint64_t may = UINT64_MAX;
        size_t at = 0;
        for (size_t i = 0; i < s->n_when && i < 64; i++)
            if (refuses(&s->when[i], kid, sign))
                may &= ~(UINT64_C(1) << i);
        while (at < n && mask[at] != may)
            at++;
        if (at == n)
            mask[n++] = may;
        k->of[sign] = (uint8_t)at;
    }
    k->mask = CF_NEW_N(a, uint64_t, n);
    if (!k->mask)
        return CF_ENOMEM;
    memcpy(k->mask, mask, n * sizeof *mask);
    return 0;
}

int cf_index_whens(struct cf_arena *a, struct cf_source *s)
{
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; i < s->n_when; i++)
        n += s->when[i].n;
    s->when_key = CF_NEW_N(a, struct cf_whenkey, n + 1);
    if (!s->when_key)
        return CF_ENOMEM;
    for (size_t i = 0; i < s->n_when && i < 64; i++)
        for (size_t c = 0; c < s->when[i].n && r == 0; c++) {
            const struct cf_cond *cond = &s->when[i].cond[c];
            size_t at = 0;
            if (!of_key(cond) || cond->negate)
                continue;
            while (at < s->n_when_key && s->when_key[at].kid != cond->ref.kid)
                at++;
            if (at == s->n_when_key)
                r = index_key(a, s, cond->ref.kid, &s->when_key[s->n_when_key++]);
        }
    return r;
}

/* ---- running -------------------------------------------------------------------------------------------------------------- */

/* A text with holes; none when one of them has no value. */
static __attribute__((noinline)) cf_str made_text(struct cf_run *r, const struct cf_made *m)
{
    size_t room = m->lit[m->n].n, n = 0;
    char *p;

    for (size_t i = 0; i < m->n; i++) {
        cf_str v = ref_value(r, &m->ref[i]);
        if (!v.n)
            return CF_STR_NONE;
        room += m->lit[i].n + v.n;
    }
    p = cf_arena_bytes(r->a, room + 1);
    if (!p)
        return CF_STR_NONE;
    for (size_t i = 0; i <= m->n; i++) {
        cf_str v = i < m->n ? ref_value(r, &m->ref[i]) : CF_STR("");
        if (m->lit[i].n)
            memcpy(p + n, m->lit[i].p, m->lit[i].n);
        n += m->lit[i].n;
        if (v.n)
            memcpy(p + n, v.p, v.n);
        n += v.n;
    }
    return cf_str_n(p, n);
}

static void run_when(struct cf_run *r, const struct cf_source *s, const struct cf_when *w)
{
    for (size_t k = 0; k < w->n; k++)
        if (!cond_holds(r, &w->cond[k]))
            return;
    if (r->fired) {
        cf_fired_add(r->fired, &w->set);
        r->fired->not = r->fired->not || w->n_copy;
    }
    cf_run_sets(r, &w->set);
    for (size_t k = 0; k < w->n_copy; k++) {
        cf_str v = w->copy_made[k].n ? made_text(r, &w->copy_made[k]) : ref_value(r, &w->copy_from[k]);
        bool same;
        if (v.p && !cf_is_null(s, v))
            (void)cf_run_convert(r, &w->copy[k], v, 0, CF_V_STR, &same);
    }
}

/* The rules that may hold, a bit each. */
static inline uint64_t candidates(const struct cf_run *r, const struct cf_source *s)
{
    uint64_t may = UINT64_MAX;

    for (const struct cf_whenkey *k = s->when_key, *end = k + s->n_when_key; k < end; k++) {
        const struct cf_kidpos *pos = &r->t->kid[k->kid];
        if (!r->keyed || pos->generation != r->t->generation) /* not keyed: the record has no pairs */
            may &= k->mask[k->of[64]];
        else if (!pos->multi)
            may &= k->mask[k->of[pos->sign]];
    }
    return may;
}

void cf_run_whens(struct cf_run *r, const struct cf_source *s)
{
    if (!s->n_when)
        return;
    uint64_t may = candidates(r, s) & (UINT64_MAX >> (s->n_when < 64 ? 64 - s->n_when : 0));
    for (; may; may &= may - 1)
        run_when(r, s, &s->when[__builtin_ctzll(may)]);
    for (size_t i = 64; i < s->n_when; i++)
        run_when(r, s, &s->when[i]);
}
