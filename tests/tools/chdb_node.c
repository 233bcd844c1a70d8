/* SPDX-License-Identifier: Apache-2.0
 * A ClickHouse server made of libchdb: one node of a real cluster for tests. usage: chdb_node CONFIG.xml
 * Serves until it is killed. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include "store/chdb_api.h"

int main(int argc, char **argv)
{
    const struct chdb_api *api = NULL;
    struct cf_error err = {0};
    char config[512];
    char name[] = "clickhouse", local[] = "--query";
    char sql[] = "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; SELECT sleepEachRow(1) FROM system.numbers FORMAT Null "
                 "SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, max_execution_time = 0";

    if (argc != 2)
        return 2;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* never outlive the test */
    (void)signal(SIGPIPE, SIG_IGN);         /* the engine leaves signals to its host: a peer that goes away must not end the node */
    if (cf_chdb_load(&api, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 77;
    }
    (void)snprintf(config, sizeof config, "--config-file=%s", argv[1]);
    char *args[] = {name, config, local, sql, NULL};
    struct chdb_res *res = api->query_cmdline(4, args);
    const char *e = api->result_error(res);

    (void)fprintf(stderr, "ended: %s\n", e ? e : "");
    (void)fflush(stderr);
    _exit(1);
}
