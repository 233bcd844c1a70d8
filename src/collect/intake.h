/* SPDX-License-Identifier: Apache-2.0
 * One way in as the configuration file names it: a file pattern, a topic, a listener, with what the engineer knows about its records.
 *
 *   "WHAT source=NAME parser=NAME format=NAME org=ID encoding=NAME"      all but WHAT may be left out
 *
 * A data source of the name (or, for listeners, of the peer's address) says more and goes first: its own parser, format and
 * organisation hold, the intake fills what it leaves open. */
#ifndef CF_COLLECT_INTAKE_H
#define CF_COLLECT_INTAKE_H

#include "collect/source.h"

struct cf_intake {
    char *what;
    char *source;    /* data source; "" none */
    char *parser;    /* source file for normalise */
    char *format;
    char *org;       /* id of the owner organisation */
    char *encoding;  /* files only. "" or "utf-8": as it is (GB18030 is found out later); else any name iconv knows, turned into UTF-8 */
};
/* option: name in the configuration, for messages. -> *ret, freed with cf_intake_release; on an error nothing is left. */
int cf_intake_parse(const char *option, cf_str text, struct cf_intake *ret, struct cf_error *reterr);
void cf_intake_release(struct cf_intake *in);
bool cf_intake_copy(struct cf_intake *to, const struct cf_intake *from); /* false: no memory */
/* Fills what info, found for a peer or a name, leaves open. */
void cf_intake_fill(const struct cf_intake *in, struct cf_source_info *info);
/* By the intake's own data source; without one it is called `otherwise`, of the root organisation. */
void cf_intake_look(const struct cf_intake *in, struct cf_shared *sources, const char *otherwise, struct cf_source_info *ret);

#endif
