/* SPDX-License-Identifier: Apache-2.0
 * Reading the library: sources, the set of active indicators; expiry; names of levels. */
#include "ti/ti_int.h"

#include <stdio.h>

static const char *const tlps[] = {"clear", "green", "amber", "amber+strict", "red"};
static const char *const severities[] = {"informational", "low", "medium", "high", "critical"};

const char *ti_tlp_name(int64_t t) { return tlps[t < 0 || t > 4 ? 4 : t]; }
const char *ti_severity_name(int64_t s) { return severities[s < 0 ? 0 : s > 4 ? 4 : s]; }

int ti_tlp_parse(cf_str s)
{
    if (cf_str_istarts(s, CF_STR("tlp:")))
        s = cf_str_sub(s, 4, s.n);
    if (cf_str_ieq(s, CF_STR("white")))
        return 0;
    for (int i = 0; i < 5; i++)
        if (cf_str_ieq(s, cf_str_c(tlps[i])))
            return i;
    return -1;
}

int ti_severity_parse(cf_str s)
{
    static const char *const zh[] = {"提示", "低危", "中危", "高危", "严重"};

    for (int i = 0; i < 5; i++)
        if (cf_str_ieq(s, cf_str_c(severities[i])) || cf_str_eqz(s, zh[i]))
            return i;
    return -1;
}

bool ti_uuid_bytes(cf_str id, uint8_t out[16])
{
    char hex[32];
    size_t n = 0;

    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] != '-') {
            if (n == 32)
                return false;
            hex[n++] = id.p[i];
        }
    return n == 32 && cf_unhex(cf_str_n(hex, 32), out, 16);
}

void ti_uuid_text(const uint8_t id[16], char out[37])
{
    char hex[33];

    cf_hex(id, 16, hex);
    (void)snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

static void put(char *out, size_t cap, cf_str s) { (void)snprintf(out, cap, "%.*s", CF_ARG(s)); }

int ti_source_read(struct cf_db *db, cf_str id, struct ti_source *ret, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT id, org_id, name, kind, threat_type, weight, confidence, severity, tlp, valid_days, trusted FROM ti_source WHERE id = ? OR name = ?",
                        &st, reterr, CF_S(id), CF_S(id));
    if (r == 0)
        r = cf_stmt_next(st, reterr);
    if (r == 1) {
        *ret = (struct ti_source){.weight = cf_stmt_i64(st, 5), .confidence = cf_stmt_i64(st, 6), .severity = cf_stmt_i64(st, 7), .tlp = cf_stmt_i64(st, 8),
                                  .valid_days = cf_stmt_i64(st, 9), .trusted = cf_stmt_i64(st, 10) != 0};
        put(ret->id, sizeof ret->id, cf_stmt_str(st, 0));
        put(ret->org, sizeof ret->org, cf_stmt_str(st, 1));
        put(ret->name, sizeof ret->name, cf_stmt_str(st, 2));
        put(ret->kind, sizeof ret->kind, cf_stmt_str(st, 3));
        put(ret->threat_type, sizeof ret->threat_type, cf_stmt_str(st, 4));
        r = 0;
    } else if (r == 0) {
        r = cf_error_set(reterr, CF_ENOENT, "there is no intelligence source \"%.*s\"", CF_ARG(cf_str_sub(id, 0, 80)));
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return r;
}

static cf_str text(const struct cf_stmt *st, int col)
{
    cf_str s = cf_stmt_str(st, col);

    return s.p ? s : CF_STR("");
}

static int add_row(struct cf_ti_builder *b, const struct cf_stmt *st)
{
    struct cf_ti_entry_in in = {.value = cf_stmt_str(st, 2), .until_us = cf_stmt_i64(st, 9), .cond = text(st, 10),
                                .info = {.threat_type = text(st, 3), .family = text(st, 4), .group = text(st, 5), .feed = text(st, 12),
                                         .severity = (uint8_t)cf_stmt_i64(st, 7), .tlp = (uint8_t)cf_stmt_i64(st, 8)}};
    int64_t c = cf_stmt_i64(st, 6) * cf_stmt_i64(st, 11) / 100;
    int r;

    in.confidence = (uint8_t)(c < 0 ? 0 : c > 100 ? 100 : c);
    if (!cf_ti_type_parse(cf_stmt_str(st, 1), &in.type) || !ti_uuid_bytes(cf_stmt_str(st, 0), in.id))
        return 0;
    r = cf_ti_builder_add(b, &in);
    return r == CF_EINVAL ? 0 : r;
}

/* ---- the set ------------------------------------------------------------------------------------------------------------------ */

#define HALF_MAX 8u
#define SET_COLS(of) \
    "SELECT i.id, i.type, i.value, " of ".threat_type, " of ".family, " of ".grp, " of ".confidence, " of ".severity, " of ".tlp, " of ".valid_until_us, i.cond, s.weight, s.name, " of ".valid_from_us"
#define HALF "m.state IN ('running', 'undoing')"

struct half { /* imports that are not complete */
    int64_t stamp[HALF_MAX];
    size_t n;
};

static int number(struct cf_tx *tx, const char *sql, int64_t *ret, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, sql, &st, reterr);

    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        *ret += cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}

static int find_half(struct cf_tx *tx, struct half *h, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT m.stamp_us FROM ti_import m WHERE " HALF " ORDER BY m.created_us DESC", &st, reterr);

    while (r == 0 && h->n < HALF_MAX && (r = cf_stmt_next(st, reterr)) == 1) {
        h->stamp[h->n++] = cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}

static int add_rows(struct cf_ti_builder *b, struct cf_tx *tx, const char *sql, const struct cf_dbval *v, size_t n, int64_t now, int64_t *ret_next_us, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_queryv(tx, sql, v, n, &st, reterr);

    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        int64_t from = cf_stmt_i64(st, 13);

        if (from > now && from < *ret_next_us)
            *ret_next_us = from;
        r = from > now ? 0 : add_row(b, st);
        if (r < 0)
            (void)cf_error_set(reterr, r, "indicators do not fit into memory");
    }
    cf_stmt_free(st);
    return r;
}

static int read_set(struct cf_tx *tx, struct cf_ti_builder *b, const struct half *h, int64_t *ret_next_us, struct cf_error *reterr)
{
    static const char before[] =
        SET_COLS("u") " FROM ti_import m JOIN ti_import_undo u ON u.import_id = m.id JOIN ti_indicator i ON i.id = u.id AND i.updated_us = m.stamp_us + 1"
                      " JOIN ti_source s ON s.id = i.source_id WHERE " HALF " AND u.status = 'active' AND u.conflict IS NULL AND (u.valid_until_us = 0 OR u.valid_until_us > ?)";
    struct cf_dbval v[1 + 2 * HALF_MAX] = {CF_I(cf_now_us())};
    struct cf_buf sql;
    size_t n = 1;
    int r;

    cf_buf_init(&sql, 1 << 16);
    cf_buf_z(&sql, SET_COLS("i") " FROM ti_indicator i JOIN ti_source s ON s.id = i.source_id WHERE i.status = 'active' AND i.conflict IS NULL AND (i.valid_until_us = 0 OR i.valid_until_us > ?)");
    for (size_t i = 0; i < h->n; i++) {
        cf_buf_z(&sql, " AND i.added_us <> ? AND i.updated_us <> ?");
        v[n++] = CF_I(h->stamp[i]);
        v[n++] = CF_I(h->stamp[i] + 1);
    }
    *ret_next_us = INT64_MAX;
    r = add_rows(b, tx, cf_buf_cstr(&sql), v, n, v[0].i, ret_next_us, reterr);
    if (r == 0 && h->n)
        r = add_rows(b, tx, before, v, 1, v[0].i, ret_next_us, reterr);
    cf_buf_release(&sql);
    return r;
}

int ti_load_set(struct cf_db *db, struct cf_ti_set **ret, int64_t *ret_next_us, struct cf_error *reterr)
{
    struct cf_ti_builder *b = NULL;
    struct cf_tx *tx = NULL;
    struct half h = {.n = 0};
    int64_t n = 0;
    int r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = find_half(tx, &h, reterr);
    if (r == 0)
        r = number(tx, "SELECT COUNT(*) FROM ti_indicator WHERE status = 'active'", &n, reterr);
    if (r == 0 && h.n)
        r = number(tx, "SELECT COUNT(*) FROM ti_import m JOIN ti_import_undo u ON u.import_id = m.id WHERE " HALF " AND u.status = 'active'", &n, reterr);
    if (r == 0 && n > CF_TI_ENTRIES_MAX)
        r = cf_error_set(reterr, CF_ELIMIT, "%lld active indicators: the matcher holds %u; withdraw sources or shorten their validity", (long long)n, CF_TI_ENTRIES_MAX);
    if (r == 0 && !(b = cf_ti_builder_new((size_t)n)))
        r = cf_error_set(reterr, CF_ENOMEM, "indicators");
    if (r == 0)
        r = read_set(tx, b, &h, ret_next_us, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        *ret = cf_ti_builder_finish(b);
        return *ret ? 0 : cf_error_set(reterr, CF_ENOMEM, "indicators");
    }
    cf_ti_builder_free(b);
    return r;
}

int ti_expire(struct cf_db *db, int64_t now_us, int64_t *ret_n, struct cf_error *reterr)
{
    const struct cf_dbval v[] = {CF_I(now_us), CF_I(now_us)};
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_execv(tx, "UPDATE ti_indicator SET status = 'expired', updated_us = ? WHERE status = 'active' AND valid_until_us > 0 AND valid_until_us <= ?", v, 2,
                        ret_n, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}
