/* SPDX-License-Identifier: Apache-2.0
 * chengfang token create|list|delete: API tokens, beside a running server or without one. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "app/admin_client.h"
#include "cli/cli.h"

static int create(struct cf_admin *a, const char *user, const char *name, const char *expires, json_t *scopes, struct cf_error *err)
{
    json_t *body = json_pack("{s:s,s:s,s:O}", "user", user, "name", name, "scopes", scopes), *reply = NULL;
    int r;

    if (expires)
        (void)json_object_set_new(body, "expires_at", json_string(expires));
    r = cf_admin_json(a, "POST", "/api/v1/tokens", body, &reply, err);
    if (r == 0)
        (void)printf("%s\n", json_string_value(json_object_get(reply, "token")));
    json_decref(reply);
    json_decref(body);
    return r;
}

static int list(struct cf_admin *a, struct cf_error *err)
{
    json_t *reply = NULL, *t;
    size_t i;
    int r = cf_admin_json(a, "GET", "/api/v1/tokens?limit=1000", NULL, &reply, err);

    json_array_foreach(json_object_get(reply, "items"), i, t)
    {
        const char *used = json_string_value(json_object_get(t, "last_used"));

        (void)printf("%s  %-16s %-24s last used %s\n", json_string_value(json_object_get(t, "id")),
                     json_string_value(json_object_get(json_object_get(t, "user"), "name")), json_string_value(json_object_get(t, "name")), used ? used : "never");
    }
    json_decref(reply);
    return r;
}

int cf_cmd_token(int argc, char **argv)
{
    static const struct option opts[] = {{"data", required_argument, NULL, 'd'}, {"user", required_argument, NULL, 'u'}, {"scope", required_argument, NULL, 's'},
                                         {"name", required_argument, NULL, 'n'}, {"expires", required_argument, NULL, 'e'}, {NULL, 0, NULL, 0}};
    const char *data = NULL, *user = NULL, *name = "cli", *expires = NULL, *what, *id;
    json_t *scopes = json_array();
    struct cf_admin *a = NULL;
    struct cf_error err = {0};
    char path[200];
    int o, r;

    while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
        switch (o) {
        case 'd': data = optarg; break;
        case 'u': user = optarg; break;
        case 's': (void)json_array_append_new(scopes, json_string(optarg)); break;
        case 'n': name = optarg; break;
        case 'e': expires = optarg; break;
        default: json_decref(scopes); return CF_EXIT_USAGE;
        }
    }
    what = optind < argc ? argv[optind] : "";
    id = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (!data || (strcmp(what, "create") == 0 && !user) || (strcmp(what, "delete") == 0 && !id) ||
        (strcmp(what, "create") != 0 && strcmp(what, "list") != 0 && strcmp(what, "delete") != 0)) {
        json_decref(scopes);
        return cf_cli_usage("token", "create --data DIR --user NAME [--scope PERMISSION...] [--name TEXT] [--expires TIME], list --data DIR, delete ID --data DIR");
    }
    r = cf_admin_open(data, &a, &err);
    if (r == 0 && strcmp(what, "create") == 0)
        r = create(a, user, name, expires, scopes, &err);
    else if (r == 0 && strcmp(what, "list") == 0)
        r = list(a, &err);
    else if (r == 0) {
        (void)snprintf(path, sizeof path, "/api/v1/tokens/%.60s", id);
        r = cf_admin_json(a, "DELETE", path, NULL, NULL, &err);
    }
    cf_admin_close(a);
    json_decref(scopes);
    return r < 0 ? cf_cli_fail("token", &err) : 0;
}
