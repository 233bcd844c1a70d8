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

int cf_cli_rules(const char *what, const char *const *paths, size_t n, struct cf_ruleset **ret)
{
    struct cf_arena a;
    struct cf_error err = {0};
    struct cf_rules_options opt = {.paths = paths, .n_paths = n};
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

/* The part of a reason that names its kind: line numbers and quoted parts differ from rule to rule. */
static cf_str kind_of(struct cf_arena *a, cf_str s)
{
    char *o = cf_arena_bytes(a, s.n + 1);
    size_t n = 0;
    bool quoted = false;

    if (!o)
        return s;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"') {
            quoted = !quoted;
            o[n++] = quoted ? '"' : '"';
            continue;
        }
        if (quoted || (s.p[i] >= '0' && s.p[i] <= '9'))
            continue;
        o[n++] = s.p[i];
    }
    return (cf_str){o, n};
}

static int by_count(const void *a, const void *b)
{
    const struct reason *x = a, *y = b;
    return x->n < y->n ? 1 : x->n > y->n ? -1 : cf_str_cmp(x->text, y->text);
}

void cf_cli_refused(const struct cf_ruleset *rs, FILE *f, bool each, bool summary)
{
    const struct cf_rule_refused *r;
    size_t n = cf_ruleset_refused(rs, &r), n_reason = 0;
    struct reason *reason = calloc(n + 1, sizeof *reason);
    struct cf_arena a;

    cf_arena_init(&a, 0, 0);
    for (size_t i = 0; i < n; i++) {
        cf_str kind = kind_of(&a, r[i].reason);
        size_t k = 0;

        if (each)
            (void)fprintf(f, "refused %.*s: %s%.*s%s%.*s\n", CF_ARG(r[i].file), r[i].title.n ? "\"" : "", CF_ARG(r[i].title),
                          r[i].title.n ? "\": " : "", CF_ARG(r[i].reason));
        if (!reason)
            continue;
        while (k < n_reason && !cf_str_eq(reason[k].text, kind))
            k++;
        if (k == n_reason)
            reason[n_reason++].text = kind;
        reason[k].n++;
    }
    if (reason && summary) {
        qsort(reason, n_reason, sizeof *reason, by_count);
        for (size_t k = 0; k < n_reason; k++)
            (void)fprintf(f, "  %zu refused: %.*s\n", reason[k].n, CF_ARG(reason[k].text));
    }
    free(reason);
    cf_arena_release(&a);
}
