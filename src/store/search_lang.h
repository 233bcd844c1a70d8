/* SPDX-License-Identifier: Apache-2.0
 * The search language: what people type into the event search box.
 *
 *   query   = or
 *   or      = and *( "OR" and )
 *   and     = not *( ["AND"] not )
 *   not     = ["NOT" | "!" | "-"] primary
 *   primary = "(" or ")" | "*" | word | "phrase" | field op value
 *   op      = ":"  ">="  "<="  ">"  "<"  "="  "!="
 *   value   = word | "phrase" | "[" low "TO" high "]" | "{" low "TO" high "}" | "(" value *( ["OR" | "AND"] value ) ")" | ">=" word ...
 *   exists:field, field:*        the field has a value
 *   \ takes away the meaning of the next character; * and ? are wildcards outside quotes
 *
 * Free words are looked for in the raw record, letter case does not matter. The tree lives in the caller's arena. */
#ifndef CF_STORE_SEARCH_LANG_H
#define CF_STORE_SEARCH_LANG_H

#include "base/base.h"
#include "store/event_store.h"

enum cf_search_kind { CF_S_ALL, CF_S_AND, CF_S_OR, CF_S_NOT, CF_S_WORD, CF_S_FIELD, CF_S_EXISTS };
enum cf_search_op { CF_OP_EQ, CF_OP_LT, CF_OP_LE, CF_OP_GT, CF_OP_GE, CF_OP_RANGE };

struct cf_search_value {
    cf_str text;    /* without quotes and backslashes */
    cf_str like;    /* pattern for LIKE: % and _ stand for * and ?, the text's own are escaped */
    bool wild;      /* holds * or ? */
    bool quoted;
    bool open;      /* end of a range left open: * */
    size_t pos;     /* byte in the query */
};
struct cf_search_node {
    enum cf_search_kind kind;
    enum cf_search_op op;
    cf_str field;                    /* FIELD, EXISTS */
    struct cf_search_value a, b;     /* WORD, FIELD: a; RANGE: a..b */
    bool a_open, b_open;             /* RANGE: end not included */
    size_t pos;
    struct cf_search_node *child, *next; /* AND, OR: two or more; NOT: one */
};
#define CF_SEARCH_QUERY_MAX 16384
#define CF_SEARCH_NODES_MAX 2000
#define CF_SEARCH_DEPTH_MAX 64

/* An empty query means everything. CF_ESYNTAX with reterr->pos = byte in the query, CF_ELIMIT. */
int cf_search_parse(struct cf_arena *a, cf_str query, struct cf_search_node **ret, struct cf_error *reterr);
/* The tree as fully parenthesised text, for tests and messages. */
void cf_search_print(const struct cf_search_node *n, struct cf_buf *out);

/* The tree as a condition on the event table with {p0:Type} parameters. */
struct cf_search_sql {
    struct cf_buf cond;
    struct cf_arena *arena;
    struct cf_query_param *param;
    size_t n_param, cap;
    int64_t now_us;
};
/* CF_ESYNTAX with reterr->pos where a value does not fit its field. */
int cf_search_to_sql(const struct cf_search_node *n, struct cf_search_sql *s, struct cf_error *reterr);
/* Adds a parameter; returns its number, or -1 without memory. */
int cf_search_param(struct cf_search_sql *s, cf_str value);

#endif
