/* SPDX-License-Identifier: Apache-2.0
 * Cutting the text of a file into records: lines, JSON values, journal entries, EVTX records. */
#include <stdio.h>
#include <stdlib.h>

#include "normalise/input_int.h"
#include "normalise/journal.h"

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
    if (input_is_archive(cf_str_n(in->buf + in->pos, in->n - in->pos))) {
        in->cut = CUT_ARCHIVE;
        return true;
    }
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
                r = input_fill(in, reterr);
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
        if (in->cut == CUT_ARCHIVE)
            return input_box_batch(in, arena, recs, max, ret_n, reterr);
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
        r = input_fill(in, reterr);
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
