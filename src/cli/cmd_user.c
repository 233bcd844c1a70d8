/* SPDX-License-Identifier: Apache-2.0
 * chengfang user add|list|disable|reset: people, beside a running server or without one. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "app/admin_client.h"
#include "cli/cli.h"

struct args {
    const char *what, *name, *data, *organisation, *password_file, *display;
    json_t *roles;
};

static int read_password(const char *path, char *out, size_t cap, struct cf_error *err)
{
    struct cf_buf b;
    cf_str s;
    int r;

    cf_buf_init(&b, 4096);
    r = cf_file_read(path, &b, err);
    s = cf_str_trim(cf_buf_view(&b));
    if (r == 0 && (s.n == 0 || s.n >= cap))
        r = cf_error_set(err, CF_EINVAL, "%s: the first line must be the password", path);
    if (r == 0)
        (void)snprintf(out, cap, "%.*s", CF_ARG(s));
    if (b.p)
        explicit_bzero(b.p, b.n);
    cf_buf_release(&b);
    return r;
}

static int add(struct cf_admin *a, const struct args *x, struct cf_error *err)
{
    json_t *body = json_pack("{s:s,s:s,s:O}", "name", x->name, "org_id", x->organisation, "roles", x->roles), *reply = NULL;
    char password[300] = "";
    int r = 0;

    if (x->display)
        (void)json_object_set_new(body, "display_name", json_string(x->display));
    if (x->password_file) {
        r = read_password(x->password_file, password, sizeof password, err);
        (void)json_object_set_new(body, "password", json_string(password));
        (void)json_object_set_new(body, "must_change_password", json_false());
        explicit_bzero(password, sizeof password);
    }
    if (r == 0)
        r = cf_admin_json(a, "POST", "/api/v1/users", body, &reply, err);
    if (r == 0) {
        const char *once = json_string_value(json_object_get(reply, "password"));

        (void)printf("user %s added (%s)\n", x->name, json_string_value(json_object_get(reply, "id")));
        if (once)
            (void)printf("one-time password: %s\n", once);
    }
    json_decref(body);
    json_decref(reply);
    return r;
}

static int list(struct cf_admin *a, struct cf_error *err)
{
    char path[600] = "/api/v1/users?limit=500";
    int r = 0;

    while (r == 0 && path[0]) {
        json_t *reply = NULL, *u, *role;
        const char *next;
        size_t i, k;

        r = cf_admin_json(a, "GET", path, NULL, &reply, err);
        json_array_foreach(json_object_get(reply, "items"), i, u)
        {
            const char *org = json_string_value(json_object_get(json_object_get(u, "org"), "name"));

            (void)printf("%-20s %-9s %s  ", json_string_value(json_object_get(u, "name")), json_is_true(json_object_get(u, "active")) ? "active" : "disabled", org ? org : "-");
            json_array_foreach(json_object_get(u, "roles"), k, role) (void)printf("%s%s", k ? "," : "", json_string_value(role));
            (void)printf("\n");
        }
        next = json_string_value(json_object_get(reply, "next"));
        if (next)
            (void)snprintf(path, sizeof path, "/api/v1/users?limit=500&cursor=%.500s", next);
        else
            path[0] = 0;
        json_decref(reply);
    }
    return r;
}

static int find_id(struct cf_admin *a, const char *name, char id[65], struct cf_error *err)
{
    json_t *reply = NULL;
    char path[300];
    const char *found;
    int r;

    if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-") != strlen(name))
        return cf_error_set(err, CF_EINVAL, "\"%s\" is not a user name", name);
    (void)snprintf(path, sizeof path, "/api/v1/users?filter=name:%s", name);
    r = cf_admin_json(a, "GET", path, NULL, &reply, err);
    found = json_string_value(json_object_get(json_array_get(json_object_get(reply, "items"), 0), "id"));
    if (r == 0 && !found)
        r = cf_error_set(err, CF_ENOENT, "there is no user \"%s\"", name);
    if (r == 0)
        (void)snprintf(id, 65, "%s", found);
    json_decref(reply);
    return r;
}

static int change(struct cf_admin *a, const struct args *x, struct cf_error *err)
{
    json_t *reply = NULL;
    char id[65], path[200];
    int r = find_id(a, x->name, id, err);

    if (r < 0)
        return r;
    if (strcmp(x->what, "disable") == 0) {
        (void)snprintf(path, sizeof path, "/api/v1/users/%s", id);
        r = cf_admin_json(a, "DELETE", path, NULL, NULL, err);
        if (r == 0)
            (void)printf("user %s disabled\n", x->name);
        return r;
    }
    (void)snprintf(path, sizeof path, "/api/v1/users/%s/reset", id);
    json_t *empty = json_object();
    r = cf_admin_json(a, "POST", path, empty, &reply, err);
    if (r == 0)
        (void)printf("one-time password of %s: %s\n", x->name, json_string_value(json_object_get(reply, "password")));
    json_decref(empty);
    json_decref(reply);
    return r;
}

static bool complete(const struct args *x)
{
    if (!x->data)
        return false;
    if (strcmp(x->what, "list") == 0)
        return true;
    if (strcmp(x->what, "add") == 0)
        return x->name[0] && json_array_size(x->roles);
    return x->name[0] && (strcmp(x->what, "disable") == 0 || strcmp(x->what, "reset") == 0);
}

int cf_cmd_user(int argc, char **argv)
{
    static const struct option opts[] = {{"data", required_argument, NULL, 'd'}, {"role", required_argument, NULL, 'r'}, {"organisation", required_argument, NULL, 'o'},
                                         {"password-file", required_argument, NULL, 'p'}, {"display-name", required_argument, NULL, 'n'}, {NULL, 0, NULL, 0}};
    struct args x = {.what = "", .name = "", .organisation = "root", .roles = json_array()};
    struct cf_admin *a = NULL;
    struct cf_error err = {0};
    int o, r;

    while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
        switch (o) {
        case 'd': x.data = optarg; break;
        case 'r': (void)json_array_append_new(x.roles, json_string(optarg)); break;
        case 'o': x.organisation = optarg; break;
        case 'p': x.password_file = optarg; break;
        case 'n': x.display = optarg; break;
        default: json_decref(x.roles); return CF_EXIT_USAGE;
        }
    }
    if (optind < argc)
        x.what = argv[optind];
    if (optind + 1 < argc)
        x.name = argv[optind + 1];
    if (!complete(&x)) {
        json_decref(x.roles);
        return cf_cli_usage("user", "add NAME --data DIR --role ROLE [--role ROLE...] [--organisation ID] [--password-file FILE], list|disable NAME|reset NAME --data DIR");
    }
    r = cf_admin_open(x.data, &a, &err);
    if (r == 0)
        r = strcmp(x.what, "add") == 0 ? add(a, &x, &err) : strcmp(x.what, "list") == 0 ? list(a, &err) : change(a, &x, &err);
    cf_admin_close(a);
    json_decref(x.roles);
    return r < 0 ? cf_cli_fail("user", &err) : 0;
}
