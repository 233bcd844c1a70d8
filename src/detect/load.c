/* SPDX-License-Identifier: Apache-2.0
 * Rule files, folders and archives into a rule set. Texts are gathered first, because global filters may stand in any
 * file and must be known before the rules they change are compiled. */
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "detect/detect_int.h"
#include "detect/correlate.h"

#define UNIT_MAX (4u << 20)     /* one rule file */
#define UNITS_MAX 200000        /* files in one load */
#define TEXT_MAX (512u << 20)   /* all texts */
#define RULES_MAX 200000

struct unit {
    cf_str file, text;
};
struct loader {
    struct cf_ruleset *rs;
    struct cf_arena text;    /* rule texts and filter documents, dropped after the load */
    struct cf_arena scratch; /* one file */
    struct unit *unit;
    size_t n, cap;
    const struct cf_ynode **filter;
    size_t n_filter;
    size_t n_path_units;     /* units before this one come from paths */
    struct cf_map *skip;     /* ids left out of them; NULL: none */
    struct cf_error *err;
};

int cf_rule_refuse(struct cf_ruleset *rs, cf_str file, cf_str title, const char *reason)
{
    struct cf_rule_refused *r;

    if (rs->n_refused == rs->cap_refused) {
        size_t cap = rs->cap_refused ? rs->cap_refused * 2 : 64;
        struct cf_rule_refused *p = realloc(rs->refused, cap * sizeof *p);

        if (!p)
            return CF_ENOMEM;
        rs->refused = p;
        rs->cap_refused = cap;
    }
    r = &rs->refused[rs->n_refused];
    r->file = cf_arena_copy(&rs->arena, file);
    r->title = cf_arena_copy(&rs->arena, title.p ? title : CF_STR(""));
    r->reason = cf_arena_copy(&rs->arena, cf_str_c(reason));
    if (!r->file.p || !r->title.p || !r->reason.p)
        return CF_ENOMEM;
    rs->n_refused++;
    return 0;
}

int cf_rule_push(struct cf_ruleset *rs, const struct cf_rule *rule, struct cf_rule **ret)
{
    struct cf_rule *r;
    cf_str key[2];

    if (rs->n_rules >= RULES_MAX)
        return CF_ELIMIT;
    if (rs->n_rules == rs->cap_rules) {
        size_t cap = rs->cap_rules ? rs->cap_rules * 2 : 256;
        struct cf_rule *p = realloc(rs->rules, cap * sizeof *p);

        if (!p)
            return CF_ENOMEM;
        rs->rules = p;
        rs->cap_rules = cap;
    }
    r = &rs->rules[rs->n_rules];
    *r = *rule;
    r->info.index = rs->n_rules;
    if (r->corr)
        r->corr->index = (uint32_t)rs->n_rules;
    key[0] = r->info.id;
    key[1] = r->name;
    for (int i = 0; i < 2; i++)
        if (key[i].n && !cf_map_get(rs->rule_map, key[i]) && !cf_map_put(rs->rule_map, key[i], (uint32_t)rs->n_rules))
            return CF_ENOMEM;
    rs->n_rules++;
    if (ret)
        *ret = r;
    return 0;
}

/* ---- gathering ---- */

static bool is_rule_file(const char *p)
{
    size_t n = strlen(p);
    return (n > 4 && strcmp(p + n - 4, ".yml") == 0) || (n > 5 && strcmp(p + n - 5, ".yaml") == 0);
}

static int add_unit(struct loader *l, const char *file, cf_str text)
{
    struct unit u;

    if (l->n >= UNITS_MAX || l->text.used > TEXT_MAX)
        return cf_error_set(l->err, CF_ELIMIT, "%s: more rule files than one load may have", file);
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        struct unit *p = realloc(l->unit, cap * sizeof *p);

        if (!p)
            return cf_error_set(l->err, CF_ENOMEM, "out of memory");
        l->unit = p;
        l->cap = cap;
    }
    u.file = cf_arena_copy(&l->rs->arena, cf_str_c(file));
    u.text = cf_arena_copy(&l->text, text);
    if (!u.file.p || !u.text.p)
        return cf_error_set(l->err, CF_ENOMEM, "out of memory");
    l->unit[l->n++] = u;
    return 0;
}

static int read_file(void *ctx, const char *path)
{
    struct loader *l = ctx;
    struct cf_buf b;
    struct cf_error err = {0};
    int r;

    if (!is_rule_file(path))
        return 0;
    cf_buf_init(&b, UNIT_MAX);
    r = cf_file_read(path, &b, &err);
    if (r < 0)
        r = cf_rule_refuse(l->rs, cf_str_c(path), CF_STR(""), err.msg);
    else
        r = add_unit(l, path, cf_buf_view(&b));
    cf_buf_release(&b);
    return r;
}

static int read_entry(struct loader *l, struct archive *a, const char *path, const char *name)
{
    char full[1024];
    struct cf_buf b;
    char chunk[32768];
    la_ssize_t n;
    int r;

    (void)snprintf(full, sizeof full, "%s/%s", path, name);
    cf_buf_init(&b, UNIT_MAX);
    while ((n = archive_read_data(a, chunk, sizeof chunk)) > 0)
        cf_buf_add(&b, chunk, (size_t)n);
    if (b.failed)
        r = cf_rule_refuse(l->rs, cf_str_c(full), CF_STR(""), "the file is larger than 4 MiB");
    else if (n < 0)
        r = cf_rule_refuse(l->rs, cf_str_c(full), CF_STR(""), "the archive is damaged here");
    else
        r = add_unit(l, full, b.n ? cf_buf_view(&b) : CF_STR(""));
    cf_buf_release(&b);
    return r;
}

static int read_archive(struct loader *l, const char *path)
{
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    int r = 0, rc;

    if (!a)
        return cf_error_set(l->err, CF_ENOMEM, "out of memory");
    (void)archive_read_support_format_tar(a);
    (void)archive_read_support_format_zip(a);
    (void)archive_read_support_filter_zstd(a);
    (void)archive_read_support_filter_gzip(a);
    (void)archive_read_support_filter_xz(a);
    if (archive_read_open_filename(a, path, 1 << 18) != ARCHIVE_OK) {
        r = cf_error_set(l->err, CF_EIO, "%s: %s", path, archive_error_string(a));
        (void)archive_read_free(a);
        return r;
    }
    while (r == 0 && (rc = archive_read_next_header(a, &e)) != ARCHIVE_EOF) {
        const char *name = archive_entry_pathname_utf8(e);

        if (rc < ARCHIVE_WARN) {
            r = cf_rule_refuse(l->rs, cf_str_c(path), CF_STR(""), archive_error_string(a) ? archive_error_string(a) : "the archive is damaged");
            break;
        }
        if (name && archive_entry_filetype(e) == AE_IFREG && is_rule_file(name))
            r = read_entry(l, a, path, name);
    }
    (void)archive_read_free(a);
    return r;
}

static bool is_archive(const char *p)
{
    static const char *const ext[] = {".tar.zst", ".tar.gz", ".tgz", ".zip", ".tar", ".tar.xz"};
    cf_str s = cf_str_c(p);

    for (size_t i = 0; i < sizeof ext / sizeof *ext; i++)
        if (cf_str_iends(s, cf_str_c(ext[i])))
            return true;
    return false;
}

static int gather(struct loader *l, const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return cf_error_errno(l->err, "%s", path);
    if (S_ISREG(st.st_mode) && is_archive(path))
        return read_archive(l, path);
    if (S_ISREG(st.st_mode) && !is_rule_file(path))
        return cf_error_set(l->err, CF_EUNSUPPORTED, "%s: not a .yml file, a folder, or an archive (.tar.zst .tar.gz .zip)", path);
    return cf_walk(path, "", read_file, l, l->err);
}

/* ---- action: global ---- */

static struct cf_ynode *copy_node(struct cf_arena *a, const struct cf_ynode *n)
{
    struct cf_ynode *c = CF_NEW(a, struct cf_ynode);

    if (c) {
        *c = *n;
        c->next = NULL;
    }
    return c;
}

/* base with the keys of over put in or merged; NULL: no memory. Shares subtrees with both. */
static struct cf_ynode *merge(struct cf_arena *a, const struct cf_ynode *base, const struct cf_ynode *over, int depth)
{
    struct cf_ynode *out = copy_node(a, base), **tail;

    if (!out)
        return NULL;
    out->child = NULL;
    out->n = 0;
    tail = &out->child;
    for (const struct cf_ynode *b = base->child; b; b = b->next) {
        const struct cf_ynode *o = NULL;
        struct cf_ynode *c;

        for (o = over->child; o && !cf_str_eq(o->key, b->key); o = o->next)
            ;
        if (o && o->kind == CF_Y_MAP && b->kind == CF_Y_MAP && depth < 8)
            c = merge(a, b, o, depth + 1);
        else
            c = copy_node(a, o ? o : b);
        if (!c)
            return NULL;
        *tail = c;
        tail = &c->next;
        out->n++;
    }
    for (const struct cf_ynode *o = over->child; o; o = o->next) {
        const struct cf_ynode *b = base->child;

        while (b && !cf_str_eq(o->key, b->key))
            b = b->next;
        if (b)
            continue;
        *tail = copy_node(a, o);
        if (!*tail)
            return NULL;
        tail = &(*tail)->next;
        out->n++;
    }
    return out;
}

/* ---- compiling ---- */

static int one_doc(struct loader *l, const struct unit *u, const struct cf_ynode *doc)
{
    struct cf_error err = {0};
    int r;

    if (cf_ymap_get(doc, "filter") && !cf_ymap_get(doc, "detection"))
        return 0; /* taken in the first pass */
    if (l->skip && (size_t)(u - l->unit) < l->n_path_units && cf_map_get(l->skip, cf_ymap_str(doc, "id")))
        return 0; /* a text stands in its place */
    r = cf_rule_compile(l->rs, doc, u->file, l->filter, l->n_filter, &l->scratch, &err);
    if (r == CF_ENOMEM)
        return cf_error_set(l->err, r, "out of memory");
    if (r < 0)
        return cf_rule_refuse(l->rs, u->file, cf_ymap_str(doc, "title"), err.msg);
    return 0;
}

static int compile_unit(struct loader *l, const struct unit *u)
{
    struct cf_ydoc *d = NULL;
    struct cf_error err = {0};
    const struct cf_ynode *global = NULL, *last = NULL;
    size_t n = 0;
    int r = cf_yaml_parse(&l->scratch, u->text, &d, &err);

    if (r < 0)
        return cf_rule_refuse(l->rs, u->file, CF_STR(""), err.msg);
    for (; d && r == 0; d = d->next) {
        cf_str action = cf_ymap_str(d->root, "action");
        const struct cf_ynode *doc = d->root;

        if (!doc || cf_ynode_is_null(doc)) /* "---" with nothing behind it */
            continue;
        n++;
        if (cf_str_eqz(action, "global")) {
            global = global ? merge(&l->scratch, global, doc, 0) : doc;
            continue;
        }
        if (cf_str_eqz(action, "reset")) {
            global = NULL;
            continue;
        }
        if (cf_str_eqz(action, "repeat") && last)
            doc = merge(&l->scratch, last, doc, 0);
        else if (global && doc->kind == CF_Y_MAP)
            doc = merge(&l->scratch, global, doc, 0);
        if (!doc)
            return cf_error_set(l->err, CF_ENOMEM, "out of memory");
        last = doc;
        r = one_doc(l, u, doc);
    }
    if (r == 0 && n == 0)
        r = cf_rule_refuse(l->rs, u->file, CF_STR(""), "the file is empty");
    return r;
}

/* Whether a document of the text may be a global filter: the word at the begin of a line, or in braces. */
static bool may_filter(cf_str text)
{
    for (cf_str s = text; s.n > 6;) {
        ptrdiff_t at = cf_str_find(s, CF_STR("filter"));
        char before;

        if (at < 0)
            return false;
        before = at ? s.p[at - 1] : '\n';
        if (strchr("\n\"'{", before) || (before == ' ' && at > 1 && strchr("{,", s.p[at - 2])))
            return true;
        s = cf_str_sub(s, (size_t)at + 6, s.n);
    }
    return false;
}

static const char *filter_wrong(const struct cf_ynode *doc, const struct cf_ynode *f)
{
    const struct cf_ynode *ls = cf_ymap_get(doc, "logsource");

    if (f->kind != CF_Y_MAP || !cf_ymap_get(f, "condition"))
        return "the filter has no condition";
    if (!cf_ymap_get(f, "rules") && (!ls || ls->kind != CF_Y_MAP || !ls->n))
        return "the filter names neither rules nor a log source: it would take events from every rule";
    return NULL;
}

static int find_filters(struct loader *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct cf_ydoc *d = NULL;
        struct cf_error err = {0};

        if (!may_filter(l->unit[i].text))
            continue;
        if (cf_yaml_parse(&l->text, l->unit[i].text, &d, &err) < 0)
            continue; /* refused with its reason in the second pass */
        for (; d; d = d->next) {
            const struct cf_ynode *f = cf_ymap_get(d->root, "filter");

            if (!f || cf_ymap_get(d->root, "detection"))
                continue;
            if (filter_wrong(d->root, f)) {
                if (cf_rule_refuse(l->rs, l->unit[i].file, cf_ymap_str(d->root, "title"), filter_wrong(d->root, f)) < 0)
                    return CF_ENOMEM;
                continue;
            }
            if (l->n_filter % 64 == 0) {
                const struct cf_ynode **p = realloc(l->filter, (l->n_filter + 64) * sizeof *p);

                if (!p)
                    return cf_error_set(l->err, CF_ENOMEM, "out of memory");
                l->filter = p;
            }
            l->filter[l->n_filter++] = d->root;
        }
    }
    return 0;
}

static struct cf_ruleset *ruleset_new(void)
{
    struct cf_ruleset *rs = calloc(1, sizeof *rs);

    if (!rs)
        return NULL;
    cf_arena_init(&rs->arena, 256 << 10, 2u << 30);
    (void)pthread_mutex_init(&rs->group_lock, NULL);
    rs->field_map = cf_map_new();
    rs->pred_map = cf_map_new();
    rs->rule_map = cf_map_new();
    if (!rs->field_map || !rs->pred_map || !rs->rule_map) {
        cf_ruleset_free(rs);
        return NULL;
    }
    return rs;
}

/* Ids that texts replace, and lists that go before the taxonomy's. Views of the caller's memory and of the set's arena. */
static int take_skips(struct loader *l, const struct cf_rules_options *opt)
{
    struct cf_ydoc *doc = NULL;
    int r;

    if (opt->n_skip && !(l->skip = cf_map_new()))
        return cf_error_set(l->err, CF_ENOMEM, "out of memory");
    for (size_t i = 0; i < opt->n_skip; i++)
        if (opt->skip[i].n && !cf_map_put(l->skip, opt->skip[i], (uint32_t)i))
            return cf_error_set(l->err, CF_ENOMEM, "out of memory");
    if (!opt->placeholders.n)
        return 0;
    r = cf_yaml_parse(&l->rs->arena, opt->placeholders, &doc, l->err);
    if (r < 0) {
        cf_error_context(l->err, "lists");
        return r;
    }
    l->rs->tax.placeholders_own = doc ? doc->root : NULL;
    return 0;
}

static int load_all(struct loader *l, const struct cf_rules_options *opt)
{
    int r = cf_taxonomy_load(l->rs, opt->taxonomy_dir, l->err);

    for (size_t i = 0; r == 0 && i < opt->n_paths; i++)
        r = gather(l, opt->paths[i]);
    l->n_path_units = l->n;
    if (r == 0)
        r = take_skips(l, opt);
    for (size_t i = 0; r == 0 && i < opt->n_texts; i++) {
        char name[300];

        if (opt->text_files)
            (void)snprintf(name, sizeof name, "%.*s", (int)(opt->text_files[i].n < 299 ? opt->text_files[i].n : 299), opt->text_files[i].p);
        else
            (void)snprintf(name, sizeof name, "text %zu", i + 1);
        r = add_unit(l, name, opt->texts[i].n ? opt->texts[i] : CF_STR(""));
    }
    if (r == 0)
        r = find_filters(l);
    for (size_t i = 0; r == 0 && i < l->n; i++) {
        r = compile_unit(l, &l->unit[i]);
        cf_arena_reset(&l->scratch);
    }
    if (r == 0)
        r = cf_corr_link(l->rs);
    if (r == 0 && !(l->rs->correlator = cf_correlator_new(l->rs)))
        r = cf_error_set(l->err, CF_ENOMEM, "out of memory");
    return r;
}

int cf_ruleset_load(const struct cf_rules_options *opt, struct cf_ruleset **ret, struct cf_error *reterr)
{
    struct loader l = {.rs = ruleset_new(), .err = reterr};
    int r;

    if (!l.rs)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    cf_arena_init(&l.text, 1 << 20, TEXT_MAX + (64u << 20));
    cf_arena_init(&l.scratch, 256 << 10, 256u << 20);
    if (opt->cache_dir)
        l.rs->cache_dir = cf_arena_copy(&l.rs->arena, cf_str_n(opt->cache_dir, strlen(opt->cache_dir) + 1)).p; /* with its end */
    l.rs->zone_name = cf_arena_copy(&l.rs->arena, opt->zone.n ? opt->zone : CF_STR(CF_RULES_ZONE));
    r = cf_zone_load(&l.rs->arena, l.rs->zone_name, &l.rs->zone, reterr);
    if (r == 0)
        r = load_all(&l, opt);
    free(l.unit);
    free(l.filter);
    cf_map_free(l.skip);
    cf_arena_release(&l.text);
    cf_arena_release(&l.scratch);
    if (r < 0) {
        cf_ruleset_free(l.rs);
        return r;
    }
    *ret = l.rs;
    return 0;
}

size_t cf_ruleset_count(const struct cf_ruleset *rs) { return rs->n_rules; }
cf_str cf_ruleset_zone(const struct cf_ruleset *rs) { return rs->zone_name; }
const struct cf_rule_info *cf_ruleset_rule(const struct cf_ruleset *rs, size_t i)
{
    return i < rs->n_rules ? &rs->rules[i].info : NULL;
}
size_t cf_ruleset_refused(const struct cf_ruleset *rs, const struct cf_rule_refused **ret)
{
    *ret = rs->refused;
    return rs->n_refused;
}

void cf_ruleset_free(struct cf_ruleset *rs)
{
    if (!rs)
        return;
    cf_groups_free(rs);
    cf_correlator_free(rs->correlator);
    for (size_t i = 0; i < rs->n_rex; i++)
        cf_rex_release(&rs->rex[i]);
    cf_map_free(rs->field_map);
    cf_map_free(rs->pred_map);
    cf_map_free(rs->rule_map);
    free(rs->rules);
    free(rs->refused);
    free(rs->fields);
    free(rs->preds);
    free(rs->src);
    free(rs->rex);
    (void)pthread_mutex_destroy(&rs->group_lock);
    cf_arena_release(&rs->arena);
    free(rs);
}
