/* SPDX-License-Identifier: Apache-2.0
 * Which asset and organisation an event gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "enrich/enrich.h"

static struct cf_enricher *make(void)
{
    static const struct cf_enrich_asset a[] = {
        {.net = CF_STR("10.1.0.0/16"), .id = CF_STR("net"), .name = CF_STR("branch"), .org = CF_STR("o1"), .org_name = CF_STR("Unit One"), .importance = 2},
        {.net = CF_STR("10.1.2.3"), .id = CF_STR("srv"), .name = CF_STR("portal"), .org = CF_STR("o2"), .importance = 5},
        {.net = CF_STR("2001:db8::/32"), .id = CF_STR("six"), .name = CF_STR("v6"), .org = CF_STR("o1"), .importance = 1},
        {.net = CF_STR("not an address"), .id = CF_STR("bad"), .name = CF_STR("bad"), .org = CF_STR("o1")},
    };
    static const struct cf_enrich_org o[] = {{CF_STR("o2"), CF_STR("Unit Two")}, {CF_STR("o1"), CF_STR("Unit One")}};
    struct cf_enricher *e = NULL;
    struct cf_error err = {0};

    assert_int_equal(cf_enricher_new(a, 4, o, 2, "", &e, &err), 0);
    assert_int_equal(cf_enricher_assets(e), 3);
    return e;
}

static void expect(const struct cf_enricher *e, const char *host, const char *dst, const char *src, const char *sender, const char *org, const char *name,
                   const char *asset)
{
    struct cf_record rec = {.org = cf_str_c(sender)};
    const struct cf_value *v;
    struct cf_arena a;
    struct cf_event *ev;

    cf_arena_init(&a, 0, 0);
    ev = cf_event_new(&a);
    if (host)
        assert_int_equal(cf_event_set(ev, CF_F_HOST_IP, cf_str_c(host)), 0);
    if (dst)
        assert_int_equal(cf_event_set(ev, CF_F_DESTINATION_IP, cf_str_c(dst)), 0);
    if (src)
        assert_int_equal(cf_event_set(ev, CF_F_SOURCE_IP, cf_str_c(src)), 0);
    assert_int_equal(cf_enrich(e, ev, &rec, CF_STR("2026-11-21T00:00:00Z")), 0);
    assert_true(cf_str_eq(cf_event_get(ev, CF_F_ORGANIZATION_ID), cf_str_c(org)));
    assert_true(cf_str_eq(cf_event_get(ev, CF_F_ORGANIZATION_NAME), cf_str_c(name)));
    v = cf_event_find(ev, CF_STR("asset.id"));
    assert_true(asset ? v && cf_str_eqz((cf_str){v->p, v->n}, asset) : !v);
    assert_true(cf_str_eqz(cf_event_get(ev, CF_F_EVENT_INGESTED), "2026-11-21T00:00:00Z"));
    cf_arena_release(&a);
}

static void owners(void **state)
{
    struct cf_enricher *e = make();

    (void)state;
    expect(e, NULL, "10.1.2.3", "203.0.113.1", NULL, "o2", "Unit Two", "srv"); /* most specific */
    expect(e, NULL, "10.1.9.9", NULL, NULL, "o1", "Unit One", "net");
    expect(e, NULL, NULL, "2001:db8::5", NULL, "o1", "Unit One", "six");
    expect(e, "10.1.2.3", "10.1.9.9", NULL, NULL, "o2", "Unit Two", "srv"); /* the host before the one attacked */
    expect(e, NULL, "192.0.2.1", "10.1.9.9", "o2", "o1", "Unit One", "net"); /* an asset before the sender */
    expect(e, NULL, "192.0.2.1", NULL, "o2", "o2", "Unit Two", NULL);       /* the sender's organisation */
    expect(e, NULL, "garbage", NULL, "o9", "o9", NULL, NULL);               /* unknown organisation: id only */
    expect(e, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    cf_enricher_free(e);
}

static void geo_file_missing(void **state)
{
    struct cf_enricher *e = NULL;
    struct cf_error err = {0};

    (void)state;
    assert_int_equal(cf_enricher_new(NULL, 0, NULL, 0, "/no/such/file.mmdb", &e, &err), CF_EIO);
    assert_non_null(strstr(err.msg, "/no/such/file.mmdb"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(owners), cmocka_unit_test(geo_file_missing)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
