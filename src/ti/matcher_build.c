/* SPDX-License-Identifier: Apache-2.0
 * Building the set of active indicators; see matcher.h. */
#include <stdio.h>
#include <stdlib.h>

#include "ti/matcher_int.h"

struct cf_ti_builder {
    struct cf_ti_set *s;
    bool len4[33], len6[129];
};

const uint32_t ti_salt[BLOCK] = {0x47b6137bu, 0x44974d91u, 0x8824ad5bu, 0xa2b7289du, 0x705495c7u, 0x2df1424bu, 0x9efc4947u, 0x5c6bfb31u};

static void bloom_add(struct cf_ti_set *s, uint64_t h)
{
    uint32_t *b = block_of(s, h);

    for (int i = 0; i < BLOCK; i++)
        b[i] |= 1u << (((uint32_t)h * ti_salt[i]) >> 27);
}

static void key_ip(const struct cf_ip *ip, struct key *k)
{
    bool v4 = cf_ip_is4(ip);

    *k = (struct key){.kind = v4 ? K_IP4 : K_IP6, .n = v4 ? 4 : 16, .p = ip->b + (v4 ? 12 : 0)};
}

void ti_mask_bits(uint8_t *p, size_t n, unsigned bits)
{
    for (size_t i = 0; i < n; i++)
        if (bits <= 8 * i)
            p[i] = 0;
        else if (bits < 8 * (i + 1))
            p[i] = (uint8_t)(p[i] & (0xff00u >> (bits - 8 * i)));
}

bool ti_hex_bytes(cf_str s, uint8_t *out)
{
    if (s.n % 2 || s.n > 64)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        unsigned v = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10 : 99;

        if (v > 15)
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | v : v << 4);
    }
    return true;
}

/* Bytes stored for a value and its key. buf: 64 bytes. */
static bool entry_key(const struct cf_ti_entry_in *in, uint8_t *buf, struct key *k, cf_str *stored, unsigned *skip)
{
    static const enum kind hashes[CF_TI_TYPES] = {[CF_TI_MD5] = K_MD5, [CF_TI_SHA1] = K_SHA1, [CF_TI_SHA256] = K_SHA256, [CF_TI_JA3] = K_JA3, [CF_TI_CERT] = K_CERT};
    static const enum kind texts[CF_TI_TYPES] = {[CF_TI_DOMAIN] = K_DOMAIN, [CF_TI_EMAIL] = K_EMAIL, [CF_TI_JA4] = K_JA4, [CF_TI_ACCOUNT] = K_ACCOUNT, [CF_TI_WALLET] = K_WALLET};
    struct cf_cidr c;
    ptrdiff_t at;

    *skip = 0;
    switch (in->type) {
    case CF_TI_IPV4:
    case CF_TI_IPV6:
        if (!cf_ip_parse(in->value, &c.ip))
            return false;
        memcpy(buf, c.ip.b, 16);
        key_ip((struct cf_ip *)(void *)buf, k);
        *stored = cf_str_n((const char *)k->p, k->n);
        return true;
    case CF_TI_CIDR:
        if (!cf_cidr_parse(in->value, &c))
            return false;
        if (cf_ip_is4(&c.ip) && c.bits >= 96)
            *k = (struct key){K_NET4, c.bits - 96u, 4, buf};
        else
            *k = (struct key){K_NET6, c.bits, 16, buf};
        memcpy(buf, c.ip.b + (k->n == 4 ? 12 : 0), k->n);
        ti_mask_bits(buf, k->n, k->bits);
        buf[k->n] = (uint8_t)k->bits;
        *stored = cf_str_n((const char *)buf, k->n + 1);
        return true;
    case CF_TI_MD5:
    case CF_TI_SHA1:
    case CF_TI_SHA256:
    case CF_TI_JA3:
    case CF_TI_CERT:
        if (!ti_hex_bytes(in->value, buf))
            return false;
        *k = (struct key){.kind = hashes[in->type], .n = in->value.n / 2, .p = buf};
        *stored = cf_str_n((const char *)buf, k->n);
        return true;
    case CF_TI_URL:
        at = cf_str_find(cf_str_sub(in->value, 0, 16), CF_STR("://"));
        *skip = at > 0 ? (unsigned)at + 3 : 0;
        *stored = in->value;
        *k = (struct key){.kind = K_URL, .n = in->value.n - *skip, .p = (const uint8_t *)in->value.p + *skip};
        return k->n > 0;
    case CF_TI_DOMAIN:
    case CF_TI_EMAIL:
    case CF_TI_JA4:
    case CF_TI_ACCOUNT:
    case CF_TI_WALLET:
        *stored = in->value;
        *k = (struct key){.kind = texts[in->type], .n = in->value.n, .p = (const uint8_t *)in->value.p};
        return k->n > 0;
    case CF_TI_TYPES: break;
    }
    return false;
}

/* Kind, length and key bytes of a stored entry, as entry_key made them. */
void ti_stored_key(const struct cf_ti_set *s, const struct cf_ti_entry *e, struct key *k)
{
    static const uint8_t kinds[CF_TI_TYPES] = {K_IP4, K_IP6, K_NET4, K_DOMAIN, K_URL, K_MD5, K_SHA1, K_SHA256, K_EMAIL, K_JA3, K_JA4, K_CERT, K_ACCOUNT, K_WALLET};
    unsigned skip = e->flags >> KEY_SHIFT;

    *k = (struct key){.kind = (enum kind)kinds[e->type], .n = e->value_n - skip, .p = (const uint8_t *)s->text + e->value_off + skip};
    if (e->type <= CF_TI_IPV6)
        k->kind = k->n == 4 ? K_IP4 : K_IP6;
    if (e->type == CF_TI_CIDR) {
        k->n--;
        k->kind = k->n == 4 ? K_NET4 : K_NET6;
        k->bits = k->p[k->n];
    }
}

struct cf_ti_builder *cf_ti_builder_new(size_t expected)
{
    struct cf_ti_builder *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    b->s = calloc(1, sizeof *b->s);
    if (!b->s) {
        free(b);
        return NULL;
    }
    cf_arena_init(&b->s->arena, 0, 0);
    if (expected > CF_TI_ENTRIES_MAX)
        expected = CF_TI_ENTRIES_MAX;
    if (!cf_grow((void **)&b->s->entry, &b->s->cap, expected + 1, sizeof *b->s->entry) || !cf_grow((void **)&b->s->text, &b->s->text_cap, expected * 16 + 64, 1)) {
        cf_ti_builder_free(b);
        return NULL;
    }
    b->s->text_n = 1; /* offset 0 means none */
    return b;
}

void cf_ti_builder_free(struct cf_ti_builder *b)
{
    if (b)
        cf_ti_set_free(b->s);
    free(b);
}

void cf_ti_set_free(void *set)
{
    struct cf_ti_set *s = set;

    if (!s)
        return;
    free(s->blocks_raw);
    free(s->slot);
    free(s->top16);
    free(s->entry);
    free(s->text);
    free(s->info);
    free(s->info_slot);
    cf_arena_release(&s->arena);
    free(s);
}

static bool info_eq(const struct cf_ti_info *a, const struct cf_ti_info *b)
{
    return a->severity == b->severity && a->tlp == b->tlp && cf_str_eq(a->family, b->family) && cf_str_eq(a->threat_type, b->threat_type) &&
           cf_str_eq(a->group, b->group) && cf_str_eq(a->feed, b->feed);
}

static bool info_rehash(struct cf_ti_set *s, size_t cap)
{
    uint32_t *t = calloc(cap, sizeof *t);

    if (!t)
        return false;
    for (size_t i = 0; i < s->n_info; i++) {
        const struct cf_ti_info *x = &s->info[i];
        size_t at = (size_t)(cf_hash64(x->family) ^ cf_hash64_seed(x->feed, 7) ^ cf_hash64_seed(x->group, 3) ^ cf_hash64_seed(x->threat_type, 5)) & (cap - 1);

        while (t[at])
            at = (at + 1) & (cap - 1);
        t[at] = (uint32_t)i + 1;
    }
    free(s->info_slot);
    s->info_slot = t;
    s->info_mask = cap - 1;
    return true;
}

/* Index of the description, UINT32_MAX: no memory. */
static uint32_t info_of(struct cf_ti_set *s, const struct cf_ti_info *x)
{
    struct cf_ti_info *y;
    size_t at;

    if ((!s->info_slot || (s->n_info + 1) * 2 > s->info_mask + 1) && !info_rehash(s, s->info_slot ? (s->info_mask + 1) * 2 : 256))
        return UINT32_MAX;
    at = (size_t)(cf_hash64(x->family) ^ cf_hash64_seed(x->feed, 7) ^ cf_hash64_seed(x->group, 3) ^ cf_hash64_seed(x->threat_type, 5)) & s->info_mask;
    for (; s->info_slot[at]; at = (at + 1) & s->info_mask)
        if (info_eq(&s->info[s->info_slot[at] - 1], x))
            return s->info_slot[at] - 1;
    if (!cf_grow((void **)&s->info, &s->cap_info, s->n_info + 1, sizeof *s->info))
        return UINT32_MAX;
    y = &s->info[s->n_info];
    *y = *x;
    y->threat_type = cf_arena_copy(&s->arena, x->threat_type);
    y->family = cf_arena_copy(&s->arena, x->family);
    y->group = cf_arena_copy(&s->arena, x->group);
    y->feed = cf_arena_copy(&s->arena, x->feed);
    s->info_slot[at] = (uint32_t)++s->n_info;
    return (uint32_t)s->n_info - 1;
}

int cf_ti_builder_add(struct cf_ti_builder *b, const struct cf_ti_entry_in *in)
{
    struct cf_ti_set *s = b->s;
    struct cf_ti_entry e = {.type = (uint8_t)in->type, .confidence = in->confidence, .until_s = UINT32_MAX};
    uint8_t buf[64];
    unsigned skip;
    struct key k;
    cf_str stored;

    if (s->n >= CF_TI_ENTRIES_MAX)
        return CF_ELIMIT;
    if (in->value.n > CF_TI_VALUE_MAX || !entry_key(in, buf, &k, &stored, &skip))
        return CF_EINVAL;
    if (!cf_grow((void **)&s->entry, &s->cap, s->n + 1, sizeof e) || s->text_n + stored.n + in->cond.n + 2 > UINT32_MAX ||
        !cf_grow((void **)&s->text, &s->text_cap, s->text_n + stored.n + in->cond.n + 2, 1))
        return CF_ENOMEM;
    e.value_off = (uint32_t)s->text_n;
    e.value_n = (uint16_t)stored.n;
    memcpy(s->text + s->text_n, stored.p, stored.n);
    s->text_n += stored.n;
    e.flags = (uint8_t)((in->exact ? FLAG_EXACT : 0) | (in->cond.n ? FLAG_COND : 0) | skip << KEY_SHIFT);
    if (in->cond.n) {
        e.cond_off = (uint32_t)s->text_n;
        memcpy(s->text + s->text_n, in->cond.p, in->cond.n);
        s->text[s->text_n + in->cond.n] = '\0';
        s->text_n += in->cond.n + 1;
    }
    if (in->until_us > 0)
        e.until_s = in->until_us / CF_US_PER_S >= UINT32_MAX ? UINT32_MAX - 1 : (uint32_t)(in->until_us / CF_US_PER_S);
    memcpy(e.id, in->id, 16);
    e.info = info_of(s, &in->info);
    if (e.info == UINT32_MAX)
        return CF_ENOMEM;
    if (k.kind == K_NET4)
        b->len4[k.bits] = true;
    if (k.kind == K_NET6)
        b->len6[k.bits] = true;
    s->kinds |= 1u << k.kind;
    s->entry[s->n++] = e;
    return 0;
}

static void mark_top16(struct cf_ti_set *s, const struct key *k)
{
    size_t at, n = 1;

    if (k->kind != K_IP4 && k->kind != K_NET4)
        return;
    at = (size_t)k->p[0] << 8 | k->p[1];
    if (k->kind == K_NET4 && k->bits < 16)
        n = (size_t)1 << (16 - k->bits);
    for (size_t i = at; i < at + n && i < 65536; i++)
        s->top16[i / 8] = (uint8_t)(s->top16[i / 8] | 1u << (i % 8));
}

static void *fit(void *p, size_t n)
{
    void *q = n ? realloc(p, n) : NULL;

    return q ? q : p;
}

struct cf_ti_set *cf_ti_builder_finish(struct cf_ti_builder *b)
{
    struct cf_ti_set *s = b->s;
    uint64_t slots = 64;

    b->s = NULL;
    while (slots < s->n * 5 / 3)
        slots *= 2;
    s->mask = slots - 1;
    s->n_blocks = s->n / 16 + 1; /* 16 bits an entry */
    s->slot = calloc(slots, sizeof *s->slot);
    s->top16 = calloc(1, 8192);
    s->blocks_raw = calloc(1, s->n_blocks * BLOCK * 4 + 64);
    if (!s->slot || !s->top16 || !s->blocks_raw) {
        cf_ti_set_free(s);
        free(b);
        return NULL;
    }
    s->bloom = (uint32_t *)(void *)(s->blocks_raw + (64 - ((uintptr_t)s->blocks_raw & 63)) % 64);
    s->entry = fit(s->entry, (s->n + 1) * sizeof *s->entry);
    s->cap = s->n + 1;
    s->text = fit(s->text, s->text_n);
    s->text_cap = s->text_n;
    free(s->info_slot);
    s->info_slot = NULL;
    for (size_t i = 0; i < s->n; i++) {
        struct key k;
        uint64_t h;
        size_t at;

        ti_stored_key(s, &s->entry[i], &k);
        h = hash_of(k.kind, k.bits, k.p, k.n);
        bloom_add(s, h);
        mark_top16(s, &k);
        for (at = (size_t)(h & s->mask); s->slot[at].entry; at = (at + 1) & (size_t)s->mask)
            ;
        s->slot[at] = (struct slot){(uint32_t)(h >> 24), (uint32_t)i + 1};
    }
    for (int i = 32; i >= 0; i--)
        if (b->len4[i])
            s->len4[s->n_len4++] = (uint8_t)i;
    for (int i = 128; i >= 0; i--)
        if (b->len6[i])
            s->len6[s->n_len6++] = (uint8_t)i;
    ti_fields_in_use(s);
    free(b);
    return s;
}
