/* SPDX-License-Identifier: Apache-2.0
 * Framing of TCP syslog, allow list, counters, and the listeners with real sockets. COL-007, COL-033, COL-034, COL-037. */
#include "collect/spool_help.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "collect/framing.h"
#include "collect/listen.h"

/* Feeds `in` in pieces of `step` bytes, keeps the unread rest as a connection does; joins the records with '|'. */
static void feed(const char *in, size_t n, size_t step, size_t max, struct cf_buf *out, int *ret_r, uint64_t *ret_cut)
{
    struct cf_framing f = {.max = max};
    struct cf_buf rest;
    cf_str last;

    cf_buf_init(&rest, 0);
    cf_buf_clear(out);
    *ret_r = 0;
    for (size_t at = 0; at < n && *ret_r == 0; at += step) {
        size_t k, used, off = 0;
        cf_str rec[3];

        cf_buf_add(&rest, in + at, n - at < step ? n - at : step);
        do {
            *ret_r = cf_framing_next(&f, rest.p + off, rest.n - off, rec, 3, &k, &used);
            for (size_t i = 0; i < k; i++) {
                cf_buf_str(out, rec[i]);
                cf_buf_byte(out, '|');
            }
            off += used;
        } while (used && *ret_r == 0 && off < rest.n);
        memmove(rest.p, rest.p + off, rest.n - off);
        rest.n -= off;
        assert_true(rest.n <= max + 16);
    }
    if (*ret_r == 0 && cf_framing_end(&f, rest.p, rest.n, &last)) {
        cf_buf_str(out, last);
        cf_buf_byte(out, '$');
    }
    *ret_cut = f.cut;
    cf_buf_release(&rest);
}

static void framing(void **state)
{
    static const struct {
        const char *in, *out;
        size_t max, cut;
        int r;
    } t[] = {
        {"<1>a\n<2>b\r\n\n<3>c", "<1>a|<2>b|<3>c$", 100, 0, 0},
        {"no pri\nx\n", "no pri|x|", 100, 0, 0},
        {"4 <1>a7 <2>b\nc", "<1>a|", 100, 0, 0}, /* not all of the second one came */
        {"4 <1>a6 <2>b\ncX", "<1>a|<2>b\nc|", 100, 0, CF_ESYNTAX},
        {"4 <1>a\n5 <2>bb\n", "<1>a|<2>bb|", 100, 0, 0},
        {"12 monkeys\nab\n", "12 monkeys|ab|", 100, 0, 0},      /* a number, but no syslog behind it: lines */
        {"<1>0123456789\n<2>x\n", "<1>01234|<2>x|", 8, 1, 0},   /* cut, the rest of the line is skipped */
        {"13 <1>01234567894 <2>x", "<1>01234|<2>x|", 8, 1, 0},
        {"99999999999 <1>", "99999999|", 8, 1, 0},               /* no sane count: a line, cut */
        {"4 <1>a0 x", "<1>a|", 100, 0, CF_ESYNTAX},
    };
    struct cf_buf out;

    (void)state;
    cf_buf_init(&out, 0);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        for (size_t step = 1; step < 30; step++) {
            uint64_t cut;
            int r;

            feed(t[i].in, strlen(t[i].in), step, t[i].max, &out, &r, &cut);
            if (!cf_str_eqz(cf_buf_view(&out), t[i].out) || r != t[i].r || cut != t[i].cut)
                fail_msg("\"%s\" in steps of %zu: \"%s\" r=%d cut=%llu", t[i].in, step, cf_buf_cstr(&out), r, (unsigned long long)cut);
        }
    cf_buf_release(&out);
}

static void prefixes(void **state)
{
    static const char *const nets[] = {"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "0.0.0.0/0", "10.1.0.0/16"};
    static const struct {
        const char *ip;
        int want;
    } t[] = {{"10.1.2.3", 2}, {"10.1.2.4", 1}, {"10.2.0.1", 0}, {"192.0.2.1", 4}, {"2001:db8::1", 3}, {"2001:db9::1", -1}};
    struct cf_prefix p[6];
    struct cf_prefix_table *table;

    (void)state;
    for (uint32_t i = 0; i < 6; i++) {
        p[i].value = i;
        if (!cf_cidr_parse(cf_str_c(nets[i]), &p[i].net)) {
            assert_true(cf_ip_parse(cf_str_c(nets[i]), &p[i].net.ip));
            p[i].net.bits = 128;
        }
    }
    table = cf_prefix_table_new(p, 6);
    assert_non_null(table);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct cf_ip ip;
        uint32_t v = 99;
        bool found;

        assert_true(cf_ip_parse(cf_str_c(t[i].ip), &ip));
        found = cf_prefix_find(table, &ip, &v);
        assert_int_equal(found ? (int)v : -1, t[i].want);
    }
    cf_prefix_table_free(table);
}

static void counters(void **state)
{
    struct cf_counters *c = cf_counters_new();
    struct cf_counter *a = cf_counters_get(c, CF_STR("fw"), CF_STR("org-1"));
    char key[20];

    (void)state;
    assert_ptr_equal(cf_counters_find(c, CF_STR("fw")), a);
    assert_string_equal(a->org, "org-1");
    cf_counter_accept(a, 10, 1000, 5 * CF_US_PER_S);
    cf_counter_reject(a, 2);
    assert_int_equal(a->received, 12);
    assert_int_equal(a->accepted + a->rejected, a->received);
    cf_counters_tick(c, 100 * CF_US_PER_S);
    cf_counter_accept(a, 4000, 1000, 101 * CF_US_PER_S);
    cf_counters_tick(c, 101 * CF_US_PER_S);
    assert_true(a->eps_milli >= 1000000 && a->eps_milli <= 1100000); /* a quarter of the way to 4,000/s */
    cf_counters_tick(c, 101 * CF_US_PER_S + CF_US_PER_DAY);
    assert_int_equal(a->today, 0);
    for (int i = 0; i < CF_COUNTERS_MAX + 100; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        assert_non_null(cf_counters_get(c, cf_str_c(key), CF_STR_NONE));
    }
    assert_string_equal(cf_counters_get(c, CF_STR("one too many"), CF_STR_NONE)->key, "other");
    cf_counters_free(c);
}

/* ---- sockets --------------------------------------------------------------------------------------------------------- */

struct rig {
    struct cf_spool *spool;
    struct cf_counters *counters;
    struct cf_shared sources;
    struct cf_listener *l;
};

static void rig_start(struct rig *g, struct cf_listen_options o)
{
    struct cf_error err = {0};

    g->spool = t_open(1 << 20, 0, 0);
    g->counters = cf_counters_new();
    cf_shared_init(&g->sources);
    o.spool = g->spool;
    o.counters = g->counters;
    o.sources = &g->sources;
    if (cf_listener_start(&o, &g->l, &err) != 0)
        fail_msg("listen: %s", err.msg);
}
static void rig_stop(struct rig *g)
{
    cf_listener_stop(g->l);
    cf_spool_close(g->spool);
    cf_shared_release(&g->sources);
    cf_counters_free(g->counters);
}
static int dial(struct rig *g, int type)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type, 0);

    sa.sin_port = htons((uint16_t)(type == SOCK_STREAM ? cf_listener_tcp_port(g->l) : cf_listener_udp_port(g->l)));
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}
static void say(int fd, const char *s) { assert_int_equal(send(fd, s, strlen(s), 0), (ssize_t)strlen(s)); }

/* Waits for n records; joins them with '|', and their keys go to *key. */
static unsigned collect(struct rig *g, unsigned n, struct cf_buf *out, char key[100])
{
    struct cf_spool_batch b = {0};
    struct cf_error err = {0};
    unsigned got = 0;

    for (int i = 0; i < 50 && got < n; i++) {
        struct cf_spool_frame f;

        if (cf_spool_next(g->spool, &b, 200, &err) != 1)
            continue;
        while (cf_spool_batch_frame(&b, &f)) {
            const uint8_t *p = f.bytes;

            (void)snprintf(key, 100, "%.*s", CF_ARG(f.origin.key));
            for (uint32_t k = 0; k < f.n; k++, got++) {
                uint32_t len;

                memcpy(&len, f.lens + 4 * k, 4);
                cf_buf_add(out, p, len);
                cf_buf_byte(out, '|');
                p += len;
            }
        }
        cf_spool_done(g->spool, &b);
    }
    cf_spool_batch_release(&b);
    return got;
}

static void sockets(void **state)
{
    struct cf_listener_stats st;
    struct rig g;
    struct cf_buf out;
    char key[100];
    int a, b, u;

    (void)state;
    cf_buf_init(&out, 0);
    rig_start(&g, (struct cf_listen_options){.udp = "127.0.0.1:0", .tcp = "127.0.0.1:0", .line_max = 1000});
    a = dial(&g, SOCK_STREAM);
    b = dial(&g, SOCK_STREAM);
    u = dial(&g, SOCK_DGRAM);
    say(a, "<1>one\n<2>tw");
    say(b, "6 <3>abc7 <4>defg");
    assert_int_equal(collect(&g, 3, &out, key), 3);
    say(a, "o\n<5>last");
    (void)close(a); /* without a line end: still a record */
    assert_int_equal(collect(&g, 2, &out, key), 2);
    assert_non_null(strstr(cf_buf_cstr(&out), "<2>two|"));
    assert_non_null(strstr(cf_buf_cstr(&out), "<4>defg|"));
    assert_non_null(strstr(cf_buf_cstr(&out), "<5>last|"));
    cf_buf_clear(&out);
    say(u, "<6>udp\n");
    assert_int_equal(collect(&g, 1, &out, key), 1);
    assert_string_equal(cf_buf_cstr(&out), "<6>udp|");
    assert_string_equal(key, "unknown");
    say(b, "nonsense");
    for (int i = 0; i < 100; i++) {
        cf_listener_get_stats(g.l, &st);
        if (st.tcp.bad_framing)
            break;
        (void)usleep(10000);
    }
    assert_int_equal(st.tcp.bad_framing, 1);
    assert_int_equal(st.udp_received, 1);
    (void)close(b);
    (void)close(u);
    rig_stop(&g);
    cf_buf_release(&out);
}

/* A 10 MB line is cut to the limit, counted, and what follows is intact. */
static void long_line(void **state)
{
    struct cf_listener_stats st;
    char *line = malloc(10 << 20), key[100];
    struct rig g;
    struct cf_buf out;
    int fd;

    (void)state;
    cf_buf_init(&out, 0);
    rig_start(&g, (struct cf_listen_options){.tcp = "127.0.0.1:0", .line_max = 65536});
    fd = dial(&g, SOCK_STREAM);
    memset(line, 'x', 10 << 20);
    for (size_t at = 0; at < (size_t)10 << 20;) {
        ssize_t n = send(fd, line + at, ((size_t)10 << 20) - at, 0);

        assert_true(n > 0);
        at += (size_t)n;
    }
    say(fd, "\n<1>after\n");
    assert_int_equal(collect(&g, 2, &out, key), 2);
    assert_int_equal(out.n, 65536 + 1 + 9);
    assert_non_null(strstr(cf_buf_cstr(&out), "|<1>after|"));
    cf_listener_get_stats(g.l, &st);
    assert_int_equal(st.cut, 1);
    (void)close(fd);
    rig_stop(&g);
    free(line);
    cf_buf_release(&out);
}

static struct cf_source_table *make_sources(const char *net, bool enabled)
{
    struct cf_source_table *t = calloc(1, sizeof *t);
    struct cf_prefix p = {.value = 0};

    assert_true(cf_cidr_parse(cf_str_c(net), &p.net));
    t->prefix = cf_prefix_table_new(&p, 1);
    t->n = 1;
    t->row = calloc(1, sizeof *t->row);
    t->row[0] = (struct cf_source_info){.name = "fw-1", .source = "iptables", .org = "org-7", .enabled = enabled};
    return t;
}

static void allow_list(void **state)
{
    struct cf_listener_stats st;
    struct cf_counter *c;
    struct rig g;
    struct cf_buf out;
    char key[100];
    int fd;

    (void)state;
    cf_buf_init(&out, 0);
    rig_start(&g, (struct cf_listen_options){.tcp = "127.0.0.1:0", .refuse_unknown = true});
    fd = dial(&g, SOCK_STREAM);
    say(fd, "<1>refused\n");
    for (int i = 0; i < 100; i++) {
        cf_listener_get_stats(g.l, &st);
        if (st.unknown_refused)
            break;
        (void)usleep(10000);
    }
    assert_int_equal(st.unknown_refused, 1);
    (void)close(fd);
    assert_int_equal(cf_shared_set(&g.sources, make_sources("127.0.0.0/8", true), cf_source_table_free), 0);
    fd = dial(&g, SOCK_STREAM);
    say(fd, "<2>taken\n");
    assert_int_equal(collect(&g, 1, &out, key), 1);
    assert_string_equal(cf_buf_cstr(&out), "<2>taken|");
    assert_string_equal(key, "fw-1");
    c = cf_counters_find(g.counters, CF_STR("unknown"));
    assert_int_equal(c->received, 1);
    assert_int_equal(c->rejected, 1);
    c = cf_counters_find(g.counters, CF_STR("fw-1"));
    assert_int_equal(c->accepted, 1);
    assert_string_equal(c->org, "org-7");
    (void)close(fd);
    rig_stop(&g);
    cf_buf_release(&out);
}

#define IDLE 1000
static void thousand_idle(void **state)
{
    struct cf_listener_stats st;
    struct rlimit lim;
    struct rig g;
    struct cf_buf out;
    static int fd[IDLE];
    char key[100];

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
    lim.rlim_cur = lim.rlim_max < 4096 ? lim.rlim_max : 4096;
    (void)setrlimit(RLIMIT_NOFILE, &lim);
    if (lim.rlim_cur < 2 * IDLE + 100) {
        print_message("skipped: needs %d open files\n", 2 * IDLE + 100);
        skip();
    }
    cf_buf_init(&out, 0);
    rig_start(&g, (struct cf_listen_options){.tcp = "127.0.0.1:0", .idle_us = 600000, .connections_max = IDLE});
    for (int i = 0; i < IDLE; i++)
        fd[i] = dial(&g, SOCK_STREAM);
    say(fd[IDLE - 1], "<1>still served\n");
    assert_int_equal(collect(&g, 1, &out, key), 1);
    cf_listener_get_stats(g.l, &st);
    assert_int_equal(st.tcp.connections, IDLE);
    (void)close(dial(&g, SOCK_STREAM)); /* one too many: refused, counted */
    for (int i = 0; i < 300; i++) {
        cf_listener_get_stats(g.l, &st);
        if (st.tcp.refused >= 1 && st.tcp.connections == 0)
            break;
        (void)usleep(20000);
    }
    assert_true(st.tcp.refused >= 1);
    assert_int_equal(st.tcp.connections, 0); /* all timed out */
    assert_int_equal(st.tcp.closed_idle, IDLE);
    for (int i = 0; i < IDLE; i++)
        (void)close(fd[i]);
    rig_stop(&g);
    cf_buf_release(&out);
}

/* The spool is full: the sender is held by its window, nothing is lost, and it goes on when there is room. */
static void back_pressure(void **state)
{
    struct cf_listener_stats st;
    struct cf_buf out;
    struct rig g;
    char line[1001], key[100];
    unsigned sent = 0, got;
    int fd;

    (void)state;
    cf_buf_init(&out, 0);
    g.spool = NULL;
    rig_start(&g, (struct cf_listen_options){.tcp = "127.0.0.1:0"});
    rig_stop(&g);
    t_clean(t_dir);
    assert_int_equal(t_setup(NULL), 0);
    {
        struct cf_listen_options o = {.tcp = "127.0.0.1:0"};
        struct cf_error err = {0};

        g.spool = t_open(262144, 600000, 100);
        g.counters = cf_counters_new();
        cf_shared_init(&g.sources);
        o.spool = g.spool;
        o.counters = g.counters;
        o.sources = &g.sources;
        assert_int_equal(cf_listener_start(&o, &g.l, &err), 0);
    }
    fd = dial(&g, SOCK_STREAM);
    memset(line, 'x', 1000);
    memcpy(line, "<1>", 3);
    line[999] = '\n';
    for (int quiet = 0; quiet < 10;) { /* until nothing goes out for a second */
        ssize_t n = send(fd, line + sent % 1000, 1000 - sent % 1000, MSG_DONTWAIT);
        struct pollfd p = {.fd = fd, .events = POLLOUT};

        if (n > 0) {
            sent += (unsigned)n;
            quiet = 0;
        } else if (poll(&p, 1, 100) == 0) {
            quiet++;
        }
    }
    cf_listener_get_stats(g.l, &st);
    assert_true(st.paused);
    assert_true(sent > 600000);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    for (got = 0; got < sent / 1000;) {
        unsigned k = collect(&g, 1, &out, key);
        struct cf_error err = {0};

        if (k == 0)
            break;
        got += k;
        assert_int_equal(cf_spool_commit(g.spool, cf_spool_done_pos(g.spool), &err), 0);
    }
    assert_true(got == sent / 1000 || got == sent / 1000 + 1); /* the last one may be cut in the middle by us */
    (void)close(fd);
    rig_stop(&g);
    cf_buf_release(&out);
}

#define T(f) cmocka_unit_test_setup_teardown(f, t_setup, t_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(framing), cmocka_unit_test(prefixes), cmocka_unit_test(counters), T(sockets), T(long_line), T(allow_list), T(thousand_idle),
        T(back_pressure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
