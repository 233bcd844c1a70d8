/* SPDX-License-Identifier: Apache-2.0
 * GET /api/v1/settings: the configuration in use. It holds no secrets (passwords and keys are files), save addresses that may. */
#include <stdio.h>

#include "api/route.h"
#include "app/server.h"

static json_t *jstr(cf_str s)
{
    json_t *v = s.p ? json_stringn(s.p, s.n) : json_null();

    return v ? v : json_null();
}

static json_t *option_value(const struct cf_opt *o, const char *base)
{
    const char *p = base + o->offset;
    json_t *list;

    switch (o->type) {
    case CF_OPT_STR: return jstr(*(const cf_str *)(const void *)p);
    case CF_OPT_BOOL: return json_boolean(*(const bool *)p);
    case CF_OPT_DURATION: return json_sprintf("%gs", (double)*(const int64_t *)(const void *)p / 1e6);
    case CF_OPT_INT:
    case CF_OPT_SIZE: return json_integer(*(const int64_t *)(const void *)p);
    case CF_OPT_LIST: break;
    }
    list = json_array();
    for (size_t i = 0; i < ((const struct cf_opt_list *)(const void *)p)->n; i++)
        (void)json_array_append_new(list, jstr(((const struct cf_opt_list *)(const void *)p)->v[i]));
    return list;
}

static int settings(struct cf_req *req, struct cf_error *reterr)
{
    json_t *items = json_array();

    (void)reterr;
    for (size_t i = 0; i < cf_server_n_options; i++) {
        const struct cf_opt *o = &cf_server_options[i];
        cf_str name = cf_str_c(o->name);
        bool secret = cf_str_find(name, CF_STR("password")) >= 0 && o->type == CF_OPT_STR && cf_str_find(name, CF_STR("file")) < 0;

        /* an address of a database may hold a password */
        secret = secret || strcmp(o->name, "store.records") == 0 || cf_str_find(name, CF_STR("secret")) >= 0 || cf_str_find(name, CF_STR("token")) >= 0;
        (void)json_array_append_new(items, json_pack("{s:s,s:o,s:s,s:s}", "name", o->name, "value",
                                                     secret ? json_string("(hidden)") : option_value(o, (const char *)((struct cf_app *)req->app)->config), "default", o->def,
                                                     "doc", o->doc));
    }
    cf_reply_list(req, items, NULL, (int64_t)json_array_size(items));
    return 0;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/settings", .permission = "system.read", .handler = settings, .scope = "all", .doc = "The configuration in use, read-only"},
};

void cf_settings_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
