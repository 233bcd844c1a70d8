/* SPDX-License-Identifier: Apache-2.0
 * Keys of pairs -> what they mean at a source. The same keys come in nearly the same order in record after record, so each
 * key remembers its successor: the usual look-up is one comparison, without a hash.
 *
 *   source ─► first key ─► next ─► next ...      (a wrong guess: hash table, and the guess is corrected) */
#include <stdlib.h>

#include "normalise/source.h"

static const cf_str prefix_win = {"winlog.event_data.", 18}, prefix_user = {"winlog.user_data.", 17}, prefix_sys = {"winlog.", 7};

static cf_str prefix_of(const struct cf_source *s, unsigned group)
{
    return group == CF_G_WIN_DATA ? prefix_win : group == CF_G_WIN_USER_DATA ? prefix_user : group == CF_G_WIN_SYSTEM ? prefix_sys : s->prefix;
}

/* ---- numbers of refs --------------------------------------------------------------------------------------------- */

/* Refs of one source, all of them, to fn. */
static int each_ref(struct cf_source *s, int (*fn)(void *ctx, struct cf_ref *ref), void *ctx)
{
    int r = 0;

    for (size_t i = 0; i < s->n_switch && r == 0; i++)
        r = fn(ctx, &s->sw[i].on);
    for (size_t i = 0; i < s->n_when; i++) {
        for (size_t k = 0; k < s->when[i].n && r == 0; k++)
            r = fn(ctx, &s->when[i].cond[k].ref);
        for (size_t k = 0; k < s->when[i].n_copy && r == 0; k++) {
            const struct cf_made *m = &s->when[i].copy_made[k];
            if (!m->n)
                r = fn(ctx, &s->when[i].copy_from[k]);
            for (size_t j = 0; j < m->n && r == 0; j++)
                r = fn(ctx, &m->ref[j]);
        }
    }
    for (size_t i = 0; i < s->n_time; i++)
        for (size_t k = 0; k < s->time[i].n_from && r == 0; k++) {
            r = fn(ctx, &s->time[i].from[k]);
            for (size_t p = 0; s->time[i].parts && p < s->time[i].parts[k].n && r == 0; p++)
                r = fn(ctx, &s->time[i].parts[k].part[p]);
        }
    for (size_t i = 0; i < s->n_part && r == 0; i++)
        r = fn(ctx, &s->part[i].from);
    return r;
}

static int number_ref(void *ctx, struct cf_ref *ref)
{
    struct cf_normaliser *n = ctx;
    uint64_t h = cf_hash64(ref->text);

    for (uint64_t i = h & n->kid_mask;; i = (i + 1) & n->kid_mask) {
        struct cf_kidname *k = &n->kid[i];
        if (!k->kid) {
            if (n->n_kid >= 60000 || n->n_kid * 2 > n->kid_mask)
                return CF_ELIMIT;
            *k = (struct cf_kidname){h, ref->text, (uint16_t)++n->n_kid};
        }
        if (k->hash == h && cf_str_eq(k->text, ref->text)) {
            ref->kid = k->kid;
            return 0;
        }
    }
}

static int count_ref(void *ctx, struct cf_ref *ref)
{
    (void)ref;
    (*(size_t *)ctx)++;
    return 0;
}

static int mark_ref(void *ctx, struct cf_ref *ref)
{
    uint64_t *looks = ctx;

    looks[ref->kid / 64] |= UINT64_C(1) << ref->kid % 64;
    return 0;
}

/* s and what it is built on. */
static void mark_chain(const struct cf_source *s, uint64_t *looks)
{
    for (; s; s = s->base)
        (void)each_ref((struct cf_source *)(uintptr_t)s, mark_ref, looks);
}

/* What s, its base and devices whose service s may be look at, and what its keys tell about its rules. */
static int mark_refs(struct cf_normaliser *n, struct cf_source *s)
{
    s->looks = CF_NEW_N(&n->arena, uint64_t, n->n_kid / 64 + 1);
    if (!s->looks)
        return CF_ENOMEM;
    mark_chain(s, s->looks);
    for (size_t i = 0; i < n->n; i++)
        if (n->src[i].services)
            mark_chain(&n->src[i], s->looks);
    cf_index_inputs(s);
    return cf_index_whens(&n->arena, s);
}

int cf_index_refs(struct cf_normaliser *n)
{
    size_t count = 0, cap = 64;
    int r = 0;

    for (size_t i = 0; i < n->n; i++)
        (void)each_ref(&n->src[i], count_ref, &count);
    (void)each_ref(n->builtin, count_ref, &count);
    while (cap < count * 2 + 2)
        cap *= 2;
    n->kid_mask = cap - 1;
    n->kid = CF_NEW_N(&n->arena, struct cf_kidname, cap);
    if (!n->kid)
        return CF_ENOMEM;
    for (size_t i = 0; i < n->n && r == 0; i++)
        r = each_ref(&n->src[i], number_ref, n);
    if (r == 0)
        r = each_ref(n->builtin, number_ref, n);
    for (size_t i = 0; i < n->n && r == 0; i++)
        r = mark_refs(n, &n->src[i]);
    return r == 0 ? mark_refs(n, n->builtin) : r;
}

static uint16_t kid_of(const struct cf_normaliser *n, cf_str key, uint64_t h)
{
    for (uint64_t i = h & n->kid_mask; n->kid[i].kid; i = (i + 1) & n->kid_mask)
        if (n->kid[i].hash == h && cf_str_eq(n->kid[i].text, key))
            return n->kid[i].kid;
    return 0;
}

/* ---- constants as one block ----------------------------------------------------------------------------------------- */

int cf_sets_block(struct cf_arena *a, struct cf_sets *s)
{
    if (!s->n || s->n > CF_SETS_BLOCK_MAX)
        return 0;
    for (size_t i = 0; i < s->n; i++) { /* only what has a value, each value of a field once */
        if (!s->v[i].val.n || (s->v[i].to.field == CF_F_EXTRA && !s->v[i].to.name))
            return 0;
        for (size_t k = 0; k < i && s->v[i].to.field != CF_F_EXTRA; k++)
            if (s->v[k].to.field == s->v[i].to.field && (!s->v[i].add || cf_str_eq(s->v[k].val, s->v[i].val)))
                return 0;
    }
    s->block = CF_NEW_N(a, struct cf_value, s->n);
    s->head = CF_NEW_N(a, struct cf_sethead, s->n);
    s->chain = CF_NEW_N(a, uint16_t, s->n);
    if (!s->block || !s->head || !s->chain)
        return CF_ENOMEM;
    for (size_t i = 0; i < s->n; i++) {
        const struct cf_setv *v = &s->v[i];
        s->block[i] = (struct cf_value){.p = v->val.p, .n = (uint32_t)v->val.n, .id = v->to.field, .text = v->text};
        if (v->to.field == CF_F_EXTRA)
            s->block[i].name = v->to.name;
        for (size_t k = i; k-- > 0 && v->to.field != CF_F_EXTRA;)
            if (s->v[k].to.field == v->to.field) { /* the last one before it */
                s->block[k].next = (uint16_t)(i + 1);
                s->chain[s->n_chain++] = (uint16_t)k;
                break;
            }
        if (v->to.field != CF_F_EXTRA && !v->add)
            s->head[s->n_head++] = (struct cf_sethead){v->to.field, (uint16_t)i};
    }
    s->n_block = s->n;
    return 0;
}

/* ---- look-up ---------------------------------------------------------------------------------------------------------- */

void cf_keys_reset(struct cf_norm_thread *t)
{
    memset(t->key_slot, 0, CF_KEY_SLOTS * sizeof *t->key_slot);
    memset(t->first_key, 0, (t->n->n + 1) * sizeof *t->first_key);
    memset(t->order, 0, (t->n->n + 1) * sizeof *t->order);
    cf_arena_reset(&t->keys);
    t->n_key = 0;
}

static bool letter_or_digit(char c) { return (unsigned char)((c | 32) - 'a') < 26 || (unsigned char)(c - '0') < 10; }

static uint8_t plain_length(cf_str key)
{
    if (key.n - 1 >= 15 || !letter_or_digit(key.p[0]) || !letter_or_digit(key.p[key.n - 1]))
        return 0;
    for (size_t i = 0; i < key.n; i++)
        if (!letter_or_digit(key.p[i]) && key.p[i] != '_' && key.p[i] != '-' && key.p[i] != '.')
            return 0;
    return (uint8_t)key.n;
}

static void set_head(struct cf_known_key *k, uint8_t plain, char assign)
{
    k->plain = plain;
    k->want = 1;
    if (!plain)
        return;
    memcpy(k->head, k->text.p, plain);
    k->head[plain] = assign;
    k->mask = k->want = (uint16_t)((2u << plain) - 1);
}

/* Its text, with room behind it so that 16 bytes may be read. */
static cf_str keep_text(struct cf_arena *a, cf_str key)
{
    char *p = cf_arena_bytes(a, key.n + 16);

    if (!p)
        return CF_STR_NONE;
    memcpy(p, key.p, key.n);
    memset(p + key.n, 0, 16);
    return cf_str_n(p, key.n);
}

static void choose_way(struct cf_key *k)
{
    const struct cf_target *t = k->row && k->row->n == 1 ? &k->row->t[0] : NULL;

    if (k->group == CF_G_DONE)
        return;
    if (k->row && k->row->n == 0)
        k->way = CF_WAY_SKIP;
    if (k->row && k->row->n == 2 && k->row->t[0].fast == CF_FAST_TEXT && k->row->t[1].fast == CF_FAST_EXTRA) {
        k->way = CF_WAY_BOTH;
        k->to = k->row->t[0].to.field;
        k->as_field = (struct cf_value){.id = k->to, .raw = k->row->raw};
        k->as_extra = (struct cf_value){.id = CF_F_EXTRA, .name = k->row->t[1].to.name};
    }
    if (!t)
        return;
    if (t->fast == CF_FAST_NONE && t->conv != CF_C_NONE && t->conv != CF_C_APPEND && t->to.field != CF_F_EXTRA && !(k->src->ecs && k->group == CF_G_FREE)) {
        k->way = CF_WAY_CONVERT;
        k->to = t->to.field;
        return;
    }
    switch (t->fast) {
    case CF_FAST_NONE: case CF_FAST_EXTRA: return;
    case CF_FAST_TEXT: k->way = CF_WAY_TEXT; break;
    case CF_FAST_NUMBER: k->way = CF_WAY_NUMBER; break;
    case CF_FAST_IP: k->way = CF_WAY_IP; break;
    case CF_FAST_ADDRESS: k->way = k->src->ecs && k->group == CF_G_FREE ? CF_WAY_ANY : CF_WAY_ADDRESS; break;
    }
    k->to = t->to.field;
    k->num = (uint8_t)cf_num_place((enum cf_field)k->to);
    k->as_field = (struct cf_value){.id = k->to, .raw = t->fast == CF_FAST_ADDRESS ? 0 : k->row->raw};
}

/* Slow way: hash table; a new entry when the key was never seen. 0: no room or too long. */
static __attribute__((noinline, cold)) uint16_t find_key(struct cf_run *r, const struct cf_pair *p)
{
    struct cf_norm_thread *t = r->t;
    const struct cf_source *s = r->src;
    uint64_t h = cf_hash64_seed(p->key, (uint64_t)(uintptr_t)s + p->group);
    size_t at = h % CF_KEY_SLOTS;
    struct cf_key *k;
    cf_str name = p->group == CF_G_SD ? cf_str_sub(p->key, p->leaf, p->key.n) : p->key, text;

    for (; t->key_slot[at]; at = (at + 1) % CF_KEY_SLOTS) {
        k = &t->key[t->key_slot[at]];
        if (k->src == s && k->group == p->group && cf_str_eq(k->known.text, p->key))
            return t->key_slot[at];
    }
    if (p->key.n + prefix_of(s, p->group).n >= 512 || t->n_key + 1 >= CF_KEYS_MAX)
        return 0;
    text = keep_text(&t->keys, p->key);
    if (!text.p)
        return 0;
    k = &t->key[t->n_key + 1];
    *k = (struct cf_key){.src = s, .group = p->group, .known = {.text = text}, .hash = cf_hash64(name), .field = CF_F_EXTRA};
    set_head(&k->known, p->group == CF_G_FREE ? plain_length(text) : 0, s->payload == CF_P_KV ? s->kv.assign : '=');
    k->row = cf_map_find(&s->map, name, k->hash);
    if (!k->row && s->base)
        k->row = cf_map_find(&s->base->map, name, k->hash);
    k->kid = kid_of(r->n, name, k->hash);
    if (!(s->looks[k->kid / 64] >> k->kid % 64 & 1))
        k->kid = 0;
    if (s->ecs && p->group == CF_G_FREE)
        k->field = (uint16_t)cf_field_find(p->key);
    choose_way(k);
    t->key_slot[at] = (uint16_t)++t->n_key;
    return (uint16_t)t->n_key;
}

static inline bool same_key(const struct cf_key *k, const struct cf_run *r, const struct cf_pair *p)
{
    return k->known.text.n == p->key.n && k->src == r->src && k->group == p->group && cf_same_text(k->known.text.p, p->key.p, p->key.n);
}

void cf_run_guide(struct cf_run *r, const struct cf_source *s)
{
    struct cf_key_guide *g = &r->pairs.guide;

    g->at = 0;
    g->in_order = 0;
    if (r->keyed)
        return;
    g->of = NULL;
    for (size_t i = 0; i < r->pairs.n; i++)
        r->pairs.v[i].ent = 0;
    if (r->pairs.n || !s || (s != r->n->builtin && s != &r->n->src[s->index])) /* not what takes a value apart */
        return;
    *g = (struct cf_key_guide){.keys = (const char *)r->t->key, .of = s, .at = r->t->first_key[s->index]};
}

/* The entry of a pair's key: the one that was guessed, or found the slow way. */
static uint16_t entry_of(struct cf_run *r, const struct cf_pair *p, uint16_t guess)
{
    return same_key(&r->t->key[guess], r, p) ? guess : find_key(r, p); /* entry 0 equals no key */
}

/* Where the looked-at key of pair i stands. */
static inline void note_place(struct cf_kidpos *k, uint32_t generation, const struct cf_pair *p, size_t i)
{
    k->multi = k->generation == generation;
    if (k->multi)
        return;
    k->generation = generation;
    k->pos = (uint16_t)i;
    k->sign = (uint8_t)cf_text_sign(p->val);
}

/* The keys of all pairs are the expected ones: where those stand that the source looks at is known from the last such record. */
static bool keys_in_order(struct cf_run *r, struct cf_keyorder *o)
{
    struct cf_norm_thread *t = r->t;
    const struct cf_pair *v = r->pairs.v;
    size_t n = r->pairs.n;

    if (o->n_pairs != n) {
        o->n_pairs = 0;
        o->n = 0;
        for (size_t i = 0; i < n; i++) {
            uint16_t kid = t->key[v[i].ent].kid;
            if (kid && o->n == CF_KEYORDER_MAX)
                return false;
            if (kid)
                o->at[o->n++] = (struct cf_keyplace){kid, (uint16_t)i};
        }
        o->n_pairs = n;
    }
    for (const struct cf_keyplace *k = o->at, *end = k + o->n; k < end; k++)
        note_place(&t->kid[k->kid], t->generation, &v[k->pos], k->pos);
    return true;
}

void cf_run_keys(struct cf_run *r, size_t from)
{
    struct cf_norm_thread *t = r->t;
    struct cf_key *keys = t->key;
    struct cf_pair *v = r->pairs.v;
    uint16_t *guess = &t->first_key[r->src->index];
    struct cf_keyorder *order = &t->order[r->src->index];
    bool guided = r->pairs.guide.of == r->src;
    uint32_t generation;

    if (from == 0) {
        t->generation++;
        if (t->n_key + CF_PAIRS_MAX + 1 >= CF_KEYS_MAX || t->keys.used > (4u << 20)) {
            cf_keys_reset(t);
            guided = false;
        }
        if (guided && r->pairs.guide.in_order == r->pairs.n && keys_in_order(r, order)) {
            r->keyed = true;
            return;
        }
    }
    generation = t->generation;
    for (struct cf_pair *p = v + from, *end = v + r->pairs.n; p < end; p++) {
        struct cf_key *key;
        if (!p->ent || !guided)
            p->ent = entry_of(r, p, *guess);
        if (*guess != p->ent) {
            *guess = p->ent;
            order->n_pairs = 0;
        }
        key = &keys[p->ent];
        guess = &key->known.next; /* of the unused entry 0 when there is none */
        if (key->kid)
            note_place(&t->kid[key->kid], generation, p, (size_t)(p - v));
    }
    r->keyed = true;
}

bool cf_key_names(struct cf_run *r, struct cf_key *k, const struct cf_pair *p)
{
    cf_str prefix = prefix_of(r->src, p->group);
    char full[512];

    if (p->key.n + prefix.n >= sizeof full)
        return false;
    memcpy(full, prefix.p, prefix.n);
    memcpy(full + prefix.n, p->key.p, p->key.n);
    k->extra = cf_name_intern(cf_str_n(full, prefix.n + p->key.n));
    k->raw = cf_name_intern(cf_str_sub(p->key, p->leaf, p->key.n));
    k->named = true;
    if (k->way != CF_WAY_BOTH && k->extra)
        k->as_extra = (struct cf_value){.id = CF_F_EXTRA, .raw = k->raw, .name = k->extra};
    if (!k->row && k->extra && !(r->src->ecs && p->group == CF_G_FREE))
        k->way = CF_WAY_KEEP;
    return true;
}
