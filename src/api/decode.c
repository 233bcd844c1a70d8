/* SPDX-License-Identifier: Apache-2.0
 * Undoes Content-Encoding gzip and zstd of request bodies, piece by piece with bounded memory. */
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "api/http_int.h"

#define PIECE ((size_t)256 * 1024)

struct cf_decoder {
    bool zstd, ended, any;
    z_stream z;
    ZSTD_DStream *zs;
    char out[PIECE];
};

int cf_decoder_new(cf_str encoding, struct cf_decoder **ret, struct cf_error *reterr)
{
    struct cf_decoder *d;

    encoding = cf_str_trim(encoding);
    *ret = NULL;
    if (encoding.n == 0 || cf_str_ieq(encoding, CF_STR("identity")))
        return 0;
    if (!cf_str_ieq(encoding, CF_STR("gzip")) && !cf_str_ieq(encoding, CF_STR("zstd")))
        return cf_error_set(reterr, CF_EUNSUPPORTED, "Content-Encoding \"%.*s\" is not supported: send gzip, zstd or identity", (int)(encoding.n < 40 ? encoding.n : 40), encoding.p);
    d = calloc(1, sizeof *d);
    if (!d)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for decompression");
    d->zstd = cf_str_ieq(encoding, CF_STR("zstd"));
    if (d->zstd) {
        d->zs = ZSTD_createDStream();
        if (d->zs)
            (void)ZSTD_DCtx_setParameter(d->zs, ZSTD_d_windowLogMax, 27);
    }
    if (d->zstd ? !d->zs : inflateInit2(&d->z, 15 + 16) != Z_OK) {
        cf_decoder_free(d);
        return cf_error_set(reterr, CF_ENOMEM, "no memory for decompression");
    }
    *ret = d;
    return 0;
}

void cf_decoder_free(struct cf_decoder *d)
{
    if (!d)
        return;
    if (d->zstd)
        (void)ZSTD_freeDStream(d->zs);
    else
        (void)inflateEnd(&d->z);
    free(d);
}

static int feed_gzip(struct cf_decoder *d, cf_str in, int (*out)(void *, cf_str, struct cf_error *), void *ctx, struct cf_error *reterr)
{
    /* zlib does not write through next_in; its type predates const */
    union {
        const char *c;
        Bytef *b;
    } u = {.c = in.p};

    d->z.next_in = u.b;
    d->z.avail_in = (uInt)in.n;
    while (d->z.avail_in) {
        int z, r;
        size_t got;

        if (d->ended) { /* concatenated members */
            if (inflateReset(&d->z) != Z_OK)
                return cf_error_set(reterr, CF_ESYNTAX, "gzip body: cannot start the next member");
            d->ended = false;
        }
        do {
            d->z.next_out = (Bytef *)d->out;
            d->z.avail_out = (uInt)PIECE;
            z = inflate(&d->z, Z_NO_FLUSH);
            if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR)
                return cf_error_set(reterr, CF_ESYNTAX, "gzip body is damaged: %s", d->z.msg ? d->z.msg : "bad data");
            got = PIECE - d->z.avail_out;
            if (got && (r = out(ctx, cf_str_n(d->out, got), reterr)) < 0)
                return r;
        } while (d->z.avail_out == 0 && z == Z_OK);
        if (z == Z_STREAM_END)
            d->ended = true;
        else if (z == Z_BUF_ERROR && d->z.avail_in)
            return cf_error_set(reterr, CF_ESYNTAX, "gzip body is damaged");
    }
    return 0;
}

static int feed_zstd(struct cf_decoder *d, cf_str in, int (*out)(void *, cf_str, struct cf_error *), void *ctx, struct cf_error *reterr)
{
    ZSTD_inBuffer ib = {in.p, in.n, 0};
    bool more = true;

    while (ib.pos < ib.size || more) {
        ZSTD_outBuffer ob = {d->out, PIECE, 0};
        size_t z = ZSTD_decompressStream(d->zs, &ob, &ib);
        int r;

        if (ZSTD_isError(z))
            return cf_error_set(reterr, CF_ESYNTAX, "zstd body is damaged: %s", ZSTD_getErrorName(z));
        d->ended = z == 0;
        if (ob.pos && (r = out(ctx, cf_str_n(d->out, ob.pos), reterr)) < 0)
            return r;
        more = ob.pos == ob.size;
    }
    return 0;
}

int cf_decoder_feed(struct cf_decoder *d, cf_str in, int (*out)(void *, cf_str, struct cf_error *), void *ctx, struct cf_error *reterr)
{
    if (in.n == 0)
        return 0;
    d->any = true;
    return d->zstd ? feed_zstd(d, in, out, ctx, reterr) : feed_gzip(d, in, out, ctx, reterr);
}

int cf_decoder_end(struct cf_decoder *d, struct cf_error *reterr)
{
    if (d->any && !d->ended)
        return cf_error_set(reterr, CF_ESYNTAX, "compressed body is cut off");
    return 0;
}
