/* SPDX-License-Identifier: Apache-2.0
 * One engine a server: holds the current set and the exclusions, counts hits, and runs what takes long (fetching, retro-hunts,
 * rebuilding) on threads of their own. */
#include "ti/ti_int.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define STEP_S 1
#define EXPIRE_US (30 * CF_US_PER_S)
#define COUNTS_US (10 * CF_US_PER_S)
#define COUNTS_MAX 200000u

static int build(struct cf_ti *ti, struct cf_error *reterr)
{
    struct cf_ti_set *set = NULL;
    int64_t t = cf_mono_us(), next = INT64_MAX;
    int r = ti_load_set(ti->o.db, &set, &next, reterr);

    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&ti->mu);
    ti->load_seconds = (double)(cf_mono_us() - t) / 1e6;
    ti->loaded_us = cf_now_us();
    ti->next_from_us = next;
    ti->builds++;
    (void)pthread_mutex_unlock(&ti->mu);
    cf_log_info("ti", "indicators loaded", "n=%zu bytes=%zu seconds=%.2f", cf_ti_set_count(set), cf_ti_set_bytes(set), (double)(cf_mono_us() - t) / 1e6);
    return cf_shared_set(&ti->set, set, cf_ti_set_free) < 0 ? cf_error_set(reterr, CF_ENOMEM, "indicators") : 0;
}

static int load_excluded(struct cf_ti *ti, struct cf_error *reterr)
{
    struct ti_excluded *x = NULL;
    int r = ti_excluded_load(ti->o.db, ti->content_dir, &x, reterr);

    if (r == 0 && cf_shared_set(&ti->excluded, x, ti_excluded_free) < 0)
        r = cf_error_set(reterr, CF_ENOMEM, "exclusions");
    return r;
}

int cf_ti_reload(struct cf_ti *ti, struct cf_error *reterr)
{
    int r = load_excluded(ti, reterr);

    return r < 0 ? r : build(ti, reterr);
}

void cf_ti_changed(struct cf_ti *ti)
{
    if (!ti)
        return;
    (void)pthread_mutex_lock(&ti->mu);
    ti->dirty = true;
    (void)pthread_cond_signal(&ti->wake);
    (void)pthread_mutex_unlock(&ti->mu);
}

/* ---- hits ------------------------------------------------------------------------------------------------------------------- */

void ti_counts_add(struct cf_ti *ti, const struct ti_count *c, size_t n)
{
    (void)pthread_mutex_lock(&ti->mu);
    for (size_t i = 0; i < n; i++) {
        if (ti->n_counts == ti->cap_counts) {
            size_t cap = ti->cap_counts ? ti->cap_counts * 2 : 1024;
            void *p = cap <= COUNTS_MAX * 2 ? realloc(ti->counts, cap * sizeof *ti->counts) : NULL;

            if (!p)
                break; /* the sums of a flood: alerts carry them too */
            ti->counts = p;
            ti->cap_counts = cap;
        }
        ti->counts[ti->n_counts++] = c[i];
    }
    (void)pthread_mutex_unlock(&ti->mu);
}

static int write_one(struct cf_tx *tx, const struct ti_count *c, const char *kind, struct cf_error *reterr)
{
    const char *field = c->field < CF_F__COUNT ? cf_fields[c->field].name : "certificate";
    char id[37], ind[37];
    int r;

    ti_uuid_text(c->id, ind);
    cf_uuid7(id);
    r = cf_tx_exec(tx,
                   "INSERT INTO ti_sighting (id, indicator_id, org_id, kind, field, day, first_us, last_us, count) VALUES (?,?,?,?,?,?,?,?,?)"
                   " ON CONFLICT (indicator_id, org_id, kind, field, day) DO UPDATE SET count = ti_sighting.count + excluded.count,"
                   " first_us = LEAST(ti_sighting.first_us, excluded.first_us), last_us = GREATEST(ti_sighting.last_us, excluded.last_us)",
                   reterr, CF_Z(id), CF_Z(ind), CF_Z(c->org[0] ? c->org : "root"), CF_Z(kind), CF_Z(field), CF_I(c->last_us / CF_US_PER_DAY), CF_I(c->first_us), CF_I(c->last_us),
                   CF_I(c->n));
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE ti_indicator SET hits = hits + ?, last_hit_us = GREATEST(COALESCE(last_hit_us, 0), ?) WHERE id = ?", reterr, CF_I(c->n), CF_I(c->last_us),
                       CF_Z(ind));
    return r;
}

int ti_counts_write(struct cf_ti *ti, const char *kind, struct cf_error *reterr)
{
    struct ti_count *c;
    struct cf_tx *tx = NULL;
    size_t n;
    int r = 0;

    (void)pthread_mutex_lock(&ti->mu);
    c = ti->counts;
    n = ti->n_counts;
    ti->counts = NULL;
    ti->n_counts = ti->cap_counts = 0;
    (void)pthread_mutex_unlock(&ti->mu);
    if (n)
        r = cf_tx_begin(ti->o.db, CF_TX_WRITE, &tx, reterr);
    for (size_t i = 0; i < n && r == 0; i++)
        r = write_one(tx, &c[i], kind, reterr);
    if (r == 0 && tx)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    free(c);
    return r;
}

/* ---- the thread ---------------------------------------------------------------------------------------------------------------- */

/* An indicator became valid since the set was made. The moment is known from building it: asking the library means reading every row. */
static bool set_is_old(struct cf_ti *ti)
{
    bool old;

    (void)pthread_mutex_lock(&ti->mu);
    old = cf_now_us() >= ti->next_from_us;
    (void)pthread_mutex_unlock(&ti->mu);
    return old;
}

static void expire(struct cf_ti *ti)
{
    struct cf_error err = {0};
    int64_t n = 0;

    if (ti_expire(ti->o.db, cf_now_us(), &n, &err) < 0)
        cf_log_warn("ti", "expired indicators not marked", "reason=\"%s\"", err.msg);
    if (n > 0 || set_is_old(ti))
        cf_ti_changed(ti);
}

static void *engine_main(void *arg)
{
    struct cf_ti *ti = arg;
    int64_t expire_us = 0, counts_us = 0;
    struct cf_error err;

    (void)pthread_mutex_lock(&ti->mu);
    while (!ti->stop) {
        struct timespec until;
        int64_t now;
        bool dirty;

        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += STEP_S;
        if (!ti->dirty)
            (void)pthread_cond_timedwait(&ti->wake, &ti->mu, &until);
        dirty = ti->dirty;
        ti->dirty = false;
        (void)pthread_mutex_unlock(&ti->mu);
        now = cf_mono_us();
        err = (struct cf_error){0};
        if (dirty && cf_ti_reload(ti, &err) < 0)
            cf_log_error("ti", "indicators not loaded, the old ones stay", "reason=\"%s\"", err.msg);
        if (now - counts_us >= COUNTS_US || counts_us == 0) {
            if (ti_counts_write(ti, "match", &err) < 0)
                cf_log_warn("ti", "hits not counted", "reason=\"%s\"", err.msg);
            counts_us = now;
        }
        if (now - expire_us >= EXPIRE_US || expire_us == 0) {
            expire(ti);
            expire_us = now;
        }
        (void)pthread_mutex_lock(&ti->mu);
    }
    (void)pthread_mutex_unlock(&ti->mu);
    return NULL;
}

/* What may take minutes: a reload never waits for it. */
static void *worker_main(void *arg)
{
    struct ti_worker *w = arg;
    struct cf_ti *ti = w->ti;

    (void)pthread_mutex_lock(&ti->mu);
    while (!ti->stop) {
        struct timespec until;

        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += STEP_S;
        if (!w->run)
            (void)pthread_cond_timedwait(&ti->wake_jobs, &ti->mu, &until);
        w->run = false;
        (void)pthread_mutex_unlock(&ti->mu);
        (void)w->step(ti);
        (void)pthread_mutex_lock(&ti->mu);
    }
    (void)pthread_mutex_unlock(&ti->mu);
    return NULL;
}

void ti_jobs_wake(struct cf_ti *ti)
{
    if (!ti)
        return;
    (void)pthread_mutex_lock(&ti->mu);
    for (int i = 0; i < TI_WORKERS; i++)
        ti->worker[i].run = true;
    (void)pthread_cond_broadcast(&ti->wake_jobs);
    (void)pthread_mutex_unlock(&ti->mu);
}

int cf_ti_start(const struct cf_ti_options *o, struct cf_ti **ret, struct cf_error *reterr)
{
    struct cf_ti *ti = calloc(1, sizeof *ti);
    int r;

    if (!ti)
        return cf_error_set(reterr, CF_ENOMEM, "intelligence");
    ti->o = *o;
    ti->o.data_dir = NULL;
    ti->data_dir = strdup(o->data_dir ? o->data_dir : "/tmp");
    ti->content_dir = strdup(o->content_dir ? o->content_dir : "");
    ti->key_file = strdup(o->key_file ? o->key_file : "");
    cf_arena_init(&ti->rules_arena, 0, 0);
    cf_shared_init(&ti->set);
    cf_shared_init(&ti->excluded);
    (void)pthread_mutex_init(&ti->mu, NULL);
    (void)pthread_cond_init(&ti->wake, NULL);
    (void)pthread_cond_init(&ti->wake_jobs, NULL);
    (void)pthread_cond_init(&ti->wake_place, NULL);
    (void)pthread_mutex_init(&ti->importer_mu, NULL);
    r = ti->content_dir && ti->key_file && ti->data_dir ? ti_rules_load(ti, reterr) : cf_error_set(reterr, CF_ENOMEM, "intelligence");
    if (r == 0)
        r = ti_job_recover(ti, reterr);
    if (r == 0)
        r = cf_ti_reload(ti, reterr);
    if (r == 0 && o->thread) {
        r = pthread_create(&ti->thread, NULL, engine_main, ti) == 0 ? 0 : cf_error_set(reterr, CF_EIO, "the intelligence thread does not start");
        ti->thread_on = r == 0;
    }
    for (int i = 0; r == 0 && o->thread && i < TI_WORKERS; i++) {
        struct ti_worker *w = &ti->worker[i];

        *w = (struct ti_worker){.ti = ti, .step = i == TI_FETCHES ? ti_fetch_due : ti_hunt_next};
        r = pthread_create(&w->thread, NULL, worker_main, w) == 0 ? 0 : cf_error_set(reterr, CF_EIO, "the intelligence thread does not start");
        w->on = r == 0;
    }
    if (r < 0)
        cf_ti_stop(ti);
    else
        *ret = ti;
    return r;
}

void cf_ti_ending(struct cf_ti *ti)
{
    if (!ti)
        return;
    (void)pthread_mutex_lock(&ti->mu);
    atomic_store(&ti->ending, true);
    (void)pthread_cond_broadcast(&ti->wake_place);
    (void)pthread_mutex_unlock(&ti->mu);
}

void cf_ti_stop(struct cf_ti *ti)
{
    if (!ti)
        return;
    cf_ti_ending(ti);
    (void)pthread_mutex_lock(&ti->mu);
    ti->stop = true;
    (void)pthread_cond_signal(&ti->wake);
    (void)pthread_cond_broadcast(&ti->wake_jobs);
    (void)pthread_mutex_unlock(&ti->mu);
    if (ti->thread_on)
        (void)pthread_join(ti->thread, NULL);
    for (int i = 0; i < TI_WORKERS; i++)
        if (ti->worker[i].on)
            (void)pthread_join(ti->worker[i].thread, NULL);
    ti_job_stop(ti);
    if (ti->o.db)
        (void)ti_counts_write(ti, "match", NULL);
    free(ti->counts);
    cf_shared_release(&ti->set);
    cf_shared_release(&ti->excluded);
    cf_arena_release(&ti->rules_arena);
    (void)pthread_mutex_destroy(&ti->mu);
    (void)pthread_cond_destroy(&ti->wake);
    (void)pthread_cond_destroy(&ti->wake_jobs);
    (void)pthread_cond_destroy(&ti->wake_place);
    (void)pthread_mutex_destroy(&ti->importer_mu);
    free(ti->content_dir);
    free(ti->key_file);
    free(ti->data_dir);
    free(ti);
}

void cf_ti_get_stats(struct cf_ti *ti, struct cf_ti_stats *ret)
{
    struct cf_shared_box *box = cf_shared_get(&ti->set);

    *ret = (struct cf_ti_stats){.lookups_hit = atomic_load(&ti->hits)};
    if (box) {
        ret->indicators = cf_ti_set_count(box->p);
        ret->bytes = cf_ti_set_bytes(box->p);
        ret->generation = box->generation;
    }
    cf_shared_put(&ti->set, box);
    (void)pthread_mutex_lock(&ti->mu);
    ret->load_seconds = ti->load_seconds;
    ret->loaded_us = ti->loaded_us;
    (void)pthread_mutex_unlock(&ti->mu);
}
