/* SPDX-License-Identifier: Apache-2.0
 * Source files (content/sources/NAME.yaml) compiled: what loading makes and what running reads. Everything lives in the
 * normaliser's arena and never changes after load. content/sources/README.md is the manual of the file format. */
#ifndef CF_NORMALISE_SOURCE_H
#define CF_NORMALISE_SOURCE_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "normalise/formats.h"
#include "normalise/memos.h"
#include "normalise/normalise.h"
#include "normalise/template.h"
#include "normalise/texts.h"
#include "normalise/timefmt.h"
#include "normalise/wide.h"

enum cf_nfmt { /* bits: formats a source accepts */
    CF_NF_TEXT = 1, CF_NF_JSON = 2, CF_NF_WIN = 4, CF_NF_ECS = 8, CF_NF_CEF = 16, CF_NF_LEEF = 32, CF_NF_ZEEK = 64, CF_NF_IIS = 128,
    CF_NF_CSV = 256, CF_NF_KV = 512, CF_NF_NETFLOW = 1024,
};
#define CF_NF_BITS 11

enum cf_conv {
    CF_C_NONE, CF_C_LOWER, CF_C_UPPER, CF_C_INT, CF_C_HEX, CF_C_IP, CF_C_MAC, CF_C_BASENAME, CF_C_HASHES, CF_C_USER, CF_C_S_TO_NS, CF_C_MS_TO_NS,
    CF_C_US_TO_NS, CF_C_TIME, CF_C_TRIM, CF_C_SPLIT_COMMA, CF_C_SPLIT_SPACE, CF_C_HOSTPORT, CF_C_PROTO, CF_C_NOBRACES, CF_C_URL, CF_C_ADDRESS, CF_C_SID, CF_C_MACPAIR, CF_C_HMS, CF_C_UNHEX, CF_C_DNSRESULTS, CF_C_ARGS, CF_C_APPEND, CF_C_FINGERPRINT, CF_C_DASHES,
};

/* A place in the event: a field of the table, an extra, or (at load) a key of the record. */
struct cf_ref {
    uint16_t field; /* enum cf_field or CF_F_EXTRA */
    uint16_t name;  /* extra: interned full name */
    uint16_t raw;   /* interned leaf of text */
    uint16_t kid;   /* number of text among all keys that sources look at; 0: none given */
    cf_str text;    /* as written in the file */
};
struct cf_setv {
    struct cf_ref to;
    cf_str val;
    bool add;    /* second and later values of a list */
    uint16_t text; /* val interned, so that writers know it for a constant; 0: too long */
};
#define CF_SETS_BLOCK_MAX 60u
struct cf_sets {
    size_t n;
    struct cf_setv *v;
    size_t n_block;           /* values ready to be copied into an event that has none of these fields yet; 0: one by one */
    struct cf_value *block;
    size_t n_head;            /* fields of the block with the place of their first value */
    struct cf_sethead {
        uint16_t field, at;
    } *head;
    uint16_t *chain;          /* places of values that have a next one of their field */
    size_t n_chain;
};
struct cf_lookup {
    cf_str name;
    size_t n;
    cf_str *key, *val; /* keys in lower case */
    cf_str def;        /* .p NULL: no default */
};
enum cf_fast { CF_FAST_NONE, CF_FAST_TEXT, CF_FAST_NUMBER, CF_FAST_IP, CF_FAST_EXTRA, CF_FAST_ADDRESS }; /* targets that take values as they are, by their type */
struct cf_target {
    struct cf_ref to;
    enum cf_conv conv;
    enum cf_fast fast;
    const struct cf_lookup *lookup;
};
struct cf_maprow {
    cf_str key;
    uint64_t hash;
    uint16_t raw, extra; /* interned leaf; interned full name for keeping it as an extra */
    size_t n;
    struct cf_target *t;
};
struct cf_map {
    uint64_t mask; /* 0: empty */
    struct cf_maprow **slot;
};
struct cf_cond {
    struct cf_ref ref;
    size_t n;        /* 0: the field is present */
    cf_str *val;     /* any of them; a trailing '*' stands for any rest */
    uint64_t may;    /* bits: cf_text_sign of the texts that may be equal to one of val */
    bool negate;
};
struct cf_made { /* a text with holes: lit[i] stands before ref[i], lit[n] behind the last */
    size_t n;
    cf_str *lit;
    struct cf_ref *ref;
};
struct cf_when {
    size_t n;
    struct cf_cond *cond;
    struct cf_sets set;
    struct cf_target *copy; /* copy.n pairs: text of `from` goes to `to` */
    struct cf_ref *copy_from;
    struct cf_made *copy_made; /* n > 0: instead of copy_from */
    size_t n_copy;
};
struct cf_whenkey { /* what a key of the record tells about the first 64 rules: see when.c */
    uint16_t kid;
    uint8_t of[65];  /* mask by cf_text_sign of its value; the last one: it is absent */
    uint64_t *mask;  /* bits: rules that may hold */
};
struct cf_case {
    cf_str val;
    const struct cf_case *next; /* of the same sign */
    struct cf_sets set;
    struct cf_map map;
};
struct cf_switch {
    struct cf_ref on;
    size_t n;
    struct cf_case **v;  /* sorted by val */
    struct cf_case *first[64]; /* by cf_text_sign of val */
    struct cf_case *def;
};
struct cf_regex {
    pcre2_code *code;
    size_t n;              /* named groups */
    uint32_t *group, *name;
    uint32_t action;
};
struct cf_match {
    unsigned formats;
    uint64_t first[4]; /* bits: bytes a text may start with */
    size_t n_program, n_contains, n_starts, n_cond, n_has;
    cf_str *program, *contains, *starts, *has;
    struct cf_rare {          /* of each of contains: its bytes that texts have least, looked for first, and their places in it */
        unsigned char byte[2];
        uint16_t at[2];
    } *rare;
    unsigned signs;        /* bits of cf_text_signs that a text with all of contains has */
    struct cf_cond *cond;
    size_t n_add;   /* pairs a row adds to the parsed ones: what the keys tell about the kind of record */
    cf_str *add_key, *add_val;
    pcre2_code *regex;
    bool extract;   /* matches when one of the source's patterns does */
    bool whole;     /* looks at the whole line, before an envelope is taken off it (its stamp would pass for one) */
};
/* What switches and rules of a source look at, when that is a few keys and fields: see decide.c. */
#define CF_INPUTS_KEYS 12u
#define CF_INPUTS_FIELDS 4u
struct cf_inputs {
    bool ok;
    size_t n_key, n_field;
    struct cf_input_key {
        uint16_t kid;
        bool text; /* false: only whether the record has it */
    } key[CF_INPUTS_KEYS];
    uint16_t field[CF_INPUTS_FIELDS];
};
struct cf_source;
struct cf_part { /* the value of a key or field taken apart once more */
    struct cf_ref from;
    bool stamp;            /* from: syslog.stamp, the time text of the envelope */
    struct cf_source *how; /* patterns and payload only */
};
struct cf_time {
    size_t n_from, n_fmt;
    struct cf_ref *from;
    struct cf_timeparts {     /* of "date+time" */
        size_t n;
        struct cf_ref *part;
    } *parts;
    cf_str *fmt;
};
enum cf_payload { CF_P_TEXT, CF_P_KV, CF_P_CSV, CF_P_JSON, CF_P_CEF, CF_P_LEEF };
struct cf_source {
    const char *name, *file;
    cf_str name_s, prefix; /* prefix with its dot, or empty */
    int order;
    size_t index;
    bool refuse_multiline, ecs, custom;
    bool services;            /* a device: lines of its programs are read by the sources that know them */
    uint64_t *looks;          /* bits by kid: keys that its conditions, switches and times, and its base's, look at */
    unsigned formats;         /* of all match rows */
    cf_str doc;
    size_t n_match;
    struct cf_match *match;
    enum cf_payload payload;
    cf_str payload_after;     /* pairs start behind this text */
    struct cf_kv_style kv;
    char csv_sep;
    size_t n_col;
    cf_str *col;
    struct cf_sets set;
    struct cf_tpl *tpl;
    size_t n_regex;
    struct cf_regex *regex;
    size_t n_action;
    struct cf_sets *action;   /* what a pattern sets */
    size_t n_hole;
    struct cf_ref *hole;      /* names of captures: fields, extras, or keys that go through map */
    bool *hole_key;           /* goes through map */
    size_t n_null;
    cf_str *null;
    bool null_first[256];     /* first bytes of null, and '-' */
    const struct cf_source *base; /* map, set, when and time go on there */
    struct cf_map map;
    size_t n_part;
    struct cf_part *part;
    size_t n_switch;
    struct cf_switch *sw;
    size_t n_when;
    struct cf_when *when;
    size_t n_when_key;
    struct cf_whenkey *when_key;
    struct cf_inputs inputs;      /* of switches, rules and the base's rules */
    size_t n_time;
    struct cf_time *time;
    bool has_zone;
    struct cf_zone zone;
    /* only while loading */
    cf_str base_name;
    size_t n_include;
    cf_str *include;
    struct cf_ynode *extract_y;
};

struct cf_prog { /* program name -> sources that name it */
    cf_str name;
    uint64_t hash;
    size_t n;
    uint32_t *source; /* indices in order */
};
struct cf_textrow { /* a match row that texts without a program of their own are tried with */
    uint64_t head, mask;      /* the first bytes of its only `starts`, and which of them count */
    unsigned signs;           /* of m */
    const struct cf_source *s;
    const struct cf_match *m;
};
/* The keys that rows of match ask for, where all rows of a parsed format ask for these alone. n 0: they ask for more. */
#define CF_ASKED_KEYS 4u
struct cf_asked_keys {
    size_t n;
    uint64_t lengths; /* bits: lengths of their names */
    const struct cf_ref *ref[CF_ASKED_KEYS];
};
struct cf_stream;
struct cf_normaliser {
    struct cf_arena arena;
    struct cf_norm_options opt;
    struct cf_zone zone;
    cf_str zone_text;         /* event.timezone of stamps without one; empty: the zone has no fixed offset */
    size_t n;
    struct cf_source *src;    /* sorted by order, then name */
    uint64_t prog_mask;
    struct cf_prog **prog;
    size_t n_row, n_whole;
    struct cf_textrow *row;       /* rows for text of sources that have one without program, in order */
    uint32_t *obj[CF_NF_BITS]; /* sources with match rows for parsed formats, by the format's bit */
    size_t n_obj[CF_NF_BITS];
    struct cf_asked_keys asked[CF_NF_BITS];
    uint16_t *row_of[256];    /* those of row that may own a text with this first byte */
    size_t n_row_of[256];
    uint32_t *whole;          /* sources with rows that look at whole lines */
    bool whole_first[256];    /* first bytes such lines have */
    struct cf_kidname {
        uint64_t hash;
        cf_str text;
        uint16_t kid;         /* 0: free place */
    } *kid;
    uint64_t kid_mask;
    size_t n_kid;             /* keys that conditions, switches and times look at */
    struct cf_source *builtin; /* what unknown but well-formed records become: syslog, json, cef ... */
    struct cf_stream *streams; /* opt.streams or its own */
};

/* Compiles one file. Lives in a. */
int cf_source_parse(struct cf_arena *a, const char *file, cf_str yaml, struct cf_source *ret, struct cf_error *reterr);
/* Patterns: after all files are read, because of include. */
int cf_source_patterns(struct cf_arena *a, struct cf_source *s, struct cf_source *all, size_t n, struct cf_error *reterr);
void cf_source_release(struct cf_source *s); /* frees what is not in the arena */

static inline const struct cf_maprow *cf_map_find(const struct cf_map *m, cf_str key, uint64_t hash)
{
    if (!m->mask)
        return NULL;
    for (uint64_t i = hash & m->mask;; i = (i + 1) & m->mask) {
        const struct cf_maprow *r = m->slot[i];
        if (!r)
            return NULL;
        if (r->hash == hash && cf_str_eq(r->key, key))
            return r;
    }
}

/* --- running: shared by the engine's files --- */
struct cf_state_cols;
#define CF_COLS_CACHE 64u
struct cf_cols_cache {       /* what a stream's rows from..to look like */
    uint64_t key, generation, from, to;
    struct cf_state_cols *cols; /* a reference; NULL: none known */
};
/* What is usual for a key, when nothing special is asked for. */
enum cf_way {
    CF_WAY_ANY, CF_WAY_CONVERT /* one target with a conversion */, CF_WAY_SKIP /* mapped to nothing */, CF_WAY_KEEP /* an extra */, CF_WAY_TEXT, CF_WAY_NUMBER, CF_WAY_IP /* one target, which takes such values as they are */,
    CF_WAY_ADDRESS, /* the same, and the text is kept as an extra */
    CF_WAY_BOTH,    /* text to a field and to an extra that the map names */
};
struct cf_key { /* what a key means at a source: found once a thread. 128 bytes, the first 64 of them for usual records */
    struct cf_known_key known;   /* its text, and the key that came behind it last time */
    struct cf_value as_field;    /* CF_WAY_TEXT ..: the value that goes to field `to`, but for its text */
    struct cf_value as_extra;    /* CF_WAY_BOTH, and when named: the extra */
    uint16_t kid;                /* see cf_ref; 0: the source does not look at it */
    uint16_t to;                 /* CF_WAY_TEXT ..: the field */
    uint16_t raw, extra;         /* interned names for keeping it as an extra */
    uint16_t field;              /* ecs sources: the field of this name */
    uint8_t way;                 /* enum cf_way */
    uint8_t group;
    bool named;                  /* raw and extra are known */
    uint8_t num;                 /* CF_WAY_NUMBER: cf_num_place of the field */
    const struct cf_source *src;
    const struct cf_maprow *row; /* of the source or of its base; NULL: no map names it */
    uint64_t hash;               /* of the name maps know */
};
_Static_assert(sizeof(struct cf_key) == CF_KEY_SIZE, "indices become shifts");
#define CF_KEYS_MAX 8192u
#define CF_KEY_SLOTS 16384u
struct cf_kidpos { /* where a looked-at key stands in this record */
    uint32_t generation;
    uint16_t pos;  /* index of its first pair */
    bool multi;
    uint8_t sign;  /* cf_text_sign of its value */
};
#define CF_DOMAINS 1024u
struct cf_domain {
    uint64_t hash;
    char name[56];
    uint8_t n, reg, top;
    bool cut;
};
struct cf_norm_thread {
    const struct cf_normaliser *n;
    struct cf_json *json;
    struct cf_encoding *enc;
    pcre2_match_data *md;
    pcre2_match_context *mctx;
    struct cf_pair *pair;
    struct cf_key *key;        /* CF_KEYS_MAX; 0 is none */
    uint16_t *key_slot;        /* CF_KEY_SLOTS by hash */
    size_t n_key;
    uint16_t *first_key;       /* by source: the key records start with */
    struct cf_keyorder *order; /* by source */
    struct cf_kidpos *kid;     /* n->n_kid + 1 */
    uint32_t generation;
    struct cf_row_memo *row_memo;  /* CF_ROW_MEMOS */
    struct cf_object_memo object_memo[CF_NF_BITS];
    struct cf_decisions **decided; /* by source; NULL: nothing yet */
    struct cf_arena keys;      /* texts of the keys */
    const struct cf_source *cef; /* the source of the last CEF record: whose keys the next one may have */
    struct cf_domain *domain;  /* domains.c: names cut before */
    struct {                   /* last time text of a source's time rule */
        const struct cf_ref *from;
        char text[40];
        size_t n;
        int64_t us, day;
        bool zoned;
    } time;
    struct cf_stamp_memo memo;
    struct {                   /* the sender of the last record: is its name an address? */
        char text[48];
        size_t n;
        bool address;
    } peer;
    char stamp_text[40];       /* last syslog stamp and its time */
    size_t stamp_n;
    int64_t stamp_us, stamp_now;
    bool stamp_zoned;
    struct cf_stream *streams;
    struct cf_cols_cache *cols; /* CF_COLS_CACHE by key; made when the first header was seen */
};
struct cf_ip4_memo { /* an address read from text */
    const char *p;
    size_t n;
    uint8_t b[4];
};
struct cf_num_memo { /* a number read from text */
    const char *p;
    size_t n;
    int64_t v;
};
#define CF_NUM_MEMOS 8u
static inline void cf_fired_add(struct cf_fired *f, const struct cf_sets *set)
{
    f->not = f->not || f->n == CF_FIRED_MAX;
    if (!f->not && set->n)
        f->set[f->n++] = set;
}
struct cf_run { /* one record on its way */
    struct cf_norm_thread *t;
    const struct cf_normaliser *n;
    struct cf_arena *a;
    const struct cf_record *rec;
    struct cf_event *ev;
    const struct cf_source *src;
    cf_str text;               /* the record as UTF-8 */
    struct cf_wide wide;       /* values of it may be read in one go */
    cf_str msg;                /* what patterns see: text without envelope */
    struct cf_syslog sl;
    bool has_sl, parsed, oom, keyed, printable; /* keyed: pairs have their ent. printable: text is ASCII without control characters, one line */
    cf_str signs_of;           /* the message whose signs are known */
    unsigned signs, no_signs;  /* bits: it has them, it lacks them */
    unsigned format;           /* one CF_NF_ bit */
    struct cf_pairs pairs;
    int64_t now_us;
    struct cf_ip4_memo ip4[2];  /* source.ip, destination.ip */
    struct cf_num_memo num[CF_NUM_MEMOS]; /* ports, bytes and packets: see map.c */
    struct {                   /* where the key that a row of match asked for last stands, while a source is being chosen: see when.c */
        const struct cf_ref *ref;
        size_t n_pairs, first; /* first: n_pairs when there is none */
        enum { CF_OTHERS_UNKNOWN, CF_OTHERS_NONE, CF_OTHERS } others;
    } asked;
    struct cf_fired *fired;    /* what rules set is noted here; NULL: nowhere */
    uint64_t names[2];         /* bits of the names of the event's first n_names values: see cf_run_named */
    size_t n_names;
    struct cf_error err;       /* why it could not be understood; last, because only its start is cleared */
};
/* The way of a record: an object's pairs, JSON, text behind the envelope (r->msg), a line of which no envelope is taken off. */
void cf_run_object(struct cf_run *r, const struct cf_source *hint);
void cf_run_json(struct cf_run *r, cf_str text, const struct cf_source *hint);
void cf_run_text(struct cf_run *r, const struct cf_source *hint);
bool cf_run_whole_line(struct cf_run *r);
void cf_run_not_syslog(struct cf_run *r);
/* s applied to r->msg: its pairs and patterns (extracted: they have run already), then what follows from them. */
void cf_run_source(struct cf_run *r, const struct cf_source *s, bool extracted);
static inline bool cf_has_patterns(const struct cf_source *s) { return cf_tpl_count(s->tpl) || s->n_regex; }
bool cf_run_knows(const struct cf_run *r, const struct cf_source *s, size_t from);
void cf_run_unrecognised(struct cf_run *r);
/* Which of some rare signs a text holds: a bit each. select.c */
unsigned cf_text_signs(cf_str text);
/* The memo of a field whose number is wanted again by what follows from the flow; 0: it has none. */
static inline unsigned cf_num_place(enum cf_field f)
{
    return f == CF_F_SOURCE_PORT ? 1 : f == CF_F_DESTINATION_PORT ? 2 : f == CF_F_SOURCE_BYTES ? 3 : f == CF_F_DESTINATION_BYTES ? 4 : f == CF_F_SOURCE_PACKETS ? 5
         : f == CF_F_DESTINATION_PACKETS ? 6 : f == CF_F_EVENT_DURATION ? 7 : 0;
}
/* The value of a number field. False: absent or no number. */
static inline __attribute__((always_inline)) bool cf_run_number(const struct cf_run *r, enum cf_field f, int64_t *ret)
{
    const struct cf_value *v = cf_event_val(r->ev, f);
    const struct cf_num_memo *m = &r->num[cf_num_place(f)];

    if (!v)
        return false;
    if (m->p == v->p && m->n == v->n) { /* read when it was put there */
        *ret = m->v;
        return true;
    }
    return cf_str_i64(cf_str_n(v->p, v->n), ret);
}
/* cf_plain_number and its value. */
static inline bool cf_run_plain_number(const struct cf_run *r, cf_str v, int64_t *ret)
{
    int64_t sum = 0;

    if (cf_wide_has(&r->wide, v))
        return cf_wide_number(v, ret);
    if (v.n - 1 >= 18)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        unsigned d = (unsigned)(v.p[i] - '0');
        if (d > 9)
            return false;
        sum = sum * 10 + (int64_t)d;
    }
    *ret = sum;
    return true;
}
static inline bool cf_run_plain_ip4(const struct cf_run *r, cf_str v, uint8_t ret[4])
{
    return cf_wide_has(&r->wide, v) ? cf_wide_ip4(v, ret) : cf_plain_ip4(v, ret);
}
/* Names of one source have numbers that follow each other: spread. */
static inline unsigned cf_name_bit(uint16_t name) { return name * 40503u >> 9 & 63; }
/* False: no value has this name (of an extra). */
static inline bool cf_run_named(struct cf_run *r, uint16_t name)
{
    uint64_t low = r->names[0], high = r->names[1];

    for (const struct cf_value *v = r->ev->val + r->n_names, *end = r->ev->val + r->ev->n; v < end; v++) {
        low |= UINT64_C(1) << v->name % 64;
        high |= UINT64_C(1) << cf_name_bit(v->name);
    }
    r->names[0] = low;
    r->names[1] = high;
    r->n_names = r->ev->n;
    return low >> name % 64 & high >> cf_name_bit(name) & 1;
}
/* A value that says there is none. */
static inline bool cf_is_null(const struct cf_source *s, cf_str v)
{
    if (v.n < 2 && (v.n == 0 || v.p[0] == '-'))
        return true;
    for (size_t i = 0; s->null_first[(unsigned char)v.p[0]] && i < s->n_null; i++)
        if (cf_str_eq(s->null[i], v))
            return true;
    return false;
}
static inline bool cf_run_add(struct cf_run *r, int rc)
{
    if (rc == CF_ENOMEM)
        r->oom = true;
    return rc == 0;
}
static inline void cf_run_set(struct cf_run *r, const struct cf_ref *to, cf_str v, uint16_t raw, enum cf_vkind kind)
{
    if (to->field != CF_F_EXTRA)
        (void)cf_run_add(r, cf_event_put(r->ev, (enum cf_field)to->field, v, raw, kind));
    else
        (void)cf_run_add(r, cf_event_put_extra(r->ev, to->name, v, raw, kind));
}
/* keys.c */
void cf_keys_reset(struct cf_norm_thread *t);
void cf_run_keys(struct cf_run *r, size_t from);      /* looks up the keys of pairs from `from` on */
void cf_run_guide(struct cf_run *r, const struct cf_source *s); /* tells parsers which keys records of s have; NULL: none */
bool cf_key_names(struct cf_run *r, struct cf_key *k, const struct cf_pair *p); /* raw, extra. False: too long or no names left */
int cf_index_refs(struct cf_normaliser *n);           /* numbers all refs; at load */
int cf_sets_block(struct cf_arena *a, struct cf_sets *s);
/* select.c */
bool cf_row_matches(struct cf_run *r, const struct cf_match *m);
void cf_index_asked(struct cf_normaliser *n);   /* at load */
const struct cf_source *cf_source_hinted(const struct cf_normaliser *n, cf_str name); /* NULL: no such source */
/* Text of an unknown sender: sources by program, then the general ones. *extracted: its patterns have run already. */
const struct cf_source *cf_select_text(struct cf_run *r, bool *extracted);
const struct cf_source *cf_select_parsed(struct cf_run *r); /* by the pairs of a parsed format */
/* envelope.c */
void cf_run_envelope(struct cf_run *r);
/* wrapped.c: JSON of container engines, of the journal, of Splunk exports -> the text inside. False: it is none of these. */
bool cf_run_wrapped(struct cf_run *r, const struct cf_jnode *nodes, cf_str *ret);
/* map.c */
/* pairs from `from` on into fields; special: the map of a switch's case, asked first */
void cf_run_map(struct cf_run *r, const struct cf_map *special, size_t from);
/* when.c */
bool cf_run_cond(struct cf_run *r, const struct cf_cond *c);
cf_str cf_run_ref(struct cf_run *r, const struct cf_ref *ref); /* a field, a key of the record, an extra: the first that there is */
int cf_index_whens(struct cf_arena *a, struct cf_source *s);   /* at load, when refs have their numbers */
void cf_run_whens(struct cf_run *r, const struct cf_source *s);
/* decide.c */
void cf_index_inputs(struct cf_source *s);                     /* at load, when refs have their numbers */
void cf_run_decide(struct cf_run *r, const struct cf_case **c, size_t n); /* cases of the switches that are known, and the rules: all constants */
void cf_decisions_free(struct cf_norm_thread *t);
/* apply.c */
const struct cf_case *cf_find_case(const struct cf_switch *sw, cf_str v);
bool cf_run_extract(struct cf_run *r, const struct cf_source *s);
void cf_run_apply(struct cf_run *r); /* payload is in pairs: set, map, switch, when, time */
void cf_run_device(struct cf_run *r, const struct cf_source *device); /* parts and when of the device whose service r->src knows */
void cf_run_sets(struct cf_run *r, const struct cf_sets *s);
void cf_run_constants(struct cf_run *r, const struct cf_source *s);
bool cf_run_payload(struct cf_run *r, const struct cf_source *s); /* msg -> pairs, by the source's payload */
bool cf_regex_test(struct cf_run *r, const pcre2_code *code, cf_str text);
/* convert.c */
/* Puts v into `to` after conversion; *same is set when the text went in unchanged. False: v does not fit the field. */
bool cf_run_convert(struct cf_run *r, const struct cf_target *t, cf_str v, uint16_t raw, enum cf_vkind kind, bool *same);
/* The same for text that needs no conversion. */
bool cf_run_fit(struct cf_run *r, const struct cf_ref *to, cf_str v);
/* derive.c: fields that follow from others (related.*, network.type, url parts, process.name ...) */
void cf_run_derive(struct cf_run *r);
/* domains.c: registered domain, top level domain and subdomain of the names of questions and URLs */
void cf_run_domains(struct cf_run *r);
/* cmdline.c: arguments of a command line, and how many */
void cf_run_args(struct cf_run *r, const struct cf_ref *to, cf_str v);
/* windows.c: JSON nodes of Windows events in any known shape -> pairs with the names of the event's XML. */
enum cf_json_shape { CF_SHAPE_PLAIN, CF_SHAPE_ECS, CF_SHAPE_WIN };
enum cf_json_shape cf_json_shape(const struct cf_jnode *nodes, size_t n);
int cf_windows_pairs(const struct cf_jnode *nodes, size_t n, struct cf_arena *a, struct cf_pairs *ret);
/* stream.c: column headers of Zeek TSV, IIS/W3C and CSV, kept per peer */
enum cf_col_kind { CF_COL_NONE, CF_COL_ZEEK, CF_COL_IIS, CF_COL_CSV };
bool cf_stream_header(struct cf_run *r);                 /* true: the line was a header (event says so) */
enum cf_col_kind cf_stream_row(struct cf_run *r);        /* a row of a known stream: pairs are filled */
void cf_stream_thread_free(struct cf_norm_thread *t);

#endif
