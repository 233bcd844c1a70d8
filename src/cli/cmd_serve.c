/* SPDX-License-Identifier: Apache-2.0
 * chengfang serve: the server. SIGTERM and SIGINT end it cleanly (exit 0). */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "api/http.h"
#include "app/server.h"
#include "cli/cli.h"

static int print_config(const char *config)
{
    struct cf_error err = {0};
    struct cf_buf b;
    int r;

    cf_buf_init(&b, 1 << 20);
    r = cf_app_print_config(config, &b, &err);
    if (r == 0)
        (void)fwrite(b.p, 1, b.n, stdout);
    cf_buf_release(&b);
    return r < 0 ? cf_cli_fail("serve", &err) : 0;
}

static int wait_for_end(void)
{
    sigset_t set;
    int sig = 0;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    while (sigwait(&set, &sig) != 0) {}
    return sig;
}

/* Before any thread starts, so that all of them leave these signals to wait_for_end. */
static void block_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

int cf_cmd_serve(int argc, char **argv)
{
    static const struct option opts[] = {{"data", required_argument, NULL, 'd'}, {"config", required_argument, NULL, 'c'},
                                         {"listen", required_argument, NULL, 'l'}, {"print-config", no_argument, NULL, 'p'}, {"demo", no_argument, NULL, 'D'}, {NULL, 0, NULL, 0}};
    const char *data = NULL, *config = NULL, *listen = NULL;
    struct cf_app_run *run = NULL;
    struct cf_error err = {0};
    bool print = false;
    int o;

    while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
        switch (o) {
        case 'd': data = optarg; break;
        case 'c': config = optarg; break;
        case 'l': listen = optarg; break;
        case 'p': print = true; break;
        case 'D': cf_app_option("demo.enabled", "true"); break;
        default: return CF_EXIT_USAGE;
        }
    }
    if (print)
        return print_config(config);
    if (!data && !config)
        return cf_cli_usage("serve", "--data DIR or --config FILE is needed");
    block_signals();
    if (cf_app_start(data ? data : "data", config, listen, CF_APP_SERVER, &run, &err) < 0)
        return cf_cli_fail("serve", &err);
    (void)printf("chengfang %s listens on %s port %u\n", CF_VERSION, cf_app_of(run)->tls ? "https" : "http", cf_http_port(cf_app_of(run)->http));
    (void)fflush(stdout);
    cf_log_info("app", "ready", "port=%u data=\"%s\"", cf_http_port(cf_app_of(run)->http), cf_app_of(run)->data_dir);
    o = wait_for_end();
    cf_log_info("app", "stopping", "signal=%d", o);
    cf_app_stop(run);
    cf_log_info("app", "stopped", "signal=%d", o);
    return 0;
}
