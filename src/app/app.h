/* SPDX-License-Identifier: Apache-2.0
 * app: one running server. Holds the engines; route handlers reach them through req->app. Built by `chengfang serve`. */
#ifndef CF_APP_APP_H
#define CF_APP_APP_H

#include "base/base.h"
#include "directory/directory.h"
#include "store/event_store.h"
#include "store/record_store.h"

struct cf_ti;              /* src/ti: threat intelligence */
struct cf_pipeline;        /* src/pipeline: collect -> spool -> normalise -> enrich -> detect -> store -> incident */
struct cf_backtests;       /* src/rulebook: rules over stored events, in the background */
struct cf_incident_engine; /* src/incident: hits -> alerts -> incidents */
struct cf_workflow_engine; /* src/workflow: work items of every kind, from content/workflows */
struct cf_form_set;        /* src/form: templates from content/forms */
struct cf_messenger;       /* src/message: in-app messages, e-mail, webhooks */
struct cf_hub;             /* src/api/sse.h: live topics */
struct cf_server_config;   /* src/app/server_config.h: every option of the server */

struct cf_directory;       /* src/directory/service.h: sessions, tokens, sign-in */
struct cf_audit;           /* src/audit/audit.h: the hash chain */
struct cf_http;            /* src/api/http.h: the server */

struct cf_app {
    const struct cf_server_config *config;
    const char *data_dir;    /* absolute */
    const char *content_dir; /* absolute; the product's content/ */
    struct cf_db *db;
    struct cf_event_store *events;
    struct cf_pipeline *pipeline;
    struct cf_backtests *backtests;
    struct cf_incident_engine *incidents;
    struct cf_ti *ti;
    struct cf_workflow_engine *workflows;
    struct cf_form_set *forms;
    struct cf_messenger *messenger;
    struct cf_hub *hub;
    struct cf_directory *directory;
    struct cf_audit *audit;
    struct cf_http *http;
    const char *web_dir;     /* absolute; the built console, NULL when there is none */
    bool tls;                /* the console is served over HTTPS */
    bool rules_approval;     /* a change of a rule is a proposal until another person approves it */
    int64_t started_us;
};

#endif
