/* SPDX-License-Identifier: Apache-2.0
 * The demo over the API: what it does, and its removal. */
#include <pthread.h>

#include "api/route.h"
#include "demo/demo.h"
#include "directory/service.h"
#include "pipeline/pipeline.h"

/* The demo of this process: one server, one demo. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct cf_demo *running; /* under lock */

void cf_demo_set_running(struct cf_demo *d)
{
    (void)pthread_mutex_lock(&lock);
    running = d;
    (void)pthread_mutex_unlock(&lock);
}

void cf_demo_end(void)
{
    (void)pthread_mutex_lock(&lock);
    cf_demo_stop(running);
    running = NULL;
    (void)pthread_mutex_unlock(&lock);
}

static int get_demo(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_demo_stats s = {0};
    bool on;

    (void)reterr;
    (void)pthread_mutex_lock(&lock);
    on = running != NULL;
    if (on)
        cf_demo_get_stats(running, &s);
    (void)pthread_mutex_unlock(&lock);
    cf_reply_json(req, 200, json_pack("{s:b,s:I,s:I,s:I,s:b}", "running", on, "lines", (json_int_t)s.lines, "chains", (json_int_t)s.chains, "failed",
                                      (json_int_t)s.failed, "backfilled", s.backfilled));
    return 0;
}

static int remove_demo(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    struct cf_demo_removed gone = {0};
    int r;

    if (!app->events)
        return cf_error_set(reterr, CF_ECONFLICT, "the event store is not open here; run chengfang demo remove");
    cf_demo_end();
    if (app->pipeline && !cf_pipeline_drain(app->pipeline, 30000))
        return cf_error_set(reterr, CF_EBUSY, "lines of the demo are still in the spool; try again");
    r = cf_demo_remove(app->db, app->events, app->data_dir, &gone, reterr);
    if (r < 0)
        return r;
    cf_directory_changed(app->directory);
    if (app->pipeline)
        cf_pipeline_assets_changed(app->pipeline);
    cf_reply_json(req, 200, json_pack("{s:I,s:I}", "records", (json_int_t)gone.records, "events", (json_int_t)gone.events));
    return 0;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/demo", .permission = "system.read", .handler = get_demo,
     .reply = "{\"type\":\"object\",\"properties\":{\"running\":{\"type\":\"boolean\"},\"lines\":{\"type\":\"integer\"},\"chains\":{\"type\":\"integer\"},"
              "\"failed\":{\"type\":\"integer\"},\"backfilled\":{\"type\":\"boolean\"}}}",
     .doc = "What the demo city has written since the start"},
    {.method = CF_POST, .path = "/api/v1/demo:remove", .permission = "system.write", .handler = remove_demo,
     .reply = "{\"type\":\"object\",\"properties\":{\"records\":{\"type\":\"integer\"},\"events\":{\"type\":\"integer\"}}}",
     .doc = "End the demo and delete everything that belongs to it, events included"},
};

void cf_demo_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
