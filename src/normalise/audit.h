/* SPDX-License-Identifier: Apache-2.0
 * Linux audit: one event of the kernel is several records of the same msg=audit(TIME:SERIAL), each a line of its own (SYSCALL, EXECVE,
 * CWD, PATH, PROCTITLE, EOE). Lines that belong together are found here; cf_normalise makes one event of a record that holds several. */
#ifndef CF_NORMALISE_AUDIT_H
#define CF_NORMALISE_AUDIT_H

#include "event/event.h"

struct cf_audit_id {
    cf_str host;  /* node=, or the host of the syslog header; "" none. View into the line */
    cf_str stamp; /* TIME:SERIAL */
    bool last;    /* PROCTITLE or EOE: the kernel says nothing more about this event */
};
/* Is this line one of an event that may have several? (Messages of programs, USER_LOGIN and so on, stand alone.) */
bool cf_audit_part(cf_str line, struct cf_audit_id *ret);
#define CF_AUDIT_LINES_MAX 256 /* of one event */

struct cf_norm_thread;
/* For cf_normalise: several audit lines in one record? */
bool cf_audit_joined(cf_str raw);
/* Each line by `one`, then merged into the event of the SYSCALL line. */
typedef int (*cf_norm_fn)(struct cf_norm_thread *t, struct cf_arena *arena, const struct cf_record *rec, struct cf_event **ret);
int cf_audit_normalise(struct cf_norm_thread *t, struct cf_arena *arena, const struct cf_record *rec, cf_norm_fn one, struct cf_event **ret);

#endif
