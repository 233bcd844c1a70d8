/* SPDX-License-Identifier: Apache-2.0
 * Events from JSON text and rule sets from YAML text, for tests of detection alone (no normaliser). */
#ifndef CF_TESTS_DETECT_HELPER_H
#define CF_TESTS_DETECT_HELPER_H

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "detect/detect.h"
#include "test.h"

static inline void event_put(struct cf_event *ev, const char *name, const char *leaf, cf_str v, enum cf_vkind kind)
{
    enum cf_field f = cf_field_find(cf_str_c(name));
    uint16_t raw = cf_name_intern(cf_str_c(leaf));

    v = cf_arena_copy(ev->arena, v);
    if (f != CF_F_EXTRA) {
        if (ev->slot[f])
            (void)cf_event_add(ev, f, v);
        else
            (void)cf_event_set_raw(ev, f, v, raw, kind);
    } else {
        (void)cf_event_extra(ev, cf_name_intern(cf_str_c(name)), v, raw, kind);
    }
}

static inline void event_fill(struct cf_event *ev, const char *prefix, const char *leaf, json_t *j)
{
    char name[512], num[64];
    const char *k;
    json_t *v;
    size_t i;

    switch (json_typeof(j)) {
    case JSON_OBJECT:
        json_object_foreach(j, k, v)
        {
            (void)snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", k);
            event_fill(ev, name, strrchr(k, '.') ? strrchr(k, '.') + 1 : k, v);
        }
        break;
    case JSON_ARRAY:
        json_array_foreach(j, i, v) event_fill(ev, prefix, leaf, v);
        break;
    case JSON_STRING:
        if (strcmp(prefix, "@timestamp") == 0)
            if (cf_time_parse(cf_str_c(json_string_value(j)), &ev->time_us))
                break; /* as normalise does: the time is no value */
        event_put(ev, prefix, leaf, (cf_str){json_string_value(j), json_string_length(j)}, CF_V_STR);
        break;
    case JSON_INTEGER:
        (void)snprintf(num, sizeof num, "%" JSON_INTEGER_FORMAT, json_integer_value(j));
        event_put(ev, prefix, leaf, cf_str_c(num), CF_V_INT);
        break;
    case JSON_REAL:
        (void)snprintf(num, sizeof num, "%.17g", json_real_value(j));
        event_put(ev, prefix, leaf, cf_str_c(num), CF_V_FLOAT);
        break;
    case JSON_NULL:
        event_put(ev, prefix, leaf, CF_STR(""), CF_V_NULL);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        event_put(ev, prefix, leaf, json_is_true(j) ? CF_STR("true") : CF_STR("false"), CF_V_BOOL);
        break;
    }
}

static inline struct cf_event *event_json(struct cf_arena *a, const char *text, uint64_t seq)
{
    json_error_t err;
    json_t *j = json_loads(text, JSON_ALLOW_NUL, &err);
    struct cf_event *ev = cf_event_new(a);

    if (!j)
        fail_msg("test event: %s: %s", err.text, text);
    ev->original = cf_arena_copy(a, cf_str_c(text));
    ev->received_us = INT64_C(4000000000) * CF_US_PER_S;
    ev->seq = seq;
    event_fill(ev, "", "", j);
    json_decref(j);
    return ev;
}

/* A rule set of one text; taxonomy of the repository unless bare. zone "": the usual one. */
static inline struct cf_ruleset *rules_zone(const char *yaml, bool bare, const char *zone)
{
    cf_str text = cf_str_c(yaml);
    struct cf_rules_options opt = {.zone = cf_str_c(zone), .taxonomy_dir = bare ? NULL : CF_TEST_ROOT "/content/taxonomy", .texts = &text, .n_texts = 1};
    struct cf_ruleset *rs = NULL;
    struct cf_error err = {0};

    assert_ok(cf_ruleset_load(&opt, &rs, &err), err);
    return rs;
}

static inline struct cf_ruleset *rules_text(const char *yaml, bool bare) { return rules_zone(yaml, bare, ""); }

#endif
