/* SPDX-License-Identifier: Apache-2.0
 * Shared by the EVTX files: the element tree of one record, and how values print. */
#ifndef CF_NORMALISE_EVTX_INT_H
#define CF_NORMALISE_EVTX_INT_H

#include "normalise/evtx.h"

enum evtx_type {
    EVTX_NULL = 0x00, EVTX_WSTRING = 0x01, EVTX_STRING = 0x02, EVTX_I8 = 0x03, EVTX_U8 = 0x04, EVTX_I16 = 0x05, EVTX_U16 = 0x06,
    EVTX_I32 = 0x07, EVTX_U32 = 0x08, EVTX_I64 = 0x09, EVTX_U64 = 0x0a, EVTX_F32 = 0x0b, EVTX_F64 = 0x0c, EVTX_BOOL = 0x0d,
    EVTX_BINARY = 0x0e, EVTX_GUID = 0x0f, EVTX_SIZE = 0x10, EVTX_FILETIME = 0x11, EVTX_SYSTEMTIME = 0x12, EVTX_SID = 0x13,
    EVTX_HEX32 = 0x14, EVTX_HEX64 = 0x15, EVTX_BINXML = 0x21, EVTX_ARRAY = 0x80,
    EVTX_UTF8 = 0x100 /* ours: text that is already UTF-8 (entities) */
};

/* A piece of content: typed bytes in the chunk, or an element. */
struct evtx_part {
    struct evtx_part *next;
    unsigned type;             /* enum evtx_type, or 0 with element set */
    cf_str raw;                /* little-endian bytes */
    struct evtx_element *element;
};
struct evtx_attr {
    struct evtx_attr *next;
    cf_str name;               /* UTF-8 in the arena */
    struct evtx_part *value, **tail;
};
struct evtx_element {
    cf_str name;
    struct evtx_attr *attrs, **attrs_tail;
    struct evtx_part *parts, **parts_tail;
};

/* UTF-16LE to UTF-8 in the arena; unpaired surrogates become U+FFFD; stops at a NUL. .p NULL: no memory. */
cf_str evtx_utf8(struct cf_arena *a, cf_str utf16);
/* One value as JSON (number, bool, string, array) or, with in_text, as the characters of it without quotes. */
void evtx_value_json(struct cf_buf *out, struct cf_arena *a, unsigned type, cf_str raw);
void evtx_value_text(struct cf_buf *out, struct cf_arena *a, unsigned type, cf_str raw);
void evtx_element_json(struct cf_buf *out, struct cf_arena *a, const struct evtx_element *root);

#endif
