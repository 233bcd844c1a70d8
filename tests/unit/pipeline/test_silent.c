/* SPDX-License-Identifier: Apache-2.0
 * Data sources that fall silent and come back: who is told, and that many at once are one message. */
#include "records.h"

#include "asset/asset.h"
#include "collect/counters.h"
#include "directory/service.h"
#include "message/message_int.h"
#include "pipeline/pipeline_int.h"
#include "pipeline/quality.h"

struct world {
    struct records r;
    struct cf_messenger *m;
    struct cf_pipeline *p;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct cf_error err = {0};
    struct cf_messenger_options o = {.content_dir = CF_TEST_ROOT "/content", .max_attempts = 1};

    records_open(&w->r);
    records_migrate(w->r.db, directory);
    records_migrate(w->r.db, message);
    records_migrate(w->r.db, asset);
    run_sql(w->r.db, "INSERT INTO app_user (id, name, display_name, org_id, locale, active, created_us, updated_us) VALUES "
                     "('u1', 'ann', 'Ann', 'o', 'en', 1, 1, 1), ('u2', 'bob', 'Bob', 'o', 'en', 1, 1, 1)");
    run_sql(w->r.db, "INSERT INTO user_role (user_id, role_id) VALUES ('u1', 'system_admin')");
    o.db = w->r.db;
    ok(cf_messenger_new(&o, &w->m, &err), &err);
    w->p = calloc(1, sizeof *w->p);
    w->p->o.db = w->r.db;
    w->p->o.messenger = w->m;
    w->p->counters = cf_counters_new();
    assert_non_null(w->p->counters);
    (void)pthread_mutex_init(&w->p->mu, NULL);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    cf_counters_free(w->p->counters);
    (void)pthread_mutex_destroy(&w->p->mu);
    free(w->p);
    cf_messenger_free(w->m);
    records_close(&w->r);
    free(w);
    return 0;
}

static void sources(struct world *w, const char *prefix, const char *owner, int n)
{
    char sql[400];

    for (int i = 0; i < n; i++) {
        (void)snprintf(sql, sizeof sql, "INSERT INTO data_source (id, org_id, name, owner_name, silent_after_us, created_us) VALUES ('%s%d', 'o', '%s-%02d', '%s', 5000000, 1)",
                       prefix, i, prefix, i, owner);
        run_sql(w->r.db, sql);
    }
}

static void many_at_once_are_one_message(void **state)
{
    struct world *w = *state;
    char title[200];

    sources(w, "row", "", 25);  /* nobody's: the administrators are told */
    sources(w, "bob", "bob", 2); /* few: each by itself, to its owner */
    quality_check_silent(w->p);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM data_source WHERE silent_us IS NOT NULL"), 27);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE user_id = 'u1'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE user_id = 'u2'"), 2);
    sql_text(w->r.db, "SELECT title FROM message WHERE user_id = 'u1'", title, sizeof title);
    assert_string_equal(title, "25 data sources silent at once");
    sql_text(w->r.db, "SELECT title FROM message WHERE user_id = 'u2' ORDER BY title", title, sizeof title);
    assert_string_equal(title, "Data source silent: bob-00");

    quality_check_silent(w->p); /* nothing new, nothing told */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message"), 3);

    run_sql(w->r.db, "UPDATE data_source SET last_us = silent_us + 1, silent_after_us = 3600000000");
    quality_check_silent(w->p);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM data_source WHERE silent_us IS NOT NULL"), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message WHERE title = '25 data sources back'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM message"), 6);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(many_at_once_are_one_message, setup, teardown)};

    return records_both("silent sources", tests);
}
