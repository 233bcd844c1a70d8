/* SPDX-License-Identifier: Apache-2.0 */
#include "pg_server.h"

#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool find_bin(char *out, size_t n)
{
    glob_t g;
    bool found = false;

    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &g) == 0 && g.gl_pathc) {
        (void)snprintf(out, n, "%.*s", (int)(strlen(g.gl_pathv[g.gl_pathc - 1]) - strlen("/initdb")), g.gl_pathv[g.gl_pathc - 1]);
        found = true;
    }
    globfree(&g);
    return found;
}

/* PostgreSQL refuses root: the child becomes postgres or nobody. */
static bool drop_root(uid_t *uid, gid_t *gid)
{
    struct passwd *pw;

    if (geteuid() != 0) {
        *uid = geteuid();
        *gid = getegid();
        return true;
    }
    pw = getpwnam("postgres");
    if (!pw)
        pw = getpwnam("nobody");
    if (!pw)
        return false;
    *uid = pw->pw_uid;
    *gid = pw->pw_gid;
    return true;
}

static pid_t spawn(const struct pg_server *s, uid_t uid, gid_t gid, const char *prog, char *const argv[])
{
    char path[160], log[96];
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    (void)snprintf(path, sizeof path, "%s/%s", s->bin, prog);
    (void)snprintf(log, sizeof log, "%s/%s.log", s->dir, prog);
    if (geteuid() == 0 && (setgid(gid) != 0 || setuid(uid) != 0))
        _exit(126);
    if (!freopen(log, "a", stdout) || dup2(1, 2) < 0 || chdir(s->dir) != 0)
        _exit(126);
    (void)execv(path, argv);
    _exit(127);
}

bool pg_server_start(struct pg_server *s)
{
    uid_t uid;
    gid_t gid;
    int status = -1;
    char data[96];

    memset(s, 0, sizeof *s);
    if (!find_bin(s->bin, sizeof s->bin)) {
        (void)printf("skipped: no PostgreSQL server installed (/usr/lib/postgresql/*/bin/initdb)\n");
        return false;
    }
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/cf-pg-XXXXXX");
    if (!mkdtemp(s->dir) || !drop_root(&uid, &gid) || chown(s->dir, uid, gid) != 0) {
        (void)printf("skipped: no unprivileged user or folder for PostgreSQL\n");
        return false;
    }
    (void)snprintf(data, sizeof data, "%s/data", s->dir);
    char *const init[] = {"initdb", "-D", data, "-U", "cf", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", NULL};
    pid_t pid = spawn(s, uid, gid, "initdb", init);

    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        (void)printf("skipped: initdb failed (%s/initdb.log)\n", s->dir);
        return false;
    }
    char *const run[] = {"postgres", "-D", data, "-k", s->dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB", NULL};

    s->pid = spawn(s, uid, gid, "postgres", run);
    (void)snprintf(s->url, sizeof s->url, "postgresql:///postgres?host=%s&user=cf", s->dir);
    while (PQping(s->url) != PQPING_OK) {
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
            (void)printf("skipped: postgres ended early (%s/postgres.log)\n", s->dir);
            return false;
        }
        (void)usleep(5000); /* between polls of the condition, not instead of it */
    }
    return true;
}

void pg_server_stop(struct pg_server *s)
{
    char cmd[96];

    if (s->pid > 0) {
        (void)kill(s->pid, SIGINT);
        (void)waitpid(s->pid, NULL, 0);
    }
    if (s->dir[0]) {
        (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", s->dir);
        (void)!system(cmd);
    }
}
