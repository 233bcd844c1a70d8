/* SPDX-License-Identifier: Apache-2.0
 * Enrichment; see enrich.h. */
#include "enrich/enrich.h"

#include <maxminddb.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/prefix.h"

struct asset {
    cf_str id, name, org, org_name, importance;
};
struct cf_enricher {
    struct cf_arena arena;
    struct cf_prefix_table *prefix;
    size_t n_assets, n_orgs;
    struct asset *asset;
    struct cf_enrich_org *org; /* sorted by id */
    uint16_t name_id, name_name, name_importance;
    MMDB_s geo;
    bool geo_on;
};

static int org_cmp(const void *a, const void *b)
{
    const struct cf_enrich_org *x = a, *y = b;

    return cf_str_cmp(x->id, y->id);
}

static bool copy_assets(struct cf_enricher *e, const struct cf_enrich_asset *a, size_t n)
{
    struct cf_prefix *p = calloc(n + 1, sizeof *p);
    size_t k = 0;

    e->asset = CF_NEW_N(&e->arena, struct asset, n + 1);
    if (!p || !e->asset) {
        free(p);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        struct cf_cidr net;

        if (!cf_cidr_parse(a[i].net, &net)) {
            if (!cf_ip_parse(a[i].net, &net.ip))
                continue;
            net.bits = 128;
        }
        p[k] = (struct cf_prefix){net, (uint32_t)k};
        e->asset[k].id = cf_arena_copy(&e->arena, a[i].id);
        e->asset[k].name = cf_arena_copy(&e->arena, a[i].name);
        e->asset[k].org = cf_arena_copy(&e->arena, a[i].org);
        e->asset[k].org_name = cf_arena_copy(&e->arena, a[i].org_name);
        e->asset[k].importance = cf_arena_printf(&e->arena, "%lld", (long long)a[i].importance);
        k++;
    }
    e->n_assets = k;
    e->prefix = cf_prefix_table_new(p, k);
    free(p);
    return e->prefix != NULL;
}

static bool copy_orgs(struct cf_enricher *e, const struct cf_enrich_org *o, size_t n)
{
    e->org = CF_NEW_N(&e->arena, struct cf_enrich_org, n + 1);
    if (!e->org)
        return false;
    for (size_t i = 0; i < n; i++)
        e->org[i] = (struct cf_enrich_org){cf_arena_copy(&e->arena, o[i].id), cf_arena_copy(&e->arena, o[i].name)};
    e->n_orgs = n;
    if (n)
        qsort(e->org, n, sizeof *e->org, org_cmp);
    return true;
}

int cf_enricher_new(const struct cf_enrich_asset *assets, size_t n_assets, const struct cf_enrich_org *orgs, size_t n_orgs, const char *geo_path,
                    struct cf_enricher **ret, struct cf_error *reterr)
{
    struct cf_enricher *e = calloc(1, sizeof *e);
    int r;

    if (!e)
        return cf_error_set(reterr, CF_ENOMEM, "asset table");
    cf_arena_init(&e->arena, 0, 0);
    if (!copy_assets(e, assets, n_assets) || !copy_orgs(e, orgs, n_orgs)) {
        cf_enricher_free(e);
        return cf_error_set(reterr, CF_ENOMEM, "asset table");
    }
    e->name_id = cf_name_intern(CF_STR("asset.id"));
    e->name_name = cf_name_intern(CF_STR("asset.name"));
    e->name_importance = cf_name_intern(CF_STR("asset.importance"));
    if (geo_path && geo_path[0]) {
        r = MMDB_open(geo_path, MMDB_MODE_MMAP, &e->geo);
        if (r != MMDB_SUCCESS) {
            cf_enricher_free(e);
            return cf_error_set(reterr, CF_EIO, "geo database \"%s\": %s", geo_path, MMDB_strerror(r));
        }
        e->geo_on = true;
    }
    *ret = e;
    return 0;
}

void cf_enricher_free(void *p)
{
    struct cf_enricher *e = p;

    if (!e)
        return;
    if (e->geo_on)
        MMDB_close(&e->geo);
    cf_prefix_table_free(e->prefix);
    cf_arena_release(&e->arena);
    free(e);
}

size_t cf_enricher_assets(const struct cf_enricher *e) { return e->n_assets; }

static const struct asset *find_asset(const struct cf_enricher *e, const struct cf_event *ev)
{
    /* the host the event is about, then the one attacked, then the one that acts */
    static const enum cf_field order[] = {CF_F_HOST_IP, CF_F_DESTINATION_IP, CF_F_SOURCE_IP, CF_F_OBSERVER_IP};

    if (e->n_assets == 0)
        return NULL;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        for (const struct cf_value *v = cf_event_val(ev, order[i]); v; v = cf_event_next(ev, v)) {
            struct cf_ip ip;
            uint32_t k;

            if (cf_ip_parse((cf_str){v->p, v->n}, &ip) && cf_prefix_find(e->prefix, &ip, &k))
                return &e->asset[k];
        }
    return NULL;
}

static cf_str org_name(const struct cf_enricher *e, cf_str id)
{
    struct cf_enrich_org key = {.id = id}, *o = bsearch(&key, e->org, e->n_orgs, sizeof *e->org, org_cmp);

    return o ? o->name : CF_STR_NONE;
}

static bool is_public(const struct cf_ip *ip)
{
    if (!cf_ip_is4(ip))
        return (ip->b[0] & 0xe0) == 0x20;
    return !(ip->b[12] == 10 || ip->b[12] == 127 || (ip->b[12] == 172 && (ip->b[13] & 0xf0) == 16) || (ip->b[12] == 192 && ip->b[13] == 168) ||
             ip->b[12] == 0 || ip->b[12] >= 224);
}

static int add_geo(const struct cf_enricher *e, struct cf_event *ev, enum cf_field from, enum cf_field country, enum cf_field city)
{
    cf_str text = cf_event_get(ev, from);
    MMDB_lookup_result_s found;
    MMDB_entry_data_s d;
    struct cf_ip ip;
    char z[46];
    int gai, err, r = 0;

    if (!text.p || text.n >= sizeof z || !cf_ip_parse(text, &ip) || !is_public(&ip) || cf_event_val(ev, country))
        return 0;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    found = MMDB_lookup_string(&e->geo, z, &gai, &err);
    if (gai != 0 || err != MMDB_SUCCESS || !found.found_entry)
        return 0;
    if (MMDB_get_value(&found.entry, &d, "country", "iso_code", NULL) == MMDB_SUCCESS && d.has_data && d.type == MMDB_DATA_TYPE_UTF8_STRING)
        r = cf_event_set(ev, country, cf_str_n(d.utf8_string, d.data_size)); /* the map outlives the batch */
    if (r == 0 && (MMDB_get_value(&found.entry, &d, "city", "names", "zh-CN", NULL) == MMDB_SUCCESS ||
                   MMDB_get_value(&found.entry, &d, "city", "names", "en", NULL) == MMDB_SUCCESS) &&
        d.has_data && d.type == MMDB_DATA_TYPE_UTF8_STRING)
        r = cf_event_set(ev, city, cf_str_n(d.utf8_string, d.data_size));
    return r;
}

int cf_enrich(const struct cf_enricher *e, struct cf_event *ev, const struct cf_record *rec, cf_str ingested)
{
    const struct asset *a = find_asset(e, ev);
    cf_str org = a ? a->org : rec->org, name;
    int r = cf_event_set(ev, CF_F_EVENT_INGESTED, ingested);

    if (r == 0 && org.n) {
        name = a && a->org_name.n ? a->org_name : org_name(e, org);
        r = cf_event_set(ev, CF_F_ORGANIZATION_ID, org);
        if (r == 0 && name.n)
            r = cf_event_set(ev, CF_F_ORGANIZATION_NAME, name);
    }
    if (r == 0 && a) {
        r = cf_event_extra(ev, e->name_id, a->id, 0, CF_V_STR);
        if (r == 0)
            r = cf_event_extra(ev, e->name_name, a->name, 0, CF_V_STR);
        if (r == 0)
            r = cf_event_extra(ev, e->name_importance, a->importance, 0, CF_V_INT);
    }
    if (r == 0 && e->geo_on)
        r = add_geo(e, ev, CF_F_SOURCE_IP, CF_F_SOURCE_GEO_COUNTRY_ISO_CODE, CF_F_SOURCE_GEO_CITY_NAME);
    if (r == 0 && e->geo_on)
        r = add_geo(e, ev, CF_F_DESTINATION_IP, CF_F_DESTINATION_GEO_COUNTRY_ISO_CODE, CF_F_DESTINATION_GEO_CITY_NAME);
    return r;
}
