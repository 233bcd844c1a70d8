/* SPDX-License-Identifier: Apache-2.0
 * chengfang rules check|test|list|import: the rule library from the command line. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/rules_common.h"
#include "cli/rules_test.h"

static int check(int argc, char **argv)
{
    struct cf_ruleset *rs = NULL;
    const struct cf_rule_refused *refused;
    size_t n_refused, corr = 0;
    int64_t t = cf_mono_us();
    int r;

    if (argc < 1)
        return cf_cli_usage("rules check", "at least one path is needed");
    r = cf_cli_rules("rules check", (const char *const *)argv, (size_t)argc, NULL, &rs);
    if (r)
        return r;
    n_refused = cf_ruleset_refused(rs, &refused);
    for (size_t i = 0; i < cf_ruleset_count(rs); i++)
        corr += cf_ruleset_rule(rs, i)->correlation;
    cf_cli_refused(rs, stdout, true, false);
    for (size_t i = 0; i < cf_ruleset_count(rs); i++) {
        const struct cf_rule_info *ri = cf_ruleset_rule(rs, i);

        if (ri->warning.p)
            (void)printf("warning %.*s: \"%.*s\": %.*s\n", CF_ARG(ri->file), CF_ARG(ri->title), CF_ARG(ri->warning));
    }
    (void)printf("%zu rules loaded (%zu correlations), %zu refused, %.0f ms\n", cf_ruleset_count(rs), corr, n_refused,
                 (double)(cf_mono_us() - t) / 1e3);
    cf_cli_refused(rs, stdout, false, true);
    cf_ruleset_free(rs);
    return n_refused ? CF_EXIT_FAILED : 0;
}

static int list(int argc, char **argv)
{
    struct cf_ruleset *rs = NULL;
    struct cf_buf b;
    int r;

    if (argc < 1)
        return cf_cli_usage("rules list", "at least one path is needed (a folder of rules, or DATA/rules)");
    r = cf_cli_rules("rules list", (const char *const *)argv, (size_t)argc, NULL, &rs);
    if (r)
        return r;
    cf_buf_init(&b, 0);
    for (size_t i = 0; i < cf_ruleset_count(rs); i++) {
        const struct cf_rule_info *in = cf_ruleset_rule(rs, i);

        cf_buf_clear(&b);
        cf_buf_printf(&b, "%-13s %.*s  %.*s", cf_level_name(in->level), CF_ARG(in->id), CF_ARG(in->title));
        cf_buf_printf(&b, "  [%.*s/%.*s/%.*s]%s\n", CF_ARG(in->product), CF_ARG(in->category), CF_ARG(in->service), in->correlation ? " correlation" : "");
        (void)fwrite(b.p, 1, b.n, stdout);
    }
    cf_buf_release(&b);
    cf_ruleset_free(rs);
    return 0;
}

struct import {
    const char *dir;
    size_t copied, skipped;
    struct cf_ruleset *rs;
    struct cf_error *err;
};

/* A name that stays inside the folder: the path with its separators flattened. */
static char *flat_name(struct cf_arena *a, cf_str path, const char *dir)
{
    char *name = cf_arena_strdup(a, path);
    size_t from = 0;

    if (!name)
        return NULL;
    for (size_t i = 0, slashes = 0; i < path.n; i++) { /* the last folder and the file name tell enough */
        size_t at = path.n - 1 - i;
        if (name[at] == '/' && ++slashes == 2) {
            from = at + 1;
            break;
        }
    }
    for (char *p = name + from; *p; p++)
        if (*p == '/')
            *p = '_';
    return cf_path_join(a, dir, name + from);
}

static int import_file(void *ctx, const char *path)
{
    struct import *im = ctx;
    struct cf_rules_options opt = {.paths = &path, .n_paths = 1};
    struct cf_ruleset *rs = NULL;
    const struct cf_rule_refused *refused;
    struct cf_arena a;
    struct cf_buf b;
    cf_str s = cf_str_c(path);
    char *to;
    int r;

    if (!cf_str_ends(s, CF_STR(".yml")) && !cf_str_ends(s, CF_STR(".yaml")))
        return 0;
    cf_arena_init(&a, 0, 0);
    r = cf_ruleset_load(&opt, &rs, im->err);
    if (r == 0 && cf_ruleset_refused(rs, &refused)) {
        (void)printf("skipped %s: %.*s\n", path, CF_ARG(refused[0].reason));
        im->skipped++;
    } else if (r == 0) {
        cf_buf_init(&b, 4u << 20);
        to = flat_name(&a, s, im->dir);
        r = to ? cf_file_read(path, &b, im->err) : CF_ENOMEM;
        if (r == 0)
            r = cf_file_write_durable(to, cf_buf_view(&b), 0644, im->err);
        im->copied += r == 0;
        cf_buf_release(&b);
    }
    cf_ruleset_free(rs);
    cf_arena_release(&a);
    return r;
}

/* An archive is kept whole: the rule loader reads it as it is, and its licence stays beside the rules. */
static int import_archive(struct import *im, const char *path)
{
    struct cf_ruleset *rs = NULL;
    const struct cf_rule_refused *refused;
    struct cf_arena a;
    struct cf_buf b;
    const char *base = strrchr(path, '/');
    char *to;
    int r = cf_cli_rules("rules import", &path, 1, NULL, &rs);

    if (r)
        return CF_EINVAL;
    im->copied = cf_ruleset_count(rs);
    im->skipped = cf_ruleset_refused(rs, &refused);
    cf_ruleset_free(rs);
    cf_arena_init(&a, 0, 0);
    cf_buf_init(&b, 256u << 20);
    to = cf_path_join(&a, im->dir, base ? base + 1 : path);
    r = to ? cf_file_read(path, &b, im->err) : CF_ENOMEM;
    if (r == 0)
        r = cf_file_write_durable(to, cf_buf_view(&b), 0644, im->err);
    cf_buf_release(&b);
    cf_arena_release(&a);
    return r;
}

static int import(int argc, char **argv)
{
    struct cf_error err = {0};
    struct import im = {.err = &err};
    struct cf_arena a;
    struct stat st;
    const char *data = NULL, *path = NULL;
    size_t n;
    int r;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--data") == 0 && i + 1 < argc)
            data = argv[++i];
        else if (argv[i][0] == '-' || path)
            return cf_cli_usage("rules import", "usage: chengfang rules import --data DIR PATH");
        else
            path = argv[i];
    }
    if (!data || !path)
        return cf_cli_usage("rules import", "usage: chengfang rules import --data DIR PATH");
    cf_arena_init(&a, 0, 0);
    im.dir = cf_path_join(&a, data, "rules");
    r = im.dir ? cf_mkdir_p(im.dir, 0750, &err) : CF_ENOMEM;
    n = strlen(path);
    if (r == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode) && !(n > 4 && strcmp(path + n - 4, ".yml") == 0) && !(n > 5 && strcmp(path + n - 5, ".yaml") == 0))
        r = import_archive(&im, path);
    else if (r == 0)
        r = cf_walk(path, "", import_file, &im, &err);
    cf_arena_release(&a);
    if (r < 0)
        return cf_cli_fail("rules import", &err);
    (void)printf("%zu rules imported, %zu refused\n", im.copied, im.skipped);
    return 0;
}

int cf_cmd_rules(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return check(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "list") == 0)
        return list(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "import") == 0)
        return import(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "test") == 0)
        return cf_rules_test(argc - 2, argv + 2);
    return cf_cli_usage("rules", "check PATH..., test PATH..., list PATH... or import --data DIR PATH");
}
