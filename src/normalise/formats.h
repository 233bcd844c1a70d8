/* SPDX-License-Identifier: Apache-2.0
 * Scanners: text -> pairs. They know no events and no sources; each has its own limits and a fuzz target.
 *
 *   syslog envelope    <PRI>time host app[pid]: | message
 *   cef  CEF:0|vendor|product|version|id|name|severity| k=v k=v with blanks
 *   leef LEEF:1.0|vendor|product|version|id| k=v<TAB>k=v      2.0: |delimiter| before the pairs
 *   kv   k=v k="v v" k:v, with the separators a source names
 *   csv  a,"b ""c""",d                                       columns named by the source or by a header line
 *   json one object, read by simdjson, flattened to dotted names */
#ifndef CF_NORMALISE_FORMATS_H
#define CF_NORMALISE_FORMATS_H

#include "base/base.h"
#include "event/event.h"
#include "normalise/json_node.h"

#define CF_PAIRS_MAX 2000

struct cf_pair {
    cf_str key;    /* full dotted name as the source wrote it */
    cf_str val;
    uint32_t leaf; /* offset of the leaf name in key */
    uint8_t kind;  /* enum cf_vkind */
    uint8_t group; /* enum cf_pair_group */
    uint16_t ent;  /* keys.c: what the key means at this source; 0: not looked up */
};
/* The same 8 bytes at both ends: 0. They may overlap. */
static inline uint64_t cf_differ8(const char *a, const char *b, size_t n)
{
    uint64_t x[2], y[2];

    memcpy(&x[0], a, 8);
    memcpy(&y[0], b, 8);
    memcpy(&x[1], a + n - 8, 8);
    memcpy(&y[1], b + n - 8, 8);
    return (x[0] ^ y[0]) | (x[1] ^ y[1]);
}
/* Short texts: words that may overlap, without a call. */
static inline bool cf_same_text(const char *a, const char *b, size_t n)
{
    if (n > 32)
        return memcmp(a, b, n) == 0;
    if (n > 16) /* cppcheck follows shorter literals in here too */
        // cppcheck-suppress pointerOutOfBounds
        return (cf_differ8(a, b, n) | cf_differ8(a + 8, b + 8, n - 16)) == 0;
    if (n >= 8)
        return cf_differ8(a, b, n) == 0;
    if (n >= 4) {
        uint32_t x[2], y[2];
        memcpy(&x[0], a, 4);
        memcpy(&y[0], b, 4);
        memcpy(&x[1], a + n - 4, 4);
        memcpy(&y[1], b + n - 4, 4);
        return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
    }
    return n == 0 || (a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1]);
}
/* n bytes of a short text, without a call. */
static inline void cf_copy_text(char *to, const char *from, size_t n)
{
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            memcpy(to + i, from + i, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else if (n >= 4) {
        uint32_t x[2];
        memcpy(&x[0], from, 4);
        memcpy(&x[1], from + n - 4, 4);
        memcpy(to, &x[0], 4);
        memcpy(to + n - 4, &x[1], 4);
    } else if (n) {
        const char first = from[0], middle = from[n / 2], last = from[n - 1];
        to[0] = first;
        to[n / 2] = middle;
        to[n - 1] = last;
    }
}
/* Keys that records of a source have, in the order they had last time: what comes next is compared before it is searched for. */
struct cf_known_key {
    char head[16];  /* of a plain key: it and the sign of assignment behind it, then zeros */
    cf_str text;    /* at least 16 bytes may be read */
    uint16_t next;  /* the key that came behind it; 0: none */
    uint16_t mask;  /* bits of head that count; 0: not plain */
    uint16_t want;  /* the same, or 1 where mask is 0, so that nothing is equal */
    uint8_t plain;  /* its length when it is of letters, digits, '_', '-' and '.', ends in letters or digits and is shorter than 16; otherwise 0 */
};
#define CF_KEY_SIZE 128u
struct cf_key_guide {
    const char *keys; /* entries of CF_KEY_SIZE that begin with a cf_known_key */
    const void *of;   /* whose keys they are; NULL: no pair has an ent from here */
    uint16_t at;      /* the key that is expected next; 0: none */
    bool strayed;     /* a pair's key was not the expected one */
    size_t in_order;  /* the parser's pairs, all from the first on, had the expected keys: their number; otherwise 0 */
};
enum cf_pair_group { CF_G_FREE, CF_G_WIN_DATA, CF_G_WIN_USER_DATA, CF_G_WIN_SYSTEM, CF_G_SD /* structured data: maps name it by its leaf */, CF_G_DONE };
struct cf_pairs {
    struct cf_pair *v; /* CF_PAIRS_MAX places */
    size_t n;
    bool full;         /* more pairs than places: the rest was left out */
    struct cf_key_guide guide; /* parsers of pairs set ent by it */
};
static inline const struct cf_known_key *cf_known_at(const struct cf_key_guide *g, uint16_t at)
{
    return (const struct cf_known_key *)(const void *)(g->keys + (size_t)at * CF_KEY_SIZE);
}
/* At the end of a parser that follows the guide. */
static inline void cf_guide_done(struct cf_pairs *ps) { ps->guide.in_order = ps->guide.strayed ? 0 : ps->n; }
static inline struct cf_pair *cf_pair_add(struct cf_pairs *ps, cf_str key, cf_str val, enum cf_vkind kind)
{
    struct cf_pair *p;

    if (ps->n >= CF_PAIRS_MAX) {
        ps->full = true;
        return NULL;
    }
    p = &ps->v[ps->n++];
    *p = (struct cf_pair){.key = key, .val = val, .kind = (uint8_t)kind};
    return p;
}

struct cf_syslog {
    int pri;        /* -1: none */
    int version;    /* RFC 5424; 0: RFC 3164 */
    cf_str stamp;   /* text of the time; empty: none */
    cf_str host, app, pid, msgid, sd, msg; /* .p NULL when absent */
    cf_str addr;    /* the host's address behind its name: "ns1.example 192.0.2.1 named[8]: " */
};
/* False: neither priority nor time in front, so not syslog. Views of text. */
bool cf_syslog_parse(cf_str text, struct cf_syslog *ret);
struct cf_stamp_memo { /* the stamp of the line before: most lines of a second share it. Init with {0} */
    char text[32];
    size_t n;
};
bool cf_syslog_parse_memo(cf_str text, struct cf_syslog *ret, struct cf_stamp_memo *memo); /* memo NULL: none */
/* "[id a="b"]..." -> pairs "id.a"; names and unescaped values live in arena. */
int cf_syslog_sd(cf_str sd, struct cf_arena *a, struct cf_pairs *ret);

/* Header fields become pairs cef.version, vendor, product, device_version, id, name, severity (same for LEEF). */
int cf_cef_parse(cf_str text, struct cf_arena *a, struct cf_pairs *ret, struct cf_error *reterr);
int cf_leef_parse(cf_str text, struct cf_arena *a, struct cf_pairs *ret, struct cf_error *reterr);

struct cf_kv_style {
    char assign;       /* '=' or ':' */
    char sep[4];       /* bytes that end a pair: " ", ",", ";" ... */
    bool spaced;       /* an unquoted value may hold blanks: it ends where the next key starts */
    char quote;        /* '"' or '\'' ; both are always understood */
};
int cf_kv_parse(cf_str text, const struct cf_kv_style *style, struct cf_arena *a, struct cf_pairs *ret, struct cf_error *reterr);

/* Columns in order; sep ',' '\t' '|' ' ' or ';'. At most max columns; *ret_n set. Quoted fields are unescaped in arena. */
int cf_csv_parse(cf_str text, char sep, struct cf_arena *a, cf_str *cols, size_t max, size_t *ret_n, struct cf_error *reterr);

/* --- JSON (simdjson behind it) --- */
/* Text may hold anything; nodes are valid until the next call, their text lives in `text` or in arena. The document must
 * be an object or an array. */
int cf_json_parse(struct cf_json *j, cf_str text, struct cf_arena *a, const struct cf_jnode **ret, size_t *ret_n,
                  struct cf_error *reterr);
/* Appends node i's descendants as dotted pairs; prefix "" or "a.b.". */
int cf_json_pairs(const struct cf_jnode *nodes, size_t i, cf_str prefix, struct cf_arena *a, struct cf_pairs *ret);
bool cf_utf8_valid_fast(cf_str s);

/* --- text encodings --- */
struct cf_encoding;
struct cf_encoding *cf_encoding_new(void);
void cf_encoding_free(struct cf_encoding *e);
/* Valid UTF-8 without NUL comes back as it is. Otherwise GB18030 when all of it fits and it holds Chinese text, otherwise
 * each invalid byte becomes U+FFFD. The result lives in arena. .p NULL: no memory. */
cf_str cf_encoding_text(struct cf_encoding *e, cf_str raw, struct cf_arena *a, bool *ret_printable); /* printable: ASCII from ' ' on, one line */

#endif
