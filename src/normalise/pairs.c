/* SPDX-License-Identifier: Apache-2.0
 * The scanners of key=value and CSV. */
#include "normalise/pairs_int.h"

static bool is_sep(const struct cf_kv_style *st, char c)
{
    for (size_t i = 0; i < sizeof st->sep && st->sep[i]; i++)
        if (st->sep[i] == c)
            return true;
    return false;
}

static cf_str trim_key(cf_str k)
{
    k = cf_str_trim(k);
    while (k.n && (k.p[0] == '(' || k.p[0] == '[' || k.p[0] == '"'))
        k = cf_str_sub(k, 1, k.n);
    while (k.n && k.p[k.n - 1] == '"')
        k.n--;
    return k;
}

static const bool plain_key_chars[256] = {['0' ... '9'] = true, ['a' ... 'z'] = true, ['A' ... 'Z'] = true},
                  gaps[256] = {[' '] = true, ['\t'] = true, ['\n'] = true, ['\r'] = true};
static inline bool plain_key_char(char c) { return plain_key_chars[(unsigned char)c]; }

/* auditd: msg='op=login acct="x" res=success': the pairs inside count. */
static inline bool opens_pairs(cf_str key, const char *p, const char *end)
{
    return p < end && *p == '\'' && key.n == 3 && memcmp(key.p, "msg", 3) == 0 && memchr(p, '=', (size_t)(end - p));
}

/* A value without quotes, less the apostrophe that closes what opens_pairs opened. */
static inline cf_str bare_value(const char *from, const char *to, bool blank_sep)
{
    cf_str val = cf_str_n(from, (size_t)(to - from));

    if (val.n && val.p[val.n - 1] == '\'' && val.p[0] != '\'')
        val.n--;
    return blank_sep ? val : cf_str_trim(val);
}

/* A value in quotes q that opens at *p; *p is set behind it. False: it is an apostrophe, not a quote. */
static inline bool quoted_value(const char **p, const char *end, char q, cf_str *val, struct cf_arena *a)
{
    const char *from = *p + 1, *e = find2(from, end, q, '\\');
    bool esc = false;

    while (e < end && *e == '\\') {
        if (e + 1 >= end) {
            e = end;
            break;
        }
        esc = true;
        e = find2(e + 2 < end ? e + 2 : end, end, q, '\\');
    }
    if (e >= end && q == '\'')
        return false;
    *val = cf_str_n(from, (size_t)(e - from));
    if (esc)
        *val = cf_unescape(*val, "\"'", a);
    *p = e < end ? e + 1 : end;
    return true;
}

#ifdef __SSE2__
static inline unsigned equal16(const char *p, char a, char b)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(a)), _mm_cmpeq_epi8(v, _mm_set1_epi8(b))));
}

/* The expected key and the sign of assignment behind it stand at p, where 16 bytes may be read. Such keys hold nothing that ends
 * a key. */
static inline bool key_is(const struct cf_known_key *k, __m128i text)
{
    __m128i same = _mm_cmpeq_epi8(text, _mm_loadu_si128((const __m128i *)(const void *)k->head));

    return ((unsigned)_mm_movemask_epi8(same) & k->mask) == k->want;
}

/* Length of a key of letters and digits at its ends, shorter than 16, in front of assign; 0: look more closely. */
static inline unsigned short_key(const char *p, char assign)
{
    unsigned m = equal16(p, assign, ' '), n;

    if (!m)
        return 0;
    n = (unsigned)__builtin_ctz(m);
    return n && p[n] == assign && plain_key_char(p[0]) && plain_key_char(p[n - 1]) ? n : 0;
}

_Static_assert(CF_V_STR == 0 && CF_G_FREE == 0 && sizeof(struct cf_pair) == offsetof(struct cf_pair, leaf) + 8 && offsetof(struct cf_pair, ent) == offsetof(struct cf_pair, leaf) + 6,
               "what stands behind key and value is one word");

/* A free pair of text, in few stores. */
static inline void fill_pair(struct cf_pair *p, const char *key, size_t key_n, const char *val, size_t val_n, uint16_t ent)
{
    uint64_t rest = (uint64_t)ent << 48;

    p->key = (cf_str){key, key_n};
    p->val = (cf_str){val, val_n};
    memcpy(&p->leaf, &rest, sizeof rest);
}

#define SHORT_PAIR 34 /* bytes that are looked at for one */

/* Pairs whose key and value are shorter than 16 bytes each, blanks between them, as long as the text goes on for SHORT_PAIR bytes
 * or more. Returns where the first that is not so stands. */
static const char *short_pairs(const char *p, const char *end, char assign, struct cf_pairs *ret)
{
    const struct cf_key_guide g = ret->guide;
    uint16_t at = g.at;
    struct cf_pair *out = ret->v + ret->n, *full = ret->v + CF_PAIRS_MAX;

    while (end - p >= SHORT_PAIR && out < full) {
        uint16_t ent = at;
        const struct cf_known_key *k = at ? cf_known_at(&g, at) : NULL; /* without a guide there are no keys */
        const char *v, *key = p;
        size_t m, n;
        __m128i text = _mm_loadu_si128((const __m128i *)(const void *)p);
        if (k && key_is(k, text)) {
            n = k->plain;
            at = k->next;
        } else if (k && (ent = k->next) && key_is(k = cf_known_at(&g, ent), text)) {
            ret->guide.strayed = true;
            n = k->plain;
            at = k->next;
        } else if (gaps[(unsigned char)*p]) {
            p++;
            continue;
        } else {
            n = short_key(p, assign);
            if (!n)
                break;
            ret->guide.strayed = true;
            ent = 0;
        }
        v = p + n + 1;
        if (*v == '"') {
            m = equal16(++v, '"', '\\');
            if (!m || v[m = (size_t)__builtin_ctz((unsigned)m)] == '\\')
                break;
            p = v + m + 1;
        } else {
            m = equal16(v, ' ', '\'');
            if (!m || v[m = (size_t)__builtin_ctz((unsigned)m)] == '\'')
                break;
            p = v + m;
        }
        fill_pair(out++, key, n, v, m, ent);
        if (*p == ' ') {
            __asm__ volatile(""); /* stays a branch: adding the comparison would make the next pair wait for it */
            p++;
        }
    }
    ret->n = (size_t)(out - ret->v);
    ret->guide.at = at;
    return p;
}

/* The same for the end of the text: a copy with a blank and zeros behind it. */
static const char *last_pairs(const char *p, const char *end, char assign, struct cf_pairs *ret)
{
    char copy[2 * SHORT_PAIR] = {0};
    size_t n = (size_t)(end - p), from = ret->n;
    const char *stop;

    memcpy(copy, p, n);
    copy[n] = ' ';
    stop = short_pairs(copy, copy + n + SHORT_PAIR, assign, ret);
    for (size_t i = from; i < ret->n; i++) {
        ret->v[i].key.p = p + (ret->v[i].key.p - copy);
        ret->v[i].val.p = p + (ret->v[i].val.p - copy);
    }
    return stop < copy + n ? p + (stop - copy) : end;
}
#else
#define SHORT_PAIR 0
static const char *last_pairs(const char *p, const char *end, char assign, struct cf_pairs *ret)
{
    (void)end, (void)assign, (void)ret;
    return p;
}
static const char *short_pairs(const char *p, const char *end, char assign, struct cf_pairs *ret)
{
    (void)end, (void)assign, (void)ret;
    return p;
}
#endif

/* The usual case of one separator character. The same rules as below. */
static int one_sep_pairs(cf_str s, const struct cf_kv_style *st, struct cf_arena *a, struct cf_pairs *ret)
{
    const char *p = s.p, *end = s.p + s.n;
    char sep = st->sep[0], assign = st->assign;
    bool blank_sep = sep == ' ';

    while (p < end) {
        const char *from;
        cf_str key, val;
        if (blank_sep)
            p = short_pairs(p, end, assign, ret);
        if (blank_sep && end - p < SHORT_PAIR)
            p = last_pairs(p, end, assign, ret);
        while (p < end && (gaps[(unsigned char)*p] || *p == sep))
            p++;
        from = p;
        p = find2(p, end, assign, sep);
        if (p >= end || *p != assign)
            continue; /* a word without value */
        key = cf_str_n(from, (size_t)(p - from));
        if (!key.n || !plain_key_char(key.p[0]) || !plain_key_char(key.p[key.n - 1]))
            key = trim_key(key);
        p++;
        while (!blank_sep && p < end && *p == ' ')
            p++;
        if (opens_pairs(key, p, end)) {
            p++;
            continue;
        }
        if (p < end && (*p == '"' || *p == '\'') && quoted_value(&p, end, *p, &val, a)) {
            ret->guide.strayed = true;
            if (key.n - 1 < 128 && !cf_pair_add(ret, key, val, CF_V_STR))
                return CF_ELIMIT;
            continue;
        }
        from = p;
        p = find2(p, end, sep, sep);
        val = bare_value(from, p, blank_sep);
        ret->guide.strayed = true;
        if (key.n && key.n <= 128 && !cf_pair_add(ret, key, val, CF_V_STR))
            return CF_ELIMIT;
    }
    cf_guide_done(ret);
    return 0;
}

/* Several separator characters, or none. */
static int many_sep_pairs(cf_str s, const struct cf_kv_style *st, struct cf_arena *a, struct cf_pairs *ret)
{
    const char *p = s.p, *end = s.p + s.n;
    bool blank_sep = is_sep(st, ' ');

    while (p < end) {
        const char *from;
        cf_str key, val;
        while (p < end && (is_sep(st, *p) || gaps[(unsigned char)*p]))
            p++;
        from = p;
        while (p < end && *p != st->assign && !is_sep(st, *p))
            p++;
        if (p >= end || *p != st->assign)
            continue; /* a word without value */
        key = trim_key(cf_str_n(from, (size_t)(p - from)));
        p++;
        while (!blank_sep && p < end && *p == ' ')
            p++;
        if (opens_pairs(key, p, end)) {
            p++;
            continue;
        }
        if (p >= end || (*p != '"' && *p != '\'') || !quoted_value(&p, end, *p, &val, a)) {
            from = p;
            while (p < end && !is_sep(st, *p))
                p++;
            val = bare_value(from, p, blank_sep);
        }
        if (key.n && key.n <= 128 && !cf_pair_add(ret, key, val, CF_V_STR))
            return CF_ELIMIT;
    }
    return 0;
}

int cf_kv_parse(cf_str s, const struct cf_kv_style *st, struct cf_arena *a, struct cf_pairs *ret, struct cf_error *reterr)
{
    size_t had = ret->n;
    int r;

    if (st->spaced)
        r = cf_spaced_pairs(s, st->assign, a, "=\"", ret);
    else if (st->sep[0] && !st->sep[1])
        r = one_sep_pairs(s, st, a, ret);
    else
        r = many_sep_pairs(s, st, a, ret);
    return r < 0 || ret->n > had ? r : cf_error_set(reterr, CF_ESYNTAX, "no key%cvalue pairs", st->assign);
}

int cf_csv_parse(cf_str s, char sep, struct cf_arena *a, cf_str *cols, size_t max, size_t *ret_n, struct cf_error *reterr)
{
    size_t n = 0, i = 0;

    for (;;) {
        if (n == max)
            return cf_error_set(reterr, CF_ELIMIT, "more than %zu columns", max);
        while (sep == ' ' && i < s.n && s.p[i] == ' ')
            i++;
        if (i < s.n && s.p[i] == '"' && sep != '\t') {
            size_t w = 0, from = ++i;
            char *o = NULL;
            while (i < s.n && (s.p[i] != '"' || (i + 1 < s.n && s.p[i + 1] == '"'))) {
                if (s.p[i] == '"') {
                    if (!o) {
                        o = cf_arena_bytes(a, s.n - from);
                        if (!o)
                            return CF_ENOMEM;
                        memcpy(o, s.p + from, i - from);
                        w = i - from;
                    }
                    i++;
                }
                if (o)
                    o[w++] = s.p[i];
                i++;
            }
            cols[n++] = o ? cf_str_n(o, w) : cf_str_n(s.p + from, i - from);
            if (i >= s.n)
                return cf_error_set(reterr, CF_ESYNTAX, "column %zu: the quote is not closed", n);
            i++;
            while (i < s.n && s.p[i] != sep)
                i++;
        } else {
            const char *e = i < s.n ? memchr(s.p + i, sep, s.n - i) : NULL;
            size_t end = e ? (size_t)(e - s.p) : s.n;
            cols[n++] = cf_str_n(s.p + i, end - i);
            i = end;
        }
        if (i >= s.n)
            break;
        i++;
    }
    *ret_n = n;
    return 0;
}
