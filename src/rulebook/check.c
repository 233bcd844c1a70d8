/* SPDX-License-Identifier: Apache-2.0
 * A text under the hands of a person: compiled by the real compiler, its refusals turned into places in the text. */
#include <stdio.h>

#include "rulebook/rulebook.h"

int cf_rulebook_compile(const struct cf_rules_options *library, cf_str yaml, struct cf_ruleset **ret, struct cf_error *reterr)
{
    const cf_str file = CF_STR(CF_RULE_TEXT_FILE);
    struct cf_rules_options o = {.taxonomy_dir = library->taxonomy_dir, .placeholders = library->placeholders, .zone = library->zone, .n_texts = 1, .texts = &yaml, .text_files = &file};
    const struct cf_rule_refused *refused;
    struct cf_ruleset *alone = NULL, *all = NULL;
    cf_str *texts, *files, *skip;
    struct cf_arena a;
    size_t n;
    int r = cf_ruleset_load(&o, &alone, reterr);

    if (r < 0)
        return r;
    *ret = alone;
    n = cf_ruleset_refused(alone, &refused);
    if (n == 0 || cf_str_find(yaml, CF_STR("correlation:")) < 0 || library->n_paths + library->n_texts == 0)
        return n ? cf_error_set(reterr, CF_ESYNTAX, "%.*s", CF_ARG(refused[0].reason)) : 0;
    /* it may refer to rules of the library: everything together, without the library's own version of this text */
    cf_arena_init(&a, 0, 0);
    o = *library;
    texts = CF_NEW_N(&a, cf_str, library->n_texts + 1);
    files = CF_NEW_N(&a, cf_str, library->n_texts + 1);
    skip = CF_NEW_N(&a, cf_str, library->n_skip + cf_ruleset_count(alone) + 1);
    if (!texts || !files || !skip) {
        cf_arena_release(&a);
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    }
    o.n_texts = 0;
    o.n_skip = library->n_skip;
    if (library->n_skip)
        memcpy(skip, library->skip, library->n_skip * sizeof *skip);
    for (size_t i = 0; i < cf_ruleset_count(alone); i++)
        skip[o.n_skip++] = cf_ruleset_rule(alone, i)->id;
    texts[o.n_texts] = yaml;
    files[o.n_texts++] = file;
    for (size_t i = 0; i < library->n_texts; i++) {
        if (cf_str_eq(library->texts[i], yaml))
            continue;
        texts[o.n_texts] = library->texts[i];
        files[o.n_texts++] = library->text_files ? library->text_files[i] : CF_STR("stored");
    }
    o.texts = texts;
    o.text_files = files;
    o.skip = skip;
    r = cf_ruleset_load(&o, &all, reterr);
    cf_arena_release(&a);
    if (r < 0)
        return r;
    cf_ruleset_free(alone);
    *ret = all;
    n = cf_ruleset_refused(all, &refused);
    for (size_t i = 0; i < n; i++) {
        if (cf_str_eqz(refused[i].file, CF_RULE_TEXT_FILE))
            return cf_error_set(reterr, CF_ESYNTAX, "%.*s", CF_ARG(refused[i].reason));
    }
    return 0;
}

void cf_rulebook_position(cf_str yaml, cf_str m, int *ret_line, int *ret_column)
{
    ptrdiff_t at = cf_str_find(m, CF_STR("line ")), q;
    cf_str line = CF_STR(""), rest = yaml, word = CF_STR("");
    int n = 0, col = 1;

    if (at >= 0) {
        for (size_t i = (size_t)at + 5; i < m.n && m.p[i] >= '0' && m.p[i] <= '9' && n < 1000000; i++)
            n = n * 10 + (m.p[i] - '0');
    }
    q = cf_str_find(m, CF_STR("\""));
    if (q >= 0) {
        word = cf_str_sub(m, (size_t)q + 1, m.n);
        q = cf_str_find(word, CF_STR("\""));
        word = q > 0 ? cf_str_sub(word, 0, (size_t)q) : CF_STR("");
    }
    for (int i = 1; cf_str_cut(&rest, '\n', &line); i++) {
        ptrdiff_t w = word.n ? cf_str_find(line, word) : -1;

        if (n == 0 && w >= 0) /* a message without line: where the word it quotes stands first */
            n = i;
        if (i != n)
            continue;
        if (w >= 0)
            col = (int)w + 1;
        else
            for (col = 1; (size_t)col <= line.n && (line.p[col - 1] == ' ' || line.p[col - 1] == '-'); col++)
                ;
        break;
    }
    *ret_line = n ? n : 1;
    *ret_column = col;
}

static void add_fields(const struct cf_ruleset *rs, size_t i, json_t *fields)
{
    struct cf_buf b;
    json_t *list, *f, *have;
    size_t k, j;

    cf_buf_init(&b, 1 << 20);
    list = cf_ruleset_fields_json(rs, i, &b) == 0 ? json_loadb(b.p, b.n, 0, NULL) : NULL;
    cf_buf_release(&b);
    json_array_foreach(list, k, f)
    {
        bool known = false;

        json_array_foreach(fields, j, have) known = known || json_equal(json_object_get(have, "sigma"), json_object_get(f, "sigma"));
        if (!known)
            (void)json_array_append(fields, f);
    }
    json_decref(list);
}

/* "the list %name% is empty": at the place where the name stands. */
static void add_warning(cf_str yaml, const struct cf_rule_info *ri, json_t *warnings)
{
    cf_str line = CF_STR(""), rest = yaml, name = ri->warning;
    int n = 0, col = 1;
    ptrdiff_t at = cf_str_find(name, CF_STR("%"));

    name = at < 0 ? CF_STR("%") : cf_str_sub(name, (size_t)at, name.n);
    at = cf_str_find(cf_str_sub(name, 1, name.n), CF_STR("%"));
    name = at < 0 ? name : cf_str_sub(name, 0, (size_t)at + 2);
    for (at = -1; at < 0 && cf_str_cut(&rest, '\n', &line);) {
        at = cf_str_find(line, name);
        n++;
    }
    if (at >= 0)
        col = (int)at + 1;
    (void)json_array_append_new(warnings, json_pack("{s:i,s:i,s:s%,s:s%}", "line", at < 0 ? 1 : n, "column", col, "message", ri->warning.p, ri->warning.n, "title",
                                                    ri->title.p ? ri->title.p : "", ri->title.n));
}

int cf_rulebook_check(const struct cf_rules_options *library, cf_str yaml, json_t **ret, struct cf_error *reterr)
{
    json_t *errors = json_array(), *rules = json_array(), *fields = json_array(), *warnings = json_array();
    const struct cf_rule_refused *refused;
    struct cf_ruleset *rs = NULL;
    size_t n;
    int r = cf_rulebook_compile(library, yaml, &rs, reterr);

    if (r < 0 && r != CF_ESYNTAX) {
        cf_ruleset_free(rs);
        json_decref(errors);
        json_decref(rules);
        json_decref(fields);
        json_decref(warnings);
        return r;
    }
    n = cf_ruleset_refused(rs, &refused);
    for (size_t i = 0; i < n; i++) {
        int line, column;

        if (!cf_str_eqz(refused[i].file, CF_RULE_TEXT_FILE))
            continue;
        cf_rulebook_position(yaml, refused[i].reason, &line, &column);
        (void)json_array_append_new(errors, json_pack("{s:i,s:i,s:s%,s:s%}", "line", line, "column", column, "message", refused[i].reason.p, refused[i].reason.n,
                                                      "title", refused[i].title.p, refused[i].title.n));
    }
    for (size_t i = 0; i < cf_ruleset_count(rs); i++) {
        const struct cf_rule_info *ri = cf_ruleset_rule(rs, i);

        if (!cf_str_eqz(ri->file, CF_RULE_TEXT_FILE))
            continue;
        (void)json_array_append_new(rules, json_pack("{s:s%,s:s%,s:s,s:b}", "id", ri->id.p, ri->id.n, "title", ri->title.p, ri->title.n, "level",
                                                     cf_level_name(ri->level), "correlation", ri->correlation));
        add_fields(rs, i, fields);
        if (ri->warning.p)
            add_warning(yaml, ri, warnings);
    }
    if (json_array_size(rules) == 0 && json_array_size(errors) == 0)
        (void)json_array_append_new(errors, json_pack("{s:i,s:i,s:s,s:s}", "line", 1, "column", 1, "message", CF_SAID("the text holds no rule"), "title", ""));
    *ret = json_pack("{s:s%,s:b,s:o,s:o,s:o,s:o}", "zone", cf_ruleset_zone(rs).p, cf_ruleset_zone(rs).n, "valid", json_array_size(errors) == 0, "errors", errors, "warnings", warnings, "rules", rules, "fields", fields);
    cf_ruleset_free(rs);
    return 0;
}
