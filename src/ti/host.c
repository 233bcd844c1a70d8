/* SPDX-License-Identifier: Apache-2.0
 * Host names in one form: lower case, no final dot, labels that are not ASCII as punycode (RFC 3492). */
#include "ti/value.h"

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static unsigned puny_adapt(unsigned delta, unsigned points, bool first)
{
    unsigned k = 0;

    delta = first ? delta / 700 : delta / 2;
    delta += delta / points;
    for (; delta > 455; k += 36)
        delta /= 35;
    return k + 36 * delta / (delta + 38);
}

static char puny_digit(unsigned d) { return (char)(d < 26 ? 'a' + d : '0' + (d - 26)); }

static bool utf8_points(cf_str s, uint32_t *cp, size_t cap, size_t *ret)
{
    size_t n = 0;

    if (!cf_utf8_valid(s))
        return false;
    for (size_t i = 0; i < s.n;) {
        uint8_t c = (uint8_t)s.p[i];
        size_t k = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        uint32_t v = k == 1 ? c : c & (0x7fu >> k);

        for (size_t j = 1; j < k; j++)
            v = v << 6 | ((uint8_t)s.p[i + j] & 0x3f);
        if (n == cap)
            return false;
        cp[n++] = v;
        i += k;
    }
    *ret = n;
    return true;
}

/* RFC 3492: one label of UTF-8 as "xn--...". Length, 0: not possible. */
static size_t puny_label(cf_str label, char *out, size_t cap)
{
    uint32_t cp[64];
    size_t n = 0, len;
    unsigned next = 128, delta = 0, bias = 72, done, basic = 0;

    if (cap < 5 || !utf8_points(label, cp, 64, &len))
        return 0;
    memcpy(out, "xn--", 4);
    n = 4;
    for (size_t i = 0; i < len; i++)
        if (cp[i] < 128) {
            if (n + 1 >= cap)
                return 0;
            out[n++] = lower((char)cp[i]);
            basic++;
        }
    done = basic;
    if (basic && n < cap)
        out[n++] = '-';
    while (done < len) {
        uint32_t m = UINT32_MAX;

        for (size_t i = 0; i < len; i++)
            if (cp[i] >= next && cp[i] < m)
                m = cp[i];
        delta += (m - next) * (done + 1);
        next = m;
        for (size_t i = 0; i < len; i++) {
            if (cp[i] < next)
                delta++;
            if (cp[i] != next)
                continue;
            for (unsigned q = delta, k = 36;; k += 36) {
                unsigned t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;

                if (n + 1 >= cap)
                    return 0;
                if (q < t) {
                    out[n++] = puny_digit(q);
                    break;
                }
                out[n++] = puny_digit(t + (q - t) % (36 - t));
                q = (q - t) / (36 - t);
            }
            bias = puny_adapt(delta, done + 1, done == basic);
            delta = 0;
            done++;
        }
        delta++;
        next++;
    }
    return n;
}

#define AZ(c) [c] = c, [c - 32] = c
static const uint8_t host_chars[256] = {AZ('a'), AZ('b'), AZ('c'), AZ('d'), AZ('e'), AZ('f'), AZ('g'), AZ('h'), AZ('i'), AZ('j'), AZ('k'), AZ('l'), AZ('m'), AZ('n'),
                                        AZ('o'), AZ('p'), AZ('q'), AZ('r'), AZ('s'), AZ('t'), AZ('u'), AZ('v'), AZ('w'), AZ('x'), AZ('y'), AZ('z'),
                                        ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9',
                                        ['-'] = '-', ['_'] = '_'};
#undef AZ

/* A name of ASCII labels without anything unusual; 0: to be read slowly. */
static size_t plain_host(cf_str s, char *out)
{
    size_t from = 0;

    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = host_chars[(uint8_t)s.p[i]];

        if (c == 0) {
            if (s.p[i] != '.' || i == from || i - from > 63)
                return 0;
            from = i + 1;
            c = '.';
        }
        out[i] = (char)c;
    }
    if (from == s.n || s.n - from > 63)
        return 0;
    out[s.n] = '\0';
    return s.n;
}

size_t cf_ti_host(cf_str s, char out[256])
{
    size_t n = 0;
    cf_str label;

    if (s.n && s.p[s.n - 1] == '.')
        s.n--;
    if (s.n == 0 || s.n > 253)
        return 0;
    n = plain_host(s, out);
    if (n)
        return n;
    while (cf_str_cut(&s, '.', &label)) {
        bool plain = true;
        size_t k;

        if (label.n == 0)
            return 0;
        if (n)
            out[n++] = '.';
        for (size_t i = 0; i < label.n; i++) {
            char c = lower(label.p[i]);

            if ((unsigned char)c >= 0x80)
                plain = false;
            else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
                return 0;
        }
        if (!plain) {
            k = puny_label(label, out + n, 255 - n);
            if (k == 0)
                return 0;
        } else {
            k = label.n;
            if (n + k > 253)
                return 0;
            for (size_t i = 0; i < k; i++)
                out[n + i] = lower(label.p[i]);
        }
        if (k > 63)
            return 0;
        n += k;
        if (n > 253)
            return 0;
    }
    out[n] = '\0';
    return n;
}
