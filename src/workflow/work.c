/* SPDX-License-Identifier: Apache-2.0
 * What people do to an item: create it, move it on, edit it. Here is checked who may do what with which form; step.c does it. */
#include "workflow/step.h"

#include <stdlib.h>

struct ref_ctx {
    struct cf_tx *tx;
    const struct cf_principal *who;
};
static bool ref_exists(void *vctx, enum cf_form_ref kind, cf_str id)
{
    struct ref_ctx *c = vctx;

    if (kind == CF_REF_ORG)
        return wf_row_exists(c->tx, "SELECT 1 FROM organisation WHERE id = ? AND active = 1", id) && (!c->who || cf_scope_has_org(c->tx, c->who, id));
    if (kind == CF_REF_USER)
        return wf_row_exists(c->tx, "SELECT 1 FROM app_user WHERE id = ? AND active = 1", id);
    return wf_row_exists(c->tx, "SELECT 1 FROM attachment WHERE id = ?", id);
}

static int check_form(struct wf_step *s, cf_str form_id, const json_t *data, bool draft, json_t **ret_clean, json_t **ret_errors)
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

static int check_duplicate(struct wf_step *s, const struct cf_workflow *def, const struct cf_work_new *n, const json_t *data, char ret_id[37])
{
    struct cf_stmt *st = NULL;
    int r;

    if (!n->dedup_key.n || n->allow_duplicate)
        return 0;
    r = cf_tx_query(s->tx, "SELECT id, title, data FROM work_item WHERE kind = ? AND dedup_key = ? AND done = 0 ORDER BY id LIMIT 200", &st, s->err, CF_S(n->kind),
                    CF_S(n->dedup_key));
    while (r == 0 && (r = cf_stmt_next(st, s->err)) == 1) {
        json_t *other = json_loadb(cf_stmt_str(st, 2).p, cf_stmt_str(st, 2).n, 0, NULL);
        bool same = !def->receivers_field.p || overlap(wf_data_list(data, def->receivers_field), wf_data_list(other, def->receivers_field));

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
    struct wf_step s = {.e = e, .tx = tx, .a = &a, .who = who, .fx = fx, .err = reterr, .now_us = cf_now_us(), .english = n->english};
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
        r = wf_step_insert(&s, &it, n);
    }
    if (r == 0)
        r = wf_step_log(&s, &it, "create", CF_STR_NONE, CF_STR_NONE, it.data);
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

static int check_required(struct wf_step *s, const struct wf_item *it, const struct wf_transition *t, cf_str note)
{
    int64_t open = 0;
    int r;

    if (t->note && cf_str_trim(note).n == 0)
        return cf_error_set(s->err, CF_EINVAL, "%s", s->english ? "note: a reason is required for this step" : "note：此操作必须填写说明");
    if (t->receivers && json_array_size(wf_data_list(it->data, it->def->receivers_field)) == 0)
        return cf_error_set(s->err, CF_EINVAL, "%s", s->english ? "receivers: no receiver is chosen" : "receivers：未选择接收单位");
    if (t->attachment && !wf_row_exists(s->tx, "SELECT 1 FROM attachment WHERE item_id = ? LIMIT 1", cf_str_c(it->id)))
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
static int take_form(struct wf_step *s, struct wf_item *it, const struct wf_transition *t, const struct cf_work_act *a, json_t **ret_form, json_t **ret_errors)
{
    int to = wf_step_target(s, it, t), r;
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

static int check_state(struct wf_step *s, const struct wf_item *it, const struct wf_transition *t, const struct cf_work_act *a)
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
    struct wf_step s = {.e = e, .tx = tx, .a = &ar, .who = who, .fx = fx, .err = reterr, .now_us = cf_now_us(), .english = a->english};
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
        r = wf_step_run(&s, &it, t, a->note, form, t->spawn_field.p ? form : NULL);
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
    struct wf_step s = {.e = e, .tx = tx, .a = &ar, .who = who, .fx = fx, .err = reterr, .now_us = cf_now_us(), .english = english};
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
        r = wf_step_save(&s, &it, it.revision);
    }
    if (r == 0)
        r = wf_step_log(&s, &it, "edit", it.def->states[it.state].id, CF_STR_NONE, it.data);
    if (r == 0)
        r = wf_effect(fx, it.id, reterr);
    wf_item_release(&it);
    cf_arena_release(&ar);
    return r;
}
