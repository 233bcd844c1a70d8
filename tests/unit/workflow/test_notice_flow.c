/* SPDX-License-Identifier: Apache-2.0
 * The shipped notice workflow on a real record store: the whole way, who may not, stale states, clocks, isolation, attachments. */
#include "records.h"

#include "directory/service.h"
#include "workflow/engine_int.h"

struct world {
    struct records r;
    struct cf_form_set *forms;
    struct cf_messenger *m;
    struct cf_workflow_engine *e;
    bool four_eyes;
    char id[37]; /* last created */
};

#define PERMS(name, ...) static const cf_str name[] = {__VA_ARGS__}
#define P(x) {x, sizeof(x) - 1}
PERMS(coord_perms, P("incident.write"), P("notice.create"), P("notice.read"), P("notice.review"));
PERMS(lead_perms, P("notice.approve"), P("notice.read"));
PERMS(unit_perms, P("notice.feedback"), P("notice.read"));
PERMS(head_perms, P("notice.read"), P("notice.unit_review"));
PERMS(bare_perms, P("asset.read"));
static const struct cf_principal coord = {.user_id = P("u-coord"), .user_name = P("coord"), .display_name = P("Coordinator"), .org_id = P("root"), .org_path = P("/root/"), .scope = CF_SCOPE_ALL, .n_perms = 4, .perms = coord_perms};
static const struct cf_principal lead = {.user_id = P("u-lead"), .user_name = P("lead"), .org_id = P("root"), .org_path = P("/root/"), .scope = CF_SCOPE_ALL, .n_perms = 2, .perms = lead_perms};
static const struct cf_principal unit_a = {.user_id = P("u-a"), .user_name = P("a"), .org_id = P("oa"), .org_path = P("/root/oa/"), .scope = CF_SCOPE_SUBTREE, .n_perms = 2, .perms = unit_perms};
static const struct cf_principal unit_b = {.user_id = P("u-b"), .user_name = P("b"), .org_id = P("ob"), .org_path = P("/root/ob/"), .scope = CF_SCOPE_SUBTREE, .n_perms = 2, .perms = unit_perms};
static const struct cf_principal sub_a = {.user_id = P("u-a1"), .user_name = P("a1"), .org_id = P("oa1"), .org_path = P("/root/oa/oa1/"), .scope = CF_SCOPE_SUBTREE, .n_perms = 2, .perms = unit_perms};
static const struct cf_principal head_a = {.user_id = P("u-ha"), .user_name = P("ha"), .org_id = P("oa"), .org_path = P("/root/oa/"), .scope = CF_SCOPE_SUBTREE, .n_perms = 2, .perms = head_perms};
static const struct cf_principal bare = {.user_id = P("u-x"), .user_name = P("x"), .org_id = P("root"), .org_path = P("/root/"), .scope = CF_SCOPE_ALL, .n_perms = 1, .perms = bare_perms};

static const char *const seed[] = {
    "INSERT INTO organisation (id, name, parent_id, path, created_us, updated_us) VALUES ('root', '市网信办', NULL, '/root/', 1, 1), ('oa', '甲单位', 'root', '/root/oa/', 1, 1), "
    "('ob', '乙单位', 'root', '/root/ob/', 1, 1), ('oa1', '甲一科', 'oa', '/root/oa/oa1/', 1, 1)",
    "INSERT INTO app_user (id, name, display_name, org_id, email, created_us, updated_us) VALUES ('u-coord', 'coord', 'C', 'root', NULL, 1, 1), "
    "('u-lead', 'lead', 'L', 'root', NULL, 1, 1), ('u-a', 'a', 'A', 'oa', 'a@example.org', 1, 1), ('u-b', 'b', 'B', 'ob', NULL, 1, 1), ('u-a1', 'a1', 'A1', 'oa1', NULL, 1, 1)",
    "INSERT INTO role (id, name_zh, name_en, scope, permissions) VALUES ('coordinator', 'c', 'c', 'all', '[\"notice.create\",\"notice.review\",\"notice.read\"]'), "
    "('leader', 'l', 'l', 'all', '[\"notice.approve\",\"notice.read\"]'), ('unit_officer', 'u', 'u', 'subtree', '[\"notice.feedback\",\"notice.read\"]')",
    "INSERT INTO user_role (user_id, role_id) VALUES ('u-coord', 'coordinator'), ('u-lead', 'leader'), ('u-a', 'unit_officer'), ('u-b', 'unit_officer'), ('u-a1', 'unit_officer')",
};

static void start(struct world *w)
{
    struct cf_error err = {0};
    const struct cf_messenger_options mo = {.db = w->r.db, .content_dir = CF_TEST_ROOT "/content", .smtp_url = CF_STR("smtp://127.0.0.1:1"), .smtp_from = CF_STR("cf@example.org")};
    struct cf_workflow_options wo = {.db = w->r.db, .content_dir = CF_TEST_ROOT "/content", .data_dir = w->r.dir, .attachment_max = 1000, .four_eyes = w->four_eyes};

    ok(cf_messenger_new(&mo, &w->m, &err), &err);
    wo.forms = w->forms;
    wo.messenger = w->m;
    ok(cf_workflow_engine_new(&wo, &w->e, &err), &err);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct cf_error err = {0};

    records_open(&w->r);
    records_migrate(w->r.db, directory);
    records_migrate(w->r.db, workflow);
    records_migrate(w->r.db, message);
    for (size_t i = 0; i < sizeof(seed) / sizeof(seed[0]); i++)
        run_sql(w->r.db, seed[i]);
    ok(cf_form_set_load(CF_TEST_ROOT "/content", &w->forms, &err), &err);
    w->four_eyes = true;
    start(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    cf_workflow_engine_free(w->e);
    cf_messenger_free(w->m);
    cf_form_set_free(w->forms);
    records_close(&w->r);
    free(w);
    return 0;
}

#define NOTICE "{\"title\":\"官网存在 SQL 注入\",\"kind\":\"vulnerability\",\"level\":\"high\",\"receivers\":[\"oa\",\"ob\"]," \
               "\"content\":\"首页查询参数可注入\",\"requirements\":\"三日内修复\",\"remark\":\"secret\"}"
#define ANSWER "{\"result\":\"fixed\",\"cause\":\"未过滤\",\"measures\":\"已改为预编译语句\",\"person\":\"张三\"}"

static int create(struct world *w, const struct cf_principal *who, const char *data, const char *dedup, json_t **errors)
{
    json_t *j = json_loads(data, 0, NULL);
    const struct cf_work_new n = {.kind = CF_STR("notice"), .data = j, .dedup_key = cf_str_c(dedup)};
    struct cf_work_effects fx = {0};
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    int r;

    assert_non_null(j);
    ok(cf_tx_begin(w->r.db, CF_TX_WRITE, &tx, &err), &err);
    r = cf_work_create(w->e, tx, who, &n, w->id, &fx, errors, &err);
    if (r == 0) {
        ok(cf_tx_commit(&tx, &err), &err);
        cf_work_publish(w->e, &fx);
    } else {
        cf_tx_rollback(&tx);
        cf_work_forget(&fx);
    }
    json_decref(j);
    return r;
}

static int step(struct world *w, const struct cf_principal *who, const char *id, const char *transition, const char *form, const char *note, json_t **errors)
{
    json_t *j = form ? json_loads(form, 0, NULL) : NULL, *mine = NULL;
    const struct cf_work_act a = {.id = cf_str_c(id), .transition = cf_str_c(transition), .note = cf_str_c(note), .form = j, .english = true};
    struct cf_work_effects fx = {0};
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    int r;

    ok(cf_tx_begin(w->r.db, CF_TX_WRITE, &tx, &err), &err);
    r = cf_work_transition(w->e, tx, who, &a, &fx, errors ? errors : &mine, &err);
    if (r == 0) {
        ok(cf_tx_commit(&tx, &err), &err);
        cf_work_publish(w->e, &fx);
    } else {
        cf_tx_rollback(&tx);
        cf_work_forget(&fx);
        if (r == CF_EDB || r == CF_ECORRUPT || r == CF_ENOMEM)
            fail_msg("%s: %s", transition, err.msg);
    }
    json_decref(mine);
    json_decref(j);
    return r;
}

static void issue(struct world *w)
{
    assert_int_equal(create(w, &coord, NOTICE, NULL, NULL), 0);
    assert_int_equal(step(w, &coord, w->id, "judge", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &coord, w->id, "submit", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &lead, w->id, "approve", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &coord, w->id, "issue", NULL, NULL, NULL), 0);
}

static void child_of(struct world *w, const char *org, char id[37])
{
    char sql[200];

    (void)snprintf(sql, sizeof(sql), "SELECT id FROM work_item WHERE org_id = '%s' AND kind = 'notice-receipt' ORDER BY id DESC LIMIT 1", org);
    sql_text(w->r.db, sql, id, 37);
}

static int todo_count(struct world *w, const struct cf_principal *who)
{
    struct cf_error err = {0};
    struct cf_stmt *st = NULL;
    struct cf_tx *tx = NULL;
    struct cf_dbval v[16];
    struct cf_buf sql;
    size_t n = 0;
    int c;

    cf_buf_init(&sql, 0);
    cf_buf_z(&sql, "SELECT COUNT(*) FROM work_item w WHERE ");
    cf_work_todo_sql(w->e, who, &sql, v, &n, 16);
    ok(cf_tx_begin(w->r.db, CF_TX_READ, &tx, &err), &err);
    ok(cf_tx_queryv(tx, cf_buf_cstr(&sql), v, n, &st, &err), &err);
    assert_int_equal(cf_stmt_next(st, &err), 1);
    c = (int)cf_stmt_i64(st, 0);
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    cf_buf_release(&sql);
    return c;
}

static json_t *detail(struct world *w, const struct cf_principal *who, const char *id)
{
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    json_t *j;

    ok(cf_tx_begin(w->r.db, CF_TX_READ, &tx, &err), &err);
    j = cf_work_detail(w->e, tx, who, cf_str_c(id), &err);
    cf_tx_rollback(&tx);
    return j;
}

static void the_whole_way(void **state)
{
    struct world *w = *state;
    char a[37], b[37], buf[200];
    json_t *j;

    issue(w);
    sql_text(w->r.db, "SELECT number FROM work_item WHERE kind = 'notice'", buf, sizeof(buf));
    assert_non_null(strstr(buf, "通报〔20"));
    assert_non_null(strstr(buf, "〕1号"));
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM work_item WHERE kind = 'notice-receipt' AND state = 'issued'"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE kind = 'notice-issued'"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM outbox WHERE channel = 'email' AND target = 'a@example.org'"), 1);
    child_of(w, "oa", a);
    child_of(w, "ob", b);
    assert_int_equal(todo_count(w, &unit_a), 1);
    assert_int_equal(step(w, &unit_a, a, "sign", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &unit_a, a, "feedback", "{\"result\":\"fixed\"}", NULL, NULL), 0); /* saved unfinished */
    assert_int_equal(step(w, &unit_a, a, "submit", ANSWER, NULL, NULL), 0);
    assert_int_equal(todo_count(w, &unit_a), 0);
    assert_true(todo_count(w, &coord) >= 1);
    assert_int_equal(step(w, &coord, a, "continue", NULL, "再补充日志", NULL), 0);
    assert_int_equal(step(w, &unit_a, a, "submit", NULL, NULL, NULL), 0); /* what was saved is complete */
    assert_int_equal(step(w, &coord, a, "approve", NULL, NULL, NULL), 0);
    sql_text(w->r.db, "SELECT state FROM work_item WHERE kind = 'notice'", buf, sizeof(buf));
    assert_string_equal(buf, "issued"); /* b has not answered */
    assert_int_equal(step(w, &unit_b, b, "sign", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &unit_b, b, "submit", ANSWER, NULL, NULL), 0);
    assert_int_equal(step(w, &coord, b, "end", NULL, "不再需要", NULL), 0);
    sql_text(w->r.db, "SELECT state FROM work_item WHERE kind = 'notice'", buf, sizeof(buf));
    assert_string_equal(buf, "archived"); /* by itself: all receivers are done */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM work_item WHERE done = 0"), 0);
    j = detail(w, &coord, a);
    assert_true(json_array_size(json_object_get(j, "history")) >= 7); /* every round is kept, in order */
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(j, "history"), 0), "action")), "deliver");
    json_decref(j);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM work_item WHERE kind = 'notice-receipt' AND signed_us IS NOT NULL AND fed_back_us IS NOT NULL"), 2);
}

static void bad_input_is_named(void **state)
{
    struct world *w = *state;
    json_t *errors = NULL;
    char a[37];

    assert_int_equal(create(w, &coord, "{\"level\":\"apocalyptic\",\"surprise\":1}", NULL, &errors), CF_EINVAL);
    assert_int_equal(json_array_size(errors), 2);
    json_decref(errors);
    errors = NULL;
    assert_int_equal(create(w, &coord, "{\"title\":\"只有标题\"}", NULL, &errors), 0); /* a draft may be unfinished */
    assert_int_equal(step(w, &coord, w->id, "judge", NULL, NULL, &errors), CF_EINVAL); /* but goes nowhere */
    assert_true(json_array_size(errors) >= 4);
    json_decref(errors);
    errors = NULL;
    issue(w);
    child_of(w, "oa", a);
    assert_int_equal(step(w, &unit_a, a, "sign", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &unit_a, a, "submit", "{\"result\":\"in-progress\",\"cause\":\"x\",\"measures\":\"y\"}", NULL, &errors), CF_EINVAL);
    assert_true(json_array_size(errors) >= 3); /* cause and measures too short, next_steps and person missing */
    json_decref(errors);
    assert_int_equal(step(w, &unit_a, a, "fly", NULL, NULL, NULL), CF_EINVAL);
    assert_int_equal(step(w, &unit_a, "no-such-item", "sign", NULL, NULL, NULL), CF_ENOENT);
}

static void who_may_not(void **state)
{
    struct world *w = *state;
    char a[37];

    assert_int_equal(create(w, &unit_a, NOTICE, NULL, NULL), CF_EPERM);
    assert_int_equal(create(w, &coord, NOTICE, NULL, NULL), 0);
    assert_int_equal(step(w, &lead, w->id, "judge", NULL, NULL, NULL), CF_EPERM);
    assert_int_equal(step(w, &coord, w->id, "judge", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &coord, w->id, "submit", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &coord, w->id, "approve", NULL, NULL, NULL), CF_EPERM);
    assert_int_equal(step(w, &unit_a, w->id, "approve", NULL, NULL, NULL), CF_ENOENT); /* not even seen */
    assert_int_equal(step(w, &lead, w->id, "reject", NULL, NULL, NULL), CF_EINVAL);    /* a reason is wanted */
    assert_int_equal(step(w, &lead, w->id, "approve", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &coord, w->id, "issue", NULL, NULL, NULL), 0);
    child_of(w, "oa", a);
    assert_int_equal(step(w, &coord, a, "sign", NULL, NULL, NULL), CF_EPERM); /* the city cannot sign for the unit */
    assert_int_equal(step(w, &unit_b, a, "sign", NULL, NULL, NULL), CF_ENOENT);
    assert_int_equal(step(w, &bare, a, "sign", NULL, NULL, NULL), CF_EPERM);
    assert_int_equal(step(w, &unit_a, a, "withdrawn_by_issuer", NULL, NULL, NULL), CF_EPERM); /* the engine's own step */
}

static void stale_state_is_a_conflict(void **state)
{
    struct world *w = *state;
    struct cf_work_act act = {.transition = CF_STR("submit"), .expect_revision = 1};
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;

    assert_int_equal(create(w, &coord, NOTICE, NULL, NULL), 0);
    assert_int_equal(step(w, &coord, w->id, "submit", NULL, NULL, NULL), CF_ECONFLICT);
    assert_int_equal(step(w, &coord, w->id, "judge", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &coord, w->id, "judge", NULL, NULL, NULL), CF_ECONFLICT);
    act.id = cf_str_c(w->id);
    ok(cf_tx_begin(w->r.db, CF_TX_WRITE, &tx, &err), &err);
    assert_int_equal(cf_work_transition(w->e, tx, &coord, &act, NULL, NULL, &err), CF_ECONFLICT);
    cf_tx_rollback(&tx);
}

static void units_see_only_their_own(void **state)
{
    struct world *w = *state;
    char a[37];
    json_t *j, *data;

    issue(w);
    child_of(w, "oa", a);
    assert_null(detail(w, &unit_b, a));
    assert_null(detail(w, &unit_a, w->id)); /* the issuer's side with all receivers */
    j = detail(w, &unit_a, a);
    assert_non_null(j);
    data = json_object_get(json_object_get(json_object_get(j, "parent"), "form"), "data");
    assert_non_null(json_object_get(data, "content"));
    assert_null(json_object_get(data, "receivers")); /* who else got it, and remarks, stay inside */
    assert_null(json_object_get(data, "remark"));
    json_decref(j);
    j = detail(w, &coord, w->id);
    assert_int_equal(json_array_size(json_object_get(j, "children")), 2);
    json_decref(j);
}

static int attach(struct world *w, const struct cf_principal *who, const char *item, const char *name, const char *content, size_t n, bool internal, char id[37])
{
    const struct cf_attachment_new at = {.item_id = cf_str_c(item), .name = cf_str_c(name), .content = {content, n}, .internal = internal};
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    int r;

    ok(cf_tx_begin(w->r.db, CF_TX_WRITE, &tx, &err), &err);
    r = cf_attachment_add(w->e, tx, who, &at, id, &err);
    if (r == 0)
        ok(cf_tx_commit(&tx, &err), &err);
    cf_tx_rollback(&tx);
    return r;
}

static int fetch(struct world *w, const struct cf_principal *who, const char *id, char content[1100])
{
    struct cf_attachment at;
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    struct cf_arena ar;
    struct cf_buf b;
    int r;

    cf_arena_init(&ar, 0, 0);
    ok(cf_tx_begin(w->r.db, CF_TX_READ, &tx, &err), &err);
    r = cf_attachment_get(w->e, tx, who, cf_str_c(id), &ar, &at, &err);
    if (r == 0) {
        cf_buf_init(&b, 1099);
        ok(cf_file_read(at.path, &b, &err), &err);
        (void)snprintf(content, 1100, "%.*s", CF_ARG(cf_buf_view(&b)));
        cf_buf_release(&b);
    }
    cf_tx_rollback(&tx);
    cf_arena_release(&ar);
    return r;
}

static void attachments_follow_the_item(void **state)
{
    struct world *w = *state;
    char a[37], b[37], shared[37], inner[37], mine[37], id[37], content[1100], big[1001];

    assert_int_equal(create(w, &coord, NOTICE, NULL, NULL), 0);
    assert_int_equal(attach(w, &coord, w->id, "../../etc/说明.PDF", "%PDF shared", 11, false, shared), 0);
    assert_int_equal(attach(w, &coord, w->id, "内部.txt", "inner", 5, true, inner), 0);
    assert_int_equal(step(w, &coord, w->id, "judge", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &coord, w->id, "submit", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &lead, w->id, "approve", NULL, NULL, NULL), 0);
    assert_int_equal(fetch(w, &unit_a, shared, content), CF_ENOENT); /* not sent yet */
    assert_int_equal(step(w, &coord, w->id, "issue", NULL, NULL, NULL), 0);
    child_of(w, "oa", a);
    child_of(w, "ob", b);
    assert_int_equal(fetch(w, &unit_a, shared, content), 0);
    assert_string_equal(content, "%PDF shared");
    assert_int_equal(fetch(w, &unit_a, inner, content), CF_ENOENT);
    assert_int_equal(fetch(w, &coord, inner, content), 0);
    assert_int_equal(attach(w, &unit_a, a, "evidence.png", "png", 3, false, mine), 0);
    assert_int_equal(fetch(w, &coord, mine, content), 0);
    assert_int_equal(fetch(w, &unit_b, mine, content), CF_ENOENT); /* ORG-018: not by its address either */
    assert_int_equal(fetch(w, &sub_a, mine, content), CF_ENOENT);
    assert_int_equal(fetch(w, &bare, mine, content), CF_ENOENT);
    assert_int_equal(attach(w, &unit_b, a, "x.txt", "x", 1, false, id), CF_ENOENT);
    assert_int_equal(attach(w, &unit_a, a, "virus.exe", "MZ", 2, false, id), CF_EINVAL);
    assert_int_equal(attach(w, &unit_a, a, "noending", "x", 1, false, id), CF_EINVAL);
    assert_int_equal(attach(w, &unit_a, a, "empty.txt", "", 0, false, id), CF_EINVAL);
    memset(big, 'x', sizeof(big));
    assert_int_equal(attach(w, &unit_a, a, "big.txt", big, 1001, false, id), CF_ELIMIT);
    assert_int_equal(attach(w, &unit_a, a, "fits.txt", big, 1000, false, id), 0);
    sql_text(w->r.db, "SELECT name FROM attachment WHERE type = 'application/pdf'", content, sizeof(content));
    assert_string_equal(content, "说明.PDF");
}

static void names_become_harmless(void **state)
{
    static const char *const t[][2] = {{"a/b/c.txt", "c.txt"}, {"C:\\x\\y.doc", "y.doc"}, {"..", "file"}, {"...hidden.txt", "hidden.txt"}, {"?  .f", "f"}, {"a\nb\"<c>.txt", "abc.txt"}, {"", "file"}, {"\xff.txt", "file"}};
    struct cf_arena a;
    char long_name[600];
    cf_str n;

    (void)state;
    cf_arena_init(&a, 0, 0);
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        n = cf_attachment_name(&a, cf_str_c(t[i][0]));
        if (!cf_str_eqz(n, t[i][1]))
            fail_msg("%s became %.*s", t[i][0], CF_ARG(n));
    }
    for (size_t i = 0; i < 199; i++)
        memcpy(long_name + 3 * i, "长", 3);
    (void)snprintf(long_name + 498, 100, ".docx");
    n = cf_attachment_name(&a, cf_str_c(long_name));
    assert_true(n.n <= 180 && cf_utf8_valid(n) && cf_str_ends(n, CF_STR(".docx")));
    cf_arena_release(&a);
}

static void clocks_remind_mark_and_escalate(void **state)
{
    struct world *w = *state;
    struct cf_error err = {0};
    int64_t start, due, h = INT64_C(3600) * CF_US_PER_S;
    size_t acted = 0;
    char a[37], buf[64];

    issue(w);
    child_of(w, "oa", a);
    start = sql_number(w->r.db, "SELECT clock_start_us FROM work_item WHERE org_id = 'oa'");
    due = sql_number(w->r.db, "SELECT due_us FROM work_item WHERE org_id = 'oa'");
    assert_int_equal(due - start, 4 * h); /* high: sign within 4 h */
    ok(cf_workflow_tick(w->e, start + 2 * h, &acted, &err), &err);
    assert_int_equal(acted, 0);
    ok(cf_workflow_tick(w->e, start + 3 * h + CF_US_PER_S, &acted, &err), &err);
    assert_int_equal(acted, 2); /* both receivers at 75 % */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE kind = 'work-remind' AND user_id = 'u-a'"), 1);
    ok(cf_workflow_tick(w->e, start + 3 * h + 2 * CF_US_PER_S, &acted, &err), &err);
    assert_int_equal(acted, 0); /* once */
    assert_int_equal(sql_number(w->r.db, "SELECT overdue FROM work_item WHERE org_id = 'oa'"), 0);
    ok(cf_workflow_tick(w->e, due + CF_US_PER_S, &acted, &err), &err);
    assert_int_equal(sql_number(w->r.db, "SELECT overdue FROM work_item WHERE org_id = 'oa'"), 1);
    sql_text(w->r.db, "SELECT state FROM work_item WHERE org_id = 'oa'", buf, sizeof(buf));
    assert_string_equal(buf, "issued"); /* the mark does not change the state */
    ok(cf_workflow_tick(w->e, start + 6 * h + CF_US_PER_S, &acted, &err), &err);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE kind = 'work-escalate' AND user_id = 'u-coord'"), 2);
    ok(cf_workflow_tick(w->e, start + 8 * h, &acted, &err), &err);
    assert_true(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE kind = 'work-remind' AND user_id = 'u-a'") >= 3); /* pushed again */
    assert_int_equal(step(w, &unit_a, a, "sign", NULL, NULL, NULL), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT overdue FROM work_item WHERE org_id = 'oa'"), 0); /* a new clock */
    assert_int_equal(sql_number(w->r.db, "SELECT overdue_count FROM work_item WHERE org_id = 'oa'"), 1);
}

static void deadline_of_the_form_goes_first(void **state)
{
    struct world *w = *state;
    char a[37];
    int64_t us;

    assert_int_equal(create(w, &coord, "{\"title\":\"限期整改\",\"kind\":\"other\",\"level\":\"low\",\"receivers\":[\"oa\"],\"content\":\"内容内容内容\",\"requirements\":\"要求\","
                                       "\"deadline\":\"2031-05-06T18:00:00+08:00\"}", NULL, NULL), 0);
    assert_int_equal(step(w, &coord, w->id, "judge", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &coord, w->id, "submit", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &lead, w->id, "approve", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &coord, w->id, "issue", NULL, NULL, NULL), 0);
    child_of(w, "oa", a);
    assert_int_equal(step(w, &unit_a, a, "sign", NULL, NULL, NULL), 0);
    assert_true(cf_time_parse(CF_STR("2031-05-06T10:00:00Z"), &us));
    assert_int_equal(sql_number(w->r.db, "SELECT due_us FROM work_item WHERE org_id = 'oa'"), us);
    assert_int_equal(step(w, &unit_a, a, "feedback", "{}", NULL, NULL), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT due_us FROM work_item WHERE org_id = 'oa'"), us); /* the same clock goes on */
}

static void hand_down_and_combine(void **state)
{
    struct world *w = *state;
    char a[37], a1[37];
    json_t *j, *answer;

    issue(w);
    child_of(w, "oa", a);
    assert_int_equal(step(w, &unit_a, a, "sign", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &unit_a, a, "pass_down", "{\"receivers\":[\"ob\"]}", NULL, NULL), CF_EINVAL); /* not below it */
    assert_int_equal(step(w, &unit_a, a, "pass_down", "{\"receivers\":[\"oa\"]}", NULL, NULL), CF_EINVAL);
    assert_int_equal(step(w, &unit_a, a, "pass_down", "{\"receivers\":[\"oa1\"]}", NULL, NULL), 0);
    child_of(w, "oa1", a1);
    assert_int_equal(step(w, &sub_a, a1, "sign", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &unit_a, a, "submit", ANSWER, NULL, NULL), CF_ECONFLICT); /* its own unit has not answered */
    assert_int_equal(step(w, &sub_a, a1, "submit", ANSWER, NULL, NULL), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE kind = 'notice-feedback' AND user_id = 'u-a'"), 1); /* told: it is the unit's to review */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE kind = 'notice-feedback' AND user_id = 'u-coord'"), 0);
    assert_int_equal(step(w, &sub_a, a1, "approve", NULL, NULL, NULL), CF_EPERM); /* not its own answer */
    assert_int_equal(step(w, &unit_b, a1, "approve", NULL, NULL, NULL), CF_ENOENT);
    j = detail(w, &unit_a, a);
    answer = json_object_get(json_array_get(json_object_get(j, "children"), 0), "answer");
    assert_string_equal(json_string_value(json_object_get(answer, "cause")), "未过滤"); /* to be combined */
    json_decref(j);
    assert_int_equal(step(w, &unit_a, a1, "approve", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &unit_a, a, "approve", NULL, NULL, NULL), CF_ECONFLICT);
    assert_int_equal(step(w, &unit_a, a, "submit", ANSWER, NULL, NULL), 0);
    assert_int_equal(step(w, &unit_a, a, "approve", NULL, NULL, NULL), CF_EPERM); /* the city's to review */
    assert_int_equal(step(w, &coord, a, "approve", NULL, NULL, NULL), 0);
}

static void the_unit_checks_its_answer_first(void **state)
{
    struct world *w = *state;
    char a[37], b[37], buf[40];

    run_sql(w->r.db, "INSERT INTO app_user (id, name, display_name, org_id, created_us, updated_us) VALUES ('u-ha', 'ha', 'HA', 'oa', 1, 1)");
    run_sql(w->r.db, "INSERT INTO role (id, name_zh, name_en, scope, permissions) VALUES ('unit_leader', 'h', 'h', 'subtree', '[\"notice.unit_review\",\"notice.read\"]')");
    run_sql(w->r.db, "INSERT INTO user_role (user_id, role_id) VALUES ('u-ha', 'unit_leader')");
    issue(w);
    child_of(w, "oa", a);
    child_of(w, "ob", b);
    assert_int_equal(step(w, &unit_a, a, "sign", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &unit_a, a, "submit", ANSWER, NULL, NULL), 0);
    sql_text(w->r.db, "SELECT state FROM work_item WHERE org_id = 'oa'", buf, sizeof(buf));
    assert_string_equal(buf, "unit_review");
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM work_item WHERE org_id = 'oa' AND fed_back_us IS NULL"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE kind = 'notice-unit-review' AND user_id = 'u-ha'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE kind = 'notice-feedback'"), 0); /* the city hears nothing yet */
    assert_int_equal(todo_count(w, &head_a), 1);
    assert_int_equal(step(w, &coord, a, "approve", NULL, NULL, NULL), CF_ECONFLICT);
    assert_int_equal(step(w, &unit_a, a, "unit_pass", NULL, NULL, NULL), CF_EPERM);
    assert_int_equal(step(w, &head_a, a, "unit_return", NULL, "写明修复版本", NULL), 0);
    assert_int_equal(step(w, &unit_a, a, "submit", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &head_a, a, "unit_pass", NULL, NULL, NULL), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM work_item WHERE org_id = 'oa' AND fed_back_us IS NOT NULL AND state = 'pending_review'"), 1);
    assert_int_equal(step(w, &coord, a, "approve", NULL, NULL, NULL), 0);
    assert_int_equal(step(w, &unit_b, b, "sign", NULL, NULL, NULL), 0); /* a unit with nobody for it: straight to the issuer */
    assert_int_equal(step(w, &unit_b, b, "submit", ANSWER, NULL, NULL), 0);
    sql_text(w->r.db, "SELECT state FROM work_item WHERE org_id = 'ob'", buf, sizeof(buf));
    assert_string_equal(buf, "pending_review");
    run_sql(w->r.db, "UPDATE app_user SET active = 0 WHERE id = 'u-ha'");
}

static void a_supplement_reaches_every_receiver(void **state)
{
    struct world *w = *state;

    issue(w);
    assert_int_equal(step(w, &coord, w->id, "supplement", NULL, NULL, NULL), CF_EINVAL);
    assert_int_equal(step(w, &coord, w->id, "supplement", NULL, "另发现同类接口两处", NULL), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE kind = 'notice-supplement'"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM work_item_history WHERE action = 'supplemented' AND note = '另发现同类接口两处'"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM work_item WHERE kind = 'notice-receipt' AND state = 'issued'"), 2); /* nobody loses his place */
}

static void withdraw_ends_all_copies(void **state)
{
    struct world *w = *state;

    issue(w);
    assert_int_equal(step(w, &coord, w->id, "urge", NULL, NULL, NULL), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT SUM(urged) FROM work_item WHERE kind = 'notice-receipt'"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE kind = 'notice-urge'"), 2);
    assert_int_equal(step(w, &lead, w->id, "withdraw", NULL, "误发", NULL), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM work_item WHERE state = 'ended'"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM work_item WHERE done = 0"), 0);
    assert_int_equal(todo_count(w, &unit_a), 0);
}

static void duplicates_are_recognised(void **state)
{
    struct world *w = *state;

    assert_int_equal(create(w, &coord, NOTICE, "sqli|oa", NULL), 0);
    assert_int_equal(create(w, &coord, NOTICE, "sqli|oa", NULL), CF_EEXIST);
    assert_int_equal(step(w, &coord, w->id, "cancel", NULL, "重复", NULL), 0);
    assert_int_equal(create(w, &coord, NOTICE, "sqli|oa", NULL), 0); /* the first is finished */
}

static void running_items_keep_their_version(void **state)
{
    struct world *w = *state;
    struct cf_workflow_options wo = {.db = w->r.db, .forms = w->forms, .messenger = w->m, .data_dir = w->r.dir};
    struct cf_workflow_engine *e = NULL;
    struct cf_error err = {0};
    char cmd[1200], dir[100];

    assert_int_equal(create(w, &coord, NOTICE, NULL, NULL), 0);
    (void)snprintf(dir, sizeof(dir), "%s/content", w->r.dir);
    (void)snprintf(cmd, sizeof(cmd), "mkdir -p %s && cp -r '%s/content/workflows' %s/ && sed -i 's/研判通过, en: Judged/已研判, en: Judged/' %s/workflows/notice.yaml", dir, CF_TEST_ROOT, dir, dir);
    assert_int_equal(system(cmd), 0);
    wo.content_dir = dir;
    assert_int_equal(cf_workflow_engine_new(&wo, &e, &err), CF_EINVAL); /* changed under a running item */
    assert_non_null(strstr(err.msg, "higher version"));
    (void)snprintf(cmd, sizeof(cmd), "sed -i 's/^version: 2/version: 3/' %s/workflows/notice.yaml", dir);
    assert_int_equal(system(cmd), 0);
    ok(cf_workflow_engine_new(&wo, &e, &err), &err);
    assert_int_equal(cf_workflow_find(e, CF_STR("notice"), 0)->version, 3);
    assert_non_null(cf_workflow_find(e, CF_STR("notice"), 2));
    cf_workflow_engine_free(w->e);
    w->e = e;
    assert_int_equal(step(w, &coord, w->id, "judge", NULL, NULL, NULL), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT version FROM work_item"), 2);
    assert_int_equal(create(w, &coord, NOTICE, NULL, NULL), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT MAX(version) FROM work_item"), 3);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_whole_way), T(bad_input_is_named), T(who_may_not), T(stale_state_is_a_conflict), T(units_see_only_their_own), T(attachments_follow_the_item),
        cmocka_unit_test(names_become_harmless), T(clocks_remind_mark_and_escalate), T(deadline_of_the_form_goes_first), T(hand_down_and_combine), T(the_unit_checks_its_answer_first),
        T(a_supplement_reaches_every_receiver),
        T(withdraw_ends_all_copies), T(duplicates_are_recognised), T(running_items_keep_their_version),
    };

    return records_both("notice workflow", tests);
}
