/* SPDX-License-Identifier: Apache-2.0
 * Crash points for tests; see crash.h. */
#include "collect/crash.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Atomic bool cf_crash_armed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the two below; taken only while armed */
static char crash_name[64];
static long crash_left = 1;

__attribute__((constructor)) static void crash_init(void) { cf_crash_arm(getenv("CF_CRASH_AT")); }

void cf_crash_arm(const char *v)
{
    const char *colon = v ? strchr(v, ':') : NULL;
    size_t n = v ? (colon ? (size_t)(colon - v) : strlen(v)) : 0;

    (void)pthread_mutex_lock(&lock);
    cf_crash_armed = n > 0 && n < sizeof crash_name;
    if (v && n > 0 && n < sizeof crash_name) {
        memcpy(crash_name, v, n);
        crash_name[n] = '\0';
        crash_left = colon ? strtol(colon + 1, NULL, 10) : 1;
    }
    (void)pthread_mutex_unlock(&lock);
}

bool cf_crash_is(const char *name)
{
    bool is;

    if (!cf_crash_armed)
        return false;
    (void)pthread_mutex_lock(&lock);
    is = strcmp(name, crash_name) == 0 && crash_left <= 1;
    (void)pthread_mutex_unlock(&lock);
    return is;
}

void cf_crash_hit(const char *name)
{
    bool now;

    (void)pthread_mutex_lock(&lock);
    now = strcmp(name, crash_name) == 0 && crash_left-- <= 1;
    (void)pthread_mutex_unlock(&lock);
    if (!now)
        return;
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}
