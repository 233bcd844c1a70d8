/* SPDX-License-Identifier: Apache-2.0
 * cli: one file per subcommand. A command gets argv[0] = its own name; returns the exit status: 0, 1 failed, 2 usage.
 * Errors go to stderr as "chengfang: what: why". */
#ifndef CF_CLI_CLI_H
#define CF_CLI_CLI_H

#include <stdio.h>

#include "base/base.h"

#define CMD(name, fn, args, doc) int fn(int argc, char **argv);
#include "cli/commands.def"
#undef CMD

#define CF_EXIT_FAILED 1
#define CF_EXIT_USAGE 2
/* Prints "chengfang: what: why" and returns CF_EXIT_FAILED / CF_EXIT_USAGE. */
/* A message in the language of LC_ALL, LC_MESSAGES or LANG: Chinese when it begins with zh, else as it is. */
void cf_cli_say(FILE *f, cf_str english);
int cf_cli_fail(const char *what, const struct cf_error *err);
int cf_cli_usage(const char *what, const char *why);
/* Tells of the parts of a binary file that were skipped because they are damaged; returns how many. */
struct cf_input;
uint64_t cf_cli_damaged(const char *what, const char *path, const struct cf_input *in);

#endif
