/* SPDX-License-Identifier: Apache-2.0
 * Lists, the same everywhere: ?limit=&cursor=&sort=&filter= -> {"items":[...],"next":...,"total":N}, always inside the
 * caller's scope. A module describes its columns; names outside the description are refused, so no text becomes SQL.
 *
 * filter: words separated by spaces, all must hold. key:value, key:a|b (any of), key:"two words", key>=v key<=v key>v key<v,
 * -key:value (not), key:* (present), text* and *text (wildcard in texts); free words search the columns marked searchable (case folded, substring). sort: "-time" or "time".
 * total is counted for the first page and kept in the cursor: it stays what it was while one pages. */
#ifndef CF_API_LIST_H
#define CF_API_LIST_H

#include "api/route.h"

enum cf_lcol_type { CF_LC_TEXT, CF_LC_I64, CF_LC_TIME /* us -> RFC 3339 */, CF_LC_BOOL, CF_LC_JSON /* stored text is JSON */, CF_LC_F64 };
#define CF_LC_SORT 1u
#define CF_LC_FILTER 2u
#define CF_LC_SEARCH 4u
#define CF_LC_HIDDEN 8u /* for filter and sort only */
#define CF_LC_NOTNULL 16u /* never NULL: sorting may use the column's index (otherwise NULL sorts as the smallest value) */
struct cf_lcol {
    const char *name; /* in JSON, filter and sort; dots nest in JSON ("org.name") */
    const char *sql;  /* expression */
    enum cf_lcol_type type;
    unsigned flags;
};
struct cf_list {
    const char *from;         /* "alert a LEFT JOIN organisation o ON o.id = a.org_id" */
    const char *id_sql;       /* unique tie-breaker, "a.id"; also the item's "id" when a column named id exists */
    const char *scope_col;    /* org id column for cf_scope_sql, NULL: rows are not scoped by organisation */
    const char *where;        /* fixed further condition or NULL; its `?` values follow in where_v */
    const struct cf_dbval *where_v;
    size_t n_where_v;
    const char *default_sort; /* "-last_seen" */
    const struct cf_lcol *cols;
    size_t n_cols;
    /* optional: change or complete an item before it goes out */
    int (*finish)(struct cf_req *req, struct cf_tx *tx, json_t *item, struct cf_error *reterr);
};
/* Runs the list for this request and sets the reply. */
int cf_list_reply(struct cf_req *req, struct cf_db *db, const struct cf_list *l, struct cf_error *reterr);
/* One row by id with the same columns and scope: new reference, or NULL with CF_ENOENT (outside the scope looks the same). */
json_t *cf_list_one(struct cf_req *req, struct cf_db *db, const struct cf_list *l, cf_str id, struct cf_error *reterr);
/* The same as the reply of the request. */
int cf_list_reply_one(struct cf_req *req, struct cf_db *db, const struct cf_list *l, int status, cf_str id, struct cf_error *reterr);


/* ---- the filter language by itself (list_filter.c) ---- */
enum cf_fop { CF_FO_EQ, CF_FO_GE, CF_FO_LE, CF_FO_GT, CF_FO_LT, CF_FO_WORD };
#define CF_FILTER_TERMS 32
#define CF_FILTER_VALUES 64
struct cf_filter_term {
    cf_str key;       /* empty for CF_FO_WORD */
    enum cf_fop op;
    bool negated;
    size_t n;         /* values, any of which may hold */
    cf_str v[CF_FILTER_VALUES];
    bool quoted[CF_FILTER_VALUES]; /* no wildcards inside */
};
/* Splits filter text. Terms live in arena; texts are views of it. CF_ESYNTAX with position in reterr->pos. */
int cf_filter_parse(struct cf_arena *a, cf_str text, struct cf_filter_term **ret, size_t *ret_n, struct cf_error *reterr);

#endif
