/* SPDX-License-Identifier: Apache-2.0
 * form: templates and dictionaries as data (content/forms, content/dictionaries). The same definition draws the console form
 * and checks what comes in. A set is immutable after load and may be shared by threads. */
#ifndef CF_FORM_FORM_H
#define CF_FORM_FORM_H

#include <jansson.h>

#include "base/base.h"

struct cf_form_set;
struct cf_form;

/* Loads <content_dir>/dictionaries and <content_dir>/forms. A broken file: CF_ESYNTAX with file and line; nothing is loaded. */
int cf_form_set_load(const char *content_dir, struct cf_form_set **ret, struct cf_error *reterr);
/* For tests and fuzzing: adds one file's text to a set made by cf_form_set_new. */
struct cf_form_set *cf_form_set_new(void);
int cf_form_set_add_form(struct cf_form_set *s, cf_str yaml, struct cf_error *reterr);
int cf_form_set_add_dictionary(struct cf_form_set *s, cf_str yaml, struct cf_error *reterr);
int cf_form_set_check(const struct cf_form_set *s, struct cf_error *reterr); /* cross references: dictionaries of fields */
void cf_form_set_free(struct cf_form_set *s);

const struct cf_form *cf_form_find(const struct cf_form_set *s, cf_str id); /* NULL: no such form */
bool cf_form_has_field(const struct cf_form *f, cf_str name);
cf_str cf_form_id(const struct cf_form *f);
size_t cf_form_count(const struct cf_form_set *s);
const struct cf_form *cf_form_at(const struct cf_form_set *s, size_t i);
json_t *cf_form_json(const struct cf_form *f, bool full);                     /* new reference; full: with sections */
json_t *cf_dictionary_json(const struct cf_form_set *s, cf_str id);           /* new reference; NULL: no such dictionary */
json_t *cf_dictionaries_json(const struct cf_form_set *s);                    /* array of {id,title,count} */
bool cf_dictionary_label(const struct cf_form_set *s, cf_str id, cf_str value, bool en, cf_str *ret);

enum cf_form_ref { CF_REF_ORG, CF_REF_USER, CF_REF_FILE };
struct cf_form_check {
    bool draft;   /* required fields may still be empty */
    bool english; /* language of the messages; Chinese otherwise */
    /* Does this organisation/person/attachment exist for the caller? NULL: not asked. */
    bool (*ref)(void *ctx, enum cf_form_ref kind, cf_str id);
    void *ctx;
};
/* Checks data (an object; NULL counts as empty) and returns what is kept of it: strings trimmed, fields hidden by visible_if
 * left out. 0 and *ret_clean (new reference), or CF_EINVAL and *ret_errors = [{"field","message"}] (new reference). */
int cf_form_validate(const struct cf_form_set *s, const struct cf_form *f, const json_t *data, const struct cf_form_check *chk,
                     json_t **ret_clean, json_t **ret_errors);
/* A copy of data without the fields marked internal: what the receiving side may see. New reference. */
json_t *cf_form_public(const struct cf_form *f, const json_t *data);

void cf_form_routes(void); /* GET forms, forms/{id}, dictionaries, dictionaries/{id} */

#endif
