/* SPDX-License-Identifier: Apache-2.0
 * Which format the lines of a sample have: each votes, and the separators of pairs and columns are tried. */
#include <stdlib.h>

#include "normalise/propose_int.h"

/* key=value with one style: number of pairs when all of them look like pairs, else 0. */
static size_t kv_fits(struct prop *p, cf_str s, const struct cf_kv_style *st, struct cf_pairs *ps)
{
    struct cf_error e;
    size_t covered = 0;

    ps->n = 0;
    if (cf_kv_parse(s, st, p->a, ps, &e) < 0 || ps->n < 3)
        return 0;
    for (size_t i = 0; i < ps->n; i++) {
        cf_str k = ps->v[i].key;
        if (k.n > 48 || memchr(k.p, ' ', k.n) || memchr(k.p, ',', k.n) || memchr(k.p, '<', k.n) || memchr(k.p, '/', k.n) || memchr(k.p, '{', k.n) ||
            (st->assign == ':' && (k.p[0] >= '0' && k.p[0] <= '9')))
            return 0;
        covered += k.n + ps->v[i].val.n + 2;
    }
    return covered * 10 >= s.n * 6 ? ps->n : 0;
}

static const struct cf_kv_style styles[] = {
    {.assign = '=', .sep = " "}, {.assign = '=', .sep = ","}, {.assign = '=', .sep = ";"}, {.assign = '=', .sep = "|"}, {.assign = '=', .sep = "\t"},
    {.assign = '=', .sep = "&"}, {.assign = '=', .sep = " ", .spaced = true},
    {.assign = ':', .sep = ","}, {.assign = ':', .sep = ";"}, {.assign = ':', .sep = "|"}, {.assign = ':', .sep = "\t"}, {.assign = ':', .sep = " "}};
#define N_STYLES (sizeof styles / sizeof *styles)

/* The style that gives most of the lines most of their pairs. -1: none. */
static int kv_style(struct prop *p, struct cf_pairs *ps)
{
    size_t best = 0, n = p->in->n < 60 ? p->in->n : 60;
    int which = -1;

    for (size_t k = 0; k < N_STYLES; k++) {
        size_t lines = 0, pairs = 0, blanks = 0, score;
        for (size_t i = 0; i < n; i++) {
            size_t got = p->kind[i] == PF_NONE ? kv_fits(p, p->msg[i], &styles[k], ps) : 0;
            lines += got > 0;
            pairs += got;
            for (size_t j = 0; j < ps->n && got; j++) /* "a=x y b=z": a stray word says that values hold blanks */
                blanks += styles[k].sep[0] != ' ' && memchr(ps->v[j].val.p ? ps->v[j].val.p : "", '=', ps->v[j].val.n) != NULL;
        }
        score = lines * 1000 + pairs * 4 - (blanks * 3 < pairs * 4 ? blanks * 3 : pairs * 4) - (styles[k].spaced ? 1 : 0);
        if (lines && score > best) {
            best = score;
            which = (int)k;
        }
    }
    return which;
}

/* Values that run over blanks: with separator ' ' words without '=' are left over. */
bool prop_kv_spaced(struct prop *p, const struct cf_kv_style *st)
{
    size_t loose = 0, all = 0;

    if (st->assign != '=' || st->sep[0] != ' ')
        return false;
    for (size_t i = 0; i < p->in->n && i < 60; i++) {
        cf_str rest = p->msg[i], w;
        bool quoted = false, first = true;
        while (p->kind[i] == PF_KV && cf_str_cut(&rest, ' ', &w)) {
            size_t q = 0;
            for (size_t c = 0; c < w.n; c++)
                q += w.p[c] == '"';
            if (!quoted && w.n && !first) {
                all++;
                loose += !memchr(w.p, '=', w.n);
            }
            if (memchr(w.p ? w.p : "", '=', w.n))
                first = false;
            quoted = quoted != (q % 2 == 1);
        }
    }
    return loose * 10 > all;
}

size_t prop_cols(struct prop *p, cf_str s, char sep, cf_str *cols, size_t max)
{
    struct cf_error e;
    size_t n = 0;

    return cf_csv_parse(s, sep, p->a, cols, max, &n, &e) < 0 ? 0 : n;
}

/* The delimiter that gives most lines the same number (at least 4) of columns. */
static char csv_sep(struct prop *p, size_t *ret_n)
{
    static const char seps[] = {',', '\t', '|', ';'};
    cf_str cols[PROP_COLS];
    size_t best = 0;
    char which = 0;

    for (size_t k = 0; k < sizeof seps; k++) {
        size_t seen[PROP_COLS + 1] = {0}, n = 0, common = 0, lines = 0;
        for (size_t i = 0; i < p->in->n && i < 100; i++) {
            if (p->kind[i] != PF_NONE)
                continue;
            lines++;
            n = prop_cols(p, p->msg[i], seps[k], cols, PROP_COLS);
            seen[n]++;
        }
        for (size_t c = 4; c <= PROP_COLS; c++)
            if (seen[c] > seen[common] || common < 4)
                common = seen[c] ? c : common;
        if (common >= 4 && seen[common] * 10 >= lines * 8 && seen[common] * common > best) {
            best = seen[common] * common;
            which = seps[k];
            *ret_n = common;
        }
    }
    return which;
}

/* 192.0.2.1 - bob [21/Nov/2026:06:00:00 +0800] "GET / HTTP/1.1" 200 12 */
static bool is_access(cf_str s)
{
    const char *b = memchr(s.p ? s.p : "", '[', s.n), *e, *q;
    struct cf_stamp st;

    if (!b || !(e = memchr(b, ']', (size_t)(s.p + s.n - b))))
        return false;
    if (!cf_stamp_parse(CF_STR("%d/%b/%Y:%H:%M:%S %z"), cf_str_n(b + 1, (size_t)(e - b) - 1), &st))
        return false;
    q = memchr(e, '"', (size_t)(s.p + s.n - e));
    return q && q - e <= 2;
}

static enum prop_format line_format(struct prop *p, cf_str s, struct cf_json *j)
{
    const struct cf_jnode *nodes;
    struct cf_error e;
    size_t n;

    if (s.n > 4 && memcmp(s.p, "CEF:", 4) == 0)
        return PF_CEF;
    if (s.n > 5 && memcmp(s.p, "LEEF:", 5) == 0)
        return PF_LEEF;
    if (s.n > 1 && s.p[0] == '{' && cf_json_parse(j, s, p->a, &nodes, &n, &e) == 0) {
        if (cf_json_shape(nodes, n) == CF_SHAPE_WIN)
            return PF_WIN;
        return cf_str_find(s, CF_STR("\"event_type\"")) >= 0 && cf_str_find(s, CF_STR("\"flow_id\"")) >= 0 ? PF_EVE : PF_JSON;
    }
    if (s.n > 8 && memcmp(s.p, "#fields", 7) == 0)
        return PF_ZEEK;
    if (s.n > 8 && memcmp(s.p, "#Fields:", 8) == 0)
        return PF_W3C;
    return is_access(s) ? PF_ACCESS : PF_NONE;
}

/* --- keys of each format --- */

void prop_choose_format(struct prop *p, struct cf_json *j, struct cf_pairs *ps, size_t *ret_cols)
{
    size_t votes[PF__COUNT] = {0}, left = 0;
    int style;

    for (size_t i = 0; i < p->in->n; i++) {
        p->kind[i] = line_format(p, p->msg[i], j);
        votes[p->kind[i]]++;
    }
    if (votes[PF_ZEEK] || votes[PF_W3C]) {
        p->format = votes[PF_ZEEK] ? PF_ZEEK : PF_W3C;
        return;
    }
    for (size_t k = PF_JSON; k < PF__COUNT; k++)
        if (votes[k] * 2 > p->in->n)
            p->format = (enum prop_format)k;
    if (p->format != PF_NONE)
        return;
    if ((votes[PF_JSON] + votes[PF_EVE] + votes[PF_WIN]) * 2 > p->in->n) {
        p->format = PF_JSON;
        for (size_t i = 0; i < p->in->n; i++)
            p->kind[i] = p->kind[i] == PF_EVE || p->kind[i] == PF_WIN ? PF_JSON : p->kind[i];
        return;
    }
    style = kv_style(p, ps);
    for (size_t i = 0; style >= 0 && i < p->in->n; i++)
        if (p->kind[i] == PF_NONE && kv_fits(p, p->msg[i], &styles[style], ps)) {
            p->kind[i] = PF_KV;
            votes[PF_KV]++;
        }
    for (size_t i = 0; i < p->in->n; i++)
        left += p->msg[i].n == 0;
    if (style >= 0 && votes[PF_KV] * 2 > p->in->n - left) {
        p->format = PF_KV;
        p->kv = styles[style];
        return;
    }
    for (size_t i = 0; i < p->in->n; i++)
        p->kind[i] = PF_NONE;
    p->sep = csv_sep(p, ret_cols);
    p->format = p->sep && p->in->n - left > 1 ? PF_CSV : PF_TEXT;
}
