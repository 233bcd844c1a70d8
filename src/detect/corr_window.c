/* SPDX-License-Identifier: Apache-2.0
 * Windows of one key. The newest one has a running aggregate. An entry that comes late lies in many windows, and each of them may
 * become true by it; looking at all of them costs as much as the windows hold. So what was looked at is remembered as room: counts
 * grow by at most one an entry, and a region whose fullest window lacks 100 need not be looked at for the next 99 entries. */
#include <math.h>
#include <stdlib.h>

#include "detect/corr_int.h"

#define EVENTS_MAX 1000u /* listed with a hit: the newest */
#define NEAR 64u         /* entries looked through for the same value */

int cf_note_fire(struct cf_arena *a, struct cf_state *s, uint32_t from, uint32_t to, double value, struct cf_fire *f)
{
    if (to - from > EVENTS_MAX)
        from = to - EVENTS_MAX;
    f->events = CF_NEW_N(a, uint64_t, to - from + 1);
    f->text = cf_arena_copy(a, (cf_str){s->text, s->text_n});
    if (!f->events || !f->text.p)
        return CF_ENOMEM;
    for (uint32_t i = from; i < to; i++) /* one event that hit several rules is listed once */
        if (!f->n_events || f->events[f->n_events - 1] != s->e[i].seq)
            f->events[f->n_events++] = s->e[i].seq;
    f->value = value;
    f->t = to > 0 ? s->e[to - 1].t : 0;
    f->yes = true;
    return 0;
}

static bool may_fire(const struct cf_corr *k, const struct cf_state *s, int64_t t)
{
    return !s->active || cf_state_fired(s) == CF_TIME_NONE || t > cf_state_fired(s) + k->span_us;
}

/* A window that ends there is part of what fired already. */
static bool told(const struct cf_corr *k, const struct cf_state *s, int64_t end)
{
    int64_t fired = cf_state_fired(s);

    return fired != CF_TIME_NONE && end <= fired + k->span_us && end >= fired - k->span_us;
}

/* ---- room ---- */

/* One more entry adds at most one to the aggregate and never takes away from it. The conditions that come here have lower bounds
 * only (the others are decided when a window closes). */
static bool counts(const struct cf_corr *k) { return k->type == CF_C_EVENT_COUNT || k->type == CF_C_VALUE_COUNT || k->type == CF_C_TEMPORAL || k->type == CF_C_ORDERED; }

/* Nothing true up to the window with the aggregate most, in all of [from, to + span]. */
static void room_set(const struct cf_corr *k, struct cf_state *s, int64_t from, int64_t to, double most)
{
    struct cf_extra *x = s->x;
    double need = 0;

    x->room.known = !cf_agg_true(k, most);
    for (uint32_t i = 0; i < k->n_bound; i++)
        need = fmax(need, k->bound[i].op == CF_N_GT ? floor(k->bound[i].v) + 1 : ceil(k->bound[i].v));
    need -= most + 1;
    x->room.n = need > UINT32_MAX ? UINT32_MAX : need > 0 ? (uint32_t)need : 0;
    x->room.from = from;
    x->room.to = to;
    x->room.fired_us = x->fired_us;
}

static bool room_holds(const struct cf_state *s) { return s->x && s->x->room.known && s->x->room.fired_us == s->x->fired_us; }

static bool room_take(struct cf_state *s)
{
    if (s->x->room.n == 0)
        s->x->room.known = false;
    else
        s->x->room.n--;
    return s->x->room.known;
}

/* Every window that holds the entry holds another of the same value: what is counted stays. */
static bool nothing_new(const struct cf_corr *k, const struct cf_state *s, uint32_t at)
{
    const struct cf_entry *e = &s->e[at];
    uint32_t p = at, q = at, steps;

    if (k->type != CF_C_VALUE_COUNT && k->type != CF_C_TEMPORAL)
        return false;
    for (steps = 0; p && steps < NEAR && (s->e[p - 1].u.val | 1) != (e->u.val | 1); steps++)
        p--;
    if (!p || steps == NEAR)
        return false;
    if (s->e[p - 1].t == e->t)
        return true;
    for (q++, steps = 0; q < s->n && steps < NEAR && (s->e[q].u.val | 1) != (e->u.val | 1); steps++)
        q++;
    return q < s->n && steps < NEAR && s->e[q].t - s->e[p - 1].t <= k->span_us;
}

/* ---- the newest entry ---- */

int cf_window_newest(struct cf_arena *a, const struct cf_corr *k, struct cf_state *s, struct cf_fire *f)
{
    const struct cf_entry *e = &s->e[s->n - 1];
    double v;
    int r = 0;

    if (!cf_agg_join(k, s, e))
        return CF_ENOMEM;
    while (s->e[s->win].t < e->t - k->span_us) {
        cf_agg_leave(k, s, &s->e[s->win]);
        s->win++;
    }
    if (room_holds(s) && e->t <= s->x->room.to + k->span_us)
        (void)room_take(s);
    if (s->n - s->win == 1 && (k->type == CF_C_SUM || k->type == CF_C_AVG)) {
        s->x->sum = e->u.num; /* no rounding left over from what went */
        s->x->sum_rest = 0;
    }
    v = cf_agg_now(k, s);
    if (!cf_agg_true(k, v)) {
        s->active = false;
        return 0;
    }
    if (may_fire(k, s, e->t)) {
        r = cf_state_extra(s) ? cf_note_fire(a, s, s->win, s->n, v, f) : CF_ENOMEM;
        if (r < 0)
            return r;
        s->x->fired_us = e->t;
        s->x->fired_seq = e->seq;
    }
    s->active = true;
    return r;
}

/* ---- a late entry ---- */

/* It joins the running window or lies before it; the others keep their places in it. */
static bool join_late(const struct cf_corr *k, struct cf_state *s, uint32_t at)
{
    if (s->e[at].t >= s->e[s->n - 1].t - k->span_us)
        return cf_agg_join(k, s, &s->e[at]);
    s->win++;
    return true;
}

/* Moves a window with a running aggregate of its own on to the entries [from, to): each joins and leaves once. */
static bool slide(const struct cf_corr *k, struct cf_state *w, uint32_t from, uint32_t to)
{
    if (w->n == 0)
        w->n = w->win = from;
    while (w->n < to) {
        w->n++;
        if (!cf_agg_join(k, w, &w->e[w->n - 1]))
            return false;
    }
    while (w->win < from) {
        cf_agg_leave(k, w, &w->e[w->win]);
        w->win++;
    }
    return true;
}

static int fire_late(struct cf_arena *a, struct cf_state *s, uint32_t at, uint32_t from, uint32_t to, double v, struct cf_fire *f)
{
    int64_t end = s->e[to - 1].t;
    int r = cf_state_extra(s) ? cf_note_fire(a, s, from, to, v, f) : CF_ENOMEM;

    if (r < 0)
        return r;
    s->x->fired_us = s->x->fired_us == CF_TIME_NONE || end > s->x->fired_us ? end : s->x->fired_us;
    s->x->fired_seq = s->e[at].seq > s->x->fired_seq ? s->e[at].seq : s->x->fired_seq;
    return 0;
}

/* Looks at the windows that hold the entry, oldest first, until one is true. When none is, counts go on for another span, so that
 * there is room for the entries that follow it. */
static int look(struct cf_arena *a, const struct cf_corr *k, struct cf_state *s, uint32_t at, struct cf_fire *f)
{
    struct cf_state w = {.e = s->e};
    int64_t t = s->e[at].t, end = t + k->span_us, far = counts(k) ? end + k->span_us : end;
    uint32_t from = cf_entries_before(s->e, s->n, t - k->span_us);
    double most = 0;
    int r = 0;

    for (uint32_t j = at; j < s->n && s->e[j].t <= far && r == 0 && !f->yes; j++) {
        bool skip = told(k, s, s->e[j].t);

        if (s->e[j].t > end && cf_agg_true(k, most))
            break; /* no room there */
        if (skip) { /* on to the last of them: it says how full a window is that ends soon after */
            uint32_t last = cf_entries_before(s->e, s->n, s->x->fired_us + k->span_us + 1) - 1;

            j = last > j ? last : j;
            if (!counts(k))
                continue;
        } else if (j + 1 < s->n && s->e[j + 1].t == s->e[j].t) {
            continue; /* a window ends after all entries of its last moment */
        }
        bool newest = j + 1 == s->n;

        if (newest)
            from = s->win;
        while (s->e[from].t < s->e[j].t - k->span_us)
            from++;
        if (!newest && !slide(k, &w, from, j + 1)) {
            r = CF_ENOMEM;
            break;
        }
        double v = cf_agg_now(k, newest ? s : &w);

        most = fmax(most, v);
        if (!skip && s->e[j].t <= end && cf_agg_true(k, v))
            r = fire_late(a, s, at, from, j + 1, v, f);
    }
    cf_agg_reset(&w);
    free(w.x);
    if (r == 0 && counts(k) && cf_state_extra(s)) {
        room_set(k, s, t, end, most);
        s->x->room.known = s->x->room.known && !f->yes;
    }
    return r;
}

int cf_window_late(struct cf_arena *a, const struct cf_corr *k, struct cf_state *s, uint32_t at, struct cf_fire *f)
{
    int64_t t = s->e[at].t;
    int r = join_late(k, s, at) ? 0 : CF_ENOMEM;

    if (r < 0)
        return r;
    if (room_holds(s) && t >= s->x->room.from && t <= s->x->room.to && (nothing_new(k, s, at) || room_take(s))) {
        double v = cf_agg_now(k, s); /* the newest window counts for itself */

        if (s->e[s->n - 1].t <= t + k->span_us && !told(k, s, s->e[s->n - 1].t) && cf_agg_true(k, v))
            r = fire_late(a, s, at, s->win, s->n, v, f);
    } else {
        r = look(a, k, s, at, f);
    }
    if (r == 0)
        s->active = cf_agg_true(k, cf_agg_now(k, s));
    return r;
}

/* ---- for explanations ---- */

int cf_window_fullest(const struct cf_corr *k, const struct cf_state *s, int64_t t, uint32_t *ret_from, uint32_t *ret_to)
{
    struct cf_state w = {.e = s->e};
    uint32_t at = cf_entries_before(s->e, s->n, t), from = cf_entries_before(s->e, s->n, t - k->span_us);
    double most = 0;
    int r = 0;

    *ret_from = *ret_to = from;
    if ((at == s->n || s->e[at].t > t) && at > from)
        at--; /* the window that ends at t ends with the entry before it */
    for (uint32_t j = at; j < s->n && s->e[j].t <= t + k->span_us; j++) {
        if (j + 1 < s->n && s->e[j + 1].t == s->e[j].t)
            continue;
        while (s->e[from].t < (s->e[j].t > t ? s->e[j].t : t) - k->span_us)
            from++;
        if (!slide(k, &w, from, j + 1)) {
            r = CF_ENOMEM;
            break;
        }
        double v = cf_agg_now(k, &w);

        if (*ret_to == *ret_from || v > most) {
            most = v;
            *ret_from = from;
            *ret_to = j + 1;
        }
    }
    cf_agg_reset(&w);
    free(w.x);
    return r;
}
