/* SPDX-License-Identifier: Apache-2.0
 * Configuration -> what the collectors are told: listeners, files, topics. */
#include "app/intakes.h"

#include "app/tls_cert.h"

struct in {
    const struct cf_server_config *c;
    const char *data_dir;
    struct cf_arena *a;
};
static const char *in_data(const struct in *in, const char *name) { return cf_path_join(in->a, in->data_dir, name); }

/* The syslog listener over TLS; without a certificate of its own it shows the console's. */
static int tls_listener(const struct in *in, struct cf_listen_options *o, struct cf_error *reterr)
{
    static const char *const modes[] = {"none", "optional", "required"};
    const struct cf_server_config *c = in->c;
    const char **allowed = CF_NEW_N(in->a, const char *, c->syslog_tls_allowed.n + 1);
    size_t mode = 0;
    int r = 0;

    while (mode < 3 && !cf_str_eqz(c->syslog_tls_client, modes[mode]))
        mode++;
    if (mode == 3)
        return cf_error_set(reterr, CF_EINVAL, "syslog.tls_client: write none, optional or required");
    for (size_t i = 0; i < c->syslog_tls_allowed.n; i++)
        allowed[i] = cf_arena_strdup(in->a, c->syslog_tls_allowed.v[i]);
    o->tls = cf_arena_strdup(in->a, c->syslog_tls);
    o->tls_options = (struct cf_listen_tls_options){
        .cert = cf_arena_strdup(in->a, c->syslog_tls_cert), .key = cf_arena_strdup(in->a, c->syslog_tls_key),
        .client = (enum cf_tls_client)mode, .ca = cf_arena_strdup(in->a, c->syslog_tls_ca), .allowed = allowed,
        .n_allowed = c->syslog_tls_allowed.n, .handshake_us = c->syslog_tls_handshake,
    };
    if ((!c->syslog_tls.n && !c->syslog_listeners.n) || c->syslog_tls_cert.n)
        return 0;
    if (c->http_cert.n) {
        o->tls_options.cert = cf_arena_strdup(in->a, c->http_cert);
        o->tls_options.key = cf_arena_strdup(in->a, c->http_key);
    } else {
        o->tls_options.cert = in_data(in, "tls/server.crt");
        o->tls_options.key = in_data(in, "tls/server.key");
        r = cf_tls_self_signed(in_data(in, "tls"), o->tls_options.cert, o->tls_options.key, reterr);
    }
    return r;
}

/* *ret lives in the arena, its texts until free_intakes. */
static int read_intakes(const struct in *in, const char *option, const struct cf_opt_list *from, const struct cf_intake **ret, size_t *ret_n, struct cf_error *reterr)
{
    struct cf_intake *v = CF_NEW_N(in->a, struct cf_intake, from->n + 1);

    *ret = v;
    for (; *ret_n < from->n; (*ret_n)++)
        if (cf_intake_parse(option, from->v[*ret_n], &v[*ret_n], reterr) < 0)
            return reterr->code;
    return 0;
}

static bool from_end(cf_str text, bool *ret)
{
    *ret = cf_str_eqz(text, "end");
    return *ret || cf_str_eqz(text, "start");
}

static int kafka_options(const struct in *in, struct cf_kafka_options *o, struct cf_error *reterr)
{
    const struct cf_server_config *c = in->c;
    struct cf_arena *a = in->a;

    *o = (struct cf_kafka_options){
        .brokers = cf_arena_strdup(a, c->kafka_brokers), .group = cf_arena_strdup(a, c->kafka_group), .client_id = cf_arena_strdup(a, c->kafka_client_id),
        .security = cf_arena_strdup(a, c->kafka_security), .sasl_mechanism = cf_arena_strdup(a, c->kafka_sasl_mechanism),
        .sasl_user = cf_arena_strdup(a, c->kafka_sasl_user), .sasl_password_file = cf_arena_strdup(a, c->kafka_sasl_password_file),
        .tls_ca = cf_arena_strdup(a, c->kafka_tls_ca), .tls_cert = cf_arena_strdup(a, c->kafka_tls_cert), .tls_key = cf_arena_strdup(a, c->kafka_tls_key),
        .tls_key_password_file = cf_arena_strdup(a, c->kafka_tls_key_password_file), .tls_verify_name = c->kafka_tls_verify_name,
        .session_us = c->kafka_session_timeout, .commit_us = c->kafka_commit_interval, .memory = c->kafka_memory, .line_max = (size_t)c->syslog_line_max,
    };
    if (!from_end(c->kafka_from, &o->from_end))
        return cf_error_set(reterr, CF_EINVAL, "kafka.from: write start or end");
    return read_intakes(in, "kafka.topics", &c->kafka_topics, &o->topic, &o->n_topics, reterr);
}

static int tail_paths(const struct in *in, struct cf_tail_options *o, struct cf_error *reterr)
{
    const struct cf_server_config *c = in->c;

    o->files_max = (size_t)c->tail_files_max;
    o->line_max = (size_t)c->syslog_line_max;
    o->poll_us = c->tail_poll;
    o->rotated_us = c->tail_rotated;
    o->packed = c->tail_packed;
    if (!from_end(c->tail_from, &o->from_end))
        return cf_error_set(reterr, CF_EINVAL, "tail.from: write start or end");
    return read_intakes(in, "tail.paths", &c->tail_paths, &o->path, &o->n_paths, reterr);
}

int app_intakes(const struct cf_server_config *c, const char *data_dir, struct cf_arena *a, struct cf_pipeline_options *o, struct cf_error *reterr)
{
    const struct in in = {c, data_dir, a};
    int r;

    o->listen = (struct cf_listen_options){
        .line_max = (size_t)c->syslog_line_max, .connections_max = (unsigned)c->syslog_connections, .idle_us = c->syslog_idle,
        .refuse_unknown = cf_str_eqz(c->syslog_unknown, "refuse"), .udp = cf_arena_strdup(a, c->syslog_udp), .tcp = cf_arena_strdup(a, c->syslog_tcp),
        .netflow = cf_arena_strdup(a, c->netflow_listen), .sflow = cf_arena_strdup(a, c->sflow_listen), .netflow_templates = (size_t)c->netflow_templates, .netflow_timeout_us = c->netflow_timeout,
    };
    if (!o->listen.refuse_unknown && !cf_str_eqz(c->syslog_unknown, "accept"))
        return cf_error_set(reterr, CF_EINVAL, "syslog.unknown: write accept or refuse");
    r = tls_listener(&in, &o->listen, reterr);
    if (r == 0)
        r = read_intakes(&in, "syslog.listeners", &c->syslog_listeners, &o->listen.more, &o->listen.n_more, reterr);
    if (r == 0)
        r = tail_paths(&in, &o->tail, reterr);
    if (r == 0)
        r = kafka_options(&in, &o->kafka, reterr);
    return r;
}

static void free_intakes(const struct cf_intake *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cf_intake_release((struct cf_intake *)(uintptr_t)&v[i]);
}

void app_intakes_release(struct cf_pipeline_options *o)
{
    free_intakes(o->tail.path, o->tail.n_paths);
    free_intakes(o->listen.more, o->listen.n_more);
    free_intakes(o->kafka.topic, o->kafka.n_topics);
}
