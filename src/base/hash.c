/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/random.h>
#include <errno.h>
#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <xxhash.h>
#pragma GCC diagnostic pop
#ifdef __SSE4_2__
#include <nmmintrin.h>
#endif

#include "base/clock.h"

uint64_t cf_hash64(cf_str s) { return XXH3_64bits(s.p ? s.p : "", s.n); }
uint64_t cf_hash64_seed(cf_str s, uint64_t seed) { return XXH3_64bits_withSeed(s.p ? s.p : "", s.n, seed); }

#ifdef __SSE4_2__
uint32_t cf_crc32c(uint32_t crc, const void *p, size_t n)
{
    const unsigned char *b = p;
    uint64_t c = ~crc;

    for (; n >= 8; b += 8, n -= 8) {
        uint64_t w;
        memcpy(&w, b, 8);
        c = _mm_crc32_u64(c, w);
    }
    while (n--)
        c = _mm_crc32_u8((uint32_t)c, *b++);
    return ~(uint32_t)c;
}
#else
uint32_t cf_crc32c(uint32_t crc, const void *p, size_t n)
{
    const unsigned char *b = p;
    uint32_t c = ~crc;

    while (n--) {
        c ^= *b++;
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (0x82f63b78u & (0u - (c & 1u)));
    }
    return ~c;
}
#endif

static bool digest(const EVP_MD *md, struct cf_digest *ret, const cf_str *parts, size_t n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && md && EVP_DigestInit_ex(ctx, md, NULL) == 1;

    for (size_t i = 0; ok && i < n; i++)
        ok = EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1;
    ok = ok && EVP_DigestFinal_ex(ctx, ret->b, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

bool cf_sm3(struct cf_digest *ret, const cf_str *parts, size_t n_parts) { return digest(EVP_sm3(), ret, parts, n_parts); }
bool cf_sha256(struct cf_digest *ret, const cf_str *parts, size_t n_parts)
{
    return digest(EVP_sha256(), ret, parts, n_parts);
}

void cf_hex(const uint8_t *p, size_t n, char *out)
{
    static const char d[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = d[p[i] >> 4];
        out[2 * i + 1] = d[p[i] & 15];
    }
    out[2 * n] = '\0';
}

bool cf_unhex(cf_str hex, uint8_t *out, size_t n)
{
    if (hex.n != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        uint64_t v;
        if (hex.p[2 * i + 1] == 'x' || hex.p[2 * i + 1] == 'X' || !cf_str_hex64(cf_str_n(hex.p + 2 * i, 2), &v))
            return false;
        out[i] = (uint8_t)v;
    }
    return true;
}

bool cf_random(void *p, size_t n)
{
    char *b = p;

    while (n) {
        ssize_t r = getrandom(b, n, 0);
        if (r < 0) {
            if (errno == EINTR)
                continue;
            return false;
        }
        b += r;
        n -= (size_t)r;
    }
    return true;
}

void cf_uuid7s(char (*out)[37], size_t n)
{
    static _Atomic uint64_t count;

    for (size_t at = 0; at < n;) {
        uint8_t rnd[32 * 10];
        size_t k = n - at < 32 ? n - at : 32;
        bool good = cf_random(rnd, k * 10);
        uint64_t ms = (uint64_t)(cf_now_us() / 1000);

        for (size_t i = 0; i < k; i++) {
            uint8_t b[16];
            char hex[33], *o = out[at + i];

            if (good) {
                memcpy(b + 6, rnd + i * 10, 10);
            } else { /* the kernel always has randomness after boot; keep ids distinct all the same */
                uint64_t v[2] = {(uint64_t)cf_mono_us(), ++count};

                memcpy(b + 6, (char *)v + 6, 10);
            }
            for (int j = 0; j < 6; j++)
                b[j] = (uint8_t)(ms >> (40 - 8 * j));
            b[6] = (uint8_t)((b[6] & 0x0f) | 0x70);
            b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
            cf_hex(b, 16, hex);
            for (size_t j = 0, from = 0; j < 36; j++)
                o[j] = j == 8 || j == 13 || j == 18 || j == 23 ? '-' : hex[from++];
            o[36] = '\0';
        }
        at += k;
    }
}

void cf_uuid7(char out[37]) { cf_uuid7s((char (*)[37])out, 1); }

bool cf_mem_eq_ct(const void *a, const void *b, size_t n) { return CRYPTO_memcmp(a, b, n) == 0; }
