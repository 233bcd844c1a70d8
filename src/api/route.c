/* SPDX-License-Identifier: Apache-2.0
 * The route table and the path router. Rows are added at start; then the table is read-only. */
#include "api/route.h"

#include <stdlib.h>

#include "api/router.h"

#define ROUTES_MAX 1024

static struct {
    const struct cf_route *row[ROUTES_MAX];
    json_t *schema[ROUTES_MAX]; /* parsed row->request, NULL when there is none */
    size_t n;
} table;

void cf_routes_add(const struct cf_route *rows, size_t n)
{
    for (size_t i = 0; i < n && table.n < ROUTES_MAX; i++) {
        json_error_t je;

        table.schema[table.n] = NULL;
        if (rows[i].request) {
            table.schema[table.n] = json_loads(rows[i].request, 0, &je);
            if (!table.schema[table.n]) {
                /* a mistake of ours, found by the first start: never serve an unchecked route */
                cf_log_error("api", "request schema of a route is not JSON", "path=%s why=\"%s\"", rows[i].path, je.text);
                abort();
            }
        }
        table.row[table.n++] = &rows[i];
    }
}

size_t cf_routes_count(void) { return table.n; }
const struct cf_route *cf_routes_get(size_t i) { return i < table.n ? table.row[i] : NULL; }
json_t *cf_routes_schema(size_t i) { return i < table.n ? table.schema[i] : NULL; }

const char *cf_method_name(enum cf_method m)
{
    static const char *const names[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    return names[m];
}

bool cf_method_parse(cf_str s, enum cf_method *ret)
{
    for (enum cf_method m = CF_GET; m <= CF_DELETE; m++) {
        if (cf_str_eqz(s, cf_method_name(m))) {
            *ret = m;
            return true;
        }
    }
    if (cf_str_eqz(s, "HEAD")) {
        *ret = CF_GET;
        return true;
    }
    return false;
}

bool cf_path_match(const char *pattern, cf_str path, struct cf_path_params *ret, unsigned *ret_literals)
{
    cf_str pat = cf_str_c(pattern);
    unsigned literals = 0;

    ret->n = 0;
    if (path.n == 0 || path.p[0] != '/')
        return false;
    while (pat.n && path.n) {
        cf_str ph, sh;

        if (pat.p[0] != '/' || path.p[0] != '/')
            return false;
        pat = cf_str_sub(pat, 1, pat.n);
        path = cf_str_sub(path, 1, path.n);
        const char *pe = pat.n ? memchr(pat.p, '/', pat.n) : NULL;
        const char *se = path.n ? memchr(path.p, '/', path.n) : NULL;
        ph = cf_str_n(pat.p, pe ? (size_t)(pe - pat.p) : pat.n);
        sh = cf_str_n(path.p, se ? (size_t)(se - path.p) : path.n);
        if (ph.n > 2 && ph.p[0] == '{') {
            /* "{id}" or "{id}:verb" */
            const char *close = memchr(ph.p, '}', ph.n);
            size_t tail_n = close ? ph.n - (size_t)(close - ph.p) - 1 : 0;
            cf_str tail;

            if (!close || sh.n <= tail_n || ret->n == CF_PATH_PARAMS)
                return false;
            tail = cf_str_n(close + 1, tail_n);
            if (!cf_str_eq(tail, cf_str_n(sh.p + sh.n - tail_n, tail_n)))
                return false;
            literals += tail_n ? 1 : 0;
            ret->name[ret->n] = cf_str_n(ph.p + 1, (size_t)(close - ph.p) - 1);
            ret->value[ret->n++] = cf_str_n(sh.p, sh.n - tail_n);
        } else {
            if (!cf_str_eq(ph, sh))
                return false;
            literals += 2;
        }
        pat = cf_str_sub(pat, ph.n, pat.n);
        path = cf_str_sub(path, sh.n, path.n);
    }
    *ret_literals = literals;
    return pat.n == 0 && path.n == 0;
}

const struct cf_route *cf_route_find(enum cf_method m, cf_str path, struct cf_path_params *ret, size_t *ret_index, unsigned *ret_methods)
{
    const struct cf_route *best = NULL;
    unsigned best_literals = 0, literals;
    struct cf_path_params p;

    *ret_methods = 0;
    for (size_t i = 0; i < table.n; i++) {
        const struct cf_route *r = table.row[i];

        if (!cf_path_match(r->path, path, &p, &literals))
            continue;
        *ret_methods |= 1u << r->method;
        if (r->method == m && (!best || literals > best_literals)) {
            best = r;
            best_literals = literals;
            *ret = p;
            *ret_index = i;
        }
    }
    return best;
}
