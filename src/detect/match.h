/* SPDX-License-Identifier: Apache-2.0
 * match, private: what one worker knows of the event in hand. */
#ifndef CF_DETECT_MATCH_H
#define CF_DETECT_MATCH_H

#include "detect/group.h"

struct cf_link {
    uint16_t val, next;
};
/* Events with the same names in the same order have their values at the same places: where each rule field finds its own, and
 * what the prefilter has to look at, is worked out once per such shape and thread. */
#define CF_NEED_SCAN 1u  /* literals of fields are looked for in it */
#define CF_NEED_EXACT 2u /* it is looked up in a table of whole values */
#define CF_NEED_WORDS 4u /* keywords are looked for in it */
#define CF_NEED_LAST 43u
struct cf_need {
    uint64_t key; /* group and names: with the text, all that the prefilter's answer depends on */
    uint32_t list[2]; /* rule fields it feeds: offset+1 in the pool, 0 none */
    uint16_t val;
    uint8_t what;
    bool sole;        /* the rule fields it feeds have no other value */
    uint8_t last_n;   /* 0: none */
    char last[CF_NEED_LAST]; /* the newest short text in which nothing was found: most values are those of the event before */
};
struct cf_plan { /* values one group's prefilter looks at */
    uint64_t group; /* id + 1, shifted by one; lowest bit: the record is text */
    uint32_t n, cap;
    struct cf_need *need;
    uint32_t n_word, cap_word;
    uint16_t *word; /* values that are only looked through for keywords, in a quick group: no memory is asked, none kept */
};
#define CF_SHAPE_PLANS 2u
#define CF_ROUTE_TEXT 256u
struct cf_shape {
    uint64_t hash;
    bool used, original, timed;
    uint16_t n;
    uint16_t *first;   /* [n_fields] index+1 of links, 0: the field is absent */
    uint64_t *name;    /* [n] */
    struct cf_link *link;
    uint16_t *touched; /* fields in first[] that are not 0 */
    uint16_t *route;   /* values the route depends on */
    uint32_t n_link, cap_link, n_touched, n_route, cap_name, next_plan;
    uint64_t route_hash; /* which route fields are there */
    struct cf_group *last_group; /* of the newest event of this shape, with the texts that decided it; NULL: none */
    uint16_t *last_len;          /* [n_route] */
    char *last_text;             /* CF_ROUTE_TEXT bytes */
    struct cf_plan plan[CF_SHAPE_PLANS];
};
struct cf_folded {
    uint32_t off, n; /* in fold buffer; off UINT32_MAX: not folded yet */
    uint32_t tried;  /* patterns looked for somewhere in it, 0xffffffff: none yet */
};
#define CF_PAIR_MARKS 4096u
struct cf_pairs { /* which two bytes stand together in one text: a pattern with a pair that does not is not in it */
    uint32_t val;  /* value + 1 of the event in hand; 0: none */
    uint8_t epoch; /* mark[] of this text */
    uint8_t mark[CF_PAIR_MARKS];
};
struct cf_route_slot {
    uint64_t sig;
    struct cf_group *group;
};
#define CF_ROUTE_SLOTS 8192u
#define CF_VAL_RECORD 0xffff /* stands for the original text */
#define CF_VAL_TIME 0xfffe   /* stands for the time, which is no value of its own */

struct cf_detector {
    struct cf_ruleset *rs;
    const struct cf_event *ev;
    uint32_t epoch;
    struct cf_shape *shape; /* of ev */
    struct cf_shape *shapes;
    uint32_t n_shapes; /* a power of two */
    uint16_t *last;    /* [n_fields] while a shape is made */
    uint8_t *prio;     /* [n_fields] likewise: which name found them, the best one wins */
    int8_t is_text;    /* cf_record_is_text: -1 not known yet */
    struct cf_folded *fold; /* [ev->n], and the original at the end */
    uint32_t cap_fold;
    struct cf_folded record; /* original, folded */
    struct cf_value record_val; /* original, as a value of the field event.original */
    struct cf_value time_val;   /* @timestamp as the event's JSON has it, when rules ask for it */
    struct cf_folded time_fold;
    char time_text[32];
    char *buf; /* folded texts */
    size_t n_buf, cap_buf;
    bool oom;
    /* resolution of names to rule fields: 0 unknown, else offset+1 in pool: count, then (field, prio) pairs */
    uint32_t *by_raw, *by_name, by_ecs[CF_F__COUNT];
    uint32_t cap_raw, cap_name;
    uint16_t *pool;
    uint32_t n_pool, cap_pool;
    /* prefilter */
    hs_scratch_t *hs;
    uint64_t scratch_for[CF_GROUPS_MAX / 64 + 1]; /* groups the scratch is large enough for (by id) */
    struct cf_seg *seg;
    uint32_t n_seg, cap_seg, cur_seg;
    struct cf_memo *memo; /* prefilter.c: what it found in values it has seen before */
    struct cf_miss *miss;
    uint32_t n_miss, cap_miss;
    struct cf_pair *pair; /* (value, rule) found in this event */
    uint32_t n_pair, cap_pair;
    uint32_t *cand_epoch; /* [n_rules] */
    uint32_t *cand;
    uint32_t n_cand;
    const struct cf_part *part; /* being scanned */
    uint32_t first_lit;         /* its literal that the scanner calls 0 */
    struct cf_route_slot route[CF_ROUTE_SLOTS];
    struct cf_rex_scratch rex;
    struct cf_pairs pairs;
    struct cf_clock *clock;
    struct cf_rule_counters *count; /* [n_rules] */
    /* hits of this event */
    struct cf_hit *hit;
    size_t n_hit, cap_hit;
};
struct cf_seg { /* a value in the scan buffer */
    uint32_t from, to, miss;
};
struct cf_miss { /* a value the memory does not know */
    struct cf_need *need;
    uint64_t hash;
    uint32_t first, n; /* pairs found */
};
struct cf_pair {
    uint32_t rule, next; /* index+1 of the value's next pair */
};

/* The same n bytes; most are short, and the call of memcmp would cost more than looking. */
static inline bool cf_same_bytes(const char *a, const char *b, size_t n)
{
    uint64_t x, y, diff = 0;
    uint32_t p, q;

    if (n >= sizeof x) {
        for (size_t i = 0; i + sizeof x < n; i += sizeof x) {
            memcpy(&x, a + i, sizeof x);
            memcpy(&y, b + i, sizeof y);
            diff |= x ^ y;
        }
        memcpy(&x, a + n - sizeof x, sizeof x);
        memcpy(&y, b + n - sizeof y, sizeof y);
        return (diff | (x ^ y)) == 0;
    }
    if (n >= sizeof p) {
        memcpy(&p, a, sizeof p);
        memcpy(&q, b, sizeof q);
        if (p != q)
            return false;
        memcpy(&p, a + n - sizeof p, sizeof p);
        memcpy(&q, b + n - sizeof q, sizeof q);
        return p == q;
    }
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

/* Only the owner writes; others may read at any time (stats.c). */
static inline void cf_count_up(uint64_t *p, uint64_t n) { __atomic_store_n(p, *p + n, __ATOMIC_RELAXED); }
static inline void cf_count_hit(struct cf_detector *d, size_t rule)
{
    cf_count_up(&d->count[rule].hits, 1);
    __atomic_store_n(&d->count[rule].last_hit_us, cf_now_us(), __ATOMIC_RELAXED);
}
/* Sets up the field table for ev. */
void cf_detector_begin(struct cf_detector *d, const struct cf_event *ev);
/* First link of a rule field; iterate with cf_link_next. NULL: the field is absent. */
static inline const struct cf_link *cf_field_first(const struct cf_detector *d, uint16_t f)
{
    return d->shape->first[f] ? &d->shape->link[d->shape->first[f] - 1] : NULL;
}
static inline const struct cf_link *cf_link_next(const struct cf_detector *d, const struct cf_link *l)
{
    return l->next ? &d->shape->link[l->next - 1] : NULL;
}
static inline const struct cf_value *cf_val_at(const struct cf_detector *d, uint16_t val)
{
    return val < CF_VAL_TIME ? &d->ev->val[val] : val == CF_VAL_RECORD ? &d->record_val : &d->time_val;
}
static inline const struct cf_value *cf_link_val(const struct cf_detector *d, const struct cf_link *l) { return cf_val_at(d, l->val); }
cf_str cf_folded(struct cf_detector *d, uint16_t val);        /* folded text of a value */
bool cf_record_is_text(struct cf_detector *d);                /* keywords are looked for in the original text */
/* Truth of a predicate; *ret_val, when wanted, gets the value that made it true. */
/* Part (enum cf_time_part) of a time in the rule set's zone; false: s is no time. */
bool cf_time_part(const struct cf_ruleset *rs, cf_str s, uint8_t part, double *ret);
bool cf_pred_eval(struct cf_detector *d, uint32_t pred, cf_str *ret_val);
bool cf_node_eval(struct cf_detector *d, const struct cf_node *n);
bool cf_program_run(struct cf_detector *d, const struct cf_rule *r);
/* No event whose fields fed by this value are fed by it alone, as in the event in hand, fits the rule, whatever else is in it. */
bool cf_refuted(struct cf_detector *d, const struct cf_rule *r, uint16_t val);
/* prefilter.c: marks as candidates all rules of g one of whose witnesses is in the event. False: no memory. */
bool cf_prefilter(struct cf_detector *d, const struct cf_group *g);
void cf_prefilter_free(struct cf_detector *d);
static inline void cf_candidate(struct cf_detector *d, uint32_t rule)
{
    if (d->cand_epoch[rule] == d->epoch)
        return;
    d->cand_epoch[rule] = d->epoch;
    d->cand[d->n_cand++] = rule;
}
void cf_shapes_free(struct cf_detector *d);
/* Values of ev that g has to look at; NULL: no memory. */
struct cf_plan *cf_shape_plan(struct cf_detector *d, const struct cf_group *g, bool text);
/* Log sources of the event; false: none fits. */
bool cf_route_bits(struct cf_detector *d, uint64_t *bits);
int cf_add_hit(struct cf_detector *d, const struct cf_hit *h);

#endif
