/* SPDX-License-Identifier: Apache-2.0
 * E-mail and webhook through libcurl. Secrets are read from their files when needed and never logged. */
#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <time.h>

#include "message/message_int.h"

static void base64(struct cf_buf *out, cf_str in, bool lines)
{
    unsigned char block[77];

    for (size_t at = 0; at < in.n;) {
        size_t n = in.n - at > 57 ? 57 : in.n - at;
        int len = EVP_EncodeBlock(block, (const unsigned char *)in.p + at, (int)n);

        cf_buf_add(out, block, (size_t)len);
        if (lines)
            cf_buf_z(out, "\r\n");
        at += n;
    }
}

/* Encoded words of at most 75 characters, never cutting a UTF-8 character (RFC 2047). */
static void subject_header(struct cf_buf *out, cf_str s)
{
    size_t at = 0;

    cf_buf_z(out, "Subject:");
    while (at < s.n) {
        size_t n = s.n - at > 42 ? 42 : s.n - at;

        while (at + n < s.n && n > 1 && ((unsigned char)s.p[at + n] & 0xc0u) == 0x80u)
            n--;
        cf_buf_z(out, at ? "\r\n =?UTF-8?B?" : " =?UTF-8?B?");
        base64(out, cf_str_sub(s, at, n), false);
        cf_buf_z(out, "?=");
        at += n;
    }
    cf_buf_z(out, "\r\n");
}

static void address(struct cf_buf *out, const char *header, cf_str v)
{
    cf_buf_z(out, header);
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] >= ' ' && v.p[i] != 127)
            cf_buf_byte(out, v.p[i]);
    cf_buf_z(out, "\r\n");
}

void cf_mail_compose(cf_str from, cf_str to, cf_str subject, cf_str body, int64_t now_us, cf_str message_id, struct cf_buf *out)
{
    time_t t = (time_t)(now_us / CF_US_PER_S);
    struct tm tm;
    char date[64];

    (void)gmtime_r(&t, &tm);
    (void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm);
    cf_buf_printf(out, "Date: %s\r\n", date);
    address(out, "From: ", from);
    address(out, "To: ", to);
    subject_header(out, subject);
    cf_buf_printf(out, "Message-ID: <%.*s@chengfang>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n", CF_ARG(message_id));
    cf_buf_z(out, "Content-Transfer-Encoding: base64\r\n\r\n");
    base64(out, body, true);
}

bool cf_webhook_sign(cf_str secret, int64_t timestamp_ms, char out[64])
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    struct cf_buf b;
    bool ok;

    cf_buf_init(&b, 4096);
    cf_buf_printf(&b, "%lld\n%.*s", (long long)timestamp_ms, CF_ARG(secret));
    ok = !b.failed && HMAC(EVP_sha256(), secret.p, (int)secret.n, (const unsigned char *)b.p, b.n, mac, &n) != NULL;
    if (ok)
        (void)EVP_EncodeBlock((unsigned char *)out, mac, (int)n);
    cf_buf_release(&b);
    return ok;
}

struct upload {
    cf_str rest;
};
static size_t read_cb(char *p, size_t size, size_t n, void *ctx)
{
    struct upload *u = ctx;
    size_t take = size * n < u->rest.n ? size * n : u->rest.n;

    if (take)
        memcpy(p, u->rest.p, take);
    u->rest = cf_str_sub(u->rest, take, u->rest.n);
    return take;
}
static size_t write_cb(char *p, size_t size, size_t n, void *ctx)
{
    cf_buf_add(ctx, p, size * n); /* beyond the maximum: ignored, the answer is refused below */
    return size * n;
}

static CURL *handle(cf_str url, const char *protocols, struct cf_arena *a, char errbuf[CURL_ERROR_SIZE])
{
    CURL *c = curl_easy_init();

    if (!c)
        return NULL;
    errbuf[0] = 0;
    (void)curl_easy_setopt(c, CURLOPT_URL, cf_arena_strdup(a, url));
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, protocols);
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 30000L);
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, errbuf);
    return c;
}

static int secret(cf_str path, struct cf_arena *a, cf_str *ret, struct cf_error *err)
{
    struct cf_buf b;
    int r;

    cf_buf_init(&b, 4096);
    r = cf_file_read(cf_arena_strdup(a, path), &b, err);
    if (r == 0)
        *ret = cf_arena_copy(a, cf_str_trim(cf_buf_view(&b)));
    cf_buf_release(&b);
    return r;
}

static int mail_options(const struct cf_messenger *m, CURL *c, struct cf_arena *a, struct cf_error *err)
{
    cf_str pass = CF_STR_NONE;
    long tls = cf_str_eqz(m->o.smtp_tls, "require") ? CURLUSESSL_ALL : cf_str_eqz(m->o.smtp_tls, "none") ? CURLUSESSL_NONE : CURLUSESSL_TRY;
    int r;

    (void)curl_easy_setopt(c, CURLOPT_USE_SSL, tls);
    if (m->o.smtp_ca_file.n)
        (void)curl_easy_setopt(c, CURLOPT_CAINFO, cf_arena_strdup(a, m->o.smtp_ca_file));
    if (m->o.smtp_user.n) {
        (void)curl_easy_setopt(c, CURLOPT_USERNAME, cf_arena_strdup(a, m->o.smtp_user));
        if (m->o.smtp_password_file.n) {
            r = secret(m->o.smtp_password_file, a, &pass, err);
            if (r < 0)
                return r;
            (void)curl_easy_setopt(c, CURLOPT_PASSWORD, cf_arena_strdup(a, pass));
        }
    }
    return 0;
}

int msg_send_mail(const struct cf_messenger *m, const struct msg_out *o, struct cf_error *reterr)
{
    struct curl_slist *to = NULL;
    char errbuf[CURL_ERROR_SIZE];
    struct cf_buf mail;
    struct cf_arena a;
    struct upload up;
    CURLcode rc;
    CURL *c;
    int r;

    cf_arena_init(&a, 0, 0);
    cf_buf_init(&mail, (size_t)1 << 20);
    c = handle(m->o.smtp_url, "smtp,smtps", &a, errbuf);
    r = c ? mail_options(m, c, &a, reterr) : cf_error_set(reterr, CF_ENOMEM, "out of memory");
    if (r == 0) {
        cf_mail_compose(m->o.smtp_from, o->target, o->subject, o->body, cf_now_us(), o->id, &mail);
        up.rest = cf_buf_view(&mail);
        to = curl_slist_append(NULL, cf_arena_strdup(&a, o->target));
        (void)curl_easy_setopt(c, CURLOPT_MAIL_FROM, cf_arena_strdup(&a, m->o.smtp_from));
        (void)curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to);
        (void)curl_easy_setopt(c, CURLOPT_READFUNCTION, read_cb);
        (void)curl_easy_setopt(c, CURLOPT_READDATA, &up);
        (void)curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        rc = curl_easy_perform(c);
        if (rc != CURLE_OK)
            r = cf_error_set(reterr, CF_EIO, "mail server: %s", errbuf[0] ? errbuf : curl_easy_strerror(rc));
    }
    curl_slist_free_all(to);
    curl_easy_cleanup(c);
    cf_buf_release(&mail);
    cf_arena_release(&a);
    return r;
}

static int webhook_url(const struct cf_messenger *m, CURL *c, struct cf_arena *a, struct cf_error *err)
{
    int64_t ms = cf_now_us() / 1000;
    cf_str key = CF_STR_NONE, url;
    char sign[64], *esc;
    int r;

    if (!m->o.webhook_secret_file.n)
        return 0;
    r = secret(m->o.webhook_secret_file, a, &key, err);
    if (r < 0)
        return r;
    if (!cf_webhook_sign(key, ms, sign))
        return cf_error_set(err, CF_EIO, "the webhook call cannot be signed");
    esc = curl_easy_escape(c, sign, 0);
    url = cf_arena_printf(a, "%.*s%stimestamp=%lld&sign=%s", CF_ARG(m->o.webhook_url), memchr(m->o.webhook_url.p, '?', m->o.webhook_url.n) ? "&" : "?",
                          (long long)ms, esc ? esc : "");
    curl_free(esc);
    (void)curl_easy_setopt(c, CURLOPT_URL, cf_arena_strdup(a, url));
    return 0;
}

/* DingTalk robots answer 200 with {"errcode":0}; anything else is a failure that is tried again. */
static int check_answer(CURL *c, const struct cf_buf *body, struct cf_error *err)
{
    long status = 0;
    json_t *j, *code;
    int r = 0;

    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299)
        return cf_error_set(err, CF_EIO, "webhook answered with status %ld", status);
    j = body->n ? json_loadb(body->p, body->n, 0, NULL) : NULL;
    code = json_object_get(j, "errcode");
    if (json_is_integer(code) && json_integer_value(code) != 0)
        r = cf_error_set(err, CF_EIO, "webhook refused: errcode %lld %.200s", (long long)json_integer_value(code),
                         json_string_value(json_object_get(j, "errmsg")) ? json_string_value(json_object_get(j, "errmsg")) : "");
    json_decref(j);
    return r;
}

static char *webhook_body(const struct msg_out *o)
{
    json_t *mobiles = json_array(), *j;
    cf_str rest = o->target, one;
    char *text;

    while (cf_str_cut(&rest, ',', &one))
        if (one.n)
            json_array_append_new(mobiles, cf_str_json(one));
    j = json_pack("{s:s, s:{s:o, s:o}, s:{s:o, s:b}}", "msgtype", "markdown", "markdown", "title", cf_str_json(o->subject), "text", cf_str_json(o->body), "at",
                  "atMobiles", mobiles, "isAtAll", 0);
    text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    return text;
}

int msg_send_webhook(const struct cf_messenger *m, const struct msg_out *o, struct cf_error *reterr)
{
    struct curl_slist *head = curl_slist_append(NULL, "Content-Type: application/json; charset=utf-8");
    char errbuf[CURL_ERROR_SIZE], *text = webhook_body(o);
    struct cf_buf answer;
    struct cf_arena a;
    CURLcode rc;
    CURL *c;
    int r;

    cf_arena_init(&a, 0, 0);
    cf_buf_init(&answer, (size_t)64 << 10);
    c = handle(m->o.webhook_url, "http,https", &a, errbuf);
    r = c && text ? webhook_url(m, c, &a, reterr) : cf_error_set(reterr, CF_ENOMEM, "out of memory");
    if (r == 0) {
        (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, head);
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, text);
        (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, write_cb);
        (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, &answer);
        rc = curl_easy_perform(c);
        r = rc == CURLE_OK ? check_answer(c, &answer, reterr) : cf_error_set(reterr, CF_EIO, "webhook: %s", errbuf[0] ? errbuf : curl_easy_strerror(rc));
    }
    curl_slist_free_all(head);
    curl_easy_cleanup(c);
    free(text);
    cf_buf_release(&answer);
    cf_arena_release(&a);
    return r;
}
