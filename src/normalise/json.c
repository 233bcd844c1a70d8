/* SPDX-License-Identifier: Apache-2.0
 * JSON above the shim: escapes, and flattening to dotted pairs. */
#include "normalise/formats.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

bool cf_utf8_valid_fast(cf_str s) { return s.n == 0 || cf_utf8_valid_simd(s.p, s.n); }

static int hex4(const char *p, const char *end)
{
    int v = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int c = (unsigned char)p[i], d;
        if (c >= '0' && c <= '9')
            d = c - '0';
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            d = (c | 32) - 'a' + 10;
        else
            return -1;
        v = v * 16 + d;
    }
    return v;
}

static size_t put_utf8(char *o, unsigned c)
{
    if (c < 0x80) {
        o[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        o[0] = (char)(0xc0 | c >> 6);
        o[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        o[0] = (char)(0xe0 | c >> 12);
        o[1] = (char)(0x80 | (c >> 6 & 63));
        o[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    o[0] = (char)(0xf0 | c >> 18);
    o[1] = (char)(0x80 | (c >> 12 & 63));
    o[2] = (char)(0x80 | (c >> 6 & 63));
    o[3] = (char)(0x80 | (c & 63));
    return 4;
}

#define UNESCAPE_SLACK 16 /* plain text is copied in blocks: room behind out */
/* Copies up to the next backslash; where that is, or end. */
static inline const char *copy_plain(const char *p, const char *end, char **o)
{
    const char *b;
#ifdef __SSE2__
    while (end - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        unsigned m = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));

        _mm_storeu_si128((__m128i *)(void *)*o, v);
        if (m) {
            *o += __builtin_ctz(m);
            return p + __builtin_ctz(m);
        }
        *o += 16;
        p += 16;
    }
#endif
    b = memchr(p, '\\', (size_t)(end - p));
    if (!b)
        b = end;
    memcpy(*o, p, (size_t)(b - p));
    *o += b - p;
    return b;
}

/* False: an escape that JSON does not have. *n becomes the unescaped length, never longer than before. */
static bool unescape(const char *p, uint32_t n, char *out, uint32_t *ret_n)
{
    const char *end = p + n;
    char *o = out;

    while (p < end) {
        int c, low;

        p = copy_plain(p, end, &o);
        if (p == end)
            break;
        if (++p == end)
            return false;
        switch (*p++) {
        case '"': *o++ = '"'; break;
        case '\\': *o++ = '\\'; break;
        case '/': *o++ = '/'; break;
        case 'b': *o++ = '\b'; break;
        case 'f': *o++ = '\f'; break;
        case 'n': *o++ = '\n'; break;
        case 'r': *o++ = '\r'; break;
        case 't': *o++ = '\t'; break;
        case 'u':
            c = hex4(p, end);
            if (c < 0)
                return false;
            p += 4;
            if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && (low = hex4(p + 2, end)) >= 0xdc00 &&
                low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                p += 6;
            } else if (c >= 0xd800 && c < 0xe000) {
                c = 0xfffd; /* half a surrogate pair */
            }
            o += put_utf8(o, (unsigned)c);
            break;
        default: return false;
        }
    }
    *ret_n = (uint32_t)(o - out);
    return true;
}

int cf_json_parse(struct cf_json *j, cf_str text, struct cf_arena *a, const struct cf_jnode **ret, size_t *ret_n,
                  struct cf_error *reterr)
{
    const char *why = cf_json_stage(j, text.p, text.n);
    struct cf_jnode *node;
    size_t n;

    if (why)
        return cf_error_set(reterr, CF_ESYNTAX, "not valid JSON: %s", why);
    node = cf_json_nodes(j, &n);
    if (node[0].kind > CF_J_ARR)
        return cf_error_set(reterr, CF_ESYNTAX, "not a JSON object");
    for (size_t i = 0; i < n; i++) {
        if (!node[i].esc)
            continue;
        if (node[i].esc & 1) {
            char *k = cf_arena_bytes(a, node[i].key_n + UNESCAPE_SLACK);
            if (!k)
                return CF_ENOMEM;
            if (!unescape(node[i].key, node[i].key_n, k, &node[i].key_n))
                return cf_error_set(reterr, CF_ESYNTAX, "not valid JSON: unknown escape in a name");
            node[i].key = k;
        }
        if (node[i].esc & 2) {
            char *v = cf_arena_bytes(a, node[i].n + UNESCAPE_SLACK);
            if (!v)
                return CF_ENOMEM;
            if (!unescape(node[i].p, node[i].n, v, &node[i].n))
                return cf_error_set(reterr, CF_ESYNTAX, "not valid JSON: unknown escape in a string");
            node[i].p = v;
        }
    }
    *ret = node;
    *ret_n = n;
    return 0;
}

int cf_json_pairs(const struct cf_jnode *nodes, size_t top, cf_str prefix, struct cf_arena *a, struct cf_pairs *ret)
{
    static const enum cf_vkind kinds[] = {[CF_J_STR] = CF_V_STR, [CF_J_NUM] = CF_V_INT, [CF_J_TRUE] = CF_V_BOOL, [CF_J_FALSE] = CF_V_BOOL, [CF_J_NULL] = CF_V_NULL};
    struct level {
        uint32_t end;
        cf_str name; /* dotted name of the container with a dot behind it, or empty */
    } st[CF_JSON_DEPTH_MAX + 2];
    size_t d = 0;

    if (nodes[top].kind > CF_J_ARR)
        return 0;
    st[0] = (struct level){nodes[top].next, prefix};
    for (size_t i = top + 1; i < nodes[top].next; i++) {
        const struct cf_jnode *n = &nodes[i];
        cf_str name;
        struct cf_pair *p;
        while (i >= st[d].end)
            d--;
        if (!n->key) { /* element of an array: the array's name without its dot */
            name = cf_str_n(st[d].name.p, st[d].name.n ? st[d].name.n - 1 : 0);
        } else if (st[d].name.n == 0) {
            name = cf_str_n(n->key, n->key_n);
        } else {
            char *t = cf_arena_bytes(a, st[d].name.n + n->key_n + 1);
            if (!t)
                return CF_ENOMEM;
            memcpy(t, st[d].name.p, st[d].name.n);
            memcpy(t + st[d].name.n, n->key, n->key_n);
            t[st[d].name.n + n->key_n] = '.';
            name = cf_str_n(t, st[d].name.n + n->key_n);
        }
        if (n->kind <= CF_J_ARR) {
            cf_str c = name;
            if (n->next == i + 1)
                continue;
            if (n->key && st[d].name.n == 0) {
                char *t = cf_arena_bytes(a, name.n + 1);
                if (!t)
                    return CF_ENOMEM;
                memcpy(t, name.p, name.n);
                t[name.n] = '.';
                c = cf_str_n(t, name.n + 1);
            } else {
                c.n = name.n ? name.n + 1 : 0;
            }
            if (d + 1 < sizeof st / sizeof *st)
                st[++d] = (struct level){n->next, c};
            continue;
        }
        p = cf_pair_add(ret, name, cf_str_n(n->p, n->n), kinds[n->kind]);
        if (!p)
            return CF_ELIMIT;
        p->leaf = (uint32_t)(n->key ? name.n - n->key_n : 0);
        if (!n->key) { /* leaf of the array's name */
            const char *dot = name.n ? memrchr(name.p, '.', name.n) : NULL;
            p->leaf = dot ? (uint32_t)(dot + 1 - name.p) : 0;
        }
        if (n->kind == CF_J_NUM && memchr(n->p, '.', n->n))
            p->kind = CF_V_FLOAT;
    }
    return 0;
}
