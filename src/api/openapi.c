/* SPDX-License-Identifier: Apache-2.0
 * OpenAPI 3.1, made from the route table. */
#include <ctype.h>
#include <stdio.h>

#include "api/http_int.h"

static json_t *parameter(const char *name, const char *in, bool required, json_t *schema_takes, const char *doc)
{
    json_t *p = json_pack("{s:s,s:s,s:b,s:o}", "name", name, "in", in, "required", required, "schema", schema_takes);

    if (p && doc)
        (void)json_object_set_new(p, "description", json_string(doc));
    return p;
}

static void add_path_parameters(json_t *list, const char *path)
{
    const char *p = path;

    while ((p = strchr(p, '{'))) {
        const char *e = strchr(p, '}');
        char name[64];

        if (!e)
            return;
        (void)snprintf(name, sizeof name, "%.*s", (int)(e - p - 1), p + 1);
        (void)json_array_append_new(list, parameter(name, "path", true, json_pack("{s:s}", "type", "string"), NULL));
        p = e;
    }
}

static void add_query_parameters(json_t *list, const struct cf_route *r, json_t *schema)
{
    const char *key;
    json_t *prop, *one, *required = json_object_get(schema, "required");
    size_t i;

    if (r->flags & CF_RF_LIST) {
        (void)json_array_append_new(list, parameter("limit", "query", false, json_pack("{s:s,s:i,s:i}", "type", "integer", "minimum", 1, "maximum", 1000), "rows a page"));
        (void)json_array_append_new(list, parameter("cursor", "query", false, json_pack("{s:s}", "type", "string"), "value of next"));
        (void)json_array_append_new(list, parameter("sort", "query", false, json_pack("{s:s}", "type", "string"), "column; - in front: largest first"));
        (void)json_array_append_new(list, parameter("filter", "query", false, json_pack("{s:s}", "type", "string"), "key:value key:a|b key>=v -key:v words"));
    }
    if (r->method != CF_GET)
        return;
    json_object_foreach(json_object_get(schema, "properties"), key, prop)
    {
        bool need = false;

        json_array_foreach(required, i, one) need = need || strcmp(json_string_value(one), key) == 0;
        (void)json_array_append_new(list, parameter(key, "query", need, json_incref(prop), NULL));
    }
}

static json_t *reply_of(const struct cf_route *r)
{
    json_error_t je;
    json_t *schema = r->reply ? json_loads(r->reply, 0, &je) : NULL;

    if (!schema)
        schema = json_pack("{s:s}", "type", "object");
    return json_pack("{s:s,s:{s:{s:o}}}", "description", "done", "content", "application/json", "schema", schema);
}

static json_t *operation(const struct cf_route *r, json_t *schema)
{
    json_t *op = json_object(), *params = json_array();
    bool open = strcmp(r->permission, CF_PERM_PUBLIC) == 0;
    char id[160];
    size_t n;

    n = (size_t)snprintf(id, sizeof id, "%s%s", cf_method_name(r->method), strncmp(r->path, "/api/v1", 7) == 0 ? r->path + 7 : r->path);
    for (size_t i = 0; i < n && i < sizeof id - 1; i++)
        id[i] = isalnum((unsigned char)id[i]) ? (char)tolower((unsigned char)id[i]) : '_';
    (void)json_object_set_new(op, "operationId", json_string(id));
    (void)json_object_set_new(op, "summary", json_string(r->doc ? r->doc : ""));
    (void)json_object_set_new(op, "x-permission", json_string(r->permission));
    (void)json_object_set_new(op, "x-scope", json_string(r->scope ? r->scope : open ? "all" : "org"));
    if (r->method == CF_GET && (r->flags & CF_RF_SENSITIVE))
        (void)json_object_set_new(op, "x-audit", json_true());
    if (r->flags & CF_RF_NO_AUDIT)
        (void)json_object_set_new(op, "x-audit", json_false());
    add_path_parameters(params, r->path);
    add_query_parameters(params, r, schema);
    (void)json_object_set_new(op, "parameters", params);
    if (r->method != CF_GET && (schema || (r->flags & (CF_RF_RAW_BODY | CF_RF_STREAM_BODY)))) {
        bool raw = (r->flags & (CF_RF_RAW_BODY | CF_RF_STREAM_BODY)) != 0;

        (void)json_object_set_new(op, "requestBody", json_pack("{s:b,s:{s:{s:o}}}", "required", 1, "content",
                                                              raw ? "application/octet-stream" : "application/json", "schema",
                                                              schema ? json_incref(schema) : json_object()));
    }
    (void)json_object_set_new(op, "responses", json_pack("{s:o,s:{s:s}}", "200", reply_of(r), "default", "$ref", "#/components/responses/Problem"));
    if (open)
        (void)json_object_set_new(op, "security", json_array());
    return op;
}

int cf_openapi_handler(struct cf_req *req, struct cf_error *reterr)
{
    json_t *paths = json_object(), *doc;

    for (size_t i = 0; i < cf_routes_count(); i++) {
        const struct cf_route *r = cf_routes_get(i);
        json_t *item = json_object_get(paths, r->path);
        char method[8];
        size_t n = 0;

        if (!item) {
            item = json_object();
            (void)json_object_set_new(paths, r->path, item);
        }
        for (const char *m = cf_method_name(r->method); *m; m++)
            method[n++] = (char)tolower((unsigned char)*m);
        method[n] = 0;
        (void)json_object_set_new(item, method, operation(r, cf_routes_schema(i)));
    }
    doc = json_pack("{s:s,s:{s:s,s:s},s:o,s:[{s:[]},{s:[]}],s:{s:{s:{s:s,s:s,s:s},s:{s:s,s:s}},s:{s:{s:s,s:{s:{s:{s:s}}}}}}}", "openapi", "3.1.0",
                    "info", "title", "Chengfang", "version", CF_VERSION, "paths", paths, "security", "session", "token", "components",
                    "securitySchemes", "session", "type", "apiKey", "in", "cookie", "name", "cf_session", "token", "type", "http", "scheme", "bearer",
                    "responses", "Problem", "description", "problem document (RFC 9457)", "content", "application/problem+json", "schema", "type", "object");
    if (!doc)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the OpenAPI document");
    cf_reply_json(req, 200, doc);
    return 0;
}
