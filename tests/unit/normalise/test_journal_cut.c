/* SPDX-License-Identifier: Apache-2.0
 * Journal export streams cut into entries: however the bytes are spread over pieces, what is left out, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "normalise/journal_cut.h"

#define BINARY(n, text) "\n" n "\0\0\0\0\0\0\0" text "\n"

/* All entries, each with "|" behind it. */
static int cut(struct cf_journal_cut *c, cf_str text, size_t piece, struct cf_buf *out, struct cf_error *err)
{
    int r = 0;

    cf_buf_clear(out);
    for (size_t at = 0; at < text.n && r >= 0; at += piece) {
        cf_str in = cf_str_sub(text, at, piece), entry;

        while ((r = cf_journal_cut_next(c, &in, &entry, err)) == 1) {
            cf_buf_str(out, entry);
            cf_buf_byte(out, '|');
        }
    }
    return r;
}

static void expect(cf_str text, cf_str want, uint64_t left_out, bool open)
{
    struct cf_error err = {0};
    struct cf_buf out;

    cf_buf_init(&out, 0);
    for (size_t piece = 1; piece <= text.n; piece++) {
        struct cf_journal_cut c;

        cf_journal_cut_init(&c);
        if (cut(&c, text, piece, &out, &err) < 0) fail_msg("piece %zu: %s", piece, err.msg);
        assert_int_equal(out.n, want.n);
        assert_memory_equal(out.p, want.p, want.n);
        assert_int_equal(c.left_out, left_out);
        assert_int_equal(cf_journal_cut_open(&c), open);
        cf_journal_cut_release(&c);
    }
    cf_buf_release(&out);
}

static void entries(void **state)
{
    (void)state;
    expect(CF_STR("__CURSOR=a\nMESSAGE=x=y\n\n\n__CURSOR=b\nMESSAGE" BINARY("\5", "a\n\nb\0") "P=1\n\n"),
           CF_STR("__CURSOR=a\nMESSAGE=x=y\n|__CURSOR=b\nMESSAGE" BINARY("\5", "a\n\nb\0") "P=1\n|"), 0, false);
    expect(CF_STR("MESSAGE=x\n\nX" BINARY("\0", "") "\n"), CF_STR("__CURSOR=\nMESSAGE=x\n|__CURSOR=\nX" BINARY("\0", "") "|"), 0, false);
    expect(CF_STR("__CURSOR" BINARY("\1", "x") "M=1\n\n"), CF_STR("__CURSOR=\n__CURSOR" BINARY("\1", "x") "M=1\n|"), 0, false);
    expect(CF_STR("__CURSOR=a\nlower=1\n9X=2\n=3\nB=\n\n"), CF_STR("__CURSOR=a\nB=\n|"), 3, false);
}

static void unfinished(void **state)
{
    (void)state;
    expect(CF_STR("__CURSOR=a\nA=1\n\n__CURSOR=b\nMESSA"), CF_STR("__CURSOR=a\nA=1\n|"), 0, true);
    expect(CF_STR("__CURSOR=a\nA=1\n\n__CURSOR=b\nM\n\5\0\0\0\0\0\0\0abc"), CF_STR("__CURSOR=a\nA=1\n|"), 0, true);
    expect(CF_STR("__CURSOR=a\nA=1\n"), CF_STR(""), 0, true);
    expect(CF_STR("\n\n"), CF_STR(""), 0, false);
}

static void refused(void **state)
{
    static const cf_str bad[] = {{"{\"a\":1}\n", 8}, {"A\n\1\0\0\0\0\0\0\0ab\n", 13}, {"A\n\0\0\0\0\0\1\0\0", 10}, {"\x1f\x8b\x08\n", 4}};
    struct cf_error err = {0};
    struct cf_buf out;
    char name[400];

    (void)state;
    cf_buf_init(&out, 0);
    memset(name, 'A', sizeof name);
    for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
        struct cf_journal_cut c;

        cf_journal_cut_init(&c);
        assert_int_equal(cut(&c, i < sizeof bad / sizeof *bad ? bad[i] : cf_str_n(name, sizeof name), 3, &out, &err), CF_ESYNTAX);
        assert_non_null(strstr(err.msg, "no journal export"));
        cf_journal_cut_release(&c);
    }
    cf_buf_release(&out);
}

/* A field that is too large leaves the entry, text and binary; many fields stop at the limit; memory stays bounded. */
static void large(void **state)
{
    static const size_t sizes[] = {CF_JOURNAL_CUT_FIELD - 16, CF_JOURNAL_CUT_FIELD + 16, (size_t)40 << 20};
    struct cf_error err = {0};
    struct cf_buf text, out;

    (void)state;
    cf_buf_init(&text, 0);
    cf_buf_init(&out, 0);
    for (int binary = 0; binary < 2; binary++) {
        for (size_t i = 0; i < 3; i++) {
            struct cf_journal_cut c;
            char *fill = malloc(sizes[i]);

            assert_non_null(fill);
            memset(fill, 'c', sizes[i]);
            cf_buf_clear(&text);
            cf_buf_z(&text, binary ? "__CURSOR=a\nCOREDUMP\n" : "__CURSOR=a\nCOREDUMP=");
            for (int k = 0; k < 8 && binary; k++)
                cf_buf_byte(&text, (char)(sizes[i] >> (8 * k) & 0xff));
            cf_buf_add(&text, fill, sizes[i]);
            cf_buf_z(&text, "\nMESSAGE=still here\n\n__CURSOR=b\nMESSAGE=next\n\n");
            cf_journal_cut_init(&c);
            assert_int_equal(cut(&c, cf_buf_view(&text), 256 << 10, &out, &err), 0);
            assert_int_equal(c.left_out, i == 0 ? 0 : 1);
            assert_int_equal(out.n, (i == 0 ? sizes[0] + (binary ? 18 : 10) : 0) + strlen("__CURSOR=a\nMESSAGE=still here\n|__CURSOR=b\nMESSAGE=next\n|"));
            assert_true(c.entry.cap <= 2 * (CF_JOURNAL_CUT_ENTRY + CF_JOURNAL_CUT_FIELD));
            cf_journal_cut_release(&c);
            free(fill);
        }
    }
    cf_buf_release(&text);
    cf_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(entries), cmocka_unit_test(unfinished), cmocka_unit_test(refused), cmocka_unit_test(large)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
