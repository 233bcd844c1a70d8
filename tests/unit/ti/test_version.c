/* SPDX-License-Identifier: Apache-2.0
 * What a TAXII collection gives to one who asks for what is new: each change once, none missed, withdrawn ones as revoked; and what
 * our own import does with a revoked object. */
#include "records.h"

#include <stdlib.h>

#include "asset/asset.h"
#include "directory/service.h"
#include "ti/taxii.h"

struct consumer {
    struct ti_select select;
    int64_t at, limit;
    char got[8192]; /* of the last poll: "value+ " given, "value- " revoked */
    char last_id[80];
    int64_t n, pages;
};
struct world {
    struct records r;
    struct consumer city;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    records_open(&w->r);
    records_migrate(w->r.db, directory);
    records_migrate(w->r.db, asset);
    records_migrate(w->r.db, ti);
    run_sql(w->r.db, "UPDATE ti_source SET valid_days = 0");
    w->city = (struct consumer){.select = {.types = CF_STR(""), .tlp_max = 1}, .limit = 3};
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    records_close(&w->r);
    free(w);
    return 0;
}

/* The value between the pattern's quotes, or the id of what is no indicator. */
static void add_got(struct consumer *c, const json_t *o)
{
    const char *pattern = json_string_value(json_object_get(o, "pattern")), *id = json_string_value(json_object_get(o, "id"));
    cf_str s = cf_str_c(pattern ? pattern : id);
    size_t n = strlen(c->got);

    if (pattern) {
        ptrdiff_t at = cf_str_find(s, CF_STR("= '"));

        assert_true(at > 0);
        s = cf_str_sub(s, (size_t)at + 3, s.n);
        s = cf_str_sub(s, 0, (size_t)cf_str_find(s, CF_STR("'")));
    }
    (void)snprintf(c->got + n, sizeof c->got - n, "%.*s%s ", CF_ARG(s), json_is_true(json_object_get(o, "revoked")) ? "-" : "+");
    (void)snprintf(c->last_id, sizeof c->last_id, "%s", id);
    assert_non_null(json_object_get(o, "modified"));
    c->n++;
}

/* All there is, page by page. The next page asks for what is after the last date, as a client does that came back after a break. */
static const char *poll(struct world *w, struct consumer *c)
{
    struct cf_error err = {0};
    bool more = true;

    c->got[0] = '\0';
    c->n = 0;
    for (c->pages = 0; more; c->pages++) {
        const struct ti_taxii_query q = {.select = &c->select, .after_us = c->at, .limit = c->limit};
        struct ti_taxii_page p;
        const json_t *o;
        size_t i;

        assert_ok(ti_taxii_page(w->r.db, &q, &p, &err), err);
        json_array_foreach(p.out, i, o) add_got(c, o);
        assert_true(p.n <= c->limit && (int64_t)json_array_size(p.out) == p.n);
        assert_true(p.n == 0 || (p.first_us > c->at && p.last_us >= p.first_us));
        c->at = p.last_us;
        more = p.more;
        json_decref(p.out);
    }
    return c->got;
}

static void import_as(struct world *w, const char *text, const char *import_id, bool active, struct ti_writer *ret)
{
    static struct ti_source src;
    const struct ti_import_options o = {.type = CF_TI_ANY};
    struct ti_import *im = NULL;
    struct cf_error err = {0};
    int64_t last = sql_number(w->r.db, "SELECT COALESCE(MAX(updated_us), 0) FROM ti_indicator");

    assert_ok(ti_source_read(w->r.db, CF_STR("upload"), &src, &err), err);
    *ret = (struct ti_writer){.db = w->r.db, .source = &src, .active = active, .import_id = import_id, .now_us = cf_now_us()};
    if (ret->now_us < last + 2) /* another moment than the import before */
        ret->now_us = last + 2;
    assert_ok(ti_writer_begin(ret, &err), err);
    assert_ok(ti_import_new(ret, &o, &im, &err), err);
    assert_ok(ti_import_feed(im, cf_str_c(text), &err), err);
    assert_ok(ti_import_end(im, &err), err);
    assert_int_equal(ret->bad + ret->unmatchable, 0);
    ti_import_free(im);
    ti_writer_release(ret);
}

static void import(struct world *w, const char *text)
{
    struct ti_writer wr;

    import_as(w, text, NULL, true, &wr);
}

/* As the console does it: the row changes and whoever is given it is told, in one transaction. */
static void decide(struct world *w, const char *value, const char *set, bool ended)
{
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    char sql[300], id[40];
    int64_t ver;

    assert_ok(cf_tx_begin(w->r.db, CF_TX_WRITE, &tx, &err), err);
    assert_ok(cf_tx_query(tx, "SELECT id FROM ti_indicator WHERE value = ?", &st, &err, CF_Z(value)), err);
    assert_int_equal(cf_stmt_next(st, &err), 1);
    (void)snprintf(id, sizeof id, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
    cf_stmt_free(st);
    (void)snprintf(sql, sizeof sql, "UPDATE ti_indicator SET %s, updated_us = updated_us + 1000 WHERE id = ?", set);
    assert_ok(cf_tx_exec(tx, sql, &err, CF_Z(id)), err);
    assert_ok(ti_clock_next(tx, &ver, &err), err);
    assert_ok(ended ? ti_gone(tx, cf_str_c(id), NULL, &ver, &err) : ti_given(tx, cf_str_c(id), &ver, &err), err);
    assert_ok(ti_clock_set(tx, ver - 1, &err), err);
    assert_ok(cf_tx_commit(&tx, &err), err);
}
#define WITHDRAW "status = 'withdrawn', revoked_us = NULL"
#define ACTIVATE "status = 'active', reviewed_us = 1, valid_until_us = CASE WHEN status = 'expired' THEN 0 ELSE valid_until_us END"

static void each_change_once(void **state)
{
    struct world *w = *state;
    struct consumer *c = &w->city, slow = *c, fresh = *c;
    char first[80];

    import(w, "a.evil.example\n");
    (void)poll(w, &slow); /* and not again before the end */
    (void)snprintf(first, sizeof first, "%s", slow.last_id);
    import(w, "b.evil.example\nc.evil.example\nd.evil.example\n");
    assert_string_equal(poll(w, c), "a.evil.example+ b.evil.example+ c.evil.example+ d.evil.example+ ");
    assert_int_equal(c->pages, 2);
    assert_string_equal(poll(w, c), "");
    decide(w, "b.evil.example", "confidence = 90", false);
    assert_string_equal(poll(w, c), "b.evil.example+ ");
    assert_string_equal(poll(w, c), "");
    decide(w, "a.evil.example", WITHDRAW, true);
    decide(w, "c.evil.example", "status = 'false_positive'", true);
    assert_string_equal(poll(w, c), "a.evil.example- c.evil.example- ");
    assert_string_equal(poll(w, c), "");
    /* let in again: revoking is for good, so it comes under another id */
    decide(w, "a.evil.example", ACTIVATE, false);
    assert_string_equal(poll(w, c), "a.evil.example+ ");
    assert_string_not_equal(c->last_id, first);
    assert_string_equal(poll(w, c), "");
    /* who slept over both hears that the old id is gone and of the new one */
    assert_string_equal(poll(w, &slow), "d.evil.example+ b.evil.example+ a.evil.example- c.evil.example- a.evil.example+ ");
    assert_string_equal(slow.last_id, c->last_id);
    assert_string_equal(poll(w, &fresh), slow.got);
    /* and gone again, under the new id */
    decide(w, "a.evil.example", WITHDRAW, true);
    (void)snprintf(first, sizeof first, "%s", c->last_id);
    assert_string_equal(poll(w, c), "a.evil.example- ");
    assert_string_equal(c->last_id, first);
    import(w, "a.evil.example\n"); /* what a person withdrew is not let in by its list */
    assert_string_equal(poll(w, c), "");
}

/* All rows of an import have their own dates: one who comes back after any page misses none and gets none twice. */
static void rows_of_one_import_have_dates_of_their_own(void **state)
{
    struct world *w = *state;
    static char text[5000 * 24];
    size_t n = 0;

    for (int i = 0; i < 5000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "45.1.%d.%d\n", i / 250, i % 250 + 1);
    import(w, text);
    w->city.limit = 7;
    w->city.got[0] = '\0';
    for (int64_t left = 5000; left > 0; left -= w->city.n) {
        struct cf_error err = {0};
        const struct ti_taxii_query q = {.select = &w->city.select, .after_us = w->city.at, .limit = 7};
        struct ti_taxii_page p;

        assert_ok(ti_taxii_page(w->r.db, &q, &p, &err), err);
        assert_int_equal(p.n, left < 7 ? left : 7);
        w->city.n = p.n;
        w->city.at = p.last_us;
        json_decref(p.out);
    }
    assert_string_equal(poll(w, &w->city), "");
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(DISTINCT ver_us) FROM ti_indicator"), 5000);
    import(w, text); /* says nothing new */
    assert_string_equal(poll(w, &w->city), "");
    import(w, "45.1.0.1 # known better\n");
    assert_string_equal(poll(w, &w->city), "45.1.0.1+ ");
}

/* Nothing of an import is given before it is complete, and none of what was decided meanwhile is lost. */
static void an_import_is_given_when_it_is_complete(void **state)
{
    struct world *w = *state;
    struct consumer *c = &w->city, early;
    struct cf_error err = {0};
    struct ti_writer wr;
    char sql[300];

    import(w, "a.evil.example\nb.evil.example\nc.evil.example\n");
    assert_string_equal(poll(w, c), "a.evil.example+ b.evil.example+ c.evil.example+ ");
    for (int round = 0; round < 2; round++) {
        int64_t from = sql_number(w->r.db, "SELECT last_us + 1 FROM ti_clock");

        (void)snprintf(sql, sizeof sql, "INSERT INTO ti_import (id, org_id, source_id, name, state, stamp_us, created_us, ver_us) VALUES ('i-%d', 'root', 'upload', 'x', 'running', 1, 1, %lld)", round,
                       (long long)from);
        run_sql(w->r.db, sql);
        import_as(w, "b.evil.example # other\nnew.evil.example\n", round ? "i-1" : "i-0", true, &wr);
        decide(w, "c.evil.example", round ? WITHDRAW : "confidence = 70", round);
        assert_string_equal(poll(w, c), "");
        early = (struct consumer){.select = c->select, .limit = 3};
        assert_string_equal(poll(w, &early), "a.evil.example+ "); /* the others are of versions not complete */
        if (round == 0) { /* taken back: nobody hears of it */
            assert_ok(ti_undo_run(w->r.db, "i-0", "upload", wr.now_us, &err), err);
            run_sql(w->r.db, "UPDATE ti_import SET state = 'cancelled'");
            assert_string_equal(poll(w, c), "c.evil.example+ ");
        } else {
            run_sql(w->r.db, "UPDATE ti_import SET state = 'done' WHERE id = 'i-1'");
            assert_string_equal(poll(w, c), "b.evil.example+ new.evil.example+ c.evil.example- ");
        }
    }
    assert_string_equal(poll(w, c), "");
}

/* What leaves the limits of one collection stays in another. */
static void limits_of_collections(void **state)
{
    struct world *w = *state;
    struct consumer *green = &w->city, amber = *green, sure = *green, ips = *green;

    amber.select.tlp_max = 2;
    sure.select.min_confidence = 60;
    ips.select.types = CF_STR("ipv4, cidr");
    import(w, "a.evil.example\n45.2.2.2\n");
    assert_string_equal(poll(w, green), "45.2.2.2+ a.evil.example+ ");
    assert_string_equal(poll(w, &amber), green->got);
    assert_string_equal(poll(w, &sure), "");
    assert_string_equal(poll(w, &ips), "45.2.2.2+ ");
    decide(w, "a.evil.example", "tlp = 2, confidence = 80, description = 'secret'", false);
    assert_string_equal(poll(w, green), "a.evil.example- ");
    assert_string_equal(poll(w, &amber), "a.evil.example+ ");
    assert_string_equal(poll(w, &ips), "");
    decide(w, "a.evil.example", "tlp = 3", false);
    assert_string_equal(poll(w, &amber), "a.evil.example- ");
    assert_string_equal(poll(w, &sure), "a.evil.example- "); /* it might have been asked for in between */
    decide(w, "45.2.2.2", "tlp = 2", false);
    assert_string_equal(poll(w, &ips), "45.2.2.2- ");
    /* a draft that was never given is not revoked either */
    run_sql(w->r.db, "UPDATE ti_source SET tlp = 1");
    import(w, "draft.evil.example\n");
    assert_string_equal(poll(w, green), "a.evil.example- 45.2.2.2- draft.evil.example+ ");
    run_sql(w->r.db, "UPDATE ti_indicator SET status = 'draft', out_tlp = NULL, out_conf = NULL WHERE value = 'draft.evil.example'");
    decide(w, "draft.evil.example", WITHDRAW, true);
    assert_string_equal(poll(w, green), "");
}

static void ends(void **state)
{
    struct world *w = *state;
    struct consumer *c = &w->city, late = *c;
    struct cf_error err = {0};
    int64_t n;

    import(w, "natural.evil.example\nhand.evil.example\n");
    assert_string_equal(poll(w, c), "hand.evil.example+ natural.evil.example+ ");
    /* the end that was told of comes: everyone knows */
    run_sql(w->r.db, "UPDATE ti_indicator SET ver_us = 5, valid_until_us = 6 WHERE value = 'natural.evil.example'");
    assert_ok(ti_expire(w->r.db, cf_now_us(), &n, &err), err);
    assert_int_equal(n, 1);
    assert_string_equal(poll(w, c), "");
    assert_string_equal(poll(w, &late), "hand.evil.example+ ");
    /* somebody ends it before */
    decide(w, "hand.evil.example", "valid_until_us = 5", true);
    assert_string_equal(poll(w, c), "hand.evil.example- ");
    assert_ok(ti_expire(w->r.db, cf_now_us(), &n, &err), err);
    assert_string_equal(poll(w, c), "");
    decide(w, "natural.evil.example", ACTIVATE, false);
    decide(w, "hand.evil.example", ACTIVATE, false);
    assert_string_equal(poll(w, c), "natural.evil.example+ hand.evil.example+ ");
}

#define ID1 "indicator--d81f86b9-975b-4c0b-875e-810c5ad45a41"
#define ID2 "indicator--d81f86b9-975b-4c0b-875e-810c5ad45a42"
#define IND(id, modified, pattern, more) \
    "{\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"" id "\",\"created\":\"2026-01-01T00:00:00.000Z\",\"modified\":\"" modified "\",\"pattern\":\"[domain-name:value = " pattern "]\"" more "," \
    "\"pattern_type\":\"stix\",\"valid_from\":\"2026-01-01T00:00:00Z\"}"
#define BUNDLE(objects) "{\"type\":\"bundle\",\"objects\":[" objects "]}"

/* Objects of a producer: its revocations and its changes of a pattern are taken, and given on. */
static void objects_of_a_producer(void **state)
{
    struct world *w = *state;
    struct consumer *c = &w->city, green = *c;
    struct ti_taxii_page p;
    struct cf_error err = {0};

    import(w, BUNDLE(IND(ID1, "2026-01-01T00:00:00.000Z", "'one.evil.example'", "") "," IND(ID2, "2026-01-01T00:00:00.000Z", "'two.evil.example' OR domain-name:value = 'three.evil.example'", "")));
    assert_string_equal(poll(w, c), "one.evil.example+ two.evil.example+ ");
    /* the same again is no news */
    import(w, BUNDLE(IND(ID1, "2026-01-01T00:00:00.000Z", "'one.evil.example'", "")));
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE status = 'active'"), 3);
    (void)poll(w, c);
    /* another value: the old one ends here too */
    import(w, BUNDLE(IND(ID1, "2026-01-02T00:00:00.000Z", "'uno.evil.example'", "")));
    assert_string_equal(poll(w, c), "uno.evil.example+ ");
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value = 'one.evil.example' AND status = 'withdrawn' AND revoked_us IS NOT NULL"), 1);
    /* revoked; the object of another id for the same value is not touched */
    import(w, "two.evil.example\n");
    import(w, BUNDLE(IND("indicator--d81f86b9-975b-4c0b-875e-810c5ad45a49", "2026-01-02T00:00:00.000Z", "'two.evil.example'", ",\"revoked\":true")));
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value = 'two.evil.example' AND status = 'active'"), 1);
    (void)poll(w, c);
    import(w, BUNDLE(IND(ID2, "2026-01-03T00:00:00.000Z", "'two.evil.example'", ",\"revoked\":true")));
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value IN ('two.evil.example', 'three.evil.example') AND status = 'withdrawn'"), 2);
    assert_string_equal(poll(w, c), "two.evil.example- ");
    assert_string_equal(poll(w, c), "");
    /* its producer brings it back: active as before, and given under an id of ours, for the revoked one is over */
    import(w, BUNDLE(IND("indicator--d81f86b9-975b-4c0b-875e-810c5ad45a43", "2026-01-04T00:00:00.000Z", "'two.evil.example'", "")));
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value = 'two.evil.example' AND status = 'active' AND revoked_us IS NULL"), 1);
    assert_string_equal(poll(w, c), "two.evil.example+ ");
    /* we withdraw what a producer still says */
    decide(w, "uno.evil.example", WITHDRAW, true);
    assert_string_equal(poll(w, c), "uno.evil.example- ");
    assert_string_equal(c->last_id, ID1);
    decide(w, "uno.evil.example", ACTIVATE, false);
    assert_string_equal(poll(w, c), "uno.evil.example+ ");
    assert_string_not_equal(c->last_id, ID1);
    /* marked TLP:AMBER by itself, its source is not */
    import(w, BUNDLE(IND("indicator--d81f86b9-975b-4c0b-875e-810c5ad45a44", "2026-01-04T00:00:00.000Z", "'amber.evil.example'",
                         ",\"object_marking_refs\":[\"marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421\"]")));
    assert_string_equal(poll(w, c), "");
    green.select.tlp_max = 2;
    (void)poll(w, &green);
    assert_non_null(strstr(green.got, "amber.evil.example+"));
    /* by id, type and version */
    const struct ti_taxii_query q[] = {
        {.select = &green.select, .limit = 9, .id = {CF_STR(ID2)}, .n_ids = 1}, {.select = &green.select, .limit = 9, .type = {CF_STR("malware")}, .n_types = 1},
        {.select = &green.select, .limit = 9, .id = {CF_STR(ID2)}, .n_ids = 1, .version = {CF_STR("2026-01-01T00:00:00Z"), CF_STR("2026-01-01T00:00:00.000Z"), CF_STR("2026-01-01T00:00:00Z")}, .n_versions = 1},
        {.select = &green.select, .limit = 9, .what = TI_TAXII_VERSIONS, .id = {CF_STR(ID2)}, .n_ids = 1, .version = {CF_STR("2026-01-03T00:00:00Z"), CF_STR("2026-01-03T00:00:00.000Z"), CF_STR("2026-01-03T00:00:00Z")}, .n_versions = 1}};
    static const int64_t found[] = {1, 0, 0, 1};
    for (size_t i = 0; i < 4; i++) {
        assert_ok(ti_taxii_page(w->r.db, &q[i], &p, &err), err);
        assert_int_equal(p.n, found[i]);
        if (i == 3)
            assert_string_equal(json_string_value(json_array_get(p.out, 0)), "2026-01-03T00:00:00.000Z");
        json_decref(p.out);
    }
}

/* One whose producer revoked it and a person had let in: it comes back as it was. One that waited for review waits again. */
static void back_from_the_producer(void **state)
{
    struct world *w = *state;
    struct ti_writer wr;

    import_as(w, BUNDLE(IND(ID1, "2026-01-01T00:00:00.000Z", "'seen.evil.example'", "") "," IND(ID2, "2026-01-01T00:00:00.000Z", "'unseen.evil.example'", "")), NULL, false, &wr);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE status = 'draft'"), 2);
    decide(w, "seen.evil.example", ACTIVATE, false);
    assert_string_equal(poll(w, &w->city), "seen.evil.example+ ");
    import_as(w, BUNDLE(IND(ID1, "2026-01-02T00:00:00.000Z", "'seen.evil.example'", ",\"revoked\":true") "," IND(ID2, "2026-01-02T00:00:00.000Z", "'unseen.evil.example'", ",\"revoked\":true")), NULL, false, &wr);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE status = 'withdrawn'"), 2);
    assert_string_equal(poll(w, &w->city), "seen.evil.example- ");
    import_as(w, BUNDLE(IND(ID1, "2026-01-03T00:00:00.000Z", "'seen.evil.example'", "") "," IND(ID2, "2026-01-03T00:00:00.000Z", "'unseen.evil.example'", "")), NULL, false, &wr);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value = 'seen.evil.example' AND status = 'active'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value = 'unseen.evil.example' AND status = 'draft'"), 1);
}

/* An import that withdraws, taken back: everything is as before, and nobody is told. */
static void a_withdrawal_taken_back(void **state)
{
#define EVENT(deleted) "{\"Event\":{\"info\":\"x\",\"Attribute\":[{\"type\":\"domain\",\"value\":\"misp.evil.example\",\"uuid\":\"u-1\",\"to_ids\":true,\"deleted\":" deleted "}]}}"
    static const char *const gone[] = {EVENT("true"), BUNDLE(IND(ID1, "2026-01-02T00:00:00.000Z", "'one.evil.example'", ",\"revoked\":true")),
                                       BUNDLE(IND(ID1, "2026-01-02T00:00:00.000Z", "'other.evil.example'", ""))};
    struct world *w = *state;
    struct cf_error err = {0};
    struct ti_writer wr;
    char sql[300];

    import(w, EVENT("false"));
    import(w, BUNDLE(IND(ID1, "2026-01-01T00:00:00.000Z", "'one.evil.example'", "")));
    assert_string_equal(poll(w, &w->city), "misp.evil.example+ one.evil.example+ ");
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
        (void)snprintf(sql, sizeof sql, "INSERT INTO ti_import (id, org_id, source_id, name, state, stamp_us, created_us, ver_us) SELECT 'w-%zu', 'root', 'upload', 'x', 'running', 1, 1, last_us + 1 FROM ti_clock", i);
        run_sql(w->r.db, sql);
        (void)snprintf(sql, sizeof sql, "w-%zu", i);
        import_as(w, gone[i], sql, true, &wr);
        assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE status = 'withdrawn'"), 1);
        assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_ended"), i == 0);
        assert_string_equal(poll(w, &w->city), "");
        assert_ok(ti_undo_run(w->r.db, sql, "upload", wr.now_us, &err), err);
        run_sql(w->r.db, "UPDATE ti_import SET state = 'failed'");
        assert_string_equal(poll(w, &w->city), "");
        assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE status = 'active' AND revoked_us IS NULL AND out_id IS NULL"), 2);
        assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator"), 2);
        assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_ended"), 0);
    }
    import(w, EVENT("true")); /* and when it is kept everybody is */
    assert_string_equal(poll(w, &w->city), "misp.evil.example- ");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {T(each_change_once), T(rows_of_one_import_have_dates_of_their_own), T(an_import_is_given_when_it_is_complete), T(limits_of_collections), T(ends),
                                       T(objects_of_a_producer), T(back_from_the_producer), T(a_withdrawal_taken_back)};

    return records_both("intelligence given by date", tests);
}
