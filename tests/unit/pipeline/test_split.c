/* SPDX-License-Identifier: Apache-2.0
 * A batch that the event store has not the memory for goes in parts, once, also when the program is killed between two parts. */
#include <dirent.h>

#include "pipe_help.h"

#define RECORDS 20000
#define BATCH 10000 /* more than two parts of CF_BATCH_MAX */

static struct cf_pipeline *start(void) { return pipe_start(1, BATCH, 5000000, CF_BATCH_MAX); }

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
    (void)state;
    pipe_killed("pipeline.after_insert:2", start, feed); /* the whole batch is refused before it is an insert */
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
    pipe_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_between_parts), cmocka_unit_test(the_rest_follows_once)};

    return pipe_run(tests);
}
