/* SPDX-License-Identifier: Apache-2.0
 * Folding one batch of hits: grouped in memory, written in one transaction with the batch's token. */
#include "incident/incident_int.h"

#include <stdlib.h>

#include "api/sse.h"

#define TOKEN_KEEP_US (INT64_C(30) * CF_US_PER_DAY)
#define PUBLISH_MAX 200u

struct fold {
    struct cf_incident_engine *e;
    struct cf_arena arena;
    struct inc_group **table; /* by key, open addressing */
    struct inc_group **order; /* as first seen */
    size_t mask, n;
    uint64_t *hidden;         /* per exception */
    int64_t now_us;
};

int cf_incident_engine_new(struct cf_db *db, struct cf_hub *hub, struct cf_incident_engine **ret, struct cf_error *reterr)
{
    struct cf_incident_engine *e = calloc(1, sizeof(*e));

    if (!e)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    e->db = db;
    e->hub = hub;
    (void)pthread_mutex_init(&e->lock, NULL);
    *ret = e;
    return 0;
}

void cf_incident_engine_free(struct cf_incident_engine *e)
{
    if (!e)
        return;
    inc_exceptions_free(e->exceptions);
    (void)pthread_mutex_destroy(&e->lock);
    free(e);
}

void cf_incident_exceptions_changed(struct cf_incident_engine *e)
{
    (void)pthread_mutex_lock(&e->lock);
    inc_exceptions_free(e->exceptions);
    e->exceptions = NULL;
    (void)pthread_mutex_unlock(&e->lock);
}

static int64_t hit_time(const struct cf_hit *h, int64_t now_us)
{
    if (h->ev->time_us != CF_TIME_NONE)
        return h->ev->time_us;
    return h->ev->received_us ? h->ev->received_us : now_us;
}

static struct inc_group *group_new(struct fold *f, cf_str key, int64_t t)
{
    struct inc_group *g = CF_NEW(&f->arena, struct inc_group);

    if (!g)
        return NULL;
    g->key = key;
    g->first_us = g->last_us = t;
    f->order[f->n++] = g;
    return g;
}

/* The group of this key whose time range, widened by the window, holds t. */
static struct inc_group *group_find(struct fold *f, cf_str key, int64_t t)
{
    size_t at = (size_t)cf_hash64(key) & f->mask;
    struct inc_group *g;

    while (f->table[at] && !cf_str_eq(f->table[at]->key, key))
        at = (at + 1) & f->mask;
    for (g = f->table[at]; g; g = g->next_key)
        if (t >= g->first_us - INC_FOLD_WINDOW_US && t <= g->last_us + INC_FOLD_WINDOW_US)
            return g;
    key = cf_arena_copy(&f->arena, key);
    g = key.p ? group_new(f, key, t) : NULL;
    if (g) {
        g->next_key = f->table[at];
        f->table[at] = g;
    }
    return g;
}

static int fold_hit(struct fold *f, const struct cf_hit *h, cf_str event_id)
{
    cf_str org = cf_event_get(h->ev, CF_F_ORGANIZATION_ID), key;
    struct inc_entity ent;
    struct inc_group *g;
    int64_t t = hit_time(h, f->now_us);
    char buf[1400];
    int hide, n;

    if (!org.p || org.n == 0)
        org = CF_STR(INC_ROOT_ORG);
    hide = inc_exceptions_match(f->e->exceptions, h->rule, h->ev, org, f->now_us);
    if (hide >= 0) {
        f->hidden[hide]++;
        f->e->suppressed++;
        return 0;
    }
    ent = inc_entity_of(h);
    n = snprintf(buf, sizeof(buf), "%.*s|%s|%.*s|%.*s", CF_ARG(cf_str_sub(h->rule->id, 0, 200)), ent.type, CF_ARG(cf_str_sub(ent.value, 0, 512)),
                 CF_ARG(cf_str_sub(org, 0, 100)));
    key = cf_str_n(buf, (size_t)n);
    g = group_find(f, key, t);
    if (!g)
        return CF_ENOMEM;
    if (!g->rule || t >= g->last_us) {
        g->rule = h->rule;
        g->hit = h;
        g->ev = h->ev;
        g->entity = ent;
        g->org = org;
    }
    if (t < g->first_us)
        g->first_us = t;
    if (t > g->last_us)
        g->last_us = t;
    g->count++;
    if (event_id.n && g->n_first < INC_REFS)
        g->first[g->n_first++] = event_id;
    else if (event_id.n)
        g->last[g->n_last++ % INC_REFS] = event_id;
    return 0;
}

static int count_hidden(struct fold *f, struct cf_tx *tx, struct cf_error *err)
{
    const struct inc_exceptions *x = f->e->exceptions;
    int r = 0;

    for (size_t i = 0; r == 0 && x && i < x->n; i++)
        if (f->hidden[i])
            r = cf_tx_exec(tx, "UPDATE alert_exception SET hits = hits + ?, last_hit_us = ? WHERE id = ?", err, CF_I(f->hidden[i]), CF_I(f->now_us),
                           CF_S(x->v[i].id));
    return r;
}

/* 1: new, 0: seen before */
static int take_token(struct cf_tx *tx, cf_str token, int64_t now_us, struct cf_error *err)
{
    const struct cf_dbval v[] = {CF_S(token), CF_I(now_us)};
    int64_t changed = 0;
    int r;

    if (token.n == 0)
        return 1;
    r = cf_tx_execv(tx, "INSERT INTO fold_token (token, time_us) VALUES (?, ?) ON CONFLICT (token) DO NOTHING", v, 2, &changed, err);
    return r < 0 ? r : changed > 0;
}

static void publish(struct cf_incident_engine *e, const struct inc_alert *al, const struct inc_group *g)
{
    json_t *j;

    if (!e->hub)
        return;
    j = inc_alert_json(al, g);
    if (j)
        cf_hub_publish(e->hub, "alert", al->org, CF_STR(""), j);
    json_decref(j);
}

static void publish_incident(struct cf_incident_engine *e, struct cf_tx *tx, const char *id)
{
    struct cf_stmt *st = NULL;

    if (!e->hub)
        return;
    if (cf_tx_query(tx, "SELECT org_id, number, title, level, status, score, alert_count FROM incident WHERE id = ?", &st, NULL, CF_Z(id)) == 0 &&
        cf_stmt_next(st, NULL) == 1) {
        int64_t lv = cf_stmt_i64(st, 3);
        json_t *j = json_pack("{s:s, s:s%, s:s%, s:s, s:s%, s:I, s:I}", "id", id, "number", cf_stmt_str(st, 1).p, cf_stmt_str(st, 1).n, "title",
                              cf_stmt_str(st, 2).p, cf_stmt_str(st, 2).n, "level", inc_level_name(lv), "status", cf_stmt_str(st, 4).p,
                              cf_stmt_str(st, 4).n, "score", (json_int_t)cf_stmt_i64(st, 5), "alert_count", (json_int_t)cf_stmt_i64(st, 6));

        if (j)
            cf_hub_publish(e->hub, "incident", cf_stmt_str(st, 0), CF_STR(""), j);
        json_decref(j);
    }
    cf_stmt_free(st);
}

static int write_groups(struct fold *f, struct cf_tx *tx, struct inc_alert *alerts, char (*incidents)[37], struct cf_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < f->n; i++) {
        r = inc_alert_write(tx, &f->arena, f->order[i], &alerts[i], err);
        if (r == 0)
            r = inc_group_alert(tx, &f->arena, &alerts[i], incidents[i], err);
    }
    for (size_t i = 0; r == 0 && i < f->n; i++) { /* each incident once */
        size_t k = 0;

        while (k < i && strcmp(incidents[k], incidents[i]) != 0)
            k++;
        if (k == i && incidents[i][0])
            r = inc_incident_refresh(tx, &f->arena, cf_str_c(incidents[i]), err);
    }
    return r;
}

/* Live entries after the commit: each alert once, each incident once. */
static void publish_all(struct fold *f, const struct inc_alert *alerts, char (*incidents)[37])
{
    struct cf_tx *tx = NULL;

    if (!f->e->hub || cf_tx_begin(f->e->db, CF_TX_READ, &tx, NULL) < 0)
        return;
    for (size_t i = 0; i < f->n && i < PUBLISH_MAX; i++) {
        size_t k = 0;

        publish(f->e, &alerts[i], f->order[i]);
        while (k < i && strcmp(incidents[k], incidents[i]) != 0)
            k++;
        if (k == i && incidents[i][0])
            publish_incident(f->e, tx, incidents[i]);
    }
    cf_tx_rollback(&tx);
}

static int fold_locked(struct fold *f, const struct cf_hit *hits, const cf_str *event_ids, size_t n, cf_str token, struct cf_error *err)
{
    struct inc_alert *alerts = NULL;
    char(*incidents)[37] = NULL;
    struct cf_tx *tx = NULL;
    int r;

    for (size_t i = 0; i < n; i++)
        if (fold_hit(f, &hits[i], event_ids ? event_ids[i] : CF_STR_NONE) < 0)
            return cf_error_set(err, CF_ENOMEM, "out of memory for %zu hits", n);
    alerts = CF_NEW_N(&f->arena, struct inc_alert, f->n ? f->n : 1);
    incidents = cf_arena_zalloc(&f->arena, (f->n ? f->n : 1) * sizeof(*incidents));
    if (!alerts || !incidents)
        return cf_error_set(err, CF_ENOMEM, "out of memory");
    r = cf_tx_begin(f->e->db, CF_TX_WRITE, &tx, err);
    if (r < 0)
        return r;
    r = take_token(tx, token, f->now_us, err);
    if (r <= 0) { /* seen: the batch is in the store already */
        f->e->replays += r == 0;
        f->n = 0;
        cf_tx_rollback(&tx);
        return r;
    }
    r = write_groups(f, tx, alerts, incidents, err);
    if (r == 0)
        r = count_hidden(f, tx, err);
    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM fold_token WHERE time_us < ?", err, CF_I(f->now_us - TOKEN_KEEP_US));
    if (r == 0)
        r = cf_tx_commit(&tx, err);
    else
        cf_tx_rollback(&tx);
    if (r == 0) {
        f->e->folded += n;
        publish_all(f, alerts, incidents);
    }
    for (size_t i = 0; i < f->n; i++)
        inc_alert_release(&alerts[i]);
    return r;
}

int cf_incident_fold(struct cf_incident_engine *e, const struct cf_hit *hits, const cf_str *event_ids, size_t n, cf_str token, struct cf_error *reterr)
{
    struct fold f = {.e = e, .now_us = cf_now_us()};
    size_t cap = 16;
    int r = 0;

    if (n == 0)
        return 0;
    while (cap < n * 2)
        cap *= 2;
    cf_arena_init(&f.arena, 0, 0);
    f.mask = cap - 1;
    f.table = CF_NEW_N(&f.arena, struct inc_group *, cap);
    f.order = CF_NEW_N(&f.arena, struct inc_group *, n);
    (void)pthread_mutex_lock(&e->lock);
    if (!e->exceptions)
        e->exceptions = inc_exceptions_load(e->db, reterr);
    if (e->exceptions)
        f.hidden = CF_NEW_N(&f.arena, uint64_t, e->exceptions->n + 1);
    if (!e->exceptions)
        r = CF_EDB;
    else if (!f.table || !f.order || !f.hidden)
        r = cf_error_set(reterr, CF_ENOMEM, "out of memory for %zu hits", n);
    else
        r = fold_locked(&f, hits, event_ids, n, token, reterr);
    (void)pthread_mutex_unlock(&e->lock);
    cf_arena_release(&f.arena);
    return r;
}
