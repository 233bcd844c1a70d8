/* SPDX-License-Identifier: Apache-2.0
 * A block of events in ClickHouse's Native format: "columns rows" (name type data)* as a list of chunks, without a copy of the data. */
#include <stdlib.h>

#include "store/event_block_private.h"

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

static void out_dict(struct cf_event_block *b, const struct cf_dict *d)
{
    size_t from = b->head.n, values = d->index.n / 4;
    const uint32_t *idx = (const uint32_t *)(const void *)d->index.p;
    unsigned width = d->n <= 0xff ? 0 : d->n <= 0xffff ? 1 : 2;

    cf_put_u64(&b->head, width | (1u << 9));
    cf_put_u64(&b->head, d->n);
    flush_head(b, from);
    chunk(b, d->keys.p, d->keys.n, false, 0);
    from = b->head.n;
    cf_put_u64(&b->head, values);
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

static void out_column(struct cf_event_block *b, const char *name, const char *type, enum cf_coltype kind, struct cf_col *c)
{
    size_t from = b->head.n;

    cf_put_string(&b->head, cf_str_c(name));
    cf_put_string(&b->head, cf_str_c(type));
    if (kind == CF_COL_LC)
        cf_put_u64(&b->head, 1); /* version of the keys' serialisation */
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

    cf_put_string(&b->head, cf_str_c(name));
    cf_put_string(&b->head, cf_str_c(type));
    flush_head(b, from);
    chunk(b, data->p, data->n, false, 0);
}

static void out_extras(struct cf_event_block *b)
{
    struct cf_col *x = &b->extras;
    size_t from = b->head.n;

    cf_put_string(&b->head, CF_STR("extras"));
    cf_put_string(&b->head, CF_STR("Map(LowCardinality(String), String)"));
    cf_put_u64(&b->head, 1);
    flush_head(b, from);
    while (x->rows < b->rows) {
        cf_put_u64(&x->nulls, x->items);
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
        const struct cf_col *c = &b->field[b->used[i]];

        if (c->data.failed || c->nulls.failed || (c->dict && (c->dict->keys.failed || c->dict->index.failed)))
            return false;
    }
    return true;
}

/* Array columns without one element would need no data at all, which readers treat specially: leave them out. */
static bool sendable(const struct cf_col *c, enum cf_coltype type)
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
    cf_put_varint(&b->head, n_cols);
    cf_put_varint(&b->head, b->rows);
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
        cf_col_pad(&b->field[f], def[f].type, b->rows);
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

/* One column's name, and its type when that is asked for. */
static void list_one(struct cf_buf *out, const char *name, const char *type, bool types)
{
    cf_buf_printf(out, "%s%s%s%s", strcmp(name, "day") == 0 ? "" : ", ", name, types ? " " : "", types ? type : "");
}

void cf_event_block_columns(const struct cf_event_block *b, bool types, struct cf_buf *out)
{
    const struct cf_column *def = cf_columns();

    list_one(out, "day", "Date", types);
    list_one(out, "time", "DateTime64(6, 'UTC')", types);
    list_one(out, "id", "UUID", types);
    list_one(out, "flags", "UInt32", types);
    list_one(out, "source", "LowCardinality(String)", types);
    for (size_t i = 0; i < b->n_used; i++)
        if (sendable(&b->field[b->used[i]], def[b->used[i]].type))
            list_one(out, def[b->used[i]].name, cf_coltype_sql(def[b->used[i]].type), types);
    if (b->extras.used)
        list_one(out, "extras", "Map(LowCardinality(String), String)", types);
}
