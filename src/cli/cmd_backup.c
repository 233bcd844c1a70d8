/* SPDX-License-Identifier: Apache-2.0
 * chengfang backup and restore. */
#include <getopt.h>
#include <stdio.h>

#include "app/backup.h"
#include "cli/cli.h"

typedef int (*work_fn)(const char *a, const char *b, struct cf_backup_result *ret, struct cf_error *reterr);

static int run(const char *what, int argc, char **argv, const char *other, const char *usage, bool data_first, work_fn fn)
{
    const struct option opts[] = {{"data", required_argument, NULL, 'd'}, {other, required_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
    const char *data = NULL, *folder = NULL;
    struct cf_backup_result res;
    struct cf_error err = {0};
    int o;

    while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
        if (o == 'd')
            data = optarg;
        else if (o == 'o')
            folder = optarg;
        else
            return CF_EXIT_USAGE;
    }
    if (!data || !folder)
        return cf_cli_usage(what, usage);
    if (fn(data_first ? data : folder, data_first ? folder : data, &res, &err) < 0)
        return cf_cli_fail(what, &err);
    (void)printf("%s: %llu files, %llu bytes\n", what, (unsigned long long)res.files, (unsigned long long)res.bytes);
    return 0;
}

int cf_cmd_backup(int argc, char **argv) { return run("backup", argc, argv, "to", "--data DIR --to FOLDER", true, cf_backup_make); }
int cf_cmd_restore(int argc, char **argv) { return run("restore", argc, argv, "from", "--data DIR --from FOLDER", false, cf_backup_restore); }
