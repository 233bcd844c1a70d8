/* SPDX-License-Identifier: Apache-2.0
 * Backups of a data directory: records (online copy of SQLite), attachments, keys, certificates, configuration, own rules, audit anchor;
 * not the events and the spool, which the event engine's own means cover. A backup is a folder:
 *
 *   FOLDER/records.db  FOLDER/attachments/...  FOLDER/secret.key ...  FOLDER/manifest.json
 *   manifest.json: {"version","made_at","files":[{"path","size","sm3"}]}; written last, so a backup without it is incomplete */
#ifndef CF_APP_BACKUP_H
#define CF_APP_BACKUP_H

#include "base/base.h"

struct cf_backup_result {
    uint64_t files, bytes;
};
/* Works beside a running server. to must not exist or be empty. */
int cf_backup_make(const char *data_dir, const char *to, struct cf_backup_result *ret, struct cf_error *reterr);
/* Checks every file against the manifest. CF_ECORRUPT names the first one that differs. */
int cf_backup_verify(const char *from, struct cf_backup_result *ret, struct cf_error *reterr);
/* Verifies, then fills data_dir, which must not exist or be empty. */
int cf_backup_restore(const char *from, const char *data_dir, struct cf_backup_result *ret, struct cf_error *reterr);

#endif
