/* SPDX-License-Identifier: Apache-2.0
 * Building and asking the set of active indicators; see matcher.h. */
#include "ti/matcher.h"

#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define FLAG_EXACT 1u
#define FLAG_COND 2u
#define KEY_SHIFT 2 /* flags >> 2: bytes before the key (scheme of a URL) */
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
struct cf_ti_builder {
    struct cf_ti_set *s;
    bool len4[33], len6[129];
};

enum kind { K_IP4, K_IP6, K_NET4, K_NET6, K_DOMAIN, K_URL, K_MD5, K_SHA1, K_SHA256, K_EMAIL, K_JA3, K_JA4, K_CERT, K_ACCOUNT, K_WALLET };

static uint64_t hash_of(enum kind k, unsigned bits, const void *p, size_t n) { return XXH3_64bits_withSeed(p, n, (uint64_t)k << 8 | bits); }

/* ---- Bloom filter: 8 bits of one 32-byte block ----------------------------------------------------------------------- */

static const uint32_t salt[BLOCK] = {0x47b6137bu, 0x44974d91u, 0x8824ad5bu, 0xa2b7289du, 0x705495c7u, 0x2df1424bu, 0x9efc4947u, 0x5c6bfb31u};

static inline uint32_t *block_of(const struct cf_ti_set *s, uint64_t h) { return s->bloom + (((h >> 32) * s->n_blocks) >> 32) * BLOCK; }

static void bloom_add(struct cf_ti_set *s, uint64_t h)
{
    uint32_t *b = block_of(s, h);

    for (int i = 0; i < BLOCK; i++)
        b[i] |= 1u << (((uint32_t)h * salt[i]) >> 27);
}

static inline bool bloom_has(const struct cf_ti_set *s, uint64_t h)
{
    const uint32_t *b = block_of(s, h);
    uint32_t miss = 0;

    for (int i = 0; i < BLOCK; i++)
        miss |= ~b[i] & (1u << (((uint32_t)h * salt[i]) >> 27));
    return miss == 0;
}

/* ---- keys ---------------------------------------------------------------------------------------------------------------- */

struct key {
    enum kind kind;
    unsigned bits;
    size_t n;
    const uint8_t *p;
};

static void key_ip(const struct cf_ip *ip, struct key *k)
{
    bool v4 = cf_ip_is4(ip);

    *k = (struct key){.kind = v4 ? K_IP4 : K_IP6, .n = v4 ? 4 : 16, .p = ip->b + (v4 ? 12 : 0)};
}

static void mask_bits(uint8_t *p, size_t n, unsigned bits)
{
    for (size_t i = 0; i < n; i++)
        if (bits <= 8 * i)
            p[i] = 0;
        else if (bits < 8 * (i + 1))
            p[i] = (uint8_t)(p[i] & (0xff00u >> (bits - 8 * i)));
}

static bool hex_bytes(cf_str s, uint8_t *out)
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
        mask_bits(buf, k->n, k->bits);
        buf[k->n] = (uint8_t)k->bits;
        *stored = cf_str_n((const char *)buf, k->n + 1);
        return true;
    case CF_TI_MD5:
    case CF_TI_SHA1:
    case CF_TI_SHA256:
    case CF_TI_JA3:
    case CF_TI_CERT:
        if (!hex_bytes(in->value, buf))
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
static void stored_key(const struct cf_ti_set *s, const struct cf_ti_entry *e, struct key *k)
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

/* ---- building ------------------------------------------------------------------------------------------------------------ */

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

        stored_key(s, &s->entry[i], &k);
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
    free(b);
    return s;
}

size_t cf_ti_set_count(const struct cf_ti_set *s) { return s->n; }
const struct cf_ti_entry *cf_ti_set_entry(const struct cf_ti_set *s, size_t i) { return &s->entry[i]; }
const struct cf_ti_info *cf_ti_entry_info(const struct cf_ti_set *s, const struct cf_ti_entry *e) { return &s->info[e->info]; }

size_t cf_ti_set_bytes(const struct cf_ti_set *s)
{
    return sizeof *s + s->n_blocks * BLOCK * 4 + (size_t)(s->mask + 1) * sizeof *s->slot + 8192 + s->cap * sizeof *s->entry + s->text_cap +
           s->cap_info * sizeof *s->info + s->arena.used;
}

cf_str cf_ti_entry_text(const struct cf_ti_set *s, const struct cf_ti_entry *e, char buf[80])
{
    const uint8_t *p = (const uint8_t *)s->text + e->value_off;
    struct cf_ip ip = {{0}};
    size_t n, k = e->value_n;

    switch ((enum cf_ti_type)e->type) {
    case CF_TI_IPV4:
    case CF_TI_IPV6:
    case CF_TI_CIDR:
        if (e->type == CF_TI_CIDR)
            k--;
        if (k == 4)
            ip.b[10] = ip.b[11] = 0xff;
        memcpy(ip.b + (k == 4 ? 12 : 0), p, k);
        n = cf_ip_format(&ip, buf);
        if (e->type == CF_TI_CIDR)
            n += (size_t)snprintf(buf + n, 80 - n, "/%u", p[k]);
        return cf_str_n(buf, n);
    case CF_TI_MD5:
    case CF_TI_SHA1:
    case CF_TI_SHA256:
    case CF_TI_JA3:
    case CF_TI_CERT:
        cf_hex(p, k, buf);
        return cf_str_n(buf, 2 * k);
    default: return cf_str_n((const char *)p, k);
    }
}

/* ---- look-ups ------------------------------------------------------------------------------------------------------------- */

/* "field=value" lines, all of which must hold. */
static bool cond_holds(const char *cond, const struct cf_event *ev)
{
    cf_str rest = cf_str_c(cond), line, name;

    while (cf_str_cut(&rest, '\n', &line)) {
        const struct cf_value *v;
        bool any = false;

        (void)cf_str_cut(&line, '=', &name);
        for (v = cf_event_find(ev, name); v && !any; v = cf_event_next(ev, v))
            any = cf_str_ieq((cf_str){v->p, v->n}, line);
        if (!any)
            return false;
    }
    return true;
}

struct ask {
    const struct cf_ti_set *s;
    const struct cf_event *ev;
    uint32_t now_s;
    bool whole; /* the key is the whole name, not a suffix of it */
    const struct cf_ti_entry *best;
};

static __attribute__((noinline)) void probe(struct ask *a, const struct key *k, uint64_t h)
{
    const struct cf_ti_set *s = a->s;

    for (size_t at = (size_t)(h & s->mask); s->slot[at].entry; at = (at + 1) & (size_t)s->mask) {
        const struct cf_ti_entry *e = &s->entry[s->slot[at].entry - 1];
        struct key x;

        if (s->slot[at].fp != (uint32_t)(h >> 24))
            continue;
        stored_key(s, e, &x);
        if (x.kind != k->kind || x.bits != k->bits || x.n != k->n || memcmp(x.p, k->p, k->n) != 0)
            continue;
        if (e->until_s <= a->now_s || (a->best && a->best->confidence >= e->confidence) || ((e->flags & FLAG_EXACT) && !a->whole))
            continue;
        if ((e->flags & FLAG_COND) && (!a->ev || !cond_holds(s->text + e->cond_off, a->ev)))
            continue;
        a->best = e;
    }
}

static inline void look(struct ask *a, enum kind kind, unsigned bits, const void *p, size_t n)
{
    uint64_t h = hash_of(kind, bits, p, n);

    if (bloom_has(a->s, h))
        probe(a, &(struct key){kind, bits, n, p}, h);
}

static inline bool has_kind(const struct cf_ti_set *s, enum kind k) { return (s->kinds >> k & 1) != 0; }

static void look_ip(struct ask *a, const struct cf_ip *ip)
{
    const struct cf_ti_set *s = a->s;
    uint8_t net[16];

    a->whole = true;
    if (cf_ip_is4(ip)) {
        size_t top = (size_t)ip->b[12] << 8 | ip->b[13];

        if (!(s->top16[top / 8] >> (top % 8) & 1))
            return;
        if (has_kind(s, K_IP4))
            look(a, K_IP4, 0, ip->b + 12, 4);
        for (size_t i = 0; i < s->n_len4; i++) {
            memcpy(net, ip->b + 12, 4);
            mask_bits(net, 4, s->len4[i]);
            look(a, K_NET4, s->len4[i], net, 4);
        }
        return;
    }
    if (has_kind(s, K_IP6))
        look(a, K_IP6, 0, ip->b, 16);
    for (size_t i = 0; i < s->n_len6; i++) {
        memcpy(net, ip->b, 16);
        mask_bits(net, 16, s->len6[i]);
        look(a, K_NET6, s->len6[i], net, 16);
    }
}

/* name: normal form. Longest suffix first; one with two labels at least. */
static void look_name(struct ask *a, const char *name, size_t n)
{
    const char *p = name, *end = name + n, *last = memrchr(name, '.', n);

    a->whole = true;
    for (int labels = 0; last && p <= last && labels < 12; labels++) {
        const char *dot;

        look(a, K_DOMAIN, 0, p, (size_t)(end - p));
        a->whole = false;
        if (a->best)
            return;
        dot = memchr(p, '.', (size_t)(end - p));
        if (!dot)
            return;
        p = dot + 1;
    }
    a->whole = true;
}

static void look_host(struct ask *a, cf_str s)
{
    char name[256];
    struct cf_ip ip;
    size_t n;

    if (s.n == 0)
        return;
    if ((s.p[s.n - 1] >= '0' && s.p[s.n - 1] <= '9') || memchr(s.p, ':', s.n)) {
        if (cf_ip_parse(s, &ip)) {
            look_ip(a, &ip);
            return;
        }
    }
    if (!has_kind(a->s, K_DOMAIN))
        return;
    n = cf_ti_host(s, name);
    if (n)
        look_name(a, name, n);
}

static void look_url(struct ask *a, cf_str url)
{
    char key[CF_TI_VALUE_MAX + 1];
    size_t n, path, query;

    if (!has_kind(a->s, K_URL) || url.n < 4 || url.p[0] == '/')
        return;
    n = cf_ti_url_key(url, key, &path, &query);
    if (n == 0)
        return;
    a->whole = true;
    look(a, K_URL, 0, key, n);
    if (!a->best && query < n)
        look(a, K_URL, 0, key, query);
}

static void look_hex(struct ask *a, enum kind k, cf_str s)
{
    uint8_t b[32];

    if (has_kind(a->s, k) && hex_bytes(s, b))
        look(a, k, 0, b, s.n / 2);
}

static void look_lower(struct ask *a, enum kind k, cf_str s)
{
    char b[321];

    if (!has_kind(a->s, k) || s.n >= sizeof b)
        return;
    for (size_t i = 0; i < s.n; i++)
        b[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 32) : s.p[i];
    look(a, k, 0, b, s.n);
}

static void look_email(struct ask *a, cf_str s)
{
    const char *at;

    s = cf_str_trim(s);
    at = s.n ? memrchr(s.p, '<', s.n) : NULL; /* "Name <address>" */
    if (at && s.p[s.n - 1] == '>')
        s = cf_str_n(at + 1, s.n - (size_t)(at - s.p) - 2);
    look_lower(a, K_EMAIL, s);
    at = s.n ? memchr(s.p, '@', s.n) : NULL;
    if (!a->best && at)
        look_host(a, cf_str_sub(s, (size_t)(at - s.p) + 1, s.n));
}

static void look_text(struct ask *a, enum cf_ti_type type, cf_str s)
{
    struct cf_ip ip;
    struct cf_cidr c;

    a->whole = true;
    switch (type) {
    case CF_TI_IPV4:
    case CF_TI_IPV6:
        if (cf_ip_parse(s, &ip))
            look_ip(a, &ip);
        return;
    case CF_TI_CIDR:
        if (cf_cidr_parse(s, &c))
            look_ip(a, &c.ip);
        return;
    case CF_TI_DOMAIN:
    case CF_TI_ANY: look_host(a, s); return;
    case CF_TI_URL: look_url(a, s); return;
    case CF_TI_MD5: /* by length: sources put any of them anywhere */
    case CF_TI_SHA1:
    case CF_TI_SHA256: look_hex(a, s.n == 32 ? K_MD5 : s.n == 40 ? K_SHA1 : K_SHA256, s); return;
    case CF_TI_JA3: look_hex(a, K_JA3, s); return;
    case CF_TI_CERT: look_hex(a, K_CERT, s); return;
    case CF_TI_EMAIL: look_email(a, s); return;
    case CF_TI_JA4: look_lower(a, K_JA4, s); return;
    case CF_TI_ACCOUNT: look_lower(a, K_ACCOUNT, s); return;
    case CF_TI_WALLET:
        if (has_kind(a->s, K_WALLET))
            look(a, K_WALLET, 0, s.p, s.n);
        return;
    }
}

const struct cf_ti_entry *cf_ti_find(const struct cf_ti_set *s, enum cf_ti_type type, cf_str text, uint32_t now_s, const struct cf_event *ev)
{
    struct ask a = {.s = s, .ev = ev, .now_s = now_s};

    if (s && s->n && text.n)
        look_text(&a, type, text);
    return a.best;
}

const struct cf_ti_field cf_ti_fields[] = {
    {CF_F_SOURCE_IP, CF_TI_IPV4}, {CF_F_DESTINATION_IP, CF_TI_IPV4}, {CF_F_CLIENT_IP, CF_TI_IPV4}, {CF_F_SERVER_IP, CF_TI_IPV4},
    {CF_F_SOURCE_NAT_IP, CF_TI_IPV4}, {CF_F_DESTINATION_NAT_IP, CF_TI_IPV4}, {CF_F_DNS_RESOLVED_IP, CF_TI_IPV4}, {CF_F_DNS_ANSWERS_DATA, CF_TI_ANY},
    {CF_F_DNS_QUESTION_NAME, CF_TI_DOMAIN}, {CF_F_DESTINATION_DOMAIN, CF_TI_ANY}, {CF_F_URL_DOMAIN, CF_TI_ANY}, {CF_F_TLS_CLIENT_SERVER_NAME, CF_TI_ANY},
    {CF_F_SERVER_DOMAIN, CF_TI_ANY}, {CF_F_SOURCE_DOMAIN, CF_TI_ANY}, {CF_F_URL_FULL, CF_TI_URL}, {CF_F_URL_ORIGINAL, CF_TI_URL},
    {CF_F_HTTP_REQUEST_REFERRER, CF_TI_URL}, {CF_F_FILE_HASH_MD5, CF_TI_MD5}, {CF_F_FILE_HASH_SHA1, CF_TI_SHA1}, {CF_F_FILE_HASH_SHA256, CF_TI_SHA256},
    {CF_F_PROCESS_HASH_MD5, CF_TI_MD5}, {CF_F_PROCESS_HASH_SHA1, CF_TI_SHA1}, {CF_F_PROCESS_HASH_SHA256, CF_TI_SHA256},
    {CF_F_EMAIL_FROM_ADDRESS, CF_TI_EMAIL}, {CF_F_EMAIL_TO_ADDRESS, CF_TI_EMAIL}, {CF_F_USER_EMAIL, CF_TI_EMAIL}, {CF_F_TLS_CLIENT_JA3, CF_TI_JA3},
    {CF_F_TLS_SERVER_JA3S, CF_TI_JA3}, {CF_F_TLS_CLIENT_JA4, CF_TI_JA4},
    {CF_F_USER_NAME, CF_TI_ACCOUNT}, {CF_F_SOURCE_USER_NAME, CF_TI_ACCOUNT},
};
const size_t cf_ti_n_fields = sizeof cf_ti_fields / sizeof *cf_ti_fields;

/* A proxy or web server that writes host and path apart. */
static void look_parts(struct ask *a, const struct cf_event *ev)
{
    cf_str host = cf_event_get(ev, CF_F_URL_DOMAIN), path = cf_event_get(ev, CF_F_URL_ORIGINAL), query = CF_STR_NONE;
    char b[CF_TI_VALUE_MAX + 1];

    if (!path.n || path.p[0] != '/') {
        path = cf_event_get(ev, CF_F_URL_PATH);
        query = cf_event_get(ev, CF_F_URL_QUERY);
    }
    if (!host.n || host.n > 253 || !path.n || path.p[0] != '/' || host.n + path.n + query.n + 1 > CF_TI_VALUE_MAX)
        return;
    memcpy(b, host.p, host.n);
    memcpy(b + host.n, path.p, path.n);
    if (query.n) {
        b[host.n + path.n] = '?';
        memcpy(b + host.n + path.n + 1, query.p, query.n);
        query.n++;
    }
    look_url(a, cf_str_n(b, host.n + path.n + query.n));
}

/* Certificates have no field of their own; looked for only when there are fingerprints to match. */
static cf_str cert_of(const struct cf_event *ev)
{
    const struct cf_value *v = cf_event_find(ev, CF_STR("tls.server.hash.sha256"));

    if (!v)
        v = cf_event_find(ev, CF_STR("tls.server.hash.sha1"));
    return v ? (cf_str){v->p, v->n} : CF_STR_NONE;
}

static size_t keep(struct cf_ti_found *ret, size_t n, const struct cf_ti_entry *e, enum cf_field f, cf_str v)
{
    for (size_t i = 0; i < n; i++)
        if (ret[i].entry == e)
            return n;
    if (n < CF_TI_FOUND_MAX)
        ret[n++] = (struct cf_ti_found){e, f, v};
    return n;
}

size_t cf_ti_match_event(const struct cf_ti_set *s, const struct cf_event *ev, uint32_t now_s, struct cf_ti_found ret[CF_TI_FOUND_MAX])
{
    struct ask a = {.s = s, .ev = ev, .now_s = now_s};
    size_t n = 0;

    if (!s->n)
        return 0;
    for (size_t i = 0; i < cf_ti_n_fields; i++) {
        enum cf_field f = (enum cf_field)cf_ti_fields[i].field;

        if (!ev->slot[f])
            continue;
        for (const struct cf_value *v = cf_event_val(ev, f); v; v = cf_event_next(ev, v)) {
            if (v->n == 0 || v->n > CF_TI_VALUE_MAX)
                continue;
            a.best = NULL;
            look_text(&a, (enum cf_ti_type)cf_ti_fields[i].as, (cf_str){v->p, v->n});
            if (a.best)
                n = keep(ret, n, a.best, f, (cf_str){v->p, v->n});
        }
    }
    if (has_kind(s, K_URL) && ev->slot[CF_F_URL_DOMAIN] && !ev->slot[CF_F_URL_FULL]) {
        a.best = NULL;
        look_parts(&a, ev);
        if (a.best)
            n = keep(ret, n, a.best, CF_F_URL_DOMAIN, cf_event_get(ev, CF_F_URL_DOMAIN));
    }
    if (has_kind(s, K_CERT)) {
        cf_str cert = cert_of(ev);

        a.best = NULL;
        if (cert.n)
            look_text(&a, CF_TI_CERT, cert);
        if (a.best)
            n = keep(ret, n, a.best, CF_F_EXTRA, cert);
    }
    return n;
}
