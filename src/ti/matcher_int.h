/* SPDX-License-Identifier: Apache-2.0
 * The set of active indicators as it lies in memory; made by matcher_build.c, asked by matcher.c.
 *
 *   value ─hash─► Bloom filter (one cache line) ─► slot[hash] {fingerprint, entry} ─► entry ─► text, info */
#ifndef CF_TI_MATCHER_INT_H
#define CF_TI_MATCHER_INT_H

#include "ti/matcher.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define FLAG_EXACT 1u
#define FLAG_COND 2u
#define KEY_SHIFT 2 /* flags >> 2: bytes before the key (scheme of a URL) */
#define FIELDS_MAX 40 /* of cf_ti_fields */
#define BLOCK 8     /* words of a Bloom block: one 32-byte half of a cache line, one bit a word */

struct slot {
    uint32_t fp, entry; /* entry + 1, 0 empty */
};
struct cf_ti_set {
    uint32_t *bloom;      /* n_blocks * BLOCK */
    struct slot *slot;
    uint64_t n_blocks, mask;
    uint32_t kinds;       /* bit a seed kind: which look-ups can find anything */
    uint8_t *top16;       /* first 16 bits of the IPv4 addresses and ranges present */
    struct cf_ti_field use[FIELDS_MAX]; /* fields that can hold anything of the kinds present, in the order of cf_ti_fields */
    size_t n_use;
    uint8_t n_len4, n_len6, len4[33], len6[129]; /* prefix lengths in use, longest first */
    struct cf_ti_entry *entry;
    size_t n, cap;
    char *text;
    size_t text_n, text_cap;
    struct cf_ti_info *info;
    size_t n_info, cap_info;
    uint32_t *info_slot;
    size_t info_mask;
    struct cf_arena arena; /* texts of info */
    uint8_t *blocks_raw;
};

enum kind { K_IP4, K_IP6, K_NET4, K_NET6, K_DOMAIN, K_URL, K_MD5, K_SHA1, K_SHA256, K_EMAIL, K_JA3, K_JA4, K_CERT, K_ACCOUNT, K_WALLET };

static inline uint64_t hash_of(enum kind k, unsigned bits, const void *p, size_t n) { return XXH3_64bits_withSeed(p, n, (uint64_t)k << 8 | bits); }

/* What is looked for: bytes of one kind; bits: length of a net. */
struct key {
    enum kind kind;
    unsigned bits;
    size_t n;
    const uint8_t *p;
};

/* Kind, length and key bytes of a stored entry, as they were when it was added. */
void ti_stored_key(const struct cf_ti_set *s, const struct cf_ti_entry *e, struct key *k);
void ti_mask_bits(uint8_t *p, size_t n, unsigned bits); /* clears what follows the first bits */
void ti_fields_in_use(struct cf_ti_set *s);              /* use, once kinds is complete */
bool ti_hex_bytes(cf_str s, uint8_t *out);              /* false: no hex, or longer than 64 digits */

/* Bloom filter: 8 bits of one 32-byte block. */
extern const uint32_t ti_salt[BLOCK];
static inline uint32_t *block_of(const struct cf_ti_set *s, uint64_t h) { return s->bloom + (((h >> 32) * s->n_blocks) >> 32) * BLOCK; }

#endif
