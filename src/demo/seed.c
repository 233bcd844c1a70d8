/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/seed.h"

#include "directory/service.h"
#include "workflow/workflow.h"

#define NOTICES 5

struct case_row {
    cf_str incident, title, org, org_name;
    int64_t level;
};
struct people {
    const struct cf_principal *analyst, *leader, *coordinator, *officer;
    const struct cf_principal *chief; /* of the officer's unit, who looks at its answers; NULL: it has none */
};
/* How far each notice goes. */
enum stage { DRAFT, APPROVAL, ISSUED, ANSWERED, CLOSED };

static bool has(const struct case_row *c, size_t n, cf_str incident, cf_str org)
{
    for (size_t i = 0; i < n; i++)
        if (cf_str_eq(c[i].incident, incident) || cf_str_eq(c[i].org, org))
            return true;
    return false;
}

/* The gravest incidents, of units that have an officer, added to the n that are there: one a unit, or also a second one. */
static int find_cases(struct cf_db *db, bool second, struct cf_arena *a, struct case_row *out, size_t *n, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx,
                        "SELECT i.id, i.title, i.org_id, o.name, i.level FROM incident i JOIN organisation o ON o.id = i.org_id"
                        " WHERE i.org_id LIKE 'demo-org-%' AND i.org_id <> 'demo-org-soc' AND i.status <> 'merged'"
                        " AND EXISTS (SELECT 1 FROM app_user u WHERE u.id = 'demo-user-u.' || substr(i.org_id, 10))"
                        " ORDER BY i.score DESC, i.id LIMIT 200",
                        &st, reterr);
    while (r == 0 && *n < NOTICES && (r = cf_stmt_next(st, reterr)) == 1) {
        r = 0;
        if (has(out, *n, cf_stmt_str(st, 0), second ? CF_STR_NONE : cf_stmt_str(st, 2)))
            continue;
        out[(*n)++] = (struct case_row){cf_arena_copy(a, cf_stmt_str(st, 0)), cf_arena_copy(a, cf_stmt_str(st, 1)), cf_arena_copy(a, cf_stmt_str(st, 2)),
                                         cf_arena_copy(a, cf_stmt_str(st, 3)), cf_stmt_i64(st, 4)};
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return r < 0 ? r : 0;
}

static json_t *text(cf_str s) { return json_stringn(s.p, s.n); }

static json_t *notice_form(const struct case_row *c, struct cf_arena *a)
{
    static const char *const levels[] = {"low", "low", "medium", "high", "critical"};
    json_t *f = json_pack("{s:s,s:s,s:[o]}", "kind", "intrusion", "level", levels[c->level < 0 || c->level > 4 ? 2 : c->level], "receivers", text(c->org));

    (void)json_object_set_new(f, "title", text(cf_arena_printf(a, "关于%.*s安全事件的通报", CF_ARG(c->org_name))));
    (void)json_object_set_new(f, "content", text(cf_arena_printf(a, "监测发现你单位出现安全事件：%.*s。请立即核查受影响主机，阻断攻击来源，排查是否存在后门与数据外传。", CF_ARG(c->title))));
    (void)json_object_set_new(f, "requirements", json_string("一、立即处置并保存证据；二、查明原因；三、在时限内反馈处置情况，附处置报告。"));
    (void)json_object_set_new(f, "contact", json_string("苏晴"));
    (void)json_object_set_new(f, "contact_phone", json_string("0990-5550001"));
    return f;
}

static json_t *feedback_form(const struct cf_principal *officer)
{
    return json_pack("{s:s,s:s,s:s,s:o}", "result", "fixed", "cause", "对外服务存在弱口令与未修补漏洞，被外部扫描后利用。", "measures",
                     "已隔离受影响主机，清除后门文件与异常账号，更换口令并修补漏洞，复测通过。", "person", text(officer->display_name));
}

struct work {
    struct cf_app *app;
    struct cf_tx *tx;
    struct cf_work_effects fx;
    struct cf_error *err;
};

static int step(struct work *w, const struct cf_principal *who, cf_str id, const char *transition, json_t *form_taken)
{
    struct cf_work_act act = {.id = id, .transition = cf_str_c(transition), .form = form_taken};
    json_t *errors = NULL;
    int r = cf_work_transition(w->app->workflows, w->tx, who, &act, &w->fx, &errors, w->err);

    if (r < 0)
        cf_error_context(w->err, "notice %s", transition);
    json_decref(errors);
    json_decref(form_taken);
    return r;
}

static int receipt_of(struct work *w, cf_str notice, char ret[37])
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(w->tx, "SELECT id FROM work_item WHERE parent_id = ?", &st, w->err, CF_S(notice));

    if (r == 0)
        r = cf_stmt_next(st, w->err);
    if (r == 1 && cf_stmt_str(st, 0).n == 36) {
        memcpy(ret, cf_stmt_str(st, 0).p, 36);
        ret[36] = 0;
    } else if (r >= 0)
        r = cf_error_set(w->err, CF_ENOENT, "the notice has no receiver");
    cf_stmt_free(st);
    return r < 0 ? r : 0;
}

static int walk(struct work *w, const struct people *p, const struct case_row *c, enum stage to, struct cf_arena *a)
{
    char id[37], receipt[37];
    json_t *form = notice_form(c, a), *errors = NULL;
    struct cf_work_new n = {.kind = CF_STR("notice"), .data = form, .source_type = CF_STR("incident"), .source_id = c->incident};
    int r = cf_work_create(w->app->workflows, w->tx, p->coordinator, &n, id, &w->fx, &errors, w->err);
    cf_str it = {id, 36}, rc = {receipt, 36};

    json_decref(form);
    json_decref(errors);
    if (r == 0 && to >= APPROVAL)
        r = step(w, p->analyst, it, "judge", NULL);
    if (r == 0 && to >= APPROVAL)
        r = step(w, p->coordinator, it, "submit", NULL);
    if (r == 0 && to >= ISSUED)
        r = step(w, p->leader, it, "approve", NULL);
    if (r == 0 && to >= ISSUED)
        r = step(w, p->coordinator, it, "issue", NULL);
    if (r < 0 || to < ANSWERED)
        return r;
    r = receipt_of(w, it, receipt);
    r = r < 0 ? r : step(w, p->officer, rc, "sign", NULL);
    r = r < 0 ? r : step(w, p->officer, rc, "submit", feedback_form(p->officer));
    if (r == 0 && to >= CLOSED && p->chief)
        r = step(w, p->chief, rc, "unit_pass", NULL);
    return r < 0 || to < CLOSED ? r : step(w, p->coordinator, rc, "approve", NULL);
}

static int one_notice(struct cf_app *app, struct people *p, const struct case_row *c, enum stage to, struct cf_arena *a, struct cf_error *reterr)
{
    cf_str unit = cf_str_sub(c->org, strlen("demo-org-"), c->org.n);
    struct work w = {.app = app, .err = reterr};
    int r = cf_directory_person(app->directory, cf_arena_printf(a, "demo-user-u.%.*s", CF_ARG(unit)), &p->officer, reterr);

    if (r == 0 && (r = cf_directory_person(app->directory, cf_arena_printf(a, "demo-user-l.%.*s", CF_ARG(unit)), &p->chief, reterr)) == CF_EAUTH)
        r = 0;
    r = r < 0 ? r : cf_tx_begin(app->db, CF_TX_WRITE, &w.tx, reterr);
    r = r < 0 ? r : walk(&w, p, c, to, a);
    r = r < 0 ? r : cf_tx_commit(&w.tx, reterr);
    cf_tx_rollback(&w.tx);
    if (r == 0)
        cf_work_publish(app->workflows, &w.fx);
    else
        cf_work_forget(&w.fx);
    cf_principal_unref(p->officer);
    cf_principal_unref(p->chief);
    p->officer = p->chief = NULL;
    return r;
}

int demo_seed_notices(struct cf_app *app, bool patient, struct cf_error *reterr)
{
    static const enum stage stages[NOTICES] = {ISSUED, ANSWERED, CLOSED, APPROVAL, DRAFT};
    struct case_row cases[NOTICES];
    struct people p = {0};
    struct cf_arena a;
    size_t n = 0;
    int r;

    cf_arena_init(&a, 0, 1 << 22);
    r = find_cases(app->db, false, &a, cases, &n, reterr);
    if (r == 0 && n < NOTICES && !patient)
        r = find_cases(app->db, true, &a, cases, &n, reterr);
    if (r == 0 && n < (patient ? NOTICES : 1))
        r = CF_EBUSY;
    r = r < 0 ? r : cf_directory_person(app->directory, CF_STR("demo-user-analyst1"), &p.analyst, reterr);
    r = r < 0 ? r : cf_directory_person(app->directory, CF_STR("demo-user-leader"), &p.leader, reterr);
    r = r < 0 ? r : cf_directory_person(app->directory, CF_STR("demo-user-coordinator"), &p.coordinator, reterr);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = one_notice(app, &p, &cases[i], stages[i], &a, reterr);
    cf_principal_unref(p.analyst);
    cf_principal_unref(p.leader);
    cf_principal_unref(p.coordinator);
    cf_arena_release(&a);
    return r;
}
