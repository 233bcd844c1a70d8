/* SPDX-License-Identifier: Apache-2.0
 * Which source owns a record: named by the sender, by its syslog program, by the rows of match. */
#include "normalise/source.h"

#ifdef __SSSE3__
#include <tmmintrin.h>
#endif

/* Signs that few texts hold and that many rows ask for, a bit each: % , | @ _ [ ( and bytes from 0x80 on. A byte is looked up
 * by its halves: both tables have the bit of a sign at its half, and no other byte has it in both. */
static const uint8_t sign_low[16] = {0x88, 0x80, 0x80, 0x80, 0x80, 0x81, 0x80, 0x80, 0xc0, 0x80, 0x80, 0xa0, 0x86, 0x80, 0x80, 0x90},
                     sign_high[16] = {0, 0, 0x43, 0, 0x08, 0x30, 0, 0x04, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};

static const char sign_chars[8] = {'%', ',', '|', '@', '_', '[', '(', 0}; /* the last one: bytes from 0x80 on */

#ifdef __SSSE3__
static inline __m128i signs16(const char *p)
{
    const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)sign_low), high = _mm_loadu_si128((const __m128i *)(const void *)sign_high),
                  half = _mm_set1_epi8(15), x = _mm_loadu_si128((const __m128i *)(const void *)p);

    return _mm_and_si128(_mm_shuffle_epi8(low, _mm_and_si128(x, half)), _mm_shuffle_epi8(high, _mm_and_si128(_mm_srli_epi16(x, 4), half)));
}

/* n >= 16; the last block overlaps the one before it. */
static unsigned signs_of_blocks(const char *p, size_t n)
{
    const char *last = p + n - 16;
    __m128i all = signs16(last);

    for (; p < last; p += 16)
        all = _mm_or_si128(all, signs16(p));
    all = _mm_or_si128(all, _mm_srli_si128(all, 8));
    all = _mm_or_si128(all, _mm_srli_si128(all, 4));
    all = _mm_or_si128(all, _mm_srli_si128(all, 2));
    all = _mm_or_si128(all, _mm_srli_si128(all, 1));
    return (unsigned)_mm_cvtsi128_si32(all) & 0xff;
}
#endif

unsigned cf_text_signs(cf_str text)
{
    unsigned ret = 0;

#ifdef __SSSE3__
    if (text.n >= 16)
        return signs_of_blocks(text.p, text.n);
#endif
    for (size_t i = 0; i < text.n; i++)
        ret |= sign_low[(unsigned char)text.p[i] & 15] & sign_high[(unsigned char)text.p[i] >> 4];
    return ret;
}

/* The message lacks one of these signs. Of long ones one sign after the other is looked for, and only those that are asked for:
 * a few searches take less than to see which of all signs there are. */
static bool lacks(struct cf_run *r, unsigned signs)
{
    if (r->signs_of.p != r->msg.p || r->signs_of.n != r->msg.n) {
        r->signs_of = r->msg;
        r->signs = r->msg.n < 128 ? cf_text_signs(r->msg) : 0;
        r->no_signs = r->msg.n < 128 ? ~r->signs : 0;
    }
    while (!(signs & r->no_signs)) {
        unsigned open = signs & ~r->signs;
        if (!open)
            return false;
        open &= -open;
        if (open == 0x80) { /* bytes from 0x80 on */
            r->signs = cf_text_signs(r->msg);
            r->no_signs = ~r->signs;
        } else if (memchr(r->msg.p, sign_chars[__builtin_ctz(open)], r->msg.n)) {
            r->signs |= open;
        } else {
            r->no_signs |= open;
        }
    }
    return true;
}

/* Where the text holds lit, whose two rarest bytes are known; NULL: nowhere. The first place of one of them, from there on both
 * at a time. */
static const char *held(cf_str text, cf_str lit, const struct cf_rare *rare)
{
    const char *at;
    ptrdiff_t found;

    if (text.n < lit.n || !lit.n)
        return lit.n == 0 ? text.p : NULL;
    at = memchr(text.p + rare->at[0], rare->byte[0], text.n - lit.n + 1);
    if (!at)
        return NULL;
    at -= rare->at[0];
#ifdef __SSSE3__
    const __m128i one = _mm_set1_epi8((char)rare->byte[0]), other = _mm_set1_epi8((char)rare->byte[1]);
    const char *end = text.p + text.n - lit.n - 15; /* behind the last place where 16 of them may start */

    for (; at < end; at += 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(at + rare->at[0])), b = _mm_loadu_si128((const __m128i *)(const void *)(at + rare->at[1]));
        unsigned m = (unsigned)_mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(a, one), _mm_cmpeq_epi8(b, other)));
        for (; m; m &= m - 1)
            if (cf_same_text(at + __builtin_ctz(m), lit.p, lit.n))
                return at + __builtin_ctz(m);
    }
#endif
    found = cf_str_find(cf_str_n(at, (size_t)(text.p + text.n - at)), lit);
    return found >= 0 ? at + found : NULL;
}

/* What a row asks for besides the format and the first byte. */
static bool row_holds(struct cf_run *r, const struct cf_match *m)
{
    bool hit;

    if (m->n_program) {
        hit = false;
        for (size_t i = 0; i < m->n_program && !hit; i++) {
            cf_str p = m->program[i];
            hit = p.n && p.p[p.n - 1] == '*' ? r->sl.app.p && cf_str_starts(r->sl.app, cf_str_n(p.p, p.n - 1)) : cf_str_eq(r->sl.app, p);
        }
        if (!hit)
            return false;
    }
    if (m->n_starts) {
        hit = false;
        for (size_t i = 0; i < m->n_starts && !hit; i++)
            hit = cf_str_starts(r->msg, m->starts[i]);
        if (!hit)
            return false;
    }
    if (m->signs && lacks(r, m->signs))
        return false;
    for (size_t i = 0; i < m->n_contains; i++)
        if (!held(r->msg, m->contains[i], &m->rare[i]))
            return false;
    for (size_t i = 0; i < m->n_has; i++) {
        hit = false;
        for (size_t k = 0; k < r->pairs.n && !hit; k++)
            hit = cf_str_eq(r->pairs.v[k].key, m->has[i]);
        if (!hit)
            return false;
    }
    for (size_t i = 0; i < m->n_cond; i++)
        if (!cf_run_cond(r, &m->cond[i]))
            return false;
    if (m->regex && !cf_regex_test(r, m->regex, r->msg))
        return false;
    return true;
}

bool cf_row_matches(struct cf_run *r, const struct cf_match *m)
{
    return (m->formats & r->format) && (!r->msg.n || (m->first[(unsigned char)r->msg.p[0] / 64] >> ((unsigned char)r->msg.p[0] % 64) & 1)) && row_holds(r, m);
}

const struct cf_source *cf_source_hinted(const struct cf_normaliser *n, cf_str name)
{
    for (size_t i = 0; name.n && i < n->n; i++)
        if (cf_str_eq(n->src[i].name_s, name))
            return &n->src[i];
    return NULL;
}

/* ---- the row that owned a text with the same beginning --------------------------------------------------------------- */

/* A row that only asks for words somewhere in the text. */
static bool words_only(const struct cf_match *m)
{
    return m->n_contains && m->n_contains <= CF_ROW_WORDS && !m->n_program && !m->n_starts && !m->n_cond && !m->n_has && !m->regex;
}

/* One sign of each list that the text lacks: without these, any text passes over the rows that ask for the lists. */
static unsigned one_of_each(cf_str text, const unsigned *list, size_t n)
{
    unsigned lacks = ~cf_text_signs(text), ret = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned m = list[i] & lacks;
        if (!(m & (m - 1))) /* one only: these first, they may serve for others */
            ret |= m;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned m = list[i] & lacks;
        if (!(m & ret))
            ret |= m & -m;
    }
    return ret;
}

static void remember(struct cf_row_memo *k, uint64_t head, const struct cf_textrow *row, unsigned lacks)
{
    unsigned rest = lacks & (lacks - 1);

    *k = (struct cf_row_memo){.head = head, .row = row, .lacks = lacks};
    if (!lacks || lacks >= 0x80 || (rest & (rest - 1)))
        return;
    k->two[0] = sign_chars[__builtin_ctz(lacks)];
    k->two[1] = rest ? sign_chars[__builtin_ctz(rest)] : k->two[0];
}

/* The message has one of the signs that the rows before the remembered one asked for. Most of them lack one or two signs, which are
 * looked for at once. */
static bool has_signs(struct cf_run *r, const struct cf_row_memo *k)
{
#ifdef __SSE2__
    if (k->two[0] && r->msg.n >= 16) {
        const __m128i one = _mm_set1_epi8(k->two[0]), other = _mm_set1_epi8(k->two[1]);
        const char *p = r->msg.p, *last = p + r->msg.n - 16; /* the last block overlaps the one before it */
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)last), found = _mm_or_si128(_mm_cmpeq_epi8(x, one), _mm_cmpeq_epi8(x, other));

        for (; p + 16 < last; p += 32) {
            __m128i y = _mm_loadu_si128((const __m128i *)(const void *)(p + 16));
            x = _mm_loadu_si128((const __m128i *)(const void *)p);
            found = _mm_or_si128(found, _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, one), _mm_cmpeq_epi8(x, other)), _mm_or_si128(_mm_cmpeq_epi8(y, one), _mm_cmpeq_epi8(y, other))));
        }
        for (; p < last; p += 16) {
            x = _mm_loadu_si128((const __m128i *)(const void *)p);
            found = _mm_or_si128(found, _mm_or_si128(_mm_cmpeq_epi8(x, one), _mm_cmpeq_epi8(x, other)));
        }
        return _mm_movemask_epi8(found) != 0;
    }
#endif
    if (!k->lacks)
        return false;
    r->signs_of = r->msg;
    r->signs = cf_text_signs(r->msg);
    r->no_signs = ~r->signs;
    return k->lacks & r->signs;
}

/* The row that owned such a text owns this one: its words are there, most of them where they stood last time. */
static bool recalled(struct cf_run *r, struct cf_row_memo *k)
{
    const struct cf_match *m = k->row->m;

    if (has_signs(r, k))
        return false;
    for (size_t i = 0; i < m->n_contains; i++) {
        cf_str word = m->contains[i];
        const char *at;
        if (k->at[i] + word.n <= r->msg.n && cf_same_text(r->msg.p + k->at[i], word.p, word.n))
            continue;
        at = held(r->msg, word, &m->rare[i]);
        if (!at)
            return false;
        k->at[i] = (uint32_t)(at - r->msg.p);
    }
    return true;
}

/* The first of the general rows that matches: its source. */
static const struct cf_source *select_row(struct cf_run *r, bool *extracted)
{
    const struct cf_normaliser *n = r->n;
    unsigned char first = r->msg.n ? (unsigned char)r->msg.p[0] : 0;
    struct cf_row_memo *known;
    unsigned signs[CF_ROW_LACKS];
    size_t lacking = 0;
    uint64_t head = 0;

    memcpy(&head, r->msg.p, r->msg.n < 8 ? r->msg.n : 8);
    known = &r->t->row_memo[head * UINT64_C(0x9e3779b97f4a7c15) >> 56];
    if (known->row && known->head == head && r->msg.n >= 8 && recalled(r, known))
        return known->row->s;
    for (size_t i = 0, end = r->msg.n ? n->n_row_of[first] : n->n_row; i < end; i++) {
        const struct cf_textrow *row = &n->row[r->msg.n ? n->row_of[first][i] : i];
        if ((head ^ row->head) & row->mask)
            continue;
        if (row->signs && lacks(r, row->signs)) {
            if (lacking < CF_ROW_LACKS)
                signs[lacking] = row->signs;
            lacking++;
            continue;
        }
        if (!row_holds(r, row->m)) {
            lacking = CF_ROW_LACKS + 1; /* for a reason that would have to be looked at again */
            continue;
        }
        if (!row->m->extract) {
            if (r->msg.n >= 8 && lacking <= CF_ROW_LACKS && words_only(row->m))
                remember(known, head, row, one_of_each(r->msg, signs, lacking));
            return row->s;
        }
        r->src = row->s;
        if (cf_run_extract(r, row->s)) {
            *extracted = true;
            return row->s;
        }
        lacking = CF_ROW_LACKS + 1;
    }
    return NULL;
}

/* Text of an unknown sender: sources by program, then the general ones. *extracted: its patterns have run already. */
const struct cf_source *cf_select_text(struct cf_run *r, bool *extracted)
{
    const struct cf_normaliser *n = r->n;

    r->asked.ref = NULL;
    *extracted = false;
    if (r->sl.app.n) {
        uint64_t h = cf_hash64(r->sl.app);
        for (uint64_t i = h & n->prog_mask; n->prog[i]; i = (i + 1) & n->prog_mask) {
            const struct cf_prog *p = n->prog[i];
            if (p->hash != h || !cf_str_eq(p->name, r->sl.app))
                continue;
            for (size_t k = 0; k < p->n; k++) {
                const struct cf_source *s = &n->src[p->source[k]];
                for (size_t m = 0; m < s->n_match; m++)
                    if (s->match[m].n_program && cf_row_matches(r, &s->match[m])) {
                        if (!s->match[m].extract)
                            return s;
                        if (cf_run_extract(r, s)) {
                            *extracted = true;
                            return s;
                        }
                    }
            }
        }
    }
    return select_row(r, extracted);
}

/* The texts of the keys that the rows of a format ask for, one behind the other; 0: it cannot be told (one comes twice, is
 * long, or may stand elsewhere). */
static inline size_t asked_texts(const struct cf_run *r, const struct cf_asked_keys *k, char ret[CF_ASKED_ROOM])
{
    cf_str v[CF_ASKED_KEYS];
    size_t n = 0;
    unsigned had = 0;

    if (r->pairs.n && r->pairs.v[0].group == CF_G_SD) /* of the envelope: they have two names */
        return 0;
    for (const struct cf_pair *p = r->pairs.v, *end = p + r->pairs.n; p < end; p++) {
        if (!(k->lengths >> (p->key.n & 63) & 1))
            continue;
        for (size_t i = 0; i < k->n; i++)
            if (p->key.n == k->ref[i]->text.n && cf_same_text(p->key.p, k->ref[i]->text.p, p->key.n)) {
                if (had >> i & 1)
                    return 0;
                had |= 1u << i;
                v[i] = p->val;
            }
    }
    for (size_t i = 0; i < k->n; i++) {
        if (!(had >> i & 1)) {
            if (k->ref[i]->name) /* may be an extra of the event */
                return 0;
            ret[n++] = (char)-1;
            continue;
        }
        if (v[i].n > CF_ASKED_ROOM / CF_ASKED_KEYS - 1 || !v[i].p)
            return 0;
        ret[n++] = (char)v[i].n;
        cf_copy_text(ret + n, v[i].p, v[i].n);
        n += v[i].n;
    }
    return n;
}

const struct cf_source *cf_select_parsed(struct cf_run *r)
{
    const struct cf_normaliser *n = r->n;
    unsigned bit = (unsigned)__builtin_ctz(r->format);
    const struct cf_asked_keys *asked = &n->asked[bit];
    struct cf_object_memo *known = &r->t->object_memo[bit];
    const struct cf_source *ret = NULL;
    char texts[CF_ASKED_ROOM];
    size_t texts_n = asked->n ? asked_texts(r, asked, texts) : 0;

    r->asked.ref = NULL;
    if (texts_n && known->n == texts_n && cf_same_text(known->texts, texts, texts_n))
        return known->s;
    for (size_t i = 0; i < n->n_obj[bit] && !ret; i++) {
        const struct cf_source *s = &n->src[n->obj[bit][i]];
        for (size_t m = 0; m < s->n_match && !ret; m++)
            if (cf_row_matches(r, &s->match[m])) {
                for (size_t k = 0; k < s->match[m].n_add; k++)
                    (void)cf_pair_add(&r->pairs, s->match[m].add_key[k], s->match[m].add_val[k], CF_V_STR);
                ret = s;
            }
    }
    if (texts_n) {
        known->n = texts_n;
        known->s = ret;
        memcpy(known->texts, texts, texts_n);
    }
    return ret;
}

static bool asks_keys_only(const struct cf_match *m)
{
    for (size_t i = 0; i < 4; i++)
        if (~m->first[i])
            return false;
    for (size_t i = 0; i < m->n_cond; i++)
        if (m->cond[i].ref.field != CF_F_EXTRA)
            return false;
    return !m->n_program && !m->n_contains && !m->n_starts && !m->n_has && !m->n_add && !m->regex && !m->signs;
}

/* False: more keys than fit. */
static bool ask_for(struct cf_asked_keys *k, const struct cf_ref *ref)
{
    size_t i = 0;

    while (i < k->n && !cf_str_eq(k->ref[i]->text, ref->text))
        i++;
    if (i == CF_ASKED_KEYS || ref->text.n > 63)
        return false;
    k->ref[i] = ref;
    k->n += i == k->n;
    k->lengths |= UINT64_C(1) << ref->text.n;
    return true;
}

void cf_index_asked(struct cf_normaliser *n)
{
    for (unsigned bit = 0; bit < CF_NF_BITS; bit++) {
        struct cf_asked_keys k = {0};
        bool ok = (1u << bit) & (CF_NF_CEF | CF_NF_LEEF); /* objects have many pairs, and asking them takes less than this */
        for (size_t i = 0; i < n->n_obj[bit]; i++) {
            const struct cf_source *s = &n->src[n->obj[bit][i]];
            for (size_t m = 0; m < s->n_match; m++) {
                const struct cf_match *row = &s->match[m];
                if (!(row->formats & (1u << bit)))
                    continue;
                ok = ok && asks_keys_only(row);
                for (size_t c = 0; c < row->n_cond && ok; c++)
                    ok = ask_for(&k, &row->cond[c].ref);
            }
        }
        n->asked[bit] = ok ? k : (struct cf_asked_keys){0};
    }
}

/* Pairs of a record whose source was named: does one of them from `from` on have a key that the source maps? */
bool cf_run_knows(const struct cf_run *r, const struct cf_source *s, size_t from)
{
    if (s->ecs || (r->ev->flags & CF_EV_HEADER) || (!s->map.mask && !(s->base && s->base->map.mask)))
        return true;
    for (size_t i = from; i < r->pairs.n; i++) {
        const struct cf_pair *p = &r->pairs.v[i];
        cf_str key = p->group == CF_G_SD ? cf_str_sub(p->key, p->leaf, p->key.n) : p->key;
        uint64_t hash = cf_hash64(key);
        if (cf_map_find(&s->map, key, hash) || (s->base && cf_map_find(&s->base->map, key, hash)))
            return true;
    }
    return false;
}

/* Marks the event; the envelope, the source's constants and the text are all it will have. */
void cf_run_unrecognised(struct cf_run *r)
{
    bool object = r->format != CF_NF_TEXT || r->src->payload != CF_P_TEXT;
    cf_str why = cf_arena_printf(r->a, object ? "no field of the record is one that source %s knows" : "no pattern of source %s fits", r->src->name);

    r->ev->flags |= CF_EV_UNRECOGNISED;
    if (!why.p || cf_event_put(r->ev, CF_F_ERROR_MESSAGE, why, 0, CF_V_STR) == CF_ENOMEM)
        r->oom = true;
}
