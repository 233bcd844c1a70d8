/* SPDX-License-Identifier: Apache-2.0
 * Routes of the server itself: health, metrics, OpenAPI, the event stream. */
#include "api/http_int.h"
#include "api/event_export.h"
#include "api/sheet.h"
#include "api/rules.h"
#include "api/sse.h"

#define HOOKS_MAX 32
static cf_metrics_fn metrics[HOOKS_MAX];
static cf_ready_fn ready[HOOKS_MAX];
static size_t n_metrics, n_ready;

void cf_metrics_add(cf_metrics_fn fn)
{
    if (n_metrics < HOOKS_MAX)
        metrics[n_metrics++] = fn;
}

void cf_ready_add(cf_ready_fn fn)
{
    if (n_ready < HOOKS_MAX)
        ready[n_ready++] = fn;
}

static int healthz(struct cf_req *req, struct cf_error *reterr)
{
    (void)reterr;
    cf_reply_json(req, 200, json_pack("{s:s}", "status", "ok"));
    return 0;
}

static int readyz(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    const char *why = NULL;

    (void)reterr;
    for (size_t i = 0; i < n_ready && !why; i++)
        why = ready[i](app);
    if (why)
        cf_reply_json(req, 503, json_pack("{s:s,s:s}", "status", "not ready", "why", why));
    else
        cf_reply_json(req, 200, json_pack("{s:s}", "status", "ready"));
    return 0;
}

static void http_metrics(const struct cf_http *h, struct cf_buf *b)
{
    static const char *const le[] = {"0.001", "0.005", "0.01", "0.025", "0.05", "0.1", "0.2", "0.5", "2", "+Inf"};
    unsigned long sum = 0;

    cf_buf_z(b, "# HELP cf_http_requests_total Requests by status class.\n# TYPE cf_http_requests_total counter\n");
    for (int i = 1; i < 6; i++)
        cf_buf_printf(b, "cf_http_requests_total{class=\"%dxx\"} %lu\n", i, atomic_load(&h->requests[i]));
    cf_buf_printf(b, "cf_http_requests_total{class=\"aborted\"} %lu\n", atomic_load(&h->requests[0]));
    cf_buf_z(b, "# HELP cf_http_request_seconds Time from head to reply.\n# TYPE cf_http_request_seconds histogram\n");
    for (int i = 0; i < 10; i++) {
        sum += atomic_load(&h->bucket[i]);
        cf_buf_printf(b, "cf_http_request_seconds_bucket{le=\"%s\"} %lu\n", le[i], sum);
    }
    cf_buf_printf(b, "cf_http_request_seconds_sum %.6f\ncf_http_request_seconds_count %lu\n", (double)atomic_load(&h->duration_us) / 1e6, sum);
    cf_buf_printf(b, "# HELP cf_http_received_bytes_total Body bytes received.\n# TYPE cf_http_received_bytes_total counter\ncf_http_received_bytes_total %lu\n",
                  atomic_load(&h->bytes_in));
    cf_buf_printf(b, "# HELP cf_http_denied_total Requests refused before their handler.\n# TYPE cf_http_denied_total counter\ncf_http_denied_total %lu\n",
                  atomic_load(&h->denied));
}

static int metrics_page(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    struct cf_buf b;

    (void)reterr;
    cf_buf_init(&b, 8 << 20);
    cf_buf_printf(&b, "# HELP cf_build_info Version.\n# TYPE cf_build_info gauge\ncf_build_info{version=\"%s\"} 1\n", CF_VERSION);
    cf_buf_printf(&b, "# HELP cf_uptime_seconds Time since start.\n# TYPE cf_uptime_seconds gauge\ncf_uptime_seconds %lld\n",
                  (long long)((cf_now_us() - app->started_us) / CF_US_PER_S));
    cf_buf_printf(&b, "# HELP cf_stream_readers Open event streams.\n# TYPE cf_stream_readers gauge\ncf_stream_readers %zu\n", cf_hub_readers(app->hub));
    http_metrics(app->http, &b);
    for (size_t i = 0; i < n_metrics; i++)
        metrics[i](app, &b);
    cf_reply_bytes(req, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
    return 0;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/healthz", .permission = CF_PERM_PUBLIC, .handler = healthz, .doc = "The process runs"},
    {.method = CF_GET, .path = "/readyz", .permission = CF_PERM_PUBLIC, .handler = readyz, .doc = "Every part is ready for work"},
    {.method = CF_GET, .path = "/metrics", .permission = CF_PERM_PUBLIC, .handler = metrics_page, .doc = "Counters in Prometheus text format"},
    {.method = CF_GET, .path = "/api/openapi.json", .permission = CF_PERM_PUBLIC, .handler = cf_openapi_handler, .doc = "This description"},
    {.method = CF_GET, .path = "/api/v1/stream", .permission = CF_PERM_SELF, .handler = cf_sse_handler, .flags = CF_RF_STREAM, .scope = "org",
     .doc = "Server-sent events: alert, incident, work-item, health, stats, message"},
};

void cf_api_routes(void)
{
    cf_routes_add(routes, sizeof routes / sizeof *routes);
    cf_event_routes();
    cf_sheet_routes();
    cf_table_routes();
    cf_rules_routes();
    cf_rule_stats_routes();
    cf_search_routes();
    cf_overview_routes();
}
