/* SPDX-License-Identifier: Apache-2.0
 * group: the rules that can match events of one route (set of log sources) with their prefilter. Made when the first
 * event of the route arrives, kept for the life of the rule set, shared by all threads.
 *
 *   values of the scanned fields, folded, one after another ──hs_scan──► literal ──► field and anchor right? ──► candidate
 *   the rest of the record behind them, when there are keyword rules ──hs_scan of all──► candidate
 *   values of the hashed fields, folded ──hash table──► candidate                      rules without witness ──► candidate */
#ifndef CF_DETECT_GROUP_H
#define CF_DETECT_GROUP_H

#include "detect/detect_int.h"
#include "detect/words.h"

struct cf_lit_use { /* a rule whose witness a literal is */
    uint32_t rule;
    uint16_t field;
    uint8_t kind;
};
struct cf_lit {
    uint32_t first, n; /* in use[] */
    uint32_t len;
};
struct cf_exact {
    uint64_t hash; /* of field and folded value */
    uint32_t first, n;
};
struct cf_scanner { /* a compiled list of literals; parts with the same list share it */
    struct cf_scanner *next;
    uint64_t hash;
    cf_str key; /* the list: length and bytes of each */
    hs_database_t *db;
};
struct cf_part { /* tables over the witnesses of some rules */
    struct cf_part *next;
    const uint64_t *routes; /* shared: the rules with exactly these log sources; NULL: the rest of one group */
    uint32_t n_scan;
    uint16_t *scan_field; /* values to scan */
    const hs_database_t *db; /* literals of fields, ids from 0; NULL: none */
    const hs_database_t *db_all; /* literals of keywords, ids from 0 too: few, so the whole record is scanned at little cost; NULL: none */
    struct cf_words *words; /* the same when they are long: instead of db_all */
    uint32_t n_lit, n_lit_field; /* literals of keywords follow those of fields */
    struct cf_lit *lit;
    struct cf_lit_use *use;
    uint32_t n_exact_field;
    uint16_t *exact_field;
    size_t exact_mask;
    struct cf_exact *exact;
};
#define CF_PARTS_MAX 8u
struct cf_group {
    struct cf_group *next;
    uint32_t id; /* dense */
    uint64_t route[CF_LS_WORDS];
    bool unrouted, keywords; /* keywords: a part has db_all or words */
    bool quick; /* keywords, and every part that has some has words: texts are scanned as they came */
    uint32_t n_rules;
    uint32_t n_always;
    uint32_t *always;     /* rules without witness, rule indexes */
    uint8_t *field_need;  /* [n_fields] CF_NEED_SCAN, CF_NEED_EXACT: of all parts */
    uint32_t min_word;    /* shortest keyword literal */
    struct cf_part own;
    uint32_t n_part;
    struct cf_part *part[CF_PARTS_MAX]; /* own first, then shared ones: large sets of rules that many routes have */
    uint32_t n_word_part;
    const struct cf_part *word_part[CF_PARTS_MAX]; /* those with words */
};
#define CF_GROUPS_MAX 2048u /* further routes use the group of all rules */
/* Finds or makes the group of a route; NULL: no memory. */
struct cf_group *cf_group_get(struct cf_ruleset *rs, const uint64_t *route, bool unrouted);
void cf_groups_free(struct cf_ruleset *rs);
static inline uint64_t cf_exact_hash(uint16_t field, cf_str folded) { return cf_hash64_seed(folded, (uint64_t)field * 0x9e3779b97f4a7c15u); }

#endif
