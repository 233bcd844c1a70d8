/* SPDX-License-Identifier: Apache-2.0
 * Files: whole reads with a limit, atomic durable writes, folders. */
#ifndef CF_BASE_FILE_H
#define CF_BASE_FILE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

/* Appends the whole file to *b (whose max is the limit). */
int cf_file_read(const char *path, struct cf_buf *b, struct cf_error *reterr);
/* Temporary file beside it, fsync, rename, fsync of the folder: after 0 the content survives power loss. */
int cf_file_write_durable(const char *path, cf_str content, unsigned mode, struct cf_error *reterr);
int cf_mkdir_p(const char *path, unsigned mode, struct cf_error *reterr);
int cf_fsync_dir(const char *path, struct cf_error *reterr);
/* Calls fn for each regular file below path (sorted, recursive, no symlink followed) whose name ends with suffix
 * ("" for all). path itself may be a file. Stops and returns fn's first non-zero value. */
typedef int (*cf_walk_fn)(void *ctx, const char *path);
int cf_walk(const char *path, const char *suffix, cf_walk_fn fn, void *ctx, struct cf_error *reterr);
char *cf_path_join(struct cf_arena *a, const char *dir, const char *name);

#endif
