/* SPDX-License-Identifier: Apache-2.0
 * Imports of every format into a real SQLite file and a real PostgreSQL, exclusions, loading the set, expiry. */
#include "records.h"

#include "asset/asset.h"
#include "directory/service.h"
#include "ti/ti_int.h"

struct world {
    struct records r;
    struct ti_excluded *x;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct cf_error err = {0};

    records_open(&w->r);
    records_migrate(w->r.db, directory);
    records_migrate(w->r.db, asset);
    records_migrate(w->r.db, ti);
    assert_ok(ti_excluded_load(w->r.db, CF_TEST_ROOT "/content", &w->x, &err), err);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    ti_excluded_free(w->x);
    records_close(&w->r);
    free(w);
    return 0;
}

/* The report; pieces of `step` bytes so that every border is met. */
static json_t *import(struct world *w, const char *source, const char *text, size_t step, const char *format, bool dry)
{
    struct cf_error err = {0};
    struct ti_source src;
    struct ti_import_options o = {.format = cf_str_c(format), .type = CF_TI_ANY};
    struct ti_writer wr = {.db = w->r.db, .source = &src, .excluded = w->x, .active = true, .dry = dry};
    struct ti_import *im = NULL;
    json_t *report;
    size_t n = strlen(text);

    assert_ok(ti_source_read(w->r.db, cf_str_c(source), &src, &err), err);
    assert_ok(ti_writer_begin(&wr, &err), err);
    assert_ok(ti_import_new(&wr, &o, &im, &err), err);
    for (size_t at = 0; at < n; at += step)
        assert_ok(ti_import_feed(im, cf_str_n(text + at, n - at < step ? n - at : step), &err), err);
    assert_ok(ti_import_end(im, &err), err);
    report = ti_writer_report(&wr);
    (void)json_object_set_new(report, "format", json_string(ti_import_format(im)));
    ti_import_free(im);
    ti_writer_release(&wr);
    return report;
}

static int64_t num(const json_t *j, const char *key) { return json_integer_value(json_object_get(j, key)); }

static void lists(void **state)
{
    struct world *w = *state;
    static const char text[] = "# a list\n45.77.1.2\nhxxp://evil[.]example/x # seen in mail\nnonsense here\nevil.example\n8.8.8.8\n10.1.2.3\n45.77.1.2\nwww.baidu.com\n5.6.7.0/24\n";
    json_t *r = import(w, "upload", text, 7, "", false), *bad;

    assert_string_equal(json_string_value(json_object_get(r, "format")), "list");
    assert_int_equal(num(r, "read"), 8);
    assert_int_equal(num(r, "new"), 7);
    assert_int_equal(num(r, "repeated"), 1);
    assert_int_equal(num(r, "conflicts"), 3); /* public resolver, private address, well-known site */
    assert_int_equal(num(r, "bad"), 1);
    bad = json_array_get(json_object_get(r, "bad_rows"), 0);
    assert_int_equal(num(bad, "line"), 4);
    assert_string_equal(json_string_value(json_object_get(bad, "text")), "nonsense here");
    json_decref(r);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE status = 'active'"), 4);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE status = 'draft' AND conflict IS NOT NULL"), 3);
    r = import(w, "upload", text, 1000, "", false); /* once more: nothing new */
    assert_int_equal(num(r, "new"), 0);
    assert_int_equal(num(r, "updated"), 7);
    json_decref(r);
    r = import(w, "upload", "0.0.0.0 ads.evil.example # x\n127.0.0.1 localhost\n0.0.0.0\ttwo.evil.example\n", 5, "", true);
    assert_string_equal(json_string_value(json_object_get(r, "format")), "hosts");
    assert_int_equal(num(r, "read"), 2);
    assert_int_equal(json_array_size(json_object_get(r, "preview")), 2);
    json_decref(r);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator"), 7); /* a dry run writes nothing */
}

static void csv(void **state)
{
    struct world *w = *state;
    json_t *r = import(w, "upload", "\xef\xbb\xbf指标,类型,家族,置信度,级别,标签\n45.77.1.3,ip,Emotet,80,高危,a;b\n\"evil2.example\",domain,\"x,\"\"y\"\"\",low,,\n,domain,,,,\n", 11, "", false);

    assert_string_equal(json_string_value(json_object_get(r, "format")), "csv");
    assert_int_equal(num(r, "new"), 2);
    assert_int_equal(num(r, "bad"), 1);
    json_decref(r);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE family = 'Emotet' AND confidence = 80 AND severity = 3 AND tags = '[\"a\",\"b\"]'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE family = 'x,\"y\"' AND confidence = 20"), 1);
}

static const char bundle[] =
    "{\"type\":\"bundle\",\"id\":\"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d\",\"x\":{\"objects\":[{\"not\":\"these\"}]},\"objects\":[\n"
    "{\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"indicator--d81f86b9-975b-4c0b-875e-810c5ad45a4f\",\"created\":\"2026-01-01T00:00:00.000Z\",\"modified\":\"2026-01-02T00:00:00.000Z\","
    "\"indicator_types\":[\"malicious-activity\"],\"confidence\":85,\"pattern\":\"[url:value = 'http://x4z9arb.example/4712/' OR ipv4-addr:value = '45.77.9.9']\",\"pattern_type\":\"stix\","
    "\"valid_from\":\"2026-01-01T00:00:00Z\",\"valid_until\":\"2036-01-01T00:00:00Z\",\"object_marking_refs\":[\"marking-definition--f88d31f6-486f-44da-b317-01333bde0b82\"]},\n"
    "{\"type\":\"indicator\",\"id\":\"indicator--d81f86b9-975b-4c0b-875e-810c5ad45a50\",\"pattern\":\"[file:name MATCHES '.*x']\",\"pattern_type\":\"stix\",\"valid_from\":\"2026-01-01T00:00:00Z\"},\n"
    "{\"type\":\"indicator\",\"id\":\"indicator--d81f86b9-975b-4c0b-875e-810c5ad45a51\",\"pattern\":\"[oops\",\"pattern_type\":\"stix\"},\n"
    "{\"type\":\"malware\",\"id\":\"malware--162d917e-766f-4611-b5d6-652791454fca\",\"name\":\"x4z9arb {[\\\"]} backdoor\",\"is_family\":false},\n"
    "{\"type\":\"relationship\",\"id\":\"relationship--864af2ea-46f9-4d23-b3a2-1c2adf81c265\",\"relationship_type\":\"indicates\",\"source_ref\":\"indicator--d81f86b9-975b-4c0b-875e-810c5ad45a4f\","
    "\"target_ref\":\"malware--162d917e-766f-4611-b5d6-652791454fca\"},\n{\"type\":\"broken\"},{\"no\":1}]}";

/* One value several times in one import: the same row counts once, another row of it changes the first, in the order of the file. */
static void runs(void **state)
{
    struct world *w = *state;
    json_t *r = import(w, "upload", "value,family,confidence\nevil.example,emotet,10\nb.evil.example,,30\nevil.example,,20\nevil.example,,20\n", 100, "csv", false);
    struct cf_buf b;

    assert_int_equal(num(r, "read"), 4);
    assert_int_equal(num(r, "new"), 2);
    assert_int_equal(num(r, "updated"), 1);
    assert_int_equal(num(r, "repeated"), 1);
    json_decref(r);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value = 'evil.example' AND family = 'emotet' AND confidence = 20"), 1);
    cf_buf_init(&b, 1 << 20);
    cf_buf_z(&b, "value,confidence\n");
    for (int i = 0; i < 300; i++)
        cf_buf_printf(&b, "h%d.example,%d\n", i * 7 % 100, i / 100);
    for (int again = 0; again < 2; again++) {
        r = import(w, "upload", cf_buf_cstr(&b), 1000, "csv", false);
        assert_int_equal(num(r, "read"), 300);
        assert_int_equal(num(r, "new"), again ? 0 : 100);
        assert_int_equal(num(r, "updated"), again ? 300 : 200);
        json_decref(r);
        assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value LIKE 'h%' AND confidence = 2"), 100);
    }
    cf_buf_release(&b);
}

static void stix(void **state)
{
    struct world *w = *state;
    struct cf_error err = {0};
    struct cf_ti_set *s = NULL;
    const struct cf_ti_entry *e;
    int64_t next;

    for (size_t step = 1; step < 200; step = step * 3 + 1) {
        json_t *r = import(w, "upload", bundle, step, "", false);

        assert_string_equal(json_string_value(json_object_get(r, "format")), "stix");
        assert_int_equal(num(r, "read"), 2);
        assert_int_equal(num(r, "unmatchable"), 1);
        assert_int_equal(num(r, "bad"), 3);
        assert_int_equal(num(r, "objects"), 5);
        assert_int_equal(num(r, "relations"), 1);
        json_decref(r);
    }
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE tlp = 2 AND confidence = 85 AND ext_id = 'indicator--d81f86b9-975b-4c0b-875e-810c5ad45a4f'"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_object WHERE type = 'malware'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_relation"), 1);
    assert_ok(ti_load_set(w->r.db, &s, &next, &err), err);
    e = cf_ti_find(s, CF_TI_IPV4, CF_STR("45.77.9.9"), (uint32_t)(cf_now_us() / CF_US_PER_S), NULL);
    assert_non_null(e);
    assert_int_equal(e->confidence, 85);
    assert_str(cf_ti_entry_info(s, e)->threat_type, "malicious-activity");
    cf_ti_set_free(s);
}

static void misp(void **state)
{
    struct world *w = *state;
    json_t *r = import(w, "upload",
                       "{\"Event\":{\"uuid\":\"1\",\"info\":\"campaign\",\"threat_level_id\":\"1\",\"timestamp\":\"1760000000\",\"Tag\":[{\"name\":\"tlp:amber\"},"
                       "{\"name\":\"misp-galaxy:malpedia=\\\"Emotet\\\"\"},{\"name\":\"misp-galaxy:mitre-attack-pattern=\\\"Phishing - T1566\\\"\"}],"
                       "\"Attribute\":[{\"type\":\"ip-dst|port\",\"value\":\"45.77.8.8|443\",\"to_ids\":true,\"category\":\"Network activity\"},{\"type\":\"filename|sha1\","
                       "\"value\":\"a.exe|da39a3ee5e6b4b0d3255bfef95601890afd80709\",\"to_ids\":true},{\"type\":\"comment\",\"value\":\"text\"},{\"type\":\"md5\",\"value\":\"short\"},"
                       "{\"type\":\"domain\",\"value\":\"old.evil.example\",\"to_ids\":false}],\"Object\":[{\"Attribute\":[{\"type\":\"domain|ip\",\"value\":\"c2.evil.example|45.77.8.9\",\"to_ids\":1}]}]}}",
                       13, "", false);

    assert_string_equal(json_string_value(json_object_get(r, "format")), "misp");
    assert_int_equal(num(r, "read"), 5);
    assert_int_equal(num(r, "unmatchable"), 1);
    assert_int_equal(num(r, "bad"), 1);
    json_decref(r);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE tlp = 2 AND family = 'Emotet' AND techniques = '[\"T1566\"]' AND severity = 3"), 5);
    assert_int_equal(sql_number(w->r.db, "SELECT confidence FROM ti_indicator WHERE value = 'old.evil.example'"), 25); /* not meant for detection */
}

static void gbt(void **state)
{
    struct world *w = *state;
    struct cf_error err = {0};
    struct cf_buf out;
    struct ti_select all = {.tlp_max = 4};
    int64_t n;
    json_t *doc, *r = import(w, "upload",
                             "{\"standard\":\"GB/T 36643-2018\",\"可观测数据\":[{\"id\":\"o1\",\"type\":\"domain\",\"value\":\"gbt.evil.example\"}],"
                             "\"indicators\":[{\"id\":\"i1\",\"observable_refs\":[\"o1\",\"o9\"],\"confidence\":70,\"severity\":\"高危\",\"actor_refs\":[\"a1\"]}],"
                             "\"threat_actors\":[{\"id\":\"a1\",\"name\":\"某组织\",\"method_refs\":[\"m1\"],\"target_refs\":[\"t1\"]}],\"targets\":[{\"id\":\"t1\",\"name\":\"政务\"}],"
                             "\"methods\":[{\"id\":\"m1\",\"name\":\"钓鱼\"}],\"actions\":[{\"id\":\"c1\",\"name\":\"封禁\"}],\"incidents\":[{\"id\":\"e1\"}],\"campaigns\":[{\"id\":\"k1\"}]}",
                             9, "", false);

    assert_string_equal(json_string_value(json_object_get(r, "format")), "gbt");
    assert_int_equal(num(r, "new"), 1);
    assert_int_equal(num(r, "bad"), 1); /* o9 */
    assert_int_equal(num(r, "relations"), 3);
    json_decref(r);
    cf_buf_init(&out, 0);
    assert_ok(ti_write(w->r.db, &all, CF_STR("gbt"), 100, &out, &n, &err), err);
    doc = json_loadb(out.p, out.n, 0, NULL);
    assert_non_null(doc);
    static const char *const keys[] = {"observables", "indicators", "incidents", "campaigns", "threat_actors", "targets", "methods", "actions"};
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(json_array_size(json_object_get(doc, keys[i])), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(doc, "threat_actors"), 0), "name")), "某组织");
    json_decref(doc);
    cf_buf_clear(&out); /* and as STIX: our own importer reads what we write */
    assert_ok(ti_write(w->r.db, &all, CF_STR("stix"), 100, &out, &n, &err), err);
    r = import(w, "taxii", cf_buf_cstr(&out), 17, "", false);
    assert_int_equal(num(r, "new"), 1);
    assert_int_equal(num(r, "bad") + num(r, "unmatchable"), 0);
    json_decref(r);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value = 'gbt.evil.example' AND confidence = 70 AND severity = 3"), 2);
    cf_buf_clear(&out);
    assert_ok(ti_write(w->r.db, &all, CF_STR("txt"), 100, &out, &n, &err), err);
    assert_str(cf_buf_view(&out), "gbt.evil.example\ngbt.evil.example\n");
    cf_buf_release(&out);
}

/* The same document as XML, in both languages' names, gives what the JSON gives. */
static void gbt_xml(void **state)
{
    struct world *w = *state;
    json_t *r = import(w, "upload",
                       "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<威胁信息 standard=\"GB/T 36643-2018\">"
                       "<可观测数据列表><可观测数据 标识=\"o1\" 类型=\"domain\" 值=\"xml.evil.example\"/></可观测数据列表>"
                       "<indicators><indicator id=\"i1\"><observable_refs>o1, o9</observable_refs><observables><observable type=\"ipv4\" value=\"45.77.9.9\"/></observables>"
                       "<confidence>70</confidence><severity>高危</severity><tags><tag>apt</tag><tag>phish &amp; more</tag></tags><actor_ref>a1</actor_ref></indicator></indicators>"
                       "<threat_actor id=\"a1\"><名称>某组织</名称><method_ref>m1</method_ref></threat_actor>"
                       "<methods><method id=\"m1\"><name><![CDATA[钓鱼]]></name></method></methods></威胁信息>",
                       11, "", false);

    assert_string_equal(json_string_value(json_object_get(r, "format")), "gbt");
    assert_int_equal(num(r, "new"), 2);
    assert_int_equal(num(r, "bad"), 1); /* o9 */
    assert_int_equal(num(r, "relations"), 2);
    json_decref(r);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value IN ('xml.evil.example', '45.77.9.9') AND confidence = 70 AND severity = 3 AND tags LIKE '%phish & more%'"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_object WHERE type = 'threat-actor' AND name = '某组织'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_object WHERE type = 'attack-pattern' AND name = '钓鱼'"), 1);
}

static void broken(void **state)
{
    static const struct {
        const char *text, *format;
        int r;
    } t[] = {{"{\"type\":\"bundle\",\"objects\":[{\"type\":\"malware\"", "stix", CF_ESYNTAX}, {"{\"type\":\"bundle\"}", "", CF_ESYNTAX}, {"{\"Event\":", "misp", CF_ESYNTAX},
             {"]]]", "stix", CF_ESYNTAX}, {"a,b\n1,2\n", "csv", CF_EINVAL}, {"{\"standard\":\"36643\"}", "", CF_ESYNTAX},
             {"<a><indicators></a>", "", CF_ESYNTAX}, {"<威胁信息/>", "", CF_ESYNTAX}, {"<", "gbt", CF_ESYNTAX}, {"<?xml version=\"1.0\" encoding=\"EUC-KR\"?><a>\xff\xff\xff</a>", "gbt", CF_ESYNTAX}, {"\xff\xfe" "a", "", CF_EINVAL}, {"{\"a\":[1]}", "", CF_ESYNTAX},
             {"<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a><indicators><indicator id=\"&x;\"/></indicators></a>", "", CF_ESYNTAX}};
    struct world *w = *state;

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct cf_error err = {0};
        struct ti_source src;
        struct ti_import_options o = {.format = cf_str_c(t[i].format), .type = CF_TI_ANY};
        struct ti_writer wr = {.db = w->r.db, .source = &src, .excluded = w->x};
        struct ti_import *im = NULL;
        int r;

        assert_ok(ti_source_read(w->r.db, CF_STR("upload"), &src, &err), err);
        assert_ok(ti_writer_begin(&wr, &err), err);
        assert_ok(ti_import_new(&wr, &o, &im, &err), err);
        r = ti_import_feed(im, cf_str_c(t[i].text), &err);
        if (r == 0)
            r = ti_import_end(im, &err);
        if (r != t[i].r || !err.msg[0])
            fail_msg("%s: %d %s", t[i].text, r, err.msg);
        ti_import_free(im);
        ti_writer_release(&wr);
    }
}

static void life(void **state)
{
    struct world *w = *state;
    struct cf_error err = {0};
    struct cf_ti_set *s = NULL;
    json_t *r = import(w, "upload", "value,valid_until\nold.evil.example,2020-01-01\nsoon.evil.example,2099-01-01\n", 100, "", false), *report = NULL, *list;
    int64_t n, next;

    json_decref(r);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE status = 'expired'"), 1); /* kept, searchable, silent */
    run_sql(w->r.db, "UPDATE ti_indicator SET valid_until_us = 5 WHERE value = 'soon.evil.example'");
    assert_ok(ti_expire(w->r.db, cf_now_us(), &n, &err), err);
    assert_int_equal(n, 1);
    assert_ok(ti_load_set(w->r.db, &s, &next, &err), err);
    assert_int_equal(cf_ti_set_count(s), 0);
    assert_true(next == INT64_MAX);
    cf_ti_set_free(s);
    /* one that becomes valid later is left out, and the engine is told when to build again */
    run_sql(w->r.db, "UPDATE ti_indicator SET status = 'active', valid_until_us = 0, valid_from_us = 4070908800000000 WHERE value = 'soon.evil.example'");
    assert_ok(ti_load_set(w->r.db, &s, &next, &err), err);
    assert_int_equal(cf_ti_set_count(s), 0);
    assert_true(next == INT64_C(4070908800000000));
    cf_ti_set_free(s);
    /* what a person withdrew stays withdrawn when the feed names it again */
    run_sql(w->r.db, "UPDATE ti_indicator SET status = 'withdrawn'");
    json_decref(import(w, "upload", "soon.evil.example\n", 100, "list", false));
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE status = 'withdrawn'"), 2);
    /* an imported warning list turns later indicators into conflicts */
    list = json_pack("{s:s,s:s,s:[s,s,s]}", "name", "our partners", "type", "hostname", "list", "partner.example", "5.5.5.0/24", "no value");
    assert_ok(ti_exclusion_import(w->r.db, list, &report, &err), err);
    assert_int_equal(num(report, "values"), 2);
    assert_int_equal(num(report, "bad"), 1);
    json_decref(report);
    json_decref(list);
    ti_excluded_free(w->x);
    w->x = NULL;
    assert_ok(ti_excluded_load(w->r.db, CF_TEST_ROOT "/content", &w->x, &err), err);
    r = import(w, "upload", "www.partner.example\n5.5.5.5\n5.5.0.0/16\n5.5.6.1\n", 100, "list", false);
    assert_int_equal(num(r, "conflicts"), 3);
    json_decref(r);
    list = json_pack("{s:s,s:s,s:[s]}", "name", "x", "type", "regex", "list", ".*");
    assert_int_equal(ti_exclusion_import(w->r.db, list, &report, &err), CF_EUNSUPPORTED);
    json_decref(list);
}

static int64_t bad_of(struct world *w, const char *text, const char *reason)
{
    json_t *r = import(w, "upload", text, 9, "", true);
    const char *why = json_string_value(json_object_get(json_array_get(json_object_get(r, "bad_rows"), 0), "reason"));
    int64_t n = num(r, "bad");

    if (n && !strstr(why, reason))
        fail_msg("%s, not %s", why, reason);
    json_decref(r);
    return n;
}

/* Lists as Chinese software writes them, and what no list is. */
static void encodings(void **state)
{
    struct world *w = *state;
    char *longest = malloc(70001);
    json_t *r = import(w, "upload", "gb-one.example # \xb6\xf1\xd2\xe2\n\ngb-two.example\n", 5, "", false), *bad;

    assert_int_equal(num(r, "new"), 2);
    json_decref(r);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value = 'gb-one.example' AND description = '恶意'"), 1);
    r = import(w, "upload", "\xd6\xb8\xb1\xea,\xbc\xd2\xd7\xe5\ngb-three.example,\xb6\xf1\xd2\xe2\n", 3, "", false); /* 指标,家族 */
    assert_string_equal(json_string_value(json_object_get(r, "format")), "csv");
    assert_int_equal(num(r, "new"), 1);
    json_decref(r);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value = 'gb-three.example' AND family = '恶意'"), 1);
    /* JSON that is no STIX is not taken for lines */
    assert_int_equal(bad_of(w, "[\n  {\"SharingGroup\": {\"id\": \"1\"}},\n  {\"SharingGroup\": {}}\n]\n", "type and id are needed"), 2);
    assert_int_equal(bad_of(w, "{\"objects\":[{\"type\":\"malware\",nope}]}", "byte 34: "), 1);
    memset(longest, 'a', 70000);
    longest[70000] = 0;
    r = import(w, "upload", longest, 70000, "list", true);
    bad = json_array_get(json_object_get(r, "bad_rows"), 0);
    assert_int_equal(strlen(json_string_value(json_object_get(bad, "text"))), 200);
    json_decref(r);
    free(longest);
}

static void seen(void **state)
{
    struct world *w = *state;
    static const char stix[] = "{\"type\":\"bundle\",\"objects\":["
                               "{\"type\":\"sighting\",\"id\":\"sighting--1\",\"sighting_of_ref\":\"indicator--1\",\"count\":7,\"first_seen\":\"2026-01-01T00:00:00Z\",\"last_seen\":\"2026-01-03T00:00:00Z\"},"
                               "{\"type\":\"sighting\",\"id\":\"sighting--2\",\"sighting_of_ref\":\"malware--1\",\"modified\":\"2026-01-01T00:00:00Z\"},"
                               "{\"type\":\"sighting\",\"id\":\"sighting--3\",\"sighting_of_ref\":\"indicator--nobody\",\"modified\":\"2026-01-01T00:00:00Z\"},"
                               "{\"type\":\"indicator\",\"id\":\"indicator--1\",\"pattern_type\":\"stix\",\"pattern\":\"[domain-name:value = 'a.seen.example' OR domain-name:value = 'b.seen.example']\"}]}";
    static const char misp[] = "{\"Event\":{\"info\":\"x\",\"Attribute\":[{\"type\":\"domain\",\"value\":\"c.seen.example\",\"uuid\":\"u-1\",\"to_ids\":true,\"Sighting\":["
                               "{\"uuid\":\"s-1\",\"type\":\"0\",\"date_sighting\":\"1551253950\",\"Organisation\":{\"name\":\"CERT\"}},{\"uuid\":\"s-2\",\"type\":\"1\",\"date_sighting\":\"1551253959\"},"
                               "{\"uuid\":\"s-3\",\"type\":\"2\",\"date_sighting\":\"1551253960\"}]}]}}";
    json_t *r;

    for (int again = 0; again < 2; again++) { /* the second time brings nothing new */
        r = import(w, "upload", stix, 50, "", false);
        assert_int_equal(num(r, "sightings"), 2);
        json_decref(r);
        assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_sighting WHERE kind = 'told' AND count = 7 AND first_us < last_us"), 2); /* each value of the pattern */
        json_decref(import(w, "upload", misp, 50, "", false));
        assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_sighting"), 4);
        assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_sighting WHERE kind = 'told' AND note = 'CERT' AND last_us = 1551253950000000"), 1);
        assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_sighting WHERE kind = 'denied'"), 1);
    }
}

/* A MISP sighting of type 2 ends the attribute at its date, the latest of several; type 1 does not. */
static void expired_in_misp(void **state)
{
#define ATTR(value, seen) "{\"type\":\"domain\",\"value\":\"" value "\",\"uuid\":\"u-" value "\",\"to_ids\":true,\"Sighting\":[" seen "]}"
#define SEEN(id, type, at) "{\"uuid\":\"" id "\",\"type\":" type ",\"date_sighting\":" at "}"
    static const char past[] = "{\"Event\":{\"info\":\"x\",\"Attribute\":[" ATTR("past.seen.example", SEEN("1", "\"2\"", "\"1551253960\"") "," SEEN("2", "\"0\"", "\"1551253961\"")) "," ATTR(
        "later.seen.example", SEEN("3", "2", "1551253960") "," SEEN("4", "2", "4070908800") "," SEEN("5", "2", "4070908000")) "," ATTR("denied.seen.example", SEEN("6", "\"1\"", "\"1551253960\"")) ","
        ATTR("nonsense.seen.example", SEEN("7", "\"2\"", "\"soon\"")) "]}}";
    static const char again[] = "{\"Event\":{\"info\":\"x\",\"Attribute\":[" ATTR("later.seen.example", SEEN("8", "2", "1551253960")) "," ATTR("past.seen.example", SEEN("1", "2", "4070908800")) "]}}";
    struct world *w = *state;

    json_decref(import(w, "upload", past, 40, "", false));
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value = 'past.seen.example' AND status = 'expired' AND valid_until_us = 1551253960000000"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value = 'later.seen.example' AND status = 'active' AND valid_until_us = 4070908800000000"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value IN ('denied.seen.example', 'nonsense.seen.example') AND status = 'active'"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_sighting WHERE kind = 'denied'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_sighting"), 2); /* an end is no sighting */
    json_decref(import(w, "upload", again, 40, "", false)); /* they say otherwise now */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value = 'later.seen.example' AND status = 'expired'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE value = 'past.seen.example' AND status = 'active'"), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {T(lists), T(csv), T(runs), T(stix), T(misp), T(gbt), T(gbt_xml), T(broken), T(life), T(encodings), T(seen), T(expired_in_misp)};

    return records_both("intelligence imports", tests);
}
