/* SPDX-License-Identifier: Apache-2.0
 * Checks every byte of a spool folder at rest: for `chengfang verify` and the tests. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/spool_int.h"

static void say(struct cf_buf *out, const char *fmt, unsigned long long seg, size_t at, size_t n)
{
    if (out) {
        cf_buf_printf(out, "spool segment %llu, byte %zu: ", seg, at);
        cf_buf_z(out, fmt);
        cf_buf_printf(out, " (%zu bytes)\n", n);
    }
}

static void verify_bytes(const uint8_t *p, size_t n, uint64_t id, uint64_t number, struct cf_spool_verify_result *ret, struct cf_buf *out)
{
    size_t at = CF_SEG_HEAD;

    while (at < n) {
        struct cf_frame_head h;
        struct cf_spool_frame f;
        size_t size;

        if (cf_frame_peek(p + at, n - at, id, number, &h, &size) != CF_FRAME_OK || size > n - at) {
            size_t next = cf_frame_resync(p, n, at + 8, id, number);

            say(out, next >= n ? "torn tail" : "damaged frame head", number, at, next - at);
            if (next >= n) {
                ret->torn_bytes += n - at;
            } else {
                ret->bad_frames++;
                ret->bad_bytes += next - at;
            }
            at = next;
            continue;
        }
        if (h.kind == CF_FRAME_DATA && !cf_frame_open(&h, p + at + CF_FRAME_HEAD, number, &f)) {
            say(out, at + size >= n ? "torn tail" : "damaged records", number, at, size);
            if (at + size >= n) {
                ret->torn_bytes += size;
            } else {
                ret->bad_frames++;
                ret->bad_bytes += size;
            }
        } else if (h.kind == CF_FRAME_DATA) {
            ret->frames++;
            ret->records += h.n;
        }
        at += size;
    }
}

static int verify_segment(int dir_fd, const char *name, uint64_t id, uint64_t number, struct cf_spool_verify_result *ret, struct cf_buf *out,
                          struct cf_error *reterr)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC), r = 0;
    struct cf_seg_head h;
    struct stat st;
    uint8_t *p = NULL;
    size_t n = 0;

    if (fd < 0 || fstat(fd, &st) < 0) {
        r = cf_error_errno(reterr, "spool segment \"%s\"", name);
    } else if (!(p = malloc((size_t)st.st_size + 1))) {
        r = cf_error_set(reterr, CF_ENOMEM, "spool segment \"%s\"", name);
    } else if (spool_pread(fd, p, (size_t)st.st_size, 0, &n) < 0) {
        r = cf_error_errno(reterr, "spool segment \"%s\"", name);
    } else if (n > 0) {
        memset(&h, 0, sizeof h);
        memcpy(&h, p, n < sizeof h ? n : sizeof h);
        if (n < sizeof h || !cf_seg_head_ok(&h) || h.number != number) {
            say(out, "damaged segment head", number, 0, sizeof h);
            ret->bad_frames++;
            ret->bad_bytes += n < sizeof h ? n : sizeof h;
        } else {
            id = h.spool_id;
        }
        ret->segments++;
        ret->bytes += n;
        verify_bytes(p, n, id, number, ret, out);
    }
    free(p);
    if (fd >= 0)
        (void)close(fd);
    return r;
}

static bool read_checkpoint(int dir_fd, struct cf_ckpt *ck, struct cf_spool_verify_result *ret, struct cf_buf *out)
{
    uint8_t buf[2 * CF_CKPT_SLOT] = {0};
    int fd = openat(dir_fd, "checkpoint", O_RDONLY | O_CLOEXEC);
    bool both_bad = false;
    size_t n = 0;

    memset(ck, 0, sizeof *ck);
    if (fd >= 0) {
        if (spool_pread(fd, buf, sizeof buf, 0, &n) == 0)
            (void)cf_ckpt_pick(buf, n, ck, &both_bad);
        (void)close(fd);
    }
    if (both_bad && out)
        cf_buf_z(out, "spool checkpoint: both slots damaged, the next start reads every segment again\n");
    ret->checkpoint_ok = !both_bad;
    return !both_bad;
}

int cf_spool_verify(const char *dir, struct cf_spool_verify_result *ret, struct cf_buf *out, struct cf_error *reterr)
{
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0, fd;
    struct cf_ckpt ck;
    struct dirent *e;
    bool intact;
    DIR *d;

    memset(ret, 0, sizeof *ret);
    fd = dir_fd < 0 ? -1 : dup(dir_fd);
    d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        r = cf_error_errno(reterr, "spool folder \"%s\"", dir);
        if (dir_fd >= 0)
            (void)close(dir_fd);
        return r;
    }
    intact = read_checkpoint(dir_fd, &ck, ret, out);
    while (r == 0 && (e = readdir(d))) {
        cf_str name = cf_str_c(e->d_name);
        uint64_t number;

        if (name.n == 20 && cf_str_ends(name, CF_STR(".seg")) && cf_str_hex64(cf_str_sub(name, 0, 16), &number))
            r = verify_segment(dir_fd, e->d_name, ck.spool_id, number, ret, out, reterr);
    }
    (void)closedir(d);
    (void)close(dir_fd);
    if (r == 0 && (!intact || ret->bad_frames || ret->torn_bytes))
        r = cf_error_set(reterr, CF_ECORRUPT, "spool \"%s\": %llu damaged places, %llu bytes damaged, %llu bytes of torn tail", dir,
                         (unsigned long long)ret->bad_frames, (unsigned long long)ret->bad_bytes, (unsigned long long)ret->torn_bytes);
    return r;
}
