// SPDX-License-Identifier: Apache-2.0
// The one C++ file of this module: simdjson's first stage (vectorised: finds the structure, checks UTF-8 and quotes)
// behind a C interface, and a small second stage of our own that writes one node a value. Own second stage because
// numbers must stay text (huge ones too) and strings without escapes must stay views of the record.
#include <simdjson.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <memory>

#include <cstdlib>
#include <cstring>
#include <new>

#include "normalise/json_node.h"

struct cf_json {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> impl;
    size_t impl_cap = 0;
    char *pad = nullptr;
    size_t pad_cap = 0;
    cf_jnode *node = nullptr;
    size_t n = 0, cap = 0;
    ~cf_json()
    {
        free(pad);
        free(node);
    }
};

static const size_t kNodesMax = 200000;

static cf_jnode *add_node(cf_json *j)
{
    if (j->n == j->cap) {
        size_t cap = j->cap ? j->cap * 2 : 256;
        if (cap > kNodesMax)
            return nullptr;
        cf_jnode *p = static_cast<cf_jnode *>(realloc(static_cast<void *>(j->node), cap * sizeof *p));
        if (!p)
            return nullptr;
        j->node = p;
        j->cap = cap;
    }
    cf_jnode *n = &j->node[j->n++];
    n->key = nullptr;
    n->p = nullptr;
    n->key_n = n->n = n->next = 0;
    n->esc = 0;
    return n;
}

// Token k of the structure; its text ends before the next token. Behind the last one stands a NUL, which begins no value.
struct cursor {
    const char *buf, *text; // the padded copy, which is read; what nodes point into
    const uint32_t *idx;    // n + 1 places
    size_t n, k;
    char at() const { return buf[idx[k]]; }
    size_t end() const { return idx[k + 1]; }
};

static inline bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// p lies in the padded copy: up to 16 bytes behind it may be read.
static inline bool has_backslash(const char *p, size_t n)
{
#ifdef __SSE2__
    const __m128i want = _mm_set1_epi8('\\');
    for (; n >= 16; p += 16, n -= 16)
        if (_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)), want)))
            return true;
    return n && (static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)), want))) & ((1u << n) - 1));
#else
    return n && memchr(p, '\\', n);
#endif
}

// False: there is text behind the string. Stage 1 saw that it is closed and that it holds no control characters.
static inline __attribute__((always_inline)) bool read_string(cursor &c, const char **p, uint32_t *n, uint8_t *esc, uint8_t bit)
{
    size_t from = c.idx[c.k] + 1, to = c.end();

    while (to > from && is_blank(c.buf[to - 1]))
        to--;
    if (to <= from || c.buf[to - 1] != '"')
        return false;
    to--;
    *p = c.text + from;
    *n = static_cast<uint32_t>(to - from);
    if (has_backslash(c.buf + from, to - from))
        *esc = static_cast<uint8_t>(*esc | bit);
    c.k++;
    return true;
}

static const char *const kBehindString = "text behind a string";

static const char *read_scalar(cursor &c, cf_jnode *n)
{
    const char *p = c.buf + c.idx[c.k];
    size_t len = c.end() - c.idx[c.k];

    while (len && is_blank(p[len - 1]))
        len--;
    n->p = c.text + c.idx[c.k];
    n->n = static_cast<uint32_t>(len);
    c.k++;
    if (len == 4 && memcmp(p, "true", 4) == 0) {
        n->kind = CF_J_TRUE;
    } else if (len == 5 && memcmp(p, "false", 5) == 0) {
        n->kind = CF_J_FALSE;
    } else if (len == 4 && memcmp(p, "null", 4) == 0) {
        n->kind = CF_J_NULL;
    } else {
        n->kind = CF_J_NUM;
        if (len == 0 || !((*p >= '0' && *p <= '9') || *p == '-'))
            return "a value that is neither text, number, true, false, null, object nor array";
        for (size_t i = 1; i < len; i++)
            if (!((p[i] >= '0' && p[i] <= '9') || p[i] == '.' || p[i] == 'e' || p[i] == 'E' || p[i] == '+' || p[i] == '-'))
                return "a number with letters in it";
    }
    return nullptr;
}

// The containers not yet closed.
struct opened {
    uint32_t node[CF_JSON_DEPTH_MAX];
    size_t depth = 0;
    bool object = false; // the innermost one is an object
};

// The value at the cursor, or the beginning of a container.
static inline const char *read_value(cf_json *j, cursor &c, opened &o, cf_jnode *n)
{
    char ch = c.at();

    switch (ch) {
    case '"':
        n->kind = CF_J_STR;
        return read_string(c, &n->p, &n->n, &n->esc, 2) ? nullptr : kBehindString;
    case '{': case '[':
        n->kind = ch == '{' ? CF_J_OBJ : CF_J_ARR;
        if (o.depth == CF_JSON_DEPTH_MAX)
            return "nested deeper than 64";
        o.node[o.depth++] = static_cast<uint32_t>(j->n - 1);
        o.object = ch == '{';
        c.k++;
        return nullptr;
    case '\0': case '}': case ']': case ',': case ':':
        return "a value is missing";
    default:
        return read_scalar(c, n);
    }
}

// Behind a value, or in a container that just began: closes what ends here. False: *why, or the document has ended.
static inline bool close_ended(cf_json *j, cursor &c, opened &o, bool fresh, const char **why)
{
    while (o.depth) {
        char ch = c.at();
        if (ch == ',' && !fresh) {
            c.k++;
            return true;
        }
        if (ch != (o.object ? '}' : ']')) {
            if (fresh)
                return true;
            *why = c.k >= c.n ? "the document ends too early" : "a comma or closing bracket is missing";
            return false;
        }
        c.k++;
        j->node[o.node[--o.depth]].next = static_cast<uint32_t>(j->n);
        o.object = o.depth && j->node[o.node[o.depth - 1]].kind == CF_J_OBJ;
        fresh = false;
    }
    *why = c.k == c.n ? nullptr : "text behind the end of the document";
    return false;
}

// The document, without recursion.
static const char *build(cf_json *j, cursor &c)
{
    const char *why;
    opened o;

    do {
        size_t depth = o.depth;
        cf_jnode *n = add_node(j);
        if (!n)
            return "more than 200,000 values";
        n->depth = static_cast<uint16_t>(depth);
        if (o.object) {
            if (c.at() != '"')
                return "a name in quotes is missing";
            if (!read_string(c, &n->key, &n->key_n, &n->esc, 1))
                return kBehindString;
            if (c.at() != ':')
                return "a colon is missing";
            c.k++;
        }
        why = read_value(j, c, o, n);
        if (why)
            return why;
        why = nullptr;
        if (!close_ended(j, c, o, o.depth > depth, &why))
            return why;
    } while (true);
}

extern "C" struct cf_json *cf_json_new(void)
{
    return new (std::nothrow) cf_json();
}

extern "C" void cf_json_free(struct cf_json *j) { delete j; }

extern "C" bool cf_utf8_valid_simd(const char *p, size_t n) { return simdjson::validate_utf8(p, n); }

// The shim's core: nodes with raw (still escaped) text. *ret_why is NULL on success. Text is copied into a padded buffer
// because simdjson reads up to 64 bytes ahead; nodes point back into the caller's text.
extern "C" const char *cf_json_stage(struct cf_json *j, const char *text, size_t len)
{
    if (len > 0xffffff00u)
        return "longer than 4 GiB";
    if (j->pad_cap < len + simdjson::SIMDJSON_PADDING) {
        free(j->pad);
        j->pad_cap = (len + simdjson::SIMDJSON_PADDING + 65535) & ~size_t(65535);
        j->pad = static_cast<char *>(malloc(j->pad_cap));
        if (!j->pad) {
            j->pad_cap = 0;
            return "no memory";
        }
    }
    memcpy(j->pad, text, len);
    memset(j->pad + len, 0x20, simdjson::SIMDJSON_PADDING);
    if (!j->impl || j->impl_cap < len) {
        size_t cap = (len + 65535) & ~size_t(65535);
        if (simdjson::get_active_implementation()->create_dom_parser_implementation(cap, CF_JSON_DEPTH_MAX, j->impl))
            return "no memory";
        j->impl_cap = cap;
    }
    j->n = 0;
    simdjson::error_code e = j->impl->stage1(reinterpret_cast<const uint8_t *>(j->pad), len, simdjson::stage1_mode::regular);
    if (e == simdjson::EMPTY)
        return "it is empty";
    if (e)
        return e == simdjson::UNCLOSED_STRING ? "a string is not closed" : e == simdjson::UTF8_ERROR ? "it is not UTF-8"
               : e == simdjson::UNESCAPED_CHARS ? "control character in a string" : simdjson::error_message(e);
    size_t n = j->impl->n_structural_indexes;
    uint32_t *idx = j->impl->structural_indexes.get(); // has room for more than n
    idx[n] = static_cast<uint32_t>(len);
    j->pad[len] = '\0';
    cursor c = {j->pad, text, idx, n, 0};
    return build(j, c);
}

extern "C" struct cf_jnode *cf_json_nodes(struct cf_json *j, size_t *n)
{
    *n = j->n;
    return j->node;
}
