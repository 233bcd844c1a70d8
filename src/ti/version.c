/* SPDX-License-Identifier: Apache-2.0
 * The dates by which others ask what is new (TAXII's date added). Each change of what is given takes the next date of one clock,
 * inside the transaction that makes the change: writers take turns, so a date that can be seen has none before it still to come.
 * An import's dates are hidden until it is complete, and all that come after them (ti_horizon).
 *
 *   given ──changed──► a new date      given ──withdrawn, ended by hand──► its id into ti_ended, with a date: revoked for good
 *                                      └─ let in again: under a new id (STIX 2.1: revoking is permanent) */
#include "ti/ti_int.h"

#include <stdio.h>

int ti_clock_next(struct cf_tx *tx, int64_t *ret, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int64_t now = cf_now_us();
    int r = cf_tx_query(tx, "SELECT last_us FROM ti_clock WHERE id = 1", &st, reterr);

    *ret = now;
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        *ret = cf_stmt_i64(st, 0) >= now ? cf_stmt_i64(st, 0) + 1 : now;
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}

int ti_clock_set(struct cf_tx *tx, int64_t last_us, struct cf_error *reterr) { return cf_tx_exec(tx, "UPDATE ti_clock SET last_us = ? WHERE id = 1", reterr, CF_I(last_us)); }

int ti_horizon(struct cf_tx *tx, int64_t *ret, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT LEAST(c.last_us, (SELECT MIN(m.ver_us) - 1 FROM ti_import m WHERE m.ver_us IS NOT NULL AND m.state IN ('running', 'undoing'))) FROM ti_clock c WHERE c.id = 1", &st,
                        reterr);

    *ret = 0;
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        *ret = cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}

/* STIX times have milliseconds. */
static cf_str stix_date(int64_t us, char out[32])
{
    size_t n = cf_time_format(us / 1000 * 1000, out);

    if (n == 20) { /* none of a full second */
        (void)snprintf(out + 19, 6, ".000Z");
        return cf_str_n(out, 24);
    }
    out[23] = 'Z';
    return cf_str_n(out, 24);
}

/* The STIX object the indicator came as is given instead of it while the indicator has no id of its own. */
#define AS_OBJECT "i.out_id IS NULL AND i.ext_id LIKE 'indicator--%'"

static int object_changed(struct cf_tx *tx, cf_str id, int64_t ver_us, struct cf_error *reterr)
{
    char date[32];

    return cf_tx_exec(tx,
                      "UPDATE ti_object SET ver_us = ?, given_mod = CASE WHEN out_tlp IS NULL THEN given_mod ELSE ? END,"
                      " out_tlp = LEAST(out_tlp, (SELECT MIN(i.out_tlp) FROM ti_indicator i WHERE i.ext_id = ti_object.id AND " AS_OBJECT ")),"
                      " out_conf = GREATEST(out_conf, (SELECT MAX(i.out_conf) FROM ti_indicator i WHERE i.ext_id = ti_object.id AND " AS_OBJECT "))"
                      " WHERE id = (SELECT x.ext_id FROM ti_indicator x WHERE x.id = ? AND x.out_id IS NULL) AND type = 'indicator'",
                      reterr, CF_I(ver_us), CF_S(stix_date(cf_now_us(), date)), CF_S(id));
}

int ti_given(struct cf_tx *tx, cf_str id, int64_t *ver_us, struct cf_error *reterr)
{
    int64_t now = cf_now_us(), given_us = (*ver_us)++;
    int r = cf_tx_exec(tx, "UPDATE ti_indicator SET ver_us = ? WHERE id = ?", reterr, CF_I(given_us), CF_S(id));

    if (r == 0)
        r = cf_tx_exec(tx,
                       "UPDATE ti_indicator SET out_tlp = LEAST(out_tlp, tlp), out_conf = GREATEST(out_conf, confidence)"
                       " WHERE id = ? AND status = 'active' AND conflict IS NULL AND (valid_until_us = 0 OR valid_until_us > ?)",
                       reterr, CF_S(id), CF_I(now));
    return r < 0 ? r : object_changed(tx, id, (*ver_us)++, reterr);
}

int ti_gone(struct cf_tx *tx, cf_str id, const char *import_id, int64_t *ver_us, struct cf_error *reterr)
{
    int64_t ended_us = (*ver_us)++, gone_us;
    char fresh[37];
    int r = cf_tx_exec(tx,
                       "INSERT INTO ti_ended (id, import_id, type, value, tlp, confidence, created_us, modified_us, ver_us)"
                       " SELECT COALESCE(i.out_id, i.id), CAST(? AS TEXT), i.type, i.value, i.out_tlp, i.out_conf, i.added_us, i.updated_us, CAST(? AS BIGINT) FROM ti_indicator i"
                       " WHERE i.id = ? AND i.out_tlp IS NOT NULL AND i.cond = '' AND NOT (COALESCE(i.ext_id, '') LIKE 'indicator--%' AND i.out_id IS NULL) ON CONFLICT (id) DO NOTHING",
                       reterr, CF_Z(import_id), CF_I(ended_us), CF_S(id));

    cf_uuid7(fresh);
    if (r == 0) /* the object first: it finds its indicators by their having no id of their own */
        r = object_changed(tx, id, (*ver_us)++, reterr);
    gone_us = (*ver_us)++;
    if (r == 0)
        r = cf_tx_exec(tx,
                       "UPDATE ti_indicator SET out_id = CASE WHEN cond = '' THEN CAST(? AS TEXT) ELSE NULL END, out_tlp = NULL, out_conf = NULL, ver_us = ? WHERE id = ? AND out_tlp IS NOT NULL", reterr,
                       CF_Z(fresh), CF_I(gone_us), CF_S(id));
    return r;
}
