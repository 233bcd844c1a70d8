/* SPDX-License-Identifier: Apache-2.0
 * Positions of followed files: their text form, and what lines of the state file and marks of the spool say (positions.h). */
#include <stdio.h>
#include <stdlib.h>

#include "collect/tail_int.h"

size_t tail_pos_text(const struct tail_pos *p, uint64_t from, size_t path_max, struct cf_buf *out)
{
    size_t was = out->n, n = strlen(p->path);

    cf_buf_printf(out, "t1 %llx %llx %x %llx %llx %x %llx %x %llx %s%s%s ", (unsigned long long)p->dev, (unsigned long long)p->ino, p->gen,
                  (unsigned long long)from, (unsigned long long)p->off, p->head_n, (unsigned long long)p->head, p->last_n, (unsigned long long)p->last,
                  p->packed ? "p" : "", p->done ? "d" : "", p->packed || p->done ? "" : "-");
    cf_buf_add(out, p->path, n < path_max ? n : path_max);
    return out->n - was;
}

static bool next_hex(cf_str *line, uint64_t *ret)
{
    cf_str word;

    return cf_str_cut(line, ' ', &word) && cf_str_hex64(word, ret);
}

bool tail_pos_parse(cf_str line, struct tail_pos *ret, uint64_t *ret_from)
{
    uint64_t v[9];
    cf_str word;

    if (!cf_str_cut(&line, ' ', &word) || !cf_str_eqz(word, "t1"))
        return false;
    for (size_t i = 0; i < 9; i++)
        if (!next_hex(&line, &v[i]))
            return false;
    if (!cf_str_cut(&line, ' ', &word) || line.n == 0 || v[2] > UINT32_MAX || v[5] > TAIL_HEAD_MAX || v[7] > TAIL_LAST_MAX)
        return false;
    *ret = (struct tail_pos){.dev = v[0], .ino = v[1], .gen = (uint32_t)v[2], .off = v[4], .head_n = (uint32_t)v[5], .head = v[6], .last_n = (uint32_t)v[7],
                             .last = v[8], .packed = memchr(word.p, 'p', word.n), .done = memchr(word.p, 'd', word.n), .path = strndup(line.p, line.n)};
    *ret_from = v[3];
    return ret->path != NULL;
}

size_t tail_pos_find(const struct cf_tail *t, uint64_t dev, uint64_t ino)
{
    for (size_t i = 0; i < t->n_pos; i++)
        if (t->pos[i].ino == ino && t->pos[i].dev == dev)
            return i;
    return SIZE_MAX;
}

/* The place to use again: not followed now, and longest not seen. */
static size_t oldest(const struct cf_tail *t)
{
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < t->n_pos; i++) {
        bool open = false;

        for (const struct tail_file *f = t->files; f && !open; f = f->next)
            open = f->slot == i;
        if (!open && (best == SIZE_MAX || t->pos[i].seen_us < t->pos[best].seen_us))
            best = i;
    }
    return best;
}

size_t tail_pos_add(struct cf_tail *t, const struct tail_pos *p)
{
    size_t i = t->n_pos;

    if (t->n_pos >= TAIL_KNOWN_MAX && (i = oldest(t)) != SIZE_MAX) {
        free(t->pos[i].path);
        t->pos[i] = *p;
        return i;
    }
    if (t->n_pos == t->cap_pos) {
        size_t cap = t->cap_pos ? t->cap_pos * 2 : 64;
        struct tail_pos *q = realloc(t->pos, cap * sizeof *q);

        if (!q) {
            free(p->path);
            return SIZE_MAX;
        }
        t->pos = q;
        t->cap_pos = cap;
    }
    t->pos[t->n_pos] = *p;
    return t->n_pos++;
}

/* One mark of the spool: taken when it goes on where we stand (or begins a newer life of the file). A gap means that the
 * frames before it did not survive: reading starts there again. */
static void take_mark(void *ctx, cf_str mark)
{
    struct cf_tail *t = ctx;
    struct tail_pos p;
    uint64_t from;
    size_t i;

    if (!tail_pos_parse(mark, &p, &from))
        return; /* of another collector */
    i = tail_pos_find(t, p.dev, p.ino);
    if (i == SIZE_MAX && (from == 0 || t->o.from_end)) {
        (void)tail_pos_add(t, &p);
        return;
    }
    if (i == SIZE_MAX) {
        free(p.path);
        return;
    }
    if (p.gen > t->pos[i].gen || (p.gen == t->pos[i].gen && from <= t->pos[i].off && p.off >= t->pos[i].off)) {
        free(t->pos[i].path);
        t->pos[i] = p;
    } else {
        free(p.path);
    }
}

/* A line of the state file. */
static void take_line(void *ctx, cf_str line)
{
    struct tail_pos p;
    uint64_t from;

    if (tail_pos_parse(line, &p, &from))
        (void)tail_pos_add(ctx, &p);
}

int tail_pos_load(struct cf_tail *t, struct cf_error *reterr)
{
    bool file;
    int r = cf_positions_load(&t->kept, take_line, take_mark, t, &file, reterr);

    t->kept.changed = t->n_pos > 0; /* what only the marks say must be in the file before the spool forgets them */
    t->first_start = !file && t->n_pos == 0;
    return r;
}

static void write_all(void *ctx, struct cf_buf *out)
{
    const struct cf_tail *t = ctx;

    for (size_t i = 0; i < t->n_pos; i++) {
        (void)tail_pos_text(&t->pos[i], t->pos[i].off, SIZE_MAX, out);
        cf_buf_byte(out, '\n');
    }
}

int cf_tail_save(struct cf_tail *t, struct cf_error *reterr) { return t ? cf_positions_save(&t->kept, write_all, t, reterr) : 0; }
