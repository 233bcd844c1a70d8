/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include "pipeline/bulk_keys.h"
#include "pipeline/pipeline.h"

static struct records rec;

static int open_db(void **state)
{
    (void)state;
    records_open(&rec);
    records_migrate(rec.db, pipeline);
    return 0;
}

static int close_db(void **state)
{
    (void)state;
    records_close(&rec);
    return 0;
}

static int begin(const char *user, const char *key, int64_t now, struct bulk_key *k)
{
    struct cf_error err = {0};

    return bulk_key_begin(rec.db, cf_str_c(user), cf_str_c(key), now, k, &err);
}

static void an_answer_is_given_again(void **state)
{
    json_t *errors = json_pack("[{s:i,s:s}]", "line", 7, "message", "no");
    struct cf_error err = {0};
    struct bulk_key k, again;

    (void)state;
    assert_int_equal(begin("u", "k", 1000, &k), 0);
    assert_false(k.repeated);
    assert_int_equal(begin("u", "k", 1001, &again), CF_ECONFLICT); /* is being answered */
    assert_string_equal(again.id, "");
    assert_ok(bulk_key_answer(rec.db, &k, 5, 1, errors, &err), err);
    assert_int_equal(begin("u", "k", 1002, &again), 0);
    assert_true(again.repeated);
    assert_int_equal(again.accepted, 5);
    assert_int_equal(again.rejected, 1);
    assert_true(json_equal(again.errors, errors));
    json_decref(again.errors);
    json_decref(errors);
    assert_int_equal(begin("v", "k", 1003, &again), 0); /* the key of another person */
    assert_false(again.repeated);
    bulk_key_drop(rec.db, &again);
    assert_int_equal(begin("v", "k", 1004, &again), 0); /* no answer came: may be tried again */
    assert_false(again.repeated);
}

static void runs_that_died_hold_nothing(void **state)
{
    struct bulk_key k;

    (void)state;
    assert_int_equal(begin("u", "dead", 1000, &k), 0);
    run_sql(rec.db, "UPDATE bulk_key SET run = 'an earlier one'");
    assert_int_equal(begin("u", "dead", 1001, &k), 0);
    assert_false(k.repeated);
    assert_int_equal(begin("u", "dead", 1002, &k), CF_ECONFLICT);
}

static void keys_are_forgotten(void **state)
{
    json_t *none = json_array();
    struct cf_error err = {0};
    struct bulk_key k;

    (void)state;
    assert_int_equal(begin("u", "old", 1000, &k), 0);
    assert_ok(bulk_key_answer(rec.db, &k, 1, 0, none, &err), err);
    assert_int_equal(begin("u", "old", 1000 + CF_BULK_KEY_KEEP_US, &k), 0); /* too old to count, though still there */
    assert_false(k.repeated);
    assert_ok(bulk_key_answer(rec.db, &k, 2, 0, none, &err), err);
    assert_ok(bulk_keys_forget(rec.db, 1000 + CF_BULK_KEY_KEEP_US, &err), err); /* renewed: stays */
    assert_int_equal(begin("u", "old", 1001 + CF_BULK_KEY_KEEP_US, &k), 0);
    assert_true(k.repeated);
    assert_int_equal(k.accepted, 2);
    json_decref(k.errors);
    assert_ok(bulk_keys_forget(rec.db, 1000 + 2 * CF_BULK_KEY_KEEP_US, &err), err);
    assert_int_equal(begin("u", "old", 1002 + CF_BULK_KEY_KEEP_US, &k), 0);
    assert_false(k.repeated);
    json_decref(none);
}

static void long_keys_are_refused(void **state)
{
    char key[CF_BULK_KEY_MAX + 2];
    struct bulk_key k;

    (void)state;
    memset(key, 'x', sizeof key - 1);
    key[sizeof key - 1] = 0;
    assert_int_equal(begin("u", key, 1, &k), CF_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_is_given_again, open_db, close_db),
        cmocka_unit_test_setup_teardown(runs_that_died_hold_nothing, open_db, close_db),
        cmocka_unit_test_setup_teardown(keys_are_forgotten, open_db, close_db),
        cmocka_unit_test_setup_teardown(long_keys_are_refused, open_db, close_db),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
