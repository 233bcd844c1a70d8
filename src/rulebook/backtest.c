/* SPDX-License-Identifier: Apache-2.0
 * Back-tests: a rule over the events of the last days, in the background. Each stored event is normalised again from its kept
 * original (the source's own names, which rules may use, are not in the table) and given to the detector that the pipeline
 * uses; where a record cannot be read alone (it needed its neighbours), the event is taken as stored. One job at a time, oldest
 * first; a job's rows are in the records, so that it can be looked at later and starts again after a restart. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "normalise/normalise.h"
#include "rulebook/rulebook.h"
#include "rulebook/tally.h"

struct cf_backtests {
    struct cf_backtest_env env;
    pthread_t thread;
    pthread_mutex_t mu; /* below */
    pthread_cond_t more;
    bool stop, asked;   /* asked: look for work again */
    char running[37];   /* id of the job that runs */
    _Atomic bool cancel;
};

struct job {
    struct cf_backtests *b;
    struct cf_arena a; /* the job's texts */
    char id[37];
    cf_str rule_id, yaml, query, scope, beside; /* beside: a JSON list of texts; empty: none */
    int64_t from_us, to_us, max_events;
    struct cf_ruleset *rs;
    struct cf_norm_thread *norm;
    struct cf_detector *det;
    struct cf_arena batch;
    struct cf_event_scope sc;
    struct cf_tally *tally;
    uint64_t stored, total;
    int64_t saved_us;
};

/* ---- reading one slice ---- */

static int reread(struct job *j, const struct cf_stored *x, struct cf_event **ret)
{
    struct cf_record rec = {.raw = x->original, .source = x->source, .format = CF_STR(""), .peer = CF_STR(""), .org = x->org, .received_us = x->received_us ? x->received_us : x->time_us};
    int r = cf_normalise(j->norm, &j->batch, &rec, ret);

    if (r < 0)
        return r;
    if (!cf_str_eq((*ret)->source, x->source) || ((*ret)->flags & CF_EV_HEADER)) {
        *ret = NULL;
        return 0;
    }
    (*ret)->time_us = x->time_us; /* as decided when it came in */
    (*ret)->received_us = rec.received_us;
    return x->org.n ? cf_event_set(*ret, CF_F_ORGANIZATION_ID, x->org) : 0;
}

/* Events of the rows; what cannot be read alone is fetched as stored. */
static int read_all(struct job *j, const struct cf_stored *rows, size_t n, struct cf_event **ev, struct cf_error *reterr)
{
    cf_str *ids = CF_NEW_N(&j->batch, cf_str, n + 1);
    size_t *at = CF_NEW_N(&j->batch, size_t, n + 1), m = 0;
    struct cf_event **got = CF_NEW_N(&j->batch, struct cf_event *, n + 1);
    int r = ids && at && got ? 0 : cf_error_set(reterr, CF_ENOMEM, "no memory");

    for (size_t i = 0; r == 0 && i < n; i++) {
        r = reread(j, &rows[i], &ev[i]);
        if (r < 0)
            return cf_error_set(reterr, r, "an event could not be read: %s", cf_err_text(r));
        if (!ev[i]) {
            at[m] = i;
            ids[m++] = cf_str_c(rows[i].id);
        }
    }
    for (size_t i = 0; r == 0 && i < m; i += 500) {
        size_t k = m - i < 500 ? m - i : 500;

        r = cf_event_fetch(j->b->env.events, &j->sc, ids + i, k, &j->batch, got, reterr);
        for (size_t q = 0; r == 0 && q < k; q++)
            ev[at[i + q]] = got[q];
    }
    j->stored += m;
    return r;
}

static bool of_text(const struct cf_hit *h) { return cf_str_eqz(h->rule->file, CF_RULE_TEXT_FILE); }

static int save_progress(struct job *j, uint64_t done, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int64_t now = cf_mono_us();
    int r;

    if (now - j->saved_us < CF_US_PER_S / 2)
        return 0;
    j->saved_us = now;
    r = cf_tx_begin(j->b->env.db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE rule_backtest SET done = ?, total = ? WHERE id = ?", reterr, CF_I(done), CF_I(j->total), CF_Z(j->id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

static int on_rows(void *ctx, const struct cf_stored *rows, size_t n, uint64_t done, struct cf_error *reterr)
{
    struct job *j = ctx;
    struct cf_event **ev;
    int r;

    if (atomic_load(&j->b->cancel))
        return cf_error_set(reterr, CF_ECANCELLED, "cancelled");
    cf_arena_reset(&j->batch);
    ev = CF_NEW_N(&j->batch, struct cf_event *, n);
    if (!ev)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    r = read_all(j, rows, n, ev, reterr);
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct cf_hit *hit = NULL;
        size_t n_hit = 0;

        if (!ev[i])
            continue;
        ev[i]->seq = done - n + i;
        r = cf_detect(j->det, ev[i], &hit, &n_hit);
        if (r < 0)
            return cf_error_set(reterr, r, "%s", cf_err_text(r));
        for (size_t k = 0; k < n_hit; k++)
            if (of_text(&hit[k]))
                cf_tally_hit(j->tally, &hit[k], rows[i].id);
    }
    cf_tally_covered(j->tally, n ? rows[n - 1].time_us : 0);
    return r < 0 ? r : save_progress(j, done, reterr);
}

/* ---- one job ---- */

static int parse_scope(struct job *j, struct cf_error *reterr)
{
    json_t *v = json_loadb(j->scope.p, j->scope.n, 0, NULL), *one, *orgs = json_object_get(v, "orgs");
    cf_str *list = CF_NEW_N(&j->a, cf_str, json_array_size(orgs) + 1);
    size_t i;

    if (!v || !list) {
        json_decref(v);
        return cf_error_set(reterr, CF_ECORRUPT, "the job's scope cannot be read");
    }
    j->sc.all = json_is_true(json_object_get(v, "all"));
    json_array_foreach(orgs, i, one) list[j->sc.n_orgs++] = cf_arena_copy(&j->a, cf_str_c(json_string_value(one)));
    j->sc.orgs = list;
    json_decref(v);
    return 0;
}

/* The waiting texts that were found when the job was made join the library. */
static int join_beside(struct job *j, struct cf_rules_options *lib, struct cf_error *reterr)
{
    json_t *list = j->beside.n ? json_loadb(j->beside.p, j->beside.n, 0, NULL) : json_array(), *v;
    size_t n = lib->n_texts + json_array_size(list), i;
    cf_str *t = CF_NEW_N(&j->a, cf_str, n + 1), *f = CF_NEW_N(&j->a, cf_str, n + 1);

    if (!json_is_array(list) || !t || !f) {
        json_decref(list);
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the texts");
    }
    for (i = 0; i < lib->n_texts; i++) {
        t[i] = lib->texts[i];
        f[i] = lib->text_files ? lib->text_files[i] : CF_STR("stored");
    }
    json_array_foreach(list, i, v)
    {
        t[lib->n_texts + i] = cf_arena_copy(&j->a, cf_str_n(json_string_value(v), json_string_length(v)));
        f[lib->n_texts + i] = CF_STR(CF_RULE_BESIDE_FILE);
    }
    json_decref(list);
    lib->texts = t;
    lib->text_files = f;
    lib->n_texts = n;
    return 0;
}

/* [{id, title}] of the waiting rules that the text under test was tried with. */
static json_t *beside_json(const struct cf_ruleset *rs)
{
    json_t *list = json_array();

    for (size_t i = 0; i < cf_ruleset_count(rs); i++) {
        const struct cf_rule_info *r = cf_ruleset_rule(rs, i);

        if (cf_str_eqz(r->file, CF_RULE_BESIDE_FILE))
            (void)json_array_append_new(list, json_pack("{s:s%,s:s%}", "id", r->id.p, r->id.n, "title", r->title.p, r->title.n));
    }
    return list;
}

static int compile(struct job *j, struct cf_error *reterr)
{
    struct cf_rules_options lib = {0};
    int r = j->b->env.library(j->b->env.ctx, &j->a, &lib, reterr);

    if (r == 0 && j->beside.n)
        r = join_beside(j, &lib, reterr);
    if (r == 0)
        r = cf_rulebook_compile(&lib, j->yaml, &j->rs, reterr);
    if (r < 0)
        return r;
    cf_ruleset_corr_options(j->rs, 0, (size_t)64 << 20); /* events come in order of time */
    j->det = cf_detector_new(j->rs);
    return j->det ? 0 : cf_error_set(reterr, CF_ENOMEM, "no memory");
}

static int flush(struct job *j, struct cf_error *reterr)
{
    const struct cf_hit *hit = NULL;
    size_t n = 0;
    int r;

    cf_arena_reset(&j->batch);
    r = cf_detect_flush(j->det, &j->batch, &hit, &n);
    if (r < 0)
        return cf_error_set(reterr, r, "%s", cf_err_text(r));
    for (size_t i = 0; i < n; i++)
        if (of_text(&hit[i]))
            cf_tally_hit(j->tally, &hit[i], NULL);
    return 0;
}

static int run_job(struct job *j, json_t **ret, struct cf_error *reterr)
{
    struct cf_search q = {.query = j->query, .from_us = j->from_us, .to_us = j->to_us};
    const struct cf_normaliser *n;
    int64_t t0 = cf_mono_us();
    void *box = NULL;
    int r = parse_scope(j, reterr);

    q.scope = j->sc;
    n = r == 0 ? j->b->env.normaliser(j->b->env.ctx, &box) : NULL;
    if (r == 0 && !n)
        r = cf_error_set(reterr, CF_EUNSUPPORTED, "detection is switched off");
    if (r == 0 && !(j->norm = cf_norm_thread_new(n)))
        r = cf_error_set(reterr, CF_ENOMEM, "no memory");
    if (r == 0)
        r = compile(j, reterr);
    if (r == 0 && !(j->tally = cf_tally_new()))
        r = cf_error_set(reterr, CF_ENOMEM, "no memory");
    if (r == 0)
        r = cf_tally_alerts(j->tally, j->b->env.db, &j->sc, j->rule_id, j->from_us, j->to_us, reterr);
    if (r == 0)
        r = cf_event_count(j->b->env.events, &q, &j->total, reterr);
    if (r == 0)
        r = cf_event_scan(j->b->env.events, &q, (uint64_t)j->max_events, on_rows, j, reterr);
    if (r == 0)
        r = flush(j, reterr);
    if (r == 0) {
        double s = (double)(cf_mono_us() - t0) / 1e6;
        uint64_t done = j->total < (uint64_t)j->max_events ? j->total : (uint64_t)j->max_events;

        *ret = cf_tally_json(j->tally);
        (void)json_object_set_new(*ret, "events", json_integer((json_int_t)done));
        (void)json_object_set_new(*ret, "read_as_stored", json_integer((json_int_t)j->stored));
        (void)json_object_set_new(*ret, "limited", json_boolean(j->total > (uint64_t)j->max_events));
        (void)json_object_set_new(*ret, "waiting", beside_json(j->rs));
        (void)json_object_set_new(*ret, "seconds", json_real(s));
        (void)json_object_set_new(*ret, "events_per_second", json_real(s > 0 ? (double)done / s : 0));
    }
    cf_tally_free(j->tally);
    cf_detector_free(j->det);
    cf_ruleset_free(j->rs);
    cf_norm_thread_free(j->norm);
    if (n)
        j->b->env.normaliser_put(j->b->env.ctx, box);
    return r;
}

static int finish(struct job *j, const char *state, json_t *result, const char *error, struct cf_error *reterr)
{
    char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(j->b->env.db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE rule_backtest SET state = ?, result = ?, error = ?, total = ?, done = CASE WHEN ? = 'done' THEN ? ELSE done END, ended_us = ? WHERE id = ?", reterr,
                       CF_Z(state), CF_Z(text), CF_Z(error), CF_I(j->total), CF_Z(state), CF_I(j->total < (uint64_t)j->max_events ? j->total : (uint64_t)j->max_events),
                       CF_I(cf_now_us()), CF_Z(j->id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    free(text);
    return r;
}

/* The oldest waiting job; CF_ENOENT when there is none. */
static int take(struct job *j, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int r = cf_tx_begin(j->b->env.db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT id, rule_id, yaml, query, scope, from_us, to_us, max_events, beside FROM rule_backtest WHERE state = 'queued' ORDER BY created_us LIMIT 1", &st, reterr);
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)snprintf(j->id, sizeof j->id, "%.*s", (int)(cf_stmt_str(st, 0).n < 36 ? cf_stmt_str(st, 0).n : 36), cf_stmt_str(st, 0).p);
        j->rule_id = cf_arena_copy(&j->a, cf_stmt_str(st, 1));
        j->yaml = cf_arena_copy(&j->a, cf_stmt_str(st, 2));
        j->query = cf_arena_copy(&j->a, cf_stmt_str(st, 3));
        j->scope = cf_arena_copy(&j->a, cf_stmt_str(st, 4));
        j->from_us = cf_stmt_i64(st, 5);
        j->to_us = cf_stmt_i64(st, 6);
        j->max_events = cf_stmt_i64(st, 7);
        j->beside = cf_stmt_null(st, 8) ? CF_STR("") : cf_arena_copy(&j->a, cf_stmt_str(st, 8));
        r = j->yaml.p && j->scope.p ? 0 : cf_error_set(reterr, CF_ENOMEM, "no memory");
    } else if (r == 0) {
        r = CF_ENOENT;
    }
    cf_stmt_free(st);
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE rule_backtest SET state = 'running', started_us = ?, done = 0 WHERE id = ?", reterr, CF_I(cf_now_us()), CF_Z(j->id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

/* True when there may be more. */
static bool one(struct cf_backtests *b)
{
    struct job *j = calloc(1, sizeof *j);
    struct cf_error err = {0}, err2 = {0};
    json_t *result = NULL;
    bool stopping;
    int r;

    if (!j)
        return false;
    j->b = b;
    cf_arena_init(&j->a, 0, 0);
    cf_arena_init(&j->batch, (size_t)1 << 20, (size_t)512 << 20);
    r = take(j, &err);
    if (r < 0) {
        if (r != CF_ENOENT)
            cf_log_error("rulebook", "back-tests cannot be read", "reason=\"%s\"", err.msg);
        cf_arena_release(&j->a);
        cf_arena_release(&j->batch);
        free(j);
        return false;
    }
    (void)pthread_mutex_lock(&b->mu);
    memcpy(b->running, j->id, sizeof b->running);
    (void)pthread_mutex_unlock(&b->mu);
    r = run_job(j, &result, &err);
    (void)pthread_mutex_lock(&b->mu);
    b->running[0] = '\0';
    stopping = b->stop;
    atomic_store(&b->cancel, stopping);
    (void)pthread_mutex_unlock(&b->mu);
    if (r == CF_ECANCELLED && stopping)
        r = finish(j, "queued", NULL, NULL, &err2); /* begins again after the restart */
    else
        r = finish(j, r == 0 ? "done" : r == CF_ECANCELLED ? "cancelled" : "failed", result, r < 0 ? err.msg : NULL, &err2);
    if (r < 0)
        cf_log_error("rulebook", "a back-test's result was not written", "reason=\"%s\"", err2.msg);
    json_decref(result);
    cf_arena_release(&j->a);
    cf_arena_release(&j->batch);
    free(j);
    return r == 0;
}

static void *thread_main(void *arg)
{
    struct cf_backtests *b = arg;
    bool stop = false;

    while (!stop) {
        while (one(b)) {
            (void)pthread_mutex_lock(&b->mu);
            stop = b->stop;
            (void)pthread_mutex_unlock(&b->mu);
            if (stop)
                break;
        }
        (void)pthread_mutex_lock(&b->mu);
        while (!b->stop && !b->asked)
            (void)pthread_cond_wait(&b->more, &b->mu);
        b->asked = false;
        stop = b->stop;
        (void)pthread_mutex_unlock(&b->mu);
    }
    return NULL;
}

/* ---- from outside ---- */

int cf_backtests_start(const struct cf_backtest_env *env, struct cf_backtests **ret, struct cf_error *reterr)
{
    struct cf_backtests *b = calloc(1, sizeof *b);
    struct cf_tx *tx = NULL;
    int r;

    if (!b)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    b->env = *env;
    r = cf_tx_begin(env->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE rule_backtest SET state = 'queued', done = 0 WHERE state = 'running'", reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    (void)pthread_mutex_init(&b->mu, NULL);
    (void)pthread_cond_init(&b->more, NULL);
    if (r == 0 && pthread_create(&b->thread, NULL, thread_main, b) != 0)
        r = cf_error_set(reterr, CF_ENOMEM, "no thread for the back-tests");
    if (r < 0)
        free(b);
    else
        *ret = b;
    return r;
}

void cf_backtests_stop(struct cf_backtests *b)
{
    if (!b)
        return;
    (void)pthread_mutex_lock(&b->mu);
    b->stop = true;
    atomic_store(&b->cancel, true);
    (void)pthread_cond_signal(&b->more);
    (void)pthread_mutex_unlock(&b->mu);
    (void)pthread_join(b->thread, NULL);
    (void)pthread_cond_destroy(&b->more);
    (void)pthread_mutex_destroy(&b->mu);
    free(b);
}

static char *scope_text(const struct cf_event_scope *s)
{
    json_t *orgs = json_array(), *o;
    char *t;

    for (size_t i = 0; i < s->n_orgs; i++)
        (void)json_array_append_new(orgs, json_stringn(s->orgs[i].p, s->orgs[i].n));
    o = json_pack("{s:b,s:o}", "all", s->all, "orgs", orgs);
    t = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return t;
}

/* A JSON list; NULL: none, or no memory. */
static char *beside_text(const struct cf_backtest_request *q)
{
    json_t *list = json_array();
    char *text;

    for (size_t i = 0; i < q->n_beside; i++)
        (void)json_array_append_new(list, json_stringn(q->beside[i].p, q->beside[i].n));
    text = q->n_beside ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    return text;
}

int cf_backtest_add(struct cf_backtests *b, const struct cf_backtest_request *q, char ret_id[37], struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    char *scope = scope_text(&q->scope), *beside = beside_text(q);
    int64_t waiting = 0;
    int r = scope && (beside || !q->n_beside) ? cf_tx_begin(b->env.db, CF_TX_WRITE, &tx, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory");

    if (r == 0)
        r = cf_tx_query(tx, "SELECT COUNT(*) FROM rule_backtest WHERE state = 'queued'", &st, reterr);
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        waiting = cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    if (r == 0 && waiting >= 50)
        r = cf_error_set(reterr, CF_EBUSY, "50 back-tests are waiting already; cancel some or wait");
    cf_uuid7(ret_id);
    if (r == 0)
        r = cf_tx_exec(tx,
                       "INSERT INTO rule_backtest (id, rule_id, title, yaml, query, from_us, to_us, max_events, scope, beside, state, done, total, user_id, user_name, created_us) VALUES "
                       "(?,?,?,?,?,?,?,?,?,?,'queued',0,0,?,?,?)",
                       reterr, CF_Z(ret_id), CF_S(q->rule_id), CF_S(q->title), CF_S(q->yaml), CF_S(q->query), CF_I(q->from_us), CF_I(q->to_us), CF_I(q->max_events), CF_Z(scope), CF_Z(beside),
                       CF_S(q->who.id), CF_S(q->who.name), CF_I(cf_now_us()));
    if (r == 0) /* the newest 500 are kept */
        r = cf_tx_exec(tx,
                       "DELETE FROM rule_backtest WHERE state NOT IN ('queued', 'running') AND id NOT IN (SELECT id FROM rule_backtest ORDER BY created_us DESC LIMIT 500)", reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    free(scope);
    free(beside);
    if (r == 0) {
        (void)pthread_mutex_lock(&b->mu);
        b->asked = true;
        (void)pthread_cond_signal(&b->more);
        (void)pthread_mutex_unlock(&b->mu);
    }
    return r;
}

int cf_backtest_cancel(struct cf_backtests *b, cf_str id, struct cf_error *reterr)
{
    const struct cf_dbval v[] = {CF_I(cf_now_us()), CF_S(id)};
    struct cf_tx *tx = NULL;
    int64_t changed = 0;
    int r = cf_tx_begin(b->env.db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_execv(tx, "UPDATE rule_backtest SET state = 'cancelled', ended_us = ? WHERE id = ? AND state = 'queued'", v, 2, &changed, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r < 0 || changed)
        return r;
    (void)pthread_mutex_lock(&b->mu);
    if (cf_str_eqz(id, b->running))
        atomic_store(&b->cancel, true);
    else
        r = cf_error_set(reterr, CF_ECONFLICT, "the back-test has ended already");
    (void)pthread_mutex_unlock(&b->mu);
    return r;
}
