/* SPDX-License-Identifier: Apache-2.0
 * Correlation windows across kill -9 and across a change of rules.
 *
 * Before the spool is committed up to a position, the windows are written down up to the same position: entries of events behind
 * it are left out, because the replay brings them again. So the file and the spool always fit each other, whatever moment the
 * process ends at. A commit that did not get through leaves events in both; they are told by their number and not counted twice. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "pipeline/pipeline_int.h"

#define TRIES 10          /* commits put off because a batch was just being handed out */
#define SLOW_SHARE 20     /* writing windows may take a twentieth of the time */
#define PAUSE_MAX_S 10    /* a change of rules waits this long for running batches */

static void path_of(const struct cf_pipeline *p, char path[4200]) { (void)snprintf(path, 4200, "%s/correlation.state", p->data_dir); }

static bool before(struct cf_spool_pos a, struct cf_spool_pos b) { return a.seg < b.seg || (a.seg == b.seg && a.off < b.off); }

/* The batch's first record, before anything of it is counted. */
int pipeline_flight_begin(struct worker *w)
{
    struct cf_pipeline *p = w->p;
    struct cf_spool_frame f;
    int r = 0;

    w->batch.at = 0;
    if (!cf_spool_batch_frame(&w->batch, &f))
        f.seq = UINT64_MAX; /* nothing readable in it */
    w->batch.at = 0;
    w->last_seq = 0;
    (void)pthread_mutex_lock(&p->flight_mu);
    if (p->n_flights == p->cap_flights) {
        size_t cap = p->cap_flights ? p->cap_flights * 2 : 64;
        struct flight *v = realloc(p->flight, cap * sizeof *v);

        if (v) {
            p->flight = v;
            p->cap_flights = cap;
        } else {
            r = CF_ENOMEM;
        }
    }
    if (r == 0)
        p->flight[p->n_flights++] = (struct flight){w->batch.start, f.seq};
    (void)pthread_mutex_unlock(&p->flight_mu);
    return r;
}

void pipeline_flight_end(struct worker *w)
{
    (void)pthread_mutex_lock(&w->p->flight_mu);
    if (w->last_seq + 1 > w->p->next_seq)
        w->p->next_seq = w->last_seq + 1;
    (void)pthread_mutex_unlock(&w->p->flight_mu);
}

/* Number of the first event that is not before pos. False: a batch behind pos was handed out this moment and is not known yet. */
static bool first_after(struct cf_pipeline *p, struct cf_spool_pos pos, uint64_t *ret)
{
    uint64_t least = UINT64_MAX; /* a batch in which nothing is readable has no number */
    size_t kept = 0;
    bool at_pos = false;

    (void)pthread_mutex_lock(&p->flight_mu);
    for (size_t i = 0; i < p->n_flights; i++) {
        struct flight f = p->flight[i];

        if (before(f.start, pos))
            continue;
        p->flight[kept++] = f;
        least = f.first < least ? f.first : least;
        at_pos = at_pos || !before(pos, f.start);
    }
    p->n_flights = kept;
    *ret = least != UINT64_MAX ? least : p->next_seq;
    (void)pthread_mutex_unlock(&p->flight_mu);
    return kept == 0 || at_pos;
}

/* Writes the windows as they are at pos. False: not now, the commit waits. */
bool pipeline_windows_at(struct cf_pipeline *p, struct cf_spool_pos pos, bool last)
{
    struct cf_corr_mark mark = {.origin = cf_spool_id(p->spool)};
    struct cf_shared_box *box;
    struct cf_corr_counters c;
    struct cf_error err = {0};
    int64_t from = cf_mono_us();
    char path[4200];

    if (!last && from < p->windows_after_us)
        return false;
    if (!first_after(p, pos, &mark.seq) && !last && ++p->windows_tries < TRIES)
        return false;
    p->windows_tries = 0;
    box = cf_shared_get(&p->rules);
    if (!box)
        return true;
    cf_ruleset_corr_counters(box->p, &c);
    if (c.keys || p->windows_written) {
        path_of(p, path);
        if (cf_ruleset_corr_save(box->p, path, &mark, &err) < 0)
            cf_log_warn("pipeline", "correlation windows not saved", "reason=\"%s\"", err.msg);
        p->windows_written = c.keys > 0;
    }
    cf_shared_put(&p->rules, box);
    p->windows_after_us = cf_mono_us() + (cf_mono_us() - from) * SLOW_SHARE;
    return true;
}

/* At the start, when the spool is open and no worker runs. */
void pipeline_windows_load(struct cf_pipeline *p)
{
    struct cf_shared_box *box = cf_shared_get(&p->rules);
    struct cf_corr_mark mark = {0};
    struct cf_error err = {0};
    char path[4200];
    size_t n = 0;

    path_of(p, path);
    if (box && access(path, R_OK) == 0) {
        if (cf_ruleset_corr_load(box->p, path, &n, &mark, &err) < 0) {
            cf_log_warn("pipeline", "correlation windows start empty", "reason=\"%s\"", err.msg);
        } else {
            p->windows_written = true;
            if (mark.origin == cf_spool_id(p->spool)) {
                cf_ruleset_corr_skip(box->p, mark.seq);
                p->next_seq = mark.seq;
            }
            cf_log_info("pipeline", "correlation windows loaded", "windows=%zu", n);
        }
    }
    cf_shared_put(&p->rules, box);
}

/* Swaps the rules between two batches of every worker: the windows go over with every entry, and no event is without rules. */
int pipeline_swap_rules(struct cf_pipeline *p, struct cf_ruleset *rs, void (*free_fn)(void *), struct cf_error *reterr)
{
    struct cf_shared_box *old = cf_shared_get(&p->rules);
    struct timespec until;
    bool locked;
    int r = 0;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PAUSE_MAX_S;
    locked = pthread_rwlock_timedwrlock(&p->batches_lock, &until) == 0;
    if (!locked)
        cf_log_warn("pipeline", "a batch does not end (is the store there?): events of this moment may be missing in correlation windows", "waited=%d", PAUSE_MAX_S);
    if (old && cf_ruleset_corr_move(rs, old->p, reterr) < 0)
        cf_log_warn("pipeline", "correlation windows start empty", "reason=\"%s\"", reterr->msg);
    if (cf_shared_set(&p->rules, rs, free_fn) < 0)
        r = cf_error_set(reterr, CF_ENOMEM, "rules");
    if (locked)
        (void)pthread_rwlock_unlock(&p->batches_lock);
    cf_shared_put(&p->rules, old);
    return r;
}
