/* SPDX-License-Identifier: Apache-2.0
 * What a caller of the API may write: the first byte chooses the parser - path router, list filter, JSON body against a
 * schema, compressed body. */
#include <stdint.h>
#include <stdlib.h>

#include "api/http_int.h"
#include "api/list.h"
#include "api/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_fault(void *ctx, const char *field, const char *message)
{
    size_t *n = ctx;

    *n += strlen(field) + strlen(message);
}

static void router(cf_str in)
{
    static const char *const patterns[] = {"/api/v1/alerts", "/api/v1/alerts/{id}", "/api/v1/alerts/{id}/actions", "/api/v1/{a}/{b}:verify", "/api/v1/alerts:batch", "/{a}/{b}/{c}/{d}/{e}"};
    struct cf_path_params p;
    unsigned literals;

    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        if (!cf_path_match(patterns[i], in, &p, &literals))
            continue;
        for (size_t k = 0; k < p.n; k++) {
            /* a parameter lies inside the path, is not empty and spans no separator */
            if (p.value[k].n == 0 || p.value[k].p < in.p || p.value[k].p + p.value[k].n > in.p + in.n || memchr(p.value[k].p, '/', p.value[k].n))
                abort();
        }
    }
}

static void filter(cf_str in)
{
    struct cf_arena a;
    struct cf_filter_term *t;
    struct cf_error err;
    size_t n;

    cf_arena_init(&a, 0, 64 << 20);
    if (cf_filter_parse(&a, in, &t, &n, &err) == 0) {
        for (size_t i = 0; i < n; i++) {
            if (t[i].n == 0 || t[i].n > CF_FILTER_VALUES || (t[i].op != CF_FO_WORD && t[i].key.n == 0))
                abort();
        }
    }
    cf_arena_release(&a);
}

static void schema(cf_str in)
{
    static const char text[] = "{\"type\":\"object\",\"required\":[\"a\",\"b\"],\"additionalProperties\":false,\"properties\":{\"a\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":9},"
                               "\"b\":{\"type\":[\"integer\",\"null\"],\"minimum\":-5,\"maximum\":5},\"c\":{\"type\":\"array\",\"maxItems\":4,\"items\":{\"type\":\"object\","
                               "\"properties\":{\"d\":{\"enum\":[\"x\",\"y\"]}}}},\"e\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"number\"}}}}";
    json_t *s = json_loads(text, 0, NULL), *v = json_loadb(in.p, in.n, JSON_REJECT_DUPLICATES, NULL);
    size_t n = 0;

    if (v)
        (void)cf_schema_check(s, v, on_fault, &n);
    json_decref(v);
    v = json_object();
    cf_schema_query_add(s, v, "b", in);
    (void)cf_schema_check(s, v, on_fault, &n);
    json_decref(v);
    json_decref(s);
}

static int count(void *ctx, cf_str piece, struct cf_error *reterr)
{
    size_t *n = ctx;

    *n += piece.n;
    return *n > (64u << 20) ? cf_error_set(reterr, CF_ELIMIT, "enough") : 0; /* a bomb is cut, piece by piece */
}

static void decoder(cf_str in, const char *encoding)
{
    struct cf_decoder *d = NULL;
    struct cf_error err;
    size_t n = 0, step = in.n > 3 ? in.n / 3 : 1;
    int r = cf_decoder_new(cf_str_c(encoding), &d, &err);

    for (size_t i = 0; r == 0 && i < in.n; i += step)
        r = cf_decoder_feed(d, cf_str_sub(in, i, step), count, &n, &err);
    if (r == 0)
        (void)cf_decoder_end(d, &err);
    cf_decoder_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cf_str in;

    if (size == 0)
        return 0;
    in = cf_str_n((const char *)data + 1, size - 1);
    switch (data[0] % 5) {
    case 0: router(in); break;
    case 1: filter(in); break;
    case 2: schema(in); break;
    case 3: decoder(in, "gzip"); break;
    default: decoder(in, "zstd"); break;
    }
    return 0;
}
