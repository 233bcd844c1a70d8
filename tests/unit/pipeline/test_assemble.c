/* SPDX-License-Identifier: Apache-2.0
 * Audit records of two hosts with the same numbers, out of order and mixed with other lines, become one event each; killed after the
 * insert and run again: still each once, with every line. NRM-001, COL-032. */
#include "pipe_help.h"

#define EVENTS 1500u /* a host */
#define LINES 5u
#define SPREAD 97u   /* lines of one event lie this far apart at most */

static int64_t batch_rows = 1000000;

static struct cf_pipeline *start(void) { return pipe_start(2, batch_rows, 3000000, 0); }

/* Line k of event i, as a host without node= sends it. */
static cf_str line(char text[220], unsigned i, unsigned k)
{
    static const char *const form[LINES] = {
        "type=SYSCALL msg=audit(1795240800.%03u:%u): arch=c000003e syscall=59 success=yes exit=0 pid=%u uid=0 comm=\"id\" exe=\"/usr/bin/id\"",
        "type=EXECVE msg=audit(1795240800.%03u:%u): argc=2 a0=\"id\" a1=\"u%u\"", "type=CWD msg=audit(1795240800.%03u:%u): cwd=\"/home/u%u\"",
        "type=PATH msg=audit(1795240800.%03u:%u): item=0 name=\"/usr/bin/id\" inode=%u nametype=NORMAL", "type=PROCTITLE msg=audit(1795240800.%03u:%u): proctitle=6964%u",
    };

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return cf_str_n(text, (size_t)snprintf(text, 220, form[k], i % 1000, 7000 + i, 10 + i % 80));
#pragma GCC diagnostic pop
}

static void feed(struct cf_pipeline *p)
{
    static char text[EVENTS * LINES][220];
    static cf_str rec[EVENTS * LINES];
    struct cf_error err = {0};
    size_t n = 0;

    for (unsigned i = 0; i < EVENTS; i++)
        for (unsigned k = 0; k < LINES; k++, n++)
            rec[n] = line(text[n], i, k);
    for (size_t i = 0; i + SPREAD <= n; i += SPREAD) /* turned round, piece by piece: the end before the beginning */
        for (size_t k = 0; k < SPREAD / 2; k++) {
            cf_str x = rec[i + k];

            rec[i + k] = rec[i + SPREAD - 1 - k];
            rec[i + SPREAD - 1 - k] = x;
        }
    for (size_t at = 0; at < n; at += 500)
        for (int host = 0; host < 2; host++) {
            struct cf_spool_origin o = {.key = host ? CF_STR("b") : CF_STR("a"), .peer = host ? CF_STR("10.0.0.2") : CF_STR("10.0.0.1"), .format = CF_STR("syslog"), .received_us = cf_now_us()};
            const cf_str other = CF_STR("<38>Nov 21 06:00:00 host-1 sshd[77]: Connection closed by 10.0.0.1 port 4022");

            assert_ok(cf_pipeline_append(p, &o, rec + at, n - at < 500 ? n - at : 500, false, 20000, &err), err);
            assert_ok(cf_pipeline_append(p, &o, &other, 1, at + 500 >= n && host, 20000, &err), err);
        }
}

static void killed(void **state)
{
    (void)state;
    pipe_killed("pipeline.after_insert", start, feed);
}

static void each_once(void **state)
{
    struct cf_pipeline *p = start();
    struct cf_pipeline_stats st;

    (void)state;
    assert_true(cf_pipeline_drain(p, 60000));
    cf_pipeline_get_stats(p, &st);
    assert_int_equal(st.failed, 0);
    assert_int_equal(st.accepted, 2 * (EVENTS * LINES + 15)); /* every line is one of the five numbers */
    assert_int_equal(st.stored, st.accepted);
    count("SELECT count(), uniqExact(id), min(length(splitByChar('\\n', event_original))), max(length(splitByChar('\\n', event_original))), uniqExact(event_original) "
          "FROM chengfang.events WHERE source = 'auditd'",
          "3000\t3000\t5\t5\t1500\n");
    count("SELECT count() FROM chengfang.events WHERE source = 'auditd' AND event_action = 'execve' AND process_command_line LIKE 'id u%' AND process_executable = '/usr/bin/id'"
          "",
          "3000\n");
    count("SELECT count() FROM chengfang.events WHERE source != 'auditd'", "30\n");
    pipe_stop(p);
}

/* Batches of one record each, if they could: the lines of an event come one by one, and are one event nevertheless. */
static void borders_wait(void **state)
{
    struct cf_spool_origin o = {.key = CF_STR("c"), .peer = CF_STR("10.0.0.3"), .format = CF_STR("syslog"), .received_us = cf_now_us()};
    struct cf_pipeline *p;
    struct cf_error err = {0};
    char text[220];

    (void)state;
    batch_rows = 8;
    p = start();
    for (unsigned i = 0; i < 40; i++)
        for (unsigned k = 0; k < LINES; k++) {
            cf_str l = line(text, 2000000 + i, k);

            assert_ok(cf_pipeline_append(p, &o, &l, 1, false, 20000, &err), err);
        }
    assert_true(cf_pipeline_drain(p, 60000));
    count("SELECT count(), min(length(splitByChar('\\n', event_original))) FROM chengfang.events WHERE source = 'auditd' AND event_original LIKE '%:200____)%'", "40\t5\n");
    pipe_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed), cmocka_unit_test(each_once), cmocka_unit_test(borders_wait)};

    return pipe_run(tests);
}
