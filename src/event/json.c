/* SPDX-License-Identifier: Apache-2.0
 * An event as nested ECS JSON. Names are written in sorted order, so that an object is opened once: values are ordered by
 * full name (typed fields already have sorted ids), then each name is compared with the one before and only the part that
 * differs is closed and opened. */
#include "event/event.h"

#include <stdlib.h>

#define DEPTH_MAX 24

struct item {
    cf_str name;
    const struct cf_value *v;
};

/* Dots sort before everything else, so that "a.b" stands right after "a" and before "a-b". */
static int name_cmp(cf_str a, cf_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;

    for (size_t i = 0; i < n; i++) {
        unsigned char x = (unsigned char)a.p[i], y = (unsigned char)b.p[i];
        if (x == y)
            continue;
        if (x == '.')
            return -1;
        if (y == '.')
            return 1;
        return x < y ? -1 : 1;
    }
    return (a.n > b.n) - (a.n < b.n);
}

static int item_cmp(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int c = name_cmp(x->name, y->name);

    return c ? c : (x->v > y->v) - (x->v < y->v);
}

static bool json_number(cf_str s)
{
    size_t i = 0, from;

    if (i < s.n && s.p[i] == '-')
        i++;
    from = i;
    while (i < s.n && (unsigned char)(s.p[i] - '0') < 10)
        i++;
    if (i == from || (s.p[from] == '0' && i > from + 1))
        return false;
    if (i < s.n && s.p[i] == '.') {
        from = ++i;
        while (i < s.n && (unsigned char)(s.p[i] - '0') < 10)
            i++;
        if (i == from)
            return false;
    }
    if (i < s.n && (s.p[i] | 0x20) == 'e') {
        i++;
        if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
            i++;
        from = i;
        while (i < s.n && (unsigned char)(s.p[i] - '0') < 10)
            i++;
        if (i == from)
            return false;
    }
    return i == s.n;
}

static void put_value(struct cf_buf *out, const struct cf_value *v)
{
    cf_str s = {v->p, v->n};
    enum cf_ftype type = v->id < CF_F__COUNT ? cf_fields[v->id].type : CF_T_KEYWORD;
    bool number = type == CF_T_LONG || type == CF_T_FLOAT ||
                  (v->id == CF_F_EXTRA && (v->kind == CF_V_INT || v->kind == CF_V_FLOAT));

    if (v->kind == CF_V_NULL)
        cf_buf_z(out, "null");
    else if (number && json_number(s))
        cf_buf_str(out, s);
    else if ((v->kind == CF_V_BOOL && v->id == CF_F_EXTRA) && (cf_str_eqz(s, "true") || cf_str_eqz(s, "false")))
        cf_buf_str(out, s);
    else
        cf_buf_json(out, s);
}

static size_t collect(const struct cf_event *ev, struct item *it)
{
    size_t n = 0;

    for (size_t i = 0; i < ev->n; i++) {
        const struct cf_value *v = &ev->val[i];
        if (v->id < CF_F__COUNT) {
            it[n++] = (struct item){cf_str_n(cf_fields[v->id].name, cf_fields[v->id].name_n), v};
        } else if (v->name) {
            it[n++] = (struct item){cf_name_text(v->name), v};
        }
    }
    if (n <= 24) { /* insertion sort beats qsort on the usual handful */
        for (size_t i = 1; i < n; i++) {
            struct item x = it[i];
            size_t k = i;
            for (; k > 0 && item_cmp(&it[k - 1], &x) > 0; k--)
                it[k] = it[k - 1];
            it[k] = x;
        }
    } else {
        qsort(it, n, sizeof *it, item_cmp);
    }
    return n;
}

/* Open objects while writing: part[i] is the name of the i-th object below the root. */
struct path {
    cf_str part[DEPTH_MAX];
    size_t n;
    bool comma; /* something stands in the innermost object */
};

static void member(struct cf_buf *out, struct path *p, cf_str key)
{
    if (p->comma)
        cf_buf_byte(out, ',');
    cf_buf_json(out, key);
    cf_buf_byte(out, ':');
    p->comma = true;
}

static bool below(cf_str name, cf_str value)
{
    return value.n && name.n > value.n && name.p[value.n] == '.' && memcmp(name.p, value.p, value.n) == 0;
}

/* Closes and opens objects so that the next member belongs to name; returns the member's key. `prev` is a name that was
 * written as a value: nothing can nest below it, so deeper names keep their dots. */
static cf_str enter(struct cf_buf *out, struct path *p, cf_str name, cf_str prev)
{
    cf_str rest = name;
    size_t same = 0;
    const char *dot;

    while (same < p->n && rest.n > p->part[same].n && rest.p[p->part[same].n] == '.' &&
           memcmp(rest.p, p->part[same].p, p->part[same].n) == 0) {
        rest = cf_str_sub(rest, p->part[same].n + 1, rest.n);
        same++;
    }
    while (p->n > same) {
        cf_buf_byte(out, '}');
        p->n--;
        p->comma = true;
    }
    if (below(name, prev))
        return rest;
    while (p->n < DEPTH_MAX && rest.n && (dot = memchr(rest.p, '.', rest.n)) && dot > rest.p && dot + 1 < rest.p + rest.n) {
        cf_str part = cf_str_n(rest.p, (size_t)(dot - rest.p));
        member(out, p, part);
        cf_buf_byte(out, '{');
        p->part[p->n++] = part;
        p->comma = false;
        rest = cf_str_sub(rest, part.n + 1, rest.n);
    }
    return rest;
}

void cf_event_json(const struct cf_event *ev, struct cf_buf *out)
{
    struct item stack[256], *it = stack;
    struct path p = {0};
    cf_str prev = CF_STR_NONE;
    size_t n;

    if (ev->n > 256 && !(it = malloc(sizeof *it * ev->n))) {
        out->failed = true;
        return;
    }
    n = collect(ev, it);
    cf_buf_byte(out, '{');
    if (ev->time_us != CF_TIME_NONE) {
        char t[32];
        member(out, &p, CF_STR("@timestamp"));
        cf_buf_byte(out, '"');
        cf_buf_add(out, t, cf_time_format(ev->time_us, t));
        cf_buf_byte(out, '"');
    }
    for (size_t i = 0; i < n;) {
        size_t same = i + 1;
        while (same < n && (it[same].name.p == it[i].name.p || cf_str_eq(it[same].name, it[i].name)))
            same++;
        cf_str key = enter(out, &p, it[i].name, prev);
        member(out, &p, key);
        if (same - i > 1)
            cf_buf_byte(out, '[');
        for (size_t k = i; k < same; k++) {
            if (k > i)
                cf_buf_byte(out, ',');
            put_value(out, it[k].v);
        }
        if (same - i > 1)
            cf_buf_byte(out, ']');
        if (!below(it[i].name, prev)) /* all names below a value keep their dots */
            prev = it[i].name;
        i = same;
    }
    while (p.n--)
        cf_buf_byte(out, '}');
    cf_buf_byte(out, '}');
    if (it != stack)
        free(it);
}
