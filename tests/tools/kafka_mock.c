/* SPDX-License-Identifier: Apache-2.0
 * A Kafka cluster for tests: librdkafka's mock brokers (real sockets, the real protocol) in a process of their own, driven over
 * standard input, one command a line, one answer a line.
 *
 *   topic NAME PARTITIONS                     lines TOPIC PARTITIONS HOST FROM N [PAD]   syslog lines of users u<FROM>...
 *   value TOPIC PARTITION TEXT                null TOPIC PARTITION                       a message without a value
 *   committed GROUP TOPIC PARTITIONS          commit GROUP TOPIC PARTITION OFFSET        as an administrator's reset does
 *   down BROKER | up BROKER                   fail APIKEY CODE TIMES                     the next answers of that request
 *   version                                   of librdkafka, as a number
 *
 * First line of output: "brokers HOST:PORT,..." */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static rd_kafka_t *producer;
static rd_kafka_mock_cluster_t *cluster;
static char why[512];

static void must(rd_kafka_conf_t *c, const char *key, const char *value)
{
    if (rd_kafka_conf_set(c, key, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        (void)fprintf(stderr, "kafka_mock: %s\n", why);
        exit(1);
    }
}

static rd_kafka_resp_err_t put(const char *topic, int partition, const char *value, size_t n)
{
    rd_kafka_resp_err_t e;

    while ((e = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_VALUE((void *)(size_t)value, n),
                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        (void)rd_kafka_poll(producer, 10);
    return e;
}

static rd_kafka_resp_err_t lines(const char *topic, int partitions, const char *host, long from, long n, int pad)
{
    rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR_NO_ERROR;
    char text[4096], stamp[64], fill[2048];
    struct timespec now;
    struct tm tm;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
    pad = pad < (int)sizeof fill - 1 ? pad : (int)sizeof fill - 1;
    memset(fill, 'x', sizeof fill);
    for (long k = from; k < from + n && e == RD_KAFKA_RESP_ERR_NO_ERROR; k++) {
        int len = snprintf(text, sizeof text, "<38>1 %s %s sshd 77 - - Failed password for u%ld from 203.0.113.9 port 4022 ssh2%s%.*s", stamp, host, k,
                           pad ? " " : "", pad, fill);

        e = put(topic, (int)(k % partitions), text, (size_t)len);
    }
    return e;
}

/* A client of that group. */
static rd_kafka_t *visitor(const char *group)
{
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    rd_kafka_t *rk;

    must(c, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster));
    must(c, "group.id", group);
    must(c, "enable.auto.commit", "false");
    must(c, "session.timeout.ms", "4000");
    must(c, "heartbeat.interval.ms", "300");
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, c, why, sizeof why);
    if (!rk)
        exit(1);
    return rk;
}

static void committed(const char *group, const char *topic, int partitions)
{
    rd_kafka_t *rk = visitor(group);
    rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(partitions);
    rd_kafka_resp_err_t e;

    for (int i = 0; i < partitions; i++)
        (void)rd_kafka_topic_partition_list_add(l, topic, i);
    e = rd_kafka_committed(rk, l, 10000);
    if (e != RD_KAFKA_RESP_ERR_NO_ERROR)
        (void)printf("error %s\n", rd_kafka_err2str(e));
    else
        for (int i = 0; i < partitions; i++)
            (void)printf("%s%lld%s", i ? " " : "", (long long)l->elems[i].offset, i + 1 == partitions ? "\n" : "");
    rd_kafka_topic_partition_list_destroy(l);
    rd_kafka_destroy(rk);
}

static rd_kafka_resp_err_t commit(const char *group, const char *topic, int partition, long long offset)
{
    rd_kafka_t *rk = visitor(group);
    rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t e;

    (void)rd_kafka_topic_partition_list_add(l, topic, RD_KAFKA_PARTITION_UA);
    (void)rd_kafka_subscribe(rk, l);
    rd_kafka_topic_partition_list_destroy(l);
    for (int i = 0; i < 300; i++) { /* the mock group takes offsets of members only; a real one wants it empty for a reset */
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);
        rd_kafka_topic_partition_list_t *have = NULL;
        bool in = rd_kafka_assignment(rk, &have) == RD_KAFKA_RESP_ERR_NO_ERROR && have->cnt > 0;

        if (m)
            rd_kafka_message_destroy(m);
        if (have)
            rd_kafka_topic_partition_list_destroy(have);
        if (in)
            break;
    }
    l = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(l, topic, partition)->offset = offset;
    e = rd_kafka_commit(rk, l, 0);
    rd_kafka_topic_partition_list_destroy(l);
    (void)rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return e;
}

static void answer(rd_kafka_resp_err_t e)
{
    if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
        (void)puts("ok");
    else
        (void)printf("error %s\n", rd_kafka_err2str(e));
}

static void command(char *line)
{
    char a[256] = "", b[256] = "", verb[32] = "";
    long n[3] = {0, 0, 0};
    int at = 0;

    if (strcmp(line, "version") == 0) {
        (void)printf("%d\n", rd_kafka_version());
    } else if (sscanf(line, "topic %255s %ld", a, &n[0]) == 2) {
        answer(rd_kafka_mock_topic_create(cluster, a, (int)n[0], 1));
    } else if (sscanf(line, "lines %255s %ld %255s %ld %ld %d", a, &n[0], b, &n[1], &n[2], &at) >= 5) {
        rd_kafka_resp_err_t e = lines(a, (int)n[0], b, n[1], n[2], at);

        answer(e == RD_KAFKA_RESP_ERR_NO_ERROR ? rd_kafka_flush(producer, 60000) : e);
    } else if (sscanf(line, "value %255s %ld %n", a, &n[0], &at) == 2 && at > 0) {
        rd_kafka_resp_err_t e = put(a, (int)n[0], line + at, strlen(line + at));

        answer(e == RD_KAFKA_RESP_ERR_NO_ERROR ? rd_kafka_flush(producer, 60000) : e);
    } else if (sscanf(line, "null %255s %ld", a, &n[0]) == 2) {
        rd_kafka_resp_err_t e = put(a, (int)n[0], NULL, 0);

        answer(e == RD_KAFKA_RESP_ERR_NO_ERROR ? rd_kafka_flush(producer, 60000) : e);
    } else if (sscanf(line, "committed %255s %255s %ld", a, b, &n[0]) == 3) {
        committed(a, b, (int)n[0]);
    } else if (sscanf(line, "commit %255s %255s %ld %ld", a, b, &n[0], &n[1]) == 4) {
        answer(commit(a, b, (int)n[0], n[1]));
    } else if (sscanf(line, "%31s %ld", verb, &n[0]) == 2 && strcmp(verb, "down") == 0) {
        answer(rd_kafka_mock_broker_set_down(cluster, (int32_t)n[0]));
    } else if (sscanf(line, "%31s %ld", verb, &n[0]) == 2 && strcmp(verb, "up") == 0) {
        answer(rd_kafka_mock_broker_set_up(cluster, (int32_t)n[0]));
    } else if (sscanf(line, "fail %ld %ld %ld", &n[0], &n[1], &n[2]) == 3) {
        for (long i = 0; i < n[2]; i++)
            rd_kafka_mock_push_request_errors(cluster, (int16_t)n[0], 1, (rd_kafka_resp_err_t)n[1]);
        answer(RD_KAFKA_RESP_ERR_NO_ERROR);
    } else {
        (void)puts("error no such command");
    }
}

int main(int argc, char **argv)
{
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    char line[1 << 16];

    must(c, "test.mock.num.brokers", argc > 1 ? argv[1] : "3");
    must(c, "compression.codec", argc > 2 ? argv[2] : "none");
    must(c, "linger.ms", "5");
    must(c, "queue.buffering.max.messages", "1000000");
    producer = rd_kafka_new(RD_KAFKA_PRODUCER, c, why, sizeof why);
    cluster = producer ? rd_kafka_handle_mock_cluster(producer) : NULL;
    if (!cluster) {
        (void)fprintf(stderr, "kafka_mock: %s\n", why);
        return 1;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)printf("brokers %s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        command(line);
    }
    rd_kafka_destroy(producer);
    return 0;
}
