/* SPDX-License-Identifier: Apache-2.0
 * The event store on a real cluster: four ClickHouse nodes on loopback, two shards of two replicas. The common suite, then one
 * node is killed while inserts go on, and comes back. */
#include "event_suite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "events_fixture.h"
#include "store/chdb_api.h"

#define NODES 4
static struct {
    int http, tcp;
    pid_t pid;
} node[NODES];
static char dir[64], urls[256], launcher[512];

/* A free port below the range from which the kernel gives ports to clients: nobody takes it by chance before the node does. */
static int free_port(int *fd)
{
    for (int tries = 0; tries < 200; tries++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        uint16_t r = 0;

        (void)cf_random(&r, sizeof r);
        r = (uint16_t)(12000 + r % 18000);
        a.sin_port = htons(r);
        *fd = socket(AF_INET, SOCK_STREAM, 0);
        if (*fd >= 0 && bind(*fd, (struct sockaddr *)&a, sizeof a) == 0)
            return r;
        (void)close(*fd);
    }
    return 0;
}

static void choose_ports(void)
{
    int fd[NODES * 2];

    for (int i = 0; i < NODES; i++) {
        node[i].http = free_port(&fd[2 * i]);
        node[i].tcp = free_port(&fd[2 * i + 1]);
    }
    for (int i = 0; i < NODES * 2; i++)
        (void)close(fd[i]);
}

static bool write_config(int i)
{
    struct cf_buf b;
    struct cf_error err;
    char path[128];
    int r;

    cf_buf_init(&b, 0);
    cf_buf_printf(&b,
                  "<clickhouse><path>%s/n%d</path><http_port>%d</http_port><tcp_port>%d</tcp_port><listen_host>127.0.0.1</listen_host>"
                  "<logger><level>error</level><console>true</console></logger><max_server_memory_usage>1500000000</max_server_memory_usage>"
                  "<background_pool_size>1</background_pool_size><background_schedule_pool_size>4</background_schedule_pool_size>"
                  "<remote_servers><cf>",
                  dir, i, node[i].http, node[i].tcp);
    for (int k = 0; k < NODES; k++)
        cf_buf_printf(&b, "%s<replica><host>127.0.0.1</host><port>%d</port></replica>%s", k % 2 == 0 ? "<shard><internal_replication>false</internal_replication>" : "",
                      node[k].tcp, k % 2 ? "</shard>" : "");
    cf_buf_z(&b, "</cf></remote_servers></clickhouse>\n");
    (void)snprintf(path, sizeof path, "%s/n%d.xml", dir, i);
    r = cf_file_write_durable(path, cf_buf_view(&b), 0600, &err);
    cf_buf_release(&b);
    return r == 0;
}

static bool answers(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;

    (void)close(fd);
    return ok;
}

/* False when the node ended instead of serving. */
static bool start_node(int i)
{
    char config[128], log[128];

    (void)snprintf(config, sizeof config, "%s/n%d.xml", dir, i);
    (void)snprintf(log, sizeof log, "%s/n%d.log", dir, i);
    node[i].pid = fork();
    if (node[i].pid == 0) {
        char *argv[] = {launcher, config, NULL};

        if (!freopen(log, "a", stdout) || dup2(1, 2) < 0)
            _exit(126);
        (void)execv(launcher, argv);
        _exit(127);
    }
    while (!answers(node[i].http) || !answers(node[i].tcp)) {
        if (waitpid(node[i].pid, NULL, WNOHANG) == node[i].pid) {
            node[i].pid = 0;
            return false;
        }
        (void)usleep(20000); /* between polls of the condition */
    }
    return true;
}

static void kill_node(int i)
{
    if (node[i].pid > 0) {
        (void)kill(node[i].pid, SIGKILL);
        (void)waitpid(node[i].pid, NULL, 0);
        node[i].pid = 0;
    }
}

static struct cf_event_store *open_cluster(void)
{
    struct cf_error err = {0};
    struct cf_event_store *s = NULL;

    assert_ok(cf_event_store_open(&(struct cf_event_store_options){.kind = CF_STR("clickhouse"), .urls = cf_str_c(urls), .cluster = CF_STR("cf")}, &s, &err), err);
    return s;
}

/* Inserts a block without waiting for the replicas; true when it was acknowledged. */
static bool insert_block(uint64_t k, size_t rows)
{
    struct cf_error err = {0};
    struct cf_event_block *b = cf_event_block_new();
    struct cf_arena a;
    char token[32];
    int r;

    cf_arena_init(&a, 0, 0);
    for (uint64_t i = 0; i < rows; i++) {
        assert_int_equal(cf_event_block_add(b, fix_event(&a, 1000000 + k * rows + i)), 0);
        cf_arena_reset(&a);
    }
    (void)snprintf(token, sizeof token, "kill-%llu", (unsigned long long)k);
    r = cf_event_store_insert(store, b, cf_str_c(token), false, &err);
    if (r < 0)
        (void)printf("block %llu: %s\n", (unsigned long long)k, err.msg);
    cf_event_block_free(b);
    cf_arena_release(&a);
    return r == 0;
}

static int64_t count(void)
{
    char *t = query_text(store, "SELECT count() FROM chengfang.events WHERE time >= fromUnixTimestamp64Micro(1790001000000000)");
    int64_t n = strtoll(t, NULL, 10);

    free(t);
    return n;
}

/* The engine's library, serving as a node here, now and then aborts when a peer resets a connection (a query that ran into its
 * limit), which the server it stands for survives. A node that did so is started again, as whoever runs servers would; anything else is a failure. */
static void revive(void)
{
    for (int i = 0; i < NODES; i++) {
        int status = 0;

        if (waitpid(node[i].pid, &status, WNOHANG) != node[i].pid)
            continue;
        node[i].pid = 0;
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
            fail_msg("node %d ended by itself: wait status %d (log: %s/n%d.log)", i, status, dir, i);
        (void)printf("node %d aborted, started again\n", i);
        assert_true(start_node(i));
    }
}

/* Data is on both shards, and twice on each. */
static void data_is_spread(void **st)
{
    (void)st;
    revive();
    for (int i = 0; i < NODES; i++) {
        char url[64];
        struct cf_event_store *one = NULL;
        struct cf_error err = {0};

        (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", node[i].http);
        assert_ok(cf_event_store_open(&(struct cf_event_store_options){.kind = CF_STR("clickhouse"), .urls = cf_str_c(url), .cluster = CF_STR("cf")}, &one, &err), err);
        char *t = query_text(one, "SELECT count() FROM chengfang.events_local");
        int64_t n = strtoll(t, NULL, 10);

        if (n < 4500 || n > 5500)
            fail_msg("node %d has %lld of 10001 events", i, (long long)n);
        free(t);
        cf_event_store_close(one);
    }
}

#define BLOCKS 30
#define ROWS 500
/* victim 0 takes the inserts itself, victim 3 is only a replica of others. */
static void killed_node(int victim, uint64_t base)
{
    struct cf_error err = {0};
    int64_t acked = 0, before = count();

    for (uint64_t k = 0; k < BLOCKS; k++) {
        if (k == BLOCKS / 3)
            kill_node(victim);
        acked += insert_block(base + k, ROWS) ? ROWS : 0;
        if (k % 10 == 9)
            assert_true(count() >= before); /* queries go on */
    }
    assert_int_equal(acked, BLOCKS * ROWS); /* inserts went on: the store found another node */
    assert_true(start_node(victim));
    assert_ok(cf_event_store_sync(store, &err), err);
    assert_int_equal(count(), before + acked);
    for (uint64_t k = 0; k < BLOCKS; k++) /* a replay adds nothing */
        (void)insert_block(base + k, ROWS);
    assert_ok(cf_event_store_sync(store, &err), err);
    assert_int_equal(count(), before + acked);
}

static void replica_killed(void **st)
{
    (void)st;
    revive();
    killed_node(3, 0);
}

static void receiving_node_killed(void **st)
{
    (void)st;
    revive();
    cf_event_store_close(store); /* a new store begins with the first address */
    store = open_cluster();
    killed_node(0, 1000);
}

static int64_t at_work(const char *token)
{
    char sql[120], *t;
    int64_t n;

    (void)snprintf(sql, sizeof sql, "SELECT count() FROM system.processes WHERE Settings['log_comment'] = '%s'", token);
    t = query_text(store, sql);
    n = strtoll(t, NULL, 10);
    free(t);
    return n;
}

static _Atomic bool slow_over;

/* Stands for an insert that is still at work in the engine when its sender is gone: ten minutes long. */
static void *slow_insert(void *arg)
{
    struct cf_error err = {0};
    struct cf_buf out;
    int r;

    cf_buf_init(&out, 0);
    r = cf_event_store_query(arg, CF_STR("SELECT sleepEachRow(1) FROM system.numbers LIMIT 600 SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0,"
                                         " log_comment = 'slow'"), NULL, 0, "TSV", &(struct cf_query_limits){.max_ms = 600000}, &out, &err);
    cf_buf_release(&out);
    atomic_store(&slow_over, true);
    return (void *)(intptr_t)r;
}

static void earlier_attempt_is_ended(void)
{
    struct cf_error err = {0};
    struct cf_event_block *b = cf_event_block_new();
    struct cf_arena a;
    pthread_t t;
    void *r;

    cf_arena_init(&a, 0, 0);
    assert_int_equal(cf_event_block_add(b, fix_event(&a, 1)), 0);
    assert_int_equal(pthread_create(&t, NULL, slow_insert, store), 0);
    while (at_work("slow") == 0) {
        assert_false(atomic_load(&slow_over));
        (void)usleep(20000); /* between looks at the condition */
    }
    assert_ok(cf_event_store_insert(store, b, CF_STR("slow"), true, &err), err);
    assert_int_equal(at_work("slow"), 0);
    assert_int_equal(pthread_join(t, &r), 0);
    assert_true((intptr_t)r < 0);
    free(query_text(store, "TRUNCATE TABLE single.events"));
    cf_event_block_free(b);
    cf_arena_release(&a);
}

/* One node that is no cluster, with tables of its own. */
static void single_node(void **st)
{
    struct cf_event_store *cluster = store;
    struct cf_error err = {0};
    char url[64];

    (void)st;
    revive();
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", node[1].http);
    assert_ok(cf_event_store_open(&(struct cf_event_store_options){.kind = CF_STR("clickhouse"), .urls = cf_str_c(url), .database = CF_STR("single")}, &store, &err), err);
    event_suite_again("single");
    earlier_attempt_is_ended();
    cf_event_store_close(store);
    store = cluster;
}

static void find_launcher(void)
{
    ssize_t n = readlink("/proc/self/exe", launcher, sizeof launcher - 40);
    char *slash;

    launcher[n > 0 ? n : 0] = 0;
    slash = strrchr(launcher, '/');
    if (slash)
        (void)snprintf(slash + 1, 32, "tests/unit/store/chdb_node");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(data_is_spread), cmocka_unit_test(single_node), cmocka_unit_test(replica_killed), cmocka_unit_test(receiving_node_killed)};
    char cmd[96];
    int failed = 0;
    size_t n = 0;

    find_launcher();
    (void)snprintf(dir, sizeof dir, "/tmp/cf-cluster-XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    choose_ports();
    for (int i = 0; i < NODES; i++) {
        if (!write_config(i) || !start_node(i)) {
            (void)printf("skipped: a node does not start (%s/n%d.log)\n", dir, i);
            failed = 77;
            goto out;
        }
        n += (size_t)snprintf(urls + n, sizeof urls - n, "%shttp://127.0.0.1:%d", i ? "," : "", node[i].http);
    }
    store = open_cluster();
    failed = event_suite_run("event store on a cluster");
    failed += cmocka_run_group_tests_name("a node fails", tests, NULL, NULL);
    cf_event_store_close(store);
out:
    for (int i = 0; i < NODES; i++)
        kill_node(i);
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    if (failed == 0)
        (void)!system(cmd);
    return failed;
}
