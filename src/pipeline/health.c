/* SPDX-License-Identifier: Apache-2.0
 * What the health page shows: components, the five numbers, spool, store, listeners; Prometheus lines. */
#include <stdio.h>
#include <stdlib.h>

#include "api/list.h"
#include "app/app.h"
#include "pipeline/pipeline_int.h"
#include "pipeline/quality.h"

static json_t *component(const char *name, const char *status, const char *detail)
{
    return json_pack("{s:s,s:s,s:s,s:{}}", "name", name, "status", status, "detail", detail, "metrics");
}

static json_t *numbers(const struct cf_pipeline *p, const struct cf_pipeline_stats *s)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:I,s:I,s:I,s:I,s:I}", "received", (json_int_t)s->received, "accepted", (json_int_t)s->accepted,
                     "rejected", (json_int_t)s->rejected, "stored", (json_int_t)s->stored, "failed", (json_int_t)s->failed, "queue_bytes",
                     (json_int_t)s->queue_bytes, "lag_seconds", s->lag_seconds, "eps", s->eps, "parse_failures", (json_int_t)s->unparsed, "hits",
                     (json_int_t)s->hits, "batches", (json_int_t)s->batches, "store_retries", (json_int_t)atomic_load(&p->store_retries), "workers",
                     (json_int_t)p->n_workers);
}

static json_t *spool_json(const struct cf_spool_stats *s, int64_t cap)
{
    return json_pack("{s:b,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "accepting", s->accepting, "reason", s->reason, "backlog_bytes",
                     (json_int_t)s->backlog_bytes, "disk_bytes", (json_int_t)s->disk_bytes, "cap_bytes", (json_int_t)cap, "segments",
                     (json_int_t)s->segments, "syncs", (json_int_t)s->syncs, "sync_avg_us", (json_int_t)(s->syncs ? s->sync_us / s->syncs : 0),
                     "sync_max_us", (json_int_t)s->sync_max_us, "damaged_frames", (json_int_t)s->corrupt_frames, "damaged_bytes",
                     (json_int_t)s->corrupt_bytes, "torn_bytes", (json_int_t)s->torn_bytes);
}

static json_t *stream_json(const char *name, unsigned port, const struct cf_stream_stats *s, const struct cf_listener_stats *all, bool tls)
{
    json_t *j = json_pack("{s:s,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "name", name, "port", (int)port, "connections", (json_int_t)s->connections, "accepted",
                          (json_int_t)s->accepted, "refused", (json_int_t)s->refused, "closed_idle", (json_int_t)s->closed_idle, "bad_framing",
                          (json_int_t)s->bad_framing, "cut", (json_int_t)all->cut, "unknown_refused", (json_int_t)all->unknown_refused, "status",
                          all->paused ? "paused" : "ok");

    if (tls && j) {
        (void)json_object_set_new(j, "handshakes", json_integer((json_int_t)s->handshakes));
        (void)json_object_set_new(j, "handshake_failed", json_integer((json_int_t)s->handshake_failed));
        (void)json_object_set_new(j, "handshake_timeout", json_integer((json_int_t)s->handshake_timeout));
    }
    return j;
}

/* What the configuration says about one way in. */
static void put_intake(json_t *j, const struct cf_intake *in)
{
    const struct {
        const char *key, *v;
    } v[] = {{"source", in->source}, {"parser", in->parser}, {"format", in->format}, {"org", in->org}, {"encoding", in->encoding}};

    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        if (v[i].v[0])
            (void)json_object_set_new(j, v[i].key, json_string(v[i].v));
}

static json_t *tail_json(struct cf_pipeline *p)
{
    const struct cf_intake *in;
    json_t *paths = json_array(), *j;
    struct cf_tail_stats s;

    cf_tail_get_stats(p->tail, &s);
    j = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:s}", "name", "tail", "files", (json_int_t)s.files, "received", (json_int_t)s.records, "bytes",
                     (json_int_t)s.bytes, "behind_bytes", (json_int_t)s.behind, "rotations", (json_int_t)s.rotations, "truncations", (json_int_t)s.truncations,
                     "packed_files", (json_int_t)s.packed_files, "cut", (json_int_t)s.cut, "errors", (json_int_t)s.errors, "error", s.error, "status",
                     s.paused ? "paused" : "ok");
    for (size_t i = 0; (in = cf_tail_path(p->tail, i)); i++) {
        json_t *one = json_pack("{s:s}", "path", in->what);

        put_intake(one, in);
        (void)json_array_append_new(paths, one);
    }
    (void)json_object_set_new(j, "paths", paths);
    return j;
}

static json_t *flow_json(const char *name, unsigned port, uint64_t received, uint64_t dropped, const struct cf_netflow_stats *f, bool paused)
{
    return json_pack("{s:s,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "name", name, "port", (int)port, "received", (json_int_t)received, "dropped",
                     (json_int_t)dropped, "flows", (json_int_t)f->flows, "templates", (json_int_t)f->templates, "no_template", (json_int_t)f->no_template,
                     "malformed", (json_int_t)f->malformed, "options", (json_int_t)f->options, "evicted", (json_int_t)f->evicted, "status", paused ? "paused" : "ok");
}

static json_t *kafka_json(struct cf_pipeline *p)
{
    static const size_t max = 200;
    struct cf_kafka_topic_stats *v = calloc(max, sizeof *v);
    json_t *topics = json_array();
    struct cf_kafka_stats s;

    cf_kafka_get_stats(p->kafka, &s);
    for (size_t i = 0, n = v ? cf_kafka_topics(p->kafka, v, max) : 0; i < n; i++)
        (void)json_array_append_new(topics, json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:b}", "topic", v[i].topic, "source", v[i].source, "parser", v[i].parser, "org", v[i].org,
                                                      "partitions", (json_int_t)v[i].partitions, "lag", (json_int_t)v[i].lag, "received", (json_int_t)v[i].records, "off", v[i].off));
    free(v);
    return json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:s,s:o}", "name", "kafka", "group", p->o.kafka.group, "received", (json_int_t)s.records, "bytes", (json_int_t)s.bytes, "lag", (json_int_t)s.lag,
                     "partitions", (json_int_t)s.partitions, "empty", (json_int_t)s.empty, "cut", (json_int_t)s.cut, "bad", (json_int_t)s.bad, "rebalances",
                     (json_int_t)s.rebalances, "rewinds", (json_int_t)s.rewinds, "commits", (json_int_t)s.commits, "commit_failed", (json_int_t)s.commit_failed,
                     "errors", (json_int_t)s.errors, "error", s.error, "status", !s.connected ? "error" : s.paused ? "paused" : "ok", "topics", topics);
}

static json_t *listeners_json(struct cf_pipeline *p)
{
    struct cf_listener *l = p->listener;
    json_t *list = json_array();
    struct cf_listener_more more;
    struct cf_listener_stats s;

    if (p->tail)
        (void)json_array_append_new(list, tail_json(p));
    if (p->kafka)
        (void)json_array_append_new(list, kafka_json(p));
    if (!l)
        return list;
    cf_listener_get_stats(l, &s);
    if (cf_listener_udp_port(l))
        (void)json_array_append_new(list, json_pack("{s:s,s:i,s:I,s:I,s:s}", "name", "syslog-udp", "port", (int)cf_listener_udp_port(l), "received",
                                                    (json_int_t)s.udp_received, "dropped", (json_int_t)s.udp_dropped, "status",
                                                    s.paused ? "paused" : "ok"));
    if (cf_listener_tcp_port(l))
        (void)json_array_append_new(list, stream_json("syslog-tcp", cf_listener_tcp_port(l), &s.tcp, &s, false));
    if (cf_listener_netflow_port(l))
        (void)json_array_append_new(list, flow_json("netflow", cf_listener_netflow_port(l), s.flow_received, s.flow_dropped, &s.flow, s.paused));
    if (cf_listener_sflow_port(l))
        (void)json_array_append_new(list, flow_json("sflow", cf_listener_sflow_port(l), s.sflow_received, s.sflow_dropped, &s.sflow, s.paused));
    if (cf_listener_tls_port(l))
        (void)json_array_append_new(list, stream_json("syslog-tls", cf_listener_tls_port(l), &s.tls, &s, true));
    for (size_t i = 0; cf_listener_get_more(l, i, &more); i++) {
        json_t *one = more.flow        ? flow_json("netflow", more.port, more.received, more.dropped, &more.flows, s.paused)
                      : more.datagrams ? json_pack("{s:s,s:i,s:I,s:I,s:s}", "name", "syslog-udp", "port", (int)more.port, "received", (json_int_t)more.received, "dropped", (json_int_t)more.dropped,
                                                   "status", s.paused ? "paused" : "ok")
                                       : stream_json(more.in->what[1] == 'l' ? "syslog-tls" : "syslog-tcp", more.port, &more.stream, &s, more.in->what[1] == 'l');

        (void)json_object_set_new(one, "address", json_string(more.in->what));
        put_intake(one, more.in);
        (void)json_array_append_new(list, one);
    }
    return list;
}

json_t *cf_pipeline_health(struct cf_pipeline *p)
{
    struct cf_pipeline_stats s;
    struct cf_spool_stats sp;
    json_t *all = json_array(), *store, *ret;
    char detail[300] = "";
    bool bad_store;

    cf_pipeline_get_stats(p, &s);
    cf_spool_get_stats(p->spool, &sp);
    (void)pthread_mutex_lock(&p->mu);
    bad_store = s.store_failing || p->sync_reason[0];
    (void)snprintf(detail, sizeof detail, "%s", s.store_failing ? p->store_reason : p->sync_reason);
    store = p->store_stats ? json_incref(p->store_stats) : json_object();
    (void)pthread_mutex_unlock(&p->mu);
    (void)json_array_append_new(all, component("store", bad_store ? "error" : "ok", detail));
    (void)json_array_append_new(all, component("spool", sp.accepting ? "ok" : "error", sp.reason));
    (void)snprintf(detail, sizeof detail, s.lag_seconds > 10 ? "%.0f s behind" : "%.1f s behind", s.lag_seconds);
    (void)json_array_append_new(all, component("pipeline", s.lag_seconds > 60 ? "warning" : "ok", detail));
    (void)json_array_append_new(all, quality_silent_component(p));
    if (sp.corrupt_frames || sp.torn_bytes) {
        (void)snprintf(detail, sizeof detail, "%llu damaged places skipped, %llu bytes; torn tail %llu bytes", (unsigned long long)sp.corrupt_frames,
                       (unsigned long long)sp.corrupt_bytes, (unsigned long long)sp.torn_bytes);
        (void)json_array_append_new(all, component("spool-integrity", sp.corrupt_frames ? "warning" : "ok", detail));
    }
    ret = json_pack("{s:s,s:o,s:o,s:o,s:o,s:o}", "status", bad_store || !sp.accepting ? "error" : s.lag_seconds > 60 || sp.corrupt_frames ? "warning" : "ok",
                    "components", all, "pipeline", numbers(p, &s), "spool", spool_json(&sp, p->o.spool.cap > 0 ? p->o.spool.cap : INT64_C(8) << 30), "store",
                    store, "listeners", listeners_json(p));
    return ret;
}

static struct cf_pipeline *pipeline_of(struct cf_req *req) { return ((struct cf_app *)req->app)->pipeline; }

static int get_health(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_pipeline *p = pipeline_of(req);

    if (!p)
        return cf_error_set(reterr, CF_EBUSY, "the pipeline is not running");
    cf_reply_json(req, 200, cf_pipeline_health(p));
    return 0;
}

static int get_unparsed(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_pipeline *p = pipeline_of(req);
    int64_t limit;
    json_t *items;
    int r = cf_req_query_i64(req, "limit", 100, 1, UNPARSED_MAX, &limit, reterr);

    if (r < 0)
        return r;
    if (!p)
        return cf_error_set(reterr, CF_EBUSY, "the pipeline is not running");
    items = cf_pipeline_unparsed(p, (size_t)limit);
    cf_reply_list(req, items, NULL, (int64_t)json_array_size(items));
    return 0;
}

static void metric(struct cf_buf *out, const char *name, const char *type, const char *help, double v)
{
    cf_buf_printf(out, "# HELP cf_%s %s\n# TYPE cf_%s %s\ncf_%s %.10g\n", name, help, name, type, name, v);
}

static void source_metrics(struct cf_pipeline *p, struct cf_buf *out)
{
    cf_buf_z(out, "# HELP cf_source_records_total records of a data source by outcome\n# TYPE cf_source_records_total counter\n");
    for (struct cf_counter *c = cf_counters_first(p->counters); c; c = c->next) {
        const struct {
            const char *name;
            uint64_t v;
        } v[] = {{"received", atomic_load(&c->received)}, {"accepted", atomic_load(&c->accepted)}, {"rejected", atomic_load(&c->rejected)},
                 {"stored", atomic_load(&c->stored)}, {"failed", atomic_load(&c->failed)}, {"unparsed", atomic_load(&c->unparsed)}};

        for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
            cf_buf_z(out, "cf_source_records_total{source=");
            cf_buf_json(out, cf_str_c(c->key));
            cf_buf_printf(out, ",outcome=\"%s\"} %llu\n", v[i].name, (unsigned long long)v[i].v);
        }
    }
}

static void listener_metrics(struct cf_pipeline *p, struct cf_buf *out)
{
    struct cf_listener_stats s;

    if (p->tail) {
        struct cf_tail_stats t;

        cf_tail_get_stats(p->tail, &t);
        metric(out, "tail_files", "gauge", "files followed", (double)t.files);
        metric(out, "tail_behind_bytes", "gauge", "bytes in followed files that are not read yet", (double)t.behind);
        metric(out, "tail_records_total", "counter", "records read from followed files", (double)t.records);
        metric(out, "tail_rotations_total", "counter", "followed files that were renamed or lost their name", (double)t.rotations);
        metric(out, "tail_truncations_total", "counter", "followed files that began again", (double)t.truncations);
        metric(out, "tail_errors_total", "counter", "files that could not be read", (double)t.errors);
    }
    if (p->kafka) {
        struct cf_kafka_stats k;

        cf_kafka_get_stats(p->kafka, &k);
        metric(out, "kafka_lag", "gauge", "messages of our partitions that are not in the spool yet", (double)k.lag);
        metric(out, "kafka_partitions", "gauge", "partitions the group gave us", (double)k.partitions);
        metric(out, "kafka_records_total", "counter", "records taken from topics", (double)k.records);
        metric(out, "kafka_bad_total", "counter", "messages or batches that could not be read", (double)k.bad);
        metric(out, "kafka_errors_total", "counter", "errors of connections, sign-in and the group", (double)k.errors);
        metric(out, "kafka_commits_failed_total", "counter", "commits of offsets that failed", (double)k.commit_failed);
    }
    if (!p->listener)
        return;
    cf_listener_get_stats(p->listener, &s);
    cf_buf_z(out, "# HELP cf_syslog_connections open connections of a syslog listener\n# TYPE cf_syslog_connections gauge\n");
    cf_buf_printf(out, "cf_syslog_connections{listener=\"tcp\"} %llu\n", (unsigned long long)s.tcp.connections);
    cf_buf_printf(out, "cf_syslog_connections{listener=\"tls\"} %llu\n", (unsigned long long)s.tls.connections);
    metric(out, "syslog_tls_handshakes_total", "counter", "TLS handshakes of the syslog listener that ended well", (double)s.tls.handshakes);
    metric(out, "syslog_tls_handshakes_failed_total", "counter", "TLS handshakes that failed or were refused", (double)s.tls.handshake_failed);
    metric(out, "syslog_tls_handshakes_slow_total", "counter", "TLS handshakes given up after their time", (double)s.tls.handshake_timeout);
    metric(out, "netflow_packets_total", "counter", "flow packets received", (double)(s.flow_received + s.sflow_received));
    metric(out, "netflow_flows_total", "counter", "flow records in them", (double)(s.flow.flows + s.sflow.flows));
    metric(out, "netflow_no_template_total", "counter", "data sets of flow packets whose template was not known", (double)(s.flow.no_template + s.sflow.no_template));
    metric(out, "netflow_malformed_total", "counter", "flow packets with something that does not fit", (double)(s.flow.malformed + s.sflow.malformed));
    metric(out, "netflow_templates", "gauge", "templates remembered", (double)(s.flow.templates + s.sflow.templates));
    metric(out, "syslog_udp_dropped_total", "counter", "datagrams the kernel dropped while they were not read", (double)s.udp_dropped);
}

static void correlation_metrics(struct cf_pipeline *p, struct cf_buf *out)
{
    struct cf_shared_box *box = cf_shared_get(&p->rules);
    struct cf_corr_counters c;

    if (!box)
        return;
    cf_ruleset_corr_counters(box->p, &c);
    metric(out, "correlation_windows", "gauge", "open correlation windows", (double)c.keys);
    metric(out, "correlation_bytes", "gauge", "memory of correlation windows", (double)c.bytes);
    metric(out, "correlation_evicted_total", "counter", "windows or entries given up for memory", (double)c.evicted);
    metric(out, "correlation_late_total", "counter", "events too late for their window", (double)c.late);
    metric(out, "correlation_ungrouped_total", "counter", "events without a group-by or value field", (double)c.ungrouped);
    cf_shared_put(&p->rules, box);
}

void cf_pipeline_metrics(struct cf_app *app, struct cf_buf *out)
{
    struct cf_pipeline *p = app->pipeline;
    struct cf_pipeline_stats s;
    struct cf_spool_stats sp;

    if (!p)
        return;
    cf_pipeline_get_stats(p, &s);
    cf_spool_get_stats(p->spool, &sp);
    metric(out, "records_received_total", "counter", "records received", (double)s.received);
    metric(out, "records_accepted_total", "counter", "records taken into the spool", (double)s.accepted);
    metric(out, "records_rejected_total", "counter", "records refused", (double)s.rejected);
    metric(out, "records_stored_total", "counter", "records in the event store", (double)s.stored);
    metric(out, "records_failed_total", "counter", "records that could not be stored", (double)s.failed);
    metric(out, "records_unparsed_total", "counter", "records no source understood (stored as they are)", (double)s.unparsed);
    metric(out, "detection_hits_total", "counter", "rule hits", (double)s.hits);
    metric(out, "records_assembled_total", "counter", "events put together from several records", (double)atomic_load(&p->assembled));
    metric(out, "records_assembled_open_total", "counter", "of these, events whose end was not in the same batch", (double)atomic_load(&p->assembled_open));
    metric(out, "pipeline_batches_total", "counter", "batches stored", (double)s.batches);
    metric(out, "pipeline_lag_seconds", "gauge", "age of the oldest record not stored", s.lag_seconds);
    metric(out, "spool_backlog_bytes", "gauge", "bytes received and not committed", (double)sp.backlog_bytes);
    metric(out, "spool_accepting", "gauge", "1 while records are taken", sp.accepting ? 1 : 0);
    metric(out, "spool_syncs_total", "counter", "group commits", (double)sp.syncs);
    metric(out, "spool_damaged_frames_total", "counter", "damaged places found", (double)sp.corrupt_frames);
    correlation_metrics(p, out);
    (void)pthread_mutex_lock(&p->mu);
    metric(out, "sources_silent", "gauge", "registered data sources that are silent longer than they may", (double)p->n_silent);
    (void)pthread_mutex_unlock(&p->mu);
    listener_metrics(p, out);
    source_metrics(p, out);
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/health", .permission = "source.read", .handler = get_health, .scope = "all",
     .doc = "State of spool, pipeline, store and listeners with their figures"},
    {.method = CF_GET, .path = "/api/v1/pipeline/unparsed", .permission = "source.read", .handler = get_unparsed, .scope = "all",
     .request = "{\"type\":\"object\",\"properties\":{\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":256}}}",
     .doc = "Newest records that no source understood, with the reason"},
};

void cf_pipeline_routes(void)
{
    cf_routes_add(routes, sizeof routes / sizeof *routes);
    pipeline_bulk_routes();
    pipeline_source_routes();
    quality_routes();
    pipeline_type_routes();
}
