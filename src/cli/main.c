/* SPDX-License-Identifier: Apache-2.0
 * The one binary: finds the subcommand and runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/server.h"
#include "base/phrases.h"
#include "cli/cli.h"
#include "normalise/input.h"

#ifndef CF_VERSION
#define CF_VERSION "0"
#endif

static const struct {
    const char *name;
    int (*fn)(int, char **);
    const char *args, *doc;
} commands[] = {
#define CMD(name, fn, args, doc) {name, fn, args, doc},
#include "cli/commands.def"
#undef CMD
};

/* Errors in Chinese when the terminal's language is. */
static void load_phrases(void)
{
    const char *lang = getenv("LC_ALL");
    struct cf_error err = {0};
    struct cf_arena a;
    char *content;

    lang = lang && *lang ? lang : getenv("LC_MESSAGES");
    lang = lang && *lang ? lang : getenv("LANG");
    if (!lang || strncmp(lang, "zh", 2) != 0)
        return;
    cf_arena_init(&a, 0, 0);
    content = cf_find_dir(&a, "CF_CONTENT", "content");
    if (content && cf_phrases_load(cf_path_join(&a, content, "phrases/zh-CN"), &cf_phrases_zh, &err) < 0)
        (void)fprintf(stderr, "chengfang: %s\n", err.msg);
    cf_arena_release(&a);
}

void cf_cli_say(FILE *f, cf_str english)
{
    struct cf_buf b;

    cf_buf_init(&b, 1 << 16);
    (void)cf_phrases_say(cf_phrases_zh, english, &b);
    (void)fwrite(b.p, 1, b.n, f);
    cf_buf_release(&b);
}

int cf_cli_fail(const char *what, const struct cf_error *err)
{
    (void)fprintf(stderr, "chengfang: %s: ", what);
    cf_cli_say(stderr, cf_str_c(err->msg[0] ? err->msg : cf_err_text(err->code)));
    (void)fputc('\n', stderr);
    return CF_EXIT_FAILED;
}

uint64_t cf_cli_damaged(const char *what, const char *path, const struct cf_input *in)
{
    const char *first;
    uint64_t n = cf_input_damaged(in, &first);

    if (n)
        (void)fprintf(stderr, "chengfang: %s: %s: %llu damaged parts skipped, the first: %s\n", what, path, (unsigned long long)n, first);
    return n;
}

int cf_cli_usage(const char *what, const char *why)
{
    (void)fprintf(stderr, "chengfang: %s: %s\n", what, why);
    return CF_EXIT_USAGE;
}

int cf_cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    (void)printf("chengfang %s\n", CF_VERSION);
    return 0;
}

static int help(void)
{
    (void)printf("chengfang %s - security operations and coordination of a city\n\nusage: chengfang COMMAND [--help] ...\n\n", CF_VERSION);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        (void)printf("  %-10s %s\n", commands[i].name, commands[i].doc);
    return 0;
}

int main(int argc, char **argv)
{
    load_phrases();
    if (argc < 2) {
        (void)fprintf(stderr, "chengfang: usage: chengfang COMMAND ... (chengfang --help lists the commands)\n");
        return CF_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0)
        return cf_cmd_version(0, NULL);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return help();
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        for (int k = 2; k < argc; k++) {
            if (strcmp(argv[k], "--") == 0)
                break;
            if (strcmp(argv[k], "--help") == 0) {
                (void)printf("usage: chengfang %s %s\n\n%s\n", commands[i].name, commands[i].args, commands[i].doc);
                return 0;
            }
        }
        return commands[i].fn(argc - 1, argv + 1);
    }
    (void)fprintf(stderr, "chengfang: %s: no such command (chengfang --help lists them)\n", argv[1]);
    return CF_EXIT_USAGE;
}
