/* SPDX-License-Identifier: Apache-2.0
 * How fast is the event store? Fills it with events of two kinds of log and asks the questions people ask.
 * usage: bench_search [ROWS] [DIR [QUESTION...]]      prints one JSON object a line: {"name","value","unit"}
 * With DIR the store stays; ROWS 0 asks one that is there. QUESTION: names of the questions to ask (all). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/event_store.h"

#define BLOCK_ROWS 65536u
#define T0 INT64_C(1790000000000000)
#define ROUNDS 15

static uint64_t seed = 88172645463325252u;
static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void result(const char *name, double value, const char *unit)
{
    (void)printf("{\"name\":\"search/%s\",\"value\":%.6g,\"unit\":\"%s\"}\n", name, value, unit);
    (void)fflush(stdout);
}

static _Noreturn void die(const struct cf_error *err)
{
    (void)fprintf(stderr, "bench search: %s\n", err->msg);
    exit(1);
}

/* An sshd or nginx line, 90 to 140 bytes, 10 to 14 fields: what a narrow event looks like after normalisation. */
static struct cf_event *make(struct cf_arena *a, uint64_t i, uint64_t n)
{
    static const char *const users[] = {"root", "admin", "oracle", "postgres", "deploy", "wang", "li", "zhang"};
    static const char *const hosts[] = {"web-01", "web-02", "db-01", "app-01", "app-02", "mail-01", "vpn-01", "ad-01"};
    struct cf_event *ev = cf_event_new(a);
    uint64_t r = rnd();
    unsigned ipn = (unsigned)(r >> 44), port = 1024 + (unsigned)(r >> 20 & 0x7fff);
    const char *user = users[r & 7], *host = hosts[r >> 3 & 7];
    cf_str ip = cf_arena_printf(a, "10.%u.%u.%u", ipn >> 16 & 15, ipn >> 8 & 255, ipn & 255);

    ev->time_us = T0 + (int64_t)(i * 86400000000u / n); /* one day */
    ev->received_us = ev->time_us + 200000;
    ev->seq = i;
    (void)cf_event_set(ev, CF_F_HOST_NAME, cf_str_c(host));
    (void)cf_event_set(ev, CF_F_SOURCE_IP, ip);
    (void)cf_event_set_i64(ev, CF_F_SOURCE_PORT, port);
    (void)cf_event_set(ev, CF_F_USER_NAME, cf_str_c(user));
    (void)cf_event_set(ev, CF_F_EVENT_KIND, CF_STR("event"));
    (void)cf_event_set(ev, CF_F_ORGANIZATION_ID, hosts[r >> 3 & 7][0] == 'w' ? CF_STR("org-a") : CF_STR("org-b"));
    if (r >> 6 & 1) {
        bool ok = (r >> 7 & 15) == 0;

        ev->source = CF_STR("sshd");
        (void)cf_event_add(ev, CF_F_EVENT_CATEGORY, CF_STR("authentication"));
        (void)cf_event_set(ev, CF_F_EVENT_OUTCOME, ok ? CF_STR("success") : CF_STR("failure"));
        (void)cf_event_set_i64(ev, CF_F_PROCESS_PID, (int64_t)(r >> 30 & 0xffff));
        ev->original = cf_arena_printf(a, "Sep 21 14:13:20 %s sshd[%u]: %s password for %s from %.*s port %u ssh2", host, (unsigned)(r >> 30 & 0xffff),
                                       ok ? "Accepted" : "Failed", user, CF_ARG(ip), port);
    } else {
        unsigned page = (unsigned)(r >> 8 & 0xfff);

        ev->source = CF_STR("nginx");
        (void)cf_event_add(ev, CF_F_EVENT_CATEGORY, CF_STR("web"));
        (void)cf_event_set_i64(ev, CF_F_HTTP_RESPONSE_STATUS_CODE, r >> 9 & 31 ? 200 : 404);
        (void)cf_event_set(ev, CF_F_URL_PATH, cf_arena_printf(a, "/page/%u", page));
        (void)cf_event_set(ev, CF_F_HTTP_REQUEST_METHOD, CF_STR("GET"));
        (void)cf_event_set(ev, CF_F_USER_AGENT_ORIGINAL, CF_STR("Mozilla/5.0 (X11; Linux x86_64)"));
        ev->original = cf_arena_printf(a, "%.*s - %s [21/Sep/2026:14:13:20 +0800] \"GET /page/%u HTTP/1.1\" %d %u \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"",
                                       CF_ARG(ip), user, page, r >> 9 & 31 ? 200 : 404, (unsigned)(r >> 30 & 0xffff));
    }
    if (i % 1000003 == 5)
        ev->original = cf_arena_printf(a, "%.*s needle%u", CF_ARG(ev->original), (unsigned)(i % 7));
    return ev;
}

static double now(void)
{
    return (double)cf_mono_us() / 1e6;
}

static void fill(struct cf_event_store *s, uint64_t rows)
{
    struct cf_event_block *b = cf_event_block_new();
    struct cf_arena a;
    struct cf_error err = {0};
    double adding = 0, inserting = 0, start = now();

    cf_arena_init(&a, 1u << 20, 0);
    for (uint64_t i = 0; i < rows;) {
        static struct cf_event *ev[4096];
        uint64_t n = rows - i < 4096 ? rows - i : 4096;
        char token[32];
        double t;

        for (uint64_t k = 0; k < n; k++)
            ev[k] = make(&a, i + k, rows);
        t = now();
        for (uint64_t k = 0; k < n; k++) {
            if (cf_event_block_add(b, ev[k]) < 0)
                die(&(struct cf_error){.msg = "no memory"});
        }
        adding += now() - t;
        cf_arena_reset(&a);
        i += n;
        if (cf_event_block_rows(b) >= BLOCK_ROWS || i == rows) {
            (void)snprintf(token, sizeof token, "bench-%llu", (unsigned long long)i);
            t = now();
            if (cf_event_store_insert(s, b, cf_str_c(token), false, &err) < 0)
                die(&err);
            inserting += now() - t;
            cf_event_block_clear(b);
        }
    }
    result("block_add", (double)rows / adding, "events/s");
    result("insert", (double)rows / inserting, "events/s");
    result("fill", (double)rows / (now() - start), "events/s");
    cf_event_block_free(b);
    cf_arena_release(&a);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* '#' in the query becomes "10.b.c", '$' the last byte of an address. */
static void with_address(char *out, size_t size, const char *query, unsigned ip)
{
    size_t n = 0;

    for (; *query && n + 16 < size; query++) {
        if (*query == '#')
            n += (size_t)snprintf(out + n, size - n, "10.%u.%u", ip >> 16 & 15, ip >> 8 & 255);
        else if (*query == '$')
            n += (size_t)snprintf(out + n, size - n, "%u", ip & 255);
        else
            out[n++] = *query;
    }
    out[n] = 0;
}

static double cpu(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Parts are merged in the background after a fill; searches are timed when that is over, as on a store in use. */
static void settle(struct cf_event_store *s, double seconds)
{
    static const char sql[] = "SELECT (SELECT count() FROM system.merges), countIf(level = 0), count() FROM system.parts WHERE active AND table = 'events'";
    struct cf_error err = {0};
    double start = now();
    int still = 0;

    while (still < 10 && now() - start < seconds) {
        struct cf_buf out;

        cf_buf_init(&out, 0);
        if (cf_event_store_query(s, cf_str_c(sql), NULL, 0, "TSV", NULL, &out, &err) < 0)
            die(&err);
        still = strncmp(cf_buf_cstr(&out), "0\t", 2) == 0 ? still + 1 : 0;
        if (still == 10 || now() - start > seconds - 1)
            (void)fprintf(stderr, "merges running, parts of level 0, parts: %s", cf_buf_cstr(&out));
        cf_buf_release(&out);
        (void)usleep(500000);
    }
    result("settle", now() - start, "s");
    result("cpu_since_start", cpu(), "s");
}

static double ask(struct cf_event_store *s, const char *name, const char *query, int kind)
{
    struct cf_error err = {0};
    double ms[ROUNDS], used = cpu();
    char label[96];

    for (int i = 0; i < ROUNDS; i++) {
        struct cf_buf out;
        char text[160];
        struct cf_search q = {.limit = 50, .scope = {.all = true}, .from_us = T0, .to_us = T0 + CF_US_PER_DAY};
        unsigned ip = (unsigned)(rnd() >> 44);

        with_address(text, sizeof text, query, ip);
        q.query = cf_str_c(text);
        cf_buf_init(&out, 0);
        double t = now();
        int r = kind == 0 ? cf_event_search(s, &q, &out, &err)
                : kind == 1 ? cf_event_histogram(s, &q, 60, &out, &err)
                            : cf_event_facet(s, &q, CF_STR("user.name"), 10, &out, &err);

        if (r < 0)
            die(&err);
        ms[i] = (now() - t) * 1000;
        cf_buf_release(&out);
    }
    used = (cpu() - used) * 1000 / ROUNDS;
    qsort(ms, ROUNDS, sizeof *ms, by_value);
    (void)snprintf(label, sizeof label, "%s_p50", name);
    result(label, ms[ROUNDS / 2], "ms");
    (void)snprintf(label, sizeof label, "%s_p95", name);
    result(label, ms[ROUNDS * 95 / 100], "ms");
    (void)snprintf(label, sizeof label, "%s_cpu", name);
    result(label, used, "ms");
    return ms[ROUNDS * 95 / 100];
}

static bool chosen(int n, char **names, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return n <= 0;
}

int main(int argc, char **argv)
{
    uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    char own[] = "/tmp/cf-bench-XXXXXX", cmd[128];
    const char *dir = argc > 2 ? argv[2] : mkdtemp(own);
    struct cf_event_store *s = NULL;
    struct cf_error err = {0};
    struct rusage ru;
    struct cf_buf out;
    double worst = 0, one;

    if (!dir || cf_event_store_open(&(struct cf_event_store_options){.kind = CF_STR("chdb"), .path = cf_str_c(dir)}, &s, &err) < 0)
        die(&err);
    (void)cf_event_store_merges(s, !getenv("BACKLOG"), NULL, &err);
    if (rows)
        fill(s, rows);
    (void)cf_event_store_merges(s, true, NULL, &err);
    settle(s, getenv("SETTLE") ? strtod(getenv("SETTLE"), NULL) : 300);
    static const struct {
        const char *name, *query;
        int kind;
    } q[] = {
        {"all", "*", 0},
        {"ip", "source.ip:#.$", 0},
        {"cidr", "source.ip:#.0/24", 0},
        {"user_status", "user.name:root http.response.status_code:404", 0},
        {"path", "url.path:/page/77", 0},
        {"two_words", "accepted root", 0},
        {"rare_word", "needle3", 0},
        {"phrase", "\"password for oracle\"", 0},
        {"ip_word", "#.$", 0},
        {"wildcard_word", "*eedle3", 0},
        {"histogram_all", "*", 1},
        {"histogram_word", "failed", 1},
        {"facet", "event.category:web", 2},
    };
    for (size_t i = 0; i < sizeof q / sizeof *q; i++) {
        if (!chosen(argc - 3, argv + 3, q[i].name))
            continue;
        one = ask(s, q[i].name, q[i].query, q[i].kind);
        if (one > worst)
            worst = one;
    }
    result("worst_p95", worst, "ms");
    cf_buf_init(&out, 0);
    if (cf_event_store_stats(s, &out, &err) == 0)
        (void)fprintf(stderr, "%s\n", cf_buf_cstr(&out));
    cf_buf_release(&out);
    cf_event_store_close(s);
    (void)getrusage(RUSAGE_SELF, &ru);
    result("peak_rss", (double)ru.ru_maxrss / 1024, "MiB");
    if (argc <= 2) {
        (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
        (void)!system(cmd);
    }
    return 0;
}
