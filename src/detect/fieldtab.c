/* SPDX-License-Identifier: Apache-2.0
 * From an event to "the values of rule field F": one walk over the event's values. Which rule fields a name feeds is
 * worked out once per name and thread and then looked up by the name's small id. */
#include <stdlib.h>

#include "detect/match.h"

#define PRIO_INSIDE 250 /* values inside an object the rule names */
#define SHAPE_BYTES (8u << 20) /* tables of all shapes of a thread */

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

    if (!s.p || s.n > 512 || !memchr(s.p, ' ', s.n))
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

static void push(struct cf_detector *d, struct cf_shape *s, uint16_t field, uint8_t prio, uint16_t val)
{
    struct cf_link *l;

    if (s->first[field]) {
        if (prio > d->prio[field] || s->link[d->last[field] - 1].val == val)
            return;
        if (prio < d->prio[field])
            s->first[field] = 0; /* a better name: what the worse one found is forgotten */
    } else {
        s->touched[s->n_touched++] = field;
    }
    if (s->n_link == s->cap_link || s->n_link >= 65000) {
        uint32_t cap = s->cap_link ? s->cap_link * 2 : 64;
        struct cf_link *p = s->n_link >= 65000 ? NULL : realloc(s->link, cap * sizeof *p);

        if (!p) {
            d->oom = s->n_link < 65000;
            return;
        }
        s->link = p;
        s->cap_link = cap;
    }
    l = &s->link[s->n_link++];
    *l = (struct cf_link){val, 0};
    if (s->first[field]) {
        s->link[d->last[field] - 1].next = (uint16_t)s->n_link;
    } else {
        d->prio[field] = prio;
        s->first[field] = (uint16_t)s->n_link;
    }
    d->last[field] = (uint16_t)s->n_link;
}

static void spread(struct cf_detector *d, struct cf_shape *s, uint32_t list, uint16_t val)
{
    const uint16_t *p;

    if (list <= 1)
        return;
    p = &d->pool[list - 1];
    for (uint16_t n = *p++; n; n--, p += 2)
        push(d, s, p[0], (uint8_t)p[1], val);
}

/* Lists of the rule fields that the value's two names feed. */
static void lists_of(struct cf_detector *d, const struct cf_value *v, uint32_t list[2])
{
    list[0] = list[1] = 0;
    if (v->raw && (v->raw < d->cap_raw || room(&d->by_raw, &d->cap_raw, v->raw))) {
        if (!d->by_raw[v->raw])
            d->by_raw[v->raw] = resolve(d, BY_RAW, cf_name_text(v->raw), 0);
        list[0] = d->by_raw[v->raw];
    }
    if (v->id < CF_F__COUNT) {
        if (!d->by_ecs[v->id])
            d->by_ecs[v->id] = resolve(d, BY_ECS, CF_STR_NONE, v->id);
        list[1] = d->by_ecs[v->id];
    } else if (v->name && (v->name < d->cap_name || room(&d->by_name, &d->cap_name, v->name))) {
        if (!d->by_name[v->name])
            d->by_name[v->name] = resolve(d, BY_NAME, cf_name_text(v->name), 0);
        list[1] = d->by_name[v->name];
    }
}

/* id, raw, name and next of a value as one word. */
static inline uint64_t names_of(const struct cf_value *v)
{
    uint64_t w;

    _Static_assert(offsetof(struct cf_value, next) - offsetof(struct cf_value, id) == 6, "the four stand together");
    memcpy(&w, &v->id, sizeof w);
    return w;
}

static uint64_t shape_hash(const struct cf_event *ev)
{
    uint64_t a = 0x243f6a8885a308d3u + ev->n, b = ev->original.n != 0;
    uint16_t i = 0;

    for (; i + 1 < ev->n; i = (uint16_t)(i + 2)) {
        a = (a ^ names_of(&ev->val[i])) * 0x9e3779b97f4a7c15u;
        b = (b ^ names_of(&ev->val[i + 1])) * 0xc2b2ae3d27d4eb4fu;
        a ^= a >> 29;
        b ^= b >> 31;
    }
    if (i < ev->n)
        a = (a ^ names_of(&ev->val[i])) * 0x9e3779b97f4a7c15u;
    a ^= b * 0x165667b19e3779f9u;
    return a ^ a >> 32;
}

static bool has_time(const struct cf_event *ev) { return ev->time_us != CF_TIME_NONE; }

static bool same_shape(const struct cf_shape *s, const struct cf_event *ev, uint64_t hash)
{
    uint64_t diff = 0;

    if (!s->used || s->hash != hash || s->n != ev->n || s->original != (ev->original.n != 0) || s->timed != has_time(ev))
        return false;
    for (uint16_t i = 0; i < ev->n; i++)
        diff |= s->name[i] ^ names_of(&ev->val[i]);
    return diff == 0;
}

static bool shape_room(struct cf_detector *d, struct cf_shape *s, const struct cf_event *ev)
{
    if (!s->first) {
        s->first = calloc(d->rs->n_fields + 1, sizeof *s->first);
        s->touched = calloc(d->rs->n_fields + 1, sizeof *s->touched);
        if (!s->first || !s->touched) {
            free(s->first);
            free(s->touched);
            s->first = s->touched = NULL;
            return false;
        }
    }
    if (ev->n > s->cap_name || !s->name) {
        uint64_t *p = realloc(s->name, (ev->n + 1u) * sizeof *p);

        if (!p)
            return false;
        s->name = p;
        s->cap_name = ev->n;
    }
    return true;
}

/* Values that decide the route, in the order of the route's fields. */
static bool shape_route(struct cf_detector *d, struct cf_shape *s)
{
    const struct cf_taxonomy *t = &d->rs->tax;
    uint32_t n = 0;

    s->route_hash = 0x452821e638d01377u;
    for (size_t i = 0; i < t->n_route_field; i++) {
        uint16_t l = s->first[t->route_field[i]];

        if (!l)
            continue;
        s->route_hash = (s->route_hash ^ (i + 1)) * 0x9e3779b97f4a7c15u;
        for (; l && t->route_value[i]; l = s->link[l - 1].next) {
            s->route_hash = (s->route_hash ^ 0x5851f42du) * 0x9e3779b97f4a7c15u;
            n++;
        }
    }
    free(s->route);
    free(s->last_len);
    s->n_route = 0;
    s->last_group = NULL;
    s->route = malloc((n + 1u) * sizeof *s->route);
    s->last_len = malloc((n + 1u) * sizeof *s->last_len);
    s->last_text = s->last_text ? s->last_text : malloc(CF_ROUTE_TEXT);
    if (!s->route || !s->last_len || !s->last_text)
        return false;
    for (size_t i = 0; i < t->n_route_field; i++)
        for (uint16_t l = t->route_value[i] ? s->first[t->route_field[i]] : 0; l; l = s->link[l - 1].next)
            s->route[s->n_route++] = s->link[l - 1].val;
    return true;
}

static bool shape_make(struct cf_detector *d, struct cf_shape *s, const struct cf_event *ev, uint64_t hash)
{
    uint32_t list[2];

    s->used = false;
    if (!shape_room(d, s, ev))
        return false;
    for (uint32_t i = 0; i < s->n_touched; i++)
        s->first[s->touched[i]] = 0;
    s->n_touched = s->n_link = 0;
    for (uint32_t i = 0; i < CF_SHAPE_PLANS; i++)
        s->plan[i].group = 0;
    s->hash = hash;
    s->n = ev->n;
    s->original = ev->original.n != 0;
    s->timed = has_time(ev);
    if (s->timed && d->rs->asks_time) {
        lists_of(d, &d->time_val, list);
        spread(d, s, list[1], CF_VAL_TIME);
    }
    if (s->original) {
        lists_of(d, &d->record_val, list);
        spread(d, s, list[1], CF_VAL_RECORD);
    }
    for (uint16_t i = 0; i < ev->n; i++) {
        s->name[i] = names_of(&ev->val[i]);
        if (ev->val[i].id == CF_F_EVENT_ORIGINAL)
            continue;
        lists_of(d, &ev->val[i], list);
        spread(d, s, list[0], i);
        spread(d, s, list[1], i);
    }
    s->used = !d->oom && shape_route(d, s);
    return s->used;
}

static uint8_t need_of(const struct cf_detector *d, const struct cf_group *g, const uint32_t list[2])
{
    uint8_t what = 0;

    for (int k = 0; k < 2; k++)
        if (list[k] > 1) {
            const uint16_t *p = &d->pool[list[k] - 1];

            for (uint16_t n = *p++; n; n--, p += 2)
                what |= g->field_need[p[0]];
        }
    return what;
}

/* Nothing else feeds the rule fields that the value feeds. */
static bool is_sole(const struct cf_detector *d, const struct cf_need *nd)
{
    for (int k = 0; k < 2; k++) {
        const uint16_t *p = nd->list[k] > 1 ? &d->pool[nd->list[k] - 1] : NULL;

        for (uint16_t n = p ? *p++ : 0; n; n--, p += 2) {
            const struct cf_link *l = cf_field_first(d, p[0]);

            if (!l || l->val != nd->val || l->next)
                return false;
        }
    }
    return true;
}

static bool plan_word(struct cf_plan *pl, uint16_t val)
{
    if (pl->n_word == pl->cap_word) {
        uint32_t cap = pl->cap_word ? pl->cap_word * 2 : 32;
        uint16_t *p = realloc(pl->word, cap * sizeof *p);

        if (!p)
            return false;
        pl->word = p;
        pl->cap_word = cap;
    }
    pl->word[pl->n_word++] = val;
    return true;
}

static bool plan_add(struct cf_detector *d, struct cf_plan *pl, const struct cf_group *g, const struct cf_value *v, uint16_t val, uint8_t words)
{
    struct cf_need nd = {.val = val};

    lists_of(d, v, nd.list);
    nd.what = need_of(d, g, nd.list) | words;
    if (!nd.what)
        return true;
    if (g->quick && nd.what == CF_NEED_WORDS)
        return plan_word(pl, val);
    nd.sole = is_sole(d, &nd);
    nd.key = (uint64_t)g->id << 48 | (uint64_t)v->raw << 32 | (uint64_t)nd.sole << 18 | (uint64_t)(words != 0) << 17 | (v->id < CF_F__COUNT ? v->id : 0x10000u | v->name);
    if (pl->n == pl->cap) {
        uint32_t cap = pl->cap ? pl->cap * 2 : 16;
        struct cf_need *p = realloc(pl->need, cap * sizeof *p);

        if (!p)
            return false;
        pl->need = p;
        pl->cap = cap;
    }
    pl->need[pl->n++] = nd;
    return true;
}

struct cf_plan *cf_shape_plan(struct cf_detector *d, const struct cf_group *g, bool text)
{
    struct cf_shape *s = d->shape;
    uint64_t id = ((uint64_t)g->id + 1) << 1 | text;
    uint8_t words = g->keywords ? CF_NEED_WORDS : 0;
    struct cf_plan *pl;
    bool ok = true;

    for (uint32_t i = 0; i < CF_SHAPE_PLANS; i++)
        if (s->plan[i].group == id)
            return &s->plan[i];
    pl = &s->plan[s->next_plan++ % CF_SHAPE_PLANS];
    pl->group = 0;
    pl->n = pl->n_word = 0;
    if (s->original)
        ok = plan_add(d, pl, g, &d->record_val, CF_VAL_RECORD, text ? words : 0);
    for (uint16_t i = 0; ok && i < s->n; i++)
        if (d->ev->val[i].id != CF_F_EVENT_ORIGINAL)
            ok = plan_add(d, pl, g, &d->ev->val[i], i, text ? 0 : words);
    if (!ok)
        return NULL;
    pl->group = id;
    return pl;
}

void cf_shapes_free(struct cf_detector *d)
{
    for (uint32_t i = 0; d->shapes && i < d->n_shapes; i++) {
        struct cf_shape *s = &d->shapes[i];

        free(s->first);
        free(s->name);
        free(s->link);
        free(s->touched);
        free(s->route);
        free(s->last_len);
        free(s->last_text);
        for (uint32_t k = 0; k < CF_SHAPE_PLANS; k++) {
            free(s->plan[k].need);
            free(s->plan[k].word);
        }
    }
    free(d->shapes);
    free(d->last);
    free(d->prio);
}

/* As many shapes as fit a few megabytes. */
static bool shapes_new(struct cf_detector *d)
{
    d->n_shapes = 1024;
    while (d->n_shapes > 16 && d->n_shapes * (d->rs->n_fields + 1) * 4 > SHAPE_BYTES)
        d->n_shapes /= 2;
    d->shapes = calloc(d->n_shapes, sizeof *d->shapes);
    d->last = calloc(d->rs->n_fields + 1, sizeof *d->last);
    d->prio = calloc(d->rs->n_fields + 1, sizeof *d->prio);
    return d->shapes && d->last && d->prio && (d->n_pool || pool_put(d, 0)); /* the empty list */
}

void cf_detector_begin(struct cf_detector *d, const struct cf_event *ev)
{
    uint64_t hash;
    struct cf_shape *s;

    if (++d->epoch == 0) { /* 32 bits ran over: forget all marks */
        memset(d->cand_epoch, 0, (d->rs->n_rules + 1) * sizeof *d->cand_epoch);
        d->epoch = 1;
    }
    d->ev = ev;
    d->n_buf = 0;
    d->n_hit = 0;
    d->n_cand = 0;
    d->oom = false;
    d->is_text = -1;
    d->pairs.val = 0;
    d->record.off = d->record.tried = UINT32_MAX;
    d->record_val = (struct cf_value){.p = ev->original.p, .n = (uint32_t)ev->original.n, .id = CF_F_EVENT_ORIGINAL};
    d->time_fold.off = d->time_fold.tried = UINT32_MAX;
    if (d->rs->asks_time && has_time(ev))
        d->time_val = (struct cf_value){.p = d->time_text, .n = (uint32_t)cf_time_format(ev->time_us, d->time_text), .id = CF_F_EXTRA, .name = d->rs->time_name};
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
    hash = shape_hash(ev);
    if (!d->shapes && !shapes_new(d)) {
        d->oom = true;
        return;
    }
    s = &d->shapes[hash & (d->n_shapes - 1)];
    if (!same_shape(s, ev, hash) && !shape_make(d, s, ev, hash))
        d->oom = true;
    d->shape = s;
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
    if (val == CF_VAL_TIME)
        return folded(d, &d->time_fold, d->time_val.p, d->time_val.n);
    return folded(d, &d->fold[val], d->ev->val[val].p, d->ev->val[val].n);
}

static bool record_is_text(const struct cf_detector *d)
{
    cf_str s = cf_str_trim(cf_str_sub(d->ev->original, 0, 64));
    bool xml = s.n > 1 && s.p[0] == '<' && (unsigned char)((s.p[1] | 32) - 'a') < 26;
    return s.n && s.p[0] != '{' && !xml && cf_utf8_valid(d->ev->original);
}

bool cf_record_is_text(struct cf_detector *d)
{
    if (d->is_text < 0)
        d->is_text = record_is_text(d);
    return d->is_text;
}
