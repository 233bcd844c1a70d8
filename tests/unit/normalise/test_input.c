/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "normalise/input.h"

static char path[64];

static void write_file(const void *p, size_t n)
{
    FILE *f;

    (void)snprintf(path, sizeof path, "/tmp/cf-test-input-XXXXXX");
    f = fdopen(mkstemp(path), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* All records joined by '|' (long ones shortened to their length). */
static char *read_all(size_t max, struct cf_buf *out)
{
    struct cf_input *in = NULL;
    struct cf_error err = {0};
    struct cf_arena a;
    struct cf_record recs[64];
    size_t n;
    uint64_t seq = 0;

    cf_buf_init(out, 0);
    cf_arena_init(&a, 0, 0);
    assert_int_equal(cf_input_open(path, "json", &in, &err), 0);
    for (;;) {
        int r = cf_input_next_batch(in, &a, recs, max, &n, &err);
        if (r < 0) {
            cf_buf_printf(out, "ERROR %d", r);
            break;
        }
        if (n == 0)
            break;
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(recs[i].seq, seq++);
            if (cf_str_eqz(recs[i].format, CF_INPUT_OVERSIZE))
                cf_buf_printf(out, "OVERSIZE%zu|", recs[i].raw.n);
            else if (recs[i].raw.n > 1000)
                cf_buf_printf(out, "LONG%zu|", recs[i].raw.n);
            else
                cf_buf_printf(out, "%.*s|", CF_ARG(recs[i].raw));
        }
        cf_arena_reset(&a);
    }
    cf_input_close(in);
    cf_arena_release(&a);
    (void)unlink(path);
    return (char *)(uintptr_t)cf_buf_cstr(out);
}

static void expect(const char *text, const char *want)
{
    struct cf_buf b;

    for (size_t max = 1; max <= 64; max = max * 3 + 1) {
        write_file(text, strlen(text));
        assert_string_equal(read_all(max, &b), want);
        cf_buf_release(&b);
    }
}

static void lines(void **state)
{
    (void)state;
    expect("", "");
    expect("\n\n\r\n", "");
    expect("a\nb\r\n\nc", "a|b|c|");
    expect("\xef\xbb\xbf" "a\n", "a|");
    expect("[2026-11-21] not an array\nx\n", "[2026-11-21] not an array|x|");
    expect("{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}|{\"a\":2}|");
    expect("{\"a\":[1\n{\"a\":2}\n", "{\"a\":[1|{\"a\":2}|"); /* a cut line does not eat the next */
}

static void json(void **state)
{
    (void)state;
    expect("[\n {\"a\":\"]}\\\"\"},\n {\"b\":[{}]} ]\n", "{\"a\":\"]}\\\"\"}|{\"b\":[{}]}|");
    expect("[]", "");
    expect("{\n \"a\": {\n  \"b\": 1\n }\n}\n{\n \"c\": 2\n}\n", "{\n \"a\": {\n  \"b\": 1\n }\n}|{\n \"c\": 2\n}|");
    expect("[{\"a\":1},{\"b\":", "{\"a\":1}|{\"b\":|");
}

static void packed(void **state)
{
    char text[200000], z[300000], want[64];
    struct cf_buf b;
    size_t n = 0, zn;
    gzFile g;

    (void)state;
    memset(text, 'x', sizeof text);
    text[150000] = '\n';
    (void)snprintf(want, sizeof want, "LONG150000|LONG%zu|", sizeof text - 150001);
    zn = ZSTD_compress(z, sizeof z, text, 100000, 1);
    zn += ZSTD_compress(z + zn, sizeof z - zn, text + 100000, sizeof text - 100000, 1); /* two frames */
    write_file(z, zn);
    assert_string_equal(read_all(8, &b), want);
    cf_buf_release(&b);
    write_file(z, zn - 5); /* torn */
    assert_non_null(strstr(read_all(8, &b), "ERROR"));
    cf_buf_release(&b);
    write_file("", 0);
    g = gzopen(path, "wb");
    for (; n < sizeof text; n += 1000)
        assert_int_equal(gzwrite(g, text + n, 1000), 1000);
    assert_int_equal(gzclose(g), Z_OK);
    assert_string_equal(read_all(8, &b), want);
    cf_buf_release(&b);
}

/* xz and bzip2, packed here with libarchive; two members after one another; cut short. */
static void packed_elsewhere(void **state)
{
    static char z[300000];
    char text[200000], want[64];

    (void)state;
    memset(text, 'x', sizeof text);
    text[150000] = '\n';
    (void)snprintf(want, sizeof want, "LONG150000|LONG%zu|", sizeof text - 150001);
    for (int kind = 0; kind < 2; kind++) {
        size_t n = 0;
        struct cf_buf b;

        for (int part = 0; part < 2; part++) {
            struct archive *a = archive_write_new();
            struct archive_entry *e = archive_entry_new();
            size_t used = 0;

            assert_int_equal(kind ? archive_write_add_filter_bzip2(a) : archive_write_add_filter_xz(a), ARCHIVE_OK);
            assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
            assert_int_equal(archive_write_set_bytes_in_last_block(a, 1), ARCHIVE_OK);
            assert_int_equal(archive_write_open_memory(a, z + n, sizeof z - n, &used), ARCHIVE_OK);
            archive_entry_set_filetype(e, AE_IFREG);
            archive_entry_set_pathname(e, "log");
            assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
            assert_int_equal(archive_write_data(a, text + part * 100000, 100000), 100000);
            assert_int_equal(archive_write_close(a), ARCHIVE_OK);
            (void)archive_write_free(a);
            archive_entry_free(e);
            n += used;
        }
        write_file(z, n);
        assert_string_equal(read_all(8, &b), want);
        cf_buf_release(&b);
        write_file(z, n - 9);
        assert_non_null(strstr(read_all(8, &b), "ERROR"));
        cf_buf_release(&b);
    }
}

static void oversize(void **state)
{
    size_t n = CF_INPUT_RECORD_MAX + 5000000;
    char *text = malloc(n + 10), want[64];
    struct cf_buf b;

    (void)state;
    assert_non_null(text);
    memset(text, 'y', n);
    memcpy(text, "first\n", 6);
    memcpy(text + n, "\nlast\n", 6);
    write_file(text, n + 6);
    (void)snprintf(want, sizeof want, "first|OVERSIZE%u|last|", CF_INPUT_RECORD_MAX);
    assert_string_equal(read_all(8, &b), want);
    cf_buf_release(&b);
    free(text);
}

static void errors(void **state)
{
    struct cf_input *in = NULL;
    struct cf_error err = {0};

    (void)state;
    assert_true(cf_input_open("/nonexistent/x", NULL, &in, &err) < 0);
    assert_non_null(strstr(err.msg, "/nonexistent/x"));
    assert_int_equal(cf_input_open("/tmp", NULL, &in, &err), CF_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines), cmocka_unit_test(json), cmocka_unit_test(packed), cmocka_unit_test(packed_elsewhere), cmocka_unit_test(oversize), cmocka_unit_test(errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
