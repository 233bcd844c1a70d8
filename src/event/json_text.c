/* SPDX-License-Identifier: Apache-2.0 */
#include "event/json_text.h"

bool cf_json_number(cf_str s)
{
    size_t i = 0, from;

    if (i < s.n && s.p[i] == '-')
        i++;
    from = i;
    while (i < s.n && (unsigned char)(s.p[i] - '0') < 10)
        i++;
    if (i == from || (s.p[from] == '0' && i > from + 1))
        return false;
    if (i < s.n && s.p[i] == '.') {
        from = ++i;
        while (i < s.n && (unsigned char)(s.p[i] - '0') < 10)
            i++;
        if (i == from)
            return false;
    }
    if (i < s.n && (s.p[i] | 0x20) == 'e') {
        i++;
        if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
            i++;
        from = i;
        while (i < s.n && (unsigned char)(s.p[i] - '0') < 10)
            i++;
        if (i == from)
            return false;
    }
    return i == s.n;
}

char *cf_json_special(char *o, const char *p, const char *end, struct cf_buf *slow)
{
    for (;;) {
        const char *from = p;
        while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\' && (unsigned char)*p < 0x80)
            p++;
        memcpy(o, from, (size_t)(p - from));
        o += p - from;
        if (p == end)
            return o;
        if (*p == '"' || *p == '\\') {
            *o++ = '\\';
            *o++ = *p++;
            continue;
        }
        cf_buf_clear(slow);
        cf_buf_json(slow, cf_str_n(p, (size_t)(end - p)));
        if (slow->failed)
            return o;
        memcpy(o, slow->p + 1, slow->n - 2);
        return o + slow->n - 2;
    }
}
