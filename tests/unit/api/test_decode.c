/* SPDX-License-Identifier: Apache-2.0
 * Bodies with Content-Encoding: whole, in single bytes, cut off, damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "api/http_int.h"

#define N 700000u
static char plain[N], packed[2 * N];
static size_t packed_n;
static struct cf_buf got;

static int collect(void *ctx, cf_str piece, struct cf_error *reterr)
{
    (void)ctx;
    (void)reterr;
    assert_true(piece.n <= 256 * 1024);
    cf_buf_str(&got, piece);
    return 0;
}

static void pack(bool zstd)
{
    unsigned x = 7;

    for (size_t i = 0; i < N; i++) {
        x = x * 1664525u + 1013904223u;
        plain[i] = (char)('a' + (x >> 24) % 20);
    }
    if (zstd) {
        ZSTD_CCtx *c = ZSTD_createCCtx();

        (void)ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
        packed_n = ZSTD_compress2(c, packed, sizeof packed, plain, N);
        (void)ZSTD_freeCCtx(c);
    } else {
        z_stream z = {0};

        assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
        z.next_in = (Bytef *)plain;
        z.avail_in = N;
        z.next_out = (Bytef *)packed;
        z.avail_out = sizeof packed;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        packed_n = z.total_out;
        (void)deflateEnd(&z);
    }
}

/* Feeds n bytes in steps; returns the first error or that of the end. */
static int feed(const char *encoding, size_t n, size_t step)
{
    struct cf_decoder *d;
    struct cf_error err = {0};
    int r = cf_decoder_new(cf_str_c(encoding), &d, &err);

    assert_int_equal(r, 0);
    cf_buf_clear(&got);
    for (size_t i = 0; i < n && r == 0; i += step)
        r = cf_decoder_feed(d, cf_str_n(packed + i, i + step < n ? step : n - i), collect, NULL, &err);
    if (r == 0)
        r = cf_decoder_end(d, &err);
    cf_decoder_free(d);
    return r;
}

static void both(void **state)
{
    (void)state;
    for (int zstd = 0; zstd < 2; zstd++) {
        const char *e = zstd ? "zstd" : " GZIP ";

        pack(zstd);
        assert_int_equal(feed(e, packed_n, packed_n), 0);
        assert_int_equal(got.n, N);
        assert_memory_equal(got.p, plain, N);
        assert_int_equal(feed(e, packed_n, 4093), 0);
        assert_memory_equal(got.p, plain, N);
        assert_int_equal(feed(e, 5000, 1), CF_ESYNTAX);           /* cut off */
        assert_int_equal(feed(e, packed_n - 1, 65536), CF_ESYNTAX);
        memset(packed + packed_n / 2, 0xa5, 64);
        assert_int_equal(feed(e, packed_n, 65536), CF_ESYNTAX);   /* damaged */
    }
}

static void members(void **state)
{
    size_t one;

    (void)state;
    pack(false);
    one = packed_n;
    memmove(packed + one, packed, one);
    assert_int_equal(feed("gzip", 2 * one, 10007), 0);
    assert_int_equal(got.n, 2 * N);
}

static void names(void **state)
{
    struct cf_decoder *d = (void *)1;
    struct cf_error err;

    (void)state;
    assert_int_equal(cf_decoder_new(CF_STR("identity"), &d, &err), 0);
    assert_null(d);
    assert_int_equal(cf_decoder_new(CF_STR_NONE, &d, &err), 0);
    assert_int_equal(cf_decoder_new(CF_STR("br"), &d, &err), CF_EUNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both), cmocka_unit_test(members), cmocka_unit_test(names)};
    int r;

    cf_buf_init(&got, 0);
    r = cmocka_run_group_tests(tests, NULL, NULL);
    cf_buf_release(&got);
    return r;
}
