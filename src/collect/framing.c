/* SPDX-License-Identifier: Apache-2.0
 * Stream -> records; see framing.h. */
#include "collect/framing.h"

static cf_str strip(const char *p, size_t n)
{
    while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r' || p[n - 1] == '\0'))
        n--;
    return (cf_str){p, n};
}

/* "digits space": the count's value and the bytes it takes; 0 when more bytes are needed, -1 when it is no count. */
static int octet_count(const char *p, size_t n, uint64_t *ret)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n && i < 10; i++) {
        if (p[i] == ' ' && i > 0) {
            *ret = v;
            return (int)i + 1;
        }
        if (p[i] < '0' || p[i] > '9' || (i == 0 && p[i] == '0'))
            return -1;
        v = v * 10 + (uint64_t)(p[i] - '0');
    }
    return n < 10 ? 0 : -1;
}

/* Octet counting is "MSGLEN SP <PRI>"; anything else is lines. False: more bytes are needed to tell. */
static bool detect(struct cf_framing *f, const char *p, size_t n)
{
    uint64_t v;
    int k = octet_count(p, n, &v);

    if (k == 0)
        return false;
    if (k > 0 && n == (size_t)k)
        return false;
    f->mode = k > 0 && p[k] == '<' ? CF_FRAMING_OCTET : CF_FRAMING_LF;
    return true;
}

static size_t next_lines(struct cf_framing *f, const char *p, size_t n, cf_str *recs, size_t max_recs, size_t *ret_n)
{
    size_t at = 0, k = 0;

    while (at < n && k < max_recs) {
        const char *lf = memchr(p + at, '\n', n - at);
        size_t len = lf ? (size_t)(lf - p) - at : n - at;

        if (f->skip_line) {
            f->skip_line = !lf;
            at += len + (lf ? 1 : 0);
            continue;
        }
        if (!lf && len <= f->max)
            break;
        if (len > f->max) {
            f->cut++;
            f->skip_line = !lf;
            recs[k++] = (cf_str){p + at, f->max};
        } else {
            cf_str r = strip(p + at, len);

            if (r.n)
                recs[k++] = r;
        }
        at += len + (lf ? 1 : 0);
    }
    *ret_n = k;
    return at;
}

static int next_octets(struct cf_framing *f, const char *p, size_t n, cf_str *recs, size_t max_recs, size_t *ret_n, size_t *ret_used)
{
    size_t at = 0, k = 0;
    int r = 0;

    while (at < n && k < max_recs) {
        uint64_t len;
        int head;

        if (f->skip) {
            size_t drop = f->skip < n - at ? (size_t)f->skip : n - at;

            f->skip -= drop;
            at += drop;
            continue;
        }
        if (p[at] == '\n' || p[at] == '\r') { /* senders that count and end the line as well */
            at++;
            continue;
        }
        head = octet_count(p + at, n - at, &len);
        if (head == 0)
            break;
        if (head < 0) {
            r = CF_ESYNTAX;
            break;
        }
        if (n - at - (size_t)head < (len < f->max ? len : f->max))
            break;
        at += (size_t)head;
        if (len > f->max) {
            recs[k++] = (cf_str){p + at, f->max};
            at += f->max;
            f->skip = len - f->max;
            f->cut++;
        } else {
            cf_str rec = strip(p + at, (size_t)len);

            if (rec.n)
                recs[k++] = rec;
            at += (size_t)len;
        }
    }
    *ret_n = k;
    *ret_used = at;
    return r;
}

int cf_framing_next(struct cf_framing *f, const char *p, size_t n, cf_str *recs, size_t max_recs, size_t *ret_n, size_t *ret_used)
{
    *ret_n = *ret_used = 0;
    if (n == 0 || (f->mode == CF_FRAMING_UNKNOWN && !detect(f, p, n)))
        return 0;
    if (f->mode == CF_FRAMING_OCTET)
        return next_octets(f, p, n, recs, max_recs, ret_n, ret_used);
    *ret_used = next_lines(f, p, n, recs, max_recs, ret_n);
    return 0;
}

bool cf_framing_end(struct cf_framing *f, const char *p, size_t n, cf_str *ret)
{
    if (n == 0 || f->mode == CF_FRAMING_OCTET || f->skip_line)
        return false;
    *ret = strip(p, n < f->max ? n : f->max);
    return ret->n > 0;
}
