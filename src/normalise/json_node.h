/* SPDX-License-Identifier: Apache-2.0
 * What the C++ shim over simdjson shares with C: nothing but this. */
#ifndef CF_NORMALISE_JSON_NODE_H
#define CF_NORMALISE_JSON_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CF_JSON_DEPTH_MAX 64

enum cf_jkind { CF_J_OBJ, CF_J_ARR, CF_J_STR, CF_J_NUM, CF_J_TRUE, CF_J_FALSE, CF_J_NULL };
struct cf_jnode {       /* in document order */
    const char *key;    /* NULL in arrays and for the root */
    const char *p;      /* text: unescaped string, number as written */
    uint32_t key_n, n;
    uint32_t next;      /* objects and arrays: index behind their last descendant */
    uint8_t kind, esc;  /* esc: bit 0 key, bit 1 value still hold escapes (inside the shim only) */
    uint16_t depth;
};
struct cf_json;
struct cf_json *cf_json_new(void); /* NULL: no memory */
void cf_json_free(struct cf_json *j);

/* Inside the module: nodes whose text is still escaped; NULL or why the text is not JSON. */
const char *cf_json_stage(struct cf_json *j, const char *text, size_t len);
struct cf_jnode *cf_json_nodes(struct cf_json *j, size_t *ret_n);
bool cf_utf8_valid_simd(const char *p, size_t n);

#ifdef __cplusplus
}
#endif
#endif
