/* SPDX-License-Identifier: Apache-2.0
 * Compiled automata on disk, so that a restart does not compile them again. A file is named by the hash of what it was compiled
 * from and holds that text's hash, the library's version, the processor's features and a checksum: anything that does not fit is
 * left aside and compiled anew. Only files of our own user that nobody else may write are read. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "detect/detect_int.h"

#define CACHE_MAGIC "CFHSDB01"
#define CACHE_FILE_MAX (256u << 20)
#define CACHE_FILES 512u /* the oldest go beyond this */

struct head {
    char magic[8];
    uint64_t key[2];   /* two hashes of what was compiled */
    uint64_t cpu, tune;
    uint64_t n;        /* bytes behind the head */
    uint32_t crc;      /* of them */
    char version[44];
};

static void fill_head(struct head *h, cf_str key)
{
    hs_platform_info_t pf = {0};

    memset(h, 0, sizeof *h);
    memcpy(h->magic, CACHE_MAGIC, sizeof h->magic);
    h->key[0] = cf_hash64(key);
    h->key[1] = cf_hash64_seed(key, 0x13198a2e03707344u);
    (void)hs_populate_platform(&pf);
    h->cpu = pf.cpu_features;
    h->tune = pf.tune;
    (void)snprintf(h->version, sizeof h->version, "%s", hs_version());
}

static void path_of(const char *dir, const struct head *h, const char *end, char out[4200])
{
    (void)snprintf(out, 4200, "%s/%016llx%016llx%s", dir, (unsigned long long)h->key[0], (unsigned long long)h->key[1], end);
}

static bool read_all(int fd, void *p, size_t n)
{
    char *at = p;

    while (n) {
        ssize_t r = read(fd, at, n);

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return false;
        at += r;
        n -= (size_t)r;
    }
    return true;
}

static bool ours(int fd, const struct head *want, struct head *h)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)) && st.st_size > (off_t)sizeof *h &&
           st.st_size <= (off_t)CACHE_FILE_MAX && read_all(fd, h, sizeof *h) && h->n == (uint64_t)st.st_size - sizeof *h &&
           memcmp(h->magic, want->magic, sizeof h->magic) == 0 && h->key[0] == want->key[0] && h->key[1] == want->key[1] && h->cpu == want->cpu &&
           h->tune == want->tune && memcmp(h->version, want->version, sizeof h->version) == 0;
}

hs_database_t *cf_cache_load(const char *dir, cf_str key)
{
    struct head want, h;
    hs_database_t *db = NULL;
    char path[4200], *bytes = NULL;
    int fd;

    if (!dir)
        return NULL;
    fill_head(&want, key);
    path_of(dir, &want, ".hsdb", path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    if (ours(fd, &want, &h) && (bytes = malloc(h.n)) && read_all(fd, bytes, h.n) && cf_crc32c(0, bytes, h.n) == h.crc &&
        hs_deserialize_database(bytes, h.n, &db) != HS_SUCCESS)
        db = NULL;
    if (db)
        (void)futimens(fd, NULL); /* in use: not the oldest any more */
    else
        (void)unlink(path);
    (void)close(fd);
    free(bytes);
    return db;
}

struct aged {
    char name[48];
    int64_t at;
};
static int by_age(const void *a, const void *b)
{
    const struct aged *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Keeps the folder small: rules change, and what was compiled from old ones is of no use. */
static void prune(const char *dir)
{
    struct aged *f = calloc(2 * CACHE_FILES, sizeof *f);
    DIR *d = f ? opendir(dir) : NULL;
    size_t n = 0;

    for (struct dirent *e; d && n < 2 * CACHE_FILES && (e = readdir(d));) {
        struct stat st;
        size_t len = strlen(e->d_name);

        if (len < 37 || len >= sizeof f->name || !strstr(e->d_name, ".hsdb") || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        memcpy(f[n].name, e->d_name, len + 1);
        f[n++].at = st.st_mtim.tv_sec;
    }
    if (n > CACHE_FILES) {
        qsort(f, n, sizeof *f, by_age);
        for (size_t i = 0; i < n - CACHE_FILES * 3 / 4; i++)
            (void)unlinkat(dirfd(d), f[i].name, 0);
    }
    if (d)
        (void)closedir(d);
    free(f);
}

void cf_cache_save(const char *dir, cf_str key, const hs_database_t *db)
{
    struct head h;
    char path[4200], tmp[4200], *bytes = NULL;
    struct cf_error err = {0};
    size_t n = 0;
    bool ok;
    int fd;

    if (!dir || cf_mkdir_p(dir, 0700, &err) < 0 || hs_serialize_database(db, &bytes, &n) != HS_SUCCESS)
        return;
    fill_head(&h, key);
    h.n = n;
    h.crc = cf_crc32c(0, bytes, n);
    path_of(dir, &h, ".hsdb", path);
    (void)snprintf(tmp, sizeof tmp, "%.4100s.%d.tmp", path, (int)getpid());
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) { /* no fsync: a torn file fails its checksum and is made again */
        ok = write(fd, &h, sizeof h) == (ssize_t)sizeof h;
        for (size_t at = 0; ok && at < n;) {
            ssize_t w = write(fd, bytes + at, n - at);

            ok = w > 0;
            at += ok ? (size_t)w : 0;
        }
        if (close(fd) != 0 || !ok || rename(tmp, path) != 0)
            (void)unlink(tmp);
        prune(dir);
    }
    free(bytes);
}
