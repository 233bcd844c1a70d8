/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "detect/oracle_int.h"

#include <ctype.h>
#include <locale.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <wctype.h>

#define TOK_MAX 200000

/* ---- fields ---- */
static cf_str nospace(cf_str s, char *buf)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n && n < 600; i++)
        if (s.p[i] != ' ')
            buf[n++] = s.p[i];
    return (cf_str){buf, n};
}

static bool named(const struct cf_value *v, cf_str name)
{
    char b1[640], b2[640];
    if (v->raw && cf_str_eq(nospace(cf_name_text(v->raw), b1), name))
        return true;
    if (v->id < CF_F__COUNT)
        return cf_str_eqz(name, cf_fields[v->id].name);
    if (v->name) {
        cf_str full = nospace(cf_name_text(v->name), b2);
        if (cf_str_eq(full, name))
            return true;
        if (full.n > name.n && full.p[full.n - name.n - 1] == '.' && memcmp(full.p + full.n - name.n, name.p, name.n) == 0)
            return true;
    }
    return false;
}

static bool within(const struct cf_value *v, cf_str name)
{
    char b[640], pat[640];
    cf_str full;
    int n;
    if (v->id < CF_F__COUNT || !v->name)
        return false;
    full = nospace(cf_name_text(v->name), b + 1);
    b[0] = '.';
    n = snprintf(pat, sizeof pat, ".%.*s.", CF_ARG(name));
    return cf_str_find((cf_str){b, full.n + 1}, (cf_str){pat, (size_t)n}) >= 0;
}

static const struct cf_ynode *child(const struct cf_ynode *map, cf_str key)
{
    for (const struct cf_ynode *n = map && map->kind == CF_Y_MAP ? map->child : NULL; n; n = n->next)
        if (cf_str_eq(n->key, key))
            return n;
    return NULL;
}

struct vals {
    cf_str v[600];
    bool null[600];
    size_t n;
    bool present;
};

static void add_named(struct ctx *c, cf_str name, bool in, struct vals *out)
{
    if (!in && cf_str_eqz(name, "@timestamp") && c->ev->time_us != CF_TIME_NONE) {
        char t[32];
        out->v[out->n] = cf_arena_copy(&c->o->tmp, (cf_str){t, cf_time_format(c->ev->time_us, t)});
        out->null[out->n++] = false;
    }
    if (!in && cf_str_eqz(name, "event.original") && c->ev->original.n) {
        out->v[out->n] = c->ev->original;
        out->null[out->n++] = false;
    }
    for (size_t i = 0; i < c->ev->n && out->n < 600; i++) {
        const struct cf_value *v = &c->ev->val[i];
        if (v->id == CF_F_EVENT_ORIGINAL || !(in ? within(v, name) : named(v, name)))
            continue;
        out->v[out->n] = (cf_str){v->p ? v->p : "", v->n};
        out->null[out->n++] = v->kind == CF_V_NULL;
    }
}

static void values(struct ctx *c, cf_str field, struct vals *out)
{
    const struct cf_ynode *list = NULL;
    out->n = 0;
    for (const struct cf_ynode *s = c->o->scopes ? c->o->scopes->child : NULL; s && !list; s = s->next) {
        cf_str p = cf_ymap_str(s, "product"), k = cf_ymap_str(s, "category"), v = cf_ymap_str(s, "service");
        if ((p.p && !cf_str_eq(p, c->product)) || (k.p && !cf_str_eq(k, c->category)) || (v.p && !cf_str_eq(v, c->service)))
            continue;
        list = child(cf_ymap_get(s, "fields"), field);
    }
    if (!list)
        list = child(c->o->fields, field);
    add_named(c, field, false, out);
    if (list && list->kind == CF_Y_SCALAR && !out->n)
        add_named(c, list->text, false, out);
    for (const struct cf_ynode *n = list && list->kind == CF_Y_SEQ ? list->child : NULL; n && !out->n; n = n->next)
        add_named(c, n->text, false, out);
    if (!out->n)
        add_named(c, field, true, out);
    out->present = out->n > 0;
}

static bool text_record(const struct cf_event *ev)
{
    cf_str s = cf_str_trim(cf_str_sub(ev->original, 0, 64));
    if (!s.n || s.p[0] == '{' || (s.n > 1 && s.p[0] == '<' && isalpha((unsigned char)s.p[1])))
        return false;
    return cf_utf8_valid(ev->original);
}

static void everything(struct ctx *c, struct vals *out)
{
    out->n = 0;
    if (text_record(c->ev)) {
        out->v[0] = c->ev->original;
        out->null[0] = false;
        out->n = 1;
        return;
    }
    for (size_t i = 0; i < c->ev->n && out->n < 600; i++) {
        const struct cf_value *v = &c->ev->val[i];
        if (v->id == CF_F_EVENT_ORIGINAL || v->kind == CF_V_NULL)
            continue;
        out->v[out->n] = (cf_str){v->p ? v->p : "", v->n};
        out->null[out->n++] = false;
    }
}

/* ---- single tests ---- */
static bool regex_test(cf_str pattern, cf_str mods, cf_str v)
{
    int code;
    PCRE2_SIZE off;
    uint32_t opt = (oracle_has(mods, "i") ? PCRE2_CASELESS : 0) | (oracle_has(mods, "m") ? PCRE2_MULTILINE : 0) | (oracle_has(mods, "s") ? PCRE2_DOTALL : 0) | (cf_utf8_valid(v) ? PCRE2_UTF : 0);
    char text[9000];
    int n = snprintf(text, sizeof text, "%s%.*s%s", oracle_has(mods, "startswith") ? "\\A(?:" : "(?:", CF_ARG(pattern), oracle_has(mods, "endswith") ? ")\\z" : ")");
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)text, (size_t)n, opt, &code, &off, NULL);
    pcre2_match_data *m = re ? pcre2_match_data_create(1, NULL) : NULL;
    bool r = re && pcre2_match(re, (PCRE2_SPTR)v.p, v.n, 0, 0, m, NULL) >= 0;
    pcre2_match_data_free(m);
    pcre2_code_free(re);
    return r;
}

static bool number(cf_str s, double *ret)
{
    char z[64], *end;
    if (s.n == 0 || s.n >= sizeof z || isspace((unsigned char)s.p[0]))
        return false;
    memcpy(z, s.p, s.n);
    z[s.n] = 0;
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("0123456789+-.eE", z[i]))
            return false;
    *ret = strtod(z, &end);
    return *end == 0;
}

static bool compare(cf_str mods, double v, double x)
{
    return oracle_has(mods, "lt") ? v < x : oracle_has(mods, "lte") ? v <= x : oracle_has(mods, "gt") ? v > x : oracle_has(mods, "gte") ? v >= x : v == x;
}

/* Seconds east of UTC that the end of a time's text states ("Z", "+08:00", "-0330"); false: none. */
static bool stated_zone(const char *z, long *ret)
{
    int h, m = 0, used = 0;
    z += strspn(z, "0123456789-") == 10 ? 10 : 0;
    z += strspn(z, "Tt0123456789:., ");
    *ret = 0;
    if (strcasecmp(z, "z") == 0 || strcmp(z, "UTC") == 0 || strcmp(z, "GMT") == 0)
        return true;
    if ((*z != '+' && *z != '-') || (sscanf(z + 1, "%2d:%2d%n", &h, &m, &used) < 2 && sscanf(z + 1, "%2d%2d%n", &h, &m, &used) < 2 && sscanf(z + 1, "%2d%n", &h, &used) < 1))
        return false;
    *ret = (h * 60L + m) * (*z == '-' ? -60 : 60);
    return true;
}

/* Part of "2026-11-21T06:30:..." by its digits; of a moment (since 1970, or with a zone) by the C library's local time, whose zone
 * the test has set to that of the rules. */
static bool date_part(cf_str s, cf_str mods, double *ret)
{
    int y, mo, d, h = 0, mi = 0;
    long off;
    char z[40];
    size_t n = s.n < 39 ? s.n : 39;
    memcpy(z, s.p, n);
    z[n] = 0;
    if (n >= 9 && n <= 19 && strspn(z, "0123456789") == n) { /* since 1970 */
        double t = strtod(z, NULL);
        time_t sec = (time_t)(n < 12 ? t : n < 15 ? t / 1e3 : n < 18 ? t / 1e6 : t / 1e9);
        struct tm tm;
        n = strftime(z, sizeof z, "%Y-%m-%d %H:%M", localtime_r(&sec, &tm));
    }
    if (n < 10 || sscanf(z, "%4d-%2d-%2d%*c%2d:%2d", &y, &mo, &d, &h, &mi) < 3 || mo < 1 || mo > 12) /* test code: a fixed buffer */
        return false;
    if (n > 16 && stated_zone(z, &off)) {
        struct tm tm = {.tm_year = y - 1900, .tm_mon = mo - 1, .tm_mday = d, .tm_hour = h, .tm_min = mi};
        time_t t = timegm(&tm) - off;
        (void)localtime_r(&t, &tm);
        y = tm.tm_year + 1900;
        mo = tm.tm_mon + 1;
        d = tm.tm_mday;
        h = tm.tm_hour;
        mi = tm.tm_min;
    }
    if (oracle_has(mods, "week")) {
        struct tm tm = {.tm_year = y - 1900, .tm_mon = mo - 1, .tm_mday = d};
        time_t t = timegm(&tm);
        char w[8];
        (void)strftime(w, sizeof w, "%V", gmtime_r(&t, &tm));
        *ret = strtod(w, NULL);
        return true;
    }
    *ret = oracle_has(mods, "minute") ? mi : oracle_has(mods, "hour") ? h : oracle_has(mods, "day") ? d : oracle_has(mods, "month") ? mo : y;
    return true;
}

static bool fieldref(struct ctx *c, cf_str field, cf_str mods, cf_str other)
{
    struct vals *a = malloc(sizeof *a), *b = malloc(sizeof *b);
    bool r = false;
    values(c, field, a);
    values(c, other, b);
    for (size_t i = 0; i < a->n; i++)
        for (size_t j = 0; j < b->n && !r; j++) {
            struct text t = oracle_decode(c->o, b->v[j]);
            if (a->null[i] || b->null[j]) {
                free(t.c);
                continue;
            }
            oracle_around(&t, oracle_has(mods, "contains") || oracle_has(mods, "endswith"), oracle_has(mods, "contains") || oracle_has(mods, "startswith"));
            r = oracle_like_text(c->o, &t, a->v[i], oracle_has(mods, "cased"));
            free(t.c);
        }
    free(a);
    free(b);
    return r;
}

/* Does one rule value fit any value of the event? */
static bool value_fits(struct ctx *c, cf_str mods, bool keyword, const struct cf_ynode *want, const struct vals *vs)
{
    struct alts *l;
    cf_str rest = mods, m;
    bool r = false, special = oracle_has(mods, "re") || oracle_has(mods, "cidr") || oracle_has(mods, "lt") || oracle_has(mods, "lte") || oracle_has(mods, "gt") || oracle_has(mods, "gte") ||
                              oracle_has(mods, "minute") || oracle_has(mods, "hour") || oracle_has(mods, "day") || oracle_has(mods, "week") || oracle_has(mods, "month") || oracle_has(mods, "year");
    bool date = oracle_has(mods, "minute") || oracle_has(mods, "hour") || oracle_has(mods, "day") || oracle_has(mods, "week") || oracle_has(mods, "month") || oracle_has(mods, "year");
    uint64_t hex;

    for (size_t i = 0; special && !oracle_has(mods, "expand") && i < vs->n && !r; i++) {
        double v, x;
        if (vs->null[i])
            continue;
        if (oracle_has(mods, "re"))
            r = regex_test(want->text, mods, vs->v[i]);
        else if (oracle_has(mods, "cidr"))
            r = oracle_in_net(want->text, vs->v[i]);
        else
            r = number(want->text, &x) && (date ? date_part(vs->v[i], mods, &v) : number(vs->v[i], &v)) && compare(mods, v, x);
    }
    if (special && !oracle_has(mods, "expand"))
        return r;
    l = malloc(sizeof *l);
    l->n = 0;
    if (oracle_has(mods, "expand"))
        oracle_expand(c->o, l, want->text);
    else
        l->t[l->n++] = oracle_sigma_text(want->text);
    if (want->plain && mods.n == 0 && cf_str_starts(want->text, CF_STR("0x")) && cf_str_hex64(want->text, &hex)) {
        char d[32];
        int n = snprintf(d, sizeof d, "%llu", (unsigned long long)hex);
        l->t[l->n++] = oracle_sigma_text((cf_str){d, (size_t)n});
    }
    while (!special && cf_str_cut(&rest, '|', &m))
        oracle_apply(l, m);
    for (size_t k = 0; k < l->n; k++) {
        if (keyword && !oracle_has(mods, "contains"))
            oracle_around(&l->t[k], true, true);
        for (size_t i = 0; i < vs->n && !r; i++) {
            if (vs->null[i])
                continue;
            if (special) {
                unsigned char b[256];
                size_t n = l->t[k].n < 60 ? oracle_utf8(&l->t[k], b) : 0;
                r = oracle_in_net((cf_str){(char *)b, n}, vs->v[i]);
            } else {
                r = oracle_like_text(c->o, &l->t[k], vs->v[i], oracle_has(mods, "cased"));
            }
            if (!r && cf_str_eqz(mods, "expand") && !keyword && l->t[k].n < 60) { /* networks of a list */
                unsigned char b[256];
                cf_str net = {(char *)b, oracle_utf8(&l->t[k], b)};
                r = memchr(b, '/', net.n) && oracle_in_net(net, vs->v[i]);
            }
        }
    }
    for (size_t k = 0; k < l->n; k++)
        free(l->t[k].c);
    free(l);
    return r;
}

static bool item(struct ctx *c, const struct cf_ynode *it)
{
    cf_str mods = it->key, field;
    struct vals *vs = malloc(sizeof *vs);
    bool all, r;

    if (!cf_str_cut(&mods, '|', &field))
        field = CF_STR("");
    all = oracle_has(mods, "all");
    if (field.n)
        values(c, field, vs);
    else
        everything(c, vs);
    r = all;
    for (const struct cf_ynode *v = it->kind == CF_Y_SEQ ? it->child : it; v; v = it->kind == CF_Y_SEQ ? v->next : NULL) {
        bool one;
        if (oracle_has(mods, "exists")) {
            bool want = false;
            (void)cf_ynode_bool(v, &want);
            one = vs->present == want;
        } else if (oracle_has(mods, "fieldref")) {
            one = fieldref(c, field, mods, v->text);
        } else if (cf_ynode_is_null(v) && !oracle_has(mods, "contains") && !oracle_has(mods, "startswith") && !oracle_has(mods, "endswith")) {
            one = true;
            for (size_t i = 0; i < vs->n; i++)
                one = one && vs->null[i];
        } else {
            one = value_fits(c, mods, field.n == 0, v, vs);
        }
        r = all ? r && one : r || one;
    }
    free(vs);
    return oracle_has(mods, "neq") ? !r : r;
}

static bool map_true(struct ctx *c, const struct cf_ynode *m)
{
    for (const struct cf_ynode *n = m->child; n; n = n->next)
        if (!item(c, n))
            return false;
    return true;
}

static bool keyword_true(struct ctx *c, const struct cf_ynode *v)
{
    struct vals *vs = malloc(sizeof *vs);
    bool r;
    everything(c, vs);
    r = value_fits(c, CF_STR(""), true, v, vs);
    free(vs);
    return r;
}

static bool search_true(struct ctx *c, const struct cf_ynode *s)
{
    if (s->kind == CF_Y_MAP)
        return map_true(c, s);
    for (const struct cf_ynode *n = s->kind == CF_Y_SEQ ? s->child : s; n; n = s->kind == CF_Y_SEQ ? n->next : NULL)
        if (n->kind == CF_Y_MAP ? map_true(c, n) : keyword_true(c, n))
            return true;
    return false;
}

/* ---- condition, evaluated while it is read ---- */
static cf_str peek(cf_str s)
{
    size_t n = 0;
    s = cf_str_trim(s);
    if (s.n && (s.p[0] == '(' || s.p[0] == ')'))
        return cf_str_sub(s, 0, 1);
    while (n < s.n && !isspace((unsigned char)s.p[n]) && s.p[n] != '(' && s.p[n] != ')')
        n++;
    return cf_str_sub(s, 0, n);
}

static cf_str eat(cf_str *s)
{
    cf_str t = peek(*s), trimmed = cf_str_trim(*s);
    *s = cf_str_sub(trimmed, t.n, trimmed.n);
    return t;
}

static bool or_expr(struct ctx *c, cf_str *s);

static bool search_name(const struct cf_ynode *n) { return !cf_str_eqz(n->key, "condition") && !cf_str_eqz(n->key, "timeframe"); }

static bool star_fits(cf_str pat, cf_str name)
{
    struct text p = oracle_decode(NULL, pat), t = oracle_decode(NULL, name);
    bool r;
    for (size_t i = 0; i < p.n; i++)
        if (p.c[i] == '*')
            p.c[i] = MANY;
    r = oracle_like(p.c, p.n, t.c, t.n);
    free(p.c);
    free(t.c);
    return r;
}

static bool prim(struct ctx *c, cf_str *s)
{
    cf_str t = eat(s), save = *s;
    bool r;
    if (cf_str_ieq(t, CF_STR("not")))
        return !prim(c, s);
    if (cf_str_eqz(t, "(")) {
        r = or_expr(c, s);
        (void)eat(s);
        return r;
    }
    if ((cf_str_ieq(t, CF_STR("all")) || cf_str_ieq(t, CF_STR("any")) || (t.n == 1 && isdigit((unsigned char)t.p[0]))) && cf_str_ieq(eat(&save), CF_STR("of"))) {
        int yes = 0, named = 0;
        cf_str what = eat(&save);
        *s = save;
        for (const struct cf_ynode *n = c->det->child; n; n = n->next) {
            bool in = cf_str_ieq(what, CF_STR("them")) ? n->key.n && n->key.p[0] != '_' : star_fits(what, n->key);
            if (!search_name(n) || !in)
                continue;
            named++;
            yes += search_true(c, n);
        }
        return yes >= (cf_str_ieq(t, CF_STR("all")) ? named : cf_str_ieq(t, CF_STR("any")) ? 1 : t.p[0] - '0');
    }
    return search_true(c, child(c->det, t));
}

static bool and_expr(struct ctx *c, cf_str *s)
{
    bool r = prim(c, s);
    while (cf_str_ieq(peek(*s), CF_STR("and"))) {
        (void)eat(s);
        r = prim(c, s) && r;
    }
    return r;
}

static bool or_expr(struct ctx *c, cf_str *s)
{
    bool r = and_expr(c, s);
    while (cf_str_ieq(peek(*s), CF_STR("or"))) {
        (void)eat(s);
        r = and_expr(c, s) || r;
    }
    return r;
}

/* ---- log sources ---- */
static bool clause_true(struct ctx *c, const struct cf_ynode *map)
{
    for (const struct cf_ynode *n = map->child; n; n = n->next) {
        struct vals *vs = malloc(sizeof *vs);
        bool r = false;
        values(c, n->key, vs);
        for (const struct cf_ynode *v = n->kind == CF_Y_SEQ ? n->child : n; v; v = n->kind == CF_Y_SEQ ? v->next : NULL) {
            if (cf_str_eqz(v->text, "*"))
                r = r || vs->n > 0;
            else {
                struct text t = oracle_decode(NULL, v->text);
                for (size_t i = 0; i < t.n; i++)
                    if (t.c[i] == '*' && (i == 0 || i + 1 == t.n))
                        t.c[i] = MANY;
                for (size_t i = 0; i < vs->n && !r; i++)
                    r = !vs->null[i] && oracle_like_text(c->o, &t, vs->v[i], false);
                free(t.c);
            }
        }
        free(vs);
        if (!r)
            return false;
    }
    return true;
}

static void find_sources(struct oracle *o, const struct cf_event *ev)
{
    size_t i = 0;
    uint64_t id = cf_hash64_seed(ev->original, (uint64_t)(uintptr_t)ev + (uint64_t)ev->n) | 1;
    if (o->ev == id)
        return;
    o->ev = id;
    o->routed = false;
    for (const struct cf_ynode *s = o->sources ? o->sources->child : NULL; s; s = s->next, i++) {
        const struct cf_ynode *any = cf_ymap_get(s, "any");
        struct ctx c = {.o = o, .ev = ev, .product = cf_ymap_str(s, "product"), .category = cf_ymap_str(s, "category"), .service = cf_ymap_str(s, "service")};
        o->src_true[i] = false;
        for (const struct cf_ynode *n = any ? any->child : NULL; n && !o->src_true[i]; n = n->next)
            o->src_true[i] = clause_true(&c, n);
        o->routed |= o->src_true[i];
    }
}

static bool same(cf_str want, cf_str have) { return !want.n || cf_str_eq(want, have); }

static bool tried(struct oracle *o, const struct ctx *c, bool with_service)
{
    bool known = false, fits = false;
    size_t i = 0;
    if (!o->routed || (!c->product.n && !c->category.n && !c->service.n))
        return true;
    for (; i < o->n_src; i++) {
        const struct source *s = &o->src[i];
        if (!same(c->product, s->product) || !same(c->category, s->category) || (with_service && !same(c->service, s->service)))
            continue;
        known = true;
        fits |= o->src_true[i];
    }
    if (!known && with_service && c->category.n && c->service.n)
        return tried(o, c, false);
    return !known || fits;
}

static bool any_condition(struct ctx *c, const struct cf_ynode *cond)
{
    for (const struct cf_ynode *n = cond->kind == CF_Y_SEQ ? cond->child : cond; n; n = cond->kind == CF_Y_SEQ ? n->next : NULL) {
        cf_str s = n->text;
        if (or_expr(c, &s))
            return true;
    }
    return false;
}

/* The event belongs to no log source, the rule's one is known, and the rule is true of an event without any field. */
static bool silent_proof(struct oracle *o, const struct ctx *c, const struct cf_ynode *cond)
{
    struct cf_event none = {0};
    struct ctx e = *c;
    bool known = false;
    e.ev = &none;
    if (o->routed || (!c->product.n && !c->category.n && !c->service.n))
        return false;
    for (size_t i = 0; i < o->n_src; i++)
        known |= same(c->product, o->src[i].product) && same(c->category, o->src[i].category) &&
                 (same(c->service, o->src[i].service) || c->category.n);
    return known && any_condition(&e, cond);
}

int oracle_match_routed(struct oracle *o, const struct cf_ynode *rule, const struct cf_event *ev, bool *ret_routed)
{
    const struct cf_ynode *ls = cf_ymap_get(rule, "logsource"), *cond;
    struct ctx c = {.o = o, .ev = ev, .product = cf_ymap_str(ls, "product"), .category = cf_ymap_str(ls, "category"), .service = cf_ymap_str(ls, "service"), .det = cf_ymap_get(rule, "detection")};

    cond = cf_ymap_get(c.det, "condition");
    if (!cond || cf_ymap_get(rule, "correlation"))
        return -1;
    find_sources(o, ev);
    cf_arena_reset(&o->tmp);
    for (const struct cf_ynode *n = cond->kind == CF_Y_SEQ ? cond->child : cond; n; n = cond->kind == CF_Y_SEQ ? n->next : NULL)
        if (memchr(n->text.p, '|', n->text.n))
            return -1;
    *ret_routed = tried(o, &c, true) && !(silent_proof(o, &c, cond));
    if (!*ret_routed)
        return 0;
    return any_condition(&c, cond);
}

int oracle_match(struct oracle *o, const struct cf_ynode *rule, const struct cf_event *ev)
{
    bool routed = false;
    return oracle_match_routed(o, rule, ev, &routed);
}

static struct cf_ynode *read_yaml(struct oracle *o, const char *dir, const char *file)
{
    struct cf_ydoc *d = NULL;
    struct cf_error err = {0};
    char *path = cf_path_join(&o->a, dir, file);
    return path && cf_yaml_load(&o->a, path, &d, &err) == 0 && d ? d->root : NULL;
}

void oracle_zone(const char *tz)
{
    (void)setenv("TZ", tz, 1);
    tzset();
}

struct oracle *oracle_new(const char *dir)
{
    struct oracle *o = calloc(1, sizeof *o);
    cf_arena_init(&o->a, 0, 0);
    cf_arena_init(&o->tmp, 0, 0);
    o->loc = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (dir) {
        struct cf_ynode *f = read_yaml(o, dir, "fields.yaml");
        o->fields = cf_ymap_get(f, "fields");
        o->scopes = cf_ymap_get(f, "scopes");
        o->sources = cf_ymap_get(read_yaml(o, dir, "logsources.yaml"), "logsources");
        o->placeholders = cf_ymap_get(read_yaml(o, dir, "placeholders.yaml"), "placeholders");
    }
    o->src_true = calloc((o->sources ? o->sources->n : 0) + 1u, sizeof(bool));
    o->src = calloc((o->sources ? o->sources->n : 0) + 1u, sizeof *o->src);
    for (const struct cf_ynode *s = o->sources ? o->sources->child : NULL; s; s = s->next)
        o->src[o->n_src++] = (struct source){cf_ymap_str(s, "product"), cf_ymap_str(s, "category"), cf_ymap_str(s, "service")};
    return o;
}

void oracle_free(struct oracle *o)
{
    freelocale(o->loc);
    free(o->src_true);
    free(o->src);
    cf_arena_release(&o->a);
    cf_arena_release(&o->tmp);
    free(o);
}
