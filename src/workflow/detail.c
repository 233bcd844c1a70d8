/* SPDX-License-Identifier: Apache-2.0
 * Items as JSON for one reader. */
#include "workflow/engine_int.h"

static json_t *actions_of(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, const struct wf_item *it)
{
    json_t *a = json_array();

    for (size_t i = 0; i < it->def->n_transitions; i++) {
        const struct wf_transition *t = &it->def->transitions[i];

        if (t->system || !wf_from_has(t, it->state) || !wf_may(e, tx, who, it, t))
            continue;
        json_array_append_new(a, json_pack("{s:o, s:o, s:s, s:o, s:b, s:b}", "transition", cf_str_json(t->id), "label", cf_text_json(t->title), "style",
                                           t->style.p ? (cf_str_eqz(t->style, "primary") ? "primary" : cf_str_eqz(t->style, "danger") ? "danger" : "default") : "default",
                                           "form", cf_str_json(t->form), "note_required", t->note, "todo", t->todo));
    }
    return a;
}

json_t *cf_work_actions(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, cf_str id, struct cf_error *reterr)
{
    struct wf_item it = {0};
    struct cf_arena a;
    json_t *j = NULL;

    cf_arena_init(&a, 0, 0);
    if (wf_item_read(e, tx, &a, id, &it, reterr) == 0) {
        if (wf_item_visible(tx, who, &it))
            j = actions_of(e, tx, who, &it);
        else
            (void)cf_error_set(reterr, CF_ENOENT, "there is no such item");
    }
    wf_item_release(&it);
    cf_arena_release(&a);
    return j;
}

static json_t *clock_json(const struct wf_item *it)
{
    int64_t span = it->due_us - it->clock_start_us, now = cf_now_us();
    double p;

    if (!it->due_us || it->done)
        return json_null();
    p = span > 0 ? (double)(now - it->clock_start_us) * 100.0 / (double)span : now >= it->due_us ? 100 : 0;
    return json_pack("{s:o, s:I, s:I}", "name", cf_str_json(it->clock_name), "percent", (json_int_t)(p < 0 ? 0 : p > 999 ? 999 : p), "left_seconds",
                     (json_int_t)((it->due_us - now) / CF_US_PER_S));
}

static json_t *org_json(struct cf_tx *tx, struct cf_arena *a, cf_str id)
{
    return json_pack("{s:o, s:o}", "id", cf_str_json(id), "name", cf_str_json(wf_org_name(tx, a, id)));
}

static json_t *item_json(struct cf_workflow_engine *e, struct cf_tx *tx, struct cf_arena *a, const struct cf_principal *who, const struct wf_item *it)
{
    const struct wf_state *s = &it->def->states[it->state];
    json_t *j = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "id", it->id, "kind", cf_str_json(it->kind), "number", cf_str_json(it->number), "title",
                          cf_str_json(it->title), "state", cf_str_json(s->id), "state_name", cf_str_json(s->title.zh), "state_title", cf_text_json(s->title), "done",
                          it->done, "level", cf_str_json(it->level));
    json_t *more = json_pack("{s:o, s:o, s:o, s:b, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "org", org_json(tx, a, it->org), "issuer", org_json(tx, a, it->issuer_org),
                             "due_at", wf_time_json(it->due_us), "overdue", it->overdue, "clock", clock_json(it), "revision", (json_int_t)it->revision, "urged",
                             (json_int_t)it->urged, "created_at", wf_time_json(it->created_us), "updated_at", wf_time_json(it->updated_us), "issued_at",
                             wf_time_json(it->issued_us), "finished_at", wf_time_json(it->finished_us), "parent_id", cf_str_json(it->parent_id));

    if (!j || !more) {
        json_decref(j);
        json_decref(more);
        return NULL;
    }
    (void)json_object_update(j, more);
    json_decref(more);
    json_object_set_new(j, "actions", who ? actions_of(e, tx, who, it) : json_array());
    return j;
}

void cf_work_decorate(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, json_t *item, struct cf_error *reterr)
{
    struct wf_item it = {0};
    struct cf_arena a;
    json_t *j;

    cf_arena_init(&a, 0, 0);
    if (wf_item_read(e, tx, &a, cf_str_c(json_string_value(json_object_get(item, "id"))), &it, reterr) == 0) {
        j = item_json(e, tx, &a, who, &it);
        if (j)
            (void)json_object_update(item, j);
        json_decref(j);
    }
    wf_item_release(&it);
    cf_arena_release(&a);
}

static json_t *history_json(struct cf_tx *tx, cf_str id, const struct cf_workflow *def)
{
    json_t *a = json_array();
    struct cf_stmt *st = NULL;

    if (cf_tx_query(tx, "SELECT time_us, user_id, user_name, org_id, org_name, action, from_state, to_state, note, form FROM work_item_history WHERE item_id = ? ORDER BY id LIMIT 1000",
                    &st, NULL, CF_S(id)) == 0)
        while (cf_stmt_next(st, NULL) == 1) {
            const struct wf_transition *t = wf_transition_find(def, cf_stmt_str(st, 5));
            cf_str form = cf_stmt_str(st, 9);
            json_t *f = form.n ? json_loadb(form.p, form.n, 0, NULL) : NULL;

            json_array_append_new(a, json_pack("{s:o, s:{s:o, s:o}, s:{s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o}", "time", wf_time_json(cf_stmt_i64(st, 0)), "user", "id",
                                               cf_str_json(cf_stmt_str(st, 1)), "name", cf_str_json(cf_stmt_str(st, 2)), "org", "id", cf_str_json(cf_stmt_str(st, 3)), "name",
                                               cf_str_json(cf_stmt_str(st, 4)), "action", cf_str_json(cf_stmt_str(st, 5)), "action_title",
                                               t ? cf_text_json(t->title) : json_null(), "from", cf_str_json(cf_stmt_str(st, 6)), "to", cf_str_json(cf_stmt_str(st, 7)),
                                               "note", cf_str_json(cf_stmt_str(st, 8)), "form", f ? f : json_null()));
        }
    cf_stmt_free(st);
    return a;
}

static void add_attachments(struct cf_tx *tx, json_t *list, cf_str item, bool shared_only)
{
    struct cf_stmt *st = NULL;

    if (cf_tx_query(tx, "SELECT id, name, size, type, sha256, uploaded_by, uploader_name, created_us, internal FROM attachment WHERE item_id = ? ORDER BY id", &st, NULL,
                    CF_S(item)) == 0)
        while (cf_stmt_next(st, NULL) == 1) {
            if (shared_only && cf_stmt_i64(st, 8))
                continue;
            json_array_append_new(list, json_pack("{s:o, s:o, s:I, s:o, s:o, s:{s:o, s:o}, s:o, s:b, s:b}", "id", cf_str_json(cf_stmt_str(st, 0)), "name",
                                                  cf_str_json(cf_stmt_str(st, 1)), "size", (json_int_t)cf_stmt_i64(st, 2), "type", cf_str_json(cf_stmt_str(st, 3)), "sha256",
                                                  cf_str_json(cf_stmt_str(st, 4)), "uploaded_by", "id", cf_str_json(cf_stmt_str(st, 5)), "name",
                                                  cf_str_json(cf_stmt_str(st, 6)), "uploaded_at", wf_time_json(cf_stmt_i64(st, 7)), "internal", cf_stmt_i64(st, 8) != 0,
                                                  "from_issuer", shared_only));
        }
    cf_stmt_free(st);
}

static json_t *children_json(struct cf_workflow_engine *e, struct cf_tx *tx, struct cf_arena *a, const struct cf_principal *who, const struct wf_item *it)
{
    json_t *list = json_array();
    struct cf_stmt *st = NULL;
    cf_str ids[512];
    size_t n = 0;

    if (cf_tx_query(tx, "SELECT id FROM work_item WHERE parent_id = ? ORDER BY id LIMIT 512", &st, NULL, CF_Z(it->id)) == 0)
        while (n < 512 && cf_stmt_next(st, NULL) == 1)
            ids[n++] = cf_arena_copy(a, cf_stmt_str(st, 0));
    cf_stmt_free(st);
    for (size_t i = 0; i < n; i++) {
        struct wf_item child;

        if (wf_item_read(e, tx, a, ids[i], &child, NULL) == 0 && wf_item_visible(tx, who, &child)) {
            json_t *j = item_json(e, tx, a, who, &child);

            if (json_object_size(child.data)) /* its answer, for combining */
                json_object_set(j, "answer", child.data);
            json_array_append_new(list, j);
        }
        wf_item_release(&child);
    }
    return list;
}

/* What the issuer sent: the parent's form without its internal fields. */
static void add_parent(struct cf_workflow_engine *e, struct cf_tx *tx, struct cf_arena *a, const struct wf_item *it, json_t *j, json_t *attachments)
{
    struct wf_item up = {0};
    const struct cf_form *f;

    if (!it->parent_id.n || wf_item_read(e, tx, a, it->root_id, &up, NULL) < 0)
        return;
    f = up.def->form.p ? cf_form_find(e->o.forms, up.def->form) : NULL;
    json_object_set_new(j, "parent", json_pack("{s:s, s:o, s:o, s:o, s:o, s:{s:o, s:o}}", "id", up.id, "kind", cf_str_json(up.kind), "number", cf_str_json(up.number), "title",
                                               cf_str_json(up.title), "level", cf_str_json(up.level), "form", "template", f ? cf_form_json(f, true) : json_null(), "data",
                                               f ? cf_form_public(f, up.data) : json_object()));
    add_attachments(tx, attachments, cf_str_c(up.id), true);
    wf_item_release(&up);
}

static json_t *workflow_json(const struct wf_item *it)
{
    json_t *states = json_array();

    for (size_t i = 0; i < it->def->n_states; i++)
        json_array_append_new(states, json_pack("{s:o, s:o, s:b, s:b}", "id", cf_str_json(it->def->states[i].id), "name", cf_text_json(it->def->states[i].title), "final",
                                                it->def->states[i].final, "current", (int)i == it->state));
    return json_pack("{s:o, s:I, s:o, s:o}", "id", cf_str_json(it->def->id), "version", (json_int_t)it->version, "title", cf_text_json(it->def->title), "states", states);
}

json_t *cf_work_detail(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, cf_str id, struct cf_error *reterr)
{
    struct wf_item it = {0};
    const struct cf_form *f;
    json_t *j = NULL, *files;
    struct cf_arena a;

    cf_arena_init(&a, 0, 0);
    if (wf_item_read(e, tx, &a, id, &it, reterr) < 0)
        goto out;
    if (!wf_item_visible(tx, who, &it)) {
        (void)cf_error_set(reterr, CF_ENOENT, "there is no such item");
        goto out;
    }
    j = item_json(e, tx, &a, who, &it);
    if (!j)
        goto out;
    f = it.def->form.p && e->o.forms ? cf_form_find(e->o.forms, it.def->form) : NULL;
    json_object_set_new(j, "form", json_pack("{s:o, s:O}", "template", f ? cf_form_json(f, true) : json_null(), "data", it.data));
    json_object_set_new(j, "history", history_json(tx, cf_str_c(it.id), it.def));
    json_object_set_new(j, "children", children_json(e, tx, &a, who, &it));
    files = json_array();
    add_attachments(tx, files, cf_str_c(it.id), false);
    add_parent(e, tx, &a, &it, j, files);
    json_object_set_new(j, "attachments", files);
    json_object_set_new(j, "workflow", workflow_json(&it));
    json_object_set_new(j, "editable", json_boolean(it.def->states[it.state].edit));
    json_object_set_new(j, "source", it.source_type.n ? json_pack("{s:o, s:o}", "type", cf_str_json(it.source_type), "id", cf_str_json(it.source_id)) : json_null());
out:
    wf_item_release(&it);
    cf_arena_release(&a);
    return j;
}
