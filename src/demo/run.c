/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/run.h"

#include <stdlib.h>

#define PENDING_MAX 200000
#define WINDOW_MAX 200000
#define ZONE_US (8 * 3600 * CF_US_PER_S) /* the demo city keeps China time */

struct item {
    int64_t time_us;
    uint64_t order; /* keeps lines of one moment in their order */
    const struct demo_asset *from;
    char *text;
    size_t n;
};
struct items {
    struct item *v;
    size_t n, cap;
};
struct demo_run {
    const struct demo_city *c;
    uint64_t rng, order;
    double owed; /* fraction of a background line carried over */
    int64_t total_weight[3];
    struct items pending, window;
};

struct demo_run *demo_run_new(const struct demo_city *c, uint64_t seed)
{
    struct demo_run *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->c = c;
    r->rng = seed | 1;
    for (size_t i = 0; i < c->n_lines; i++)
        r->total_weight[c->lines[i].rhythm] += c->lines[i].weight;
    return r;
}

static void items_free(struct items *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].text);
    free(l->v);
}

void demo_run_free(struct demo_run *r)
{
    if (!r)
        return;
    items_free(&r->pending);
    items_free(&r->window);
    free(r);
}

size_t demo_run_pending(const struct demo_run *r) { return r->pending.n; }

int64_t demo_run_next(const struct demo_run *r) { return r->pending.n ? r->pending.v[0].time_us : INT64_MAX; }

static int add(struct demo_run *r, struct items *l, size_t max, int64_t time_us, const struct demo_asset *from, cf_str text, struct cf_error *reterr)
{
    struct item *it;

    if (l->n >= max)
        return cf_error_set(reterr, CF_ELIMIT, "more than %zu lines wait", max);
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        struct item *v = realloc(l->v, cap * sizeof *v);

        if (!v)
            return cf_error_set(reterr, CF_ENOMEM, "no memory");
        l->v = v;
        l->cap = cap;
    }
    it = &l->v[l->n];
    *it = (struct item){.time_us = time_us, .order = r->order++, .from = from, .text = malloc(text.n + 1), .n = text.n};
    if (!it->text)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    memcpy(it->text, text.p, text.n);
    it->text[text.n] = 0;
    l->n++;
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    if (x->time_us != y->time_us)
        return x->time_us < y->time_us ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* ---- scenarios ---------------------------------------------------------------------------------------------------------- */

struct chosen { /* variables of one run */
    struct cf_arena arena;
    struct demo_var *vars;
    size_t n;
    const struct demo_asset **hosts; /* index of the definition */
};

static const struct demo_asset *host_of(const struct demo_scenario *s, const struct chosen *ch, cf_str name)
{
    for (size_t i = 0; i < s->n_vars; i++)
        if (s->vars[i].kind == DEMO_VAR_HOST && cf_str_eq(s->vars[i].name, name))
            return ch->hosts[i];
    return NULL;
}

static int choose_text(struct demo_run *r, struct demo_env *env, const struct demo_var_def *d, struct chosen *ch, struct cf_error *reterr)
{
    struct cf_buf b;
    int e;

    cf_buf_init(&b, 1 << 16);
    env->vars = ch->vars;
    env->n_vars = ch->n;
    env->rng = r->rng;
    e = demo_expand(env, d->kind == DEMO_VAR_PICK ? d->pick[demo_random_below(&env->rng, d->n)] : d->text, &b, reterr);
    r->rng = env->rng;
    if (e == 0) {
        ch->vars[ch->n] = (struct demo_var){d->name, cf_arena_copy(&ch->arena, cf_buf_view(&b))};
        ch->n++;
    }
    cf_buf_release(&b);
    return e;
}

static int choose(struct demo_run *r, const struct demo_scenario *s, struct demo_env *env, struct chosen *ch, struct cf_error *reterr)
{
    cf_arena_init(&ch->arena, 0, 16u << 20);
    ch->vars = CF_NEW_N(&ch->arena, struct demo_var, s->n_vars * DEMO_HOST_VARS + 1);
    ch->hosts = CF_NEW_N(&ch->arena, const struct demo_asset *, s->n_vars + 1);
    if (!ch->vars || !ch->hosts)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    for (size_t i = 0; i < s->n_vars; i++) {
        const struct demo_var_def *d = &s->vars[i];
        const struct demo_asset *like = d->same_unit.n ? host_of(s, ch, d->same_unit) : NULL;
        int e = 0;

        if (d->kind != DEMO_VAR_HOST) {
            e = choose_text(r, env, d, ch, reterr);
        } else {
            ch->hosts[i] = demo_city_host(r->c, d->text, d->unit_kind, like ? like->unit : NULL, &r->rng);
            if (!ch->hosts[i])
                return cf_error_set(reterr, CF_ENOENT, "scenario %.*s: the unit has no host with the role \"%.*s\"", CF_ARG(s->id), CF_ARG(d->text));
            e = demo_host_vars(ch->hosts[i], d->name, &ch->arena, ch->vars + ch->n);
            ch->n += DEMO_HOST_VARS;
        }
        if (e < 0)
            return e;
    }
    return 0;
}

int demo_run_scenario(struct demo_run *r, const struct demo_scenario *s, int64_t start_us, struct cf_error *reterr)
{
    struct demo_env env = {.time_us = start_us, .zone_us = ZONE_US, .rng = r->rng, .lists = r->c->lists, .n_lists = r->c->n_lists};
    struct chosen ch = {0};
    struct cf_buf b;
    int e = choose(r, s, &env, &ch, reterr);

    cf_buf_init(&b, 1 << 16);
    env.vars = ch.vars;
    env.n_vars = ch.n;
    env.rng = r->rng;
    for (size_t k = 0; e == 0 && k < s->n_steps; k++) {
        const struct demo_step *st = &s->steps[k];

        for (uint64_t i = 0; e == 0 && i < st->repeat; i++) {
            env.index = i;
            env.time_us = start_us + st->at_us + (int64_t)i * st->every_us + (int64_t)demo_random_below(&env.rng, (uint64_t)st->jitter_us + 1);
            cf_buf_clear(&b);
            e = demo_expand(&env, st->text, &b, reterr);
            if (e == 0)
                e = add(r, &r->pending, PENDING_MAX, env.time_us, host_of(s, &ch, st->from), cf_buf_view(&b), reterr);
        }
    }
    r->rng = env.rng | 1;
    if (r->pending.n)
        qsort(r->pending.v, r->pending.n, sizeof *r->pending.v, by_time);
    cf_buf_release(&b);
    cf_arena_release(&ch.arena);
    return e;
}

/* ---- background ------------------------------------------------------------------------------------------------------------ */

double demo_rhythm(enum demo_rhythm k, int64_t time_us, int64_t zone_us)
{
    /* by hour; each row sums to about 24 */
    static const double office[24] = {.15, .1, .1, .1, .1, .15, .3, .7, 1.8, 2.6, 2.7, 2.3, 1.1, 1.2, 2.3, 2.6, 2.4, 2.0, .9, .5, .4, .3, .25, .2};
    static const double night[24] = {2.6, 3.0, 3.0, 2.6, 2.0, 1.4, .8, .5, .3, .3, .3, .3, .3, .3, .3, .3, .3, .3, .4, .5, .7, .9, 1.3, 1.9};
    int64_t hour = (time_us + zone_us) / (3600 * CF_US_PER_S) % 24;

    if (hour < 0)
        hour += 24;
    return k == DEMO_OFFICE ? office[hour] : k == DEMO_NIGHT ? night[hour] : 1.0;
}

static const struct demo_line *pick_line(struct demo_run *r, const double share[3])
{
    double total = 0, at;

    for (int k = 0; k < 3; k++)
        total += share[k];
    at = total * (double)(demo_random(&r->rng) >> 11) / 9007199254740992.0;
    for (size_t i = 0; i < r->c->n_lines; i++) {
        const struct demo_line *l = &r->c->lines[i];

        at -= (double)l->weight * share[l->rhythm] / (double)r->total_weight[l->rhythm];
        if (at < 0)
            return l;
    }
    return &r->c->lines[r->c->n_lines - 1];
}

static int one_background(struct demo_run *r, int64_t time_us, const double share[3], struct cf_arena *a, struct cf_buf *b, struct cf_error *reterr)
{
    const struct demo_line *l = pick_line(r, share);
    const struct demo_asset *h = demo_city_host(r->c, l->role, CF_STR_NONE, NULL, &r->rng);
    struct cf_arena_mark m = cf_arena_save(a);
    struct demo_var vars[DEMO_HOST_VARS];
    struct demo_env env = {.time_us = time_us, .zone_us = ZONE_US, .lists = r->c->lists, .n_lists = r->c->n_lists, .vars = vars, .n_vars = DEMO_HOST_VARS};
    int e;

    if (!h || demo_host_vars(h, CF_STR_NONE, a, vars) < 0)
        return cf_error_set(reterr, CF_ENOENT, "no host with the role \"%.*s\"", CF_ARG(l->role));
    env.rng = r->rng;
    cf_buf_clear(b);
    e = demo_expand(&env, l->text, b, reterr);
    r->rng = env.rng | 1;
    if (e == 0)
        e = add(r, &r->window, WINDOW_MAX, time_us, h, cf_buf_view(b), reterr);
    cf_arena_rewind(a, m);
    return e;
}

static int make_background(struct demo_run *r, int64_t from_us, int64_t to_us, double rate, struct cf_error *reterr)
{
    int64_t total = r->total_weight[0] + r->total_weight[1] + r->total_weight[2];
    double share[3], sum = 0;
    struct cf_arena a;
    struct cf_buf b;
    int e = 0;

    if (total == 0 || rate <= 0 || to_us <= from_us)
        return 0;
    for (int k = 0; k < 3; k++) {
        share[k] = (double)r->total_weight[k] / (double)total * demo_rhythm((enum demo_rhythm)k, from_us, ZONE_US);
        sum += share[k];
    }
    r->owed += rate * sum * (double)(to_us - from_us) / (double)CF_US_PER_S;
    cf_arena_init(&a, 0, 16u << 20);
    cf_buf_init(&b, 1 << 16);
    for (; e == 0 && r->owed >= 1; r->owed -= 1)
        e = one_background(r, from_us + (int64_t)demo_random_below(&r->rng, (uint64_t)(to_us - from_us)), share, &a, &b, reterr);
    cf_buf_release(&b);
    cf_arena_release(&a);
    return e;
}

/* ---- a window ---------------------------------------------------------------------------------------------------------------- */

/* Moves what is due from pending to the window. */
static int take_pending(struct demo_run *r, int64_t to_us, struct cf_error *reterr)
{
    size_t n = 0;

    while (n < r->pending.n && r->pending.v[n].time_us < to_us) {
        struct item *it = &r->pending.v[n];
        int e = add(r, &r->window, WINDOW_MAX, it->time_us, it->from, (cf_str){it->text, it->n}, reterr);

        if (e < 0) {
            memmove(r->pending.v, it, (r->pending.n - n) * sizeof *it);
            r->pending.n -= n;
            return e;
        }
        free(it->text);
        it->text = NULL;
        n++;
    }
    if (n) {
        memmove(r->pending.v, r->pending.v + n, (r->pending.n - n) * sizeof *r->pending.v);
        r->pending.n -= n;
    }
    return 0;
}

int demo_run_window(struct demo_run *r, int64_t from_us, int64_t to_us, double rate, demo_sink sink, void *ctx, struct cf_error *reterr)
{
    int e = take_pending(r, to_us, reterr);

    e = e < 0 ? e : make_background(r, from_us, to_us, rate, reterr);
    if (r->window.n)
        qsort(r->window.v, r->window.n, sizeof *r->window.v, by_time);
    for (size_t i = 0; i < r->window.n; i++) {
        struct item *it = &r->window.v[i];

        if (e == 0)
            e = sink(ctx, it->from, it->time_us, (cf_str){it->text, it->n});
        free(it->text);
    }
    r->window.n = 0;
    return e;
}
