/* SPDX-License-Identifier: Apache-2.0
 * A batch that the event store has not the memory for goes in parts, once, also when the program is killed between two parts. */
#include "test.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collect/crash.h"
#include "pipeline/pipeline.h"
#include "store/chdb_api.h"
#include "store/event_store.h"

#define RECORDS 20000
#define BATCH 10000 /* more than two parts of CF_BATCH_MAX */

static char dir[64];
static struct cf_event_store *events;

static struct cf_pipeline *start(void)
{
    char path[96];
    struct cf_error err = {0};
    struct cf_pipeline *p = NULL;

    (void)snprintf(path, sizeof path, "%s/events", dir);
    assert_ok(cf_event_store_open(&(struct cf_event_store_options){.path = cf_str_c(path), .insert_rows_max = CF_BATCH_MAX}, &events, &err), err);
    struct cf_pipeline_options o = {.data_dir = dir, .content_dir = CF_TEST_ROOT "/content", .events = events, .workers = 1, .zone = CF_STR("+08:00"),
                                    .no_rules = true, .spool = {.min_free = -1, .batch_rows = BATCH, .batch_age_us = 5000000, .batch_busy_us = 5000000}};

    assert_ok(cf_pipeline_start(&o, &p, &err), err);
    return p;
}

static void stop(struct cf_pipeline *p)
{
    cf_pipeline_stop(p);
    cf_event_store_close(events);
}

static void feed(struct cf_pipeline *p)
{
    struct cf_spool_origin o = {.key = CF_STR("t"), .received_us = cf_now_us()};
    struct cf_error err = {0};
    static char text[1000][100];
    cf_str rec[1000];

    for (unsigned i = 0; i < RECORDS; i += 1000) {
        for (unsigned k = 0; k < 1000; k++)
            rec[k] = (cf_str){text[k], (size_t)snprintf(text[k], sizeof text[k], "<38>Nov 21 06:00:00 host-1 sshd[77]: Connection closed by 10.0.0.1 port %u", i + k)};
        assert_ok(cf_pipeline_append(p, &o, rec, 1000, true, 20000, &err), err);
    }
}

static void count(const char *sql, const char *want)
{
    struct cf_error err = {0};
    struct cf_buf out;

    cf_buf_init(&out, 0);
    assert_ok(cf_event_store_query(events, cf_str_c(sql), NULL, 0, "TSV", NULL, &out, &err), err);
    assert_string_equal(cf_buf_cstr(&out), want);
    cf_buf_release(&out);
}

static int marks(void)
{
    char path[96];
    struct dirent *e;
    int n = 0;
    DIR *d;

    (void)snprintf(path, sizeof path, "%s/split", dir);
    d = opendir(path);
    while (d && (e = readdir(d)))
        n += e->d_name[0] != '.';
    if (d)
        (void)closedir(d);
    return n;
}

/* In a process of its own, killed after the second part of the first batch. */
static void killed_between_parts(void **state)
{
    pid_t pid = fork();
    int status = 0;

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        struct cf_pipeline *p = start();

        cf_crash_arm("pipeline.after_insert:2"); /* the whole batch is refused before it is an insert */
        feed(p);
        (void)cf_pipeline_drain(p, 60000);
        _exit(3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(marks(), 1);
}

static void the_rest_follows_once(void **state)
{
    struct cf_pipeline *p = start();
    struct cf_pipeline_stats st;

    (void)state;
    assert_true(cf_pipeline_drain(p, 60000));
    count("SELECT count() >= 10000, count() = uniqExact(id), count() = uniqExact(source_port) FROM chengfang.events", "1\t1\t1\n");
    feed(p); /* the same ports, later */
    assert_true(cf_pipeline_drain(p, 60000));
    cf_pipeline_get_stats(p, &st);
    assert_int_equal(st.failed, 0);
    count("SELECT count() = uniqExact(id), count() % 1000, count() BETWEEN 30000 AND 40000, uniqExact(source_port), "
          "(SELECT max(c) FROM (SELECT count() AS c FROM chengfang.events GROUP BY source_port)) FROM chengfang.events",
          "1\t0\t1\t20000\t2\n");
    assert_true(marks() >= 3);
    stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_between_parts), cmocka_unit_test(the_rest_follows_once)};
    const struct chdb_api *api;
    struct cf_error err = {0};
    char cmd[96];
    int r;

    if (cf_chdb_load(&api, &err) < 0) {
        (void)printf("skipped: %s\n", err.msg);
        return 77;
    }
    cf_log_set_level(CF_LOG_OFF);
    (void)snprintf(dir, sizeof dir, "/tmp/cf-split-XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    r = cmocka_run_group_tests(tests, NULL, NULL);
    (void)snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    (void)!system(cmd);
    return r;
}
