/* SPDX-License-Identifier: Apache-2.0
 * What the switches and rules of a source decided for values seen before. A source asks a few keys and fields for certain texts;
 * records with the same texts there (type=traffic subtype=forward action=accept) get the same constants, so those are put without
 * asking again. Rules that copy values are not remembered, nor are records in which one of the keys comes twice.
 *
 *   values asked for ─► text ─► the thread's memo of the source ─► lists of constants, in the order of the rules */
#include <stdlib.h>

#include "normalise/source.h"

#define KEY_ROOM 240u
#define VALUE_MAX 40u   /* longer texts are hardly what rules ask for */
#define PLACES 16u

enum { ABSENT = 255, PRESENT = 254, NOTHING = 253, END = 252 }; /* in the place of a text's length */

struct cf_decision {
    uint64_t hash;
    uint16_t n, room; /* room: values that set may add; n: of key, 0: an empty place */
    struct cf_fired fired;
    char key[KEY_ROOM];
};
struct cf_decisions {
    int score;        /* sinks with each text that was not known */
    unsigned rest;    /* records that are not looked up any more: their texts are new each time */
    struct cf_decision of[PLACES];
};

/* ---- at load --------------------------------------------------------------------------------------------------------- */

static void ask_field(struct cf_inputs *in, uint16_t field)
{
    size_t i = 0;

    while (i < in->n_field && in->field[i] != field)
        i++;
    if (i == in->n_field && i < CF_INPUTS_FIELDS)
        in->field[in->n_field++] = field;
    else if (i == CF_INPUTS_FIELDS)
        in->ok = false;
}

static void ask(struct cf_inputs *in, const struct cf_ref *ref, bool text)
{
    size_t i = 0;

    if (ref->field != CF_F_EXTRA)
        ask_field(in, ref->field);
    else if (ref->name) /* an extra: looked for among all values */
        in->ok = false;
    if (!ref->kid)
        in->ok = false;
    while (i < in->n_key && in->key[i].kid != ref->kid)
        i++;
    if (i == CF_INPUTS_KEYS) {
        in->ok = false;
        return;
    }
    in->key[i] = (struct cf_input_key){ref->kid, text || (i < in->n_key && in->key[i].text)};
    if (i == in->n_key)
        in->n_key++;
}

void cf_index_inputs(struct cf_source *s)
{
    struct cf_inputs *in = &s->inputs;

    *in = (struct cf_inputs){.ok = s->n_switch + s->n_when + (s->base ? s->base->n_when : 0) > 0 && s->n_switch <= 8};
    for (size_t i = 0; in->ok && i < s->n_switch; i++) {
        ask(in, &s->sw[i].on, true);
        if (s->sw[i].on.field != CF_F_EXTRA) /* asked before the map as well */
            in->ok = false;
    }
    for (const struct cf_source *of = s; of; of = of == s ? s->base : NULL)
        for (size_t i = 0; in->ok && i < of->n_when; i++)
            for (size_t k = 0; k < of->when[i].n; k++)
                ask(in, &of->when[i].cond[k].ref, of->when[i].cond[k].n > 0);
    in->ok = in->ok && in->n_key;
}

/* ---- running --------------------------------------------------------------------------------------------------------- */

/* Behind o: the length of v and its bytes. NULL: too long. */
static inline char *put_text(char *o, const char *end, cf_str v)
{
    if (v.n > VALUE_MAX || end - o < (ptrdiff_t)VALUE_MAX + 1)
        return NULL;
    *o++ = (char)v.n;
    cf_copy_text(o, v.p, v.n);
    return o + v.n;
}

static char *put_field(char *o, const char *end, const struct cf_event *ev, enum cf_field f)
{
    const struct cf_value *v = cf_event_val(ev, f);

    for (; o && v; v = cf_event_next(ev, v))
        o = put_text(o, end, cf_str_n(v->p, v->n));
    if (!o || o == end)
        return NULL;
    *o++ = (char)END;
    return o;
}

/* What the source asks for, as one text with zeros up to a multiple of 8 bytes; its length, 0: it cannot be told. */
static inline size_t key_of(const struct cf_run *r, const struct cf_inputs *in, char *key)
{
    char *o = key;
    const char *end = key + KEY_ROOM - 8;

    for (const struct cf_input_key *k = in->key, *last = k + in->n_key; k < last; k++) {
        const struct cf_kidpos *at = &r->t->kid[k->kid];
        if (o == end)
            return 0;
        if (at->generation != r->t->generation) {
            *o++ = (char)ABSENT;
            continue;
        }
        const struct cf_pair *p = &r->pairs.v[at->pos];
        if (at->multi)
            return 0;
        if (!p->val.p || !k->text)
            *o++ = (char)(p->val.p ? PRESENT : NOTHING);
        else if (!(o = put_text(o, end, p->val)))
            return 0;
    }
    for (size_t i = 0; i < in->n_field; i++)
        if (!(o = put_field(o, end, r->ev, (enum cf_field)in->field[i])))
            return 0;
    memset(o, 0, 8);
    return (size_t)(o - key);
}

static inline uint64_t hash_of(const char *key, size_t n)
{
    uint64_t h = n, w;

    for (size_t i = 0; i < n; i += 8) {
        memcpy(&w, key + i, 8);
        h = (h ^ w) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    return h;
}

static inline bool same_key(const char *a, const char *b, size_t n)
{
    uint64_t differ = 0, x, y;

    for (size_t i = 0; i < n; i += 8) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        differ |= x ^ y;
    }
    return !differ;
}

/* They decide as ever. */
static void decide(struct cf_run *r, const struct cf_case **c, size_t n)
{
    const struct cf_source *s = r->src;

    for (size_t i = 0; i < n; i++) {
        if (!c[i]) /* the value may have come from map */
            c[i] = cf_find_case(&s->sw[i], cf_run_ref(r, &s->sw[i].on));
        if (!c[i])
            continue;
        if (r->fired)
            cf_fired_add(r->fired, &c[i]->set);
        cf_run_sets(r, &c[i]->set);
    }
    if (s->base)
        cf_run_whens(r, s->base);
    cf_run_whens(r, s);
}

static __attribute__((noinline)) void decide_and_note(struct cf_run *r, const struct cf_case **c, size_t n, struct cf_decision *d, const char *key, size_t key_n, uint64_t hash)
{
    struct cf_fired fired = {0};
    size_t room = 0;

    r->fired = &fired;
    decide(r, c, n);
    r->fired = NULL;
    for (size_t i = 0; i < fired.n; i++)
        room += fired.set[i]->n;
    if (fired.not || r->ev->n > 200 || room > 200)
        return;
    *d = (struct cf_decision){.hash = hash, .n = (uint16_t)key_n, .room = (uint16_t)room, .fired = fired};
    memcpy(d->key, key, key_n + 8);
}

void cf_run_decide(struct cf_run *r, const struct cf_case **c, size_t n)
{
    struct cf_decisions *known = r->t->decided[r->src->index];
    char key[KEY_ROOM];
    struct cf_decision *d;
    size_t key_n;
    uint64_t hash;

    if (!r->src->inputs.ok || !r->keyed || (known && known->rest) || !(key_n = key_of(r, &r->src->inputs, key))) {
        if (known && known->rest)
            known->rest--;
        decide(r, c, n);
        return;
    }
    if (!known && !(known = r->t->decided[r->src->index] = calloc(1, sizeof *known))) {
        r->oom = true;
        return;
    }
    hash = hash_of(key, key_n);
    d = &known->of[hash >> 60];
    if (d->hash == hash && d->n == key_n && r->ev->n + d->room <= 240 && same_key(d->key, key, key_n)) {
        known->score += known->score < 64;
        for (size_t i = 0; i < d->fired.n; i++)
            cf_run_sets(r, d->fired.set[i]);
        return;
    }
    known->score -= 4;
    if (known->score < -400) {
        known->score = 0;
        known->rest = 10000;
    }
    decide_and_note(r, c, n, d, key, key_n, hash);
}

void cf_decisions_free(struct cf_norm_thread *t)
{
    for (size_t i = 0; t->decided && i <= t->n->n; i++)
        free(t->decided[i]);
    free(t->decided);
}
