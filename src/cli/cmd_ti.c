/* SPDX-License-Identifier: Apache-2.0
 * chengfang ti import: indicators from a file, beside a running server or without one. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/admin_client.h"
#include "cli/cli.h"

struct args {
    const char *data, *file, *path[8];
    const char *name[8]; /* query parameters */
    size_t n;
    bool json;
};

static void add_query(struct cf_buf *b, const char *name, const char *value)
{
    static const char hex[] = "0123456789ABCDEF";

    cf_buf_byte(b, memchr(b->p, '?', b->n) ? '&' : '?');
    cf_buf_printf(b, "%s=", name);
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.') {
            cf_buf_byte(b, (char)c);
        } else {
            cf_buf_byte(b, '%');
            cf_buf_byte(b, hex[c >> 4]);
            cf_buf_byte(b, hex[c & 15]);
        }
    }
}

static int map_file(const char *path, cf_str *ret, struct cf_error *reterr)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *p;

    if (fd < 0 || fstat(fd, &st) < 0) {
        if (fd >= 0)
            (void)close(fd);
        return cf_error_errno(reterr, "%s", path);
    }
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        (void)close(fd);
        return cf_error_set(reterr, CF_EINVAL, "%s: %s", path, st.st_size ? "not a file" : "empty");
    }
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    if (p == MAP_FAILED)
        return cf_error_errno(reterr, "%s", path);
    *ret = cf_str_n(p, (size_t)st.st_size);
    return 0;
}

static void print_rows(const json_t *report, const char *key, const char *what, const char *text)
{
    const json_t *j;
    size_t i;

    json_array_foreach(json_object_get(report, key), i, j)
    {
        if (i == 20) {
            (void)fprintf(stderr, "... and more\n");
            return;
        }
        if (json_object_get(j, "line"))
            (void)fprintf(stderr, "%s: line %lld: %s: %s\n", what, (long long)json_integer_value(json_object_get(j, "line")), json_string_value(json_object_get(j, text)),
                          json_string_value(json_object_get(j, "reason")) ? json_string_value(json_object_get(j, "reason")) : json_string_value(json_object_get(j, "list")));
        else
            (void)fprintf(stderr, "%s: %s: %s\n", what, json_string_value(json_object_get(j, text)), json_string_value(json_object_get(j, "reason")));
    }
}

static int import(const struct args *a)
{
    struct cf_error err = {0};
    struct cf_admin *admin = NULL;
    struct cf_buf path, out;
    cf_str body = CF_STR_NONE;
    json_t *report = NULL;
    int r;

    cf_buf_init(&path, 1 << 16);
    cf_buf_init(&out, 16 << 20);
    cf_buf_z(&path, "/api/v1/indicators:import");
    for (size_t i = 0; i < a->n; i++)
        add_query(&path, a->name[i], a->path[i]);
    r = map_file(a->file, &body, &err);
    if (r == 0)
        r = cf_admin_open(a->data, &admin, &err);
    if (r == 0)
        r = cf_admin_request(admin, "POST", cf_buf_cstr(&path), body, "application/octet-stream", &out, &err);
    if (r == 0 && !(report = json_loadb(out.p, out.n, 0, NULL)))
        r = cf_error_set(&err, CF_EIO, "the server's reply is not understood");
    if (r == 0) {
        static const char *const keys[] = {"read", "new", "updated", "repeated", "bad", "conflicts", "unmatchable", "objects", "relations"};
        double s = json_real_value(json_object_get(report, "seconds"));

        print_rows(report, "bad_rows", "bad", "text");
        print_rows(report, "conflict_rows", "conflict", "value");
        print_rows(report, "unmatchable_rows", "not matchable", "pattern");
        (void)printf("%s:", json_string_value(json_object_get(report, "format")));
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            (void)printf(" %s %lld", keys[i], (long long)json_integer_value(json_object_get(report, keys[i])));
        (void)printf("; %.1f s, %.0f rows/s\n", s, s > 0 ? (double)json_integer_value(json_object_get(report, "read")) / s : 0.0);
    }
    if (body.n)
        (void)munmap((void *)(uintptr_t)body.p, body.n);
    json_decref(report);
    cf_admin_close(admin);
    cf_buf_release(&path);
    cf_buf_release(&out);
    return r < 0 ? cf_cli_fail("ti import", &err) : 0;
}

int cf_cmd_ti(int argc, char **argv)
{
    static const char *const usage = "import --data DIR [--source NAME] [--format stix|misp|gbt|warninglist|csv|list|hosts] [--type TYPE] [--columns NAMES] [--threat-type TEXT] [--family TEXT] "
                                     "[--draft] [--dry-run] FILE";
    static const struct {
        const char *option, *query;
    } options[] = {{"--source", "source"}, {"--format", "format"}, {"--type", "type"}, {"--columns", "columns"}, {"--threat-type", "threat_type"}, {"--family", "family"}};
    struct args a = {0};

    if (argc < 2 || strcmp(argv[1], "import") != 0)
        return cf_cli_usage("ti", usage);
    for (int i = 2; i < argc; i++) {
        size_t k = 0;

        while (k < sizeof options / sizeof *options && strcmp(argv[i], options[k].option) != 0)
            k++;
        if (strcmp(argv[i], "--data") == 0 && i + 1 < argc) {
            a.data = argv[++i];
        } else if (k < sizeof options / sizeof *options && i + 1 < argc) {
            a.name[a.n] = options[k].query;
            a.path[a.n++] = argv[++i];
        } else if (strcmp(argv[i], "--dry-run") == 0 || strcmp(argv[i], "--draft") == 0) {
            a.name[a.n] = argv[i][3] == 'r' && argv[i][4] == 'y' ? "dry_run" : "draft";
            a.path[a.n++] = "true";
        } else if (argv[i][0] == '-' || a.file) {
            return cf_cli_usage("ti", usage);
        } else {
            a.file = argv[i];
        }
        if (a.n == 8)
            return cf_cli_usage("ti", usage);
    }
    if (!a.data || !a.file)
        return cf_cli_usage("ti", usage);
    return import(&a);
}
