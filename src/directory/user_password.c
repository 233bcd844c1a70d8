/* SPDX-License-Identifier: Apache-2.0
 * Setting a password: policy, history, hash. */
#include <stdio.h>

#include "directory/directory_int.h"

/* True when one of the last passwords is this one. */
static int used_before(struct cf_directory *d, struct cf_tx *tx, cf_str user_id, cf_str password, bool *ret, struct cf_error *reterr)
{
    char hashes[10][CF_PASSWORD_HASH_MAX];
    struct cf_stmt *st = NULL;
    size_t n = 0;
    int r = cf_tx_query(tx, "SELECT hash FROM password_history WHERE user_id = ? ORDER BY time_us DESC LIMIT ?", &st, reterr, CF_S(user_id),
                        CF_I(d->o.password_history < 10 ? d->o.password_history : 10));

    *ret = false;
    while (r == 0 && n < 10 && cf_stmt_next(st, reterr) == 1)
        (void)snprintf(hashes[n++], sizeof hashes[0], "%.*s", CF_ARG(cf_stmt_str(st, 0)));
    cf_stmt_free(st);
    for (size_t i = 0; r == 0 && i < n && !*ret; i++)
        *ret = cf_password_verify(password, hashes[i]);
    return r;
}

int cf_user_set_password(struct cf_directory *d, struct cf_tx *tx, cf_str user_id, cf_str user_name, cf_str password, bool must_change, bool check, struct cf_error *reterr)
{
    char hash[CF_PASSWORD_HASH_MAX];
    bool used = false;
    int64_t now = cf_now_us();
    int r = 0;

    if (check) {
        r = cf_password_policy(password, user_name, (size_t)d->o.password_min, cf_str_c(d->weak), reterr);
        if (r == 0)
            r = used_before(d, tx, user_id, password, &used, reterr);
        if (r == 0 && used)
            r = cf_error_set(reterr, CF_EINVAL, "this password was used before: choose another one");
    }
    if (r == 0)
        r = cf_password_hash(password, (uint32_t)d->o.argon2_memory_kib, (uint32_t)d->o.argon2_passes, hash, reterr);
    if (r == 0)
        r = cf_tx_exec(tx,
                       "UPDATE app_user SET password_hash = ?, password_changed_us = ?, must_change_password = ?, failures = 0, locked_until_us = 0,"
                       " updated_us = ? WHERE id = ?",
                       reterr, CF_Z(hash), CF_I(now), CF_I(must_change), CF_I(now), CF_S(user_id));
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO password_history (user_id, hash, time_us) VALUES (?,?,?)", reterr, CF_S(user_id), CF_Z(hash), CF_I(now));
    return r;
}
