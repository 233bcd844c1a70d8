/* SPDX-License-Identifier: Apache-2.0
 * Lists, hosts files and CSV (dry run); every value read has a normal form that reads as itself, and the matcher finds it. */
#include "ti_import.h"

static void one_value(cf_str text, enum cf_ti_type want)
{
    static struct cf_ti_value v, again;
    struct cf_ti_builder *b;
    struct cf_ti_set *s;
    const char *why = NULL;

    if (!cf_ti_value_read(text, want, &v, &why)) {
        if (!why || !why[0])
            __builtin_trap();
        return;
    }
    if (strlen(v.p) != v.n || !cf_ti_value_read(cf_ti_value_str(&v), v.type, &again, &why) || strcmp(v.p, again.p) != 0)
        __builtin_trap();
    b = cf_ti_builder_new(1);
    if (b && cf_ti_builder_add(b, &(struct cf_ti_entry_in){.type = v.type, .value = cf_ti_value_str(&v), .confidence = 1}) != 0)
        __builtin_trap();
    s = b ? cf_ti_builder_finish(b) : NULL;
    if (s && !cf_ti_find(s, v.type, cf_ti_value_str(&v), 1, NULL))
        __builtin_trap();
    cf_ti_set_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = {"hosts", "", "csv"};

    if (size > 1)
        one_value(cf_str_n((const char *)data + 1, size - 1), (enum cf_ti_type)(data[0] % (CF_TI_TYPES + 1)));
    import_all(formats[size % 3], data, size);
    return 0;
}
