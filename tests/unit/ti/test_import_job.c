/* SPDX-License-Identifier: Apache-2.0
 * Imports as jobs: all or nothing, one at a time; what a crash left is taken back at the next start. */
#include "records.h"

#include <stdlib.h>
#include <sys/stat.h>
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
        " added_us, updated_us, hits, ver_us, out_tlp, out_conf, out_id, revoked_us FROM ti_indicator ORDER BY id",
        "SELECT id, type, name, tlp, matchable, modified, added_us, json, ver_us, out_tlp, out_conf, given_mod FROM ti_object ORDER BY id", "SELECT id, ver_us FROM ti_ended ORDER BY id", "SELECT id, src, kind, dst FROM ti_relation ORDER BY id",
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
    const struct ti_job_new n = {.name = CF_STR("a file"), .source = CF_STR("upload"), .active = true, .bytes = (int64_t)strlen(text), .o = {.type = CF_TI_ANY}};
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

/* The list of 5,000 with a row that the store refuses at the end: two transactions are in the library when it is met. */
static void full_store(struct world *w, const char *what)
{
    char sql[200];

    (void)snprintf(sql, sizeof sql, "CREATE TRIGGER full_%s BEFORE %s ON ti_indicator WHEN %s BEGIN SELECT RAISE(ABORT, 'the disk is full'); END", what, what,
                   strcmp(what, "INSERT") == 0 ? "NEW.value = '45.0.9.99'" : "1");
    run_sql(w->r.db, sql);
}

static size_t loaded(struct world *w, const char *value, int *confidence)
{
    const struct cf_ti_entry *e;
    struct cf_ti_set *s = NULL;
    struct cf_error err = {0};
    int64_t next;
    size_t n;

    assert_ok(ti_load_set(w->r.db, &s, &next, &err), err);
    n = cf_ti_set_count(s);
    e = value ? cf_ti_find(s, CF_TI_DOMAIN, cf_str_c(value), (uint32_t)(cf_now_us() / CF_US_PER_S), NULL) : NULL;
    if (confidence)
        *confidence = e ? e->confidence : -1;
    cf_ti_set_free(s);
    return n;
}

static int64_t exported(struct world *w)
{
    const struct ti_select all = {.tlp_max = 4};
    struct cf_error err = {0};
    struct cf_buf out;
    int64_t n;

    cf_buf_init(&out, 0);
    assert_ok(ti_write(w->r.db, &all, CF_STR("txt"), 100, &out, &n, &err), err);
    cf_buf_release(&out);
    return n;
}

/* Taking back fails too: the import keeps the place, its rows do not match, and it is tried again until it is done. */
static void taking_back_is_tried_again(void **state)
{
    struct world *w = *state;
    const struct ti_job_new n = {.name = CF_STR("next"), .source = CF_STR("upload"), .active = true};
    struct ti_job *j = NULL;
    struct ti_progress p;
    struct cf_error err = {0};
    uint64_t was;
    char id[40];

    if (cf_db_is_postgres(w->r.db)) {
        print_message("on PostgreSQL the triggers would be written otherwise; what is tested has no SQL of its own\n");
        return;
    }
    good(w, before);
    was = fingerprint(w->r.db);
    full_store(w, "INSERT");
    full_store(w, "DELETE");
    assert_true(run_job(w, all_of_them(), NULL, &err) < 0);
    assert_non_null(strstr(err.msg, "INSERT INTO ti_indicator"));
    assert_true(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_indicator") > 4000);
    assert_int_equal(loaded(w, NULL, NULL), 1);
    sql_text(w->r.db, "SELECT id FROM ti_import WHERE state = 'undoing'", id, sizeof id);
    assert_true(ti_job_progress(w->ti, cf_str_c(id), &p));
    assert_string_equal(p.state, "undoing");
    assert_int_equal(ti_job_begin(w->ti, w->r.dir, &n, &j, &err), CF_ECONFLICT);
    run_sql(w->r.db, "DROP TRIGGER full_DELETE");
    while (sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE state = 'failed' AND error LIKE '%INSERT%' AND report LIKE '%\"kept\":0%'") == 0)
        (void)usleep(2000);
    assert_true(fingerprint(w->r.db) == was);
    assert_ok(ti_job_begin(w->ti, w->r.dir, &n, &j, &err), err);
    ti_job_abandon(j);
    /* a restart in between does not end it: the trigger is there again, the server too */
    full_store(w, "DELETE");
    assert_true(run_job(w, all_of_them(), NULL, &err) < 0);
    cf_ti_stop(w->ti);
    start(w, true);
    assert_int_equal(loaded(w, NULL, NULL), 1);
    run_sql(w->r.db, "DROP TRIGGER full_DELETE");
    while (sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE state = 'interrupted' AND report LIKE '%\"kept\":0%'") == 0)
        (void)usleep(2000);
    assert_true(fingerprint(w->r.db) == was);
}

/* Rows that a running import changed match as they did, the new ones not at all; a person's word counts at once. */
static void a_half_import_matches_as_before(void **state)
{
    static const char text[] = "{\"type\":\"bundle\",\"objects\":[" IND("old.evil.example", "9") "]}";
    struct world *w = *state;
    struct cf_error err = {0};
    struct ti_source src;
    struct ti_writer wr = {.db = w->r.db, .source = &src, .active = true, .import_id = "i-11"};
    const struct ti_import_options o = {.type = CF_TI_ANY};
    struct ti_import *im = NULL;
    char sql[300];
    int c;

    good(w, before);
    good(w, "gone.evil.example\njudged.evil.example\n");
    assert_int_equal(loaded(w, "old.evil.example", &c), 3);
    assert_int_equal(c, 1);
    assert_ok(ti_source_read(w->r.db, CF_STR("upload"), &src, &err), err);
    assert_ok(ti_writer_begin(&wr, &err), err);
    (void)snprintf(sql, sizeof sql, "INSERT INTO ti_import (id, org_id, source_id, name, state, stamp_us, created_us) VALUES ('i-11', 'root', 'upload', 'x', 'running', %lld, 1)", (long long)wr.now_us);
    run_sql(w->r.db, sql);
    assert_ok(ti_import_new(&wr, &o, &im, &err), err);
    assert_ok(ti_import_feed(im, cf_str_c(text), &err), err);
    assert_ok(ti_import_end(im, &err), err);
    ti_import_free(im);
    assert_ok(ti_import_new(&wr, &o, &im, &err), err);
    assert_ok(ti_import_feed(im, CF_STR("new.evil.example\njudged.evil.example # again\n"), &err), err);
    assert_ok(ti_import_end(im, &err), err);
    ti_import_free(im);
    assert_int_equal(loaded(w, "old.evil.example", &c), 3);
    assert_int_equal(c, 1);
    (void)loaded(w, "new.evil.example", &c);
    assert_int_equal(c, -1);
    assert_int_equal(exported(w), 3);
    run_sql(w->r.db, "UPDATE ti_indicator SET status = 'withdrawn', updated_us = updated_us + 1000 WHERE value = 'judged.evil.example'");
    assert_int_equal(loaded(w, "judged.evil.example", &c), 2);
    assert_int_equal(c, -1);
    run_sql(w->r.db, "UPDATE ti_import SET state = 'finishing' WHERE id = 'i-11'");
    assert_int_equal(loaded(w, "old.evil.example", &c), 3);
    assert_int_equal(c, 9);
    (void)loaded(w, "new.evil.example", &c);
    assert_true(c > 0);
    assert_int_equal(exported(w), 3); /* one was withdrawn, one is new */
    ti_writer_release(&wr);
}

/* Of the imports that are over 200 are listed; what is not over is never dropped. */
static void the_list_keeps_what_is_not_over(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 260; i++) {
        char sql[250];

        (void)snprintf(sql, sizeof sql, "INSERT INTO ti_import (id, org_id, source_id, name, state, stamp_us, created_us) VALUES ('n-%d', 'root', 'upload', 'x', '%s', %d, %d)", i,
                       i == 0 ? "undoing" : i == 1 ? "finishing" : "done", i + 10, i + 10);
        run_sql(w->r.db, sql);
    }
    good(w, before);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE id IN ('n-0', 'n-1')"), 2);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE id = 'n-2'"), 0);
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import"), 2 + 201 + 1);
}

/* The server is asked to end while a request imports: it gives up at its next step, and the next start takes it back. */
static void the_end_of_the_server_is_not_held_up(void **state)
{
    struct world *w = *state;
    struct cf_error err = {0};
    uint64_t was = fingerprint(w->r.db);
    json_t *report = NULL;

    cf_ti_ending(w->ti);
    assert_int_equal(ti_job_wait_place(w->ti, &err), CF_ECANCELLED); /* a fetch does not wait either */
    cf_ti_stop(w->ti);
    start(w, false);
    const struct ti_job_new n = {.name = CF_STR("x"), .source = CF_STR("upload"), .active = true};
    struct ti_job *j = NULL;

    assert_ok(ti_job_begin(w->ti, w->r.dir, &n, &j, &err), err);
    assert_ok(ti_job_piece(j, CF_STR("x.evil.example\n"), &err), err);
    cf_ti_ending(w->ti);
    assert_int_equal(ti_job_run(j, &report, &err), CF_ECANCELLED);
    assert_non_null(strstr(err.msg, "server"));
    assert_int_equal(sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE state = 'running'"), 1);
    cf_ti_stop(w->ti);
    start(w, true);
    while (sql_number(w->r.db, "SELECT COUNT(*) FROM ti_import WHERE state = 'interrupted'") == 0)
        (void)usleep(2000);
    assert_true(fingerprint(w->r.db) == was);
}

static void options_too_long_are_refused(void **state)
{
    struct world *w = *state;
    struct ti_job_new n = {.source = CF_STR("upload")};
    struct ti_job *j = NULL;
    struct cf_error err = {0};
    char columns[TI_COLUMNS_MAX + 2];

    memset(columns, '-', sizeof columns);
    memcpy(columns, "value,", 6);
    n.o.columns = cf_str_n(columns, TI_COLUMNS_MAX);
    assert_ok(ti_job_begin(w->ti, w->r.dir, &n, &j, &err), err); /* as long as may be */
    ti_job_abandon(j);
    n.o.columns = cf_str_n(columns, TI_COLUMNS_MAX + 1);
    assert_int_equal(ti_job_begin(w->ti, w->r.dir, &n, &j, &err), CF_EINVAL);
    assert_non_null(strstr(err.msg, "at most 511"));
    n.o = (struct ti_import_options){.family = cf_str_n(columns, TI_FAMILY_MAX + 1)};
    assert_int_equal(ti_job_begin(w->ti, w->r.dir, &n, &j, &err), CF_EINVAL);
    n.o = (struct ti_import_options){.threat_type = cf_str_n(columns, TI_THREAT_MAX + 1)};
    assert_int_equal(ti_job_begin(w->ti, w->r.dir, &n, &j, &err), CF_EINVAL);
    good(w, before); /* none of them holds the place */
}

/* Where files without a name do not exist, one whose name goes at once does the same. */
static void a_file_without_a_name(void **state)
{
    struct world *w = *state;
    struct cf_error err = {0};
    int fd[2];

    for (int nameless = 0; nameless < 2; nameless++) {
        char back[6] = "";
        struct stat st;

        assert_ok(ti_temp_file(w->r.dir, nameless, &fd[nameless], &err), err);
        assert_int_equal(fstat(fd[nameless], &st), 0);
        assert_int_equal(st.st_nlink, 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(write(fd[nameless], "hello", 5), 5);
        assert_int_equal(pread(fd[nameless], back, 5, 0), 5);
        assert_string_equal(back, "hello");
    }
    (void)close(fd[0]);
    (void)close(fd[1]);
    assert_true(ti_temp_file("/nowhere/at/all", true, &fd[0], &err) < 0);
    assert_true(ti_temp_file("/nowhere/at/all", false, &fd[0], &err) < 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {T(done_and_listed), T(an_error_takes_all_back), T(a_decision_stays), T(ended_in_the_middle), T(one_at_a_time_and_cancel), T(a_crash_is_taken_back),
                                       T(the_next_import_stays), T(an_import_meanwhile_is_left_alone), T(a_long_name_is_cut_between_characters), T(taking_back_is_tried_again),
                                       T(a_half_import_matches_as_before), T(the_list_keeps_what_is_not_over), T(the_end_of_the_server_is_not_held_up), T(options_too_long_are_refused),
                                       T(a_file_without_a_name)};

    return records_both("intelligence imports as jobs", tests);
}
