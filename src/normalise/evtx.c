/* SPDX-License-Identifier: Apache-2.0
 * Reads chunks, records and binary XML into a small tree. Every read is bounded by the chunk; offsets that point outside,
 * loops and deep nesting end the record with an error, never the program. */
#include "normalise/evtx.h"

#include "normalise/evtx_int.h"

#define RECORD_MAGIC 0x00002a2au
#define RECORD_HEADER 24u
#define DEPTH_MAX 48
#define VALUES_MAX 4096u
#define PARTS_MAX 20000u

/* One fragment being read: bytes [pos, end) of the chunk, and the values its substitutions refer to. */
struct reader {
    struct cf_evtx_chunk *c;
    struct cf_error *err;
    size_t pos, end;
    const struct evtx_part *values; /* array */
    size_t n_values;
    int depth;
    size_t *parts;   /* counted over the whole record */
    bool dependency; /* elements carry a dependency id (inside templates) */
};

static int read_content(struct reader *r, struct evtx_element *into);

bool cf_evtx_is_file(cf_str head) { return cf_str_starts(head, CF_STR("ElfFile\0")); }
bool cf_evtx_is_chunk(cf_str head) { return cf_str_starts(head, CF_STR("ElfChnk\0")); }

static int damaged(struct reader *r, const char *what)
{
    (void)cf_error_set(r->err, CF_ECORRUPT, "%s at byte %zu of the chunk", what, r->pos);
    return CF_ECORRUPT;
}

static uint16_t le16(const char *p) { return (uint16_t)((unsigned char)p[0] | (unsigned)(unsigned char)p[1] << 8); }
static uint32_t le32(const char *p) { return le16(p) | (uint32_t)le16(p + 2) << 16; }
static uint64_t le64(const char *p) { return le32(p) | (uint64_t)le32(p + 4) << 32; }

static bool take(struct reader *r, size_t n, const char **ret)
{
    if (r->pos > r->end || n > r->end - r->pos)
        return false;
    *ret = r->c->bytes.p + r->pos;
    r->pos += n;
    return true;
}

/* A name lies at an offset of the chunk; when the offset is the reading position it is inline and must be passed. */
static int read_name(struct reader *r, uint32_t offset, cf_str *ret)
{
    const size_t slot = (offset >> 2 ^ offset >> 10) % (sizeof r->c->name / sizeof *r->c->name);
    size_t n;
    const char *p = r->c->bytes.p + offset;

    if (offset > r->c->bytes.n - 8)
        return damaged(r, "name outside the chunk");
    n = (size_t)le16(p + 6) * 2;
    if (n > r->c->bytes.n - 8 - offset)
        return damaged(r, "name longer than the chunk");
    if (offset == r->pos) {
        const char *skip;
        if (!take(r, 8 + n + 2, &skip))
            return damaged(r, "inline name cut off");
    }
    if (r->c->name[slot].offset != offset || !offset) {
        r->c->name[slot].offset = 0;
        r->c->name[slot].text = evtx_utf8(&r->c->names, cf_str_n(p + 8, n));
        if (!r->c->name[slot].text.p)
            return CF_ENOMEM;
        r->c->name[slot].offset = offset;
    }
    *ret = r->c->name[slot].text;
    return 0;
}

static struct evtx_element *element_new(struct reader *r)
{
    struct evtx_element *e = CF_NEW(&r->c->arena, struct evtx_element);

    if (e) {
        e->attrs_tail = &e->attrs;
        e->parts_tail = &e->parts;
    }
    return e;
}

static int add_part(struct reader *r, struct evtx_part ***tail, unsigned type, cf_str raw, struct evtx_element *element)
{
    struct evtx_part *p;

    if (++*r->parts > PARTS_MAX)
        return damaged(r, "too many values");
    p = CF_NEW(&r->c->arena, struct evtx_part);
    if (!p)
        return CF_ENOMEM;
    *p = (struct evtx_part){.type = type, .raw = raw, .element = element};
    **tail = p;
    *tail = &p->next;
    return 0;
}

/* A value that is itself binary XML: its elements join the content here. */
static int read_embedded(struct reader *r, cf_str raw, struct evtx_element *into)
{
    struct reader sub = *r;

    sub.pos = (size_t)(raw.p - r->c->bytes.p);
    sub.end = sub.pos + raw.n;
    sub.values = NULL;
    sub.n_values = 0;
    sub.depth++;
    sub.dependency = false;
    return read_content(&sub, into);
}

static int substitute(struct reader *r, struct evtx_part ***tail, struct evtx_element *into)
{
    const char *p;
    size_t i;

    if (!take(r, 3, &p))
        return damaged(r, "substitution cut off");
    i = le16(p);
    if (i >= r->n_values)
        return 0; /* seen in the wild: fewer values than the template knows; reads as absent */
    if (r->values[i].type == EVTX_BINXML)
        return into ? read_embedded(r, r->values[i].raw, into) : 0;
    if (r->values[i].type == EVTX_NULL)
        return 0;
    return add_part(r, tail, r->values[i].type, r->values[i].raw, NULL);
}

/* Character data of one token that is neither element nor attribute. 1: token was read here, 0: not ours. */
static int read_text(struct reader *r, unsigned token, struct evtx_part ***tail, struct evtx_element *into)
{
    const char *p;
    cf_str name;
    size_t n;
    int x;

    switch (token & 0x0fu) {
    case 0x05: /* value: type, count of UTF-16 units, text */
    case 0x07: /* CDATA */
        if ((token & 0x0fu) == 0x05 && (!take(r, 1, &p) || *p != EVTX_WSTRING))
            return damaged(r, "text of unknown type");
        if (!take(r, 2, &p))
            return damaged(r, "text cut off");
        n = (size_t)le16(p) * 2;
        if (!take(r, n, &p))
            return damaged(r, "text cut off");
        x = add_part(r, tail, EVTX_WSTRING, cf_str_n(p, n), NULL);
        return x < 0 ? x : 1;
    case 0x08: /* character reference: one UTF-16 unit */
        if (!take(r, 2, &p))
            return damaged(r, "character reference cut off");
        x = add_part(r, tail, EVTX_WSTRING, cf_str_n(p, 2), NULL);
        return x < 0 ? x : 1;
    case 0x09: /* entity reference */
        if (!take(r, 4, &p))
            return damaged(r, "entity cut off");
        x = read_name(r, le32(p), &name);
        if (x < 0)
            return x;
        name = cf_str_eqz(name, "amp") ? CF_STR("&") : cf_str_eqz(name, "lt") ? CF_STR("<") : cf_str_eqz(name, "gt") ? CF_STR(">")
             : cf_str_eqz(name, "quot") ? CF_STR("\"") : cf_str_eqz(name, "apos") ? CF_STR("'") : name;
        x = add_part(r, tail, EVTX_UTF8, name, NULL);
        return x < 0 ? x : 1;
    case 0x0d:
    case 0x0e:
        x = substitute(r, tail, into);
        return x < 0 ? x : 1;
    default:
        return 0;
    }
}

static int read_attributes(struct reader *r, struct evtx_element *e, size_t end)
{
    while (r->pos < end) {
        const char *p;
        unsigned token;
        struct evtx_attr *a;
        int x;

        if (!take(r, 5, &p) || ((unsigned char)*p & 0x0fu) != 0x06)
            return damaged(r, "attribute expected");
        a = CF_NEW(&r->c->arena, struct evtx_attr);
        if (!a)
            return CF_ENOMEM;
        a->tail = &a->value;
        x = read_name(r, le32(p + 1), &a->name);
        if (x < 0)
            return x;
        while (r->pos < end && (token = (unsigned char)r->c->bytes.p[r->pos], (token & 0x0fu) != 0x06)) {
            r->pos++;
            x = read_text(r, token, &a->tail, NULL);
            if (x <= 0)
                return x < 0 ? x : damaged(r, "attribute value expected");
        }
        if (a->value) { /* an attribute whose substitution is null does not exist */
            *e->attrs_tail = a;
            e->attrs_tail = &a->next;
        }
    }
    return 0;
}

static int read_element(struct reader *r, bool has_attrs, struct evtx_element *parent)
{
    struct evtx_element *e = element_new(r);
    const char *p;
    size_t size, at;
    int x;

    if (!e)
        return CF_ENOMEM;
    if (++r->depth > DEPTH_MAX)
        return damaged(r, "nested too deep");
    if (r->dependency && !take(r, 2, &p))
        return damaged(r, "element cut off");
    at = r->pos;
    if (!take(r, 8, &p))
        return damaged(r, "element cut off");
    size = le32(p);
    if (size > r->end - at)
        return damaged(r, "element longer than its surroundings");
    x = read_name(r, le32(p + 4), &e->name);
    if (x < 0)
        return x;
    if (has_attrs) {
        if (!take(r, 4, &p) || le32(p) > r->end - r->pos)
            return damaged(r, "attribute list cut off");
        x = read_attributes(r, e, r->pos + le32(p));
        if (x < 0)
            return x;
    }
    if (!take(r, 1, &p))
        return damaged(r, "element without end");
    if (*p == 0x02) {
        x = read_content(r, e);
        if (x < 0)
            return x;
    } else if (*p != 0x03) {
        return damaged(r, "element without end");
    }
    r->depth--;
    return add_part(r, &parent->parts_tail, 0, CF_STR_NONE, e);
}

/* Template instance: where the definition is, then the values, then the definition is read with them. */
static int read_template(struct reader *r, struct evtx_element *into)
{
    struct evtx_part *values;
    struct reader def;
    const char *p;
    uint32_t offset, n;
    size_t data;

    if (!take(r, 9, &p))
        return damaged(r, "template instance cut off");
    offset = le32(p + 5);
    if (offset > r->c->bytes.n - 24)
        return damaged(r, "template outside the chunk");
    data = le32(r->c->bytes.p + offset + 20);
    if (data > r->c->bytes.n - 24 - offset)
        return damaged(r, "template longer than the chunk");
    if (offset == r->pos && !take(r, 24 + data, &p))
        return damaged(r, "template cut off");
    if (!take(r, 4, &p) || (n = le32(p)) > VALUES_MAX || n * (size_t)4 > r->end - r->pos)
        return damaged(r, "too many template values");
    values = CF_NEW_N(&r->c->arena, struct evtx_part, n + 1);
    if (!values)
        return CF_ENOMEM;
    (void)take(r, n * (size_t)4, &p);
    for (uint32_t i = 0; i < n; i++) {
        size_t size = le16(p + i * 4);
        const char *v;
        if (!take(r, size, &v))
            return damaged(r, "template value cut off");
        values[i] = (struct evtx_part){.type = (unsigned char)p[i * 4 + 2], .raw = cf_str_n(v, size)};
    }
    def = *r;
    def.pos = offset + 24;
    def.end = def.pos + data;
    def.values = values;
    def.n_values = n;
    def.dependency = true;
    if (++def.depth > DEPTH_MAX)
        return damaged(r, "templates nested too deep");
    return read_content(&def, into);
}

/* Tokens until the end of the element or fragment. */
static int read_content(struct reader *r, struct evtx_element *into)
{
    while (r->pos < r->end) {
        const char *p = r->c->bytes.p + r->pos++;
        unsigned token = (unsigned char)*p;
        int x;

        switch (token & 0x0fu) {
        case 0x00: /* end of fragment */
        case 0x04: /* end of element */
            return 0;
        case 0x01:
            x = read_element(r, (token & 0x40u) != 0, into);
            break;
        case 0x0a: /* processing instruction: name, then data (0x0b) */
        case 0x0b: {
            cf_str name;
            if (!take(r, (token & 0x0fu) == 0x0a ? 4 : 2, &p))
                return damaged(r, "processing instruction cut off");
            x = (token & 0x0fu) == 0x0a ? read_name(r, le32(p), &name) : (take(r, (size_t)le16(p) * 2, &p) ? 0 : damaged(r, "instruction cut off"));
            break;
        }
        case 0x0c:
            x = read_template(r, into);
            break;
        case 0x0f:
            x = take(r, 3, &p) ? 0 : damaged(r, "fragment header cut off");
            break;
        default:
            x = read_text(r, token, &into->parts_tail, into);
            if (x == 0)
                return damaged(r, "unknown token");
        }
        if (x < 0)
            return x;
    }
    return 0;
}

int cf_evtx_chunk_init(struct cf_evtx_chunk *c, cf_str bytes, struct cf_error *reterr)
{
    *c = (struct cf_evtx_chunk){.bytes = bytes, .pos = 512, .end = bytes.n};
    if (bytes.n != CF_EVTX_CHUNK_SIZE || !cf_evtx_is_chunk(bytes))
        return cf_error_set(reterr, CF_ECORRUPT, "no event log chunk here (magic or size)");
    /* the header names where record data ends; a header that says nonsense is not believed, the record magics are */
    size_t free_space = le32(bytes.p + 48);
    if (free_space >= 512 && free_space <= bytes.n)
        c->end = free_space;
    cf_arena_init(&c->arena, 65536, (size_t)64 << 20);
    cf_arena_init(&c->names, 4096, (size_t)16 << 20);
    return 0;
}

void cf_evtx_chunk_release(struct cf_evtx_chunk *c)
{
    cf_arena_release(&c->arena);
    cf_arena_release(&c->names);
}

/* Looks for the next record magic after a damaged one. */
static void resync(struct cf_evtx_chunk *c, size_t from)
{
    static const char magic[4] = {0x2a, 0x2a, 0, 0};
    const char *p = from < c->end ? memmem(c->bytes.p + from, c->end - from, magic, 4) : NULL;
    size_t to = p ? (size_t)(p - c->bytes.p) : c->end;

    c->skipped_bytes += to - c->pos;
    c->pos = to;
}

int cf_evtx_chunk_next(struct cf_evtx_chunk *c, struct cf_buf *out, uint64_t *ret_id, struct cf_error *reterr)
{
    struct evtx_element root = {.attrs_tail = &root.attrs, .parts_tail = &root.parts};
    size_t parts = 0, size, at = c->pos, mark = out->n;
    struct reader r = {.c = c, .err = reterr, .pos = at, .parts = &parts};
    const char *p = c->bytes.p + at;
    int x;

    if (at + RECORD_HEADER + 4 > c->end)
        return 0;
    if (le32(p) != RECORD_MAGIC) {
        resync(c, at);
        if (c->pos < c->end)
            return cf_error_set(reterr, CF_ECORRUPT, "no record at byte %zu of the chunk; the next is at %zu", at, c->pos);
        if (!p[0] && memcmp(p, p + 1, c->end - at - 1) == 0) /* unused space of a chunk whose header does not say where it begins */
            return 0;
        return cf_error_set(reterr, CF_ECORRUPT, "no record at byte %zu of the chunk and none behind it", at);
    }
    size = le32(p + 4);
    if (size < RECORD_HEADER + 4 || size > c->end - at) {
        resync(c, at + 4);
        return cf_error_set(reterr, CF_ECORRUPT, "record of %zu bytes at byte %zu does not fit its chunk", size, at);
    }
    *ret_id = le64(p + 8);
    c->pos = at + size;
    cf_arena_reset(&c->arena);
    r.pos = at + RECORD_HEADER;
    r.end = at + size - 4;
    x = read_content(&r, &root);
    if (x == 0 && (!root.parts || !root.parts->element))
        x = cf_error_set(reterr, CF_ECORRUPT, "record %llu holds no element", (unsigned long long)*ret_id);
    if (x < 0) {
        cf_error_context(reterr, "record %llu", (unsigned long long)*ret_id);
        return x;
    }
    evtx_element_json(out, &c->arena, root.parts->element);
    if (out->failed) {
        out->n = mark;
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    }
    return 1;
}
