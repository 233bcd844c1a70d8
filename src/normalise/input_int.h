/* SPDX-License-Identifier: Apache-2.0
 * A file being read: input_read.c brings its text, input.c cuts it into records, input_archive.c takes archives apart. */
#ifndef CF_NORMALISE_INPUT_INT_H
#define CF_NORMALISE_INPUT_INT_H

#include <archive.h>
#include <zlib.h>
#include <zstd.h>

#include "normalise/evtx.h"
#include "normalise/input.h"

#define READ_SIZE (256u << 10)
#define BATCH_BYTES (2u << 20)

enum unpack { PLAIN, GZIP, ZSTD, OTHER /* xz, bzip2: libarchive */ };
enum cut { CUT_UNKNOWN, CUT_LINES, CUT_JSON, CUT_EVTX, CUT_JOURNAL, CUT_ARCHIVE };

typedef int input_feed(void *ctx, char *p, size_t room, size_t *ret, struct cf_error *reterr); /* *ret 0: the end */
struct input_box;

struct cf_input {
    int fd;
    input_feed *feed;  /* a member of an archive: its bytes come from here instead of fd */
    void *feed_ctx;
    struct input_box *box; /* CUT_ARCHIVE: input_archive.c */
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
        struct cf_evtx_chunk chunk; /* views buf while open: no input_fill() meanwhile */
        struct cf_buf json;
    } evtx;
    uint64_t damaged;
    char damage[160];  /* the first one, for people */
};

/* More text behind buf[n), or eof. */
int input_fill(struct cf_input *in, struct cf_error *reterr);
/* A member of an archive as a file; path and format are copied. */
int input_open_member(const char *path, const char *format, input_feed *feed, void *ctx, struct cf_input **ret, struct cf_error *reterr);
bool input_is_archive(cf_str s); /* tar or zip begins here? */
int input_box_batch(struct cf_input *in, struct cf_arena *arena, struct cf_record *recs, size_t max, size_t *ret_n, struct cf_error *reterr);
void input_box_free(struct input_box *b);

#endif
