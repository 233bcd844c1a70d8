/* SPDX-License-Identifier: Apache-2.0
 * Clocks: reminders at their percentages, the overdue mark, escalation. The state never changes here.
 *
 *   clock_start ----75 %---- due (100 %) --repeat--> ...
 *                remind      remind + overdue mark     escalate at its percentage */
#include "workflow/engine_int.h"

#define BATCH 200

static int64_t percent_of(const struct wf_item *it, int64_t now_us)
{
    int64_t span = it->due_us - it->clock_start_us;

    if (span <= 0)
        return now_us >= it->due_us ? 100 : 0;
    return (int64_t)((double)(now_us - it->clock_start_us) * 100.0 / (double)span);
}

/* When to look again: the next percentage not yet acted on, or the next repetition. */
static int64_t look_again(const struct wf_item *it, const struct wf_clock *k, int64_t now_us)
{
    double span = (double)(it->due_us - it->clock_start_us);
    int64_t next = 0;

    for (size_t i = 0; i < k->n_remind && !next; i++)
        if (k->remind[i] > it->reminded)
            next = it->clock_start_us + (int64_t)(span * (double)k->remind[i] / 100.0);
    if (k->escalate > it->reminded) {
        int64_t t = it->clock_start_us + (int64_t)(span * (double)k->escalate / 100.0);

        if (!next || t < next)
            next = t;
    }
    if (!it->overdue && (!next || it->due_us < next))
        next = it->due_us;
    if (!next && k->repeat_us)
        next = now_us + k->repeat_us;
    return next && next <= now_us ? now_us + CF_US_PER_S : next;
}

static int act(struct cf_workflow_engine *e, struct cf_tx *tx, struct cf_arena *a, struct wf_item *it, int64_t now_us, bool *ret_acted, struct cf_error *err)
{
    const struct wf_clock *k = &it->def->states[it->state].clock;
    int64_t p = percent_of(it, now_us), was = it->reminded;
    bool remind = false, escalate = false, overdue = now_us >= it->due_us, newly = overdue && !it->overdue;
    struct wf_log l = {.item_id = cf_str_c(it->id), .from = it->def->states[it->state].id, .to = it->def->states[it->state].id};
    int64_t next;
    int r = 0;

    for (size_t i = 0; i < k->n_remind; i++)
        if (k->remind[i] > was && p >= k->remind[i]) {
            remind = true;
            it->reminded = k->remind[i];
        }
    if (k->escalate > was && p >= k->escalate) {
        escalate = true;
        if (it->reminded < k->escalate)
            it->reminded = k->escalate;
    }
    if (!remind && !escalate && !newly && k->repeat_us && (k->n_remind == 0 || was >= k->remind[k->n_remind - 1]))
        remind = true;
    it->overdue = overdue;
    next = look_again(it, k, now_us);
    r = cf_tx_exec(tx, "UPDATE work_item SET reminded = ?, overdue = ?, overdue_count = overdue_count + ?, next_check_us = ? WHERE id = ?", err, CF_I(it->reminded),
                   CF_I(it->overdue), CF_I(newly), next ? CF_I(next) : CF_NUL, CF_Z(it->id));
    if (r == 0 && remind)
        r = wf_notify_all(e, tx, a, it, &k->notify, NULL, CF_STR_NONE, err);
    if (r == 0 && escalate)
        r = wf_notify_all(e, tx, a, it, &k->escalate_to, NULL, CF_STR_NONE, err);
    l.action = escalate ? CF_STR("escalate") : newly ? CF_STR("overdue") : CF_STR("remind");
    if (r == 0 && (newly || escalate || remind))
        r = wf_history(tx, a, &l, err);
    *ret_acted = newly || escalate || remind;
    return r;
}

static int due_items(struct cf_tx *tx, struct cf_arena *a, int64_t now_us, cf_str *ids, size_t *ret_n, struct cf_error *err)
{
    struct cf_stmt *st = NULL;
    size_t n = 0;
    int r = cf_tx_query(tx, "SELECT id FROM work_item WHERE done = 0 AND next_check_us <= ? ORDER BY next_check_us LIMIT 200", &st, err, CF_I(now_us));

    while (r == 0 && n < BATCH && (r = cf_stmt_next(st, err)) == 1) {
        ids[n++] = cf_arena_copy(a, cf_stmt_str(st, 0));
        r = 0;
    }
    cf_stmt_free(st);
    *ret_n = n;
    return r < 0 ? r : 0;
}

static int tick_batch(struct cf_workflow_engine *e, int64_t now_us, size_t *ret_seen, size_t *acted, struct cf_error *reterr)
{
    struct cf_work_effects fx = {0};
    struct cf_tx *tx = NULL;
    struct cf_arena a;
    cf_str ids[BATCH];
    size_t n = 0;
    int r;

    cf_arena_init(&a, 0, 0);
    r = cf_tx_begin(e->o.db, CF_TX_READ, &tx, reterr); /* most looks find nothing: no write lock for them */
    if (r == 0)
        r = due_items(tx, &a, now_us, ids, &n, reterr);
    cf_tx_rollback(&tx);
    if (r == 0 && n)
        r = cf_tx_begin(e->o.db, CF_TX_WRITE, &tx, reterr);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct wf_item it;
        bool did = false;

        r = wf_item_read(e, tx, &a, ids[i], &it, reterr);
        if (r == 0 && !it.done && it.due_us && it.def->states[it.state].has_clock)
            r = act(e, tx, &a, &it, now_us, &did, reterr);
        else if (r == 0)
            r = cf_tx_exec(tx, "UPDATE work_item SET next_check_us = NULL WHERE id = ?", reterr, CF_S(ids[i]));
        if (r == 0 && did) {
            ++*acted;
            r = wf_effect(&fx, it.id, reterr);
        }
        wf_item_release(&it);
    }
    if (r == 0 && n)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0 && n)
        cf_work_publish(e, &fx);
    else
        cf_work_forget(&fx);
    cf_arena_release(&a);
    *ret_seen = n;
    return r;
}

int cf_workflow_tick(struct cf_workflow_engine *e, int64_t now_us, size_t *ret_acted, struct cf_error *reterr)
{
    size_t acted = 0, seen = 0;
    int r;

    do {
        r = tick_batch(e, now_us, &seen, &acted, reterr);
    } while (r == 0 && seen == BATCH);
    if (ret_acted)
        *ret_acted = acted;
    return r;
}
