/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/correlate.h"

#include <math.h>
#include <stdlib.h>

#include "detect/corr_int.h"

#define ENTRIES_MAX 262144u                       /* of one key: the oldest go first, counted as evicted */
#define LATENESS_US (INT64_C(300) * CF_US_PER_S)  /* how far behind a key's newest entry an event may be */
#define AHEAD_US (INT64_C(3600) * CF_US_PER_S)    /* clocks further ahead than this are not believed */
#define BYTES_MAX (UINT64_C(512) << 20)           /* all shards */
#define KEY_MAX 4096u

struct cf_correlator *cf_correlator_new(const struct cf_ruleset *rs)
{
    struct cf_correlator *c = aligned_alloc(64, (sizeof *c + 63) / 64 * 64); /* clocks have cache lines of their own */

    if (!c)
        return NULL;
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < CF_CLOCKS; i++)
        atomic_store(&c->clock[i].at, INT64_MAX);
    c->rs = rs;
    c->lateness_us = LATENESS_US;
    c->max_bytes = BYTES_MAX / CF_SHARDS;
    atomic_store(&c->next_close_us, INT64_MAX);
    for (size_t i = 0; i < CF_SHARDS; i++) {
        (void)pthread_mutex_init(&c->shard[i].lock, NULL);
        c->shard[i].newest_us = INT64_MIN / 4;
    }
    return c;
}

void cf_correlator_free(struct cf_correlator *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < CF_SHARDS; i++) {
        struct cf_shard *sh = &c->shard[i];

        for (size_t k = 0; k < sh->cap; k++)
            cf_state_free(sh->slot[k]);
        free(sh->slot);
        free(sh->heap);
        (void)pthread_mutex_destroy(&sh->lock);
    }
    free(c);
}

/* The time that counts: the event's own, unless it has none or its clock runs far ahead. */
static int64_t event_time(const struct cf_event *ev)
{
    int64_t now = ev->received_us > 0 ? ev->received_us : CF_TIME_NONE;

    if (ev->time_us == CF_TIME_NONE)
        return now == CF_TIME_NONE ? 0 : now;
    if (now != CF_TIME_NONE && ev->time_us > now + AHEAD_US)
        return now;
    return ev->time_us;
}

/* ---- clocks ---- */

struct cf_clock *cf_clock_take(struct cf_correlator *c)
{
    for (uint32_t i = 0; i < CF_CLOCKS; i++) {
        uint32_t n = atomic_load(&c->n_clocks);

        if (atomic_exchange(&c->clock[i].used, true))
            continue;
        atomic_store(&c->clock[i].at, INT64_MAX);
        while (n < i + 1 && !atomic_compare_exchange_weak(&c->n_clocks, &n, i + 1))
            ;
        return &c->clock[i];
    }
    return NULL;
}

void cf_clock_give(struct cf_clock *k)
{
    if (!k)
        return;
    atomic_store(&k->at, INT64_MAX);
    atomic_store(&k->used, false);
}

void cf_clock_set(struct cf_clock *k, int64_t at)
{
    if (k)
        atomic_store_explicit(&k->at, at, memory_order_relaxed);
}

void cf_clock_tick(struct cf_clock *k, const struct cf_event *ev)
{
    int64_t t = event_time(ev), at = atomic_load_explicit(&k->at, memory_order_relaxed);

    if (at == INT64_MAX || t > at) /* only the owner writes */
        atomic_store_explicit(&k->at, t, memory_order_relaxed);
}

/* Event time that every detector has reached: what lies before it by more than the lateness is over. */
static int64_t reached(const struct cf_correlator *c)
{
    uint32_t n = atomic_load_explicit(&c->n_clocks, memory_order_relaxed);
    int64_t least = INT64_MAX;

    for (uint32_t i = 0; i < n; i++) {
        int64_t at = atomic_load_explicit(&c->clock[i].at, memory_order_relaxed);

        least = at < least ? at : least;
    }
    return least < INT64_MIN / 4 ? INT64_MIN / 4 : least;
}

static cf_str field_text(const struct cf_detector *d, uint16_t f)
{
    const struct cf_link *l = cf_field_first(d, f);

    for (; l; l = cf_link_next(d, l))
        if (cf_link_val(d, l)->kind != CF_V_NULL)
            return (cf_str){cf_link_val(d, l)->p ? cf_link_val(d, l)->p : "", cf_link_val(d, l)->n};
    return CF_STR_NONE;
}

/* Group values, each with a NUL behind; false: one is missing or they are too long. */
static bool group_text(const struct cf_detector *d, const struct cf_corr *k, uint32_t which, char *buf, size_t *ret_n)
{
    size_t n = 0;

    for (uint32_t g = 0; g < k->n_group; g++) {
        cf_str v = field_text(d, k->group_field[which * k->n_group + g]);

        if (!v.p || n + v.n + 1 > KEY_MAX)
            return false;
        for (size_t i = 0; i < v.n; i++)
            buf[n++] = v.p[i] ? v.p[i] : 1; /* NUL ends a value */
        buf[n++] = 0;
    }
    *ret_n = n;
    return true;
}

/* What the hit counts for; false: the field it needs is missing. */
static bool entry_value(const struct cf_detector *d, const struct cf_corr *k, uint32_t which, struct cf_entry *e)
{
    uint64_t h = 0;

    switch ((enum cf_corr_type)k->type) {
    case CF_C_EVENT_COUNT:
        e->u.val = 1;
        return true;
    case CF_C_TEMPORAL:
        e->u.val = which * 2u + 1;
        return true;
    case CF_C_ORDERED:
        e->u.val = which;
        return true;
    case CF_C_VALUE_COUNT:
        for (uint32_t v = 0; v < k->n_value; v++) {
            cf_str s = field_text(d, k->value_field[which * k->n_value + v]);

            if (!s.p)
                return false;
            h = cf_hash64_seed(s, h + v);
        }
        e->u.val = h | 1;
        return true;
    case CF_C_SUM:
    case CF_C_AVG:
    case CF_C_PERCENTILE: {
        cf_str s = field_text(d, k->value_field[which * k->n_value]);
        return s.p && cf_str_f64(cf_str_trim(s), &e->u.num) && isfinite(e->u.num);
    }
    }
    return false;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static int add_entry(struct cf_correlator *c, struct cf_shard *sh, struct cf_arena *a, const struct cf_corr *k, struct cf_state *s,
                     const struct cf_entry *e, int64_t mark, struct cf_fire *f)
{
    ptrdiff_t at;
    int64_t keep_from;
    int r;

    if (s->n && e->t < least(s->e[s->n - 1].t, mark) - c->lateness_us) {
        (void)atomic_fetch_add_explicit(&c->late, 1, memory_order_relaxed);
        return 0;
    }
    at = cf_state_insert(s, e);
    if (at < 0)
        return CF_ENOMEM;
    if (k->at_close) {
        if (s->n == 1 && !cf_close_push(c, sh, e->t + k->span_us + c->lateness_us, s->key))
            return CF_ENOMEM;
        if (s->n > ENTRIES_MAX) {
            (void)atomic_fetch_add_explicit(&c->evicted, 1, memory_order_relaxed);
            s->n--; /* the newest is left out: the window's beginning decides its end */
        }
        return 0;
    }
    r = (uint32_t)at == s->n - 1 ? cf_window_newest(a, k, s, f) : cf_window_late(a, k, s, (uint32_t)at, f);
    if (r < 0)
        return r;
    keep_from = least(s->e[s->n - 1].t, mark) - k->span_us - c->lateness_us;
    if (s->n / 2 < s->win && s->e[s->n / 2].t < keep_from) { /* more than half of them are over */
        uint32_t old = cf_entries_before(s->e, s->n, keep_from);

        cf_state_cut(k, s, old < s->win ? old : s->win);
    }
    if (s->n > ENTRIES_MAX) {
        (void)atomic_fetch_add_explicit(&c->evicted, s->n / 4, memory_order_relaxed);
        cf_state_cut(k, s, s->n / 4);
    }
    return 0;
}

/* "field=value,field=value" of group values, in a; .p NULL: no memory. */
static cf_str group_name(struct cf_arena *a, const struct cf_corr *k, const char *p)
{
    struct cf_buf b;
    cf_str s;

    cf_buf_init(&b, 1 << 16);
    for (uint32_t g = 0; g < k->n_group; g++) {
        cf_str v = cf_str_c(p);

        cf_buf_printf(&b, "%s%.*s=", g ? "," : "", CF_ARG(k->group[g]));
        cf_buf_str(&b, v);
        p += v.n + 1;
    }
    s = cf_arena_copy(a, b.n ? cf_buf_view(&b) : CF_STR(""));
    cf_buf_release(&b);
    return s;
}

static int fire_hit(struct cf_detector *d, const struct cf_rule *rule, const struct cf_fire *f)
{
    const struct cf_corr *k = rule->corr;
    struct cf_match_field *m = CF_NEW_N(d->ev->arena, struct cf_match_field, k->n_group + 1);
    struct cf_hit h = {.rule = &rule->info, .ev = d->ev, .n_events = f->n_events, .events = f->events};
    const char *p = f->text.p;

    if (!m)
        return CF_ENOMEM;
    for (uint32_t g = 0; g < k->n_group; g++) {
        m[g] = (struct cf_match_field){k->group[g], cf_str_c(p)};
        p += m[g].value.n + 1;
    }
    h.group = group_name(d->ev->arena, k, f->text.p);
    h.matched = m;
    h.n_matched = k->n_group;
    h.count = f->value > 0 ? (uint64_t)f->value : 0;
    if (!h.group.p)
        return CF_ENOMEM;
    return cf_add_hit(d, &h);
}

static int fired(struct cf_correlator *c, struct cf_detector *d, const struct cf_rule *rule, const struct cf_fire *f)
{
    int r = 0;

    cf_count_hit(d, rule->info.index);
    if (!rule->silent)
        r = fire_hit(d, rule, f);
    return r == 0 && rule->n_used_by ? cf_correlate(c, d, (uint32_t)rule->info.index) : r;
}

static uint64_t key_of(const struct cf_corr *k, cf_str text) { return cf_hash64_seed(text, k->index * UINT64_C(0x9e3779b97f4a7c15) + 1); }

static int count_for(struct cf_correlator *c, struct cf_detector *d, const struct cf_rule *rule, uint32_t which)
{
    const struct cf_corr *k = rule->corr;
    char text[KEY_MAX];
    size_t n = 0;
    uint64_t key;
    struct cf_entry e = {.t = event_time(d->ev), .seq = d->ev->seq};
    struct cf_shard *sh;
    struct cf_state *s;
    struct cf_fire f = {0};
    int64_t mark = reached(c);
    uint32_t now_s;
    int r = CF_ENOMEM;

    if (!group_text(d, k, which, text, &n) || !entry_value(d, k, which, &e)) {
        (void)atomic_fetch_add_explicit(&c->ungrouped, 1, memory_order_relaxed);
        return 0;
    }
    key = key_of(k, (cf_str){text, n});
    sh = &c->shard[key % CF_SHARDS];
    now_s = (uint32_t)(cf_now_us() / CF_US_PER_S);
    (void)pthread_mutex_lock(&sh->lock);
    if (e.t > sh->newest_us)
        sh->newest_us = e.t;
    s = cf_state_find(sh, key);
    if (!s)
        s = cf_state_make(c, sh, key, k->index, (cf_str){text, n});
    if (s) {
        size_t was = cf_state_bytes(s);

        s->touched_s = now_s;
        r = add_entry(c, sh, d->ev->arena, k, s, &e, mark, &f);
        sh->bytes += cf_state_bytes(s) - was;
    }
    cf_shard_sweep(c, sh, 2, mark, now_s);
    (void)pthread_mutex_unlock(&sh->lock);
    return r == 0 && f.yes ? fired(c, d, rule, &f) : r;
}

static int view_window(const struct cf_corr *k, const struct cf_state *s, int64_t t, struct cf_corr_view *ret)
{
    uint32_t from = 0, to = 0;
    int r = 0;

    if (k->at_close)
        to = s->n ? cf_entries_before(s->e, s->n, s->e[0].t + k->span_us + 1) : 0;
    else
        r = cf_window_fullest(k, s, t, &from, &to);
    if (r < 0 || to == from)
        return r;
    ret->n = to - from;
    ret->value = cf_agg_fresh(k, s->e, from, to);
    ret->yes = cf_agg_true(k, ret->value);
    ret->from = s->e[from].t;
    ret->to = s->e[to - 1].t;
    for (uint32_t i = from; i < to && (k->type == CF_C_TEMPORAL || k->type == CF_C_ORDERED); i++) {
        uint64_t which = k->type == CF_C_ORDERED ? s->e[i].u.val : s->e[i].u.val / 2;

        ret->seen[which < CF_CORR_SEEN ? which : CF_CORR_SEEN - 1]++;
    }
    return 0;
}

size_t cf_correlate_open(struct cf_correlator *c, const struct cf_corr *k)
{
    size_t n = 0;

    for (size_t i = 0; i < CF_SHARDS; i++) {
        (void)pthread_mutex_lock(&c->shard[i].lock);
        for (size_t at = 0; at < c->shard[i].cap; at++)
            n += c->shard[i].slot[at] && c->shard[i].slot[at]->corr == k->index && c->shard[i].slot[at]->n;
        (void)pthread_mutex_unlock(&c->shard[i].lock);
    }
    return n;
}

int cf_correlate_view(struct cf_correlator *c, struct cf_detector *d, const struct cf_corr *k, uint32_t which, struct cf_corr_view *ret)
{
    struct cf_entry e = {.t = event_time(d->ev)};
    char text[KEY_MAX];
    struct cf_shard *sh;
    const struct cf_state *s;
    uint64_t key;
    size_t n = 0;
    int r = 0;

    *ret = (struct cf_corr_view){0};
    for (uint32_t g = 0; g < k->n_group && !ret->missing.p; g++)
        if (!field_text(d, k->group_field[which * k->n_group + g]).p)
            ret->missing = k->group[g];
    if (!ret->missing.p && !group_text(d, k, which, text, &n))
        ret->missing = CF_STR("a group short enough");
    if (!ret->missing.p && !entry_value(d, k, which, &e))
        ret->missing = k->n_value ? k->value_name[0] : CF_STR("its value");
    if (ret->missing.p)
        return 0;
    ret->group = group_name(d->ev->arena, k, text);
    key = key_of(k, (cf_str){text, n});
    sh = &c->shard[key % CF_SHARDS];
    (void)pthread_mutex_lock(&sh->lock);
    s = cf_state_find(sh, key);
    if (s)
        r = view_window(k, s, e.t, ret);
    (void)pthread_mutex_unlock(&sh->lock);
    return ret->group.p ? r : CF_ENOMEM;
}

int cf_correlate(struct cf_correlator *c, struct cf_detector *d, uint32_t index)
{
    const struct cf_rule *base = &c->rs->rules[index];
    int r = 0;

    for (uint32_t i = 0; i < base->n_used_by && r == 0; i++) {
        const struct cf_rule *rule = &c->rs->rules[base->used_by[i]];

        cf_count_up(&d->count[rule->info.index].candidates, 1);
        for (uint32_t w = 0; w < rule->corr->n_rules && r == 0; w++)
            if (rule->corr->rules[w] == index) {
                r = count_for(c, d, rule, w);
                if (rule->corr->type != CF_C_ORDERED) /* there a rule may be several steps */
                    break;
            }
    }
    return r;
}

/* ---- windows that are over ---- */

/* Decides the oldest window of a key; what lies behind it opens the next one. */
static int close_one(struct cf_correlator *c, struct cf_shard *sh, struct cf_arena *a, struct cf_state *s, struct cf_fire *f)
{
    const struct cf_corr *k = c->rs->rules[s->corr].corr;
    uint32_t n = 0;
    double v;
    int r = 0;

    while (n < s->n && s->e[n].t <= s->e[0].t + k->span_us)
        n++;
    v = cf_agg_fresh(k, s->e, 0, n);
    if (cf_agg_true(k, v))
        r = cf_note_fire(a, s, 0, n, v, f);
    s->win = n;
    cf_state_cut(k, s, n);
    if (s->n == 0)
        cf_state_drop(sh, s);
    else if (!cf_close_push(c, sh, s->e[0].t + k->span_us + c->lateness_us, s->key))
        r = CF_ENOMEM;
    return r;
}

/* A stand-in for the events of a closed window: its time and its group. */
static struct cf_event *stand_in(struct cf_detector *d, const struct cf_corr *k, const struct cf_fire *f)
{
    struct cf_event *ev = cf_event_new(d->ev->arena);
    const char *p = f->text.p;

    if (!ev)
        return NULL;
    ev->time_us = f->t;
    ev->received_us = d->ev->received_us;
    ev->source = d->ev->source;
    ev->original = CF_STR("");
    ev->seq = f->n_events ? f->events[f->n_events - 1] : d->ev->seq;
    for (uint32_t g = 0; g < k->n_group; g++) {
        const struct cf_rfield *rf = &d->rs->fields[k->group_field[g]];
        uint16_t ecs = CF_F_EXTRA;
        cf_str v = cf_str_c(p);

        for (uint16_t i = 0; i < rf->n_alt && ecs == CF_F_EXTRA; i++)
            ecs = rf->alt[i].ecs;
        if (ecs != CF_F_EXTRA)
            (void)cf_event_set_raw(ev, (enum cf_field)ecs, v, cf_name_intern(rf->name), CF_V_STR);
        else
            (void)cf_event_extra(ev, cf_name_intern(rf->name), v, cf_name_intern(rf->name), CF_V_STR);
        p += v.n + 1;
    }
    return ev;
}

static int emit_closed(struct cf_correlator *c, struct cf_detector *d, const struct cf_rule *rule, const struct cf_fire *f)
{
    const struct cf_event *real = d->ev;
    struct cf_event *ev = stand_in(d, rule->corr, f);
    size_t n_hit = d->n_hit;
    int r;

    if (!ev)
        return CF_ENOMEM;
    cf_detector_begin(d, ev);
    d->n_hit = n_hit;
    r = fired(c, d, rule, f);
    n_hit = d->n_hit;
    cf_detector_begin(d, real);
    d->n_hit = n_hit;
    return r;
}

static int close_until(struct cf_correlator *c, struct cf_detector *d, int64_t now)
{
    int64_t next = INT64_MAX;
    int r = 0;

    atomic_store(&c->next_close_us, INT64_MAX); /* pushes below and by others lower it again */
    for (size_t i = 0; i < CF_SHARDS && r == 0; i++) {
        struct cf_shard *sh = &c->shard[i];
        bool more = true;

        while (more && r == 0) {
            struct cf_fire f = {0};
            struct cf_close cl;
            struct cf_state *s = NULL;
            uint32_t corr = 0;

            (void)pthread_mutex_lock(&sh->lock);
            more = cf_close_pop(sh, now, &cl);
            if (more && (s = cf_state_find(sh, cl.key)) && s->n && c->rs->rules[s->corr].corr->at_close) {
                corr = s->corr;
                r = close_one(c, sh, d->ev->arena, s, &f);
            }
            if (!more && sh->n_heap && sh->heap[0].at < next)
                next = sh->heap[0].at;
            (void)pthread_mutex_unlock(&sh->lock);
            if (r == 0 && f.yes)
                r = emit_closed(c, d, &c->rs->rules[corr], &f);
        }
    }
    if (next != INT64_MAX) {
        int64_t seen = atomic_load(&c->next_close_us);

        while (next < seen && !atomic_compare_exchange_weak(&c->next_close_us, &seen, next))
            ;
    }
    return r;
}

int cf_correlate_closed(struct cf_correlator *c, struct cf_detector *d)
{
    int64_t now = event_time(d->ev);

    if (now <= atomic_load_explicit(&c->next_close_us, memory_order_relaxed))
        return 0;
    now = least(now, reached(c));
    return now <= atomic_load_explicit(&c->next_close_us, memory_order_relaxed) ? 0 : close_until(c, d, now);
}

int cf_detect_flush(struct cf_detector *d, struct cf_arena *arena, const struct cf_hit **ret_hits, size_t *ret_n)
{
    struct cf_event *ev = cf_event_new(arena);
    struct cf_hit *out;
    int r;

    *ret_n = 0;
    if (!ev)
        return CF_ENOMEM;
    cf_detector_begin(d, ev);
    r = close_until(d->rs->correlator, d, INT64_MAX);
    if (r < 0 || d->n_hit == 0)
        return r;
    out = CF_NEW_N(arena, struct cf_hit, d->n_hit);
    if (!out)
        return CF_ENOMEM;
    memcpy(out, d->hit, d->n_hit * sizeof *out);
    *ret_hits = out;
    *ret_n = d->n_hit;
    return 0;
}

void cf_ruleset_corr_options(struct cf_ruleset *rs, int64_t lateness_us, size_t max_bytes)
{
    if (lateness_us >= 0)
        rs->correlator->lateness_us = lateness_us;
    if (max_bytes)
        rs->correlator->max_bytes = max_bytes / CF_SHARDS;
}

void cf_ruleset_corr_counters(const struct cf_ruleset *rs, struct cf_corr_counters *ret)
{
    struct cf_correlator *c = rs->correlator;

    *ret = (struct cf_corr_counters){.evicted = atomic_load(&c->evicted), .late = atomic_load(&c->late), .ungrouped = atomic_load(&c->ungrouped)};
    for (size_t i = 0; i < CF_SHARDS; i++) {
        (void)pthread_mutex_lock(&c->shard[i].lock);
        ret->keys += c->shard[i].n;
        ret->bytes += c->shard[i].bytes + c->shard[i].cap * sizeof *c->shard[i].slot;
        (void)pthread_mutex_unlock(&c->shard[i].lock);
    }
}
