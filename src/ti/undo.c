/* SPDX-License-Identifier: Apache-2.0
 * Taking an import back. Before a row changes, what it said is put aside under the import's id; rows that the import made are
 * known by the moment they bear. All of it in bounded transactions, and again from where it was after a crash. A row that
 * somebody changed since stays as it is. */
#include "ti/ti_int.h"


#define STEP "2000" /* rows a transaction */

#define ROW_COLS \
    "confidence, severity, tlp, threat_type, family, grp, valid_from_us, valid_until_us, last_seen_us, description, tags, techniques, ext_id, status, conflict, updated_us, ver_us, out_tlp, out_conf, out_id," \
    " revoked_us"
static const char note_head[] = "INSERT INTO ti_import_undo (import_id, id, " ROW_COLS ") SELECT ?, id, " ROW_COLS " FROM ti_indicator WHERE source_id = ? AND added_us <> ? AND value IN (?";
static const char note_row[] = "INSERT INTO ti_import_undo (import_id, id, " ROW_COLS ") SELECT ?, id, " ROW_COLS
                               " FROM ti_indicator WHERE id = ? AND added_us <> ? ON CONFLICT (import_id, id) DO NOTHING";
static const char note_tail[] = ") ON CONFLICT (import_id, id) DO NOTHING";
static const char note_object[] =
    "INSERT INTO ti_import_undo_object (import_id, id, name, modified, matchable, added_us, json, src, kind, dst, tlp, ver_us, out_tlp, out_conf, given_mod)"
    " SELECT ?, o.id, o.name, o.modified, o.matchable, o.added_us, o.json, r.src, r.kind, r.dst, o.tlp, o.ver_us, o.out_tlp, o.out_conf, o.given_mod FROM ti_object o LEFT JOIN ti_relation r ON r.id = o.id"
    " WHERE o.id = ? AND o.added_us <> ? AND COALESCE(o.modified, '') <> COALESCE(?, '') ON CONFLICT (import_id, id) DO NOTHING";

char *ti_undo_sql(size_t rows)
{
    struct cf_buf b;
    char *out = NULL;

    cf_buf_init(&b, 1 << 16);
    cf_buf_z(&b, note_head);
    for (size_t i = 1; i < rows; i++)
        cf_buf_z(&b, ",?");
    cf_buf_z(&b, note_tail);
    if (!b.failed)
        out = strdup(cf_buf_cstr(&b));
    cf_buf_release(&b);
    return out;
}

int ti_undo_object(struct cf_tx *tx, const char *import_id, int64_t stamp_us, cf_str id, cf_str modified, struct cf_error *reterr)
{
    return cf_tx_exec(tx, note_object, reterr, CF_Z(import_id), CF_S(id), CF_I(stamp_us), CF_S(modified));
}

int ti_undo_row(struct cf_tx *tx, const char *import_id, int64_t stamp_us, cf_str id, struct cf_error *reterr)
{
    return cf_tx_exec(tx, note_row, reterr, CF_Z(import_id), CF_S(id), CF_I(stamp_us));
}

/* One transaction of these statements over the next STEP rows; *ret_n: rows the last one took. All take the same values. */
static int step(struct cf_db *db, const char *const *sql, size_t n, const struct cf_dbval *const *v, const size_t *n_v, int64_t *ret_n, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);

    for (size_t i = 0; i < n && r == 0; i++)
        r = cf_tx_execv(tx, sql[i], v[i], n_v[i], ret_n, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

#define NEXT(table) "SELECT id FROM " table " WHERE import_id = ? ORDER BY id LIMIT " STEP

/* The same step until it finds nothing more. */
static int steps(struct cf_db *db, const char *const *sql, size_t n_sql, const struct cf_dbval *const *v, const size_t *n_v, struct cf_error *reterr)
{
    int64_t n = 1;
    int r = 0;

    while (r == 0 && n > 0)
        r = step(db, sql, n_sql, v, n_v, &n, reterr);
    return r;
}

static int restore_rows(struct cf_db *db, const char *id, int64_t stamp, struct cf_error *reterr)
{
    static const char *const sql[] = {
        "UPDATE ti_indicator SET confidence = u.confidence, severity = u.severity, tlp = u.tlp, threat_type = u.threat_type, family = u.family, grp = u.grp,"
        " valid_from_us = u.valid_from_us, valid_until_us = u.valid_until_us, last_seen_us = u.last_seen_us, description = u.description, tags = u.tags,"
        " techniques = u.techniques, ext_id = u.ext_id, status = u.status, conflict = u.conflict, updated_us = u.updated_us,"
        " ver_us = u.ver_us, out_tlp = u.out_tlp, out_conf = u.out_conf, out_id = u.out_id, revoked_us = u.revoked_us"
        " FROM ti_import_undo u WHERE u.import_id = ? AND ti_indicator.id = u.id AND ti_indicator.updated_us = ? AND u.id IN (" NEXT("ti_import_undo") ")",
        "DELETE FROM ti_import_undo WHERE import_id = ? AND id IN (" NEXT("ti_import_undo") ")"};
    const struct cf_dbval v0[] = {CF_Z(id), CF_I(stamp + 1), CF_Z(id)}, v1[] = {CF_Z(id), CF_Z(id)};
    const struct cf_dbval *const v[] = {v0, v1};
    static const size_t n_v[] = {3, 2};

    return steps(db, sql, 2, v, n_v, reterr);
}

static int restore_objects(struct cf_db *db, const char *id, int64_t stamp, struct cf_error *reterr)
{
    static const char *const sql[] = {
        "UPDATE ti_relation SET src = u.src, kind = u.kind, dst = u.dst FROM ti_import_undo_object u WHERE u.import_id = ? AND u.src IS NOT NULL AND ti_relation.id = u.id"
        " AND EXISTS (SELECT 1 FROM ti_object o WHERE o.id = u.id AND o.added_us = ?) AND u.id IN (" NEXT("ti_import_undo_object") ")",
        "UPDATE ti_object SET name = u.name, modified = u.modified, matchable = u.matchable, added_us = u.added_us, json = u.json,"
        " tlp = u.tlp, ver_us = u.ver_us, out_tlp = u.out_tlp, out_conf = u.out_conf, given_mod = u.given_mod FROM ti_import_undo_object u"
        " WHERE u.import_id = ? AND ti_object.id = u.id AND ti_object.added_us = ? AND u.id IN (" NEXT("ti_import_undo_object") ")",
        "DELETE FROM ti_import_undo_object WHERE import_id = ? AND id IN (" NEXT("ti_import_undo_object") ")"};
    const struct cf_dbval v0[] = {CF_Z(id), CF_I(stamp), CF_Z(id)}, v1[] = {CF_Z(id), CF_Z(id)};
    const struct cf_dbval *const v[] = {v0, v0, v1};
    static const size_t n_v[] = {3, 3, 2};

    return steps(db, sql, 3, v, n_v, reterr);
}

/* What the import made and nobody touched since. */
static int remove_new(struct cf_db *db, const char *source, int64_t stamp, struct cf_error *reterr)
{
#define MINE "SELECT id FROM ti_object WHERE added_us = ? AND source_id = ? ORDER BY id LIMIT " STEP
    static const char *const rows[] = {
        "DELETE FROM ti_indicator WHERE id IN (SELECT id FROM ti_indicator WHERE added_us = ? AND source_id = ? AND (updated_us = ? OR updated_us = ?) ORDER BY id LIMIT " STEP ")"};
    static const char *const objects[] = {"DELETE FROM ti_relation WHERE id IN (" MINE ")", "DELETE FROM ti_object WHERE id IN (" MINE ")"};
#undef MINE
    const struct cf_dbval v[] = {CF_I(stamp), CF_Z(source), CF_I(stamp), CF_I(stamp + 1)};
    const struct cf_dbval *const vs[] = {v, v};
    static const size_t n_rows[] = {4}, n_objects[] = {2, 2};
    int r = steps(db, rows, 1, vs, n_rows, reterr);

    return r < 0 ? r : steps(db, objects, 2, vs, n_objects, reterr);
}

/* All rows that one statement of a parameter, the import, deletes step by step. */
static int remove_all(struct cf_db *db, const char *sql, const char *id, struct cf_error *reterr)
{
    const struct cf_dbval v[] = {CF_Z(id)};
    const struct cf_dbval *const vs[] = {v};
    static const size_t n_v[] = {1};

    return steps(db, &sql, 1, vs, n_v, reterr);
}

static int remove_ended(struct cf_db *db, const char *id, struct cf_error *reterr)
{
    return remove_all(db, "DELETE FROM ti_ended WHERE id IN (SELECT id FROM ti_ended WHERE import_id = ? ORDER BY id LIMIT " STEP ")", id, reterr);
}

static int remove_seen(struct cf_db *db, const char *id, struct cf_error *reterr)
{
    return remove_all(db, "DELETE FROM ti_sighting WHERE id IN (SELECT id FROM ti_sighting WHERE import_id = ? ORDER BY id LIMIT " STEP ")", id, reterr);
}

int ti_undo_run(struct cf_db *db, const char *import_id, const char *source, int64_t stamp_us, struct cf_error *reterr)
{
    int r = restore_rows(db, import_id, stamp_us, reterr);

    if (r == 0)
        r = restore_objects(db, import_id, stamp_us, reterr);
    if (r == 0)
        r = remove_seen(db, import_id, reterr);
    if (r == 0)
        r = remove_ended(db, import_id, reterr);
    return r < 0 ? r : remove_new(db, source, stamp_us, reterr);
}

int ti_undo_forget(struct cf_db *db, const char *import_id, struct cf_error *reterr)
{
    static const char *const rows[] = {"DELETE FROM ti_import_undo WHERE import_id = ? AND id IN (" NEXT("ti_import_undo") ")"};
    static const char *const objects[] = {"DELETE FROM ti_import_undo_object WHERE import_id = ? AND id IN (" NEXT("ti_import_undo_object") ")"};
    const struct cf_dbval v[] = {CF_Z(import_id), CF_Z(import_id)};
    const struct cf_dbval *const vs[] = {v};
    static const size_t n_v[] = {2};
    int64_t n = 1;
    int r = 0;

    while (r == 0 && n > 0)
        r = step(db, rows, 1, vs, n_v, &n, reterr);
    for (n = 1; r == 0 && n > 0;)
        r = step(db, objects, 1, vs, n_v, &n, reterr);
    return r;
}
