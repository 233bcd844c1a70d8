/* SPDX-License-Identifier: Apache-2.0
 * A file being read: input_read.c brings its text, input.c cuts it into records. */
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
        struct cf_evtx_chunk chunk; /* views buf while open: no input_fill() meanwhile */
        struct cf_buf json;
    } evtx;
    uint64_t damaged;
    char damage[160];  /* the first one, for people */
};

/* More text behind buf[n), or eof. */
int input_fill(struct cf_input *in, struct cf_error *reterr);

#endif
