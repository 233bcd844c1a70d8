/* SPDX-License-Identifier: Apache-2.0
 * Reading items, who may do what, history, to-do entries, clocks, and telling people. */
#include "workflow/engine_int.h"

#include <stdlib.h>

json_t *wf_time_json(int64_t us)
{
    char buf[32];

    return us ? json_stringn(buf, cf_time_format(us, buf)) : json_null();
}

char *wf_dump(struct cf_arena *a, const json_t *j)
{
    char *s = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY), *copy = s ? cf_arena_strdup(a, cf_str_c(s)) : NULL;

    free(s);
    return copy;
}

void wf_item_release(struct wf_item *it)
{
    json_decref(it->data);
    it->data = NULL;
}

static cf_str text(struct cf_arena *a, struct cf_stmt *st, int col) { return cf_stmt_null(st, col) ? CF_STR_NONE : cf_arena_copy(a, cf_stmt_str(st, col)); }

static int from_row(struct cf_workflow_engine *e, struct cf_arena *a, struct cf_stmt *st, struct wf_item *it, struct cf_error *err)
{
    cf_str *const texts[] = {&it->kind, &it->number, &it->title, &it->level, &it->org, &it->issuer_org, &it->parent_id, &it->root_id, &it->created_by, &it->clock_name,
                             &it->source_type, &it->source_id};
    int64_t *const ints[] = {&it->version, &it->revision, &it->due_us, &it->clock_start_us, &it->entered_us, &it->reminded, &it->created_us, &it->updated_us,
                             &it->issued_us, &it->finished_us, &it->urged};

    (void)snprintf(it->id, sizeof(it->id), "%.*s", CF_ARG(cf_stmt_str(st, 0)));
    for (int i = 0; i < 12; i++)
        *texts[i] = text(a, st, i + 1);
    for (int i = 0; i < 11; i++)
        *ints[i] = cf_stmt_i64(st, i + 13);
    it->overdue = cf_stmt_i64(st, 24) != 0;
    it->done = cf_stmt_i64(st, 25) != 0;
    it->def = cf_workflow_find(e, it->kind, it->version);
    it->state = it->def ? wf_state_index(it->def, cf_stmt_str(st, 26)) : -1;
    if (!it->def || it->state < 0)
        return cf_error_set(err, CF_ECORRUPT, "item %s runs on workflow %.*s version %lld, which is not known", it->id, CF_ARG(it->kind), (long long)it->version);
    it->data = json_loadb(cf_stmt_str(st, 27).p, cf_stmt_str(st, 27).n, 0, NULL);
    if (!json_is_object(it->data)) {
        json_decref(it->data);
        it->data = json_object();
    }
    return 0;
}

int wf_item_read(struct cf_workflow_engine *e, struct cf_tx *tx, struct cf_arena *a, cf_str id, struct wf_item *ret, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx,
                        "SELECT id, kind, number, title, level, org_id, issuer_org_id, parent_id, root_id, created_by, clock_name, source_type, source_id, version, "
                        "revision, due_us, clock_start_us, entered_us, reminded, created_us, updated_us, issued_us, finished_us, urged, overdue, done, state, data "
                        "FROM work_item WHERE id = ?",
                        &st, reterr, CF_S(id));

    *ret = (struct wf_item){0};
    if (r == 0)
        r = cf_stmt_next(st, reterr);
    if (r == 1)
        r = from_row(e, a, st, ret, reterr);
    else if (r == 0)
        r = cf_error_set(reterr, CF_ENOENT, "there is no such item");
    cf_stmt_free(st);
    return r;
}

bool wf_item_visible(struct cf_tx *tx, const struct cf_principal *who, const struct wf_item *it)
{
    return !who || (cf_principal_may(who, it->def->read_permission) && cf_scope_has_org(tx, who, it->org));
}

static bool holds(const struct cf_principal *who, const struct wf_who *w)
{
    for (size_t i = 0; i < w->permissions.n; i++)
        if (cf_principal_may(who, w->permissions.v[i]))
            return true;
    for (size_t i = 0; i < w->roles.n; i++)
        for (size_t k = 0; k < who->n_roles; k++)
            if (cf_str_eq(who->roles[k], w->roles.v[i]))
                return true;
    return false;
}

bool wf_may(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, const struct wf_item *it, const struct wf_transition *t)
{
    if (!who)
        return t->system || t->automatic;
    if (t->system || !holds(who, &t->who) || !wf_item_visible(tx, who, it))
        return false;
    if (t->who.creator && !cf_str_eq(who->user_id, it->created_by))
        return false;
    if (t->who.not_creator && e->o.four_eyes && cf_str_eq(who->user_id, it->created_by))
        return false;
    if (t->who.side == WF_ISSUER)
        return cf_str_eq(who->org_id, it->issuer_org) || cf_scope_has_org(tx, who, it->issuer_org);
    if (t->who.side == WF_RECEIVER) /* a wide scope lets people look, not answer for the unit */
        return cf_str_eq(who->org_id, it->org) || ((who->scope == CF_SCOPE_SUBTREE || who->scope == CF_SCOPE_ORG) && cf_scope_has_org(tx, who, it->org));
    return true;
}

cf_str wf_org_name(struct cf_tx *tx, struct cf_arena *a, cf_str id)
{
    struct cf_stmt *st = NULL;
    cf_str name = CF_STR_NONE;

    if (id.n && cf_tx_query(tx, "SELECT name FROM organisation WHERE id = ?", &st, NULL, CF_S(id)) == 0 && cf_stmt_next(st, NULL) == 1)
        name = cf_arena_copy(a, cf_stmt_str(st, 0));
    cf_stmt_free(st);
    return name;
}

int wf_history(struct cf_tx *tx, struct cf_arena *a, const struct wf_log *l, struct cf_error *err)
{
    cf_str user = l->who ? l->who->user_id : CF_STR_NONE, org = l->who ? l->who->org_id : CF_STR_NONE;
    cf_str name = !l->who ? CF_STR("system") : l->who->display_name.n ? l->who->display_name : l->who->user_name;
    char id[37];

    cf_uuid7(id);
    return cf_tx_exec(tx,
                      "INSERT INTO work_item_history (id, item_id, time_us, user_id, user_name, org_id, org_name, action, from_state, to_state, note, form) "
                      "VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                      err, CF_Z(id), CF_S(l->item_id), CF_I(cf_now_us()), CF_S(user), CF_S(name), CF_S(org), CF_S(wf_org_name(tx, a, org)), CF_S(l->action),
                      CF_S(l->from), CF_S(l->to), CF_S(l->note), CF_Z(l->form ? wf_dump(a, l->form) : NULL));
}

/* A date means the end of that day in China; a time without zone is read as Beijing time. */
static bool due_of(const json_t *data, cf_str field, int64_t *ret)
{
    char name[65];
    cf_str s;
    bool zone = false;

    (void)snprintf(name, sizeof(name), "%.*s", CF_ARG(field));
    s = cf_str_c(json_string_value(json_object_get(data, name)));
    if (!s.p || !cf_time_parse(s, ret))
        return false;
    if (s.n == 10) {
        *ret += CF_US_PER_DAY - INT64_C(8) * 3600 * CF_US_PER_S;
        return true;
    }
    for (size_t i = 11; i < s.n; i++)
        zone |= s.p[i] == 'Z' || s.p[i] == 'z' || s.p[i] == '+' || s.p[i] == '-';
    if (!zone)
        *ret -= INT64_C(8) * 3600 * CF_US_PER_S;
    return true;
}

static bool parent_due(struct cf_tx *tx, const struct wf_item *it, cf_str field, int64_t *ret)
{
    struct cf_stmt *st = NULL;
    bool ok = false;

    if (cf_tx_query(tx, "SELECT data FROM work_item WHERE id = ?", &st, NULL, CF_S(it->root_id)) == 0 && cf_stmt_next(st, NULL) == 1) {
        json_t *j = json_loadb(cf_stmt_str(st, 0).p, cf_stmt_str(st, 0).n, 0, NULL);

        ok = due_of(j, field, ret);
        json_decref(j);
    }
    cf_stmt_free(st);
    return ok;
}

void wf_clock_enter(struct cf_tx *tx, struct wf_item *it, int new_state, int64_t now_us)
{
    const struct wf_state *s = &it->def->states[new_state];
    int level = wf_level_index(it->level);
    int64_t due = 0;

    it->entered_us = now_us;
    if (!s->has_clock) {
        it->clock_name = CF_STR_NONE;
        it->due_us = it->clock_start_us = it->reminded = 0;
        it->overdue = false;
        return;
    }
    if (it->due_us && cf_str_eq(it->clock_name, s->clock.name))
        return; /* the same clock goes on */
    if (!s->clock.due_field.p || (!due_of(it->data, s->clock.due_field, &due) && !(it->parent_id.n && parent_due(tx, it, s->clock.due_field, &due))))
        due = s->clock.us[level < 0 ? 2 : level] ? now_us + s->clock.us[level < 0 ? 2 : level] : 0;
    it->clock_name = s->clock.name;
    it->clock_start_us = now_us;
    it->due_us = due;
    it->reminded = 0;
    it->overdue = false;
}

static int todo_row(struct cf_tx *tx, const struct wf_item *it, const struct wf_who *w, cf_str permission, cf_str role, bool four_eyes, struct cf_error *err)
{
    cf_str org = w->side == WF_ISSUER ? it->issuer_org : it->org;

    return cf_tx_exec(tx, "INSERT INTO work_item_todo (item_id, org_id, side, permission, role, only_user, not_user) VALUES (?,?,?,?,?,?,?)", err, CF_Z(it->id), CF_S(org),
                      CF_Z(w->side == WF_RECEIVER ? "receiver" : "issuer"), CF_S(permission), CF_S(role), CF_S(w->creator ? it->created_by : CF_STR_NONE),
                      CF_S(w->not_creator && four_eyes ? it->created_by : CF_STR_NONE));
}

int wf_todo_write(struct cf_workflow_engine *e, struct cf_tx *tx, const struct wf_item *it, struct cf_error *err)
{
    int r = cf_tx_exec(tx, "DELETE FROM work_item_todo WHERE item_id = ?", err, CF_Z(it->id));

    for (size_t i = 0; r == 0 && i < it->def->n_transitions; i++) {
        const struct wf_transition *t = &it->def->transitions[i];

        if (!t->todo || t->system || !wf_from_has(t, it->state))
            continue;
        for (size_t k = 0; r == 0 && k < t->who.permissions.n; k++)
            r = todo_row(tx, it, &t->who, t->who.permissions.v[k], CF_STR_NONE, e->o.four_eyes, err);
        for (size_t k = 0; r == 0 && k < t->who.roles.n; k++)
            r = todo_row(tx, it, &t->who, CF_STR_NONE, t->who.roles.v[k], e->o.four_eyes, err);
    }
    return r;
}

/* Every permission any definition asks for, once: which of them the caller holds decides what waits for him. */
static size_t held_permissions(struct cf_workflow_engine *e, const struct cf_principal *who, cf_str *v, size_t max)
{
    size_t n = 0;

    for (const struct cf_workflow *w = e->defs; w; w = w->next)
        for (size_t i = 0; i < w->n_transitions; i++)
            for (size_t k = 0; k < w->transitions[i].who.permissions.n; k++) {
                cf_str p = w->transitions[i].who.permissions.v[k];
                bool have = !cf_principal_may(who, p);

                for (size_t x = 0; x < n && !have; x++)
                    have = cf_str_eq(v[x], p);
                if (!have && n < max)
                    v[n++] = p;
            }
    return n;
}

void cf_work_todo_sql(struct cf_workflow_engine *e, const struct cf_principal *who, struct cf_buf *sql, struct cf_dbval *v, size_t *n_v, size_t max_v)
{
    cf_str perms[32];
    size_t n = held_permissions(e, who, perms, 32), roles = 0;

    cf_buf_z(sql, "w.done = 0 AND EXISTS (SELECT 1 FROM work_item_todo t WHERE t.item_id = w.id AND (t.org_id = ?");
    v[(*n_v)++] = CF_S(who->org_id);
    if (who->scope == CF_SCOPE_ALL)
        cf_buf_z(sql, " OR t.side = 'issuer'");
    cf_buf_z(sql, ") AND (1 = 0");
    for (size_t i = 0; i < n && *n_v + 3 < max_v; i++) {
        cf_buf_z(sql, " OR t.permission = ?");
        v[(*n_v)++] = CF_S(perms[i]);
    }
    for (; roles < who->n_roles && *n_v + 3 < max_v; roles++) {
        cf_buf_z(sql, " OR t.role = ?");
        v[(*n_v)++] = CF_S(who->roles[roles]);
    }
    cf_buf_z(sql, ") AND (t.only_user IS NULL OR t.only_user = ?) AND (t.not_user IS NULL OR t.not_user <> ?))");
    v[(*n_v)++] = CF_S(who->user_id);
    v[(*n_v)++] = CF_S(who->user_id);
}

/* ---- telling people ---- */

#define PEOPLE_MAX 200

static int people_of(struct cf_tx *tx, struct cf_arena *a, cf_str org, cf_str permission, bool anywhere, cf_str *v, size_t *n, struct cf_error *err)
{
    cf_str exact = cf_arena_printf(a, "%%\"%.*s\"%%", CF_ARG(permission)), module = permission, all;
    struct cf_stmt *st = NULL;
    int r;

    for (size_t i = 0; i < permission.n; i++)
        if (permission.p[i] == '.')
            module = cf_str_sub(permission, 0, i);
    all = cf_arena_printf(a, "%%\"%.*s.*\"%%", CF_ARG(module));
    r = cf_tx_query(tx,
                    anywhere ? "SELECT DISTINCT u.id FROM app_user u JOIN user_role ur ON ur.user_id = u.id JOIN role r ON r.id = ur.role_id "
                               "WHERE u.active = 1 AND r.scope = 'all' AND u.org_id <> ? AND (r.permissions LIKE ? OR r.permissions LIKE ?) LIMIT 200"
                             : "SELECT DISTINCT u.id FROM app_user u JOIN user_role ur ON ur.user_id = u.id JOIN role r ON r.id = ur.role_id "
                               "WHERE u.active = 1 AND u.org_id = ? AND (r.permissions LIKE ? OR r.permissions LIKE ?) LIMIT 200",
                    &st, err, CF_S(org), CF_S(permission.n ? exact : CF_STR("%")), CF_S(permission.n ? all : CF_STR("%")));
    while (r == 0 && (r = cf_stmt_next(st, err)) == 1) {
        r = 0;
        if (*n < PEOPLE_MAX)
            v[(*n)++] = cf_arena_copy(a, cf_stmt_str(st, 0));
    }
    cf_stmt_free(st);
    return r;
}

bool wf_somebody_else(struct cf_tx *tx, struct cf_arena *a, const struct cf_principal *who, const struct wf_item *it, int state)
{
    cf_str people[PEOPLE_MAX];
    size_t n;

    for (size_t i = 0; i < it->def->n_transitions; i++) {
        const struct wf_transition *t = &it->def->transitions[i];

        if (t->system || !t->todo || !wf_from_has(t, state))
            continue;
        if (t->who.roles.n)
            return true;
        for (size_t k = 0; k < t->who.permissions.n; k++) {
            n = 0;
            if (people_of(tx, a, t->who.side == WF_ISSUER ? it->issuer_org : it->org, t->who.permissions.v[k], false, people, &n, NULL) < 0)
                return true;
            for (size_t p = 0; p < n; p++)
                if (!who || !cf_str_eq(people[p], who->user_id))
                    return true;
        }
    }
    return false;
}

static cf_str when(struct cf_arena *a, int64_t us)
{
    char buf[32];
    size_t n;

    if (!us)
        return CF_STR("-");
    n = cf_time_format(us / CF_US_PER_S * CF_US_PER_S + INT64_C(8) * 3600 * CF_US_PER_S, buf); /* Beijing time for people */
    if (n >= 16)
        buf[10] = ' ';
    return cf_arena_copy(a, cf_str_n(buf, n >= 16 ? 16 : n));
}

static cf_str level_name(cf_str level)
{
    static const char *const zh[WF_LEVELS] = {"严重", "高危", "中危", "低危"};
    int i = wf_level_index(level);

    return i < 0 ? CF_STR("-") : cf_str_c(zh[i]);
}

static int notify_one(struct cf_workflow_engine *e, struct cf_tx *tx, struct cf_arena *a, const struct wf_item *it, const struct wf_notify *n,
                      const struct cf_principal *actor, cf_str note, struct cf_error *err)
{
    cf_str people[PEOPLE_MAX], org = n->to == WF_TO_ISSUER ? it->issuer_org : it->org;
    const struct cf_msg_var vars[] = {
        {"title", it->title}, {"number", it->number.n ? it->number : CF_STR("-")}, {"level", level_name(it->level)},
        {"state", it->def->states[it->state].title.zh}, {"due", when(a, it->due_us)}, {"note", note.n ? note : CF_STR("-")},
        {"actor", !actor ? CF_STR("system") : actor->display_name.n ? actor->display_name : actor->user_name},
        {"org", wf_org_name(tx, a, it->org)}, {"issuer", wf_org_name(tx, a, it->issuer_org)}};
    struct cf_msg msg = {.template = n->template, .users = people, .vars = vars, .n_vars = sizeof(vars) / sizeof(vars[0]), .level = it->level};
    int r = 0;

    if (n->to == WF_TO_CREATOR) {
        if (it->created_by.n)
            people[msg.n_users++] = it->created_by;
    } else {
        r = people_of(tx, a, org, n->permission, false, people, &msg.n_users, err);
        if (r == 0 && msg.n_users == 0 && n->to == WF_TO_ISSUER && cf_str_eq(it->parent_id, it->root_id)) /* nobody there holds it: those who look after everything */
            r = people_of(tx, a, org, n->permission, true, people, &msg.n_users, err);
    }
    msg.href = cf_arena_printf(a, "/work-items/%s", it->id);
    return r < 0 ? r : cf_messenger_send(e->o.messenger, tx, &msg, err);
}

int wf_notify_all(struct cf_workflow_engine *e, struct cf_tx *tx, struct cf_arena *a, const struct wf_item *it, const struct wf_notifies *n,
                  const struct cf_principal *actor, cf_str note, struct cf_error *err)
{
    int r = 0;

    for (size_t i = 0; e->o.messenger && r == 0 && i < n->n; i++)
        if (n->v[i].state < 0 || n->v[i].state == it->state)
            r = notify_one(e, tx, a, it, &n->v[i], actor, note, err);
    return r;
}

int wf_children_open(struct cf_tx *tx, const char *id, int64_t *ret, struct cf_error *err)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT COUNT(*) FROM work_item WHERE parent_id = ? AND done = 0", &st, err, CF_Z(id));

    if (r == 0 && (r = cf_stmt_next(st, err)) == 1) {
        *ret = cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}
