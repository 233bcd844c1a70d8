/* SPDX-License-Identifier: Apache-2.0
 * Private to src/ti: an import as a job (import_job.c) and how one that did not come to its end is taken back (import_back.c). */
#ifndef CF_TI_IMPORT_JOB_H
#define CF_TI_IMPORT_JOB_H

#include "ti/ti_int.h"

struct ti_job {
    struct cf_ti *ti;
    struct ti_source source;
    struct ti_writer w;
    struct ti_import_options o;
    char id[40], name[200], user[40], user_name[120], org[40];
    char format[24], columns[TI_COLUMNS_MAX + 1], threat_type[TI_THREAT_MAX + 1], family[TI_FAMILY_MAX + 1];
    bool active, fetch, docs; /* docs: one MISP document a line */
    bool stopped;             /* the server ends, the next start takes the import back */
    int fd;
    int64_t stamp_us, t0, uploaded, read_bytes;
    json_t *report;           /* owned; once it has run */
};

void ti_job_free(struct ti_job *j);
void ti_job_shows(struct ti_job *j, const char *state); /* in its progress */
int ti_job_write_state(struct cf_db *db, const char *id, const char *state, const json_t *report, const char *error, const char *format, struct cf_error *reterr);
void ti_job_end(struct ti_job *j, const char *state, const json_t *report, const char *error, const char *format);
int ti_job_take_place(struct ti_job *j, int64_t bytes, struct cf_error *reterr); /* CF_ECONFLICT */
/* Reads and writes; kept when 0. Otherwise what it wrote is still there (import_back.c). */
int ti_job_work(struct ti_job *j, struct cf_error *reterr);

#endif
