/* SPDX-License-Identifier: Apache-2.0
 * The eight components of GB/T 36643-2018 as JSON (gbt_xml.c brings XML into this form). The standard defines the model but no wire format; ours is written down in
 * README.md. In: indicators become rows, the other components STIX objects with relationships. Out: the reverse. */
#include "ti/ti_int.h"

#include <stdio.h>
#include <stdlib.h>

/* component -> STIX type; order as in the standard */
static const struct component {
    const char *key, *zh, *stix;
} components[] = {
    {"observables", "可观测数据", "observed-data"}, {"indicators", "攻击指标", "indicator"}, {"incidents", "安全事件", "incident"}, {"campaigns", "攻击活动", "campaign"},
    {"threat_actors", "威胁主体", "threat-actor"}, {"targets", "攻击目标", "identity"}, {"methods", "攻击方法", "attack-pattern"}, {"actions", "应对措施", "course-of-action"},
};
#define N_COMPONENTS (sizeof components / sizeof *components)
static const struct {
    const char *key;
    const char *kind;
} refs[] = {{"actor_refs", "attributed-to"}, {"method_refs", "uses"}, {"target_refs", "targets"}, {"campaign_refs", "related-to"}, {"incident_refs", "related-to"},
            {"action_refs", "related-to"}, {"indicator_refs", "related-to"}};

static cf_str str(const json_t *o, const char *key)
{
    const json_t *j = json_object_get(o, key);

    return json_is_string(j) ? cf_str_n(json_string_value(j), json_string_length(j)) : CF_STR_NONE;
}

static int64_t when(const json_t *o, const char *key)
{
    cf_str s = str(o, key);
    int64_t us;

    return s.n && cf_time_parse(s, &us) ? us : 0;
}

static const json_t *list_of(const json_t *doc, const struct component *c)
{
    const json_t *l = json_object_get(doc, c->key);

    return l ? l : json_object_get(doc, c->zh);
}

const char *ti_gbt_component(cf_str name, bool *ret_whole)
{
    for (size_t i = 0; i < N_COMPONENTS; i++) {
        const struct component *c = &components[i];
        size_t n = strlen(c->key) - 1;

        *ret_whole = cf_str_eqz(name, c->key) || (cf_str_starts(name, cf_str_c(c->zh)) && cf_str_eqz(cf_str_sub(name, strlen(c->zh), name.n), "列表"));
        if (*ret_whole || cf_str_eqz(name, c->zh) || (name.n == n && strncmp(c->key, name.p, n) == 0))
            return c->key;
    }
    return NULL;
}

/* "type--uuid" stays; any other id becomes one that is the same each time. */
static void stix_id(const char *type, cf_str id, char out[120])
{
    struct cf_digest d = {{0}};
    char u[37];
    const cf_str parts[] = {cf_str_c(type), id};

    if (id.n == strlen(type) + 38 && cf_str_starts(id, cf_str_c(type))) {
        (void)snprintf(out, 120, "%.*s", CF_ARG(id));
        return;
    }
    (void)cf_sha256(&d, parts, 2);
    d.b[6] = (uint8_t)((d.b[6] & 0x0f) | 0x80); /* UUIDv8 */
    d.b[8] = (uint8_t)((d.b[8] & 0x3f) | 0x80);
    ti_uuid_text(d.b, u);
    (void)snprintf(out, 120, "%s--%s", type, u);
}

/* ---- in -------------------------------------------------------------------------------------------------------------------- */

static const char *type_of_ref(const json_t *doc, cf_str id)
{
    for (size_t c = 0; c < N_COMPONENTS; c++) {
        const json_t *j;
        size_t i;

        json_array_foreach(list_of(doc, &components[c]), i, j) if (cf_str_eq(str(j, "id"), id)) return components[c].stix;
    }
    return NULL;
}

static int relations(struct ti_writer *w, const json_t *doc, const json_t *o, const char *from, struct cf_error *reterr)
{
    int r = 0;

    for (size_t k = 0; k < sizeof refs / sizeof *refs && r == 0; k++) {
        const json_t *j;
        size_t i;

        json_array_foreach(json_object_get(o, refs[k].key), i, j)
        {
            cf_str ref = json_is_string(j) ? cf_str_n(json_string_value(j), json_string_length(j)) : CF_STR_NONE;
            const char *type = ref.n ? type_of_ref(doc, ref) : NULL;
            char to[120], id[120], key[400];
            json_t *rel;

            if (!type) {
                ti_writer_bad(w, ref, "a reference to a component that is not in the document");
                continue;
            }
            stix_id(type, ref, to);
            (void)snprintf(key, sizeof key, "%s|%s|%s", from, refs[k].kind, to);
            stix_id("relationship", cf_str_c(key), id);
            rel = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "type", "relationship", "spec_version", "2.1", "id", id, "relationship_type", refs[k].kind, "source_ref", from,
                            "target_ref", to);
            r = rel ? ti_writer_object(w, rel, CF_STR("relationship"), cf_str_c(id), -1, true, reterr) : CF_ENOMEM;
            json_decref(rel);
            if (r < 0)
                return r;
        }
    }
    return r;
}

static int observable(struct ti_writer *w, const json_t *ob, const struct ti_item *base, struct cf_error *reterr)
{
    enum cf_ti_type t = CF_TI_ANY;
    struct ti_item it = *base;
    struct cf_ti_value v;
    const char *why = "value is missing";

    (void)cf_ti_type_parse(str(ob, "type"), &t);
    if (!str(ob, "value").n || !cf_ti_value_read(str(ob, "value"), t, &v, &why)) {
        ti_writer_bad(w, str(ob, "value"), why);
        return 0;
    }
    it.value = &v;
    return ti_writer_add(w, &it, reterr);
}

static const json_t *observable_by_id(const json_t *doc, cf_str id)
{
    const json_t *j;
    size_t i;

    json_array_foreach(list_of(doc, &components[0]), i, j) if (cf_str_eq(str(j, "id"), id)) return j;
    return NULL;
}

struct pat {
    struct ti_writer *w;
    struct ti_item *it;
};
static int on_atom(void *ctx, const struct ti_atom *a, struct cf_error *reterr)
{
    struct pat *p = ctx;

    p->it->value = &a->value;
    p->it->cond = cf_str_c(a->cond);
    return ti_writer_add(p->w, p->it, reterr);
}

static int indicator(struct ti_writer *w, const json_t *doc, const json_t *o, const char *id, struct cf_error *reterr)
{
    struct ti_item it = {.confidence = -1, .severity = ti_severity_parse(str(o, "severity")), .tlp = ti_tlp_parse(str(o, "tlp")), .ext_id = cf_str_c(id),
                         .threat_type = str(o, "threat_type"), .family = str(o, "family"), .group = str(o, "group"), .from_us = when(o, "valid_from"),
                         .until_us = when(o, "valid_until"), .first_us = when(o, "first_seen"), .last_us = when(o, "last_seen"),
                         .description = str(o, "description").n ? str(o, "description") : str(o, "name"), .techniques = json_object_get(o, "techniques"),
                         .tags = json_object_get(o, "tags")};
    const json_t *conf = json_object_get(o, "confidence"), *j;
    size_t i, n = 0;
    int r = 0;

    if (json_is_integer(conf) && json_integer_value(conf) >= 0 && json_integer_value(conf) <= 100)
        it.confidence = (int)json_integer_value(conf);
    json_array_foreach(json_object_get(o, "observables"), i, j)
    {
        if (r == 0)
            r = observable(w, j, &it, reterr);
        n++;
    }
    json_array_foreach(json_object_get(o, "observable_refs"), i, j)
    {
        const json_t *ob = json_is_string(j) ? observable_by_id(doc, cf_str_c(json_string_value(j))) : NULL;

        if (!ob)
            ti_writer_bad(w, json_is_string(j) ? cf_str_c(json_string_value(j)) : CF_STR(""), "a reference to an observable that is not in the document");
        else if (r == 0)
            r = observable(w, ob, &it, reterr);
        n++;
    }
    if (r == 0 && n == 0 && str(o, "pattern").n) {
        struct cf_error err = {0};
        struct pat p = {w, &it};

        r = ti_pattern_atoms(str(o, "pattern"), on_atom, &p, &err);
        if (r == CF_EUNSUPPORTED || r == CF_EINVAL || r == CF_ESYNTAX) {
            ti_writer_unmatchable(w, cf_str_c(id), str(o, "pattern"), err.msg);
            r = 0;
        } else if (r < 0 && reterr) {
            *reterr = err;
        }
    } else if (n == 0) {
        ti_writer_bad(w, str(o, "id"), "an indicator needs observables, observable_refs or pattern");
    }
    return r;
}

int ti_gbt_doc(struct ti_writer *w, const json_t *doc, struct cf_error *reterr)
{
    size_t found = 0;
    int r = 0;

    if (!json_is_object(doc))
        return cf_error_set(reterr, CF_ESYNTAX, "a GB/T 36643 document is a JSON object");
    for (size_t c = 0; c < N_COMPONENTS && r == 0; c++) {
        const json_t *l = list_of(doc, &components[c]), *o;
        size_t i;

        if (!l)
            continue;
        found++;
        json_array_foreach(l, i, o)
        {
            char id[120], now[32];
            json_t *copy;

            w->line = (int64_t)i + 1;
            if (!json_is_object(o) || !str(o, "id").n || str(o, "id").n > 200) {
                ti_writer_bad(w, cf_str_c(components[c].key), "a component needs an id");
                continue;
            }
            stix_id(components[c].stix, str(o, "id"), id);
            if (c == 1)
                r = indicator(w, doc, o, id, reterr);
            else { /* observables too: they are kept beside the indicators that use them */
                copy = json_deep_copy(o);
                now[cf_time_format(w->now_us, now)] = 0;
                (void)json_object_set_new(copy, "type", json_string(components[c].stix));
                (void)json_object_set_new(copy, "spec_version", json_string("2.1"));
                (void)json_object_set_new(copy, "id", json_string(id));
                (void)json_object_set_new(copy, "x_gbt36643", json_deep_copy(o));
                if (!json_object_get(copy, "created"))
                    (void)json_object_set_new(copy, "created", json_string(now));
                if (!json_object_get(copy, "modified"))
                    (void)json_object_set_new(copy, "modified", json_string(now));
                r = ti_writer_object(w, copy, cf_str_c(components[c].stix), cf_str_c(id), -1, true, reterr);
                json_decref(copy);
            }
            if (r == 0)
                r = relations(w, doc, o, id, reterr);
            if (r < 0)
                return r;
        }
    }
    if (found == 0)
        return cf_error_set(reterr, CF_ESYNTAX, "none of the eight components (observables, indicators, incidents, campaigns, threat_actors, targets, methods, actions) is there");
    return r;
}

/* ---- out ------------------------------------------------------------------------------------------------------------------- */

static void set(json_t *o, const char *key, cf_str s)
{
    if (s.n)
        (void)json_object_set_new(o, key, json_stringn(s.p, s.n));
}

static int rows_out(struct cf_tx *tx, json_t *doc, const char *where, const struct cf_dbval *v, size_t n_v, int64_t limit, struct cf_error *reterr)
{
    json_t *obs = json_array(), *inds = json_array();
    struct cf_stmt *st = NULL;
    struct cf_buf sql;
    int r;

    cf_buf_init(&sql, 1 << 20);
    cf_buf_printf(&sql, "SELECT " TI_STIX_COLS " FROM ti_indicator i JOIN ti_source s ON s.id = i.source_id WHERE %s ORDER BY i.added_us, i.id LIMIT %lld", where, (long long)limit);
    r = cf_tx_queryv(tx, cf_buf_cstr(&sql), v, n_v, &st, reterr);
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        json_t *o = json_object();
        cf_str id = cf_stmt_str(st, 0), tech = cf_stmt_str(st, 14);

        (void)json_array_append_new(obs, json_pack("{s:o,s:s%,s:s%}", "id", json_sprintf("observable--%.*s", CF_ARG(id)), "type", cf_stmt_str(st, 1).p, cf_stmt_str(st, 1).n,
                                                   "value", cf_stmt_str(st, 2).p, cf_stmt_str(st, 2).n));
        (void)json_object_set_new(o, "id", json_sprintf("indicator--%.*s", CF_ARG(id)));
        (void)json_object_set_new(o, "observable_refs", json_pack("[o]", json_sprintf("observable--%.*s", CF_ARG(id))));
        set(o, "threat_type", cf_stmt_str(st, 3));
        set(o, "family", cf_stmt_str(st, 4));
        set(o, "group", cf_stmt_str(st, 5));
        (void)json_object_set_new(o, "confidence", json_integer(cf_stmt_i64(st, 6)));
        (void)json_object_set_new(o, "severity", json_string(ti_severity_name(cf_stmt_i64(st, 7))));
        (void)json_object_set_new(o, "tlp", json_string(ti_tlp_name(cf_stmt_i64(st, 8))));
        if (cf_stmt_i64(st, 9) > 0)
            (void)json_object_set_new(o, "valid_from", ti_time(cf_stmt_i64(st, 9)));
        if (cf_stmt_i64(st, 10) > 0)
            (void)json_object_set_new(o, "valid_until", ti_time(cf_stmt_i64(st, 10)));
        set(o, "description", cf_stmt_str(st, 12));
        if (tech.n)
            (void)json_object_set_new(o, "techniques", json_loadb(tech.p, tech.n, 0, NULL));
        set(o, "source", cf_stmt_str(st, 18));
        (void)json_array_append_new(inds, o);
        r = 0;
    }
    cf_stmt_free(st);
    cf_buf_release(&sql);
    (void)json_object_set_new(doc, components[0].key, obs);
    (void)json_object_set_new(doc, components[1].key, inds);
    return r;
}

static int objects_out(struct cf_tx *tx, json_t *doc, const struct component *c, struct cf_error *reterr)
{
    json_t *list = json_array();
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT json FROM ti_object WHERE type = ? ORDER BY added_us, id LIMIT 20000", &st, reterr, CF_Z(c->stix));

    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        json_t *j = json_loadb(cf_stmt_str(st, 0).p, cf_stmt_str(st, 0).n, 0, NULL), *mine = json_object_get(j, "x_gbt36643"), *o;

        if (mine) {
            (void)json_array_append(list, mine);
        } else if (j) {
            o = json_object();
            set(o, "id", str(j, "id"));
            set(o, "name", str(j, "name"));
            set(o, "description", str(j, "description"));
            if (json_object_get(j, "aliases"))
                (void)json_object_set(o, "aliases", json_object_get(j, "aliases"));
            (void)json_array_append_new(list, o);
        }
        json_decref(j);
        r = 0;
    }
    cf_stmt_free(st);
    (void)json_object_set_new(doc, c->key, list);
    return r;
}

json_t *ti_gbt_export(struct cf_db *db, const char *where, const struct cf_dbval *v, size_t n_v, int64_t limit, struct cf_error *reterr)
{
    json_t *doc = json_pack("{s:s,s:i,s:o}", "standard", "GB/T 36643-2018", "format", 1, "created", ti_time(cf_now_us()));
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = rows_out(tx, doc, where, v, n_v, limit, reterr);
    for (size_t c = 2; c < N_COMPONENTS && r == 0; c++)
        r = objects_out(tx, doc, &components[c], reterr);
    cf_tx_rollback(&tx);
    if (r < 0) {
        json_decref(doc);
        return NULL;
    }
    return doc;
}
