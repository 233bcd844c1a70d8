/* SPDX-License-Identifier: Apache-2.0
 * Named crash points: one at every step that changes what is on disk, so that tests can stop the program exactly there.
 * CF_CRASH_AT=spool.synced (or spool.synced:3 for the third pass) ends the process with SIGKILL; unset: one load and a
 * branch. The names are listed in src/collect/README.md. */
#ifndef CF_COLLECT_CRASH_H
#define CF_COLLECT_CRASH_H

#include <stdatomic.h>
#include <stdbool.h>

extern _Atomic bool cf_crash_armed; /* CF_CRASH_AT was set when the process started */
void cf_crash_arm(const char *spec); /* as CF_CRASH_AT; NULL: off */
void cf_crash_hit(const char *name);
bool cf_crash_is(const char *name); /* true: the next cf_crash_hit(name) ends the process */
static inline void cf_crash_point(const char *name)
{
    if (__builtin_expect(atomic_load_explicit(&cf_crash_armed, memory_order_relaxed), 0))
        cf_crash_hit(name);
}

#endif
