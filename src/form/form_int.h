/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CF_FORM_FORM_INT_H
#define CF_FORM_FORM_INT_H

#include <regex.h>

#include "form/content.h"
#include "form/form.h"

/* type, takes a list, length limit when the file says none */
#define CF_FORM_TYPES(X)                                                                                        \
    X(TEXT, "text", false) X(TEXTAREA, "textarea", false) X(NUMBER, "number", false) X(DATE, "date", false)     \
    X(DATETIME, "datetime", false) X(SELECT, "select", false) X(MULTISELECT, "multiselect", true)               \
    X(ORG, "org", false) X(ORGS, "orgs", true) X(USER, "user", false) X(FILE, "file", true)                     \
    X(BOOL, "bool", false) X(IP, "ip", false) X(LEVEL, "level", false)
enum form_type {
#define X(sym, name, list) FORM_##sym,
    CF_FORM_TYPES(X)
#undef X
};

struct form_option {
    cf_str value;
    struct cf_text label;
};
struct form_options {
    size_t n;
    struct form_option *v;
};
struct form_field {
    cf_str name;
    struct cf_text label, help;
    enum form_type type;
    bool required, internal;
    bool has_min, has_max;
    double min, max; /* number: value; text: characters; lists: items */
    cf_str pattern_text, format;
    bool has_pattern;
    regex_t pattern;
    cf_str dictionary;
    struct form_options options;
    cf_str show_field;        /* visible_if */
    size_t n_show;
    cf_str *show;             /* one of these values */
    uint32_t line;
};
struct form_section {
    struct cf_text title;
    size_t n;
    struct form_field *v;
};
struct cf_form {
    cf_str id;
    int64_t version;
    struct cf_text title;
    size_t n;
    struct form_section *v;
    struct cf_form *next;
};
struct form_dict {
    cf_str id;
    struct cf_text title;
    struct form_options options;
    struct form_dict *next;
};
struct cf_form_set {
    struct cf_arena arena; /* everything of the set */
    struct cf_form *forms;
    struct form_dict *dicts;
    size_t n_forms;
};

const struct form_dict *form_dict_find(const struct cf_form_set *s, cf_str id);
const struct form_field *form_field_find(const struct cf_form *f, cf_str name);
const char *form_type_name(enum form_type t);
bool form_type_is_list(enum form_type t);
extern const char *const form_levels[4]; /* critical high medium low */

#endif
