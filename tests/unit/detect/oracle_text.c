/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/oracle_int.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <wctype.h>

/* ---- text as code points ---- */

struct text oracle_decode(struct oracle *o, cf_str s)
{
    struct text t = {malloc((s.n + 1) * sizeof(uint32_t)), 0};
    (void)o;
    for (size_t i = 0; i < s.n;) {
        unsigned char b = (unsigned char)s.p[i];
        size_t w = b < 0x80 ? 1 : (b & 0xe0) == 0xc0 ? 2 : (b & 0xf0) == 0xe0 ? 3 : (b & 0xf8) == 0xf0 ? 4 : 1;
        uint32_t v = w == 1 ? b : b & (0x7fu >> w);
        bool ok = i + w <= s.n;
        for (size_t k = 1; ok && k < w; k++) {
            ok = ((unsigned char)s.p[i + k] & 0xc0) == 0x80;
            v = v << 6 | ((unsigned char)s.p[i + k] & 0x3f);
        }
        if (!ok || (w == 1 && b >= 0x80)) { /* a broken byte stands for itself */
            t.c[t.n++] = 0x200000u + b;
            i++;
            continue;
        }
        t.c[t.n++] = v;
        i += w;
    }
    return t;
}

uint32_t oracle_lower(struct oracle *o, uint32_t c)
{
    uint32_t l;
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (c > 0xffff)
        return c;
    l = (uint32_t)towlower_l((wint_t)c, o->loc);
    return l < 0x80 || l > 0xffff ? c : l;
}

bool oracle_like(const uint32_t *p, size_t pn, const uint32_t *s, size_t sn)
{
    bool *row = calloc(sn + 1, 1), r;
    row[0] = true;
    for (size_t i = 0; i < pn; i++) {
        if (p[i] == MANY) {
            for (size_t j = 1; j <= sn; j++)
                row[j] = row[j] || row[j - 1];
        } else {
            for (size_t j = sn; j > 0; j--)
                row[j] = row[j - 1] && (p[i] == ONE || p[i] == s[j - 1]);
            row[0] = false;
        }
    }
    r = row[sn];
    free(row);
    return r;
}

bool oracle_like_text(struct oracle *o, const struct text *pat, cf_str value, bool cased)
{
    struct text t = oracle_decode(o, value);
    uint32_t *p = malloc((pat->n + 1) * sizeof *p);
    bool r;
    for (size_t i = 0; i < pat->n; i++)
        p[i] = cased || pat->c[i] >= MANY ? pat->c[i] : oracle_lower(o, pat->c[i]);
    for (size_t i = 0; i < t.n && !cased; i++)
        t.c[i] = oracle_lower(o, t.c[i]);
    r = oracle_like(p, pat->n, t.c, t.n);
    free(p);
    free(t.c);
    return r;
}

/* ---- values of rules ---- */

struct text oracle_sigma_text(cf_str s)
{
    struct text in = oracle_decode(NULL, s), out = {malloc((s.n + 3) * sizeof(uint32_t)), 0};
    for (size_t i = 0; i < in.n; i++) {
        if (in.c[i] == '\\' && i + 1 < in.n && (in.c[i + 1] == '\\' || in.c[i + 1] == '*' || in.c[i + 1] == '?'))
            out.c[out.n++] = in.c[++i];
        else
            out.c[out.n++] = in.c[i] == '*' ? MANY : in.c[i] == '?' ? ONE : in.c[i];
    }
    free(in.c);
    return out;
}

size_t oracle_utf8(const struct text *t, unsigned char *o)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        uint32_t c = t->c[i];
        if (c >= 0x200000u)
            o[n++] = (unsigned char)(c - 0x200000u);
        else if (c < 0x80)
            o[n++] = (unsigned char)c;
        else if (c < 0x800) {
            o[n++] = (unsigned char)(0xc0 | c >> 6);
            o[n++] = (unsigned char)(0x80 | (c & 63));
        } else if (c < 0x10000) {
            o[n++] = (unsigned char)(0xe0 | c >> 12);
            o[n++] = (unsigned char)(0x80 | ((c >> 6) & 63));
            o[n++] = (unsigned char)(0x80 | (c & 63));
        } else {
            o[n++] = (unsigned char)(0xf0 | c >> 18);
            o[n++] = (unsigned char)(0x80 | ((c >> 12) & 63));
            o[n++] = (unsigned char)(0x80 | ((c >> 6) & 63));
            o[n++] = (unsigned char)(0x80 | (c & 63));
        }
    }
    return n;
}

static struct text bytes_text(const unsigned char *p, size_t n)
{
    struct text t = {malloc((n + 3) * sizeof(uint32_t)), n};
    for (size_t i = 0; i < n; i++)
        t.c[i] = p[i] < 0x80 ? p[i] : 0x200000u + p[i];
    return t;
}

static struct text base64(const unsigned char *p, size_t n)
{
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char *o = malloc(n * 2 + 8);
    size_t k = 0, bits = 0;
    uint32_t acc = 0;
    struct text t;
    for (size_t i = 0; i < n; i++) {
        acc = (acc << 8 | p[i]) & 0xffffff;
        for (bits += 8; bits >= 6; bits -= 6)
            o[k++] = (unsigned char)abc[acc >> (bits - 6) & 63];
    }
    if (bits)
        o[k++] = (unsigned char)abc[acc << (6 - bits) & 63];
    while (k % 4)
        o[k++] = '=';
    t = bytes_text(o, k);
    free(o);
    return t;
}

static bool is_word(uint32_t c) { return c < 0x80 && (isalnum((int)c) || c == '_'); }

static void dashes(struct alts *l, const struct text *t, size_t from)
{
    static const uint32_t d[] = {'-', '/', 0x2013, 0x2014, 0x2015};
    for (size_t i = from; i < t->n; i++) {
        if ((t->c[i] != '-' && t->c[i] != '/') || (i && is_word(t->c[i - 1])) || i + 1 >= t->n || !is_word(t->c[i + 1]))
            continue;
        for (int k = 0; k < 5; k++) {
            struct text x = {malloc((t->n + 3) * sizeof(uint32_t)), t->n};
            memcpy(x.c, t->c, t->n * sizeof(uint32_t));
            x.c[i] = d[k];
            dashes(l, &x, i + 1);
            free(x.c);
        }
        return;
    }
    l->t[l->n].c = malloc((t->n + 3) * sizeof(uint32_t));
    memcpy(l->t[l->n].c, t->c, t->n * sizeof(uint32_t));
    l->t[l->n++].n = t->n;
}

bool oracle_has(cf_str mods, const char *m)
{
    cf_str part;
    while (cf_str_cut(&mods, '|', &part))
        if (cf_str_eqz(part, m))
            return true;
    return false;
}

void oracle_around(struct text *t, bool front, bool back)
{
    uint32_t *c = malloc((t->n + 4) * sizeof *c);
    size_t n = 0;
    if (front)
        c[n++] = MANY;
    memcpy(c + n, t->c, t->n * sizeof *c);
    n += t->n;
    if (back)
        c[n++] = MANY;
    free(t->c);
    *t = (struct text){c, n};
}

void oracle_apply(struct alts *l, cf_str mod)
{
    size_t n = l->n;
    unsigned char *buf = malloc(1 << 20), *w = malloc(1 << 20);
    if (cf_str_eqz(mod, "windash")) {
        struct alts *old = malloc(sizeof *old);
        old->n = l->n;
        memcpy(old->t, l->t, l->n * sizeof *l->t);
        l->n = 0;
        for (size_t i = 0; i < old->n; i++) {
            dashes(l, &old->t[i], 0);
            free(old->t[i].c);
        }
        free(old);
    } else if (cf_str_eqz(mod, "base64offset")) {
        struct text src[400];
        memcpy(src, l->t, n * sizeof *src);
        l->n = 0;
        for (size_t i = 0; i < n; i++) {
            size_t len = oracle_utf8(&src[i], buf + 8);
            for (size_t off = 0; off < 3; off++) {
                struct text b, cutt;
                size_t s = (size_t[]){0, 2, 3}[off], e = (size_t[]){0, 3, 2}[(len + off) % 3];
                memset(buf + 8 - off, ' ', off);
                b = base64(buf + 8 - off, len + off);
                cutt = (struct text){malloc((b.n + 3) * sizeof(uint32_t)), b.n - s - e};
                memcpy(cutt.c, b.c + s, cutt.n * sizeof(uint32_t));
                free(b.c);
                l->t[l->n++] = cutt;
            }
            free(src[i].c);
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            struct text *t = &l->t[i], nt;
            size_t k = 0;
            if (cf_str_eqz(mod, "contains"))
                oracle_around(t, true, true);
            else if (cf_str_eqz(mod, "startswith"))
                oracle_around(t, false, true);
            else if (cf_str_eqz(mod, "endswith"))
                oracle_around(t, true, false);
            else if (cf_str_eqz(mod, "base64")) {
                k = oracle_utf8(t, buf);
                nt = base64(buf, k);
                free(t->c);
                *t = nt;
            } else if (cf_str_eqz(mod, "wide") || cf_str_eqz(mod, "utf16le") || cf_str_eqz(mod, "utf16be") || cf_str_eqz(mod, "utf16")) {
                bool be = cf_str_eqz(mod, "utf16be");
                if (cf_str_eqz(mod, "utf16")) {
                    w[k++] = 0xff;
                    w[k++] = 0xfe;
                }
                for (size_t j = 0; j < t->n; j++) {
                    uint32_t u = t->c[j];
                    uint32_t parts[2] = {u > 0xffff ? 0xd800 + ((u - 0x10000) >> 10) : u, u > 0xffff ? 0xdc00 + ((u - 0x10000) & 0x3ff) : 0};
                    for (int q = 0; q < (u > 0xffff ? 2 : 1); q++) {
                        w[k++] = (unsigned char)(be ? parts[q] >> 8 : parts[q]);
                        w[k++] = (unsigned char)(be ? parts[q] : parts[q] >> 8);
                    }
                }
                nt = bytes_text(w, k);
                free(t->c);
                *t = nt;
            }
        }
    }
    free(buf);
    free(w);
}

static bool address(cf_str s, unsigned char out[16])
{
    char z[64];
    if (s.n >= sizeof z)
        return false;
    memcpy(z, s.p, s.n);
    z[s.n] = 0;
    memset(out, 0, 16);
    out[10] = out[11] = 0xff;
    return inet_pton(AF_INET, z, out + 12) == 1 || inet_pton(AF_INET6, z, out) == 1;
}

bool oracle_in_net(cf_str net, cf_str v)
{
    cf_str base;
    unsigned char a[16], b[16];
    int64_t bits;
    bool v4 = !memchr(net.p, ':', net.n);
    if (!cf_str_cut(&net, '/', &base) || !address(base, a) || !address(v, b))
        return false;
    if (!cf_str_i64(net, &bits))
        bits = v4 ? 32 : 128;
    bits += v4 ? 96 : 0;
    for (int i = 0; i < bits; i++)
        if (((a[i / 8] ^ b[i / 8]) >> (7 - i % 8)) & 1)
            return false;
    return true;
}

/* "%name%" of a value replaced by each entry of the list of that name. */
void oracle_expand(struct oracle *o, struct alts *l, cf_str v)
{
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '\\' && i + 1 < v.n) { /* what follows is no beginning */
            i++;
            continue;
        }
        for (size_t j = i + 1; v.p[i] == '%' && j < v.n && (isalnum((unsigned char)v.p[j]) || strchr("_-.%", v.p[j])); j++) {
            const struct cf_ynode *list = NULL;
            if (v.p[j] != '%')
                continue;
            if (j == i + 1)
                break;
            for (const struct cf_ynode *n = o->placeholders ? o->placeholders->child : NULL; n; n = n->next)
                if (cf_str_ieq(n->key, cf_str_sub(v, i + 1, j - i - 1)))
                    list = n;
            for (const struct cf_ynode *e = list && list->kind == CF_Y_SEQ ? list->child : NULL; e; e = e->next) {
                char x[2048];
                int n = snprintf(x, sizeof x, "%.*s%.*s%.*s", (int)i, v.p, CF_ARG(e->text), (int)(v.n - j - 1), v.p + j + 1);
                oracle_expand(o, l, cf_arena_copy(&o->tmp, (cf_str){x, (size_t)n}));
            }
            return;
        }
    }
    l->t[l->n] = oracle_sigma_text(v);
    for (size_t i = 0; i + 1 < l->t[l->n].n; i++) /* "\%" is a plain percent sign */
        if (l->t[l->n].c[i] == '\\' && l->t[l->n].c[i + 1] == '%') {
            memmove(l->t[l->n].c + i, l->t[l->n].c + i + 1, (l->t[l->n].n - i - 1) * sizeof(uint32_t));
            l->t[l->n].n--;
        }
    l->n++;
}
