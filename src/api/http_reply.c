/* SPDX-License-Identifier: Apache-2.0
 * Replies: JSON, bytes, files, problem documents (RFC 9457), and the headers every reply carries. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "api/http_int.h"
#include "base/phrases.h"

#define GZIP_MIN 1400u

static const struct {
    int code, status;
} status_map[] = {
    {CF_ESYNTAX, 400}, {CF_EINVAL, 400}, {CF_ELIMIT, 400}, {CF_EAUTH, 401}, {CF_EPERM, 403}, {CF_ENOENT, 404}, {CF_ECONFLICT, 409},
    {CF_EEXIST, 409}, {CF_EBUSY, 429}, {CF_EFULL, 507}, {CF_EUNSUPPORTED, 400}, {CF_ETIMEOUT, 504}, {CF_ECANCELLED, 409},
};

int cf_http_status_of(int code)
{
    for (size_t i = 0; i < sizeof status_map / sizeof *status_map; i++) {
        if (status_map[i].code == code)
            return status_map[i].status;
    }
    return 500;
}

const char *cf_http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } t[] = {
        {400, "Bad Request"}, {401, "Sign-in required"}, {403, "Not permitted"}, {404, "Not found"}, {405, "Method not allowed"}, {409, "Conflict"},
        {413, "Body too large"}, {415, "Content type not supported"}, {429, "Too many requests"}, {500, "Internal error"}, {503, "Not available"},
        {504, "Took too long"}, {507, "No space left"},
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        if (t[i].status == status)
            return t[i].text;
    }
    return "Error";
}

static bool accepts_gzip(struct cf_req_priv *c)
{
    cf_str ae = cf_req_header(&c->req, "Accept-Encoding");

    return ae.p && cf_str_ifind(ae, CF_STR("gzip")) >= 0 && cf_str_ifind(ae, CF_STR("gzip;q=0")) < 0;
}

/* gzip of the bytes, or NULL when it does not pay. */
static char *gzip(const char *p, size_t n, size_t *ret_n)
{
    z_stream z = {0};
    char *out;
    uLong bound;
    union {
        const char *c;
        Bytef *b;
    } u = {.c = p};

    if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    bound = deflateBound(&z, (uLong)n);
    out = malloc(bound);
    if (!out) {
        (void)deflateEnd(&z);
        return NULL;
    }
    z.next_in = u.b;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)bound;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END || z.total_out >= n) {
        free(out);
        out = NULL;
    }
    *ret_n = z.total_out;
    (void)deflateEnd(&z);
    return out;
}

static void set_response(struct cf_req_priv *c, int status, struct MHD_Response *r, const char *type)
{
    if (c->response)
        MHD_destroy_response(c->response);
    c->response = r;
    c->status = status;
    if (r && type)
        (void)MHD_add_response_header(r, "Content-Type", type);
}

void cf_http_reply_memory(struct cf_req_priv *c, int status, const char *type, char *malloced, size_t n)
{
    bool text = strncmp(type, "application/json", 16) == 0 || strncmp(type, "application/problem", 19) == 0 || strncmp(type, "text/", 5) == 0;
    size_t zn = 0;
    char *z = text && n > GZIP_MIN && n < (256u << 20) && accepts_gzip(c) ? gzip(malloced, n, &zn) : NULL;
    struct MHD_Response *r;

    if (z) {
        free(malloced);
        malloced = z;
        n = zn;
    }
    r = MHD_create_response_from_buffer(n, malloced, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(malloced);
        return;
    }
    if (z)
        (void)MHD_add_response_header(r, "Content-Encoding", "gzip");
    if (text)
        (void)MHD_add_response_header(r, "Vary", "Accept-Encoding");
    set_response(c, status, r, type);
}

void cf_http_reply_static(struct cf_req_priv *c, int status, const char *type, const void *lives, size_t n)
{
    union {
        const void *c;
        void *v;
    } u = {.c = lives}; /* MHD_RESPMEM_MUST_COPY does not write */

    set_response(c, status, MHD_create_response_from_buffer(n, u.v, MHD_RESPMEM_MUST_COPY), type);
}

static void reply_json_type(struct cf_req_priv *c, int status, const char *type, json_t *takes)
{
    char *text = takes ? json_dumps(takes, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    json_decref(takes);
    if (!text) {
        static const char fallback[] = "{\"title\":\"Internal error\",\"status\":500,\"detail\":\"no memory for the reply\"}";

        cf_http_reply_static(c, 500, "application/problem+json", fallback, sizeof fallback - 1);
        return;
    }
    cf_http_reply_memory(c, status, type, text, strlen(text));
}

void cf_reply_json(struct cf_req *req, int status, json_t *takes) { reply_json_type(req->priv, status, "application/json; charset=utf-8", takes); }

void cf_reply_empty(struct cf_req *req, int status) { cf_http_reply_static(req->priv, status, NULL, "", 0); }

void cf_reply_bytes(struct cf_req *req, int status, const char *content_type, struct cf_buf *takes)
{
    char *p = takes->p ? takes->p : malloc(1);
    size_t n = takes->p ? takes->n : 0;

    if (takes->failed || !p) {
        free(p);
        reply_json_type(req->priv, 500, "application/problem+json", NULL);
    } else
        cf_http_reply_memory(req->priv, status, content_type, p, n);
    takes->p = NULL;
    takes->n = takes->cap = 0;
}

/* Content-Disposition with an ASCII fall-back and the UTF-8 name (RFC 6266). */
static void disposition(struct cf_req *req, const char *name)
{
    char line[480];
    size_t n = 0, k;
    static const char hex[] = "0123456789ABCDEF";

    n = (size_t)snprintf(line, sizeof line, "attachment; filename=\"");
    for (k = 0; name[k] && n < 180; k++)
        line[n++] = (unsigned char)name[k] < 0x20 || (unsigned char)name[k] >= 0x7f || strchr("\"\\/%;", name[k]) ? '_' : name[k];
    n += (size_t)snprintf(line + n, sizeof line - n, "\"; filename*=UTF-8''");
    for (k = 0; name[k] && n < sizeof line - 4; k++) {
        unsigned char ch = (unsigned char)name[k];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || strchr("-._~", ch))
            line[n++] = (char)ch;
        else {
            line[n++] = '%';
            line[n++] = hex[ch >> 4];
            line[n++] = hex[ch & 15];
        }
    }
    line[n] = 0;
    cf_reply_header(req, "Content-Disposition", line);
}

void cf_reply_fd(struct cf_req *req, int takes_fd, uint64_t size, const char *content_type, const char *download_name)
{
    struct MHD_Response *r = MHD_create_response_from_fd64(size, takes_fd);

    if (!r) {
        (void)close(takes_fd);
        reply_json_type(req->priv, 500, "application/problem+json", NULL);
        return;
    }
    set_response(req->priv, 200, r, content_type);
    if (download_name)
        disposition(req, download_name);
}

void cf_reply_file(struct cf_req *req, const char *path, const char *content_type, const char *download_name)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0)
            (void)close(fd);
        cf_http_problem(req->priv, 404, NULL, "the file is not there");
        return;
    }
    cf_reply_fd(req, fd, (uint64_t)st.st_size, content_type, download_name);
}

void cf_reply_header(struct cf_req *req, const char *name, const char *value)
{
    struct cf_req_priv *c = req->priv;

    if (c->n_headers == sizeof c->header / sizeof *c->header)
        return;
    (void)snprintf(c->header[c->n_headers].name, sizeof c->header[0].name, "%s", name);
    (void)snprintf(c->header[c->n_headers].value, sizeof c->header[0].value, "%s", value);
    c->n_headers++;
}

void cf_reply_list(struct cf_req *req, json_t *items, const char *next, int64_t total)
{
    cf_reply_json(req, 200, json_pack("{s:o,s:s?,s:I}", "items", cf_req_tell(req, items), "next", next, "total", (json_int_t)total));
}

void cf_http_tell(struct cf_req_priv *c, json_t *o)
{
    static const char *const told[] = {"title", "detail", "message", "reason", "error", "last_error", "result"};
    bool problem = json_object_get(o, "status") && json_object_get(o, "detail");
    cf_str lang = cf_req_header(&c->req, "Accept-Language"); /* the console names its language alone */
    struct cf_buf b;
    const char *key;
    json_t *v;
    size_t i;

    if (!cf_phrases_zh || !cf_str_starts(lang, CF_STR("zh")))
        return;
    json_array_foreach(o, i, v) cf_http_tell(c, v);
    cf_buf_init(&b, 1 << 16);
    json_object_foreach(o, key, v)
    {
        for (i = problem ? 0 : 2; i < sizeof told / sizeof *told && strcmp(key, told[i]) != 0; i++)
            ;
        if (!json_is_string(v) || i == sizeof told / sizeof *told) {
            cf_http_tell(c, v);
            continue;
        }
        cf_buf_clear(&b);
        if (cf_phrases_say(cf_phrases_zh, (cf_str){json_string_value(v), json_string_length(v)}, &b) && !b.failed)
            (void)json_string_setn(v, b.p, b.n);
    }
    cf_buf_release(&b);
}

json_t *cf_req_tell(struct cf_req *req, json_t *takes)
{
    cf_http_tell(req->priv, takes);
    return takes;
}

void cf_http_problem(struct cf_req_priv *c, int status, const char *type, const char *detail)
{
    json_t *o = json_object();
    const char *key;
    json_t *v, *d = json_stringn(detail, strlen(detail));

    if (type)
        (void)json_object_set_new(o, "type", json_sprintf("urn:chengfang:problem:%s", type));
    (void)json_object_set_new(o, "title", json_string(cf_http_status_text(status)));
    (void)json_object_set_new(o, "status", json_integer(status));
    (void)json_object_set_new(o, "detail", d ? d : json_string("(detail is not UTF-8)"));
    (void)json_object_set_new(o, "instance", json_sprintf("urn:uuid:%s", c->id));
    if (c->field_errors)
        (void)json_object_set(o, "errors", c->field_errors);
    json_object_foreach(c->extra, key, v) (void)json_object_set(o, key, v);
    cf_http_tell(c, o);
    reply_json_type(c, status, "application/problem+json", o);
    if (c->response && status == 401)
        (void)MHD_add_response_header(c->response, "WWW-Authenticate", c->req.route && (c->req.route->flags & CF_RF_BASIC) ? "Basic realm=\"API token as password\"" : "Bearer");
}

static void add_allow(struct cf_req_priv *c)
{
    char list[64] = "";
    size_t n = 0;

    for (enum cf_method m = CF_GET; m <= CF_DELETE; m++) {
        if (c->allowed & (1u << m))
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", cf_method_name(m));
    }
    (void)MHD_add_response_header(c->response, "Allow", list);
}

void cf_http_finish_headers(struct cf_req_priv *c)
{
    static const char console_csp[] = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
                                      "font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    static const char api_csp[] = "default-src 'none'; frame-ancestors 'none'; sandbox";
    struct MHD_Response *r = c->response;
    bool own_csp = false;

    for (size_t i = 0; i < c->n_headers; i++)
        own_csp |= strcmp(c->header[i].name, "Content-Security-Policy") == 0;
    if (!own_csp) /* two policies would both apply */
        (void)MHD_add_response_header(r, "Content-Security-Policy", c->static_file ? console_csp : api_csp);
    (void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(r, "X-Frame-Options", "DENY");
    (void)MHD_add_response_header(r, "Referrer-Policy", "same-origin");
    (void)MHD_add_response_header(r, "Cross-Origin-Opener-Policy", "same-origin");
    (void)MHD_add_response_header(r, "Permissions-Policy", "camera=(), microphone=(), geolocation=()");
    if (c->http->o.cert_file)
        (void)MHD_add_response_header(r, "Strict-Transport-Security", "max-age=31536000");
    if (!c->static_file)
        (void)MHD_add_response_header(r, "Cache-Control", "no-store");
    (void)MHD_add_response_header(r, "X-Request-Id", c->id);
    if (c->status == 405)
        add_allow(c);
    for (size_t i = 0; i < c->n_headers; i++)
        (void)MHD_add_response_header(r, c->header[i].name, c->header[i].value);
}
