/* SPDX-License-Identifier: Apache-2.0
 * Offsets of partitions: text form, the state file, and what the spool's marks add to it at the start.
 *
 *   state file (saved before each commit of the spool)  +  marks in the spool that are newer  =  where to read on */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collect/crash.h"
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

int kafka_pos_load(struct cf_kafka *k, struct cf_error *reterr)
{
    struct cf_buf b;
    cf_str text, line;
    int r = 0;

    cf_buf_init(&b, (size_t)64 << 20);
    if (access(k->state_path, F_OK) == 0)
        r = cf_file_read(k->state_path, &b, reterr);
    text = cf_buf_view(&b);
    while (r == 0 && cf_str_cut(&text, '\n', &line)) {
        struct kafka_part *q;
        struct kafka_pos p;
        int64_t from;

        if (!kafka_pos_parse(line, &p, &from))
            continue;
        q = kafka_part_get(k, p.group, cf_str_c(p.topic), p.partition, true);
        if (q) {
            q->pos = p;
            q->known = true;
        }
    }
    cf_buf_release(&b);
    if (r == 0)
        r = cf_spool_marks(k->o.spool, take_mark, k, reterr);
    k->changed = k->n_part > 0; /* what only the marks say must be in the file before the spool forgets them */
    return r;
}

int cf_kafka_save(struct cf_kafka *k, struct cf_error *reterr)
{
    struct cf_buf b;
    uint64_t ticket;
    bool changed;
    int r = 0;

    if (!k)
        return 0;
    cf_buf_init(&b, (size_t)64 << 20);
    (void)pthread_mutex_lock(&k->mu);
    changed = k->changed;
    ticket = k->ticket;
    for (size_t i = 0; changed && i < k->n_part; i++)
        if (k->part[i]->known) {
            (void)kafka_pos_text(&k->part[i]->pos, k->part[i]->pos.next, &b);
            cf_buf_byte(&b, '\n');
        }
    k->changed = false;
    (void)pthread_mutex_unlock(&k->mu);
    if (changed) {
        r = b.failed ? cf_error_set(reterr, CF_ENOMEM, "positions of topics") : cf_spool_wait(k->o.spool, ticket, 10000, reterr);
        cf_crash_point("kafka.before_save");
        if (r == 0)
            r = cf_file_write_durable(k->state_path, cf_buf_view(&b), 0600, reterr);
        cf_crash_point("kafka.saved");
        if (r < 0) {
            (void)pthread_mutex_lock(&k->mu);
            k->changed = true;
            (void)pthread_mutex_unlock(&k->mu);
        }
    }
    cf_buf_release(&b);
    return r;
}
