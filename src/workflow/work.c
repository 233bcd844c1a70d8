/* SPDX-License-Identifier: Apache-2.0
 * What happens to an item: creation, transitions, editing, children. One call is one step inside the caller's transaction. */
#include "workflow/engine_int.h"

#include <stdlib.h>

struct step {
    struct cf_workflow_engine *e;
    struct cf_tx *tx;
    struct cf_arena *a;
    const struct cf_principal *who;
    struct cf_work_effects *fx;
    struct cf_error *err;
    int64_t now_us;
    bool english;
    int depth; /* parent <-> child chains */
};
#define DEPTH_MAX 8

static int transit(struct step *s, struct wf_item *it, const struct wf_transition *t, cf_str note, const json_t *form, const json_t *spawn_data);

struct ref_ctx {
    struct cf_tx *tx;
    const struct cf_principal *who;
};
static bool row_exists(struct cf_tx *tx, const char *sql, cf_str id)
{
    struct cf_stmt *st = NULL;
    bool yes = cf_tx_query(tx, sql, &st, NULL, CF_S(id)) == 0 && cf_stmt_next(st, NULL) == 1;

    cf_stmt_free(st);
    return yes;
}
static bool ref_exists(void *vctx, enum cf_form_ref kind, cf_str id)
{
    struct ref_ctx *c = vctx;

    if (kind == CF_REF_ORG)
        return row_exists(c->tx, "SELECT 1 FROM organisation WHERE id = ? AND active = 1", id) && (!c->who || cf_scope_has_org(c->tx, c->who, id));
    if (kind == CF_REF_USER)
        return row_exists(c->tx, "SELECT 1 FROM app_user WHERE id = ? AND active = 1", id);
    return row_exists(c->tx, "SELECT 1 FROM attachment WHERE id = ?", id);
}

static int check_form(struct step *s, cf_str form_id, const json_t *data, bool draft, json_t **ret_clean, json_t **ret_errors)
{
    const struct cf_form *f = form_id.p && s->e->o.forms ? cf_form_find(s->e->o.forms, form_id) : NULL;
    struct ref_ctx rc = {s->tx, s->who};
    const struct cf_form_check chk = {.draft = draft, .english = s->english, .ref = ref_exists, .ctx = &rc};
    int r;

    if (!f) {
        *ret_clean = json_object();
        return 0;
    }
    r = cf_form_validate(s->e->o.forms, f, data, &chk, ret_clean, ret_errors);
    if (r < 0)
        (void)cf_error_set(s->err, CF_EINVAL, "%s", s->english ? "some fields are not filled in as they should be" : "表单内容有误，请按提示修改");
    return r;
}

static cf_str data_text(const json_t *data, cf_str field)
{
    char name[65];

    if (!field.p)
        return CF_STR_NONE;
    (void)snprintf(name, sizeof(name), "%.*s", CF_ARG(field));
    return cf_str_c(json_string_value(json_object_get(data, name)));
}

static const json_t *data_list(const json_t *data, cf_str field)
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

static int insert_item(struct step *s, const struct wf_item *it, const struct cf_work_new *n)
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

static int log_step(struct step *s, const struct wf_item *it, const char *action, cf_str from, cf_str note, const json_t *form)
{
    const struct wf_log l = {s->who, cf_str_c(it->id), cf_str_c(action), from, it->def->states[it->state].id, note, form};

    return wf_history(s->tx, s->a, &l, s->err);
}

/* Two items concern the same units when their receivers overlap, or when one of them has none yet. */
static bool overlap(const json_t *a, const json_t *b)
{
    size_t i, k;
    json_t *x, *y;

    if (json_array_size(a) == 0 || json_array_size(b) == 0)
        return true;
    json_array_foreach(a, i, x) json_array_foreach(b, k, y) if (json_equal(x, y)) return true;
    return false;
}

static int check_duplicate(struct step *s, const struct cf_workflow *def, const struct cf_work_new *n, const json_t *data, char ret_id[37])
{
    struct cf_stmt *st = NULL;
    int r;

    if (!n->dedup_key.n || n->allow_duplicate)
        return 0;
    r = cf_tx_query(s->tx, "SELECT id, title, data FROM work_item WHERE kind = ? AND dedup_key = ? AND done = 0 ORDER BY id LIMIT 200", &st, s->err, CF_S(n->kind),
                    CF_S(n->dedup_key));
    while (r == 0 && (r = cf_stmt_next(st, s->err)) == 1) {
        json_t *other = json_loadb(cf_stmt_str(st, 2).p, cf_stmt_str(st, 2).n, 0, NULL);
        bool same = !def->receivers_field.p || overlap(data_list(data, def->receivers_field), data_list(other, def->receivers_field));

        json_decref(other);
        r = 0;
        if (same) {
            (void)snprintf(ret_id, 37, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
            r = cf_error_set(s->err, CF_EEXIST, s->english ? "the same problem of the same unit is open already: %.*s (item %s)" : "同一单位的同一问题已有未办结事项：%.*s（%s）",
                             CF_ARG(cf_text_cut(cf_stmt_str(st, 1), 200)), ret_id);
        }
    }
    cf_stmt_free(st);
    return r;
}

int cf_work_create(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, const struct cf_work_new *n,
                   char ret_id[37], struct cf_work_effects *fx, json_t **ret_errors, struct cf_error *reterr)
{
    const struct cf_workflow *def = cf_workflow_find(e, n->kind, 0);
    struct wf_item it = {0};
    struct cf_arena a;
    struct step s = {.e = e, .tx = tx, .a = &a, .who = who, .fx = fx, .err = reterr, .now_us = cf_now_us(), .english = n->english};
    int r;

    if (!def)
        return cf_error_set(reterr, CF_ENOENT, "there is no workflow \"%.*s\"", CF_ARG(cf_text_cut(n->kind, 60)));
    if (!def->create_permission.p || !cf_principal_may(who, def->create_permission))
        return cf_error_set(reterr, CF_EPERM, "permission %.*s is needed", CF_ARG(def->create_permission.p ? def->create_permission : CF_STR("of the system")));
    cf_arena_init(&a, 0, 0);
    r = check_form(&s, def->form, n->data, true, &it.data, ret_errors);
    if (r == 0)
        r = check_duplicate(&s, def, n, it.data, ret_id);
    if (r == 0) {
        it.def = def;
        it.kind = def->id;
        it.version = def->version;
        it.state = def->initial;
        it.title = data_text(it.data, def->title_field);
        if (!it.title.n)
            it.title = n->english ? def->title.en : def->title.zh;
        it.level = data_text(it.data, def->level_field);
        it.org = it.issuer_org = who->org_id;
        it.created_by = who->user_id;
        it.created_us = s.now_us;
        cf_uuid7(it.id);
        it.root_id = cf_str_c(it.id);
        wf_clock_enter(tx, &it, it.state, s.now_us);
        r = insert_item(&s, &it, n);
    }
    if (r == 0)
        r = log_step(&s, &it, "create", CF_STR_NONE, CF_STR_NONE, it.data);
    if (r == 0)
        r = wf_todo_write(e, tx, &it, reterr);
    if (r == 0)
        r = wf_effect(fx, it.id, reterr);
    if (r == 0)
        memcpy(ret_id, it.id, 37);
    wf_item_release(&it);
    cf_arena_release(&a);
    return r;
}

static int next_number(struct step *s, struct wf_item *it)
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
static int spawn_one(struct step *s, const struct wf_item *parent, const struct wf_transition *t, const struct cf_workflow *def, cf_str org)
{
    struct wf_item it = {.def = def, .kind = def->id, .version = def->version, .state = def->initial, .number = parent->number, .title = parent->title,
                         .level = parent->level, .org = org, .issuer_org = parent->parent_id.n ? parent->org : parent->issuer_org, .parent_id = cf_str_c(parent->id),
                         .root_id = parent->root_id, .created_by = s->who ? s->who->user_id : parent->created_by, .created_us = s->now_us, .issued_us = s->now_us};
    int r;

    it.data = json_object();
    cf_uuid7(it.id);
    wf_clock_enter(s->tx, &it, it.state, s->now_us);
    r = insert_item(s, &it, NULL);
    if (r == 0)
        r = log_step(s, &it, "deliver", CF_STR_NONE, CF_STR_NONE, NULL);
    if (r == 0)
        r = wf_todo_write(s->e, s->tx, &it, s->err);
    if (r == 0)
        r = wf_notify_all(s->e, s->tx, s->a, &it, &t->notify, s->who, CF_STR_NONE, s->err);
    if (r == 0)
        r = wf_effect(s->fx, it.id, s->err);
    wf_item_release(&it);
    return r;
}

static int spawn_children(struct step *s, const struct wf_item *it, const struct wf_transition *t, const json_t *data)
{
    const struct cf_workflow *def = cf_workflow_find(s->e, it->def->child, 0);
    const json_t *list = data_list(data, t->spawn_field.p ? t->spawn_field : it->def->receivers_field);
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

        if (r == 0 && (!row_exists(s->tx, "SELECT 1 FROM organisation WHERE id = ? AND active = 1", org) || (s->who && !cf_scope_has_org(s->tx, s->who, org))))
            r = cf_error_set(s->err, CF_EINVAL, s->english ? "receiver %.*s is outside your scope" : "接收单位 %.*s 不在权限范围内", CF_ARG(cf_text_cut(org, 60)));
        if (r == 0 && t->spawn_field.p && cf_str_eq(org, it->org))
            r = cf_error_set(s->err, CF_EINVAL, "%s", s->english ? "a unit cannot hand down to itself" : "不能转办给本单位");
        if (r == 0)
            r = spawn_one(s, it, t, def, org);
    }
    return r;
}

static int child_ids(struct step *s, const char *id, bool open_only, char (**ret)[37], size_t *ret_n)
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

static int system_step(struct step *s, cf_str id, cf_str transition, cf_str note)
{
    struct step sub = *s;
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
            r = transit(&sub, &it, t, note, NULL, NULL);
    }
    wf_item_release(&it);
    return r;
}

static int cascade(struct step *s, const struct wf_item *it, const struct wf_transition *t, cf_str note)
{
    char(*ids)[37];
    size_t n;
    int r = child_ids(s, it->id, true, &ids, &n);

    for (size_t i = 0; r == 0 && i < n; i++)
        r = system_step(s, cf_str_c(ids[i]), t->cascade, note);
    return r;
}

/* The last child came to its end: the parent may go on by itself. */
static int wake_parent(struct step *s, const struct wf_item *it)
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

static int save_item(struct step *s, const struct wf_item *it, int64_t was_revision)
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

/* Where the step leads; a state in which nobody but the actor could go on is passed over when the definition says so. */
static int target_of(struct step *s, const struct wf_item *it, const struct wf_transition *t)
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
static int mark_progress(struct step *s, const struct wf_item *it, int from)
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
static int transit(struct step *s, struct wf_item *it, const struct wf_transition *t, cf_str note, const json_t *form, const json_t *spawn_data)
{
    int from = it->state, to = target_of(s, it, t), r = 0;
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
        r = save_item(s, it, revision);
    if (r == 0)
        r = mark_progress(s, it, from);
    if (r == 0) {
        char action[65];

        (void)snprintf(action, sizeof(action), "%.*s", CF_ARG(t->id));
        r = log_step(s, it, action, from_id, note, form);
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

static int check_required(struct step *s, const struct wf_item *it, const struct wf_transition *t, cf_str note)
{
    int64_t open = 0;
    int r;

    if (t->note && cf_str_trim(note).n == 0)
        return cf_error_set(s->err, CF_EINVAL, "%s", s->english ? "note: a reason is required for this step" : "note：此操作必须填写说明");
    if (t->receivers && json_array_size(data_list(it->data, it->def->receivers_field)) == 0)
        return cf_error_set(s->err, CF_EINVAL, "%s", s->english ? "receivers: no receiver is chosen" : "receivers：未选择接收单位");
    if (t->attachment && !row_exists(s->tx, "SELECT 1 FROM attachment WHERE item_id = ? LIMIT 1", cf_str_c(it->id)))
        return cf_error_set(s->err, CF_EINVAL, "%s", s->english ? "attachments: at least one attachment is required" : "attachments：至少上传一个附件");
    if (t->children_final) {
        r = wf_children_open(s->tx, it->id, &open, s->err);
        if (r < 0)
            return r;
        if (open)
            return cf_error_set(s->err, CF_ECONFLICT, s->english ? "%lld receivers have not finished yet" : "还有 %lld 个接收单位未办结", (long long)open);
    }
    return 0;
}

/* The step's form: the item's own form changes the item, any other is kept in the history. */
static int take_form(struct step *s, struct wf_item *it, const struct wf_transition *t, const struct cf_work_act *a, json_t **ret_form, json_t **ret_errors)
{
    int to = target_of(s, it, t), r;
    bool own = t->form.p && it->def->form.p && cf_str_eq(t->form, it->def->form), given = json_is_object(a->form) && json_object_size(a->form) > 0;
    bool leaves = it->def->states[it->state].edit && !it->def->states[to].edit && !it->def->states[to].final;

    if (!t->form.p && given)
        return cf_error_set(s->err, CF_EINVAL, "form: step \"%.*s\" takes no form", CF_ARG(t->id));
    if (own || (leaves && !t->form.p)) {
        json_t *clean = NULL;

        r = check_form(s, it->def->form, own && given ? a->form : it->data, it->def->states[to].edit, &clean, ret_errors);
        if (r < 0)
            return r;
        json_decref(it->data);
        it->data = clean;
        if (data_text(clean, it->def->title_field).n)
            it->title = data_text(clean, it->def->title_field);
        if (data_text(clean, it->def->level_field).n)
            it->level = data_text(clean, it->def->level_field);
        *ret_form = own ? json_incref(clean) : NULL;
        return 0;
    }
    if (!t->form.p)
        return 0;
    return check_form(s, t->form, a->form, false, ret_form, ret_errors);
}

static int check_state(struct step *s, const struct wf_item *it, const struct wf_transition *t, const struct cf_work_act *a)
{
    cf_str now = s->english ? it->def->states[it->state].title.en : it->def->states[it->state].title.zh;

    if ((a->expect_state.n && !cf_str_eq(a->expect_state, it->def->states[it->state].id)) || (a->expect_revision && a->expect_revision != it->revision))
        return cf_error_set(s->err, CF_ECONFLICT, s->english ? "the item has changed since it was shown; its state is now \"%.*s\"" : "事项已变更，当前状态为“%.*s”，请刷新后再操作",
                            CF_ARG(now));
    if (!wf_from_has(t, it->state))
        return cf_error_set(s->err, CF_ECONFLICT, s->english ? "step \"%.*s\" is not possible in state \"%.*s\"" : "当前状态下不能执行“%.*s”（状态：%.*s）",
                            CF_ARG(s->english ? t->title.en : t->title.zh), CF_ARG(now));
    return 0;
}

int cf_work_transition(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, const struct cf_work_act *a,
                       struct cf_work_effects *fx, json_t **ret_errors, struct cf_error *reterr)
{
    const struct wf_transition *t = NULL;
    struct wf_item it = {0};
    json_t *form = NULL;
    struct cf_arena ar;
    struct step s = {.e = e, .tx = tx, .a = &ar, .who = who, .fx = fx, .err = reterr, .now_us = cf_now_us(), .english = a->english};
    int r;

    cf_arena_init(&ar, 0, 0);
    r = wf_item_read(e, tx, &ar, a->id, &it, reterr);
    if (r == 0 && who && !cf_scope_has_org(tx, who, it.org))
        r = cf_error_set(reterr, CF_ENOENT, "there is no such item");
    if (r == 0 && !wf_item_visible(tx, who, &it))
        r = cf_error_set(reterr, CF_EPERM, "permission %.*s is needed", CF_ARG(it.def->read_permission));
    if (r == 0 && !(t = wf_transition_find(it.def, a->transition)))
        r = cf_error_set(reterr, CF_EINVAL, "transition: workflow %.*s has no step \"%.*s\"", CF_ARG(it.kind), CF_ARG(cf_text_cut(a->transition, 60)));
    if (r == 0 && a->note.n > 8000)
        r = cf_error_set(reterr, CF_EINVAL, "note: at most 8000 bytes");
    if (r == 0)
        r = check_state(&s, &it, t, a);
    if (r == 0 && !wf_may(e, tx, who, &it, t))
        r = cf_error_set(reterr, CF_EPERM, a->english ? "you may not make step \"%.*s\" on this item" : "您没有对该事项执行“%.*s”的权限", CF_ARG(a->english ? t->title.en : t->title.zh));
    if (r == 0)
        r = take_form(&s, &it, t, a, &form, ret_errors);
    if (r == 0)
        r = check_required(&s, &it, t, a->note);
    if (r == 0)
        r = transit(&s, &it, t, a->note, form, t->spawn_field.p ? form : NULL);
    json_decref(form);
    wf_item_release(&it);
    cf_arena_release(&ar);
    return r;
}

int cf_work_edit(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, cf_str id, const json_t *data,
                 bool english, struct cf_work_effects *fx, json_t **ret_errors, struct cf_error *reterr)
{
    struct wf_item it = {0};
    json_t *clean = NULL;
    struct cf_arena ar;
    struct step s = {.e = e, .tx = tx, .a = &ar, .who = who, .fx = fx, .err = reterr, .now_us = cf_now_us(), .english = english};
    bool may = false;
    int r;

    cf_arena_init(&ar, 0, 0);
    r = wf_item_read(e, tx, &ar, id, &it, reterr);
    if (r == 0 && !wf_item_visible(tx, who, &it))
        r = cf_error_set(reterr, CF_ENOENT, "there is no such item");
    if (r == 0 && !it.def->states[it.state].edit)
        r = cf_error_set(reterr, CF_ECONFLICT, "%s", english ? "the item cannot be edited in its present state" : "当前状态下不能修改");
    for (size_t i = 0; r == 0 && i < it.def->n_transitions; i++) /* who may move it on may edit it */
        may |= it.def->transitions[i].todo && wf_from_has(&it.def->transitions[i], it.state) && wf_may(e, tx, who, &it, &it.def->transitions[i]);
    if (r == 0 && !may && !cf_str_eq(who->user_id, it.created_by))
        r = cf_error_set(reterr, CF_EPERM, "%s", english ? "you may not edit this item" : "您没有修改该事项的权限");
    if (r == 0)
        r = check_form(&s, it.def->form, data, true, &clean, ret_errors);
    if (r == 0) {
        json_decref(it.data);
        it.data = clean;
        if (data_text(clean, it.def->title_field).n)
            it.title = data_text(clean, it.def->title_field);
        it.level = data_text(clean, it.def->level_field).n ? data_text(clean, it.def->level_field) : it.level;
        r = save_item(&s, &it, it.revision);
    }
    if (r == 0)
        r = log_step(&s, &it, "edit", it.def->states[it.state].id, CF_STR_NONE, it.data);
    if (r == 0)
        r = wf_effect(fx, it.id, reterr);
    wf_item_release(&it);
    cf_arena_release(&ar);
    return r;
}
