/* SPDX-License-Identifier: Apache-2.0
 * Imports as jobs: all or nothing, one at a time; what a crash left is taken back at the next start. */
#include "records.h"

#include <stdlib.h>
#include <unistd.h>

#include "asset/asset.h"
#include "directory/service.h"
#include "ti/ti_int.h"

struct world {
    struct records r;
    struct cf_ti *ti;
    char key[96];
};

static void start(struct world *w, bool thread)
{
    struct cf_error err = {0};
    const struct cf_ti_options o = {.db = w->r.db, .content_dir = CF_TEST_ROOT "/content", .key_file = w->key, .thread = thread};

    assert_ok(cf_ti_start(&o, &w->ti, &err), err);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    records_open(&w->r);
    records_migrate(w->r.db, directory);
    records_migrate(w->r.db, asset);
    records_migrate(w->r.db, ti);
    (void)snprintf(w->key, sizeof w->key, "%s/secret.key", w->r.dir);
    start(w, false);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    cf_ti_stop(w->ti);
    records_close(&w->r);
    free(w);
    return 0;
}

/* Everything that an import may change, as one number. */
static uint64_t fingerprint(struct cf_db *db)
{
    static const char *const sql[] = {
        "SELECT id, value, confidence, severity, tlp, threat_type, family, grp, valid_from_us, valid_until_us, last_seen_us, description, tags, techniques, ext_id, status, conflict,"
        " added_us, updated_us, hits FROM ti_indicator ORDER BY id",
        "SELECT id, type, name, tlp, matchable, modified, added_us, json FROM ti_object ORDER BY id", "SELECT id, src, kind, dst FROM ti_relation ORDER BY id",
        "SELECT import_id, id FROM ti_import_undo", "SELECT id, indicator_id, field FROM ti_sighting ORDER BY id", "SELECT import_id, id FROM ti_import_undo_object"};
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    struct cf_buf b;
    uint64_t h;

    cf_buf_init(&b, 64 << 20);
    assert_ok(cf_tx_begin(db, CF_TX_READ, &tx, &err), err);
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++) {
        struct cf_stmt *st = NULL;

        assert_ok(cf_tx_query(tx, sql[i], &st, &err), err);
        while (cf_stmt_next(st, &err) == 1)
            for (int c = 0; c < cf_stmt_cols(st); c++) {
                cf_buf_str(&b, cf_stmt_str(st, c));
                cf_buf_byte(&b, '|');
            }
        cf_stmt_free(st);
    }
    cf_tx_rollback(&tx);
    h = cf_hash64(cf_buf_view(&b));
    cf_buf_release(&b);
    return h;
}

#define OBJECT(id, modified, name) "{\"type\":\"malware\",\"id\":\"malware--162d917e-766f-4611-b5d6-65279145" id "\",\"modified\":\"" modified "\",\"name\":\"" name "\"}"
#define LINK(modified, kind) \
    "{\"type\":\"relationship\",\"id\":\"relationship--864af2ea-46f9-4d23-b3a2-1c2adf81c265\",\"modified\":\"" modified "\",\"relationship_type\":\"" kind "\"," \
    "\"source_ref\":\"indicator--d81f86b9-975b-4c0b-875e-810c5ad45a4f\",\"target_ref\":\"malware--162d917e-766f-4611-b5d6-6527914500ca\"}"
#define IND(value, confidence) \
    "{\"type\":\"indicator\",\"id\":\"indicator--d81f86b9-975b-4c0b-875e-810c5ad45a4f\",\"modified\":\"2026-01-0" confidence "T00:00:00Z\",\"confidence\":" confidence "," \
    "\"pattern\":\"[domain-name:value = '" value "']\",\"pattern_type\":\"stix\",\"valid_from\":\"2026-01-01T00:00:00Z\",\"valid_until\":\"2099-01-01T00:00:00Z\"}"
static const char before[] = "{\"type\":\"bundle\",\"objects\":[" IND("old.evil.example", "1") "," OBJECT("00ca", "2026-01-01", "first") "," LINK("2026-01-01", "indicates") "]}";
static const char after[] = "{\"type\":\"bundle\",\"objects\":[" IND("old.evil.example", "2") "," IND("new.evil.example", "3") "," OBJECT("00ca", "2026-02-01", "second") ","
                            OBJECT("00cb", "2026-02-01", "new") ","
                            "{\"type\":\"sighting\",\"id\":\"sighting--1\",\"sighting_of_ref\":\"indicator--d81f86b9-975b-4c0b-875e-810c5ad45a4f\",\"modified\":\"2026-01-01T00:00:00Z\"}," LINK("2026-02-01", "related-to") "]}";

static int run_job(struct world *w, const char *text, json_t **report, struct cf_error *err)
{
    const struct ti_job_new n = {.name = CF_STR("a file"), .source = CF_STR("upload"), .active = true, .bytes = (int64_t)strlen(text)};
    struct ti_job *j = NULL;

    assert_ok(ti_job_begin(w->ti, w->r.dir, &n, &j, err), *err);
    assert_ok(ti_job_piece(j, cf_str_c(text), err), *err);
    return ti_job_run(j, report, err);
}

static void good(struct world *w, const char *text)
{
    struct cf_error err = {0};
    json_t *report = NULL;

    assert_ok(run_job(w, text, &report, &err), err);
    json_decref(report);
}

static void done_and_listed(void **state)
{
    struct world *w = *state;
    char text[400];

    good(w, before);
    good(w, after);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE state = 'done' AND format = 'stix' AND finished_us >= started_us"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import_undo"), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import_undo_object"), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE confidence > 1"), 2);
    sql_text(w->r.db, "SELECT report FROM ti_import ORDER BY created_us DESC LIMIT 1", text, sizeof text);
    assert_non_null(strstr(text, "\"new\":1,\"updated\":1"));
}

/* A file with an error at its end: the rows before it are in the library already when it is met. */
static void an_error_takes_all_back(void **state)
{
    struct world *w = *state;
    struct cf_error err = {0};
    struct ti_source src;
    struct ti_writer wr = {.db = w->r.db, .source = &src, .active = true, .import_id = "i-1"};
    const struct ti_import_options o = {.type = CF_TI_ANY};
    struct ti_import *im = NULL;
    uint64_t was;

    good(w, before);
    was = fingerprint(w->r.db);
    assert_ok(ti_source_read(w->r.db, CF_STR("upload"), &src, &err), err);
    assert_ok(ti_writer_begin(&wr, &err), err);
    assert_ok(ti_import_new(&wr, &o, &im, &err), err);
    assert_ok(ti_import_feed(im, cf_str_c(after), &err), err);
    assert_ok(ti_import_end(im, &err), err);
    assert_true(fingerprint(w->r.db) != was);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_relation WHERE kind = 'related-to'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_sighting"), 2);
    assert_ok(ti_undo_run(w->r.db, "i-1", "upload", wr.now_us, &err), err);
    assert_true(fingerprint(w->r.db) == was);
    ti_import_free(im);
    ti_writer_release(&wr);
    /* as a whole: the text ends early */
    err = (struct cf_error){0};
    assert_int_equal(run_job(w, "{\"type\":\"bundle\",\"objects\":[" IND("old.evil.example", "5") ",", NULL, &err), CF_ESYNTAX);
    assert_true(fingerprint(w->r.db) == was);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE state = 'failed' AND error LIKE '%ends early%' AND report LIKE '%\"kept\":0%'"), 1);
}

/* What a person decided about a row while the import was there stays. */
static void a_decision_stays(void **state)
{
    struct world *w = *state;
    struct cf_error err = {0};
    struct ti_source src;
    struct ti_writer wr = {.db = w->r.db, .source = &src, .active = true, .import_id = "i-2"};
    const struct ti_import_options o = {.format = CF_STR("list"), .type = CF_TI_ANY};
    struct ti_import *im = NULL;

    good(w, before);
    assert_ok(ti_source_read(w->r.db, CF_STR("upload"), &src, &err), err);
    assert_ok(ti_writer_begin(&wr, &err), err);
    assert_ok(ti_import_new(&wr, &o, &im, &err), err);
    assert_ok(ti_import_feed(im, CF_STR("old.evil.example\njudged.evil.example\nother.evil.example\n"), &err), err);
    assert_ok(ti_import_end(im, &err), err);
    run_sql(w->r.db, "UPDATE ti_indicator SET status = 'false_positive', updated_us = updated_us + 1000 WHERE value IN ('judged.evil.example', 'old.evil.example')");
    assert_ok(ti_undo_run(w->r.db, "i-2", "upload", wr.now_us, &err), err);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator WHERE status = 'false_positive'"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator"), 2);
    ti_import_free(im);
    ti_writer_release(&wr);
}

static int second_tick(void *ctx, const struct ti_writer *w, struct cf_error *reterr)
{
    int *left = ctx;

    (void)w;
    return --*left ? 0 : cf_error_set(reterr, CF_ECANCELLED, "enough");
}

static const char *all_of_them(void)
{
    static char text[5000 * 16];
    size_t n = 0;

    for (int i = 0; i < 5000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "45.0.%d.%d\n", i / 250, i % 250 + 1);
    return text;
}

/* Ended in the middle of a run of 5,000 rows, of which 2,000 or more are in the library: short transactions, nothing stays. */
static void ended_in_the_middle(void **state)
{
    struct world *w = *state;
    struct cf_error err = {0};
    struct ti_source src;
    int left = 2;
    struct ti_writer wr = {.db = w->r.db, .source = &src, .active = true, .import_id = "i-3", .tick = second_tick, .tick_ctx = &left};
    const struct ti_import_options o = {.format = CF_STR("list"), .type = CF_TI_ANY};
    struct ti_import *im = NULL;
    uint64_t was;
    char line[40];
    int64_t n;

    for (int round = 0; round < 2; round++) { /* new rows, then rows that are there */
        was = fingerprint(w->r.db);
        left = 2;
        wr.now_us = 0;
        assert_ok(ti_source_read(w->r.db, CF_STR("upload"), &src, &err), err);
        assert_ok(ti_writer_begin(&wr, &err), err);
        assert_ok(ti_import_new(&wr, &o, &im, &err), err);
        for (int i = 0; i < 5000; i++)
            assert_ok(ti_import_feed(im, cf_str_n(line, (size_t)snprintf(line, sizeof line, "45.%d.%d.%d\n", round, i / 250, i % 250 + 1)), &err), err);
        for (int i = 0; round && i < 5000; i++)
            assert_ok(ti_import_feed(im, cf_str_n(line, (size_t)snprintf(line, sizeof line, "45.0.%d.%d # known\n", i / 250, i % 250 + 1)), &err), err);
        assert_int_equal(ti_import_end(im, &err), CF_ECANCELLED);
        cf_tx_rollback(&wr.tx);
        n = wr.written;
        assert_true(n >= 4000 && n < 4100); /* two transactions of 2,000 rows */
        assert_true(fingerprint(w->r.db) != was);
        assert_ok(ti_undo_run(w->r.db, "i-3", "upload", wr.now_us, &err), err);
        assert_true(fingerprint(w->r.db) == was);
        ti_import_free(im);
        ti_writer_release(&wr);
        wr = (struct ti_writer){.db = w->r.db, .source = &src, .active = true, .import_id = "i-3", .tick = second_tick, .tick_ctx = &left};
        if (round == 0)
            good(w, all_of_them());
    }
}

static void one_at_a_time_and_cancel(void **state)
{
    struct world *w = *state;
    const struct ti_job_new n = {.name = CF_STR("first"), .source = CF_STR("upload"), .active = true}, bad = {.source = CF_STR("upload"), .o = {.format = CF_STR("pdf")}};
    struct ti_job *j = NULL, *other = NULL;
    struct ti_progress p;
    struct cf_error err = {0};
    char id[40];
    uint64_t was;

    good(w, before);
    was = fingerprint(w->r.db);
    assert_int_equal(ti_job_begin(w->ti, w->r.dir, &bad, &other, &err), CF_EINVAL); /* refused before the upload, and the place is free */
    assert_ok(ti_job_begin(w->ti, w->r.dir, &n, &j, &err), err);
    assert_int_equal(ti_job_begin(w->ti, w->r.dir, &n, &other, &err), CF_ECONFLICT);
    assert_non_null(strstr(err.msg, "\"first\""));
    (void)snprintf(id, sizeof id, "%s", ti_job_id(j));
    assert_ok(ti_job_piece(j, CF_STR("x.evil.example\n"), &err), err);
    assert_true(ti_job_progress(w->ti, cf_str_c(id), &p));
    assert_int_equal(p.uploaded, 15);
    assert_false(ti_job_cancel(w->ti, CF_STR("another")));
    assert_true(ti_job_cancel(w->ti, cf_str_c(id)));
    assert_int_equal(ti_job_run(j, NULL, &err), CF_ECANCELLED); /* the upload was whole; the first look at the wish ends it */
    assert_false(ti_job_progress(w->ti, cf_str_c(id), &p));
    assert_false(ti_job_cancel(w->ti, cf_str_c(id)));
    assert_ok(ti_job_begin(w->ti, w->r.dir, &n, &j, &err), err); /* the place is free again */
    assert_true(ti_job_cancel(w->ti, cf_str_c(ti_job_id(j))));
    assert_int_equal(ti_job_piece(j, CF_STR("x.evil.example\n"), &err), CF_ECANCELLED);
    ti_job_abandon(j);
    assert_ok(ti_job_begin(w->ti, w->r.dir, &n, &j, &err), err);
    ti_job_abandon(j); /* the connection broke */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE state = 'cancelled'"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE state = 'interrupted'"), 1);
    assert_true(fingerprint(w->r.db) == was);
}

/* The server was killed in the middle: rows are in the library, the list says running. */
static void a_crash_is_taken_back(void **state)
{
    struct world *w = *state;
    struct cf_error err = {0};
    struct ti_source src;
    struct ti_writer wr = {.db = w->r.db, .source = &src, .active = true, .import_id = "i-4"};
    const struct ti_import_options o = {.type = CF_TI_ANY};
    struct ti_import *im = NULL;
    struct cf_ti_stats stats;
    uint64_t was;
    char sql[300];

    good(w, before);
    was = fingerprint(w->r.db);
    cf_ti_stop(w->ti);
    assert_ok(ti_source_read(w->r.db, CF_STR("upload"), &src, &err), err);
    assert_ok(ti_writer_begin(&wr, &err), err);
    assert_ok(ti_import_new(&wr, &o, &im, &err), err);
    assert_ok(ti_import_feed(im, cf_str_c(after), &err), err);
    assert_ok(ti_import_end(im, &err), err);
    (void)snprintf(sql, sizeof sql, "INSERT INTO ti_import (id, org_id, source_id, name, state, stamp_us, created_us) VALUES ('i-4', 'root', 'upload', 'x', 'running', %lld, 1),"
                                    " ('i-5', 'root', 'upload', 'y', 'uploading', 5, 2), ('i-6', 'root', 'upload', 'z', 'finishing', 6, 3)", (long long)wr.now_us);
    run_sql(w->r.db, sql);
    ti_import_free(im);
    ti_writer_release(&wr);
    start(w, true);
    cf_ti_get_stats(w->ti, &stats);
    assert_int_equal(stats.indicators, 1); /* a new row of a half import never matches */
    while (sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE state IN ('running', 'undoing', 'uploading', 'finishing')"))
        (void)usleep(2000);
    assert_true(fingerprint(w->r.db) == was);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE id IN ('i-4', 'i-5') AND state = 'interrupted' AND error LIKE '%restarted%'"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE id = 'i-6' AND state = 'done'"), 1);
}

/* Two imports after each other, then the first is taken back (it failed to be before the restart): what the second wrote stays. */
static void the_next_import_stays(void **state)
{
    static const char later[] = "{\"type\":\"bundle\",\"objects\":[" OBJECT("00ca", "2026-03-01", "third") "," LINK("2026-03-01", "derived-from") "]}";
    struct world *w = *state;
    struct cf_error err = {0};
    struct ti_source src;
    struct ti_writer wr = {.db = w->r.db, .source = &src, .active = true, .import_id = "i-7"};
    const struct ti_import_options o = {.type = CF_TI_ANY};
    struct ti_import *im = NULL;

    good(w, before);
    assert_ok(ti_source_read(w->r.db, CF_STR("upload"), &src, &err), err);
    assert_ok(ti_writer_begin(&wr, &err), err);
    assert_ok(ti_import_new(&wr, &o, &im, &err), err);
    assert_ok(ti_import_feed(im, cf_str_c(after), &err), err);
    assert_ok(ti_import_end(im, &err), err);
    while (cf_now_us() <= wr.now_us) /* another moment than the first import's */
        (void)usleep(100);
    good(w, later);
    assert_ok(ti_undo_run(w->r.db, "i-7", "upload", wr.now_us, &err), err);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_object WHERE name = 'third'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_relation WHERE kind = 'derived-from'"), 1);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import_undo_object"), 0);
    ti_import_free(im);
    ti_writer_release(&wr);
}

/* An import that begins while left ones are taken back is none of them. The trigger makes it begin right after the first has ended. */
static void an_import_meanwhile_is_left_alone(void **state)
{
    struct world *w = *state;

    if (cf_db_is_postgres(w->r.db)) {
        print_message("on PostgreSQL the trigger would be written otherwise; what is tested has no SQL of its own\n");
        return;
    }
    cf_ti_stop(w->ti);
    run_sql(w->r.db, "INSERT INTO ti_import (id, org_id, source_id, name, state, stamp_us, created_us) VALUES ('i-8', 'root', 'upload', 'left', 'uploading', 5, 1)");
    run_sql(w->r.db, "CREATE TRIGGER meanwhile AFTER UPDATE ON ti_import WHEN NEW.id = 'i-8' BEGIN"
                     " INSERT INTO ti_import (id, org_id, source_id, name, state, stamp_us, created_us) VALUES ('i-9', 'root', 'upload', 'new', 'uploading', 6, 2); END");
    start(w, true);
    while (sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE id = 'i-8' AND state = 'interrupted'") == 0)
        (void)usleep(2000);
    ti_job_stop(w->ti); /* the thread that takes back has ended */
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE id = 'i-9' AND state = 'uploading'"), 1);
}

/* A name longer than is kept: whole characters of it. */
static void a_long_name_is_cut_between_characters(void **state)
{
    struct world *w = *state;
    struct ti_job_new n = {.source = CF_STR("upload"), .active = true};
    struct ti_job *j = NULL;
    struct cf_error err = {0};
    char name[399], kept[400], sql[120];

    memset(name, 'x', 3);
    for (size_t at = 3; at + 3 <= sizeof name; at += 3)
        memcpy(name + at, "\xe5\x9f\x8e", 3);
    for (size_t from = 1; from <= 3; from++) { /* the end of what is kept falls on each byte of a character */
        n.name = cf_str_n(name + from, 300 - from);
        assert_ok(ti_job_begin(w->ti, w->r.dir, &n, &j, &err), err);
        (void)snprintf(sql, sizeof sql, "SELECT name FROM ti_import WHERE id = '%s'", ti_job_id(j));
        ti_job_abandon(j);
        sql_text(w->r.db, sql, kept, sizeof kept);
        assert_true(strlen(kept) > 196 && strlen(kept) < 200);
        assert_true(cf_utf8_valid(cf_str_c(kept)));
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {T(done_and_listed), T(an_error_takes_all_back), T(a_decision_stays), T(ended_in_the_middle), T(one_at_a_time_and_cancel), T(a_crash_is_taken_back),
                                       T(the_next_import_stays), T(an_import_meanwhile_is_left_alone), T(a_long_name_is_cut_between_characters)};

    return records_both("intelligence imports as jobs", tests);
}
