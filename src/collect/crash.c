/* SPDX-License-Identifier: Apache-2.0
 * Crash points for tests; see crash.h. */
#include "collect/crash.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool cf_crash_armed;
static char crash_name[64];
static _Atomic long crash_left = 1;

__attribute__((constructor)) static void crash_init(void) { cf_crash_arm(getenv("CF_CRASH_AT")); }

void cf_crash_arm(const char *v)
{
    const char *colon = v ? strchr(v, ':') : NULL;
    size_t n = v ? (colon ? (size_t)(colon - v) : strlen(v)) : 0;

    cf_crash_armed = false;
    if (n == 0 || n >= sizeof crash_name)
        return;
    memcpy(crash_name, v, n);
    crash_name[n] = '\0';
    crash_left = colon ? strtol(colon + 1, NULL, 10) : 1;
    cf_crash_armed = true;
}

bool cf_crash_is(const char *name)
{
    return cf_crash_armed && strcmp(name, crash_name) == 0 && crash_left <= 1;
}

void cf_crash_hit(const char *name)
{
    if (strcmp(name, crash_name) != 0 || atomic_fetch_sub(&crash_left, 1) > 1)
        return;
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}
