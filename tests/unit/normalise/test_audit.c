/* SPDX-License-Identifier: Apache-2.0
 * Linux audit: which lines belong together, and what the event of several lines says. NRM-001. */
#include "test.h"

#include "normalise/audit.h"
#include "normalise/normalise.h"

static void parts(void **state)
{
    struct cf_audit_id a;

    (void)state;
    assert_true(cf_audit_part(CF_STR("type=SYSCALL msg=audit(1795240800.123:456): arch=c000003e syscall=59"), &a));
    assert_true(cf_str_eqz(a.stamp, "1795240800.123:456") && a.host.n == 0 && !a.last);
    assert_true(cf_audit_part(CF_STR("node=db-1 type=PROCTITLE msg=audit(1795240800.123:456): proctitle=6361"), &a));
    assert_true(cf_str_eqz(a.host, "db-1") && a.last);
    assert_true(cf_audit_part(CF_STR("<13>Nov  1 06:00:00 web-2 audispd: type=EOE msg=audit(1795240800.123:456): "), &a));
    assert_true(cf_str_eqz(a.host, "web-2") && a.last);
    assert_true(cf_audit_part(CF_STR("<13>1 2026-11-21T06:00:00.000Z web-3 audispd - - - type=CWD msg=audit(1795240800.123:456): cwd=\"/\""), &a));
    assert_true(cf_str_eqz(a.host, "web-3"));
    for (const char *const *no = (const char *const[]){"type=USER_LOGIN msg=audit(1795240800.123:456): pid=1 uid=0", "type=SYSCALL msg=audit(1795240800.123:456", "type=SYSCALL msg=audit(17952408): a=1 b=2 c=3",
                                                       "{\"a\":\"type=SYSCALL msg=audit(1795240800.123:456): x\"}", "msg=audit(1795240800.123:456): arch=c000003e a=1", "", NULL};
         *no; no++)
        assert_false(cf_audit_part(cf_str_c(*no), &a));
    assert_true(cf_audit_joined(CF_STR("type=SYSCALL msg=audit(1795240800.123:456): a=1\ntype=EOE msg=audit(1795240800.123:456): ")));
    assert_false(cf_audit_joined(CF_STR("type=SYSCALL msg=audit(1795240800.123:456): a=1\ntype=EOE msg=audit(1795240800.123:457): ")));
}

static const char lines[] =
    "type=PROCTITLE msg=audit(1795240800.123:456): proctitle=636174002F6574632F706173737764\n" /* the last one came first */
    "type=PATH msg=audit(1795240800.123:456): item=0 name=\"/etc\" inode=1 nametype=PARENT\n"
    "type=SYSCALL msg=audit(1795240800.123:456): arch=c000003e syscall=59 success=yes exit=0 a0=55d1 a1=55d2 items=2 ppid=1 pid=2 auid=1000 uid=0 gid=0 euid=0 "
    "tty=pts0 ses=3 comm=\"cat\" exe=\"/usr/bin/cat\" key=\"etcpasswd\"\n"
    "type=EXECVE msg=audit(1795240800.123:456): argc=3 a0=\"cat\" a1=2F6574632F7061737377642078 a2=\"-n\"\n"
    "type=CWD msg=audit(1795240800.123:456): cwd=\"/root\"\n"
    "type=PATH msg=audit(1795240800.123:456): item=1 name=\"/usr/bin/cat\" inode=2 nametype=NORMAL";

static bool extra_is(const struct cf_event *ev, const char *name, const char *want)
{
    for (uint16_t i = 0; i < ev->n; i++)
        if (ev->val[i].id == CF_F_EXTRA && cf_str_eqz(cf_name_text(ev->val[i].name), name) && cf_str_eqz(cf_str_n(ev->val[i].p, ev->val[i].n), want))
            return true;
    return false;
}
static void is(const struct cf_event *ev, enum cf_field f, const char *want)
{
    cf_str v = cf_event_get(ev, f);

    if (!cf_str_eqz(v, want))
        fail_msg("%s is \"%.*s\", not \"%s\"", cf_fields[f].name, CF_ARG(v), want);
}
static void merged(void **state)
{
    static const char *const types[] = {"SYSCALL", "EXECVE", "CWD", "PATH", "PROCTITLE"};
    struct cf_norm_options opt = {.sources_dir = CF_TEST_ROOT "/content/sources", .now_us = INT64_C(1795248000000000), .zone = CF_STR("+08:00")};
    struct cf_normaliser *norm = NULL;
    struct cf_norm_thread *t;
    struct cf_event *ev = NULL;
    struct cf_error err = {0};
    struct cf_buf json;
    struct cf_arena a;
    const struct cf_value *v;
    struct cf_record rec = {.raw = CF_STR(lines), .received_us = opt.now_us};

    (void)state;
    assert_ok(cf_normaliser_load(&opt, &norm, &err), err);
    t = cf_norm_thread_new(norm);
    assert_non_null(t);
    cf_arena_init(&a, 0, 0);
    assert_int_equal(cf_normalise(t, &a, &rec, &ev), 0);
    assert_int_equal(ev->flags & CF_EV_UNPARSED, 0);
    is(ev, CF_F_EVENT_ORIGINAL, lines); /* every line, in the order they came */
    is(ev, CF_F_EVENT_ACTION, "execve");
    is(ev, CF_F_PROCESS_EXECUTABLE, "/usr/bin/cat");
    is(ev, CF_F_PROCESS_COMMAND_LINE, "cat /etc/passwd x -n");
    is(ev, CF_F_PROCESS_WORKING_DIRECTORY, "/root");
    is(ev, CF_F_PROCESS_TITLE, "cat /etc/passwd");
    is(ev, CF_F_PROCESS_PID, "2");
    is(ev, CF_F_USER_ID, "0");
    is(ev, CF_F_FILE_PATH, "/usr/bin/cat"); /* not its folder */
    is(ev, CF_F_EVENT_OUTCOME, "success");
    v = cf_event_val(ev, CF_F_PROCESS_ARGS);
    assert_true(v && cf_str_eqz(cf_str_n(v->p, v->n), "cat"));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) /* a rule for any of the records finds it */
        assert_true(extra_is(ev, "auditd.log.record_type", types[i]));
    cf_buf_init(&json, 0);
    cf_event_json(ev, &json);
    assert_non_null(strstr(cf_buf_cstr(&json), "\"record_type\":[\"SYSCALL\",\"PROCTITLE\",\"EXECVE\",\"CWD\",\"PATH\"]"));
    cf_buf_release(&json);
    assert_true(extra_is(ev, "auditd.log.a0", "55d1"));
    assert_true(extra_is(ev, "auditd.log.key", "etcpasswd"));
    cf_arena_release(&a);
    cf_norm_thread_free(t);
    cf_normaliser_free(norm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parts), cmocka_unit_test(merged)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
