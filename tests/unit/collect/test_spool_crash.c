/* SPDX-License-Identifier: Apache-2.0
 * Spool: killed at every named step, and a disk that is full. What was acknowledged is there afterwards, and nothing comes
 * twice that was checkpointed. */
#include "collect/spool_help.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define RECORDS 3000

/* What the child tells before it dies; shared memory would do, a file is simpler to look at. */
struct told {
    unsigned acked, processed; /* records [0, acked) were confirmed; [0, processed) were reported done */
};

static void tell(int fd, const struct told *t)
{
    if (pwrite(fd, t, sizeof *t, 0) != (ssize_t)sizeof *t)
        _exit(9);
}

/* Appends, waits, reads and commits until it is killed or through. */
static void child(const char *point, int fd)
{
    struct cf_spool *s = t_open(65536, 0, 64);
    struct told t = {0};
    struct cf_error err;

    cf_crash_arm(point);
    for (unsigned i = 0; i < RECORDS; i += 20) {
        struct cf_spool_batch b = {0};
        uint64_t ticket;
        int r;

        while ((r = t_append(s, i, 20, 100, &ticket, &err)) == CF_EBUSY)
            (void)cf_spool_wait_space(s, 100);
        if (r != 0 || cf_spool_wait(s, ticket, 10000, &err) != 0)
            _exit(8);
        t.acked = i + 20;
        tell(fd, &t);
        while (cf_spool_next(s, &b, 0, &err) == 1) {
            t.processed += b.rows;
            tell(fd, &t);
            cf_spool_done(s, &b);
            if (cf_spool_commit(s, cf_spool_done_pos(s), &err) != 0)
                _exit(7);
        }
        cf_spool_batch_release(&b);
    }
    cf_spool_close(s);
    _exit(0);
}

static void crash_matrix(void **state)
{
    static const char *const points[] = {"spool.segment_created", "spool.before_write", "spool.half_write", "spool.written", "spool.synced",
                                         "spool.before_checkpoint", "spool.half_checkpoint", "spool.checkpointed", "spool.segment_deleted"};
    static const int passes[] = {1, 2, 5};

    (void)state;
    for (size_t k = 0; k < sizeof points / sizeof *points; k++)
        for (size_t j = 0; j < sizeof passes / sizeof *passes; j++) {
            uint8_t *seen = calloc(RECORDS, 1);
            struct cf_spool_verify_result v;
            char point[64], note[300];
            struct told t = {0};
            struct cf_spool *s;
            int fd, status;
            pid_t pid;

            assert_int_equal(t_setup(NULL), 0);
            (void)snprintf(point, sizeof point, "%s:%d", points[k], passes[j]);
            (void)snprintf(note, sizeof note, "%s.told", t_dir);
            fd = open(note, O_RDWR | O_CREAT | O_TRUNC, 0600);
            assert_true(fd >= 0);
            pid = fork();
            assert_true(pid >= 0);
            if (pid == 0)
                child(point, fd);
            assert_int_equal(waitpid(pid, &status, 0), pid);
            if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
                fail_msg("%s: child was not killed there, status %d", point, status);
            assert_true(pread(fd, &t, sizeof t, 0) >= 0);
            (void)close(fd);
            (void)unlink(note);
            (void)cf_spool_verify(t_dir, &v, NULL, NULL);
            if (v.bad_frames)
                fail_msg("%s: %llu damaged frames", point, (unsigned long long)v.bad_frames);
            s = t_open(65536, 0, 64);
            (void)t_drain(s, seen, RECORDS, true);
            for (unsigned i = t.processed; i < t.acked; i++)
                if (seen[i] != 1)
                    fail_msg("%s: acknowledged record %u of %u seen %u times (%u processed)", point, i, t.acked, seen[i], t.processed);
            for (unsigned i = 0; i < RECORDS; i++)
                if (seen[i] > 1)
                    fail_msg("%s: record %u seen %u times", point, i, seen[i]);
            cf_spool_close(s);
            s = t_open(65536, 0, 64); /* committed by the run after the crash: gone */
            assert_int_equal(t_drain(s, seen, RECORDS, false), 0);
            cf_spool_close(s);
            free(seen);
            t_clean(t_dir);
        }
}

static void fill(const char *path)
{
    static const char zero[4096];
    int fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0600);

    while (write(fd, zero, sizeof zero) > 0)
        ;
    (void)close(fd);
}

/* In a child with its own mounts: a 2 MiB file system, filled by someone else, emptied again. */
static int full_disk_child(void)
{
    struct cf_spool_options o = {.dir = t_dir, .segment_size = 262144, .min_free = 65536, .batch_rows = 100, .batch_age_us = 20000};
    struct cf_spool *s = NULL;
    struct cf_error err = {0};
    struct cf_spool_stats st;
    static uint8_t seen[10000];
    char ballast[300];
    unsigned n = 0;
    int r = 0;

    (void)snprintf(ballast, sizeof ballast, "%s/ballast", t_dir);
    if (cf_spool_open(&o, &s, &err) != 0)
        return 10;
    for (int i = 0; i < 20; i++, n += 10)
        if (t_append(s, n, 10, 100, NULL, &err) != 0)
            return 11;
    fill(ballast);
    for (int i = 0; i < 200 && r == 0; i++) { /* within the check interval, reserved space may still be used */
        uint64_t ticket;

        r = t_append(s, n, 10, 100, &ticket, &err);
        if (r == 0) {
            n += 10;
            if (cf_spool_wait(s, ticket, 5000, &err) != 0)
                return 12;
            (void)usleep(10000);
        }
    }
    cf_spool_get_stats(s, &st);
    if (r != CF_EFULL || st.accepting || !strstr(st.reason, "full"))
        return 13;
    cf_spool_close(s);
    fill(ballast); /* closing gave back what was reserved */
    if (cf_spool_open(&o, &s, &err) != 0) /* starts on a full disk, says so */
        return 14;
    if (t_append(s, n, 10, 100, NULL, &err) != CF_EFULL)
        return 15;
    (void)unlink(ballast);
    for (int i = 0; i < 100 && (r = t_append(s, n, 10, 100, NULL, &err)) != 0; i++)
        (void)cf_spool_wait_space(s, 100);
    if (r != 0)
        return 16;
    n += 10;
    if (t_drain(s, seen, 10000, true) != n)
        return 17;
    for (unsigned i = 0; i < n; i++)
        if (seen[i] != 1)
            return 18;
    cf_spool_close(s);
    return 0;
}

static void full_disk(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("tmpfs", t_dir, "tmpfs", 0, "size=2m") != 0)
            _exit(77);
        _exit(full_disk_child());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("skipped: mounting a small file system needs root\n");
        skip();
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crash_matrix),
        cmocka_unit_test_setup_teardown(full_disk, t_setup, t_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
