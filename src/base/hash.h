/* SPDX-License-Identifier: Apache-2.0
 * Hashes: XXH3 for tables, CRC-32C (Castagnoli) for stored records, SM3 (GB/T 32905) and SHA-256 for evidence. */
#ifndef CF_BASE_HASH_H
#define CF_BASE_HASH_H

#include "base/str.h"

uint64_t cf_hash64(cf_str s);                        /* XXH3-64; same on every machine */
uint64_t cf_hash64_seed(cf_str s, uint64_t seed);
uint32_t cf_crc32c(uint32_t crc, const void *p, size_t n); /* start with 0 */

struct cf_digest {
    uint8_t b[32];
};
bool cf_sm3(struct cf_digest *ret, const cf_str *parts, size_t n_parts);
bool cf_sha256(struct cf_digest *ret, const cf_str *parts, size_t n_parts);
void cf_hex(const uint8_t *p, size_t n, char *out); /* writes 2n lower-case digits and a NUL */
bool cf_unhex(cf_str hex, uint8_t *out, size_t n);  /* exactly n bytes */

bool cf_random(void *p, size_t n); /* from the kernel */
/* Time-ordered 128-bit id (UUIDv7, RFC 9562) as text. */
void cf_uuid7(char out[37]);
void cf_uuid7s(char (*out)[37], size_t n); /* many at once: the kernel is asked for randomness once for 32 of them */
bool cf_mem_eq_ct(const void *a, const void *b, size_t n); /* constant time */

#endif
