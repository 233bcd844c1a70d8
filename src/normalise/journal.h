/* SPDX-License-Identifier: Apache-2.0
 * The systemd journal's export format: cutting entries (for readers) and turning fields into an event's. */
#ifndef CF_NORMALISE_JOURNAL_H
#define CF_NORMALISE_JOURNAL_H

#include "normalise/source.h"

#define CF_JOURNAL_FIELD_MAX (16u << 20)

bool cf_journal_is(cf_str s); /* does an export stream begin here? */
/* Bytes of the entry at p without its empty line; SIZE_MAX: it is not complete in n bytes. */
size_t cf_journal_block(const char *p, size_t n);
/* Fields of the whole entry; *ret is MESSAGE (in the run's arena). False: there is none. */
bool cf_journal_entry(struct cf_run *r, cf_str text, cf_str *ret);
/* One field, also of the JSON form: host, program and number go to r->sl, the rest to the event. */
void cf_journal_field(struct cf_run *r, cf_str key, cf_str value, cf_str *message);

#endif
