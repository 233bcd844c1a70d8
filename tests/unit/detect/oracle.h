/* SPDX-License-Identifier: Apache-2.0
 * A second Sigma evaluator: slow, straight from the YAML for each event, sharing no code with src/detect. Its answers
 * are compared with the detector's. */
#ifndef CF_TESTS_DETECT_ORACLE_H
#define CF_TESTS_DETECT_ORACLE_H

#include "base/base.h"
#include "event/event.h"

struct oracle;
/* Times count in the C library's zone: oracle_zone sets it (as the variable TZ has it) for the whole test program. */
#define ORACLE_ZONE "<+08>-8" /* CF_RULES_ZONE */
void oracle_zone(const char *tz);
struct oracle *oracle_new(const char *taxonomy_dir); /* NULL dir: no mapping, no routing */
void oracle_free(struct oracle *o);
/* 1 or 0; -1: the rule uses something the oracle does not know (aggregation, correlation). */
/* *ret_routed, when wanted: whether the condition was looked at; false: the log source alone decided. */
int oracle_match_routed(struct oracle *o, const struct cf_ynode *rule, const struct cf_event *ev, bool *ret_routed);
int oracle_match(struct oracle *o, const struct cf_ynode *rule, const struct cf_event *ev);

#endif
