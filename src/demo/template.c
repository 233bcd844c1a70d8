/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/template.h"

#include <stdio.h>

#define DEPTH_MAX 6
#define LENGTH_MAX 4096

uint64_t demo_random(uint64_t *state)
{
    uint64_t x = *state ? *state : UINT64_C(0x9e3779b97f4a7c15);

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

uint64_t demo_random_below(uint64_t *state, uint64_t n) { return n ? (demo_random(state) >> 11) % n : 0; }

static int expand(struct demo_env *env, cf_str text, struct cf_buf *out, int depth, struct cf_error *reterr);

/* ---- functions: env, argument (already expanded), out --------------------------------------------------------------- */

static void put_random(struct demo_env *env, cf_str alphabet, uint64_t n, struct cf_buf *out)
{
    for (uint64_t i = 0; alphabet.n && i < n; i++)
        cf_buf_byte(out, alphabet.p[demo_random_below(&env->rng, alphabet.n)]);
}

static void put_time(int64_t us, cf_str fmt, struct cf_buf *out)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    int64_t day = us / CF_US_PER_DAY, rest = us % CF_US_PER_DAY;
    unsigned month, mday, h, m, s, f;
    int year;

    cf_civil_from_days(day, &year, &month, &mday);
    f = (unsigned)(rest % CF_US_PER_S);
    s = (unsigned)(rest / CF_US_PER_S);
    h = s / 3600;
    m = s / 60 % 60;
    s %= 60;
    for (size_t i = 0; i < fmt.n; i++) {
        if (fmt.p[i] != '%' || i + 1 == fmt.n) {
            cf_buf_byte(out, fmt.p[i]);
            continue;
        }
        switch (fmt.p[++i]) {
        case 'Y': cf_buf_printf(out, "%04d", year); break;
        case 'y': cf_buf_printf(out, "%02d", year % 100); break;
        case 'm': cf_buf_printf(out, "%02u", month); break;
        case 'd': cf_buf_printf(out, "%02u", mday); break;
        case 'e': cf_buf_printf(out, "%2u", mday); break;
        case 'b': cf_buf_z(out, months[(month - 1) % 12]); break;
        case 'a': cf_buf_z(out, days[((day % 7) + 7) % 7]); break;
        case 'H': cf_buf_printf(out, "%02u", h); break;
        case 'M': cf_buf_printf(out, "%02u", m); break;
        case 'S': cf_buf_printf(out, "%02u", s); break;
        case 'f': cf_buf_printf(out, "%06u", f); break;
        case 'L': cf_buf_printf(out, "%03u", f / 1000); break;
        default: cf_buf_byte(out, fmt.p[i]); break;
        }
    }
}

/* An argument of an EXECVE record: quoted, or in hexadecimal when it holds a space, a quote or a control character. */
static void put_audit(cf_str s, struct cf_buf *out)
{
    bool plain = s.n > 0;

    for (size_t i = 0; i < s.n; i++)
        plain = plain && s.p[i] > ' ' && s.p[i] < 127 && s.p[i] != '"';
    if (plain)
        cf_buf_byte(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (plain)
            cf_buf_byte(out, s.p[i]);
        else
            cf_buf_printf(out, "%02X", (unsigned char)s.p[i]);
    }
    if (plain)
        cf_buf_byte(out, '"');
}

static const struct demo_list *find_list(const struct demo_env *env, cf_str name)
{
    for (size_t i = 0; i < env->n_lists; i++)
        if (cf_str_eq(env->lists[i].name, name))
            return &env->lists[i];
    return NULL;
}

static int do_pick(struct demo_env *env, cf_str arg, struct cf_buf *out, int depth, struct cf_error *reterr)
{
    const struct demo_list *l = find_list(env, arg);

    if (!l || l->n == 0)
        return cf_error_set(reterr, CF_ESYNTAX, "no list \"%.*s\"", CF_ARG(arg));
    return expand(env, l->v[demo_random_below(&env->rng, l->n)], out, depth + 1, reterr);
}

static int do_int(struct demo_env *env, cf_str arg, struct cf_buf *out, struct cf_error *reterr)
{
    cf_str hi = arg, lo;
    uint64_t a, b;

    if (!cf_str_cut(&hi, '-', &lo) || !cf_str_u64(lo, &a) || !cf_str_u64(hi, &b) || b < a || b - a == UINT64_MAX)
        return cf_error_set(reterr, CF_ESYNTAX, "int wants a range such as 1-100, not \"%.*s\"", CF_ARG(arg));
    cf_buf_u64(out, a + demo_random_below(&env->rng, b - a + 1));
    return 0;
}

static const struct {
    const char *name, *alphabet;
} random_texts[] = {
    {"hex", "0123456789abcdef"}, {"HEX", "0123456789ABCDEF"}, {"rand32", "abcdefghijklmnopqrstuvwxyz234567"}, {"digits", "0123456789"},
    {"alnum", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"}, {"cons", "bcdfghjklmnpqrstvwxz"},
};

static int do_random_text(struct demo_env *env, cf_str name, cf_str arg, struct cf_buf *out, struct cf_error *reterr)
{
    uint64_t n;

    for (size_t i = 0; i < sizeof random_texts / sizeof *random_texts; i++) {
        if (!cf_str_eqz(name, random_texts[i].name))
            continue;
        if (!cf_str_u64(arg, &n) || n > LENGTH_MAX)
            return cf_error_set(reterr, CF_ESYNTAX, "%.*s wants a length up to %d", CF_ARG(name), LENGTH_MAX);
        put_random(env, cf_str_c(random_texts[i].alphabet), n, out);
        return 0;
    }
    return cf_error_set(reterr, CF_ESYNTAX, "no function \"%.*s\"", CF_ARG(name));
}

static int call(struct demo_env *env, cf_str name, cf_str arg, struct cf_buf *out, int depth, struct cf_error *reterr)
{
    uint64_t from;

    if (cf_str_eqz(name, "pick"))
        return do_pick(env, arg, out, depth, reterr);
    if (cf_str_eqz(name, "int"))
        return do_int(env, arg, out, reterr);
    if (cf_str_eqz(name, "t"))
        put_time(env->time_us + env->zone_us, arg, out);
    else if (cf_str_eqz(name, "u"))
        put_time(env->time_us, arg, out);
    else if (cf_str_eqz(name, "audit"))
        put_audit(arg, out);
    else if (cf_str_eqz(name, "i") && cf_str_u64(arg, &from))
        cf_buf_u64(out, env->index + from);
    else
        return do_random_text(env, name, arg, out, reterr);
    return 0;
}

static int variable(struct demo_env *env, cf_str name, struct cf_buf *out, struct cf_error *reterr)
{
    for (size_t i = 0; i < env->n_vars; i++)
        if (cf_str_eq(env->vars[i].name, name)) {
            cf_buf_str(out, env->vars[i].value);
            return 0;
        }
    if (cf_str_eqz(name, "i"))
        cf_buf_u64(out, env->index);
    else if (cf_str_eqz(name, "pid"))
        cf_buf_u64(out, 400 + demo_random_below(&env->rng, 31000));
    else if (cf_str_eqz(name, "port"))
        cf_buf_u64(out, 32768 + demo_random_below(&env->rng, 28000));
    else if (cf_str_eqz(name, "epoch"))
        cf_buf_printf(out, "%lld.%06lld", (long long)(env->time_us / CF_US_PER_S), (long long)(env->time_us % CF_US_PER_S));
    else
        return cf_error_set(reterr, CF_ESYNTAX, "no variable \"%.*s\"", CF_ARG(name));
    return 0;
}

/* ---- the text --------------------------------------------------------------------------------------------------------- */

/* Length of the inside of "${" at the start of s up to its matching '}', or -1. */
static ptrdiff_t inside(cf_str s)
{
    int open = 1;

    for (size_t i = 2; i < s.n; i++) {
        if (s.p[i] == '{' && s.p[i - 1] == '$')
            open++;
        else if (s.p[i] == '}' && --open == 0)
            return (ptrdiff_t)i - 2;
    }
    return -1;
}

static int one(struct demo_env *env, cf_str in, struct cf_buf *out, int depth, struct cf_error *reterr)
{
    ptrdiff_t colon = cf_str_find(in, CF_STR(":"));
    struct cf_buf arg;
    int r;

    if (colon < 0)
        return variable(env, in, out, reterr);
    cf_buf_init(&arg, 1 << 16);
    r = expand(env, cf_str_sub(in, (size_t)colon + 1, in.n), &arg, depth + 1, reterr);
    if (r == 0)
        r = call(env, cf_str_sub(in, 0, (size_t)colon), cf_buf_view(&arg), out, depth, reterr);
    if (r == 0 && arg.failed)
        r = cf_error_set(reterr, CF_ELIMIT, "text too long");
    cf_buf_release(&arg);
    return r;
}

static int expand(struct demo_env *env, cf_str text, struct cf_buf *out, int depth, struct cf_error *reterr)
{
    if (depth > DEPTH_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "${...} nested more than %d deep, or a list that picks itself", DEPTH_MAX);
    while (text.n) {
        ptrdiff_t at = cf_str_find(text, CF_STR("${")), n;
        int r;

        if (at < 0)
            break;
        cf_buf_add(out, text.p, (size_t)at);
        text = cf_str_sub(text, (size_t)at, text.n);
        n = inside(text);
        if (n < 0)
            return cf_error_set(reterr, CF_ESYNTAX, "\"${\" without its \"}\"");
        r = one(env, cf_str_sub(text, 2, (size_t)n), out, depth, reterr);
        if (r < 0)
            return r;
        text = cf_str_sub(text, (size_t)n + 3, text.n);
    }
    cf_buf_str(out, text);
    return out->failed ? cf_error_set(reterr, CF_ELIMIT, "text too long") : 0;
}

int demo_expand(struct demo_env *env, cf_str text, struct cf_buf *out, struct cf_error *reterr) { return expand(env, text, out, 0, reterr); }
