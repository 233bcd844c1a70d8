/* SPDX-License-Identifier: Apache-2.0
 * From an event to "the values of rule field F": one walk over the event's values. Which rule fields a name feeds is
 * worked out once per name and thread and then looked up by the name's small id. */
#include <stdlib.h>

#include "detect/match.h"

#define PRIO_INSIDE 250 /* values inside an object the rule names */

static bool pool_put(struct cf_detector *d, uint16_t v)
{
    if (d->n_pool == d->cap_pool) {
        uint32_t cap = d->cap_pool ? d->cap_pool * 2 : 1024;
        uint16_t *p = realloc(d->pool, cap * sizeof *p);

        if (!p)
            return false;
        d->pool = p;
        d->cap_pool = cap;
    }
    d->pool[d->n_pool++] = v;
    return true;
}

/* text ends with ".name" or is name */
static bool dotted_end(cf_str text, cf_str name)
{
    return cf_str_ends(text, name) && (text.n == name.n || text.p[text.n - name.n - 1] == '.');
}

/* name is one of the objects that text lies in */
static bool inside(cf_str text, cf_str name)
{
    for (size_t i = 0; i + name.n < text.n; i++)
        if ((i == 0 || text.p[i - 1] == '.') && text.p[i + name.n] == '.' && memcmp(text.p + i, name.p, name.n) == 0)
            return true;
    return false;
}

static cf_str leaf(cf_str s)
{
    for (size_t i = s.n; i-- > 0;)
        if (s.p[i] == '.')
            return cf_str_sub(s, i + 1, s.n);
    return s;
}

enum how { BY_RAW, BY_NAME, BY_ECS };

static bool feeds(enum how how, const struct cf_alt *a, cf_str text, uint16_t ecs)
{
    if (how == BY_ECS)
        return a->ecs == ecs;
    if (how == BY_RAW)
        return cf_str_eq(a->name, text);
    return a->dotted ? dotted_end(text, a->name) : cf_str_eq(leaf(text), a->name);
}

/* Sigma writes names without their spaces: "Threat Name" is ThreatName. */
static cf_str without_spaces(cf_str s, char buf[512])
{
    size_t n = 0;

    if (s.n > 512 || !memchr(s.p ? s.p : "", ' ', s.n))
        return s;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ')
            buf[n++] = s.p[i];
    return (cf_str){buf, n};
}

bool cf_rfield_fed(const struct cf_rfield *rf, cf_str name, cf_str raw)
{
    uint16_t ecs = (uint16_t)cf_field_find(name);
    char buf[512];

    raw = without_spaces(raw, buf);
    for (uint16_t i = 0; i < rf->n_alt; i++)
        if ((raw.n && feeds(BY_RAW, &rf->alt[i], raw, 0)) || (ecs != CF_F_EXTRA ? feeds(BY_ECS, &rf->alt[i], name, ecs) : feeds(BY_NAME, &rf->alt[i], name, 0)))
            return true;
    return inside(name, rf->name);
}

/* Which rule fields a name feeds; offset+1 of the list. 0: no memory. */
static uint32_t resolve(struct cf_detector *d, enum how how, cf_str text, uint16_t ecs)
{
    char buf[512];
    uint32_t at = d->n_pool;
    uint16_t n = 0;

    text = without_spaces(text, buf);
    if (!pool_put(d, 0))
        return 0;
    for (size_t f = 1; f < d->rs->n_fields; f++) {
        const struct cf_rfield *rf = &d->rs->fields[f];
        int prio = -1;

        for (uint16_t i = 0; i < rf->n_alt && prio < 0; i++)
            if (feeds(how, &rf->alt[i], text, ecs))
                prio = i < PRIO_INSIDE ? i : PRIO_INSIDE - 1;
        if (prio < 0 && how == BY_NAME && inside(text, rf->name))
            prio = PRIO_INSIDE;
        if (prio < 0)
            continue;
        if (!pool_put(d, (uint16_t)f) || !pool_put(d, (uint16_t)prio))
            return 0;
        n++;
    }
    if (n == 0) { /* all empty lists are the one at 0 */
        d->n_pool = at;
        return 1;
    }
    d->pool[at] = n;
    return at + 1;
}

static bool room(uint32_t **tab, uint32_t *cap, uint32_t id)
{
    uint32_t want = *cap ? *cap : 256;
    uint32_t *p;

    if (id < *cap)
        return true;
    while (want <= id)
        want *= 2;
    p = realloc(*tab, want * sizeof *p);
    if (!p)
        return false;
    memset(p + *cap, 0, (want - *cap) * sizeof *p);
    *tab = p;
    *cap = want;
    return true;
}

static void push(struct cf_detector *d, uint16_t field, uint8_t prio, uint16_t val)
{
    struct cf_head *h = &d->head[field];
    struct cf_link *l;

    if (h->epoch == d->epoch) {
        if (prio > h->prio || d->link[h->last - 1].val == val)
            return;
        if (prio < h->prio)
            h->epoch = 0; /* a better name: what the worse one found is forgotten */
    }
    if (d->n_link == d->cap_link || d->n_link >= 65000) {
        uint32_t cap = d->cap_link ? d->cap_link * 2 : 256;
        struct cf_link *p = d->n_link >= 65000 ? NULL : realloc(d->link, cap * sizeof *p);

        if (!p)
            return;
        d->link = p;
        d->cap_link = cap;
    }
    l = &d->link[d->n_link++];
    *l = (struct cf_link){val, 0};
    if (h->epoch == d->epoch) {
        d->link[h->last - 1].next = (uint16_t)d->n_link;
    } else {
        h->epoch = d->epoch;
        h->prio = prio;
        h->first = (uint16_t)d->n_link;
    }
    h->last = (uint16_t)d->n_link;
}

static inline void spread(struct cf_detector *d, uint32_t list, uint16_t val)
{
    const uint16_t *p;

    if (list <= 1)
        return;
    p = &d->pool[list - 1];
    for (uint16_t n = *p++; n; n--, p += 2)
        push(d, p[0], (uint8_t)p[1], val);
}

static void walk(struct cf_detector *d, const struct cf_event *ev)
{
    if (!d->by_ecs[CF_F_EVENT_ORIGINAL])
        d->by_ecs[CF_F_EVENT_ORIGINAL] = resolve(d, BY_ECS, CF_STR_NONE, CF_F_EVENT_ORIGINAL);
    d->record_val = (struct cf_value){.p = ev->original.p, .n = (uint32_t)ev->original.n, .id = CF_F_EVENT_ORIGINAL};
    if (ev->original.n)
        spread(d, d->by_ecs[CF_F_EVENT_ORIGINAL], CF_VAL_RECORD);
    for (uint16_t i = 0; i < ev->n; i++) {
        const struct cf_value *v = &ev->val[i];

        if (v->id == CF_F_EVENT_ORIGINAL)
            continue;
        if (v->raw) {
            if (v->raw >= d->cap_raw && !room(&d->by_raw, &d->cap_raw, v->raw))
                continue;
            if (!d->by_raw[v->raw])
                d->by_raw[v->raw] = resolve(d, BY_RAW, cf_name_text(v->raw), 0);
            spread(d, d->by_raw[v->raw], i);
        }
        if (v->id < CF_F__COUNT) {
            if (!d->by_ecs[v->id])
                d->by_ecs[v->id] = resolve(d, BY_ECS, CF_STR_NONE, v->id);
            spread(d, d->by_ecs[v->id], i);
        } else if (v->name) {
            if (v->name >= d->cap_name && !room(&d->by_name, &d->cap_name, v->name))
                continue;
            if (!d->by_name[v->name])
                d->by_name[v->name] = resolve(d, BY_NAME, cf_name_text(v->name), 0);
            spread(d, d->by_name[v->name], i);
        }
    }
}

void cf_detector_begin(struct cf_detector *d, const struct cf_event *ev)
{
    if (++d->epoch == 0) { /* 32 bits ran over: forget all marks */
        memset(d->head, 0, d->rs->n_fields * sizeof *d->head);
        memset(d->cand_epoch, 0, (d->rs->n_rules + 1) * sizeof *d->cand_epoch);
        d->epoch = 1;
    }
    d->ev = ev;
    d->n_link = 0;
    d->n_buf = 0;
    d->n_hit = 0;
    d->n_cand = 0;
    d->oom = false;
    d->record.off = UINT32_MAX;
    if (ev->n > d->cap_fold) {
        struct cf_folded *p = realloc(d->fold, ev->cap * sizeof *p + sizeof *p);

        if (!p) {
            d->oom = true;
            return;
        }
        d->fold = p;
        d->cap_fold = ev->cap;
    }
    if (ev->n)
        memset(d->fold, 0xff, ev->n * sizeof *d->fold);
    if (!d->n_pool && !pool_put(d, 0)) /* the empty list */
        d->oom = true;
    walk(d, ev);
}

static bool buf_room(struct cf_detector *d, size_t more)
{
    size_t want = d->cap_buf ? d->cap_buf : 16384;
    char *p;

    if (d->cap_buf - d->n_buf >= more)
        return true;
    while (want - d->n_buf < more)
        want *= 2;
    if (want > UINT32_MAX || !(p = realloc(d->buf, want))) {
        d->oom = true;
        return false;
    }
    d->buf = p;
    d->cap_buf = want;
    return true;
}

static cf_str folded(struct cf_detector *d, struct cf_folded *f, const char *p, size_t n)
{
    if (f->off == UINT32_MAX) {
        if (!buf_room(d, cf_fold_max(n) + 1))
            return CF_STR("");
        f->off = (uint32_t)d->n_buf;
        f->n = n ? (uint32_t)cf_fold(p, n, d->buf + d->n_buf) : 0;
        d->n_buf += f->n;
        d->buf[d->n_buf++] = 0; /* no literal runs over two values */
    }
    return (cf_str){d->buf + f->off, f->n};
}

cf_str cf_folded(struct cf_detector *d, uint16_t val)
{
    if (val == CF_VAL_RECORD)
        return folded(d, &d->record, d->ev->original.p, d->ev->original.n);
    return folded(d, &d->fold[val], d->ev->val[val].p, d->ev->val[val].n);
}

bool cf_record_is_text(const struct cf_detector *d)
{
    cf_str s = cf_str_trim(cf_str_sub(d->ev->original, 0, 64));
    bool xml = s.n > 1 && s.p[0] == '<' && (unsigned char)((s.p[1] | 32) - 'a') < 26;
    return s.n && s.p[0] != '{' && !xml && cf_utf8_valid(d->ev->original);
}
