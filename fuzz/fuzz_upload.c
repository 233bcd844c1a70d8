/* SPDX-License-Identifier: Apache-2.0
 * multipart/form-data: input is the boundary, a line break, and the body. What comes out lies inside the body, and its name is harmless. */
#include "workflow/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nl = size ? memchr(data, '\n', size) : NULL;
    cf_str body, name, content, clean, type;
    struct cf_error err = {0};
    struct cf_arena a;

    if (!nl)
        return 0;
    cf_arena_init(&a, 0, 0);
    type = cf_arena_printf(&a, "multipart/form-data; boundary=%.*s", (int)(nl - data), (const char *)data);
    body = cf_str_n((const char *)nl + 1, size - (size_t)(nl - data) - 1);
    if (cf_upload_read(type, CF_STR_NONE, body, &name, &content, &err) == 0) {
        if (content.p < body.p || content.p + content.n > body.p + body.n)
            __builtin_trap();
        clean = cf_attachment_name(&a, name);
        if (clean.n == 0 || clean.n > 180 || clean.p[0] == '.' || memchr(clean.p, '/', clean.n) || memchr(clean.p, '\\', clean.n) || !cf_utf8_valid(clean))
            __builtin_trap();
    }
    cf_arena_release(&a);
    return 0;
}
