/* SPDX-License-Identifier: Apache-2.0
 * Helpers of the spool tests: a folder of its own, records "r<number>", reading everything back. */
#ifndef CF_TEST_SPOOL_HELP_H
#define CF_TEST_SPOOL_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/crash.h"
#include "collect/spool.h"
#include "collect/spool_format.h"

static char t_dir[200];
static int t_wait_ms = 200; /* 0 where everything is on disk already */

static int t_rm(void *ctx, const char *path)
{
    (void)ctx;
    return unlink(path);
}
static inline void t_clean(const char *dir)
{
    (void)cf_walk(dir, "", t_rm, NULL, NULL);
    (void)rmdir(dir);
}
static inline int t_setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    (void)snprintf(t_dir, sizeof t_dir, "%s/cf-spool-XXXXXX", tmp ? tmp : "/tmp");
    cf_log_set_level(CF_LOG_OFF);
    return mkdtemp(t_dir) ? 0 : -1;
}
static inline int t_teardown(void **state)
{
    (void)state;
    t_clean(t_dir);
    return 0;
}
static inline struct cf_spool *t_open(int64_t segment, int64_t cap, int64_t rows)
{
    struct cf_spool_options o = {.dir = t_dir, .segment_size = segment, .cap = cap, .min_free = -1, .batch_rows = rows, .batch_age_us = 20000, .batch_busy_us = 50000};
    struct cf_spool *s = NULL;
    struct cf_error err = {0};

    if (cf_spool_open(&o, &s, &err) != 0)
        fail_msg("open: %s", err.msg);
    return s;
}
/* One frame with records "r<first>" .. of `pad` more bytes each. */
static inline int t_append(struct cf_spool *s, unsigned first, unsigned n, size_t pad, uint64_t *ticket, struct cf_error *err)
{
    struct cf_spool_origin o = {CF_STR("sshd"), CF_STR("syslog"), CF_STR("192.0.2.1"), CF_STR("org-1"), CF_STR("fw-1"), CF_STR("mark-1"), 1000000 + first};
    static _Thread_local char text[64][4096];
    cf_str rec[64];

    assert_true(n <= 64 && pad < 4000);
    for (unsigned i = 0; i < n; i++) {
        int len = snprintf(text[i], 64, "r%u", first + i);

        memset(text[i] + len, '.', pad);
        rec[i] = cf_str_n(text[i], (size_t)len + pad);
    }
    return cf_spool_append(s, &o, rec, n, ticket, err);
}
/* Marks what it reads in seen[] (counts); returns the number of records. Commits each batch when told to. */
static inline unsigned t_drain(struct cf_spool *s, uint8_t *seen, unsigned max, bool commit)
{
    struct cf_spool_batch b = {0};
    struct cf_error err = {0};
    unsigned total = 0;
    int r;

    while ((r = cf_spool_next(s, &b, t_wait_ms, &err)) == 1) {
        struct cf_spool_frame f;

        while (cf_spool_batch_frame(&b, &f)) {
            const uint8_t *p = f.bytes;

            for (uint32_t i = 0; i < f.n; i++) {
                uint32_t len;
                char *end;
                unsigned long v;

                memcpy(&len, f.lens + 4 * i, 4);
                assert_int_equal(p[0], 'r');
                v = strtoul((const char *)p + 1, &end, 10);
                assert_true(v < max);
                seen[v]++;
                total++;
                p += len;
            }
        }
        cf_spool_done(s, &b);
        if (commit)
            assert_int_equal(cf_spool_commit(s, cf_spool_done_pos(s), &err), 0);
    }
    if (r < 0)
        fail_msg("next: %s", err.msg);
    cf_spool_batch_release(&b);
    return total;
}
/* Path of the only segment that has records. */
static inline void t_segment(uint64_t number, char path[300]) { (void)snprintf(path, 300, "%s/%016llx.seg", t_dir, (unsigned long long)number); }

#endif
