/* SPDX-License-Identifier: Apache-2.0
 * chengfang verify: audit chain, record store, spool, and a backup when one is named. Exit 1 when anything is damaged. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/admin_client.h"
#include "app/backup.h"
#include "cli/cli.h"
#include "collect/spool.h"

static bool line(bool ok, const char *what, const char *detail)
{
    (void)printf("%-8s %-14s %s\n", ok ? "ok" : "DAMAGED", what, detail);
    return ok;
}

static int stores(struct cf_admin *a, bool *ok, struct cf_error *err)
{
    json_t *body = json_object(), *reply = NULL, *audit, *records;
    char text[400];
    int r = cf_admin_json(a, "POST", "/api/v1/system:verify", body, &reply, err);

    json_decref(body);
    if (r < 0)
        return r;
    audit = json_object_get(reply, "audit");
    records = json_object_get(reply, "records");
    (void)snprintf(text, sizeof text, "%lld entries%s%s", (long long)json_integer_value(json_object_get(audit, "checked")),
                   json_is_true(json_object_get(audit, "ok")) ? "" : ", then: ", json_string_value(json_object_get(audit, "detail")));
    *ok &= line(json_is_true(json_object_get(audit, "ok")), "audit chain", text);
    *ok &= line(json_is_true(json_object_get(records, "ok")), "record store", json_string_value(json_object_get(records, "detail")));
    json_decref(reply);
    return 0;
}

static int spool(const char *data, bool *ok, struct cf_error *err)
{
    struct cf_spool_verify_result v;
    char dir[4096], text[300];
    struct cf_buf out;
    int r;

    (void)snprintf(dir, sizeof dir, "%s/spool", data);
    if (access(dir, F_OK) < 0)
        return 0;
    cf_buf_init(&out, 1 << 20);
    r = cf_spool_verify(dir, &v, &out, err);
    if (r == 0 || r == CF_ECORRUPT) {
        (void)snprintf(text, sizeof text, "%llu segments, %llu records, %llu damaged frames, %llu torn bytes", (unsigned long long)v.segments,
                       (unsigned long long)v.records, (unsigned long long)v.bad_frames, (unsigned long long)v.torn_bytes);
        *ok &= line(r == 0, "spool", text);
        if (r == CF_ECORRUPT)
            (void)fwrite(out.p, 1, out.n, stdout);
        r = 0;
    }
    cf_buf_release(&out);
    return r;
}

static int backup(const char *from, bool *ok, struct cf_error *err)
{
    struct cf_backup_result b;
    char text[100];
    int r = cf_backup_verify(from, &b, err);

    if (r < 0 && r != CF_ECORRUPT)
        return r;
    (void)snprintf(text, sizeof text, "%llu files, %llu bytes", (unsigned long long)b.files, (unsigned long long)b.bytes);
    *ok &= line(r == 0, "backup", r == 0 ? text : err->msg);
    return 0;
}

int cf_cmd_verify(int argc, char **argv)
{
    static const struct option opts[] = {{"data", required_argument, NULL, 'd'}, {"backup", required_argument, NULL, 'b'}, {NULL, 0, NULL, 0}};
    const char *data = NULL, *from = NULL;
    struct cf_admin *a = NULL;
    struct cf_error err = {0};
    bool ok = true, beside;
    int o, r;

    while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
        if (o == 'd')
            data = optarg;
        else if (o == 'b')
            from = optarg;
        else
            return CF_EXIT_USAGE;
    }
    if (!data)
        return cf_cli_usage("verify", "--data DIR [--backup FOLDER]");
    if (access(data, F_OK) < 0) {
        (void)cf_error_errno(&err, "%s", data);
        return cf_cli_fail("verify", &err);
    }
    r = cf_admin_open(data, &a, &err);
    beside = r == 0 && cf_admin_beside_server(a);
    if (r == 0)
        r = stores(a, &ok, &err);
    cf_admin_close(a);
    if (r == 0 && beside)
        (void)printf("%-8s %-14s %s\n", "skipped", "spool", "the running server uses it; stop the server to check it");
    else if (r == 0)
        r = spool(data, &ok, &err);
    if (r == 0 && from)
        r = backup(from, &ok, &err);
    if (r < 0)
        return cf_cli_fail("verify", &err);
    return ok ? 0 : CF_EXIT_FAILED;
}
