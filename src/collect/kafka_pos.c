/* SPDX-License-Identifier: Apache-2.0
 * Offsets of partitions: their text form, and what lines of the state file and marks of the spool say (positions.h). */
#include <stdio.h>
#include <stdlib.h>

#include "collect/kafka_int.h"

size_t kafka_pos_text(const struct kafka_pos *p, int64_t from, struct cf_buf *out)
{
    size_t was = out->n;

    cf_buf_printf(out, "k1 %llx %x %x %llx %llx %llx %s", (unsigned long long)p->group, p->gen, (unsigned)p->partition, (unsigned long long)p->base,
                  (unsigned long long)from, (unsigned long long)p->next, p->topic);
    return out->n - was;
}

bool kafka_pos_parse(cf_str line, struct kafka_pos *ret, int64_t *ret_from)
{
    uint64_t v[6];
    cf_str word;

    if (!cf_str_cut(&line, ' ', &word) || !cf_str_eqz(word, "k1"))
        return false;
    for (size_t i = 0; i < 6; i++)
        if (!cf_str_cut(&line, ' ', &word) || !cf_str_hex64(word, &v[i]))
            return false;
    if (v[1] > UINT32_MAX || v[2] > INT32_MAX || v[5] > INT64_MAX || v[3] > v[4] || v[4] > v[5] || line.n == 0 || line.n > KAFKA_TOPIC_MAX ||
        memchr(line.p, '\0', line.n))
        return false;
    *ret = (struct kafka_pos){.group = v[0], .gen = (uint32_t)v[1], .partition = (int32_t)v[2], .base = (int64_t)v[3], .next = (int64_t)v[5]};
    memcpy(ret->topic, line.p, line.n);
    *ret_from = (int64_t)v[4];
    return true;
}

struct kafka_part *kafka_part_get(struct cf_kafka *k, uint64_t group, cf_str topic, int32_t partition, bool make)
{
    struct kafka_part *q;

    for (size_t i = 0; i < k->n_part; i++) {
        q = k->part[i];
        if (q->pos.partition == partition && q->pos.group == group && cf_str_eqz(topic, q->pos.topic))
            return q;
    }
    if (!make || topic.n > KAFKA_TOPIC_MAX || k->n_part >= KAFKA_PARTITIONS_MAX)
        return NULL;
    if (k->n_part == k->cap_part) {
        size_t cap = k->cap_part ? k->cap_part * 2 : 64;
        struct kafka_part **v = realloc(k->part, cap * sizeof(struct kafka_part *));

        if (!v)
            return NULL;
        k->part = v;
        k->cap_part = cap;
    }
    q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->pos.group = group;
    q->pos.partition = partition;
    memcpy(q->pos.topic, topic.p, topic.n);
    q->committed = q->committing = -1;
    k->part[k->n_part++] = q;
    return q;
}

/* One mark of the spool: taken when it goes on where we stand, or is the first of a newer generation. A gap means that the
 * frames before it did not survive: reading starts there again. */
static void take_mark(void *ctx, cf_str mark)
{
    struct cf_kafka *k = ctx;
    struct kafka_part *q;
    struct kafka_pos p;
    int64_t from;
    bool first;

    if (!kafka_pos_parse(mark, &p, &from))
        return; /* of another collector */
    first = from == p.base;
    q = kafka_part_get(k, p.group, cf_str_c(p.topic), p.partition, first);
    if (!q)
        return;
    if (!q->known || p.gen > q->pos.gen ? first : p.gen == q->pos.gen && from <= q->pos.next && p.next >= q->pos.next) {
        q->pos = p;
        q->known = true;
    }
}

/* A line of the state file. */
static void take_line(void *ctx, cf_str line)
{
    struct kafka_part *q;
    struct kafka_pos p;
    int64_t from;

    if (!kafka_pos_parse(line, &p, &from))
        return;
    q = kafka_part_get(ctx, p.group, cf_str_c(p.topic), p.partition, true);
    if (q) {
        q->pos = p;
        q->known = true;
    }
}

int kafka_pos_load(struct cf_kafka *k, struct cf_error *reterr)
{
    bool file;
    int r = cf_positions_load(&k->kept, take_line, take_mark, k, &file, reterr);

    k->kept.changed = k->n_part > 0; /* what only the marks say must be in the file before the spool forgets them */
    return r;
}

static void write_all(void *ctx, struct cf_buf *out)
{
    const struct cf_kafka *k = ctx;

    for (size_t i = 0; i < k->n_part; i++)
        if (k->part[i]->known) {
            (void)kafka_pos_text(&k->part[i]->pos, k->part[i]->pos.next, out);
            cf_buf_byte(out, '\n');
        }
}

int cf_kafka_save(struct cf_kafka *k, struct cf_error *reterr) { return k ? cf_positions_save(&k->kept, write_all, k, reterr) : 0; }
