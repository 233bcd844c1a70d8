/* SPDX-License-Identifier: Apache-2.0
 * Opening a file and bringing its text, unpacked: gzip, zstd, and what libarchive unpacks (xz, bzip2). */
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "normalise/input_int.h"

static int fail_packed(const struct cf_input *in, struct cf_error *reterr, const char *why)
{
    return cf_error_set(reterr, CF_ECORRUPT, "%s: packed data is damaged after %llu bytes: %s", in->path,
                        (unsigned long long)in->bytes, why ? why : "unknown reason");
}

static struct cf_input *new_input(const char *path, const char *format)
{
    struct cf_input *in = calloc(1, sizeof *in);

    if (!in)
        return NULL;
    in->fd = -1;
    in->path = strdup(path);
    in->format = strdup(format ? format : "");
    in->raw = malloc(READ_SIZE);
    if (in->path && in->format && in->raw)
        return in;
    cf_input_close(in);
    return NULL;
}

static int read_raw(struct cf_input *in, char *p, size_t room, size_t *ret, struct cf_error *reterr)
{
    ssize_t got;

    if (in->feed)
        return in->feed(in->feed_ctx, p, room, ret, reterr);
    do
        got = read(in->fd, p, room);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return cf_error_errno(reterr, "%s", in->path);
    in->file_pos += (uint64_t)got;
    *ret = (size_t)got;
    return 0;
}

/* The first bytes say whether it is packed. Takes in. */
static int begin(struct cf_input *in, struct cf_input **ret, struct cf_error *reterr)
{
    while (in->raw_n < 8) {
        size_t got = 0;
        int r = read_raw(in, in->raw + in->raw_n, READ_SIZE - in->raw_n, &got, reterr);

        if (r < 0) {
            cf_input_close(in);
            return r;
        }
        in->raw_n += got;
        if (got == 0 || memchr(in->raw, '\n', in->raw_n))
            break;
    }
    if (in->raw_n >= 2 && (uint8_t)in->raw[0] == 0x1f && (uint8_t)in->raw[1] == 0x8b)
        in->unpack = GZIP;
    else if (in->raw_n >= 4 && memcmp(in->raw, "\x28\xb5\x2f\xfd", 4) == 0)
        in->unpack = ZSTD;
    else if (in->raw_n >= 6 && (memcmp(in->raw, "\xfd\x37zXZ\0", 6) == 0 || (memcmp(in->raw, "BZh", 3) == 0 && in->raw[3] >= '1' && in->raw[3] <= '9' && memcmp(in->raw + 4, "1A", 2) == 0)))
        in->unpack = OTHER;
    else if (in->raw_n >= 3 && memcmp(in->raw, "\xef\xbb\xbf", 3) == 0)
        in->raw_pos = 3; /* byte order mark */
    *ret = in;
    return 0;
}

int cf_input_open(const char *path, const char *format_hint, struct cf_input **ret, struct cf_error *reterr)
{
    bool std = !path || strcmp(path, "-") == 0;
    struct cf_input *in = new_input(std ? "-" : path, format_hint);
    struct stat st;

    if (!in)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the input buffer");
    in->fd = std ? 0 : open(path, O_RDONLY | O_CLOEXEC);
    if (in->fd < 0) {
        int r = cf_error_errno(reterr, "%s", path);
        cf_input_close(in);
        return r;
    }
    if (fstat(in->fd, &st) == 0) {
        if (S_ISDIR(st.st_mode)) {
            cf_input_close(in);
            return cf_error_set(reterr, CF_EINVAL, "%s: is a folder; name the files in it", path);
        }
        if (S_ISREG(st.st_mode))
            in->file_size = (uint64_t)st.st_size;
    }
    return begin(in, ret, reterr);
}

int input_open_member(const char *path, const char *format, input_feed *feed, void *ctx, struct cf_input **ret, struct cf_error *reterr)
{
    struct cf_input *in = new_input(path, format);

    if (!in)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the input buffer");
    in->feed = feed;
    in->feed_ctx = ctx;
    return begin(in, ret, reterr);
}

static int need_room(struct cf_input *in, size_t more, struct cf_error *reterr)
{
    size_t cap;
    char *p;

    if (in->pos) { /* move the rest to the front */
        memmove(in->buf, in->buf + in->pos, in->n - in->pos);
        in->n -= in->pos;
        in->pos = 0;
    }
    if (in->cap - in->n >= more)
        return 0;
    cap = in->cap ? in->cap : 4 * READ_SIZE;
    while (cap - in->n < more)
        cap *= 2;
    p = realloc(in->buf, cap);
    if (!p)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for a record of %zu bytes", in->n);
    in->buf = p;
    in->cap = cap;
    return 0;
}

static int unpack_gzip(struct cf_input *in, struct cf_error *reterr)
{
    int r;

    if (!in->z_open) {
        if (inflateInit2(&in->z, 16 + MAX_WBITS) != Z_OK)
            return cf_error_set(reterr, CF_ENOMEM, "no memory to unpack %s", in->path);
        in->z_open = true;
    }
    in->z.next_in = (unsigned char *)in->raw + in->raw_pos;
    in->z.avail_in = (unsigned)(in->raw_n - in->raw_pos);
    in->z.next_out = (unsigned char *)in->buf + in->n;
    in->z.avail_out = READ_SIZE;
    in->packed_open = true;
    r = inflate(&in->z, Z_NO_FLUSH);
    in->raw_pos = in->raw_n - in->z.avail_in;
    in->n += READ_SIZE - in->z.avail_out;
    if (r == Z_STREAM_END) {
        in->packed_open = false;
        r = inflateReset(&in->z);
    }
    return r == Z_OK || r == Z_BUF_ERROR ? 0 : fail_packed(in, reterr, in->z.msg);
}

static int unpack_zstd(struct cf_input *in, struct cf_error *reterr)
{
    ZSTD_inBuffer ib = {in->raw, in->raw_n, in->raw_pos};
    ZSTD_outBuffer ob;
    size_t r;

    if (!in->zs) {
        in->zs = ZSTD_createDStream();
        if (!in->zs)
            return cf_error_set(reterr, CF_ENOMEM, "no memory to unpack %s", in->path);
        (void)ZSTD_DCtx_setParameter(in->zs, ZSTD_d_windowLogMax, 27);
    }
    ob = (ZSTD_outBuffer){in->buf + in->n, READ_SIZE, 0};
    r = ZSTD_decompressStream(in->zs, &ob, &ib);
    in->raw_pos = ib.pos;
    in->n += ob.pos;
    if (ZSTD_isError(r))
        return fail_packed(in, reterr, ZSTD_getErrorName(r));
    in->packed_open = r != 0;
    return 0;
}

static la_ssize_t archive_bytes(struct archive *a, void *ctx, const void **ret)
{
    struct cf_input *in = ctx;
    struct cf_error err = {0};

    if (in->raw_pos == in->raw_n) {
        in->raw_pos = 0;
        in->read_failed = read_raw(in, in->raw, READ_SIZE, &in->raw_n, &err);
        if (in->read_failed < 0) {
            archive_set_error(a, EIO, "%s", err.msg);
            return -1;
        }
    }
    *ret = in->raw + in->raw_pos;
    in->raw_pos = in->raw_n;
    return (la_ssize_t)(in->raw_n - (size_t)((const char *)*ret - in->raw));
}

static int unpack_other(struct cf_input *in, struct cf_error *reterr)
{
    struct archive_entry *e;
    la_ssize_t got;

    if (!in->archive) {
        in->archive = archive_read_new();
        if (!in->archive || archive_read_support_filter_xz(in->archive) < ARCHIVE_WARN || archive_read_support_filter_bzip2(in->archive) < ARCHIVE_WARN ||
            archive_read_support_format_raw(in->archive) != ARCHIVE_OK)
            return cf_error_set(reterr, CF_ENOMEM, "no memory to unpack %s", in->path);
        if (archive_read_open(in->archive, in, NULL, archive_bytes, NULL) != ARCHIVE_OK || archive_read_next_header(in->archive, &e) != ARCHIVE_OK)
            return fail_packed(in, reterr, archive_error_string(in->archive));
    }
    got = archive_read_data(in->archive, in->buf + in->n, READ_SIZE);
    if (got < 0)
        return fail_packed(in, reterr, archive_error_string(in->archive));
    in->n += (size_t)got;
    in->eof = got == 0;
    return 0;
}

int input_fill(struct cf_input *in, struct cf_error *reterr)
{
    size_t got, before;
    int r = need_room(in, READ_SIZE, reterr);

    if (r < 0)
        return r;
    if (in->unpack == PLAIN) {
        if (in->raw_pos < in->raw_n) { /* the bytes read at open */
            got = in->raw_n - in->raw_pos;
            memcpy(in->buf + in->n, in->raw + in->raw_pos, got);
            in->raw_pos = in->raw_n;
        } else {
            r = read_raw(in, in->buf + in->n, in->cap - in->n, &got, reterr);
            if (r < 0)
                return r;
            in->eof = got == 0;
        }
        in->n += got;
        return 0;
    }
    if (in->unpack == OTHER)
        return unpack_other(in, reterr);
    before = in->n;
    while (in->n == before && !in->eof) {
        if (in->raw_pos == in->raw_n) {
            r = read_raw(in, in->raw, READ_SIZE, &in->raw_n, reterr);
            if (r < 0)
                return r;
            in->raw_pos = 0;
            if (in->raw_n == 0) {
                in->eof = true;
                if (in->packed_open)
                    return fail_packed(in, reterr, "the file ends too early");
                return 0;
            }
        }
        r = in->unpack == GZIP ? unpack_gzip(in, reterr) : unpack_zstd(in, reterr);
        if (r < 0)
            return r;
    }
    return 0;
}

void cf_input_close(struct cf_input *in)
{
    if (!in)
        return;
    if (in->fd > 0)
        (void)close(in->fd);
    if (in->z_open)
        (void)inflateEnd(&in->z);
    ZSTD_freeDStream(in->zs);
    (void)archive_read_free(in->archive);
    input_box_free(in->box);
    if (in->evtx.open)
        cf_evtx_chunk_release(&in->evtx.chunk);
    cf_buf_release(&in->evtx.json);
    free(in->raw);
    free(in->buf);
    free(in->path);
    free(in->format);
    free(in);
}
