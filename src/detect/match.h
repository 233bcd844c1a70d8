/* SPDX-License-Identifier: Apache-2.0
 * match, private: what one worker knows of the event in hand. */
#ifndef CF_DETECT_MATCH_H
#define CF_DETECT_MATCH_H

#include "detect/group.h"

struct cf_head { /* values of one rule field in the event: list of links */
    uint32_t epoch;
    uint16_t first, last; /* index+1 of links */
    uint8_t prio;         /* which name found them: the best one wins */
};
struct cf_link {
    uint16_t val, next;
};
struct cf_folded {
    uint32_t off, n; /* in fold buffer; off UINT32_MAX: not folded yet */
};
struct cf_route_slot {
    uint64_t sig;
    struct cf_group *group;
};
#define CF_ROUTE_SLOTS 1024u
#define CF_VAL_RECORD 0xffff /* stands for the original text */

struct cf_detector {
    struct cf_ruleset *rs;
    const struct cf_event *ev;
    uint32_t epoch;
    struct cf_head *head; /* [n_fields] */
    struct cf_link *link;
    uint32_t n_link, cap_link;
    struct cf_folded *fold; /* [ev->n], and the original at the end */
    uint32_t cap_fold;
    struct cf_folded record; /* original, folded */
    struct cf_value record_val; /* original, as a value of the field event.original */
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
    uint32_t *cand_epoch; /* [n_rules] */
    uint32_t *cand;
    uint32_t n_cand;
    const struct cf_part *part; /* being scanned */
    uint32_t first_lit;         /* its literal that the scanner calls 0 */
    struct cf_route_slot route[CF_ROUTE_SLOTS];
    struct cf_rex_scratch rex;
    struct cf_rule_counters *count; /* [n_rules] */
    /* hits of this event */
    struct cf_hit *hit;
    size_t n_hit, cap_hit;
};
struct cf_seg { /* a value in the scan buffer */
    uint32_t from, to;
    uint16_t val;
};

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
    return d->head[f].epoch == d->epoch ? &d->link[d->head[f].first - 1] : NULL;
}
static inline const struct cf_link *cf_link_next(const struct cf_detector *d, const struct cf_link *l)
{
    return l->next ? &d->link[l->next - 1] : NULL;
}
static inline const struct cf_value *cf_link_val(const struct cf_detector *d, const struct cf_link *l) 
{
    return l->val == CF_VAL_RECORD ? &d->record_val : &d->ev->val[l->val];
}
cf_str cf_folded(struct cf_detector *d, uint16_t val);        /* folded text of a value */
bool cf_record_is_text(const struct cf_detector *d);          /* keywords are looked for in the original text */
/* Truth of a predicate; *ret_val, when wanted, gets the value that made it true. */
bool cf_pred_eval(struct cf_detector *d, uint32_t pred, cf_str *ret_val);
bool cf_node_eval(struct cf_detector *d, const struct cf_node *n);
bool cf_program_run(struct cf_detector *d, const struct cf_rule *r);
/* Log sources of the event; false: none fits. */
bool cf_route_bits(struct cf_detector *d, uint64_t *bits);
int cf_add_hit(struct cf_detector *d, const struct cf_hit *h);

#endif
