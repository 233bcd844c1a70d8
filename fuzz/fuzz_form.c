/* SPDX-License-Identifier: Apache-2.0
 * Forms: input is a template, a NUL, and data as JSON. Both may be anything. Without a NUL the template is a fixed one. */
#include "form/form.h"

static const char fixed[] = "id: f\nversion: 1\ntitle: T\nsections:\n  - title: S\n    fields:\n"
                            "      - {name: t, label: T, type: text, required: true, min: 2, max: 5, pattern: '^[a-z]+$'}\n"
                            "      - {name: n, label: N, type: number, min: 1, max: 10}\n      - {name: d, label: D, type: datetime}\n"
                            "      - {name: m, label: S, type: multiselect, options: [{value: a, label: A}, {value: b, label: B}]}\n"
                            "      - {name: e, label: E, type: text, format: email}\n      - {name: c, label: C, type: text, format: cidr}\n"
                            "      - {name: b, label: B, type: bool}\n      - {name: w, label: W, type: textarea, visible_if: {field: b, equals: 'true'}}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    cf_str yaml = nul ? cf_str_n((const char *)data, (size_t)(nul - data)) : CF_STR(fixed);
    cf_str text = nul ? cf_str_n((const char *)nul + 1, size - (size_t)(nul - data) - 1) : cf_str_n((const char *)data, size);
    const struct cf_form_check chk = {.english = size & 1};
    struct cf_form_set *s = cf_form_set_new();
    json_t *j, *clean = NULL, *errors = NULL;
    struct cf_error err = {0};

    if (s && cf_form_set_add_form(s, yaml, &err) == 0 && cf_form_set_check(s, &err) == 0) {
        const struct cf_form *f = cf_form_at(s, 0);

        j = json_loadb(text.p ? text.p : "", text.n, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
        if (cf_form_validate(s, f, j, &chk, &clean, &errors) < 0) {
            if (json_array_size(errors) == 0)
                __builtin_trap(); /* refused without saying why */
        } else {
            json_decref(cf_form_public(f, clean));
        }
        json_decref(cf_form_json(f, true));
        json_decref(clean);
        json_decref(errors);
        json_decref(j);
    }
    cf_form_set_free(s);
    return 0;
}
