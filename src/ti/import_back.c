/* SPDX-License-Identifier: Apache-2.0
 * Imports that did not come to their end: taken back at once, again and again when that fails, and at the next start when the server
 * ended meanwhile. Until it is done the import keeps the place and its state, so its rows do not match and are not given. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ti/import_job.h"

#define AGAIN_MAX_S 60

static int64_t rows_kept(const struct ti_job *j)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int64_t n = 0;

    if (cf_tx_begin(j->ti->o.db, CF_TX_READ, &tx, NULL) == 0 &&
        cf_tx_query(tx, "SELECT COUNT(*) FROM ti_indicator WHERE added_us = ? AND source_id = ?", &st, NULL, CF_I(j->stamp_us), CF_Z(j->source.id)) == 0 && cf_stmt_next(st, NULL) == 1)
        n = cf_stmt_i64(st, 0);
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return n;
}

/* False: the server ends. */
static bool wait_a_while(struct cf_ti *ti, int seconds)
{
    struct timespec until;
    int rc = 0;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    (void)pthread_mutex_lock(&ti->mu);
    while (!atomic_load(&ti->ending) && rc == 0)
        rc = pthread_cond_timedwait(&ti->wake_place, &ti->mu, &until);
    (void)pthread_mutex_unlock(&ti->mu);
    return !atomic_load(&ti->ending);
}

/* ---- at once, and again ------------------------------------------------------------------------------------------------------- */

static int take_back(struct ti_job *j, const struct cf_error *why, struct cf_error *reterr)
{
    bool cancelled = why->code == CF_ECANCELLED;
    int r = ti_job_write_state(j->ti->o.db, j->id, "undoing", NULL, NULL, j->format, reterr);

    ti_job_shows(j, "undoing");
    if (r == 0)
        r = ti_undo_run(j->ti->o.db, j->id, j->source.id, j->stamp_us, reterr);
    if (r < 0)
        return r;
    (void)json_object_set_new(j->report, "kept", json_integer(rows_kept(j)));
    ti_job_end(j, cancelled ? "cancelled" : "failed", j->report, cancelled ? NULL : why->msg, j->format);
    cf_ti_changed(j->ti);
    return 0;
}

/* What is left to do when the first time did not do. */
struct again {
    struct ti_job *j;
    struct cf_error why;
};

static void *again_main(void *arg)
{
    struct again *a = arg;
    int seconds = 1;

    while (wait_a_while(a->j->ti, seconds)) {
        struct cf_error err = {0};

        if (take_back(a->j, &a->why, &err) == 0)
            break;
        seconds = seconds * 2 > AGAIN_MAX_S ? AGAIN_MAX_S : seconds * 2;
        cf_log_error("ti", "an import was not taken back; it is tried again", "id=%s seconds=%d reason=\"%s\"", a->j->id, seconds, err.msg);
    }
    ti_job_free(a->j);
    free(a);
    return NULL;
}

/* The thread before has given up the place: it ends now or has ended. */
static int start_thread(struct cf_ti *ti, void *(*fn)(void *), void *arg, struct cf_error *reterr)
{
    int r;

    (void)pthread_mutex_lock(&ti->importer_mu);
    if (ti->importer_on)
        (void)pthread_join(ti->importer, NULL);
    ti->importer_on = pthread_create(&ti->importer, NULL, fn, arg) == 0;
    r = ti->importer_on ? 0 : cf_error_set(reterr, CF_EIO, "the thread of imports does not start");
    (void)pthread_mutex_unlock(&ti->importer_mu);
    return r;
}

/* Takes j. background: its thread is the importer's. */
static void not_complete(struct ti_job *j, const struct cf_error *why, bool background)
{
    struct cf_error err = {0};
    struct again *a;

    if (j->stopped || take_back(j, why, &err) == 0) {
        ti_job_free(j);
        return;
    }
    cf_log_error("ti", "an import was not taken back; it is tried again", "id=%s seconds=1 reason=\"%s\"", j->id, err.msg);
    a = malloc(sizeof *a);
    if (a)
        *a = (struct again){.j = j, .why = *why};
    if (a && background) {
        (void)again_main(a);
    } else if (!a || start_thread(j->ti, again_main, a, &err) < 0) {
        cf_log_error("ti", "an import is not taken back before the next start", "id=%s reason=\"%s\"", j->id, a ? err.msg : "no memory");
        free(a);
        ti_job_free(j);
    }
}

int ti_job_run(struct ti_job *j, json_t **ret_report, struct cf_error *reterr)
{
    int r = ti_job_work(j, reterr);

    if (r < 0) {
        not_complete(j, reterr, false);
        return r;
    }
    if (ret_report)
        *ret_report = json_incref(j->report);
    ti_job_free(j);
    return 0;
}

static void *importer_main(void *arg)
{
    struct ti_job *j = arg;
    struct cf_error err = {0};

    if (ti_job_work(j, &err) < 0) {
        cf_log_info("ti", "an import ended early", "id=%s reason=\"%s\"", j->id, err.msg);
        not_complete(j, &err, true);
    } else {
        ti_job_free(j);
    }
    return NULL;
}

int ti_job_start(struct ti_job *j, struct cf_error *reterr)
{
    int r;

    ti_job_shows(j, "running");
    r = start_thread(j->ti, importer_main, j, reterr);
    if (r < 0) {
        ti_job_end(j, "failed", NULL, reterr->msg, NULL);
        ti_job_free(j);
    }
    return r;
}

void ti_job_stop(struct cf_ti *ti)
{
    (void)pthread_mutex_lock(&ti->importer_mu);
    if (ti->importer_on)
        (void)pthread_join(ti->importer, NULL);
    ti->importer_on = false;
    (void)pthread_mutex_unlock(&ti->importer_mu);
}

/* ---- after a crash ------------------------------------------------------------------------------------------------------------ */

/* What the last run of the server left, known before a new import can begin: one that begins meanwhile is none of it. */
struct left_over {
    struct ti_job j;
    char state[16];
};
struct left_overs {
    struct cf_ti *ti;
    struct left_over *one; /* owned; first those that may have written, then the oldest */
    size_t n, cap;
};

static void left_overs_free(struct left_overs *l)
{
    if (l)
        free(l->one);
    free(l);
}

static void copy(char *out, size_t cap, cf_str s) { (void)snprintf(out, cap, "%.*s", CF_ARG(s)); }

static int add_left_over(struct left_overs *l, const struct cf_stmt *st, struct cf_error *reterr)
{
    struct left_over *x;

    if (!cf_grow((void **)&l->one, &l->cap, l->n + 1, sizeof *l->one))
        return cf_error_set(reterr, CF_ENOMEM, "imports");
    x = &l->one[l->n++];
    *x = (struct left_over){.j = {.ti = l->ti, .fd = -1, .stamp_us = cf_stmt_i64(st, 2)}};
    copy(x->j.id, sizeof x->j.id, cf_stmt_str(st, 0));
    copy(x->j.source.id, sizeof x->j.source.id, cf_stmt_str(st, 1));
    copy(x->state, sizeof x->state, cf_stmt_str(st, 3));
    copy(x->j.name, sizeof x->j.name, cf_stmt_str(st, 4));
    copy(x->j.user, sizeof x->j.user, cf_stmt_str(st, 5));
    copy(x->j.org, sizeof x->j.org, cf_stmt_str(st, 6));
    x->j.fetch = cf_str_eqz(cf_stmt_str(st, 7), "fetch");
    return 0;
}

static int find_left_overs(struct left_overs *l, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int r = cf_tx_begin(l->ti->o.db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT id, source_id, stamp_us, state, name, COALESCE(created_by, ''), org_id, kind FROM ti_import"
                            " WHERE state IN ('uploading', 'running', 'finishing', 'undoing') ORDER BY CASE WHEN state IN ('running', 'undoing') THEN 0 ELSE 1 END, created_us, id", &st, reterr);
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1)
        r = add_left_over(l, st, reterr);
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return r;
}

static int say_at_source(struct ti_job *j, const char *text, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(j->ti->o.db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE ti_source SET last_error = ? WHERE id = ?", reterr, CF_Z(text), CF_Z(j->source.id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

static int recover_one(struct ti_job *j, const char *state, struct cf_error *reterr)
{
    static const char why[] = "the server was restarted before the import was complete";
    struct cf_db *db = j->ti->o.db;
    json_t *report;
    int r;

    if (strcmp(state, "finishing") == 0) {
        r = ti_undo_forget(db, j->id, reterr);
        if (r == 0)
            ti_job_end(j, "done", NULL, NULL, NULL);
        return r;
    }
    r = strcmp(state, "uploading") == 0 ? 0 : ti_undo_run(db, j->id, j->source.id, j->stamp_us, reterr);
    if (r == 0 && j->fetch)
        r = say_at_source(j, why, reterr);
    if (r == 0) {
        report = json_pack("{s:I}", "kept", (json_int_t)rows_kept(j));
        ti_job_end(j, "interrupted", report, why, NULL);
        json_decref(report);
    }
    return r;
}

static void *recover_main(void *arg)
{
    struct left_overs *l = arg;
    bool on = true;

    for (size_t i = 0; i < l->n && on; i++) {
        struct cf_error err = {0};
        int seconds = 1;

        while (on && recover_one(&l->one[i].j, l->one[i].state, &err) < 0) {
            cf_log_error("ti", "an interrupted import was not taken back; it is tried again", "id=%s seconds=%d reason=\"%s\"", l->one[i].j.id, seconds, err.msg);
            on = wait_a_while(l->ti, seconds);
            seconds = seconds * 2 > AGAIN_MAX_S ? AGAIN_MAX_S : seconds * 2;
            err = (struct cf_error){0};
        }
    }
    cf_ti_changed(l->ti);
    left_overs_free(l);
    return NULL;
}

int ti_job_recover(struct cf_ti *ti, struct cf_error *reterr)
{
    struct left_overs *l;
    int r;

    if (!ti->o.thread)
        return 0;
    l = calloc(1, sizeof *l);
    if (!l)
        return cf_error_set(reterr, CF_ENOMEM, "imports");
    l->ti = ti;
    r = find_left_overs(l, reterr);
    if (r < 0 || l->n == 0) {
        left_overs_free(l);
        return r;
    }
    if (ti_job_take_place(&l->one[0].j, 0, reterr) == 0)
        ti_job_shows(&l->one[0].j, "undoing");
    r = start_thread(ti, recover_main, l, reterr);
    if (r < 0)
        left_overs_free(l);
    return r;
}
