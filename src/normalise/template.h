/* SPDX-License-Identifier: Apache-2.0
 * Templates: text with typed holes, many of them in one prefix tree, so that a line is compared with all of a source's
 * templates in one walk.
 *
 *   "Failed password for invalid user %user.name:word% from %source.ip:ip% port %source.port:int% ssh2"
 *
 *   root ─"Failed "─┬─"password for "─┬─"invalid user "─ <word> ─" from "─ <ip> ─" port "─ <int> ─" ssh2" ●
 *                   │                 └─ <word> ─" from "─ ...
 *                   └─"publickey for "─ ...
 * Literal text is tried before holes, holes in the order the source wrote them. A hole of type until tries each place
 * where the text behind it starts; the number of steps a line may take is bounded. */
#ifndef CF_NORMALISE_TEMPLATE_H
#define CF_NORMALISE_TEMPLATE_H

#include "base/base.h"

#define CF_TPL_HOLES_MAX 40

enum cf_hole_is { CF_HOLE_ANY, CF_HOLE_IP4, CF_HOLE_INT }; /* what its value is for certain */
struct cf_tpl_hole {
    uint32_t name; /* what the source calls it: index given by name_of at compile time */
    uint32_t is;   /* enum cf_hole_is */
    cf_str val;
};
struct cf_tpl;
typedef int (*cf_tpl_name_fn)(void *ctx, cf_str name, uint32_t *ret, struct cf_error *reterr);

struct cf_tpl *cf_tpl_new(struct cf_arena *a); /* lives in a; NULL: no memory */
/* Adds one template that gives `id` when it matches. Names are turned into numbers by name_of (not called for "-"). */
int cf_tpl_add(struct cf_tpl *t, cf_str pattern, uint32_t id, cf_tpl_name_fn name_of, void *ctx, struct cf_error *reterr);
size_t cf_tpl_count(const struct cf_tpl *t);
/* Id of the template that matches all of text, or -1. Read-only, any thread. */
int64_t cf_tpl_match(const struct cf_tpl *t, cf_str text, struct cf_tpl_hole holes[CF_TPL_HOLES_MAX], size_t *ret_n);
/* "int, ip, word, ..." for messages and the manual */
const char *cf_tpl_types(void);

#endif
