/* SPDX-License-Identifier: Apache-2.0
 * Which rules are worth evaluating: those with a witness in the event. Values repeat (paths, accounts, providers), so what was
 * found in a value is remembered: a value met again costs one hash and one comparison instead of folding and scanning.
 *
 *   value ──known──────────────────────────────────────────────► its rules
 *     │ not known: folded, scanned with the others of the event
 *     ▼
 *   Vectorscan ─► literal of the right field, at the right end ─┐
 *   hash table ─► exact value ──────────────────────────────────┴► its rules, remembered when the value comes a second time
 *
 * The memory is bounded and belongs to one thread: bytes in a ring, the oldest are overwritten. */
#include <stdlib.h>

#include "detect/match.h"

#define MEMO_ENTRIES 16384u
#define MEMO_WAYS 2u
#define MEMO_DOOR 32768u          /* values seen once: remembered only when they come again */
#define MEMO_RING (1u << 18)      /* in words of 8 bytes: 2 MiB */
#define MEMO_TEXT_MAX 1024u       /* longer values seldom repeat */
#define MEMO_RULES_MAX 64u

struct entry {
    uint64_t key;
    uint32_t pos; /* in words, counted on for ever; the ring holds the last MEMO_RING */
    uint16_t n, n_rules;
};
struct cf_memo {
    struct entry entry[MEMO_ENTRIES];
    uint16_t door[MEMO_DOOR];
    uint32_t head;
    uint64_t ring[MEMO_RING]; /* text, padded, then rules */
};

void cf_prefilter_free(struct cf_detector *d)
{
    free(d->memo);
    free(d->seg);
    free(d->miss);
    free(d->pair);
}

/* ---- memory ---- */

/* Text of a value; empty when there is nothing to look at. */
static inline cf_str text_of(const struct cf_detector *d, uint16_t val)
{
    const struct cf_value *v = val == CF_VAL_RECORD ? &d->record_val : &d->ev->val[val];

    return v->kind == CF_V_NULL ? CF_STR("") : (cf_str){v->p, v->n};
}

static inline cf_str value_of(const struct cf_detector *d, const struct cf_need *nd) { return text_of(d, nd->val); }

static inline size_t words_of(size_t bytes) { return (bytes + 7) / 8; }

static inline struct entry *bucket(struct cf_memo *m, uint64_t hash) { return &m->entry[(hash & (MEMO_ENTRIES / MEMO_WAYS - 1)) * MEMO_WAYS]; }

static const struct entry *memo_find(struct cf_memo *m, uint64_t key, uint64_t hash, cf_str text)
{
    const struct entry *e = bucket(m, hash);

    for (uint32_t i = 0; i < MEMO_WAYS; i++, e++)
        if (e->key == key && e->n == text.n && m->head - e->pos <= MEMO_RING && memcmp(&m->ring[e->pos % MEMO_RING], text.p, text.n) == 0)
            return e;
    return NULL;
}

/* Room in the ring for a piece of this many words. */
static uint32_t memo_room(struct cf_memo *m, size_t words)
{
    uint32_t at = m->head % MEMO_RING;

    if (at + words > MEMO_RING) { /* an entry stands in one piece */
        m->head += MEMO_RING - at;
        at = 0;
    }
    if (m->head > UINT32_MAX - 4 * MEMO_RING) { /* positions would run over: begin again */
        memset(m->entry, 0, sizeof m->entry);
        m->head = MEMO_RING + 1;
        at = 1;
    }
    return at;
}

/* Rules found in the value but for those that the value itself refutes. */
static uint32_t rules_left(struct cf_detector *d, const struct cf_miss *ms, uint32_t rule[MEMO_RULES_MAX])
{
    uint32_t n = 0;

    for (uint32_t p = ms->first; p; p = d->pair[p - 1].next)
        if (!ms->need->sole || !cf_refuted(d, &d->rs->rules[d->pair[p - 1].rule], ms->need->val))
            rule[n++] = d->pair[p - 1].rule;
    return n;
}

static void memo_keep(struct cf_detector *d, const struct cf_miss *ms, cf_str text)
{
    struct cf_memo *m = d->memo;
    struct entry *e = bucket(m, ms->hash);
    uint16_t *door = &m->door[ms->hash >> 16 & (MEMO_DOOR - 1)], tag = (uint16_t)(ms->hash >> 48 | 1);
    uint32_t rule[MEMO_RULES_MAX], n, at;
    size_t tw = words_of(text.n), all;

    if (*door != tag) { /* perhaps the only time it comes */
        *door = tag;
        return;
    }
    n = rules_left(d, ms, rule);
    all = tw + words_of(n * sizeof *rule);
    at = memo_room(m, all);
    if (m->head - e[0].pos < m->head - e[1].pos) /* the older of the two goes */
        e++;
    memcpy(&m->ring[at], text.p, text.n);
    memcpy(&m->ring[at + tw], rule, n * sizeof *rule);
    *e = (struct entry){ms->need->key, m->head, (uint16_t)text.n, (uint16_t)n};
    m->head += (uint32_t)all;
}

/* ---- what is found in values that are not known ---- */

static bool found(struct cf_detector *d, uint32_t miss, uint32_t rule)
{
    struct cf_miss *ms = &d->miss[miss];

    cf_candidate(d, rule);
    if (ms->first && d->pair[ms->first - 1].rule == rule)
        return true;
    if (d->n_pair == d->cap_pair) {
        uint32_t cap = d->cap_pair ? d->cap_pair * 2 : 256;
        struct cf_pair *p = realloc(d->pair, cap * sizeof *p);

        if (!p) {
            d->oom = true;
            return false;
        }
        d->pair = p;
        d->cap_pair = cap;
    }
    d->pair[d->n_pair++] = (struct cf_pair){rule, ms->first};
    ms->first = d->n_pair;
    ms->n++;
    return true;
}

static bool feeds(const struct cf_detector *d, const struct cf_need *nd, uint16_t field)
{
    for (int k = 0; k < 2; k++)
        if (nd->list[k] > 1) {
            const uint16_t *p = &d->pool[nd->list[k] - 1];

            for (uint16_t n = *p++; n; n--, p += 2)
                if (p[0] == field)
                    return true;
        }
    return false;
}

static int on_literal(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
    struct cf_detector *d = ctx;
    const struct cf_lit *lit = &d->part->lit[d->first_lit + id];
    const struct cf_lit_use *u = &d->part->use[lit->first];
    const struct cf_seg *s = &d->seg[d->cur_seg];
    uint64_t start = to - lit->len;
    uint16_t last_field = CF_RF_KEYWORD;
    bool last_has = true;

    (void)from;
    (void)flags;
    while (to > s->to && d->cur_seg + 1 < d->n_seg) /* matches come in order of their end */
        s = &d->seg[++d->cur_seg];
    if (start < s->from)
        return 0;
    for (uint32_t i = 0; i < lit->n; i++) {
        if (u[i].kind == CF_PAT_PREFIX ? start != s->from : u[i].kind == CF_PAT_SUFFIX && to != s->to)
            continue;
        if (u[i].field != last_field) {
            last_field = u[i].field;
            last_has = last_field == CF_RF_KEYWORD || feeds(d, d->miss[s->miss].need, last_field);
        }
        if (last_has && !found(d, s->miss, u[i].rule))
            return 1;
    }
    return 0;
}

static void look_up_part(struct cf_detector *d, const struct cf_part *p, uint32_t miss, uint64_t h)
{
    for (size_t at = h & p->exact_mask; p->exact[at].n; at = (at + 1) & p->exact_mask) {
        if (p->exact[at].hash != h)
            continue;
        for (uint32_t i = 0; i < p->exact[at].n; i++)
            (void)found(d, miss, p->use[p->exact[at].first + i].rule);
        return;
    }
}

static void look_up(struct cf_detector *d, const struct cf_group *g, uint32_t miss)
{
    const struct cf_need *nd = d->miss[miss].need;
    cf_str low = cf_folded(d, nd->val);

    for (int k = 0; k < 2; k++) {
        const uint16_t *p = nd->list[k] > 1 ? &d->pool[nd->list[k] - 1] : NULL;

        for (uint16_t n = p ? *p++ : 0; n; n--, p += 2) {
            uint64_t h;

            if (!(g->field_need[p[0]] & CF_NEED_EXACT))
                continue;
            h = cf_exact_hash(p[0], low);
            for (uint32_t i = 0; i < g->n_part; i++)
                look_up_part(d, g->part[i], miss, h);
        }
    }
}

/* ---- keywords ---- */

struct word_ctx {
    struct cf_detector *d;
    const struct cf_part *part;
    uint32_t miss; /* UINT32_MAX: nothing is remembered of the value */
    size_t n;
};

static void on_word(void *ctx, uint32_t id, size_t from, size_t to)
{
    struct word_ctx *c = ctx;
    const struct cf_lit *lit = &c->part->lit[c->part->n_lit_field + id];
    const struct cf_lit_use *u = &c->part->use[lit->first];

    for (uint32_t i = 0; i < lit->n; i++) {
        if (u[i].kind == CF_PAT_PREFIX ? from != 0 : u[i].kind == CF_PAT_SUFFIX && to != c->n)
            continue;
        if (c->miss == UINT32_MAX)
            cf_candidate(c->d, u[i].rule);
        else
            (void)found(c->d, c->miss, u[i].rule); /* no memory: d->oom */
    }
}

static void words_of_part(struct cf_detector *d, const struct cf_part *p, cf_str s, size_t from, uint32_t miss)
{
    struct word_ctx c = {d, p, miss, s.n};

    cf_words_scan(p->words, s, from, on_word, &c);
}

static inline void words_in(struct cf_detector *d, const struct cf_group *g, cf_str s, uint32_t miss)
{
    for (uint32_t i = 0; i < g->n_word_part; i++) {
        size_t at = cf_words_next(g->word_part[i]->words, s, 0);

        if (at != SIZE_MAX)
            words_of_part(d, g->word_part[i], s, at, miss);
    }
}

/* ---- scanning ---- */

static bool add_seg(struct cf_detector *d, uint32_t miss)
{
    uint16_t val = d->miss[miss].need->val;
    struct cf_folded *f = val == CF_VAL_RECORD ? &d->record : &d->fold[val];
    cf_str s;

    f->off = UINT32_MAX; /* may be folded for the route: once more, so that scanned texts stand together */
    if (d->n_seg == d->cap_seg) {
        uint32_t cap = d->cap_seg ? d->cap_seg * 2 : 128;
        struct cf_seg *p = realloc(d->seg, cap * sizeof *p);

        if (!p)
            return false;
        d->seg = p;
        d->cap_seg = cap;
    }
    s = cf_folded(d, val);
    if (d->oom)
        return false;
    d->seg[d->n_seg++] = (struct cf_seg){f->off, f->off + (uint32_t)s.n, miss};
    return true;
}

/* Texts of the values whose needs, as far as mask goes, are want; *ret_end is where they end. */
static bool gather(struct cf_detector *d, unsigned mask, unsigned want, size_t *ret_end)
{
    for (uint32_t i = 0; i < d->n_miss; i++)
        if ((d->miss[i].need->what & mask) == want && !add_seg(d, i))
            return false;
    *ret_end = d->n_buf;
    return true;
}

static bool scratch_for(struct cf_detector *d, const struct cf_group *g)
{
    if (d->scratch_for[g->id / 64] >> (g->id % 64) & 1)
        return true;
    for (uint32_t i = 0; i < g->n_part; i++) {
        const struct cf_part *p = g->part[i];

        if ((p->db && hs_alloc_scratch(p->db, &d->hs) != HS_SUCCESS) || (p->db_all && hs_alloc_scratch(p->db_all, &d->hs) != HS_SUCCESS))
            return false;
    }
    d->scratch_for[g->id / 64] |= UINT64_C(1) << (g->id % 64); /* the call costs as much as a scan: once a group */
    return true;
}

static bool scan_db(struct cf_detector *d, const struct cf_part *p, const hs_database_t *db, uint32_t first, size_t from, size_t to)
{
    uint32_t seg = 0;

    if (!db || to <= from)
        return true;
    d->part = p;
    d->first_lit = first;
    while (d->seg[seg].from < from)
        seg++;
    d->cur_seg = seg;
    for (uint32_t i = 0; i < d->n_seg; i++) { /* offsets as the scanner sees them */
        d->seg[i].from -= (uint32_t)from;
        d->seg[i].to -= (uint32_t)from;
    }
    if (hs_scan(db, d->buf + from, (unsigned)(to - from), 0, d->hs, on_literal, d) != HS_SUCCESS)
        return false;
    for (uint32_t i = 0; i < d->n_seg; i++) {
        d->seg[i].from += (uint32_t)from;
        d->seg[i].to += (uint32_t)from;
    }
    return true;
}

static bool scan(struct cf_detector *d, const struct cf_group *g)
{
    size_t from = d->n_buf, words_from = d->n_buf, fields_to = d->n_buf, words_to = d->n_buf;
    bool ok;

    d->n_seg = 0;
    /* fields only | fields and words | words only: each scanner gets one piece */
    if (g->quick || !g->keywords)
        ok = gather(d, CF_NEED_SCAN, CF_NEED_SCAN, &fields_to);
    else
        ok = gather(d, CF_NEED_SCAN | CF_NEED_WORDS, CF_NEED_SCAN, &words_from) && gather(d, CF_NEED_SCAN | CF_NEED_WORDS, CF_NEED_SCAN | CF_NEED_WORDS, &fields_to) &&
             gather(d, CF_NEED_SCAN | CF_NEED_WORDS, CF_NEED_WORDS, &words_to);
    if (!ok || !d->n_seg)
        return ok;
    ok = scratch_for(d, g);
    for (uint32_t i = 0; ok && i < g->n_part; i++) {
        ok = scan_db(d, g->part[i], g->part[i]->db, 0, from, fields_to);
        ok = ok && scan_db(d, g->part[i], g->part[i]->db_all, g->part[i]->n_lit_field, words_from, words_to);
    }
    return ok;
}

/* ---- all values ---- */

/* No keyword can be in it: shorter than every one, also when lower case takes more bytes. */
static bool too_short(const struct cf_group *g, cf_str s)
{
    if (s.n >= g->min_word)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] & 0x80)
            return false;
    return true;
}

static bool add_miss(struct cf_detector *d, struct cf_need *nd, uint64_t hash)
{
    if (d->n_miss == d->cap_miss) {
        uint32_t cap = d->cap_miss ? d->cap_miss * 2 : 64;
        struct cf_miss *p = realloc(d->miss, cap * sizeof *p);

        if (!p)
            return false;
        d->miss = p;
        d->cap_miss = cap;
    }
    d->miss[d->n_miss++] = (struct cf_miss){.need = nd, .hash = hash};
    return true;
}

static inline void note_last(struct cf_need *nd, cf_str s)
{
    if (s.n > CF_NEED_LAST)
        return;
    memcpy(nd->last, s.p, s.n);
    nd->last_n = (uint8_t)s.n;
}

static bool work_out(struct cf_detector *d, const struct cf_group *g)
{
    d->n_pair = 0;
    if (!scan(d, g))
        return false;
    for (uint32_t i = 0; i < d->n_miss; i++) {
        if (d->miss[i].need->what & CF_NEED_EXACT)
            look_up(d, g, i);
        if (d->miss[i].need->what & CF_NEED_WORDS)
            words_in(d, g, value_of(d, d->miss[i].need), i);
    }
    if (d->oom)
        return false;
    for (uint32_t i = 0; i < d->n_miss; i++) {
        const struct cf_miss *ms = &d->miss[i];
        cf_str s = value_of(d, ms->need);

        if (!ms->n)
            note_last(ms->need, s);
        if (s.n <= MEMO_TEXT_MAX && ms->n <= MEMO_RULES_MAX)
            memo_keep(d, ms, s);
    }
    return true;
}

/* The values to look at that are not those of the event before, with the places where the memory would have them on their way
 * into the cache. False: no memory. */
static bool ask(struct cf_detector *d, const struct cf_group *g, struct cf_plan *pl)
{
    d->n_miss = 0;
    for (uint32_t i = 0; i < pl->n; i++) {
        struct cf_need *nd = &pl->need[i];
        cf_str s = value_of(d, nd);
        uint64_t hash = 0;

        if (!s.n || (s.n == nd->last_n && cf_same_bytes(nd->last, s.p, s.n)) || (nd->what == CF_NEED_WORDS && too_short(g, s)))
            continue;
        if (s.n <= MEMO_TEXT_MAX) {
            hash = cf_hash64_seed(s, nd->key);
            __builtin_prefetch(bucket(d->memo, hash));
        }
        if (!add_miss(d, nd, hash))
            return false;
    }
    for (uint32_t i = 0; i < d->n_miss; i++) {
        const struct entry *e = d->miss[i].hash ? bucket(d->memo, d->miss[i].hash) : NULL;

        for (uint32_t k = 0; e && k < MEMO_WAYS; k++)
            if (e[k].key == d->miss[i].need->key)
                __builtin_prefetch(&d->memo->ring[e[k].pos % MEMO_RING]);
    }
    return true;
}

/* Rules of the values the memory has; the others stay in d->miss. */
static void recall(struct cf_detector *d)
{
    uint32_t left = 0;

    for (uint32_t i = 0; i < d->n_miss; i++) {
        struct cf_miss *ms = &d->miss[i];
        cf_str s = value_of(d, ms->need);
        const struct entry *e = s.n <= MEMO_TEXT_MAX ? memo_find(d->memo, ms->need->key, ms->hash, s) : NULL;
        const uint32_t *rule;

        if (!e) {
            d->miss[left++] = *ms;
            continue;
        }
        rule = (const uint32_t *)(const void *)&d->memo->ring[e->pos % MEMO_RING + words_of(s.n)];
        for (uint16_t k = 0; k < e->n_rules; k++)
            cf_candidate(d, rule[k]);
        if (!e->n_rules)
            note_last(ms->need, s);
    }
    d->n_miss = left;
}

bool cf_prefilter(struct cf_detector *d, const struct cf_group *g)
{
    struct cf_plan *pl = cf_shape_plan(d, g, g->keywords && cf_record_is_text(d));

    if (!d->memo) {
        d->memo = calloc(1, sizeof *d->memo);
        if (d->memo)
            d->memo->head = MEMO_RING + 1; /* entries that were never set are too old */
    }
    if (!pl || !d->memo || !ask(d, g, pl))
        return false;
    for (uint32_t i = 0; i < pl->n_word; i++) {
        cf_str s = text_of(d, pl->word[i]);

        if (s.n >= g->min_word) /* folded or not, ASCII is as long */
            words_in(d, g, s, UINT32_MAX);
    }
    recall(d);
    return d->n_miss == 0 || work_out(d, g);
}
