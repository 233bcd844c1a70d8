/* SPDX-License-Identifier: Apache-2.0
 * A record store of a test's own: an SQLite file in a folder of its own, or an empty PostgreSQL. A call that fails fails
 * the test with its reason. */
#ifndef CF_TESTS_UNIT_RECORDS_H
#define CF_TESTS_UNIT_RECORDS_H

#include "store/record_store.h"
#include "test.h"

struct records {
    char dir[64]; /* for the test's other files too; removed at close */
    struct cf_db *db;
};

void records_open(struct records *r);
void records_close(struct records *r);
#define records_migrate(db, module) records_migrate_(db, cf_##module##_migrations, cf_##module##_n_migrations)
void records_migrate_(struct cf_db *db, const struct cf_migration *m, size_t n);
/* Runs the tests on SQLite and then, where its programs are installed, on PostgreSQL; how many failed. */
#define records_both(name, tests) records_both_(name, tests, sizeof(tests) / sizeof((tests)[0]))
int records_both_(const char *name, const struct CMUnitTest *tests, size_t n);

void ok(int r, const struct cf_error *err);
void run_sql(struct cf_db *db, const char *sql);
/* The first column of the first row, which must be there. */
int64_t sql_number(struct cf_db *db, const char *sql);
void sql_text(struct cf_db *db, const char *sql, char *out, size_t n);

#endif
