/* SPDX-License-Identifier: Apache-2.0
 * Building and ending one application from its parts, in the order of the list in app.c. */
#ifndef CF_APP_SERVER_H
#define CF_APP_SERVER_H

#include "app/app.h"
#include "app/server_config.h"

enum cf_app_mode {
    CF_APP_SERVER,  /* everything */
    CF_APP_INGEST,  /* everything but network and listeners: bulk loading without a server */
    CF_APP_OFFLINE, /* records, directory, audit and the administration socket: for subcommands without a server */
};
struct cf_app_run; /* the application and its memory */

/* config_path NULL: DATA/chengfang.yaml when it is there. listen NULL: from the configuration. */
int cf_app_start(const char *data_dir, const char *config_path, const char *listen, enum cf_app_mode mode, struct cf_app_run **ret, struct cf_error *reterr);
/* An option as if written in the configuration file, over what the file says. Before cf_app_start; texts are kept as views. */
void cf_app_option(const char *name, const char *value);
struct cf_app *cf_app_of(struct cf_app_run *run);
/* Ends the parts in reverse order. NULL is fine. */
void cf_app_stop(struct cf_app_run *run);
/* The configuration as a commented YAML file. */
int cf_app_print_config(const char *config_path, struct cf_buf *out, struct cf_error *reterr);

/* Folders found from the program's own place: ../content, ../share/chengfang/content, /usr/share/chengfang/content. */
char *cf_find_dir(struct cf_arena *a, const char *env, const char *name);

void cf_settings_routes(void);
void cf_verify_routes(void);

#endif
