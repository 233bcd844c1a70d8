/* SPDX-License-Identifier: Apache-2.0
 * A real PostgreSQL for tests: initdb in a temporary folder, unix socket only, as an unprivileged user. */
#ifndef CF_TEST_PG_SERVER_H
#define CF_TEST_PG_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct pg_server {
    char dir[64];
    char bin[96];
    char url[256];
    pid_t pid;
};
/* False: not available here; the reason is printed. */
bool pg_server_start(struct pg_server *s);
void pg_server_stop(struct pg_server *s);

#endif
