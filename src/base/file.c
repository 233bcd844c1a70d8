/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int cf_file_read(const char *path, struct cf_buf *b, struct cf_error *reterr)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;

    if (fd < 0)
        return cf_error_errno(reterr, "opening \"%s\"", path);
    for (;;) {
        ssize_t n;
        if (!cf_buf_reserve(b, 65536)) { /* near the maximum: take what still fits, then one byte more decides */
            size_t room = b->max > b->n ? b->max - b->n : 0;
            char probe;
            b->failed = false;
            if (room && !cf_buf_reserve(b, room)) {
                r = cf_error_set(reterr, CF_ENOMEM, "reading \"%s\": out of memory", path);
                break;
            }
            n = room ? read(fd, b->p + b->n, room) : read(fd, &probe, 1);
            if (n > 0 && !room) {
                r = cf_error_set(reterr, CF_ELIMIT, "\"%s\" is larger than %zu bytes", path, b->max);
                break;
            }
        } else {
            n = read(fd, b->p + b->n, b->cap - b->n);
        }
        if (n == 0)
            break;
        if (n < 0) {
            if (errno == EINTR)
                continue;
            r = cf_error_errno(reterr, "reading \"%s\"", path);
            break;
        }
        b->n += (size_t)n;
    }
    (void)close(fd);
    return r;
}

static int write_all(int fd, cf_str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        s.p += n;
        s.n -= (size_t)n;
    }
    return 0;
}

int cf_fsync_dir(const char *path, struct cf_error *reterr)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

    if (fd < 0)
        return cf_error_errno(reterr, "opening folder \"%s\"", path);
    if (fsync(fd) < 0)
        r = cf_error_errno(reterr, "syncing folder \"%s\"", path);
    (void)close(fd);
    return r;
}

int cf_file_write_durable(const char *path, cf_str content, unsigned mode, struct cf_error *reterr)
{
    char tmp[PATH_MAX], dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int fd, r = 0;

    if (snprintf(tmp, sizeof tmp, "%s.tmp%d", path, (int)getpid()) >= (int)sizeof tmp)
        return cf_error_set(reterr, CF_ELIMIT, "path too long: \"%s\"", path);
    (void)snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    if (slash == path)
        (void)snprintf(dir, sizeof dir, "/");
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return cf_error_errno(reterr, "creating \"%s\"", tmp);
    if (write_all(fd, content) < 0 || fsync(fd) < 0)
        r = cf_error_errno(reterr, "writing \"%s\"", tmp);
    if (close(fd) < 0 && r == 0)
        r = cf_error_errno(reterr, "closing \"%s\"", tmp);
    if (r == 0 && rename(tmp, path) < 0)
        r = cf_error_errno(reterr, "renaming to \"%s\"", path);
    if (r == 0)
        return cf_fsync_dir(dir, reterr);
    (void)unlink(tmp);
    return r;
}

int cf_mkdir_p(const char *path, unsigned mode, struct cf_error *reterr)
{
    char p[PATH_MAX];
    size_t n = strlen(path);
    struct stat st;

    if (n == 0 || n >= sizeof p)
        return cf_error_set(reterr, CF_EINVAL, "folder name of %zu bytes", n);
    memcpy(p, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (p[i] != '/' && p[i] != '\0')
            continue;
        char keep = p[i];
        p[i] = '\0';
        if (mkdir(p, mode) < 0 && errno != EEXIST)
            return cf_error_errno(reterr, "creating folder \"%s\"", p);
        p[i] = keep;
    }
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return cf_error_set(reterr, CF_EEXIST, "\"%s\" exists and is no folder", path);
    return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static int walk_dir(const char *path, const char *suffix, cf_walk_fn fn, void *ctx, int depth, struct cf_error *reterr);

static int walk_one(const char *path, const char *suffix, cf_walk_fn fn, void *ctx, int depth, struct cf_error *reterr)
{
    struct stat st;

    /* the first path is what the caller named: a link there is meant */
    if ((depth == 0 ? stat(path, &st) : lstat(path, &st)) < 0)
        return cf_error_errno(reterr, "\"%s\"", path);
    if (S_ISDIR(st.st_mode))
        return walk_dir(path, suffix, fn, ctx, depth + 1, reterr);
    if (!S_ISREG(st.st_mode) || (depth > 0 && !cf_str_ends(cf_str_c(path), cf_str_c(suffix))))
        return 0;
    return fn(ctx, path);
}

static int walk_dir(const char *path, const char *suffix, cf_walk_fn fn, void *ctx, int depth, struct cf_error *reterr)
{
    struct dirent **list;
    int n, r = 0;

    if (depth > 32)
        return cf_error_set(reterr, CF_ELIMIT, "folders nested more than 32 deep at \"%s\"", path);
    n = scandir(path, &list, NULL, by_name);
    if (n < 0)
        return cf_error_errno(reterr, "reading folder \"%s\"", path);
    for (int i = 0; i < n; i++) {
        char child[PATH_MAX];
        if (r == 0 && list[i]->d_name[0] != '.' &&
            snprintf(child, sizeof child, "%s/%s", path, list[i]->d_name) < (int)sizeof child)
            r = walk_one(child, suffix, fn, ctx, depth, reterr);
        free(list[i]);
    }
    free(list);
    return r;
}

int cf_walk(const char *path, const char *suffix, cf_walk_fn fn, void *ctx, struct cf_error *reterr)
{
    return walk_one(path, suffix, fn, ctx, 0, reterr);
}

char *cf_path_join(struct cf_arena *a, const char *dir, const char *name)
{
    return (char *)cf_arena_printf(a, "%s%s%s", dir, dir[0] && dir[strlen(dir) - 1] == '/' ? "" : "/", name).p;
}
