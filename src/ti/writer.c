/* SPDX-License-Identifier: Apache-2.0
 * Rows into the library. What cannot be used is reported and the rest goes on.
 *
 *   items, objects ─► run (131,072 rows or 32 MiB in memory) ─sorted by value─► 17 rows a statement ─► 2,000 rows a transaction
 *
 * The unique index is by value and larger than the store's cache: in the order of a file every row reads and writes a page of it,
 * in the order of the values neighbours share one. A transaction is open only while a run is being written, and a short one: other
 * writers come in between. */
#include "ti/ti_int.h"

#include <stdlib.h>

#define BLOCK 17u /* the record store takes 512 values a statement */
#define TX_ROWS 2000u
#define VALUES 30u                   /* columns a row */

struct ti_row {
    cf_str value, cond, threat_type, family, group, description, tags, techniques, ext_id, conflict;
    const char *type, *status;
    int64_t confidence, severity, tlp, from, until, first, last;
};

static const char head[] = "INSERT INTO ti_indicator (id, org_id, source_id, type, value, threat_type, family, grp, confidence, severity, tlp, status, valid_from_us,"
                           " valid_until_us, first_seen_us, last_seen_us, description, tags, techniques, cond, ext_id, conflict, incident_id, added_us, updated_us, created_by, ver_us,"
                           " out_tlp, out_conf, revoked_us) VALUES ";
#define ROW_MARKS "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
#define KEY "(value, type, source_id, cond)"
/* What a person withdrew stays so; what its source withdrew comes back with the source, and is active if a person had let it in. */
#define NEW_STATUS                                                                                                                       \
    "CASE WHEN ti_indicator.status = 'false_positive' OR (ti_indicator.status = 'withdrawn' AND ti_indicator.revoked_us IS NULL) THEN ti_indicator.status" \
    " WHEN excluded.status = 'draft' AND excluded.conflict IS NULL AND (ti_indicator.status = 'active' OR (ti_indicator.status = 'withdrawn' AND ti_indicator.reviewed_us IS NOT NULL))" \
    " THEN 'active' ELSE excluded.status END"
#define NEW_CONFLICT "CASE WHEN ti_indicator.reviewed_us IS NULL THEN excluded.conflict ELSE ti_indicator.conflict END"
#define DIFFERS(col) "excluded." col " <> ti_indicator." col
#define SAYS_ELSE(col) "(excluded." col " IS NOT NULL AND excluded." col " <> COALESCE(ti_indicator." col ", ''))"
/* Something that others were told is otherwise now: a new version. */
#define CHANGED                                                                                                                                              \
    DIFFERS("confidence") " OR " DIFFERS("severity") " OR " DIFFERS("tlp") " OR " DIFFERS("valid_from_us") " OR " DIFFERS("valid_until_us") " OR " SAYS_ELSE("threat_type") " OR " \
    SAYS_ELSE("family") " OR " SAYS_ELSE("grp") " OR " SAYS_ELSE("description") " OR " SAYS_ELSE("tags") " OR " SAYS_ELSE("techniques") " OR " NEW_STATUS " <> ti_indicator.status OR COALESCE(" NEW_CONFLICT ", '') <> COALESCE(ti_indicator.conflict, '')"
#define IS_OUT NEW_STATUS " = 'active' AND " NEW_CONFLICT " IS NULL"
static const char tail[] = " ON CONFLICT " KEY " DO UPDATE SET confidence = excluded.confidence, severity = excluded.severity, tlp = excluded.tlp,"
                           " threat_type = COALESCE(excluded.threat_type, ti_indicator.threat_type), family = COALESCE(excluded.family, ti_indicator.family),"
                           " grp = COALESCE(excluded.grp, ti_indicator.grp), valid_from_us = excluded.valid_from_us, valid_until_us = excluded.valid_until_us,"
                           " last_seen_us = GREATEST(COALESCE(ti_indicator.last_seen_us, 0), excluded.last_seen_us),"
                           " description = COALESCE(excluded.description, ti_indicator.description), tags = COALESCE(excluded.tags, ti_indicator.tags),"
                           " techniques = COALESCE(excluded.techniques, ti_indicator.techniques), ext_id = COALESCE(excluded.ext_id, ti_indicator.ext_id),"
                           " status = " NEW_STATUS ", conflict = " NEW_CONFLICT ", ver_us = CASE WHEN " CHANGED " THEN excluded.ver_us ELSE ti_indicator.ver_us END,"
                           " out_tlp = CASE WHEN " IS_OUT " THEN LEAST(ti_indicator.out_tlp, excluded.tlp) ELSE ti_indicator.out_tlp END,"
                           " out_conf = CASE WHEN " IS_OUT " THEN GREATEST(ti_indicator.out_conf, excluded.confidence) ELSE ti_indicator.out_conf END,"
                           " revoked_us = CASE WHEN ti_indicator.status = 'withdrawn' AND ti_indicator.revoked_us IS NOT NULL THEN NULL ELSE ti_indicator.revoked_us END,"
                           " updated_us = excluded.updated_us + 1";
static const char gone_tail[] = " ON CONFLICT " KEY " DO NOTHING";

static char *make_sql(size_t rows, const char *end)
{
    struct cf_buf b;
    char *out = NULL;

    cf_buf_init(&b, 1 << 20);
    cf_buf_z(&b, head);
    for (size_t i = 0; i < rows; i++)
        cf_buf_z(&b, i ? ", " ROW_MARKS : ROW_MARKS);
    cf_buf_z(&b, end);
    if (!b.failed)
        out = strdup(cf_buf_cstr(&b));
    cf_buf_release(&b);
    return out;
}


int ti_writer_begin(struct ti_writer *w, struct cf_error *reterr)
{
    cf_arena_init(&w->arena, 256 << 10, 0);
    cf_arena_init(&w->seen_arena, 0, (size_t)256 << 20);
    if (w->now_us == 0)
        w->now_us = cf_now_us();
    w->bad_list = json_array();
    w->conflict_list = json_array();
    w->unmatchable_list = json_array();
    w->preview = json_array();
    w->v = calloc(BLOCK * VALUES, sizeof *w->v);
    w->sql_block = make_sql(BLOCK, tail);
    w->sql_one = make_sql(1, tail);
    w->sql_gone = make_sql(1, gone_tail);
    w->note_block = ti_undo_sql(BLOCK);
    w->note_one = ti_undo_sql(1);
    if (!w->note_block || !w->note_one || !w->bad_list || !w->conflict_list || !w->unmatchable_list || !w->preview || !w->v || !w->sql_block || !w->sql_one || !w->sql_gone)
        return cf_error_set(reterr, CF_ENOMEM, "import");
    return 0;
}

void ti_writer_release(struct ti_writer *w)
{
    cf_tx_rollback(&w->tx);
    json_decref(w->bad_list);
    json_decref(w->conflict_list);
    json_decref(w->unmatchable_list);
    json_decref(w->preview);
    free(w->v);
    free(w->row);
    free(w->kept);
    free(w->seen);
    free(w->note_block);
    free(w->note_one);
    free(w->sql_block);
    free(w->sql_one);
    free(w->sql_gone);
    cf_arena_release(&w->arena);
    cf_arena_release(&w->seen_arena);
}

static json_t *jstr(cf_str s)
{
    json_t *j;

    if (!s.p)
        return json_null();
    j = json_stringn(s.p, s.n);
    if (!j) { /* not UTF-8: shown with its good bytes only */
        char b[256];
        size_t n = 0;

        for (size_t i = 0; i < s.n && n < sizeof b; i++)
            b[n++] = (unsigned char)s.p[i] < 0x80 && s.p[i] ? s.p[i] : '?';
        j = json_stringn(b, n);
    }
    return j;
}

void ti_writer_bad(struct ti_writer *w, cf_str text, const char *why)
{
    if (w->bad++ < TI_REPORT_MAX)
        (void)json_array_append_new(w->bad_list, json_pack("{s:I,s:s,s:o}", "line", (json_int_t)w->line, "reason", why, "text", jstr(ti_cut(text, 200))));
}

void ti_writer_unmatchable(struct ti_writer *w, cf_str id, cf_str what, const char *why)
{
    if (w->unmatchable++ < TI_REPORT_MAX)
        (void)json_array_append_new(w->unmatchable_list, json_pack("{s:o,s:o,s:s}", "id", jstr(ti_cut(id, 100)), "pattern", jstr(ti_cut(what, 300)), "reason", why));
}

int ti_writer_open(struct ti_writer *w, struct cf_error *reterr)
{
    int r = w->tx ? 0 : cf_tx_begin(w->db, CF_TX_WRITE, &w->tx, reterr);

    return r == 0 && w->in_tx == 0 ? ti_clock_next(w->tx, &w->ver_us, reterr) : r;
}

static int commit(struct ti_writer *w, struct cf_error *reterr)
{
    int r = w->tx ? ti_clock_set(w->tx, w->ver_us - 1, reterr) : 0;

    if (r == 0 && w->tx)
        r = cf_tx_commit(&w->tx, reterr);
    w->in_tx = 0;
    return r == 0 && w->tick ? w->tick(w->tick_ctx, w, reterr) : r;
}

int ti_writer_wrote(struct ti_writer *w, size_t rows, struct cf_error *reterr)
{
    w->in_tx += rows;
    return w->in_tx >= TX_ROWS ? commit(w, reterr) : 0;
}

static void values_of(struct ti_writer *w, const struct ti_row *x, const char *id, struct cf_dbval *v)
{
    bool out = strcmp(x->status, "active") == 0 && !x->conflict.p; // NOLINT(clang-analyzer-core.NullDereference): every row of a run is there

    *v++ = CF_Z(id);
    *v++ = CF_Z(w->source->org);
    *v++ = CF_Z(w->source->id);
    *v++ = CF_Z(x->type);
    *v++ = CF_S(x->value);
    *v++ = CF_S(x->threat_type);
    *v++ = CF_S(x->family);
    *v++ = CF_S(x->group);
    *v++ = CF_I(x->confidence);
    *v++ = CF_I(x->severity);
    *v++ = CF_I(x->tlp);
    *v++ = CF_Z(x->status);
    *v++ = CF_I(x->from);
    *v++ = CF_I(x->until);
    *v++ = CF_I(x->first);
    *v++ = CF_I(x->last);
    *v++ = CF_S(x->description);
    *v++ = CF_S(x->tags);
    *v++ = CF_S(x->techniques);
    *v++ = CF_S(x->cond);
    *v++ = CF_S(x->ext_id);
    *v++ = CF_S(x->conflict);
    *v++ = CF_Z(w->incident);
    *v++ = CF_I(w->now_us);
    *v++ = CF_I(w->now_us);
    *v++ = CF_S(w->user && w->user[0] ? cf_str_c(w->user) : CF_STR_NONE);
    *v++ = CF_I(w->ver_us++);
    *v++ = out ? CF_I(x->tlp) : CF_NUL;
    *v++ = out ? CF_I(x->confidence) : CF_NUL;
    *v++ = strcmp(x->status, "withdrawn") == 0 ? CF_I(w->now_us) : CF_NUL;
}

/* What the rows of these values said before, for taking the import back. */
static int note(struct ti_writer *w, const struct ti_row *const *x, size_t n, struct cf_error *reterr)
{
    struct cf_dbval v[3 + BLOCK] = {CF_Z(w->import_id), CF_Z(w->source->id), CF_I(w->now_us)};
    int r = 0;

    for (size_t i = 0; n == BLOCK && i < n; i++)
        v[3 + i] = CF_S(x[i]->value); // NOLINT(clang-analyzer-core.NullDereference): every row of a run is there
    if (n == BLOCK)
        return cf_tx_execv(w->tx, w->note_block, v, 3 + BLOCK, NULL, reterr);
    for (size_t i = 0; i < n && r == 0; i++) {
        v[3] = CF_S(x[i]->value);
        r = cf_tx_execv(w->tx, w->note_one, v, 4, NULL, reterr);
    }
    return r;
}

/* One statement for a full block, one a row otherwise: so only two texts are prepared. */
static int write_block(struct ti_writer *w, const struct ti_row *const *x, size_t n, struct cf_error *reterr)
{
    char id[BLOCK][37];
    int r = ti_writer_open(w, reterr);

    cf_uuid7s(id, n);
    for (size_t i = 0; i < n; i++)
        values_of(w, x[i], id[i], w->v + i * VALUES);
    if (r == 0 && w->import_id)
        r = note(w, x, n, reterr);
    if (r == 0 && n == BLOCK)
        r = cf_tx_execv(w->tx, w->sql_block, w->v, (size_t)BLOCK * VALUES, NULL, reterr);
    for (size_t i = 0; n < BLOCK && i < n && r == 0; i++)
        r = cf_tx_execv(w->tx, w->sql_one, w->v + i * VALUES, VALUES, NULL, reterr);
    w->written += (int64_t)n;
    return r == 0 ? ti_writer_wrote(w, n, reterr) : r;
}

/* Its source withdraws it, unless another of its statements stands for the value. One never heard of is kept as withdrawn. */
static int write_gone(struct ti_writer *w, const struct ti_row *x, struct cf_error *reterr)
{
    static const char mine[] = "SELECT id FROM ti_indicator WHERE value = ? AND type = ? AND source_id = ? AND cond = ?"
                               " AND status IN ('active', 'draft', 'expired') AND (ext_id IS NULL OR CAST(? AS TEXT) IS NULL OR ext_id = ?)";
    const struct cf_dbval key[] = {CF_S(x->value), CF_Z(x->type), CF_Z(w->source->id), CF_S(x->cond), CF_S(x->ext_id), CF_S(x->ext_id)};
    char id[37];
    int r = ti_writer_open(w, reterr);

    cf_uuid7(id);
    if (r == 0 && w->import_id && x->ext_id.n) /* the object it came as is given otherwise too: as it is now, whatever its version */
        r = ti_undo_object(w->tx, w->import_id, w->now_us, x->ext_id, CF_STR("-"), reterr);
    if (r == 0) {
        values_of(w, x, id, w->v);
        r = cf_tx_execv(w->tx, w->sql_gone, w->v, VALUES, NULL, reterr);
    }
    if (r == 0)
        r = ti_writer_withdraw(w, mine, key, sizeof key / sizeof *key, reterr);
    w->written++;
    return r == 0 ? ti_writer_wrote(w, 1, reterr) : r;
}

/* As the unique index has it; the source is the same. */
static int by_key(const struct ti_row *x, const struct ti_row *y)
{
    int c = cf_str_cmp(x->value, y->value);

    if (c == 0)
        c = strcmp(x->type, y->type);
    return c ? c : cf_str_cmp(x->cond, y->cond);
}

static int by_key_and_line(const void *a, const void *b)
{
    const struct ti_row *x = *(const struct ti_row *const *)a, *y = *(const struct ti_row *const *)b;
    int c = by_key(x, y);

    return c ? c : x < y ? -1 : 1; /* rows of one value in the order they came */
}

static bool same_row(const struct ti_row *x, const struct ti_row *y)
{
    return cf_str_eq(x->threat_type, y->threat_type) && cf_str_eq(x->family, y->family) && cf_str_eq(x->group, y->group) && cf_str_eq(x->description, y->description) &&
           cf_str_eq(x->tags, y->tags) && cf_str_eq(x->techniques, y->techniques) && cf_str_eq(x->ext_id, y->ext_id) && x->status == y->status &&
           x->confidence == y->confidence && x->severity == y->severity && x->tlp == y->tlp && x->from == y->from && x->until == y->until && x->first == y->first &&
           x->last == y->last;
}

static bool gone(const struct ti_row *x) { return strcmp(x->status, "withdrawn") == 0; }

/* Writes the run. A statement may not name a value twice, so a second row of a value goes into a later one. */
int ti_writer_flush(struct ti_writer *w, struct cf_error *reterr)
{
    const struct ti_row **x = w->n ? malloc(w->n * sizeof *x) : NULL, *block[BLOCK], *last = NULL;
    size_t k = 0;
    int r = w->n && !x ? cf_error_set(reterr, CF_ENOMEM, "import") : 0;

    for (size_t i = 0; x && i < w->n; i++)
        x[i] = &w->row[i];
    if (x)
        qsort(x, w->n, sizeof *x, by_key_and_line);
    for (size_t i = 0; x && i < w->n && r == 0; i++) {
        bool again = last && by_key(last, x[i]) == 0;

        if (again && same_row(last, x[i])) {
            w->repeated++;
            continue;
        }
        if (k == BLOCK || ((again || gone(x[i])) && k)) {
            r = write_block(w, block, k, reterr);
            k = 0;
        }
        last = x[i];
        if (!gone(last))
            block[k++] = last;
        else if (r == 0)
            r = write_gone(w, last, reterr);
    }
    if (r == 0 && k)
        r = write_block(w, block, k, reterr);
    for (size_t i = 0; i < w->n_kept && r == 0; i++) {
        r = ti_write_object(w, &w->kept[i], reterr);
        w->objects_written++;
    }
    if (r == 0)
        r = commit(w, reterr);
    free(x);
    w->n = w->n_kept = 0;
    cf_arena_reset(&w->arena);
    return r;
}

/* Rows this import made, told from those it changed by the moment they bear. */
static int count_new(struct ti_writer *w, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int r = cf_tx_begin(w->db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT COUNT(*) FROM ti_indicator WHERE added_us = ?", &st, reterr, CF_I(w->now_us));
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        w->new_rows = cf_stmt_i64(st, 0);
        w->updated = w->written - w->new_rows;
        r = 0;
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return r;
}

int ti_writer_end(struct ti_writer *w, struct cf_error *reterr)
{
    int r = w->dry ? 0 : ti_writer_flush(w, reterr);

    for (size_t i = 0; i < w->n_seen && r == 0; i++)
        r = ti_write_seen(w, &w->seen[i], reterr);
    w->n_seen = 0;
    if (r == 0)
        r = commit(w, reterr);

    return r == 0 && w->written ? count_new(w, reterr) : r;
}

static cf_str keep(struct ti_writer *w, cf_str s, size_t max) { return s.n ? cf_arena_copy(&w->arena, ti_cut(s, max)) : CF_STR_NONE; }

static cf_str keep_json(struct ti_writer *w, const json_t *a)
{
    char *s;
    cf_str out = CF_STR_NONE;

    if (!a || json_array_size(a) == 0)
        return out;
    s = json_dumps(a, JSON_COMPACT);
    if (s && strlen(s) < 4000)
        out = cf_arena_copy(&w->arena, cf_str_c(s));
    free(s);
    return out;
}

static void preview(struct ti_writer *w, const struct ti_item *it, const char *status, cf_str conflict)
{
    if (json_array_size(w->preview) >= TI_PREVIEW_MAX)
        return;
    (void)json_array_append_new(w->preview, json_pack("{s:s,s:s,s:o,s:o,s:i,s:s,s:o}", "type", cf_ti_type_name(it->value->type), "value", it->value->p, "threat_type",
                                                      jstr(it->threat_type), "family", jstr(it->family), "confidence",
                                                      it->confidence < 0 ? (int)w->source->confidence : it->confidence, "status", status, "conflict", jstr(conflict)));
}

/* The row into the run; where it has no values of its own, the source's. */
static int row_of(struct ti_writer *w, const struct ti_item *it, const char *status, int64_t until, cf_str conflict, struct cf_error *reterr)
{
    const struct ti_source *s = w->source;
    int64_t last = it->last_us > 0 ? it->last_us : w->now_us;
    cf_str value = cf_arena_copy(&w->arena, cf_ti_value_str(it->value));

    if (!value.p || !cf_grow((void **)&w->row, &w->cap_row, w->n + 1, sizeof *w->row))
        return cf_error_set(reterr, CF_ENOMEM, "import");
    w->row[w->n++] = (struct ti_row){
        .value = value,
        .cond = it->cond.n ? keep(w, it->cond, 600) : CF_STR(""),
        .threat_type = it->threat_type.n ? keep(w, it->threat_type, 80) : s->threat_type[0] ? cf_str_c(s->threat_type) : CF_STR_NONE,
        .family = keep(w, it->family, 200),
        .group = keep(w, it->group, 200),
        .description = keep(w, it->description, 4000),
        .tags = keep_json(w, it->tags),
        .techniques = keep_json(w, it->techniques),
        .ext_id = keep(w, it->ext_id, 200),
        .conflict = conflict,
        .type = cf_ti_type_name(it->value->type),
        .status = status,
        .confidence = it->confidence < 0 ? s->confidence : it->confidence > 100 ? 100 : it->confidence,
        .severity = it->severity < 0 ? s->severity : it->severity,
        .tlp = it->tlp < 0 ? s->tlp : it->tlp,
        .from = it->from_us,
        .until = until,
        .first = it->first_us > 0 ? it->first_us : last,
        .last = last,
    };
    return w->n >= TI_RUN_ROWS || w->arena.used >= TI_RUN_BYTES ? ti_writer_flush(w, reterr) : 0;
}

int ti_writer_add(struct ti_writer *w, const struct ti_item *it, struct cf_error *reterr)
{
    const struct ti_source *s = w->source;
    cf_str conflict = w->excluded ? ti_excluded_by(w->excluded, it->value) : CF_STR_NONE;
    int64_t until = it->until_us;
    const char *status = it->revoked ? "withdrawn" : conflict.p || !(w->active || s->trusted) ? "draft" : "active";

    if (++w->read > TI_IMPORT_ROWS_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "more than %lld indicators in one import; split it", (long long)TI_IMPORT_ROWS_MAX);
    if (until <= 0 && s->valid_days > 0) { /* an old list is not valid for ever: from its last sighting on */
        int64_t from = it->last_us > 0 && it->last_us < w->now_us ? it->last_us : w->now_us;

        until = from + s->valid_days * CF_US_PER_DAY;
    }
    if (!it->revoked && until > 0 && until <= w->now_us)
        status = "expired";
    if (conflict.p && w->conflicts++ < TI_REPORT_MAX)
        (void)json_array_append_new(w->conflict_list, json_pack("{s:s,s:s,s:o,s:I}", "type", cf_ti_type_name(it->value->type), "value", it->value->p, "list", jstr(conflict),
                                                                "line", (json_int_t)w->line));
    if (w->dry) {
        preview(w, it, status, conflict);
        return 0;
    }
    return row_of(w, it, status, until, conflict, reterr);
}

json_t *ti_writer_report(const struct ti_writer *w)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:O,s:O,s:O,s:O,s:b}", "read", (json_int_t)w->read, "new", (json_int_t)w->new_rows, "updated",
                     (json_int_t)w->updated, "repeated", (json_int_t)w->repeated, "bad", (json_int_t)w->bad, "conflicts", (json_int_t)w->conflicts, "unmatchable",
                     (json_int_t)w->unmatchable, "objects", (json_int_t)w->objects, "relations", (json_int_t)w->relations, "sightings", (json_int_t)w->sightings, "bad_rows", w->bad_list, "conflict_rows",
                     w->conflict_list, "unmatchable_rows", w->unmatchable_list, "preview", w->preview, "dry_run", w->dry);
}
