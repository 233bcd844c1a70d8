/* SPDX-License-Identifier: Apache-2.0
 * Shared by tail.c (thread, patterns), tail_file.c (one file), tail_which.c (which one), tail_pos.c (positions and their memory). */
#ifndef CF_COLLECT_TAIL_INT_H
#define CF_COLLECT_TAIL_INT_H

#include <iconv.h>
#include <pthread.h>
#include <stdatomic.h>

#include "collect/tail.h"
#include "collect/positions.h"

#define TAIL_HEAD_MAX 1024u
#define TAIL_LAST_MAX 256u
#define TAIL_KNOWN_MAX 16384u

/* Where reading of one file stands. Text form (mark and line of the state file):
 *   t1 DEV INO GEN FROM OFF HEAD_N HEAD LAST_N LAST FLAGS PATH      numbers in hexadecimal, FLAGS: - or p (packed) and d (done) */
struct tail_pos {
    uint64_t dev, ino, off;
    uint32_t gen;              /* counts truncations and reused inodes */
    uint32_t head_n, last_n;   /* bytes the hashes stand for: from 0; before off */
    uint64_t head, last;
    bool packed, done;         /* off counts unpacked bytes; a packed file that was read to its end */
    char *path;
    int64_t seen_us;           /* not stored: 0 since the start */
};

struct tail_file {
    int fd;
    size_t slot;               /* of its position in cf_tail.pos */
    const struct cf_intake *cfg;
    struct tail_file *next;
    bool named;                /* its path led to it at the last look */
    bool skip;                 /* inside a line that was cut */
    bool known;                /* it is clear that no copy of another file is being made here */
    uint64_t at;               /* read up to here; the position (last mark) is not behind it */
    int64_t lost_us, grown_us; /* since when it has no name; last growth */
    int64_t begun_us;          /* followed since then */
    uint64_t size;             /* at the last look */
    struct timespec mtime;     /* of then */
    bool more;                 /* there may be something to read */
    iconv_t cd;                /* (iconv_t)-1: none */
    unsigned unit;             /* bytes of a line feed: 1, or 2 for UTF-16 */
    bool big;                  /* UTF-16BE */
    /* packed */
    void *archive;             /* struct archive */
    char *rest;
    size_t rest_n;
    bool ended;
    uint64_t failed_size;      /* damaged or unfinished at this size: tried again when it has another */
};

struct cf_tail {
    struct cf_tail_options o;
    struct cf_intake *path;
    pthread_t thread;
    bool on;
    _Atomic bool stop;
    int stop_fd, notify_fd;
    struct cf_positions kept;
    /* under kept.mu */
    struct tail_pos *pos;
    size_t n_pos, cap_pos;
    bool first_start;
    char error[200];
    /* thread only */
    struct tail_file *files;
    size_t n_files;
    char *buf, *out;
    size_t chunk, line_max, out_cap;
    cf_str *rec;
    bool looked;               /* the first look at the patterns is over */
    _Atomic uint64_t s_files, s_records, s_bytes, s_rotations, s_truncations, s_packed, s_cut, s_errors, s_behind;
    _Atomic bool paused;
};

#define TAIL_RECS 4096u

/* tail.c */
void tail_look(struct cf_tail *t); /* which files are there; positions may move in memory */

void tail_error(struct cf_tail *t, const char *path, const char *what, const char *why);
/* tail_pos.c */
size_t tail_pos_text(const struct tail_pos *p, uint64_t from, size_t path_max, struct cf_buf *out);
bool tail_pos_parse(cf_str line, struct tail_pos *ret, uint64_t *ret_from); /* path allocated */
size_t tail_pos_find(const struct cf_tail *t, uint64_t dev, uint64_t ino); /* SIZE_MAX: none */
size_t tail_pos_add(struct cf_tail *t, const struct tail_pos *p);          /* takes p->path; SIZE_MAX: no memory */
int tail_pos_load(struct cf_tail *t, struct cf_error *reterr);
/* tail_which.c */
struct archive;
struct stat;
bool tail_pread_all(int fd, char *p, size_t n, uint64_t off);
bool tail_hash_at(int fd, uint64_t off, size_t n, uint64_t *ret); /* false: not that many bytes there */
bool tail_is_packed(int fd);
bool tail_packed_later(const char *path, const struct stat *st); /* empty so far, but its name says that it will be packed */
struct archive *tail_packed_open(const char *path);              /* NULL: not readable */
bool tail_packed_take(struct archive *a, char *p, uint64_t n);   /* exactly n bytes; p NULL: into nowhere */
void tail_restart(struct cf_tail *t, struct tail_pos *p);        /* the file began again */
size_t tail_find_slot(struct cf_tail *t, const char *path, int fd, const struct stat *st, bool packed); /* SIZE_MAX: no memory */
bool tail_is_known(struct cf_tail *t, struct tail_file *f); /* false: perhaps a copy that is still being made; it is not read yet */
void tail_settle_copies(struct cf_tail *t, const struct tail_file *of); /* it is about to begin again: what was copied from it is looked for before */
/* tail_file.c */
struct tail_file *tail_file_attach(struct cf_tail *t, const struct cf_intake *cfg, const char *path, bool by_inode);
bool tail_file_step(struct cf_tail *t, struct tail_file *f); /* true: took something, there may be more */
void tail_file_close(struct cf_tail *t, struct tail_file *f, bool flush);

#endif
