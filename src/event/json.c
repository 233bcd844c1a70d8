/* SPDX-License-Identifier: Apache-2.0
 * An event as nested ECS JSON. Names are written in sorted order, so that an object is opened once; each name is compared
 * with the one before and only the part that differs is closed and opened.
 *
 * Every name has a layout made once: its escaped parts ("source":{ and "port":) with an id for each path, so that writing
 * an event is copying of ready pieces; the room for the worst case is reserved once an event.
 *
 * Events of one pattern have the same fields in the same places, so the order and the text between the values is made
 * once as well: a plan, found by the event's shape (field, name, kind and chain of each value, compared whole).
 * Constants of source files belong to the shape, and their text to the plan. Shapes seen once get no plan, and neither does a new one when its places in the table are taken: such events are
 * written field by field, which takes two to three times as long (sshd line of 30 values: 1.0 us, with a plan 0.4 us
 * or less). Plans are shared by all threads, never freed and so bounded. */
#include "event/event.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "event/json_text.h"

#define DEPTH_MAX 24

struct part {
    uint64_t id;    /* of the path up to here */
    uint32_t at, n; /* text: "source":{ */
    uint32_t next;  /* where the name goes on behind this part and its dot */
};
struct layout {
    uint64_t order; /* first bytes of the name, dots first */
    cf_str name;
    uint32_t depth, leaf_at, leaf_n;
    struct part part[DEPTH_MAX];
    char text[]; /* parts one behind the other, then the leaf: "port": */
};
struct item {
    const struct layout *l;
    const struct cf_value *v;
};

#define PLAN_VALUES 128u
#define PLAN_SLOTS 2048u
#define PLAN_PROBES 4u
#define SPARE 32u /* copies of 16 bytes run over the end of what they copy by less than this */

enum op_kind { OP_STRING, OP_NUMBER, OP_ANY };
struct op {
    uint32_t at;    /* where the text before the value ends */
    uint8_t value;  /* index into val */
    uint8_t kind;   /* enum op_kind; quotes of strings belong to the text */
};
struct plan {
    uint64_t hash;
    const char *text;
    const struct op *op;
    uint32_t text_n, n, n_op;
    bool time;
    uint64_t sig[]; /* n values, then the ops, then the text and SPARE bytes */
};
struct out {
    char *p;
    struct cf_buf *slow;
    /* while a plan is made: values become ops */
    const struct cf_value *first;
    const char *base;
    struct op *op;
    size_t n_op;
};

static _Atomic(const struct plan *) plans[PLAN_SLOTS];
static _Atomic(uint32_t) seen_once[PLAN_SLOTS];
static const struct layout *field_layout[CF_F__COUNT];
static _Atomic(const struct layout *) name_layout[65536];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool ready;

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

static uint64_t order_of(cf_str s)
{
    uint64_t v = 0;

    for (size_t i = 0; i < 8; i++) {
        unsigned c = i < s.n ? (unsigned char)s.p[i] : 0;
        v = v << 8 | (c == '.' ? 1 : c == 1 ? 2 : c);
    }
    return v;
}

static int item_cmp(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int c;

    if (x->l != y->l) {
        if (x->l->order != y->l->order)
            return x->l->order < y->l->order ? -1 : 1;
        c = name_cmp(x->l->name, y->l->name);
        if (c)
            return c;
    }
    return (x->v > y->v) - (x->v < y->v);
}

/* NULL: no memory. Never freed: names are interned for ever, and so bounded. */
static struct layout *layout_new(cf_str name)
{
    struct layout *l;
    struct cf_buf b;
    cf_str rest = name;
    const char *dot;

    cf_buf_init(&b, 1u << 20);
    l = malloc(sizeof *l + name.n * 6 + (size_t)DEPTH_MAX * 4 + 64);
    if (!l)
        return NULL;
    *l = (struct layout){.name = name, .order = order_of(name)};
    while (l->depth < DEPTH_MAX && rest.n && (dot = memchr(rest.p, '.', rest.n)) && dot > rest.p && dot + 1 < rest.p + rest.n) {
        struct part *p = &l->part[l->depth++];
        p->at = (uint32_t)b.n;
        cf_buf_json(&b, cf_str_n(rest.p, (size_t)(dot - rest.p)));
        cf_buf_add(&b, ":{", 2);
        p->n = (uint32_t)b.n - p->at;
        p->id = cf_hash64(cf_str_n(name.p, (size_t)(dot - name.p)));
        rest = cf_str_n(dot + 1, (size_t)(rest.p + rest.n - dot - 1));
        p->next = (uint32_t)(rest.p - name.p);
    }
    l->leaf_at = (uint32_t)b.n;
    cf_buf_json(&b, rest);
    cf_buf_byte(&b, ':');
    l->leaf_n = (uint32_t)b.n - l->leaf_at;
    if (b.failed) {
        cf_buf_release(&b);
        free(l);
        return NULL;
    }
    memcpy(l->text, b.p, b.n);
    cf_buf_release(&b);
    return l;
}

static void make_fields(void)
{
    for (size_t i = 0; i < CF_F__COUNT; i++)
        if (!(field_layout[i] = layout_new(cf_str_n(cf_fields[i].name, cf_fields[i].name_n))))
            return;
    ready = true;
}

static const struct layout *layout_of_name(uint16_t id)
{
    const struct layout *l = atomic_load_explicit(&name_layout[id], memory_order_acquire), *none = NULL;
    struct layout *made;

    if (l)
        return l;
    made = layout_new(cf_name_text(id));
    if (!made)
        return NULL;
    if (atomic_compare_exchange_strong(&name_layout[id], &none, made))
        return made;
    free(made);
    return none;
}

/* Writes the value, or notes its place in the plan. */
static void put(struct out *w, const struct cf_value *v)
{
    struct op *op;

    if (!w->op || v->kind == CF_V_NULL || v->text) {
        w->p = put_value(w->p, v, w->slow);
        return;
    }
    op = &w->op[w->n_op++];
    op->value = (uint8_t)(v - w->first);
    op->kind = is_number(v) ? OP_NUMBER : v->kind == CF_V_BOOL && v->id == CF_F_EXTRA ? OP_ANY : OP_STRING;
    if (op->kind == OP_STRING)
        *w->p++ = '"';
    op->at = (uint32_t)(w->p - w->base);
    if (op->kind == OP_STRING)
        *w->p++ = '"';
}

/* Values in the order of their names: typed fields have sorted ids, extras are sorted and merged in. *ret_room is the
 * most that they can take as text. */
static size_t collect(const struct cf_event *ev, struct item *it, struct item *extra, size_t *ret_room)
{
    size_t n = 0, n_extra = 0, room = 256, e = 0;

    for (size_t i = 0; i < ev->n; i++) {
        const struct cf_value *v = &ev->val[i];
        if (v->id == CF_F_EXTRA && v->name) {
            const struct layout *l = layout_of_name(v->name);
            if (!l)
                return SIZE_MAX;
            extra[n_extra++] = (struct item){l, v};
            room += l->leaf_at + l->leaf_n + l->name.n * 6;
        }
        room += (size_t)v->n * 6 + 16;
    }
    if (n_extra <= 24) { /* insertion sort beats qsort on the usual handful */
        for (size_t i = 1; i < n_extra; i++) {
            struct item x = extra[i];
            size_t k = i;
            for (; k > 0 && item_cmp(&extra[k - 1], &x) > 0; k--)
                extra[k] = extra[k - 1];
            extra[k] = x;
        }
    } else {
        qsort(extra, n_extra, sizeof *extra, item_cmp);
    }
    for (size_t f = 0; f < CF_F__COUNT; f++) {
        const struct cf_value *v;
        const struct layout *l;
        if (f + 8 <= CF_F__COUNT) { /* eight absent fields at once */
            uint64_t eight;
            memcpy(&eight, &ev->slot[f], 8);
            if (eight == 0) {
                f += 7;
                continue;
            }
        }
        if (!ev->slot[f])
            continue;
        v = &ev->val[ev->slot[f] - 1];
        l = field_layout[f];
        while (e < n_extra && (extra[e].l->order != l->order ? extra[e].l->order < l->order : name_cmp(extra[e].l->name, l->name) < 0))
            it[n++] = extra[e++];
        room += l->leaf_at + l->leaf_n + 64;
        for (; v && n < ev->n; v = cf_event_next(ev, v))
            it[n++] = (struct item){l, v};
    }
    while (e < n_extra)
        it[n++] = extra[e++];
    *ret_room = room;
    return n;
}

static bool below(cf_str name, cf_str value)
{
    return value.n && name.n > value.n && name.p[value.n] == '.' && memcmp(name.p, value.p, value.n) == 0;
}

static size_t same_parts(const struct layout *a, size_t open, const struct layout *b)
{
    size_t n = 0;

    while (n < open && n < b->depth && a->part[n].id == b->part[n].id)
        n++;
    return n;
}

static void write_items(struct out *w, const struct item *it, size_t n, bool comma)
{
    const struct layout *last = NULL; /* its first `open` parts are open */
    cf_str prev = CF_STR_NONE;
    size_t open = 0;

    for (size_t i = 0; i < n;) {
        const struct layout *l = it[i].l;
        size_t same = last ? same_parts(last, open, l) : 0, more = i + 1;
        for (; open > same; open--) {
            *w->p++ = '}';
            comma = true;
        }
        if (comma)
            *w->p++ = ',';
        if (below(l->name, prev)) { /* nothing nests below a value: the name keeps its dots */
            size_t skip = open ? l->part[open - 1].next : 0;
            *w->p++ = '"';
            w->p = put_text(w->p, l->name.p + skip, l->name.n - skip, w->slow);
            *w->p++ = '"';
            *w->p++ = ':';
        } else {
            uint32_t from = open < l->depth ? l->part[open].at : l->leaf_at;
            memcpy(w->p, l->text + from, l->leaf_at + l->leaf_n - from);
            w->p += l->leaf_at + l->leaf_n - from;
            open = l->depth;
            last = l;
            prev = l->name;
        }
        while (more < n && it[more].l == l)
            more++;
        if (more - i > 1)
            *w->p++ = '[';
        for (size_t k = i; k < more; k++) {
            if (k > i)
                *w->p++ = ',';
            put(w, it[k].v);
        }
        if (more - i > 1)
            *w->p++ = ']';
        comma = true;
        i = more;
    }
    while (open--)
        *w->p++ = '}';
}

/* All that decides the order of the values and the text between them: a number for each value. */
_Static_assert(CF_F__COUNT <= (CF_F_EXTRA & 0xff), "a field's id fits eight bits beside CF_F_EXTRA");
static inline uint64_t shape_of(const struct cf_event *ev, uint64_t *sig, size_t *ret_room)
{
    uint64_t h = ev->n, k = UINT64_C(0x9e3779b97f4a7c15);
    size_t room = 0;

    for (size_t i = 0; i < ev->n; i++) {
        const struct cf_value *v = &ev->val[i];
        uint64_t head = v->id < CF_F__COUNT && ev->slot[v->id] == i + 1;
        sig[i] = (v->id & 0xffu) | (uint64_t)(v->kind & 7u) << 8 | head << 11 | (uint64_t)v->next << 12 | (uint64_t)v->name << 28 | (uint64_t)v->text << 44;
        h += (sig[i] ^ (sig[i] >> 29)) * k;
        k += UINT64_C(0xbf58476d1ce4e5b8); /* stays odd */
        room += (size_t)v->n * 6 + 16;
    }
    h ^= h >> 32;
    *ret_room = room;
    return ev->time_us != CF_TIME_NONE ? h : ~h;
}

static inline const struct plan *find_plan(const struct cf_event *ev, const uint64_t *sig, uint64_t hash)
{
    for (size_t i = 0; i < PLAN_PROBES; i++) {
        const struct plan *p = atomic_load_explicit(&plans[(hash + i) % PLAN_SLOTS], memory_order_acquire);
        if (!p)
            return NULL;
        if (p->hash == hash && p->n == ev->n && p->time == (ev->time_us != CF_TIME_NONE) && memcmp(p->sig, sig, sizeof *sig * ev->n) == 0)
            return p;
    }
    return NULL;
}

static void keep_plan(struct plan *made)
{
    for (size_t i = 0; i < PLAN_PROBES; i++) {
        const struct plan *none = NULL;
        if (atomic_compare_exchange_strong(&plans[(made->hash + i) % PLAN_SLOTS], &none, made))
            return;
        if (none->hash == made->hash && none->n == made->n)
            break; /* another thread made it */
    }
    free(made);
}

/* A shape that has come before gets its plan. room: what the names and the signs between the values can take. */
static void make_plan(const struct cf_event *ev, const uint64_t *sig, uint64_t hash, const struct item *it, size_t n, size_t room, struct cf_buf *slow)
{
    uint32_t mark = (uint32_t)(hash >> 32) | 1u;
    struct out w = {.slow = slow};
    struct plan *p;
    char *text;

    for (size_t i = 0; i < ev->n; i++)
        room += ev->val[i].text ? (size_t)ev->val[i].n * 6 : 0;
    if (atomic_exchange_explicit(&seen_once[hash % PLAN_SLOTS], mark, memory_order_relaxed) != mark || room > 65536 || n > PLAN_VALUES)
        return;
    p = malloc(sizeof *p + ev->n * sizeof *sig + n * sizeof *w.op + room + SPARE);
    if (!p)
        return;
    *p = (struct plan){.hash = hash, .n = ev->n, .time = ev->time_us != CF_TIME_NONE};
    memcpy(p->sig, sig, ev->n * sizeof *sig);
    w.op = (struct op *)(void *)(p->sig + ev->n);
    w.first = ev->val;
    text = (char *)(w.op + n);
    memset(text, 0, room + SPARE);
    w.base = w.p = text;
    if (!p->time)
        *w.p++ = '{';
    write_items(&w, it, n, p->time);
    *w.p++ = '}';
    if (slow->failed) {
        free(p);
        return;
    }
    p->text = text;
    p->text_n = (uint32_t)(w.p - text);
    p->op = w.op;
    p->n_op = (uint32_t)w.n_op;
    keep_plan(p);
}

static inline char *copy16(char *o, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        _mm_storeu_si128((__m128i *)(void *)(o + i), _mm_loadu_si128((const __m128i *)(const void *)(p + i)));
    return o + n;
}

static char *run_plan(char *o, const struct plan *p, const struct cf_event *ev, struct cf_buf *slow)
{
    uint32_t at = 0;

    for (size_t i = 0; i < p->n_op; i++) {
        const struct op *op = &p->op[i];
        const struct cf_value *v = &ev->val[op->value];
        o = copy16(o, p->text + at, op->at - at);
        at = op->at;
        if (op->kind == OP_STRING)
            o = put_text(o, v->p, v->n, slow);
        else if (op->kind == OP_NUMBER)
            o = put_number(o, cf_str_n(v->p, v->n), slow);
        else
            o = put_value(o, v, slow);
    }
    return copy16(o, p->text + at, p->text_n - at);
}

/* {"@timestamp":"..." ; the second that was formatted last is kept, because logs come in order. */
static char *put_time(char *o, int64_t us)
{
    static _Thread_local int64_t last_s = INT64_MIN;
    static _Thread_local char text[32];
    int64_t s = us / CF_US_PER_S;

    memcpy(o, "{\"@timestamp\":\"", 15);
    o += 15;
    if (us % CF_US_PER_S) {
        o += cf_time_format(us, o);
    } else {
        if (s != last_s) {
            (void)cf_time_format(us, text);
            last_s = s;
        }
        memcpy(o, text, 20); /* 2026-11-21T06:00:00Z */
        o += 20;
    }
    *o++ = '"';
    return o;
}

void cf_event_json(const struct cf_event *ev, struct cf_buf *out)
{
    struct item stack[2 * PLAN_VALUES], *it = stack;
    uint64_t sig[PLAN_VALUES], hash = 0;
    const struct plan *plan = NULL;
    struct cf_buf slow;
    struct out w = {.slow = &slow};
    bool small = ev->n <= PLAN_VALUES;
    size_t n = 0, values = 0, room = 0;

    cf_buf_init(&slow, 0);
    if (small) {
        hash = shape_of(ev, sig, &values);
        plan = find_plan(ev, sig, hash);
    }
    if (plan) {
        if (!cf_buf_reserve(out, values + plan->text_n + 64 + SPARE))
            return;
        w.p = out->p + out->n;
        if (plan->time)
            w.p = put_time(w.p, ev->time_us);
        w.p = run_plan(w.p, plan, ev, &slow);
        out->n = (size_t)(w.p - out->p);
        goto done;
    }
    (void)pthread_once(&once, make_fields);
    if (!ready || (!small && !(it = malloc(sizeof *it * ev->n * 2)))) {
        out->failed = true;
        return;
    }
    n = collect(ev, it, it + (small ? PLAN_VALUES : ev->n), &room);
    if (n == SIZE_MAX || !cf_buf_reserve(out, room)) {
        out->failed = true;
        goto done;
    }
    w.p = out->p + out->n;
    if (ev->time_us != CF_TIME_NONE)
        w.p = put_time(w.p, ev->time_us);
    else
        *w.p++ = '{';
    write_items(&w, it, n, ev->time_us != CF_TIME_NONE);
    *w.p++ = '}';
    out->n = (size_t)(w.p - out->p);
    if (small)
        make_plan(ev, sig, hash, it, n, room - values + n * 16, &slow);
done:
    if (slow.failed)
        out->failed = true;
    cf_buf_release(&slow);
    if (it != stack)
        free(it);
}
