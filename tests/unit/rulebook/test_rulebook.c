/* SPDX-License-Identifier: Apache-2.0
 * Stored rule texts on SQLite, places of compiler messages, archives, counts of staged rules. */
#include "records.h"

#include <unistd.h>

#include "audit/audit.h"
#include "rulebook/rulebook.h"

#define RULE(id, title) "title: " title "\nid: " id "\nlogsource:\n  product: linux\ndetection:\n  sel:\n    user.name: eve\n  condition: sel\n"

static struct records rec;

static struct cf_db *open_db(void)
{
    records_open(&rec);
    records_migrate(rec.db, audit);
    records_migrate(rec.db, rulebook);
    return rec.db;
}

static int put(struct cf_db *db, const char *text_id, const char *yaml, const char *const *ids, size_t n_ids, const char *replaces, int64_t expect, int64_t *version)
{
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    cf_str list[4], rep = cf_str_c(replaces);
    struct cf_rule_save s = {.text_id = cf_str_c(text_id), .title = CF_STR("t"), .yaml = cf_str_c(yaml), .action = "edit", .ids = list, .n_ids = n_ids, .replaces = &rep,
                             .n_replaces = replaces ? 1 : 0, .edited = replaces != NULL, .expect_version = expect, .who = {CF_STR("u"), CF_STR("User")}};
    int r;

    for (size_t i = 0; i < n_ids; i++)
        list[i] = cf_str_c(ids[i]);
    assert_ok(cf_tx_begin(db, CF_TX_WRITE, &tx, &err), err);
    r = cf_rulebook_put(tx, &s, version, &err);
    if (r == 0)
        r = cf_tx_commit(&tx, &err);
    cf_tx_rollback(&tx);
    return r;
}

static void test_versions(void **state)
{
    static const char *const a[] = {"a"}, *const b[] = {"b", "a"}, *const both[] = {"b", "c"};
    struct cf_db *db = open_db();
    struct cf_rules_options o = {0};
    struct cf_error err = {0};
    struct cf_arena ar;
    struct cf_tx *tx = NULL;
    int64_t v = 0;
    json_t *j = NULL;

    (void)state;
    cf_arena_init(&ar, 0, 0);
    assert_int_equal(put(db, "a", "one", a, 1, NULL, -1, &v), 0);
    assert_int_equal(v, 1);
    assert_int_equal(put(db, "a", "two", a, 1, NULL, 0, &v), CF_ECONFLICT);
    assert_int_equal(put(db, "a", "two", a, 1, NULL, 1, &v), 0);
    assert_int_equal(v, 2);
    assert_int_equal(put(db, "b", "other", b, 2, NULL, -1, &v), CF_EEXIST); /* "a" is taken */
    assert_int_equal(put(db, "b", "other", both, 2, "shipped", -1, &v), 0);
    assert_ok(cf_rulebook_get(db, CF_STR("c"), &j, &err), err);
    assert_string_equal(json_string_value(json_object_get(j, "id")), "b");
    assert_int_equal(json_array_size(json_object_get(j, "ids")), 2);
    assert_int_equal(json_array_size(json_object_get(j, "replaces")), 1);
    json_decref(j);
    assert_ok(cf_rulebook_fill(db, &ar, &o, &err), err);
    assert_int_equal(o.n_texts, 2);
    assert_int_equal(o.n_skip, 4); /* a, b, c and the shipped one */
    assert_str(o.text_files[0], "stored/a");
    assert_ok(cf_rulebook_versions(db, CF_STR("a"), &j, &err), err);
    assert_int_equal(json_array_size(j), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(j, 1), "yaml")), "one");
    json_decref(j);
    assert_ok(cf_tx_begin(db, CF_TX_WRITE, &tx, &err), err);
    assert_ok(cf_rulebook_remove(tx, CF_STR("a"), "delete", CF_STR_NONE, (struct cf_rule_who){CF_STR("u"), CF_STR("User")}, &err), err);
    assert_ok(cf_tx_commit(&tx, &err), err);
    assert_int_equal(cf_rulebook_get(db, CF_STR("a"), &j, &err), CF_ENOENT);
    assert_int_equal(put(db, "a", "again", a, 1, NULL, 3, &v), 0); /* the history goes on */
    assert_int_equal(v, 4);
    cf_arena_release(&ar);
    records_close(&rec);
}

static void test_states_and_lists(void **state)
{
    struct cf_db *db = open_db();
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    struct cf_arena a;
    struct cf_rules_options o = {0};
    cf_str *staged, *off;
    size_t n_staged, n_off;

    (void)state;
    cf_arena_init(&a, 0, 0);
    assert_ok(cf_tx_begin(db, CF_TX_WRITE, &tx, &err), err);
    assert_ok(cf_rulebook_set_state(tx, CF_STR("x"), CF_RULE_STAGED, CF_STR_NONE, CF_STR("u"), &err), err);
    assert_ok(cf_rulebook_set_state(tx, CF_STR("y"), CF_RULE_DISABLED, CF_STR_NONE, CF_STR("u"), &err), err);
    assert_ok(cf_rulebook_set_state(tx, CF_STR("z"), CF_RULE_DISABLED, CF_STR_NONE, CF_STR("u"), &err), err);
    assert_ok(cf_rulebook_set_state(tx, CF_STR("z"), CF_RULE_ENABLED, CF_STR_NONE, CF_STR("u"), &err), err);
    assert_ok(cf_tx_exec(tx, "INSERT INTO rule_list (name, items, user_name, time_us) VALUES (?,?,?,?)", &err, CF_Z("people"), CF_Z("[\"eve\",\"it's: #1\"]"), CF_Z("u"), CF_I(1)), err);
    assert_ok(cf_tx_commit(&tx, &err), err);
    assert_ok(cf_rulebook_states(db, &a, &staged, &n_staged, &off, &n_off, &err), err);
    assert_int_equal(n_staged, 1);
    assert_int_equal(n_off, 1);
    assert_str(off[0], "y");
    assert_ok(cf_rulebook_fill(db, &a, &o, &err), err);
    assert_str(o.placeholders, "{\"people\": [\"eve\",\"it's: #1\"]}\n");
    cf_arena_release(&a);
    records_close(&rec);
}

/* A stored text takes the place of the shipped rule; its list goes before the taxonomy's. */
static void test_replaces_and_expands(void **state)
{
    char dir[] = "/tmp/cf-rulebook-XXXXXX", path[64];
    const char *paths[1] = {path};
    cf_str texts[1] = {CF_STR("title: mine\nid: a\nlogsource:\n  product: linux\ndetection:\n  sel:\n    user.name|expand: '%who%'\n  condition: sel\n")}, file = CF_STR("stored/a"),
           skip = CF_STR("a");
    struct cf_rules_options o = {.paths = paths, .n_paths = 1, .texts = texts, .n_texts = 1, .text_files = &file, .skip = &skip, .n_skip = 1,
                                 .placeholders = CF_STR("{\"who\": [\"eve\"]}")};
    struct cf_ruleset *rs = NULL;
    struct cf_error err = {0};

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/r.yml", dir);
    assert_ok(cf_file_write_durable(path, CF_STR(RULE("a", "shipped") "---\n" RULE("b", "beside")), 0600, &err), err);
    assert_ok(cf_ruleset_load(&o, &rs, &err), err);
    assert_int_equal(cf_ruleset_count(rs), 2);
    assert_str(cf_ruleset_rule(rs, 0)->title, "beside");
    assert_str(cf_ruleset_rule(rs, 1)->title, "mine");
    assert_str(cf_ruleset_rule(rs, 1)->file, "stored/a");
    cf_ruleset_free(rs);
    (void)unlink(path);
    (void)rmdir(dir);
}

static void position(const char *yaml, const char *message, int line, int column)
{
    int l, c;

    cf_rulebook_position(cf_str_c(yaml), cf_str_c(message), &l, &c);
    assert_int_equal(l, line);
    assert_int_equal(c, column);
}

static void test_positions(void **state)
{
    (void)state;
    position("a: 1\nb:\n  sel|nosuch: x\n", "line 3: there is no modifier \"nosuch\"", 3, 7);
    position("a: 1\nb:\n  - c\n", "line 3: something", 3, 5);
    position("a: 1\ncondition: sel and other\n", "the condition names \"other\", which is not there", 2, 20);
    position("a: 1\n", "the file is empty", 1, 1);
    position("", "line 9: cut off", 9, 1);
}

static void test_check(void **state)
{
    struct cf_rules_options lib = {0};
    struct cf_error err = {0};
    json_t *j = NULL;

    (void)state;
    assert_ok(cf_rulebook_check(&lib, CF_STR(RULE("a", "x")), &j, &err), err);
    assert_true(json_is_true(json_object_get(j, "valid")));
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(j, "fields"), 0), "sigma")), "user.name");
    assert_string_equal(json_string_value(json_object_get(j, "zone")), CF_RULES_ZONE);
    json_decref(j);
    lib.zone = CF_STR("-03:30"); /* the library's zone is the text's too */
    assert_ok(cf_rulebook_check(&lib, CF_STR(RULE("a", "x")), &j, &err), err);
    assert_string_equal(json_string_value(json_object_get(j, "zone")), "-03:30");
    json_decref(j);
    assert_ok(cf_rulebook_check(&lib, CF_STR("title: x\ndetection:\n  sel:\n    a: b\n  condition: nothing\n"), &j, &err), err);
    assert_true(json_is_false(json_object_get(j, "valid")));
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(j, "errors"), 0), "line")), 5);
    json_decref(j);
    assert_ok(cf_rulebook_check(&lib, CF_STR("# nothing\n"), &j, &err), err);
    assert_true(json_is_false(json_object_get(j, "valid")));
    json_decref(j);
}

static void test_archives(void **state)
{
    static const char *const kinds[] = {"zip", "tar.gz"};
    const struct cf_rule_file f[] = {{CF_STR("linux/a.yml"), CF_STR(RULE("a", "x"))}, {CF_STR("b.yaml"), CF_STR(RULE("b", "y"))}};
    struct cf_error err = {0};

    (void)state;
    for (int k = 0; k < 2; k++) {
        struct cf_rule_file *got;
        struct cf_arena a;
        struct cf_buf b;
        size_t n;

        cf_arena_init(&a, 0, 0);
        cf_buf_init(&b, 0);
        assert_ok(cf_rulebook_pack(f, 2, kinds[k], &b, &err), err);
        assert_ok(cf_rulebook_unpack(&a, CF_STR("x"), cf_buf_view(&b), &got, &n, &err), err);
        assert_int_equal(n, 2);
        assert_true(cf_str_eq(got[0].text, f[0].text));
        assert_str(got[1].name, "b.yaml");
        assert_true(cf_rulebook_unpack(&a, CF_STR("x"), cf_str_sub(cf_buf_view(&b), 0, b.n / 2), &got, &n, &err) < 0);
        cf_buf_release(&b);
        cf_arena_release(&a);
    }
}

static void test_staged(void **state)
{
    struct cf_db *db = open_db();
    struct cf_staged *s = cf_staged_new();
    struct cf_error err = {0};
    struct cf_arena a;
    struct cf_rule_info rule = {.id = CF_STR("r")};
    struct cf_hit h = {.rule = &rule};
    struct cf_event *ev;

    (void)state;
    cf_arena_init(&a, 0, 0);
    h.ev = ev = cf_event_new(&a);
    (void)cf_event_set(ev, CF_F_SOURCE_IP, CF_STR("10.0.0.1"));
    assert_ok(cf_staged_flush(s, db, &err), err);
    for (int i = 0; i < 30; i++) {
        ev->time_us = (i < 10 ? 5 : 6) * CF_US_PER_DAY + i;
        cf_staged_note(s, &h, "0190c0de-0000-7000-8000-000000000001");
        if (i == 14)
            assert_ok(cf_staged_flush(s, db, &err), err);
    }
    assert_ok(cf_staged_flush(s, db, &err), err);
    assert_int_equal(sql_number(db, "SELECT SUM(hits) FROM rule_staged_day"), 30);
    assert_int_equal(sql_number(db, "SELECT hits FROM rule_staged_day WHERE day = 5"), 10);
    assert_int_equal(sql_number(db, "SELECT COUNT(*) FROM rule_staged_hit WHERE entity = '10.0.0.1'"), 16); /* slots of the two flushes overlap */
    cf_staged_free(s);
    cf_arena_release(&a);
    records_close(&rec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions), cmocka_unit_test(test_states_and_lists), cmocka_unit_test(test_replaces_and_expands), cmocka_unit_test(test_positions),
        cmocka_unit_test(test_check), cmocka_unit_test(test_archives), cmocka_unit_test(test_staged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
