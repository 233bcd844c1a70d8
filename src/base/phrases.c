/* SPDX-License-Identifier: Apache-2.0 */
#include "base/phrases.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/yaml.h"

#define PARTS_MAX 9u       /* {1} .. {9} */
#define STEPS_MAX 20000u   /* of one comparison: a text cannot cost more */
#define DEPTH_MAX 5u       /* messages within messages */
#define TEXT_LONG 4000u    /* longer texts are not messages */

struct token {
    char kind; /* 0: literal; 's', 'd' */
    cf_str lit;
};
struct phrase {
    size_t n, letters;     /* tokens; bytes of the literals */
    struct token *tok;
    cf_str key, out;
};
struct cf_phrases {
    struct cf_arena arena;
    size_t n, cap;
    struct phrase *list;   /* most literal bytes first: the most telling phrase is tried first */
    struct cf_error *err;  /* during load */
};
struct cf_phrases *cf_phrases_zh;

/* Bytes of the conversion at s ("%-5.3s": 6), and what it stands for; '%' for "%%". 0: none. */
static size_t conversion(cf_str s, char *ret)
{
    size_t n = 1;

    if (s.n < 2 || s.p[0] != '%')
        return 0;
    while (n < s.n && strchr("-+ #0123456789.*hlzjtL", s.p[n]))
        n++;
    if (n == s.n || !strchr("diouxXeEfFgGaAcsp%", s.p[n]))
        return 0;
    *ret = s.p[n] == '%' ? '%' : strchr("scp", s.p[n]) ? 's' : 'd';
    return n + 1;
}

void cf_phrases_key(cf_str f, struct cf_buf *out)
{
    char kind;

    for (size_t i = 0, n; i < f.n; i += n) {
        n = conversion(cf_str_sub(f, i, f.n), &kind);
        if (!n) {
            cf_buf_byte(out, f.p[i]);
            n = 1;
        } else {
            cf_buf_byte(out, '%');
            cf_buf_byte(out, kind);
        }
    }
}

/* What stands at {: "{2}", or "{2|draft=A|submitted=B}", which has its own words for some values. Returns its bytes, 0: no part;
 * *ret: the part's number, *ret_words: behind the first |, up to }. */
static size_t hole(cf_str s, unsigned *ret, cf_str *ret_words)
{
    const char *end = s.n > 2 && s.p[0] == '{' && s.p[1] >= '1' && s.p[1] <= '9' ? memchr(s.p, '}', s.n) : NULL;
    size_t n = end ? (size_t)(end - s.p) : 0;

    if (!end || (n > 2 && s.p[2] != '|'))
        return 0;
    *ret = (unsigned)(s.p[1] - '0');
    *ret_words = n > 3 ? cf_str_sub(s, 3, n - 3) : CF_STR("");
    return n + 1;
}

static int tokens(struct cf_phrases *p, cf_str key, struct phrase *ph)
{
    struct token t[2 * PARTS_MAX + 1];
    size_t from = 0, n = 0, parts = 0;
    struct cf_buf lit;

    cf_buf_init(&lit, 0);
    for (size_t i = 0; i <= key.n;) {
        char kind = 0;
        size_t used = conversion(cf_str_sub(key, i, key.n), &kind);

        if (i < key.n && (!used || kind == '%')) {
            cf_buf_byte(&lit, key.p[i]);
            i += used ? used : 1;
            continue;
        }
        if (lit.n > from)
            t[n++] = (struct token){0, cf_arena_copy(&p->arena, (cf_str){lit.p + from, lit.n - from})};
        from = lit.n;
        if (i == key.n)
            break;
        if (++parts > PARTS_MAX) {
            cf_buf_release(&lit);
            return cf_error_set(p->err, CF_ELIMIT, "phrase \"%.*s\": more than %u parts", CF_ARG(key), PARTS_MAX);
        }
        t[n++] = (struct token){kind, CF_STR_NONE};
        i += used;
    }
    ph->letters = lit.n;
    ph->n = n;
    ph->tok = CF_NEW_N(&p->arena, struct token, n + 1);
    cf_buf_release(&lit);
    if (!ph->tok)
        return cf_error_set(p->err, CF_ENOMEM, "out of memory");
    memcpy(ph->tok, t, n * sizeof *t);
    for (size_t i = 0; i < ph->out.n; i++) {
        unsigned k;
        cf_str words;

        if (hole(cf_str_sub(ph->out, i, ph->out.n), &k, &words) && k > parts)
            return cf_error_set(p->err, CF_EINVAL, "phrase \"%.*s\": {%u} stands for no part of it", CF_ARG(key), k);
    }
    return 0;
}

static int load_file(void *ctx, const char *path)
{
    struct cf_phrases *p = ctx;
    struct cf_ydoc *doc = NULL;
    struct cf_arena a;
    int r;

    cf_arena_init(&a, 0, 0);
    r = cf_yaml_load(&a, path, &doc, p->err); /* JSON is YAML */
    if (r == 0 && (!doc->root || doc->root->kind != CF_Y_MAP))
        r = cf_error_set(p->err, CF_ESYNTAX, "phrases \"%s\": a map of texts is needed", path);
    for (const struct cf_ynode *n = r == 0 ? doc->root->child : NULL; n && r == 0; n = n->next) {
        if (!cf_grow((void **)&p->list, &p->cap, p->n + 1, sizeof *p->list)) {
            r = cf_error_set(p->err, CF_ENOMEM, "out of memory");
            break;
        }
        p->list[p->n] = (struct phrase){.key = cf_arena_copy(&p->arena, n->key), .out = cf_arena_copy(&p->arena, n->text)};
        r = tokens(p, n->key, &p->list[p->n]);
        p->n += r == 0;
    }
    cf_arena_release(&a);
    return r;
}

static int by_letters(const void *a, const void *b)
{
    const struct phrase *x = a, *y = b;

    return x->letters != y->letters ? (x->letters < y->letters ? 1 : -1) : x->n != y->n ? (x->n < y->n ? -1 : 1) : 0;
}

int cf_phrases_load(const char *dir, struct cf_phrases **ret, struct cf_error *reterr)
{
    struct cf_phrases *p = calloc(1, sizeof *p);
    int r;

    if (!p)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    p->err = reterr;
    cf_arena_init(&p->arena, 0, 0);
    r = cf_walk(dir, ".json", load_file, p, reterr);
    if (r < 0) {
        cf_phrases_free(p);
        return r;
    }
    if (p->n)
        qsort(p->list, p->n, sizeof *p->list, by_letters);
    p->err = NULL;
    *ret = p;
    return 0;
}

void cf_phrases_free(struct cf_phrases *p)
{
    if (!p)
        return;
    cf_arena_release(&p->arena);
    free(p->list);
    free(p);
}

bool cf_phrases_has(const struct cf_phrases *p, cf_str key)
{
    for (size_t i = 0; i < p->n; i++)
        if (cf_str_eq(p->list[i].key, key))
            return true;
    return false;
}

size_t cf_phrases_count(const struct cf_phrases *p) { return p->n; }

static size_t number(cf_str s)
{
    size_t n = 0;

    while (n < s.n && ((s.p[n] >= '0' && s.p[n] <= '9') || (s.p[n] && strchr("+-.eEafinx", s.p[n]))))
        n++;
    return n;
}

/* Does s fit the tokens from i on? The parts go to part. */
static bool fits(const struct phrase *p, size_t i, cf_str s, cf_str *part, unsigned *steps)
{
    if (++*steps > STEPS_MAX)
        return false;
    if (i == p->n)
        return s.n == 0;
    if (!p->tok[i].kind)
        return cf_str_starts(s, p->tok[i].lit) && fits(p, i + 1, cf_str_sub(s, p->tok[i].lit.n, s.n), part, steps);
    if (p->tok[i].kind == 'd') {
        for (size_t n = number(s); n; n--) {
            *part = cf_str_sub(s, 0, n);
            if (fits(p, i + 1, cf_str_sub(s, n, s.n), part + 1, steps))
                return true;
        }
        return false;
    }
    if (i + 1 == p->n) {
        *part = s;
        return true;
    }
    for (size_t n = 0; n <= s.n && *steps <= STEPS_MAX; n++) {
        *part = cf_str_sub(s, 0, n);
        if (p->tok[i + 1].kind || cf_str_starts(cf_str_sub(s, n, s.n), p->tok[i + 1].lit))
            if (fits(p, i + 1, cf_str_sub(s, n, s.n), part + 1, steps))
                return true;
    }
    return false;
}

static bool say(const struct cf_phrases *p, cf_str s, struct cf_buf *out, unsigned depth);

/* A part that is a message itself is told, too; names and values are not. */
static void say_part(const struct cf_phrases *p, cf_str part, struct cf_buf *out, unsigned depth)
{
    size_t mark = out->n;

    if (part.n < 4 || !memchr(part.p, ' ', part.n) || !say(p, part, out, depth + 1)) {
        out->n = mark;
        cf_buf_str(out, part);
    }
}

static bool own_word(cf_str words, cf_str part, struct cf_buf *out)
{
    cf_str w;

    while (cf_str_cut(&words, '|', &w))
        if (w.n > part.n && w.p[part.n] == '=' && cf_str_starts(w, part)) {
            cf_buf_str(out, cf_str_sub(w, part.n + 1, w.n));
            return true;
        }
    return false;
}

static bool try_phrase(const struct cf_phrases *p, const struct phrase *ph, cf_str s, struct cf_buf *out, unsigned depth)
{
    cf_str part[PARTS_MAX + 1] = {{NULL, 0}};
    const struct token *last = &ph->tok[ph->n - 1];
    unsigned steps = 0;

    if (!ph->n || s.n < ph->letters || (!last->kind && !cf_str_ends(s, last->lit)) || !fits(ph, 0, s, part, &steps))
        return false;
    for (size_t i = 0, n; i < ph->out.n; i += n) {
        unsigned k;
        cf_str words;

        n = hole(cf_str_sub(ph->out, i, ph->out.n), &k, &words);
        if (!n) {
            cf_buf_byte(out, ph->out.p[i]);
            n = 1;
        } else if (!own_word(words, part[k - 1], out))
            say_part(p, part[k - 1], out, depth);
    }
    return true;
}

static bool say(const struct cf_phrases *p, cf_str s, struct cf_buf *out, unsigned depth)
{
    if (depth > DEPTH_MAX || s.n > TEXT_LONG)
        return false;
    for (size_t i = 0; i < p->n; i++)
        if (try_phrase(p, &p->list[i], s, out, depth))
            return true;
    for (size_t i = 0; i + 2 < s.n; i++) { /* "what it was about: message" */
        size_t mark = out->n;

        if (s.p[i] != ':' || s.p[i + 1] != ' ')
            continue;
        say_part(p, cf_str_sub(s, 0, i), out, depth);
        cf_buf_z(out, "：");
        if (say(p, cf_str_sub(s, i + 2, s.n), out, depth + 1))
            return true;
        out->n = mark;
    }
    return false;
}

bool cf_phrases_say(const struct cf_phrases *p, cf_str english, struct cf_buf *out)
{
    size_t mark = out->n;

    if (p && english.n && say(p, english, out, 0))
        return true;
    out->n = mark;
    cf_buf_str(out, english);
    return false;
}
