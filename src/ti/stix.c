/* SPDX-License-Identifier: Apache-2.0
 * STIX 2.0 and 2.1 objects in and out. Indicators become rows of the library (each alternative of a pattern one row); every
 * other object is kept as it is, relationships also as edges. */
#include "base/jstr.h"
#include "ti/ti_int.h"

#include <stdio.h>
#include <stdlib.h>

static int64_t when(const json_t *o, const char *key)
{
    cf_str s = cf_json_text(o, key);
    int64_t us;

    return s.n && cf_time_parse(s, &us) ? us : 0;
}

/* ---- in ------------------------------------------------------------------------------------------------------------------- */

struct one {
    struct ti_writer *w;
    struct ti_item item;
};

static int on_atom(void *ctx, const struct ti_atom *atom, struct cf_error *reterr)
{
    struct one *o = ctx;

    o->item.value = &atom->value;
    o->item.cond = cf_str_c(atom->cond);
    return ti_writer_add(o->w, &o->item, reterr);
}

static int tlp_of(const json_t *obj)
{
    static const struct {
        const char *id;
        int tlp;
    } known[] = {{"marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9", 0}, {"marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", 0},
                 {"marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da", 1}, {"marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb", 1},
                 {"marking-definition--f88d31f6-486f-44da-b317-01333bde0b82", 2}, {"marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421", 2},
                 {"marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003", 3}, {"marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed", 4},
                 {"marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1", 4}};
    const json_t *j;
    size_t i;
    int tlp = -1;

    json_array_foreach(json_object_get(obj, "object_marking_refs"), i, j) for (size_t k = 0; k < sizeof known / sizeof *known; k++)
    {
        if (json_is_string(j) && strcmp(json_string_value(j), known[k].id) == 0 && known[k].tlp > tlp)
            tlp = known[k].tlp;
    }
    return tlp;
}

const char *ti_tlp_marking(int64_t tlp)
{
    static const char *const ids[] = {"marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
                                      "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421", "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
                                      "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"};

    return ids[tlp < 0 || tlp > 4 ? 4 : tlp];
}

/* indicator_types of 2.1, labels of 2.0; techniques from kill chain phases are tactics only, so from external references. */
static json_t *techniques_of(const json_t *obj)
{
    json_t *out = json_array();
    const json_t *j;
    size_t i;

    json_array_foreach(json_object_get(obj, "external_references"), i, j)
    {
        cf_str id = cf_json_text(j, "external_id");

        if (id.n >= 5 && id.n < 12 && id.p[0] == 'T' && id.p[1] >= '0' && id.p[1] <= '9' && cf_str_istarts(cf_json_text(j, "source_name"), CF_STR("mitre")))
            (void)json_array_append_new(out, json_stringn(id.p, id.n));
    }
    return out;
}

static int read_indicator(struct ti_writer *w, const json_t *obj, bool *matchable, struct cf_error *reterr)
{
    cf_str pattern = cf_json_text(obj, "pattern"), type = cf_json_text(obj, "pattern_type"), id = cf_json_text(obj, "id");
    const json_t *labels = json_object_get(obj, "indicator_types"), *conf = json_object_get(obj, "confidence");
    struct one o = {.w = w, .item = {.confidence = -1, .severity = -1, .tlp = tlp_of(obj)}};
    struct cf_error err = {0};
    json_t *techniques;
    int r;

    if (!labels || json_array_size(labels) == 0)
        labels = json_object_get(obj, "labels");
    if (!pattern.n || (type.n && !cf_str_eqz(type, "stix"))) {
        ti_writer_unmatchable(w, id, pattern.n ? pattern : CF_STR(""), pattern.n ? "the pattern is not in the STIX language" : "the indicator has no pattern");
        return 0;
    }
    o.item.ext_id = id;
    o.item.description = cf_json_text(obj, "description").n ? cf_json_text(obj, "description") : cf_json_text(obj, "name");
    o.item.threat_type = json_is_string(json_array_get(labels, 0)) ? cf_str_c(json_string_value(json_array_get(labels, 0))) : CF_STR_NONE;
    o.item.family = cf_json_text(obj, "x_chengfang_family");
    o.item.group = cf_json_text(obj, "x_chengfang_group");
    if (cf_json_text(obj, "x_chengfang_severity").n)
        o.item.severity = ti_severity_parse(cf_json_text(obj, "x_chengfang_severity"));
    if (json_is_integer(conf) && json_integer_value(conf) >= 0 && json_integer_value(conf) <= 100)
        o.item.confidence = (int)json_integer_value(conf);
    o.item.from_us = when(obj, "valid_from");
    o.item.until_us = when(obj, "valid_until");
    o.item.first_us = o.item.from_us;
    o.item.last_us = when(obj, "modified");
    o.item.revoked = json_is_true(json_object_get(obj, "revoked"));
    o.item.tags = (json_t *)(uintptr_t)json_object_get(obj, "labels");
    techniques = techniques_of(obj);
    o.item.techniques = techniques;
    r = ti_pattern_atoms(pattern, on_atom, &o, &err);
    json_decref(techniques);
    if (r == CF_EUNSUPPORTED || r == CF_EINVAL || (r == CF_ELIMIT && w->read < TI_IMPORT_ROWS_MAX)) {
        ti_writer_unmatchable(w, id, pattern, err.msg);
        return 0;
    }
    if (r == CF_ESYNTAX) {
        ti_writer_bad(w, pattern, err.msg);
        return 0;
    }
    if (r < 0 && reterr)
        *reterr = err;
    *matchable = r == 0;
    return r;
}

static int read_sighting(struct ti_writer *w, const json_t *obj, struct cf_error *reterr)
{
    const json_t *count = json_object_get(obj, "count");
    const struct ti_seen s = {.id = cf_json_text(obj, "id"), .of = cf_json_text(obj, "sighting_of_ref"), .note = cf_json_text(obj, "description"), .first_us = when(obj, "first_seen"),
                              .last_us = when(obj, "last_seen") ? when(obj, "last_seen") : when(obj, "modified"), .count = json_is_integer(count) ? json_integer_value(count) : 1};

    return cf_str_starts(s.of, CF_STR("indicator--")) && !json_is_true(json_object_get(obj, "revoked")) ? ti_writer_seen(w, &s, reterr) : 0;
}

int ti_stix_object(struct ti_writer *w, const json_t *obj, struct cf_error *reterr)
{
    cf_str type = cf_json_text(obj, "type"), id = cf_json_text(obj, "id");
    bool matchable = false;
    int r = 0;

    if (!json_is_object(obj) || !type.n || !id.n || id.n > 200 || type.n > 100) {
        ti_writer_bad(w, id.n ? id : type, "not a STIX object: type and id are needed");
        return 0;
    }
    if (id.n < type.n + 2 || !cf_str_starts(id, type) || id.p[type.n] != '-') {
        ti_writer_bad(w, id, "the id does not begin with the object's type");
        return 0;
    }
    if (cf_str_eqz(type, "indicator"))
        r = read_indicator(w, obj, &matchable, reterr);
    else if (cf_str_eqz(type, "sighting"))
        r = read_sighting(w, obj, reterr);
    return r < 0 ? r : ti_writer_object(w, obj, type, id, tlp_of(obj), matchable, reterr);
}

/* ---- out ------------------------------------------------------------------------------------------------------------------- */

json_t *ti_time(int64_t us)
{
    char b[32];

    if (us <= 0)
        return json_null();
    return json_stringn(b, cf_time_format(us, b));
}

/* STIX wants milliseconds at least */
static json_t *stix_time(int64_t us)
{
    char b[32];
    cf_str s = {b, cf_time_format(us / 1000 * 1000, b)};
    const char *dot = memchr(b, '.', s.n);
    char out[48];

    if (!dot)
        (void)snprintf(out, sizeof out, "%.*s.000Z", (int)(s.n - 1), b);
    else
        (void)snprintf(out, sizeof out, "%.*sZ", (int)(dot - b) + 4, b);
    return json_string(out);
}

static void quoted(struct cf_buf *out, cf_str v)
{
    cf_buf_byte(out, '\'');
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '\'' || v.p[i] == '\\')
            cf_buf_byte(out, '\\');
        cf_buf_byte(out, v.p[i]);
    }
    cf_buf_byte(out, '\'');
}

void ti_pattern_text(enum cf_ti_type t, cf_str value, struct cf_buf *out)
{
    static const char *const paths[CF_TI_TYPES] = {"ipv4-addr:value", "ipv6-addr:value", "ipv4-addr:value", "domain-name:value", "url:value", "file:hashes.MD5",
                                                   "file:hashes.'SHA-1'", "file:hashes.'SHA-256'", "email-addr:value", "x-ja3:value", "x-ja4:value",
                                                   "x509-certificate:hashes.'SHA-256'", "user-account:account_login", "x-cryptocurrency-wallet:value"};
    const char *path = paths[t];

    if (t == CF_TI_CIDR && memchr(value.p, ':', value.n))
        path = "ipv6-addr:value";
    if (t == CF_TI_CERT && value.n == 40)
        path = "x509-certificate:hashes.'SHA-1'";
    cf_buf_printf(out, "[%s = ", path);
    quoted(out, value);
    cf_buf_byte(out, ']');
}

static void set_str(json_t *o, const char *key, cf_str s)
{
    if (s.n)
        (void)json_object_set_new(o, key, json_stringn(s.p, s.n));
}

json_t *ti_stix_of_row(const struct cf_stmt *st)
{
    cf_str id = cf_stmt_str(st, 20), type = cf_stmt_str(st, 1), value = cf_stmt_str(st, 2), tags = cf_stmt_str(st, 13), status = cf_stmt_str(st, 15), cond = cf_stmt_str(st, 19);
    json_t *o = json_object(), *labels;
    enum cf_ti_type t = CF_TI_DOMAIN;
    struct cf_buf p;

    cf_buf_init(&p, 64 << 10);
    (void)cf_ti_type_parse(type, &t);
    ti_pattern_text(t, value, &p);
    if (cond.n)
        (void)json_object_set_new(o, "x_chengfang_conditions", json_stringn(cond.p, cond.n));
    (void)json_object_set_new(o, "type", json_string("indicator"));
    (void)json_object_set_new(o, "spec_version", json_string("2.1"));
    (void)json_object_set_new(o, "id", json_sprintf("indicator--%.*s", CF_ARG(id)));
    (void)json_object_set_new(o, "created", stix_time(cf_stmt_i64(st, 16)));
    (void)json_object_set_new(o, "modified", stix_time(cf_stmt_i64(st, 17)));
    (void)json_object_set_new(o, "name", json_stringn(value.p, value.n));
    set_str(o, "description", cf_stmt_str(st, 12));
    if (cf_stmt_str(st, 3).n)
        (void)json_object_set_new(o, "indicator_types", json_pack("[s%]", cf_stmt_str(st, 3).p, cf_stmt_str(st, 3).n));
    (void)json_object_set_new(o, "pattern", json_stringn(p.p, p.n));
    (void)json_object_set_new(o, "pattern_type", json_string("stix"));
    (void)json_object_set_new(o, "valid_from", stix_time(cf_stmt_i64(st, 9) > 0 ? cf_stmt_i64(st, 9) : cf_stmt_i64(st, 16)));
    if (cf_stmt_i64(st, 10) > 0)
        (void)json_object_set_new(o, "valid_until", stix_time(cf_stmt_i64(st, 10)));
    (void)json_object_set_new(o, "confidence", json_integer(cf_stmt_i64(st, 6)));
    (void)json_object_set_new(o, "object_marking_refs", json_pack("[s]", ti_tlp_marking(cf_stmt_i64(st, 8))));
    (void)json_object_set_new(o, "x_chengfang_severity", json_string(ti_severity_name(cf_stmt_i64(st, 7))));
    set_str(o, "x_chengfang_family", cf_stmt_str(st, 4));
    set_str(o, "x_chengfang_group", cf_stmt_str(st, 5));
    set_str(o, "x_chengfang_source", cf_stmt_str(st, 18));
    if (cf_str_eqz(status, "withdrawn") || cf_str_eqz(status, "false_positive"))
        (void)json_object_set_new(o, "revoked", json_true());
    labels = tags.n ? json_loadb(tags.p, tags.n, 0, NULL) : NULL;
    if (json_is_array(labels) && json_array_size(labels))
        (void)json_object_set_new(o, "labels", labels);
    else
        json_decref(labels);
    cf_buf_release(&p);
    return o;
}

json_t *ti_stix_gone(const struct ti_stix_gone *g)
{
    json_t *o = json_pack("{s:s,s:s,s:b,s:s,s:[s]}", "type", "indicator", "spec_version", "2.1", "revoked", 1, "pattern_type", "stix", "object_marking_refs", ti_tlp_marking(g->tlp));
    enum cf_ti_type t = CF_TI_DOMAIN;
    struct cf_buf p;

    cf_buf_init(&p, 64 << 10);
    (void)cf_ti_type_parse(g->type, &t);
    ti_pattern_text(t, g->value, &p);
    (void)json_object_set_new(o, "id", json_sprintf("indicator--%.*s", CF_ARG(g->id)));
    (void)json_object_set_new(o, "pattern", json_stringn(p.p, p.n));
    (void)json_object_set_new(o, "created", stix_time(g->created_us));
    (void)json_object_set_new(o, "modified", stix_time(g->modified_us));
    (void)json_object_set_new(o, "valid_from", stix_time(g->created_us));
    cf_buf_release(&p);
    return o;
}
