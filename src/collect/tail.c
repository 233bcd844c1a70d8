/* SPDX-License-Identifier: Apache-2.0
 * The tail thread: looks which files there are, gives each of them a piece in turn, sleeps until something changes.
 *
 *   look (patterns -> files) -> one piece of every file, again while any had some -> wait: inotify or the poll interval */
#include "collect/tail.h"

#include <errno.h>
#include <dirent.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/tail_int.h"

#define DIR_EVENTS (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)
#define CHUNK ((size_t)256 << 10)

void tail_error(struct cf_tail *t, const char *path, const char *what, const char *why)
{
    cf_log_warn("collect", what, "path=\"%s\" reason=\"%s\"", path, why ? why : "unknown");
    atomic_fetch_add(&t->s_errors, 1);
    (void)pthread_mutex_lock(&t->kept.mu);
    (void)snprintf(t->error, sizeof t->error, "%.90s: %s: %.80s", path, what, why ? why : "unknown");
    (void)pthread_mutex_unlock(&t->kept.mu);
}

/* ---- which files --------------------------------------------------------------------------------------------------------------- */

static struct tail_file *open_file(struct cf_tail *t, uint64_t dev, uint64_t ino)
{
    for (struct tail_file *f = t->files; f; f = f->next)
        if (t->pos[f->slot].ino == ino && t->pos[f->slot].dev == dev)
            return f;
    return NULL;
}

static void rename_file(struct cf_tail *t, struct tail_file *f, const char *path)
{
    struct tail_pos *p = &t->pos[f->slot];
    char *name = strcmp(p->path, path) != 0 ? strdup(path) : NULL;

    if (!name)
        return;
    (void)pthread_mutex_lock(&t->kept.mu);
    free(p->path);
    p->path = name;
    t->kept.changed = true;
    (void)pthread_mutex_unlock(&t->kept.mu);
    atomic_fetch_add(&t->s_rotations, 1);
}

static void look_at(struct cf_tail *t, const struct cf_intake *cfg, const char *path)
{
    struct tail_file *f;
    struct stat st;

    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || strchr(path, '\n'))
        return;
    f = open_file(t, st.st_dev, st.st_ino);
    if (f) {
        if (!f->named)
            rename_file(t, f, path);
        f->named = true;
        f->lost_us = 0;
    } else if (t->n_files >= t->o.files_max) {
        tail_error(t, path, "file not followed", "more files than tail.files_max");
    } else {
        (void)tail_file_attach(t, cfg, path, false);
    }
}

/* The folders of a pattern are watched also while no file is in them. */
static void watch_dirs(struct cf_tail *t, const char *pattern)
{
    char dir[4200];
    char *slash;
    glob_t g;

    (void)snprintf(dir, sizeof dir, "%s", pattern);
    slash = strrchr(dir, '/');
    if (!slash || t->notify_fd < 0)
        return;
    *(slash == dir ? slash + 1 : slash) = '\0';
    if (glob(dir, GLOB_NOSORT | GLOB_ONLYDIR, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++) /* a second time: the same watch */
            (void)inotify_add_watch(t->notify_fd, g.gl_pathv[i], DIR_EVENTS | IN_MODIFY | IN_ONLYDIR);
        globfree(&g);
    }
}

/* At the start: a file that was rotated away while we were not there is still in its folder, under a name no pattern has. */
static void find_by_inode(struct cf_tail *t, size_t slot)
{
    char dir[4200], path[4600];
    struct dirent *e;
    char *slash;
    DIR *d;

    (void)snprintf(dir, sizeof dir, "%s", t->pos[slot].path);
    slash = strrchr(dir, '/');
    if (!slash)
        return;
    *slash = '\0';
    d = opendir(dir[0] ? dir : "/");
    while (d && (e = readdir(d)))
        if (e->d_ino == t->pos[slot].ino) {
            const struct cf_intake *cfg = &t->path[0];
            struct tail_file *f;
            uint32_t gen = t->pos[slot].gen;

            for (size_t i = 0; i < t->o.n_paths; i++) { /* of the pattern in the same folder, where there is one */
                const char *end = strrchr(t->path[i].what, '/');

                if ((size_t)(end - t->path[i].what) == strlen(dir) && strncmp(t->path[i].what, dir, strlen(dir)) == 0)
                    cfg = &t->path[i];
            }
            (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
            f = tail_file_attach(t, cfg, path, true);
            if (f && t->pos[f->slot].gen != gen)
                tail_file_close(t, f, false); /* the inode is another file's now, and no pattern asks for that one */
            else if (f)
                f->lost_us = cf_mono_us();
            break;
        }
    if (d)
        (void)closedir(d);
}

void tail_look(struct cf_tail *t)
{
    int64_t now = cf_mono_us();

    for (struct tail_file *f = t->files; f; f = f->next)
        f->named = false;
    for (size_t i = 0; i < t->o.n_paths; i++) {
        glob_t g;

        watch_dirs(t, t->path[i].what);
        if (glob(t->path[i].what, GLOB_BRACE, NULL, &g) != 0)
            continue;
        for (size_t k = 0; k < g.gl_pathc; k++)
            look_at(t, &t->path[i], g.gl_pathv[k]);
        globfree(&g);
    }
    for (size_t i = 0, n = t->n_pos; !t->looked && i < n; i++)
        if (!t->pos[i].packed && !open_file(t, t->pos[i].dev, t->pos[i].ino))
            find_by_inode(t, i);
    for (struct tail_file *f = t->files; f; f = f->next)
        if (!f->named && !f->lost_us) {
            f->lost_us = now;
            atomic_fetch_add(&t->s_rotations, 1);
        }
    t->looked = true;
}

/* Files without a name that have not grown for a while are finished: their last line counts even without its end. */
static void close_lost(struct cf_tail *t)
{
    int64_t now = cf_mono_us();
    struct tail_file *next;

    for (struct tail_file *f = t->files; f; f = next) {
        next = f->next;
        if (f->lost_us && now - f->lost_us >= t->o.rotated_us && now - f->grown_us >= t->o.rotated_us)
            tail_file_close(t, f, true);
    }
}

/* ---- thread --------------------------------------------------------------------------------------------------------------------- */

/* Waits for a change. True: files came or went. */
static bool wait_change(struct cf_tail *t)
{
    struct pollfd p[2] = {{.fd = t->stop_fd, .events = POLLIN}, {.fd = t->notify_fd, .events = POLLIN}};
    char b[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool dirs = false;
    ssize_t n;

    if (poll(p, t->notify_fd < 0 ? 1 : 2, (int)(t->o.poll_us / 1000)) <= 0 || t->notify_fd < 0 || !(p[1].revents & POLLIN))
        return false;
    (void)usleep(5000); /* what is written in the next moments comes in one piece */
    while ((n = read(t->notify_fd, b, sizeof b)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(b + at);

            dirs = dirs || (e->mask & (DIR_EVENTS | IN_Q_OVERFLOW | IN_IGNORED));
            at += (ssize_t)(sizeof *e + e->len);
        }
    return dirs;
}

static void *tail_main(void *arg)
{
    struct cf_tail *t = arg;
    int64_t looked_us = 0;
    bool changed = true;

    while (!atomic_load(&t->stop)) {
        int64_t now = cf_mono_us();
        uint64_t behind = 0;
        bool more = false;

        if (changed || now - looked_us >= (t->notify_fd < 0 ? t->o.poll_us : 5 * t->o.poll_us)) {
            tail_look(t);
            looked_us = now;
        }
        for (struct tail_file *f = t->files; f && !atomic_load(&t->stop); f = f->next) {
            more = tail_file_step(t, f) || more;
            behind += f->size > f->at && !t->pos[f->slot].packed ? f->size - f->at : 0;
        }
        atomic_store(&t->s_behind, behind);
        atomic_store(&t->s_files, t->n_files);
        close_lost(t);
        changed = !more && wait_change(t);
    }
    return NULL;
}

static int set_up(struct cf_tail *t, const struct cf_tail_options *o, struct cf_error *reterr)
{
    size_t frame = cf_spool_frame_max(o->spool);
    int r;

    t->o = *o;
    t->o.files_max = o->files_max ? o->files_max : 1024;
    t->o.poll_us = o->poll_us > 0 ? o->poll_us : CF_US_PER_S;
    t->o.rotated_us = o->rotated_us > 0 ? o->rotated_us : 10 * CF_US_PER_S;
    t->chunk = frame / 4 < CHUNK ? frame / 4 : CHUNK;
    t->line_max = o->line_max && o->line_max < frame / 4 ? o->line_max : frame / 4;
    t->out_cap = t->chunk + 3 * t->line_max + 64;
    t->buf = malloc(2 * t->chunk + t->line_max + 64);
    t->out = malloc(t->out_cap);
    t->rec = calloc(TAIL_RECS, sizeof *t->rec);
    t->path = calloc(o->n_paths + 1, sizeof *t->path);
    if (!t->buf || !t->out || !t->rec || !t->path)
        return cf_error_set(reterr, CF_ENOMEM, "file tail");
    for (size_t i = 0; i < o->n_paths; i++) {
        if (o->path[i].what[0] != '/')
            return cf_error_set(reterr, CF_EINVAL, "tail.paths: \"%s\" is no absolute path", o->path[i].what);
        if (!cf_intake_copy(&t->path[i], &o->path[i]))
            return cf_error_set(reterr, CF_ENOMEM, "file tail");
    }
    r = tail_pos_load(t, reterr);
    if (r < 0)
        return r;
    t->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!o->no_inotify)
        t->notify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK); /* none left: polling does */
    t->on = t->stop_fd >= 0 && pthread_create(&t->thread, NULL, tail_main, t) == 0;
    return t->on ? 0 : cf_error_set(reterr, CF_ENOMEM, "file tail");
}

int cf_tail_start(const struct cf_tail_options *o, struct cf_tail **ret, struct cf_error *reterr)
{
    struct cf_tail *t = calloc(1, sizeof *t);
    int r;

    if (!t)
        return cf_error_set(reterr, CF_ENOMEM, "file tail");
    t->stop_fd = t->notify_fd = -1;
    r = cf_positions_init(&t->kept, o->spool, o->state_path, "positions of followed files", "tail.before_save", "tail.saved", reterr);
    if (r == 0)
        r = set_up(t, o, reterr);
    if (r < 0) {
        cf_tail_stop(t);
        return r;
    }
    *ret = t;
    return 0;
}

/* Stops reading; positions are saved by cf_tail_save, files are not flushed: they are followed again at the next start. */
static void end_thread(struct cf_tail *t)
{
    uint64_t one = 1;

    atomic_store(&t->stop, true);
    if (t->stop_fd >= 0 && write(t->stop_fd, &one, sizeof one) < 0)
        cf_log_warn("collect", "stop signal not sent", "errno=%d", errno);
    if (t->on)
        (void)pthread_join(t->thread, NULL);
    t->on = false;
}

void cf_tail_stop(struct cf_tail *t)
{
    struct cf_error err = {0};

    if (!t)
        return;
    end_thread(t);
    if (t->kept.path && t->kept.spool && cf_tail_save(t, &err) < 0)
        cf_log_warn("collect", "positions of followed files not saved", "reason=\"%s\"", err.msg);
    while (t->files)
        tail_file_close(t, t->files, false);
    if (t->stop_fd >= 0)
        (void)close(t->stop_fd);
    if (t->notify_fd >= 0)
        (void)close(t->notify_fd);
    for (size_t i = 0; t->path && i < t->o.n_paths; i++)
        cf_intake_release(&t->path[i]);
    for (size_t i = 0; i < t->n_pos; i++)
        free(t->pos[i].path);
    free(t->pos);
    free(t->path);
    cf_positions_release(&t->kept);
    free(t->buf);
    free(t->out);
    free(t->rec);
    free(t);
}

void cf_tail_get_stats(struct cf_tail *t, struct cf_tail_stats *ret)
{
    *ret = (struct cf_tail_stats){
        .files = atomic_load(&t->s_files), .records = atomic_load(&t->s_records), .bytes = atomic_load(&t->s_bytes),
        .rotations = atomic_load(&t->s_rotations), .truncations = atomic_load(&t->s_truncations), .packed_files = atomic_load(&t->s_packed),
        .cut = atomic_load(&t->s_cut), .errors = atomic_load(&t->s_errors), .behind = atomic_load(&t->s_behind), .paused = atomic_load(&t->paused),
    };
    (void)pthread_mutex_lock(&t->kept.mu);
    memcpy(ret->error, t->error, sizeof ret->error);
    (void)pthread_mutex_unlock(&t->kept.mu);
}

const struct cf_intake *cf_tail_path(const struct cf_tail *t, size_t i) { return i < t->o.n_paths ? &t->path[i] : NULL; }
