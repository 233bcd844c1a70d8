/* SPDX-License-Identifier: Apache-2.0
 * The Kafka thread: takes messages, gathers runs of one partition, hands them to the spool; holds the partitions while the
 * spool has no room (and goes on polling, so that the group keeps us). */
#include "collect/kafka.h"

#include <stdio.h>
#include <stdlib.h>

#include "collect/crash.h"
#include "collect/kafka_int.h"

#define FRAME_BYTES ((size_t)1 << 20)
#define ASK_US (2 * CF_US_PER_S)
#define ASK_WAIT_MS 500
#define PATIENCE_US (2 * CF_US_PER_S) /* the spool is full this long: the partitions are paused, what was fetched ahead goes */

void kafka_error(struct cf_kafka *k, const char *what, const char *why)
{
    cf_log_warn("collect", what, "group=%s reason=\"%s\"", k->group, why ? why : "unknown");
    atomic_fetch_add(&k->s_errors, 1);
    (void)pthread_mutex_lock(&k->kept.mu);
    (void)snprintf(k->error, sizeof k->error, "%s: %.440s", what, why ? why : "unknown");
    (void)pthread_mutex_unlock(&k->kept.mu);
}

/* ---- into the spool -------------------------------------------------------------------------------------------------------- */

static void forget(struct cf_kafka *k)
{
    for (size_t i = 0; i < k->n; i++)
        rd_kafka_message_destroy(k->msg[i]);
    k->n = k->bytes = 0;
    k->cur = NULL;
}

void kafka_drop(struct cf_kafka *k)
{
    if (k->cur) {
        k->cur->at = k->cur->pos.next;
        k->cur->again = true;
        k->reseek = k->reseek || !k->cur->off;
    }
    forget(k);
}

bool kafka_flush(struct cf_kafka *k)
{
    struct kafka_part *q = k->cur;
    struct kafka_pos next;
    struct cf_source_info info;
    struct cf_error err = {0};
    struct cf_buf mark;
    char peer[KAFKA_TOPIC_MAX + 16];
    int r = 0;

    if (k->n == 0) {
        forget(k);
        return true;
    }
    cf_intake_look(q->cfg, k->o.sources, "kafka", &info);
    if (!info.enabled) { /* switched off: the topic waits */
        kafka_switch(k, q, true);
        kafka_drop(k);
        return true;
    }
    next = q->pos;
    next.next = k->end;
    cf_buf_init(&mark, 1024);
    (void)kafka_pos_text(&next, q->pos.next, &mark);
    const struct cf_spool_origin o = {
        .source = cf_str_c(info.source), .format = cf_str_c(info.format), .org = cf_str_c(info.org), .key = cf_str_c(info.name), .mark = cf_buf_view(&mark),
        .peer = cf_str_n(peer, (size_t)snprintf(peer, sizeof peer, "%s/%d", next.topic, next.partition)), .received_us = cf_now_us(),
    };
    (void)pthread_mutex_lock(&k->kept.mu);
    r = mark.failed ? CF_ENOMEM : cf_spool_append(k->o.spool, &o, k->rec, k->n, &k->kept.ticket, &err);
    if (r == 0) {
        q->pos = next;
        q->records += k->n;
        k->kept.changed = true;
    }
    (void)pthread_mutex_unlock(&k->kept.mu);
    cf_buf_release(&mark);
    cf_crash_point("kafka.appended");
    if (r != 0) {
        if (r != CF_EBUSY && r != CF_EFULL)
            kafka_error(k, "records not taken", err.msg);
        return false;
    }
    cf_counter_accept(cf_counters_get(k->o.counters, o.key, o.org), k->n, k->bytes, o.received_us);
    atomic_fetch_add(&k->s_records, k->n);
    atomic_fetch_add(&k->s_bytes, k->bytes);
    forget(k);
    return true;
}

/* As kafka_flush, waiting a while for room. False: still none. */
static bool flush_wait(struct cf_kafka *k)
{
    int64_t until = cf_mono_us() + PATIENCE_US;

    while (!kafka_flush(k)) {
        if (atomic_load(&k->stop) || k->held || cf_mono_us() >= until)
            return false;
        atomic_store(&k->paused, true);
        (void)cf_spool_wait_space(k->o.spool, 100);
    }
    atomic_store(&k->paused, false);
    return true;
}

/* ---- messages ---------------------------------------------------------------------------------------------------------------- */

static void on_problem(struct cf_kafka *k, const rd_kafka_message_t *m)
{
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return;
    if (m->err == RD_KAFKA_RESP_ERR__BAD_MSG || m->err == RD_KAFKA_RESP_ERR__BAD_COMPRESSION || m->err == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED ||
        m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || m->err == RD_KAFKA_RESP_ERR_INVALID_MSG)
        atomic_fetch_add(&k->s_bad, 1);
    kafka_error(k, m->rkt ? rd_kafka_topic_name(m->rkt) : "kafka", rd_kafka_message_errstr(m));
}

static struct kafka_part *part_of(struct cf_kafka *k, const rd_kafka_message_t *m)
{
    const char *topic = rd_kafka_topic_name(m->rkt);

    if (k->cur && k->cur->pos.partition == m->partition && strcmp(k->cur->pos.topic, topic) == 0)
        return k->cur;
    return kafka_part_get(k, k->group_hash, cf_str_c(topic), m->partition, false);
}

/* A partition that goes on before the place it had (its older end was deleted, the topic made anew): a life of its own. */
static void begin_life(struct cf_kafka *k, struct kafka_part *q, int64_t offset)
{
    (void)pthread_mutex_lock(&k->kept.mu);
    if (q->known) {
        q->pos.gen++;
        atomic_fetch_add(&k->s_rewinds, 1);
        cf_log_warn("collect", "topic begins again at an earlier offset", "topic=%s partition=%d offset=%lld before=%lld", q->pos.topic, q->pos.partition,
                    (long long)offset, (long long)q->pos.next);
    }
    q->pos.base = q->pos.next = offset;
    q->known = true;
    k->kept.changed = true;
    (void)pthread_mutex_unlock(&k->kept.mu);
}

/* Takes over m. */
static void take(struct cf_kafka *k, rd_kafka_message_t *m)
{
    struct kafka_part *q = m->err ? NULL : part_of(k, m);
    cf_str s = cf_str_n(m->payload, m->len);

    if (!q || !q->assigned) {
        if (m->err)
            on_problem(k, m);
        rd_kafka_message_destroy(m);
        return;
    }
    if (k->held || (k->cur != q && !flush_wait(k)) || (k->n == KAFKA_RECS && !flush_wait(k))) {
        if (q->at < 0 && !q->known)
            q->at = m->offset;
        q->again = k->reseek = true; /* comes again when there is room */
        rd_kafka_message_destroy(m);
        return;
    }
    if (q->again || q->off) { /* of before */
        rd_kafka_message_destroy(m);
        return;
    }
    if (!q->known || m->offset < q->at)
        begin_life(k, q, m->offset);
    atomic_store(&k->connected, true);
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r' || s.p[s.n - 1] == '\0'))
        s.n--;
    if (s.n > k->line_max) {
        s.n = k->line_max;
        atomic_fetch_add(&k->s_cut, 1);
    }
    q->at = k->end = m->offset + 1;
    k->cur = q;
    if (s.n == 0) {
        atomic_fetch_add(&k->s_empty, 1);
        rd_kafka_message_destroy(m);
        return;
    }
    k->msg[k->n] = m;
    k->rec[k->n++] = s;
    k->bytes += s.n;
}

/* Of a partition that is not read the client learns nothing new: its end is asked for. A broker that does not answer is not asked
 * for the others. */
static void ask_ends(struct cf_kafka *k)
{
    int64_t now = cf_mono_us(), lo, hi;
    bool ask = now - k->asked_us >= ASK_US;

    if (ask)
        k->asked_us = now;
    for (size_t i = 0; i < k->n_part; i++) {
        struct kafka_part *q = k->part[i];

        if (!q->assigned || !(q->off || k->held))
            q->end = -1;
        else if (ask && (ask = rd_kafka_query_watermark_offsets(k->rk, q->pos.topic, q->pos.partition, &lo, &hi, ASK_WAIT_MS) == RD_KAFKA_RESP_ERR_NO_ERROR))
            q->end = hi;
    }
}

static void measure(struct cf_kafka *k)
{
    ask_ends(k);
    (void)pthread_mutex_lock(&k->kept.mu);
    for (size_t i = 0; i < k->n_part; i++) {
        struct kafka_part *q = k->part[i];
        int64_t lo = -1, hi = -1;

        if (q->assigned && rd_kafka_get_watermark_offsets(k->rk, q->pos.topic, q->pos.partition, &lo, &hi) == RD_KAFKA_RESP_ERR_NO_ERROR && (hi = hi > q->end ? hi : q->end) >= 0)
            q->lag = hi > (q->known ? q->pos.next : lo) ? hi - (q->known ? q->pos.next : lo > 0 ? lo : 0) : 0;
        if (q->lag && q->at >= hi && hi >= 0 && k->n == 0)
            q->lag = 0; /* only messages without a value are behind */
    }
    (void)pthread_mutex_unlock(&k->kept.mu);
}

/* Data sources that were switched on again. */
static void look_at_switches(struct cf_kafka *k)
{
    for (size_t i = 0; i < k->n_part; i++) {
        struct kafka_part *q = k->part[i];
        struct cf_source_info info;

        if (!q->off || !q->assigned)
            continue;
        cf_intake_look(q->cfg, k->o.sources, "kafka", &info);
        if (info.enabled)
            kafka_switch(k, q, false);
    }
}

static void *kafka_main(void *arg)
{
    struct cf_kafka *k = arg;
    int64_t commit_us = cf_mono_us();

    while (!atomic_load(&k->stop)) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(k->rk, k->held ? 50 : k->n ? 0 : 100);
        int64_t now;

        if (m)
            take(k, m);
        if ((!m || k->n == KAFKA_RECS || k->bytes >= k->frame_max) && !flush_wait(k) && !k->held && !atomic_load(&k->stop))
            kafka_hold(k, true);
        else if ((k->held || k->reseek) && k->n == 0)
            kafka_hold(k, false);
        if (m && k->n % 256 != 0)
            continue;
        now = cf_mono_us();
        if (now - commit_us >= k->o.commit_us) {
            kafka_commit(k, false);
            measure(k);
            look_at_switches(k);
            kafka_login_look(k);
            commit_us = now;
        }
    }
    if (!kafka_flush(k))
        kafka_drop(k);
    kafka_commit(k, true);
    (void)rd_kafka_consumer_close(k->rk);
    return NULL;
}

/* ---- start and stop ------------------------------------------------------------------------------------------------------------ */

static void on_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
    (void)rk;
    if (level <= 4)
        cf_log_info("kafka", fac, "text=\"%.300s\"", buf);
    else
        cf_log_debug("kafka", fac, "text=\"%.300s\"", buf);
}

static int set_up_client(struct cf_kafka *k, struct cf_error *reterr)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[512];
    int r = kafka_login_set(k, conf, reterr);

    if (r == 0)
        r = kafka_set(conf, "bootstrap.servers", k->o.brokers, reterr);
    if (r == 0)
        r = kafka_set(conf, "group.id", k->group, reterr);
    if (r == 0)
        r = kafka_set(conf, "client.id", k->o.client_id && k->o.client_id[0] ? k->o.client_id : "chengfang", reterr);
    if (r == 0)
        r = kafka_set(conf, "enable.auto.commit", "false", reterr);
    if (r == 0)
        r = kafka_set(conf, "enable.auto.offset.store", "false", reterr);
    if (r == 0)
        r = kafka_set(conf, "auto.offset.reset", k->o.from_end ? "latest" : "earliest", reterr);
    if (r == 0)
        r = kafka_set(conf, "check.crcs", "true", reterr);
    if (r == 0)
        r = kafka_set_number(conf, "session.timeout.ms", k->o.session_us / 1000, reterr);
    if (r == 0)
        r = kafka_set_number(conf, "heartbeat.interval.ms", k->o.session_us / 1000 / 10 > 0 ? k->o.session_us / 1000 / 10 : 1, reterr);
    if (r == 0)
        r = kafka_set_number(conf, "queued.max.messages.kbytes", k->o.memory / 1024, reterr);
    if (r == 0)
        r = kafka_set_number(conf, "statistics.interval.ms", 2000, reterr); /* kafka_seen */
    if (r == 0)
        r = kafka_set_number(conf, "topic.metadata.refresh.interval.ms", 60000, reterr); /* new topics of an expression */
    rd_kafka_conf_set_rebalance_cb(conf, kafka_rebalance);
    rd_kafka_conf_set_offset_commit_cb(conf, kafka_committed);
    rd_kafka_conf_set_error_cb(conf, kafka_problem);
    rd_kafka_conf_set_stats_cb(conf, kafka_seen);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, k);
    if (r == 0) {
        k->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
        if (k->rk)
            conf = NULL; /* taken */
        else
            r = cf_error_set(reterr, CF_EINVAL, "kafka: %s", why);
    }
    if (conf)
        rd_kafka_conf_destroy(conf);
    if (r == 0)
        (void)rd_kafka_poll_set_consumer(k->rk);
    return r;
}

static int subscribe(struct cf_kafka *k, struct cf_error *reterr)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)k->o.n_topics);
    rd_kafka_resp_err_t e;

    for (size_t i = 0; i < k->o.n_topics; i++)
        (void)rd_kafka_topic_partition_list_add(list, k->topic[i].what, RD_KAFKA_PARTITION_UA);
    e = rd_kafka_subscribe(k->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return e == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : cf_error_set(reterr, CF_EINVAL, "kafka.topics: %s", rd_kafka_err2str(e));
}

static int copy_topics(struct cf_kafka *k, const struct cf_kafka_options *o, struct cf_error *reterr)
{
    k->o.n_topics = 0;
    k->topic = calloc(o->n_topics + 1, sizeof *k->topic);
    k->expression = calloc(o->n_topics + 1, sizeof *k->expression);
    k->group = strdup(o->group && o->group[0] ? o->group : "chengfang");
    if (!k->topic || !k->expression || !k->group)
        return cf_error_set(reterr, CF_ENOMEM, "kafka");
    if (o->n_topics == 0)
        return cf_error_set(reterr, CF_EINVAL, "kafka.topics: at least one topic is needed");
    for (size_t i = 0; i < o->n_topics; i++) {
        const char *what = o->topic[i].what;

        if (what[0] == '^' && regcomp(&k->expression[i], what, REG_EXTENDED | REG_NOSUB) != 0)
            return cf_error_set(reterr, CF_EINVAL, "kafka.topics: \"%s\" is no regular expression", what);
        if (!cf_intake_copy(&k->topic[i], &o->topic[i])) {
            if (what[0] == '^')
                regfree(&k->expression[i]);
            return cf_error_set(reterr, CF_ENOMEM, "kafka");
        }
        k->o.n_topics = i + 1;
    }
    return 0;
}

int cf_kafka_start(const struct cf_kafka_options *o, struct cf_kafka **ret, struct cf_error *reterr)
{
    struct cf_kafka *k = calloc(1, sizeof *k);
    int r;

    if (!k)
        return cf_error_set(reterr, CF_ENOMEM, "kafka");
    k->o = *o;
    k->o.commit_us = o->commit_us > 0 ? o->commit_us : CF_US_PER_S;
    k->o.session_us = o->session_us > 0 ? o->session_us : 45 * CF_US_PER_S;
    k->o.memory = o->memory > 0 ? o->memory : 64 << 20;
    k->frame_max = cf_spool_frame_max(o->spool) / 4 < FRAME_BYTES ? cf_spool_frame_max(o->spool) / 4 : FRAME_BYTES;
    k->line_max = o->line_max && o->line_max < cf_spool_frame_max(o->spool) / 4 ? o->line_max : cf_spool_frame_max(o->spool) / 4;
    r = cf_positions_init(&k->kept, o->spool, o->state_path, "positions of topics", "kafka.before_save", "kafka.saved", reterr);
    if (r == 0)
        r = copy_topics(k, o, reterr);
    if (r == 0)
        r = kafka_pos_load(k, reterr);
    if (r == 0)
        r = set_up_client(k, reterr);
    if (r == 0)
        r = subscribe(k, reterr);
    if (r < 0) {
        cf_kafka_stop(k);
        return r;
    }
    *ret = k;
    return 0;
}

int cf_kafka_run(struct cf_kafka *k, struct cf_error *reterr)
{
    k->on = pthread_create(&k->thread, NULL, kafka_main, k) == 0;
    return k->on ? 0 : cf_error_set(reterr, CF_ENOMEM, "kafka thread");
}

void cf_kafka_stop(struct cf_kafka *k)
{
    struct cf_error err = {0};

    if (!k)
        return;
    atomic_store(&k->stop, true);
    if (k->on) {
        (void)pthread_join(k->thread, NULL);
        if (cf_kafka_save(k, &err) < 0)
            cf_log_warn("collect", "positions of topics not saved", "reason=\"%s\"", err.msg);
    }
    if (k->rk)
        rd_kafka_destroy(k->rk);
    for (size_t i = 0; i < k->n_part; i++)
        free(k->part[i]);
    free(k->part);
    for (size_t i = 0; k->topic && i < k->o.n_topics; i++) {
        if (k->topic[i].what[0] == '^')
            regfree(&k->expression[i]);
        cf_intake_release(&k->topic[i]);
    }
    free(k->topic);
    free(k->expression);
    cf_positions_release(&k->kept);
    free(k->group);
    free(k);
}

/* ---- figures ------------------------------------------------------------------------------------------------------------------ */

void cf_kafka_get_stats(struct cf_kafka *k, struct cf_kafka_stats *ret)
{
    *ret = (struct cf_kafka_stats){
        .records = atomic_load(&k->s_records), .bytes = atomic_load(&k->s_bytes), .empty = atomic_load(&k->s_empty), .cut = atomic_load(&k->s_cut),
        .rebalances = atomic_load(&k->s_rebalances), .rewinds = atomic_load(&k->s_rewinds), .commits = atomic_load(&k->s_commits),
        .commit_failed = atomic_load(&k->s_commit_failed), .bad = atomic_load(&k->s_bad), .errors = atomic_load(&k->s_errors),
        .connected = atomic_load(&k->connected), .paused = atomic_load(&k->paused),
    };
    (void)pthread_mutex_lock(&k->kept.mu);
    for (size_t i = 0; i < k->n_part; i++)
        if (k->part[i]->assigned) {
            ret->partitions++;
            ret->lag += (uint64_t)k->part[i]->lag;
        }
    memcpy(ret->error, k->error, sizeof ret->error);
    (void)pthread_mutex_unlock(&k->kept.mu);
}

size_t cf_kafka_topics(struct cf_kafka *k, struct cf_kafka_topic_stats *ret, size_t max)
{
    size_t n = 0, j;

    (void)pthread_mutex_lock(&k->kept.mu);
    for (size_t i = 0; i < k->n_part; i++) {
        const struct kafka_part *q = k->part[i];

        if (!q->assigned)
            continue;
        for (j = 0; j < n && strcmp(ret[j].topic, q->pos.topic) != 0; j++)
            ;
        if (j == n && n < max) {
            ret[n] = (struct cf_kafka_topic_stats){0};
            (void)snprintf(ret[n].topic, sizeof ret[n].topic, "%s", q->pos.topic);
            (void)snprintf(ret[n].source, sizeof ret[n].source, "%s", q->cfg->source);
            (void)snprintf(ret[n].parser, sizeof ret[n].parser, "%s", q->cfg->parser);
            (void)snprintf(ret[n].org, sizeof ret[n].org, "%s", q->cfg->org);
            n++;
        }
        if (j < n) {
            ret[j].partitions++;
            ret[j].lag += (uint64_t)q->lag;
            ret[j].records += q->records;
            ret[j].off = ret[j].off || q->off;
        }
    }
    (void)pthread_mutex_unlock(&k->kept.mu);
    return n;
}
