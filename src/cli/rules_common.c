/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/rules_common.h"

#include <stdlib.h>

#include "app/server.h"

/* $CF_CACHE ("off": none), $XDG_CACHE_HOME/chengfang, or ~/.cache/chengfang; NULL: none. */
static char *cache_dir(struct cf_arena *a)
{
    const char *own = getenv("CF_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *base;

    if (own && *own)
        return strcmp(own, "off") == 0 ? NULL : cf_path_join(a, own, "rules");
    base = xdg && xdg[0] == '/' ? cf_path_join(a, xdg, "chengfang") : home && home[0] == '/' ? cf_path_join(a, home, ".cache/chengfang") : NULL;
    return base ? cf_path_join(a, base, "rules") : NULL;
}

int cf_cli_rules(const char *what, const char *const *paths, size_t n, const char *zone, struct cf_ruleset **ret)
{
    struct cf_arena a;
    struct cf_error err = {0};
    struct cf_rules_options opt = {.paths = paths, .n_paths = n, .zone = cf_str_c(zone ? zone : "")};
    char *content;
    int r;

    cf_arena_init(&a, 0, 0);
    content = cf_find_dir(&a, "CF_CONTENT", "content");
    opt.taxonomy_dir = content ? cf_path_join(&a, content, "taxonomy") : NULL;
    opt.cache_dir = cache_dir(&a);
    r = cf_ruleset_load(&opt, ret, &err);
    cf_arena_release(&a);
    return r < 0 ? cf_cli_fail(what, &err) : 0;
}

int cf_cli_normaliser(const char *what, struct cf_normaliser **ret)
{
    struct cf_arena a;
    struct cf_error err = {0};
    struct cf_norm_options opt = {0};
    char *content;
    int r;

    cf_arena_init(&a, 0, 0);
    content = cf_find_dir(&a, "CF_CONTENT", "content");
    if (!content) {
        cf_arena_release(&a);
        (void)cf_error_set(&err, CF_ENOENT, "the content folder was not found beside the program; set CF_CONTENT");
        return cf_cli_fail(what, &err);
    }
    opt.sources_dir = cf_path_join(&a, content, "sources");
    r = cf_normaliser_load(&opt, ret, &err);
    cf_arena_release(&a);
    return r < 0 ? cf_cli_fail(what, &err) : 0;
}

struct reason {
    cf_str text;
    size_t n;
};

#define DIFFERS "…"

/* The length of the part at s that differs from rule to rule: a quoted text or a number. 0: neither stands there. */
static size_t varying(cf_str s)
{
    size_t n = 0;

    if (s.n && s.p[0] == '"') {
        const char *end = memchr(s.p + 1, '"', s.n - 1);

        return end ? (size_t)(end - s.p) + 1 : s.n;
    }
    if (cf_str_starts(s, CF_STR(DIFFERS)))
        return sizeof DIFFERS - 1;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    return n;
}

/* Are two reasons of one kind? *ret (may be NULL): what they have in common, DIFFERS for the other parts. */
static bool same_kind(cf_str x, cf_str y, struct cf_buf *ret)
{
    while (x.n && y.n) {
        size_t nx = varying(x), ny = varying(y);

        if (!nx != !ny || (!nx && x.p[0] != y.p[0]))
            return false;
        if (ret && !nx)
            cf_buf_byte(ret, x.p[0]);
        else if (ret && nx == ny && memcmp(x.p, y.p, nx) == 0)
            cf_buf_add(ret, x.p, nx);
        else if (ret)
            cf_buf_z(ret, x.p[0] == '"' ? "\"" DIFFERS "\"" : DIFFERS);
        x = cf_str_sub(x, nx ? nx : 1, x.n);
        y = cf_str_sub(y, ny ? ny : 1, y.n);
    }
    return x.n == 0 && y.n == 0;
}

/* The reason at hand joins the one it is of a kind with. */
static void join_reason(struct cf_arena *a, struct reason *r, cf_str text)
{
    struct cf_buf b;
    cf_str common;

    r->n++;
    if (!r->text.p) {
        r->text = text;
        return;
    }
    cf_buf_init(&b, 1 << 16);
    (void)same_kind(r->text, text, &b);
    common = cf_arena_copy(a, cf_buf_view(&b));
    if (!b.failed && common.p)
        r->text = common;
    cf_buf_release(&b);
}

static int by_count(const void *a, const void *b)
{
    const struct reason *x = a, *y = b;
    return x->n < y->n ? 1 : x->n > y->n ? -1 : cf_str_cmp(x->text, y->text);
}

static void refused_line(FILE *f, const struct cf_rule_refused *r)
{
    (void)fprintf(f, "refused %.*s: %s%.*s%s", CF_ARG(r->file), r->title.n ? "\"" : "", CF_ARG(r->title), r->title.n ? "\": " : "");
    cf_cli_say(f, r->reason);
    (void)fputc('\n', f);
}

void cf_cli_refused(const struct cf_ruleset *rs, FILE *f, bool each, bool summary)
{
    const struct cf_rule_refused *r;
    size_t n = cf_ruleset_refused(rs, &r), n_reason = 0;
    struct reason *reason = calloc(n + 1, sizeof *reason);
    struct cf_arena a;

    cf_arena_init(&a, 0, 0);
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;

        if (each)
            refused_line(f, &r[i]);
        if (!reason)
            continue;
        while (k < n_reason && !same_kind(reason[k].text, r[i].reason, NULL))
            k++;
        n_reason += k == n_reason;
        join_reason(&a, &reason[k], r[i].reason);
    }
    if (reason && summary) {
        qsort(reason, n_reason, sizeof *reason, by_count);
        for (size_t k = 0; k < n_reason; k++)
            (void)fprintf(f, "  %zu refused: %.*s\n", reason[k].n, CF_ARG(reason[k].text));
    }
    free(reason);
    cf_arena_release(&a);
}
