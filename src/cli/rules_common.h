/* SPDX-License-Identifier: Apache-2.0
 * What detect, rules and explain share: finding the content, loading rules, normalising one text. */
#ifndef CF_CLI_RULES_COMMON_H
#define CF_CLI_RULES_COMMON_H

#include <stdio.h>

#include "cli/cli.h"
#include "detect/detect.h"
#include "normalise/normalise.h"

#define CF_CLI_PATHS_MAX 64
/* Loads rules with content/taxonomy; zone: in which they count hours, NULL: CF_RULES_ZONE. 0, or an exit status after saying why. */
int cf_cli_rules(const char *what, const char *const *paths, size_t n, const char *zone, struct cf_ruleset **ret);
/* Loads content/sources. 0, or an exit status after saying why. */
int cf_cli_normaliser(const char *what, struct cf_normaliser **ret);
/* Refused rules to f, one a line; then reasons counted, when summary. */
void cf_cli_refused(const struct cf_ruleset *rs, FILE *f, bool each, bool summary);

#endif
