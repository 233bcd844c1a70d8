/* SPDX-License-Identifier: Apache-2.0
 * MISP events: attributes, also inside objects, become indicators; tags give TLP and techniques, galaxies give family and
 * group. Attributes that are no indicators (text, attachments ...) are reported as not matchable. */
#include "base/jstr.h"
#include "ti/ti_int.h"

#include <stdio.h>
#include <stdlib.h>

/* MISP writes numbers as numbers or as text */
static int64_t num(const json_t *o, const char *key)
{
    const json_t *j = json_object_get(o, key);
    int64_t n = 0;

    if (json_is_integer(j))
        return json_integer_value(j);
    (void)cf_str_i64(cf_json_text(o, key), &n);
    return n;
}

static int64_t when(const json_t *o, const char *key)
{
    cf_str s = cf_json_text(o, key);
    int64_t us = 0;

    if (s.n && cf_time_parse(s, &us))
        return us;
    us = num(o, key);
    return us > 0 && us < INT64_C(253402300800) ? us * CF_US_PER_S : 0;
}

/* Which part of the value is the indicator: "name|hash" has two. */
static const struct {
    const char *misp;
    enum cf_ti_type t;
    int part; /* 0 whole, 1 before |, 2 after | */
} types[] = {
    {"ip-src", CF_TI_IPV4, 0}, {"ip-dst", CF_TI_IPV4, 0}, {"ip-src|port", CF_TI_IPV4, 1}, {"ip-dst|port", CF_TI_IPV4, 1}, {"domain", CF_TI_DOMAIN, 0},
    {"hostname", CF_TI_DOMAIN, 0}, {"hostname|port", CF_TI_DOMAIN, 1}, {"domain|ip", CF_TI_DOMAIN, 1}, {"domain|ip", CF_TI_IPV4, 2}, {"url", CF_TI_URL, 0}, {"uri", CF_TI_URL, 0},
    {"link", CF_TI_URL, 0}, {"md5", CF_TI_MD5, 0}, {"sha1", CF_TI_SHA1, 0}, {"sha256", CF_TI_SHA256, 0}, {"filename|md5", CF_TI_MD5, 2}, {"filename|sha1", CF_TI_SHA1, 2},
    {"filename|sha256", CF_TI_SHA256, 2}, {"malware-sample", CF_TI_MD5, 2}, {"email", CF_TI_EMAIL, 0}, {"email-src", CF_TI_EMAIL, 0}, {"email-dst", CF_TI_EMAIL, 0},
    {"email-reply-to", CF_TI_EMAIL, 0}, {"ja3-fingerprint-md5", CF_TI_JA3, 0}, {"x509-fingerprint-sha1", CF_TI_CERT, 0}, {"x509-fingerprint-sha256", CF_TI_CERT, 0},
    {"btc", CF_TI_WALLET, 0}, {"xmr", CF_TI_WALLET, 0}, {"target-user", CF_TI_ACCOUNT, 0}, {"github-username", CF_TI_ACCOUNT, 0},
};

struct ctx {
    struct ti_writer *w;
    struct ti_item base;
    json_t *tags, *techniques; /* of the event */
    char family[120], group[120];
};

/* tlp:amber, misp-galaxy:malpedia="Emotet", misp-galaxy:mitre-attack-pattern="... - T1071" */
static void read_tag(cf_str name, int *tlp, json_t *tags, json_t *techniques, char *family, char *group)
{
    ptrdiff_t eq = cf_str_find(name, CF_STR("=\""));
    int t = ti_tlp_parse(name);

    if (!name.n || !cf_utf8_valid(name))
        return;
    if (t >= 0 && t > *tlp)
        *tlp = t;
    if (json_array_size(tags) < 50)
        (void)json_array_append_new(tags, json_stringn(name.p, name.n));
    if (eq < 0 || name.p[name.n - 1] != '"' || name.n < (size_t)eq + 3)
        return;
    cf_str what = cf_str_sub(name, 0, (size_t)eq), value = cf_str_sub(name, (size_t)eq + 2, name.n - (size_t)eq - 3);
    if (cf_str_ifind(what, CF_STR("attack-pattern")) >= 0) {
        ptrdiff_t at = cf_str_find(value, CF_STR(" - T"));

        if (at >= 0)
            (void)json_array_append_new(techniques, json_stringn(value.p + at + 3, value.n - (size_t)at - 3));
    } else if (!family[0] && (cf_str_ifind(what, CF_STR("malpedia")) >= 0 || cf_str_ifind(what, CF_STR("malware")) >= 0 || cf_str_ifind(what, CF_STR("ransomware")) >= 0 ||
                              cf_str_ifind(what, CF_STR("banker")) >= 0 || cf_str_ifind(what, CF_STR("botnet")) >= 0 || cf_str_ifind(what, CF_STR(":rat")) >= 0)) {
        (void)snprintf(family, 120, "%.*s", CF_ARG(cf_str_sub(value, 0, 100)));
    } else if (!group[0] && (cf_str_ifind(what, CF_STR("threat-actor")) >= 0 || cf_str_ifind(what, CF_STR("intrusion-set")) >= 0)) {
        (void)snprintf(group, 120, "%.*s", CF_ARG(cf_str_sub(value, 0, 100)));
    }
}

/* type 0: met, 1: a false positive, 2: the date until which it is good (see expires) */
static int sightings(struct ti_writer *w, const json_t *a, struct cf_error *reterr)
{
    const json_t *j;
    size_t i;
    int r = 0;

    json_array_foreach(json_object_get(a, "Sighting"), i, j)
    {
        const struct ti_seen s = {.id = cf_json_text(j, "uuid"), .of = cf_json_text(a, "uuid"), .note = cf_json_text(json_object_get(j, "Organisation"), "name"),
                                  .last_us = when(j, "date_sighting"), .count = 1, .denied = num(j, "type") == 1};

        if (r == 0 && num(j, "type") < 2)
            r = ti_writer_seen(w, &s, reterr);
    }
    return r;
}

/* Sightings of type 2 say when the attribute ended; the latest counts. 0: none. */
static int64_t expires(const json_t *a)
{
    int64_t last = 0;
    const json_t *j;
    size_t i;

    json_array_foreach(json_object_get(a, "Sighting"), i, j) if (num(j, "type") == 2 && when(j, "date_sighting") > last) last = when(j, "date_sighting");
    return last;
}

static int attribute(struct ctx *c, const json_t *a, struct cf_error *reterr)
{
    cf_str type = cf_json_text(a, "type"), value = cf_json_text(a, "value");
    struct ti_item it = c->base;
    struct cf_ti_value v;
    json_t *tags = json_copy(c->tags), *techniques = json_copy(c->techniques);
    char family[120], group[120];
    bool known = false;
    const json_t *j;
    size_t i;
    int r = 0;

    memcpy(family, c->family, sizeof family);
    memcpy(group, c->group, sizeof group);
    json_array_foreach(json_object_get(a, "Tag"), i, j) read_tag(cf_json_text(j, "name"), &it.tlp, tags, techniques, family, group);
    it.value = &v;
    it.tags = tags;
    it.techniques = techniques;
    it.family = cf_str_c(family);
    it.group = cf_str_c(group);
    it.ext_id = cf_json_text(a, "uuid");
    if (cf_json_text(a, "comment").n)
        it.description = cf_json_text(a, "comment");
    it.threat_type = cf_json_text(a, "category");
    it.last_us = when(a, "timestamp") ? when(a, "timestamp") : it.last_us;
    it.first_us = when(a, "first_seen") ? when(a, "first_seen") : it.first_us;
    if (when(a, "last_seen"))
        it.last_us = when(a, "last_seen");
    it.until_us = expires(a);
    it.revoked = json_is_true(json_object_get(a, "deleted"));
    if (!json_is_true(json_object_get(a, "to_ids")) && num(a, "to_ids") == 0) /* the author says: context, not for detection */
        it.confidence = it.confidence < 0 ? (int)(c->w->source->confidence / 2) : it.confidence / 2;
    for (i = 0; i < sizeof types / sizeof *types && r == 0; i++) {
        const char *bar = value.n ? memchr(value.p, '|', value.n) : NULL;
        cf_str part = types[i].part == 0 || !bar ? value : types[i].part == 1 ? cf_str_n(value.p, (size_t)(bar - value.p)) : cf_str_sub(value, (size_t)(bar - value.p) + 1, value.n);
        const char *why;

        if (!cf_str_eqz(type, types[i].misp))
            continue;
        known = true;
        if (cf_str_eqz(type, "link") && it.confidence < 0)
            break; /* references to reports */
        if (cf_ti_value_read(part, types[i].t, &v, &why))
            r = ti_writer_add(c->w, &it, reterr);
        else
            ti_writer_bad(c->w, value, why);
    }
    if (known && r == 0)
        r = sightings(c->w, a, reterr);
    if (!known)
        ti_writer_unmatchable(c->w, it.ext_id, value, "attributes of this type are kept as text only");
    json_decref(tags);
    json_decref(techniques);
    return r;
}

static int event(struct ti_writer *w, const json_t *ev, struct cf_error *reterr)
{
    /* threat_level_id: 1 high, 2 medium, 3 low, 4 undefined */
    static const int severities[] = {-1, CF_LEVEL_HIGH, CF_LEVEL_MEDIUM, CF_LEVEL_LOW, -1};
    struct ctx c = {.w = w, .base = {.confidence = -1, .severity = -1, .tlp = -1}};
    int64_t level = num(ev, "threat_level_id");
    const json_t *a, *o;
    size_t i, k;
    int r = 0;

    c.tags = json_array();
    c.techniques = json_array();
    c.base.severity = level >= 1 && level <= 4 ? severities[level] : -1;
    c.base.description = cf_json_text(ev, "info");
    c.base.first_us = when(ev, "date");
    c.base.last_us = when(ev, "timestamp");
    json_array_foreach(json_object_get(ev, "Tag"), i, a) read_tag(cf_json_text(a, "name"), &c.base.tlp, c.tags, c.techniques, c.family, c.group);
    json_array_foreach(json_object_get(ev, "Attribute"), i, a)
    {
        if (r == 0)
            r = attribute(&c, a, reterr);
    }
    json_array_foreach(json_object_get(ev, "Object"), i, o) json_array_foreach(json_object_get(o, "Attribute"), k, a)
    {
        if (r == 0)
            r = attribute(&c, a, reterr);
    }
    w->objects++;
    json_decref(c.tags);
    json_decref(c.techniques);
    return r;
}

/* {"Event":{}}, {"response":[...]}, {"response":{"Attribute":[...]}}, [...] and an event itself */
int ti_misp_doc(struct ti_writer *w, const json_t *doc, struct cf_error *reterr)
{
    const json_t *list = json_is_array(doc) ? doc : json_object_get(doc, "response"), *j;
    size_t i;
    int r = 0;

    if (json_is_array(list)) {
        json_array_foreach(list, i, j)
        {
            w->line = (int64_t)i + 1;
            if (json_is_array(j) || json_is_array(json_object_get(j, "response")))
                ti_writer_bad(w, CF_STR(""), "lists inside lists are not MISP events");
            else
                r = ti_misp_doc(w, j, reterr);
            if (r < 0)
                return r;
        }
        return 0;
    }
    j = json_object_get(doc, "Event");
    if (!j && json_is_object(list))
        j = list;
    if (!j)
        j = doc;
    if (!json_is_array(json_object_get(j, "Attribute")) && !json_is_array(json_object_get(j, "Object"))) {
        ti_writer_bad(w, cf_json_text(j, "uuid"), "no MISP event: Attribute or Object is missing");
        return 0;
    }
    return event(w, j, reterr);
}
