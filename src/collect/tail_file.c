/* SPDX-License-Identifier: Apache-2.0
 * One followed file (which one it is, says tail_which.c): reading a piece, cutting lines, packed files.
 *
 *   plain    [ 0 ...... off ....... at ...... size )     off: last mark; at: read so far (blank or cut text in between)
 *   packed   the same over the unpacked bytes, from the start each time it is opened */
#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/crash.h"
#include "collect/tail_int.h"

static bool open_encoding(struct cf_tail *t, struct tail_file *f)
{
    const char *e = f->cfg->encoding;
    cf_str s = cf_str_c(e);

    f->unit = 1;
    f->cd = (iconv_t)-1;
    if (!e[0] || cf_str_ieq(s, CF_STR("utf-8")) || cf_str_ieq(s, CF_STR("utf8")) || cf_str_ieq(s, CF_STR("auto")))
        return true;
    if (cf_str_istarts(s, CF_STR("utf-16")) || cf_str_istarts(s, CF_STR("utf16")) || cf_str_ieq(s, CF_STR("ucs-2"))) {
        f->unit = 2;
        f->big = cf_str_iends(s, CF_STR("be"));
        e = f->big ? "UTF-16BE" : "UTF-16LE";
    }
    f->cd = iconv_open("UTF-8", e);
    if (f->cd == (iconv_t)-1)
        tail_error(t, f->cfg->what, "encoding not known", e);
    return f->cd != (iconv_t)-1;
}

struct tail_file *tail_file_attach(struct cf_tail *t, const struct cf_intake *cfg, const char *path, bool by_inode)
{
    struct tail_file *f;
    struct stat st;
    bool packed;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        if (fd < 0 && errno != ENOENT)
            tail_error(t, path, "file not opened", strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return NULL;
    }
    packed = tail_is_packed(fd);
    f = (packed && !t->o.packed) || tail_packed_later(path, &st) ? NULL : calloc(1, sizeof *f);
    if (!f) {
        (void)close(fd);
        return NULL;
    }
    f->cfg = cfg;
    f->fd = fd;
    f->named = !by_inode;
    f->more = true;
    f->begun_us = f->grown_us = cf_mono_us();
    f->known = packed || by_inode || !t->looked || tail_pos_find(t, st.st_dev, st.st_ino) != SIZE_MAX;
    f->slot = tail_find_slot(t, path, fd, &st, packed);
    if (f->slot == SIZE_MAX || !open_encoding(t, f)) {
        (void)close(fd);
        free(f);
        return NULL;
    }
    f->at = t->pos[f->slot].off;
    f->ended = packed && t->pos[f->slot].done;
    f->size = packed ? 0 : (uint64_t)st.st_size;
    if (packed) { /* opened by name while it is read */
        (void)close(f->fd);
        f->fd = -1;
    }
    f->next = t->files;
    t->files = f;
    t->n_files++;
    return f;
}

/* ---- lines ------------------------------------------------------------------------------------------------------------------ */

static const char *find_lf(const struct tail_file *f, const char *p, size_t n)
{
    if (f->unit == 1)
        return memchr(p, '\n', n);
    for (size_t i = 0; i + 1 < n; i += 2)
        if (f->big ? !p[i] && p[i + 1] == '\n' : p[i] == '\n' && !p[i + 1])
            return p + i;
    return NULL;
}

/* One line as it goes into the spool: without its end, in UTF-8 when the file says what it is written in. */
static cf_str line_text(struct cf_tail *t, struct tail_file *f, const char *p, size_t n, size_t *out_n)
{
    char *in = (char *)(uintptr_t)p, *out = t->out + *out_n, *begin = out;
    size_t left = n, room = t->out_cap - *out_n;
    cf_str s;

    if (f->cd == (iconv_t)-1) {
        s = cf_str_n(p, n);
    } else {
        (void)iconv(f->cd, NULL, NULL, NULL, NULL);
        while (left && iconv(f->cd, &in, &left, &out, &room) == (size_t)-1) {
            size_t step = left < f->unit ? left : f->unit;

            if (errno == E2BIG || room < 3)
                break;
            memcpy(out, "\xef\xbf\xbd", 3);
            out += 3;
            room -= 3;
            in += step;
            left -= step;
        }
        s = cf_str_n(begin, (size_t)(out - begin));
        *out_n += s.n;
    }
    while (s.n && (s.p[s.n - 1] == '\r' || s.p[s.n - 1] == '\0'))
        s.n--;
    return s;
}

struct cut {
    size_t n, out_n, used, bytes;
};
/* Cuts the lines of p[0..n) into t->rec. last: what has no line end is a line too. */
static void cut_lines(struct cf_tail *t, struct tail_file *f, const char *p, size_t n, bool last, struct cut *c)
{
    size_t at = 0;

    if (f->at == 0 && f->unit == 2 && n >= 2 && (memcmp(p, "\xff\xfe", 2) == 0 || memcmp(p, "\xfe\xff", 2) == 0))
        at = 2;
    else if (f->at == 0 && n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        at = 3;
    *c = (struct cut){.used = at};
    while (at < n && c->n < TAIL_RECS) {
        const char *lf = find_lf(f, p + at, n - at);
        size_t len = lf ? (size_t)(lf - p) - at : n - at;
        bool whole = lf || last;
        cf_str s;

        if (!whole && len <= t->line_max && !f->skip)
            break;
        if (c->bytes + 4 * c->n + len > t->chunk && c->n)
            break;
        if (!f->skip) {
            s = line_text(t, f, p + at, len < t->line_max ? len : t->line_max - t->line_max % f->unit, &c->out_n);
            if (s.n) {
                t->rec[c->n++] = s;
                c->bytes += s.n;
            }
            if (len > t->line_max)
                atomic_fetch_add(&t->s_cut, 1);
        }
        f->skip = !whole; /* cut, and its end has not come yet */
        at += len + (lf ? f->unit : 0);
        c->used = at;
    }
}

/* ---- into the spool ------------------------------------------------------------------------------------------------------- */

static void set_hashes(struct tail_file *f, struct tail_pos *p, const char *buf, size_t used)
{
    size_t n = p->off < TAIL_HEAD_MAX ? (size_t)p->off : TAIL_HEAD_MAX;
    uint64_t h;

    if (used) {
        p->last_n = (uint32_t)(used < TAIL_LAST_MAX ? used : TAIL_LAST_MAX);
        p->last = cf_hash64(cf_str_n(buf + used - p->last_n, p->last_n));
    }
    if (!p->packed && p->head_n < n && tail_hash_at(f->fd, 0, n, &h)) {
        p->head = h;
        p->head_n = (uint32_t)n;
    }
}

/* Hands the records over; the position moves with them. False: the spool takes nothing now, nothing has changed. */
static bool hand_over(struct cf_tail *t, struct tail_file *f, const struct cut *c, const char *buf)
{
    struct tail_pos *p = &t->pos[f->slot], next = *p;
    struct cf_source_info info;
    struct cf_counter *k;
    struct cf_error err = {0};
    struct cf_buf mark;
    int r;

    if (c->n == 0) { /* blank lines, the rest of a cut one */
        f->at += c->used;
        return true;
    }
    cf_intake_look(f->cfg, t->o.sources, "file", &info);
    if (!info.enabled)
        return false; /* switched off: the file waits */
    next.off = f->at + c->used;
    set_hashes(f, &next, buf, c->used);
    cf_buf_init(&mark, 8192);
    (void)tail_pos_text(&next, p->off, 300, &mark);
    const struct cf_spool_origin o = {
        .source = cf_str_c(info.source), .format = cf_str_c(f->cfg->format[0] ? f->cfg->format : info.format), .peer = cf_str_c(p->path),
        .org = cf_str_c(info.org), .key = cf_str_c(info.name), .mark = cf_buf_view(&mark),
        .received_us = cf_now_us(),
    };
    k = cf_counters_get(t->o.counters, o.key, o.org);
    (void)pthread_mutex_lock(&t->kept.mu);
    r = mark.failed ? CF_ENOMEM : cf_spool_append(t->o.spool, &o, t->rec, c->n, &t->kept.ticket, &err);
    if (r == 0) {
        *p = next;
        t->kept.changed = true;
    }
    (void)pthread_mutex_unlock(&t->kept.mu);
    cf_crash_point("tail.appended");
    cf_buf_release(&mark);
    if (r == 0) {
        f->at = next.off;
        cf_counter_accept(k, c->n, c->bytes, o.received_us);
        atomic_fetch_add(&t->s_records, c->n);
        atomic_fetch_add(&t->s_bytes, c->used);
    } else if (r != CF_EBUSY && r != CF_EFULL) {
        tail_error(t, p->path, "records not taken", err.msg);
    }
    return r == 0;
}

/* As hand_over, waiting for room. False: stopping, or the data source is switched off. */
static bool hand_over_wait(struct cf_tail *t, struct tail_file *f, const struct cut *c, const char *buf)
{
    bool ok = hand_over(t, f, c, buf);

    if (!ok) {
        atomic_store(&t->paused, true);
        (void)cf_spool_wait_space(t->o.spool, 100);
        ok = !atomic_load(&t->stop) && hand_over(t, f, c, buf);
        atomic_store(&t->paused, !ok);
    }
    return ok;
}

/* ---- steps -------------------------------------------------------------------------------------------------------------------- */

static bool began_again(struct tail_file *f, const struct tail_pos *p, const struct stat *st)
{
    uint64_t h, size = (uint64_t)st->st_size;
    bool written = size != f->size || st->st_mtim.tv_sec != f->mtime.tv_sec || st->st_mtim.tv_nsec != f->mtime.tv_nsec;

    f->mtime = st->st_mtim;

    if (size < f->at || size < p->off)
        return true;
    return written && p->head_n && (!tail_hash_at(f->fd, 0, p->head_n, &h) || h != p->head);
}

static bool plain_step(struct cf_tail *t, struct tail_file *f, bool flush)
{
    struct tail_pos *p = &t->pos[f->slot];
    bool skip = f->skip;
    struct stat st;
    struct cut c;
    size_t n;

    if (fstat(f->fd, &st) < 0)
        return false;
    if (began_again(f, p, &st)) {
        tail_settle_copies(t, f);
        p = &t->pos[f->slot];
        tail_restart(t, p);
        f->at = 0;
        f->skip = skip = false;
        atomic_fetch_add(&t->s_truncations, 1);
        cf_log_info("collect", "followed file was truncated, reading from its beginning", "path=\"%s\"", p->path);
    }
    if ((uint64_t)st.st_size != f->size)
        f->grown_us = cf_mono_us();
    f->size = (uint64_t)st.st_size;
    if (f->size <= f->at || (!f->known && !flush && !tail_is_known(t, f)) || f->size <= f->at)
        return false;
    n = f->size - f->at < t->chunk ? (size_t)(f->size - f->at) : t->chunk;
    if (!tail_pread_all(f->fd, t->buf, n, f->at))
        return false; /* changed under our hands: the next look tells */
    cut_lines(t, f, t->buf, n, flush && f->at + n == f->size, &c);
    if (c.used == 0 && n == t->chunk && f->size - f->at > n) { /* one long line */
        f->skip = skip;
        n = f->size - f->at < t->line_max + t->chunk ? (size_t)(f->size - f->at) : t->line_max + t->chunk;
        if (!tail_pread_all(f->fd, t->buf, n, f->at))
            return false;
        cut_lines(t, f, t->buf, n, flush && f->at + n == f->size, &c);
    }
    if (c.used == 0)
        return false; /* the line is not finished */
    if (hand_over_wait(t, f, &c, t->buf))
        return f->at < f->size;
    f->skip = skip;
    return false;
}

static void packed_end(struct cf_tail *t, struct tail_file *f, bool good)
{
    (void)archive_read_free(f->archive);
    f->archive = NULL;
    free(f->rest);
    f->rest = NULL;
    f->rest_n = 0;
    if (!good)
        return;
    f->ended = true;
    (void)pthread_mutex_lock(&t->kept.mu);
    t->pos[f->slot].done = true;
    t->kept.changed = true;
    (void)pthread_mutex_unlock(&t->kept.mu);
    atomic_fetch_add(&t->s_packed, 1);
}

/* Opens the file once it has stopped growing, and goes to where reading stands. */
static bool packed_begin(struct cf_tail *t, struct tail_file *f)
{
    const struct tail_pos *p = &t->pos[f->slot];
    struct stat st;

    if (stat(p->path, &st) < 0 || st.st_ino != p->ino || (uint64_t)st.st_size == f->failed_size)
        return false;
    if ((uint64_t)st.st_size != f->size) {
        f->size = (uint64_t)st.st_size;
        f->grown_us = cf_mono_us();
        return false;
    }
    if (cf_mono_us() - f->grown_us < t->o.poll_us)
        return false;
    f->archive = tail_packed_open(p->path);
    if (f->archive && tail_packed_take(f->archive, NULL, p->off)) {
        f->at = p->off;
        return true;
    }
    f->failed_size = f->size;
    tail_error(t, p->path, "packed file not read", f->archive ? "it ends before the place where reading stands" : "damaged");
    packed_end(t, f, false);
    return false;
}

static bool packed_step(struct cf_tail *t, struct tail_file *f)
{
    size_t n = f->rest_n, room = t->chunk + t->line_max - n;
    la_ssize_t got = 0;
    struct cut c;
    char *keep;

    if (f->ended || (!f->archive && !packed_begin(t, f)))
        return false;
    if (n)
        memcpy(t->buf, f->rest, n);
    if (room)
        got = archive_read_data(f->archive, t->buf + n, room);
    if (got < 0) {
        f->failed_size = f->size;
        tail_error(t, t->pos[f->slot].path, "packed file not read to its end", archive_error_string(f->archive));
        packed_end(t, f, false);
        return false;
    }
    n += (size_t)got;
    cut_lines(t, f, t->buf, n, room && got == 0, &c);
    if (!hand_over_wait(t, f, &c, t->buf)) {
        packed_end(t, f, false); /* opened again from the last mark */
        return false;
    }
    if (room && got == 0 && c.used == n) {
        packed_end(t, f, true);
        return false;
    }
    keep = malloc(n - c.used + 1);
    if (!keep) {
        packed_end(t, f, false);
        return false;
    }
    memcpy(keep, t->buf + c.used, n - c.used);
    free(f->rest);
    f->rest = keep;
    f->rest_n = n - c.used;
    return true;
}

bool tail_file_step(struct cf_tail *t, struct tail_file *f)
{
    return t->pos[f->slot].packed ? packed_step(t, f) : plain_step(t, f, false);
}

void tail_file_close(struct cf_tail *t, struct tail_file *f, bool flush)
{
    if (flush && !t->pos[f->slot].packed)
        while (plain_step(t, f, true))
            ;
    if (f->archive)
        packed_end(t, f, false);
    if (f->fd >= 0)
        (void)close(f->fd);
    if (f->cd != (iconv_t)-1)
        (void)iconv_close(f->cd);
    t->pos[f->slot].seen_us = cf_now_us();
    free(f->rest);
    for (struct tail_file **q = &t->files; *q; q = &(*q)->next)
        if (*q == f) {
            *q = f->next;
            t->n_files--;
            break;
        }
    free(f);
}
