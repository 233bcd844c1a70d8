/* SPDX-License-Identifier: Apache-2.0
 * chengfang doctor: is everything in place for the server on this data directory? One line a check, with what to do. */
#include <getopt.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app/admin_client.h"
#include "app/server.h"
#include "cli/cli.h"

enum verdict { GOOD, WARN, BAD };
static unsigned n_bad;

__attribute__((format(printf, 3, 4))) static void say(enum verdict v, const char *what, const char *fmt, ...)
{
    static const char *const words[] = {"ok", "warning", "FAILED"};
    char text[600];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    n_bad += v == BAD;
    (void)printf("%-8s %-14s %s\n", words[v], what, text);
}

static void data_dir(const char *data)
{
    struct statvfs fs;
    struct stat st;

    if (stat(data, &st) < 0) {
        say(WARN, "data", "%s is not there yet; the first start makes it", data);
        return;
    }
    if (!S_ISDIR(st.st_mode) || access(data, R_OK | W_OK | X_OK) < 0)
        say(BAD, "data", "%s is not a folder this user may write", data);
    else if (st.st_mode & 077)
        say(WARN, "data", "%s may be read by others: chmod 700", data);
    else
        say(GOOD, "data", "%s", data);
    if (statvfs(data, &fs) == 0) {
        double gib = (double)fs.f_bavail * (double)fs.f_frsize / (1 << 30);

        say(gib < 1 ? BAD : gib < 10 ? WARN : GOOD, "disk", "%.1f GiB free%s", gib, gib < 10 ? ": make room, events need it" : "");
    }
}

static void config(const char *data)
{
    struct cf_error err = {0};
    struct cf_buf b;
    char path[4096];

    (void)snprintf(path, sizeof path, "%s/chengfang.yaml", data);
    cf_buf_init(&b, 1 << 20);
    if (access(path, F_OK) < 0)
        say(GOOD, "configuration", "defaults (no %s)", path);
    else if (cf_app_print_config(path, &b, &err) < 0)
        say(BAD, "configuration", "%s", err.msg);
    else
        say(GOOD, "configuration", "%s", path);
    cf_buf_release(&b);
}

static void folders(void)
{
    struct cf_arena a;
    const char *content, *web;

    cf_arena_init(&a, 0, 0);
    content = cf_find_dir(&a, "CF_CONTENT", "content");
    web = cf_find_dir(&a, "CF_WEB", "web/dist");
    say(content ? GOOD : BAD, "content", "%s", content ? content : "not found beside the program: set CF_CONTENT");
    say(web ? GOOD : WARN, "console", "%s", web ? web : "not built: only the API answers (./cf build)");
    cf_arena_release(&a);
}

static void certificate(const char *data)
{
    char path[4096];
    FILE *f;
    X509 *x;
    int days = 0, seconds = 0;

    (void)snprintf(path, sizeof path, "%s/tls/server.crt", data);
    f = fopen(path, "re");
    if (!f) {
        say(GOOD, "certificate", "made at the first start, unless http.certificate names one");
        return;
    }
    x = PEM_read_X509(f, NULL, NULL, NULL);
    (void)fclose(f);
    if (!x || ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)) != 1)
        say(BAD, "certificate", "%s cannot be read: remove it and its key, the next start makes new ones", path);
    else
        say(days < 0 ? BAD : days < 30 ? WARN : GOOD, "certificate", "%s: %d days left", path, days);
    X509_free(x);
}

static void clock_check(void)
{
    struct stat st;
    int64_t now = cf_now_us() / CF_US_PER_S;

    /* the program cannot be newer than now */
    if (stat("/proc/self/exe", &st) == 0 && st.st_mtime > now + 60)
        say(BAD, "clock", "the clock is %lld s behind the program's own file: set it (chrony, NTP)", (long long)st.st_mtime - (long long)now);
    else
        say(GOOD, "clock", "plausible");
}

static void stores(const char *data)
{
    struct cf_admin *a = NULL;
    struct cf_error err = {0};
    json_t *h = NULL;

    if (access(data, F_OK) < 0)
        return;
    if (cf_admin_open(data, &a, &err) < 0) {
        say(BAD, "records", "%s", err.msg);
        return;
    }
    say(GOOD, "records", "open");
    if (!cf_admin_beside_server(a))
        say(GOOD, "server", "not running");
    else if (cf_admin_json(a, "GET", "/api/v1/health", NULL, &h, &err) < 0)
        say(WARN, "server", "running, but its health page says: %s", err.msg);
    else {
        const char *s = json_string_value(json_object_get(h, "status"));
        json_t *c;
        size_t i;

        say(s && strcmp(s, "ok") == 0 ? GOOD : WARN, "server", "running, status %s", s ? s : "unknown");
        json_array_foreach(json_object_get(h, "components"), i, c)
        {
            const char *cs = json_string_value(json_object_get(c, "status")), *d = json_string_value(json_object_get(c, "detail"));

            if (cs && strcmp(cs, "ok") != 0)
                say(WARN, json_string_value(json_object_get(c, "name")), "%s%s%s", cs, d ? ": " : "", d ? d : "");
        }
    }
    json_decref(h);
    cf_admin_close(a);
}

int cf_cmd_doctor(int argc, char **argv)
{
    static const struct option opts[] = {{"data", required_argument, NULL, 'd'}, {NULL, 0, NULL, 0}};
    const char *data = NULL;
    int o;

    while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
        if (o != 'd')
            return CF_EXIT_USAGE;
        data = optarg;
    }
    if (!data)
        return cf_cli_usage("doctor", "--data DIR");
    data_dir(data);
    config(data);
    folders();
    certificate(data);
    clock_check();
    stores(data);
    return n_bad ? CF_EXIT_FAILED : 0;
}
