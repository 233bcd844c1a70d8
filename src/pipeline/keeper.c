/* SPDX-License-Identifier: Apache-2.0
 * The pipeline's housekeeping thread: syncs the store and commits the spool, counts rates, publishes live figures, writes
 * the newest record times of data sources down, reloads changed tables. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/sse.h"
#include "pipeline/bulk_keys.h"
#include "pipeline/pipeline_int.h"
#include "pipeline/quality.h"

#define STEP_US 100000
#define COMMIT_US (1 * CF_US_PER_S)
#define STATS_US (2 * CF_US_PER_S)
#define STORE_US (15 * CF_US_PER_S)
#define LATE_US (60 * CF_US_PER_S) /* a record may be counted after its receiving time was taken: look back this far */
#define SILENT_US (10 * CF_US_PER_S)
#define SOURCES_US (5 * CF_US_PER_S)
#define KEYS_US (600 * CF_US_PER_S)
#define BACKLOG (64 << 20)     /* bytes in the spool: merges are held back */
#define BACKLOG_GONE (8 << 20) /* ... and go on */
#define PARTS_MAX 500
#define MERGE_US (60 * CF_US_PER_S) /* time merges get then, whatever the backlog */

/* Everything done so far is made durable in the store, correlation windows up to there on disk, then the spool may forget it. */
void pipeline_commit(struct cf_pipeline *p, bool last)
{
    struct cf_spool_pos pos = cf_spool_done_pos(p->spool);
    struct cf_error err = {0};
    int r = 0;

    if (pos.seg == p->committed.seg && pos.off == p->committed.off)
        return;
    if (!pipeline_windows_at(p, pos, last))
        return;
    cf_crash_point("pipeline.before_sync");
    if (p->o.events)
        r = cf_event_store_sync(p->o.events, &err);
    if (r == 0)
        r = cf_tail_save(p->tail, &err); /* the marks in what is deleted now */
    if (r == 0)
        r = cf_kafka_save(p->kafka, &err);
    if (r == 0) { /* header lines the spool forgets now */
        char path[4200];
        (void)snprintf(path, sizeof path, "%s/streams.state", p->data_dir);
        r = cf_streams_save(p->streams, path, cf_spool_id(p->spool), &err);
    }
    cf_crash_point("pipeline.before_commit");
    if (r == 0)
        r = cf_spool_commit(p->spool, pos, &err);
    cf_crash_point("pipeline.after_commit");
    (void)pthread_mutex_lock(&p->mu);
    if (r == 0) {
        p->committed = pos;
        p->sync_reason[0] = '\0';
    } else {
        (void)snprintf(p->sync_reason, sizeof p->sync_reason, "%.230s", err.msg);
    }
    (void)pthread_mutex_unlock(&p->mu);
    if (r < 0)
        cf_log_warn("pipeline", "spool not committed, trying again", "reason=\"%s\"", err.msg);
}

static void tick(struct cf_pipeline *p, int64_t now)
{
    uint64_t received = 0, was = atomic_load(&p->eps_milli), rate;

    cf_counters_tick(p->counters, cf_now_us());
    for (struct cf_counter *c = cf_counters_first(p->counters); c; c = c->next)
        received += atomic_load(&c->received);
    if (p->tick_us && now > p->tick_us && received >= p->tick_received) {
        rate = (received - p->tick_received) * 1000u * 1000000u / (uint64_t)(now - p->tick_us);
        atomic_store(&p->eps_milli, (was + rate) / 2);
    }
    p->tick_us = now;
    p->tick_received = received;
}

static void publish(struct cf_pipeline *p)
{
    struct cf_pipeline_stats s;
    json_t *j;

    if (!p->o.hub)
        return;
    cf_pipeline_get_stats(p, &s);
    j = json_pack("{s:f,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:b}", "eps", s.eps, "received", (json_int_t)s.received, "accepted", (json_int_t)s.accepted,
                  "rejected", (json_int_t)s.rejected, "stored", (json_int_t)s.stored, "failed", (json_int_t)s.failed, "hits", (json_int_t)s.hits,
                  "queue_bytes", (json_int_t)s.queue_bytes, "lag_seconds", s.lag_seconds, "store_failing", s.store_failing);
    if (j)
        cf_hub_publish(p->o.hub, "stats", CF_STR_NONE, CF_STR_NONE, j);
    json_decref(j);
}

static void refresh_store(struct cf_pipeline *p)
{
    struct cf_error err = {0};
    struct cf_buf b;
    json_t *j = NULL, *old;

    if (!p->o.events)
        return;
    cf_buf_init(&b, 4 << 20);
    if (cf_event_store_stats(p->o.events, &b, &err) == 0)
        j = json_loadb(b.p, b.n, 0, NULL);
    cf_buf_release(&b);
    if (!j)
        j = json_pack("{s:s}", "error", err.msg[0] ? err.msg : "no figures");
    (void)pthread_mutex_lock(&p->mu);
    old = p->store_stats;
    p->store_stats = j;
    (void)pthread_mutex_unlock(&p->mu);
    json_decref(old);
}

/* One source that sent something since the last time: its times are written down; an unknown name becomes a row that is not
 * registered, so that the list shows everything that sends. */
static int save_source(struct cf_tx *tx, const struct cf_counter *c, struct cf_error *reterr)
{
    int64_t now = cf_now_us(), changed = 0, first = atomic_load(&c->first_us), last = atomic_load(&c->last_us);
    const struct cf_dbval v[] = {CF_I(last), CF_I(first), CF_Z(c->key)};
    char id[37];
    int r = cf_tx_execv(tx, "UPDATE data_source SET last_us = ?, first_us = COALESCE(first_us, ?) WHERE name = ?", v, 3, &changed, reterr);

    if (r < 0 || changed > 0)
        return r;
    cf_uuid7(id);
    return cf_tx_exec(tx,
                      "INSERT INTO data_source (id, org_id, name, protocol, registered, first_us, last_us, created_us, updated_us)"
                      " VALUES (?, ?, ?, 'http', 0, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
                      reterr, CF_Z(id), CF_Z(c->org[0] ? c->org : "root"), CF_Z(c->key), CF_I(first), CF_I(last), CF_I(now), CF_I(now));
}

static void save_sources(struct cf_pipeline *p, int64_t since_us)
{
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    int r = 0;

    if (!p->o.db)
        return;
    for (struct cf_counter *c = cf_counters_first(p->counters); c && r == 0; c = c->next) {
        if (atomic_load(&c->last_us) < since_us - LATE_US || strcmp(c->key, "other") == 0)
            continue;
        if (!tx)
            r = cf_tx_begin(p->o.db, CF_TX_WRITE, &tx, &err);
        if (r == 0)
            r = save_source(tx, c, &err);
    }
    if (r == 0 && tx)
        r = cf_tx_commit(&tx, &err);
    cf_tx_rollback(&tx);
    if (r < 0)
        cf_log_warn("pipeline", "times of data sources not saved", "reason=\"%s\"", err.msg);
}

static void publish_health(struct cf_pipeline *p, bool *was_ok)
{
    json_t *h = p->o.hub ? cf_pipeline_health(p) : NULL;
    const char *status = json_string_value(json_object_get(h, "status"));
    bool ok = !status || strcmp(status, "ok") == 0;

    if (h && (!ok || ok != *was_ok))
        cf_hub_publish(p->o.hub, "health", CF_STR_NONE, CF_STR_NONE, h);
    *was_ok = ok;
    json_decref(h);
}

void pipeline_flush_staged(struct cf_pipeline *p)
{
    struct cf_error err = {0};

    if (p->o.db && p->staged && cf_staged_flush(p->staged, p->o.db, &err) < 0)
        cf_log_warn("pipeline", "hits of staged rules not written down", "reason=\"%s\"", err.msg);
}

/* Merges take half as much processor as everything else together. While there is a backlog they wait, as long as there are not so
 * many parts that searches or inserts suffer. */
static void hold_merges(struct cf_pipeline *p, int64_t now)
{
    struct cf_pipeline_stats s;
    struct cf_error err = {0};
    int64_t parts = 0;
    bool hold;

    if (!p->o.events)
        return;
    cf_pipeline_get_stats(p, &s);
    hold = p->merges_held ? s.queue_bytes > BACKLOG_GONE : s.queue_bytes > BACKLOG && now >= p->merges_free_us;
    if (hold == p->merges_held && !hold)
        return;
    if (cf_event_store_merges(p->o.events, !hold, &parts, &err) < 0) {
        cf_log_warn("pipeline", "merges not held back or let go", "reason=\"%s\"", err.msg);
        return;
    }
    if (hold && parts > PARTS_MAX) {
        hold = false;
        p->merges_free_us = now + MERGE_US;
        (void)cf_event_store_merges(p->o.events, true, NULL, &err);
    }
    p->merges_held = hold;
}

void *pipeline_keeper_main(void *arg)
{
    struct cf_pipeline *p = arg;
    int64_t tick_us = 0, commit_us = 0, stats_us = 0, store_us = 0, sources_us = 0, keys_us = 0, silent_us = 0, saved_us = cf_now_us();
    bool ok = true;

    while (!atomic_load(&p->stop)) {
        int64_t now = cf_mono_us();

        if (atomic_exchange(&p->assets_dirty, false))
            pipeline_load_tables(p);
        if (now - commit_us >= COMMIT_US) {
            pipeline_commit(p, false);
            commit_us = now;
        }
        if (now - tick_us >= CF_US_PER_S) {
            tick(p, now);
            quality_tick(p, cf_now_us());
            hold_merges(p, now);
            tick_us = now;
        }
        if (now - stats_us >= STATS_US) {
            publish(p);
            publish_health(p, &ok);
            pipeline_flush_staged(p);
            stats_us = now;
        }
        if (now - store_us >= STORE_US || store_us == 0) {
            refresh_store(p);
            store_us = cf_mono_us();
        }
        if (now - silent_us >= SILENT_US || silent_us == 0) {
            quality_check_silent(p);
            silent_us = now;
        }
        if (now - sources_us >= SOURCES_US) {
            int64_t at = cf_now_us();

            save_sources(p, saved_us);
            saved_us = at;
            sources_us = now;
        }
        if (p->o.db && (now - keys_us >= KEYS_US || keys_us == 0)) {
            struct cf_error err = {0};

            if (bulk_keys_forget(p->o.db, cf_now_us(), &err) < 0)
                cf_log_warn("pipeline", "old Idempotency-Keys not removed", "reason=\"%s\"", err.msg);
            keys_us = now;
        }
        (void)usleep(STEP_US);
    }
    save_sources(p, saved_us); /* the last commit is done by cf_pipeline_stop, after the workers */
    return NULL;
}
