/* SPDX-License-Identifier: Apache-2.0
 * The group: which partitions are ours, where each is read from, what the brokers are told.
 *
 * Own position (state file, marks) and the group's committed offset can differ. Ours is further: a commit did not get through before
 * an end. Theirs is further: another member had the partition meanwhile. The further one holds in both cases. A committed offset
 * without our note in its metadata was set by a person (reset of the group): then theirs holds, also backwards. */
#include <stdio.h>
#include <stdlib.h>

#include "collect/crash.h"
#include "collect/kafka_int.h"

#define ASK_MS 5000
#define ASK_TIMES 24 /* then with what we know ourselves */
#define NOTE "chengfang"

static const struct cf_intake *intake_of(const struct cf_kafka *k, const char *topic)
{
    for (size_t i = 0; i < k->o.n_topics; i++)
        if (strcmp(k->topic[i].what, topic) == 0)
            return &k->topic[i];
    for (size_t i = 0; i < k->o.n_topics; i++)
        if (k->topic[i].what[0] == '^' && regexec(&k->expression[i], topic, 0, NULL, 0) == 0)
            return &k->topic[i];
    return &k->topic[0];
}

/* Positions belong to this cluster and group. */
static void find_group(struct cf_kafka *k)
{
    char *id = k->group_known ? NULL : rd_kafka_clusterid(k->rk, ASK_MS);
    struct cf_buf b;

    if (k->group_known)
        return;
    cf_buf_init(&b, 8192);
    cf_buf_z(&b, id ? id : "");
    cf_buf_byte(&b, '\n');
    cf_buf_z(&b, k->group);
    k->group_hash = cf_hash64(cf_buf_view(&b));
    k->group_known = id != NULL;
    cf_buf_release(&b);
    if (id)
        rd_kafka_mem_free(k->rk, id);
}

static bool ask_committed(struct cf_kafka *k, rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < ASK_TIMES && !atomic_load(&k->stop); i++) {
        rd_kafka_resp_err_t e = rd_kafka_committed(k->rk, list, ASK_MS);
        bool ok = e == RD_KAFKA_RESP_ERR_NO_ERROR;

        for (int j = 0; ok && j < list->cnt; j++)
            ok = list->elems[j].err == RD_KAFKA_RESP_ERR_NO_ERROR;
        if (ok)
            return true;
        kafka_error(k, "committed offsets not read, trying again", rd_kafka_err2str(e));
        if (rd_kafka_assignment_lost(k->rk))
            return false;
    }
    return false;
}

/* Where the partition is read from; RD_KAFKA_OFFSET_INVALID: where kafka.from says. */
static int64_t begin_at(struct cf_kafka *k, struct kafka_part *q, const rd_kafka_topic_partition_t *c)
{
    bool theirs = c->offset >= 0, ours = q->known;
    bool noted = c->metadata && c->metadata_size >= sizeof NOTE - 1 && memcmp(c->metadata, NOTE, sizeof NOTE - 1) == 0;
    int64_t at = theirs && (!ours || !noted || c->offset > q->pos.next) ? c->offset : ours ? q->pos.next : RD_KAFKA_OFFSET_INVALID;

    if (ours && at < q->pos.next) { /* set back on purpose */
        q->pos.gen++;
        q->pos.base = q->pos.next = at;
        atomic_fetch_add(&k->s_rewinds, 1);
        cf_log_info("collect", "topic is read again from an earlier offset", "topic=%s partition=%d offset=%lld", q->pos.topic, q->pos.partition, (long long)at);
    } else if (!ours && at >= 0) {
        q->pos.base = q->pos.next = at;
        q->known = true;
    }
    q->committed = q->committing = theirs ? c->offset : -1;
    q->at = at >= 0 ? at : -1;
    return at;
}

static void assign(struct cf_kafka *k, rd_kafka_topic_partition_list_t *parts)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_copy(parts);
    bool asked;

    find_group(k);
    asked = ask_committed(k, list);
    (void)pthread_mutex_lock(&k->kept.mu);
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *c = &list->elems[i];
        struct kafka_part *q = kafka_part_get(k, k->group_hash, cf_str_c(c->topic), c->partition, true);

        if (!asked)
            c->offset = RD_KAFKA_OFFSET_INVALID;
        if (!q) { /* no memory or too many: nobody reads it, the lag shows it */
            parts->elems[i].offset = RD_KAFKA_OFFSET_STORED;
            continue;
        }
        q->cfg = intake_of(k, c->topic);
        parts->elems[i].offset = begin_at(k, q, c);
        if (parts->elems[i].offset == RD_KAFKA_OFFSET_INVALID)
            parts->elems[i].offset = asked ? (k->o.from_end ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING) : RD_KAFKA_OFFSET_STORED;
        q->assigned = true;
        q->again = q->off = false;
        q->lag = 0;
    }
    k->kept.changed = true;
    (void)pthread_mutex_unlock(&k->kept.mu);
    rd_kafka_topic_partition_list_destroy(list);
    atomic_store(&k->connected, true);
    atomic_fetch_add(&k->s_rebalances, 1);
    cf_log_info("collect", "partitions assigned", "group=%s partitions=%d", k->group, parts->cnt);
    if (rd_kafka_assign(k->rk, parts) != RD_KAFKA_RESP_ERR_NO_ERROR)
        kafka_error(k, "partitions not taken", "the assignment was refused");
    if (k->held)
        kafka_hold(k, true);
}

/* What was gathered goes into the spool and is committed for the next owner; what finds no room there is his to read. */
static void revoke(struct cf_kafka *k, const rd_kafka_topic_partition_list_t *parts)
{
    if (!kafka_flush(k))
        kafka_drop(k);
    if (!rd_kafka_assignment_lost(k->rk))
        kafka_commit(k, true);
    (void)pthread_mutex_lock(&k->kept.mu);
    for (size_t i = 0; i < k->n_part; i++)
        k->part[i]->assigned = false;
    (void)pthread_mutex_unlock(&k->kept.mu);
    cf_log_info("collect", "partitions given back", "group=%s partitions=%d", k->group, parts->cnt);
    (void)rd_kafka_assign(k->rk, NULL);
}

void kafka_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *parts, void *opaque)
{
    struct cf_kafka *k = opaque;

    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assign(k, parts);
    } else if (err == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        revoke(k, parts);
    } else {
        kafka_error(k, "partitions not assigned", rd_kafka_err2str(err));
        (void)rd_kafka_assign(rk, NULL);
    }
}

void kafka_hold(struct cf_kafka *k, bool on)
{
    rd_kafka_topic_partition_list_t *list = NULL;

    if (rd_kafka_assignment(k->rk, &list) != RD_KAFKA_RESP_ERR_NO_ERROR || !list)
        return;
    for (size_t i = 0; !on && i < k->n_part; i++) {
        struct kafka_part *q = k->part[i];

        if (q->assigned && q->again && !q->off && q->at >= 0) {
            rd_kafka_topic_partition_t *e = rd_kafka_topic_partition_list_find(list, q->pos.topic, q->pos.partition);

            if (e)
                e->offset = q->at;
            q->again = false;
        }
    }
    if (on) {
        (void)rd_kafka_pause_partitions(k->rk, list);
    } else {
        rd_kafka_topic_partition_list_t *seek = rd_kafka_topic_partition_list_new(list->cnt);
        rd_kafka_error_t *e = NULL;

        for (int i = 0; i < list->cnt; i++)
            if (list->elems[i].offset >= 0)
                rd_kafka_topic_partition_list_add(seek, list->elems[i].topic, list->elems[i].partition)->offset = list->elems[i].offset;
        if (seek->cnt)
            e = rd_kafka_seek_partitions(k->rk, seek, ASK_MS);
        if (e) {
            kafka_error(k, "partitions not set back", rd_kafka_error_string(e));
            rd_kafka_error_destroy(e);
        }
        rd_kafka_topic_partition_list_destroy(seek);
        for (size_t i = 0; i < k->n_part; i++)
            if (k->part[i]->off)
                (void)rd_kafka_topic_partition_list_del(list, k->part[i]->pos.topic, k->part[i]->pos.partition);
        (void)rd_kafka_resume_partitions(k->rk, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    k->held = on;
    k->reseek = k->reseek && on;
}

void kafka_switch(struct cf_kafka *k, struct kafka_part *q, bool off)
{
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(one, q->pos.topic, q->pos.partition)->offset = q->at;
    if (off)
        (void)rd_kafka_pause_partitions(k->rk, one);
    else if (q->again && q->at >= 0)
        k->reseek = true;
    if (!off && !k->held)
        (void)rd_kafka_resume_partitions(k->rk, one);
    q->off = off;
    rd_kafka_topic_partition_list_destroy(one);
}

/* ---- commit ---------------------------------------------------------------------------------------------------------------- */

/* Everything taken so far, once it is on disk. */
void kafka_commit(struct cf_kafka *k, bool sync)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    struct cf_error err = {0};
    rd_kafka_resp_err_t e;
    uint64_t ticket;
    char note[48];
    int n = snprintf(note, sizeof note, NOTE " %016llx", (unsigned long long)cf_spool_id(k->o.spool));

    (void)pthread_mutex_lock(&k->kept.mu);
    for (size_t i = 0; i < k->n_part; i++) {
        struct kafka_part *q = k->part[i];
        int64_t to = q == k->cur && k->n ? q->pos.next : q->at; /* what is still being gathered is not taken yet */
        rd_kafka_topic_partition_t *t;

        if (!q->assigned || !q->known || to < 0 || to == (sync ? q->committed : q->committing))
            continue;
        t = rd_kafka_topic_partition_list_add(list, q->pos.topic, q->pos.partition);
        t->offset = to;
        t->metadata = rd_kafka_mem_malloc(k->rk, (size_t)n + 1);
        if (t->metadata) {
            memcpy(t->metadata, note, (size_t)n + 1);
            t->metadata_size = (size_t)n;
        }
        q->committing = to;
    }
    ticket = k->kept.ticket;
    (void)pthread_mutex_unlock(&k->kept.mu);
    if (list->cnt && cf_spool_wait(k->o.spool, ticket, sync ? 10000 : 2000, &err) == 0) {
        cf_crash_point("kafka.before_commit");
        e = rd_kafka_commit(k->rk, list, !sync);
        if (e != RD_KAFKA_RESP_ERR_NO_ERROR || sync) /* otherwise the answer comes by itself */
            kafka_committed(k->rk, e, list, k);
        cf_crash_point("kafka.committed");
    } else if (list->cnt) {
        kafka_error(k, "offsets not committed", err.msg);
        kafka_committed(k->rk, RD_KAFKA_RESP_ERR__TIMED_OUT, list, k);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

void kafka_committed(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *parts, void *opaque)
{
    struct cf_kafka *k = opaque;
    bool bad = err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR__NO_OFFSET;

    (void)rk;
    (void)pthread_mutex_lock(&k->kept.mu);
    for (int i = 0; parts && i < parts->cnt; i++) {
        const rd_kafka_topic_partition_t *t = &parts->elems[i];
        struct kafka_part *q = kafka_part_get(k, k->group_hash, cf_str_c(t->topic), t->partition, false);

        bad = bad || t->err != RD_KAFKA_RESP_ERR_NO_ERROR;
        if (q && err == RD_KAFKA_RESP_ERR_NO_ERROR && t->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            q->committed = t->offset;
        else if (q)
            q->committing = q->committed; /* again at the next time */
    }
    (void)pthread_mutex_unlock(&k->kept.mu);
    atomic_fetch_add(bad ? &k->s_commit_failed : &k->s_commits, 1);
    if (bad)
        kafka_error(k, "offsets not committed", rd_kafka_err2str(err));
}
