/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/bulk_keys.h"

#include <pthread.h>
#include <stdio.h>

#include "base/hash.h"
#include "pipeline/pipeline.h"

const struct cf_migration cf_pipeline_migrations[] = {
    {650, "bulk_key",
     "CREATE TABLE bulk_key (id TEXT PRIMARY KEY, run TEXT NOT NULL, accepted BIGINT, rejected BIGINT, errors TEXT, created_us BIGINT NOT NULL);\n"
     "CREATE INDEX bulk_key_created ON bulk_key (created_us)"},
};
const size_t cf_pipeline_n_migrations = sizeof cf_pipeline_migrations / sizeof *cf_pipeline_migrations;

/* Names this run of the program: a row of another run that has no answer belongs to nobody. */
static char run_id[37];
static pthread_once_t run_once = PTHREAD_ONCE_INIT;
static void name_run(void) { cf_uuid7(run_id); }

/* The row of k->id. 1: an answer is there, 0: the row is now ours, else an error. */
static int take(struct cf_tx *tx, struct bulk_key *k, int64_t now_us, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    bool running = false, there = false;
    cf_str text;
    int r = cf_tx_query(tx, "SELECT run, accepted, rejected, errors, created_us FROM bulk_key WHERE id = ?", &st, reterr, CF_Z(k->id));

    if (r == 0)
        r = cf_stmt_next(st, reterr);
    if (r == 1 && cf_stmt_i64(st, 4) > now_us - CF_BULK_KEY_KEEP_US) {
        there = !cf_stmt_null(st, 1);
        running = !there && cf_str_eqz(cf_stmt_str(st, 0), run_id);
        k->accepted = (uint64_t)cf_stmt_i64(st, 1);
        k->rejected = (uint64_t)cf_stmt_i64(st, 2);
        text = cf_stmt_str(st, 3);
        k->errors = text.p ? json_loadb(text.p, text.n, 0, NULL) : NULL;
    }
    cf_stmt_free(st);
    if (r < 0)
        return r;
    if (there)
        return 1;
    if (running)
        return cf_error_set(reterr, CF_ECONFLICT, "a request with this Idempotency-Key is being answered now");
    return cf_tx_exec(tx,
                      "INSERT INTO bulk_key (id, run, created_us) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET run = excluded.run, accepted = NULL,"
                      " rejected = NULL, errors = NULL, created_us = excluded.created_us",
                      reterr, CF_Z(k->id), CF_Z(run_id), CF_I(now_us));
}

int bulk_key_begin(struct cf_db *db, cf_str user, cf_str key, int64_t now_us, struct bulk_key *ret, struct cf_error *reterr)
{
    const cf_str parts[] = {user, CF_STR("\n"), key};
    struct cf_digest d;
    struct cf_tx *tx = NULL;
    int r;

    *ret = (struct bulk_key){0};
    (void)pthread_once(&run_once, name_run);
    if (key.n > CF_BULK_KEY_MAX)
        return cf_error_set(reterr, CF_EINVAL, "Idempotency-Key is longer than %d characters", CF_BULK_KEY_MAX);
    if (!cf_sm3(&d, parts, 3))
        return cf_error_set(reterr, CF_ENOMEM, "Idempotency-Key");
    cf_hex(d.b, sizeof d.b, ret->id);
    r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = take(tx, ret, now_us, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    ret->repeated = r == 1;
    cf_tx_rollback(&tx);
    if (r < 0)
        ret->id[0] = '\0'; /* not ours to drop */
    return r < 0 ? r : 0;
}

static int in_tx(struct cf_db *db, const char *sql, const struct cf_dbval *v, size_t n, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_execv(tx, sql, v, n, NULL, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

int bulk_key_answer(struct cf_db *db, const struct bulk_key *k, uint64_t accepted, uint64_t rejected, const json_t *errors, struct cf_error *reterr)
{
    char *text = json_dumps(errors, JSON_COMPACT);
    const struct cf_dbval v[] = {CF_I(accepted), CF_I(rejected), CF_Z(text), CF_Z(k->id)};
    int r = text ? in_tx(db, "UPDATE bulk_key SET accepted = ?, rejected = ?, errors = ? WHERE id = ?", v, 4, reterr)
                 : cf_error_set(reterr, CF_ENOMEM, "Idempotency-Key");

    free(text);
    return r;
}

void bulk_key_drop(struct cf_db *db, const struct bulk_key *k)
{
    const struct cf_dbval v[] = {CF_Z(k->id), CF_Z(run_id)};
    struct cf_error err = {0};

    if (in_tx(db, "DELETE FROM bulk_key WHERE id = ? AND run = ? AND accepted IS NULL", v, 2, &err) < 0)
        cf_log_warn("pipeline", "Idempotency-Key not given back", "reason=\"%s\"", err.msg);
}

int bulk_keys_forget(struct cf_db *db, int64_t now_us, struct cf_error *reterr)
{
    const struct cf_dbval v[] = {CF_I(now_us - CF_BULK_KEY_KEEP_US)};

    return in_tx(db, "DELETE FROM bulk_key WHERE created_us <= ?", v, 1, reterr);
}
