/* SPDX-License-Identifier: Apache-2.0
 * File tail without a server: marks through the spool, positions after an end without a save (as after kill -9), power loss
 * that swallows a frame, options. The rest is in tests/e2e/tail.test.mjs. COL-032, COL-033. */
#include "collect/spool_help.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "collect/tail.h"
#include "collect/tail_int.h"

static char logs[260], state[300], log_path[300];
static struct cf_counters *counters;
static struct cf_shared sources;

static int setup(void **s)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(logs, sizeof logs, "%s/cf-tail-XXXXXX", tmp ? tmp : "/tmp");
    if (t_setup(s) != 0 || !mkdtemp(logs))
        return -1;
    (void)snprintf(state, sizeof state, "%s/tail.state", logs);
    (void)snprintf(log_path, sizeof log_path, "%s/a.log", logs);
    counters = cf_counters_new();
    cf_shared_init(&sources);
    return 0;
}
static int teardown(void **s)
{
    t_clean(logs);
    cf_counters_free(counters);
    cf_shared_release(&sources);
    return t_teardown(s);
}
static void append(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}
static struct cf_tail *follow_polling(struct cf_spool *spool, int64_t poll_us)
{
    struct cf_intake p;
    struct cf_tail_options o = {.spool = spool, .counters = counters, .sources = &sources, .path = &p, .n_paths = 1, .state_path = state, .line_max = 4096, .poll_us = poll_us,
                                .packed = true};
    struct cf_error err = {0};
    struct cf_tail *t = NULL;
    char text[400];

    (void)snprintf(text, sizeof text, "%s/*.log* source=web", logs);
    assert_int_equal(cf_intake_parse("tail.paths", cf_str_c(text), &p, &err), 0);
    if (cf_tail_start(&o, &t, &err) != 0)
        fail_msg("tail: %s", err.msg);
    cf_intake_release(&p);
    return t;
}
static struct cf_tail *follow(struct cf_spool *spool) { return follow_polling(spool, 20000); }
/* Reads n records out of the spool, joined by '|'. */
static void expect(struct cf_spool *spool, unsigned n, const char *want)
{
    struct cf_spool_batch b = {0};
    struct cf_error err = {0};
    struct cf_buf out;
    unsigned got = 0;

    cf_buf_init(&out, 0);
    for (int i = 0; i < 600 && got < n; i++) {
        struct cf_spool_frame f;

        if (cf_spool_next(spool, &b, 200, &err) != 1)
            continue;
        while (cf_spool_batch_frame(&b, &f)) {
            const uint8_t *p = f.bytes;

            assert_true(cf_str_eqz(f.origin.key, "web"));
            for (uint32_t k = 0; k < f.n; k++, got++) {
                uint32_t len;

                memcpy(&len, f.lens + 4 * k, 4);
                cf_buf_add(&out, p, len);
                cf_buf_byte(&out, '|');
                p += len;
            }
        }
        cf_spool_done(spool, &b);
    }
    cf_spool_batch_release(&b);
    assert_string_equal(cf_buf_cstr(&out), want);
    cf_buf_release(&out);
}

static void marks_survive(void **s)
{
    struct cf_spool *spool = t_open(1 << 20, 0, 0);
    struct cf_tail *t = follow(spool);

    (void)s;
    append(log_path, "one\r\ntwo\n\nthr");
    expect(spool, 2, "one|two|");
    append(log_path, "ee\nfour");
    expect(spool, 1, "three|");
    cf_tail_stop(t);
    cf_spool_close(spool);
    (void)unlink(state); /* as if it had never been written: the spool's marks know it */
    spool = t_open(1 << 20, 0, 0);
    append(log_path, "\nfive\n");
    t = follow(spool);
    expect(spool, 5, "one|two|three|four|five|"); /* nothing was committed: the batches come again, the lines do not */
    cf_tail_stop(t);
    cf_spool_close(spool);
}

static void lost_frame(void **s)
{
    struct cf_error err = {0};
    struct cf_spool *spool = t_open(1 << 20, 0, 0);
    struct cf_tail *t = follow(spool);
    char path[300];
    bool hit = false;
    off_t end;
    int fd;

    (void)s;
    append(log_path, "first\n");
    expect(spool, 1, "first|");
    append(log_path, "second\n");
    expect(spool, 1, "second|");
    cf_tail_stop(t);
    cf_spool_close(spool);
    (void)unlink(state);
    (void)snprintf(path, sizeof path, "%s/0000000000000001.seg", t_dir);
    fd = open(path, O_RDWR);
    end = lseek(fd, 0, SEEK_END);
    for (off_t at = end - 6; at > 0 && !hit; at--) { /* damage the last frame's text "second" */
        char b[6];

        if (pread(fd, b, 6, at) == 6 && memcmp(b, "second", 6) == 0) {
            assert_int_equal(pwrite(fd, "\0\0\0\0\0\0", 6, at), 6);
            hit = true;
        }
    }
    (void)close(fd);
    assert_true(hit);
    spool = t_open(1 << 20, 0, 0);
    t = follow(spool);
    expect(spool, 2, "first|second|"); /* read again from the file */
    assert_int_equal(cf_tail_save(t, &err), 0);
    cf_tail_stop(t);
    cf_spool_close(spool);
}

/* Whoever truncates a log in place copies it first, and that takes its time: the copy is not read before it is whole, and then not at all. */
static void copy_in_pieces(void **s)
{
    struct cf_spool *spool = t_open(1 << 20, 0, 0);
    struct cf_tail *t;
    char copy[310], beside[310];

    (void)s;
    (void)snprintf(copy, sizeof copy, "%s.1", log_path);
    (void)snprintf(beside, sizeof beside, "%s/b.log", logs);
    append(log_path, "one\ntwo\nthree\n");
    t = follow_polling(spool, 60 * CF_US_PER_S); /* changes tell; and a copy may stand still for two of these */
    expect(spool, 3, "one|two|three|");
    append(copy, "one\ntw");
    append(beside, "2\n");
    expect(spool, 1, "2|");
    append(copy, "o\nthree\n");
    assert_int_equal(truncate(log_path, 0), 0);
    append(log_path, "four\n");
    expect(spool, 1, "four|");
    append(beside, "3\n");
    expect(spool, 1, "3|");
    append(copy, "five\n"); /* the copy goes on as a file of its own */
    expect(spool, 1, "five|");
    cf_tail_stop(t);
    cf_spool_close(spool);
}

static void long_lines(void **s)
{
    struct cf_spool *spool = t_open(1 << 20, 0, 0);
    struct cf_tail *t = follow(spool);
    struct cf_tail_stats st;
    char *big = malloc(600001), *want = malloc(5000);

    (void)s;
    memset(big, 'x', 600000);
    big[600000] = '\0';
    append(log_path, big);
    append(log_path, big);
    append(log_path, "\nafter\n");
    memset(want, 'x', 4096);
    memcpy(want + 4096, "|after|", 8);
    expect(spool, 2, want);
    cf_tail_get_stats(t, &st);
    assert_int_equal(st.cut, 1);
    assert_int_equal(st.files, 1);
    cf_tail_stop(t);
    cf_spool_close(spool);
    free(big);
    free(want);
}

static void position_text(void **s)
{
    struct tail_pos p = {.dev = 0xfd00, .ino = 77, .gen = 3, .off = 123456789012, .head_n = 1024, .head = ~UINT64_C(5), .last_n = 256, .last = 9, .packed = true,
                         .path = (char *)(uintptr_t) "/var/log/a b.log"}, q;
    static const char *const bad[] = {"", "t1", "t2 0 0 0 0 0 0 0 0 0 - /x", "t1 g 0 0 0 0 0 0 0 0 - /x", "t1 0 0 0 0 0 401 0 0 0 - /x", "t1 0 0 0 0 0 0 0 0 0 - "};
    struct cf_buf b;
    uint64_t from;

    (void)s;
    cf_buf_init(&b, 0);
    (void)tail_pos_text(&p, 42, SIZE_MAX, &b);
    assert_true(tail_pos_parse(cf_buf_view(&b), &q, &from));
    assert_true(from == 42 && q.dev == p.dev && q.ino == p.ino && q.gen == 3 && q.off == p.off && q.head == p.head && q.head_n == 1024 && q.last_n == 256 && q.last == 9);
    assert_true(q.packed && !q.done);
    assert_string_equal(q.path, p.path);
    free(q.path);
    cf_buf_release(&b);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(tail_pos_parse(cf_str_c(bad[i]), &q, &from));
}

static void path_text(void **s)
{
    struct cf_error err = {0};
    struct cf_intake p;
    const struct cf_tail_options o = {.spool = t_open(1 << 20, 0, 0), .path = &p, .n_paths = 1, .state_path = state};
    struct cf_tail *t = NULL;

    (void)s;
    assert_int_equal(cf_intake_parse("tail.paths", CF_STR("/var/log/*.log  encoding=gb18030 source=fw format=kv parser=topsec org=u-1"), &p, &err), 0);
    assert_string_equal(p.what, "/var/log/*.log");
    assert_string_equal(p.encoding, "gb18030");
    assert_string_equal(p.source, "fw");
    assert_string_equal(p.format, "kv");
    assert_string_equal(p.parser, "topsec");
    assert_string_equal(p.org, "u-1");
    cf_intake_release(&p);
    assert_int_equal(cf_intake_parse("tail.paths", CF_STR("/var/log/x colour=red"), &p, &err), CF_EINVAL);
    assert_non_null(strstr(err.msg, "tail.paths"));
    assert_int_equal(cf_intake_parse("tail.paths", CF_STR("  "), &p, &err), CF_EINVAL);
    assert_int_equal(cf_intake_parse("tail.paths", CF_STR("var/log/x"), &p, &err), 0);
    assert_int_equal(cf_tail_start(&o, &t, &err), CF_EINVAL); /* not absolute */
    cf_intake_release(&p);
    cf_spool_close(o.spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(marks_survive, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(copy_in_pieces, setup, teardown),
        cmocka_unit_test(position_text),
        cmocka_unit_test_setup_teardown(path_text, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
