/* SPDX-License-Identifier: Apache-2.0
 * Value modifiers that turn one text into others (base64, UTF-16, dashes). Text under construction: `wild` says that
 * CF_WILD_MANY and CF_WILD_ONE in it are wildcards. */
#ifndef CF_DETECT_ENCODE_H
#define CF_DETECT_ENCODE_H

#include "detect/detect_int.h"

struct cf_sval {
    cf_str s;
    bool wild;
};
struct cf_svals {
    struct cf_sval *v;
    size_t n, cap;
};
#define CF_SVALS_MAX 20000 /* values one item may grow to */

int cf_svals_add(struct cf_compile *c, struct cf_svals *l, struct cf_sval v);
/* Sigma text: wildcards and backslash escapes resolved. */
int cf_sval_parse(struct cf_compile *c, cf_str text, struct cf_sval *ret);
/* Each takes *l to the list after the modifier. */
int cf_mod_base64(struct cf_compile *c, struct cf_svals *l);
int cf_mod_base64offset(struct cf_compile *c, struct cf_svals *l);
enum cf_utf16 { CF_UTF16_LE, CF_UTF16_BE, CF_UTF16_BOM };
int cf_mod_utf16(struct cf_compile *c, struct cf_svals *l, enum cf_utf16 how);
int cf_mod_windash(struct cf_compile *c, struct cf_svals *l);
/* "\%" of a rule's text is no beginning of a placeholder: kept apart before wildcards are read, put back by cf_mod_expand. */
#define CF_PERCENT '\xfd'
int cf_expand_hide(struct cf_compile *c, cf_str *text);
enum cf_expand { CF_EXPAND_TEXT, CF_EXPAND_REX, CF_EXPAND_RAW }; /* what the value is that holds the placeholder */
int cf_mod_expand(struct cf_compile *c, struct cf_svals *l, enum cf_expand how);
enum { CF_ANCHOR_CONTAINS, CF_ANCHOR_STARTS, CF_ANCHOR_ENDS };
int cf_mod_anchor(struct cf_compile *c, struct cf_svals *l, int how);

#endif
