/* SPDX-License-Identifier: Apache-2.0
 * tar and zip: the members of an archive read one after another, each as a file of its own (lines, JSON, EVTX, packed or
 * not). The archive's own packing is undone before (input_read.c); libarchive takes the members apart.
 *
 *   file -> unpack -> buffer -> tar | zip -> member -> unpack -> buffer -> cut -> records
 *
 * A member that cannot be read is passed over; the first of them is the error at the end. */
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "normalise/input_int.h"

#define MEMBERS_MAX 100000u
#define BOMB_FLOOR ((uint64_t)256 << 20) /* so much may come out of anything */
#define BOMB_RATIO 500u                  /* beyond it, not more than this many times what went in */

struct input_box {
    struct cf_input *below;   /* the archive's bytes */
    struct archive *a;
    struct cf_input *member;  /* NULL: before the next one */
    const char *path;         /* of the member */
    struct cf_arena paths;    /* all of them, until close */
    unsigned members, failed;
    uint64_t bytes;           /* text of the members that have ended */
    uint64_t unpacked;
    bool over;
    struct cf_error first;    /* of a member */
};

bool input_is_archive(cf_str s)
{
    return (s.n >= 4 && memcmp(s.p, "PK\3\4", 4) == 0) || (s.n >= 262 && memcmp(s.p + 257, "ustar", 5) == 0 && memchr(s.p, 0, 257));
}

/* What is in the buffer of the file, then more of it. */
static la_ssize_t box_bytes(struct archive *a, void *ctx, const void **ret)
{
    struct cf_input *in = ((struct input_box *)ctx)->below;
    struct cf_error err = {0};
    size_t n;

    while (in->pos == in->n && !in->eof)
        if (input_fill(in, &err) < 0) {
            archive_set_error(a, EIO, "%s", err.msg);
            return -1;
        }
    *ret = in->buf + in->pos;
    n = in->n - in->pos;
    in->pos = in->n;
    return (la_ssize_t)n;
}

/* Bytes of the member, for input_read.c. */
static int member_bytes(void *ctx, char *p, size_t room, size_t *ret, struct cf_error *reterr)
{
    struct input_box *b = ctx;
    la_ssize_t got = archive_read_data(b->a, p, room);

    if (got < 0)
        return cf_error_set(reterr, CF_ECORRUPT, "%s: cannot be unpacked: %s", b->path,
                            archive_error_string(b->a) ? archive_error_string(b->a) : "unknown reason");
    b->unpacked += (uint64_t)got;
    *ret = (size_t)got;
    return 0;
}

static int box_open(struct cf_input *in, struct cf_error *reterr)
{
    struct input_box *b = calloc(1, sizeof *b);

    if (!b)
        return cf_error_set(reterr, CF_ENOMEM, "no memory to unpack %s", in->path);
    in->box = b;
    b->below = in;
    cf_arena_init(&b->paths, 0, 0);
    b->a = archive_read_new();
    if (!b->a || archive_read_support_format_tar(b->a) < ARCHIVE_WARN || archive_read_support_format_zip_streamable(b->a) < ARCHIVE_WARN)
        return cf_error_set(reterr, CF_ENOMEM, "no memory to unpack %s", in->path);
    if (archive_read_open(b->a, b, NULL, box_bytes, NULL) != ARCHIVE_OK)
        return cf_error_set(reterr, CF_ECORRUPT, "%s: is no whole archive: %s", in->path, archive_error_string(b->a) ? archive_error_string(b->a) : "unknown reason");
    return 0;
}

void input_box_free(struct input_box *b)
{
    if (!b)
        return;
    cf_input_close(b->member);
    (void)archive_read_free(b->a);
    cf_arena_release(&b->paths);
    free(b);
}

/* "archive:member" for messages and peers; control characters of a stranger's names become '?'. */
static const char *member_path(struct input_box *b, struct archive_entry *e)
{
    const char *name = archive_entry_pathname(e);
    char text[1024];
    int n = snprintf(text, sizeof text, "%s:%s", b->below->path, name ? name : "?");

    for (int i = 0; i < n && i < (int)sizeof text - 1; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
    return cf_arena_strdup(&b->paths, cf_str_c(text));
}

/* The next member that is a file; none: b->over. */
static int next_member(struct input_box *b, struct cf_error *reterr)
{
    struct archive_entry *e;
    int r = archive_read_next_header(b->a, &e);

    if (r == ARCHIVE_EOF) {
        b->over = true;
        return 0;
    }
    if (r < ARCHIVE_WARN)
        return cf_error_set(reterr, CF_ECORRUPT, "%s: the archive is damaged behind %u members: %s", b->below->path, b->members,
                            archive_error_string(b->a) ? archive_error_string(b->a) : "unknown reason");
    if (archive_entry_filetype(e) != AE_IFREG)
        return 0;
    if (++b->members > MEMBERS_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "%s: more than %u members", b->below->path, MEMBERS_MAX);
    b->path = member_path(b, e);
    if (!b->path)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for a member's name");
    if (archive_entry_is_encrypted(e))
        r = cf_error_set(reterr, CF_EUNSUPPORTED, "%s: is encrypted", b->path);
    else
        r = input_open_member(b->path, b->below->format, member_bytes, b, &b->member, reterr);
    if (r < 0 && r != CF_ENOMEM) {
        if (b->failed++ == 0)
            b->first = *reterr;
        return 0;
    }
    return r;
}

static void member_ends(struct cf_input *in)
{
    struct input_box *b = in->box;

    b->bytes += b->member->bytes;
    in->oversize += b->member->oversize;
    if (b->member->damaged && in->damaged == 0)
        (void)snprintf(in->damage, sizeof in->damage, "%.*s", (int)sizeof in->damage - 1, b->member->damage);
    in->damaged += b->member->damaged;
    cf_input_close(b->member);
    b->member = NULL;
}

static int at_end(struct input_box *b, struct cf_error *reterr)
{
    unsigned failed = b->failed;

    b->failed = 0; /* said once */
    if (failed == 0)
        return 0;
    return cf_error_set(reterr, b->first.code, "%u of %u members were not read, the first: %s", failed, b->members, b->first.msg);
}

int input_box_batch(struct cf_input *in, struct cf_arena *arena, struct cf_record *recs, size_t max, size_t *ret_n, struct cf_error *reterr)
{
    struct input_box *b;
    int r;

    *ret_n = 0;
    if (in->feed)
        return cf_error_set(reterr, CF_EUNSUPPORTED, "%s: an archive inside an archive is not opened", in->path);
    r = in->box ? 0 : box_open(in, reterr);
    b = in->box;
    while (r == 0 && *ret_n == 0 && !b->over) {
        if (!b->member) {
            r = next_member(b, reterr);
            continue;
        }
        r = cf_input_next_batch(b->member, arena, recs, max, ret_n, reterr);
        in->bytes = b->bytes + b->member->bytes;
        if (r < 0 && r != CF_ENOMEM) {
            if (b->failed++ == 0)
                b->first = *reterr;
            r = 0;
            member_ends(in);
        } else if (r == 0 && *ret_n == 0) {
            member_ends(in);
        }
        if (r == 0 && b->unpacked > BOMB_FLOOR && b->unpacked / BOMB_RATIO > in->file_pos)
            r = cf_error_set(reterr, CF_ELIMIT, "%s: %llu bytes come out of %llu: more than %u times as much is taken for an attack",
                             cf_input_path(in), (unsigned long long)b->unpacked, (unsigned long long)in->file_pos, BOMB_RATIO);
    }
    return r == 0 && b->over && *ret_n == 0 ? at_end(b, reterr) : r;
}

const char *cf_input_path(const struct cf_input *in) { return in->box && in->box->path ? in->box->path : in->path; }
