/* SPDX-License-Identifier: Apache-2.0
 * Options as rows: name, type, range, default, sentence. A row parses, validates, fills the struct and prints the
 * manual. One YAML file; unknown keys are refused with their line. Names are dotted paths ("syslog.tcp.listen"). */
#ifndef CF_BASE_CONFIG_H
#define CF_BASE_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum cf_opt_type { CF_OPT_STR, CF_OPT_INT, CF_OPT_BOOL, CF_OPT_SIZE /* 64k 8M 2G */, CF_OPT_DURATION /* us: 5s 10m 1h 7d */, CF_OPT_LIST /* of strings */ };
struct cf_opt_list {
    size_t n;
    cf_str *v;
};
struct cf_opt {
    const char *name;
    enum cf_opt_type type;
    size_t offset;      /* of cf_str, int64_t, bool, int64_t, int64_t, struct cf_opt_list in the target struct */
    const char *def;    /* in the file's notation */
    int64_t min, max;   /* of int, size, duration; 0,0: any */
    const char *doc;    /* one sentence */
};

/* Fills defaults, then what the YAML text says. Strings live in arena. */
int cf_config_parse(const struct cf_opt *opts, size_t n_opts, void *target, struct cf_arena *a, cf_str yaml, struct cf_error *reterr);
/* Sets one option from "value" text, as if written in the file. */
int cf_config_set(const struct cf_opt *opts, size_t n_opts, void *target, struct cf_arena *a, cf_str name, cf_str value, struct cf_error *reterr);
/* A commented YAML file with the current values. */
void cf_config_print(const struct cf_opt *opts, size_t n_opts, const void *target, struct cf_buf *out);

#endif
