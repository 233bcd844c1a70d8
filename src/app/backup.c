/* SPDX-License-Identifier: Apache-2.0 */
#include "app/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_CAP 4096
#define PIECE 262144

static const char *const parts[] = {"attachments", "rules", "tls", "secret.key", "chengfang.yaml", "log/audit.anchor"};

struct copy {
    const char *from, *to; /* roots */
    json_t *files;         /* of the manifest */
    struct cf_backup_result *ret;
    struct cf_error *err;
};

/* SM3 of a file in pieces. */
static int digest_file(const char *path, char hex[65], uint64_t *ret_size, struct cf_error *reterr)
{
    static _Thread_local char piece[PIECE];
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n_md = 0;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r = 0;
    ssize_t n = 0;

    *ret_size = 0;
    if (fd < 0)
        r = cf_error_errno(reterr, "%s", path);
    if (r == 0 && (!c || EVP_DigestInit_ex(c, EVP_sm3(), NULL) != 1))
        r = cf_error_set(reterr, CF_ENOMEM, "no memory for SM3");
    while (r == 0 && (n = read(fd, piece, sizeof piece)) > 0) {
        (void)EVP_DigestUpdate(c, piece, (size_t)n);
        *ret_size += (uint64_t)n;
    }
    if (r == 0 && n < 0)
        r = cf_error_errno(reterr, "%s", path);
    if (r == 0) {
        (void)EVP_DigestFinal_ex(c, md, &n_md);
        cf_hex(md, n_md, hex);
    }
    EVP_MD_CTX_free(c);
    if (fd >= 0)
        (void)close(fd);
    return r;
}

static int parent_dirs(const char *path, struct cf_error *reterr)
{
    char dir[PATH_CAP];
    char *slash;

    (void)snprintf(dir, sizeof dir, "%s", path);
    slash = strrchr(dir, '/');
    if (!slash)
        return 0;
    *slash = 0;
    return cf_mkdir_p(dir, 0700, reterr);
}

static int copy_file(const char *from, const char *to, struct cf_error *reterr)
{
    static _Thread_local char piece[PIECE];
    struct stat st;
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out = -1, r = parent_dirs(to, reterr);
    ssize_t n = 0;

    if (r == 0 && (in < 0 || fstat(in, &st) < 0))
        r = cf_error_errno(reterr, "%s", from);
    if (r == 0 && (out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 0700)) < 0)
        r = cf_error_errno(reterr, "%s", to);
    while (r == 0 && (n = read(in, piece, sizeof piece)) > 0) {
        for (ssize_t done = 0, k; r == 0 && done < n; done += k) {
            k = write(out, piece + done, (size_t)(n - done));
            if (k < 0)
                r = cf_error_errno(reterr, "writing %s", to);
        }
    }
    if (r == 0 && n < 0)
        r = cf_error_errno(reterr, "reading %s", from);
    if (r == 0 && fsync(out) < 0)
        r = cf_error_errno(reterr, "writing %s", to);
    if (in >= 0)
        (void)close(in);
    if (out >= 0)
        (void)close(out);
    return r;
}

static int list_file(struct copy *c, const char *name)
{
    char path[PATH_CAP], hex[65];
    uint64_t size;
    int r;

    (void)snprintf(path, sizeof path, "%s/%s", c->to, name);
    r = digest_file(path, hex, &size, c->err);
    if (r == 0) {
        (void)json_array_append_new(c->files, json_pack("{s:s,s:I,s:s}", "path", name, "size", (json_int_t)size, "sm3", hex));
        c->ret->files++;
        c->ret->bytes += size;
    }
    return r;
}

static int on_file(void *ctx, const char *path)
{
    struct copy *c = ctx;
    const char *name = path + strlen(c->from) + 1;
    char to[PATH_CAP];
    int r;

    (void)snprintf(to, sizeof to, "%s/%s", c->to, name);
    r = copy_file(path, to, c->err);
    return r < 0 ? r : list_file(c, name);
}

/* An online copy: consistent although the server goes on writing. */
static int copy_records(const char *from, const char *to, struct cf_error *reterr)
{
    sqlite3 *in = NULL, *out = NULL;
    sqlite3_backup *b = NULL;
    int s = sqlite3_open_v2(from, &in, SQLITE_OPEN_READONLY, NULL), r = 0;

    if (s == SQLITE_OK)
        s = sqlite3_open_v2(to, &out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (s == SQLITE_OK && !(b = sqlite3_backup_init(out, "main", in, "main")))
        s = sqlite3_errcode(out);
    if (s == SQLITE_OK) {
        (void)sqlite3_busy_timeout(in, 10000);
        do
            s = sqlite3_backup_step(b, -1);
        while (s == SQLITE_BUSY || s == SQLITE_LOCKED);
        s = s == SQLITE_DONE ? sqlite3_backup_finish(b) : (sqlite3_backup_finish(b), s);
    }
    if (s != SQLITE_OK)
        r = cf_error_set(reterr, CF_EDB, "copying %s: %s", from, sqlite3_errstr(s));
    (void)sqlite3_close(in);
    if (r == 0 && sqlite3_exec(out, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL) != SQLITE_OK)
        r = cf_error_set(reterr, CF_EDB, "%s: %s", to, sqlite3_errmsg(out));
    (void)sqlite3_close(out);
    return r;
}

static int empty_dir(const char *path, struct cf_error *reterr)
{
    DIR *d;
    struct dirent *e;
    bool empty = true;
    int r = cf_mkdir_p(path, 0700, reterr);

    if (r < 0)
        return r;
    d = opendir(path);
    if (!d)
        return cf_error_errno(reterr, "%s", path);
    while ((e = readdir(d)))
        empty = empty && e->d_name[0] == '.' && (e->d_name[1] == 0 || strcmp(e->d_name, "..") == 0);
    (void)closedir(d);
    return empty ? 0 : cf_error_set(reterr, CF_EEXIST, "%s is not empty: choose a new folder", path);
}

static int write_manifest(struct copy *c)
{
    char path[PATH_CAP], t[32];
    json_t *m = json_pack("{s:s,s:s,s:O}", "version", CF_VERSION, "made_at", "", "files", c->files);
    char *text;
    int r;

    (void)json_object_set_new(m, "made_at", json_stringn(t, cf_time_format(cf_now_us(), t)));
    text = json_dumps(m, JSON_INDENT(1));
    json_decref(m);
    (void)snprintf(path, sizeof path, "%s/manifest.json", c->to);
    r = text ? cf_file_write_durable(path, cf_str_c(text), 0600, c->err) : cf_error_set(c->err, CF_ENOMEM, "no memory for the manifest");
    free(text);
    return r;
}

int cf_backup_make(const char *data_dir, const char *to, struct cf_backup_result *ret, struct cf_error *reterr)
{
    struct copy c = {.from = data_dir, .to = to, .files = json_array(), .ret = ret, .err = reterr};
    char from[PATH_CAP], dest[PATH_CAP];
    int r;

    *ret = (struct cf_backup_result){0};
    (void)snprintf(from, sizeof from, "%s/records.db", data_dir);
    (void)snprintf(dest, sizeof dest, "%s/records.db", to);
    r = access(from, R_OK) == 0 ? empty_dir(to, reterr)
                                : cf_error_set(reterr, CF_ENOENT, "%s is not there: with PostgreSQL use its own backup (pg_dump), otherwise check the data directory", from);
    /* attachments first: a record copied later may only name files that are in the backup already or are newer than it */
    for (size_t i = 0; r == 0 && i < sizeof parts / sizeof *parts; i++) {
        (void)snprintf(from, sizeof from, "%s/%s", data_dir, parts[i]);
        if (access(from, F_OK) == 0)
            r = cf_walk(from, "", on_file, &c, reterr);
    }
    (void)snprintf(from, sizeof from, "%s/records.db", data_dir);
    if (r == 0)
        r = copy_records(from, dest, reterr);
    if (r == 0)
        r = list_file(&c, "records.db");
    if (r == 0)
        r = write_manifest(&c);
    json_decref(c.files);
    return r;
}

static bool plain_name(const char *p) { return p[0] && p[0] != '/' && !strstr(p, "..") && strlen(p) < 1000; }

static json_t *read_manifest(const char *from, struct cf_error *reterr)
{
    char path[PATH_CAP];
    struct cf_buf b;
    json_t *m = NULL;

    cf_buf_init(&b, 256 << 20);
    (void)snprintf(path, sizeof path, "%s/manifest.json", from);
    if (cf_file_read(path, &b, reterr) == 0) {
        m = json_loadb(b.p, b.n, 0, NULL);
        if (!json_is_array(json_object_get(m, "files"))) {
            json_decref(m);
            m = NULL;
            (void)cf_error_set(reterr, CF_ECORRUPT, "%s is damaged", path);
        }
    }
    cf_buf_release(&b);
    return m;
}

static int check_file(const char *from, const json_t *f, struct cf_backup_result *ret, struct cf_error *reterr)
{
    const char *name = json_string_value(json_object_get(f, "path")), *want = json_string_value(json_object_get(f, "sm3"));
    char path[PATH_CAP], hex[65];
    uint64_t size;
    int r;

    if (!name || !want || !plain_name(name))
        return cf_error_set(reterr, CF_ECORRUPT, "%s/manifest.json names a file that no backup has", from);
    (void)snprintf(path, sizeof path, "%s/%s", from, name);
    r = digest_file(path, hex, &size, reterr);
    if (r == 0 && (strcmp(hex, want) != 0 || (json_int_t)size != json_integer_value(json_object_get(f, "size"))))
        r = cf_error_set(reterr, CF_ECORRUPT, "%s differs from the manifest", path);
    if (r == 0) {
        ret->files++;
        ret->bytes += size;
    }
    return r;
}

int cf_backup_verify(const char *from, struct cf_backup_result *ret, struct cf_error *reterr)
{
    json_t *m = read_manifest(from, reterr), *f;
    size_t i;
    int r = 0;

    *ret = (struct cf_backup_result){0};
    if (!m)
        return reterr->code;
    json_array_foreach(json_object_get(m, "files"), i, f)
    {
        r = check_file(from, f, ret, reterr);
        if (r < 0)
            break;
    }
    json_decref(m);
    return r;
}

int cf_backup_restore(const char *from, const char *data_dir, struct cf_backup_result *ret, struct cf_error *reterr)
{
    char a[PATH_CAP], b[PATH_CAP];
    json_t *m, *f;
    size_t i;
    int r = cf_backup_verify(from, ret, reterr);

    if (r == 0)
        r = empty_dir(data_dir, reterr);
    if (r < 0)
        return r;
    m = read_manifest(from, reterr);
    if (!m)
        return reterr->code;
    json_array_foreach(json_object_get(m, "files"), i, f)
    {
        const char *name = json_string_value(json_object_get(f, "path"));

        (void)snprintf(a, sizeof a, "%s/%s", from, name);
        (void)snprintf(b, sizeof b, "%s/%s", data_dir, name);
        if (r == 0)
            r = copy_file(a, b, reterr);
    }
    json_decref(m);
    return r == 0 ? cf_fsync_dir(data_dir, reterr) : r;
}
