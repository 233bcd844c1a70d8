/* SPDX-License-Identifier: Apache-2.0
 * Workflow definitions: the shipped ones load, and each kind of mistake is refused with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "workflow/def.h"

#define HEAD "id: t\nversion: 1\ntitle: T\npermission: {create: notice.create, read: notice.read}\ninitial: a\n"
#define WHO "who: {permission: notice.create}"

static struct cf_form_set *forms;

static int load_forms(void **state)
{
    struct cf_error err = {0};

    (void)state;
    if (cf_form_set_load(CF_TEST_ROOT "/content", &forms, &err) < 0)
        fail_msg("%s", err.msg);
    return 0;
}
static int free_forms(void **state)
{
    (void)state;
    cf_form_set_free(forms);
    return 0;
}

static bool template_known(void *ctx, cf_str id)
{
    (void)ctx;
    return cf_str_eqz(id, "known");
}

static void refused(const char *yaml, unsigned line, const char *why)
{
    const struct cf_workflow_refs refs = {forms, template_known, NULL};
    struct cf_workflow *w = NULL;
    struct cf_error err = {0};

    assert_int_equal(cf_workflow_parse(cf_str_c(yaml), &refs, &w, &err), CF_ESYNTAX);
    if (!strstr(err.msg, why) || err.pos != line)
        fail_msg("expected line %u \"%s\", got line %zu: %s", line, why, err.pos, err.msg);
    assert_null(w);
}

static void accepts_a_small_one(void **state)
{
    const struct cf_workflow_refs refs = {forms, template_known, NULL};
    struct cf_workflow *w = NULL;
    struct cf_error err = {0};
    json_t *j;

    (void)state;
    if (cf_workflow_parse(CF_STR(HEAD "states:\n  a: {title: A}\n  b: {title: {zh: 乙, en: B}, final: true}\n"
                                      "transitions:\n  go: {title: Go, from: a, to: b, " WHO ", notify: [{to: creator, template: known}]}\n"),
                          &refs, &w, &err) < 0)
        fail_msg("%s", err.msg);
    j = cf_workflow_json(w, true);
    assert_int_equal(json_array_size(json_object_get(j, "states")), 2);
    assert_string_equal(json_string_value(json_object_get(json_object_get(json_array_get(json_object_get(j, "states"), 1), "title"), "en")), "B");
    json_decref(j);
    cf_workflow_free(w);
}

static void refuses_mistakes_with_line(void **state)
{
    (void)state;
    refused("", 1, "empty");
    refused("- a\n", 1, "map");
    refused("id: t\nversion: 1\ntitle: T\nfoo: 1\n", 4, "\"foo\" is not known");
    refused("id: T!\nversion: 1\ntitle: T\n", 1, "must be a name");
    refused("id: t\nversion: zero\ntitle: T\n", 2, "version");
    refused(HEAD "states:\n  a: {title: A}\ntransitions:\n  go: {title: Go, from: a, to: a, " WHO "}\n", 1, "no state is final");
    refused(HEAD "states:\n  a: {title: A}\n  b: {title: B, final: true}\n  c: {title: C, final: true}\ntransitions:\n  go: {title: Go, from: a, to: b, " WHO "}\n", 9,
            "cannot be reached");
    refused(HEAD "states:\n  a: {title: A}\n  d: {title: D}\n  b: {title: B, final: true}\ntransitions:\n  go: {title: Go, from: a, to: b, " WHO
                 "}\n  stay: {title: S, from: a, to: d, " WHO "}\n",
            8, "no way leads");
    refused(HEAD "states:\n  a: {title: A}\n  b: {title: B, final: true}\ntransitions:\n  go: {title: Go, from: x, to: b, " WHO "}\n", 10, "state \"x\"");
    refused(HEAD "states:\n  a: {title: A}\n  b: {title: B, final: true}\ntransitions:\n  go: {title: Go, from: a, to: b}\n", 10, "needs \"who\"");
    refused(HEAD "states:\n  a: {title: A}\n  b: {title: B, final: true}\ntransitions:\n  go: {title: Go, from: a, to: b, who: {role: king}}\n", 10, "dictionary roles");
    refused(HEAD "states:\n  a: {title: A}\n  b: {title: B, final: true}\ntransitions:\n  go: {title: Go, from: a, to: b, who: {permission: notice.destroy}}\n", 10,
            "dictionary permissions");
    refused(HEAD "states:\n  a: {title: A}\n  b: {title: B, final: true}\ntransitions:\n  go: {title: Go, from: a, to: b, form: nope, " WHO "}\n", 10, "form \"nope\"");
    refused(HEAD "states:\n  a: {title: A}\n  b: {title: B, final: true}\ntransitions:\n  go: {title: Go, from: a, to: b, " WHO ", notify: [{to: creator, template: other}]}\n",
            10, "message template");
    refused(HEAD "states:\n  a: {title: A}\n  b: {title: B, final: true}\ntransitions:\n  go: {title: Go, from: a, to: b, " WHO ", require: magic}\n", 10, "require knows");
    refused(HEAD "states:\n  a: {title: A, clock: {name: c, limit: soon}}\n  b: {title: B, final: true}\ntransitions:\n  go: {title: Go, from: a, to: b, " WHO "}\n", 7,
            "time limit");
    refused(HEAD "states:\n  a: {title: A, clock: {name: c, limit: 1h, remind: [90, 50]}}\n  b: {title: B, final: true}\ntransitions:\n  go: {title: Go, from: a, to: b, " WHO
                 "}\n",
            7, "rising");
    refused(HEAD "states:\n  a: {title: A}\n  b: {title: B, final: true}\ntransitions:\n  go: {title: Go, from: a, to: b, spawn: true, " WHO "}\n", 10, "spawn needs");
}

static int load_one(void *ctx, const char *path)
{
    const struct cf_workflow_refs refs = {forms, NULL, NULL};
    struct cf_workflow *w = NULL;
    struct cf_error err = {0};
    struct cf_buf b;

    cf_buf_init(&b, 0);
    assert_int_equal(cf_file_read(path, &b, &err), 0);
    if (cf_workflow_parse(cf_buf_view(&b), &refs, &w, &err) < 0)
        fail_msg("%s: %s", path, err.msg);
    cf_workflow_free(w);
    cf_buf_release(&b);
    ++*(int *)ctx;
    return 0;
}

static void shipped_definitions_load(void **state)
{
    struct cf_error err = {0};
    int n = 0;

    (void)state;
    assert_int_equal(cf_walk(CF_TEST_ROOT "/content/workflows", ".yaml", load_one, &n, &err), 0);
    assert_true(n >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_a_small_one), cmocka_unit_test(refuses_mistakes_with_line), cmocka_unit_test(shipped_definitions_load),
    };

    return cmocka_run_group_tests_name("workflow definitions", tests, load_forms, free_forms);
}
