/* SPDX-License-Identifier: Apache-2.0 */
#include "app/tls_cert.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

static bool add_ext(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;
    bool ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static X509 *make_cert(EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *name;
    unsigned char serial[16] = {0};
    BIGNUM *bn = NULL;
    char host[200] = "localhost", san[300];
    bool ok;

    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(san, sizeof san, "DNS:localhost,DNS:%s,IP:127.0.0.1,IP:::1", host);
    ok = x && cf_random(serial, sizeof serial);
    serial[0] &= 0x7f;
    ok = ok && X509_set_version(x, 2) == 1 && (bn = BN_bin2bn(serial, sizeof serial, NULL)) && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) &&
         X509_gmtime_adj(X509_getm_notBefore(x), -3600) && X509_gmtime_adj(X509_getm_notAfter(x), 825L * 86400) && X509_set_pubkey(x, key) == 1;
    name = ok ? X509_get_subject_name(x) : NULL;
    ok = ok && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)host, -1, -1, 0) == 1 &&
         X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Chengfang", -1, -1, 0) == 1 && X509_set_issuer_name(x, name) == 1 &&
         add_ext(x, NID_basic_constraints, "critical,CA:FALSE") && add_ext(x, NID_key_usage, "critical,digitalSignature") &&
         add_ext(x, NID_ext_key_usage, "serverAuth") && add_ext(x, NID_subject_alt_name, san) && X509_sign(x, key, EVP_sha256()) > 0;
    BN_free(bn);
    if (!ok) {
        X509_free(x);
        return NULL;
    }
    return x;
}

static int write_bio(BIO *b, const char *path, unsigned mode, struct cf_error *reterr)
{
    char *p = NULL;
    long n = BIO_get_mem_data(b, &p);

    return cf_file_write_durable(path, cf_str_n(p, (size_t)n), mode, reterr);
}

int cf_tls_self_signed(const char *dir, const char *cert_path, const char *key_path, struct cf_error *reterr)
{
    EVP_PKEY *key = NULL;
    X509 *x = NULL;
    BIO *kb = NULL, *cb = NULL;
    int r;

    if (access(cert_path, F_OK) == 0 && access(key_path, F_OK) == 0)
        return 0;
    r = cf_mkdir_p(dir, 0700, reterr);
    if (r < 0)
        return r;
    key = EVP_EC_gen("P-256");
    x = key ? make_cert(key) : NULL;
    kb = BIO_new(BIO_s_mem());
    cb = BIO_new(BIO_s_mem());
    if (!x || !kb || !cb || PEM_write_bio_PrivateKey(kb, key, NULL, NULL, 0, NULL, NULL) != 1 || PEM_write_bio_X509(cb, x) != 1)
        r = cf_error_set(reterr, CF_EIO, "the self-signed certificate could not be made");
    if (r == 0)
        r = write_bio(kb, key_path, 0600, reterr);
    if (r == 0)
        r = write_bio(cb, cert_path, 0644, reterr);
    BIO_free(kb);
    BIO_free(cb);
    X509_free(x);
    EVP_PKEY_free(key);
    return r;
}
