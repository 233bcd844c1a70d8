/* SPDX-License-Identifier: Apache-2.0
 * Forms: mistakes in files are refused with their line, data with its field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "form/form.h"

static const char small[] =
    "id: f\nversion: 1\ntitle: T\nsections:\n  - title: S\n    fields:\n"
    "      - {name: t, label: {zh: 标题, en: Title}, type: text, required: true, min: 2, max: 5}\n"
    "      - {name: code, label: C, type: text, pattern: '^[A-Z]{2}-[[:digit:]]+$'}\n"
    "      - {name: mail, label: M, type: text, format: email}\n"
    "      - {name: phone, label: P, type: text, format: phone}\n"
    "      - {name: net, label: N, type: text, format: cidr}\n"
    "      - {name: n, label: N, type: number, min: 1, max: 10}\n"
    "      - {name: d, label: D, type: date}\n"
    "      - {name: dt, label: DT, type: datetime}\n"
    "      - {name: sel, label: S, type: select, options: [{value: a, label: A}, {value: b, label: B}]}\n"
    "      - {name: many, label: S, type: multiselect, max: 2, options: [{value: a, label: A}, {value: b, label: B}, {value: c, label: C}]}\n"
    "      - {name: org, label: O, type: org}\n"
    "      - {name: ok, label: B, type: bool}\n"
    "      - {name: ip, label: I, type: ip}\n"
    "      - {name: level, label: L, type: level}\n"
    "      - {name: why, label: W, type: textarea, required: true, visible_if: {field: ok, equals: 'true'}}\n"
    "      - {name: secret, label: X, type: text, internal: true}\n";

static struct cf_form_set *set;

static int setup(void **state)
{
    struct cf_error err = {0};

    (void)state;
    set = cf_form_set_new();
    if (cf_form_set_add_form(set, CF_STR(small), &err) < 0)
        fail_msg("%s", err.msg);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    cf_form_set_free(set);
    return 0;
}

static bool ref(void *ctx, enum cf_form_ref kind, cf_str id)
{
    (void)ctx;
    return kind == CF_REF_ORG && cf_str_eqz(id, "o1");
}

/* The fields that are refused, in order, joined by blanks; "" when all is well. */
static void check(const char *json, bool draft, const char *want)
{
    const struct cf_form_check chk = {.draft = draft, .english = true, .ref = ref};
    json_t *data = json_loads(json, JSON_ALLOW_NUL, NULL), *clean = NULL, *errors = NULL, *e;
    char got[400] = "";
    size_t i;
    int r;

    assert_non_null(data);
    r = cf_form_validate(set, cf_form_find(set, CF_STR("f")), data, &chk, &clean, &errors);
    json_array_foreach(errors, i, e)
    {
        assert_true(strlen(json_string_value(json_object_get(e, "message"))) > 3);
        (void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", got[0] ? " " : "", json_string_value(json_object_get(e, "field")));
    }
    if (strcmp(got, want) != 0)
        fail_msg("%s: wanted \"%s\", got \"%s\"", json, want, got);
    assert_int_equal(r, want[0] ? CF_EINVAL : 0);
    json_decref(clean);
    json_decref(errors);
    json_decref(data);
}

static void data_is_checked_field_by_field(void **state)
{
    (void)state;
    check("{\"t\":\"标题\"}", false, "");
    check("{}", false, "t");
    check("{}", true, "");
    check("{\"t\":\"  \"}", false, "t");
    check("{\"t\":\"一\"}", false, "t");
    check("{\"t\":\"一二三四五\"}", false, "");
    check("{\"t\":\"一二三四五六\"}", false, "t");
    check("{\"t\":12}", false, "t");
    check("{\"t\":\"ab\\u0000c\"}", false, "t");
    check("{\"t\":\"ab\",\"code\":\"AB-12\"}", false, "");
    check("{\"t\":\"ab\",\"code\":\"ab-12\"}", false, "code");
    check("{\"t\":\"ab\",\"mail\":\"a@b.cn\",\"phone\":\"010-8888 6666\",\"net\":\"10.0.0.0/8\"}", false, "");
    check("{\"t\":\"ab\",\"mail\":\"a@b\",\"phone\":\"call me\",\"net\":\"10.0.0.0/99\"}", false, "mail phone net");
    check("{\"t\":\"ab\",\"n\":10}", false, "");
    check("{\"t\":\"ab\",\"n\":\"3.5\"}", false, "");
    check("{\"t\":\"ab\",\"n\":11}", false, "n");
    check("{\"t\":\"ab\",\"n\":\"many\"}", false, "n");
    check("{\"t\":\"ab\",\"d\":\"2026-02-28\",\"dt\":\"2026-02-28T08:00:00+08:00\"}", false, "");
    check("{\"t\":\"ab\",\"d\":\"2026-02-30\",\"dt\":\"2026-02-28\"}", false, "d dt");
    check("{\"t\":\"ab\",\"sel\":\"a\",\"many\":[\"a\",\"c\",\"a\"]}", false, "many"); /* three entries, at most two */
    check("{\"t\":\"ab\",\"sel\":\"z\",\"many\":[\"z\"]}", false, "sel many");
    check("{\"t\":\"ab\",\"many\":\"a\"}", false, "many");
    check("{\"t\":\"ab\",\"org\":\"o1\"}", false, "");
    check("{\"t\":\"ab\",\"org\":\"o2\"}", false, "org");
    check("{\"t\":\"ab\",\"ip\":\"10.1.1.300\",\"level\":\"huge\"}", false, "ip level");
    check("{\"t\":\"ab\",\"ok\":true}", false, "why"); /* shown now, so required */
    check("{\"t\":\"ab\",\"ok\":false,\"why\":\"x\"}", false, "");
    check("{\"t\":\"ab\",\"ok\":\"yes\"}", false, "ok");
    check("{\"t\":\"ab\",\"unknown\":1}", false, "unknown");
    check("[1]", false, "form t");
}

static void hidden_fields_are_dropped_and_text_is_trimmed(void **state)
{
    const struct cf_form_check chk = {.draft = false};
    json_t *data = json_loads("{\"t\":\"  ab \",\"ok\":false,\"why\":\"left over\",\"secret\":\"s\"}", 0, NULL), *clean = NULL, *errors = NULL, *pub;
    const struct cf_form *f = cf_form_find(set, CF_STR("f"));

    (void)state;
    assert_int_equal(cf_form_validate(set, f, data, &chk, &clean, &errors), 0);
    assert_string_equal(json_string_value(json_object_get(clean, "t")), "ab");
    assert_null(json_object_get(clean, "why"));
    pub = cf_form_public(f, clean);
    assert_non_null(json_object_get(pub, "t"));
    assert_null(json_object_get(pub, "secret"));
    json_decref(pub);
    json_decref(clean);
    json_decref(data);
}

static void refused(const char *yaml, size_t line, const char *why)
{
    struct cf_form_set *s = cf_form_set_new();
    struct cf_error err = {0};
    int r = cf_form_set_add_form(s, cf_str_c(yaml), &err);

    if (r == 0)
        r = cf_form_set_check(s, &err);
    if (r == 0 || !strstr(err.msg, why) || (line && err.pos != line))
        fail_msg("wanted line %zu \"%s\", got %d line %zu %s", line, why, r, err.pos, err.msg);
    cf_form_set_free(s);
}

#define HEAD "id: f\nversion: 1\ntitle: T\nsections:\n  - title: S\n    fields:\n"
static void files_are_checked_with_line(void **state)
{
    (void)state;
    refused("", 1, "empty");
    refused("id: f\nversion: 1\ntitle: T\n", 1, "sections");
    refused(HEAD "      - {name: a, label: A, type: wish}\n", 7, "type \"wish\"");
    refused(HEAD "      - {name: a, label: A, type: text, colour: red}\n", 7, "\"colour\"");
    refused(HEAD "      - {name: a, label: A, type: text}\n      - {name: a, label: A, type: text}\n", 8, "twice");
    refused(HEAD "      - {name: a, label: A, type: select}\n", 7, "options");
    refused(HEAD "      - {name: a, label: A, type: select, dictionary: nowhere}\n", 7, "dictionary \"nowhere\"");
    refused(HEAD "      - {name: a, label: A, type: text, pattern: '['}\n", 7, "regular expression");
    refused(HEAD "      - {name: a, label: A, type: text, pattern: '(a)\\1'}\n", 7, "backslash");
    refused(HEAD "      - {name: a, label: A, type: text, visible_if: {field: b, equals: x}}\n", 7, "no other field");
    refused(HEAD "      - {name: a, label: A, type: text, min: few}\n", 7, "number");
    refused(HEAD "      - {name: 'Bad Name', label: A, type: text}\n", 7, "must be a name");
}

static void shipped_forms_load_and_describe_themselves(void **state)
{
    struct cf_form_set *s = NULL;
    struct cf_error err = {0};
    json_t *j;

    (void)state;
    if (cf_form_set_load(CF_TEST_ROOT "/content", &s, &err) < 0)
        fail_msg("%s", err.msg);
    j = cf_form_json(cf_form_find(s, CF_STR("notice")), true);
    assert_true(json_array_size(json_object_get(j, "sections")) >= 3);
    json_decref(j);
    j = cf_dictionary_json(s, CF_STR("event-category"));
    assert_int_equal(json_array_size(json_object_get(j, "items")), 11); /* INC-007 */
    json_decref(j);
    cf_form_set_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_is_checked_field_by_field), cmocka_unit_test(hidden_fields_are_dropped_and_text_is_trimmed), cmocka_unit_test(files_are_checked_with_line),
        cmocka_unit_test(shipped_forms_load_and_describe_themselves),
    };

    return cmocka_run_group_tests_name("forms", tests, setup, teardown);
}
