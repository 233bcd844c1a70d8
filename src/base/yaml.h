/* SPDX-License-Identifier: Apache-2.0
 * YAML as a tree with line numbers, on libyaml events. Limits: 8 MiB input, depth 64, 200,000 nodes; aliases are
 * expanded within the node limit (a "YAML bomb" is refused), recursive aliases are refused. */
#ifndef CF_BASE_YAML_H
#define CF_BASE_YAML_H

#include "base/arena.h"
#include "base/error.h"

enum cf_ykind { CF_Y_SCALAR, CF_Y_SEQ, CF_Y_MAP };
struct cf_ynode {
    enum cf_ykind kind;
    uint32_t line;     /* 1-based */
    bool plain;        /* scalar: written without quotes, so null/true/12 keep their YAML meaning */
    cf_str text;       /* scalar; NUL-terminated in memory */
    cf_str key;        /* when a map's child: the key */
    bool key_plain;
    uint32_t n;        /* children of seq/map */
    struct cf_ynode *child, *next; /* first child; next sibling */
};
struct cf_ydoc {
    struct cf_ynode *root; /* NULL for an empty document */
    struct cf_ydoc *next;  /* multi-document files */
};

/* Nodes live in arena. Duplicate keys in one map are refused. */
int cf_yaml_parse(struct cf_arena *a, cf_str text, struct cf_ydoc **ret_first, struct cf_error *reterr);
int cf_yaml_load(struct cf_arena *a, const char *path, struct cf_ydoc **ret_first, struct cf_error *reterr);
struct cf_ynode *cf_ymap_get(const struct cf_ynode *map, const char *key); /* NULL: not a map or no such key */
cf_str cf_ymap_str(const struct cf_ynode *map, const char *key);           /* scalar text, or CF_STR_NONE */
bool cf_ynode_is_null(const struct cf_ynode *n);
bool cf_ynode_bool(const struct cf_ynode *n, bool *ret);
bool cf_ynode_i64(const struct cf_ynode *n, int64_t *ret);

#endif
