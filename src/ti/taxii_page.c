/* SPDX-License-Identifier: Apache-2.0
 * What a TAXII collection gives, oldest date first: indicators of the library, STIX objects kept, ids that ended. Dates are of the
 * newest version (version.c) and none is given twice, so the last one of a page says all that the next page must know.
 *
 * Who got an indicator that the collection does not hold any more is given it as revoked; one whose validity ran out by itself is
 * not named again, its end was known. */
#include "ti/taxii.h"

#include <stdio.h>
#include <stdlib.h>

#define VALUES_MAX 128u

struct query {
    struct cf_buf sql;
    struct cf_dbval v[VALUES_MAX];
    size_t n;
};

static void add(struct query *q, const char *sql, struct cf_dbval v)
{
    cf_buf_z(&q->sql, sql);
    q->v[q->n++] = v;
}

static void add_dates(struct query *q, const struct ti_taxii_query *t, const char *col, int64_t horizon)
{
    cf_buf_printf(&q->sql, "%s > ? AND %s <= ?", col, col);
    q->v[q->n++] = CF_I(t->after_us);
    q->v[q->n++] = CF_I(horizon);
}

static void open_list(struct query *q, const char *before) { cf_buf_z(&q->sql, before); }
static void add_texts(struct query *q, const char *before, const cf_str *s, size_t n)
{
    open_list(q, before);
    for (size_t i = 0; i < n; i++)
        add(q, i ? ",?" : "?", CF_S(s[i]));
    cf_buf_byte(&q->sql, ')');
}

/* ids of indicators without their type; none of another type is among ours */
static void add_ids(struct query *q, const struct ti_taxii_query *t, const char *before)
{
    open_list(q, before);
    for (size_t i = 0; i < t->n_ids; i++)
        add(q, i ? ",?" : "?", cf_str_starts(t->id[i], CF_STR("indicator--")) ? CF_S(cf_str_sub(t->id[i], 11, t->id[i].n)) : CF_Z("-"));
    cf_buf_byte(&q->sql, ')');
}

static void add_versions(struct query *q, const struct ti_taxii_query *t, const char *before)
{
    open_list(q, before);
    for (size_t i = 0; i < t->n_versions; i++)
        add(q, i ? ",?" : "?", CF_I(t->version_us[i] / 1000));
    cf_buf_byte(&q->sql, ')');
}

static int run(struct cf_tx *tx, struct query *q, int r, int64_t limit, struct cf_stmt **ret, struct cf_error *reterr)
{
    cf_buf_printf(&q->sql, " LIMIT %lld", (long long)limit + 1);
    if (r == 0 && q->sql.failed)
        r = cf_error_set(reterr, CF_ENOMEM, "query");
    if (r == 0)
        r = cf_tx_queryv(tx, cf_buf_cstr(&q->sql), q->v, q->n, ret, reterr);
    cf_buf_release(&q->sql);
    return r;
}

/* Columns: TI_STIX_COLS, 21 date, 22 whether the collection holds it, 23 the widest TLP it was given by */
static int open_rows(struct cf_tx *tx, const struct ti_taxii_query *t, int64_t horizon, struct cf_stmt **ret, struct cf_error *reterr)
{
#define HOLDS "i.status = 'active' AND i.conflict IS NULL AND i.tlp <= ? AND i.confidence >= "
    const struct ti_select *s = t->select;
    struct query q = {.n = 0};
    int r;

    cf_buf_init(&q.sql, 1 << 16);
    add(&q, "SELECT " TI_STIX_COLS ", i.ver_us, CASE WHEN " HOLDS, CF_I(s->tlp_max));
    add(&q, "? THEN 1 ELSE 0 END, i.out_tlp FROM ti_indicator i JOIN ti_source s ON s.id = i.source_id WHERE ", CF_I(s->min_confidence));
    add_dates(&q, t, "i.ver_us", horizon);
    cf_buf_z(&q.sql, " AND i.cond = '' AND (i.out_id IS NOT NULL OR i.ext_id IS NULL OR i.ext_id NOT LIKE 'indicator--%') AND ((");
    r = ti_select_sql(s, &q.sql, q.v, &q.n, reterr);
    add(&q, ") OR (i.out_tlp <= ?", CF_I(s->tlp_max));
    add(&q, " AND i.out_conf >= ? AND NOT (" HOLDS, CF_I(s->min_confidence));
    q.v[q.n++] = CF_I(s->tlp_max);
    add(&q, "?) AND NOT (i.status = 'expired' AND i.ver_us < i.valid_until_us)", CF_I(s->min_confidence));
    if (r == 0)
        r = ti_types_sql(s->types, &q.sql, q.v, &q.n, reterr);
    cf_buf_z(&q.sql, "))");
    if (t->n_ids) {
        add_ids(&q, t, " AND (i.id IN (");
        add_ids(&q, t, " OR i.out_id IN (");
        add_ids(&q, t, ") AND COALESCE(i.out_id, i.id) IN (");
    }
    if (t->n_versions)
        add_versions(&q, t, " AND i.updated_us / 1000 IN (");
    cf_buf_z(&q.sql, " ORDER BY i.ver_us");
    return run(tx, &q, r, t->limit, ret, reterr);
#undef HOLDS
}

/* Columns: 0 date, 1 id, 2 json, 3 modified, 4 whether the collection holds it, 5 modified by us */
static int open_objects(struct cf_tx *tx, const struct ti_taxii_query *t, int64_t horizon, struct cf_stmt **ret, struct cf_error *reterr)
{
    const struct ti_select *s = t->select;
    struct query q = {.n = 0};
    int r;

    cf_buf_init(&q.sql, 1 << 16);
    cf_buf_z(&q.sql, "SELECT q.ver_us, q.id, q.json, q.modified, q.held, q.given_mod FROM (SELECT o.*, CASE WHEN o.type <> 'indicator' OR EXISTS"
                     " (SELECT 1 FROM ti_indicator i WHERE i.ext_id = o.id AND i.out_id IS NULL AND ");
    r = ti_select_sql(s, &q.sql, q.v, &q.n, reterr);
    add(&q, ") THEN 1 ELSE 0 END AS held FROM ti_object o WHERE o.tlp <= ? AND ", CF_I(s->tlp_max));
    add_dates(&q, t, "o.ver_us", horizon);
    add(&q, ") q WHERE (q.held = 1 OR (q.out_tlp <= ?", CF_I(s->tlp_max));
    add(&q, " AND q.out_conf >= ?", CF_I(s->min_confidence));
    add(&q, " AND NOT EXISTS (SELECT 1 FROM ti_indicator x WHERE x.ext_id = q.id AND x.out_id IS NULL AND x.status IN ('active', 'expired') AND x.valid_until_us > 0 AND x.valid_until_us <= ?"
            " AND x.ver_us < x.valid_until_us)))",
        CF_I(cf_now_us()));
    if (t->n_ids)
        add_texts(&q, " AND q.id IN (", t->id, t->n_ids);
    if (t->n_types)
        add_texts(&q, " AND q.type IN (", t->type, t->n_types);
    if (t->n_versions)
        add_texts(&q, " AND COALESCE(q.given_mod, q.modified) IN (", t->version, t->n_versions * TI_TAXII_SPELLINGS);
    if (t->spec == 20 || t->spec == 21)
        cf_buf_printf(&q.sql, " AND q.json %sLIKE '%%\"spec_version\":\"2.1\"%%'", t->spec == 20 ? "NOT " : "");
    cf_buf_z(&q.sql, " ORDER BY q.ver_us");
    return run(tx, &q, r, t->limit, ret, reterr);
}

/* Columns: 0 date, 1 id, 2 type, 3 value, 4 TLP, 5 created, 6 modified */
static int open_ended(struct cf_tx *tx, const struct ti_taxii_query *t, int64_t horizon, struct cf_stmt **ret, struct cf_error *reterr)
{
    struct query q = {.n = 0};
    int r;

    cf_buf_init(&q.sql, 1 << 16);
    cf_buf_z(&q.sql, "SELECT i.ver_us, i.id, i.type, i.value, i.tlp, i.created_us, i.modified_us FROM ti_ended i WHERE ");
    add_dates(&q, t, "i.ver_us", horizon);
    add(&q, " AND i.tlp <= ?", CF_I(t->select->tlp_max));
    add(&q, " AND i.confidence >= ?", CF_I(t->select->min_confidence));
    r = ti_types_sql(t->select->types, &q.sql, q.v, &q.n, reterr);
    if (t->n_ids)
        add_ids(&q, t, " AND i.id IN (");
    if (t->n_versions)
        add_versions(&q, t, " AND i.modified_us / 1000 IN (");
    cf_buf_z(&q.sql, " ORDER BY i.ver_us");
    return run(tx, &q, r, t->limit, ret, reterr);
}

/* ---- objects of the rows ---------------------------------------------------------------------------------------------------------- */

static json_t *of_row(const struct cf_stmt *st)
{
    const struct ti_stix_gone g = {.id = cf_stmt_str(st, 20), .type = cf_stmt_str(st, 1), .value = cf_stmt_str(st, 2), .tlp = cf_stmt_i64(st, 23), .created_us = cf_stmt_i64(st, 16),
                                   .modified_us = cf_stmt_i64(st, 17)};

    return cf_stmt_i64(st, 22) ? ti_stix_of_row(st) : ti_stix_gone(&g);
}

static json_t *of_object(const struct cf_stmt *st)
{
    cf_str text = cf_stmt_str(st, 2), ours = cf_stmt_str(st, 5);
    json_t *o = json_loadb(text.p ? text.p : "", text.n, 0, NULL);

    if (o && cf_stmt_i64(st, 4) == 0)
        (void)json_object_set_new(o, "revoked", json_true());
    if (o && ours.n)
        (void)json_object_set_new(o, "modified", json_stringn(ours.p, ours.n));
    return o;
}

static json_t *of_ended(const struct cf_stmt *st)
{
    const struct ti_stix_gone g = {.id = cf_stmt_str(st, 1), .type = cf_stmt_str(st, 2), .value = cf_stmt_str(st, 3), .tlp = cf_stmt_i64(st, 4), .created_us = cf_stmt_i64(st, 5),
                                   .modified_us = cf_stmt_i64(st, 6)};

    return ti_stix_gone(&g);
}

json_t *ti_taxii_date(int64_t us)
{
    char b[32];
    int64_t s = us / CF_US_PER_S;

    (void)cf_time_format(s * CF_US_PER_S, b); /* 2026-01-01T00:00:00Z */
    return json_sprintf("%.19s.%06lldZ", b, (long long)(us - s * CF_US_PER_S));
}

static void give(struct ti_taxii_page *p, const struct ti_taxii_query *t, json_t *takes, int64_t added)
{
    json_t *o = takes, *modified = json_object_get(takes, "modified");
    json_t *version = modified ? json_incref(modified) : json_string("1970-01-01T00:00:00.000Z");

    if (t->what == TI_TAXII_MANIFEST)
        o = json_pack("{s:O,s:o,s:O,s:s}", "id", json_object_get(takes, "id"), "date_added", ti_taxii_date(added), "version", version, "media_type",
                      json_object_get(takes, "spec_version") ? "application/stix+json;version=2.1" : "application/stix+json;version=2.0");
    else if (t->what == TI_TAXII_VERSIONS)
        o = json_incref(version);
    if (o != takes)
        json_decref(takes);
    json_decref(version);
    (void)json_array_append_new(p->out, o);
    if (p->n++ == 0)
        p->first_us = added;
}

struct stream {
    struct cf_stmt *st;
    int col, have; /* col: of the date; have: as cf_stmt_next said */
    json_t *(*object)(const struct cf_stmt *);
};

static int merge(struct stream *s, size_t n, const struct ti_taxii_query *t, struct ti_taxii_page *p, struct cf_error *reterr)
{
    int r = 0;

    for (size_t i = 0; i < n && r >= 0; i++)
        r = s[i].have = s[i].st ? cf_stmt_next(s[i].st, reterr) : 0;
    while (r >= 0) {
        struct stream *next = NULL;
        json_t *o;

        for (size_t i = 0; i < n; i++)
            if (s[i].have == 1 && (!next || cf_stmt_i64(s[i].st, s[i].col) < cf_stmt_i64(next->st, next->col)))
                next = &s[i];
        p->more = next && p->n == t->limit;
        if (!next || p->more)
            break;
        p->last_us = cf_stmt_i64(next->st, next->col);
        o = next->object(next->st);
        if (o)
            give(p, t, o, p->last_us);
        r = next->have = cf_stmt_next(next->st, reterr);
    }
    return r < 0 ? r : 0;
}

static bool wanted(const struct ti_taxii_query *t, cf_str type)
{
    bool yes = t->n_types == 0;

    for (size_t i = 0; i < t->n_types; i++)
        yes = yes || cf_str_eq(t->type[i], type);
    return yes;
}

int ti_taxii_page(struct cf_db *db, const struct ti_taxii_query *t, struct ti_taxii_page *ret, struct cf_error *reterr)
{
    bool ours = wanted(t, CF_STR("indicator")) && t->spec != 20;
    struct stream s[] = {{.col = 21, .object = of_row}, {.col = 0, .object = of_object}, {.col = 0, .object = of_ended}};
    struct cf_tx *tx = NULL;
    int64_t horizon = 0;
    int r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);

    *ret = (struct ti_taxii_page){.out = json_array(), .last_us = t->after_us};
    if (r == 0)
        r = ti_horizon(tx, &horizon, reterr);
    if (r == 0 && ours)
        r = open_rows(tx, t, horizon, &s[0].st, reterr);
    if (r == 0)
        r = open_objects(tx, t, horizon, &s[1].st, reterr);
    if (r == 0 && ours)
        r = open_ended(tx, t, horizon, &s[2].st, reterr);
    if (r == 0)
        r = merge(s, sizeof s / sizeof *s, t, ret, reterr);
    for (size_t i = 0; i < sizeof s / sizeof *s; i++)
        cf_stmt_free(s[i].st);
    cf_tx_rollback(&tx);
    if (r < 0) {
        json_decref(ret->out);
        ret->out = NULL;
    }
    return r;
}
