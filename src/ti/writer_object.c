/* SPDX-License-Identifier: Apache-2.0
 * What the writer keeps beside rows: STIX objects as they are, their relations, others' sightings; and what a source withdraws. */
#include "ti/ti_int.h"

#include <stdio.h>
#include <stdlib.h>

cf_str ti_cut(cf_str s, size_t max)
{
    if (s.n > max) {
        s.n = max;
        while (s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
            s.n--;
    }
    return s;
}

/* ---- withdrawn by the source ------------------------------------------------------------------------------------------------ */

static int withdraw_one(struct ti_writer *w, cf_str id, struct cf_error *reterr)
{
    int r = w->import_id ? ti_undo_row(w->tx, w->import_id, w->now_us, id, reterr) : 0;

    if (r == 0)
        r = cf_tx_exec(w->tx, "UPDATE ti_indicator SET status = 'withdrawn', revoked_us = ?, updated_us = ? WHERE id = ?", reterr, CF_I(w->now_us), CF_I(w->now_us + 1), CF_S(id));
    return r < 0 ? r : ti_gone(w->tx, id, w->import_id, &w->ver_us, reterr);
}

int ti_writer_withdraw(struct ti_writer *w, const char *query, const struct cf_dbval *v, size_t n, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    char id[8][40];
    size_t k = 8;
    int r = 0;

    while (r == 0 && k == 8) { /* those withdrawn are none of the query's any more */
        k = 0;
        r = cf_tx_queryv(w->tx, query, v, n, &st, reterr);
        while (r == 0 && k < 8 && (r = cf_stmt_next(st, reterr)) == 1) {
            (void)snprintf(id[k++], sizeof id[0], "%.*s", CF_ARG(cf_stmt_str(st, 0)));
            r = 0;
        }
        cf_stmt_free(st);
        st = NULL;
        for (size_t i = 0; i < k && r == 0; i++)
            r = withdraw_one(w, cf_str_c(id[i]), reterr);
    }
    return r;
}

/* ---- objects ------------------------------------------------------------------------------------------------------------------ */

/* Indicators that an earlier version of the object named and this one does not. */
static int withdraw_rest(struct ti_writer *w, const struct ti_kept *o, struct cf_error *reterr)
{
    const struct cf_dbval v[] = {CF_S(o->id), CF_Z(w->source->id), CF_I(w->now_us)};

    return ti_writer_withdraw(w,
                              "SELECT id FROM ti_indicator WHERE ext_id = ? AND source_id = ? AND updated_us < ? AND status IN ('active', 'draft', 'expired')"
                              " ORDER BY id LIMIT 8",
                              v, 3, reterr);
}

int ti_write_object(struct ti_writer *w, const struct ti_kept *o, struct cf_error *reterr)
{
    static const char put[] =
        "INSERT INTO ti_object (id, org_id, source_id, type, name, tlp, matchable, modified, added_us, json, ver_us, out_tlp, out_conf) VALUES (?,?,?,?,?,?,?,?,?,?,?,"
        " (SELECT MIN(i.out_tlp) FROM ti_indicator i WHERE i.ext_id = ? AND i.out_id IS NULL), (SELECT MAX(i.out_conf) FROM ti_indicator i WHERE i.ext_id = ? AND i.out_id IS NULL))"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, modified = excluded.modified, json = excluded.json, matchable = excluded.matchable, tlp = excluded.tlp,"
        " added_us = excluded.added_us, ver_us = excluded.ver_us, out_tlp = LEAST(ti_object.out_tlp, excluded.out_tlp), out_conf = GREATEST(ti_object.out_conf, excluded.out_conf),"
        " given_mod = NULL WHERE COALESCE(ti_object.modified, '') <> COALESCE(excluded.modified, '')";
    cf_str ind = cf_str_eqz(o->type, "indicator") ? o->id : CF_STR_NONE;
    int r = ti_writer_open(w, reterr);
    int64_t ver_us;

    if (r == 0 && w->import_id)
        r = ti_undo_object(w->tx, w->import_id, w->now_us, o->id, o->modified, reterr);
    if (r == 0 && ind.n)
        r = withdraw_rest(w, o, reterr);
    ver_us = w->ver_us++;
    if (r == 0)
        r = cf_tx_exec(w->tx, put, reterr, CF_S(o->id), CF_Z(w->source->org), CF_Z(w->source->id), CF_S(o->type), CF_S(o->name), CF_I(o->tlp), CF_I(o->matchable), CF_S(o->modified),
                       CF_I(w->now_us), CF_S(o->json), CF_I(ver_us), CF_S(ind), CF_S(ind));
    if (r == 0 && o->kind.n)
        r = cf_tx_exec(w->tx, "INSERT INTO ti_relation (id, src, kind, dst) VALUES (?,?,?,?) ON CONFLICT (id) DO UPDATE SET src = excluded.src, kind = excluded.kind, dst = excluded.dst",
                       reterr, CF_S(o->id), CF_S(o->src), CF_S(o->kind), CF_S(o->dst));
    return r == 0 ? ti_writer_wrote(w, 4, reterr) : r;
}

static cf_str text_of(struct ti_writer *w, const json_t *obj, const char *key)
{
    const json_t *j = json_object_get(obj, key);

    return json_is_string(j) ? cf_arena_copy(&w->arena, cf_str_n(json_string_value(j), json_string_length(j))) : CF_STR_NONE;
}

int ti_writer_object(struct ti_writer *w, const json_t *obj, cf_str type, cf_str id, int tlp, bool matchable, struct cf_error *reterr)
{
    struct ti_kept k = {.matchable = matchable, .tlp = tlp < 0 ? w->source->tlp : tlp};
    char *text;

    w->objects++;
    if (w->dry)
        return 0;
    text = json_dumps(obj, JSON_COMPACT);
    if (!text)
        return cf_error_set(reterr, CF_ENOMEM, "STIX object");
    k.json = cf_arena_copy(&w->arena, cf_str_c(text));
    free(text);
    k.id = cf_arena_copy(&w->arena, id);
    k.type = cf_arena_copy(&w->arena, type);
    k.name = text_of(w, obj, "name");
    k.modified = text_of(w, obj, "modified");
    if (cf_str_eqz(type, "relationship")) {
        k.src = text_of(w, obj, "source_ref");
        k.dst = text_of(w, obj, "target_ref");
        k.kind = k.src.n && k.dst.n ? text_of(w, obj, "relationship_type") : CF_STR_NONE;
        w->relations += k.kind.n ? 1 : 0;
    }
    if (!k.json.p || !k.id.p || !k.type.p || !cf_grow((void **)&w->kept, &w->cap_kept, w->n_kept + 1, sizeof *w->kept))
        return cf_error_set(reterr, CF_ENOMEM, "STIX object");
    w->kept[w->n_kept++] = k;
    return w->n_kept >= TI_RUN_ROWS || w->arena.used >= TI_RUN_BYTES ? ti_writer_flush(w, reterr) : 0;
}

/* ---- sightings ---------------------------------------------------------------------------------------------------------------- */

int ti_writer_seen(struct ti_writer *w, const struct ti_seen *seen, struct cf_error *reterr)
{
    struct ti_seen s = *seen;

    if (!s.id.n || !s.of.n || s.last_us <= 0)
        return 0;
    w->sightings++;
    if (w->dry)
        return 0;
    if (s.count < 1)
        s.count = 1;
    if (s.first_us <= 0 || s.first_us > s.last_us)
        s.first_us = s.last_us;
    s.id = cf_arena_copy(&w->seen_arena, ti_cut(s.id, 200));
    s.of = cf_arena_copy(&w->seen_arena, s.of);
    s.note = s.note.n ? cf_arena_copy(&w->seen_arena, ti_cut(s.note, 400)) : CF_STR_NONE;
    if (!s.id.p || !s.of.p || !cf_grow((void **)&w->seen, &w->cap_seen, w->n_seen + 1, sizeof *w->seen))
        return cf_error_set(reterr, CF_ENOMEM, "sightings");
    w->seen[w->n_seen++] = s;
    return 0;
}

/* Its indicator is in the library by now, if it is in this file or came earlier; otherwise nothing is written. */
int ti_write_seen(struct ti_writer *w, const struct ti_seen *s, struct cf_error *reterr)
{
    char id[37];
    int r = ti_writer_open(w, reterr);

    cf_uuid7(id);
    if (r == 0)
        r = cf_tx_exec(w->tx,
                       "INSERT INTO ti_sighting (id, indicator_id, org_id, kind, field, day, first_us, last_us, count, note, import_id)"
                       " SELECT CAST(? AS TEXT) || i.id, i.id, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT),"
                       " CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS TEXT) FROM ti_indicator i WHERE i.ext_id = ? AND i.source_id = ?"
                       " ON CONFLICT (indicator_id, org_id, kind, field, day) DO NOTHING",
                       reterr, CF_Z(id), CF_Z(w->source->org), CF_Z(s->denied ? "denied" : "told"), CF_S(s->id), CF_I(s->last_us / CF_US_PER_DAY), CF_I(s->first_us), CF_I(s->last_us),
                       CF_I(s->count), CF_S(s->note), CF_Z(w->import_id), CF_S(s->of), CF_Z(w->source->id));
    return r == 0 ? ti_writer_wrote(w, 1, reterr) : r;
}
