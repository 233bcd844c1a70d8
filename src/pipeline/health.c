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
    cf_reply_json(req, 200, cf_req_tell(req, cf_pipeline_health(p)));
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
    pipeline_journal_routes();
    pipeline_source_routes();
    quality_routes();
    pipeline_type_routes();
}
