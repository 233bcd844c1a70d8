/* SPDX-License-Identifier: Apache-2.0 */
#include "directory/password.h"

#include <argon2.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <semaphore.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define SALT 16u
#define HASH 32u

static sem_t slots;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void slots_init(void) { (void)sem_init(&slots, 0, 2); }

static void slot_take(void)
{
    (void)pthread_once(&once, slots_init);
    while (sem_wait(&slots) < 0) {}
}

int cf_password_hash(cf_str password, uint32_t memory_kib, uint32_t passes, char out[CF_PASSWORD_HASH_MAX], struct cf_error *reterr)
{
    uint8_t salt[SALT];
    int a;

    if (!cf_random(salt, sizeof salt))
        return cf_error_set(reterr, CF_EIO, "the kernel gave no random bytes");
    slot_take();
    a = argon2id_hash_encoded(passes, memory_kib, 1, password.p, password.n, salt, sizeof salt, HASH, out, CF_PASSWORD_HASH_MAX);
    (void)sem_post(&slots);
    return a == ARGON2_OK ? 0 : cf_error_set(reterr, CF_ENOMEM, "hashing the password: %s", argon2_error_message(a));
}

bool cf_password_verify(cf_str password, const char *encoded)
{
    int a;

    slot_take();
    a = argon2id_verify(encoded, password.p, password.n);
    (void)sem_post(&slots);
    return a == ARGON2_OK;
}

static unsigned classes_of(cf_str s)
{
    bool lower = false, upper = false, digit = false, other = false;

    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];

        if (ch >= 'a' && ch <= 'z')
            lower = true;
        else if (ch >= 'A' && ch <= 'Z')
            upper = true;
        else if (ch >= '0' && ch <= '9')
            digit = true;
        else
            other = true;
    }
    return (unsigned)lower + (unsigned)upper + (unsigned)digit + (unsigned)other;
}

static size_t distinct_of(cf_str s)
{
    bool seen[256] = {false};
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        n += !seen[(unsigned char)s.p[i]];
        seen[(unsigned char)s.p[i]] = true;
    }
    return n;
}

int cf_password_policy(cf_str password, cf_str user, size_t min_length, cf_str weak, struct cf_error *reterr)
{
    cf_str line;

    if (password.n < min_length)
        return cf_error_set(reterr, CF_EINVAL, "the password needs at least %zu characters", min_length);
    if (password.n > 256)
        return cf_error_set(reterr, CF_EINVAL, "the password has more than 256 bytes");
    if (classes_of(password) < 3)
        return cf_error_set(reterr, CF_EINVAL, "the password needs three of: small letters, capital letters, digits, other characters");
    if (distinct_of(password) < 6)
        return cf_error_set(reterr, CF_EINVAL, "the password repeats too few characters");
    if (user.n >= 3 && cf_str_ifind(password, user) >= 0)
        return cf_error_set(reterr, CF_EINVAL, "the password must not contain the user name");
    while (cf_str_cut(&weak, '\n', &line)) {
        line = cf_str_trim(line);
        if (line.n >= 4 && line.p[0] != '#' && cf_str_ifind(password, line) >= 0 && password.n < line.n + 6)
            return cf_error_set(reterr, CF_EINVAL, "the password is built on one of the most guessed words (\"%.*s\")", CF_ARG(line));
    }
    return 0;
}

void cf_password_random(char out[21])
{
    static const char set[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    uint8_t r[64];
    size_t n = 0;

    do {
        n = 0;
        if (!cf_random(r, sizeof r))
            memset(r, 0xff, sizeof r); /* never taken below: falls out as too short, tried again */
        for (size_t i = 0; i < sizeof r && n < 20; i++) {
            if (n == 5 || n == 10 || n == 15)
                out[n++] = '-';
            if (r[i] < 224) /* 4 * 56: every character equally likely */
                out[n++] = set[r[i] % 56];
        }
        out[20] = 0;
    } while (n < 20 || classes_of(cf_str_n(out, 20)) < 4);
}

uint32_t cf_totp_code(const uint8_t *secret, size_t n, uint64_t step, unsigned digits)
{
    uint8_t msg[8], mac[EVP_MAX_MD_SIZE];
    unsigned mac_n = 0, mod = 1, o;
    uint32_t v;

    for (int i = 7; i >= 0; i--, step >>= 8)
        msg[i] = (uint8_t)step;
    if (!HMAC(EVP_sha1(), secret, (int)n, msg, sizeof msg, mac, &mac_n) || mac_n != 20)
        return UINT32_MAX;
    o = mac[19] & 15u;
    v = ((uint32_t)(mac[o] & 0x7f) << 24) | ((uint32_t)mac[o + 1] << 16) | ((uint32_t)mac[o + 2] << 8) | mac[o + 3];
    while (digits--)
        mod *= 10;
    return v % mod;
}

bool cf_totp_check(const uint8_t *secret, size_t n, cf_str code, int64_t now_us, uint64_t last_step, uint64_t *ret_step)
{
    uint64_t now = (uint64_t)(now_us / CF_US_PER_S) / 30, given;

    if (code.n != 6 || !cf_str_u64(code, &given))
        return false;
    for (uint64_t s = now - 1; s <= now + 1; s++) {
        if (s > last_step && cf_totp_code(secret, n, s, 6) == given) {
            *ret_step = s;
            return true;
        }
    }
    return false;
}

void cf_base32(const uint8_t *p, size_t n, char *out)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint32_t acc = 0;
    unsigned bits = 0;

    for (size_t i = 0; i < n; i++) {
        acc = (acc << 8) | p[i];
        for (bits += 8; bits >= 5; bits -= 5)
            *out++ = set[(acc >> (bits - 5)) & 31u];
    }
    if (bits)
        *out++ = set[(acc << (5 - bits)) & 31u];
    *out = 0;
}

int cf_secret_key_load(const char *path, struct cf_secret_key *ret, struct cf_error *reterr)
{
    struct cf_buf b;
    int r;

    if (access(path, F_OK) < 0) {
        if (!cf_random(ret->b, sizeof ret->b))
            return cf_error_set(reterr, CF_EIO, "the kernel gave no random bytes");
        return cf_file_write_durable(path, cf_str_n((const char *)ret->b, sizeof ret->b), 0600, reterr);
    }
    cf_buf_init(&b, 64);
    r = cf_file_read(path, &b, reterr);
    if (r == 0 && b.n != sizeof ret->b)
        r = cf_error_set(reterr, CF_ECORRUPT, "key file \"%s\" has %zu bytes instead of 32: bring it back from a backup", path, b.n);
    if (r == 0)
        memcpy(ret->b, b.p, sizeof ret->b);
    if (b.p)
        explicit_bzero(b.p, b.n);
    cf_buf_release(&b);
    return r;
}

bool cf_secret_seal(const struct cf_secret_key *k, const uint8_t *p, size_t n, char *out)
{
    uint8_t box[12 + CF_SECRET_MAX + 16];
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int len = 0, fin = 0;
    bool ok = c && n <= CF_SECRET_MAX && cf_random(box, 12) && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, k->b, box) == 1 &&
              EVP_EncryptUpdate(c, box + 12, &len, p, (int)n) == 1 && EVP_EncryptFinal_ex(c, box + 12 + len, &fin) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, box + 12 + n) == 1;

    EVP_CIPHER_CTX_free(c);
    if (ok)
        cf_hex(box, n + 28, out);
    return ok;
}

bool cf_secret_open(const struct cf_secret_key *k, cf_str hex, uint8_t *out, size_t n)
{
    uint8_t box[12 + CF_SECRET_MAX + 16];
    EVP_CIPHER_CTX *c;
    int len = 0, fin = 0;
    bool ok;

    if (n > CF_SECRET_MAX || hex.n != 2 * (n + 28) || !cf_unhex(hex, box, n + 28))
        return false;
    c = EVP_CIPHER_CTX_new();
    ok = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, k->b, box) == 1 && EVP_DecryptUpdate(c, out, &len, box + 12, (int)n) == 1 &&
         EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, 16, box + 12 + n) == 1 && EVP_DecryptFinal_ex(c, out + len, &fin) == 1;
    EVP_CIPHER_CTX_free(c);
    return ok;
}
