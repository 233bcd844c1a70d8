/* SPDX-License-Identifier: Apache-2.0
 * Tests that run the pipeline on the embedded event store, in a folder of its own, and are killed in it. */
#ifndef CF_TEST_PIPE_HELP_H
#define CF_TEST_PIPE_HELP_H

#include "test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collect/crash.h"
#include "pipeline/pipeline.h"
#include "store/chdb_api.h"
#include "store/event_store.h"

static char dir[64];
static struct cf_event_store *events;

/* batch_us: age at which a batch is closed. */
static inline struct cf_pipeline *pipe_start(int workers, int64_t batch_rows, int64_t batch_us, size_t insert_rows_max)
{
    char path[96];
    struct cf_error err = {0};
    struct cf_pipeline *p = NULL;

    (void)snprintf(path, sizeof path, "%s/events", dir);
    assert_ok(cf_event_store_open(&(struct cf_event_store_options){.path = cf_str_c(path), .insert_rows_max = insert_rows_max}, &events, &err), err);
    struct cf_pipeline_options o = {.data_dir = dir, .content_dir = CF_TEST_ROOT "/content", .events = events, .workers = workers, .zone = CF_STR("+08:00"),
                                    .no_rules = true, .spool = {.min_free = -1, .batch_rows = batch_rows, .batch_age_us = batch_us, .batch_busy_us = batch_us}};

    assert_ok(cf_pipeline_start(&o, &p, &err), err);
    return p;
}

static inline void pipe_stop(struct cf_pipeline *p)
{
    cf_pipeline_stop(p);
    cf_event_store_close(events);
}

static inline void count(const char *sql, const char *want)
{
    struct cf_error err = {0};
    struct cf_buf out;

    cf_buf_init(&out, 0);
    assert_ok(cf_event_store_query(events, cf_str_c(sql), NULL, 0, "TSV", NULL, &out, &err), err);
    assert_string_equal(cf_buf_cstr(&out), want);
    cf_buf_release(&out);
}

/* In a process of its own: starts, feeds, and dies at the crash point. */
static inline void pipe_killed(const char *point, struct cf_pipeline *(*start)(void), void (*feed)(struct cf_pipeline *p))
{
    pid_t pid = fork();
    int status = 0;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct cf_pipeline *p = start();

        cf_crash_arm(point);
        feed(p);
        (void)cf_pipeline_drain(p, 60000);
        _exit(3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Runs a group in a fresh folder; 77 (skipped) without the engine. */
#define pipe_run(tests) pipe_run_n(#tests, (tests), sizeof(tests) / sizeof *(tests))
static inline int pipe_run_n(const char *name, const struct CMUnitTest *tests, size_t n)
{
    const struct chdb_api *api;
    struct cf_error err = {0};
    char cmd[96];
    int r;

    if (cf_chdb_load(&api, &err) < 0) {
        (void)printf("skipped: %s\n", err.msg);
        return 77;
    }
    cf_log_set_level(CF_LOG_OFF);
    (void)snprintf(dir, sizeof dir, "/tmp/cf-pipeline-XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    r = _cmocka_run_group_tests(name, tests, n, NULL, NULL);
    (void)snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    (void)!system(cmd);
    return r;
}

#endif
