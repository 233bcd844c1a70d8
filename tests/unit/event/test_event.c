/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "event/event.h"

static void table_is_sorted(void **st)
{
    (void)st;
    for (size_t i = 1; i < CF_F__COUNT; i++)
        if (strcmp(cf_fields[i - 1].name, cf_fields[i].name) >= 0)
            fail_msg("%s stands before %s", cf_fields[i - 1].name, cf_fields[i].name);
    for (size_t i = 0; i < CF_F__COUNT; i++)
        assert_int_equal(cf_field_find(cf_str_c(cf_fields[i].name)), i);
    assert_int_equal(cf_field_find(CF_STR("no.such")), CF_F_EXTRA);
}

static void names(void **st)
{
    uint16_t a = cf_name_intern(CF_STR("EventData.Image"));

    (void)st;
    assert_true(a > 0);
    assert_int_equal(cf_name_intern(CF_STR("EventData.Image")), a);
    assert_int_equal(cf_name_find(CF_STR("never")), 0);
    assert_str(cf_name_text(a), "EventData.Image");
    assert_int_equal(cf_name_intern(CF_STR("")), 0);
}

static void nested_json(void **st)
{
    struct cf_arena a;
    struct cf_buf b;
    struct cf_event *ev;

    (void)st;
    cf_arena_init(&a, 0, 0);
    cf_buf_init(&b, 0);
    ev = cf_event_new(&a);
    ev->time_us = 0;
    assert_int_equal(cf_event_set(ev, CF_F_SOURCE_IP, CF_STR("192.0.2.1")), 0);
    assert_int_equal(cf_event_set_i64(ev, CF_F_SOURCE_PORT, 22), 0);
    assert_int_equal(cf_event_add(ev, CF_F_EVENT_CATEGORY, CF_STR("authentication")), 0);
    assert_int_equal(cf_event_add(ev, CF_F_EVENT_CATEGORY, CF_STR("process")), 0);
    assert_int_equal(cf_event_add(ev, CF_F_EVENT_CATEGORY, CF_STR("process")), 0); /* kept once */
    assert_int_equal(cf_event_extra(ev, cf_name_intern(CF_STR("winlog.event_data.Count")), CF_STR("5"), 0, CF_V_INT), 0);
    assert_int_equal(cf_event_extra(ev, cf_name_intern(CF_STR("source.nat.zone")), CF_STR("x\"y"), 0, CF_V_STR), 0);
    assert_int_equal(cf_event_extra(ev, cf_name_intern(CF_STR("message.deep")), CF_STR("1"), 0, CF_V_STR), 0);
    assert_int_equal(cf_event_set(ev, CF_F_MESSAGE, CF_STR("m")), 0);
    assert_int_equal(cf_event_set(ev, CF_F_HTTP_RESPONSE_STATUS_CODE, CF_STR("0404")), 0); /* not a JSON number */
    cf_event_json(ev, &b);
    assert_string_equal(cf_buf_cstr(&b),
                        "{\"@timestamp\":\"1970-01-01T00:00:00Z\",\"event\":{\"category\":[\"authentication\",\"process\"]},"
                        "\"http\":{\"response\":{\"status_code\":\"0404\"}},\"message\":\"m\",\"message.deep\":\"1\","
                        "\"source\":{\"ip\":\"192.0.2.1\",\"nat\":{\"zone\":\"x\\\"y\"},\"port\":22},"
                        "\"winlog\":{\"event_data\":{\"Count\":5}}}");
    cf_buf_release(&b);
    cf_arena_release(&a);
}

/* The first time an event is written name by name, from the third on after the plan of its shape: the same text. */
static void planned_json(void **st)
{
    static const char *const texts[] = {"", "a", "abc", "abcd", "seven b", "eight by", "fifteen bytes..", "sixteen bytes...", "seventeen bytes..",
                                        "a\"b", "twelve byt\\s", "\xe5\x9f\x8e\xe9\x98\xb2 and a long line of text behind", "tab\tin a line that is long", "\xff"};
    static const char *const numbers[] = {"0", "7", "0404", "-12", "1.5e3", "12345678901234567890123", "x", "", "1\""};
    uint16_t flag = cf_name_intern(CF_STR("plan.flag")), none = cf_name_intern(CF_STR("plan.none")), many = cf_name_intern(CF_STR("plan.many"));
    uint16_t below = cf_name_intern(CF_STR("message.\xe5\x9f\x8e"));
    uint16_t constant[] = {cf_name_intern(CF_STR("login")), cf_name_intern(CF_STR("log\"out")), cf_name_intern(CF_STR("\xe5\x9f\x8e")), cf_name_intern(CF_STR("x"))};
    struct cf_arena a;
    struct cf_buf b;

    (void)st;
    cf_arena_init(&a, 0, 0);
    cf_buf_init(&b, 0);
    for (size_t i = 0; i < 40; i++) { /* other values, and one shape for each even and odd i */
        struct cf_event *ev = cf_event_new(&a), *same = cf_event_new(&a);
        struct cf_event *both[] = {ev, same};
        size_t first;
        for (size_t k = 0; k < 2; k++) {
            struct cf_event *e = both[k];
            if (i % 2)
                e->time_us = (int64_t)i * 500000 - 3;
            assert_int_equal(cf_event_set(e, CF_F_TAGS, CF_STR("x")), 0);
            assert_int_equal(cf_event_add(e, CF_F_TAGS, CF_STR("y")), 0);
            assert_int_equal(cf_event_set(e, CF_F_TAGS, cf_str_c(texts[i % 14])), 0); /* y hangs on nothing now */
            assert_int_equal(cf_event_set(e, CF_F_MESSAGE, CF_STR("gone")), 0);
            cf_event_unset(e, CF_F_MESSAGE);
            assert_int_equal(cf_event_set(e, CF_F_MESSAGE, cf_str_c(texts[(i + 5) % 14])), 0);
            assert_int_equal(cf_event_set_raw(e, CF_F_SOURCE_PORT, cf_str_c(numbers[i % 9]), 0, CF_V_INT), 0);
            assert_int_equal(cf_event_extra(e, flag, i % 3 ? CF_STR("true") : CF_STR("maybe"), 0, CF_V_BOOL), 0);
            assert_int_equal(cf_event_extra(e, none, CF_STR(""), 0, CF_V_NULL), 0);
            assert_int_equal(cf_event_extra(e, many, CF_STR("1"), 0, CF_V_INT), 0);
            assert_int_equal(cf_event_extra(e, below, CF_STR("name below a value, not ASCII"), 0, CF_V_STR), 0);
            assert_int_equal(cf_event_set(e, CF_F_EVENT_ACTION, cf_name_text(constant[i / 10])), 0); /* constants of a source */
            e->val[e->n - 1].text = constant[i / 10];
            assert_int_equal(cf_event_extra(e, many, cf_str_c(texts[i % 14]), 0, CF_V_STR), 0);
        }
        for (size_t k = 0; k < 130; k++) /* too many values for a plan: always name by name */
            assert_int_equal(cf_event_extra(same, 0, CF_STR(""), 0, CF_V_NULL), 0);
        cf_buf_clear(&b);
        cf_event_json(same, &b);
        first = b.n;
        cf_event_json(ev, &b);
        assert_int_equal(b.n, first * 2);
        assert_memory_equal(b.p, b.p + first, first);
    }
    cf_buf_release(&b);
    cf_arena_release(&a);
}

static void values(void **st)
{
    struct cf_arena a;
    struct cf_event *ev;
    const struct cf_value *v;

    (void)st;
    cf_arena_init(&a, 0, 0);
    ev = cf_event_new(&a);
    assert_null(cf_event_get(ev, CF_F_MESSAGE).p);
    for (int i = 0; i < 300; i++)
        assert_int_equal(cf_event_extra(ev, cf_name_intern(cf_arena_printf(&a, "x.%d", i)), CF_STR("v"), 0, CF_V_STR), 0);
    assert_int_equal(cf_event_set(ev, CF_F_MESSAGE, CF_STR("late")), CF_ELIMIT); /* no slot left: said, not lost silently */
    assert_true(ev->flags & CF_EV_TRUNCATED);
    v = cf_event_find(ev, CF_STR("x.299"));
    assert_non_null(v);
    assert_null(cf_event_find(ev, CF_STR("x.300")));
    ev = cf_event_new(&a);
    assert_int_equal(cf_event_add(ev, CF_F_TAGS, CF_STR("a")), 0);
    assert_int_equal(cf_event_add(ev, CF_F_TAGS, CF_STR("b")), 0);
    v = cf_event_val(ev, CF_F_TAGS);
    assert_str(cf_str_n(cf_event_next(ev, v)->p, 1), "b");
    cf_event_unset(ev, CF_F_TAGS);
    assert_null(cf_event_val(ev, CF_F_TAGS));
    cf_arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table_is_sorted), cmocka_unit_test(names), cmocka_unit_test(nested_json), cmocka_unit_test(planned_json), cmocka_unit_test(values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
