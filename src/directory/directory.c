/* SPDX-License-Identifier: Apache-2.0
 * Permissions and scopes: pure questions about a principal. */
#include "directory/directory.h"

bool cf_principal_may(const struct cf_principal *p, cf_str permission)
{
    const char *dot = memchr(permission.p, '.', permission.n);
    cf_str module = cf_str_n(permission.p, dot ? (size_t)(dot - permission.p) : permission.n);

    for (size_t i = 0; i < p->n_perms; i++) {
        cf_str have = p->perms[i];

        if (cf_str_eqz(have, "*") || cf_str_eq(have, permission))
            return true;
        if (have.n == module.n + 2 && cf_str_starts(have, module) && have.p[module.n] == '.' && have.p[module.n + 1] == '*')
            return true;
    }
    return false;
}

/* GB/T 2260: 330100 is the city, so its rows start with "3301"; .n 0 when there is no code. */
static cf_str region_prefix(cf_str code)
{
    while (code.n >= 2 && code.p[code.n - 1] == '0' && code.p[code.n - 2] == '0' && code.n > 2)
        code.n -= 2;
    return code;
}

/* '%', '_' and '\' have a meaning in LIKE; ids and codes never hold them, hostile ones must not widen the scope. */
static cf_str like_prefix(struct cf_arena *a, cf_str prefix)
{
    for (size_t i = 0; i < prefix.n; i++) {
        if (prefix.p[i] == '%' || prefix.p[i] == '_' || prefix.p[i] == '\\')
            return CF_STR("\n"); /* matches nothing */
    }
    return cf_arena_printf(a, "%.*s%%", CF_ARG(prefix));
}

void cf_scope_sql(const struct cf_principal *p, const char *col, struct cf_buf *sql, struct cf_dbval *v, size_t *n_v, struct cf_arena *a)
{
    cf_str prefix = region_prefix(p->region_code);

    *n_v = 0;
    switch (p->scope) {
    case CF_SCOPE_ALL:
        cf_buf_z(sql, "1=1");
        return;
    case CF_SCOPE_REGION:
        if (prefix.n == 0)
            break; /* no region set: own unit only */
        cf_buf_printf(sql, "(%s = ? OR %s IN (SELECT id FROM organisation WHERE region_code LIKE ?))", col, col);
        v[(*n_v)++] = CF_S(p->org_id);
        v[(*n_v)++] = CF_S(like_prefix(a, prefix));
        return;
    case CF_SCOPE_SUBTREE:
        if (p->org_path.n < 3)
            break;
        cf_buf_printf(sql, "%s IN (SELECT id FROM organisation WHERE path LIKE ?)", col);
        v[(*n_v)++] = CF_S(like_prefix(a, p->org_path));
        return;
    case CF_SCOPE_ORG:
    case CF_SCOPE_SELF:
        break;
    }
    cf_buf_printf(sql, "%s = ?", col);
    v[(*n_v)++] = CF_S(p->org_id);
}

bool cf_scope_has_org(struct cf_tx *tx, const struct cf_principal *p, cf_str org_id)
{
    struct cf_arena a;
    struct cf_buf sql;
    struct cf_dbval v[3];
    struct cf_stmt *st = NULL;
    struct cf_error err;
    size_t n;
    bool found = false;

    if (p->scope == CF_SCOPE_ALL)
        return true;
    if (!org_id.p || org_id.n == 0)
        return false;
    cf_arena_init(&a, 1024, 65536);
    cf_buf_init(&sql, 4096);
    cf_buf_z(&sql, "SELECT 1 FROM organisation o WHERE ");
    cf_scope_sql(p, "o.id", &sql, v, &n, &a);
    cf_buf_z(&sql, " AND o.id = ?");
    v[n++] = CF_S(org_id);
    if (!sql.failed && cf_tx_queryv(tx, cf_buf_cstr(&sql), v, n, &st, &err) == 0)
        found = cf_stmt_next(st, &err) == 1;
    cf_stmt_free(st);
    cf_buf_release(&sql);
    cf_arena_release(&a);
    return found;
}

int cf_scope_orgs(struct cf_db *db, const struct cf_principal *p, struct cf_arena *a, bool *ret_all, cf_str **ret, size_t *ret_n, struct cf_error *reterr)
{
    struct cf_buf sql;
    struct cf_dbval v[2];
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    size_t n, cap = 64, k = 0;
    cf_str *orgs;
    int r;

    *ret_all = p->scope == CF_SCOPE_ALL;
    *ret = NULL;
    *ret_n = 0;
    if (*ret_all)
        return 0;
    cf_buf_init(&sql, 4096);
    cf_buf_z(&sql, "SELECT o.id FROM organisation o WHERE ");
    cf_scope_sql(p, "o.id", &sql, v, &n, a);
    orgs = CF_NEW_N(a, cf_str, cap);
    r = orgs ? cf_tx_begin(db, CF_TX_READ, &tx, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory for the scope");
    if (r == 0)
        r = cf_tx_queryv(tx, cf_buf_cstr(&sql), v, n, &st, reterr);
    while (r == 0 && cf_stmt_next(st, reterr) == 1) {
        if (k == cap) {
            cf_str *more = CF_NEW_N(a, cf_str, cap * 2);

            if (!more) {
                r = cf_error_set(reterr, CF_ENOMEM, "no memory for the scope");
                break;
            }
            memcpy(more, orgs, cap * sizeof *orgs);
            orgs = more;
            cap *= 2;
        }
        orgs[k++] = cf_arena_copy(a, cf_stmt_str(st, 0));
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    cf_buf_release(&sql);
    if (r == 0) {
        *ret = orgs;
        *ret_n = k;
    }
    return r;
}
