/* SPDX-License-Identifier: Apache-2.0
 * A step that was checked: the item's new state, number and clock, its history, children and parent. Inside the caller's transaction. */
#include "workflow/step.h"

#include <stdlib.h>

#define DEPTH_MAX 8

bool wf_row_exists(struct cf_tx *tx, const char *sql, cf_str id)
{
    struct cf_stmt *st = NULL;
    bool yes = cf_tx_query(tx, sql, &st, NULL, CF_S(id)) == 0 && cf_stmt_next(st, NULL) == 1;

    cf_stmt_free(st);
    return yes;
}

const json_t *wf_data_list(const json_t *data, cf_str field)
{
    char name[65];
    const json_t *v;

    (void)snprintf(name, sizeof(name), "%.*s", CF_ARG(field));
    v = field.p ? json_object_get(data, name) : NULL;
    return json_is_array(v) ? v : NULL;
}

/* Earliest moment the clock thread must look at the item again; 0: never. */
static int64_t next_check(const struct wf_item *it)
{
    const struct wf_clock *k = &it->def->states[it->state].clock;
    int64_t span = it->due_us - it->clock_start_us, at = 0;

    if (!it->due_us || !it->def->states[it->state].has_clock)
        return 0;
    if (!it->overdue)
        at = it->due_us;
    for (size_t i = 0; i < k->n_remind; i++)
        if (k->remind[i] > it->reminded) {
            int64_t t = it->clock_start_us + span / 100 * k->remind[i];

            if (!at || t < at)
                at = t;
            break;
        }
    return at;
}

int wf_step_insert(struct wf_step *s, const struct wf_item *it, const struct cf_work_new *n)
{
    return cf_tx_exec(s->tx,
                      "INSERT INTO work_item (id, kind, version, number, title, state, level, org_id, issuer_org_id, parent_id, root_id, created_by, created_us, "
                      "updated_us, entered_us, issued_us, clock_name, clock_start_us, due_us, next_check_us, data, source_type, source_id, dedup_key) "
                      "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                      s->err, CF_Z(it->id), CF_S(it->kind), CF_I(it->version), CF_S(it->number), CF_S(it->title), CF_S(it->def->states[it->state].id), CF_S(it->level),
                      CF_S(it->org), CF_S(it->issuer_org), CF_S(it->parent_id), CF_S(it->root_id), CF_S(it->created_by), CF_I(s->now_us), CF_I(s->now_us),
                      CF_I(it->entered_us), it->issued_us ? CF_I(it->issued_us) : CF_NUL, CF_S(it->clock_name), it->due_us ? CF_I(it->clock_start_us) : CF_NUL,
                      it->due_us ? CF_I(it->due_us) : CF_NUL, next_check(it) ? CF_I(next_check(it)) : CF_NUL, CF_Z(wf_dump(s->a, it->data)),
                      CF_S(n ? n->source_type : CF_STR_NONE), CF_S(n ? n->source_id : CF_STR_NONE), CF_S(n ? n->dedup_key : CF_STR_NONE));
}

int wf_step_log(struct wf_step *s, const struct wf_item *it, const char *action, cf_str from, cf_str note, const json_t *form)
{
    const struct wf_log l = {s->who, cf_str_c(it->id), cf_str_c(action), from, it->def->states[it->state].id, note, form};

    return wf_history(s->tx, s->a, &l, s->err);
}

int wf_step_save(struct wf_step *s, const struct wf_item *it, int64_t was_revision)
{
    const struct cf_dbval v[] = {
        CF_S(it->number), CF_S(it->title), CF_S(it->def->states[it->state].id), CF_I(it->done), CF_S(it->level), CF_I(s->now_us), CF_I(it->entered_us),
        it->issued_us ? CF_I(it->issued_us) : CF_NUL, it->finished_us ? CF_I(it->finished_us) : CF_NUL, CF_S(it->clock_name),
        it->due_us ? CF_I(it->clock_start_us) : CF_NUL, it->due_us ? CF_I(it->due_us) : CF_NUL, next_check(it) ? CF_I(next_check(it)) : CF_NUL, CF_I(it->reminded),
        CF_I(it->overdue), CF_I(it->urged), CF_Z(wf_dump(s->a, it->data)), CF_Z(it->id), CF_I(was_revision)};
    int64_t changed = 0;
    int r = cf_tx_execv(s->tx,
                        "UPDATE work_item SET number = ?, title = ?, state = ?, done = ?, level = ?, updated_us = ?, entered_us = ?, issued_us = ?, finished_us = ?, "
                        "clock_name = ?, clock_start_us = ?, due_us = ?, next_check_us = ?, reminded = ?, overdue = ?, urged = ?, data = ?, revision = revision + 1 "
                        "WHERE id = ? AND revision = ?",
                        v, sizeof(v) / sizeof(v[0]), &changed, s->err);

    if (r == 0 && changed == 0)
        return cf_error_set(s->err, CF_ECONFLICT, "%s", s->english ? "somebody else changed this item; load it again" : "该事项已被他人更新，请刷新后再操作");
    return r;
}

static int next_number(struct wf_step *s, struct wf_item *it)
{
    cf_str name = CF_STR_NONE, year_s, seq_s;
    struct cf_stmt *st = NULL;
    unsigned month, day;
    int year, r;

    if (!it->def->number.p || it->number.n)
        return 0;
    cf_civil_from_days((s->now_us + INT64_C(8) * 3600 * CF_US_PER_S) / CF_US_PER_DAY, &year, &month, &day);
    name = cf_arena_printf(s->a, "%.*s/%.*s/%d", CF_ARG(it->kind), CF_ARG(it->issuer_org), year);
    r = cf_tx_query(s->tx, "INSERT INTO number_seq (name, value) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = number_seq.value + 1 RETURNING value", &st, s->err,
                    CF_S(name));
    if (r == 0)
        r = cf_stmt_next(st, s->err);
    if (r == 1) {
        struct cf_buf b;
        cf_str rest = it->def->number;
        ptrdiff_t y, q;

        year_s = cf_arena_printf(s->a, "%d", year);
        seq_s = cf_arena_printf(s->a, "%lld", (long long)cf_stmt_i64(st, 0));
        cf_buf_init(&b, 512);
        while (rest.n) { /* {year} and {seq} */
            y = cf_str_starts(rest, CF_STR("{year}"));
            q = cf_str_starts(rest, CF_STR("{seq}"));
            if (y || q) {
                cf_buf_str(&b, y ? year_s : seq_s);
                rest = cf_str_sub(rest, y ? 6 : 5, rest.n);
            } else {
                cf_buf_byte(&b, rest.p[0]);
                rest = cf_str_sub(rest, 1, rest.n);
            }
        }
        it->number = cf_arena_copy(s->a, cf_buf_view(&b));
        cf_buf_release(&b);
        r = 0;
    }
    cf_stmt_free(st);
    return r < 0 ? r : 0;
}

/* One child for each receiver. */
static int spawn_one(struct wf_step *s, const struct wf_item *parent, const struct wf_transition *t, const struct cf_workflow *def, cf_str org)
{
    struct wf_item it = {.def = def, .kind = def->id, .version = def->version, .state = def->initial, .number = parent->number, .title = parent->title,
                         .level = parent->level, .org = org, .issuer_org = parent->parent_id.n ? parent->org : parent->issuer_org, .parent_id = cf_str_c(parent->id),
                         .root_id = parent->root_id, .created_by = s->who ? s->who->user_id : parent->created_by, .created_us = s->now_us, .issued_us = s->now_us};
    int r;

    it.data = json_object();
    cf_uuid7(it.id);
    wf_clock_enter(s->tx, &it, it.state, s->now_us);
    r = wf_step_insert(s, &it, NULL);
    if (r == 0)
        r = wf_step_log(s, &it, "deliver", CF_STR_NONE, CF_STR_NONE, NULL);
    if (r == 0)
        r = wf_todo_write(s->e, s->tx, &it, s->err);
    if (r == 0)
        r = wf_notify_all(s->e, s->tx, s->a, &it, &t->notify, s->who, CF_STR_NONE, s->err);
    if (r == 0)
        r = wf_effect(s->fx, it.id, s->err);
    wf_item_release(&it);
    return r;
}

static int spawn_children(struct wf_step *s, const struct wf_item *it, const struct wf_transition *t, const json_t *data)
{
    const struct cf_workflow *def = cf_workflow_find(s->e, it->def->child, 0);
    const json_t *list = wf_data_list(data, t->spawn_field.p ? t->spawn_field : it->def->receivers_field);
    size_t i;
    json_t *v;
    int r = 0;

    if (!def)
        return cf_error_set(s->err, CF_ECORRUPT, "workflow \"%.*s\" of the receivers is not loaded", CF_ARG(it->def->child));
    if (!list)
        return cf_error_set(s->err, CF_EINVAL, "%s", s->english ? "no receiver is chosen" : "未选择接收单位");
    json_array_foreach(list, i, v)
    {
        cf_str org = cf_str_c(json_string_value(v));

        if (r == 0 && (!wf_row_exists(s->tx, "SELECT 1 FROM organisation WHERE id = ? AND active = 1", org) || (s->who && !cf_scope_has_org(s->tx, s->who, org))))
            r = cf_error_set(s->err, CF_EINVAL, s->english ? "receiver %.*s is outside your scope" : "接收单位 %.*s 不在权限范围内", CF_ARG(cf_text_cut(org, 60)));
        if (r == 0 && t->spawn_field.p && cf_str_eq(org, it->org))
            r = cf_error_set(s->err, CF_EINVAL, "%s", s->english ? "a unit cannot hand down to itself" : "不能转办给本单位");
        if (r == 0)
            r = spawn_one(s, it, t, def, org);
    }
    return r;
}

static int child_ids(struct wf_step *s, const char *id, bool open_only, char (**ret)[37], size_t *ret_n)
{
    struct cf_stmt *st = NULL;
    size_t n = 0, cap = 512;
    int r = cf_tx_query(s->tx, open_only ? "SELECT id FROM work_item WHERE parent_id = ? AND done = 0 ORDER BY id LIMIT 512" : "SELECT id FROM work_item WHERE parent_id = ? ORDER BY id LIMIT 512",
                        &st, s->err, CF_Z(id));

    *ret = cf_arena_zalloc(s->a, cap * sizeof(**ret));
    if (!*ret)
        r = cf_error_set(s->err, CF_ENOMEM, "out of memory");
    while (r == 0 && n < cap && (r = cf_stmt_next(st, s->err)) == 1) {
        (void)snprintf((*ret)[n++], 37, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
        r = 0;
    }
    cf_stmt_free(st);
    *ret_n = n;
    return r < 0 ? r : 0;
}

static int system_step(struct wf_step *s, cf_str id, cf_str transition, cf_str note)
{
    struct wf_step sub = *s;
    struct wf_item it = {0};
    const struct wf_transition *t;
    int r = wf_item_read(s->e, s->tx, s->a, id, &it, s->err);

    sub.who = NULL;
    sub.depth++;
    if (sub.depth > DEPTH_MAX)
        r = cf_error_set(s->err, CF_ELIMIT, "items are nested too deeply");
    if (r == 0) {
        t = wf_transition_find(it.def, transition);
        if (t && wf_from_has(t, it.state))
            r = wf_step_run(&sub, &it, t, note, NULL, NULL);
    }
    wf_item_release(&it);
    return r;
}

static int cascade(struct wf_step *s, const struct wf_item *it, const struct wf_transition *t, cf_str note)
{
    char(*ids)[37];
    size_t n;
    int r = child_ids(s, it->id, true, &ids, &n);

    for (size_t i = 0; r == 0 && i < n; i++)
        r = system_step(s, cf_str_c(ids[i]), t->cascade, note);
    return r;
}

/* The last child came to its end: the parent may go on by itself. */
static int wake_parent(struct wf_step *s, const struct wf_item *it)
{
    struct wf_item parent = {0};
    cf_str go = CF_STR_NONE;
    int64_t open = 1;
    int r;

    if (!it->parent_id.n)
        return 0;
    r = wf_item_read(s->e, s->tx, s->a, it->parent_id, &parent, s->err);
    if (r == 0)
        r = wf_children_open(s->tx, parent.id, &open, s->err);
    for (size_t i = 0; r == 0 && open == 0 && i < parent.def->n_transitions; i++) {
        const struct wf_transition *t = &parent.def->transitions[i];

        if (t->automatic && wf_from_has(t, parent.state)) {
            go = t->id;
            break;
        }
    }
    wf_item_release(&parent);
    if (r == 0 && go.p)
        r = system_step(s, it->parent_id, go, CF_STR_NONE);
    else if (r == 0)
        r = wf_effect(s->fx, parent.id, s->err);
    return r;
}

/* Where the step leads; a state in which nobody but the actor could go on is passed over when the definition says so. */
int wf_step_target(struct wf_step *s, const struct wf_item *it, const struct wf_transition *t)
{
    if (t->to < 0)
        return it->state;
    return t->to_if_nobody >= 0 && !wf_somebody_else(s->tx, s->a, s->who, it, t->to) ? t->to_if_nobody : t->to;
}

static bool waits_for_issuer(const struct wf_item *it)
{
    for (size_t i = 0; i < it->def->n_transitions; i++) {
        const struct wf_transition *t = &it->def->transitions[i];

        if (!t->system && t->todo && t->who.side == WF_ISSUER && wf_from_has(t, it->state))
            return true;
    }
    return false;
}

/* When a receiver signed and first fed back, for the ledger: the first leave of the first state, the first time the issuer's side has to act. */
static int mark_progress(struct wf_step *s, const struct wf_item *it, int from)
{
    const char *sql = NULL;

    if (!it->parent_id.n || from == it->state)
        return 0;
    if (from == it->def->initial)
        sql = "UPDATE work_item SET signed_us = COALESCE(signed_us, ?) WHERE id = ?";
    else if (waits_for_issuer(it))
        sql = "UPDATE work_item SET fed_back_us = COALESCE(fed_back_us, ?) WHERE id = ?";
    return sql && s->who ? cf_tx_exec(s->tx, sql, s->err, CF_I(s->now_us), CF_Z(it->id)) : 0;
}

/* Makes the step; everything was checked. form: what goes into history; spawn_data: where hand-down receivers stand. */
int wf_step_run(struct wf_step *s, struct wf_item *it, const struct wf_transition *t, cf_str note, const json_t *form, const json_t *spawn_data)
{
    int from = it->state, to = wf_step_target(s, it, t), r = 0;
    cf_str from_id = it->def->states[from].id;
    int64_t revision = it->revision;

    if (t->number)
        r = next_number(s, it);
    if (t->number && !it->issued_us)
        it->issued_us = s->now_us;
    if (t->urge)
        it->urged++;
    if (to != from || it->def->states[to].edit)
        wf_clock_enter(s->tx, it, to, s->now_us);
    it->state = to;
    it->done = it->def->states[to].final;
    it->finished_us = it->done ? s->now_us : 0;
    if (r == 0)
        r = wf_step_save(s, it, revision);
    if (r == 0)
        r = mark_progress(s, it, from);
    if (r == 0) {
        char action[65];

        (void)snprintf(action, sizeof(action), "%.*s", CF_ARG(t->id));
        r = wf_step_log(s, it, action, from_id, note, form);
    }
    if (r == 0)
        r = wf_todo_write(s->e, s->tx, it, s->err);
    if (r == 0 && t->spawn)
        r = spawn_children(s, it, t, spawn_data ? spawn_data : it->data);
    else if (r == 0)
        r = wf_notify_all(s->e, s->tx, s->a, it, &t->notify, s->who, note, s->err);
    if (r == 0 && t->cascade.p)
        r = cascade(s, it, t, note);
    if (r == 0 && it->done)
        r = wake_parent(s, it);
    if (r == 0)
        r = wf_effect(s->fx, it->id, s->err);
    return r;
}
