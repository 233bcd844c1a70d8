/* SPDX-License-Identifier: Apache-2.0
 * Where a collector that reads on from a place (followed files, Kafka partitions) is: kept by three parts together.
 *
 *   state file (saved before each commit of the spool)  +  marks in the spool that are newer  =  where to read on */
#ifndef CF_COLLECT_POSITIONS_H
#define CF_COLLECT_POSITIONS_H

#include <pthread.h>

#include "base/base.h"
#include "collect/spool.h"

struct cf_positions {
    pthread_mutex_t mu;  /* of the positions themselves, of ticket and of changed */
    uint64_t ticket;     /* newest frame in the spool that a position speaks of */
    bool changed;        /* since the last save */
    struct cf_spool *spool;
    char *path;          /* state file; owned */
    const char *what;    /* for messages: "positions of followed files" */
    const char *before_save, *saved; /* crash points of the tests */
};

/* CF_ENOMEM. The strings but path are kept as they are. */
int cf_positions_init(struct cf_positions *p, struct cf_spool *spool, const char *path, const char *what, const char *before_save, const char *saved,
                      struct cf_error *reterr);
void cf_positions_release(struct cf_positions *p); /* zeroed memory is fine */
/* Each line of the state file, then each mark of the spool (those of other collectors too). *ret_file: there was a file. */
int cf_positions_load(struct cf_positions *p, void (*line)(void *ctx, cf_str line), void (*mark)(void *ctx, cf_str mark), void *ctx, bool *ret_file,
                      struct cf_error *reterr);
/* If something changed: `write` (under mu) gives the text; it is in the file, durably, once the spool has the newest frame it speaks of. */
int cf_positions_save(struct cf_positions *p, void (*write)(void *ctx, struct cf_buf *out), void *ctx, struct cf_error *reterr);

#endif
