/* SPDX-License-Identifier: Apache-2.0
 * Imports in the background, one at a time, all or nothing.
 *
 *   upload ─► file without a name ─► reading and writing (writer.c), old values put aside (undo.c) ─► done
 *                                             '── error, cancel, restart ─► taken back ─► failed, cancelled, interrupted
 *
 * New rows of an import do not match before it is complete. Table ti_import keeps what became of each; its states are
 * uploading, running, finishing (complete, old values being thrown away), undoing, done, failed, cancelled, interrupted. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "audit/audit.h"
#include "ti/ti_int.h"

#define PIECE ((size_t)256 << 10)
#define KEEP "200" /* imports that the list keeps */

struct ti_job {
    struct cf_ti *ti;
    struct ti_source source;
    struct ti_writer w;
    struct ti_import_options o;
    char id[40], name[200], user[40], user_name[120], org[40];
    char format[24], columns[512], threat_type[80], family[120];
    bool active, stopped; /* stopped: the server ends, the next start takes the import back */
    int fd;
    int64_t stamp_us, t0, uploaded, read_bytes;
};

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

static void set_state(struct ti_job *j, const char *state, int64_t stamp_us)
{
    (void)pthread_mutex_lock(&j->ti->mu);
    copy(j->ti->import.state, sizeof j->ti->import.state, cf_str_c(state));
    j->ti->import_stamp_us = stamp_us;
    (void)pthread_mutex_unlock(&j->ti->mu);
}

/* Gives up the place, if it is this import's. */
static void leave(struct cf_ti *ti, const char *id)
{
    (void)pthread_mutex_lock(&ti->mu);
    if (strcmp(ti->import.id, id) == 0) {
        ti->import = (struct ti_progress){.bytes = 0};
        ti->import_stamp_us = 0;
    }
    (void)pthread_mutex_unlock(&ti->mu);
}

static void job_free(struct ti_job *j)
{
    if (j->fd >= 0)
        (void)close(j->fd);
    free(j);
}

static int write_state(struct cf_db *db, const char *id, const char *state, const json_t *report, const char *error, const char *format, struct cf_error *reterr)
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

/* The row of the list, and the end of it in the audit trail; the place is free before both can be seen. */
static void end(struct ti_job *j, const char *state, const json_t *report, const char *error, const char *format)
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
    if (write_state(j->ti->o.db, j->id, state, report, error, format, &err) < 0)
        cf_log_error("ti", "the end of an import was not written down", "id=%s state=%s reason=\"%s\"", j->id, state, err.msg);
    if (j->ti->o.audit) {
        const struct cf_audit_entry e = {.user_id = cf_str_c(j->user), .user_name = cf_str_c(j->user_name), .org_id = cf_str_c(j->org), .action = CF_STR("ti.import"),
                                         .object = cf_str_c(j->id), .result = cf_str_c(result), .after = after};

        if (cf_audit_write(j->ti->o.audit, &e, &err) < 0)
            cf_log_error("audit", "an entry was not written", "id=%s why=\"%s\"", j->id, err.msg);
    }
    json_decref(after);
}

/* ---- begin ------------------------------------------------------------------------------------------------------------------ */

static int take_place(struct ti_job *j, int64_t bytes, struct cf_error *reterr)
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
        r = cf_tx_exec(tx, "DELETE FROM ti_import WHERE created_us < (SELECT created_us FROM ti_import ORDER BY created_us DESC LIMIT 1 OFFSET " KEEP ")", reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO ti_import (id, org_id, source_id, name, state, stamp_us, created_by, created_us) VALUES (?,?,?,?,'uploading',?,?,?)", reterr, CF_Z(j->id),
                       CF_Z(j->org[0] ? j->org : "root"), CF_Z(j->source.id), CF_Z(j->name), CF_I(j->stamp_us), CF_Z(j->user), CF_I(j->stamp_us));
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

int ti_job_begin(struct cf_ti *ti, const char *dir, const struct ti_job_new *n, struct ti_job **ret, struct cf_error *reterr)
{
    struct ti_job *j = calloc(1, sizeof *j);
    int r;

    if (!j)
        return cf_error_set(reterr, CF_ENOMEM, "import");
    j->ti = ti;
    j->fd = -1;
    j->active = n->active;
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
    r = ti_source_read(ti->o.db, n->source, &j->source, reterr);
    if (r == 0)
        r = options_are_good(&j->o, reterr);
    if (r == 0)
        r = take_place(j, n->bytes, reterr);
    if (r < 0) {
        job_free(j);
        return r;
    }
    j->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    r = j->fd < 0 ? cf_error_errno(reterr, "temporary file for the import") : write_new(j, reterr);
    if (r < 0) {
        leave(ti, j->id);
        job_free(j);
        return r;
    }
    *ret = j;
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
    end(j, cancel ? "cancelled" : "interrupted", NULL, cancel ? NULL : "the upload did not arrive to its end; nothing was taken", NULL);
    job_free(j);
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
    j->stopped = j->ti->stop;
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

static int64_t rows_kept(const struct ti_job *j)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int64_t n = 0;

    if (cf_tx_begin(j->ti->o.db, CF_TX_READ, &tx, NULL) == 0 &&
        cf_tx_query(tx, "SELECT COUNT(*) FROM ti_indicator WHERE added_us = ? AND source_id = ?", &st, NULL, CF_I(j->stamp_us), CF_Z(j->source.id)) == 0 && cf_stmt_next(st, NULL) == 1)
        n = cf_stmt_i64(st, 0);
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return n;
}

/* Not complete: everything back. When even that fails, the next start tries again. */
static void take_back(struct ti_job *j, json_t *report, const char *format, const struct cf_error *why)
{
    bool cancelled = why->code == CF_ECANCELLED;
    struct cf_error err = {0};
    int r;

    if (j->stopped)
        return;
    set_state(j, "undoing", j->stamp_us);
    r = write_state(j->ti->o.db, j->id, "undoing", NULL, NULL, format, &err);
    if (r == 0)
        r = ti_undo_run(j->ti->o.db, j->id, j->source.id, j->stamp_us, &err);
    if (r < 0) {
        cf_log_error("ti", "an import was not taken back; the next start tries again", "id=%s reason=\"%s\"", j->id, err.msg);
        leave(j->ti, j->id);
        return;
    }
    (void)json_object_set_new(report, "kept", json_integer(rows_kept(j)));
    end(j, cancelled ? "cancelled" : "failed", report, cancelled ? NULL : why->msg, format);
    cf_ti_changed(j->ti);
}

static void keep(struct ti_job *j, const json_t *report, const char *format)
{
    struct cf_error err = {0};

    set_state(j, "finishing", 0);
    cf_ti_changed(j->ti);
    if (write_state(j->ti->o.db, j->id, "finishing", report, NULL, format, &err) < 0 || ti_undo_forget(j->ti->o.db, j->id, &err) < 0)
        cf_log_warn("ti", "what an import replaced was not thrown away; the next start does", "id=%s reason=\"%s\"", j->id, err.msg);
    end(j, "done", report, NULL, format);
}

static int run(struct ti_job *j, json_t **ret_report, struct cf_error *reterr)
{
    struct cf_shared_box *box = cf_shared_get(&j->ti->excluded);
    struct ti_import *im = NULL;
    const char *format = "";
    json_t *report;
    int r = write_running(j, reterr);

    set_state(j, "running", j->stamp_us);
    j->w = (struct ti_writer){.db = j->ti->o.db, .source = &j->source, .excluded = box ? box->p : NULL, .user = j->user, .active = j->active, .now_us = j->stamp_us,
                              .import_id = j->id, .tick = tick, .tick_ctx = j};
    if (r == 0)
        r = ti_writer_begin(&j->w, reterr);
    if (r == 0)
        r = ti_import_new(&j->w, &j->o, &im, reterr);
    if (r == 0)
        r = read_all(j, im, reterr);
    if (r == 0 && !complete(j))
        r = cf_error_set(reterr, CF_ECANCELLED, "the import was cancelled");
    cf_tx_rollback(&j->w.tx);
    if (im)
        format = ti_import_format(im);
    report = ti_writer_report(&j->w);
    (void)json_object_del(report, "preview");
    (void)json_object_set_new(report, "format", json_string(format));
    (void)json_object_set_new(report, "seconds", json_real((double)(cf_mono_us() - j->t0) / 1e6));
    (void)json_object_set_new(report, "import", json_string(j->id));
    if (r == 0)
        keep(j, report, format);
    else
        take_back(j, report, format, reterr);
    ti_import_free(im);
    ti_writer_release(&j->w);
    cf_shared_put(&j->ti->excluded, box);
    if (ret_report && r == 0)
        *ret_report = json_incref(report);
    json_decref(report);
    return r;
}

int ti_job_run(struct ti_job *j, json_t **ret_report, struct cf_error *reterr)
{
    int r = run(j, ret_report, reterr);

    job_free(j);
    return r;
}

static void *importer_main(void *arg)
{
    struct ti_job *j = arg;
    struct cf_error err = {0};

    if (run(j, NULL, &err) < 0)
        cf_log_info("ti", "an import ended early", "id=%s reason=\"%s\"", j->id, err.msg);
    job_free(j);
    return NULL;
}

/* The thread before has given up the place: it ends now or has ended. */
static int start_thread(struct cf_ti *ti, void *(*fn)(void *), void *arg, struct cf_error *reterr)
{
    if (ti->importer_on)
        (void)pthread_join(ti->importer, NULL);
    ti->importer_on = pthread_create(&ti->importer, NULL, fn, arg) == 0;
    return ti->importer_on ? 0 : cf_error_set(reterr, CF_EIO, "the thread of imports does not start");
}

int ti_job_start(struct ti_job *j, struct cf_error *reterr)
{
    int r;

    set_state(j, "running", j->stamp_us);
    r = start_thread(j->ti, importer_main, j, reterr);
    if (r < 0) {
        end(j, "failed", NULL, reterr->msg, NULL);
        job_free(j);
    }
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

/* ---- after a crash ------------------------------------------------------------------------------------------------------------ */

/* What the last run of the server left, known before a new import can begin: one that begins meanwhile is none of it. */
struct left_over {
    struct ti_job j;
    char state[16];
};
struct left_overs {
    struct cf_ti *ti;
    struct left_over *one; /* owned, the oldest first */
    size_t n, cap;
};

static void left_overs_free(struct left_overs *l)
{
    if (l)
        free(l->one);
    free(l);
}

static int add_left_over(struct left_overs *l, const struct cf_stmt *st, struct cf_error *reterr)
{
    struct left_over *x;

    if (!cf_grow((void **)&l->one, &l->cap, l->n + 1, sizeof *l->one))
        return cf_error_set(reterr, CF_ENOMEM, "imports");
    x = &l->one[l->n++];
    *x = (struct left_over){.j = {.ti = l->ti, .fd = -1, .stamp_us = cf_stmt_i64(st, 2)}};
    copy(x->j.id, sizeof x->j.id, cf_stmt_str(st, 0));
    copy(x->j.source.id, sizeof x->j.source.id, cf_stmt_str(st, 1));
    copy(x->state, sizeof x->state, cf_stmt_str(st, 3));
    copy(x->j.name, sizeof x->j.name, cf_stmt_str(st, 4));
    copy(x->j.user, sizeof x->j.user, cf_stmt_str(st, 5));
    copy(x->j.org, sizeof x->j.org, cf_stmt_str(st, 6));
    return 0;
}

static int find_left_overs(struct left_overs *l, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int r = cf_tx_begin(l->ti->o.db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT id, source_id, stamp_us, state, name, COALESCE(created_by, ''), org_id FROM ti_import"
                            " WHERE state IN ('uploading', 'running', 'finishing', 'undoing') ORDER BY created_us, id", &st, reterr);
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1)
        r = add_left_over(l, st, reterr);
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return r;
}

static int recover_one(struct ti_job *j, const char *state, struct cf_error *reterr)
{
    struct cf_db *db = j->ti->o.db;
    json_t *report;
    int r;

    if (strcmp(state, "finishing") == 0) {
        r = ti_undo_forget(db, j->id, reterr);
        if (r == 0)
            end(j, "done", NULL, NULL, NULL);
        return r;
    }
    r = strcmp(state, "uploading") == 0 ? 0 : ti_undo_run(db, j->id, j->source.id, j->stamp_us, reterr);
    if (r == 0) {
        report = json_pack("{s:I}", "kept", (json_int_t)rows_kept(j));
        end(j, "interrupted", report, "the server was restarted before the import was complete", NULL);
        json_decref(report);
    }
    return r;
}

static void *recover_main(void *arg)
{
    struct left_overs *l = arg;
    struct cf_error err = {0};
    int r = 0;

    for (size_t i = 0; i < l->n && r == 0; i++) {
        r = recover_one(&l->one[i].j, l->one[i].state, &err);
        if (r < 0) {
            cf_log_error("ti", "an interrupted import was not taken back; the next start tries again", "id=%s reason=\"%s\"", l->one[i].j.id, err.msg);
            leave(l->ti, l->one[i].j.id);
        }
    }
    cf_ti_changed(l->ti);
    left_overs_free(l);
    return NULL;
}

int ti_job_recover(struct cf_ti *ti, struct cf_error *reterr)
{
    struct left_overs *l;
    int r;

    if (!ti->o.thread)
        return 0;
    l = calloc(1, sizeof *l);
    if (!l)
        return cf_error_set(reterr, CF_ENOMEM, "imports");
    l->ti = ti;
    r = find_left_overs(l, reterr);
    if (r < 0 || l->n == 0) {
        left_overs_free(l);
        return r;
    }
    if (take_place(&l->one[0].j, 0, reterr) == 0)
        set_state(&l->one[0].j, "undoing", strcmp(l->one[0].state, "finishing") == 0 ? 0 : l->one[0].j.stamp_us);
    r = start_thread(ti, recover_main, l, reterr);
    if (r < 0)
        left_overs_free(l);
    return r;
}

void ti_job_stop(struct cf_ti *ti)
{
    if (ti->importer_on)
        (void)pthread_join(ti->importer, NULL);
    ti->importer_on = false;
}
