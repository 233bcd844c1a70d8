/* SPDX-License-Identifier: Apache-2.0
 * input: files and stdin -> raw records, for every command that reads logs. Lines; JSON arrays and pretty-printed JSON
 * objects are cut into their elements; gzip, zstd, xz and bzip2 (also several members after one another) are unpacked as they are
 * read; Windows event logs (EVTX) are read natively and come out as evtx-json records; tar and zip archives (packed or not) are read member by member, each
 * as a file of its own; a member that is an archive itself is refused. Memory is bounded: one buffer that grows to the record limit at most.
 *
 *   file -> unpack -> buffer -> cut (line | JSON element) -> records in the batch arena
 */
#ifndef CF_NORMALISE_INPUT_H
#define CF_NORMALISE_INPUT_H

#include "base/base.h"
#include "event/event.h"

#define CF_INPUT_RECORD_MAX (16u << 20)
/* Format of a record that was longer than CF_INPUT_RECORD_MAX: its first CF_INPUT_RECORD_MAX bytes are in raw, the
 * rest was left out. The normaliser turns it into a pipeline_error that says so. */
#define CF_INPUT_OVERSIZE "oversize"

struct cf_input;

/* path "-" or NULL: standard input. format_hint "" or NULL: by content; it is copied into every record. Keeps a view
 * of neither. Owned by caller: cf_input_close. */
int cf_input_open(const char *path_or_dash, const char *format_hint, struct cf_input **ret, struct cf_error *reterr);
/* Up to max records, at least one unless the input has ended (*ret_n 0). Returns as soon as there is a whole record, so
 * that a pipe is followed live. Text lives in arena; peer is a view of the file's path, in an archive "archive:member"
 * (until close). seq counts records of the file or member from 0; a batch has records of one member. Blank lines are
 * skipped. Members that cannot be read are passed over and are the error at the archive's end; so much more text than
 * packed bytes that it must be an attack is an error at once (CF_ELIMIT). */
int cf_input_next_batch(struct cf_input *in, struct cf_arena *arena, struct cf_record *recs, size_t max, size_t *ret_n,
                        struct cf_error *reterr);
/* Path of the file, in an archive of the member that is being read: "archive:member". Until close. */
const char *cf_input_path(const struct cf_input *in);
uint64_t cf_input_bytes(const struct cf_input *in);    /* text bytes given out so far (unpacked, with line ends) */
uint64_t cf_input_oversize(const struct cf_input *in); /* records cut at the limit so far */
/* Damaged parts of binary files (EVTX chunks and records) that were skipped; *ret_first says the first in words. */
uint64_t cf_input_damaged(const struct cf_input *in, const char **ret_first);
/* Position in the file as stored (packed), and its size; 0 when it is a pipe. For progress bars. */
uint64_t cf_input_file_pos(const struct cf_input *in);
uint64_t cf_input_file_size(const struct cf_input *in);
void cf_input_close(struct cf_input *in); /* NULL is fine */

#endif
