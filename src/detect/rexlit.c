/* SPDX-License-Identifier: Apache-2.0
 * Literals of regular expressions: a set of which every match holds at least one. A row of characters gives one, a group the union
 * of what its alternatives give; of everything in a row the rarest set is taken. What is not understood gives nothing, so that a
 * rule is looked at too often rather than missed. */
#include <math.h>

#include "detect/detect_int.h"

#define DEPTH_MAX 16
#define LEN_MIN 3u

struct set {
    size_t n; /* 0: none */
    double cost;
    cf_str v[CF_REX_LITERALS];
};
struct reader {
    struct cf_arena *a;
    cf_str t;
    size_t i;
    bool lost; /* something of unknown meaning or length: nothing behind it counts */
};

/* Characters that stand for themselves after a backslash. */
static bool plain_escape(char c) { return c && strchr("\\/.-+*?()[]{}^$|\"'`%&#@!~=:;,<> _", c) != NULL; }

/* One atom that is a plain character at t.p[i]; 0 when it is something else. */
static size_t plain_char(cf_str t, size_t i, char *c)
{
    if (t.p[i] == '\\') {
        if (i + 1 < t.n && plain_escape(t.p[i + 1])) {
            *c = t.p[i + 1];
            return 2;
        }
        return 0;
    }
    if (strchr(".^$|()[]{}*+?", t.p[i]) || (unsigned char)t.p[i] >= 0x80)
        return 0;
    *c = t.p[i];
    return 1;
}

static size_t skip_class(cf_str t, size_t i)
{
    i++;
    if (i < t.n && t.p[i] == '^')
        i++;
    if (i < t.n && t.p[i] == ']')
        i++;
    while (i < t.n && t.p[i] != ']')
        i += t.p[i] == '\\' ? 2 : 1;
    return i + 1;
}

static size_t skip_group(cf_str t, size_t i)
{
    int depth = 0;

    while (i < t.n) {
        if (t.p[i] == '\\') {
            i += 2;
            continue;
        }
        if (t.p[i] == '[') {
            i = skip_class(t, i);
            continue;
        }
        if (t.p[i] == '(')
            depth++;
        if (t.p[i] == ')' && --depth == 0)
            return i + 1;
        i++;
    }
    return t.n;
}

/* {2}, {2,} or {2,5} at i: its length, else 0. */
static size_t counted(cf_str t, size_t i)
{
    size_t k = i + 1;

    if (i >= t.n || t.p[i] != '{')
        return 0;
    while (k < t.n && ((t.p[k] >= '0' && t.p[k] <= '9') || t.p[k] == ','))
        k++;
    return k < t.n && t.p[k] == '}' && k > i + 1 ? k + 1 - i : 0;
}

/* What stands before i may be absent. */
static bool optional(cf_str t, size_t i) { return i < t.n && (t.p[i] == '*' || t.p[i] == '?' || counted(t, i)); }

static void take_better(struct set *best, const struct set *s)
{
    if (s->n && (!best->n || s->cost < best->cost))
        *best = *s;
}

static void take_run(struct reader *r, struct set *best, const char *run, size_t n)
{
    char *o = n >= LEN_MIN ? cf_arena_bytes(r->a, cf_fold_max(n)) : NULL;
    struct set one = {.n = 1};

    if (!o)
        return;
    one.v[0] = (cf_str){o, cf_fold(run, n, o)};
    one.cost = cf_lit_cost(one.v[0]);
    take_better(best, &one);
}

static struct set *alternatives(struct reader *r, int depth);

/* A group at r->i: "(...)" and "(?:...)" are looked into, all others passed over. */
static void group(struct reader *r, struct set *best, int depth)
{
    cf_str t = r->t;
    size_t end = skip_group(t, r->i), in = r->i + 1;
    bool plain = in < t.n && t.p[in] != '?' && t.p[in] != '*';
    struct set *s;

    if (in + 1 < t.n && t.p[in] == '?' && t.p[in + 1] == ':') {
        plain = true;
        in += 2;
    }
    if (!plain || depth >= DEPTH_MAX || end > t.n || t.p[end - 1] != ')' || optional(t, end)) {
        r->i = end;
        return;
    }
    struct reader sub = {.a = r->a, .t = cf_str_sub(t, in, end - 1 - in)};

    s = alternatives(&sub, depth + 1);
    if (s)
        take_better(best, s);
    r->i = end;
}

/* Everything up to the next '|' or the end. */
static void row(struct reader *r, struct set *best, char *run, int depth)
{
    cf_str t = r->t;
    size_t n = 0;

    while (r->i < t.n && t.p[r->i] != '|' && !r->lost) {
        char c = 0;
        size_t w = plain_char(t, r->i, &c), next = r->i + w;

        if (w && !optional(t, next)) {
            run[n++] = c;
            r->i = next;
            if (next >= t.n || t.p[next] != '+')
                continue;
        }
        take_run(r, best, run, n);
        n = 0;
        if (w && r->i == next)
            continue; /* one that may be repeated */
        if (w)
            r->i = next;
        else if (t.p[r->i] == '(')
            group(r, best, depth);
        else if (t.p[r->i] == '[')
            r->i = skip_class(t, r->i);
        else if (t.p[r->i] == ')')
            r->lost = true;
        else if (t.p[r->i] != '\\')
            r->i += counted(t, r->i) ? counted(t, r->i) : 1;
        else if (r->i + 1 < t.n && !strchr("xuopPcgkNQE0123456789", t.p[r->i + 1]))
            r->i += 2;
        else
            r->lost = true;
    }
    take_run(r, best, run, n);
}

static struct set *alternatives(struct reader *r, int depth)
{
    struct set *all = CF_NEW(r->a, struct set), *one = CF_NEW(r->a, struct set);
    char *run = cf_arena_bytes(r->a, r->t.n + 1);
    bool none = false;

    if (!all || !one || !run)
        return NULL;
    all->n = 0;
    all->cost = 0;
    for (;; r->i++) {
        one->n = 0;
        row(r, one, run, depth);
        if (r->lost && memchr(r->t.p + (r->i < r->t.n ? r->i : r->t.n), '|', r->i < r->t.n ? r->t.n - r->i : 0))
            return NULL; /* perhaps another alternative */
        none = none || !one->n || all->n + one->n > CF_REX_LITERALS;
        if (none)
            return NULL;
        memcpy(all->v + all->n, one->v, one->n * sizeof *one->v);
        all->n += one->n;
        all->cost += one->cost;
        if (r->lost || r->i >= r->t.n)
            return all;
    }
}

/* An inline flag x: spaces and comments mean nothing then. */
static bool extended(cf_str t)
{
    for (size_t i = 0; i + 2 < t.n; i++)
        if (t.p[i] == '(' && t.p[i + 1] == '?')
            for (size_t k = i + 2; k < t.n && ((t.p[k] >= 'a' && t.p[k] <= 'z') || t.p[k] == '-'); k++)
                if (t.p[k] == 'x')
                    return true;
    return false;
}

size_t cf_rex_literals(struct cf_arena *a, cf_str text, cf_str ret[CF_REX_LITERALS])
{
    struct reader r = {.a = a, .t = text};
    const struct set *s;

    if (cf_str_find(text, CF_STR("\\Q")) >= 0 || cf_str_find(text, CF_STR("(?#")) >= 0 || extended(text))
        return 0;
    s = alternatives(&r, 0);
    if (!s)
        return 0;
    memcpy(ret, s->v, s->n * sizeof *ret);
    return s->n;
}
