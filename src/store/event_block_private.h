/* SPDX-License-Identifier: Apache-2.0
 * The insides of a block of events: shared by event_block.c (adding), event_dict.c (dictionaries) and event_native.c (sending).
 * A column is touched only by rows that have a value; rows without one are filled in when the next value or the end comes, and a
 * column nobody touched is not sent at all. Buffers are kept between blocks, so that nothing is allocated once they have their size. */
#ifndef CF_STORE_EVENT_BLOCK_PRIVATE_H
#define CF_STORE_EVENT_BLOCK_PRIVATE_H

#include "store/event_block.h"

#define SEEN 8u    /* constants of source files a dictionary remembers by their interned id */
#define NAMES 256u /* the same for names of extras */

/* What an interned id became in a dictionary. */
struct cf_dict_seen {
    uint16_t text; /* 0: free */
    uint32_t id;
};
/* Dictionary of one LowCardinality column. */
struct cf_dict {
    struct cf_buf keys;     /* String encoding, in index order */
    struct cf_buf index;    /* uint32_t a value, narrowed when sent */
    struct entry {
        uint64_t a, b;      /* of short text all its bytes, else its hash */
        uint32_t pos, len;  /* of the bytes in keys */
        uint32_t id;        /* + 1; 0: free */
    } * slot;
    uint32_t n, mask;
    struct cf_dict_seen seen[SEEN];
};
struct cf_col {
    uint32_t rows;        /* rows written so far */
    bool used;
    struct cf_buf data;   /* values; String encoding for text */
    struct cf_buf nulls;  /* null map of Nullable, offsets of arrays */
    uint64_t items;       /* array elements so far */
    struct cf_dict *dict;    /* LowCardinality */
};
struct cf_event_block {
    size_t rows;
    bool failed;
    struct cf_buf day, at, id, flags;
    struct cf_col source;
    struct cf_col field[CF_F__COUNT];
    struct cf_col extras;           /* nulls: offsets; dict: keys; data: values */
    uint32_t extra_id[CF_F__COUNT]; /* key of a field without a column, + 1; 0: not in this block yet */
    struct cf_dict_seen extra_name[NAMES];
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

static inline void cf_put_varint(struct cf_buf *b, uint64_t v)
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

static inline void cf_put_string(struct cf_buf *b, cf_str s)
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
    if (s.p)
        memcpy(o, s.p, s.n);
    b->n = (size_t)(o + s.n - b->p);
}

static inline void cf_put_u64(struct cf_buf *b, uint64_t v)
{
    cf_buf_add(b, &v, 8); /* both supported machines are little endian */
}

/* ---- dictionaries (event_dict.c) ---- */

struct cf_dict *cf_dict_new(void); /* NULL: no memory */
void cf_dict_clear(struct cf_dict *d);
void cf_dict_free(struct cf_dict *d);
/* The index of s, which becomes a key when it is not one yet. Without memory keys.failed is set. */
uint32_t cf_dict_key(struct cf_dict *d, cf_str s);
void cf_dict_add(struct cf_dict *d, cf_str s);
/* text: the interned id of s, 0 when it has none. */
void cf_dict_add_text(struct cf_dict *d, cf_str s, uint16_t text);
/* The value added last, n more times. */
void cf_dict_repeat(struct cf_dict *d, size_t n);

static inline void cf_dict_put(struct cf_dict *d, uint32_t id)
{
    cf_buf_add(&d->index, &id, 4);
}

/* ---- columns ---- */

/* Rows without a value up to `rows`, at least one. */
void cf_col_pad_gap(struct cf_col *c, enum cf_coltype type, size_t rows);

static inline void cf_col_pad(struct cf_col *c, enum cf_coltype type, size_t rows)
{
    if (c->rows < rows)
        cf_col_pad_gap(c, type, rows);
}

#endif
