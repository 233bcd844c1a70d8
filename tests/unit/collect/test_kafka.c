/* SPDX-License-Identifier: Apache-2.0
 * Offsets of partitions without brokers: text form, marks through the spool with gaps, generations and strange texts. The rest is in
 * tests/e2e/kafka.test.mjs. COL-032. */
#include "collect/spool_help.h"

#include "collect/kafka_int.h"

static char state[300];

static int setup(void **s)
{
    if (t_setup(s) != 0)
        return -1;
    (void)snprintf(state, sizeof state, "%s.state", t_dir);
    return 0;
}
static int teardown(void **s)
{
    (void)unlink(state);
    return t_teardown(s);
}
static void text(void **s)
{
    struct kafka_pos p = {.group = 0xfeed, .gen = 3, .partition = 7, .base = 5, .next = 123456789012, .topic = "city.logs-1"}, q;
    struct cf_buf b;
    int64_t from;

    (void)s;
    cf_buf_init(&b, 1024);
    (void)kafka_pos_text(&p, 77, &b);
    assert_true(kafka_pos_parse(cf_buf_view(&b), &q, &from));
    assert_memory_equal(&p, &q, sizeof p);
    assert_int_equal(from, 77);
    cf_buf_release(&b);
    for (const char *const *bad = (const char *const[]){"", "t1 1 1 1 1 1 1 a", "k1 1 1 1 1 1 1", "k1 1 1 1 1 1 1 ", "k1 1 1 1 5 4 6 a", "k1 1 1 1 1 6 5 a", "k1 1 1 80000000 1 1 1 a",
                                                        "k1 1 100000000 1 1 1 1 a", "k1 1 1 1 1 1 8000000000000000 a", "k1 x 1 1 1 1 1 a", NULL};
         *bad; bad++)
        assert_false(kafka_pos_parse(cf_str_c(*bad), &q, &from));
}
static void append(struct cf_spool *spool, const char *mark)
{
    const cf_str rec = CF_STR("r");
    const struct cf_spool_origin o = {.mark = cf_str_c(mark), .received_us = 1};
    struct cf_error err = {0};

    assert_int_equal(cf_spool_append(spool, &o, &rec, 1, NULL, &err), 0);
}
static int64_t next_of(const struct cf_kafka *k, int partition, unsigned gen)
{
    for (size_t i = 0; i < k->n_part; i++)
        if (k->part[i]->pos.partition == partition && k->part[i]->known && k->part[i]->pos.gen == gen)
            return k->part[i]->pos.next;
    return -1;
}
static void marks(void **s)
{
    struct cf_kafka k = {0};
    struct cf_spool *spool = t_open(1 << 20, 0, 0);
    struct cf_error err = {0};

    (void)s;
    append(spool, "k1 1 0 0 a a 14 t");    /* 10..20 of partition 0, the first there is */
    append(spool, "k1 1 0 0 a 14 1e t");   /* 20..30 */
    append(spool, "k1 1 0 0 a 28 32 t");   /* 40..50: 30..40 did not survive, so this one is read again too */
    append(spool, "k1 1 0 1 0 5 9 t");     /* partition 1 without its beginning */
    append(spool, "k1 1 0 2 0 0 9 t");     /* partition 2, set back to 3 */
    append(spool, "k1 1 1 2 3 3 4 t");
    append(spool, "k1 1 0 2 0 9 a t");     /* of before: too late */
    append(spool, "t1 1 2 3 4 5 6 7 8 9 - /x");
    cf_spool_close(spool);
    spool = t_open(1 << 20, 0, 0);
    assert_int_equal(cf_positions_init(&k.kept, spool, state, "positions of topics", "kafka.before_save", "kafka.saved", &err), 0);
    assert_int_equal(kafka_pos_load(&k, &err), 0);
    assert_int_equal(next_of(&k, 0, 0), 30);
    assert_int_equal(next_of(&k, 1, 0), -1);
    assert_int_equal(next_of(&k, 2, 1), 4);
    k.kept.changed = true;
    assert_int_equal(cf_kafka_save(&k, &err), 0);
    for (size_t i = 0; i < k.n_part; i++)
        free(k.part[i]);
    k.n_part = 0;
    assert_int_equal(kafka_pos_load(&k, &err), 0); /* state file and the same marks */
    assert_int_equal(next_of(&k, 0, 0), 30);
    assert_int_equal(next_of(&k, 2, 1), 4);
    for (size_t i = 0; i < k.n_part; i++)
        free(k.part[i]);
    free(k.part);
    cf_positions_release(&k.kept);
    cf_spool_close(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text),
        cmocka_unit_test_setup_teardown(marks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
