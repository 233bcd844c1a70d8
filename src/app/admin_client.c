/* SPDX-License-Identifier: Apache-2.0 */
#include "app/admin_client.h"

#include <curl/curl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/server.h"

struct cf_admin {
    char socket[108];
    struct cf_app_run *run; /* NULL: beside a server */
    CURL *curl;
};

static bool server_listens(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok;

    memcpy(sa.sun_path, path, strlen(path) + 1);
    ok = fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0;
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

int cf_admin_open(const char *data_dir, struct cf_admin **ret, struct cf_error *reterr)
{
    struct cf_admin *a = calloc(1, sizeof *a);
    int n, r = 0;

    if (!a)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    n = snprintf(a->socket, sizeof a->socket, "%s/admin.sock", data_dir);
    if (n < 0 || (size_t)n >= sizeof a->socket)
        r = cf_error_set(reterr, CF_EINVAL, "the path of data directory %s is too long for a socket: use a shorter or relative one", data_dir);
    else if (!server_listens(a->socket))
        r = cf_app_start(data_dir, NULL, NULL, CF_APP_OFFLINE, &a->run, reterr);
    if (r == 0 && !(a->curl = curl_easy_init()))
        r = cf_error_set(reterr, CF_ENOMEM, "no memory for the HTTP client");
    if (r < 0) {
        cf_admin_close(a);
        return r;
    }
    *ret = a;
    return 0;
}

void cf_admin_close(struct cf_admin *a)
{
    if (!a)
        return;
    if (a->curl)
        curl_easy_cleanup(a->curl);
    cf_app_stop(a->run);
    free(a);
}

bool cf_admin_beside_server(const struct cf_admin *a) { return a->run == NULL; }

static size_t on_data(char *p, size_t size, size_t n, void *ctx)
{
    struct cf_buf *b = ctx;

    cf_buf_add(b, p, size * n);
    return b->failed ? 0 : size * n;
}

static int problem(long status, const struct cf_buf *b, size_t from, struct cf_error *reterr)
{
    json_t *o = json_loadb(b->p + from, b->n - from, 0, NULL), *e = json_array_get(json_object_get(o, "errors"), 0);
    const char *detail = json_string_value(json_object_get(o, "detail")), *field = json_string_value(json_object_get(e, "field")),
               *msg = json_string_value(json_object_get(e, "message"));
    int code = status == 404 ? CF_ENOENT : status == 403 ? CF_EPERM : status == 401 ? CF_EAUTH : status == 409 ? CF_ECONFLICT : status >= 500 ? CF_EIO : CF_EINVAL;

    if (field && msg)
        (void)cf_error_set(reterr, code, "%s: %s", field, msg);
    else if (detail)
        (void)cf_error_set(reterr, code, "%s", detail);
    else
        (void)cf_error_set(reterr, code, "the server answered with status %ld", status);
    json_decref(o);
    return code;
}

int cf_admin_request(struct cf_admin *a, const char *method, const char *path, cf_str body, const char *content_type, struct cf_buf *out, struct cf_error *reterr)
{
    struct curl_slist *headers = NULL;
    char url[2048], type[200];
    size_t from = out->n;
    long status = 0;
    CURLcode cc;

    (void)snprintf(url, sizeof url, "http://localhost%s", path);
    (void)snprintf(type, sizeof type, "Content-Type: %s", content_type ? content_type : "application/json");
    headers = curl_slist_append(curl_slist_append(NULL, type), "Expect:");
    curl_easy_reset(a->curl);
    (void)curl_easy_setopt(a->curl, CURLOPT_UNIX_SOCKET_PATH, a->socket);
    (void)curl_easy_setopt(a->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(a->curl, CURLOPT_CUSTOMREQUEST, method);
    (void)curl_easy_setopt(a->curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(a->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(a->curl, CURLOPT_WRITEFUNCTION, on_data);
    (void)curl_easy_setopt(a->curl, CURLOPT_WRITEDATA, out);
    if (body.p) {
        (void)curl_easy_setopt(a->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
        (void)curl_easy_setopt(a->curl, CURLOPT_POSTFIELDS, body.p);
    }
    cc = curl_easy_perform(a->curl);
    curl_slist_free_all(headers);
    if (cc != CURLE_OK)
        return cf_error_set(reterr, CF_EIO, "asking the server at %s: %s", a->socket, curl_easy_strerror(cc));
    (void)curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &status);
    return status >= 400 ? problem(status, out, from, reterr) : 0;
}

int cf_admin_json(struct cf_admin *a, const char *method, const char *path, const json_t *body, json_t **ret, struct cf_error *reterr)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct cf_buf out;
    int r;

    cf_buf_init(&out, 256 << 20);
    r = cf_admin_request(a, method, path, cf_str_c(text), NULL, &out, reterr);
    if (r == 0 && ret) {
        *ret = out.n ? json_loadb(out.p, out.n, JSON_DECODE_ANY, NULL) : json_null();
        if (!*ret)
            r = cf_error_set(reterr, CF_ESYNTAX, "the server's reply is not JSON");
    }
    free(text);
    cf_buf_release(&out);
    return r;
}

int cf_admin_call(const char *data_dir, const char *method, const char *path, cf_str body, struct cf_buf *out, struct cf_error *reterr)
{
    struct cf_admin *a = NULL;
    int r = cf_admin_open(data_dir, &a, reterr);

    if (r == 0)
        r = cf_admin_request(a, method, path, body, NULL, out, reterr);
    cf_admin_close(a);
    return r;
}
