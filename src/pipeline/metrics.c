/* SPDX-License-Identifier: Apache-2.0
 * The pipeline's figures as Prometheus lines. */
#include <stdio.h>

#include "app/app.h"
#include "pipeline/pipeline_int.h"

struct metric {
    const char *name, *help; /* a name that ends in _total is a counter */
    double v;
};

static void put(struct cf_buf *out, const struct metric *m, size_t n)
{
    for (size_t i = 0; i < n; i++, m++) {
        const char *type = cf_str_ends(cf_str_c(m->name), CF_STR("_total")) ? "counter" : "gauge";

        cf_buf_printf(out, "# HELP cf_%s %s\n# TYPE cf_%s %s\ncf_%s %.10g\n", m->name, m->help, m->name, type, m->name, m->v);
    }
}

#define put_all(out, rows) put((out), (rows), sizeof(rows) / sizeof *(rows))

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

static void tail_metrics(struct cf_tail *tail, struct cf_buf *out)
{
    struct cf_tail_stats t;

    cf_tail_get_stats(tail, &t);
    const struct metric rows[] = {
        {"tail_files", "files followed", (double)t.files},
        {"tail_behind_bytes", "bytes in followed files that are not read yet", (double)t.behind},
        {"tail_records_total", "records read from followed files", (double)t.records},
        {"tail_rotations_total", "followed files that were renamed or lost their name", (double)t.rotations},
        {"tail_truncations_total", "followed files that began again", (double)t.truncations},
        {"tail_errors_total", "files that could not be read", (double)t.errors},
    };
    put_all(out, rows);
}

static void kafka_metrics(struct cf_kafka *kafka, struct cf_buf *out)
{
    struct cf_kafka_stats k;

    cf_kafka_get_stats(kafka, &k);
    const struct metric rows[] = {
        {"kafka_lag", "messages of our partitions that are not in the spool yet", (double)k.lag},
        {"kafka_partitions", "partitions the group gave us", (double)k.partitions},
        {"kafka_records_total", "records taken from topics", (double)k.records},
        {"kafka_bad_total", "messages or batches that could not be read", (double)k.bad},
        {"kafka_errors_total", "errors of connections, sign-in and the group", (double)k.errors},
        {"kafka_commits_failed_total", "commits of offsets that failed", (double)k.commit_failed},
    };
    put_all(out, rows);
}

static void listener_metrics(struct cf_listener *listener, struct cf_buf *out)
{
    struct cf_listener_stats s;

    cf_listener_get_stats(listener, &s);
    cf_buf_z(out, "# HELP cf_syslog_connections open connections of a syslog listener\n# TYPE cf_syslog_connections gauge\n");
    cf_buf_printf(out, "cf_syslog_connections{listener=\"tcp\"} %llu\n", (unsigned long long)s.tcp.connections);
    cf_buf_printf(out, "cf_syslog_connections{listener=\"tls\"} %llu\n", (unsigned long long)s.tls.connections);
    const struct metric rows[] = {
        {"syslog_tls_handshakes_total", "TLS handshakes of the syslog listener that ended well", (double)s.tls.handshakes},
        {"syslog_tls_handshakes_failed_total", "TLS handshakes that failed or were refused", (double)s.tls.handshake_failed},
        {"syslog_tls_handshakes_slow_total", "TLS handshakes given up after their time", (double)s.tls.handshake_timeout},
        {"netflow_packets_total", "flow packets received", (double)(s.flow_received + s.sflow_received)},
        {"netflow_flows_total", "flow records in them", (double)(s.flow.flows + s.sflow.flows)},
        {"netflow_no_template_total", "data sets of flow packets whose template was not known", (double)(s.flow.no_template + s.sflow.no_template)},
        {"netflow_malformed_total", "flow packets with something that does not fit", (double)(s.flow.malformed + s.sflow.malformed)},
        {"netflow_templates", "templates remembered", (double)(s.flow.templates + s.sflow.templates)},
        {"syslog_udp_dropped_total", "datagrams the kernel dropped while they were not read", (double)s.udp_dropped},
    };
    put_all(out, rows);
}

static void correlation_metrics(struct cf_pipeline *p, struct cf_buf *out)
{
    struct cf_shared_box *box = cf_shared_get(&p->rules);
    struct cf_corr_counters c;

    if (!box)
        return;
    cf_ruleset_corr_counters(box->p, &c);
    const struct metric rows[] = {
        {"correlation_windows", "open correlation windows", (double)c.keys},
        {"correlation_bytes", "memory of correlation windows", (double)c.bytes},
        {"correlation_evicted_total", "windows or entries given up for memory", (double)c.evicted},
        {"correlation_late_total", "events too late for their window", (double)c.late},
        {"correlation_ungrouped_total", "events without a group-by or value field", (double)c.ungrouped},
    };
    put_all(out, rows);
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
    const struct metric rows[] = {
        {"records_received_total", "records received", (double)s.received},
        {"records_accepted_total", "records taken into the spool", (double)s.accepted},
        {"records_rejected_total", "records refused", (double)s.rejected},
        {"records_stored_total", "records in the event store", (double)s.stored},
        {"records_failed_total", "records that could not be stored", (double)s.failed},
        {"records_unparsed_total", "records no source understood (stored as they are)", (double)s.unparsed},
        {"detection_hits_total", "rule hits", (double)s.hits},
        {"rule_loads_total", "times the rules were loaded, the start included", (double)atomic_load(&p->rule_loads)},
        {"records_assembled_total", "events put together from several records", (double)atomic_load(&p->assembled)},
        {"records_assembled_open_total", "of these, events whose end was not in the same batch", (double)atomic_load(&p->assembled_open)},
        {"pipeline_batches_total", "batches stored", (double)s.batches},
        {"pipeline_lag_seconds", "age of the oldest record not stored", s.lag_seconds},
        {"spool_backlog_bytes", "bytes received and not committed", (double)sp.backlog_bytes},
        {"spool_accepting", "1 while records are taken", sp.accepting ? 1 : 0},
        {"spool_syncs_total", "group commits", (double)sp.syncs},
        {"spool_damaged_frames_total", "damaged places found", (double)sp.corrupt_frames},
    };
    put_all(out, rows);
    correlation_metrics(p, out);
    (void)pthread_mutex_lock(&p->mu);
    put(out, &(struct metric){"sources_silent", "registered data sources that are silent longer than they may", (double)p->n_silent}, 1);
    (void)pthread_mutex_unlock(&p->mu);
    if (p->tail)
        tail_metrics(p->tail, out);
    if (p->kafka)
        kafka_metrics(p->kafka, out);
    if (p->listener)
        listener_metrics(p->listener, out);
    source_metrics(p, out);
}
