/* SPDX-License-Identifier: Apache-2.0
 * Shared by kafka.c (client, thread), kafka_group.c (assignment, commit), kafka_pos.c (positions and their memory),
 * kafka_login.c (how the brokers are reached). */
#ifndef CF_COLLECT_KAFKA_INT_H
#define CF_COLLECT_KAFKA_INT_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <regex.h>
#include <stdatomic.h>

#include "collect/kafka.h"
#include "collect/positions.h"

#define KAFKA_RECS 4096u
#define KAFKA_PARTITIONS_MAX 100000u
#define KAFKA_TOPIC_MAX 249u

/* Where reading of a partition stands. Lives as long as the collector; durable ones are in the state file. */
struct kafka_pos {
    uint64_t group;   /* hash of cluster id and group: positions of another cluster mean nothing here */
    uint32_t gen;     /* a partition that begins again at an earlier offset has the next one */
    int32_t partition;
    int64_t base;     /* first offset of this generation */
    int64_t next;     /* everything before it is in the spool */
    char topic[KAFKA_TOPIC_MAX + 1];
};
struct kafka_part {   /* one that this member has or had */
    struct kafka_pos pos;
    const struct cf_intake *cfg;
    bool known;       /* pos has offsets */
    bool assigned;
    bool off;         /* its data source is switched off: paused, the others go on */
    bool again;       /* messages were left out while the spool was full: read from `at` again */
    int64_t at;       /* next offset to take; not before pos.next (messages without a value in between) */
    int64_t committed, committing; /* what the brokers have, have been told; -1: nothing */
    uint64_t records;
    int64_t lag;
    int64_t end;      /* of the partition, asked for while it is not read; -1: it is read */
};
struct cf_kafka {
    struct cf_kafka_options o;
    struct cf_intake *topic;
    regex_t *expression; /* of topics that begin with ^ */
    char *group;
    rd_kafka_t *rk;
    pthread_t thread;
    bool on;
    _Atomic bool stop;
    uint64_t group_hash;
    bool group_known;
    size_t line_max, frame_max;
    struct cf_positions kept;
    /* under kept.mu; written by the thread only */
    struct kafka_part **part;
    size_t n_part, cap_part;
    char error[480];
    /* thread only: messages of one partition that go into one frame */
    struct kafka_part *cur;
    rd_kafka_message_t *msg[KAFKA_RECS];
    cf_str rec[KAFKA_RECS];
    size_t n, bytes;
    int64_t end;      /* offset after the last one */
    bool held;        /* the partitions are paused */
    bool reseek;      /* some partition has to be read `again` */
    struct kafka_file {
        struct timespec written;
        off_t bytes;
        ino_t inode;
    } password_of; /* the writing of the password's file that is in use */
    int64_t looked_us, asked_us;
    _Atomic uint64_t s_records, s_bytes, s_empty, s_cut, s_rebalances, s_rewinds, s_commits, s_commit_failed, s_bad, s_errors;
    _Atomic bool connected, paused;
};
void kafka_error(struct cf_kafka *k, const char *what, const char *why);
bool kafka_flush(struct cf_kafka *k); /* false: the spool has no room now, everything stays as it is */
void kafka_drop(struct cf_kafka *k);  /* the gathered messages are not taken: their partition is read from there again */
/* kafka_group.c */
void kafka_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *parts, void *opaque);
void kafka_commit(struct cf_kafka *k, bool sync);
void kafka_committed(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *parts, void *opaque);
void kafka_hold(struct cf_kafka *k, bool on); /* pauses all assigned partitions or goes on */
void kafka_switch(struct cf_kafka *k, struct kafka_part *q, bool off); /* pauses one, or goes on at its place */
/* kafka_login.c */
int kafka_set(rd_kafka_conf_t *conf, const char *key, const char *value, struct cf_error *reterr); /* no error says the value: it may be a secret */
int kafka_set_number(rd_kafka_conf_t *conf, const char *key, int64_t value, struct cf_error *reterr);
int kafka_login_set(struct cf_kafka *k, rd_kafka_conf_t *conf, struct cf_error *reterr);
void kafka_login_look(struct cf_kafka *k); /* a password that was mended in its file holds from the next connection on */
void kafka_problem(rd_kafka_t *rk, int err, const char *reason, void *opaque); /* of a connection, sign-in, the group */
int kafka_seen(rd_kafka_t *rk, char *json, size_t n, void *opaque);            /* librdkafka's figures: is a broker there? */
/* kafka_pos.c */
struct kafka_part *kafka_part_get(struct cf_kafka *k, uint64_t group, cf_str topic, int32_t partition, bool make); /* NULL: none; no memory */
size_t kafka_pos_text(const struct kafka_pos *p, int64_t from, struct cf_buf *out);
bool kafka_pos_parse(cf_str line, struct kafka_pos *ret, int64_t *ret_from);
int kafka_pos_load(struct cf_kafka *k, struct cf_error *reterr);

#endif
