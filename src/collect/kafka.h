/* SPDX-License-Identifier: Apache-2.0
 * Kafka: a member of a consumer group. Offsets are committed to the brokers only after the spool has the records on disk.
 *
 *   brokers --poll--> one frame a run of one partition, with the mark "offsets from A to B of this partition" --> spool
 *   commit A < B once the frame is durable          after kill -9: the marks say where to read on, nothing is lost or doubled
 *
 * A position is durable exactly when its records are (as in tail.h); what the brokers remember is for other members of the
 * group and for a new machine. One thread; all Kafka protocol is librdkafka's. */
#ifndef CF_COLLECT_KAFKA_H
#define CF_COLLECT_KAFKA_H

#include "collect/counters.h"
#include "collect/intake.h"
#include "collect/spool.h"

struct cf_kafka_options {
    struct cf_spool *spool;
    struct cf_counters *counters;
    struct cf_shared *sources;        /* struct cf_source_table */
    const char *state_path;           /* DATA/kafka.state */
    const char *brokers;              /* "host:port,host:port"; NULL or "": off */
    const char *group, *client_id;
    const struct cf_intake *topic;    /* copied; what: name, or ^expression */
    size_t n_topics;
    bool from_end;                    /* partitions nobody has a position of begin at their end */
    const char *security;             /* plaintext, ssl, sasl_plaintext, sasl_ssl */
    const char *sasl_mechanism, *sasl_user, *sasl_password_file;
    const char *tls_ca, *tls_cert, *tls_key, *tls_key_password_file; /* PEM files; "" none */
    bool tls_verify_name;             /* the broker's certificate must have the name it was called by */
    int64_t session_us;               /* silence after which the group gives our partitions to others */
    int64_t commit_us;
    int64_t memory;                   /* fetched and not taken yet */
    size_t line_max;                  /* longer records are cut and counted */
};
struct cf_kafka;
/* After cf_spool_open, before anything is appended. Takes nothing before cf_kafka_run. Brokers that are not there are waited for; a
 * wrong configuration is an error. */
int cf_kafka_start(const struct cf_kafka_options *o, struct cf_kafka **ret, struct cf_error *reterr);
int cf_kafka_run(struct cf_kafka *k, struct cf_error *reterr);
void cf_kafka_stop(struct cf_kafka *k); /* commits, leaves the group. NULL is fine */
/* Writes the positions down whose records are durable. Before each cf_spool_commit: the marks it deletes are in there then. */
int cf_kafka_save(struct cf_kafka *k, struct cf_error *reterr);

struct cf_kafka_stats {
    uint64_t records, bytes, partitions, lag;
    uint64_t empty;                       /* messages without a value */
    uint64_t cut;                         /* longer than line_max */
    uint64_t rebalances, rewinds;         /* assignments; partitions that began at an earlier offset */
    uint64_t commits, commit_failed;
    uint64_t bad;                         /* messages or batches that could not be read (damaged, unknown packing) */
    uint64_t errors;                      /* of connections, authentication, the group */
    bool connected, paused;               /* paused: waiting for the spool */
    char error[480];                      /* the newest one */
};
void cf_kafka_get_stats(struct cf_kafka *k, struct cf_kafka_stats *ret);
/* Topics this member has partitions of, at most max; returns how many. */
struct cf_kafka_topic_stats {
    char topic[250], source[96], parser[64], org[64];
    uint64_t partitions, lag, records;
    bool off; /* its data source is switched off: it waits */
};
size_t cf_kafka_topics(struct cf_kafka *k, struct cf_kafka_topic_stats *ret, size_t max);

#endif
