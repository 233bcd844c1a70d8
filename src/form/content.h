/* SPDX-License-Identifier: Apache-2.0
 * Reading content files (forms, workflows, dictionaries, message templates): the checks all of them share. Every message
 * names the line. Unknown keys are refused, so that a typing mistake never becomes a silently missing rule. */
#ifndef CF_FORM_CONTENT_H
#define CF_FORM_CONTENT_H

#include <jansson.h>

#include "base/base.h"

struct cf_text {
    cf_str zh, en; /* en falls back to zh */
};

/* "line N: ..." with CF_ESYNTAX; err->pos is the line. */
int cf_content_fail(struct cf_error *err, const struct cf_ynode *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* allowed: NULL-terminated. The node must be a map and hold only these keys. */
int cf_content_keys(const struct cf_ynode *map, const char *const *allowed, struct cf_error *err);
/* A text is "plain" or {zh, en}. Missing: CF_ESYNTAX when required. */
int cf_content_text(const struct cf_ynode *map, const char *key, bool required, struct cf_text *ret, struct cf_error *err);
/* lower-case letters, digits, '-', '_', '.', up to 64 bytes, starts with a letter */
bool cf_content_id_ok(cf_str id);
int cf_content_id(const struct cf_ynode *map, const char *key, cf_str *ret, struct cf_error *err);
int cf_content_version(const struct cf_ynode *map, int64_t *ret, struct cf_error *err);
bool cf_content_flag(const struct cf_ynode *map, const char *key, bool def, struct cf_error *err, int *r); /* *r set on a bad value */
json_t *cf_text_json(struct cf_text t); /* {"zh","en"} */
json_t *cf_str_json(cf_str s);          /* string, or null when .p is NULL; invalid UTF-8 becomes U+FFFD */

/* At most n bytes, never cutting a UTF-8 character. */
cf_str cf_text_cut(cf_str s, size_t n);

/* "30m", "4h", "3d" -> us; false when it is not a duration above 0. */
bool cf_duration_parse(cf_str s, int64_t *ret_us);

#endif
