/* SPDX-License-Identifier: Apache-2.0
 * The thread of the demo: the past once, then the present in steps of a quarter of a second. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "demo/demo.h"
#include "demo/load.h"
#include "demo/run.h"
#include "demo/seed.h"
#include "directory/password.h"
#include "directory/service.h"
#include "pipeline/pipeline.h"

#define STEP_US (CF_US_PER_S / 4)
#define LATE_MAX_US (60 * CF_US_PER_S) /* after a pause longer than this the gap is left out */

struct cf_demo {
    struct cf_demo_options o;
    struct demo_city *city;
    struct demo_run *run;
    pthread_t thread;
    bool started;
    pthread_mutex_t mu;
    pthread_cond_t wake;
    bool stop; /* under mu */
    size_t next_chain;
    int64_t next_chain_us;
    bool seeded;
    _Atomic uint64_t lines, chains, failed;
    _Atomic bool backfilled;
    unsigned seed_tries; /* of the live thread */
};

/* False when the demo is to end. */
static bool pause_us(struct cf_demo *d, int64_t us)
{
    struct timespec t;
    bool stop;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += us / CF_US_PER_S;
    t.tv_nsec += us % CF_US_PER_S * 1000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&d->mu);
    while (!d->stop && us > 0 && pthread_cond_timedwait(&d->wake, &d->mu, &t) != ETIMEDOUT) {}
    stop = d->stop;
    (void)pthread_mutex_unlock(&d->mu);
    return !stop;
}

/* The same entrance as syslog: the spool. */
static int sink(void *ctx, const struct demo_asset *from, int64_t time_us, cf_str line)
{
    struct cf_demo *d = ctx;
    const struct demo_asset *sender;
    cf_str name = demo_source_name(d->city, from, &sender);
    struct cf_spool_origin o = {.peer = sender->ip, .org = sender->unit->id, .key = name, .received_us = cf_now_us()};
    struct cf_error err = {0};
    int r;

    (void)time_us;
    do
        r = cf_pipeline_append(d->o.app->pipeline, &o, &line, 1, false, 1000, &err);
    while ((r == CF_EBUSY || r == CF_ETIMEOUT) && pause_us(d, 0));
    if (r == 0) {
        atomic_fetch_add_explicit(&d->lines, 1, memory_order_relaxed);
        return 0;
    }
    atomic_fetch_add_explicit(&d->failed, 1, memory_order_relaxed);
    cf_log_warn("demo", "line not accepted", "error=\"%s\"", err.msg);
    return pause_us(d, 0) ? 0 : CF_ECANCELLED;
}

static int begin_chain(struct cf_demo *d, size_t which, int64_t at_us)
{
    const struct demo_scenario *s = &d->city->scenarios[which % d->city->n_scenarios];
    struct cf_error err = {0};
    int r = demo_run_scenario(d->run, s, at_us, &err);

    if (r < 0)
        cf_log_error("demo", "scenario not started", "id=\"%.*s\" error=\"%s\"", CF_ARG(s->id), err.msg);
    else {
        atomic_fetch_add_explicit(&d->chains, 1, memory_order_relaxed);
        cf_log_info("demo", "scenario", "id=\"%.*s\"", CF_ARG(s->id));
    }
    return r;
}

static bool stopped(struct cf_demo *d) { return !pause_us(d, 0); }

/* Hours of past go through in a second, and workers take batches in parallel: without a pause a correlation would see the evening
 * before the noon it is still counting. So the pipeline is empty before and after each chain. */
static void let_pass(struct cf_demo *d)
{
    for (int i = 0; i < 240 && !stopped(d); i++)
        if (cf_pipeline_drain(d->o.app->pipeline, 250))
            return;
    cf_log_warn("demo", "the pipeline is slow; correlations of the past may be missing", "waited_s=%d", 60);
}

/* The last day, so that charts are alive: ordinary work minute by minute and every chain once, spread over the day. */
static void backfill(struct cf_demo *d, int64_t now_us)
{
    int64_t from = now_us - d->o.backfill_us, step = 60 * CF_US_PER_S;
    double rate = (double)d->o.backfill_lines * (double)CF_US_PER_S / (double)d->o.backfill_us;
    size_t n = d->city->n_scenarios;
    bool in_chain = false;
    struct cf_error err = {0};
    int r = 0;

    for (size_t i = 0; i < n; i++)
        (void)begin_chain(d, i, from + d->o.backfill_us / (int64_t)(n + 1) * (int64_t)(i + 1) + (int64_t)i * 7 * step);
    for (int64_t t = from; r == 0 && t < now_us && !stopped(d); t += step) {
        if ((demo_run_next(d->run) < t + step) != in_chain) {
            in_chain = !in_chain;
            let_pass(d);
        }
        r = demo_run_window(d->run, t, t + step < now_us ? t + step : now_us, rate, sink, d, &err);
    }
    let_pass(d);
    if (r < 0 && r != CF_ECANCELLED)
        cf_log_error("demo", "the past day is incomplete", "error=\"%s\"", err.msg);
    cf_pipeline_forget_skew(d->o.app->pipeline); /* lines of the past are no sender's wrong clock */
    if (stopped(d))
        return;
    if (demo_state_set(d->o.app->db, "backfilled", now_us, &err) < 0)
        cf_log_error("demo", "note not written", "error=\"%s\"", err.msg);
    cf_log_info("demo", "past day written", "lines=%llu seconds=%.1f", (unsigned long long)atomic_load(&d->lines), (double)(cf_now_us() - now_us) / 1e6);
}

static void maybe_seed(struct cf_demo *d)
{
    struct cf_error err = {0};
    int r;

    if (d->seeded || !d->o.app->workflows)
        return;
    r = demo_seed_notices(d->o.app, ++d->seed_tries <= 10, &err);
    if (r == CF_EBUSY)
        return; /* no incident yet */
    d->seeded = true;
    if (r < 0)
        cf_log_error("demo", "notices not made", "error=\"%s\"", err.msg);
    else if (demo_state_set(d->o.app->db, "seeded", cf_now_us(), &err) < 0)
        cf_log_error("demo", "note not written", "error=\"%s\"", err.msg);
}

static void live(struct cf_demo *d)
{
    int64_t last = cf_now_us(), steps = 0;
    struct cf_error err = {0};

    d->next_chain_us = last + d->o.first_chain_us;
    while (pause_us(d, STEP_US)) {
        int64_t now = cf_now_us();
        int r;

        if (now < last || now - last > LATE_MAX_US)
            last = now - STEP_US; /* the clock was set, or the machine slept */
        if (d->o.chain_every_us > 0 && now >= d->next_chain_us) {
            (void)begin_chain(d, d->next_chain++, now);
            d->next_chain_us = now + d->o.chain_every_us;
        }
        r = demo_run_window(d->run, last, now, d->o.rate, sink, d, &err);
        if (r < 0 && r != CF_ECANCELLED)
            cf_log_error("demo", "lines not made", "error=\"%s\"", err.msg);
        last = now;
        if (++steps % 20 == 0)
            maybe_seed(d);
    }
}

static void *main_of_demo(void *arg)
{
    struct cf_demo *d = arg;

    if (d->o.backfill_us > 0 && d->o.backfill_lines > 0 && !atomic_load(&d->backfilled))
        backfill(d, cf_now_us());
    atomic_store(&d->backfilled, true);
    live(d);
    return NULL;
}

/* ---- start and stop --------------------------------------------------------------------------------------------------------- */

static int load_records(struct cf_demo *d, struct cf_error *reterr)
{
    char password[21], hash[CF_PASSWORD_HASH_MAX];
    int r;

    if (demo_loaded(d->o.app->db, reterr))
        return 0;
    cf_password_random(password);
    r = cf_password_hash(cf_str_c(password), d->o.hash_memory_kib, d->o.hash_passes, hash, reterr);
    r = r < 0 ? r : demo_write_accounts(d->o.app->data_dir, d->city, cf_str_c(password), reterr);
    r = r < 0 ? r : demo_load(d->o.app->db, d->city, hash, reterr);
    if (r == 0) {
        (void)printf("demo city %.*s loaded: %zu units, %zu assets; its accounts and their password are in %s/demo-accounts.txt\n", CF_ARG(d->city->name),
                     d->city->n_units, d->city->n_assets, d->o.app->data_dir);
        (void)fflush(stdout);
    }
    explicit_bzero(password, sizeof password);
    return r;
}

int cf_demo_start(const struct cf_demo_options *o, struct cf_demo **ret, struct cf_error *reterr)
{
    struct cf_demo *d = calloc(1, sizeof *d);
    pthread_condattr_t ca;
    char dir[4096];
    int r;

    if (!d)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    d->o = *o;
    (void)pthread_mutex_init(&d->mu, NULL);
    (void)pthread_condattr_init(&ca);
    (void)pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&d->wake, &ca);
    (void)pthread_condattr_destroy(&ca);
    (void)snprintf(dir, sizeof dir, "%s/demo", o->app->content_dir);
    r = demo_city_load(dir, &d->city, reterr);
    if (r == 0 && (d->city->n_scenarios == 0 || d->city->n_lines == 0))
        r = cf_error_set(reterr, CF_ESYNTAX, "%s: no scenarios or no background lines", dir);
    r = r < 0 ? r : load_records(d, reterr);
    if (r == 0) {
        if (o->app->directory)
            cf_directory_changed(o->app->directory);
        cf_pipeline_assets_changed(o->app->pipeline);
        d->backfilled = demo_state_get(o->app->db, "backfilled") != 0;
        d->seeded = demo_state_get(o->app->db, "seeded") != 0;
        d->run = demo_run_new(d->city, (uint64_t)cf_now_us());
        if (!d->run || pthread_create(&d->thread, NULL, main_of_demo, d) != 0)
            r = cf_error_set(reterr, CF_ENOMEM, "the demo thread did not start");
        else
            d->started = true;
    }
    if (r < 0) {
        cf_demo_stop(d);
        return r;
    }
    *ret = d;
    return 0;
}

void cf_demo_stop(struct cf_demo *d)
{
    if (!d)
        return;
    (void)pthread_mutex_lock(&d->mu);
    d->stop = true;
    (void)pthread_cond_broadcast(&d->wake);
    (void)pthread_mutex_unlock(&d->mu);
    if (d->started)
        (void)pthread_join(d->thread, NULL);
    demo_run_free(d->run);
    demo_city_free(d->city);
    (void)pthread_cond_destroy(&d->wake);
    (void)pthread_mutex_destroy(&d->mu);
    free(d);
}

void cf_demo_get_stats(struct cf_demo *d, struct cf_demo_stats *ret)
{
    *ret = (struct cf_demo_stats){.lines = atomic_load(&d->lines), .chains = atomic_load(&d->chains), .failed = atomic_load(&d->failed), .backfilled = atomic_load(&d->backfilled)};
}
