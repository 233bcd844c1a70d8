/* SPDX-License-Identifier: Apache-2.0
 * OpenSSL for the syslog listener: context, check of client certificates, non-blocking steps. */
#include "collect/listen_tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

struct allowed {
    bool is_print;
    uint8_t print[32]; /* SHA-256 of the certificate */
    char *name;        /* DNS name or CN; "*.x" stands for every name below x */
};
struct listen_tls {
    SSL_CTX *ctx;
    char *cert, *key, *ca;
    enum cf_tls_client client;
    struct allowed *allowed;
    size_t n_allowed;
    struct timespec changed[3];
    bool warned;
};

/* ---- whose certificate ------------------------------------------------------------------------------------------------- */

static bool name_matches(const char *want, cf_str name)
{
    size_t n = strlen(want);

    if (want[0] == '*' && want[1] == '.')
        return name.n > n - 1 && strncasecmp(name.p + name.n - (n - 1), want + 1, n - 1) == 0;
    return name.n == n && strncasecmp(name.p, want, n) == 0;
}

static bool name_allowed(const struct listen_tls *t, cf_str name)
{
    if (memchr(name.p, '\0', name.n))
        return false; /* "good.example\0.bad.example" is no name */
    for (size_t i = 0; i < t->n_allowed; i++)
        if (!t->allowed[i].is_print && name_matches(t->allowed[i].name, name))
            return true;
    return false;
}

static bool cert_name_allowed(const struct listen_tls *t, X509 *x)
{
    GENERAL_NAMES *alt = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    X509_NAME *subject = X509_get_subject_name(x);
    bool ok = false;

    for (int i = 0; alt && !ok && i < sk_GENERAL_NAME_num(alt); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(alt, i);

        if (g->type == GEN_DNS)
            ok = name_allowed(t, cf_str_n((const char *)ASN1_STRING_get0_data(g->d.dNSName), (size_t)ASN1_STRING_length(g->d.dNSName)));
    }
    GENERAL_NAMES_free(alt);
    for (int i = -1; !ok && (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;) {
        unsigned char *utf8 = NULL;
        int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));

        ok = n > 0 && name_allowed(t, cf_str_n((const char *)utf8, (size_t)n));
        OPENSSL_free(utf8);
    }
    return ok;
}

static bool print_allowed(const struct listen_tls *t, X509 *x)
{
    unsigned char print[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (X509_digest(x, EVP_sha256(), print, &n) != 1 || n != 32)
        return false;
    for (size_t i = 0; i < t->n_allowed; i++)
        if (t->allowed[i].is_print && memcmp(t->allowed[i].print, print, 32) == 0)
            return true;
    return false;
}

/* A listed fingerprint is enough (RFC 5425, 5.1: certificates without an authority); otherwise the chain must lead to the
 * configured authority, and, where names are listed, one of them must be in the certificate. */
static int check_client(X509_STORE_CTX *store, void *arg)
{
    const struct listen_tls *t = arg;
    X509 *x = X509_STORE_CTX_get0_cert(store);

    if (x && print_allowed(t, x)) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    if (X509_verify_cert(store) != 1)
        return 0;
    if (t->n_allowed == 0 || (x && cert_name_allowed(t, x)))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

/* "sha-256:AB:CD:..", "sha256:abcd..", or 64 hexadecimal digits; anything else is a name. */
static int parse_allowed(const char *text, struct allowed *ret, struct cf_error *reterr)
{
    const char *p = text;
    char hex[64];
    size_t n = 0;
    bool marked = true;

    if (strncasecmp(p, "sha-256:", 8) == 0)
        p += 8;
    else if (strncasecmp(p, "sha256:", 7) == 0)
        p += 7;
    else
        marked = false;
    for (const char *q = p; *q && n <= 64; q++)
        if (*q != ':') {
            if (n == 64 || !strchr("0123456789abcdefABCDEF", *q)) {
                n = 65;
                break;
            }
            hex[n++] = *q >= 'A' && *q <= 'F' ? (char)(*q + 32) : *q;
        }
    if (n == 64 && cf_unhex(cf_str_n(hex, 64), ret->print, 32)) {
        ret->is_print = true;
        return 0;
    }
    if (marked)
        return cf_error_set(reterr, CF_EINVAL, "syslog.tls_allowed: \"%s\" is no SHA-256 fingerprint (64 hexadecimal digits)", text);
    ret->name = strdup(text);
    return ret->name ? 0 : cf_error_set(reterr, CF_ENOMEM, "syslog.tls_allowed");
}

/* ---- context ------------------------------------------------------------------------------------------------------------- */

static const char *ssl_reason(void)
{
    unsigned long e = ERR_peek_last_error();
    const char *s = e ? ERR_reason_error_string(e) : NULL;

    return s ? s : "no reason given";
}

static int make_context(struct listen_tls *t, SSL_CTX **ret, struct cf_error *reterr)
{
    SSL_CTX *c;
    int r = 0;

    ERR_clear_error();
    c = SSL_CTX_new(TLS_server_method());
    if (!c)
        return cf_error_set(reterr, CF_ENOMEM, "syslog.tls: %s", ssl_reason());
    (void)SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_num_tickets(c, 0);
    (void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS); /* an idle connection holds no buffers */
    SSL_CTX_set_read_ahead(c, 1);
    SSL_CTX_set_default_read_buffer_len(c, 64 * 1024);
    if (SSL_CTX_use_certificate_chain_file(c, t->cert) != 1)
        r = cf_error_set(reterr, CF_EINVAL, "syslog.tls_certificate \"%s\": %s", t->cert, ssl_reason());
    else if (SSL_CTX_use_PrivateKey_file(c, t->key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(c) != 1)
        r = cf_error_set(reterr, CF_EINVAL, "syslog.tls_key \"%s\": %s", t->key, ssl_reason());
    else if (t->client != CF_TLS_CLIENT_NONE && t->ca[0]) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(t->ca);

        if (!names || SSL_CTX_load_verify_file(c, t->ca) != 1) {
            r = cf_error_set(reterr, CF_EINVAL, "syslog.tls_ca \"%s\": %s", t->ca, ssl_reason());
            sk_X509_NAME_pop_free(names, X509_NAME_free);
        } else {
            SSL_CTX_set_client_CA_list(c, names);
        }
    }
    if (t->client != CF_TLS_CLIENT_NONE) {
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER | (t->client == CF_TLS_CLIENT_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
        SSL_CTX_set_cert_verify_callback(c, check_client, t);
    }
    if (r < 0) {
        SSL_CTX_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

/* Modification times of the files. True when they differ from the last time. */
static bool look_at_files(struct listen_tls *t)
{
    const char *path[3] = {t->cert, t->key, t->ca};
    bool changed = false;
    struct stat st;

    for (size_t i = 0; i < 3; i++) {
        if (!path[i][0] || stat(path[i], &st) != 0 ||
            (st.st_mtim.tv_sec == t->changed[i].tv_sec && st.st_mtim.tv_nsec == t->changed[i].tv_nsec))
            continue;
        t->changed[i] = st.st_mtim;
        changed = true;
    }
    return changed;
}

int listen_tls_new(const struct cf_listen_tls_options *o, struct listen_tls **ret, struct cf_error *reterr)
{
    struct listen_tls *t = calloc(1, sizeof *t);
    int r = 0;

    if (!t)
        return cf_error_set(reterr, CF_ENOMEM, "syslog.tls");
    t->cert = strdup(o->cert ? o->cert : "");
    t->key = strdup(o->key ? o->key : "");
    t->ca = strdup(o->ca ? o->ca : "");
    t->client = o->client;
    t->allowed = calloc(o->n_allowed + 1, sizeof *t->allowed);
    if (!t->cert || !t->key || !t->ca || !t->allowed)
        r = cf_error_set(reterr, CF_ENOMEM, "syslog.tls");
    for (size_t i = 0; i < o->n_allowed && r == 0; i++)
        r = parse_allowed(o->allowed[i], &t->allowed[t->n_allowed++], reterr);
    if (r == 0 && o->client == CF_TLS_CLIENT_NONE && o->n_allowed)
        r = cf_error_set(reterr, CF_EINVAL, "syslog.tls_allowed has no effect without client certificates: set syslog.tls_client to optional or required");
    if (r == 0 && o->client != CF_TLS_CLIENT_NONE && !t->ca[0]) {
        bool print = t->n_allowed > 0;

        for (size_t i = 0; i < t->n_allowed; i++)
            print = print && t->allowed[i].is_print;
        if (!print)
            r = cf_error_set(reterr, CF_EINVAL, "syslog.tls_client: client certificates need syslog.tls_ca, or fingerprints in syslog.tls_allowed");
    }
    if (r == 0) {
        (void)look_at_files(t);
        r = make_context(t, &t->ctx, reterr);
    }
    if (r < 0) {
        listen_tls_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void listen_tls_free(struct listen_tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    for (size_t i = 0; i < t->n_allowed; i++)
        free(t->allowed[i].name);
    free(t->allowed);
    free(t->cert);
    free(t->key);
    free(t->ca);
    free(t);
}

void listen_tls_refresh(struct listen_tls *t)
{
    struct cf_error err = {0};
    SSL_CTX *c = NULL;

    if (!look_at_files(t) && !t->warned)
        return;
    if (make_context(t, &c, &err) < 0) { /* half written files: tried again at the next call */
        if (!t->warned)
            cf_log_warn("collect", "new TLS files not taken, the old ones stay", "reason=\"%s\"", err.msg);
        t->warned = true;
        return;
    }
    SSL_CTX_free(t->ctx);
    t->ctx = c;
    t->warned = false;
    cf_log_info("collect", "TLS certificate loaded again", "file=\"%s\"", t->cert);
}

/* ---- one connection -------------------------------------------------------------------------------------------------- */

SSL *listen_tls_accept(struct listen_tls *t, int fd)
{
    SSL *ssl = SSL_new(t->ctx);

    if (ssl && SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}

enum listen_tls_step listen_tls_handshake(SSL *ssl, char reason[200])
{
    int r;

    ERR_clear_error();
    r = SSL_do_handshake(ssl);
    if (r == 1)
        return LISTEN_TLS_DONE;
    switch (SSL_get_error(ssl, r)) {
    case SSL_ERROR_WANT_READ: return LISTEN_TLS_READ;
    case SSL_ERROR_WANT_WRITE: return LISTEN_TLS_WRITE;
    default: break;
    }
    if (SSL_get_verify_result(ssl) != X509_V_OK)
        (void)snprintf(reason, 200, "client certificate: %s", SSL_get_verify_result(ssl) == X509_V_ERR_APPLICATION_VERIFICATION
                                                                  ? "its name and fingerprint are not in syslog.tls_allowed"
                                                                  : X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
    else
        (void)snprintf(reason, 200, "%s", ERR_peek_last_error() ? ssl_reason() : "connection closed by the peer");
    return LISTEN_TLS_FAILED;
}

ssize_t listen_tls_read(SSL *ssl, char *p, size_t n, bool *ret_more)
{
    size_t got = 0;

    *ret_more = true;
    while (got < n) {
        size_t k = 0;
        int r, e;

        ERR_clear_error();
        r = SSL_read_ex(ssl, p + got, n - got, &k);
        if (r == 1) {
            got += k;
            continue;
        }
        e = SSL_get_error(ssl, r);
        *ret_more = e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE;
        if (got)
            return (ssize_t)got; /* the end comes again at the next call */
        return *ret_more ? 0 : -1;
    }
    return (ssize_t)got;
}

void listen_tls_close(SSL *ssl)
{
    if (!ssl)
        return;
    ERR_clear_error();
    if (SSL_is_init_finished(ssl))
        (void)SSL_shutdown(ssl); /* says goodbye, does not wait for the answer */
    ERR_clear_error();
    SSL_free(ssl);
}
