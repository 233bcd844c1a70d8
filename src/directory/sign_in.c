/* SPDX-License-Identifier: Apache-2.0
 * Sign-in: password, one-time code, lockout of accounts and addresses, new sessions. */
#include <stdio.h>

#include "directory/directory_int.h"

#define SESSIONS_PER_USER 20

struct account {
    char id[40], hash[CF_PASSWORD_HASH_MAX], totp[160];
    int64_t failures, locked_until_us, totp_last;
    bool found, active;
};

/* Failures by key within the window; add: one more. Unknown names and addresses share the table. */
static int64_t tries(struct cf_directory *d, uint64_t key, int add)
{
    size_t i = key % CF_ADDRESS_SLOTS;
    int64_t now = cf_mono_us(), n;

    (void)pthread_mutex_lock(&d->lock);
    if (d->tries[i].key != key || now - d->tries[i].since_us > d->o.address_us) {
        if (add) {
            d->tries[i].key = key;
            d->tries[i].since_us = now;
        }
        d->tries[i].n = d->tries[i].key == key ? 0 : d->tries[i].n;
    }
    n = d->tries[i].key == key ? (d->tries[i].n += add) : 0;
    (void)pthread_mutex_unlock(&d->lock);
    return n;
}

static uint64_t address_key(cf_str peer) { return cf_hash64_seed(peer, 1) | 1u; }
static uint64_t name_key(cf_str name) { return cf_hash64_seed(name, 2) | 1u; }

static void put(char *dst, size_t cap, cf_str s) { (void)snprintf(dst, cap, "%.*s", CF_ARG(s)); }

static int load_account(struct cf_directory *d, cf_str name, struct account *ret, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int r = cf_tx_begin(d->db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT id, password_hash, totp_secret, failures, locked_until_us, totp_last, active FROM app_user WHERE name = ?", &st, reterr,
                        CF_S(name));
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        ret->found = true;
        put(ret->id, sizeof ret->id, cf_stmt_str(st, 0));
        put(ret->hash, sizeof ret->hash, cf_stmt_str(st, 1));
        put(ret->totp, sizeof ret->totp, cf_stmt_str(st, 2));
        ret->failures = cf_stmt_i64(st, 3);
        ret->locked_until_us = cf_stmt_i64(st, 4);
        ret->totp_last = cf_stmt_i64(st, 5);
        ret->active = cf_stmt_i64(st, 6) != 0;
        r = 0;
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return r;
}

static int fail(struct cf_directory *d, const struct cf_sign_in *in, const struct account *a, struct cf_signed_in *ret, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int64_t now = cf_now_us();
    int r;

    (void)tries(d, address_key(in->peer), 1);
    if (!a->found) {
        (void)tries(d, name_key(in->user), 1);
        return 0;
    }
    r = cf_tx_begin(d->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx,
                       "UPDATE app_user SET locked_until_us = CASE WHEN failures + 1 >= ? THEN CAST(? AS BIGINT) ELSE locked_until_us END,"
                       " failures = CASE WHEN failures + 1 >= ? THEN 0 ELSE failures + 1 END WHERE id = ?",
                       reterr, CF_I(d->o.lock_failures), CF_I(now + d->o.lock_us), CF_I(d->o.lock_failures), CF_Z(a->id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0 && a->failures + 1 >= d->o.lock_failures) {
        ret->result = CF_SIGN_IN_LOCKED;
        ret->retry_after_us = d->o.lock_us;
    }
    return r;
}

static int new_session(struct cf_directory *d, const struct cf_sign_in *in, const struct account *a, uint64_t step, struct cf_signed_in *ret, struct cf_error *reterr)
{
    uint8_t secret[32];
    struct cf_digest dg;
    char digest[65], id[37];
    struct cf_tx *tx = NULL;
    int64_t now = cf_now_us();
    int r;

    if (!cf_random(secret, sizeof secret))
        return cf_error_set(reterr, CF_EIO, "the kernel gave no random bytes");
    cf_hex(secret, 32, ret->cookie);
    (void)cf_sha256(&dg, &(cf_str){ret->cookie, 64}, 1);
    cf_hex(dg.b, 32, digest);
    cf_uuid7(id);
    r = cf_tx_begin(d->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO user_session (id, digest, user_id, peer, agent, created_us, last_seen_us) VALUES (?,?,?,?,?,?,?)", reterr, CF_Z(id),
                       CF_Z(digest), CF_Z(a->id), CF_S(in->peer), CF_S(cf_str_sub(in->agent, 0, 200)), CF_I(now), CF_I(now));
    if (r == 0)
        r = cf_tx_exec(tx,
                       "DELETE FROM user_session WHERE user_id = ? AND id NOT IN (SELECT id FROM user_session WHERE user_id = ? ORDER BY created_us DESC LIMIT ?)",
                       reterr, CF_Z(a->id), CF_Z(a->id), CF_I(SESSIONS_PER_USER));
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE app_user SET failures = 0, locked_until_us = 0, totp_last = ?, last_seen_us = ? WHERE id = ?", reterr,
                       CF_I(step ? (int64_t)step : a->totp_last), CF_I(now), CF_Z(a->id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0)
        ret->result = CF_SIGN_IN_OK;
    return r;
}

static int recovery(struct cf_directory *d, cf_str user_id, cf_str code, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int used = 0, r = cf_tx_begin(d->db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = used = cf_recovery_use(tx, user_id, code, reterr);
    if (r == 1)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r < 0 ? r : used;
}

int cf_directory_sign_in(struct cf_directory *d, const struct cf_sign_in *in, struct cf_signed_in *ret, struct cf_error *reterr)
{
    struct account a = {.found = false};
    uint8_t secret[CF_TOTP_SECRET];
    uint64_t step = 0;
    bool right;
    int r;

    *ret = (struct cf_signed_in){.result = CF_SIGN_IN_WRONG};
    if (tries(d, address_key(in->peer), 0) >= d->o.address_failures && !cf_str_eqz(in->peer, "local")) {
        ret->result = CF_SIGN_IN_ADDRESS;
        ret->retry_after_us = d->o.address_us;
        return 0;
    }
    r = load_account(d, in->user, &a, reterr);
    if (r < 0)
        return r;
    (void)snprintf(ret->user_id, sizeof ret->user_id, "%s", a.id);
    right = cf_password_verify(in->password, a.found && a.hash[0] ? a.hash : d->dummy_hash) && a.found && a.hash[0] && a.active;
    if ((a.found && a.locked_until_us > cf_now_us()) || (!a.found && tries(d, name_key(in->user), 0) >= d->o.lock_failures)) {
        ret->result = CF_SIGN_IN_LOCKED;
        ret->retry_after_us = a.found ? a.locked_until_us - cf_now_us() : d->o.lock_us;
        return 0;
    }
    if (!right)
        return fail(d, in, &a, ret, reterr);
    if (a.totp[0]) {
        if (!cf_secret_open(&d->key, cf_str_c(a.totp), secret, sizeof secret))
            return cf_error_set(reterr, CF_ECORRUPT, "the one-time code secret of this account cannot be read: the key file is another one");
        ret->result = CF_SIGN_IN_OTP;
        if (in->otp.n == 0)
            return 0;
        right = cf_totp_check(secret, sizeof secret, in->otp, cf_now_us(), (uint64_t)a.totp_last, &step);
        explicit_bzero(secret, sizeof secret);
        if (!right && in->otp.n > 6) {
            r = recovery(d, cf_str_c(a.id), in->otp, reterr);
            if (r < 0)
                return r;
            right = ret->recovery = r == 1;
        }
        if (!right)
            return fail(d, in, &a, ret, reterr);
    }
    return new_session(d, in, &a, step, ret, reterr);
}

int cf_directory_sign_out(struct cf_directory *d, cf_str session_id, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(d->db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM user_session WHERE id = ?", reterr, CF_S(session_id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    cf_directory_changed(d);
    return r;
}

int cf_directory_end_sessions(struct cf_directory *d, struct cf_tx *tx, cf_str user_id, cf_str except_session, struct cf_error *reterr)
{
    (void)d;
    return cf_tx_exec(tx, "DELETE FROM user_session WHERE user_id = ? AND id <> ?", reterr, CF_S(user_id),
                      CF_S(except_session.p ? except_session : CF_STR("")));
}
