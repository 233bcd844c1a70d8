/* SPDX-License-Identifier: Apache-2.0
 * explain, private: JSON that explain.c (rules) and explain_corr.c (correlations) write alike. */
#ifndef CF_DETECT_EXPLAIN_H
#define CF_DETECT_EXPLAIN_H

#include "detect/correlate.h"

void cf_xp_key(struct cf_buf *b, const char *k, bool first);
void cf_xp_bool(struct cf_buf *b, const char *k, bool v, bool first);
void cf_xp_shown(struct cf_buf *b, cf_str v); /* a value, cut when it is long */
/* "correlation":{...},"reason":"..." of a correlation for the event in d. 0 or CF_ENOMEM. */
int cf_explain_corr(struct cf_detector *d, struct cf_buf *b, const struct cf_rule *r);

#endif
