/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static void strings(void **st)
{
    int64_t i;
    uint64_t u;
    double d;
    cf_str in = CF_STR("a,b,,c"), h;

    (void)st;
    assert_true(cf_str_ieq(CF_STR("AbC"), CF_STR("aBc")));
    assert_false(cf_str_ieq(CF_STR("AbC"), CF_STR("aBcd")));
    assert_true(cf_str_iends(CF_STR("C:\\x\\CMD.EXE"), CF_STR("\\cmd.exe")));
    assert_int_equal(cf_str_find(CF_STR("hello"), CF_STR("lo")), 3);
    assert_int_equal(cf_str_ifind(CF_STR("hello"), CF_STR("LLO")), 2);
    assert_int_equal(cf_str_find(CF_STR("hello"), CF_STR("xx")), -1);
    { /* every length and place against memmem: blocks, their overlap at the end, needles that nearly fit */
        static const char text[] = "devname=\"fw1\" type=traffic type=type logid=0000 abababababababac xyzxyzxyz end";
        for (size_t from = 0; from < sizeof text; from++)
            for (size_t n = 0; from + n < sizeof text; n++)
                for (size_t at = 0; at < sizeof text - 1; at += 3)
                    for (size_t len = 2; len < 20 && at + len < sizeof text; len++) {
                        const char *want = memmem(text + from, n, text + at, len);
                        assert_int_equal(cf_str_find(cf_str_n(text + from, n), cf_str_n(text + at, len)), want ? want - (text + from) : -1);
                    }
    }
    assert_true(cf_str_cut(&in, ',', &h));
    assert_str(h, "a");
    assert_true(cf_str_cut(&in, ',', &h));
    assert_true(cf_str_cut(&in, ',', &h));
    assert_int_equal(h.n, 0);
    assert_true(cf_str_cut(&in, ',', &h));
    assert_str(h, "c");
    assert_false(cf_str_cut(&in, ',', &h));
    assert_true(cf_str_i64(CF_STR("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_false(cf_str_i64(CF_STR("9223372036854775808"), &i));
    assert_false(cf_str_u64(CF_STR("18446744073709551616"), &u));
    assert_true(cf_str_u64(CF_STR("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_true(cf_str_hex64(CF_STR("0x3e7"), &u) && u == 999);
    assert_true(cf_str_f64(CF_STR("1.5e3"), &d) && d == 1500.0);
    assert_false(cf_str_f64(CF_STR("1.5x"), &d));
    assert_str(cf_str_trim(CF_STR(" \t x y\r\n")), "x y");
    assert_true(cf_utf8_valid(CF_STR("\xe5\x9f\x8e\xe9\x98\xb2 ok, eight")));
    assert_false(cf_utf8_valid(CF_STR("\xb3\xc7\xb7\xc0"))); /* GB18030 */
    assert_false(cf_utf8_valid(CF_STR("\xed\xa0\x80")));     /* surrogate */
    assert_true(cf_utf8_valid(CF_STR_NONE));
    assert_false(cf_utf8_valid(CF_STR("\xc0\x80")));         /* overlong */
}

static void addresses(void **st)
{
    struct cf_ip ip;
    struct cf_cidr c;
    char b[46];

    (void)st;
    assert_true(cf_ip_parse(CF_STR("192.0.2.7"), &ip) && cf_ip_is4(&ip));
    assert_str(cf_str_n(b, cf_ip_format(&ip, b)), "192.0.2.7");
    assert_false(cf_ip_parse(CF_STR("192.0.2.256"), &ip));
    assert_false(cf_ip_parse(CF_STR("192.0.2"), &ip));
    assert_false(cf_ip_parse(CF_STR("not-an-ip"), &ip));
    assert_true(cf_ip_parse(CF_STR("2001:db8::1"), &ip) && !cf_ip_is4(&ip));
    assert_str(cf_str_n(b, cf_ip_format(&ip, b)), "2001:db8::1");
    assert_true(cf_cidr_parse(CF_STR("10.0.0.0/9"), &c));
    assert_true(cf_ip_parse(CF_STR("10.127.1.1"), &ip) && cf_cidr_has(&c, &ip));
    assert_true(cf_ip_parse(CF_STR("10.128.1.1"), &ip) && !cf_cidr_has(&c, &ip));
    assert_true(cf_cidr_parse(CF_STR("2001:db8::/32"), &c));
    assert_true(cf_ip_parse(CF_STR("2001:db8:1::9"), &ip) && cf_cidr_has(&c, &ip));
    assert_false(cf_cidr_parse(CF_STR("10.0.0.0/33"), &c));
    assert_false(cf_cidr_parse(CF_STR("10.0.0.0/"), &c));
    assert_true(cf_cidr_parse(CF_STR("0.0.0.0/0"), &c) && cf_ip_parse(CF_STR("8.8.8.8"), &ip) && cf_cidr_has(&c, &ip));
}

static void arenas(void **st)
{
    struct cf_arena a;
    struct cf_arena_mark m;
    char *p;

    (void)st;
    cf_arena_init(&a, 1024, 1 << 20);
    p = cf_arena_alloc(&a, 100);
    assert_non_null(p);
    m = cf_arena_save(&a);
    for (int i = 0; i < 100; i++)
        assert_non_null(cf_arena_alloc(&a, 200));
    cf_arena_rewind(&a, m);
    assert_ptr_equal(a.cur, m.cur);
    assert_null(cf_arena_alloc(&a, 2 << 20)); /* over the maximum */
    assert_non_null(cf_arena_alloc(&a, 500000));
    assert_str(cf_arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    cf_arena_reset(&a);
    assert_true(a.used <= 2048);
    cf_arena_release(&a);
}

static void times(void **st)
{
    int64_t t;
    char b[32];

    (void)st;
    assert_true(cf_time_parse(CF_STR("2026-11-21T06:00:00.5+08:00"), &t));
    assert_str(cf_str_n(b, cf_time_format(t, b)), "2026-11-20T22:00:00.500000Z");
    assert_true(cf_time_parse(CF_STR("2024-02-29"), &t));
    assert_false(cf_time_parse(CF_STR("2023-02-29"), &t));
    assert_false(cf_time_parse(CF_STR("2023-13-01T00:00:00Z"), &t));
    assert_false(cf_time_parse(CF_STR("2023-12-01T00:00:00Zx"), &t));
    assert_true(cf_time_parse(CF_STR("1969-12-31T23:59:59Z"), &t) && t == -CF_US_PER_S);
    assert_str(cf_str_n(b, cf_time_format(t, b)), "1969-12-31T23:59:59Z");
    assert_true(cf_time_parse_rel(CF_STR("now-15m"), 0, &t) && t == -900 * CF_US_PER_S);
    assert_true(cf_time_parse_rel(CF_STR("now"), 5, &t) && t == 5);
    assert_false(cf_time_parse_rel(CF_STR("now-15y"), 0, &t));
    for (int64_t d = -800000; d < 800000; d += 997) {
        int y;
        unsigned m, day;
        cf_civil_from_days(d, &y, &m, &day);
        assert_int_equal(cf_days_from_civil(y, m, day), d);
    }
}

static void buffers(void **st)
{
    struct cf_buf b;

    (void)st;
    cf_buf_init(&b, 64);
    cf_buf_json(&b, CF_STR("a\"b\\\n\x01\xff\xe5\x9f\x8e"));
    assert_string_equal(cf_buf_cstr(&b), "\"a\\\"b\\\\\\n\\u0001\xef\xbf\xbd\xe5\x9f\x8e\"");
    cf_buf_clear(&b);
    cf_buf_i64(&b, INT64_MIN);
    assert_string_equal(cf_buf_cstr(&b), "-9223372036854775808");
    for (int i = 0; i < 20; i++)
        cf_buf_z(&b, "0123456789");
    assert_true(b.failed);
    assert_true(b.n <= 64);
    cf_buf_release(&b);
}

static void hashes(void **st)
{
    struct cf_digest d;
    char hex[65], id[37], id2[37];
    cf_str abc = CF_STR("abc");
    uint8_t raw[2];

    (void)st;
    assert_int_equal(cf_crc32c(0, "123456789", 9), 0xe3069283u); /* RFC 3720 B.4 check value */
    assert_true(cf_sm3(&d, &abc, 1));                            /* GB/T 32905-2016 A.1 */
    cf_hex(d.b, 32, hex);
    assert_string_equal(hex, "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
    assert_true(cf_unhex(CF_STR("0aFf"), raw, 2) && raw[0] == 10 && raw[1] == 255);
    assert_false(cf_unhex(CF_STR("0g"), raw, 1));
    cf_uuid7(id);
    cf_uuid7(id2);
    assert_string_not_equal(id, id2);
    assert_int_equal(id[14], '7');
}

static int yaml(struct cf_arena *a, const char *text, struct cf_ydoc **doc, struct cf_error *err)
{
    return cf_yaml_parse(a, cf_str_c(text), doc, err);
}

static void yamls(void **st)
{
    struct cf_arena a;
    struct cf_ydoc *doc = NULL;
    struct cf_error err = {0};
    struct cf_ynode *n;
    bool t;

    (void)st;
    cf_arena_init(&a, 0, 0);
    assert_ok(yaml(&a, "a: 1\nb: [x, 'y']\nc: {d: null, e: true}\n---\nz: 2\n", &doc, &err), err);
    assert_str(cf_ymap_str(doc->root, "a"), "1");
    assert_int_equal(cf_ymap_get(doc->root, "b")->n, 2);
    n = cf_ymap_get(doc->root, "c");
    assert_true(cf_ynode_is_null(cf_ymap_get(n, "d")));
    assert_true(cf_ynode_bool(cf_ymap_get(n, "e"), &t) && t);
    assert_int_equal(n->line, 3);
    assert_str(cf_ymap_str(doc->next->root, "z"), "2");
    assert_int_equal(yaml(&a, "a: 1\na: 2\n", &doc, &err), CF_ESYNTAX);
    assert_non_null(strstr(err.msg, "line 2"));
    assert_int_equal(yaml(&a, "a: &x [*x]\n", &doc, &err), CF_ESYNTAX);
    assert_int_equal(yaml(&a, "detection:\n  a: [\n", &doc, &err), CF_ESYNTAX);
    assert_int_equal(yaml(&a,
                          "a: &a [1,2,3,4,5,6,7,8,9,0]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
                          "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e]\n",
                          &doc, &err),
                     CF_ELIMIT);
    cf_arena_release(&a);
}

struct demo_config {
    cf_str name;
    int64_t port, cap, wait;
    bool on;
    struct cf_opt_list list;
};
static const struct cf_opt demo_opts[] = {
    {"name", CF_OPT_STR, offsetof(struct demo_config, name), "x", 0, 0, "A name."},
    {"net.port", CF_OPT_INT, offsetof(struct demo_config, port), "1", 1, 65535, "A port."},
    {"net.wait", CF_OPT_DURATION, offsetof(struct demo_config, wait), "5s", 0, 0, "A wait."},
    {"spool.cap", CF_OPT_SIZE, offsetof(struct demo_config, cap), "1M", 0, 0, "A cap."},
    {"spool.on", CF_OPT_BOOL, offsetof(struct demo_config, on), "false", 0, 0, "A switch."},
    {"list", CF_OPT_LIST, offsetof(struct demo_config, list), "", 0, 0, "A list."},
};
#define N_OPTS (sizeof demo_opts / sizeof *demo_opts)

static void configs(void **st)
{
    struct cf_arena a;
    struct demo_config c, c2;
    struct cf_error err = {0};
    struct cf_buf b;

    (void)st;
    cf_arena_init(&a, 0, 0);
    cf_buf_init(&b, 0);
    assert_ok(cf_config_parse(demo_opts, N_OPTS, &c, &a, CF_STR("net:\n  port: 514\n  wait: 250ms\nspool: {cap: 2G, on: true}\nlist: [a, b]\n"), &err), err);
    assert_int_equal(c.port, 514);
    assert_int_equal(c.wait, 250000);
    assert_int_equal(c.cap, INT64_C(2) << 30);
    assert_true(c.on);
    assert_int_equal(c.list.n, 2);
    assert_str(c.name, "x");
    cf_config_print(demo_opts, N_OPTS, &c, &b); /* what is printed reads back the same */
    assert_ok(cf_config_parse(demo_opts, N_OPTS, &c2, &a, cf_buf_view(&b), &err), err);
    assert_int_equal(c2.wait, c.wait);
    assert_int_equal(c2.cap, c.cap);
    assert_int_equal(c2.list.n, 2);
    assert_int_equal(cf_config_parse(demo_opts, N_OPTS, &c, &a, CF_STR("net:\n  prot: 1\n"), &err), CF_EINVAL);
    assert_non_null(strstr(err.msg, "line 2: unknown key \"net.prot\""));
    assert_int_equal(cf_config_parse(demo_opts, N_OPTS, &c, &a, CF_STR("net: {port: 70000}\n"), &err), CF_EINVAL);
    assert_int_equal(cf_config_parse(demo_opts, N_OPTS, &c, &a, CF_STR("net: {wait: 30}\n"), &err), CF_EINVAL);
    cf_buf_release(&b);
    cf_arena_release(&a);
}

static void files(void **st)
{
    char dir[] = "/tmp/cf-base-XXXXXX", path[128];
    struct cf_error err = {0};
    struct cf_buf b;

    (void)st;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/a/b/c", dir);
    assert_ok(cf_mkdir_p(path, 0700, &err), err);
    (void)snprintf(path, sizeof path, "%s/a/file", dir);
    assert_ok(cf_file_write_durable(path, CF_STR("content"), 0600, &err), err);
    cf_buf_init(&b, 7);
    assert_ok(cf_file_read(path, &b, &err), err);
    assert_str(cf_buf_view(&b), "content");
    cf_buf_release(&b);
    cf_buf_init(&b, 6);
    assert_int_equal(cf_file_read(path, &b, &err), CF_ELIMIT);
    cf_buf_release(&b);
    cf_buf_init(&b, 0);
    assert_int_equal(cf_file_read("/nonexistent/x", &b, &err), CF_ENOENT);
    (void)unlink(path);
}

static void *producer(void *q)
{
    for (intptr_t i = 1; i <= 20000; i++)
        if (!cf_queue_push(q, (void *)i))
            break;
    return NULL;
}

static void queues(void **st)
{
    struct cf_queue *q = cf_queue_new(64);
    pthread_t t[2];
    int64_t sum = 0;
    bool closed;

    (void)st;
    assert_null(cf_queue_pop(q, 1, &closed));
    assert_false(closed);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, producer, q), 0);
    for (int i = 0; i < 40000; i++)
        sum += (intptr_t)cf_queue_pop(q, -1, NULL);
    assert_int_equal(sum, INT64_C(2) * 20000 * 20001 / 2);
    for (int i = 0; i < 2; i++)
        (void)pthread_join(t[i], NULL);
    cf_queue_close(q);
    assert_false(cf_queue_push(q, q));
    assert_null(cf_queue_pop(q, -1, &closed));
    assert_true(closed);
    cf_queue_free(q);
}

static void errors(void **st)
{
    struct cf_error err;

    (void)st;
    assert_int_equal(cf_error_set(&err, CF_ELIMIT, "line %d: too long", 7), CF_ELIMIT);
    cf_error_context(&err, "rule file \"%s\"", "a.yml");
    assert_string_equal(err.msg, "rule file \"a.yml\": line 7: too long");
    assert_string_equal(cf_err_text(CF_ELIMIT), "input is larger than the limit");
    assert_int_equal(cf_error_set(NULL, CF_EIO, "x"), CF_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings), cmocka_unit_test(addresses), cmocka_unit_test(arenas),  cmocka_unit_test(times),
        cmocka_unit_test(buffers), cmocka_unit_test(hashes),    cmocka_unit_test(yamls),   cmocka_unit_test(configs),
        cmocka_unit_test(files),   cmocka_unit_test(queues),    cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
