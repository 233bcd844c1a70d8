/* SPDX-License-Identifier: Apache-2.0
 * Which file is it: by inode and hashes of its content, so that a renamed, copied, truncated or packed one goes on where it stood. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/tail_int.h"

#define COPYING_US (60 * CF_US_PER_S) /* a file that begins as another one does is not read for that long, while it grows */

bool tail_pread_all(int fd, char *p, size_t n, uint64_t off)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = pread(fd, p + got, n - got, (off_t)(off + got));

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return false;
        got += (size_t)r;
    }
    return true;
}

bool tail_hash_at(int fd, uint64_t off, size_t n, uint64_t *ret)
{
    char b[TAIL_HEAD_MAX];

    if (n > sizeof b || !tail_pread_all(fd, b, n, off))
        return false;
    *ret = cf_hash64(cf_str_n(b, n));
    return true;
}

/* ---- packed files ------------------------------------------------------------------------------------------------------- */

bool tail_is_packed(int fd)
{
    static const struct {
        const char *p;
        size_t n;
    } magic[] = {{"\x1f\x8b", 2}, {"\x28\xb5\x2f\xfd", 4}, {"\xfd\x37zXZ", 5}, {"BZh", 3}};
    char b[6];
    ssize_t n = pread(fd, b, sizeof b, 0);

    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
        if (n >= (ssize_t)magic[i].n && memcmp(b, magic[i].p, magic[i].n) == 0)
            return true;
    return false;
}

/* A packed file shows its magic only once it is written to: until then its name says what it will be. */
bool tail_packed_later(const char *path, const struct stat *st)
{
    static const char *const end[] = {".gz", ".zst", ".xz", ".bz2"};

    for (size_t i = 0; st->st_size < 6 && i < sizeof end / sizeof *end; i++)
        if (cf_str_iends(cf_str_c(path), cf_str_c(end[i])))
            return true;
    return false;
}

struct archive *tail_packed_open(const char *path)
{
    struct archive *a = archive_read_new();
    struct archive_entry *e;

    if (a && archive_read_support_filter_gzip(a) >= ARCHIVE_WARN && archive_read_support_filter_zstd(a) >= ARCHIVE_WARN &&
        archive_read_support_filter_xz(a) >= ARCHIVE_WARN && archive_read_support_filter_bzip2(a) >= ARCHIVE_WARN &&
        archive_read_support_format_raw(a) == ARCHIVE_OK && archive_read_open_filename(a, path, 65536) == ARCHIVE_OK &&
        archive_read_next_header(a, &e) == ARCHIVE_OK)
        return a;
    (void)archive_read_free(a);
    return NULL;
}

/* Reads exactly n bytes (into nowhere when p is NULL). */
bool tail_packed_take(struct archive *a, char *p, uint64_t n)
{
    char waste[65536];

    while (n) {
        size_t want = n < sizeof waste ? (size_t)n : sizeof waste;
        la_ssize_t r = archive_read_data(a, p ? p : waste, want);

        if (r <= 0)
            return false;
        n -= (uint64_t)r;
        if (p)
            p += r;
    }
    return true;
}

/* ---- which file is it ----------------------------------------------------------------------------------------------------- */

/* "app.log.2.gz", "app.log-20261121" -> length of "app.log". */
static size_t stem(const char *name)
{
    size_t n = strlen(name);

    for (;;) {
        size_t k = n;

        for (const char *const *e = (const char *const[]){".gz", ".zst", ".xz", ".bz2", NULL}; *e; e++)
            if (n > strlen(*e) && strncmp(name + n - strlen(*e), *e, strlen(*e)) == 0)
                k = n - strlen(*e);
        while (k == n && k > 0 && name[k - 1] >= '0' && name[k - 1] <= '9') {
            size_t d = k;

            while (d > 0 && ((name[d - 1] >= '0' && name[d - 1] <= '9') || name[d - 1] == '_'))
                d--;
            if (d > 0 && (name[d - 1] == '.' || name[d - 1] == '-'))
                d--;
            else
                break;
            if (d == 0)
                break;
            k = d;
            n = d;
        }
        if (k == n)
            return n;
        n = k;
    }
}

static bool same_stem(const char *a, const char *b)
{
    size_t x = stem(a), y = stem(b);

    return x == y && strncmp(a, b, x) == 0;
}

/* Does the file hold exactly what was read as `p` before p->off? */
static bool same_content(const struct tail_pos *p, const char *path, int fd, bool packed)
{
    char head[TAIL_HEAD_MAX], last[TAIL_LAST_MAX];
    struct archive *a;
    uint64_t h, l, skip;
    bool ok;

    if (p->head_n == 0 || p->last_n == 0 || p->head_n > p->off || p->last_n > p->off)
        return false;
    if (!packed)
        return tail_hash_at(fd, 0, p->head_n, &h) && h == p->head && tail_hash_at(fd, p->off - p->last_n, p->last_n, &l) && l == p->last;
    a = tail_packed_open(path);
    ok = a && tail_packed_take(a, head, p->head_n) && cf_hash64(cf_str_n(head, p->head_n)) == p->head;
    if (ok && p->off - p->last_n >= p->head_n) {
        skip = p->off - p->last_n - p->head_n;
        ok = tail_packed_take(a, NULL, skip) && tail_packed_take(a, last, p->last_n) && cf_hash64(cf_str_n(last, p->last_n)) == p->last;
    } else if (ok) { /* the two overlap: the head stands for nearly all of it */
        ok = tail_packed_take(a, NULL, p->off - p->head_n);
    }
    (void)archive_read_free(a);
    return ok;
}

/* A copy of something already read (copytruncate, packed after rotation) goes on where that one stands. */
static bool find_copy(struct cf_tail *t, const char *path, int fd, bool packed, struct tail_pos *ret)
{
    for (size_t i = 0; i < t->n_pos; i++) {
        const struct tail_pos *p = &t->pos[i];

        if (!p->packed && p->off && strcmp(p->path, path) != 0 && same_stem(p->path, path) && same_content(p, path, fd, packed)) {
            ret->off = p->off;
            ret->head = p->head;
            ret->head_n = p->head_n;
            ret->last = p->last;
            ret->last_n = p->last_n;
            return true;
        }
    }
    return false;
}

void tail_restart(struct cf_tail *t, struct tail_pos *p)
{
    (void)pthread_mutex_lock(&t->kept.mu);
    p->gen++;
    p->off = p->head = p->last = 0;
    p->head_n = p->last_n = 0;
    p->packed = p->done = false;
    t->kept.changed = true;
    (void)pthread_mutex_unlock(&t->kept.mu);
}

/* Is there a longer file of this name's family, followed now, that begins with the same bytes? */
static bool begins_like_a_longer(const struct cf_tail *t, const struct tail_file *f)
{
    const char *path = t->pos[f->slot].path;
    char mine[TAIL_HEAD_MAX], its[TAIL_HEAD_MAX];
    size_t n = f->size < sizeof mine ? (size_t)f->size : sizeof mine;
    struct stat st;

    if (!tail_pread_all(f->fd, mine, n, 0))
        return false;
    for (const struct tail_file *g = t->files; g; g = g->next)
        if (g != f && g->fd >= 0 && same_stem(t->pos[g->slot].path, path) && fstat(g->fd, &st) == 0 && (uint64_t)st.st_size > f->size &&
            tail_pread_all(g->fd, its, n, 0) && memcmp(mine, its, n) == 0)
            return true;
    return false;
}

static void decide(struct cf_tail *t, struct tail_file *f)
{
    struct tail_pos *p = &t->pos[f->slot], found;

    f->known = true;
    if (p->off || !find_copy(t, p->path, f->fd, false, &found))
        return;
    (void)pthread_mutex_lock(&t->kept.mu);
    p->off = found.off;
    p->head = found.head;
    p->head_n = found.head_n;
    p->last = found.last;
    p->last_n = found.last_n;
    t->kept.changed = true;
    (void)pthread_mutex_unlock(&t->kept.mu);
    f->at = p->off;
}

bool tail_is_known(struct cf_tail *t, struct tail_file *f)
{
    int64_t now = cf_mono_us();

    if (now - f->grown_us < 2 * t->o.poll_us && now - f->begun_us < COPYING_US && begins_like_a_longer(t, f))
        return false;
    decide(t, f);
    return true;
}

/* Who truncates a file after copying it (copytruncate) has finished the copy by then; the position that tells it is still here. */
void tail_settle_copies(struct cf_tail *t, const struct tail_file *of)
{
    tail_look(t);
    for (struct tail_file *f = t->files; f; f = f->next)
        if (!f->known && same_stem(t->pos[f->slot].path, t->pos[of->slot].path))
            decide(t, f);
}

/* The position this file goes on from; made when it is new. */
size_t tail_find_slot(struct cf_tail *t, const char *path, int fd, const struct stat *st, bool packed)
{
    size_t i = tail_pos_find(t, st->st_dev, st->st_ino);
    struct tail_pos p = {.dev = st->st_dev, .ino = st->st_ino, .packed = packed};
    uint64_t h;

    if (i != SIZE_MAX) {
        struct tail_pos *q = &t->pos[i];
        char *name = strdup(path);

        if (q->packed != packed || (!packed && (q->off > (uint64_t)st->st_size || (q->head_n && (!tail_hash_at(fd, 0, q->head_n, &h) || h != q->head))))) {
            tail_restart(t, q); /* the inode has another file now, or this one began again */
            q->packed = packed;
        }
        if (name) {
            (void)pthread_mutex_lock(&t->kept.mu);
            free(q->path);
            q->path = name;
            (void)pthread_mutex_unlock(&t->kept.mu);
        }
        return i;
    }
    if (!find_copy(t, path, fd, packed, &p) && t->first_start && !t->looked && t->o.from_end && !packed)
        p.off = (uint64_t)st->st_size;
    p.path = strdup(path);
    if (!p.path)
        return SIZE_MAX;
    (void)pthread_mutex_lock(&t->kept.mu);
    i = tail_pos_add(t, &p);
    t->kept.changed = true;
    (void)pthread_mutex_unlock(&t->kept.mu);
    return i;
}
