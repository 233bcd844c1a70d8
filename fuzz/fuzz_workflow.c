/* SPDX-License-Identifier: Apache-2.0
 * Workflow definitions: any text is either refused with a line or gives a definition whose JSON can be made. */
#include "workflow/def.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cf_workflow *w = NULL;
    struct cf_error err = {0};

    if (cf_workflow_parse(cf_str_n((const char *)data, size), NULL, &w, &err) == 0) {
        json_decref(cf_workflow_json(w, true));
        cf_workflow_free(w);
    } else if (!err.msg[0]) {
        __builtin_trap(); /* refused without saying why */
    }
    return 0;
}
