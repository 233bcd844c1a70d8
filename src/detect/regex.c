/* SPDX-License-Identifier: Apache-2.0
 * Regular expressions of rules. Vectorscan runs them in linear time; the few it has no automaton for (look-around,
 * back references) go to PCRE2 with limits on steps and depth, and what reaches a limit is counted, not hung.
 * Automata are made at first use: most rules never get that far. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "detect/detect_int.h"

#define RE_MAX 8192 /* bytes of one expression */
#define REPEATS_MAX 64 /* more of "? * + {" can take Vectorscan seconds to compile */
#define PCRE_STEPS 200000
#define PCRE_DEPTH 2000

static unsigned hs_flags(const struct cf_rex *r, bool utf)
{
    unsigned f = HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY | (utf ? HS_FLAG_UTF8 : 0);

    if (r->flags & CF_RE_I)
        f |= HS_FLAG_CASELESS;
    if (r->flags & CF_RE_M)
        f |= HS_FLAG_MULTILINE;
    if (r->flags & CF_RE_S)
        f |= HS_FLAG_DOTALL;
    return f;
}

static pcre2_code *pcre_make(const struct cf_rex *r, bool utf, char *why, size_t why_n)
{
    uint32_t opt = utf ? PCRE2_UTF : 0;
    PCRE2_SIZE off = 0;
    int code = 0;
    pcre2_code *re;

    if (r->flags & CF_RE_I)
        opt |= PCRE2_CASELESS;
    if (r->flags & CF_RE_M)
        opt |= PCRE2_MULTILINE;
    if (r->flags & CF_RE_S)
        opt |= PCRE2_DOTALL;
    re = pcre2_compile((PCRE2_SPTR)r->text.p, r->text.n, opt, &code, &off, NULL);
    if (!re && why)
        (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)why, why_n);
    return re;
}

/* Whether Vectorscan can take it: parsed here, made into an automaton later. */
static bool hs_knows(const struct cf_rex *r, bool utf)
{
    hs_expr_info_t *info = NULL;
    hs_compile_error_t *err = NULL;

    if (memchr(r->text.p, 0, r->text.n))
        return false;
    if (hs_expression_info(r->text.p, hs_flags(r, utf), &info, &err) == HS_SUCCESS) {
        free(info);
        return true;
    }
    hs_free_compile_error(err);
    return false;
}

/* Repeats such as {1000,} make huge automata: they are bounded for Vectorscan, larger ones go to PCRE2. */
static bool big_repeat(cf_str t, uint64_t most, uint64_t most_product)
{
    uint64_t product = 1, repeats = 0;

    for (size_t i = 0; i < t.n; i++) {
        uint64_t v = 0, w = 0;

        repeats += strchr("?*+{", t.p[i]) != NULL && !(i && t.p[i - 1] == '\\');
        if (repeats > REPEATS_MAX)
            return true;
        if (t.p[i] != '{' || (i && t.p[i - 1] == '\\'))
            continue;
        for (i++; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
            v = v * 10 + (uint64_t)(t.p[i] - '0');
        if (i < t.n && t.p[i] == ',')
            for (i++; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
                w = w * 10 + (uint64_t)(t.p[i] - '0');
        if (w > v)
            v = w;
        product = v > 1 ? product * v : product;
        if (v > most || product > most_product)
            return true;
    }
    return false;
}

/* Does it make a difference whether a character of several bytes is one or many? */
static bool by_char(cf_str t)
{
    for (size_t i = 0; i < t.n; i++)
        if (t.p[i] == '.' || t.p[i] == '[' || (unsigned char)t.p[i] >= 0x80 || (t.p[i] == '\\' && i + 1 < t.n && strchr("WDSNXRCVHpPxo", t.p[++i])))
            return true;
    return false;
}

int cf_rex_add(struct cf_ruleset *rs, cf_str text, uint8_t flags, uint32_t *ret, struct cf_error *reterr)
{
    struct cf_rex r = {.text = text, .flags = flags};
    char why[160] = "";
    pcre2_code *re;

    if (text.n > RE_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "regular expression is longer than %d bytes", RE_MAX);
    for (size_t i = 0; i < rs->n_rex; i++)
        if (rs->rex[i].flags == flags && cf_str_eq(rs->rex[i].text, text)) {
            *ret = (uint32_t)i;
            return 0;
        }
    r.text.p = cf_arena_strdup(&rs->arena, text);
    if (!r.text.p)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    re = pcre_make(&r, false, why, sizeof why);
    if (!re)
        return cf_error_set(reterr, CF_ESYNTAX, "regular expression \"%.*s\": %s", CF_ARG(text), why);
    pcre2_code_free(re);
    r.code[0].use_pcre = big_repeat(text, 5000, 20000) || !hs_knows(&r, false);
    r.by_char = by_char(text) && cf_utf8_valid(text) && (re = pcre_make(&r, true, NULL, 0));
    if (r.by_char) {
        pcre2_code_free(re);
        r.code[1].use_pcre = r.code[0].use_pcre || big_repeat(text, 64, 256) || !hs_knows(&r, true);
    }
    if (rs->n_rex == rs->cap_rex) {
        size_t cap = rs->cap_rex ? rs->cap_rex * 2 : 64;
        struct cf_rex *p = realloc(rs->rex, cap * sizeof *p);

        if (!p)
            return cf_error_set(reterr, CF_ENOMEM, "out of memory");
        rs->rex = p;
        rs->cap_rex = cap;
    }
    *ret = (uint32_t)rs->n_rex;
    memcpy(&rs->rex[rs->n_rex++], &r, sizeof r);
    return 0;
}

/* From the cache, or compiled and put there. */
static bool hs_make(struct cf_ruleset *rs, const struct cf_rex *r, bool utf, hs_database_t **ret, hs_compile_error_t **err)
{
    struct cf_buf key;

    cf_buf_init(&key, 0);
    cf_buf_printf(&key, "expression %u ", hs_flags(r, utf));
    cf_buf_add(&key, r->text.p, r->text.n);
    *ret = key.failed ? NULL : cf_cache_load(rs->cache_dir, cf_buf_view(&key));
    if (!*ret && hs_compile(r->text.p, hs_flags(r, utf), HS_MODE_BLOCK, NULL, ret, err) == HS_SUCCESS && !key.failed)
        cf_cache_save(rs->cache_dir, cf_buf_view(&key), *ret);
    cf_buf_release(&key);
    return *ret != NULL;
}

static hs_database_t *hs_db(struct cf_ruleset *rs, struct cf_rex *r, bool utf)
{
    struct cf_rex_code *k = &r->code[utf];
    hs_database_t *db = atomic_load_explicit(&k->db, memory_order_acquire);
    hs_compile_error_t *err = NULL;

    if (db || k->use_pcre)
        return db;
    (void)pthread_mutex_lock(&rs->group_lock);
    db = atomic_load_explicit(&k->db, memory_order_acquire);
    if (!db) {
        if (hs_make(rs, r, utf, &db, &err)) {
            atomic_store_explicit(&k->db, db, memory_order_release);
        } else {
            hs_free_compile_error(err);
            db = NULL;
        }
    }
    (void)pthread_mutex_unlock(&rs->group_lock);
    return db;
}

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
    (void)id;
    (void)from;
    (void)to;
    (void)flags;
    *(bool *)ctx = true;
    return 1;
}

static bool pcre_run(struct cf_ruleset *rs, struct cf_rex_scratch *s, struct cf_rex *r, bool utf, cf_str text)
{
    struct cf_rex_code *k = &r->code[utf];
    pcre2_code *re = atomic_load_explicit(&k->pcre, memory_order_acquire);
    int rc;

    if (!re) {
        (void)pthread_mutex_lock(&rs->group_lock);
        re = atomic_load_explicit(&k->pcre, memory_order_acquire);
        if (!re) {
            re = pcre_make(r, utf, NULL, 0);
            if (re)
                (void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE);
            atomic_store_explicit(&k->pcre, re, memory_order_release);
        }
        (void)pthread_mutex_unlock(&rs->group_lock);
    }
    if (!s->match) {
        s->match = pcre2_match_data_create(1, NULL);
        s->ctx = pcre2_match_context_create(NULL);
        if (s->ctx) {
            (void)pcre2_set_match_limit(s->ctx, PCRE_STEPS);
            (void)pcre2_set_depth_limit(s->ctx, PCRE_DEPTH);
        }
    }
    if (!re || !s->match || !s->ctx)
        return false;
    rc = pcre2_match(re, (PCRE2_SPTR)(text.p ? text.p : ""), text.n, 0, utf ? PCRE2_NO_UTF_CHECK : 0, s->match, s->ctx);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
        s->limited++;
    return rc >= 0;
}

/* hs_alloc_scratch checks the whole database each time (a third of the pipeline's processor time when called per match),
 * so it is called once a thread and expression. */
static bool scratch_ready(struct cf_rex_scratch *s, uint32_t rex, const hs_database_t *db)
{
    if (rex / 64 >= s->n_ready) {
        uint32_t n = rex / 64 + 16;
        uint64_t *p = realloc(s->ready, n * sizeof *p);

        if (!p)
            return false;
        memset(p + s->n_ready, 0, (n - s->n_ready) * sizeof *p);
        s->ready = p;
        s->n_ready = n;
    }
    if (s->ready[rex / 64] >> (rex % 64) & 1)
        return true;
    if (hs_alloc_scratch(db, &s->hs) != HS_SUCCESS)
        return false;
    s->ready[rex / 64] |= UINT64_C(1) << (rex % 64);
    return true;
}

static bool ascii(cf_str s)
{
    uint64_t w, any = 0;
    size_t i = 0;

    for (; i + sizeof w <= s.n; i += sizeof w) {
        memcpy(&w, s.p + i, sizeof w);
        any |= w;
    }
    for (; i < s.n; i++)
        any |= (unsigned char)s.p[i];
    return !(any & 0x8080808080808080u);
}

bool cf_rex_match(struct cf_ruleset *rs, struct cf_rex_scratch *s, uint32_t rex, cf_str text)
{
    struct cf_rex *r = &rs->rex[rex];
    bool found = false, utf = r->by_char && !ascii(text) && cf_utf8_valid(text);
    hs_database_t *db = hs_db(rs, r, utf);

    if (!db)
        return pcre_run(rs, s, r, utf, text);
    if (!scratch_ready(s, rex * 2 + utf, db))
        return false;
    if (text.n > UINT32_MAX)
        text.n = UINT32_MAX;
    (void)hs_scan(db, text.p ? text.p : "", (unsigned)text.n, 0, s->hs, on_match, &found);
    return found;
}

void cf_rex_release(struct cf_rex *r)
{
    for (int i = 0; i < 2; i++) {
        hs_free_database(atomic_load(&r->code[i].db));
        pcre2_code_free(atomic_load(&r->code[i].pcre));
    }
}

void cf_rex_scratch_release(struct cf_rex_scratch *s)
{
    hs_free_scratch(s->hs);
    free(s->ready);
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->ctx);
    *s = (struct cf_rex_scratch){0};
}
