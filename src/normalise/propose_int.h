/* SPDX-License-Identifier: Apache-2.0
 * Shared by the wizard's files: propose.c (format, keys), propose_names.c (fields), propose_text.c (templates),
 * propose_yaml.c (the file). */
#ifndef CF_NORMALISE_PROPOSE_INT_H
#define CF_NORMALISE_PROPOSE_INT_H

#include "normalise/propose.h"
#include "normalise/source.h"

enum prop_shape {
    SH_IP, SH_INT, SH_PORT, SH_NUM, SH_HEX, SH_MAC, SH_URL, SH_EMAIL, SH_MD5, SH_SHA1, SH_SHA256, SH_TIME, SH_EPOCH, SH_METHOD, SH_PROTO, SH_STATUS,
    SH_DOMAIN, SH_UUID, SH_PATH, SH__COUNT,
};
unsigned prop_shapes(cf_str v); /* bits 1 << enum prop_shape */

enum prop_format { PF_NONE, PF_JSON, PF_EVE, PF_WIN, PF_CEF, PF_LEEF, PF_KV, PF_CSV, PF_ZEEK, PF_W3C, PF_ACCESS, PF_TEXT, PF__COUNT };

#define PROP_KEYS_MAX 400
struct prop_key {
    cf_str key, leaf;
    size_t count, values;           /* lines that have it; values that are not empty or "-" */
    size_t shape[SH__COUNT];
    cf_str sample[CF_PROPOSE_SAMPLES];
    size_t n_samples;
    cf_str first;                   /* CSV, text: first value, for constants */
    bool constant;
    /* decided */
    cf_str field, convert, reason;
    double confidence;
    bool time, by_base;             /* by_base: the source this one builds on does it */
};
struct prop_vote {
    uint64_t hash;
    uint16_t field;
    enum cf_conv conv;
};
struct prop {
    struct cf_arena *a;
    const struct cf_propose_in *in;
    struct cf_proposal *out;
    enum prop_format format;
    bool syslog;
    size_t n_lines;                 /* lines of the format */
    cf_str *msg;                    /* text behind the envelope, n */
    enum prop_format *kind;         /* of each line */
    cf_str app;                     /* program all lines agree on */
    struct prop_key *key;
    size_t n_key;
    uint16_t *slot;                 /* hash -> key index + 1 */
    struct cf_kv_style kv;
    char sep;                       /* csv */
    bool csv_header;
    cf_str vendor, product, path;   /* cef, leef; zeek */
    cf_str time_from, time_format;
    struct prop_vote *vote;
    size_t n_vote;
    size_t n_pattern;
    cf_str *pattern;
    bool strict;                    /* templates hold enough text to recognise lines by */
};
#define PROP_SLOTS 1024u

/* One value of a key. NULL: too many keys. */
struct prop_key *prop_note(struct prop *p, cf_str key, size_t leaf, cf_str value);
static inline bool prop_mostly(const struct prop_key *k, enum prop_shape s) { return k->values && k->shape[s] * 10 >= k->values * 8; }
/* propose_format.c: format, separators; columns of CSV */
#define PROP_COLS 256
bool prop_kv_spaced(struct prop *p, const struct cf_kv_style *st);
size_t prop_cols(struct prop *p, cf_str s, char sep, cf_str *cols, size_t max);
void prop_choose_format(struct prop *p, struct cf_json *j, struct cf_pairs *ps, size_t *ret_cols);
void prop_fields(struct prop *p);    /* propose_names.c: field, convert, reason, time */
int prop_templates(struct prop *p, struct cf_error *reterr); /* propose_text.c: patterns and keys */
int prop_yaml(struct prop *p, struct cf_error *reterr);      /* propose_yaml.c */
cf_str prop_plain(struct cf_arena *a, cf_str name);          /* letters and digits, lower case */

#endif
