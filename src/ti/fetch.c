/* SPDX-License-Identifier: Apache-2.0
 * Sources fetched on schedule: lists, CSV and STIX over HTTP(S), MISP feeds, TAXII 2.1 collections. Secrets are opened for the
 * request only and never logged. TI-003, TI-005.
 *
 *   all pages, events or the file ─► file without a name ─► import like any other: all or nothing ─► the position moves
 *
 * So a server that breaks off, or a page that is none, changes nothing; the next run asks again from the old position. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "directory/password.h"
#include "ti/ti_int.h"

#define PAGES_MAX 10000
#define MISP_EVENTS_MAX 5000u

struct fetch {
    struct cf_ti *ti;
    struct ti_source source;
    char url[2048], user[200], secret[600], position[200], format[20], columns[2048], type[20];
    char *ca;               /* PEM that signs the server, NULL: the system's */
    int fd;                 /* what was fetched; a body goes here ... */
    struct cf_buf *body;    /* ... or here */
    struct cf_error *err;
    int code;               /* of writing */
    int64_t bytes, items;   /* in the file */
    bool docs;              /* one MISP document a line */
    char date_last[64];     /* X-TAXII-Date-Added-Last */
};

/* ---- HTTP ------------------------------------------------------------------------------------------------------------------- */

static int keep(struct fetch *f, cf_str piece, struct cf_error *reterr)
{
    f->bytes += (int64_t)piece.n;
    if (f->bytes > TI_IMPORT_BYTES_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "the source gives more than %lld MiB at once", (long long)(TI_IMPORT_BYTES_MAX >> 20));
    while (piece.n) {
        ssize_t k = write(f->fd, piece.p, piece.n);

        if (k < 0)
            return cf_error_errno(reterr, "keeping what is fetched");
        piece = cf_str_sub(piece, (size_t)k, piece.n);
    }
    return 0;
}

static int keep_json(struct fetch *f, const char *before, const json_t *j, const char *after, struct cf_error *reterr)
{
    char *text = json_dumps(j, JSON_COMPACT);
    int r = text ? keep(f, cf_str_c(before), reterr) : cf_error_set(reterr, CF_ENOMEM, "fetch");

    if (r == 0)
        r = keep(f, cf_str_c(text), reterr);
    if (r == 0)
        r = keep(f, cf_str_c(after), reterr);
    free(text);
    f->items++;
    return r;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct fetch *f = ctx;

    n *= size;
    if (atomic_load(&f->ti->ending))
        return 0;
    if (f->body) {
        cf_buf_add(f->body, p, n);
        return f->body->failed ? 0 : n;
    }
    f->code = keep(f, cf_str_n(p, n), f->err);
    return f->code < 0 ? 0 : n;
}

static int on_progress(void *ctx, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
    struct fetch *f = ctx;

    (void)dltotal, (void)dlnow, (void)ultotal, (void)ulnow;
    return atomic_load(&f->ti->ending) ? 1 : 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct fetch *f = ctx;
    cf_str line = cf_str_n(p, size * n), name;

    if (cf_str_istarts(line, CF_STR("x-taxii-date-added-last:"))) {
        (void)cf_str_cut(&line, ':', &name);
        (void)snprintf(f->date_last, sizeof f->date_last, "%.*s", CF_ARG(cf_str_trim(line)));
    }
    return size * n;
}

static void set_options(struct fetch *f, CURL *c, const char *url, char errbuf[CURL_ERROR_SIZE])
{
    (void)curl_easy_setopt(c, CURLOPT_URL, url);
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, f->secret[0] ? 0L : 1L); /* a secret goes to its own server only */
    (void)curl_easy_setopt(c, CURLOPT_MAXREDIRS, 3L);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, 15000L);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 100L);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 60L);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 1800000L);
    (void)curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)TI_IMPORT_BYTES_MAX);
    (void)curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
    (void)curl_easy_setopt(c, CURLOPT_USERAGENT, "chengfang/" CF_VERSION);
    (void)curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, errbuf);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
    (void)curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L); /* a server that is silent does not hold up ours */
    (void)curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(c, CURLOPT_XFERINFODATA, f);
    (void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(c, CURLOPT_HEADERDATA, f);
    if (f->ca) {
        struct curl_blob pem = {.data = f->ca, .len = strlen(f->ca), .flags = CURL_BLOB_COPY};

        (void)curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &pem);
    }
    if (f->secret[0] && f->user[0]) {
        (void)curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        (void)curl_easy_setopt(c, CURLOPT_USERNAME, f->user);
        (void)curl_easy_setopt(c, CURLOPT_PASSWORD, f->secret);
    }
}

static int get(struct fetch *f, const char *url, const char *accept, struct cf_error *reterr)
{
    char errbuf[CURL_ERROR_SIZE] = "", line[800];
    struct curl_slist *head = NULL;
    CURL *c = curl_easy_init();
    CURLcode rc;
    int r = 0;

    if (!c)
        return cf_error_set(reterr, CF_ENOMEM, "HTTP client");
    f->err = reterr;
    f->code = 0;
    set_options(f, c, url, errbuf);
    if (accept) {
        (void)snprintf(line, sizeof line, "Accept: %s", accept);
        head = curl_slist_append(head, line);
    }
    if (f->secret[0] && !f->user[0]) {
        (void)snprintf(line, sizeof line, "Authorization: Bearer %s", f->secret);
        head = curl_slist_append(head, line);
    }
    (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, head);
    rc = curl_easy_perform(c);
    if (f->code < 0)
        r = f->code;
    else if (rc != CURLE_OK)
        r = cf_error_set(reterr, atomic_load(&f->ti->ending) ? CF_ECANCELLED : CF_EIO, "%s", f->body && f->body->failed ? "the answer is too large" : errbuf[0] ? errbuf : curl_easy_strerror(rc));
    curl_slist_free_all(head);
    curl_easy_cleanup(c);
    explicit_bzero(line, sizeof line);
    return r;
}

static void put(char *out, size_t cap, cf_str s) { (void)snprintf(out, cap, "%.*s", CF_ARG(s)); }

/* ---- kinds --------------------------------------------------------------------------------------------------------------------- */

static int fetch_file(struct fetch *f, struct cf_error *reterr)
{
    int r = get(f, f->url, NULL, reterr);

    f->items = f->bytes;
    return r;
}

static int get_json(struct fetch *f, const char *url, const char *accept, json_t **ret, struct cf_error *reterr)
{
    struct cf_buf b;
    json_error_t je;
    int r;

    cf_buf_init(&b, TI_DOC_BYTES_MAX);
    f->body = &b;
    r = get(f, url, accept, reterr);
    f->body = NULL;
    if (r == 0 && !(*ret = json_loadb(b.p ? b.p : "", b.n, 0, &je)))
        r = cf_error_set(reterr, CF_ESYNTAX, "the answer is not JSON: line %d: %.60s", je.line, je.text);
    cf_buf_release(&b);
    return r;
}

/* manifest.json names the events; those with a time after the position are fetched. */
static int fetch_misp(struct fetch *f, struct cf_error *reterr)
{
    json_t *manifest = NULL, *doc;
    const json_t *one;
    const char *uuid;
    char url[2200];
    int64_t from = 0, newest;
    size_t n = strlen(f->url), taken = 0;
    int r;

    (void)cf_str_i64(cf_str_c(f->position), &from);
    newest = from;
    if (n && f->url[n - 1] == '/')
        f->url[n - 1] = 0;
    (void)snprintf(url, sizeof url, "%s/manifest.json", f->url);
    r = get_json(f, url, "application/json", &manifest, reterr);
    if (r == 0 && !json_is_object(manifest))
        r = cf_error_set(reterr, CF_ESYNTAX, "manifest.json is not an object");
    json_object_foreach(manifest, uuid, one)
    {
        const json_t *t = json_object_get(one, "timestamp");
        int64_t at = json_is_integer(t) ? json_integer_value(t) : 0;

        if (json_is_string(t))
            (void)cf_str_i64(cf_str_c(json_string_value(t)), &at);
        if (r < 0 || at <= from || strlen(uuid) > 60 || strpbrk(uuid, "/?#%.."))
            continue;
        if (taken++ == MISP_EVENTS_MAX)
            break;
        (void)snprintf(url, sizeof url, "%s/%s.json", f->url, uuid);
        doc = NULL;
        r = get_json(f, url, "application/json", &doc, reterr);
        if (r == 0)
            r = keep_json(f, "", doc, "\n", reterr);
        json_decref(doc);
        if (at > newest)
            newest = at;
    }
    json_decref(manifest);
    f->docs = true;
    if (r == 0)
        (void)snprintf(f->position, sizeof f->position, "%lld", (long long)newest);
    return r;
}

static int taxii_page(struct fetch *f, const char *next, json_t **ret, struct cf_error *reterr)
{
    char url[3000];
    size_t n = strlen(f->url);
    char *after = curl_easy_escape(NULL, f->position, 0), *cursor = next ? curl_easy_escape(NULL, next, 0) : NULL;
    int r;

    (void)snprintf(url, sizeof url, "%s%sobjects/?limit=500%s%s%s%s", f->url, n && f->url[n - 1] == '/' ? "" : "/", f->position[0] ? "&added_after=" : "", f->position[0] ? after : "",
                   cursor ? "&next=" : "", cursor ? cursor : "");
    curl_free(after);
    curl_free(cursor);
    r = get_json(f, url, "application/taxii+json;version=2.1", ret, reterr);
    return r;
}

/* The collection's objects after the last position, page by page; the position moves when all of it is written. */
static int fetch_taxii(struct fetch *f, struct cf_error *reterr)
{
    char next[600] = "";
    bool more = true;
    int r = keep(f, CF_STR("{\"type\":\"bundle\",\"objects\":["), reterr);

    for (int page = 0; r == 0 && more && page < PAGES_MAX; page++) {
        json_t *doc = NULL;
        const json_t *o;
        size_t i;

        r = taxii_page(f, next[0] ? next : NULL, &doc, reterr);
        json_array_foreach(json_object_get(doc, "objects"), i, o)
        {
            if (r == 0)
                r = keep_json(f, f->items ? ",\n" : "", o, "", reterr);
        }
        more = json_is_true(json_object_get(doc, "more"));
        (void)snprintf(next, sizeof next, "%s", json_string_value(json_object_get(doc, "next")) ? json_string_value(json_object_get(doc, "next")) : "");
        if (more && !next[0])
            r = r < 0 ? r : cf_error_set(reterr, CF_EIO, "the server says there is more and names no next page");
        json_decref(doc);
    }
    if (r == 0)
        r = keep(f, CF_STR("]}"), reterr);
    put(f->format, sizeof f->format, CF_STR("stix"));
    if (r == 0 && f->date_last[0])
        (void)snprintf(f->position, sizeof f->position, "%s", f->date_last);
    return r;
}

/* ---- one source ------------------------------------------------------------------------------------------------------------------ */

static int open_secret(struct fetch *f, cf_str sealed, struct cf_error *reterr)
{
    struct cf_secret_key key;
    size_t n = sealed.n / 2;
    int r;

    if (!sealed.n)
        return 0;
    if (n < 28 || n - 28 >= sizeof f->secret)
        return cf_error_set(reterr, CF_EINVAL, "the stored secret is damaged");
    r = cf_secret_key_load(f->ti->key_file, &key, reterr);
    if (r == 0 && !cf_secret_open(&key, sealed, (uint8_t *)f->secret, n - 28))
        r = cf_error_set(reterr, CF_EINVAL, "the stored secret cannot be opened with this server's key: enter it again");
    f->secret[n - 28] = 0;
    explicit_bzero(&key, sizeof key);
    return r;
}

static int read_source(struct fetch *f, cf_str id, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    json_t *o = NULL;
    const char *s;
    int r = ti_source_read(f->ti->o.db, id, &f->source, reterr);

    if (r == 0)
        r = cf_tx_begin(f->ti->o.db, CF_TX_READ, &tx, reterr);
    if (r == 0)
        r = cf_tx_query(tx, "SELECT url, user_name, secret, position, options FROM ti_source WHERE id = ?", &st, reterr, CF_Z(f->source.id));
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        put(f->url, sizeof f->url, cf_stmt_str(st, 0));
        put(f->user, sizeof f->user, cf_stmt_str(st, 1));
        put(f->position, sizeof f->position, cf_stmt_str(st, 3));
        o = cf_stmt_str(st, 4).n ? json_loadb(cf_stmt_str(st, 4).p, cf_stmt_str(st, 4).n, 0, NULL) : NULL;
        r = open_secret(f, cf_stmt_str(st, 2).p ? cf_stmt_str(st, 2) : CF_STR(""), reterr);
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if ((s = json_string_value(json_object_get(o, "format"))))
        put(f->format, sizeof f->format, cf_str_c(s));
    if ((s = json_string_value(json_object_get(o, "columns"))))
        put(f->columns, sizeof f->columns, cf_str_c(s));
    if ((s = json_string_value(json_object_get(o, "type"))))
        put(f->type, sizeof f->type, cf_str_c(s));
    if ((s = json_string_value(json_object_get(o, "ca_pem"))))
        f->ca = strdup(s);
    json_decref(o);
    if (r == 0 && !f->url[0])
        r = cf_error_set(reterr, CF_EINVAL, "the source has no address to fetch from");
    return r;
}

static void note(struct fetch *f, int r, const struct cf_error *err, const json_t *report)
{
    char *text = report ? json_dumps(report, JSON_COMPACT) : NULL;
    int64_t now = cf_now_us();
    struct cf_tx *tx = NULL;

    if (cf_tx_begin(f->ti->o.db, CF_TX_WRITE, &tx, NULL) == 0 &&
        cf_tx_exec(tx,
                   "UPDATE ti_source SET last_run_us = ?, last_ok_us = CASE WHEN ? = 0 THEN ? ELSE last_ok_us END, last_error = ?, last_result = COALESCE(?, last_result), position = ?,"
                   " next_run_us = CASE WHEN schedule_s > 0 THEN ? + schedule_s * 1000000 ELSE NULL END WHERE id = ?",
                   NULL, CF_I(now), CF_I(r < 0), CF_I(now), CF_Z(r < 0 ? err->msg : NULL), CF_Z(text), CF_Z(f->position), CF_I(now), CF_Z(f->source.id)) == 0)
        (void)cf_tx_commit(&tx, NULL);
    cf_tx_rollback(&tx);
    free(text);
}

/* What was fetched goes into the library when no other import is there. */
static int take_in(struct fetch *f, json_t **ret_report, struct cf_error *reterr)
{
    struct ti_job_new n = {.name = cf_str_c(f->source.name), .source = cf_str_c(f->source.id), .org = cf_str_c(f->source.org), .bytes = f->bytes, .fetched = true, .docs = f->docs, .fd = f->fd,
                           .o = {.format = cf_str_c(f->format), .type = CF_TI_ANY, .columns = cf_str_c(f->columns)}};
    struct ti_job *j = NULL;
    int r = CF_ECONFLICT;

    (void)cf_ti_type_parse(cf_str_c(f->type), &n.o.type);
    while (r == CF_ECONFLICT) { /* another may be quicker */
        r = ti_job_wait_place(f->ti, reterr);
        if (r == 0)
            r = ti_job_begin(f->ti, f->ti->data_dir, &n, &j, reterr);
    }
    return r == 0 ? ti_job_run(j, ret_report, reterr) : r;
}

static json_t *nothing_new(void)
{
    return json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "read", 0, "new", 0, "updated", 0, "bad", 0, "conflicts", 0, "unmatchable", 0, "objects", 0);
}

static int fetch(struct fetch *f, json_t **ret_report, struct cf_error *reterr)
{
    int r = ti_temp_file(f->ti->data_dir, true, &f->fd, reterr);

    if (r == 0)
        r = strcmp(f->source.kind, "taxii") == 0 ? fetch_taxii(f, reterr) : strcmp(f->source.kind, "misp_feed") == 0 ? fetch_misp(f, reterr) : fetch_file(f, reterr);
    if (r < 0)
        return r;
    if (f->items == 0 && strcmp(f->source.kind, "file") != 0) {
        *ret_report = nothing_new();
        return 0;
    }
    return take_in(f, ret_report, reterr);
}

int ti_fetch_one(struct cf_ti *ti, cf_str source_id, json_t **ret_report, struct cf_error *reterr)
{
    struct fetch *f = calloc(1, sizeof *f);
    json_t *report = NULL;
    char before[200];
    int r;

    if (!f)
        return cf_error_set(reterr, CF_ENOMEM, "fetch");
    f->ti = ti;
    f->fd = -1;
    r = read_source(f, source_id, reterr);
    memcpy(before, f->position, sizeof before);
    if (r == 0)
        r = fetch(f, &report, reterr);
    if (r < 0)
        memcpy(f->position, before, sizeof before);
    if (f->source.id[0] && !(r < 0 && atomic_load(&ti->ending))) /* else it stays due: the next start fetches it */
        note(f, r, reterr, report);
    if (ret_report && r == 0)
        *ret_report = report;
    else
        json_decref(report);
    if (f->fd >= 0)
        (void)close(f->fd);
    free(f->ca);
    explicit_bzero(f->secret, sizeof f->secret);
    free(f);
    return r;
}

int ti_fetch_due(struct cf_ti *ti)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    struct cf_error err = {0};
    char id[40] = "";
    int r;

    if (cf_tx_begin(ti->o.db, CF_TX_READ, &tx, NULL) < 0)
        return 0;
    if (cf_tx_query(tx, "SELECT id FROM ti_source WHERE paused = 0 AND url IS NOT NULL AND next_run_us IS NOT NULL AND next_run_us <= ? ORDER BY next_run_us LIMIT 1", &st, NULL,
                    CF_I(cf_now_us())) == 0 &&
        cf_stmt_next(st, NULL) == 1)
        put(id, sizeof id, cf_stmt_str(st, 0));
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (!id[0])
        return 0;
    r = ti_fetch_one(ti, cf_str_c(id), NULL, &err);
    if (r < 0)
        cf_log_warn("ti", "a source was not fetched", "source=%s reason=\"%s\"", id, err.msg);
    return 1;
}
