/* SPDX-License-Identifier: Apache-2.0 */
#include "normalise/input.h"
#include "normalise/journal.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "normalise/evtx.h"

#define READ_SIZE (256u << 10)
#define BATCH_BYTES (2u << 20)

enum unpack { PLAIN, GZIP, ZSTD, OTHER /* xz, bzip2: libarchive */ };
enum cut { CUT_UNKNOWN, CUT_LINES, CUT_JSON, CUT_EVTX, CUT_JOURNAL };

struct cf_input {
    int fd;
    char *path, *format;
    uint64_t seq, bytes, oversize, file_pos, file_size;
    bool eof;          /* nothing more comes from the file */
    bool skipping;     /* inside an oversize line: drop up to its end */
    enum unpack unpack;
    enum cut cut;
    z_stream z;
    bool z_open, packed_open; /* packed_open: inside a member that has not ended */
    ZSTD_DStream *zs;
    struct archive *archive;
    int read_failed;   /* of the file below the archive */
    char *raw;         /* packed bytes: READ_SIZE */
    size_t raw_n, raw_pos;
    char *buf;         /* text not yet given out: buf[pos..n) */
    size_t pos, n, cap;
    size_t scan;       /* bytes after pos already looked at */
    unsigned depth;    /* CUT_JSON: state of the scanner at pos + scan */
    bool in_str, esc, started;
    struct { /* CUT_EVTX */
        bool header_passed, open;
        struct cf_evtx_chunk chunk; /* views buf while open: no fill() meanwhile */
        struct cf_buf json;
    } evtx;
    uint64_t damaged;
    char damage[160];  /* the first one, for people */
};

static int fail_packed(const struct cf_input *in, struct cf_error *reterr, const char *why)
{
    return cf_error_set(reterr, CF_ECORRUPT, "%s: packed data is damaged after %llu bytes: %s", in->path,
                        (unsigned long long)in->bytes, why ? why : "unknown reason");
}

int cf_input_open(const char *path, const char *format_hint, struct cf_input **ret, struct cf_error *reterr)
{
    struct cf_input *in;
    struct stat st;
    bool std = !path || strcmp(path, "-") == 0;
    ssize_t got = 0;

    in = calloc(1, sizeof *in);
    if (!in)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the input buffer");
    in->fd = -1;
    in->path = strdup(std ? "-" : path);
    in->format = strdup(format_hint ? format_hint : "");
    in->raw = malloc(READ_SIZE);
    if (!in->path || !in->format || !in->raw) {
        cf_input_close(in);
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the input buffer");
    }
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
    /* the first bytes say whether it is packed */
    while (in->raw_n < 8) {
        got = read(in->fd, in->raw + in->raw_n, READ_SIZE - in->raw_n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        in->raw_n += (size_t)got;
        if (memchr(in->raw, '\n', in->raw_n))
            break;
    }
    if (got < 0) {
        int r = cf_error_errno(reterr, "%s", in->path);
        cf_input_close(in);
        return r;
    }
    in->file_pos = in->raw_n;
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

static int read_raw(struct cf_input *in, char *p, size_t room, size_t *ret, struct cf_error *reterr)
{
    ssize_t got;

    do
        got = read(in->fd, p, room);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return cf_error_errno(reterr, "%s", in->path);
    in->file_pos += (uint64_t)got;
    *ret = (size_t)got;
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

/* More text behind buf[n), or eof. */
static int fill(struct cf_input *in, struct cf_error *reterr)
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

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* Lines or JSON? '[' followed by '{' or '[' or ']' is an array (not "[2026-11-21] text"); an object that is not closed
 * on its first line is pretty-printed. Needs the first line or a bufferful. False: needs more text. */
static bool choose_cut(struct cf_input *in)
{
    const char *p = in->buf + in->pos, *end = in->buf + in->n, *q;
    unsigned depth = 0;
    bool str = false;

    while (p < end && is_space(*p))
        p++;
    if (p == end)
        return in->eof;
    in->cut = CUT_LINES;
    if (cf_journal_is(cf_str_n(p, (size_t)(end - p)))) {
        in->cut = CUT_JOURNAL;
        in->pos = (size_t)(p - in->buf);
        return true;
    }
    if (cf_evtx_is_file(cf_str_n(p, (size_t)(end - p)))) {
        in->cut = CUT_EVTX;
        in->pos = (size_t)(p - in->buf);
        return true;
    }
    if (*p == '[') {
        q = p + 1;
        while (q < end && is_space(*q))
            q++;
        if (q == end && !in->eof) {
            in->cut = CUT_UNKNOWN;
            return false;
        }
        if (q < end && (*q == '{' || ((*q == '[' || *q == ']') && (q > p + 1 || (*q == ']' && end - p < 8))))) {
            in->cut = CUT_JSON;
            in->pos = (size_t)(p + 1 - in->buf);
        }
    } else if (*p == '{') {
        for (q = p; q < end && *q != '\n'; q++) {
            if (str) {
                if (*q == '\\')
                    q++;
                else if (*q == '"')
                    str = false;
            } else if (*q == '"') {
                str = true;
            } else if (*q == '{' || *q == '[') {
                depth++;
            } else if (*q == '}' || *q == ']') {
                depth--;
            }
        }
        if (q >= end && !in->eof && end - p < (ptrdiff_t)READ_SIZE) {
            in->cut = CUT_UNKNOWN;
            return false;
        }
        if (!str && depth > 0 && q < end) {
            /* only when the next line goes on like an object does; a cut JSON line is one bad record */
            const char *n = q + 1, *l = q;
            while (l > p && is_space(l[-1]))
                l--;
            while (n < end && is_space(*n))
                n++;
            if (l > p && (l[-1] == '{' || l[-1] == '[' || l[-1] == ',') && n < end && (*n == '"' || *n == '}' || *n == ']' || ((*n == '{' || *n == '[') && depth > 1)))
                in->cut = CUT_JSON;
        }
    }
    return true;
}

/* Next JSON element at pos: its end offset from pos, or SIZE_MAX when more text is needed. Separators before it are
 * taken off. */
static size_t next_json(struct cf_input *in)
{
    while (!in->started && in->pos < in->n) {
        char c = in->buf[in->pos];
        if (!is_space(c) && c != ',' && c != ']' && c != '[')
            break;
        in->pos++;
    }
    if (in->pos == in->n)
        return SIZE_MAX;
    if (!in->started) {
        in->started = true;
        in->scan = 0;
        in->depth = 0;
        in->in_str = in->esc = false;
    }
    for (size_t i = in->pos + in->scan; i < in->n; i++) {
        char c = in->buf[i];
        if (in->in_str) {
            if (in->esc)
                in->esc = false;
            else if (c == '\\')
                in->esc = true;
            else if (c == '"')
                in->in_str = false;
            continue;
        }
        if (c == '"') {
            in->in_str = true;
        } else if (c == '{' || c == '[') {
            in->depth++;
        } else if ((c == '}' || c == ']') && in->depth > 0) {
            if (--in->depth == 0) {
                in->started = false;
                in->scan = 0;
                return i + 1 - in->pos;
            }
        } else if (in->depth == 0 && (c == ',' || c == ']' || c == '\n')) {
            in->started = false;
            in->scan = 0;
            return i - in->pos;
        }
    }
    in->scan = in->n - in->pos;
    return SIZE_MAX;
}

static size_t next_line(struct cf_input *in)
{
    const char *p = in->buf + in->pos + in->scan;
    const char *nl = memchr(p, '\n', in->n - in->pos - in->scan);

    if (!nl) {
        in->scan = in->n - in->pos;
        return SIZE_MAX;
    }
    in->scan = 0;
    return (size_t)(nl - in->buf) - in->pos;
}

static size_t next_entry(struct cf_input *in)
{
    while (in->pos < in->n && in->buf[in->pos] == '\n')
        in->pos++;
    return cf_journal_block(in->buf + in->pos, in->n - in->pos);
}

static inline void give(struct cf_input *in, struct cf_record *rec, size_t from, size_t len)
{
    memset(rec, 0, sizeof *rec);
    rec->raw = cf_str_n(in->buf + from, len); /* moved into the arena by settle() */
    rec->format = cf_str_c(in->format);
    rec->peer = cf_str_c(in->path);
    rec->source = CF_STR("");
    rec->org = CF_STR("");
    rec->seq = in->seq++;
}

/* Cuts what is in the buffer; fills recs with views of the buffer. */
static size_t cut_records(struct cf_input *in, struct cf_record *recs, size_t max)
{
    size_t n = 0, start = in->pos;

    while (n < max && in->pos < in->n && in->pos - start < BATCH_BYTES) {
        size_t len = in->cut == CUT_JSON ? next_json(in) : in->cut == CUT_JOURNAL ? next_entry(in) : next_line(in);
        size_t from = in->pos, skip;

        if (len == SIZE_MAX) {
            if (in->eof && in->pos < in->n) {
                len = in->n - in->pos;
                in->scan = 0;
                in->started = false;
            } else if (in->n - in->pos > CF_INPUT_RECORD_MAX && !in->skipping) {
                give(in, &recs[n], from, CF_INPUT_RECORD_MAX);
                recs[n++].format = CF_STR(CF_INPUT_OVERSIZE);
                in->oversize++;
                in->skipping = true;
                in->bytes += in->n - in->pos;
                in->pos = in->n;
                in->scan = 0;
                break;
            } else {
                break;
            }
        }
        skip = in->cut == CUT_LINES && in->pos + len < in->n ? 1 : 0;
        in->pos += len + skip;
        in->bytes += len + skip;
        if (in->skipping) {
            in->skipping = false;
            continue;
        }
        while (len && (in->buf[from + len - 1] == '\r' || (in->cut == CUT_JSON && is_space(in->buf[from + len - 1]))))
            len--;
        if (len > CF_INPUT_RECORD_MAX) {
            give(in, &recs[n], from, CF_INPUT_RECORD_MAX);
            recs[n++].format = CF_STR(CF_INPUT_OVERSIZE);
            in->oversize++;
        } else if (len) {
            give(in, &recs[n++], from, len);
        }
    }
    if (in->skipping && in->pos < in->n && in->scan == in->n - in->pos) { /* still inside the long line */
        in->bytes += in->n - in->pos;
        in->pos = in->n;
        in->scan = 0;
    }
    return n;
}

/* One copy of the used stretch of the buffer into the arena, 64 bytes of zeros behind it (parsers may read ahead). */
static int settle(struct cf_arena *arena, struct cf_record *recs, size_t n, int64_t now, struct cf_error *reterr)
{
    const char *from = recs[0].raw.p;
    size_t len = (size_t)(recs[n - 1].raw.p + recs[n - 1].raw.n - from);
    char *p = cf_arena_bytes(arena, len + 64);

    if (!p)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for a batch of %zu bytes", len);
    memcpy(p, from, len);
    memset(p + len, 0, 64);
    for (size_t i = 0; i < n; i++) {
        recs[i].raw.p = p + (recs[i].raw.p - from);
        recs[i].received_us = now;
    }
    return 0;
}

static void damage(struct cf_input *in, const char *why)
{
    if (in->damaged++ == 0)
        (void)snprintf(in->damage, sizeof in->damage, "%.150s", why);
}

static int evtx_open_chunk(struct cf_input *in)
{
    struct cf_error err;

    if (cf_evtx_chunk_init(&in->evtx.chunk, cf_str_n(in->buf + in->pos, CF_EVTX_CHUNK_SIZE), &err) < 0) {
        /* chunks of zeros are free space of the file, not damage */
        if (in->buf[in->pos] || memcmp(in->buf + in->pos, in->buf + in->pos + 1, CF_EVTX_CHUNK_SIZE - 1) != 0)
            damage(in, err.msg);
        in->pos += CF_EVTX_CHUNK_SIZE;
        return 0;
    }
    in->evtx.open = true;
    return 0;
}

/* Records of the open chunk as JSON in the arena. */
static int evtx_records(struct cf_input *in, struct cf_arena *arena, struct cf_record *recs, size_t max, size_t *ret_n,
                        struct cf_error *reterr)
{
    size_t n = 0, bytes = 0;

    while (n < max && bytes < BATCH_BYTES) {
        struct cf_error err;
        uint64_t id;
        char *p;
        int r;

        cf_buf_clear(&in->evtx.json);
        r = cf_evtx_chunk_next(&in->evtx.chunk, &in->evtx.json, &id, &err);
        if (r == 0) {
            cf_evtx_chunk_release(&in->evtx.chunk);
            in->evtx.open = false;
            in->pos += CF_EVTX_CHUNK_SIZE;
            break;
        }
        if (r == CF_ECORRUPT) {
            damage(in, err.msg);
            continue;
        }
        if (r < 0 || !(p = cf_arena_bytes(arena, in->evtx.json.n + 64)))
            return cf_error_set(reterr, CF_ENOMEM, "no memory for an event log record");
        memcpy(p, in->evtx.json.p, in->evtx.json.n);
        memset(p + in->evtx.json.n, 0, 64); /* parsers may read ahead */
        give(in, &recs[n], 0, 0);
        recs[n].raw = cf_str_n(p, in->evtx.json.n);
        recs[n].format = CF_STR("evtx-json");
        recs[n++].received_us = cf_now_us();
        in->bytes += in->evtx.json.n + 1;
        bytes += in->evtx.json.n;
    }
    *ret_n = n;
    return 0;
}

static int evtx_batch(struct cf_input *in, struct cf_arena *arena, struct cf_record *recs, size_t max, size_t *ret_n,
                      struct cf_error *reterr)
{
    int r = 0;

    *ret_n = 0;
    while (r == 0 && *ret_n == 0) {
        size_t want = in->evtx.header_passed ? CF_EVTX_CHUNK_SIZE : CF_EVTX_HEADER_SIZE;

        if (in->evtx.open) {
            r = evtx_records(in, arena, recs, max, ret_n, reterr);
        } else if (in->n - in->pos < want) {
            if (!in->eof) {
                r = fill(in, reterr);
                continue;
            }
            if (in->n > in->pos)
                damage(in, "the file ends inside a chunk");
            in->pos = in->n;
            break;
        } else if (!in->evtx.header_passed) {
            in->evtx.header_passed = true;
            cf_buf_init(&in->evtx.json, CF_INPUT_RECORD_MAX);
            in->pos += CF_EVTX_HEADER_SIZE;
        } else {
            r = evtx_open_chunk(in);
        }
    }
    return r;
}

int cf_input_next_batch(struct cf_input *in, struct cf_arena *arena, struct cf_record *recs, size_t max, size_t *ret_n,
                        struct cf_error *reterr)
{
    size_t n = 0;
    int r;

    for (;;) {
        if (in->cut == CUT_UNKNOWN && in->pos < in->n)
            (void)choose_cut(in);
        if (in->cut == CUT_EVTX)
            return evtx_batch(in, arena, recs, max, ret_n, reterr);
        if (in->cut != CUT_UNKNOWN && in->pos < in->n)
            n = cut_records(in, recs, max);
        if (n || (in->eof && in->pos >= in->n))
            break;
        if (in->eof && in->cut == CUT_UNKNOWN) { /* only blanks */
            in->pos = in->n;
            break;
        }
        if (in->eof)
            continue;
        r = fill(in, reterr);
        if (r < 0)
            return r;
    }
    if (n) {
        r = settle(arena, recs, n, cf_now_us(), reterr);
        if (r < 0)
            return r;
    }
    *ret_n = n;
    return 0;
}

uint64_t cf_input_bytes(const struct cf_input *in) { return in->bytes; }
uint64_t cf_input_oversize(const struct cf_input *in) { return in->oversize; }
uint64_t cf_input_damaged(const struct cf_input *in, const char **ret_first)
{
    *ret_first = in->damage;
    return in->damaged;
}
uint64_t cf_input_file_pos(const struct cf_input *in) { return in->file_size ? in->file_pos : 0; }
uint64_t cf_input_file_size(const struct cf_input *in) { return in->file_size; }

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
    if (in->evtx.open)
        cf_evtx_chunk_release(&in->evtx.chunk);
    cf_buf_release(&in->evtx.json);
    free(in->raw);
    free(in->buf);
    free(in->path);
    free(in->format);
    free(in);
}
