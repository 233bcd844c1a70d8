/* SPDX-License-Identifier: Apache-2.0 */
#include "api/route.h"
#include "app/app.h"
#include "form/content.h"
#include "form/form.h"

static struct cf_form_set *set_of(const struct cf_req *req) { return ((struct cf_app *)req->app)->forms; }

static int forms_list(struct cf_req *req, struct cf_error *reterr)
{
    json_t *items = json_array();
    size_t n = cf_form_count(set_of(req));

    (void)reterr;
    for (size_t i = 0; i < n; i++)
        json_array_append_new(items, cf_form_json(cf_form_at(set_of(req), i), false));
    cf_reply_list(req, items, NULL, (int64_t)n);
    return 0;
}

static int forms_get(struct cf_req *req, struct cf_error *reterr)
{
    const struct cf_form *f = cf_form_find(set_of(req), cf_req_path(req, "id"));

    if (!f)
        return cf_error_set(reterr, CF_ENOENT, "there is no such form");
    cf_reply_json(req, 200, cf_form_json(f, true));
    return 0;
}

static int dictionaries_list(struct cf_req *req, struct cf_error *reterr)
{
    json_t *items = cf_dictionaries_json(set_of(req));

    (void)reterr;
    cf_reply_list(req, items, NULL, (int64_t)json_array_size(items));
    return 0;
}

static int dictionaries_get(struct cf_req *req, struct cf_error *reterr)
{
    json_t *d = cf_dictionary_json(set_of(req), cf_req_path(req, "id"));

    if (!d)
        return cf_error_set(reterr, CF_ENOENT, "there is no such dictionary");
    cf_reply_json(req, 200, d);
    return 0;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/forms", .permission = CF_PERM_SELF, .handler = forms_list, .doc = "Form templates"},
    {.method = CF_GET, .path = "/api/v1/forms/{id}", .permission = CF_PERM_SELF, .handler = forms_get, .doc = "One form template with its fields"},
    {.method = CF_GET, .path = "/api/v1/dictionaries", .permission = CF_PERM_SELF, .handler = dictionaries_list, .doc = "Dictionaries"},
    {.method = CF_GET, .path = "/api/v1/dictionaries/{id}", .permission = CF_PERM_SELF, .handler = dictionaries_get, .doc = "The entries of one dictionary"},
};
void cf_form_routes(void) { cf_routes_add(routes, sizeof(routes) / sizeof(routes[0])); }
