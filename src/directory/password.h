/* SPDX-License-Identifier: Apache-2.0
 * Passwords: Argon2id hashes and the policy; one-time codes (RFC 6238); encryption of secrets at rest (one-time codes, credentials). */
#ifndef CF_DIRECTORY_PASSWORD_H
#define CF_DIRECTORY_PASSWORD_H

#include "base/base.h"

#define CF_PASSWORD_HASH_MAX 160
/* Argon2id, encoded form with its parameters. At most two run at once (each takes memory_kib). */
int cf_password_hash(cf_str password, uint32_t memory_kib, uint32_t passes, char out[CF_PASSWORD_HASH_MAX], struct cf_error *reterr);
bool cf_password_verify(cf_str password, const char *encoded);
/* Length, three of four classes, not the name, not in the weak list. 0 or CF_EINVAL with the reason. weak: lines, lower case. */
int cf_password_policy(cf_str password, cf_str user, size_t min_length, cf_str weak, struct cf_error *reterr);
void cf_password_random(char out[21]); /* 20 characters that satisfy the policy, easy to read aloud */

#define CF_TOTP_SECRET 20
uint32_t cf_totp_code(const uint8_t *secret, size_t n, uint64_t step, unsigned digits);
/* Accepts the step before, now and after, never one at or below last_step. Sets *ret_step. */
bool cf_totp_check(const uint8_t *secret, size_t n, cf_str code, int64_t now_us, uint64_t last_step, uint64_t *ret_step);
void cf_base32(const uint8_t *p, size_t n, char *out); /* (n*8+4)/5 characters and a NUL */

/* AES-256-GCM under the installation's key: hex(nonce | ciphertext | tag). */
#define CF_SECRET_MAX 512
struct cf_secret_key {
    uint8_t b[32];
};
int cf_secret_key_load(const char *path, struct cf_secret_key *ret, struct cf_error *reterr); /* makes it when missing */
bool cf_secret_seal(const struct cf_secret_key *k, const uint8_t *p, size_t n, char *out /* 2*(n+28)+1 */);
bool cf_secret_open(const struct cf_secret_key *k, cf_str hex, uint8_t *out, size_t n);

#endif
