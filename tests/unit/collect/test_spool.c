/* SPDX-License-Identifier: Apache-2.0
 * Spool: what goes in comes out once, in order, whatever happens to the bytes on disk. COL-032, COL-033. */
#include "collect/spool_help.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void roundtrip(void **state)
{
    struct cf_spool *s = t_open(0, 0, 0);
    struct cf_spool_batch b = {0};
    struct cf_spool_frame f;
    struct cf_error err = {0};
    uint64_t ticket, seq;
    uint8_t seen[64] = {0};

    (void)state;
    assert_int_equal(t_append(s, 0, 10, 3, &ticket, &err), 0);
    assert_int_equal(cf_spool_wait(s, ticket, 5000, &err), 0);
    assert_int_equal(cf_spool_next(s, &b, 2000, &err), 1);
    assert_int_equal(b.rows, 10);
    assert_false(b.replay);
    assert_true(cf_spool_batch_frame(&b, &f));
    assert_true(cf_str_eqz(f.origin.source, "sshd"));
    assert_true(cf_str_eqz(f.origin.format, "syslog"));
    assert_true(cf_str_eqz(f.origin.peer, "192.0.2.1"));
    assert_true(cf_str_eqz(f.origin.org, "org-1"));
    assert_true(cf_str_eqz(f.origin.key, "fw-1"));
    assert_int_equal(f.origin.received_us, 1000000);
    assert_int_equal(f.n, 10);
    seq = f.seq;
    assert_memory_equal(f.bytes, "r0...r1...", 10);
    assert_false(cf_spool_batch_frame(&b, &f));
    cf_spool_done(s, &b);
    assert_int_equal(cf_spool_commit(s, cf_spool_done_pos(s), &err), 0);
    assert_int_equal(t_append(s, 10, 5, 0, NULL, &err), 0);
    cf_spool_batch_release(&b);
    cf_spool_close(s);

    s = t_open(0, 0, 0); /* only what was not committed comes back */
    assert_int_equal(cf_spool_next(s, &b, 2000, &err), 1);
    assert_true(b.replay);
    assert_true(cf_spool_batch_frame(&b, &f));
    assert_int_equal(f.seq, seq + 10);
    cf_spool_done(s, &b);
    cf_spool_batch_release(&b);
    assert_int_equal(t_append(s, 20, 1, 0, NULL, &err), 0);
    assert_int_equal(t_drain(s, seen, 64, true), 1);
    assert_int_equal(seen[20], 1);
    cf_spool_close(s);
    s = t_open(0, 0, 0);
    assert_int_equal(t_drain(s, seen, 64, true), 0);
    cf_spool_close(s);
}

/* Borders, tokens and rows of all batches, as text. */
static unsigned batch_names(struct cf_spool *s, struct cf_buf *out)
{
    struct cf_spool_batch b = {0};
    struct cf_error err = {0};
    unsigned n = 0;

    while (cf_spool_next(s, &b, 300, &err) == 1) {
        cf_buf_printf(out, "%s %u\n", b.token, b.rows);
        n++;
    }
    cf_spool_batch_release(&b);
    return n;
}

static void borders_are_reproducible(void **state)
{
    struct cf_buf one, two;
    struct cf_spool *s = t_open(65536, 0, 100);
    struct cf_error err = {0};
    uint64_t ticket = 0;

    (void)state;
    cf_buf_init(&one, 0);
    cf_buf_init(&two, 0);
    for (unsigned i = 0; i < 2000; i += 8)
        while (t_append(s, i, 8, 40, &ticket, &err) == CF_EBUSY)
            (void)cf_spool_wait_space(s, 1000);
    assert_int_equal(cf_spool_wait(s, ticket, 5000, &err), 0);
    assert_true(batch_names(s, &one) >= 10);
    cf_spool_close(s); /* nothing was reported done: a replay gives the same batches */
    s = t_open(65536, 0, 7); /* whatever the settings are now */
    (void)batch_names(s, &two);
    assert_true(two.n >= one.n);
    assert_memory_equal(one.p, two.p, one.n);
    cf_spool_close(s);
    cf_buf_release(&one);
    cf_buf_release(&two);
}

static void read_file(const char *path, struct cf_buf *b)
{
    cf_buf_init(b, 0);
    assert_int_equal(cf_file_read(path, b, NULL), 0);
}
static void write_file(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* A spool with 20 frames of 3 records, closed; its segment in *b. Offsets of the frames in at[21]. */
static void make_segment(char path[300], struct cf_buf *b, size_t *at)
{
    struct cf_spool *s = t_open(65536, 0, 1000);
    struct cf_error err = {0};
    struct cf_seg_head sh;
    size_t n = 0;

    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(t_append(s, i * 3, 3, i, NULL, &err), 0);
    cf_spool_close(s);
    t_segment(1, path);
    read_file(path, b);
    memcpy(&sh, b->p, sizeof sh);
    for (size_t off = CF_SEG_HEAD; off < b->n && n < 21;) {
        struct cf_frame_head h;
        size_t size;

        assert_int_equal(cf_frame_peek((uint8_t *)b->p + off, b->n - off, sh.spool_id, 1, &h, &size), CF_FRAME_OK);
        if (h.kind == CF_FRAME_DATA)
            at[n++] = off;
        else
            at[20] = off; /* the last seal */
        off += size;
    }
    assert_int_equal(n, 20);
}

/* Opens the folder, expects `all` records but [from, to), deletes everything that the opening made. */
static void expect_without(unsigned from, unsigned to, struct cf_spool_stats *ret)
{
    uint8_t seen[64] = {0};
    struct cf_spool *s = t_open(65536, 0, 1000);

    t_wait_ms = 0;
    (void)t_drain(s, seen, 64, false);
    t_wait_ms = 200;
    cf_spool_get_stats(s, ret);
    for (unsigned i = 0; i < 60; i++)
        if (seen[i] != !(i >= from && i < to))
            fail_msg("record %u seen %u times (without %u..%u)", i, seen[i], from, to);
    cf_spool_close(s);
}

static void torn_tail_at_every_byte(void **state)
{
    struct cf_spool_stats st;
    struct cf_buf b;
    char path[300];
    size_t at[21];

    (void)state;
    make_segment(path, &b, at);
    for (size_t cut = at[19]; cut <= b.n; cut++) {
        bool whole = cut >= at[20], border = cut == at[19] || cut == at[20] || cut == b.n;
        struct cf_spool_verify_result v;

        write_file(path, b.p, cut);
        assert_int_equal(cf_spool_verify(t_dir, &v, NULL, NULL), border ? 0 : CF_ECORRUPT);
        expect_without(whole ? 60 : 57, 60, &st);
        assert_int_equal(st.torn_bytes, border ? 0 : cut - (whole ? at[20] : at[19]));
        assert_int_equal(v.torn_bytes, st.torn_bytes);
    }
    cf_buf_release(&b);
}

static void garbage_tail_is_reported(void **state)
{
    struct cf_spool_stats st;
    struct cf_buf b;
    char path[300], junk[5000];
    size_t at[21];

    (void)state;
    make_segment(path, &b, at);
    memset(junk, 0, sizeof junk); /* what a file system leaves after power loss */
    cf_buf_add(&b, junk, sizeof junk);
    write_file(path, b.p, b.n);
    expect_without(60, 60, &st);
    assert_int_equal(st.torn_bytes, sizeof junk);
    cf_buf_release(&b);
}

static void flipped_byte_loses_one_frame_only(void **state)
{
    struct cf_spool_stats st;
    struct cf_buf b;
    char path[300];
    size_t at[21];

    (void)state;
    make_segment(path, &b, at);
    for (size_t i = at[10]; i < at[11]; i++) {
        struct cf_frame_head h;
        struct cf_spool_verify_result v;

        memcpy(&h, b.p + at[10], sizeof h);
        if (i >= at[10] + CF_FRAME_HEAD + h.size)
            break; /* padding carries nothing */
        b.p[i] = (char)(b.p[i] ^ 0x10);
        write_file(path, b.p, b.n);
        assert_int_equal(cf_spool_verify(t_dir, &v, NULL, NULL), CF_ECORRUPT);
        assert_int_equal(v.bad_frames, 1);
        expect_without(30, 33, &st);
        assert_int_equal(st.corrupt_frames, 1);
        assert_int_equal(st.torn_bytes, 0);
        b.p[i] = (char)(b.p[i] ^ 0x10);
    }
    cf_buf_release(&b);
}

/* Bytes a sender chose that look like a frame of another segment are not taken for one. */
static void records_never_pass_for_frames(void **state)
{
    struct cf_frame_head fake = {.kind = CF_FRAME_DATA, .n = 1, .size = 8};
    struct cf_spool_origin o = {.received_us = 1};
    struct cf_spool *s = t_open(65536, 0, 0);
    struct cf_error err = {0};
    struct cf_spool_stats st;
    uint8_t seen[64] = {0};
    char path[300], rec[80] = "r1";
    struct cf_buf b;
    cf_str r = {rec, sizeof rec};

    (void)state;
    cf_frame_seal_head(&fake, 0x1234, 1);
    for (size_t i = 2; i + sizeof fake <= sizeof rec; i += 8)
        memcpy(rec + i, &fake, sizeof fake);
    assert_int_equal(cf_spool_append(s, &o, &r, 1, NULL, &err), 0);
    assert_int_equal(t_append(s, 2, 1, 0, NULL, &err), 0);
    cf_spool_close(s);
    t_segment(1, path);
    read_file(path, &b);
    b.p[CF_SEG_HEAD + 8] ^= 1; /* break the first frame's head: the scan goes through its payload */
    write_file(path, b.p, b.n);
    s = t_open(65536, 0, 0);
    assert_int_equal(t_drain(s, seen, 64, false), 1);
    assert_int_equal(seen[2], 1);
    cf_spool_get_stats(s, &st);
    assert_int_equal(st.corrupt_frames, 1);
    cf_spool_close(s);
    cf_buf_release(&b);
}

static void checkpoint_slots(void **state)
{
    struct cf_spool *s = t_open(65536, 0, 3);
    struct cf_error err = {0};
    uint8_t seen[64] = {0};
    struct cf_ckpt c;
    struct cf_buf b;
    char path[300];
    bool bad;

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(t_append(s, i * 3, 3, 0, NULL, &err), 0);
        assert_int_equal(t_drain(s, seen, 64, true), 3);
    }
    cf_spool_close(s);
    (void)snprintf(path, sizeof path, "%s/checkpoint", t_dir);
    read_file(path, &b);
    assert_true(cf_ckpt_pick((uint8_t *)b.p, b.n, &c, &bad));
    assert_int_equal(c.generation, 6);
    b.p[c.generation % 2 * CF_CKPT_SLOT + 20] ^= 1; /* the newer slot is torn: the older one counts, its batch again */
    write_file(path, b.p, b.n);
    memset(seen, 0, sizeof seen);
    s = t_open(65536, 0, 3);
    assert_int_equal(t_drain(s, seen, 64, false), 3);
    assert_int_equal(seen[15] + seen[16] + seen[17], 3);
    cf_spool_close(s);
    b.p[(c.generation + 1) % 2 * CF_CKPT_SLOT + 20] ^= 1; /* both: everything again, with the same id and so the same tokens */
    write_file(path, b.p, b.n);
    memset(seen, 0, sizeof seen);
    s = t_open(65536, 0, 3);
    assert_int_equal(cf_spool_id(s), c.spool_id);
    assert_int_equal(t_drain(s, seen, 64, false), 18);
    cf_spool_close(s);
    cf_buf_release(&b);
}

static void cap_stops_and_resumes(void **state)
{
    struct cf_spool *s = t_open(65536, 200000, 16);
    struct cf_error err = {0};
    struct cf_spool_stats st;
    uint8_t seen[4000] = {0};
    unsigned n = 0;
    int r;

    (void)state;
    for (r = 0; r == 0 || r == CF_EBUSY;) {
        r = t_append(s, n, 8, 500, NULL, &err);
        if (r == 0)
            n += 8;
        else if (r == CF_EBUSY)
            (void)cf_spool_wait_space(s, 100);
    }
    assert_int_equal(r, CF_EFULL);
    assert_non_null(strstr(err.msg, "spool is full"));
    cf_spool_get_stats(s, &st);
    assert_false(st.accepting);
    assert_non_null(strstr(st.reason, "full"));
    assert_true(st.disk_bytes <= 200000);
    assert_true(n > 200);
    assert_int_equal(t_drain(s, seen, 4000, true), n);
    assert_true(cf_spool_wait_space(s, 2000));
    assert_int_equal(t_append(s, n, 8, 500, NULL, &err), 0);
    cf_spool_get_stats(s, &st);
    assert_true(st.accepting);
    assert_int_equal(t_drain(s, seen, 4000, true), 8);
    for (unsigned i = 0; i < n + 8; i++)
        assert_int_equal(seen[i], 1);
    cf_spool_close(s);
}

struct mt {
    struct cf_spool *s;
    unsigned first, n;
    _Atomic unsigned *seen, *total;
};
static void *producer(void *arg)
{
    struct mt *m = arg;

    for (unsigned i = 0; i < m->n; i += 5) {
        struct cf_error err = {0};
        uint64_t ticket;
        int r;

        while ((r = t_append(m->s, m->first + i, 5, 20, &ticket, &err)) == CF_EBUSY)
            (void)cf_spool_wait_space(m->s, 100);
        if (r == 0)
            r = cf_spool_wait(m->s, ticket, 10000, &err);
        if (r != 0)
            return m;
    }
    return NULL;
}
static void *worker(void *arg)
{
    struct mt *m = arg;
    struct cf_spool_batch b = {0};
    struct cf_error err;

    while (cf_spool_next(m->s, &b, 1000, &err) == 1) {
        struct cf_spool_frame f;

        while (cf_spool_batch_frame(&b, &f)) {
            const uint8_t *p = f.bytes;

            for (uint32_t i = 0; i < f.n; i++) {
                uint32_t len;

                memcpy(&len, f.lens + 4 * i, 4);
                m->seen[strtoul((const char *)p + 1, NULL, 10)]++;
                (*m->total)++;
                p += len;
            }
        }
        cf_spool_done(m->s, &b);
        (void)cf_spool_commit(m->s, cf_spool_done_pos(m->s), &err);
    }
    cf_spool_batch_release(&b);
    return NULL;
}

static void many_threads(void **state)
{
    static _Atomic unsigned seen[8000];
    struct cf_spool *s = t_open(65536, 0, 200);
    struct mt m[7];
    _Atomic unsigned total = 0;
    pthread_t t[7];
    struct cf_spool_stats st;

    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        m[i] = (struct mt){s, i * 2000, 2000, seen, &total};
        assert_int_equal(pthread_create(&t[i], NULL, i < 4 ? producer : worker, &m[i]), 0);
    }
    for (unsigned i = 0; i < 7; i++) {
        void *ret = NULL;

        assert_int_equal(pthread_join(t[i], &ret), 0);
        assert_null(ret);
    }
    assert_int_equal(total, 8000);
    for (unsigned i = 0; i < 8000; i++)
        assert_int_equal(seen[i], 1);
    cf_spool_get_stats(s, &st);
    assert_int_equal(st.appended_records, 8000);
    assert_true(st.syncs < 1600); /* group commit: fewer syncs than appends */
    assert_int_equal(st.backlog_bytes, 0);
    cf_spool_close(s);
}

/* Writing fails in the middle of a segment (file size limit): nothing is accepted meanwhile, nothing is lost later. */
static void write_failure_heals(void **state)
{
    struct rlimit old, small = {40000, 0};
    struct cf_spool *s = t_open(262144, 0, 1000);
    struct cf_error err = {0};
    struct cf_spool_stats st;
    uint8_t seen[1000] = {0};
    uint64_t ticket = 0;
    unsigned n = 0;
    int r = 0;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_true(cf_spool_wait_space(s, 2000));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    while (r == 0 && n < 900) {
        r = t_append(s, n, 10, 500, &ticket, &err);
        if (r == 0) {
            n += 10;
            r = cf_spool_wait(s, ticket, 5000, &err);
        }
    }
    assert_int_equal(r, CF_EFULL);
    assert_true(n < 200);
    assert_int_equal(t_append(s, n, 10, 500, &ticket, &err), CF_EFULL);
    cf_spool_get_stats(s, &st);
    assert_false(st.accepting);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(cf_spool_wait_space(s, 5000));
    assert_int_equal(t_append(s, n, 10, 500, &ticket, &err), 0);
    assert_int_equal(cf_spool_wait(s, ticket, 5000, &err), 0);
    assert_int_equal(t_drain(s, seen, 1000, true), n + 10);
    for (unsigned i = 0; i < n + 10; i++)
        assert_int_equal(seen[i], 1);
    cf_spool_close(s);
}

static bool begins_with_plus(const struct cf_spool_origin *o, cf_str last)
{
    (void)o;
    return last.n && last.p[0] == '+';
}

static void append_from(struct cf_spool *s, const char *peer, const char *record)
{
    struct cf_spool_origin o = {.peer = cf_str_c(peer), .received_us = 1};
    cf_str r = cf_str_c(record);
    struct cf_error err = {0};

    assert_int_equal(cf_spool_append(s, &o, &r, 1, NULL, &err), 0);
}

static unsigned next_rows(struct cf_spool *s, int timeout_ms)
{
    struct cf_spool_batch b = {0};
    struct cf_error err = {0};
    unsigned n = cf_spool_next(s, &b, timeout_ms, &err) == 1 ? b.rows : 0;

    cf_spool_batch_release(&b);
    return n;
}

/* A batch waits for the rest of what its last records began: by number, by age, and not for ever. */
static void borders_do_not_cut(void **state)
{
    struct cf_spool_options o = {.dir = t_dir, .segment_size = 1 << 20, .min_free = -1, .batch_rows = 4, .batch_age_us = 3600000000, .batch_busy_us = 3600000000,
                                 .goes_on = begins_with_plus, .hold_us = 3600000000};
    struct cf_error err = {0};
    struct cf_spool *s = NULL;

    (void)state;
    assert_int_equal(cf_spool_open(&o, &s, &err), 0);
    for (int i = 0; i < 3; i++)
        append_from(s, "a", ".");
    append_from(s, "a", "+"); /* the fourth would close it */
    append_from(s, "a", "."); /* this does */
    assert_int_equal(next_rows(s, 20000), 5);
    for (int i = 0; i < 4; i++)
        append_from(s, i % 2 ? "a" : "b", "+");
    append_from(s, "a", "."); /* a quarter more than it may have: closed although b goes on */
    assert_int_equal(next_rows(s, 20000), 5);
    cf_spool_close(s);

    o.batch_age_us = o.batch_busy_us = 1000;
    s = NULL;
    assert_int_equal(cf_spool_open(&o, &s, &err), 0);
    assert_int_equal(next_rows(s, 2000) + next_rows(s, 2000), 10); /* what the first run left */
    append_from(s, "a", "+");
    assert_int_equal(next_rows(s, 100), 0); /* old enough a hundred times over */
    append_from(s, "b", ".");
    assert_int_equal(next_rows(s, 100), 0);
    append_from(s, "a", ".");
    assert_int_equal(next_rows(s, 20000), 3);
    cf_spool_close(s);

    o.hold_us = 1000;
    s = NULL;
    assert_int_equal(cf_spool_open(&o, &s, &err), 0);
    while (next_rows(s, 100))
        ;
    append_from(s, "a", "+"); /* nothing comes any more */
    assert_int_equal(next_rows(s, 20000), 1);
    cf_spool_close(s);
}

static void limits(void **state)
{
    struct cf_spool *s = t_open(65536, 0, 0);
    struct cf_spool_origin o = {.received_us = 1};
    struct cf_error err = {0};
    static char big[65536];
    cf_str r = {big, sizeof big};
    struct cf_spool *other = NULL;
    struct cf_spool_options opt = {.dir = t_dir};

    (void)state;
    assert_int_equal(cf_spool_append(s, &o, &r, 1, NULL, &err), CF_ELIMIT);
    assert_int_equal(cf_spool_append(s, &o, &r, 0, NULL, &err), CF_ELIMIT);
    r.n = cf_spool_frame_max(s) - 4;
    assert_int_equal(cf_spool_append(s, &o, &r, 1, NULL, &err), 0);
    assert_int_equal(cf_spool_open(&opt, &other, &err), CF_EBUSY); /* one server per folder */
    cf_spool_close(s);
    opt.segment_size = 100;
    assert_int_equal(cf_spool_open(&opt, &other, &err), CF_EINVAL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, t_setup, t_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(roundtrip), T(borders_are_reproducible), T(borders_do_not_cut), T(torn_tail_at_every_byte), T(garbage_tail_is_reported), T(flipped_byte_loses_one_frame_only),
        T(records_never_pass_for_frames), T(checkpoint_slots), T(cap_stops_and_resumes), T(many_threads), T(write_failure_heals), T(limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
