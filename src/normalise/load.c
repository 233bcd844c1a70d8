/* SPDX-License-Identifier: Apache-2.0
 * Loading: all source files of a folder -> one immutable normaliser. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "normalise/source.h"

static const char *const formats[] = {"json", "evtx-json", "cef", "leef", "kv", "csv", "syslog", "suricata", "zeek", "nginx", "apache", "text", "ecs", "netflow"};

bool cf_normaliser_has_format(cf_str name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (cf_str_eqz(name, formats[i]))
            return true;
    return false;
}

struct files {
    struct cf_arena *a;
    size_t n, cap;
    struct cf_source *src;
    struct cf_error *err;
    bool custom;
};

static struct cf_source *next_place(struct files *f)
{
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 64;
        struct cf_source *p = realloc(f->src, cap * sizeof *p);
        if (!p)
            return NULL;
        f->src = p;
        f->cap = cap;
    }
    memset(&f->src[f->n], 0, sizeof f->src[f->n]);
    return &f->src[f->n];
}

static int load_one(void *ctx, const char *path)
{
    struct files *f = ctx;
    struct cf_source *place = next_place(f);
    struct cf_buf b;
    cf_str text;
    int r;

    if (!place)
        return cf_error_set(f->err, CF_ENOMEM, "%s: no memory", path);
    cf_buf_init(&b, 4u << 20);
    r = cf_file_read(path, &b, f->err);
    text = r == 0 ? cf_arena_copy(f->a, cf_buf_view(&b)) : CF_STR_NONE;
    if (r == 0 && b.n == 0)
        text = CF_STR("");
    cf_buf_release(&b);
    if (r < 0)
        return r;
    r = cf_source_parse(f->a, path, text, place, f->err);
    place->custom = f->custom;
    if (r < 0 && f->custom) {
        cf_log_error("normalise", "source file left out", "reason=\"%s\"", f->err->msg);
        cf_source_release(place);
        *f->err = (struct cf_error){0};
        return 0;
    }
    f->n++;
    return r;
}

static int load_extra(struct files *f, const struct cf_norm_options *o)
{
    struct cf_source *place = next_place(f);
    char *name = cf_arena_strdup(f->a, o->extra_file);
    cf_str text = cf_arena_copy(f->a, o->extra_yaml);
    int r;

    if (!place || !name || !text.p)
        return cf_error_set(f->err, CF_ENOMEM, "no memory for the source");
    r = cf_source_parse(f->a, name, text, place, f->err);
    place->custom = true;
    f->n++;
    return r;
}

static void drop_source(struct files *f, size_t i)
{
    cf_source_release(&f->src[i]);
    memmove(&f->src[i], &f->src[i + 1], (f->n - i - 1) * sizeof *f->src);
    f->n--;
}

/* An extra takes the place of a file of the same name; a person's file never that of one of ours. */
static void solve_names(struct files *f, bool extra)
{
    size_t last = f->n - 1;

    for (size_t i = f->n; i-- > 0;) {
        bool twin = false;
        if (!f->src[i].custom || (extra && i == last))
            continue;
        for (size_t k = 0; k < f->n && !twin; k++)
            twin = k != i && cf_str_eq(f->src[k].name_s, f->src[i].name_s) && (!f->src[k].custom || (extra && k == last) || k < i);
        if (!twin)
            continue;
        if (!(extra && cf_str_eq(f->src[last].name_s, f->src[i].name_s)))
            cf_log_error("normalise", "source file left out", "reason=\"there is a source %s already\" file=\"%s\"", f->src[i].name, f->src[i].file);
        drop_source(f, i);
        last--;
    }
}

static int by_order(const void *a, const void *b)
{
    const struct cf_source *x = a, *y = b;

    return x->order != y->order ? x->order - y->order : cf_str_cmp(x->name_s, y->name_s);
}

/* program -> sources, in order. A name that ends in '*' is a prefix and goes to the list of general rows instead. */
static int index_programs(struct cf_normaliser *n)
{
    size_t count = 0, cap = 16;

    for (size_t i = 0; i < n->n; i++)
        for (size_t m = 0; m < n->src[i].n_match; m++)
            count += n->src[i].match[m].n_program;
    while (cap < count * 2)
        cap *= 2;
    n->prog_mask = cap - 1;
    n->prog = CF_NEW_N(&n->arena, struct cf_prog *, cap);
    if (!n->prog)
        return CF_ENOMEM;
    for (size_t i = 0; i < n->n; i++)
        for (size_t m = 0; m < n->src[i].n_match; m++)
            for (size_t k = 0; k < n->src[i].match[m].n_program; k++) {
                cf_str name = n->src[i].match[m].program[k];
                uint64_t h = cf_hash64(name), at = h & n->prog_mask;
                struct cf_prog *p;
                if (name.n && name.p[name.n - 1] == '*')
                    continue;
                while ((p = n->prog[at]) && !cf_str_eq(p->name, name))
                    at = (at + 1) & n->prog_mask;
                if (!p) {
                    p = CF_NEW(&n->arena, struct cf_prog);
                    if (!p || !(p->source = CF_NEW_N(&n->arena, uint32_t, n->n)))
                        return CF_ENOMEM;
                    p->name = name;
                    p->hash = h;
                    n->prog[at] = p;
                }
                if (!p->n || p->source[p->n - 1] != i)
                    p->source[p->n++] = (uint32_t)i;
            }
    return 0;
}

/* Bytes a text of this row may start with: of `starts`, and of a regex that begins at the start of the text. For the latter
 * each byte is tried as the begin of a longer text. */
static void first_bytes(struct cf_match *m)
{
    pcre2_match_data *md = m->regex ? pcre2_match_data_create(1, NULL) : NULL;
    uint32_t options = 0;
    bool empty = false;

    memset(m->first, 0xff, sizeof m->first);
    for (size_t k = 0; k < m->n_starts; k++)
        empty = empty || !m->starts[k].n;
    if (m->n_starts && !empty) {
        memset(m->first, 0, sizeof m->first);
        for (size_t k = 0; k < m->n_starts; k++) {
            unsigned c = (unsigned char)m->starts[k].p[0];
            m->first[c / 64] |= UINT64_C(1) << (c % 64);
        }
    }
    if (md && pcre2_pattern_info(m->regex, PCRE2_INFO_ALLOPTIONS, &options) == 0 && (options & PCRE2_ANCHORED))
        for (unsigned c = 0; c < 256; c++) {
            unsigned char text = (unsigned char)c;
            if (pcre2_match(m->regex, &text, 1, 0, PCRE2_PARTIAL_HARD | PCRE2_NO_UTF_CHECK, md, NULL) == PCRE2_ERROR_NOMATCH)
                m->first[c / 64] &= ~(UINT64_C(1) << (c % 64));
        }
    pcre2_match_data_free(md);
}

/* The rows for text, and those that a text with a given first byte may be of. */
static int index_first(struct cf_normaliser *n, const bool *text)
{
    size_t count = 0;

    for (size_t i = 0; i < n->n; i++)
        count += text[i] ? n->src[i].n_match : 0;
    n->row = CF_NEW_N(&n->arena, struct cf_textrow, count + 1);
    if (!n->row || count >= UINT16_MAX)
        return CF_ENOMEM;
    for (size_t i = 0; i < n->n; i++)
        for (size_t m = 0; text[i] && m < n->src[i].n_match; m++) {
            const struct cf_match *row = &n->src[i].match[m];
            struct cf_textrow *to = &n->row[n->n_row];
            if (!(row->formats & CF_NF_TEXT))
                continue;
            *to = (struct cf_textrow){.s = &n->src[i], .m = row, .signs = row->signs};
            if (row->n_starts == 1) {
                size_t len = row->starts[0].n < 8 ? row->starts[0].n : 8;
                memcpy(&to->head, row->starts[0].p, len);
                memset(&to->mask, 0xff, len);
            }
            n->n_row++;
        }
    for (unsigned c = 0; c < 256; c++) {
        n->row_of[c] = CF_NEW_N(&n->arena, uint16_t, n->n_row + 1);
        if (!n->row_of[c])
            return CF_ENOMEM;
        for (size_t i = 0; i < n->n_row; i++)
            if (n->row[i].m->first[c / 64] >> (c % 64) & 1)
                n->row_of[c][n->n_row_of[c]++] = (uint16_t)i;
    }
    return 0;
}

static int index_rows(struct cf_normaliser *n)
{
    bool *for_text = CF_NEW_N(&n->arena, bool, n->n + 1);

    n->whole = CF_NEW_N(&n->arena, uint32_t, n->n + 1);
    if (!for_text || !n->whole)
        return CF_ENOMEM;
    for (unsigned b = 0; b < CF_NF_BITS; b++)
        if (!(n->obj[b] = CF_NEW_N(&n->arena, uint32_t, n->n + 1)))
            return CF_ENOMEM;
    for (size_t i = 0; i < n->n; i++) {
        bool whole = false;
        unsigned obj = 0;
        for (size_t m = 0; m < n->src[i].n_match; m++) {
            const struct cf_match *row = &n->src[i].match[m];
            first_bytes(&n->src[i].match[m]);
            bool exact = row->n_program > 0;
            if (row->whole) {
                whole = true;
                for (size_t k = 0; k < row->n_starts; k++)
                    n->whole_first[row->starts[k].n ? (unsigned char)row->starts[k].p[0] : 0] = true;
                continue;
            }
            for (size_t k = 0; k < row->n_program; k++)
                exact = exact && !(row->program[k].n && row->program[k].p[row->program[k].n - 1] == '*');
            for_text[i] = for_text[i] || ((row->formats & CF_NF_TEXT) && !exact);
            obj |= row->formats;
        }
        if (whole)
            n->whole[n->n_whole++] = (uint32_t)i;
        for (unsigned b = 0; b < CF_NF_BITS && (obj & ~(unsigned)CF_NF_TEXT); b++)
            if (obj >> b & 1)
                n->obj[b][n->n_obj[b]++] = (uint32_t)i;
    }
    return index_first(n, for_text);
}

/* Sources without a file: what well-formed text of an unknown origin becomes. */
static const char builtin_yaml[] = "name: generic\nmultiline: accept\necs: true\n"
                                   "time: [{from: ['@timestamp', timestamp, time, eventTime, date, datetime, event_time, ts, rt, devTime, _time]}]\n";

int cf_normaliser_load(const struct cf_norm_options *opt, struct cf_normaliser **ret, struct cf_error *reterr)
{
    struct cf_normaliser *n = calloc(1, sizeof *n);
    struct files f = {0};
    int r;

    if (!n)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the normaliser");
    cf_arena_init(&n->arena, 256u << 10, 0);
    n->opt = *opt;
    n->opt.zone = CF_STR("");
    if (!n->opt.clock_limit_us)
        n->opt.clock_limit_us = CF_US_PER_DAY;
    r = cf_zone_load(&n->arena, opt->zone, &n->zone, reterr);
    if (r == 0 && n->zone.n == 0) {
        int32_t o = n->zone.fixed < 0 ? -n->zone.fixed : n->zone.fixed;
        n->zone_text = cf_arena_printf(&n->arena, "%c%02d:%02d", n->zone.fixed < 0 ? '-' : '+', (int)(o / 3600), (int)(o / 60 % 60));
    }
    f.a = &n->arena;
    f.err = reterr;
    if (r == 0 && opt->sources_dir)
        r = cf_walk(opt->sources_dir, ".yaml", load_one, &f, reterr);
    if (r == 0 && opt->custom_dir && access(opt->custom_dir, R_OK) == 0) {
        f.custom = true;
        r = cf_walk(opt->custom_dir, ".yaml", load_one, &f, reterr);
    }
    if (r == 0 && opt->extra_yaml.p)
        r = load_extra(&f, opt);
    if (r == 0 && f.n)
        solve_names(&f, opt->extra_yaml.p != NULL);
    n->src = f.src;
    n->n = f.n;
    if (r < 0)
        goto out;
    if (n->n)
        qsort(n->src, n->n, sizeof *n->src, by_order);
    for (size_t i = 0; i < n->n; i++) {
        n->src[i].index = i;
        for (size_t k = 0; k < i; k++)
            if (cf_str_eq(n->src[k].name_s, n->src[i].name_s)) {
                r = cf_error_set(reterr, CF_EEXIST, "%s: there are two sources named %s", n->src[i].file, n->src[i].name);
                goto out;
            }
    }
    for (size_t i = 0; i < n->n; i++)
        if ((r = cf_source_patterns(&n->arena, &n->src[i], n->src, n->n, reterr)) < 0) {
            if (!n->src[i].custom || opt->extra_yaml.p)
                goto out;
            cf_log_error("normalise", "source file left out", "reason=\"%s\"", reterr->msg);
            n->src[i].n_match = 0; /* keeps its place, recognises nothing */
            n->src[i].name_s = CF_STR("");
            n->src[i].tpl = cf_tpl_new(&n->arena);
            *reterr = (struct cf_error){0};
            r = n->src[i].tpl ? 0 : cf_error_set(reterr, CF_ENOMEM, "no memory for the normaliser");
            if (r < 0)
                goto out;
        }
    n->builtin = CF_NEW(&n->arena, struct cf_source);
    if (!n->builtin || index_programs(n) < 0 || index_rows(n) < 0 || !(n->streams = opt->streams ? opt->streams : cf_streams_new())) {
        r = cf_error_set(reterr, CF_ENOMEM, "no memory for the normaliser");
        goto out;
    }
    r = cf_source_parse(&n->arena, "generic.yaml", cf_str_n(builtin_yaml, sizeof builtin_yaml - 1), n->builtin, reterr);
    if (r == 0)
        r = cf_source_patterns(&n->arena, n->builtin, NULL, 0, reterr);
    if (r == 0) {
        n->builtin->index = n->n;
        cf_index_asked(n);
        if ((r = cf_index_refs(n)) < 0)
            (void)cf_error_set(reterr, r, "no room for the keys of the source files");
    }
    if (r == 0) {
        n->builtin->name_s = CF_STR("");
        *ret = n;
        return 0;
    }
out:
    cf_normaliser_free(n);
    return r;
}

void cf_normaliser_free(struct cf_normaliser *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->n; i++)
        cf_source_release(&n->src[i]);
    if (!n->opt.streams)
        cf_streams_free(n->streams);
    free(n->src);
    cf_arena_release(&n->arena);
    free(n);
}

size_t cf_normaliser_sources(const struct cf_normaliser *n) { return n->n; }
const char *cf_normaliser_source_name(const struct cf_normaliser *n, size_t i) { return i < n->n ? n->src[i].name : NULL; }

bool cf_normaliser_source_type(const struct cf_normaliser *n, size_t i, struct cf_arena *a, struct cf_source_type *ret)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{CF_NF_TEXT, "text"}, {CF_NF_JSON, "json"}, {CF_NF_WIN, "evtx-json"}, {CF_NF_ECS, "ecs"}, {CF_NF_CEF, "cef"}, {CF_NF_LEEF, "leef"},
                 {CF_NF_ZEEK, "zeek"}, {CF_NF_IIS, "w3c"}, {CF_NF_CSV, "csv"}, {CF_NF_KV, "kv"}, {CF_NF_NETFLOW, "netflow"}};
    static const char *const payloads[] = {[CF_P_TEXT] = "text", [CF_P_KV] = "kv", [CF_P_CSV] = "csv", [CF_P_JSON] = "json", [CF_P_CEF] = "cef", [CF_P_LEEF] = "leef"};
    const struct cf_source *s = i < n->n ? &n->src[i] : NULL;
    unsigned bits = 0;
    cf_str f = CF_STR("");

    if (!s || !s->name_s.n)
        return false;
    for (size_t m = 0; m < s->n_match; m++)
        bits |= s->match[m].formats;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (bits & names[k].bit)
            f = cf_arena_printf(a, "%.*s%s%s", CF_ARG(f), f.n ? " " : "", names[k].bit == CF_NF_TEXT ? payloads[s->payload] : names[k].name);
    if (!f.n)
        f = cf_str_c(payloads[s->payload]);
    *ret = (struct cf_source_type){.name = s->name_s, .doc = s->doc, .file = cf_str_c(s->file), .format = f, .custom = s->custom};
    return f.p != NULL;
}

struct cf_norm_thread *cf_norm_thread_new(const struct cf_normaliser *n)
{
    struct cf_norm_thread *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->n = n;
    t->streams = n->streams;
    t->json = cf_json_new();
    t->enc = cf_encoding_new();
    t->md = pcre2_match_data_create(64, NULL);
    t->mctx = pcre2_match_context_create(NULL);
    t->pair = malloc(sizeof *t->pair * CF_PAIRS_MAX);
    t->key = calloc(CF_KEYS_MAX, sizeof *t->key);
    t->key_slot = calloc(CF_KEY_SLOTS, sizeof *t->key_slot);
    t->first_key = calloc(n->n + 1, sizeof *t->first_key);
    t->order = calloc(n->n + 1, sizeof *t->order);
    t->kid = calloc(n->n_kid + 1, sizeof *t->kid);
    t->decided = calloc(n->n + 1, sizeof(struct cf_decisions *));
    t->row_memo = calloc(CF_ROW_MEMOS, sizeof *t->row_memo);
    t->domain = calloc(CF_DOMAINS, sizeof *t->domain);
    cf_arena_init(&t->keys, 64u << 10, 64u << 20);
    if (!t->json || !t->enc || !t->md || !t->mctx || !t->pair || !t->key || !t->key_slot || !t->first_key || !t->order || !t->kid || !t->decided || !t->row_memo || !t->domain) {
        cf_norm_thread_free(t);
        return NULL;
    }
    (void)pcre2_set_match_limit(t->mctx, 200000); /* a regex that explodes is a regex that does not match */
    (void)pcre2_set_depth_limit(t->mctx, 2000);
    return t;
}

void cf_norm_thread_free(struct cf_norm_thread *t)
{
    if (!t)
        return;
    cf_json_free(t->json);
    cf_encoding_free(t->enc);
    pcre2_match_data_free(t->md);
    pcre2_match_context_free(t->mctx);
    cf_stream_thread_free(t);
    cf_arena_release(&t->keys);
    free(t->key);
    free(t->key_slot);
    free(t->first_key);
    free(t->order);
    free(t->kid);
    cf_decisions_free(t);
    free(t->row_memo);
    free(t->domain);
    free(t->pair);
    free(t);
}
