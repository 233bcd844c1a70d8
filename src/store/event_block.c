/* SPDX-License-Identifier: Apache-2.0
 * Events as columns: what the pipeline adds to, row by row.
 *
 *   add(ev) --> per column: bytes of the values | null map | offsets | dictionary + indexes      (then event_native.c)
 */
#include <stdlib.h>

#include "base/hash.h"
#include "store/event_block_private.h"

#define BLOCK_MAX (1u << 30)

/* ---- columns ---- */

static void fill(struct cf_buf *b, int byte, size_t n)
{
    if (n && cf_buf_reserve(b, n)) {
        memset(b->p + b->n, byte, n);
        b->n += n;
    }
}

/* Rows without a value up to `rows`, at least one. */
void cf_col_pad_gap(struct cf_col *c, enum cf_coltype type, size_t rows)
{
    size_t gap = rows - c->rows;

    switch (type) {
    case CF_COL_STR: fill(&c->data, 0, gap); break;
    case CF_COL_LC:
        cf_dict_add(c->dict, CF_STR(""));
        cf_dict_repeat(c->dict, gap - 1);
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
            cf_put_u64(&c->nulls, c->items);
        break;
    case CF_COL_COLD: break;
    }
    c->rows = (uint32_t)rows;
}

/* False: the value does not have the column's type. text: its interned id or 0. */
static bool put_scalar(struct cf_col *c, enum cf_coltype type, cf_str v, uint16_t text)
{
    int64_t i;
    double d;
    struct cf_ip ip;
    uint8_t b;

    switch (type) {
    case CF_COL_LC: cf_dict_add_text(c->dict, v, text); return true;
    case CF_COL_STR: cf_put_string(&c->data, v); return true;
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

static bool put_item(struct cf_col *c, enum cf_coltype type, cf_str v)
{
    struct cf_ip ip;

    if (type == CF_COL_ASTR) {
        cf_put_string(&c->data, v);
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
    struct cf_col *c = &b->field[f];

    if (!c->used) {
        c->used = true;
        b->used[b->n_used++] = (uint16_t)f;
        if (type == CF_COL_LC && !c->dict && !(c->dict = cf_dict_new())) {
            b->failed = true;
            return;
        }
    }
    cf_col_pad(c, type, b->rows);
}

/* The dictionary index of the name of an extra. */
static inline uint32_t extra_key(struct cf_event_block *b, const struct cf_value *v)
{
    struct cf_dict *d = b->extras.dict;
    struct cf_dict_seen *seen;

    if (v->id < CF_F__COUNT) {
        uint32_t *id = &b->extra_id[v->id];

        if (!*id)
            *id = cf_dict_key(d, (cf_str){cf_fields[v->id].name, cf_fields[v->id].name_n}) + 1;
        return *id - 1;
    }
    seen = &b->extra_name[v->name % NAMES];
    if (seen->text != v->name)
        *seen = (struct cf_dict_seen){v->name, cf_dict_key(d, cf_name_text(v->name))};
    return seen->id;
}

/* Values of one name, v and what follows it, joined. */
static void put_extra(struct cf_event_block *b, const struct cf_event *ev, const struct cf_value *v)
{
    struct cf_col *x = &b->extras;
    size_t n = 0;

    if (!x->dict && !(x->dict = cf_dict_new())) {
        b->failed = true;
        return;
    }
    if (!x->used) {
        x->used = true;
        x->rows = 0;
    }
    while (x->rows < b->rows) { /* rows before without extras */
        cf_put_u64(&x->nulls, x->items);
        x->rows++;
    }
    cf_dict_put(x->dict, extra_key(b, v));
    x->items++;
    for (const struct cf_value *w = v; w; w = w->next ? cf_event_next(ev, w) : NULL) {
        cf_buf_byte(&b->kinds, w->kind == CF_V_INT ? 'n' : w->kind == CF_V_FLOAT ? 'f' : w->kind == CF_V_BOOL ? 'b' : 's');
        b->kinds_matter = b->kinds_matter || (v->id >= CF_F__COUNT && (w->kind == CF_V_INT || w->kind == CF_V_FLOAT || w->kind == CF_V_BOOL));
    }
    if (!v->next) {
        cf_put_string(&x->data, (cf_str){v->p, v->n});
        if (v->n && !v->p)
            b->failed = true;
        return;
    }
    for (const struct cf_value *w = v; w; w = cf_event_next(ev, w))
        n += w->n + 1;
    cf_put_varint(&x->data, n - 1);
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
    struct cf_col *x = &b->extras;

    if (b->kinds_matter) {
        if (!b->kinds_key)
            b->kinds_key = cf_dict_key(x->dict, CF_STR(CF_EXTRA_KINDS)) + 1;
        cf_dict_put(x->dict, b->kinds_key - 1);
        x->items++;
        cf_put_string(&x->data, cf_buf_view(&b->kinds));
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
    b->source.dict = cf_dict_new();
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
    cf_dict_free(b->source.dict);
    cf_dict_free(b->extras.dict);
    for (size_t i = 0; i < CF_F__COUNT; i++)
        cf_dict_free(b->field[i].dict);
    free(b->chunk);
    free(b);
}

static void col_clear(struct cf_col *c)
{
    c->rows = 0;
    c->items = 0;
    c->used = false;
    cf_buf_clear(&c->data);
    cf_buf_clear(&c->nulls);
    if (c->dict)
        cf_dict_clear(c->dict);
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
        const struct cf_col *c = &b->field[b->used[i]];

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
    cf_dict_add(b->source.dict, ev->source);
}

/* Received and raw text come from the record itself when no field holds them. */
static void add_implied(struct cf_event_block *b, const struct cf_event *ev)
{
    struct cf_col *c;

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
        cf_put_string(&c->data, ev->original);
        c->rows++;
    }
}

/* One field with all its values. What does not fit the column goes to extras under the field's name, so nothing is lost. */
static void add_field(struct cf_event_block *b, const struct cf_event *ev, const struct cf_value *v)
{
    size_t f = v->id;
    enum cf_coltype type = b->def[f].type;
    struct cf_col *c = &b->field[f];
    bool array, have = false;

    if (type == CF_COL_COLD) {
        put_extra(b, ev, v);
        return;
    }
    touch(b, f, type);
    if (b->failed)
        return;
    if (type == CF_COL_LC && !v->next) { /* most values */
        cf_dict_add_text(c->dict, (cf_str){v->p ? v->p : "", v->n}, v->text);
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
        cf_put_u64(&c->nulls, c->items);
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
