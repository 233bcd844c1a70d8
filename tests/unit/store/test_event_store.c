/* SPDX-License-Identifier: Apache-2.0
 * The event store on embedded chDB: the common suite, then what only the embedded engine does. */
#include "event_suite.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "events_fixture.h"
#include "store/chdb_api.h"

static char dir[64];

static struct cf_event_store *open_store(void)
{
    struct cf_error err = {0};
    struct cf_event_store *s = NULL;

    assert_ok(cf_event_store_open(&(struct cf_event_store_options){.kind = CF_STR("chdb"), .path = cf_str_c(dir)}, &s, &err), err);
    return s;
}

/* A child inserts blocks and says so through a pipe until it is killed. Afterwards every block it spoke of is there once, also
 * when all blocks are inserted again with their tokens, as a replay from the spool does. Runs before this process has an engine. */
#define KILL_ROWS 2000u
static bool die_at_rename;

/* The engine's own calls come here: it notes a block's token in its log, then renames the part from tmp_insert_... */
int rename(const char *from, const char *to)
{
    if (die_at_rename && strstr(from, "/tmp_insert_"))
        (void)kill(getpid(), SIGKILL);
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

static _Noreturn void child(int fd, uint64_t said, uint64_t die_at)
{
    store = open_store();
    for (uint64_t i = 0; i <= die_at; i++) {
        char token[24];

        die_at_rename = i == die_at;
        (void)snprintf(token, sizeof token, "k%llu", (unsigned long long)i);
        insert_range(store, i * KILL_ROWS, (i + 1) * KILL_ROWS, token, i <= said);
        if (write(fd, &i, sizeof i) != sizeof i)
            break;
    }
    _exit(1);
}

/* Killed after so many blocks (of which those up to `said` may be there already), or by itself in the midst of block `die_at`. */
static uint64_t kill_one(uint64_t after, uint64_t said, uint64_t die_at)
{
    uint64_t last = 0, n = 0;
    int p[2], status;
    pid_t pid;

    assert_int_equal(pipe(p), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(p[0]);
        child(p[1], said, die_at);
    }
    (void)close(p[1]);
    while (n < after && read(p[0], &last, sizeof last) == sizeof last)
        n = last + 1;
    if (die_at == UINT64_MAX)
        (void)kill(pid, SIGKILL);
    while (read(p[0], &last, sizeof last) == sizeof last)
        n = last + 1;
    (void)close(p[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(n >= after);
    return n;
}

static void blocks_survive_kill_once(void **st)
{
    uint64_t said = 0;
    char want[32];

    (void)st;
    for (uint64_t round = 1; round <= 3; round++) { /* later children replay what the earlier ones inserted, then go on */
        uint64_t n = kill_one(4 * round, said, UINT64_MAX);

        said = n > said ? n : said;
    }
    assert_int_equal(kill_one(said + 2, said, said + 2), said + 2); /* noted, but without a part: the replay is no repetition */
    said += 2;
    store = open_store();
    for (uint64_t i = 0; i <= said; i++) { /* one more than was spoken of: it may be there already or not */
        char token[24];

        (void)snprintf(token, sizeof token, "k%llu", (unsigned long long)i);
        insert_range(store, i * KILL_ROWS, (i + 1) * KILL_ROWS, token, true);
    }
    (void)snprintf(want, sizeof want, "%llu\t%llu", (unsigned long long)((said + 1) * KILL_ROWS), (unsigned long long)((said + 1) * KILL_ROWS));
    assert_query("SELECT count(), uniqExact(id) FROM chengfang.events", want);
    char *t = query_text(store, "TRUNCATE TABLE chengfang.events");

    free(t);
    cf_event_store_close(store);
}

static void again_inserts_what_is_missing(void **st)
{
    (void)st;
    store = open_store();
    event_suite_again("chengfang");
    cf_event_store_close(store);
}

static void options_are_checked(void **st)
{
    static const struct {
        struct cf_event_store_options o;
        const char *word;
    } wrong[] = {
        {{.kind = {"oracle", 6}}, "oracle"},
        {{.kind = {"chdb", 4}}, "folder"},
        {{.kind = {"chdb", 4}, .path = {"/tmp/x", 6}, .retention_days = 30}, "retention_override"},
        {{.kind = {"chdb", 4}, .path = {"/tmp/x", 6}, .database = {"a b", 3}}, "names"},
        {{.kind = {"clickhouse", 10}}, "address"},
        {{.kind = {"clickhouse", 10}, .urls = {"ftp://x", 7}}, "http"},
    };

    (void)st;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct cf_event_store *s = NULL;
        struct cf_error err = {0};

        assert_int_equal(cf_event_store_open(&wrong[i].o, &s, &err), CF_EINVAL);
        if (!strstr(err.msg, wrong[i].word))
            fail_msg("%s does not speak of %s", err.msg, wrong[i].word);
    }
}

/* Close and open again in one process: tables with data shut down cleanly, the data is there, retention can change. */
static void closes_and_opens_again(void **st)
{
    struct cf_error err = {0};

    (void)st;
    for (int i = 0; i < 3; i++) {
        cf_event_store_close(store);
        store = NULL;
        assert_ok(cf_event_store_open(&(struct cf_event_store_options){.kind = CF_STR("chdb"), .path = cf_str_c(dir), .retention_days = 500 + i}, &store, &err),
                  err);
        assert_query("SELECT count() FROM chengfang.events", "10001");
    }
    char *ddl = query_text(store, "SELECT create_table_query FROM system.tables WHERE database = 'chengfang' AND name = 'events'");

    assert_non_null(strstr(ddl, "toIntervalDay(502)"));
    free(ddl);
}

static void no_system_logs(void **st)
{
    (void)st;
    assert_query("SELECT count() FROM system.tables WHERE database = 'system' AND name LIKE '%\\_log'", "0");
}

int main(void)
{
    const struct CMUnitTest before[] = {cmocka_unit_test(blocks_survive_kill_once), cmocka_unit_test(again_inserts_what_is_missing)};
    const struct CMUnitTest after[] = {cmocka_unit_test(options_are_checked), cmocka_unit_test(closes_and_opens_again), cmocka_unit_test(no_system_logs)};
    const struct chdb_api *api;
    struct cf_error err = {0};
    char cmd[96];
    int failed;

    (void)snprintf(dir, sizeof dir, "/tmp/cf-events-XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    if (cf_chdb_load(&api, &err) < 0) {
        (void)printf("skipped: %s\n", err.msg);
        return 77;
    }
    failed = cmocka_run_group_tests_name("event store killed", before, NULL, NULL);
    store = open_store();
    failed += event_suite_run("event store on chDB");
    failed += cmocka_run_group_tests_name("embedded engine", after, NULL, NULL);
    cf_event_store_close(store);
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    (void)!system(cmd);
    return failed;
}
