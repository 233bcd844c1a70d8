/* SPDX-License-Identifier: Apache-2.0
 * detect, private: the compiled form of rules and what the files of this folder share.
 *
 *   YAML --rule.c/value.c/condition.c--> tree of nodes over predicates --program.c--> jump program
 *                                              |                            |
 *                                        witness.c: literals           match.c: run for candidates
 *                                              v
 *                             group.c: one Vectorscan database per route (set of log sources)
 */
#ifndef CF_DETECT_INT_H
#define CF_DETECT_INT_H

#include <hs/hs.h>
#include <pthread.h>
#include <stdatomic.h>

#include "detect/detect.h"
#include "normalise/timefmt.h"

/* ---- text: folding and patterns (text.c) ---- */
enum cf_pat_kind { CF_PAT_EXACT, CF_PAT_PREFIX, CF_PAT_SUFFIX, CF_PAT_CONTAINS, CF_PAT_GLOB, CF_PAT_ANY };
#define CF_WILD_MANY '\xff' /* in text under construction: '*' (the byte never occurs in UTF-8) */
#define CF_WILD_ONE '\xfe'  /* '?' */
struct cf_pat {
    const char *p; /* folded unless cased; GLOB keeps the two wildcard bytes */
    uint32_t n;
    uint8_t kind;
    bool cased;
};
/* Lower case, simple Unicode mapping; ASCII never changes into non-ASCII nor back. Returns the length written, which
 * is at most cf_fold_max(n). */
size_t cf_fold(const char *in, size_t n, char *out);
static inline size_t cf_fold_max(size_t n) { return n + n / 2 + 4; }
bool cf_pat_match(const struct cf_pat *pat, const char *p, size_t n); /* text folded as the pattern is */
bool cf_glob_match(const char *pat, size_t pn, const char *s, size_t n);

/* ---- fields ---- */
struct cf_alt {
    cf_str name;   /* leaf or dotted name */
    uint16_t ecs;  /* CF_F_EXTRA when not in the field table */
    bool dotted;
};
struct cf_rfield { /* a field as rules name it, with the places of an event where its value may be, best first */
    cf_str name;
    uint16_t n_alt;
    bool time;     /* one of them is @timestamp, which the prefilter does not look at */
    struct cf_alt *alt;
};
/* Does a value of this full name, called raw by its source (or empty), feed the field? */
bool cf_rfield_fed(const struct cf_rfield *rf, cf_str name, cf_str raw);
#define CF_RF_KEYWORD 0 /* rule field 0 stands for "the whole record" */

/* ---- predicates, nodes, programs ---- */
enum cf_pred_kind { CF_P_STR, CF_P_RE, CF_P_CIDR, CF_P_NUM, CF_P_NULL, CF_P_EXISTS, CF_P_REF, CF_P_TIME };
enum cf_num_op { CF_N_EQ, CF_N_LT, CF_N_LTE, CF_N_GT, CF_N_GTE, CF_N_NEQ };
enum cf_time_part { CF_TP_MINUTE, CF_TP_HOUR, CF_TP_DAY, CF_TP_WEEK, CF_TP_MONTH, CF_TP_YEAR };
struct cf_rex; /* a compiled regular expression (regex.c) */
struct cf_pred {
    uint8_t kind;
    bool all;        /* every value must be found, not any */
    bool flag;       /* EXISTS: wanted; REF: cased */
    uint8_t op;      /* NUM: enum cf_num_op; REF: enum cf_pat_kind; TIME: part */
    uint16_t field;
    uint16_t ref;    /* REF: the other field; TIME: comparison (enum cf_num_op) */
    uint32_t n;
    union {
        const struct cf_pat *pat;
        const uint32_t *rex; /* indexes of ruleset->rex */
        const struct cf_cidr *cidr;
        const double *num;
    } u;
    uint32_t src; /* index of the text the rule wrote, for explanations */
};
enum cf_node_kind { CF_ND_PRED, CF_ND_AND, CF_ND_OR, CF_ND_NOT, CF_ND_TRUE, CF_ND_FALSE, CF_ND_SOME /* at least pred of the children */ };
struct cf_node {
    uint8_t kind;
    uint32_t n;    /* children */
    uint32_t pred; /* PRED: index; SOME: how many must be true */
    struct cf_node **child;
};
struct cf_ins { /* test a predicate, go on at t or f */
    uint32_t pred;
    int32_t t, f;
};
#define CF_ACCEPT (-1)
#define CF_REJECT (-2)

struct cf_sel { /* named search of a rule */
    cf_str name;
    struct cf_node *node;
};
struct cf_wit { /* a literal that must be in the event for the rule to match (one of a rule's set) */
    uint16_t field;
    uint8_t kind; /* EXACT, PREFIX, SUFFIX, CONTAINS */
    cf_str lit;   /* folded */
};
struct cf_rule {
    struct cf_rule_info info;
    cf_str name;              /* for correlations */
    struct cf_node *root;     /* NULL for correlations */
    const struct cf_ins *prog;
    int32_t entry;
    uint32_t n_prog;
    uint32_t n_sel;
    struct cf_sel *sel;
    cf_str condition;         /* as written */
    uint32_t n_wit;           /* 0: no witness, always evaluated */
    struct cf_wit *wit;
    uint64_t *routes;         /* bit set of log sources; NULL: any event */
    bool on_nothing;          /* the condition is true of an event that has none of the fields */
    struct cf_corr *corr;     /* correlation rules */
    uint32_t n_used_by;       /* correlations that count this rule's hits */
    uint32_t *used_by;        /* indexes of rules */
    bool silent;              /* hits are only counted by correlations (generate: false) */
};

/* ---- log sources (taxonomy.c) ---- */
struct cf_lcond { /* one field test of a log source */
    uint16_t field;
    bool exists; /* only presence is asked */
    uint32_t n;
    struct cf_pat *pat;
};
struct cf_lclause { /* all of these */
    uint32_t n;
    struct cf_lcond *cond;
};
struct cf_lsource {
    cf_str product, category, service;
    uint32_t n;
    struct cf_lclause *any; /* one of these */
};
#define CF_LSOURCE_MAX 512
#define CF_LS_WORDS (CF_LSOURCE_MAX / 64)
struct cf_scope { /* field names that depend on the log source */
    cf_str product, category, service;
    struct cf_ynode *fields;
};
struct cf_taxonomy {
    struct cf_ynode *fields; /* map: Sigma name -> names of the event */
    size_t n_scope;
    struct cf_scope *scope;
    struct cf_ynode *placeholders;
    struct cf_ynode *placeholders_own; /* of the options; looked into first */
    size_t n_source;
    struct cf_lsource *source;
    size_t n_route_field; /* fields that log sources look at */
    uint16_t *route_field;
    bool *route_value;    /* their value matters, not only their presence */
};

/* ---- correlation (corr_rule.c, correlate.c) ---- */
enum cf_corr_type { CF_C_EVENT_COUNT, CF_C_VALUE_COUNT, CF_C_TEMPORAL, CF_C_ORDERED, CF_C_SUM, CF_C_AVG, CF_C_PERCENTILE };
struct cf_bound {
    uint8_t op; /* enum cf_num_op */
    double v;
};
struct cf_corr {
    uint8_t type;
    bool at_close;      /* the condition has an upper bound: decided when the window ends */
    uint32_t n_rules;
    uint32_t *rules;    /* rule indexes */
    cf_str *rule_refs;  /* as written */
    uint32_t n_group;
    cf_str *group;      /* names as written */
    uint16_t *group_field; /* [n_rules * n_group] rule fields, aliases applied */
    int64_t span_us;
    uint32_t n_bound;
    struct cf_bound bound[4];
    uint32_t n_value;
    cf_str *value_name;
    uint16_t *value_field; /* [n_rules * n_value] */
    double percentile;
    bool all_rules;     /* the bound is not written: all rules */
    uint32_t index;     /* of its rule */
    uint32_t depth;     /* of the chain: 1 for a correlation over plain rules */
    struct cf_ynode *aliases; /* during load */
    bool generate;
};
struct cf_correlator;

/* ---- the rule set ---- */
struct cf_part;
struct cf_scanner;
struct cf_group; /* rules of one route with their prefilter (group.c) */
struct cf_ruleset {
    struct cf_arena arena; /* everything below unless said otherwise */
    size_t n_rules, cap_rules;
    struct cf_rule *rules; /* malloc */
    size_t n_refused, cap_refused;
    struct cf_rule_refused *refused; /* malloc */
    size_t n_fields, cap_fields;
    struct cf_rfield *fields; /* malloc */
    size_t n_preds, cap_preds;
    struct cf_pred *preds; /* malloc */
    size_t n_src, cap_src;
    cf_str *src; /* malloc: field with modifiers as rules wrote them, per predicate */
    size_t n_rex, cap_rex;
    struct cf_rex *rex; /* malloc */
    struct cf_taxonomy tax;
    struct cf_zone zone; /* time modifiers count in it */
    cf_str zone_name;
    bool asks_time;     /* a rule names @timestamp */
    uint16_t time_name; /* "@timestamp" */
    struct cf_map *field_map, *pred_map, *rule_map; /* names -> index */
    size_t max_route_rules;
    pthread_mutex_t group_lock; /* guards the making of groups; readers use the atomic list */
    _Atomic(struct cf_group *) groups;
    struct cf_part *parts;       /* shared by groups; under group_lock */
    struct cf_scanner *scanners; /* compiled literals of all parts; under group_lock */
    _Atomic size_t n_groups;
    struct cf_correlator *correlator;
    uint64_t skip_below; /* events with a lower seq are in the correlation windows already */
    const char *cache_dir; /* compiled automata; NULL: none */
    size_t n_base; /* rules that are no correlations */
};

/* ---- small open-addressing map: bytes -> uint32 (map.c); keys are views ---- */
struct cf_map;
struct cf_map *cf_map_new(void);
void cf_map_free(struct cf_map *m);
uint32_t *cf_map_get(const struct cf_map *m, cf_str key);
bool cf_map_put(struct cf_map *m, cf_str key, uint32_t v);

/* ---- compile ---- */
struct cf_compile { /* state of compiling one rule; *err says where and why */
    struct cf_ruleset *rs;
    struct cf_arena *a;      /* scratch, dropped after the rule */
    cf_str product, category, service;
    struct cf_error *err;
    cf_str warning; /* in the rule set's arena */
};
/* Taxonomy (taxonomy.c). */
int cf_taxonomy_load(struct cf_ruleset *rs, const char *dir, struct cf_error *reterr);
int cf_rfield_get(struct cf_compile *c, cf_str name, uint16_t *ret);
struct cf_ynode *cf_placeholder(const struct cf_ruleset *rs, cf_str name);
/* Log sources a rule belongs to: NULL when the taxonomy knows none (then any event may match). */
uint64_t *cf_rule_routes(struct cf_ruleset *rs, cf_str product, cf_str category, cf_str service);
/* One "field|modifiers: value(s)" item into a node (value.c). */
int cf_compile_item(struct cf_compile *c, const struct cf_ynode *item, struct cf_node **ret);
int cf_compile_keywords(struct cf_compile *c, const struct cf_ynode *list, struct cf_node **ret);
struct cf_node *cf_node_new(struct cf_compile *c, enum cf_node_kind kind, size_t n);
int cf_pred_add(struct cf_compile *c, struct cf_pred *p, cf_str src, struct cf_node **ret);
/* Condition text into a tree over the searches (condition.c). */
int cf_condition_parse(struct cf_compile *c, cf_str text, const struct cf_sel *sel, size_t n_sel, struct cf_node **ret);
/* A detection map into searches and tree. cond_tail: what followed '|' (legacy aggregation), or CF_STR_NONE. */
int cf_compile_detection(struct cf_compile *c, const struct cf_ynode *det, struct cf_rule *rule, cf_str *ret_tail);
/* program.c */
int cf_program_make(struct cf_compile *c, struct cf_rule *rule);
uint64_t cf_rule_cost(const struct cf_ruleset *rs, const struct cf_node *nd);
/* witness.c */
int cf_witness_make(struct cf_compile *c, struct cf_rule *rule);
/* legacy.c: "count(f) by g > n" with timeframe into a correlation over the rule */
int cf_legacy_aggregation(struct cf_compile *c, cf_str tail, const struct cf_ynode *det, struct cf_corr **ret);
/* corr_rule.c */
int cf_corr_compile(struct cf_compile *c, const struct cf_ynode *map, struct cf_corr **ret);
int cf_corr_link(struct cf_ruleset *rs); /* resolves references, refuses broken ones and cycles */
bool cf_timespan(cf_str s, int64_t *ret_us);
int cf_rule_refuse(struct cf_ruleset *rs, cf_str file, cf_str title, const char *reason);
int cf_rule_push(struct cf_ruleset *rs, const struct cf_rule *rule, struct cf_rule **ret);
/* rule.c: one document of a file */
int cf_rule_compile(struct cf_ruleset *rs, const struct cf_ynode *doc, cf_str file, const struct cf_ynode *const *filters,
                    size_t n_filters, struct cf_arena *scratch, struct cf_error *reterr);

/* ---- compiled automata on disk (cache.c) ---- */
/* dir NULL: no cache. key: everything the automaton was compiled from. NULL: not there or not fit. */
hs_database_t *cf_cache_load(const char *dir, cf_str key);
void cf_cache_save(const char *dir, cf_str key, const hs_database_t *db); /* as far as it can be */

/* ---- regular expressions (regex.c) ---- */
struct cf_rex_code {
    _Atomic(hs_database_t *) db;  /* made at first use */
    void *_Atomic pcre;           /* pcre2_code: expressions Vectorscan has no automaton for */
    bool use_pcre;
};
struct cf_rex {
    cf_str text;
    uint8_t flags; /* CF_RE_... */
    bool by_char;  /* a character of several bytes makes a difference: values that hold one are looked at by code[1] */
    struct cf_rex_code code[2]; /* over bytes; over characters */
};
#define CF_RE_I 1
#define CF_RE_M 2
#define CF_RE_S 4
int cf_rex_add(struct cf_ruleset *rs, cf_str text, uint8_t flags, uint32_t *ret, struct cf_error *reterr);
struct cf_rex_scratch { /* one per thread */
    uint64_t *ready;   /* bit per expression and kind of code: hs has been made large enough for it */
    uint32_t n_ready;  /* words */
    hs_scratch_t *hs;
    void *match;    /* pcre2_match_data */
    void *ctx;      /* pcre2_match_context with limits */
    uint64_t limited; /* matches given up at the limit */
};
bool cf_rex_match(struct cf_ruleset *rs, struct cf_rex_scratch *s, uint32_t rex, cf_str text);
void cf_rex_release(struct cf_rex *rex);
void cf_rex_scratch_release(struct cf_rex_scratch *s);
/* rexlit.c: folded literals, in a, of which every match holds at least one. How many; 0: none are known. */
#define CF_REX_LITERALS 48
size_t cf_rex_literals(struct cf_arena *a, cf_str text, cf_str ret[CF_REX_LITERALS]);
/* witness.c: how much a literal costs as a witness somewhere in a value. */
double cf_lit_cost(cf_str lit);

#endif
