/* SPDX-License-Identifier: Apache-2.0
 * One worker: a batch of the spool, in chunks of up to 4,096 records with one arena, becomes one insert.
 *
 *   batch -> chunk: normalise, enrich, detect, add to block, fold hits -> ... -> insert(token) -> done
 *
 * Hits are folded chunk by chunk, before the insert: both steps are idempotent by token, so their order does not matter after
 * a crash, and the arena of a chunk stays small enough for the processor's caches. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pipeline/pipeline_int.h"
#include "pipeline/quality.h"

#define CHUNK_ARENA ((size_t)96 << 20) /* a chunk ends early when its arena holds this much */

/* ---- reading the batch record by record ------------------------------------------------------------------------ */

static void pick_key(struct worker *w, cf_str key)
{
    struct cf_counter *c;

    if (key.n >= CF_COUNTER_KEY)
        key.n = CF_COUNTER_KEY - 1;
    for (size_t i = 0; i < w->n_keys; i++)
        if (w->key[i].key_n == key.n && memcmp(w->key[i].key, key.p, key.n) == 0) {
            w->cur_key = i;
            return;
        }
    c = cf_counters_get(w->p->counters, key, w->frame.origin.org);
    if (w->n_keys == WORKER_KEYS) { /* rare: hand the counts of one entry over and reuse it */
        struct worker_key *k = &w->key[w->frame.seq % WORKER_KEYS];

        atomic_fetch_add(&k->counter->stored, k->stored);
        atomic_fetch_add(&k->counter->failed, k->failed);
        atomic_fetch_add(&k->counter->unparsed, k->unparsed);
        atomic_fetch_add(&k->counter->today_unparsed, k->unparsed);
        w->cur_key = (size_t)(k - w->key);
    } else {
        w->cur_key = w->n_keys++;
    }
    w->key[w->cur_key] = (struct worker_key){.counter = c, .key_n = key.n};
    memcpy(w->key[w->cur_key].key, key.p, key.n);
}

static bool read_record(struct worker *w, struct cf_record *rec)
{
    uint32_t len;

    while (w->frame_at == w->frame.n) {
        if (!cf_spool_batch_frame(&w->batch, &w->frame))
            return false;
        w->frame_at = 0;
        w->frame_bytes = w->frame.bytes;
        pick_key(w, w->frame.origin.key);
        if (w->batch.replay && !w->again) { /* counted by an earlier run; this run has to count it for its own sums */
            struct cf_counter *c = w->key[w->cur_key].counter;

            atomic_fetch_add(&c->received, w->frame.n);
            atomic_fetch_add(&c->accepted, w->frame.n);
        }
    }
    memcpy(&len, w->frame.lens + (size_t)w->frame_at * 4, 4);
    *rec = (struct cf_record){
        .raw = {(const char *)w->frame_bytes, len}, .source = w->frame.origin.source, .format = w->frame.origin.format,
        .peer = w->frame.origin.peer, .org = w->frame.origin.org, .received_us = w->frame.origin.received_us,
        .seq = w->frame.seq + w->frame_at,
    };
    w->last_seq = rec->seq;
    w->frame_bytes += len;
    w->frame_at++;
    return true;
}

/* Parts of events that are given as a whole are passed over; they count as stored with it. */
static bool next_record(struct worker *w, struct cf_record *rec)
{
    while (read_record(w, rec)) {
        if (assembly_take(w, rec) != ASSEMBLED_PART)
            return true;
        if (!w->again)
            w->key[w->cur_key].stored++;
    }
    return false;
}

/* ---- one chunk ---------------------------------------------------------------------------------------------------- */

/* How a rule is switched; NULL: on. */
static const struct rule_switch *switch_of(const struct cf_shared_box *box, cf_str id)
{
    const struct rule_switches *d = box ? box->p : NULL;
    size_t lo = 0, hi = d ? d->n : 0;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = cf_str_cmp(d->v[mid].id, id);

        if (c == 0)
            return &d->v[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static bool hits_grow(struct worker *w, size_t more)
{
    size_t cap = w->cap_hits ? w->cap_hits : 256;
    void *a, *b, *c;

    if (w->n_hits + more <= w->cap_hits)
        return true;
    while (cap < w->n_hits + more)
        cap *= 2;
    a = realloc(w->hit, cap * sizeof *w->hit);
    if (a)
        w->hit = a;
    b = realloc(w->hit_id, cap * sizeof *w->hit_id);
    if (b)
        w->hit_id = b;
    c = realloc(w->hit_id_str, cap * sizeof *w->hit_id_str);
    if (c)
        w->hit_id_str = c;
    if (!a || !b || !c)
        return false;
    w->cap_hits = cap;
    return true;
}

static int keep_hits(struct worker *w, const struct cf_hit *hits, size_t n, const struct cf_shared_box *off)
{
    if (!hits_grow(w, n))
        return CF_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct rule_switch *sw = switch_of(off, hits[i].rule->id);

        if (sw && sw->staged) {
            char id[37];

            cf_event_id(hits[i].ev, id);
            cf_staged_note(w->p->staged, &hits[i], id);
        }
        if (sw)
            continue;
        w->hit[w->n_hits] = hits[i];
        cf_event_id(hits[i].ev, w->hit_id[w->n_hits].text);
        w->n_hits++;
    }
    return 0;
}

static int one_record(struct worker *w, const struct cf_record *rec, cf_str ingested, const struct cf_shared_box *off)
{
    const struct cf_hit *hits = NULL;
    struct cf_event *ev = NULL;
    size_t n_hits = 0;
    int r = cf_normalise(w->norm, &w->arena, rec, &ev);

    if (r < 0)
        return r;
    ev->seq = rec->seq;
    ev->received_us = rec->received_us;
    if (ev->flags & (CF_EV_UNPARSED | CF_EV_UNRECOGNISED))
        quality_mark_unparsed(ev, &w->frame.origin);
    else if ((rec->seq & 15u) == 0 && !w->again)
        quality_sample(w->key[w->cur_key].counter, ev);
    if (w->enrich_box)
        (void)cf_enrich(w->enrich_box->p, ev, rec, ingested); /* an event too full for one more field is stored without it */
    if ((ev->flags & (CF_EV_UNPARSED | CF_EV_UNRECOGNISED)) && !w->again) {
        w->key[w->cur_key].unparsed++;
        pipeline_note_unparsed(w->p, &w->frame.origin, rec->raw, cf_event_get(ev, CF_F_ERROR_MESSAGE));
    }
    if (w->ti) { /* before detection: rules may ask for threat.* */
        r = cf_ti_inspect(w->ti, ev, w->now_us, !w->again, &hits, &n_hits);
        if (r == 0 && n_hits)
            r = keep_hits(w, hits, n_hits, off);
        if (r < 0)
            return r;
    }
    if (w->detector && !w->again) {
        r = cf_detect(w->detector, ev, &hits, &n_hits);
        if (r == 0 && n_hits)
            r = keep_hits(w, hits, n_hits, off);
        if (r < 0)
            return r;
    }
    return cf_event_block_add(w->block, ev);
}

/* Hands the hits of a chunk to the incident engine, as long as it takes. False: stopping. */
static bool fold_hits(struct worker *w, uint64_t first_seq)
{
    struct cf_pipeline *p = w->p;
    int64_t delay = 50000;
    char token[96];

    if (w->n_hits == 0)
        return true;
    for (size_t i = 0; i < w->n_hits; i++)
        w->hit_id_str[i] = cf_str_c(w->hit_id[i].text);
    (void)snprintf(token, sizeof token, "%s.%llx", w->batch.token, (unsigned long long)first_seq);
    while (p->o.incidents) {
        struct cf_error err = {0};

        cf_crash_point("pipeline.before_fold");
        if (cf_incident_fold(p->o.incidents, w->hit, w->hit_id_str, w->n_hits, cf_str_c(token), &err) == 0)
            break;
        atomic_fetch_add(&p->fold_retries, 1);
        cf_log_warn("pipeline", "alerts not stored, trying again", "reason=\"%s\" hits=%zu", err.msg, w->n_hits);
        if (atomic_load(&p->stop))
            return false;
        (void)usleep((useconds_t)delay);
        delay = delay < 2000000 ? delay * 2 : delay;
    }
    cf_crash_point("pipeline.after_fold");
    atomic_fetch_add(&p->hits, w->n_hits);
    return true;
}

/* Up to CF_BATCH_MAX records. *ret_more false at the end of the batch. False: stopping. */
static bool run_chunk(struct worker *w, const struct cf_shared_box *off, bool *ret_more)
{
    struct cf_record rec;
    char time_text[32];
    cf_str ingested;
    uint64_t first = 0;
    size_t n = 0;
    bool ok;

    w->now_us = cf_now_us();
    ingested = (cf_str){time_text, cf_time_format(w->now_us, time_text)};
    w->n_hits = 0;
    *ret_more = false;
    while (n < CF_BATCH_MAX && w->arena.used < CHUNK_ARENA) {
        int r;

        if (!next_record(w, &rec))
            break;
        *ret_more = true;
        if (n++ == 0)
            first = rec.seq;
        r = one_record(w, &rec, ingested, off);
        if (w->again)
            continue;
        if (r < 0) {
            w->key[w->cur_key].failed++;
            cf_log_error("pipeline", "record lost", "reason=\"%s\" seq=%llx", cf_err_text(r), (unsigned long long)rec.seq);
        } else {
            w->key[w->cur_key].stored++;
        }
    }
    ok = w->again || fold_hits(w, first);
    cf_arena_reset(&w->arena);
    return ok;
}

/* ---- one batch ---------------------------------------------------------------------------------------------------- */

static void note_store(struct cf_pipeline *p, const struct cf_error *err)
{
    (void)pthread_mutex_lock(&p->mu);
    if (err) {
        (void)snprintf(p->store_reason, sizeof p->store_reason, "%.230s", err->msg);
        if (atomic_load(&p->store_failing_since) == 0)
            atomic_store(&p->store_failing_since, cf_now_us());
    } else if (atomic_load(&p->store_failing_since) != 0) {
        atomic_store(&p->store_failing_since, 0);
        cf_log_info("pipeline", "event store works again", "after=\"%s\"", p->store_reason);
    }
    (void)pthread_mutex_unlock(&p->mu);
}

/* Waits before the next try of an insert. False: stopping. */
static bool wait_retry(struct cf_pipeline *p, int64_t *delay)
{
    for (int64_t slept = 0; slept < *delay; slept += 50000) {
        if (atomic_load(&p->stop))
            return false;
        (void)usleep(50000);
    }
    *delay = *delay < 5000000 ? *delay * 2 : *delay;
    return true;
}

/* Inserts the block, as often as it takes; the spool holds everything meanwhile. *ret_split (may be NULL): set, with nothing
 * inserted, when the engine has not the memory for the block as a whole. False: stopping. */
static bool insert_block(struct worker *w, const char *token, bool *ret_split)
{
    struct cf_pipeline *p = w->p;
    int64_t delay = 100000;
    bool again = w->batch.replay || w->again; /* parts: the whole had failed */

    while (p->o.events && cf_event_block_rows(w->block) > 0) {
        struct cf_error err = {0};
        int r;

        cf_crash_point("pipeline.before_insert");
        r = cf_event_store_insert(p->o.events, w->block, cf_str_c(token), again, &err);
        if (r == 0) {
            note_store(p, NULL);
            break;
        }
        atomic_fetch_add(&p->store_retries, 1);
        again = true; /* it may have failed with all done, or with nothing */
        if ((r == CF_ELIMIT || r == CF_ENOMEM) && ret_split && cf_event_block_rows(w->block) > CF_BATCH_MAX &&
            cf_event_block_one_day(w->block) && worker_split_mark(w)) {
            cf_log_warn("pipeline", "events not stored, trying again in parts", "reason=\"%s\" rows=%zu", err.msg, cf_event_block_rows(w->block));
            *ret_split = true;
            return true;
        }
        cf_log_warn("pipeline", "events not stored, trying again", "reason=\"%s\" rows=%zu", err.msg, cf_event_block_rows(w->block));
        note_store(p, &err);
        if (!wait_retry(p, &delay))
            return false;
    }
    cf_crash_point("pipeline.after_insert");
    return true;
}

static void count_batch(struct worker *w)
{
    for (size_t i = 0; i < w->n_keys; i++) {
        struct worker_key *k = &w->key[i];

        atomic_fetch_add_explicit(&k->counter->stored, k->stored, memory_order_relaxed);
        atomic_fetch_add_explicit(&k->counter->failed, k->failed, memory_order_relaxed);
        atomic_fetch_add_explicit(&k->counter->unparsed, k->unparsed, memory_order_relaxed);
        atomic_fetch_add_explicit(&k->counter->today_unparsed, k->unparsed, memory_order_relaxed);
        k->stored = k->failed = k->unparsed = 0;
    }
    atomic_fetch_add_explicit(&w->p->batches, 1, memory_order_relaxed);
}

/* Takes the newest rules and source files; rebuilds this worker's own state when they changed. */
static int take_content(struct worker *w)
{
    struct cf_pipeline *p = w->p;

    w->norm_box = cf_shared_get(&p->norm);
    w->rules_box = cf_shared_get(&p->rules);
    w->enrich_box = cf_shared_get(&p->enrich);
    if (p->o.ti && !w->ti)
        w->ti = cf_ti_thread_new(p->o.ti);
    else if (w->ti)
        cf_ti_thread_take(w->ti);
    if (w->norm_box && w->norm_gen != w->norm_box->generation) {
        cf_norm_thread_free(w->norm);
        w->norm = cf_norm_thread_new(w->norm_box->p);
        w->norm_gen = w->norm_box->generation;
    }
    if (w->rules_box && w->rules_gen != w->rules_box->generation) {
        (void)pthread_mutex_lock(&w->detector_mu);
        if (w->detector && cf_rule_ledger_add(p->ledger, w->detector) < 0)
            cf_log_warn("pipeline", "figures per rule start again", "reason=\"no memory\"");
        cf_detector_free(w->detector);
        w->detector = cf_detector_new(w->rules_box->p);
        w->rules_gen = w->rules_box->generation;
        (void)pthread_mutex_unlock(&w->detector_mu);
        if (!w->detector) {
            w->rules_gen = 0;
            return CF_ENOMEM;
        }
    }
    if (!w->norm)
        w->norm_gen = 0;
    return w->norm ? 0 : CF_ENOMEM;
}

/* Back to the first record of the batch, with an empty block. */
static void rewind_batch(struct worker *w)
{
    memset(&w->frame, 0, sizeof w->frame);
    w->frame_at = 0;
    w->batch.at = 0;
    w->assembly.at = 0;
    cf_event_block_clear(w->block);
}

/* The whole batch once more, one insert a chunk, token.0, token.1, ...: a chunk is made of the same records each time. */
static bool run_parts(struct worker *w)
{
    bool more = true;

    rewind_batch(w);
    for (unsigned i = 0; more; i++) {
        char token[sizeof w->batch.token + 16];

        if (!run_chunk(w, NULL, &more))
            return false;
        (void)snprintf(token, sizeof token, "%s.%u", w->batch.token, i);
        if (!insert_block(w, token, NULL))
            return false;
        cf_event_block_clear(w->block);
    }
    return true;
}

/* A batch is one insert, or one a chunk where the engine had not the memory for it. That is written down before the first part
 * goes, because the parts have other tokens than the whole: a replay after a crash must take the same way. */
static bool run_batch(struct worker *w)
{
    struct cf_shared_box *off = cf_shared_get(&w->p->switches);
    bool split = w->batch.replay && worker_split_marked(w), ok = true, more = true;

    w->n_keys = 0;
    w->again = false;
    assembly_begin(w);
    rewind_batch(w);
    while (ok && more)
        ok = run_chunk(w, off, &more);
    cf_shared_put(&w->p->switches, off);
    if (ok && !split)
        ok = insert_block(w, w->batch.token, &split);
    if (ok && split) {
        w->again = true; /* counted, detected and folded already */
        ok = run_parts(w);
    }
    if (ok)
        count_batch(w);
    return ok;
}

static void give_back(struct cf_shared *s, struct cf_shared_box **b)
{
    cf_shared_put(s, *b);
    *b = NULL;
}

/* Header lines of the batch take effect before any worker gets a batch that comes behind it. */
static void announce(struct worker *w)
{
    struct cf_pipeline *p = w->p;
    struct cf_shared_box *box = cf_shared_get(&p->norm);
    struct cf_spool_frame f;

    if (box && (!p->announcer || p->announcer_box != box)) {
        cf_norm_thread_free(p->announcer);
        p->announcer = cf_norm_thread_new(box->p);
        struct cf_shared_box *old = p->announcer_box;
        p->announcer_box = box;
        box = old;
    }
    cf_shared_put(&p->norm, box);
    w->batch.at = 0;
    while (p->announcer && cf_spool_batch_frame(&w->batch, &f)) {
        bool csv = cf_str_eqz(f.origin.format, "csv");
        const uint8_t *at = f.bytes;
        for (uint32_t i = 0; i < f.n; i++) {
            uint32_t len;
            memcpy(&len, f.lens + (size_t)i * 4, 4);
            if (len && (*at == '#' || csv)) {
                struct cf_record rec = {.raw = {(const char *)at, len}, .source = f.origin.source, .format = f.origin.format, .peer = f.origin.peer, .org = f.origin.org,
                                        .received_us = f.origin.received_us, .seq = f.seq + i};
                cf_norm_announce(p->announcer, &p->announcer_arena, &rec);
                cf_arena_reset(&p->announcer_arena);
            }
            at += len;
        }
    }
    w->batch.at = 0;
}

static int next_batch(struct worker *w, struct cf_error *reterr)
{
    struct cf_pipeline *p = w->p;
    int r;

    (void)pthread_mutex_lock(&p->order_mu);
    r = cf_spool_next(p->spool, &w->batch, 1000, reterr);
    if (r > 0)
        announce(w);
    (void)pthread_mutex_unlock(&p->order_mu);
    return r;
}

/* The boxes of norm and rules stay held by the worker's own state until they are replaced: a box is given back only when a
 * newer one was taken. */
void *pipeline_worker_main(void *arg)
{
    struct worker *w = arg;
    struct cf_pipeline *p = w->p;

    (void)pthread_setname_np(pthread_self(), "cf-worker");
    while (!atomic_load(&p->stop)) {
        struct cf_shared_box *norm = w->norm_box, *rules = w->rules_box, *enrich = w->enrich_box;
        struct cf_error err = {0};
        int r = next_batch(w, &err);
        bool ok;

        if (r < 0) {
            cf_log_error("pipeline", "spool not readable", "reason=\"%s\"", err.msg);
            (void)usleep(200000);
        }
        if (r <= 0)
            continue;
        (void)pthread_rwlock_rdlock(&p->batches_lock);
        while ((pipeline_flight_begin(w) < 0 || take_content(w) < 0) && !atomic_load(&p->stop)) { /* no memory: the batch waits */
            give_back(&p->norm, &w->norm_box);
            give_back(&p->rules, &w->rules_box);
            give_back(&p->enrich, &w->enrich_box);
            (void)usleep(200000);
        }
        give_back(&p->norm, &norm);
        give_back(&p->rules, &rules);
        give_back(&p->enrich, &enrich);
        if (w->detector)
            cf_detector_part_begin(w->detector);
        ok = w->norm && run_batch(w);
        if (w->detector)
            cf_detector_part_end(w->detector);
        if (ok) {
            pipeline_flight_end(w);
            cf_spool_done(p->spool, &w->batch);
        }
        (void)pthread_rwlock_unlock(&p->batches_lock);
        if (w->ti)
            cf_ti_thread_done(w->ti);
        if (!ok)
            break;
    }
    return NULL;
}

void worker_release(struct worker *w)
{
    cf_norm_thread_free(w->norm);
    cf_detector_free(w->detector);
    cf_ti_thread_free(w->ti);
    cf_shared_put(&w->p->norm, w->norm_box);
    cf_shared_put(&w->p->rules, w->rules_box);
    cf_shared_put(&w->p->enrich, w->enrich_box);
    if (w->block)
        cf_event_block_free(w->block);
    cf_spool_batch_release(&w->batch);
    cf_arena_release(&w->arena);
    assembly_release(&w->assembly);
    free(w->hit);
    free(w->hit_id);
    free(w->hit_id_str);
    (void)pthread_mutex_destroy(&w->detector_mu);
}
