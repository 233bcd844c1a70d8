/* SPDX-License-Identifier: Apache-2.0 */
#include "directory/patch.h"

#include <stdlib.h>

#define COLS_MAX 40

int cf_patch(struct cf_tx *tx, const char *table, cf_str id, const struct cf_patch_col *cols, size_t n, const json_t *object, bool *ret_any, struct cf_error *reterr)
{
    struct cf_dbval v[COLS_MAX + 2];
    char *made[COLS_MAX] = {NULL};
    size_t k = 0, n_made = 0;
    struct cf_buf sql;
    int64_t changed = 0;
    int r = 0;

    cf_buf_init(&sql, 16384);
    cf_buf_printf(&sql, "UPDATE %s SET ", table);
    for (size_t i = 0; i < n && k < COLS_MAX; i++) {
        const json_t *j = json_object_get(object, cols[i].key);

        if (!j)
            continue;
        cf_buf_printf(&sql, "%s = ?, ", cols[i].key);
        if (json_is_null(j))
            v[k++] = CF_NUL;
        else if (cols[i].kind == 't')
            v[k++] = CF_Z(json_string_value(j));
        else if (cols[i].kind == 'b')
            v[k++] = CF_I(json_is_true(j));
        else if (cols[i].kind == 'i')
            v[k++] = CF_I(json_integer_value(j));
        else {
            made[n_made] = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
            v[k++] = CF_Z(made[n_made++]);
        }
    }
    *ret_any = k > 0;
    if (k) {
        cf_buf_z(&sql, "updated_us = ? WHERE id = ?");
        v[k++] = CF_I(cf_now_us());
        v[k++] = CF_S(id);
        r = cf_tx_execv(tx, cf_buf_cstr(&sql), v, k, &changed, reterr);
        if (r == 0 && changed == 0)
            r = cf_error_set(reterr, CF_ENOENT, "there is no such entry");
    }
    for (size_t i = 0; i < n_made; i++)
        free(made[i]);
    cf_buf_release(&sql);
    return r;
}
