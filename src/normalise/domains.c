/* SPDX-License-Identifier: Apache-2.0
 * Names of hosts cut at the public suffix (libpsl with the list built into it): "a.b.example.co.uk" -> registered domain
 * "example.co.uk", top level domain "co.uk", subdomain "a.b". */
#include <libpsl.h>
#include <pthread.h>

#include "normalise/source.h"

enum { D_REGISTERED, D_TOP, D_SUB, D_N };
static uint16_t names[2][D_N], lowest[2], highest[2];
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

static void names_fill(void)
{
    names[0][D_REGISTERED] = cf_name_intern(CF_STR("dns.question.registered_domain"));
    names[0][D_TOP] = cf_name_intern(CF_STR("dns.question.top_level_domain"));
    names[0][D_SUB] = cf_name_intern(CF_STR("dns.question.subdomain"));
    names[1][D_REGISTERED] = cf_name_intern(CF_STR("url.registered_domain"));
    names[1][D_TOP] = cf_name_intern(CF_STR("url.top_level_domain"));
    names[1][D_SUB] = cf_name_intern(CF_STR("url.subdomain"));
    for (unsigned i = 0; i < 2; i++) {
        lowest[i] = highest[i] = names[i][0];
        for (unsigned k = 1; k < D_N; k++) {
            lowest[i] = names[i][k] < lowest[i] ? names[i][k] : lowest[i];
            highest[i] = names[i][k] > highest[i] ? names[i][k] : highest[i];
        }
    }
}

static bool is_domain(cf_str s)
{
    bool dot = false, letter = false;

    if (s.n < 3 || s.n > 253)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        dot = dot || c == '.';
        letter = letter || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (c == ':' || c == '/' || c == ' ' || (unsigned char)c < 0x20)
            return false;
    }
    return dot && letter;
}

/* Where the registered domain and the top level domain begin. False: the name has none. */
static bool look_up(cf_str name, size_t *reg_at, size_t *top_at)
{
    const psl_ctx_t *psl = psl_builtin();
    const char *top, *reg;
    char low[256];

    if (!psl || !is_domain(name))
        return false;
    for (size_t i = 0; i < name.n; i++)
        low[i] = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] | 32) : name.p[i];
    low[name.n] = '\0';
    top = psl_unregistrable_domain(psl, low);
    reg = psl_registrable_domain(psl, low);
    if (!top || !reg)
        return false;
    *reg_at = (size_t)(reg - low);
    *top_at = (size_t)(top - low);
    return true;
}

/* The same names come again and again: each thread remembers some, with what was found. */
static bool remembered(struct cf_norm_thread *t, cf_str name, size_t *reg_at, size_t *top_at)
{
    struct cf_domain *d;
    uint64_t h;

    if (name.n > sizeof d->name)
        return look_up(name, reg_at, top_at);
    h = cf_hash64(name);
    d = &t->domain[h % CF_DOMAINS];
    if (d->hash != h || d->n != name.n || !cf_same_text(d->name, name.p, name.n)) {
        size_t reg = 0, top = 0;
        d->cut = look_up(name, &reg, &top);
        d->hash = h;
        d->n = (uint8_t)name.n;
        d->reg = (uint8_t)reg;
        d->top = (uint8_t)top;
        memcpy(d->name, name.p, name.n);
    }
    *reg_at = d->reg;
    *top_at = d->top;
    return d->cut;
}

/* Which of the three names of `which` the event has as extras, a bit each. */
static unsigned taken(const struct cf_run *r, unsigned which)
{
    unsigned found = 0, low = lowest[which], span = highest[which] - low;

    for (const struct cf_value *v = r->ev->val, *end = v + r->ev->n; v < end; v++)
        if (v->name - low <= span) /* seldom: the three were numbered one after the other */
            for (unsigned k = 0; k < D_N; k++)
                found |= (unsigned)(v->name == names[which][k]) << k;
    return found;
}

static void cut(struct cf_run *r, cf_str name, unsigned which)
{
    size_t reg, top;
    unsigned had;

    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    if (!name.n || !remembered(r->t, name, &reg, &top))
        return;
    (void)pthread_once(&names_once, names_fill);
    had = taken(r, which);
    if (which == 0) { /* as it was written */
        if (!r->ev->slot[CF_F_DNS_QUESTION_REGISTERED_DOMAIN] && reg < name.n)
            (void)cf_event_put(r->ev, CF_F_DNS_QUESTION_REGISTERED_DOMAIN, cf_str_sub(name, reg, name.n), 0, CF_V_STR);
    } else if (!(had >> D_REGISTERED & 1) && reg < name.n) {
        (void)cf_event_put_extra(r->ev, names[which][D_REGISTERED], cf_str_sub(name, reg, name.n), 0, CF_V_STR);
    }
    if (!(had >> D_TOP & 1) && top < name.n)
        (void)cf_event_put_extra(r->ev, names[which][D_TOP], cf_str_sub(name, top, name.n), 0, CF_V_STR);
    if (reg > 1 && !(had >> D_SUB & 1))
        (void)cf_event_put_extra(r->ev, names[which][D_SUB], cf_str_n(name.p, reg - 1), 0, CF_V_STR);
}

void cf_run_domains(struct cf_run *r)
{
    if (r->ev->slot[CF_F_DNS_QUESTION_NAME])
        cut(r, cf_event_get(r->ev, CF_F_DNS_QUESTION_NAME), 0);
    if (r->ev->slot[CF_F_URL_DOMAIN])
        cut(r, cf_event_get(r->ev, CF_F_URL_DOMAIN), 1);
}
