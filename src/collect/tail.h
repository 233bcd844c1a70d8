/* SPDX-License-Identifier: Apache-2.0
 * File tail: follows log files by pattern through rotation (rename and create), copytruncate, truncation and restarts.
 *
 * Every frame in the spool carries the mark "read from A to B of this file", so a position is durable exactly when the records
 * are: after kill -9 nothing is lost and nothing comes twice. A file is known by device, inode and the hashes of its beginning
 * and of what was read last, never by its name alone. One thread. */
#ifndef CF_COLLECT_TAIL_H
#define CF_COLLECT_TAIL_H

#include "collect/counters.h"
#include "collect/intake.h"
#include "collect/source.h"
#include "collect/spool.h"

struct cf_tail_options {
    struct cf_spool *spool;
    struct cf_counters *counters;
    struct cf_shared *sources;        /* struct cf_source_table */
    const struct cf_intake *path;     /* copied; what: glob(7), absolute */
    size_t n_paths;
    const char *state_path;           /* DATA/tail.state */
    size_t line_max;                  /* longer lines are cut and counted */
    size_t files_max;                 /* open at a time; 0: 1024 */
    int64_t poll_us;                  /* look at least this often; 0: 1 s */
    int64_t rotated_us;               /* a file that lost its name is read on this long after its last growth; 0: 10 s */
    bool from_end;                    /* files found at the first start ever begin at their end */
    bool packed;                      /* rotated files packed with gzip, zstd, xz, bzip2 are read once */
    bool no_inotify;                  /* tests: polling only */
};
struct cf_tail;
/* After cf_spool_open, before anything else appends. */
int cf_tail_start(const struct cf_tail_options *o, struct cf_tail **ret, struct cf_error *reterr);
void cf_tail_stop(struct cf_tail *t); /* NULL is fine */
/* Writes the positions down whose records are durable. Before each cf_spool_commit: the marks it deletes are in there then. */
int cf_tail_save(struct cf_tail *t, struct cf_error *reterr);

/* What is followed, in the order of the options; NULL: no more. Valid until cf_tail_stop. */
const struct cf_intake *cf_tail_path(const struct cf_tail *t, size_t i);

struct cf_tail_stats {
    uint64_t files, records, bytes, rotations, truncations, packed_files, cut, errors;
    uint64_t behind; /* bytes written and not read yet, at the last look */
    bool paused;     /* waiting for the spool */
    char error[200]; /* the newest one */
};
void cf_tail_get_stats(struct cf_tail *t, struct cf_tail_stats *ret);

#endif
