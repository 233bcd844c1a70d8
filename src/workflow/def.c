/* SPDX-License-Identifier: Apache-2.0
 * Reading and checking a workflow definition. */
#include "workflow/def.h"

#include <stdlib.h>

const char *const wf_levels[WF_LEVELS] = {"critical", "high", "medium", "low"};

int wf_level_index(cf_str level)
{
    for (int i = 0; i < WF_LEVELS; i++)
        if (cf_str_eqz(level, wf_levels[i]))
            return i;
    return -1;
}

int wf_state_index(const struct cf_workflow *w, cf_str id)
{
    for (size_t i = 0; i < w->n_states; i++)
        if (cf_str_eq(w->states[i].id, id))
            return (int)i;
    return -1;
}

cf_str cf_workflow_state_title(const struct cf_workflow *w, cf_str state, bool english)
{
    int i = wf_state_index(w, state);

    return i < 0 ? CF_STR_NONE : english ? w->states[i].title.en : w->states[i].title.zh;
}

const struct wf_transition *wf_transition_find(const struct cf_workflow *w, cf_str id)
{
    for (size_t i = 0; i < w->n_transitions; i++)
        if (cf_str_eq(w->transitions[i].id, id))
            return &w->transitions[i];
    return NULL;
}

bool wf_from_has(const struct wf_transition *t, int state)
{
    for (size_t i = 0; i < t->n_from; i++)
        if (t->from[i] == state)
            return true;
    return false;
}

struct loader {
    struct cf_workflow *w;
    const struct cf_workflow_refs *refs;
    struct cf_error *err;
};

static int nomem(struct loader *l) { return cf_error_set(l->err, CF_ENOMEM, "out of memory"); }

/* "a" or [a, b] */
static int load_list(struct loader *l, const struct cf_ynode *n, struct wf_list *ret)
{
    if (!n)
        return 0;
    if (n->kind == CF_Y_MAP)
        return cf_content_fail(l->err, n, "a name or a list of names is needed");
    ret->v = CF_NEW_N(&l->w->arena, cf_str, n->kind == CF_Y_SEQ ? n->n + 1 : 1);
    if (!ret->v)
        return nomem(l);
    if (n->kind == CF_Y_SCALAR) {
        ret->v[ret->n++] = n->text;
        return 0;
    }
    for (const struct cf_ynode *c = n->child; c; c = c->next) {
        if (c->kind != CF_Y_SCALAR)
            return cf_content_fail(l->err, c, "a name is needed");
        ret->v[ret->n++] = c->text;
    }
    return 0;
}

static int check_known(struct loader *l, const struct cf_ynode *at, const char *dictionary, cf_str v)
{
    cf_str label;

    if (!l->refs || !l->refs->forms || !v.p)
        return 0;
    if (!cf_dictionary_label(l->refs->forms, cf_str_c(dictionary), v, false, &label))
        return cf_content_fail(l->err, at, "\"%.*s\" is not in dictionary %s", CF_ARG(cf_str_sub(v, 0, 60)), dictionary);
    return 0;
}

static int check_form(struct loader *l, const struct cf_ynode *at, cf_str id)
{
    if (id.p && l->refs && l->refs->forms && !cf_form_find(l->refs->forms, id))
        return cf_content_fail(l->err, at, "form \"%.*s\" does not exist", CF_ARG(cf_str_sub(id, 0, 60)));
    return 0;
}

static int load_who(struct loader *l, const struct cf_ynode *n, struct wf_who *who)
{
    static const char *const keys[] = {"permission", "role", "side", "creator", "not_creator", NULL};
    cf_str side;
    int r = cf_content_keys(n, keys, l->err);

    if (r < 0 || (r = load_list(l, cf_ymap_get(n, "permission"), &who->permissions)) < 0 || (r = load_list(l, cf_ymap_get(n, "role"), &who->roles)) < 0)
        return r;
    if (who->permissions.n == 0 && who->roles.n == 0)
        return cf_content_fail(l->err, n, "who needs a permission or a role");
    for (size_t i = 0; i < who->permissions.n; i++)
        if ((r = check_known(l, n, "permissions", who->permissions.v[i])) < 0)
            return r;
    for (size_t i = 0; i < who->roles.n; i++)
        if ((r = check_known(l, n, "roles", who->roles.v[i])) < 0)
            return r;
    side = cf_ymap_str(n, "side");
    if (side.p && !cf_str_eqz(side, "issuer") && !cf_str_eqz(side, "receiver"))
        return cf_content_fail(l->err, n, "side is issuer or receiver");
    who->side = !side.p ? WF_ANY : cf_str_eqz(side, "issuer") ? WF_ISSUER : WF_RECEIVER;
    who->creator = cf_content_flag(n, "creator", false, l->err, &r);
    who->not_creator = cf_content_flag(n, "not_creator", false, l->err, &r);
    return r;
}

static int load_notify(struct loader *l, const struct cf_ynode *list, struct wf_notifies *ret)
{
    static const char *const keys[] = {"to", "permission", "template", "state", NULL};
    int r;

    if (!list)
        return 0;
    if (list->kind != CF_Y_SEQ)
        return cf_content_fail(l->err, list, "a list of {to, permission, template} is needed");
    ret->v = CF_NEW_N(&l->w->arena, struct wf_notify, list->n + 1);
    if (!ret->v)
        return nomem(l);
    for (const struct cf_ynode *c = list->child; c; c = c->next) {
        struct wf_notify *n = &ret->v[ret->n++];
        cf_str to;

        if ((r = cf_content_keys(c, keys, l->err)) < 0)
            return r;
        to = cf_ymap_str(c, "to");
        if (cf_str_eqz(to, "receiver"))
            n->to = WF_TO_RECEIVER;
        else if (cf_str_eqz(to, "issuer"))
            n->to = WF_TO_ISSUER;
        else if (cf_str_eqz(to, "creator"))
            n->to = WF_TO_CREATOR;
        else
            return cf_content_fail(l->err, c, "to is receiver, issuer or creator");
        n->permission = cf_ymap_str(c, "permission");
        n->state = cf_ymap_get(c, "state") ? wf_state_index(l->w, cf_ymap_str(c, "state")) : -1;
        if (n->state < 0 && cf_ymap_get(c, "state"))
            return cf_content_fail(l->err, c, "state \"%.*s\" does not exist", CF_ARG(cf_str_sub(cf_ymap_str(c, "state"), 0, 60)));
        if ((r = check_known(l, c, "permissions", n->permission)) < 0 || (r = cf_content_id(c, "template", &n->template, l->err)) < 0)
            return r;
        if (l->refs && l->refs->template_known && !l->refs->template_known(l->refs->ctx, n->template))
            return cf_content_fail(l->err, c, "message template \"%.*s\" does not exist", CF_ARG(n->template));
    }
    return 0;
}

static int load_limits(struct loader *l, const struct cf_ynode *n, struct wf_clock *k)
{
    int64_t us;

    if (!n)
        return 0;
    if (n->kind == CF_Y_SCALAR) {
        if (!cf_duration_parse(n->text, &us))
            return cf_content_fail(l->err, n, "a time limit such as 30m, 4h, 3d is needed");
        for (size_t i = 0; i < WF_LEVELS; i++)
            k->us[i] = us;
        return 0;
    }
    for (const struct cf_ynode *c = n->child; c; c = c->next) {
        int i = wf_level_index(c->key);

        if (n->kind != CF_Y_MAP || i < 0)
            return cf_content_fail(l->err, c, "limits are given for critical, high, medium, low");
        if (c->kind != CF_Y_SCALAR || !cf_duration_parse(c->text, &k->us[i]))
            return cf_content_fail(l->err, c, "a time limit such as 30m, 4h, 3d is needed");
    }
    return 0;
}

static int load_clock(struct loader *l, const struct cf_ynode *n, struct wf_clock *k)
{
    static const char *const keys[] = {"name", "limit", "due_field", "remind", "repeat", "escalate", "notify", "escalate_to", NULL};
    const struct cf_ynode *x;
    int r = cf_content_keys(n, keys, l->err);

    if (r < 0 || (r = cf_content_id(n, "name", &k->name, l->err)) < 0 || (r = load_limits(l, cf_ymap_get(n, "limit"), k)) < 0)
        return r;
    k->due_field = cf_ymap_str(n, "due_field");
    x = cf_ymap_get(n, "remind");
    for (const struct cf_ynode *c = x ? x->child : NULL; c; c = c->next) {
        int64_t v;

        if (k->n_remind == WF_REMIND_MAX || !cf_ynode_i64(c, &v) || v < 1 || v > 1000 || (k->n_remind && v <= k->remind[k->n_remind - 1]))
            return cf_content_fail(l->err, c, "remind holds up to %d rising percentages from 1 to 1000", WF_REMIND_MAX);
        k->remind[k->n_remind++] = v;
    }
    x = cf_ymap_get(n, "repeat");
    if (x && (x->kind != CF_Y_SCALAR || !cf_duration_parse(x->text, &k->repeat_us)))
        return cf_content_fail(l->err, x, "repeat is a time such as 4h");
    x = cf_ymap_get(n, "escalate");
    if (x && (!cf_ynode_i64(x, &k->escalate) || k->escalate < 1 || k->escalate > 1000))
        return cf_content_fail(l->err, x, "escalate is a percentage from 1 to 1000");
    if ((r = load_notify(l, cf_ymap_get(n, "notify"), &k->notify)) < 0)
        return r;
    return load_notify(l, cf_ymap_get(n, "escalate_to"), &k->escalate_to);
}

static int load_states(struct loader *l, const struct cf_ynode *n)
{
    static const char *const keys[] = {"title", "final", "edit", "clock", NULL};
    struct cf_workflow *w = l->w;
    int r;

    if (!n || n->kind != CF_Y_MAP || n->n == 0 || n->n > WF_STATES_MAX)
        return cf_content_fail(l->err, n, "\"states\" is a map of 1 to %d states", WF_STATES_MAX);
    w->states = CF_NEW_N(&w->arena, struct wf_state, n->n);
    if (!w->states)
        return nomem(l);
    for (const struct cf_ynode *c = n->child; c; c = c->next) {
        struct wf_state *s = &w->states[w->n_states++];

        s->line = c->line;
        s->id = c->key;
        if (!cf_content_id_ok(s->id))
            return cf_content_fail(l->err, c, "state names are lower-case letters, digits, '-', '_'");
        if ((r = cf_content_keys(c, keys, l->err)) < 0 || (r = cf_content_text(c, "title", true, &s->title, l->err)) < 0)
            return r;
        s->final = cf_content_flag(c, "final", false, l->err, &r);
        s->edit = cf_content_flag(c, "edit", false, l->err, &r);
        if (r < 0)
            return r;
        if (cf_ymap_get(c, "clock")) {
            s->has_clock = true;
            if (s->final)
                return cf_content_fail(l->err, c, "a final state has no clock");
            if ((r = load_clock(l, cf_ymap_get(c, "clock"), &s->clock)) < 0)
                return r;
        }
    }
    return 0;
}

static int load_from_to(struct loader *l, const struct cf_ynode *c, struct wf_transition *t)
{
    struct wf_list from = {0, NULL};
    cf_str to = cf_ymap_str(c, "to");
    int i, r = load_list(l, cf_ymap_get(c, "from"), &from);

    if (r < 0)
        return r;
    if (from.n == 0)
        return cf_content_fail(l->err, c, "transition %.*s needs \"from\"", CF_ARG(t->id));
    t->from = CF_NEW_N(&l->w->arena, uint8_t, from.n);
    if (!t->from)
        return nomem(l);
    for (size_t k = 0; k < from.n; k++) {
        i = wf_state_index(l->w, from.v[k]);
        if (i < 0)
            return cf_content_fail(l->err, c, "state \"%.*s\" does not exist", CF_ARG(cf_str_sub(from.v[k], 0, 60)));
        t->from[t->n_from++] = (uint8_t)i;
    }
    t->to = -1;
    if (to.p) {
        t->to = wf_state_index(l->w, to);
        if (t->to < 0)
            return cf_content_fail(l->err, c, "state \"%.*s\" does not exist", CF_ARG(cf_str_sub(to, 0, 60)));
    }
    t->to_if_nobody = -1;
    to = cf_ymap_str(c, "to_if_nobody");
    if (to.p) {
        t->to_if_nobody = wf_state_index(l->w, to);
        if (t->to_if_nobody < 0 || t->to < 0)
            return cf_content_fail(l->err, c, t->to < 0 ? "to_if_nobody needs \"to\"" : "state \"%.*s\" does not exist", CF_ARG(cf_str_sub(to, 0, 60)));
    }
    return 0;
}

static int load_require(struct loader *l, const struct cf_ynode *c, struct wf_transition *t)
{
    struct wf_list req = {0, NULL};
    int r = load_list(l, cf_ymap_get(c, "require"), &req);

    for (size_t i = 0; r == 0 && i < req.n; i++) {
        if (cf_str_eqz(req.v[i], "note"))
            t->note = true;
        else if (cf_str_eqz(req.v[i], "attachment"))
            t->attachment = true;
        else if (cf_str_eqz(req.v[i], "receivers"))
            t->receivers = true;
        else if (cf_str_eqz(req.v[i], "children_final"))
            t->children_final = true;
        else
            return cf_content_fail(l->err, c, "require knows note, attachment, receivers, children_final; not \"%.*s\"", CF_ARG(cf_str_sub(req.v[i], 0, 40)));
    }
    return r;
}

static int load_transition(struct loader *l, const struct cf_ynode *c, struct wf_transition *t)
{
    static const char *const keys[] = {"title", "from", "to", "to_if_nobody", "who", "form", "style", "require", "system", "automatic", "todo",
                                       "spawn", "spawn_field", "number", "urge", "cascade", "notify", NULL};
    int r = cf_content_keys(c, keys, l->err);

    t->line = c->line;
    t->id = c->key;
    if (r < 0)
        return r;
    if (!cf_content_id_ok(t->id))
        return cf_content_fail(l->err, c, "transition names are lower-case letters, digits, '-', '_'");
    if ((r = cf_content_text(c, "title", true, &t->title, l->err)) < 0 || (r = load_from_to(l, c, t)) < 0 || (r = load_require(l, c, t)) < 0)
        return r;
    t->style = cf_ymap_str(c, "style");
    t->form = cf_ymap_str(c, "form");
    if ((r = check_form(l, c, t->form)) < 0)
        return r;
    t->system = cf_content_flag(c, "system", false, l->err, &r);
    t->automatic = cf_content_flag(c, "automatic", false, l->err, &r);
    t->spawn = cf_content_flag(c, "spawn", false, l->err, &r);
    t->number = cf_content_flag(c, "number", false, l->err, &r);
    t->urge = cf_content_flag(c, "urge", false, l->err, &r);
    t->todo = cf_content_flag(c, "todo", t->to >= 0 && !t->system, l->err, &r);
    t->spawn_field = cf_ymap_str(c, "spawn_field");
    t->cascade = cf_ymap_str(c, "cascade");
    if (r < 0)
        return r;
    if (!t->system) {
        if (!cf_ymap_get(c, "who"))
            return cf_content_fail(l->err, c, "transition %.*s needs \"who\" (or system: true)", CF_ARG(t->id));
        if ((r = load_who(l, cf_ymap_get(c, "who"), &t->who)) < 0)
            return r;
    }
    if (t->spawn && !t->spawn_field.p && !l->w->receivers_field.p)
        return cf_content_fail(l->err, c, "spawn needs \"receivers\" of the workflow or \"spawn_field\"");
    if (t->spawn_field.p && (!t->form.p || (l->refs && l->refs->forms && !cf_form_has_field(cf_form_find(l->refs->forms, t->form), t->spawn_field))))
        return cf_content_fail(l->err, c, "spawn_field is not a field of the transition's form");
    return load_notify(l, cf_ymap_get(c, "notify"), &t->notify);
}

static int load_transitions(struct loader *l, const struct cf_ynode *n)
{
    struct cf_workflow *w = l->w;
    int r;

    if (!n || n->kind != CF_Y_MAP || n->n == 0 || n->n > 256)
        return cf_content_fail(l->err, n, "\"transitions\" is a map of 1 to 256 transitions");
    w->transitions = CF_NEW_N(&w->arena, struct wf_transition, n->n);
    if (!w->transitions)
        return nomem(l);
    for (const struct cf_ynode *c = n->child; c; c = c->next)
        if ((r = load_transition(l, c, &w->transitions[w->n_transitions++])) < 0)
            return r;
    return 0;
}

/* Reachable from the start; no dead end; at least one final state that can be reached from every state. */
static int check_graph(struct loader *l)
{
    const struct cf_workflow *w = l->w;
    bool reach[WF_STATES_MAX] = {false}, ends[WF_STATES_MAX] = {false}, more = true, any_final = false;
    struct cf_ynode at = {.line = 1};

    reach[w->initial] = true;
    for (size_t i = 0; i < w->n_states; i++) {
        ends[i] = w->states[i].final;
        any_final |= w->states[i].final;
    }
    if (!any_final)
        return cf_content_fail(l->err, &at, "no state is final: the work would never end");
    while (more) {
        more = false;
        for (size_t t = 0; t < w->n_transitions; t++) {
            const struct wf_transition *x = &w->transitions[t];

            for (size_t k = 0; x->to >= 0 && k < x->n_from; k++) {
                if (reach[x->from[k]] && !reach[x->to])
                    reach[x->to] = more = true;
                if (x->to_if_nobody >= 0 && reach[x->from[k]] && !reach[x->to_if_nobody])
                    reach[x->to_if_nobody] = more = true;
                if (ends[x->to] && !ends[x->from[k]])
                    ends[x->from[k]] = more = true;
            }
        }
    }
    for (size_t i = 0; i < w->n_states; i++) {
        at.line = w->states[i].line;
        if (!reach[i])
            return cf_content_fail(l->err, &at, "state \"%.*s\" cannot be reached", CF_ARG(w->states[i].id));
        if (!ends[i])
            return cf_content_fail(l->err, &at, "no way leads from state \"%.*s\" to a final state", CF_ARG(w->states[i].id));
    }
    return 0;
}

static int load_head(struct loader *l, const struct cf_ynode *root)
{
    static const char *const keys[] = {"id", "version", "title", "form", "number", "child", "receivers", "title_field", "level_field",
                                       "permission", "initial", "states", "transitions", NULL};
    static const char *const pkeys[] = {"create", "read", NULL};
    struct cf_workflow *w = l->w;
    const struct cf_ynode *perm;
    int r;

    if ((r = cf_content_keys(root, keys, l->err)) < 0 || (r = cf_content_id(root, "id", &w->id, l->err)) < 0 ||
        (r = cf_content_version(root, &w->version, l->err)) < 0 || (r = cf_content_text(root, "title", true, &w->title, l->err)) < 0)
        return r;
    w->form = cf_ymap_str(root, "form");
    w->number = cf_ymap_str(root, "number");
    w->child = cf_ymap_str(root, "child");
    w->receivers_field = cf_ymap_str(root, "receivers");
    w->title_field = cf_ymap_str(root, "title_field");
    w->level_field = cf_ymap_str(root, "level_field");
    if ((r = check_form(l, root, w->form)) < 0)
        return r;
    if (w->form.p && l->refs && l->refs->forms) {
        const struct cf_form *f = cf_form_find(l->refs->forms, w->form);
        const cf_str need[] = {w->receivers_field, w->title_field, w->level_field};

        for (size_t i = 0; i < 3; i++)
            if (need[i].p && !cf_form_has_field(f, need[i]))
                return cf_content_fail(l->err, root, "form %.*s has no field \"%.*s\"", CF_ARG(w->form), CF_ARG(cf_str_sub(need[i], 0, 60)));
    }
    perm = cf_ymap_get(root, "permission");
    if (!perm)
        return cf_content_fail(l->err, root, "\"permission\" with create and read is missing");
    if ((r = cf_content_keys(perm, pkeys, l->err)) < 0)
        return r;
    w->create_permission = cf_ymap_str(perm, "create");
    w->read_permission = cf_ymap_str(perm, "read");
    if (!w->read_permission.p)
        return cf_content_fail(l->err, perm, "permission needs \"read\"");
    if ((r = check_known(l, perm, "permissions", w->create_permission)) < 0)
        return r;
    return check_known(l, perm, "permissions", w->read_permission);
}

static int check_cascades(struct loader *l)
{
    const struct cf_workflow *w = l->w;

    for (size_t i = 0; i < w->n_transitions; i++) {
        struct cf_ynode at = {.line = w->transitions[i].line};

        if ((w->transitions[i].cascade.p || w->transitions[i].spawn) && !w->child.p)
            return cf_content_fail(l->err, &at, "spawn and cascade need \"child\" of the workflow");
        if (w->transitions[i].automatic && !w->child.p)
            return cf_content_fail(l->err, &at, "automatic needs \"child\" of the workflow");
    }
    return 0;
}

int cf_workflow_parse(cf_str yaml, const struct cf_workflow_refs *refs, struct cf_workflow **ret, struct cf_error *reterr)
{
    struct loader l = {calloc(1, sizeof(struct cf_workflow)), refs, reterr};
    const struct cf_ynode *root;
    struct cf_digest dg;
    struct cf_ydoc *doc = NULL;
    char hex[65];
    int r, init;

    if (!l.w)
        return nomem(&l);
    cf_arena_init(&l.w->arena, 0, (size_t)64 << 20);
    l.w->text = cf_arena_copy(&l.w->arena, yaml);
    if (!cf_sha256(&dg, &yaml, 1)) {
        r = nomem(&l);
        goto out;
    }
    cf_hex(dg.b, 32, hex);
    l.w->sha = cf_arena_copy(&l.w->arena, cf_str_c(hex));
    r = cf_yaml_parse(&l.w->arena, l.w->text, &doc, reterr);
    if (r < 0)
        goto out;
    root = doc ? doc->root : NULL;
    if (!root) {
        r = cf_content_fail(reterr, NULL, "the file is empty");
        goto out;
    }
    if ((r = load_head(&l, root)) < 0 || (r = load_states(&l, cf_ymap_get(root, "states"))) < 0)
        goto out;
    init = wf_state_index(l.w, cf_ymap_str(root, "initial"));
    if (init < 0) {
        r = cf_content_fail(reterr, root, "\"initial\" names no state");
        goto out;
    }
    l.w->initial = (uint8_t)init;
    if ((r = load_transitions(&l, cf_ymap_get(root, "transitions"))) < 0 || (r = check_graph(&l)) < 0)
        goto out;
    r = check_cascades(&l);
out:
    if (r < 0) {
        cf_workflow_free(l.w);
        return r;
    }
    *ret = l.w;
    return 0;
}

void cf_workflow_free(struct cf_workflow *w)
{
    if (!w)
        return;
    cf_arena_release(&w->arena);
    free(w);
}

static json_t *clock_json(const struct wf_clock *k)
{
    json_t *limits = json_object();

    for (size_t i = 0; i < WF_LEVELS; i++)
        if (k->us[i])
            json_object_set_new(limits, wf_levels[i], json_integer((json_int_t)(k->us[i] / CF_US_PER_S)));
    return json_pack("{s:o, s:o}", "name", cf_str_json(k->name), "limit_seconds", limits);
}

static json_t *list_json(const struct wf_list *v)
{
    json_t *a = json_array();

    for (size_t i = 0; i < v->n; i++)
        json_array_append_new(a, cf_str_json(v->v[i]));
    return a;
}

json_t *cf_workflow_json(const struct cf_workflow *w, bool full)
{
    static const char *const sides[] = {"any", "issuer", "receiver"};
    json_t *j = json_pack("{s:o, s:I, s:o, s:o, s:o}", "id", cf_str_json(w->id), "version", (json_int_t)w->version, "title", cf_text_json(w->title),
                          "form", cf_str_json(w->form), "child", cf_str_json(w->child));
    json_t *states, *trans;

    if (!full)
        return j;
    states = json_array();
    for (size_t i = 0; i < w->n_states; i++)
        json_array_append_new(states, json_pack("{s:o, s:o, s:b, s:o}", "id", cf_str_json(w->states[i].id), "title", cf_text_json(w->states[i].title),
                                                "final", w->states[i].final, "clock",
                                                w->states[i].has_clock ? clock_json(&w->states[i].clock) : json_null()));
    trans = json_array();
    for (size_t i = 0; i < w->n_transitions; i++) {
        const struct wf_transition *t = &w->transitions[i];
        json_t *from = json_array();

        for (size_t k = 0; k < t->n_from; k++)
            json_array_append_new(from, cf_str_json(w->states[t->from[k]].id));
        json_array_append_new(trans, json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:{s:o, s:o, s:s}}", "id", cf_str_json(t->id), "title",
                                               cf_text_json(t->title), "from", from, "to",
                                               t->to >= 0 ? cf_str_json(w->states[t->to].id) : json_null(), "form", cf_str_json(t->form), "system",
                                               t->system, "who", "permissions", list_json(&t->who.permissions), "roles", list_json(&t->who.roles),
                                               "side", sides[t->who.side]));
    }
    json_object_set_new(j, "initial", cf_str_json(w->states[w->initial].id));
    json_object_set_new(j, "states", states);
    json_object_set_new(j, "transitions", trans);
    return j;
}
