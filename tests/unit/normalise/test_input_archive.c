/* SPDX-License-Identifier: Apache-2.0
 * Archives as input: every packing, members of every kind, members that cannot be read, bombs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>

#include <cmocka.h>

#include "normalise/input.h"

static char path[64];

enum how { TAR, TAR_GZ, TAR_ZST, TAR_XZ, ZIP, N_HOW };

static void temporary(void)
{
    int fd;

    (void)snprintf(path, sizeof path, "/tmp/cf-test-archive-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
}

static struct archive *create(enum how how)
{
    struct archive *a = archive_write_new();

    temporary();
    assert_int_equal(how == ZIP ? archive_write_set_format_zip(a) : archive_write_set_format_ustar(a), ARCHIVE_OK);
    if (how == TAR_GZ)
        assert_int_equal(archive_write_add_filter_gzip(a), ARCHIVE_OK);
    if (how == TAR_ZST)
        assert_int_equal(archive_write_add_filter_zstd(a), ARCHIVE_OK);
    if (how == TAR_XZ)
        assert_int_equal(archive_write_add_filter_xz(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    return a;
}

static void head(struct archive *a, const char *name, unsigned type, int64_t size)
{
    struct archive_entry *e = archive_entry_new();

    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, size);
    if (type == AE_IFLNK)
        archive_entry_set_symlink(e, "a.log");
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    archive_entry_free(e);
}

static void add(struct archive *a, const char *name, const void *p, size_t n)
{
    head(a, name, AE_IFREG, (int64_t)n);
    assert_int_equal(archive_write_data(a, p, n), n);
}

static void finish(struct archive *a)
{
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

/* Each record as "member#number text|", then "END" or the error. The path of the archive is left out. */
static void dump(size_t max, struct cf_buf *out, struct cf_error *err)
{
    struct cf_record rec[64];
    struct cf_input *in = NULL;
    struct cf_arena a;
    size_t n = 0, skip = strlen(path);
    int r;

    memset(err, 0, sizeof *err);
    cf_arena_init(&a, 0, 0);
    cf_buf_clear(out);
    r = cf_input_open(path, "", &in, err);
    while (r == 0 && (r = cf_input_next_batch(in, &a, rec, max, &n, err)) == 0 && n > 0) {
        for (size_t i = 0; i < n; i++) {
            assert_true(cf_str_eqz(rec[i].peer, cf_input_path(in)));
            cf_buf_str(out, cf_str_sub(rec[i].peer, skip, rec[i].peer.n));
            cf_buf_printf(out, "#%llu %.*s|", (unsigned long long)rec[i].seq, (int)(rec[i].raw.n < 200 ? rec[i].raw.n : 200), rec[i].raw.p);
        }
        cf_arena_reset(&a);
    }
    cf_buf_z(out, r == 0 ? "END" : "ERROR");
    if (r == 0)
        assert_int_equal(cf_input_next_batch(in, &a, rec, max, &n, err) | (int)n, 0);
    cf_input_close(in);
    cf_arena_release(&a);
    (void)unlink(path);
}

static size_t gzip(const char *text, char *to, size_t room)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)text, .avail_in = (unsigned)strlen(text), .next_out = (unsigned char *)to, .avail_out = (unsigned)room};

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    (void)deflateEnd(&z);
    return z.total_out;
}

static void members(void **state)
{
    static const char a_log[] = "one\n\ntwo\n", json[] = "[\n {\"x\": 1},\n {\"x\":\n 2}\n]\n", journal[] = "__CURSOR=1\nMESSAGE=m\n\n";
    static const char want[] = ":a.log#0 one|:a.log#1 two|:d/b.json#0 {\"x\": 1}|:d/b.json#1 {\"x\":\n 2}|:c.gz#0 packed|:j#0 __CURSOR=1\nMESSAGE=m\n|:odd?name#0 last|END";
    struct cf_error err;
    struct cf_buf out;
    char packed[200];
    size_t n = gzip("packed\n", packed, sizeof packed);

    (void)state;
    cf_buf_init(&out, 0);
    for (enum how how = TAR; how < N_HOW; how++) {
        for (size_t max = 1; max <= 64; max *= 8) {
            struct archive *a = create(how);

            add(a, "a.log", a_log, sizeof a_log - 1);
            head(a, "d", AE_IFDIR, 0);
            if (how != ZIP) /* read from front to back, a zip does not tell links from files */
                head(a, "link", AE_IFLNK, 0);
            add(a, "d/b.json", json, sizeof json - 1);
            add(a, "empty", "", 0);
            add(a, "c.gz", packed, n);
            add(a, "j", journal, sizeof journal - 1);
            add(a, "odd\nname", "last", 4);
            finish(a);
            dump(max, &out, &err);
            assert_string_equal(cf_buf_cstr(&out), want);
        }
    }
    cf_buf_release(&out);
}

/* Broken and nested members are named; what stands before and behind them is read. */
static void passed_over(void **state)
{
    static char inner[1024] = "x.log";
    struct cf_error err;
    struct cf_buf out;
    char packed[200];
    size_t n = gzip("packed and then broken\n", packed, sizeof packed);

    (void)state;
    cf_buf_init(&out, 0);
    memcpy(inner + 257, "ustar", 5);
    for (enum how how = TAR; how < N_HOW; how++) {
        struct archive *a = create(how);

        add(a, "a.log", "one\n", 4);
        add(a, "broken.gz", packed, n - 9);
        add(a, "in.tar", inner, sizeof inner);
        add(a, "b.log", "two\n", 4);
        finish(a);
        dump(64, &out, &err);
        assert_non_null(strstr(cf_buf_cstr(&out), ":a.log#0 one|"));
        assert_non_null(strstr(cf_buf_cstr(&out), ":b.log#0 two|ERROR"));
        assert_null(strstr(cf_buf_cstr(&out), "in.tar"));
        assert_non_null(strstr(err.msg, "2 of 4 members were not read"));
        assert_non_null(strstr(err.msg, ":broken.gz: "));
    }
    cf_buf_release(&out);
}

static void cut_short(void **state)
{
    static char text[300000];
    struct cf_error err;
    struct stat st;
    struct cf_buf out;

    (void)state;
    cf_buf_init(&out, 0);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i % 100 == 99 ? '\n' : 'a' + (int)((i * 7919 >> 5) % 23));
    for (enum how how = TAR; how < N_HOW; how++) {
        struct archive *a = create(how);

        add(a, "a.log", text, sizeof text);
        finish(a);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size / 2), 0);
        dump(64, &out, &err);
        if (out.n < 5 || memcmp(out.p + out.n - 5, "ERROR", 5) != 0)
            fail_msg("packing %d: %.60s ... %s", (int)how, cf_buf_cstr(&out), out.n > 60 ? out.p + out.n - 60 : "");
        assert_non_null(strstr(err.msg, path));
    }
    cf_buf_release(&out);
}

static void bomb(void **state)
{
    static char zeros[1 << 20];
    struct cf_error err;
    struct cf_buf out;
    struct archive *a = create(TAR_ZST);

    (void)state;
    cf_buf_init(&out, 0);
    add(a, "a.log", "one\n", 4);
    head(a, "zeros", AE_IFREG, (int64_t)300 << 20);
    memset(zeros, 'z', sizeof zeros);
    zeros[1000] = '\n';
    for (int i = 0; i < 300; i++)
        assert_int_equal(archive_write_data(a, zeros, sizeof zeros), sizeof zeros);
    finish(a);
    dump(64, &out, &err);
    assert_int_equal(err.code, CF_ELIMIT);
    assert_non_null(strstr(err.msg, ":zeros: "));
    assert_memory_equal(out.p, ":a.log#0 one|", 13);
    cf_buf_release(&out);
}

/* Text that says ustar where a tar has it is text. */
static void no_archive(void **state)
{
    struct cf_error err;
    struct cf_buf out;
    FILE *f;

    (void)state;
    cf_buf_init(&out, 0);
    temporary();
    f = fopen(path, "w");
    assert_non_null(f);
    (void)fprintf(f, "%257sustar\nnext\n", "x");
    (void)fclose(f);
    dump(64, &out, &err);
    assert_int_equal(out.n, 3 + 200 + 1 + 3 + 5 + 3);
    cf_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(members), cmocka_unit_test(passed_over), cmocka_unit_test(cut_short), cmocka_unit_test(bomb), cmocka_unit_test(no_archive)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
