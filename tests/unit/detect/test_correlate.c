/* SPDX-License-Identifier: Apache-2.0
 * Correlations: edges of windows, each type, chains, snapshots, lateness, and random sequences against a slow
 * evaluator that looks at every window anew. */
#include "detect/feeder.h"

static void test_event_count(void **state)
{
    struct feeder f;

    (void)state;
    start(&f, CORR("event_count", "a", "  condition: {gte: 3}\n"));
    assert_int_equal(at(&f, 0, "a", "u", ""), 0);
    assert_int_equal(at(&f, 5000, "a", "u", ""), 0);
    assert_int_equal(at(&f, 9000, "a", "other", ""), 0); /* another group does not count */
    assert_int_equal(at(&f, 9500, "b", "u", ""), 1);     /* b is no part of it: it hits for itself */
    assert_int_equal(at(&f, 10000, "a", "u", ""), 1);    /* exactly at the edge */
    assert_str(f.last.group, "user=u");
    assert_int_equal(f.last.count, 3);
    assert_int_equal(f.last.n_events, 3);
    assert_int_equal(f.last.events[0], 0);
    assert_int_equal(f.last.events[2], 4);
    assert_int_equal(at(&f, 11000, "a", "u", ""), 0); /* still true: no second hit inside the span */
    stop(&f);
    start(&f, CORR("event_count", "a", "  condition: {gte: 3}\n"));
    (void)at(&f, 0, "a", "u", "");
    (void)at(&f, 5000, "a", "u", "");
    assert_int_equal(at(&f, 10001, "a", "u", ""), 0); /* a millisecond over: the first has left */
    assert_int_equal(at(&f, 10002, "a", "u", ""), 1);
    stop(&f);
}

static void test_generate(void **state)
{
    struct feeder f;

    (void)state;
    start(&f, CORR("event_count", "a", "  generate: true\n  condition: {gt: 1}\n"));
    assert_int_equal(at(&f, 0, "a", "u", ""), 1);
    assert_int_equal(at(&f, 1, "a", "u", ""), 2);
    stop(&f);
}

static void test_values(void **state)
{
    struct feeder f;

    (void)state;
    start(&f, CORR("value_count", "a", "  condition: {field: v, gte: 3}\n"));
    (void)at(&f, 0, "a", "u", "x");
    (void)at(&f, 1, "a", "u", "x");
    (void)at(&f, 2, "a", "u", "y");
    assert_int_equal(f.hits, 0);
    assert_int_equal(at(&f, 3, "a", "u", "z"), 1);
    stop(&f);
    start(&f, CORR("value_sum", "a", "  condition: {field: v, gt: 100}\n"));
    (void)at(&f, 0, "a", "u", "60");
    (void)at(&f, 1, "a", "u", "no number");
    assert_int_equal(at(&f, 2, "a", "u", "40"), 0);
    assert_int_equal(at(&f, 3, "a", "u", "0.5"), 1);
    stop(&f);
    start(&f, CORR("value_avg", "a", "  condition: {field: v, gte: 10}\n"));
    assert_int_equal(at(&f, 0, "a", "u", "5"), 0);
    assert_int_equal(at(&f, 1, "a", "u", "15"), 1);
    stop(&f);
    start(&f, CORR("value_median", "a", "  condition: {field: v, gt: 5}\n"));
    (void)at(&f, 0, "a", "u", "1");
    (void)at(&f, 1, "a", "u", "2");
    assert_int_equal(at(&f, 2, "a", "u", "100"), 0); /* median 2 */
    assert_int_equal(at(&f, 3, "a", "u", "101"), 1); /* median 51 */
    stop(&f);
    start(&f, CORR("value_percentile", "a", "  condition: {field: v, percentile: 90, gte: 9}\n"));
    for (int i = 1; i <= 9; i++) {
        char v[8];
        (void)snprintf(v, sizeof v, "%d", i);
        assert_int_equal(at(&f, i, "a", "u", v), 0);
    }
    assert_int_equal(at(&f, 10, "a", "u", "10"), 1); /* 90th percentile of 1..10 is 9.1 */
    stop(&f);
}

/* One number far beyond the others, or none at all, leaves nothing behind; nor does a NUL part a group's value. */
static void test_odd_values(void **state)
{
    struct feeder f;

    (void)state;
    start(&f, CORR("value_sum", "a", "  condition: {field: v, gt: 10}\n"));
    assert_int_equal(at(&f, 0, "a", "u", "-1e300"), 0);
    assert_int_equal(at(&f, 5000, "a", "u", "5"), 0);
    assert_int_equal(at(&f, 10001, "a", "u", "6"), 1); /* the first has left: 11 */
    assert_int_equal(at(&f, 10002, "a", "w", "nan"), 0);
    assert_int_equal(at(&f, 10003, "a", "w", "inf"), 0);
    assert_int_equal(at(&f, 10004, "a", "w", "11"), 1);
    stop(&f);
    start(&f, "title: corr\nid: corr-1\ncorrelation:\n  type: event_count\n  rules: [a]\n  group-by: [user, v]\n  timespan: 10s\n  condition: {gte: 2}\n");
    assert_int_equal(at(&f, 0, "a", "x\\u0000y", "z"), 0);
    assert_int_equal(at(&f, 1, "a", "x", "y\\u0000z"), 0);
    assert_int_equal(at(&f, 2, "a", "x", "y\\u0000z"), 1);
    stop(&f);
}

/* A rule named twice: steps of an ordered correlation, one and the same in the others. */
static void test_twins(void **state)
{
    struct feeder f;

    (void)state;
    start(&f, CORR("temporal_ordered", "a, b, a", ""));
    assert_int_equal(at(&f, 0, "a", "u", ""), 0);
    assert_int_equal(at(&f, 1, "b", "u", ""), 0);
    assert_int_equal(at(&f, 2, "a", "u", ""), 1);
    assert_int_equal(at(&f, 3, "b", "w", ""), 0);
    assert_int_equal(at(&f, 4, "a", "w", ""), 0);
    assert_int_equal(at(&f, 5, "a", "w", ""), 0);
    stop(&f);
    start(&f, CORR("temporal", "a, b, a", ""));
    (void)at(&f, 0, "a", "u", "");
    assert_int_equal(at(&f, 1, "b", "u", ""), 1);
    stop(&f);
    start(&f, CORR("event_count", "a, a", "  condition: {gte: 2}\n"));
    assert_int_equal(at(&f, 0, "a", "u", ""), 0);
    assert_int_equal(at(&f, 1, "a", "u", ""), 1);
    stop(&f);
}

static void test_temporal(void **state)
{
    struct feeder f;

    (void)state;
    start(&f, CORR("temporal", "a, b, c", ""));
    (void)at(&f, 0, "c", "u", "");
    (void)at(&f, 1000, "a", "u", "");
    assert_int_equal(at(&f, 2000, "b", "w", ""), 0);
    assert_int_equal(at(&f, 3000, "b", "u", ""), 1);
    stop(&f);
    start(&f, CORR("temporal_ordered", "a, b", ""));
    (void)at(&f, 0, "b", "u", "");
    assert_int_equal(at(&f, 1000, "a", "u", ""), 0); /* the wrong order */
    assert_int_equal(at(&f, 11001, "b", "u", ""), 0); /* too late */
    (void)at(&f, 12000, "a", "u", "");
    assert_int_equal(at(&f, 12000, "b", "u", ""), 1); /* same moment, later record */
    stop(&f);
    start(&f, CORR("temporal_ordered", "a, b, c", "  condition: {gte: 2}\n"));
    (void)at(&f, 0, "c", "u", "");
    (void)at(&f, 1, "a", "u", "");
    assert_int_equal(at(&f, 2, "c", "u", ""), 1);
    stop(&f);
}

static void test_upper_bound(void **state)
{
    struct feeder f;

    (void)state;
    start(&f, CORR("event_count", "a", "  condition: {gt: 1, lte: 3}\n"));
    for (int i = 0; i < 2; i++)
        assert_int_equal(at(&f, i * 1000, "a", "u", ""), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(at(&f, i * 1000, "a", "many", ""), 0);
    assert_int_equal(flush(&f), 1);
    assert_str(f.last.group, "user=u");
    assert_int_equal(f.last.count, 2);
    stop(&f);
    /* closed by time: 10 s and the lateness of 5 minutes later, by any event */
    start(&f, CORR("event_count", "a", "  condition: {eq: 1}\n"));
    (void)at(&f, 0, "a", "u", "");
    assert_int_equal(at(&f, 310000, "x", "u", ""), 0);
    assert_int_equal(at(&f, 310001, "x", "u", ""), 1);
    assert_int_equal(f.last.ev->time_us, INT64_C(1790000000000000));
    assert_int_equal(flush(&f), 0);
    stop(&f);
}

static void test_chain_and_alias(void **state)
{
    struct feeder f;

    (void)state;
    start(&f, "title: many\nname: many\ncorrelation: {type: event_count, rules: [a], group-by: [user], timespan: 10s, condition: {gte: 3}}\n---\n"
              "title: then\ncorrelation: {type: temporal_ordered, rules: [many, b], group-by: [user], timespan: 60s}\n");
    (void)at(&f, 0, "b", "u", "");
    (void)at(&f, 1000, "a", "u", "");
    (void)at(&f, 2000, "a", "u", "");
    (void)at(&f, 3000, "a", "u", "");
    assert_int_equal(f.hits, 0); /* all referred rules are silent */
    assert_int_equal(at(&f, 9000, "b", "u", ""), 1);
    assert_str(f.last.rule->title, "then");
    stop(&f);
    start(&f, "title: al\ncorrelation:\n  type: temporal\n  rules: [a, b]\n  group-by: [who]\n  timespan: 10s\n"
              "  aliases: {who: {a: user, b: v}}\n");
    (void)at(&f, 0, "a", "bob", "x");
    assert_int_equal(at(&f, 1, "b", "x", "eve"), 0);
    assert_int_equal(at(&f, 2, "b", "x", "bob"), 1);
    stop(&f);
}

static void test_late(void **state)
{
    struct feeder f;
    struct cf_corr_counters c;

    (void)state;
    start(&f, CORR("event_count", "a", "  condition: {gte: 3}\n"));
    (void)at(&f, 100000, "a", "u", "");
    (void)at(&f, 50000, "a", "u", "");
    (void)at(&f, 58000, "a", "u", "");
    assert_int_equal(f.hits, 0);
    assert_int_equal(at(&f, 55000, "a", "u", ""), 1); /* 50, 55 and 58 s make a window long past */
    (void)at(&f, -300000, "a", "u", "");
    cf_ruleset_corr_counters(f.rs, &c);
    assert_int_equal(c.late, 1);
    stop(&f);
    start(&f, CORR("temporal_ordered", "a, b", ""));
    (void)at(&f, 5000, "b", "u", "");
    assert_int_equal(at(&f, 4000, "a", "u", ""), 1); /* arrives second, happened first */
    stop(&f);
}

static void test_snapshot(void **state)
{
    struct feeder f, g;
    char path[] = "/tmp/cf-corr-XXXXXX";
    int fd = mkstemp(path);
    struct cf_error err = {0};
    struct cf_buf b;
    size_t n = 0;
    static const char corr[] = CORR("value_count", "a", "  condition: {field: v, gte: 3}\n") "---\ntitle: t2\nid: corr-2\ncorrelation: {type: event_count, rules: [b], group-by: [user], timespan: 10s, condition: {lt: 3}}\n";

    (void)state;
    (void)close(fd);
    start(&f, corr);
    (void)at(&f, 0, "a", "u", "1");
    (void)at(&f, 1, "a", "u", "2");
    (void)at(&f, 2, "b", "u", "2");
    assert_ok(cf_ruleset_corr_save(f.rs, path, NULL, &err), err);
    stop(&f);
    start(&g, corr);
    assert_ok(cf_ruleset_corr_load(g.rs, path, &n, NULL, &err), err);
    assert_int_equal(n, 2);
    assert_int_equal(at(&g, 5, "a", "u", "3"), 1);
    assert_int_equal(flush(&g), 1);
    stop(&g);
    cf_buf_init(&b, 1 << 20);
    assert_ok(cf_file_read(path, &b, &err), err);
    start(&g, corr);
    for (size_t i = 0; i < b.n; i++) { /* every damaged byte is noticed */
        b.p[i] ^= 0x40;
        assert_true(cf_ruleset_corr_restore(g.rs, cf_buf_view(&b), &n, NULL, &err) < 0);
        b.p[i] ^= 0x40;
    }
    for (size_t i = 0; i < b.n; i++)
        assert_true(cf_ruleset_corr_restore(g.rs, (cf_str){b.p, i}, &n, NULL, &err) < 0);
    stop(&g);
    cf_buf_release(&b);
    (void)unlink(path);
}

/* A snapshot up to an event, and the replay of the input from somewhere before it: nothing is missing, nothing counted twice. */
static void test_mark(void **state)
{
    struct feeder f, g;
    char path[] = "/tmp/cf-corr-XXXXXX";
    struct cf_error err = {0};
    struct cf_corr_mark mark = {.origin = 77, .seq = 3}, got = {0};
    static const char corr[] = CORR("event_count", "a", "  condition: {gte: 5}\n");
    int fd = mkstemp(path);

    (void)state;
    (void)close(fd);
    for (int fired = 0; fired < 2; fired++) {
        start(&f, corr);
        for (int i = 0; i < (fired ? 5 : 4); i++) /* 0 to 3, or to 4, which fires but is not in the snapshot */
            assert_int_equal(at(&f, i, "a", "u", ""), i == 4);
        assert_ok(cf_ruleset_corr_save(f.rs, path, &mark, &err), err);
        stop(&f);
        start(&g, corr);
        assert_ok(cf_ruleset_corr_load(g.rs, path, NULL, &got, &err), err);
        assert_int_equal(got.origin, 77);
        assert_int_equal(got.seq, 3);
        cf_ruleset_corr_skip(g.rs, got.seq);
        g.seq = 1; /* the spool begins with event 1 again */
        for (int i = 1; i < 6; i++)
            assert_int_equal(at(&g, i, "a", "u", ""), i == 4);
        stop(&g);
    }
    (void)unlink(path);
}

static void test_move(void **state)
{
    static const char corr[] = CORR("event_count", "a", "  condition: {gte: 5}\n");
    struct cf_error err = {0};
    struct feeder f, g;

    (void)state;
    start(&f, corr);
    for (int i = 0; i < 4; i++)
        assert_int_equal(at(&f, i, "a", "u", ""), 0);
    start(&g, corr);
    assert_ok(cf_ruleset_corr_move(g.rs, f.rs, &err), err);
    g.seq = f.seq;
    stop(&f);
    assert_int_equal(at(&g, 4, "a", "u", ""), 1);
    stop(&g);
}

#define DAY_MS (INT64_C(86400) * 1000)
/* Two workers on batches of old logs that lie ten days apart: the one ahead neither closes nor drops the windows of the other. */
static void test_side_by_side(void **state)
{
    static const char lower[] = CORR("event_count", "a", "  condition: {gte: 5}\n");
    static const char upper[] = CORR("event_count", "a", "  condition: {lt: 3}\n");
    struct feeder f;
    struct cf_detector *slow, *fast;
    char user[16];
    size_t ours = 0;

    (void)state;
    for (int round = 0; round < 2; round++) {
        start(&f, round ? upper : lower);
        slow = f.d;
        fast = cf_detector_new(f.rs);
        cf_detector_part_begin(slow);
        cf_detector_part_begin(fast);
        ours = 0;
        for (int i = 0; i < 5; i++) {
            f.d = slow;
            ours += at(&f, i, "a", "u", "");
            f.d = fast;
            assert_int_equal(at(&f, 10 * DAY_MS + i * 60000, "a", "u", ""), 0); /* the same key, far ahead */
            for (int k = 0; k < 500; k++) { /* and many others, which sweep the table */
                (void)snprintf(user, sizeof user, "x%d-%d", i, k);
                (void)at(&f, 10 * DAY_MS + i * 60000, "a", user, "");
            }
        }
        assert_int_equal(ours, round ? 0 : 1);
        cf_detector_part_end(slow);
        ours = 0;
        if (round) { /* now the old windows are over: 5 events are not fewer than 3, the single ones are */
            const struct cf_hit *h = NULL;
            size_t n = 0;

            assert_int_equal(cf_detect_flush(fast, &f.a, &h, &n), 0);
            assert_true(n > 2000);
            for (size_t i = 0; i < n; i++)
                ours += cf_str_eqz(h[i].group, "user=u") && h[i].ev->time_us < INT64_C(1790000000000000) + DAY_MS * 1000;
            assert_int_equal(ours, 0);
        }
        cf_detector_free(fast);
        f.d = slow;
        stop(&f);
    }
}

static void test_bounded(void **state)
{
    struct feeder f;
    struct cf_corr_counters c;

    (void)state;
    start(&f, CORR("event_count", "a", "  condition: {gte: 3}\n"));
    cf_ruleset_corr_options(f.rs, -1, 1 << 20);
    for (int i = 0; i < 20000; i++) {
        char user[32];
        (void)snprintf(user, sizeof user, "user-%d", i);
        (void)at(&f, i, "a", user, "");
        if (i % 1000 == 0)
            cf_arena_reset(&f.a);
    }
    cf_ruleset_corr_counters(f.rs, &c);
    assert_true(c.evicted > 0);
    assert_true(c.bytes < 3 << 20);
    assert_int_equal(c.evicted + c.keys, 20000);
    stop(&f);
}

/* ---- random sequences ---- */

struct rec {
    int64_t t;
    int k; /* 0 a, 1 b, 2 c */
    int user, v;
};

static uint32_t rnd_state;
static uint32_t rnd(uint32_t n)
{
    rnd_state = rnd_state * 1664525u + 1013904223u;
    return (rnd_state >> 8) % n;
}

/* The aggregate over the records of one user inside [from, to] of arrival order, by plain counting. */
static double slow_value(int type, const struct rec *r, size_t n, int user, int64_t from, int64_t to)
{
    double sum = 0;
    size_t count = 0;
    bool seen[64] = {false}, kinds[3] = {false};
    int distinct = 0, chain[3] = {0, 0, 0};

    for (size_t i = 0; i < n; i++) {
        if (r[i].user != user || r[i].t < from || r[i].t > to || (type < 3 && r[i].k != 0))
            continue;
        count++;
        sum += r[i].v;
        if (!seen[r[i].v])
            distinct++;
        seen[r[i].v] = true;
        kinds[r[i].k] = true;
        for (int c = 2; c >= 0; c--) /* longest ascending row that ends with this kind */
            if (c == r[i].k) {
                int best = 0;
                for (int q = 0; q < c; q++)
                    best = chain[q] > best ? chain[q] : best;
                chain[c] = best + 1 > chain[c] ? best + 1 : chain[c];
            }
    }
    switch (type) {
    case 0:
        return (double)count;
    case 1:
        return distinct;
    case 2:
        return sum;
    case 3:
        return kinds[0] + kinds[1] + kinds[2];
    default:
        return chain[0] > chain[1] ? (chain[0] > chain[2] ? chain[0] : chain[2]) : (chain[1] > chain[2] ? chain[1] : chain[2]);
    }
}

static void one_sequence(struct feeder *f, int type, double limit, uint32_t seed)
{
    struct rec r[40];
    bool active[3] = {false};
    int64_t fired[3] = {INT64_MIN, INT64_MIN, INT64_MIN}, t = (int64_t)seed * 1000000; /* far from the sequence before */
    static const char *const kind[] = {"a", "b", "c"}, *const user[] = {"u", "v", "w"};

    for (size_t i = 0; i < 40; i++) {
        double v;
        bool want = false;
        char num[8];

        t += rnd(5) ? rnd(4) * 1000 : rnd(14000);
        r[i] = (struct rec){t, (int)rnd(3), (int)rnd(3), (int)rnd(12)};
        if (type >= 3 || r[i].k == 0) {
            int u = r[i].user;
            v = slow_value(type, r, i + 1, u, t - 10000, t);
            want = v >= limit && (!active[u] || t > fired[u] + 10000);
            active[u] = v >= limit;
            fired[u] = want ? t : fired[u];
        }
        (void)snprintf(num, sizeof num, "%d", r[i].v);
        f->hits = 0;
        (void)at(f, t, kind[r[i].k], user[r[i].user], num);
        if (type < 3 && r[i].k)
            f->hits -= 1; /* b and c hit for themselves */
        if (f->hits != (want ? 1u : 0u))
            fail_msg("type %d seed %u step %zu: %zu hits, expected %d", type, seed, i, f->hits, want);
    }
}

/* Entries of all times: each comes up to 60 s late. The windows an entry lies in are looked at one after the other, oldest first,
 * but those that end within a span of what fired. */
static void one_late_sequence(struct feeder *f, int type, double limit, uint32_t seed, size_t len)
{
    struct rec r[160];
    bool active = false;
    int64_t fired = INT64_MIN / 2, t = (int64_t)seed * 4000000, span = 10000;
    static const char *const kind[] = {"a", "b", "c"};
    size_t n = 0, run = 0;
    int64_t back = 0;

    assert_true(len <= sizeof r / sizeof *r);
    for (size_t i = 0; i < len; i++) {
        struct rec one = {.k = (int)rnd(3), .user = 0, .v = (int)rnd(type == 1 ? 1 + seed % 9 : 12)};
        bool want = false, newest;
        size_t pos = n;
        char num[8];

        t += rnd(4) ? rnd(3) * 500 : rnd(9000);
        if (run == 0 && rnd(4) == 0) { /* the clock jumps back and then goes on from there */
            run = 1 + rnd(12);
            back = rnd(60000);
        }
        one.t = run ? t - back : t;
        run -= run > 0;
        if (type < 3)
            one.k = 0;
        while (pos > 0 && r[pos - 1].t > one.t)
            pos--;
        newest = pos == n;
        memmove(r + pos + 1, r + pos, (n - pos) * sizeof *r);
        r[pos] = one;
        n++;
        if (newest) {
            double v = slow_value(type, r, n, 0, one.t - span, one.t);

            want = v >= limit && (!active || one.t > fired + span);
            active = v >= limit;
            fired = want ? one.t : fired;
        }
        for (size_t j = pos; !newest && !want && j < n && r[j].t <= one.t + span; j++) {
            if ((j + 1 < n && r[j + 1].t == r[j].t) || (r[j].t >= fired - span && r[j].t <= fired + span))
                continue;
            want = slow_value(type, r, n, 0, r[j].t - span, r[j].t) >= limit;
            fired = want && r[j].t > fired ? r[j].t : fired;
        }
        active = slow_value(type, r, n, 0, r[n - 1].t - span, r[n - 1].t) >= limit;
        (void)snprintf(num, sizeof num, "%d", one.v);
        f->hits = 0;
        (void)at(f, one.t, kind[one.k], "u", num);
        if (f->hits != (want ? 1u : 0u))
            fail_msg("type %d limit %g seed %u step %zu: %zu hits, expected %d", type, limit, seed, i, f->hits, want);
    }
}

static void test_random_late(void **state)
{
    static const char *const type[] = {"event_count", "value_count", "value_sum", "temporal", "temporal_ordered"};
    const char *n = getenv("CF_ORACLE_SEQUENCES");
    uint32_t count = n ? (uint32_t)strtoul(n, NULL, 10) : 400;

    (void)state;
    for (int ty = 0; ty < 5; ty++) {
        for (int limit = 2; limit <= 12; limit += ty < 3 ? 5 : 1) {
            char corr[512];
            struct feeder f;

            if (ty >= 3 && limit > 3)
                break;
            (void)snprintf(corr, sizeof corr, CORR("%s", "%s", "  condition: {%sgte: %d}\n"), type[ty], ty < 3 ? "a" : "a, b, c", ty == 1 || ty == 2 ? "field: v, " : "",
                           ty == 2 ? limit * 8 : limit);
            start(&f, corr);
            rnd_state = 4711;
            for (uint32_t s = 1; s <= count; s++) {
                if (s % 400 == 0) {
                    stop(&f);
                    start(&f, corr);
                }
                one_late_sequence(&f, ty, ty == 2 ? limit * 8 : limit, s % 400, 40 + s % 121);
                if (s % 16 == 0)
                    cf_arena_reset(&f.a);
            }
            stop(&f);
        }
    }
}

static void test_random(void **state)
{
    static const char *const type[] = {"event_count", "value_count", "value_sum", "temporal", "temporal_ordered"};

    (void)state;
    for (int ty = 0; ty < 5; ty++) {
        char corr[512];
        struct feeder f;
        double limit = ty == 2 ? 25 : 3;
        const char *n = getenv("CF_ORACLE_SEQUENCES");
        uint32_t count = n ? (uint32_t)strtoul(n, NULL, 10) : 400;

        (void)snprintf(corr, sizeof corr, CORR("%s", "%s", "  condition: {%sgte: %d}\n"), type[ty], ty < 3 ? "a" : "a, b, c", ty == 1 || ty == 2 ? "field: v, " : "", (int)limit);
        start(&f, corr);
        rnd_state = 12345;
        for (uint32_t s = 1; s <= count; s++) {
            if (s % 800 == 0) { /* time begins anew: so must the state */
                stop(&f);
                start(&f, corr);
            }
            one_sequence(&f, ty, limit, s % 800);
            if (s % 16 == 0)
                cf_arena_reset(&f.a);
        }
        stop(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event_count), cmocka_unit_test(test_generate), cmocka_unit_test(test_odd_values), cmocka_unit_test(test_twins), cmocka_unit_test(test_values),
        cmocka_unit_test(test_temporal),    cmocka_unit_test(test_upper_bound), cmocka_unit_test(test_chain_and_alias),
        cmocka_unit_test(test_late),        cmocka_unit_test(test_snapshot), cmocka_unit_test(test_mark), cmocka_unit_test(test_side_by_side), cmocka_unit_test(test_move), cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_random),      cmocka_unit_test(test_random_late),
    };
    (void)setvbuf(stdout, NULL, _IONBF, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
