/* SPDX-License-Identifier: Apache-2.0
 * The built console: all files of one folder, held in memory with a gzip form and an ETag, loaded again when index.html
 * changes. A request path is only ever looked up in this table, so no path leaves the folder. A path without a
 * file name extension that is not there gets index.html (the console's own router takes over). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zlib.h>

#include "api/http_int.h"

#define FILE_MAX_BYTES ((size_t)32 << 20)
#define FILES_MAX 2000

struct file {
    char *path; /* "/assets/x.js" */
    const char *type;
    char *p, *gz;
    size_t n, gz_n;
    char etag[24];
    bool immutable; /* the name carries a hash of the content */
};
struct cf_static {
    char *dir; /* NULL: no console */
    pthread_rwlock_t lock;
    struct file *files;
    size_t n;
    struct timespec mtime;
};

static const char *type_of(const char *path)
{
    static const char *const t[][2] = {
        {".html", "text/html; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"}, {".css", "text/css; charset=utf-8"},
        {".json", "application/json; charset=utf-8"}, {".svg", "image/svg+xml"}, {".png", "image/png"}, {".jpg", "image/jpeg"},
        {".webp", "image/webp"}, {".ico", "image/x-icon"}, {".woff2", "font/woff2"}, {".woff", "font/woff"}, {".txt", "text/plain; charset=utf-8"},
        {".map", "application/json"}, {".wasm", "application/wasm"}, {".webmanifest", "application/manifest+json"},
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        if (cf_str_iends(cf_str_c(path), cf_str_c(t[i][0])))
            return t[i][1];
    }
    return "application/octet-stream";
}

static char *deflate_best(const char *p, size_t n, size_t *ret_n)
{
    z_stream z = {0};
    char *out;
    union {
        const char *c;
        Bytef *b;
    } u = {.c = p};

    if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    *ret_n = deflateBound(&z, (uLong)n);
    out = malloc(*ret_n);
    z.next_in = u.b;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)*ret_n;
    if (!out || deflate(&z, Z_FINISH) != Z_STREAM_END || z.total_out > n - n / 10) {
        free(out);
        out = NULL;
    }
    *ret_n = z.total_out;
    (void)deflateEnd(&z);
    return out;
}

static int add_file(void *ctx, const char *path)
{
    struct cf_static *s = ctx;
    struct file *f;
    struct cf_buf b;
    struct cf_error err;

    if (s->n == FILES_MAX)
        return 0;
    cf_buf_init(&b, FILE_MAX_BYTES);
    if (cf_file_read(path, &b, &err) < 0) {
        cf_log_warn("http", "console file left out", "file=\"%s\" why=\"%s\"", path, err.msg);
        cf_buf_release(&b);
        return 0;
    }
    f = &s->files[s->n];
    memset(f, 0, sizeof *f);
    f->path = strdup(path + strlen(s->dir));
    if (!f->path) {
        cf_buf_release(&b);
        return 0;
    }
    f->type = type_of(path);
    f->p = b.p;
    f->n = b.n;
    (void)snprintf(f->etag, sizeof f->etag, "\"%016llx\"", (unsigned long long)cf_hash64(cf_buf_view(&b)));
    f->immutable = strncmp(f->path, "/assets/", 8) == 0;
    if (f->n > 1000 && (strncmp(f->type, "text/", 5) == 0 || strncmp(f->type, "application/json", 16) == 0 || strstr(f->type, "svg") || strstr(f->type, "wasm")))
        f->gz = deflate_best(f->p, f->n, &f->gz_n);
    s->n++;
    return 0;
}

static void drop_files(struct cf_static *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->files[i].path);
        free(s->files[i].p);
        free(s->files[i].gz);
    }
    s->n = 0;
}

static bool index_time(const struct cf_static *s, struct timespec *ret)
{
    char path[4096];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/index.html", s->dir);
    if (stat(path, &st) < 0)
        return false;
    *ret = st.st_mtim;
    return true;
}

/* Loads the folder when it was never loaded or index.html is another one now. */
static void refresh(struct cf_static *s)
{
    struct timespec t;
    struct cf_error err;
    bool same;

    if (!s->dir || !index_time(s, &t))
        return;
    (void)pthread_rwlock_rdlock(&s->lock);
    same = s->n && t.tv_sec == s->mtime.tv_sec && t.tv_nsec == s->mtime.tv_nsec;
    (void)pthread_rwlock_unlock(&s->lock);
    if (same)
        return;
    (void)pthread_rwlock_wrlock(&s->lock);
    if (!s->n || t.tv_sec != s->mtime.tv_sec || t.tv_nsec != s->mtime.tv_nsec) {
        drop_files(s);
        (void)cf_walk(s->dir, "", add_file, s, &err);
        s->mtime = t;
    }
    (void)pthread_rwlock_unlock(&s->lock);
}

struct cf_static *cf_static_open(const char *dir)
{
    struct cf_static *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    (void)pthread_rwlock_init(&s->lock, NULL);
    s->files = calloc(FILES_MAX, sizeof *s->files);
    s->dir = dir ? strdup(dir) : NULL;
    if (!s->files || (dir && !s->dir)) {
        cf_static_free(s);
        return NULL;
    }
    refresh(s);
    return s;
}

void cf_static_free(struct cf_static *s)
{
    if (!s)
        return;
    drop_files(s);
    free(s->files);
    free(s->dir);
    (void)pthread_rwlock_destroy(&s->lock);
    free(s);
}

static const struct file *find(const struct cf_static *s, const char *path)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->files[i].path, path) == 0)
            return &s->files[i];
    }
    return NULL;
}

static void send_file(struct cf_req_priv *c, const struct file *f)
{
    cf_str have = cf_req_header(&c->req, "If-None-Match"), ae = cf_req_header(&c->req, "Accept-Encoding");
    bool gz = f->gz && ae.p && cf_str_ifind(ae, CF_STR("gzip")) >= 0;

    if (have.p && cf_str_eqz(have, f->etag))
        cf_http_reply_static(c, 304, NULL, "", 0);
    else
        cf_http_reply_static(c, 200, f->type, gz ? f->gz : f->p, gz ? f->gz_n : f->n);
    if (gz && c->status == 200)
        cf_reply_header(&c->req, "Content-Encoding", "gzip");
    cf_reply_header(&c->req, "ETag", f->etag);
    cf_reply_header(&c->req, "Vary", "Accept-Encoding");
    cf_reply_header(&c->req, "Cache-Control", f->immutable ? "public, max-age=31536000, immutable" : "no-cache");
}

void cf_static_reply(struct cf_static *s, struct cf_req_priv *c)
{
    static const char no_console[] = "<!doctype html><meta charset=utf-8><title>Chengfang</title><p>The console is not built. The API answers at "
                                     "<a href=/api/openapi.json>/api/openapi.json</a>.";
    const char *path = strcmp(c->path, "/") == 0 ? "/index.html" : c->path, *last;
    const struct file *f;

    refresh(s);
    (void)pthread_rwlock_rdlock(&s->lock);
    f = find(s, path);
    last = strrchr(path, '/');
    if (!f && last && !strchr(last, '.') && !strstr(path, ".."))
        f = find(s, "/index.html");
    if (f)
        send_file(c, f);
    else if (!s->n && strcmp(c->path, "/") == 0)
        cf_http_reply_static(c, 200, "text/html; charset=utf-8", no_console, sizeof no_console - 1);
    else
        cf_http_problem(c, 404, NULL, "no such page");
    (void)pthread_rwlock_unlock(&s->lock);
}
