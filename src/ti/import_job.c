/* SPDX-License-Identifier: Apache-2.0
 * Imports in the background, one at a time, all or nothing.
 *
 *   upload ─► file without a name ─► reading and writing (writer.c), old values put aside (undo.c) ─► done
 *                                             '── error, cancel, restart ─► taken back ─► failed, cancelled, interrupted
 *
 * New rows of an import do not match before it is complete. Table ti_import keeps what became of each; its states are
 * uploading, running, finishing (complete, old values being thrown away), undoing, done, failed, cancelled, interrupted. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "audit/audit.h"
#include "ti/import_job.h"

#define PIECE ((size_t)256 << 10)
#define KEEP "200" /* imports that the list keeps */

const char *ti_job_id(const struct ti_job *j) { return j->id; }

/* As much as there is room for, characters whole. */
static void copy(char *out, size_t cap, cf_str s)
{
    size_t n = s.n < cap ? s.n : cap - 1;

    while (n < s.n && n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    if (n)
        memcpy(out, s.p, n);
    out[n] = '\0';
}

void ti_job_shows(struct ti_job *j, const char *state)
{
    (void)pthread_mutex_lock(&j->ti->mu);
    copy(j->ti->import.state, sizeof j->ti->import.state, cf_str_c(state));
    (void)pthread_mutex_unlock(&j->ti->mu);
}

/* Gives up the place, if it is this import's. */
static void leave(struct cf_ti *ti, const char *id)
{
    (void)pthread_mutex_lock(&ti->mu);
    if (strcmp(ti->import.id, id) == 0) {
        ti->import = (struct ti_progress){.bytes = 0};
        (void)pthread_cond_broadcast(&ti->wake_place);
    }
    (void)pthread_mutex_unlock(&ti->mu);
}

void ti_job_free(struct ti_job *j)
{
    if (j->fd >= 0)
        (void)close(j->fd);
    json_decref(j->report);
    free(j);
}

int ti_job_write_state(struct cf_db *db, const char *id, const char *state, const json_t *report, const char *error, const char *format, struct cf_error *reterr)
{
    char *text = report ? json_dumps(report, JSON_COMPACT) : NULL;
    bool over = strcmp(state, "running") != 0 && strcmp(state, "finishing") != 0 && strcmp(state, "undoing") != 0;
    int64_t now = cf_now_us();
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_exec(tx,
                       "UPDATE ti_import SET state = ?, report = COALESCE(?, report), error = COALESCE(?, error), format = COALESCE(?, format), started_us = COALESCE(started_us, ?),"
                       " finished_us = ? WHERE id = ?",
                       reterr, CF_Z(state), CF_Z(text), CF_Z(error), CF_Z(format), CF_I(now), over ? CF_I(now) : CF_NUL, CF_Z(id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    free(text);
    return r;
}

/* From now on rows may be written; they and what comes after them is given to others when the import is over (ti_horizon). */
static int write_running(struct ti_job *j, struct cf_error *reterr)
{
    int64_t now = cf_now_us();
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(j->ti->o.db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE ti_import SET state = 'running', started_us = COALESCE(started_us, ?), ver_us = (SELECT last_us + 1 FROM ti_clock WHERE id = 1) WHERE id = ?", reterr,
                       CF_I(now), CF_Z(j->id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

/* How a fetch ends stands at its source. */
static int forget_row(struct ti_job *j, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(j->ti->o.db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM ti_import WHERE id = ?", reterr, CF_Z(j->id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

/* The row of the list, and the end of it in the audit trail; the place is free before both can be seen. */
void ti_job_end(struct ti_job *j, const char *state, const json_t *report, const char *error, const char *format)
{
    static const char *const kept[] = {"read", "new", "updated", "repeated", "bad", "conflicts", "unmatchable", "objects", "kept"};
    struct cf_error err = {0};
    json_t *after = json_object();
    char result[200];

    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (json_object_get(report, kept[i]))
            (void)json_object_set(after, kept[i], json_object_get(report, kept[i]));
    (void)json_object_set_new(after, "name", json_string(j->name));
    (void)snprintf(result, sizeof result, "%s%s%s", strcmp(state, "done") == 0 ? "ok" : state, error ? ": " : "", error ? error : "");
    leave(j->ti, j->id);
    if ((j->fetch ? forget_row(j, &err) : ti_job_write_state(j->ti->o.db, j->id, state, report, error, format, &err)) < 0)
        cf_log_error("ti", "the end of an import was not written down", "id=%s state=%s reason=\"%s\"", j->id, state, err.msg);
    if (j->ti->o.audit && !j->fetch) {
        const struct cf_audit_entry e = {.user_id = cf_str_c(j->user), .user_name = cf_str_c(j->user_name), .org_id = cf_str_c(j->org), .action = CF_STR("ti.import"),
                                         .object = cf_str_c(j->id), .result = cf_str_c(result), .after = after};

        if (cf_audit_write(j->ti->o.audit, &e, &err) < 0)
            cf_log_error("audit", "an entry was not written", "id=%s why=\"%s\"", j->id, err.msg);
    }
    json_decref(after);
}

/* ---- begin ------------------------------------------------------------------------------------------------------------------ */

int ti_job_take_place(struct ti_job *j, int64_t bytes, struct cf_error *reterr)
{
    struct cf_ti *ti = j->ti;
    struct ti_progress *p = &ti->import;
    int r = 0;

    (void)pthread_mutex_lock(&ti->mu);
    if (p->id[0]) {
        r = cf_error_set(reterr, CF_ECONFLICT, strcmp(p->state, "undoing") == 0 ? "the import \"%s\" is being taken back: try again when that is done"
                                                                               : "the import \"%s\" is there already: wait until it is done, or cancel it",
                         p->name);
    } else {
        *p = (struct ti_progress){.bytes = bytes};
        copy(p->id, sizeof p->id, cf_str_c(j->id));
        copy(p->name, sizeof p->name, cf_str_c(j->name));
        copy(p->state, sizeof p->state, CF_STR("uploading"));
    }
    (void)pthread_mutex_unlock(&ti->mu);
    return r;
}

static int write_new(struct ti_job *j, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(j->ti->o.db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM ti_import WHERE created_us < (SELECT created_us FROM ti_import WHERE kind = 'upload' ORDER BY created_us DESC LIMIT 1 OFFSET " KEEP ")"
                       " AND state IN ('done', 'failed', 'cancelled', 'interrupted')",
                       reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO ti_import (id, org_id, source_id, name, state, stamp_us, created_by, created_us, kind) VALUES (?,?,?,?,'uploading',?,?,?,?)", reterr,
                       CF_Z(j->id), CF_Z(j->org[0] ? j->org : "root"), CF_Z(j->source.id), CF_Z(j->name), CF_I(j->stamp_us), CF_Z(j->user), CF_I(j->stamp_us),
                       CF_Z(j->fetch ? "fetch" : "upload"));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

static int options_are_good(const struct ti_import_options *o, struct cf_error *reterr)
{
    struct ti_writer none = {.dry = true};
    struct ti_import *im = NULL;
    int r = ti_import_new(&none, o, &im, reterr);

    ti_import_free(im);
    return r;
}

static struct ti_job *job_new(struct cf_ti *ti, const struct ti_job_new *n)
{
    struct ti_job *j = calloc(1, sizeof *j);

    if (!j)
        return NULL;
    j->ti = ti;
    j->fd = -1;
    j->active = n->active;
    j->fetch = n->fetched;
    j->docs = n->docs;
    j->t0 = cf_mono_us();
    j->stamp_us = cf_now_us();
    cf_uuid7(j->id);
    copy(j->name, sizeof j->name, n->name.n ? n->name : CF_STR("upload"));
    copy(j->user, sizeof j->user, n->user_id);
    copy(j->user_name, sizeof j->user_name, n->user_name);
    copy(j->org, sizeof j->org, n->org);
    copy(j->format, sizeof j->format, n->o.format);
    copy(j->columns, sizeof j->columns, n->o.columns);
    copy(j->threat_type, sizeof j->threat_type, n->o.threat_type);
    copy(j->family, sizeof j->family, n->o.family);
    j->o = (struct ti_import_options){.format = cf_str_c(j->format), .type = n->o.type, .columns = cf_str_c(j->columns), .threat_type = cf_str_c(j->threat_type),
                                      .family = cf_str_c(j->family)};
    return j;
}

int ti_job_begin(struct cf_ti *ti, const char *dir, const struct ti_job_new *n, struct ti_job **ret, struct cf_error *reterr)
{
    struct ti_job *j;
    int r = options_are_good(&n->o, reterr);

    if (r < 0)
        return r;
    j = job_new(ti, n);
    if (!j)
        return cf_error_set(reterr, CF_ENOMEM, "import");
    r = ti_source_read(ti->o.db, n->source, &j->source, reterr);
    if (r == 0)
        r = ti_job_take_place(j, n->bytes, reterr);
    if (r < 0) {
        ti_job_free(j);
        return r;
    }
    if (n->fetched) /* the caller's is gone on when it is */
        r = (j->fd = dup(n->fd)) < 0 ? cf_error_errno(reterr, "the fetched file") : 0;
    else
        r = ti_temp_file(dir, true, &j->fd, reterr);
    if (r == 0)
        r = write_new(j, reterr);
    if (r < 0) {
        leave(ti, j->id);
        ti_job_free(j);
        return r;
    }
    *ret = j;
    return 0;
}

int ti_temp_file(const char *dir, bool nameless, int *ret, struct cf_error *reterr)
{
    char path[4096];
    int n;

    *ret = nameless ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
    if (*ret >= 0)
        return 0;
    if (nameless && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
        return cf_error_errno(reterr, "temporary file for the import");
    n = snprintf(path, sizeof path, "%s/.import-XXXXXX", dir); /* the file system has no files without a name: its name goes at once */
    if (n < 0 || (size_t)n >= sizeof path)
        return cf_error_set(reterr, CF_EINVAL, "the path of the data directory is too long");
    *ret = mkostemp(path, O_CLOEXEC);
    if (*ret < 0)
        return cf_error_errno(reterr, "temporary file for the import");
    (void)unlink(path);
    return 0;
}

int ti_job_piece(struct ti_job *j, cf_str piece, struct cf_error *reterr)
{
    bool cancel;

    while (piece.n) {
        ssize_t k = write(j->fd, piece.p, piece.n);

        if (k < 0)
            return cf_error_errno(reterr, "keeping the upload");
        piece = cf_str_sub(piece, (size_t)k, piece.n);
        j->uploaded += k;
    }
    if (j->uploaded > TI_IMPORT_BYTES_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "the file is larger than %lld MiB: split it", (long long)(TI_IMPORT_BYTES_MAX >> 20));
    (void)pthread_mutex_lock(&j->ti->mu);
    j->ti->import.uploaded = j->uploaded;
    cancel = j->ti->import.cancel;
    (void)pthread_mutex_unlock(&j->ti->mu);
    if (atomic_load(&j->ti->ending))
        return cf_error_set(reterr, CF_ECANCELLED, "the server ends");
    return cancel ? cf_error_set(reterr, CF_ECANCELLED, "the import was cancelled") : 0;
}

void ti_job_abandon(struct ti_job *j)
{
    bool cancel;

    if (!j)
        return;
    (void)pthread_mutex_lock(&j->ti->mu);
    cancel = j->ti->import.cancel;
    (void)pthread_mutex_unlock(&j->ti->mu);
    ti_job_end(j, cancel ? "cancelled" : "interrupted", NULL, cancel ? NULL : "the upload did not arrive to its end; nothing was taken", NULL);
    ti_job_free(j);
}

/* ---- run -------------------------------------------------------------------------------------------------------------------- */

static int tick(void *ctx, const struct ti_writer *w, struct cf_error *reterr)
{
    struct ti_job *j = ctx;
    struct ti_progress *p = &j->ti->import;
    bool cancel;

    (void)pthread_mutex_lock(&j->ti->mu);
    p->read_bytes = j->read_bytes;
    p->read = w->read;
    p->written = w->written + w->objects_written;
    p->repeated = w->repeated;
    p->bad = w->bad;
    p->conflicts = w->conflicts;
    p->unmatchable = w->unmatchable;
    p->objects = w->objects;
    cancel = p->cancel;
    j->stopped = atomic_load(&j->ti->ending);
    (void)pthread_mutex_unlock(&j->ti->mu);
    return j->stopped || cancel ? cf_error_set(reterr, CF_ECANCELLED, "%s", j->stopped ? "the server ends" : "the import was cancelled") : 0;
}

static int read_all(struct ti_job *j, struct ti_import *im, struct cf_error *reterr)
{
    char *piece = malloc(PIECE);
    int r = piece ? 0 : cf_error_set(reterr, CF_ENOMEM, "import");

    while (r == 0) {
        ssize_t k = pread(j->fd, piece, PIECE, (off_t)j->read_bytes);

        if (k < 0)
            r = cf_error_errno(reterr, "reading the upload");
        if (k <= 0)
            break;
        j->read_bytes += k;
        r = ti_import_feed(im, cf_str_n(piece, (size_t)k), reterr);
        if (r == 0) {
            (void)pthread_mutex_lock(&j->ti->mu);
            j->ti->import.whole = ti_import_whole(im);
            (void)pthread_mutex_unlock(&j->ti->mu);
            r = tick(j, &j->w, reterr);
        }
    }
    free(piece);
    return r == 0 ? ti_import_end(im, reterr) : r;
}

/* One document of MISP a line: so many of them as a source has, and one in memory. */
static int read_docs(struct ti_job *j, struct cf_error *reterr)
{
    int fd = dup(j->fd);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int r = 0;

    if (!f) {
        r = cf_error_errno(reterr, "reading what was fetched");
        if (fd >= 0)
            (void)close(fd);
        return r;
    }
    (void)fseek(f, 0, SEEK_SET);
    while (r == 0 && (n = getline(&line, &cap, f)) > 0) {
        json_t *doc = json_loadb(line, (size_t)n, 0, NULL);

        j->read_bytes += n;
        r = doc ? ti_misp_doc(&j->w, doc, reterr) : cf_error_set(reterr, CF_EIO, "what was fetched cannot be read again");
        json_decref(doc);
        if (r == 0)
            r = tick(j, &j->w, reterr);
    }
    free(line);
    (void)fclose(f);
    return r == 0 ? ti_writer_end(&j->w, reterr) : r;
}

/* From here on it cannot be cancelled, unless that was asked for before. */
static bool complete(struct ti_job *j)
{
    bool cancel;

    (void)pthread_mutex_lock(&j->ti->mu);
    cancel = j->ti->import.cancel;
    copy(j->ti->import.state, sizeof j->ti->import.state, cancel ? CF_STR("undoing") : CF_STR("finishing"));
    (void)pthread_mutex_unlock(&j->ti->mu);
    return !cancel;
}

/* It is in the library: from here on its rows match and are given. */
static void kept(struct ti_job *j)
{
    struct cf_error err = {0};

    cf_ti_changed(j->ti);
    if (ti_undo_forget(j->ti->o.db, j->id, &err) < 0) {
        cf_log_warn("ti", "what an import replaced was not thrown away; the next start does", "id=%s reason=\"%s\"", j->id, err.msg);
        leave(j->ti, j->id);
        return;
    }
    ti_job_end(j, "done", j->report, NULL, j->format);
}

static json_t *report_of(struct ti_job *j, const char *format)
{
    json_t *report = ti_writer_report(&j->w);

    (void)json_object_del(report, "preview");
    (void)json_object_set_new(report, "format", json_string(format));
    (void)json_object_set_new(report, "seconds", json_real((double)(cf_mono_us() - j->t0) / 1e6));
    (void)json_object_set_new(report, "import", json_string(j->id));
    return report;
}

int ti_job_work(struct ti_job *j, struct cf_error *reterr)
{
    struct cf_shared_box *box = cf_shared_get(&j->ti->excluded);
    struct ti_import *im = NULL;
    const char *format = j->docs ? "misp" : "";
    int r = write_running(j, reterr);

    ti_job_shows(j, "running");
    j->w = (struct ti_writer){.db = j->ti->o.db, .source = &j->source, .excluded = box ? box->p : NULL, .user = j->user, .active = j->active, .now_us = j->stamp_us,
                              .import_id = j->id, .tick = tick, .tick_ctx = j};
    if (r == 0)
        r = ti_writer_begin(&j->w, reterr);
    if (r == 0 && !j->docs)
        r = ti_import_new(&j->w, &j->o, &im, reterr);
    if (r == 0)
        r = j->docs ? read_docs(j, reterr) : read_all(j, im, reterr);
    if (r == 0 && !complete(j))
        r = cf_error_set(reterr, CF_ECANCELLED, "the import was cancelled");
    cf_tx_rollback(&j->w.tx);
    if (im)
        format = ti_import_format(im);
    j->report = report_of(j, format);
    copy(j->format, sizeof j->format, cf_str_c(format));
    ti_import_free(im);
    ti_writer_release(&j->w);
    cf_shared_put(&j->ti->excluded, box);
    if (r == 0)
        r = ti_job_write_state(j->ti->o.db, j->id, "finishing", j->report, NULL, format, reterr);
    if (r == 0)
        kept(j);
    return r;
}

/* ---- from outside ------------------------------------------------------------------------------------------------------------ */

bool ti_job_progress(struct cf_ti *ti, cf_str id, struct ti_progress *ret)
{
    bool here;

    (void)pthread_mutex_lock(&ti->mu);
    *ret = ti->import;
    here = id.n && cf_str_eqz(id, ti->import.id);
    (void)pthread_mutex_unlock(&ti->mu);
    return here;
}

int ti_job_wait_place(struct cf_ti *ti, struct cf_error *reterr)
{
    (void)pthread_mutex_lock(&ti->mu);
    while (ti->import.id[0] && !atomic_load(&ti->ending))
        (void)pthread_cond_wait(&ti->wake_place, &ti->mu);
    (void)pthread_mutex_unlock(&ti->mu);
    return atomic_load(&ti->ending) ? cf_error_set(reterr, CF_ECANCELLED, "the server ends") : 0;
}

bool ti_job_cancel(struct cf_ti *ti, cf_str id)
{
    struct ti_progress *p = &ti->import;
    bool can;

    (void)pthread_mutex_lock(&ti->mu);
    can = id.n && cf_str_eqz(id, p->id) && (strcmp(p->state, "uploading") == 0 || strcmp(p->state, "running") == 0);
    p->cancel |= can;
    (void)pthread_mutex_unlock(&ti->mu);
    return can;
}
