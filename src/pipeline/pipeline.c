/* SPDX-License-Identifier: Apache-2.0
 * Life of the pipeline: content, spool, workers, listeners; appending for the HTTP interface and the generators. */
#include "pipeline/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "asset/asset.h"
#include "pipeline/pipeline_int.h"
#include "pipeline/quality.h"

static void free_norm(void *p) { cf_normaliser_free(p); }
static void free_rules(void *p) { cf_ruleset_free(p); }

int pipeline_load_normaliser(struct cf_pipeline *p, struct cf_error *reterr)
{
    struct cf_normaliser *n = NULL;
    struct cf_norm_options o = {.zone = p->o.zone, .streams = p->streams};
    char dir[4200], custom[4200];
    int r;

    (void)snprintf(dir, sizeof dir, "%s/sources", p->content_dir);
    (void)snprintf(custom, sizeof custom, "%s/content/sources", p->data_dir);
    o.sources_dir = dir;
    o.custom_dir = custom;
    r = cf_normaliser_load(&o, &n, reterr);
    if (r == 0 && cf_shared_set(&p->norm, n, free_norm) < 0)
        r = cf_error_set(reterr, CF_ENOMEM, "source files");
    return r;
}

int cf_pipeline_library(struct cf_pipeline *p, struct cf_arena *a, struct cf_rules_options *ret, struct cf_error *reterr)
{
    const char **path = CF_NEW_N(a, const char *, p->n_rule_paths + 2);
    char *own = cf_path_join(a, p->content_dir, "rules"), *imported = cf_path_join(a, p->data_dir, "rules");
    struct stat st;

    *ret = (struct cf_rules_options){.taxonomy_dir = cf_path_join(a, p->content_dir, "taxonomy"), .paths = path, .zone = p->o.rule_zone,
                                    .cache_dir = cf_path_join(a, p->data_dir, "cache/rules")};
    if (!path || !own || !imported || !ret->taxonomy_dir)
        return cf_error_set(reterr, CF_ENOMEM, "rules");
    if (stat(own, &st) == 0)
        path[ret->n_paths++] = own;
    if (stat(imported, &st) == 0)
        path[ret->n_paths++] = imported;
    for (size_t i = 0; i < p->n_rule_paths; i++)
        path[ret->n_paths++] = p->rule_path[i];
    return p->o.db ? cf_rulebook_fill(p->o.db, a, ret, reterr) : 0;
}

static int load_rules(struct cf_pipeline *p, struct cf_error *reterr)
{
    struct cf_rules_options o;
    struct cf_ruleset *rs = NULL;
    struct cf_arena a;
    int r;

    cf_arena_init(&a, 0, (size_t)512 << 20);
    r = cf_pipeline_library(p, &a, &o, reterr);
    if (r == 0 && o.n_paths + o.n_texts)
        r = cf_ruleset_load(&o, &rs, reterr);
    cf_arena_release(&a);
    if (r == 0 && rs) {
        const struct cf_rule_refused *refused;
        size_t n = cf_ruleset_refused(rs, &refused);

        cf_log_info("pipeline", "rules loaded", "rules=%zu refused=%zu", cf_ruleset_count(rs), n);
        atomic_fetch_add(&p->rule_loads, 1);
        r = pipeline_swap_rules(p, rs, free_rules, reterr);
    }
    return r;
}

/* The old set works on until the new one is swapped in; two changes at a time are loaded one after the other. */
int cf_pipeline_reload_rules(struct cf_pipeline *p, struct cf_error *reterr)
{
    int r = 0;

    (void)pthread_mutex_lock(&p->reload_mu);
    if (!p->o.no_rules)
        r = load_rules(p, reterr);
    (void)pthread_mutex_unlock(&p->reload_mu);
    return r;
}

int cf_pipeline_reload(struct cf_pipeline *p, struct cf_error *reterr)
{
    int r = pipeline_load_normaliser(p, reterr);

    return r == 0 ? cf_pipeline_reload_rules(p, reterr) : r;
}

void pipeline_load_tables(struct cf_pipeline *p)
{
    struct cf_source_table *t = NULL;
    struct cf_enricher *e = NULL;
    struct cf_error err = {0};
    int r = 0;

    if (!p->o.db)
        return;
    r = pipeline_load_sources(p->o.db, &t, &err);
    if (r == 0)
        r = cf_shared_set(&p->sources, t, cf_source_table_free);
    if (r == 0)
        r = cf_asset_load_enricher(p->o.db, p->geo, &e, &err);
    if (r == 0)
        r = cf_shared_set(&p->enrich, e, cf_enricher_free);
    if (r < 0)
        cf_log_error("pipeline", "assets and data sources not loaded, the old ones stay", "reason=\"%s\"", err.msg);
}

void cf_pipeline_assets_changed(struct cf_pipeline *p) { atomic_store(&p->assets_dirty, true); }

static void free_switches(void *v)
{
    struct rule_switches *d = v;

    for (size_t i = 0; i < d->n; i++)
        free((void *)(uintptr_t)d->v[i].id.p);
    free(d->v);
    free(d);
}

static int switch_cmp(const void *a, const void *b)
{
    return cf_str_cmp(((const struct rule_switch *)a)->id, ((const struct rule_switch *)b)->id);
}

static bool switch_add(struct rule_switches *d, cf_str id, bool staged)
{
    char *q = malloc(id.n + 1);

    if (!q)
        return false;
    if (id.n)
        memcpy(q, id.p, id.n);
    d->v[d->n++] = (struct rule_switch){cf_str_n(q, id.n), staged};
    return true;
}

int cf_pipeline_switch_rules(struct cf_pipeline *p, const cf_str *off, size_t n_off, const cf_str *staged, size_t n_staged)
{
    struct rule_switches *d = calloc(1, sizeof *d);
    bool ok = d && (d->v = calloc(n_off + n_staged + 1, sizeof *d->v));

    for (size_t i = 0; ok && i < n_off; i++)
        ok = switch_add(d, off[i], false);
    for (size_t i = 0; ok && i < n_staged; i++)
        ok = switch_add(d, staged[i], true);
    if (!ok) {
        if (d)
            free_switches(d);
        return CF_ENOMEM;
    }
    if (d->n)
        qsort(d->v, d->n, sizeof *d->v, switch_cmp);
    return cf_shared_set(&p->switches, d, free_switches);
}

const struct cf_normaliser *cf_pipeline_normaliser(struct cf_pipeline *p, struct cf_shared_box **ret_box)
{
    *ret_box = cf_shared_get(&p->norm);
    return *ret_box ? (*ret_box)->p : NULL;
}

void cf_pipeline_normaliser_put(struct cf_pipeline *p, struct cf_shared_box *box) { cf_shared_put(&p->norm, box); }

const struct cf_ruleset *cf_pipeline_rules(struct cf_pipeline *p, struct cf_shared_box **ret_box)
{
    *ret_box = cf_shared_get(&p->rules);
    return *ret_box ? (*ret_box)->p : NULL;
}

void cf_pipeline_rules_put(struct cf_pipeline *p, struct cf_shared_box *box) { cf_shared_put(&p->rules, box); }

/* Counters of a detector with other rules than rs, by rule id. */
static void add_old(const struct cf_detector *d, const struct cf_ruleset *rs, struct cf_rule_counters *ret)
{
    struct cf_rule_ledger *l = cf_rule_ledger_new();

    if (l && cf_rule_ledger_add(l, d) == 0)
        cf_rule_ledger_get(l, rs, ret);
    cf_rule_ledger_free(l);
}

struct cf_rule_counters *cf_pipeline_rule_counters(struct cf_pipeline *p, const struct cf_shared_box *box)
{
    struct cf_rule_counters *c = calloc(cf_ruleset_count(box->p) + 1, sizeof *c);

    for (size_t i = 0; c && i < p->n_workers; i++) {
        struct worker *w = &p->worker[i];

        (void)pthread_mutex_lock(&w->detector_mu);
        if (w->detector && w->rules_gen == box->generation)
            cf_detector_counters(w->detector, c);
        else if (w->detector) /* idle since the rules changed */
            add_old(w->detector, box->p, c);
        (void)pthread_mutex_unlock(&w->detector_mu);
    }
    if (c)
        cf_rule_ledger_get(p->ledger, box->p, c);
    return c;
}

/* ---- start and stop ---------------------------------------------------------------------------------------------- */

static int copy_options(struct cf_pipeline *p, const struct cf_pipeline_options *o, struct cf_error *reterr)
{
    p->o = *o;
    p->data_dir = strdup(o->data_dir);
    p->content_dir = strdup(o->content_dir);
    p->geo = strdup(o->geo ? o->geo : "");
    p->rule_path = calloc(o->n_rules + 1, sizeof *p->rule_path);
    if (!p->data_dir || !p->content_dir || !p->geo || !p->rule_path)
        return cf_error_set(reterr, CF_ENOMEM, "pipeline");
    for (size_t i = 0; i < o->n_rules; i++)
        if (!(p->rule_path[p->n_rule_paths++] = strdup(o->rules[i])))
            return cf_error_set(reterr, CF_ENOMEM, "pipeline");
    return 0;
}

static int start_workers(struct cf_pipeline *p, struct cf_error *reterr)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    p->n_workers = p->o.workers > 0 ? (size_t)p->o.workers : cores > 0 ? (size_t)cores : 1;
    p->worker = calloc(p->n_workers, sizeof *p->worker);
    if (!p->worker)
        return cf_error_set(reterr, CF_ENOMEM, "workers");
    for (size_t i = 0; i < p->n_workers; i++) {
        struct worker *w = &p->worker[i];

        w->p = p;
        (void)pthread_mutex_init(&w->detector_mu, NULL);
        cf_arena_init(&w->arena, (size_t)32 << 20, 0); /* a chunk fits one block, which stays: several smaller ones went back to the kernel and were faulted in again each time */
    }
    for (size_t i = 0; i < p->n_workers; i++) {
        struct worker *w = &p->worker[i];

        w->block = cf_event_block_new();
        w->on = w->block && pthread_create(&w->thread, NULL, pipeline_worker_main, w) == 0;
        if (!w->on)
            return cf_error_set(reterr, CF_ENOMEM, "workers");
    }
    return 0;
}

/* Last: the keeper reads the figures of the workers and listeners. */
static int start_keeper(struct cf_pipeline *p, struct cf_error *reterr)
{
    p->keeper_on = pthread_create(&p->keeper, NULL, pipeline_keeper_main, p) == 0;
    return p->keeper_on ? 0 : cf_error_set(reterr, CF_ENOMEM, "keeper thread");
}

/* What senders said about their columns. Damaged: they say it again with their next file. */
static int load_streams(struct cf_pipeline *p, struct cf_error *reterr)
{
    struct cf_error err = {0};
    char path[4200];

    (void)reterr;
    (void)snprintf(path, sizeof path, "%s/streams.state", p->data_dir);
    if (cf_streams_load(p->streams, path, cf_spool_id(p->spool), &err) < 0)
        cf_log_warn("pipeline", "column headers of senders not read", "reason=\"%s\"", err.msg);
    return 0;
}

static int start_tail(struct cf_pipeline *p, struct cf_error *reterr)
{
    struct cf_tail_options o = p->o.tail;
    char path[4200];

    if (o.n_paths == 0)
        return 0;
    (void)snprintf(path, sizeof path, "%s/tail.state", p->data_dir);
    o.spool = p->spool;
    o.counters = p->counters;
    o.sources = &p->sources;
    o.state_path = path;
    return cf_tail_start(&o, &p->tail, reterr);
}

/* Only what an earlier run took is found out here; records come after cf_kafka_run. */
static int start_kafka(struct cf_pipeline *p, struct cf_error *reterr)
{
    struct cf_kafka_options o = p->o.kafka;
    char path[4200];

    if (!o.brokers || !o.brokers[0])
        return 0;
    (void)snprintf(path, sizeof path, "%s/kafka.state", p->data_dir);
    o.spool = p->spool;
    o.counters = p->counters;
    o.sources = &p->sources;
    o.state_path = path;
    return cf_kafka_start(&o, &p->kafka, reterr);
}

static int start_listeners(struct cf_pipeline *p, struct cf_error *reterr)
{
    struct cf_listen_options o = p->o.listen;

    if (!(o.udp && o.udp[0]) && !(o.tcp && o.tcp[0]) && !(o.tls && o.tls[0]) && !(o.netflow && o.netflow[0]) && !(o.sflow && o.sflow[0]) && o.n_more == 0)
        return 0;
    o.spool = p->spool;
    o.counters = p->counters;
    o.sources = &p->sources;
    return cf_listener_start(&o, &p->listener, reterr);
}

static void init_locks(struct cf_pipeline *p)
{
    pthread_rwlockattr_t a;

    (void)pthread_rwlockattr_init(&a);
    (void)pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP); /* a change of rules gets its turn */
    (void)pthread_rwlock_init(&p->batches_lock, &a);
    (void)pthread_rwlockattr_destroy(&a);
    (void)pthread_mutex_init(&p->flight_mu, NULL);
}

int cf_pipeline_start(const struct cf_pipeline_options *o, struct cf_pipeline **ret, struct cf_error *reterr)
{
    struct cf_pipeline *p = calloc(1, sizeof *p);
    char spool_dir[4200];
    int r;

    if (!p)
        return cf_error_set(reterr, CF_ENOMEM, "pipeline");
    (void)pthread_mutex_init(&p->mu, NULL);
    (void)pthread_mutex_init(&p->reprocess_mu, NULL);
    (void)pthread_mutex_init(&p->types_mu, NULL);
    (void)pthread_mutex_init(&p->order_mu, NULL);
    cf_arena_init(&p->announcer_arena, 0, 0);
    init_locks(p);
    cf_shared_init(&p->norm);
    cf_shared_init(&p->rules);
    cf_shared_init(&p->enrich);
    cf_shared_init(&p->sources);
    cf_shared_init(&p->switches);
    (void)pthread_mutex_init(&p->reload_mu, NULL);
    p->staged = cf_staged_new();
    p->streams = cf_streams_new();
    r = p->staged && p->streams ? copy_options(p, o, reterr) : cf_error_set(reterr, CF_ENOMEM, "pipeline");
    if (r == 0)
        r = cf_pipeline_reload(p, reterr);
    if (r == 0) {
        pipeline_load_tables(p);
        pipeline_split_forget(p);
        (void)snprintf(spool_dir, sizeof spool_dir, "%s/spool", p->data_dir);
        p->o.spool.dir = spool_dir;
        p->o.spool.goes_on = assembly_goes_on;
        p->counters = cf_counters_new();
        p->ledger = cf_rule_ledger_new();
        r = p->counters && p->ledger ? cf_spool_open(&p->o.spool, &p->spool, reterr) : cf_error_set(reterr, CF_ENOMEM, "counters");
    }
    if (r == 0)
        r = load_streams(p, reterr);
    if (r == 0)
        r = start_kafka(p, reterr); /* this and the next before the workers: they read what those will delete */
    if (r == 0)
        r = start_tail(p, reterr);
    if (r == 0 && p->kafka)
        r = cf_kafka_run(p->kafka, reterr);
    if (r == 0)
        pipeline_windows_load(p);
    if (r == 0)
        r = start_workers(p, reterr);
    if (r == 0)
        r = start_listeners(p, reterr);
    if (r == 0)
        r = start_keeper(p, reterr);
    if (r < 0) {
        cf_pipeline_stop(p);
        return r;
    }
    *ret = p;
    return 0;
}

static void free_samples(struct cf_pipeline *p)
{
    for (size_t i = 0; i < UNPARSED_MAX; i++) {
        free(p->unparsed[i].key);
        free(p->unparsed[i].peer);
        free(p->unparsed[i].raw);
        free(p->unparsed[i].reason);
    }
}

void cf_pipeline_stop(struct cf_pipeline *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    reprocess_stop(p);
    if (p->spool)
        cf_spool_wake(p->spool);
    for (size_t i = 0; i < p->n_workers && p->worker; i++)
        if (p->worker[i].on)
            (void)pthread_join(p->worker[i].thread, NULL);
    if (p->keeper_on)
        (void)pthread_join(p->keeper, NULL);
    cf_listener_stop(p->listener); /* after the keeper, which reads its figures; what it takes meanwhile is durable in the spool */
    cf_tail_stop(p->tail);
    cf_kafka_stop(p->kafka);
    p->tail = NULL;
    p->kafka = NULL;
    if (p->spool && p->keeper_on) {
        pipeline_commit(p, true);
    }
    for (size_t i = 0; i < p->n_workers && p->worker; i++)
        worker_release(&p->worker[i]);
    free(p->worker);
    cf_spool_close(p->spool);
    cf_norm_thread_free(p->announcer);
    cf_shared_put(&p->norm, p->announcer_box);
    cf_arena_release(&p->announcer_arena);
    cf_shared_release(&p->norm);
    cf_streams_free(p->streams);
    cf_shared_release(&p->rules);
    cf_shared_release(&p->enrich);
    cf_shared_release(&p->sources);
    cf_rule_ledger_free(p->ledger);
    free(p->flight);
    (void)pthread_mutex_destroy(&p->flight_mu);
    (void)pthread_rwlock_destroy(&p->batches_lock);
    cf_shared_release(&p->switches);
    pipeline_flush_staged(p);
    cf_staged_free(p->staged);
    (void)pthread_mutex_destroy(&p->reload_mu);
    cf_counters_free(p->counters);
    json_decref(p->store_stats);
    free_samples(p);
    for (size_t i = 0; i < p->n_rule_paths; i++)
        free(p->rule_path[i]);
    free(p->rule_path);
    free(p->data_dir);
    free(p->content_dir);
    free(p->geo);
    (void)pthread_mutex_destroy(&p->reprocess_mu);
    (void)pthread_mutex_destroy(&p->mu);
    (void)pthread_mutex_destroy(&p->types_mu);
    (void)pthread_mutex_destroy(&p->order_mu);
    free(p);
}

struct cf_spool *cf_pipeline_spool(struct cf_pipeline *p) { return p->spool; }
struct cf_counters *cf_pipeline_counters(struct cf_pipeline *p) { return p->counters; }
struct cf_listener *cf_pipeline_listener(struct cf_pipeline *p) { return p->listener; }

/* ---- appending ----------------------------------------------------------------------------------------------------- */

static int append_frame(struct cf_pipeline *p, const struct cf_spool_origin *o, const cf_str *recs, size_t n, int64_t end_us, uint64_t *ret_ticket,
                        struct cf_error *reterr)
{
    for (;;) {
        int r = cf_spool_append(p->spool, o, recs, n, ret_ticket, reterr);
        int64_t left = end_us - cf_mono_us();

        if ((r != CF_EBUSY && r != CF_EFULL) || left <= 0)
            return r;
        if (r == CF_EFULL && left > 200000) /* full is said soon, it rarely passes within a request */
            end_us = cf_mono_us() + 200000;
        (void)cf_spool_wait_space(p->spool, (int)(left < 100000 ? left / 1000 + 1 : 100));
        if (atomic_load(&p->stop))
            return cf_error_set(reterr, CF_EBUSY, "the server is stopping");
    }
}

int cf_pipeline_append(struct cf_pipeline *p, const struct cf_spool_origin *o, const cf_str *recs, size_t n, bool durable, int timeout_ms,
                       struct cf_error *reterr)
{
    const size_t max = cf_spool_frame_max(p->spool);
    struct cf_counter *c = cf_counters_get(p->counters, o->key, o->org);
    int64_t end_us = cf_mono_us() + (int64_t)timeout_ms * 1000;
    uint64_t ticket = 0;
    int r = 0;

    for (size_t i = 0; i < n && r == 0;) {
        size_t k = 0, bytes = 0;

        while (i + k < n && k < CF_BATCH_MAX && bytes + recs[i + k].n + 4 <= max)
            bytes += recs[i + k++].n + 4;
        if (k == 0)
            return cf_error_set(reterr, CF_ELIMIT, "record of %zu bytes is larger than the spool takes (%zu)", recs[i].n, max - 4);
        r = append_frame(p, o, recs + i, k, end_us, &ticket, reterr);
        if (r == 0)
            cf_counter_accept(c, k, bytes - 4 * k, o->received_us);
        i += k;
    }
    return r == 0 && durable && n ? cf_spool_wait(p->spool, ticket, timeout_ms, reterr) : r;
}

bool cf_pipeline_source(struct cf_pipeline *p, cf_str name, struct cf_source_info *ret)
{
    struct cf_shared_box *b = cf_shared_get(&p->sources);
    const struct cf_source_table *t = b ? b->p : NULL;
    bool found = false;

    for (size_t i = 0; t && i < t->n && !found; i++)
        if (cf_str_eqz(name, t->row[i].name)) {
            *ret = t->row[i];
            found = true;
        }
    cf_shared_put(&p->sources, b);
    return found;
}

bool cf_pipeline_drain(struct cf_pipeline *p, int timeout_ms)
{
    int64_t end = cf_mono_us() + (int64_t)timeout_ms * 1000;

    for (;;) {
        struct cf_spool_stats st;
        bool clean;

        cf_spool_get_stats(p->spool, &st);
        (void)pthread_mutex_lock(&p->mu);
        struct cf_spool_pos done = cf_spool_done_pos(p->spool);
        clean = st.backlog_bytes == 0 && st.oldest_us == 0 && p->committed.seg == done.seg && p->committed.off == done.off;
        (void)pthread_mutex_unlock(&p->mu);
        if (clean)
            return true;
        if (cf_mono_us() >= end || atomic_load(&p->stop))
            return false;
        (void)usleep(20000);
    }
}
