/* SPDX-License-Identifier: Apache-2.0
 * Loading definitions, their versions in the record store, and the thread that looks at clocks. */
#include "workflow/engine_int.h"

#include <stdlib.h>
#include <time.h>

#include "api/sse.h"

const struct cf_migration cf_workflow_migrations[] = {
    {501, "workflow",
     "CREATE TABLE workflow_def (kind TEXT NOT NULL, version BIGINT NOT NULL, sha TEXT NOT NULL, body TEXT NOT NULL, loaded_us BIGINT NOT NULL, "
     "PRIMARY KEY (kind, version));\n"
     "CREATE TABLE work_item (id TEXT PRIMARY KEY, kind TEXT NOT NULL, version BIGINT NOT NULL, number TEXT, title TEXT NOT NULL, state TEXT NOT NULL, "
     "done BIGINT NOT NULL DEFAULT 0, level TEXT, org_id TEXT NOT NULL, issuer_org_id TEXT NOT NULL, parent_id TEXT, root_id TEXT NOT NULL, "
     "created_by TEXT, created_us BIGINT NOT NULL, updated_us BIGINT NOT NULL, entered_us BIGINT NOT NULL, issued_us BIGINT, finished_us BIGINT, "
     "signed_us BIGINT, fed_back_us BIGINT, clock_name TEXT, clock_start_us BIGINT, due_us BIGINT, next_check_us BIGINT, reminded BIGINT NOT NULL DEFAULT 0, "
     "overdue BIGINT NOT NULL DEFAULT 0, overdue_count BIGINT NOT NULL DEFAULT 0, urged BIGINT NOT NULL DEFAULT 0, data TEXT NOT NULL, "
     "revision BIGINT NOT NULL DEFAULT 1, source_type TEXT, source_id TEXT, dedup_key TEXT);\n"
     "CREATE INDEX work_item_org ON work_item (org_id, updated_us);\n"
     "CREATE INDEX work_item_parent ON work_item (parent_id);\n"
     "CREATE INDEX work_item_kind ON work_item (kind, created_us);\n"
     "CREATE INDEX work_item_check ON work_item (done, next_check_us);\n"
     "CREATE INDEX work_item_source ON work_item (source_type, source_id);\n"
     "CREATE INDEX work_item_dedup ON work_item (kind, dedup_key);\n"
     "CREATE INDEX work_item_creator ON work_item (created_by, updated_us);\n"
     "CREATE TABLE work_item_todo (item_id TEXT NOT NULL, org_id TEXT NOT NULL, side TEXT NOT NULL, permission TEXT, role TEXT, only_user TEXT, not_user TEXT);\n"
     "CREATE INDEX work_item_todo_item ON work_item_todo (item_id);\n"
     "CREATE INDEX work_item_todo_org ON work_item_todo (org_id);\n"
     "CREATE TABLE work_item_history (id TEXT PRIMARY KEY, item_id TEXT NOT NULL, time_us BIGINT NOT NULL, user_id TEXT, user_name TEXT NOT NULL, org_id TEXT, "
     "org_name TEXT, action TEXT NOT NULL, from_state TEXT, to_state TEXT, note TEXT, form TEXT);\n"
     "CREATE INDEX work_item_history_item ON work_item_history (item_id, id);\n"
     "CREATE INDEX work_item_history_user ON work_item_history (user_id, item_id);\n"
     "CREATE TABLE attachment (id TEXT PRIMARY KEY, item_id TEXT NOT NULL, org_id TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL, size BIGINT NOT NULL, "
     "sha256 TEXT NOT NULL, internal BIGINT NOT NULL DEFAULT 0, uploaded_by TEXT, uploader_name TEXT, created_us BIGINT NOT NULL);\n"
     "CREATE INDEX attachment_item ON attachment (item_id);\n"
     "CREATE TABLE number_seq (name TEXT PRIMARY KEY, value BIGINT NOT NULL);"},
};
const size_t cf_workflow_n_migrations = sizeof(cf_workflow_migrations) / sizeof(cf_workflow_migrations[0]);

const struct cf_workflow *cf_workflow_find(const struct cf_workflow_engine *e, cf_str kind, int64_t version)
{
    const struct cf_workflow *best = NULL;

    for (const struct cf_workflow *w = e->defs; w; w = w->next)
        if (cf_str_eq(w->id, kind) && (version ? w->version == version : !best || w->version > best->version))
            best = w;
    return best;
}

json_t *cf_workflows_json(const struct cf_workflow_engine *e)
{
    json_t *a = json_array();

    for (const struct cf_workflow *w = e->defs; w; w = w->next)
        if (cf_workflow_find(e, w->id, 0) == w)
            json_array_append_new(a, cf_workflow_json(w, false));
    return a;
}

static struct cf_workflow_refs refs_of(struct cf_workflow_engine *e)
{
    return (struct cf_workflow_refs){e->o.forms, e->o.messenger ? cf_messenger_template_known : NULL, e->o.messenger};
}

struct load_ctx {
    struct cf_workflow_engine *e;
    struct cf_error *err;
};
static int load_file(void *vctx, const char *path)
{
    struct load_ctx *c = vctx;
    struct cf_workflow_refs refs = refs_of(c->e);
    struct cf_workflow *w = NULL;
    struct cf_buf b;
    int r;

    cf_buf_init(&b, (size_t)1 << 20);
    r = cf_file_read(path, &b, c->err);
    if (r == 0)
        r = cf_workflow_parse(cf_buf_view(&b), &refs, &w, c->err);
    cf_buf_release(&b);
    if (r == 0 && w && cf_workflow_find(c->e, w->id, 0)) {
        cf_workflow_free(w);
        r = cf_error_set(c->err, CF_EEXIST, "another file defines this workflow already");
    }
    if (r < 0 || !w) {
        cf_error_context(c->err, "%s", path);
        return r;
    }
    w->next = c->e->defs;
    c->e->defs = w;
    return 0;
}

static int check_children(struct cf_workflow_engine *e, struct cf_error *err)
{
    for (const struct cf_workflow *w = e->defs; w; w = w->next) {
        const struct cf_workflow *child = w->child.p ? cf_workflow_find(e, w->child, 0) : NULL;

        if (w->child.p && !child)
            return cf_error_set(err, CF_ESYNTAX, "workflow %.*s: child \"%.*s\" does not exist", CF_ARG(w->id), CF_ARG(cf_str_sub(w->child, 0, 60)));
        for (size_t i = 0; i < w->n_transitions; i++) {
            const struct wf_transition *t = &w->transitions[i], *ct = t->cascade.p && child ? wf_transition_find(child, t->cascade) : NULL;

            if (t->cascade.p && (!ct || !ct->system))
                return cf_error_set(err, CF_ESYNTAX, "workflow %.*s line %u: cascade \"%.*s\" is no system transition of %.*s", CF_ARG(w->id), t->line,
                                    CF_ARG(cf_str_sub(t->cascade, 0, 60)), CF_ARG(w->child));
        }
    }
    return 0;
}

static int count_open(struct cf_tx *tx, const struct cf_workflow *w, int64_t *ret, struct cf_error *err)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT COUNT(*) FROM work_item WHERE kind = ? AND version = ?", &st, err, CF_S(w->id), CF_I(w->version));

    if (r == 0 && (r = cf_stmt_next(st, err)) == 1) {
        *ret = cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}

static int store_version(struct cf_tx *tx, const struct cf_workflow *w, struct cf_error *err)
{
    struct cf_stmt *st = NULL;
    int64_t open = 0;
    bool known, same = false;
    int r = cf_tx_query(tx, "SELECT sha FROM workflow_def WHERE kind = ? AND version = ?", &st, err, CF_S(w->id), CF_I(w->version));

    if (r < 0)
        return r;
    r = cf_stmt_next(st, err);
    known = r == 1;
    if (known)
        same = cf_str_eq(cf_stmt_str(st, 0), w->sha);
    cf_stmt_free(st);
    if (r < 0 || same)
        return r < 0 ? r : 0;
    if (known) {
        r = count_open(tx, w, &open, err);
        if (r < 0)
            return r;
        if (open)
            return cf_error_set(err, CF_EINVAL, "workflow %.*s version %lld was changed while %lld items use it: give the changed file a higher version", CF_ARG(w->id),
                                (long long)w->version, (long long)open);
    }
    return cf_tx_exec(tx, "INSERT INTO workflow_def (kind, version, sha, body, loaded_us) VALUES (?,?,?,?,?) "
                          "ON CONFLICT (kind, version) DO UPDATE SET sha = excluded.sha, body = excluded.body, loaded_us = excluded.loaded_us",
                      err, CF_S(w->id), CF_I(w->version), CF_S(w->sha), CF_S(w->text), CF_I(cf_now_us()));
}

/* Versions that older items still run on. They were checked when they were new; forms may have changed since. */
static int load_old(struct cf_workflow_engine *e, struct cf_tx *tx, struct cf_error *err)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT kind, version, body FROM workflow_def", &st, err);

    while (r == 0 && (r = cf_stmt_next(st, err)) == 1) {
        struct cf_workflow *w = NULL;
        struct cf_workflow **at = &e->defs;

        r = 0;
        if (cf_workflow_find(e, cf_stmt_str(st, 0), cf_stmt_i64(st, 1)))
            continue;
        r = cf_workflow_parse(cf_stmt_str(st, 2), NULL, &w, err);
        if (r < 0)
            break;
        while (*at)
            at = &(*at)->next;
        *at = w;
    }
    cf_stmt_free(st);
    return r < 0 ? r : 0;
}

static int sync_versions(struct cf_workflow_engine *e, struct cf_error *err)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(e->o.db, CF_TX_WRITE, &tx, err);

    for (const struct cf_workflow *w = e->defs; r == 0 && w; w = w->next)
        r = store_version(tx, w, err);
    if (r == 0)
        r = load_old(e, tx, err);
    if (r == 0)
        r = cf_tx_commit(&tx, err);
    cf_tx_rollback(&tx);
    return r;
}

static void *run(void *arg)
{
    struct cf_workflow_engine *e = arg;

    (void)pthread_mutex_lock(&e->lock);
    while (!e->stop) {
        struct cf_error err = {0};
        struct timespec until;
        int64_t ns;

        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        ns = until.tv_nsec + e->o.check_us % CF_US_PER_S * 1000;
        until.tv_sec += (time_t)(e->o.check_us / CF_US_PER_S + ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        while (!e->stop && pthread_cond_timedwait(&e->wake, &e->lock, &until) == 0)
            ;
        if (e->stop)
            break;
        (void)pthread_mutex_unlock(&e->lock);
        if (cf_workflow_tick(e, cf_now_us(), NULL, &err) < 0)
            cf_log_warn("workflow", "clocks could not be looked at", "error=\"%s\"", err.msg);
        (void)pthread_mutex_lock(&e->lock);
    }
    (void)pthread_mutex_unlock(&e->lock);
    return NULL;
}

int cf_workflow_engine_new(const struct cf_workflow_options *o, struct cf_workflow_engine **ret, struct cf_error *reterr)
{
    struct cf_workflow_engine *e = calloc(1, sizeof(*e));
    struct load_ctx c = {e, reterr};
    pthread_condattr_t attr;
    int r;

    if (!e)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    e->o = *o;
    if (e->o.attachment_max <= 0)
        e->o.attachment_max = INT64_C(50) << 20;
    cf_arena_init(&e->arena, 0, 0);
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&e->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    r = cf_walk(cf_path_join(&e->arena, o->content_dir, "workflows"), ".yaml", load_file, &c, reterr);
    if (r == 0)
        r = check_children(e, reterr);
    if (r == 0)
        r = sync_versions(e, reterr);
    if (r == 0 && o->check_us > 0) {
        e->running = pthread_create(&e->thread, NULL, run, e) == 0;
        if (!e->running)
            r = cf_error_set(reterr, CF_EIO, "no thread for deadlines");
    }
    if (r < 0) {
        cf_workflow_engine_free(e);
        return r;
    }
    *ret = e;
    return 0;
}

void cf_workflow_engine_free(struct cf_workflow_engine *e)
{
    if (!e)
        return;
    (void)pthread_mutex_lock(&e->lock);
    e->stop = true;
    (void)pthread_cond_signal(&e->wake);
    (void)pthread_mutex_unlock(&e->lock);
    if (e->running)
        (void)pthread_join(e->thread, NULL);
    (void)pthread_cond_destroy(&e->wake);
    (void)pthread_mutex_destroy(&e->lock);
    for (struct cf_workflow *w = e->defs, *next; w; w = next) {
        next = w->next;
        cf_workflow_free(w);
    }
    cf_arena_release(&e->arena);
    free(e);
}

/* ---- effects ---- */

int wf_effect(struct cf_work_effects *fx, const char *id, struct cf_error *err)
{
    if (!fx)
        return 0;
    for (size_t i = 0; i < fx->n; i++)
        if (strcmp(fx->ids[i], id) == 0)
            return 0;
    if (fx->n == fx->cap) {
        size_t cap = fx->cap ? fx->cap * 2 : 16;
        void *p = realloc(fx->ids, cap * sizeof(*fx->ids));

        if (!p)
            return cf_error_set(err, CF_ENOMEM, "out of memory");
        fx->ids = p;
        fx->cap = cap;
    }
    (void)snprintf(fx->ids[fx->n++], sizeof(*fx->ids), "%s", id);
    return 0;
}

void cf_work_forget(struct cf_work_effects *fx)
{
    free(fx->ids);
    *fx = (struct cf_work_effects){0};
}

static void publish_one(struct cf_workflow_engine *e, struct cf_tx *tx, struct cf_arena *a, const char *id)
{
    struct wf_item it;
    json_t *j;

    if (wf_item_read(e, tx, a, cf_str_c(id), &it, NULL) < 0)
        return;
    j = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:{s:o}}", "id", it.id, "kind", cf_str_json(it.kind), "number", cf_str_json(it.number), "title",
                  cf_str_json(it.title), "state", cf_str_json(it.def->states[it.state].id), "state_name", cf_str_json(it.def->states[it.state].title.zh), "level",
                  cf_str_json(it.level), "due_at", wf_time_json(it.due_us), "overdue", it.overdue, "org", "id", cf_str_json(it.org));
    if (j)
        cf_hub_publish(e->o.hub, "work-item", it.org, CF_STR(""), j);
    json_decref(j);
    wf_item_release(&it);
}

void cf_work_publish(struct cf_workflow_engine *e, struct cf_work_effects *fx)
{
    struct cf_tx *tx = NULL;
    struct cf_arena a;

    cf_arena_init(&a, 0, 0);
    if (e->o.hub && fx->n && cf_tx_begin(e->o.db, CF_TX_READ, &tx, NULL) == 0)
        for (size_t i = 0; i < fx->n; i++)
            publish_one(e, tx, &a, fx->ids[i]);
    cf_tx_rollback(&tx);
    cf_arena_release(&a);
    cf_messenger_kick(e->o.messenger);
    cf_work_forget(fx);
}
