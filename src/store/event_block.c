/* SPDX-License-Identifier: Apache-2.0
 * Events as columns in ClickHouse's Native format. A column is touched only by rows that have a value; rows without one are
 * filled in when the next value or the end comes, and a column nobody touched is not sent at all. Buffers are kept between
 * blocks, so that nothing is allocated once they have their size.
 *
 *   add(ev) --> per column: bytes of the values | null map | offsets | dictionary + indexes
 *   chunks  --> "columns rows" (name type data)*   as a list of iovecs, no copy
 */
#include "store/event_block.h"

#include <stdlib.h>

#include "base/hash.h"

#define BLOCK_MAX (1u << 30)
#define DICT_MIN 64u

#define SEEN 8u    /* constants of source files a dictionary remembers by their interned id */
#define NAMES 256u /* the same for names of extras */

/* What an interned id became in a dictionary. */
struct seen {
    uint16_t text; /* 0: free */
    uint32_t id;
};
/* Dictionary of one LowCardinality column. */
struct dict {
    struct cf_buf keys;     /* String encoding, in index order */
    struct cf_buf index;    /* uint32_t a value, narrowed when sent */
    struct entry {
        uint64_t a, b;      /* of short text all its bytes, else its hash */
        uint32_t pos, len;  /* of the bytes in keys */
        uint32_t id;        /* + 1; 0: free */
    } * slot;
    uint32_t n, mask;
    struct seen seen[SEEN];
};
struct col {
    uint32_t rows;        /* rows written so far */
    bool used;
    struct cf_buf data;   /* values; String encoding for text */
    struct cf_buf nulls;  /* null map of Nullable, offsets of arrays */
    uint64_t items;       /* array elements so far */
    struct dict *dict;    /* LowCardinality */
};
struct cf_event_block {
    size_t rows;
    bool failed;
    struct cf_buf day, at, id, flags;
    struct col source;
    struct col field[CF_F__COUNT];
    struct col extras;           /* nulls: offsets; dict: keys; data: values */
    uint32_t extra_id[CF_F__COUNT]; /* key of a field without a column, + 1; 0: not in this block yet */
    struct seen extra_name[NAMES];
    struct cf_buf kinds;         /* of the extras of the row being added */
    bool kinds_matter;           /* one of them is not text */
    uint32_t kinds_key;          /* + 1; 0: not in this block yet */
    const struct cf_column *def; /* cf_columns() */
    uint16_t used[CF_F__COUNT];  /* fields with a value, in order of appearance */
    size_t n_used;
    struct cf_buf head;          /* names, types, counts between the columns */
    struct cf_buf narrow;        /* indexes in their final width */
    struct cf_chunk *chunk;
    size_t n_chunk, cap_chunk;
};

/* ---- encoding ---- */

static inline void put_varint(struct cf_buf *b, uint64_t v)
{
    char tmp[10];
    size_t n = 0;

    while (v >= 0x80) {
        tmp[n++] = (char)(v | 0x80);
        v >>= 7;
    }
    tmp[n++] = (char)v;
    cf_buf_add(b, tmp, n);
}

static inline void put_string(struct cf_buf *b, cf_str s)
{
    char *o;

    if (b->cap - b->n < s.n + 10 && !cf_buf_reserve(b, s.n + 10))
        return;
    o = b->p + b->n;
    for (size_t v = s.n; ; v >>= 7) {
        *o++ = (char)(v < 0x80 ? v : v | 0x80);
        if (v < 0x80)
            break;
    }
    if (s.n)
        memcpy(o, s.p, s.n);
    b->n = (size_t)(o + s.n - b->p);
}

static inline void put_u64(struct cf_buf *b, uint64_t v)
{
    cf_buf_add(b, &v, 8); /* both supported machines are little endian */
}

static void fill(struct cf_buf *b, int byte, size_t n)
{
    if (n && cf_buf_reserve(b, n)) {
        memset(b->p + b->n, byte, n);
        b->n += n;
    }
}

/* ---- dictionary ---- */

#define SHORT 16u

static inline uint64_t load(const char *p, size_t n)
{
    uint64_t v = 0;

    memcpy(&v, p, n);
    return v;
}

/* Short text is its own key: two words that overlap when there are fewer than 16 bytes. */
static inline void key_of(cf_str s, uint64_t *a, uint64_t *b)
{
    if (s.n > SHORT) {
        *a = cf_hash64(s);
        *b = 0;
    } else if (s.n >= 8) {
        *a = load(s.p, 8);
        *b = load(s.p + s.n - 8, 8);
    } else if (s.n >= 4) {
        *a = load(s.p, 4);
        *b = load(s.p + s.n - 4, 4);
    } else {
        *a = s.n ? (uint8_t)s.p[0] : 0;
        *b = s.n ? (uint64_t)(uint8_t)s.p[s.n / 2] << 8 | (uint8_t)s.p[s.n - 1] : 0;
    }
}

static inline uint32_t spread(uint64_t a, uint64_t b, size_t n)
{
    uint64_t h = (a ^ UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xff51afd7ed558ccd) ^ (b + n) * UINT64_C(0xc4ceb9fe1a85ec53);

    return (uint32_t)((h ^ h >> 29) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static bool dict_grow(struct dict *d)
{
    uint32_t cap = d->slot ? (d->mask + 1) * 2 : DICT_MIN;
    struct entry *bigger = calloc(cap, sizeof *bigger);

    if (!bigger)
        return false;
    for (uint32_t i = 0; d->slot && i <= d->mask; i++) {
        if (!d->slot[i].id)
            continue;
        uint32_t k = spread(d->slot[i].a, d->slot[i].b, d->slot[i].len) & (cap - 1);

        while (bigger[k].id)
            k = (k + 1) & (cap - 1);
        bigger[k] = d->slot[i];
    }
    free(d->slot);
    d->slot = bigger;
    d->mask = cap - 1;
    return true;
}

/* The index of s, which becomes a key when it is not one yet. */
static uint32_t dict_key(struct dict *d, cf_str s)
{
    uint64_t a, b;
    uint32_t k;

    if (d->n * 2 >= d->mask && !dict_grow(d)) {
        d->keys.failed = true;
        return 0;
    }
    key_of(s, &a, &b);
    for (k = spread(a, b, s.n) & d->mask; d->slot[k].id; k = (k + 1) & d->mask) {
        const struct entry *e = &d->slot[k];

        if (e->a == a && e->b == b && e->len == s.n && (s.n <= SHORT || memcmp(d->keys.p + e->pos, s.p, s.n) == 0))
            return e->id - 1;
    }
    put_varint(&d->keys, s.n);
    d->slot[k] = (struct entry){.a = a, .b = b, .pos = (uint32_t)d->keys.n, .len = (uint32_t)s.n, .id = ++d->n};
    cf_buf_str(&d->keys, s);
    return d->n - 1;
}

static inline void dict_put(struct dict *d, uint32_t id)
{
    cf_buf_add(&d->index, &id, 4);
}

static void dict_add(struct dict *d, cf_str s)
{
    dict_put(d, dict_key(d, s));
}

/* text: the interned id of s, 0 when it has none. */
static inline void dict_add_text(struct dict *d, cf_str s, uint16_t text)
{
    struct seen *seen = &d->seen[text % SEEN];

    if (!text) {
        dict_add(d, s);
        return;
    }
    if (seen->text != text)
        *seen = (struct seen){text, dict_key(d, s)};
    dict_put(d, seen->id);
}

/* The value added last, n more times. */
static void dict_repeat(struct dict *d, size_t n)
{
    uint32_t id;

    if (!n || d->index.n < 4 || !cf_buf_reserve(&d->index, n * 4))
        return;
    memcpy(&id, d->index.p + d->index.n - 4, 4);
    for (size_t i = 0; i < n; i++)
        memcpy(d->index.p + d->index.n + 4 * i, &id, 4);
    d->index.n += 4 * n;
}

static struct dict *dict_new(void)
{
    struct dict *d = calloc(1, sizeof *d);

    if (d) {
        cf_buf_init(&d->keys, BLOCK_MAX);
        cf_buf_init(&d->index, BLOCK_MAX);
        d->mask = 0;
    }
    return d;
}

static void dict_clear(struct dict *d)
{
    if (d->n)
        memset(d->slot, 0, sizeof *d->slot * (d->mask + 1));
    memset(d->seen, 0, sizeof d->seen);
    d->n = 0;
    cf_buf_clear(&d->keys);
    cf_buf_clear(&d->index);
}

static void dict_free(struct dict *d)
{
    if (!d)
        return;
    cf_buf_release(&d->keys);
    cf_buf_release(&d->index);
    free(d->slot);
    free(d);
}

/* ---- columns ---- */

/* Rows without a value up to `rows`, at least one. */
static void pad_gap(struct col *c, enum cf_coltype type, size_t rows)
{
    size_t gap = rows - c->rows;

    switch (type) {
    case CF_COL_STR: fill(&c->data, 0, gap); break;
    case CF_COL_LC:
        dict_add(c->dict, CF_STR(""));
        dict_repeat(c->dict, gap - 1);
        break;
    case CF_COL_I64:
    case CF_COL_F64:
    case CF_COL_TIME:
        fill(&c->nulls, 1, gap);
        fill(&c->data, 0, gap * 8);
        break;
    case CF_COL_BOOL:
        fill(&c->nulls, 1, gap);
        fill(&c->data, 0, gap);
        break;
    case CF_COL_IP:
        fill(&c->nulls, 1, gap);
        fill(&c->data, 0, gap * 16);
        break;
    case CF_COL_ASTR:
    case CF_COL_AIP:
        for (size_t i = 0; i < gap; i++)
            put_u64(&c->nulls, c->items);
        break;
    case CF_COL_COLD: break;
    }
    c->rows = (uint32_t)rows;
}

static inline void pad(struct col *c, enum cf_coltype type, size_t rows)
{
    if (c->rows < rows)
        pad_gap(c, type, rows);
}

/* False: the value does not have the column's type. text: its interned id or 0. */
static bool put_scalar(struct col *c, enum cf_coltype type, cf_str v, uint16_t text)
{
    int64_t i;
    double d;
    struct cf_ip ip;
    uint8_t b;

    switch (type) {
    case CF_COL_LC: dict_add_text(c->dict, v, text); return true;
    case CF_COL_STR: put_string(&c->data, v); return true;
    case CF_COL_I64:
        if (!cf_str_i64(v, &i)) {
            if (!cf_str_f64(v, &d) || d < -9e18 || d > 9e18)
                return false;
            i = (int64_t)d;
            if ((double)i < d || (double)i > d)
                return false;
        }
        cf_buf_add(&c->data, &i, 8);
        break;
    case CF_COL_F64:
        if (!cf_str_f64(v, &d))
            return false;
        cf_buf_add(&c->data, &d, 8);
        break;
    case CF_COL_TIME:
        if (!cf_time_parse(v, &i))
            return false;
        i = cf_event_clamp_time(i);
        cf_buf_add(&c->data, &i, 8);
        break;
    case CF_COL_BOOL:
        b = cf_str_eqz(v, "true") || cf_str_eqz(v, "1");
        if (!b && !cf_str_eqz(v, "false") && !cf_str_eqz(v, "0"))
            return false;
        cf_buf_add(&c->data, &b, 1);
        break;
    case CF_COL_IP:
        if (!cf_ip_parse(v, &ip))
            return false;
        cf_buf_add(&c->data, ip.b, 16);
        break;
    default: return false;
    }
    cf_buf_byte(&c->nulls, 0);
    return true;
}

static bool put_item(struct col *c, enum cf_coltype type, cf_str v)
{
    struct cf_ip ip;

    if (type == CF_COL_ASTR) {
        put_string(&c->data, v);
    } else {
        if (!cf_ip_parse(v, &ip))
            return false;
        cf_buf_add(&c->data, ip.b, 16);
    }
    c->items++;
    return true;
}

static void touch(struct cf_event_block *b, size_t f, enum cf_coltype type)
{
    struct col *c = &b->field[f];

    if (!c->used) {
        c->used = true;
        b->used[b->n_used++] = (uint16_t)f;
        if (type == CF_COL_LC && !c->dict && !(c->dict = dict_new())) {
            b->failed = true;
            return;
        }
    }
    pad(c, type, b->rows);
}

/* The dictionary index of the name of an extra. */
static inline uint32_t extra_key(struct cf_event_block *b, const struct cf_value *v)
{
    struct dict *d = b->extras.dict;
    struct seen *seen;

    if (v->id < CF_F__COUNT) {
        uint32_t *id = &b->extra_id[v->id];

        if (!*id)
            *id = dict_key(d, (cf_str){cf_fields[v->id].name, cf_fields[v->id].name_n}) + 1;
        return *id - 1;
    }
    seen = &b->extra_name[v->name % NAMES];
    if (seen->text != v->name)
        *seen = (struct seen){v->name, dict_key(d, cf_name_text(v->name))};
    return seen->id;
}

/* Values of one name, v and what follows it, joined. */
static void put_extra(struct cf_event_block *b, const struct cf_event *ev, const struct cf_value *v)
{
    struct col *x = &b->extras;
    size_t n = 0;

    if (!x->dict && !(x->dict = dict_new())) {
        b->failed = true;
        return;
    }
    if (!x->used) {
        x->used = true;
        x->rows = 0;
    }
    while (x->rows < b->rows) { /* rows before without extras */
        put_u64(&x->nulls, x->items);
        x->rows++;
    }
    dict_put(x->dict, extra_key(b, v));
    x->items++;
    for (const struct cf_value *w = v; w; w = w->next ? cf_event_next(ev, w) : NULL) {
        cf_buf_byte(&b->kinds, w->kind == CF_V_INT ? 'n' : w->kind == CF_V_FLOAT ? 'f' : w->kind == CF_V_BOOL ? 'b' : 's');
        b->kinds_matter = b->kinds_matter || (v->id >= CF_F__COUNT && (w->kind == CF_V_INT || w->kind == CF_V_FLOAT || w->kind == CF_V_BOOL));
    }
    if (!v->next) {
        put_string(&x->data, (cf_str){v->p, v->n});
        if (v->n && !v->p)
            b->failed = true;
        return;
    }
    for (const struct cf_value *w = v; w; w = cf_event_next(ev, w))
        n += w->n + 1;
    put_varint(&x->data, n - 1);
    for (const struct cf_value *w = v; w; w = cf_event_next(ev, w)) {
        if (w != v)
            cf_buf_byte(&x->data, CF_EXTRA_SEP);
        cf_buf_add(&x->data, w->p ? w->p : "", w->p ? w->n : 0);
        if (w->n && !w->p)
            b->failed = true;
    }
}

/* JSON's numbers, true and false stay what they are: see CF_EXTRA_KINDS. */
static void put_kinds(struct cf_event_block *b)
{
    struct col *x = &b->extras;

    if (b->kinds_matter) {
        if (!b->kinds_key)
            b->kinds_key = dict_key(x->dict, CF_STR(CF_EXTRA_KINDS)) + 1;
        dict_put(x->dict, b->kinds_key - 1);
        x->items++;
        put_string(&x->data, cf_buf_view(&b->kinds));
    }
    b->failed = b->failed || b->kinds.failed;
    cf_buf_clear(&b->kinds);
    b->kinds_matter = false;
}

/* ---- life ---- */

static void each_buf(struct cf_event_block *b, void (*fn)(struct cf_buf *))
{
    fn(&b->day);
    fn(&b->at);
    fn(&b->id);
    fn(&b->flags);
    fn(&b->source.data);
    fn(&b->source.nulls);
    fn(&b->extras.data);
    fn(&b->extras.nulls);
    fn(&b->head);
    fn(&b->narrow);
    for (size_t i = 0; i < CF_F__COUNT; i++) {
        fn(&b->field[i].data);
        fn(&b->field[i].nulls);
    }
}

static void init_buf(struct cf_buf *b)
{
    cf_buf_init(b, BLOCK_MAX);
}

struct cf_event_block *cf_event_block_new(void)
{
    struct cf_event_block *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    each_buf(b, init_buf);
    cf_buf_init(&b->kinds, 0);
    b->def = cf_columns();
    b->source.dict = dict_new();
    if (!b->source.dict) {
        cf_event_block_free(b);
        return NULL;
    }
    return b;
}

void cf_event_block_free(struct cf_event_block *b)
{
    if (!b)
        return;
    each_buf(b, cf_buf_release);
    cf_buf_release(&b->kinds);
    dict_free(b->source.dict);
    dict_free(b->extras.dict);
    for (size_t i = 0; i < CF_F__COUNT; i++)
        dict_free(b->field[i].dict);
    free(b->chunk);
    free(b);
}

static void col_clear(struct col *c)
{
    c->rows = 0;
    c->items = 0;
    c->used = false;
    cf_buf_clear(&c->data);
    cf_buf_clear(&c->nulls);
    if (c->dict)
        dict_clear(c->dict);
}

void cf_event_block_clear(struct cf_event_block *b)
{
    for (size_t i = 0; i < b->n_used; i++)
        col_clear(&b->field[b->used[i]]);
    col_clear(&b->source);
    col_clear(&b->extras);
    cf_buf_clear(&b->day);
    cf_buf_clear(&b->at);
    cf_buf_clear(&b->id);
    cf_buf_clear(&b->flags);
    memset(b->extra_id, 0, sizeof b->extra_id);
    memset(b->extra_name, 0, sizeof b->extra_name);
    b->kinds_key = 0;
    b->n_used = 0;
    b->rows = 0;
    b->failed = false;
    b->n_chunk = 0;
}

size_t cf_event_block_rows(const struct cf_event_block *b)
{
    return b->rows;
}

bool cf_event_block_one_day(const struct cf_event_block *b)
{
    return b->day.n <= 2 || memcmp(b->day.p, b->day.p + 2, b->day.n - 2) == 0;
}

size_t cf_event_block_bytes(const struct cf_event_block *b)
{
    size_t n = b->day.n + b->at.n + b->id.n + b->flags.n + b->extras.data.n + b->extras.nulls.n;

    for (size_t i = 0; i < b->n_used; i++) {
        const struct col *c = &b->field[b->used[i]];

        n += c->data.n + c->nulls.n + (c->dict ? c->dict->keys.n + c->dict->index.n : 0);
    }
    return n;
}

/* ---- adding ---- */

struct id128 {
    uint64_t hi, lo;
};
/* A UUIDv7 that is the same for the same record: receiving time, place in the input, bytes. */
static struct id128 make_id(const struct cf_event *ev)
{
    uint64_t ms = (uint64_t)(ev->received_us > 0 ? ev->received_us / 1000 : 0), h = cf_hash64_seed(ev->original, ev->seq);
    struct id128 id;

    id.hi = (ms << 16) | 0x7000u | (ev->seq & 0xfffu);
    id.lo = (UINT64_C(2) << 62) | (h >> 2);
    return id;
}

void cf_event_id(const struct cf_event *ev, char out[37])
{
    struct id128 id = make_id(ev);
    uint8_t raw[16];
    char hex[33];
    size_t o = 0;

    for (int i = 0; i < 8; i++) {
        raw[i] = (uint8_t)(id.hi >> (56 - 8 * i));
        raw[8 + i] = (uint8_t)(id.lo >> (56 - 8 * i));
    }
    cf_hex(raw, 16, hex);
    for (int i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            out[o++] = '-';
        out[o++] = hex[i];
    }
    out[o] = 0;
}

static void add_fixed(struct cf_event_block *b, const struct cf_event *ev)
{
    int64_t received = ev->received_us ? ev->received_us : cf_now_us();
    int64_t at = cf_event_clamp_time(ev->time_us == CF_TIME_NONE ? received : ev->time_us);
    uint16_t day = cf_event_day(at, received);
    struct id128 id = make_id(ev);

    cf_buf_add(&b->day, &day, 2);
    cf_buf_add(&b->at, &at, 8);
    cf_buf_add(&b->id, &id.hi, 8);
    cf_buf_add(&b->id, &id.lo, 8);
    cf_buf_add(&b->flags, &ev->flags, 4);
    dict_add(b->source.dict, ev->source);
}

/* Received and raw text come from the record itself when no field holds them. */
static void add_implied(struct cf_event_block *b, const struct cf_event *ev)
{
    struct col *c;

    if (!ev->slot[CF_F_EVENT_INGESTED] && ev->received_us) {
        int64_t t = cf_event_clamp_time(ev->received_us);

        touch(b, CF_F_EVENT_INGESTED, CF_COL_TIME);
        c = &b->field[CF_F_EVENT_INGESTED];
        cf_buf_add(&c->data, &t, 8);
        cf_buf_byte(&c->nulls, 0);
        c->rows++;
    }
    if (!cf_event_val(ev, CF_F_EVENT_ORIGINAL) && ev->original.n) {
        touch(b, CF_F_EVENT_ORIGINAL, CF_COL_STR);
        c = &b->field[CF_F_EVENT_ORIGINAL];
        put_string(&c->data, ev->original);
        c->rows++;
    }
}

/* One field with all its values. What does not fit the column goes to extras under the field's name, so nothing is lost. */
static void add_field(struct cf_event_block *b, const struct cf_event *ev, const struct cf_value *v)
{
    size_t f = v->id;
    enum cf_coltype type = b->def[f].type;
    struct col *c = &b->field[f];
    bool array, have = false;

    if (type == CF_COL_COLD) {
        put_extra(b, ev, v);
        return;
    }
    touch(b, f, type);
    if (b->failed)
        return;
    if (type == CF_COL_LC && !v->next) { /* most values */
        dict_add_text(c->dict, (cf_str){v->p ? v->p : "", v->n}, v->text);
        c->rows++;
        return;
    }
    array = cf_coltype_array(type);
    for (; v; v = cf_event_next(ev, v)) {
        cf_str s = {v->p ? v->p : "", v->n};

        if (array ? put_item(c, type, s) : (!have && put_scalar(c, type, s, v->text))) {
            have = true;
        } else if (s.n && !array) { /* this one and those after it */
            put_extra(b, ev, v);
            break;
        } else if (s.n) {
            struct cf_value one = *v;

            one.next = 0;
            put_extra(b, ev, &one);
        }
    }
    if (array)
        put_u64(&c->nulls, c->items);
    else if (!have)
        return; /* the row is padded later */
    c->rows++;
}

/* Value i continues a chain that began before it. Chains among extras are rare and short. */
static bool chained(const struct cf_event *ev, size_t i)
{
    const struct cf_value *v = &ev->val[i];

    for (size_t k = i; k-- > 0;) {
        const struct cf_value *w = &ev->val[k];

        if (w->id == v->id && w->name == v->name)
            return w->next == i + 1;
    }
    return false;
}

int cf_event_block_add(struct cf_event_block *b, const struct cf_event *ev)
{
    if (b->failed)
        return CF_ENOMEM;
    add_fixed(b, ev);
    for (size_t i = 0; i < ev->n; i++) {
        const struct cf_value *v = &ev->val[i];

        if (v->kind == CF_V_NULL)
            continue;
        if (v->id < CF_F__COUNT) {
            /* only the head of a chain of values */
            if (i < 255 && ev->slot[v->id] == i + 1)
                add_field(b, ev, v);
            else if (i >= 255 && !chained(ev, i))
                add_field(b, ev, v);
        } else if (v->name && !chained(ev, i)) {
            put_extra(b, ev, v);
        }
    }
    add_implied(b, ev);
    put_kinds(b);
    b->rows++;
    return b->failed || b->id.failed ? CF_ENOMEM : 0;
}

/* ---- output ---- */

static void chunk(struct cf_event_block *b, const void *p, size_t n, bool own, size_t offset)
{
    if (b->n_chunk == b->cap_chunk) {
        size_t cap = b->cap_chunk ? b->cap_chunk * 2 : 256;
        struct cf_chunk *more = realloc(b->chunk, cap * sizeof *more);

        if (!more) {
            b->failed = true;
            return;
        }
        b->chunk = more;
        b->cap_chunk = cap;
    }
    b->chunk[b->n_chunk++] = (struct cf_chunk){.p = p, .n = n, .own = own ? (offset << 1) | 1 : 0};
}

/* What stands in head since `from` becomes a chunk; its address is known only at the end, when head no longer moves. */
static void flush_head(struct cf_event_block *b, size_t from)
{
    if (b->head.n > from)
        chunk(b, NULL, b->head.n - from, true, from);
}

static void out_dict(struct cf_event_block *b, const struct dict *d)
{
    size_t from = b->head.n, values = d->index.n / 4;
    const uint32_t *idx = (const uint32_t *)(const void *)d->index.p;
    unsigned width = d->n <= 0xff ? 0 : d->n <= 0xffff ? 1 : 2;

    put_u64(&b->head, width | (1u << 9));
    put_u64(&b->head, d->n);
    flush_head(b, from);
    chunk(b, d->keys.p, d->keys.n, false, 0);
    from = b->head.n;
    put_u64(&b->head, values);
    if (width < 2 && cf_buf_reserve(&b->head, values << width)) {
        char *o = b->head.p + b->head.n;

        if (width == 0) {
            for (size_t i = 0; i < values; i++)
                o[i] = (char)idx[i];
        } else {
            for (size_t i = 0; i < values; i++) {
                uint16_t v = (uint16_t)idx[i];

                memcpy(o + 2 * i, &v, 2);
            }
        }
        b->head.n += values << width;
    }
    flush_head(b, from);
    if (width == 2)
        chunk(b, d->index.p, d->index.n, false, 0);
}

static void out_column(struct cf_event_block *b, const char *name, const char *type, enum cf_coltype kind, struct col *c)
{
    size_t from = b->head.n;

    put_string(&b->head, cf_str_c(name));
    put_string(&b->head, cf_str_c(type));
    if (kind == CF_COL_LC)
        put_u64(&b->head, 1); /* version of the keys' serialisation */
    flush_head(b, from);
    if (c->nulls.n)
        chunk(b, c->nulls.p, c->nulls.n, false, 0);
    if (kind == CF_COL_LC)
        out_dict(b, c->dict);
    else
        chunk(b, c->data.p, c->data.n, false, 0);
}

static void out_plain(struct cf_event_block *b, const char *name, const char *type, const struct cf_buf *data)
{
    size_t from = b->head.n;

    put_string(&b->head, cf_str_c(name));
    put_string(&b->head, cf_str_c(type));
    flush_head(b, from);
    chunk(b, data->p, data->n, false, 0);
}

static void out_extras(struct cf_event_block *b)
{
    struct col *x = &b->extras;
    size_t from = b->head.n;

    put_string(&b->head, CF_STR("extras"));
    put_string(&b->head, CF_STR("Map(LowCardinality(String), String)"));
    put_u64(&b->head, 1);
    flush_head(b, from);
    while (x->rows < b->rows) {
        put_u64(&x->nulls, x->items);
        x->rows++;
    }
    chunk(b, x->nulls.p, x->nulls.n, false, 0);
    out_dict(b, x->dict);
    chunk(b, x->data.p, x->data.n, false, 0);
}

static bool sound(const struct cf_event_block *b)
{
    if (b->failed || b->id.failed || b->head.failed || b->source.dict->keys.failed || b->source.dict->index.failed)
        return false;
    if (b->extras.used && (b->extras.data.failed || b->extras.nulls.failed || b->extras.dict->keys.failed || b->extras.dict->index.failed))
        return false;
    for (size_t i = 0; i < b->n_used; i++) {
        const struct col *c = &b->field[b->used[i]];

        if (c->data.failed || c->nulls.failed || (c->dict && (c->dict->keys.failed || c->dict->index.failed)))
            return false;
    }
    return true;
}

/* Array columns without one element would need no data at all, which readers treat specially: leave them out. */
static bool sendable(const struct col *c, enum cf_coltype type)
{
    return !cf_coltype_array(type) || c->items > 0;
}

int cf_event_block_chunks(struct cf_event_block *b, const struct cf_chunk **ret, size_t *ret_n)
{
    const struct cf_column *def = cf_columns();
    size_t n_cols = CF_COL__FIXED + (b->extras.used ? 1u : 0u);

    b->n_chunk = 0;
    cf_buf_clear(&b->head);
    for (size_t i = 0; i < b->n_used; i++)
        n_cols += sendable(&b->field[b->used[i]], def[b->used[i]].type) ? 1u : 0u;
    put_varint(&b->head, n_cols);
    put_varint(&b->head, b->rows);
    flush_head(b, 0);
    out_plain(b, "day", "Date", &b->day);
    out_plain(b, "time", "DateTime64(6, 'UTC')", &b->at);
    out_plain(b, "id", "UUID", &b->id);
    out_plain(b, "flags", "UInt32", &b->flags);
    out_column(b, "source", "LowCardinality(String)", CF_COL_LC, &b->source);
    for (size_t i = 0; i < b->n_used; i++) {
        size_t f = b->used[i];

        if (!sendable(&b->field[f], def[f].type))
            continue;
        pad(&b->field[f], def[f].type, b->rows);
        out_column(b, def[f].name, cf_coltype_sql(def[f].type), def[f].type, &b->field[f]);
    }
    if (b->extras.used)
        out_extras(b);
    if (!sound(b))
        return CF_ENOMEM;
    for (size_t i = 0; i < b->n_chunk; i++) {
        if (b->chunk[i].own & 1)
            b->chunk[i].p = b->head.p + (b->chunk[i].own >> 1);
    }
    *ret = b->chunk;
    *ret_n = b->n_chunk;
    return 0;
}

void cf_event_block_columns(const struct cf_event_block *b, struct cf_buf *out)
{
    const struct cf_column *def = cf_columns();

    cf_buf_z(out, "day, time, id, flags, source");
    for (size_t i = 0; i < b->n_used; i++) {
        if (sendable(&b->field[b->used[i]], def[b->used[i]].type))
            cf_buf_printf(out, ", %s", def[b->used[i]].name);
    }
    if (b->extras.used)
        cf_buf_z(out, ", extras");
}
