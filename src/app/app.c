/* SPDX-License-Identifier: Apache-2.0
 * One application: a list of parts, started from the top and stopped from the bottom. A module adds its row (and its
 * migrations and routes to the lists below); nothing else in this file changes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/http.h"
#include "api/rules.h"
#include "api/sse.h"
#include "app/intakes.h"
#include "app/server.h"
#include "app/tls_cert.h"
#include "asset/asset.h"
#include "audit/audit.h"
#include "demo/demo.h"
#include "directory/service.h"
#include "form/form.h"
#include "message/message.h"
#include "notice/notice.h"
#include "workflow/workflow.h"
#include "incident/incident.h"
#include "pipeline/pipeline.h"
#include "rulebook/rulebook.h"
#include "ti/ti.h"
#include "base/phrases.h"

struct cf_app_run {
    struct cf_app app;
    struct cf_server_config config;
    struct cf_arena arena; /* configuration and paths */
    enum cf_app_mode mode;
    int lock_fd;
    size_t started; /* parts running */
    bool phrases; /* cf_phrases_zh is ours */
};

/* ---- migrations and routes of all modules ------------------------------------------------------------------------ */

#define MIGRATIONS(X) \
    X(cf_directory_migrations, cf_directory_n_migrations) \
    X(cf_audit_migrations, cf_audit_n_migrations) \
    X(cf_incident_migrations, cf_incident_n_migrations) \
    X(cf_workflow_migrations, cf_workflow_n_migrations) \
    X(cf_message_migrations, cf_message_n_migrations) \
    X(cf_asset_migrations, cf_asset_n_migrations) \
    X(cf_pipeline_migrations, cf_pipeline_n_migrations) \
    X(cf_rulebook_migrations, cf_rulebook_n_migrations) \
    X(cf_ti_migrations, cf_ti_n_migrations) \
    X(cf_demo_migrations, cf_demo_n_migrations)

static int migrate(struct cf_db *db, struct cf_error *reterr)
{
    int r = 0;

#define X(list, n)                                   \
    if (r == 0)                                      \
        r = cf_db_migrate(db, (list), (n), reterr);
    MIGRATIONS(X)
#undef X
    return r;
}

static void add_routes(void)
{
    static bool done;

    if (done)
        return;
    done = true;
    cf_api_routes();
    cf_settings_routes();
    cf_verify_routes();
    cf_directory_routes();
    cf_incident_routes();
    cf_workflow_routes();
    cf_form_routes();
    cf_notice_routes();
    cf_message_routes();
    cf_asset_routes();
    cf_ti_routes();
    cf_pipeline_routes();
    cf_demo_routes();
    cf_metrics_add(cf_pipeline_metrics);
    cf_audit_routes();
}

/* ---- parts ---------------------------------------------------------------------------------------------------------- */

static char *in_data(struct cf_app_run *run, const char *name) { return cf_path_join(&run->arena, run->app.data_dir, name); }

/* Messages in Chinese; a subcommand may have loaded them already, for its own. */
static int start_phrases(struct cf_app_run *run, struct cf_error *reterr)
{
    struct cf_error err = {0};

    (void)reterr;
    if (cf_phrases_zh)
        return 0;
    run->phrases = true;
    if (cf_phrases_load(cf_path_join(&run->arena, run->app.content_dir, "phrases/zh-CN"), &cf_phrases_zh, &err) < 0)
        cf_log_warn("app", "no phrases: messages stay English", "why=\"%s\"", err.msg); /* no reason not to detect */
    return 0;
}

static void stop_phrases(struct cf_app_run *run)
{
    if (!run->phrases)
        return;
    cf_phrases_free(cf_phrases_zh);
    cf_phrases_zh = NULL;
}

static int start_records(struct cf_app_run *run, struct cf_error *reterr)
{
    const struct cf_server_config *c = &run->config;
    cf_str url = c->store_records.n ? c->store_records : cf_arena_printf(&run->arena, "sqlite:%s/records.db", run->app.data_dir);
    int r = cf_db_open(cf_arena_strdup(&run->arena, url), &run->app.db, reterr);

    return r < 0 ? r : migrate(run->app.db, reterr);
}

static void stop_records(struct cf_app_run *run) { cf_db_close(run->app.db); }

static int start_audit(struct cf_app_run *run, struct cf_error *reterr)
{
    int r = cf_mkdir_p(in_data(run, "log"), 0700, reterr);

    return r < 0 ? r : cf_audit_open(run->app.db, in_data(run, "log/audit.anchor"), &run->app.audit, reterr);
}

static void stop_audit(struct cf_app_run *run) { cf_audit_close(run->app.audit); }

static int start_directory(struct cf_app_run *run, struct cf_error *reterr)
{
    const struct cf_server_config *c = &run->config;
    struct cf_directory_options o = {
        .session_idle_us = c->session_idle, .session_absolute_us = c->session_absolute, .lock_failures = c->lock_failures, .lock_us = c->lock_time,
        .address_failures = c->address_failures, .address_us = c->address_window, .password_min = c->password_min,
        .password_history = c->password_history, .password_max_age_us = c->password_max_age, .argon2_memory_kib = c->argon2_memory / 1024,
        .argon2_passes = c->argon2_passes, .separation_strict = cf_str_eqz(c->separation, "strict"), .content_dir = run->app.content_dir,
        .key_file = in_data(run, "secret.key"), .root_name = cf_arena_strdup(&run->arena, c->organisation_name),
    };
    char first[40];
    int r;

    if (!o.separation_strict && !cf_str_eqz(c->separation, "off"))
        return cf_error_set(reterr, CF_EINVAL, "security.separation: write strict or off");
    o.allow = CF_NEW_N(&run->arena, struct cf_cidr, c->allow_addresses.n + 1);
    for (size_t i = 0; i < c->allow_addresses.n; i++) {
        if (!cf_cidr_parse(c->allow_addresses.v[i], &o.allow[o.n_allow++]))
            return cf_error_set(reterr, CF_EINVAL, "security.allow_addresses: \"%.*s\" is not an address or range", CF_ARG(c->allow_addresses.v[i]));
    }
    r = cf_directory_open(run->app.db, &o, &run->app.directory, first, reterr);
    if (r == 0 && first[0]) {
        /* a subcommand's standard output belongs to its result */
        (void)fprintf(run->mode == CF_APP_OFFLINE ? stderr : stdout,
                      "first administrator: user admin, one-time password %s (must be changed at the first sign-in)\n", first);
        (void)fflush(stdout);
        explicit_bzero(first, sizeof first);
    }
    return r;
}

static void stop_directory(struct cf_app_run *run) { cf_directory_close(run->app.directory); }

static int start_events(struct cf_app_run *run, struct cf_error *reterr)
{
    const struct cf_server_config *c = &run->config;
    struct cf_event_store_options o = {
        .kind = c->store_events, .path = cf_str_c(in_data(run, "events")), .urls = c->store_events_urls, .cluster = c->store_events_cluster,
        .database = c->store_events_database, .user = c->store_events_user, .password_file = c->store_events_password_file,
        .retention_days = c->store_retention_days, .retention_override = c->store_retention_override, .memory_max = c->store_memory_max,
        .threads = c->store_threads,
    };

    if (cf_str_eqz(c->store_events, "none"))
        return 0;
    return cf_event_store_open(&o, &run->app.events, reterr);
}

static void stop_events(struct cf_app_run *run) { cf_event_store_close(run->app.events); }

static int start_hub(struct cf_app_run *run, struct cf_error *reterr)
{
    run->app.hub = cf_hub_new();
    return run->app.hub ? 0 : cf_error_set(reterr, CF_ENOMEM, "no memory for the event stream");
}

static int start_switches(struct cf_app_run *run, struct cf_error *reterr) { return cf_rules_apply_switches(&run->app, reterr); }

static void stop_nothing(struct cf_app_run *run) { (void)run; }

static void stop_hub(struct cf_app_run *run) { cf_hub_free(run->app.hub); }

static int start_forms(struct cf_app_run *run, struct cf_error *reterr) { return cf_form_set_load(run->app.content_dir, &run->app.forms, reterr); }

static void stop_forms(struct cf_app_run *run)
{
    cf_form_set_free(run->app.forms);
    run->app.forms = NULL;
}

static int start_messages(struct cf_app_run *run, struct cf_error *reterr)
{
    const struct cf_server_config *c = &run->config;
    const struct cf_messenger_options o = {
        .db = run->app.db, .hub = run->app.hub, .content_dir = run->app.content_dir, .smtp_url = c->smtp_url, .smtp_from = c->smtp_from, .smtp_user = c->smtp_user,
        .smtp_password_file = c->smtp_password_file, .smtp_tls = c->smtp_tls, .smtp_ca_file = c->smtp_ca_file, .webhook_url = c->webhook_url,
        .webhook_secret_file = c->webhook_secret_file, .public_url = c->http_public_url, .retry_us = c->message_retry, .max_attempts = c->message_attempts,
        .thread = run->mode == CF_APP_SERVER,
    };

    return cf_messenger_new(&o, &run->app.messenger, reterr);
}

static void stop_messages(struct cf_app_run *run)
{
    cf_messenger_free(run->app.messenger);
    run->app.messenger = NULL;
}

static int start_workflows(struct cf_app_run *run, struct cf_error *reterr)
{
    const struct cf_server_config *c = &run->config;
    const struct cf_workflow_options o = {
        .db = run->app.db, .forms = run->app.forms, .messenger = run->app.messenger, .hub = run->app.hub, .content_dir = run->app.content_dir,
        .data_dir = run->app.data_dir, .check_us = run->mode == CF_APP_SERVER ? c->sla_check_interval : 0, .attachment_max = c->attachment_max,
        .four_eyes = c->workflow_four_eyes,
    };

    return cf_workflow_engine_new(&o, &run->app.workflows, reterr);
}

static void stop_workflows(struct cf_app_run *run)
{
    cf_workflow_engine_free(run->app.workflows);
    run->app.workflows = NULL;
}

static int start_incidents(struct cf_app_run *run, struct cf_error *reterr)
{
    return cf_incident_engine_new(run->app.db, run->app.hub, &run->app.incidents, reterr);
}

static void stop_incidents(struct cf_app_run *run)
{
    if (run->app.incidents)
        cf_incident_engine_free(run->app.incidents);
    run->app.incidents = NULL;
}

static void assets_changed(void *app)
{
    struct cf_app *a = app;

    if (a->pipeline)
        cf_pipeline_assets_changed(a->pipeline);
}

static int start_ti(struct cf_app_run *run, struct cf_error *reterr)
{
    const struct cf_ti_options o = {
        .db = run->app.db, .events = run->app.events, .incidents = run->app.incidents, .audit = run->app.audit, .content_dir = run->app.content_dir,
        .key_file = in_data(run, "secret.key"), .data_dir = run->app.data_dir, .thread = run->mode == CF_APP_SERVER,
    };

    return cf_ti_start(&o, &run->app.ti, reterr);
}

static void stop_ti(struct cf_app_run *run)
{
    cf_ti_stop(run->app.ti);
    run->app.ti = NULL;
}

static int start_pipeline(struct cf_app_run *run, struct cf_error *reterr)
{
    const struct cf_server_config *c = &run->config;
    struct cf_pipeline_options o = {
        .app = &run->app, .db = run->app.db, .events = run->app.events, .incidents = run->app.incidents, .ti = run->app.ti, .hub = run->app.hub, .messenger = run->app.messenger,
        .data_dir = run->app.data_dir, .content_dir = run->app.content_dir, .zone = c->pipeline_zone, .rule_zone = c->detect_timezone.n ? c->detect_timezone : c->pipeline_zone, .workers = c->pipeline_workers,
        .geo = cf_arena_strdup(&run->arena, c->enrich_geo), .n_rules = c->rules_paths.n, .no_rules = !c->rules_enabled,
        .spool = {.cap = c->spool_cap, .segment_size = c->spool_segment, .batch_rows = c->pipeline_batch_rows, .batch_bytes = 16 << 20, .min_free = c->spool_min_free ? c->spool_min_free : -1},
    };
    const char **rules = CF_NEW_N(&run->arena, const char *, c->rules_paths.n + 1);
    int r = 0;

    for (size_t i = 0; i < c->rules_paths.n; i++)
        rules[i] = cf_arena_strdup(&run->arena, c->rules_paths.v[i]);
    o.rules = rules;
    if (run->mode == CF_APP_SERVER)
        r = app_intakes(c, run->app.data_dir, &run->arena, &o, reterr);
    cf_asset_changed = assets_changed;
    if (r == 0)
        r = cf_pipeline_start(&o, &run->app.pipeline, reterr);
    app_intakes_release(&o); /* copied */
    return r;
}

static void stop_pipeline(struct cf_app_run *run)
{
    cf_pipeline_stop(run->app.pipeline);
    run->app.pipeline = NULL;
}

static const struct cf_normaliser *backtest_normaliser(void *app, void **ret_box)
{
    struct cf_shared_box *box = NULL;
    const struct cf_normaliser *n = cf_pipeline_normaliser(((struct cf_app *)app)->pipeline, &box);

    *ret_box = box;
    return n;
}

static void backtest_normaliser_put(void *app, void *box) { cf_pipeline_normaliser_put(((struct cf_app *)app)->pipeline, box); }

static int backtest_library(void *app, struct cf_arena *a, struct cf_rules_options *o, struct cf_error *reterr)
{
    return cf_pipeline_library(((struct cf_app *)app)->pipeline, a, o, reterr);
}

static int start_backtests(struct cf_app_run *run, struct cf_error *reterr)
{
    const struct cf_backtest_env env = {.db = run->app.db, .events = run->app.events, .ctx = &run->app, .normaliser = backtest_normaliser,
                                        .normaliser_put = backtest_normaliser_put, .library = backtest_library};

    if (!run->app.events || run->mode != CF_APP_SERVER)
        return 0;
    return cf_backtests_start(&env, &run->app.backtests, reterr);
}

static void stop_backtests(struct cf_app_run *run)
{
    cf_backtests_stop(run->app.backtests);
    run->app.backtests = NULL;
}

static int start_demo(struct cf_app_run *run, struct cf_error *reterr)
{
    const struct cf_server_config *c = &run->config;
    struct cf_demo_options o = {
        .app = &run->app, .rate = (double)c->demo_rate, .backfill_us = c->demo_backfill, .backfill_lines = c->demo_backfill_lines, .chain_every_us = c->demo_chain_every,
        .first_chain_us = c->demo_first_chain, .hash_memory_kib = (uint32_t)(c->argon2_memory / 1024), .hash_passes = (uint32_t)c->argon2_passes,
    };
    struct cf_demo *d;
    int r;

    if (!c->demo_enabled || run->mode != CF_APP_SERVER)
        return 0;
    r = cf_demo_start(&o, &d, reterr);
    if (r == 0)
        cf_demo_set_running(d);
    return r;
}

static void stop_demo(struct cf_app_run *run)
{
    (void)run;
    cf_demo_end();
}

static int start_http(struct cf_app_run *run, struct cf_error *reterr)
{
    const struct cf_server_config *c = &run->config;
    struct cf_http_options o = {
        .app = &run->app, .listen = cf_arena_strdup(&run->arena, c->http_listen), .socket_path = in_data(run, "admin.sock"), .web_dir = run->app.web_dir,
        .workers = (size_t)c->http_workers, .body_max = (size_t)c->http_body_max, .upload_max = (size_t)c->http_upload_max,
        .connections_max = (unsigned)c->http_connections_max, .connections_per_address = (unsigned)c->http_connections_per_address,
        .idle_timeout_s = (unsigned)(c->http_idle_timeout / CF_US_PER_S),
    };
    int r = 0;

    run->app.tls = c->http_tls;
    if (run->mode != CF_APP_SERVER)
        o.listen = NULL;
    else if (c->http_tls && c->http_cert.n) {
        o.cert_file = cf_arena_strdup(&run->arena, c->http_cert);
        o.key_file = cf_arena_strdup(&run->arena, c->http_key);
    } else if (c->http_tls) {
        o.cert_file = in_data(run, "tls/server.crt");
        o.key_file = in_data(run, "tls/server.key");
        r = cf_tls_self_signed(in_data(run, "tls"), o.cert_file, o.key_file, reterr);
    }
    return r < 0 ? r : cf_http_start(&o, &run->app.http, reterr);
}

static void stop_http(struct cf_app_run *run)
{
    cf_ti_ending(run->app.ti); /* a request that imports would be waited for */
    cf_http_stop(run->app.http);
}

static const struct part {
    const char *name;
    bool offline; /* also for subcommands without a server */
    int (*start)(struct cf_app_run *, struct cf_error *);
    void (*stop)(struct cf_app_run *);
} parts[] = {
    {"phrases", true, start_phrases, stop_phrases},
    {"record store", true, start_records, stop_records},
    {"audit log", true, start_audit, stop_audit},
    {"directory", true, start_directory, stop_directory},
    {"event store", false, start_events, stop_events},
    {"event stream", true, start_hub, stop_hub},
    {"forms", true, start_forms, stop_forms},
    {"messages", true, start_messages, stop_messages},
    {"workflows", true, start_workflows, stop_workflows},
    {"incidents", false, start_incidents, stop_incidents},
    {"intelligence", true, start_ti, stop_ti},
    {"pipeline", false, start_pipeline, stop_pipeline},
    {"rule switches", false, start_switches, stop_nothing},
    {"back-tests", false, start_backtests, stop_backtests},
    {"demo", false, start_demo, stop_demo},
    {"http", true, start_http, stop_http}, /* last: requests find everything in place */
};
#define N_PARTS (sizeof parts / sizeof *parts)

/* ---- start and stop ---------------------------------------------------------------------------------------------------- */

char *cf_find_dir(struct cf_arena *a, const char *env, const char *name)
{
    static const char *const places[] = {"../", "../share/chengfang/", "/usr/share/chengfang/"};
    const char *given = env ? getenv(env) : NULL;
    char exe[PATH_MAX], path[PATH_MAX + 300], real[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    struct stat st;

    if (given && given[0])
        return realpath(given, real) ? cf_arena_strdup(a, cf_str_c(real)) : NULL;
    exe[n > 0 ? n : 0] = 0;
    if (strrchr(exe, '/'))
        *strrchr(exe, '/') = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        (void)snprintf(path, sizeof path, "%s%s%s%s", places[i][0] == '/' ? "" : exe, places[i][0] == '/' ? "" : "/", places[i], name);
        if (realpath(path, real) && stat(real, &st) == 0 && S_ISDIR(st.st_mode))
            return cf_arena_strdup(a, cf_str_c(real));
    }
    return NULL;
}

static int read_config(struct cf_app_run *run, const char *path, struct cf_error *reterr)
{
    struct cf_buf b;
    int r = 0;

    cf_buf_init(&b, 1 << 20);
    if (path)
        r = cf_file_read(path, &b, reterr);
    if (r == 0)
        r = cf_config_parse(cf_server_options, cf_server_n_options, &run->config, &run->arena, cf_buf_view(&b), reterr);
    if (r < 0 && path)
        cf_error_context(reterr, "%s", path);
    cf_buf_release(&b);
    return r;
}

int cf_app_print_config(const char *config_path, struct cf_buf *out, struct cf_error *reterr)
{
    struct cf_app_run *run = calloc(1, sizeof *run);
    int r;

    if (!run)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    cf_arena_init(&run->arena, 0, 0);
    r = read_config(run, config_path, reterr);
    if (r == 0)
        cf_config_print(cf_server_options, cf_server_n_options, &run->config, out);
    cf_arena_release(&run->arena);
    free(run);
    return r;
}

/* Only one process works on a data directory. */
static int lock_data(struct cf_app_run *run, struct cf_error *reterr)
{
    const char *path = in_data(run, "lock");

    run->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (run->lock_fd < 0)
        return cf_error_errno(reterr, "%s", path);
    if (flock(run->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return cf_error_set(reterr, CF_EBUSY, "data directory %s is in use by another chengfang process", run->app.data_dir);
    return 0;
}

/* Options of the command line, over those of the file. */
static struct {
    const char *name, *value;
} given[16];
static size_t n_given;

void cf_app_option(const char *name, const char *value)
{
    if (n_given < sizeof given / sizeof *given) {
        given[n_given].name = name;
        given[n_given++].value = value;
    }
}

static int prepare(struct cf_app_run *run, const char *data_dir, const char *config_path, const char *listen, struct cf_error *reterr)
{
    const struct cf_server_config *c = &run->config;
    enum cf_log_level level;
    char real[PATH_MAX];
    int r = cf_mkdir_p(data_dir, 0700, reterr);

    if (r < 0)
        return r;
    if (!realpath(data_dir, real))
        return cf_error_errno(reterr, "data directory %s", data_dir);
    run->app.data_dir = cf_arena_strdup(&run->arena, cf_str_c(real));
    if (!config_path && access(in_data(run, "chengfang.yaml"), R_OK) == 0)
        config_path = in_data(run, "chengfang.yaml");
    r = read_config(run, config_path, reterr);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n_given; i++) {
        r = cf_config_set(cf_server_options, cf_server_n_options, &run->config, &run->arena, cf_str_c(given[i].name), cf_str_c(given[i].value), reterr);
        if (r < 0)
            return r;
    }
    if (listen)
        run->config.http_listen = cf_arena_copy(&run->arena, cf_str_c(listen));
    if (!cf_log_level_parse(c->log_level, &level))
        return cf_error_set(reterr, CF_EINVAL, "log.level: write debug, info, warn, error or off");
    cf_log_set_level(level);
    run->app.content_dir = cf_find_dir(&run->arena, "CF_CONTENT", "content");
    if (!run->app.content_dir)
        return cf_error_set(reterr, CF_ENOENT, "the content folder was not found beside the program; set CF_CONTENT");
    run->app.rules_approval = c->rules_approval;
    run->app.web_dir = c->http_web_dir.n ? cf_arena_strdup(&run->arena, c->http_web_dir) : cf_find_dir(&run->arena, "CF_WEB", "web/dist");
    return lock_data(run, reterr);
}

int cf_app_start(const char *data_dir, const char *config_path, const char *listen, enum cf_app_mode mode, struct cf_app_run **ret, struct cf_error *reterr)
{
    struct cf_app_run *run = calloc(1, sizeof *run);
    int r;

    if (!run)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    cf_arena_init(&run->arena, 0, 0);
    run->mode = mode;
    run->lock_fd = -1;
    run->app.config = &run->config;
    run->app.started_us = cf_now_us();
    r = prepare(run, data_dir, config_path, listen, reterr);
    if (r == 0)
        add_routes();
    for (; r == 0 && run->started < N_PARTS; run->started++) {
        const struct part *p = &parts[run->started];

        if (mode == CF_APP_OFFLINE && !p->offline)
            continue;
        r = p->start(run, reterr);
        if (r < 0) {
            cf_error_context(reterr, "%s", p->name);
            break;
        }
        cf_log_debug("app", "part started", "name=\"%s\"", p->name);
    }
    if (r < 0) {
        cf_app_stop(run);
        return r;
    }
    *ret = run;
    return 0;
}

struct cf_app *cf_app_of(struct cf_app_run *run) { return &run->app; }

void cf_app_stop(struct cf_app_run *run)
{
    if (!run)
        return;
    while (run->started > 0) {
        const struct part *p = &parts[--run->started];

        if (run->mode != CF_APP_OFFLINE || p->offline)
            p->stop(run);
    }
    if (run->lock_fd >= 0)
        (void)close(run->lock_fd);
    cf_arena_release(&run->arena);
    free(run);
}
